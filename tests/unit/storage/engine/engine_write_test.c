/*
 * Samples that are written: they are there at once, the later write wins, every bit is kept, and
 * what does not fit waits or is refused. On the real file system.
 */
#include "../../test.h"

#include "base/bits.h"
#include "base/times.h"
#include "model/value.h"
#include "scene.h"

enum { SERIES = 50, LARGE_HEAD = 8 << 20, SMALL_HEAD = 64 << 10 };

#define NOW INT64_C(1750000000000)

static void a_new_store_is_empty(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    scene_check_all_ways(&scene);
    assert_int_equal(scene_stats(&scene).parts, 0);
    scene_end(&scene);
}

static void samples_are_seen_as_soon_as_they_are_acknowledged(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    for (uint32_t i = 0; i < 40; i++) {
        scene_put_one(&scene, i % SERIES, NOW + i, i);
        scene_check(&scene);
    }
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void the_later_write_wins_wherever_the_earlier_is(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    /* In one batch, in one head, over a part, over two parts, over a merged part. */
    scene_put(&scene, (struct fixture_sample[]){{1, NOW, 1}, {1, NOW, 2}, {1, NOW - 5, 3}}, 3);
    scene_put_one(&scene, 1, NOW, 4);
    scene_check(&scene);
    for (int i = 0; i < 9; i++) {
        scene_put_run(&scene, 1, NOW - 2000, 100, 40, i * 1000);
        scene_put_run(&scene, 2, NOW - i * 777, 50, 30, i);
        scene_check(&scene);
        store_flush(&scene.store);
        scene_put_one(&scene, 1, NOW - 1000, i);
        scene_put_one(&scene, 1, NOW - 1050, i);
        scene_check(&scene);
        store_settle_down(&scene.store);
        scene_check(&scene);
    }
    assert_true(scene_stats(&scene).merges > 0);
    store_kill(&scene.store);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void values_and_times_keep_every_bit(void **state)
{
    (void)state;
    static const uint64_t bits[] = {
        VALUE_STALE_BITS,
        VALUE_NORMAL_NAN_BITS,
        UINT64_C(0x7ff8000000000000),
        UINT64_C(0xfff8000000000123),
        UINT64_C(0x7ff0000000000001), /* a signalling NaN */
        UINT64_C(0x8000000000000000), /* -0.0 */
        0,
        1, /* the smallest subnormal */
        UINT64_C(0x000fffffffffffff),
        UINT64_C(0x7ff0000000000000),
        UINT64_C(0xfff0000000000000),
        UINT64_C(0x7fefffffffffffff),
        UINT64_C(0x3ff0000000000000),
    };
    enum { VALUES = sizeof bits / sizeof bits[0] };
    static const int64_t times[] = {
        TIME_MIN_MS, TIME_MIN_MS + 1, -MS_PER_DAY - 1, -MS_PER_DAY, -1, 0, 1, NOW, TIME_MAX_MS - 1,
    };
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        scene_put_one(&scene, 0, times[i], (double)i);
    /* Alone, mixed, and in runs long enough for every encoding. */
    for (uint32_t i = 0; i < VALUES; i++)
        scene_put_one(&scene, 1 + i, NOW, double_of_bits(bits[i]));
    for (uint32_t i = 0; i < 2000; i++)
        scene_put_one(&scene, 20, NOW + i * 1000, double_of_bits(bits[i % VALUES]));
    for (uint32_t i = 0; i < 2000; i++)
        scene_put_one(&scene, 21, NOW + i * 1000,
                      i % 50 == 0 ? double_of_bits(bits[i / 50 % VALUES]) : i);
    scene_check_all_ways(&scene);
    /* Once more over it, so that they are merged. */
    for (int round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < VALUES; i++)
            scene_put_one(&scene, 1 + i, NOW + round, double_of_bits(bits[i]));
        store_flush(&scene.store);
    }
    store_settle_down(&scene.store);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void one_commit_may_touch_hundreds_of_days(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    enum { DAYS = 200 };
    struct fixture_sample samples[2 * DAYS];
    for (uint32_t i = 0; i < 2 * DAYS; i++)
        samples[i] = (struct fixture_sample){i % 3, NOW - (int64_t)(i * 7 % DAYS) * MS_PER_DAY, i};
    scene_put(&scene, samples, 2 * DAYS);
    scene_check_all_ways(&scene);
    assert_int_equal(scene_stats(&scene).chunks, DAYS);
    scene_end(&scene);
}

static void a_log_that_holds_more_than_a_head_is_recovered(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    for (uint32_t i = 0; i < 60; i++)
        scene_put_run(&scene, i % SERIES, NOW + i * 100, 1000, 500, i);
    /* Where a smaller head must do, the log is flushed while it is replayed. */
    scene.store.options.head_bytes = SMALL_HEAD;
    store_kill(&scene.store);
    assert_true(scene_stats(&scene).flushes > 1);
    scene_check(&scene);
    store_kill(&scene.store);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void writes_wait_when_both_heads_are_full(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, SMALL_HEAD, SERIES);
    enum status status = STATUS_OK;
    struct error err = {0};
    uint32_t commits = 0;
    for (; status == STATUS_OK && commits < 1000; commits++) {
        struct fixture_sample samples[100];
        for (uint32_t i = 0; i < 100; i++)
            samples[i] = (struct fixture_sample){i % SERIES, NOW + commits * 100 + i, i};
        status = fixture_put(scene.store.tier, samples, 100, &err);
        if (status == STATUS_OK)
            ledger_put(&scene.ledger, samples, 100);
    }
    assert_int_equal(status, STATUS_BUSY);
    scene_check(&scene);
    assert_int_equal(scene_stats(&scene).series_reserved, 0);
    store_settle_down(&scene.store);
    scene_put_one(&scene, 1, NOW - 1, 1);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void a_second_opener_is_refused(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    struct tier *second;
    struct error err = {0};
    assert_int_equal(engine_open(&scene.store.options, &second, &err), STATUS_CONFLICT);
    assert_null(second);
    scene_put_one(&scene, 1, NOW, 1);
    scene_check(&scene);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_store_is_empty),
        cmocka_unit_test(samples_are_seen_as_soon_as_they_are_acknowledged),
        cmocka_unit_test(the_later_write_wins_wherever_the_earlier_is),
        cmocka_unit_test(values_and_times_keep_every_bit),
        cmocka_unit_test(one_commit_may_touch_hundreds_of_days),
        cmocka_unit_test(a_log_that_holds_more_than_a_head_is_recovered),
        cmocka_unit_test(writes_wait_when_both_heads_are_full),
        cmocka_unit_test(a_second_opener_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Labels become ids while the segments of the index are replaced: what was read of segments that
 * have gone does not count, and series_lock is not held while others are read.
 */
#include "../../test.h"

#include "base/times.h"
#include "hooked_fs.h"
#include "scene.h"
#include "storage/engine/engine_internal.h"

enum { SERIES = 600, KNOWN = 200, OF_BATCH = 400, HEAD = 8 << 20 };
#define NOW INT64_C(1750000000000)

struct test {
    struct scene scene;
    struct hooked_fs fs;
    void (*meanwhile)(struct test *test); /* before reads of the index without series_lock, */
    unsigned times;                       /* that often */
    bool within;
    uint32_t next; /* series that comes with the next flush */
    unsigned reads, locked_reads;
};

static void ignore_opening(void *context, const char *path, enum file_mode mode)
{
    (void)context;
    (void)path;
    (void)mode;
}

static void on_read(void *context)
{
    struct test *test = context;
    if (test->meanwhile == NULL || test->within)
        return;
    struct engine *engine = engine_of(test->scene.store.tier);
    test->reads++;
    if (pthread_rwlock_tryrdlock(&engine->series_lock.native) != 0) {
        test->locked_reads++;
        return;
    }
    rwlock_unlock(&engine->series_lock);
    if (test->times == 0)
        return;
    test->times--;
    test->within = true;
    test->meanwhile(test);
    test->within = false;
}

static void begin(struct test *test)
{
    *test = (struct test){.next = OF_BATCH};
    scene_begin(&test->scene, HEAD, SERIES);
    hooked_fs_init(&test->fs, ignore_opening, test);
    test->fs.reading = on_read;
    test->fs.read_of = "/index/";
    struct engine_options options = test->scene.store.options;
    options.os.fs = &test->fs.fs;
    scene_reopen_with(&test->scene, &options);
}

/* Of series [first, first + count), in one batch. */
static void put_many(struct test *test, uint32_t first, uint32_t count, int64_t time_ms)
{
    struct fixture_sample samples[SERIES];
    for (uint32_t i = 0; i < count; i++)
        samples[i] = (struct fixture_sample){first + i, time_ms, i};
    scene_put(&test->scene, samples, count);
}

/* A batch of known and new series; after a start nothing but the segments knows the former. */
static void put_a_batch(struct test *test, uint32_t size, void (*meanwhile)(struct test *test),
                        unsigned times)
{
    put_many(test, 0, KNOWN, NOW);
    store_flush(&test->scene.store);
    store_reopen(&test->scene.store);
    test->meanwhile = meanwhile;
    test->times = times;
    put_many(test, 0, size, NOW + 1000);
    test->meanwhile = NULL;
}

static void flush(struct test *test)
{
    scene_put_one(&test->scene, test->next++, NOW, 1);
    store_flush(&test->scene.store);
}

static void check_once_each(struct test *test)
{
    assert_int_equal(scene_stats(&test->scene).series_committed, test->next);
    scene_check_all_ways(&test->scene);
    assert_int_equal(scene_stats(&test->scene).series_committed, test->next);
}

static void the_index_is_read_without_the_lock_though_a_flush_comes_meanwhile(void **state)
{
    (void)state;
    for (unsigned flushes = 0; flushes <= 3; flushes++) {
        struct test test;
        begin(&test);
        put_a_batch(&test, OF_BATCH, flush, flushes);
        assert_int_equal(test.times, 0);
        assert_true(test.reads >= KNOWN);
        assert_int_equal(test.locked_reads, 0);
        check_once_each(&test);
        scene_end(&test.scene);
    }
}

static void a_batch_ends_though_a_flush_comes_before_each_read(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    test.next = KNOWN;
    put_a_batch(&test, 1, flush, SERIES - KNOWN);
    assert_true(test.locked_reads > 0);
    check_once_each(&test);
    scene_end(&test.scene);
}

static void bring_the_batchs_own(struct test *test)
{
    put_many(test, KNOWN, OF_BATCH - KNOWN, NOW);
    store_flush(&test->scene.store);
}

static void series_that_another_batch_made_and_a_flush_moved_are_found(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    put_a_batch(&test, OF_BATCH, bring_the_batchs_own, 1);
    assert_int_equal(test.locked_reads, 0);
    check_once_each(&test);
    scene_end(&test.scene);
}

static void take_out(struct test *test)
{
    store_settle_down(&test->scene.store);
}

static void a_series_that_left_the_index_after_it_was_read_is_made_anew(void **state)
{
    (void)state;
    enum { OLD = 100 };
    struct test test;
    begin(&test);
    struct tier *tier = test.scene.store.tier;
    int64_t now_ms = clock_wall_ms(test.scene.store.options.os.clock);
    put_many(&test, 0, OLD, now_ms - 5 * (int64_t)MS_PER_DAY);
    store_flush(&test.scene.store);
    /* The log tells of series up to the flush before. */
    scene_put_one(&test.scene, OLD, now_ms, 1);
    store_flush(&test.scene.store);
    engine_set_retention(tier, 2 * (int64_t)MS_PER_DAY);
    ledger_drop_before(&test.scene.ledger, now_ms - 2 * (int64_t)MS_PER_DAY);
    bool did = true;
    while (did && engine_of(tier)->reclaim.stage != RECLAIM_DRAINING)
        assert_int_equal(engine_background_step(tier, &did, NULL), STATUS_OK);
    assert_int_equal(engine_of(tier)->reclaim.stage, RECLAIM_DRAINING);
    test.meanwhile = take_out;
    test.times = 1;
    put_many(&test, 0, OLD, now_ms);
    test.meanwhile = NULL;
    assert_int_equal(test.times, 0);
    assert_int_equal(test.locked_reads, 0);
    assert_int_equal(scene_stats(&test.scene).series_committed, OLD + 1);
    scene_check_all_ways(&test.scene);
    scene_end(&test.scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_index_is_read_without_the_lock_though_a_flush_comes_meanwhile),
        cmocka_unit_test(a_batch_ends_though_a_flush_comes_before_each_read),
        cmocka_unit_test(series_that_another_batch_made_and_a_flush_moved_are_found),
        cmocka_unit_test(a_series_that_left_the_index_after_it_was_read_is_made_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* How much merging writes, and how few parts and segments of the index it leaves. */
#include "../../test.h"

#include "base/times.h"
#include "scene.h"

enum { SERIES = 50, HEAD = 8 << 20 };

#define NOW INT64_C(1750000000000)

/* The log apart, each sample is written by its flush and by two merges. */
static void samples_in_order_of_time_are_written_three_times_at_the_most(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    enum { FLUSHES = 200, RUN = 20 };
    int64_t day_start = NOW - NOW % MS_PER_DAY;
    for (int i = 0; i < FLUSHES; i++) {
        for (uint32_t series = 0; series < 10; series++)
            scene_put_run(&scene, series, day_start + (int64_t)i * RUN * 1000, 1000, RUN, i);
        scene_settle(&scene);
    }
    struct engine_stats stats = scene_stats(&scene);
    assert_true(stats.parts < 30);
    assert_in_range(stats.flushed_bytes + stats.merged_bytes_written, stats.flushed_bytes + 1,
                    3 * stats.flushed_bytes);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void series_of_many_flushes_stand_in_few_segments(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    ledger_release(&scene.ledger);
    ledger_init(&scene.ledger, 2000);
    for (uint32_t flush = 0; flush < 100; flush++) {
        for (uint32_t i = 0; i < 20; i++)
            scene_put_one(&scene, flush * 20 + i, NOW + flush, flush);
        scene_put_one(&scene, flush * 7, NOW + 1000 + flush, 1);
        scene_settle(&scene);
    }
    struct engine_stats stats = scene_stats(&scene);
    assert_true(stats.index_merges > 10);
    assert_true(stats.index_segments < 12);
    assert_int_equal(stats.series_committed, 2000);
    scene_check_all_ways(&scene);
    assert_int_equal(scene_stats(&scene).series_committed, 2000);
    /* Known series are found on disk, and are no new ones. */
    scene_put_one(&scene, 3, NOW + 5000, 1);
    scene_put_one(&scene, 1999, NOW + 5000, 1);
    assert_int_equal(scene_stats(&scene).series_committed, 2000);
    /* One more tells which series are active. */
    assert_int_equal(store_files(&scene.store, "index"), scene_stats(&scene).index_segments + 1);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

/* As what reclaim leaves of a segment, or a flush with one new series. */
static void a_small_segment_alone_does_not_keep_others_from_merging(void **state)
{
    (void)state;
    enum { FLUSHES = 40, NEW = 30 };
    struct scene scene;
    scene_begin(&scene, HEAD, 1 + FLUSHES * NEW);
    scene_put_one(&scene, 0, NOW, 1);
    scene_settle(&scene);
    for (uint32_t flush = 0; flush < FLUSHES; flush++) {
        for (uint32_t i = 0; i < NEW; i++)
            scene_put_one(&scene, 1 + flush * NEW + i, NOW + flush, i);
        scene_settle(&scene);
        assert_true(scene_stats(&scene).index_segments < 12);
    }
    assert_int_equal(scene_stats(&scene).series_committed, 1 + FLUSHES * NEW);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void a_few_late_samples_do_not_have_a_large_part_written_again(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    int64_t day_start = NOW - NOW % MS_PER_DAY;
    for (int i = 0; i < 50000; i++)
        scene_put_one(&scene, 1, day_start + 1000 + i * 7 + i % 5, (double)((int64_t)i * i % 1009));
    store_flush(&scene.store);
    uint64_t large = scene_stats(&scene).flushed_bytes;
    for (int i = 0; i < 40; i++) {
        scene_put_one(&scene, 1, day_start + i, i);
        scene_settle(&scene);
    }
    struct engine_stats stats = scene_stats(&scene);
    assert_true(stats.merges > 5);
    assert_true(stats.merged_bytes_written < large / 2);
    assert_true(stats.parts < 15);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_in_order_of_time_are_written_three_times_at_the_most),
        cmocka_unit_test(series_of_many_flushes_stand_in_few_segments),
        cmocka_unit_test(a_small_segment_alone_does_not_keep_others_from_merging),
        cmocka_unit_test(a_few_late_samples_do_not_have_a_large_part_written_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

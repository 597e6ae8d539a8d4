/*
 * Days that become warm: when, as what, with late samples, through restarts; on a clock that moves
 * when told.
 */
#include "../../test.h"

#include <sys/stat.h>

#include "base/invariant.h"
#include "base/times.h"
#include "scene.h"
#include "storage/engine/paths.h"

enum { SERIES = 30, AFTER_DAYS = 10, FIRST_DAY = 20000 };

static void begin(struct scene *scene)
{
    scene_begin_at(scene, 8 << 20, SERIES, (int64_t)FIRST_DAY * MS_PER_DAY);
    struct engine_options options = scene->store.options;
    options.warm_after_ms = (int64_t)AFTER_DAYS * MS_PER_DAY;
    scene_reopen_with(scene, &options);
}

static int64_t day_ms(int64_t day)
{
    return (FIRST_DAY + day) * (int64_t)MS_PER_DAY;
}

/* The last moment at which the day is hot, and the first at which it is not. */
static int64_t warm_from_ms(int64_t day)
{
    return day_ms(day + 1 + AFTER_DAYS);
}

static struct chunk_info chunk;

static enum status find_chunk(void *context, const struct chunk_info *info, struct error *err)
{
    (void)err;
    if (info->day == FIRST_DAY + *(const int64_t *)context)
        chunk = *info;
    return STATUS_OK;
}

static struct chunk_info chunk_of(struct scene *scene, int64_t day)
{
    chunk = (struct chunk_info){.day = INT64_MIN};
    assert_int_equal(storage_chunks(scene->store.tier, find_chunk, &day, NULL), STATUS_OK);
    return chunk;
}

static void fill_day(struct scene *scene, int64_t day, unsigned flushes, size_t count)
{
    for (unsigned i = 0; i < flushes; i++) {
        for (uint32_t series = 0; series < 5; series++)
            scene_put_run(scene, series, day_ms(day) + (int64_t)(i * count) * 1000, 1000, count, i);
        store_flush(&scene->store);
    }
}

/* ---- the step --------------------------------------------------------------------------- */

static void a_day_becomes_one_warm_part_once_it_is_old_enough(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    fill_day(&scene, 0, 3, 2000);
    fill_day(&scene, 1, 1, 100);
    scene.now_ms = warm_from_ms(0) - 1;
    store_settle_down(&scene.store);
    assert_int_equal(scene_stats(&scene).warm_merges, 0);
    assert_int_equal(chunk_of(&scene, 0).tier, CHUNK_HOT);

    scene.now_ms = warm_from_ms(0);
    store_settle_down(&scene.store);
    struct engine_stats stats = scene_stats(&scene);
    assert_int_equal(stats.warm_merges, 1);
    assert_int_equal(stats.warm_parts, 1);
    assert_int_equal(stats.warm_samples, 30000);
    assert_int_equal(stats.warm_bytes_written, stats.warm_bytes);
    assert_int_equal(stats.merged_bytes_written, 0);
    struct chunk_info first = chunk_of(&scene, 0);
    assert_int_equal(first.tier, CHUNK_WARM);
    assert_int_equal(first.parts, 1);
    assert_int_equal(first.late_parts, 0);
    assert_int_equal(chunk_of(&scene, 1).tier, CHUNK_HOT);
    scene_check(&scene);

    /* It is done once, also by a store that is opened anew. */
    store_settle_down(&scene.store);
    store_kill(&scene.store);
    store_settle_down(&scene.store);
    assert_int_equal(scene_stats(&scene).warm_merges, 0);
    assert_int_equal(chunk_of(&scene, 0).tier, CHUNK_WARM);
    scene_check(&scene);

    scene.now_ms = warm_from_ms(1);
    store_settle_down(&scene.store);
    assert_int_equal(scene_stats(&scene).warm_merges, 1);
    assert_int_equal(chunk_of(&scene, 1).tier, CHUNK_WARM);
    scene_check(&scene);
    scene_end(&scene);
}

static void warm_blocks_are_four_times_as_large(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    fill_day(&scene, 0, 2, 4096);
    struct time_range range = {day_ms(0), day_ms(1)};
    uint64_t skipped[2];
    for (int warm = 0; warm < 2; warm++) {
        struct matchers everything = {0};
        struct select_options options = {.range = range};
        struct selection *selection;
        assert_int_equal(
            storage_select(scene.store.tier, &everything, 1, &options, &selection, NULL),
            STATUS_OK);
        struct storage_cursor *cursor = NULL;
        assert_int_equal(selection_read(scene.store.tier, selection, 0, range, &cursor, NULL),
                         STATUS_OK);
        struct storage_block block;
        while (storage_cursor_next(scene.store.tier, cursor, &block, NULL) == STATUS_OK)
            assert_int_equal(block.count, warm ? 4096 : 1024);
        struct read_stats stats;
        selection_stats(scene.store.tier, selection, &stats);
        skipped[warm] = stats.blocks_skipped;
        selection_close(scene.store.tier, selection);
        scene.now_ms = warm_from_ms(0);
        store_settle_down(&scene.store);
    }
    assert_int_equal(skipped[0], 8);
    assert_int_equal(skipped[1], 2);
    scene_check(&scene);
    scene_end(&scene);
}

static void the_age_may_change_and_the_clock_go_back(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    fill_day(&scene, 0, 2, 100);
    scene.now_ms = day_ms(2);
    store_settle_down(&scene.store);
    assert_int_equal(scene_stats(&scene).warm_parts, 0);
    engine_set_warm_after(scene.store.tier, MS_PER_DAY);
    store_settle_down(&scene.store);
    assert_int_equal(scene_stats(&scene).warm_parts, 1);
    engine_set_warm_after(scene.store.tier, 20 * (int64_t)MS_PER_DAY);
    scene.now_ms = day_ms(-5);
    store_settle_down(&scene.store);
    assert_int_equal(scene_stats(&scene).warm_parts, 1);
    scene_check(&scene);
    scene_end(&scene);
}

/* ---- late samples ----------------------------------------------------------------------- */

static void late_samples_stand_beside_a_warm_day_and_join_it_when_they_are_many(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    fill_day(&scene, 0, 1, 20000);
    scene.now_ms = warm_from_ms(0);
    store_settle_down(&scene.store);
    uint64_t first = scene_stats(&scene).warm_bytes_written;
    /* Over what is there, between it, and of another series. */
    scene_put_run(&scene, 1, day_ms(0) + 5000, 1000, 50, 1e6);
    scene_put_run(&scene, 2, day_ms(0) + 500, 1000, 50, 1e6);
    scene_put_run(&scene, 9, day_ms(0), 1000, 50, 3);
    scene_check(&scene);
    scene_settle(&scene);
    scene_check(&scene);
    struct chunk_info chunk_now = chunk_of(&scene, 0);
    assert_int_equal(chunk_now.tier, CHUNK_WARM);
    assert_int_equal(chunk_now.parts, 2);
    assert_int_equal(chunk_now.late_parts, 1);
    assert_int_equal(chunk_now.late_samples, 150);
    assert_int_equal(scene_stats(&scene).warm_bytes_written, first);
    store_reopen(&scene.store);
    store_settle_down(&scene.store);
    assert_int_equal(chunk_of(&scene, 0).late_parts, 1);
    scene_check(&scene);

    uint64_t late = scene_stats(&scene).part_bytes - scene_stats(&scene).warm_bytes;
    for (unsigned i = 0; i < 8; i++) {
        for (uint32_t series = 0; series < 5; series++)
            scene_put_run(&scene, 10 + series, day_ms(0) + i * 4000000 + 3, 1000, 4000, i);
        store_flush(&scene.store);
        late += scene_stats(&scene).flushed_bytes;
        store_settle_down(&scene.store);
        scene_check(&scene);
    }
    struct engine_stats stats = scene_stats(&scene);
    assert_true(stats.warm_merges > 0);
    assert_true(stats.warm_bytes_written <= 3 * late);
    assert_true(chunk_of(&scene, 0).parts < 5);
    store_kill(&scene.store);
    scene_check(&scene);
    scene_end(&scene);
}

static void parts_of_an_old_day_wait_for_others_before_they_become_warm(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    struct engine_options options = scene.store.options;
    options.warm_rest_ms = 60000;
    scene_reopen_with(&scene, &options);
    scene.now_ms = warm_from_ms(0);
    fill_day(&scene, 0, 1, 100);
    store_settle_down(&scene.store);
    assert_int_equal(scene_stats(&scene).warm_merges, 0);
    scene.passed_ms = 59999;
    fill_day(&scene, 0, 1, 100);
    store_settle_down(&scene.store);
    assert_int_equal(scene_stats(&scene).warm_merges, 0);
    scene.passed_ms = 60000; /* of the oldest */
    store_settle_down(&scene.store);
    assert_int_equal(scene_stats(&scene).warm_merges, 1);
    assert_int_equal(scene_stats(&scene).parts, 1);
    scene_check(&scene);
    /* What stood there before the start has waited enough. */
    fill_day(&scene, 5, 1, 100);
    scene.now_ms = warm_from_ms(5);
    store_settle_down(&scene.store);
    assert_int_equal(scene_stats(&scene).warm_merges, 1);
    store_kill(&scene.store);
    store_settle_down(&scene.store);
    assert_int_equal(scene_stats(&scene).warm_merges, 1);
    scene_check(&scene);
    scene_end(&scene);
}

static void many_parts_of_a_day_become_one(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    struct engine_options options = scene.store.options;
    options.warm_after_ms = 0;
    scene_reopen_with(&scene, &options);
    /* More than one step takes: merges are kept off by leaving them no turn. */
    for (unsigned i = 0; i < 70; i++)
        fill_day(&scene, 0, 1, 20 + i);
    assert_int_equal(scene_stats(&scene).parts, 70);
    options.warm_after_ms = MS_PER_DAY;
    options.merge_fan_in = 100;
    scene_reopen_with(&scene, &options);
    scene.now_ms = day_ms(3);
    store_settle_down(&scene.store);
    scene_check(&scene);
    assert_int_equal(scene_stats(&scene).parts, 1);
    assert_int_equal(scene_stats(&scene).warm_parts, 1);
    store_kill(&scene.store);
    scene_check(&scene);
    scene_end(&scene);
}

/* ---- damage ----------------------------------------------------------------------------- */

static void a_damaged_part_stays_as_it_is_and_others_of_its_day_become_warm(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    fill_day(&scene, 0, 3, 5000);
    engine_close(scene.store.tier);
    char *path = path_of_part(scene.store.dir, 1);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 200, SEEK_SET), 0);
    assert_int_equal(fputc(0xff, file), 0xff);
    assert_int_equal(fputc(0x00, file), 0x00);
    assert_int_equal(fputc(0xff, file), 0xff);
    fclose(file);
    free(path);
    struct error err = {0};
    assert_int_equal(engine_open(&scene.store.options, &scene.store.tier, &err), STATUS_OK);
    scene.now_ms = warm_from_ms(0);
    store_settle_down(&scene.store);
    assert_int_equal(scene_stats(&scene).parts, 2);
    assert_int_equal(scene_stats(&scene).warm_parts, 1);
    struct chunk_info chunk_now = chunk_of(&scene, 0);
    assert_int_equal(chunk_now.late_parts, 1);
    assert_int_equal(chunk_now.late_samples, 25000);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_day_becomes_one_warm_part_once_it_is_old_enough),
        cmocka_unit_test(warm_blocks_are_four_times_as_large),
        cmocka_unit_test(the_age_may_change_and_the_clock_go_back),
        cmocka_unit_test(late_samples_stand_beside_a_warm_day_and_join_it_when_they_are_many),
        cmocka_unit_test(parts_of_an_old_day_wait_for_others_before_they_become_warm),
        cmocka_unit_test(many_parts_of_a_day_become_one),
        cmocka_unit_test(a_damaged_part_stays_as_it_is_and_others_of_its_day_become_warm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

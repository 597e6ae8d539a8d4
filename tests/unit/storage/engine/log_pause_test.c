/* What the log tells of its last frames once nothing is written for a while. */
#include "../../test.h"

#include "base/times.h"
#include "scene.h"
#include "storage/engine/engine_internal.h"
#include "storage/engine/wal_format.h"

enum { MARK = 2 }; /* frames: filler up to another sector, and itself */
enum { NOW_DAY = 20100, HEAD = 256 * 1024, SERIES = 4 };

static void begin(struct scene *scene, enum engine_sync sync)
{
    scene_begin_at(scene, HEAD, SERIES, NOW_DAY * INT64_C(1) * MS_PER_DAY);
    struct engine_options options = scene->store.options;
    options.sync = sync;
    scene_reopen_with(scene, &options);
}

static struct wal_stats log_of(struct scene *scene)
{
    struct wal_stats stats;
    wal_stats(engine_of(scene->store.tier)->wal, &stats);
    return stats;
}

/* What the background thread does in that time. */
static void pass(struct scene *scene, int64_t ms)
{
    struct error err = {0};
    for (int64_t end_ms = scene->passed_ms + ms; scene->passed_ms < end_ms;) {
        scene->passed_ms += end_ms - scene->passed_ms < 1000 ? end_ms - scene->passed_ms : 1000;
        bool did;
        assert_int_equal(engine_background_step(scene->store.tier, &did, &err), STATUS_OK);
    }
}

static void segment_path(const struct scene *scene, uint64_t lsn, char path[128])
{
    char name[WAL_NAME_SIZE];
    wal_segment_name(name, wal_lsn_segment(lsn));
    snprintf(path, 128, "%s/wal/%s", scene->store.dir, name);
}

/* Has a segment of the log say what it does now, after the store is closed: a kill marks nothing.
 */
static void kill_with(struct scene *scene, const char *path)
{
    static uint8_t bytes[HEAD + 1];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    size_t size = fread(bytes, 1, sizeof bytes, file);
    assert_true(size > 0 && size <= HEAD);
    fclose(file);
    engine_abandon(scene->store.tier);
    scene->store.tier = NULL;
    file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
}

/* Has a sector of it say nothing. */
static void lose_sector(const char *path, uint64_t at)
{
    static const uint8_t nothing[WAL_SECTOR_MAX];
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, (long)(at / sizeof nothing * sizeof nothing), SEEK_SET), 0);
    assert_int_equal(fwrite(nothing, 1, sizeof nothing, file), sizeof nothing);
    assert_int_equal(fclose(file), 0);
}

/* Killed `ms` after a write, of which the byte at *at is damaged before the next start; *at goes on
 * to the next one. False where the write has no more. */
static bool damaged_after(int64_t ms, uint64_t *at, struct wal_stats *found)
{
    struct scene scene;
    begin(&scene, ENGINE_SYNC_ALWAYS);
    scene_put_one(&scene, 0, scene.now_ms, 1);
    uint64_t from = log_of(&scene).last_lsn;
    scene_put_one(&scene, 1, scene.now_ms, 2);
    uint64_t end = log_of(&scene).last_lsn;
    assert_int_equal(wal_lsn_segment(from), wal_lsn_segment(end));
    pass(&scene, ms);
    char path[128];
    segment_path(&scene, end, path);
    kill_with(&scene, path);
    scene_flip(path, (long)wal_lsn_offset(from) + (long)*at);
    store_reopen(&scene.store);
    *found = log_of(&scene);
    scene_end(&scene);
    return from + ++*at < end;
}

static void after_a_pause_damage_of_any_byte_of_the_last_write_is_known(void **state)
{
    (void)state;
    struct wal_stats found;
    bool more = true;
    for (uint64_t at = 0; more;) {
        more = damaged_after(2000, &at, &found);
        if (found.damages != 1 || found.torn_lsn != 0)
            test_fail("byte %llu of the last write: %llu ranges are damaged, torn at %llx",
                      (unsigned long long)at - 1, (unsigned long long)found.damages,
                      (unsigned long long)found.torn_lsn);
    }
}

/* Of writes that end anywhere in a sector, also where no other frame has room in it. */
static void after_a_pause_the_loss_of_the_last_sector_is_known(void **state)
{
    (void)state;
    unsigned at_end = 0;
    for (unsigned samples = 1; samples < 700; samples += 9) {
        struct scene scene;
        begin(&scene, ENGINE_SYNC_ALWAYS);
        scene_put_run(&scene, 0, scene.now_ms, 1000, 5000, 1);
        scene_put_run(&scene, 1, scene.now_ms, 1000, samples, 1);
        uint64_t end = log_of(&scene).last_lsn;
        at_end += WAL_SECTOR_MAX - wal_lsn_offset(end) % WAL_SECTOR_MAX < 104;
        pass(&scene, 2000);
        char path[128];
        segment_path(&scene, end, path);
        kill_with(&scene, path);
        lose_sector(path, wal_lsn_offset(end) - 1);
        store_reopen(&scene.store);
        struct wal_stats found = log_of(&scene);
        if (found.damages != 1)
            test_fail("a write that ends at %llx: %llu ranges are damaged", (unsigned long long)end,
                      (unsigned long long)found.damages);
        scene_end(&scene);
    }
    assert_true(at_end > 0);
}

static void right_after_a_write_its_damage_looks_like_a_torn_tail(void **state)
{
    (void)state;
    struct wal_stats found;
    bool more = true;
    for (uint64_t at = 0; more;) {
        more = damaged_after(0, &at, &found);
        assert_int_equal(found.damages, 0);
        assert_true(found.torn_lsn != 0); /* and the log tells the operator */
    }
}

static void a_pause_is_marked_once_however_long_it_is(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, ENGINE_SYNC_ALWAYS);
    scene_put_one(&scene, 0, scene.now_ms, 1);
    uint64_t frames = log_of(&scene).frames;
    pass(&scene, 20000);
    assert_int_equal(log_of(&scene).frames, frames + MARK);
    assert_true(log_of(&scene).synced_lsn == log_of(&scene).last_lsn);
    scene_put_one(&scene, 0, scene.now_ms + 1, 1);
    pass(&scene, 2000);
    assert_int_equal(log_of(&scene).frames, frames + MARK + 1 + MARK);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void a_log_that_is_written_to_gets_no_marks(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, ENGINE_SYNC_ALWAYS);
    for (uint32_t i = 1; i <= 20; i++) {
        scene_put_one(&scene, 0, scene.now_ms + i, i);
        pass(&scene, 500);
    }
    assert_int_equal(log_of(&scene).frames, 20);
    scene_end(&scene);
}

static void what_was_not_synced_is_not_called_so(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene, ENGINE_SYNC_NEVER);
    scene_put_one(&scene, 0, scene.now_ms, 1);
    pass(&scene, 20000);
    assert_int_equal(log_of(&scene).frames, 1);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_a_pause_damage_of_any_byte_of_the_last_write_is_known),
        cmocka_unit_test(after_a_pause_the_loss_of_the_last_sector_is_known),
        cmocka_unit_test(right_after_a_write_its_damage_looks_like_a_torn_tail),
        cmocka_unit_test(a_pause_is_marked_once_however_long_it_is),
        cmocka_unit_test(a_log_that_is_written_to_gets_no_marks),
        cmocka_unit_test(what_was_not_synced_is_not_called_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

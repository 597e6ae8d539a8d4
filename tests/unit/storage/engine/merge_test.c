/*
 * Which parts and which segments of the index are merged, and what damage to one of them means for
 * the others.
 */
#include "../../../sanitized.h"
#include "../../test.h"

#include <dirent.h>
#include <malloc.h>
#include <time.h>

#include "base/times.h"
#include "hooked_fs.h"
#include "os/thread.h"
#include "scene.h"

enum { SERIES = 400, HEAD = 8 << 20 };

#define DAY   ((int64_t)MS_PER_DAY)
#define FIRST (INT64_C(20000) * DAY) /* midnight */

/* ---- damage ----------------------------------------------------------------------------- */

static int no_dots(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Of the `place`-th file of a folder, by name. */
static void find_path(const struct scene *scene, const char *folder, int place, char path[600])
{
    snprintf(path, 600, "%s/%s", scene->store.dir, folder);
    struct dirent **names;
    int count = scandir(path, &names, no_dots, alphasort);
    assert_true(count > place);
    snprintf(path, 600, "%s/%s/%s", scene->store.dir, folder, names[place]->d_name);
    for (int i = 0; i < count; i++)
        free(names[i]);
    free(names);
}

/* Flips a bit of it; twice is as if nothing had been. */
static void flip(const struct scene *scene, const char *folder, int place, long offset)
{
    char path[600];
    find_path(scene, folder, place, path);
    scene_flip(path, offset);
}

static void put_parts(struct scene *scene, int from, int to)
{
    for (int i = from; i < to; i++) {
        for (uint32_t series = 0; series < 3; series++)
            scene_put_run(scene, series, FIRST + (int64_t)i * 500000, 1000, 500, i);
        store_flush(&scene->store);
    }
}

static enum storage_health health(struct scene *scene)
{
    struct storage_condition condition;
    storage_condition(scene->store.tier, &condition);
    return condition.health;
}

static void a_damaged_part_does_not_keep_others_of_its_day_from_merging(void **state)
{
    (void)state;
    enum { PARTS = 13 };
    for (int damaged = 0; damaged < PARTS; damaged++) {
        struct scene scene;
        scene_begin(&scene, HEAD, SERIES);
        put_parts(&scene, 0, PARTS);
        assert_int_equal(scene_stats(&scene).parts, PARTS);
        flip(&scene, "parts", damaged, 1000);
        store_settle_down(&scene.store);
        /* Those before it, it, those behind it; less than a fan-in of them stays as it is. */
        int before = damaged < 4 ? damaged : 1;
        int after = PARTS - 1 - damaged < 4 ? PARTS - 1 - damaged : 1;
        assert_int_equal(scene_stats(&scene).parts, before + 1 + after);
        assert_int_equal(scene_stats(&scene).merge_failures, 1);
        assert_int_equal(health(&scene), STORAGE_DEGRADED);

        /* Nothing of what it holds was merged away. */
        flip(&scene, "parts", damaged < 4 ? damaged : 0, 1000);
        store_kill(&scene.store);
        scene_check(&scene);
        put_parts(&scene, PARTS, PARTS + 4);
        store_settle_down(&scene.store);
        assert_int_equal(scene_stats(&scene).merge_failures, 0);
        scene_check_all_ways(&scene);
        scene_end(&scene);
    }
}

/* Its samples, if it is put back, belong between those of its neighbours. */
static void a_missing_part_stands_between_two_stretches_of_its_day(void **state)
{
    (void)state;
    enum { PARTS = 13 };
    for (int missing = 0; missing < PARTS; missing += 3)
        for (int warm = 0; warm < 2; warm++) {
            struct scene scene;
            scene_begin(&scene, HEAD, SERIES);
            put_parts(&scene, 0, missing);
            /* What its neighbours say otherwise. */
            scene_put_run(&scene, 1, FIRST, 1000, 500 * PARTS, 1e6);
            put_parts(&scene, missing, PARTS);
            char path[600], aside[610];
            find_path(&scene, "parts", missing, path);
            snprintf(aside, sizeof aside, "%s.aside", path);
            engine_close(scene.store.tier);
            assert_int_equal(rename(path, aside), 0);
            if (warm)
                scene.store.options.warm_after_ms = DAY;
            struct error err = {0};
            assert_int_equal(engine_open(&scene.store.options, &scene.store.tier, &err), STATUS_OK);
            store_settle_down(&scene.store);
            int before = missing < 4 && !warm ? missing : missing > 0;
            int after =
                PARTS - 1 - missing < 4 && !warm ? PARTS - 1 - missing : PARTS - 1 - missing > 0;
            assert_int_equal(scene_stats(&scene).parts, before + after);
            assert_int_equal(scene_stats(&scene).warm_parts, warm ? before + after : 0);
            engine_close(scene.store.tier);
            assert_int_equal(rename(aside, path), 0);
            assert_int_equal(engine_open(&scene.store.options, &scene.store.tier, &err), STATUS_OK);
            scene_check_all_ways(&scene);
            scene_end(&scene);
        }
}

static void a_damaged_segment_does_not_keep_others_of_the_index_from_merging(void **state)
{
    (void)state;
    enum { FLUSHES = 12 };
    for (int damaged = 0; damaged < FLUSHES; damaged += 3) {
        struct scene scene;
        scene_begin(&scene, HEAD, SERIES);
        for (uint32_t i = 0; i < FLUSHES * 20; i++) {
            scene_put_one(&scene, i, FIRST + i, i);
            if (i % 20 == 19)
                store_flush(&scene.store);
        }
        assert_int_equal(scene_stats(&scene).index_segments, FLUSHES);
        flip(&scene, "index", damaged, 100);
        store_settle_down(&scene.store);
        assert_int_equal(scene_stats(&scene).index_segments, 2);
        assert_int_equal(health(&scene), STORAGE_DEGRADED);
        flip(&scene, "index", 0, 100);
        scene_check_all_ways(&scene);
        scene_end(&scene);
    }
}

/* ---- what a merge takes ----------------------------------------------------------------- */

enum { DENSE_PARTS = 8 };

/* One series, and parts that hold every eighth of its samples. */
static void put_dense_day(struct scene *scene, size_t samples)
{
    enum { AT_ONCE = 50000 };
    size_t each = samples / DENSE_PARTS;
    int64_t step_ms = DAY / (int64_t)each;
    struct fixture_sample *run = calloc(AT_ONCE, sizeof run[0]);
    assert_non_null(run);
    for (int64_t part = 0; part < DENSE_PARTS; part++) {
        for (size_t i = 0; i < each; i += AT_ONCE) {
            for (size_t j = 0; j < AT_ONCE; j++)
                run[j] = (struct fixture_sample){1, FIRST + (int64_t)(i + j) * step_ms + part,
                                                 (double)((i + j) * (i + j) % 1013)};
            assert_int_equal(fixture_put(scene->store.tier, run, AT_ONCE, NULL), STATUS_OK);
        }
        store_flush(&scene->store);
    }
    free(run);
}

/* Of /proc/self/status, in KiB. */
static size_t memory_kib(const char *field)
{
    FILE *file = fopen("/proc/self/status", "r");
    assert_non_null(file);
    char line[256];
    size_t kib = 0;
    while (kib == 0 && fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, field, strlen(field)) == 0)
            kib = strtoul(line + strlen(field), NULL, 10);
    fclose(file);
    assert_true(kib > 0);
    return kib;
}

static void forget_peak(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "w");
    assert_non_null(file);
    assert_true(fputs("5", file) >= 0);
    fclose(file);
}

struct spent {
    size_t kib;
    double seconds; /* of the processor */
};

static struct spent merge_dense_day(size_t samples)
{
    struct scene scene;
    scene_begin(&scene, (size_t)64 << 20, SERIES);
    scene.store.options.merge_fan_in = DENSE_PARTS;
    store_reopen(&scene.store);
    put_dense_day(&scene, samples);
    store_reopen(&scene.store); /* the heads are gone */
    assert_int_equal(scene_stats(&scene).parts, DENSE_PARTS);
    malloc_trim(0);
    forget_peak();
    size_t before = memory_kib("VmRSS:");
    clock_t began = clock();
    store_settle_down(&scene.store);
    struct spent spent = {.kib = memory_kib("VmHWM:") - before,
                          .seconds = (double)(clock() - began) / CLOCKS_PER_SEC};
    assert_int_equal(scene_stats(&scene).parts, 1);
    assert_int_equal(scene_stats(&scene).part_samples, samples);
    scene_end(&scene);
    return spent;
}

static void a_merge_of_one_dense_series_takes_memory_by_blocks_and_time_by_samples(void **state)
{
    (void)state;
    enum { FEW = 800000, MANY = 4 * FEW };
    struct spent few = merge_dense_day(FEW);
    struct spent many = merge_dense_day(MANY);
    printf("%d samples: %zu KiB, %.3f s; %d: %zu KiB, %.3f s\n", FEW, few.kib, few.seconds, MANY,
           many.kib, many.seconds);
    /* The samples take 50 MiB. */
    if (!SANITIZED)
        assert_in_range(many.kib, 0, 16 << 10);
    /* Twice as much as is linear, since others may want the processor's caches. */
    assert_true(many.seconds < 2 * 4 * few.seconds + 0.05);
}

/* ---- days that are dropped meanwhile ---------------------------------------------------- */

/* Holds the merge thread back, once, as it opens the part that it makes. */
struct held_back {
    struct scene scene;
    struct hooked_fs fs;
    struct mutex lock;
    struct condition changed;
    enum file_mode mode; /* before it is written, or when it is there */
    char made[300];      /* path of the part */
    bool armed, held, released;
};

static void hold_back(void *context, const char *path, enum file_mode mode)
{
    struct held_back *test = context;
    mutex_lock(&test->lock);
    if (test->armed && mode == FILE_CREATE_NEW && strstr(path, "/parts/") != NULL &&
        test->made[0] == 0)
        snprintf(test->made, sizeof test->made, "%s", path);
    if (mode == test->mode && strcmp(path, test->made) == 0 && !test->held) {
        test->held = true;
        condition_signal(&test->changed);
        while (!test->released)
            (void)condition_wait_ms(&test->changed, &test->lock, 1000);
    }
    mutex_unlock(&test->lock);
}

static void wait_until_held(struct held_back *test)
{
    mutex_lock(&test->lock);
    for (int i = 0; i < 60 && !test->held; i++)
        (void)condition_wait_ms(&test->changed, &test->lock, 1000);
    assert_true(test->held);
    mutex_unlock(&test->lock);
}

static void let_go(struct held_back *test)
{
    mutex_lock(&test->lock);
    test->released = true;
    condition_signal(&test->changed);
    mutex_unlock(&test->lock);
}

/* Parts of the day that is merged, of another one that is dropped too, and of one that stays. */
enum { MERGED_PARTS = 5, OTHER_PARTS = 3, KEPT_PARTS = 2 };

static int64_t put_days(struct scene *scene)
{
    int64_t now_ms = clock_wall_ms(clock_system());
    for (int i = 0; i < MERGED_PARTS; i++) {
        scene_put_run(scene, 1, now_ms - 9 * DAY + (int64_t)i * 1000, 1, 500, i);
        if (i < OTHER_PARTS)
            scene_put_run(scene, 1, now_ms - 7 * DAY + (int64_t)i * 1000, 1, 500, i);
        if (i < KEPT_PARTS)
            scene_put_run(scene, 1, now_ms + (int64_t)i * 1000, 1, 500, i);
        store_flush(&scene->store);
    }
    return now_ms;
}

static void begin_held_back(struct held_back *test, enum file_mode mode)
{
    *test = (struct held_back){.mode = mode};
    mutex_init(&test->lock);
    condition_init(&test->changed);
    hooked_fs_init(&test->fs, hold_back, test);
    scene_begin(&test->scene, HEAD, SERIES);
    struct engine_options options = test->scene.store.options;
    options.os.fs = &test->fs.fs;
    scene_reopen_with(&test->scene, &options);
}

static void end_held_back(struct held_back *test)
{
    scene_end(&test->scene);
    condition_release(&test->changed);
    mutex_release(&test->lock);
}

/* The threads look every second. */
static void wait_for_files(struct scene *scene, size_t parts)
{
    for (int i = 0; i < 60000 && store_files(&scene->store, "parts") != parts; i++)
        clock_sleep_ms(clock_system(), 1);
    assert_int_equal(store_files(&scene->store, "parts"), parts);
}

static void a_long_merge_does_not_keep_days_from_being_dropped(void **state)
{
    (void)state;
    static const enum file_mode modes[] = {FILE_CREATE_NEW, FILE_READ};
    for (int i = 0; i < 2; i++) {
        struct held_back test;
        begin_held_back(&test, modes[i]);
        struct scene *scene = &test.scene;
        int64_t now_ms = put_days(scene);
        test.armed = true;
        struct engine_options options = scene->store.options;
        options.background = true;
        scene_reopen_with(scene, &options);
        wait_until_held(&test);
        engine_set_retention(scene->store.tier, 3 * DAY);
        /* The merge holds its own sources, and no other file. */
        wait_for_files(scene, MERGED_PARTS + KEPT_PARTS + (modes[i] == FILE_READ));
        assert_int_equal(scene_stats(scene).chunks_dropped, 2);
        assert_int_equal(scene_stats(scene).parts, KEPT_PARTS);
        ledger_drop_before(&scene->ledger, now_ms - 3 * DAY);
        scene_check(scene);

        let_go(&test);
        wait_for_files(scene, KEPT_PARTS);
        assert_int_equal(scene_stats(scene).merges, 0);
        assert_int_equal(scene_stats(scene).merge_failures, 0);
        assert_int_equal(health(scene), STORAGE_HEALTHY);
        scene_check(scene);
        store_reopen(&scene->store);
        scene_check(scene);
        end_held_back(&test);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_damaged_part_does_not_keep_others_of_its_day_from_merging),
        cmocka_unit_test(a_missing_part_stands_between_two_stretches_of_its_day),
        cmocka_unit_test(a_damaged_segment_does_not_keep_others_of_the_index_from_merging),
        cmocka_unit_test(a_merge_of_one_dense_series_takes_memory_by_blocks_and_time_by_samples),
        cmocka_unit_test(a_long_merge_does_not_keep_days_from_being_dropped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

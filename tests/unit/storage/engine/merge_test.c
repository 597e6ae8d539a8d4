/*
 * Which parts and which segments of the index are merged, and what damage to one of them means for
 * the others.
 */
#include "../../test.h"

#include <dirent.h>

#include "base/times.h"
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
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_equal(fputc(byte ^ 8, file), byte ^ 8);
    assert_int_equal(fclose(file), 0);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_damaged_part_does_not_keep_others_of_its_day_from_merging),
        cmocka_unit_test(a_missing_part_stands_between_two_stretches_of_its_day),
        cmocka_unit_test(a_damaged_segment_does_not_keep_others_of_the_index_from_merging),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* How many series are active, of a store that is written, killed, flushed and opened again, as time
 * goes on. */
#include "../../test.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/times.h"
#include "scene.h"
#include "storage/engine/engine_internal.h"

enum { SERIES = 70, HEAD = 8 << 20, WINDOW_MS = 24 * 3600 * 1000, STEP_MS = 3600 * 1000 };

#define NOW INT64_C(1750003200000)

struct limit {
    struct admitter admitter;
    uint32_t max_series; /* of a metric */
    unsigned asked, returned;
};

static enum status admit(struct admitter *admitter, const struct admission_question *question,
                         struct error *err)
{
    struct limit *limit = container_of(admitter, struct limit, admitter);
    limit->asked++;
    limit->returned += question->returns;
    return question->metric_series < limit->max_series
               ? STATUS_OK
               : fail_code(err, STATUS_LIMIT, "cardinality_limit", "full");
}

static const struct admitter_ops limit_ops = {.admit = admit};

static void pass(struct scene *scene, int64_t duration_ms)
{
    scene->now_ms += duration_ms;
    scene->passed_ms += duration_ms;
    store_settle_down(&scene->store);
}

/* Samples of now; how many were refused. */
static uint64_t put(struct scene *scene, struct limit *limit, const uint32_t *series, size_t count)
{
    struct fixture_sample samples[SERIES];
    for (size_t i = 0; i < count; i++)
        samples[i] = (struct fixture_sample){series[i], scene->now_ms, 1};
    struct fixture_write one = {
        .samples = samples, .count = count, .admitter = limit == NULL ? NULL : &limit->admitter};
    struct error err = {0};
    if (fixture_commit(scene->store.tier, &one, 1, &err) != STATUS_OK)
        test_fail("put: %s", err.message);
    return one.rejected;
}

static void expect(struct scene *scene, uint64_t active, uint32_t of_first_metric)
{
    struct engine *engine = engine_of(scene->store.tier);
    uint32_t metric = series_space_find_metric(&engine->index.space, slice_from_text("metric_0"));
    assert_int_equal(scene_stats(scene).series_active, active);
    assert_int_equal(metric == METRIC_ID_NONE ? 0 : activity_count(&engine->activity, metric),
                     of_first_metric);
}

static void counts_are_the_same_after_a_restart_of_every_kind(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin_at(&scene, HEAD, SERIES, NOW);
    assert_int_equal(put(&scene, NULL, (uint32_t[]){0, 1, 7, 8, 14}, 5), 0);
    expect(&scene, 5, 3);
    store_kill(&scene.store);
    expect(&scene, 5, 3);
    store_flush(&scene.store);
    store_kill(&scene.store);
    expect(&scene, 5, 3);
    /* Half an hour before series 0 is written again, and then the window passes for the others. */
    pass(&scene, 30 * 60 * 1000);
    pass(&scene, 6 * STEP_MS);
    assert_int_equal(put(&scene, NULL, (uint32_t[]){0, 21}, 2), 0);
    store_kill(&scene.store);
    expect(&scene, 6, 4);
    store_reopen(&scene.store);
    expect(&scene, 6, 4);
    pass(&scene, WINDOW_MS - 5 * STEP_MS);
    expect(&scene, 2, 2);
    store_kill(&scene.store);
    expect(&scene, 2, 2);
    store_reopen(&scene.store);
    expect(&scene, 2, 2);
    scene_end(&scene);
}

static void a_series_that_falls_out_frees_its_place_and_returns_as_a_new_one(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin_at(&scene, HEAD, SERIES, NOW);
    struct limit limit = {.admitter = {&limit_ops}, .max_series = 2};
    assert_int_equal(put(&scene, &limit, (uint32_t[]){0, 7, 14}, 3), 1);
    pass(&scene, WINDOW_MS);
    assert_int_equal(put(&scene, &limit, (uint32_t[]){7, 14}, 2), 1);
    assert_int_equal(limit.returned, 0);
    pass(&scene, 2 * STEP_MS);
    expect(&scene, 1, 1);
    /* 14 takes the place that 0 had. */
    assert_int_equal(put(&scene, &limit, (uint32_t[]){14}, 1), 0);
    assert_int_equal(limit.returned, 0);
    assert_int_equal(put(&scene, &limit, (uint32_t[]){0, 7}, 2), 1);
    assert_int_equal(limit.returned, 1);
    expect(&scene, 2, 2);
    store_kill(&scene.store);
    expect(&scene, 2, 2);
    pass(&scene, WINDOW_MS + 2 * STEP_MS);
    expect(&scene, 0, 0);
    unsigned asked = limit.asked;
    assert_int_equal(put(&scene, &limit, (uint32_t[]){0, 7}, 2), 0);
    assert_int_equal(limit.asked, asked + 2);
    assert_int_equal(limit.returned, 3);
    /* And is known again. */
    assert_int_equal(put(&scene, &limit, (uint32_t[]){0, 7}, 2), 0);
    assert_int_equal(limit.asked, asked + 2);
    store_kill(&scene.store);
    expect(&scene, 2, 2);
    scene_end(&scene);
}

static void known_series_are_touched_as_their_samples_come(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin_at(&scene, HEAD, SERIES, NOW);
    struct limit limit = {.admitter = {&limit_ops}, .max_series = 1};
    for (int i = 0; i < 100; i++) {
        assert_int_equal(put(&scene, &limit, (uint32_t[]){0, 1}, 2), 0);
        pass(&scene, i % 2 == 0 ? STEP_MS : WINDOW_MS);
        if (i % 10 == 5)
            store_kill(&scene.store);
        if (i % 10 == 9)
            store_reopen(&scene.store);
    }
    assert_int_equal(limit.asked, 2);
    expect(&scene, 2, 1);
    scene_end(&scene);
}

static void what_is_not_committed_takes_no_place(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin_at(&scene, HEAD, SERIES, NOW);
    struct error err = {0};
    struct fixture_sample samples[] = {{0, NOW, 1}, {7, NOW, 1}};
    assert_int_equal(fixture_abandon(scene.store.tier, samples, 2, &err), STATUS_OK);
    expect(&scene, 0, 0);
    assert_int_equal(put(&scene, NULL, (uint32_t[]){0, 7}, 2), 0);
    pass(&scene, WINDOW_MS + 2 * STEP_MS);
    expect(&scene, 0, 0);
    assert_int_equal(fixture_abandon(scene.store.tier, samples, 2, &err), STATUS_OK);
    expect(&scene, 0, 0);
    /* An atomic batch that is refused as a whole gives back what it has taken by then. */
    struct limit limit = {.admitter = {&limit_ops}, .max_series = 1};
    struct fixture_write atomic = {
        .samples = samples, .count = 2, .atomic = true, .admitter = &limit.admitter};
    assert_int_equal(fixture_commit(scene.store.tier, &atomic, 1, &err), STATUS_OK);
    assert_int_equal(atomic.rejected, 2);
    expect(&scene, 0, 0);
    scene_end(&scene);
}

static void a_leap_of_the_wall_clock_frees_nothing(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin_at(&scene, HEAD, SERIES, NOW);
    assert_int_equal(put(&scene, NULL, (uint32_t[]){0, 1}, 2), 0);
    scene.now_ms += INT64_C(365) * MS_PER_DAY;
    store_settle_down(&scene.store);
    expect(&scene, 2, 1);
    scene.now_ms = 0;
    store_settle_down(&scene.store);
    expect(&scene, 2, 1);
    store_flush(&scene.store);
    /* Nor is it kept for longer by one that was set back while the store was closed. */
    store_kill(&scene.store);
    expect(&scene, 2, 1);
    pass(&scene, WINDOW_MS + 2 * STEP_MS);
    expect(&scene, 0, 0);
    scene_end(&scene);
}

/* Seconds since 1970 in 32 bits, all of them: until January 2106, and what comes then stands there.
 */
static void a_clock_in_another_century_is_no_damage(void **state)
{
    (void)state;
    static const int64_t years[] = {0, 2039 - 1970, 2100 - 1970, 2106 - 1970, 2250 - 1970};
    for (size_t i = 0; i < sizeof years / sizeof years[0]; i++) {
        struct scene scene;
        scene_begin_at(&scene, HEAD, SERIES, years[i] * 36525 * MS_PER_DAY / 100 + 1000);
        assert_int_equal(put(&scene, NULL, (uint32_t[]){0, 1}, 2), 0);
        store_kill(&scene.store);
        expect(&scene, 2, 1);
        assert_int_equal(scene_stats(&scene).recovery.damaged, 0);
        store_flush(&scene.store);
        store_kill(&scene.store);
        expect(&scene, 2, 1);
        assert_int_equal(scene_stats(&scene).recovery.damaged, 0);
        scene_end(&scene);
    }
}

static void a_series_that_is_deleted_and_leaves_the_index_frees_its_place(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin_at(&scene, HEAD, SERIES, NOW);
    assert_int_equal(put(&scene, NULL, (uint32_t[]){0, 7}, 2), 0);
    store_flush(&scene.store);
    bool only[SERIES] = {[0] = true};
    struct delete_result result;
    struct error err = {0};
    assert_int_equal(
        fixture_delete(scene.store.tier, only, SERIES, fixture_always(), &result, &err), STATUS_OK);
    for (int i = 0; i < 20; i++)
        pass(&scene, 5 * 60 * 1000);
    expect(&scene, 1, 1);
    store_kill(&scene.store);
    expect(&scene, 1, 1);
    scene_end(&scene);
}

/* Removes the segment of active series: the last of the folder. */
static void lose_activity(struct store *store)
{
    char folder[96], path[400] = "";
    snprintf(folder, sizeof folder, "%s/index", store->dir);
    DIR *directory = opendir(folder);
    assert_non_null(directory);
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        char one[400];
        snprintf(one, sizeof one, "%s/%s", folder, entry->d_name);
        FILE *file = fopen(one, "rb");
        unsigned char header[56] = {0};
        size_t got = file == NULL ? 0 : fread(header, 1, sizeof header, file);
        if (file != NULL)
            fclose(file);
        /* The type of the first block (docs/formats/index-segment.md). */
        if (got == sizeof header && memcmp(header, "MSINDEX1", 8) == 0 &&
            header[48] == RECORD_ACTIVITY)
            snprintf(path, sizeof path, "%s", one);
    }
    closedir(directory);
    assert_string_not_equal(path, "");
    assert_int_equal(unlink(path), 0);
}

static void without_its_segment_series_of_the_window_count_as_received_now(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin_at(&scene, HEAD, SERIES, NOW);
    assert_int_equal(put(&scene, NULL, (uint32_t[]){21, 28}, 2), 0);
    store_flush(&scene.store);
    pass(&scene, WINDOW_MS + 2 * STEP_MS);
    assert_int_equal(put(&scene, NULL, (uint32_t[]){0, 1, 7}, 3), 0);
    store_flush(&scene.store);
    assert_int_equal(put(&scene, NULL, (uint32_t[]){8}, 1), 0);
    engine_abandon(scene.store.tier);
    scene.store.tier = NULL;
    lose_activity(&scene.store);
    struct error err = {0};
    if (engine_open(&scene.store.options, &scene.store.tier, &err) != STATUS_OK)
        test_fail("%s", err.message);
    expect(&scene, 4, 2);
    assert_int_equal(scene_stats(&scene).recovery.damaged, 1);
    store_flush(&scene.store);
    store_kill(&scene.store);
    assert_int_equal(scene_stats(&scene).recovery.damaged, 0);
    expect(&scene, 4, 2);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counts_are_the_same_after_a_restart_of_every_kind),
        cmocka_unit_test(a_series_that_falls_out_frees_its_place_and_returns_as_a_new_one),
        cmocka_unit_test(known_series_are_touched_as_their_samples_come),
        cmocka_unit_test(what_is_not_committed_takes_no_place),
        cmocka_unit_test(a_leap_of_the_wall_clock_frees_nothing),
        cmocka_unit_test(a_clock_in_another_century_is_no_damage),
        cmocka_unit_test(a_series_that_is_deleted_and_leaves_the_index_frees_its_place),
        cmocka_unit_test(without_its_segment_series_of_the_window_count_as_received_now),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

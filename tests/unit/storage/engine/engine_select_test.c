/*
 * Selections: which series they hold, in which order, of which moment, and what reading them takes.
 */
#include "../../test.h"

#include "base/times.h"
#include "scene.h"

enum { SERIES = 50, HEAD = 8 << 20 };

#define NOW INT64_C(1750000000000)

static void an_ordered_selection_is_in_label_order(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    for (uint32_t i = 0; i < SERIES; i++)
        scene_put_one(&scene, (i * 37 + 11) % SERIES, NOW, i);
    struct select_options options = {.range = fixture_always(), .ordered = true};
    struct selection *selection = scene_select(&scene, &options);
    size_t count = selection_count(scene.store.tier, selection);
    assert_int_equal(count, SERIES);
    char before[128] = "";
    for (size_t i = 0; i < count; i++) {
        struct selected_series series;
        assert_int_equal(selection_series(scene.store.tier, selection, i, &series, NULL),
                         STATUS_OK);
        char key[128];
        /* No value here is a prefix of another with a digit below the separator. */
        snprintf(
            key, sizeof key, "%.*s\x01%.*s\x01%.*s", SLICE_FORMAT(series.labels.items[0].value),
            SLICE_FORMAT(series.labels.items[1].value), SLICE_FORMAT(series.labels.items[2].value));
        assert_true(strcmp(before, key) < 0);
        memcpy(before, key, sizeof key);
    }
    char why[FIXTURE_WHY_SIZE];
    if (!fixture_selection_same(scene.store.tier, selection, &scene.ledger, fixture_always(), NULL,
                                why))
        test_fail("%s", why);
    selection_close(scene.store.tier, selection);
    scene_end(&scene);
}

static void a_selection_shows_its_moment_until_it_closes(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 10; i++)
            scene_put_run(&scene, i, NOW + round * 50000, 1000, 100, round);
        store_flush(&scene.store);
    }
    scene_put_run(&scene, 4, NOW + 500, 1000, 20, 7);
    struct ledger moment;
    ledger_copy(&moment, &scene.ledger);
    struct select_options options = {.range = fixture_always()};
    struct selection *selection = scene_select(&scene, &options);
    size_t files = store_files(&scene.store, "parts");

    /* New series, new samples, later writes, a flush, a merge; the old parts are still there. */
    for (uint32_t i = 0; i < 20; i++)
        scene_put_run(&scene, i, NOW + 200, 500, 300, 1e6);
    scene_put_one(&scene, 4, NOW + 500, -1);
    scene_settle(&scene);
    assert_true(scene_stats(&scene).merges > 0);
    assert_int_equal(scene_stats(&scene).parts, 1);
    assert_true(store_files(&scene.store, "parts") > files);
    scene_check(&scene);
    char why[FIXTURE_WHY_SIZE];
    if (!fixture_selection_same(scene.store.tier, selection, &moment, fixture_always(), NULL, why))
        test_fail("%s", why);

    /* All days are dropped. */
    engine_set_retention(scene.store.tier, 1);
    store_settle_down(&scene.store);
    assert_int_equal(scene_stats(&scene).parts, 0);
    assert_int_equal(scene_stats(&scene).chunks_dropped, 1);
    if (!fixture_selection_same(scene.store.tier, selection, &moment, fixture_always(), NULL, why))
        test_fail("%s", why);
    selection_close(scene.store.tier, selection);
    assert_int_equal(store_files(&scene.store, "parts"), 0);
    ledger_drop_before(&scene.ledger, TIME_MAX_MS);
    scene_check(&scene);
    ledger_release(&moment);
    scene_end(&scene);
}

static size_t selected_in(struct scene *scene, struct time_range range)
{
    struct select_options options = {.range = range};
    struct selection *selection = scene_select(scene, &options);
    size_t count = selection_count(scene->store.tier, selection);
    selection_close(scene->store.tier, selection);
    char why[FIXTURE_WHY_SIZE];
    if (!fixture_same(scene->store.tier, &scene->ledger, range, why))
        test_fail("%s", why);
    return count;
}

static void put_day(struct scene *scene, int64_t day_start, uint32_t from, uint32_t to)
{
    for (uint32_t series = from; series < to; series++)
        scene_put_one(scene, series, day_start + series, series);
}

static void of_many_series_only_those_with_samples_in_the_range_are_selected(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    ledger_release(&scene.ledger);
    ledger_init(&scene.ledger, MANY);
    int64_t day = NOW - NOW % MS_PER_DAY;
    put_day(&scene, day, 0, MANY);
    store_flush(&scene.store);
    put_day(&scene, day + MS_PER_DAY, 100, 200);
    store_flush(&scene.store);
    put_day(&scene, day + 2 * (int64_t)MS_PER_DAY, 150, 170);
    struct time_range second = {day + MS_PER_DAY, day + 2 * (int64_t)MS_PER_DAY};
    struct time_range last = {day + 2 * (int64_t)MS_PER_DAY, TIME_MAX_MS};
    for (int round = 0; round < 3; round++) {
        assert_int_equal(selected_in(&scene, fixture_always()), MANY);
        assert_in_range(selected_in(&scene, second), 100, 120);
        /* What is in a head may be of any time. */
        assert_in_range(selected_in(&scene, last), 20, 20 + 10 * (size_t)round);
        if (round == 0)
            scene_put_one(&scene, 2500, day + MS_PER_DAY + 5, 1);
        else
            store_reopen(&scene.store);
    }
    scene_end(&scene);
}

/* ---- what reading takes ------------------------------------------------------------------ */

/* Two parts and the head, each over the other in all of a day. */
static void memory_of_a_query_over_overlapping_parts_does_not_follow_their_samples(void **state)
{
    (void)state;
    enum { COUNT = 150000, STEP = 400, RUN = 5000 };
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    int64_t day_start = NOW - NOW % MS_PER_DAY;
    for (int part = 0; part < 3; part++) {
        for (int i = 0; i < COUNT; i += RUN)
            scene_put_run(&scene, 1, day_start + (int64_t)i * STEP + part * 100, STEP, RUN, part);
        /* Some over what is there. */
        if (part > 0)
            scene_put_run(&scene, 1, day_start + 1000 * STEP, 100 * STEP, 1000, -part);
        if (part < 2)
            store_flush(&scene.store);
    }
    assert_int_equal(scene_stats(&scene).parts, 2);
    /* Some of a block in the middle of a slice, of none, and of all. */
    static const struct time_range ranges[] = {
        {0, INT64_MAX}, {1234567, 1234568}, {12345678, 45678901}, {59999000, INT64_MAX}};
    char why[FIXTURE_WHY_SIZE];
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        struct time_range range = {day_start + ranges[i].start_ms,
                                   ranges[i].end_ms == INT64_MAX ? TIME_MAX_MS
                                                                 : day_start + ranges[i].end_ms};
        if (!fixture_same(scene.store.tier, &scene.ledger, range, why))
            test_fail("%s", why);
    }
    for (int round = 0; round < 2; round++) {
        struct select_options options = {.range = fixture_always(), .max_memory_bytes = 1 << 20};
        struct selection *selection = scene_select(&scene, &options);
        if (!fixture_selection_same(scene.store.tier, selection, &scene.ledger, fixture_always(),
                                    NULL, why))
            test_fail("%s", why);
        selection_close(scene.store.tier, selection);
        store_flush(&scene.store);
    }
    scene_end(&scene);
}

static void limits_of_a_query_are_kept(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    for (uint32_t i = 0; i < 30; i++)
        scene_put_run(&scene, i, NOW, 1000, 500, 0);
    store_flush(&scene.store);
    struct matchers everything = {0};
    struct selection *selection;
    struct error err = {0};
    struct select_options options = {.range = fixture_always(), .max_series = 29};
    assert_int_equal(storage_select(scene.store.tier, &everything, 1, &options, &selection, &err),
                     STATUS_LIMIT);
    assert_string_equal(err.code, "query_series_limit");
    options = (struct select_options){.range = fixture_always(), .max_memory_bytes = 500};
    assert_int_equal(storage_select(scene.store.tier, &everything, 1, &options, &selection, &err),
                     STATUS_LIMIT);
    assert_string_equal(err.code, "query_memory_limit");
    /* Enough for the selection, not for reading. */
    options.max_memory_bytes = 20000;
    selection = scene_select(&scene, &options);
    struct storage_cursor *cursor = NULL;
    struct storage_block block;
    enum status status =
        selection_read(scene.store.tier, selection, 0, fixture_always(), &cursor, &err);
    if (status == STATUS_OK)
        status = storage_cursor_next(scene.store.tier, cursor, &block, &err);
    assert_int_equal(status, STATUS_LIMIT);
    assert_string_equal(err.code, "query_memory_limit");
    selection_close(scene.store.tier, selection);
    scene_end(&scene);
}

/* A counter with resets, in parts, in merged parts and in the head; headers alone answer. */
static void count_sum_and_increase_come_from_headers(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    for (uint32_t round = 0; round < 6; round++) {
        for (uint32_t i = 0; i < 10; i++)
            scene_put_run(&scene, i, NOW + round * 600000, 1000, 600, round % 2 == 0 ? 100 : 5000);
        store_flush(&scene.store);
    }
    store_settle_down(&scene.store);
    scene_check(&scene);
    struct select_options options = {.range = fixture_always()};
    struct selection *selection = scene_select(&scene, &options);
    struct storage_cursor *cursor = NULL;
    uint64_t samples = 0;
    for (size_t i = 0; i < selection_count(scene.store.tier, selection); i++) {
        assert_int_equal(
            selection_read(scene.store.tier, selection, i, fixture_always(), &cursor, NULL),
            STATUS_OK);
        struct storage_block block;
        while (storage_cursor_next(scene.store.tier, cursor, &block, NULL) == STATUS_OK) {
            assert_non_null(block.summary);
            samples += block.summary->count;
        }
    }
    assert_int_equal(samples, ledger_count(&scene.ledger));
    struct read_stats stats;
    selection_stats(scene.store.tier, selection, &stats);
    assert_int_equal(stats.blocks_loaded, 0);
    assert_int_equal(stats.samples_decoded, 0);
    assert_true(stats.blocks_skipped > 0);
    selection_close(scene.store.tier, selection);
    scene_end(&scene);
}

static void samples_read_are_counted_once(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    scene_put_run(&scene, 1, NOW, 1000, 100, 0);
    store_flush(&scene.store);
    scene_put_run(&scene, 1, NOW + 50500, 1000, 100, 0); /* overlaps the part */
    scene_put_run(&scene, 2, NOW, 1000, 70, 0);          /* in the head alone */
    struct select_options options = {.range = fixture_always()};
    struct selection *selection = scene_select(&scene, &options);
    char why[FIXTURE_WHY_SIZE];
    assert_true(fixture_selection_same(scene.store.tier, selection, &scene.ledger, fixture_always(),
                                       NULL, why));
    struct read_stats stats;
    selection_stats(scene.store.tier, selection, &stats);
    assert_int_equal(stats.samples_decoded, 270);
    selection_close(scene.store.tier, selection);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ordered_selection_is_in_label_order),
        cmocka_unit_test(a_selection_shows_its_moment_until_it_closes),
        cmocka_unit_test(memory_of_a_query_over_overlapping_parts_does_not_follow_their_samples),
        cmocka_unit_test(limits_of_a_query_are_kept),
        cmocka_unit_test(count_sum_and_increase_come_from_headers),
        cmocka_unit_test(samples_read_are_counted_once),
        cmocka_unit_test(of_many_series_only_those_with_samples_in_the_range_are_selected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

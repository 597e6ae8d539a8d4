/*
 * What reading costs beside what it gives: it is counted, and ends when nobody waits any more.
 */
#include "../../test.h"

#include <inttypes.h>

#include "base/times.h"
#include "query/query.h"
#include "scene.h"

enum { HEAD = 8 << 20, SERIES = 3, LITTLE = 512 << 10 };

/* 2025-06-15 */
#define DAY (INT64_C(20254) * MS_PER_DAY)

static enum status discard(struct query_sink *sink, struct slice piece, struct error *err)
{
    (void)sink, (void)piece, (void)err;
    return STATUS_OK;
}

/* The median of the day's samples of series 1, for which so many may be decoded. */
static enum status ask(struct scene *scene, uint64_t max_samples, struct error *err)
{
    struct query_parameter parameters[] = {
        {slice_from_text("match"), slice_from_text("metric_1{n=\"1\"}")},
        {slice_from_text("start"), slice_from_text("2025-06-15T00:00:00Z")},
        {slice_from_text("end"), slice_from_text("2025-06-16T00:00:00Z")},
        {slice_from_text("interval"), slice_from_text("1d")},
        {slice_from_text("aggregate"), slice_from_text("p50")},
    };
    struct query_environment environment = {
        .tier = scene->store.tier,
        .clock = clock_system(),
        .limits = {.max_memory_bytes = 64 << 20,
                   .max_samples = max_samples,
                   .max_points = 1000,
                   .default_limit = 10},
    };
    struct query_sink sink = {.write = discard};
    return query_answer(&environment, parameters, 5, &sink, err);
}

static void expect_limit(struct scene *scene, uint64_t needed)
{
    struct error err = {0};
    if (ask(scene, needed, &err) != STATUS_OK)
        test_fail("of %" PRIu64 " samples: %s", needed, err.message);
    assert_int_equal(ask(scene, needed - 1, &err), STATUS_LIMIT);
    assert_string_equal(err.code, "query_samples_limit");
}

static struct read_stats read_all(struct scene *scene, size_t memory)
{
    char why[FIXTURE_WHY_SIZE];
    struct select_options options = {.range = fixture_always(), .max_memory_bytes = memory};
    struct selection *selection = scene_select(scene, &options);
    if (!fixture_selection_same(scene->store.tier, selection, &scene->ledger, fixture_always(),
                                NULL, why))
        test_fail("in %zu bytes: %s", memory, why);
    struct read_stats stats;
    selection_stats(scene->store.tier, selection, &stats);
    selection_close(scene->store.tier, selection);
    return stats;
}

static void samples_that_later_writes_hide_count_as_decoded(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    for (int part = 0; part < 10; part++) {
        scene_put_run(&scene, 1, DAY, 40000, 1000, part);
        store_flush(&scene.store);
    }
    expect_limit(&scene, 10000);
    scene_end(&scene);
}

static void samples_that_a_delete_hides_count_as_decoded(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    scene_put_run(&scene, 1, DAY, 40000, 1000, 0);
    store_flush(&scene.store);
    const bool only[SERIES] = {false, true};
    struct time_range most = {DAY, DAY + 999 * INT64_C(40000)};
    struct delete_result result;
    struct error err = {0};
    assert_int_equal(fixture_delete(scene.store.tier, only, SERIES, most, &result, &err),
                     STATUS_OK);
    expect_limit(&scene, 1000);
    scene_end(&scene);
}

static void blocks_that_are_decoded_again_slice_by_slice_count_each_time(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    for (int part = 0; part < 40; part++) {
        scene_put_run(&scene, 1, DAY + part * INT64_C(1000), 40000, 1000, part);
        store_flush(&scene.store);
    }
    struct read_stats much = read_all(&scene, 0);
    assert_int_equal(much.samples_again, 0);
    struct read_stats little = read_all(&scene, LITTLE);
    assert_true(little.blocks_loaded > 2 * much.blocks_loaded);
    /* Each time but the first, nearly all of a block. */
    uint64_t times = little.blocks_loaded - much.blocks_loaded;
    assert_true(little.samples_again > times * 900 / 2);
    assert_true(little.samples_again <= times * 1000);
    scene_end(&scene);
}

/* 100 thousand in 200 slices. */
static void samples_of_a_head_in_any_order_are_not_all_walked_for_each_slice(void **state)
{
    (void)state;
    enum { COUNT = 100000, STRIDE = 61803 };
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    struct fixture_sample *samples = calloc(COUNT, sizeof samples[0]);
    assert_non_null(samples);
    for (int64_t i = 0; i < COUNT; i++)
        samples[i] =
            (struct fixture_sample){1, DAY + i * STRIDE % COUNT * 600, (double)(i * i % 1013)};
    scene_put(&scene, samples, COUNT);
    free(samples);
    struct read_stats little = read_all(&scene, LITTLE);
    assert_int_equal(little.samples_decoded, COUNT);
    assert_in_range(little.samples_again, 1, COUNT);
    /* What a delete hides is left out, but not what was written since. */
    const bool only[SERIES] = {false, true};
    struct time_range range = {DAY + 6000000, DAY + 18000000};
    struct delete_result result;
    assert_int_equal(fixture_delete(scene.store.tier, only, SERIES, range, &result, NULL),
                     STATUS_OK);
    ledger_delete(&scene.ledger, only, range);
    for (int i = 0; i < 1000; i++)
        scene_put_one(&scene, 1, DAY + i * STRIDE % COUNT * INT64_C(600), -i);
    (void)read_all(&scene, LITTLE);
    (void)read_all(&scene, 0);
    scene_end(&scene);
}

/* ---- patience --------------------------------------------------------------------------- */

struct waiting {
    uint64_t asked, until; /* 0: for ever */
};

static enum status still_waits(void *context, struct error *err)
{
    struct waiting *waiting = context;
    if (++waiting->asked == waiting->until)
        return fail(err, STATUS_CANCELLED, "nobody waits");
    return STATUS_OK;
}

/* Positions on series 1 and takes one step; the selection itself is always waited for. */
static enum status first_step(struct scene *scene, struct waiting *waiting)
{
    struct waiting forever = {0};
    struct select_options options = {.range = fixture_always(),
                                     .patience = {.check = still_waits, .context = &forever}};
    struct selection *selection = scene_select(scene, &options);
    forever = *waiting;
    struct storage_cursor *cursor = NULL;
    struct storage_block block;
    struct error err = {0};
    enum status status = STATUS_OK;
    for (size_t i = 0; i < selection_count(scene->store.tier, selection); i++) {
        struct selected_series series;
        assert_int_equal(selection_series(scene->store.tier, selection, i, &series, &err),
                         STATUS_OK);
        if (!slice_equal(labels_get(&series.labels, slice_from_text("n")), slice_from_text("1")))
            continue;
        status = selection_read(scene->store.tier, selection, i, options.range, &cursor, &err);
        if (status == STATUS_OK)
            status = storage_cursor_next(scene->store.tier, cursor, &block, &err);
    }
    *waiting = forever;
    selection_close(scene->store.tier, selection);
    return status;
}

static void expect_end_at_every_look(struct scene *scene, uint64_t least, enum status want)
{
    struct waiting waiting = {0};
    assert_int_equal(first_step(scene, &waiting), want);
    uint64_t looks = waiting.asked;
    if (looks < least)
        test_fail("asked %" PRIu64 " times, at least %" PRIu64 " wanted", looks, least);
    for (uint64_t until = 1; until <= looks; until++) {
        waiting = (struct waiting){.until = until};
        assert_int_equal(first_step(scene, &waiting), STATUS_CANCELLED);
        assert_int_equal(waiting.asked, until);
    }
}

static void parts_without_the_series_are_passed_only_while_somebody_waits(void **state)
{
    (void)state;
    enum { DAYS = 160 };
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    scene_put_one(&scene, 1, DAY + INT64_C(1) * DAYS * MS_PER_DAY, 1);
    for (int64_t day = 0; day < DAYS; day++)
        scene_put_one(&scene, 2, DAY + day * MS_PER_DAY, 1);
    store_flush(&scene.store);
    assert_true(scene_stats(&scene).parts > DAYS);
    expect_end_at_every_look(&scene, DAYS / 16, STATUS_OK);
    scene_end(&scene);
}

static void deleted_samples_are_passed_only_while_somebody_waits(void **state)
{
    (void)state;
    enum { PIECES = 64 };
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    scene_put_run(&scene, 1, DAY, 100, PIECES * 1024, 0);
    store_flush(&scene.store);
    /* Two deletes for each block, so that none hides a whole one. */
    const bool only[SERIES] = {false, true};
    struct delete_result result;
    struct error err = {0};
    for (int64_t i = 0; i <= 2 * PIECES; i++) {
        int64_t at = DAY + (2 * i - 1) * 25600;
        struct time_range range = {at, at + 51200};
        assert_int_equal(fixture_delete(scene.store.tier, only, SERIES, range, &result, &err),
                         STATUS_OK);
    }
    expect_end_at_every_look(&scene, PIECES / 2, STATUS_END);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_that_later_writes_hide_count_as_decoded),
        cmocka_unit_test(samples_that_a_delete_hides_count_as_decoded),
        cmocka_unit_test(blocks_that_are_decoded_again_slice_by_slice_count_each_time),
        cmocka_unit_test(samples_of_a_head_in_any_order_are_not_all_walked_for_each_slice),
        cmocka_unit_test(parts_without_the_series_are_passed_only_while_somebody_waits),
        cmocka_unit_test(deleted_samples_are_passed_only_while_somebody_waits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * A series is read in little memory, whatever the number of parts and blocks that have some of it.
 */
#include "../../pseudo_random.h"
#include "../../test.h"

#include "base/invariant.h"
#include "base/times.h"
#include "query/query.h"
#include "scene.h"

/* The least that a query may be given, half of which is for the selection. */
enum { QUERY_MEMORY = 1 << 20, SELECTION_MEMORY = QUERY_MEMORY / 2, HEAD = 8 << 20 };

enum { SERIES = 8 }; /* of two metrics; what is read lies in series 1 */

/* 2025-06-15 */
#define DAY (INT64_C(20254) * MS_PER_DAY)

static void check_range(struct scene *scene, struct time_range range, size_t memory)
{
    char why[FIXTURE_WHY_SIZE];
    struct select_options options = {.range = range, .max_memory_bytes = memory};
    struct selection *selection = scene_select(scene, &options);
    if (!fixture_selection_same(scene->store.tier, selection, &scene->ledger, range, NULL, why))
        test_fail("in %zu bytes: %s", memory, why);
    selection_close(scene->store.tier, selection);
}

static void check(struct scene *scene)
{
    check_range(scene, fixture_always(), SELECTION_MEMORY);
}

/* ---- queries and exports ---------------------------------------------------------------- */

struct text_sink {
    struct query_sink sink;
    struct bytes text;
};

static enum status write_text(struct query_sink *sink, struct slice piece, struct error *err)
{
    (void)err;
    return bytes_append(&container_of(sink, struct text_sink, sink)->text, piece.data, piece.size);
}

static struct query_environment environment_of(struct scene *scene, size_t memory)
{
    return (struct query_environment){
        .tier = scene->store.tier,
        .clock = clock_system(),
        .limits = {.max_memory_bytes = memory, .max_points = 1000000, .default_limit = 10},
    };
}

/* All of series 1 in so much memory, without what it cost; the caller releases it. */
static struct bytes ask(struct scene *scene, const char *aggregate, size_t memory)
{
    struct query_parameter parameters[] = {
        {slice_from_text("match"), slice_from_text("metric_1{n=\"1\"}")},
        {slice_from_text("start"), slice_from_text("2025-01-01T00:00:00Z")},
        {slice_from_text("end"), slice_from_text("2025-12-31T00:00:00Z")},
        {slice_from_text("interval"), slice_from_text("1d")},
        {slice_from_text("aggregate"), slice_from_text(aggregate == NULL ? "" : aggregate)},
    };
    struct query_environment environment = environment_of(scene, memory);
    struct text_sink sink = {.sink.write = write_text};
    bytes_init(&sink.text, 64 << 20);
    struct error err = {0};
    if (query_answer(&environment, parameters, aggregate == NULL ? 3 : 5, &sink.sink, &err) !=
        STATUS_OK)
        test_fail("%s in %zu bytes: %s", aggregate == NULL ? "samples" : aggregate, memory,
                  err.message);
    assert_int_equal(bytes_append(&sink.text, "", 1), STATUS_OK);
    char *stats = strstr((char *)sink.text.data, "\"stats\"");
    assert_non_null(stats);
    *stats = 0;
    return sink.text;
}

struct count_sink {
    struct export_sink sink;
    const struct ledger_series *expected;
    size_t count;
};

static enum status begin_series(struct export_sink *sink, const struct export_series *series,
                                struct error *err)
{
    (void)sink, (void)series, (void)err;
    return STATUS_OK;
}

static enum status take_samples(struct export_sink *sink, const int64_t *times,
                                const double *values, size_t count, struct error *err)
{
    (void)err;
    struct count_sink *self = container_of(sink, struct count_sink, sink);
    for (size_t i = 0; i < count; i++, self->count++) {
        assert_true(self->count < self->expected->count);
        assert_int_equal(times[i], self->expected->times[self->count]);
        assert_memory_equal(&values[i], &self->expected->bits[self->count], sizeof values[i]);
    }
    return STATUS_OK;
}

static enum status end_series(struct export_sink *sink, struct error *err)
{
    (void)sink, (void)err;
    return STATUS_OK;
}

static void check_export(struct scene *scene)
{
    static const struct export_sink_ops ops = {
        .begin_series = begin_series, .samples = take_samples, .end_series = end_series};
    struct query_parameter parameter = {slice_from_text("match[]"),
                                        slice_from_text("metric_1{n=\"1\"}")};
    struct query_environment environment = environment_of(scene, QUERY_MEMORY);
    struct count_sink sink = {.sink.ops = &ops, .expected = &scene->ledger.series[1]};
    struct export_outcome outcome;
    struct error err = {0};
    if (query_export(&environment, &parameter, 1, &sink.sink, &outcome, &err) != STATUS_OK)
        test_fail("export: %s", err.message);
    assert_int_equal(outcome.samples, scene->ledger.series[1].count);
    assert_int_equal(sink.count, outcome.samples);
    assert_false(outcome.partial);
}

static void check_queries(struct scene *scene)
{
    static const char *const aggregates[] = {NULL, "sum", "count", "p50", "last"};
    for (size_t i = 0; i < sizeof aggregates / sizeof aggregates[0]; i++) {
        struct bytes small = ask(scene, aggregates[i], QUERY_MEMORY);
        struct bytes large = ask(scene, aggregates[i], 256 << 20);
        assert_true(strlen((char *)small.data) > 100);
        assert_string_equal((char *)small.data, (char *)large.data);
        bytes_release(&small);
        bytes_release(&large);
    }
    check_export(scene);
}

/* ---- parts ------------------------------------------------------------------------------ */

static void sixty_parts_in_order_of_time_are_read(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    for (int part = 0; part < 60; part++) {
        for (uint32_t series = 0; series < SERIES; series++)
            scene_put_run(&scene, series, DAY + part * INT64_C(3600000), 10000, 300, part);
        store_flush(&scene.store);
    }
    assert_int_equal(scene_stats(&scene).parts, 60);
    check(&scene);
    check_queries(&scene);
    scene_end(&scene);
}

/* Some times are in all of them, and later parts have changed them. */
static void forty_parts_that_overlap_entirely_are_read(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    for (int part = 0; part < 40; part++) {
        for (uint32_t series = 0; series < SERIES; series++)
            scene_put_run(&scene, series, DAY + (part % 13) * 1000, 40000, 1000, part);
        store_flush(&scene.store);
    }
    assert_int_equal(scene_stats(&scene).parts, 40);
    check(&scene);
    check_queries(&scene);
    scene_put_run(&scene, 1, DAY + 500, 40000, 1000, -1);
    check(&scene);
    check_queries(&scene);
    scene_end(&scene);
}

/* More headers of one day than there is room for. */
static void a_day_of_many_blocks_that_overlap_is_read(void **state)
{
    (void)state;
    enum { SAMPLES = 800000, RUN = 5000 };
    struct scene scene;
    scene_begin(&scene, 64 << 20, SERIES);
    for (int part = 0; part < 2; part++) {
        for (int i = 0; i < SAMPLES; i += RUN)
            scene_put_run(&scene, 1, DAY + (int64_t)i * 100 + part * 50, 100, RUN, part);
        store_flush(&scene.store);
    }
    check(&scene);
    check_range(&scene, (struct time_range){DAY + 1234567, DAY + 61234567}, SELECTION_MEMORY);
    check_export(&scene);
    scene_end(&scene);
}

struct chance {
    uint64_t random;
    int64_t within_ms;  /* of the day, where runs begin */
    uint32_t most;      /* samples of a run */
    uint32_t most_head; /* and of one in the head */
    int warm_at;        /* when there are so many parts the day becomes warm; 0: never */
};

static void put_at_random(struct scene *scene, struct chance *chance, uint32_t most)
{
    static const int64_t steps[] = {1, 10, 1000, 30000, 600000};
    uint64_t *random = &chance->random;
    int64_t step = steps[random_below(random, 5)];
    size_t count = 1 + random_below(random, most);
    int64_t from = random_below(random, (uint32_t)chance->within_ms);
    while (count > 1 && from + (int64_t)count * step >= MS_PER_DAY)
        count /= 2;
    scene_put_run(scene, random_below(random, 3), DAY + from, step, count,
                  random_below(random, 1000));
}

static struct time_range some_range(struct chance *chance, uint32_t most_ms)
{
    int64_t start = DAY + random_below(&chance->random, (uint32_t)chance->within_ms);
    return (struct time_range){start, start + 1 + random_below(&chance->random, most_ms)};
}

static void delete_at_random(struct scene *scene, struct chance *chance)
{
    struct time_range range = some_range(chance, 3600000);
    const bool only[SERIES] = {true, true, false};
    struct delete_result result;
    struct error err = {0};
    assert_int_equal(fixture_delete(scene->store.tier, only, SERIES, range, &result, &err),
                     STATUS_OK);
    ledger_delete(&scene->ledger, only, range);
}

/* Parts of one day, with deletes, and the head over them. */
static void check_at_random(struct chance *chance, int parts)
{
    static const size_t memories[] = {SELECTION_MEMORY, 700000, 2 << 20, 16 << 20, 0};
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    for (int part = 0; part <= parts; part++) {
        for (int run = 0; run < 3; run++)
            put_at_random(&scene, chance, part < parts ? chance->most : chance->most_head);
        if (part % 150 == 49)
            delete_at_random(&scene, chance);
        if (part < parts)
            store_flush(&scene.store);
        if (part > 0 && part == chance->warm_at) {
            engine_set_warm_after(scene.store.tier, MS_PER_DAY);
            store_settle_down(&scene.store);
            assert_int_equal(scene_stats(&scene).warm_parts, 1);
        }
    }
    for (size_t i = 0; i < sizeof memories / sizeof memories[0]; i++) {
        check_range(&scene, fixture_always(), memories[i]);
        for (int round = 0; round < 10; round++)
            check_range(&scene, some_range(chance, (uint32_t)MS_PER_DAY), memories[i]);
    }
    scene_end(&scene);
}

static void many_small_parts_that_overlap_at_random_are_read(void **state)
{
    (void)state;
    struct chance chance = {
        .random = 20261123, .within_ms = MS_PER_DAY - 1000, .most = 30, .most_head = 5000};
    check_at_random(&chance, 500);
}

static void large_parts_that_overlap_at_random_are_read(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 6; seed++) {
        struct chance chance = {.random = seed,
                                .within_ms = INT64_C(600000) << seed,
                                .most = 3000,
                                .most_head = 5000,
                                .warm_at = seed % 2 == 0 ? 40 : 0};
        check_at_random(&chance, 60);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sixty_parts_in_order_of_time_are_read),
        cmocka_unit_test(forty_parts_that_overlap_entirely_are_read),
        cmocka_unit_test(a_day_of_many_blocks_that_overlap_is_read),
        cmocka_unit_test(many_small_parts_that_overlap_at_random_are_read),
        cmocka_unit_test(large_parts_that_overlap_at_random_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * A selection of many series asks between any two bits of its work whether anyone still waits. Here
 * the one who is asked writes, flushes or leaves: so commits get through wherever they come, and
 * what the selection says is one moment all the same.
 */
#include "../../test.h"

#include "engine_fixture.h"
#include "query/execute/source.h"

#include <inttypes.h>

enum { SERIES = 4500, ALL = 5000, FLUSHES = 6, MOST_COMMITS = 40 };

#define NOW INT64_C(1750000000000)

struct scene {
    struct store store;
    uint32_t series;  /* so far */
    uint32_t commits; /* each writes to all series of before, and one more */
    uint32_t asked;
    uint32_t flush_every; /* 0: never */
    uint32_t flushes;
    uint32_t leave_at; /* 0: never */
    struct fixture_sample samples[ALL];
};

static void commit(struct scene *scene, uint32_t more)
{
    scene->series += more;
    assert_true(scene->series <= ALL);
    for (uint32_t i = 0; i < scene->series; i++)
        scene->samples[i] =
            (struct fixture_sample){i, NOW + scene->commits * INT64_C(1000), scene->commits};
    struct error err = {0};
    if (fixture_put(scene->store.tier, scene->samples, scene->series, &err) != STATUS_OK)
        test_fail("%s", err.message);
    scene->commits++;
}

static void scene_init(struct scene *scene)
{
    *scene = (struct scene){0};
    store_init(&scene->store, 256 << 20);
}

/* A lock that the selection held now would never be given to the commit. */
static enum status write_meanwhile(void *context, struct error *err)
{
    struct scene *scene = context;
    scene->asked++;
    if (scene->asked == scene->leave_at)
        return fail_code(err, STATUS_CANCELLED, "query_cancelled", "nobody waits");
    if (scene->flush_every != 0 && scene->asked % scene->flush_every == 0 &&
        scene->flushes < FLUSHES) {
        store_flush(&scene->store);
        scene->flushes++;
    }
    if (scene->series < ALL && scene->commits < MOST_COMMITS)
        commit(scene, 1);
    return STATUS_OK;
}

static enum status select_all(struct scene *scene, const char *text, bool ordered, bool today,
                              struct selection **selection, struct error *err)
{
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct matchers matchers = {0};
    assert_int_equal(matchers_parse(slice_from_text(text), &arena, &matchers, NULL), STATUS_OK);
    struct select_options options = {
        .range = today ? (struct time_range){NOW, NOW + 86400000} : fixture_always(),
        .ordered = ordered,
        .patience = {.check = write_meanwhile, .context = scene},
    };
    enum status status = storage_select(scene->store.tier, &matchers, 1, &options, selection, err);
    matchers_release(&matchers);
    arena_release(&arena);
    return status;
}

/* Series s has its first sample in the commit that brought it. */
static uint32_t number_of(const struct labels *labels)
{
    struct slice text = labels_get(labels, slice_from_text("n"));
    uint32_t number = 0;
    for (size_t i = 0; i < text.size; i++)
        number = number * 10 + (uint32_t)(((const char *)text.data)[i] - '0');
    return number;
}

static double last_value(struct scene *scene, struct selection *selection, size_t index,
                         struct storage_cursor **cursor)
{
    struct tier *tier = scene->store.tier;
    struct storage_block block;
    enum status status;
    double last = -1;
    assert_int_equal(selection_read(tier, selection, index,
                                    (struct time_range){NOW, NOW + 86400000}, cursor, NULL),
                     STATUS_OK);
    while ((status = storage_cursor_next(tier, *cursor, &block, NULL)) == STATUS_OK) {
        assert_int_equal(storage_cursor_load(tier, *cursor, &block, NULL), STATUS_OK);
        if (block.count > 0)
            last = block.values[block.count - 1];
    }
    assert_int_equal(status, STATUS_END);
    return last;
}

/* All series end with the same commit, and those of that commit, no others, are there. */
static void check_one_moment(struct scene *scene, struct selection *selection,
                             uint32_t commits_before)
{
    struct tier *tier = scene->store.tier;
    size_t count = selection_count(tier, selection);
    bool *seen = calloc(ALL, sizeof seen[0]);
    assert_non_null(seen);
    struct storage_cursor *cursor = NULL;
    double moment = -1;
    for (size_t i = 0; i < count; i++) {
        struct selected_series series;
        assert_int_equal(selection_series(tier, selection, i, &series, NULL), STATUS_OK);
        uint32_t number = number_of(&series.labels);
        assert_true(number < ALL && !seen[number]);
        seen[number] = true;
        double last = last_value(scene, selection, i, &cursor);
        if (i == 0)
            moment = last;
        if (last != moment)
            test_fail("series %" PRIu32 " ends with commit %f, the first one with %f", number, last,
                      moment);
    }
    assert_true(moment + 1 >= commits_before);
    assert_int_equal(count, SERIES + (uint32_t)moment);
    for (uint32_t i = 0; i < count; i++)
        assert_true(seen[i]);
    free(seen);
}

static void look(struct scene *scene, const char *text, bool ordered, bool today)
{
    struct error err = {0};
    struct selection *selection;
    uint32_t before = scene->commits;
    if (select_all(scene, text, ordered, today, &selection, &err) != STATUS_OK)
        test_fail("%s", err.message);
    check_one_moment(scene, selection, before);
    selection_close(scene->store.tier, selection);
}

static void commits_get_through_all_along_a_selection_that_is_one_moment(void **state)
{
    (void)state;
    static struct scene scene;
    scene_init(&scene);
    commit(&scene, SERIES);
    look(&scene, "{__name__=~\".+\"}", true, false);
    look(&scene, "{n=~\"[0-9]+\",none=\"\"}", false, false);
    assert_true(scene.asked > 20 && scene.commits > 20);
    /* Most of the series in a segment. */
    store_flush(&scene.store);
    uint32_t asked = scene.asked;
    look(&scene, "{__name__=~\".+\"}", true, false);
    assert_true(scene.asked > asked + 10);
    store_release(&scene.store);
}

static void flushes_during_a_selection_change_nothing_of_its_moment(void **state)
{
    (void)state;
    for (uint32_t every = 1; every < 12; every += 4) {
        static struct scene scene;
        scene_init(&scene);
        commit(&scene, SERIES);
        scene.flush_every = every;
        look(&scene, "{__name__=~\".+\"}", true, false);
        assert_true(scene.flushes > 0);
        store_release(&scene.store);
    }
}

/* Of series that have samples on other days only, those that get one today belong to the answer. */
static void series_that_get_samples_during_a_selection_are_not_left_out(void **state)
{
    (void)state;
    static struct scene scene;
    for (int flushing = 0; flushing < 2; flushing++) {
        scene_init(&scene);
        scene.series = SERIES;
        for (uint32_t i = 0; i < SERIES; i++)
            scene.samples[i] = (struct fixture_sample){i, NOW - 3 * INT64_C(86400000), 0};
        assert_int_equal(fixture_put(scene.store.tier, scene.samples, SERIES, NULL), STATUS_OK);
        store_flush(&scene.store);
        struct fixture_sample one = {0, NOW, 0};
        assert_int_equal(fixture_put(scene.store.tier, &one, 1, NULL), STATUS_OK);
        scene.commits = 1;
        scene.flush_every = flushing == 1 ? 3 : 0;
        struct selection *selection;
        struct error err = {0};
        if (select_all(&scene, "{__name__=~\".+\"}", true, true, &selection, &err) != STATUS_OK)
            test_fail("%s", err.message);
        /* The first commit to all came with the very first question. */
        check_one_moment(&scene, selection, 2);
        selection_close(scene.store.tier, selection);
        store_release(&scene.store);
    }
}

static void whoever_leaves_ends_a_selection_wherever_it_is(void **state)
{
    (void)state;
    static struct scene scene;
    scene_init(&scene);
    commit(&scene, SERIES);
    store_flush(&scene.store);
    commit(&scene, 1);
    enum status status = STATUS_CANCELLED;
    uint32_t ended = 0;
    for (uint32_t at = 1; status == STATUS_CANCELLED; at++, ended++) {
        struct selection *selection;
        struct error err = {0};
        scene.asked = 0;
        scene.leave_at = at;
        scene.commits = MOST_COMMITS; /* nothing comes meanwhile */
        status = select_all(&scene, "{__name__=~\".+\",n!=\"7\"}", at % 2 == 0, at % 3 == 0,
                            &selection, &err);
        if (status == STATUS_OK)
            selection_close(scene.store.tier, selection);
        else
            assert_string_equal(err.code, "query_cancelled");
    }
    assert_int_equal(status, STATUS_OK);
    assert_true(ended > 10);
    /* Nothing of them is left that would hold anything up. */
    scene.commits = 2;
    commit(&scene, 1);
    store_flush(&scene.store);
    store_release(&scene.store);
}

struct fake_clock {
    struct clock clock;
    int64_t now_ns;
};

/* Each look at it takes a millisecond. */
static int64_t monotonic_ns(struct clock *clock)
{
    struct fake_clock *fake = (struct fake_clock *)clock;
    return fake->now_ns += 1000000;
}

static void a_time_out_is_seen_in_the_middle_of_matching(void **state)
{
    (void)state;
    static struct scene scene;
    scene_init(&scene);
    commit(&scene, SERIES);
    static const struct clock_ops ops = {.monotonic_ns = monotonic_ns};
    struct fake_clock clock = {.clock = {&ops}};
    struct query_environment environment = {.tier = scene.store.tier, .clock = &clock.clock};
    struct matchers everything = {0};
    struct budget budget;
    struct source source;
    struct error err = {0};
    budget_init(&budget, &environment, 0, 5);
    assert_int_equal(source_open(&source, &everything, 1, fixture_always(), true, &budget, &err),
                     STATUS_TIMEOUT);
    assert_string_equal(err.code, "query_timeout");
    source_close(&source);
    assert_true(clock.now_ns < 10 * 1000000);
    budget_init(&budget, &environment, 0, 60000);
    assert_int_equal(source_open(&source, &everything, 1, fixture_always(), true, &budget, &err),
                     STATUS_OK);
    assert_int_equal(source.count, SERIES);
    source_close(&source);
    store_release(&scene.store);
}

/* What sorting by labels needs counts together with what is known of the series. */
static void memory_of_a_selection_is_counted_once(void **state)
{
    (void)state;
    static struct scene scene;
    scene_init(&scene);
    commit(&scene, SERIES);
    struct matchers everything = {0};
    struct selection *selection;
    struct error err = {0};
    size_t known = SERIES * (2 * sizeof(uint32_t) + 16);
    size_t keys = SERIES * sizeof "__name__.metric_0.host.h0.n.1000";
    struct select_options options = {.range = fixture_always(),
                                     .ordered = true,
                                     .max_memory_bytes = (known > keys ? known : keys) * 3 / 2};
    assert_true(options.max_memory_bytes < known + keys);
    assert_int_equal(storage_select(scene.store.tier, &everything, 1, &options, &selection, &err),
                     STATUS_LIMIT);
    assert_string_equal(err.code, "query_memory_limit");
    options.max_memory_bytes = 2 * (known + keys) + (1 << 20);
    assert_int_equal(storage_select(scene.store.tier, &everything, 1, &options, &selection, &err),
                     STATUS_OK);
    assert_int_equal(selection_count(scene.store.tier, selection), SERIES);
    selection_close(scene.store.tier, selection);
    store_release(&scene.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commits_get_through_all_along_a_selection_that_is_one_moment),
        cmocka_unit_test(flushes_during_a_selection_change_nothing_of_its_moment),
        cmocka_unit_test(series_that_get_samples_during_a_selection_are_not_left_out),
        cmocka_unit_test(whoever_leaves_ends_a_selection_wherever_it_is),
        cmocka_unit_test(a_time_out_is_seen_in_the_middle_of_matching),
        cmocka_unit_test(memory_of_a_selection_is_counted_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

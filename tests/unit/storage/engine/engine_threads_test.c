/*
 * One appender, queries, listings and the background thread at once. Meant for the thread
 * sanitizer; in every build it shows that a selection is one moment: each commit writes the same
 * time to every series, so all of them must end alike.
 */
#include "../../test.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>

#include "engine_fixture.h"

enum { SERIES = 20, LATE_EVERY = 5, READERS = 2, RUN_MS = 1500, MIN_COMMITS = 200 };

#define NOW INT64_C(1750000000000)

struct scene {
    struct store store;
    atomic_uint commits; /* acknowledged */
    atomic_bool done;
    atomic_uint wrong;
    atomic_uint looks;
};

static void *append(void *context)
{
    struct scene *scene = context;
    struct clock *clock = scene->store.options.os.clock;
    int64_t end_ns = clock_monotonic_ns(clock) + (int64_t)RUN_MS * 1000000;
    for (unsigned i = 0; clock_monotonic_ns(clock) < end_ns || i < MIN_COMMITS; i++) {
        struct fixture_sample samples[SERIES];
        for (uint32_t s = 0; s < SERIES; s++)
            samples[s] = (struct fixture_sample){s, NOW + (int64_t)i * 1000, i};
        /* Something late, so that parts overlap: a write over what is there. */
        if (i % LATE_EVERY == 0 && i > 0)
            for (uint32_t s = 0; s < SERIES; s++)
                samples[s].time_ms -= (int64_t)(i / 2) * 1000;
        struct error err = {0};
        enum status status = STATUS_BUSY;
        while (status == STATUS_BUSY)
            status = fixture_put(scene->store.tier, samples, SERIES, &err);
        if (status != STATUS_OK) {
            printf("append: %s\n", err.message);
            atomic_fetch_add(&scene->wrong, 1);
            break;
        }
        atomic_store(&scene->commits, i + 1);
    }
    atomic_store(&scene->done, true);
    return NULL;
}

struct seen {
    uint64_t count;
    int64_t last_ms;
    double last;
};

static bool read_series(struct tier *tier, struct selection *selection, size_t index,
                        struct storage_cursor **cursor, struct seen *seen)
{
    *seen = (struct seen){0};
    if (selection_read(tier, selection, index, fixture_always(), cursor, NULL) != STATUS_OK)
        return false;
    struct storage_block block;
    enum status status;
    while ((status = storage_cursor_next(tier, *cursor, &block, NULL)) == STATUS_OK) {
        if (storage_cursor_load(tier, *cursor, &block, NULL) != STATUS_OK)
            return false;
        seen->count += block.count;
        seen->last_ms = block.last_ms;
        seen->last = block.values[block.count - 1];
    }
    return status == STATUS_END;
}

static bool look(struct scene *scene, bool ordered)
{
    struct tier *tier = scene->store.tier;
    unsigned before = atomic_load(&scene->commits);
    struct matchers everything = {0};
    struct select_options options = {.range = fixture_always(), .ordered = ordered};
    struct selection *selection;
    if (storage_select(tier, &everything, 1, &options, &selection, NULL) != STATUS_OK)
        return false;
    size_t count = selection_count(tier, selection);
    bool passed = count == SERIES || (count == 0 && before == 0);
    struct storage_cursor *cursor = NULL;
    struct seen first = {0};
    for (size_t i = 0; i < count && passed; i++) {
        struct seen seen;
        struct selected_series series;
        passed = selection_series(tier, selection, i, &series, NULL) == STATUS_OK &&
                 read_series(tier, selection, i, &cursor, &seen);
        if (i == 0)
            first = seen;
        passed = passed && seen.count == first.count && seen.last_ms == first.last_ms &&
                 seen.last == first.last;
        /* What was acknowledged before the look is in it; every LATE_EVERY-th writes again. */
        passed = passed && seen.count + 1 >= before - before / LATE_EVERY;
    }
    selection_close(tier, selection);
    return passed;
}

static void *query(void *context)
{
    struct scene *scene = context;
    for (bool ordered = false; !atomic_load(&scene->done); ordered = !ordered) {
        atomic_fetch_add(&scene->looks, 1);
        if (!look(scene, ordered))
            atomic_fetch_add(&scene->wrong, 1);
    }
    return NULL;
}

static void *list(void *context)
{
    struct scene *scene = context;
    struct tier *tier = scene->store.tier;
    while (!atomic_load(&scene->done)) {
        struct engine_stats stats;
        engine_stats(tier, &stats);
        struct storage_condition condition;
        storage_condition(tier, &condition);
        bool partial = false;
        if (storage_metrics(tier, NULL, fixture_ignore_metric, NULL, NULL, &partial, NULL) !=
                STATUS_OK ||
            partial || storage_chunks(tier, fixture_ignore_chunk, NULL, NULL) != STATUS_OK)
            atomic_fetch_add(&scene->wrong, 1);
        /* Where there are no samples; it has to be logged, flushed and forgotten all the same. */
        struct matchers everything = {0};
        struct delete_result result;
        enum status status =
            storage_delete(tier, &everything, 1, (struct time_range){0, 1000}, &result, NULL);
        if (status != STATUS_OK && status != STATUS_LIMIT)
            atomic_fetch_add(&scene->wrong, 1);
        engine_set_warm_after(tier, 3600000);
        /* As a reload would; nothing is that old. */
        engine_set_retention(tier, INT64_C(1000) * 365 * 86400000);
    }
    return NULL;
}

static void a_selection_is_one_moment_while_everything_goes_on(void **state)
{
    (void)state;
    struct scene scene = {0};
    store_init(&scene.store, 64 * 1024);
    scene.store.options.background = true;
    scene.store.options.merge_fan_in = 3;
    store_reopen(&scene.store);
    pthread_t appender, lister, readers[READERS];
    assert_int_equal(pthread_create(&appender, NULL, append, &scene), 0);
    assert_int_equal(pthread_create(&lister, NULL, list, &scene), 0);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, query, &scene), 0);
    pthread_join(appender, NULL);
    pthread_join(lister, NULL);
    for (int i = 0; i < READERS; i++)
        pthread_join(readers[i], NULL);
    struct engine_stats stats;
    engine_stats(scene.store.tier, &stats);
    printf("%u commits, %u looks, %" PRIu64 " flushes, %" PRIu64 " merges\n",
           atomic_load(&scene.commits), atomic_load(&scene.looks), stats.flushes, stats.merges);
    assert_int_equal(atomic_load(&scene.wrong), 0);
    assert_true(atomic_load(&scene.looks) > 0);
    assert_true(look(&scene, true));
    store_reopen(&scene.store);
    assert_true(look(&scene, false));
    store_release(&scene.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_selection_is_one_moment_while_everything_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

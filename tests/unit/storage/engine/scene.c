#include "scene.h"

#include "../../test.h"

#include <stdlib.h>

#include "base/invariant.h"

static int64_t wall_ms(struct clock *clock)
{
    return container_of(clock, struct scene, clock)->now_ms;
}

static int64_t monotonic_ns(struct clock *clock)
{
    return (1000 + container_of(clock, struct scene, clock)->passed_ms) * 1000000;
}

static void sleep_ms(struct clock *clock, int64_t duration_ms)
{
    container_of(clock, struct scene, clock)->passed_ms += duration_ms;
}

static const struct clock_ops clock_ops = {
    .wall_ms = wall_ms, .monotonic_ns = monotonic_ns, .sleep_ms = sleep_ms};

void scene_begin(struct scene *scene, size_t head_bytes, size_t series_count)
{
    *scene = (struct scene){0};
    store_init(&scene->store, head_bytes);
    ledger_init(&scene->ledger, series_count);
}

void scene_begin_at(struct scene *scene, size_t head_bytes, size_t series_count, int64_t now_ms)
{
    scene_begin(scene, head_bytes, series_count);
    scene->now_ms = now_ms;
    scene->clock.ops = &clock_ops;
    struct engine_options options = scene->store.options;
    options.os.clock = &scene->clock;
    scene_reopen_with(scene, &options);
}

void scene_end(struct scene *scene)
{
    ledger_release(&scene->ledger);
    store_release(&scene->store);
}

void scene_reopen_with(struct scene *scene, const struct engine_options *options)
{
    engine_close(scene->store.tier);
    scene->store.options = *options;
    struct error err = {0};
    if (engine_open(&scene->store.options, &scene->store.tier, &err) != STATUS_OK)
        test_fail("%s", err.message);
}

void scene_put(struct scene *scene, const struct fixture_sample *samples, size_t count)
{
    struct error err = {0};
    if (fixture_put(scene->store.tier, samples, count, &err) != STATUS_OK)
        test_fail("put: %s", err.message);
    ledger_put(&scene->ledger, samples, count);
}

void scene_put_one(struct scene *scene, uint32_t series, int64_t time_ms, double value)
{
    scene_put(scene, &(struct fixture_sample){series, time_ms, value}, 1);
}

void scene_put_run(struct scene *scene, uint32_t series, int64_t from_ms, int64_t step_ms,
                   size_t count, double value)
{
    struct fixture_sample *samples = calloc(count, sizeof samples[0]);
    assert_non_null(samples);
    for (size_t i = 0; i < count; i++)
        samples[i] = (struct fixture_sample){series, from_ms + (int64_t)i * step_ms,
                                             value + (double)(i * i % 1013)};
    scene_put(scene, samples, count);
    free(samples);
}

void scene_settle(struct scene *scene)
{
    store_flush(&scene->store);
    store_settle_down(&scene->store);
}

void scene_check(struct scene *scene)
{
    char why[FIXTURE_WHY_SIZE];
    if (!fixture_same(scene->store.tier, &scene->ledger, fixture_always(), why) ||
        !fixture_totals_same(scene->store.tier, &scene->ledger, fixture_always(), why))
        test_fail("%s", why);
}

void scene_check_all_ways(struct scene *scene)
{
    scene_check(scene);
    store_kill(&scene->store);
    scene_check(scene);
    store_flush(&scene->store);
    scene_check(scene);
    store_kill(&scene->store);
    scene_check(scene);
    store_settle_down(&scene->store);
    scene_check(scene);
    store_reopen(&scene->store);
    scene_check(scene);
}

struct engine_stats scene_stats(struct scene *scene)
{
    struct engine_stats stats;
    engine_stats(scene->store.tier, &stats);
    return stats;
}

struct selection *scene_select(struct scene *scene, const struct select_options *options)
{
    struct matchers everything = {0};
    struct selection *selection;
    struct error err = {0};
    if (storage_select(scene->store.tier, &everything, 1, options, &selection, &err) != STATUS_OK)
        test_fail("select: %s", err.message);
    return selection;
}

void scene_flip(const char *path, long offset)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, offset, SEEK_SET), 0);
    assert_int_equal(fputc(byte ^ 8, file), byte ^ 8);
    assert_int_equal(fclose(file), 0);
}

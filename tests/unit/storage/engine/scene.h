/*
 * scene - a store with the ledger of what it acknowledged, for tests that write, disturb and check.
 * Failures end the test.
 */
#ifndef METRIC_STORE_TESTS_UNIT_STORAGE_ENGINE_SCENE_H
#define METRIC_STORE_TESTS_UNIT_STORAGE_ENGINE_SCENE_H

#include "engine_fixture.h"
#include "os/clock.h"

struct scene {
    struct store store;
    struct ledger ledger;
    struct clock clock; /* moves when told; of scene_begin_at */
    int64_t now_ms, passed_ms;
};

/* Series [0, series_count) may be written. */
void scene_begin(struct scene *scene, size_t head_bytes, size_t series_count);
/* The same on a clock that stands at `now_ms`: the test moves `now_ms`, and `passed_ms` of the
 * monotonic one. */
void scene_begin_at(struct scene *scene, size_t head_bytes, size_t series_count, int64_t now_ms);
void scene_end(struct scene *scene);
/* Closed and opened with other options. */
void scene_reopen_with(struct scene *scene, const struct engine_options *options);

/* Written and noted. */
void scene_put(struct scene *scene, const struct fixture_sample *samples, size_t count);
void scene_put_one(struct scene *scene, uint32_t series, int64_t time_ms, double value);
/* `count` samples, the i-th of `value` + i * i % 1013: they take room, as a straight line would
 * not. */
void scene_put_run(struct scene *scene, uint32_t series, int64_t from_ms, int64_t step_ms,
                   size_t count, double value);

/* Flushes, and does all that the background would. */
void scene_settle(struct scene *scene);
/* The store holds what the ledger does, in samples and in block headers. */
void scene_check(struct scene *scene);
/* After every way that samples and deletes can be kept: log, parts, merged parts, restarts. */
void scene_check_all_ways(struct scene *scene);
/* Damages one bit of the byte at `offset` of a file. */
void scene_flip(const char *path, long offset);
struct engine_stats scene_stats(struct scene *scene);
/* Selects every series there is; gives the selection to the caller. */
struct selection *scene_select(struct scene *scene, const struct select_options *options);

#endif

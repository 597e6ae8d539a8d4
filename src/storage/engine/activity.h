/*
 * activity - which series are active: a sample of theirs was received within cardinality.window.
 *
 *   entry    series id -> its metric, and when it was last received, in whole steps
 *   shards   64 tables, each of every 64th run of 4,096 ids, so that growing one, or taking out of
 *            one what has fallen out of the window, is short; a small store has one
 *   counts   of all, and of each metric
 *
 * A step is a 24th of the window, at least a second and at most an hour: a series falls out when
 * between one window and two steps more have passed since its last sample. Within a step a series
 * is touched once; caches of the caller know by the step's *tick* that it has been.
 *
 * A series of which nothing was received yet, or not for so long, is *held* by the batches that
 * bring it: its place is taken from then on, so that two of them never take the last one, and given
 * back if none is committed.
 *
 * Units: seconds since 1970, of a clock of the caller that never goes back.
 * Threads: the owner's lock (series_lock).
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_ACTIVITY_H
#define METRIC_STORE_STORAGE_ENGINE_ACTIVITY_H

#include "base/status.h"
#include "model/batch.h"
#include "storage/engine/number_array.h"

enum {
    ACTIVITY_SHARDS = 64,
    ACTIVITY_RUN = 4096,
    ACTIVITY_STEPS = 24,
    ACTIVITY_LONGEST_STEP_S = 3600
};

struct activity_entry {
    uint32_t id; /* SERIES_ID_NONE: empty */
    uint32_t metric;
    uint32_t arrival_s; /* below ACTIVITY_FIRST_S: how many batches hold it */
};

/* Real arrivals are later (1970-07-14), so that they and numbers of holds are told apart; and
 * earlier than the last hours of 2^32 seconds (2106), so that sums with a window or a step do not
 * wrap. */
#define ACTIVITY_FIRST_S (UINT32_C(1) << 24)
#define ACTIVITY_LAST_S  (UINT32_MAX - UINT32_C(32) * 24 * 3600)

struct activity_shard {
    struct activity_entry *entries;
    uint32_t mask, used;
};

struct activity {
    struct activity_shard shards[ACTIVITY_SHARDS];
    uint32_t count;
    struct number_array metrics; /* how many of each */
    uint32_t window_s, step_s;
    uint32_t now_s;       /* where the present step begins */
    uint32_t tick;        /* its number; never 0 */
    uint32_t next_expire; /* shard; ACTIVITY_SHARDS: all are done for this step */
};

void activity_init(struct activity *activity, int64_t window_ms, uint32_t now_s);
void activity_release(struct activity *activity);

/* From now on. What falls out by it goes with the next activity_expire. Where steps become shorter,
 * nobody knows when within a longer one a series was received: it counts as late as it may be. */
void activity_set_window(struct activity *activity, int64_t window_ms, uint32_t now_s);

/* Time goes on. */
void activity_advance(struct activity *activity, uint32_t now_s);
/* Takes what has fallen out of the window out of one shard; false: there was none to look at. Tells
 * `freed` (may be NULL) for each metric of which places became free, at least once. */
typedef void activity_freed(void *context, uint32_t metric);
bool activity_expire(struct activity *activity, activity_freed *freed, void *context);

/* Active series of a metric. */
static inline uint32_t activity_count(const struct activity *activity, uint32_t metric)
{
    return metric < activity->metrics.count ? activity->metrics.items[metric] : 0;
}

/* NULL when it is not active. */
const struct activity_entry *activity_find(const struct activity *activity, uint32_t id);
static inline bool activity_is_held(const struct activity_entry *entry)
{
    return entry->arrival_s < ACTIVITY_FIRST_S;
}
/* It is received now: false unless it is active already, and not only held. */
bool activity_touch(struct activity *activity, uint32_t id);

/* One more batch brings it. MEMORY: nothing has changed. */
MUST_CHECK enum status activity_hold(struct activity *activity, uint32_t id, uint32_t metric);
/* That batch has come to nothing, or was committed: then activity_receive came first. */
void activity_unhold(struct activity *activity, uint32_t id);
/* A batch that holds it was committed. */
void activity_receive(struct activity *activity, uint32_t id, uint32_t arrival_s);

/* As a file or a log says, whatever was known of the id. MEMORY. What lies beyond the window is
 * left out; a later arrival of the same metric stays. It was received within `step_s` of
 * `arrival_s`, and not later than now. */
MUST_CHECK enum status activity_restore(struct activity *activity, uint32_t id, uint32_t metric,
                                        uint32_t arrival_s, uint32_t step_s);
/* The id names no series any more. */
void activity_forget(struct activity *activity, uint32_t id);

size_t activity_memory(const struct activity *activity);

#endif

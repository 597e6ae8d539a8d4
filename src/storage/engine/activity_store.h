/*
 * activity_store - which series are active (activity.h), through restarts and as time goes on.
 *
 * Every flush writes all of it to an index segment. What came since then the log says: each frame
 * when it was received. Where neither can, every series with samples in the window counts as
 * received now.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_ACTIVITY_STORE_H
#define METRIC_STORE_STORAGE_ENGINE_ACTIVITY_STORE_H

#include "storage/engine/engine_internal.h"

/* Begins the clock of arrivals: the wall clock's time now, and from then on the monotonic one's. */
void engine_activity_begin(struct engine *engine);
/* Time goes on, as far as what is received now is concerned. Returns what it is, in seconds. */
uint32_t engine_activity_advance(struct engine *engine);
/* Time goes on; places become free. Takes series_lock, for a shard at a time. */
void engine_activity_step(struct engine *engine);

/* Arrivals that a log tells, by series id, until they are put into the activity. */
struct replayed_arrivals {
    struct number_array times_s; /* of series; 0: none */
    uint32_t arrival_s;          /* of the samples that come */
};

void arrivals_init(struct replayed_arrivals *arrivals, const struct engine *engine);
void arrivals_release(struct replayed_arrivals *arrivals);
MUST_CHECK enum status arrivals_note(struct replayed_arrivals *arrivals, const uint32_t *ids,
                                     size_t count);
/* What has been noted so far; the definitions of these series are there. MEMORY, IO. */
MUST_CHECK enum status arrivals_apply(struct replayed_arrivals *arrivals, struct engine *engine,
                                      struct error *err);

/* Takes a record of a segment in. CORRUPT, MEMORY. */
MUST_CHECK enum status engine_restore_activity(struct engine *engine, struct slice record,
                                               struct error *err);
/* In place of what no segment says: series that parts have samples of in the window. */
MUST_CHECK enum status engine_guess_activity(struct engine *engine, struct error *err);
/* Forgets series that nothing defines: after all has been restored. */
void engine_settle_activity(struct engine *engine);

#endif

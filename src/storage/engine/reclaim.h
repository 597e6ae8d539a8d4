/*
 * reclaim - series that nothing names any more leave the index, and their ids are given again.
 *
 * A series goes when no part, head or table has it: its days were dropped, or it was deleted. In
 * steps, so that nobody waits:
 *   look    the series sets of all parts and heads, taken from those of the segments; what is left
 *           is `dying` from then on: whoever resolves such a series takes it out again
 *   drain   until every batch that was resolved before has ended, and every selection that was
 *           opened before; then the heads are looked at once more, and the segments are written
 *           without what is still dying; once more when somebody wanted one of these meanwhile. A
 *           selection that is opened later finds a dying series in a segment, if at all, and holds
 *           that
 *   free    until every selection that was opened before has been closed: then the ids are free
 *
 * Ids that neither segments nor tables define are free too. Not while damage hides what is named; a
 * segment that is damaged itself keeps its series.
 *
 * Threads: the merge thread, but for `due`; `dying` is guarded by series_lock. Days may be dropped
 * meanwhile: then more series are free than is known.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_RECLAIM_H
#define METRIC_STORE_STORAGE_ENGINE_RECLAIM_H

#include <stdatomic.h>

#include <roaring/roaring.h>

#include "base/status.h"

struct engine;

enum reclaim_stage { RECLAIM_IDLE, RECLAIM_DRAINING, RECLAIM_FREEING };

struct reclaim {
    enum reclaim_stage stage;
    atomic_bool due;         /* parts went, or the store was opened; set by any thread */
    roaring_bitmap_t *dying; /* while draining */
    roaring_bitmap_t *freed; /* while freeing; before that, ids that nothing defines */
};

/* One step, if there is one to do. With maintenance_lock. */
MUST_CHECK enum status engine_reclaim_step(struct engine *engine, bool *did, struct error *err);
void reclaim_release(struct reclaim *reclaim);

#endif

/*
 * narrowing - of many matching series, those that have samples in the days of a query.
 *
 * Years of history leave millions of series of which a day has thousands: without their samples
 * being looked for one by one, the series sets of the parts in the range tell which.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_NARROWING_H
#define METRIC_STORE_STORAGE_ENGINE_NARROWING_H

#include "base/patience.h"
#include "storage/engine/engine_internal.h"

struct narrowing {
    roaring_bitmap_t
        *in_use;             /* a superset of the series with samples in the range; NULL: unknown */
    struct version *version; /* of that moment, held */
};

/* Leaves in_use NULL where it is not worth it: few series, or no part lies outside of the range.
 * Takes head_lock, some series at a time; `patience` may be NULL. Ended by narrowing_release. */
MUST_CHECK enum status narrowing_make(struct narrowing *narrowing, struct engine *engine,
                                      const roaring_bitmap_t *matched, struct time_range range,
                                      const struct patience *patience, struct error *err);
void narrowing_release(struct narrowing *narrowing);

/* Adds what `version`, a newer one, has besides; takes a reference. Takes head_lock likewise. */
MUST_CHECK enum status narrowing_update(struct narrowing *narrowing, struct engine *engine,
                                        struct version *version, struct time_range range,
                                        const struct patience *patience, struct error *err);

#endif

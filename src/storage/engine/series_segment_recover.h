/*
 * series_segment_recover - definitions whose page is damaged, made anew from what else the segment
 * says of these series: their label pairs. A definition counts only if the segment's key of its
 * labels leads to that id, so that a pair that cannot be read does not make another series of it.
 *
 * Memory follows WINDOW_SERIES series and their labels, not how many are damaged: the pairs are
 * walked once for each so many.
 *
 * Threads: one at a time.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_SERIES_SEGMENT_RECOVER_H
#define METRIC_STORE_STORAGE_ENGINE_SERIES_SEGMENT_RECOVER_H

#include "storage/engine/series_segment.h"

struct segment_recovery; /* opaque */

/* Finds which definitions cannot be read. `segment` outlives it. */
MUST_CHECK enum status segment_recovery_new(struct segment_recovery **recovery,
                                            const struct series_segment *segment, uint64_t seed,
                                            struct error *err);
void segment_recovery_free(struct segment_recovery *recovery); /* accepts NULL */

/* The next one by rising id with an id below `limit`; END. What it gives is borrowed until the next
 * call. */
MUST_CHECK enum status segment_recovery_next(struct segment_recovery *recovery, uint64_t limit,
                                             struct series_definition *definition,
                                             struct error *err);

#endif

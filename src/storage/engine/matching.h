/*
 * matching - matchers -> the committed series that satisfy them, by postings; in a table or in a
 * segment.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_MATCHING_H
#define METRIC_STORE_STORAGE_ENGINE_MATCHING_H

#include "base/patience.h"
#include "model/matcher.h"
#include "os/thread.h"
#include "storage/engine/series_index.h"

/* A table that others write to meanwhile: it is found anew, under the lock, for every bit of the
 * work, so that nobody waits for the whole of it. */
struct shared_table {
    struct rwlock *lock; /* series_lock; not held by the caller */
    const struct series_index *index;
    uint64_t number; /* of the table */
    uint64_t until;  /* the series that had been committed by then: series_index.commits */
};

/*
 * Adds the series that satisfy every matcher of `matchers` (none: all series) to `result`. A
 * regular expression is run once for each distinct value of its label.
 *   BUSY  the table has gone: its series are in a segment now
 */
MUST_CHECK enum status matching_table(const struct shared_table *table,
                                      const struct matchers *matchers,
                                      const struct patience *patience, roaring_bitmap_t *result,
                                      struct error *err);
/* CORRUPT, IO: as reading the segment. */
MUST_CHECK enum status matching_segment(const struct series_segment *segment,
                                        const struct matchers *matchers,
                                        const struct patience *patience, roaring_bitmap_t *result,
                                        struct error *err);

/*
 * Adds the series of the index's tables that were committed after `since` and not after `until`,
 * and that satisfy any of `count` conjunctions, by their labels. One that leaves the tables
 * meanwhile may be missing: then index->dropped has risen. Takes the lock, as above.
 */
MUST_CHECK enum status matching_newer(const struct series_index *index, struct rwlock *lock,
                                      const struct matchers *matchers, size_t count, uint64_t since,
                                      uint64_t until, const struct patience *patience,
                                      roaring_bitmap_t *result, struct error *err);

#endif

/*
 * matching - matchers -> the committed series that satisfy them, by postings; in a table or in a
 * segment.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_MATCHING_H
#define METRIC_STORE_STORAGE_ENGINE_MATCHING_H

#include "model/matcher.h"
#include "storage/engine/series_segment.h"
#include "storage/engine/series_table.h"

/*
 * Adds the series that satisfy every matcher of `matchers` (none: all series) to `result`. A
 * regular expression is run once for each distinct value of its label. Reserved series of the table
 * may be among them.
 */
MUST_CHECK enum status matching_series(const struct series_table *table,
                                       const struct matchers *matchers, roaring_bitmap_t *result,
                                       struct error *err);
/* CORRUPT, IO: as reading the segment. */
MUST_CHECK enum status matching_segment(const struct series_segment *segment,
                                        const struct matchers *matchers, roaring_bitmap_t *result,
                                        struct error *err);

#endif

/*
 * matching - matchers -> the committed series that satisfy them, by postings.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_MATCHING_H
#define METRIC_STORE_STORAGE_ENGINE_MATCHING_H

#include "model/matcher.h"
#include "storage/engine/series_table.h"

/*
 * Adds the series that satisfy every matcher of `matchers` (none: all series) to `result`. A
 * regular expression is run once for each distinct value of its label. Reserved series may be among
 * them.
 */
MUST_CHECK enum status matching_series(const struct series_table *table,
                                       const struct matchers *matchers, roaring_bitmap_t *result);

#endif

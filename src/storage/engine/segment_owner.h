/*
 * segment_owner - whether a series segment belongs to this store.
 *
 * Keys are hashes with the store's secret: a segment of another store, which has the same id as
 * ours by chance, does not find its own series by them.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_SEGMENT_OWNER_H
#define METRIC_STORE_STORAGE_ENGINE_SEGMENT_OWNER_H

#include "storage/engine/series_segment.h"

/* CORRUPT where it is another store's. Where a page is damaged the next series is asked; a segment
 * of which so many cannot be read says nothing wrong. Reads two pages of a sound one. */
MUST_CHECK enum status segment_expect_own(const struct series_segment *segment, uint64_t seed,
                                          struct error *err);

#endif

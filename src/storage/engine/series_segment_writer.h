/*
 * series_segment_writer - what merging puts without the detour over a bitmap for each pair, and
 * with contents that came from a disk: what breaks the order or contradicts itself is CORRUPT.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_SERIES_SEGMENT_WRITER_H
#define METRIC_STORE_STORAGE_ENGINE_SERIES_SEGMENT_WRITER_H

#include "storage/engine/series_segment_format.h"

/* A set of ids that is not empty. */
struct segment_ids {
    uint64_t count;
    uint32_t few[SEGMENT_IDS_IN_PLACE]; /* rising, where count is not above that */
    const roaring_bitmap_t *many;       /* otherwise */
};

MUST_CHECK enum status segment_write_series(struct series_segment_writer *writer, uint32_t id,
                                            uint32_t metric, const struct labels *labels,
                                            struct error *err);
MUST_CHECK enum status segment_write_pair(struct series_segment_writer *writer, struct slice name,
                                          struct slice value, const struct segment_ids *ids,
                                          struct error *err);
MUST_CHECK enum status segment_write_key(struct series_segment_writer *writer,
                                         struct series_key key, uint32_t id, struct error *err);
MUST_CHECK enum status segment_write_metric(struct series_segment_writer *writer, uint32_t metric,
                                            struct slice name, uint32_t series, struct error *err);
/* Whether as many keys, and series of metrics, were put as series. */
MUST_CHECK enum status segment_write_complete(const struct series_segment_writer *writer,
                                              struct error *err);

#endif

/*
 * flush_metrics - the metrics of series whose index segments cannot say them: a part is sorted by
 * metric and series, so that those that have samples of a series tell.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_FLUSH_METRICS_H
#define METRIC_STORE_STORAGE_ENGINE_FLUSH_METRICS_H

#include "storage/engine/engine_internal.h"

/* Fills in what is METRIC_ID_NONE of metrics[0..count), as far as parts of the version tell it.
 * Only of series that an index segment has; `ids` rise. IO, MEMORY. */
MUST_CHECK enum status flush_ask_parts(struct engine *engine, const struct version *version,
                                       const uint32_t *ids, size_t count, uint32_t *metrics,
                                       struct error *err);

#endif

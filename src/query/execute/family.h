/*
 * family - what a metric is registered under, and the order in which an export gives series: by
 * metric name in byte order, then by labels.
 *
 * The text formats want all of a metric together. Series in label order alone would not do: a label
 * whose name begins with a capital sorts before __name__. That "x_bucket" and "x_sum" are both of
 * the family "x" plays no part: with "x_a" between them, the family's order would not be that of
 * the names, which the OpenMetrics writer needs to see every clash of names.
 */
#ifndef METRIC_STORE_QUERY_EXECUTE_FAMILY_H
#define METRIC_STORE_QUERY_EXECUTE_FAMILY_H

#include "query/execute/source.h"

/* Of an arena for one descriptor, with room for the looks that find nothing. */
enum { FAMILY_MAX_SIZE = 256 * 1024 };

/*
 * What the metric `name` is registered under: its own name, or that without the suffix of a type
 * which has such. Where there is nothing, *descriptor has the name alone. Strings go to `arena`.
 */
MUST_CHECK enum status family_find(struct tier *tier, struct slice name, struct arena *arena,
                                   struct metric *descriptor, struct error *err);

/* `order` gets source->count indices (arena memory). The source must be ordered. */
MUST_CHECK enum status metric_order(struct source *source, struct arena *arena, uint32_t **order,
                                    struct error *err);

#endif

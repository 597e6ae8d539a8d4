/*
 * family - the order in which an export gives series: by metric family, metric name, labels.
 *
 * A histogram is registered as "x" and its series are called "x_bucket", "x_sum", "x_count"; the
 * text formats want all of a family together. Series in label order alone would not do: a label
 * whose name begins with a capital sorts before __name__.
 */
#ifndef METRIC_STORE_QUERY_EXECUTE_FAMILY_H
#define METRIC_STORE_QUERY_EXECUTE_FAMILY_H

#include "query/execute/source.h"

/* The family's name within the metric's. */
struct slice family_name(struct slice metric, enum metric_type type);

/* `order` gets source->count indices (arena memory). The source must be ordered. */
MUST_CHECK enum status family_order(struct source *source, struct arena *arena, uint32_t **order,
                                    struct error *err);

#endif

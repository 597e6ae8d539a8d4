/*
 * metric_order - the order in which an export gives series: by metric name in byte order, then by
 * labels.
 *
 * Formats with metadata want all series of a metric together, which label order alone does not
 * give: a label whose name begins with a capital sorts before __name__. Order by family would not
 * do either: x comes before x_a, and x_a_total before x_total, and who writes families must have
 * seen every name that begins with another before it goes on (openmetrics_write.c).
 */
#ifndef METRIC_STORE_QUERY_EXECUTE_METRIC_ORDER_H
#define METRIC_STORE_QUERY_EXECUTE_METRIC_ORDER_H

#include "query/execute/source.h"

/* `order` gets source->count indices (arena memory). The source must be ordered. */
MUST_CHECK enum status metric_order_make(struct source *source, struct arena *arena,
                                         uint32_t **order, struct error *err);

#endif

/*
 * family - which family a metric is registered under: a histogram is registered as "x" and its
 * series are called "x_bucket", "x_sum", "x_count".
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

#endif

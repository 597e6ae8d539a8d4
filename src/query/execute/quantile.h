/*
 * quantile - the value at a rank, in time linear in the number of values whatever they are.
 */
#ifndef METRIC_STORE_QUERY_EXECUTE_QUANTILE_H
#define METRIC_STORE_QUERY_EXECUTE_QUANTILE_H

#include <stddef.h>

/* Of `count` > 0 values without NaN, at h = q (count - 1), 0 <= q <= 1, linear between the ranks
 * floor(h) and floor(h) + 1. Leaves `values` in another order. */
double quantile_of(double *values, size_t count, double q);

#endif

/*
 * moments - the population's standard deviation, with sums of (x - s) and (x - s)^2 kept in twice
 * the precision of a double, s being the first value: neither a large mean nor many values cost
 * digits. Squares must stay within a double: values a magnitude of 1e154 from the first give +Inf,
 * differences below 1e-154 count as none.
 */
#ifndef METRIC_STORE_QUERY_EXECUTE_MOMENTS_H
#define METRIC_STORE_QUERY_EXECUTE_MOMENTS_H

#include <stdint.h>

/* All zero is empty. */
struct moments {
    uint64_t count;
    double shift; /* NaN once a NaN or an infinity was among the values */
    double sum, sum_rest;
    double square, square_rest;
};

void moments_add(struct moments *moments, double value);

/* With count > 0. */
double moments_stddev(const struct moments *moments);

#endif

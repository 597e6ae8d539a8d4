/*
 * value_scale - doubles as integers and back, bit for bit.
 *
 * Most metrics are decimals with few digits: 12.34 is 1234 at scale -2. A double stands for its
 * integer m at scale s only if the reverse, m * 10^s computed as one correctly rounded division or
 * multiplication, has the same 64 bits; so NaNs, infinities and -0.0 have no integer at any decimal
 * scale. At SCALE_BITS the integer is the double's own bits, for those that are no decimals.
 *
 * Threads: pure functions.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_VALUE_SCALE_H
#define METRIC_STORE_STORAGE_ENGINE_VALUE_SCALE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SCALE_BITS = 127,
    SCALE_MIN = -18, /* that many digits after the point */
    SCALE_MAX = 22,  /* the largest power of ten that is a double without rounding */
};

static inline bool scale_is_valid(int scale)
{
    return scale == SCALE_BITS || (scale >= SCALE_MIN && scale <= SCALE_MAX);
}

/* False where `value` has no integer at this scale. */
bool scale_to_integer(double value, int scale, int64_t *integer);

/* Any integer, any valid scale. */
double scale_to_double(int64_t integer, int scale);

/* The same for `count` of them. */
void scale_to_doubles(const int64_t *integers, size_t count, int scale, double *values);

/* The scale of `value` with the fewest digits, not before `from` (0 for the first search): 0, -1,
 * ... for values below 2^62, 1, 2, ... above. False where it is no such decimal. */
bool scale_find(double value, int from, int *scale);

/* A scale at which most of `values` are integers, from a look at some of them; SCALE_BITS where
 * they are no decimals. `skip` counts as no evidence (a stale marker). */
int scale_choose(const double *values, size_t count, uint64_t skip);

#endif

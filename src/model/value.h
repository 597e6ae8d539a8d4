/*
 * value - doubles that mean more than their number.
 */
#ifndef METRIC_STORE_MODEL_VALUE_H
#define METRIC_STORE_MODEL_VALUE_H

#include "base/bits.h"

/* Prometheus' stale marker and its ordinary NaN (prometheus/prometheus, model/value). */
#define VALUE_STALE_BITS      UINT64_C(0x7ff0000000000002)
#define VALUE_NORMAL_NAN_BITS UINT64_C(0x7ff8000000000001)

static inline bool value_is_stale(double value)
{
    return bits_of_double(value) == VALUE_STALE_BITS;
}

#endif

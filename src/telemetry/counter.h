/*
 * counter - a number that many threads raise and one reads now and then.
 */
#ifndef METRIC_STORE_TELEMETRY_COUNTER_H
#define METRIC_STORE_TELEMETRY_COUNTER_H

#include <stdatomic.h>
#include <stdint.h>

/* Nothing is ordered by a counter: relaxed is enough. */
static inline void counter_add(_Atomic uint64_t *counter, uint64_t amount)
{
    atomic_fetch_add_explicit(counter, amount, memory_order_relaxed);
}

static inline uint64_t counter_read(const _Atomic uint64_t *counter)
{
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* A duration that a jumping clock could not make negative, but a caller could. */
static inline uint64_t counter_duration(int64_t duration_ns)
{
    return duration_ns > 0 ? (uint64_t)duration_ns : 0;
}

#endif

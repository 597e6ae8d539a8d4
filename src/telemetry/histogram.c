#include "telemetry/telemetry.h"

#include "base/invariant.h"

#define MICROSECONDS UINT64_C(1000)
#define MILLISECONDS UINT64_C(1000000)
#define SECONDS      UINT64_C(1000000000)

const struct histogram_bounds histogram_latency_bounds = {
    .scale = SECONDS,
    .count = 18,
    .bounds = {100 * MICROSECONDS, 250 * MICROSECONDS, 500 * MICROSECONDS, 1 * MILLISECONDS,
               2500 * MICROSECONDS, 5 * MILLISECONDS, 10 * MILLISECONDS, 25 * MILLISECONDS,
               50 * MILLISECONDS, 100 * MILLISECONDS, 250 * MILLISECONDS, 500 * MILLISECONDS,
               1 * SECONDS, 2500 * MILLISECONDS, 5 * SECONDS, 10 * SECONDS, 20 * SECONDS,
               30 * SECONDS},
};

void histogram_init(struct histogram *histogram, const struct histogram_bounds *bounds)
{
    invariant(bounds->count > 0 && bounds->count <= HISTOGRAM_MAX_BOUNDS);
    *histogram = (struct histogram){.bounds = bounds};
}

void histogram_record(struct histogram *histogram, uint64_t amount)
{
    const struct histogram_bounds *bounds = histogram->bounds;
    size_t bucket = 0;
    while (bucket < bounds->count && amount > bounds->bounds[bucket])
        bucket++;
    /* Nothing is ordered by these: a reader only needs each number whole. */
    atomic_fetch_add_explicit(&histogram->buckets[bucket], 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&histogram->sum, amount, memory_order_relaxed);
}

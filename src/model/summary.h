/*
 * summary - what aggregates need to know of a run of samples in rising time, so that a window
 * which covers the run need not see its samples.
 *
 * Combining the summaries of adjacent runs gives the summary of both, as if the samples had been
 * added one after the other: count, min, max, first, last, stale and NaN counts bit for bit; sum
 * and increase within the compensated sum's error.
 *
 * Stale markers (value.h) are counted and otherwise not there. NaNs are counted; they make the sum
 * NaN, are ignored by min and max, and are ordinary values to first and last. A NaN among values
 * makes increase NaN.
 */
#ifndef METRIC_STORE_MODEL_SUMMARY_H
#define METRIC_STORE_MODEL_SUMMARY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct summary {
    uint32_t count; /* of samples that are not stale markers */
    uint32_t stale_count;
    uint32_t nan_count;
    int64_t first_ms; /* of the non-stale samples; with count > 0 */
    int64_t last_ms;
    double first;
    double last;
    double min; /* of the samples that are no NaN; +Inf where there is none */
    double max; /* likewise -Inf */
    double sum; /* with `compensation`: the sum is sum + compensation (Neumaier 1974) */
    double compensation;
    /* Sum over consecutive pairs within the run of (b - a), or of b where b < a: a reset. */
    double increase;
};

void summary_init(struct summary *summary);
/* Times strictly rising, later than what was added before. */
void summary_add(struct summary *summary, const int64_t *times, const double *values, size_t count);
/* `later` follows `summary` in time. */
void summary_combine(struct summary *summary, const struct summary *later);

static inline double summary_sum(const struct summary *summary)
{
    return summary->sum + summary->compensation;
}

/* The counter's growth from value `before` to `after`. */
static inline double increase_between(double before, double after)
{
    return after < before ? after : after - before;
}

/* Adds one term of a compensated sum (Neumaier 1974). */
void sum_add(double *sum, double *compensation, double term);

#endif

#include "model/summary.h"

#include <math.h>

#include "model/value.h"

void summary_init(struct summary *summary)
{
    *summary = (struct summary){.min = INFINITY, .max = -INFINITY};
}

void sum_add(double *sum, double *compensation, double term)
{
    double total = *sum + term;
    /* With an infinity in it the error term would be NaN, though the sum is a plain infinity. */
    if (isinf(total)) {
        *sum = total;
        *compensation = 0;
        return;
    }
    if (fabs(*sum) >= fabs(term))
        *compensation += (*sum - total) + term;
    else
        *compensation += (term - total) + *sum;
    *sum = total;
}

void summary_add(struct summary *summary, const int64_t *times, const double *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        double value = values[i];
        if (value_is_stale(value)) {
            summary->stale_count++;
            continue;
        }
        if (summary->count == 0) {
            summary->first = value;
            summary->first_ms = times[i];
        } else {
            summary->increase += increase_between(summary->last, value);
        }
        summary->count++;
        summary->last = value;
        summary->last_ms = times[i];
        if (isnan(value)) {
            summary->nan_count++;
        } else {
            summary->min = value < summary->min ? value : summary->min;
            summary->max = value > summary->max ? value : summary->max;
        }
        sum_add(&summary->sum, &summary->compensation, value);
    }
}

void summary_combine(struct summary *summary, const struct summary *later)
{
    if (later->count == 0 || summary->count == 0) {
        uint32_t stale = summary->stale_count + later->stale_count;
        if (summary->count == 0)
            *summary = *later;
        summary->stale_count = stale;
        return;
    }
    summary->increase += increase_between(summary->last, later->first) + later->increase;
    summary->count += later->count;
    summary->stale_count += later->stale_count;
    summary->nan_count += later->nan_count;
    summary->last = later->last;
    summary->last_ms = later->last_ms;
    summary->min = later->min < summary->min ? later->min : summary->min;
    summary->max = later->max > summary->max ? later->max : summary->max;
    sum_add(&summary->sum, &summary->compensation, later->sum);
    summary->compensation += later->compensation;
}

#include "query/execute/aggregate.h"

#include <math.h>

#include "base/invariant.h"
#include "base/times.h"
#include "model/value.h"
#include "query/execute/moments.h"
#include "query/execute/quantile.h"

/* Each begins with the number of values that were no stale markers. */
struct count_cell {
    uint64_t count;
};

struct sum_cell {
    uint64_t count;
    double sum;
    double compensation;
};

struct extreme_cell {
    uint64_t count;
    uint64_t nan_count;
    double value;
};

struct edge_cell {
    uint64_t count;
    int64_t time_ms;
    double value;
};

struct quantile_cell {
    uint64_t count;
    struct value_list numbers; /* without the NaNs */
};

static size_t cell_size_of(enum query_aggregate function)
{
    switch (function) {
    case AGGREGATE_COUNT:
        return sizeof(struct count_cell);
    case AGGREGATE_SUM:
    case AGGREGATE_AVG:
    case AGGREGATE_RATE:
    case AGGREGATE_INCREASE:
        return sizeof(struct sum_cell);
    case AGGREGATE_MIN:
    case AGGREGATE_MAX:
        return sizeof(struct extreme_cell);
    case AGGREGATE_FIRST:
    case AGGREGATE_LAST:
        return sizeof(struct edge_cell);
    case AGGREGATE_STDDEV:
        return sizeof(struct moments);
    case AGGREGATE_QUANTILE:
        return sizeof(struct quantile_cell);
    case AGGREGATE_NONE:
        break;
    }
    return 0;
}

void aggregate_init(struct aggregate *aggregate, const struct plan_node *node,
                    struct value_pool *pool)
{
    invariant(node->function != AGGREGATE_NONE);
    *aggregate = (struct aggregate){
        .function = node->function,
        .quantile = node->quantile,
        .cell_size = cell_size_of(node->function),
        .takes_summaries =
            node->function != AGGREGATE_STDDEV && node->function != AGGREGATE_QUANTILE,
        .pool = pool,
    };
}

/* ---- adding values ---------------------------------------------------------------------- */

static void count_add(struct count_cell *cell, const double *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cell->count += !value_is_stale(values[i]);
}

static void sum_add_slowly(struct sum_cell *cell, const double *values, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (value_is_stale(values[i]))
            continue;
        cell->count++;
        sum_add(&cell->sum, &cell->compensation, values[i]);
    }
}

/*
 * The same as sum_add without its branches: the error of an addition is exact either way (Knuth's
 * form needs no comparison). A stale marker, a NaN or an infinity shows in the result; then the run
 * is added again with care.
 */
static void sum_add_run(struct sum_cell *cell, const double *values, size_t count)
{
    double sum = cell->sum;
    double compensation = cell->compensation;
    for (size_t i = 0; i < count; i++) {
        double total = sum + values[i];
        double share = total - sum;
        compensation += (sum - (total - share)) + (values[i] - share);
        sum = total;
    }
    if (!isfinite(sum) || !isfinite(compensation)) {
        sum_add_slowly(cell, values, count);
        return;
    }
    cell->sum = sum;
    cell->compensation = compensation;
    cell->count += count;
}

static void extreme_take(struct extreme_cell *cell, double value, bool largest)
{
    bool first = cell->count == cell->nan_count;
    if (first || (largest ? value > cell->value : value < cell->value))
        cell->value = value;
}

static void extreme_add(struct extreme_cell *cell, const double *values, size_t count, bool largest)
{
    for (size_t i = 0; i < count; i++) {
        if (isnan(values[i])) {
            bool stale = value_is_stale(values[i]);
            cell->count += !stale;
            cell->nan_count += !stale;
            continue;
        }
        extreme_take(cell, values[i], largest);
        cell->count++;
    }
}

static void edge_take(struct edge_cell *cell, int64_t time_ms, double value, bool last)
{
    if (cell->count == 0 || (last ? time_ms > cell->time_ms : time_ms < cell->time_ms)) {
        cell->time_ms = time_ms;
        cell->value = value;
    }
}

static void edge_add(struct edge_cell *cell, const int64_t *times, const double *values,
                     size_t count, bool last)
{
    for (size_t i = 0; i < count; i++) {
        if (value_is_stale(values[i]))
            continue;
        edge_take(cell, times[i], values[i], last);
        cell->count++;
    }
}

static void stddev_add(struct moments *cell, const double *values, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (!value_is_stale(values[i]))
            moments_add(cell, values[i]);
}

static bool quantile_add(struct quantile_cell *cell, struct value_pool *pool, const double *values,
                         size_t count)
{
    /* Runs between NaNs, which are rare. */
    for (size_t first = 0, at = 0; at <= count; at++) {
        if (at < count && !isnan(values[at]))
            continue;
        if (at > first && !value_list_append(&cell->numbers, pool, values + first, at - first))
            return false;
        cell->count += at - first;
        if (at < count && !value_is_stale(values[at]))
            cell->count++;
        first = at + 1;
    }
    return true;
}

enum status aggregate_add(const struct aggregate *aggregate, void *cell, const int64_t *times,
                          const double *values, size_t count)
{
    switch (aggregate->function) {
    case AGGREGATE_COUNT:
        count_add(cell, values, count);
        break;
    case AGGREGATE_SUM:
    case AGGREGATE_AVG:
    case AGGREGATE_RATE:
    case AGGREGATE_INCREASE:
        sum_add_run(cell, values, count);
        break;
    case AGGREGATE_MIN:
    case AGGREGATE_MAX:
        extreme_add(cell, values, count, aggregate->function == AGGREGATE_MAX);
        break;
    case AGGREGATE_FIRST:
    case AGGREGATE_LAST:
        edge_add(cell, times, values, count, aggregate->function == AGGREGATE_LAST);
        break;
    case AGGREGATE_STDDEV:
        stddev_add(cell, values, count);
        break;
    case AGGREGATE_QUANTILE:
        if (!quantile_add(cell, aggregate->pool, values, count))
            return arena_status(aggregate->pool->arena);
        break;
    case AGGREGATE_NONE:
        break;
    }
    return STATUS_OK;
}

void aggregate_add_sum(void *cell, double sum, double compensation, uint64_t count)
{
    struct sum_cell *to = cell;
    to->count += count;
    sum_add(&to->sum, &to->compensation, sum);
    to->compensation += compensation;
}

void aggregate_add_terms(void *cell, const double *terms, size_t count)
{
    sum_add_run(cell, terms, count);
}

static void extreme_add_summary(struct extreme_cell *cell, const struct summary *summary,
                                bool largest)
{
    if (summary->count > summary->nan_count)
        extreme_take(cell, largest ? summary->max : summary->min, largest);
    cell->count += summary->count;
    cell->nan_count += summary->nan_count;
}

void aggregate_add_summary(const struct aggregate *aggregate, void *cell,
                           const struct summary *summary)
{
    invariant(aggregate->takes_summaries);
    bool last = aggregate->function == AGGREGATE_LAST;
    if (summary->count == 0)
        return;
    switch (aggregate->function) {
    case AGGREGATE_COUNT:
        ((struct count_cell *)cell)->count += summary->count;
        break;
    case AGGREGATE_SUM:
    case AGGREGATE_AVG:
        aggregate_add_sum(cell, summary->sum, summary->compensation, summary->count);
        break;
    case AGGREGATE_RATE:
    case AGGREGATE_INCREASE:
        if (summary->count > 1)
            aggregate_add_sum(cell, summary->increase, 0, summary->count - 1);
        break;
    case AGGREGATE_MIN:
    case AGGREGATE_MAX:
        extreme_add_summary(cell, summary, aggregate->function == AGGREGATE_MAX);
        break;
    case AGGREGATE_FIRST:
    case AGGREGATE_LAST:
        edge_take(cell, last ? summary->last_ms : summary->first_ms,
                  last ? summary->last : summary->first, last);
        ((struct edge_cell *)cell)->count += summary->count;
        break;
    case AGGREGATE_STDDEV:
    case AGGREGATE_QUANTILE:
    case AGGREGATE_NONE:
        break;
    }
}

/* ---- the result ------------------------------------------------------------------------- */

static double sum_of(const struct sum_cell *cell)
{
    return cell->sum + cell->compensation;
}

/* One NaN for all that are computed, whatever the processor made of it. */
static double plain_nan(double value)
{
    return isnan(value) ? double_of_bits(VALUE_NORMAL_NAN_BITS) : value;
}

bool aggregate_finish(const struct aggregate *aggregate, void *cell, int64_t length_ms,
                      double *value, int64_t *time_ms)
{
    const struct sum_cell *sum = cell;
    const struct extreme_cell *extreme = cell;
    const struct edge_cell *edge = cell;
    struct quantile_cell *quantile = cell;
    uint64_t count = ((const struct count_cell *)cell)->count;
    if (count == 0)
        return false;
    switch (aggregate->function) {
    case AGGREGATE_COUNT:
        *value = (double)count;
        break;
    case AGGREGATE_SUM:
    case AGGREGATE_INCREASE:
        *value = plain_nan(sum_of(sum));
        break;
    case AGGREGATE_AVG:
        *value = plain_nan(sum_of(sum) / (double)count);
        break;
    case AGGREGATE_RATE:
        *value = plain_nan(sum_of(sum) / ((double)length_ms / MS_PER_SECOND));
        break;
    case AGGREGATE_MIN:
    case AGGREGATE_MAX:
        *value = plain_nan(count == extreme->nan_count ? NAN : extreme->value);
        break;
    case AGGREGATE_FIRST:
    case AGGREGATE_LAST:
        *value = edge->value;
        *time_ms = edge->time_ms;
        break;
    case AGGREGATE_STDDEV:
        *value = plain_nan(moments_stddev(cell));
        break;
    case AGGREGATE_QUANTILE:
        *value = plain_nan(quantile->numbers.count == 0
                               ? NAN
                               : quantile_of(quantile->numbers.values, quantile->numbers.count,
                                             aggregate->quantile));
        break;
    case AGGREGATE_NONE:
        return false;
    }
    return true;
}

void aggregate_reset(const struct aggregate *aggregate, void *cell)
{
    if (aggregate->function == AGGREGATE_QUANTILE) {
        struct quantile_cell *quantile = cell;
        quantile->count = 0;
        quantile->numbers.count = 0;
        return;
    }
    memset(cell, 0, aggregate->cell_size);
}

size_t aggregate_held(const struct aggregate *aggregate, const void *cell)
{
    if (aggregate->function != AGGREGATE_QUANTILE)
        return 0;
    return ((const struct quantile_cell *)cell)->numbers.count;
}

/*
 * aggregate - the state of one aggregate over the values of one bucket: a *cell*.
 *
 * A cell's size depends on the function; all zero is an empty cell. Stale markers among the values
 * are passed over. increase and rate have the cells of a sum: the caller adds the differences.
 */
#ifndef METRIC_STORE_QUERY_EXECUTE_AGGREGATE_H
#define METRIC_STORE_QUERY_EXECUTE_AGGREGATE_H

#include "model/summary.h"
#include "query/execute/value_pool.h"
#include "query/plan/plan.h"

struct aggregate {
    enum query_aggregate function;
    double quantile;
    size_t cell_size;
    bool takes_summaries; /* aggregate_add_summary may be called */
    struct value_pool *pool;
};

/* `pool` is borrowed; needed by quantiles alone. */
void aggregate_init(struct aggregate *aggregate, const struct plan_node *node,
                    struct value_pool *pool);

/* Values in rising time. For equal times of first and last, what was added before stays. LIMIT or
 * MEMORY without a message: the pool's arena gave nothing. */
MUST_CHECK enum status aggregate_add(const struct aggregate *aggregate, void *cell,
                                     const int64_t *times, const double *values, size_t count);

/* As if its samples had been added. */
void aggregate_add_summary(const struct aggregate *aggregate, void *cell,
                           const struct summary *summary);

/* Of a sum's cell: adds a sum that was made of `count` terms, or `count` terms. */
void aggregate_add_sum(void *cell, double sum, double compensation, uint64_t count);
void aggregate_add_terms(void *cell, const double *terms, size_t count);

/* False when the cell holds nothing, i.e. there is no point. Rate divides by `length_ms`, the
 * bucket's. *time_ms is the sample's with first
 * and last, else untouched. The cell is spent: reset it before it is used again. */
bool aggregate_finish(const struct aggregate *aggregate, void *cell, int64_t length_ms,
                      double *value, int64_t *time_ms);

/* Makes it empty; a quantile's memory is kept for what comes next. */
void aggregate_reset(const struct aggregate *aggregate, void *cell);

/* Values that finishing must look at: 0 but for quantiles. */
size_t aggregate_held(const struct aggregate *aggregate, const void *cell);

#endif

/*
 * operator - a node of the plan at work: gives series of points, pulled by its consumer.
 *
 * What it gives is borrowed until the next call on it. Everything lives in the query's arena; what
 * must be closed is the source, which the execution holds.
 */
#ifndef METRIC_STORE_QUERY_EXECUTE_OPERATOR_H
#define METRIC_STORE_QUERY_EXECUTE_OPERATOR_H

#include "query/execute/execute.h"
#include "query/execute/source.h"
#include "query/execute/value_pool.h"

enum { OPERATOR_BATCH = 512 };

struct operator;

struct operator_ops {
    /* END after the last. Series without points are left out. */
    enum status (*next_series)(struct operator* operator, struct result_series * series,
                               struct error *err);
    /* END after the series' last batch. */
    enum status (*next_points)(struct operator* operator, struct result_points * points,
                               struct error *err);
    /* Before the first next_series: begins with the first series after `labels`. */
    enum status (*skip_after)(struct operator* operator, const struct labels * labels,
                              struct error *err);
    /* Whether a series may follow. */
    bool (*has_more)(const struct operator* operator);
};

struct operator
{
    const struct operator_ops *ops;
};

/* What every operator of one query shares. */
struct operator_context {
    struct arena *arena;
    struct value_pool *pool;
    struct budget *budget;
    struct source *source; /* opened when the tree has been built */
};

/* Builds the tree for `node`. LIMIT and MEMORY as budget_no_memory. */
MUST_CHECK enum status operator_build(const struct plan_node *node,
                                      const struct operator_context *context,
                                      struct operator** operator, struct error * err);

/* The kinds; each NULL when the arena gave nothing. */
struct operator* select_operator_new(const struct operator_context *context);
struct operator*
    window_operator_new(const struct plan_node *node, const struct operator_context *context);
/* Pools samples: a window over groups of series. */
struct operator*
    pool_operator_new(const struct plan_node *node, const struct operator_context *context);
/* Combines the points of `input`: each series alone, or groups of them. */
struct operator* each_operator_new(const struct plan_node *node,
                                   const struct operator_context *context, struct operator* input);
struct operator* group_operator_new(const struct plan_node *node,
                                    const struct operator_context *context, struct operator* input);

#endif

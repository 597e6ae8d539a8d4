/*
 * execution - a plan at work: one page of series with their points.
 *
 *   execution_open, execution_next_series { execution_next_points }, execution_close
 */
#ifndef METRIC_STORE_QUERY_EXECUTE_EXECUTION_H
#define METRIC_STORE_QUERY_EXECUTE_EXECUTION_H

#include "base/bytes.h"
#include "query/execute/operator.h"

struct execution {
    struct operator_context context;
    struct value_pool pool;
    struct source source;
    struct operator* root;
    uint64_t limit;
    bool grouped;
    uint64_t given;    /* series so far */
    struct bytes next; /* cursor of the next page; empty when this is the last */
};

struct execution_stats {
    uint64_t series; /* that were looked into */
    uint64_t samples_scanned;
    uint64_t blocks_skipped;
    bool partial;
    int64_t duration_ns;
};

/* Borrows plan, arena and budget until execution_close, which is needed also after a failure. */
MUST_CHECK enum status execution_open(struct execution *execution, const struct plan *plan,
                                      struct arena *arena, struct budget *budget,
                                      struct error *err);
void execution_close(struct execution *execution);

/* END after the page's last. What is given is borrowed until the next call. */
MUST_CHECK enum status execution_next_series(struct execution *execution,
                                             struct result_series *series, struct error *err);
MUST_CHECK enum status execution_next_points(struct execution *execution,
                                             struct result_points *points, struct error *err);

/* Of everything until now. */
void execution_stats(const struct execution *execution, struct execution_stats *stats);

#endif

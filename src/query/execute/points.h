/*
 * points - the finished cells of a window, a batch at a time, with the gaps filled as was asked.
 */
#ifndef METRIC_STORE_QUERY_EXECUTE_POINTS_H
#define METRIC_STORE_QUERY_EXECUTE_POINTS_H

#include "query/execute/operator.h"
#include "query/execute/window.h"

struct points {
    int64_t times[OPERATOR_BATCH];
    double values[OPERATOR_BATCH];
    int64_t sample_times[OPERATOR_BATCH];
    bool missing[OPERATOR_BATCH];
    size_t bucket;   /* the next to finish */
    bool has_before; /* a bucket before it has a value: */
    double before;
};

/* Before the first points_next over these cells. */
void points_start(struct points *points, const struct window *window,
                  const struct window_cells *cells);

/* END when no point is left: no cell that holds anything, or with fill no bucket. */
MUST_CHECK enum status points_next(struct points *points, const struct window *window,
                                   const struct window_cells *cells, struct budget *budget,
                                   struct result_points *result, struct error *err);

/* Adds points of `input` to their buckets. */
MUST_CHECK enum status points_add(const struct window *window, struct window_cells *cells,
                                  const struct result_points *input, struct error *err);

/* Whether any cell holds something. */
bool points_any(const struct window *window, const struct window_cells *cells);

#endif

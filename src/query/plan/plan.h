/*
 * plan - what to execute, as a chain of nodes, each fed by its input:
 *
 *   SELECT                series with their samples, by matchers and range
 *   WINDOW  <- SELECT     samples -> one point a bucket; of each series alone, or pooled by labels
 *   GROUP   <- WINDOW     points of the same bucket combined over series, by labels
 *
 *   raw samples                         SELECT
 *   sum                                 WINDOW sum <- SELECT
 *   sum by (a), over samples            WINDOW sum pooled by a <- SELECT
 *   sum by (a), over series             GROUP sum by a <- WINDOW last <- SELECT
 *   rate by (a)                         GROUP sum by a <- WINDOW rate <- SELECT
 *
 * Nodes live in the arena and borrow from the request.
 */
#ifndef METRIC_STORE_QUERY_PLAN_PLAN_H
#define METRIC_STORE_QUERY_PLAN_PLAN_H

#include "query/parse/parse.h"

/* The predecessor of a series' first sample counts for increase when it is this much older or
 * less. */
#define PLAN_LOOKBACK_MS INT64_C(300000)

enum plan_kind { PLAN_SELECT, PLAN_WINDOW, PLAN_GROUP };

/*
 * Bucket i is [plan_bucket_start(i), plan_bucket_start(i + 1)) cut to the range, named by its first
 * moment. The first begins at or before the range, the last ends at or after its end.
 */
struct plan_buckets {
    struct time_range range;
    size_t count;
    const int64_t *starts; /* count + 1, rising; NULL: all are equally long, and: */
    int64_t first_ms;
    int64_t width_ms;
};

/* For index <= count. */
static inline int64_t plan_bucket_start(const struct plan_buckets *buckets, size_t index)
{
    return buckets->starts != NULL ? buckets->starts[index]
                                   : buckets->first_ms + (int64_t)index * buckets->width_ms;
}

/* plan_bucket_of, of buckets with `starts`. */
size_t plan_bucket_search(const struct plan_buckets *buckets, int64_t time_ms);

/* The bucket that holds `time_ms`, which lies within one of them. */
static inline size_t plan_bucket_of(const struct plan_buckets *buckets, int64_t time_ms)
{
    if (buckets->starts != NULL)
        return plan_bucket_search(buckets, time_ms);
    return (size_t)((time_ms - buckets->first_ms) / buckets->width_ms);
}

/* Which series go together. */
enum plan_grouping {
    PLAN_EACH, /* none: each series is its own result, with all its labels */
    PLAN_BY,   /* those with the same values of the labels `by` (none: all of them) */
};

struct plan_node {
    enum plan_kind kind;
    struct plan_node *input; /* NULL with PLAN_SELECT */

    /* PLAN_SELECT */
    const struct matchers *matchers;
    struct time_range range;
    bool ordered; /* series must come in label order */

    /* PLAN_WINDOW and PLAN_GROUP */
    enum query_aggregate function;
    double quantile;
    struct plan_buckets buckets;
    enum query_fill fill; /* of the root alone: what it feeds must see no filled points */
    enum plan_grouping grouping;
    const struct slice *by; /* sorted, each once */
    size_t by_count;
};

struct plan {
    struct plan_node *root;
    /* The page of the root's results, in label order. */
    uint64_t limit;
    const struct labels *after; /* NULL: from the first */
};

/* LIMIT or MEMORY of the arena; LIMIT "query_points_limit". `request` must outlive the plan. */
MUST_CHECK enum status plan_build(struct plan *plan, const struct query_request *request,
                                  struct arena *arena, struct error *err);

#endif

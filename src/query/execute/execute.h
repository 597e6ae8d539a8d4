/*
 * execute - a plan at work on a tier: one page of series with their points, pulled a batch at a
 * time; and the two plainer reads, export and the list of metrics.
 *
 * Errors of all: LIMIT "query_samples_limit", "query_memory_limit", "query_series_limit"; TIMEOUT
 * "query_timeout"; CANCELLED "query_cancelled"; MEMORY; others as the tier returned them.
 */
#ifndef METRIC_STORE_QUERY_EXECUTE_EXECUTE_H
#define METRIC_STORE_QUERY_EXECUTE_EXECUTE_H

#include "os/clock.h"
#include "query/plan/plan.h"
#include "storage/storage.h"

struct execution_stats;

/* Where and under what rules a query runs; borrowed for the call. */
struct query_environment {
    struct tier *tier;
    struct clock *clock;
    struct query_limits limits;
    struct memory_share *memory; /* of all queries, in which this one is counted; NULL: none */
    /* Asked every few thousand samples; true ends the query with CANCELLED. May be NULL. */
    bool (*cancelled)(void *context);
    void *context;
    int64_t started_ns; /* when it was asked for, by `clock`: time-outs count from then; 0: now */
    struct execution_stats *cost; /* set by query_answer, also when it fails; may be NULL */
};

/* What the arena of a query may hold: half of its memory; the other half is the tier's. */
size_t execution_memory(const struct query_limits *limits);

/* ---- query ------------------------------------------------------------------------------ */

struct execution; /* opaque; lives in the arena */

struct result_series {
    struct slice metric;  /* empty where the series of a group differ in it */
    struct labels labels; /* canonical; a series' own include its name */
};

/* A batch of points of one series, in rising time; at least one. */
struct result_points {
    size_t count;
    const int64_t *times; /* buckets by their start; raw samples by their own */
    const double *values;
    const bool *missing;         /* points without a value, by fill; NULL: all have one */
    const int64_t *sample_times; /* of WINDOW first and last: the very samples'; else NULL */
};

struct execution_stats {
    uint64_t series;          /* that were looked into */
    uint64_t samples_scanned; /* decoded and looked at */
    uint64_t blocks_skipped;  /* answered by their summary, or outside the range */
    bool tiers[CHUNK_TIERS];  /* of which samples were read, or answered by their summary */
    bool partial;             /* damaged blocks were left out */
    int64_t duration_ns;
};

/* Borrows environment, plan and arena until execution_close. The time-out (0: none) may
 * be over, and nobody may wait any more, before anything was done.
 * On failure *execution is NULL. */
MUST_CHECK enum status execution_open(struct execution **execution,
                                      const struct query_environment *environment,
                                      const struct plan *plan, int64_t timeout_ms,
                                      struct arena *arena, struct error *err);
/* Accepts NULL. */
void execution_close(struct execution *execution);

/* END after the page's last. Series without points are left out. What is given is borrowed until
 * the next call. */
MUST_CHECK enum status execution_next_series(struct execution *execution,
                                             struct result_series *series, struct error *err);
/* END after the series' last; at least one batch a series. */
MUST_CHECK enum status execution_next_points(struct execution *execution,
                                             struct result_points *points, struct error *err);

/* After the page's last series: the cursor of the next page, empty when there is none. */
struct slice execution_next_page(const struct execution *execution);

/* Of everything until now. */
void execution_stats(const struct execution *execution, struct execution_stats *stats);

/* ---- list of metrics -------------------------------------------------------------------- */

struct listing {
    struct metric_info *items; /* in the arena, strings too */
    size_t count;
    bool more;    /* metrics follow */
    bool partial; /* damage may hide metrics, or part of what is told of them */
};

/* One page of the metrics that a tier holds, by name: those with a series that any selector matches
 * (no selectors: all), whose name holds the search text and comes after request->after. */
MUST_CHECK enum status listing_read(struct listing *listing,
                                    const struct query_environment *environment,
                                    const struct metrics_request *request, struct arena *arena,
                                    struct error *err);

/* ---- export ----------------------------------------------------------------------------- */

/* Everything is borrowed for the call. */
struct export_series {
    const struct labels *labels; /* canonical */
    struct slice family;         /* what the metric is registered under: "x" for "x_bucket" */
    enum metric_type type;
    struct slice unit; /* of the family; may be empty */
    struct slice help; /* likewise */
    /* A sample of this metric in the export (stale markers aside) is none that metric_type_allows
     * of `type`. Always false where the sink does not check types. */
    bool breaks_type;
};

struct export_sink;

/* Anything but OK ends the export and is returned. */
struct export_sink_ops {
    enum status (*begin_series)(struct export_sink *sink, const struct export_series *series,
                                struct error *err);
    /* In rising time; stale markers too. At least once a series. */
    enum status (*samples)(struct export_sink *sink, const int64_t *times, const double *values,
                           size_t count, struct error *err);
    enum status (*end_series)(struct export_sink *sink, struct error *err);
};

struct export_sink {
    const struct export_sink_ops *ops;
    /* Wants to know breaks_type. Each counter and info is looked through before it is given, most
     * of it by the summaries of its blocks. */
    bool checks_types;
};

struct export_outcome {
    uint64_t series;
    uint64_t samples;
    bool partial; /* damaged blocks were left out */
};

/* As query_export (query/query.h). */
MUST_CHECK enum status export_run(const struct query_environment *environment,
                                  const struct export_request *request, struct export_sink *sink,
                                  struct arena *arena, struct export_outcome *outcome,
                                  struct error *err);

#endif

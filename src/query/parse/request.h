/*
 * request - what the client asked for, checked, with every default filled in.
 *
 * Ownership: strings and arrays live in the arena that was given; the matchers' regular expressions
 * are freed by the ..._release of each.
 */
#ifndef METRIC_STORE_QUERY_PARSE_REQUEST_H
#define METRIC_STORE_QUERY_PARSE_REQUEST_H

#include "query/query.h"

enum query_aggregate {
    AGGREGATE_NONE, /* raw samples */
    AGGREGATE_SUM,
    AGGREGATE_AVG,
    AGGREGATE_MIN,
    AGGREGATE_MAX,
    AGGREGATE_COUNT,
    AGGREGATE_FIRST,
    AGGREGATE_LAST,
    AGGREGATE_STDDEV,
    AGGREGATE_RATE,
    AGGREGATE_INCREASE,
    AGGREGATE_QUANTILE,
};

enum { REQUEST_MAX_BY = 64 };

struct query_request {
    struct matchers matchers;
    struct time_range range; /* not empty */
    enum query_aggregate aggregate;
    double quantile;     /* 0 to 1, with AGGREGATE_QUANTILE */
    int64_t interval_ms; /* 0: one bucket */
    bool grouped;        /* `by` was given, be it empty */
    struct slice *by;    /* sorted, each once */
    size_t by_count;
    bool over_series;
    uint64_t limit;
    bool has_after;
    struct labels after;
    int64_t timeout_ms; /* 0: none */
};

/* INVALID, UNSUPPORTED, LIMIT ("query_points_limit"), or what the arena says. */
MUST_CHECK enum status query_request_parse(struct query_request *request,
                                           const struct query_parameter *parameters, size_t count,
                                           const struct query_limits *limits, int64_t now_ms,
                                           struct arena *arena, struct error *err);
void query_request_release(struct query_request *request);

/* A union of conjunctions. */
struct selectors {
    struct matchers *items;
    size_t count;
};

struct export_request {
    struct selectors selectors; /* at least one */
    struct time_range range;
    uint64_t limit; /* series; 0: all */
};

MUST_CHECK enum status export_request_parse(struct export_request *request,
                                            const struct query_parameter *parameters, size_t count,
                                            int64_t now_ms, struct arena *arena, struct error *err);
void export_request_release(struct export_request *request);

struct metrics_request {
    struct selectors selectors; /* none: all metrics */
    struct slice search;        /* in the name, in any case; empty: all */
    struct slice after;         /* name of the last metric of the page before; empty: none */
    uint64_t limit;
};

MUST_CHECK enum status metrics_request_parse(struct metrics_request *request,
                                             const struct query_parameter *parameters, size_t count,
                                             const struct query_limits *limits, struct arena *arena,
                                             struct error *err);
void metrics_request_release(struct metrics_request *request);

#endif

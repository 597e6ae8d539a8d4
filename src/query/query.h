/*
 * query - the read side of the REST interface over one tier: query, export, list of metrics.
 *
 *   parse/    name=value pairs -> a checked request
 *   plan/     request -> a tree of nodes
 *   execute/  the tree -> series of points, pulled one batch at a time
 *   format/   series of points -> JSON, pushed into a sink
 * Each may include what stands above it, never what stands below.
 *
 * What an aggregate means (docs/API.md has it for users):
 *   - Buckets are [t, t + interval), aligned to 1970 UTC and named by t; without an interval there
 *     is one, [start, end), named by start. A bucket without samples gives no point.
 *   - Stale markers are no samples. NaN is one: count counts it, first and last return it bit for
 *     bit, it makes sum, avg, stddev, rate and increase NaN, and min, max and quantiles pass over
 *     it (they are NaN where there is nothing else). A computed NaN is the ordinary one.
 *   - sum and avg are compensated sums; stddev (population) rests on moments kept in twice the
 *     precision of a double, so that it is right to the last digits whatever the mean.
 *   - increase sums the differences of consecutive samples of one series (a value below its
 *     predecessor counts whole: a reset), each in the later sample's bucket. The first sample's
 *     predecessor counts when it is at most 5 minutes older, even before `start`. A bucket without
 *     a difference gives no point. rate is increase by the bucket's whole length in seconds, also
 *     where `start` or `end` cut the bucket.
 *   - A quantile lies between the ranks floor(h) and floor(h) + 1 of h = q (n - 1), linearly.
 *   - Groups: an absent label is an empty one, and an empty one is left out of the answer. The
 *     metric's name of a group is the name that all of its series share, else empty.
 *
 * Threads: any number of queries at once, each on one thread.
 * Units:   times in Unix milliseconds UTC, ranges [start, end).
 */
#ifndef METRIC_STORE_QUERY_QUERY_H
#define METRIC_STORE_QUERY_QUERY_H

#include "os/clock.h"
#include "storage/storage.h"

enum { QUERY_MAX_PARAMETERS = 256 };

/* One field of a form or URL, decoded; borrowed. */
struct query_parameter {
    struct slice name;
    struct slice value;
};

/* What one query may cost. 0: no limit. */
struct query_limits {
    uint64_t max_samples;    /* decoded; what block summaries answer is free */
    size_t max_memory_bytes; /* half for the tier's selection, half for the rest */
    int64_t timeout_ms;      /* a `timeout` parameter can only shorten it */
    uint64_t max_points;     /* buckets of one series */
    uint64_t default_limit;  /* series on a page when `limit` is not given; must not be 0 */
    size_t max_series;       /* that may match */
};

/* Where and under what rules a query runs; borrowed for the call. */
struct query_environment {
    struct tier *tier;
    struct clock *clock;
    struct query_limits limits;
    /* Asked every few thousand samples; true ends the query with CANCELLED. May be NULL. */
    bool (*cancelled)(void *context);
    void *context;
};

/* Takes an answer piece by piece (tens of kilobytes each); anything but OK ends the query with that
 * status. */
struct query_sink {
    enum status (*write)(struct query_sink *sink, struct slice piece, struct error *err);
};

/*
 * Answers GET /api/v1/metrics/query as JSON. Nothing is written before the first series (grouped:
 * all of them) is known, so that most errors come before the first byte.
 *   INVALID      "invalid_parameter", "selector_syntax", ...: the message names the parameter
 *   UNSUPPORTED  fill and tz, which this version does not have
 *   LIMIT        "query_samples_limit", "query_memory_limit", "query_series_limit",
 *                "query_points_limit"
 *   TIMEOUT      "query_timeout"
 *   CANCELLED    environment->cancelled said so
 *   others       as the tier or the sink returned them
 */
MUST_CHECK enum status query_answer(const struct query_environment *environment,
                                    const struct query_parameter *parameters, size_t count,
                                    struct query_sink *sink, struct error *err);

/* Answers GET /api/v1/metrics as JSON; errors as above. */
MUST_CHECK enum status query_list_metrics(const struct query_environment *environment,
                                          const struct query_parameter *parameters, size_t count,
                                          struct query_sink *sink, struct error *err);

/* Everything is borrowed for the call. */
struct export_series {
    const struct labels *labels; /* canonical */
    struct slice family;         /* what the metric is registered under: "x" for "x_bucket" */
    enum metric_type type;
    struct slice unit; /* of the family; may be empty */
    struct slice help; /* likewise */
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
};

struct export_outcome {
    uint64_t series;
    uint64_t samples;
    bool partial; /* damaged blocks were left out */
};

/*
 * Hands every sample that GET /api/v1/metrics/export asks for to `sink`: one consistent snapshot,
 * by family, metric name and labels; series without a sample in the range are left out. Memory
 * follows the number of series, not of samples. Of the limits only max_memory_bytes and max_series
 * hold. The parameter `format` is the caller's affair and passed over. *outcome is true also when
 * the export failed half-way.
 */
MUST_CHECK enum status query_export(const struct query_environment *environment,
                                    const struct query_parameter *parameters, size_t count,
                                    struct export_sink *sink, struct export_outcome *outcome,
                                    struct error *err);

#endif

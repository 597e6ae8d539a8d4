/*
 * parse - from name=value pairs to a request that is checked, with every default filled in.
 *
 * Ownership: strings and arrays live in the arena that was given or borrow the parameters, which
 * must outlive the request; what is outside of it, the matchers' regular expressions and
 * the time zone, is freed by each ..._release.
 * Errors: INVALID "invalid_parameter" names the parameter, what is wrong with its value, and what
 * is accepted.
 */
#ifndef METRIC_STORE_QUERY_PARSE_PARSE_H
#define METRIC_STORE_QUERY_PARSE_PARSE_H

#include "base/arena.h"
#include "base/bytes.h"
#include "cxx/zone.h"
#include "model/matcher.h"
#include "model/time_range.h"

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

/* What a bucket without a value gives. */
enum query_fill {
    FILL_NONE,     /* no point */
    FILL_NULL,     /* a point without a value */
    FILL_PREVIOUS, /* the last value before it; a point without a value where there is none */
};

enum { REQUEST_MAX_BY = 64 };

struct query_request {
    struct matchers matchers;
    struct time_range range; /* not empty */
    enum query_aggregate aggregate;
    double quantile;      /* 0 to 1, with AGGREGATE_QUANTILE */
    int64_t interval_ms;  /* 0: one bucket */
    struct zone *zone;    /* aligns buckets of an hour and more; NULL: 1970 UTC does */
    uint64_t max_points;  /* buckets of one series; 0: no limit */
    enum query_fill fill; /* other than FILL_NONE only with an interval */
    bool grouped;         /* `by` was given, be it empty */
    struct slice *by;     /* sorted, each once */
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

struct delete_request {
    struct selectors selectors; /* at least one */
    struct time_range range;
};

/* INVALID also without any selector: nobody deletes everything by leaving it out. */
MUST_CHECK enum status delete_request_parse(struct delete_request *request,
                                            const struct query_parameter *parameters, size_t count,
                                            int64_t now_ms, struct arena *arena, struct error *err);
void delete_request_release(struct delete_request *request);

/* ---- cursors ---------------------------------------------------------------------------- */

/*
 * Where the next page begins: the labels of the last series (or group) of this one. As text:
 * base64url without padding (RFC 4648, 5) of
 *   kind byte, canonical encoding of the labels, CRC32C of both (little-endian)
 * so that a cursor which was cut, or which belongs to another kind of query, is refused.
 */
enum cursor_kind { CURSOR_SERIES = 1, CURSOR_GROUP = 2 };

/* Appends the text. */
MUST_CHECK enum status cursor_encode(enum cursor_kind kind, const struct labels *labels,
                                     struct bytes *text);

/* INVALID when it is not a cursor of `kind`; LIMIT and MEMORY of the arena, where the labels go. */
MUST_CHECK enum status cursor_decode(enum cursor_kind kind, struct slice text, struct arena *arena,
                                     struct labels *labels, struct error *err);

#endif

/*
 * query - the read side of the REST interface over one tier: query, export, list of metrics.
 *
 *   parse/    name=value pairs -> a checked request
 *   plan/     request -> a tree of nodes
 *   execute/  the tree -> series of points, pulled one batch at a time
 *   format/   series of points -> JSON, pushed into a sink
 * Each includes the one before it, whose result it takes, and no other.
 *
 * What an aggregate means (docs/API.md has it for users):
 *   - Buckets are [t, t + interval), aligned to 1970 UTC and named by t; those of an hour and more
 *     with `tz` as plan/local_buckets.h says. Without an interval there is one, [start, end), named
 *     by start. A bucket without a value gives what `fill` says: no point, null, or the value of
 *     the last bucket of the answer that has one. Series without any value are left out all the
 *     same.
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

#include "query/format/format.h"

/*
 * Answers GET /api/v1/metrics/query as JSON. Nothing is written before the first series (grouped:
 * all of them) is known, so that most errors come before the first byte.
 *   INVALID      "invalid_parameter", "selector_syntax", ...: the message names the parameter
 *   UNSUPPORTED  tz, on a machine without a time zone database
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

/*
 * Hands every sample that GET /api/v1/metrics/export asks for to `sink`: one consistent snapshot,
 * by metric name in byte order, then by labels; series without a sample in the range are left out.
 * Memory follows the number of series, not of samples. Of the limits only max_memory_bytes and
 * max_series hold. The parameter `format` is the caller's affair and passed over. *outcome is true
 * also when the export failed half-way.
 */
MUST_CHECK enum status query_export(const struct query_environment *environment,
                                    const struct query_parameter *parameters, size_t count,
                                    struct export_sink *sink, struct export_outcome *outcome,
                                    struct error *err);

/* Does what DELETE /api/v1/metrics/series asks for; errors as above, and those of storage_delete.
 */
MUST_CHECK enum status query_delete(const struct query_environment *environment,
                                    const struct query_parameter *parameters, size_t count,
                                    struct delete_result *result, struct error *err);

#endif

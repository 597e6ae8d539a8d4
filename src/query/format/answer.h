/*
 * answer - the JSON documents of GET /api/v1/metrics/query and GET /api/v1/metrics.
 */
#ifndef METRIC_STORE_QUERY_FORMAT_ANSWER_H
#define METRIC_STORE_QUERY_FORMAT_ANSWER_H

#include "query/execute/execution.h"
#include "query/execute/listing.h"
#include "query/format/json.h"

/* Pulls the whole page out of an opened execution. */
MUST_CHECK enum status answer_write(struct json *json, struct execution *execution,
                                    struct error *err);

MUST_CHECK enum status answer_write_metrics(struct json *json, const struct listing *listing);

#endif

/*
 * format - the JSON documents of GET /api/v1/metrics/query and GET /api/v1/metrics, pushed into a
 * sink.
 */
#ifndef METRIC_STORE_QUERY_FORMAT_FORMAT_H
#define METRIC_STORE_QUERY_FORMAT_FORMAT_H

#include "query/execute/execute.h"

/* Takes an answer piece by piece (tens of kilobytes each); anything but OK ends the query with that
 * status. */
struct query_sink {
    enum status (*write)(struct query_sink *sink, struct slice piece, struct error *err);
};

/* Pulls the whole page out of `execution`. Nothing is written before its first series is known. */
MUST_CHECK enum status answer_write(struct execution *execution, struct query_sink *sink,
                                    struct arena *arena, struct error *err);

MUST_CHECK enum status answer_write_metrics(const struct listing *listing, struct query_sink *sink,
                                            struct arena *arena, struct error *err);

#endif

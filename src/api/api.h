/*
 * api - every route of the service in one table, and what happens behind each.
 *
 *   ingest.c   bodies -> batches -> the write buffer -> answers
 *   read.c     queries, lists and exports, on threads of their own
 *   admin.c    snapshots
 *   system.c   alive and ready; metrics_export.c   /metrics and health
 *
 * Threads: handlers run on HTTP threads; see http.h.
 */
#ifndef METRIC_STORE_API_API_H
#define METRIC_STORE_API_API_H

#include "admission/admission.h"
#include "api/metrics_export.h"
#include "buffer/buffer.h"
#include "http/http.h"
#include "query/query.h"
#include "storage/storage.h"

struct api; /* opaque */

struct api_snapshot {
    char path[1024]; /* where it is; longer ones are refused */
    uint64_t parts, segments, samples, series, bytes, missing;
    int64_t duration_ms;
};

/* Makes a snapshot of the store under this name, which is one component of a path. On a thread that
 * may wait. */
typedef enum status api_take_snapshot(void *context, const char *name,
                                      struct api_snapshot *snapshot, struct error *err);

struct api_options {
    struct tier *tier;
    struct admission *admission;
    struct write_buffer *buffer;
    struct os os;
    const struct log *log;
    size_t max_decoded_size;      /* of a body */
    struct memory_share *batches; /* what all bodies together may take once parsed */
    struct memory_share *queries; /* what all queries together may take */
    uint32_t json_max_depth;
    struct query_limits query_limits;
    unsigned query_threads;
    unsigned query_queue;
    uint64_t hash_seed;              /* secret */
    struct metrics_sources *metrics; /* for /metrics and health; read when a request comes */
    struct ingest_telemetry *ingest_telemetry;
    struct query_telemetry *query_telemetry;
    api_take_snapshot *take_snapshot;
    void *snapshot_context;
};

/* Gives *api, ended by api_free after the HTTP server has stopped and the buffer is closed. */
MUST_CHECK enum status api_new(struct api **api, const struct api_options *options,
                               struct error *err);
void api_free(struct api *api); /* accepts NULL */

/* The table; lives as long as the api. */
const struct http_route *api_routes(const struct api *api, size_t *count);

/* Readiness fails from now on: nobody new should come. */
void api_stop_ready(struct api *api);
/* Lets every query that runs end with CANCELLED. */
void api_drain(struct api *api);

void api_set_query_limits(struct api *api, const struct query_limits *limits);
void api_query_pool(struct api *api, struct query_pool_metrics *metrics);

#endif

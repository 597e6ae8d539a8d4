/*
 * metrics_export - GET /metrics and GET /api/v1/health, and what is noted of every request.
 *
 * Puts the service's own numbers together: telemetry's objects, and a snapshot that serve takes of
 * the modules' stats, because it alone knows the concrete ones.
 *
 * Threads: any; everything is borrowed for the life of the HTTP server.
 */
#ifndef METRIC_STORE_API_METRICS_EXPORT_H
#define METRIC_STORE_API_METRICS_EXPORT_H

#include "buffer/buffer.h"
#include "http/http.h"
#include "telemetry/telemetry.h"

struct metrics_snapshot {
    struct http_stats http;
    struct write_buffer_stats buffer;
    struct query_pool_metrics query_pool;
    struct storage_metrics storage;
    struct memory_metrics memory;
};

struct metrics_sources {
    const char *version;
    int64_t started_ns; /* monotonic */
    const struct http_telemetry *http;
    const struct ingest_telemetry *ingest;
    const struct query_telemetry *query;
    /* Fills *snapshot, which comes zeroed. */
    void (*snapshot)(void *context, struct metrics_snapshot *snapshot);
    void *context;
    const struct health_check *checks;
    size_t check_count;
    struct filesystem *fs; /* for /proc */
    struct clock *clock;
    const struct log *log; /* may be NULL */
};

/*
 * Appends the whole document. Where /proc cannot be read, that is logged and the families of the
 * process are left out. Errors: LIMIT, MEMORY.
 */
MUST_CHECK enum status metrics_export_write(const struct metrics_sources *sources,
                                            enum metrics_format format, struct bytes *to);

void metrics_write_http_stats(struct metrics_writer *writer, const struct http_stats *stats);
void metrics_write_buffer(struct metrics_writer *writer, const struct write_buffer_stats *stats);

/* Handlers; the context is a struct metrics_sources. They run the checks and take the snapshot on
 * the calling thread. */
http_handler metrics_export_answer;
http_handler health_answer;

/* Gives counters for these routes, ended by http_telemetry_free. Errors: LIMIT, MEMORY. */
MUST_CHECK enum status http_telemetry_of_routes(struct http_telemetry **telemetry,
                                                const struct http_route *routes, size_t count,
                                                struct error *err);

/* The context of request_observe: counts a request and logs it. */
struct request_observer {
    struct http_telemetry *telemetry; /* of these routes: */
    const struct http_route *routes;  /* the very array that the server was given */
    size_t route_count;
    struct request_log log;
};

http_access_hook request_observe;

#endif

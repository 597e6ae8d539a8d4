/*
 * serve_parts - the parts of a running service, shared by serve.c and serve_report.c.
 */
#ifndef METRIC_STORE_COMMANDS_SERVE_PARTS_H
#define METRIC_STORE_COMMANDS_SERVE_PARTS_H

#include "admission/admission.h"
#include "api/api.h"
#include "base/memory_share.h"
#include "buffer/buffer.h"
#include "config/config.h"
#include "http/http.h"
#include "os/os.h"
#include "storage/engine/engine.h"

struct service {
    struct config config;
    struct config_sources sources; /* read again on SIGHUP */
    struct os os;
    struct log log;
    char *data_dir;        /* of its own: a reload replaces the configuration's texts */
    uint64_t memory_bytes; /* memory.limit in force, divided by budget.h */
    struct memory_share batches, queries;
    uint64_t head_share;      /* of one of both */
    uint64_t max_descriptors; /* open files and sockets of the process */
    int64_t started_ns;       /* monotonic */
    struct tier *tier;
    struct admission *admission;
    struct write_buffer *buffer;
    struct api *api;
    struct http_server *server;
    int bound_fd; /* the address, until the server takes it; -1 */
    struct ingest_telemetry *ingest_telemetry;
    struct query_telemetry *query_telemetry;
    struct http_telemetry *http_telemetry;
    struct request_observer observer;
    struct metrics_sources metrics;
    struct health_check checks[HEALTH_MAX_CHECKS];
};

/* Runs until SIGTERM or SIGINT. The exit code. */
int serve_with(const struct config_sources *sources);

/* serve_report.c */

/* Fills service->metrics and the checks: what /metrics and health read. After all parts but the
 * server are there. */
void service_report_init(struct service *service);

/* serve_snapshot.c: of api.h; `context` is the service. */
enum status service_take_snapshot(void *context, const char *name, struct api_snapshot *snapshot,
                                  struct error *err);

/* serve_report.c */

/* Logs, at the start, when there is no memory for another series. */
void service_warn_of_series_memory(struct service *service);

#endif

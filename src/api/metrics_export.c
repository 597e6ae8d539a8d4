#include "api/metrics_export.h"

#include "base/invariant.h"

/* Room for every family with every route; what is refused beyond it is a bug of ours. */
enum { DOCUMENT_MAX_SIZE = 8 << 20, HEALTH_MAX_SIZE = 64 << 10 };

/* ---- the document ----------------------------------------------------------------------- */

void metrics_write_http_stats(struct metrics_writer *writer, const struct http_stats *stats)
{
    metrics_family(writer, "metric_store_http_connections", METRIC_GAUGE, NULL,
                   "Connections that are open.");
    metrics_count(writer, NULL, stats->connections);
    metrics_family(writer, "metric_store_http_connections_accepted", METRIC_COUNTER, NULL,
                   "Connections that were accepted.");
    metrics_count(writer, NULL, stats->connections_total);
    metrics_family(writer, "metric_store_http_refused", METRIC_COUNTER, NULL,
                   "What the HTTP server refused or closed by its own limits, by reason.");
    for (unsigned i = 0; i < HTTP_REFUSAL_COUNT; i++)
        metrics_count(writer, METRICS_LABELS({"reason", http_refusal_name((enum http_refusal)i)}),
                      stats->refused[i]);
    metrics_family(writer, "metric_store_http_clients_left", METRIC_COUNTER, NULL,
                   "Requests whose client left before the answer.");
    metrics_count(writer, NULL, stats->clients_left);
}

/* The buckets of struct write_buffer_stats: 2^i / 4 ms. */
#define MS UINT64_C(1000000)
static const struct histogram_bounds commit_bounds = {
    .scale = 1000 * MS,
    .count = COMMIT_BUCKETS - 1,
    .bounds = {MS / 4, MS / 2, MS, 2 * MS, 4 * MS, 8 * MS, 16 * MS, 32 * MS, 64 * MS, 128 * MS,
               256 * MS, 512 * MS, 1024 * MS, 2048 * MS, 4096 * MS},
};

static void counter(struct metrics_writer *writer, const char *name, uint64_t value,
                    const char *help)
{
    metrics_family(writer, name, METRIC_COUNTER, NULL, help);
    metrics_count(writer, NULL, value);
}

static void write_queue(struct metrics_writer *writer, const struct write_buffer_stats *stats)
{
    metrics_family(writer, "metric_store_ingest_queue_batches", METRIC_GAUGE, NULL,
                   "Batches that wait for their group commit, or are in it.");
    metrics_count(writer, NULL, stats->waiting_batches);
    metrics_family(writer, "metric_store_ingest_queue_bytes", METRIC_GAUGE, "bytes",
                   "Bytes of these batches.");
    metrics_count(writer, NULL, stats->waiting_bytes);
    metrics_family(writer, "metric_store_ingest_queue_limit_bytes", METRIC_GAUGE, "bytes",
                   "Bytes from which on the queue is full and writers get 503.");
    metrics_count(writer, NULL, stats->max_bytes);
    counter(writer, "metric_store_ingest_queue_refused_batches", stats->refused_full,
            "Batches that were refused with 503 because the queue was full.");
}

void metrics_write_buffer(struct metrics_writer *writer, const struct write_buffer_stats *stats)
{
    write_queue(writer, stats);
    counter(writer, "metric_store_ingest_commits", stats->commits,
            "Group commits that ended well.");
    counter(writer, "metric_store_ingest_committed_batches", stats->batches,
            "Batches in these; by their number: batches that share a sync.");
    counter(writer, "metric_store_ingest_committed_samples", stats->samples, "Samples in these.");
    counter(writer, "metric_store_ingest_failed_batches", stats->failed_batches,
            "Batches that could not be committed; their senders were told.");
    counter(writer, "metric_store_ingest_commit_retries", stats->retries,
            "Group commits that were tried again after a failure that passes.");
    metrics_family(writer, "metric_store_ingest_commit_duration_seconds", METRIC_HISTOGRAM,
                   "seconds",
                   "Time from handing a batch to the queue until it was durable, sync included.");
    metrics_buckets(writer, NULL, &commit_bounds, stats->latency_buckets, stats->latency_ns_sum);
}

static int64_t uptime_ns(const struct metrics_sources *sources)
{
    return clock_monotonic_ns(sources->clock) - sources->started_ns;
}

static void make_report(const struct metrics_sources *sources, struct health_report *report)
{
    health_report_make(report, sources->checks, sources->check_count, sources->version,
                       uptime_ns(sources), sources->clock);
}

static void write_process(struct metrics_writer *writer, const struct metrics_sources *sources)
{
    struct process_stats stats;
    struct error err;
    if (process_stats_read(sources->fs, "", &stats, &err) == STATUS_OK)
        metrics_write_process(writer, &stats);
    else
        log_event(sources->log, LOG_WARN, "telemetry", "no metrics of the process",
                  log_text("reason", err.message));
}

enum status metrics_export_write(const struct metrics_sources *sources, enum metrics_format format,
                                 struct bytes *to)
{
    struct metrics_snapshot snapshot = {0};
    sources->snapshot(sources->context, &snapshot);
    struct health_report report;
    make_report(sources, &report);

    struct metrics_writer writer;
    metrics_begin(&writer, to, format);
    metrics_write_service(&writer, sources->version, uptime_ns(sources));
    metrics_write_health(&writer, &report);
    metrics_write_http(&writer, sources->http);
    metrics_write_http_stats(&writer, &snapshot.http);
    metrics_write_ingest(&writer, sources->ingest);
    metrics_write_buffer(&writer, &snapshot.buffer);
    metrics_write_query(&writer, sources->query);
    metrics_write_query_pool(&writer, &snapshot.query_pool);
    metrics_write_storage(&writer, &snapshot.storage);
    metrics_write_memory(&writer, &snapshot.memory);
    write_process(&writer, sources);
    return metrics_finish(&writer);
}

/* ---- handlers --------------------------------------------------------------------------- */

/* Gives up the request and the body. */
static void respond(struct http_request *request, enum status status, unsigned http_status,
                    const char *content_type, struct bytes *body)
{
    if (status == STATUS_OK) {
        http_respond(request, (struct http_answer){.status = http_status,
                                                   .content_type = content_type,
                                                   .body = *body});
        return;
    }
    bytes_release(body);
    http_respond_problem(
        request, &(struct http_problem){.status = 503,
                                        .code = "out_of_memory",
                                        .detail = "no memory for the answer; ask again later",
                                        .retry_after_s = 1});
}

void metrics_export_answer(struct http_request *request, void *context)
{
    struct slice accept = slice_of(NULL, 0);
    (void)http_request_header(request, "Accept", &accept); /* none: text */
    enum metrics_format format = metrics_format_accepted(accept);
    struct bytes body;
    bytes_init(&body, DOCUMENT_MAX_SIZE);
    enum status status = metrics_export_write(context, format, &body);
    invariant(status != STATUS_LIMIT);
    respond(request, status, 200, metrics_content_type(format), &body);
}

void health_answer(struct http_request *request, void *context)
{
    struct health_report report;
    make_report(context, &report);
    struct bytes body;
    bytes_init(&body, HEALTH_MAX_SIZE);
    enum status status = health_report_write(&report, &body);
    invariant(status != STATUS_LIMIT);
    respond(request, status, health_report_http_status(&report), "application/json", &body);
}

/* ---- every request ---------------------------------------------------------------------- */

enum status http_telemetry_of_routes(struct http_telemetry **telemetry,
                                     const struct http_route *routes, size_t count,
                                     struct error *err)
{
    struct http_telemetry_route named[HTTP_TELEMETRY_MAX_ROUTES];
    for (size_t i = 0; i < count && i < HTTP_TELEMETRY_MAX_ROUTES; i++)
        named[i] = (struct http_telemetry_route){routes[i].method, routes[i].path};
    return http_telemetry_new(telemetry, named, count, err);
}

void request_observe(void *context, const struct http_access *access)
{
    struct request_observer *observer = context;
    struct request_record record = {
        .route = HTTP_TELEMETRY_NO_ROUTE,
        .method = access->method,
        .path = access->path,
        .request_id = access->request_id,
        .peer = access->peer,
        .status = access->status,
        .bytes_in = access->bytes_in,
        .bytes_out = access->bytes_out,
        .duration_ns = access->duration_ns,
    };
    if (access->route != NULL) {
        record.route = (size_t)(access->route - observer->routes);
        invariant(record.route < observer->route_count);
    }
    http_telemetry_record(observer->telemetry, &record);
    request_log_write(&observer->log, &record, access->route == NULL ? NULL : access->route->path);
}

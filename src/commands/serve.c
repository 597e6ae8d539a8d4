/*
 * serve - the service: wires the concrete parts together, and is the only place that names them
 * all.
 *
 *   http -> api -> protocols, admission -> buffer -> storage (the embedded engine)
 *
 * Started in the order in which they need one another, stopped in the reverse.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/api.h"
#include "commands/budget.h"
#include "commands/serve_parts.h"
#include "commands/store.h"
#include "os/descriptors.h"
#include "os/memory.h"

enum {
    MAX_COMMIT_SAMPLES = 1 << 20,
    COMMIT_RETRY_MS = 5000,
    STOP_RESERVE_MS = 2000, /* of the drain's time, kept for the flush */
    OWN_DESCRIPTORS = 256,  /* the log, parts that are made, threads, answers that linger */
};

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* ---- options out of the configuration --------------------------------------------------- */

/* What all query threads together may take stays within their share of the budget. */
static struct query_limits query_limits_of(const struct config *config, uint64_t memory_bytes)
{
    return (struct query_limits){
        .max_samples = config->query.max_samples,
        .max_memory_bytes =
            smaller(config->query.max_memory_bytes,
                    budget_share(memory_bytes, BUDGET_QUERIES) / config->query.threads),
        .timeout_ms = config->query.timeout_ms,
        .max_points = config->query.max_points,
        .default_limit = config->query.default_limit,
    };
}

/* Sockets and files share one limit, and each part is an open file, as far as there is room. */
static uint64_t max_connections_of(struct service *service)
{
    uint64_t wanted = service->config.server.max_connections;
    struct engine_stats engine;
    engine_stats(service->tier, &engine);
    uint64_t most = descriptors_for_connections(service->max_descriptors,
                                                OWN_DESCRIPTORS + engine.parts_open, wanted);
    if (most < wanted)
        log_event(&service->log, LOG_WARN, "serve",
                  "the limit of open files leaves fewer connections than server.max_connections: "
                  "raise it (LimitNOFILE= of systemd, ulimit -n)",
                  log_int("open_files", (int64_t)service->max_descriptors),
                  log_int("parts", (int64_t)engine.parts),
                  log_int("max_connections", (int64_t)wanted),
                  log_int("connections", (int64_t)most));
    return most;
}

static struct http_options http_options_of(struct service *service)
{
    const struct config_server *server = &service->config.server;
    struct http_options options = http_options_default();
    options.listen = server->listen;
    options.bound_fd = service->bound_fd;
    options.thread_count = (unsigned)server->threads;
    options.max_header_size = server->max_header_bytes;
    options.max_target_size = server->max_url_bytes;
    /* What all bodies may take, one may: a larger one would be told to try again for ever. */
    options.max_encoded_size =
        smaller(server->max_body_bytes, budget_share(service->memory_bytes, BUDGET_BODIES));
    options.max_decoded_size =
        smaller(server->max_decoded_bytes, budget_share(service->memory_bytes, BUDGET_BODIES));
    options.max_bodies_size = budget_share(service->memory_bytes, BUDGET_BODIES);
    options.max_connections = max_connections_of(service);
    options.max_connections_per_address = server->max_connections_per_address;
    options.header_timeout_ms = server->header_timeout_ms;
    options.idle_timeout_ms = server->idle_timeout_ms;
    options.access = request_observe;
    options.access_context = &service->observer;
    options.log = &service->log;
    options.threads = service->os.threads;
    options.clock = service->os.clock;
    options.random = service->os.random;
    return options;
}

static struct api_options api_options_of(struct service *service)
{
    const struct config *config = &service->config;
    return (struct api_options){
        .tier = service->tier,
        .admission = service->admission,
        .buffer = service->buffer,
        .os = service->os,
        .log = &service->log,
        .max_decoded_size = smaller(config->server.max_decoded_bytes,
                                    budget_share(service->memory_bytes, BUDGET_BODIES)),
        .batches = &service->batches,
        .queries = &service->queries,
        .json_max_depth = (uint32_t)config->ingest.json_max_depth,
        .query_limits = query_limits_of(config, service->memory_bytes),
        .query_threads = (unsigned)config->query.threads,
        .query_queue = (unsigned)config->query.queue,
        .hash_seed = random_u64(service->os.random),
        .metrics = &service->metrics,
        .ingest_telemetry = service->ingest_telemetry,
        .query_telemetry = service->query_telemetry,
        .take_snapshot = service_take_snapshot,
        .snapshot_context = service,
    };
}

/* ---- life ------------------------------------------------------------------------------- */

/* The address first: a start that cannot have it leaves no store behind. */
static enum status open_ground(struct service *service, struct error *err)
{
    enum status status = http_bind(service->config.server.listen, &service->bound_fd, err);
    if (status != STATUS_OK)
        return status;
    struct store_limits limits = {.memory_bytes = service->memory_bytes,
                                  .descriptors = service->max_descriptors};
    struct engine_options engine =
        store_engine_options(&service->config, service->os, &service->log, &limits);
    engine.background = true;
    service->head_share = engine.head_bytes;
    return store_open_engine(&engine, &service->tier, err);
}

static enum status service_start(struct service *service, struct error *err)
{
    enum status status = open_ground(service, err);
    if (status != STATUS_OK)
        return status;
    service->batches.max = budget_share(service->memory_bytes, BUDGET_BATCHES);
    service->queries.max = budget_share(service->memory_bytes, BUDGET_QUERIES);
    struct store_admission_lists lists;
    struct admission_limits limits =
        store_admission_limits(&service->config, service->memory_bytes, &lists);
    status = admission_new(&service->admission, service->os, &limits, err);
    if (status != STATUS_OK)
        return status;
    struct write_buffer_options buffer = {
        .tier = service->tier,
        .os = service->os,
        .max_bytes = smaller(service->config.ingest.queue_bytes, service->batches.max),
        .max_commit_samples = MAX_COMMIT_SAMPLES,
        .retry_ms = COMMIT_RETRY_MS,
    };
    status = write_buffer_open(&service->buffer, &buffer, err);
    if (status != STATUS_OK)
        return status;
    status = ingest_telemetry_new(&service->ingest_telemetry, err);
    if (status == STATUS_OK)
        status = query_telemetry_new(&service->query_telemetry, err);
    if (status != STATUS_OK)
        return status;
    struct api_options api = api_options_of(service);
    status = api_new(&service->api, &api, err);
    if (status != STATUS_OK)
        return status;
    size_t route_count;
    const struct http_route *routes = api_routes(service->api, &route_count);
    status = http_telemetry_of_routes(&service->http_telemetry, routes, route_count, err);
    if (status != STATUS_OK)
        return status;
    service->observer = (struct request_observer){
        .telemetry = service->http_telemetry, .routes = routes, .route_count = route_count};
    request_log_init(&service->observer.log, &service->log, service->os.clock);
    service_report_init(service);
    struct http_options http = http_options_of(service);
    service->bound_fd = -1;
    return http_server_start(&service->server, &http, routes, route_count, err);
}

static void service_stop(struct service *service)
{
    if (service->bound_fd >= 0)
        close(service->bound_fd);
    if (service->server != NULL) {
        int64_t timeout_ms = service->config.server.drain_timeout_ms;
        timeout_ms =
            timeout_ms > 2 * STOP_RESERVE_MS ? timeout_ms - STOP_RESERVE_MS : timeout_ms / 2;
        api_stop_ready(service->api);
        if (http_server_drain(service->server, timeout_ms) != STATUS_OK)
            log_event(&service->log, LOG_WARN, "serve", "requests were still running at the end",
                      log_int("drain_timeout_ms", timeout_ms));
        api_drain(service->api);
        http_server_stop(service->server);
    }
    write_buffer_close(service->buffer);
    api_free(service->api);
    engine_close(service->tier);
    admission_free(service->admission);
    http_telemetry_free(service->http_telemetry);
    ingest_telemetry_free(service->ingest_telemetry);
    query_telemetry_free(service->query_telemetry);
}

static void reload_retention(struct service *service)
{
    struct retention_rule rules[RETENTION_RULES_MAX];
    size_t count = store_retention_rules(&service->config, rules);
    struct error err = {0};
    if (engine_set_retention_rules(service->tier, service->config.retention.default_ms, rules,
                                   count, &err) != STATUS_OK)
        log_event(&service->log, LOG_ERROR, "serve", "retention stays as it was",
                  log_text("error", err.message));
}

static void reload_admission(struct service *service)
{
    struct store_admission_lists lists;
    struct admission_limits limits =
        store_admission_limits(&service->config, service->memory_bytes, &lists);
    struct error err = {0};
    if (admission_set_limits(service->admission, &limits, &err) != STATUS_OK)
        log_event(&service->log, LOG_ERROR, "serve", "limits stay as they were",
                  log_text("error", err.message));
}

static void reload(struct service *service)
{
    struct config fresh;
    struct config_changes changes;
    struct error err = {0};
    if (config_reload(&service->config, &service->sources, &fresh, &changes, &err) != STATUS_OK) {
        log_event(&service->log, LOG_ERROR, "serve", "the configuration was not reloaded",
                  log_text("error", err.message));
        return;
    }
    for (size_t i = 0; i < changes.need_restart_count; i++)
        log_event(&service->log, LOG_WARN, "serve", "a changed setting needs a restart",
                  log_text("section", changes.need_restart[i]->section),
                  log_text("setting", changes.need_restart[i]->name));
    config_release(&service->config);
    service->config = fresh;
    log_level_set(&service->log, service->config.log.level);
    reload_admission(service);
    struct query_limits query = query_limits_of(&service->config, service->memory_bytes);
    api_set_query_limits(service->api, &query);
    reload_retention(service);
    engine_set_warm_after(service->tier, service->config.tiers.warm_after_ms);
    engine_set_window(service->tier, service->config.cardinality.window_ms);
    log_event(&service->log, LOG_INFO, "serve", "configuration reloaded",
              log_int("changed", (int64_t)changes.applied_count));
}

/* Whoever can reach the port may write and read. */
static void warn_if_reachable(const struct service *service)
{
    const char *listen = service->config.server.listen;
    if (strncmp(listen, "127.", 4) == 0 || strncmp(listen, "[::1]", 5) == 0)
        return;
    log_event(&service->log, LOG_WARN, "serve",
              "listening beyond this machine without keys or TLS: anyone who reaches the port may "
              "write and read",
              log_text("listen", listen));
}

static void wait_for_end(struct service *service, const sigset_t *signals)
{
    for (;;) {
        int signal_number;
        if (sigwait(signals, &signal_number) != 0)
            continue;
        if (signal_number == SIGHUP) {
            reload(service);
            continue;
        }
        log_event(&service->log, LOG_INFO, "serve", "stopping",
                  log_text("signal", signal_number == SIGINT ? "INT" : "TERM"));
        return;
    }
}

static int64_t wall_ms(void *context)
{
    (void)context;
    return clock_wall_ms(clock_system());
}

static int run(struct service *service, const sigset_t *signals)
{
    struct error err = {0};
    uint64_t available = 0;
    enum status status = memory_available(service->os.fs, "", &available, &err);
    if (status == STATUS_OK) {
        service->memory_bytes = config_memory_limit(&service->config, available);
        service->max_descriptors = descriptors_raise();
        service->started_ns = clock_monotonic_ns(service->os.clock);
        status = service_start(service, &err);
    }
    if (status != STATUS_OK) {
        log_event(&service->log, LOG_ERROR, "serve", "cannot start",
                  log_text("error", err.message));
        service_stop(service);
        return 1;
    }
    log_event(&service->log, LOG_INFO, "serve", "ready",
              log_text("listen", service->config.server.listen),
              log_int("port", http_server_port(service->server)),
              log_text("data", service->config.storage.path),
              log_int("memory_limit_bytes", (int64_t)service->memory_bytes),
              log_text("version", METRIC_STORE_VERSION));
    warn_if_reachable(service);
    service_warn_of_series_memory(service);
    wait_for_end(service, signals);
    service_stop(service);
    log_event(&service->log, LOG_INFO, "serve", "stopped",
              log_text("data", service->config.storage.path));
    return 0;
}

int serve_with(const struct config_sources *sources)
{
    struct service service = {.os = os_system(), .sources = *sources, .bound_fd = -1};
    struct error err = {0};
    enum status status = config_load(&service.config, sources, &err);
    if (status != STATUS_OK) {
        fprintf(stderr, "metric-store: %s\n", err.message);
        return status == STATUS_MEMORY ? 1 : 2;
    }
    service.log = (struct log){
        .fd = STDERR_FILENO,
        .level = service.config.log.level,
        .format = service.config.log.format,
        .now_ms = wall_ms,
    };
    /* Blocked before any thread is made, so that only sigwait sees them. */
    sigset_t signals;
    sigemptyset(&signals);
    sigaddset(&signals, SIGTERM);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal(SIGPIPE, SIG_IGN);
    service.data_dir = strdup(service.config.storage.path);
    int code = service.data_dir == NULL ? 1 : run(&service, &signals);
    free(service.data_dir);
    config_release(&service.config);
    return code;
}

#include "api/api.h"

#include <stdlib.h>

#include "api/api_internal.h"
#include "base/invariant.h"

static const struct http_route route_table[] = {
    {.method = "POST",
     .path = "/api/v1/metrics/register",
     .handler = register_metric,
     .scope = HTTP_SCOPE_WRITE,
     .takes_body = true,
     .codings = HTTP_TAKES_COMPRESSED,
     .max_encoded_size = 64 * 1024,
     .max_decoded_size = 64 * 1024},
    {.method = "POST",
     .path = "/api/v1/metrics/ingest",
     .handler = ingest_one,
     .scope = HTTP_SCOPE_WRITE,
     .takes_body = true,
     .codings = HTTP_TAKES_COMPRESSED},
    {.method = "POST",
     .path = "/api/v1/metrics/ingest/batch",
     .handler = ingest_batch,
     .scope = HTTP_SCOPE_WRITE,
     .takes_body = true,
     .codings = HTTP_TAKES_COMPRESSED},
    {.method = "POST",
     .path = "/api/v1/import/prometheus",
     .handler = ingest_text,
     .scope = HTTP_SCOPE_WRITE,
     .takes_body = true,
     .codings = HTTP_TAKES_COMPRESSED},
    {.method = "POST",
     .path = "/api/v1/import/csv",
     .handler = ingest_csv,
     .scope = HTTP_SCOPE_WRITE,
     .takes_body = true,
     .codings = HTTP_TAKES_COMPRESSED},
    {.method = "POST",
     .path = "/api/v1/write",
     .handler = ingest_remote_write,
     .scope = HTTP_SCOPE_WRITE,
     .takes_body = true,
     .codings = HTTP_PASSES_SNAPPY},
    {.method = "GET",
     .path = "/api/v1/metrics",
     .handler = read_metrics_list,
     .scope = HTTP_SCOPE_READ,
     .compresses = true},
    {.method = "GET",
     .path = "/api/v1/metrics/query",
     .handler = read_query,
     .scope = HTTP_SCOPE_READ,
     .compresses = true},
    {.method = "POST",
     .path = "/api/v1/metrics/query",
     .handler = read_query,
     .scope = HTTP_SCOPE_READ,
     .takes_form = true,
     .compresses = true,
     .max_encoded_size = 64 * 1024,
     .max_decoded_size = 64 * 1024},
    {.method = "GET",
     .path = "/api/v1/metrics/export",
     .handler = read_export,
     .scope = HTTP_SCOPE_READ,
     .compresses = true},
    {.method = "POST",
     .path = "/api/v1/admin/snapshot",
     .handler = admin_snapshot,
     .scope = HTTP_SCOPE_ADMIN,
     .takes_form = true,
     .max_encoded_size = 4 * 1024,
     .max_decoded_size = 4 * 1024},
    {.method = "DELETE",
     .path = "/api/v1/metrics/series",
     .handler = delete_series,
     .scope = HTTP_SCOPE_WRITE},
    {.method = "GET", .path = "/api/v1/health", .handler = health_answer},
    {.method = "GET", .path = "/-/healthy", .handler = system_healthy},
    {.method = "GET", .path = "/-/ready", .handler = system_ready},
    {.method = "GET",
     .path = "/metrics",
     .handler = metrics_export_answer,
     .scope = HTTP_SCOPE_READ,
     .compresses = true},
};
enum { ROUTE_COUNT = sizeof route_table / sizeof route_table[0] };
_Static_assert((int)ROUTE_COUNT <= (int)API_MAX_ROUTES, "the table is copied into struct api");

enum status api_new(struct api **result, const struct api_options *options, struct error *err)
{
    *result = NULL;
    struct api *api = calloc(1, sizeof *api);
    if (api == NULL)
        return fail(err, STATUS_MEMORY, "no memory for the routes");
    api->options = *options;
    api->query_limits = options->query_limits;
    memcpy(api->routes, route_table, sizeof route_table);
    api->route_count = ROUTE_COUNT;
    for (size_t i = 0; i < api->route_count; i++) {
        http_handler *handler = api->routes[i].handler;
        bool reports = handler == health_answer || handler == metrics_export_answer;
        api->routes[i].context = reports ? (void *)options->metrics : (void *)api;
    }
    mutex_init(&api->lock);
    mutex_init(&api->limits_lock);
    enum status status = worker_pool_open(&api->pool, options->os.threads, options->query_threads,
                                          options->query_queue, err);
    if (status == STATUS_OK)
        status = worker_pool_open(&api->export_pool, options->os.threads, options->query_threads,
                                  options->query_queue, err);
    if (status != STATUS_OK) {
        api_free(api);
        return status;
    }
    *result = api;
    return STATUS_OK;
}

void api_free(struct api *api)
{
    if (api == NULL)
        return;
    worker_pool_close(api->pool);
    worker_pool_close(api->export_pool);
    ingest_jobs_free(api);
    mutex_release(&api->lock);
    mutex_release(&api->limits_lock);
    free(api);
}

const struct http_route *api_routes(const struct api *api, size_t *count)
{
    *count = api->route_count;
    return api->routes;
}

void api_stop_ready(struct api *api)
{
    atomic_store(&api->not_ready, true);
}

void api_drain(struct api *api)
{
    atomic_store(&api->draining, true);
}

void api_set_query_limits(struct api *api, const struct query_limits *limits)
{
    mutex_lock(&api->limits_lock);
    api->query_limits = *limits;
    mutex_unlock(&api->limits_lock);
}

void api_query_pool(struct api *api, struct query_pool_metrics *metrics)
{
    struct worker_pool_stats pool;
    worker_pool_stats(api->pool, &pool);
    *metrics = (struct query_pool_metrics){
        .threads = api->options.query_threads,
        .running = pool.running,
        .waiting = pool.waiting,
        .max_waiting = api->options.query_queue,
    };
}

/*
 * api_internal - what the handlers share; nobody outside this folder includes it.
 */
#ifndef METRIC_STORE_API_API_INTERNAL_H
#define METRIC_STORE_API_API_INTERNAL_H

#include <stdatomic.h>

#include "api/answers.h"
#include "api/api.h"
#include "api/worker_pool.h"
#include "protocols/protocols.h"

enum { API_MAX_ROUTES = 32, SPARE_JOBS = 8 };

struct ingest_job;

struct api {
    struct api_options options;
    struct http_route routes[API_MAX_ROUTES];
    size_t route_count;
    struct worker_pool *pool;
    struct worker_pool *export_pool; /* exports wait for their clients: queries must not */
    struct mutex lock;               /* of the two below */
    struct ingest_job *spare_jobs;
    size_t spare_count;
    struct mutex limits_lock;
    struct query_limits query_limits;
    atomic_bool draining; /* queries end */
    atomic_bool not_ready;
};

/* ingest.c; `context` is the api */
http_handler ingest_one;
http_handler ingest_batch;
http_handler ingest_remote_write;
http_handler ingest_text;
http_handler ingest_csv;
http_handler register_metric;
void ingest_jobs_free(struct api *api);

/* read.c */
http_handler read_query;
http_handler read_metrics_list;
http_handler read_export;

/* parameter_names.c: whether all that the request names in its query and form is among `names`,
 * which end with NULL: a slip must not change what is done. Else *err is INVALID, with the nearest.
 */
bool api_knows_parameters(const struct http_request *request, const char *const *names,
                          struct error *err);

/* admin.c */
http_handler admin_snapshot;

/* delete.c */
http_handler delete_series;

/* system.c */
http_handler system_healthy;
http_handler system_ready;

#endif

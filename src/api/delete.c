/*
 * delete - deletes run on the query threads, since finding the series may take as long as a query.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "api/api_internal.h"

enum { ANSWER_MAX = 256 };

struct delete_job {
    struct api *api;
    struct http_request *request;
    struct work_item item;
    struct query_environment environment;
    struct query_parameter *parameters; /* in the request's arena */
    size_t parameter_count;
};

static void answer(struct http_request *request, const struct delete_result *result)
{
    struct bytes body;
    struct error err = {0};
    bytes_init(&body, ANSWER_MAX);
    if (bytes_format(&body,
                     "{\"status\":\"success\",\"series\":%" PRIu64 ",\"chunks\":%" PRIu64 "}\n",
                     result->series, result->chunks) != STATUS_OK) {
        bytes_release(&body);
        answer_error(request,
                     fail(&err, STATUS_MEMORY, "it is deleted, but there is no memory to say so"),
                     &err);
        return;
    }
    http_respond(request, (struct http_answer){
                              .status = 200, .content_type = "application/json", .body = body});
}

static void run(void *context)
{
    struct delete_job *job = context;
    struct error err = {0};
    struct delete_result result;
    enum status status =
        query_delete(&job->environment, job->parameters, job->parameter_count, &result, &err);
    if (status == STATUS_OK) {
        log_event(job->api->options.log, LOG_INFO, "api", "series deleted",
                  log_int("series", (int64_t)result.series),
                  log_int("chunks", (int64_t)result.chunks));
        answer(job->request, &result);
    } else {
        answer_error(job->request, status, &err);
    }
    free(job);
}

static enum status collect_parameters(struct delete_job *job, struct error *err)
{
    struct http_fields query = http_request_query(job->request);
    job->parameters = arena_alloc(http_request_arena(job->request),
                                  (query.count + 1) * sizeof job->parameters[0]);
    if (job->parameters == NULL)
        return fail(err, STATUS_MEMORY, "no memory for a delete");
    for (size_t i = 0; i < query.count; i++)
        job->parameters[i] = (struct query_parameter){query.items[i].name, query.items[i].value};
    job->parameter_count = query.count;
    return STATUS_OK;
}

void delete_series(struct http_request *request, void *context)
{
    struct api *api = context;
    struct error err = {0};
    struct delete_job *job = calloc(1, sizeof *job);
    if (job == NULL) {
        answer_error(request, fail(&err, STATUS_MEMORY, "no memory for a delete"), &err);
        return;
    }
    job->api = api;
    job->request = request;
    job->item = (struct work_item){.run = run, .context = job};
    mutex_lock(&api->limits_lock);
    struct query_limits limits = api->query_limits;
    mutex_unlock(&api->limits_lock);
    job->environment = (struct query_environment){.tier = api->options.tier,
                                                  .clock = api->options.os.clock,
                                                  .limits = limits,
                                                  .memory = api->options.queries};
    enum status status = collect_parameters(job, &err);
    if (status == STATUS_OK)
        status = worker_pool_submit(api->pool, &job->item, &err);
    if (status != STATUS_OK) {
        answer_error(request, status, &err);
        free(job);
    }
}

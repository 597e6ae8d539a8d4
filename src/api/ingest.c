/*
 * ingest - a body becomes a batch on the HTTP thread; the request then waits, suspended, until the
 * committer has made the batch durable, and is answered from there.
 *
 * Memory of a job is used again: fresh pages for each megabyte body would cost more than parsing
 * it.
 */
#include <stdio.h>
#include <stdlib.h>

#include "api/api_internal.h"
#include "base/shown.h"

enum {
    KEEP_BYTES = 4 * 1024 * 1024, /* of a job's arena, and of its scratch, between requests */
    ARENA_FACTOR = 4,             /* an arena's maximum in decoded bodies */
    SPARE_PART = 4,               /* of the memory of all batches, for spare jobs */
};

enum answer_kind { ANSWER_BATCH, ANSWER_REMOTE_WRITE, ANSWER_REGISTER };

struct ingest_job {
    struct api *api;
    struct http_request *request;
    enum answer_kind answer;
    enum ingest_protocol protocol;
    struct arena arena;
    struct bytes scratch;
    struct json_parser *json; /* made with the first JSON body */
    struct batch batch;
    struct slice registered; /* the name, with ANSWER_REGISTER */
    struct write_entry entry;
    struct ingest_job *next; /* while it is spare */
};

/* ---- jobs ------------------------------------------------------------------------------- */

static void job_free(struct ingest_job *job)
{
    arena_release(&job->arena);
    bytes_release(&job->scratch);
    json_parser_free(job->json);
    free(job);
}

void ingest_jobs_free(struct api *api)
{
    while (api->spare_jobs != NULL) {
        struct ingest_job *next = api->spare_jobs->next;
        job_free(api->spare_jobs);
        api->spare_jobs = next;
    }
}

/* What spare jobs leave is for those at work, half of it at the most for a body once decoded. */
static size_t working_max(const struct api *api)
{
    return api->options.batches->max - api->options.batches->max / SPARE_PART;
}

static size_t scratch_max(const struct api *api)
{
    size_t half = working_max(api) / 2;
    return half < api->options.max_decoded_size ? half : api->options.max_decoded_size;
}

/* As much as may be there when nobody else works: who needs more is told so, and who needs less to
 * come again. */
static void bound_arena(struct ingest_job *job)
{
    size_t most = ARENA_FACTOR * job->api->options.max_decoded_size;
    size_t scratch =
        job->protocol == INGEST_REMOTE_WRITE ? scratch_max(job->api) : job->scratch.capacity;
    size_t left = working_max(job->api) - scratch;
    job->arena.max = most < left ? most : left;
}

static struct ingest_job *job_take(struct api *api, struct http_request *request)
{
    mutex_lock(&api->lock);
    struct ingest_job *job = api->spare_jobs;
    if (job != NULL) {
        api->spare_jobs = job->next;
        api->spare_count--;
    }
    mutex_unlock(&api->lock);
    if (job == NULL) {
        job = calloc(1, sizeof *job);
        if (job == NULL)
            return NULL;
        job->api = api;
        arena_init_shared(&job->arena, 0, api->options.batches);
        bytes_init_shared(&job->scratch, scratch_max(api), api->options.batches);
    }
    job->request = request;
    return job;
}

/* Spare jobs leave most of the memory to those at work. */
static size_t keep_bytes(const struct api *api)
{
    size_t share = api->options.batches->max / SPARE_PART / SPARE_JOBS / 2;
    return share < KEEP_BYTES ? share : KEEP_BYTES;
}

static void job_give_back(struct ingest_job *job)
{
    struct api *api = job->api;
    size_t most = keep_bytes(api);
    arena_reset(&job->arena, most);
    if (job->scratch.capacity > most)
        bytes_release(&job->scratch);
    bytes_clear(&job->scratch);
    mutex_lock(&api->lock);
    bool keep = api->spare_count < SPARE_JOBS;
    if (keep) {
        job->next = api->spare_jobs;
        api->spare_jobs = job;
        api->spare_count++;
    }
    mutex_unlock(&api->lock);
    if (!keep)
        job_free(job);
}

static struct ingest_job *job_begin(struct api *api, struct http_request *request,
                                    enum answer_kind answer, enum ingest_protocol protocol)
{
    struct ingest_job *job = job_take(api, request);
    if (job == NULL) {
        struct error err;
        answer_error(request, fail(&err, STATUS_MEMORY, "no memory for this request; try again"),
                     &err);
        return NULL;
    }
    job->answer = answer;
    job->protocol = protocol;
    bound_arena(job);
    return job;
}

static const struct error *no_room_now(struct error *err)
{
    fail_code(err, STATUS_BUSY, "batches_memory",
              "the memory for requests on their way is used up: try again later");
    return err;
}

static const struct error *too_large(const struct ingest_job *job, struct error *err)
{
    fail_code(
        err, STATUS_LIMIT, "body_too_large",
        "what the body holds takes more than %zu bytes of memory, and server.max_decoded_size "
        "and memory.limit leave no more to one request: send less at once",
        job->arena.max);
    return err;
}

static void job_fail(struct ingest_job *job, enum status status, const struct error *err)
{
    struct error why;
    if (status == STATUS_BUSY && err->code == NULL)
        err = no_room_now(&why);
    else if (status == STATUS_LIMIT && err->code == NULL && job->arena.exhausted)
        err = too_large(job, &why);
    ingest_telemetry_refused(job->api->options.ingest_telemetry, job->protocol,
                             answer_code(status, err));
    answer_error(job->request, status, err);
    job_give_back(job);
}

static enum status job_json(struct ingest_job *job, struct error *err)
{
    if (job->json != NULL)
        return STATUS_OK;
    struct protocol_limits limits = {
        .decoded_max_bytes = job->api->options.max_decoded_size,
        .json_max_depth = job->api->options.json_max_depth,
    };
    return json_parser_new(&job->json, &limits, err);
}

/* ---- commit ----------------------------------------------------------------------------- */

/* Why a registration that was committed, or had nothing to commit, did not take effect. */
static enum status registration_refused(struct ingest_job *job, struct error *err)
{
    const struct batch *batch = &job->batch;
    if (batch->metric_count > 0)
        return batch->metric_outcomes[0] == METRIC_CONTRADICTS
                   ? fail_code(err, STATUS_CONFLICT, "metric_type_conflict",
                               "the metric was registered with another type meanwhile")
                   : STATUS_OK;
    struct metric known;
    if (storage_metric(job->api->options.tier, job->registered, &job->arena, &known, NULL) ==
        STATUS_OK)
        return STATUS_OK;
    return fail_code(err, STATUS_LIMIT, "metric_limit",
                     "as many metrics are registered as there may be; this one is not");
}

static void answer_registered(struct ingest_job *job)
{
    const struct batch *batch = &job->batch;
    struct error err = {0};
    enum status refused = registration_refused(job, &err);
    if (refused != STATUS_OK) {
        answer_error(job->request, refused, &err);
        return;
    }
    bool new_metric = batch->metric_count > 0 && batch->metric_outcomes[0] == METRIC_NEW;
    struct bytes body;
    bytes_init(&body, 256);
    enum status status = bytes_format(&body, "{\"status\":\"%s\"}\n",
                                      new_metric                ? "created"
                                      : batch->metric_count > 0 ? "changed"
                                                                : "unchanged");
    (void)status; /* an answer without a body still says it by its status */
    http_respond(job->request, (struct http_answer){.status = new_metric ? 201 : 200,
                                                    .content_type = "application/json",
                                                    .body = body});
}

static void job_answer(struct ingest_job *job)
{
    ingest_telemetry_batch(job->api->options.ingest_telemetry, job->protocol, &job->batch);
    switch (job->answer) {
    case ANSWER_BATCH:
        answer_batch(job->request, &job->batch);
        break;
    case ANSWER_REMOTE_WRITE:
        answer_remote_write(job->request, &job->batch);
        break;
    case ANSWER_REGISTER:
        answer_registered(job);
        break;
    }
    job_give_back(job);
}

static void committed(void *context, enum status status, const struct error *why)
{
    struct ingest_job *job = context;
    storage_settle(job->api->options.tier, &job->batch);
    if (status == STATUS_OK)
        job_answer(job);
    else
        job_fail(job, status, why);
}

/* A parsed batch goes on its way; with nothing to commit it is answered at once. */
static void job_commit(struct ingest_job *job)
{
    struct api *api = job->api;
    struct error err = {0};
    admission_check_times(api->options.admission, &job->batch,
                          clock_wall_ms(api->options.os.clock));
    enum status status = storage_resolve(api->options.tier, &job->batch,
                                         admission_admitter(api->options.admission), &err);
    if (status != STATUS_OK) {
        job_fail(job, status, &err);
        return;
    }
    if (job->batch.sample_count == 0 && job->batch.metric_count == 0) {
        storage_settle(api->options.tier, &job->batch);
        job_answer(job);
        return;
    }
    job->entry = (struct write_entry){
        .batch = &job->batch,
        .bytes = job->arena.taken + job->scratch.size + http_request_body(job->request).size,
        .done = committed,
        .context = job,
    };
    status = write_buffer_submit(api->options.buffer, &job->entry, &err);
    if (status != STATUS_OK)
        committed(job, status, &err);
}

/* ---- the formats ------------------------------------------------------------------------ */

static const char *const json_parameters[] = {"atomic", "precision", NULL};
static const char *const text_parameters[] = {"atomic", NULL};
static const char *const csv_parameters[] = {"atomic", "format", "header", "precision", NULL};
static const char *const no_parameters[] = {NULL};

static bool flag_of(const struct http_request *request, const char *name, bool *flag,
                    struct error *err)
{
    struct slice value;
    *flag = false;
    if (!http_request_field(request, name, &value))
        return true;
    *flag = slice_equal_text(value, "true") || slice_equal_text(value, "1");
    if (*flag || slice_equal_text(value, "false") || slice_equal_text(value, "0"))
        return true;
    struct shown shown = shown_text(value);
    fail_code(err, STATUS_INVALID, "invalid_parameter",
              "invalid parameter \"%s\": \"%s\" is neither true nor false", name, shown.text);
    return false;
}

static bool precision_of(const struct ingest_job *job, enum time_precision *precision,
                         struct error *err)
{
    struct slice value;
    if (!http_request_field(job->request, "precision", &value) ||
        time_precision_parse(value, precision))
        return true;
    struct shown shown = shown_text(value);
    fail_code(err, STATUS_INVALID, "invalid_parameter",
              "invalid parameter \"precision\": \"%s\" is none of s, ms, us and ns", shown.text);
    return false;
}

static bool json_options_of(const struct ingest_job *job, struct json_options *options,
                            struct error *err)
{
    *options = (struct json_options){.now_ms = clock_wall_ms(job->api->options.os.clock)};
    return precision_of(job, &options->precision, err);
}

static bool csv_options_of(const struct ingest_job *job, struct csv_options *options,
                           struct error *err)
{
    struct slice value;
    bool header;
    *options = (struct csv_options){.now_ms = clock_wall_ms(job->api->options.os.clock)};
    if (!flag_of(job->request, "header", &header, err))
        return false;
    if (http_request_field(job->request, "header", &value))
        options->header = header ? CSV_HEADER_YES : CSV_HEADER_NO;
    if (!http_request_field(job->request, "format", &options->format))
        options->format = slice_of(NULL, 0);
    return precision_of(job, &options->precision, err);
}

static bool is_json(const struct http_request *request)
{
    struct slice type;
    return !http_request_header(request, "Content-Type", &type) ||
           http_request_content_type_is(request, "application/json");
}

static bool is_ndjson(const struct http_request *request)
{
    return http_request_content_type_is(request, "application/x-ndjson") ||
           http_request_content_type_is(request, "application/ndjson") ||
           http_request_content_type_is(request, "application/jsonl");
}

static void answer_wrong_type(struct http_request *request, const char *wanted)
{
    char detail[256];
    struct error err;
    fail(&err, STATUS_INVALID, "this route takes %s; set Content-Type", wanted);
    memcpy(detail, err.message, sizeof detail - 1);
    detail[sizeof detail - 1] = 0;
    http_respond_problem(
        request,
        &(struct http_problem){.status = 415, .code = "unsupported_media_type", .detail = detail});
}

enum json_form { JSON_ONE, JSON_BATCH, JSON_LINES };

static enum status parse_json(struct ingest_job *job, enum json_form form,
                              const struct json_options *options, struct error *err)
{
    struct slice body = http_request_body(job->request);
    enum status status = job_json(job, err);
    if (status != STATUS_OK)
        return status;
    switch (form) {
    case JSON_ONE:
        return protocols_json_parse_sample(job->json, body, options, &job->arena, &job->batch, err);
    case JSON_BATCH:
        return protocols_json_parse_batch(job->json, body, options, &job->arena, &job->batch, err);
    case JSON_LINES:
        return protocols_ndjson_parse(job->json, body, options, &job->arena, &job->batch, err);
    }
    return STATUS_OK;
}

static void ingest_json(struct http_request *request, struct api *api, enum json_form form)
{
    struct ingest_job *job =
        job_begin(api, request, ANSWER_BATCH, form == JSON_LINES ? INGEST_NDJSON : INGEST_JSON);
    if (job == NULL)
        return;
    struct error err = {0};
    struct json_options options;
    bool atomic;
    if (!api_knows_parameters(request, json_parameters, &err) ||
        !json_options_of(job, &options, &err) || !flag_of(request, "atomic", &atomic, &err)) {
        job_fail(job, STATUS_INVALID, &err);
        return;
    }
    enum status status = parse_json(job, form, &options, &err);
    if (status != STATUS_OK) {
        job_fail(job, status, &err);
        return;
    }
    job->batch.atomic = atomic;
    job_commit(job);
}

void ingest_one(struct http_request *request, void *context)
{
    if (is_json(request))
        ingest_json(request, context, JSON_ONE);
    else
        answer_wrong_type(request, "one JSON sample (application/json)");
}

void ingest_batch(struct http_request *request, void *context)
{
    if (is_ndjson(request))
        ingest_json(request, context, JSON_LINES);
    else if (is_json(request))
        ingest_json(request, context, JSON_BATCH);
    else
        answer_wrong_type(request,
                          "a JSON array (application/json) or lines (application/x-ndjson)");
}

void ingest_remote_write(struct http_request *request, void *context)
{
    struct api *api = context;
    struct slice coding;
    struct slice type;
    bool wrong_type = !http_request_content_type_is(request, "application/x-protobuf");
    bool version_2 = http_request_header(request, "Content-Type", &type) && type.size > 0 &&
                     memmem(type.data, type.size, "io.prometheus.write.v2", 22) != NULL;
    if (wrong_type || version_2) {
        answer_wrong_type(request,
                          "remote write 1.0 (application/x-protobuf, prometheus.WriteRequest)");
        return;
    }
    if (!http_request_header(request, "Content-Encoding", &coding) ||
        !slice_equal_text(coding, "snappy")) {
        answer_wrong_type(request, "remote write 1.0 with Content-Encoding: snappy");
        return;
    }
    struct ingest_job *job = job_begin(api, request, ANSWER_REMOTE_WRITE, INGEST_REMOTE_WRITE);
    if (job == NULL)
        return;
    struct protocol_limits limits = {.decoded_max_bytes = scratch_max(api),
                                     .json_max_depth = api->options.json_max_depth};
    struct remote_write_counts counts;
    struct error err = {0};
    enum status status =
        protocols_remote_write_parse(http_request_body(request), &limits, &job->scratch,
                                     &job->arena, &job->batch, &counts, &err);
    if (status == STATUS_OK)
        job_commit(job);
    else
        job_fail(job, status, &err);
}

void ingest_text(struct http_request *request, void *context)
{
    struct api *api = context;
    struct slice type;
    bool openmetrics = http_request_content_type_is(request, "application/openmetrics-text");
    if (http_request_header(request, "Content-Type", &type) && !openmetrics &&
        !http_request_content_type_is(request, "text/plain") &&
        !http_request_content_type_is(request, "application/x-www-form-urlencoded")) {
        answer_wrong_type(request, "Prometheus text (text/plain) or OpenMetrics "
                                   "(application/openmetrics-text)");
        return;
    }
    struct ingest_job *job =
        job_begin(api, request, ANSWER_BATCH, openmetrics ? INGEST_OPENMETRICS : INGEST_TEXT);
    if (job == NULL)
        return;
    struct error err = {0};
    bool atomic;
    if (!api_knows_parameters(request, text_parameters, &err) ||
        !flag_of(request, "atomic", &atomic, &err)) {
        job_fail(job, STATUS_INVALID, &err);
        return;
    }
    int64_t now_ms = clock_wall_ms(api->options.os.clock);
    batch_init(&job->batch, &job->arena, protocols_exposition_decode_labels,
               PROTOCOL_TAG_EXPOSITION);
    job->batch.atomic = atomic;
    enum status status =
        openmetrics ? protocols_openmetrics_parse(http_request_body(request), now_ms,
                                                  api->options.hash_seed, &job->batch, &err)
                    : protocols_text_parse(http_request_body(request), now_ms, &job->batch, &err);
    if (status == STATUS_OK)
        job_commit(job);
    else
        job_fail(job, status, &err);
}

void ingest_csv(struct http_request *request, void *context)
{
    struct api *api = context;
    struct slice type;
    /* curl --data-binary says x-www-form-urlencoded of whatever it sends. */
    if (http_request_header(request, "Content-Type", &type) &&
        !http_request_content_type_is(request, "text/csv") &&
        !http_request_content_type_is(request, "text/plain") &&
        !http_request_content_type_is(request, "application/csv") &&
        !http_request_content_type_is(request, "application/x-www-form-urlencoded")) {
        answer_wrong_type(request, "CSV (text/csv)");
        return;
    }
    struct ingest_job *job = job_begin(api, request, ANSWER_BATCH, INGEST_CSV);
    if (job == NULL)
        return;
    struct error err = {0};
    struct csv_options options;
    bool atomic;
    if (!api_knows_parameters(request, csv_parameters, &err) ||
        !csv_options_of(job, &options, &err) || !flag_of(request, "atomic", &atomic, &err)) {
        job_fail(job, STATUS_INVALID, &err);
        return;
    }
    batch_init(&job->batch, &job->arena, protocols_csv_decode_labels, PROTOCOL_TAG_CSV);
    job->batch.atomic = atomic;
    enum status status =
        protocols_csv_parse(http_request_body(request), &options, &job->batch, &err);
    if (status == STATUS_INVALID && err.code != NULL && strcmp(err.code, "invalid_parameter") == 0)
        error_prefix(&err, "invalid parameter \"format\"");
    if (status == STATUS_OK)
        job_commit(job);
    else
        job_fail(job, status, &err);
}

/* ---- registering ------------------------------------------------------------------------ */

static batch_decode_labels no_labels;
static enum status no_labels(struct slice raw, struct arena *arena, struct labels *labels,
                             struct error *err)
{
    (void)raw;
    (void)arena;
    *labels = (struct labels){0};
    return fail(err, STATUS_INVALID, "a registration has no series");
}

/* 409 where the type contradicts what is registered. */
static enum status check_type(struct ingest_job *job, const struct metric *metric,
                              struct error *err)
{
    struct metric known;
    enum status status =
        storage_metric(job->api->options.tier, metric->name, &job->arena, &known, err);
    if (status == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (status != STATUS_OK)
        return status;
    if (known.type == METRIC_UNKNOWN || metric->type == METRIC_UNKNOWN ||
        known.type == metric->type)
        return STATUS_OK;
    return fail_code(err, STATUS_CONFLICT, "metric_type_conflict",
                     "metric \"%.*s\" is registered as %s and cannot become %s",
                     SLICE_FORMAT(metric->name), metric_type_name(known.type),
                     metric_type_name(metric->type));
}

void register_metric(struct http_request *request, void *context)
{
    if (!is_json(request)) {
        answer_wrong_type(request, "a JSON object (application/json)");
        return;
    }
    struct ingest_job *job = job_begin(context, request, ANSWER_REGISTER, INGEST_JSON);
    if (job == NULL)
        return;
    struct error err = {0};
    struct metric metric = {0};
    batch_init(&job->batch, &job->arena, no_labels, 0);
    enum status status =
        api_knows_parameters(request, no_parameters, &err) ? job_json(job, &err) : STATUS_INVALID;
    if (status == STATUS_OK)
        status = protocols_json_parse_metric(job->json, http_request_body(request), &job->arena,
                                             &metric, &err);
    if (status == STATUS_OK)
        status = check_type(job, &metric, &err);
    if (status == STATUS_OK)
        status = batch_add_metric(&job->batch, &metric);
    job->registered = metric.name;
    if (status == STATUS_OK)
        job_commit(job);
    else
        job_fail(job, status, &err);
}

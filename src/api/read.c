/*
 * read - queries, lists and exports run on the query threads. An answer that fits into ANSWER_HELD
 * is sent whole, with its length, and an error that comes before then has its own status; a longer
 * one is streamed, and an error in the middle cuts the connection, so that nobody takes a part for
 * all.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/api_internal.h"
#include "base/invariant.h"
#include "base/shown.h"

enum { ANSWER_HELD = 1024 * 1024, EXPORT_PIECE = 64 * 1024 };

struct read_job {
    struct api *api;
    struct http_request *request; /* until it is answered, or the stream's */
    enum read_kind kind;
    struct work_item item;
    struct query_environment environment;
    struct query_parameter *parameters;
    size_t parameter_count;

    struct execution_stats cost;
    int64_t started_ns;
    struct query_sink sink;
    const char *content_type;
    struct bytes held; /* what is not sent yet */
    struct http_stream *stream;

    /* Of an OpenMetrics export: what the document cannot say. */
    bool counts_losses;
    char left_out[HTTP_TRAILER_VALUE_SIZE];
    char payloads_lost[HTTP_TRAILER_VALUE_SIZE];
};

/* ---- sinks ------------------------------------------------------------------------------ */

/* The executor looks at the time too, but not while it waits for a client that does not read. */
static bool time_is_up(void *context)
{
    const struct read_job *job = context;
    int64_t passed_ns = clock_monotonic_ns(job->api->options.os.clock) - job->started_ns;
    return passed_ns / 1000000 >= job->environment.limits.timeout_ms;
}

#define LEFT_OUT      "X-Samples-Left-Out"
#define PAYLOADS_LOST "X-NaN-Payloads-Lost"
enum { LOSS_COUNT = 2 };

static void losses_of(const struct read_job *job, struct http_header losses[LOSS_COUNT])
{
    losses[0] = (struct http_header){LEFT_OUT, job->left_out};
    losses[1] = (struct http_header){PAYLOADS_LOST, job->payloads_lost};
}

static enum status open_stream(struct read_job *job, struct error *err)
{
    if (job->stream != NULL)
        return STATUS_OK;
    static const struct http_header announced = {"Trailer", LEFT_OUT ", " PAYLOADS_LOST};
    enum status status = http_stream_open(job->request, 200, job->content_type, &announced,
                                          job->counts_losses ? 1 : 0, &job->stream, err);
    /* Exports have threads of their own, and take as long as their clients do. */
    if (status == STATUS_OK && job->kind != READ_EXPORT)
        http_stream_set_patience(job->stream, time_is_up, job);
    return status;
}

static enum status send_held(struct read_job *job, struct error *err)
{
    enum status status = open_stream(job, err);
    if (status == STATUS_OK && job->held.size > 0)
        status = http_stream_write(job->stream, bytes_slice(&job->held), err);
    bytes_clear(&job->held);
    return status;
}

static enum status sink_write(struct query_sink *sink, struct slice piece, struct error *err)
{
    struct read_job *job = container_of(sink, struct read_job, sink);
    if (piece.size > ANSWER_HELD - job->held.size) {
        enum status status = send_held(job, err);
        if (status != STATUS_OK)
            return status;
    }
    if (piece.size > ANSWER_HELD)
        return http_stream_write(job->stream, piece, err);
    enum status status = bytes_append(&job->held, piece.data, piece.size);
    return status == STATUS_OK ? status : fail(err, STATUS_MEMORY, "no memory for an answer");
}

static void job_free(struct read_job *job)
{
    bytes_release(&job->held);
    free(job);
}

/* Ends the request, whatever state the answer is in. */
static void finish(struct read_job *job, enum status status, struct error *err)
{
    query_telemetry_record(
        job->api->options.query_telemetry,
        &(struct query_record){
            .kind = job->kind,
            .code = status == STATUS_OK ? NULL : answer_code(status, err),
            .duration_ns = clock_monotonic_ns(job->api->options.os.clock) - job->started_ns,
            .series = job->cost.series,
            .samples_scanned = job->cost.samples_scanned,
            .blocks_skipped = job->cost.blocks_skipped,
        });
    if (job->stream == NULL && status == STATUS_OK) {
        struct http_header losses[LOSS_COUNT];
        struct bytes body = job->held;
        losses_of(job, losses);
        bytes_init(&job->held, 0);
        http_respond(job->request, (struct http_answer){
                                       .status = 200,
                                       .content_type = job->content_type,
                                       .headers = losses,
                                       .header_count = job->counts_losses ? LOSS_COUNT : 0,
                                       .body = body,
                                   });
    } else if (job->stream == NULL) {
        answer_error(job->request, status, err);
    } else {
        if (status == STATUS_OK)
            status = send_held(job, err);
        if (status == STATUS_OK && job->counts_losses) {
            struct http_header losses[LOSS_COUNT];
            losses_of(job, losses);
            http_stream_set_trailers(job->stream, losses, LOSS_COUNT);
        }
        if (status == STATUS_OK)
            status = http_stream_finish(job->stream, err);
        else
            http_stream_abort(job->stream);
        if (status != STATUS_OK && status != STATUS_CANCELLED)
            log_event(job->api->options.log, LOG_WARN, "api", "an answer was cut off",
                      log_text("error", err->message));
    }
    job_free(job);
}

/* ---- exports ---------------------------------------------------------------------------- */

enum export_as { EXPORT_NDJSON, EXPORT_CSV, EXPORT_OPENMETRICS };

struct export
{
    struct export_sink sink;
    struct read_job *job;
    enum export_as as;
    struct ndjson_writer ndjson;
    struct csv_writer csv;
    struct openmetrics_writer text;
    struct bytes name; /* of the metric whose metadata stands already */
};

static enum status export_write(struct export *export, struct error *err)
{
    if (export->job->held.size < EXPORT_PIECE)
        return STATUS_OK;
    return send_held(export->job, err);
}

static enum status begin_metric(struct export *export, const struct export_series *series,
                                struct slice name, struct error *err)
{
    if (export->name.size > 0 && slice_equal(bytes_slice(&export->name), name))
        return STATUS_OK;
    bytes_clear(&export->name);
    if (bytes_append(&export->name, name.data, name.size) != STATUS_OK)
        return fail(err, STATUS_MEMORY, "no memory for an export");
    struct metric metric = {
        .name = series->family,
        .type = series->type,
        .unit = series->unit,
        .help = series->help,
    };
    return openmetrics_writer_metric(&export->text, &export->job->held, name,
                                     series->breaks_type ? NULL : &metric, err);
}

static enum status export_begin(struct export_sink *sink, const struct export_series *series,
                                struct error *err)
{
    struct export *export = container_of(sink, struct export, sink);
    enum status status = STATUS_OK;
    switch (export->as) {
    case EXPORT_NDJSON:
        status = ndjson_writer_series(&export->ndjson, series->labels);
        break;
    case EXPORT_CSV:
        status = csv_writer_series(&export->csv, series->labels);
        break;
    case EXPORT_OPENMETRICS:
        status = begin_metric(export, series, labels_metric_name(series->labels), err);
        if (status != STATUS_OK)
            return status;
        status = openmetrics_writer_series(&export->text, series->labels);
        break;
    }
    return status == STATUS_OK ? status : fail(err, status, "no memory for an export");
}

static enum status put_sample(struct export *export, int64_t time_ms, double value)
{
    struct bytes *to = &export->job->held;
    switch (export->as) {
    case EXPORT_NDJSON:
        break;
    case EXPORT_CSV:
        return csv_writer_sample(&export->csv, to, time_ms, value);
    case EXPORT_OPENMETRICS:
        return openmetrics_writer_sample(&export->text, to, time_ms, value);
    }
    return ndjson_writer_sample(&export->ndjson, to, time_ms, value);
}

static enum status export_samples(struct export_sink *sink, const int64_t *times,
                                  const double *values, size_t count, struct error *err)
{
    struct export *export = container_of(sink, struct export, sink);
    for (size_t i = 0; i < count; i++) {
        enum status status = put_sample(export, times[i], values[i]);
        if (status != STATUS_OK)
            return fail(err, status, "no memory for an export");
        status = export_write(export, err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static enum status export_end(struct export_sink *sink, struct error *err)
{
    (void)sink;
    (void)err;
    return STATUS_OK;
}

static const struct export_sink_ops export_ops = {
    .begin_series = export_begin,
    .samples = export_samples,
    .end_series = export_end,
};

static enum status export_format(struct read_job *job, struct export *export, struct error *err)
{
    struct slice format;
    if (!http_request_field(job->request, "format", &format))
        format = slice_from_text("ndjson");
    export->as = EXPORT_NDJSON;
    job->content_type = "application/x-ndjson";
    if (slice_equal_text(format, "ndjson"))
        return STATUS_OK;
    if (slice_equal_text(format, "csv")) {
        export->as = EXPORT_CSV;
        job->content_type = "text/csv; charset=utf-8; header=present";
        return csv_writer_header(&job->held) == STATUS_OK
                   ? STATUS_OK
                   : fail(err, STATUS_MEMORY, "no memory for an export");
    }
    if (slice_equal_text(format, "openmetrics")) {
        export->as = EXPORT_OPENMETRICS;
        export->sink.checks_types = true;
        job->counts_losses = true;
        job->content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
        return STATUS_OK;
    }
    struct shown shown = shown_text(format);
    return fail_code(err, STATUS_INVALID, "invalid_parameter",
                     "invalid parameter \"format\": \"%s\" is none of ndjson, csv and openmetrics",
                     shown.text);
}

/* A document has no place for it: clients find it in the header, or behind a long answer. */
static void tell_omissions(const struct export *export)
{
    struct read_job *job = export->job;
    snprintf(job->left_out, sizeof job->left_out, "%" PRIu64, export->text.omitted);
    snprintf(job->payloads_lost, sizeof job->payloads_lost, "%" PRIu64, export->text.altered);
    if (export->text.omitted > 0 || export->text.altered > 0)
        log_event(export->job->api->options.log, LOG_WARN, "api",
                  "OpenMetrics cannot say everything that was exported; ndjson keeps all",
                  log_int("samples_left_out", (int64_t) export->text.omitted),
                  log_int("nan_payloads_lost", (int64_t) export->text.altered));
}

static void run_export(struct read_job *job)
{
    struct error err = {0};
    struct export export = {.sink = {.ops = &export_ops}, .job = job};
    ndjson_writer_init(&export.ndjson);
    csv_writer_init(&export.csv);
    openmetrics_writer_init(&export.text);
    bytes_init(&export.name, LABEL_VALUE_MAX_SIZE);
    enum status status = export_format(job, &export, &err);
    struct export_outcome outcome = {0};
    if (status == STATUS_OK)
        status = query_export(&job->environment, job->parameters, job->parameter_count,
                              &export.sink, &outcome, &err);
    if (status == STATUS_OK && export.as == EXPORT_OPENMETRICS &&
        openmetrics_writer_end(&job->held) != STATUS_OK)
        status = fail(&err, STATUS_MEMORY, "no memory for an export");
    /* An export is a copy that somebody relies on: one with holes must not look whole. */
    if (status == STATUS_OK && outcome.partial)
        status = fail(&err, STATUS_CORRUPT,
                      "damaged blocks were left out of the export; run metric-store verify");
    if (status == STATUS_OK)
        tell_omissions(&export);
    job->cost.series = outcome.series;
    job->cost.samples_scanned = outcome.samples;
    ndjson_writer_release(&export.ndjson);
    csv_writer_release(&export.csv);
    openmetrics_writer_release(&export.text);
    bytes_release(&export.name);
    finish(job, status, &err);
}

/* ---- handlers --------------------------------------------------------------------------- */

static void run(void *context)
{
    struct read_job *job = context;
    struct error err = {0};
    enum status status;
    switch (job->kind) {
    case READ_QUERY:
        status = query_answer(&job->environment, job->parameters, job->parameter_count, &job->sink,
                              &err);
        finish(job, status, &err);
        return;
    case READ_METRICS:
        status = query_list_metrics(&job->environment, job->parameters, job->parameter_count,
                                    &job->sink, &err);
        finish(job, status, &err);
        return;
    case READ_EXPORT:
        run_export(job);
        return;
    case READ_KIND_COUNT:
        break;
    }
}

static bool cancelled(void *context)
{
    struct read_job *job = context;
    /* A stream notices by itself: its write fails. */
    return atomic_load(&job->api->draining) ||
           (job->stream == NULL && http_request_cancelled(job->request));
}

static enum status collect_parameters(struct read_job *job, struct error *err)
{
    struct http_fields query = http_request_query(job->request);
    struct http_fields form = http_request_form(job->request);
    size_t count = query.count + form.count;
    job->parameters =
        arena_alloc(http_request_arena(job->request), (count + 1) * sizeof job->parameters[0]);
    if (job->parameters == NULL)
        return fail(err, STATUS_MEMORY, "no memory for a query");
    for (size_t i = 0; i < count; i++) {
        const struct http_field *field =
            i < query.count ? &query.items[i] : &form.items[i - query.count];
        job->parameters[i] = (struct query_parameter){field->name, field->value};
    }
    job->parameter_count = count;
    return STATUS_OK;
}

static void submit(struct http_request *request, struct api *api, enum read_kind kind)
{
    struct error err = {0};
    struct read_job *job = calloc(1, sizeof *job);
    if (job == NULL) {
        answer_error(request, fail(&err, STATUS_MEMORY, "no memory for a query"), &err);
        return;
    }
    job->api = api;
    job->request = request;
    job->kind = kind;
    job->started_ns = clock_monotonic_ns(api->options.os.clock);
    job->item = (struct work_item){.run = run, .context = job};
    job->sink.write = sink_write;
    job->content_type = "application/json";
    bytes_init(&job->held, 2 * ANSWER_HELD);
    mutex_lock(&api->limits_lock);
    struct query_limits limits = api->query_limits;
    mutex_unlock(&api->limits_lock);
    job->environment = (struct query_environment){
        .tier = api->options.tier,
        .clock = api->options.os.clock,
        .limits = limits,
        .memory = api->options.queries,
        .cancelled = cancelled,
        .context = job,
        .started_ns = job->started_ns,
        .cost = &job->cost,
    };
    enum status status = collect_parameters(job, &err);
    if (status == STATUS_OK)
        status = worker_pool_submit(kind == READ_EXPORT ? api->export_pool : api->pool, &job->item,
                                    &err);
    if (status != STATUS_OK) {
        answer_error(request, status, &err);
        job_free(job);
    }
}

void read_query(struct http_request *request, void *context)
{
    submit(request, context, READ_QUERY);
}

void read_metrics_list(struct http_request *request, void *context)
{
    submit(request, context, READ_METRICS);
}

void read_export(struct http_request *request, void *context)
{
    submit(request, context, READ_EXPORT);
}

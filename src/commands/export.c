/* export - every sample of some series, from a server's stream or a stopped store. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/invariant.h"
#include "commands/client.h"
#include "commands/file_name.h"
#include "commands/options.h"
#include "commands/output.h"
#include "commands/progress.h"
#include "commands/store.h"
#include "protocols/protocols.h"

enum { FLUSH_SIZE = 256 * 1024, PENDING_MAX = 16 << 20, PARAMETERS_MAX = 256 };

enum export_as { EXPORT_NDJSON, EXPORT_CSV, EXPORT_OPENMETRICS };

struct exporter {
    const struct options *options;
    struct os os;
    struct config config;
    struct log log;
    struct interrupt interrupt;
    struct progress progress;
    struct output *output;
    enum export_as as;
    uint64_t bytes;

    /* a stopped store: */
    struct export_sink sink;
    struct ndjson_writer ndjson;
    struct csv_writer csv;
    struct openmetrics_writer document;
    struct bytes pending;
    struct bytes name; /* of the metric whose metadata stands already */
    /* a server: what its document lacks, and the last bytes of its answer */
    uint64_t left_out, payloads_lost;
    uint8_t tail[8];
    size_t tail_size;
};

static enum status put(struct exporter *exporter, struct slice piece, struct error *err)
{
    exporter->bytes += piece.size;
    progress_update(&exporter->progress, exporter->bytes, 0);
    return output_write(exporter->output, piece, err);
}

/* ---- from a stopped store --------------------------------------------------------------- */

static struct exporter *exporter_of(struct export_sink *sink)
{
    return container_of(sink, struct exporter, sink);
}

static enum status flush(struct exporter *exporter, struct error *err)
{
    enum status status = put(exporter, bytes_slice(&exporter->pending), err);
    bytes_clear(&exporter->pending);
    return status;
}

/* Once a metric, whose series come one after the other. */
static enum status begin_metric(struct exporter *exporter, const struct export_series *series,
                                struct error *err)
{
    struct slice name = labels_metric_name(series->labels);
    if (exporter->name.size > 0 && slice_equal(bytes_slice(&exporter->name), name))
        return STATUS_OK;
    bytes_clear(&exporter->name);
    if (bytes_append(&exporter->name, name.data, name.size) != STATUS_OK)
        return fail(err, STATUS_MEMORY, "no memory for a line");
    struct metric metric = {
        .name = series->family, .type = series->type, .unit = series->unit, .help = series->help};
    return openmetrics_writer_metric(&exporter->document, &exporter->pending, name,
                                     series->breaks_type ? NULL : &metric, err);
}

static enum status begin_series(struct export_sink *sink, const struct export_series *series,
                                struct error *err)
{
    struct exporter *exporter = exporter_of(sink);
    enum status status = STATUS_OK;
    switch (exporter->as) {
    case EXPORT_NDJSON:
        status = ndjson_writer_series(&exporter->ndjson, series->labels);
        break;
    case EXPORT_CSV:
        status = csv_writer_series(&exporter->csv, series->labels);
        break;
    case EXPORT_OPENMETRICS:
        status = begin_metric(exporter, series, err);
        if (status != STATUS_OK)
            return status;
        status = openmetrics_writer_series(&exporter->document, series->labels);
        break;
    }
    return status == STATUS_OK ? status : fail(err, status, "no memory for a line");
}

static enum status put_sample(struct exporter *exporter, int64_t time_ms, double value)
{
    struct bytes *to = &exporter->pending;
    switch (exporter->as) {
    case EXPORT_NDJSON:
        break;
    case EXPORT_CSV:
        return csv_writer_sample(&exporter->csv, to, time_ms, value);
    case EXPORT_OPENMETRICS:
        return openmetrics_writer_sample(&exporter->document, to, time_ms, value);
    }
    return ndjson_writer_sample(&exporter->ndjson, to, time_ms, value);
}

static enum status put_samples(struct export_sink *sink, const int64_t *times, const double *values,
                               size_t count, struct error *err)
{
    struct exporter *exporter = exporter_of(sink);
    for (size_t i = 0; i < count; i++) {
        enum status status = put_sample(exporter, times[i], values[i]);
        if (status != STATUS_OK)
            return fail(err, status, "no memory for a line");
        if (exporter->pending.size >= FLUSH_SIZE && (status = flush(exporter, err)) != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static enum status end_series(struct export_sink *sink, struct error *err)
{
    (void)sink, (void)err;
    return STATUS_OK;
}

static bool is_interrupted(void *context)
{
    return interrupt_pending(context);
}

static enum status run_export(struct exporter *exporter, struct tier *tier,
                              const struct query_parameter *parameters, size_t count,
                              struct export_outcome *outcome, struct error *err)
{
    static const struct export_sink_ops ops = {
        .begin_series = begin_series, .samples = put_samples, .end_series = end_series};
    struct query_environment environment = {
        .tier = tier,
        .clock = exporter->os.clock,
        .cancelled = is_interrupted,
        .context = &exporter->interrupt,
    };
    store_query_limits(&exporter->config, &environment.limits);
    exporter->sink.ops = &ops;
    exporter->sink.checks_types = exporter->as == EXPORT_OPENMETRICS;
    ndjson_writer_init(&exporter->ndjson);
    csv_writer_init(&exporter->csv);
    openmetrics_writer_init(&exporter->document);
    bytes_init(&exporter->pending, PENDING_MAX);
    bytes_init(&exporter->name, LABEL_VALUE_MAX_SIZE);
    enum status status = STATUS_OK;
    if (exporter->as == EXPORT_CSV && csv_writer_header(&exporter->pending) != STATUS_OK)
        status = fail(err, STATUS_MEMORY, "no memory for a line");
    if (status == STATUS_OK)
        status = query_export(&environment, parameters, count, &exporter->sink, outcome, err);
    if (status == STATUS_OK && exporter->as == EXPORT_OPENMETRICS &&
        openmetrics_writer_end(&exporter->pending) != STATUS_OK)
        status = fail(err, STATUS_MEMORY, "no memory for a line");
    if (status == STATUS_OK)
        status = flush(exporter, err);
    bytes_release(&exporter->pending);
    bytes_release(&exporter->name);
    ndjson_writer_release(&exporter->ndjson);
    csv_writer_release(&exporter->csv);
    openmetrics_writer_release(&exporter->document);
    return status;
}

static void tell_losses(const struct exporter *exporter, uint64_t left_out, uint64_t payloads_lost)
{
    if (left_out > 0 || payloads_lost > 0)
        complain(exporter->options,
                 "OpenMetrics cannot say everything: %" PRIu64 " samples were left out (stale "
                 "markers), %" PRIu64 " NaNs lost their payload; ndjson keeps all",
                 left_out, payloads_lost);
}

static int from_store(struct exporter *exporter, const struct query_parameter *parameters,
                      size_t count)
{
    struct error err;
    struct tier *tier = NULL;
    struct export_outcome outcome = {0};
    enum status status =
        store_open(&exporter->config, exporter->os, &exporter->log, true, &tier, &err);
    if (status == STATUS_OK)
        status = run_export(exporter, tier, parameters, count, &outcome, &err);
    engine_close(tier);
    progress_erase(&exporter->progress);
    if (status != STATUS_OK)
        return complain_of_request(exporter->options, &err);
    tell_losses(exporter, exporter->document.omitted, exporter->document.altered);
    if (!outcome.partial)
        return COMMAND_DONE;
    complain(exporter->options, "damaged blocks were left out; `metric-store verify` lists them");
    return COMMAND_DAMAGE;
}

/* ---- from a server ---------------------------------------------------------------------- */

static enum status receive(void *context, struct slice piece, struct error *err)
{
    struct exporter *exporter = context;
    uint8_t both[16];
    size_t keep = piece.size < sizeof exporter->tail ? piece.size : sizeof exporter->tail;
    memcpy(both, exporter->tail, exporter->tail_size);
    memcpy(both + exporter->tail_size, piece.data + piece.size - keep, keep);
    size_t size = exporter->tail_size + keep;
    exporter->tail_size = size < sizeof exporter->tail ? size : sizeof exporter->tail;
    memcpy(exporter->tail, both + size - exporter->tail_size, exporter->tail_size);
    return put(exporter, piece, err);
}

/* The connection says whether the answer is whole; its text has to agree. */
static bool looks_whole(const struct exporter *exporter)
{
    static const char end[] = "# EOF\n";
    size_t size = exporter->tail_size;
    if (exporter->as == EXPORT_CSV)
        return size > 0 && exporter->tail[size - 1] == '\n';
    if (exporter->as == EXPORT_NDJSON)
        return size == 0 || exporter->tail[size - 1] == '\n';
    return size >= sizeof end - 1 &&
           memcmp(exporter->tail + size - (sizeof end - 1), end, sizeof end - 1) == 0;
}

static const char *const answer_types[] = {
    [EXPORT_NDJSON] = "application/x-ndjson",
    [EXPORT_CSV] = "text/csv",
    [EXPORT_OPENMETRICS] = "application/openmetrics-text",
};

static enum status fetch(struct exporter *exporter, struct client *client,
                         const struct client_parameter *parameters, size_t count, struct error *err)
{
    struct client_answer answer;
    bytes_init(&answer.body, PENDING_MAX);
    struct client_request request = {
        .path = "/api/v1/metrics/export",
        .parameters = parameters,
        .parameter_count = count,
        .compressed = true,
        .answer_type = answer_types[exporter->as],
        .receive = receive,
        .context = exporter,
    };
    enum status status = client_send(client, &request, &answer, err);
    if (status == STATUS_OK && answer.status >= 300)
        status = client_fail(client, &answer, err);
    else if (status == STATUS_OK && !looks_whole(exporter))
        status = fail(err, STATUS_IO, "%s: the answer is cut off", client_url(client));
    exporter->left_out = answer.samples_left_out;
    exporter->payloads_lost = answer.payloads_lost;
    bytes_release(&answer.body);
    return status;
}

static int from_server(struct exporter *exporter, const struct client_parameter *parameters,
                       size_t count)
{
    char url[CLIENT_URL_SIZE];
    client_default_url(&exporter->config, url);
    const char *given = options_value(exporter->options, "url");
    struct client *client = NULL;
    struct error err;
    enum status status =
        client_open(&client, given != NULL ? given : url, &exporter->interrupt, &err);
    if (status == STATUS_OK)
        status = fetch(exporter, client, parameters, count, &err);
    client_close(client);
    progress_erase(&exporter->progress);
    if (status != STATUS_OK)
        return complain_of_request(exporter->options, &err);
    tell_losses(exporter, exporter->left_out, exporter->payloads_lost);
    return COMMAND_DONE;
}

/* ---- the command ------------------------------------------------------------------------ */

static const char *const format_names[] = {
    [EXPORT_NDJSON] = "ndjson", [EXPORT_CSV] = "csv", [EXPORT_OPENMETRICS] = "openmetrics"};

static int run_with(struct exporter *exporter)
{
    static const char *const direct[] = {"start", "end", "limit"};
    struct client_parameter parameters[PARAMETERS_MAX];
    struct query_parameter decoded[PARAMETERS_MAX];
    size_t count = 0;
    for (size_t i = 0; i < 3; i++)
        if (options_has(exporter->options, direct[i]))
            parameters[count++] =
                (struct client_parameter){direct[i], options_value(exporter->options, direct[i])};
    parameters[count++] = (struct client_parameter){"format", format_names[exporter->as]};
    const char *selector;
    for (size_t at = 0; (selector = options_each(exporter->options, "match", &at)) != NULL;) {
        if (count == PARAMETERS_MAX)
            return complain_usage(exporter->options, "more than %d selectors", PARAMETERS_MAX - 4);
        parameters[count++] = (struct client_parameter){"match[]", selector};
    }
    for (size_t i = 0; i < count; i++)
        decoded[i] = (struct query_parameter){slice_from_text(parameters[i].name),
                                              slice_from_text(parameters[i].value)};
    return options_has(exporter->options, "data") ? from_store(exporter, decoded, count)
                                                  : from_server(exporter, parameters, count);
}

static int run(struct exporter *exporter)
{
    struct error err;
    const char *path = options_value(exporter->options, "output");
    enum status status = interrupt_open(&exporter->interrupt, &err);
    if (status == STATUS_OK)
        status = output_open(&exporter->output, exporter->os.fs, path, &exporter->interrupt, &err);
    if (status != STATUS_OK)
        return complain_of(exporter->options, &err);
    progress_begin(&exporter->progress, exporter->os.clock, "export");
    int exit_code = run_with(exporter);
    /* What is known to lack damaged blocks is still all that there is. */
    if (exit_code != COMMAND_DONE && exit_code != COMMAND_DAMAGE)
        output_abandon(exporter->output);
    else if (output_finish(exporter->output, &err) != STATUS_OK)
        exit_code = complain_of(exporter->options, &err);
    interrupt_close(&exporter->interrupt);
    return exit_code;
}

/* As import would take it; NULL where the name says nothing. */
static const char *format_of_name(const char *path)
{
    static const struct {
        const char *ending, *format;
    } known[] = {{".ndjson", "ndjson"},
                 {".jsonl", "ndjson"},
                 {".csv", "csv"},
                 {".om", "openmetrics"},
                 {".openmetrics", "openmetrics"},
                 {".parquet", "parquet"}};
    for (size_t i = 0; path != NULL && i < sizeof known / sizeof known[0]; i++)
        if (file_name_ends_with(path, known[i].ending))
            return known[i].format;
    return NULL;
}

static int take_options(struct exporter *exporter)
{
    const struct options *options = exporter->options;
    const char *format = options_value(options, "format");
    if (options_has(options, "data") && options_has(options, "url"))
        return complain_usage(options, "--data and --url exclude each other");
    if (format == NULL) {
        format = format_of_name(options_value(options, "output"));
        if (format == NULL)
            return COMMAND_DONE;
    }
    for (unsigned i = EXPORT_NDJSON; i <= EXPORT_OPENMETRICS; i++)
        if (strcmp(format, format_names[i]) == 0) {
            exporter->as = (enum export_as)i;
            return COMMAND_DONE;
        }
    if (strcmp(format, "parquet") == 0)
        return complain_usage(options,
                              "parquet is not available in this version; give ndjson, csv or "
                              "openmetrics");
    return complain_usage(options, "\"%s\" is no format; give ndjson, csv or openmetrics", format);
}

int command_export(int argc, char **argv)
{
    struct options options;
    int exit_code;
    if (options_parse(&options, command_find("export"), argc, argv, &exit_code)) {
        struct exporter exporter = {.options = &options, .os = os_system()};
        exit_code = take_options(&exporter);
        if (exit_code == COMMAND_DONE)
            exit_code = options_load_config(&options, exporter.os, &exporter.config);
        if (exit_code == COMMAND_DONE) {
            exporter.log = options_log(&exporter.config, exporter.os);
            exit_code = run(&exporter);
        }
        config_release(&exporter.config);
    }
    return options_end(&options, exit_code);
}

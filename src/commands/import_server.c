/*
 * import_server - pieces into a running server, whose limits hold.
 *
 * Lines go as they are; what was parsed here (text and recordings) goes as lines in milliseconds,
 * which keep every bit, and its descriptors are registered first. A piece that was sent twice,
 * because its answer was lost, changes nothing the second time.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/invariant.h"
#include "base/json_text.h"
#include "commands/client.h"
#include "commands/import.h"
#include "commands/json_tree.h"
#include "commands/output.h"

enum {
    ANSWER_MAX = 4 << 20,
    TREE_MAX = 64 << 20,
    SENT_MAX = IMPORT_CHUNK_SIZE + (8 << 20), /* a piece and one line more */
    REGISTER_MAX = 256 * 1024,
    KNOWN_SLOTS = 16 * 1024, /* descriptors that were registered; when full, all are forgotten */
};

struct server_target {
    struct import_target target;
    struct client *client;
    struct client_answer answer;
    struct arena arena; /* of an answer */
    struct bytes lines; /* that were made here */
    uint64_t *line_of;  /* of each of them: its line in the file */
    size_t line_count, line_capacity;
    struct ndjson_writer writer;
    uint64_t known[KNOWN_SLOTS];
    size_t known_count;
    uint64_t seed;
};

static struct server_target *server_of(struct import_target *target)
{
    return container_of(target, struct server_target, target);
}

/* ---- sending ---------------------------------------------------------------------------- */

/* Tries again while the server is busy or gone. */
static enum status send_patiently(struct server_target *server,
                                  const struct client_request *request, struct error *err)
{
    struct import *import = server->target.import;
    struct import_retry retry;
    import_retry_begin(import, &retry);
    for (;;) {
        enum status status = client_send(server->client, request, &server->answer, err);
        if (status == STATUS_OK && server->answer.status >= 400) {
            status = client_fail(server->client, &server->answer, err);
            if (status != STATUS_BUSY)
                return STATUS_OK;
        }
        if (status != STATUS_BUSY && status != STATUS_IO)
            return status;
        struct error why;
        int64_t asked_s = server->answer.retry_after_s;
        enum status waited =
            import_retry_wait(import, &retry, asked_s > 0 ? asked_s * 1000 : 0, &why);
        if (waited == STATUS_CANCELLED)
            return interrupt_fail(err);
        if (waited != STATUS_OK) {
            error_prefix(err, "%s", why.message);
            return STATUS_IO;
        }
    }
}

/* What the answer says of lines, in terms of the file. */
struct line_map {
    uint64_t base;           /* added to a line */
    const uint64_t *line_of; /* or by index; NULL: by line */
    size_t count;
};

static uint64_t line_in_file(const struct line_map *map, const struct json_node *error)
{
    uint64_t index = json_member_number(error, "index");
    uint64_t line = json_member_number(error, "line");
    if (map->line_of != NULL)
        return index < map->count ? map->line_of[index] : 0;
    return line > 0 ? map->base + line : 0;
}

static void count_answer(struct import *import, const struct json_node *root,
                         const struct line_map *map)
{
    struct import_summary *summary = &import->summary;
    uint64_t rejected = json_member_number(root, "rejected");
    uint64_t listed = 0;
    summary->accepted += json_member_number(root, "accepted");
    summary->rejected += rejected;
    summary->new_series += json_member_number(root, "new_series");
    const struct json_node *errors = json_member(root, "errors");
    for (const struct json_node *error = errors == NULL ? NULL : errors->first; error != NULL;
         error = error->next) {
        listed++;
        import_refuse(import, 1, json_member_text(error, "code"), line_in_file(map, error),
                      json_member_text(error, "message"));
    }
    if (listed < rejected)
        import_refuse(import, rejected - listed, slice_from_text("not_listed"), 0,
                      slice_from_text("the server lists 100 refusals of a request"));
    const struct json_node *warnings = json_member(root, "warnings");
    for (const struct json_node *warning = warnings == NULL ? NULL : warnings->first;
         warning != NULL; warning = warning->next)
        if (warning->type == JSON_STRING)
            import_warn(import, warning->text);
}

/* 400 with counts is an answer too: nothing of the piece was taken. */
static enum status post(struct server_target *server, const struct client_request *request,
                        const struct line_map *map, struct error *err)
{
    enum status status = send_patiently(server, request, err);
    if (status != STATUS_OK)
        return status;
    struct json_node *root = NULL;
    arena_reset(&server->arena, ANSWER_MAX);
    bool whole = json_tree_parse(bytes_slice(&server->answer.body), &server->arena, &root, NULL) ==
                 STATUS_OK;
    bool counts = whole && json_member(root, "rejected") != NULL;
    bool refused =
        server->answer.status == 400 && counts && json_member_number(root, "rejected") > 0;
    if (server->answer.status >= 400 && !refused) {
        status = client_fail(server->client, &server->answer, err);
        error_prefix(err, "%s", input_name(server->target.import->input));
        return status;
    }
    if (!counts)
        return fail(err, STATUS_IO, "%s answered %d without counts; is it a metric-store server?",
                    client_url(server->client), server->answer.status);
    count_answer(server->target.import, root, map);
    return STATUS_OK;
}

static enum status post_lines(struct server_target *server, struct slice ndjson,
                              const char *precision, const struct line_map *map, struct error *err)
{
    struct client_parameter parameter = {"precision", precision};
    struct client_request request = {
        .path = "/api/v1/metrics/ingest/batch",
        .parameters = &parameter,
        .parameter_count = precision == NULL ? 0 : 1,
        .content_type = "application/x-ndjson",
        .body = ndjson,
    };
    return post(server, &request, map, err);
}

static const char *precision_name(enum time_precision precision)
{
    switch (precision) {
    case TIME_PRECISION_NONE:
        return NULL;
    case TIME_PRECISION_SECONDS:
        return "s";
    case TIME_PRECISION_MILLISECONDS:
        return "ms";
    case TIME_PRECISION_MICROSECONDS:
        return "us";
    case TIME_PRECISION_NANOSECONDS:
        return "ns";
    }
    return NULL;
}

static enum status server_lines(struct import_target *target, struct slice ndjson,
                                uint64_t first_line, struct error *err)
{
    struct line_map map = {.base = first_line - 1};
    return post_lines(server_of(target), ndjson, precision_name(target->import->precision), &map,
                      err);
}

static enum status server_json(struct import_target *target, struct slice body, struct error *err)
{
    const char *precision = precision_name(target->import->precision);
    struct client_parameter parameter = {"precision", precision};
    struct slice start = body;
    while (start.size > 0 && start.data[0] <= ' ')
        start = slice_from(start, 1);
    struct client_request request = {
        .path = "/api/v1/metrics/ingest/batch",
        .parameters = &parameter,
        .parameter_count = precision == NULL ? 0 : 1,
        .content_type = "application/json",
        .body = body,
    };
    /* An object that does not begin with a list is one sample. */
    static const char list[] = "\"metrics\"";
    if (start.size > 0 && start.data[0] == '{' &&
        memmem(start.data, start.size < 64 ? start.size : 64, list, sizeof list - 1) == NULL)
        request.path = "/api/v1/metrics/ingest";
    struct line_map map = {.base = 0};
    return post(server_of(target), &request, &map, err);
}

static enum status server_openmetrics(struct import_target *target, struct slice body,
                                      uint64_t first_line, struct error *err)
{
    struct line_map map = {.base = first_line - 1};
    struct client_request request = {
        .path = "/api/v1/import/prometheus",
        .content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8",
        .body = body,
    };
    enum status status = post(server_of(target), &request, &map, err);
    if (status == STATUS_INVALID && first_line > 1)
        error_prefix(err, "in the part that begins at line %" PRIu64, first_line);
    return status;
}

/* ---- descriptors ------------------------------------------------------------------------ */

static bool is_known(struct server_target *server, const struct metric *metric)
{
    uint64_t hash = hash64(metric->name, server->seed + metric->type);
    hash = hash64(metric->unit, hash);
    hash = hash64(metric->help, hash) | 1;
    size_t slot = hash % KNOWN_SLOTS;
    while (server->known[slot] != 0 && server->known[slot] != hash)
        slot = (slot + 1) % KNOWN_SLOTS;
    if (server->known[slot] == hash)
        return true;
    if (server->known_count == KNOWN_SLOTS / 2) {
        memset(server->known, 0, sizeof server->known);
        server->known_count = 0;
        slot = hash % KNOWN_SLOTS;
    }
    server->known[slot] = hash;
    server->known_count++;
    return false;
}

static enum status put_descriptor(const struct metric *metric, struct bytes *to)
{
    enum status status = bytes_append_text(to, "{\"name\":");
    if (status == STATUS_OK)
        status = json_append_string(to, metric->name);
    if (status == STATUS_OK)
        status = bytes_format(to, ",\"type\":\"%s\"", metric_type_name(metric->type));
    if (status == STATUS_OK && metric->unit.size > 0) {
        status = bytes_append_text(to, ",\"unit\":");
        if (status == STATUS_OK)
            status = json_append_string(to, metric->unit);
    }
    if (status == STATUS_OK && metric->help.size > 0) {
        status = bytes_append_text(to, ",\"help\":");
        if (status == STATUS_OK)
            status = json_append_string(to, metric->help);
    }
    return status == STATUS_OK ? bytes_append_text(to, "}") : status;
}

/* A descriptor that the server does not want is a warning: the samples count. */
static enum status register_metric(struct server_target *server, const struct metric *metric,
                                   struct error *err)
{
    if (is_known(server, metric))
        return STATUS_OK;
    struct bytes body;
    bytes_init(&body, REGISTER_MAX);
    enum status status = put_descriptor(metric, &body);
    if (status != STATUS_OK)
        status = fail(err, status, "the description of metric %.*s is too long",
                      SLICE_FORMAT(metric->name));
    struct client_request request = {
        .path = "/api/v1/metrics/register",
        .content_type = "application/json",
        .body = bytes_slice(&body),
    };
    if (status == STATUS_OK)
        status = send_patiently(server, &request, err);
    bytes_release(&body);
    if (status != STATUS_OK || server->answer.status < 400)
        return status;
    struct error why;
    enum status refused = client_fail(server->client, &server->answer, &why);
    if (refused == STATUS_IO) {
        *err = why;
        return refused;
    }
    import_warn(server->target.import, slice_from_text(why.message));
    return STATUS_OK;
}

/* ---- batches ---------------------------------------------------------------------------- */

static enum status flush_lines(struct server_target *server, struct error *err)
{
    struct line_map map = {.line_of = server->line_of, .count = server->line_count};
    enum status status = STATUS_OK;
    if (server->lines.size > 0)
        status = post_lines(server, bytes_slice(&server->lines), "ms", &map, err);
    bytes_clear(&server->lines);
    server->line_count = 0;
    return status;
}

static enum status add_line(struct server_target *server, const struct batch *batch, size_t sample,
                            struct error *err)
{
    if (server->line_count == server->line_capacity) {
        size_t capacity = server->line_capacity == 0 ? 4096 : 2 * server->line_capacity;
        uint64_t *line_of = realloc(server->line_of, capacity * sizeof line_of[0]);
        if (line_of == NULL)
            return fail(err, STATUS_MEMORY, "no memory for lines to send");
        server->line_of = line_of;
        server->line_capacity = capacity;
    }
    enum status status = ndjson_writer_sample(
        &server->writer, &server->lines, batch->sample_times[sample], batch->sample_values[sample]);
    if (status != STATUS_OK)
        return fail(err, status, "a line to send is too long");
    server->line_of[server->line_count++] = batch->series[batch->sample_series[sample]].line;
    return server->lines.size >= IMPORT_CHUNK_SIZE ? flush_lines(server, err) : STATUS_OK;
}

/* The labels of an entry; *usable false: they were refused, as the server would. */
static enum status begin_series(struct server_target *server, struct batch *batch, uint32_t entry,
                                bool *usable, struct error *err)
{
    const struct batch_series *series = &batch->series[entry];
    struct labels labels;
    struct error why = {0};
    enum status status = batch->decode_labels(series->raw, batch->arena, &labels, &why);
    if (status == STATUS_OK)
        status = labels_canonicalise(&labels, &why);
    *usable = status == STATUS_OK;
    if (status == STATUS_OK) {
        status = ndjson_writer_series(&server->writer, &labels);
        return status == STATUS_OK ? status : fail(err, status, "a line to send is too long");
    }
    if ((status == STATUS_INVALID || status == STATUS_LIMIT) && why.code != NULL) {
        /* One for each of its samples follows. */
        return STATUS_OK;
    }
    return fail(err, status, "%s", why.message);
}

static void refuse_sample(struct batch *batch, uint32_t entry)
{
    const struct batch_series *series = &batch->series[entry];
    struct labels labels;
    struct error why = {0};
    enum status status = batch->decode_labels(series->raw, batch->arena, &labels, &why);
    if (status == STATUS_OK)
        status = labels_canonicalise(&labels, &why);
    batch_reject(batch, 1, series->index, series->line,
                 why.code == NULL ? "label_invalid" : why.code, slice_of(NULL, 0), "%s",
                 why.message);
}

static enum status server_batch(struct import_target *target, struct batch *batch,
                                struct error *err)
{
    struct server_target *server = server_of(target);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < batch->metric_count && status == STATUS_OK; i++)
        status = register_metric(server, &batch->metrics[i], err);
    uint32_t entry = SERIES_ID_NONE;
    bool usable = false;
    for (size_t i = 0; i < batch->sample_count && status == STATUS_OK; i++) {
        if (batch->sample_series[i] != entry) {
            entry = batch->sample_series[i];
            status = begin_series(server, batch, entry, &usable, err);
        }
        if (status == STATUS_OK && usable)
            status = add_line(server, batch, i, err);
        else if (status == STATUS_OK)
            refuse_sample(batch, entry);
    }
    if (status == STATUS_OK)
        status = flush_lines(server, err);
    if (status == STATUS_OK)
        import_count_batch(target->import, batch, 0);
    return status;
}

/* ---- a sample --------------------------------------------------------------------------- */

/* Whether one of the lines of an export is of that series. */
static bool answer_has(struct server_target *server, const struct labels *labels)
{
    struct protocol_limits limits = {.decoded_max_bytes = ANSWER_MAX, .json_max_depth = 8};
    struct json_options options = {.precision = TIME_PRECISION_MILLISECONDS};
    struct json_parser *parser = NULL;
    struct arena arena;
    struct batch batch;
    bool found = false;
    arena_init(&arena, TREE_MAX);
    if (json_parser_new(&parser, &limits, NULL) == STATUS_OK &&
        protocols_ndjson_parse(parser, bytes_slice(&server->answer.body), &options, &arena, &batch,
                               NULL) == STATUS_OK)
        for (size_t i = 0; i < batch.series_count && !found; i++) {
            struct labels there;
            found = batch.decode_labels(batch.series[i].raw, &arena, &there, NULL) == STATUS_OK &&
                    labels_canonicalise(&there, NULL) == STATUS_OK &&
                    labels_compare(&there, labels) == 0;
        }
    json_parser_free(parser);
    arena_release(&arena);
    return found;
}

static enum status server_holds(struct import_target *target, const struct labels *labels,
                                int64_t time_ms, bool *holds, struct error *err)
{
    struct server_target *server = server_of(target);
    struct import_witness witness;
    struct client_parameter parameters[IMPORT_WITNESS_PARAMETERS];
    enum status status = import_witness_init(&witness, labels, time_ms, err);
    for (size_t i = 0; i < IMPORT_WITNESS_PARAMETERS; i++)
        parameters[i] = (struct client_parameter){witness.names[i], witness.values[i]};
    struct client_request request = {
        .path = "/api/v1/metrics/export",
        .parameters = parameters,
        .parameter_count = IMPORT_WITNESS_PARAMETERS,
    };
    if (status == STATUS_OK)
        status = send_patiently(server, &request, err);
    import_witness_release(&witness);
    /* More series than an answer has room for: not known, and so not there. */
    *holds = status == STATUS_OK && server->answer.status < 300 && answer_has(server, labels);
    return status == STATUS_LIMIT ? STATUS_OK : status;
}

/* ---- opening ---------------------------------------------------------------------------- */

static size_t server_document_max(const struct import_target *target)
{
    return (size_t)target->import->config.server.max_decoded_bytes;
}

static enum status server_close(struct import_target *target, struct error *err)
{
    (void)err;
    struct server_target *server = server_of(target);
    client_close(server->client);
    bytes_release(&server->answer.body);
    bytes_release(&server->lines);
    arena_release(&server->arena);
    ndjson_writer_release(&server->writer);
    free(server->line_of);
    free(server);
    return STATUS_OK;
}

enum status import_server_open(struct import *import, const char *url,
                               struct import_target **target, struct error *err)
{
    static const struct import_target_ops ops = {
        .lines = server_lines,
        .json = server_json,
        .openmetrics = server_openmetrics,
        .batch = server_batch,
        .holds = server_holds,
        .document_max = server_document_max,
        .close = server_close,
    };
    struct server_target *server = calloc(1, sizeof *server);
    if (server == NULL)
        return fail(err, STATUS_MEMORY, "no memory for an import");
    server->target = (struct import_target){.ops = &ops, .import = import};
    server->seed = random_u64(import->os.random);
    bytes_init(&server->answer.body, ANSWER_MAX);
    bytes_init(&server->lines, SENT_MAX);
    arena_init(&server->arena, TREE_MAX);
    ndjson_writer_init(&server->writer);
    enum status status = client_open(&server->client, url, &import->interrupt, err);
    if (status != STATUS_OK) {
        struct error ignored;
        enum status closed = server_close(&server->target, &ignored);
        (void)closed;
        return status;
    }
    *target = &server->target;
    return STATUS_OK;
}

/* import_store - pieces into a stopped store: parse, admit, commit, as a server would. */
#include <inttypes.h>
#include <stdlib.h>

#include "admission/admission.h"
#include "base/invariant.h"
#include "commands/import.h"
#include "commands/store.h"

struct store_target {
    struct import_target target;
    struct tier *tier;
    struct admission *admission;
    struct json_parser *parser;
    struct arena arena;
    uint64_t hash_seed;
};

static struct store_target *store_of(struct import_target *target)
{
    return container_of(target, struct store_target, target);
}

/* Background work that is behind, or a disk that stumbled, gets time; a full disk ends the import.
 */
static enum status append(struct store_target *store, struct batch *batch, struct error *err)
{
    struct import *import = store->target.import;
    struct import_retry retry;
    import_retry_begin(import, &retry);
    for (;;) {
        struct batch *batches[] = {batch};
        enum status status = storage_append(store->tier, batches, 1, err);
        if (status != STATUS_BUSY && status != STATUS_IO)
            return status;
        struct error why;
        enum status waited = import_retry_wait(import, &retry, 0, &why);
        if (waited == STATUS_CANCELLED)
            return interrupt_fail(err);
        if (waited != STATUS_OK)
            return status;
    }
}

static enum status commit(struct store_target *store, struct batch *batch, uint64_t line_base,
                          struct error *err)
{
    struct import *import = store->target.import;
    admission_check_times(store->admission, batch, clock_wall_ms(import->os.clock));
    enum status status =
        storage_resolve(store->tier, batch, admission_admitter(store->admission), err);
    if (status != STATUS_OK)
        return status;
    if (batch->sample_count > 0 || batch->metric_count > 0)
        status = append(store, batch, err);
    storage_settle(store->tier, batch);
    if (status != STATUS_OK)
        return status;
    import->summary.accepted += batch->sample_count;
    import->summary.new_series += batch->new_series;
    import_count_batch(import, batch, line_base);
    return STATUS_OK;
}

static struct json_options json_options_of(const struct store_target *store)
{
    const struct import *import = store->target.import;
    return (struct json_options){
        .now_ms = clock_wall_ms(import->os.clock),
        .precision = import->precision,
    };
}

static enum status finish_piece(struct store_target *store, enum status status, struct batch *batch,
                                uint64_t line_base, struct error *err)
{
    if (status == STATUS_OK)
        status = commit(store, batch, line_base, err);
    else
        error_prefix(err, "%s", input_name(store->target.import->input));
    arena_reset(&store->arena, IMPORT_CHUNK_SIZE);
    return status;
}

static enum status store_lines(struct import_target *target, struct slice ndjson,
                               uint64_t first_line, struct error *err)
{
    struct store_target *store = store_of(target);
    struct json_options options = json_options_of(store);
    struct batch batch;
    enum status status =
        protocols_ndjson_parse(store->parser, ndjson, &options, &store->arena, &batch, err);
    return finish_piece(store, status, &batch, first_line - 1, err);
}

static enum status store_json(struct import_target *target, struct slice body, struct error *err)
{
    struct store_target *store = store_of(target);
    struct json_options options = json_options_of(store);
    struct batch batch;
    struct slice start = body;
    while (start.size > 0 && start.data[0] <= ' ')
        start = slice_from(start, 1);
    enum status status =
        protocols_json_parse_batch(store->parser, body, &options, &store->arena, &batch, err);
    /* An object that holds no list is one sample. */
    if (status == STATUS_INVALID && start.size > 0 && start.data[0] == '{') {
        struct error why;
        arena_reset(&store->arena, IMPORT_CHUNK_SIZE);
        if (protocols_json_parse_sample(store->parser, body, &options, &store->arena, &batch,
                                        &why) == STATUS_OK)
            status = STATUS_OK;
    }
    return finish_piece(store, status, &batch, 0, err);
}

static enum status store_openmetrics(struct import_target *target, struct slice body,
                                     uint64_t first_line, struct error *err)
{
    struct store_target *store = store_of(target);
    struct batch batch;
    batch_init(&batch, &store->arena, protocols_exposition_decode_labels, PROTOCOL_TAG_EXPOSITION);
    enum status status = protocols_openmetrics_parse(body, clock_wall_ms(target->import->os.clock),
                                                     store->hash_seed, &batch, err);
    if (status != STATUS_OK && first_line > 1)
        error_prefix(err, "in the part that begins at line %" PRIu64, first_line);
    return finish_piece(store, status, &batch, first_line - 1, err);
}

static enum status store_batch(struct import_target *target, struct batch *batch, struct error *err)
{
    return commit(store_of(target), batch, 0, err);
}

/* ---- a sample --------------------------------------------------------------------------- */

struct search {
    struct export_sink sink;
    const struct labels *labels;
    bool found;
};

static enum status search_series(struct export_sink *sink, const struct export_series *series,
                                 struct error *err)
{
    (void)err;
    struct search *search = container_of(sink, struct search, sink);
    search->found = search->found || labels_compare(series->labels, search->labels) == 0;
    return STATUS_OK;
}

static enum status search_samples(struct export_sink *sink, const int64_t *times,
                                  const double *values, size_t count, struct error *err)
{
    (void)sink, (void)times, (void)values, (void)count, (void)err;
    return STATUS_OK;
}

static enum status search_end(struct export_sink *sink, struct error *err)
{
    (void)sink, (void)err;
    return STATUS_OK;
}

static bool is_interrupted(void *context)
{
    return interrupt_pending(context);
}

/* Series without a sample in the range are not given. */
static enum status store_holds(struct import_target *target, const struct labels *labels,
                               int64_t time_ms, bool *holds, struct error *err)
{
    static const struct export_sink_ops ops = {
        .begin_series = search_series, .samples = search_samples, .end_series = search_end};
    struct store_target *store = store_of(target);
    struct search search = {.sink = {.ops = &ops}, .labels = labels};
    struct query_environment environment = {
        .tier = store->tier,
        .clock = target->import->os.clock,
        .cancelled = is_interrupted,
        .context = &target->import->interrupt,
    };
    store_query_limits(&target->import->config, &environment.limits);
    struct import_witness witness;
    struct export_outcome outcome;
    enum status status = import_witness_init(&witness, labels, time_ms, err);
    if (status == STATUS_OK) {
        struct query_parameter parameters[IMPORT_WITNESS_PARAMETERS];
        for (size_t i = 0; i < IMPORT_WITNESS_PARAMETERS; i++)
            parameters[i] = (struct query_parameter){slice_from_text(witness.names[i]),
                                                     slice_from_text(witness.values[i])};
        status = query_export(&environment, parameters, IMPORT_WITNESS_PARAMETERS, &search.sink,
                              &outcome, err);
    }
    import_witness_release(&witness);
    *holds = search.found;
    return status;
}

static size_t store_document_max(const struct import_target *target)
{
    return (size_t)target->import->config.server.max_decoded_bytes;
}

static void release(struct store_target *store)
{
    json_parser_free(store->parser);
    admission_free(store->admission);
    arena_release(&store->arena);
    free(store);
}

static enum status store_close(struct import_target *target, struct error *err)
{
    struct store_target *store = store_of(target);
    enum status status = engine_flush(store->tier, err);
    if (status != STATUS_OK)
        error_prefix(err, "all that the summary counts is stored, but could not be flushed; the "
                          "next start does it");
    engine_close(store->tier);
    release(store);
    return status;
}

enum status import_store_open(struct import *import, struct import_target **target,
                              struct error *err)
{
    static const struct import_target_ops ops = {
        .lines = store_lines,
        .json = store_json,
        .openmetrics = store_openmetrics,
        .batch = store_batch,
        .holds = store_holds,
        .document_max = store_document_max,
        .close = store_close,
    };
    const struct config *config = &import->config;
    struct store_admission_lists lists;
    struct admission_limits limits = store_admission_limits(config, 0, &lists);
    /* Nobody waits for the answer: what comes near a limit is no news here. */
    limits.warning_threshold = 0;
    struct protocol_limits protocol = {
        .decoded_max_bytes = (size_t)config->server.max_decoded_bytes,
        .json_max_depth = config->ingest.json_max_depth < JSON_DEPTH_CEILING
                              ? (uint32_t)config->ingest.json_max_depth
                              : JSON_DEPTH_CEILING,
    };
    struct store_target *store = calloc(1, sizeof *store);
    if (store == NULL)
        return fail(err, STATUS_MEMORY, "no memory for an import");
    store->target = (struct import_target){.ops = &ops, .import = import};
    store->hash_seed = random_u64(import->os.random);
    arena_init(&store->arena, IMPORT_ARENA_SIZE);
    enum status status = json_parser_new(&store->parser, &protocol, err);
    if (status == STATUS_OK)
        status = admission_new(&store->admission, import->os, &limits, err);
    if (status == STATUS_OK)
        status = store_open(config, import->os, &import->log, false, &store->tier, err);
    if (status != STATUS_OK) {
        release(store);
        return status;
    }
    *target = &store->target;
    return STATUS_OK;
}

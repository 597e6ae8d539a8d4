/*
 * CSV: however the document is cut into pieces, it gives the same samples and refusals; what it
 * gives is a batch that can be stored, and written out it is read back as it was. The first byte
 * chooses the pieces, the second the mapping of columns.
 */
#include "fuzz.h"

#include "base/bits.h"
#include "batch_check.h"
#include "protocols/protocols.h"

enum { ARENA_MAX = 64 << 20, TEXT_MAX = 64 << 20 };

static const char *const formats[] = {"", "1:name,2:value,3:labels,4:time", "name:name,2:value",
                                      "1:metric:a,2:metric:b,3:label:c,4:time:unix_ns",
                                      "2:time:rfc3339,1:metric:x"};

struct outcome {
    enum status status;
    uint64_t samples;
    uint64_t rejected;
    uint64_t hash;
};

static void outcome_add(struct outcome *outcome, struct batch *batch)
{
    batch_check(batch);
    batch_check_labels(batch);
    outcome->samples += batch->sample_count;
    outcome->rejected += batch->rejected;
    for (size_t i = 0; i < batch->sample_count; i++) {
        const struct batch_series *series = &batch->series[batch->sample_series[i]];
        uint64_t seed = outcome->hash + (uint64_t)batch->sample_times[i] + series->line +
                        ((uint64_t)series->index << 32);
        outcome->hash = hash64(series->raw, seed) ^ bits_of_double(batch->sample_values[i]);
    }
}

static struct outcome read_in_pieces(struct slice body, const struct csv_options *options,
                                     size_t step)
{
    struct outcome outcome = {0};
    struct csv_parser *parser;
    struct error err = {0};
    outcome.status = csv_parser_new(&parser, options, &err);
    size_t have = 0;
    while (outcome.status == STATUS_OK) {
        struct arena arena;
        struct batch batch;
        size_t taken = 0;
        have = body.size - have > step ? have + step : body.size;
        bool ended = have == body.size;
        arena_init(&arena, ARENA_MAX);
        batch_init(&batch, &arena, protocols_csv_decode_labels, PROTOCOL_TAG_CSV);
        outcome.status =
            csv_parser_take(parser, slice_of(body.data, have), ended, &batch, &taken, &err);
        invariant(taken <= have);
        if (outcome.status == STATUS_OK)
            outcome_add(&outcome, &batch);
        arena_release(&arena);
        body = slice_from(body, taken);
        have -= taken;
        if (ended) {
            invariant(outcome.status != STATUS_OK || body.size == 0);
            break;
        }
    }
    invariant(outcome.status == STATUS_OK || outcome.status == STATUS_LIMIT ||
              (outcome.status == STATUS_INVALID && err.code != NULL));
    csv_parser_free(parser);
    return outcome;
}

/* Batches hold what a canonical export would, one sample a series. */
static void write_and_read(struct batch *batch)
{
    struct bytes text;
    struct csv_writer writer;
    bytes_init(&text, TEXT_MAX);
    csv_writer_init(&writer);
    invariant(csv_writer_header(&text) == STATUS_OK);
    for (size_t i = 0; i < batch->sample_count; i++) {
        struct labels labels;
        struct slice raw = batch->series[batch->sample_series[i]].raw;
        if (batch->decode_labels(raw, batch->arena, &labels, NULL) != STATUS_OK ||
            labels_canonicalise(&labels, NULL) != STATUS_OK)
            continue;
        invariant(csv_writer_series(&writer, &labels) == STATUS_OK);
        bytes_clear(&text);
        invariant(csv_writer_header(&text) == STATUS_OK);
        invariant(csv_writer_sample(&writer, &text, batch->sample_times[i],
                                    batch->sample_values[i]) == STATUS_OK);
        struct arena arena;
        struct batch again;
        struct labels got;
        struct csv_options options = {0};
        arena_init(&arena, ARENA_MAX);
        batch_init(&again, &arena, protocols_csv_decode_labels, PROTOCOL_TAG_CSV);
        invariant(protocols_csv_parse(bytes_slice(&text), &options, &again, NULL) == STATUS_OK);
        invariant(again.sample_count == 1 && again.rejected == 0);
        invariant(again.sample_times[0] == batch->sample_times[i]);
        invariant(bits_of_double(again.sample_values[0]) ==
                  bits_of_double(batch->sample_values[i]));
        invariant(again.decode_labels(again.series[0].raw, &arena, &got, NULL) == STATUS_OK);
        invariant(labels_canonicalise(&got, NULL) == STATUS_OK);
        invariant(labels_compare(&got, &labels) == 0);
        arena_release(&arena);
    }
    csv_writer_release(&writer);
    bytes_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct slice body = slice_of(data + 2, size - 2);
    struct csv_options options = {
        .now_ms = 7,
        .format = slice_from_text(formats[data[1] % (sizeof formats / sizeof *formats)])};
    struct outcome whole = read_in_pieces(body, &options, body.size + 1);
    struct outcome cut = read_in_pieces(body, &options, data[0] % 64 + 1u);
    if (whole.status != STATUS_LIMIT)
        invariant(cut.status == whole.status);
    if (whole.status == STATUS_OK)
        invariant(cut.samples == whole.samples && cut.rejected == whole.rejected &&
                  cut.hash == whole.hash);
    struct arena arena;
    struct batch batch;
    arena_init(&arena, ARENA_MAX);
    batch_init(&batch, &arena, protocols_csv_decode_labels, PROTOCOL_TAG_CSV);
    if (protocols_csv_parse(body, &options, &batch, NULL) == STATUS_OK)
        write_and_read(&batch);
    arena_release(&arena);
    return 0;
}

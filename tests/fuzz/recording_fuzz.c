/*
 * Recordings: however the input is cut into reads and however small the buffer, the lines that it
 * can hold give the same samples. The first two bytes choose both.
 */
#include "fuzz.h"

#include <string.h>

#include "base/bits.h"
#include "base/invariant.h"
#include "protocols/protocols.h"

enum { ARENA_MAX = 64 << 20, LEAST_BUFFER = 64 };

struct source {
    struct slice body;
    size_t step;
};

static enum status source_read(void *context, uint8_t *to, size_t capacity, size_t *size,
                               struct error *err)
{
    (void)err;
    struct source *source = context;
    invariant(capacity > 0);
    size_t take = source->body.size < source->step ? source->body.size : source->step;
    *size = take < capacity ? take : capacity;
    if (*size > 0)
        memcpy(to, source->body.data, *size);
    source->body = slice_from(source->body, *size);
    return STATUS_OK;
}

struct outcome {
    uint64_t samples;
    uint64_t rejected;
    uint64_t hash;
};

static void outcome_add(struct outcome *outcome, struct batch *batch)
{
    outcome->samples += batch->sample_count;
    outcome->rejected += batch->rejected;
    for (size_t i = 0; i < batch->sample_count; i++) {
        struct slice raw = batch->series[batch->sample_series[i]].raw;
        outcome->hash = hash64(raw, outcome->hash + (uint64_t)batch->sample_times[i]) ^
                        bits_of_double(batch->sample_values[i]);
        struct labels labels;
        enum status status = batch->decode_labels(raw, batch->arena, &labels, NULL);
        invariant(status == STATUS_OK || status == STATUS_LIMIT);
        if (status == STATUS_OK)
            status = labels_canonicalise(&labels, NULL);
    }
}

static struct outcome read_all(struct slice body, size_t step, size_t buffer_size)
{
    struct source source = {body, step};
    struct recording *recording;
    struct outcome outcome = {0};
    enum status status = recording_new(&recording, source_read, &source, slice_from_text("job"), 7,
                                       buffer_size, NULL);
    invariant(status == STATUS_OK);
    do {
        struct arena arena;
        struct batch batch;
        arena_init(&arena, ARENA_MAX);
        status = recording_next(recording, &batch, &arena, NULL);
        if (status == STATUS_OK)
            outcome_add(&outcome, &batch);
        arena_release(&arena);
    } while (status == STATUS_OK);
    invariant(status == STATUS_END || status == STATUS_LIMIT);
    invariant(recording_bytes(recording) == body.size || status == STATUS_LIMIT);
    recording_free(recording);
    return outcome;
}

static size_t longest_line(struct slice body)
{
    size_t longest = 0;
    size_t start = 0;
    for (size_t i = 0; i <= body.size; i++)
        if (i == body.size || body.data[i] == '\n') {
            longest = i - start > longest ? i - start : longest;
            start = i + 1;
        }
    return longest;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct slice body = slice_of(data + 2, size - 2);
    struct outcome whole = read_all(body, body.size + 1, body.size + LEAST_BUFFER);
    size_t buffer = LEAST_BUFFER + (size_t)data[1] * 4;
    struct outcome cut = read_all(body, data[0] % 64 + 1u, buffer);
    if (longest_line(body) < buffer)
        invariant(cut.samples == whole.samples && cut.rejected == whole.rejected &&
                  cut.hash == whole.hash);
    return 0;
}

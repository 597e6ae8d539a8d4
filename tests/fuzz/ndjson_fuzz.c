/*
 * Input: an NDJSON body. Each of its lines must give what the same text gives as a body of its own:
 * lines are indexed many at a time, and none may spoil another.
 */
#include "fuzz.h"

#include "base/bits.h"
#include "batch_check.h"
#include "protocols/protocols.h"

enum { ARENA_MAX = 64 << 20, DEPTH_MAX = 32 };
#define NOW_MS INT64_C(1795305600000)

static const struct json_options options = {.now_ms = NOW_MS};

static bool line_is_blank(struct slice line)
{
    for (size_t i = 0; i < line.size; i++)
        if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r')
            return false;
    return true;
}

/* Compares the line with sample number *sample of `batch`, if it is one, and steps over that. */
static void line_check(struct json_parser *parser, struct slice line, const struct batch *batch,
                       size_t *sample, uint64_t *rejected)
{
    static struct batch alone;
    struct arena arena;
    struct error err;
    arena_init(&arena, ARENA_MAX);
    enum status status = protocols_json_parse_sample(parser, line, &options, &arena, &alone, &err);
    if (status == STATUS_OK && alone.sample_count == 1) {
        invariant(*sample < batch->sample_count);
        invariant(alone.sample_times[0] == batch->sample_times[*sample]);
        invariant(bits_of_double(alone.sample_values[0]) ==
                  bits_of_double(batch->sample_values[*sample]));
        invariant(
            slice_equal(alone.series[0].raw, batch->series[batch->sample_series[*sample]].raw));
        (*sample)++;
    } else {
        (*rejected)++;
    }
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct protocol_limits limits = {.json_max_depth = DEPTH_MAX};
    static struct batch batch;
    struct json_parser *parser = NULL;
    struct arena arena;
    struct error err;
    arena_init(&arena, ARENA_MAX);
    invariant(json_parser_new(&parser, &limits, NULL) == STATUS_OK);
    enum status status =
        protocols_ndjson_parse(parser, slice_of(data, size), &options, &arena, &batch, &err);
    invariant(status == STATUS_OK);
    batch_check(&batch);
    batch_check_labels(&batch);
    size_t sample = 0;
    uint64_t rejected = 0;
    for (size_t at = 0; at < size;) {
        const uint8_t *end = memchr(data + at, '\n', size - at);
        struct slice line =
            slice_of(data + at, end != NULL ? (size_t)(end - data) - at : size - at);
        if (!line_is_blank(line))
            line_check(parser, line, &batch, &sample, &rejected);
        at += line.size + 1;
    }
    invariant(sample == batch.sample_count && rejected == batch.rejected);
    json_parser_free(parser);
    arena_release(&arena);
    return 0;
}

/* Input: a byte, then a snappy body where it is even, or the message inside one where it is odd. */
#include "fuzz.h"

#include <stdlib.h>

#include <snappy-c.h>

#include "batch_check.h"
#include "protocols/protocols.h"

enum { DECODED_MAX = 1 << 20, ARENA_MAX = 64 << 20 };

static void body_feed(struct slice body)
{
    static const struct protocol_limits limits = {.decoded_max_bytes = DECODED_MAX};
    static struct batch batch;
    struct arena arena;
    struct bytes scratch;
    struct remote_write_counts counts;
    struct error err;
    arena_init(&arena, ARENA_MAX);
    bytes_init(&scratch, DECODED_MAX);
    enum status status =
        protocols_remote_write_parse(body, &limits, &scratch, &arena, &batch, &counts, &err);
    invariant(status == STATUS_OK || status == STATUS_INVALID || status == STATUS_LIMIT);
    if (status == STATUS_OK) {
        batch_check(&batch);
        batch_check_labels(&batch);
        invariant(counts.samples + counts.histograms == batch.sample_count + batch.rejected);
        invariant(counts.metadata == batch.metric_count);
    }
    bytes_release(&scratch);
    arena_release(&arena);
}

static void message_feed(struct slice message)
{
    size_t size = snappy_max_compressed_length(message.size);
    char *body = malloc(size);
    invariant(body != NULL);
    invariant(snappy_compress((const char *)message.data, message.size, body, &size) == SNAPPY_OK);
    body_feed(slice_of(body, size));
    free(body);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct slice rest = slice_of(data + 1, size - 1);
    if (data[0] % 2 == 0)
        body_feed(rest);
    else
        message_feed(rest);
    return 0;
}

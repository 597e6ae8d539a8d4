/*
 * value_block_fuzz - blocks of values: any bytes are refused with a sentence or give values, the
 * same ones for every range; and those values, encoded, come back bit for bit.
 *
 * Input: count (2 bytes), first (2 bytes), the block. A count above 4096 takes what follows as
 * doubles to encode.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "base/bits.h"
#include "base/invariant.h"
#include "storage/engine/value_codec.h"

static struct value_encoder encoder;
static double values[VALUE_BLOCK_MAX_COUNT];
static double again[VALUE_BLOCK_MAX_COUNT];

static void check_encoding(size_t count)
{
    struct value_encoding encoding;
    uint8_t *room = malloc(value_block_max_size(count));
    invariant(room != NULL);
    value_block_encode(&encoder, values, count, room, &encoding);
    invariant(encoding.size <= value_block_max_size(count));
    /* Held in a block of exactly its size, so that a sanitizer sees one byte too many. */
    uint8_t *block = realloc(room, encoding.size);
    invariant(block != NULL);
    invariant(value_block_decode(slice_of(block, encoding.size), count, 0, count, again, NULL) ==
              STATUS_OK);
    invariant(memcmp(values, again, count * sizeof *values) == 0);
    free(block);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    size_t count = load_u16(data);
    size_t first = load_u16(data + 2);
    struct slice block = slice_of(data + 4, size - 4);
    if (count > VALUE_BLOCK_MAX_COUNT) {
        count = block.size / 8 < VALUE_BLOCK_MAX_COUNT ? block.size / 8 : VALUE_BLOCK_MAX_COUNT;
        if (count == 0)
            return 0;
        memcpy(values, block.data, count * sizeof *values);
        check_encoding(count);
        return 0;
    }
    struct error err = {0};
    enum status status = value_block_decode(block, count, 0, count, values, &err);
    if (status != STATUS_OK) {
        invariant(status == STATUS_CORRUPT && err.message[0] != 0);
        return 0;
    }
    first = count == 0 ? 0 : first % count;
    invariant(value_block_decode(block, count, first, count - first, again, &err) == STATUS_OK);
    invariant(memcmp(values + first, again, (count - first) * sizeof *values) == 0);
    if (count > 0)
        check_encoding(count);
    return 0;
}

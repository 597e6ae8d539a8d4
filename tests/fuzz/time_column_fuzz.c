/*
 * time_column_fuzz - columns of times: any bytes are refused with a sentence or give times that
 * rise, the same ones for every range; and those times, encoded, come back.
 *
 * Input: count (2 bytes), first (2 bytes), the column.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "base/bits.h"
#include "base/invariant.h"
#include "storage/engine/time_codec.h"

static struct time_encoder encoder;
static int64_t times[TIME_COLUMN_MAX_COUNT];
static int64_t again[TIME_COLUMN_MAX_COUNT];

static void check_encoding(size_t count)
{
    uint8_t *room = malloc(time_column_max_size(count));
    invariant(room != NULL);
    size_t size = time_column_encode(&encoder, times, count, room);
    invariant(size <= time_column_max_size(count));
    uint8_t *column = realloc(room, size);
    invariant(column != NULL);
    invariant(time_column_decode(slice_of(column, size), count, 0, count, again, NULL) ==
              STATUS_OK);
    invariant(memcmp(times, again, count * sizeof *times) == 0);
    free(column);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 4)
        return 0;
    size_t count = load_u16(data) % (TIME_COLUMN_MAX_COUNT + 1);
    size_t first = load_u16(data + 2);
    struct slice column = slice_of(data + 4, size - 4);
    struct error err = {0};
    enum status status = time_column_decode(column, count, 0, count, times, &err);
    if (status != STATUS_OK) {
        invariant(status == STATUS_CORRUPT && err.message[0] != 0);
        return 0;
    }
    for (size_t i = 1; i < count; i++)
        invariant(times[i] > times[i - 1]);
    first %= count;
    invariant(time_column_decode(column, count, first, count - first, again, &err) == STATUS_OK);
    invariant(memcmp(times + first, again, (count - first) * sizeof *times) == 0);
    check_encoding(count);
    return 0;
}

/* Blocks' samples: reading, checking, decoding. */
#include <stdlib.h>

#include "base/invariant.h"
#include "model/value.h"
#include "storage/engine/part_state.h"
#include "storage/engine/stored_read.h"
#include "storage/engine/time_codec.h"

static void name_block(const struct part_cursor *cursor, const struct part_block *block,
                       const char *what, uint64_t offset, struct error *err)
{
    error_prefix(err, "part %s: %s of series %u (metric %u) at offset %llu", cursor->part->path,
                 what, block->series, block->metric, (unsigned long long)offset);
}

static enum status check(const struct part_cursor *cursor, uint64_t offset, struct slice bytes,
                         uint32_t want, struct error *err)
{
    uint32_t got = part_checksum(cursor->part->identity.id, offset, bytes.data, bytes.size);
    if (got == want)
        return STATUS_OK;
    return fail(err, STATUS_CORRUPT, "checksum differs (got %08x, want %08x)", got, want);
}

/* ---- times ------------------------------------------------------------------------------ */

static enum status load_times(struct part_cursor *cursor, const struct part_block *block,
                              struct cached_times *cached, struct error *err)
{
    cached->offset = 0;
    if (cached->capacity < block->count) {
        int64_t *times = realloc(cached->times, block->count * sizeof *times);
        if (times == NULL)
            return fail(err, STATUS_MEMORY, "no memory");
        cached->times = times;
        cached->capacity = block->count;
    }
    /* Not through the window: it would lose its place among the values. */
    uint8_t *bytes = malloc(block->times_size);
    if (bytes == NULL)
        return fail(err, STATUS_MEMORY, "no memory");
    size_t size = block->times_size - 4;
    enum status status =
        stored_read_exactly(cursor->part->file, bytes, block->times_size, block->times_offset, err);
    if (status == STATUS_OK)
        status =
            check(cursor, block->times_offset, slice_of(bytes, size), load_u32(bytes + size), err);
    if (status == STATUS_OK)
        status = time_column_decode(slice_of(bytes, size), block->count, 0, block->count,
                                    cached->times, err);
    free(bytes);
    if (status != STATUS_OK)
        return status;
    cached->offset = block->times_offset;
    cached->count = block->count;
    return STATUS_OK;
}

/* All times of a block that is not steady; borrowed until the next call. */
static enum status block_times(struct part_cursor *cursor, const struct part_block *block,
                               const int64_t **times, struct error *err)
{
    struct cached_times *cached = NULL;
    for (size_t i = 0; i < PART_CACHED_TIMES && cached == NULL; i++)
        if (cursor->cached[i].offset == block->times_offset &&
            cursor->cached[i].count == block->count)
            cached = &cursor->cached[i];
    if (cached == NULL) {
        cached = &cursor->cached[cursor->next_cached];
        cursor->next_cached = (cursor->next_cached + 1) % PART_CACHED_TIMES;
        enum status status = load_times(cursor, block, cached, err);
        if (status != STATUS_OK) {
            name_block(cursor, block, "times", block->times_offset, err);
            return status;
        }
    }
    if (cached->times[0] != block->first_ms || cached->times[block->count - 1] != block->last_ms) {
        fail(err, STATUS_CORRUPT, "they are not those that the header names");
        name_block(cursor, block, "times", block->times_offset, err);
        return STATUS_CORRUPT;
    }
    *times = cached->times;
    return STATUS_OK;
}

static int64_t block_step(const struct part_block *block)
{
    return block->count == 1 ? 1 : (block->last_ms - block->first_ms) / (block->count - 1);
}

static enum status read_times(struct part_cursor *cursor, const struct part_block *block,
                              size_t first, size_t wanted, int64_t *times, struct error *err)
{
    if (block->times_size == 0) {
        int64_t step = block_step(block);
        for (size_t i = 0; i < wanted; i++)
            times[i] = block->first_ms + step * (int64_t)(first + i);
        return STATUS_OK;
    }
    const int64_t *all;
    enum status status = block_times(cursor, block, &all, err);
    if (status == STATUS_OK)
        memcpy(times, all + first, wanted * sizeof *times);
    return status;
}

/* ---- values ----------------------------------------------------------------------------- */

enum status part_block_values(struct part_cursor *cursor, const struct part_block *block,
                              struct slice *values, struct error *err)
{
    if (block->values_size == 0) {
        *values = slice_of(NULL, 0);
        return STATUS_OK;
    }
    enum status status = part_fetch(cursor, block->values_offset, block->values_size, values, err);
    if (status == STATUS_OK)
        status = check(cursor, block->values_offset, *values, block->values_crc, err);
    if (status != STATUS_OK) {
        name_block(cursor, block, "values", block->values_offset, err);
        return status;
    }
    return STATUS_OK;
}

static enum status read_values(struct part_cursor *cursor, const struct part_block *block,
                               size_t first, size_t wanted, double *values, struct error *err)
{
    if (block->values_size == 0) {
        double value =
            block->summary.count == 0 ? double_of_bits(VALUE_STALE_BITS) : block->summary.first;
        for (size_t i = 0; i < wanted; i++)
            values[i] = value;
        return STATUS_OK;
    }
    struct slice bytes = {0};
    enum status status = part_block_values(cursor, block, &bytes, err);
    if (status != STATUS_OK)
        return status;
    status = value_block_decode(bytes, block->count, first, wanted, values, err);
    if (status != STATUS_OK) {
        name_block(cursor, block, "values", block->values_offset, err);
        return status;
    }
    return STATUS_OK;
}

enum status part_block_read(struct part_cursor *cursor, const struct part_block *block,
                            size_t first, size_t wanted, int64_t *times, double *values,
                            struct error *err)
{
    invariant(first <= block->count && wanted <= block->count - first);
    enum status status = STATUS_OK;
    if (times != NULL)
        status = read_times(cursor, block, first, wanted, times, err);
    if (status == STATUS_OK && values != NULL)
        status = read_values(cursor, block, first, wanted, values, err);
    return status;
}

/* ---- ranges ----------------------------------------------------------------------------- */

/* The first position whose time is not before `time_ms`. */
static size_t lower_bound(const int64_t *times, size_t count, int64_t time_ms)
{
    size_t low = 0;
    while (low < count) {
        size_t middle = low + (count - low) / 2;
        if (times[middle] < time_ms)
            low = middle + 1;
        else
            count = middle;
    }
    return low;
}

static size_t steady_lower_bound(const struct part_block *block, int64_t time_ms)
{
    if (time_ms <= block->first_ms)
        return 0;
    if (time_ms > block->last_ms)
        return block->count;
    int64_t step = block_step(block);
    return (size_t)((time_ms - block->first_ms + step - 1) / step);
}

enum status part_block_read_range(struct part_cursor *cursor, const struct part_block *block,
                                  int64_t start_ms, int64_t end_ms, int64_t *times, double *values,
                                  size_t *count, struct error *err)
{
    *count = 0;
    if (end_ms <= block->first_ms || start_ms > block->last_ms || start_ms >= end_ms)
        return STATUS_OK;
    size_t first;
    size_t end;
    if (block->times_size == 0) {
        first = steady_lower_bound(block, start_ms);
        end = steady_lower_bound(block, end_ms);
    } else {
        const int64_t *all;
        enum status status = block_times(cursor, block, &all, err);
        if (status != STATUS_OK)
            return status;
        first = lower_bound(all, block->count, start_ms);
        end = lower_bound(all, block->count, end_ms);
    }
    enum status status = part_block_read(cursor, block, first, end - first, times, values, err);
    if (status == STATUS_OK)
        *count = end - first;
    return status;
}

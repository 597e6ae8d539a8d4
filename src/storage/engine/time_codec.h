/*
 * time_codec - columns of up to 4096 strictly rising times in Unix milliseconds.
 *
 *   column  := kind byte (bits 0-1: 0 steady, 1 packed; bits 2-3 order; the others zero), first:
 *              varint zigzag, then
 *   steady  := step: varint, at least 1                 only with two times or more
 *   packed  := intpack stream of the given order: the times less the first
 *
 * The count and a checksum are kept by the caller. Decoding checks that times rise, so that a
 * search in them may rely on it.
 * Threads: an encoder belongs to one thread; decoding is a pure function.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_TIME_CODEC_H
#define METRIC_STORE_STORAGE_ENGINE_TIME_CODEC_H

#include "base/slice.h"
#include "base/status.h"
#include "storage/engine/intpack.h"

enum { TIME_COLUMN_MAX_COUNT = INTPACK_MAX_COUNT };

struct time_encoder {
    int64_t offsets[TIME_COLUMN_MAX_COUNT];
};

static inline size_t time_column_max_size(size_t count)
{
    return intpack_max_size(count) + 24;
}

/* Whether neighbours are all the same step apart. */
bool times_are_steady(const int64_t *times, size_t count);

/* 1 to TIME_COLUMN_MAX_COUNT strictly rising times; `to` has room for time_column_max_size. Returns
 * the bytes written. */
size_t time_column_encode(struct time_encoder *encoder, const int64_t *times, size_t count,
                          uint8_t *to);

/*
 * Decodes times [first, first + wanted) of a column of `count`; first + wanted <= count.
 *   CORRUPT  the bytes are no column of that many rising times
 */
MUST_CHECK enum status time_column_decode(struct slice from, size_t count, size_t first,
                                          size_t wanted, int64_t *times, struct error *err);

#endif

/*
 * bitpack - unsigned integers of one width, 0 to 64 bits each, without gaps.
 *
 * Value i occupies bits [i * width, (i + 1) * width) of the run, counted from the lowest bit of the
 * first byte; the bits after the last value, up to the byte's end, are zero.
 * Threads: pure functions.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_BITPACK_H
#define METRIC_STORE_STORAGE_ENGINE_BITPACK_H

#include "base/slice.h"

/* Bytes of `count` values; count * 64 must not overflow. */
static inline size_t bitpack_size(size_t count, unsigned width)
{
    return (count * width + 7) / 8;
}

/* Bits that `value` needs: 0 for 0. */
static inline unsigned bit_length(uint64_t value)
{
    return value == 0 ? 0 : 64 - (unsigned)__builtin_clzll(value);
}

/* Writes bitpack_size(count, width) bytes. No value has more than `width` bits. */
void bitpack_pack(const uint64_t *values, size_t count, unsigned width, uint8_t *to);

/* `from` holds at least bitpack_size(count, width) bytes; what lies behind them is never used,
 * though bytes of `from` may be loaded, which makes it faster. */
void bitpack_unpack(struct slice from, size_t count, unsigned width, uint64_t *values);

/* Whether the bits after the last value are zero, as bitpack_pack leaves them. */
bool bitpack_tail_is_zero(const uint8_t *from, size_t count, unsigned width);

#endif

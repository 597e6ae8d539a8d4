/*
 * intpack - up to 4096 64-bit integers, packed in mini-blocks of 128 that decode alone.
 *
 * Values, times and the columns of part pages all end up here. A stream has an *order*: 0 packs
 * the integers themselves, 1 their differences, 2 the differences of those; all arithmetic wraps
 * round at 64 bits, so every stream of integers can be packed in every order. The order and the
 * count are kept by the caller.
 *
 *   stream      := mini-header * ceil(count / 128), then the payloads in the same order
 *   mini-header := [first: varint zigzag, less the previous mini-block's]        order >= 1
 *                  [first difference, likewise]                                  order 2, n >= 2
 *                  and where residuals remain (n - order of them):
 *                  code byte: bits 0-5 width (63 means 64), bit 6 patched, bit 7 zigzag
 *                  [patch count byte, patch width byte]                          if patched
 *                  [base: varint zigzag, less the last one before it]            unless zigzag
 *   payload     := residuals, bit-packed: zigzag, or less the base
 *                  if patched: which residuals have further high bits, as 7-bit positions or as a
 *                  bitmap, whichever is smaller (bitmap where 7 * patches > residuals), then
 *                  those high bits, bit-packed
 *
 * A patch keeps one outlier, such as a counter's reset, from widening the 127 others; and where
 * many differences are zero, width 0 with a bitmap is the shortest code there is.
 * The headers come first, so that a reader finds the one mini-block it needs without the others.
 *
 * Threads: pure functions; a reader belongs to one thread.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_INTPACK_H
#define METRIC_STORE_STORAGE_ENGINE_INTPACK_H

#include "base/slice.h"
#include "base/status.h"

enum {
    INTPACK_MINI = 128,
    INTPACK_MAX_COUNT = 4096,
    INTPACK_MAX_MINIS = INTPACK_MAX_COUNT / INTPACK_MINI,
    INTPACK_MAX_ORDER = 2,
};

/* The most bytes that `count` integers can take. */
static inline size_t intpack_max_size(size_t count)
{
    return count * 8 + (count / INTPACK_MINI + 1) * 40;
}

/* The order that promises the fewest bytes, from the lengths of the differences. */
unsigned intpack_choose_order(const int64_t *values, size_t count);

/* 1 to INTPACK_MAX_COUNT values; `to` has room for intpack_max_size. Returns the bytes written. */
size_t intpack_encode(const int64_t *values, size_t count, unsigned order, uint8_t *to);

struct intpack_mini {
    uint64_t first;
    uint64_t first_difference;
    uint64_t base;
    uint32_t offset; /* of the payload */
    uint8_t residual_count;
    uint8_t width;
    uint8_t patch_count;
    uint8_t patch_width;
    bool zigzag;
};

struct intpack_reader {
    struct slice from;
    unsigned order;
    unsigned count;
    unsigned mini_count;
    struct intpack_mini minis[INTPACK_MAX_MINIS];
};

/*
 * Reads and checks the headers. `from` is borrowed by the reader and must hold the stream exactly.
 *   CORRUPT  the bytes are no such stream
 */
MUST_CHECK enum status intpack_open(struct intpack_reader *reader, struct slice from, size_t count,
                                    unsigned order, struct error *err);

/* Decodes mini-block `index`: 128 integers, or what remains in the last (the rest of `values` is
 * then undefined). Sets *count. */
MUST_CHECK enum status intpack_read(const struct intpack_reader *reader, size_t index,
                                    int64_t values[INTPACK_MINI], size_t *count, struct error *err);

/* Decodes all `count` integers. `values` has room for exactly that many. */
MUST_CHECK enum status intpack_decode(struct slice from, size_t count, unsigned order,
                                      int64_t *values, struct error *err);

#endif

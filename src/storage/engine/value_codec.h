/*
 * value_codec - blocks of up to 4096 doubles, kept bit for bit.
 *
 *   block     := kind byte: bits 0-1 form, bits 2-3 order, bit 4 exceptions, bit 5 factor,
 *                the others zero
 *   constant  := kind, the 8 bytes of the value                       every value has these bits
 *   linear    := kind, scale, [exceptions], [factor], first: varint zigzag, step: varint zigzag
 *   packed    := kind, scale, [exceptions], [factor], intpack stream of the given order
 *
 *   scale      := signed byte, value_scale.h: value = integer * factor * 10^scale; 127: the integer
 *                 is the bits of the double
 *   factor     := varint, at least 2: what all integers have in common (page sizes, float bits)
 *   exceptions := varint count, then for each: varint position less the one before it less 1,
 *                 tag byte (0 stale marker, 1 ordinary NaN, 2 the 8 bytes that follow)
 *
 * The count and a checksum are kept by the caller. Exceptions are values without an integer at the
 * block's scale (NaN, infinity, -0.0, a lone value with more digits); at most an eighth of a block,
 * else it is encoded as bits. The encoder finds form, scale and order from statistics in one or
 * two passes, without trying encodings out; run lengths need no form of their own, since width 0
 * with patches costs the same.
 *
 * A range is decoded from those mini-blocks of 128 alone that it touches.
 * Threads: an encoder belongs to one thread; decoding is a pure function.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_VALUE_CODEC_H
#define METRIC_STORE_STORAGE_ENGINE_VALUE_CODEC_H

#include "base/slice.h"
#include "base/status.h"
#include "storage/engine/intpack.h"

enum { VALUE_BLOCK_MAX_COUNT = INTPACK_MAX_COUNT };

enum value_form { VALUE_CONSTANT = 0, VALUE_LINEAR = 1, VALUE_PACKED = 2 };

/* Scratch memory of one encoder, 37 KiB; its contents mean nothing between calls. */
struct value_encoder {
    int64_t integers[VALUE_BLOCK_MAX_COUNT];
    uint16_t exceptions[VALUE_BLOCK_MAX_COUNT / 8 + 1];
};

/* What value_block_encode chose. */
struct value_encoding {
    size_t size; /* bytes written */
    enum value_form form;
    int scale; /* value_scale.h; of a constant too */
};

/* The most bytes that a block of `count` values can take. */
static inline size_t value_block_max_size(size_t count)
{
    return intpack_max_size(count) + (count / 8 + 1) * 11 + 32;
}

/* 1 to VALUE_BLOCK_MAX_COUNT values; `to` has room for value_block_max_size. */
void value_block_encode(struct value_encoder *encoder, const double *values, size_t count,
                        uint8_t *to, struct value_encoding *encoding);

/*
 * Decodes values [first, first + wanted) of a block of `count`; first + wanted <= count.
 *   CORRUPT  the bytes are no block of that many values
 */
MUST_CHECK enum status value_block_decode(struct slice from, size_t count, size_t first,
                                          size_t wanted, double *values, struct error *err);

/* For people: form, order, scale and exceptions of a block, as text. */
MUST_CHECK enum status value_block_describe(struct slice from, size_t count, char *text,
                                            size_t text_size, struct error *err);

#endif

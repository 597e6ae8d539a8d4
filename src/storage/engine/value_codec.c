#include "storage/engine/value_codec.h"

#include <stdio.h>

#include "base/bits.h"
#include "base/invariant.h"
#include "model/value.h"
#include "storage/engine/value_scale.h"

enum { KIND_FORM = 0x03, KIND_ORDER_SHIFT = 2, KIND_EXCEPTIONS = 0x10, KIND_FACTOR = 0x20 };
enum { KIND_UNUSED = 0xc0 };
enum { TAG_STALE = 0, TAG_NAN = 1, TAG_BITS = 2 };

/* ---- encoding --------------------------------------------------------------------------- */

static bool all_equal(const double *values, size_t count)
{
    uint64_t first = bits_of_double(values[0]);
    for (size_t i = 1; i < count; i++)
        if (bits_of_double(values[i]) != first)
            return false;
    return true;
}

/* Integers of all values at `scale`; positions of those without one go to encoder->exceptions.
 * False when there are more than `limit`. */
static bool to_integers(struct value_encoder *encoder, const double *values, size_t count,
                        int scale, size_t limit, size_t *exceptions)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        if (scale_to_integer(values[i], scale, &encoder->integers[i]))
            continue;
        if (found == limit)
            return false;
        encoder->exceptions[found++] = (uint16_t)i;
    }
    *exceptions = found;
    return true;
}

/* The scale that the exceptions ask for, where enough of them are decimals that the sample did not
 * show; otherwise `scale`. */
static int rescale(const struct value_encoder *encoder, const double *values, size_t count,
                   size_t exceptions, int scale)
{
    int wanted = scale;
    size_t decimals = 0;
    for (size_t i = 0; i < exceptions; i++) {
        int found;
        if (scale_find(values[encoder->exceptions[i]], scale, &found) && found < wanted)
            wanted = found;
        decimals += wanted != scale;
    }
    return decimals > count / 32 + 1 ? wanted : scale;
}

static bool bits_exceptions(struct value_encoder *encoder, const double *values, size_t count,
                            size_t limit, size_t *exceptions)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        encoder->integers[i] = (int64_t)bits_of_double(values[i]);
        if (!value_is_stale(values[i]))
            continue;
        if (found == limit)
            return false;
        encoder->exceptions[found++] = (uint16_t)i;
    }
    *exceptions = found;
    return true;
}

/* Fills encoder->integers and ->exceptions; returns the scale. */
static int choose_integers(struct value_encoder *encoder, const double *values, size_t count,
                           size_t *exceptions)
{
    size_t limit = count / 8 + 1;
    int scale = scale_choose(values, count, VALUE_STALE_BITS);
    if (scale != SCALE_BITS && to_integers(encoder, values, count, scale, limit, exceptions)) {
        int better = *exceptions == 0 || scale > 0
                         ? scale
                         : rescale(encoder, values, count, *exceptions, scale);
        if (better == scale || to_integers(encoder, values, count, better, limit, exceptions))
            return better;
    }
    if (!bits_exceptions(encoder, values, count, limit, exceptions)) {
        *exceptions = 0;
        for (size_t i = 0; i < count; i++)
            encoder->integers[i] = (int64_t)bits_of_double(values[i]);
    }
    return SCALE_BITS;
}

/* In place of an exception stands the integer before it, which costs least; at the front, the first
 * one that is none. */
static void fill_exceptions(struct value_encoder *encoder, size_t count, size_t exceptions)
{
    size_t leading = 0;
    while (leading < exceptions && encoder->exceptions[leading] == leading)
        leading++;
    int64_t first = leading < count ? encoder->integers[leading] : 0;
    for (size_t i = 0; i < exceptions; i++) {
        size_t at = encoder->exceptions[i];
        encoder->integers[at] = i < leading ? first : encoder->integers[at - 1];
    }
}

/* What all integers have in common, at least 1. */
static uint64_t common_factor(const int64_t *integers, size_t count, int scale)
{
    uint64_t any = 0;
    if (scale == SCALE_BITS) {
        for (size_t i = 0; i < count; i++)
            any |= (uint64_t)integers[i];
        unsigned zeros = any == 0 ? 0 : (unsigned)__builtin_ctzll(any);
        return UINT64_C(1) << (zeros < 62 ? zeros : 62);
    }
    for (size_t i = 0; i < count && any != 1; i++) {
        uint64_t a = integers[i] < 0 ? 0 - (uint64_t)integers[i] : (uint64_t)integers[i];
        if (any == 0 || a == 0) {
            any |= a;
            continue;
        }
        while (a % any != 0) {
            uint64_t rest = a % any;
            a = any;
            any = rest;
        }
    }
    return any == 0 ? 1 : any;
}

static bool is_linear(const int64_t *integers, size_t count)
{
    int64_t step = count < 2 ? 0 : wrapping_sub(integers[1], integers[0]);
    for (size_t i = 2; i < count; i++)
        if (wrapping_sub(integers[i], integers[i - 1]) != step)
            return false;
    return true;
}

static uint8_t *put_exceptions(uint8_t *to, const struct value_encoder *encoder,
                               const double *values, size_t exceptions)
{
    to = varint_put(to, exceptions);
    size_t next = 0;
    for (size_t i = 0; i < exceptions; i++) {
        size_t at = encoder->exceptions[i];
        uint64_t bits = bits_of_double(values[at]);
        to = varint_put(to, at - next);
        next = at + 1;
        *to++ = bits == VALUE_STALE_BITS        ? TAG_STALE
                : bits == VALUE_NORMAL_NAN_BITS ? TAG_NAN
                                                : TAG_BITS;
        if (to[-1] == TAG_BITS) {
            store_u64(to, bits);
            to += 8;
        }
    }
    return to;
}

static void encode_constant(double value, uint8_t *to, struct value_encoding *encoding)
{
    int scale;
    encoding->form = VALUE_CONSTANT;
    encoding->scale = scale_find(value, 0, &scale) ? scale : SCALE_BITS;
    encoding->size = 9;
    to[0] = VALUE_CONSTANT;
    store_u64(to + 1, bits_of_double(value));
}

static void divide_integers(int64_t *integers, size_t count, uint64_t factor, int scale)
{
    if (scale == SCALE_BITS) {
        unsigned shift = (unsigned)__builtin_ctzll(factor);
        for (size_t i = 0; i < count; i++)
            integers[i] >>= shift;
        return;
    }
    for (size_t i = 0; i < count; i++)
        integers[i] /= (int64_t)factor;
}

void value_block_encode(struct value_encoder *encoder, const double *values, size_t count,
                        uint8_t *to, struct value_encoding *encoding)
{
    invariant(count > 0 && count <= VALUE_BLOCK_MAX_COUNT);
    if (all_equal(values, count)) {
        encode_constant(values[0], to, encoding);
        return;
    }
    int64_t *integers = encoder->integers;
    size_t exceptions;
    int scale = choose_integers(encoder, values, count, &exceptions);
    fill_exceptions(encoder, count, exceptions);
    uint64_t factor = common_factor(integers, count, scale);
    if (factor > 1)
        divide_integers(integers, count, factor, scale);
    encoding->scale = scale;
    encoding->form = is_linear(integers, count) ? VALUE_LINEAR : VALUE_PACKED;
    unsigned order = encoding->form == VALUE_LINEAR ? 0 : intpack_choose_order(integers, count);

    uint8_t *next = to;
    *next++ = (uint8_t)(encoding->form | order << KIND_ORDER_SHIFT |
                        (exceptions > 0 ? KIND_EXCEPTIONS : 0) | (factor > 1 ? KIND_FACTOR : 0));
    *next++ = (uint8_t)scale;
    if (exceptions > 0)
        next = put_exceptions(next, encoder, values, exceptions);
    if (factor > 1)
        next = varint_put(next, factor);
    if (encoding->form == VALUE_LINEAR) {
        next = varint_put(next, zigzag_encode(integers[0]));
        int64_t step = count < 2 ? 0 : wrapping_sub(integers[1], integers[0]);
        next = varint_put(next, zigzag_encode(step));
    } else {
        next += intpack_encode(integers, count, order, next);
    }
    encoding->size = (size_t)(next - to);
}

/* ---- decoding --------------------------------------------------------------------------- */

struct value_block {
    enum value_form form;
    unsigned order;
    int scale;
    uint64_t factor;
    size_t exception_count;
    struct slice exceptions; /* the entries, checked */
    struct slice body;
};

static enum status broken(struct error *err, const char *what)
{
    fail(err, STATUS_CORRUPT, "value block: %s", what);
    return STATUS_CORRUPT;
}

/* One entry; NULL where it is cut off or unknown. */
static const uint8_t *get_exception(const uint8_t *from, const uint8_t *end, size_t count,
                                    size_t *next, size_t *position, uint64_t *bits)
{
    uint64_t skip;
    from = varint_get(from, end, &skip);
    if (from == NULL || from == end || *next >= count || skip >= count - *next)
        return NULL;
    *position = *next + (size_t)skip;
    *next = *position + 1;
    uint8_t tag = *from++;
    if (tag == TAG_STALE || tag == TAG_NAN) {
        *bits = tag == TAG_STALE ? VALUE_STALE_BITS : VALUE_NORMAL_NAN_BITS;
        return from;
    }
    if (tag != TAG_BITS || end - from < 8)
        return NULL;
    *bits = load_u64(from);
    return from + 8;
}

static enum status open_exceptions(struct value_block *block, const uint8_t **from,
                                   const uint8_t *end, size_t count, struct error *err)
{
    uint64_t entries;
    const uint8_t *next = varint_get(*from, end, &entries);
    if (next == NULL || entries == 0 || entries > count)
        return broken(err, "the number of exceptions is broken");
    const uint8_t *start = next;
    size_t after = 0;
    for (uint64_t i = 0; i < entries; i++) {
        size_t position;
        uint64_t bits;
        next = get_exception(next, end, count, &after, &position, &bits);
        if (next == NULL)
            return broken(err, "an exception is broken");
    }
    block->exception_count = (size_t)entries;
    block->exceptions = slice_of(start, (size_t)(next - start));
    *from = next;
    return STATUS_OK;
}

static enum status value_block_open(struct value_block *block, struct slice from, size_t count,
                                    struct error *err)
{
    if (from.size == 0)
        return broken(err, "it is empty");
    unsigned kind = from.data[0];
    *block = (struct value_block){
        .form = (enum value_form)(kind & KIND_FORM),
        .order = (kind >> KIND_ORDER_SHIFT) & 3,
        .factor = 1,
        .body = slice_from(from, 1),
    };
    if ((kind & KIND_UNUSED) != 0 || block->form > VALUE_PACKED)
        return broken(err, "its kind is none we know");
    if (block->form == VALUE_CONSTANT)
        return kind == VALUE_CONSTANT && from.size == 9
                   ? STATUS_OK
                   : broken(err, "a constant has exactly 9 bytes");
    if (from.size < 2)
        return broken(err, "it is cut off");
    block->scale = from.data[1] < 128 ? from.data[1] : from.data[1] - 256;
    if (!scale_is_valid(block->scale))
        return broken(err, "its scale is none we know");
    const uint8_t *next = from.data + 2;
    const uint8_t *end = from.data + from.size;
    if ((kind & KIND_EXCEPTIONS) != 0) {
        enum status status = open_exceptions(block, &next, end, count, err);
        if (status != STATUS_OK)
            return status;
    }
    if ((kind & KIND_FACTOR) != 0) {
        next = varint_get(next, end, &block->factor);
        if (next == NULL || block->factor < 2)
            return broken(err, "its common factor is broken");
    }
    block->body = slice_of(next, (size_t)(end - next));
    return STATUS_OK;
}

static void multiply(int64_t *integers, size_t count, uint64_t factor)
{
    for (size_t i = 0; i < count; i++)
        integers[i] = (int64_t)((uint64_t)integers[i] * factor);
}

static enum status decode_linear(const struct value_block *block, size_t first, size_t wanted,
                                 double *values, struct error *err)
{
    const uint8_t *end = block->body.data + block->body.size;
    uint64_t start = 0;
    uint64_t step = 0;
    const uint8_t *next = varint_get(block->body.data, end, &start);
    next = next == NULL ? NULL : varint_get(next, end, &step);
    if (next != end || block->order != 0)
        return broken(err, "its first value and step are broken");
    start = (uint64_t)zigzag_decode(start) * block->factor;
    step = (uint64_t)zigzag_decode(step) * block->factor;
    for (size_t i = 0; i < wanted; i++) {
        int64_t integer = (int64_t)(start + step * (first + i));
        values[i] = scale_to_double(integer, block->scale);
    }
    return STATUS_OK;
}

static enum status decode_packed(const struct value_block *block, size_t count, size_t first,
                                 size_t wanted, double *values, struct error *err)
{
    struct intpack_reader reader = {0};
    enum status status = intpack_open(&reader, block->body, count, block->order, err);
    if (status != STATUS_OK)
        return status;
    int64_t integers[INTPACK_MINI];
    double doubles[INTPACK_MINI] = {0};
    size_t end = first + wanted;
    for (size_t at = first; at < end;) {
        size_t index = at / INTPACK_MINI;
        size_t from = at % INTPACK_MINI;
        size_t n;
        status = intpack_read(&reader, index, integers, &n, err);
        if (status != STATUS_OK)
            return status;
        if (block->factor != 1)
            multiply(integers, INTPACK_MINI, block->factor);
        size_t take = end - at < n - from ? end - at : n - from;
        bool whole = take == INTPACK_MINI;
        double *to = whole ? values + (at - first) : doubles;
        scale_to_doubles(integers, INTPACK_MINI, block->scale, to);
        if (!whole)
            memcpy(values + (at - first), doubles + from, take * sizeof *values);
        at += take;
    }
    return STATUS_OK;
}

static void apply_exceptions(const struct value_block *block, size_t count, size_t first,
                             size_t wanted, double *values)
{
    const uint8_t *next = block->exceptions.data;
    const uint8_t *end = next + block->exceptions.size;
    size_t after = 0;
    for (size_t i = 0; i < block->exception_count; i++) {
        size_t position;
        uint64_t bits;
        next = get_exception(next, end, count, &after, &position, &bits);
        invariant(next != NULL);
        if (position >= first && position - first < wanted)
            values[position - first] = double_of_bits(bits);
    }
}

enum status value_block_decode(struct slice from, size_t count, size_t first, size_t wanted,
                               double *values, struct error *err)
{
    invariant(first <= count && wanted <= count - first);
    struct value_block block = {0};
    enum status status = value_block_open(&block, from, count, err);
    if (status != STATUS_OK)
        return status;
    if (block.form == VALUE_CONSTANT) {
        double value = double_of_bits(load_u64(block.body.data));
        for (size_t i = 0; i < wanted; i++)
            values[i] = value;
        return STATUS_OK;
    }
    status = block.form == VALUE_LINEAR ? decode_linear(&block, first, wanted, values, err)
                                        : decode_packed(&block, count, first, wanted, values, err);
    if (status == STATUS_OK && block.exception_count > 0)
        apply_exceptions(&block, count, first, wanted, values);
    return status;
}

enum status value_block_describe(struct slice from, size_t count, char *text, size_t text_size,
                                 struct error *err)
{
    static const char *forms[] = {"constant", "linear", "packed"};
    struct value_block block = {0};
    enum status status = value_block_open(&block, from, count, err);
    if (status != STATUS_OK)
        return status;
    if (block.form == VALUE_CONSTANT)
        snprintf(text, text_size, "constant");
    else if (block.scale == SCALE_BITS)
        snprintf(text, text_size, "%s bits order=%u factor=%llu exceptions=%zu", forms[block.form],
                 block.order, (unsigned long long)block.factor, block.exception_count);
    else
        snprintf(text, text_size, "%s scale=%d order=%u factor=%llu exceptions=%zu",
                 forms[block.form], block.scale, block.order, (unsigned long long)block.factor,
                 block.exception_count);
    return STATUS_OK;
}

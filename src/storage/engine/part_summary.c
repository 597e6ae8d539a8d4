#include "storage/engine/part_summary.h"

#include <math.h>

#include "base/invariant.h"
#include "storage/engine/value_scale.h"

enum {
    HAS_LAST = 1,
    HAS_MIN = 2,
    HAS_MAX = 4,
    HAS_SUM = 8,
    HAS_SUM_ULPS = 16,
    HAS_REST = 32,
    HAS_INCREASE = 64,
    HAS_INCREASE_ULPS = 128,
    HAS_EDGES = 256,
    IS_RAW = 512,
    ALL_FLAGS = 1023,
};

/* Doubles in order as integers: neighbours differ by 1. */
static int64_t order_of(double value)
{
    uint64_t bits = bits_of_double(value);
    return bits >> 63 != 0 ? (int64_t)((UINT64_C(1) << 63) - bits) : (int64_t)bits;
}

static double double_of_order(int64_t order)
{
    return double_of_bits(order < 0 ? (UINT64_C(1) << 63) - (uint64_t)order : (uint64_t)order);
}

static int exponent_of(double value)
{
    return (int)(bits_of_double(value) >> 52 & 0x7ff) - 1075;
}

/* The integer nearest to a value that need not be one; false where it is out of reach. */
static bool nearest_integer(double value, int scale, int64_t *integer)
{
    double unit = scale_to_double(1, scale < 0 ? -scale : scale);
    double scaled = scale < 0 ? value * unit : value / unit;
    if (!(fabs(scaled) < 0x1p62))
        return false;
    *integer = (int64_t)(scaled + copysign(0.5, scaled));
    return true;
}

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t larger(int64_t a, int64_t b)
{
    return a > b ? a : b;
}

/* What `count` values on a straight line sum up to; wraps. */
static int64_t line_sum(int64_t first, int64_t last, uint32_t count)
{
    uint64_t rise = (uint64_t)wrapping_sub(last, first);
    return (int64_t)((uint64_t)first * count + (uint64_t)((int64_t)(rise * count) / 2));
}

static uint8_t *put_signed(uint8_t *to, int64_t value)
{
    return varint_put(to, zigzag_encode(value));
}

static uint8_t *put_if(uint8_t *to, int64_t value, unsigned flag, unsigned *flags)
{
    if (value == 0)
        return to;
    *flags |= flag;
    return put_signed(to, value);
}

/* A double with few digits: its odd mantissa and exponent. */
static uint8_t *put_rest(uint8_t *to, double rest, double sum)
{
    uint64_t bits = bits_of_double(rest);
    int64_t mantissa = (int64_t)((bits & ((UINT64_C(1) << 52) - 1)) | UINT64_C(1) << 52);
    int zeros = __builtin_ctzll((uint64_t)mantissa);
    mantissa >>= zeros;
    to = put_signed(to, bits >> 63 ? -mantissa : mantissa);
    return put_signed(to, exponent_of(rest) + zeros - exponent_of(sum));
}

static uint8_t *put_integers(uint8_t *to, const struct summary *summary, int scale, unsigned *flags)
{
    int64_t first, last, min, max, sum, increase;
    if (scale == SCALE_BITS || !scale_to_integer(summary->first, scale, &first) ||
        !scale_to_integer(summary->last, scale, &last) ||
        !scale_to_integer(summary->min, scale, &min) ||
        !scale_to_integer(summary->max, scale, &max) ||
        !nearest_integer(summary->sum, scale, &sum) ||
        !nearest_integer(summary->increase, scale, &increase) || !isfinite(summary->compensation) ||
        (summary->compensation != 0 && !isnormal(summary->compensation)))
        return NULL;
    to = put_signed(to, first);
    to = put_if(to, wrapping_sub(last, first), HAS_LAST, flags);
    to = put_if(to, wrapping_sub(smaller(first, last), min), HAS_MIN, flags);
    to = put_if(to, wrapping_sub(max, larger(first, last)), HAS_MAX, flags);
    to = put_if(to, wrapping_sub(sum, line_sum(first, last, summary->count)), HAS_SUM, flags);
    to = put_if(to, wrapping_sub(order_of(summary->sum), order_of(scale_to_double(sum, scale))),
                HAS_SUM_ULPS, flags);
    if (bits_of_double(summary->compensation) != 0) {
        *flags |= HAS_REST;
        to = put_rest(to, summary->compensation, summary->sum);
    }
    to = put_if(to, wrapping_sub(increase, wrapping_sub(last, first)), HAS_INCREASE, flags);
    return put_if(
        to, wrapping_sub(order_of(summary->increase), order_of(scale_to_double(increase, scale))),
        HAS_INCREASE_ULPS, flags);
}

static uint8_t *put_raw(uint8_t *to, const struct summary *summary)
{
    const double fields[] = {summary->first, summary->last,         summary->min,     summary->max,
                             summary->sum,   summary->compensation, summary->increase};
    memcpy(to, fields, sizeof fields);
    return to + sizeof fields;
}

static bool same(const struct summary *a, const struct summary *b)
{
    uint8_t bytes_a[64], bytes_b[64];
    size_t size = (size_t)(put_raw(bytes_a, a) - bytes_a);
    put_raw(bytes_b, b);
    return memcmp(bytes_a, bytes_b, size) == 0;
}

static uint8_t *put_edges(uint8_t *to, const struct part_block *block, unsigned *flags)
{
    int64_t front = wrapping_sub(block->summary.first_ms, block->first_ms);
    int64_t back = wrapping_sub(block->last_ms, block->summary.last_ms);
    if (front == 0 && back == 0)
        return to;
    *flags |= HAS_EDGES;
    to = varint_put(to, (uint64_t)front);
    return varint_put(to, (uint64_t)back);
}

uint8_t *part_summary_put(uint8_t *to, const struct part_block *block, unsigned *flags)
{
    *flags = 0;
    if (block->summary.count == 0)
        return to;
    uint8_t *start = to;
    struct part_block back = *block;
    to = put_integers(start, &block->summary, block->scale, flags);
    if (to != NULL) {
        to = put_edges(to, block, flags);
        if (part_summary_get(start, to, *flags, &back) == to &&
            same(&back.summary, &block->summary))
            return to;
    }
    *flags = IS_RAW;
    return put_edges(put_raw(start, &block->summary), block, flags);
}

/* ---- reading ---------------------------------------------------------------------------- */

static const uint8_t *get_signed(const uint8_t *from, const uint8_t *end, int64_t *value)
{
    uint64_t code;
    from = from == NULL ? NULL : varint_get(from, end, &code);
    *value = from == NULL ? 0 : zigzag_decode(code);
    return from;
}

static const uint8_t *get_if(const uint8_t *from, const uint8_t *end, unsigned flag, int64_t *value)
{
    *value = 0;
    return flag == 0 ? from : get_signed(from, end, value);
}

static const uint8_t *get_integers(const uint8_t *from, const uint8_t *end, unsigned flags,
                                   int scale, struct summary *summary)
{
    int64_t first, rise, below, above, bend, sum_ulps, mantissa, exponent, fall, increase_ulps;
    from = get_signed(from, end, &first);
    from = get_if(from, end, flags & HAS_LAST, &rise);
    from = get_if(from, end, flags & HAS_MIN, &below);
    from = get_if(from, end, flags & HAS_MAX, &above);
    from = get_if(from, end, flags & HAS_SUM, &bend);
    from = get_if(from, end, flags & HAS_SUM_ULPS, &sum_ulps);
    from = get_if(from, end, flags & HAS_REST, &mantissa);
    from = get_if(from, end, flags & HAS_REST, &exponent);
    from = get_if(from, end, flags & HAS_INCREASE, &fall);
    from = get_if(from, end, flags & HAS_INCREASE_ULPS, &increase_ulps);
    if (from == NULL || exponent < -4000 || exponent > 4000)
        return NULL;
    int64_t last = wrapping_add(first, rise);
    int64_t sum = wrapping_add(line_sum(first, last, summary->count), bend);
    summary->first = scale_to_double(first, scale);
    summary->last = scale_to_double(last, scale);
    summary->min = scale_to_double(wrapping_sub(smaller(first, last), below), scale);
    summary->max = scale_to_double(wrapping_add(larger(first, last), above), scale);
    summary->sum = double_of_order(wrapping_add(order_of(scale_to_double(sum, scale)), sum_ulps));
    summary->compensation =
        mantissa == 0 ? 0 : ldexp((double)mantissa, (int)exponent + exponent_of(summary->sum));
    double increase = scale_to_double(wrapping_add(rise, fall), scale);
    summary->increase = double_of_order(wrapping_add(order_of(increase), increase_ulps));
    return from;
}

const uint8_t *part_summary_get(const uint8_t *from, const uint8_t *end, unsigned flags,
                                struct part_block *block)
{
    struct summary *summary = &block->summary;
    struct summary empty;
    summary_init(&empty);
    empty.count = summary->count;
    empty.stale_count = summary->stale_count;
    empty.nan_count = summary->nan_count;
    *summary = empty;
    if (summary->count == 0)
        return flags == 0 ? from : NULL;
    if ((flags & ~(unsigned)ALL_FLAGS) != 0)
        return NULL;
    if ((flags & IS_RAW) == 0) {
        if (block->scale == SCALE_BITS)
            return NULL;
        from = get_integers(from, end, flags, block->scale, summary);
    } else {
        double fields[7];
        if ((flags & ~(unsigned)(IS_RAW | HAS_EDGES)) != 0 || end - from < (ptrdiff_t)sizeof fields)
            return NULL;
        memcpy(fields, from, sizeof fields);
        from += sizeof fields;
        summary->first = fields[0];
        summary->last = fields[1];
        summary->min = fields[2];
        summary->max = fields[3];
        summary->sum = fields[4];
        summary->compensation = fields[5];
        summary->increase = fields[6];
    }
    uint64_t front = 0;
    uint64_t back = 0;
    if (from != NULL && (flags & HAS_EDGES) != 0) {
        from = varint_get(from, end, &front);
        from = from == NULL ? NULL : varint_get(from, end, &back);
    }
    uint64_t span = (uint64_t)wrapping_sub(block->last_ms, block->first_ms);
    if (from == NULL || front > span || back > span - front)
        return NULL;
    summary->first_ms = wrapping_add(block->first_ms, (int64_t)front);
    summary->last_ms = wrapping_sub(block->last_ms, (int64_t)back);
    return from;
}

#include "storage/engine/bitpack.h"

#include "base/bits.h"
#include "base/invariant.h"

void bitpack_pack(const uint64_t *values, size_t count, unsigned width, uint8_t *to)
{
    invariant(width <= 64);
    if (width == 0)
        return;
    uint64_t word = 0;
    unsigned used = 0;
    for (size_t i = 0; i < count; i++) {
        uint64_t value = values[i];
        word |= value << used;
        used += width;
        if (used >= 64) {
            store_u64(to, word);
            to += 8;
            used -= 64;
            word = used == 0 ? 0 : value >> (width - used);
        }
    }
    for (; used > 0; used = used > 8 ? used - 8 : 0) {
        *to++ = (uint8_t)word;
        word >>= 8;
    }
}

/* One value whose bytes may end less than a whole load before the end of `from`. */
static uint64_t unpack_at_the_end(struct slice from, size_t bit, unsigned width, uint64_t mask)
{
    uint8_t padded[16] = {0};
    size_t offset = bit / 8;
    unsigned shift = bit % 8;
    size_t size = (shift + width + 7) / 8;
    memcpy(padded, from.data + offset, size);
    uint64_t value = load_u64(padded) >> shift;
    if (shift + width > 64)
        value |= (uint64_t)padded[8] << (64 - shift);
    return value & mask;
}

/* Value i, for widths up to 57: it and its shift fit one load. */
static inline uint64_t unpack_one(const uint8_t *data, size_t i, unsigned width)
{
    uint64_t mask = (UINT64_C(1) << width) - 1;
    return (load_u64(data + i * width / 8) >> (i * width % 8)) & mask;
}

/* Eight values take `width` bytes; with the width known to the compiler, all offsets and shifts are
 * constants, which takes half the time. */
static inline __attribute__((always_inline)) void unpack_eights(const uint8_t *data, size_t eights,
                                                                unsigned width, uint64_t *values)
{
    for (size_t i = 0; i < eights; i++, data += width, values += 8) {
        values[0] = unpack_one(data, 0, width);
        values[1] = unpack_one(data, 1, width);
        values[2] = unpack_one(data, 2, width);
        values[3] = unpack_one(data, 3, width);
        values[4] = unpack_one(data, 4, width);
        values[5] = unpack_one(data, 5, width);
        values[6] = unpack_one(data, 6, width);
        values[7] = unpack_one(data, 7, width);
    }
}

/* clang-format off */
#define WIDTHS(X) \
    X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8) X(9) X(10) X(11) X(12) X(13) X(14) X(15) \
    X(16) X(17) X(18) X(19) X(20) X(21) X(22) X(23) X(24) X(25) X(26) X(27) X(28) X(29) X(30) \
    X(31) X(32) X(33) X(34) X(35) X(36) X(37) X(38) X(39) X(40) X(41) X(42) X(43) X(44) X(45) \
    X(46) X(47) X(48) X(49) X(50) X(51) X(52) X(53) X(54) X(55) X(56) X(57)
/* clang-format on */

#define DEFINE_UNPACK(width)                                                                       \
    static void unpack_##width(const uint8_t *data, size_t eights, uint64_t *values)               \
    {                                                                                              \
        unpack_eights(data, eights, width, values);                                                \
    }
#define NAME_UNPACK(width) [width] = unpack_##width,

WIDTHS(DEFINE_UNPACK)

static void unpack_narrow(const uint8_t *data, size_t count, unsigned width, uint64_t *values)
{
    static void (*const unpack[])(const uint8_t *, size_t, uint64_t *) = {WIDTHS(NAME_UNPACK)};
    size_t eights = count / 8;
    unpack[width](data, eights, values);
    for (size_t i = eights * 8; i < count; i++)
        values[i] = unpack_one(data, i, width);
}

static void unpack_wide(const uint8_t *data, size_t count, unsigned width, uint64_t mask,
                        uint64_t *values)
{
    size_t bit = 0;
    for (size_t i = 0; i < count; i++, bit += width) {
        const uint8_t *at = data + bit / 8;
        unsigned shift = bit % 8;
        /* Twice, so that a shift of 0 takes nothing of the ninth byte. */
        uint64_t high = (uint64_t)at[8] << 1 << (63 - shift);
        values[i] = ((load_u64(at) >> shift) | high) & mask;
    }
}

void bitpack_unpack(struct slice from, size_t count, unsigned width, uint64_t *values)
{
    invariant(width <= 64 && bitpack_size(count, width) <= from.size);
    if (width == 0) {
        memset(values, 0, count * sizeof *values);
        return;
    }
    uint64_t mask = width == 64 ? UINT64_MAX : (UINT64_C(1) << width) - 1;
    size_t load = width <= 57 ? 8 : 9;
    /* Value i is loaded whole when i * width / 8 + load <= from.size. */
    size_t whole = from.size < load ? 0 : ((from.size - load) * 8 + 7) / width + 1;
    whole = whole < count ? whole : count;
    if (width <= 57)
        unpack_narrow(from.data, whole, width, values);
    else
        unpack_wide(from.data, whole, width, mask, values);
    for (size_t i = whole; i < count; i++)
        values[i] = unpack_at_the_end(from, i * width, width, mask);
}

bool bitpack_tail_is_zero(const uint8_t *from, size_t count, unsigned width)
{
    unsigned used = (unsigned)((count * width) % 8);
    return used == 0 || from[bitpack_size(count, width) - 1] >> used == 0;
}

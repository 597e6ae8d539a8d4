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

/* Widths up to 57: a value and its shift fit one load. */
static void unpack_narrow(const uint8_t *data, size_t count, unsigned width, uint64_t mask,
                          uint64_t *values)
{
    size_t bit = 0;
    for (size_t i = 0; i < count; i++, bit += width)
        values[i] = (load_u64(data + bit / 8) >> (bit % 8)) & mask;
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
        unpack_narrow(from.data, whole, width, mask, values);
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

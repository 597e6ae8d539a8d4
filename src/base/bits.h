/*
 * bits - little-endian loads and stores, LEB128 varints, zigzag.
 *
 * Varints: 7 bits a byte, low bits first, high bit set on all but the last byte; at most 10 bytes.
 */
#ifndef METRIC_STORE_BASE_BITS_H
#define METRIC_STORE_BASE_BITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "on-disk formats are little-endian");

enum { VARINT_MAX_SIZE = 10 };

static inline uint16_t load_u16(const void *from)
{
    uint16_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

static inline uint32_t load_u32(const void *from)
{
    uint32_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

static inline uint64_t load_u64(const void *from)
{
    uint64_t value;
    memcpy(&value, from, sizeof value);
    return value;
}

static inline void store_u16(void *to, uint16_t value)
{
    memcpy(to, &value, sizeof value);
}

static inline void store_u32(void *to, uint32_t value)
{
    memcpy(to, &value, sizeof value);
}

static inline void store_u64(void *to, uint64_t value)
{
    memcpy(to, &value, sizeof value);
}

static inline uint64_t bits_of_double(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static inline double double_of_bits(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static inline uint64_t zigzag_encode(int64_t value)
{
    return ((uint64_t)value << 1) ^ (uint64_t)(value >> 63);
}

static inline int64_t zigzag_decode(uint64_t value)
{
    return (int64_t)(value >> 1) ^ -(int64_t)(value & 1);
}

/* a - b with wrap-around, for deltas of times that may span the whole range. */
static inline int64_t wrapping_sub(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a - (uint64_t)b);
}

static inline int64_t wrapping_add(int64_t a, int64_t b)
{
    return (int64_t)((uint64_t)a + (uint64_t)b);
}

/* Writes at most VARINT_MAX_SIZE bytes; returns the position after them. */
static inline uint8_t *varint_put(uint8_t *to, uint64_t value)
{
    while (value >= 0x80) {
        *to++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *to++ = (uint8_t)value;
    return to;
}

static inline size_t varint_size(uint64_t value)
{
    return (size_t)(70 - __builtin_clzll(value | 1)) / 7;
}

/* Reads one varint from [from, end); NULL when it is cut off or longer than 64 bits. */
static inline const uint8_t *varint_get(const uint8_t *from, const uint8_t *end, uint64_t *value)
{
    if (from < end && *from < 0x80) {
        *value = *from;
        return from + 1;
    }
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 64 && from < end; shift += 7) {
        uint8_t byte = *from++;
        if (shift == 63 && byte > 1)
            return NULL;
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            return from;
        }
    }
    return NULL;
}

#endif

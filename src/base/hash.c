#include "base/hash.h"

#include "base/bits.h"

#define XXH_INLINE_ALL
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include <xxhash.h>
#pragma GCC diagnostic pop

#if defined(__x86_64__)
#include <nmmintrin.h>
#endif

uint64_t hash64(struct slice bytes, uint64_t seed)
{
    return XXH3_64bits_withSeed(bytes.data, bytes.size, seed);
}

struct hash128 hash128(struct slice bytes, uint64_t seed)
{
    XXH128_hash_t hash = XXH3_128bits_withSeed(bytes.data, bytes.size, seed);
    return (struct hash128){.low = hash.low64, .high = hash.high64};
}

_Static_assert(sizeof(struct hash128_stream) >= sizeof(XXH3_state_t) &&
                   _Alignof(struct hash128_stream) >= _Alignof(XXH3_state_t),
               "the stream holds xxHash's state");

void hash128_begin(struct hash128_stream *stream, uint64_t seed)
{
    XXH3_state_t *state = (XXH3_state_t *)(void *)stream->state;
    XXH3_INITSTATE(state);
    (void)XXH3_128bits_reset_withSeed(state, seed);
}

void hash128_add(struct hash128_stream *stream, struct slice bytes)
{
    if (bytes.size > 0)
        (void)XXH3_128bits_update((XXH3_state_t *)(void *)stream->state, bytes.data, bytes.size);
}

struct hash128 hash128_end(const struct hash128_stream *stream)
{
    XXH128_hash_t hash = XXH3_128bits_digest((const XXH3_state_t *)(const void *)stream->state);
    return (struct hash128){.low = hash.low64, .high = hash.high64};
}

/* Half a byte at a time: small before fast, for it is rarely needed. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size)
{
    static const uint32_t table[16] = {
        0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
        0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
        0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75,
    };
    const uint8_t *bytes = data;
    crc = ~crc;
    for (size_t i = 0; i < size; i++) {
        crc ^= bytes[i];
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return ~crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) static uint32_t crc32c_sse42(uint32_t crc, const uint8_t *data,
                                                               size_t size)
{
    uint64_t wide = (uint32_t)~crc;
    while (size >= 8) {
        wide = _mm_crc32_u64(wide, load_u64(data));
        data += 8;
        size -= 8;
    }
    crc = (uint32_t)wide;
    while (size-- > 0)
        crc = _mm_crc32_u8(crc, *data++);
    return ~crc;
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return crc32c_sse42(crc, data, size);
#endif
    return crc32c_portable(crc, data, size);
}

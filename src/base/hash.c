#include "base/hash.h"

#include "base/bits.h"

#define XXH_INLINE_ALL
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wconversion"
#include <xxhash.h>
#pragma GCC diagnostic pop

#if defined(__x86_64__)
#include <nmmintrin.h>
#include <wmmintrin.h>
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

_Static_assert(sizeof(struct hash128_stream) >= sizeof(XXH3_state_t) + 63,
               "it holds xxHash's state");
_Static_assert(_Alignof(XXH3_state_t) <= 64, "a multiple of 64 is aligned enough");

/* By hand: a sanitizer's stack does not align that much. */
static XXH3_state_t *state_of(const struct hash128_stream *stream)
{
    uintptr_t at = ((uintptr_t)stream->state + 63) & ~(uintptr_t)63;
    return (XXH3_state_t *)at;
}

void hash128_begin(struct hash128_stream *stream, uint64_t seed)
{
    XXH3_state_t *state = state_of(stream);
    XXH3_INITSTATE(state);
    (void)XXH3_128bits_reset_withSeed(state, seed);
}

void hash128_add(struct hash128_stream *stream, struct slice bytes)
{
    if (bytes.size > 0)
        (void)XXH3_128bits_update(state_of(stream), bytes.data, bytes.size);
}

struct hash128 hash128_end(const struct hash128_stream *stream)
{
    XXH128_hash_t hash = XXH3_128bits_digest(state_of(stream));
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
/* Without the inversions before and after. */
__attribute__((target("sse4.2"))) static uint32_t crc_of(uint32_t crc, const uint8_t *data,
                                                         size_t size)
{
    uint64_t wide = crc;
    while (size >= 8) {
        wide = _mm_crc32_u64(wide, load_u64(data));
        data += 8;
        size -= 8;
    }
    crc = (uint32_t)wide;
    while (size-- > 0)
        crc = _mm_crc32_u8(crc, *data++);
    return crc;
}

/*
 * The instruction takes three cycles and a new one may begin in each: three lanes run at once. The
 * first two are then moved on over the lanes that follow. To move a checksum on over n bytes of
 * zeros is to multiply it by x^(8n) modulo the polynomial; the product of two reflected numbers,
 * and the instruction that reduces it, together multiply by x^33 already: so the factors are x^(8n
 * - 33).
 */
enum { LANE = 256 };
static const uint32_t over_one_lane = UINT32_C(0xb9e02b86);
static const uint32_t over_two_lanes = UINT32_C(0xdd7e3b0c);

__attribute__((target("sse4.2,pclmul"))) static uint64_t moved_on(uint64_t crc, uint32_t factor)
{
    __m128i product =
        _mm_clmulepi64_si128(_mm_cvtsi64_si128((long long)crc), _mm_cvtsi32_si128((int)factor), 0);
    return _mm_crc32_u64(0, (uint64_t)_mm_cvtsi128_si64(product));
}

__attribute__((target("sse4.2,pclmul"))) static uint32_t crc_of_lanes(uint32_t crc,
                                                                      const uint8_t *data,
                                                                      size_t size)
{
    for (; size >= (size_t)3 * LANE; data += (size_t)3 * LANE, size -= (size_t)3 * LANE) {
        uint64_t first = crc;
        uint64_t second = 0;
        uint64_t third = 0;
        for (size_t i = 0; i < LANE; i += 8) {
            first = _mm_crc32_u64(first, load_u64(data + i));
            second = _mm_crc32_u64(second, load_u64(data + LANE + i));
            third = _mm_crc32_u64(third, load_u64(data + 2 * LANE + i));
        }
        crc = (uint32_t)(moved_on(first, over_two_lanes) ^ moved_on(second, over_one_lane) ^ third);
    }
    return crc_of(crc, data, size);
}
#endif

uint32_t crc32c(uint32_t crc, const void *data, size_t size)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2"))
        return __builtin_cpu_supports("pclmul") ? ~crc_of_lanes(~crc, data, size)
                                                : ~crc_of(~crc, data, size);
#endif
    return crc32c_portable(crc, data, size);
}

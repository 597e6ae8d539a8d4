/*
 * hash - XXH3 (https://xxhash.com) for maps, CRC32C (Castagnoli, RFC 3720) for what is on disk.
 *
 * Maps that outsiders can fill are keyed with a secret seed, so that collisions cannot be made.
 */
#ifndef METRIC_STORE_BASE_HASH_H
#define METRIC_STORE_BASE_HASH_H

#include "base/slice.h"

struct hash128 {
    uint64_t low;
    uint64_t high;
};

static inline bool hash128_equal(struct hash128 a, struct hash128 b)
{
    return a.low == b.low && a.high == b.high;
}

uint64_t hash64(struct slice bytes, uint64_t seed);
struct hash128 hash128(struct slice bytes, uint64_t seed);

/* hash128 of bytes that come in pieces: begin, any number of adds, end. Nothing to release. */
struct hash128_stream {
    unsigned char state[576 + 63]; /* xxHash's, at the first multiple of 64: it stays where it is */
};
void hash128_begin(struct hash128_stream *stream, uint64_t seed);
void hash128_add(struct hash128_stream *stream, struct slice bytes);
struct hash128 hash128_end(const struct hash128_stream *stream);

/* Continues `crc` (0 to begin) over `size` bytes. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);

/* The same without the processor's instruction: what crc32c does where there is none. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size);

#endif

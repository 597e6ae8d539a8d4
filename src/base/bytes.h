/*
 * bytes - a growing run of bytes that was born with its maximum.
 *
 * Ownership: bytes_init takes nothing; bytes_release frees. `data` moves when it grows.
 * Errors: LIMIT when an append would pass the maximum, BUSY when it would pass what is left of its
 * share of memory, MEMORY when the heap is exhausted; what was there stays as it was.
 */
#ifndef METRIC_STORE_BASE_BYTES_H
#define METRIC_STORE_BASE_BYTES_H

#include "base/memory_share.h"
#include "base/slice.h"
#include "base/status.h"

struct bytes {
    uint8_t *data;
    size_t size;
    size_t capacity;
    size_t max;
    struct memory_share *share; /* in which its capacity is counted; borrowed; NULL: in none */
};

void bytes_init(struct bytes *bytes, size_t max);
void bytes_init_shared(struct bytes *bytes, size_t max, struct memory_share *share);
void bytes_release(struct bytes *bytes);

/* Room for `more` further bytes. */
MUST_CHECK enum status bytes_reserve(struct bytes *bytes, size_t more);
MUST_CHECK enum status bytes_append(struct bytes *bytes, const void *data, size_t size);
MUST_CHECK enum status bytes_append_text(struct bytes *bytes, const char *text);
MUST_CHECK enum status bytes_format(struct bytes *bytes, const char *format, ...) PRINTF_LIKE(2, 3);

static inline void bytes_clear(struct bytes *bytes)
{
    bytes->size = 0;
}

static inline struct slice bytes_slice(const struct bytes *bytes)
{
    return slice_of(bytes->data, bytes->size);
}

#endif

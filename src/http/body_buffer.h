/*
 * body_buffer - a body in memory: one contiguous run of bytes, counted in a budget that all
 * requests share, born with its maximum.
 *
 * Bytes are charged as they arrive (in steps), not as they are declared: declaring is free for
 * an attacker, and memory that was never written costs nothing.
 *
 * Errors: LIMIT over the maximum, BUSY over the shared budget, MEMORY without heap; what was there
 * stays.
 */
#ifndef METRIC_STORE_HTTP_BODY_BUFFER_H
#define METRIC_STORE_HTTP_BODY_BUFFER_H

#include "base/memory_share.h"
#include "base/slice.h"
#include "base/status.h"

struct body_buffer {
    uint8_t *data;
    size_t size;
    size_t capacity;
    size_t max;
    size_t charged;
    struct memory_share *budget; /* borrowed; may be NULL: not counted */
};

void body_buffer_init(struct body_buffer *buffer, size_t max, struct memory_share *budget);
void body_buffer_release(struct body_buffer *buffer);

/* Room for exactly `capacity` bytes in all, uncharged; an empty buffer only. */
MUST_CHECK enum status body_buffer_expect(struct body_buffer *buffer, size_t capacity);

/* Copies; grows by doubling where the room does not suffice. */
MUST_CHECK enum status body_buffer_append(struct body_buffer *buffer, const void *data,
                                          size_t size);

/* At least one more byte of room, all of the room charged; for decoders that write in place. */
MUST_CHECK enum status body_buffer_grow(struct body_buffer *buffer);

/* Charges the whole capacity. */
MUST_CHECK enum status body_buffer_charge(struct body_buffer *buffer);

/* Gives back the room behind `size`, and its charge. */
void body_buffer_trim(struct body_buffer *buffer);

#endif

/*
 * arena - memory of one lifetime (a request, a query), released whole.
 *
 * Born with its maximum, which counts what the arena took from the heap; it may belong to a share
 * of memory too, in which it is counted with others. Not for two threads at once. Pointers stay
 * valid until arena_release.
 */
#ifndef METRIC_STORE_BASE_ARENA_H
#define METRIC_STORE_BASE_ARENA_H

#include "base/memory_share.h"
#include "base/slice.h"
#include "base/status.h"

struct arena_block;

struct arena {
    struct arena_block *blocks;
    uint8_t *next;
    uint8_t *end;
    size_t taken; /* bytes from the heap */
    size_t max;
    struct memory_share *share; /* borrowed; NULL: none */
    bool exhausted;             /* the last failure was the maximum, not the heap */
    bool share_exhausted;       /* the last failure was the share */
};

void arena_init(struct arena *arena, size_t max);
void arena_init_shared(struct arena *arena, size_t max, struct memory_share *share);
void arena_release(struct arena *arena);

/* From now on it belongs to `share`, with all that it has; BUSY where that has no room. */
MUST_CHECK enum status arena_join(struct arena *arena, struct memory_share *share);

/*
 * Forgets all that was allocated and keeps memory for the next use: one block of at most `keep`
 * bytes, as large as all that was taken where `keep` allows. A recycled arena faults no pages in
 * again.
 */
void arena_reset(struct arena *arena, size_t keep);

/* `size` bytes aligned to 16, not zeroed; NULL over the maximum or without heap. */
void *arena_alloc(struct arena *arena, size_t size);

/* count * size zeroed bytes; NULL also where the product overflows. */
void *arena_calloc(struct arena *arena, size_t count, size_t size);

/* A larger array with the old elements copied; the old memory stays until release. */
void *arena_grow(struct arena *arena, const void *old, size_t old_size, size_t new_size);

/* A copy of `text` in the arena; data is NULL when there was no room (and text was not empty). */
struct slice arena_copy(struct arena *arena, struct slice text);

/* Why the last allocation returned NULL: LIMIT, BUSY (the share was used up) or MEMORY. */
enum status arena_status(const struct arena *arena);

#endif

/*
 * postings - the set of series ids that carry one label pair.
 *
 * Most pairs of a cardinality explosion have one series, the pairs of a target thousands: two ids
 * are kept in place, up to POSTINGS_ARRAY_MAX in a sorted array, more in a roaring bitmap.
 *
 * Ownership: embedded; postings_release frees. Threads: the owner's lock.
 * Errors: an exhausted heap aborts inside CRoaring; the arrays return MEMORY.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_POSTINGS_H
#define METRIC_STORE_STORAGE_ENGINE_POSTINGS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <roaring/roaring.h>

#include "base/status.h"

enum { POSTINGS_ARRAY_MAX = 64 };

struct postings {
    uint32_t count;
    uint32_t capacity; /* of the array; 0 while the ids are in place; UINT32_MAX with a bitmap */
    union {
        uint32_t ids[2];
        uint32_t *array;
        roaring_bitmap_t *bitmap;
    };
};

static inline void postings_init(struct postings *postings)
{
    *postings = (struct postings){0};
}

void postings_release(struct postings *postings);
MUST_CHECK enum status postings_add(struct postings *postings, uint32_t id);
void postings_remove(struct postings *postings, uint32_t id);
/* Adds the whole set to `bitmap`. */
void postings_union_into(const struct postings *postings, roaring_bitmap_t *bitmap);

#endif

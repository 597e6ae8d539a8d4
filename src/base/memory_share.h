/*
 * memory_share - how many bytes some users of memory have together, and how many they may have.
 *
 * Threads: any.
 */
#ifndef METRIC_STORE_BASE_MEMORY_SHARE_H
#define METRIC_STORE_BASE_MEMORY_SHARE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct memory_share {
    _Atomic uint64_t used;
    uint64_t max;
};

/* False, and nothing is taken, where they would have more than they may. */
bool memory_share_take(struct memory_share *share, size_t bytes);
/* What was taken before. */
void memory_share_give(struct memory_share *share, size_t bytes);

uint64_t memory_share_used(struct memory_share *share);

#endif

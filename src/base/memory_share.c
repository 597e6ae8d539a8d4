#include "base/memory_share.h"

bool memory_share_take(struct memory_share *share, size_t bytes)
{
    uint64_t before = atomic_fetch_add_explicit(&share->used, bytes, memory_order_relaxed);
    if (before <= share->max && bytes <= share->max - before)
        return true;
    memory_share_give(share, bytes);
    return false;
}

void memory_share_give(struct memory_share *share, size_t bytes)
{
    atomic_fetch_sub_explicit(&share->used, bytes, memory_order_relaxed);
}

uint64_t memory_share_used(struct memory_share *share)
{
    return atomic_load_explicit(&share->used, memory_order_relaxed);
}

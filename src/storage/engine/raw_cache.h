/*
 * raw_cache - hash of the label bytes as received -> series id, for series that are committed.
 *
 * A known series costs one probe and no string work. The cache is bounded: a full neighbourhood
 * gives up the entry that was not used since the last look (second chance), so that a sender that
 * permutes its labels fills no memory. Keys are 128-bit hashes with a secret seed and are trusted.
 *
 * Threads: probes from many at once; insert, grow and purge by one with the probes shut out.
 *
 * An entry also knows in which tick (activity.h) its series was last touched, so that a known one
 * is looked up there once a tick only. (Its "used" mark is set by probes without order: it is only
 * a hint.)
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_RAW_CACHE_H
#define METRIC_STORE_STORAGE_ENGINE_RAW_CACHE_H

#include <stdatomic.h>

#include <roaring/roaring.h>

#include "base/hash.h"
#include "base/status.h"

enum { RAW_CACHE_WINDOW = 8 };

struct raw_cache_entry {
    struct hash128 hash; /* both 0: empty */
    uint32_t id;
    _Atomic uint32_t stamp; /* tick * 2, + 1: used since the last look */
};

struct raw_cache {
    struct raw_cache_entry *entries; /* mask + 1 + RAW_CACHE_WINDOW - 1 of them */
    uint64_t mask;
    uint64_t count;
    uint64_t max_entries;
    uint64_t evictions;
    uint64_t forgot_mask; /* of the table that raw_cache_forget is walking over */
    uint32_t hand;        /* where in a full window the search for a victim begins */
};

MUST_CHECK enum status raw_cache_init(struct raw_cache *cache, size_t max_bytes);
void raw_cache_release(struct raw_cache *cache);

static inline void raw_cache_prefetch(const struct raw_cache *cache, struct hash128 hash)
{
    __builtin_prefetch(&cache->entries[hash.low & cache->mask]);
}

/* SERIES_ID_NONE (UINT32_MAX) when it is not there. *stale: it is, of another tick. */
static inline uint32_t raw_cache_find(struct raw_cache *cache, struct hash128 hash, uint32_t tick,
                                      bool *stale)
{
    *stale = false;
    struct raw_cache_entry *entry = &cache->entries[hash.low & cache->mask];
    for (int i = 0; i < RAW_CACHE_WINDOW; i++, entry++) {
        if (!hash128_equal(entry->hash, hash))
            continue;
        uint32_t stamp = atomic_load_explicit(&entry->stamp, memory_order_relaxed);
        if (stamp != tick * 2 + 1) {
            *stale = stamp / 2 != tick;
            atomic_store_explicit(&entry->stamp, stamp | 1, memory_order_relaxed);
        }
        return entry->id;
    }
    return UINT32_MAX;
}

/* Forgets the entries whose ids are in `ids`: of `count` places from `from` on (0 the first time).
 * Returns where to go on, UINT64_MAX at the end. A cache that grew in between begins anew. */
uint64_t raw_cache_forget(struct raw_cache *cache, const roaring_bitmap_t *ids, uint64_t from,
                          uint64_t count);
/* Never fails: without room the cache forgets something. `tick` 0: not touched yet. */
void raw_cache_insert(struct raw_cache *cache, struct hash128 hash, uint32_t id, uint32_t tick);
/* The series was touched in this tick. Does nothing when the entry has gone. */
void raw_cache_stamp(struct raw_cache *cache, struct hash128 hash, uint32_t tick);
size_t raw_cache_memory(const struct raw_cache *cache);

#endif

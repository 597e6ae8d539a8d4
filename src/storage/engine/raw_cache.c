#include "storage/engine/raw_cache.h"

#include <stdlib.h>

enum { FIRST_ENTRIES = 4096 };

static struct raw_cache_entry *entries_new(uint64_t count)
{
    return calloc(count + RAW_CACHE_WINDOW - 1, sizeof(struct raw_cache_entry));
}

enum status raw_cache_init(struct raw_cache *cache, size_t max_bytes)
{
    *cache = (struct raw_cache){.mask = FIRST_ENTRIES - 1, .max_entries = FIRST_ENTRIES};
    while (cache->max_entries * 2 * sizeof(struct raw_cache_entry) <= max_bytes)
        cache->max_entries *= 2;
    cache->entries = entries_new(FIRST_ENTRIES);
    return cache->entries == NULL ? STATUS_MEMORY : STATUS_OK;
}

void raw_cache_release(struct raw_cache *cache)
{
    free(cache->entries);
    *cache = (struct raw_cache){0};
}

static bool entry_empty(const struct raw_cache_entry *entry)
{
    return entry->hash.low == 0 && entry->hash.high == 0;
}

static struct raw_cache_entry *place_for(struct raw_cache *cache, struct hash128 hash)
{
    struct raw_cache_entry *window = &cache->entries[hash.low & cache->mask];
    for (int i = 0; i < RAW_CACHE_WINDOW; i++)
        if (entry_empty(&window[i]) || hash128_equal(window[i].hash, hash))
            return &window[i];
    for (uint32_t tries = 0; tries < 2 * RAW_CACHE_WINDOW; tries++) {
        struct raw_cache_entry *entry = &window[cache->hand++ % RAW_CACHE_WINDOW];
        uint32_t stamp = atomic_load_explicit(&entry->stamp, memory_order_relaxed);
        if ((stamp & 1) == 0)
            return entry;
        atomic_store_explicit(&entry->stamp, stamp - 1, memory_order_relaxed);
    }
    return &window[cache->hand % RAW_CACHE_WINDOW];
}

static void put(struct raw_cache *cache, struct hash128 hash, uint32_t id, uint32_t stamp)
{
    struct raw_cache_entry *entry = place_for(cache, hash);
    if (entry_empty(entry))
        cache->count++;
    else if (!hash128_equal(entry->hash, hash))
        cache->evictions++;
    entry->hash = hash;
    entry->id = id;
    atomic_store_explicit(&entry->stamp, stamp, memory_order_relaxed);
}

/* Without memory for a larger one the cache stays as it is and evicts. */
static void grow(struct raw_cache *cache)
{
    uint64_t old_count = cache->mask + 1;
    struct raw_cache_entry *old = cache->entries;
    struct raw_cache_entry *entries = entries_new(old_count * 2);
    if (entries == NULL)
        return;
    cache->entries = entries;
    cache->mask = old_count * 2 - 1;
    cache->count = 0;
    for (uint64_t i = 0; i < old_count + RAW_CACHE_WINDOW - 1; i++)
        if (!entry_empty(&old[i]))
            put(cache, old[i].hash, old[i].id,
                atomic_load_explicit(&old[i].stamp, memory_order_relaxed));
    free(old);
}

void raw_cache_insert(struct raw_cache *cache, struct hash128 hash, uint32_t id, uint32_t tick)
{
    if (cache->count >= (cache->mask + 1) / 8 * 5 && cache->mask + 1 < cache->max_entries)
        grow(cache);
    put(cache, hash, id, tick * 2 + 1);
}

void raw_cache_stamp(struct raw_cache *cache, struct hash128 hash, uint32_t tick)
{
    struct raw_cache_entry *entry = &cache->entries[hash.low & cache->mask];
    for (int i = 0; i < RAW_CACHE_WINDOW; i++, entry++)
        if (hash128_equal(entry->hash, hash))
            atomic_store_explicit(&entry->stamp, tick * 2 + 1, memory_order_relaxed);
}

uint64_t raw_cache_forget(struct raw_cache *cache, const roaring_bitmap_t *ids, uint64_t from,
                          uint64_t count)
{
    if (from != 0 && cache->forgot_mask != cache->mask)
        from = 0;
    cache->forgot_mask = cache->mask;
    uint64_t end = cache->mask + RAW_CACHE_WINDOW;
    for (; from < end && count > 0; from++, count--) {
        struct raw_cache_entry *entry = &cache->entries[from];
        if (entry_empty(entry) || !roaring_bitmap_contains(ids, entry->id))
            continue;
        *entry = (struct raw_cache_entry){0};
        cache->count--;
    }
    return from == end ? UINT64_MAX : from;
}

size_t raw_cache_memory(const struct raw_cache *cache)
{
    return (cache->mask + RAW_CACHE_WINDOW) * sizeof(struct raw_cache_entry);
}

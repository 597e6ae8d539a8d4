#include "admission/override_cache.h"

#include <stdlib.h>

enum status override_cache_set(struct override_cache *cache, const struct admission_override *items,
                               size_t count, struct error *err)
{
    struct override_cache fresh = {0};
    if (count > 0) {
        enum status status = overrides_new(&fresh.overrides, items, count, err);
        if (status != STATUS_OK)
            return status;
        fresh.seen = calloc(OVERRIDE_CACHE_SLOTS, sizeof fresh.seen[0]);
        if (fresh.seen == NULL) {
            override_cache_release(&fresh);
            return fail(err, STATUS_MEMORY, "no memory for overrides");
        }
    }
    override_cache_release(cache);
    *cache = fresh;
    return STATUS_OK;
}

void override_cache_release(struct override_cache *cache)
{
    overrides_free(cache->overrides);
    free(cache->seen);
    *cache = (struct override_cache){0};
}

const struct admission_override *override_cache_find(struct override_cache *cache, uint64_t key,
                                                     struct slice name)
{
    if (cache->overrides == NULL)
        return NULL;
    struct override_seen *seen = &cache->seen[key % OVERRIDE_CACHE_SLOTS];
    if (seen->key != key || key == 0)
        *seen = (struct override_seen){.key = key, .found = overrides_find(cache->overrides, name)};
    return seen->found;
}

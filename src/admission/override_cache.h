/*
 * override_cache - which override holds for a metric, found once: patterns may be 256, and many new
 * series are of one metric.
 *
 * Ownership: the list is the cache's. Threads: the owner's lock.
 */
#ifndef METRIC_STORE_ADMISSION_OVERRIDE_CACHE_H
#define METRIC_STORE_ADMISSION_OVERRIDE_CACHE_H

#include "admission/overrides.h"

enum { OVERRIDE_CACHE_SLOTS = 4096 };

struct override_cache {
    struct overrides *overrides; /* NULL: none */
    struct override_seen {
        uint64_t key; /* hash of the metric's name; 0: none seen */
        const struct admission_override *found;
    } *seen; /* NULL without overrides */
};

/* As overrides_new; on failure the cache stays as it was. One of zeros has no overrides. */
MUST_CHECK enum status override_cache_set(struct override_cache *cache,
                                          const struct admission_override *items, size_t count,
                                          struct error *err);
void override_cache_release(struct override_cache *cache);

/* NULL: none holds. `key` is a hash of the name with a secret. */
const struct admission_override *override_cache_find(struct override_cache *cache, uint64_t key,
                                                     struct slice name);

#endif

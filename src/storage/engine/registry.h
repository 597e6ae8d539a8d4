/*
 * registry - descriptors of metric families by name: type, unit, help, series limit.
 *
 * Ownership: the registry owns its text. Threads: the owner's lock.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_REGISTRY_H
#define METRIC_STORE_STORAGE_ENGINE_REGISTRY_H

#include "model/metric.h"
#include "storage/storage.h"

struct registry_entry {
    struct metric metric; /* strings point into `text` */
    uint8_t *text;        /* NULL: the slot is empty */
};

struct registry {
    struct registry_entry *entries; /* open addressing; a power of two */
    size_t capacity;
    size_t count;
    size_t memory_bytes;
    uint64_t seed;
};

enum { REGISTRY_MAX_METRICS = 1000000 };

MUST_CHECK enum status registry_init(struct registry *registry, uint64_t seed);
void registry_release(struct registry *registry);

/* NULL when it is not registered. Borrowed until the next registry_put. */
const struct metric *registry_find(const struct registry *registry, struct slice name);

/*
 * What registry_put would make of `metric`: NEW, SAME, CHANGED (help, unit or limit; a limit that
 * is not given changes nothing, and a help or unit that is empty neither) or CONTRADICTS (another
 * type; "unknown" contradicts nothing).
 */
enum metric_outcome registry_compare(const struct registry *registry, const struct metric *metric);

/* Copies. LIMIT beyond REGISTRY_MAX_METRICS. A contradiction changes nothing and is OK. */
MUST_CHECK enum status registry_put(struct registry *registry, const struct metric *metric,
                                    enum metric_outcome *outcome);

#endif

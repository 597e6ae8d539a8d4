/*
 * day_set - the UTC days that have samples, or may have soon: bounded by storage.max_chunks.
 * Threads: the owner's lock.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_DAY_SET_H
#define METRIC_STORE_STORAGE_ENGINE_DAY_SET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct day_set {
    int64_t *days; /* rising */
    size_t count, capacity;
};

void day_set_release(struct day_set *set);
bool day_set_has(const struct day_set *set, int64_t day);
/* OK also when it is there. */
MUST_CHECK enum status day_set_add(struct day_set *set, int64_t day);

#endif

/*
 * number_array - a number for each id, 0 where nobody has set one; grows as ids are reached.
 *
 * Zeroed it is empty. Threads: the owner's lock.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_NUMBER_ARRAY_H
#define METRIC_STORE_STORAGE_ENGINE_NUMBER_ARRAY_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct number_array {
    uint32_t *items;
    size_t count; /* ids below it have an item */
};

/* Has an item for `id` from then on. MEMORY. */
MUST_CHECK enum status number_array_reach(struct number_array *array, uint32_t id);
void number_array_release(struct number_array *array);

#endif

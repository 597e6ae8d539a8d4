/*
 * lone_table - a series_table with a series_space of its own.
 */
#ifndef METRIC_STORE_TESTS_UNIT_STORAGE_ENGINE_LONE_TABLE_H
#define METRIC_STORE_TESTS_UNIT_STORAGE_ENGINE_LONE_TABLE_H

#include <stdlib.h>

#include "storage/engine/series_table.h"

static inline void lone_table_release(struct series_table *table)
{
    struct series_space *space = table->space;
    series_table_release(table);
    if (space != NULL)
        series_space_release(space);
    free(space);
    table->space = NULL;
}

MUST_CHECK static inline enum status lone_table_init(struct series_table *table, uint64_t seed)
{
    struct series_space *space = calloc(1, sizeof *space);
    *table = (struct series_table){0};
    if (space == NULL)
        return STATUS_MEMORY;
    enum status status = series_space_init(space, seed);
    if (status == STATUS_OK)
        status = series_table_init(table, seed, space);
    if (status != STATUS_OK) {
        series_space_release(space);
        free(space);
        *table = (struct series_table){0};
    }
    return status;
}

#endif

/*
 * selection - what a query sees: ids of the series that match, the version, and each series' place
 * in the active head, all as of one commit. Shared by selection.c and cursor.c.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_SELECTION_H
#define METRIC_STORE_STORAGE_ENGINE_SELECTION_H

#include "storage/engine/lookup.h"

struct selection {
    struct engine *engine;
    struct version *version;
    struct select_options options;
    size_t count;
    uint32_t *ids;
    uint32_t *metrics;          /* of each */
    struct head_entry *entries; /* in the active head */
    struct label_reader labels;
    uint8_t gate;                   /* of engine->selections */
    struct storage_cursor *cursors; /* linked; closed with the selection */
    size_t memory_bytes;
    struct read_stats stats;
};

/* Puts the series into the order that the options ask for, with what is known of each. */
enum status selection_sort(struct selection *selection, struct error *err);

/* Counts `bytes` against options.max_memory_bytes; LIMIT, code "query_memory_limit". */
enum status selection_take_memory(struct selection *selection, size_t bytes, struct error *err);
void selection_give_memory(struct selection *selection, size_t bytes);
void storage_cursor_free(struct storage_cursor *cursor);

#endif

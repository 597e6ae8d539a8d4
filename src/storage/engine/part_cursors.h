/*
 * part_cursors - the part cursors of one reader of a selection. How many there are follows from the
 * memory that the selection may take, never from how many parts it reads: one is enough, more save
 * opening the same part again.
 *
 * Threads: as the selection, one at a time. Ownership: embedded, zeroed to begin with.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_PART_CURSORS_H
#define METRIC_STORE_STORAGE_ENGINE_PART_CURSORS_H

#include "storage/engine/selection.h"

enum { PART_CURSORS_IN_TURN = 32 };

/* One of those that are there in turn. */
struct part_cursor_in_turn {
    size_t place;
    struct part_cursor *cursor;
    uint64_t used; /* when, for giving up the oldest */
};

struct part_cursors {
    /* By place among the version's parts: those that stay, of a selection of several series,
     * because the next one is often on the same page. Series after series the parts are walked in
     * the same order, so that giving up the oldest would find none of them again. */
    struct part_cursor **kept;
    struct part_cursor_in_turn turn[PART_CURSORS_IN_TURN]; /* of the other parts */
    size_t turn_count;
    uint64_t clock;
};

/*
 * The cursor of the part at `place` of the selection's version, borrowed until the next call: it
 * may be of another part then. Takes at most half of the selection's memory, or what one needs.
 *   LIMIT "query_memory_limit"  not even one
 *   MEMORY
 */
MUST_CHECK enum status part_cursors_get(struct part_cursors *cursors, struct selection *selection,
                                        size_t place, struct part_cursor **result,
                                        struct error *err);
void part_cursors_release(struct part_cursors *cursors, const struct selection *selection);

#endif

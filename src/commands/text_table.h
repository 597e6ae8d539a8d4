/*
 * text_table - columns of text that line up on a terminal, also where characters are two cells
 * wide or none (UTF-8). Control characters are shown as escapes, so that no label can drive the
 * terminal.
 *
 * Everything lives in the arena that was given. Errors: LIMIT or MEMORY of it.
 */
#ifndef METRIC_STORE_COMMANDS_TEXT_TABLE_H
#define METRIC_STORE_COMMANDS_TEXT_TABLE_H

#include "base/arena.h"
#include "base/bytes.h"

struct text_table {
    struct arena *arena;
    size_t columns;
    struct slice *cells; /* row by row; the first row is the head */
    size_t count, capacity;
    bool *right; /* columns that are aligned to the right */
};

MUST_CHECK enum status text_table_init(struct text_table *table, size_t columns,
                                       struct arena *arena);
/* The next cell; `text` is copied only where it needs escapes. */
MUST_CHECK enum status text_table_add(struct text_table *table, struct slice text);
/* Appends all whole rows. LIMIT, MEMORY of `to`. */
MUST_CHECK enum status text_table_print(const struct text_table *table, struct bytes *to);

/* *text as it may be shown, with escapes for control characters and for what is no UTF-8; a copy in
 * `arena` where it needs any. LIMIT, MEMORY of the arena. */
MUST_CHECK enum status text_printable(struct arena *arena, struct slice *text);

/* Cells that `text` takes on a terminal. */
size_t text_width(struct slice text);

#endif

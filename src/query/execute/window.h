/*
 * window - one series' blocks put into the cells of their buckets. A block that lies within one
 * bucket and has a summary is not decoded.
 */
#ifndef METRIC_STORE_QUERY_EXECUTE_WINDOW_H
#define METRIC_STORE_QUERY_EXECUTE_WINDOW_H

#include "query/execute/aggregate.h"
#include "query/execute/source.h"

struct window {
    struct aggregate aggregate;
    struct plan_buckets buckets;
    bool growth; /* rate or increase */
    enum query_fill fill;
};

/* Cells of consecutive buckets, and which of them may hold something. All zero is empty but for
 * `cells`, which has room for every bucket and is zeroed. */
struct window_cells {
    uint8_t *cells;
    size_t low;  /* first touched */
    size_t high; /* one beyond the last touched; 0: none */
};

void window_init(struct window *window, const struct plan_node *node, struct value_pool *pool);

/* Bytes that `cells` needs; 0 when that overflows. */
size_t window_cells_size(const struct window *window);

static inline void *window_cell(const struct window *window, const struct window_cells *cells,
                                size_t bucket)
{
    return cells->cells + bucket * window->aggregate.cell_size;
}

/* Marks the bucket as touched and gives its cell. */
void *window_touch(const struct window *window, struct window_cells *cells, size_t bucket);

/* Adds the rest of the series that `source` stands on. */
MUST_CHECK enum status window_add_series(const struct window *window, struct window_cells *cells,
                                         struct source *source, struct error *err);

/* Makes every cell empty again. */
void window_reset(const struct window *window, struct window_cells *cells);

#endif

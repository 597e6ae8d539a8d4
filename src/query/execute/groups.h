/*
 * groups - the series that go together by some labels, each group with the cells of its window.
 */
#ifndef METRIC_STORE_QUERY_EXECUTE_GROUPS_H
#define METRIC_STORE_QUERY_EXECUTE_GROUPS_H

#include "query/execute/points.h"

struct group {
    struct labels labels; /* canonical, of the `by` names that the series have */
    struct slice metric;
    bool mixed; /* its series differ in their metric's name */
    struct window_cells cells;
};

struct groups {
    const struct operator_context *context;
    struct window window;
    const struct slice *by;
    size_t by_count;
    struct group **items;
    size_t count;
    size_t capacity;
    struct group **slots; /* open addressing, by hash of the labels; a power of two */
    size_t slot_count;
    size_t next; /* to be given out, once sorted */
    struct points points;
};

/* `node` is a WINDOW or GROUP with PLAN_BY. `context` must outlive the groups. */
void groups_init(struct groups *groups, const struct plan_node *node,
                 const struct operator_context *context);

/* The group of a series with these labels, made when it is new. LIMIT or MEMORY. */
MUST_CHECK enum status groups_find(struct groups *groups, const struct labels *labels,
                                   struct group **group, struct error *err);

/* Drops the groups without points, brings the rest into label order and stands before the first
 * whose labels come after `after` (NULL: the very first). */
void groups_sort(struct groups *groups, const struct labels *after);

/* The groups in order; END after the last. */
MUST_CHECK enum status groups_next(struct groups *groups, struct result_series *series);
MUST_CHECK enum status groups_next_points(struct groups *groups, struct result_points *points,
                                          struct error *err);

#endif

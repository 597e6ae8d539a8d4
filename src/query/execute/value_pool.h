/*
 * value_pool - growing arrays of doubles in an arena, whose outgrown memory is used again.
 *
 * A quantile needs every value of its bucket at once. Sizes are powers of two, with a list of free
 * pieces for each, so that what the arena holds stays below four times the values held.
 */
#ifndef METRIC_STORE_QUERY_EXECUTE_VALUE_POOL_H
#define METRIC_STORE_QUERY_EXECUTE_VALUE_POOL_H

#include "base/arena.h"

enum { VALUE_POOL_CLASSES = 48 };

struct value_pool {
    struct arena *arena;
    void *free[VALUE_POOL_CLASSES]; /* each piece begins with the pointer to the next */
};

/* All zero is empty. */
struct value_list {
    double *values;
    size_t count;
    size_t capacity;
};

void value_pool_init(struct value_pool *pool, struct arena *arena);

/* False when the arena gave nothing. */
bool value_list_append(struct value_list *list, struct value_pool *pool, const double *values,
                       size_t count);

#endif

#include "query/execute/value_pool.h"

enum { FIRST_CAPACITY = 4 };

void value_pool_init(struct value_pool *pool, struct arena *arena)
{
    *pool = (struct value_pool){.arena = arena};
}

/* Of a capacity that is a power of two. */
static size_t class_of(size_t capacity)
{
    return (size_t)__builtin_ctzll(capacity);
}

static void *piece_take(struct value_pool *pool, size_t capacity)
{
    size_t class = class_of(capacity);
    if (class >= VALUE_POOL_CLASSES) {
        pool->arena->exhausted = true;
        return NULL;
    }
    void *piece = pool->free[class];
    if (piece == NULL)
        return arena_alloc(pool->arena, capacity * sizeof(double));
    memcpy(&pool->free[class], piece, sizeof pool->free[class]);
    return piece;
}

static void piece_give_back(struct value_pool *pool, void *piece, size_t capacity)
{
    size_t class = class_of(capacity);
    memcpy(piece, &pool->free[class], sizeof pool->free[class]);
    pool->free[class] = piece;
}

bool value_list_append(struct value_list *list, struct value_pool *pool, const double *values,
                       size_t count)
{
    if (count > list->capacity - list->count) {
        size_t capacity = list->capacity == 0 ? FIRST_CAPACITY : list->capacity;
        while (capacity < list->count + count)
            capacity *= 2;
        double *larger = piece_take(pool, capacity);
        if (larger == NULL)
            return false;
        if (list->count > 0)
            memcpy(larger, list->values, list->count * sizeof list->values[0]);
        if (list->capacity > 0)
            piece_give_back(pool, list->values, list->capacity);
        list->values = larger;
        list->capacity = capacity;
    }
    memcpy(list->values + list->count, values, count * sizeof values[0]);
    list->count += count;
    return true;
}

#include "storage/engine/number_array.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_ITEMS = 64 };

enum status number_array_reach(struct number_array *array, uint32_t id)
{
    if (id < array->count)
        return STATUS_OK;
    size_t count = array->count == 0 ? FIRST_ITEMS : array->count;
    while (count <= id)
        count *= 2;
    uint32_t *items = realloc(array->items, count * sizeof items[0]);
    if (items == NULL)
        return STATUS_MEMORY;
    memset(items + array->count, 0, (count - array->count) * sizeof items[0]);
    array->items = items;
    array->count = count;
    return STATUS_OK;
}

void number_array_release(struct number_array *array)
{
    free(array->items);
    *array = (struct number_array){0};
}

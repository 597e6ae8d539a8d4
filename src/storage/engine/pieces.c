#include "storage/engine/pieces.h"

#include <stdlib.h>

static size_t next_capacity(const struct pieces *pieces)
{
    return pieces->capacity == 0 ? 16 : pieces->capacity * 2;
}

size_t pieces_growth(const struct pieces *pieces)
{
    if (pieces->count < pieces->capacity)
        return 0;
    return (next_capacity(pieces) - pieces->capacity) * sizeof pieces->items[0];
}

enum status pieces_add(struct pieces *pieces, const struct part_block *block, size_t part)
{
    if (pieces->count == pieces->capacity) {
        size_t capacity = next_capacity(pieces);
        struct piece *items = realloc(pieces->items, capacity * sizeof items[0]);
        if (items == NULL)
            return STATUS_MEMORY;
        pieces->items = items;
        pieces->capacity = capacity;
    }
    pieces->items[pieces->count++] = (struct piece){.block = *block, .part = part};
    return STATUS_OK;
}

void pieces_release(struct pieces *pieces)
{
    free(pieces->items);
    *pieces = (struct pieces){0};
}

static int compare_times(const void *a, const void *b)
{
    const struct piece *left = a;
    const struct piece *right = b;
    if (left->block.first_ms != right->block.first_ms)
        return left->block.first_ms < right->block.first_ms ? -1 : 1;
    return (left->part > right->part) - (left->part < right->part);
}

static int compare_parts(const void *a, const void *b)
{
    const struct piece *left = a;
    const struct piece *right = b;
    if (left->part != right->part)
        return left->part < right->part ? -1 : 1;
    return (left->block.first_ms > right->block.first_ms) -
           (left->block.first_ms < right->block.first_ms);
}

void pieces_sort_by_time(struct pieces *pieces, size_t start, size_t end)
{
    if (end - start > 1)
        qsort(pieces->items + start, end - start, sizeof pieces->items[0], compare_times);
}

size_t pieces_stretch(const struct pieces *pieces, size_t start, int64_t *last_ms)
{
    size_t end = start + 1;
    *last_ms = pieces->items[start].block.last_ms;
    for (; end < pieces->count && pieces->items[end].block.first_ms <= *last_ms; end++)
        if (pieces->items[end].block.last_ms > *last_ms)
            *last_ms = pieces->items[end].block.last_ms;
    return end;
}

void pieces_sort_by_part(struct pieces *pieces, size_t start, size_t end)
{
    if (end - start > 1)
        qsort(pieces->items + start, end - start, sizeof pieces->items[0], compare_parts);
}

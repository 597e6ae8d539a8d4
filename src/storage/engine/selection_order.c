/* The order of a selection's series: by labels, or as parts have them. */
#include <stdlib.h>

#include "storage/engine/selection.h"

enum { RUN = 1024 }; /* sorted at once */

static enum status no_memory(struct error *err)
{
    return fail(err, STATUS_MEMORY, "no memory for a query");
}

/* ---- sorting ---------------------------------------------------------------------------- */

/* Elements, and room for as many: what sorting takes is counted, and it is asked meanwhile whether
 * anyone still waits; qsort does neither. */
struct sorting {
    uint8_t *items, *spare;
    size_t count, size;
    int (*compare)(const void *a, const void *b);
    const struct patience *patience;
    struct error *err;
};

static enum status sort_runs(struct sorting *sorting)
{
    enum status status = STATUS_OK;
    for (size_t done = 0; done < sorting->count && status == STATUS_OK; done += RUN) {
        size_t left = sorting->count - done;
        qsort(sorting->items + done * sorting->size, left < RUN ? left : RUN, sorting->size,
              sorting->compare);
        status = patience_check(sorting->patience, sorting->err);
    }
    return status;
}

/* Two sorted runs, [start, middle) and [middle, end), of `items` become one of `spare`. */
static enum status merge_runs(const struct sorting *sorting, size_t start, size_t middle,
                              size_t end)
{
    size_t size = sorting->size;
    const uint8_t *left = sorting->items + start * size;
    const uint8_t *left_end = sorting->items + middle * size;
    const uint8_t *right = left_end;
    const uint8_t *right_end = sorting->items + end * size;
    uint8_t *to = sorting->spare + start * size;
    enum status status = STATUS_OK;
    for (size_t i = 1; left < left_end && right < right_end && status == STATUS_OK; i++) {
        const uint8_t **from = sorting->compare(left, right) <= 0 ? &left : &right;
        memcpy(to, *from, size);
        *from += size;
        to += size;
        if (i % (4 * RUN) == 0)
            status = patience_check(sorting->patience, sorting->err);
    }
    memcpy(to, left, (size_t)(left_end - left));
    memcpy(to + (left_end - left), right, (size_t)(right_end - right));
    return status;
}

/* Leaves them sorted in sorting->items, which may be what was the room. */
static enum status sort(struct sorting *sorting)
{
    enum status status = sort_runs(sorting);
    for (size_t width = RUN; width < sorting->count && status == STATUS_OK; width *= 2) {
        for (size_t start = 0; start < sorting->count && status == STATUS_OK; start += 2 * width) {
            size_t left = sorting->count - start;
            status = merge_runs(sorting, start, start + (left < width ? left : width),
                                start + (left < 2 * width ? left : 2 * width));
        }
        uint8_t *swap = sorting->items;
        sorting->items = sorting->spare;
        sorting->spare = swap;
    }
    return status;
}

/* Series i becomes what series order[i] was. Ruins `order`. */
static void rearrange(struct selection *selection, uint32_t *order)
{
    for (uint32_t i = 0; i < selection->count; i++) {
        if (order[i] == i)
            continue;
        uint32_t id = selection->ids[i];
        uint32_t metric = selection->metrics[i];
        struct head_entry entry = selection->entries[i];
        uint32_t at = i;
        for (uint32_t from = order[at]; from != i; from = order[at]) {
            selection->ids[at] = selection->ids[from];
            selection->metrics[at] = selection->metrics[from];
            selection->entries[at] = selection->entries[from];
            order[at] = at;
            at = from;
        }
        selection->ids[at] = id;
        selection->metrics[at] = metric;
        selection->entries[at] = entry;
        order[at] = at;
    }
}

/* ---- by labels -------------------------------------------------------------------------- */

/* A series with its labels as bytes that compare as labels do: no label has a NUL in it. */
struct sortable {
    const uint8_t *key; /* name NUL value NUL name ... */
    uint32_t size;
    uint32_t index;
};

static int compare_sortables(const void *a, const void *b)
{
    const struct sortable *left = a;
    const struct sortable *right = b;
    return slice_compare(slice_of(left->key, left->size), slice_of(right->key, right->size));
}

static enum status put_key(struct arena *arena, const struct labels *labels, struct sortable *one)
{
    size_t size = 0;
    for (size_t i = 0; i < labels->count; i++)
        size += labels->items[i].name.size + labels->items[i].value.size + 2;
    uint8_t *to = arena_alloc(arena, size);
    if (to == NULL)
        return arena_status(arena);
    one->key = to;
    one->size = (uint32_t)size;
    for (size_t i = 0; i < labels->count; i++) {
        const struct slice parts[2] = {labels->items[i].name, labels->items[i].value};
        for (int j = 0; j < 2; j++) {
            memcpy(to, parts[j].data, parts[j].size);
            to += parts[j].size;
            *to++ = 0;
        }
    }
    return STATUS_OK;
}

static void move(struct selection *selection, size_t from, size_t to)
{
    selection->ids[to] = selection->ids[from];
    selection->metrics[to] = selection->metrics[from];
    selection->entries[to] = selection->entries[from];
}

/* Reads the labels of every series; one without labels that can be read is left out. */
static enum status make_sortables(struct selection *selection, struct sortable *sortables,
                                  struct arena *arena, struct error *err)
{
    enum status status = STATUS_OK;
    size_t made = 0;
    for (size_t i = 0; i < selection->count && status == STATUS_OK; i++) {
        struct labels labels;
        if (i % PATIENCE_EVERY == 0)
            status = patience_check(&selection->options.patience, err);
        if (status != STATUS_OK)
            return status;
        struct error why = {0};
        status = label_reader_read(&selection->labels, selection->ids[i], &labels, &why);
        if (status == STATUS_CORRUPT) {
            selection->stats.partial = true;
            status = STATUS_OK;
            continue;
        }
        if (status != STATUS_OK)
            return fail(err, status, "%s", why.message);
        move(selection, i, made);
        sortables[made].index = (uint32_t)made;
        status = put_key(arena, &labels, &sortables[made++]);
    }
    selection->count = made;
    if (status == STATUS_LIMIT)
        return selection_take_memory(selection, SIZE_MAX / 2, err);
    return status == STATUS_MEMORY ? no_memory(err) : status;
}

/* With the sortables and room for as many behind them. */
static enum status sort_sortables(struct selection *selection, struct sortable *sortables,
                                  size_t room, struct error *err)
{
    struct sorting sorting = {.items = (uint8_t *)sortables,
                              .spare = (uint8_t *)(sortables + room),
                              .count = selection->count,
                              .size = sizeof sortables[0],
                              .compare = compare_sortables,
                              .patience = &selection->options.patience,
                              .err = err};
    enum status status = sort(&sorting);
    if (status != STATUS_OK)
        return status;
    const struct sortable *sorted = (const struct sortable *)(const void *)sorting.items;
    uint32_t *order = (uint32_t *)(void *)sorting.spare;
    for (size_t i = 0; i < selection->count; i++)
        order[i] = sorted[i].index;
    rearrange(selection, order);
    return STATUS_OK;
}

/* Keys and sortables are counted with all else that the selection takes, and no longer than they
 * are there. */
static enum status sort_by_labels(struct selection *selection, struct error *err)
{
    size_t max = selection->options.max_memory_bytes;
    size_t room = selection->count + 1;
    size_t bytes = 2 * room * sizeof(struct sortable);
    enum status status = selection_take_memory(selection, bytes, err);
    if (status != STATUS_OK)
        return status;
    struct sortable *sortables = malloc(bytes);
    if (sortables == NULL)
        return no_memory(err);
    struct arena arena;
    arena_init_shared(&arena, max == 0 ? SIZE_MAX : max - selection->memory_bytes,
                      selection->options.memory);
    status = make_sortables(selection, sortables, &arena, err);
    if (status == STATUS_OK)
        status = sort_sortables(selection, sortables, room, err);
    arena_release(&arena);
    free(sortables);
    selection_give_memory(selection, bytes);
    return status;
}

/* ---- as stored -------------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* By metric, then by id, as parts are sorted, so that neighbours are read from one page. Ids rise
 * already. */
static enum status sort_as_stored(struct selection *selection, struct error *err)
{
    size_t room = selection->count + 1;
    size_t bytes = 2 * room * sizeof(uint64_t);
    enum status status = selection_take_memory(selection, bytes, err);
    if (status != STATUS_OK)
        return status;
    uint64_t *keys = malloc(bytes);
    if (keys == NULL)
        return no_memory(err);
    for (size_t i = 0; i < selection->count; i++)
        keys[i] = (uint64_t)selection->metrics[i] << 32 | i;
    struct sorting sorting = {.items = (uint8_t *)keys,
                              .spare = (uint8_t *)(keys + room),
                              .count = selection->count,
                              .size = sizeof keys[0],
                              .compare = compare_keys,
                              .patience = &selection->options.patience,
                              .err = err};
    status = sort(&sorting);
    if (status == STATUS_OK) {
        const uint64_t *sorted = (const uint64_t *)(const void *)sorting.items;
        uint32_t *order = (uint32_t *)(void *)sorting.spare;
        for (size_t i = 0; i < selection->count; i++)
            order[i] = (uint32_t)sorted[i];
        rearrange(selection, order);
    }
    free(keys);
    selection_give_memory(selection, bytes);
    return status;
}

enum status selection_sort(struct selection *selection, struct error *err)
{
    return selection->options.ordered ? sort_by_labels(selection, err)
                                      : sort_as_stored(selection, err);
}

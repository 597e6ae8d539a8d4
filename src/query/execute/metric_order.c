#include "query/execute/metric_order.h"

#include <stdlib.h>

#include "base/invariant.h"

enum { NAME_WORK = 16, FIRST_CAPACITY = 64 };

struct name_entry {
    struct slice metric;
    size_t series;   /* how many, then where the first stands in the order */
    uint32_t number; /* in order of first sight */
};

struct names {
    struct arena *arena;
    struct name_entry *entries;
    size_t count;
    size_t capacity;
};

static enum status names_add(struct names *names, struct slice metric, struct name_entry **added,
                             struct error *err)
{
    if (names->count == names->capacity) {
        size_t capacity = names->capacity == 0 ? FIRST_CAPACITY : names->capacity * 2;
        struct name_entry *entries =
            arena_grow(names->arena, names->entries, names->count * sizeof entries[0],
                       capacity * sizeof entries[0]);
        if (entries == NULL)
            return budget_no_memory(names->arena, err);
        names->entries = entries;
        names->capacity = capacity;
    }
    struct name_entry *entry = &names->entries[names->count];
    *entry = (struct name_entry){
        .metric = arena_copy(names->arena, metric),
        .number = (uint32_t)names->count,
    };
    if (entry->metric.data == NULL)
        return budget_no_memory(names->arena, err);
    names->count++;
    *added = entry;
    return STATUS_OK;
}

static int compare_names(const void *a, const void *b)
{
    const struct name_entry *left = a;
    const struct name_entry *right = b;
    int order = slice_compare(left->metric, right->metric);
    /* The same name may stand here twice: runs of series in between made it new. */
    return order != 0 ? order : (left->number > right->number) - (left->number < right->number);
}

/* In label order equal names come in runs, so that comparing with the last one finds most. */
static enum status read_names(struct source *source, struct names *names, uint32_t *number_of,
                              struct error *err)
{
    struct name_entry *last = NULL;
    for (size_t i = 0; i < source->count; i++) {
        struct selected_series series;
        enum status status = budget_spend(source->budget, NAME_WORK, err);
        if (status == STATUS_OK)
            status = selection_series(source->tier, source->selection, i, &series, err);
        if (status != STATUS_OK)
            return status;
        struct slice metric = labels_metric_name(&series.labels);
        if (last == NULL || !slice_equal(last->metric, metric))
            status = names_add(names, metric, &last, err);
        if (status != STATUS_OK)
            return status;
        invariant(last != NULL);
        last->series++;
        number_of[i] = last->number;
    }
    return STATUS_OK;
}

enum status metric_order_make(struct source *source, struct arena *arena, uint32_t **order,
                              struct error *err)
{
    struct names names = {.arena = arena};
    uint32_t *number_of = arena_calloc(arena, source->count, sizeof number_of[0]);
    *order = arena_calloc(arena, source->count, sizeof **order);
    if (number_of == NULL || *order == NULL)
        return budget_no_memory(arena, err);
    enum status status = read_names(source, &names, number_of, err);
    if (status != STATUS_OK)
        return status;
    if (names.count > 1)
        qsort(names.entries, names.count, sizeof names.entries[0], compare_names);
    size_t *place = arena_calloc(arena, names.count + 1, sizeof place[0]);
    if (place == NULL)
        return budget_no_memory(arena, err);
    size_t next = 0;
    for (size_t i = 0; i < names.count; i++) {
        place[names.entries[i].number] = next;
        next += names.entries[i].series;
    }
    for (size_t i = 0; i < source->count; i++)
        (*order)[place[number_of[i]]++] = (uint32_t)i;
    return STATUS_OK;
}

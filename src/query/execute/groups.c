#include "query/execute/groups.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/invariant.h"

enum { FIRST_SLOTS = 64 };

void groups_init(struct groups *groups, const struct plan_node *node,
                 const struct operator_context *context)
{
    *groups = (struct groups){.context = context, .by = node->by, .by_count = node->by_count};
    window_init(&groups->window, node, context->pool);
}

/* `items` has room for by_count; strings are borrowed from `labels`. */
static struct labels labels_kept(const struct groups *groups, const struct labels *labels,
                                 struct label *items)
{
    struct labels kept = {.items = items};
    size_t at = 0;
    for (size_t i = 0; i < groups->by_count; i++) {
        int order = 1;
        while (at < labels->count &&
               (order = slice_compare(labels->items[at].name, groups->by[i])) < 0)
            at++;
        if (at < labels->count && order == 0)
            kept.items[kept.count++] = labels->items[at++];
    }
    return kept;
}

static uint64_t labels_hash(const struct groups *groups, const struct labels *labels)
{
    /* When the query began is nothing that a sender of labels can know. */
    uint64_t hash = (uint64_t)groups->context->budget->start_ns;
    for (size_t i = 0; i < labels->count; i++)
        hash = hash64(labels->items[i].value, hash64(labels->items[i].name, hash));
    return hash;
}

/* The slot that holds these labels, or the empty one where they belong. */
static struct group **slot_of(const struct groups *groups, const struct labels *labels)
{
    size_t at = (size_t)labels_hash(groups, labels);
    for (;; at++) {
        struct group **slot = &groups->slots[at & (groups->slot_count - 1)];
        if (*slot == NULL || labels_compare(&(*slot)->labels, labels) == 0)
            return slot;
    }
}

/* Room for one more in both arrays. */
static bool groups_grow(struct groups *groups)
{
    if (groups->count < groups->capacity)
        return true;
    struct arena *arena = groups->context->arena;
    size_t slot_count = groups->slot_count == 0 ? FIRST_SLOTS : groups->slot_count * 2;
    size_t item_size = sizeof groups->items[0]; /* NOLINT(bugprone-sizeof-expression): pointers */
    struct group **items =
        arena_grow(arena, groups->items, groups->count * item_size, slot_count / 2 * item_size);
    struct group **slots = arena_calloc(arena, slot_count, item_size);
    if (items == NULL || slots == NULL)
        return false;
    groups->items = items;
    groups->capacity = slot_count / 2;
    groups->slots = slots;
    groups->slot_count = slot_count;
    for (size_t i = 0; i < groups->count; i++)
        *slot_of(groups, &groups->items[i]->labels) = groups->items[i];
    return true;
}

static struct group *group_new(struct groups *groups, const struct labels *kept,
                               struct slice metric)
{
    struct arena *arena = groups->context->arena;
    struct group *group = arena_calloc(arena, 1, sizeof *group);
    size_t size = window_cells_size(&groups->window);
    if (group == NULL)
        return NULL;
    if (size == 0) {
        arena->exhausted = true;
        return NULL;
    }
    group->cells.cells = arena_calloc(arena, 1, size);
    group->metric = arena_copy(arena, metric);
    group->labels.items = arena_calloc(arena, kept->count, sizeof kept->items[0]);
    if (group->cells.cells == NULL || group->metric.data == NULL || group->labels.items == NULL)
        return NULL;
    for (size_t i = 0; i < kept->count; i++) {
        struct label *label = &group->labels.items[i];
        label->name = arena_copy(arena, kept->items[i].name);
        label->value = arena_copy(arena, kept->items[i].value);
        if (label->name.data == NULL || label->value.data == NULL)
            return NULL;
        group->labels.count++;
    }
    return group;
}

enum status groups_find(struct groups *groups, const struct labels *labels, struct group **group,
                        struct error *err)
{
    struct label items[REQUEST_MAX_BY];
    invariant(groups->by_count <= REQUEST_MAX_BY);
    struct labels kept = labels_kept(groups, labels, items);
    struct slice metric = labels_metric_name(labels);
    if (!groups_grow(groups))
        return budget_no_memory(groups->context->arena, err);
    struct group **slot = slot_of(groups, &kept);
    *group = *slot;
    if (*group != NULL) {
        if (!slice_equal((*group)->metric, metric))
            (*group)->mixed = true;
        return STATUS_OK;
    }
    *group = group_new(groups, &kept, metric);
    if (*group == NULL)
        return budget_no_memory(groups->context->arena, err);
    *slot = *group;
    groups->items[groups->count++] = *group;
    return STATUS_OK;
}

static int compare_groups(const void *a, const void *b)
{
    const struct group *const *left = a;
    const struct group *const *right = b;
    return labels_compare(&(*left)->labels, &(*right)->labels);
}

void groups_sort(struct groups *groups, const struct labels *after)
{
    size_t kept = 0;
    for (size_t i = 0; i < groups->count; i++)
        if (points_any(&groups->window, &groups->items[i]->cells))
            groups->items[kept++] = groups->items[i];
    groups->count = kept;
    if (kept > 1)
        /* NOLINTNEXTLINE(bugprone-sizeof-expression): an array of pointers */
        qsort(groups->items, kept, sizeof groups->items[0], compare_groups);
    groups->next = 0;
    while (after != NULL && groups->next < kept &&
           labels_compare(&groups->items[groups->next]->labels, after) <= 0)
        groups->next++;
}

enum status groups_next(struct groups *groups, struct result_series *series)
{
    if (groups->next == groups->count)
        return STATUS_END;
    const struct group *group = groups->items[groups->next++];
    *series = (struct result_series){
        .metric = group->mixed ? slice_of("", 0) : group->metric,
        .labels = group->labels,
    };
    points_start(&groups->points, &groups->window, &group->cells);
    return STATUS_OK;
}

enum status groups_next_points(struct groups *groups, struct result_points *points,
                               struct error *err)
{
    invariant(groups->next > 0);
    return points_next(&groups->points, &groups->window, &groups->items[groups->next - 1]->cells,
                       groups->context->budget, points, err);
}

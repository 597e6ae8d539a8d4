#include <stdlib.h>

#include "query/execute/budget.h"

enum { METRIC_WORK = 64, FIRST_CAPACITY = 16 };

/* One walk over the tier's metrics collects at most one more than the page holds. */
struct listing_walk {
    const struct metrics_request *request;
    struct arena *arena;
    struct budget *budget;
    struct metric_info *items;
    size_t count;
    size_t capacity;
    size_t walk_first; /* of this walk's, within `items` */
};

static uint8_t lower(uint8_t byte)
{
    return byte >= 'A' && byte <= 'Z' ? byte + ('a' - 'A') : byte;
}

/* Letters outside ASCII must be as they are written. */
static bool contains_in_any_case(struct slice text, struct slice part)
{
    for (size_t at = 0; at + part.size <= text.size; at++) {
        size_t same = 0;
        while (same < part.size && lower(text.data[at + same]) == lower(part.data[same]))
            same++;
        if (same == part.size)
            return true;
    }
    return false;
}

static bool walk_grow(struct listing_walk *walk)
{
    if (walk->count < walk->capacity)
        return true;
    size_t capacity = walk->capacity == 0 ? FIRST_CAPACITY : walk->capacity * 2;
    struct metric_info *items = arena_grow(walk->arena, walk->items, walk->count * sizeof items[0],
                                           capacity * sizeof items[0]);
    if (items == NULL)
        return false;
    walk->items = items;
    walk->capacity = capacity;
    return true;
}

static enum status walk_metric(void *context, const struct metric_info *info, struct error *err)
{
    struct listing_walk *walk = context;
    const struct metrics_request *request = walk->request;
    enum status status = budget_spend(walk->budget, METRIC_WORK, err);
    if (status != STATUS_OK)
        return status;
    if (slice_compare(info->metric.name, request->after) <= 0 && request->after.size > 0)
        return STATUS_OK;
    if (!contains_in_any_case(info->metric.name, request->search))
        return STATUS_OK;
    if (!walk_grow(walk))
        return budget_no_memory(walk->arena, err);
    struct metric_info *copy = &walk->items[walk->count];
    *copy = *info;
    copy->metric.name = arena_copy(walk->arena, info->metric.name);
    copy->metric.unit = arena_copy(walk->arena, info->metric.unit);
    copy->metric.help = arena_copy(walk->arena, info->metric.help);
    if (copy->metric.name.data == NULL || copy->metric.unit.data == NULL ||
        copy->metric.help.data == NULL)
        return budget_no_memory(walk->arena, err);
    walk->count++;
    return walk->count - walk->walk_first > request->limit ? STATUS_END : STATUS_OK;
}

static int compare_infos(const void *a, const void *b)
{
    const struct metric_info *left = a;
    const struct metric_info *right = b;
    return slice_compare(left->metric.name, right->metric.name);
}

/* Each walk gave its first names in order; the first of all of them are the page. */
static void listing_cut(struct listing *listing, const struct listing_walk *walk, uint64_t limit)
{
    if (walk->count > 1)
        qsort(walk->items, walk->count, sizeof walk->items[0], compare_infos);
    *listing = (struct listing){.items = walk->items};
    for (size_t i = 0; i < walk->count && !listing->more; i++) {
        if (listing->count > 0 &&
            compare_infos(&walk->items[i], &walk->items[listing->count - 1]) == 0)
            continue;
        listing->more = listing->count == limit;
        if (!listing->more)
            walk->items[listing->count++] = walk->items[i];
    }
}

enum status listing_read(struct listing *listing, const struct query_environment *environment,
                         const struct metrics_request *request, struct arena *arena,
                         struct error *err)
{
    struct budget budget;
    budget_init(&budget, environment, 0, environment->limits.timeout_ms);
    struct listing_walk walk = {.request = request, .arena = arena, .budget = &budget};
    bool partial = false;
    size_t walks = request->selectors.count == 0 ? 1 : request->selectors.count;
    for (size_t i = 0; i < walks; i++) {
        walk.walk_first = walk.count;
        const struct matchers *matchers =
            request->selectors.count == 0 ? NULL : &request->selectors.items[i];
        enum status status =
            storage_metrics(environment->tier, matchers, walk_metric, &walk, arena, &partial, err);
        if (status != STATUS_OK && status != STATUS_END)
            return status;
    }
    listing_cut(listing, &walk, request->limit);
    listing->partial = partial;
    return STATUS_OK;
}

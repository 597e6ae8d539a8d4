#include "storage/engine/activity.h"

#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"

enum { FIRST_ENTRIES = 16, ACTIVITY_EARLIEST_S = 2 * ACTIVITY_FIRST_S };

static struct activity_shard *shard_of(const struct activity *activity, uint32_t id)
{
    /* Const is of the caller's view: what is found is changed by those that may. */
    return (struct activity_shard *)&activity->shards[id / ACTIVITY_RUN % ACTIVITY_SHARDS];
}

static uint32_t place_of(const struct activity_shard *shard, uint32_t id)
{
    return (uint32_t)(id * UINT64_C(0x9e3779b97f4a7c15) >> 32) & shard->mask;
}

/* Where it is, or the empty place where it would be. */
static struct activity_entry *look(const struct activity_shard *shard, uint32_t id)
{
    uint32_t place = place_of(shard, id);
    while (shard->entries[place].id != id && shard->entries[place].id != SERIES_ID_NONE)
        place = (place + 1) & shard->mask;
    return &shard->entries[place];
}

static struct activity_entry *find(const struct activity *activity, uint32_t id)
{
    const struct activity_shard *shard = shard_of(activity, id);
    if (shard->used == 0 || id == SERIES_ID_NONE)
        return NULL;
    struct activity_entry *entry = look(shard, id);
    return entry->id == id ? entry : NULL;
}

const struct activity_entry *activity_find(const struct activity *activity, uint32_t id)
{
    return find(activity, id);
}

static enum status resize(struct activity_shard *shard, uint32_t capacity)
{
    struct activity_shard larger = {.mask = capacity - 1, .used = shard->used};
    larger.entries = malloc(capacity * sizeof larger.entries[0]);
    if (larger.entries == NULL)
        return STATUS_MEMORY;
    for (uint32_t i = 0; i < capacity; i++)
        larger.entries[i].id = SERIES_ID_NONE;
    for (uint32_t i = 0; shard->entries != NULL && i <= shard->mask; i++)
        if (shard->entries[i].id != SERIES_ID_NONE)
            *look(&larger, shard->entries[i].id) = shard->entries[i];
    free(shard->entries);
    *shard = larger;
    return STATUS_OK;
}

static struct activity_entry *add(struct activity *activity, uint32_t id, uint32_t metric)
{
    invariant(metric < UINT32_MAX / 2);
    if (number_array_reach(&activity->metrics, metric) != STATUS_OK)
        return NULL;
    struct activity_shard *shard = shard_of(activity, id);
    if (shard->entries == NULL && resize(shard, FIRST_ENTRIES) != STATUS_OK)
        return NULL;
    if (shard->used >= (shard->mask + 1) / 4 * 3 &&
        resize(shard, (shard->mask + 1) * 2) != STATUS_OK)
        return NULL;
    struct activity_entry *entry = look(shard, id);
    *entry = (struct activity_entry){.id = id, .metric = metric};
    shard->used++;
    activity->count++;
    activity->metrics.items[metric]++;
    return entry;
}

/* Those behind it move up, so that no search ends at the gap. */
static void remove_entry(struct activity *activity, struct activity_shard *shard,
                         struct activity_entry *entry)
{
    invariant(activity->metrics.items[entry->metric] > 0 && activity->count > 0 && shard->used > 0);
    activity->metrics.items[entry->metric]--;
    activity->count--;
    shard->used--;
    uint32_t gap = (uint32_t)(entry - shard->entries);
    for (uint32_t at = (gap + 1) & shard->mask; shard->entries[at].id != SERIES_ID_NONE;
         at = (at + 1) & shard->mask) {
        uint32_t home = place_of(shard, shard->entries[at].id);
        if (((at - home) & shard->mask) < ((at - gap) & shard->mask))
            continue;
        shard->entries[gap] = shard->entries[at];
        gap = at;
    }
    shard->entries[gap].id = SERIES_ID_NONE;
}

static uint32_t step_of(const struct activity *activity, uint32_t time_s)
{
    return time_s - time_s % activity->step_s;
}

static void set_window(struct activity *activity, int64_t window_ms)
{
    uint32_t window_s = (uint32_t)(window_ms / 1000);
    invariant(window_s > 0);
    activity->window_s = window_s;
    activity->step_s = window_s / ACTIVITY_STEPS;
    if (activity->step_s == 0)
        activity->step_s = 1;
    if (activity->step_s > ACTIVITY_LONGEST_STEP_S)
        activity->step_s = ACTIVITY_LONGEST_STEP_S;
    activity->next_expire = 0;
}

void activity_init(struct activity *activity, int64_t window_ms, uint32_t now_s)
{
    *activity = (struct activity){.tick = 1};
    set_window(activity, window_ms);
    /* A machine without a clock of its own begins in 1970. */
    activity->now_s = step_of(activity, now_s > ACTIVITY_EARLIEST_S ? now_s : ACTIVITY_EARLIEST_S);
}

void activity_release(struct activity *activity)
{
    for (uint32_t i = 0; i < ACTIVITY_SHARDS; i++)
        free(activity->shards[i].entries);
    number_array_release(&activity->metrics);
    *activity = (struct activity){0};
}

void activity_advance(struct activity *activity, uint32_t now_s)
{
    uint32_t step_s = step_of(activity, now_s);
    if (step_s <= activity->now_s)
        return;
    activity->now_s = step_s;
    activity->tick++;
    activity->next_expire = 0;
}

/* As late as it may be. */
static uint32_t latest(const struct activity *activity, uint32_t arrival_s, uint32_t step_s)
{
    uint32_t last_s = arrival_s;
    if (step_s > activity->step_s)
        last_s += step_s - activity->step_s;
    last_s = step_of(activity, last_s);
    return last_s < activity->now_s ? last_s : activity->now_s;
}

void activity_set_window(struct activity *activity, int64_t window_ms, uint32_t now_s)
{
    uint32_t step_s = activity->step_s;
    set_window(activity, window_ms);
    activity_advance(activity, now_s);
    for (uint32_t i = 0; i < ACTIVITY_SHARDS && activity->step_s < step_s; i++) {
        struct activity_shard *shard = &activity->shards[i];
        for (uint32_t place = 0; shard->entries != NULL && place <= shard->mask; place++) {
            struct activity_entry *entry = &shard->entries[place];
            if (entry->id != SERIES_ID_NONE && !activity_is_held(entry))
                entry->arrival_s = latest(activity, entry->arrival_s, step_s);
        }
    }
}

static bool has_fallen_out(const struct activity *activity, uint32_t arrival_s)
{
    return arrival_s < activity->now_s &&
           activity->now_s - arrival_s >= activity->window_s + activity->step_s;
}

/* Backwards, from an empty place on: what moves up into a gap comes from behind it, and was looked
 * at; nothing moves over an empty place. */
static void expire_shard(struct activity *activity, struct activity_shard *shard,
                         activity_freed *freed, void *context)
{
    uint32_t empty = 0;
    while (shard->entries[empty].id != SERIES_ID_NONE)
        empty++;
    uint32_t last = UINT32_MAX;
    for (uint32_t i = 1; i <= shard->mask; i++) {
        struct activity_entry *entry = &shard->entries[(empty - i) & shard->mask];
        if (entry->id == SERIES_ID_NONE || activity_is_held(entry) ||
            !has_fallen_out(activity, entry->arrival_s))
            continue;
        uint32_t metric = entry->metric;
        remove_entry(activity, shard, entry);
        if (freed != NULL && metric != last)
            freed(context, metric);
        last = metric;
    }
}

bool activity_expire(struct activity *activity, activity_freed *freed, void *context)
{
    while (activity->next_expire < ACTIVITY_SHARDS) {
        struct activity_shard *shard = &activity->shards[activity->next_expire++];
        if (shard->used == 0)
            continue;
        expire_shard(activity, shard, freed, context);
        uint32_t capacity = shard->mask + 1;
        while (capacity > FIRST_ENTRIES && shard->used < capacity / 8)
            capacity /= 2;
        /* Without memory for a smaller table the large one stays. */
        if (capacity <= shard->mask && resize(shard, capacity) != STATUS_OK)
            return true;
        return true;
    }
    return false;
}

bool activity_touch(struct activity *activity, uint32_t id)
{
    struct activity_entry *entry = find(activity, id);
    if (entry == NULL || activity_is_held(entry))
        return false;
    if (entry->arrival_s < activity->now_s)
        entry->arrival_s = activity->now_s;
    return true;
}

enum status activity_hold(struct activity *activity, uint32_t id, uint32_t metric)
{
    struct activity_entry *entry = find(activity, id);
    if (entry == NULL)
        entry = add(activity, id, metric);
    if (entry == NULL)
        return STATUS_MEMORY;
    if (activity_is_held(entry))
        entry->arrival_s++;
    invariant(entry->arrival_s != ACTIVITY_FIRST_S);
    return STATUS_OK;
}

void activity_unhold(struct activity *activity, uint32_t id)
{
    struct activity_entry *entry = find(activity, id);
    if (entry == NULL || !activity_is_held(entry))
        return;
    if (--entry->arrival_s == 0)
        remove_entry(activity, shard_of(activity, id), entry);
}

void activity_receive(struct activity *activity, uint32_t id, uint32_t arrival_s)
{
    struct activity_entry *entry = find(activity, id);
    arrival_s = step_of(activity, arrival_s);
    if (entry != NULL && entry->arrival_s < arrival_s)
        entry->arrival_s = arrival_s;
}

enum status activity_restore(struct activity *activity, uint32_t id, uint32_t metric,
                             uint32_t arrival_s, uint32_t step_s)
{
    struct activity_entry *entry = find(activity, id);
    arrival_s = latest(activity, arrival_s, step_s);
    if (entry != NULL && entry->metric != metric) {
        remove_entry(activity, shard_of(activity, id), entry);
        entry = NULL;
    }
    if (arrival_s < ACTIVITY_FIRST_S || has_fallen_out(activity, arrival_s))
        return STATUS_OK;
    if (entry == NULL)
        entry = add(activity, id, metric);
    if (entry == NULL)
        return STATUS_MEMORY;
    if (entry->arrival_s < arrival_s)
        entry->arrival_s = arrival_s;
    return STATUS_OK;
}

void activity_forget(struct activity *activity, uint32_t id)
{
    struct activity_entry *entry = find(activity, id);
    if (entry != NULL)
        remove_entry(activity, shard_of(activity, id), entry);
}

size_t activity_memory(const struct activity *activity)
{
    size_t bytes = activity->metrics.count * sizeof activity->metrics.items[0];
    for (uint32_t i = 0; i < ACTIVITY_SHARDS; i++)
        if (activity->shards[i].entries != NULL)
            bytes += ((size_t)activity->shards[i].mask + 1) * sizeof(struct activity_entry);
    return bytes;
}

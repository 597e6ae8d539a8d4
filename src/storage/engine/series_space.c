#include "storage/engine/series_space.h"

#include <stdlib.h>

#include "base/hash.h"
#include "base/invariant.h"

enum { FIRST_SLOTS = 256 };
#define SLOT_EMPTY    METRIC_ID_NONE
#define SLOT_WAS_USED (METRIC_ID_NONE - 1)

struct metric_slot {
    uint32_t hash;
    uint32_t metric;
};

static void slots_clear(struct metric_slot *slots, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        slots[i].metric = SLOT_EMPTY;
}

enum status series_space_init(struct series_space *space, uint64_t seed)
{
    *space = (struct series_space){.seed = seed, .free_metric = METRIC_ID_NONE};
    space->slots = malloc(FIRST_SLOTS * sizeof space->slots[0]);
    if (space->slots == NULL)
        return STATUS_MEMORY;
    space->slot_count = FIRST_SLOTS;
    slots_clear(space->slots, FIRST_SLOTS);
    space->memory_bytes = FIRST_SLOTS * sizeof space->slots[0];
    return STATUS_OK;
}

void series_space_release(struct series_space *space)
{
    for (uint32_t i = 0; i < space->metric_count; i++)
        free(space->metrics[i].name);
    free(space->metrics);
    free(space->slots);
    free(space->free_series);
    *space = (struct series_space){0};
}

/* ---- series ids ------------------------------------------------------------------------- */

/* Room for `more` free ids beside those that may come back. */
static enum status free_series_reach(struct series_space *space, size_t more)
{
    uint64_t need = (uint64_t)space->free_count + space->lent + more;
    if (need <= space->free_capacity)
        return STATUS_OK;
    uint64_t capacity = space->free_capacity == 0 ? 256 : 2 * (uint64_t)space->free_capacity;
    while (capacity < need)
        capacity *= 2;
    uint32_t *grown = realloc(space->free_series, capacity * sizeof grown[0]);
    if (grown == NULL)
        return STATUS_MEMORY;
    space->memory_bytes += (capacity - space->free_capacity) * sizeof grown[0];
    space->free_series = grown;
    space->free_capacity = (uint32_t)capacity;
    return STATUS_OK;
}

enum status series_space_take(struct series_space *space, uint32_t *id)
{
    if (free_series_reach(space, 1) != STATUS_OK)
        return STATUS_MEMORY;
    if (space->free_count > 0) {
        *id = space->free_series[--space->free_count];
        space->changes++;
    } else if (space->next_series < SERIES_ID_END) {
        *id = space->next_series++;
    } else {
        return STATUS_MEMORY;
    }
    space->lent++;
    return STATUS_OK;
}

enum status series_space_free(struct series_space *space, const uint32_t *ids, size_t count)
{
    if (free_series_reach(space, count) != STATUS_OK)
        return STATUS_MEMORY;
    /* The lowest are given first. */
    for (size_t i = count; i-- > 0;)
        space->free_series[space->free_count++] = ids[i];
    space->changes += count;
    return STATUS_OK;
}

void series_space_give_back(struct series_space *space, uint32_t id)
{
    invariant(space->lent > 0);
    space->lent--;
    space->changes++;
    space->free_series[space->free_count++] = id;
}

void series_space_keep(struct series_space *space)
{
    invariant(space->lent > 0);
    space->lent--;
}

void series_space_reach(struct series_space *space, uint32_t next)
{
    if (next > space->next_series)
        space->next_series = next;
}

/* ---- metrics ---------------------------------------------------------------------------- */

static uint32_t hash_of(const struct series_space *space, struct slice name)
{
    return (uint32_t)hash64(name, space->seed);
}

static uint32_t find(const struct series_space *space, struct slice name, uint32_t hash)
{
    uint32_t mask = space->slot_count - 1;
    for (uint32_t slot = hash & mask;; slot = (slot + 1) & mask) {
        uint32_t metric = space->slots[slot].metric;
        if (metric == SLOT_EMPTY)
            return METRIC_ID_NONE;
        if (metric != SLOT_WAS_USED && space->slots[slot].hash == hash &&
            slice_equal(series_space_name(space, metric), name))
            return metric;
    }
}

uint32_t series_space_find_metric(const struct series_space *space, struct slice name)
{
    return find(space, name, hash_of(space, name));
}

static enum status slots_rebuild(struct series_space *space)
{
    uint32_t count = space->slot_count;
    if (space->live_metrics >= count / 2)
        count *= 2;
    struct metric_slot *slots = malloc((size_t)count * sizeof slots[0]);
    if (slots == NULL)
        return STATUS_MEMORY;
    slots_clear(slots, count);
    for (uint32_t i = 0; i < space->slot_count; i++) {
        if (space->slots[i].metric >= SLOT_WAS_USED)
            continue;
        uint32_t slot = space->slots[i].hash & (count - 1);
        while (slots[slot].metric != SLOT_EMPTY)
            slot = (slot + 1) & (count - 1);
        slots[slot] = space->slots[i];
    }
    space->memory_bytes += (size_t)(count - space->slot_count) * sizeof slots[0];
    free(space->slots);
    space->slots = slots;
    space->slot_count = count;
    space->slots_used = space->live_metrics;
    return STATUS_OK;
}

enum status series_space_reach_metrics(struct series_space *space, uint32_t next)
{
    if (next > space->metric_capacity) {
        uint64_t capacity = space->metric_capacity == 0 ? 256 : space->metric_capacity;
        while (capacity < next)
            capacity *= 2;
        struct series_metric *metrics = realloc(space->metrics, capacity * sizeof metrics[0]);
        if (metrics == NULL)
            return STATUS_MEMORY;
        space->memory_bytes += (capacity - space->metric_capacity) * sizeof metrics[0];
        space->metrics = metrics;
        space->metric_capacity = (uint32_t)capacity;
    }
    for (; space->metric_count < next; space->metric_count++)
        space->metrics[space->metric_count] = (struct series_metric){.durable = true};
    return STATUS_OK;
}

/* Gives place `metric`, which has no name, this one. */
static enum status give_name(struct series_space *space, uint32_t metric, struct slice name,
                             bool durable)
{
    if (space->slots_used >= space->slot_count / 4 * 3 && slots_rebuild(space) != STATUS_OK)
        return STATUS_MEMORY;
    uint8_t *copy = malloc(name.size > 0 ? name.size : 1);
    if (copy == NULL)
        return STATUS_MEMORY;
    if (name.size > 0)
        memcpy(copy, name.data, name.size);
    space->metrics[metric] =
        (struct series_metric){.name = copy, .name_size = (uint32_t)name.size, .durable = durable};
    uint32_t hash = hash_of(space, name);
    uint32_t slot = hash & (space->slot_count - 1);
    while (space->slots[slot].metric < SLOT_WAS_USED)
        slot = (slot + 1) & (space->slot_count - 1);
    space->slots_used += space->slots[slot].metric == SLOT_EMPTY;
    space->slots[slot] = (struct metric_slot){.hash = hash, .metric = metric};
    space->live_metrics++;
    space->memory_bytes += name.size + 16;
    return STATUS_OK;
}

static enum status new_metric(struct series_space *space, struct slice name, uint32_t *metric)
{
    bool reuse = space->free_metric != METRIC_ID_NONE;
    *metric = reuse ? space->free_metric : space->metric_count;
    if (!reuse &&
        (*metric >= SLOT_WAS_USED || series_space_reach_metrics(space, *metric + 1) != STATUS_OK))
        return STATUS_MEMORY;
    uint32_t next_free = space->metrics[*metric].series;
    if (give_name(space, *metric, name, false) != STATUS_OK) {
        if (!reuse)
            space->metric_count--;
        return STATUS_MEMORY;
    }
    if (reuse)
        space->free_metric = next_free;
    return STATUS_OK;
}

enum status series_space_add(struct series_space *space, struct slice name, uint32_t *metric)
{
    *metric = series_space_find_metric(space, name);
    if (*metric == METRIC_ID_NONE) {
        enum status status = new_metric(space, name, metric);
        if (status != STATUS_OK)
            return status;
    }
    space->metrics[*metric].series++;
    return STATUS_OK;
}

enum status series_space_restore(struct series_space *space, uint32_t metric, struct slice name,
                                 uint32_t count, struct error *err)
{
    if (metric >= SLOT_WAS_USED)
        return fail(err, STATUS_CORRUPT, "there is no metric %u", metric);
    uint32_t known = series_space_find_metric(space, name);
    if (known != METRIC_ID_NONE && known != metric)
        return fail(err, STATUS_CORRUPT, "metric %u was %u before", metric, known);
    if (known == METRIC_ID_NONE && metric < space->metric_count &&
        space->metrics[metric].name != NULL)
        return fail(err, STATUS_CORRUPT, "metric %u has another name", metric);
    if (known == METRIC_ID_NONE && (series_space_reach_metrics(space, metric + 1) != STATUS_OK ||
                                    give_name(space, metric, name, true) != STATUS_OK))
        return fail(err, STATUS_MEMORY, "no memory for metric %u", metric);
    space->metrics[metric].series += count;
    return STATUS_OK;
}

static void forget(struct series_space *space, uint32_t metric)
{
    struct series_metric *entry = &space->metrics[metric];
    uint32_t mask = space->slot_count - 1;
    uint32_t slot = hash_of(space, series_space_name(space, metric)) & mask;
    while (space->slots[slot].metric != metric) {
        invariant(space->slots[slot].metric != SLOT_EMPTY);
        slot = (slot + 1) & mask;
    }
    space->slots[slot].metric = SLOT_WAS_USED;
    space->live_metrics--;
    space->memory_bytes -= entry->name_size + 16;
    free(entry->name);
    *entry = (struct series_metric){.durable = entry->durable};
    if (!entry->durable) {
        entry->series = space->free_metric;
        space->free_metric = metric;
    }
}

void series_space_remove(struct series_space *space, uint32_t metric)
{
    struct series_metric *entry = &space->metrics[metric];
    invariant(entry->name != NULL && entry->series > 0);
    entry->series--;
    if (entry->series == 0)
        forget(space, metric);
}

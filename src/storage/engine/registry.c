#include "storage/engine/registry.h"

#include <stdlib.h>

#include "base/hash.h"

enum { FIRST_CAPACITY = 64 };

enum status registry_init(struct registry *registry, uint64_t seed)
{
    *registry = (struct registry){.capacity = FIRST_CAPACITY, .seed = seed};
    registry->entries = calloc(FIRST_CAPACITY, sizeof registry->entries[0]);
    return registry->entries == NULL ? STATUS_MEMORY : STATUS_OK;
}

void registry_release(struct registry *registry)
{
    for (size_t i = 0; i < registry->capacity && registry->entries != NULL; i++)
        free(registry->entries[i].text);
    free(registry->entries);
    *registry = (struct registry){0};
}

static struct registry_entry *entry_of(const struct registry *registry, struct slice name)
{
    size_t mask = registry->capacity - 1;
    size_t slot = (size_t)hash64(name, registry->seed) & mask;
    while (registry->entries[slot].text != NULL &&
           !slice_equal(registry->entries[slot].metric.name, name))
        slot = (slot + 1) & mask;
    return &registry->entries[slot];
}

const struct metric *registry_find(const struct registry *registry, struct slice name)
{
    const struct registry_entry *entry = entry_of(registry, name);
    return entry->text == NULL ? NULL : &entry->metric;
}

/* `later` over `earlier`: what is not given stays. */
static struct metric combined(const struct metric *earlier, const struct metric *later)
{
    struct metric metric = *earlier;
    if (later->type != METRIC_UNKNOWN)
        metric.type = later->type;
    if (later->unit.size > 0)
        metric.unit = later->unit;
    if (later->help.size > 0)
        metric.help = later->help;
    if (later->has_max_series) {
        metric.has_max_series = true;
        metric.max_series = later->max_series;
    }
    return metric;
}

static enum metric_outcome compare(const struct metric *known, const struct metric *metric)
{
    if (known->type != METRIC_UNKNOWN && metric->type != METRIC_UNKNOWN &&
        known->type != metric->type)
        return METRIC_CONTRADICTS;
    struct metric after = combined(known, metric);
    bool same = after.type == known->type && slice_equal(after.unit, known->unit) &&
                slice_equal(after.help, known->help) &&
                after.has_max_series == known->has_max_series &&
                after.max_series == known->max_series;
    return same ? METRIC_SAME : METRIC_CHANGED;
}

enum metric_outcome registry_compare(const struct registry *registry, const struct metric *metric)
{
    const struct metric *known = registry_find(registry, metric->name);
    return known == NULL ? METRIC_NEW : compare(known, metric);
}

static enum status grow(struct registry *registry)
{
    struct registry larger = {.capacity = registry->capacity * 2, .seed = registry->seed};
    larger.entries = calloc(larger.capacity, sizeof larger.entries[0]);
    if (larger.entries == NULL)
        return STATUS_MEMORY;
    for (size_t i = 0; i < registry->capacity; i++)
        if (registry->entries[i].text != NULL)
            *entry_of(&larger, registry->entries[i].metric.name) = registry->entries[i];
    free(registry->entries);
    registry->entries = larger.entries;
    registry->capacity = larger.capacity;
    return STATUS_OK;
}

static struct slice text_put(uint8_t **at, struct slice text)
{
    if (text.size > 0)
        memcpy(*at, text.data, text.size);
    struct slice copy = slice_of(*at, text.size);
    *at += text.size;
    return copy;
}

static enum status entry_set(struct registry *registry, struct registry_entry *entry,
                             const struct metric *metric)
{
    size_t size = metric->name.size + metric->unit.size + metric->help.size;
    uint8_t *text = malloc(size > 0 ? size : 1);
    if (text == NULL)
        return STATUS_MEMORY;
    uint8_t *at = text;
    struct metric copy = *metric;
    copy.name = text_put(&at, metric->name);
    copy.unit = text_put(&at, metric->unit);
    copy.help = text_put(&at, metric->help);
    if (entry->text != NULL)
        registry->memory_bytes -= entry->metric.name.size + entry->metric.unit.size +
                                  entry->metric.help.size + sizeof *entry;
    registry->memory_bytes += size + sizeof *entry;
    free(entry->text);
    entry->text = text;
    entry->metric = copy;
    return STATUS_OK;
}

enum status registry_put(struct registry *registry, const struct metric *metric,
                         enum metric_outcome *outcome)
{
    struct registry_entry *entry = entry_of(registry, metric->name);
    if (entry->text != NULL) {
        *outcome = compare(&entry->metric, metric);
        if (*outcome != METRIC_CHANGED)
            return STATUS_OK;
        struct metric after = combined(&entry->metric, metric);
        return entry_set(registry, entry, &after);
    }
    *outcome = METRIC_NEW;
    if (registry->count >= REGISTRY_MAX_METRICS)
        return STATUS_LIMIT;
    if (registry->count >= registry->capacity / 4 * 3) {
        if (grow(registry) != STATUS_OK)
            return STATUS_MEMORY;
        entry = entry_of(registry, metric->name);
    }
    enum status status = entry_set(registry, entry, metric);
    if (status == STATUS_OK)
        registry->count++;
    return status;
}

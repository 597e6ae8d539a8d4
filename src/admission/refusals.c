#include "admission/refusals.h"

#include <stdlib.h>
#include <string.h>

enum { WINDOW = 8, FIRST_ENTRIES = 1024, LEAST_METRICS = 16, MOST_METRICS = 4096 };

struct refused_entry {
    uint64_t tag; /* 0: empty */
    uint32_t generation;
    uint16_t metric;
    uint8_t reason;
    uint8_t used;
};

const char *refusal_code(enum refusal_reason reason)
{
    static const char *const codes[REFUSAL_REASONS] = {
        [REFUSED_LABELS] = "label_limit",
        [REFUSED_LABEL_NAME] = "label_name_limit",
        [REFUSED_LABEL_VALUE] = "label_value_limit",
        [REFUSED_METRIC_NAME] = "metric_name_limit",
        [REFUSED_MEMORY] = "memory_limit",
        [REFUSED_NAMES] = "names_limit",
        [REFUSED_TOTAL] = "total_series_limit",
        [REFUSED_TOTAL_BY_MEMORY] = "memory_limit",
        [REFUSED_INDEXED] = "indexed_series_limit",
        [REFUSED_METRIC_SERIES] = "cardinality_limit",
        [REFUSED_FINDING] = "cardinality_finding",
        [REFUSED_RATE] = "series_rate_limit",
    };
    return codes[reason];
}

static struct refused_entry *entries_new(uint64_t count)
{
    return calloc(count + WINDOW - 1, sizeof(struct refused_entry));
}

/* A half for entries, a quarter for metrics and one for counters. */
enum status refusals_init(struct refusals *refusals, size_t max_bytes, uint64_t seed)
{
    *refusals = (struct refusals){.entry_mask = FIRST_ENTRIES - 1,
                                  .max_entries = FIRST_ENTRIES,
                                  .metric_mask = LEAST_METRICS - 1,
                                  .next_generation = 1,
                                  .seed = seed,
                                  .max_sketch_bytes = max_bytes / 4};
    while (refusals->max_entries * 2 * sizeof(struct refused_entry) <= max_bytes / 2)
        refusals->max_entries *= 2;
    while ((uint64_t)(refusals->metric_mask + 1) * 2 * sizeof(struct refused_metric) <=
               max_bytes / 4 &&
           refusals->metric_mask + 1 < MOST_METRICS)
        refusals->metric_mask = refusals->metric_mask * 2 + 1;
    refusals->entries = entries_new(FIRST_ENTRIES);
    refusals->metrics = calloc((size_t)refusals->metric_mask + WINDOW, sizeof refusals->metrics[0]);
    if (refusals->entries != NULL && refusals->metrics != NULL)
        return STATUS_OK;
    refusals_release(refusals);
    return STATUS_MEMORY;
}

void refusals_release(struct refusals *refusals)
{
    for (size_t i = 0; refusals->metrics != NULL && i < (size_t)refusals->metric_mask + WINDOW; i++)
        hyperloglog_release(&refusals->metrics[i].distinct);
    free(refusals->entries);
    free(refusals->metrics);
    *refusals = (struct refusals){0};
}

/* ---- metrics ---------------------------------------------------------------------------- */

static uint64_t key_of(const struct refusals *refusals, struct slice name)
{
    uint64_t key = hash64(name, refusals->seed);
    return key == 0 ? 1 : key;
}

static struct refused_metric *find_metric(const struct refusals *refusals, uint64_t key)
{
    struct refused_metric *window = &refusals->metrics[key & refusals->metric_mask];
    for (int i = 0; i < WINDOW; i++)
        if (window[i].key == key)
            return &window[i];
    return NULL;
}

struct refused_metric *refusals_metric(struct refusals *refusals, struct slice name, int64_t now_ms)
{
    uint64_t key = key_of(refusals, name);
    struct refused_metric *metric = find_metric(refusals, key);
    if (metric != NULL)
        return metric;
    metric = &refusals->metrics[key & refusals->metric_mask];
    for (int i = 1; i < WINDOW; i++) {
        struct refused_metric *other =
            &refusals->metrics[(key & refusals->metric_mask) + (uint64_t)i];
        if (metric->key != 0 && (other->key == 0 || other->last_ms < metric->last_ms))
            metric = other;
    }
    refusals->sketch_bytes -= hyperloglog_memory(&metric->distinct);
    hyperloglog_release(&metric->distinct);
    *metric = (struct refused_metric){.key = key,
                                      .generation = refusals->next_generation++,
                                      .first_ms = now_ms,
                                      .last_ms = now_ms};
    metric->name_size = (uint16_t)(name.size < REFUSED_NAME_SIZE ? name.size : REFUSED_NAME_SIZE);
    memcpy(metric->name, name.data, metric->name_size);
    return metric;
}

void refusals_admitted(struct refusals *refusals, struct slice name)
{
    /* Most stores refuse nothing. */
    if (refusals->entry_count == 0)
        return;
    struct refused_metric *metric = find_metric(refusals, key_of(refusals, name));
    if (metric != NULL)
        metric->generation = refusals->next_generation++;
}

/* ---- entries ---------------------------------------------------------------------------- */

static uint64_t tag_of(struct hash128 raw)
{
    return raw.high == 0 ? 1 : raw.high;
}

static struct refused_entry *place_for(struct refusals *refusals, struct hash128 raw)
{
    struct refused_entry *window = &refusals->entries[raw.low & refusals->entry_mask];
    for (int i = 0; i < WINDOW; i++)
        if (window[i].tag == 0 || window[i].tag == tag_of(raw))
            return &window[i];
    for (uint32_t tries = 0; tries < WINDOW; tries++) {
        struct refused_entry *entry = &window[refusals->hand++ % WINDOW];
        if (entry->used == 0)
            return entry;
        entry->used = 0;
    }
    return &window[refusals->hand % WINDOW];
}

/* An entry does not know its whole hash: a larger table begins empty, and fills as series are sent
 * again. Without memory the old one stays. */
static void grow(struct refusals *refusals)
{
    struct refused_entry *entries = entries_new((refusals->entry_mask + 1) * 4);
    if (entries == NULL)
        return;
    free(refusals->entries);
    refusals->entries = entries;
    refusals->entry_mask = (refusals->entry_mask + 1) * 4 - 1;
    refusals->entry_count = 0;
}

static void remember(struct refusals *refusals, const struct refused_metric *metric,
                     struct hash128 raw, enum refusal_reason reason)
{
    if (refusals->entry_count >= (refusals->entry_mask + 1) / 4 * 3 &&
        (refusals->entry_mask + 1) * 4 <= refusals->max_entries)
        grow(refusals);
    struct refused_entry *entry = place_for(refusals, raw);
    refusals->entry_count += entry->tag == 0;
    *entry = (struct refused_entry){.tag = tag_of(raw),
                                    .generation = metric->generation,
                                    .metric = (uint16_t)(metric - refusals->metrics),
                                    .reason = (uint8_t)reason,
                                    .used = 1};
}

/* Which would have come in under a higher limit of series. */
static void count_distinct(struct refusals *refusals, struct refused_metric *metric,
                           struct hash128 raw)
{
    size_t before = hyperloglog_memory(&metric->distinct);
    bool full = before == 0 && metric->distinct.few_count == HYPERLOGLOG_FEW;
    if ((full && refusals->sketch_bytes >= refusals->max_sketch_bytes) ||
        hyperloglog_add(&metric->distinct, raw.low) != STATUS_OK)
        metric->distinct_cut = true;
    refusals->sketch_bytes += hyperloglog_memory(&metric->distinct) - before;
}

void refusals_note(struct refusals *refusals, struct refused_metric *metric, struct hash128 raw,
                   enum refusal_reason reason, int64_t now_ms)
{
    metric->counts[reason]++;
    metric->last_ms = now_ms;
    if (reason == REFUSED_METRIC_SERIES)
        count_distinct(refusals, metric, raw);
    /* An override may hold for a name that is cut here, and no other. */
    bool cut = metric->name_size == REFUSED_NAME_SIZE;
    if (reason != REFUSED_RATE && reason != REFUSED_NAMES && reason != REFUSED_FINDING && !cut)
        remember(refusals, metric, raw, reason);
}

struct refused_metric *refusals_find(struct refusals *refusals, struct hash128 raw,
                                     enum refusal_reason *reason)
{
    struct refused_entry *entry = &refusals->entries[raw.low & refusals->entry_mask];
    for (int i = 0; i < WINDOW; i++, entry++) {
        if (entry->tag != tag_of(raw))
            continue;
        struct refused_metric *metric = &refusals->metrics[entry->metric];
        entry->used = 1;
        *reason = (enum refusal_reason)entry->reason;
        return metric->generation == entry->generation ? metric : NULL;
    }
    return NULL;
}

void refusals_forget(struct refusals *refusals)
{
    memset(refusals->entries, 0, (refusals->entry_mask + WINDOW) * sizeof refusals->entries[0]);
    refusals->entry_count = 0;
}

size_t refusals_memory(const struct refusals *refusals)
{
    return (refusals->entry_mask + WINDOW) * sizeof refusals->entries[0] + refusals->sketch_bytes +
           ((size_t)refusals->metric_mask + WINDOW) * sizeof refusals->metrics[0];
}

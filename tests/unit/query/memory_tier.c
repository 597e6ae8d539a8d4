#include "memory_tier.h"

#include <stdlib.h>

#include "base/invariant.h"

struct selection {
    struct memory_tier *memory;
    struct time_range range;
    size_t *indices;
    size_t count;
    struct storage_cursor *cursor;
    struct read_stats stats;
    struct label *handed; /* labels are moved at every call, so that stale borrows show */
};

struct storage_cursor {
    struct selection *selection;
    const struct memory_series *series;
    struct time_range range;
    uint64_t random;
    size_t first, end; /* of the block that was given last */
    bool given, loaded;
    struct summary summary;
    int64_t *times; /* copies of exactly the block */
    double *values;
};

uint64_t memory_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

static void *must(void *memory)
{
    invariant(memory != NULL);
    return memory;
}

size_t memory_tier_add_series(struct memory_tier *memory, const char *metric, const char *text)
{
    struct label items[32];
    struct labels labels = {.items = items};
    items[labels.count++] =
        (struct label){slice_from_text(METRIC_NAME_LABEL), slice_from_text(metric)};
    while (*text != 0) {
        size_t name = strcspn(text, "=");
        size_t value = strcspn(text + name + 1, ",");
        items[labels.count++] =
            (struct label){slice_of(text, name), slice_of(text + name + 1, value)};
        text += name + 1 + value;
        text += *text == ',';
    }
    invariant(labels_canonicalise(&labels, NULL) == STATUS_OK);
    struct bytes bytes;
    bytes_init(&bytes, 1 << 20);
    invariant(labels_encode(&labels, &bytes) == STATUS_OK);
    if (memory->count == memory->capacity) {
        memory->capacity = memory->capacity * 2 + 8;
        memory->series = must(realloc(memory->series, memory->capacity * sizeof memory->series[0]));
    }
    struct memory_series *series = &memory->series[memory->count];
    *series = (struct memory_series){.encoded = bytes.data};
    series->labels.items = must(calloc(labels.count, sizeof items[0]));
    invariant(labels_decode(bytes_slice(&bytes), series->labels.items, labels.count,
                            &series->labels.count, NULL) == STATUS_OK);
    return memory->count++;
}

void memory_tier_add(struct memory_tier *memory, size_t index, int64_t time_ms, double value)
{
    struct memory_series *series = &memory->series[index];
    invariant(series->count == 0 || series->times[series->count - 1] < time_ms);
    if (series->count == series->capacity) {
        series->capacity = series->capacity * 2 + 8;
        series->times = must(realloc(series->times, series->capacity * sizeof(int64_t)));
        series->values = must(realloc(series->values, series->capacity * sizeof(double)));
    }
    series->times[series->count] = time_ms;
    series->values[series->count++] = value;
}

/* ---- the table -------------------------------------------------------------------------- */

static struct memory_tier *of_tier(struct tier *tier)
{
    return container_of(tier, struct memory_tier, tier);
}

static int compare_series(const void *a, const void *b, void *context)
{
    const struct memory_tier *memory = context;
    const size_t *left = a;
    const size_t *right = b;
    return labels_compare(&memory->series[*left].labels, &memory->series[*right].labels);
}

static bool is_selected(const struct memory_series *series, const struct matchers *matchers,
                        size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (matchers_match(&matchers[i], &series->labels))
            return true;
    return false;
}

static enum status memory_select(struct tier *tier, const struct matchers *matchers, size_t count,
                                 const struct select_options *options, struct selection **selection,
                                 struct error *err)
{
    struct memory_tier *memory = of_tier(tier);
    struct selection *made = must(calloc(1, sizeof *made));
    made->memory = memory;
    made->range = options->range;
    made->indices = must(calloc(memory->count + 1, sizeof made->indices[0]));
    for (size_t i = 0; i < memory->count; i++)
        if (is_selected(&memory->series[i], matchers, count))
            made->indices[made->count++] = i;
    uint64_t random = memory->seed;
    if (options->ordered)
        qsort_r(made->indices, made->count, sizeof made->indices[0], compare_series, memory);
    else
        for (size_t i = made->count; i > 1; i--) {
            size_t other = memory_random(&random) % i;
            size_t moved = made->indices[i - 1];
            made->indices[i - 1] = made->indices[other];
            made->indices[other] = moved;
        }
    memory->open_selections++;
    *selection = made;
    if (options->max_series == 0 || made->count <= options->max_series)
        return STATUS_OK;
    tier->ops->selection_close(made);
    *selection = NULL;
    return fail_code(err, STATUS_LIMIT, "query_series_limit", "too many series");
}

static size_t memory_selection_count(const struct selection *selection)
{
    return selection->count;
}

static enum status memory_selection_series(struct selection *selection, size_t index,
                                           struct selected_series *series, struct error *err)
{
    (void)err;
    const struct labels *labels = &selection->memory->series[selection->indices[index]].labels;
    free(selection->handed);
    selection->handed = must(malloc(labels->count * sizeof labels->items[0]));
    memcpy(selection->handed, labels->items, labels->count * sizeof labels->items[0]);
    *series = (struct selected_series){
        .id = (uint32_t)selection->indices[index],
        .labels = {.items = selection->handed, .count = labels->count},
    };
    return STATUS_OK;
}

static void cursor_drop_block(struct storage_cursor *cursor)
{
    free(cursor->times);
    free(cursor->values);
    cursor->times = NULL;
    cursor->values = NULL;
    if (cursor->given && !cursor->loaded)
        cursor->selection->stats.blocks_skipped++;
    cursor->given = cursor->loaded = false;
}

static enum status memory_selection_read(struct selection *selection, size_t index,
                                         struct time_range range, struct storage_cursor **cursor,
                                         struct error *err)
{
    (void)err;
    invariant(range.start_ms >= selection->range.start_ms);
    invariant(range.end_ms <= selection->range.end_ms);
    if (*cursor == NULL) {
        *cursor = must(calloc(1, sizeof **cursor));
        selection->cursor = *cursor;
        (*cursor)->selection = selection;
    }
    cursor_drop_block(*cursor);
    (*cursor)->series = &selection->memory->series[selection->indices[index]];
    (*cursor)->range = range;
    (*cursor)->first = (*cursor)->end = 0;
    (*cursor)->random = selection->memory->seed + selection->indices[index] + 1;
    return STATUS_OK;
}

static enum status memory_cursor_next(struct storage_cursor *cursor, struct storage_block *block,
                                      struct error *err)
{
    struct memory_tier *memory = cursor->selection->memory;
    const struct memory_series *series = cursor->series;
    cursor_drop_block(cursor);
    for (;;) {
        if (cursor->end == series->count || series->times[cursor->end] >= cursor->range.end_ms)
            return STATUS_END;
        cursor->first = cursor->end;
        cursor->end += 1 + memory_random(&cursor->random) % memory->max_block;
        if (cursor->end > series->count)
            cursor->end = series->count;
        if (series->times[cursor->end - 1] >= cursor->range.start_ms)
            break;
        cursor->selection->stats.blocks_skipped++;
    }
    if (++memory->blocks_given == memory->fail_next_at)
        return fail(err, STATUS_IO, "block 17 cannot be read");
    *block = (struct storage_block){
        .count = (uint32_t)(cursor->end - cursor->first),
        .first_ms = series->times[cursor->first],
        .last_ms = series->times[cursor->end - 1],
    };
    bool within =
        block->first_ms >= cursor->range.start_ms && block->last_ms < cursor->range.end_ms;
    if (within && memory_random(&cursor->random) % 100 < memory->summary_chance) {
        summary_init(&cursor->summary);
        summary_add(&cursor->summary, series->times + cursor->first, series->values + cursor->first,
                    block->count);
        block->summary = &cursor->summary;
    }
    cursor->selection->stats.tiers[CHUNK_HOT] = true;
    cursor->given = true;
    return STATUS_OK;
}

static enum status memory_cursor_load(struct storage_cursor *cursor, struct storage_block *block,
                                      struct error *err)
{
    (void)err;
    invariant(cursor->given && !cursor->loaded);
    const struct memory_series *series = cursor->series;
    size_t first = cursor->first;
    size_t end = cursor->end;
    while (first < end && series->times[first] < cursor->range.start_ms)
        first++;
    while (end > first && series->times[end - 1] >= cursor->range.end_ms)
        end--;
    size_t count = end - first;
    cursor->times = must(malloc(count * sizeof(int64_t) + 1));
    cursor->values = must(malloc(count * sizeof(double) + 1));
    memcpy(cursor->times, series->times + first, count * sizeof(int64_t));
    memcpy(cursor->values, series->values + first, count * sizeof(double));
    block->count = (uint32_t)count;
    block->times = cursor->times;
    block->values = cursor->values;
    block->first_ms = count > 0 ? cursor->times[0] : 0;
    block->last_ms = count > 0 ? cursor->times[count - 1] : 0;
    cursor->loaded = true;
    cursor->selection->stats.blocks_loaded++;
    cursor->selection->stats.samples_decoded += count;
    return STATUS_OK;
}

static void memory_selection_stats(const struct selection *selection, struct read_stats *stats)
{
    *stats = selection->stats;
    stats->partial = selection->memory->damaged;
}

static void memory_selection_close(struct selection *selection)
{
    if (selection->cursor != NULL)
        cursor_drop_block(selection->cursor);
    free(selection->cursor);
    free(selection->handed);
    free(selection->indices);
    selection->memory->open_selections--;
    free(selection);
}

static int compare_names(const void *a, const void *b)
{
    const struct slice *left = a;
    const struct slice *right = b;
    return slice_compare(*left, *right);
}

static void describe_metric(const struct memory_tier *memory, struct slice name,
                            struct metric_info *info)
{
    *info = (struct metric_info){.metric = {.name = name}};
    for (size_t i = 0; i < memory->metric_count; i++)
        if (slice_equal(memory->metrics[i].name, name))
            info->metric = memory->metrics[i];
    for (size_t i = 0; i < memory->count; i++) {
        const struct memory_series *series = &memory->series[i];
        if (!slice_equal(labels_metric_name(&series->labels), name))
            continue;
        info->series++;
        if (series->count == 0)
            continue;
        int64_t first_ms = series->times[0];
        int64_t last_ms = series->times[series->count - 1];
        if (!info->has_samples || first_ms < info->first_ms)
            info->first_ms = first_ms;
        if (!info->has_samples || last_ms > info->last_ms)
            info->last_ms = last_ms;
        info->has_samples = true;
    }
}

static enum status memory_metrics(struct tier *tier, const struct matchers *matchers,
                                  storage_visit_metric *visit, void *context, struct arena *arena,
                                  bool *partial, struct error *err)
{
    (void)arena;
    (void)partial;
    struct memory_tier *memory = of_tier(tier);
    size_t count = 0;
    struct slice *names = must(calloc(memory->count + memory->metric_count + 1, sizeof names[0]));
    for (size_t i = 0; i < memory->count; i++)
        if (matchers == NULL || matchers_match(matchers, &memory->series[i].labels))
            names[count++] = labels_metric_name(&memory->series[i].labels);
    for (size_t i = 0; matchers == NULL && i < memory->metric_count; i++)
        names[count++] = memory->metrics[i].name;
    if (count > 0)
        qsort(names, count, sizeof names[0], compare_names);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        struct metric_info info;
        if (i > 0 && slice_equal(names[i], names[i - 1]))
            continue;
        describe_metric(memory, names[i], &info);
        status = visit(context, &info, err);
    }
    free(names);
    return status;
}

static enum status memory_metric(struct tier *tier, struct slice name, struct arena *arena,
                                 struct metric *metric, struct error *err)
{
    struct memory_tier *memory = of_tier(tier);
    for (size_t i = 0; i < memory->metric_count; i++) {
        if (!slice_equal(memory->metrics[i].name, name))
            continue;
        *metric = memory->metrics[i];
        metric->name = arena_copy(arena, metric->name);
        metric->unit = arena_copy(arena, metric->unit);
        metric->help = arena_copy(arena, metric->help);
        return STATUS_OK;
    }
    return fail(err, STATUS_NOT_FOUND, "no such metric");
}

static const struct tier_ops ops = {
    .name = "hot",
    .select = memory_select,
    .selection_count = memory_selection_count,
    .selection_series = memory_selection_series,
    .selection_read = memory_selection_read,
    .cursor_next = memory_cursor_next,
    .cursor_load = memory_cursor_load,
    .selection_stats = memory_selection_stats,
    .selection_close = memory_selection_close,
    .metrics = memory_metrics,
    .metric = memory_metric,
};

struct memory_tier *memory_tier_new(void)
{
    struct memory_tier *memory = must(calloc(1, sizeof *memory));
    memory->tier.ops = &ops;
    memory->max_block = 120;
    memory->summary_chance = 100;
    memory->seed = 1;
    return memory;
}

void memory_tier_free(struct memory_tier *memory)
{
    invariant(memory->open_selections == 0);
    for (size_t i = 0; i < memory->count; i++) {
        free(memory->series[i].labels.items);
        free(memory->series[i].encoded);
        free(memory->series[i].times);
        free(memory->series[i].values);
    }
    free(memory->series);
    free(memory);
}

#include "storage/engine/selection.h"

#include <stdlib.h>

#include "base/invariant.h"
#include "base/times.h"
#include "storage/engine/matching.h"

enum {
    SELECT_ATTEMPTS = 3,
    COMPARES_A_LOCK = 8192, /* label comparisons before new series get a turn */
};

static enum status no_memory(struct error *err)
{
    return fail(err, STATUS_MEMORY, "no memory for a query");
}

enum status selection_take_memory(struct selection *selection, size_t bytes, struct error *err)
{
    size_t max = selection->options.max_memory_bytes;
    selection->memory_bytes += bytes;
    if (max != 0 && selection->memory_bytes > max)
        return fail_code(err, STATUS_LIMIT, "query_memory_limit",
                         "the query needs more than %zu bytes; select fewer series or a shorter "
                         "time, or raise query.max_memory",
                         max);
    return STATUS_OK;
}

/* ---- which series ----------------------------------------------------------------------- */

static enum status take_ids(struct selection *selection, const roaring_bitmap_t *matched,
                            struct error *err)
{
    const struct series_table *table = &selection->engine->series;
    size_t found = (size_t)roaring_bitmap_get_cardinality(matched);
    size_t max = selection->options.max_series;
    if (max != 0 && found > max)
        return fail_code(err, STATUS_LIMIT, "query_series_limit",
                         "%zu series match; at most %zu are read by one query: select fewer", found,
                         max);
    selection->memory_bytes = 0;
    enum status status = selection_take_memory(
        selection, found * (2 * sizeof(uint32_t) + sizeof(struct head_entry)), err);
    if (status != STATUS_OK)
        return status;
    free(selection->ids);
    free(selection->metrics);
    selection->ids = malloc((found + 1) * sizeof selection->ids[0]);
    selection->metrics = malloc((found + 1) * sizeof selection->metrics[0]);
    if (selection->ids == NULL || selection->metrics == NULL)
        return no_memory(err);
    roaring_bitmap_to_uint32_array(matched, selection->ids);
    selection->count = 0;
    for (size_t i = 0; i < found; i++) {
        uint32_t id = selection->ids[i];
        if (!series_table_has_committed(table, id))
            continue;
        selection->ids[selection->count] = id;
        selection->metrics[selection->count++] = series_table_get(table, id)->metric;
    }
    return STATUS_OK;
}

/* Sets *committed to the number of committed series at that moment. */
static enum status match(struct selection *selection, const struct matchers *matchers, size_t count,
                         uint32_t *committed, struct error *err)
{
    struct engine *engine = selection->engine;
    roaring_bitmap_t *matched = roaring_bitmap_create();
    if (matched == NULL)
        return no_memory(err);
    enum status status = STATUS_OK;
    rwlock_read(&engine->series_lock);
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = matching_series(&engine->series, &matchers[i], matched);
    if (status != STATUS_OK)
        status = no_memory(err);
    else
        status = take_ids(selection, matched, err);
    *committed = engine->series.committed_series;
    rwlock_unlock(&engine->series_lock);
    roaring_bitmap_free(matched);
    return status;
}

/* ---- order ------------------------------------------------------------------------------ */

struct sorter {
    struct engine *engine;
    unsigned compares; /* since the lock was taken */
};

/* By labels, with series_lock; pairs are interned, so that equal ones are seen by their ids. */
static int compare_series(struct sorter *sorter, uint32_t a, uint32_t b)
{
    if (++sorter->compares == COMPARES_A_LOCK) {
        rwlock_unlock(&sorter->engine->series_lock);
        rwlock_read(&sorter->engine->series_lock);
        sorter->compares = 0;
    }
    const struct series_table *table = &sorter->engine->series;
    const uint32_t *left = series_pairs(table, a);
    const uint32_t *right = series_pairs(table, b);
    uint32_t left_count = series_table_get(table, a)->pair_count;
    uint32_t right_count = series_table_get(table, b)->pair_count;
    for (uint32_t i = 0; i < left_count && i < right_count; i++) {
        if (left[i] == right[i])
            continue;
        int order =
            slice_compare(pair_name(&table->pairs, left[i]), pair_name(&table->pairs, right[i]));
        return order != 0 ? order
                          : slice_compare(pair_value(&table->pairs, left[i]),
                                          pair_value(&table->pairs, right[i]));
    }
    return (left_count > right_count) - (left_count < right_count);
}

static void merge_runs(struct sorter *sorter, const uint32_t *from, uint32_t *to, size_t start,
                       size_t middle, size_t end)
{
    size_t left = start;
    size_t right = middle;
    for (size_t at = start; at < end; at++) {
        bool take_left =
            left < middle && (right == end || compare_series(sorter, from[left], from[right]) <= 0);
        to[at] = take_left ? from[left++] : from[right++];
    }
}

static enum status sort_by_labels(struct selection *selection, struct error *err)
{
    struct engine *engine = selection->engine;
    size_t count = selection->count;
    uint32_t *spare = malloc((count + 1) * sizeof spare[0]);
    if (spare == NULL)
        return no_memory(err);
    uint32_t *from = selection->ids;
    struct sorter sorter = {.engine = engine};
    rwlock_read(&engine->series_lock);
    for (size_t width = 1; width < count; width *= 2) {
        for (size_t start = 0; start < count; start += 2 * width) {
            size_t middle = start + width < count ? start + width : count;
            size_t end = start + 2 * width < count ? start + 2 * width : count;
            merge_runs(&sorter, from, spare, start, middle, end);
        }
        uint32_t *swap = from;
        from = spare;
        spare = swap;
    }
    for (size_t i = 0; i < count; i++)
        selection->metrics[i] = series_table_get(&engine->series, from[i])->metric;
    rwlock_unlock(&engine->series_lock);
    selection->ids = from;
    free(spare);
    return STATUS_OK;
}

static int compare_keys(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left > right) - (left < right);
}

/* As parts are sorted, so that neighbours are read from one page. */
static enum status sort_as_stored(struct selection *selection, struct error *err)
{
    uint64_t *keys = malloc((selection->count + 1) * sizeof keys[0]);
    if (keys == NULL)
        return no_memory(err);
    for (size_t i = 0; i < selection->count; i++)
        keys[i] = (uint64_t)selection->metrics[i] << 32 | selection->ids[i];
    qsort(keys, selection->count, sizeof keys[0], compare_keys);
    for (size_t i = 0; i < selection->count; i++) {
        selection->metrics[i] = (uint32_t)(keys[i] >> 32);
        selection->ids[i] = (uint32_t)keys[i];
    }
    free(keys);
    return STATUS_OK;
}

/* ---- one moment ------------------------------------------------------------------------- */

static enum status allocate_entries(struct selection *selection, struct error *err)
{
    free(selection->entries);
    selection->entries = malloc((selection->count + 1) * sizeof selection->entries[0]);
    return selection->entries == NULL ? no_memory(err) : STATUS_OK;
}

/* With head_lock. */
static void take_snapshot(struct selection *selection)
{
    struct engine *engine = selection->engine;
    selection->version = version_acquire(engine->version);
    const struct head *head = selection->version->active->head;
    invariant(selection->count == 0 || selection->ids != NULL);
    for (size_t i = 0; i < selection->count; i++)
        selection->entries[i] = head_entry(head, selection->ids[i]);
}

/*
 * Series and samples of one commit become visible together under head_lock. Matching outside of it
 * keeps commits going; if a commit brought new series meanwhile, it is done again, and the last
 * time with commits shut out.
 */
static enum status match_at_one_moment(struct selection *selection, const struct matchers *matchers,
                                       size_t count, struct error *err)
{
    struct engine *engine = selection->engine;
    for (int attempt = 1;; attempt++) {
        bool shut_out = attempt == SELECT_ATTEMPTS;
        uint32_t committed = 0;
        if (shut_out)
            rwlock_read(&engine->head_lock);
        enum status status = match(selection, matchers, count, &committed, err);
        if (status == STATUS_OK)
            status = selection->options.ordered ? sort_by_labels(selection, err)
                                                : sort_as_stored(selection, err);
        if (status == STATUS_OK)
            status = allocate_entries(selection, err);
        if (!shut_out)
            rwlock_read(&engine->head_lock);
        bool same = shut_out;
        if (!shut_out) {
            rwlock_read(&engine->series_lock);
            same = engine->series.committed_series == committed;
            rwlock_unlock(&engine->series_lock);
        }
        if (status == STATUS_OK && same)
            take_snapshot(selection);
        rwlock_unlock(&engine->head_lock);
        if (status != STATUS_OK || same)
            return status;
    }
}

/* Whether a part of a day in the range was not to be opened at start, or series are unknown. */
static bool touches_lost_day(const struct engine *engine, struct time_range range)
{
    if (engine->definitions_lost)
        return true;
    if (engine->lost_days.count == 0 || time_range_empty(range))
        return false;
    int64_t first = day_of_time(range.start_ms);
    int64_t last = day_of_time(range.end_ms - 1);
    for (size_t i = 0; i < engine->lost_days.count; i++)
        if (engine->lost_days.days[i] >= first && engine->lost_days.days[i] <= last)
            return true;
    return false;
}

enum status engine_select(struct tier *tier, const struct matchers *matchers, size_t count,
                          const struct select_options *options, struct selection **result,
                          struct error *err)
{
    struct selection *selection = calloc(1, sizeof *selection);
    if (selection == NULL)
        return no_memory(err);
    selection->engine = engine_of(tier);
    selection->options = *options;
    enum status status = match_at_one_moment(selection, matchers, count, err);
    if (status != STATUS_OK) {
        engine_selection_close(selection);
        return status;
    }
    selection->stats.partial = touches_lost_day(selection->engine, options->range);
    *result = selection;
    return STATUS_OK;
}

size_t engine_selection_count(const struct selection *selection)
{
    return selection->count;
}

enum status engine_selection_series(struct selection *selection, size_t index,
                                    struct selected_series *series, struct error *err)
{
    struct engine *engine = selection->engine;
    uint32_t id = selection->ids[index];
    enum status status = STATUS_OK;
    rwlock_read(&engine->series_lock);
    size_t need = series_table_get(&engine->series, id)->pair_count;
    if (need > selection->label_capacity) {
        struct label *labels = realloc(selection->labels, need * sizeof labels[0]);
        if (labels == NULL) {
            status = no_memory(err);
        } else {
            selection->labels = labels;
            selection->label_capacity = need;
        }
    }
    series->id = id;
    if (status == STATUS_OK)
        series_table_labels(&engine->series, id, selection->labels, &series->labels);
    rwlock_unlock(&engine->series_lock);
    return status;
}

void engine_selection_stats(const struct selection *selection, struct read_stats *stats)
{
    *stats = selection->stats;
}

void engine_selection_close(struct selection *selection)
{
    storage_cursor_free(selection->cursors);
    version_release(selection->version);
    free(selection->ids);
    free(selection->metrics);
    free(selection->entries);
    free(selection->labels);
    free(selection);
}

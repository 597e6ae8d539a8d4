#include "storage/engine/selection.h"

#include <stdlib.h>

#include "base/invariant.h"
#include "base/times.h"
#include "storage/engine/narrowing.h"

enum { SELECT_ATTEMPTS = 3 };

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

/* Those whose metric is known: without it their samples cannot be found. */
static void keep_known(struct selection *selection, size_t found)
{
    selection->count = 0;
    for (size_t i = 0; i < found; i++) {
        if (selection->metrics[i] == METRIC_ID_NONE)
            continue;
        selection->ids[selection->count] = selection->ids[i];
        selection->metrics[selection->count++] = selection->metrics[i];
    }
}

/* Of `matched`, the series `ids`. */
static enum status take_ids(struct selection *selection, const struct matched *matched,
                            const roaring_bitmap_t *ids, struct error *err)
{
    size_t found = (size_t)roaring_bitmap_get_cardinality(ids);
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
    roaring_bitmap_to_uint32_array(ids, selection->ids);
    status = engine_metrics_of(selection->engine, matched->set, selection->ids, found,
                               selection->metrics, &selection->stats.partial, err);
    if (status == STATUS_OK)
        keep_known(selection, found);
    return status;
}

/* What one attempt has found. */
struct attempt {
    struct matched matched;
    struct narrowing narrowing;
};

static void attempt_release(struct attempt *attempt)
{
    narrowing_release(&attempt->narrowing);
    matched_release(&attempt->matched);
}

static enum status match(struct selection *selection, const struct matchers *matchers, size_t count,
                         bool narrow, struct attempt *attempt, struct error *err)
{
    struct engine *engine = selection->engine;
    enum status status = engine_match(engine, matchers, count, &attempt->matched, err);
    const roaring_bitmap_t *ids = attempt->matched.ids;
    selection->stats.partial = attempt->matched.partial;
    if (status == STATUS_OK)
        status = label_reader_hold(&selection->labels, attempt->matched.set, err);
    if (status == STATUS_OK && narrow)
        status = narrowing_make(&attempt->narrowing, engine, ids, selection->options.range, err);
    if (status != STATUS_OK || attempt->narrowing.in_use == NULL)
        return status == STATUS_OK ? take_ids(selection, &attempt->matched, ids, err) : status;
    roaring_bitmap_t *narrowed = roaring_bitmap_and(ids, attempt->narrowing.in_use);
    if (narrowed == NULL)
        return no_memory(err);
    status = take_ids(selection, &attempt->matched, narrowed, err);
    roaring_bitmap_free(narrowed);
    return status;
}

/* ---- order ------------------------------------------------------------------------------ */

/* A series with its labels as bytes that compare as labels do: no label has a NUL in it. */
struct sortable {
    struct slice key; /* name NUL value NUL name ... */
    uint32_t id;
    uint32_t metric;
};

static int compare_sortables(const void *a, const void *b)
{
    return slice_compare(((const struct sortable *)a)->key, ((const struct sortable *)b)->key);
}

static enum status put_key(struct arena *arena, const struct labels *labels, struct slice *key)
{
    size_t size = 0;
    for (size_t i = 0; i < labels->count; i++)
        size += labels->items[i].name.size + labels->items[i].value.size + 2;
    uint8_t *to = arena_alloc(arena, size);
    if (to == NULL)
        return arena_status(arena);
    *key = slice_of(to, size);
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

/* Reads the labels of every series; one without labels that can be read is left out. */
static enum status make_sortables(struct selection *selection, struct sortable *sortables,
                                  size_t *made, struct arena *arena, struct error *err)
{
    enum status status = STATUS_OK;
    *made = 0;
    for (size_t i = 0; i < selection->count && status == STATUS_OK; i++) {
        struct labels labels;
        struct error why = {0};
        status = label_reader_read(&selection->labels, selection->ids[i], &labels, &why);
        if (status == STATUS_CORRUPT) {
            selection->stats.partial = true;
            status = STATUS_OK;
            continue;
        }
        if (status != STATUS_OK)
            return fail(err, status, "%s", why.message);
        struct sortable *one = &sortables[(*made)++];
        *one = (struct sortable){.id = selection->ids[i], .metric = selection->metrics[i]};
        status = put_key(arena, &labels, &one->key);
    }
    if (status == STATUS_LIMIT)
        return selection_take_memory(selection, SIZE_MAX / 2, err);
    return status == STATUS_MEMORY ? no_memory(err) : status;
}

static enum status sort_by_labels(struct selection *selection, struct error *err)
{
    size_t max = selection->options.max_memory_bytes;
    struct sortable *sortables = malloc((selection->count + 1) * sizeof sortables[0]);
    if (sortables == NULL)
        return no_memory(err);
    struct arena arena;
    arena_init(&arena, max == 0 ? SIZE_MAX : max);
    size_t made;
    enum status status = make_sortables(selection, sortables, &made, &arena, err);
    if (status == STATUS_OK) {
        if (made > 0)
            qsort(sortables, made, sizeof sortables[0], compare_sortables);
        for (size_t i = 0; i < made; i++) {
            selection->ids[i] = sortables[i].id;
            selection->metrics[i] = sortables[i].metric;
        }
        selection->count = made;
    }
    arena_release(&arena);
    free(sortables);
    return status;
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
    selection->version = engine_version(engine);
    const struct head *head = selection->version->active->head;
    invariant(selection->count == 0 || selection->ids != NULL);
    for (size_t i = 0; i < selection->count; i++)
        selection->entries[i] = head_entry(head, selection->ids[i]);
}

static enum status prepare(struct selection *selection, const struct matchers *matchers,
                           size_t count, bool narrow, struct attempt *attempt, struct error *err)
{
    enum status status = match(selection, matchers, count, narrow, attempt, err);
    if (status == STATUS_OK)
        status = selection->options.ordered ? sort_by_labels(selection, err)
                                            : sort_as_stored(selection, err);
    return status == STATUS_OK ? allocate_entries(selection, err) : status;
}

/* Whether nothing came since that the attempt would have found. With head_lock. */
static bool still_holds(struct engine *engine, const struct attempt *attempt)
{
    rwlock_read(&engine->series_lock);
    bool same = engine->index.commits == attempt->matched.commits;
    rwlock_unlock(&engine->series_lock);
    return same && narrowing_holds(&attempt->narrowing, engine, attempt->matched.ids);
}

/*
 * Series and samples of one commit become visible together under head_lock. Matching outside of it
 * keeps commits going; if a commit brought new series meanwhile, or samples of series that had none
 * in the range, it is done again, and the last time with commits shut out.
 */
static enum status match_at_one_moment(struct selection *selection, const struct matchers *matchers,
                                       size_t count, struct error *err)
{
    struct engine *engine = selection->engine;
    for (int number = 1;; number++) {
        bool shut_out = number == SELECT_ATTEMPTS;
        struct attempt attempt = {0};
        if (shut_out)
            rwlock_read(&engine->head_lock);
        enum status status = prepare(selection, matchers, count, !shut_out, &attempt, err);
        if (!shut_out)
            rwlock_read(&engine->head_lock);
        bool holds = shut_out || (status == STATUS_OK && still_holds(engine, &attempt));
        if (status == STATUS_OK && holds)
            take_snapshot(selection);
        rwlock_unlock(&engine->head_lock);
        attempt_release(&attempt);
        if (status != STATUS_OK || holds)
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
    selection->gate = gate_enter(&selection->engine->selections);
    atomic_fetch_add_explicit(&selection->engine->counters.selections, 1, memory_order_relaxed);
    label_reader_init(&selection->labels, selection->engine);
    enum status status = match_at_one_moment(selection, matchers, count, err);
    if (status != STATUS_OK) {
        engine_selection_close(selection);
        return status;
    }
    if (touches_lost_day(selection->engine, options->range))
        selection->stats.partial = true;
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
    series->id = selection->ids[index];
    enum status status = label_reader_read(&selection->labels, series->id, &series->labels, err);
    if (status == STATUS_CORRUPT)
        selection->stats.partial = true;
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
    gate_leave(&selection->engine->selections, &selection->gate);
    free(selection->ids);
    free(selection->metrics);
    free(selection->entries);
    label_reader_release(&selection->labels);
    free(selection);
}

#include "storage/engine/selection.h"

#include <stdlib.h>

#include "base/times.h"
#include "storage/engine/narrowing.h"

enum {
    ENTRIES_A_LOCK = 1024,      /* copied before commits get a turn */
    METRICS_AT_ONCE = 64 * 1024 /* asked for before patience is */
};

static enum status no_memory(struct error *err)
{
    return fail(err, STATUS_MEMORY, "no memory for a query");
}

enum status selection_take_memory(struct selection *selection, size_t bytes, struct error *err)
{
    size_t max = selection->options.max_memory_bytes;
    struct memory_share *share = selection->options.memory;
    if (max != 0 && bytes > max - selection->memory_bytes)
        return fail_code(err, STATUS_LIMIT, "query_memory_limit",
                         "the query needs more than %zu bytes; select fewer series or a shorter "
                         "time, or raise query.max_memory",
                         max);
    if (share != NULL && !memory_share_take(share, bytes))
        return fail_code(err, STATUS_BUSY, "queries_memory",
                         "the memory for queries is used up: try again later");
    selection->memory_bytes += bytes;
    return STATUS_OK;
}

void selection_give_memory(struct selection *selection, size_t bytes)
{
    selection->memory_bytes -= bytes;
    if (selection->options.memory != NULL)
        memory_share_give(selection->options.memory, bytes);
}

/* ---- which series ----------------------------------------------------------------------- */

/* What has been found so far. */
struct look {
    const struct matchers *matchers;
    size_t count;
    struct matched matched;
    struct narrowing narrowing;
    struct head_moment moment;
};

static void look_release(struct look *look)
{
    head_moment_release(&look->moment);
    narrowing_release(&look->narrowing);
    matched_release(&look->matched);
}

/* The series `ids`, rising, and room for what is known of each. */
static enum status take_ids(struct selection *selection, const roaring_bitmap_t *ids,
                            struct error *err)
{
    size_t found = (size_t)roaring_bitmap_get_cardinality(ids);
    size_t max = selection->options.max_series;
    if (max != 0 && found > max)
        return fail_code(err, STATUS_LIMIT, "query_series_limit",
                         "%zu series match; at most %zu are read by one query: select fewer", found,
                         max);
    selection_give_memory(selection, selection->memory_bytes);
    enum status status = selection_take_memory(
        selection, found * (2 * sizeof(uint32_t) + sizeof(struct head_entry)), err);
    if (status != STATUS_OK)
        return status;
    free(selection->ids);
    free(selection->metrics);
    free(selection->entries);
    selection->ids = malloc((found + 1) * sizeof selection->ids[0]);
    selection->metrics = malloc((found + 1) * sizeof selection->metrics[0]);
    selection->entries = malloc((found + 1) * sizeof selection->entries[0]);
    if (selection->ids == NULL || selection->metrics == NULL || selection->entries == NULL)
        return no_memory(err);
    roaring_bitmap_to_uint32_array(ids, selection->ids);
    selection->count = found;
    return STATUS_OK;
}

/* Those of the matched that may have samples in the range. */
static enum status take_narrowed(struct selection *selection, const struct look *look,
                                 struct error *err)
{
    if (look->narrowing.in_use == NULL)
        return take_ids(selection, look->matched.ids, err);
    roaring_bitmap_t *narrowed = roaring_bitmap_and(look->matched.ids, look->narrowing.in_use);
    if (narrowed == NULL)
        return no_memory(err);
    enum status status = take_ids(selection, narrowed, err);
    roaring_bitmap_free(narrowed);
    return status;
}

/* Those whose metric is known: without it their samples cannot be found. */
static void keep_known(struct selection *selection)
{
    size_t kept = 0;
    for (size_t i = 0; i < selection->count; i++) {
        if (selection->metrics[i] == METRIC_ID_NONE)
            continue;
        selection->ids[kept] = selection->ids[i];
        selection->entries[kept] = selection->entries[i];
        selection->metrics[kept++] = selection->metrics[i];
    }
    selection->count = kept;
}

static enum status find_metrics(struct selection *selection, const struct matched *matched,
                                struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t done = 0; done < selection->count && status == STATUS_OK; done += METRICS_AT_ONCE) {
        size_t left = selection->count - done;
        status = patience_check(&selection->options.patience, err);
        if (status == STATUS_OK)
            status = engine_metrics_of(selection->engine, matched->set, selection->ids + done,
                                       left < METRICS_AT_ONCE ? left : METRICS_AT_ONCE,
                                       selection->metrics + done, &selection->stats.partial, err);
    }
    if (status == STATUS_OK)
        keep_known(selection);
    return status;
}

/* ---- one moment ------------------------------------------------------------------------- */

/*
 * Series and samples of one commit become visible together under head_lock. What takes long is done
 * before the moment (matching, the series of the parts) or after it (labels, order), and commits go
 * on; what came between is little:
 *
 *   before   all that was committed when the query came is matched, then what came meanwhile
 *   moment   the version, how many series there are, and that entries of the head are noted from
 *            now on before they change: under head_lock, which is held for nothing else
 *   after    the last series up to the moment, by their labels; entries are copied some at a time,
 *            and put back to what they were at the moment
 */
static enum status match(struct selection *selection, struct look *look, struct error *err)
{
    struct engine *engine = selection->engine;
    const struct patience *patience = &selection->options.patience;
    enum status status =
        engine_match(engine, look->matchers, look->count, patience, &look->matched, err);
    if (status == STATUS_OK)
        status = label_reader_hold(&selection->labels, look->matched.set, err);
    if (status == STATUS_OK)
        status = narrowing_make(&look->narrowing, engine, look->matched.ids,
                                selection->options.range, patience, err);
    return status;
}

/* Gives how many series have been committed. */
static uint64_t begin(struct selection *selection, struct look *look)
{
    struct engine *engine = selection->engine;
    version_release(selection->version);
    rwlock_write(&engine->head_lock);
    selection->version = engine_version(engine);
    rwlock_read(&engine->series_lock);
    uint64_t commits = engine->index.commits;
    rwlock_unlock(&engine->series_lock);
    head_moment_begin(&look->moment, selection->version->active->head);
    rwlock_unlock(&engine->head_lock);
    return commits;
}

static enum status copy_entries(struct selection *selection, struct error *err)
{
    struct engine *engine = selection->engine;
    const struct head *head = selection->version->active->head;
    enum status status = STATUS_OK;
    for (size_t done = 0; done < selection->count && status == STATUS_OK;) {
        size_t left = selection->count - done;
        size_t end = done + (left < ENTRIES_A_LOCK ? left : ENTRIES_A_LOCK);
        rwlock_read(&engine->head_lock);
        for (; done < end; done++)
            selection->entries[done] = head_entry(head, selection->ids[done]);
        rwlock_unlock(&engine->head_lock);
        status = patience_check(&selection->options.patience, err);
    }
    return status;
}

/* BUSY: too much came meanwhile. */
static enum status take_moment(struct selection *selection, struct look *look, struct error *err)
{
    struct engine *engine = selection->engine;
    const struct patience *patience = &selection->options.patience;
    if (head_moment_init(&look->moment) != STATUS_OK)
        return no_memory(err);
    uint64_t commits = begin(selection, look);
    enum status status = engine_match_newer(engine, look->matchers, look->count, commits, patience,
                                            &look->matched, err);
    if (status == STATUS_OK)
        status = narrowing_update(&look->narrowing, engine, selection->version,
                                  selection->options.range, patience, err);
    if (status == STATUS_OK)
        status = take_narrowed(selection, look, err);
    if (status == STATUS_OK)
        status = copy_entries(selection, err);
    rwlock_write(&engine->head_lock);
    head_moment_end(&look->moment);
    rwlock_unlock(&engine->head_lock);
    if (status == STATUS_OK &&
        !head_moment_restore(&look->moment, selection->ids, selection->entries, selection->count))
        status = STATUS_BUSY;
    head_moment_release(&look->moment);
    return status;
}

static enum status match_at_one_moment(struct selection *selection, const struct matchers *matchers,
                                       size_t count, struct error *err)
{
    const struct patience *patience = &selection->options.patience;
    struct look look = {.matchers = matchers, .count = count};
    enum status status = match(selection, &look, err);
    bool again = status == STATUS_OK;
    while (again) {
        status = patience_check(patience, err);
        if (status == STATUS_OK)
            status = engine_match_newer(selection->engine, matchers, count, ENGINE_MATCH_ALL,
                                        patience, &look.matched, err);
        if (status == STATUS_OK)
            status = take_moment(selection, &look, err);
        /* A flush ended within the moment, or samples flooded in: another one will do. */
        again = status == STATUS_BUSY;
    }
    if (status == STATUS_OK) {
        selection->stats.partial = look.matched.partial;
        status = find_metrics(selection, &look.matched, err);
    }
    look_release(&look);
    return status;
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
    if (status == STATUS_OK)
        status = selection_sort(selection, err);
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
    selection_give_memory(selection, selection->memory_bytes);
    free(selection);
}

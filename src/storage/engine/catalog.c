/*
 * catalog - what the store has: metrics, chunks, condition.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/invariant.h"
#include "base/times.h"
#include "base/utf8.h"
#include "storage/engine/engine_internal.h"
#include "storage/engine/lookup.h"
#include "storage/engine/sample_array.h"

struct version *engine_version(struct engine *engine)
{
    return version_slot_acquire(&engine->version);
}

/* ---- metrics ---------------------------------------------------------------------------- */

struct metric_row {
    struct slice name; /* in the arena, as are the other strings */
    uint32_t id;       /* METRIC_ID_NONE: registered, without series */
    struct metric_info info;
};

struct listing {
    struct engine *engine;
    struct arena *arena; /* the rows', too */
    struct metric_row *rows;
    size_t count, capacity;
    bool partial;
};

static enum status no_memory(struct error *err)
{
    return fail(err, STATUS_MEMORY, "no memory to list metrics");
}

static enum status no_room(enum status status, struct error *err)
{
    if (status == STATUS_LIMIT)
        return fail_code(err, status, "query_memory_limit",
                         "the list of all metrics needs more memory than a query may take; ask "
                         "for some of them by a selector, or raise query.max_memory");
    return fail(err, status, "no memory to list metrics");
}

static enum status add_row(struct listing *listing, const struct metric *metric, uint32_t id,
                           uint64_t series)
{
    if (listing->count == listing->capacity) {
        size_t capacity = listing->capacity == 0 ? 256 : listing->capacity * 2;
        struct metric_row *rows =
            arena_grow(listing->arena, listing->rows, listing->count * sizeof rows[0],
                       capacity * sizeof rows[0]);
        if (rows == NULL)
            return arena_status(listing->arena);
        listing->rows = rows;
        listing->capacity = capacity;
    }
    struct metric copy = *metric;
    copy.name = arena_copy(listing->arena, metric->name);
    copy.unit = arena_copy(listing->arena, metric->unit);
    copy.help = arena_copy(listing->arena, metric->help);
    if (copy.name.data == NULL || copy.unit.data == NULL || copy.help.data == NULL)
        return arena_status(listing->arena);
    listing->rows[listing->count++] = (struct metric_row){
        .name = copy.name,
        .id = id,
        .info = {.metric = copy, .series = series},
    };
    return STATUS_OK;
}

/* Of the series in `matched`, those of each metric. */
static enum status count_matched(struct listing *listing, const struct matched *matched,
                                 uint32_t *counts, uint32_t metric_count, struct error *err)
{
    size_t count = (size_t)roaring_bitmap_get_cardinality(matched->ids);
    uint32_t *ids = malloc((count + 1) * sizeof ids[0]);
    uint32_t *metrics = malloc((count + 1) * sizeof metrics[0]);
    enum status status = ids == NULL || metrics == NULL ? no_memory(err) : STATUS_OK;
    if (status == STATUS_OK) {
        roaring_bitmap_to_uint32_array(matched->ids, ids);
        status = engine_metrics_of(listing->engine, matched->set, ids, count, metrics,
                                   &listing->partial, err);
    }
    listing->partial = listing->partial || matched->partial;
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        if (metrics[i] < metric_count)
            counts[metrics[i]]++;
    free(ids);
    free(metrics);
    return status;
}

/* Those of each metric. With series_lock. */
static void count_all(const struct series_index *index, uint32_t *counts)
{
    for (uint32_t metric = 0; metric < index->space.metric_count; metric++)
        counts[metric] = series_space_count(&index->space, metric);
    uint32_t id = series_table_next_reserved(&index->active, 0);
    for (; id != SERIES_ID_NONE; id = series_table_next_reserved(&index->active, id + 1))
        counts[series_table_get(&index->active, id)->metric]--;
}

/* With series_lock. */
static enum status add_rows(struct listing *listing, const uint32_t *counts, uint32_t metric_count,
                            bool all)
{
    struct engine *engine = listing->engine;
    const struct series_space *space = &engine->index.space;
    enum status status = STATUS_OK;
    for (uint32_t id = 0; id < metric_count && status == STATUS_OK; id++) {
        struct slice name = series_space_name(space, id);
        if (counts[id] == 0 || name.data == NULL)
            continue;
        const struct metric *known = registry_find(&engine->registry, name);
        struct metric metric = known != NULL ? *known : (struct metric){.name = name};
        status = add_row(listing, &metric, id, counts[id]);
    }
    for (size_t i = 0; all && i < engine->registry.capacity && status == STATUS_OK; i++) {
        const struct registry_entry *entry = &engine->registry.entries[i];
        if (entry->text == NULL)
            continue;
        uint32_t id = series_space_find_metric(space, entry->metric.name);
        if (id == METRIC_ID_NONE || id >= metric_count || counts[id] == 0)
            status = add_row(listing, &entry->metric, METRIC_ID_NONE, 0);
    }
    return status;
}

static enum status fill_listing(struct listing *listing, const struct matchers *matchers,
                                struct error *err)
{
    struct engine *engine = listing->engine;
    struct matched matched = {0};
    enum status status = STATUS_OK;
    if (matchers != NULL)
        status = engine_match(engine, matchers, 1, NULL, &matched, err);
    rwlock_read(&engine->series_lock);
    uint32_t metric_count = engine->index.space.metric_count;
    uint32_t *counts = calloc((size_t)metric_count + 1, sizeof counts[0]);
    if (counts != NULL && matchers == NULL)
        count_all(&engine->index, counts);
    rwlock_unlock(&engine->series_lock);
    if (status == STATUS_OK && counts == NULL)
        status = no_memory(err);
    if (status == STATUS_OK && matchers != NULL)
        status = count_matched(listing, &matched, counts, metric_count, err);
    if (status == STATUS_OK) {
        rwlock_read(&engine->series_lock);
        status = add_rows(listing, counts, metric_count, matchers == NULL);
        rwlock_unlock(&engine->series_lock);
        if (status != STATUS_OK)
            no_room(status, err);
    }
    matched_release(&matched);
    free(counts);
    return status;
}

static int compare_rows(const void *a, const void *b)
{
    const struct metric_row *left = a;
    const struct metric_row *right = b;
    return slice_compare(left->name, right->name);
}

static void widen(struct metric_info *info, int64_t first_ms, int64_t last_ms)
{
    if (!info->has_samples || first_ms < info->first_ms)
        info->first_ms = first_ms;
    if (!info->has_samples || last_ms > info->last_ms)
        info->last_ms = last_ms;
    info->has_samples = true;
}

/* First and last sample of every metric: out of block headers and heads, nothing is decoded. */
struct spans {
    struct listing *listing;
    struct metric_info **by_id;
    uint32_t count;
    struct cuts cuts;
    struct sample_array samples; /* of a block, or a series in a head, that a delete cuts */
};

static void widen_by_samples(const struct spans *spans, struct metric_info *info)
{
    const struct sample_array *samples = &spans->samples;
    if (samples->count > 0)
        widen(info, samples->times[0], samples->times[samples->count - 1]);
}

static void note_damage(struct spans *spans, const struct error *why)
{
    engine_note_damage(spans->listing->engine, "a damaged block was passed over", why);
    spans->listing->partial = true;
}

/* A damaged block has no samples. */
static enum status span_of_block(struct spans *spans, struct metric_info *info,
                                 struct part_cursor *cursor, const struct part_block *block,
                                 uint64_t sequence, struct error *err)
{
    if (spans->cuts.id != block->series)
        cuts_take(&spans->cuts, block->series);
    enum cut cut = cuts_of_block(&spans->cuts, sequence, block->first_ms, block->last_ms);
    if (cut == CUT_NOTHING)
        widen(info, block->first_ms, block->last_ms);
    if (cut != CUT_SOME)
        return STATUS_OK;
    struct sample_array *samples = &spans->samples;
    if (sample_array_reach(samples, block->count) != STATUS_OK)
        return no_memory(err);
    struct part_block copy = *block;
    struct error why = {0};
    enum status status =
        part_block_read(cursor, &copy, 0, copy.count, samples->times, samples->values, &why);
    if (status == STATUS_CORRUPT) {
        note_damage(spans, &why);
        return STATUS_OK;
    }
    if (status != STATUS_OK)
        return fail(err, status, "%s", why.message);
    samples->count =
        cuts_apply(&spans->cuts, sequence, samples->times, samples->values, copy.count);
    widen_by_samples(spans, info);
    return STATUS_OK;
}

static enum status spans_of_part(struct spans *spans, struct part_ref *part, struct error *err)
{
    struct part_cursor *cursor;
    uint64_t sequence = manifest_part_cut_sequence(&part->info);
    enum status status = part_cursor_new(&cursor, part->part, err);
    if (status != STATUS_OK)
        return status;
    for (uint32_t id = 0; id < spans->count && status == STATUS_OK; id++) {
        struct metric_info *info = spans->by_id[id];
        /* A part that lies within what is known adds nothing. */
        if (info == NULL || (info->has_samples && part->info.min_ms >= info->first_ms &&
                             part->info.max_ms <= info->last_ms))
            continue;
        part_cursor_seek(cursor, id, 0);
        for (;;) {
            const struct part_block *block;
            struct part_loss lost;
            struct error why = {0};
            status = part_cursor_next(cursor, &block, &lost, &why);
            if (status == STATUS_CORRUPT) {
                note_damage(spans, &why);
                continue;
            }
            if (status != STATUS_OK && status != STATUS_END)
                status = fail(err, status, "%s", why.message);
            if (status != STATUS_OK || block->metric != id)
                break;
            status = span_of_block(spans, info, cursor, block, sequence, err);
            if (status != STATUS_OK)
                break;
        }
        if (status == STATUS_END)
            status = STATUS_OK;
    }
    part_cursor_free(cursor);
    return status;
}

static enum status span_of_entry(struct spans *spans, const struct head_ref *ref, uint32_t id,
                                 struct head_entry entry, uint32_t metric, struct error *err)
{
    struct metric_info *info = metric < spans->count ? spans->by_id[metric] : NULL;
    if (info == NULL)
        return STATUS_OK;
    cuts_take(&spans->cuts, id);
    if (!cuts_touch_head(&spans->cuts, ref->number)) {
        int64_t first_ms, last_ms;
        head_span(ref->head, entry, &first_ms, &last_ms);
        widen(info, first_ms, last_ms);
        return STATUS_OK;
    }
    struct sample_array *samples = &spans->samples;
    struct head_sample *scratch = malloc(2 * (size_t)entry.count * sizeof scratch[0]);
    if (scratch == NULL || sample_array_reach(samples, entry.count) != STATUS_OK) {
        free(scratch);
        return no_memory(err);
    }
    struct time_range always = {INT64_MIN, INT64_MAX};
    samples->count = cuts_copy_head(&spans->cuts, ref->number, ref->head, entry, always, scratch,
                                    samples->times, samples->values);
    free(scratch);
    widen_by_samples(spans, info);
    return STATUS_OK;
}

static enum status spans_of_head(struct spans *spans, struct engine *engine,
                                 const struct head_ref *ref, struct error *err)
{
    roaring_bitmap_t *series = roaring_bitmap_create();
    if (series == NULL)
        return no_memory(err);
    engine_head_series(engine, ref, series);
    size_t count = (size_t)roaring_bitmap_get_cardinality(series);
    uint32_t *ids = malloc((count + 1) * sizeof ids[0]);
    uint32_t *metrics = malloc((count + 1) * sizeof metrics[0]);
    enum status status = ids == NULL || metrics == NULL ? no_memory(err) : STATUS_OK;
    if (status == STATUS_OK) {
        roaring_bitmap_to_uint32_array(series, ids);
        status =
            engine_metrics_of(engine, NULL, ids, count, metrics, &spans->listing->partial, err);
    }
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        rwlock_read(&engine->head_lock);
        struct head_entry entry = head_entry(ref->head, ids[i]);
        rwlock_unlock(&engine->head_lock);
        status = span_of_entry(spans, ref, ids[i], entry, metrics[i], err);
    }
    roaring_bitmap_free(series);
    free(ids);
    free(metrics);
    return status;
}

static enum status fill_spans(struct listing *listing, struct error *err)
{
    struct spans spans = {.listing = listing};
    for (size_t i = 0; i < listing->count; i++)
        if (listing->rows[i].id != METRIC_ID_NONE && listing->rows[i].id >= spans.count)
            spans.count = listing->rows[i].id + 1;
    spans.by_id = calloc((size_t)spans.count + 1, sizeof spans.by_id[0]);
    if (spans.by_id == NULL)
        return no_memory(err);
    for (size_t i = 0; i < listing->count; i++)
        if (listing->rows[i].id != METRIC_ID_NONE)
            spans.by_id[listing->rows[i].id] = &listing->rows[i].info;
    struct version *version = engine_version(listing->engine);
    struct time_range always = {INT64_MIN, INT64_MAX};
    enum status status = cuts_init(&spans.cuts, version->tombstones, always, UINT64_MAX);
    if (status != STATUS_OK)
        status = no_memory(err);
    else
        status = spans_of_head(&spans, listing->engine, version->active, err);
    if (status == STATUS_OK && version->sealed != NULL)
        status = spans_of_head(&spans, listing->engine, version->sealed, err);
    for (size_t i = 0; i < version->part_count && status == STATUS_OK; i++)
        status = spans_of_part(&spans, version->parts[i], err);
    version_release(version);
    cuts_release(&spans.cuts);
    sample_array_release(&spans.samples);
    free(spans.by_id);
    return status;
}

enum status engine_metrics(struct tier *tier, const struct matchers *matchers,
                           storage_visit_metric *visit, void *context, struct arena *arena,
                           bool *partial, struct error *err)
{
    struct arena own;
    arena_init(&own, SIZE_MAX);
    struct listing listing = {.engine = engine_of(tier), .arena = arena == NULL ? &own : arena};
    listing.partial = listing.engine->definitions_lost || listing.engine->lost_days.count > 0;
    uint8_t gate = gate_enter(&listing.engine->selections);
    enum status status = fill_listing(&listing, matchers, err);
    if (status == STATUS_OK)
        status = fill_spans(&listing, err);
    gate_leave(&listing.engine->selections, &gate);
    if (status == STATUS_OK && listing.count > 0)
        qsort(listing.rows, listing.count, sizeof listing.rows[0], compare_rows);
    *partial = *partial || listing.partial;
    for (size_t i = 0; i < listing.count && status == STATUS_OK; i++)
        status = visit(context, &listing.rows[i].info, err);
    arena_release(&own);
    return status;
}

enum status engine_metric(struct tier *tier, struct slice name, struct arena *arena,
                          struct metric *metric, struct error *err)
{
    struct engine *engine = engine_of(tier);
    enum status status = STATUS_NOT_FOUND;
    rwlock_read(&engine->series_lock);
    const struct metric *known = registry_find(&engine->registry, name);
    if (known != NULL) {
        *metric = *known;
        metric->name = arena_copy(arena, known->name);
        metric->unit = arena_copy(arena, known->unit);
        metric->help = arena_copy(arena, known->help);
        bool copied =
            metric->name.data != NULL && metric->unit.data != NULL && metric->help.data != NULL;
        status = copied ? STATUS_OK : arena_status(arena);
    }
    rwlock_unlock(&engine->series_lock);
    if (status != STATUS_OK)
        return fail(err, status, "metric \"%.*s\" %s", SLICE_FORMAT(name),
                    status == STATUS_NOT_FOUND ? "is not registered" : "does not fit in memory");
    return STATUS_OK;
}

enum { METRICS_A_LOCK = 4096 }; /* looked at before new series get a turn */

void engine_active_metrics(struct tier *tier, engine_visit_active *visit, void *context)
{
    struct engine *engine = engine_of(tier);
    const struct series_space *space = &engine->index.space;
    rwlock_read(&engine->series_lock);
    for (uint32_t id = 0; id < space->metric_count; id++) {
        if (id % METRICS_A_LOCK == METRICS_A_LOCK - 1) {
            rwlock_unlock(&engine->series_lock);
            rwlock_read(&engine->series_lock);
        }
        struct engine_active_metric metric = {.series = activity_count(&engine->activity, id)};
        if (metric.series == 0)
            continue;
        metric.name = series_space_name(space, id);
        const struct metric *known = registry_find(&engine->registry, metric.name);
        metric.has_max_series = known != NULL && known->has_max_series;
        metric.max_series = metric.has_max_series ? known->max_series : 0;
        visit(context, &metric);
    }
    rwlock_unlock(&engine->series_lock);
}

/* ---- chunks ----------------------------------------------------------------------------- */

enum status engine_chunks(struct tier *tier, storage_visit_chunk *visit, void *context,
                          struct error *err)
{
    struct version *version = engine_version(engine_of(tier));
    enum status status = STATUS_OK;
    for (size_t i = 0; i < version->part_count && status == STATUS_OK;) {
        struct chunk_info info = {.day = version->parts[i]->info.day};
        for (; i < version->part_count && version->parts[i]->info.day == info.day; i++) {
            const struct manifest_part *part = &version->parts[i]->info;
            info.parts++;
            info.samples += part->samples;
            info.bytes += part->bytes;
            if (part->tier == PART_WARM) {
                info.tier = CHUNK_WARM;
                continue;
            }
            info.late_parts++;
            info.late_samples += part->samples;
            info.late_bytes += part->bytes;
        }
        if (info.tier == CHUNK_HOT)
            info.late_samples = info.late_bytes = info.late_parts = 0;
        status = visit(context, &info, err);
    }
    version_release(version);
    return status;
}

/* ---- condition -------------------------------------------------------------------------- */

void engine_trouble(struct engine *engine, enum trouble_source source, enum storage_health health,
                    const char *format, ...)
{
    struct storage_condition *trouble = &engine->troubles[source];
    va_list args;
    va_start(args, format);
    mutex_lock(&engine->trouble_lock);
    trouble->health = health;
    vsnprintf(trouble->message, sizeof trouble->message, format, args);
    mutex_unlock(&engine->trouble_lock);
    va_end(args);
}

void engine_break(struct engine *engine, const char *what, const char *event,
                  const struct error *why)
{
    if (atomic_load(&engine->broken))
        return;
    const char *reason = why == NULL || why->message[0] == '\0' ? "not known" : why->message;
    /* Who sees that it is broken finds the reason. */
    engine_trouble(engine, TROUBLE_SYNC, STORAGE_FAILING,
                   "a sync of the %s failed: writes are refused until a restart; look at the disk "
                   "before it (dmesg). The reason: %s",
                   what, reason);
    if (!atomic_exchange(&engine->broken, true))
        log_event(engine->log, LOG_ERROR, "engine", event, log_text("error", reason));
}

enum { DISK_LOW_PERCENT = 10 };

void engine_condition(struct tier *tier, struct storage_condition *condition)
{
    struct engine *engine = engine_of(tier);
    mutex_lock(&engine->trouble_lock);
    *condition = engine->troubles[0];
    for (int i = 1; i < TROUBLE_SOURCES; i++)
        if (engine->troubles[i].health > condition->health)
            *condition = engine->troubles[i];
    mutex_unlock(&engine->trouble_lock);
    struct filesystem_space space;
    if (condition->health == STORAGE_HEALTHY &&
        filesystem_space(engine->os.fs, engine->dir, &space, NULL) == STATUS_OK &&
        space.free_bytes < space.total_bytes / 100 * DISK_LOW_PERCENT) {
        condition->health = STORAGE_DEGRADED;
        snprintf(condition->message, sizeof condition->message,
                 "less than %d%% of the disk is free: %llu MiB; make room or shorten "
                 "retention.default",
                 DISK_LOW_PERCENT, (unsigned long long)(space.free_bytes >> 20));
    }
    if (condition->health == STORAGE_HEALTHY && engine->recovery.damaged > 0) {
        condition->health = STORAGE_DEGRADED;
        snprintf(condition->message, sizeof condition->message,
                 "%llu damaged places were found at start; run metric-store verify",
                 (unsigned long long)engine->recovery.damaged);
    }
}

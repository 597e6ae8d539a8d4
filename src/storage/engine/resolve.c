/*
 * resolve - the labels of a batch become series ids.
 *
 * Known series: one hash and one probe each, with the cache lines fetched ahead; the first of them
 * in each tick is touched (activity.h). The others, and those that are not active any more, in
 * small groups so that the lock is never held long: labels are decoded and made canonical without
 * the lock, looked up in the segments, and only with the lock put to admission and given memory.
 *
 * What segments say counts only while they are the store's: a flush moves series into a new one,
 * and reclaiming takes them out. Where another set came meanwhile, the group is looked up again,
 * without the lock; only when new ones come again and again it is looked up with the lock held.
 */
#include <stdlib.h>

#include "base/invariant.h"
#include "base/times.h"
#include "storage/engine/activity_store.h"
#include "storage/engine/engine_internal.h"

enum {
    PROBE_AHEAD = 16,
    TOUCH_GROUP = 512,
    RECALL_GROUP = 1024,
    MISS_GROUP = 64,
    MISS_ARENA = 2 * MISS_GROUP * LABELS_MAX_SIZE
};

/* How often a group is looked up without the lock: new sets come with flushes and merges of the
 * index, which take longer than a group. */
enum { FREE_LOOK_UPS = 4 };

struct refusal {
    const char *code;
    struct slice message;
    struct slice metric;
};

struct resolution {
    struct engine *engine;
    struct batch *batch;
    struct admitter *admitter;
    struct day_set days;      /* new ones of this batch */
    struct refusal *refusals; /* by series entry; made with the first refusal */
    size_t told;              /* refusals with a message */
    bool damaged;             /* damage is why some were refused */
    struct error *err;
};

static const char *code_of(const struct error *why)
{
    if (why->code == NULL && why->status == STATUS_CORRUPT)
        return "data_damaged";
    return why->code == NULL ? status_name(why->status) : why->code;
}

static enum status refuse(struct resolution *work, size_t entry, const struct error *why,
                          struct slice metric)
{
    struct arena *arena = work->batch->arena;
    if (work->refusals == NULL)
        work->refusals = arena_calloc(arena, work->batch->series_count, sizeof work->refusals[0]);
    if (work->refusals == NULL)
        return fail(work->err, arena_status(arena), "no memory for refused series");
    work->damaged = work->damaged || why->status == STATUS_CORRUPT;
    /* Few messages are ever shown: the rest are counted by their code. */
    static const char beyond[] = "";
    bool shown = work->batch->rejection_count + work->told++ < BATCH_MAX_REJECTIONS;
    work->refusals[entry] = (struct refusal){
        .code = code_of(why),
        .message = shown ? arena_copy(arena, slice_from_text(why->message)) : slice_of(beyond, 0),
        .metric =
            shown ? arena_copy(arena, slice_of(metric.data, metric.size > 200 ? 200 : metric.size))
                  : slice_of(beyond, 0),
    };
    return STATUS_OK;
}

/* ---- known series ----------------------------------------------------------------------- */

/* The cache may know series whose definitions were whole once. */
static void doubt(struct engine *engine)
{
    rwlock_write(&engine->series_lock);
    atomic_store(&engine->index_damaged, false);
    if (!series_index_doubt(&engine->index))
        atomic_store(&engine->index_damaged, true);
    rwlock_unlock(&engine->series_lock);
}

/* Entries that the cache knows of an earlier tick. */
struct stale {
    uint32_t *entries;
    size_t count;
};

/* With series_lock for reading. */
static enum status look_into_cache(struct resolution *work, struct stale *stale)
{
    struct engine *engine = work->engine;
    struct batch *batch = work->batch;
    struct batch_series *series = batch->series;
    const roaring_bitmap_t *dying = engine->reclaim.dying;
    const roaring_bitmap_t *doubtful = engine->index.doubtful;
    uint32_t tick = engine->activity.tick;
    batch->tick = tick;
    if (batch->arrival_s < engine->activity.now_s)
        batch->arrival_s = engine->activity.now_s;
    for (size_t i = 0; i < batch->series_count; i++) {
        bool is_stale;
        if (i + PROBE_AHEAD < batch->series_count)
            raw_cache_prefetch(&engine->raw_cache, series[i + PROBE_AHEAD].hash);
        series[i].id = raw_cache_find(&engine->raw_cache, series[i].hash, tick, &is_stale);
        if (dying != NULL && roaring_bitmap_contains(dying, series[i].id))
            series[i].id = SERIES_ID_NONE;
        if (doubtful != NULL && roaring_bitmap_contains(doubtful, series[i].id))
            series[i].id = SERIES_ID_NONE;
        if (!is_stale)
            continue;
        if (stale->entries == NULL)
            stale->entries =
                arena_alloc(batch->arena, (batch->series_count - i) * sizeof stale->entries[0]);
        if (stale->entries == NULL)
            return fail(work->err, arena_status(batch->arena), "no memory to look series up");
        stale->entries[stale->count++] = (uint32_t)i;
    }
    return STATUS_OK;
}

/* Those that are active are received now; the others are not known any more. */
static void touch(struct resolution *work, const struct stale *stale)
{
    struct engine *engine = work->engine;
    for (size_t done = 0; done < stale->count; done += TOUCH_GROUP) {
        size_t end = done + TOUCH_GROUP < stale->count ? done + TOUCH_GROUP : stale->count;
        rwlock_write(&engine->series_lock);
        for (size_t i = done; i < end; i++) {
            struct batch_series *series = &work->batch->series[stale->entries[i]];
            if (series->id == SERIES_ID_NONE)
                continue;
            if (activity_touch(&engine->activity, series->id))
                raw_cache_stamp(&engine->raw_cache, series->hash, engine->activity.tick);
            else
                series->id = SERIES_ID_NONE;
        }
        rwlock_unlock(&engine->series_lock);
    }
}

/* Ids of the series that the cache knows; *misses lists the other entries. */
static enum status probe(struct resolution *work, uint32_t **misses, size_t *miss_count)
{
    struct engine *engine = work->engine;
    struct batch *batch = work->batch;
    struct batch_series *series = batch->series;
    struct stale stale = {0};
    *misses = NULL;
    *miss_count = 0;
    uint64_t seed = engine->index.seed ^ batch->hash_tag;
    for (size_t i = 0; i < batch->series_count; i++)
        series[i].hash = hash128(series[i].raw, seed);
    if (atomic_load_explicit(&engine->index_damaged, memory_order_relaxed))
        doubt(engine);
    rwlock_read(&engine->series_lock);
    enum status status = look_into_cache(work, &stale);
    rwlock_unlock(&engine->series_lock);
    if (status != STATUS_OK)
        return status;
    touch(work, &stale);
    size_t missed = 0;
    for (size_t i = 0; i < batch->series_count; i++)
        missed += series[i].id == SERIES_ID_NONE;
    atomic_fetch_add_explicit(&engine->counters.cache_hits, batch->series_count - missed,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&engine->counters.cache_misses, missed, memory_order_relaxed);
    if (missed == 0)
        return STATUS_OK;
    *misses = arena_alloc(batch->arena, missed * sizeof(*misses)[0]);
    batch->reserved = arena_alloc(batch->arena, missed * sizeof batch->reserved[0]);
    batch->held = arena_alloc(batch->arena, missed * sizeof batch->held[0]);
    if (*misses == NULL || batch->reserved == NULL || batch->held == NULL)
        return fail(work->err, arena_status(batch->arena), "no memory for new series");
    *miss_count = missed;
    size_t place = 0;
    for (uint32_t i = 0; i < batch->series_count; i++)
        if (series[i].id == SERIES_ID_NONE)
            (*misses)[place++] = i;
    return STATUS_OK;
}

/* ---- the others ------------------------------------------------------------------------- */

static struct slice new_name(const struct admission_question *question)
{
    const struct series_index *index = question->tier;
    if (question->metric_number == METRIC_ID_NONE)
        return question->metric;
    for (size_t i = 0; i < question->labels->count; i++)
        if (!series_index_has_name(index, question->labels->items[i].name))
            return question->labels->items[i].name;
    return slice_of(NULL, 0);
}

static void question_fill(struct engine *engine, const struct labels *labels, struct hash128 raw,
                          bool returns, struct admission_question *question)
{
    struct slice metric = labels_metric_name(labels);
    const struct series_index *index = &engine->index;
    uint32_t id = series_space_find_metric(&index->space, metric);
    const struct metric *descriptor = registry_find(&engine->registry, metric);
    *question = (struct admission_question){
        .labels = labels,
        .metric = metric,
        .raw = raw,
        .metric_number = id,
        .descriptor_changes = engine->descriptor_changes,
        .returns = returns,
        .metric_series = id == METRIC_ID_NONE ? 0 : activity_count(&engine->activity, id),
        .total_series = engine->activity.count,
        .indexed_series = series_index_committed(index) + series_index_reserved(index),
        .index_bytes = series_index_memory(index),
        .name_bytes = series_index_name_memory(index),
        .new_name = new_name,
        .tier = index,
        .has_max_series = descriptor != NULL && descriptor->has_max_series,
        .max_series = descriptor != NULL ? descriptor->max_series : 0,
    };
}

struct missed {
    struct labels labels;
    struct series_key key;
    bool understood; /* labels and key are there */
    uint32_t id;     /* in the segments, SERIES_ID_NONE of one that is in none */
    bool defined;    /* in a way that can be read */
    struct error why;
};

static enum status find_on_disk(struct engine *engine, const struct segment_set *set,
                                struct missed *missed)
{
    struct error damage = {0};
    enum status status = segment_set_find(set, &missed->labels, missed->key, &missed->id,
                                          &missed->defined, &damage, &missed->why);
    if (damage.status == STATUS_CORRUPT)
        engine_note_index_damage(engine, "a damaged page of the index was got round", &damage);
    if (status == STATUS_OK)
        return status;
    missed->id = SERIES_ID_NONE;
    return status == STATUS_NOT_FOUND ? STATUS_OK : status;
}

static enum status ask_admission(struct resolution *work, const struct labels *labels,
                                 struct hash128 raw, bool returns, struct error *why)
{
    struct admission_question question;
    if (work->admitter == NULL)
        return STATUS_OK;
    question_fill(work->engine, labels, raw, returns, &question);
    return work->admitter->ops->admit(work->admitter, &question, why);
}

/* Of the id that its key leads to, or a new one. */
static enum status reserve(struct resolution *work, const struct labels *labels, uint32_t *id,
                           struct error *why)
{
    struct series_table *table = &work->engine->index.active;
    if (*id != SERIES_ID_NONE)
        return series_table_reserve_again(table, labels, *id, why);
    enum status status = series_table_reserve(table, labels, id);
    return status == STATUS_OK ? status : fail(why, status, "no memory for a new series");
}

/* Its place among the active ones. Of a series whose metric is lost by damage nobody can count. */
static enum status hold(struct resolution *work, const struct labels *labels, uint32_t id,
                        struct error *why)
{
    struct engine *engine = work->engine;
    uint32_t metric = series_space_find_metric(&engine->index.space, labels_metric_name(labels));
    if (metric == METRIC_ID_NONE)
        return STATUS_OK;
    if (activity_hold(&engine->activity, id, metric) != STATUS_OK)
        return fail(why, STATUS_MEMORY, "no memory for a new series");
    work->batch->held[work->batch->held_count++] = id;
    return STATUS_OK;
}

/* With series_lock for writing; `missed` is what the present segments say. */
static enum status find_or_reserve(struct resolution *work, struct missed *missed, size_t entry)
{
    struct series_index *index = &work->engine->index;
    struct batch *batch = work->batch;
    uint32_t id = missed->id;
    if (id == SERIES_ID_NONE)
        id = series_index_find(index, &missed->labels);
    if (index->leaving != NULL && roaring_bitmap_contains(index->leaving, id))
        id = SERIES_ID_NONE;
    if (work->engine->reclaim.dying != NULL)
        roaring_bitmap_remove(work->engine->reclaim.dying, id);
    bool undefined = !missed->defined && series_index_get(index, id, NULL) == NULL;
    bool active = activity_touch(&work->engine->activity, id);
    /* Another batch has brought it before admission, and is on its way. */
    bool admitted = active || activity_find(&work->engine->activity, id) != NULL;
    enum status status = STATUS_OK;
    if (!admitted)
        status = ask_admission(work, &missed->labels, batch->series[entry].hash,
                               id != SERIES_ID_NONE, &missed->why);
    bool reserved = status == STATUS_OK && (id == SERIES_ID_NONE || undefined);
    if (reserved) {
        status = reserve(work, &missed->labels, &id, &missed->why);
    } else if (status == STATUS_OK && !series_index_has_committed(index, id)) {
        series_table_hold(&index->active, id);
        reserved = true;
    }
    if (status != STATUS_OK)
        return status;
    if (reserved)
        batch->reserved[batch->reserved_count++] = id;
    if (!active)
        status = hold(work, &missed->labels, id, &missed->why);
    batch->series[entry].id = id;
    return status;
}

/* CORRUPT: damage keeps it from being said whether the store knows the series. */
static bool is_refusal(enum status status)
{
    return status == STATUS_INVALID || status == STATUS_LIMIT || status == STATUS_UNSUPPORTED ||
           status == STATUS_CORRUPT;
}

static void understand(struct resolution *work, const uint32_t *entries, struct missed *missed,
                       size_t count, struct arena *arena)
{
    struct batch *batch = work->batch;
    for (size_t i = 0; i < count; i++) {
        struct missed *one = &missed[i];
        one->why.status =
            batch->decode_labels(batch->series[entries[i]].raw, arena, &one->labels, &one->why);
        if (one->why.status == STATUS_OK)
            one->why.status = labels_canonicalise(&one->labels, &one->why);
        one->understood = one->why.status == STATUS_OK;
        if (one->understood)
            one->key = series_key_of(&one->labels, work->engine->index.seed);
    }
}

static void look_up(struct engine *engine, const struct segment_set *set, struct missed *missed,
                    size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct missed *one = &missed[i];
        if (!one->understood)
            continue;
        one->why = (struct error){0};
        one->why.status = find_on_disk(engine, set, one);
    }
}

/* OK unless something else than a refusal has happened. */
static enum status check_refusals(struct resolution *work, const struct missed *missed,
                                  size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (missed[i].why.status != STATUS_OK && !is_refusal(missed[i].why.status))
            return fail(work->err, missed[i].why.status, "%s", missed[i].why.message);
    return STATUS_OK;
}

static struct segment_set *present_segments(struct engine *engine)
{
    rwlock_read(&engine->series_lock);
    struct segment_set *set = segment_set_acquire(engine->index.segments);
    rwlock_unlock(&engine->series_lock);
    return set;
}

/* Looks the group up and takes series_lock for writing, also for a failure: from then on nothing
 * changes what was found. *held is to be released after the lock, as that may close files. */
static enum status look_up_and_lock(struct resolution *work, struct missed *missed, size_t count,
                                    struct segment_set **held)
{
    struct engine *engine = work->engine;
    for (int tries = 1;; tries++) {
        *held = present_segments(engine);
        look_up(engine, *held, missed, count);
        enum status status = check_refusals(work, missed, count);
        rwlock_write(&engine->series_lock);
        if (status != STATUS_OK || engine->index.segments == *held)
            return status;
        if (tries == FREE_LOOK_UPS) {
            look_up(engine, engine->index.segments, missed, count);
            return check_refusals(work, missed, count);
        }
        rwlock_unlock(&engine->series_lock);
        segment_set_release(*held);
    }
}

static enum status resolve_group(struct resolution *work, const uint32_t *entries, size_t count,
                                 struct arena *arena)
{
    struct batch *batch = work->batch;
    struct missed *missed = arena_calloc(arena, count, sizeof missed[0]);
    if (missed == NULL)
        return fail(work->err, arena_status(arena), "no memory for new series");
    understand(work, entries, missed, count, arena);
    enum status status = check_refusals(work, missed, count);
    if (status != STATUS_OK)
        return status;
    struct segment_set *set;
    status = look_up_and_lock(work, missed, count, &set);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        struct missed *one = &missed[i];
        if (one->why.status == STATUS_OK)
            one->why.status = find_or_reserve(work, one, entries[i]);
        status = check_refusals(work, one, 1);
    }
    rwlock_unlock(&work->engine->series_lock);
    segment_set_release(set);
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        if (missed[i].why.status == STATUS_OK && missed[i].why.code != NULL)
            batch_warn(batch, "%s", missed[i].why.message);
        else if (missed[i].why.status != STATUS_OK)
            status =
                refuse(work, entries[i], &missed[i].why, labels_metric_name(&missed[i].labels));
    return status;
}

static bool tells_of_another(const struct resolution *work)
{
    return work->batch->rejection_count + work->told < BATCH_MAX_REJECTIONS;
}

/* With series_lock for reading. */
static void count_series(const struct engine *engine, struct admission_counts *counts)
{
    const struct series_index *index = &engine->index;
    *counts = (struct admission_counts){
        .metric_series = engine->activity.metrics.items,
        .metric_count = (uint32_t)engine->activity.metrics.count,
        .total_series = engine->activity.count,
        .indexed_series = series_index_committed(index) + series_index_reserved(index),
        .index_bytes = series_index_memory(index),
        .descriptor_changes = engine->descriptor_changes,
    };
}

/* *refused: the series was refused lately, and is still. */
static enum status recall_one(struct resolution *work, uint32_t entry,
                              const struct admission_counts *counts, bool *refused)
{
    struct admission_recollection recollection = {.tells = tells_of_another(work)};
    struct error why = {.status = STATUS_LIMIT};
    struct hash128 raw = work->batch->series[entry].hash;
    *refused =
        work->admitter->ops->recall(work->admitter, raw, counts, &recollection, &why) != STATUS_OK;
    if (!*refused)
        return STATUS_OK;
    why.code = recollection.code;
    return refuse(work, entry, &why, slice_of(recollection.metric, recollection.metric_size));
}

/* Of those that were refused lately, and are still, not even the labels are looked at. The others
 * stay in `misses`. */
static enum status recall_refused(struct resolution *work, uint32_t *misses, size_t *count)
{
    struct engine *engine = work->engine;
    if (work->admitter == NULL || work->admitter->ops->recall == NULL)
        return STATUS_OK;
    enum status status = STATUS_OK;
    size_t kept = 0;
    for (size_t i = 0; i < *count && status == STATUS_OK;) {
        size_t end = *count - i < RECALL_GROUP ? *count : i + RECALL_GROUP;
        struct admission_counts counts;
        rwlock_read(&engine->series_lock);
        count_series(engine, &counts);
        for (; i < end && status == STATUS_OK; i++) {
            bool refused;
            status = recall_one(work, misses[i], &counts, &refused);
            if (!refused)
                misses[kept++] = misses[i];
        }
        rwlock_unlock(&engine->series_lock);
    }
    *count = kept;
    return status;
}

static enum status resolve_misses(struct resolution *work, uint32_t *misses, size_t count)
{
    enum status status = recall_refused(work, misses, &count);
    for (size_t done = 0; done < count && status == STATUS_OK; done += MISS_GROUP) {
        struct arena arena;
        arena_init(&arena, MISS_ARENA);
        size_t group = count - done < MISS_GROUP ? count - done : MISS_GROUP;
        status = resolve_group(work, misses + done, group, &arena);
        arena_release(&arena);
    }
    return status;
}

/* ---- samples ---------------------------------------------------------------------------- */

/*
 * Whether a sample of this day may come in. Days become the store's when a commit brings them;
 * those of the batch in hand are counted with them. The present is never refused, whatever odd days
 * somebody has filled the limit with.
 */
static enum status day_admit(struct resolution *work, int64_t day, bool *admitted)
{
    struct engine *engine = work->engine;
    uint32_t max = engine->options.max_chunks;
    int64_t today = day_of_time(clock_wall_ms(engine->os.clock));
    *admitted = true;
    if (max == 0 || (day >= today - 1 && day <= today + 1) || day_set_has(&work->days, day))
        return STATUS_OK;
    rwlock_read(&engine->series_lock);
    bool known = day_set_has(&engine->days, day);
    size_t count = engine->days.count;
    rwlock_unlock(&engine->series_lock);
    *admitted = known || count + work->days.count < max;
    if (known || !*admitted || day_set_add(&work->days, day) == STATUS_OK)
        return STATUS_OK;
    return fail(work->err, STATUS_MEMORY, "no memory for the days of a batch");
}

static void reject_sample(struct resolution *work, uint32_t entry)
{
    struct batch *batch = work->batch;
    const struct batch_series *series = &batch->series[entry];
    invariant(work->refusals != NULL);
    const struct refusal *refusal = &work->refusals[entry];
    batch_reject(batch, 1, series->index, series->line, refusal->code, refusal->metric, "%.*s",
                 (int)refusal->message.size, (const char *)refusal->message.data);
}

/* Takes out the samples of refused series and of days beyond the limit; the others' series become
 * ids. */
static enum status keep_admitted(struct resolution *work)
{
    struct batch *batch = work->batch;
    int64_t known_start = 0;
    int64_t known_end = 0;
    size_t kept = 0;
    for (size_t i = 0; i < batch->sample_count; i++) {
        uint32_t entry = batch->sample_series[i];
        uint32_t id = batch->series[entry].id;
        int64_t time_ms = batch->sample_times[i];
        if (id == SERIES_ID_NONE) {
            reject_sample(work, entry);
            continue;
        }
        if (time_ms < known_start || time_ms >= known_end) {
            int64_t day = day_of_time(time_ms);
            bool admitted;
            enum status status = day_admit(work, day, &admitted);
            if (status != STATUS_OK)
                return status;
            if (!admitted) {
                batch_reject(batch, 1, batch->series[entry].index, batch->series[entry].line,
                             "chunk_limit", slice_of(NULL, 0),
                             "a sample of a further day; %u days with samples are the limit "
                             "(storage.max_chunks)",
                             work->engine->options.max_chunks);
                continue;
            }
            known_start = day * MS_PER_DAY;
            known_end = known_start + MS_PER_DAY;
        }
        batch->sample_series[kept] = id;
        batch->sample_times[kept] = time_ms;
        batch->sample_values[kept++] = batch->sample_values[i];
    }
    batch->sample_count = kept;
    return STATUS_OK;
}

/* ---- descriptors ------------------------------------------------------------------------ */

void engine_warn_contradiction(struct engine *engine, struct batch *batch,
                               const struct metric *metric)
{
    batch_warn(batch,
               "metric \"%.*s\" is registered as %s; its samples are stored, the type %s is not",
               SLICE_FORMAT(metric->name),
               metric_type_name(registry_find(&engine->registry, metric->name)->type),
               metric_type_name(metric->type));
}

static void keep_telling(struct resolution *work)
{
    struct batch *batch = work->batch;
    struct engine *engine = work->engine;
    size_t kept = 0;
    rwlock_read(&engine->series_lock);
    for (size_t i = 0; i < batch->metric_count; i++) {
        const struct metric *metric = &batch->metrics[i];
        enum metric_outcome outcome = registry_compare(&engine->registry, metric);
        if (outcome == METRIC_CONTRADICTS)
            engine_warn_contradiction(engine, batch, metric);
        if (outcome == METRIC_NEW && engine->registry.count >= REGISTRY_MAX_METRICS)
            batch_warn(batch,
                       "metric \"%.*s\" is not registered: %d metrics are, and no more may be",
                       SLICE_FORMAT(metric->name), REGISTRY_MAX_METRICS);
        else if (outcome == METRIC_NEW || outcome == METRIC_CHANGED)
            batch->metrics[kept++] = *metric;
    }
    rwlock_unlock(&engine->series_lock);
    batch->metric_count = kept;
}

static enum status outcomes_make(struct resolution *work)
{
    struct batch *batch = work->batch;
    if (batch->metric_count == 0)
        return STATUS_OK;
    batch->metric_outcomes = arena_calloc(batch->arena, batch->metric_count, 1);
    return batch->metric_outcomes == NULL
               ? fail(work->err, arena_status(batch->arena), "no memory for descriptors")
               : STATUS_OK;
}

enum status engine_resolve(struct tier *tier, struct batch *batch, struct admitter *admitter,
                           struct error *err)
{
    struct resolution work = {
        .engine = engine_of(tier), .batch = batch, .admitter = admitter, .err = err};
    uint32_t *misses;
    size_t miss_count;
    batch->arrival_s = engine_activity_advance(work.engine);
    batch->reserved_count = batch->held_count = 0;
    batch->gate = gate_enter(&work.engine->batches);
    enum status status = probe(&work, &misses, &miss_count);
    if (status == STATUS_OK && miss_count > 0)
        status = resolve_misses(&work, misses, miss_count);
    if (status == STATUS_OK)
        status = keep_admitted(&work);
    if (status == STATUS_OK) {
        keep_telling(&work);
        status = outcomes_make(&work);
    }
    bool none = batch->sample_count == 0 || (batch->atomic && batch->rejected > 0);
    if (status == STATUS_OK && work.damaged && none)
        status = engine_try_log(work.engine, err);
    day_set_release(&work.days);
    batch->missed = misses;
    batch->missed_count = miss_count;
    if (status != STATUS_OK) {
        engine_settle(tier, batch);
        return status;
    }
    if (batch->atomic && batch->rejected > 0) {
        batch->rejected += batch->sample_count;
        batch->sample_count = 0;
        batch->metric_count = 0;
        /* Its new series must not come into being with nothing in them. */
        engine_settle(tier, batch);
    }
    return STATUS_OK;
}

static bool is_received(const struct engine *engine, const struct batch *batch, uint32_t id)
{
    const struct activity_entry *entry = activity_find(&engine->activity, id);
    return entry != NULL && !activity_is_held(entry) && batch->tick == engine->activity.tick &&
           entry->arrival_s == engine->activity.now_s;
}

/* Committed series that came by slow are remembered by their raw bytes. Only now: bytes of a series
 * that a failed commit forgets must never be found. */
static void remember(struct engine *engine, const struct batch *batch)
{
    for (size_t done = 0; done < batch->missed_count; done += 8 * MISS_GROUP) {
        size_t end = done + 8 * MISS_GROUP < batch->missed_count ? done + 8 * MISS_GROUP
                                                                 : batch->missed_count;
        rwlock_write(&engine->series_lock);
        for (size_t i = done; i < end; i++) {
            const struct batch_series *series = &batch->series[batch->missed[i]];
            if (series->id != SERIES_ID_NONE &&
                series_index_has_committed(&engine->index, series->id) &&
                !series_index_is_doubtful(&engine->index, series->id))
                raw_cache_insert(&engine->raw_cache, series->hash, series->id,
                                 is_received(engine, batch, series->id) ? batch->tick : 0);
        }
        rwlock_unlock(&engine->series_lock);
    }
}

void engine_settle(struct tier *tier, struct batch *batch)
{
    struct engine *engine = engine_of(tier);
    remember(engine, batch);
    if (batch->reserved_count > 0 || batch->held_count > 0) {
        rwlock_write(&engine->series_lock);
        for (size_t i = 0; i < batch->held_count; i++)
            activity_unhold(&engine->activity, batch->held[i]);
        for (size_t i = 0; i < batch->reserved_count; i++)
            if (series_table_has_reserved(&engine->index.active, batch->reserved[i]))
                series_table_unhold(&engine->index.active, batch->reserved[i]);
        rwlock_unlock(&engine->series_lock);
    }
    batch->reserved_count = batch->held_count = 0;
    batch->missed_count = 0;
    gate_leave(&engine->batches, &batch->gate);
}

/*
 * append - one commit: log, sync, head.
 *
 * The order is the promise: memory for the head is taken before anything is logged, the log is
 * synced before anything becomes visible, and nothing after the sync can fail.
 */
#include <stdlib.h>

#include "base/invariant.h"
#include "base/times.h"
#include "storage/engine/engine_internal.h"

enum status id_list_reserve(struct id_list *list, size_t more)
{
    if (more <= list->capacity - list->count)
        return STATUS_OK;
    size_t capacity = list->capacity == 0 ? 256 : list->capacity * 2;
    while (capacity - list->count < more)
        capacity *= 2;
    uint32_t *ids = realloc(list->ids, capacity * sizeof ids[0]);
    if (ids == NULL)
        return STATUS_MEMORY;
    list->ids = ids;
    list->capacity = capacity;
    return STATUS_OK;
}

enum status id_list_add(struct id_list *list, uint32_t id)
{
    if (id_list_reserve(list, 1) != STATUS_OK)
        return STATUS_MEMORY;
    list->ids[list->count++] = id;
    return STATUS_OK;
}

void id_list_release(struct id_list *list)
{
    free(list->ids);
    *list = (struct id_list){0};
}

static enum status no_memory(struct error *err)
{
    return fail(err, STATUS_MEMORY, "no memory for a commit");
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/* The reserved series of the batches, each once, rising. With series_lock. */
static enum status collect_pending(struct engine *engine, struct batch *const *batches,
                                   size_t count)
{
    struct id_list *pending = &engine->pending;
    pending->count = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < batches[i]->reserved_count; j++) {
            uint32_t id = batches[i]->reserved[j];
            if (series_table_has_reserved(&engine->index.active, id) &&
                id_list_add(pending, id) != STATUS_OK)
                return STATUS_MEMORY;
        }
    if (pending->count == 0)
        return STATUS_OK;
    qsort(pending->ids, pending->count, sizeof pending->ids[0], compare_ids);
    size_t kept = 1;
    for (size_t i = 1; i < pending->count; i++)
        if (pending->ids[i] != pending->ids[kept - 1])
            pending->ids[kept++] = pending->ids[i];
    pending->count = kept;
    return STATUS_OK;
}

static enum status log_series(struct engine *engine, struct batch *const *batches, size_t count,
                              struct error *err)
{
    rwlock_read(&engine->series_lock);
    enum status status = collect_pending(engine, batches, count);
    size_t done = 0;
    while (done < engine->pending.count && status == STATUS_OK) {
        size_t taken;
        bytes_clear(&engine->record);
        status =
            record_put_series(&engine->record, &engine->index.active, engine->pending.ids + done,
                              engine->pending.count - done, &taken);
        if (status == STATUS_OK)
            status = wal_put(engine->wal, RECORD_SERIES, bytes_slice(&engine->record),
                             slice_of(NULL, 0), err);
        done += taken;
    }
    rwlock_unlock(&engine->series_lock);
    return status == STATUS_MEMORY ? no_memory(err) : status;
}

static enum status log_metrics(struct engine *engine, const struct batch *batch, struct error *err)
{
    for (size_t i = 0; i < batch->metric_count; i++) {
        bytes_clear(&engine->record);
        if (record_put_metric(&engine->record, &batch->metrics[i]) != STATUS_OK)
            return no_memory(err);
        enum status status = wal_put(engine->wal, RECORD_METRICS, bytes_slice(&engine->record),
                                     slice_of(NULL, 0), err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* So that a restart knows which series are active, as exactly as before. */
static enum status log_arrival(struct engine *engine, const struct batch *batch, struct error *err)
{
    bytes_clear(&engine->record);
    if (record_put_arrival(&engine->record, batch->arrival_s) != STATUS_OK)
        return no_memory(err);
    return wal_put(engine->wal, RECORD_ARRIVAL, bytes_slice(&engine->record), slice_of(NULL, 0),
                   err);
}

static enum status log_samples(struct engine *engine, const struct batch *batch, struct error *err)
{
    for (size_t done = 0; done < batch->sample_count; done += RECORD_MAX_SAMPLES) {
        size_t count = batch->sample_count - done;
        if (count > RECORD_MAX_SAMPLES)
            count = RECORD_MAX_SAMPLES;
        bytes_clear(&engine->record);
        if (record_put_samples(&engine->record, batch->sample_series + done,
                               batch->sample_times + done, batch->sample_values + done,
                               count) != STATUS_OK)
            return no_memory(err);
        enum status status = wal_put(engine->wal, RECORD_SAMPLES, bytes_slice(&engine->record),
                                     slice_of(NULL, 0), err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

enum status engine_refuse_broken(struct error *err)
{
    return fail(err, STATUS_UNAVAILABLE,
                "the disk did not take what was written; writes stop until a restart recovers the "
                "store");
}

static enum status sync_now(struct engine *engine, struct error *err)
{
    struct error local = {0};
    err = err == NULL ? &local : err;
    enum status status = wal_sync(engine->wal, err);
    if (status != STATUS_OK) {
        /* Nobody knows what is on disk now. Only a restart, which reads it, may go on. */
        engine_break(engine, "log", "sync of the log failed: writes stop", err);
        /* Whatever the disk said: NO_SPACE would mean that nothing was written. */
        return fail(err, STATUS_IO, "the log could not be synced: writes stop until a restart");
    }
    engine->unsynced = false;
    engine->last_sync_ns = clock_monotonic_ns(engine->os.clock);
    return STATUS_OK;
}

void engine_note_broken_log(struct engine *engine, const struct error *why)
{
    struct wal_stats stats;
    wal_stats(engine->wal, &stats);
    if (stats.broken)
        engine_break(engine, "log", "a segment of the log could not be named durably: writes stop",
                     why);
}

enum status engine_sync_log(struct engine *engine, struct error *err)
{
    mutex_lock(&engine->append_lock);
    enum status status = STATUS_OK;
    if (atomic_load(&engine->broken))
        status = engine_refuse_broken(err);
    else if (engine->unsynced)
        status = sync_now(engine, err);
    mutex_unlock(&engine->append_lock);
    return status;
}

static enum status log_all(struct engine *engine, struct batch *const *batches, size_t count,
                           struct error *err)
{
    enum status status = wal_begin(engine->wal, err);
    if (status == STATUS_OK)
        status = log_series(engine, batches, count, err);
    uint32_t arrival_s = 0;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        if (batches[i]->sample_count > 0 && batches[i]->arrival_s != arrival_s)
            status = log_arrival(engine, batches[i], err);
        if (batches[i]->sample_count > 0)
            arrival_s = batches[i]->arrival_s;
        if (status == STATUS_OK)
            status = log_metrics(engine, batches[i], err);
        if (status == STATUS_OK)
            status = log_samples(engine, batches[i], err);
    }
    return status == STATUS_OK ? engine_commit_log(engine, err) : status;
}

enum status engine_commit_log(struct engine *engine, struct error *err)
{
    uint64_t position;
    enum status status = wal_commit(engine->wal, &position, err);
    if (status != STATUS_OK)
        return status;
    engine->unsynced = true;
    int64_t since_ns = clock_monotonic_ns(engine->os.clock) - engine->last_sync_ns;
    if (engine->options.sync == ENGINE_SYNC_ALWAYS ||
        (engine->options.sync == ENGINE_SYNC_INTERVAL &&
         since_ns >= engine->options.sync_interval_ms * 1000000))
        return sync_now(engine, err);
    return STATUS_OK;
}

static void note_days(struct engine *engine, const struct batch *batch)
{
    int64_t known_start = 0;
    int64_t known_end = 0;
    for (size_t i = 0; i < batch->sample_count; i++) {
        int64_t time_ms = batch->sample_times[i];
        if (time_ms >= known_start && time_ms < known_end)
            continue;
        int64_t day = day_of_time(time_ms);
        /* Without memory it does not count towards storage.max_chunks until a restart. */
        enum status counted = day_set_add(&engine->days, day);
        (void)counted;
        known_start = day * MS_PER_DAY;
        known_end = known_start + MS_PER_DAY;
    }
}

/* The commit is durable: what it defines becomes known. With head_lock, so that a reader sees the
 * series and the samples of a commit together. */
static void apply_definitions(struct engine *engine, struct batch *const *batches, size_t count)
{
    rwlock_write(&engine->series_lock);
    for (size_t i = 0; i < count; i++) {
        struct batch *batch = batches[i];
        note_days(engine, batch);
        batch->new_series = 0;
        for (size_t j = 0; j < batch->reserved_count; j++) {
            uint32_t id = batch->reserved[j];
            /* Another batch of the group, or of an earlier one, may have brought it. */
            if (!series_table_has_reserved(&engine->index.active, id))
                continue;
            series_table_commit(&engine->index.active, id, ++engine->index.commits);
            batch->new_series += !series_table_get(&engine->index.active, id)->again;
        }
        for (size_t j = 0; j < batch->held_count; j++)
            activity_receive(&engine->activity, batch->held[j], batch->arrival_s);
        for (size_t j = 0; j < batch->metric_count; j++) {
            enum metric_outcome outcome = METRIC_SAME;
            enum status status = registry_put(&engine->registry, &batch->metrics[j], &outcome);
            /* At the registry's limit, or without memory, the log holds a descriptor that nobody
             * sees before a restart. */
            invariant(status == STATUS_OK || status == STATUS_LIMIT || status == STATUS_MEMORY);
            batch->metric_outcomes[j] = (uint8_t)outcome;
            /* Of this batch itself, or of one committed since it was resolved. */
            if (outcome == METRIC_CONTRADICTS)
                engine_warn_contradiction(engine, batch, &batch->metrics[j]);
            engine->registry_dirty = true;
            engine->descriptor_changes += outcome == METRIC_NEW || outcome == METRIC_CHANGED;
        }
    }
    atomic_store_explicit(&engine->table_bytes, series_table_memory(&engine->index.active),
                          memory_order_relaxed);
    rwlock_unlock(&engine->series_lock);
}

static bool log_is_long(const struct engine *engine)
{
    uint64_t segments =
        (wal_position(engine->wal) >> 32) - (engine_newest(engine)->active->begin_position >> 32);
    return segments > 0 &&
           segments >= engine->options.head_bytes / engine->options.log_segment_bytes;
}

/* New series leave memory with the flush. */
static bool table_is_large(const struct engine *engine)
{
    size_t most = engine->options.table_bytes;
    return most != 0 && atomic_load_explicit(&engine->table_bytes, memory_order_relaxed) >= most;
}

bool engine_head_is_due(const struct engine *engine)
{
    return head_is_full(engine_newest(engine)->active->head) || log_is_long(engine) ||
           table_is_large(engine);
}

static enum status reserve_room(struct engine *engine, struct batch *const *batches, size_t count,
                                struct error *err)
{
    struct version *version = engine_newest(engine);
    if (version->sealed != NULL && engine_head_is_due(engine))
        return atomic_load(&engine->flush_lacks_space)
                   ? fail(err, STATUS_NO_SPACE,
                          "the write head is full and the disk has no room to flush the one before "
                          "it; make room, or shorten retention.default")
                   : fail(err, STATUS_BUSY,
                          "the write head is full and the one before it is still being flushed");
    enum status status = STATUS_OK;
    rwlock_write(&engine->head_lock);
    head_reserve_begin(version->active->head);
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = head_reserve(version->active->head, batches[i]->sample_series,
                              batches[i]->sample_count);
    rwlock_unlock(&engine->head_lock);
    if (status != STATUS_OK)
        return fail(err, status == STATUS_LIMIT ? STATUS_BUSY : status,
                    "no room in the write head for this commit");
    return STATUS_OK;
}

static void apply_samples(struct engine *engine, struct batch *const *batches, size_t count)
{
    struct head_ref *active = engine_newest(engine)->active;
    uint64_t samples = 0;
    for (size_t i = 0; i < count; i++) {
        head_append(active->head, batches[i]->sample_series, batches[i]->sample_times,
                    batches[i]->sample_values, batches[i]->sample_count);
        samples += batches[i]->sample_count;
    }
    engine->sequence++;
    if (active->first_sequence == 0)
        active->first_sequence = engine->sequence;
    active->last_sequence = engine->sequence;
    atomic_fetch_add_explicit(&engine->counters.samples_appended, samples, memory_order_relaxed);
    atomic_fetch_add_explicit(&engine->counters.commits, 1, memory_order_relaxed);
}

static enum status rotate(struct engine *engine, struct error *err)
{
    struct version *old = engine_newest(engine);
    if (old->sealed != NULL)
        return fail(err, STATUS_BUSY, "the head before is still being flushed");
    struct head_ref *fresh;
    if (head_ref_new(&fresh, engine->options.head_bytes, old->active->number + 1) != STATUS_OK)
        return no_memory(err);
    fresh->begin_position = wal_position(engine->wal);
    struct version *version =
        version_new(fresh, old->active, old->parts, old->part_count, old->tombstones);
    head_ref_release(fresh);
    if (version == NULL)
        return no_memory(err);
    version->flushed_sequence = old->flushed_sequence;
    old->active->end_position = version->active->begin_position;
    version_release(version_slot_replace(&engine->version, version));
    return STATUS_OK;
}

enum status engine_rotate(struct engine *engine, struct error *err)
{
    const struct version *version = engine_newest(engine);
    if (version->sealed == NULL && head_sample_count(version->active->head) == 0 &&
        !version->active->has_deletes && !log_is_long(engine))
        return STATUS_END;
    return rotate(engine, err);
}

enum status engine_rotate_log(struct engine *engine, struct error *err)
{
    const struct version *version = engine_newest(engine);
    if (version->sealed == NULL && wal_position(engine->wal) == version->active->begin_position)
        return STATUS_END;
    return rotate(engine, err);
}

/* Whoever probes the service learns of it before a writer does. With append_lock. */
static void note_log(struct engine *engine, enum status status, const struct error *why)
{
    bool refused = status == STATUS_NO_SPACE || status == STATUS_IO;
    if (refused)
        engine_trouble(engine, TROUBLE_LOG, STORAGE_DEGRADED,
                       "the log cannot be written, so writes are refused: %s", why->message);
    else if (engine->log_refused)
        engine_trouble(engine, TROUBLE_LOG, STORAGE_HEALTHY, "%s", "");
    engine->log_refused = refused;
}

static enum status write_log(struct engine *engine, struct batch *const *batches, size_t count,
                             struct error *err)
{
    enum status status = log_all(engine, batches, count, err);
    note_log(engine, status, err);
    if (status != STATUS_OK)
        engine_note_broken_log(engine, err);
    return status;
}

enum status engine_try_log(struct engine *engine, struct error *err)
{
    if (atomic_load(&engine->broken))
        return engine_refuse_broken(err);
    mutex_lock(&engine->append_lock);
    struct error local = {0};
    err = err == NULL ? &local : err;
    enum status status = reserve_room(engine, NULL, 0, err);
    if (status == STATUS_OK)
        status = write_log(engine, NULL, 0, err);
    mutex_unlock(&engine->append_lock);
    return status;
}

enum status engine_append(struct tier *tier, struct batch *const *batches, size_t count,
                          struct error *err)
{
    struct engine *engine = engine_of(tier);
    if (atomic_load(&engine->broken))
        return engine_refuse_broken(err);
    mutex_lock(&engine->append_lock);
    struct error local = {0};
    err = err == NULL ? &local : err;
    enum status status = reserve_room(engine, batches, count, err);
    if (status == STATUS_OK)
        status = write_log(engine, batches, count, err);
    if (status == STATUS_OK) {
        rwlock_write(&engine->head_lock);
        apply_definitions(engine, batches, count);
        apply_samples(engine, batches, count);
        rwlock_unlock(&engine->head_lock);
        /* A rotation that cannot be now (no memory, a flush runs) is tried after the next commit.
         */
        if (engine_head_is_due(engine) && engine_rotate(engine, NULL) == STATUS_OK)
            background_wake(engine);
    }
    mutex_unlock(&engine->append_lock);
    return status;
}

#include "storage/engine/engine.h"

#include <stdlib.h>

#include "base/invariant.h"
#include "storage/engine/engine_internal.h"
#include "storage/engine/paths.h"

static const struct tier_ops engine_ops = {
    .name = "hot",
    .resolve = engine_resolve,
    .append = engine_append,
    .settle = engine_settle,
    .select = engine_select,
    .selection_count = engine_selection_count,
    .selection_series = engine_selection_series,
    .selection_read = engine_selection_read,
    .cursor_next = engine_cursor_next,
    .cursor_load = engine_cursor_load,
    .selection_stats = engine_selection_stats,
    .selection_close = engine_selection_close,
    .delete_series = engine_delete,
    .metrics = engine_metrics,
    .metric = engine_metric,
    .chunks = engine_chunks,
    .condition = engine_condition,
};

static void locks_init(struct engine *engine)
{
    mutex_init(&engine->append_lock);
    rwlock_init(&engine->head_lock);
    rwlock_init(&engine->series_lock);
    mutex_init(&engine->flush_lock);
    mutex_init(&engine->maintenance_lock);
    mutex_init(&engine->retention_lock);
    mutex_init(&engine->manifest_lock);
    mutex_init(&engine->work_lock);
    mutex_init(&engine->trouble_lock);
    condition_init(&engine->flusher.work);
    condition_init(&engine->maintainer.work);
    condition_init(&engine->dropper.work);
    condition_init(&engine->sync_due);
    engine->flusher.engine = engine->maintainer.engine = engine->dropper.engine = engine;
}

static void engine_free(struct engine *engine)
{
    version_release(version_slot_replace(&engine->version, NULL));
    wal_close(engine->wal);
    manifest_close(engine->manifest);
    reclaim_release(&engine->reclaim);
    retention_release(&engine->retention);
    series_index_release(&engine->index);
    registry_release(&engine->registry);
    raw_cache_release(&engine->raw_cache);
    activity_release(&engine->activity);
    day_set_release(&engine->days);
    day_set_release(&engine->lost_days);
    free(engine->damaged_segments);
    id_list_release(&engine->pending);
    bytes_release(&engine->record);
    file_close(engine->lock);
    mutex_release(&engine->append_lock);
    rwlock_release(&engine->head_lock);
    rwlock_release(&engine->series_lock);
    mutex_release(&engine->flush_lock);
    mutex_release(&engine->maintenance_lock);
    mutex_release(&engine->retention_lock);
    mutex_release(&engine->manifest_lock);
    mutex_release(&engine->work_lock);
    mutex_release(&engine->trouble_lock);
    condition_release(&engine->flusher.work);
    condition_release(&engine->maintainer.work);
    condition_release(&engine->dropper.work);
    condition_release(&engine->sync_due);
    part_indexes_free(engine->part_commons.indexes);
    file_pool_free(engine->part_commons.files);
    free(engine->dir);
    free(engine);
}

static void note_part_index(void *context, const struct error *why)
{
    engine_note_damage(context, "a damaged index was got round: the part's pages were looked for",
                       why);
}

/* What is only read needs neither a directory made nor its name synced. */
static enum status lock_to_read(struct engine *engine, const char *path, struct error *err)
{
    enum status status = filesystem_lock_for_reading(engine->os.fs, path, &engine->lock, err);
    if (status == STATUS_OK && engine->lock == NULL)
        log_event(engine->log, LOG_WARN, "engine",
                  "reading without a lock: the file system is read-only and has no lock file; make "
                  "sure that nothing writes to the store by another way",
                  log_text("store", engine->dir));
    return status;
}

/* Its parent has to be there: where a disk is not mounted, or a path has a slip in it, a store that
 * nobody looks for would come into being. */
static enum status make_directory(struct engine *engine, struct error *err)
{
    struct error why = {0};
    enum status status = filesystem_make_directory(engine->os.fs, engine->dir, &why);
    if (status == STATUS_NOT_FOUND)
        error_suffix(&why, "only the last directory of storage.path (--data) is made: make those "
                           "before it, or correct it");
    else if (status == STATUS_IO && !error_not_allowed(&why))
        error_suffix(&why, "name another directory by storage.path (--data)");
    if (status != STATUS_OK && err != NULL)
        *err = why;
    return status;
}

static enum status take_directory(struct engine *engine, struct error *err)
{
    char *path = path_format("%s/lock", engine->dir);
    char *parent = path_parent(engine->dir);
    enum status status = STATUS_OK;
    if (path == NULL || parent == NULL) {
        status = fail(err, STATUS_MEMORY, "no memory for a path");
    } else if (engine->options.read_only) {
        status = lock_to_read(engine, path, err);
    } else {
        status = make_directory(engine, err);
        /* The directory's own name must be durable before anything in it is relied on. */
        if (status == STATUS_OK)
            status = filesystem_sync_directory(engine->os.fs, parent, err);
        if (status == STATUS_OK)
            status = filesystem_lock(engine->os.fs, path, &engine->lock, err);
    }
    free(path);
    free(parent);
    return status;
}

static enum status give_up(struct engine *engine, const char *dir, enum status status,
                           struct error *err)
{
    error_prefix(err, "cannot open the store in %s", dir);
    engine_free(engine);
    return status;
}

enum status engine_open(const struct engine_options *options, struct tier **tier, struct error *err)
{
    *tier = NULL;
    struct engine *engine = calloc(1, sizeof *engine);
    if (engine == NULL)
        return fail(err, STATUS_MEMORY, "no memory for the engine");
    engine->tier.ops = &engine_ops;
    engine->options = *options;
    engine->os = options->os;
    engine->log = options->log;
    engine->dir = path_format("%s", options->dir);
    struct part_commons *commons = &engine->part_commons;
    commons->files = file_pool_new(engine->os.fs, options->open_parts);
    commons->indexes = part_indexes_new(options->part_index_bytes, note_part_index, engine);
    engine->options.dir = engine->dir;
    atomic_init(&engine->edits, 1);
    engine->clean_from_day = INT64_MIN;
    atomic_init(&engine->warm_after_ms, options->warm_after_ms);
    bytes_init(&engine->record, 4 * (size_t)RECORD_MAX_SIZE);
    locks_init(engine);
    enum status status = retention_init(&engine->retention, options, err);
    engine->options.retention_rule_count = 0; /* their texts are the caller's */
    if (status == STATUS_OK)
        status = engine->dir == NULL || commons->files == NULL || commons->indexes == NULL
                     ? fail(err, STATUS_MEMORY, "no memory for the engine")
                     : take_directory(engine, err);
    if (status == STATUS_OK)
        status = engine_recover(engine, err);
    if (status != STATUS_OK)
        return give_up(engine, options->dir, status, err);
    (void)engine_retention_time(engine); /* it passes from now on */
    log_event(engine->log, LOG_INFO, "engine", "store opened",
              log_int("series", (int64_t)series_index_committed(&engine->index)),
              log_int("parts", (int64_t)engine_newest(engine)->part_count),
              log_int("log_samples", (int64_t)engine->recovery.log_samples),
              log_int("damaged", (int64_t)engine->recovery.damaged),
              log_int("duration_ms", engine->recovery.duration_ms));
    /* Last: from here on, what was read above is not ours alone. */
    if (options->background)
        status = background_start(engine, err);
    if (status != STATUS_OK)
        return give_up(engine, options->dir, status, err);
    *tier = &engine->tier;
    return STATUS_OK;
}

/* Flushes both heads. */
static enum status flush_all(struct engine *engine, struct error *err)
{
    enum status status = STATUS_OK;
    mutex_lock(&engine->flush_lock);
    for (int round = 0; round < 2 && status == STATUS_OK; round++) {
        status = engine_flush_sealed(engine, err);
        if (status == STATUS_END)
            status = STATUS_OK;
        if (status != STATUS_OK || round == 1)
            break;
        mutex_lock(&engine->append_lock);
        status = engine_rotate(engine, err);
        mutex_unlock(&engine->append_lock);
    }
    mutex_unlock(&engine->flush_lock);
    return status == STATUS_END ? STATUS_OK : status;
}

enum status engine_flush(struct tier *tier, struct error *err)
{
    return flush_all(engine_of(tier), err);
}

enum status engine_flush_log(struct engine *engine, struct error *err)
{
    for (bool sealed = false;;) {
        enum status status = engine_flush_sealed(engine, err);
        if (sealed || (status != STATUS_OK && status != STATUS_END))
            return status == STATUS_END ? STATUS_OK : status;
        mutex_lock(&engine->append_lock);
        status = engine_rotate_log(engine, err);
        mutex_unlock(&engine->append_lock);
        if (status != STATUS_OK && status != STATUS_BUSY)
            return status == STATUS_END ? STATUS_OK : status;
        /* BUSY: an append has just sealed it. All that was there when we were called is sealed. */
        sealed = true;
    }
}

void engine_close(struct tier *tier)
{
    if (tier == NULL)
        return;
    struct engine *engine = engine_of(tier);
    background_stop(engine);
    struct error why = {0};
    if (!engine->options.read_only && !atomic_load(&engine->broken) &&
        flush_all(engine, &why) != STATUS_OK)
        log_event(engine->log, LOG_WARN, "engine",
                  "the head could not be flushed; the log will be replayed at the next start",
                  log_text("error", why.message));
    engine_free(engine);
}

void engine_abandon(struct tier *tier)
{
    if (tier == NULL)
        return;
    struct engine *engine = engine_of(tier);
    background_stop(engine);
    engine_free(engine);
}

enum status engine_background_step(struct tier *tier, bool *did, struct error *err)
{
    return background_step(engine_of(tier), did, err);
}

void engine_set_warm_after(struct tier *tier, int64_t warm_after_ms)
{
    atomic_store(&engine_of(tier)->warm_after_ms, warm_after_ms);
}

/* ---- statistics ------------------------------------------------------------------------- */

static void version_stats(struct engine *engine, struct engine_stats *stats)
{
    struct version *version = engine_version(engine);
    int64_t day = INT64_MIN;
    stats->parts = version->part_count;
    for (size_t i = 0; i < version->part_count; i++) {
        const struct manifest_part *info = &version->parts[i]->info;
        stats->part_samples += info->samples;
        stats->part_bytes += info->bytes;
        stats->chunks += info->day != day;
        if (info->tier == PART_WARM) {
            stats->warm_parts++;
            stats->warm_samples += info->samples;
            stats->warm_bytes += info->bytes;
        }
        day = info->day;
    }
    rwlock_read(&engine->head_lock);
    stats->head_samples = head_sample_count(version->active->head);
    stats->head_bytes = head_memory(version->active->head);
    rwlock_unlock(&engine->head_lock);
    if (version->sealed != NULL) {
        stats->sealed_samples = head_sample_count(version->sealed->head);
        stats->sealed_bytes = head_memory(version->sealed->head);
    }
    if (version->tombstones != NULL) {
        stats->tombstones = version->tombstones->count;
        stats->tombstone_bytes = version->tombstones->bytes;
    }
    version_release(version);
}

static void series_stats(struct engine *engine, struct engine_stats *stats)
{
    rwlock_read(&engine->series_lock);
    stats->series_committed = series_index_committed(&engine->index);
    stats->series_reserved = series_index_reserved(&engine->index);
    stats->series_active = engine->activity.count;
    stats->activity_bytes = activity_memory(&engine->activity);
    stats->metrics_registered = engine->registry.count;
    stats->series_table_bytes = series_index_memory(&engine->index);
    stats->raw_cache_bytes = raw_cache_memory(&engine->raw_cache);
    stats->raw_cache_evictions = engine->raw_cache.evictions;
    rwlock_unlock(&engine->series_lock);
}

static void part_stats(struct engine *engine, struct engine_stats *stats)
{
    struct part_indexes_stats indexes;
    struct file_pool_stats files;
    part_indexes_stats(engine->part_commons.indexes, &indexes);
    file_pool_stats(engine->part_commons.files, &files);
    stats->part_index_bytes = indexes.bytes;
    stats->part_index_loads = indexes.loads;
    stats->part_index_evictions = indexes.evictions;
    stats->parts_open = files.open;
    stats->parts_reopened = files.reopened;
}

static void log_stats(struct engine *engine, struct engine_stats *stats)
{
    struct wal_stats wal;
    wal_stats(engine->wal, &wal);
    stats->log_bytes_written = wal.bytes;
    stats->log_syncs = wal.syncs;
    stats->log_segments = wal.segments;
    stats->log_sync_ns_sum = wal.sync_ns_sum;
    stats->log_sync_ns_max = wal.sync_ns_max;
}

void engine_stats(struct tier *tier, struct engine_stats *stats)
{
    struct engine *engine = engine_of(tier);
    const struct engine_counters *counters = &engine->counters;
    *stats = (struct engine_stats){
        .samples_appended = atomic_load(&counters->samples_appended),
        .commits = atomic_load(&counters->commits),
        .raw_cache_hits = atomic_load(&counters->cache_hits),
        .raw_cache_misses = atomic_load(&counters->cache_misses),
        .flushes = atomic_load(&counters->flushes),
        .flush_failures = atomic_load(&counters->flush_failures),
        .flushed_samples = atomic_load(&counters->flushed_samples),
        .flushed_bytes = atomic_load(&counters->flushed_bytes),
        .merges = atomic_load(&counters->merges),
        .merge_failures = atomic_load(&counters->merge_failures),
        .merged_bytes_read = atomic_load(&counters->merged_bytes_read),
        .merged_bytes_written = atomic_load(&counters->merged_bytes_written),
        .merge_pauses = atomic_load(&counters->merge_pauses),
        .warm_merges = atomic_load(&counters->warm_merges),
        .warm_bytes_read = atomic_load(&counters->warm_bytes_read),
        .warm_bytes_written = atomic_load(&counters->warm_bytes_written),
        .index_merges = atomic_load(&counters->index_merges),
        .index_merged_bytes_written = atomic_load(&counters->index_merged_bytes_written),
        .series_ids_freed = atomic_load(&counters->series_ids_freed),
        .chunks_dropped = atomic_load(&counters->chunks_dropped),
        .rule_runs = atomic_load(&counters->rule_runs),
        .rule_deletes = atomic_load(&counters->rule_deletes),
        .rule_series = atomic_load(&counters->rule_series),
        .retention_time_ms = atomic_load(&engine->retention.believed_ms),
        .deletes = atomic_load(&counters->deletes),
        .damaged_blocks = atomic_load(&counters->damaged_blocks),
        .index_segments = atomic_load(&counters->index_segments),
        .index_bytes = atomic_load(&counters->index_bytes),
        .recovery = engine->recovery,
    };
    version_stats(engine, stats);
    series_stats(engine, stats);
    part_stats(engine, stats);
    log_stats(engine, stats);
    struct filesystem_space space;
    if (filesystem_space(engine->os.fs, engine->dir, &space, NULL) == STATUS_OK) {
        stats->disk_total_bytes = space.total_bytes;
        stats->disk_free_bytes = space.free_bytes;
    }
}

#include "storage/engine/flush_index.h"

#include <stdlib.h>

#include "storage/engine/paths.h"

static void remove_segment(struct engine *engine, uint64_t id)
{
    char *path = path_of_segment(engine->dir, id);
    /* One that stays is removed at the next start. */
    enum status removed =
        path == NULL ? STATUS_MEMORY : filesystem_remove(engine->os.fs, path, NULL);
    (void)removed;
    free(path);
}

static bool stays(const struct engine *engine, uint64_t id)
{
    for (size_t i = 0; i < engine->damaged_segment_count; i++)
        if (engine->damaged_segments[i] == id)
            return true;
    return false;
}

/* The edit removes all segments of this kind but those that are damaged. */
static enum status replace(struct engine *engine, struct index_flush *flush,
                           struct manifest_edit *edit, enum segment_kind kind, struct error *err)
{
    enum status status = STATUS_OK;
    mutex_lock(&engine->manifest_lock);
    const struct manifest_state *state = manifest_state(engine->manifest);
    uint64_t *replaced = realloc(
        flush->replaced, (flush->replaced_count + state->segment_count + 1) * sizeof replaced[0]);
    if (replaced == NULL)
        status = fail(err, STATUS_MEMORY, "no memory for a flush");
    else
        flush->replaced = replaced;
    for (size_t i = 0; i < state->segment_count && status == STATUS_OK; i++) {
        if (state->segments[i].kind != kind || stays(engine, state->segments[i].id))
            continue;
        manifest_remove_segment(edit, state->segments[i].id);
        replaced[flush->replaced_count++] = state->segments[i].id;
    }
    mutex_unlock(&engine->manifest_lock);
    return status;
}

/* A segment that was written takes the place of all of its kind. *made is its file. */
static enum status put_segment(struct engine *engine, struct index_flush *flush,
                               struct manifest_edit *edit, struct manifest_segment *info,
                               const struct index_segment_stats *stats, uint64_t *made,
                               struct error *err)
{
    *made = info->id;
    info->entries = stats->entries;
    info->bytes = stats->bytes;
    manifest_add_segment(edit, info);
    return replace(engine, flush, edit, info->kind, err);
}

static enum status write_sealed(struct engine *engine, struct index_flush *flush,
                                struct manifest_edit *edit, struct error *err)
{
    /* All of the table was logged by now. While the log is replayed nobody knows how far. */
    uint64_t logged_until = engine->wal == NULL ? UINT64_MAX : wal_position(engine->wal);
    struct manifest_segment info = {.id = engine_take_file_id(engine), .kind = SEGMENT_INDEX};
    char *path = path_of_segment(engine->dir, info.id);
    if (path == NULL)
        return fail(err, STATUS_MEMORY, "no memory for a path");
    struct series_segment_stats stats;
    enum status status =
        series_index_write_sealed(&engine->index, engine->os.fs, path, info.id, &stats, err);
    free(path);
    if (status != STATUS_OK)
        return status;
    info.entries = stats.series;
    info.bytes = stats.bytes;
    status = segment_ref_open(&flush->series, engine->os, engine->dir, &info, err);
    if (status != STATUS_OK) {
        remove_segment(engine, info.id);
        return status;
    }
    flush->series->logged_until = logged_until;
    manifest_add_segment(edit, &info);
    /* What earlier versions wrote was loaded into the table, all of it. */
    return replace(engine, flush, edit, SEGMENT_SERIES, err);
}

static enum status write_series(struct engine *engine, struct index_flush *flush,
                                struct manifest_edit *edit, struct error *err)
{
    rwlock_write(&engine->series_lock);
    enum status status = series_index_seal(&engine->index);
    atomic_store(&engine->table_bytes, 0);
    rwlock_unlock(&engine->series_lock);
    if (status != STATUS_OK)
        return fail(err, status, "no memory for a flush");
    return engine->index.sealed.committed_series == 0 ? STATUS_OK
                                                      : write_sealed(engine, flush, edit, err);
}

static void set_dirty(struct engine *engine)
{
    rwlock_write(&engine->series_lock);
    engine->registry_dirty = true;
    rwlock_unlock(&engine->series_lock);
}

static enum status write_metrics(struct engine *engine, struct index_flush *flush,
                                 struct manifest_edit *edit, struct error *err)
{
    rwlock_write(&engine->series_lock);
    bool dirty = engine->registry_dirty;
    engine->registry_dirty = false;
    rwlock_unlock(&engine->series_lock);
    if (!dirty)
        return STATUS_OK;
    struct manifest_segment info = {.id = engine_take_file_id(engine), .kind = SEGMENT_METRICS};
    struct index_segment_stats stats;
    enum status status = index_segment_write_metrics(
        engine->os, engine->dir, info.id, &engine->registry, &engine->series_lock, &stats, err);
    if (status != STATUS_OK) {
        set_dirty(engine);
        return status;
    }
    return put_segment(engine, flush, edit, &info, &stats, &flush->metrics, err);
}

enum status index_flush_deletes(struct engine *engine, struct index_flush *flush,
                                const struct tombstone_set *set, uint64_t flushed_sequence,
                                struct manifest_edit *edit, struct error *err)
{
    size_t flushed = 0;
    for (size_t i = 0; set != NULL && i < set->count; i++)
        flushed += set->items[i]->sequence <= flushed_sequence;
    if (flushed == 0)
        return replace(engine, flush, edit, SEGMENT_DELETES, err);
    struct manifest_segment info = {.id = engine_take_file_id(engine), .kind = SEGMENT_DELETES};
    struct index_segment_stats stats;
    enum status status = index_segment_write_deletes(engine->os, engine->dir, info.id, set,
                                                     flushed_sequence, &stats, err);
    return status == STATUS_OK
               ? put_segment(engine, flush, edit, &info, &stats, &flush->deletes, err)
               : status;
}

static enum status write_deletes(struct engine *engine, struct index_flush *flush,
                                 const struct version *version, struct manifest_edit *edit,
                                 struct error *err)
{
    if (!version->sealed->has_deletes)
        return STATUS_OK;
    return index_flush_deletes(engine, flush, version->tombstones, version->sealed->last_sequence,
                               edit, err);
}

/* All of it, as a segment replaces the one before. What was received since the head was sealed is
 * in the log too. */
static enum status write_activity(struct engine *engine, struct index_flush *flush,
                                  struct manifest_edit *edit, struct error *err)
{
    struct manifest_segment info = {.id = engine_take_file_id(engine), .kind = SEGMENT_ACTIVITY};
    struct index_segment_stats stats;
    enum status status = index_segment_write_activity(
        engine->os, engine->dir, info.id, &engine->activity, &engine->series_lock, &stats, err);
    return status == STATUS_OK
               ? put_segment(engine, flush, edit, &info, &stats, &flush->activity, err)
               : status;
}

enum status index_flush_write(struct engine *engine, struct index_flush *flush,
                              const struct version *version, struct manifest_edit *edit,
                              struct error *err)
{
    *flush = (struct index_flush){0};
    enum status status = write_activity(engine, flush, edit, err);
    if (status == STATUS_OK)
        status = write_series(engine, flush, edit, err);
    if (status == STATUS_OK)
        status = write_metrics(engine, flush, edit, err);
    return status == STATUS_OK ? write_deletes(engine, flush, version, edit, err) : status;
}

static void release(struct index_flush *flush)
{
    segment_ref_release(flush->series);
    free(flush->replaced);
    *flush = (struct index_flush){0};
}

void index_flush_done(struct engine *engine, struct index_flush *flush)
{
    for (size_t i = 0; i < flush->replaced_count; i++)
        remove_segment(engine, flush->replaced[i]);
    release(flush);
}

void index_flush_undo(struct engine *engine, struct index_flush *flush, bool keep_files)
{
    /* The table stays sealed: the next flush writes it again. */
    if (flush->series != NULL)
        atomic_store(&flush->series->doomed, !keep_files);
    if (flush->metrics != 0) {
        set_dirty(engine);
        if (!keep_files)
            remove_segment(engine, flush->metrics);
    }
    if (flush->deletes != 0 && !keep_files)
        remove_segment(engine, flush->deletes);
    if (flush->activity != 0 && !keep_files)
        remove_segment(engine, flush->activity);
    release(flush);
}

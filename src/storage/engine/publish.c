/*
 * publish - what background work made becomes the store: one edit of the manifest, and the version
 * that readers see.
 */
#include <stdlib.h>

#include "base/invariant.h"
#include "storage/engine/engine_internal.h"
#include "storage/engine/paths.h"

uint64_t engine_take_file_id(struct engine *engine)
{
    mutex_lock(&engine->manifest_lock);
    uint64_t id = engine->next_file++;
    mutex_unlock(&engine->manifest_lock);
    return id;
}

/* A store that is found damaged is read as far as it goes. What is to take the place of something
 * sound has to be sound itself. */
enum status engine_open_made(struct engine *engine, const struct manifest_part *info,
                             struct part_ref **made, struct error *err)
{
    struct error why = {0};
    enum status status =
        part_ref_open(made, engine->os, engine->dir, &engine->part_commons, info, &why);
    if (status == STATUS_OK) {
        status = part_damage((*made)->part) != NULL
                     ? fail(&why, STATUS_CORRUPT, "%s", part_damage((*made)->part))
                     : part_expect_index((*made)->part, &why);
        if (status != STATUS_OK) {
            error_prefix(&why, "%s", (*made)->path);
            part_ref_release(*made);
            *made = NULL;
        }
    }
    if (status == STATUS_OK)
        return status;
    /* None of the stored ones is damaged. */
    return fail(err, status == STATUS_CORRUPT ? STATUS_IO : status,
                "a part that was just written cannot be read back: %s", why.message);
}

void engine_note_index(struct engine *engine)
{
    const struct manifest_state *state = manifest_state(engine->manifest);
    uint64_t bytes = 0;
    uint64_t segments = 0;
    for (size_t i = 0; i < state->segment_count; i++) {
        /* Of the same folder, but nothing is looked up in it. */
        if (state->segments[i].kind == SEGMENT_ACTIVITY)
            continue;
        bytes += state->segments[i].bytes;
        segments++;
    }
    atomic_store(&engine->counters.index_segments, segments);
    atomic_store(&engine->counters.index_bytes, bytes);
}

static int compare_parts(const void *a, const void *b)
{
    const struct manifest_part *left = &(*(struct part_ref *const *)a)->info;
    const struct manifest_part *right = &(*(struct part_ref *const *)b)->info;
    if (left->day != right->day)
        return left->day < right->day ? -1 : 1;
    return (left->min_sequence > right->min_sequence) - (left->min_sequence < right->min_sequence);
}

static bool is_removed(const struct parts_change *change, const struct part_ref *part)
{
    for (size_t i = 0; i < change->removed_count; i++)
        if (change->removed[i] == part)
            return true;
    return false;
}

/* The parts as they will be. With manifest_lock, so that nobody else changes them meanwhile.
 * *removed: how many of those that go are there. NULL without memory. */
static struct part_ref **changed_parts(struct engine *engine, const struct parts_change *change,
                                       size_t *count, size_t *removed)
{
    struct version *version = engine_version(engine); /* a rotation may replace it */
    size_t most = version->part_count + change->added_count;
    struct part_ref **parts = malloc((most + 1) * sizeof parts[0]);
    if (parts == NULL) {
        version_release(version);
        return NULL;
    }
    *count = 0;
    for (size_t i = 0; i < version->part_count; i++)
        if (!is_removed(change, version->parts[i]))
            parts[(*count)++] = version->parts[i];
    *removed = version->part_count - *count;
    for (size_t i = 0; i < change->added_count; i++)
        parts[(*count)++] = change->added[i];
    if (*count > 0)
        qsort(parts, *count, sizeof parts[0], compare_parts);
    version_release(version);
    return parts;
}

static enum status commit(struct engine *engine, struct manifest_edit *edit, struct error *err)
{
    manifest_set_next_file(edit, engine->next_file);
    int64_t time_ms = atomic_load(&engine->retention.believed_ms);
    if (time_ms != 0)
        manifest_set_time(edit, time_ms);
    enum status status = manifest_commit(engine->manifest, edit, err);
    engine_note_index(engine);
    if (status != STATUS_OK && manifest_broken(engine->manifest))
        engine_break(engine, "manifest", "sync of the manifest failed: writes stop", err);
    return status;
}

/* ---- what readers see -------------------------------------------------------------------- */

/* Made before the edit is committed: afterwards nothing may fail. */
struct prepared {
    struct part_ref **parts;
    size_t part_count;
    struct version *version;
    struct segment_set *segments; /* NULL: the index stays as it is */
};

static void prepared_release(struct prepared *prepared)
{
    free(prepared->parts);
    free(prepared->version);
    segment_set_release(prepared->segments);
}

/* With manifest_lock: nobody else changes parts or segments meanwhile. */
static enum status prepare(struct engine *engine, const struct parts_change *change,
                           struct prepared *prepared, struct error *err)
{
    *prepared = (struct prepared){0};
    size_t removed = 0;
    prepared->parts = changed_parts(engine, change, &prepared->part_count, &removed);
    if (prepared->parts != NULL && removed < change->removed_count)
        return fail(err, STATUS_CONFLICT, "parts that were to be replaced are gone");
    prepared->version = version_reserve(prepared->part_count);
    bool complete = prepared->parts != NULL && prepared->version != NULL;
    const struct index_change *index = change->index;
    if (index != NULL) {
        /* Nobody else replaces it; comparing what segments hold takes long. */
        rwlock_read(&engine->series_lock);
        struct segment_set *set = segment_set_acquire(engine->index.segments);
        rwlock_unlock(&engine->series_lock);
        prepared->segments =
            segment_set_replace(set, index->removed, index->removed_count, index->added);
        segment_set_release(set);
        complete = complete && prepared->segments != NULL;
    }
    return complete ? STATUS_OK : fail(err, STATUS_MEMORY, "no memory for a version");
}

/* Those of the present version without the first ones that are gone; a delete may have come since.
 * With append_lock. Without memory all stay until the next start: what is gone hides nothing. */
static struct tombstone_set *changed_tombstones(struct engine *engine,
                                                const struct parts_change *change)
{
    struct tombstone_set *set = engine_newest(engine)->tombstones;
    if (change->gone == NULL)
        return tombstone_set_acquire(set);
    invariant(set != NULL && set->count >= change->gone_count);
    bool *gone = calloc(set->count, sizeof gone[0]);
    struct tombstone_set *without = NULL;
    enum status status = STATUS_MEMORY;
    if (gone != NULL) {
        memcpy(gone, change->gone, change->gone_count * sizeof gone[0]);
        status = tombstone_set_remove(set, gone, &without);
    }
    free(gone);
    return status == STATUS_OK ? without : tombstone_set_acquire(set);
}

static void replace_version(struct engine *engine, struct prepared *prepared,
                            const struct parts_change *change)
{
    /* Rotation replaces the version too, but under append_lock. */
    mutex_lock(&engine->append_lock);
    struct version *old = engine_newest(engine);
    struct version *version = prepared->version;
    prepared->version = NULL;
    struct tombstone_set *tombstones = changed_tombstones(engine, change);
    version_fill(version, old->active, change->drop_sealed ? NULL : old->sealed, prepared->parts,
                 prepared->part_count, tombstones);
    tombstone_set_release(tombstones);
    version->flushed_sequence = old->flushed_sequence;
    if (change->drop_sealed && old->sealed->last_sequence > old->flushed_sequence)
        version->flushed_sequence = old->sealed->last_sequence;
    old = version_slot_replace(&engine->version, version);
    mutex_unlock(&engine->append_lock);
    version_release(old);
}

static void replace_segments(struct engine *engine, struct prepared *prepared,
                             const struct index_change *change)
{
    struct segment_set *segments = prepared->segments;
    prepared->segments = NULL;
    struct series_index_old old;
    rwlock_write(&engine->series_lock);
    if (change->drop_sealed)
        series_index_drop_sealed(&engine->index, segments, &old);
    else
        series_index_replace_set(&engine->index, segments, &old);
    rwlock_unlock(&engine->series_lock);
    series_index_old_release(&old);
}

enum status engine_publish(struct engine *engine, struct manifest_edit *edit,
                           const struct parts_change *change, struct error *err)
{
    mutex_lock(&engine->manifest_lock);
    for (size_t i = 0; i < change->removed_count; i++)
        manifest_remove_part(edit, change->removed[i]->info.id);
    for (size_t i = 0; i < change->added_count; i++)
        manifest_add_part(edit, &change->added[i]->info);
    struct prepared prepared;
    enum status status = prepare(engine, change, &prepared, err);
    if (status == STATUS_OK)
        status = commit(engine, edit, err);
    bool unknown = status != STATUS_OK && manifest_broken(engine->manifest);
    if (status == STATUS_OK) {
        replace_version(engine, &prepared, change);
        if (change->index != NULL)
            replace_segments(engine, &prepared, change->index);
        atomic_fetch_add(&engine->edits, 1);
        for (size_t i = 0; i < change->removed_count; i++)
            atomic_store(&change->removed[i]->doomed, true);
    }
    /* After a failed sync the edit may be on disk: what it names must stay for the next start. */
    for (size_t i = 0; i < change->added_count; i++)
        atomic_store(&change->added[i]->doomed, status != STATUS_OK && !unknown);
    prepared_release(&prepared);
    mutex_unlock(&engine->manifest_lock);
    return status;
}

void engine_remove_part(struct engine *engine, uint64_t id)
{
    char *path = path_of_part(engine->dir, id);
    /* One that stays is removed at the next start. */
    enum status removed =
        path == NULL ? STATUS_MEMORY : filesystem_remove(engine->os.fs, path, NULL);
    (void)removed;
    free(path);
}

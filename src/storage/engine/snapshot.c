/*
 * snapshot - a store of its own out of the files of this one.
 *
 * All that the log holds is flushed first, so that the manifest of that moment needs no log: the
 * snapshot's says the same, but for the position in the log, and names files that never change.
 * Whoever merges or drops meanwhile takes nothing away: version and segment set are held, and files
 * go with their last reader. Flushes, which remove what nobody holds, wait until that was linked.
 *
 * Order: files, their directories, the names of these, then the manifest. A directory with parts
 * and without a manifest is refused by everybody who opens it.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "storage/engine/copy_file.h"
#include "storage/engine/engine_internal.h"
#include "storage/engine/paths.h"

enum { ATTEMPTS = 8 };

static const char *const folders[] = {"parts", "index", "wal"};
enum { FOLDERS = sizeof folders / sizeof folders[0] };

struct snapshot {
    struct engine *engine;
    const char *dir;
    bool copy;
    struct engine_snapshot_result *result;
    struct error *err;
    struct file *lock;
    bool made;  /* the directory was not there */
    bool owned; /* what is in it is ours */
    bool named; /* its manifest was begun */
    struct manifest_state state;
    struct version *version;
    struct segment_set *set;
};

static enum status no_path(struct snapshot *snapshot)
{
    return fail(snapshot->err, STATUS_MEMORY, "no memory for a path");
}

/* ---- the directory ---------------------------------------------------------------------- */

static enum status find_entry(void *context, const char *name, bool is_directory, struct error *err)
{
    (void)is_directory;
    (void)err;
    bool *found = context;
    *found = *found || strcmp(name, "lock") != 0;
    return STATUS_OK;
}

static enum status expect_empty(struct snapshot *snapshot)
{
    bool found = false;
    enum status status =
        filesystem_list(snapshot->engine->os.fs, snapshot->dir, find_entry, &found, snapshot->err);
    if (status == STATUS_OK && found)
        return fail(snapshot->err, STATUS_CONFLICT,
                    "%s is there already and is not empty: name another directory, or remove it "
                    "where it is a snapshot that was cut short",
                    snapshot->dir);
    return status;
}

/* Held until the snapshot is whole: nobody opens it before, or makes another one in it. */
static enum status take_directory(struct snapshot *snapshot)
{
    struct filesystem *fs = snapshot->engine->os.fs;
    bool occupied = false;
    enum status there = filesystem_list(fs, snapshot->dir, find_entry, &occupied, NULL);
    char *path = path_format("%s/lock", snapshot->dir);
    if (path == NULL)
        return no_path(snapshot);
    enum status status = filesystem_make_directory(fs, snapshot->dir, snapshot->err);
    snapshot->made = status == STATUS_OK && there == STATUS_NOT_FOUND;
    if (status == STATUS_OK && occupied)
        status = expect_empty(snapshot);
    if (status == STATUS_OK)
        status = filesystem_lock(fs, path, &snapshot->lock, snapshot->err);
    free(path);
    if (status == STATUS_OK)
        status = expect_empty(snapshot);
    snapshot->owned = status == STATUS_OK;
    return status;
}

static enum status each_folder(struct snapshot *snapshot,
                               enum status (*step)(struct filesystem *fs, const char *path,
                                                   struct error *err))
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < FOLDERS && status == STATUS_OK; i++) {
        char *path = path_format("%s/%s", snapshot->dir, folders[i]);
        if (path == NULL)
            return no_path(snapshot);
        status = step(snapshot->engine->os.fs, path, snapshot->err);
        free(path);
    }
    return status;
}

/* All names but the manifest's. */
static enum status sync_names(struct snapshot *snapshot)
{
    struct filesystem *fs = snapshot->engine->os.fs;
    char *parent = path_parent(snapshot->dir);
    if (parent == NULL)
        return no_path(snapshot);
    enum status status = each_folder(snapshot, filesystem_sync_directory);
    if (status == STATUS_OK)
        status = filesystem_sync_directory(fs, snapshot->dir, snapshot->err);
    if (status == STATUS_OK)
        status = filesystem_sync_directory(fs, parent, snapshot->err);
    free(parent);
    return status;
}

/* ---- files ------------------------------------------------------------------------------ */

static bool is_named(struct engine *engine, uint64_t id)
{
    bool named = false;
    mutex_lock(&engine->manifest_lock);
    const struct manifest_state *state = manifest_state(engine->manifest);
    for (size_t i = 0; i < state->part_count; i++)
        named = named || state->parts[i].id == id;
    for (size_t i = 0; i < state->segment_count; i++)
        named = named || state->segments[i].id == id;
    mutex_unlock(&engine->manifest_lock);
    return named;
}

/* BUSY: it went between the look at the manifest and now, so that another look is needed. */
static enum status take_file(struct snapshot *snapshot, char *(*path_of)(const char *, uint64_t),
                             uint64_t id)
{
    struct engine *engine = snapshot->engine;
    char *from = path_of(engine->dir, id);
    char *to = path_of(snapshot->dir, id);
    struct error why = {0};
    enum status status = STATUS_MEMORY;
    if (from != NULL && to != NULL)
        status = (snapshot->copy ? copy_file : filesystem_link)(engine->os.fs, from, to, &why);
    free(from);
    free(to);
    if (status == STATUS_NOT_FOUND && !is_named(engine, id))
        return STATUS_BUSY;
    if (status == STATUS_NOT_FOUND) {
        /* The snapshot is as good as the store is, and verify says of both what is missing. */
        snapshot->result->missing++;
        return STATUS_OK;
    }
    if (status == STATUS_MEMORY)
        return no_path(snapshot);
    return status == STATUS_OK ? status : fail(snapshot->err, status, "%s", why.message);
}

/* Segments that nobody holds go with a flush. */
static enum status take_held_by_flush(struct snapshot *snapshot)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < snapshot->state.segment_count && status == STATUS_OK; i++)
        if (snapshot->state.segments[i].kind != SEGMENT_INDEX)
            status = take_file(snapshot, path_of_segment, snapshot->state.segments[i].id);
    return status;
}

static enum status take_rest(struct snapshot *snapshot)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < snapshot->state.segment_count && status == STATUS_OK; i++)
        if (snapshot->state.segments[i].kind == SEGMENT_INDEX)
            status = take_file(snapshot, path_of_segment, snapshot->state.segments[i].id);
    for (size_t i = 0; i < snapshot->state.part_count && status == STATUS_OK; i++)
        status = take_file(snapshot, path_of_part, snapshot->state.parts[i].id);
    return status;
}

/* ---- one look at the store --------------------------------------------------------------- */

static enum status look(struct snapshot *snapshot)
{
    struct engine *engine = snapshot->engine;
    mutex_lock(&engine->manifest_lock);
    enum status status =
        manifest_state_copy(&snapshot->state, manifest_state(engine->manifest), snapshot->err);
    snapshot->version = engine_version(engine);
    rwlock_read(&engine->series_lock);
    snapshot->set = segment_set_acquire(engine->index.segments);
    rwlock_unlock(&engine->series_lock);
    mutex_unlock(&engine->manifest_lock);
    if (status == STATUS_OK && snapshot->state.edits_lost)
        return fail(snapshot->err, STATUS_CORRUPT,
                    "the manifest is damaged and does not say any more what all of the store is: "
                    "stop the service and run metric-store verify --repair first");
    return status;
}

static void forget(struct snapshot *snapshot)
{
    version_release(snapshot->version);
    segment_set_release(snapshot->set);
    snapshot->version = NULL;
    snapshot->set = NULL;
    manifest_state_release(&snapshot->state);
}

static void remove_name(struct snapshot *snapshot, char *path, bool is_directory)
{
    struct filesystem *fs = snapshot->engine->os.fs;
    /* What stays has no manifest beside it (manifest_is_gone). */
    enum status removed = path == NULL   ? STATUS_MEMORY
                          : is_directory ? filesystem_remove_directory(fs, path, NULL)
                                         : filesystem_remove(fs, path, NULL);
    (void)removed;
    free(path);
}

static void remove_files(struct snapshot *snapshot)
{
    const struct manifest_state *state = &snapshot->state;
    for (size_t i = 0; i < state->segment_count; i++)
        remove_name(snapshot, path_of_segment(snapshot->dir, state->segments[i].id), false);
    for (size_t i = 0; i < state->part_count; i++)
        remove_name(snapshot, path_of_part(snapshot->dir, state->parts[i].id), false);
    snapshot->result->missing = 0;
}

static enum status take_once(struct snapshot *snapshot)
{
    struct engine *engine = snapshot->engine;
    mutex_lock(&engine->flush_lock);
    enum status status = engine_flush_log(engine, snapshot->err);
    if (status == STATUS_OK)
        status = look(snapshot);
    if (status == STATUS_OK)
        status = take_held_by_flush(snapshot);
    mutex_unlock(&engine->flush_lock);
    return status == STATUS_OK ? take_rest(snapshot) : status;
}

static enum status take_files(struct snapshot *snapshot)
{
    enum status status = STATUS_BUSY;
    for (int i = 0; i < ATTEMPTS && status == STATUS_BUSY; i++) {
        status = take_once(snapshot);
        if (status == STATUS_BUSY) {
            remove_files(snapshot);
            forget(snapshot);
        }
    }
    if (status == STATUS_BUSY)
        return fail(snapshot->err, status,
                    "the files of the store change faster than they can be taken; try again");
    return status;
}

static enum status write_manifest(struct snapshot *snapshot)
{
    struct manifest_state state = snapshot->state;
    /* A log that begins anew. */
    state.log_position = 0;
    snapshot->named = true;
    return manifest_write(snapshot->engine->os, snapshot->dir, &state, snapshot->err);
}

/* ---- all of it -------------------------------------------------------------------------- */

static void count_all(struct snapshot *snapshot)
{
    struct engine_snapshot_result *result = snapshot->result;
    const struct manifest_state *state = &snapshot->state;
    result->parts = state->part_count;
    result->segments = state->segment_count;
    for (size_t i = 0; i < state->part_count; i++) {
        result->samples += state->parts[i].samples;
        result->bytes += state->parts[i].bytes;
    }
    for (size_t i = 0; i < state->segment_count; i++) {
        bool series =
            state->segments[i].kind == SEGMENT_SERIES || state->segments[i].kind == SEGMENT_INDEX;
        result->series += series ? state->segments[i].entries : 0;
        result->bytes += state->segments[i].bytes;
    }
}

/* Whether no crash brings a manifest back: only then may the files that it names go. With it they
 * are a whole snapshot, without it nobody takes them for one. */
static bool manifest_is_gone(struct snapshot *snapshot)
{
    struct filesystem *fs = snapshot->engine->os.fs;
    if (!snapshot->named)
        return true;
    char *path = path_format("%s/manifest", snapshot->dir);
    if (path == NULL)
        return false;
    enum status status = filesystem_remove(fs, path, NULL);
    free(path);
    return (status == STATUS_OK || status == STATUS_NOT_FOUND) &&
           filesystem_sync_directory(fs, snapshot->dir, NULL) == STATUS_OK;
}

static void undo(struct snapshot *snapshot)
{
    if (snapshot->owned && !manifest_is_gone(snapshot))
        return;
    if (snapshot->owned) {
        remove_files(snapshot);
        for (size_t i = 0; i < FOLDERS; i++)
            remove_name(snapshot, path_format("%s/%s", snapshot->dir, folders[i]), true);
        remove_name(snapshot, path_format("%s/lock", snapshot->dir), false);
    }
    if (snapshot->made)
        remove_name(snapshot, path_format("%s", snapshot->dir), true);
}

static enum status make(struct snapshot *snapshot)
{
    enum status status = take_directory(snapshot);
    if (status != STATUS_OK)
        return status;
    status = each_folder(snapshot, filesystem_make_directory);
    if (status == STATUS_OK)
        status = take_files(snapshot);
    if (status == STATUS_OK)
        status = sync_names(snapshot);
    return status == STATUS_OK ? write_manifest(snapshot) : status;
}

enum status engine_snapshot(struct tier *tier, const char *dir, bool copy,
                            struct engine_snapshot_result *result, struct error *err)
{
    struct engine *engine = engine_of(tier);
    struct error local = {0};
    struct snapshot snapshot = {.engine = engine,
                                .dir = dir,
                                .copy = copy,
                                .result = result,
                                .err = err == NULL ? &local : err};
    int64_t started_ns = clock_monotonic_ns(engine->os.clock);
    *result = (struct engine_snapshot_result){0};
    if (engine->options.read_only)
        return fail(err, STATUS_INVALID, "a store that is only read cannot be flushed");
    enum status status = make(&snapshot);
    if (status == STATUS_OK)
        count_all(&snapshot);
    else
        undo(&snapshot);
    file_close(snapshot.lock);
    forget(&snapshot);
    result->duration_ms = (clock_monotonic_ns(engine->os.clock) - started_ns) / 1000000;
    if (status != STATUS_OK) {
        error_prefix(snapshot.err, "cannot make a snapshot in %s", dir);
        return status;
    }
    log_event(engine->log, LOG_INFO, "engine", "snapshot made", log_text("directory", dir),
              log_int("samples", (int64_t)result->samples),
              log_int("files", (int64_t)(result->parts + result->segments)),
              log_int("bytes", (int64_t)result->bytes),
              log_int("duration_ms", result->duration_ms));
    return STATUS_OK;
}

/*
 * repair - what is whole of a damaged store, made a sound one again.
 *
 *   1  the manifest: its copies are healed by opening it; where edits are lost, the files that it
 *      should name are looked for
 *   2  index segments: made anew from their definitions
 *   3  the log: replayed by a start, flushed, and begun anew
 *   4  parts: written anew without the blocks that cannot be read, and without series that nothing
 *      defines any more
 * Each file is replaced by one edit of the manifest, after the old one got a name in quarantine/;
 * so a repair that is killed leaves a store like the one it found, or a better one, and can be run
 * again. Nothing that was damaged is destroyed.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "storage/engine/copy_file.h"
#include "storage/engine/engine_internal.h"
#include "storage/engine/paths.h"
#include "storage/engine/reading_around.h"
#include "storage/engine/repair_state.h"

enum { MAX_KEPT = 1000 };

/* ---- shared ----------------------------------------------------------------------------- */

enum status repair_no_path(struct error *err)
{
    return fail(err, STATUS_MEMORY, "no memory for a path");
}

void repair_tell(struct repair *repair, enum engine_finding finding, const char *path,
                 const char *format, ...)
{
    char text[ERROR_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (finding == ENGINE_LOST)
        repair->result->losses++;
    if (finding == ENGINE_REPAIRED)
        repair->result->repaired++;
    repair->report(repair->context, finding, path, text);
}

enum status repair_go_on(struct repair *repair, struct error *err)
{
    if (repair->progress != NULL && repair->progress(repair->context, 0, 0))
        return fail(err, STATUS_CANCELLED, "stopped before everything was repaired");
    return STATUS_OK;
}

enum status repair_new_file(struct repair *repair, char *(*path_of)(const char *, uint64_t),
                            uint64_t *id, char **path, struct error *err)
{
    *id = repair->next_file++;
    *path = path_of(repair->dir, *id);
    if (*path == NULL)
        return repair_no_path(err);
    struct error why = {0};
    enum status status = filesystem_remove(repair->os.fs, *path, &why);
    return status == STATUS_OK || status == STATUS_NOT_FOUND ? STATUS_OK
                                                             : fail(err, status, "%s", why.message);
}

static enum status sync_folder(struct repair *repair, const char *name, struct error *err)
{
    char *path = path_format("%s/%s", repair->dir, name);
    if (path == NULL)
        return repair_no_path(err);
    enum status status = filesystem_sync_directory(repair->os.fs, path, err);
    free(path);
    return status;
}

static enum status make_quarantine(struct repair *repair, struct error *err)
{
    char *path = path_format("%s/quarantine", repair->dir);
    if (path == NULL)
        return repair_no_path(err);
    enum status status = filesystem_make_directory(repair->os.fs, path, err);
    free(path);
    return status == STATUS_OK ? filesystem_sync_directory(repair->os.fs, repair->dir, err)
                               : status;
}

/* A copy gets its name when it is complete. */
static enum status keep_as(struct repair *repair, const char *path, const char *kept, bool copy,
                           struct error *err)
{
    struct filesystem *fs = repair->os.fs;
    struct error why = {0};
    enum status status = copy ? STATUS_UNSUPPORTED : filesystem_link(fs, path, kept, &why);
    if (status != STATUS_UNSUPPORTED)
        return status == STATUS_OK ? status : fail(err, status, "%s", why.message);
    struct file *there = NULL;
    if (filesystem_open(fs, kept, FILE_READ, &there, NULL) == STATUS_OK) {
        file_close(there);
        return fail(err, STATUS_CONFLICT, "%s is there already", kept);
    }
    char *part = path_format("%s.half", kept);
    if (part == NULL)
        return repair_no_path(err);
    status = filesystem_remove(fs, part, &why);
    struct reading_around around;
    reading_around_init(&around, fs, NULL, NULL);
    if (status == STATUS_OK || status == STATUS_NOT_FOUND)
        status = copy_file(&around.fs, path, part, err);
    else
        status = fail(err, status, "%s", why.message);
    reading_around_release(&around);
    if (status == STATUS_OK)
        status = filesystem_rename(fs, part, kept, err);
    free(part);
    return status;
}

enum status repair_keep(struct repair *repair, const char *path, bool copy, struct error *err)
{
    const char *slash = strrchr(path, '/');
    const char *name = slash == NULL ? path : slash + 1;
    enum status status = make_quarantine(repair, err);
    struct error why = {.status = STATUS_CONFLICT};
    enum status kept = STATUS_CONFLICT;
    for (unsigned i = 0; i < MAX_KEPT && status == STATUS_OK && kept == STATUS_CONFLICT; i++) {
        char *to = i == 0 ? path_format("%s/quarantine/%s", repair->dir, name)
                          : path_format("%s/quarantine/%s.%u", repair->dir, name, i);
        if (to == NULL)
            return repair_no_path(err);
        kept = keep_as(repair, path, to, copy, &why);
        free(to);
    }
    if (status != STATUS_OK)
        return status;
    if (kept == STATUS_NOT_FOUND)
        return STATUS_OK;
    if (kept != STATUS_OK)
        return fail(err, kept, "%s", why.message);
    repair->result->kept++;
    return sync_folder(repair, "quarantine", err);
}

enum status repair_replace(struct repair *repair, struct manifest_edit *edit, const char *folder,
                           const char *old, struct error *err)
{
    manifest_set_next_file(edit, repair->next_file);
    enum status status = sync_folder(repair, folder, err);
    if (status == STATUS_OK)
        status = manifest_commit(repair->manifest, edit, err);
    if (status != STATUS_OK || old == NULL)
        return status;
    struct error why = {0};
    status = filesystem_remove(repair->os.fs, old, &why);
    return status == STATUS_OK || status == STATUS_NOT_FOUND ? STATUS_OK
                                                             : fail(err, status, "%s", why.message);
}

/* ---- passes ----------------------------------------------------------------------------- */

struct pass {
    struct repair *repair;
    struct file *lock;
};

static void pass_end(struct pass *pass)
{
    struct repair *repair = pass->repair;
    manifest_state_release(&repair->state);
    manifest_close(repair->manifest);
    repair->manifest = NULL;
    file_close(pass->lock);
}

/* Opening the manifest heals what one of its two copies says. */
static enum status pass_begin(struct pass *pass, struct repair *repair, struct error *err)
{
    *pass = (struct pass){.repair = repair};
    char *path = path_format("%s/lock", repair->dir);
    if (path == NULL)
        return repair_no_path(err);
    enum status status = filesystem_lock(repair->os.fs, path, &pass->lock, err);
    free(path);
    if (status == STATUS_OK)
        status = manifest_open(&repair->manifest, repair->os, repair->dir, NULL, NULL, err);
    if (status == STATUS_OK)
        status = manifest_state_copy(&repair->state, manifest_state(repair->manifest), err);
    repair->next_file = repair->state.next_file;
    if (status != STATUS_OK)
        pass_end(pass);
    return status;
}

/* ---- what is found ---------------------------------------------------------------------- */

struct findings {
    struct repair *repair;
    char *wal;        /* the folder of the log, with a slash at its end */
    char *manifest;   /* its path */
    char **log_files; /* of the log that are damaged, each once */
    size_t log_count;
    bool log_damaged, manifest_damaged;
    bool failed; /* no memory */
};

static void note_log_file(struct findings *findings, const char *path)
{
    for (size_t i = 0; i < findings->log_count; i++)
        if (strcmp(findings->log_files[i], path) == 0)
            return;
    char **files =
        realloc(findings->log_files, (findings->log_count + 1) * sizeof findings->log_files[0]);
    char *copy = strdup(path);
    if (files != NULL)
        findings->log_files = files;
    if (files == NULL || copy == NULL) {
        free(copy);
        findings->failed = true;
        return;
    }
    findings->log_files[findings->log_count++] = copy;
}

static void take_finding(void *context, enum engine_finding finding, const char *path,
                         const char *description)
{
    struct findings *findings = context;
    struct repair *repair = findings->repair;
    size_t wal_size = strlen(findings->wal);
    repair->report(repair->context, finding, path, description);
    if (finding != ENGINE_DAMAGE)
        return;
    if (strcmp(path, findings->manifest) == 0)
        findings->manifest_damaged = true;
    /* The folder itself stands for the log as a whole. */
    if (strncmp(path, findings->wal, wal_size) == 0 || strlen(path) + 1 == wal_size)
        findings->log_damaged = true;
    if (strncmp(path, findings->wal, wal_size) == 0)
        note_log_file(findings, path);
}

static bool pass_progress(void *context, uint64_t done, uint64_t total)
{
    const struct repair *repair = context;
    return repair->progress != NULL && repair->progress(repair->context, done, total);
}

static bool pass_finding_progress(void *context, uint64_t done, uint64_t total)
{
    const struct findings *findings = context;
    return pass_progress(findings->repair, done, total);
}

static enum status find_damage(struct repair *repair, struct findings *findings, struct error *err)
{
    *findings = (struct findings){.repair = repair,
                                  .wal = path_format("%s/wal/", repair->dir),
                                  .manifest = path_format("%s/manifest", repair->dir)};
    if (findings->wal == NULL || findings->manifest == NULL)
        return repair_no_path(err);
    enum status status = engine_verify(repair->os, repair->dir, take_finding, pass_finding_progress,
                                       findings, &repair->result->found, err);
    if (status == STATUS_OK && findings->failed)
        return fail(err, STATUS_MEMORY, "no memory for what was found");
    return status;
}

static void findings_release(struct findings *findings)
{
    for (size_t i = 0; i < findings->log_count; i++)
        free(findings->log_files[i]);
    free(findings->log_files);
    free(findings->wal);
    free(findings->manifest);
}

/* ---- what is written to ----------------------------------------------------------------- */

/* Manifest and log, before either is read by who would heal it. */
static enum status keep_written(struct repair *repair, const struct findings *findings,
                                struct error *err)
{
    enum status status = STATUS_OK;
    if (findings->manifest_damaged)
        status = repair_manifest_file(repair, findings->manifest, err);
    for (size_t i = 0; i < findings->log_count && status == STATUS_OK; i++)
        status = repair_log_file(repair, findings->log_files[i], err);
    return status;
}

/* ---- manifest and index ----------------------------------------------------------------- */

/* Files that nothing names and that may count after all; the next start removes others. */
static enum status repair_edits(struct repair *repair, const struct findings *findings,
                                struct error *err)
{
    struct unnamed unnamed;
    bool lost = false;
    enum status status = unnamed_list(&unnamed, repair->os, repair->dir, &repair->state, err);
    if (status == STATUS_OK)
        status = unnamed_may_count(&unnamed, repair->os, repair->dir, &repair->state, &lost, err);
    if (unnamed.next_file > repair->next_file)
        repair->next_file = unnamed.next_file;
    if (status == STATUS_OK && (repair->state.edits_lost || (lost && unnamed_count(&unnamed) > 0)))
        status = repair_manifest(repair, &unnamed, err);
    else if (status == STATUS_OK && findings->manifest_damaged)
        repair_tell(repair, ENGINE_REPAIRED, findings->manifest,
                    "written anew from the copies that are whole");
    unnamed_release(&unnamed);
    return status;
}

static enum status repair_definitions(struct repair *repair, const struct findings *findings,
                                      struct error *err)
{
    struct pass pass;
    enum status status = pass_begin(&pass, repair, err);
    if (status != STATUS_OK)
        return status;
    status = repair_edits(repair, findings, err);
    if (status == STATUS_OK)
        status = repair_segments(repair, err);
    pass_end(&pass);
    return status;
}

/* ---- the log ---------------------------------------------------------------------------- */

struct wal_folder {
    struct repair *repair;
    const char *path;
};

static enum status remove_log_file(void *context, const char *name, bool is_directory,
                                   struct error *err)
{
    const struct wal_folder *folder = context;
    if (is_directory)
        return STATUS_OK;
    char *path = path_format("%s%s", folder->path, name);
    if (path == NULL)
        return repair_no_path(err);
    enum status status = filesystem_remove(folder->repair->os.fs, path, err);
    free(path);
    return status;
}

struct replayed {
    bool lost; /* the replay met a gap that the parts do not fill */
    uint64_t samples;
    uint64_t orphans; /* of series that nothing defines */
};

/* A start, a flush of all that the log holds, and a stop. */
static enum status start_and_flush(const struct engine_options *options, struct replayed *replayed,
                                   struct error *err)
{
    struct engine_options quiet = *options;
    quiet.log = NULL; /* what it would say was said */
    quiet.read_only = false;
    quiet.background = false;
    struct tier *tier = NULL;
    enum status status = engine_open(&quiet, &tier, err);
    if (status != STATUS_OK)
        return status;
    struct engine *engine = engine_of(tier);
    mutex_lock(&engine->flush_lock);
    status = engine_flush_log(engine, err);
    mutex_unlock(&engine->flush_lock);
    replayed->lost = engine->definitions_lost;
    replayed->samples = engine->recovery.log_samples;
    replayed->orphans = atomic_load(&engine->counters.orphaned_samples);
    if (status == STATUS_OK)
        engine_close(tier);
    else
        engine_abandon(tier);
    return status;
}

/* What a flush could not remove: without a log a start would take it for what lost edits named. */
static enum status remove_leftovers(struct repair *repair, struct error *err)
{
    struct pass pass;
    struct unnamed unnamed;
    enum status status = pass_begin(&pass, repair, err);
    if (status != STATUS_OK)
        return status;
    status = unnamed_list(&unnamed, repair->os, repair->dir, &repair->state, err);
    if (status == STATUS_OK)
        status = unnamed_remove(&unnamed, repair->os, repair->dir, err);
    unnamed_release(&unnamed);
    pass_end(&pass);
    return status;
}

/* All that can be read of it is in parts, and the manifest names all that counts. */
static enum status begin_log_anew(struct repair *repair, const struct engine_options *options,
                                  const struct findings *findings, struct error *err)
{
    struct wal_folder folder = {repair, findings->wal};
    struct replayed nothing = {0};
    enum status status = remove_leftovers(repair, err);
    if (status == STATUS_OK)
        status = filesystem_list(repair->os.fs, findings->wal, remove_log_file, &folder, err);
    /* The new log syncs the folder. */
    return status == STATUS_OK ? start_and_flush(options, &nothing, err) : status;
}

static void tell_log(struct repair *repair, const struct findings *findings,
                     const struct replayed *replayed)
{
    if (replayed->orphans > 0) {
        repair->result->lost_samples += replayed->orphans;
        repair_tell(repair, ENGINE_LOST, findings->wal,
                    "%" PRIu64 " samples of series that nothing defines any more",
                    replayed->orphans);
    }
    if (!findings->log_damaged)
        return;
    if (replayed->lost)
        repair_tell(repair, ENGINE_LOST, findings->wal,
                    "what stood in the damaged places and was in no part yet: samples, "
                    "series, and deletes, so that deleted samples may be back");
    repair_tell(repair, ENGINE_REPAIRED, findings->wal,
                "begun anew; the %" PRIu64 " samples that could be read of it are in parts",
                replayed->samples - replayed->orphans);
}

/* What was lost is told, and the log is begun anew. */
static enum status forget_lost_frames(struct repair *repair, struct error *err)
{
    struct pass pass;
    struct manifest_edit edit;
    enum status status = pass_begin(&pass, repair, err);
    if (status != STATUS_OK)
        return status;
    manifest_edit_init(&edit);
    manifest_note_log_lost(&edit, 0, 0);
    if (repair->state.log_lost_to != 0)
        status = manifest_commit(repair->manifest, &edit, err);
    manifest_edit_release(&edit);
    pass_end(&pass);
    return status;
}

/* A sound log is flushed too where its samples may have lost their definitions: that ends them. */
static enum status repair_log(struct repair *repair, const struct engine_options *options,
                              const struct findings *findings, struct error *err)
{
    struct replayed replayed = {0};
    enum status status;
    if (!findings->log_damaged && repair->result->lost_series == 0)
        return STATUS_OK;
    status = start_and_flush(options, &replayed, err);
    /* All that can be read of it stands in parts and index segments now. */
    if (status == STATUS_OK && findings->log_damaged)
        status = begin_log_anew(repair, options, findings, err);
    if (status == STATUS_OK)
        status = forget_lost_frames(repair, err);
    if (status == STATUS_OK)
        tell_log(repair, findings, &replayed);
    return status;
}

/* ---- all of it -------------------------------------------------------------------------- */

static enum status repair_samples(struct repair *repair, struct error *err)
{
    struct pass pass;
    enum status status = pass_begin(&pass, repair, err);
    if (status != STATUS_OK)
        return status;
    status = repair_parts(repair, err);
    pass_end(&pass);
    return status;
}

/* Of the second look only damage is news. */
static void tell_left(void *context, enum engine_finding finding, const char *path,
                      const char *description)
{
    struct repair *repair = context;
    if (finding == ENGINE_DAMAGE)
        repair->report(repair->context, finding, path, description);
}

static enum status repair_all(struct repair *repair, const struct engine_options *options,
                              const struct findings *findings, struct error *err)
{
    enum status status = keep_written(repair, findings, err);
    if (status == STATUS_OK)
        status = repair_definitions(repair, findings, err);
    if (status == STATUS_OK)
        status = repair_log(repair, options, findings, err);
    if (status == STATUS_OK)
        status = repair_samples(repair, err);
    if (status != STATUS_OK)
        return status;
    return engine_verify(repair->os, repair->dir, tell_left, pass_progress, repair,
                         &repair->result->left, err);
}

enum status engine_repair(const struct engine_options *options, engine_report *report,
                          engine_progress *progress, void *context,
                          struct engine_repair_result *result, struct error *err)
{
    *result = (struct engine_repair_result){0};
    struct repair repair = {.os = options->os,
                            .dir = options->dir,
                            .report = report,
                            .progress = progress,
                            .context = context,
                            .result = result};
    struct findings findings = {0};
    enum status status = find_damage(&repair, &findings, err);
    result->left = result->found;
    if (status == STATUS_OK && result->found.damaged > 0)
        status = repair_all(&repair, options, &findings, err);
    findings_release(&findings);
    if (status != STATUS_OK)
        error_prefix(err, "cannot repair the store in %s", options->dir);
    return status;
}

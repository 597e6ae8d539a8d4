/*
 * Where edits of the manifest are lost: files that it does not name are taken in where they fit
 * (adopt.h), and put aside where they do not; then it says all of it again.
 */
#include <stdlib.h>

#include "storage/engine/adopt.h"
#include "storage/engine/paths.h"
#include "storage/engine/repair_state.h"

static enum status tell_decision(void *context, const char *path, const char *brings,
                                 struct error *err)
{
    (void)err;
    if (brings != NULL)
        repair_tell(context, ENGINE_REPAIRED, path, "taken in: %s", brings);
    return STATUS_OK;
}

static enum status put_aside(struct repair *repair, char *(*path_of)(const char *, uint64_t),
                             const struct unnamed_ids *unnamed, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < unnamed->count && status == STATUS_OK; i++) {
        char *path = path_of(repair->dir, unnamed->ids[i]);
        status = path == NULL ? repair_no_path(err) : repair_keep(repair, path, false, err);
        if (status == STATUS_OK)
            status = filesystem_remove(repair->os.fs, path, err);
        if (status == STATUS_OK)
            repair_tell(repair, ENGINE_REPAIRED, path,
                        "no edit that can be read names it, and it fits nowhere: put aside");
        free(path);
    }
    return status;
}

/* What nothing names now is no part of the store: kept, and out of the way. */
static enum status put_rest_aside(struct repair *repair, struct error *err)
{
    struct unnamed rest;
    enum status status =
        unnamed_list(&rest, repair->os, repair->dir, manifest_state(repair->manifest), err);
    if (status == STATUS_OK)
        status = put_aside(repair, path_of_part, &rest.parts, err);
    if (status == STATUS_OK)
        status = put_aside(repair, path_of_segment, &rest.segments, err);
    unnamed_release(&rest);
    return status;
}

static enum status write_manifest(struct repair *repair, struct error *err)
{
    struct manifest_state state;
    enum status status = manifest_state_copy(&state, manifest_state(repair->manifest), err);
    if (status != STATUS_OK)
        return status;
    state.edits_lost = false;
    manifest_close(repair->manifest);
    repair->manifest = NULL;
    status = manifest_write(repair->os, repair->dir, &state, err);
    manifest_state_release(&state);
    if (status == STATUS_OK)
        status = manifest_open(&repair->manifest, repair->os, repair->dir, NULL, NULL, err);
    manifest_state_release(&repair->state);
    if (status == STATUS_OK)
        status = manifest_state_copy(&repair->state, manifest_state(repair->manifest), err);
    return status;
}

enum status repair_manifest(struct repair *repair, const struct unnamed *unnamed, struct error *err)
{
    struct adoption adoption = {.os = repair->os,
                                .dir = repair->dir,
                                .state = &repair->state,
                                .unnamed = unnamed,
                                .decided = tell_decision,
                                .context = repair};
    struct manifest_edit edit;
    size_t taken = 0;
    manifest_edit_init(&edit);
    enum status status = adopt_files(&adoption, &edit, &taken, err);
    manifest_set_next_file(&edit, repair->next_file);
    /* Whoever comes after a repair that was killed keeps the rest too. */
    manifest_note_lost(&edit);
    if (status == STATUS_OK)
        status = manifest_commit(repair->manifest, &edit, err);
    manifest_edit_release(&edit);
    if (status == STATUS_OK)
        status = put_rest_aside(repair, err);
    if (status == STATUS_OK)
        status = write_manifest(repair, err);
    if (status != STATUS_OK)
        return status;
    char *path = path_format("%s/manifest", repair->dir);
    repair_tell(repair, ENGINE_LOST, path == NULL ? "manifest" : path,
                "edits of it: what they dropped or deleted may be back");
    repair_tell(repair, ENGINE_REPAIRED, path == NULL ? "manifest" : path,
                "written anew from what can be read of it and from the files that are there");
    free(path);
    return STATUS_OK;
}

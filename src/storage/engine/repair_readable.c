/*
 * A manifest or a log that the disk does not give back whole, made one that can be read: neither is
 * ever read around but by who was told to save what is left. The file itself stays as it is, in the
 * quarantine.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "storage/engine/copy_file.h"
#include "storage/engine/paths.h"
#include "storage/engine/reading_around.h"
#include "storage/engine/repair_state.h"

static enum status lock_store(const struct repair *repair, struct file **lock, struct error *err)
{
    char *path = path_format("%s/lock", repair->dir);
    if (path == NULL)
        return repair_no_path(err);
    enum status status = filesystem_lock(repair->os.fs, path, lock, err);
    free(path);
    return status;
}

static enum status remove_if_there(struct filesystem *fs, const char *path, struct error *err)
{
    struct error why = {0};
    enum status status = filesystem_remove(fs, path, &why);
    return status == STATUS_OK || status == STATUS_NOT_FOUND ? STATUS_OK
                                                             : fail(err, status, "%s", why.message);
}

/* `copy` has zeros where `path` cannot be read. A crash leaves the one or the other there: if it is
 * the old one, the next repair does the same again. */
static enum status put_in_place(struct repair *repair, const char *copy, const char *path,
                                uint64_t lost, struct error *err)
{
    enum status status = repair_keep(repair, path, false, err);
    if (status == STATUS_OK)
        status = filesystem_rename(repair->os.fs, copy, path, err);
    if (status == STATUS_OK)
        repair_tell(repair, ENGINE_LOST, path,
                    "%" PRIu64 " bytes that the disk does not give back: what stood there and was "
                    "in no part yet",
                    lost);
    return status;
}

static enum status make_log_file_readable(struct repair *repair, const char *path, bool *unreadable,
                                          struct error *err)
{
    struct reading_around around;
    struct filesystem *fs = repair->os.fs;
    char *copy = path_format("%s.readable", path);
    if (copy == NULL)
        return repair_no_path(err);
    reading_around_init(&around, fs, NULL, NULL);
    struct error why = {0};
    enum status status = remove_if_there(fs, copy, &why);
    if (status == STATUS_OK)
        status = copy_file(&around.fs, path, copy, &why);
    *unreadable = status == STATUS_OK && around.lost_bytes > 0;
    if (*unreadable)
        status = put_in_place(repair, copy, path, around.lost_bytes, &why);
    else if (status == STATUS_OK)
        status = filesystem_remove(fs, copy, &why);
    reading_around_release(&around);
    free(copy);
    /* One that is missing cannot be kept either. */
    return status == STATUS_OK || status == STATUS_NOT_FOUND ? STATUS_OK
                                                             : fail(err, status, "%s", why.message);
}

enum status repair_log_file(struct repair *repair, const char *path, struct error *err)
{
    struct file *lock = NULL;
    bool unreadable = false;
    enum status status = lock_store(repair, &lock, err);
    if (status == STATUS_OK)
        status = make_log_file_readable(repair, path, &unreadable, err);
    if (status == STATUS_OK && !unreadable)
        status = repair_keep(repair, path, true, err);
    file_close(lock);
    return status;
}

/* Edits may have stood there, at the end too, where nothing behind them shows that they are gone:
 * files that they named must not be taken for leftovers. */
static enum status write_what_is_left(struct repair *repair, struct manifest_state *state,
                                      const char *path, struct error *err)
{
    state->edits_lost = true;
    enum status status = repair_keep(repair, path, false, err);
    return status == STATUS_OK ? manifest_write(repair->os, repair->dir, state, err) : status;
}

enum status repair_manifest_file(struct repair *repair, const char *path, struct error *err)
{
    struct reading_around around;
    struct manifest_state state;
    struct file *lock = NULL;
    enum status status = lock_store(repair, &lock, err);
    if (status != STATUS_OK)
        return status;
    reading_around_init(&around, repair->os.fs, NULL, NULL);
    struct os os = repair->os;
    os.fs = &around.fs;
    enum status read = manifest_verify(os, repair->dir, NULL, NULL, &state, err);
    if (around.lost_bytes == 0 && (read == STATUS_OK || read == STATUS_CORRUPT))
        status = repair_keep(repair, path, true, err);
    else
        status = read == STATUS_OK ? write_what_is_left(repair, &state, path, err) : read;
    if (read == STATUS_OK)
        manifest_state_release(&state);
    reading_around_release(&around);
    file_close(lock);
    return status;
}

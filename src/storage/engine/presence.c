/*
 * presence - whether a directory holds a store.
 */
#include <stdlib.h>

#include "storage/engine/engine.h"
#include "storage/engine/paths.h"

static enum status found_file(void *context, const char *name, bool is_directory, struct error *err)
{
    (void)name;
    (void)err;
    bool *found = context;
    *found = *found || !is_directory;
    return STATUS_OK;
}

/* Whether there are files of a store. */
static enum status look_for_files(struct os os, const char *dir, bool *found, struct error *err)
{
    static const char *const folders[] = {"parts", "index", "wal"};
    *found = false;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char *path = path_format("%s/%s", dir, folders[i]);
        if (path == NULL)
            return fail(err, STATUS_MEMORY, "no memory for a path");
        enum status status = filesystem_list(os.fs, path, found_file, found, err);
        free(path);
        if (status != STATUS_OK && status != STATUS_NOT_FOUND)
            return status;
    }
    return STATUS_OK;
}

enum status engine_find_store(struct os os, const char *dir, struct error *err)
{
    char *path = path_format("%s/manifest", dir);
    if (path == NULL)
        return fail(err, STATUS_MEMORY, "no memory for a path");
    struct file *file = NULL;
    struct error why = {0};
    enum status status = filesystem_open(os.fs, path, FILE_READ, &file, &why);
    file_close(file);
    free(path);
    /* One that is no file is damage: for whoever reads it. */
    if (status == STATUS_OK || status == STATUS_CORRUPT)
        return STATUS_OK;
    if (status != STATUS_NOT_FOUND)
        return fail(err, status, "%s", why.message);
    bool found;
    status = look_for_files(os, dir, &found, err);
    if (status != STATUS_OK)
        return status;
    if (!found)
        return fail(err, STATUS_NOT_FOUND, "there is no store in %s", dir);
    return fail(
        err, STATUS_CORRUPT,
        "the manifest is missing, but parts, index or log are there: restore the file "
        "\"manifest\" from a backup, or move the directory away to begin with an empty store");
}

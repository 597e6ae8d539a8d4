#include "storage/engine/reading_around.h"

#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "storage/engine/stored_read.h"

struct reading_around_place {
    char *path;
    char *description;
};

struct around_file {
    struct file file;
    struct reading_around *around;
    struct file *behind;
    char path[];
};

static struct around_file *file_of(struct file *file)
{
    return container_of(file, struct around_file, file);
}

static struct filesystem *behind(struct filesystem *fs)
{
    return container_of(fs, struct reading_around, fs)->behind;
}

/* ---- places ----------------------------------------------------------------------------- */

static bool is_known(const struct reading_around *around, const char *path, const char *description)
{
    for (size_t i = 0; i < around->count; i++)
        if (strcmp(around->places[i].path, path) == 0 &&
            strcmp(around->places[i].description, description) == 0)
            return true;
    return false;
}

static enum status add_place(struct reading_around *around, const char *path,
                             const char *description, struct error *err)
{
    if (around->count == around->capacity) {
        size_t capacity = around->capacity == 0 ? 8 : 2 * around->capacity;
        struct reading_around_place *places =
            realloc(around->places, capacity * sizeof around->places[0]);
        if (places == NULL)
            return fail(err, STATUS_MEMORY, "no memory for what cannot be read");
        around->places = places;
        around->capacity = capacity;
    }
    struct reading_around_place place = {strdup(path), strdup(description)};
    if (place.path == NULL || place.description == NULL) {
        free(place.path);
        free(place.description);
        return fail(err, STATUS_MEMORY, "no memory for what cannot be read");
    }
    around->places[around->count++] = place;
    return STATUS_OK;
}

/* ---- files ------------------------------------------------------------------------------ */

static enum status around_read(struct file *file, void *to, size_t size, uint64_t offset,
                               size_t *got, struct error *err)
{
    struct around_file *self = file_of(file);
    struct reading_around *around = self->around;
    uint64_t lost = 0;
    struct error why = {0};
    enum status status = stored_read_around(self->behind, to, size, offset, got, &lost, &why, err);
    if (status != STATUS_OK || lost == 0)
        return status;
    around->lost_bytes += lost;
    if (is_known(around, self->path, why.message))
        return STATUS_OK;
    status = add_place(around, self->path, why.message, err);
    if (status == STATUS_OK && around->lost != NULL)
        around->lost(around->context, self->path, why.message);
    return status;
}

static enum status around_size(struct file *file, uint64_t *size, struct error *err)
{
    return file_size(file_of(file)->behind, size, err);
}

static void around_close(struct file *file)
{
    struct around_file *self = file_of(file);
    file_close(self->behind);
    free(self);
}

static const struct file_ops around_file_ops = {
    .read = around_read,
    .size = around_size,
    .close = around_close,
};

/* ---- names ------------------------------------------------------------------------------ */

static enum status around_open(struct filesystem *fs, const char *path, enum file_mode mode,
                               struct file **file, struct error *err)
{
    enum status status = filesystem_open(behind(fs), path, mode, file, err);
    if (status != STATUS_OK || mode != FILE_READ)
        return status;
    size_t size = strlen(path) + 1;
    struct around_file *made = malloc(sizeof *made + size);
    if (made == NULL) {
        file_close(*file);
        *file = NULL;
        return fail(err, STATUS_MEMORY, "no memory to open %s", path);
    }
    made->file.ops = &around_file_ops;
    made->around = container_of(fs, struct reading_around, fs);
    made->behind = *file;
    memcpy(made->path, path, size);
    *file = &made->file;
    return STATUS_OK;
}

static enum status around_rename(struct filesystem *fs, const char *from, const char *to,
                                 struct error *err)
{
    return filesystem_rename(behind(fs), from, to, err);
}

static enum status around_remove(struct filesystem *fs, const char *path, struct error *err)
{
    return filesystem_remove(behind(fs), path, err);
}

static enum status around_list(struct filesystem *fs, const char *path, filesystem_visit *visit,
                               void *context, struct error *err)
{
    return filesystem_list(behind(fs), path, visit, context, err);
}

static const struct filesystem_ops around_ops = {
    .open = around_open,
    .rename = around_rename,
    .remove = around_remove,
    .list = around_list,
};

void reading_around_init(struct reading_around *around, struct filesystem *fs,
                         reading_around_lost *lost, void *context)
{
    *around = (struct reading_around){
        .fs = {&around_ops}, .behind = fs, .lost = lost, .context = context};
}

void reading_around_release(struct reading_around *around)
{
    for (size_t i = 0; i < around->count; i++) {
        free(around->places[i].path);
        free(around->places[i].description);
    }
    free(around->places);
    around->places = NULL;
    around->count = around->capacity = 0;
}

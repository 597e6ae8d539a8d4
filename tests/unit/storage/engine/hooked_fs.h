/*
 * hooked_fs - the real file system, and functions that are called before a file is opened, and
 * before one is read: for tests that have to do something in the middle of a job.
 */
#ifndef METRIC_STORE_TESTS_UNIT_STORAGE_ENGINE_HOOKED_FS_H
#define METRIC_STORE_TESTS_UNIT_STORAGE_ENGINE_HOOKED_FS_H

#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "os/file.h"

struct hooked_fs {
    struct filesystem fs;
    struct filesystem_ops ops;
    /* On the thread that opens; may use the store as far as that thread's locks allow. */
    void (*opening)(void *context, const char *path, enum file_mode mode);
    /* Likewise, of files whose paths contain `read_of` and that are opened for reading only; NULL:
     * of none. Set before the store is opened. */
    void (*reading)(void *context);
    const char *read_of;
    void *context;
};

struct hooked_file {
    struct file file;
    struct file *real;
    struct hooked_fs *fs;
};

static inline enum status hooked_read(struct file *file, void *to, size_t size, uint64_t offset,
                                      size_t *got, struct error *err)
{
    struct hooked_file *hooked = container_of(file, struct hooked_file, file);
    hooked->fs->reading(hooked->fs->context);
    return file_read(hooked->real, to, size, offset, got, err);
}

static inline enum status hooked_size(struct file *file, uint64_t *size, struct error *err)
{
    return file_size(container_of(file, struct hooked_file, file)->real, size, err);
}

static inline void hooked_close(struct file *file)
{
    struct hooked_file *hooked = container_of(file, struct hooked_file, file);
    file_close(hooked->real);
    free(hooked);
}

static inline void hooked_wrap(struct hooked_fs *fs, struct file **file)
{
    static const struct file_ops ops = {
        .read = hooked_read, .size = hooked_size, .close = hooked_close};
    struct hooked_file *hooked = malloc(sizeof *hooked);
    invariant(hooked != NULL);
    *hooked = (struct hooked_file){.file.ops = &ops, .real = *file, .fs = fs};
    *file = &hooked->file;
}

static inline enum status hooked_open(struct filesystem *fs, const char *path, enum file_mode mode,
                                      struct file **file, struct error *err)
{
    struct hooked_fs *hooked = container_of(fs, struct hooked_fs, fs);
    hooked->opening(hooked->context, path, mode);
    enum status status = filesystem_posix()->ops->open(filesystem_posix(), path, mode, file, err);
    if (status == STATUS_OK && mode == FILE_READ && hooked->reading != NULL &&
        strstr(path, hooked->read_of) != NULL)
        hooked_wrap(hooked, file);
    return status;
}

static inline void hooked_fs_init(struct hooked_fs *hooked,
                                  void (*opening)(void *context, const char *path,
                                                  enum file_mode mode),
                                  void *context)
{
    /* The real one's functions need nothing of their own. */
    *hooked =
        (struct hooked_fs){.ops = *filesystem_posix()->ops, .opening = opening, .context = context};
    hooked->ops.open = hooked_open;
    hooked->fs.ops = &hooked->ops;
}

#endif

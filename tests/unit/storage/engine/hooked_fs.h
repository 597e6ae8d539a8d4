/*
 * hooked_fs - the real file system, and a function that is called before a file is opened: for
 * tests that have to do something in the middle of a job.
 */
#ifndef METRIC_STORE_TESTS_UNIT_STORAGE_ENGINE_HOOKED_FS_H
#define METRIC_STORE_TESTS_UNIT_STORAGE_ENGINE_HOOKED_FS_H

#include "base/invariant.h"
#include "os/file.h"

struct hooked_fs {
    struct filesystem fs;
    struct filesystem_ops ops;
    /* On the thread that opens; may use the store as far as that thread's locks allow. */
    void (*opening)(void *context, const char *path, enum file_mode mode);
    void *context;
};

static inline enum status hooked_open(struct filesystem *fs, const char *path, enum file_mode mode,
                                      struct file **file, struct error *err)
{
    struct hooked_fs *hooked = container_of(fs, struct hooked_fs, fs);
    hooked->opening(hooked->context, path, mode);
    return filesystem_posix()->ops->open(filesystem_posix(), path, mode, file, err);
}

static inline void hooked_fs_init(struct hooked_fs *hooked,
                                  void (*opening)(void *context, const char *path,
                                                  enum file_mode mode),
                                  void *context)
{
    /* The real one's functions need nothing of their own. */
    hooked->ops = *filesystem_posix()->ops;
    hooked->ops.open = hooked_open;
    hooked->fs.ops = &hooked->ops;
    hooked->opening = opening;
    hooked->context = context;
}

#endif

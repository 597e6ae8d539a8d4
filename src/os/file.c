#include "os/file.h"

#include "base/invariant.h"

#include <inttypes.h>
#include <stddef.h>

enum status file_read(struct file *file, void *to, size_t size, uint64_t offset, size_t *got,
                      struct error *err)
{
    invariant(size <= INT64_MAX && offset <= INT64_MAX - size);
    enum status status = file->ops->read(file, to, size, offset, got, err);
    invariant(status != STATUS_OK || *got <= size);
    return status;
}

enum status file_check_whole(size_t got, size_t size, uint64_t offset, struct error *err)
{
    if (got == size)
        return STATUS_OK;
    return fail(err, STATUS_CORRUPT,
                "the file ends at byte %" PRIu64 ", but bytes up to %" PRIu64 " were expected",
                offset + got, offset + size);
}

enum status file_read_exactly(struct file *file, void *to, size_t size, uint64_t offset,
                              struct error *err)
{
    size_t got = 0;
    enum status status = file_read(file, to, size, offset, &got, err);
    return status == STATUS_OK ? file_check_whole(got, size, offset, err) : status;
}

enum status file_write(struct file *file, const void *from, size_t size, uint64_t offset,
                       struct error *err)
{
    invariant(size <= INT64_MAX && offset <= INT64_MAX - size);
    return file->ops->write(file, from, size, offset, err);
}

enum status file_sync(struct file *file, struct error *err)
{
    return file->ops->sync(file, err);
}

/* P99 of syncs, 5 ms apart, beside a writer of 18 MB/s: 2.0 ms with pieces of 4 MiB, 1.0 with 1
 * MiB, 0.8 with this and less; 0.7 without the writer. */
enum { WRITE_BACK_SIZE = 256 * 1024 };

void file_write_back_behind(struct file *file, uint64_t *begun, uint64_t written)
{
    if (written - *begun < WRITE_BACK_SIZE)
        return;
    file_begin_write_back(file, *begun, written - *begun);
    *begun = written;
}

void file_begin_write_back(struct file *file, uint64_t offset, uint64_t size)
{
    if (file->ops->begin_write_back != NULL)
        file->ops->begin_write_back(file, offset, size);
}

enum status file_resize(struct file *file, uint64_t size, struct error *err)
{
    invariant(size <= INT64_MAX);
    return file->ops->resize(file, size, err);
}

enum status file_size(struct file *file, uint64_t *size, struct error *err)
{
    return file->ops->size(file, size, err);
}

void file_close(struct file *file)
{
    if (file != NULL)
        file->ops->close(file);
}

enum status filesystem_open(struct filesystem *fs, const char *path, enum file_mode mode,
                            struct file **file, struct error *err)
{
    *file = NULL;
    enum status status = fs->ops->open(fs, path, mode, file, err);
    invariant((status == STATUS_OK) == (*file != NULL));
    return status;
}

enum status filesystem_rename(struct filesystem *fs, const char *from, const char *to,
                              struct error *err)
{
    return fs->ops->rename(fs, from, to, err);
}

enum status filesystem_link(struct filesystem *fs, const char *from, const char *to,
                            struct error *err)
{
    if (fs->ops->link == NULL)
        return fail(err, STATUS_UNSUPPORTED, "cannot link %s to %s: there are no links here", to,
                    from);
    return fs->ops->link(fs, from, to, err);
}

enum status filesystem_remove(struct filesystem *fs, const char *path, struct error *err)
{
    return fs->ops->remove(fs, path, err);
}

enum status filesystem_make_directory(struct filesystem *fs, const char *path, struct error *err)
{
    return fs->ops->make_directory(fs, path, err);
}

enum status filesystem_remove_directory(struct filesystem *fs, const char *path, struct error *err)
{
    return fs->ops->remove_directory(fs, path, err);
}

enum status filesystem_sync_directory(struct filesystem *fs, const char *path, struct error *err)
{
    return fs->ops->sync_directory(fs, path, err);
}

enum status filesystem_list(struct filesystem *fs, const char *path, filesystem_visit *visit,
                            void *context, struct error *err)
{
    return fs->ops->list(fs, path, visit, context, err);
}

enum status filesystem_space(struct filesystem *fs, const char *path,
                             struct filesystem_space *space, struct error *err)
{
    return fs->ops->space(fs, path, space, err);
}

enum status filesystem_lock(struct filesystem *fs, const char *path, struct file **lock,
                            struct error *err)
{
    *lock = NULL;
    enum status status = fs->ops->lock(fs, path, lock, err);
    invariant((status == STATUS_OK) == (*lock != NULL));
    return status;
}

enum status filesystem_lock_for_reading(struct filesystem *fs, const char *path, struct file **lock,
                                        struct error *err)
{
    if (fs->ops->lock_for_reading == NULL)
        return filesystem_lock(fs, path, lock, err);
    *lock = NULL;
    enum status status = fs->ops->lock_for_reading(fs, path, lock, err);
    invariant(status == STATUS_OK || *lock == NULL);
    return status;
}

/*
 * file_posix - the real files. Every loop over short reads and writes and over EINTR is here.
 *
 * A sync or a close that fails is never called again: after the first failure the kernel may have
 * dropped the pages, and a second call would report success for bytes that are gone.
 */
#include "os/file.h"

#include "base/invariant.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum { FILE_PERMISSIONS = 0600, DIRECTORY_PERMISSIONS = 0700, PID_TEXT_SIZE = 24 };

struct posix_file {
    struct file file;
    int fd;
    char path[]; /* for messages */
};

static struct posix_file *posix_file_of(struct file *file)
{
    return container_of(file, struct posix_file, file);
}

static enum status posix_read(struct file *file, void *to, size_t size, uint64_t offset,
                              size_t *got, struct error *err)
{
    struct posix_file *self = posix_file_of(file);
    size_t done = 0;
    while (done < size) {
        ssize_t count = pread(self->fd, (char *)to + done, size - done, (off_t)(offset + done));
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return fail_errno(err, errno, "cannot read %zu bytes at %" PRIu64 " of %s", size,
                              offset, self->path);
        if (count == 0)
            break;
        done += (size_t)count;
    }
    *got = done;
    return STATUS_OK;
}

static enum status posix_write(struct file *file, const void *from, size_t size, uint64_t offset,
                               struct error *err)
{
    struct posix_file *self = posix_file_of(file);
    size_t done = 0;
    while (done < size) {
        ssize_t count =
            pwrite(self->fd, (const char *)from + done, size - done, (off_t)(offset + done));
        if (count < 0 && errno == EINTR)
            continue;
        if (count < 0)
            return fail_errno(err, errno, "cannot write %zu bytes at %" PRIu64 " of %s", size,
                              offset, self->path);
        /* Not seen on Linux; without this check it would loop for ever. */
        if (count == 0)
            return fail(err, STATUS_IO,
                        "cannot write %zu bytes at %" PRIu64 " of %s: only %zu were taken", size,
                        offset, self->path, done);
        done += (size_t)count;
    }
    return STATUS_OK;
}

static enum status posix_sync(struct file *file, struct error *err)
{
    struct posix_file *self = posix_file_of(file);
    if (fdatasync(self->fd) != 0)
        return fail_errno(err, errno, "cannot sync %s", self->path);
    return STATUS_OK;
}

static void posix_begin_write_back(struct file *file, uint64_t offset, uint64_t size)
{
    struct posix_file *self = posix_file_of(file);
    /* What goes wrong here is seen by the sync. */
    (void)sync_file_range(self->fd, (off_t)offset, (off_t)size, SYNC_FILE_RANGE_WRITE);
}

static enum status posix_resize(struct file *file, uint64_t size, struct error *err)
{
    struct posix_file *self = posix_file_of(file);
    int result;
    do
        result = ftruncate(self->fd, (off_t)size);
    while (result != 0 && errno == EINTR);
    if (result != 0)
        return fail_errno(err, errno, "cannot resize %s to %" PRIu64 " bytes", self->path, size);
    return STATUS_OK;
}

static enum status posix_size(struct file *file, uint64_t *size, struct error *err)
{
    struct posix_file *self = posix_file_of(file);
    struct stat stat;
    if (fstat(self->fd, &stat) != 0)
        return fail_errno(err, errno, "cannot ask for the size of %s", self->path);
    *size = (uint64_t)stat.st_size;
    return STATUS_OK;
}

static void posix_close(struct file *file)
{
    struct posix_file *self = posix_file_of(file);
    /* What had to be durable was synced; an error here says nothing about it. */
    (void)close(self->fd);
    free(self);
}

static const struct file_ops posix_file_ops = {
    .read = posix_read,
    .write = posix_write,
    .sync = posix_sync,
    .resize = posix_resize,
    .size = posix_size,
    .begin_write_back = posix_begin_write_back,
    .close = posix_close,
};

static int open_retrying(const char *path, int flags)
{
    int fd;
    do
        fd = open(path, flags | O_CLOEXEC, FILE_PERMISSIONS);
    while (fd < 0 && errno == EINTR);
    return fd;
}

/* Takes `fd`: closes it when there is no memory. */
static enum status posix_file_new(int fd, const char *path, struct file **file, struct error *err)
{
    size_t path_size = strlen(path) + 1;
    struct posix_file *self = malloc(sizeof *self + path_size);
    if (self == NULL) {
        (void)close(fd);
        return fail(err, STATUS_MEMORY, "no memory to open %s", path);
    }
    self->file.ops = &posix_file_ops;
    self->fd = fd;
    memcpy(self->path, path, path_size);
    *file = &self->file;
    return STATUS_OK;
}

static int flags_of_mode(enum file_mode mode)
{
    switch (mode) {
    case FILE_READ:
        return O_RDONLY;
    case FILE_READ_WRITE:
        return O_RDWR;
    case FILE_CREATE:
        return O_RDWR | O_CREAT;
    case FILE_CREATE_NEW:
        return O_RDWR | O_CREAT | O_EXCL;
    }
    invariant(mode <= FILE_CREATE_NEW);
    return O_RDONLY;
}

static enum status refuse_other(const char *path, mode_t mode, struct error *err)
{
    return fail(err, STATUS_CORRUPT, "cannot open %s: it is %s, not a file", path,
                S_ISDIR(mode)    ? "a directory"
                : S_ISFIFO(mode) ? "a pipe"
                : S_ISSOCK(mode) ? "a socket"
                                 : "a device");
}

static enum status posix_open(struct filesystem *fs, const char *path, enum file_mode mode,
                              struct file **file, struct error *err)
{
    (void)fs;
    /* O_NONBLOCK: to open a pipe is to wait for its other end. It changes nothing of a file. */
    int fd = open_retrying(path, flags_of_mode(mode) | O_NONBLOCK | O_NOCTTY);
    if (fd < 0 && errno == EEXIST)
        return fail(err, STATUS_CONFLICT, "cannot create %s: it exists already", path);
    struct stat about;
    if (fd < 0) {
        int number = errno;
        /* Directories and sockets are refused by the call itself. */
        if ((number == EISDIR || number == ENXIO) && stat(path, &about) == 0)
            return refuse_other(path, about.st_mode, err);
        return fail_errno(err, number, "cannot open %s", path);
    }
    enum status status = STATUS_OK;
    if (fstat(fd, &about) != 0)
        status = fail_errno(err, errno, "cannot look at %s", path);
    else if (!S_ISREG(about.st_mode))
        status = refuse_other(path, about.st_mode, err);
    if (status == STATUS_OK)
        return posix_file_new(fd, path, file, err);
    (void)close(fd);
    return status;
}

static enum status posix_rename(struct filesystem *fs, const char *from, const char *to,
                                struct error *err)
{
    (void)fs;
    if (rename(from, to) != 0)
        return fail_errno(err, errno, "cannot rename %s to %s", from, to);
    return STATUS_OK;
}

static enum status posix_link(struct filesystem *fs, const char *from, const char *to,
                              struct error *err)
{
    (void)fs;
    if (link(from, to) == 0)
        return STATUS_OK;
    int number = errno;
    if (number == EEXIST)
        return fail(err, STATUS_CONFLICT, "cannot link %s to %s: it exists already", to, from);
    if (number == EXDEV)
        return fail(err, STATUS_UNSUPPORTED,
                    "cannot link %s to %s: they are on different file systems", to, from);
    if (number == EPERM || number == EOPNOTSUPP || number == EMLINK)
        return fail(err, STATUS_UNSUPPORTED,
                    "cannot link %s to %s: the file system makes no hard link of it (%s)", to, from,
                    strerror(number));
    return fail_errno(err, number, "cannot link %s to %s", to, from);
}

static enum status posix_remove(struct filesystem *fs, const char *path, struct error *err)
{
    (void)fs;
    if (unlink(path) != 0)
        return fail_errno(err, errno, "cannot remove %s", path);
    return STATUS_OK;
}

/* Names the first directory on the way to `path` that is not there. */
static enum status fail_missing_parent(const char *path, struct error *err)
{
    size_t end = 0;
    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        size_t size = (size_t)(slash - path);
        char *parent = strndup(path, size);
        struct stat about;
        if (parent == NULL)
            break;
        bool missing = size > 0 && stat(parent, &about) != 0 && errno == ENOENT;
        free(parent);
        if (missing) {
            end = size;
            break;
        }
    }
    if (end == 0)
        return fail_errno(err, ENOENT, "cannot make directory %s", path);
    return fail(err, STATUS_NOT_FOUND, "cannot make directory %s: there is no directory %.*s", path,
                (int)end, path);
}

static enum status posix_make_directory(struct filesystem *fs, const char *path, struct error *err)
{
    (void)fs;
    if (mkdir(path, DIRECTORY_PERMISSIONS) == 0)
        return STATUS_OK;
    int number = errno;
    struct stat about;
    bool there = number == EEXIST && stat(path, &about) == 0;
    if (there && S_ISDIR(about.st_mode))
        return STATUS_OK;
    if (there)
        return fail(err, STATUS_IO, "cannot make directory %s: there is a file of that name", path);
    if (number == ENOENT)
        return fail_missing_parent(path, err);
    return fail_errno(err, number, "cannot make directory %s", path);
}

static enum status posix_remove_directory(struct filesystem *fs, const char *path,
                                          struct error *err)
{
    (void)fs;
    if (rmdir(path) != 0)
        return fail_errno(err, errno, "cannot remove directory %s", path);
    return STATUS_OK;
}

static enum status posix_sync_directory(struct filesystem *fs, const char *path, struct error *err)
{
    (void)fs;
    int fd = open_retrying(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return fail_errno(err, errno, "cannot open directory %s", path);
    /* fsync: fdatasync of a directory need not write its entries. */
    int number = fsync(fd) == 0 ? 0 : errno;
    (void)close(fd);
    if (number != 0)
        return fail_errno(err, number, "cannot sync directory %s", path);
    return STATUS_OK;
}

static enum status visit_entry(DIR *directory, const struct dirent *entry, const char *path,
                               filesystem_visit *visit, void *context, struct error *err)
{
    bool is_directory = entry->d_type == DT_DIR;
    if (entry->d_type == DT_UNKNOWN || entry->d_type == DT_LNK) {
        struct stat stat_of_entry;
        if (fstatat(dirfd(directory), entry->d_name, &stat_of_entry, 0) == 0)
            is_directory = S_ISDIR(stat_of_entry.st_mode);
        else if (errno != ENOENT) /* removed meanwhile, or a link to nothing: not a directory */
            return fail_errno(err, errno, "cannot look at %s/%s", path, entry->d_name);
    }
    return visit(context, entry->d_name, is_directory, err);
}

static enum status posix_list(struct filesystem *fs, const char *path, filesystem_visit *visit,
                              void *context, struct error *err)
{
    (void)fs;
    DIR *directory = opendir(path);
    if (directory == NULL)
        return fail_errno(err, errno, "cannot list directory %s", path);
    enum status status = STATUS_OK;
    while (status == STATUS_OK) {
        errno = 0;
        const struct dirent *entry = readdir(directory);
        if (entry == NULL) {
            if (errno != 0)
                status = fail_errno(err, errno, "cannot list directory %s", path);
            break;
        }
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            status = visit_entry(directory, entry, path, visit, context, err);
    }
    (void)closedir(directory);
    return status;
}

static enum status posix_space(struct filesystem *fs, const char *path,
                               struct filesystem_space *space, struct error *err)
{
    (void)fs;
    struct statvfs vfs;
    int result;
    do
        result = statvfs(path, &vfs);
    while (result != 0 && errno == EINTR);
    if (result != 0)
        return fail_errno(err, errno, "cannot ask for the free space of %s", path);
    space->total_bytes = (uint64_t)vfs.f_blocks * vfs.f_frsize;
    space->free_bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize;
    return STATUS_OK;
}

static enum status lock_conflict(int fd, const char *path, struct error *err)
{
    char text[PID_TEXT_SIZE] = {0};
    ssize_t count = pread(fd, text, sizeof text - 1, 0);
    long pid = count > 0 ? strtol(text, NULL, 10) : 0;
    if (pid > 0)
        return fail(err, STATUS_CONFLICT,
                    "%s is locked by process %ld: stop that process, or use another directory",
                    path, pid);
    return fail(err, STATUS_CONFLICT,
                "%s is locked by another process: stop that process, or use another directory",
                path);
}

/* Only for the message that a second process gives: a full disk must not keep the store from
 * starting and answering queries, so a failure leaves the file without a process id. */
static void write_pid(int fd)
{
    char text[PID_TEXT_SIZE];
    int size = snprintf(text, sizeof text, "%ld\n", (long)getpid());
    if (ftruncate(fd, 0) == 0 && pwrite(fd, text, (size_t)size, 0) != size)
        (void)!ftruncate(fd, 0);
}

/* Takes `fd`: closes it on a failure. `how` is LOCK_EX or LOCK_SH. */
static enum status lock_descriptor(int fd, int how, const char *path, struct file **lock,
                                   struct error *err)
{
    int result;
    do
        result = flock(fd, how | LOCK_NB);
    while (result != 0 && errno == EINTR);
    if (result != 0) {
        int number = errno;
        enum status status = number == EWOULDBLOCK
                                 ? lock_conflict(fd, path, err)
                                 : fail_errno(err, number, "cannot lock %s", path);
        (void)close(fd);
        return status;
    }
    if (how == LOCK_EX)
        write_pid(fd);
    return posix_file_new(fd, path, lock, err);
}

static enum status posix_lock(struct filesystem *fs, const char *path, struct file **lock,
                              struct error *err)
{
    (void)fs;
    int fd = open_retrying(path, O_RDWR | O_CREAT);
    if (fd < 0)
        return fail_errno(err, errno, "cannot open lock file %s", path);
    return lock_descriptor(fd, LOCK_EX, path, lock, err);
}

/*
 * Read-only may be only the view of a directory (a bind mount), through which a writer's lock is
 * seen all the same. Shared, because some file systems refuse an exclusive lock on a descriptor
 * that cannot write.
 */
static enum status posix_lock_for_reading(struct filesystem *fs, const char *path,
                                          struct file **lock, struct error *err)
{
    (void)fs;
    int fd = open_retrying(path, O_RDWR | O_CREAT);
    if (fd >= 0)
        return lock_descriptor(fd, LOCK_EX, path, lock, err);
    if (errno == EROFS) {
        fd = open_retrying(path, O_RDONLY | O_NONBLOCK);
        if (fd >= 0)
            return lock_descriptor(fd, LOCK_SH, path, lock, err);
        if (errno == ENOENT)
            return STATUS_OK;
    }
    return fail_errno(err, errno, "cannot open lock file %s", path);
}

static const struct filesystem_ops posix_filesystem_ops = {
    .open = posix_open,
    .rename = posix_rename,
    .link = posix_link,
    .remove = posix_remove,
    .make_directory = posix_make_directory,
    .remove_directory = posix_remove_directory,
    .sync_directory = posix_sync_directory,
    .list = posix_list,
    .space = posix_space,
    .lock = posix_lock,
    .lock_for_reading = posix_lock_for_reading,
};

struct filesystem *filesystem_posix(void)
{
    /* Never written to: it holds only the table's address. */
    static struct filesystem posix = {&posix_filesystem_ops};
    return &posix;
}

/*
 * file - every call that touches a disk, behind two tables of functions, so that a test can keep
 * synced and unsynced bytes apart, fail the n-th call, tear a write, or replay a crash.
 *
 * Callers use the wrappers (file_read, filesystem_open, ...). Paths are zero-terminated and use
 * '/'; the real implementation takes them as the process sees them.
 *
 * Threads: different files from any thread; one file may be read by many and written by one at a
 * time, with sync beside a write of other bytes.
 * Errors: IO, NO_SPACE (ENOSPC, EDQUOT, EROFS), NOT_FOUND, MEMORY; CORRUPT where filesystem_open
 * finds something else than a file, which it never waits for. The message names the path.
 * Durability: bytes are durable after file_sync of their file; a created, renamed or removed name
 * after filesystem_sync_directory of its directory.
 */
#ifndef METRIC_STORE_OS_FILE_H
#define METRIC_STORE_OS_FILE_H

#include "base/slice.h"
#include "base/status.h"

struct file;
struct filesystem;

enum file_mode {
    FILE_READ,       /* must exist */
    FILE_READ_WRITE, /* must exist */
    FILE_CREATE,     /* read and write; created if missing, kept if there */
    FILE_CREATE_NEW, /* read and write; CONFLICT if it is there */
};

struct file_ops {
    /* Reads up to `size` bytes; *got < size only at the end of the file. */
    enum status (*read)(struct file *file, void *to, size_t size, uint64_t offset, size_t *got,
                        struct error *err);
    /* Writes all or fails; after a failure any prefix may have been written. */
    enum status (*write)(struct file *file, const void *from, size_t size, uint64_t offset,
                         struct error *err);
    /* Makes data and size durable. After a failure the file's unsynced bytes are unknown. */
    enum status (*sync)(struct file *file, struct error *err);
    enum status (*resize)(struct file *file, uint64_t size, struct error *err);
    enum status (*size)(struct file *file, uint64_t *size, struct error *err);
    /* May be NULL where there is no disk that could be busy. */
    void (*begin_write_back)(struct file *file, uint64_t offset, uint64_t size);
    void (*close)(struct file *file);
};

struct file {
    const struct file_ops *ops;
};

struct filesystem_space {
    uint64_t total_bytes;
    uint64_t free_bytes; /* usable without privileges */
};

/* Called once a name (no path, no "." or ".."); the name is borrowed for the call. */
typedef enum status filesystem_visit(void *context, const char *name, bool is_directory,
                                     struct error *err);

struct filesystem_ops {
    enum status (*open)(struct filesystem *fs, const char *path, enum file_mode mode,
                        struct file **file, struct error *err);
    enum status (*rename)(struct filesystem *fs, const char *from, const char *to,
                          struct error *err);
    /* NULL where there are no links: UNSUPPORTED. */
    enum status (*link)(struct filesystem *fs, const char *from, const char *to, struct error *err);
    enum status (*remove)(struct filesystem *fs, const char *path, struct error *err);
    enum status (*make_directory)(struct filesystem *fs, const char *path, struct error *err);
    enum status (*remove_directory)(struct filesystem *fs, const char *path, struct error *err);
    enum status (*sync_directory)(struct filesystem *fs, const char *path, struct error *err);
    enum status (*list)(struct filesystem *fs, const char *path, filesystem_visit *visit,
                        void *context, struct error *err);
    enum status (*space)(struct filesystem *fs, const char *path, struct filesystem_space *space,
                         struct error *err);
    enum status (*lock)(struct filesystem *fs, const char *path, struct file **lock,
                        struct error *err);
    /* NULL where no file system is read-only: then `lock` serves readers too. */
    enum status (*lock_for_reading)(struct filesystem *fs, const char *path, struct file **lock,
                                    struct error *err);
};

struct filesystem {
    const struct filesystem_ops *ops;
};

MUST_CHECK enum status file_read(struct file *file, void *to, size_t size, uint64_t offset,
                                 size_t *got, struct error *err);
/* As file_read, but an early end of file is CORRUPT. */
MUST_CHECK enum status file_read_exactly(struct file *file, void *to, size_t size, uint64_t offset,
                                         struct error *err);
/* The latter, of a read that got so much. */
MUST_CHECK enum status file_check_whole(size_t got, size_t size, uint64_t offset,
                                        struct error *err);
MUST_CHECK enum status file_write(struct file *file, const void *from, size_t size, uint64_t offset,
                                  struct error *err);
MUST_CHECK enum status file_sync(struct file *file, struct error *err);
MUST_CHECK enum status file_resize(struct file *file, uint64_t size, struct error *err);
MUST_CHECK enum status file_size(struct file *file, uint64_t *size, struct error *err);
/* Has the system write these bytes soon, so that a later sync of a large file has little to do and
 * others' syncs need not wait for it. Promises nothing. */
void file_begin_write_back(struct file *file, uint64_t offset, uint64_t size);
/* The same for a file that is written in order and has `written` bytes, each time a piece has come
 * together behind *begun, at first 0: syncs of others wait for the piece that the disk has in hand.
 */
void file_write_back_behind(struct file *file, uint64_t *begun, uint64_t written);
/* Accepts NULL. Makes nothing durable. */
void file_close(struct file *file);

MUST_CHECK enum status filesystem_open(struct filesystem *fs, const char *path, enum file_mode mode,
                                       struct file **file, struct error *err);
/* Replaces `to` atomically if it exists. */
MUST_CHECK enum status filesystem_rename(struct filesystem *fs, const char *from, const char *to,
                                         struct error *err);
/*
 * Gives a file a second name: both lead to the same bytes, and removing one leaves the other.
 *   CONFLICT     `to` is there already
 *   UNSUPPORTED  `to` is on another file system, or this one has no links
 */
MUST_CHECK enum status filesystem_link(struct filesystem *fs, const char *from, const char *to,
                                       struct error *err);
MUST_CHECK enum status filesystem_remove(struct filesystem *fs, const char *path,
                                         struct error *err);
/* One level, mode 0700; OK when it is there already. NOT_FOUND names what is missing above it. */
MUST_CHECK enum status filesystem_make_directory(struct filesystem *fs, const char *path,
                                                 struct error *err);
MUST_CHECK enum status filesystem_remove_directory(struct filesystem *fs, const char *path,
                                                   struct error *err);
MUST_CHECK enum status filesystem_sync_directory(struct filesystem *fs, const char *path,
                                                 struct error *err);
MUST_CHECK enum status filesystem_list(struct filesystem *fs, const char *path,
                                       filesystem_visit *visit, void *context, struct error *err);
MUST_CHECK enum status filesystem_space(struct filesystem *fs, const char *path,
                                        struct filesystem_space *space, struct error *err);
/* Creates `path` and holds it exclusively until file_close(*lock); CONFLICT if another process (or
 * another lock of this one) holds it, with that process's id in the message where known. */
MUST_CHECK enum status filesystem_lock(struct filesystem *fs, const char *path, struct file **lock,
                                       struct error *err);

/*
 * As filesystem_lock, for who only reads what `path` protects. On a read-only file system, where a
 * lock file cannot be made, it holds the one that is there, shared with other readers; where there
 * is none *lock is NULL, with OK: nobody can write there who would have had to hold it.
 */
MUST_CHECK enum status filesystem_lock_for_reading(struct filesystem *fs, const char *path,
                                                   struct file **lock, struct error *err);

/* The real one: one static instance, never released. */
struct filesystem *filesystem_posix(void);

#endif

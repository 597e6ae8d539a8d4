/*
 * file_pool - files that are read, of which only so many are open at once.
 *
 * A file of the pool reads as any other. Beyond the bound one that nobody reads at the moment, and
 * has not for long, is closed, and opened again by its path when it is read: so its name has to
 * stay until file_close. What is being read stays open, so that a read never waits for others; the
 * bound may be exceeded by as many as there are threads that read.
 *
 * Threads: any. A read of a file that is open takes no lock.
 * Errors of reading: as of opening beside those of reading; CORRUPT where the file has gone.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_FILE_POOL_H
#define METRIC_STORE_STORAGE_ENGINE_FILE_POOL_H

#include "os/file.h"

struct file_pool; /* opaque */

/* `max_open` 0: no bound. NULL without memory. Ended by file_pool_free, after all its files. */
struct file_pool *file_pool_new(struct filesystem *fs, size_t max_open);
void file_pool_free(struct file_pool *pool); /* accepts NULL */

/* For filesystem_open with FILE_READ, and for nothing else: it gives files of the pool, ended by
 * file_close. As long as the pool. */
struct filesystem *file_pool_filesystem(struct file_pool *pool);

struct file_pool_stats {
    size_t open;       /* now */
    uint64_t reopened; /* since the start */
};

void file_pool_stats(struct file_pool *pool, struct file_pool_stats *stats);

#endif

/*
 * read_all - a small file whole, also one whose size nobody knows before (/proc, /sys).
 */
#ifndef METRIC_STORE_OS_READ_ALL_H
#define METRIC_STORE_OS_READ_ALL_H

#include "base/bytes.h"
#include "os/file.h"

/* Appends the file's content to `to`, whose maximum is the limit.
 *   LIMIT      the file is larger than `to` has room for
 *   NOT_FOUND, IO, MEMORY */
MUST_CHECK enum status filesystem_read_all(struct filesystem *fs, const char *path,
                                           struct bytes *to, struct error *err);

#endif

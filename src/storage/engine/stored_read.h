/*
 * stored_read - reading what the engine has stored in parts and index segments.
 *
 * A disk that does not give back bytes has lost them as one that gives back others: a read that
 * fails for the medium's sake (EIO, and what file systems say of their own checksums) is tried once
 * more, and then is damage (CORRUPT), which costs its place and no more. *err says which bytes, and
 * the system's reason; callers name the file. Any other failure (no memory, a descriptor that is
 * gone) is none of the stored bytes and stays what it is.
 *
 * Not for the manifest and the log of a store that is started: a start makes up its mind about
 * both for good, on bytes that may be there the next time (docs/formats/wal.md).
 *
 * Threads: as the file.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_STORED_READ_H
#define METRIC_STORE_STORAGE_ENGINE_STORED_READ_H

#include "os/file.h"

enum { STORED_SECTOR_SIZE = 512, STORED_PAGE_SIZE = 4096 };

/* Opens a file to be read, and asks for its size; one that the disk does not let be opened is
 * CORRUPT. *file is NULL after a failure. */
MUST_CHECK enum status stored_open(struct filesystem *fs, const char *path, struct file **file,
                                   uint64_t *size, struct error *err);

/* As file_read. */
MUST_CHECK enum status stored_read(struct file *file, void *to, size_t size, uint64_t offset,
                                   size_t *got, struct error *err);

/* As file_read_exactly. */
MUST_CHECK enum status stored_read_exactly(struct file *file, void *to, size_t size,
                                           uint64_t offset, struct error *err);

/*
 * For whoever searches what is left: as file_read, but in place of sectors, or pages where their
 * sectors are not read apart, that the disk does not give back there are zeros. *lost takes how
 * many bytes these are; *why, which may be NULL, which are the first, and the reason.
 */
MUST_CHECK enum status stored_read_around(struct file *file, void *to, size_t size, uint64_t offset,
                                          size_t *got, uint64_t *lost, struct error *why,
                                          struct error *err);

#endif

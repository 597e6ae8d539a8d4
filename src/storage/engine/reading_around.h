/*
 * reading_around - a file system that reads files around what the disk does not give back of them:
 * there are zeros in its place, and each such place is told once.
 *
 * For those who have to say what is left of a manifest or a log, and to save it: nobody else may
 * take these zeros for what was written (stored_read.h).
 *
 * Only files that are opened with FILE_READ are read around, and may only be read; all else goes to
 * the file system behind it. No locks. Not for two threads.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_READING_AROUND_H
#define METRIC_STORE_STORAGE_ENGINE_READING_AROUND_H

#include "os/file.h"

/* `path`: as it was opened; borrowed for the call. */
typedef void reading_around_lost(void *context, const char *path, const char *description);

struct reading_around_place;

struct reading_around {
    struct filesystem fs; /* what is to be used */
    struct filesystem *behind;
    reading_around_lost *lost; /* NULL: none */
    void *context;
    uint64_t lost_bytes; /* of all reads, those of the same place again */
    struct reading_around_place *places;
    size_t count, capacity;
};

/* Borrows all three. Ended by reading_around_release, after the files. */
void reading_around_init(struct reading_around *around, struct filesystem *behind,
                         reading_around_lost *lost, void *context);
void reading_around_release(struct reading_around *around);

#endif

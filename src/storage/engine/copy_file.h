/*
 * copy_file - a second file with the same bytes.
 *
 * The bytes are synced; the name becomes durable with its directory, which is left to the caller.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_COPY_FILE_H
#define METRIC_STORE_STORAGE_ENGINE_COPY_FILE_H

#include "os/file.h"

/* Runs of zeros stay holes. On failure nothing is left. CONFLICT when `to` is there. */
MUST_CHECK enum status copy_file(struct filesystem *fs, const char *from, const char *to,
                                 struct error *err);

#endif

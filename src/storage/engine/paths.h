/*
 * paths - names of the engine's files.
 *
 *   DIR/lock            held while the store is open
 *   DIR/manifest        manifest.h
 *   DIR/wal/            wal.h
 *   DIR/index/ID.seg    index_segment.h, series_segment.h; ID is 16 hex digits
 *   DIR/parts/ID.part   part_format.h
 *   DIR/snapshots/      stores of their own, made on demand (engine_snapshot)
 *   DIR/quarantine/     files that a repair replaced (engine_repair)
 * A file under index/ or parts/ that the manifest does not name is a leftover and is removed at
 * start, unless edits of the manifest may be lost (unnamed.h).
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_PATHS_H
#define METRIC_STORE_STORAGE_ENGINE_PATHS_H

#include "base/status.h"

/* As asprintf; NULL without memory. The caller frees. */
char *path_format(const char *format, ...) PRINTF_LIKE(1, 2);

/* The directory that `path` is in: "/a/b" gives "/a", "b" gives "."; slashes at the end do not
 * count. NULL without memory; the caller frees. */
char *path_parent(const char *path);

/* What path_of_part and path_of_segment make; NULL without memory. The caller frees. */
char *path_of_part(const char *dir, uint64_t id);
char *path_of_segment(const char *dir, uint64_t id);

#endif

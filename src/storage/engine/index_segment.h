/*
 * index_segment - an immutable file of series definitions, of metric descriptors, of deletes, or of
 * active series: what the log said, before its segments are used again.
 *
 * Blocks of one record each (record.h), compressed, each under its own checksum: a damaged block
 * costs the definitions in it. Format: docs/formats/index-segment.md.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_INDEX_SEGMENT_H
#define METRIC_STORE_STORAGE_ENGINE_INDEX_SEGMENT_H

#include "os/os.h"
#include "storage/engine/record.h"
#include "storage/engine/registry.h"
#include "storage/engine/tombstone.h"

struct index_segment_stats {
    uint64_t entries;
    uint64_t bytes;
};

/* Writes the definitions of `ids` (rising), syncs the file and its directory. On failure nothing
 * is left. `lock` guards `table`: it is held for reading while a block is put together, not while
 * it is compressed and written. */
MUST_CHECK enum status index_segment_write_series(struct os os, const char *dir, uint64_t id,
                                                  const struct series_table *table,
                                                  struct rwlock *lock, const uint32_t *ids,
                                                  size_t count, struct index_segment_stats *stats,
                                                  struct error *err);
MUST_CHECK enum status index_segment_write_metrics(struct os os, const char *dir, uint64_t id,
                                                   const struct registry *registry,
                                                   struct rwlock *lock,
                                                   struct index_segment_stats *stats,
                                                   struct error *err);

/* Those up to `max_sequence`. */
MUST_CHECK enum status index_segment_write_deletes(struct os os, const char *dir, uint64_t id,
                                                   const struct tombstone_set *set,
                                                   uint64_t max_sequence,
                                                   struct index_segment_stats *stats,
                                                   struct error *err);

/* The series that are active and not only held, shard by shard as of a moment during the call:
 * `lock` is held for reading while one is copied. */
MUST_CHECK enum status index_segment_write_activity(struct os os, const char *dir, uint64_t id,
                                                    const struct activity *activity,
                                                    struct rwlock *lock,
                                                    struct index_segment_stats *stats,
                                                    struct error *err);

/* One record of the segment. */
typedef enum status index_segment_visit(void *context, enum record_type type, struct slice record,
                                        struct error *err);
/* Called for each block that is damaged and left out. */
typedef void index_segment_damage(void *context, const char *description);

/* Reads and checks every block. What `visit` calls CORRUPT goes to `damage` as well. */
MUST_CHECK enum status index_segment_read(struct os os, const char *path,
                                          index_segment_visit *visit, index_segment_damage *damage,
                                          void *context, struct error *err);

#endif

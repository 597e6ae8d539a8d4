/*
 * engine_internal - the engine's own state, shared by its files; nobody else includes it.
 *
 * Locks, in the order in which they may be taken:
 *   append_lock   the log, the committed sequence: whoever appends, syncs or rotates
 *   head_lock     entries of the active head, and `version`; readers copy what they need and leave
 *   series_lock   series table, registry, raw cache, days, unflushed ids
 *   work_lock     what the background thread waits for
 * The manifest belongs to background_lock: one background job at a time.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_ENGINE_INTERNAL_H
#define METRIC_STORE_STORAGE_ENGINE_ENGINE_INTERNAL_H

#include "base/invariant.h"
#include "storage/engine/day_set.h"
#include "storage/engine/engine.h"
#include "storage/engine/index_segment.h"
#include "storage/engine/manifest.h"
#include "storage/engine/raw_cache.h"
#include "storage/engine/record.h"
#include "storage/engine/registry.h"
#include "storage/engine/series_table.h"
#include "storage/engine/version.h"
#include "storage/engine/wal.h"

/* A growing list of series ids. */
struct id_list {
    uint32_t *ids;
    size_t count, capacity;
};

/* Room for `more` ids behind those that are there. */
MUST_CHECK enum status id_list_reserve(struct id_list *list, size_t more);
MUST_CHECK enum status id_list_add(struct id_list *list, uint32_t id);
void id_list_release(struct id_list *list);

struct engine_counters {
    atomic_uint_fast64_t samples_appended, commits;
    atomic_uint_fast64_t cache_hits, cache_misses;
    atomic_uint_fast64_t flushes, flush_failures, flushed_samples, flushed_bytes;
    atomic_uint_fast64_t merges, merge_failures, merged_bytes_read, merged_bytes_written;
    atomic_uint_fast64_t chunks_dropped, damaged_blocks;
    atomic_uint_fast64_t index_segments, index_bytes; /* now */
};

struct engine {
    struct tier tier;
    struct engine_options options;
    struct os os;
    const struct log *log;
    char *dir;
    struct file *lock;

    struct mutex append_lock;
    struct wal *wal;
    uint64_t sequence; /* of the last commit */
    int64_t last_sync_ns;
    bool unsynced;          /* the log holds commits that were not synced (interval, never) */
    struct bytes record;    /* scratch of the appender */
    struct id_list pending; /* likewise: series to define */

    struct rwlock head_lock;
    struct version *version;

    struct rwlock series_lock;
    struct series_table series;
    struct registry registry;
    struct raw_cache raw_cache;
    struct day_set days;
    struct id_list unflushed; /* committed, in no index segment yet */
    bool registry_dirty;      /* the newest metrics segment does not say what the registry does */

    struct mutex background_lock;
    struct manifest *manifest;
    uint64_t next_file;

    struct mutex work_lock;
    struct condition work;
    struct thread *thread;
    struct thread *sync_thread; /* with ENGINE_SYNC_INTERVAL and background threads */
    struct condition sync_due;
    bool stopping;
    bool work_waits;
    atomic_bool broken;    /* a sync failed: nothing is written until a restart */
    bool definitions_lost; /* damage at start may have cost any series: answers are partial */
    atomic_bool flush_lacks_space; /* the last flush failed for want of room */
    atomic_llong retention_ms;
    struct mutex trouble_lock;
    struct storage_condition trouble; /* of background work; cleared by its next success */

    struct day_set lost_days; /* with a part that could not be opened; set at start */
    struct engine_recovery recovery;
    struct engine_counters counters;
};

static inline struct engine *engine_of(struct tier *tier)
{
    return container_of(tier, struct engine, tier);
}

/* resolve.c */
enum status engine_resolve(struct tier *tier, struct batch *batch, struct admitter *admitter,
                           struct error *err);
void engine_settle(struct tier *tier, struct batch *batch);

/* append.c */
enum status engine_append(struct tier *tier, struct batch *const *batches, size_t count,
                          struct error *err);
/* Syncs what was logged without a sync. Takes append_lock. */
enum status engine_sync_log(struct engine *engine, struct error *err);
/* Seals the active head. With append_lock; BUSY while another is sealed, END when it is empty. */
enum status engine_rotate(struct engine *engine, struct error *err);
/* Whether the active head is to be sealed: by its memory, or by the log that it keeps from being
 * used again, which descriptors and tiny commits fill and memory does not. With append_lock. */
bool engine_head_is_due(const struct engine *engine);

/* flush.c */
enum status engine_flush_sealed(struct engine *engine, struct error *err);
/* Notes how large the index is, for statistics. After each commit of the manifest that changes it.
 */
void engine_note_index(struct engine *engine);
/* Publishes a version with these parts and, perhaps, without the sealed head. */
enum status engine_publish(struct engine *engine, struct part_ref *const *parts, size_t count,
                           bool drop_sealed, struct error *err);

/* manifest_commit; after a failed sync of the manifest the engine is broken, as the log would be.
 */
enum status engine_commit_manifest(struct engine *engine, const struct manifest_edit *edit,
                                   struct error *err);

/* Removes a part's file that nothing names, as far as that is possible now. */
void engine_remove_part(struct engine *engine, uint64_t id);

/* recovery.c */
enum status engine_recover(struct engine *engine, struct error *err);

/* merge.c, retention.c: *did says whether there was something to do */
enum status engine_merge_step(struct engine *engine, bool *did, struct error *err);
enum status engine_retention_step(struct engine *engine, bool *did, struct error *err);

/* background.c */
enum status background_start(struct engine *engine, struct error *err);
void background_stop(struct engine *engine);
void background_wake(struct engine *engine);
enum status background_step(struct engine *engine, bool *did, struct error *err);

/* selection.c, cursor.c */
enum status engine_select(struct tier *tier, const struct matchers *matchers, size_t count,
                          const struct select_options *options, struct selection **selection,
                          struct error *err);
size_t engine_selection_count(const struct selection *selection);
enum status engine_selection_series(struct selection *selection, size_t index,
                                    struct selected_series *series, struct error *err);
enum status engine_selection_read(struct selection *selection, size_t index,
                                  struct time_range range, struct storage_cursor **cursor,
                                  struct error *err);
enum status engine_cursor_next(struct storage_cursor *cursor, struct storage_block *block,
                               struct error *err);
enum status engine_cursor_load(struct storage_cursor *cursor, struct storage_block *block,
                               struct error *err);
void engine_selection_stats(const struct selection *selection, struct read_stats *stats);
void engine_selection_close(struct selection *selection);

/* catalog.c */
enum status engine_metrics(struct tier *tier, const struct matchers *matchers,
                           storage_visit_metric *visit, void *context, struct error *err);
enum status engine_metric(struct tier *tier, struct slice name, struct arena *arena,
                          struct metric *metric, struct error *err);
enum status engine_chunks(struct tier *tier, storage_visit_chunk *visit, void *context,
                          struct error *err);
void engine_condition(struct tier *tier, struct storage_condition *condition);

/* The version of now, held: end with version_release. */
struct version *engine_version(struct engine *engine);
void engine_trouble(struct engine *engine, enum storage_health health, const char *format, ...)
    PRINTF_LIKE(3, 4);

#endif

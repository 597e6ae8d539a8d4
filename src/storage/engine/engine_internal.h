/*
 * engine_internal - the engine's own state, shared by its files; nobody else includes it.
 *
 * Locks, in the order in which they may be taken:
 *   flush_lock    one flush at a time; beside it
 *   maintenance_lock   one merge; and beside both
 *   retention_lock     one drop of days: a long merge must not keep days that nobody wants
 *   manifest_lock the manifest, ids of files: while an edit is committed and published
 *   append_lock   the log, the committed sequence: whoever appends, syncs or rotates
 *   head_lock     entries of the active head: a commit is seen whole or not at all; readers copy
 *                 what they need and leave
 *   series_lock   series index, registry, raw cache, days
 *   work_lock     what the background threads wait for
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_ENGINE_INTERNAL_H
#define METRIC_STORE_STORAGE_ENGINE_ENGINE_INTERNAL_H

#include "base/invariant.h"
#include "storage/engine/activity.h"
#include "storage/engine/day_set.h"
#include "storage/engine/engine.h"
#include "storage/engine/gate.h"
#include "storage/engine/index_segment.h"
#include "storage/engine/manifest.h"
#include "storage/engine/merge_choice.h"
#include "storage/engine/raw_cache.h"
#include "storage/engine/reclaim.h"
#include "storage/engine/record.h"
#include "storage/engine/registry.h"
#include "storage/engine/retention.h"
#include "storage/engine/series_index.h"
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
    atomic_uint_fast64_t samples_appended, commits, selections;
    atomic_uint_fast64_t cache_hits, cache_misses;
    atomic_uint_fast64_t flushes, flush_failures, flushed_samples, flushed_bytes;
    atomic_uint_fast64_t orphaned_samples; /* of series that nothing defines: a flush drops them */
    atomic_uint_fast64_t merges, merge_failures, merged_bytes_read, merged_bytes_written;
    atomic_uint_fast64_t merge_pauses; /* for requests */
    atomic_uint_fast64_t warm_merges, warm_bytes_read, warm_bytes_written;
    atomic_uint_fast64_t chunks_dropped, damaged_blocks, deletes;
    /* Matching runs for retention rules, deletes that they made, and series whose samples of some
     * days went by them, counted anew for each run. */
    atomic_uint_fast64_t rule_runs, rule_deletes, rule_series;
    atomic_uint_fast64_t index_segments, index_bytes; /* now */
    atomic_uint_fast64_t index_merges, index_merged_bytes_written, series_ids_freed;
};

/* Each has a condition of its own; the worst is the store's. */
enum trouble_source {
    TROUBLE_SYNC, /* that broke the engine */
    TROUBLE_LOG,
    TROUBLE_DAMAGE,
    TROUBLE_FLUSH,
    TROUBLE_MAINTENANCE,
    TROUBLE_RETENTION,
    TROUBLE_RULES,
    TROUBLE_SOURCES
};

enum { ENGINE_DAMAGE_PLACES = 1024 };

/* When tombstones were last looked at and nothing was found to do. */
struct tombstone_look {
    uint64_t edits; /* engine.edits then; 0: never */
    int64_t time_ns;
};

/* A background thread; guarded by work_lock. */
struct worker {
    struct engine *engine;
    struct thread *thread;
    struct condition work;
    bool waits; /* there is something to do */
    enum trouble_source source;
    enum status (*step)(struct engine *engine, bool *did, struct error *err);
};

/* How merges give way to requests; with maintenance_lock. */
struct pace {
    bool gives_way;    /* there is a merge thread */
    bool behind;       /* a day has so many parts that merging them is what requests need most */
    bool hurries;      /* with that */
    int64_t began_ns;  /* the slice of work in hand */
    uint64_t requests; /* then */
    size_t next_step;  /* of those that merge, clean and reclaim: whose turn it is */
};

/* Since when nothing was appended to the log; with flush_lock. */
struct pause {
    uint64_t position; /* where the log ended */
    int64_t since_ns;
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
    bool log_refused;       /* the last commit could not be written */
    bool unsynced;          /* the log holds commits that were not synced (interval, never) */
    struct bytes record;    /* scratch of the appender */
    struct id_list pending; /* likewise: series to define */

    struct rwlock head_lock;
    struct version_slot version;
    struct part_commons part_commons;

    struct rwlock series_lock;
    struct series_index index;
    struct registry registry;
    struct raw_cache raw_cache;
    struct activity activity;
    struct {
        int64_t wall_s, monotonic_ns;
    } arrivals_begin;                 /* of the clock of arrivals */
    atomic_uint_fast32_t next_step_s; /* when the next step of the activity begins */
    struct day_set days;
    atomic_size_t table_bytes;   /* of index.active, as of the last commit */
    uint64_t descriptor_changes; /* new or changed ones, since the start */
    bool registry_dirty; /* the newest metrics segment does not say what the registry does */

    struct mutex flush_lock, maintenance_lock, retention_lock;
    struct pace pace;
    struct pause pause;
    struct tombstone_look drop_look;  /* of engine_drop_tombstones; with flush_lock */
    struct tombstone_look clean_look; /* of engine_clean_step; with maintenance_lock */
    int64_t clean_from_day;           /* likewise */

    struct mutex manifest_lock;
    struct manifest *manifest;
    uint64_t next_file;
    atomic_uint_fast64_t edits; /* of the manifest, since the start */

    struct mutex work_lock;
    struct worker flusher, maintainer, dropper;
    struct thread *sync_thread; /* with ENGINE_SYNC_INTERVAL and background threads */
    struct condition sync_due;
    bool stopping;
    atomic_bool index_damaged; /* pages of definitions: not looked for yet (series_index_doubt) */
    atomic_bool broken;        /* a sync failed: nothing is written until a restart */
    bool definitions_lost;     /* damage at start may have cost any series: answers are partial */
    atomic_bool flush_lacks_space; /* the last flush failed for want of room */
    atomic_llong warm_after_ms;
    struct mutex trouble_lock;
    struct storage_condition troubles[TROUBLE_SOURCES];
    uint64_t damage_places[ENGINE_DAMAGE_PLACES]; /* that were logged, as hashes */
    size_t damage_count;

    struct gate batches;    /* between resolve and settle */
    struct gate selections; /* open ones */
    struct reclaim reclaim;
    struct retention retention;

    struct day_set lost_days; /* with a part that could not be opened; set at start */
    /* Segments of descriptors, deletes or, of earlier versions, series, of which a start could not
     * read all: they stay named, so that the next one knows too, and a repair finds them. */
    uint64_t *damaged_segments;
    size_t damaged_segment_count;
    struct engine_recovery recovery;
    struct engine_counters counters;
};

static inline struct engine *engine_of(struct tier *tier)
{
    return container_of(tier, struct engine, tier);
}

/* What readers get from now on: engine_version for those that do not hold append_lock. */
static inline struct version *engine_newest(const struct engine *engine)
{
    return version_slot_borrow(&engine->version);
}

/* resolve.c */
enum status engine_resolve(struct tier *tier, struct batch *batch, struct admitter *admitter,
                           struct error *err);
void engine_settle(struct tier *tier, struct batch *batch);
/* Of a metric that is registered with another type. With series_lock. */
void engine_warn_contradiction(struct engine *engine, struct batch *batch,
                               const struct metric *metric);

/* append.c */
enum status engine_append(struct tier *tier, struct batch *const *batches, size_t count,
                          struct error *err);
/* Syncs what was logged without a sync. Takes append_lock. UNAVAILABLE when the engine is broken:
 * then nobody knows what the log holds. */
enum status engine_sync_log(struct engine *engine, struct error *err);
/* After a call on the log that failed: it breaks by itself where the name of a new segment cannot
 * be synced, and then the engine is broken too. */
void engine_note_broken_log(struct engine *engine, const struct error *why);
/* Commits the frame that was begun, and syncs it where options.sync says so. With append_lock. */
enum status engine_commit_log(struct engine *engine, struct error *err);
/* UNAVAILABLE, with the reason. */
enum status engine_refuse_broken(struct error *err);
/* Writes an empty commit. Where nothing else is to be written, it tells a disk that has failed as a
 * whole, so that the client has to try again, from one with a bad sector; as far as options.sync
 * lets anything know of the disk. Like an append it wants room in the head. */
enum status engine_try_log(struct engine *engine, struct error *err);
/* Seals the active head. With append_lock; BUSY while another is sealed, END when it is empty. */
enum status engine_rotate(struct engine *engine, struct error *err);
/* The same, but END only when the log holds nothing behind the head before: descriptors without
 * samples leave the head empty. */
enum status engine_rotate_log(struct engine *engine, struct error *err);
/* Whether the active head is to be sealed: by its memory, by that of new series, or by the log that
 * it keeps from being used again, which descriptors and tiny commits fill and memory does not. With
 * append_lock. */
bool engine_head_is_due(const struct engine *engine);

/* flush.c: END when nothing is sealed. With flush_lock. */
enum status engine_flush_sealed(struct engine *engine, struct error *err);
/* engine.c: flushes all that the log holds by now, descriptors without samples too. With
 * flush_lock. */
enum status engine_flush_log(struct engine *engine, struct error *err);

/* publish.c */

/* For a file that is about to be made. */
uint64_t engine_take_file_id(struct engine *engine);

/* Opens a part that was just written. IO where it cannot be read back whole, MEMORY. */
MUST_CHECK enum status engine_open_made(struct engine *engine, const struct manifest_part *info,
                                        struct part_ref **made, struct error *err);

/* What an edit does to the segments of the index. */
struct index_change {
    struct segment_ref *const *removed; /* of the present set */
    size_t removed_count;
    struct segment_ref *added; /* or NULL */
    bool drop_sealed;          /* the sealed table is in `added` now, or has no series */
};

/* What an edit does to the parts that readers see. */
struct parts_change {
    struct part_ref *const *added;
    size_t added_count;
    struct part_ref *const *removed;
    size_t removed_count;
    bool drop_sealed; /* the sealed head is in parts now */
    const bool *gone; /* tombstones of the present version by their places; NULL: none */
    size_t gone_count;
    const struct index_change *index; /* NULL: none */
};

/*
 * Completes `edit` with the change, commits it, and publishes the version that it makes: all or
 * nothing. CONFLICT: some of `removed` have been removed by somebody else. Files of removed parts
 * go with their last reader; those of added parts, which are `doomed` until then, stay. After a
 * failed sync of the manifest the engine is broken, as the log would be, and both stay. Takes
 * manifest_lock.
 */
enum status engine_publish(struct engine *engine, struct manifest_edit *edit,
                           const struct parts_change *change, struct error *err);
/* Notes how large the index is, for statistics. With manifest_lock, or alone. */
void engine_note_index(struct engine *engine);
/* Removes a part's file that nothing names, as far as that is possible now. */
void engine_remove_part(struct engine *engine, uint64_t id);

/* recovery.c */
enum status engine_recover(struct engine *engine, struct error *err);

/* merge.c */
/* Parts [start, start + count) of `version`, neighbours of one day, become one of `tier`, or none
 * where all that they hold is deleted. Damage leaves them as they are, and is OK; the part that has
 * it is not merged any more. Where their day is dropped meanwhile nothing is made, and that is OK
 * too. Takes over the reference on `version`, which it does not hold for long: other days' files
 * must be able to go. With maintenance_lock. */
enum status engine_merge_parts(struct engine *engine, struct version *version, size_t start,
                               size_t count, enum part_tier tier, struct error *err);
/* Whether it can be read, as far as merges have found. */
bool engine_may_merge(const struct part_ref *part);
/* Whether a part that could not be opened belongs between that one and the one before it, so that
 * they are no neighbours. */
bool engine_gap_before(struct engine *engine, const struct version *version, size_t place);

/* merge.c, warm.c, index_merge.c, retention_rules.c: *did says whether there was something to do.
 * With maintenance_lock. */
enum status engine_merge_step(struct engine *engine, bool *did, struct error *err);
enum status engine_warm_step(struct engine *engine, bool *did, struct error *err);
/* One segment out of `count`, without some series; then in their place. `made` may be NULL in the
 * second where nothing is left. After a failure `made` only has to be released. CORRUPT: at least
 * one of `refs` is marked as unreadable from then on, and health says so. */
enum status index_write_merged(struct engine *engine, struct segment_ref *const *refs, size_t count,
                               const roaring_bitmap_t *without, struct segment_ref **made,
                               struct error *err);
enum status index_publish_merged(struct engine *engine, struct segment_ref *const *refs,
                                 size_t count, struct segment_ref *made, struct error *err);
enum status engine_index_merge_step(struct engine *engine, bool *did, struct error *err);
/* The time that retention goes by, now: see retention.h. */
int64_t engine_retention_time(struct engine *engine);
/* retention.c: drops days that nobody keeps. With retention_lock. */
enum status engine_retention_step(struct engine *engine, bool *did, struct error *err);
/* Days without samples count towards storage.max_chunks no more. After parts have gone. */
void engine_forget_days(struct engine *engine);
/* Deletes what rules, or the default beside them, no longer keep of days that stay. */
enum status engine_rules_step(struct engine *engine, bool *did, struct error *err);

/* deletes.c */
enum status engine_delete(struct tier *tier, const struct matchers *matchers, size_t count,
                          struct time_range range, struct delete_result *result, struct error *err);

/* What series have within a range. */
struct doomed_samples {
    const roaring_bitmap_t *ids;
    struct time_range range; /* not empty */
};

/* Deletes it in one commit of the log, unless there are no series at all. `tombstones` (may be
 * NULL) says how many deletes it took. With append_lock. LIMIT, and as an append. */
enum status engine_commit_deletes(struct engine *engine, const struct doomed_samples *doomed,
                                  size_t count, size_t *tombstones, struct error *err);
/* Puts tombstones of one commit into the version; with append_lock, or alone. `heads` are noted
 * already. */
enum status engine_add_tombstones(struct engine *engine, struct tombstone *const *more,
                                  size_t count, struct error *err);
/* Forgets tombstones that hide nothing any more. With flush_lock. */
enum status engine_drop_tombstones(struct engine *engine, bool *did, struct error *err);
/* Writes a part without what tombstones hide, where that is much of it, or tombstones are many.
 * With maintenance_lock. */
enum status engine_clean_step(struct engine *engine, bool *did, struct error *err);

/* background.c */
enum status background_start(struct engine *engine, struct error *err);
void background_stop(struct engine *engine);
/* Called often by long work of the merge thread: lets requests go first for a while, where there
 * are any. False: the work is to be given up. With maintenance_lock. */
bool engine_goes_on(struct engine *engine);
/* A head was sealed. */
void background_wake(struct engine *engine);
/* What the threads do, one job of each. */
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
                           storage_visit_metric *visit, void *context, struct arena *arena,
                           bool *partial, struct error *err);
enum status engine_metric(struct tier *tier, struct slice name, struct arena *arena,
                          struct metric *metric, struct error *err);
enum status engine_chunks(struct tier *tier, storage_visit_chunk *visit, void *context,
                          struct error *err);
void engine_condition(struct tier *tier, struct storage_condition *condition);

/* damage.c: bytes that were read are not those that were written, and were passed over. Counted,
 * shown in health, and logged as `message` the first time that this place is met. */
void engine_note_damage(struct engine *engine, const char *message, const struct error *why);
/* The same of the index: which series have lost their definitions is looked at before the next
 * write. */
void engine_note_index_damage(struct engine *engine, const char *message, const struct error *why);

/* The version of now, held: end with version_release. */
struct version *engine_version(struct engine *engine);
/* Replaces what this source said before. */
/* A sync failed, of "log" or "manifest": nothing is written until a restart, and the condition says
 * why. `why` may be NULL; `event` is logged, the first time. */
void engine_break(struct engine *engine, const char *what, const char *event,
                  const struct error *why);
void engine_trouble(struct engine *engine, enum trouble_source source, enum storage_health health,
                    const char *format, ...) PRINTF_LIKE(4, 5);

#endif

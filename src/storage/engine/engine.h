/*
 * engine - the embedded storage engine: a tier (storage/storage.h) in one directory.
 *
 * A sample's way: resolve finds or reserves its series (series_table.h), append logs it (wal.h),
 * syncs, and puts it into the head (head.h); a full head is sealed and flushed into parts, one a
 * day touched (part_writer.h), after which its part of the log is used again. Merges keep the parts
 * few. The manifest (manifest.h) says which files count. docs/ARCHITECTURE.md follows a sample file
 * by file.
 *
 * Threads: see storage.h. One background thread flushes, one merges, one drops old days; without
 * threads (options.background false) the owner calls engine_background_step itself.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_ENGINE_H
#define METRIC_STORE_STORAGE_ENGINE_ENGINE_H

#include "base/log.h"
#include "os/os.h"
#include "storage/storage.h"

enum engine_sync { ENGINE_SYNC_ALWAYS, ENGINE_SYNC_INTERVAL, ENGINE_SYNC_NEVER };

enum { RETENTION_RULES_MAX = 64 };

/* How long samples of some series are kept. */
struct retention_rule {
    const char *match; /* a series selector (model/matcher.h) */
    int64_t keep_ms;   /* 0: for ever */
};

struct engine_options {
    struct os os;
    const char *dir;
    const struct log *log; /* may be NULL */
    enum engine_sync sync;
    int64_t sync_interval_ms;
    size_t head_bytes;  /* of memory, before the head is flushed; two heads may be there at once */
    size_t table_bytes; /* of series in memory, before the head is flushed and they go to disk; 0:
                         * as much as comes */
    size_t raw_cache_bytes;
    size_t part_index_bytes; /* of parts' indexes in memory, beside those in use; 0: all */
    size_t open_parts;       /* files of parts that are open at once; 0: all */
    uint64_t log_segment_bytes;
    uint32_t max_chunks;   /* days with samples */
    int64_t window_ms;     /* how long a series is active after a sample of it was received; 0: a
                            * day */
    uint32_t merge_fan_in; /* parts of one day that become one; 15 from the second merge on */
    int64_t retention_ms;  /* of series that no rule matches; 0: for ever */
    /* The first that matches a series holds for it. Borrowed for the call. */
    struct retention_rule retention_rules[RETENTION_RULES_MAX];
    size_t retention_rule_count;
    /* A leap of the wall clock by more than this is not believed by retention before it has stood
     * for so long; 0: at once. */
    int64_t clock_leap_ms;
    int64_t warm_after_ms;  /* since a day's end; 0: never */
    int64_t delete_rest_ms; /* between looks at whether tombstones are needed */
    size_t tombstone_bytes; /* of deletes whose samples are not removed yet; 0: no limit */
    int64_t warm_rest_ms; /* how long late parts of a warm day wait for others; after a start not */
    bool background;      /* start the background threads */
    /* For export and query on a stopped store, which must be there: nothing is written but the lock
     * file, and on a read-only file system not even that. */
    bool read_only;
};

/* What recovery found. */
struct engine_recovery {
    uint64_t log_samples; /* replayed */
    uint64_t damaged;     /* places; each was logged */
    bool torn_tail;       /* the log ended in a write that was never acknowledged: dropped */
    int64_t duration_ms;
};

struct engine_stats {
    uint64_t series_committed, series_reserved;
    uint64_t series_active, activity_bytes; /* active: those that batches hold too */
    uint64_t metrics_registered;
    uint64_t samples_appended, commits;
    uint64_t head_samples, head_bytes, sealed_samples, sealed_bytes;
    uint64_t series_table_bytes, raw_cache_bytes, raw_cache_hits, raw_cache_misses,
        raw_cache_evictions;
    uint64_t part_index_bytes, part_index_loads, part_index_evictions, parts_open, parts_reopened;
    uint64_t parts, part_samples, part_bytes, index_segments, index_bytes, chunks;
    uint64_t warm_parts, warm_samples, warm_bytes; /* among the parts */
    uint64_t log_bytes_written, log_syncs, log_segments, log_sync_ns_sum, log_sync_ns_max;
    uint64_t flushes, flush_failures, flushed_samples, flushed_bytes;
    uint64_t merges, merge_failures, merged_bytes_read, merged_bytes_written, merge_pauses;
    uint64_t warm_merges, warm_bytes_read, warm_bytes_written; /* not among the merges */
    uint64_t index_merges, index_merged_bytes_written, series_ids_freed;
    uint64_t chunks_dropped;
    uint64_t rule_runs, rule_deletes, rule_series; /* retention rules: see engine_counters */
    int64_t retention_time_ms; /* that retention goes by; 0: it has not looked yet */
    uint64_t deletes, tombstones, tombstone_bytes; /* since the start; there now */
    uint64_t damaged_blocks;
    uint64_t disk_total_bytes, disk_free_bytes;
    struct engine_recovery recovery;
};

/*
 * Opens or creates the store in options->dir and recovers it. Gives *tier, ended by engine_close.
 *   CONFLICT   another process has it open
 *   CORRUPT    the manifest cannot be read
 *   IO, NO_SPACE, MEMORY
 */
MUST_CHECK enum status engine_open(const struct engine_options *options, struct tier **tier,
                                   struct error *err);

/* Flushes what the head holds, if it can, and closes. The store opens again either way: what could
 * not be flushed is in the log. Accepts NULL. */
void engine_close(struct tier *tier);

/* As a crash would: nothing is flushed. For tests and for a clean exit after a fatal error. */
void engine_abandon(struct tier *tier);

void engine_stats(struct tier *tier, struct engine_stats *stats);

/* A metric with active series. */
struct engine_active_metric {
    struct slice name; /* borrowed until the visit returns */
    uint32_t series;   /* active ones */
    bool has_max_series;
    uint32_t max_series; /* that it was registered with */
};

typedef void engine_visit_active(void *context, const struct engine_active_metric *metric);

/* Visits each, in no order. Under a lock that new series wait for, some
 * thousand at a time: `visit` must be quick. One that comes or goes meanwhile may be missed. */
void engine_active_metrics(struct tier *tier, engine_visit_active *visit, void *context);

/* Seals the head and flushes it now. BUSY while another flush runs. */
MUST_CHECK enum status engine_flush(struct tier *tier, struct error *err);

/* Runs one background job that is due, if any: *did says whether there was one. */
MUST_CHECK enum status engine_background_step(struct tier *tier, bool *did, struct error *err);

/* Changes what a reload may change. Threads: any. */
void engine_set_retention(struct tier *tier, int64_t retention_ms); /* rules stay */
/* Both at once: what neither the old nor the new say may go stays. On a failure all stays as it
 * was.
 *   INVALID  a selector does not parse
 *   LIMIT    more than RETENTION_RULES_MAX
 *   MEMORY */
MUST_CHECK enum status engine_set_retention_rules(struct tier *tier, int64_t retention_ms,
                                                  const struct retention_rule *rules, size_t count,
                                                  struct error *err);
void engine_set_warm_after(struct tier *tier, int64_t warm_after_ms);
/* A shorter one frees places within a second; a longer one does not bring back what has fallen
 * out. */
void engine_set_window(struct tier *tier, int64_t window_ms);

struct engine_snapshot_result {
    uint64_t parts, segments; /* files */
    uint64_t samples, series, bytes;
    uint64_t missing; /* files that the store lacks itself, and the snapshot with it */
    int64_t duration_ms;
};

/*
 * Makes `dir` a store of its own with everything that was acknowledged before the call, and nothing
 * that is half of something; durable when it returns. Parts and index segments get a second name
 * there (hard links: they share their bytes with this store's), or with `copy` are copied. Writes
 * go on meanwhile. The manifest comes last: what was interrupted cannot be opened as a store.
 * `dir` is made; its parent has to be there. On failure nothing of it is left, as far as it can be
 * removed.
 *   CONFLICT     there is something in `dir`
 *   UNSUPPORTED  `dir` is on another file system, or on one without links: copy it instead
 *   CORRUPT      edits of the manifest are lost: nobody knows what all of the store is
 *   NOT_FOUND    the parent of `dir` is missing
 *   NO_SPACE, IO, MEMORY, UNAVAILABLE (broken until a restart)
 * Threads: any; different directories at once.
 */
MUST_CHECK enum status engine_snapshot(struct tier *tier, const char *dir, bool copy,
                                       struct engine_snapshot_result *result, struct error *err);

enum engine_finding {
    ENGINE_DAMAGE,
    ENGINE_LEFTOVER, /* a file that nothing names: the next start removes it, unless edits of the
                      * manifest may be lost, which the sentence says then */
    ENGINE_REPAIRED, /* what became of a damaged file */
    ENGINE_LOST,     /* what could not be saved of it */
};

/* Called with one sentence for each finding; texts are borrowed for the call. */
typedef void engine_report(void *context, enum engine_finding finding, const char *path,
                           const char *description);

/* Bytes done and in all (0, 0: not known); true ends the work with CANCELLED. */
typedef bool engine_progress(void *context, uint64_t done, uint64_t total);

struct engine_verify_result {
    uint64_t files, bytes, damaged, leftovers;
    uint64_t samples, series; /* of what could be read */
    bool unlocked; /* no lock was held: filesystem_lock_for_reading (os/file.h) says when */
};

/* OK where there is a store in `dir`. NOT_FOUND; CORRUPT: of one, but without its manifest. */
MUST_CHECK enum status engine_find_store(struct os os, const char *dir, struct error *err);

/* Reads every byte of a store that nobody has open and checks every checksum and cross-reference.
 * OK also when damage was found: `result` counts it. `progress` may be NULL.
 *   NOT_FOUND  there is no store in `dir`
 *   CONFLICT   another process has it open
 *   CANCELLED, IO, MEMORY */
MUST_CHECK enum status engine_verify(struct os os, const char *dir, engine_report *report,
                                     engine_progress *progress, void *context,
                                     struct engine_verify_result *result, struct error *err);

struct engine_repair_result {
    struct engine_verify_result found, left; /* before and after */
    uint64_t repaired;                       /* files that were made anew, taken in or put aside */
    uint64_t kept;         /* files in the quarantine that were not there before */
    uint64_t losses;       /* sentences about what was lost */
    uint64_t lost_samples; /* of parts; of the log nobody knows */
    uint64_t lost_series;  /* definitions */
};

/*
 * Verifies the store in options->dir, which nobody has open, and where damage is found makes it
 * sound again out of what is whole: afterwards it is as if what was lost had never been written,
 * and answers are not partial any more. Each file that is replaced or put aside stays in
 * `dir`/quarantine, as it was. One that was killed is run again. A sound store is not changed.
 *   CORRUPT    the manifest does not even say what the store is: only a backup helps
 *   NOT_FOUND, CONFLICT, CANCELLED   as engine_verify
 *   NO_SPACE, IO, MEMORY             what was repaired by then stays repaired
 */
MUST_CHECK enum status engine_repair(const struct engine_options *options, engine_report *report,
                                     engine_progress *progress, void *context,
                                     struct engine_repair_result *result, struct error *err);

/* Takes what is shown piece by piece; anything but OK ends it. */
typedef enum status engine_show(void *context, struct slice text, struct error *err);

struct engine_inspect_options {
    bool json;    /* one object; else lines for a person */
    bool details; /* each record, block or entry */
};

/*
 * Shows what one file of a store holds: a segment of the log, a part, an index or series
 * segment, or a manifest, told apart by content. Changes nothing. *damaged is true when the file
 * shows damage; a log segment's unused rest and records left over from earlier use are none.
 *   UNSUPPORTED  it is none of these, or of a later version
 *   CORRUPT      nothing of it can be read
 *   NOT_FOUND, IO, MEMORY, LIMIT, and what `show` returns
 */
MUST_CHECK enum status engine_inspect(struct os os, const char *path,
                                      const struct engine_inspect_options *options,
                                      engine_show *show, void *context, bool *damaged,
                                      struct error *err);

#endif

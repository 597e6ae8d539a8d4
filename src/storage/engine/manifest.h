/*
 * manifest - the log that says what the store is made of: its secret, its parts and index
 * segments, and up to where the write-ahead log is contained in them.
 *
 * One file. Each record is one edit, applied whole or not at all; it is written twice, so that
 * damage in one place loses nothing, and synced before anything relies on it. When the log has
 * grown well beyond what it says, it is written anew beside itself and renamed. Format:
 * docs/formats/manifest.md.
 *
 * Threads: one at a time.
 * Errors: a failed write changes nothing and may be tried again. After a failed sync, or when what
 * a failed write left cannot be cut off, nobody knows what the file holds: the manifest answers
 * UNAVAILABLE until it is opened anew, which may show the failed edit or not.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_MANIFEST_H
#define METRIC_STORE_STORAGE_ENGINE_MANIFEST_H

#include "base/bytes.h"
#include "os/os.h"

struct manifest; /* opaque */

enum part_tier {
    PART_HOT = 0,  /* as flushes and merges write them */
    PART_WARM = 1, /* a day's, written anew with large blocks once the day was old enough */
};

struct manifest_part {
    uint64_t id;
    int64_t day; /* UTC days since 1970 */
    uint64_t min_sequence, max_sequence;
    uint32_t level; /* merges it has been through */
    uint64_t samples;
    uint64_t bytes;
    int64_t min_ms, max_ms;
    enum part_tier tier;
    uint64_t cleaned; /* tombstones up to this sequence were applied by a merge; 0: none */
};

enum segment_kind {
    SEGMENT_SERIES = 1,   /* index_segment.h; of earlier versions */
    SEGMENT_METRICS = 2,  /* index_segment.h */
    SEGMENT_INDEX = 3,    /* series_segment.h */
    SEGMENT_DELETES = 4,  /* index_segment.h: tombstones */
    SEGMENT_ACTIVITY = 5, /* index_segment.h: active series */
};

struct manifest_segment {
    uint64_t id;
    enum segment_kind kind;
    uint64_t entries;
    uint64_t bytes;
};

/* What the manifest says now; borrowed until the next commit. */
struct manifest_state {
    uint8_t store_id[16];
    uint64_t secret; /* seed of every hash that outsiders can reach */
    int64_t created_ms;
    uint64_t log_position;  /* log records below are contained in parts and segments */
    uint64_t last_sequence; /* of what is contained */
    uint64_t next_file;     /* ids of parts and segments, never used twice */
    uint32_t next_series;   /* what parts may name lies below, whatever became of its definition */
    uint32_t next_metric;   /* likewise */
    int64_t time_ms;        /* that was believed lately (retention.h); 0: nobody said */
    /* By damage: files may be there that it does not name but should. A start that finds what it
     * says to be incomplete notes it (manifest_note_lost); a repair ends it. All other damage was
     * healed from second copies, or is an edit that a crash cut short. */
    bool edits_lost;
    /* Between these positions frames of the log were lost that no part has, as a start found, which
     * notes it (manifest_note_log_lost): the next one finds a log that has gone on. A repair ends
     * it. 0, 0: none. */
    uint64_t log_lost_from, log_lost_to;
    struct manifest_part *parts; /* by (day, min_sequence) */
    size_t part_count;
    struct manifest_segment *segments; /* by id */
    size_t segment_count;
};

/* Called for each damaged place, and for edits that are lost because both of their copies are. */
typedef void manifest_damage(void *context, const char *description);

/* Opens `dir`/manifest, or makes a new store there. Gives *manifest, ended by manifest_close.
 * CORRUPT when nothing of it can be read, or not what the store is. */
MUST_CHECK enum status manifest_open(struct manifest **manifest, struct os os, const char *dir,
                                     manifest_damage *damage, void *context, struct error *err);
/* The same of a store that is there, and writes nothing: commits are UNAVAILABLE. NOT_FOUND. */
MUST_CHECK enum status manifest_open_read_only(struct manifest **manifest, struct os os,
                                               const char *dir, manifest_damage *damage,
                                               void *context, struct error *err);
void manifest_close(struct manifest *manifest);
const struct manifest_state *manifest_state(const struct manifest *manifest);
/* Whether a sync failed: then an edit whose commit failed may be found at the next opening. */
bool manifest_broken(const struct manifest *manifest);

/* Reads every record of `dir`/manifest and changes nothing. */
MUST_CHECK enum status manifest_verify(struct os os, const char *dir, manifest_damage *damage,
                                       void *context, struct manifest_state *state,
                                       struct error *err);
/* The same of a manifest file anywhere. */
MUST_CHECK enum status manifest_read(struct os os, const char *path, manifest_damage *damage,
                                     void *context, struct manifest_state *state,
                                     struct error *err);
void manifest_state_release(struct manifest_state *state);

MUST_CHECK enum status manifest_state_copy(struct manifest_state *to,
                                           const struct manifest_state *from, struct error *err);
/* Makes `dir`/manifest say exactly this, or, on a failure, leaves what was there; syncs the
 * directory. Nobody has the store open. */
MUST_CHECK enum status manifest_write(struct os os, const char *dir,
                                      const struct manifest_state *state, struct error *err);

/* An edit under construction. */
struct manifest_edit {
    struct bytes bytes;
    bool failed; /* no memory: commit says so */
};

void manifest_edit_init(struct manifest_edit *edit);
void manifest_edit_release(struct manifest_edit *edit);
void manifest_add_part(struct manifest_edit *edit, const struct manifest_part *part);
void manifest_remove_part(struct manifest_edit *edit, uint64_t id);
void manifest_add_segment(struct manifest_edit *edit, const struct manifest_segment *segment);
void manifest_remove_segment(struct manifest_edit *edit, uint64_t id);
void manifest_set_flushed(struct manifest_edit *edit, uint64_t log_position,
                          uint64_t last_sequence);
/* Ids below `next` are taken. */
void manifest_set_next_file(struct manifest_edit *edit, uint64_t next);
/* Series and metric ids below these may stand in parts. */
void manifest_set_next_ids(struct manifest_edit *edit, uint32_t next_series, uint32_t next_metric);
void manifest_set_time(struct manifest_edit *edit, int64_t time_ms);
/* Edits before this one are lost: edits_lost from then on. */
void manifest_note_lost(struct manifest_edit *edit);
/* In place of what was noted before; 0, 0 ends it. */
void manifest_note_log_lost(struct manifest_edit *edit, uint64_t from, uint64_t to);

/* Writes, syncs, applies. After a failure the state is as it was. */
MUST_CHECK enum status manifest_commit(struct manifest *manifest, const struct manifest_edit *edit,
                                       struct error *err);
/* Applies to the state of one that was opened read-only, and writes nothing. */
MUST_CHECK enum status manifest_assume(struct manifest *manifest, const struct manifest_edit *edit,
                                       struct error *err);

#endif

/*
 * wal_private - the inside of wal, shared by its own files.
 *
 * wal.c           frames: build, write, sync, statistics
 * wal_segments.c  the files: installing, reusing and removing them
 * wal_replay.c    wal_open: what is there, what of it is good, where to go on
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_WAL_PRIVATE_H
#define METRIC_STORE_STORAGE_ENGINE_WAL_PRIVATE_H

#include "base/bytes.h"
#include "storage/engine/wal_format.h"
#include "storage/engine/wal_reader.h"

#include <stdatomic.h>

enum { WAL_PATH_SIZE = 4096 };

struct wal_segment {
    uint64_t number;
    uint64_t size;     /* that can be read, and written where it is the current one */
    uint64_t made;     /* as it was made: larger than `size` where the file was cut short */
    struct file *file; /* NULL where it is only waiting to be released */
    bool damaged;      /* its header is to be written again */
};

/* A run of the frame's bytes that goes into one segment. */
struct wal_piece {
    uint64_t number;
    uint64_t offset;
    size_t from; /* in the frame's bytes */
    size_t size;
};

struct wal_builder {
    bool open;
    struct bytes bytes;
    struct wal_piece *pieces;
    size_t piece_count;
    size_t piece_capacity;
    uint64_t number; /* where the next record goes */
    uint64_t offset;
    uint64_t room; /* to the end of that segment */
    uint32_t index;
    uint32_t records;
};

struct wal_counters {
    atomic_uint_least64_t frames, bytes, records, failed_frames;
    atomic_uint_least64_t syncs, sync_ns_sum, sync_ns_max;
    atomic_uint_least64_t segments, spares;
    atomic_uint_least64_t last_lsn, synced_lsn;
    atomic_bool broken;
    /* Written by wal_open only. */
    uint64_t replayed_frames, replayed_records, replayed_bytes, damages, torn_lsn;
};

struct recovery; /* wal_replay.c */

struct wal {
    struct os os;
    char *dir;
    uint64_t segment_size;
    unsigned spare_max;
    const struct log *log;
    bool read_only;
    uint64_t key;
    uint64_t owner;
    uint32_t seed;
    struct recovery *recovery; /* while it runs */

    /* Guards the two lists, and is held while a segment is filled with zeros: whoever needs the
     * next segment waits for the one that makes it. */
    struct mutex lock;
    struct wal_segment *segments; /* ascending, without gaps from the current one on */
    size_t segment_count;
    size_t segment_capacity;
    uint64_t spares[WAL_SPARES_MAX]; /* numbers in their names */
    size_t spare_count;

    /* Of the writing thread. */
    uint32_t epoch;
    uint32_t frame;  /* counts attempts, so that no two frames have the same order */
    uint64_t number; /* the current segment, */
    uint64_t offset; /* and where the next frame begins in it */
    uint64_t dirty;  /* the first segment with unsynced frames; 0: none */
    bool sealed;     /* the log ends with a mark (wal_mark) */
    struct wal_builder builder;

    struct wal_counters counters;
};

/* wal.c */
bool wal_is_broken(const struct wal *wal);
void wal_break(struct wal *wal, const struct error *err);
enum status wal_fail_broken(struct error *err);

/* wal_segments.c; all with the lock held. */
MUST_CHECK enum status wal_path(const struct wal *wal, const char *name, char path[WAL_PATH_SIZE],
                                struct error *err);
struct wal_segment *wal_find_segment(struct wal *wal, uint64_t number);
MUST_CHECK enum status wal_add_segment(struct wal *wal, const struct wal_segment *segment,
                                       struct error *err);
MUST_CHECK enum status wal_write_header(struct wal *wal, const struct wal_segment *segment,
                                        struct error *err);
/* Makes a segment behind the last one, durably named. */
MUST_CHECK enum status wal_install_segment(struct wal *wal, uint64_t number, struct error *err);
/* Takes segments[index] out of the log, for reuse or for good. */
MUST_CHECK enum status wal_retire_segment(struct wal *wal, size_t index, struct error *err);
MUST_CHECK enum status wal_remove_spare(struct wal *wal, uint64_t number, struct error *err);
void wal_count_segments(struct wal *wal);

/* wal_replay.c */
struct wal_replay {
    uint64_t replay_from;
    wal_apply *apply;
    wal_damage *damage;
    wal_was_read *was_read; /* may be NULL */
    void *context;
};
MUST_CHECK enum status wal_recover(struct wal *wal, const struct wal_replay *replay,
                                   struct error *err);

#endif

/*
 * wal - the log that makes an acknowledged batch survive a crash.
 *
 * A directory of numbered segments of one size, reused when what they hold is no longer needed.
 * The unit is the frame: a run of records that is replayed whole or not at all. Format, and what
 * replay takes for a torn tail and what for damage: docs/formats/wal.md.
 *
 * Positions (LSN) are segment number << 32 | offset in the segment. They only grow, and are never
 * used twice for different bytes that somebody was told about.
 *
 * Writing:   wal_begin, wal_put..., wal_commit, again and again; then wal_sync. What was committed
 *            before a wal_sync that returned OK survives every crash.
 * Threads:   begin, put, commit, mark and sync: one thread at a time. In another one wal_prepare
 * and wal_release may run beside it; wal_stats in any. Units:     sizes and offsets in bytes,
 * latencies in nanoseconds. Errors:    after a failed sync the log is broken: all calls return
 * UNAVAILABLE until it is opened again. A failed wal_commit leaves it usable.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_WAL_H
#define METRIC_STORE_STORAGE_ENGINE_WAL_H

#include "base/log.h"
#include "base/slice.h"
#include "base/status.h"
#include "os/os.h"

struct wal; /* opaque */

enum {
    WAL_RECORD_MAX = 1 << 20,         /* bytes a record may hold */
    WAL_FRAME_MAX = 1 << 28,          /* bytes a frame may take up, headers included */
    WAL_SEGMENT_SIZE_MIN = 64 * 1024, /* a multiple of 4096 */
    WAL_SEGMENT_SIZE_MAX = 1 << 30,
    WAL_SEGMENT_SIZE_DEFAULT = 64 << 20,
    WAL_SPARES_MAX = 64,
};

/* Called with wal_open's `context` when all of the log was read, before anything of it is written:
 * what was damaged may not look so afterwards. Anything but OK ends wal_open, which returns it. */
typedef enum status wal_was_read(void *context, struct error *err);

struct wal_options {
    struct os os;
    const char *dir;        /* made if it is missing; its parent must be there */
    uint64_t segment_size;  /* WAL_SEGMENT_SIZE_MIN to _MAX; may differ from last time */
    uint64_t frame_max;     /* largest frame that is accepted, at most WAL_FRAME_MAX */
    uint64_t owner;         /* of the log: segments that name another are damage; 0: any */
    unsigned spares;        /* segments kept for reuse, at most WAL_SPARES_MAX */
    const struct log *log;  /* NULL: none */
    wal_was_read *was_read; /* NULL: nobody has to know */
    /* NULL, or set while records are applied, for wal_sync_replayed alone. */
    struct wal **replaying;
    /* Replays and writes nothing: afterwards all but wal_stats and wal_close is UNAVAILABLE. */
    bool read_only;
};

/*
 * One record of a whole frame. `record` is borrowed for the call; `lsn` is the end of its frame,
 * as wal_commit gave it, and so the same for all records of a frame. Anything but OK ends the
 * replay, and wal_open returns it.
 */
typedef enum status wal_apply(void *context, struct slice record, uint8_t type, uint64_t lsn,
                              struct error *err);

/* Bytes [from, to) were synced once and cannot be read back; `description` names segment, offset
 * and reason, and is borrowed for the call. Replay goes on at `to`. Nothing is lost where `to` is
 * not above replay_from, or is `from`: a copy of a segment's header, of which the other holds. */
typedef void wal_damage(void *context, const char *description, uint64_t from, uint64_t to);

/*
 * Opens or creates the log and replays in order every whole frame that starts at `replay_from` or
 * after it (0: all). Then everything that was replayed is made durable, and the log continues
 * behind the last frame. A torn tail (a frame that was being written when the machine stopped) is
 * dropped, which is no damage; stats and log tell its place.
 * Gives *wal, ended by wal_close; on failure *wal is NULL.
 *   INVALID      an option is out of its range; replay_from is no position that wal_commit gave
 *   UNSUPPORTED  a segment was written by a newer version
 *   IO, NO_SPACE, MEMORY, and what `apply` returned
 */
MUST_CHECK enum status wal_open(struct wal **wal, const struct wal_options *options,
                                uint64_t replay_from, wal_apply *apply, wal_damage *damage,
                                void *context, struct error *err);

/*
 * Called by `apply`: makes all frames before the present one durable, as far as that is not known
 * of them already. Whoever is to rely on less of the log than was replayed, while it is replayed,
 * has to: what can be read may be lost with a power cut, for which the log would be damaged.
 *   IO, NO_SPACE, MEMORY
 */
MUST_CHECK enum status wal_sync_replayed(struct wal *wal, struct error *err);

/* Syncs, and marks the end as clean, so that any later damage is known as such. Accepts NULL. */
void wal_close(struct wal *wal);

/* Starts a frame; one that was not committed is forgotten. UNAVAILABLE. */
MUST_CHECK enum status wal_begin(struct wal *wal, struct error *err);

/* Appends a record, the bytes of `first` and then of `second`, which are copied. After a failure
 * the frame cannot be committed. LIMIT   more than WAL_RECORD_MAX bytes, or the frame grew over
 * frame_max MEMORY */
MUST_CHECK enum status wal_put(struct wal *wal, uint8_t type, struct slice first,
                               struct slice second, struct error *err);

/*
 * Writes the frame; *lsn is its end: a replay from there skips it. Not durable before wal_sync.
 * After a failure the frame is not in the log and the next one takes its place, so that the same
 * records can be put again. (It may yet be replayed if the machine stops before that.)
 *   NO_SPACE, IO, UNAVAILABLE, MEMORY
 */
MUST_CHECK enum status wal_commit(struct wal *wal, uint64_t *lsn, struct error *err);

/* Makes all committed frames durable. Any failure breaks the log: it is never tried again. */
MUST_CHECK enum status wal_sync(struct wal *wal, struct error *err);

/*
 * An empty frame that names everything before it as synced, so that damage there is known as such
 * and not taken for a torn tail; in another sector than that, behind filler. Nothing is written
 * where the log ends with such a frame, or with one that was not synced. Durable when it returns
 * OK. One thread at a time, as wal_commit; errors are its own and those of wal_sync.
 */
MUST_CHECK enum status wal_mark(struct wal *wal, struct error *err);

/*
 * Has the segment behind the current one ready, so that no commit waits for it to be filled with
 * zeros. Cheap when it is there. To be called now and then from a background job; without it,
 * commits do it themselves.
 *   NO_SPACE, IO, UNAVAILABLE
 */
MUST_CHECK enum status wal_prepare(struct wal *wal, struct error *err);

/*
 * Nothing below `lsn` will be replayed again: the caller has made that durable and will not pass a
 * smaller replay_from. Segments that lie wholly below are kept for reuse or removed.
 */
MUST_CHECK enum status wal_release(struct wal *wal, uint64_t lsn, struct error *err);

/* The end of the last committed frame. */
uint64_t wal_position(const struct wal *wal);

struct wal_stats {
    uint64_t frames;  /* committed since wal_open */
    uint64_t bytes;   /* of these frames */
    uint64_t records; /* of these frames */
    uint64_t failed_frames;
    uint64_t syncs;
    uint64_t sync_ns_sum;
    uint64_t sync_ns_max;
    uint64_t segments; /* in the log, the prepared ones included */
    uint64_t spares;
    uint64_t last_lsn;   /* the end of the last committed frame */
    uint64_t synced_lsn; /* durable up to here */
    uint64_t replayed_frames;
    uint64_t replayed_records;
    uint64_t replayed_bytes;
    uint64_t damages;  /* ranges reported at wal_open */
    uint64_t torn_lsn; /* where a torn tail was dropped; 0: there was none */
    bool broken;
};
void wal_stats(const struct wal *wal, struct wal_stats *stats);

/* What wal_inspect shows, in order of lsn. */
enum wal_entry_kind {
    WAL_ENTRY_SEGMENT, /* the header, first; bad: a copy is damaged, or the file too short */
    WAL_ENTRY_BEGIN,   /* of a frame */
    WAL_ENTRY_RECORD,
    WAL_ENTRY_FRAGMENT, /* part of a record, continued in the next entry or segment */
    WAL_ENTRY_COMMIT,
    WAL_ENTRY_GAP, /* bytes that hold no valid record although one follows: bad */
    WAL_ENTRY_REST /* bytes that hold none up to the end of the segment: unused */
};

enum wal_entry_state {
    WAL_ENTRY_GOOD,
    WAL_ENTRY_STALE, /* left over from before a restart; replay ignores it */
    WAL_ENTRY_BAD
};

struct wal_entry {
    enum wal_entry_kind kind;
    enum wal_entry_state state;
    uint64_t lsn;
    uint64_t size; /* in the file, header and padding included */
    uint8_t type;
    uint32_t payload_size;
    uint32_t epoch;       /* counts openings of the log */
    uint32_t frame;       /* counts frames in the epoch */
    uint32_t index;       /* in the frame */
    uint64_t synced_lsn;  /* of WAL_ENTRY_BEGIN */
    struct slice payload; /* of RECORD and FRAGMENT; borrowed for the call */
};

typedef enum status wal_visit(void *context, const struct wal_entry *entry, struct error *err);

/*
 * Shows what one segment file holds, without changing it. Ends early with what `visit` returns.
 *   CORRUPT      the file is no segment, or both copies of its header are damaged
 *   UNSUPPORTED  written by a newer version
 *   NOT_FOUND, IO, MEMORY
 */
MUST_CHECK enum status wal_inspect(struct os os, const char *path, wal_visit *visit, void *context,
                                   struct error *err);

static inline uint64_t wal_lsn(uint64_t segment, uint64_t offset)
{
    return segment << 32 | offset;
}

static inline uint64_t wal_lsn_segment(uint64_t lsn)
{
    return lsn >> 32;
}

static inline uint64_t wal_lsn_offset(uint64_t lsn)
{
    return lsn & UINT32_MAX;
}

#endif

/*
 * recovery_state - what the files of a recovery share; private to them.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_RECOVERY_STATE_H
#define METRIC_STORE_STORAGE_ENGINE_RECOVERY_STATE_H

#include "storage/engine/activity_store.h"
#include "storage/engine/engine_internal.h"

struct recovery {
    struct engine *engine;
    uint32_t *ids; /* room for RECORD_MAX_SAMPLES, as the other two */
    int64_t *times;
    double *values;
    uint64_t frame;                    /* the one whose records are coming */
    uint32_t next_series;              /* above every id that the log's samples name */
    uint64_t manifest_damage;          /* places */
    uint64_t replay_from;              /* of the log */
    uint64_t lost_from, lost_to;       /* of the log, not noted yet; 0, 0: nothing */
    struct tombstone_set *tombstones;  /* of segments */
    struct wal *replaying;             /* while the log is replayed */
    struct replayed_arrivals arrivals; /* not applied yet */
    bool activity_lost;                /* what is active is not known from its segment */
    struct manifest_segment *closed;   /* series segments that did not open */
    size_t closed_count;
};

/* ---- recovery_notes.c: what is damaged is counted, logged, and shown in health ---- */

/* For readers that report through a callback: `context` is the recovery. What is lost may be of any
 * series. */
void recovery_note_damage(void *context, const char *description);
/* What is lost is known: samples of one day, or nothing that anybody needs. */
void recovery_note_known_loss(struct recovery *recovery, const char *description);
void recovery_note_descriptors(void *context, const char *description);
void recovery_note_activity(void *context, const char *description);
/* One of two copies, or both: only in the end it is known whether anything is lost. A crash in the
 * middle of an edit leaves one copy too. */
void recovery_note_manifest_damage(void *context, const char *description);
void recovery_note_log_damage(void *context, const char *description, uint64_t from, uint64_t to);
/* Has the manifest say which frames of the log are lost, where that is not done yet. Before
 * anything of the log is flushed or written: the next start would find nothing missing, and a
 * repair nothing to tell of. */
MUST_CHECK enum status recovery_note_lost_frames(void *context, struct error *err);
/* What an earlier start has noted. */
void recovery_tell_lost_frames(struct recovery *recovery);

#endif

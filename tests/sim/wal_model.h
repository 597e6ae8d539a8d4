/*
 * wal_model - frames whose content can be checked, and what a replay must give back.
 *
 * Frame number i of generation g always has the same records; their bytes name both, so that a
 * record that is wrong, torn, or of another frame is recognised.
 */
#ifndef METRIC_STORE_TESTS_WAL_MODEL_H
#define METRIC_STORE_TESTS_WAL_MODEL_H

#include "sim_disk.h"
#include "sim_os.h"
#include "storage/engine/wal.h"

enum { MODEL_FRAMES_MAX = 512 };

struct model_frame {
    uint32_t number;
    uint32_t generation;
    uint64_t lsn;
};

/* What is in the log, in order. */
struct model_log {
    struct model_frame frames[MODEL_FRAMES_MAX];
    size_t count;
};

struct wal_model {
    uint64_t seed;
    unsigned size_class; /* 0: small frames only; 1: some span segments; 2: some exceed 1 MiB */
    uint64_t segment_size;
    unsigned spares;
    struct sim_clock clock;
    struct sim_random random;

    struct model_log log; /* committed */
    size_t synced;        /* so many of them must survive */
    uint64_t replay_from;
    uint32_t next_number;
};

void model_init(struct wal_model *model, uint64_t seed, unsigned size_class);
struct wal_options model_options(struct wal_model *model, struct sim_disk *disk);

/* What a replay gave; the frames are complete and every byte was right unless `wrong` is set. */
struct model_replay {
    struct model_log log;
    uint32_t records_left; /* of the last frame */
    uint32_t record;
    unsigned damages;
    uint64_t damage_from;
    uint64_t damage_to;
    const char *wrong;
};

/* Opens the log and collects what it replays. */
MUST_CHECK enum status model_open(struct wal_model *model, struct sim_disk *disk, struct wal **wal,
                                  struct model_replay *replay, struct error *err);

/* begin, put..., commit; adds nothing to the model. */
MUST_CHECK enum status model_write(struct wal_model *model, struct wal *wal, uint32_t number,
                                   uint32_t generation, uint64_t *lsn, struct error *err);
/* The same, added to the model's log. */
MUST_CHECK enum status model_commit(struct wal_model *model, struct wal *wal, struct error *err);
MUST_CHECK enum status model_sync(struct wal_model *model, struct wal *wal, struct error *err);

/* All synced frames from replay_from on, then some or none of the committed ones without a gap; one
 * frame that is not in the model may follow (its commit failed, or its result was not seen). */
bool model_accepts(const struct wal_model *model, const struct model_replay *replay);

bool model_same(const struct model_log *a, const struct model_log *b);

#endif

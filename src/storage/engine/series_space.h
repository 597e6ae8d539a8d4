/*
 * series_space - the ids of a store's series and metrics, whichever table or segment defines them.
 *
 *   series   ids that were given and never came to be are given again; all others only rise
 *   metrics  id <-> name, and the number of series, wherever they are
 *
 * Both are durable: parts are sorted by (metric, series). The id of a metric that ever had a
 * committed series is never given to another name.
 *
 * Ownership: names are copied. Threads: the owner's lock.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_SERIES_SPACE_H
#define METRIC_STORE_STORAGE_ENGINE_SERIES_SPACE_H

#include "base/slice.h"
#include "base/status.h"
#include "model/batch.h"

#define METRIC_ID_NONE UINT32_MAX
/* Ids of series are below it. */
#define SERIES_ID_END (SERIES_ID_NONE - 1)

struct series_metric {
    uint8_t *name; /* NULL: no series now */
    uint32_t name_size;
    uint32_t series; /* reserved ones too; without a name, the next free id */
    bool durable;    /* something on disk may name this id */
};

struct series_space {
    uint64_t seed;
    struct series_metric *metrics;
    uint32_t metric_count, metric_capacity; /* ids ever given; of the array */
    uint32_t free_metric;                   /* METRIC_ID_NONE: none */
    uint32_t live_metrics;
    struct metric_slot *slots;
    uint32_t slot_count, slots_used;
    uint32_t next_series;
    uint32_t *free_series;
    uint32_t free_count, free_capacity;
    uint32_t lent;    /* ids that may come back */
    uint64_t changes; /* of free_series, since the start */
    size_t memory_bytes;
};

/* `seed` is secret: names come from outside. */
MUST_CHECK enum status series_space_init(struct series_space *space, uint64_t seed);
void series_space_release(struct series_space *space);

/* ---- series ids ------------------------------------------------------------------------- */

/* Gives an id for a series that may yet come to nothing: then series_space_give_back, which cannot
 * fail, else series_space_keep. MEMORY, also when all ids are taken. */
MUST_CHECK enum status series_space_take(struct series_space *space, uint32_t *id);
void series_space_give_back(struct series_space *space, uint32_t id);
void series_space_keep(struct series_space *space);
/* These ids, none of which is lent or free, may be given again. MEMORY. */
MUST_CHECK enum status series_space_free(struct series_space *space, const uint32_t *ids,
                                         size_t count);
/* Ids below `next` were given, whatever became of them: parts and log may name them though their
 * definition was lost, and a new series under such an id would show the old one's samples. */
void series_space_reach(struct series_space *space, uint32_t next);

/* ---- metrics ---------------------------------------------------------------------------- */

/* METRIC_ID_NONE when no series has this name. */
uint32_t series_space_find_metric(const struct series_space *space, struct slice name);
/* One series more: of a metric that is there, or of a new one. */
MUST_CHECK enum status series_space_add(struct series_space *space, struct slice name,
                                        uint32_t *metric);
/* `count` series more, as log or segment say. CORRUPT when the id has another name, or the name
 * another id. */
MUST_CHECK enum status series_space_restore(struct series_space *space, uint32_t metric,
                                            struct slice name, uint32_t count, struct error *err);
/* One series less; the name goes with the last. */
void series_space_remove(struct series_space *space, uint32_t metric);
/* A series of the metric was committed. */
static inline void series_space_commit(struct series_space *space, uint32_t metric)
{
    space->metrics[metric].durable = true;
}
/* Metric ids below `next` were given. */
MUST_CHECK enum status series_space_reach_metrics(struct series_space *space, uint32_t next);

static inline struct slice series_space_name(const struct series_space *space, uint32_t metric)
{
    return slice_of(space->metrics[metric].name, space->metrics[metric].name_size);
}

static inline uint32_t series_space_count(const struct series_space *space, uint32_t metric)
{
    const struct series_metric *entry = &space->metrics[metric];
    return entry->name == NULL ? 0 : entry->series;
}

#endif

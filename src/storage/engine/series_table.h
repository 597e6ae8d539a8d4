/*
 * series_table - series in memory: id -> labels, labels -> id.
 *
 *   pairs    interned labels with their postings (pair_table.h)
 *   series   id -> metric, list of pair ids in label order, state; in pages, made when touched
 *   slots    open addressing over hash(pair ids) -> series id
 *
 * Ids of series and metrics come from a series_space, which several tables may share.
 *
 * A series is *reserved* when a batch wants it and *committed* once its definition is durable. A
 * reserved series that no batch holds any longer is forgotten.
 *
 * Metric ids are durable (parts are sorted by them), series ids too, pair ids are not.
 * Threads: the owner's lock; see engine.h.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_SERIES_TABLE_H
#define METRIC_STORE_STORAGE_ENGINE_SERIES_TABLE_H

#include "model/labels.h"
#include "os/file.h"
#include "storage/engine/pair_table.h"
#include "storage/engine/series_space.h"

enum series_state { SERIES_FREE = 0, SERIES_RESERVED, SERIES_COMMITTED };
enum series_kind { SERIES_KIND_FLOAT = 0 };

struct series {
    uint32_t metric;
    uint32_t pairs; /* place in the lists */
    uint16_t pair_count;
    uint8_t kind : 7;
    uint8_t again : 1; /* something that cannot be read defines it too, and counts it */
    uint8_t state;
    union {
        uint32_t holds;  /* while it is reserved: batches that need it */
        uint32_t number; /* when it is committed: of the commit, see series_table_commit */
    };
};

/* Lists of pair ids in blocks; a list that was given back waits for one of its own length. */
struct pair_lists {
    uint32_t **blocks;
    uint32_t block_count, block_capacity;
    uint32_t used;  /* of the last block */
    uint32_t *free; /* by length: first list, linked through its first element */
    uint32_t free_capacity;
};

enum { SERIES_PAGE = 64 };

struct series_page {
    uint32_t used;
    struct series series[SERIES_PAGE];
};

struct series_segment_stats;

struct series_table {
    struct series_space *space; /* borrowed */
    struct pair_table pairs;
    struct pair_lists lists;
    struct series_page **pages; /* by id / SERIES_PAGE; NULL: none of its ids is here */
    uint32_t page_count, pages_made;
    uint32_t live_series, committed_series;
    uint32_t committed_again; /* of those, that are counted elsewhere */
    uint32_t *slots;          /* SERIES_ID_NONE empty, SERIES_ID_NONE - 1 used once */
    uint32_t *slot_hashes;
    uint32_t slot_count, slots_used;
    uint64_t seed;
    uint64_t number; /* the owner's: tells the table from others of its life */
};

MUST_CHECK enum status series_table_init(struct series_table *table, uint64_t seed,
                                         struct series_space *space);
void series_table_release(struct series_table *table);

/* Whether it may have series of id's page. */
static inline bool series_table_has_page(const struct series_table *table, uint64_t id)
{
    return id / SERIES_PAGE < table->page_count && table->pages[id / SERIES_PAGE] != NULL;
}

/* NULL when the table does not have this series. */
static inline struct series *series_table_get(const struct series_table *table, uint32_t id)
{
    uint32_t page = id / SERIES_PAGE;
    if (page >= table->page_count || table->pages[page] == NULL)
        return NULL;
    struct series *series = &table->pages[page]->series[id % SERIES_PAGE];
    return series->state == SERIES_FREE ? NULL : series;
}

static inline bool series_table_has_committed(const struct series_table *table, uint32_t id)
{
    const struct series *series = series_table_get(table, id);
    return series != NULL && series->state == SERIES_COMMITTED;
}

static inline bool series_table_has_reserved(const struct series_table *table, uint32_t id)
{
    const struct series *series = series_table_get(table, id);
    return series != NULL && series->state == SERIES_RESERVED;
}

/* Whether the table has it as one committed after `since` and not after `until`, both of the life
 * of the table: numbers are kept short. */
static inline bool series_table_has_of(const struct series_table *table, uint32_t id,
                                       uint64_t since, uint64_t until)
{
    const struct series *series = series_table_get(table, id);
    return series != NULL && series->state == SERIES_COMMITTED &&
           (int32_t)(series->number - (uint32_t)since) > 0 &&
           (int32_t)(series->number - (uint32_t)until) <= 0;
}
/* Whether it was committed by then. */
static inline bool series_table_had(const struct series_table *table, uint32_t id, uint64_t until)
{
    const struct series *series = series_table_get(table, id);
    return series != NULL && series->state == SERIES_COMMITTED &&
           (int32_t)(series->number - (uint32_t)until) <= 0;
}

/* Walks the committed series by rising id: the next one from `id` on, SERIES_ID_NONE at the end. */
uint32_t series_table_next_committed(const struct series_table *table, uint32_t id);
/* Likewise the reserved ones. */
uint32_t series_table_next_reserved(const struct series_table *table, uint32_t id);

/* SERIES_ID_NONE when these canonical labels are unknown. */
uint32_t series_table_find(const struct series_table *table, const struct labels *labels);

/* Makes an unknown series, reserved with one hold. Takes all memory before it changes anything
 * that a later call could see; on MEMORY nothing has changed. */
MUST_CHECK enum status series_table_reserve(struct series_table *table, const struct labels *labels,
                                            uint32_t *id);
/* The same for a series that has an id already, of which the definition cannot be read any more:
 * neither id nor metric count once more. CORRUPT when nobody knows its metric. */
MUST_CHECK enum status series_table_reserve_again(struct series_table *table,
                                                  const struct labels *labels, uint32_t id,
                                                  struct error *err);
/* A committed series, restored from a log, is one of these. */
void series_table_mark_again(struct series_table *table, uint32_t id);
/* Makes the series as a log or an index segment defines it, committed. CORRUPT when the id or
 * the labels are taken by another series, or the metric's id by another name. The same definition
 * again changes nothing. */
MUST_CHECK enum status series_table_restore(struct series_table *table, uint32_t id,
                                            uint32_t metric, const struct labels *labels,
                                            struct error *err);
/* As series_table_restore, with the pairs interned already: the fast way for many series. */
MUST_CHECK enum status series_table_restore_pairs(struct series_table *table, uint32_t id,
                                                  uint32_t metric, const uint32_t *pairs,
                                                  size_t count, struct error *err);
/* Of a reserved series; nothing holds a committed one. */
void series_table_hold(struct series_table *table, uint32_t id);
/* `number` is how many series of the owner have been committed with this one: it tells what came
 * after a moment. Restored ones have none. */
void series_table_commit(struct series_table *table, uint32_t id, uint64_t number);
/* Ends one hold of a reserved series; forgets it if that was the last. Does nothing to a committed
 * one. */
void series_table_unhold(struct series_table *table, uint32_t id);

static inline const uint32_t *series_pairs(const struct series_table *table, uint32_t id)
{
    uint32_t place = series_table_get(table, id)->pairs;
    return table->lists.blocks[place >> 16] + (place & 0xffff);
}

/* Forgets a committed series that something else defines. Its id stays taken. */
void series_table_drop(struct series_table *table, uint32_t id);
/* Moves every reserved series, with its holds, to `to`, which is new and of the same space. On
 * MEMORY `table` is as it was, and `to` is only good for release. */
MUST_CHECK enum status series_table_move_reserved(struct series_table *table,
                                                  struct series_table *to);
/* Writes the committed series as a segment (series_segment.h); there are some, and none is
 * reserved. On failure no file is left. */
MUST_CHECK enum status series_table_write_segment(const struct series_table *table,
                                                  struct filesystem *fs, const char *path,
                                                  uint64_t segment_id,
                                                  struct series_segment_stats *stats,
                                                  struct error *err);

/* `items` has room for LABELS_MAX_COUNT or the series' pair_count. Strings are borrowed. */
void series_table_labels(const struct series_table *table, uint32_t id, struct label *items,
                         struct labels *labels);

/* In constant time, and about: large postings are taken for arrays. */
size_t series_table_memory(const struct series_table *table);

#endif

/*
 * series_index - every series the store knows.
 *
 *   active    what came since the last flush, in memory: reserved and committed ones
 *   sealed    what a flush is writing to a segment; nothing in it changes
 *   segments  all others, on disk (series_segment.h): memory does not follow their number
 *
 * A series is in exactly one of the three, but for one that was written again after its definition
 * in a segment could not be read any more: the newer one counts, and when all can be read, they say
 * the same. The authority over labels is asked in two steps: the
 * segments without a lock, as they need the disk; then, with the lock, the tables, and that no
 * segment came meanwhile.
 *
 * Threads: the owner's lock (series_lock) guards all fields; a segment_set that was acquired is
 * read without it.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_SERIES_INDEX_H
#define METRIC_STORE_STORAGE_ENGINE_SERIES_INDEX_H

#include "storage/engine/segment_set.h"
#include "storage/engine/series_table.h"

struct series_index {
    uint64_t seed;
    struct series_space space;
    struct series_table active;
    struct series_table sealed; /* empty unless has_sealed */
    bool has_sealed;
    struct segment_set *segments;
    roaring_bitmap_t *leaving;  /* on their way out: as good as gone; or NULL (reclaim.h) */
    roaring_bitmap_t *doubtful; /* of damaged pages: no cache is believed about them; or NULL */
    uint64_t damage_known;      /* of which segments and how many pages each, as a hash */
    uint64_t commits; /* series committed since the start, which is the number of the last one */
    uint64_t tables;  /* made: the number of the active one */
    uint64_t dropped; /* sealed tables that went */
};

MUST_CHECK enum status series_index_init(struct series_index *index, uint64_t seed);
void series_index_release(struct series_index *index);

/* In the tables; SERIES_ID_NONE when the labels are in neither. */
uint32_t series_index_find(const struct series_index *index, const struct labels *labels);
/* In the tables; NULL when the series is in neither. *table (may be NULL) says which has it. */
const struct series *series_index_get(const struct series_index *index, uint32_t id,
                                      const struct series_table **table);
/* The table of that number; NULL when it has gone. */
const struct series_table *series_index_table(const struct series_index *index, uint64_t number);
/* Wherever it is. */
bool series_index_has_committed(const struct series_index *index, uint32_t id);

/* Looks for pages of definitions that turned out to be damaged: their series become doubtful.
 * False without memory: then it is to be called again. */
bool series_index_doubt(struct series_index *index);
/* Whether it is doubtful still: no table defines it, and the segment that has it cannot. One that
 * is not is doubtful no more. */
bool series_index_is_doubtful(struct series_index *index, uint32_t id);

uint64_t series_index_committed(const struct series_index *index);
uint64_t series_index_reserved(const struct series_index *index);
/* Anonymous memory. */
size_t series_index_memory(const struct series_index *index);
/* Of it, what flushes do not give back: directories of segments, which hold the names of all labels
 * and metrics, and names that will come to stand there. */
size_t series_index_name_memory(const struct series_index *index);
/* Whether a series with this label name is, or lately was, in a table or a segment. */
bool series_index_has_name(const struct series_index *index, struct slice name);

/* ---- flushing --------------------------------------------------------------------------- */

/* The active table becomes the sealed one; reserved series go on in a new one. Does nothing while
 * a table is sealed. MEMORY: nothing has changed. */
MUST_CHECK enum status series_index_seal(struct series_index *index);
/* Writes the sealed table as a segment; the lock is not needed: nothing in it changes. On failure
 * no file is left. */
MUST_CHECK enum status series_index_write_sealed(const struct series_index *index,
                                                 struct filesystem *fs, const char *path,
                                                 uint64_t segment_id,
                                                 struct series_segment_stats *stats,
                                                 struct error *err);

/* What was replaced: freeing it takes longer than the lock may be held, and may close files. */
struct series_index_old {
    struct series_table table; /* or empty */
    struct segment_set *segments;
};

/* The sealed table is in a segment of `set` now, or has no series. Takes over the set; gives *old,
 * to be released without the lock. */
void series_index_drop_sealed(struct series_index *index, struct segment_set *set,
                              struct series_index_old *old);
/* Another set, of the same series. Likewise. */
void series_index_replace_set(struct series_index *index, struct segment_set *set,
                              struct series_index_old *old);
void series_index_old_release(struct series_index_old *old);

/* ---- recovering ------------------------------------------------------------------------- */

/* Adds a segment. CORRUPT when its metrics contradict what is known. */
MUST_CHECK enum status series_index_restore_segment(struct series_index *index,
                                                    struct segment_ref *segment, struct error *err);
/* Takes series out of the active table that a segment defines too: the log may say again what a
 * flush has written. Those that were defined again stay. */
void series_index_drop_known(struct series_index *index);

#endif

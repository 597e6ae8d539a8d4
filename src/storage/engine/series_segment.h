/*
 * series_segment - an immutable file of series: key of the labels -> id, id -> metric and labels,
 * label pair -> ids. Read by pread, page by page; in memory are only the directories of its pages,
 * the set of its ids, and its metrics. Opening reads those.
 *
 *   definitions  by rising id, compressed pages of text: the truth, the rest can be made from them
 *   metric ids   of the definitions, fixed width, in pages
 *   pairs        label names, for each its sorted values in front-coded pages, each with its set of
 *                ids: up to 16 in place, more as a roaring bitmap elsewhere in the file
 *   keys         96 bits of the keyed hash of the canonical labels, id: sorted, in pages of 4 KiB
 *   metrics      metric id, name, number of series
 *   ids          roaring bitmap
 *
 * Format: docs/formats/series-segment.md. Every byte is under a checksum that begins with the
 * segment's id and the offset, and is verified before use.
 * Threads: a reader changes only what it knows of damage: any number of threads. A cursor belongs
 * to one. Errors: CORRUPT names file, section and offset; IO, MEMORY.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_SERIES_SEGMENT_H
#define METRIC_STORE_STORAGE_ENGINE_SERIES_SEGMENT_H

#include <roaring/roaring.h>

#include "base/hash.h"
#include "model/labels.h"
#include "os/os.h"

/* What tells one series from another: 96 bits of XXH3-128 with a secret seed over the canonical
 * encoding of the labels (model/labels.h). Two series of one store never share it: at four thousand
 * million series the odds are 1 : 10^10. */
struct series_key {
    uint64_t high; /* compared first */
    uint32_t low;
};

struct series_key series_key_of(const struct labels *canonical, uint64_t seed);
static inline int series_key_compare(struct series_key a, struct series_key b)
{
    if (a.high != b.high)
        return a.high < b.high ? -1 : 1;
    return (a.low > b.low) - (a.low < b.low);
}

struct series_segment_stats {
    uint64_t series, pairs, metrics, bytes;
    uint32_t first_id, last_id;
};

/* ---- writing ---------------------------------------------------------------------------- */

struct series_segment_writer; /* opaque */

/* Creates the file, which must not exist (CONFLICT). Gives *writer, ended by finish or abort.
 * Memory: some 300 KiB, the directories, and the set of ids. */
MUST_CHECK enum status series_segment_writer_open(struct series_segment_writer **writer,
                                                  struct filesystem *fs, const char *path,
                                                  uint64_t segment_id, struct error *err);
/* The four sections, in this order, each in its own rising order; breaking that is a bug of the
 * caller. LIMIT: labels larger than any can be (model/labels.h). After a failure only abort. */
MUST_CHECK enum status series_segment_put_series(struct series_segment_writer *writer, uint32_t id,
                                                 uint32_t metric, const struct labels *labels,
                                                 struct error *err);
/* `ids` is not empty; a subset of the ids that were put. Pairs rise by name, then by value. */
MUST_CHECK enum status series_segment_put_pair(struct series_segment_writer *writer,
                                               struct slice name, struct slice value,
                                               const roaring_bitmap_t *ids, struct error *err);
/* One for each series. Keys rise; of one key, ids do. */
MUST_CHECK enum status series_segment_put_key(struct series_segment_writer *writer,
                                              struct series_key key, uint32_t id,
                                              struct error *err);
/* Every series belongs to one of the metrics. */
MUST_CHECK enum status series_segment_put_metric(struct series_segment_writer *writer,
                                                 uint32_t metric, struct slice name,
                                                 uint32_t series, struct error *err);
/* Writes what is left, syncs, closes, frees the writer; on failure the file is removed. */
MUST_CHECK enum status series_segment_finish(struct series_segment_writer *writer,
                                             struct series_segment_stats *stats, struct error *err);
void series_segment_writer_abort(struct series_segment_writer *writer); /* accepts NULL */

/* ---- reading ---------------------------------------------------------------------------- */

struct series_segment; /* opaque */

/* Gives *segment, ended by series_segment_close. CORRUPT when trailer or directories are damaged,
 * or it is not the segment `segment_id`; UNSUPPORTED for a later version. A damaged header costs
 * nothing. */
MUST_CHECK enum status series_segment_open(struct series_segment **segment, struct os os,
                                           const char *path, uint64_t segment_id,
                                           struct error *err);
void series_segment_close(struct series_segment *segment); /* accepts NULL */
void series_segment_stats(const struct series_segment *segment, struct series_segment_stats *stats);
/* Anonymous memory that it takes. */
size_t series_segment_memory(const struct series_segment *segment);
const roaring_bitmap_t *series_segment_ids(const struct series_segment *segment);
static inline bool series_segment_has(const struct series_segment *segment, uint32_t id)
{
    return roaring_bitmap_contains(series_segment_ids(segment), id);
}

/* Whether the definition of a series of the segment can be read: the page that it stands in is read
 * for this once, and what any reader finds of it later is remembered. CORRUPT also where it could
 * be read once, or may be again; MEMORY. */
MUST_CHECK enum status series_segment_defines(const struct series_segment *segment, uint32_t id,
                                              struct error *err);
/* As far as is known, without reading. */
bool series_segment_may_define(const struct series_segment *segment, uint32_t id);
/* Pages of definitions that turned out to be damaged: how many, and their series, added to `ids`.
 */
size_t series_segment_damaged_pages(const struct series_segment *segment);
void series_segment_damaged_series(const struct series_segment *segment, roaring_bitmap_t *ids);

/* One page is read. NOT_FOUND (*err is not filled) when no series has this key. */
MUST_CHECK enum status series_segment_find(const struct series_segment *segment,
                                           struct series_key key, uint32_t *id, struct error *err);
/* metrics[i] of ids[i], which rise; ids that the segment does not have keep what metrics[i] holds.
 * Each page is read once. */
MUST_CHECK enum status series_segment_metrics_of(const struct series_segment *segment,
                                                 const uint32_t *ids, size_t count,
                                                 uint32_t *metrics, struct error *err);
struct series_segment_metric {
    uint32_t metric;
    uint32_t series;
    struct slice name; /* borrowed from the segment */
};
/* By rising metric id. */
const struct series_segment_metric *series_segment_metrics(const struct series_segment *segment,
                                                           size_t *count);

/* Definitions, one page at a time: neighbours cost nothing. */
struct series_segment_cursor; /* opaque */
MUST_CHECK enum status series_segment_cursor_new(struct series_segment_cursor **cursor,
                                                 const struct series_segment *segment,
                                                 struct error *err);
void series_segment_cursor_free(struct series_segment_cursor *cursor); /* accepts NULL */
struct series_definition {
    uint32_t id;
    uint32_t metric;
    struct labels labels; /* borrowed from the cursor until its next call */
};
/* NOT_FOUND (*err is not filled) when the segment does not have it. */
MUST_CHECK enum status series_segment_read(struct series_segment_cursor *cursor, uint32_t id,
                                           struct series_definition *definition, struct error *err);
/* All of them by rising id, from the first id that is not below `from`, or from the first of
 * all without a seek; END. A damaged page is CORRUPT once, naming the ids it held, and the next
 * call goes on behind it. Reads in between do not disturb the walk. */
MUST_CHECK enum status series_segment_seek(struct series_segment_cursor *cursor, uint32_t from,
                                           struct error *err);
MUST_CHECK enum status series_segment_next(struct series_segment_cursor *cursor,
                                           struct series_definition *definition, struct error *err);

/* ---- pairs ------------------------------------------------------------------------------ */

/* Adds the postings of one pair to `ids`; adds nothing when there is no such pair. */
MUST_CHECK enum status series_segment_pair(const struct series_segment *segment, struct slice name,
                                           struct slice value, roaring_bitmap_t *ids,
                                           struct error *err);
/* Every value of a name in rising order; `want` says whether its postings are added to `ids`
 * (which may be NULL: then nothing is read but the values). *go_on is true before each call; one
 * that sets it to false ends the walk with OK. */
typedef bool series_segment_want(void *context, struct slice value, bool *go_on);
MUST_CHECK enum status series_segment_values(const struct series_segment *segment,
                                             struct slice name, series_segment_want *want,
                                             void *context, roaring_bitmap_t *ids,
                                             struct error *err);
/* Label names in rising order. */
size_t series_segment_name_count(const struct series_segment *segment);
struct slice series_segment_name(const struct series_segment *segment, size_t index);
bool series_segment_has_name(const struct series_segment *segment, struct slice name);

/* ---- walking everything, for merging and verifying --------------------------------------- */

/* Pairs with their postings, in order; END. All three are borrowed until the next call. A damaged
 * page, or set, is CORRUPT once, and the next call goes on behind it. */
struct series_segment_pairs; /* opaque */
MUST_CHECK enum status series_segment_pairs_new(struct series_segment_pairs **walk,
                                                const struct series_segment *segment,
                                                struct error *err);
void series_segment_pairs_free(struct series_segment_pairs *walk);
MUST_CHECK enum status series_segment_pairs_next(struct series_segment_pairs *walk,
                                                 struct slice *name, struct slice *value,
                                                 const roaring_bitmap_t **ids, struct error *err);
/* Keys in order; END. A damaged page is CORRUPT once, and the next call goes on behind it. */
struct series_segment_keys; /* opaque */
MUST_CHECK enum status series_segment_keys_new(struct series_segment_keys **walk,
                                               const struct series_segment *segment,
                                               struct error *err);
void series_segment_keys_free(struct series_segment_keys *walk);
MUST_CHECK enum status series_segment_keys_next(struct series_segment_keys *walk,
                                                struct series_key *key, uint32_t *id,
                                                struct error *err);

/*
 * Merges segments into a new one, which has a series that some of them define alike once, without
 * the ids in `without` (may be NULL), streaming: memory does not follow the number of series,
 * directories, metrics and the set of ids apart. `go_on(context)` (may be NULL) is asked now and
 * then; false ends it with CANCELLED. A page that is damaged ends it with CORRUPT, and so do
 * segments that contradict each other. On failure no file is left. *damaged (may be NULL) is then
 * the place of the segment that CORRUPT is about; `count` where that is none alone.
 */
MUST_CHECK enum status series_segment_merge(struct series_segment *const *segments, size_t count,
                                            const roaring_bitmap_t *without, struct os os,
                                            const char *path, uint64_t segment_id,
                                            bool (*go_on)(void *context), void *context,
                                            struct series_segment_stats *stats, size_t *damaged,
                                            struct error *err);
/*
 * Makes a segment anew from the definitions of a damaged one, those that cannot be read from its
 * pairs and keys where these still tell: `damage` is told what is lost. Needs memory: 16 bytes a
 * series, and the distinct pairs with their postings.
 */
typedef void series_segment_damage(void *context, const char *description);
MUST_CHECK enum status series_segment_rebuild(struct os os, const char *from, uint64_t from_id,
                                              const char *path, uint64_t segment_id, uint64_t seed,
                                              series_segment_damage *damage, void *context,
                                              struct series_segment_stats *stats,
                                              struct error *err);
/* The id that the file's header says, or its trailer where that is damaged. CORRUPT when neither
 * does; UNSUPPORTED, as by open. */
MUST_CHECK enum status series_segment_identify(struct os os, const char *path, uint64_t *segment_id,
                                               struct error *err);
/* Reads and checks every byte, and that the sections agree with each other and with the
 * definitions. */
MUST_CHECK enum status series_segment_verify(struct os os, const char *path, uint64_t segment_id,
                                             uint64_t seed, series_segment_damage *damage,
                                             void *context, struct series_segment_stats *stats,
                                             struct error *err);

#endif

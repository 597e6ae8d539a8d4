/*
 * lookup - series by matchers, and what is known of a series, wherever it stands: in the tables,
 * under series_lock, or in segments, without it.
 *
 * Damage in the index costs what it hits: it is logged, the store's condition says so, and
 * `partial` is set.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_LOOKUP_H
#define METRIC_STORE_STORAGE_ENGINE_LOOKUP_H

#include "base/patience.h"
#include "storage/engine/engine_internal.h"

/* Committed series. */
struct matched {
    roaring_bitmap_t *ids;
    struct segment_set
        *set; /* of the first look, held: series of it may leave the index any time */
    struct segment_set *looked_at; /* of the last look */
    uint64_t commits; /* all series that had been committed by then are decided: the last look's */
    uint64_t dropped; /* series_index.dropped, of the last look */
    bool partial;
};

/*
 * Those that match any of `count` conjunctions, of all that had been committed when it was called.
 * `patience` may be NULL. Takes series_lock, some series at a time. Ended by matched_release, also
 * after a failure.
 */
MUST_CHECK enum status engine_match(struct engine *engine, const struct matchers *matchers,
                                    size_t count, const struct patience *patience,
                                    struct matched *matched, struct error *err);
/* Adds those that were committed since, which are few; all that had been when it was called, or no
 * more than `until` (ENGINE_MATCH_ALL, or an earlier value of series_index.commits). BUSY where a
 * flush took series out of memory, so that nobody knows any more which came after `until`. */
#define ENGINE_MATCH_ALL UINT64_MAX
MUST_CHECK enum status engine_match_newer(struct engine *engine, const struct matchers *matchers,
                                          size_t count, uint64_t until,
                                          const struct patience *patience, struct matched *matched,
                                          struct error *err);
void matched_release(struct matched *matched);
/* As engine_match of one conjunction, and where postings are damaged by the definitions: `partial`
 * is not set. Series of segments whose definition cannot be read either, so that nobody knows
 * whether they match, are added to `undecided`. Those of segments that could not be opened are in
 * neither. */
MUST_CHECK enum status engine_match_each(struct engine *engine, const struct matchers *matchers,
                                         struct matched *matched, roaring_bitmap_t *undecided,
                                         struct error *err);

/* metrics[i] of ids[i], which rise; METRIC_ID_NONE where no definition is or can be read. What has
 * left the index is looked for in `held`, which may be NULL. Takes series_lock, some series at a
 * time. */
MUST_CHECK enum status engine_metrics_of(struct engine *engine, const struct segment_set *held,
                                         const uint32_t *ids, size_t count, uint32_t *metrics,
                                         bool *partial, struct error *err);

/* Adds the series that a head of the present or of a held version has samples of. Takes head_lock,
 * some series at a time. */
void engine_head_series(struct engine *engine, const struct head_ref *ref, roaring_bitmap_t *ids);

/* Labels, one series after the other; neighbours cost little. */
struct label_reader {
    struct engine *engine;
    struct segment_labels held;  /* of the set in which the series were matched */
    struct segment_labels newer; /* of one that came since, where that was needed */
    struct label *items;         /* of a series of the tables, its strings behind them */
    size_t capacity;             /* bytes */
};

void label_reader_init(struct label_reader *reader, struct engine *engine);
void label_reader_release(struct label_reader *reader);
/* From now on for series that were matched in this set; takes a reference. */
MUST_CHECK enum status label_reader_hold(struct label_reader *reader, struct segment_set *set,
                                         struct error *err);
/*
 * Borrowed until the next call. Takes series_lock.
 *   CORRUPT  there is no definition that can be read
 */
MUST_CHECK enum status label_reader_read(struct label_reader *reader, uint32_t id,
                                         struct labels *labels, struct error *err);

#endif

/*
 * storage - the interface of a tier: what keeps samples and gives them back. The embedded engine
 * implements it; PostgreSQL and the cold store take the same place.
 *
 * The way in, for every batch:
 *   storage_resolve   labels become series ids; unknown series are put to admission first
 *   storage_append    one durable commit of many batches (the committer's thread)
 *   storage_settle    whatever happened: gives back ids that were reserved and never committed
 * The way out:
 *   storage_select    the series that match, as one consistent snapshot
 *   selection_read    one series' blocks in time order, through a cursor that is used again
 *
 * Threads: resolve, select and everything on a selection from any thread (one selection belongs to
 * one thread at a time); append from one thread at a time.
 * Units: Unix milliseconds UTC; ranges are [start, end).
 * Errors: every message is one that an operator or a client can act on.
 */
#ifndef METRIC_STORE_STORAGE_STORAGE_H
#define METRIC_STORE_STORAGE_STORAGE_H

#include "base/bytes.h"
#include "base/patience.h"
#include "model/admitter.h"
#include "model/batch.h"
#include "model/matcher.h"
#include "model/metric.h"
#include "model/summary.h"
#include "model/time_range.h"

struct tier;
struct selection; /* opaque; the tier's own */

/* ---- reading ---------------------------------------------------------------------------- */

/* A run of one series' samples in strictly rising time. */
struct storage_block {
    uint32_t count;
    int64_t first_ms;
    int64_t last_ms;
    /* Of exactly these samples; NULL where it is not known without decoding. */
    const struct summary *summary;
    /* After storage_block_load; borrowed until the next call on the cursor. */
    const int64_t *times;
    const double *values;
};

struct storage_cursor; /* opaque */

struct select_options {
    struct time_range range;
    size_t max_series;           /* 0: no limit; more matches are LIMIT, "query_series_limit" */
    bool ordered;                /* series in label order; costs a sort */
    size_t max_memory_bytes;     /* of the selection and its cursors; beyond is LIMIT */
    struct memory_share *memory; /* in which it is counted; beyond it is BUSY; NULL: none */
    /* Asked while series are matched, their labels read and sorted, and while a cursor goes on
     * and loads: as long as the selection lives. */
    struct patience patience;
};

struct selected_series {
    uint32_t id;
    struct labels
        labels; /* canonical; borrowed from the selection until the next selection_series */
};

/* What reading has cost so far: summed over the selection's cursors. */
enum chunk_tier { CHUNK_HOT, CHUNK_WARM, CHUNK_TIERS };

/* "hot", "warm". */
const char *chunk_tier_name(enum chunk_tier tier);

struct read_stats {
    uint64_t samples_decoded;
    /* What reading the same once more has cost beside, in samples: in little memory, stretches that
     * overlap and large heads are read some at a time. */
    uint64_t samples_again;
    uint64_t blocks_loaded;
    uint64_t blocks_skipped; /* answered by their summary alone, or outside the range */
    bool tiers[CHUNK_TIERS]; /* from which samples, or summaries in their place, were given */
    bool partial;            /* damaged blocks were left out */
};

/* ---- what there is ---------------------------------------------------------------------- */

struct metric_info {
    struct metric metric;
    uint64_t series;
    bool has_samples; /* then: */
    int64_t first_ms;
    int64_t last_ms;
};

struct chunk_info {
    int64_t day; /* UTC days since 1970 */
    enum chunk_tier tier;
    uint64_t samples;
    uint64_t bytes;
    uint32_t parts;
    /* Of these, what came after the chunk left the hot tier and has not joined the rest yet. */
    uint64_t late_samples;
    uint64_t late_bytes;
    uint32_t late_parts;
};

/* OK to go on; anything else ends the walk and is returned. Strings are borrowed for the call. */
typedef enum status storage_visit_metric(void *context, const struct metric_info *info,
                                         struct error *err);
typedef enum status storage_visit_chunk(void *context, const struct chunk_info *info,
                                        struct error *err);

enum storage_health { STORAGE_HEALTHY, STORAGE_DEGRADED, STORAGE_FAILING };

struct storage_condition {
    enum storage_health health;
    char message[256];
};

/* How a descriptor fared in storage_append. */
enum metric_outcome { METRIC_NEW, METRIC_SAME, METRIC_CHANGED, METRIC_CONTRADICTS };

/* ---- deleting --------------------------------------------------------------------------- */

struct delete_result {
    uint64_t series; /* that match */
    uint64_t chunks; /* in the range, with samples of any series */
};

/* ---- the table -------------------------------------------------------------------------- */

struct tier_ops {
    const char *name;
    enum status (*resolve)(struct tier *tier, struct batch *batch, struct admitter *admitter,
                           struct error *err);
    enum status (*append)(struct tier *tier, struct batch *const *batches, size_t count,
                          struct error *err);
    void (*settle)(struct tier *tier, struct batch *batch);

    enum status (*select)(struct tier *tier, const struct matchers *matchers, size_t count,
                          const struct select_options *options, struct selection **selection,
                          struct error *err);
    size_t (*selection_count)(const struct selection *selection);
    enum status (*selection_series)(struct selection *selection, size_t index,
                                    struct selected_series *series, struct error *err);
    enum status (*selection_read)(struct selection *selection, size_t index,
                                  struct time_range range, struct storage_cursor **cursor,
                                  struct error *err);
    enum status (*cursor_next)(struct storage_cursor *cursor, struct storage_block *block,
                               struct error *err);
    enum status (*cursor_load)(struct storage_cursor *cursor, struct storage_block *block,
                               struct error *err);
    void (*selection_stats)(const struct selection *selection, struct read_stats *stats);
    void (*selection_close)(struct selection *selection);

    enum status (*delete_series)(struct tier *tier, const struct matchers *matchers, size_t count,
                                 struct time_range range, struct delete_result *result,
                                 struct error *err);

    enum status (*metrics)(struct tier *tier, const struct matchers *matchers,
                           storage_visit_metric *visit, void *context, struct arena *arena,
                           bool *partial, struct error *err);
    enum status (*metric)(struct tier *tier, struct slice name, struct arena *arena,
                          struct metric *metric, struct error *err);
    enum status (*chunks)(struct tier *tier, storage_visit_chunk *visit, void *context,
                          struct error *err);
    void (*condition)(struct tier *tier, struct storage_condition *condition);
};

struct tier {
    const struct tier_ops *ops;
};

/*
 * Gives each series entry of `batch` its id. Entries that break a rule or that admission refuses
 * keep SERIES_ID_NONE, and their samples are taken out of the batch and counted by batch_reject.
 * Descriptors that say nothing new are taken out; ones that contradict become a warning.
 * With batch->atomic, one refusal takes out every sample.
 *   MEMORY, LIMIT (the batch's arena)   nothing is reserved
 */
MUST_CHECK enum status storage_resolve(struct tier *tier, struct batch *batch,
                                       struct admitter *admitter, struct error *err);

/*
 * Commits resolved batches in this order, all or none: after OK they survive a crash (as far as
 * the tier's sync setting says) and every later select sees them. Sets each batch's new_series and
 * metric_outcomes.
 *   NO_SPACE     the disk is full or read-only; may be tried again
 *   BUSY         background work is behind; may be tried again
 *   IO           may be tried again
 *   UNAVAILABLE  broken until a restart
 */
MUST_CHECK enum status storage_append(struct tier *tier, struct batch *const *batches, size_t count,
                                      struct error *err);

/* Ends every batch that went through storage_resolve with OK. */
void storage_settle(struct tier *tier, struct batch *batch);

/*
 * The series that match any of `count` conjunctions and may have samples in the range, as of now.
 * Gives *selection, ended by selection_close; it pins what it needs, so close it soon. What
 * options->patience returns ends it.
 */
MUST_CHECK enum status storage_select(struct tier *tier, const struct matchers *matchers,
                                      size_t count, const struct select_options *options,
                                      struct selection **selection, struct error *err);
size_t selection_count(struct tier *tier, const struct selection *selection);
/* CORRUPT: its labels cannot be read, and it has to be left out; the answer is then partial, which
 * the selection's stats say. */
MUST_CHECK enum status selection_series(struct tier *tier, struct selection *selection,
                                        size_t index, struct selected_series *series,
                                        struct error *err);

/*
 * Positions *cursor (NULL the first time; owned by the selection, one at a time) on the samples of
 * series `index` within `range`, which lies within the selection's. Blocks come in rising time
 * and never overlap; later writes have won already.
 */
MUST_CHECK enum status selection_read(struct tier *tier, struct selection *selection, size_t index,
                                      struct time_range range, struct storage_cursor **cursor,
                                      struct error *err);
/* END after the last block. A block may reach beyond the range (its samples are cut by load; its
 * summary is there only when it lies within). What options->patience returns ends read, next and
 * load. */
MUST_CHECK enum status storage_cursor_next(struct tier *tier, struct storage_cursor *cursor,
                                           struct storage_block *block, struct error *err);
/* Decodes: sets times, values, and count, first_ms, last_ms of what lies within the range, which
 * may be nothing. */
MUST_CHECK enum status storage_cursor_load(struct tier *tier, struct storage_cursor *cursor,
                                           struct storage_block *block, struct error *err);
void selection_stats(struct tier *tier, const struct selection *selection,
                     struct read_stats *stats);
void selection_close(struct tier *tier, struct selection *selection);

/*
 * Deletes what the series that match any of `count` conjunctions have within `range` now: after OK
 * it survives a crash as samples do, and no later read shows it. What is written later stays.
 *   LIMIT        too many deletes whose samples are not removed yet (code "delete_limit")
 *   NO_SPACE, IO, UNAVAILABLE, MEMORY   as of storage_append; nothing is deleted
 */
MUST_CHECK enum status storage_delete(struct tier *tier, const struct matchers *matchers,
                                      size_t count, struct time_range range,
                                      struct delete_result *result, struct error *err);

/* Every metric that has series or a descriptor, by name; `matchers` may be NULL, else only metrics
 * with a series that matches. *partial is set where damage may hide metrics, series of theirs, or
 * their first or last samples, and left alone elsewhere. The list is made in `arena`, beyond whose
 * maximum it is LIMIT, "query_memory_limit"; NULL: as much as it needs. */
MUST_CHECK enum status storage_metrics(struct tier *tier, const struct matchers *matchers,
                                       storage_visit_metric *visit, void *context,
                                       struct arena *arena, bool *partial, struct error *err);
/* The registered descriptor; NOT_FOUND. Strings are copied to `arena`. */
MUST_CHECK enum status storage_metric(struct tier *tier, struct slice name, struct arena *arena,
                                      struct metric *metric, struct error *err);
/* By rising day. */
MUST_CHECK enum status storage_chunks(struct tier *tier, storage_visit_chunk *visit, void *context,
                                      struct error *err);
void storage_condition(struct tier *tier, struct storage_condition *condition);

#endif

/*
 * engine_fixture - what tests of the whole engine share: writing samples as a protocol would, and
 * a ledger of what was acknowledged, against which everything that a selection says is held.
 *
 * Series are numbers here: number n is metric_(n % 7){host="h<n / 7 % 10>",n="<n>"}.
 */
#ifndef METRIC_STORE_TESTS_UNIT_STORAGE_ENGINE_ENGINE_FIXTURE_H
#define METRIC_STORE_TESTS_UNIT_STORAGE_ENGINE_ENGINE_FIXTURE_H

#include "storage/engine/engine.h"

enum { FIXTURE_METRICS = 7, FIXTURE_HOSTS = 10, FIXTURE_WHY_SIZE = 256 };

struct fixture_sample {
    uint32_t series;
    int64_t time_ms;
    double value;
};

/* ---- the ledger ------------------------------------------------------------------------- */

struct ledger_series {
    int64_t *times; /* rising */
    uint64_t *bits;
    size_t count, capacity;
};

struct ledger {
    struct ledger_series *series;
    size_t series_count;
};

void ledger_init(struct ledger *ledger, size_t series_count);
void ledger_release(struct ledger *ledger);
void ledger_copy(struct ledger *to, const struct ledger *from);
/* The later write wins. */
void ledger_put(struct ledger *ledger, const struct fixture_sample *samples, size_t count);
/* Forgets samples before `time_ms`. */
void ledger_drop_before(struct ledger *ledger, int64_t time_ms);
/* Forgets what series have within `range`: those for which only[series] is true. */
void ledger_delete(struct ledger *ledger, const bool *only, struct time_range range);
uint64_t ledger_count(const struct ledger *ledger);

/* ---- a store ---------------------------------------------------------------------------- */

/* In a new directory of the real file system; no background thread, nothing is synced. */
struct store {
    char dir[64];
    struct engine_options options;
    struct tier *tier;
};

/* Makes the directory and opens. Failures abort, as everywhere in this section. */
void store_init(struct store *store, size_t head_bytes);
/* Closes, unless tier is NULL, and removes the directory. */
void store_release(struct store *store);
void store_reopen(struct store *store);
/* As after kill -9: nothing is flushed. */
void store_kill(struct store *store);
void store_flush(struct store *store);
/* Background steps until there is nothing left to do. */
void store_settle_down(struct store *store);
/* Files in a folder of the store. */
size_t store_files(const struct store *store, const char *folder);

/* ---- writing ---------------------------------------------------------------------------- */

struct fixture_write {
    const struct fixture_sample *samples;
    size_t count;
    bool atomic;
    struct admitter *admitter;
    const struct metric *metric; /* a descriptor that rides along, or NULL */
    void (*filled)(void);        /* or NULL: called before the batch is resolved */
    bool *kept; /* NULL, or of each sample: whether it was admitted; set before the commit */
    /* Set by fixture_commit: */
    uint64_t rejected;
    char code[64]; /* of the first rejection */
    uint32_t new_series;
    enum metric_outcome outcome;
};

/* Resolves, appends as one commit, settles. */
MUST_CHECK enum status fixture_commit(struct tier *tier, struct fixture_write *writes, size_t count,
                                      struct error *err);
/* The same; `resolved` is called when it is known what of it is admitted, before the commit. */
typedef void fixture_resolved(void *context);
MUST_CHECK enum status fixture_commit_noting(struct tier *tier, struct fixture_write *writes,
                                             size_t count, fixture_resolved *resolved,
                                             void *context, struct error *err);
/* One batch that must not be refused. */
MUST_CHECK enum status fixture_put(struct tier *tier, const struct fixture_sample *samples,
                                   size_t count, struct error *err);

/* Resolves one batch and gives it up: nothing of it is committed. */
MUST_CHECK enum status fixture_abandon(struct tier *tier, const struct fixture_sample *samples,
                                       size_t count, struct error *err);

/* Deletes what these series have within `range`: those of `series_count` that `only` says. */
MUST_CHECK enum status fixture_delete(struct tier *tier, const bool *only, size_t series_count,
                                      struct time_range range, struct delete_result *result,
                                      struct error *err);

/* Deletes what the series that match the selector have within `range`. */
MUST_CHECK enum status fixture_delete_matching(struct tier *tier, const char *selector,
                                               struct time_range range,
                                               struct delete_result *result, struct error *err);

/* The text of a label of series n; `to` has 32 bytes. */
void fixture_metric_name(uint32_t series, char to[32]);

/* ---- reading ---------------------------------------------------------------------------- */

/* The range that holds everything. */
struct time_range fixture_always(void);

/* Says why something is not so; false. */
bool fixture_no(char why[FIXTURE_WHY_SIZE], const char *format, ...) PRINTF_LIKE(2, 3);

/* For listings that are only walked. */
enum status fixture_ignore_metric(void *context, const struct metric_info *info, struct error *err);
enum status fixture_ignore_chunk(void *context, const struct chunk_info *info, struct error *err);

/* Whether an open selection holds exactly the ledger's samples within `range`, block headers
 * included. `only` (may be NULL) says of which series; others must not appear. */
bool fixture_selection_same(struct tier *tier, struct selection *selection,
                            const struct ledger *ledger, struct time_range range, const bool *only,
                            char why[FIXTURE_WHY_SIZE]);
/* The same of everything that is selected now. */
bool fixture_same(struct tier *tier, const struct ledger *ledger, struct time_range range,
                  char why[FIXTURE_WHY_SIZE]);

/* Everything that is there now into `ledger`, which has to be empty. False where blocks overlap or
 * their headers do not say what is in them, where a series is unknown or there twice, and where the
 * answer is partial. */
bool fixture_read(struct tier *tier, struct ledger *ledger, char why[FIXTURE_WHY_SIZE]);
/* The same where the answer may be partial, which *partial says. */
bool fixture_read_partial(struct tier *tier, struct ledger *ledger, bool *partial,
                          char why[FIXTURE_WHY_SIZE]);

/* Count, sum, least, greatest and increase of every series out of block headers where there are
 * any, against those of the ledger: nothing twice. */
bool fixture_totals_same(struct tier *tier, const struct ledger *ledger, struct time_range range,
                         char why[FIXTURE_WHY_SIZE]);
/* The same; says also how many samples had to be decoded for it. */
bool fixture_totals_counted(struct tier *tier, const struct ledger *ledger, struct time_range range,
                            uint64_t *decoded, char why[FIXTURE_WHY_SIZE]);

#endif

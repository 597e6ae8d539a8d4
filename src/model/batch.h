/*
 * batch - the samples of one request on their way in, in columns.
 *
 * A protocol fills it: first a *series* entry per label set as it stands on the wire (the same
 * label set may come twice), then samples that name their entry by index. Labels stay as raw bytes
 * until storage finds that it has never seen those bytes: only then `decode_labels` turns them into
 * labels. Series and samples keep the order of the request; where a request holds the same (series,
 * time) twice, the later one wins.
 *
 * Ownership: everything lives in the batch's arena, or borrows the request's body, which must
 * outlive the batch. Threads: one at a time.
 * Errors: LIMIT or MEMORY of the arena.
 */
#ifndef METRIC_STORE_MODEL_BATCH_H
#define METRIC_STORE_MODEL_BATCH_H

#include "base/arena.h"
#include "base/hash.h"
#include "model/labels.h"
#include "model/metric.h"

#define SERIES_ID_NONE UINT32_MAX

enum {
    BATCH_MAX_REJECTIONS = 100,
    BATCH_SHOWN_NAME_SIZE = 200,
    BATCH_MAX_REASONS = 32,
    BATCH_MAX_WARNINGS = 20
};

/* Turns the raw bytes of one series entry into labels, not yet canonical. The array and any
 * unescaped strings go into `arena`; strings may borrow `raw`. */
typedef enum status batch_decode_labels(struct slice raw, struct arena *arena,
                                        struct labels *labels, struct error *err);

struct batch_series {
    struct slice raw;    /* the label bytes as received */
    struct hash128 hash; /* of `raw`; storage computes it with its own secret */
    uint32_t id;         /* storage's; SERIES_ID_NONE until resolved, and when refused */
    uint32_t index;      /* of the first sample in the request, from 0 */
    uint32_t line;       /* of the same, from 1; 0 where the format has no lines */
};

struct batch_rejection {
    uint32_t index;
    uint32_t line;
    const char *code;    /* static */
    struct slice metric; /* at most BATCH_SHOWN_NAME_SIZE bytes of its name; may be empty */
    struct slice message;
};

/* How many samples one code took. */
struct batch_reason {
    const char *code; /* static */
    uint64_t samples;
};

struct batch {
    struct arena *arena;
    batch_decode_labels *decode_labels;
    uint64_t hash_tag; /* differs by raw format, so that equal bytes of two formats never meet */

    struct batch_series *series;
    size_t series_count, series_capacity;

    uint32_t *sample_series; /* index into `series`; after storage_resolve the series' id */
    int64_t *sample_times;
    double *sample_values;
    size_t sample_count, sample_capacity;

    struct metric *metrics; /* descriptors that ride along */
    size_t metric_count, metric_capacity;
    uint8_t *metric_outcomes; /* enum metric_outcome of each, set by storage at commit */

    struct batch_rejection rejections[BATCH_MAX_REJECTIONS];
    size_t rejection_count; /* listed */
    uint64_t rejected;      /* samples, listed or not */
    bool listing_full;      /* reasons were left out of the list */
    struct batch_reason reasons[BATCH_MAX_REASONS];
    size_t reason_count; /* sums up to `rejected` while there are fewer codes than room */
    struct slice warnings[BATCH_MAX_WARNINGS];
    size_t warning_count;

    uint32_t new_series; /* first committed with this batch; set by storage */
    uint32_t *reserved;  /* ids that this batch holds a place for; storage's */
    size_t reserved_count;
    uint32_t *held; /* ids that are active only because of this batch, or others; storage's */
    size_t held_count;
    uint32_t arrival_s; /* when it was resolved; storage's */
    uint32_t tick;      /* likewise, in steps of storage's own */
    uint8_t gate;       /* storage's: it waits for batches that are between resolve and settle */
    uint32_t *missed;   /* entries that were not known by their raw bytes; storage's */
    size_t missed_count;
    bool atomic; /* store all or nothing */
};

void batch_init(struct batch *batch, struct arena *arena, batch_decode_labels *decode_labels,
                uint64_t hash_tag);

/* A hint: makes room for so many entries and samples in all, where the arena has it. Without it the
 * columns double, and are copied, as they fill. */
void batch_reserve(struct batch *batch, size_t series, size_t samples);

/* Gives the new entry's index. `raw` is borrowed for the batch's life. */
MUST_CHECK enum status batch_add_series(struct batch *batch, struct slice raw, uint32_t index,
                                        uint32_t line, uint32_t *series);
MUST_CHECK enum status batch_add_sample(struct batch *batch, uint32_t series, int64_t time_ms,
                                        double value);
/* Copies nothing: the strings are borrowed. */
MUST_CHECK enum status batch_add_metric(struct batch *batch, const struct metric *metric);

/* Counts `samples` as refused and lists the reason while there is room. `code` is a literal. */
void batch_reject(struct batch *batch, uint64_t samples, uint32_t index, uint32_t line,
                  const char *code, struct slice metric, const char *format, ...) PRINTF_LIKE(7, 8);
void batch_warn(struct batch *batch, const char *format, ...) PRINTF_LIKE(2, 3);

#endif

/*
 * refusals - what was refused, so that refusing it again costs next to nothing, and so that it can
 * be told what was refused, why, and how often.
 *
 *   entries  hash of the label bytes as received -> reason and metric: a series that is sent again
 *            is refused without a look at its labels, while what refused it still stands
 *   metrics  of each metric with refusals: how many by reason, since when
 *
 * Both are bounded, and the oldest of a full neighbourhood make room; what is forgotten is put to
 * the rules again. An entry counts only while its metric has had no other series come in since: one
 * of them may have been the same series, with its labels in another order.
 *
 * Threads: the owner's lock. Times are Unix milliseconds.
 */
#ifndef METRIC_STORE_ADMISSION_REFUSALS_H
#define METRIC_STORE_ADMISSION_REFUSALS_H

#include "admission/hyperloglog.h"
#include "base/hash.h"
#include "base/slice.h"
#include "base/status.h"

enum refusal_reason {
    REFUSED_LABELS,
    REFUSED_LABEL_NAME,
    REFUSED_LABEL_VALUE,
    REFUSED_METRIC_NAME,
    REFUSED_MEMORY,
    REFUSED_NAMES,
    REFUSED_TOTAL,
    REFUSED_TOTAL_BY_MEMORY,
    REFUSED_INDEXED,
    REFUSED_METRIC_SERIES,
    REFUSED_FINDING,
    REFUSED_RATE,
    REFUSAL_REASONS
};

/* The code that answers and metrics have; static. */
const char *refusal_code(enum refusal_reason reason);

enum { REFUSED_NAME_SIZE = 200, BLAMED_SIZE = 64, BLAMED_EXAMPLE_SIZE = 64 };

struct refused_metric {
    uint64_t key;        /* hash of the name; 0: none */
    uint32_t generation; /* of its entries */
    uint16_t name_size;
    uint32_t tier_metric;             /* the tier's number of it */
    bool own_limit;                   /* `limit` was registered with it */
    uint64_t limit;                   /* of its series, when it was the reason last */
    uint64_t descriptor_changes;      /* of the tier, then */
    uint64_t counts[REFUSAL_REASONS]; /* times, by reason */
    int64_t first_ms, last_ms;
    char name[REFUSED_NAME_SIZE]; /* cut there */
    struct hyperloglog distinct;  /* of raw bytes of series that were refused for their number */
    bool distinct_cut;            /* there was no memory to count more */
    /* What is told of it, looked up now and then. */
    int64_t told_ms;
    uint64_t told_distinct; /* about so many different series were refused */
    double blamed_values;   /* different ones of the label that has the most; 0: not known */
    char blamed[BLAMED_SIZE + 1];
    char blamed_example[BLAMED_EXAMPLE_SIZE + 1];
    const char *blamed_shape; /* static; NULL: none */
};

struct refusals {
    struct refused_entry *entries;
    uint64_t entry_mask, entry_count, max_entries;
    struct refused_metric *metrics;
    uint32_t metric_mask;
    uint32_t next_generation;
    uint32_t hand;
    uint64_t seed;                         /* of hashes of names */
    size_t sketch_bytes, max_sketch_bytes; /* of counters of different series */
};

/* Takes about `max_bytes`, less at first. MEMORY. */
MUST_CHECK enum status refusals_init(struct refusals *refusals, size_t max_bytes, uint64_t seed);
void refusals_release(struct refusals *refusals);

/* The metric's record, a new one where it has none; never NULL. Borrowed until the next call. */
struct refused_metric *refusals_metric(struct refusals *refusals, struct slice name,
                                       int64_t now_ms);
/* Counts one more refusal; and remembers the series by its raw bytes, unless its reason may end by
 * itself: by rate, or by a name that others may bring; nor one of a metric whose name is cut. */
void refusals_note(struct refusals *refusals, struct refused_metric *metric, struct hash128 raw,
                   enum refusal_reason reason, int64_t now_ms);
/* A series of the metric has come in. */
void refusals_admitted(struct refusals *refusals, struct slice name);
/* Limits have changed: nothing of what was refused is known to be refused any more. */
void refusals_forget(struct refusals *refusals);

/* Of a series that was refused: its metric and the reason; NULL where it is not known. */
struct refused_metric *refusals_find(struct refusals *refusals, struct hash128 raw,
                                     enum refusal_reason *reason);

size_t refusals_memory(const struct refusals *refusals);

#endif

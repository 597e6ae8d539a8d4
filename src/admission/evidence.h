/*
 * evidence - which labels of which metrics fill up with values of which there is no end, before
 * they reach a limit.
 *
 * Every new series is noted: for each of its labels the table keeps how many different values the
 * metric has had there, what they look like (shape.h), how they came over the last day, and a few
 * of them. A label is judged by all of that, never by one value:
 *
 *   its name says identity (label_patterns.h)   `min_values` different values
 *   its name says open       `min_values`, of which `named_share` are of a shape that flows or
 *                            paths with ids; or `many_values` and growing; or `most_values`
 *   any name                 `min_values`, of which `shape_share` are of a telling shape, most of
 *                            them of one that flows: times, e-mail addresses, tokens, long numbers
 *                            so, of one that may be an inventory's (UUIDs, ids, addresses, paths
 *                            with ids: machines, disks and containers have them, and come all at
 *                            once): `many_values`, or growing
 *
 * Growing: within a day `min_values` came that were not among those of the label's first ten
 * minutes.
 *
 * How values are told apart. The first ten of a label are kept as hashes of 32 bits, one cache
 * line for all; most labels never have more. Then it gets a HyperLogLog sketch of 1024 registers
 * that counts as values come (Ting: Streamed approximate counting of distinct elements, 2014;
 * Cohen: HIP estimators, 2015): a value counts when it raises a register, and then for 1/p, where p
 * is the chance that a value not seen before raises one. So each value counts at most once, without
 * a set of what was seen; whether it does depends on a keyed hash alone, so the counts of shapes
 * and hours are as true as the whole (standard error 2.6 %); and what is known costs no look at its
 * bytes. hyperloglog.h cannot say what raised it, and would take three times the memory.
 *
 * Memory is taken at creation, all of it. In a full table new labels take the place of those that
 * have not grown for longest (those that grow are kept in order by halves only); a flood of label
 * names meets other labels of few values only.
 *
 * Threads: the owner's lock. Times are Unix milliseconds of arrival.
 */
#ifndef METRIC_STORE_ADMISSION_EVIDENCE_H
#define METRIC_STORE_ADMISSION_EVIDENCE_H

#include "admission/label_patterns.h"
#include "admission/shape.h"
#include "base/status.h"
#include "model/labels.h"

enum {
    EVIDENCE_EXAMPLES = 5,
    EVIDENCE_EXAMPLE_SIZE = 64, /* bytes; longer ones are cut */
    EVIDENCE_METRIC_SIZE = 200,
    EVIDENCE_LABEL_SIZE = 128,
    EVIDENCE_PATTERN_SIZE = 64,
    EVIDENCE_HOURS = 24,
    EVIDENCE_MIN_BYTES = 64 * 1024,
};

struct evidence_rules {
    uint32_t min_values, many_values, most_values;
    double shape_share, named_share;
    enum label_action shape_action; /* of findings whose name no pattern matches */
    bool masks_examples;            /* findings show their form only (shape_mask) */
};

#define EVIDENCE_RULES_DEFAULT                                                                     \
    ((struct evidence_rules){.min_values = 20,                                                     \
                             .many_values = 100,                                                   \
                             .most_values = 500,                                                   \
                             .shape_share = 0.9,                                                   \
                             .named_share = 0.5,                                                   \
                             .shape_action = LABEL_ACTION_WARN})

enum evidence_reason { EVIDENCE_NONE, EVIDENCE_BY_NAME, EVIDENCE_BY_SHAPE };

/* A copy. Texts are zero-terminated UTF-8, cut where they are too long. */
struct evidence_finding {
    enum evidence_reason reason;
    enum label_action action;
    enum value_shape shape; /* the most frequent one, also of a finding by name; may be none */
    double shape_share;     /* of the different values */
    double distinct;        /* different values, about */
    double
        growth_per_hour; /* of them, over the last hour, or since the first where that is later */
    int64_t first_ms, last_ms; /* when the first value came, and the last that was new */
    size_t example_count;
    char metric[EVIDENCE_METRIC_SIZE + 1];
    char label[EVIDENCE_LABEL_SIZE + 1];
    char pattern[EVIDENCE_PATTERN_SIZE + 1]; /* that the name matches; "" */
    char examples[EVIDENCE_EXAMPLES][EVIDENCE_EXAMPLE_SIZE + 1];
};

struct evidence; /* opaque */

/* Takes `budget` bytes (EVIDENCE_MIN_BYTES at least), which become resident as they are used.
 * `seed` is secret: who knows it could choose what is counted. Judges by the default rules and what
 * label_patterns.h knows. Gives *evidence, ended by evidence_free. MEMORY. */
MUST_CHECK enum status evidence_new(struct evidence **evidence, size_t budget, uint64_t seed);
void evidence_free(struct evidence *evidence); /* accepts NULL */

/* `patterns` (may be NULL) is borrowed until the next call or the end. */
void evidence_set_rules(struct evidence *evidence, const struct evidence_rules *rules,
                        const struct label_patterns *patterns);

/* What a new series shows. A finding is looked at again with each value that counts; one that ends
 * and comes up again is new again, so whoever tells of it bounds how often. */
struct evidence_notice {
    size_t rejected_label; /* the first whose finding says reject, of `labels`; SIZE_MAX: none */
    size_t new_label;      /* the first that has just become a finding; SIZE_MAX: none */
};

/* Notes a new series of canonical labels; `metric` is its name. Takes nothing from the heap. */
struct evidence_notice evidence_note(struct evidence *evidence, struct slice metric,
                                     const struct labels *labels, int64_t now_ms);

/* The label's finding; false: there is none (now). */
bool evidence_judge(const struct evidence *evidence, struct slice metric, struct slice label,
                    int64_t now_ms, struct evidence_finding *finding);

/* What is known of a label that has, or has had, more than a few values, finding or not. */
bool evidence_get(const struct evidence *evidence, struct slice metric, struct slice label,
                  int64_t now_ms, struct evidence_finding *known);

/* Up to `capacity` findings, those with the most values first. Gives their number. Looks at every
 * label that has, or has had, more than a few values: a ms for some thousands. */
size_t evidence_findings(const struct evidence *evidence, int64_t now_ms,
                         struct evidence_finding *findings, size_t capacity);

/* When `count` will be `limit`, at that growth; 0: it is; INT64_MAX: not in a hundred years. */
int64_t evidence_ms_until(double count, double limit, double growth_per_hour);

struct evidence_stats {
    size_t labels;       /* with more than a few values, now */
    size_t labels_max;   /* for which there is room */
    uint64_t evicted;    /* such labels that made room */
    size_t memory_bytes; /* taken at creation */
};

void evidence_stats(const struct evidence *evidence, struct evidence_stats *stats);

#endif

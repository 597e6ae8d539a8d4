/*
 * openmetrics - the parts of the OpenMetrics 1.0 reader.
 *
 * openmetrics.c reads lines; openmetrics_family.c knows what a family may contain and in which
 * order. A family is closed by the first line that belongs to another, and then everything that
 * needs its end is checked: the unit, its names against all earlier ones, the last histogram.
 */
#ifndef METRIC_STORE_PROTOCOLS_OPENMETRICS_H
#define METRIC_STORE_PROTOCOLS_OPENMETRICS_H

#include "base/hash.h"
#include "protocols/exposition.h"

/* 64-bit hashes under a secret seed: that two of a document's names or groups share one is less
 * likely than a bit flipped in memory. Never 0. */
struct openmetrics_set {
    uint64_t *slots;
    size_t count;
    size_t capacity; /* a power of two, or 0 */
};

/* *added is false when `hash` was there. LIMIT or MEMORY of the arena. */
MUST_CHECK enum status openmetrics_set_add(struct openmetrics_set *set, struct arena *arena,
                                           uint64_t hash, bool *added);

struct openmetrics_sample {
    struct slice name; /* unescaped */
    const struct exposition_label *labels;
    size_t label_count;
    double value;
    bool has_time;
    int64_t time_ms; /* saturated: beyond what may be stored stays beyond it */
    int32_t time_ns; /* of the millisecond */
    bool has_exemplar;
};

/* What a histogram's group of samples at one time has shown so far. */
struct openmetrics_histogram {
    bool open;
    uint32_t line; /* its first */
    bool has_bucket, has_count, has_sum, has_gsum;
    bool has_negative_bucket, has_negative_gsum;
    double last_bound;
    double last_value;
    double count;
};

struct openmetrics_family {
    bool open;
    struct slice name; /* unescaped */
    uint32_t line;     /* its first */
    uint32_t unit_line;
    enum metric_type type;
    bool has_type, has_unit, has_help;
    struct slice unit, help;
    bool has_samples;
    uint64_t ordinal;
    uint64_t group;
    bool group_has_time;
    int64_t group_time_ms;
    int32_t group_time_ns;
    struct openmetrics_histogram histogram;
};

struct openmetrics {
    struct batch *batch;
    struct arena *arena;
    int64_t now_ms;
    uint64_t seed;
    uint32_t line;
    uint32_t index; /* of the next sample */
    uint64_t exemplars;
    struct openmetrics_family family;
    struct openmetrics_set names;    /* of closed families, with every suffix they claim */
    struct openmetrics_set groups;   /* hashed with the family's ordinal */
    struct exposition_label *labels; /* of the sample at hand */
    size_t label_count, label_capacity;
    uint8_t *scratch;
    size_t scratch_capacity;
    struct error *err;
};

/* "line N: SENTENCE" with the code of refused documents; returns INVALID. */
enum status openmetrics_fault(struct openmetrics *reader, uint32_t line, const char *format, ...)
    PRINTF_LIKE(3, 4);
/* LIMIT or MEMORY, whichever the arena met. */
enum status openmetrics_no_memory(struct openmetrics *reader);

/* Makes `name` the open family, closing another one. INVALID: metadata behind its samples. */
MUST_CHECK enum status openmetrics_family_metadata(struct openmetrics *reader, struct slice name);
/* Checks a sample against the family it belongs to, opening one of type unknown where none is. */
MUST_CHECK enum status openmetrics_family_sample(struct openmetrics *reader,
                                                 const struct openmetrics_sample *sample);
/* Checks the open family, if there is one, as a whole and registers its descriptor. */
MUST_CHECK enum status openmetrics_family_close(struct openmetrics *reader);

#endif

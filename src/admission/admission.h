/*
 * admission - who may come in: rules for new series, and for the age of samples.
 *
 * Active series are never asked about. The limits may change at any time; a
 * lower one never stops what is there.
 *
 * Threads: any. Messages name the setting that decides.
 */
#ifndef METRIC_STORE_ADMISSION_ADMISSION_H
#define METRIC_STORE_ADMISSION_ADMISSION_H

#include "admission/label_patterns.h"
#include "model/admitter.h"
#include "model/batch.h"
#include "os/os.h"

/* 0: no limit. */
struct admission_limits {
    uint64_t max_series_per_metric;  /* active ones */
    uint64_t max_series;             /* active ones in all */
    bool max_series_by_memory;       /* memory.limit makes it, and no setting of its own */
    uint64_t max_indexed_series;     /* stored ones */
    uint64_t max_new_series;         /* a second */
    uint64_t max_new_metric_series;  /* a second, of one metric */
    uint64_t max_labels;             /* of a series, the metric's name not counted */
    uint64_t max_label_name_length;  /* bytes */
    uint64_t max_label_value_length; /* bytes; the metric's name not counted */
    uint64_t max_metric_name_length; /* bytes */
    int64_t max_age_ms;
    int64_t max_future_ms;
    double warning_threshold; /* share of a metric's limit; 0: no warnings */
    uint64_t max_index_bytes; /* memory of the tier's series table */
    uint64_t max_name_bytes;  /* of it, of what names keep for good */
    size_t refusal_bytes;     /* for what was refused lately; of admission_new alone */
    const struct admission_override *overrides; /* the first that matches a metric holds */
    size_t override_count;
    const struct label_pattern *label_patterns; /* the first that matches a label's name holds */
    size_t label_pattern_count;
    enum label_action shape_action; /* of findings that no name tells of */
    bool masks_examples;            /* values are shown by their form alone */
    size_t evidence_bytes;          /* of admission_new alone; 0: no label is looked at */
};

enum { ADMISSION_OVERRIDES_MAX = NAME_PATTERNS_MAX };
#define ADMISSION_UNSET UINT64_MAX

/* Limits of the metrics whose names match, in place of the general ones. Those that are not set
 * (ADMISSION_UNSET) stay the general ones; 0: no limit. */
struct admission_override {
    const char *match; /* as in model/name_pattern.h */
    uint64_t max_series;
    uint64_t max_new_series; /* a second */
    uint64_t max_labels;
    uint64_t max_label_value_length;
    double warning_threshold; /* not set: negative or NaN */
};

struct admission; /* opaque */

struct admission_stats {
    uint64_t series_admitted;
    uint64_t series_refused; /* questions answered with no; a series may ask again and again */
    uint64_t memory_bytes;   /* of what was refused lately */
    uint64_t evidence_bytes; /* of what is known of labels */
};

/* Gives *admission, ended by admission_free; borrows what `os` names, and copies the limits. Errors
 * as of admission_set_limits. */
MUST_CHECK enum status admission_new(struct admission **admission, struct os os,
                                     const struct admission_limits *limits, struct error *err);
void admission_free(struct admission *admission); /* accepts NULL */

/* All of them, or none:
 *   INVALID, LIMIT  a pattern of an override or of labels; the message says which
 *   MEMORY */
MUST_CHECK enum status admission_set_limits(struct admission *admission,
                                            const struct admission_limits *limits,
                                            struct error *err);

/* Without the overrides and patterns. */
void admission_limits_get(struct admission *admission, struct admission_limits *limits);

/* The limit of a metric's active series, 0: none, and the share of it from which is warned. */
struct admission_metric_limit {
    uint64_t max_series;
    double warning_threshold;
};
void admission_metric_limit(struct admission *admission, struct slice metric, bool registered,
                            uint64_t registered_max_series, struct admission_metric_limit *limit);

/* For storage_resolve; lives as long as the admission. */
struct admitter *admission_admitter(struct admission *admission);

/* Takes out of an unresolved batch the samples that are too old or too far ahead, by batch_reject:
 * "sample_too_old", "sample_too_far_ahead". */
void admission_check_times(struct admission *admission, struct batch *batch, int64_t now_ms);

void admission_stats(struct admission *admission, struct admission_stats *stats);

#endif

/*
 * admitter - who decides whether a series that is not active may come in.
 */
#ifndef METRIC_STORE_MODEL_ADMITTER_H
#define METRIC_STORE_MODEL_ADMITTER_H

#include "base/hash.h"
#include "base/status.h"
#include "model/labels.h"

/* A series that is not active, before anything is allocated for it. Everything borrowed. */
struct admission_question {
    const struct labels *labels;
    struct slice metric;
    struct hash128 raw;      /* of the label bytes as received */
    uint32_t metric_number;  /* the tier's; UINT32_MAX of a metric without series */
    bool returns;            /* the tier has stored it, and it has fallen out of the window */
    uint32_t metric_series;  /* active ones of that metric now */
    uint64_t total_series;   /* active ones of the tier now */
    uint64_t indexed_series; /* all that the tier has stored, now */
    uint64_t index_bytes;    /* memory that series take in the tier now, about */
    uint64_t name_bytes;     /* of it, what names of metrics and labels keep for good */
    /* The first name of the metric or a label that the tier does not know; data is NULL where there
     * is none. It looks for each: to be asked only where that matters. NULL: all are known. */
    struct slice (*new_name)(const struct admission_question *question);
    const void *tier;            /* for new_name */
    uint64_t descriptor_changes; /* so far: of limits that metrics are registered with, too */
    bool has_max_series;         /* the metric is registered with a limit of its own: */
    uint32_t max_series;
};

/* How much there is now, for series of which only the raw bytes' hash is known. */
struct admission_counts {
    const uint32_t *metric_series; /* active ones by the tier's number of the metric */
    uint32_t metric_count;
    uint64_t total_series, indexed_series, index_bytes;
    uint64_t descriptor_changes;
};

/* A series that stays refused. */
struct admission_recollection {
    bool tells;       /* set by the caller: message and metric are wanted */
    const char *code; /* static */
    char metric[200]; /* as much of its name as fits */
    size_t metric_size;
};

struct admitter;

struct admitter_ops {
    /* OK admits, and may leave a warning in *err, told by a code that is not NULL. LIMIT refuses,
     * with a stable code and a message that names the setting. *err comes zeroed. Called under the
     * tier's lock, so that counts are exact: must be quick and must not call back. */
    enum status (*admit)(struct admitter *admitter, const struct admission_question *question,
                         struct error *err);
    /* Whether a series of these raw bytes was refused lately, and is still: then LIMIT, as admit
     * would say. OK: not known; admit is to be asked. Under the tier's lock for reading. NULL:
     * never known. */
    enum status (*recall)(struct admitter *admitter, struct hash128 raw,
                          const struct admission_counts *counts,
                          struct admission_recollection *recollection, struct error *err);
};

struct admitter {
    const struct admitter_ops *ops;
};

#endif

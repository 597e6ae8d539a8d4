/*
 * admitter - who decides whether a series that is not active may come in.
 */
#ifndef METRIC_STORE_MODEL_ADMITTER_H
#define METRIC_STORE_MODEL_ADMITTER_H

#include "base/status.h"
#include "model/labels.h"

/* A series that is not active, before anything is allocated for it. Everything borrowed. */
struct admission_question {
    const struct labels *labels;
    struct slice metric;
    bool returns;            /* the tier has stored it, and it has fallen out of the window */
    uint32_t metric_series;  /* active ones of that metric now */
    uint64_t total_series;   /* active ones of the tier now */
    uint64_t indexed_series; /* all that the tier has stored, now */
    uint64_t index_bytes;    /* memory that series take in the tier now, about */
    bool has_max_series;     /* the metric is registered with a limit of its own: */
    uint32_t max_series;
};

struct admitter;

struct admitter_ops {
    /* OK admits, and may leave a warning in *err, told by a code that is not NULL. LIMIT refuses,
     * with a stable code and a message that names the setting. *err comes zeroed. Called under the
     * tier's lock, so that counts are exact: must be quick and must not call back. */
    enum status (*admit)(struct admitter *admitter, const struct admission_question *question,
                         struct error *err);
};

struct admitter {
    const struct admitter_ops *ops;
};

#endif

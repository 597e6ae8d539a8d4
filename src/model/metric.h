/*
 * metric - the descriptor of a metric family: name, type, unit, help and its own series limit.
 */
#ifndef METRIC_STORE_MODEL_METRIC_H
#define METRIC_STORE_MODEL_METRIC_H

#include "base/slice.h"

enum metric_type {
    METRIC_UNKNOWN = 0,
    METRIC_COUNTER,
    METRIC_GAUGE,
    METRIC_HISTOGRAM,
    METRIC_SUMMARY,
    METRIC_INFO,
    METRIC_STATESET,
    METRIC_GAUGEHISTOGRAM,
};

enum {
    METRIC_NAME_MAX_SIZE = 1024,
    METRIC_UNIT_MAX_SIZE = 256,
    METRIC_HELP_MAX_SIZE = 16 * 1024,
};

struct metric {
    struct slice name;
    enum metric_type type;
    struct slice unit;
    struct slice help;
    bool has_max_series;
    uint32_t max_series; /* 0: no limit; counts only with has_max_series */
};

const char *metric_type_name(enum metric_type type);
bool metric_type_parse(struct slice text, enum metric_type *type);

/* Whether the type itself rules out no such value, by OpenMetrics: a counter is not NaN and not
 * negative, an info is 1. What the parts of histograms and the like may be is not asked here. */
bool metric_type_allows(enum metric_type type, double value);

#endif

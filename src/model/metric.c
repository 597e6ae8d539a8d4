#include "model/metric.h"

static const char *const type_names[] = {
    [METRIC_UNKNOWN] = "unknown",   [METRIC_COUNTER] = "counter",
    [METRIC_GAUGE] = "gauge",       [METRIC_HISTOGRAM] = "histogram",
    [METRIC_SUMMARY] = "summary",   [METRIC_INFO] = "info",
    [METRIC_STATESET] = "stateset", [METRIC_GAUGEHISTOGRAM] = "gaugehistogram",
};
enum { TYPE_COUNT = sizeof type_names / sizeof type_names[0] };

const char *metric_type_name(enum metric_type type)
{
    return (size_t)type < TYPE_COUNT ? type_names[type] : "unknown";
}

bool metric_type_parse(struct slice text, enum metric_type *type)
{
    for (size_t i = 0; i < TYPE_COUNT; i++)
        if (slice_equal_text(text, type_names[i])) {
            *type = (enum metric_type)i;
            return true;
        }
    return false;
}

bool metric_type_allows(enum metric_type type, double value)
{
    if (type == METRIC_COUNTER)
        return value >= 0;
    return type != METRIC_INFO || value == 1;
}

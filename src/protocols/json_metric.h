/*
 * json_metric - the descriptor of a metric in JSON, alone or with a sample.
 */
#ifndef METRIC_STORE_PROTOCOLS_JSON_METRIC_H
#define METRIC_STORE_PROTOCOLS_JSON_METRIC_H

#include "model/metric.h"
#include "protocols/protocols.h"

/*
 * Whether name, unit and help of `metric` can be registered; sets its type from `type` (NULL:
 * unknown).
 *   INVALID  name_invalid, type_invalid, unit_invalid, help_invalid
 */
MUST_CHECK enum status json_metric_check(struct metric *metric, const struct slice *type,
                                         struct error *err);

#endif

/*
 * export - every sample of a selection, series by series, into a sink.
 */
#ifndef METRIC_STORE_QUERY_EXECUTE_EXPORT_H
#define METRIC_STORE_QUERY_EXECUTE_EXPORT_H

#include "query/execute/budget.h"
#include "query/parse/request.h"

/* As query_export. */
MUST_CHECK enum status export_run(const struct export_request *request, struct export_sink *sink,
                                  struct arena *arena, struct budget *budget,
                                  struct export_outcome *outcome, struct error *err);

#endif

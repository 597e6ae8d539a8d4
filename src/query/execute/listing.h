/*
 * listing - one page of the metrics that a tier holds, by name.
 */
#ifndef METRIC_STORE_QUERY_EXECUTE_LISTING_H
#define METRIC_STORE_QUERY_EXECUTE_LISTING_H

#include "query/execute/budget.h"
#include "query/parse/request.h"

struct listing {
    struct metric_info *items; /* in the arena, strings too */
    size_t count;
    bool more; /* metrics follow */
};

/* Those with a series that any selector matches (no selectors: all), whose name holds the search
 * text and comes after request->after. */
MUST_CHECK enum status listing_read(struct listing *listing, const struct metrics_request *request,
                                    struct arena *arena, struct budget *budget, struct error *err);

#endif

/*
 * source - a selection read series by series, block by block, within the budget.
 */
#ifndef METRIC_STORE_QUERY_EXECUTE_SOURCE_H
#define METRIC_STORE_QUERY_EXECUTE_SOURCE_H

#include "query/execute/budget.h"

struct source {
    struct tier *tier;
    struct budget *budget;
    struct time_range range;
    struct selection *selection;
    struct storage_cursor *cursor; /* the selection's */
    size_t count;
    size_t next; /* index of the series that source_next_series gives */
    struct selected_series series;
    uint64_t series_read;
    uint64_t decoded, again; /* samples, as the selection's stats say; spent already */
};

/* A union of `count` conjunctions. Ended by source_close, also after a failure. */
MUST_CHECK enum status source_open(struct source *source, const struct matchers *matchers,
                                   size_t count, struct time_range range, bool ordered,
                                   struct budget *budget, struct error *err);
void source_close(struct source *source);

/* The next series is the first whose labels come after `labels`. The source must be ordered. */
MUST_CHECK enum status source_skip_after(struct source *source, const struct labels *labels,
                                         struct error *err);

/* Fills source->series, valid until the next call here. END after the last. */
MUST_CHECK enum status source_next_series(struct source *source, struct error *err);

/* The next block of the series; END after the last. */
MUST_CHECK enum status source_next_block(struct source *source, struct storage_block *block,
                                         struct error *err);

/* Decodes it; what is left may be nothing. */
MUST_CHECK enum status source_load(struct source *source, struct storage_block *block,
                                   struct error *err);

#endif

/*
 * budget - memory.limit, divided over all who take memory.
 *
 * The shares add up to the whole, so that what each keeps to keeps the whole. Beside them stand
 * only the program itself, its threads' stacks and what a heap loses to gaps.
 */
#ifndef METRIC_STORE_COMMANDS_BUDGET_H
#define METRIC_STORE_COMMANDS_BUDGET_H

#include <stdint.h>

enum budget_owner {
    BUDGET_HEADS,         /* two: one may be on its way to disk */
    BUDGET_SERIES,        /* those since the last flush, names of labels and metrics, descriptors */
    BUDGET_ACTIVE_SERIES, /* which series are active, and since when */
    BUDGET_REFUSALS,      /* what was refused lately */
    BUDGET_EVIDENCE,      /* which labels fill up */
    BUDGET_RAW_CACHE,
    BUDGET_PART_INDEXES,
    BUDGET_TOMBSTONES,
    BUDGET_BODIES,  /* of requests, as they come in */
    BUDGET_BATCHES, /* what bodies become, until it is committed */
    BUDGET_QUERIES,
    BUDGET_MERGES, /* and flushes */
    BUDGET_OWNERS
};

/* Bytes of that owner; for two heads, both. */
uint64_t budget_share(uint64_t memory_bytes, enum budget_owner owner);

#endif

/*
 * budget - what a query may still spend: samples, time, memory; and whether anyone still waits.
 */
#ifndef METRIC_STORE_QUERY_EXECUTE_BUDGET_H
#define METRIC_STORE_QUERY_EXECUTE_BUDGET_H

#include "base/patience.h"
#include "query/execute/execute.h"

struct budget {
    const struct query_environment *environment;
    uint64_t max_samples; /* 0: no limit */
    int64_t timeout_ms;   /* 0: none */
    int64_t start_ns;
    uint64_t samples; /* decoded so far */
    uint64_t again;   /* read once more, in samples */
    uint64_t unchecked;
};

/* The time-out runs from environment->started_ns. */
void budget_init(struct budget *budget, const struct query_environment *environment,
                 uint64_t max_samples, int64_t timeout_ms);

/* TIMEOUT "query_timeout" or CANCELLED. */
MUST_CHECK enum status budget_check(struct budget *budget, struct error *err);

/* The same, for work below that takes long. Borrows the budget. */
struct patience budget_patience(struct budget *budget);

/* Counts `work` (whatever costs about as much as a sample) towards the next check. */
MUST_CHECK enum status budget_spend(struct budget *budget, uint64_t work, struct error *err);

/* Counts `samples` as decoded and `again` as read once more; both are limited, and count towards
 * the next check. LIMIT "query_samples_limit" too. */
MUST_CHECK enum status budget_spend_samples(struct budget *budget, uint64_t samples, uint64_t again,
                                            struct error *err);

/* Why `arena` gave nothing: LIMIT "query_memory_limit", BUSY "queries_memory" or MEMORY. */
enum status budget_no_memory(const struct arena *arena, struct error *err);

int64_t budget_elapsed_ns(const struct budget *budget);

#endif

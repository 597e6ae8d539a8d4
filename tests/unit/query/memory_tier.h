/*
 * memory_tier - a tier for tests of the read side: samples in plain arrays, given out in blocks of
 * random sizes that reach beyond the range as a real tier's do.
 */
#ifndef METRIC_STORE_TESTS_UNIT_QUERY_MEMORY_TIER_H
#define METRIC_STORE_TESTS_UNIT_QUERY_MEMORY_TIER_H

#include "storage/storage.h"

struct memory_series {
    struct labels labels;
    uint8_t *encoded; /* what the labels borrow */
    int64_t *times;
    double *values;
    size_t count, capacity;
};

struct memory_tier {
    struct tier tier;
    struct memory_series *series;
    size_t count, capacity;
    struct metric metrics[16];
    size_t metric_count;

    uint32_t max_block;      /* samples a block, at most */
    unsigned summary_chance; /* blocks out of 100 that have their summary */
    uint64_t seed;           /* of block sizes, summaries and the order where none is asked for */
    bool damaged;            /* reads are partial */
    uint64_t fail_next_at;   /* the n-th block cannot be read (from 1); 0: never */

    uint64_t blocks_given;
    int open_selections;
};

/* Never fails: a test without memory ends. */
struct memory_tier *memory_tier_new(void);
void memory_tier_free(struct memory_tier *memory);

/* `text` is "name=value,name=value", without __name__ for `metric`. Gives the series' index. */
size_t memory_tier_add_series(struct memory_tier *memory, const char *metric, const char *text);
/* Times of a series must rise. */
void memory_tier_add(struct memory_tier *memory, size_t series, int64_t time_ms, double value);

/* xorshift; never 0 for a seed that is not 0. */
uint64_t memory_random(uint64_t *state);

#endif

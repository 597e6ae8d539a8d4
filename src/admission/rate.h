/*
 * rate - how many new series come in a second: one bucket for all, one for each metric.
 *
 * A bucket holds one second's worth, and fills as time goes by. Buckets of metrics stand in a table
 * of fixed size, found by a hash of the name: a full neighbourhood gives up the one that was used
 * longest ago, which is one that has most likely filled up meanwhile and needs no memory of it.
 *
 * Threads: the owner's lock. Times are monotonic nanoseconds.
 */
#ifndef METRIC_STORE_ADMISSION_RATE_H
#define METRIC_STORE_ADMISSION_RATE_H

#include <stdint.h>

#include "base/status.h"

enum { RATE_MAX = 1000000000 }; /* a second */

struct rate_bucket {
    uint64_t key;       /* hash of a metric's name */
    int64_t updated_ns; /* 0: never used */
    uint64_t tokens;    /* in 10^-9 of a series */
};

struct rate_table; /* opaque */

/* Gives *table, ended by rate_table_free. MEMORY. */
MUST_CHECK enum status rate_table_new(struct rate_table **table);
void rate_table_free(struct rate_table *table); /* accepts NULL */

/* The metric's bucket; borrowed until the next call. */
struct rate_bucket *rate_table_find(struct rate_table *table, uint64_t key);

/* Fills it up to now, at `per_second` (at most RATE_MAX), and says whether a series is left in it.
 */
bool rate_has(struct rate_bucket *bucket, uint64_t per_second, int64_t now_ns);
/* After rate_has said so. */
void rate_take(struct rate_bucket *bucket);

#endif

/*
 * head_first - the samples of one series in a head, some at a time, by time: from one call to the
 * next the ranges begin later. Those that come in order are gone through once. The others are
 * sorted; where they are more than are taken at a time, head_buckets say where they lie.
 *
 * Ownership: embedded; head_first_release frees. Threads: as the reader, one at a time.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_HEAD_FIRST_H
#define METRIC_STORE_STORAGE_ENGINE_HEAD_FIRST_H

#include "storage/engine/head_buckets.h"

struct head_first {
    struct head_series series;
    size_t limit;                /* samples at a time, not 0 */
    struct head_reader reader;   /* of samples in order: nothing before it is wanted any more */
    struct head_buckets buckets; /* when they were made */
    bool has_buckets;
    size_t bytes;    /* of the buckets */
    uint64_t walked; /* samples looked at, without those of `buckets` */
};

void head_first_init(struct head_first *first, const struct head_series *series, size_t limit);
void head_first_release(struct head_first *first);

/* Bytes that head_first_sort_out would take of at most `max_bytes`; 0: it is of no use. */
size_t head_first_bytes(const struct head_first *first, size_t max_bytes);
/* Finds out where the samples of `range`, of which all that is copied will be, lie. MEMORY. */
MUST_CHECK enum status head_first_sort_out(struct head_first *first, struct time_range range,
                                           size_t bytes);

/* Room that head_first_copy wants: samples in `times` and `values`, and in `scratch` (0: none). */
size_t head_first_room(const struct head_first *first);
size_t head_first_scratch(const struct head_first *first);

/*
 * Copies the samples of the range in strictly rising time, the later write kept: all, or the first
 * ones, `limit` at most; range->end_ms is then where the others begin, or before. Returns how many.
 */
size_t head_first_copy(struct head_first *first, struct time_range *range,
                       struct head_sample *scratch, int64_t *times, double *values);

/* How many more samples were looked at than there are. */
uint64_t head_first_again(const struct head_first *first);

#endif

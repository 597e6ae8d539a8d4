/*
 * head_first - the samples of one series in a head, some at a time, by time.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_HEAD_FIRST_H
#define METRIC_STORE_STORAGE_ENGINE_HEAD_FIRST_H

#include "model/time_range.h"
#include "storage/engine/tombstone.h"

/* Of which samples, and how many at most. */
struct head_first {
    const struct head *head;
    uint64_t number; /* the head's, for `cuts` */
    struct head_entry entry;
    const struct cuts *cuts; /* with the series in hand; what they hide is left out */
    size_t limit;            /* not 0 */
};

/* Room that head_first_copy wants: samples in `times` and `values`, and in `scratch` (0: none). */
size_t head_first_room(const struct head_first *first);
size_t head_first_scratch(const struct head_first *first);

/*
 * Copies the samples of the range in strictly rising time, the later write kept: all, or the first
 * `limit`; range->end_ms is then where the others begin. Returns how many.
 */
size_t head_first_copy(const struct head_first *first, struct time_range *range,
                       struct head_sample *scratch, int64_t *times, double *values);

#endif

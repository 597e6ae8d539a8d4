/*
 * head_buckets - where the samples of one series in a head lie, by time, of a series whose samples
 * do not come in order and are more than are read at once: instead of a walk over all of them for
 * each few that are read.
 *
 *   two walks       the first and the last time, and how many samples there are in each of some
 *                   thousand buckets of the same length
 *   one walk more   for as many buckets in a row as there is room for: the places of their samples
 *
 * Threads: as the reader, one at a time; the head may be appended to meanwhile.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_HEAD_BUCKETS_H
#define METRIC_STORE_STORAGE_ENGINE_HEAD_BUCKETS_H

#include "model/time_range.h"
#include "storage/engine/tombstone.h"

/* The samples of a series in a head. */
struct head_series {
    const struct head *head;
    uint64_t number; /* the head's, for `cuts` */
    struct head_entry entry;
    const struct cuts *cuts; /* with the series in hand; what they hide is left out */
};

struct head_buckets {
    struct head_series series;
    struct time_range range;
    int64_t first_ms, last_ms; /* of the samples in the range; first > last: there are none */
    uint64_t width_ms;
    size_t count;
    uint32_t *samples; /* of each bucket */
    uint32_t *ends;    /* and, from `from` to `to`, where its places end */
    uint32_t *places;  /* in the order they were written, in each bucket */
    size_t room;
    size_t from, to; /* buckets */
    uint64_t walked; /* samples */
};

/* Places of samples, in the order they were written among those of equal time. */
struct head_places {
    const uint32_t *places;
    size_t count;
};

/* What head_buckets_make takes of at most `max_bytes`; 0: too little for this. `limit` is how many
 * samples are read at once. */
size_t head_buckets_bytes(const struct head_series *series, size_t limit, size_t max_bytes);
/* Looks at the samples of `range`. The series' cuts are borrowed. Ended by head_buckets_release,
 * also after a failure. MEMORY. */
MUST_CHECK enum status head_buckets_make(struct head_buckets *buckets,
                                         const struct head_series *series, struct time_range range,
                                         size_t limit, size_t bytes);
void head_buckets_release(struct head_buckets *buckets);

/*
 * Ends *range, which begins within that of the buckets, such that it holds up to `limit` samples,
 * or those of one bucket. Gives the places of its samples; some others may be among them. False
 * when they are more than there is room for, and all of the series has to be walked.
 */
bool head_buckets_find(struct head_buckets *buckets, struct time_range *range, size_t limit,
                       struct head_places *places);

#endif

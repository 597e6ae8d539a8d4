/*
 * sample_array - times and values side by side, in strictly rising time; and merging two of them.
 * Ownership: embedded; sample_array_release frees.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_SAMPLE_ARRAY_H
#define METRIC_STORE_STORAGE_ENGINE_SAMPLE_ARRAY_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct sample_array {
    int64_t *times;
    double *values;
    size_t count, capacity;
};

/* What sample_array_reach would take from the heap. */
size_t sample_array_growth(const struct sample_array *array, size_t count);
/* Room for `count` in all. What is there stays. */
MUST_CHECK enum status sample_array_reach(struct sample_array *array, size_t count);
/* Puts `count` samples behind those that are there; sample_array_reach was asked for the room. */
void sample_array_append(struct sample_array *array, const int64_t *times, const double *values,
                         size_t count);
void sample_array_release(struct sample_array *array);
void sample_array_swap(struct sample_array *a, struct sample_array *b);

/* Merges into `to`, which is neither and has room for both; `later` wins at equal times. */
void sample_array_merge(const struct sample_array *earlier, const struct sample_array *later,
                        struct sample_array *to);

#endif

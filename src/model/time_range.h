/*
 * time_range - [start, end) in Unix milliseconds, as REST and storage mean it.
 */
#ifndef METRIC_STORE_MODEL_TIME_RANGE_H
#define METRIC_STORE_MODEL_TIME_RANGE_H

#include <stdbool.h>
#include <stdint.h>

struct time_range {
    int64_t start_ms; /* included */
    int64_t end_ms;   /* excluded */
};

static inline bool time_range_contains(struct time_range range, int64_t time_ms)
{
    return time_ms >= range.start_ms && time_ms < range.end_ms;
}

static inline bool time_range_empty(struct time_range range)
{
    return range.start_ms >= range.end_ms;
}

#endif

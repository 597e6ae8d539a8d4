/*
 * clock - wall time, monotonic time and sleep behind a table of functions, so that a test can jump
 * the wall clock or run without waiting. Threads: any.
 */
#ifndef METRIC_STORE_OS_CLOCK_H
#define METRIC_STORE_OS_CLOCK_H

#include <stdint.h>

struct clock;

struct clock_ops {
    int64_t (*wall_ms)(struct clock *clock);      /* Unix milliseconds UTC; may jump */
    int64_t (*monotonic_ns)(struct clock *clock); /* never goes back */
    void (*sleep_ms)(struct clock *clock, int64_t duration_ms);
};

struct clock {
    const struct clock_ops *ops;
};

int64_t clock_wall_ms(struct clock *clock);
int64_t clock_monotonic_ns(struct clock *clock);
void clock_sleep_ms(struct clock *clock, int64_t duration_ms);

/* The real one: one static instance. */
struct clock *clock_system(void);

#endif

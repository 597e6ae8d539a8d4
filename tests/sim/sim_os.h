/*
 * sim_os - the other tables of the os seam: a clock that moves when told, random bytes from a
 * seed, and threads that refuse to start. Embedded values; nothing to release.
 */
#ifndef METRIC_STORE_TESTS_SIM_OS_H
#define METRIC_STORE_TESTS_SIM_OS_H

#include "os/os.h"

/* splitmix64: every seed gives another sequence, and a copy of the state repeats it. */
uint64_t sim_next(uint64_t *state);
/* Below `bound`, which is not 0. */
uint64_t sim_below(uint64_t *state, uint64_t bound);

struct sim_clock {
    struct clock clock;
    int64_t wall_ms;
    int64_t monotonic_ns;
    int64_t step_ns; /* added to the monotonic time at each look; a sleep moves both */
};
void sim_clock_init(struct sim_clock *clock, int64_t wall_ms);
/* Time passes. */
void sim_clock_advance(struct sim_clock *clock, int64_t duration_ms);
/* The wall clock is set, forwards or backwards; monotonic time does not notice. */
void sim_clock_jump(struct sim_clock *clock, int64_t by_ms);

struct sim_random {
    struct random random;
    uint64_t state;
};
void sim_random_init(struct sim_random *random, uint64_t seed);

/* threads_start returns UNAVAILABLE. */
struct threads *sim_threads(void);

#endif

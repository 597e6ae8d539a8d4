/*
 * pseudo_random - numbers from a seed (splitmix64), for property tests: a failure names its seed.
 */
#ifndef METRIC_STORE_TESTS_UNIT_PSEUDO_RANDOM_H
#define METRIC_STORE_TESTS_UNIT_PSEUDO_RANDOM_H

#include <stdint.h>

static inline uint64_t random_next(uint64_t *state)
{
    uint64_t value = *state += UINT64_C(0x9e3779b97f4a7c15);
    value = (value ^ (value >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    value = (value ^ (value >> 27)) * UINT64_C(0x94d049bb133111eb);
    return value ^ (value >> 31);
}

/* Below `bound`, which is not 0. */
static inline uint32_t random_below(uint64_t *state, uint32_t bound)
{
    return (uint32_t)(random_next(state) % bound);
}

#endif

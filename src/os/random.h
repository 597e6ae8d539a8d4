/*
 * random - unpredictable bytes (getrandom) behind a table, so that a test can replay a seed.
 */
#ifndef METRIC_STORE_OS_RANDOM_H
#define METRIC_STORE_OS_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random;

struct random_ops {
    void (*fill)(struct random *random, void *to, size_t size);
};

struct random {
    const struct random_ops *ops;
};

/* Never fails: the system's source aborts the process if the kernel has no randomness to give. */
void random_fill(struct random *random, void *to, size_t size);
uint64_t random_u64(struct random *random);

struct random *random_system(void);

#endif

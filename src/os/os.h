/*
 * os - the four tables together, as they are handed from main to everything that needs them.
 */
#ifndef METRIC_STORE_OS_OS_H
#define METRIC_STORE_OS_OS_H

#include "os/clock.h"
#include "os/file.h"
#include "os/random.h"
#include "os/thread.h"

struct os {
    struct filesystem *fs;
    struct clock *clock;
    struct random *random;
    struct threads *threads;
};

/* The real machine. */
struct os os_system(void);

#endif

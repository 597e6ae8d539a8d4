/*
 * sim_machine - a machine for one opening of a store: clock, random bytes and log beside the
 * simulated disk, and options that make files small, so that little work comes to many of them.
 */
#ifndef METRIC_STORE_TESTS_SIM_MACHINE_H
#define METRIC_STORE_TESTS_SIM_MACHINE_H

#include "../sanitized.h"
#include "base/times.h"
#include "sim_disk.h"
#include "sim_os.h"
#include "storage/engine/engine.h"

/* What clocks show when a simulated life begins: the first moment of a day. */
#define SIM_START_MS (INT64_C(20000) * MS_PER_DAY)

/* Options point into it: it stays where it is while the store is open. */
struct sim_machine {
    struct sim_clock clock;
    struct sim_random random;
    struct log log; /* not used, unless the options are made to */
    struct engine_options options;
};

/* `dir` is borrowed. Other options than these may be set before the store is opened. */
void sim_machine_init(struct sim_machine *machine, struct sim_disk *disk, const char *dir,
                      uint64_t seed);

/* A disk with the durable directory /data, in which a store can be made. */
struct sim_disk *sim_machine_disk(uint64_t seed);

#endif

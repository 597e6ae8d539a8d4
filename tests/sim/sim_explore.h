/*
 * sim_explore - a crash before every call of a workload, several ways each, and in recovery too.
 *
 * Attached to a disk, it clones the disk before each call that changes something, lets the clone
 * crash, and has `check` recover from what is left. Not for two threads.
 */
#ifndef METRIC_STORE_TESTS_SIM_EXPLORE_H
#define METRIC_STORE_TESTS_SIM_EXPLORE_H

#include "sim_disk.h"

/*
 * Recovers from `disk`, which has crashed, closes all its files, and says whether all that had to
 * be there was there, and nothing else. `disk` is borrowed. Calls it makes may be crashed again
 * (`depth`); after sim_explore_detach they are not.
 */
typedef bool sim_check(void *context, struct sim_disk *disk);

struct sim_explore {
    /* Set before sim_explore_attach. */
    sim_check *check;
    void *context;
    uint64_t seed;
    unsigned crashes; /* ways to crash before each call; an odd one drops names in any order */
    bool kills;       /* before each call also: the process stops, but not the machine */
    unsigned depth;   /* 0: no crash in recovery; 1: one; ... */
    uint64_t every;   /* look at each n-th call only; 1: all */
    uint64_t phase;   /* which of them: those of number k * every - phase */
    uint64_t every_in_recovery; /* the same for calls of recovery; 0: as `every` */
    bool each_site; /* look besides at the 1st, 4th, 16th, ... call of each call site, in recovery
                     * counted apart, so that those that are seldom called are not left to chance */
    uint64_t most;  /* states; 0: no limit */
    struct sim_sites *sites; /* counts the sites of calls before which there was a crash; or NULL */
    /* Counted. Nothing is explored after a violation, which has been printed with its seeds. */
    uint64_t states;
    uint64_t violations;
    /* Own. */
    struct sim_sites met, met_in_recovery;
    unsigned level;
    char trail[256];
};

void sim_explore_attach(struct sim_explore *explore, struct sim_disk *disk);
void sim_explore_detach(struct sim_disk *disk);
/* As if a call came now: for the end of a workload. */
void sim_explore_now(struct sim_explore *explore, struct sim_disk *disk);

/* How many seeds a long test tries: `count` times the environment's SIM_ROUNDS (1 without it). */
uint64_t sim_rounds(uint64_t count);

#endif

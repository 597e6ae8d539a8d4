/*
 * scripted_life - a life of the engine on the simulated disk that is the same each time: commits,
 * deletes, flushes, merges, the warm step, retention, pauses and restarts; and what the store has
 * to hold after each step, after a crash and after calls that failed. Failures end the test.
 */
#ifndef METRIC_STORE_TESTS_SIM_SCRIPTED_LIFE_H
#define METRIC_STORE_TESTS_SIM_SCRIPTED_LIFE_H

#include <time.h>

#include "engine_fixture.h"
#include "sim_explore.h"
#include "sim_machine.h"

enum {
    SCRIPTED_SERIES = 24,
    SCRIPTED_PAUSES = 2,     /* planned */
    SCRIPTED_MAYBE_MAX = 64, /* commits that failed one after the other */
    /* Under a sanitizer each SCRIPTED_SPARSE-th crash and fault is looked at. */
    SCRIPTED_SPARSE = SANITIZED ? 7 : 1,
};

struct scripted_life {
    /* Set before scripted_begin(). */
    uint64_t seed;
    unsigned steps;
    unsigned crashes, depth;
    uint64_t every, phase;
    enum engine_sync sync;
    bool thorough; /* recovered stores are used and crashed again */
    int log_fd;    /* what recovery logs, to be read again */
    struct sim_sites sites;
    struct ledger acknowledged;
    uint32_t help; /* number of the acknowledged descriptor; 0: none yet */
    /* Commits since the last success that may have reached the disk. */
    unsigned maybe[SCRIPTED_MAYBE_MAX];
    size_t maybe_count;
    int64_t now_ms;
    bool dropping; /* days before drop_ms may be there or not */
    int64_t drop_ms;
    unsigned commits; /* begun */
    unsigned marks;   /* of pauses, in the log */
    uint64_t states;
    uint64_t calls;
};

struct scripted_living {
    struct scripted_life *life;
    struct sim_disk *disk;
    struct sim_machine machine;
    struct tier *tier;
    bool faulty; /* calls are made to fail: errors are part of the life */
};

void scripted_begin(struct scripted_life *life);
void scripted_end(struct scripted_life *life);
/* Gives an empty disk to the caller, ended by sim_disk_free. */
struct sim_disk *scripted_disk(struct scripted_life *life);
void scripted_machine_init(struct sim_machine *machine, struct sim_disk *disk,
                           const struct scripted_life *life);

/* Opens the store of living->disk; where calls fail, until it opens. */
void scripted_open(struct scripted_living *living);
/* One that the seed draws. */
void scripted_step(struct scripted_living *living, uint64_t *random);
/* What comes before step `step`, or nothing. */
void scripted_plan_step(struct scripted_living *living, unsigned step);
/* The next commit of the life. */
void scripted_commit(struct scripted_living *living);
/* Commits until the log has something that no pause has marked; where calls fail, perhaps not. */
void scripted_commit_to_mark(struct scripted_living *living);
/* Nothing is written for a while, in which the background goes on: the log marks that. */
void scripted_pause(struct scripted_living *living);

/* What commit `number` does to a ledger, and to the number of the descriptor. */
void scripted_apply(const struct scripted_life *life, unsigned number, struct ledger *ledger,
                    uint32_t *help);
bool scripted_state_same(struct tier *tier, const struct ledger *ledger, uint32_t help,
                         char why[FIXTURE_WHY_SIZE]);
/* Whether the store holds what was acknowledged, perhaps with one of the commits that were not, and
 * with or without the days that are being dropped. The state found goes to `found`, if it is so. */
bool scripted_holds(const struct scripted_life *life, struct tier *tier, struct ledger *found,
                    uint32_t *found_help);
/* A sim_check: opens what the disk holds, without a word of damage, and goes on with it. */
bool scripted_recovers(void *context, struct sim_disk *disk);

void scripted_report(const struct scripted_life *life, const char *what, clock_t started);

#endif

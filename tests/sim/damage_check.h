/*
 * damage_check - what a damaged store has to answer: what is right and complete, or says that it is
 * partial, or a refusal; and what a repair has to make of it: a sound store with everything that
 * was whole.
 */
#ifndef METRIC_STORE_TESTS_SIM_DAMAGE_CHECK_H
#define METRIC_STORE_TESTS_SIM_DAMAGE_CHECK_H

#include "damage_world.h"

struct answer {
    enum status status; /* of opening or reading; CORRUPT: refused */
    bool partial;
    bool wrong;
    uint64_t samples;
    char why[FIXTURE_WHY_SIZE];
};

/* Reads all of an open store and holds it against what was written. */
void answer_read(struct answer *answer, struct tier *tier, const struct ledger *ledger);
/* The same of a store that is opened for it; and that the answer is complete or says it is not. */
struct answer world_ask(const struct world *world, struct sim_disk *disk, bool read_only);
/* Whether the damage is answered honestly, by a start and by a reader. */
void expect_honest(const struct world *world, const struct sim_disk *damaged, const char *what,
                   uint64_t where);

struct told {
    struct engine_repair_result result;
    uint64_t samples; /* that are there afterwards */
    char last[ERROR_MESSAGE_SIZE];
};

MUST_CHECK enum status world_repair(struct sim_disk *disk, struct told *told, struct error *err);
/* After a repair the store is sound, complete but for what was told to be lost, and stays so. */
void expect_repair(const struct world *world, const struct sim_disk *damaged, const char *what,
                   uint64_t where, struct told *told);

#endif

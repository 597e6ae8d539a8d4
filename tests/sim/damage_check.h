/*
 * damage_check - what has to become of a damaged store: honest answers to a start and to a reader,
 * writes that are taken, and a repair that makes a sound store of it with everything that was
 * whole. Failures end the test; `what` and `where` name the damage.
 */
#ifndef METRIC_STORE_TESTS_SIM_DAMAGE_CHECK_H
#define METRIC_STORE_TESTS_SIM_DAMAGE_CHECK_H

#include "damage_ask.h"

void expect_honest(const struct world *world, const struct sim_disk *damaged, const char *what,
                   uint64_t where);

/*
 * New samples of old series and of new ones are taken, found, and there after a restart, a flush
 * and merges, and after a repair too: the damage goes on costing what it costs, and nothing of
 * them.
 */
void expect_ingest(const struct world *world, const struct sim_disk *damaged, const char *what,
                   uint64_t where);

/*
 * Damage of an index segment that opens still costs what is written again nothing at all: series
 * that are written after it, with their labels, have their new samples and their old ones, at once,
 * after a crash, a flush and merges, when they are written once more, and after a repair, which has
 * nothing to tell of losses.
 */
void expect_healed(const struct world *world, const struct sim_disk *damaged, const char *what,
                   uint64_t where);

/* The same of damage to a store that is open, which knows its series, and has found it. */
typedef void world_damage(void *context, struct sim_disk *disk);
void expect_healed_while_open(const struct world *world, world_damage *damage, void *context,
                              const char *what, uint64_t where);

/* A delete is refused, or takes all that it says, also what a repair brings to light again. */
void expect_delete(const struct world *world, const struct sim_disk *damaged, const char *what,
                   uint64_t where);

struct told {
    struct engine_repair_result result;
    uint64_t samples; /* that are there afterwards */
    char last[ERROR_MESSAGE_SIZE];
};

MUST_CHECK enum status world_repair(const struct world *world, struct sim_disk *disk,
                                    struct told *told, struct error *err);
/* After a repair the store is sound, complete but for what was told to be lost, and stays so. */
void expect_repair(const struct world *world, const struct sim_disk *damaged, const char *what,
                   uint64_t where, struct told *told);

#endif

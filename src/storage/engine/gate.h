/*
 * gate - who came in before some moment, so that one can tell when all of them have left: an epoch
 * of two generations.
 *
 *   enter, leave   any thread, no lock, no waiting
 *   gate_turn      from now on newcomers are of the other generation; only when the last one is
 *                  empty
 *   gate_is_empty  whether all who came in before the last turn have left
 *   gate_has_any   whether anybody is inside
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_GATE_H
#define METRIC_STORE_STORAGE_ENGINE_GATE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct gate {
    atomic_uint generation;
    atomic_uint inside[2];
};

/* Gives the generation for gate_leave: 1 or 2, so that 0 can mean "not inside". */
static inline uint8_t gate_enter(struct gate *gate)
{
    for (;;) {
        unsigned generation = atomic_load(&gate->generation) & 1;
        atomic_fetch_add(&gate->inside[generation], 1);
        /* A turn in between may have found the generation empty. */
        if ((atomic_load(&gate->generation) & 1) == generation)
            return (uint8_t)(generation + 1);
        atomic_fetch_sub(&gate->inside[generation], 1);
    }
}

/* Sets *generation to 0; does nothing when it is. */
static inline void gate_leave(struct gate *gate, uint8_t *generation)
{
    if (*generation == 0)
        return;
    atomic_fetch_sub(&gate->inside[*generation - 1], 1);
    *generation = 0;
}

static inline bool gate_is_empty(const struct gate *gate)
{
    unsigned before = (atomic_load(&gate->generation) + 1) & 1;
    return atomic_load(&gate->inside[before]) == 0;
}

static inline bool gate_has_any(const struct gate *gate)
{
    return atomic_load(&gate->inside[0]) + atomic_load(&gate->inside[1]) > 0;
}

static inline void gate_turn(struct gate *gate)
{
    atomic_fetch_add(&gate->generation, 1);
}

#endif

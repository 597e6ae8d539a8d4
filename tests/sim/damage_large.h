/*
 * damage_large - a world of thousands of series: days of parts that are hot, merged once and twice,
 * and warm; index segments that are merged, with many pages of definitions, values and keys;
 * deletes that are applied, that wait, and that are only in the log; and a log of several segments.
 */
#ifndef METRIC_STORE_TESTS_SIM_DAMAGE_LARGE_H
#define METRIC_STORE_TESTS_SIM_DAMAGE_LARGE_H

#include "damage_world.h"

enum { LARGE_SERIES = SANITIZED ? 1200 : 2400 };

extern const struct world_kind large_world;
/* As world_make_small. */
void world_make_large(struct world *world, uint64_t seed);

#endif

/*
 * nearest - how far one name is from another, for "did you mean".
 */
#ifndef METRIC_STORE_CONFIG_NEAREST_H
#define METRIC_STORE_CONFIG_NEAREST_H

#include "base/slice.h"

enum { NEAREST_NAME_MAX = 96 };

/* Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`, without
 * regard to case. Both are compared up to NEAREST_NAME_MAX bytes. */
unsigned nearest_distance(struct slice a, struct slice b);

#endif

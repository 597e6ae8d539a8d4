/*
 * nearest - which of some valid names a wrong one was meant to be, for "did you mean".
 *
 *   struct nearest nearest = nearest_to(name, NEAREST_LIKELY);
 *   for each valid name: nearest_offer(&nearest, i, valid);
 *   if (nearest.found) ... nearest.index
 */
#ifndef METRIC_STORE_BASE_NEAREST_H
#define METRIC_STORE_BASE_NEAREST_H

#include <limits.h>

#include "base/slice.h"

enum { NEAREST_NAME_MAX = 96 };

/* How far a name may be to count. */
enum nearest_reach {
    NEAREST_LIKELY = -1,   /* less than half of the name is wrong; else nothing is near */
    NEAREST_SLIPS = 2,     /* a slip or two of the fingers; else nothing is near */
    NEAREST_ANY = INT_MAX, /* the nearest, however far */
};

struct nearest {
    struct slice name; /* borrowed */
    unsigned distance; /* of the nearest so far; before one is found, the first that is too far */
    size_t index;      /* counts only with `found` */
    bool found;
};

struct nearest nearest_to(struct slice name, enum nearest_reach reach);

/* Of those equally near, the one offered first stays. */
void nearest_offer(struct nearest *nearest, size_t index, struct slice valid);

/* Insertions, deletions, replacements and swaps of neighbours that turn `a` into `b`, without
 * regard to case (of ASCII). Both are compared up to NEAREST_NAME_MAX bytes. */
unsigned nearest_distance(struct slice a, struct slice b);

#endif

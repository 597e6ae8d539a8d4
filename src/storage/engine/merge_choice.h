/*
 * merge_choice - which of a day's parts become one part of the next level.
 *
 * A part's level says how many merges it has been through at the most. Neighbours of levels up to L
 * are merged when `fan_in` of them (MERGE_MAX_PARTS from the second merge on) are of level L
 * itself: those of lower levels between them come along, so that none is stranded, and a part of
 * level L + 1 stands for `fan_in` of level L whatever came with them. So each sample is written
 * once by its flush and once a level, and levels grow by the fan-in.
 *
 * Where one part would be more than two thirds of what is written, more of its kind are waited for:
 * a few late samples must not have a day's gigabytes written again.
 *
 * What sizes keep apart that way could go on for ever; so as soon as there are more neighbours than
 * MERGE_PARTS_MAX those that are the least to write become one, whatever they are.
 *
 * Threads: no state.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_MERGE_CHOICE_H
#define METRIC_STORE_STORAGE_ENGINE_MERGE_CHOICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    MERGE_SOURCES_MAX = 64, /* parts that become one, at the most */
    MERGE_MAX_PARTS = 15,   /* those that come along for being small apart */
    MERGE_PARTS_MAX = 64,   /* neighbours that stay, at the most */
};

struct merge_candidate {
    uint64_t bytes;
    uint32_t level;
    bool fixed;      /* is not merged: stands between its neighbours */
    bool gap_before; /* something that is missing stands between it and the one before */
};

/* How many of a day's parts, by sequence, become one, from *start on; 0: all stay. While it is
 * asked again after each merge, at most MERGE_PARTS_MAX (or `fan_in`, if that is more) stay between
 * two that are fixed. */
size_t merge_choose(const struct merge_candidate *parts, size_t count, size_t fan_in,
                    size_t *start);

/* Whether somewhere between two that are fixed there are more than stay once merge_choose has
 * nothing left to do: merges lag behind, and readers suffer more from it than from a merge. Never
 * so of a day of which all stay. */
bool merge_is_behind(const struct merge_candidate *parts, size_t count, size_t fan_in);

#endif

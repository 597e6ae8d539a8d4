/*
 * pieces - blocks of one series out of several parts, put in order of time, and the stretches in
 * which they overlap. Readers and merges share this.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_PIECES_H
#define METRIC_STORE_STORAGE_ENGINE_PIECES_H

#include "storage/engine/part_format.h"

struct piece {
    struct part_block block;
    size_t part; /* the caller's; rises with sequence */
    bool cut;    /* a delete hides some of it; the caller's, false at first */
};

struct pieces {
    struct piece *items;
    size_t count, capacity;
};

/* Heap bytes that pieces_add would take now. */
size_t pieces_growth(const struct pieces *pieces);
MUST_CHECK enum status pieces_add(struct pieces *pieces, const struct part_block *block,
                                  size_t part);
void pieces_release(struct pieces *pieces);

/* Puts [start, end) in order of time, and of part where that is the same. */
void pieces_sort_by_time(struct pieces *pieces, size_t start, size_t end);
/* Of sorted pieces: the end of the run from `start` on in which each overlaps what is before it;
 * *last_ms is the last time of the run. A run of one overlaps nothing. */
size_t pieces_stretch(const struct pieces *pieces, size_t start, int64_t *last_ms);
/* Puts [start, end) in order of part, and of time within a part. */
void pieces_sort_by_part(struct pieces *pieces, size_t start, size_t end);

#endif

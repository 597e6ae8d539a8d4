/*
 * tombstone - a delete that still hides samples: which series, which times, and when it was
 * committed. It hides what was written before it, and nothing that is written later.
 *
 *   parts   those whose cut sequence (manifest.h) is lower than the tombstone's hold samples that
 *           it may hide; parts that were written since do not
 *   heads   have numbers, each higher than those before: of an older head it hides everything; of
 *           the one that was active it remembers how many samples of each series were there
 *
 * Threads: tombstones and their sets never change once they are published; both are counted.
 * Times: ranges are [start, end).
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_TOMBSTONE_H
#define METRIC_STORE_STORAGE_ENGINE_TOMBSTONE_H

#include <roaring/roaring.h>
#include <stdatomic.h>

#include "base/bytes.h"
#include "model/time_range.h"
#include "storage/engine/head.h"

enum { TOMBSTONES_MAX = 1024 };

struct tombstone {
    atomic_uint references;
    uint64_t sequence;
    struct time_range range;
    roaring_bitmap_t *ids;
    uint64_t head;         /* number of the head that was active; 0: no head is that old */
    uint32_t *head_ids;    /* rising: series that had samples there */
    uint32_t *head_counts; /* how many of each */
    size_t head_count;
    size_t bytes; /* of memory */
};

/* Takes `ids`, also on a failure. NULL without memory. */
struct tombstone *tombstone_new(uint64_t sequence, struct time_range range, roaring_bitmap_t *ids);
void tombstone_release(struct tombstone *tombstone); /* accepts NULL */
/* Before it is published: notes what `head`, which nobody appends to meanwhile, holds of it. */
MUST_CHECK enum status tombstone_note_head(struct tombstone *tombstone, const struct head *head,
                                           uint64_t number);

/* By sequence. NULL stands for the empty set everywhere. */
struct tombstone_set {
    atomic_uint references;
    size_t count;
    size_t bytes; /* of all */
    struct tombstone *items[];
};

struct tombstone_set *tombstone_set_acquire(struct tombstone_set *set);
void tombstone_set_release(struct tombstone_set *set);
/* Gives a set of the same and of `more`, each with a reference of its own. NULL without memory. */
struct tombstone_set *tombstone_set_add(const struct tombstone_set *set,
                                        struct tombstone *const *more, size_t count);
/* Replaces *set, whose reference it takes over, by one with the delete of a record (record.h) too,
 * unless it has that already. On CORRUPT and MEMORY *set stays. */
MUST_CHECK enum status tombstone_set_take_record(struct tombstone_set **set, struct slice record,
                                                 struct error *err);
/* Gives *without: the same but those that `gone` names by their places. MEMORY. */
MUST_CHECK enum status tombstone_set_remove(const struct tombstone_set *set, const bool *gone,
                                            struct tombstone_set **without);

/* ---- what is hidden --------------------------------------------------------------------- */

/*
 * The tombstones that may hide something in a range, asked series by series, in any order.
 * Borrows the set.
 */
struct cuts {
    struct tombstone **items; /* by sequence */
    size_t count;
    roaring_bitmap_t *any;     /* all of their series; NULL: there are none */
    struct tombstone **series; /* of the series in hand */
    size_t series_count;
    uint32_t id;
};

/* Of those up to `max_sequence`. Ended by cuts_release, also after a failure. */
MUST_CHECK enum status cuts_init(struct cuts *cuts, const struct tombstone_set *set,
                                 struct time_range range, uint64_t max_sequence);
void cuts_release(struct cuts *cuts);
/* Puts a series in hand: what follows is about it. */
void cuts_take(struct cuts *cuts, uint32_t id);

enum cut { CUT_NOTHING, CUT_SOME, CUT_ALL };

/* What is hidden of samples from first_ms to last_ms, both included, in a part with this cut
 * sequence. */
enum cut cuts_of_block(const struct cuts *cuts, uint64_t sequence, int64_t first_ms,
                       int64_t last_ms);
/* Takes out what is hidden of samples from such a part. Returns how many are left. */
size_t cuts_apply(const struct cuts *cuts, uint64_t sequence, int64_t *times, double *values,
                  size_t count);

/* How many of the first samples of the series in hand, in the order they were written to the head
 * of this number, the tombstone cuts. */
uint32_t tombstone_cuts_of_head(const struct tombstone *tombstone, uint64_t number, uint32_t id);
/* Whether anything of the series in hand may be hidden in that head. */
bool cuts_touch_head(const struct cuts *cuts, uint64_t number);
/* Whether the sample that was written `place` others after the first to that head is hidden. */
bool cuts_hide_in_head(const struct cuts *cuts, uint64_t number, uint32_t place, int64_t time_ms);
/* As head_copy, without what is hidden; scratch for twice entry.count is needed. */
size_t cuts_copy_head(const struct cuts *cuts, uint64_t number, const struct head *head,
                      struct head_entry entry, struct time_range range, struct head_sample *scratch,
                      int64_t *times, double *values);

#endif

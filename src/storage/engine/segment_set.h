/*
 * segment_set - the series segments of a store as of one moment. An id stands in two of them only
 * where the older one's definition could not be read when its series was written again: then the
 * newer one counts, and both say the same.
 *
 * Sets and segments are counted: whoever reads holds a set; a segment that was merged away loses
 * its file when the last set that has it goes.
 *
 * Threads: counts are atomic; a set never changes.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_SEGMENT_SET_H
#define METRIC_STORE_STORAGE_ENGINE_SEGMENT_SET_H

#include <stdatomic.h>

#include "storage/engine/manifest.h"
#include "storage/engine/series_segment.h"

struct segment_ref {
    atomic_uint references;
    struct series_segment *segment;
    struct manifest_segment info;
    struct os os;
    char *path;
    uint64_t logged_until;  /* the log defines its series below this position, or not at all */
    atomic_bool doomed;     /* its file goes with the last reference */
    atomic_bool unreadable; /* a merge found damage: it is left as it is */
};

struct segment_set {
    atomic_uint references;
    struct segment_ref **segments; /* by id of the file: the newest last */
    size_t count;
    uint64_t series; /* each once */
    bool shared;     /* some stand in two of them */
    size_t memory;   /* anonymous, in bytes */
};

/* Opens the segment's file. */
MUST_CHECK enum status segment_ref_open(struct segment_ref **ref, struct os os, const char *dir,
                                        const struct manifest_segment *info, struct error *err);
void segment_ref_release(struct segment_ref *ref); /* accepts NULL */

/* Of nothing. NULL without memory. */
struct segment_set *segment_set_new(void);
struct segment_set *segment_set_acquire(struct segment_set *set);
void segment_set_release(struct segment_set *set); /* accepts NULL */

/* The set without `removed` and with `added` (may be NULL); takes references of its own. NULL
 * without memory. */
struct segment_set *segment_set_replace(const struct segment_set *set,
                                        struct segment_ref *const *removed, size_t removed_count,
                                        struct segment_ref *added);

/*
 * The series with these canonical labels, of which `key` is the key; NOT_FOUND when no segment has
 * it. Where the page that would name the key is damaged, which *damage then says (its status is
 * CORRUPT), the pairs of the labels are asked instead, and the definitions; CORRUPT when these
 * cannot tell either. *defined is false where the key leads to a definition that cannot be read:
 * *damage says so too.
 */
MUST_CHECK enum status segment_set_find(const struct segment_set *set, const struct labels *labels,
                                        struct series_key key, uint32_t *id, bool *defined,
                                        struct error *damage, struct error *err);
/* Whether the definition of `id` in a segment may be read, as far as is known. */
bool segment_set_may_define(const struct segment_set *set, uint32_t id);
/* The newest that defines `id`; NULL when none does. */
struct series_segment *segment_set_with(const struct segment_set *set, uint32_t id);
/* metrics[i] of ids[i], which rise; of those that are in no segment it stays as it was. */
MUST_CHECK enum status segment_set_metrics_of(const struct segment_set *set, const uint32_t *ids,
                                              size_t count, uint32_t *metrics, struct error *err);

/* Definitions out of a set, with a page of each segment at hand. */
struct segment_labels {
    struct segment_set *set; /* held */
    struct series_segment_cursor **cursors;
};

MUST_CHECK enum status segment_labels_open(struct segment_labels *labels, struct segment_set *set,
                                           struct error *err);
void segment_labels_close(struct segment_labels *labels);
/* Borrowed until the next call. NOT_FOUND when no segment of the set has it; CORRUPT when none that
 * has it can be read. */
MUST_CHECK enum status segment_labels_read(struct segment_labels *labels, uint32_t id,
                                           struct series_definition *definition, struct error *err);

#endif

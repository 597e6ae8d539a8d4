/*
 * version - what a reader sees: the heads and the parts as of one moment.
 *
 * Versions, heads and parts are counted: a query holds a version, a version its heads and parts.
 * What the newest version no longer has goes when the last query that sees it ends; a part that was
 * replaced then loses its file.
 *
 * Threads: counts are atomic; a version never changes once it is published. Taking the newest one
 * is no lock and no waiting (version_slot_acquire): merges and drops publish beside running
 * readers, and wait the few instructions between the look at the pointer and the count.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_VERSION_H
#define METRIC_STORE_STORAGE_ENGINE_VERSION_H

#include <stdatomic.h>

#include "os/os.h"
#include "storage/engine/gate.h"
#include "storage/engine/head.h"
#include "storage/engine/manifest.h"
#include "storage/engine/part_reader.h"
#include "storage/engine/tombstone.h"

static inline struct part_identity manifest_part_identity(const struct manifest_part *part)
{
    return (struct part_identity){
        .id = part->id,
        .day = part->day,
        .min_sequence = part->min_sequence,
        .max_sequence = part->max_sequence,
        .level = part->level,
    };
}

/* Tombstones up to this sequence hide nothing in the part. */
static inline uint64_t manifest_part_cut_sequence(const struct manifest_part *part)
{
    return part->cleaned > part->max_sequence ? part->cleaned : part->max_sequence;
}

struct head_ref {
    atomic_uint references;
    struct head *head;
    uint64_t number; /* each head's is higher than those before */
    uint64_t first_sequence, last_sequence;
    /* Some were committed while it was active, the first at this time (monotonic); with
     * append_lock. */
    bool has_deletes;
    int64_t deletes_ns;
    /* Of the log: it holds what lies between, the end once it is sealed. */
    uint64_t begin_position, end_position;
};

struct part_ref {
    atomic_uint references;
    struct part *part;
    struct manifest_part info;
    struct os os;
    char *path;
    atomic_bool doomed; /* its file goes with the last reference */
    int64_t since_ns;   /* monotonic: when its oldest samples were flushed; 0: before the start */
    atomic_bool unreadable; /* a merge found damage: it is left as it is */
};

struct version {
    atomic_uint references;
    struct head_ref *active;
    struct head_ref *sealed; /* or NULL; older than all of active */
    size_t part_count;
    struct tombstone_set *tombstones; /* NULL: none */
    /* Up to it, tombstones are on disk beside the parts, and what is in parts was committed. */
    uint64_t flushed_sequence;
    struct part_ref *parts[]; /* by (day, min_sequence) */
};

MUST_CHECK enum status head_ref_new(struct head_ref **ref, size_t max_bytes, uint64_t number);
void head_ref_release(struct head_ref *ref); /* accepts NULL */

/* Opens the part. */
MUST_CHECK enum status part_ref_open(struct part_ref **ref, struct os os, const char *dir,
                                     const struct part_commons *commons,
                                     const struct manifest_part *info, struct error *err);
struct part_ref *part_ref_acquire(struct part_ref *ref);
void part_ref_release(struct part_ref *ref); /* accepts NULL */

/* Room for a version of that many parts: what follows cannot fail. NULL without memory. Ended by
 * version_fill, or by free. */
struct version *version_reserve(size_t part_count);
/* Takes its own references on heads, parts and tombstones. */
void version_fill(struct version *version, struct head_ref *active, struct head_ref *sealed,
                  struct part_ref *const *parts, size_t part_count,
                  struct tombstone_set *tombstones);
/* Both. NULL without memory. */
struct version *version_new(struct head_ref *active, struct head_ref *sealed,
                            struct part_ref *const *parts, size_t part_count,
                            struct tombstone_set *tombstones);
struct version *version_acquire(struct version *version);
void version_release(struct version *version); /* accepts NULL */

/* The first of its parts whose day is not before `day`; part_count: there is none. */
size_t version_first_part(const struct version *version, int64_t day);

/* The newest version, in one place. */
struct version_slot {
    _Atomic(struct version *) newest;
    struct gate readers; /* between the look at `newest` and its count */
};

/* Any thread, no lock; the caller's own reference. */
struct version *version_slot_acquire(struct version_slot *slot);
/* Borrowed; only where version_slot_replace is shut out. */
static inline struct version *version_slot_borrow(const struct version_slot *slot)
{
    return atomic_load_explicit(&slot->newest, memory_order_relaxed);
}
/* Takes over the reference on `version` (NULL: the end); gives the one on that before it, for
 * version_release. One thread at a time. */
MUST_CHECK struct version *version_slot_replace(struct version_slot *slot, struct version *version);

#endif

/*
 * flush_index - the index's share of a flush: new series become a segment, changed descriptors
 * another one, and which series are active a third.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_FLUSH_INDEX_H
#define METRIC_STORE_STORAGE_ENGINE_FLUSH_INDEX_H

#include "storage/engine/engine_internal.h"

struct index_flush {
    struct segment_ref *series; /* the sealed table; NULL: it had no series */
    uint64_t metrics;           /* file of descriptors; 0: nothing has changed */
    uint64_t deletes;           /* file of tombstones; likewise */
    uint64_t activity;          /* file of active series */
    uint64_t *replaced;         /* files that the edit removes */
    size_t replaced_count;
};

/* `version` has the sealed head. Writes and syncs the files, and adds them to `edit`. Ended by
 * index_flush_done after the edit was committed, or by index_flush_undo, also after a failure here.
 */
MUST_CHECK enum status index_flush_write(struct engine *engine, struct index_flush *flush,
                                         const struct version *version, struct manifest_edit *edit,
                                         struct error *err);
/* Likewise, of tombstones alone: the edit replaces those on disk by `set`, all of which are
 * flushed. */
MUST_CHECK enum status index_flush_deletes(struct engine *engine, struct index_flush *flush,
                                           const struct tombstone_set *set,
                                           uint64_t flushed_sequence, struct manifest_edit *edit,
                                           struct error *err);
void index_flush_done(struct engine *engine, struct index_flush *flush);
/* `keep_files`: the edit may be on disk. */
void index_flush_undo(struct engine *engine, struct index_flush *flush, bool keep_files);

#endif

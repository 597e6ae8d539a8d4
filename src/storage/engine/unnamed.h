/*
 * unnamed - files under parts/ and index/ that the manifest does not name.
 *
 * As a rule a crash left them: one that was being made, or one whose successor counts already. But
 * where edits of the manifest are lost they may be all that is left of somebody's samples. A state
 * of which every file is there, with a log that is whole from its position on, lacks nothing,
 * however many edits came later: then they are leftovers. Otherwise nobody knows.
 *
 * Threads: at start, at a repair, and in verify: nobody else has the store open for writing.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_UNNAMED_H
#define METRIC_STORE_STORAGE_ENGINE_UNNAMED_H

#include "storage/engine/manifest.h"

struct unnamed_ids {
    uint64_t *ids; /* rising */
    size_t count;
};

struct unnamed {
    struct unnamed_ids parts, segments;
    uint64_t next_file;   /* above the ids of all files that there are */
    bool missing_segment; /* the manifest names one of the index that is not there */
    bool missing_part;
};

/* Ended by unnamed_release, also after a failure. A folder that is not there has no files. */
MUST_CHECK enum status unnamed_list(struct unnamed *unnamed, struct os os, const char *dir,
                                    const struct manifest_state *state, struct error *err);
void unnamed_release(struct unnamed *unnamed);
static inline size_t unnamed_count(const struct unnamed *unnamed)
{
    return unnamed->parts.count + unnamed->segments.count;
}

/* *lacks: a file that the state names is not there, or the log behind it is not whole. */
MUST_CHECK enum status unnamed_state_lacks(struct os os, const char *dir,
                                           const struct manifest_state *state, bool *lacks,
                                           struct error *err);
/* *lost: the manifest says so itself, or the state lacks something, so that unnamed files may be
 * what edits that are lost have named. Reads the log where it comes to that. */
MUST_CHECK enum status unnamed_may_count(const struct unnamed *unnamed, struct os os,
                                         const char *dir, const struct manifest_state *state,
                                         bool *lost, struct error *err);

/* They are leftovers: removes them. */
MUST_CHECK enum status unnamed_remove(const struct unnamed *unnamed, struct os os, const char *dir,
                                      struct error *err);

#endif

/*
 * adopt - files that the manifest does not name, taken in where edits of it are lost.
 *
 * Files say themselves what they are: a part its day and the commits that it holds, a segment of
 * the index its series. One whose commits or series no other file has is taken in. What is made of
 * other files has a higher id than they have, so newer ones are looked at first, and one that was
 * merged into another is left. One that the manifest does name gives way to a newer one that is
 * whole and holds all that it holds: that was made of it, whether it came to count or not. Of
 * descriptors, and of deletes, the newest segment says all.
 *
 * What is taken in may bring back what lost edits had dropped or deleted, never anything that
 * nobody wrote: ids of series, and sequences, go on above those of all files that there are.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_ADOPT_H
#define METRIC_STORE_STORAGE_ENGINE_ADOPT_H

#include "storage/engine/manifest.h"
#include "storage/engine/unnamed.h"

struct adoption {
    struct os os;
    const char *dir;
    const struct manifest_state *state; /* borrowed, as what follows */
    const struct unnamed *unnamed;
    bool whole_only; /* index segments that are damaged stay out: nobody will mend them now */
    /* Called for each file: what it brings, or NULL where it is left. Anything but OK ends it. */
    enum status (*decided)(void *context, const char *path, const char *brings, struct error *err);
    void *context;
};

/* Adds to `edit` what takes the files in, with sequences and ids that are free; *taken: how many.
 * The next file is the caller's to say. */
MUST_CHECK enum status adopt_files(const struct adoption *adoption, struct manifest_edit *edit,
                                   size_t *taken, struct error *err);

#endif

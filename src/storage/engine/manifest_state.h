/*
 * manifest_state - what an edit's bytes do to a manifest's state; private to the manifest.
 *
 * Threads: one at a time.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_MANIFEST_STATE_H
#define METRIC_STORE_STORAGE_ENGINE_MANIFEST_STATE_H

#include "storage/engine/manifest.h"

/* Bytes of one edit. */
enum { MANIFEST_PAYLOAD_MAX = 64 * 1024 * 1024 };

/* Applies the whole payload or, on a failure, nothing. CORRUPT, UNSUPPORTED, MEMORY. */
MUST_CHECK enum status manifest_state_apply(struct manifest_state *state, struct slice payload,
                                            struct error *err);
/* Whether it begins by saying what the store is. */
bool manifest_names_store(struct slice payload);
/* An edit that makes this state out of nothing. */
void manifest_put_state(struct manifest_edit *edit, const struct manifest_state *state);
/* Makes the edit `count` bytes longer, which say nothing. */
void manifest_fill(struct manifest_edit *edit, size_t count);

#endif

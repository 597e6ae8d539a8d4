/*
 * part_index - the page indexes of many parts, as many as there is memory for.
 *
 * An index is read when a cursor of its part needs it, and stays while the bound allows: those go
 * first that nobody has used for longest. What a cursor holds stays, so that nothing fails because
 * the bound is reached; then cursors give back what they hold as soon as they are through with a
 * series. An index that is damaged is made anew out of the part's pages, which takes a walk over
 * the whole file: such a one, and what opening a part has found in this way, stays as long as its
 * part.
 *
 * Threads: any. No lock is held while a file is read, but one for the same index.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_PART_INDEX_H
#define METRIC_STORE_STORAGE_ENGINE_PART_INDEX_H

#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct part_indexes; /* opaque */

/* Called, with no lock held, for an index that turned out to be damaged and was made anew: the
 * error names the part, and is borrowed. */
typedef void part_index_damage(void *context, const struct error *why);

/* `max_bytes` 0: no bound. `damage` may be NULL. NULL without memory. Ended by part_indexes_free,
 * after all parts that were opened with it. */
struct part_indexes *part_indexes_new(size_t max_bytes, part_index_damage *damage, void *context);
void part_indexes_free(struct part_indexes *indexes); /* accepts NULL */

struct part_indexes_stats {
    uint64_t bytes; /* of indexes, held or not */
    uint64_t loads, evictions;
};

void part_indexes_stats(struct part_indexes *indexes, struct part_indexes_stats *stats);

#endif

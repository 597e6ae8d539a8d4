/*
 * overrides - which metrics have other limits than the general ones: an ordered list of patterns of
 * names, of which the first that matches holds.
 *
 * Those that name one metric stand in a hash table, so a list of names alone costs one probe; globs
 * and regular expressions are tried one after the other, up to the first that matches. The caller
 * keeps what it found for a metric, as long as it keeps the list.
 *
 * Threads: read-only once made, so any may read.
 */
#ifndef METRIC_STORE_ADMISSION_OVERRIDES_H
#define METRIC_STORE_ADMISSION_OVERRIDES_H

#include "admission/admission.h"

struct overrides; /* opaque */

/*
 * Of `count` items, at most ADMISSION_OVERRIDES_MAX, which are copied, their texts too. Gives
 * *overrides, ended by overrides_free; on failure it is NULL.
 *   INVALID  a pattern that is none, or too many; the message says which
 *   LIMIT    a regular expression that is too large
 *   MEMORY
 */
MUST_CHECK enum status overrides_new(struct overrides **overrides,
                                     const struct admission_override *items, size_t count,
                                     struct error *err);
void overrides_free(struct overrides *overrides); /* accepts NULL */

/* The first that matches the metric's name, or NULL; lives as long as the list. `overrides` may be
 * NULL: the list of none. */
const struct admission_override *overrides_find(const struct overrides *overrides,
                                                struct slice name);

#endif

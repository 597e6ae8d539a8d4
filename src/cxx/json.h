/*
 * json - where the tokens of a JSON text begin, found at memory speed by simdjson.
 *
 * simdjson's first stage only: it checks that the text is well-formed UTF-8, that every string is
 * closed and that no string holds a bare control character, and gives the offset of each token
 * outside strings: { } [ ] : , an opening quote, or the first byte of anything else that is not
 * white space. It does not look at grammar. Nothing is copied and no padding is needed after the
 * text.
 *
 * Threads: one at a time for each index.
 */
#ifndef METRIC_STORE_CXX_JSON_H
#define METRIC_STORE_CXX_JSON_H

#include "base/slice.h"
#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct json_index; /* opaque */

/* NULL when the heap is exhausted. */
struct json_index *json_index_new(void);
void json_index_free(struct json_index *index);

/*
 * Indexes `text`, whose size is at most UINT32_MAX / 2. *offsets has *count entries and one more,
 * text.size, after them; it belongs to the index and holds until its next call. Memory grows to
 * four times the largest text seen; json_index_trim gives it back.
 *   INVALID  not UTF-8, an unclosed string, or a control character in a string
 *   MEMORY
 */
MUST_CHECK enum status json_index_build(struct json_index *index, struct slice text,
                                        const uint32_t **offsets, size_t *count);

/* Frees what the index holds if it is made for texts of more than `size` bytes. */
void json_index_trim(struct json_index *index, size_t size);

#ifdef __cplusplus
}
#endif

#endif

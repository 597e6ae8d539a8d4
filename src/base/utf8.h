/*
 * utf8 - is a run of bytes well-formed UTF-8 (RFC 3629: no surrogates, no overlong forms)?
 */
#ifndef METRIC_STORE_BASE_UTF8_H
#define METRIC_STORE_BASE_UTF8_H

#include "base/slice.h"

bool utf8_valid(struct slice text);

/* The length of the well-formed character at `offset` (< text.size); 0 where there is none. */
size_t utf8_char_size(struct slice text, size_t offset);

/* The largest prefix length <= `max` that does not cut a character of well-formed `text`. */
size_t utf8_prefix(struct slice text, size_t max);

#endif

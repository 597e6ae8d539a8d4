/*
 * json_text - text as JSON has it (RFC 8259), for small documents that are put together by hand.
 */
#ifndef METRIC_STORE_BASE_JSON_TEXT_H
#define METRIC_STORE_BASE_JSON_TEXT_H

#include "base/bytes.h"

/* Appends `text` as a string with its quotes; what is no UTF-8 becomes U+FFFD, byte by byte.
 * LIMIT or MEMORY of `to`. */
MUST_CHECK enum status json_append_string(struct bytes *to, struct slice text);

#endif

/*
 * cursor - where the next page begins: the labels of the last series (or group) of this one.
 *
 * Text: base64url without padding (RFC 4648, 5) of
 *   kind byte, canonical encoding of the labels, CRC32C of both (little-endian)
 * so that a cursor which was cut, or which belongs to another kind of query, is refused.
 */
#ifndef METRIC_STORE_QUERY_PARSE_CURSOR_H
#define METRIC_STORE_QUERY_PARSE_CURSOR_H

#include "base/arena.h"
#include "base/bytes.h"
#include "model/labels.h"

enum cursor_kind { CURSOR_SERIES = 1, CURSOR_GROUP = 2 };

/* Appends the text. */
MUST_CHECK enum status cursor_encode(enum cursor_kind kind, const struct labels *labels,
                                     struct bytes *text);

/* INVALID when it is not a cursor of `kind`; LIMIT and MEMORY of the arena, where the labels go. */
MUST_CHECK enum status cursor_decode(enum cursor_kind kind, struct slice text, struct arena *arena,
                                     struct labels *labels, struct error *err);

#endif

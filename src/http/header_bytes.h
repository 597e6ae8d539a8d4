/*
 * header_bytes - the bytes of a request's header where libmicrohttpd keeps them.
 *
 * It ends a method, a target, a name or a value at a byte 0 that a client has sent, and forgets
 * what follows: another request than the one that was sent. It keeps a header in one piece, in the
 * order in which it came, with zeros where lines, names and values end: whatever else stands
 * between two of them was cut off.
 */
#ifndef METRIC_STORE_HTTP_HEADER_BYTES_H
#define METRIC_STORE_HTTP_HEADER_BYTES_H

#include <stdbool.h>
#include <stddef.h>

/* Whether anything stands between what ends at `end` and `next`, which are at most `max` bytes
 * apart; false where they are not in that order: versions that refuse such bytes themselves, or
 * move what they join, have it elsewhere. */
bool header_is_cut(const char *end, const char *next, size_t max);

/* Whether it may be the name of a header. */
bool header_is_token(const char *text, size_t size);

#endif

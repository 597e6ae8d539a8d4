/*
 * content_encoding - the codings of Content-Encoding and Accept-Encoding: gzip (RFC 1952), deflate
 * (zlib, RFC 1950, and the raw RFC 1951 that some clients mean by it), zstd (RFC 8878).
 *
 * Decoding gives the whole body in one buffer. Sizes are checked before they are allocated, and
 * nothing is decoded past the buffer's maximum: memory stays under that maximum whatever the bytes
 * declare. Frames and members that follow each other are one body, as the RFCs have it; anything
 * else behind them is refused.
 */
#ifndef METRIC_STORE_HTTP_CONTENT_ENCODING_H
#define METRIC_STORE_HTTP_CONTENT_ENCODING_H

#include "base/bytes.h"
#include "http/body_buffer.h"

enum http_coding {
    HTTP_CODING_IDENTITY,
    HTTP_CODING_GZIP,
    HTTP_CODING_ZSTD,
    HTTP_CODING_DEFLATE,
    HTTP_CODING_SNAPPY,
};

/* The token of a header; "" for identity. */
const char *http_coding_name(enum http_coding coding);

/*
 * Reads a Content-Encoding of at most one coding besides identity.
 *   UNSUPPORTED  an unknown coding, or more than one
 */
MUST_CHECK enum status http_coding_parse(struct slice header, enum http_coding *coding,
                                         struct error *err);

/* The coding that the client likes best of gzip, zstd and identity; zstd before gzip where it does
 * not care, identity where it accepts nothing else. */
enum http_coding http_coding_choose(struct slice accept_encoding);

/*
 * Decodes gzip, zstd or deflate into the empty `decoded`, trimmed.
 *   INVALID  damaged, cut off, or followed by something else
 *   LIMIT    would be larger than the buffer's maximum
 *   BUSY, MEMORY  see body_buffer.h
 */
MUST_CHECK enum status http_decode(enum http_coding coding, struct slice encoded,
                                   struct body_buffer *decoded, struct error *err);

/* --- Encoding, piece by piece. */

struct http_encoder; /* opaque */

/* NULL without heap. `coding` is gzip or zstd. */
struct http_encoder *http_encoder_new(enum http_coding coding);
void http_encoder_free(struct http_encoder *encoder); /* accepts NULL */

enum http_encode_end {
    HTTP_ENCODE_MORE,  /* may hold bytes back */
    HTTP_ENCODE_FLUSH, /* all so far can be decoded */
    HTTP_ENCODE_LAST,
};

/* Appends to `to`. LIMIT and MEMORY as bytes_append; the encoder is of no more use then. */
MUST_CHECK enum status http_encode(struct http_encoder *encoder, struct slice piece,
                                   enum http_encode_end end, struct bytes *to);

#endif

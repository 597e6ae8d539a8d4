/*
 * problem - errors as RFC 9457 documents, and as the bytes of a whole answer for the moments when
 * libmicrohttpd takes none from us (a header or a body under way).
 */
#ifndef METRIC_STORE_HTTP_PROBLEM_H
#define METRIC_STORE_HTTP_PROBLEM_H

#include "http/http.h"

enum { PROBLEM_MAX_SIZE = 1 << 20 };

/* "Bad Request", ... */
const char *problem_title(unsigned status);

/* Appends the document. LIMIT, MEMORY as bytes_append. */
MUST_CHECK enum status problem_render(struct bytes *to, const struct http_problem *problem,
                                      struct slice request_id);

/* Appends a whole HTTP/1.1 answer that closes the connection. */
MUST_CHECK enum status problem_render_answer(struct bytes *to, const struct http_problem *problem,
                                             struct slice request_id);

#endif

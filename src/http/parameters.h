/*
 * parameters - what stands in a URL or a form: percent-encoding, name=value pairs.
 */
#ifndef METRIC_STORE_HTTP_PARAMETERS_H
#define METRIC_STORE_HTTP_PARAMETERS_H

#include "http/http.h"

/* Decodes %XX; `plus` makes '+' a space. The result lies in the arena, or is `text` itself where
 * nothing needed decoding. INVALID: '%' without two hexadecimal digits. */
MUST_CHECK enum status parameter_decode(struct arena *arena, struct slice text, bool plus,
                                        struct slice *decoded, struct error *err);

/*
 * "a=1&b&a=2" -> fields in that order; a name without '=' has an empty value, empty pairs are
 * dropped. Borrows from `text`.
 *   LIMIT    more than `max` fields, or the arena's maximum
 *   INVALID  see parameter_decode
 */
MUST_CHECK enum status parameters_parse(struct arena *arena, struct slice text, size_t max,
                                        struct http_fields *fields, struct error *err);

#endif

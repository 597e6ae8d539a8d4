/*
 * json_text - the scalars of JSON (RFC 8259): strings and numbers.
 *
 * A *quoted* slice is a string as it stands, from its opening quote to its closing one.
 */
#ifndef METRIC_STORE_PROTOCOLS_JSON_TEXT_H
#define METRIC_STORE_PROTOCOLS_JSON_TEXT_H

#include "base/arena.h"
#include "base/slice.h"
#include "base/status.h"

/* Why a text is not JSON. */
struct json_fault {
    enum status status; /* INVALID, LIMIT or MEMORY; STATUS_OK: no fault */
    const char *code;   /* static */
    const char *what;   /* static */
    const uint8_t *at;
};

/*
 * The closing quote of the string whose opening quote is at `at`, looking no further than `end`.
 * NULL and *fault at an escape that JSON does not have or that names half a surrogate pair, a
 * control character, or the end. Does not check UTF-8.
 */
const uint8_t *json_string_end(const uint8_t *at, const uint8_t *end, struct json_fault *fault);

/* Whether every string in `text`, which begins outside of strings, is one that json_string_end
 * accepts. */
bool json_strings_check(struct slice text, struct json_fault *fault);

/* The text of a quoted string that json_string_end accepted: borrowed where nothing is escaped,
 * else in `arena`; data is NULL where that has no room. */
struct slice json_string_text(struct slice quoted, struct arena *arena);

enum json_number {
    JSON_NUMBER_OK,
    JSON_NUMBER_INVALID,  /* not a number of JSON's grammar */
    JSON_NUMBER_OVERFLOW, /* its magnitude is beyond double */
};

/* The double nearest to `text`. */
enum json_number json_number_parse(struct slice text, double *value);

/* An integer, also written "1.7e12" or "5.0". INVALID when it is not integral, OVERFLOW when it is
 * beyond 64 bits. */
enum json_number json_integer_parse(struct slice text, int64_t *value);

#endif

/*
 * name_pattern - which metrics, or which labels, a setting is about: a pattern of their names.
 *
 *   http_requests_total   that name
 *   http_*_total          a glob: `*` any run of characters, also none; `?` one character
 *   ~(http|grpc)_.*       an RE2 regular expression that matches the whole name
 *   \~odd\*               a backslash takes the special meaning of the character behind it
 *
 * Threads: many may match at once.
 */
#ifndef METRIC_STORE_MODEL_NAME_PATTERN_H
#define METRIC_STORE_MODEL_NAME_PATTERN_H

#include "base/slice.h"
#include "base/status.h"

enum {
    NAME_PATTERN_MAX_SIZE = 1024,           /* bytes as written */
    NAME_PATTERN_REGEX_MEMORY = 128 * 1024, /* of a regular expression, matching included */
};

enum name_pattern_kind { NAME_PATTERN_EXACT, NAME_PATTERN_GLOB, NAME_PATTERN_REGEX };

struct regex;

struct name_pattern {
    enum name_pattern_kind kind;
    struct slice text;   /* own: a name without its backslashes, a glob as written; else none */
    struct regex *regex; /* or NULL */
};

/* `text` is UTF-8. On failure *pattern needs no release.
 *   INVALID  no text, a backslash with nothing behind it, or RE2's reason
 *   LIMIT    too long, or a regular expression that takes too much
 *   MEMORY */
MUST_CHECK enum status name_pattern_init(struct name_pattern *pattern, struct slice text,
                                         struct error *err);
void name_pattern_release(struct name_pattern *pattern);

bool name_pattern_matches(const struct name_pattern *pattern, struct slice name);

/* ---- the list of a setting -------------------------------------------------------------- */

enum { NAME_PATTERNS_MAX = 256 };

/* One of zeros is empty. */
struct name_patterns {
    size_t count;
    struct name_pattern *items;
    char **texts; /* as written */
};

/* Of `count` texts, at most NAME_PATTERNS_MAX, which are copied. `what` is what messages call one
 * of them, and say which. On failure *patterns is empty. Errors as of name_pattern_init, and
 * INVALID for too many. */
MUST_CHECK enum status name_patterns_init(struct name_patterns *patterns, const char *const *texts,
                                          size_t count, const char *what, struct error *err);
void name_patterns_release(struct name_patterns *patterns);

#endif

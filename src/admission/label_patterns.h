/*
 * label_patterns - which labels' names tell that there is no end of their values, and what is to be
 * done about it.
 *
 * The operator's list comes first, in its order; the first that matches holds. A pattern
 * (model/name_pattern.h) is held against the name as it is and against its words: userId, UserID,
 * user-id and user.id are user_id, so `user_id` matches them all, and `*_id` too.
 *
 * Behind the list stand names that we know, as the last words of a name: http_request_id ends in
 * request_id, but request_id_type is about something else. Some words are also known without what
 * parts them: requestid. The table is in label_patterns.c; `*` with action off, at the end of the
 * operator's list, does without it.
 *
 * Threads: read-only once made, so any may read.
 */
#ifndef METRIC_STORE_ADMISSION_LABEL_PATTERNS_H
#define METRIC_STORE_ADMISSION_LABEL_PATTERNS_H

#include "model/name_pattern.h"

enum { LABEL_PATTERNS_MAX = NAME_PATTERNS_MAX, LABEL_WORDS_MAX_SIZE = 128 };

enum label_action {
    LABEL_ACTION_OFF,    /* nothing is looked for, neither by name nor by shape */
    LABEL_ACTION_WARN,   /* a finding is told */
    LABEL_ACTION_REJECT, /* and new series that have the label are refused */
};

enum label_telling {
    LABEL_TELLS_NOTHING,
    LABEL_TELLS_OPEN,     /* often without end, often not: path, url, query, ip, uuid, ... */
    LABEL_TELLS_IDENTITY, /* a person, a request, an instant: user_id, trace_id, email, ... */
};

struct label_pattern {
    const char *match;
    enum label_action action;
};

struct label_verdict {
    enum label_telling telling;
    enum label_action action;
    const char *pattern; /* the one that matched, the operator's or ours; NULL: none. Lives as long
                          * as the patterns */
};

struct label_patterns; /* opaque */

/*
 * Of `count` items, at most LABEL_PATTERNS_MAX, which are copied, their texts too. Gives *patterns,
 * ended by label_patterns_free; on failure it is NULL.
 *   INVALID  a pattern that is none, or too many; the message says which
 *   LIMIT    a regular expression that is too large
 *   MEMORY
 */
MUST_CHECK enum status label_patterns_new(struct label_patterns **patterns,
                                          const struct label_pattern *items, size_t count,
                                          struct error *err);
void label_patterns_free(struct label_patterns *patterns); /* accepts NULL */

/* `patterns` may be NULL: what we know alone. What the operator's list names with warn or reject
 * tells of an identity. */
struct label_verdict label_patterns_find(const struct label_patterns *patterns, struct slice name);

/* The name's words, in lower case, with `_` between: what patterns match too. Of a name whose words
 * do not fit, nothing (size 0). The result borrows `to`. */
struct slice label_words(struct slice name, uint8_t to[LABEL_WORDS_MAX_SIZE]);

#endif

/*
 * matcher - one condition on a label: =, !=, =~, !~. A regular expression is anchored at both ends
 * and runs in linear time (RE2). An absent label has the empty value.
 */
#ifndef METRIC_STORE_MODEL_MATCHER_H
#define METRIC_STORE_MODEL_MATCHER_H

#include "base/arena.h"
#include "base/slice.h"
#include "base/status.h"
#include "model/labels.h"

struct regex; /* cxx/regex.h */

enum matcher_type { MATCH_EQUAL, MATCH_NOT_EQUAL, MATCH_REGEX, MATCH_NOT_REGEX };

enum { REGEX_MAX_SIZE = 1024, MATCHERS_MAX_COUNT = 64 };

struct matcher {
    enum matcher_type type;
    struct slice name;
    struct slice value;
    struct regex *regex; /* with the two regex types */
};

/* A conjunction: every matcher holds. */
struct matchers {
    struct matcher *items;
    size_t count;
};

/* Copies name and value into `arena` and compiles; ended by matcher_release (arena memory stays).
 *   INVALID  a regular expression that does not parse; the message says where
 *   LIMIT    longer than REGEX_MAX_SIZE, or too large compiled */
MUST_CHECK enum status matcher_init(struct matcher *matcher, enum matcher_type type,
                                    struct slice name, struct slice value, struct arena *arena,
                                    struct error *err);
void matcher_release(struct matcher *matcher);
void matchers_release(struct matchers *matchers);

bool matcher_matches_value(const struct matcher *matcher, struct slice value);
/* Whether the empty value matches, i.e. a series without that label. */
bool matcher_matches_empty(const struct matcher *matcher);
bool matchers_match(const struct matchers *matchers, const struct labels *labels);

/*
 * Parses a series selector as PromQL writes it: `name{a="b",c!~"d.*"}`, `{__name__="x"}`,
 * `{"utf8.name", a='b'}`; strings in double, single or back quotes with PromQL's escapes; a
 * trailing comma is allowed. At least one matcher must not match the empty value.
 *   INVALID  with the position (in bytes, from 1)
 */
MUST_CHECK enum status matchers_parse(struct slice text, struct arena *arena,
                                      struct matchers *matchers, struct error *err);

#endif

/*
 * regex - RE2: regular expressions that match in time linear in the text, so that a pattern can
 * not take the server down. Syntax: https://github.com/google/re2/wiki/Syntax, which is what PromQL
 * promises. Patterns match the whole text, '.' matches a newline too, text is UTF-8.
 *
 * Threads: a compiled regex may be used by many at once.
 */
#ifndef METRIC_STORE_CXX_REGEX_H
#define METRIC_STORE_CXX_REGEX_H

#include "base/slice.h"
#include "base/status.h"

#ifdef __cplusplus
extern "C" {
#endif

struct regex;

enum { REGEX_MAX_MEMORY = 1 << 20 };

/* Gives *regex, ended by regex_free. INVALID with RE2's reason; LIMIT when the compiled form would
 * take more than REGEX_MAX_MEMORY bytes. */
MUST_CHECK enum status regex_new(struct regex **regex, struct slice pattern, struct error *err);

/* The same with another bound, for what stays: it holds for what matching keeps, too. */
MUST_CHECK enum status regex_new_within(struct regex **regex, struct slice pattern,
                                        size_t max_memory, struct error *err);
void regex_free(struct regex *regex);

bool regex_matches(const struct regex *regex, struct slice text);

#ifdef __cplusplus
}
#endif

#endif

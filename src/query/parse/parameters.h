/*
 * parameters - the rules that every list of name=value pairs obeys, and the values that several
 * requests share. Every error is INVALID with code "invalid_parameter" and reads
 * `invalid parameter "NAME": what is wrong; what is accepted`.
 */
#ifndef METRIC_STORE_QUERY_PARSE_PARAMETERS_H
#define METRIC_STORE_QUERY_PARSE_PARAMETERS_H

#include "query/parse/parse.h"

struct parameter_rule {
    const char *name;
    bool repeatable;
};

/* A list whose names are known, whose text is UTF-8, and where only repeatable names repeat. */
MUST_CHECK enum status parameters_check(const struct query_parameter *parameters, size_t count,
                                        const struct parameter_rule *rules, size_t rule_count,
                                        struct error *err);

/* The value of the parameter `name`; NULL when it was not given. */
const struct slice *parameters_find(const struct query_parameter *parameters, size_t count,
                                    const char *name);

enum status parameter_invalid(struct error *err, const char *name, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* RFC 3339, now, now-6h, now+1h, or a number: seconds below 1e11, else milliseconds. */
MUST_CHECK enum status parameter_time(const char *name, struct slice value, int64_t now_ms,
                                      int64_t *time_ms, struct error *err);

/* 1 to 1,000,000. */
MUST_CHECK enum status parameter_limit(const char *name, struct slice value, uint64_t *limit,
                                       struct error *err);

/* A selector as PromQL writes it; *matchers is released by the caller when OK. */
MUST_CHECK enum status parameter_selector(const char *name, struct slice value, struct arena *arena,
                                          struct matchers *matchers, struct error *err);

#endif

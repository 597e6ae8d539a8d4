/*
 * harness - a memory tier, a clock that stands still, and queries as text.
 */
#ifndef METRIC_STORE_TESTS_UNIT_QUERY_HARNESS_H
#define METRIC_STORE_TESTS_UNIT_QUERY_HARNESS_H

#include "memory_tier.h"
#include "query/query.h"

/* 2026-11-23T10:00:00Z */
#define HARNESS_NOW_MS INT64_C(1795428000000)

enum { HARNESS_MAX_PARAMETERS = 300 };

struct harness {
    struct memory_tier *memory;
    struct clock clock;
    int64_t monotonic_ns;
    int64_t tick_ns; /* how far each look moves the clock */
    struct query_environment environment;
    struct query_sink sink;
    struct bytes output; /* zero-terminated after a query that was OK */
    size_t writes;
    size_t refuse_write; /* the n-th write fails (from 1); 0: never */
    struct error err;
    struct query_parameter parameters[HARNESS_MAX_PARAMETERS];
    size_t parameter_count;
};

void harness_init(struct harness *harness);
void harness_release(struct harness *harness);

/* Splits "a=b&c=d" at '&' and at each first '='; `text` is borrowed. */
void harness_parameters(struct harness *harness, const char *text);

enum status harness_query(struct harness *harness, const char *text);
enum status harness_list(struct harness *harness, const char *text);

#endif

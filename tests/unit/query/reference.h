/*
 * reference - what a query must answer, computed in the plainest way from a memory tier: every
 * value that counts is listed with its group and bucket, the list is sorted, each run is reduced;
 * then buckets without a value are put in between.
 */
#ifndef METRIC_STORE_TESTS_UNIT_QUERY_REFERENCE_H
#define METRIC_STORE_TESTS_UNIT_QUERY_REFERENCE_H

#include "memory_tier.h"
#include "query/parse/parse.h"

enum { REFERENCE_KEY_SIZE = 160 };

struct reference_point {
    char key[REFERENCE_KEY_SIZE]; /* "name=value,name=value," of the group or series */
    int64_t time_ms;
    double value;
    double tolerance;
    bool missing; /* has no value, by fill */
};

struct reference {
    struct reference_point *points; /* by key and time */
    size_t count;
};

/* The labels as a key. */
void reference_key(const struct labels *labels, char key[REFERENCE_KEY_SIZE]);

void reference_compute(struct reference *reference, const struct memory_tier *memory,
                       const struct query_request *request);
void reference_release(struct reference *reference);

#endif

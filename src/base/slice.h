/*
 * slice - a borrowed run of bytes. Owns nothing; not zero-terminated; may hold zero bytes.
 */
#ifndef METRIC_STORE_BASE_SLICE_H
#define METRIC_STORE_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const uint8_t *data; /* may be NULL where size is 0 */
    size_t size;
};

static inline struct slice slice_of(const void *data, size_t size)
{
    struct slice slice = {(const uint8_t *)data, size};
    return slice;
}

static inline struct slice slice_from_text(const char *text)
{
    return slice_of(text, strlen(text));
}

static inline bool slice_equal(struct slice a, struct slice b)
{
    return a.size == b.size && (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

static inline bool slice_equal_text(struct slice a, const char *text)
{
    return slice_equal(a, slice_from_text(text));
}

/* Order by bytes, a prefix before what it is a prefix of: negative, 0 or positive. */
static inline int slice_compare(struct slice a, struct slice b)
{
    size_t shorter = a.size < b.size ? a.size : b.size;
    int order = shorter == 0 ? 0 : memcmp(a.data, b.data, shorter);
    if (order != 0)
        return order;
    return (a.size > b.size) - (a.size < b.size);
}

static inline bool slice_has_nul(struct slice a)
{
    return a.size > 0 && memchr(a.data, 0, a.size) != NULL;
}

/* The rest of `a` from `offset`, which is at most a.size. */
static inline struct slice slice_from(struct slice a, size_t offset)
{
    /* NULL + 0 is undefined in C. */
    return slice_of(offset == 0 ? a.data : a.data + offset, a.size - offset);
}

/* For printf's "%.*s". Cut at 200 bytes: messages have an end. */
#define SLICE_FORMAT(s) (int)((s).size > 200 ? 200 : (s).size), (const char *)(s).data

#endif

/*
 * text - Prometheus text 0.0.4, one line at a time; protocols_text_parse and recordings stand on
 * it.
 */
#ifndef METRIC_STORE_PROTOCOLS_TEXT_H
#define METRIC_STORE_PROTOCOLS_TEXT_H

#include "model/batch.h"

struct text_parser {
    struct batch *batch;
    int64_t default_time_ms;  /* of samples without a timestamp */
    struct slice prefix;      /* copied before each entry's raw bytes; empty: those are borrowed */
    bool prefixed;            /* also where `prefix` is empty */
    uint32_t refused_by_line; /* 0, or the broken line whose fault refuses every sample */
    uint32_t index;           /* of the next sample line */
    uint32_t line;            /* of the line being read, from 1; the caller counts */
    struct metric metric;     /* gathered from # HELP and # TYPE until another name comes */
};

void text_parser_init(struct text_parser *parser, struct batch *batch, int64_t default_time_ms);

/* `line` is without its line feed and must outlive the batch. LIMIT or MEMORY of the arena. */
MUST_CHECK enum status text_parser_line(struct text_parser *parser, struct slice line);

/* Hands over the metadata that was gathered last. */
MUST_CHECK enum status text_parser_finish(struct text_parser *parser);

/* The line from `at`, and the start of the one after it. */
static inline struct slice text_take_line(const uint8_t **at, const uint8_t *end)
{
    const uint8_t *start = *at;
    const uint8_t *feed = memchr(start, '\n', (size_t)(end - start));
    *at = feed == NULL ? end : feed + 1;
    return slice_of(start, (size_t)((feed == NULL ? end : feed) - start));
}

#endif

/*
 * detail - one record, block or entry of a file as `inspect --blocks` shows it: a line of text,
 *
 *   block metric=3 series=17 first=2026-11-23T10:00:00Z ...
 *
 * or a JSON object with the same keys, {"detail":"block","metric":3,...}. There times and words are
 * strings, and so are NaN, +Inf and -Inf.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_DETAIL_H
#define METRIC_STORE_STORAGE_ENGINE_DETAIL_H

#include <stdint.h>

#include "base/bytes.h"
#include "model/labels.h"

struct detail {
    struct bytes *to; /* borrowed */
    bool json;
    bool any;           /* an object is in `to` already */
    enum status status; /* the first failure, which sticks: LIMIT or MEMORY of `to` */
};

void detail_begin(struct detail *detail, const char *type);
void detail_count(struct detail *detail, const char *key, uint64_t number);
void detail_time_ms(struct detail *detail, const char *key, int64_t time_ms); /* as a number */
void detail_instant(struct detail *detail, const char *key, int64_t time_ms);
void detail_value(struct detail *detail, const char *key, double value);
/* A word of ours: without quotes in a line. */
void detail_word(struct detail *detail, const char *key, const char *word);
/* Any text: with quotes in a line too. */
void detail_text(struct detail *detail, const char *key, struct slice text);
void detail_labels(struct detail *detail, const char *key, const struct labels *labels);
void detail_end(struct detail *detail);
/* Ends it with what is wrong with it. */
void detail_damage(struct detail *detail, const char *message);

#endif

/*
 * json_write - what ndjson and CSV write alike: strings, labels and values.
 */
#ifndef METRIC_STORE_PROTOCOLS_JSON_WRITE_H
#define METRIC_STORE_PROTOCOLS_JSON_WRITE_H

#include "base/bytes.h"
#include "cxx/number.h"
#include "model/labels.h"

enum {
    /* Of an object of labels, or all of a series as JSON: each byte of a name or value becomes at
     * most the six of \u0000. */
    JSON_LABELS_MAX = 6 * LABELS_MAX_SIZE + 8 * LABELS_MAX_COUNT + 64,
};

/* With its quotes. LIMIT, MEMORY of `to`. */
MUST_CHECK enum status json_write_string(struct bytes *to, struct slice text);
/* The labels but for the metric's name, as an object. LIMIT, MEMORY of `to`. */
MUST_CHECK enum status json_write_labels(struct bytes *to, const struct labels *labels);

/* A number, or a word for what JSON has no number for; *word says which. Returns the length. */
size_t json_value_format(char to[NUMBER_TEXT_SIZE], double value, bool *word);

#endif

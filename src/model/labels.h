/*
 * labels - what identifies a series.
 *
 * Canonical: sorted by name (bytes), no two with one name, no empty value (an empty label is an
 * absent one), names and values well-formed UTF-8 without NUL, names not empty, and the metric's
 * name present as the label "__name__".
 *
 * The canonical encoding, which maps and files use: for each label in order
 *   varint name size, name, varint value size, value.
 */
#ifndef METRIC_STORE_MODEL_LABELS_H
#define METRIC_STORE_MODEL_LABELS_H

#include "base/bytes.h"
#include "base/slice.h"
#include "base/status.h"

#define METRIC_NAME_LABEL "__name__"

enum {
    LABEL_VALUE_MAX_SIZE = 64 * 1024, /* one name or value, always */
    LABELS_MAX_SIZE = 1024 * 1024,    /* all of a series as it is stored, always: names, values, */
    LABEL_FRAMING_SIZE = 16,          /* and at most this for each label */
    LABELS_MAX_COUNT = 4096,          /* labels of a series, always */
};

struct label {
    struct slice name;
    struct slice value;
};

/* Borrows the strings; the array belongs to whoever made it. */
struct labels {
    struct label *items;
    size_t count;
};

/*
 * Makes `labels` canonical in place (count may shrink).
 *   INVALID  with code "label_invalid", "label_duplicate" or "metric_name_missing"
 *   LIMIT    with code "label_value_too_long" or "labels_too_large": the limits above
 */
MUST_CHECK enum status labels_canonicalise(struct labels *labels, struct error *err);

/* The value of label `name`; size 0 when there is none. */
struct slice labels_get(const struct labels *labels, struct slice name);
struct slice labels_metric_name(const struct labels *labels);

/* Order of canonical label sets: label by label, name then value; a prefix comes first. */
int labels_compare(const struct labels *a, const struct labels *b);

/* Appends the canonical encoding of canonical `labels`. */
MUST_CHECK enum status labels_encode(const struct labels *labels, struct bytes *to);

/* Reads a canonical encoding into `items` (room for `capacity`); strings borrow `from`.
 * CORRUPT when it is cut off, has trailing bytes or more than `capacity` labels. */
MUST_CHECK enum status labels_decode(struct slice from, struct label *items, size_t capacity,
                                     size_t *count, struct error *err);

#endif

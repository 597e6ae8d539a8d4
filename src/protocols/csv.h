/*
 * csv - the parts of the CSV reader: cells, columns, labels.
 *
 *   csv.c          records (RFC 4180) and what their cells say
 *   csv_columns.c  what the columns mean: the parameter `format`, and the header
 *   csv_labels.c   the raw bytes of a series
 */
#ifndef METRIC_STORE_PROTOCOLS_CSV_H
#define METRIC_STORE_PROTOCOLS_CSV_H

#include "protocols/protocols.h"

enum {
    CSV_COLUMNS_MAX = LABELS_MAX_COUNT,
    CSV_HEADER_MEMORY = 16 << 20, /* for the names of columns, and what `format` says of them */
};

enum csv_kind {
    CSV_IGNORED,
    CSV_NAME,   /* the metric's name */
    CSV_LABELS, /* an object of labels, as JSON */
    CSV_LABEL,  /* the value of one label */
    CSV_VALUE,  /* a value of the metric that the column CSV_NAME names */
    CSV_METRIC, /* a value of a metric that is the same in all lines */
    CSV_TIME,
    CSV_KIND_COUNT,
};

enum csv_time { CSV_TIME_ANY, CSV_TIME_S, CSV_TIME_MS, CSV_TIME_US, CSV_TIME_NS, CSV_TIME_RFC3339 };

struct csv_column {
    enum csv_kind kind;
    enum csv_time unit; /* with CSV_TIME */
    struct slice name;  /* of the label or metric */
};

/* One entry of `format`. */
struct csv_rule {
    size_t number;      /* of the column, from 1; 0: it is named */
    struct slice title; /* of the column, as in the header */
    struct csv_column column;
};

/* What is known of the columns; the texts are in `arena`, which is the parser's. */
struct csv_columns {
    struct arena *arena;
    struct csv_rule *rules;
    size_t rule_count;
    struct csv_column *items;
    size_t count;
    size_t of_kind[CSV_KIND_COUNT];
    bool has_header; /* the first record names the columns */
};

/* Reads `format`, which may be empty. Without a header the columns are known then. INVALID with
 * code invalid_parameter. */
MUST_CHECK enum status csv_columns_begin(struct csv_columns *columns, struct slice format,
                                         enum csv_header header, struct error *err);
/* Takes the header's cells, in the arena. INVALID with code csv_header_invalid. */
MUST_CHECK enum status csv_columns_header(struct csv_columns *columns, const struct slice *titles,
                                          size_t count, struct error *err);

/*
 * The raw bytes of a series: varint size, metric name; varint count; for each label varint size,
 * name, varint size, value; then an object of labels as JSON, or nothing.
 */
MUST_CHECK enum status csv_raw_begin(struct bytes *raw, struct slice metric, size_t label_count);
MUST_CHECK enum status csv_raw_label(struct bytes *raw, struct slice name, struct slice value);

/* NULL where `text` is an object of strings, else what is wrong. */
const char *csv_labels_fault(struct slice text);

#endif

/*
 * exposition - what text 0.0.4, OpenMetrics and recordings share: series as text, numbers, times.
 *
 *   series  = [name blanks] '{' item {',' item} [','] '}'  |  name
 *   item    = label blanks '=' blanks string  |  string      (the metric's name, as UTF-8 needs it)
 *   name    = [a-zA-Z_:][a-zA-Z0-9_:]*     label = [a-zA-Z_][a-zA-Z0-9_]*  |  string
 *   string  = '"' ... '"' with \\, \" and \n; any other backslash stands for itself
 *
 * Strict (OpenMetrics): no blanks but one after a comma, no comma at the end.
 * Nothing here looks at UTF-8: labels_canonicalise does when a series is first seen.
 */
#ifndef METRIC_STORE_PROTOCOLS_EXPOSITION_H
#define METRIC_STORE_PROTOCOLS_EXPOSITION_H

#include "model/batch.h"

struct exposition_label {
    struct slice name; /* between the quotes where it has some, escapes as they stand */
    struct slice value;
    bool name_escaped;
    bool value_escaped;
};

enum exposition_step { EXPOSITION_LABEL, EXPOSITION_END, EXPOSITION_FAULT };

/* Walks one series. `at` is the first byte not taken: after END the one behind the series, after
 * FAULT the one at fault, and `fault` says what is wrong with it. */
struct exposition_scan {
    const uint8_t *at;
    const uint8_t *end;
    struct slice metric; /* data is NULL until it was met */
    bool metric_escaped;
    bool strict;
    bool in_labels;
    bool after_comma;
    const char *fault;
};

/* Takes the name before the labels and the brace. False: a fault. */
bool exposition_begin(struct exposition_scan *scan, const uint8_t *at, const uint8_t *end,
                      bool strict);
enum exposition_step exposition_next(struct exposition_scan *scan, struct exposition_label *label);

/* A metric's name, plain or quoted, as HELP and TYPE carry it; false where there is none. */
bool exposition_metric_name(const uint8_t **at, const uint8_t *end, struct slice *name,
                            bool *escaped);

static inline bool exposition_is_blank(uint8_t byte)
{
    return byte == ' ' || byte == '\t';
}

static inline const uint8_t *exposition_skip_blanks(const uint8_t *at, const uint8_t *end)
{
    while (at < end && exposition_is_blank(*at))
        at++;
    return at;
}

enum exposition_escapes {
    EXPOSITION_LABEL_ESCAPES, /* \\ \n \" */
    EXPOSITION_HELP_ESCAPES,  /* \\ \n */
};

/* `text` itself where it holds no backslash, else a copy in `arena`; OK, LIMIT or MEMORY. */
MUST_CHECK enum status exposition_unescape(struct arena *arena, struct slice text,
                                           enum exposition_escapes escapes,
                                           struct slice *unescaped);

/* Reads a series and leaves room for `extra` more labels behind those counted. */
MUST_CHECK enum status exposition_read_labels(struct slice raw, size_t extra, struct arena *arena,
                                              struct labels *labels, struct error *err);

enum exposition_number { EXPOSITION_NUMBER, EXPOSITION_NO_NUMBER, EXPOSITION_OVERFLOW };

/* As Go's ParseFloat without hexadecimal and underscores. NaN is VALUE_NORMAL_NAN_BITS. */
enum exposition_number exposition_number(struct slice text, double *value);

/*
 * Adds a descriptor that says something (a type, a unit or a help text) to the batch. One that is
 * over the sizes of model/metric.h is left out with a warning.
 */
MUST_CHECK enum status exposition_add_metric(struct batch *batch, const struct metric *metric);

#endif

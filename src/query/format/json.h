/*
 * json - a writer of JSON text that goes to a sink piece by piece.
 *
 * A failed write sticks: what follows is dropped, and json_status (or json_end) returns it. Ask at
 * least once a series or a batch.
 */
#ifndef METRIC_STORE_QUERY_FORMAT_JSON_H
#define METRIC_STORE_QUERY_FORMAT_JSON_H

#include "query/format/format.h"

enum { JSON_BUFFER_SIZE = 32 * 1024 };

struct json {
    struct query_sink *sink;
    enum status status;
    struct error *err;
    size_t used;
    char buffer[JSON_BUFFER_SIZE];
};

/* Gives *json, which lives in `arena`. `err` takes the sink's error; all borrowed. */
MUST_CHECK enum status json_new(struct json **json, struct query_sink *sink, struct arena *arena,
                                struct error *err);

/* As it stands: structure and literals. */
void json_text(struct json *json, const char *text);
/* With its quotes. `text` is UTF-8. */
void json_string(struct json *json, struct slice text);
void json_integer(struct json *json, int64_t number);
/* As ECMAScript prints it, -0.0 excepted; "NaN", "+Inf", "-Inf", "stale" and "nan:<16 hex digits>"
 * as strings. */
void json_value(struct json *json, double value);

MUST_CHECK enum status json_status(const struct json *json);
/* Sends what is left. */
MUST_CHECK enum status json_end(struct json *json);

#endif

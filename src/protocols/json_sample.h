/*
 * json_sample - one sample object, from its tokens into the batch.
 */
#ifndef METRIC_STORE_PROTOCOLS_JSON_SAMPLE_H
#define METRIC_STORE_PROTOCOLS_JSON_SAMPLE_H

#include "protocols/json_tokens.h"
#include "protocols/protocols.h"

/* What all samples of a request share, and why the last one parsed is to be refused. */
struct json_reader {
    struct json_tokens tokens;
    const struct json_options *options;
    struct batch *batch;
    const char *refused; /* code; NULL: it is fine */
    char reason[ERROR_MESSAGE_SIZE];
};

/* Strings as they stand in the body, quotes and braces included; data is NULL where one is
 * missing. */
struct json_sample {
    struct slice name;
    struct slice labels;
    struct slice type;
    struct slice unit;
    struct slice help;
    double value;
    int64_t time_ms;
    unsigned seen; /* a bit for each member */
    bool adjacent; /* labels directly behind the name */
};

/* Where a sample stands in the request. */
struct json_place {
    uint32_t index; /* from 0 */
    uint32_t line;  /* from 1; 0 where the format has no lines */
};

/*
 * Parses the value that begins with the last token, `depth` arrays and objects deep. False when it
 * is not JSON: the fault is set in reader->tokens. The batch stays as it is.
 */
MUST_CHECK bool json_sample_parse(struct json_reader *reader, struct json_sample *sample,
                                  uint32_t depth);

/* "NaN", "+Inf", "-Inf", "stale", or "nan:" and the 16 hexadecimal digits of a NaN. */
bool json_value_word(struct slice word, double *value);

/* Adds what json_sample_parse just read to the batch, or refuses it there. Errors: of the arena. */
MUST_CHECK enum status json_sample_store(struct json_reader *reader,
                                         const struct json_sample *sample, struct json_place place);

#endif

/*
 * protocols - the wire formats: bytes of a request -> struct batch.
 *
 * A parser begins the batch (batch_init) in the caller's arena and fills it. What concerns one
 * sample (a time out of range, a value that is no number) refuses that sample by batch_reject and
 * the rest is kept; what makes the whole body unreadable is returned as a status, and then the
 * batch is of no use but to be dropped.
 *
 * Ownership: the batch borrows the body (or the scratch buffer it was decompressed into), which
 * must outlive it unchanged. Threads: one at a time for each batch, parser and scratch buffer.
 *
 * Errors of every parser, besides those it names:
 *   LIMIT    over a limit: of the body, or of the batch's arena
 *   MEMORY   the heap is exhausted
 */
#ifndef METRIC_STORE_PROTOCOLS_PROTOCOLS_H
#define METRIC_STORE_PROTOCOLS_PROTOCOLS_H

#include "base/bytes.h"
#include "model/batch.h"

struct protocol_limits {
    size_t decoded_max_bytes; /* of a body after decompression */
    uint32_t json_max_depth;  /* of nested arrays and objects, at most JSON_DEPTH_CEILING */
};

/* ---- remote write 1.0 ---------------------------------------------------------------------- */

struct remote_write_counts {
    uint64_t series;     /* TimeSeries messages */
    uint64_t samples;    /* float samples, refused ones included */
    uint64_t histograms; /* native histograms: all refused */
    uint64_t exemplars;  /* ignored */
    uint64_t metadata;   /* descriptors given to the batch */
};

/*
 * Parses a snappy-compressed prometheus.WriteRequest (block format). The declared length is checked
 * against the limit and against what `body` could hold at snappy's best before anything is
 * allocated. `scratch` receives the decompressed body, is kept for the next request by a caller
 * that wants to, and is borrowed by the batch. Refuses samples with the codes
 *   timestamp_out_of_range, native_histogram_unsupported
 * Metadata becomes descriptors; one that cannot be registered is dropped with a warning.
 *   INVALID  not snappy (code snappy_invalid), or not that message (code protobuf_invalid); the
 *            message gives the offset in the decompressed body
 *   LIMIT    code body_too_large
 */
MUST_CHECK enum status protocols_remote_write_parse(struct slice body,
                                                    const struct protocol_limits *limits,
                                                    struct bytes *scratch, struct arena *arena,
                                                    struct batch *batch,
                                                    struct remote_write_counts *counts,
                                                    struct error *err);

batch_decode_labels protocols_remote_write_decode_labels;

/* ---- JSON ---------------------------------------------------------------------------------- */

enum { JSON_DEPTH_CEILING = 64 };

/* The unit of integer timestamps. */
enum time_precision {
    TIME_PRECISION_NONE, /* none was given: milliseconds, and times that look wrong are refused */
    TIME_PRECISION_SECONDS,
    TIME_PRECISION_MILLISECONDS,
    TIME_PRECISION_MICROSECONDS,
    TIME_PRECISION_NANOSECONDS,
};

/* "s", "ms", "us" or "ns"; false otherwise. */
bool time_precision_parse(struct slice text, enum time_precision *precision);

struct json_options {
    int64_t now_ms; /* the time of a sample that has none */
    enum time_precision precision;
};

/* Memory for parsing, kept between requests: one a thread. */
struct json_parser; /* opaque */

MUST_CHECK enum status json_parser_new(struct json_parser **parser,
                                       const struct protocol_limits *limits, struct error *err);
void json_parser_free(struct json_parser *parser);

/*
 * The three forms of a JSON body. A sample is
 *   {"name":"x","labels":{"a":"b"},"value":1,"timestamp":1795305600000}
 * with "labels" and "timestamp" optional, and "type", "unit", "help" where it describes its metric.
 * Refuses samples with the codes
 *   sample_invalid (not an object), unknown_field, field_duplicate, name_invalid,
 *   metric_name_missing, label_invalid, value_missing, value_invalid, value_out_of_range,
 *   timestamp_invalid, timestamp_implausible, timestamp_out_of_range, type_invalid, unit_invalid,
 *   help_invalid
 * What is not JSON at all has the codes json_invalid, json_too_deep, utf8_invalid or
 * sample_too_large (one value or one line of more than 4 MiB): in the first two forms that is a
 * status, INVALID or LIMIT, with line and column; in the third it refuses the line.
 */
MUST_CHECK enum status protocols_json_parse_sample(struct json_parser *parser, struct slice body,
                                                   const struct json_options *options,
                                                   struct arena *arena, struct batch *batch,
                                                   struct error *err);

/* An array of samples, or {"metrics":[...]}. */
MUST_CHECK enum status protocols_json_parse_batch(struct json_parser *parser, struct slice body,
                                                  const struct json_options *options,
                                                  struct arena *arena, struct batch *batch,
                                                  struct error *err);

/* One sample a line; blank lines are skipped but counted; "\r\n" and a last line without an end are
 * fine; an empty body holds no samples. */
MUST_CHECK enum status protocols_ndjson_parse(struct json_parser *parser, struct slice body,
                                              const struct json_options *options,
                                              struct arena *arena, struct batch *batch,
                                              struct error *err);

batch_decode_labels protocols_json_decode_labels;

#endif

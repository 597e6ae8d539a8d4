/*
 * protocols - the wire formats: bytes of a request -> struct batch; series -> bytes of an export.
 *
 * A parser fills a batch in the caller's arena. Remote write, JSON and recordings begin the batch
 * themselves (batch_init); text 0.0.4 and OpenMetrics are given one that the caller began with
 * protocols_exposition_decode_labels and PROTOCOL_TAG_EXPOSITION, CSV likewise. What concerns one
 * sample (a time out of range, a value that is no number) refuses that sample by batch_reject and
 * the rest is kept; what makes the whole body unreadable is returned as a status, and then the
 * batch is of no use but to be dropped.
 *
 * Ownership: the batch borrows the body (or the scratch buffer it was decompressed into), which
 * must outlive it unchanged. Threads: one at a time for each batch, parser, reader and writer.
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

/* Where a reader may stop, and what another one needs to go on from there: bytes and lines of the
 * document that say how the rest is read, before the rest itself. */
struct protocol_position {
    bool settled;           /* a reader can go on here; otherwise the rest counts for nothing */
    uint64_t offset;        /* bytes taken */
    uint64_t line;          /* of the next byte, from 1 */
    uint64_t context_start; /* the CSV header, or the #SCRAPE line in force; */
    uint64_t context_size;  /* 0: nothing is needed */
    uint64_t context_lines;
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
/* Rounds down; NONE is milliseconds. False beyond 64 bits. */
bool time_precision_convert(int64_t time, enum time_precision precision, int64_t *time_ms);

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

/*
 * The registration of one metric:
 *   {"name":"x","type":"counter","unit":"bytes","help":"what it is","limits":{"max_series":1000}}
 * All but "name" may be left out: the type is then unknown, unit and help are empty, and the
 * metric has no limit of its own. *metric borrows `body` and `arena`.
 *   INVALID  not JSON (the codes are those of a sample), or not such an object: metric_invalid,
 *            unknown_field, field_duplicate, metric_name_missing, name_invalid, type_invalid,
 *            unit_invalid, help_invalid, limits_invalid
 */
MUST_CHECK enum status protocols_json_parse_metric(struct json_parser *parser, struct slice body,
                                                   struct arena *arena, struct metric *metric,
                                                   struct error *err);

/* For batch_init's hash_tag: equal label bytes of two formats are not the same labels. */
enum protocol_tag {
    PROTOCOL_TAG_EXPOSITION = 3, /* text 0.0.4 and OpenMetrics */
    PROTOCOL_TAG_RECORDING = 4,
    PROTOCOL_TAG_CSV = 5,
};

/* ---- Prometheus text 0.0.4, OpenMetrics 1.0, recordings -------------------------------------- */

/* The raw bytes of a series in text 0.0.4 and OpenMetrics: `name{label="value"}` as received. */
batch_decode_labels protocols_exposition_decode_labels;

/*
 * Text 0.0.4, line by line: a line that cannot be read is refused (batch_reject, one for the line,
 * be it a sample or a # TYPE) and the others are kept. Refuses with the codes
 *   text_syntax, value_out_of_range, timestamp_out_of_range
 * and says the column. Samples without a timestamp take `now_ms`. `index` counts sample lines,
 * refused ones included. Label sets are not looked at beyond their syntax: UTF-8 and duplicates
 * are found when a series is first seen.
 */
MUST_CHECK enum status protocols_text_parse(struct slice body, int64_t now_ms, struct batch *batch,
                                            struct error *err);

/*
 * OpenMetrics 1.0, as a whole: syntax, metadata, grouping, value rules and `# EOF` are checked, and
 * any fault refuses the document. Only a value or time beyond what can be stored refuses just its
 * sample, with the codes
 *   value_out_of_range, timestamp_out_of_range
 * Exemplars are checked, counted in a warning and not kept. `hash_seed` is secret: it keeps senders
 * from making collisions.
 *   INVALID  code openmetrics_invalid; the message gives the line
 */
MUST_CHECK enum status protocols_openmetrics_parse(struct slice body, int64_t now_ms,
                                                   uint64_t hash_seed, struct batch *batch,
                                                   struct error *err);

/*
 * A recording: text 0.0.4 in which each line `#SCRAPE <ms> <url>` begins what one target answered:
 * its samples take that time where they have none, and the labels `instance` (host and port of the
 * URL) and `job`; a label of that name in the text becomes `exported_<name>`. What stands before
 * the first such line is plain text: without a timestamp it takes `now_ms`, and no label is added.
 * Text without any such line is thus read as it is. After a #SCRAPE line that cannot be read,
 * samples are refused up to the next one: they would come to stand under a wrong time and target.
 * Codes: those of text 0.0.4, scrape_header_invalid, line_too_long.
 */
struct recording; /* opaque */

/* Puts up to `capacity` bytes (more than 0) into `to`; *size is 0 at the end of the input. */
typedef enum status recording_read(void *context, uint8_t *to, size_t capacity, size_t *size,
                                   struct error *err);

/* The usual size of a recording's buffer; a line longer than the buffer is refused. */
enum { RECORDING_BUFFER_SIZE = 4 * 1024 * 1024 };

/* Gives *recording, to be ended by recording_free; borrows `context`, copies `job`.
 *   INVALID  `job` is not UTF-8, or too long */
MUST_CHECK enum status recording_new(struct recording **recording, recording_read *read,
                                     void *context, struct slice job, int64_t now_ms,
                                     size_t buffer_size, struct error *err);
void recording_free(struct recording *recording);

/*
 * Initialises `batch` itself and fills it with the next scrape, or with a part of one where half of
 * the buffer cannot hold it. The batch borrows the buffer until the next call. Lines are counted
 * over the whole input, indexes from 0 in each batch.
 *   END      nothing is left
 *   and whatever `read` returns
 */
MUST_CHECK enum status recording_next(struct recording *recording, struct batch *batch,
                                      struct arena *arena, struct error *err);

/* Bytes read so far, for a progress bar. */
uint64_t recording_bytes(const struct recording *recording);

/* Behind the last batch. */
void recording_position(const struct recording *recording, struct protocol_position *position);
/* The next byte is one of line `line`. */
void recording_set_line(struct recording *recording, uint64_t line);

/* ---- CSV ------------------------------------------------------------------------------------ */

/* A line with its line ends inside of quotes; longer ones are refused. */
enum { CSV_RECORD_MAX_SIZE = 4 * 1024 * 1024 };

enum csv_header {
    CSV_HEADER_AUTO, /* the first record names the columns, unless `format` numbers all that it
                        names */
    CSV_HEADER_YES,
    CSV_HEADER_NO,
};

struct csv_options {
    int64_t now_ms; /* the time of samples where no column holds one */
    enum time_precision precision;
    /*
     * What columns hold: COLUMN:KIND[:NAME] with commas between, where COLUMN is a number from 1 or
     * a name of the header, and KIND is
     *   name          the metric's name             value        a value of that metric
     *   metric:NAME   a value of the metric NAME; an empty cell is no sample
     *   label[:NAME]  a label, by default of the column's name; an empty cell is no label
     *   labels        labels as a JSON object       time[:UNIT]  unix_s, unix_ms, unix_us, unix_ns,
     *                                               rfc3339
     * Columns that are not named hold nothing. Empty: the header says it, by the names name,
     * __name__ or metric; value; timestamp or time; labels; every other column is a label.
     */
    struct slice format;
    enum csv_header header;
};

/*
 * CSV as RFC 4180 has it, with LF or CRLF, with or without a byte order mark. A time is a whole
 * number in `precision`, RFC 3339, or as PostgreSQL writes it ("2026-11-22 10:00:00+00"); a value
 * is a number, NaN or infinity in any spelling, or a word as in JSON. A line that cannot be read is
 * refused alone; where that is by its quotes, reading goes on with the next line. Refuses with the
 * codes
 *   csv_syntax, sample_too_large, metric_name_missing, label_invalid, value_missing, value_invalid,
 *   value_out_of_range, timestamp_invalid, timestamp_out_of_range
 * `index` counts values, `line` lines.
 */
struct csv_parser; /* opaque */

/* Gives *parser, ended by csv_parser_free; copies `format`.
 *   INVALID  code invalid_parameter: `format` is none, or does not fit `header` */
MUST_CHECK enum status csv_parser_new(struct csv_parser **parser, const struct csv_options *options,
                                      struct error *err);
void csv_parser_free(struct csv_parser *parser); /* accepts NULL */

/*
 * Adds the whole records that `text` begins with to `batch`, which the caller began with
 * protocols_csv_decode_labels and PROTOCOL_TAG_CSV and which borrows `text`. *taken is their size;
 * the next call goes on behind it. Of more than CSV_RECORD_MAX_SIZE bytes some are taken, and all
 * where this is the end of the document.
 *   INVALID  code csv_header_invalid: the header does not say where names and values are
 */
MUST_CHECK enum status csv_parser_take(struct csv_parser *parser, struct slice text, bool ended,
                                       struct batch *batch, size_t *taken, struct error *err);

void csv_parser_position(const struct csv_parser *parser, struct protocol_position *position);
/* Goes on in a document: the next byte is one of line `line`, the header's where there is one. */
void csv_parser_set_line(struct csv_parser *parser, uint64_t line);

/* A whole document; otherwise the same. */
MUST_CHECK enum status protocols_csv_parse(struct slice body, const struct csv_options *options,
                                           struct batch *batch, struct error *err);

batch_decode_labels protocols_csv_decode_labels;

/* ---- exports --------------------------------------------------------------------------------- */

/*
 * ndjson: {"name":"x","labels":{"a":"b"},"value":1.5,"timestamp":1795305600000} a line, as
 * `precision=ms` reads it back bit for bit.
 */
struct ndjson_writer {
    struct bytes series; /* the line up to the value */
};

void ndjson_writer_init(struct ndjson_writer *writer);
void ndjson_writer_release(struct ndjson_writer *writer);

/* The samples that follow are of canonical `labels`. LIMIT, MEMORY. */
MUST_CHECK enum status ndjson_writer_series(struct ndjson_writer *writer,
                                            const struct labels *labels);
/* Appends a line. LIMIT, MEMORY of `to`. */
MUST_CHECK enum status ndjson_writer_sample(const struct ndjson_writer *writer, struct bytes *to,
                                            int64_t time_ms, double value);

/*
 * CSV: a header and a line a sample, as protocols_csv_parse reads them back bit for bit without an
 * option: name,labels,value,timestamp. Labels are a JSON object, lines end with LF.
 */
struct csv_writer {
    struct bytes series; /* the line up to the value */
    struct bytes object;
};

void csv_writer_init(struct csv_writer *writer);
void csv_writer_release(struct csv_writer *writer);

/* LIMIT, MEMORY of `to`. */
MUST_CHECK enum status csv_writer_header(struct bytes *to);
/* The samples that follow are of canonical `labels`. LIMIT, MEMORY. */
MUST_CHECK enum status csv_writer_series(struct csv_writer *writer, const struct labels *labels);
/* Appends a line. LIMIT, MEMORY of `to`. */
MUST_CHECK enum status csv_writer_sample(const struct csv_writer *writer, struct bytes *to,
                                         int64_t time_ms, double value);

/*
 * OpenMetrics: a document that any strict reader takes, in memory that does not grow with it.
 *
 * Series come by metric name in byte order (so that each family is in one piece), samples in time
 * order. A counter NAME_total is the family NAME where no other metric has taken that name, and so
 * is an info NAME_info. Gauges keep their type. All else is written as type unknown: the parts of
 * histograms, summaries and statesets, which the format wants time by time across their series, and
 * metrics whose type does not fit their name.
 * What OpenMetrics cannot say: stale markers; they are left out and counted in `omitted`. So are,
 * in a counter, negative values and NaN, and in an info anything but 1: to keep these, whoever has
 * looked ahead gives such a metric without its descriptor, and it becomes unknown. NaN loses its
 * payload, counted in `altered`. ndjson keeps all.
 */
struct openmetrics_writer {
    struct bytes series;   /* the line up to the value */
    struct bytes name;     /* of the metric being written */
    struct bytes taken;    /* sizes of the prefixes of `name` that are taken names, u32 each */
    enum metric_type type; /* as written */
    bool begun;
    uint64_t omitted;
    uint64_t altered;
};

void openmetrics_writer_init(struct openmetrics_writer *writer);
void openmetrics_writer_release(struct openmetrics_writer *writer);

/*
 * The metadata of the next metric; `metric` is the descriptor registered for `name` or for its
 * family, NULL where there is none or values break its type. Appends to `to`.
 *   CONFLICT       `name` does not come after the one before
 *   LIMIT, MEMORY
 */
MUST_CHECK enum status openmetrics_writer_metric(struct openmetrics_writer *writer,
                                                 struct bytes *to, struct slice name,
                                                 const struct metric *metric, struct error *err);
/* The samples that follow are of canonical `labels`, whose metric name is the one above. */
MUST_CHECK enum status openmetrics_writer_series(struct openmetrics_writer *writer,
                                                 const struct labels *labels);
MUST_CHECK enum status openmetrics_writer_sample(struct openmetrics_writer *writer,
                                                 struct bytes *to, int64_t time_ms, double value);
/* `# EOF` */
MUST_CHECK enum status openmetrics_writer_end(struct bytes *to);

#endif

#include "protocols/text.h"

#include "base/times.h"
#include "base/utf8.h"
#include "protocols/exposition.h"
#include "protocols/protocols.h"

enum { SHOWN_NAME_SIZE = 200 };

void text_parser_init(struct text_parser *parser, struct batch *batch, int64_t default_time_ms)
{
    *parser = (struct text_parser){.batch = batch, .default_time_ms = default_time_ms};
}

static size_t column_of(struct slice line, const uint8_t *at)
{
    return (size_t)(at - line.data) + 1;
}

/* A name that may stand in an answer, or nothing. */
static struct slice shown_name(const struct exposition_scan *scan)
{
    struct slice name = scan->metric;
    if (name.data == NULL || scan->metric_escaped || !utf8_valid(name))
        return slice_of(NULL, 0);
    return slice_of(name.data, utf8_prefix(name, SHOWN_NAME_SIZE));
}

static void refuse_line(struct text_parser *parser, const char *code, struct slice metric,
                        size_t column, const char *fault)
{
    batch_reject(parser->batch, 1, parser->index, parser->line, code, metric, "column %zu: %s",
                 column, fault);
}

/* ---- metadata -------------------------------------------------------------------------------- */

enum status text_parser_finish(struct text_parser *parser)
{
    enum status status = exposition_add_metric(parser->batch, &parser->metric);
    parser->metric = (struct metric){.type = METRIC_UNKNOWN};
    return status;
}

static enum status metadata_help(struct text_parser *parser, struct slice line, const uint8_t *at)
{
    struct slice text = slice_from(line, (size_t)(at - line.data));
    if (!utf8_valid(text)) {
        refuse_line(parser, "text_syntax", slice_of(NULL, 0), column_of(line, at),
                    "the help text is not valid UTF-8");
        return STATUS_OK;
    }
    return exposition_unescape(parser->batch->arena, text, EXPOSITION_HELP_ESCAPES,
                               &parser->metric.help);
}

static enum status metadata_type(struct text_parser *parser, struct slice line, const uint8_t *at)
{
    const uint8_t *end = line.data + line.size;
    while (end > at && exposition_is_blank(end[-1]))
        end--;
    struct slice word = slice_of(at, (size_t)(end - at));
    enum metric_type type = METRIC_UNKNOWN;
    if (!slice_equal_text(word, "untyped") && !metric_type_parse(word, &type)) {
        refuse_line(parser, "text_syntax", slice_of(NULL, 0), column_of(line, at),
                    "a type is expected here: counter, gauge, histogram, summary or untyped");
        return STATUS_OK;
    }
    if (type == METRIC_UNKNOWN || type == parser->metric.type)
        return STATUS_OK;
    /* A second type is a descriptor of its own, which whoever keeps them holds against the first.
     */
    if (parser->metric.type != METRIC_UNKNOWN) {
        struct slice name = parser->metric.name;
        enum status status = text_parser_finish(parser);
        if (status != STATUS_OK)
            return status;
        parser->metric.name = name;
    }
    parser->metric.type = type;
    return STATUS_OK;
}

static enum status metadata_line(struct text_parser *parser, struct slice line, const uint8_t *at,
                                 bool help)
{
    const uint8_t *end = line.data + line.size;
    const uint8_t *start = at;
    struct slice name;
    bool escaped;
    bool named = exposition_metric_name(&at, end, &name, &escaped);
    if (!named || (at < end && !exposition_is_blank(*at)) || !utf8_valid(name)) {
        refuse_line(parser, "text_syntax", slice_of(NULL, 0), column_of(line, start),
                    help ? "a metric name and a blank are expected after HELP"
                         : "a metric name and a blank are expected after TYPE");
        return STATUS_OK;
    }
    enum status status = STATUS_OK;
    if (escaped)
        status = exposition_unescape(parser->batch->arena, name, EXPOSITION_LABEL_ESCAPES, &name);
    if (status == STATUS_OK && !slice_equal(name, parser->metric.name)) {
        status = text_parser_finish(parser);
        parser->metric.name = name;
    }
    if (status != STATUS_OK)
        return status;
    at = exposition_skip_blanks(at, end);
    return help ? metadata_help(parser, line, at) : metadata_type(parser, line, at);
}

/* `at` stands behind the '#'. What is neither HELP nor TYPE of something is a remark. */
static enum status comment_line(struct text_parser *parser, struct slice line, const uint8_t *at)
{
    const uint8_t *end = line.data + line.size;
    if (at == end || !exposition_is_blank(*at))
        return STATUS_OK;
    at = exposition_skip_blanks(at, end);
    if (end - at < 5 || !exposition_is_blank(at[4]))
        return STATUS_OK;
    bool help = memcmp(at, "HELP", 4) == 0;
    if (!help && memcmp(at, "TYPE", 4) != 0)
        return STATUS_OK;
    at = exposition_skip_blanks(at + 4, end);
    if (at == end)
        return STATUS_OK;
    return metadata_line(parser, line, at, help);
}

/* ---- samples --------------------------------------------------------------------------------- */

/* Milliseconds, as strconv.ParseInt reads them. False: not an integer; a number beyond 64 bits
 * becomes the nearest end, which no store accepts. */
static bool time_parse(const uint8_t *at, const uint8_t *end, int64_t *time_ms)
{
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    if (at == end)
        return false;
    int64_t value = 0;
    bool overflow = false;
    for (; at < end; at++) {
        int digit = *at - '0';
        if (digit < 0 || digit > 9)
            return false;
        overflow = overflow || __builtin_mul_overflow(value, 10, &value) ||
                   __builtin_sub_overflow(value, digit, &value);
    }
    /* Gathered below zero, where one more value fits. */
    if (overflow || (!negative && value == INT64_MIN))
        *time_ms = negative ? INT64_MIN : INT64_MAX;
    else
        *time_ms = negative ? value : -value;
    return true;
}

static const uint8_t *word_end(const uint8_t *at, const uint8_t *end)
{
    while (at < end && !exposition_is_blank(*at))
        at++;
    return at;
}

struct text_sample {
    double value;
    int64_t time_ms;
    const char *code; /* of the fault, with its sentence and place; NULL: none */
    const char *fault;
    const uint8_t *fault_at;
};

static void sample_fault(struct text_sample *sample, const char *code, const uint8_t *at,
                         const char *fault)
{
    sample->code = code;
    sample->fault = fault;
    sample->fault_at = at;
}

static void read_time(struct text_sample *sample, const uint8_t *at, const uint8_t *end)
{
    const uint8_t *after = word_end(at, end);
    if (!time_parse(at, after, &sample->time_ms))
        sample_fault(sample, "text_syntax", at,
                     "a timestamp in whole milliseconds or the end of the line is expected here");
    else if (sample->time_ms < TIME_MIN_MS || sample->time_ms >= TIME_MAX_MS)
        sample_fault(sample, "timestamp_out_of_range", at,
                     "the timestamp is outside of the years 1678 to 2262; it counts milliseconds "
                     "since 1970");
    else if (exposition_skip_blanks(after, end) != end)
        sample_fault(sample, "text_syntax", exposition_skip_blanks(after, end),
                     "the end of the line is expected after the timestamp");
}

/* What stands behind the series. */
static void read_sample(struct text_sample *sample, const uint8_t *at, const uint8_t *end)
{
    const uint8_t *start = exposition_skip_blanks(at, end);
    if (start == end || (start == at && at[-1] != '}')) {
        sample_fault(sample, "text_syntax", start, "a value is expected after the series");
        return;
    }
    const uint8_t *after = word_end(start, end);
    enum exposition_number kind =
        exposition_number(slice_of(start, (size_t)(after - start)), &sample->value);
    if (kind == EXPOSITION_OVERFLOW) {
        sample_fault(sample, "value_out_of_range", start,
                     "the value is beyond what a 64-bit floating-point number can hold");
        return;
    }
    if (kind == EXPOSITION_NO_NUMBER) {
        sample_fault(sample, "text_syntax", start,
                     after[-1] == '\r' ? "a carriage return follows the value; end lines with a "
                                         "line feed alone"
                                       : "a decimal number, NaN, +Inf or -Inf is expected here");
        return;
    }
    at = exposition_skip_blanks(after, end);
    if (at != end)
        read_time(sample, at, end);
}

/* The raw bytes as the batch keeps them. */
static enum status entry_raw(struct text_parser *parser, struct slice series, struct slice *raw)
{
    *raw = series;
    if (!parser->prefixed)
        return STATUS_OK;
    size_t size = parser->prefix.size + series.size;
    uint8_t *copy = arena_alloc(parser->batch->arena, size);
    if (copy == NULL)
        return arena_status(parser->batch->arena);
    memcpy(copy, parser->prefix.data, parser->prefix.size);
    memcpy(copy + parser->prefix.size, series.data, series.size);
    *raw = slice_of(copy, size);
    return STATUS_OK;
}

static enum status sample_line(struct text_parser *parser, struct slice line, const uint8_t *at)
{
    const uint8_t *end = line.data + line.size;
    struct exposition_scan scan;
    struct exposition_label label;
    enum exposition_step step = EXPOSITION_FAULT;
    if (exposition_begin(&scan, at, end, false))
        while ((step = exposition_next(&scan, &label)) == EXPOSITION_LABEL)
            ;
    struct text_sample sample = {.time_ms = parser->default_time_ms};
    if (step == EXPOSITION_FAULT)
        sample_fault(&sample, "text_syntax", scan.at, scan.fault);
    else
        read_sample(&sample, scan.at, end);
    if (sample.code != NULL) {
        refuse_line(parser, sample.code, shown_name(&scan), column_of(line, sample.fault_at),
                    sample.fault);
        return STATUS_OK;
    }
    if (parser->refused_by_line != 0) {
        batch_reject(parser->batch, 1, parser->index, parser->line, "scrape_header_invalid",
                     shown_name(&scan),
                     "the #SCRAPE line %u cannot be read, so the time and the target of this "
                     "sample are not known",
                     parser->refused_by_line);
        return STATUS_OK;
    }
    struct slice raw;
    uint32_t series;
    enum status status = entry_raw(parser, slice_of(at, (size_t)(scan.at - at)), &raw);
    if (status == STATUS_OK)
        status = batch_add_series(parser->batch, raw, parser->index, parser->line, &series);
    if (status == STATUS_OK)
        status = batch_add_sample(parser->batch, series, sample.time_ms, sample.value);
    return status;
}

enum status text_parser_line(struct text_parser *parser, struct slice line)
{
    const uint8_t *end = line.data + line.size;
    const uint8_t *at = exposition_skip_blanks(line.data, end);
    if (at == end)
        return STATUS_OK;
    if (*at == '#')
        return comment_line(parser, line, at + 1);
    enum status status = sample_line(parser, line, at);
    parser->index++;
    return status;
}

enum status protocols_text_parse(struct slice body, int64_t now_ms, struct batch *batch,
                                 struct error *err)
{
    struct text_parser parser;
    text_parser_init(&parser, batch, now_ms);
    const uint8_t *at = body.data;
    const uint8_t *end = body.data + body.size;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && at < end) {
        struct slice line = text_take_line(&at, end);
        parser.line++;
        status = text_parser_line(&parser, line);
    }
    if (status == STATUS_OK)
        status = text_parser_finish(&parser);
    if (status != STATUS_OK)
        return fail(err, status, "line %u: no memory left for the batch; send smaller ones",
                    parser.line);
    return STATUS_OK;
}

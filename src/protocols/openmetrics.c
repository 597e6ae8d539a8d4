/*
 * OpenMetrics 1.0, read line by line:
 *
 *   sample    = series ' ' number [' ' seconds] [' # ' '{' labels '}' ' ' number [' ' seconds]]
 *   metadata  = '# ' ('TYPE' | 'HELP' | 'UNIT') ' ' name ' ' text
 *   last line = '# EOF'
 *
 * Every blank is a single space. The series grammar is exposition.h's, strict.
 */
#include "protocols/openmetrics.h"

#include <float.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/times.h"
#include "base/utf8.h"
#include "protocols/protocols.h"
#include "protocols/text.h"

enum { EXEMPLAR_MAX_CHARACTERS = 128, SORT_FROM_COUNT = 16 };

static const char openmetrics_code[] = "openmetrics_invalid";
static const char number_expected[] = "a decimal number, NaN, +Inf or -Inf is expected";
static const char seconds_expected[] =
    "a timestamp is expected here: seconds since 1970 as a decimal number";

enum status openmetrics_fault(struct openmetrics *reader, uint32_t line, const char *format, ...)
{
    char sentence[ERROR_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof sentence, format, args);
    va_end(args);
    return fail_code(reader->err, STATUS_INVALID, openmetrics_code, "line %u: %s", line, sentence);
}

enum status openmetrics_no_memory(struct openmetrics *reader)
{
    return fail(reader->err, arena_status(reader->arena),
                "line %u: no memory left for the document; send smaller ones", reader->line);
}

static enum status fault_at(struct openmetrics *reader, struct slice line, const uint8_t *at,
                            const char *fault)
{
    return openmetrics_fault(reader, reader->line, "column %zu: %s", (size_t)(at - line.data) + 1,
                             fault);
}

/* ---- times ----------------------------------------------------------------------------------- */

struct decimal {
    const uint8_t *digits;
    const uint8_t *digits_end; /* a point may stand between */
    int64_t point;             /* digits before the decimal point; may be negative */
    bool negative;
};

/* [sign] digits [. digits] [e [sign] digits], with a digit somewhere. */
static bool decimal_scan(struct slice text, struct decimal *decimal)
{
    const uint8_t *at = text.data;
    const uint8_t *end = at + text.size;
    decimal->negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    decimal->digits = at;
    while (at < end && (uint8_t)(*at - '0') < 10)
        at++;
    decimal->point = at - decimal->digits;
    ptrdiff_t count = at - decimal->digits;
    if (at < end && *at == '.')
        for (at++; at < end && (uint8_t)(*at - '0') < 10; at++)
            count++;
    decimal->digits_end = at;
    if (count == 0)
        return false;
    if (at == end)
        return true;
    if ((*at | 0x20) != 'e')
        return false;
    at++;
    bool down = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    if (at == end)
        return false;
    int64_t power = 0;
    for (; at < end; at++) {
        if ((uint8_t)(*at - '0') >= 10)
            return false;
        if (power < INT32_MAX)
            power = power * 10 + (*at - '0');
    }
    decimal->point += down ? -power : power;
    return true;
}

/*
 * Seconds to milliseconds and the nanoseconds left, digit by digit: 1520879607.789 has no exact
 * double, and a cut of its product with 1000 may be a millisecond short. Cut towards the past.
 */
static bool seconds_parse(struct slice text, int64_t *time_ms, int32_t *time_ns)
{
    struct decimal decimal;
    if (!decimal_scan(text, &decimal))
        return false;
    enum { NS_DIGITS = 9 };
    int64_t total = 0;
    int64_t place = 0;
    bool overflow = false;
    const uint8_t *at = decimal.digits;
    bool significant = false;
    while (place < decimal.point + NS_DIGITS && !overflow) {
        if (at < decimal.digits_end && *at == '.')
            at++;
        if (at == decimal.digits_end && !significant)
            break; /* zero, whatever its exponent */
        int digit = at < decimal.digits_end ? *at++ - '0' : 0;
        significant = significant || digit != 0;
        overflow = __builtin_mul_overflow(total, 10, &total) ||
                   __builtin_add_overflow(total, digit, &total);
        place++;
    }
    *time_ns = 0;
    if (overflow) {
        *time_ms = decimal.negative ? INT64_MIN : INT64_MAX;
        return true;
    }
    if (decimal.negative)
        total = -total;
    enum { NS_PER_MS = 1000000 };
    *time_ms = total / NS_PER_MS;
    *time_ns = (int32_t)(total % NS_PER_MS);
    if (*time_ns < 0) {
        *time_ns += NS_PER_MS;
        --*time_ms;
    }
    return true;
}

/* ---- samples --------------------------------------------------------------------------------- */

static enum status labels_push(struct openmetrics *reader, const struct exposition_label *label)
{
    if (reader->label_count == reader->label_capacity) {
        if (reader->label_count >= LABELS_MAX_COUNT)
            return openmetrics_fault(reader, reader->line, "more than %d labels in one series",
                                     LABELS_MAX_COUNT);
        size_t capacity = reader->label_capacity == 0 ? 32 : 2 * reader->label_capacity;
        struct exposition_label *labels =
            arena_grow(reader->arena, reader->labels, reader->label_count * sizeof *labels,
                       capacity * sizeof *labels);
        if (labels == NULL)
            return openmetrics_no_memory(reader);
        reader->labels = labels;
        reader->label_capacity = capacity;
    }
    reader->labels[reader->label_count++] = *label;
    return STATUS_OK;
}

static int compare_label_names(const void *a, const void *b)
{
    const struct exposition_label *left = a;
    const struct exposition_label *right = b;
    return slice_compare(left->name, right->name);
}

/* The first label whose name was there before; NULL where there is none. Their order counts for
 * nothing, so many are sorted in place. */
static const struct exposition_label *labels_repeat(struct exposition_label *labels, size_t count)
{
    if (count > SORT_FROM_COUNT) {
        qsort(labels, count, sizeof *labels, compare_label_names);
        for (size_t i = 1; i < count; i++)
            if (slice_equal(labels[i - 1].name, labels[i].name))
                return &labels[i];
        return NULL;
    }
    for (size_t i = 1; i < count; i++)
        for (size_t j = 0; j < i; j++)
            if (slice_equal(labels[i].name, labels[j].name))
                return &labels[i];
    return NULL;
}

/* Moves over one space, which must not end the line. */
static bool take_space(const uint8_t **at, const uint8_t *end)
{
    if (end - *at < 2 || **at != ' ' || (*at)[1] == ' ')
        return false;
    ++*at;
    return true;
}

static struct slice take_word(const uint8_t **at, const uint8_t *end)
{
    const uint8_t *start = *at;
    while (*at < end && **at != ' ')
        ++*at;
    return slice_of(start, (size_t)(*at - start));
}

/* In code points, an escape counted as what it stands for. */
static size_t characters(struct slice text)
{
    size_t count = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t next = text.data[i] == '\\' && i + 1 < text.size ? text.data[i + 1] : 0;
        i += next == '\\' || next == '"' || next == 'n';
        count += (text.data[i] & 0xc0) != 0x80;
    }
    return count;
}

/* From '#' to the end of the line. */
static enum status exemplar_check(struct openmetrics *reader, struct slice line, const uint8_t *at)
{
    const uint8_t *end = line.data + line.size;
    if (end - at < 3 || memcmp(at, "# {", 3) != 0)
        return fault_at(reader, line, at, "an exemplar is expected here: # {labels} value");
    struct exposition_scan scan = {
        .at = at + 3, .end = end, .strict = true, .in_labels = true, .metric = slice_of(at, 0)};
    struct exposition_label label;
    struct exposition_label labels[EXEMPLAR_MAX_CHARACTERS];
    enum exposition_step step;
    size_t count = 0;
    size_t size = 0;
    while ((step = exposition_next(&scan, &label)) == EXPOSITION_LABEL) {
        size += characters(label.name) + characters(label.value);
        if (size <= EXEMPLAR_MAX_CHARACTERS && count < EXEMPLAR_MAX_CHARACTERS)
            labels[count++] = label;
    }
    if (step == EXPOSITION_FAULT)
        return fault_at(reader, line, scan.at, scan.fault);
    if (size > EXEMPLAR_MAX_CHARACTERS)
        return fault_at(reader, line, at, "the labels of an exemplar have 128 characters at most");
    const struct exposition_label *repeated = labels_repeat(labels, count);
    if (repeated != NULL)
        return fault_at(reader, line, repeated->name.data,
                        "an exemplar cannot have the same label twice");
    at = scan.at;
    double value;
    int64_t time_ms;
    int32_t time_ns;
    if (!take_space(&at, end))
        return fault_at(reader, line, at,
                        "one space and a value are expected after the labels of an exemplar");
    const uint8_t *number = at;
    if (exposition_number(take_word(&at, end), &value) == EXPOSITION_NO_NUMBER)
        return fault_at(reader, line, number, number_expected);
    if (at == end)
        return STATUS_OK;
    if (!take_space(&at, end))
        return fault_at(reader, line, at,
                        "one space and a timestamp, or the end of the line, are expected after the "
                        "value of an exemplar");
    const uint8_t *start = at;
    if (!seconds_parse(take_word(&at, end), &time_ms, &time_ns))
        return fault_at(reader, line, start, seconds_expected);
    if (at != end)
        return fault_at(reader, line, at, "nothing may follow the timestamp of an exemplar");
    return STATUS_OK;
}

/* What stands behind the series. *overflow: the value is beyond a double. */
static enum status read_values(struct openmetrics *reader, struct slice line, const uint8_t *at,
                               struct openmetrics_sample *sample, bool *overflow)
{
    const uint8_t *end = line.data + line.size;
    if (at == end || (at + 1 == end && *at == ' '))
        return fault_at(reader, line, at, "the line ends without a value");
    bool bare = at > line.data && at[-1] != '}';
    if (*at != ' ' && bare)
        return fault_at(reader, line, at,
                        "this character cannot be in a plain name, which has letters, digits, _ "
                        "and :; after the series, one space and a value are expected");
    if (!take_space(&at, end))
        return fault_at(reader, line, at, "one space and a value are expected after the series");
    const uint8_t *start = at;
    enum exposition_number kind = exposition_number(take_word(&at, end), &sample->value);
    if (kind == EXPOSITION_NO_NUMBER)
        return fault_at(reader, line, start, number_expected);
    *overflow = kind == EXPOSITION_OVERFLOW;
    if (*overflow)
        sample->value = sample->value < 0 ? -DBL_MAX : DBL_MAX;
    if (at == end)
        return STATUS_OK;
    if (!take_space(&at, end))
        return fault_at(reader, line, at,
                        "one space and a timestamp, or the end of the line, are "
                        "expected after the value");
    if (*at != '#') {
        start = at;
        sample->has_time = true;
        if (!seconds_parse(take_word(&at, end), &sample->time_ms, &sample->time_ns))
            return fault_at(reader, line, start, seconds_expected);
        if (at == end)
            return STATUS_OK;
        if (!take_space(&at, end))
            return fault_at(reader, line, at,
                            "an exemplar or the end of the line is expected "
                            "after the timestamp");
    }
    sample->has_exemplar = true;
    reader->exemplars++;
    return exemplar_check(reader, line, at);
}

static enum status sample_store(struct openmetrics *reader, struct slice raw,
                                const struct openmetrics_sample *sample, bool overflow)
{
    struct batch *batch = reader->batch;
    struct slice shown = slice_of(sample->name.data, utf8_prefix(sample->name, 200));
    if (overflow) {
        batch_reject(batch, 1, reader->index, reader->line, "value_out_of_range", shown,
                     "the value is beyond what a 64-bit floating-point number can hold");
        return STATUS_OK;
    }
    int64_t time_ms = sample->has_time ? sample->time_ms : reader->now_ms;
    if (sample->has_time && (time_ms < TIME_MIN_MS || time_ms >= TIME_MAX_MS)) {
        batch_reject(batch, 1, reader->index, reader->line, "timestamp_out_of_range", shown,
                     "the timestamp is outside of the years 1678 to 2262; it counts seconds since "
                     "1970");
        return STATUS_OK;
    }
    uint32_t series;
    enum status status = batch_add_series(batch, raw, reader->index, reader->line, &series);
    if (status == STATUS_OK)
        status = batch_add_sample(batch, series, time_ms, sample->value);
    return status == STATUS_OK ? STATUS_OK : openmetrics_no_memory(reader);
}

static enum status sample_line(struct openmetrics *reader, struct slice line)
{
    const uint8_t *end = line.data + line.size;
    struct exposition_scan scan;
    struct exposition_label label;
    enum exposition_step step = EXPOSITION_FAULT;
    enum status status = STATUS_OK;
    reader->label_count = 0;
    if (exposition_begin(&scan, line.data, end, true))
        while (status == STATUS_OK && (step = exposition_next(&scan, &label)) == EXPOSITION_LABEL)
            status = labels_push(reader, &label);
    if (status != STATUS_OK)
        return status;
    if (step == EXPOSITION_FAULT)
        return fault_at(reader, line, scan.at, scan.fault);
    if (scan.metric.size == 0)
        return fault_at(reader, line, line.data, "the metric name is empty");
    const struct exposition_label *repeated = labels_repeat(reader->labels, reader->label_count);
    if (repeated != NULL)
        return openmetrics_fault(reader, reader->line, "the label \"%.*s\" is given twice",
                                 SLICE_FORMAT(repeated->name));
    struct openmetrics_sample sample = {
        .name = scan.metric,
        .labels = reader->labels,
        .label_count = reader->label_count,
    };
    if (scan.metric_escaped &&
        exposition_unescape(reader->arena, scan.metric, EXPOSITION_LABEL_ESCAPES, &sample.name) !=
            STATUS_OK)
        return openmetrics_no_memory(reader);
    bool overflow = false;
    status = read_values(reader, line, scan.at, &sample, &overflow);
    if (status == STATUS_OK)
        status = openmetrics_family_sample(reader, &sample);
    if (status == STATUS_OK)
        status = sample_store(reader, slice_of(line.data, (size_t)(scan.at - line.data)), &sample,
                              overflow);
    reader->index++;
    return status;
}

/* ---- metadata -------------------------------------------------------------------------------- */

static enum status metadata_set(struct openmetrics *reader, struct slice line, const char *word,
                                struct slice text)
{
    struct openmetrics_family *family = &reader->family;
    bool *given = word[0] == 'T'   ? &family->has_type
                  : word[0] == 'U' ? &family->has_unit
                                   : &family->has_help;
    if (*given)
        return openmetrics_fault(reader, reader->line, "this is the second # %s of \"%.*s\"", word,
                                 SLICE_FORMAT(family->name));
    *given = true;
    if (given == &family->has_unit) {
        family->unit = text;
        family->unit_line = reader->line;
    } else if (given == &family->has_help) {
        if (exposition_unescape(reader->arena, text, EXPOSITION_LABEL_ESCAPES, &family->help) !=
            STATUS_OK)
            return openmetrics_no_memory(reader);
    } else if (!metric_type_parse(text, &family->type)) {
        return fault_at(reader, line, text.data,
                        "a type is expected here: counter, gauge, histogram, gaugehistogram, "
                        "summary, info, stateset or unknown");
    }
    return STATUS_OK;
}

static enum status metadata_line(struct openmetrics *reader, struct slice line)
{
    static const char *const words[] = {"TYPE", "HELP", "UNIT"};
    const uint8_t *end = line.data + line.size;
    const char *word = NULL;
    for (size_t i = 0; i < sizeof words / sizeof words[0] && line.size >= 7; i++)
        if (line.data[1] == ' ' && line.data[6] == ' ' && memcmp(line.data + 2, words[i], 4) == 0)
            word = words[i];
    if (word == NULL)
        return fault_at(reader, line, line.data,
                        "a line that begins with # is \"# TYPE NAME TYPE\", \"# HELP NAME TEXT\", "
                        "\"# UNIT NAME UNIT\" or \"# EOF\"; remarks are not allowed");
    const uint8_t *at = line.data + 7;
    struct slice name;
    bool escaped;
    if (!exposition_metric_name(&at, end, &name, &escaped))
        return fault_at(reader, line, at, "a metric name is expected here");
    if (at == end || *at != ' ')
        return fault_at(reader, line, at, "one space and a text are expected after the name");
    if (escaped &&
        exposition_unescape(reader->arena, name, EXPOSITION_LABEL_ESCAPES, &name) != STATUS_OK)
        return openmetrics_no_memory(reader);
    enum status status = openmetrics_family_metadata(reader, name);
    if (status != STATUS_OK)
        return status;
    return metadata_set(reader, line, word, slice_of(at + 1, (size_t)(end - at - 1)));
}

/* ---- the document ---------------------------------------------------------------------------- */

static enum status document_read(struct openmetrics *reader, struct slice body)
{
    const uint8_t *at = body.data;
    const uint8_t *end = body.data + body.size;
    while (at < end) {
        struct slice line = text_take_line(&at, end);
        reader->line++;
        if (slice_equal_text(line, "# EOF")) {
            if (at != end)
                return openmetrics_fault(reader, reader->line + 1, "nothing may follow # EOF");
            return openmetrics_family_close(reader);
        }
        if (line.size == 0)
            return openmetrics_fault(reader, reader->line, "the line is empty");
        if (!utf8_valid(line))
            return openmetrics_fault(reader, reader->line, "the line is not valid UTF-8");
        enum status status =
            line.data[0] == '#' ? metadata_line(reader, line) : sample_line(reader, line);
        if (status != STATUS_OK)
            return status;
    }
    return openmetrics_fault(reader, reader->line + 1,
                             "the document does not end with # EOF; it may have been cut off");
}

enum status protocols_openmetrics_parse(struct slice body, int64_t now_ms, uint64_t hash_seed,
                                        struct batch *batch, struct error *err)
{
    struct openmetrics reader = {
        .batch = batch,
        .arena = batch->arena,
        .now_ms = now_ms,
        .seed = hash_seed,
        .err = err,
    };
    enum status status = document_read(&reader, body);
    if (status == STATUS_OK && reader.exemplars > 0)
        batch_warn(batch, "%" PRIu64 " exemplars were read and not kept: only samples are stored",
                   reader.exemplars);
    return status;
}

/*
 * metrics_writer - Prometheus text 0.0.4 and OpenMetrics 1.0.0.
 *
 * The two differ in metadata (in text a counter's family is named with its suffix _total, and there
 * is neither UNIT nor the type info), in what is escaped in a help, and in the end mark. Samples
 * are the same in both, so that a series keeps its name and its `le` whatever a scraper asks for.
 */
#include "telemetry/telemetry.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/invariant.h"
#include "base/utf8.h"
#include "telemetry/counter.h"

enum { VALUE_TEXT_SIZE = 40 };

static void put(struct metrics_writer *writer, const void *data, size_t size)
{
    if (writer->status == STATUS_OK)
        writer->status = bytes_append(writer->to, data, size);
}

static void put_text(struct metrics_writer *writer, const char *text)
{
    put(writer, text, strlen(text));
}

/* ---- values ----------------------------------------------------------------------------- */

/* The shortest of the three precisions that reads back as the same double. */
static void put_double(struct metrics_writer *writer, double value)
{
    char text[VALUE_TEXT_SIZE];
    if (isnan(value))
        return put_text(writer, "NaN");
    if (isinf(value))
        return put_text(writer, value > 0 ? "+Inf" : "-Inf");
    for (int precision = 15; precision <= 17; precision++) {
        snprintf(text, sizeof text, "%.*g", precision, value);
        if (strtod(text, NULL) == value)
            break;
    }
    put_text(writer, text);
}

static void put_integer(struct metrics_writer *writer, uint64_t value)
{
    char text[VALUE_TEXT_SIZE];
    snprintf(text, sizeof text, "%" PRIu64, value);
    put_text(writer, text);
}

/* ---- labels ----------------------------------------------------------------------------- */

/* Backslash and newline as everywhere, the quotation mark where `quotes`. */
static void put_escaped(struct metrics_writer *writer, const char *text, bool quotes)
{
    struct slice rest = slice_from_text(text);
    for (size_t i = 0; i < rest.size;) {
        size_t size = utf8_char_size(rest, i);
        if (size == 0)
            put_text(writer, "\xef\xbf\xbd");
        else if (rest.data[i] == '\\')
            put_text(writer, "\\\\");
        else if (rest.data[i] == '\n')
            put_text(writer, "\\n");
        else if (rest.data[i] == '"' && quotes)
            put_text(writer, "\\\"");
        else
            put(writer, rest.data + i, size);
        i += size == 0 ? 1 : size;
    }
}

static void put_label(struct metrics_writer *writer, bool first, const char *name,
                      const char *value)
{
    put_text(writer, first ? "{" : ",");
    put_text(writer, name);
    put_text(writer, "=\"");
    put_escaped(writer, value, true);
    put_text(writer, "\"");
}

static bool is_label_name(const char *name)
{
    size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789_");
    return name[0] >= 'a' && name[0] <= 'z' && name[size] == 0;
}

/* Returns whether there was any. */
static bool put_labels(struct metrics_writer *writer, const struct metrics_label *labels)
{
    size_t count = 0;
    for (; labels != NULL && labels[count].name != NULL; count++) {
        invariant(is_label_name(labels[count].name) && strcmp(labels[count].name, "le") != 0);
        put_label(writer, count == 0, labels[count].name, labels[count].value);
    }
    return count > 0;
}

/* ---- families --------------------------------------------------------------------------- */

/* The suffixes of samples are kept for the writer: with them one family could be taken for a part
 * of another. */
static bool has_reserved_suffix(const char *name)
{
    static const char *const reserved[] = {"_total", "_bucket", "_sum",
                                           "_count", "_info",   "_created"};
    size_t size = strlen(name);
    for (size_t i = 0; i < sizeof reserved / sizeof reserved[0]; i++) {
        size_t suffix = strlen(reserved[i]);
        if (size >= suffix && strcmp(name + size - suffix, reserved[i]) == 0)
            return true;
    }
    return false;
}

static bool ends_with_word(const char *name, const char *word)
{
    size_t size = strlen(name);
    size_t word_size = strlen(word);
    return size > word_size + 1 && name[size - word_size - 1] == '_' &&
           strcmp(name + size - word_size, word) == 0;
}

static const char *suffix_of(enum metric_type type)
{
    return type == METRIC_COUNTER ? "_total" : type == METRIC_INFO ? "_info" : "";
}

static void put_metadata(struct metrics_writer *writer, const char *keyword, const char *name)
{
    put_text(writer, "# ");
    put_text(writer, keyword);
    put_text(writer, " ");
    put_text(writer, name);
    if (writer->format == METRICS_TEXT)
        put_text(writer, suffix_of(writer->type));
    put_text(writer, " ");
}

static void remember(struct metrics_writer *writer, const char *name)
{
    invariant(writer->family_count < METRICS_MAX_FAMILIES);
    for (size_t i = 0; i < writer->family_count; i++)
        invariant(strcmp(writer->names[i], name) != 0);
    writer->names[writer->family_count++] = name;
}

void metrics_begin(struct metrics_writer *writer, struct bytes *to, enum metrics_format format)
{
    *writer = (struct metrics_writer){.to = to, .format = format};
}

enum status metrics_finish(struct metrics_writer *writer)
{
    if (writer->format == METRICS_OPENMETRICS)
        put_text(writer, "# EOF\n");
    return writer->status;
}

void metrics_family(struct metrics_writer *writer, const char *name, enum metric_type type,
                    const char *unit, const char *help)
{
    invariant(is_label_name(name) && !has_reserved_suffix(name));
    invariant(type == METRIC_COUNTER || type == METRIC_GAUGE || type == METRIC_HISTOGRAM ||
              type == METRIC_SUMMARY || type == METRIC_INFO);
    invariant(unit == NULL || ends_with_word(name, unit));
    invariant(help[0] != 0);
    remember(writer, name);
    writer->type = type;
    bool openmetrics = writer->format == METRICS_OPENMETRICS;
    put_metadata(writer, "HELP", name);
    put_escaped(writer, help, openmetrics);
    put_text(writer, "\n");
    put_metadata(writer, "TYPE", name);
    put_text(writer, type == METRIC_INFO && !openmetrics ? "gauge" : metric_type_name(type));
    put_text(writer, "\n");
    if (unit == NULL || !openmetrics)
        return;
    put_metadata(writer, "UNIT", name);
    put_text(writer, unit);
    put_text(writer, "\n");
}

/* ---- samples ---------------------------------------------------------------------------- */

/* The name and the labels of a sample of the open family, up to the value. */
static void put_series(struct metrics_writer *writer, const char *suffix,
                       const struct metrics_label *labels)
{
    invariant(writer->family_count > 0);
    put_text(writer, writer->names[writer->family_count - 1]);
    put_text(writer, suffix);
    if (put_labels(writer, labels))
        put_text(writer, "}");
    put_text(writer, " ");
}

void metrics_count(struct metrics_writer *writer, const struct metrics_label *labels,
                   uint64_t value)
{
    invariant(writer->type == METRIC_COUNTER || writer->type == METRIC_GAUGE);
    put_series(writer, suffix_of(writer->type), labels);
    put_integer(writer, value);
    put_text(writer, "\n");
}

void metrics_value(struct metrics_writer *writer, const struct metrics_label *labels, double value)
{
    invariant(writer->type == METRIC_COUNTER || writer->type == METRIC_GAUGE);
    put_series(writer, suffix_of(writer->type), labels);
    put_double(writer, value);
    put_text(writer, "\n");
}

void metrics_info(struct metrics_writer *writer, const struct metrics_label *labels)
{
    invariant(writer->type == METRIC_INFO);
    put_series(writer, suffix_of(METRIC_INFO), labels);
    put_text(writer, "1\n");
}

static void put_sum_and_count(struct metrics_writer *writer, const struct metrics_label *labels,
                              double sum, uint64_t count)
{
    put_series(writer, "_sum", labels);
    put_double(writer, sum);
    put_text(writer, "\n");
    put_series(writer, "_count", labels);
    put_integer(writer, count);
    put_text(writer, "\n");
}

void metrics_summary(struct metrics_writer *writer, const struct metrics_label *labels,
                     uint64_t count, double sum)
{
    invariant(writer->type == METRIC_SUMMARY);
    put_sum_and_count(writer, labels, sum, count);
}

/* "0.25", and "1.0" where other writers of this format print a whole number so: `le` is text. */
static void bound_format(char text[VALUE_TEXT_SIZE], double bound)
{
    snprintf(text, VALUE_TEXT_SIZE, bound == floor(bound) ? "%.1f" : "%.15g", bound);
}

static void put_bucket(struct metrics_writer *writer, const struct metrics_label *labels,
                       const char *bound, uint64_t count)
{
    put_text(writer, writer->names[writer->family_count - 1]);
    put_text(writer, "_bucket");
    bool any = put_labels(writer, labels);
    put_label(writer, !any, "le", bound);
    put_text(writer, "} ");
    put_integer(writer, count);
    put_text(writer, "\n");
}

void metrics_buckets(struct metrics_writer *writer, const struct metrics_label *labels,
                     const struct histogram_bounds *bounds, const uint64_t *counts, uint64_t sum)
{
    invariant(writer->type == METRIC_HISTOGRAM);
    uint64_t count = 0;
    for (size_t i = 0; i < bounds->count; i++) {
        char text[VALUE_TEXT_SIZE];
        bound_format(text, (double)bounds->bounds[i] / (double)bounds->scale);
        count += counts[i];
        put_bucket(writer, labels, text, count);
    }
    /* The count is the buckets' sum and not a number of its own, so that the two always agree. */
    count += counts[bounds->count];
    put_bucket(writer, labels, "+Inf", count);
    put_sum_and_count(writer, labels, (double)sum / (double)bounds->scale, count);
}

void metrics_histogram(struct metrics_writer *writer, const struct metrics_label *labels,
                       const struct histogram *histogram)
{
    uint64_t counts[HISTOGRAM_MAX_BOUNDS + 1];
    for (size_t i = 0; i <= histogram->bounds->count; i++)
        counts[i] = counter_read(&histogram->buckets[i]);
    metrics_buckets(writer, labels, histogram->bounds, counts, counter_read(&histogram->sum));
}

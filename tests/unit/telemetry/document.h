/*
 * document - a strict reader of what telemetry writes: Prometheus text 0.0.4 or OpenMetrics 1.0.0.
 *
 * Fails the test at the first line that a scraper could refuse: order of the lines of a family,
 * families and series that come twice, names, escapes, UTF-8, values, suffixes that do not fit the
 * type, buckets that do not rise or do not add up to the count.
 */
#ifndef METRIC_STORE_TESTS_UNIT_TELEMETRY_DOCUMENT_H
#define METRIC_STORE_TESTS_UNIT_TELEMETRY_DOCUMENT_H

#include <math.h>

#include "base/utf8.h"
#include "telemetry/telemetry.h"

enum { DOCUMENT_MAX_SERIES = 8192, DOCUMENT_MAX_NAMES = 512, DOCUMENT_TEXT_SIZE = 1 << 10 };

struct document_series {
    char *text; /* "name{a=\"b\"}" as it stands there */
    char value[64];
};

struct document {
    bool openmetrics;
    struct document_series series[DOCUMENT_MAX_SERIES];
    size_t count;
    char *families[DOCUMENT_MAX_NAMES];
    size_t family_count;
    /* of the family that is open */
    char family[128];
    char type[32];
    size_t family_series; /* index of its first */
    /* of the histogram that is open */
    char buckets[DOCUMENT_TEXT_SIZE]; /* labels without le */
    double last_bound;
    double last_count;
};

#define document_check(condition, line)                                                            \
    do {                                                                                           \
        if (!(condition))                                                                          \
            test_fail("not so: %s\nin line: %s", #condition, (line));                              \
    } while (0)

static size_t document_name_size(const char *text)
{
    size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:");
    return size > 0 && (text[0] < '0' || text[0] > '9') ? size : 0;
}

static bool document_has_suffix(const char *text, const char *suffix)
{
    size_t size = strlen(text);
    return size > strlen(suffix) && strcmp(text + size - strlen(suffix), suffix) == 0;
}

/* The end of an escaped text: its closing quotation mark, or the end of the line. */
static const char *document_escaped(const char *at, bool quoted, bool quote_escape,
                                    const char *line)
{
    for (; *at != 0 && !(quoted && *at == '"'); at++) {
        if (*at != '\\')
            continue;
        at++;
        document_check(*at == '\\' || *at == 'n' || (*at == '"' && quote_escape), line);
    }
    return at;
}

static void document_metadata(struct document *document, const char *line)
{
    char keyword[8];
    char name[128];
    int after = 0;
    document_check(sscanf(line, "# %7[A-Z] %127[^ ] %n", keyword, name, &after) == 2, line);
    document_check(document_name_size(name) == strlen(name), line);
    const char *rest = line + after;
    if (strcmp(keyword, "HELP") == 0) {
        document_check(rest[0] != 0, line);
        document_check(*document_escaped(rest, false, document->openmetrics, line) == 0, line);
        for (size_t i = 0; i < document->family_count; i++)
            document_check(strcmp(document->families[i], name) != 0, line);
        document_check(document->family_count < DOCUMENT_MAX_NAMES, line);
        document->families[document->family_count++] = strdup(name);
        strcpy(document->family, name);
        document->type[0] = 0;
        document->family_series = document->count;
        document->buckets[0] = 0;
        return;
    }
    document_check(strcmp(document->family, name) == 0, line);
    document_check(document->family_series == document->count, line);
    if (strcmp(keyword, "UNIT") == 0) {
        char suffix[64];
        snprintf(suffix, sizeof suffix, "_%s", rest);
        document_check(document->openmetrics && document->type[0] != 0, line);
        document_check(document_has_suffix(name, suffix), line);
        return;
    }
    document_check(strcmp(keyword, "TYPE") == 0 && document->type[0] == 0, line);
    document_check(strcmp(rest, "counter") == 0 || strcmp(rest, "gauge") == 0 ||
                       strcmp(rest, "histogram") == 0 || strcmp(rest, "summary") == 0 ||
                       (document->openmetrics && strcmp(rest, "info") == 0),
                   line);
    document_check((strcmp(rest, "counter") == 0 && !document->openmetrics) ==
                       document_has_suffix(name, "_total"),
                   line);
    strcpy(document->type, rest);
}

/* Whether a sample of the open family may be called so; gives the suffix. */
static const char *document_suffix(const struct document *document, const char *name,
                                   const char *line)
{
    size_t size = strlen(document->family);
    document_check(strncmp(name, document->family, size) == 0, line);
    const char *suffix = name + size;
    if (strcmp(document->type, "histogram") == 0)
        document_check(strcmp(suffix, "_bucket") == 0 || strcmp(suffix, "_sum") == 0 ||
                           strcmp(suffix, "_count") == 0,
                       line);
    else if (strcmp(document->type, "summary") == 0)
        document_check(strcmp(suffix, "_sum") == 0 || strcmp(suffix, "_count") == 0, line);
    else if (strcmp(document->type, "counter") == 0 && document->openmetrics)
        document_check(strcmp(suffix, "_total") == 0, line);
    else if (strcmp(document->type, "info") == 0)
        document_check(strcmp(suffix, "_info") == 0, line);
    else
        document_check(suffix[0] == 0, line);
    return suffix;
}

/* Reads `{...}` and gives what is behind it; collects the labels but le, and le itself. */
static const char *document_labels(const char *at, char *others, char *le, const char *line)
{
    others[0] = le[0] = 0;
    if (*at != '{')
        return at;
    do {
        at++;
        size_t name = document_name_size(at);
        document_check(name > 0 && at[name] == '=' && at[name + 1] == '"', line);
        const char *end = document_escaped(at + name + 2, true, true, line);
        document_check(*end == '"', line);
        char pattern[32];
        snprintf(pattern, sizeof pattern, ",%.*s=", (int)name, at);
        document_check(strstr(others, pattern) == NULL, line);
        if (name == 2 && memcmp(at, "le", 2) == 0)
            snprintf(le, 64, "%.*s", (int)(end - at - 4), at + 4);
        else
            snprintf(others + strlen(others), DOCUMENT_TEXT_SIZE - strlen(others), ",%.*s",
                     (int)(end + 1 - at), at);
        at = end + 1;
    } while (*at == ',');
    document_check(*at == '}', line);
    return at + 1;
}

static double document_number(const char *text, const char *line)
{
    if (strcmp(text, "+Inf") == 0)
        return INFINITY;
    if (strcmp(text, "-Inf") == 0)
        return -INFINITY;
    if (strcmp(text, "NaN") == 0)
        return NAN;
    document_check(text[0] != 0 && strspn(text, "0123456789+-.e") == strlen(text), line);
    char *end;
    double value = strtod(text, &end);
    document_check(*end == 0, line);
    return value;
}

static void document_histogram(struct document *document, const char *suffix, const char *labels,
                               const char *le, double value, const char *line)
{
    if (strcmp(suffix, "_bucket") != 0) {
        /* Behind all buckets of the same labels, of which the last is infinite. */
        document_check(le[0] == 0 && strcmp(labels, document->buckets) == 0, line);
        document_check(isinf(document->last_bound), line);
        if (strcmp(suffix, "_count") == 0) {
            document_check(value == document->last_count, line);
            document->buckets[0] = 0;
        }
        return;
    }
    document_check(le[0] != 0 && strpbrk(le, ".I") != NULL, line);
    double bound = document_number(le, line);
    bool first = document->family_series == document->count ||
                 strcmp(labels, document->buckets) != 0 || isinf(document->last_bound);
    document_check(first || (bound > document->last_bound && value >= document->last_count), line);
    strcpy(document->buckets, labels);
    document->last_bound = bound;
    document->last_count = value;
}

static void document_sample(struct document *document, const char *line)
{
    char name[128] = {0};
    char labels[DOCUMENT_TEXT_SIZE];
    char le[64];
    size_t name_size = document_name_size(line);
    document_check(name_size > 0 && name_size < sizeof name && document->type[0] != 0, line);
    memcpy(name, line, name_size);
    const char *suffix = document_suffix(document, name, line);
    const char *end = document_labels(line + name_size, labels, le, line);
    document_check(*end == ' ' && strlen(end + 1) < sizeof document->series[0].value, line);
    double value = document_number(end + 1, line);
    if (strcmp(document->type, "histogram") == 0)
        document_histogram(document, suffix, labels, le, value, line);
    else
        document_check(le[0] == 0, line);
    if (strcmp(document->type, "counter") == 0)
        document_check(value >= 0, line);

    char *text = strndup(line, (size_t)(end - line));
    for (size_t i = document->family_series; i < document->count; i++)
        document_check(strcmp(document->series[i].text, text) != 0, line);
    document_check(document->count < DOCUMENT_MAX_SERIES, line);
    document->series[document->count].text = text;
    strcpy(document->series[document->count].value, end + 1);
    document->count++;
}

/* The caller's, ended by free. Not strndup: the bytes have no end that a checker of texts could
 * see. */
static char *document_text(struct slice bytes)
{
    char *text = malloc(bytes.size + 1);
    assert_non_null(text);
    memcpy(text, bytes.data, bytes.size);
    text[bytes.size] = 0;
    return text;
}

/* Gives a document, ended by document_free. */
static struct document *document_read(struct slice bytes, enum metrics_format format)
{
    struct document *document = calloc(1, sizeof *document);
    document->openmetrics = format == METRICS_OPENMETRICS;
    assert_true(utf8_valid(bytes));
    char *text = document_text(bytes);
    assert_int_equal(strlen(text), bytes.size);
    bool ended = false;
    for (char *line = text; *line != 0;) {
        char *end = strchr(line, '\n');
        document_check(end != NULL && !ended, line);
        *end = 0;
        if (strcmp(line, "# EOF") == 0)
            ended = true;
        else if (line[0] == '#')
            document_metadata(document, line);
        else
            document_sample(document, line);
        line = end + 1;
    }
    assert_int_equal(ended, document->openmetrics);
    free(text);
    return document;
}

static void document_free(struct document *document)
{
    for (size_t i = 0; i < document->count; i++)
        free(document->series[i].text);
    for (size_t i = 0; i < document->family_count; i++)
        free(document->families[i]);
    free(document);
}

/* The value as text; NULL where there is no such series. */
__attribute__((unused)) static const char *document_value(const struct document *document,
                                                          const char *series)
{
    for (size_t i = 0; i < document->count; i++)
        if (strcmp(document->series[i].text, series) == 0)
            return document->series[i].value;
    return NULL;
}

#define document_expect(document, series, expected)                                                \
    do {                                                                                           \
        const char *found_ = document_value(document, series);                                     \
        if (found_ == NULL)                                                                        \
            test_fail("there is no %s", series);                                                   \
        assert_string_equal(found_, expected);                                                     \
    } while (0)

#endif

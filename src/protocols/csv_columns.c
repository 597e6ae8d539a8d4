#include <stdio.h>

#include "base/shown.h"
#include "base/utf8.h"
#include "protocols/csv.h"

#define FORMAT_HELP                                                                                \
    "an entry is COLUMN:KIND or COLUMN:KIND:NAME; COLUMN is a number from 1 or a name of the "     \
    "header, KIND one of name, labels, label, value, metric and time"

/* ---- format ------------------------------------------------------------------------------ */

/* What stands before `mark`, or all; *text goes on behind the mark. False: nothing was left. */
static bool take_until(struct slice *text, uint8_t mark, struct slice *part)
{
    if (text->data == NULL)
        return false;
    const uint8_t *found = text->size == 0 ? NULL : memchr(text->data, mark, text->size);
    if (found == NULL) {
        *part = *text;
        *text = slice_of(NULL, 0);
        return true;
    }
    *part = slice_of(text->data, (size_t)(found - text->data));
    *text = slice_from(*text, part->size + 1);
    return true;
}

static enum status refuse_entry(struct slice entry, const char *why, struct error *err)
{
    struct shown shown = shown_text(entry);
    return fail_code(err, STATUS_INVALID, "invalid_parameter", "\"%s\": %s", shown.text, why);
}

static bool kind_of(struct slice word, enum csv_kind *kind)
{
    static const char *const names[CSV_KIND_COUNT] = {
        [CSV_IGNORED] = "",    [CSV_NAME] = "name",   [CSV_LABELS] = "labels",
        [CSV_LABEL] = "label", [CSV_VALUE] = "value", [CSV_METRIC] = "metric",
        [CSV_TIME] = "time",
    };
    for (unsigned i = CSV_NAME; i < CSV_KIND_COUNT; i++)
        if (slice_equal_text(word, names[i])) {
            *kind = (enum csv_kind)i;
            return true;
        }
    return false;
}

static bool unit_of(struct slice word, enum csv_time *unit)
{
    static const struct {
        const char *name;
        enum csv_time unit;
    } units[] = {
        {"unix_s", CSV_TIME_S},   {"unix_ms", CSV_TIME_MS},      {"unix_us", CSV_TIME_US},
        {"unix_ns", CSV_TIME_NS}, {"rfc3339", CSV_TIME_RFC3339},
    };
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++)
        if (slice_equal_text(word, units[i].name)) {
            *unit = units[i].unit;
            return true;
        }
    return false;
}

/* Digits alone are a column's number; 0 where it is none or too large. */
static bool number_of(struct slice word, size_t *number)
{
    *number = 0;
    for (size_t i = 0; i < word.size; i++) {
        if (word.data[i] < '0' || word.data[i] > '9')
            return false;
        *number = *number * 10 + (size_t)(word.data[i] - '0');
        if (*number > CSV_COLUMNS_MAX)
            *number = CSV_COLUMNS_MAX + 1;
    }
    return word.size > 0;
}

static enum status rule_read(struct csv_rule *rule, struct slice entry, struct error *err)
{
    struct slice rest = entry;
    struct slice kind;
    *rule = (struct csv_rule){0};
    struct csv_column *column = &rule->column;
    if (!take_until(&rest, ':', &rule->title) || rule->title.size == 0 ||
        !take_until(&rest, ':', &kind) || !kind_of(kind, &column->kind))
        return refuse_entry(entry, FORMAT_HELP, err);
    if (number_of(rule->title, &rule->number) &&
        (rule->number == 0 || rule->number > CSV_COLUMNS_MAX))
        return refuse_entry(entry, "columns are numbered from 1 to 4096", err);
    column->name = rest;
    bool named = column->kind == CSV_LABEL || column->kind == CSV_METRIC;
    if (rest.data != NULL && rest.size == 0)
        return refuse_entry(entry, "a name is expected behind the last colon", err);
    if (column->kind == CSV_TIME && rest.data != NULL && !unit_of(rest, &column->unit))
        return refuse_entry(
            entry, "a time is unix_s, unix_ms, unix_us, unix_ns or rfc3339; none: by its look",
            err);
    if (!named && column->kind != CSV_TIME && rest.data != NULL)
        return refuse_entry(entry, "only label, metric and time take something behind it", err);
    return STATUS_OK;
}

static enum status no_memory(const struct csv_columns *columns, struct error *err)
{
    return fail(err, arena_status(columns->arena), "no memory for the columns of a CSV document");
}

static enum status rules_read(struct csv_columns *columns, struct slice format, struct error *err)
{
    struct slice copy = arena_copy(columns->arena, format);
    size_t entries = 1;
    for (size_t i = 0; i < format.size; i++)
        entries += format.data[i] == ',';
    if (entries > CSV_COLUMNS_MAX)
        return refuse_entry(format, "more than 4096 entries", err);
    columns->rules = arena_calloc(columns->arena, entries, sizeof columns->rules[0]);
    if (copy.data == NULL || columns->rules == NULL)
        return no_memory(columns, err);
    struct slice entry;
    while (take_until(&copy, ',', &entry)) {
        enum status status = rule_read(&columns->rules[columns->rule_count++], entry, err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* ---- columns ----------------------------------------------------------------------------- */

static enum status columns_count(struct csv_columns *columns, const char *code, struct error *err)
{
    static const char *const once[CSV_KIND_COUNT] = {
        [CSV_NAME] = "the metric's name",
        [CSV_LABELS] = "labels as JSON",
        [CSV_VALUE] = "the value",
        [CSV_TIME] = "the time",
    };
    for (size_t i = 0; i < columns->count; i++)
        columns->of_kind[columns->items[i].kind]++;
    for (unsigned i = 0; i < CSV_KIND_COUNT; i++)
        if (once[i] != NULL && columns->of_kind[i] > 1)
            return fail_code(err, STATUS_INVALID, code,
                             "%zu columns hold %s; map columns, so that one does",
                             columns->of_kind[i], once[i]);
    bool pair = columns->of_kind[CSV_NAME] > 0 && columns->of_kind[CSV_VALUE] > 0;
    bool half = columns->of_kind[CSV_NAME] > 0 || columns->of_kind[CSV_VALUE] > 0;
    if (pair || (columns->of_kind[CSV_METRIC] > 0 && !half))
        return STATUS_OK;
    return fail_code(
        err, STATUS_INVALID, code,
        "there is no column for the %s; a header has name, value, labels and timestamp, "
        "or columns are mapped, as 1:name,2:value or 3:metric:NAME",
        columns->of_kind[CSV_NAME] > 0 ? "value" : "metric's name");
}

/* One column that is several: of a program that separates them by something else. */
static bool is_separated_otherwise(const struct slice *titles, size_t count)
{
    return count == 1 && titles[0].size > 0 &&
           (memchr(titles[0].data, ';', titles[0].size) != NULL ||
            memchr(titles[0].data, '\t', titles[0].size) != NULL);
}

static enum status put_rules(struct csv_columns *columns, const struct slice *titles,
                             const char *code, struct error *err)
{
    for (size_t i = 0; i < columns->rule_count; i++) {
        const struct csv_rule *rule = &columns->rules[i];
        size_t at = rule->number > 0 ? rule->number - 1 : 0;
        while (rule->number == 0 && titles != NULL && at < columns->count &&
               !slice_equal(titles[at], rule->title))
            at++;
        if (at >= columns->count) {
            struct shown shown = shown_text(rule->title);
            return fail_code(err, STATUS_INVALID, code,
                             "the header has %zu columns, and none is \"%s\", which is mapped",
                             columns->count, shown.text);
        }
        struct csv_column *column = &columns->items[at];
        if (column->kind != CSV_IGNORED)
            return fail_code(err, STATUS_INVALID, "invalid_parameter", "column %zu is mapped twice",
                             at + 1);
        *column = rule->column;
        bool named = column->kind == CSV_LABEL || column->kind == CSV_METRIC;
        if (named && column->name.data == NULL && titles == NULL)
            return refuse_entry(rule->title, "without a header a label or metric needs a name",
                                err);
        if (named && column->name.data == NULL)
            column->name = titles[at];
    }
    return STATUS_OK;
}

static struct csv_column column_titled(struct slice title)
{
    static const struct {
        const char *title;
        enum csv_kind kind;
    } known[] = {
        {"name", CSV_NAME},     {METRIC_NAME_LABEL, CSV_NAME}, {"metric", CSV_NAME},
        {"labels", CSV_LABELS}, {"value", CSV_VALUE},          {"timestamp", CSV_TIME},
        {"time", CSV_TIME},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        if (slice_equal_text(title, known[i].title))
            return (struct csv_column){.kind = known[i].kind};
    return (struct csv_column){.kind = CSV_LABEL, .name = title};
}

static enum status columns_alloc(struct csv_columns *columns, size_t count, struct error *err)
{
    columns->items = arena_calloc(columns->arena, count, sizeof columns->items[0]);
    columns->count = count;
    return columns->items == NULL ? no_memory(columns, err) : STATUS_OK;
}

enum status csv_columns_begin(struct csv_columns *columns, struct slice format,
                              enum csv_header header, struct error *err)
{
    enum status status = format.size > 0 ? rules_read(columns, format, err) : STATUS_OK;
    if (status != STATUS_OK)
        return status;
    size_t last = 0;
    const struct csv_rule *named = NULL;
    for (size_t i = 0; i < columns->rule_count; i++) {
        const struct csv_rule *rule = &columns->rules[i];
        last = rule->number > last ? rule->number : last;
        named = rule->number == 0 ? rule : named;
    }
    bool numbered = columns->rule_count > 0 && named == NULL;
    columns->has_header = header == CSV_HEADER_YES || (header == CSV_HEADER_AUTO && !numbered);
    if (columns->has_header)
        return STATUS_OK;
    if (named != NULL)
        return refuse_entry(named->title, "without a header columns are given by number", err);
    if (!numbered)
        return fail_code(err, STATUS_INVALID, "invalid_parameter",
                         "without a header columns must be mapped");
    status = columns_alloc(columns, last, err);
    if (status == STATUS_OK)
        status = put_rules(columns, NULL, "invalid_parameter", err);
    return status == STATUS_OK ? columns_count(columns, "invalid_parameter", err) : status;
}

enum status csv_columns_header(struct csv_columns *columns, const struct slice *titles,
                               size_t count, struct error *err)
{
    static const char code[] = "csv_header_invalid";
    for (size_t i = 0; i < count; i++)
        if (!utf8_valid(titles[i]))
            return fail_code(err, STATUS_INVALID, code,
                             "the name of column %zu in the header is not valid UTF-8", i + 1);
    if (columns->rule_count == 0 && is_separated_otherwise(titles, count)) {
        struct shown shown = shown_text(titles[0]);
        return fail_code(err, STATUS_INVALID, code,
                         "the header is one column, \"%s\"; columns are separated by commas",
                         shown.text);
    }
    enum status status = columns_alloc(columns, count, err);
    if (status == STATUS_OK && columns->rule_count > 0)
        status = put_rules(columns, titles, code, err);
    for (size_t i = 0; status == STATUS_OK && columns->rule_count == 0 && i < count; i++) {
        columns->items[i] = column_titled(titles[i]);
        if (titles[i].size == 0)
            status =
                fail_code(err, STATUS_INVALID, code, "column %zu of the header has no name", i + 1);
    }
    return status == STATUS_OK ? columns_count(columns, code, err) : status;
}

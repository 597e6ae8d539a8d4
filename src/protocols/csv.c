/*
 * Records and their cells. A record ends with a line end outside of quotes, so that what one means
 * depends on all quotes before it. A fault is one of the line on which its record begins, and
 * reading goes on with the next line: a quote too many then costs its own line alone.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/times.h"
#include "base/utf8.h"
#include "protocols/csv.h"
#include "protocols/exposition.h"
#include "protocols/json_sample.h"

enum {
    SHOWN_NAME_SIZE = 200,
    TIME_TEXT_MAX = 64,
    RAW_MAX = 4 * CSV_RECORD_MAX_SIZE, /* of a series: what a line holds, and the header's names */
};

struct cell {
    struct slice text; /* between its quotes */
    bool escaped;      /* has doubled quotes */
};

struct csv_parser {
    struct csv_options options;
    struct arena arena; /* of `columns` */
    struct csv_columns columns;
    bool begun;          /* behind the byte order mark */
    bool titled;         /* the header was read, or there is none */
    bool skipping;       /* inside of a line that is too long */
    uint64_t line;       /* of the next byte, from 1 */
    uint64_t first_line; /* of the first byte */
    uint64_t taken;
    uint64_t header_size, header_lines; /* with all before it; 0: it was not read */
    uint32_t index;
    struct cell cells[CSV_COLUMNS_MAX];
    size_t cell_count;
    struct slice texts[CSV_COLUMNS_MAX]; /* of the cells */
    struct bytes raw;
};

enum status csv_parser_new(struct csv_parser **result, const struct csv_options *options,
                           struct error *err)
{
    *result = NULL;
    struct csv_parser *parser = calloc(1, sizeof *parser);
    if (parser == NULL) {
        fail(err, STATUS_MEMORY, "no memory to read CSV");
        return STATUS_MEMORY;
    }
    parser->options = *options;
    parser->line = parser->first_line = 1;
    arena_init(&parser->arena, CSV_HEADER_MEMORY);
    bytes_init(&parser->raw, RAW_MAX);
    parser->columns.arena = &parser->arena;
    enum status status = csv_columns_begin(&parser->columns, options->format, options->header, err);
    if (status != STATUS_OK) {
        csv_parser_free(parser);
        return status;
    }
    parser->titled = !parser->columns.has_header;
    *result = parser;
    return STATUS_OK;
}

void csv_parser_free(struct csv_parser *parser)
{
    if (parser == NULL)
        return;
    arena_release(&parser->arena);
    bytes_release(&parser->raw);
    free(parser);
}

/* ---- records ----------------------------------------------------------------------------- */

enum record_outcome {
    RECORD_TAKEN,
    RECORD_MORE, /* it goes on behind the text */
    RECORD_FAULT,
};

struct record {
    const uint8_t *start;
    const uint8_t *at; /* behind it; at a fault there */
    const uint8_t *end;
    bool ended; /* nothing follows `end` */
    bool done;  /* its line end was taken */
    const char *fault;
};

static enum record_outcome record_fault(struct record *record, const char *fault)
{
    record->fault = fault;
    return RECORD_FAULT;
}

/* Behind the closing quote of a cell. */
static enum record_outcome quoted_end(struct record *record)
{
    const uint8_t *at = record->at;
    size_t left = (size_t)(record->end - at);
    bool comma = left > 0 && *at == ',';
    size_t line_end = left > 0 && *at == '\n'                      ? 1
                      : left > 1 && at[0] == '\r' && at[1] == '\n' ? 2
                                                                   : 0;
    if (left == 0 || (left == 1 && *at == '\r')) {
        if (!record->ended)
            return RECORD_MORE;
        line_end = left;
        record->done = true;
    } else if (line_end > 0) {
        record->done = true;
    } else if (!comma) {
        return record_fault(record, "a comma or the end of the line is expected after the closing "
                                    "quote; a quote inside of quotes is written twice");
    }
    record->at += comma ? 1 : line_end;
    return RECORD_TAKEN;
}

/* `at` is behind the opening quote. */
static enum record_outcome quoted_cell(struct record *record, struct cell *cell)
{
    const uint8_t *start = record->at;
    const uint8_t *at = start;
    for (;;) {
        const uint8_t *quote =
            at == record->end ? NULL : memchr(at, '"', (size_t)(record->end - at));
        if (quote == NULL && record->ended) {
            record->at = start - 1;
            return record_fault(record, "the cell that begins here has no closing quote");
        }
        if (quote == NULL || (quote + 1 == record->end && !record->ended))
            return RECORD_MORE;
        if (quote + 1 == record->end || quote[1] != '"') {
            cell->text = slice_of(start, (size_t)(quote - start));
            record->at = quote + 1;
            return quoted_end(record);
        }
        cell->escaped = true;
        at = quote + 2;
    }
}

static enum record_outcome plain_cell(struct record *record, struct cell *cell)
{
    const uint8_t *start = record->at;
    const uint8_t *at = start;
    while (at < record->end && *at != ',' && *at != '\n' && *at != '"')
        at++;
    if (at == record->end && !record->ended)
        return RECORD_MORE;
    if (at < record->end && *at == '"') {
        record->at = at;
        return record_fault(record, "a quote inside of a cell without quotes; put the cell into "
                                    "quotes and write the quote twice");
    }
    record->done = at == record->end || *at == '\n';
    record->at = at == record->end ? at : at + 1;
    if (record->done && at > start && at[-1] == '\r')
        at--;
    cell->text = slice_of(start, (size_t)(at - start));
    return RECORD_TAKEN;
}

static enum record_outcome record_scan(struct csv_parser *parser, struct record *record)
{
    parser->cell_count = 0;
    while (!record->done) {
        if (parser->cell_count == CSV_COLUMNS_MAX)
            return record_fault(record, "more than 4096 cells in one line");
        struct cell *cell = &parser->cells[parser->cell_count++];
        *cell = (struct cell){0};
        enum record_outcome outcome;
        if (record->at < record->end && *record->at == '"') {
            record->at++;
            outcome = quoted_cell(record, cell);
        } else {
            outcome = plain_cell(record, cell);
        }
        if (outcome != RECORD_TAKEN)
            return outcome;
    }
    return RECORD_TAKEN;
}

/* ---- cells ------------------------------------------------------------------------------- */

static enum status cells_read(struct csv_parser *parser, struct arena *arena)
{
    for (size_t i = 0; i < parser->cell_count; i++) {
        const struct cell *cell = &parser->cells[i];
        parser->texts[i] = cell->text;
        if (!cell->escaped)
            continue;
        uint8_t *text = arena_alloc(arena, cell->text.size);
        if (text == NULL)
            return arena_status(arena);
        size_t size = 0;
        for (size_t j = 0; j < cell->text.size; j++) {
            text[size++] = cell->text.data[j];
            j += cell->text.data[j] == '"';
        }
        parser->texts[i] = slice_of(text, size);
    }
    return STATUS_OK;
}

static struct slice trimmed(struct slice text)
{
    while (text.size > 0 && exposition_is_blank(text.data[0]))
        text = slice_from(text, 1);
    while (text.size > 0 && exposition_is_blank(text.data[text.size - 1]))
        text.size--;
    return text;
}

/* Why a cell cannot be taken. */
struct cell_fault {
    const char *code;
    const char *what;
};

static bool value_read(struct slice text, double *value, struct cell_fault *fault)
{
    text = trimmed(text);
    if (json_value_word(text, value))
        return true;
    switch (exposition_number(text, value)) {
    case EXPOSITION_NUMBER:
        return true;
    case EXPOSITION_OVERFLOW:
        *fault = (struct cell_fault){"value_out_of_range",
                                     "the value is beyond the largest double (1.8e308); infinity "
                                     "is +Inf or -Inf"};
        return false;
    case EXPOSITION_NO_NUMBER:
        break;
    }
    if (text.size == 0)
        *fault = (struct cell_fault){"value_missing", "the cell of the value is empty"};
    else
        *fault = (struct cell_fault){"value_invalid",
                                     "the value is neither a number nor one of NaN, +Inf, -Inf, "
                                     "stale and nan: with the 16 hexadecimal digits of a NaN"};
    return false;
}

/* RFC 3339, or PostgreSQL's "2026-11-22 10:00:00+00", whose offset has no minutes. */
static bool instant_read(struct slice text, int64_t *time_ms)
{
    enum { SHORT_OFFSET = 3, TIME_OFFSET_MIN = 19 };
    uint8_t longer[TIME_TEXT_MAX];
    if (text.size >= TIME_OFFSET_MIN + SHORT_OFFSET && text.size + SHORT_OFFSET <= sizeof longer &&
        (text.data[text.size - SHORT_OFFSET] == '+' ||
         text.data[text.size - SHORT_OFFSET] == '-')) {
        memcpy(longer, text.data, text.size);
        memcpy(longer + text.size, ":00", SHORT_OFFSET);
        text = slice_of(longer, text.size + SHORT_OFFSET);
    }
    return instant_parse(text, time_ms);
}

static bool time_read(const struct csv_parser *parser, enum csv_time unit, struct slice text,
                      int64_t *time_ms, struct cell_fault *fault)
{
    enum time_precision precision = parser->options.precision;
    if (unit >= CSV_TIME_S && unit <= CSV_TIME_NS)
        precision = (enum time_precision)(TIME_PRECISION_SECONDS + (unit - CSV_TIME_S));
    text = trimmed(text);
    int64_t number;
    enum json_number result =
        unit == CSV_TIME_RFC3339 ? JSON_NUMBER_INVALID : json_integer_parse(text, &number);
    bool in_range = false;
    if (result == JSON_NUMBER_OK)
        in_range = time_precision_convert(number, precision, time_ms);
    else if (result == JSON_NUMBER_INVALID && unit != CSV_TIME_ANY && unit != CSV_TIME_RFC3339)
        *fault = (struct cell_fault){"timestamp_invalid",
                                     "the time is not a whole number; a finer unit has no point"};
    else if (result == JSON_NUMBER_INVALID && !instant_read(text, time_ms))
        *fault = (struct cell_fault){
            "timestamp_invalid", "the time is neither a whole number nor like 2026-11-22T10:00:00Z "
                                 "or 2026-11-22 10:00:00+00, with Z or an offset"};
    else
        in_range = result == JSON_NUMBER_INVALID;
    if (fault->code != NULL)
        return false;
    if (in_range && *time_ms >= TIME_MIN_MS && *time_ms < TIME_MAX_MS)
        return true;
    *fault = (struct cell_fault){"timestamp_out_of_range",
                                 "the time is outside the years 1678 to 2262 that can be stored"};
    return false;
}

/* ---- lines ------------------------------------------------------------------------------- */

static void refuse(struct csv_parser *parser, struct batch *batch, uint64_t samples,
                   struct slice metric, size_t column, struct cell_fault fault)
{
    struct slice shown = slice_of(NULL, 0);
    if (utf8_valid(metric))
        shown = slice_of(metric.data, utf8_prefix(metric, SHOWN_NAME_SIZE));
    batch_reject(batch, samples, parser->index, (uint32_t)parser->line, fault.code, shown,
                 "column %zu: %s", column, fault.what);
    parser->index += (uint32_t)samples;
}

static size_t column_of(const struct csv_parser *parser, enum csv_kind kind)
{
    size_t at = 0;
    while (at < parser->columns.count && parser->columns.items[at].kind != kind)
        at++;
    return at;
}

/* Values that the line has, one at least, so that a refusal of it counts. */
static uint64_t count_values(const struct csv_parser *parser)
{
    uint64_t values = 0;
    for (size_t i = 0; i < parser->columns.count; i++) {
        enum csv_kind kind = parser->columns.items[i].kind;
        values += kind == CSV_VALUE || (kind == CSV_METRIC && parser->texts[i].size > 0);
    }
    return values == 0 ? 1 : values;
}

static enum status put_labels(struct csv_parser *parser, struct slice metric)
{
    const struct csv_columns *columns = &parser->columns;
    size_t labels = 0;
    for (size_t i = 0; i < columns->count; i++)
        labels += columns->items[i].kind == CSV_LABEL && parser->texts[i].size > 0;
    enum status status = csv_raw_begin(&parser->raw, metric, labels);
    for (size_t i = 0; i < columns->count && status == STATUS_OK; i++)
        if (columns->items[i].kind == CSV_LABEL && parser->texts[i].size > 0)
            status = csv_raw_label(&parser->raw, columns->items[i].name, parser->texts[i]);
    struct slice object = slice_of(NULL, 0);
    if (columns->of_kind[CSV_LABELS] > 0)
        object = parser->texts[column_of(parser, CSV_LABELS)];
    return status == STATUS_OK ? bytes_append(&parser->raw, object.data, object.size) : status;
}

static enum status store_value(struct csv_parser *parser, struct batch *batch, struct slice metric,
                               int64_t time_ms, double value)
{
    enum status status = put_labels(parser, metric);
    if (status != STATUS_OK)
        return status;
    /* Lines of one series mostly follow each other, and then share their bytes. */
    struct slice raw = bytes_slice(&parser->raw);
    if (batch->series_count > 0 && slice_equal(batch->series[batch->series_count - 1].raw, raw))
        raw = batch->series[batch->series_count - 1].raw;
    else
        raw = arena_copy(batch->arena, raw);
    uint32_t series = 0;
    status = raw.data == NULL
                 ? arena_status(batch->arena)
                 : batch_add_series(batch, raw, parser->index, (uint32_t)parser->line, &series);
    if (status == STATUS_OK)
        status = batch_add_sample(batch, series, time_ms, value);
    parser->index++;
    return status;
}

/* What all values of a line share. False: the line was refused. */
static bool read_shared(struct csv_parser *parser, struct batch *batch, struct slice *name,
                        int64_t *time_ms)
{
    const struct csv_columns *columns = &parser->columns;
    struct cell_fault fault = {0};
    size_t at = column_of(parser, CSV_NAME);
    *name = at < columns->count ? parser->texts[at] : slice_of(NULL, 0);
    *time_ms = parser->options.now_ms;
    if (at < columns->count && name->size == 0)
        fault =
            (struct cell_fault){"metric_name_missing", "the cell of the metric's name is empty"};
    if (fault.code == NULL && columns->of_kind[CSV_LABELS] > 0) {
        at = column_of(parser, CSV_LABELS);
        const char *what = parser->texts[at].size == 0 ? NULL : csv_labels_fault(parser->texts[at]);
        if (what != NULL)
            fault = (struct cell_fault){"label_invalid", what};
    }
    if (fault.code == NULL && columns->of_kind[CSV_TIME] > 0) {
        at = column_of(parser, CSV_TIME);
        (void)time_read(parser, columns->items[at].unit, parser->texts[at], time_ms, &fault);
    }
    if (fault.code != NULL)
        refuse(parser, batch, count_values(parser), *name, at + 1, fault);
    return fault.code == NULL;
}

static enum status store_record(struct csv_parser *parser, struct batch *batch)
{
    const struct csv_columns *columns = &parser->columns;
    bool fits = columns->has_header ? parser->cell_count == columns->count
                                    : parser->cell_count >= columns->count;
    if (!fits) {
        batch_reject(batch, 1, parser->index++, (uint32_t)parser->line, "csv_syntax",
                     slice_of(NULL, 0), "the line has %zu cells, and %zu are expected",
                     parser->cell_count, columns->count);
        return STATUS_OK;
    }
    struct slice name;
    int64_t time_ms;
    if (!read_shared(parser, batch, &name, &time_ms))
        return STATUS_OK;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < columns->count && status == STATUS_OK; i++) {
        enum csv_kind kind = columns->items[i].kind;
        if (kind != CSV_VALUE && (kind != CSV_METRIC || parser->texts[i].size == 0))
            continue;
        struct slice metric = kind == CSV_METRIC ? columns->items[i].name : name;
        struct cell_fault fault;
        double value;
        if (value_read(parser->texts[i], &value, &fault))
            status = store_value(parser, batch, metric, time_ms, value);
        else
            refuse(parser, batch, 1, metric, i + 1, fault);
    }
    return status;
}

/* Into the parser's arena: the document goes on without the text that they stand in. */
static enum status take_header(struct csv_parser *parser, struct error *err)
{
    for (size_t i = 0; i < parser->cell_count; i++) {
        struct slice text = parser->texts[i];
        parser->texts[i] = arena_copy(&parser->arena, text);
        if (text.size > 0 && parser->texts[i].data == NULL)
            return fail(err, arena_status(&parser->arena), "no memory for the header of CSV");
    }
    parser->titled = true;
    return csv_columns_header(&parser->columns, parser->texts, parser->cell_count, err);
}

static enum status take_record(struct csv_parser *parser, struct batch *batch, struct error *err)
{
    bool blank = parser->cell_count == 1 && parser->cells[0].text.size == 0;
    if (blank)
        return STATUS_OK;
    enum status status = cells_read(parser, batch->arena);
    if (status == STATUS_OK && !parser->titled)
        return take_header(parser, err);
    if (status == STATUS_OK)
        status = store_record(parser, batch);
    if (status != STATUS_OK)
        return fail(err, status, "line %" PRIu64 ": no memory left for the samples; send fewer",
                    parser->line);
    return STATUS_OK;
}

/* ---- the document ------------------------------------------------------------------------ */

/* Behind the first line end, or the end. */
static const uint8_t *line_after(const uint8_t *at, const uint8_t *end, bool *found)
{
    const uint8_t *feed = at == end ? NULL : memchr(at, '\n', (size_t)(end - at));
    *found = feed != NULL;
    return feed == NULL ? end : feed + 1;
}

static void count_lines(struct csv_parser *parser, const uint8_t *at, const uint8_t *end)
{
    while (at < end && (at = memchr(at, '\n', (size_t)(end - at))) != NULL) {
        parser->line++;
        at++;
    }
}

/* Where `at` stands, for a message about a record that begins on parser->line: "byte 3", or of a
 * line behind a line end within quotes "on line 3, byte 1". */
enum { PLACE_SIZE = 64 };
static void describe_place(const struct csv_parser *parser, const uint8_t *start, const uint8_t *at,
                           char text[PLACE_SIZE])
{
    uint64_t lines = 0;
    const uint8_t *line_start = start;
    for (const uint8_t *byte = start; byte < at; byte++)
        if (*byte == '\n') {
            lines++;
            line_start = byte + 1;
        }
    size_t place = (size_t)(at - line_start) + 1;
    if (lines == 0)
        snprintf(text, PLACE_SIZE, "byte %zu", place);
    else
        snprintf(text, PLACE_SIZE, "on line %" PRIu64 ", byte %zu", parser->line + lines, place);
}

/* A record that cannot be read costs the line on which it begins. */
static enum status refuse_line(struct csv_parser *parser, struct batch *batch,
                               const struct record *record, const char *code, const char *what,
                               struct error *err)
{
    char place[PLACE_SIZE];
    describe_place(parser, record->start, record->at, place);
    if (!parser->titled)
        return fail_code(err, STATUS_INVALID, "csv_header_invalid",
                         "the header (line %" PRIu64 "), %s: %s", parser->line, place, what);
    batch_reject(batch, 1, parser->index++, (uint32_t)parser->line, code, slice_of(NULL, 0),
                 "%s: %s", place, what);
    return STATUS_OK;
}

/* Takes one record, or the rest of a line that is skipped; *at stays where more is needed. */
static enum status take_next(struct csv_parser *parser, struct slice text, const uint8_t **at,
                             bool ended, struct batch *batch, struct error *err)
{
    const uint8_t *start = *at;
    const uint8_t *end = text.data + text.size;
    bool found = false;
    bool begins = false;
    if (parser->skipping) {
        *at = line_after(start, end, &found);
        parser->skipping = !found;
        parser->line += found;
        return STATUS_OK;
    }
    bool cut = (size_t)(end - start) > CSV_RECORD_MAX_SIZE;
    struct record record = {
        .start = start,
        .at = start,
        .end = cut ? start + CSV_RECORD_MAX_SIZE : end,
        .ended = ended && !cut,
    };
    enum status status = STATUS_OK;
    switch (record_scan(parser, &record)) {
    case RECORD_TAKEN:
        begins = !parser->titled;
        status = take_record(parser, batch, err);
        count_lines(parser, start, record.at);
        *at = record.at;
        if (begins && parser->titled) {
            parser->header_size = parser->taken + (uint64_t)(record.at - text.data);
            parser->header_lines = parser->line - parser->first_line;
        }
        return status;
    case RECORD_MORE:
        if (!cut)
            return STATUS_OK;
        record.at = start;
        status = refuse_line(parser, batch, &record, "sample_too_large",
                             "a line of more than 4 MiB; perhaps a closing quote is missing", err);
        break;
    case RECORD_FAULT:
        status = refuse_line(parser, batch, &record, "csv_syntax", record.fault, err);
        break;
    }
    *at = line_after(start, end, &found);
    parser->skipping = !found;
    parser->line += found;
    return status;
}

enum status csv_parser_take(struct csv_parser *parser, struct slice text, bool ended,
                            struct batch *batch, size_t *taken, struct error *err)
{
    static const uint8_t mark[] = {0xef, 0xbb, 0xbf};
    const uint8_t *at = text.data;
    const uint8_t *end = at + text.size;
    *taken = 0;
    if (!parser->begun && text.size < sizeof mark && !ended)
        return STATUS_OK;
    if (!parser->begun && text.size >= sizeof mark && memcmp(at, mark, sizeof mark) == 0)
        at += sizeof mark;
    parser->begun = true;
    enum status status = STATUS_OK;
    while (status == STATUS_OK && at < end) {
        const uint8_t *before = at;
        status = take_next(parser, text, &at, ended, batch, err);
        if (at == before)
            break;
    }
    *taken = (size_t)(at - text.data);
    parser->taken += *taken;
    return status;
}

void csv_parser_position(const struct csv_parser *parser, struct protocol_position *position)
{
    *position = (struct protocol_position){
        .settled = parser->titled && !parser->skipping,
        .offset = parser->taken,
        .line = parser->line,
        .context_size = parser->header_size,
        .context_lines = parser->header_lines,
    };
}

void csv_parser_set_line(struct csv_parser *parser, uint64_t line)
{
    parser->line = parser->first_line = line;
    parser->begun = parser->titled;
}

enum status protocols_csv_parse(struct slice body, const struct csv_options *options,
                                struct batch *batch, struct error *err)
{
    struct csv_parser *parser = NULL;
    size_t taken = 0;
    enum status status = csv_parser_new(&parser, options, err);
    if (status == STATUS_OK)
        status = csv_parser_take(parser, body, true, batch, &taken, err);
    csv_parser_free(parser);
    return status;
}

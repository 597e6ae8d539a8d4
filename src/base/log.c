#include "base/log.h"

#include "base/times.h"
#include "base/utf8.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

/* The tail is kept free for what ends a line that was cut: its mark, the brace and the newline. */
enum { LOG_LINE_SIZE = 4096, LOG_TAIL_SIZE = 32 };

/* Holds whole fields only, so that it is a well-formed line at every moment. */
struct log_line {
    char text[LOG_LINE_SIZE];
    size_t size; /* at most LOG_LINE_SIZE - LOG_TAIL_SIZE until the end is put */
    bool cut;    /* a value was shortened or a field left out: nothing may follow */
};

static size_t line_room(const struct log_line *line)
{
    return LOG_LINE_SIZE - LOG_TAIL_SIZE - line->size;
}

static void line_put(struct log_line *line, const char *text, size_t size)
{
    if (size > line_room(line)) {
        line->cut = true;
        return;
    }
    memcpy(line->text + line->size, text, size);
    line->size += size;
}

static void line_put_text(struct log_line *line, const char *text)
{
    line_put(line, text, strlen(text));
}

/* The character at `offset` as it stands in quotes; returns how many bytes of `value` it took. */
static size_t escape_char(struct slice value, size_t offset, char escaped[8], size_t *escaped_size)
{
    uint8_t byte = value.data[offset];
    size_t size = utf8_char_size(value, offset);
    int written;
    if (size == 0)
        written = snprintf(escaped, 8, "\\ufffd");
    else if (byte == '"' || byte == '\\')
        written = snprintf(escaped, 8, "\\%c", byte);
    else if (byte < 0x20 || byte == 0x7f)
        written = snprintf(escaped, 8, "\\u%04x", byte);
    else
        written = snprintf(escaped, 8, "%.*s", (int)size, (const char *)value.data + offset);
    *escaped_size = (size_t)written;
    return size == 0 ? 1 : size;
}

static void line_put_quoted(struct log_line *line, struct slice value)
{
    line_put_text(line, "\"");
    for (size_t i = 0; i < value.size && !line->cut;) {
        char escaped[8];
        size_t escaped_size;
        i += escape_char(value, i, escaped, &escaped_size);
        if (escaped_size + 1 > line_room(line))
            line->cut = true;
        else
            line_put(line, escaped, escaped_size);
    }
    line->text[line->size++] = '"';
}

static bool needs_quotes(struct slice value)
{
    for (size_t i = 0; i < value.size; i++)
        if (value.data[i] <= ' ' || value.data[i] == '"' || value.data[i] == '=' ||
            value.data[i] == '\\' || value.data[i] == 0x7f)
            return true;
    return value.size == 0 || !utf8_valid(value);
}

static void line_put_key(struct log_line *line, enum log_format format, const char *key)
{
    if (format == LOG_JSON) {
        line_put_text(line, line->size == 0 ? "{\"" : ",\"");
        line_put_text(line, key);
        line_put_text(line, "\":");
        return;
    }
    if (line->size > 0)
        line_put_text(line, " ");
    line_put_text(line, key);
    line_put_text(line, "=");
}

static void line_put_value(struct log_line *line, enum log_format format, struct slice value)
{
    if (format == LOG_JSON || needs_quotes(value) || value.size > line_room(line))
        line_put_quoted(line, value);
    else
        line_put(line, (const char *)value.data, value.size);
}

static void line_put_field(struct log_line *line, enum log_format format,
                           const struct log_field *field)
{
    enum { SHORTEST_VALUE = 32 }; /* any number, or a few characters of a text */
    size_t before = line->size;
    line_put_key(line, format, field->key);
    if (line->cut || line_room(line) < SHORTEST_VALUE) {
        line->size = before;
        line->cut = true;
        return;
    }
    char number[32];
    switch (field->kind) {
    case LOG_FIELD_TEXT:
        line_put_value(line, format, slice_from_text(field->text == NULL ? "" : field->text));
        return;
    case LOG_FIELD_SLICE:
        line_put_value(line, format, field->slice);
        return;
    case LOG_FIELD_INT:
        snprintf(number, sizeof number, "%" PRId64, field->number);
        line_put_text(line, number);
        return;
    case LOG_FIELD_END:
        return;
    }
}

static void line_put_fields(struct log_line *line, enum log_format format,
                            const struct log_field *fields)
{
    for (; fields->kind != LOG_FIELD_END && !line->cut; fields++)
        line_put_field(line, format, fields);
}

/* Into the tail, which is always free. */
static void line_put_end(struct log_line *line, enum log_format format)
{
    int size = snprintf(line->text + line->size, LOG_LINE_SIZE - line->size, "%s%s\n",
                        !line->cut           ? ""
                        : format == LOG_JSON ? ",\"truncated\":true"
                                             : " truncated=true",
                        format == LOG_JSON ? "}" : "");
    line->size += (size_t)size;
}

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_write(const struct log *log, enum log_level level, const char *subsystem,
               const char *message, const struct log_field *fields)
{
    if (log == NULL || level < log_level_get(log))
        return;
    char time[INSTANT_TEXT_SIZE];
    instant_format(time, log->now_ms(log->context));
    const struct log_field head[] = {
        log_text("ts", time),
        log_text("level", level_names[level]),
        log_text("subsystem", subsystem),
        log_text("msg", message),
        {0},
    };
    struct log_line line;
    line.size = 0;
    line.cut = false;
    line_put_fields(&line, log->format, head);
    line_put_fields(&line, log->format, fields);
    line_put_end(&line, log->format);
    /* A log that cannot be written has nowhere to be reported. */
    ssize_t ignored = write(log->fd, line.text, line.size);
    (void)ignored;
}

bool log_level_parse(const char *text, enum log_level *level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++)
        if (strcmp(text, level_names[i]) == 0) {
            *level = (enum log_level)i;
            return true;
        }
    return false;
}

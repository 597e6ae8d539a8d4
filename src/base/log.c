#include "base/log.h"

#include "base/times.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum { LOG_LINE_SIZE = 4096 };

struct log_line {
    char text[LOG_LINE_SIZE];
    size_t size; /* at most LOG_LINE_SIZE - 2: room for the closing brace and the line's end */
};

static void line_put(struct log_line *line, const char *text, size_t size)
{
    size_t room = LOG_LINE_SIZE - 2 - line->size;
    if (size > room)
        size = room;
    memcpy(line->text + line->size, text, size);
    line->size += size;
}

static void line_put_text(struct log_line *line, const char *text)
{
    line_put(line, text, strlen(text));
}

static void line_put_quoted(struct log_line *line, struct slice value)
{
    line_put_text(line, "\"");
    for (size_t i = 0; i < value.size && line->size < LOG_LINE_SIZE - 16; i++) {
        uint8_t byte = value.data[i];
        char escaped[8];
        if (byte == '"' || byte == '\\')
            snprintf(escaped, sizeof escaped, "\\%c", byte);
        else if (byte < 0x20 || byte == 0x7f)
            snprintf(escaped, sizeof escaped, "\\u%04x", byte);
        else
            snprintf(escaped, sizeof escaped, "%c", byte);
        line_put_text(line, escaped);
    }
    line_put_text(line, "\"");
}

static bool needs_quotes(struct slice value)
{
    for (size_t i = 0; i < value.size; i++)
        if (value.data[i] <= ' ' || value.data[i] == '"' || value.data[i] == '=' ||
            value.data[i] == '\\' || value.data[i] == 0x7f)
            return true;
    return value.size == 0;
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

static void line_put_slice(struct log_line *line, enum log_format format, const char *key,
                           struct slice value)
{
    line_put_key(line, format, key);
    if (format == LOG_JSON || needs_quotes(value))
        line_put_quoted(line, value);
    else
        line_put(line, (const char *)value.data, value.size);
}

static void line_put_field(struct log_line *line, enum log_format format,
                           const struct log_field *field)
{
    char number[32];
    switch (field->kind) {
    case LOG_FIELD_TEXT:
        line_put_slice(line, format, field->key,
                       slice_from_text(field->text == NULL ? "" : field->text));
        return;
    case LOG_FIELD_SLICE:
        line_put_slice(line, format, field->key, field->slice);
        return;
    case LOG_FIELD_INT:
        line_put_key(line, format, field->key);
        snprintf(number, sizeof number, "%" PRId64, field->number);
        line_put_text(line, number);
        return;
    case LOG_FIELD_END:
        return;
    }
}

static const char *const level_names[] = {"debug", "info", "warn", "error"};

void log_write(const struct log *log, enum log_level level, const char *subsystem,
               const char *message, const struct log_field *fields)
{
    if (log == NULL || level < log->level)
        return;
    struct log_line line = {.size = 0};
    char time[INSTANT_TEXT_SIZE];
    instant_format(time, log->now_ms(log->context));
    line_put_slice(&line, log->format, "ts", slice_from_text(time));
    line_put_slice(&line, log->format, "level", slice_from_text(level_names[level]));
    line_put_slice(&line, log->format, "subsystem", slice_from_text(subsystem));
    line_put_slice(&line, log->format, "msg", slice_from_text(message));
    for (; fields->kind != LOG_FIELD_END; fields++)
        line_put_field(&line, log->format, fields);
    if (log->format == LOG_JSON)
        line.text[line.size++] = '}';
    line.text[line.size++] = '\n';
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

/*
 * json_metric - the registration of a metric: one object, refused as a whole.
 *
 * What is wrong with the metric is noted and the text read on to its end: a body that is no JSON
 * is called that, whatever else is wrong with it.
 */
#include "protocols/json_metric.h"

#include <stdio.h>

#include "protocols/json_document.h"
#include "protocols/json_members.h"

/* Members of a metric, as bits of metric_reader.seen. */
enum member {
    MEMBER_NAME = 1 << 0,
    MEMBER_TYPE = 1 << 1,
    MEMBER_UNIT = 1 << 2,
    MEMBER_HELP = 1 << 3,
    MEMBER_LIMITS = 1 << 4,
    MEMBER_MAX_SERIES = 1 << 5, /* of limits */
};

static const struct json_member metric_items[] = {
    {"name", MEMBER_NAME}, {"type", MEMBER_TYPE},     {"unit", MEMBER_UNIT},
    {"help", MEMBER_HELP}, {"limits", MEMBER_LIMITS},
};
static const struct json_members metric_members = {
    .owner = "metric",
    .list = "name, type, unit, help and limits",
    .items = metric_items,
    .count = sizeof metric_items / sizeof metric_items[0],
};

static const struct json_member limits_items[] = {{"max_series", MEMBER_MAX_SERIES}};
static const struct json_members limits_members = {
    .owner = "metric's limits object",
    .list = "max_series",
    .items = limits_items,
    .count = sizeof limits_items / sizeof limits_items[0],
};

struct metric_reader {
    struct json_tokens tokens;
    struct arena *arena;
    struct metric *metric;
    struct slice type;
    unsigned seen;
    struct error refused; /* the first reason; STATUS_OK: none yet */
};

static void PRINTF_LIKE(3, 4)
    metric_refuse(struct metric_reader *reader, const char *code, const char *format, ...)
{
    if (reader->refused.status != STATUS_OK)
        return;
    reader->refused.status = STATUS_INVALID;
    reader->refused.code = code;
    va_list args;
    va_start(args, format);
    vsnprintf(reader->refused.message, sizeof reader->refused.message, format, args);
    va_end(args);
}

/* ---- what can be registered ---- */

static enum status text_check(struct slice text, const char *member, const char *code,
                              size_t max_size, struct error *err)
{
    if (text.size > max_size)
        return fail_code(err, STATUS_INVALID, code,
                         "the %s of a metric has at most %zu bytes; this one has %zu", member,
                         max_size, text.size);
    if (slice_has_nul(text))
        return fail_code(err, STATUS_INVALID, code,
                         "the %s of the metric has a NUL byte (\\u0000) in it; leave it out",
                         member);
    return STATUS_OK;
}

enum status json_metric_check(struct metric *metric, const struct slice *type, struct error *err)
{
    metric->type = METRIC_UNKNOWN;
    if (type != NULL && !metric_type_parse(*type, &metric->type))
        return fail_code(err, STATUS_INVALID, "type_invalid",
                         "type \"%.*s\" is none of counter, gauge, histogram, summary, info, "
                         "stateset, gaugehistogram and unknown",
                         SLICE_FORMAT(*type));
    enum status status =
        text_check(metric->unit, "unit", "unit_invalid", METRIC_UNIT_MAX_SIZE, err);
    if (status == STATUS_OK)
        status = text_check(metric->help, "help", "help_invalid", METRIC_HELP_MAX_SIZE, err);
    if (status == STATUS_OK)
        status = text_check(metric->name, "name", "name_invalid", METRIC_NAME_MAX_SIZE, err);
    return status;
}

/* ---- members ---- */

static bool text_take(struct metric_reader *reader, struct slice *text, const char *code,
                      const char *member, uint32_t depth)
{
    struct json_tokens *tokens = &reader->tokens;
    struct slice quoted;
    if (*tokens->last == '"')
        return json_string_take(tokens, &quoted) &&
               json_string_decode(tokens, quoted, reader->arena, text);
    metric_refuse(reader, code, "the member \"%s\" is not a string; write it in double quotes",
                  member);
    return json_skip(tokens, depth);
}

static bool max_series_take(struct metric_reader *reader, uint32_t depth)
{
    struct json_tokens *tokens = &reader->tokens;
    int64_t limit = -1;
    bool number = *tokens->last == '-' || (*tokens->last >= '0' && *tokens->last <= '9');
    if (!number || json_integer_parse(json_token(tokens), &limit) != JSON_NUMBER_OK || limit < 0 ||
        limit > UINT32_MAX)
        metric_refuse(reader, "limits_invalid",
                      "limits.max_series is not a whole number from 0 (no limit) to %u",
                      UINT32_MAX);
    reader->metric->has_max_series = true;
    reader->metric->max_series = (uint32_t)limit;
    return json_skip(tokens, depth);
}

/* The name of a member and the first token of its value. *member is 0 when it has been refused. */
static bool member_begin(struct metric_reader *reader, const struct json_members *members,
                         unsigned *member)
{
    struct json_tokens *tokens = &reader->tokens;
    struct slice quoted;
    struct slice name;
    if (!json_member_name(tokens, &quoted) || !json_string_take(tokens, &quoted) ||
        !json_string_decode(tokens, quoted, reader->arena, &name))
        return false;
    *member = json_member_find(members, name);
    if (*member == 0) {
        char reason[ERROR_MESSAGE_SIZE];
        json_member_unknown(members, name, reason);
        metric_refuse(reader, "unknown_field", "%s", reason);
    }
    if (reader->seen & *member) {
        metric_refuse(reader, "field_duplicate", "the member %.*s is given twice",
                      SLICE_FORMAT(quoted));
        *member = 0;
    }
    reader->seen |= *member;
    return json_member_value(tokens);
}

static bool limits_take(struct metric_reader *reader, uint32_t depth)
{
    struct json_tokens *tokens = &reader->tokens;
    if (*tokens->last != '{') {
        metric_refuse(reader, "limits_invalid",
                      "the member \"limits\" is not an object such as {\"max_series\":1000}");
        return json_skip(tokens, depth);
    }
    bool more = false;
    if (!json_object_begin(tokens, &more))
        return false;
    while (more) {
        unsigned member = 0;
        if (!member_begin(reader, &limits_members, &member))
            return false;
        bool taken = member == MEMBER_MAX_SERIES ? max_series_take(reader, depth + 1)
                                                 : json_skip(tokens, depth + 1);
        if (!taken || !json_object_next(tokens, &more))
            return false;
    }
    return true;
}

static bool member_take(struct metric_reader *reader, unsigned member, uint32_t depth)
{
    struct metric *metric = reader->metric;
    switch (member) {
    case MEMBER_NAME:
        return text_take(reader, &metric->name, "name_invalid", "name", depth);
    case MEMBER_TYPE:
        return text_take(reader, &reader->type, "type_invalid", "type", depth);
    case MEMBER_UNIT:
        return text_take(reader, &metric->unit, "unit_invalid", "unit", depth);
    case MEMBER_HELP:
        return text_take(reader, &metric->help, "help_invalid", "help", depth);
    case MEMBER_LIMITS:
        return limits_take(reader, depth);
    default:
        return json_skip(&reader->tokens, depth);
    }
}

/* ---- the body ---- */

static bool object_take(struct metric_reader *reader)
{
    struct json_tokens *tokens = &reader->tokens;
    if (json_next(tokens) == NULL)
        return json_refuse(tokens, NULL, "the body is empty; send one JSON object");
    if (*tokens->last != '{') {
        metric_refuse(reader, "metric_invalid",
                      "the body is not an object such as {\"name\":\"x\",\"type\":\"counter\"}");
        return json_skip(tokens, 0);
    }
    bool more = false;
    if (!json_object_begin(tokens, &more))
        return false;
    while (more) {
        unsigned member = 0;
        if (!member_begin(reader, &metric_members, &member) || !member_take(reader, member, 1) ||
            !json_object_next(tokens, &more))
            return false;
    }
    return true;
}

static enum status metric_finish(struct metric_reader *reader, struct error *err)
{
    struct metric *metric = reader->metric;
    if (reader->refused.status == STATUS_OK && metric->name.size == 0)
        metric_refuse(reader, "metric_name_missing",
                      "the metric has no name; give it a member \"name\" that is not empty");
    if (reader->refused.status != STATUS_OK)
        return fail_code(err, STATUS_INVALID, reader->refused.code, "%s", reader->refused.message);
    return json_metric_check(metric, reader->seen & MEMBER_TYPE ? &reader->type : NULL, err);
}

enum status protocols_json_parse_metric(struct json_parser *parser, struct slice body,
                                        struct arena *arena, struct metric *metric,
                                        struct error *err)
{
    struct metric_reader reader = {.arena = arena, .metric = metric};
    *metric = (struct metric){.type = METRIC_UNKNOWN};
    json_tokens_document(&reader.tokens, parser->index, body, parser->max_depth);
    bool read = object_take(&reader) && json_document_end(&reader.tokens);
    json_index_trim(parser->index, JSON_WINDOW_SIZE);
    return read ? metric_finish(&reader, err) : json_document_failed(&reader.tokens, err);
}

#include "protocols/json_sample.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/times.h"
#include "model/value.h"
#include "protocols/json_members.h"
#include "protocols/json_metric.h"

/* Members of a sample, as bits of json_sample.seen. */
enum member {
    MEMBER_UNKNOWN = 0,
    MEMBER_NAME = 1 << 0,
    MEMBER_LABELS = 1 << 1,
    MEMBER_VALUE = 1 << 2,
    MEMBER_TIMESTAMP = 1 << 3,
    MEMBER_TYPE = 1 << 4,
    MEMBER_UNIT = 1 << 5,
    MEMBER_HELP = 1 << 6,
};

static const struct json_member member_items[] = {
    {"name", MEMBER_NAME},           {"labels", MEMBER_LABELS}, {"value", MEMBER_VALUE},
    {"timestamp", MEMBER_TIMESTAMP}, {"type", MEMBER_TYPE},     {"unit", MEMBER_UNIT},
    {"help", MEMBER_HELP},
};
static const struct json_members members = {
    .owner = "sample",
    .list = "name, labels, value, timestamp, type, unit and help",
    .items = member_items,
    .count = sizeof member_items / sizeof member_items[0],
};

/* Notes the first reason to refuse the sample; the text only where it will be listed. */
static void PRINTF_LIKE(3, 4)
    sample_refuse(struct json_reader *reader, const char *code, const char *format, ...)
{
    if (reader->refused != NULL)
        return;
    reader->refused = code;
    if (reader->batch->rejection_count == BATCH_MAX_REJECTIONS)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(reader->reason, sizeof reader->reason, format, args);
    va_end(args);
}

/* ---- which member ---- */

/* The names nearly all senders write, without escapes, told apart by size first. */
static inline enum member member_find_plain(struct slice quoted)
{
    const char *name = (const char *)quoted.data;
    switch (quoted.size) {
    case sizeof "\"name\"" - 1:
        if (memcmp(name, "\"name\"", quoted.size) == 0)
            return MEMBER_NAME;
        break;
    case sizeof "\"value\"" - 1:
        if (memcmp(name, "\"value\"", quoted.size) == 0)
            return MEMBER_VALUE;
        break;
    case sizeof "\"labels\"" - 1:
        if (memcmp(name, "\"labels\"", quoted.size) == 0)
            return MEMBER_LABELS;
        break;
    case sizeof "\"timestamp\"" - 1:
        if (memcmp(name, "\"timestamp\"", quoted.size) == 0)
            return MEMBER_TIMESTAMP;
        break;
    default:
        break;
    }
    return MEMBER_UNKNOWN;
}

static void refuse_unknown(struct json_reader *reader, struct slice name)
{
    char reason[ERROR_MESSAGE_SIZE];
    if (reader->refused != NULL)
        return;
    json_member_unknown(&members, name, reason);
    sample_refuse(reader, "unknown_field", "%s", reason);
}

/* ---- labels ---- */

/* After the opening brace of the labels object: strings only, so that the raw bytes can serve. */
static bool labels_take(struct json_reader *reader, struct json_sample *sample, uint32_t depth)
{
    struct json_tokens *tokens = &reader->tokens;
    const uint8_t *start = tokens->last;
    const uint8_t *at = json_next(tokens);
    bool empty = at != NULL && *at == '}';
    while (!empty) {
        if (at == NULL || *at != '"')
            return json_refuse(tokens, at, "expected a label's name in double quotes");
        struct slice name = json_token(tokens);
        at = json_next(tokens);
        if (at == NULL || *at != ':')
            return json_refuse(tokens, at, "expected ':' after a label's name");
        at = json_next(tokens);
        if (at == NULL)
            return json_refuse(tokens, at, "expected a label's value");
        if (*at != '"') {
            sample_refuse(reader, "label_invalid",
                          "label %.*s: the value is not a string; write it in double quotes",
                          SLICE_FORMAT(name));
            if (!json_skip(tokens, depth + 1))
                return false;
        }
        at = json_next(tokens);
        if (at != NULL && *at == '}')
            break;
        if (at == NULL || *at != ',')
            return json_refuse(tokens, at, "expected ',' or '}' after a label");
        at = json_next(tokens);
    }
    sample->labels = slice_of(start, (size_t)(tokens->last - start) + 1);
    return memchr(start, '\\', sample->labels.size) == NULL ||
           json_strings_check(sample->labels, &tokens->fault);
}

/* ---- value ---- */

static bool hex_parse(struct slice text, uint64_t *value)
{
    *value = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        uint8_t lower = byte | 0x20;
        if (byte >= '0' && byte <= '9')
            *value = *value << 4 | (uint64_t)(byte - '0');
        else if (lower >= 'a' && lower <= 'f')
            *value = *value << 4 | (uint64_t)(lower - 'a' + 10);
        else
            return false;
    }
    return text.size > 0;
}

bool json_value_word(struct slice word, double *value)
{
    static const char nan_prefix[] = "nan:";
    enum { PREFIX = sizeof nan_prefix - 1, DIGITS = 16 };
    if (slice_equal_text(word, "NaN"))
        *value = double_of_bits(VALUE_NORMAL_NAN_BITS);
    else if (slice_equal_text(word, "+Inf"))
        *value = __builtin_inf();
    else if (slice_equal_text(word, "-Inf"))
        *value = -__builtin_inf();
    else if (slice_equal_text(word, "stale"))
        *value = double_of_bits(VALUE_STALE_BITS);
    else if (word.size == PREFIX + DIGITS && memcmp(word.data, nan_prefix, PREFIX) == 0) {
        uint64_t bits;
        if (!hex_parse(slice_from(word, PREFIX), &bits))
            return false;
        *value = double_of_bits(bits);
        return *value != *value;
    } else {
        return false;
    }
    return true;
}

static bool starts_number(uint8_t byte)
{
    return byte == '-' || (byte >= '0' && byte <= '9');
}

static bool value_take(struct json_reader *reader, struct json_sample *sample, uint32_t depth)
{
    struct json_tokens *tokens = &reader->tokens;
    struct slice text;
    if (starts_number(*tokens->last)) {
        text = json_token(tokens);
        enum json_number result = json_number_parse(text, &sample->value);
        if (result == JSON_NUMBER_INVALID)
            return json_refuse(tokens, text.data, "this is not how JSON writes a number");
        if (result == JSON_NUMBER_OVERFLOW)
            sample_refuse(reader, "value_out_of_range",
                          "value %.*s is beyond the largest double (1.8e308); write \"+Inf\" or "
                          "\"-Inf\" for infinity",
                          SLICE_FORMAT(text));
        return true;
    }
    bool word = *tokens->last == '"';
    if (word && (!json_string_take(tokens, &text) ||
                 !json_string_decode(tokens, text, reader->batch->arena, &text)))
        return false;
    if (word && json_value_word(text, &sample->value))
        return true;
    sample_refuse(reader, "value_invalid",
                  "the value is neither a number nor one of \"NaN\", \"+Inf\", \"-Inf\", \"stale\" "
                  "and \"nan:\" with the 16 hexadecimal digits of a NaN");
    return word || json_skip(tokens, depth);
}

/* ---- timestamp ---- */

static const struct precision {
    const char *text;
    int64_t ms_per_unit;  /* 1 where the unit is finer */
    int64_t units_per_ms; /* 1 where the unit is coarser */
    enum time_precision precision;
} precisions[] = {
    {"s", MS_PER_SECOND, 1, TIME_PRECISION_SECONDS},
    {"ms", 1, 1, TIME_PRECISION_MILLISECONDS},
    {"us", 1, 1000, TIME_PRECISION_MICROSECONDS},
    {"ns", 1, 1000000, TIME_PRECISION_NANOSECONDS},
};
enum { PRECISION_COUNT = sizeof precisions / sizeof precisions[0] };

bool time_precision_parse(struct slice text, enum time_precision *precision)
{
    for (size_t i = 0; i < PRECISION_COUNT; i++) {
        if (!slice_equal_text(text, precisions[i].text))
            continue;
        *precision = precisions[i].precision;
        return true;
    }
    return false;
}

/* False beyond 64 bits of milliseconds. Rounds down. */
static bool time_convert(int64_t time, const struct precision *precision, int64_t *time_ms)
{
    int64_t whole = time / precision->units_per_ms;
    if (time % precision->units_per_ms < 0)
        whole--;
    return !__builtin_mul_overflow(whole, precision->ms_per_unit, time_ms);
}

bool time_precision_convert(int64_t time, enum time_precision precision, int64_t *time_ms)
{
    /* `precisions` is in the enum's order */
    size_t unit = precision == TIME_PRECISION_NONE ? 1 : (size_t)precision - 1;
    return time_convert(time, &precisions[unit], time_ms);
}

static bool time_plausible(const struct json_reader *reader, int64_t time_ms)
{
    const int64_t year_1990_ms = INT64_C(631152000000);
    return time_ms >= year_1990_ms && time_ms <= reader->options->now_ms + MS_PER_HOUR;
}

static void refuse_implausible(struct json_reader *reader, int64_t time)
{
    if (reader->refused != NULL)
        return;
    for (size_t i = 0; i < PRECISION_COUNT; i++) {
        int64_t time_ms;
        char text[INSTANT_TEXT_SIZE];
        if (!time_convert(time, &precisions[i], &time_ms) || !time_plausible(reader, time_ms))
            continue;
        instant_format(text, time_ms);
        sample_refuse(reader, "timestamp_implausible",
                      "timestamp %" PRId64 " in milliseconds is before 1990 or over an hour ahead; "
                      "with precision=%s it is %s: give that precision, or RFC 3339 text",
                      time, precisions[i].text, text);
        return;
    }
    sample_refuse(reader, "timestamp_implausible",
                  "timestamp %" PRId64 " is before 1990 or over an hour ahead in any unit; if it "
                  "is meant, say its unit with precision=ms (or s, us, ns), or write RFC 3339 text",
                  time);
}

static void refuse_out_of_range(struct json_reader *reader, struct slice text)
{
    sample_refuse(reader, "timestamp_out_of_range",
                  "timestamp %.*s is outside the years 1678 to 2262 that can be stored",
                  SLICE_FORMAT(text));
}

static void time_take(struct json_reader *reader, struct json_sample *sample, int64_t time,
                      struct slice text)
{
    enum time_precision precision = reader->options->precision;
    if (precision == TIME_PRECISION_NONE && !time_plausible(reader, time))
        refuse_implausible(reader, time);
    else if (!time_precision_convert(time, precision, &sample->time_ms) ||
             sample->time_ms < TIME_MIN_MS || sample->time_ms >= TIME_MAX_MS)
        refuse_out_of_range(reader, text);
}

static bool timestamp_take(struct json_reader *reader, struct json_sample *sample, uint32_t depth)
{
    struct json_tokens *tokens = &reader->tokens;
    struct slice text;
    int64_t time;
    if (starts_number(*tokens->last)) {
        text = json_token(tokens);
        enum json_number result = json_integer_parse(text, &time);
        if (result == JSON_NUMBER_OK)
            time_take(reader, sample, time, text);
        else if (result == JSON_NUMBER_OVERFLOW)
            refuse_out_of_range(reader, text);
        else if (json_number_parse(text, &(double){0}) == JSON_NUMBER_INVALID)
            return json_refuse(tokens, text.data, "this is not how JSON writes a number");
        else
            sample_refuse(reader, "timestamp_invalid",
                          "timestamp %.*s is not a whole number; send a finer unit with "
                          "precision=ms, us or ns",
                          SLICE_FORMAT(text));
        return true;
    }
    bool string = *tokens->last == '"';
    if (string && (!json_string_take(tokens, &text) ||
                   !json_string_decode(tokens, text, reader->batch->arena, &text)))
        return false;
    if (!string || !instant_parse(text, &sample->time_ms))
        sample_refuse(reader, "timestamp_invalid",
                      "the timestamp is neither a whole number nor RFC 3339 text such as "
                      "\"2026-11-22T10:00:00Z\"");
    else if (sample->time_ms < TIME_MIN_MS || sample->time_ms >= TIME_MAX_MS)
        refuse_out_of_range(reader, text);
    return string || json_skip(tokens, depth);
}

/* ---- the object ---- */

/* A member whose value must be a string. */
static bool text_take(struct json_reader *reader, struct slice *quoted, const char *code,
                      const char *member, uint32_t depth)
{
    if (*reader->tokens.last == '"')
        return json_string_take(&reader->tokens, quoted);
    sample_refuse(reader, code, "the member \"%s\" is not a string", member);
    return json_skip(&reader->tokens, depth);
}

static bool member_take(struct json_reader *reader, struct json_sample *sample, enum member member,
                        enum member previous, uint32_t depth)
{
    switch (member) {
    case MEMBER_NAME:
        return text_take(reader, &sample->name, "name_invalid", "name", depth);
    case MEMBER_LABELS:
        if (*reader->tokens.last == '{') {
            sample->adjacent = previous == MEMBER_NAME;
            return labels_take(reader, sample, depth);
        }
        sample_refuse(reader, "label_invalid",
                      "the member \"labels\" is not an object such as {\"region\":\"eu\"}");
        break;
    case MEMBER_VALUE:
        return value_take(reader, sample, depth);
    case MEMBER_TIMESTAMP:
        return timestamp_take(reader, sample, depth);
    case MEMBER_TYPE:
        return text_take(reader, &sample->type, "type_invalid", "type", depth);
    case MEMBER_UNIT:
        return text_take(reader, &sample->unit, "unit_invalid", "unit", depth);
    case MEMBER_HELP:
        return text_take(reader, &sample->help, "help_invalid", "help", depth);
    case MEMBER_UNKNOWN:
        break;
    }
    return json_skip(&reader->tokens, depth);
}

/* A member's name, ':' and the first token of its value. MEMBER_UNKNOWN has been refused. */
static bool member_begin(struct json_reader *reader, struct json_sample *sample,
                         enum member *member)
{
    struct json_tokens *tokens = &reader->tokens;
    struct slice quoted;
    if (!json_member_name(tokens, &quoted))
        return false;
    *member = member_find_plain(quoted);
    if (*member == MEMBER_UNKNOWN) {
        struct slice name;
        if (!json_string_take(tokens, &quoted) ||
            !json_string_decode(tokens, quoted, reader->batch->arena, &name))
            return false;
        *member = (enum member)json_member_find(&members, name);
        if (*member == MEMBER_UNKNOWN)
            refuse_unknown(reader, name);
    }
    if (sample->seen & *member) {
        sample_refuse(reader, "field_duplicate", "the member %.*s is given twice",
                      SLICE_FORMAT(quoted));
        *member = MEMBER_UNKNOWN;
    }
    sample->seen |= *member;
    return json_member_value(tokens);
}

static void sample_begin(struct json_reader *reader, struct json_sample *sample)
{
    *sample = (struct json_sample){.time_ms = reader->options->now_ms};
    reader->refused = NULL;
    reader->reason[0] = 0;
}

bool json_sample_parse(struct json_reader *reader, struct json_sample *sample, uint32_t depth)
{
    struct json_tokens *tokens = &reader->tokens;
    sample_begin(reader, sample);
    if (*tokens->last != '{') {
        sample_refuse(reader, "sample_invalid",
                      "a sample is an object such as {\"name\":\"x\",\"value\":1}");
        return json_skip(tokens, depth);
    }
    bool more = false;
    if (!json_object_begin(tokens, &more))
        return false;
    enum member previous = MEMBER_UNKNOWN;
    while (more) {
        enum member member = MEMBER_UNKNOWN;
        if (!member_begin(reader, sample, &member) ||
            !member_take(reader, sample, member, previous, depth + 1) ||
            !json_object_next(tokens, &more))
            return false;
        previous = member;
    }
    return true;
}

/* ---- into the batch ---- */

/* The descriptor that rides along. `refused` is set where it cannot be one. */
static enum status metric_add(struct json_reader *reader, const struct json_sample *sample)
{
    struct batch *batch = reader->batch;
    const struct slice quoted[] = {sample->name, sample->type, sample->unit, sample->help};
    struct slice text[] = {{0}, {0}, {0}, {0}};
    for (size_t i = 0; i < sizeof quoted / sizeof quoted[0]; i++) {
        if (quoted[i].data == NULL)
            continue;
        text[i] = json_string_text(quoted[i], batch->arena);
        if (text[i].data == NULL)
            return arena_status(batch->arena);
    }
    struct metric metric = {.name = text[0], .unit = text[2], .help = text[3]};
    struct error reason;
    if (json_metric_check(&metric, sample->type.data != NULL ? &text[1] : NULL, &reason) !=
        STATUS_OK) {
        sample_refuse(reader, reason.code, "%s", reason.message);
        return STATUS_OK;
    }
    if (batch->metric_count > 0) {
        const struct metric *last = &batch->metrics[batch->metric_count - 1];
        if (last->type == metric.type && slice_equal(last->name, metric.name) &&
            slice_equal(last->unit, metric.unit) && slice_equal(last->help, metric.help))
            return STATUS_OK;
    }
    return batch_add_metric(batch, &metric);
}

/* Name and labels put together where they do not stand so in the body. */
static struct slice raw_join(struct arena *arena, const struct json_sample *sample)
{
    static const char between[] = ",\"labels\":";
    size_t size = sample->name.size + sizeof between - 1 + sample->labels.size;
    uint8_t *raw = arena_alloc(arena, size);
    if (raw == NULL)
        return slice_of(NULL, 0);
    uint8_t *to = raw;
    memcpy(to, sample->name.data, sample->name.size);
    to += sample->name.size;
    memcpy(to, between, sizeof between - 1);
    to += sizeof between - 1;
    memcpy(to, sample->labels.data, sample->labels.size);
    return slice_of(raw, size);
}

static enum status sample_refused(struct json_reader *reader, const struct json_sample *sample,
                                  struct json_place place)
{
    struct slice name = {0};
    bool listed = reader->batch->rejection_count < BATCH_MAX_REJECTIONS;
    if (listed && sample->name.data != NULL) {
        name = json_string_text(sample->name, reader->batch->arena);
        if (name.data == NULL)
            return arena_status(reader->batch->arena);
    }
    batch_reject(reader->batch, 1, place.index, place.line, reader->refused, name, "%s",
                 reader->reason);
    return STATUS_OK;
}

enum status json_sample_store(struct json_reader *reader, const struct json_sample *sample,
                              struct json_place place)
{
    struct batch *batch = reader->batch;
    if (sample->name.size <= 2 && reader->refused == NULL)
        sample_refuse(reader, "metric_name_missing",
                      "the sample has no name; give it a member \"name\" that is not empty");
    if (!(sample->seen & MEMBER_VALUE))
        sample_refuse(reader, "value_missing", "the sample has no member \"value\"");
    if (reader->refused == NULL && (sample->seen & (MEMBER_TYPE | MEMBER_UNIT | MEMBER_HELP))) {
        enum status status = metric_add(reader, sample);
        if (status != STATUS_OK)
            return status;
    }
    if (reader->refused != NULL)
        return sample_refused(reader, sample, place);
    struct slice raw = sample->name;
    if (sample->adjacent)
        raw.size = (size_t)(sample->labels.data - raw.data) + sample->labels.size;
    else if (sample->labels.data != NULL)
        raw = raw_join(batch->arena, sample);
    if (raw.data == NULL)
        return arena_status(batch->arena);
    uint32_t series;
    enum status status = batch_add_series(batch, raw, place.index, place.line, &series);
    if (status != STATUS_OK)
        return status;
    return batch_add_sample(batch, series, sample->time_ms, sample->value);
}

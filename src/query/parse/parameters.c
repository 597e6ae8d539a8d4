#include "query/parse/parameters.h"

#include <math.h>
#include <stdio.h>

#include "base/nearest.h"
#include "base/shown.h"
#include "base/times.h"
#include "base/utf8.h"
#include "cxx/number.h"

enum { LIMIT_MAX = 1000000 };

/* A number below this counts seconds (to the year 5138), from it on milliseconds (from 1973). */
static const double FIRST_MS_NUMBER = 1e11;

enum status parameter_invalid(struct error *err, const char *name, const char *format, ...)
{
    char text[ERROR_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    return fail_code(err, STATUS_INVALID, "invalid_parameter", "invalid parameter \"%s\": %s", name,
                     text);
}

static bool has_rule(const char *name, const struct parameter_rule *rules, size_t rule_count)
{
    for (size_t i = 0; i < rule_count; i++)
        if (strcmp(rules[i].name, name) == 0)
            return true;
    return false;
}

/* What other services' routes call the same; NULL where `name` is no such word. */
static const char *name_here(struct slice name, const struct parameter_rule *rules,
                             size_t rule_count)
{
    static const struct {
        const char *there, *here;
    } words[] = {
        {"step", "interval"},   {"query", "match"}, {"query", "match[]"}, {"selector", "match"},
        {"from", "start"},      {"to", "end"},      {"until", "end"},     {"time", "end"},
        {"bucket", "interval"}, {"timezone", "tz"},
    };
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
        if (slice_equal_text(name, words[i].there) && has_rule(words[i].here, rules, rule_count))
            return words[i].here;
    return NULL;
}

static void list_rules(char *text, size_t size, const struct parameter_rule *rules,
                       size_t rule_count)
{
    size_t used = 0;
    text[0] = 0;
    for (size_t i = 0; i < rule_count && used < size; i++)
        used +=
            (size_t)snprintf(text + used, size - used, "%s%s", i == 0 ? "" : ", ", rules[i].name);
}

static enum status unknown_parameter(struct slice name, const struct parameter_rule *rules,
                                     size_t rule_count, struct error *err)
{
    struct shown shown = shown_text(name);
    struct nearest nearest = nearest_to(name, NEAREST_LIKELY);
    for (size_t i = 0; i < rule_count; i++)
        nearest_offer(&nearest, i, slice_from_text(rules[i].name));
    const char *here = name_here(name, rules, rule_count);
    char all[ERROR_MESSAGE_SIZE];
    list_rules(all, sizeof all, rules, rule_count);
    return fail_code(err, STATUS_INVALID, "invalid_parameter",
                     "invalid parameter \"%s\": there is none of that name; %s%s%s", shown.text,
                     here != NULL    ? "here it is \""
                     : nearest.found ? "the nearest is \""
                                     : "there are ",
                     here != NULL    ? here
                     : nearest.found ? rules[nearest.index].name
                                     : all,
                     here != NULL || nearest.found ? "\"" : "");
}

enum status parameters_check(const struct query_parameter *parameters, size_t count,
                             const struct parameter_rule *rules, size_t rule_count,
                             struct error *err)
{
    if (count > QUERY_MAX_PARAMETERS)
        return fail_code(err, STATUS_INVALID, "invalid_parameter",
                         "%zu parameters; at most %d are accepted", count, QUERY_MAX_PARAMETERS);
    for (size_t i = 0; i < count; i++) {
        if (!utf8_valid(parameters[i].name)) {
            struct shown shown = shown_text(parameters[i].name);
            return fail_code(err, STATUS_INVALID, "invalid_parameter",
                             "the name of parameter %zu, \"%s\", is not valid UTF-8", i + 1,
                             shown.text);
        }
        size_t rule = 0;
        while (rule < rule_count && !slice_equal_text(parameters[i].name, rules[rule].name))
            rule++;
        if (rule == rule_count)
            return unknown_parameter(parameters[i].name, rules, rule_count, err);
        if (!utf8_valid(parameters[i].value)) {
            struct shown shown = shown_text(parameters[i].value);
            return parameter_invalid(err, rules[rule].name, "\"%s\" is not valid UTF-8",
                                     shown.text);
        }
        const struct slice *first = parameters_find(parameters, i, rules[rule].name);
        if (first != NULL && !rules[rule].repeatable)
            return parameter_invalid(err, rules[rule].name,
                                     "it is given more than once; give it once");
    }
    return STATUS_OK;
}

const struct slice *parameters_find(const struct query_parameter *parameters, size_t count,
                                    const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equal_text(parameters[i].name, name))
            return &parameters[i].value;
    return NULL;
}

static enum status not_a_time(const char *name, struct slice value, struct error *err)
{
    struct shown shown = shown_text(value);
    /* A plus sign that was not escaped in a URL arrives as a space: of now+1h, or of an offset. */
    enum { DATE_TIME_SIZE = 19 };
    bool plus_lost = (value.size > 4 && memcmp(value.data, "now ", 4) == 0) ||
                     (value.size > DATE_TIME_SIZE && memchr(value.data + DATE_TIME_SIZE, ' ',
                                                            value.size - DATE_TIME_SIZE) != NULL);
    return parameter_invalid(err, name,
                             "\"%s\" is not a time; accepted are RFC 3339 "
                             "(2026-11-23T10:00:00Z), now, now-6h, now+1h, or a number: seconds "
                             "since 1970 below 1e11, else milliseconds%s",
                             shown.text, plus_lost ? "; in a URL write + as %2B" : "");
}

static bool time_from_now(struct slice value, int64_t now_ms, int64_t *time_ms)
{
    if (value.size < 3 || memcmp(value.data, "now", 3) != 0)
        return false;
    struct slice rest = slice_from(value, 3);
    int64_t distance = 0;
    if (rest.size == 0) {
        *time_ms = now_ms;
        return true;
    }
    if ((rest.data[0] != '-' && rest.data[0] != '+') ||
        !duration_parse(slice_from(rest, 1), &distance))
        return false;
    return rest.data[0] == '-' ? !__builtin_sub_overflow(now_ms, distance, time_ms)
                               : !__builtin_add_overflow(now_ms, distance, time_ms);
}

static bool time_from_number(struct slice value, int64_t *time_ms)
{
    double number;
    bool overflow;
    if (!number_parse(value, &number, &overflow))
        return false;
    double ms = fabs(number) < FIRST_MS_NUMBER ? number * MS_PER_SECOND : number;
    /* Beyond this is beyond TIME_MAX_MS too; the caller says so. */
    *time_ms = ms >= 9e18 ? INT64_MAX : ms <= -9e18 ? INT64_MIN : llround(ms);
    return true;
}

enum status parameter_time(const char *name, struct slice value, int64_t now_ms, int64_t *time_ms,
                           struct error *err)
{
    if (!time_from_now(value, now_ms, time_ms) && !instant_parse(value, time_ms) &&
        !time_from_number(value, time_ms))
        return not_a_time(name, value, err);
    if (*time_ms < TIME_MIN_MS || *time_ms > TIME_MAX_MS) {
        struct shown shown = shown_text(value);
        return parameter_invalid(err, name,
                                 "\"%s\" lies outside the years 1678 to 2262, which are all that "
                                 "can be stored",
                                 shown.text);
    }
    return STATUS_OK;
}

enum status parameter_limit(const char *name, struct slice value, uint64_t *limit,
                            struct error *err)
{
    uint64_t number = 0;
    bool valid = value.size > 0 && value.size <= 7;
    for (size_t i = 0; valid && i < value.size; i++) {
        valid = value.data[i] >= '0' && value.data[i] <= '9';
        number = number * 10 + (uint64_t)(value.data[i] - '0');
    }
    if (!valid || number == 0 || number > LIMIT_MAX) {
        struct shown shown = shown_text(value);
        return parameter_invalid(err, name,
                                 "\"%s\" is not accepted; give a whole number from 1 to %d",
                                 shown.text, LIMIT_MAX);
    }
    *limit = number;
    return STATUS_OK;
}

enum status parameter_selector(const char *name, struct slice value, struct arena *arena,
                               struct matchers *matchers, struct error *err)
{
    enum status status = matchers_parse(value, arena, matchers, err);
    if (status == STATUS_INVALID || status == STATUS_LIMIT)
        error_prefix(err, "invalid parameter \"%s\"", name);
    return status;
}

#include "query/parse/parse.h"

#include <math.h>
#include <stdlib.h>

#include "base/shown.h"
#include "base/times.h"
#include "cxx/number.h"
#include "query/parse/parameters.h"

enum { DEFAULT_RANGE_MS = MS_PER_HOUR };

/* Far beyond any use; keeps sums with times from overflowing. */
#define MAX_INTERVAL_MS (INT64_C(500) * 365 * MS_PER_DAY)

static const struct parameter_rule query_rules[] = {
    {"metric", false},  {"match", false},     {"label", true},     {"start", false},
    {"end", false},     {"aggregate", false}, {"interval", false}, {"by", false},
    {"fill", false},    {"over", false},      {"limit", false},    {"after", false},
    {"timeout", false}, {"tz", false},
};

static const struct aggregate_name {
    const char *name;
    enum query_aggregate aggregate;
    double quantile;
} aggregate_names[] = {
    {"sum", AGGREGATE_SUM, 0},         {"avg", AGGREGATE_AVG, 0},
    {"min", AGGREGATE_MIN, 0},         {"max", AGGREGATE_MAX, 0},
    {"count", AGGREGATE_COUNT, 0},     {"first", AGGREGATE_FIRST, 0},
    {"last", AGGREGATE_LAST, 0},       {"stddev", AGGREGATE_STDDEV, 0},
    {"rate", AGGREGATE_RATE, 0},       {"increase", AGGREGATE_INCREASE, 0},
    {"p50", AGGREGATE_QUANTILE, 0.5},  {"p90", AGGREGATE_QUANTILE, 0.9},
    {"p95", AGGREGATE_QUANTILE, 0.95}, {"p99", AGGREGATE_QUANTILE, 0.99},
};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* What the functions below pass around. */
struct request_parser {
    const struct query_parameter *parameters;
    size_t count;
    const struct query_limits *limits;
    int64_t now_ms;
    struct arena *arena;
    struct error *err;
};

static const struct slice *find(const struct request_parser *parser, const char *name)
{
    return parameters_find(parser->parameters, parser->count, name);
}

/* ---- which series ----------------------------------------------------------------------- */

static enum status add_matcher(struct request_parser *parser, struct matchers *matchers,
                               const char *parameter, enum matcher_type type, struct slice name,
                               struct slice value)
{
    if (matchers->count == MATCHERS_MAX_COUNT)
        return parameter_invalid(parser->err, parameter,
                                 "more than %d conditions on labels in one query",
                                 MATCHERS_MAX_COUNT);
    enum status status = matcher_init(&matchers->items[matchers->count], type, name, value,
                                      parser->arena, parser->err);
    if (status == STATUS_OK)
        matchers->count++;
    else if (status == STATUS_INVALID)
        error_prefix(parser->err, "invalid parameter \"%s\"", parameter);
    return status;
}

static enum status parse_metric(struct request_parser *parser, struct matchers *matchers)
{
    const struct slice *metric = find(parser, "metric");
    const struct slice *match = find(parser, "match");
    if (metric == NULL && match == NULL)
        return parameter_invalid(parser->err, "metric",
                                 "it is missing; give metric=NAME or match={...} to say what to "
                                 "query");
    if (metric != NULL && match != NULL)
        return parameter_invalid(parser->err, "match",
                                 "metric is given too; give one of the two (label=... narrows "
                                 "either)");
    matchers->items = arena_calloc(parser->arena, MATCHERS_MAX_COUNT, sizeof matchers->items[0]);
    if (matchers->items == NULL)
        return fail(parser->err, arena_status(parser->arena), "no memory for the query");
    if (metric != NULL) {
        if (metric->size == 0)
            return parameter_invalid(parser->err, "metric", "it is empty; give a metric's name");
        return add_matcher(parser, matchers, "metric", MATCH_EQUAL,
                           slice_from_text(METRIC_NAME_LABEL), *metric);
    }
    struct matchers selector;
    enum status status = parameter_selector("match", *match, parser->arena, &selector, parser->err);
    if (status != STATUS_OK)
        return status;
    memcpy(matchers->items, selector.items, selector.count * sizeof selector.items[0]);
    matchers->count = selector.count;
    return STATUS_OK;
}

static enum status parse_label(struct request_parser *parser, struct slice value,
                               struct matchers *matchers)
{
    size_t at = 0;
    while (at < value.size && value.data[at] != '=' && value.data[at] != '!')
        at++;
    int first = at < value.size ? value.data[at] : -1;
    int second = at + 1 < value.size ? value.data[at + 1] : -1;
    if (at == 0 || first < 0 || (first == '!' && second != '=' && second != '~')) {
        struct shown shown = shown_text(value);
        return parameter_invalid(parser->err, "label",
                                 "\"%s\" is no condition; accepted are NAME=VALUE, NAME!=VALUE, "
                                 "NAME=~REGEX and NAME!~REGEX, for example label=method=GET",
                                 shown.text);
    }
    enum matcher_type type = first == '!' ? (second == '~' ? MATCH_NOT_REGEX : MATCH_NOT_EQUAL)
                                          : (second == '~' ? MATCH_REGEX : MATCH_EQUAL);
    size_t operator_size = type == MATCH_EQUAL ? 1 : 2;
    return add_matcher(parser, matchers, "label", type, slice_of(value.data, at),
                       slice_from(value, at + operator_size));
}

static enum status parse_matchers(struct request_parser *parser, struct matchers *matchers)
{
    enum status status = parse_metric(parser, matchers);
    for (size_t i = 0; status == STATUS_OK && i < parser->count; i++)
        if (slice_equal_text(parser->parameters[i].name, "label"))
            status = parse_label(parser, parser->parameters[i].value, matchers);
    return status;
}

/* Every match[] of the list. */
static enum status parse_selectors(struct request_parser *parser, struct selectors *selectors)
{
    selectors->items = arena_calloc(parser->arena, parser->count + 1, sizeof selectors->items[0]);
    if (selectors->items == NULL)
        return fail(parser->err, arena_status(parser->arena), "no memory for the selectors");
    for (size_t i = 0; i < parser->count; i++) {
        if (!slice_equal_text(parser->parameters[i].name, "match[]"))
            continue;
        enum status status =
            parameter_selector("match[]", parser->parameters[i].value, parser->arena,
                               &selectors->items[selectors->count], parser->err);
        if (status != STATUS_OK)
            return status;
        selectors->count++;
    }
    return STATUS_OK;
}

static void selectors_release(struct selectors *selectors)
{
    for (size_t i = 0; i < selectors->count; i++)
        matchers_release(&selectors->items[i]);
    selectors->count = 0;
}

/* ---- when ------------------------------------------------------------------------------- */

/* `range` comes in with the defaults. */
static enum status parse_range(struct request_parser *parser, struct time_range *range)
{
    const struct slice *start = find(parser, "start");
    const struct slice *end = find(parser, "end");
    enum status status = STATUS_OK;
    if (start != NULL)
        status = parameter_time("start", *start, parser->now_ms, &range->start_ms, parser->err);
    if (status == STATUS_OK && end != NULL)
        status = parameter_time("end", *end, parser->now_ms, &range->end_ms, parser->err);
    if (status == STATUS_OK && time_range_empty(*range)) {
        char start_text[INSTANT_TEXT_SIZE], end_text[INSTANT_TEXT_SIZE];
        instant_format(start_text, range->start_ms);
        instant_format(end_text, range->end_ms);
        return parameter_invalid(parser->err, start != NULL ? "start" : "end",
                                 "start (%s) must lie before end (%s)", start_text, end_text);
    }
    return status;
}

static enum status parse_interval(struct request_parser *parser, struct query_request *request)
{
    const struct slice *interval = find(parser, "interval");
    if (interval == NULL)
        return STATUS_OK;
    if (!duration_parse(*interval, &request->interval_ms) || request->interval_ms == 0 ||
        request->interval_ms > MAX_INTERVAL_MS) {
        struct shown shown = shown_text(*interval);
        return parameter_invalid(parser->err, "interval",
                                 "\"%s\" is no interval; accepted are for example 500ms, 15s, "
                                 "1m, 1h30m, 1d, at most 500y",
                                 shown.text);
    }
    uint64_t buckets = (uint64_t)(request->range.end_ms - request->range.start_ms) /
                           (uint64_t)request->interval_ms +
                       1;
    uint64_t max = parser->limits->max_points;
    if (max != 0 && buckets > max) {
        struct shown shown = shown_text(*interval);
        return fail_code(parser->err, STATUS_LIMIT, "query_points_limit",
                         "invalid parameter \"interval\": %s makes %llu points a series; at "
                         "most %llu are accepted: choose a longer interval or a shorter range",
                         shown.text, (unsigned long long)buckets, (unsigned long long)max);
    }
    return STATUS_OK;
}

/* A length of time, or a number of seconds. */
static bool timeout_from_text(struct slice text, int64_t *timeout_ms)
{
    double seconds;
    bool overflow;
    if (number_parse(text, &seconds, &overflow)) {
        if (!(seconds > 0) || seconds > MS_PER_DAY)
            return false;
        *timeout_ms = (int64_t)ceil(seconds * MS_PER_SECOND);
        return true;
    }
    return duration_parse(text, timeout_ms) && *timeout_ms > 0;
}

static enum status parse_timeout(struct request_parser *parser, struct query_request *request)
{
    const struct slice *timeout = find(parser, "timeout");
    request->timeout_ms = parser->limits->timeout_ms;
    if (timeout == NULL)
        return STATUS_OK;
    int64_t wanted;
    if (!timeout_from_text(*timeout, &wanted)) {
        struct shown shown = shown_text(*timeout);
        return parameter_invalid(parser->err, "timeout",
                                 "\"%s\" is no time-out; accepted are for example 500ms, 30s, "
                                 "1m, or a number of seconds",
                                 shown.text);
    }
    if (request->timeout_ms == 0 || wanted < request->timeout_ms)
        request->timeout_ms = wanted;
    return STATUS_OK;
}

/* ---- what of it ------------------------------------------------------------------------- */

static enum status parse_quantile(struct request_parser *parser, struct slice rank,
                                  struct query_request *request)
{
    bool overflow;
    request->aggregate = AGGREGATE_QUANTILE;
    if (number_parse(rank, &request->quantile, &overflow) && request->quantile >= 0 &&
        request->quantile <= 1)
        return STATUS_OK;
    struct shown shown = shown_text(rank);
    return parameter_invalid(parser->err, "aggregate",
                             "\"quantile:%s\" is not accepted; give a number from 0 to 1, for "
                             "example quantile:0.95",
                             shown.text);
}

static enum status parse_aggregate(struct request_parser *parser, struct query_request *request)
{
    static const char quantile[] = "quantile:";
    const struct slice *aggregate = find(parser, "aggregate");
    if (aggregate == NULL)
        return STATUS_OK;
    for (size_t i = 0; i < COUNT_OF(aggregate_names); i++) {
        if (!slice_equal_text(*aggregate, aggregate_names[i].name))
            continue;
        request->aggregate = aggregate_names[i].aggregate;
        request->quantile = aggregate_names[i].quantile;
        return STATUS_OK;
    }
    size_t prefix = sizeof quantile - 1;
    if (aggregate->size > prefix && memcmp(aggregate->data, quantile, prefix) == 0)
        return parse_quantile(parser, slice_from(*aggregate, prefix), request);
    struct shown shown = shown_text(*aggregate);
    return parameter_invalid(parser->err, "aggregate",
                             "there is no \"%s\"; accepted are sum, avg, min, max, count, first, "
                             "last, stddev, rate, increase, quantile:0.95 (any from 0 to 1), p50, "
                             "p90, p95, p99",
                             shown.text);
}

static int compare_names(const void *a, const void *b)
{
    const struct slice *left = a;
    const struct slice *right = b;
    return slice_compare(*left, *right);
}

static enum status parse_by(struct request_parser *parser, struct query_request *request)
{
    const struct slice *by = find(parser, "by");
    if (by == NULL)
        return STATUS_OK;
    request->grouped = true;
    if (by->size == 0)
        return STATUS_OK;
    request->by = arena_calloc(parser->arena, REQUEST_MAX_BY, sizeof request->by[0]);
    struct slice text = arena_copy(parser->arena, *by);
    if (request->by == NULL || text.data == NULL)
        return fail(parser->err, arena_status(parser->arena), "no memory for the query");
    size_t count = 0;
    for (size_t at = 0, first = 0; at <= text.size; at++) {
        if (at < text.size && text.data[at] != ',')
            continue;
        if (at == first)
            return parameter_invalid(parser->err, "by",
                                     "a label's name is empty; give names with commas between "
                                     "them, or nothing at all to pool every series");
        if (count == REQUEST_MAX_BY)
            return parameter_invalid(parser->err, "by", "more than %d labels", REQUEST_MAX_BY);
        request->by[count++] = slice_of(text.data + first, at - first);
        first = at + 1;
    }
    qsort(request->by, count, sizeof request->by[0], compare_names);
    request->by_count = 1;
    for (size_t i = 1; i < count; i++)
        if (!slice_equal(request->by[i], request->by[request->by_count - 1]))
            request->by[request->by_count++] = request->by[i];
    return STATUS_OK;
}

static enum status parse_over(struct request_parser *parser, struct query_request *request)
{
    const struct slice *over = find(parser, "over");
    if (over == NULL || slice_equal_text(*over, "samples"))
        return STATUS_OK;
    request->over_series = slice_equal_text(*over, "series");
    if (request->over_series)
        return STATUS_OK;
    struct shown shown = shown_text(*over);
    return parameter_invalid(parser->err, "over", "\"%s\" is not accepted; give samples or series",
                             shown.text);
}

static enum status parse_fill(struct request_parser *parser, struct query_request *request)
{
    const struct slice *fill = find(parser, "fill");
    if (fill == NULL || slice_equal_text(*fill, "none"))
        return STATUS_OK;
    struct shown shown = shown_text(*fill);
    if (slice_equal_text(*fill, "null"))
        request->fill = FILL_NULL;
    else if (slice_equal_text(*fill, "previous"))
        request->fill = FILL_PREVIOUS;
    else
        return parameter_invalid(parser->err, "fill",
                                 "\"%s\" is not accepted; give none, null or previous", shown.text);
    if (find(parser, "interval") == NULL)
        return parameter_invalid(parser->err, "fill",
                                 "\"%s\" fills buckets, and without an interval there is one "
                                 "only; give an interval too, for example interval=1m",
                                 shown.text);
    return STATUS_OK;
}

static enum status parse_zone(struct request_parser *parser, struct query_request *request)
{
    const struct slice *name = find(parser, "tz");
    if (name == NULL)
        return STATUS_OK;
    struct error reason;
    struct shown shown = shown_text(*name);
    enum status status = zone_open(&request->zone, *name, &reason);
    if (status == STATUS_NOT_FOUND)
        return parameter_invalid(parser->err, "tz",
                                 "there is no time zone \"%s\"; give a name of the IANA "
                                 "database, for example Europe/Berlin or UTC",
                                 shown.text);
    if (status == STATUS_UNSUPPORTED)
        return fail_code(parser->err, status, "unsupported", "parameter \"tz\": %s",
                         reason.message);
    if (status != STATUS_OK)
        return fail(parser->err, status, "%s", reason.message);
    if (find(parser, "interval") == NULL && !slice_equal_text(*name, "UTC"))
        return parameter_invalid(parser->err, "tz",
                                 "\"%s\" aligns buckets, and without an interval there is one "
                                 "only, from start to end; give an interval too, for example "
                                 "interval=1d",
                                 shown.text);
    return STATUS_OK;
}

/* Parameters that would change nothing are mistakes of whoever gave them. */
static enum status check_needs_aggregate(struct request_parser *parser,
                                         const struct query_request *request)
{
    static const char *const dependants[] = {"interval", "by", "over", "fill", "tz"};
    if (request->aggregate != AGGREGATE_NONE)
        return STATUS_OK;
    for (size_t i = 0; i < COUNT_OF(dependants); i++)
        if (find(parser, dependants[i]) != NULL)
            return parameter_invalid(parser->err, dependants[i],
                                     "it has no meaning for raw samples; give an aggregate too, "
                                     "for example aggregate=avg");
    return STATUS_OK;
}

static enum status parse_after(struct request_parser *parser, struct query_request *request)
{
    const struct slice *after = find(parser, "after");
    if (after == NULL)
        return STATUS_OK;
    request->has_after = true;
    enum status status = cursor_decode(request->grouped ? CURSOR_GROUP : CURSOR_SERIES, *after,
                                       parser->arena, &request->after, parser->err);
    if (status == STATUS_INVALID) {
        struct error reason = {.message = ""};
        if (parser->err != NULL)
            reason = *parser->err;
        return parameter_invalid(parser->err, "after", "%s", reason.message);
    }
    return status;
}

static enum status parse_limit(struct request_parser *parser, uint64_t *limit)
{
    const struct slice *text = find(parser, "limit");
    return text == NULL ? STATUS_OK : parameter_limit("limit", *text, limit, parser->err);
}

/* ---- the three requests ----------------------------------------------------------------- */

enum status query_request_parse(struct query_request *request,
                                const struct query_parameter *parameters, size_t count,
                                const struct query_limits *limits, int64_t now_ms,
                                struct arena *arena, struct error *err)
{
    *request = (struct query_request){
        /* The default end is exclusive too: one millisecond on, so that it includes now. */
        .range = {.start_ms = now_ms - DEFAULT_RANGE_MS, .end_ms = now_ms + 1},
        .limit = limits->default_limit,
        .max_points = limits->max_points,
    };
    struct request_parser parser = {parameters, count, limits, now_ms, arena, err};
    enum status status =
        parameters_check(parameters, count, query_rules, COUNT_OF(query_rules), err);
    if (status == STATUS_OK)
        status = parse_matchers(&parser, &request->matchers);
    if (status == STATUS_OK)
        status = parse_range(&parser, &request->range);
    if (status == STATUS_OK)
        status = parse_aggregate(&parser, request);
    if (status == STATUS_OK)
        status = check_needs_aggregate(&parser, request);
    if (status == STATUS_OK)
        status = parse_zone(&parser, request);
    if (status == STATUS_OK)
        status = parse_fill(&parser, request);
    if (status == STATUS_OK)
        status = parse_interval(&parser, request);
    if (status == STATUS_OK)
        status = parse_by(&parser, request);
    if (status == STATUS_OK)
        status = parse_over(&parser, request);
    if (status == STATUS_OK)
        status = parse_limit(&parser, &request->limit);
    if (status == STATUS_OK)
        status = parse_after(&parser, request);
    if (status == STATUS_OK)
        status = parse_timeout(&parser, request);
    if (status != STATUS_OK)
        query_request_release(request);
    return status;
}

void query_request_release(struct query_request *request)
{
    matchers_release(&request->matchers);
    zone_close(request->zone);
    request->zone = NULL;
}

/* {__name__!=""}: every series has a name. */
static enum status select_everything(struct request_parser *parser, struct selectors *selectors)
{
    struct matchers *matchers = &selectors->items[0];
    matchers->items = arena_calloc(parser->arena, 1, sizeof matchers->items[0]);
    if (matchers->items == NULL)
        return fail(parser->err, arena_status(parser->arena), "no memory for the selectors");
    enum status status = add_matcher(parser, matchers, "match[]", MATCH_NOT_EQUAL,
                                     slice_from_text(METRIC_NAME_LABEL), slice_of("", 0));
    if (status == STATUS_OK)
        selectors->count = 1;
    return status;
}

enum status export_request_parse(struct export_request *request,
                                 const struct query_parameter *parameters, size_t count,
                                 int64_t now_ms, struct arena *arena, struct error *err)
{
    static const struct parameter_rule rules[] = {
        {"match[]", true}, {"start", false}, {"end", false}, {"limit", false}, {"format", false},
    };
    *request = (struct export_request){.range = {TIME_MIN_MS, TIME_MAX_MS}};
    struct request_parser parser = {parameters, count, NULL, now_ms, arena, err};
    enum status status = parameters_check(parameters, count, rules, COUNT_OF(rules), err);
    if (status == STATUS_OK)
        status = parse_selectors(&parser, &request->selectors);
    if (status == STATUS_OK && request->selectors.count == 0)
        status = select_everything(&parser, &request->selectors);
    if (status == STATUS_OK)
        status = parse_range(&parser, &request->range);
    if (status == STATUS_OK)
        status = parse_limit(&parser, &request->limit);
    if (status != STATUS_OK)
        export_request_release(request);
    return status;
}

void export_request_release(struct export_request *request)
{
    selectors_release(&request->selectors);
}

enum status delete_request_parse(struct delete_request *request,
                                 const struct query_parameter *parameters, size_t count,
                                 int64_t now_ms, struct arena *arena, struct error *err)
{
    static const struct parameter_rule rules[] = {
        {"match[]", true},
        {"start", false},
        {"end", false},
    };
    *request = (struct delete_request){.range = {TIME_MIN_MS, TIME_MAX_MS}};
    struct request_parser parser = {parameters, count, NULL, now_ms, arena, err};
    enum status status = parameters_check(parameters, count, rules, COUNT_OF(rules), err);
    if (status == STATUS_OK)
        status = parse_selectors(&parser, &request->selectors);
    if (status == STATUS_OK && request->selectors.count == 0)
        status = parameter_invalid(err, "match[]",
                                   "a delete needs at least one selector, such as "
                                   "match[]=http_requests_total{job=\"old\"}; "
                                   "{__name__!=\"\"} is everything");
    if (status == STATUS_OK)
        status = parse_range(&parser, &request->range);
    if (status != STATUS_OK)
        delete_request_release(request);
    return status;
}

void delete_request_release(struct delete_request *request)
{
    selectors_release(&request->selectors);
}

enum status metrics_request_parse(struct metrics_request *request,
                                  const struct query_parameter *parameters, size_t count,
                                  const struct query_limits *limits, struct arena *arena,
                                  struct error *err)
{
    static const struct parameter_rule rules[] = {
        {"match[]", true},
        {"search", false},
        {"limit", false},
        {"after", false},
    };
    *request = (struct metrics_request){.limit = limits->default_limit};
    struct request_parser parser = {parameters, count, limits, 0, arena, err};
    enum status status = parameters_check(parameters, count, rules, COUNT_OF(rules), err);
    if (status == STATUS_OK)
        status = parse_selectors(&parser, &request->selectors);
    if (status == STATUS_OK)
        status = parse_limit(&parser, &request->limit);
    const struct slice *search = find(&parser, "search");
    const struct slice *after = find(&parser, "after");
    if (search != NULL)
        request->search = *search;
    if (after != NULL)
        request->after = *after;
    if (status != STATUS_OK)
        metrics_request_release(request);
    return status;
}

void metrics_request_release(struct metrics_request *request)
{
    selectors_release(&request->selectors);
}

#include "../test.h"

#include "protocols/protocols.h"

enum { ARENA_MAX = 1 << 20, DEPTH_MAX = 8 };

struct request {
    struct json_parser *parser;
    struct arena arena;
    struct metric metric;
    struct error err;
};

static int request_set_up(void **state)
{
    static const struct protocol_limits limits = {
        .decoded_max_bytes = ARENA_MAX,
        .json_max_depth = DEPTH_MAX,
    };
    struct request *request = calloc(1, sizeof *request);
    assert_non_null(request);
    arena_init(&request->arena, ARENA_MAX);
    assert_int_equal(json_parser_new(&request->parser, &limits, NULL), STATUS_OK);
    *state = request;
    return 0;
}

static int request_tear_down(void **state)
{
    struct request *request = *state;
    arena_release(&request->arena);
    json_parser_free(request->parser);
    free(request);
    return 0;
}

static enum status body_parse(struct request *request, struct slice body)
{
    arena_release(&request->arena);
    request->err = (struct error){0};
    return protocols_json_parse_metric(request->parser, body, &request->arena, &request->metric,
                                       &request->err);
}

static void assert_parses(struct request *request, const char *body)
{
    if (body_parse(request, slice_from_text(body)) != STATUS_OK)
        test_fail("%s: %s: %s", body, request->err.code, request->err.message);
}

static void assert_refused(struct request *request, struct slice body, const char *code,
                           const char *words)
{
    enum status status = body_parse(request, body);
    const struct error *err = &request->err;
    if (status != STATUS_INVALID || err->code == NULL || strcmp(err->code, code) != 0)
        test_fail("%.*s: status %d, code %s, not %s: %s", SLICE_FORMAT(body), status,
                  err->code == NULL ? "none" : err->code, code, err->message);
    if (strstr(err->message, words) == NULL)
        test_fail("\"%s\" does not say \"%s\"", err->message, words);
}

static void assert_text(struct slice text, const char *wanted)
{
    if (!slice_equal_text(text, wanted))
        test_fail("\"%.*s\" is not \"%s\"", SLICE_FORMAT(text), wanted);
}

static void a_metric_is_read_with_all_its_members(void **state)
{
    struct request *request = *state;
    const struct metric *metric = &request->metric;
    assert_parses(request,
                  "{\"name\":\"http_requests_total\",\"type\":\"counter\",\"unit\":\"requests\","
                  "\"help\":\"requests answered\",\"limits\":{\"max_series\":1000}}");
    assert_text(metric->name, "http_requests_total");
    assert_int_equal(metric->type, METRIC_COUNTER);
    assert_text(metric->unit, "requests");
    assert_text(metric->help, "requests answered");
    assert_true(metric->has_max_series);
    assert_int_equal(metric->max_series, 1000);
}

static void a_name_is_enough(void **state)
{
    struct request *request = *state;
    const struct metric *metric = &request->metric;
    static const char *const bodies[] = {
        "{\"name\":\"x\"}",
        " \r\n{ \"name\" : \"x\" }\t\n",
        "{\"name\":\"x\",\"limits\":{}}",
        "{\"name\":\"x\",\"unit\":\"\",\"help\":\"\"}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        assert_parses(request, bodies[i]);
        assert_text(metric->name, "x");
        assert_int_equal(metric->type, METRIC_UNKNOWN);
        assert_int_equal(metric->unit.size, 0);
        assert_int_equal(metric->help.size, 0);
        assert_false(metric->has_max_series);
    }
}

static void members_come_in_any_order_and_may_be_escaped(void **state)
{
    struct request *request = *state;
    const struct metric *metric = &request->metric;
    assert_parses(request,
                  "{\"limits\":{\"max\\u005fseries\":7},\"help\":\"a \\\"b\\\"\\n\\u00e9\","
                  "\"t\\u0079pe\":\"g\\u0061uge\",\"n\\u0061me\":\"caf\\u00e9\"}");
    assert_text(metric->name, "caf\xc3\xa9");
    assert_int_equal(metric->type, METRIC_GAUGE);
    assert_text(metric->help, "a \"b\"\n\xc3\xa9");
    assert_int_equal(metric->max_series, 7);
}

static void every_type_is_accepted_by_its_name(void **state)
{
    struct request *request = *state;
    for (int type = METRIC_UNKNOWN; type <= METRIC_GAUGEHISTOGRAM; type++) {
        char body[100];
        snprintf(body, sizeof body, "{\"name\":\"x\",\"type\":\"%s\"}",
                 metric_type_name((enum metric_type)type));
        assert_parses(request, body);
        assert_int_equal(request->metric.type, type);
    }
}

static void a_limit_is_any_whole_number_of_32_bits_and_zero_is_one_too(void **state)
{
    struct request *request = *state;
    static const struct {
        const char *text;
        uint32_t limit;
    } cases[] = {
        {"0", 0}, {"-0", 0}, {"1", 1}, {"1e3", 1000}, {"5.0", 5}, {"4294967295", UINT32_MAX},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[100];
        snprintf(body, sizeof body, "{\"name\":\"x\",\"limits\":{\"max_series\":%s}}",
                 cases[i].text);
        assert_parses(request, body);
        assert_true(request->metric.has_max_series);
        assert_int_equal(request->metric.max_series, cases[i].limit);
    }
}

static void what_is_no_limit_is_refused(void **state)
{
    struct request *request = *state;
    static const char *const limits[] = {
        "-1",    "4294967296", "1.5",  "1e400", "18446744073709551616",
        "\"5\"", "null",       "true", "[1]",   "{\"a\":1}",
    };
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        char body[100];
        snprintf(body, sizeof body, "{\"name\":\"x\",\"limits\":{\"max_series\":%s}}", limits[i]);
        assert_refused(request, slice_from_text(body), "limits_invalid",
                       "limits.max_series is not a whole number from 0 (no limit) to 4294967295");
    }
}

static void a_metric_that_cannot_be_registered_is_refused_by_code(void **state)
{
    struct request *request = *state;
    static const struct {
        const char *body;
        const char *code;
        const char *words;
    } cases[] = {
        {"[]", "metric_invalid", "not an object such as"},
        {"\"x\"", "metric_invalid", "not an object such as"},
        {"null", "metric_invalid", "not an object such as"},
        {"{}", "metric_name_missing", "give it a member \"name\""},
        {"{\"name\":\"\"}", "metric_name_missing", "that is not empty"},
        {"{\"type\":\"gauge\"}", "metric_name_missing", "has no name"},
        {"{\"name\":5}", "name_invalid", "\"name\" is not a string"},
        {"{\"name\":null}", "name_invalid", "\"name\" is not a string"},
        {"{\"name\":\"a\\u0000b\"}", "name_invalid", "NUL"},
        {"{\"name\":\"x\",\"type\":\"meter\"}", "type_invalid",
         "type \"meter\" is none of counter, gauge, histogram, summary, info, stateset, "
         "gaugehistogram and unknown"},
        {"{\"name\":\"x\",\"type\":\"\"}", "type_invalid", "type \"\" is none of"},
        {"{\"name\":\"x\",\"type\":\"Gauge\"}", "type_invalid", "none of counter, gauge"},
        {"{\"name\":\"x\",\"type\":[\"gauge\"]}", "type_invalid", "is not a string"},
        {"{\"name\":\"x\",\"unit\":{}}", "unit_invalid", "\"unit\" is not a string"},
        {"{\"name\":\"x\",\"unit\":\"\\u0000\"}", "unit_invalid", "NUL"},
        {"{\"name\":\"x\",\"help\":false}", "help_invalid", "\"help\" is not a string"},
        {"{\"name\":\"x\",\"help\":\"a\\u0000\"}", "help_invalid", "NUL"},
        {"{\"name\":\"x\",\"limits\":5}", "limits_invalid", "{\"max_series\":1000}"},
        {"{\"name\":\"x\",\"limits\":null}", "limits_invalid", "is not an object"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_refused(request, slice_from_text(cases[i].body), cases[i].code, cases[i].words);
}

static void an_unknown_member_is_refused_with_the_nearest(void **state)
{
    struct request *request = *state;
    static const struct {
        const char *body;
        const char *words;
    } cases[] = {
        {"{\"name\":\"x\",\"typ\":\"gauge\"}", "\"typ\"; did you mean \"type\"?"},
        {"{\"Name\":\"x\"}",
         "did you mean \"name\"? A metric has name, type, unit, help and limits"},
        {"{\"name\":\"x\",\"limit\":{}}", "did you mean \"limits\"?"},
        {"{\"name\":\"x\",\"description\":\"y\"}",
         "unknown member \"description\"; a metric has name, type, unit, help and limits"},
        {"{\"name\":\"x\",\"max_series\":1}", "unknown member \"max_series\"; a metric has"},
        {"{\"name\":\"x\",\"limits\":{\"max_serie\":1}}", "did you mean \"max_series\"?"},
        {"{\"name\":\"x\",\"limits\":{\"name\":1}}",
         "unknown member \"name\"; a metric's limits object has max_series"},
        {"{\"name\":\"x\",\"\":1}", "unknown member \"\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_refused(request, slice_from_text(cases[i].body), "unknown_field", cases[i].words);
}

static void a_member_given_twice_is_refused(void **state)
{
    struct request *request = *state;
    static const char *const bodies[] = {
        "{\"name\":\"x\",\"name\":\"x\"}",
        "{\"name\":\"x\",\"n\\u0061me\":\"y\"}",
        "{\"name\":\"x\",\"type\":\"gauge\",\"type\":\"gauge\"}",
        "{\"name\":\"x\",\"unit\":\"\",\"unit\":\"\"}",
        "{\"name\":\"x\",\"help\":\"\",\"help\":\"\"}",
        "{\"name\":\"x\",\"limits\":{},\"limits\":{}}",
        "{\"name\":\"x\",\"limits\":{\"max_series\":1,\"max_series\":1}}",
    };
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        assert_refused(request, slice_from_text(bodies[i]), "field_duplicate", "given twice");
}

/* A body whose member `member` is of `size` bytes. */
static struct slice body_of_size(char *body, size_t capacity, const char *member, size_t size)
{
    int start = snprintf(body, capacity, "{%s\"%s\":\"",
                         strcmp(member, "name") == 0 ? "" : "\"name\":\"x\",", member);
    memset(body + start, 'a', size);
    memcpy(body + (size_t)start + size, "\"}", 2);
    return slice_of(body, (size_t)start + size + 2);
}

static void texts_are_accepted_up_to_their_limits_and_not_beyond(void **state)
{
    struct request *request = *state;
    static const struct {
        const char *member;
        size_t max;
        const char *code;
        const char *words;
    } cases[] = {
        {"name", METRIC_NAME_MAX_SIZE, "name_invalid", "at most 1024 bytes; this one has 1025"},
        {"unit", METRIC_UNIT_MAX_SIZE, "unit_invalid", "at most 256 bytes; this one has 257"},
        {"help", METRIC_HELP_MAX_SIZE, "help_invalid", "at most 16384 bytes; this one has 16385"},
    };
    static char body[METRIC_HELP_MAX_SIZE + 100];
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct slice fits = body_of_size(body, sizeof body, cases[i].member, cases[i].max);
        assert_int_equal(body_parse(request, fits), STATUS_OK);
        assert_refused(request, body_of_size(body, sizeof body, cases[i].member, cases[i].max + 1),
                       cases[i].code, cases[i].words);
    }
}

static void what_is_not_json_is_called_that_with_line_and_column(void **state)
{
    struct request *request = *state;
    static const struct {
        const char *body;
        const char *code;
        const char *words;
    } cases[] = {
        {"", "json_invalid", "the body is empty"},
        {" \n", "json_invalid", "the body is empty"},
        {"{\"name\":\"x\"} {}", "json_invalid", "column 14: text after the end"},
        {"{\"name\":\"x\"},", "json_invalid", "text after the end"},
        {"{\"name\":\"x\"}}", "json_invalid", "text after the end"},
        {"{\"name\":\"x\",}", "json_invalid", "a member's name in double quotes"},
        {"{\"name\" \"x\"}", "json_invalid", "':'"},
        {"{\"name\":\n}", "json_invalid", "line 2, column 1"},
        {"{\"name\":\"x\",\"limits\":{\"max_series\":01}}", "json_invalid", "number"},
        {"{\"name\":\"x\",\"limits\":{\"max_series\":}}", "json_invalid", "expected a value"},
        {"{\"name\":\"\\ud800\"}", "json_invalid", "column 10"},
        {"{\"name\":\"\xff\"}", "utf8_invalid", "not UTF-8"},
        {"{\"name\":\"\xed\xa0\x80\"}", "utf8_invalid", "not UTF-8"},
        /* The metric is wrong as well, before the place where the text is. */
        {"{\"nmae\":5,\"type\":\"gauge\"", "json_invalid", "(the end)"},
        {"[[[[[[[[[[]]]]]]]]]]", "json_too_deep", "nested too deeply"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_refused(request, slice_from_text(cases[i].body), cases[i].code, cases[i].words);
}

static const char whole[] = "{\"name\":\"caf\\u00e9\",\"type\":\"gauge\",\"unit\":\"b\",\"help\":"
                            "\"h\\n\",\"limits\":{\"max_series\":12}}";

static void a_body_cut_at_any_byte_is_refused_cleanly(void **state)
{
    struct request *request = *state;
    assert_parses(request, whole);
    for (size_t size = 0; size < sizeof whole - 1; size++) {
        char *copy = malloc(size + 1); /* so that a read past the end is seen */
        assert_non_null(copy);
        memcpy(copy, whole, size);
        enum status status = body_parse(request, slice_of(copy, size));
        free(copy);
        assert_int_equal(status, STATUS_INVALID);
        assert_string_equal(request->err.code, "json_invalid");
    }
}

static void every_byte_value_at_every_place_is_read_or_refused_cleanly(void **state)
{
    struct request *request = *state;
    char body[sizeof whole];
    for (size_t at = 0; at < sizeof whole - 1; at++)
        for (int byte = 0; byte < 256; byte++) {
            memcpy(body, whole, sizeof whole);
            body[at] = (char)byte;
            enum status status = body_parse(request, slice_of(body, sizeof whole - 1));
            assert_true(status == STATUS_OK || status == STATUS_INVALID);
            assert_true(status == STATUS_OK || request->err.code != NULL);
        }
}

static void an_arena_without_room_is_a_limit(void **state)
{
    struct request *request = *state;
    arena_release(&request->arena);
    arena_init(&request->arena, 0);
    assert_int_equal(body_parse(request, slice_from_text(whole)), STATUS_LIMIT);
    assert_string_equal(request->err.code, "body_too_large");
    assert_parses(request, "{\"name\":\"x\",\"limits\":{\"max_series\":12}}");
}

#define metric_test(name) cmocka_unit_test_setup_teardown(name, request_set_up, request_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        metric_test(a_metric_is_read_with_all_its_members),
        metric_test(a_name_is_enough),
        metric_test(members_come_in_any_order_and_may_be_escaped),
        metric_test(every_type_is_accepted_by_its_name),
        metric_test(a_limit_is_any_whole_number_of_32_bits_and_zero_is_one_too),
        metric_test(what_is_no_limit_is_refused),
        metric_test(a_metric_that_cannot_be_registered_is_refused_by_code),
        metric_test(an_unknown_member_is_refused_with_the_nearest),
        metric_test(a_member_given_twice_is_refused),
        metric_test(texts_are_accepted_up_to_their_limits_and_not_beyond),
        metric_test(what_is_not_json_is_called_that_with_line_and_column),
        metric_test(a_body_cut_at_any_byte_is_refused_cleanly),
        metric_test(every_byte_value_at_every_place_is_read_or_refused_cleanly),
        metric_test(an_arena_without_room_is_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

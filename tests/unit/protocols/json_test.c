#include "../test.h"

#include <inttypes.h>
#include <time.h>

#include "base/bits.h"
#include "base/times.h"
#include "cxx/number.h"
#include "model/value.h"
#include "protocols/protocols.h"

enum { ARENA_MAX = 256 << 20, BODY_MAX = 64 << 20, DEPTH_MAX = 32 };
#define NOW_MS INT64_C(1795305600000) /* 2026-11-22T00:00:00Z */

enum form { FORM_SAMPLE, FORM_BATCH, FORM_LINES };

struct request {
    struct json_parser *parser;
    struct json_options options;
    struct arena arena;
    struct batch batch;
    struct error err;
};

static void request_init(struct request *request)
{
    static const struct protocol_limits limits = {
        .decoded_max_bytes = BODY_MAX,
        .json_max_depth = DEPTH_MAX,
    };
    memset(request, 0, sizeof *request);
    request->options.now_ms = NOW_MS;
    arena_init(&request->arena, ARENA_MAX);
    assert_int_equal(json_parser_new(&request->parser, &limits, NULL), STATUS_OK);
}

static void request_release(struct request *request)
{
    arena_release(&request->arena);
    json_parser_free(request->parser);
}

static enum status body_parse(struct request *request, enum form form, struct slice body)
{
    arena_release(&request->arena);
    request->err = (struct error){0};
    switch (form) {
    case FORM_SAMPLE:
        return protocols_json_parse_sample(request->parser, body, &request->options,
                                           &request->arena, &request->batch, &request->err);
    case FORM_BATCH:
        return protocols_json_parse_batch(request->parser, body, &request->options, &request->arena,
                                          &request->batch, &request->err);
    default:
        return protocols_ndjson_parse(request->parser, body, &request->options, &request->arena,
                                      &request->batch, &request->err);
    }
}

static enum status text_parse(struct request *request, enum form form, const char *text)
{
    return body_parse(request, form, slice_from_text(text));
}

static void assert_says(const char *message, const char *words)
{
    if (strstr(message, words) == NULL)
        test_fail("\"%s\" does not say \"%s\"", message, words);
}

static void assert_rejected(const struct request *request, size_t at, const char *code,
                            const char *words)
{
    char message[ERROR_MESSAGE_SIZE];
    assert_true(at < request->batch.rejection_count);
    const struct batch_rejection *rejection = &request->batch.rejections[at];
    snprintf(message, sizeof message, "%.*s", (int)rejection->message.size,
             (const char *)rejection->message.data);
    if (strcmp(rejection->code, code) != 0)
        test_fail("refused as %s (%s), not as %s", rejection->code, message, code);
    assert_says(message, words);
}

static enum status labels_of(const struct request *request, size_t series, struct arena *arena,
                             struct labels *labels, struct error *err)
{
    enum status status =
        request->batch.decode_labels(request->batch.series[series].raw, arena, labels, err);
    return status == STATUS_OK ? labels_canonicalise(labels, err) : status;
}

static void assert_label(const struct request *request, size_t series, const char *name,
                         struct slice value)
{
    struct arena arena;
    struct labels labels;
    arena_init(&arena, ARENA_MAX);
    assert_int_equal(labels_of(request, series, &arena, &labels, NULL), STATUS_OK);
    struct slice found = labels_get(&labels, slice_from_text(name));
    assert_int_equal(found.size, value.size);
    assert_memory_equal(found.data, value.data, value.size);
    arena_release(&arena);
}

static void assert_label_text(const struct request *request, size_t series, const char *name,
                              const char *value)
{
    assert_label(request, series, name, slice_from_text(value));
}

/* ---- the three forms ---- */

static void one_sample_is_read(void **state)
{
    (void)state;
    struct request request;
    request_init(&request);
    assert_int_equal(text_parse(&request, FORM_SAMPLE,
                                " {\"name\":\"http_requests_total\",\"labels\":{\"method\":\"GET\"}"
                                ",\"value\":1027,\"timestamp\":1795305600000} \n"),
                     STATUS_OK);
    assert_int_equal(request.batch.sample_count, 1);
    assert_int_equal(request.batch.sample_times[0], 1795305600000);
    assert_true(request.batch.sample_values[0] == 1027);
    assert_label_text(&request, 0, "__name__", "http_requests_total");
    assert_label_text(&request, 0, "method", "GET");
    request_release(&request);
}

static void an_array_and_a_metrics_object_hold_samples(void **state)
{
    (void)state;
    static const char *const bodies[] = {
        "[{\"name\":\"a\",\"value\":1},\n{\"name\":\"b\",\"value\":2}]",
        "{\"metrics\" : [{\"name\":\"a\",\"value\":1},{\"name\":\"b\",\"value\":2}]}",
    };
    for (size_t i = 0; i < 2; i++) {
        struct request request;
        request_init(&request);
        assert_int_equal(text_parse(&request, FORM_BATCH, bodies[i]), STATUS_OK);
        assert_int_equal(request.batch.sample_count, 2);
        assert_int_equal(request.batch.series[1].index, 1);
        assert_int_equal(request.batch.series[1].line, 0);
        assert_label_text(&request, 1, "__name__", "b");
        assert_int_equal(request.batch.sample_times[1], NOW_MS);
        request_release(&request);
    }
}

static void lines_are_counted_from_one_and_samples_from_zero(void **state)
{
    (void)state;
    struct request request;
    request_init(&request);
    assert_int_equal(text_parse(&request, FORM_LINES,
                                "{\"name\":\"a\",\"value\":1}\r\n"
                                "\n"
                                " \t\r\n"
                                "{\"name\":\"b\" \"value\":2}\n"
                                "{\"name\":\"c\",\"value\":3}"),
                     STATUS_OK);
    assert_int_equal(request.batch.sample_count, 2);
    assert_int_equal(request.batch.series[0].line, 1);
    assert_int_equal(request.batch.series[1].line, 5);
    assert_int_equal(request.batch.series[1].index, 2);
    assert_int_equal(request.batch.rejected, 1);
    assert_int_equal(request.batch.rejections[0].index, 1);
    assert_int_equal(request.batch.rejections[0].line, 4);
    assert_rejected(&request, 0, "json_invalid", "column 13");
    request_release(&request);
}

static void empty_batches_are_fine_but_an_empty_json_body_is_not(void **state)
{
    (void)state;
    struct request request;
    request_init(&request);
    static const char *const empty_lines[] = {"", "\n", " \r\n\n"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(text_parse(&request, FORM_LINES, empty_lines[i]), STATUS_OK);
        assert_int_equal(request.batch.sample_count + request.batch.rejected, 0);
    }
    assert_int_equal(body_parse(&request, FORM_LINES, slice_of(NULL, 0)), STATUS_OK);
    assert_int_equal(text_parse(&request, FORM_BATCH, "[]"), STATUS_OK);
    assert_int_equal(text_parse(&request, FORM_BATCH, "{\"metrics\":[ ]}"), STATUS_OK);
    for (enum form form = FORM_SAMPLE; form <= FORM_BATCH; form++) {
        assert_int_equal(text_parse(&request, form, ""), STATUS_INVALID);
        assert_says(request.err.message, "empty");
        assert_int_equal(text_parse(&request, form, " \n "), STATUS_INVALID);
        assert_int_equal(body_parse(&request, form, slice_of(NULL, 0)), STATUS_INVALID);
    }
    request_release(&request);
}

static void a_broken_line_refuses_itself_alone(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        size_t size; /* 0: strlen */
        const char *code;
        const char *words;
    } cases[] = {
        {"{\"name\":\"x", 0, "json_invalid", "not closed"},
        {"\\\"{\"name\":\"x\",\"value\":1}", 0, "json_invalid", "column"},
        {"{\"name\":\"x\",\"value\":1", 0, "json_invalid", "ends inside"},
        {"{\"name\":\"x\",\"value\":[1,[", 0, "json_invalid", "ends inside"},
        {"{\"name\":\"x\",\"value\":1}}", 0, "json_invalid", "after the end"},
        {"{\"name\":\"x\",\"value\":1} {}", 0, "json_invalid", "after the end"},
        {"{\"name\":\"x\",\"value\":01}", 0, "json_invalid", "number"},
        {"{\"name\":\"x\",\"value\":1.}", 0, "json_invalid", "number"},
        {"{\"name\":\"x\",\"value\":-}", 0, "json_invalid", "number"},
        {"{\"name\":\"x\",\"value\":NaN}", 0, "json_invalid", "neither"},
        {"{\"name\":\"x\",\"value\":tru}", 0, "json_invalid", "neither"},
        {"{\"name\":\"x\",}", 0, "json_invalid", "member's name"},
        {"{\"name\":\"x\",,\"value\":1}", 0, "json_invalid", "member's name"},
        {"{name:\"x\",\"value\":1}", 0, "json_invalid", "member's name"},
        {"{\"name\":}", 0, "json_invalid", "expected a value"},
        {"{\"name\"}", 0, "json_invalid", "':'"},
        {"{\"name\":\"x\",\"labels\":{\"a\"},\"value\":1}", 0, "json_invalid", "':'"},
        {"{\"name\":\"x\",\"labels\":{\"a\":\"b\",},\"value\":1}", 0, "json_invalid", "label"},
        {"{\"name\":\"x\",\"labels\":{\"a\":\"b\"]", 0, "json_invalid", "'}'"},
        {"{\"name\":\"\\q\",\"value\":1}", 0, "json_invalid", "escape"},
        {"{\"name\":\"\\ud800x\",\"value\":1}", 0, "json_invalid", "surrogate"},
        {"{\"name\":\"\\udc00\",\"value\":1}", 0, "json_invalid", "surrogate"},
        {"{\"name\":\"x\",\"labels\":{\"a\":\"\\u12g4\"},\"value\":1}", 0, "json_invalid",
         "escape"},
        {"{\"name\":\"x\xff\",\"value\":1}", 0, "utf8_invalid", "column 11"},
        {"{\"name\":\"x\xed\xa0\x80\",\"value\":1}", 0, "utf8_invalid", "UTF-8"},
        {"{\"name\":\"x\xc0\x80\",\"value\":1}", 0, "utf8_invalid", "UTF-8"},
        {"{\"name\":\"x\ty\",\"value\":1}", 0, "json_invalid", "control character"},
        {"{\"name\":\"x\0y\",\"value\":1}", 24, "json_invalid", "control character"},
        {"{\"name\":\"x\",\0\"value\":1}", 24, "json_invalid", "member's name"},
        {"\0", 1, "json_invalid", "column 1"},
        {"]", 0, "json_invalid", "expected a value"},
        {"nul", 0, "json_invalid", "neither"},
        {"// {}", 0, "json_invalid", "neither"},
    };
    static const char good[] = "{\"name\":\"good\",\"labels\":{\"a\":\"b\"},\"value\":1}";
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct request request;
        request_init(&request);
        struct bytes body;
        bytes_init(&body, BODY_MAX);
        size_t size = cases[i].size > 0 ? cases[i].size : strlen(cases[i].line);
        assert_int_equal(bytes_format(&body, "%s\n%s\n", good, good), STATUS_OK);
        assert_int_equal(bytes_append(&body, cases[i].line, size), STATUS_OK);
        assert_int_equal(bytes_format(&body, "\n%s\n%s", good, good), STATUS_OK);
        assert_int_equal(body_parse(&request, FORM_LINES, bytes_slice(&body)), STATUS_OK);
        assert_int_equal(request.batch.sample_count, 4);
        assert_int_equal(request.batch.rejected, 1);
        assert_int_equal(request.batch.rejections[0].index, 2);
        assert_int_equal(request.batch.rejections[0].line, 3);
        assert_rejected(&request, 0, cases[i].code, cases[i].words);
        for (size_t j = 0; j < 4; j++)
            assert_label_text(&request, j, "__name__", "good");

        /* The same text as a document is refused whole. */
        enum status status = body_parse(&request, FORM_SAMPLE, slice_of(cases[i].line, size));
        assert_int_equal(status, STATUS_INVALID);
        assert_string_equal(request.err.code, cases[i].code);
        bytes_release(&body);
        request_release(&request);
    }
}

static void a_document_that_does_not_parse_is_refused_with_line_and_column(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *words;
    } cases[] = {
        {"[{\"name\":\"a\",\"value\":1},\n {\"name\":\"b\",\"value\":}]", "line 2, column 22"},
        {"[{\"name\":\"a\",\"value\":1}", "(the end)"},
        {"[{\"name\":\"a\",\"value\":1}]]", "after the end"},
        {"[{\"name\":\"a\",\"value\":1}] x", "after the end"},
        {"[{\"name\":\"a\",\"value\":1},]", "line 1"},
        {"[1 2]", "','"},
        {"{\"metrics\":[]", "(the end)"},
        {"{\"metrics\":[],\"more\":1}", "no other member"},
        {"{\"metrics\":{}}", "no other member"},
        {"{\"name\":\"a\",\"value\":1}", "/api/v1/metrics/ingest"},
        {"{}", "/api/v1/metrics/ingest"},
        {"\"text\"", "expected an array"},
        {"\xef\xbb\xbf[]", "expected an array"},
        {"[\"\xff\"]", "UTF-8"},
    };
    struct request request;
    request_init(&request);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(text_parse(&request, FORM_BATCH, cases[i].body), STATUS_INVALID);
        assert_says(request.err.message, cases[i].words);
        assert_non_null(request.err.code);
    }
    request_release(&request);
}

/* ---- members ---- */

static void a_sample_that_cannot_be_stored_is_refused_by_code(void **state)
{
    (void)state;
    static const struct {
        const char *sample;
        const char *code;
        const char *words;
    } cases[] = {
        {"1", "sample_invalid", "object"},
        {"[{}]", "sample_invalid", "object"},
        {"null", "sample_invalid", "object"},
        {"{}", "metric_name_missing", "name"},
        {"{\"value\":1}", "metric_name_missing", "name"},
        {"{\"name\":\"\",\"value\":1}", "metric_name_missing", "name"},
        {"{\"name\":1,\"value\":1}", "name_invalid", "string"},
        {"{\"name\":null,\"value\":1}", "name_invalid", "string"},
        {"{\"name\":\"x\"}", "value_missing", "value"},
        {"{\"name\":\"x\",\"value\":null}", "value_invalid", "NaN"},
        {"{\"name\":\"x\",\"value\":true}", "value_invalid", "NaN"},
        {"{\"name\":\"x\",\"value\":\"1\"}", "value_invalid", "NaN"},
        {"{\"name\":\"x\",\"value\":\"nan\"}", "value_invalid", "NaN"},
        {"{\"name\":\"x\",\"value\":\"nan:7ff0000000000000\"}", "value_invalid", "NaN"},
        {"{\"name\":\"x\",\"value\":\"nan:7ff800000000001\"}", "value_invalid", "NaN"},
        {"{\"name\":\"x\",\"value\":\"nan:7ff800000000000g\"}", "value_invalid", "NaN"},
        {"{\"name\":\"x\",\"value\":[1]}", "value_invalid", "NaN"},
        {"{\"name\":\"x\",\"value\":1e400}", "value_out_of_range", "1e400"},
        {"{\"name\":\"x\",\"value\":-1e400}", "value_out_of_range", "-1e400"},
        {"{\"name\":\"x\",\"value\":1,\"value\":2}", "field_duplicate", "value"},
        {"{\"name\":\"x\",\"name\":\"x\",\"value\":2}", "field_duplicate", "name"},
        {"{\"name\":\"x\",\"value\":1,\"tiemstamp\":2}", "unknown_field", "mean \"timestamp\""},
        {"{\"name\":\"x\",\"vaule\":1}", "unknown_field", "mean \"value\""},
        {"{\"name\":\"x\",\"metadata\":{\"a\":[1,true,{}]}}", "unknown_field", "a sample has"},
        {"{\"name\":\"x\",\"labels\":{\"a\":1},\"value\":1}", "label_invalid", "label \"a\""},
        {"{\"name\":\"x\",\"labels\":{\"a\":null},\"value\":1}", "label_invalid", "label \"a\""},
        {"{\"name\":\"x\",\"labels\":{\"a\":{\"b\":[]}},\"value\":1}", "label_invalid", "\"a\""},
        {"{\"name\":\"x\",\"labels\":[\"a\"],\"value\":1}", "label_invalid", "object"},
        {"{\"name\":\"x\",\"labels\":null,\"value\":1}", "label_invalid", "object"},
        {"{\"name\":\"x\",\"value\":1,\"timestamp\":null}", "timestamp_invalid", "RFC 3339"},
        {"{\"name\":\"x\",\"value\":1,\"timestamp\":\"now\"}", "timestamp_invalid", "RFC 3339"},
        {"{\"name\":\"x\",\"value\":1,\"timestamp\":1795305600000.5}", "timestamp_invalid",
         "whole"},
        {"{\"name\":\"x\",\"value\":1,\"timestamp\":1e30}", "timestamp_out_of_range", "1678"},
        {"{\"name\":\"x\",\"value\":1,\"timestamp\":\"1677-12-31T23:59:59Z\"}",
         "timestamp_out_of_range", "1678"},
        {"{\"name\":\"x\",\"value\":1,\"timestamp\":\"2262-04-11T23:47:16.855Z\"}",
         "timestamp_out_of_range", "1678"},
        {"{\"name\":\"x\",\"value\":1,\"type\":\"meter\"}", "type_invalid", "meter"},
        {"{\"name\":\"x\",\"value\":1,\"type\":7}", "type_invalid", "string"},
        {"{\"name\":\"x\",\"value\":1,\"unit\":7}", "unit_invalid", "string"},
        {"{\"name\":\"x\",\"value\":1,\"help\":{}}", "help_invalid", "string"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct request request;
        request_init(&request);
        char body[512];
        snprintf(body, sizeof body,
                 "[{\"name\":\"good\",\"value\":1},%s,"
                 "{\"name\":\"good\",\"value\":2}]",
                 cases[i].sample);
        assert_int_equal(text_parse(&request, FORM_BATCH, body), STATUS_OK);
        assert_int_equal(request.batch.sample_count, 2);
        assert_int_equal(request.batch.rejected, 1);
        assert_int_equal(request.batch.rejections[0].index, 1);
        assert_rejected(&request, 0, cases[i].code, cases[i].words);
        request_release(&request);
    }
}

static void members_come_in_any_order_and_may_be_escaped(void **state)
{
    (void)state;
    static const char *const samples[] = {
        "{\"value\":1,\"labels\":{\"a\":\"b\"},\"name\":\"x\"}",
        "{\"labels\":{\"a\":\"b\"},\"value\":1,\"name\":\"x\"}",
        "{\"name\":\"x\",\"value\":1,\"labels\":{\"a\":\"b\"}}",
        "{ \"name\" : \"x\" , \"labels\" : { \"a\" : \"b\" } , \"value\" : 1 }",
        "{\"n\\u0061me\":\"\\u0078\",\"l\\u0061bels\":{\"\\u0061\":\"\\u0062\"},\"v\\u0061lue\":1}",
        "{\"name\":\"x\",\"labels\":{\"a\":\"b\",\"empty\":\"\"},\"value\":1}",
    };
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        struct request request;
        request_init(&request);
        assert_int_equal(text_parse(&request, FORM_SAMPLE, samples[i]), STATUS_OK);
        assert_int_equal(request.batch.sample_count, 1);
        assert_label_text(&request, 0, "__name__", "x");
        assert_label_text(&request, 0, "a", "b");
        request_release(&request);
    }
}

static void escapes_become_the_characters_they_name(void **state)
{
    (void)state;
    struct request request;
    request_init(&request);
    assert_int_equal(
        text_parse(&request, FORM_SAMPLE,
                   "{\"name\":\"x\",\"labels\":{"
                   "\"plain\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\","
                   "\"two\":\"\\u00e9\",\"three\":\"\\u20AC\",\"four\":\"\\ud83d\\ude00!\","
                   "\"one\":\"\\u0001!\",\"raw\":\"\xf0\x9f\x98\x80\"},\"value\":1}"),
        STATUS_OK);
    assert_label_text(&request, 0, "plain", "\"\\/\b\f\n\r\t");
    assert_label_text(&request, 0, "two", "\xc3\xa9");
    assert_label_text(&request, 0, "three", "\xe2\x82\xac");
    assert_label_text(&request, 0, "four", "\xf0\x9f\x98\x80!");
    assert_label_text(&request, 0, "raw", "\xf0\x9f\x98\x80");
    assert_label_text(&request, 0, "one", "\x01!");
    request_release(&request);
}

static void labels_given_twice_are_refused_when_they_are_decoded(void **state)
{
    (void)state;
    static const char *const samples[] = {
        "{\"name\":\"x\",\"labels\":{\"a\":\"1\",\"b\":\"2\",\"a\":\"1\"},\"value\":1}",
        "{\"name\":\"x\",\"labels\":{\"a\":\"1\",\"\\u0061\":\"2\"},\"value\":1}",
        "{\"name\":\"x\",\"labels\":{\"__name__\":\"y\"},\"value\":1}",
    };
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        struct request request;
        struct labels labels;
        request_init(&request);
        assert_int_equal(text_parse(&request, FORM_SAMPLE, samples[i]), STATUS_OK);
        assert_int_equal(labels_of(&request, 0, &request.arena, &labels, &request.err),
                         STATUS_INVALID);
        assert_string_equal(request.err.code, "label_duplicate");
        request_release(&request);
    }
}

static void a_nul_escape_in_a_name_or_a_label_is_refused(void **state)
{
    (void)state;
    static const char *const samples[] = {
        "{\"name\":\"x\\u0000\",\"value\":1}",
        "{\"name\":\"x\",\"labels\":{\"a\\u0000b\":\"1\"},\"value\":1}",
        "{\"name\":\"x\",\"labels\":{\"a\":\"\\u0000\"},\"value\":1}",
        "{\"labels\":{\"a\":\"b\\u0000\"},\"name\":\"x\",\"value\":1}",
    };
    struct request request;
    request_init(&request);
    for (size_t i = 0; i < sizeof samples / sizeof samples[0]; i++) {
        struct labels labels;
        assert_int_equal(text_parse(&request, FORM_SAMPLE, samples[i]), STATUS_OK);
        assert_int_equal(labels_of(&request, 0, &request.arena, &labels, &request.err),
                         STATUS_INVALID);
        assert_string_equal(request.err.code, "label_invalid");
        assert_says(request.err.message, "NUL byte");
    }
    assert_int_equal(text_parse(&request, FORM_LINES,
                                "{\"name\":\"x\",\"value\":1,\"help\":\"a\\u0000\"}\n"
                                "{\"name\":\"x\\u0000\",\"value\":1,\"type\":\"gauge\"}\n"
                                "{\"name\":\"x\",\"value\":1,\"unit\":\"\\u0000\"}\n"),
                     STATUS_OK);
    assert_int_equal(request.batch.rejected, 3);
    assert_rejected(&request, 0, "help_invalid", "NUL byte");
    assert_rejected(&request, 1, "name_invalid", "NUL byte");
    assert_rejected(&request, 2, "unit_invalid", "NUL byte");
    request_release(&request);
}

static void descriptors_ride_along_once(void **state)
{
    (void)state;
    struct request request;
    request_init(&request);
    assert_int_equal(text_parse(&request, FORM_LINES,
                                "{\"name\":\"x\",\"value\":1,\"type\":\"counter\",\"unit\":\"s\","
                                "\"help\":\"a \\\"b\\\"\"}\n"
                                "{\"name\":\"x\",\"value\":2,\"type\":\"counter\",\"unit\":\"s\","
                                "\"help\":\"a \\\"b\\\"\"}\n"
                                "{\"name\":\"y\",\"value\":2,\"help\":\"c\"}\n"),
                     STATUS_OK);
    assert_int_equal(request.batch.sample_count, 3);
    assert_int_equal(request.batch.metric_count, 2);
    assert_int_equal(request.batch.metrics[0].type, METRIC_COUNTER);
    assert_true(slice_equal_text(request.batch.metrics[0].name, "x"));
    assert_true(slice_equal_text(request.batch.metrics[0].unit, "s"));
    assert_true(slice_equal_text(request.batch.metrics[0].help, "a \"b\""));
    assert_true(slice_equal_text(request.batch.metrics[1].name, "y"));
    assert_int_equal(request.batch.metrics[1].type, METRIC_UNKNOWN);
    request_release(&request);
}

/* ---- values and times ---- */

static void assert_value(const char *text, uint64_t bits)
{
    struct request request;
    request_init(&request);
    char body[1024];
    snprintf(body, sizeof body, "{\"name\":\"x\",\"value\":%s}", text);
    assert_int_equal(text_parse(&request, FORM_SAMPLE, body), STATUS_OK);
    if (request.batch.sample_count != 1)
        test_fail("%s is refused", text);
    if (bits_of_double(request.batch.sample_values[0]) != bits)
        test_fail("%s is %016" PRIx64 ", not %016" PRIx64, text,
                  bits_of_double(request.batch.sample_values[0]), bits);
    request_release(&request);
}

static void values_are_kept_bit_for_bit(void **state)
{
    (void)state;
    assert_value("0", 0);
    assert_value("-0", UINT64_C(0x8000000000000000));
    assert_value("-0.0", UINT64_C(0x8000000000000000));
    assert_value("0e999999999999", 0);
    assert_value("5e-324", 1);
    assert_value("-5E-324", UINT64_C(0x8000000000000001));
    assert_value("2.2250738585072011e-308", UINT64_C(0x000fffffffffffff));
    assert_value("1e-400", 0);
    assert_value("1.7976931348623157e308", UINT64_C(0x7fefffffffffffff));
    assert_value("9007199254740993", bits_of_double(9007199254740992.0));
    assert_value("9007199254740995", bits_of_double(9007199254740996.0));
    assert_value("18446744073709551616", bits_of_double(0x1p64));
    assert_value("123456789012345678901234567890", bits_of_double(1.2345678901234568e29));
    assert_value("0.1", bits_of_double(0.1));
    assert_value("1e22", bits_of_double(1e22));
    assert_value("1e23", bits_of_double(1e23));
    assert_value("8153.3800000000001", bits_of_double(8153.38));
    assert_value("0.000000000000000000000000000001", bits_of_double(1e-30));
    assert_value("1.0E+2", bits_of_double(100));
    assert_value("\"NaN\"", UINT64_C(0x7ff8000000000001));
    assert_value("\"N\\u0061N\"", UINT64_C(0x7ff8000000000001));
    assert_value("\"+Inf\"", UINT64_C(0x7ff0000000000000));
    assert_value("\"-Inf\"", UINT64_C(0xfff0000000000000));
    assert_value("\"stale\"", VALUE_STALE_BITS);
    assert_value("\"nan:7ff0000000000002\"", VALUE_STALE_BITS);
    assert_value("\"nan:FFF8dead0000beef\"", UINT64_C(0xfff8dead0000beef));
}

static void times_are_read_in_their_precision(void **state)
{
    (void)state;
    static const struct {
        enum time_precision precision;
        const char *text;
        int64_t time_ms;
    } cases[] = {
        {TIME_PRECISION_NONE, "1795305600000", 1795305600000},
        {TIME_PRECISION_NONE, "1.7953056e12", 1795305600000},
        {TIME_PRECISION_NONE, "631152000000", 631152000000},
        {TIME_PRECISION_NONE, "1795309200000", NOW_MS + MS_PER_HOUR},
        {TIME_PRECISION_NONE, "\"2026-11-22T00:00:00.250Z\"", 1795305600250},
        {TIME_PRECISION_NONE, "\"1678-01-01T00:00:00Z\"", TIME_MIN_MS},
        {TIME_PRECISION_NONE, "\"2262-04-11T23:47:16.854Z\"", TIME_MAX_MS - 1},
        {TIME_PRECISION_SECONDS, "1795305600", 1795305600000},
        {TIME_PRECISION_SECONDS, "-1", -1000},
        {TIME_PRECISION_MILLISECONDS, "0", 0},
        {TIME_PRECISION_MILLISECONDS, "-9214560000000", TIME_MIN_MS},
        {TIME_PRECISION_MILLISECONDS, "9223372036854", TIME_MAX_MS - 1},
        {TIME_PRECISION_MICROSECONDS, "1795305600000999", 1795305600000},
        {TIME_PRECISION_MICROSECONDS, "-1", -1},
        {TIME_PRECISION_NANOSECONDS, "1795305600000999999", 1795305600000},
        {TIME_PRECISION_NANOSECONDS, "-9214560000000000000", TIME_MIN_MS},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct request request;
        request_init(&request);
        request.options.precision = cases[i].precision;
        char body[256];
        snprintf(body, sizeof body, "{\"name\":\"x\",\"value\":1,\"timestamp\":%s}", cases[i].text);
        assert_int_equal(text_parse(&request, FORM_SAMPLE, body), STATUS_OK);
        if (request.batch.sample_count != 1)
            test_fail("%s is refused: %.*s", cases[i].text,
                      SLICE_FORMAT(request.batch.rejections[0].message));
        assert_int_equal(request.batch.sample_times[0], cases[i].time_ms);
        request_release(&request);
    }
}

static void an_implausible_time_is_refused_with_the_precision_that_would_do(void **state)
{
    (void)state;
    static const struct {
        enum time_precision precision;
        const char *text;
        const char *code;
        const char *words;
    } cases[] = {
        {TIME_PRECISION_NONE, "1795305600", "timestamp_implausible", "precision=s "},
        {TIME_PRECISION_NONE, "1795305600000000", "timestamp_implausible", "precision=us "},
        {TIME_PRECISION_NONE, "1795305600000000000", "timestamp_implausible", "precision=ns "},
        {TIME_PRECISION_NONE, "0", "timestamp_implausible", "in any unit"},
        {TIME_PRECISION_NONE, "-1", "timestamp_implausible", "in any unit"},
        {TIME_PRECISION_NONE, "1795309200001", "timestamp_implausible", "in any unit"},
        {TIME_PRECISION_NONE, "9223372036854775807", "timestamp_implausible", "in any unit"},
        {TIME_PRECISION_NONE, "9223372036854775808", "timestamp_out_of_range", "1678"},
        {TIME_PRECISION_SECONDS, "9223372036854775807", "timestamp_out_of_range", "1678"},
        {TIME_PRECISION_SECONDS, "9223372037", "timestamp_out_of_range", "1678"},
        {TIME_PRECISION_MILLISECONDS, "9223372036855", "timestamp_out_of_range", "1678"},
        {TIME_PRECISION_MILLISECONDS, "-9214560000001", "timestamp_out_of_range", "1678"},
        {TIME_PRECISION_NANOSECONDS, "-9214560000000000001", "timestamp_out_of_range", "1678"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct request request;
        request_init(&request);
        request.options.precision = cases[i].precision;
        char body[256];
        snprintf(body, sizeof body, "{\"name\":\"x\",\"value\":1,\"timestamp\":%s}", cases[i].text);
        assert_int_equal(text_parse(&request, FORM_SAMPLE, body), STATUS_OK);
        assert_int_equal(request.batch.sample_count, 0);
        assert_rejected(&request, 0, cases[i].code, cases[i].words);
        assert_true(slice_equal_text(request.batch.rejections[0].metric, "x"));
        request_release(&request);
    }
}

static void precisions_are_four_words(void **state)
{
    (void)state;
    enum time_precision precision;
    assert_true(time_precision_parse(slice_from_text("s"), &precision));
    assert_int_equal(precision, TIME_PRECISION_SECONDS);
    assert_true(time_precision_parse(slice_from_text("ns"), &precision));
    assert_int_equal(precision, TIME_PRECISION_NANOSECONDS);
    assert_false(time_precision_parse(slice_from_text("m"), &precision));
    assert_false(time_precision_parse(slice_from_text(""), &precision));
}

/* ---- size ---- */

static void append_repeated(struct bytes *body, const char *text, size_t times)
{
    for (size_t i = 0; i < times; i++)
        assert_int_equal(bytes_append_text(body, text), STATUS_OK);
}

static void nesting_beyond_the_limit_is_refused_fast(void **state)
{
    (void)state;
    static const char *const openings[] = {"[", "{\"metrics\":[",
                                           "{\"a\":", "[{\"labels\":{\"a\":"};
    for (size_t i = 0; i < sizeof openings / sizeof openings[0]; i++) {
        struct request request;
        struct bytes body;
        request_init(&request);
        bytes_init(&body, BODY_MAX);
        append_repeated(&body, openings[i], 100000);
        clock_t start = clock();
        assert_int_not_equal(body_parse(&request, FORM_BATCH, bytes_slice(&body)), STATUS_OK);
        assert_int_not_equal(body_parse(&request, FORM_SAMPLE, bytes_slice(&body)), STATUS_OK);
        assert_int_equal(body_parse(&request, FORM_LINES, bytes_slice(&body)), STATUS_OK);
        assert_int_equal(request.batch.rejected, 1);
        assert_true(clock() - start < CLOCKS_PER_SEC);
        bytes_release(&body);
        request_release(&request);
    }
}

static void nesting_up_to_the_limit_is_json(void **state)
{
    (void)state;
    for (size_t depth = DEPTH_MAX - 1; depth <= DEPTH_MAX + 1; depth++) {
        struct request request;
        struct bytes body;
        request_init(&request);
        bytes_init(&body, BODY_MAX);
        append_repeated(&body, "[", depth);
        append_repeated(&body, "]", depth);
        enum status status = body_parse(&request, FORM_BATCH, bytes_slice(&body));
        assert_int_equal(status, depth <= DEPTH_MAX ? STATUS_OK : STATUS_INVALID);
        if (status == STATUS_OK)
            assert_rejected(&request, 0, "sample_invalid", "object");
        else
            assert_string_equal(request.err.code, "json_too_deep");
        bytes_release(&body);
        request_release(&request);
    }
}

static void a_document_of_many_windows_is_read_whole(void **state)
{
    (void)state;
    enum { SAMPLES = 20000 };
    for (enum form form = FORM_BATCH; form <= FORM_LINES; form++) {
        struct request request;
        struct bytes body;
        request_init(&request);
        bytes_init(&body, BODY_MAX);
        for (int i = 0; i < SAMPLES; i++) {
            const char *before = form == FORM_LINES ? "" : i == 0 ? "[" : ",";
            /* Braces, brackets and quotes in strings, so that windows are cut there at first. */
            assert_int_equal(
                bytes_format(&body,
                             "%s{\"name\":\"m%d\",\"labels\":{\"a}],{[\":\"}},{{%.*s\","
                             "\"q\":\"\\\"},\\\\\"},\"value\":%d}%s",
                             before, i, i % 40, "}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}}", i,
                             form == FORM_LINES ? "\n" : ""),
                STATUS_OK);
        }
        assert_int_equal(bytes_append_text(&body, form == FORM_LINES ? "" : "]"), STATUS_OK);
        assert_int_equal(body_parse(&request, form, bytes_slice(&body)), STATUS_OK);
        assert_int_equal(request.batch.rejected, 0);
        assert_int_equal(request.batch.sample_count, SAMPLES);
        for (int i = 0; i < SAMPLES; i++)
            assert_true(request.batch.sample_values[i] == i);
        assert_label_text(&request, SAMPLES - 1, "q", "\"},\\");
        bytes_release(&body);
        request_release(&request);
    }
}

/* A sample whose one label has `size` bytes of `fill`. */
static void large_sample(struct bytes *body, size_t size, const char *fill)
{
    assert_int_equal(bytes_append_text(body, "{\"name\":\"x\",\"labels\":{\"a\":\""), STATUS_OK);
    append_repeated(body, fill, size / strlen(fill));
    assert_int_equal(bytes_append_text(body, "\"},\"value\":1}"), STATUS_OK);
}

static void a_label_larger_than_a_window_is_read_and_a_huge_one_refused(void **state)
{
    (void)state;
    static const char *const fills[] = {"a", "},", "\\\"", "\xc3\xa9"};
    for (size_t i = 0; i < sizeof fills / sizeof fills[0]; i++) {
        struct request request;
        struct bytes body;
        request_init(&request);
        bytes_init(&body, BODY_MAX);
        assert_int_equal(bytes_append_text(&body, "["), STATUS_OK);
        large_sample(&body, 1000000, fills[i]);
        assert_int_equal(bytes_append_text(&body, ",{\"name\":\"y\",\"value\":2}]"), STATUS_OK);
        assert_int_equal(body_parse(&request, FORM_BATCH, bytes_slice(&body)), STATUS_OK);
        assert_int_equal(request.batch.sample_count, 2);
        struct labels labels;
        assert_int_equal(labels_of(&request, 0, &request.arena, &labels, &request.err),
                         STATUS_LIMIT);
        assert_string_equal(request.err.code, "label_value_too_long");

        bytes_clear(&body);
        assert_int_equal(bytes_append_text(&body, "["), STATUS_OK);
        large_sample(&body, 10000000, fills[i]);
        assert_int_equal(bytes_append_text(&body, ",{\"name\":\"y\",\"value\":2}]"), STATUS_OK);
        assert_int_equal(body_parse(&request, FORM_BATCH, bytes_slice(&body)), STATUS_LIMIT);
        assert_string_equal(request.err.code, "sample_too_large");
        assert_says(request.err.message, "4 MiB");

        bytes_clear(&body);
        assert_int_equal(bytes_append_text(&body, "{\"name\":\"y\",\"value\":2}\n"), STATUS_OK);
        large_sample(&body, 10000000, fills[i]);
        assert_int_equal(bytes_append_text(&body, "\n{\"name\":\"z\",\"value\":2}\n"), STATUS_OK);
        large_sample(&body, 1000000, fills[i]);
        assert_int_equal(body_parse(&request, FORM_LINES, bytes_slice(&body)), STATUS_OK);
        assert_int_equal(request.batch.sample_count, 3);
        assert_int_equal(request.batch.series[2].line, 4);
        assert_rejected(&request, 0, "sample_too_large", "line");
        bytes_release(&body);
        request_release(&request);
    }
}

static void many_refused_samples_cost_little(void **state)
{
    (void)state;
    struct request request;
    struct bytes body;
    request_init(&request);
    bytes_init(&body, BODY_MAX);
    assert_int_equal(bytes_append_text(&body, "[1"), STATUS_OK);
    append_repeated(&body, ",1", 4000000);
    assert_int_equal(bytes_append_text(&body, "]"), STATUS_OK);
    clock_t start = clock();
    assert_int_equal(body_parse(&request, FORM_BATCH, bytes_slice(&body)), STATUS_OK);
    assert_int_equal(request.batch.rejected, 4000001);
    assert_int_equal(request.batch.rejection_count, BATCH_MAX_REJECTIONS);
    assert_true(clock() - start < 10 * CLOCKS_PER_SEC);
    bytes_release(&body);
    request_release(&request);
}

/* ---- round trips, cuts, memory ---- */

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* Writes a value as answers do. */
static void put_value(struct bytes *to, double value)
{
    uint64_t bits = bits_of_double(value);
    char text[NUMBER_TEXT_SIZE];
    if (value_is_stale(value))
        assert_int_equal(bytes_append_text(to, "\"stale\""), STATUS_OK);
    else if (bits == VALUE_NORMAL_NAN_BITS)
        assert_int_equal(bytes_append_text(to, "\"NaN\""), STATUS_OK);
    else if (value != value)
        assert_int_equal(bytes_format(to, "\"nan:%016" PRIx64 "\"", bits), STATUS_OK);
    else if (__builtin_isinf(value))
        assert_int_equal(bytes_append_text(to, value > 0 ? "\"+Inf\"" : "\"-Inf\""), STATUS_OK);
    else
        assert_int_equal(bytes_append(to, text, number_format(text, value)), STATUS_OK);
}

static uint64_t random_value_bits(uint64_t *state)
{
    uint64_t draw = random_next(state);
    switch (draw % 6) {
    case 0:
        return bits_of_double((double)(int64_t)(random_next(state) >> (draw >> 8) % 64));
    case 1:
        return bits_of_double((double)(random_next(state) % 1000000) / 100);
    case 2:
        return random_next(state) & UINT64_C(0x800fffffffffffff); /* subnormal, zero, -0.0 */
    case 3:
        return UINT64_C(0x7ff0000000000000) | (random_next(state) & UINT64_C(0x8000000000000003));
    default:
        return random_next(state);
    }
}

static void random_lines_come_back_bit_for_bit(void **state)
{
    (void)state;
    enum { ROUNDS = 60, SAMPLES = 300 };
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct request request;
        struct bytes body;
        request_init(&request);
        request.options.precision = TIME_PRECISION_MILLISECONDS;
        bytes_init(&body, BODY_MAX);
        uint64_t random = seed;
        uint64_t values[SAMPLES];
        int64_t times[SAMPLES];
        for (int i = 0; i < SAMPLES; i++) {
            values[i] = random_value_bits(&random);
            times[i] = TIME_MIN_MS +
                       (int64_t)(random_next(&random) % (uint64_t)(TIME_MAX_MS - TIME_MIN_MS));
            assert_int_equal(bytes_append_text(&body, "{\"name\":\"x\",\"value\":"), STATUS_OK);
            put_value(&body, double_of_bits(values[i]));
            assert_int_equal(bytes_format(&body, ",\"timestamp\":%" PRId64 "}\n", times[i]),
                             STATUS_OK);
        }
        assert_int_equal(body_parse(&request, FORM_LINES, bytes_slice(&body)), STATUS_OK);
        assert_int_equal(request.batch.sample_count, SAMPLES);
        for (int i = 0; i < SAMPLES; i++) {
            assert_true(bits_of_double(request.batch.sample_values[i]) == values[i]);
            assert_int_equal(request.batch.sample_times[i], times[i]);
        }
        bytes_release(&body);
        request_release(&request);
    }
}

static const char whole_sample[] =
    "{\"name\":\"\xc3\xa9\\u00e9\",\"type\":\"gauge\",\"labels\":{\"a\":\"\\ud83d\\ude00\",\"b\":"
    "\"c\"},\"value\":-1.5e3,\"timestamp\":\"2026-11-22T00:00:00Z\",\"unit\":\"s\"}";

static void a_sample_cut_at_any_byte_is_refused_cleanly(void **state)
{
    (void)state;
    struct request request;
    request_init(&request);
    size_t whole = sizeof whole_sample - 1;
    for (size_t size = 0; size <= whole; size++) {
        /* A block of exactly this size, so that a sanitizer sees any byte read beyond it. */
        uint8_t *cut = malloc(size + (size == 0));
        assert_non_null(cut);
        memcpy(cut, whole_sample, size);
        enum status status = body_parse(&request, FORM_SAMPLE, slice_of(cut, size));
        assert_int_equal(status, size == whole ? STATUS_OK : STATUS_INVALID);
        assert_int_equal(body_parse(&request, FORM_LINES, slice_of(cut, size)), STATUS_OK);
        assert_int_equal(request.batch.sample_count, size == whole);
        assert_int_equal(request.batch.rejected, size > 0 && size < whole);
        free(cut);
    }
    request_release(&request);
}

static void every_byte_value_at_every_place_is_read_or_refused_cleanly(void **state)
{
    (void)state;
    struct request request;
    request_init(&request);
    uint8_t text[sizeof whole_sample - 1];
    for (size_t at = 0; at < sizeof text; at++)
        for (int byte = 0; byte < 256; byte++) {
            memcpy(text, whole_sample, sizeof text);
            text[at] = (uint8_t)byte;
            struct slice body = slice_of(text, sizeof text);
            enum status status = body_parse(&request, FORM_SAMPLE, body);
            assert_true(status == STATUS_OK || status == STATUS_INVALID);
            for (size_t i = 0; status == STATUS_OK && i < request.batch.series_count; i++) {
                struct labels labels;
                enum status decoded = protocols_json_decode_labels(
                    request.batch.series[i].raw, &request.arena, &labels, &request.err);
                assert_int_equal(decoded, STATUS_OK);
            }
        }
    request_release(&request);
}

static void an_arena_of_any_size_gives_the_samples_or_a_limit(void **state)
{
    (void)state;
    struct request request;
    struct bytes body;
    request_init(&request);
    bytes_init(&body, BODY_MAX);
    for (int i = 0; i < 150; i++) {
        assert_int_equal(bytes_append_text(&body, whole_sample), STATUS_OK);
        assert_int_equal(bytes_format(&body, "\n{\"n\\u0061me\":\"x%d\",\"typ\":1}\n", i),
                         STATUS_OK);
    }
    bool read = false;
    for (size_t max = 0; !read; max += 256) {
        arena_release(&request.arena);
        arena_init(&request.arena, max);
        enum status status = body_parse(&request, FORM_LINES, bytes_slice(&body));
        assert_true(status == STATUS_OK || status == STATUS_LIMIT);
        read = status == STATUS_OK && request.batch.sample_count == 150;
        if (!read)
            assert_int_equal(status, STATUS_LIMIT);
        assert_true(max < ARENA_MAX);
    }
    assert_int_equal(request.batch.rejected, 150);
    struct slice raw = request.batch.series[0].raw;
    for (size_t size = 0; size <= raw.size; size++) {
        struct arena arena;
        struct labels labels;
        arena_init(&arena, size * 4);
        enum status status =
            protocols_json_decode_labels(slice_of(raw.data, size), &arena, &labels, NULL);
        assert_true(status == STATUS_OK || status == STATUS_LIMIT || status == STATUS_INVALID);
        arena_release(&arena);
    }
    bytes_release(&body);
    request_release(&request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_sample_is_read),
        cmocka_unit_test(an_array_and_a_metrics_object_hold_samples),
        cmocka_unit_test(lines_are_counted_from_one_and_samples_from_zero),
        cmocka_unit_test(empty_batches_are_fine_but_an_empty_json_body_is_not),
        cmocka_unit_test(a_broken_line_refuses_itself_alone),
        cmocka_unit_test(a_document_that_does_not_parse_is_refused_with_line_and_column),
        cmocka_unit_test(a_sample_that_cannot_be_stored_is_refused_by_code),
        cmocka_unit_test(members_come_in_any_order_and_may_be_escaped),
        cmocka_unit_test(escapes_become_the_characters_they_name),
        cmocka_unit_test(labels_given_twice_are_refused_when_they_are_decoded),
        cmocka_unit_test(a_nul_escape_in_a_name_or_a_label_is_refused),
        cmocka_unit_test(descriptors_ride_along_once),
        cmocka_unit_test(values_are_kept_bit_for_bit),
        cmocka_unit_test(times_are_read_in_their_precision),
        cmocka_unit_test(an_implausible_time_is_refused_with_the_precision_that_would_do),
        cmocka_unit_test(precisions_are_four_words),
        cmocka_unit_test(nesting_beyond_the_limit_is_refused_fast),
        cmocka_unit_test(nesting_up_to_the_limit_is_json),
        cmocka_unit_test(a_document_of_many_windows_is_read_whole),
        cmocka_unit_test(a_label_larger_than_a_window_is_read_and_a_huge_one_refused),
        cmocka_unit_test(many_refused_samples_cost_little),
        cmocka_unit_test(random_lines_come_back_bit_for_bit),
        cmocka_unit_test(a_sample_cut_at_any_byte_is_refused_cleanly),
        cmocka_unit_test(every_byte_value_at_every_place_is_read_or_refused_cleanly),
        cmocka_unit_test(an_arena_of_any_size_gives_the_samples_or_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "exposition_helper.h"

#include <time.h>

#include "base/times.h"
#include "model/value.h"

static void samples_keep_order_labels_values_and_times(void **state)
{
    (void)state;
    struct parsed parsed;
    parse_text(&parsed, "up 1\n"
                        "http_requests_total{method=\"GET\",code=\"200\"} 1027 1395066363000\n"
                        "  spaced\t{ a = \"b\" , c=\"d\", } -1.5e3 -5 \n"
                        "brace{a=\"b\"}2\n"
                        "empty{} +Inf");
    assert_samples(&parsed,
                   "{name=\"up\"} 1 1000\n"
                   "{name=\"http_requests_total\",code=\"200\",method=\"GET\"} 1027 1395066363000\n"
                   "{name=\"spaced\",a=\"b\",c=\"d\"} -1500 -5\n"
                   "{name=\"brace\",a=\"b\"} 2 1000\n"
                   "{name=\"empty\"} +Inf 1000\n");
    assert_int_equal(parsed.batch.rejected, 0);
    assert_slice_text(parsed.batch.series[1].raw,
                      "http_requests_total{method=\"GET\",code=\"200\"}");
    assert_slice_text(parsed.batch.series[0].raw, "up");
    assert_int_equal(parsed.batch.series[3].index, 3);
    assert_int_equal(parsed.batch.series[3].line, 4);
    parsed_release(&parsed);
}

static void a_broken_line_refuses_itself_only(void **state)
{
    (void)state;
    struct parsed parsed;
    parse_text(&parsed, "a 1\n\n# a remark\nb{c=\"d} 2\ne 3\nf x\ng 1e400\nh 1 99999999999999\n");
    assert_samples(&parsed, "{name=\"a\"} 1 1000\n{name=\"e\"} 3 1000\n");
    assert_int_equal(parsed.batch.rejected, 4);
    const struct batch_rejection *first = &parsed.batch.rejections[0];
    assert_int_equal(first->index, 1);
    assert_int_equal(first->line, 4);
    assert_string_equal(first->code, "text_syntax");
    assert_slice_text(first->metric, "b");
    assert_slice_text(first->message, "column 10: the line ends inside a label value");
    assert_int_equal(parsed.batch.rejections[1].index, 3);
    assert_slice_text(parsed.batch.rejections[1].message,
                      "column 3: a decimal number, NaN, +Inf or -Inf is expected here");
    assert_string_equal(parsed.batch.rejections[2].code, "value_out_of_range");
    assert_string_equal(parsed.batch.rejections[3].code, "timestamp_out_of_range");
    parsed_release(&parsed);
}

static void each_kind_of_broken_line_is_refused(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "a",
        "a ",
        "1a 1",
        "a-b 1",
        "a{ 1",
        "a{b} 1",
        "a{b=} 1",
        "a{b=c} 1",
        "a{b=\"c\"} ",
        "a{b=\"c\" 1",
        "a{b=\"c\"d=\"e\"} 1",
        "a{,} 1",
        "a{b=\"c\",,} 1",
        "a{=\"c\"} 1",
        "a{b:c=\"d\"} 1",
        "{b=\"c\"} 1",
        "{} 1",
        "{\"a\",\"b\"} 1",
        "a{\"b\"} 1",
        "a{\"b} 1",
        "a 0x10",
        "a 1_0",
        "a 0x1p3",
        "a +nan",
        "a --1",
        "a .",
        "a 1e",
        "a e5",
        "a 1e+",
        "a inf1",
        "a 1 1.5",
        "a 1 1e3",
        "a 1 x",
        "a 1 2 3",
        "a 1 99999999999999999999999",
        "a 1\r",
        "a 1 1\r",
        "# TYPE a x",
        "# TYPE #",
        "# HELP #",
        "# TYPE a",
        "# TYPE a-b gauge",
        "# HELP a \xff",
        "a\x01 1",
        "\xff 1",
        "a{b=\"c\\\"} 1",
        "a1{b=\"\\",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct parsed parsed;
        parse_text(&parsed, lines[i]);
        if (parsed.batch.rejected != 1)
            print_error("line \"%s\"\n", lines[i]);
        assert_int_equal(parsed.status, STATUS_OK);
        assert_int_equal(parsed.batch.rejected, 1);
        assert_int_equal(parsed.batch.sample_count, 0);
        parsed_release(&parsed);
    }
}

static void escapes_and_quoted_names_become_labels(void **state)
{
    (void)state;
    struct parsed parsed;
    parse_text(&parsed, "a{b=\"x\\\\y\\\"z\\n.\\q\"} 1\n"
                        "{\"metric.name\", \"label.name\"=\"v\",plain=\"w\"} 2\n"
                        "{x=\"y\",\"na\\\"me\"} 3\n"
                        "a{b=\"\"} 4\n"
                        "a{c=\"#}{,=\\\"\"} 5\n");
    assert_samples(&parsed, "{name=\"a\",b=\"x\\y\"z\n.\\q\"} 1 1000\n"
                            "{name=\"metric.name\",label.name=\"v\",plain=\"w\"} 2 1000\n"
                            "{name=\"na\"me\",x=\"y\"} 3 1000\n"
                            "{name=\"a\"} 4 1000\n"
                            "{name=\"a\",c=\"#}{,=\"\"} 5 1000\n");
    parsed_release(&parsed);
}

static void numbers_are_read_as_prometheus_reads_them(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        double value;
    } cases[] = {
        {"0", 0.0},
        {"-0", -0.0},
        {"-0.0", -0.0},
        {"+5", 5},
        {"007", 7},
        {"1.", 1},
        {".5", 0.5},
        {"1.e2", 100},
        {"1E3", 1000},
        {"1e-3", 0.001},
        {"9007199254740993", 9007199254740992.0},
        {"9007199254740991", 9007199254740991.0},
        {"123456789012345678", 123456789012345680.0},
        {"1.7976931348623157e308", 1.7976931348623157e308},
        {"5e-324", 5e-324},
        {"1e-400", 0.0},
        {"0.1", 0.1},
        {"1e22", 1e22},
        {"1e23", 1e23},
        {"0.000001e28", 1e22},
        {"123456789.123456789", 123456789.123456789},
        {"inf", __builtin_inf()},
        {"-INF", -__builtin_inf()},
        {"+Infinity", __builtin_inf()},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char line[64];
        snprintf(line, sizeof line, "a %s", cases[i].text);
        struct parsed parsed;
        parse_text(&parsed, line);
        assert_int_equal(parsed.batch.sample_count, 1);
        if (bits_of_double(parsed.batch.sample_values[0]) != bits_of_double(cases[i].value))
            print_error("number %s\n", cases[i].text);
        assert_int_equal(bits_of_double(parsed.batch.sample_values[0]),
                         bits_of_double(cases[i].value));
        parsed_release(&parsed);
    }
}

static void nan_is_the_ordinary_nan(void **state)
{
    (void)state;
    static const char *const words[] = {"a NaN", "a nan", "a NAN"};
    for (size_t i = 0; i < 3; i++) {
        struct parsed parsed;
        parse_text(&parsed, words[i]);
        assert_int_equal(parsed.batch.sample_count, 1);
        assert_int_equal(bits_of_double(parsed.batch.sample_values[0]), VALUE_NORMAL_NAN_BITS);
        parsed_release(&parsed);
    }
}

/* The short way for numbers must round as strtod does. */
static void random_decimals_are_rounded_correctly(void **state)
{
    (void)state;
    uint64_t random = 20260101;
    for (int i = 0; i < 200000; i++) {
        char text[80];
        uint64_t pick = test_random(&random);
        unsigned digits = (unsigned)(pick >> 56) % 19;
        uint64_t mantissa = test_random(&random);
        for (unsigned j = digits; j < 19; j++)
            mantissa /= 10;
        int exponent = (int)(pick % 60) - 30;
        if (pick & (1u << 20))
            snprintf(text, sizeof text, "a %llu.%llue%d", (unsigned long long)(mantissa / 1000),
                     (unsigned long long)(mantissa % 1000), exponent);
        else
            snprintf(text, sizeof text, "a -%llue%+d", (unsigned long long)mantissa, exponent);
        struct parsed parsed;
        parse_text(&parsed, text);
        assert_int_equal(parsed.batch.sample_count, 1);
        assert_int_equal(bits_of_double(parsed.batch.sample_values[0]),
                         bits_of_double(strtod(text + 2, NULL)));
        parsed_release(&parsed);
    }
}

static void help_and_type_describe_metrics(void **state)
{
    (void)state;
    struct parsed parsed;
    parse_text(&parsed, "# HELP a_total two\\nlines \\\\ and \\\"\n"
                        "# TYPE a_total counter\n"
                        "a_total 1\n"
                        "#   TYPE \"b.c\"\t gauge \n"
                        "  # HELP \"b.c\"   spaced\n"
                        "# TYPE d untyped\n"
                        "# HELP\n# HELP \n# TYPE\n#HELP e x\n# HELPING e x\n"
                        "# HELP f\n"
                        "# TYPE g histogram\n");
    assert_int_equal(parsed.batch.rejected, 0);
    assert_int_equal(parsed.batch.metric_count, 3);
    const struct metric *metrics = parsed.batch.metrics;
    assert_slice_text(metrics[0].name, "a_total");
    assert_slice_text(metrics[0].help, "two\nlines \\ and \\\"");
    assert_int_equal(metrics[0].type, METRIC_COUNTER);
    assert_slice_text(metrics[1].name, "b.c");
    assert_slice_text(metrics[1].help, "spaced");
    assert_int_equal(metrics[1].type, METRIC_GAUGE);
    assert_slice_text(metrics[2].name, "g");
    assert_int_equal(metrics[2].type, METRIC_HISTOGRAM);
    parsed_release(&parsed);
}

static void a_descriptor_over_the_limits_is_left_out_with_a_warning(void **state)
{
    (void)state;
    size_t size = METRIC_HELP_MAX_SIZE + 100;
    char *body = malloc(size);
    assert_non_null(body);
    memset(body, 'x', size);
    memcpy(body, "# HELP a ", 9);
    struct parsed parsed;
    parse_with(&parsed, slice_of(body, size), false, TEST_ARENA_MAX);
    assert_int_equal(parsed.status, STATUS_OK);
    assert_int_equal(parsed.batch.metric_count, 0);
    assert_int_equal(parsed.batch.warning_count, 1);
    parsed_release(&parsed);
    free(body);
}

static void a_nul_byte_in_a_label_or_a_descriptor_is_refused(void **state)
{
    (void)state;
    static const char body[] = "# HELP a nul\0\n# TYPE a gauge\na{b=\"c\0\"} 1\n"
                               "{\"a\0\"} 1\n{\"a\",\"b\0\"=\"c\"} 1\n";
    struct parsed parsed;
    parse_with(&parsed, slice_of(body, sizeof body - 1), false, TEST_ARENA_MAX);
    assert_int_equal(parsed.status, STATUS_OK);
    assert_int_equal(parsed.batch.metric_count, 0);
    assert_int_equal(parsed.batch.warning_count, 1);
    assert_int_equal(parsed.batch.series_count, 3);
    for (size_t i = 0; i < parsed.batch.series_count; i++) {
        struct labels labels;
        assert_int_equal(series_labels(&parsed.batch, i, &labels, &parsed.err), STATUS_INVALID);
        assert_string_equal(parsed.err.code, "label_invalid");
        assert_non_null(strstr(parsed.err.message, "NUL byte"));
    }
    parsed_release(&parsed);
}

static void times_outside_of_the_stores_range_are_refused(void **state)
{
    (void)state;
    char body[256];
    snprintf(body, sizeof body, "a 1 %lld\na 1 %lld\na 1 %lld\na 1 %lld\n", (long long)TIME_MIN_MS,
             (long long)TIME_MAX_MS - 1, (long long)TIME_MIN_MS - 1, (long long)TIME_MAX_MS);
    struct parsed parsed;
    parse_text(&parsed, body);
    assert_int_equal(parsed.batch.sample_count, 2);
    assert_int_equal(parsed.batch.sample_times[0], TIME_MIN_MS);
    assert_int_equal(parsed.batch.sample_times[1], TIME_MAX_MS - 1);
    assert_int_equal(parsed.batch.rejected, 2);
    parsed_release(&parsed);
    parse_text(&parsed, "a 1 -9223372036854775808\na 1 -9223372036854775809\na 1 +1\n");
    assert_int_equal(parsed.batch.sample_count, 1);
    assert_int_equal(parsed.batch.rejected, 2);
    parsed_release(&parsed);
}

static void a_prefix_of_a_body_gives_a_prefix_of_its_samples(void **state)
{
    (void)state;
    static const char body[] = "# HELP a help\\n\n# TYPE a counter\na{b=\"c\\\"\",d=\"e\"} 12 34\n"
                               "{\"f.g\",\"h\"=\"i\"} -1.5e-3 -5\nj NaN\n";
    for (size_t size = 0; size < sizeof body; size++) {
        uint8_t *exact = malloc(size > 0 ? size : 1);
        assert_non_null(exact);
        memcpy(exact, body, size);
        struct parsed parsed;
        parse_with(&parsed, slice_of(exact, size), false, TEST_ARENA_MAX);
        assert_int_equal(parsed.status, STATUS_OK);
        assert_true(parsed.batch.sample_count + parsed.batch.rejected <= 3);
        assert_true(parsed.batch.rejected <= 1);
        assert_int_equal(invalid_series(&parsed.batch), 0);
        parsed_release(&parsed);
        free(exact);
    }
}

static void a_full_arena_is_a_limit_and_never_a_lost_sample(void **state)
{
    (void)state;
    struct bytes body;
    bytes_init(&body, 1 << 20);
    for (int i = 0; i < 500; i++)
        assert_int_equal(bytes_format(&body, "# HELP m%d x\\ny\nm%d{a=\"b\"} %d\n", i, i, i),
                         STATUS_OK);
    bool limited = false;
    bool whole = false;
    for (size_t max = 0; max < 400000; max += 1999) {
        struct parsed parsed;
        parse_with(&parsed, bytes_slice(&body), false, max);
        assert_true(parsed.status == STATUS_OK || parsed.status == STATUS_LIMIT);
        limited |= parsed.status == STATUS_LIMIT;
        if (parsed.status == STATUS_OK) {
            whole = true;
            assert_int_equal(parsed.batch.sample_count, 500);
            assert_int_equal(parsed.batch.metric_count, 500);
        }
        parsed_release(&parsed);
    }
    assert_true(limited && whole);
    bytes_release(&body);
}

static void labels_without_end_are_refused_when_decoded(void **state)
{
    (void)state;
    struct bytes body;
    bytes_init(&body, 1 << 20);
    assert_int_equal(bytes_append_text(&body, "a{"), STATUS_OK);
    for (int i = 0; i <= LABELS_MAX_COUNT; i++)
        assert_int_equal(bytes_format(&body, "l%d=\"v\",", i), STATUS_OK);
    assert_int_equal(bytes_append_text(&body, "} 1"), STATUS_OK);
    struct parsed parsed;
    parse_with(&parsed, bytes_slice(&body), false, TEST_ARENA_MAX);
    assert_int_equal(parsed.batch.sample_count, 1);
    struct labels labels;
    struct error err = {0};
    assert_int_equal(series_labels(&parsed.batch, 0, &labels, &err), STATUS_LIMIT);
    assert_string_equal(err.code, "labels_too_large");
    parsed_release(&parsed);
    bytes_release(&body);
}

/* A line of 10 MB, and a thousand quotes and braces, are looked at once. */
static void hostile_lines_take_linear_time(void **state)
{
    (void)state;
    static const char *const patterns[] = {"{", "\"",   "a{b=\"",     "\\",
                                           ",", "a{\"", "# TYPE a\n", "9"};
    size_t size = 10 << 20;
    char *body = malloc(size);
    assert_non_null(body);
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        size_t length = strlen(patterns[i]);
        for (size_t at = 0; at < size; at++)
            body[at] = patterns[i][at % length];
        memcpy(body, "a ", 2);
        struct parsed parsed;
        clock_t start = clock();
        parse_with(&parsed, slice_of(body, size), false, TEST_ARENA_MAX);
        assert_true(clock() - start < 5 * CLOCKS_PER_SEC);
        assert_int_equal(parsed.status, STATUS_OK);
        assert_true(parsed.batch.rejected >= 1);
        parsed_release(&parsed);
    }
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_keep_order_labels_values_and_times),
        cmocka_unit_test(a_broken_line_refuses_itself_only),
        cmocka_unit_test(each_kind_of_broken_line_is_refused),
        cmocka_unit_test(escapes_and_quoted_names_become_labels),
        cmocka_unit_test(numbers_are_read_as_prometheus_reads_them),
        cmocka_unit_test(nan_is_the_ordinary_nan),
        cmocka_unit_test(random_decimals_are_rounded_correctly),
        cmocka_unit_test(help_and_type_describe_metrics),
        cmocka_unit_test(a_descriptor_over_the_limits_is_left_out_with_a_warning),
        cmocka_unit_test(a_nul_byte_in_a_label_or_a_descriptor_is_refused),
        cmocka_unit_test(times_outside_of_the_stores_range_are_refused),
        cmocka_unit_test(a_prefix_of_a_body_gives_a_prefix_of_its_samples),
        cmocka_unit_test(a_full_arena_is_a_limit_and_never_a_lost_sample),
        cmocka_unit_test(labels_without_end_are_refused_when_decoded),
        cmocka_unit_test(hostile_lines_take_linear_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "exposition_helper.h"

static void assert_refused(const char *body)
{
    struct parsed parsed;
    parse_openmetrics(&parsed, body);
    if (parsed.status != STATUS_INVALID)
        print_error("document\n%s\n", body);
    assert_int_equal(parsed.status, STATUS_INVALID);
    assert_string_equal(parsed.err.code, "openmetrics_invalid");
    parsed_release(&parsed);
}

static void assert_accepted(const char *body)
{
    struct parsed parsed;
    parse_openmetrics(&parsed, body);
    if (parsed.status != STATUS_OK)
        print_error("document\n%s\n%s\n", body, parsed.err.message);
    assert_int_equal(parsed.status, STATUS_OK);
    assert_int_equal(invalid_series(&parsed.batch), 0);
    parsed_release(&parsed);
}

static void a_document_gives_samples_and_families(void **state)
{
    (void)state;
    struct parsed parsed;
    parse_openmetrics(&parsed, "# TYPE a_seconds counter\n"
                               "# UNIT a_seconds seconds\n"
                               "# HELP a_seconds x \\\"y\\\"\\n\n"
                               "a_seconds_total{b=\"c\"} 1.5 12.5 # {id=\"7\"} 1 2\n"
                               "a_seconds_created{b=\"c\"} 1e3 12.5\n"
                               "plain 2\n"
                               "# TYPE \"d.e\" gauge\n"
                               "{\"d.e\",f=\"g\"} 3\n"
                               "# EOF\n");
    assert_samples(&parsed, "{name=\"a_seconds_total\",b=\"c\"} 1.5 12500\n"
                            "{name=\"a_seconds_created\",b=\"c\"} 1000 12500\n"
                            "{name=\"plain\"} 2 1000\n"
                            "{name=\"d.e\",f=\"g\"} 3 1000\n");
    assert_int_equal(parsed.batch.metric_count, 2);
    assert_slice_text(parsed.batch.metrics[0].name, "a_seconds");
    assert_slice_text(parsed.batch.metrics[0].unit, "seconds");
    assert_slice_text(parsed.batch.metrics[0].help, "x \"y\"\n");
    assert_int_equal(parsed.batch.metrics[0].type, METRIC_COUNTER);
    assert_slice_text(parsed.batch.metrics[1].name, "d.e");
    assert_int_equal(parsed.batch.warning_count, 1);
    assert_int_equal(parsed.batch.series[2].line, 6);
    assert_int_equal(parsed.batch.series[2].index, 2);
    parsed_release(&parsed);
}

static void a_fault_names_its_line(void **state)
{
    (void)state;
    struct parsed parsed;
    parse_openmetrics(&parsed, "a 1\nb 2\nc x\n# EOF\n");
    assert_string_equal(parsed.err.message,
                        "line 3: column 3: a decimal number, NaN, +Inf or -Inf is expected");
    parsed_release(&parsed);
    parse_openmetrics(&parsed, "a 1\nb 2\na{c=\"d\"} 1\n# EOF\n");
    assert_string_equal(
        parsed.err.message,
        "line 3: the name \"a\" already belongs to a family above; keep each family "
        "in one piece and its names to itself");
    parsed_release(&parsed);
}

/* Each message in whole: it is all that the sender has to find the fault by. */
static void a_refusal_names_the_line_and_says_what_is_wrong(void **state)
{
    (void)state;
    static const struct {
        const char *body;
        const char *message;
    } cases[] = {
        {"", "line 1: the document does not end with # EOF; it may have been cut off"},
        {"a 1\n\n# EOF\n", "line 2: the line is empty"},
        {"a 1\n# EOF\nb 1\n", "line 3: nothing may follow # EOF"},
        {"a{b=\"\xff\"} 1\n# EOF\n", "line 1: the line is not valid UTF-8"},
        {"# TYPE a gauge\n# TYPE a gauge\n# EOF\n", "line 2: this is the second # TYPE of \"a\""},
        {"a 1\n# TYPE a gauge\n# EOF\n",
         "line 2: the metadata of \"a\" stands behind its samples; it belongs before them"},
        {"#remark\n# EOF\n", "line 1: column 1: a line that begins with # is \"# TYPE NAME TYPE\", "
                             "\"# HELP NAME TEXT\", "
                             "\"# UNIT NAME UNIT\" or \"# EOF\"; remarks are not allowed"},
        {"# TYPE a counter\n# UNIT a seconds\na_total 1\n# EOF\n",
         "line 2: the name \"a\" does not end in its unit: \"_seconds\""},
        {"# TYPE a_b info\n# UNIT a_b b\n# EOF\n",
         "line 2: \"a_b\" is of type info, which has no unit"},
        {"# TYPE a counter\na 1\n# EOF\n",
         "line 2: \"a\" is of type counter: the names of its samples end in _total, _created"},
        {"# TYPE a histogram\na 1\n# EOF\n", "line 2: \"a\" is of type histogram: the names of its "
                                             "samples end in _bucket, _count, _sum, "
                                             "_created"},
        {"# TYPE a counter\na_total 1\n# TYPE a_total gauge\n# EOF\n",
         "line 3: the name \"a_total\" already belongs to a family above; keep each family in one "
         "piece and its names to itself"},
        {"a\n# EOF\n", "line 1: column 2: the line ends without a value"},
        {"a{b=\"c\"} \n# EOF\n", "line 1: column 9: the line ends without a value"},
        {"a-b 1\n# EOF\n",
         "line 1: column 2: this character cannot be in a plain name, which has letters, digits, _ "
         "and :; after the series, one space and a value are expected"},
        {"a{b=\"c\"}1\n# EOF\n",
         "line 1: column 9: one space and a value are expected after the series"},
        {"a{b=\"1\",c=\"2\",b=\"3\"} 1\n# EOF\n", "line 1: the label \"b\" is given twice"},
        {"a 0x1\n# EOF\n", "line 1: column 3: a decimal number, NaN, +Inf or -Inf is expected"},
        {"a 1 NaN\n# EOF\n",
         "line 1: column 5: a timestamp is expected here: seconds since 1970 as a decimal number"},
        {"# TYPE a counter\na_total 1 # {} 1 z\n# EOF\n",
         "line 2: column 18: a timestamp is expected here: seconds since 1970 as a decimal number"},
        {"# TYPE a counter\na_total 1 # {} 1 1 \n# EOF\n",
         "line 2: column 19: nothing may follow the timestamp of an exemplar"},
        {"# TYPE a counter\na_total 1 # {}\n# EOF\n",
         "line 2: column 15: one space and a value are expected after the labels of an exemplar"},
        {"# TYPE a counter\na_total NaN\n# EOF\n",
         "line 2: the value is NaN, which a total, count, sum or bucket cannot be"},
        {"a 1 2\na 1 1\n# EOF\n",
         "line 2: the timestamp lies before the one above it, of the same labels"},
        {"a 1 2\na 1\n# EOF\n",
         "line 2: of samples with the same labels, some have a timestamp and some have none"},
        {"# TYPE a histogram\na_bucket{le=\"2\"} 1\na_bucket{le=\"1\"} 1\n# EOF\n",
         "line 3: the bound le is not above that of the bucket before it"},
        {"# TYPE a histogram\n# HELP a x\na_bucket{le=\"1\"} 1\nb 1\n# EOF\n",
         "line 3: the histogram \"a\" that begins here has no bucket with le=\"+Inf\""},
        {"# TYPE a histogram\na_bucket{le=\"+Inf\"} 1\na_bucket{b=\"c\",le=\"+Inf\"} 1\n"
         "a_count{b=\"c\"} 2\na_sum{b=\"c\"} 0\n# EOF\n",
         "line 3: the histogram \"a\" that begins here has a count that differs from its bucket "
         "with "
         "le=\"+Inf\""},
        {"# TYPE a gaugehistogram\na_bucket{le=\"+Inf\"} 1\na_gsum -1\n# EOF\n",
         "line 2: the gaugehistogram \"a\" that begins here has a sum below zero and no bound "
         "below "
         "zero"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct parsed parsed;
        parse_openmetrics(&parsed, cases[i].body);
        assert_int_equal(parsed.status, STATUS_INVALID);
        assert_string_equal(parsed.err.code, "openmetrics_invalid");
        assert_string_equal(parsed.err.message, cases[i].message);
        parsed_release(&parsed);
    }
}

static void the_end_is_exactly_one_mark(void **state)
{
    (void)state;
    assert_accepted("# EOF");
    assert_accepted("# EOF\n");
    assert_refused("");
    assert_refused("a 1\n");
    assert_refused("# EOF\n\n");
    assert_refused("# EOF\n# EOF\n");
    assert_refused("# EOF\r\n");
    assert_refused("#EOF\n");
    assert_refused("a 1\n\n# EOF\n");
}

static void syntax_is_strict(void **state)
{
    (void)state;
    static const char *const lines[] = {
        "a  1",
        "a\t1",
        "a 1 ",
        " a 1",
        "a 1  2",
        "a{b=\"c\"}1",
        "a{b=\"c\",} 1",
        "a{ b=\"c\"} 1",
        "a{b =\"c\"} 1",
        "a {b=\"c\"} 1",
        "a{b=\"c\",  d=\"e\"} 1",
        "a{b=\"c\",b=\"d\"} 1",
        "a{b=\"\xff\"} 1",
        "{\"\"} 1",
        "a 0x1",
        "a 1_0",
        "a +nan",
        "a 1 nan",
        "a 1 inf",
        "a 1 1.1.1",
        "a 1 0x1",
        "a 1 .",
        "a 1 1e",
        "# a remark",
        "#",
        "# TYPE a",
        "# TYPE  a gauge",
        "# TYPE a gauge ",
        "# TYPE a untyped",
        "# HELP a",
        "# UNIT a_b c",
        "# UNIT a a",
        "# FOO a b",
        "# TYPE 1 gauge",
        "# EOFa",
    };
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        char body[128];
        snprintf(body, sizeof body, "%s\n# EOF\n", lines[i]);
        assert_refused(body);
    }
    assert_accepted("# HELP a \n# UNIT a \na{b=\"c\", d=\"e\"} 1 1e3\n# EOF\n");
}

static void metadata_stands_once_and_before_its_samples(void **state)
{
    (void)state;
    assert_refused("# TYPE a gauge\n# TYPE a gauge\n# EOF\n");
    assert_refused("# HELP a x\n# HELP a x\n# EOF\n");
    assert_refused("# UNIT a_s s\n# UNIT a_s s\n# EOF\n");
    assert_refused("# TYPE a gauge\na 1\n# HELP a x\n# EOF\n");
    assert_accepted("# UNIT a_s s\n# HELP a_s x\n# TYPE a_s gauge\na_s 1\n# EOF\n");
    assert_refused("# TYPE a_u info\n# UNIT a_u u\n# EOF\n");
    assert_refused("# UNIT a_u u\n# TYPE a_u stateset\n# EOF\n");
}

static void families_stay_in_one_piece_and_own_their_names(void **state)
{
    (void)state;
    assert_refused("a 1\nb 1\na 2\n# EOF\n");
    assert_refused("# TYPE a counter\na_total 1\n# TYPE b gauge\nb 1\na_created 1\n# EOF\n");
    assert_refused("# TYPE a_total gauge\n# TYPE a counter\n# EOF\n");
    assert_refused("# TYPE a counter\n# TYPE a_created gauge\n# EOF\n");
    assert_refused("# TYPE a histogram\n# TYPE a_bucket gauge\n# EOF\n");
    assert_refused("# TYPE a info\n# TYPE a gauge\n# EOF\n");
    assert_refused("# TYPE a counter\na 1\n# EOF\n");
    assert_accepted("# TYPE a counter\na_total 1\n# TYPE a_b gauge\na_b 1\n# EOF\n");
}

static void groups_stay_together_and_time_runs_forward(void **state)
{
    (void)state;
    assert_refused("a{b=\"1\"} 1\na{b=\"2\"} 1\na{b=\"1\"} 1\n# EOF\n");
    assert_refused("a 1 2\na 1 1\n# EOF\n");
    assert_refused("a 1 0.0000002\na 1 0.0000001\n# EOF\n");
    assert_refused("a 1 -1\na 1 -1.1\n# EOF\n");
    assert_refused("a 1\na 1 1\n# EOF\n");
    assert_refused("a 1 1\na 1\n# EOF\n");
    assert_accepted("a 1 1\na 2 1\na 3 1.0000001\na 4 2e0\n# EOF\n");
    assert_accepted("a{b=\"1\",c=\"2\"} 1 1\na{c=\"2\",b=\"1\"} 1 2\n# EOF\n");
    assert_accepted("# TYPE a info\na_info{b=\"1\"} 1 2\na_info{b=\"2\"} 1 1\n# EOF\n");
}

static void values_obey_their_type(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "counter\na_total -1",
        "counter\na_total NaN",
        "counter\na_total 1 # {b=\"c\"} x",
        "gauge\na 1 # {b=\"c\"} 1",
        "stateset\na 1",
        "stateset\na{a=\"x\"} 2",
        "info\na_info 0",
        "summary\na 1",
        "summary\na{quantile=\"1.5\"} 1",
        "summary\na{quantile=\"NaN\"} 1",
        "summary\na{quantile=\"0.5\"} -1",
        "summary\na_count 1.5",
        "summary\na_sum -1",
        "histogram\na_bucket 1",
        "histogram\na_bucket{le=\"inf\"} 1",
        "histogram\na_bucket{le=\"x\"} 1",
        "histogram\na_bucket{le=\"1\"} 1",
        "histogram\na_bucket{le=\"+Inf\"} 1.5",
        "histogram\na_bucket{le=\"+Inf\"} +Inf",
        "histogram\na_bucket{le=\"2\"} 1\na_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 1",
        "histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1",
        "histogram\na_bucket{le=\"+Inf\"} 1\na_count 2\na_sum 1",
        "histogram\na_bucket{le=\"+Inf\"} 1\na_count 1",
        "histogram\na_bucket{le=\"+Inf\"} 1\na_sum 1",
        "histogram\na_bucket{le=\"-1\"} 0\na_bucket{le=\"+Inf\"} 1\na_sum 1\na_count 1",
        "histogram\na_sum 1 # {b=\"c\"} 1",
        "histogram\na_bucket{le=\"1\"} 1 1\na_bucket{le=\"+Inf\"} 1 2",
        "gaugehistogram\na_bucket{le=\"+Inf\"} 1\na_gsum -1\na_gcount 1",
        "gaugehistogram\na_bucket{le=\"+Inf\"} 1\na_gsum NaN\na_gcount 1",
        "gaugehistogram\na_bucket{le=\"+Inf\"} 1\na_gsum 1",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        char body[256];
        snprintf(body, sizeof body, "# TYPE a %s\n# EOF\n", refused[i]);
        assert_refused(body);
    }
    static const char *const accepted[] = {
        "counter\na_total 0\na_created 5",
        "counter\na_total +Inf",
        "gauge\na -1\na NaN",
        "stateset\na{a=\"x\"} 0\na{a=\"y\"} 1.0",
        "info\na_info{b=\"c\"} 1",
        "summary\na{quantile=\"0\"} NaN\na{quantile=\"1.0\"} 1\na_sum 1\na_count 2",
        "histogram\na_bucket{le=\"1\"} 1\na_bucket{le=\"+Inf\"} 2\na_count 2\na_sum 3\na_created 1",
        "histogram\na_bucket{le=\"+Inf\"} 2 1\na_bucket{le=\"+Inf\"} 1 2",
        "histogram\na_bucket{b=\"1\",le=\"+Inf\"} 2\na_bucket{b=\"2\",le=\"+Inf\"} 1",
        "gaugehistogram\na_bucket{le=\"-1\"} 1\na_bucket{le=\"+Inf\"} 1\na_gsum -1\na_gcount 1",
        "unknown\na -1",
    };
    for (size_t i = 0; i < sizeof accepted / sizeof accepted[0]; i++) {
        char body[256];
        snprintf(body, sizeof body, "# TYPE a %s\n# EOF\n", accepted[i]);
        assert_accepted(body);
    }
}

static void exemplar_labels_have_128_characters_at_most(void **state)
{
    (void)state;
    char body[512];
    char filler[200];
    for (int size = 126; size <= 128; size++) {
        memset(filler, 'x', sizeof filler);
        filler[size] = 0;
        snprintf(body, sizeof body, "# TYPE a counter\na_total 1 # {b=\"%s\"} 1\n# EOF\n", filler);
        if (size + 1 <= 128)
            assert_accepted(body);
        else
            assert_refused(body);
    }
}

static void seconds_become_milliseconds_exactly(void **state)
{
    (void)state;
    static const struct {
        const char *seconds;
        int64_t time_ms;
    } cases[] = {
        {"0", 0},
        {"1520879607.789", 1520879607789},
        {"1.520879607789e+09", 1520879607789},
        {"1520879607789e-3", 1520879607789},
        {"-1.5", -1500},
        {"-0.0001", -1},
        {"0.0019", 1},
        {".5", 500},
        {"5.", 5000},
        {"0e99999999999", 0},
        {"0.000000e5", 0},
        {"1e-99999999999", 0},
        {"0000000000000000000000000000001.25", 1250},
        {"9223372036.854", 9223372036854},
        {"-9214560000", -9214560000000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[128];
        snprintf(body, sizeof body, "a 1 %s\n# EOF\n", cases[i].seconds);
        struct parsed parsed;
        parse_openmetrics(&parsed, body);
        assert_int_equal(parsed.status, STATUS_OK);
        assert_int_equal(parsed.batch.sample_count, 1);
        if (parsed.batch.sample_times[0] != cases[i].time_ms)
            print_error("seconds %s\n", cases[i].seconds);
        assert_int_equal(parsed.batch.sample_times[0], cases[i].time_ms);
        parsed_release(&parsed);
    }
}

static void what_cannot_be_stored_refuses_its_sample_only(void **state)
{
    (void)state;
    struct parsed parsed;
    parse_openmetrics(&parsed, "a 1e400\nb 1 12345678901234567890.123\nc 1 9223372036.855\n"
                               "d 1 -1e99\ne 2 1\n# EOF\n");
    assert_samples(&parsed, "{name=\"e\"} 2 1000\n");
    assert_int_equal(parsed.batch.rejected, 4);
    assert_string_equal(parsed.batch.rejections[0].code, "value_out_of_range");
    assert_string_equal(parsed.batch.rejections[1].code, "timestamp_out_of_range");
    assert_int_equal(parsed.batch.rejections[3].index, 3);
    assert_int_equal(parsed.batch.rejections[3].line, 4);
    parsed_release(&parsed);
}

static void a_document_cut_anywhere_is_refused(void **state)
{
    (void)state;
    static const char body[] =
        "# TYPE a histogram\n# HELP a x\\n\na_bucket{le=\"1\",b=\"\\\"\"} 1 2 # {c=\"d\"} 0.5 1\n"
        "a_bucket{le=\"+Inf\",b=\"\\\"\"} 1 2\na_count{b=\"\\\"\"} 1 2\na_sum{b=\"\\\"\"} 1 2\n"
        "{\"e.f\"} 1\n# EOF";
    size_t whole = sizeof body - 1;
    for (size_t size = 0; size <= whole; size++) {
        uint8_t *exact = malloc(size > 0 ? size : 1);
        assert_non_null(exact);
        memcpy(exact, body, size);
        struct parsed parsed;
        parse_with(&parsed, slice_of(exact, size), true, TEST_ARENA_MAX);
        assert_int_equal(parsed.status, size == whole ? STATUS_OK : STATUS_INVALID);
        parsed_release(&parsed);
        free(exact);
    }
}

static void a_full_arena_is_a_limit(void **state)
{
    (void)state;
    struct bytes body;
    bytes_init(&body, 1 << 20);
    for (int i = 0; i < 300; i++)
        assert_int_equal(
            bytes_format(&body, "# HELP m%d x\\ny\nm%d{a=\"b\"} %d\nm%d{a=\"c\"} 1\n", i, i, i, i),
            STATUS_OK);
    assert_int_equal(bytes_append_text(&body, "# EOF\n"), STATUS_OK);
    bool limited = false;
    bool whole = false;
    for (size_t max = 0; max < 400000; max += 1999) {
        struct parsed parsed;
        parse_with(&parsed, bytes_slice(&body), true, max);
        assert_true(parsed.status == STATUS_OK || parsed.status == STATUS_LIMIT);
        limited |= parsed.status == STATUS_LIMIT;
        whole |= parsed.status == STATUS_OK && parsed.batch.sample_count == 600;
        parsed_release(&parsed);
    }
    assert_true(limited && whole);
    bytes_release(&body);
}

static void many_labels_are_compared_without_squaring(void **state)
{
    (void)state;
    struct bytes body;
    bytes_init(&body, 1 << 24);
    for (int line = 0; line < 50; line++) {
        assert_int_equal(bytes_format(&body, "a%s{", ""), STATUS_OK);
        for (int i = 0; i < LABELS_MAX_COUNT; i++)
            assert_int_equal(bytes_format(&body, "%sl%d=\"%d\"", i == 0 ? "" : ",", i, line),
                             STATUS_OK);
        assert_int_equal(bytes_append_text(&body, "} 1\n"), STATUS_OK);
    }
    assert_int_equal(bytes_append_text(&body, "# EOF\n"), STATUS_OK);
    struct parsed parsed;
    parse_with(&parsed, bytes_slice(&body), true, TEST_ARENA_MAX);
    assert_int_equal(parsed.status, STATUS_OK);
    assert_int_equal(parsed.batch.sample_count, 50);
    parsed_release(&parsed);
    bytes_clear(&body);
    assert_int_equal(bytes_append_text(&body, "a{"), STATUS_OK);
    for (int i = 0; i < 40; i++)
        assert_int_equal(bytes_format(&body, "%sl%d=\"x\"", i == 0 ? "" : ",", i % 39), STATUS_OK);
    assert_int_equal(bytes_append_text(&body, "} 1\n# EOF\n"), STATUS_OK);
    parse_with(&parsed, bytes_slice(&body), true, TEST_ARENA_MAX);
    assert_int_equal(parsed.status, STATUS_INVALID);
    parsed_release(&parsed);
    bytes_release(&body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_document_gives_samples_and_families),
        cmocka_unit_test(a_fault_names_its_line),
        cmocka_unit_test(a_refusal_names_the_line_and_says_what_is_wrong),
        cmocka_unit_test(the_end_is_exactly_one_mark),
        cmocka_unit_test(syntax_is_strict),
        cmocka_unit_test(metadata_stands_once_and_before_its_samples),
        cmocka_unit_test(families_stay_in_one_piece_and_own_their_names),
        cmocka_unit_test(groups_stay_together_and_time_runs_forward),
        cmocka_unit_test(values_obey_their_type),
        cmocka_unit_test(exemplar_labels_have_128_characters_at_most),
        cmocka_unit_test(seconds_become_milliseconds_exactly),
        cmocka_unit_test(what_cannot_be_stored_refuses_its_sample_only),
        cmocka_unit_test(a_document_cut_anywhere_is_refused),
        cmocka_unit_test(a_full_arena_is_a_limit),
        cmocka_unit_test(many_labels_are_compared_without_squaring),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

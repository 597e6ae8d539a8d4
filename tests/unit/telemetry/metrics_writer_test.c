#include "../test.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "document.h"

struct written {
    struct bytes bytes;
    struct metrics_writer writer;
};

static void begin(struct written *written, enum metrics_format format, size_t max)
{
    bytes_init(&written->bytes, max);
    metrics_begin(&written->writer, &written->bytes, format);
}

static void expect(struct written *written, const char *text)
{
    assert_int_equal(metrics_finish(&written->writer), STATUS_OK);
    document_free(document_read(bytes_slice(&written->bytes), written->writer.format));
    char *got = document_text(bytes_slice(&written->bytes));
    assert_string_equal(got, text);
    free(got);
    bytes_release(&written->bytes);
}

static const struct histogram_bounds two = {
    .scale = 1000000000, .count = 3, .bounds = {250000, 1000000000, 2500000000}};

static void write_each_type(struct metrics_writer *writer)
{
    struct histogram histogram;
    histogram_init(&histogram, &two);
    histogram_record(&histogram, 250000);
    histogram_record(&histogram, 2000000000);
    histogram_record(&histogram, 3000000000);
    metrics_family(writer, "a_bytes", METRIC_COUNTER, "bytes", "A counter.");
    metrics_count(writer, METRICS_LABELS({"x", "1"}, {"y", ""}), 18446744073709551615u);
    metrics_family(writer, "b", METRIC_GAUGE, NULL, "A gauge.");
    metrics_value(writer, NULL, -0.5);
    metrics_family(writer, "c_seconds", METRIC_HISTOGRAM, "seconds", "A histogram.");
    metrics_histogram(writer, METRICS_LABELS({"x", "1"}), &histogram);
    metrics_family(writer, "d_seconds", METRIC_SUMMARY, "seconds", "A summary.");
    metrics_summary(writer, NULL, 2, 0.1);
    metrics_family(writer, "e", METRIC_INFO, NULL, "An info.");
    metrics_info(writer, METRICS_LABELS({"version", "1.0"}));
}

static void text_names_counters_and_infos_with_their_suffix(void **state)
{
    (void)state;
    struct written written;
    begin(&written, METRICS_TEXT, 1 << 16);
    write_each_type(&written.writer);
    expect(&written, "# HELP a_bytes_total A counter.\n"
                     "# TYPE a_bytes_total counter\n"
                     "a_bytes_total{x=\"1\",y=\"\"} 18446744073709551615\n"
                     "# HELP b A gauge.\n"
                     "# TYPE b gauge\n"
                     "b -0.5\n"
                     "# HELP c_seconds A histogram.\n"
                     "# TYPE c_seconds histogram\n"
                     "c_seconds_bucket{x=\"1\",le=\"0.00025\"} 1\n"
                     "c_seconds_bucket{x=\"1\",le=\"1.0\"} 1\n"
                     "c_seconds_bucket{x=\"1\",le=\"2.5\"} 2\n"
                     "c_seconds_bucket{x=\"1\",le=\"+Inf\"} 3\n"
                     "c_seconds_sum{x=\"1\"} 5.00025\n"
                     "c_seconds_count{x=\"1\"} 3\n"
                     "# HELP d_seconds A summary.\n"
                     "# TYPE d_seconds summary\n"
                     "d_seconds_sum 0.1\n"
                     "d_seconds_count 2\n"
                     "# HELP e_info An info.\n"
                     "# TYPE e_info gauge\n"
                     "e_info{version=\"1.0\"} 1\n");
}

static void openmetrics_has_units_bare_family_names_and_an_end(void **state)
{
    (void)state;
    struct written written;
    begin(&written, METRICS_OPENMETRICS, 1 << 16);
    write_each_type(&written.writer);
    expect(&written, "# HELP a_bytes A counter.\n"
                     "# TYPE a_bytes counter\n"
                     "# UNIT a_bytes bytes\n"
                     "a_bytes_total{x=\"1\",y=\"\"} 18446744073709551615\n"
                     "# HELP b A gauge.\n"
                     "# TYPE b gauge\n"
                     "b -0.5\n"
                     "# HELP c_seconds A histogram.\n"
                     "# TYPE c_seconds histogram\n"
                     "# UNIT c_seconds seconds\n"
                     "c_seconds_bucket{x=\"1\",le=\"0.00025\"} 1\n"
                     "c_seconds_bucket{x=\"1\",le=\"1.0\"} 1\n"
                     "c_seconds_bucket{x=\"1\",le=\"2.5\"} 2\n"
                     "c_seconds_bucket{x=\"1\",le=\"+Inf\"} 3\n"
                     "c_seconds_sum{x=\"1\"} 5.00025\n"
                     "c_seconds_count{x=\"1\"} 3\n"
                     "# HELP d_seconds A summary.\n"
                     "# TYPE d_seconds summary\n"
                     "# UNIT d_seconds seconds\n"
                     "d_seconds_sum 0.1\n"
                     "d_seconds_count 2\n"
                     "# HELP e An info.\n"
                     "# TYPE e info\n"
                     "e_info{version=\"1.0\"} 1\n"
                     "# EOF\n");
}

static void label_values_are_escaped_and_become_utf8(void **state)
{
    (void)state;
    struct written written;
    begin(&written, METRICS_TEXT, 1 << 16);
    metrics_family(&written.writer, "a", METRIC_GAUGE, NULL, "Help with \\ and \" and\nnewline.");
    metrics_count(&written.writer, METRICS_LABELS({"v", "q\"b\\n\nz\xc3\xa4\xff"}), 1);
    expect(&written, "# HELP a Help with \\\\ and \" and\\nnewline.\n"
                     "# TYPE a gauge\n"
                     "a{v=\"q\\\"b\\\\n\\nz\xc3\xa4\xef\xbf\xbd\"} 1\n");
}

static void a_help_of_openmetrics_escapes_quotes_too(void **state)
{
    (void)state;
    struct written written;
    begin(&written, METRICS_OPENMETRICS, 1 << 16);
    metrics_family(&written.writer, "a", METRIC_GAUGE, NULL, "The \"help\".");
    expect(&written, "# HELP a The \\\"help\\\".\n# TYPE a gauge\n# EOF\n");
}

static void values_read_back_as_the_same_double(void **state)
{
    (void)state;
    const double values[] = {0.0,  -0.0,          0.1,      1.0 / 3,   1e300,        5e-324,
                             1e15, 123456789.125, INFINITY, -INFINITY, 4294967296.5, NAN};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        struct written written;
        begin(&written, METRICS_TEXT, 1 << 16);
        metrics_family(&written.writer, "a", METRIC_GAUGE, NULL, "A.");
        metrics_value(&written.writer, NULL, values[i]);
        assert_int_equal(metrics_finish(&written.writer), STATUS_OK);
        struct document *document = document_read(bytes_slice(&written.bytes), METRICS_TEXT);
        double value = document_number(document_value(document, "a"), "a");
        assert_true(memcmp(&value, &values[i], sizeof value) == 0 ||
                    (isnan(value) && isnan(values[i])));
        document_free(document);
        bytes_release(&written.bytes);
    }
}

static void a_full_buffer_is_told_at_the_end(void **state)
{
    (void)state;
    for (size_t max = 0; max < 600; max += 7) {
        struct written written;
        begin(&written, METRICS_OPENMETRICS, max);
        write_each_type(&written.writer);
        assert_int_equal(metrics_finish(&written.writer), STATUS_LIMIT);
        assert_true(written.bytes.size <= max);
        bytes_release(&written.bytes);
    }
}

/* Whether `act` ends the process. */
static bool aborts(void (*act)(struct metrics_writer *))
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGABRT, SIG_DFL); /* cmocka catches it */
        close(STDERR_FILENO);
        struct written written;
        begin(&written, METRICS_TEXT, 1 << 16);
        act(&written.writer);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void family_twice(struct metrics_writer *writer)
{
    metrics_family(writer, "a", METRIC_GAUGE, NULL, "A.");
    metrics_family(writer, "b", METRIC_GAUGE, NULL, "B.");
    metrics_family(writer, "a", METRIC_COUNTER, NULL, "A.");
}

static void family_with_a_suffix(struct metrics_writer *writer)
{
    metrics_family(writer, "a_total", METRIC_COUNTER, NULL, "A.");
}

static void family_of_another_unit(struct metrics_writer *writer)
{
    metrics_family(writer, "a_bytes", METRIC_COUNTER, "seconds", "A.");
}

static void family_of_no_name(struct metrics_writer *writer)
{
    metrics_family(writer, "a-b", METRIC_COUNTER, NULL, "A.");
}

static void family_without_help(struct metrics_writer *writer)
{
    metrics_family(writer, "a", METRIC_COUNTER, NULL, "");
}

static void sample_of_another_type(struct metrics_writer *writer)
{
    metrics_family(writer, "a", METRIC_INFO, NULL, "A.");
    metrics_count(writer, NULL, 1);
}

static void label_le(struct metrics_writer *writer)
{
    metrics_family(writer, "a", METRIC_GAUGE, NULL, "A.");
    metrics_count(writer, METRICS_LABELS({"le", "1"}), 1);
}

static void sound_family(struct metrics_writer *writer)
{
    metrics_family(writer, "a", METRIC_GAUGE, NULL, "A.");
}

static void a_document_that_no_scraper_would_take_is_a_bug_of_ours(void **state)
{
    (void)state;
    assert_false(aborts(sound_family));
    assert_true(aborts(family_twice));
    assert_true(aborts(family_with_a_suffix));
    assert_true(aborts(family_of_another_unit));
    assert_true(aborts(family_of_no_name));
    assert_true(aborts(family_without_help));
    assert_true(aborts(sample_of_another_type));
    assert_true(aborts(label_le));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_names_counters_and_infos_with_their_suffix),
        cmocka_unit_test(openmetrics_has_units_bare_family_names_and_an_end),
        cmocka_unit_test(label_values_are_escaped_and_become_utf8),
        cmocka_unit_test(a_help_of_openmetrics_escapes_quotes_too),
        cmocka_unit_test(values_read_back_as_the_same_double),
        cmocka_unit_test(a_full_buffer_is_told_at_the_end),
        cmocka_unit_test(a_document_that_no_scraper_would_take_is_a_bug_of_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

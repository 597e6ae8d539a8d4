#include "exposition_helper.h"

#include "model/value.h"

struct export
{
    struct openmetrics_writer writer;
    struct bytes text;
    struct arena arena;
};

static void export_begin(struct export *export)
{
    openmetrics_writer_init(&export->writer);
    bytes_init(&export->text, 64 << 20);
    arena_init(&export->arena, TEST_ARENA_MAX);
}

static void export_end(struct export *export)
{
    openmetrics_writer_release(&export->writer);
    bytes_release(&export->text);
    arena_release(&export->arena);
}

static void write_metric(struct export *export, const char *name, enum metric_type type)
{
    struct metric metric = {.name = slice_from_text(name), .type = type};
    struct error err = {0};
    enum status status =
        openmetrics_writer_metric(&export->writer, &export->text, metric.name, &metric, &err);
    if (status != STATUS_OK)
        print_error("%s\n", err.message);
    assert_int_equal(status, STATUS_OK);
    struct label label = {slice_from_text(METRIC_NAME_LABEL), metric.name};
    assert_int_equal(openmetrics_writer_series(&export->writer, &(struct labels){&label, 1}),
                     STATUS_OK);
}

static void write_sample(struct export *export, int64_t time_ms, double value)
{
    assert_int_equal(openmetrics_writer_sample(&export->writer, &export->text, time_ms, value),
                     STATUS_OK);
}

static void finish(struct export *export)
{
    assert_int_equal(openmetrics_writer_end(&export->text), STATUS_OK);
}

static void metadata_labels_values_and_times_are_written(void **state)
{
    (void)state;
    struct export export;
    export_begin(&export);
    struct metric metric = {
        .name = slice_from_text("a_seconds"),
        .type = METRIC_COUNTER,
        .unit = slice_from_text("seconds"),
        .help = slice_from_text("two\nlines \\ \"q\""),
    };
    struct slice name = slice_from_text("a_seconds_total");
    assert_int_equal(openmetrics_writer_metric(&export.writer, &export.text, name, &metric, NULL),
                     STATUS_OK);
    struct label items[] = {
        {slice_from_text(METRIC_NAME_LABEL), name},
        {slice_from_text("b"), slice_from_text("c\n\"\\")},
        {slice_from_text("d.e"), slice_from_text("f")},
    };
    assert_int_equal(openmetrics_writer_series(&export.writer, &(struct labels){items, 3}),
                     STATUS_OK);
    write_sample(&export, 1795305600250, 1.5);
    write_sample(&export, 1795305601000, 1e21);
    write_metric(&export, "b.utf8", METRIC_GAUGE);
    write_sample(&export, -1, -0.0);
    write_sample(&export, -1500, -__builtin_inf());
    finish(&export);
    assert_int_equal(bytes_append(&export.text, "", 1), STATUS_OK);
    assert_string_equal((const char *)export.text.data,
                        "# TYPE a_seconds counter\n"
                        "# UNIT a_seconds seconds\n"
                        "# HELP a_seconds two\\nlines \\\\ \\\"q\\\"\n"
                        "a_seconds_total{b=\"c\\n\\\"\\\\\",\"d.e\"=\"f\"} 1.5 1795305600.250\n"
                        "a_seconds_total{b=\"c\\n\\\"\\\\\",\"d.e\"=\"f\"} 1e+21 1795305601.000\n"
                        "# TYPE \"b.utf8\" gauge\n"
                        "{\"b.utf8\"} -0.0 -0.001\n"
                        "{\"b.utf8\"} -Inf -1.500\n"
                        "# EOF\n");
    export_end(&export);
}

static void names_that_clash_are_written_without_their_family(void **state)
{
    (void)state;
    struct export export;
    export_begin(&export);
    /* In byte order; the comment says which type is left. */
    static const struct {
        const char *name;
        enum metric_type type;
        enum metric_type written;
    } metrics[] = {
        {"a", METRIC_GAUGE, METRIC_GAUGE},
        {"a_total", METRIC_COUNTER, METRIC_UNKNOWN},
        {"b_created", METRIC_COUNTER, METRIC_UNKNOWN},
        {"b_other", METRIC_GAUGE, METRIC_GAUGE},
        {"b_total", METRIC_COUNTER, METRIC_UNKNOWN},
        {"c_created_info", METRIC_INFO, METRIC_INFO},
        {"c_total", METRIC_COUNTER, METRIC_UNKNOWN},
        {"d_info", METRIC_INFO, METRIC_INFO},
        {"d_total", METRIC_COUNTER, METRIC_UNKNOWN},
        {"e_total", METRIC_COUNTER, METRIC_COUNTER},
        {"e_total_info", METRIC_INFO, METRIC_UNKNOWN},
        {"e_total_total", METRIC_COUNTER, METRIC_UNKNOWN},
        {"f_created_total", METRIC_COUNTER, METRIC_COUNTER},
        {"f_total", METRIC_COUNTER, METRIC_UNKNOWN},
        {"g_bucket", METRIC_HISTOGRAM, METRIC_UNKNOWN},
        {"g_state", METRIC_STATESET, METRIC_UNKNOWN},
        {"h", METRIC_COUNTER, METRIC_UNKNOWN},
        {"h_total", METRIC_COUNTER, METRIC_UNKNOWN},
        {"i_info", METRIC_GAUGE, METRIC_GAUGE},
        {"i_total", METRIC_COUNTER, METRIC_COUNTER},
        {"j", METRIC_INFO, METRIC_UNKNOWN},
    };
    for (size_t i = 0; i < sizeof metrics / sizeof metrics[0]; i++) {
        write_metric(&export, metrics[i].name, metrics[i].type);
        if (export.writer.type != metrics[i].written)
            print_error("%s\n", metrics[i].name);
        assert_int_equal(export.writer.type, metrics[i].written);
        write_sample(&export, 1, 1);
        write_sample(&export, 2, 1);
    }
    finish(&export);
    struct parsed parsed;
    parse_with(&parsed, bytes_slice(&export.text), true, TEST_ARENA_MAX);
    if (parsed.status != STATUS_OK)
        print_error("%s\n", parsed.err.message);
    assert_int_equal(parsed.status, STATUS_OK);
    assert_int_equal(parsed.batch.sample_count, 2 * sizeof metrics / sizeof metrics[0]);
    parsed_release(&parsed);
    export_end(&export);
}

/* Names made of pieces that clash with each other, in every order of types. */
static void any_set_of_metrics_makes_a_valid_document(void **state)
{
    (void)state;
    static const char *const pieces[] = {"a", "b", "_total", "_created", "_info", "_bucket"};
    uint64_t random = 99;
    for (int round = 0; round < 3000; round++) {
        char names[12][64];
        for (size_t i = 0; i < 12; i++) {
            names[i][0] = 0;
            strcat(names[i], pieces[test_random(&random) % 2]);
            for (size_t j = test_random(&random) % 4; j > 0; j--)
                strcat(names[i], pieces[test_random(&random) % 6]);
        }
        qsort(names, 12, sizeof names[0], (int (*)(const void *, const void *))strcmp);
        struct export export;
        export_begin(&export);
        size_t written = 0;
        for (size_t i = 0; i < 12; i++) {
            if (i > 0 && strcmp(names[i], names[i - 1]) == 0)
                continue;
            enum metric_type type = (enum metric_type)(test_random(&random) % 8);
            write_metric(&export, names[i], type);
            write_sample(&export, 5, 1);
            written++;
        }
        finish(&export);
        struct parsed parsed;
        parse_with(&parsed, bytes_slice(&export.text), true, TEST_ARENA_MAX);
        if (parsed.status != STATUS_OK)
            print_error("%s\n%.*s", parsed.err.message, (int)export.text.size,
                        (const char *)export.text.data);
        assert_int_equal(parsed.status, STATUS_OK);
        assert_int_equal(parsed.batch.sample_count, written);
        parsed_release(&parsed);
        export_end(&export);
    }
}

static void what_the_format_cannot_say_is_left_out_and_counted(void **state)
{
    (void)state;
    struct export export;
    export_begin(&export);
    write_metric(&export, "a_total", METRIC_COUNTER);
    write_sample(&export, 1, -1);
    write_sample(&export, 2, double_of_bits(VALUE_NORMAL_NAN_BITS));
    write_sample(&export, 3, 1);
    write_metric(&export, "b_info", METRIC_INFO);
    write_sample(&export, 1, 2);
    write_metric(&export, "c", METRIC_GAUGE);
    write_sample(&export, 1, double_of_bits(VALUE_STALE_BITS));
    assert_int_equal(export.writer.omitted, 4);
    write_sample(&export, 2, double_of_bits(VALUE_NORMAL_NAN_BITS));
    assert_int_equal(export.writer.altered, 0);
    write_sample(&export, 3, double_of_bits(UINT64_C(0xfff8000000000005)));
    assert_int_equal(export.writer.altered, 1);
    finish(&export);
    struct parsed parsed;
    parse_with(&parsed, bytes_slice(&export.text), true, TEST_ARENA_MAX);
    assert_samples(&parsed, "{name=\"a_total\"} 1 3\n{name=\"c\"} NaN 2\n{name=\"c\"} NaN 3\n");
    parsed_release(&parsed);
    export_end(&export);
}

static void a_metric_out_of_order_is_refused(void **state)
{
    (void)state;
    struct export export;
    export_begin(&export);
    write_metric(&export, "b", METRIC_GAUGE);
    assert_int_equal(
        openmetrics_writer_metric(&export.writer, &export.text, slice_from_text("a"), NULL, NULL),
        STATUS_CONFLICT);
    assert_int_equal(
        openmetrics_writer_metric(&export.writer, &export.text, slice_from_text("b"), NULL, NULL),
        STATUS_CONFLICT);
    export_end(&export);
}

/* Series written at random are read back with the same labels, times and bits. */
static void random_series_are_read_back_bit_for_bit(void **state)
{
    (void)state;
    uint64_t random = 4711;
    for (int round = 0; round < 400; round++) {
        struct export export;
        export_begin(&export);
        struct slice name = random_text(&export.arena, &random, 8);
        assert_int_equal(openmetrics_writer_metric(&export.writer, &export.text, name, NULL, NULL),
                         STATUS_OK);
        struct labels labels = random_labels(&export.arena, &random, name);
        assert_int_equal(openmetrics_writer_series(&export.writer, &labels), STATUS_OK);
        enum { SAMPLES = 20 };
        int64_t times[SAMPLES];
        double values[SAMPLES];
        size_t written = 0;
        int64_t time = -5000;
        for (size_t i = 0; i < SAMPLES; i++) {
            time += (int64_t)(test_random(&random) % 100000);
            double value = random_value(&random);
            write_sample(&export, time, value);
            if (value_is_stale(value))
                continue;
            times[written] = time;
            values[written++] = value == value ? value : double_of_bits(VALUE_NORMAL_NAN_BITS);
        }
        finish(&export);
        struct parsed parsed;
        parse_with(&parsed, bytes_slice(&export.text), true, TEST_ARENA_MAX);
        if (parsed.status != STATUS_OK)
            print_error("%s\n%.*s", parsed.err.message, (int)export.text.size,
                        (const char *)export.text.data);
        assert_int_equal(parsed.status, STATUS_OK);
        assert_int_equal(parsed.batch.sample_count, written);
        for (size_t i = 0; i < written; i++) {
            struct labels again;
            assert_int_equal(series_labels(&parsed.batch, i, &again, NULL), STATUS_OK);
            assert_int_equal(labels_compare(&again, &labels), 0);
            assert_true(parsed.batch.sample_times[i] == times[i]);
            assert_true(bits_of_double(parsed.batch.sample_values[i]) == bits_of_double(values[i]));
        }
        parsed_release(&parsed);
        export_end(&export);
    }
}

static void a_full_target_is_a_limit_and_stays_whole(void **state)
{
    (void)state;
    struct export export;
    export_begin(&export);
    write_metric(&export, "a", METRIC_GAUGE);
    struct bytes small;
    bytes_init(&small, 300);
    size_t size = 0;
    enum status status = STATUS_OK;
    while ((status = openmetrics_writer_sample(&export.writer, &small, 1, 1)) == STATUS_OK)
        size = small.size;
    assert_int_equal(status, STATUS_LIMIT);
    assert_int_equal(small.size, size);
    bytes_release(&small);
    export_end(&export);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metadata_labels_values_and_times_are_written),
        cmocka_unit_test(names_that_clash_are_written_without_their_family),
        cmocka_unit_test(any_set_of_metrics_makes_a_valid_document),
        cmocka_unit_test(what_the_format_cannot_say_is_left_out_and_counted),
        cmocka_unit_test(a_metric_out_of_order_is_refused),
        cmocka_unit_test(random_series_are_read_back_bit_for_bit),
        cmocka_unit_test(a_full_target_is_a_limit_and_stays_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

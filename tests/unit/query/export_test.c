#include "../test.h"

#include "harness.h"
#include "model/value.h"

/* Writes what it is given as text, one line a call. */
struct text_sink {
    struct export_sink base;
    struct bytes text;
    size_t calls;
    size_t refuse_call; /* the n-th fails (from 1); 0: never */
    size_t largest;     /* samples in one call */
    size_t samples;
};

static enum status count_call(struct text_sink *sink, struct error *err)
{
    if (++sink->calls == sink->refuse_call)
        return fail(err, STATUS_CANCELLED, "the client is gone");
    return STATUS_OK;
}

static enum status begin_series(struct export_sink *base, const struct export_series *series,
                                struct error *err)
{
    struct text_sink *sink = (struct text_sink *)base;
    assert_int_equal(bytes_format(&sink->text, "%.*s %s \"%.*s\" \"%.*s\"",
                                  SLICE_FORMAT(series->family), metric_type_name(series->type),
                                  SLICE_FORMAT(series->unit), SLICE_FORMAT(series->help)),
                     STATUS_OK);
    for (size_t i = 0; i < series->labels->count; i++) {
        const struct label *label = &series->labels->items[i];
        assert_int_equal(bytes_format(&sink->text, " %.*s=%.*s", SLICE_FORMAT(label->name),
                                      SLICE_FORMAT(label->value)),
                         STATUS_OK);
    }
    return count_call(sink, err);
}

static enum status samples(struct export_sink *base, const int64_t *times, const double *values,
                           size_t count, struct error *err)
{
    struct text_sink *sink = (struct text_sink *)base;
    assert_true(count > 0);
    for (size_t i = 0; i < count && sink->samples < 1000; i++)
        assert_int_equal(bytes_format(&sink->text, " %lld:%016llx", (long long)times[i],
                                      (unsigned long long)bits_of_double(values[i])),
                         STATUS_OK);
    sink->samples += count;
    sink->largest = count > sink->largest ? count : sink->largest;
    return count_call(sink, err);
}

static enum status end_series(struct export_sink *base, struct error *err)
{
    struct text_sink *sink = (struct text_sink *)base;
    assert_int_equal(bytes_append_text(&sink->text, "\n"), STATUS_OK);
    return count_call(sink, err);
}

struct fixture {
    struct harness harness;
    struct text_sink sink;
    struct export_outcome outcome;
};

static int set_up(void **state)
{
    static const struct export_sink_ops ops = {begin_series, samples, end_series};
    struct fixture *fixture = calloc(1, sizeof *fixture);
    harness_init(&fixture->harness);
    fixture->sink.base.ops = &ops;
    bytes_init(&fixture->sink.text, 1 << 24);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    harness_release(&fixture->harness);
    bytes_release(&fixture->sink.text);
    free(fixture);
    return 0;
}

static enum status export(struct fixture *fixture, const char *text) {
    struct harness *harness = &fixture->harness; static const char zero = 0;
    harness_parameters(harness, text);
    bytes_clear(&fixture->sink.text);
    fixture->sink.calls = fixture->sink.samples = 0;
    enum status status = query_export(&harness->environment, harness->parameters,
                                      harness->parameter_count, &fixture->sink.base,
                                      &fixture->outcome, &harness->err);
    assert_int_equal(bytes_append(&fixture->sink.text, &zero, 1), STATUS_OK);
    assert_int_equal(harness->memory->open_selections, 0);
    return status;
}

static void check_export(struct fixture *fixture, const char *text, const char *want)
{
    enum status status = export(fixture, text);
    if (status != STATUS_OK)
        test_fail("%s: %s", text, fixture->harness.err.message);
    assert_string_equal((const char *)fixture->sink.text.data, want);
}

static void add_one(struct memory_tier *memory, const char *metric, const char *labels,
                    int64_t time_ms)
{
    memory_tier_add(memory, memory_tier_add_series(memory, metric, labels), time_ms, 1);
}

static void an_export_has_every_bit_of_every_time(void **state)
{
    struct fixture *fixture = *state;
    struct memory_tier *memory = fixture->harness.memory;
    size_t series = memory_tier_add_series(memory, "x", "a=1");
    memory_tier_add(memory, series, INT64_C(-9214560000000), -0.0);
    memory_tier_add(memory, series, 0, double_of_bits(VALUE_STALE_BITS));
    memory_tier_add(memory, series, INT64_C(9214646399999),
                    double_of_bits(UINT64_C(0xfff800000000beef)));
    memory_tier_add_series(memory, "empty", "");
    check_export(fixture, "format=ndjson",
                 "x unknown \"\" \"\" __name__=x a=1 -9214560000000:8000000000000000 "
                 "0:7ff0000000000002 9214646399999:fff800000000beef\n");
    assert_int_equal(fixture->outcome.series, 1);
    assert_int_equal(fixture->outcome.samples, 3);
    assert_false(fixture->outcome.partial);
    check_export(fixture, "start=0&end=1",
                 "x unknown \"\" \"\" __name__=x a=1 0:7ff0000000000002\n");
    check_export(fixture, "start=1&end=2", "");
}

static void series_come_by_name_then_labels_whatever_their_family(void **state)
{
    struct fixture *fixture = *state;
    struct memory_tier *memory = fixture->harness.memory;
    add_one(memory, "h_sum", "Zone=1", 1);
    add_one(memory, "h_bucket", "Zone=2,le=1", 1);
    add_one(memory, "h_bucket", "Zone=1,le=1", 1);
    add_one(memory, "h_a", "", 1);
    add_one(memory, "h_count", "", 1);
    add_one(memory, "c_total", "", 1);
    add_one(memory, "q_count", "", 1);
    memory->metrics[memory->metric_count++] = (struct metric){
        .name = slice_from_text("h"),
        .type = METRIC_HISTOGRAM,
        .unit = slice_from_text("s"),
        .help = slice_from_text("Time."),
    };
    memory->metrics[memory->metric_count++] =
        (struct metric){.name = slice_from_text("c"), .type = METRIC_COUNTER};
    /* Registered under its own name, and a gauge has no suffixes. */
    memory->metrics[memory->metric_count++] =
        (struct metric){.name = slice_from_text("q"), .type = METRIC_GAUGE};
    check_export(fixture, "",
                 "c counter \"\" \"\" __name__=c_total 1:3ff0000000000000\n"
                 "h_a unknown \"\" \"\" __name__=h_a 1:3ff0000000000000\n"
                 "h histogram \"s\" \"Time.\" Zone=1 __name__=h_bucket le=1 1:3ff0000000000000\n"
                 "h histogram \"s\" \"Time.\" Zone=2 __name__=h_bucket le=1 1:3ff0000000000000\n"
                 "h histogram \"s\" \"Time.\" __name__=h_count 1:3ff0000000000000\n"
                 "h histogram \"s\" \"Time.\" Zone=1 __name__=h_sum 1:3ff0000000000000\n"
                 "q_count unknown \"\" \"\" __name__=q_count 1:3ff0000000000000\n");
    check_export(fixture, "match[]=c_total&match[]={le=\"1\",Zone=\"2\"}&match[]=c_total",
                 "c counter \"\" \"\" __name__=c_total 1:3ff0000000000000\n"
                 "h histogram \"s\" \"Time.\" Zone=2 __name__=h_bucket le=1 1:3ff0000000000000\n");
    check_export(fixture, "limit=1", "c counter \"\" \"\" __name__=c_total 1:3ff0000000000000\n");
}

static void an_export_gives_blocks_and_is_not_held_to_a_querys_samples(void **state)
{
    struct fixture *fixture = *state;
    struct memory_tier *memory = fixture->harness.memory;
    size_t series = memory_tier_add_series(memory, "x", "");
    for (int64_t i = 0; i < 50000; i++)
        memory_tier_add(memory, series, i, 1);
    fixture->harness.environment.limits.max_samples = 10;
    fixture->harness.environment.limits.timeout_ms = 1;
    fixture->harness.tick_ns = 1000000000;
    fixture->harness.environment.limits.max_memory_bytes = 128 * 1024;
    assert_int_equal(export(fixture, ""), STATUS_OK);
    assert_int_equal(fixture->outcome.samples, 50000);
    assert_int_equal(fixture->sink.samples, 50000);
    assert_true(fixture->sink.largest <= memory->max_block);
}

static bool always(void *context)
{
    (void)context;
    return true;
}

static void an_export_ends_when_nobody_waits_or_the_sink_refuses(void **state)
{
    struct fixture *fixture = *state;
    add_one(fixture->harness.memory, "x", "a=1", 1);
    add_one(fixture->harness.memory, "x", "a=2", 1);
    for (size_t call = 1; call <= 6; call++) {
        fixture->sink.refuse_call = call;
        assert_int_equal(export(fixture, ""), STATUS_CANCELLED);
        assert_int_equal(fixture->sink.calls, call);
    }
    fixture->sink.refuse_call = 0;
    fixture->harness.environment.cancelled = always;
    assert_int_equal(export(fixture, ""), STATUS_CANCELLED);
    assert_string_equal(fixture->harness.err.code, "query_cancelled");
}

static void damage_and_faults_show_in_the_outcome(void **state)
{
    struct fixture *fixture = *state;
    struct memory_tier *memory = fixture->harness.memory;
    add_one(memory, "x", "a=1", 1);
    add_one(memory, "x", "a=2", 1);
    memory->damaged = true;
    memory->fail_next_at = 2;
    assert_int_equal(export(fixture, ""), STATUS_IO);
    assert_int_equal(fixture->outcome.series, 1);
    assert_int_equal(fixture->outcome.samples, 1);
    assert_true(fixture->outcome.partial);
}

static void any_bound_of_memory_ends_an_export_in_a_limit_or_whole(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 300; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%d_total", i);
        add_one(fixture->harness.memory, name, "", 1);
    }
    enum status status = STATUS_LIMIT;
    for (size_t size = 2; status != STATUS_OK; size += 1200) {
        assert_true(size < 1 << 20);
        fixture->harness.environment.limits.max_memory_bytes = size;
        status = export(fixture, "match[]={__name__!=\"\"}");
        assert_true(status == STATUS_OK || status == STATUS_LIMIT);
        assert_int_equal(fixture->outcome.series, status == STATUS_OK ? 300 : 0);
    }
}

static void mistakes_in_an_export_are_named(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(export(fixture, "match=x"), STATUS_INVALID);
    assert_non_null(strstr(fixture->harness.err.message, "nearest is \"match[]\""));
    assert_int_equal(export(fixture, "match[]={}"), STATUS_INVALID);
    assert_int_equal(export(fixture, "start=2&end=1"), STATUS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_export_has_every_bit_of_every_time, set_up, tear_down),
        cmocka_unit_test_setup_teardown(series_come_by_name_then_labels_whatever_their_family,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_export_gives_blocks_and_is_not_held_to_a_querys_samples,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_export_ends_when_nobody_waits_or_the_sink_refuses,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(damage_and_faults_show_in_the_outcome, set_up, tear_down),
        cmocka_unit_test_setup_teardown(any_bound_of_memory_ends_an_export_in_a_limit_or_whole,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(mistakes_in_an_export_are_named, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

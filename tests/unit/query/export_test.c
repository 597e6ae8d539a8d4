#include "../test.h"

#include "harness.h"
#include "model/value.h"
#include "protocols/protocols.h"

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

static void series_come_by_metric_name_then_labels(void **state)
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

/* ---- as OpenMetrics -------------------------------------------------------------------------- */

/* Writes a document, as the server and the command do. */
struct document_sink {
    struct export_sink base;
    struct openmetrics_writer writer;
    struct bytes name, text;
};

static enum status document_series(struct export_sink *base, const struct export_series *series,
                                   struct error *err)
{
    struct document_sink *sink = (struct document_sink *)base;
    struct slice name = labels_metric_name(series->labels);
    struct metric metric = {
        .name = series->family, .type = series->type, .unit = series->unit, .help = series->help};
    enum status status = STATUS_OK;
    if (!slice_equal(bytes_slice(&sink->name), name)) {
        bytes_clear(&sink->name);
        assert_int_equal(bytes_append(&sink->name, name.data, name.size), STATUS_OK);
        status = openmetrics_writer_metric(&sink->writer, &sink->text, name,
                                           series->breaks_type ? NULL : &metric, err);
    }
    return status == STATUS_OK ? openmetrics_writer_series(&sink->writer, series->labels) : status;
}

static enum status document_samples(struct export_sink *base, const int64_t *times,
                                    const double *values, size_t count, struct error *err)
{
    struct document_sink *sink = (struct document_sink *)base;
    (void)err;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(openmetrics_writer_sample(&sink->writer, &sink->text, times[i], values[i]),
                         STATUS_OK);
    return STATUS_OK;
}

static enum status document_end(struct export_sink *base, struct error *err)
{
    (void)base, (void)err;
    return STATUS_OK;
}

static void document_open(struct document_sink *sink)
{
    static const struct export_sink_ops ops = {document_series, document_samples, document_end};
    *sink = (struct document_sink){.base = {.ops = &ops, .checks_types = true}};
    openmetrics_writer_init(&sink->writer);
    bytes_init(&sink->name, 1 << 16);
    bytes_init(&sink->text, 1 << 24);
}

static void document_close(struct document_sink *sink)
{
    openmetrics_writer_release(&sink->writer);
    bytes_release(&sink->name);
    bytes_release(&sink->text);
}

/* Exports the harness's tier into a new document. */
static void export_document(struct harness *harness, const char *text, struct document_sink *sink)
{
    struct export_outcome outcome;
    document_open(sink);
    harness_parameters(harness, text);
    enum status status =
        query_export(&harness->environment, harness->parameters, harness->parameter_count,
                     &sink->base, &outcome, &harness->err);
    if (status != STATUS_OK)
        test_fail("%s", harness->err.message);
    assert_int_equal(openmetrics_writer_end(&sink->text), STATUS_OK);
}

static void check_document(struct fixture *fixture, const char *text, const char *want)
{
    struct document_sink sink;
    export_document(&fixture->harness, text, &sink);
    assert_int_equal(bytes_append(&sink.text, "", 1), STATUS_OK);
    assert_string_equal((const char *)sink.text.data, want);
    document_close(&sink);
}

static void add_metric(struct memory_tier *memory, const char *name, enum metric_type type)
{
    memory->metrics[memory->metric_count++] =
        (struct metric){.name = slice_from_text(name), .type = type};
}

static void counters_registered_by_their_family_are_exported_in_the_order_of_their_names(
    void **state)
{
    struct fixture *fixture = *state;
    struct memory_tier *memory = fixture->harness.memory;
    add_one(memory, "x_total", "Zone=1", 1);
    add_one(memory, "x_a_total", "Zone=2", 1);
    add_metric(memory, "x", METRIC_COUNTER);
    add_metric(memory, "x_a", METRIC_COUNTER);
    check_document(fixture, "",
                   "# TYPE x_a counter\nx_a_total{Zone=\"2\"} 1 0.001\n"
                   "# TYPE x counter\nx_total{Zone=\"1\"} 1 0.001\n# EOF\n");
}

static void a_metric_keeps_its_type_where_all_that_is_exported_of_it_fits(void **state)
{
    struct fixture *fixture = *state;
    struct memory_tier *memory = fixture->harness.memory;
    add_metric(memory, "c", METRIC_COUNTER);
    add_metric(memory, "i", METRIC_INFO);
    size_t first = memory_tier_add_series(memory, "c_total", "n=1");
    size_t second = memory_tier_add_series(memory, "c_total", "n=2");
    size_t info = memory_tier_add_series(memory, "i_info", "");
    memory_tier_add(memory, first, 1, 0);
    memory_tier_add(memory, first, 2, double_of_bits(VALUE_STALE_BITS));
    memory_tier_add(memory, second, 1, -1);
    memory_tier_add(memory, second, 2, 7);
    memory_tier_add(memory, info, 1, 1);
    memory_tier_add(memory, info, 3, 2);
    for (unsigned chance = 0; chance <= 100; chance += 50)
        for (uint32_t block = 1; block <= 2; block++) {
            memory->summary_chance = chance;
            memory->max_block = block;
            check_document(fixture, "",
                           "# TYPE c_total unknown\nc_total{n=\"1\"} 0 0.001\n"
                           "c_total{n=\"2\"} -1 0.001\nc_total{n=\"2\"} 7 0.002\n"
                           "# TYPE i_info unknown\ni_info 1 0.001\ni_info 2 0.003\n# EOF\n");
            check_document(fixture, "start=1970-01-01T00:00:00.002Z&end=1970-01-01T00:00:00.003Z",
                           "# TYPE c counter\nc_total{n=\"2\"} 7 0.002\n# EOF\n");
            check_document(fixture, "limit=1",
                           "# TYPE c counter\nc_total{n=\"1\"} 0 0.001\n# EOF\n");
            check_document(fixture, "match[]=i_info&end=1970-01-01T00:00:00.002Z",
                           "# TYPE i info\ni_info 1 0.001\n# EOF\n");
        }
}

static const char *const clashing_names[] = {"a",      "a_total",   "a_b_total", "a_bucket",
                                             "a_info", "a_created", "c a",       "c a_total",
                                             "x.y",    "x.y_total", "x.y_info"};
static const char *const clashing_families[] = {"a_b", "a_total_info", "a_created_total"};

enum { CLASHING = sizeof clashing_names / sizeof clashing_names[0], FAMILIES = 3 };

static const char *any_name(size_t i)
{
    return i < CLASHING ? clashing_names[i] : clashing_families[i - CLASHING];
}

static double any_value(uint64_t *random)
{
    const double values[] = {1,
                             1,
                             1,
                             1,
                             0,
                             -0.0,
                             0.5,
                             -1,
                             double_of_bits(VALUE_NORMAL_NAN_BITS),
                             double_of_bits(VALUE_STALE_BITS)};
    /* Most metrics have to fit their type. */
    return values[memory_random(random) % (memory_random(random) % 6 == 0 ? 10 : 4)];
}

static enum metric_type any_type(uint64_t *random)
{
    static const enum metric_type rules[] = {METRIC_COUNTER, METRIC_COUNTER, METRIC_INFO};
    return memory_random(random) % 2 == 0 ? rules[memory_random(random) % 3]
                                          : (enum metric_type)(memory_random(random) % 8);
}

static void fill_at_random(struct memory_tier *memory, uint64_t *random)
{
    static const char *const labels[] = {"", "Zone=1", "Zone=2,le=1", "le=1"};
    for (size_t i = 0; i < CLASHING + FAMILIES; i++) {
        if (memory_random(random) % 4 > 0) {
            add_metric(memory, any_name(i), any_type(random));
            if (memory_random(random) % 2 == 0)
                memory->metrics[memory->metric_count - 1].help = slice_from_text("How \"much\".");
        }
        if (memory_random(random) % 2 == 0)
            continue;
        for (size_t j = 0; j < 4; j++) {
            /* A metric of stale markers alone would leave its metadata behind. */
            if (j > 0 && memory_random(random) % 2 == 0)
                continue;
            size_t series = memory_tier_add_series(memory, any_name(i), labels[j]);
            memory_tier_add(memory, series, 0, 1);
            for (int64_t at = 1; at < 5; at++)
                memory_tier_add(memory, series, at, any_value(random));
        }
    }
    memory->max_block = (uint32_t)(1 + memory_random(random) % 6);
    memory->summary_chance = (unsigned)(memory_random(random) % 101);
    memory->seed = memory_random(random);
}

static void parse_document(struct batch *batch, struct arena *arena,
                           const struct document_sink *sink)
{
    struct error err = {0};
    arena_init(arena, 1 << 26);
    batch_init(batch, arena, protocols_exposition_decode_labels, PROTOCOL_TAG_EXPOSITION);
    if (protocols_openmetrics_parse(bytes_slice(&sink->text), 1, 1, batch, &err) != STATUS_OK)
        test_fail("%s in\n%.*s", err.message, (int)sink->text.size, (const char *)sink->text.data);
}

static const struct memory_series *find_series(const struct memory_tier *memory,
                                               const struct labels *labels)
{
    for (size_t i = 0; i < memory->count; i++)
        if (labels_compare(&memory->series[i].labels, labels) == 0)
            return &memory->series[i];
    test_fail("a series that nobody has written");
    return NULL;
}

/* Each sample of the document is one of the tier's, and none but stale markers are missing. */
static void check_samples(const struct memory_tier *memory, struct batch *batch, uint64_t omitted)
{
    uint64_t stale = 0;
    uint64_t held = 0;
    for (size_t i = 0; i < memory->count; i++)
        for (size_t j = 0; j < memory->series[i].count; j++, held++)
            stale += value_is_stale(memory->series[i].values[j]);
    assert_int_equal(omitted, stale);
    assert_int_equal(batch->sample_count, held - stale);
    assert_int_equal(batch->rejected, 0);
    for (size_t i = 0; i < batch->sample_count; i++) {
        struct labels labels;
        struct slice raw = batch->series[batch->sample_series[i]].raw;
        assert_int_equal(batch->decode_labels(raw, batch->arena, &labels, NULL), STATUS_OK);
        assert_int_equal(labels_canonicalise(&labels, NULL), STATUS_OK);
        const struct memory_series *series = find_series(memory, &labels);
        int64_t at = batch->sample_times[i];
        assert_true(at >= 0 && (size_t)at < series->count && series->times[at] == at);
        assert_true(bits_of_double(batch->sample_values[i]) == bits_of_double(series->values[at]));
        /* The strict reader keeps series apart; a sample twice would be out of its count. */
        assert_true(i == 0 || batch->sample_series[i] != batch->sample_series[i - 1] ||
                    at > batch->sample_times[i - 1]);
    }
}

/* What an import of the document would make of an empty store. */
static void import_document(struct harness *copy, struct batch *batch)
{
    struct memory_tier *memory = copy->memory;
    size_t index = 0;
    for (size_t i = 0; i < batch->metric_count; i++) {
        assert_true(memory->metric_count < sizeof memory->metrics / sizeof memory->metrics[0]);
        memory->metrics[memory->metric_count++] = batch->metrics[i];
    }
    for (size_t i = 0; i < batch->sample_count; i++) {
        struct labels labels;
        struct slice raw = batch->series[batch->sample_series[i]].raw;
        assert_int_equal(batch->decode_labels(raw, batch->arena, &labels, NULL), STATUS_OK);
        assert_int_equal(labels_canonicalise(&labels, NULL), STATUS_OK);
        if (i == 0 || batch->sample_series[i] != batch->sample_series[i - 1]) {
            char text[64] = "";
            char *end = text;
            for (size_t j = 0; j < labels.count; j++)
                if (!slice_equal_text(labels.items[j].name, METRIC_NAME_LABEL))
                    end += sprintf(end, "%s%.*s=%.*s", end == text ? "" : ",",
                                   SLICE_FORMAT(labels.items[j].name),
                                   SLICE_FORMAT(labels.items[j].value));
            char name[32];
            struct slice metric = labels_metric_name(&labels);
            snprintf(name, sizeof name, "%.*s", SLICE_FORMAT(metric));
            index = memory_tier_add_series(memory, name, text);
        }
        memory_tier_add(memory, index, batch->sample_times[i], batch->sample_values[i]);
    }
}

static void any_registry_is_exported_whole_and_again_the_same_from_a_copy(void **state)
{
    (void)state;
    uint64_t random = 20261123;
    uint64_t types[8] = {0};
    for (int round = 0; round < 3000; round++) {
        struct harness source, copy;
        struct document_sink first, second;
        struct batch batch;
        struct arena arena;
        harness_init(&source);
        harness_init(&copy);
        fill_at_random(source.memory, &random);
        export_document(&source, "", &first);
        parse_document(&batch, &arena, &first);
        check_samples(source.memory, &batch, first.writer.omitted);
        for (size_t i = 0; i < batch.metric_count; i++)
            types[batch.metrics[i].type]++;
        import_document(&copy, &batch);
        export_document(&copy, "", &second);
        if (!slice_equal(bytes_slice(&first.text), bytes_slice(&second.text)))
            test_fail("round %d: two documents\n%.*s%.*s", round, (int)first.text.size,
                      (const char *)first.text.data, (int)second.text.size,
                      (const char *)second.text.data);
        document_close(&first);
        document_close(&second);
        arena_release(&arena);
        harness_release(&source);
        harness_release(&copy);
    }
    /* All that can be said was said. */
    assert_true(types[METRIC_COUNTER] > 500 && types[METRIC_INFO] > 100);
    assert_true(types[METRIC_GAUGE] > 500 && types[METRIC_UNKNOWN] > 300);
}

/* ---- limits and faults ----------------------------------------------------------------------- */

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
        cmocka_unit_test_setup_teardown(series_come_by_metric_name_then_labels, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            counters_registered_by_their_family_are_exported_in_the_order_of_their_names, set_up,
            tear_down),
        cmocka_unit_test_setup_teardown(
            a_metric_keeps_its_type_where_all_that_is_exported_of_it_fits, set_up, tear_down),
        cmocka_unit_test(any_registry_is_exported_whole_and_again_the_same_from_a_copy),
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

#include "exposition_helper.h"

/* Hands out `body` in steps of `step` bytes; fails at `fail_at`. */
struct source {
    struct slice body;
    size_t at;
    size_t step;
    size_t fail_at;
};

static enum status source_read(void *context, uint8_t *to, size_t capacity, size_t *size,
                               struct error *err)
{
    struct source *source = context;
    assert_true(capacity > 0);
    if (source->fail_at > 0 && source->at >= source->fail_at)
        return fail(err, STATUS_IO, "the disk is gone");
    size_t left = source->body.size - source->at;
    size_t take = left < source->step ? left : source->step;
    *size = take < capacity ? take : capacity;
    if (*size > 0)
        memcpy(to, source->body.data + source->at, *size);
    source->at += *size;
    return STATUS_OK;
}

struct reading {
    struct source source;
    struct recording *recording;
    struct parsed parsed; /* the batch of the last call */
};

static void reading_begin(struct reading *reading, struct slice body, size_t step,
                          size_t buffer_size)
{
    memset(reading, 0, sizeof *reading);
    reading->source = (struct source){.body = body, .step = step};
    arena_init(&reading->parsed.arena, TEST_ARENA_MAX);
    assert_int_equal(recording_new(&reading->recording, source_read, &reading->source,
                                   slice_from_text("import"), TEST_NOW_MS, buffer_size, NULL),
                     STATUS_OK);
}

static enum status reading_next(struct reading *reading)
{
    struct parsed *parsed = &reading->parsed;
    arena_release(&parsed->arena);
    parsed->status =
        recording_next(reading->recording, &parsed->batch, &parsed->arena, &parsed->err);
    return parsed->status;
}

static void reading_end(struct reading *reading)
{
    recording_free(reading->recording);
    parsed_release(&reading->parsed);
}

static void read_text(struct reading *reading, const char *body)
{
    reading_begin(reading, slice_from_text(body), 1 << 20, RECORDING_BUFFER_SIZE);
}

static void each_scrape_is_a_batch_with_its_time_and_target(void **state)
{
    (void)state;
    struct reading reading;
    read_text(&reading, "#SCRAPE 5000 http://127.0.0.1:9100/metrics\n"
                        "# TYPE up gauge\nup 1\nb{c=\"d\"} 2 7\n"
                        "#SCRAPE 6000 https://user:secret@[::1]:9200?x=1\n"
                        "up 0\n");
    assert_int_equal(reading_next(&reading), STATUS_OK);
    assert_samples(&reading.parsed,
                   "{name=\"up\",instance=\"127.0.0.1:9100\",job=\"import\"} 1 5000\n"
                   "{name=\"b\",c=\"d\",instance=\"127.0.0.1:9100\",job=\"import\"} 2 7\n");
    assert_int_equal(reading.parsed.batch.metric_count, 1);
    assert_int_equal(reading.parsed.batch.series[1].line, 4);
    assert_int_equal(reading_next(&reading), STATUS_OK);
    assert_samples(&reading.parsed,
                   "{name=\"up\",instance=\"[::1]:9200\",job=\"import\"} 0 6000\n");
    assert_int_equal(reading.parsed.batch.series[0].line, 6);
    assert_int_equal(reading.parsed.batch.series[0].index, 0);
    assert_int_equal(reading_next(&reading), STATUS_END);
    assert_int_equal(reading_next(&reading), STATUS_END);
    assert_int_equal(recording_bytes(reading.recording), reading.source.body.size);
    reading_end(&reading);
}

static void equal_text_of_two_targets_differs_in_its_raw_bytes(void **state)
{
    (void)state;
    struct reading reading;
    uint8_t first[64];
    read_text(&reading, "#SCRAPE 1 http://a:1/\nup 1\n#SCRAPE 1 http://b:1/\nup 1\n"
                        "#SCRAPE 2 http://a:1/\nup 1\n");
    assert_int_equal(reading_next(&reading), STATUS_OK);
    struct slice raw = reading.parsed.batch.series[0].raw;
    assert_true(raw.size <= sizeof first);
    memcpy(first, raw.data, raw.size);
    raw.data = first;
    assert_int_equal(reading_next(&reading), STATUS_OK);
    assert_false(slice_equal(raw, reading.parsed.batch.series[0].raw));
    assert_int_equal(reading_next(&reading), STATUS_OK);
    assert_true(slice_equal(raw, reading.parsed.batch.series[0].raw));
    reading_end(&reading);
}

static void labels_of_the_targets_names_are_exported(void **state)
{
    (void)state;
    struct reading reading;
    read_text(&reading, "#SCRAPE 1 http://a:1/\n"
                        "x{instance=\"i\"} 1\n"
                        "x{job=\"j\",exported_job=\"k\"} 2\n"
                        "x{job=\"\",instance=\"\"} 3\n"
                        "x{\"instance\"=\"i\",exported_instance=\"\"} 4\n");
    assert_int_equal(reading_next(&reading), STATUS_OK);
    assert_samples(
        &reading.parsed,
        "{name=\"x\",exported_instance=\"i\",instance=\"a:1\",job=\"import\"} 1 1\n"
        "{name=\"x\",exported_exported_job=\"j\",exported_job=\"k\",instance=\"a:1\","
        "job=\"import\"} 2 1\n"
        "{name=\"x\",instance=\"a:1\",job=\"import\"} 3 1\n"
        "{name=\"x\",exported_exported_instance=\"i\",instance=\"a:1\",job=\"import\"} 4 1\n");
    reading_end(&reading);
    read_text(&reading, "#SCRAPE 1 http://a:1/\nx{job=\"i\",job=\"j\"} 1\n");
    assert_int_equal(reading_next(&reading), STATUS_OK);
    assert_int_equal(invalid_series(&reading.parsed.batch), 1);
    reading_end(&reading);
}

static void text_before_the_first_scrape_stands_as_it_is(void **state)
{
    (void)state;
    struct reading reading;
    read_text(&reading, "a{job=\"x\"} 1 7\nb 2\n#SCRAPED 5 http://a:1/\nc 3\n"
                        "#SCRAPE 5 http://a:1/\n");
    assert_int_equal(reading_next(&reading), STATUS_OK);
    assert_samples(&reading.parsed, "{name=\"a\",job=\"x\"} 1 7\n"
                                    "{name=\"b\"} 2 1000\n"
                                    "{name=\"c\"} 3 1000\n");
    assert_int_equal(reading_next(&reading), STATUS_END);
    reading_end(&reading);
}

static void a_broken_scrape_line_refuses_what_follows_it(void **state)
{
    (void)state;
    static const char *const broken[] = {
        "#SCRAPE",
        "#SCRAPE x http://a:1/",
        "#SCRAPE 5",
        "#SCRAPE 5 a:1",
        "#SCRAPE 5 http:///x",
        "#SCRAPE 5 http://a:1/ more",
        "#SCRAPE 99999999999999 http://a:1/",
        "#SCRAPE - http://a:1/",
        "#SCRAPE 99999999999999999999999 http://a:1/",
        "#SCRAPE 5 http://\xff:1/",
        "#SCRAPE 5 ://a:1/",
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        char body[256];
        snprintf(body, sizeof body,
                 "#SCRAPE 4 http://a:1/\nx 1\n%s\n# TYPE x gauge\nx 2\nx 3\n"
                 "#SCRAPE 6 http://b:1/\nx 4\n",
                 broken[i]);
        struct reading reading;
        read_text(&reading, body);
        assert_int_equal(reading_next(&reading), STATUS_OK);
        assert_int_equal(reading.parsed.batch.sample_count, 1);
        assert_int_equal(reading_next(&reading), STATUS_OK);
        if (reading.parsed.batch.rejected != 3)
            print_error("%s\n", broken[i]);
        assert_int_equal(reading.parsed.batch.sample_count, 0);
        assert_int_equal(reading.parsed.batch.rejected, 3);
        assert_string_equal(reading.parsed.batch.rejections[1].code, "scrape_header_invalid");
        assert_int_equal(reading.parsed.batch.rejections[1].line, 5);
        assert_int_equal(reading_next(&reading), STATUS_OK);
        assert_samples(&reading.parsed, "{name=\"x\",instance=\"b:1\",job=\"import\"} 4 6\n");
        reading_end(&reading);
    }
}

/* All samples of a recording, whatever the batches. */
static void read_all(struct bytes *all, struct slice body, size_t step, size_t buffer_size,
                     uint64_t *rejected)
{
    struct reading reading;
    reading_begin(&reading, body, step, buffer_size);
    bytes_clear(all);
    *rejected = 0;
    enum status status;
    while ((status = reading_next(&reading)) == STATUS_OK) {
        const char *shown = samples_shown(&reading.parsed.batch);
        assert_int_equal(bytes_append(all, shown, strlen(shown)), STATUS_OK);
        *rejected += reading.parsed.batch.rejected;
    }
    assert_int_equal(status, STATUS_END);
    reading_end(&reading);
}

static void small_buffers_and_short_reads_change_nothing(void **state)
{
    (void)state;
    struct bytes body, want, got;
    bytes_init(&body, 1 << 20);
    bytes_init(&want, 1 << 20);
    bytes_init(&got, 1 << 20);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(bytes_format(&body, "#SCRAPE %d http://host%d:1/\n# HELP a x\n", i, i % 3),
                         STATUS_OK);
        for (int j = 0; j < i; j++)
            assert_int_equal(bytes_format(&body, "a{b=\"%d\"} %d\n\n", j, i * j), STATUS_OK);
    }
    uint64_t rejected;
    read_all(&want, bytes_slice(&body), SIZE_MAX, RECORDING_BUFFER_SIZE, &rejected);
    assert_int_equal(rejected, 0);
    assert_true(want.size > 0);
    for (size_t step = 1; step < 90; step += 11)
        for (size_t buffer = 64; buffer < 400; buffer += 37) {
            read_all(&got, bytes_slice(&body), step, buffer, &rejected);
            assert_int_equal(rejected, 0);
            assert_true(slice_equal(bytes_slice(&got), bytes_slice(&want)));
        }
    bytes_release(&body);
    bytes_release(&want);
    bytes_release(&got);
}

static void a_line_longer_than_the_buffer_is_refused_alone(void **state)
{
    (void)state;
    struct bytes body, got;
    bytes_init(&body, 1 << 20);
    bytes_init(&got, 1 << 20);
    for (size_t before = 0; before < 3; before++)
        for (size_t step = 1; step < 300; step += 23) {
            bytes_clear(&body);
            for (size_t i = 0; i < before; i++)
                assert_int_equal(bytes_append_text(&body, "a 1\n"), STATUS_OK);
            assert_int_equal(bytes_append_text(&body, "long{x=\""), STATUS_OK);
            for (int i = 0; i < 300; i++)
                assert_int_equal(bytes_append_text(&body, "y"), STATUS_OK);
            assert_int_equal(bytes_append_text(&body, "\"} 1\nb 2\n"), STATUS_OK);
            struct reading reading;
            reading_begin(&reading, bytes_slice(&body), step, 100);
            uint64_t rejected = 0;
            size_t samples = 0;
            uint32_t line = 0;
            while (reading_next(&reading) == STATUS_OK) {
                struct batch *batch = &reading.parsed.batch;
                if (batch->rejected > 0) {
                    assert_string_equal(batch->rejections[0].code, "line_too_long");
                    line = batch->rejections[0].line;
                }
                rejected += batch->rejected;
                samples += batch->sample_count;
                if (batch->series_count > 0 && batch->series[batch->series_count - 1].line > before)
                    assert_int_equal(batch->series[batch->series_count - 1].line, before + 2);
            }
            assert_int_equal(reading.parsed.status, STATUS_END);
            assert_int_equal(rejected, 1);
            assert_int_equal(line, before + 1);
            assert_int_equal(samples, before + 1);
            reading_end(&reading);
        }
    bytes_release(&body);
    bytes_release(&got);
}

static void a_failing_source_is_reported(void **state)
{
    (void)state;
    struct reading reading;
    reading_begin(&reading, slice_from_text("a 1\na 2\n"), 4, RECORDING_BUFFER_SIZE);
    reading.source.fail_at = 4;
    assert_int_equal(reading_next(&reading), STATUS_IO);
    assert_string_equal(reading.parsed.err.message, "the disk is gone");
    reading_end(&reading);
}

static void a_full_arena_is_a_limit(void **state)
{
    (void)state;
    struct bytes body;
    bytes_init(&body, 1 << 20);
    assert_int_equal(bytes_append_text(&body, "#SCRAPE 1 http://a:1/\n"), STATUS_OK);
    for (int i = 0; i < 500; i++)
        assert_int_equal(bytes_format(&body, "m%d{a=\"b\"} %d\n", i, i), STATUS_OK);
    bool limited = false;
    bool whole = false;
    for (size_t max = 0; max < 300000; max += 2999) {
        struct reading reading;
        reading_begin(&reading, bytes_slice(&body), SIZE_MAX, RECORDING_BUFFER_SIZE);
        arena_init(&reading.parsed.arena, max);
        enum status status = reading_next(&reading);
        assert_true(status == STATUS_OK || status == STATUS_LIMIT);
        limited |= status == STATUS_LIMIT;
        whole |= status == STATUS_OK && reading.parsed.batch.sample_count == 500;
        reading_end(&reading);
    }
    assert_true(limited && whole);
    bytes_release(&body);
}

static void a_job_that_is_no_label_value_is_refused(void **state)
{
    (void)state;
    struct recording *recording;
    struct source source = {0};
    assert_int_equal(
        recording_new(&recording, source_read, &source, slice_from_text("\xff"), 0, 100, NULL),
        STATUS_INVALID);
    assert_null(recording);
    recording_free(NULL);
}

/* Samples with their lines, from all batches that are left; positions behind them where asked. */
static void read_rest(struct reading *reading, struct bytes *to,
                      struct protocol_position *positions, size_t *sizes, size_t *count)
{
    for (;;) {
        if (count != NULL) {
            recording_position(reading->recording, &positions[*count]);
            sizes[(*count)++] = to->size;
        }
        enum status status = reading_next(reading);
        if (status == STATUS_END)
            return;
        assert_int_equal(status, STATUS_OK);
        const struct batch *batch = &reading->parsed.batch;
        for (size_t i = 0; i < batch->sample_count; i++)
            assert_int_equal(bytes_format(to, "%u ", batch->series[batch->sample_series[i]].line),
                             STATUS_OK);
        for (size_t i = 0; i < batch->rejection_count; i++)
            assert_int_equal(bytes_format(to, "bad %u ", batch->rejections[i].line), STATUS_OK);
        assert_int_equal(bytes_append_text(to, samples_shown(&reading->parsed.batch)), STATUS_OK);
    }
}

static void another_reader_goes_on_at_every_settled_position(void **state)
{
    (void)state;
    static const char body[] = "early 1\n"
                               "#SCRAPE 5000 http://a:1/\n"
                               "one 1\ntwo 2\nthree 3\nfour 4\nfive 5\nsix 6\nseven 7\neight 8\n"
                               "#SCRAPE 6000 http://b:2/\n"
                               "one 1\nbroken\ntwo 2\n"
                               "#SCRAPE broken\n"
                               "lost 1\n"
                               "#SCRAPE 7000 http://a:1/\n"
                               "three 3\nfour 4\nfive 5\nsix 6\nseven 7\neight 8\nnine 9\n";
    enum { BUFFER = 64, POSITIONS = 64 };
    struct reading reading;
    struct bytes whole;
    struct protocol_position positions[POSITIONS];
    size_t sizes[POSITIONS];
    size_t count = 0;
    size_t within = 0;
    bytes_init(&whole, 1 << 20);
    reading_begin(&reading, slice_of(body, sizeof body - 1), 7, BUFFER);
    read_rest(&reading, &whole, positions, sizes, &count);
    reading_end(&reading);
    assert_true(count > 5 && count <= POSITIONS);
    for (size_t i = 0; i < count; i++) {
        const struct protocol_position *at = &positions[i];
        if (!at->settled)
            continue;
        struct bytes document, rest;
        bytes_init(&document, sizeof body);
        bytes_init(&rest, 1 << 20);
        assert_int_equal(bytes_append(&document, body + at->context_start, at->context_size),
                         STATUS_OK);
        assert_int_equal(bytes_append(&document, body + at->offset, sizeof body - 1 - at->offset),
                         STATUS_OK);
        reading_begin(&reading, bytes_slice(&document), 5, BUFFER);
        recording_set_line(reading.recording, at->line - at->context_lines);
        read_rest(&reading, &rest, NULL, NULL, NULL);
        reading_end(&reading);
        /* Pieces may be cut elsewhere, but hold the same. */
        assert_int_equal(rest.size, whole.size - sizes[i]);
        within += at->context_size > 0;
        bytes_release(&document);
        bytes_release(&rest);
    }
    assert_true(within > 2);
    bytes_release(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_scrape_is_a_batch_with_its_time_and_target),
        cmocka_unit_test(equal_text_of_two_targets_differs_in_its_raw_bytes),
        cmocka_unit_test(labels_of_the_targets_names_are_exported),
        cmocka_unit_test(text_before_the_first_scrape_stands_as_it_is),
        cmocka_unit_test(a_broken_scrape_line_refuses_what_follows_it),
        cmocka_unit_test(small_buffers_and_short_reads_change_nothing),
        cmocka_unit_test(a_line_longer_than_the_buffer_is_refused_alone),
        cmocka_unit_test(a_failing_source_is_reported),
        cmocka_unit_test(another_reader_goes_on_at_every_settled_position),
        cmocka_unit_test(a_full_arena_is_a_limit),
        cmocka_unit_test(a_job_that_is_no_label_value_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

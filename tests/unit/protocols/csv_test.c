#include "exposition_helper.h"

#include "base/times.h"
#include "model/value.h"

static struct parsed *parse_csv_with(struct parsed *parsed, struct slice body,
                                     const struct csv_options *options)
{
    memset(parsed, 0, sizeof *parsed);
    arena_init(&parsed->arena, TEST_ARENA_MAX);
    batch_init(&parsed->batch, &parsed->arena, protocols_csv_decode_labels, PROTOCOL_TAG_CSV);
    parsed->status = protocols_csv_parse(body, options, &parsed->batch, &parsed->err);
    return parsed;
}

static struct parsed *parse_csv(struct parsed *parsed, const char *body)
{
    struct csv_options options = {.now_ms = TEST_NOW_MS};
    return parse_csv_with(parsed, slice_from_text(body), &options);
}

static struct parsed *parse_mapped(struct parsed *parsed, const char *format, const char *body)
{
    struct csv_options options = {.now_ms = TEST_NOW_MS, .format = slice_from_text(format)};
    return parse_csv_with(parsed, slice_from_text(body), &options);
}

static void a_header_names_the_columns_and_others_are_labels(void **state)
{
    (void)state;
    struct parsed parsed;
    parse_csv(&parsed, "timestamp,host,name,value\n5,h1,a,1.5\n6,,a,-0.0\n");
    assert_samples(&parsed, "{name=\"a\",host=\"h1\"} 1.5 5\n{name=\"a\"} -0.0 6\n");
    parsed_release(&parsed);
    parse_csv(&parsed,
              "__name__,labels,value\na,\"{\"\"b\"\":\"\"c\\u0020\"\"}\",1\nb,{},2\nc,,3\n");
    assert_samples(&parsed,
                   "{name=\"a\",b=\"c \"} 1 1000\n{name=\"b\"} 2 1000\n{name=\"c\"} 3 1000\n");
    parsed_release(&parsed);
    parse_csv(&parsed, "");
    assert_samples(&parsed, "");
    parsed_release(&parsed);
    parse_csv(&parsed, "name,value\n");
    assert_samples(&parsed, "");
    parsed_release(&parsed);
}

static void quotes_line_ends_and_a_byte_order_mark_are_read_as_in_rfc_4180(void **state)
{
    (void)state;
    struct parsed parsed;
    parse_csv(&parsed,
              "\xef\xbb\xbf\"name\",value,\"l,\"\"x\"\r\n\r\n\"a\"\"b\r\nc,\",\"1\",\"d\ne\"\r\n"
              "\"f\",2,\"\"");
    assert_samples(&parsed, "{name=\"a\"b\r\nc,\",l,\"x=\"d\ne\"} 1 1000\n{name=\"f\"} 2 1000\n");
    assert_int_equal(parsed.batch.series[0].line, 3);
    assert_int_equal(parsed.batch.series[1].line, 6);
    parsed_release(&parsed);
}

static void a_mapping_says_what_columns_hold(void **state)
{
    (void)state;
    struct parsed parsed;
    parse_mapped(&parsed, "1:time:unix_s,3:metric:temp,4:metric:a:b,2:label:room",
                 "7,kitchen,1,\n8,attic,,2,more\n9,x,,\n");
    assert_samples(&parsed, "{name=\"temp\",room=\"kitchen\"} 1 7000\n"
                            "{name=\"a:b\",room=\"attic\"} 2 8000\n");
    parsed_release(&parsed);
    parse_mapped(&parsed, "when:time:rfc3339,room:label,t:metric,4:label:z",
                 "t,when,room,q,ignored\n1,1970-01-01T00:00:01Z,x,y,\n");
    assert_samples(&parsed, "{name=\"t\",room=\"x\",z=\"y\"} 1 1000\n");
    parsed_release(&parsed);
    struct csv_options options = {.format = slice_from_text("1:name,2:value,3:labels"),
                                  .header = CSV_HEADER_YES};
    parse_csv_with(&parsed, slice_from_text("x,y,z\na,1,{}\n"), &options);
    assert_samples(&parsed, "{name=\"a\"} 1 0\n");
    parsed_release(&parsed);
}

static void a_mapping_that_is_none_is_refused(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "1",
        "1:",
        ":value",
        "1:values",
        "0:name",
        "4097:name",
        "1:time:noon",
        "1:value:x",
        "1:label:",
        "1:metric",
        "1:name",
        "2:value",
        "1:name,1:value",
        "1:name,,2:value",
        "1:label:a",
        "1:metric:a,2:time,3:time",
        "1:name,2:value,3:value",
        "1:metric:a,2:name",
        "99999999999999999999999:name,1:value",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct parsed parsed;
        parse_mapped(&parsed, refused[i], "1,2,3\n");
        if (parsed.status != STATUS_INVALID)
            print_error("%s\n", refused[i]);
        assert_int_equal(parsed.status, STATUS_INVALID);
        assert_string_equal(parsed.err.code, "invalid_parameter");
        parsed_release(&parsed);
    }
    struct parsed parsed;
    struct csv_options options = {.format = slice_from_text("name:name,value:value"),
                                  .header = CSV_HEADER_NO};
    parse_csv_with(&parsed, slice_of(NULL, 0), &options);
    assert_int_equal(parsed.status, STATUS_INVALID);
    parsed_release(&parsed);
    options.format = slice_of(NULL, 0);
    parse_csv_with(&parsed, slice_of(NULL, 0), &options);
    assert_int_equal(parsed.status, STATUS_INVALID);
    parsed_release(&parsed);
}

static void a_header_that_does_not_say_where_values_are_refuses_the_document(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "a,b\n1,2\n",
        "name,host\na,b\n",
        "value\n1\n",
        "name,value,value\n",
        "name,metric,value\n",
        "name,value,\n",
        "name,value,time,timestamp\n",
        "name,value,\"x\n",
        "name,va\"lue\n",
        "name,value,\xff\n",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct parsed parsed;
        parse_csv(&parsed, refused[i]);
        if (parsed.status != STATUS_INVALID)
            print_error("%s\n", refused[i]);
        assert_int_equal(parsed.status, STATUS_INVALID);
        assert_string_equal(parsed.err.code, "csv_header_invalid");
        parsed_release(&parsed);
    }
    struct parsed parsed;
    parse_mapped(&parsed, "x:metric:y", "name,value\na,1\n");
    assert_int_equal(parsed.status, STATUS_INVALID);
    assert_string_equal(parsed.err.code, "csv_header_invalid");
    parsed_release(&parsed);
}

static void values_and_times_are_read_bit_for_bit(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint64_t bits;
    } values[] = {
        {"0.1", 0x3fb999999999999a},
        {"-0.0", 0x8000000000000000},
        {"5e-324", 1},
        {" 1 ", 0x3ff0000000000000},
        {"NaN", 0x7ff8000000000001},
        {"nan", 0x7ff8000000000001},
        {"Infinity", 0x7ff0000000000000},
        {"-inf", 0xfff0000000000000},
        {"+Inf", 0x7ff0000000000000},
        {"stale", 0x7ff0000000000002},
        {"nan:fff8000000000123", 0xfff8000000000123},
    };
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        char body[128];
        struct parsed parsed;
        snprintf(body, sizeof body, "name,value\na,%s\n", values[i].text);
        parse_csv(&parsed, body);
        assert_int_equal(parsed.batch.sample_count, 1);
        assert_int_equal(bits_of_double(parsed.batch.sample_values[0]), values[i].bits);
        parsed_release(&parsed);
    }
    static const struct {
        const char *format;
        const char *text;
        int64_t time_ms;
    } times[] = {
        {"1:metric:a,2:time", "-5", -5},
        {"1:metric:a,2:time", "1.795305600e9", 1795305600},
        {"1:metric:a,2:time", "2026-11-22T00:00:00.5Z", 1795305600500},
        {"1:metric:a,2:time", "2026-11-22 01:00:00+01", 1795305600000},
        {"1:metric:a,2:time", "2026-11-22 00:00:00.25-00", 1795305600250},
        {"1:metric:a,2:time", "2026-11-22 05:30:00+05:30", 1795305600000},
        {"1:metric:a,2:time:unix_s", "1795305600", 1795305600000},
        {"1:metric:a,2:time:unix_us", "-1", -1},
        {"1:metric:a,2:time:unix_ns", "1999999", 1},
        {"1:metric:a,2:time:rfc3339", " 1970-01-01T00:00:00Z", 0},
    };
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        char body[128];
        struct parsed parsed;
        snprintf(body, sizeof body, "1,%s\n", times[i].text);
        parse_mapped(&parsed, times[i].format, body);
        if (parsed.batch.sample_count != 1)
            print_error("%s\n", times[i].text);
        assert_int_equal(parsed.batch.sample_count, 1);
        assert_int_equal(parsed.batch.sample_times[0], times[i].time_ms);
        parsed_release(&parsed);
    }
}

static void the_precision_counts_for_times_without_a_unit(void **state)
{
    (void)state;
    struct parsed parsed;
    struct csv_options options = {.precision = TIME_PRECISION_SECONDS};
    parse_csv_with(&parsed, slice_from_text("name,value,time\na,1,2\n"), &options);
    assert_samples(&parsed, "{name=\"a\"} 1 2000\n");
    parsed_release(&parsed);
}

static void a_wrong_line_is_refused_alone_with_its_number_and_reason(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *code;
        const char *message;
    } cases[] = {
        {"a,1", "csv_syntax", "the line has 2 cells, and 5 are expected"},
        {"a,1,2,,,", "csv_syntax", "the line has 6 cells, and 5 are expected"},
        {"a,1,2,x\"y,", "csv_syntax",
         "byte 8: a quote inside of a cell without quotes; put the cell into quotes and write the "
         "quote twice"},
        {"\"a\"b,1,2,,", "csv_syntax",
         "byte 4: a comma or the end of the line is expected after the closing quote; a quote "
         "inside of quotes is written twice"},
        {",1,2,,", "metric_name_missing", "column 1: the cell of the metric's name is empty"},
        {"a,,2,,", "value_missing", "column 2: the cell of the value is empty"},
        {"a,x,2,,", "value_invalid",
         "column 2: the value is neither a number nor one of NaN, +Inf, -Inf, stale and nan: with "
         "the 16 hexadecimal digits of a NaN"},
        {"a,1e999,2,,", "value_out_of_range",
         "column 2: the value is beyond the largest double (1.8e308); infinity is +Inf or -Inf"},
        {"a,1,,,", "timestamp_invalid",
         "column 3: the time is neither a whole number nor like 2026-11-22T10:00:00Z or 2026-11-22 "
         "10:00:00+00, with Z or an offset"},
        {"a,1,2026-11-22 10:00:00,,", "timestamp_invalid",
         "column 3: the time is neither a whole number nor like 2026-11-22T10:00:00Z or 2026-11-22 "
         "10:00:00+00, with Z or an offset"},
        {"a,1,9223372036855,,", "timestamp_out_of_range",
         "column 3: the time is outside the years 1678 to 2262 that can be stored"},
        {"a,1,99999999999999999999,,", "timestamp_out_of_range",
         "column 3: the time is outside the years 1678 to 2262 that can be stored"},
        {"a,1,2,[],", "label_invalid",
         "column 4: not a JSON object of strings such as {\"region\":\"eu\"}"},
        {"a,1,2,\"{\"\"b\"\":1}\",", "label_invalid",
         "column 4: not a JSON object of strings such as {\"region\":\"eu\"}"},
        {"a,1,2,\"{\"\"b\"\":\"\"c\"\",}\",", "label_invalid",
         "column 4: not a JSON object of strings such as {\"region\":\"eu\"}"},
        {"a,1,2,{}x,", "label_invalid",
         "column 4: not a JSON object of strings such as {\"region\":\"eu\"}"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[256];
        struct parsed parsed;
        snprintf(body, sizeof body, "name,value,time,labels,l\nb,1,2,,\"x\ny\"\n%s\nc,2,3,,\n",
                 cases[i].line);
        parse_csv(&parsed, body);
        assert_samples(&parsed, "{name=\"b\",l=\"x\ny\"} 1 2\n{name=\"c\"} 2 3\n");
        assert_int_equal(parsed.batch.rejected, 1);
        assert_string_equal(parsed.batch.rejections[0].code, cases[i].code);
        assert_slice_text(parsed.batch.rejections[0].message, cases[i].message);
        assert_int_equal(parsed.batch.rejections[0].line, 4);
        assert_int_equal(parsed.batch.rejections[0].index, 1);
        assert_int_equal(parsed.batch.series[1].line, 5);
        assert_int_equal(parsed.batch.series[1].index, 2);
        parsed_release(&parsed);
    }
}

static void the_place_of_a_fault_of_quotes_is_its_byte_of_its_own_line(void **state)
{
    (void)state;
    static const struct {
        const char *line;
        const char *place;
    } cases[] = {
        {"\"a,1\n", "byte 1: the cell that begins here"},
        {"a,\"1\n", "byte 3: the cell that begins here"},
        {"\"b\"\"c\",\"1\n", "byte 8: the cell that begins here"},
        {"\"b\"\"c\"x,1\n", "byte 7: a comma"},
        {"\"b\nde\"x,1\n", "on line 4, byte 4: a comma"},
        {"\"b\nde\",x\"y\n", "on line 4, byte 6: a quote inside"},
        {"\"b\n\nc\",\"d\ne\",\"\n", "on line 6, byte 4: the cell that begins here"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[256];
        struct parsed parsed;
        snprintf(body, sizeof body, "name,value\na,1\n%s", cases[i].line);
        parse_csv(&parsed, body);
        assert_true(parsed.batch.rejected >= 1);
        assert_int_equal(parsed.batch.rejections[0].line, 3);
        struct slice message = parsed.batch.rejections[0].message;
        message.size = strlen(cases[i].place);
        assert_slice_text(message, cases[i].place);
        parsed_release(&parsed);
    }
}

static void a_quote_that_is_never_closed_costs_its_line_alone(void **state)
{
    (void)state;
    struct parsed parsed;
    parse_csv(&parsed, "name,value\na,1\nb,\"2\nc,3\n");
    assert_samples(&parsed, "{name=\"a\"} 1 1000\n{name=\"c\"} 3 1000\n");
    assert_int_equal(parsed.batch.rejected, 1);
    assert_int_equal(parsed.batch.rejections[0].line, 3);
    assert_slice_text(parsed.batch.rejections[0].message,
                      "byte 3: the cell that begins here has no closing quote");
    parsed_release(&parsed);
    /* With another quote below, what is between them is what the sender wrote. */
    parse_csv(&parsed, "name,value\na,\"1\nb,\"2\nc,3\n");
    assert_samples(&parsed, "{name=\"c\"} 3 1000\n");
    assert_int_equal(parsed.batch.rejected, 2);
    parsed_release(&parsed);
}

static void a_line_of_more_than_its_limit_is_refused_alone(void **state)
{
    (void)state;
    static const char head[] = "name,value\n\"";
    static const char tail[] = "\",1\nb,2\n";
    size_t size = sizeof head - 1 + CSV_RECORD_MAX_SIZE + sizeof tail - 1;
    uint8_t *body = malloc(size);
    assert_non_null(body);
    memset(body, 'x', size);
    memcpy(body, head, sizeof head - 1);
    memcpy(body + size - (sizeof tail - 1), tail, sizeof tail - 1);
    struct parsed parsed;
    struct csv_options options = {0};
    parse_csv_with(&parsed, slice_of(body, size), &options);
    assert_samples(&parsed, "{name=\"b\"} 2 0\n");
    assert_int_equal(parsed.batch.rejected, 1);
    assert_string_equal(parsed.batch.rejections[0].code, "sample_too_large");
    assert_int_equal(parsed.batch.rejections[0].line, 2);
    assert_int_equal(parsed.batch.series[0].line, 3);
    parsed_release(&parsed);
    free(body);
}

static void more_columns_than_a_series_may_have_labels_are_refused(void **state)
{
    (void)state;
    enum { COLUMNS = LABELS_MAX_COUNT + 1 };
    struct bytes body;
    bytes_init(&body, 1 << 20);
    assert_int_equal(bytes_append_text(&body, "name,value"), STATUS_OK);
    for (size_t i = 2; i < COLUMNS; i++)
        assert_int_equal(bytes_format(&body, ",l%zu", i), STATUS_OK);
    assert_int_equal(bytes_append_text(&body, "\n"), STATUS_OK);
    struct parsed parsed;
    struct csv_options options = {0};
    parse_csv_with(&parsed, bytes_slice(&body), &options);
    assert_int_equal(parsed.status, STATUS_INVALID);
    assert_string_equal(parsed.err.code, "csv_header_invalid");
    parsed_release(&parsed);
    bytes_release(&body);
}

static void a_full_arena_is_a_limit(void **state)
{
    (void)state;
    struct parsed parsed;
    memset(&parsed, 0, sizeof parsed);
    arena_init(&parsed.arena, 1);
    batch_init(&parsed.batch, &parsed.arena, protocols_csv_decode_labels, PROTOCOL_TAG_CSV);
    struct csv_options options = {0};
    assert_int_equal(protocols_csv_parse(slice_from_text("name,value\na,1\n"), &options,
                                         &parsed.batch, &parsed.err),
                     STATUS_LIMIT);
    parsed_release(&parsed);
}

/* Samples with their lines, read in pieces of `step` bytes; positions behind them where asked. */
static void read_pieces(struct slice body, uint64_t first_line, size_t step, struct bytes *to,
                        struct protocol_position *positions, size_t *sizes, size_t *count)
{
    struct csv_parser *parser;
    struct csv_options options = {0};
    assert_int_equal(csv_parser_new(&parser, &options, NULL), STATUS_OK);
    csv_parser_set_line(parser, first_line);
    for (size_t have = 0; body.size > 0;) {
        struct parsed parsed = {0};
        size_t taken = 0;
        have = body.size - have > step ? have + step : body.size;
        arena_init(&parsed.arena, TEST_ARENA_MAX);
        batch_init(&parsed.batch, &parsed.arena, protocols_csv_decode_labels, PROTOCOL_TAG_CSV);
        assert_int_equal(csv_parser_take(parser, slice_of(body.data, have), have == body.size,
                                         &parsed.batch, &taken, NULL),
                         STATUS_OK);
        for (size_t i = 0; i < parsed.batch.sample_count; i++)
            assert_int_equal(bytes_format(to, "%u ", parsed.batch.series[i].line), STATUS_OK);
        for (size_t i = 0; i < parsed.batch.rejection_count; i++)
            assert_int_equal(bytes_format(to, "bad %u ", parsed.batch.rejections[i].line),
                             STATUS_OK);
        assert_int_equal(bytes_append_text(to, samples_shown(&parsed.batch)), STATUS_OK);
        parsed_release(&parsed);
        body = slice_from(body, taken);
        have -= taken;
        if (taken > 0 && count != NULL) {
            csv_parser_position(parser, &positions[*count]);
            sizes[(*count)++] = to->size;
        }
    }
    csv_parser_free(parser);
}

static void another_reader_goes_on_at_every_settled_position(void **state)
{
    (void)state;
    static const char body[] = "\xef\xbb\xbf\r\n\"name\",l,value,\"x\ny\"\r\n"
                               "a,\"1\n2\",1,\n\nb,,x,\nc,\"\"\"\",3,z\r\nd,\"e\"f,4,\n"
                               "\xef\xbb\xbfg,,5,\nh,,6,\n";
    enum { POSITIONS = 64 };
    struct protocol_position positions[POSITIONS];
    size_t sizes[POSITIONS];
    size_t count = 0;
    size_t settled = 0;
    struct bytes whole;
    bytes_init(&whole, 1 << 20);
    read_pieces(slice_of(body, sizeof body - 1), 1, 1, &whole, positions, sizes, &count);
    assert_true(count > 8 && count <= POSITIONS);
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
        read_pieces(bytes_slice(&document), at->line - at->context_lines, 1, &rest, NULL, NULL,
                    NULL);
        assert_true(slice_equal(bytes_slice(&rest), slice_from(bytes_slice(&whole), sizes[i])));
        settled++;
        bytes_release(&document);
        bytes_release(&rest);
    }
    assert_true(settled > 6);
    bytes_release(&whole);
}

static void the_header_of_a_document_that_goes_on_is_as_long_as_it_was(void **state)
{
    (void)state;
    static const char body[] = "name,value\na,1\n";
    struct csv_options options = {0};
    struct csv_parser *parser;
    struct protocol_position position;
    size_t taken;
    struct parsed parsed = {0};
    arena_init(&parsed.arena, TEST_ARENA_MAX);
    batch_init(&parsed.batch, &parsed.arena, protocols_csv_decode_labels, PROTOCOL_TAG_CSV);
    assert_int_equal(csv_parser_new(&parser, &options, NULL), STATUS_OK);
    csv_parser_set_line(parser, 1000);
    assert_int_equal(
        csv_parser_take(parser, slice_of(body, sizeof body - 1), true, &parsed.batch, &taken, NULL),
        STATUS_OK);
    csv_parser_position(parser, &position);
    assert_int_equal(position.context_lines, 1);
    assert_int_equal(position.context_size, 11);
    assert_int_equal(position.line, 1002);
    csv_parser_free(parser);
    parsed_release(&parsed);
}

/* ---- writing ----------------------------------------------------------------------------- */

static void put_series(struct bytes *to, const struct labels *labels, const int64_t *times,
                       const double *values, size_t count)
{
    struct csv_writer writer;
    csv_writer_init(&writer);
    assert_int_equal(csv_writer_series(&writer, labels), STATUS_OK);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(csv_writer_sample(&writer, to, times[i], values[i]), STATUS_OK);
    csv_writer_release(&writer);
}

static void the_writer_quotes_what_needs_it(void **state)
{
    (void)state;
    struct bytes text;
    bytes_init(&text, 1 << 16);
    struct label items[] = {{slice_from_text(METRIC_NAME_LABEL), slice_from_text("a \"b\"")},
                            {slice_from_text("c"), slice_from_text("d\"e,\n")}};
    struct labels labels = {items, 2};
    assert_int_equal(csv_writer_header(&text), STATUS_OK);
    put_series(&text, &labels, (const int64_t[]){5}, (const double[]){-0.0}, 1);
    items[0].value = slice_from_text("plain:name");
    labels.count = 1;
    put_series(&text, &labels, (const int64_t[]){-6, 7},
               (const double[]){__builtin_inf(), double_of_bits(VALUE_STALE_BITS)}, 2);
    assert_slice_text(bytes_slice(&text),
                      "name,labels,value,timestamp\n"
                      "\"a \"\"b\"\"\",\"{\"\"c\"\":\"\"d\\\"\"e,\\u000a\"\"}\","
                      "-0.0,5\n"
                      "plain:name,{},+Inf,-6\n"
                      "plain:name,{},stale,7\n");
    bytes_release(&text);
}

static void what_was_written_is_read_back_bit_for_bit(void **state)
{
    (void)state;
    uint64_t seed = 20261123;
    for (size_t round = 0; round < 300; round++) {
        struct arena arena;
        struct bytes text;
        arena_init(&arena, TEST_ARENA_MAX);
        bytes_init(&text, 1 << 20);
        struct labels labels = random_labels(&arena, &seed, random_text(&arena, &seed, 8));
        enum { SAMPLES = 5 };
        int64_t times[SAMPLES];
        double values[SAMPLES];
        for (size_t i = 0; i < SAMPLES; i++) {
            times[i] = (int64_t)(test_random(&seed) % (uint64_t)TIME_MAX_MS);
            values[i] = random_value(&seed);
        }
        assert_int_equal(csv_writer_header(&text), STATUS_OK);
        put_series(&text, &labels, times, values, SAMPLES);
        struct parsed parsed;
        struct csv_options options = {0};
        parse_csv_with(&parsed, bytes_slice(&text), &options);
        assert_int_equal(parsed.status, STATUS_OK);
        assert_int_equal(parsed.batch.rejected, 0);
        assert_int_equal(parsed.batch.sample_count, SAMPLES);
        for (size_t i = 0; i < SAMPLES; i++) {
            struct labels got;
            assert_int_equal(
                series_labels(&parsed.batch, parsed.batch.sample_series[i], &got, NULL), STATUS_OK);
            assert_int_equal(labels_compare(&got, &labels), 0);
            assert_int_equal(parsed.batch.sample_times[i], times[i]);
            assert_int_equal(bits_of_double(parsed.batch.sample_values[i]),
                             bits_of_double(values[i]));
        }
        parsed_release(&parsed);
        bytes_release(&text);
        arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_names_the_columns_and_others_are_labels),
        cmocka_unit_test(quotes_line_ends_and_a_byte_order_mark_are_read_as_in_rfc_4180),
        cmocka_unit_test(a_mapping_says_what_columns_hold),
        cmocka_unit_test(a_mapping_that_is_none_is_refused),
        cmocka_unit_test(a_header_that_does_not_say_where_values_are_refuses_the_document),
        cmocka_unit_test(values_and_times_are_read_bit_for_bit),
        cmocka_unit_test(the_precision_counts_for_times_without_a_unit),
        cmocka_unit_test(a_wrong_line_is_refused_alone_with_its_number_and_reason),
        cmocka_unit_test(the_place_of_a_fault_of_quotes_is_its_byte_of_its_own_line),
        cmocka_unit_test(a_quote_that_is_never_closed_costs_its_line_alone),
        cmocka_unit_test(a_line_of_more_than_its_limit_is_refused_alone),
        cmocka_unit_test(more_columns_than_a_series_may_have_labels_are_refused),
        cmocka_unit_test(a_full_arena_is_a_limit),
        cmocka_unit_test(another_reader_goes_on_at_every_settled_position),
        cmocka_unit_test(the_header_of_a_document_that_goes_on_is_as_long_as_it_was),
        cmocka_unit_test(the_writer_quotes_what_needs_it),
        cmocka_unit_test(what_was_written_is_read_back_bit_for_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "exposition_helper.h"

#include "model/value.h"

static struct slice write_line(struct ndjson_writer *writer, struct bytes *to,
                               const struct labels *labels, int64_t time_ms, double value)
{
    bytes_clear(to);
    assert_int_equal(ndjson_writer_series(writer, labels), STATUS_OK);
    assert_int_equal(ndjson_writer_sample(writer, to, time_ms, value), STATUS_OK);
    return bytes_slice(to);
}

static void a_line_is_a_sample_as_json(void **state)
{
    (void)state;
    struct ndjson_writer writer;
    struct bytes to;
    ndjson_writer_init(&writer);
    bytes_init(&to, 1 << 20);
    struct label items[] = {
        {slice_from_text("A"), slice_from_text("first")},
        {slice_from_text(METRIC_NAME_LABEL), slice_from_text("http_requests_total")},
        {slice_from_text("method"), slice_from_text("G\"E\\T\n\t\x01\x7f☃")},
    };
    assert_slice_text(write_line(&writer, &to, &(struct labels){items, 3}, 1795305600000, 1027),
                      "{\"name\":\"http_requests_total\",\"labels\":{\"A\":\"first\",\"method\":"
                      "\"G\\\"E\\\\T\\u000a\\u0009\\u0001\x7f☃\"},\"value\":1027,"
                      "\"timestamp\":1795305600000}\n");
    struct label name = {slice_from_text(METRIC_NAME_LABEL), slice_of("a\0b", 3)};
    assert_slice_text(write_line(&writer, &to, &(struct labels){&name, 1}, -1, 1.5),
                      "{\"name\":\"a\\u0000b\",\"labels\":{},\"value\":1.5,\"timestamp\":-1}\n");
    ndjson_writer_release(&writer);
    bytes_release(&to);
}

static void values_are_numbers_or_words(void **state)
{
    (void)state;
    static const struct {
        uint64_t bits;
        const char *text;
    } cases[] = {
        {0, "0"},
        {UINT64_C(0x8000000000000000), "-0.0"},
        {UINT64_C(0x3fb999999999999a), "0.1"},
        {UINT64_C(0x444b1ae4d6e2ef50), "1e+21"},
        {1, "5e-324"},
        {UINT64_C(0xffefffffffffffff), "-1.7976931348623157e+308"},
        {UINT64_C(0x7ff0000000000000), "\"+Inf\""},
        {UINT64_C(0xfff0000000000000), "\"-Inf\""},
        {VALUE_NORMAL_NAN_BITS, "\"NaN\""},
        {VALUE_STALE_BITS, "\"stale\""},
        {UINT64_C(0x7ff8000000000000), "\"nan:7ff8000000000000\""},
        {UINT64_C(0xfff8000000000001), "\"nan:fff8000000000001\""},
        {UINT64_C(0x7ff0000000000001), "\"nan:7ff0000000000001\""},
        {UINT64_C(0xffffffffffffffff), "\"nan:ffffffffffffffff\""},
    };
    struct ndjson_writer writer;
    struct bytes to;
    ndjson_writer_init(&writer);
    bytes_init(&to, 1 << 20);
    struct label name = {slice_from_text(METRIC_NAME_LABEL), slice_from_text("a")};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char want[128];
        snprintf(want, sizeof want, "{\"name\":\"a\",\"labels\":{},\"value\":%s,\"timestamp\":0}\n",
                 cases[i].text);
        assert_slice_text(
            write_line(&writer, &to, &(struct labels){&name, 1}, 0, double_of_bits(cases[i].bits)),
            want);
    }
    ndjson_writer_release(&writer);
    bytes_release(&to);
}

/* ---- a reader of exactly what the writer may write ---------------------------------------------
 */

static const char *expect(const char *at, const char *text)
{
    assert_memory_equal(at, text, strlen(text));
    return at + strlen(text);
}

static const char *read_string(const char *at, struct slice *text, struct arena *arena)
{
    at = expect(at, "\"");
    uint8_t *to = arena_alloc(arena, strlen(at));
    size_t size = 0;
    for (; *at != '"'; at++) {
        assert_true((uint8_t)*at >= 0x20);
        uint8_t byte = (uint8_t)*at;
        if (byte == '\\') {
            at++;
            byte = (uint8_t)*at;
            if (byte == 'u') {
                char digits[5] = {at[1], at[2], at[3], at[4], 0};
                byte = (uint8_t)strtoul(digits, NULL, 16);
                assert_true(byte < 0x20);
                at += 4;
            } else {
                assert_true(byte == '"' || byte == '\\');
            }
        }
        to[size++] = byte;
    }
    *text = slice_of(to, size);
    return at + 1;
}

static const char *read_value(const char *at, double *value, struct arena *arena)
{
    if (*at != '"') {
        char *end;
        *value = strtod(at, &end);
        assert_true(end > at && *at != '+');
        return end;
    }
    struct slice word;
    at = read_string(at, &word, arena);
    if (slice_equal_text(word, "stale"))
        *value = double_of_bits(VALUE_STALE_BITS);
    else if (slice_equal_text(word, "NaN"))
        *value = double_of_bits(VALUE_NORMAL_NAN_BITS);
    else if (slice_equal_text(word, "+Inf"))
        *value = __builtin_inf();
    else if (slice_equal_text(word, "-Inf"))
        *value = -__builtin_inf();
    else {
        assert_int_equal(word.size, 20);
        assert_memory_equal(word.data, "nan:", 4);
        char digits[17] = {0};
        memcpy(digits, word.data + 4, 16);
        *value = double_of_bits(strtoull(digits, NULL, 16));
    }
    return at;
}

static void random_samples_are_read_back_bit_for_bit(void **state)
{
    (void)state;
    uint64_t random = 815;
    struct ndjson_writer writer;
    struct bytes to;
    ndjson_writer_init(&writer);
    bytes_init(&to, 1 << 20);
    for (int round = 0; round < 5000; round++) {
        struct arena arena;
        arena_init(&arena, 1 << 20);
        struct slice name = random_text(&arena, &random, 8);
        struct labels labels = random_labels(&arena, &random, name);
        int64_t time = (int64_t)test_random(&random);
        double value = random_value(&random);
        write_line(&writer, &to, &labels, time, value);
        assert_int_equal(bytes_append(&to, "", 1), STATUS_OK);

        struct slice text;
        const char *at = expect((const char *)to.data, "{\"name\":");
        at = expect(read_string(at, &text, &arena), ",\"labels\":{");
        assert_true(slice_equal(text, name));
        size_t read = 0;
        for (size_t i = 0; i < labels.count; i++) {
            if (slice_equal_text(labels.items[i].name, METRIC_NAME_LABEL))
                continue;
            at = expect(at, read++ > 0 ? "," : "");
            at = expect(read_string(at, &text, &arena), ":");
            assert_true(slice_equal(text, labels.items[i].name));
            at = read_string(at, &text, &arena);
            assert_true(slice_equal(text, labels.items[i].value));
        }
        double again;
        at = expect(at, "},\"value\":");
        at = expect(read_value(at, &again, &arena), ",\"timestamp\":");
        assert_true(bits_of_double(again) == bits_of_double(value));
        char *end;
        assert_true(strtoll(at, &end, 10) == time);
        assert_string_equal(end, "}\n");
        arena_release(&arena);
    }
    ndjson_writer_release(&writer);
    bytes_release(&to);
}

static void a_full_target_is_a_limit_and_stays_whole(void **state)
{
    (void)state;
    struct ndjson_writer writer;
    struct bytes to;
    ndjson_writer_init(&writer);
    bytes_init(&to, 400);
    struct label name = {slice_from_text(METRIC_NAME_LABEL), slice_from_text("a")};
    assert_int_equal(ndjson_writer_series(&writer, &(struct labels){&name, 1}), STATUS_OK);
    size_t size = 0;
    enum status status;
    while ((status = ndjson_writer_sample(&writer, &to, 1, 1)) == STATUS_OK)
        size = to.size;
    assert_int_equal(status, STATUS_LIMIT);
    assert_int_equal(to.size, size);
    assert_int_equal(to.data[size - 1], '\n');
    ndjson_writer_release(&writer);
    bytes_release(&to);
}

/* A series as large as the store allows, each byte of which is escaped. */
static void the_largest_series_has_room(void **state)
{
    (void)state;
    static uint8_t controls[LABEL_VALUE_MAX_SIZE];
    memset(controls, 1, sizeof controls);
    enum { COUNT = LABELS_MAX_SIZE / LABEL_VALUE_MAX_SIZE };
    struct label items[COUNT];
    items[0] = (struct label){slice_from_text(METRIC_NAME_LABEL), slice_from_text("a")};
    char names[COUNT][8];
    for (size_t i = 1; i < COUNT; i++) {
        snprintf(names[i], sizeof names[i], "l%02zu", i);
        items[i] = (struct label){slice_from_text(names[i]), slice_of(controls, sizeof controls)};
    }
    struct labels labels = {items, COUNT};
    assert_int_equal(labels_canonicalise(&labels, NULL), STATUS_OK);
    struct ndjson_writer writer;
    ndjson_writer_init(&writer);
    assert_int_equal(ndjson_writer_series(&writer, &labels), STATUS_OK);
    ndjson_writer_release(&writer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_a_sample_as_json),
        cmocka_unit_test(values_are_numbers_or_words),
        cmocka_unit_test(random_samples_are_read_back_bit_for_bit),
        cmocka_unit_test(a_full_target_is_a_limit_and_stays_whole),
        cmocka_unit_test(the_largest_series_has_room),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

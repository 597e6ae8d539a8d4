#include "../test.h"

#include <snappy-c.h>

#include "base/bits.h"
#include "base/times.h"
#include "model/value.h"
#include "protocols/protocols.h"

enum { ARENA_MAX = 64 << 20, BODY_MAX = 64 << 20, MESSAGE_MAX = 4 << 20 };

static const struct protocol_limits limits = {
    .decoded_max_bytes = BODY_MAX,
    .json_max_depth = 32,
};

/* ---- a small protobuf encoder ---- */

static void put_varint(struct bytes *to, uint64_t value)
{
    uint8_t encoded[VARINT_MAX_SIZE];
    size_t size = (size_t)(varint_put(encoded, value) - encoded);
    assert_int_equal(bytes_append(to, encoded, size), STATUS_OK);
}

static void put_bytes(struct bytes *to, unsigned field, const void *data, size_t size)
{
    put_varint(to, field << 3 | 2);
    put_varint(to, size);
    assert_int_equal(bytes_append(to, data, size), STATUS_OK);
}

static void put_message(struct bytes *to, unsigned field, const struct bytes *message)
{
    put_bytes(to, field, message->data, message->size);
}

static void put_label(struct bytes *to, const char *name, const char *value)
{
    struct bytes label;
    bytes_init(&label, MESSAGE_MAX);
    put_bytes(&label, 1, name, strlen(name));
    put_bytes(&label, 2, value, strlen(value));
    put_message(to, 1, &label);
    bytes_release(&label);
}

static void put_sample(struct bytes *to, int64_t time_ms, double value)
{
    struct bytes sample;
    bytes_init(&sample, MESSAGE_MAX);
    uint64_t bits = bits_of_double(value);
    if (bits != 0) {
        put_varint(&sample, 1 << 3 | 1);
        assert_int_equal(bytes_append(&sample, &bits, sizeof bits), STATUS_OK);
    }
    put_varint(&sample, 2 << 3);
    put_varint(&sample, (uint64_t)time_ms);
    put_message(to, 2, &sample);
    bytes_release(&sample);
}

/* ---- one request ---- */

struct request {
    struct bytes message; /* the WriteRequest */
    struct bytes series;  /* the TimeSeries being built */
    struct bytes scratch;
    struct arena arena;
    struct batch batch;
    struct remote_write_counts counts;
    struct error err;
};

static void request_init(struct request *request)
{
    memset(request, 0, sizeof *request);
    bytes_init(&request->message, BODY_MAX);
    bytes_init(&request->series, BODY_MAX);
    bytes_init(&request->scratch, BODY_MAX);
    arena_init(&request->arena, ARENA_MAX);
}

static void request_release(struct request *request)
{
    bytes_release(&request->message);
    bytes_release(&request->series);
    bytes_release(&request->scratch);
    arena_release(&request->arena);
}

static void series_end(struct request *request)
{
    put_message(&request->message, 1, &request->series);
    bytes_clear(&request->series);
}

static enum status body_parse(struct request *request, struct slice body)
{
    return protocols_remote_write_parse(body, &limits, &request->scratch, &request->arena,
                                        &request->batch, &request->counts, &request->err);
}

static enum status message_parse(struct request *request, struct slice message)
{
    size_t size = snappy_max_compressed_length(message.size);
    char *body = malloc(size);
    assert_non_null(body);
    assert_int_equal(snappy_compress(message.size > 0 ? (const char *)message.data : "",
                                     message.size, body, &size),
                     SNAPPY_OK);
    enum status status = body_parse(request, slice_of(body, size));
    free(body);
    return status;
}

static enum status request_parse(struct request *request)
{
    return message_parse(request, bytes_slice(&request->message));
}

static void assert_label(const struct request *request, size_t series, const char *name,
                         const char *value)
{
    struct arena arena;
    struct labels labels;
    arena_init(&arena, ARENA_MAX);
    assert_int_equal(
        request->batch.decode_labels(request->batch.series[series].raw, &arena, &labels, NULL),
        STATUS_OK);
    assert_int_equal(labels_canonicalise(&labels, NULL), STATUS_OK);
    struct slice found = labels_get(&labels, slice_from_text(name));
    assert_int_equal(found.size, strlen(value));
    assert_memory_equal(found.data, value, found.size);
    arena_release(&arena);
}

static void assert_refused(struct request *request, const char *code, const char *words)
{
    assert_int_equal(request_parse(request), STATUS_INVALID);
    assert_string_equal(request->err.code, code);
    if (strstr(request->err.message, words) == NULL)
        test_fail("\"%s\" does not say \"%s\"", request->err.message, words);
}

/* ---- what is kept ---- */

static void a_request_with_every_part_is_read(void **state)
{
    (void)state;
    struct request request;
    request_init(&request);
    put_label(&request.series, "__name__", "up");
    put_label(&request.series, "job", "node");
    put_sample(&request.series, 1795305600000, 1);
    put_sample(&request.series, 1795305615000, 0);
    put_bytes(&request.series, 3, "exemplar", 8);
    series_end(&request);
    put_label(&request.series, "__name__", "down");
    put_sample(&request.series, -5, 2.5);
    series_end(&request);
    struct bytes metadata;
    bytes_init(&metadata, MESSAGE_MAX);
    put_varint(&metadata, 1 << 3);
    put_varint(&metadata, 4);
    put_bytes(&metadata, 2, "latency", 7);
    put_bytes(&metadata, 4, "how long", 8);
    put_bytes(&metadata, 5, "seconds", 7);
    put_message(&request.message, 3, &metadata);
    assert_int_equal(request_parse(&request), STATUS_OK);

    assert_int_equal(request.batch.series_count, 2);
    assert_int_equal(request.batch.sample_count, 3);
    assert_int_equal(request.batch.rejected, 0);
    assert_label(&request, 0, "__name__", "up");
    assert_label(&request, 0, "job", "node");
    assert_label(&request, 1, "__name__", "down");
    assert_int_equal(request.batch.sample_series[1], 0);
    assert_int_equal(request.batch.sample_times[1], 1795305615000);
    assert_true(request.batch.sample_values[1] == 0);
    assert_int_equal(request.batch.sample_series[2], 1);
    assert_int_equal(request.batch.sample_times[2], -5);
    assert_int_equal(request.batch.series[1].index, 2);
    assert_int_equal(request.batch.metric_count, 1);
    assert_int_equal(request.batch.metrics[0].type, METRIC_GAUGEHISTOGRAM);
    assert_true(slice_equal_text(request.batch.metrics[0].name, "latency"));
    assert_true(slice_equal_text(request.batch.metrics[0].help, "how long"));
    assert_true(slice_equal_text(request.batch.metrics[0].unit, "seconds"));
    assert_int_equal(request.counts.series, 2);
    assert_int_equal(request.counts.samples, 3);
    assert_int_equal(request.counts.exemplars, 1);
    assert_int_equal(request.counts.metadata, 1);
    bytes_release(&metadata);
    request_release(&request);
}

static void an_empty_request_holds_nothing(void **state)
{
    (void)state;
    struct request request;
    request_init(&request);
    assert_int_equal(request_parse(&request), STATUS_OK);
    assert_int_equal(request.batch.sample_count, 0);
    request_release(&request);
}

/* splitmix64 (Steele, Lea, Flood 2014). */
static uint64_t random_next(uint64_t *state)
{
    uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static double random_value(uint64_t *state)
{
    static const uint64_t special[] = {
        VALUE_STALE_BITS,
        VALUE_NORMAL_NAN_BITS,
        UINT64_C(0xfff8dead0000beef),
        UINT64_C(0x8000000000000000),
        UINT64_C(0x7ff0000000000000),
        UINT64_C(0xfff0000000000000),
        1,
        UINT64_C(0x000fffffffffffff),
        0,
    };
    uint64_t draw = random_next(state);
    if (draw % 3 == 0)
        return double_of_bits(special[draw / 3 % (sizeof special / sizeof special[0])]);
    return double_of_bits(random_next(state));
}

static int64_t random_time(uint64_t *state)
{
    static const int64_t special[] = {TIME_MIN_MS, TIME_MAX_MS - 1, 0, -1, 1};
    uint64_t draw = random_next(state);
    if (draw % 4 == 0)
        return special[draw / 4 % (sizeof special / sizeof special[0])];
    return TIME_MIN_MS + (int64_t)(random_next(state) % (uint64_t)(TIME_MAX_MS - TIME_MIN_MS));
}

enum { ROUNDS = 200, SERIES_MAX = 40, SAMPLES_MAX = 12 };

static void random_requests_come_back_bit_for_bit(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= ROUNDS; seed++) {
        struct request request;
        request_init(&request);
        uint64_t random = seed;
        size_t count = 0;
        static int64_t times[SERIES_MAX * SAMPLES_MAX];
        static uint64_t values[SERIES_MAX * SAMPLES_MAX];
        static uint32_t owners[SERIES_MAX * SAMPLES_MAX];
        uint32_t series = (uint32_t)(random_next(&random) % SERIES_MAX);
        for (uint32_t i = 0; i < series; i++) {
            char name[256];
            memset(name, 'x', sizeof name);
            size_t size = 1 + random_next(&random) % (sizeof name - 1);
            name[size] = 0;
            name[0] = (char)('a' + i % 26);
            put_label(&request.series, "__name__", name);
            if (random_next(&random) % 2)
                put_label(&request.series, "job", "");
            size_t samples = 1 + random_next(&random) % (SAMPLES_MAX - 1);
            for (size_t j = 0; j < samples; j++, count++) {
                owners[count] = i;
                times[count] = random_time(&random);
                double value = random_value(&random);
                values[count] = bits_of_double(value);
                put_sample(&request.series, times[count], value);
            }
            series_end(&request);
        }
        assert_int_equal(request_parse(&request), STATUS_OK);
        assert_int_equal(request.batch.series_count, series);
        assert_int_equal(request.batch.sample_count, count);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(request.batch.sample_series[i], owners[i]);
            assert_int_equal(request.batch.sample_times[i], times[i]);
            assert_true(bits_of_double(request.batch.sample_values[i]) == values[i]);
        }
        request_release(&request);
    }
}

/* ---- proto3 as others may write it ---- */

static void labels_scattered_among_samples_are_put_together(void **state)
{
    (void)state;
    struct request request;
    request_init(&request);
    put_label(&request.series, "__name__", "up");
    put_sample(&request.series, 1, 1);
    put_label(&request.series, "job", "node");
    put_sample(&request.series, 2, 2);
    put_label(&request.series, "zone", "a");
    series_end(&request);
    put_sample(&request.series, 3, 3);
    put_label(&request.series, "__name__", "late");
    series_end(&request);
    assert_int_equal(request_parse(&request), STATUS_OK);
    assert_int_equal(request.batch.series_count, 2);
    assert_int_equal(request.batch.sample_count, 3);
    assert_label(&request, 0, "__name__", "up");
    assert_label(&request, 0, "job", "node");
    assert_label(&request, 0, "zone", "a");
    assert_label(&request, 1, "__name__", "late");
    request_release(&request);
}

static void the_last_of_a_repeated_scalar_wins_and_a_missing_one_is_zero(void **state)
{
    (void)state;
    struct request request;
    request_init(&request);
    struct bytes inner;
    bytes_init(&inner, MESSAGE_MAX);
    put_bytes(&inner, 1, "ignored", 7);
    put_bytes(&inner, 2, "up", 2);
    put_bytes(&inner, 1, "__name__", 8);
    put_message(&request.series, 1, &inner);
    bytes_clear(&inner);
    for (uint64_t time = 7; time <= 8; time++) {
        put_varint(&inner, 2 << 3);
        put_varint(&inner, time);
    }
    put_message(&request.series, 2, &inner);
    bytes_clear(&inner);
    put_message(&request.series, 2, &inner);
    series_end(&request);
    assert_int_equal(request_parse(&request), STATUS_OK);
    assert_label(&request, 0, "__name__", "up");
    assert_int_equal(request.batch.sample_count, 2);
    assert_int_equal(request.batch.sample_times[0], 8);
    assert_int_equal(request.batch.sample_times[1], 0);
    assert_true(bits_of_double(request.batch.sample_values[1]) == 0);
    bytes_release(&inner);
    request_release(&request);
}

static void unknown_fields_and_long_tags_are_read_over(void **state)
{
    (void)state;
    struct request request;
    request_init(&request);
    struct bytes inner;
    bytes_init(&inner, MESSAGE_MAX);
    put_bytes(&inner, 1, "__name__", 8);
    put_bytes(&inner, 9, "unknown", 7);
    put_bytes(&inner, 2, "up", 2);
    /* Field 1 with its tag in two bytes where one would do. */
    assert_int_equal(bytes_append(&request.series, "\x8a\x00", 2), STATUS_OK);
    put_varint(&request.series, inner.size);
    assert_int_equal(bytes_append(&request.series, inner.data, inner.size), STATUS_OK);
    put_label(&request.series, "job", "node");
    put_varint(&request.series, 100 << 3 | 5);
    assert_int_equal(bytes_append(&request.series, "1234", 4), STATUS_OK);
    put_sample(&request.series, 1, 1);
    series_end(&request);
    put_varint(&request.message, 77 << 3 | 1);
    assert_int_equal(bytes_append(&request.message, "12345678", 8), STATUS_OK);
    assert_int_equal(request_parse(&request), STATUS_OK);
    assert_int_equal(request.batch.sample_count, 1);
    assert_label(&request, 0, "__name__", "up");
    assert_label(&request, 0, "job", "node");
    bytes_release(&inner);
    request_release(&request);
}

/* ---- what is refused in part ---- */

static void native_histograms_are_refused_by_name_and_the_rest_is_kept(void **state)
{
    (void)state;
    struct request request;
    request_init(&request);
    put_label(&request.series, "__name__", "latency");
    put_bytes(&request.series, 4, "h1", 2);
    put_bytes(&request.series, 4, "h2", 2);
    series_end(&request);
    put_label(&request.series, "__name__", "up");
    put_sample(&request.series, 1, 1);
    series_end(&request);
    assert_int_equal(request_parse(&request), STATUS_OK);
    assert_int_equal(request.batch.sample_count, 1);
    assert_int_equal(request.batch.series[0].index, 2);
    assert_int_equal(request.counts.histograms, 2);
    assert_int_equal(request.batch.rejected, 2);
    assert_int_equal(request.batch.rejection_count, 1);
    assert_string_equal(request.batch.rejections[0].code, "native_histogram_unsupported");
    assert_true(slice_equal_text(request.batch.rejections[0].metric, "latency"));
    request_release(&request);
}

static void times_outside_1678_to_2262_are_refused_and_the_rest_is_kept(void **state)
{
    (void)state;
    struct request request;
    request_init(&request);
    put_label(&request.series, "__name__", "up");
    put_sample(&request.series, TIME_MAX_MS - 1, 1);
    put_sample(&request.series, TIME_MAX_MS, 2);
    put_sample(&request.series, INT64_MIN, 3);
    put_sample(&request.series, TIME_MIN_MS, 4);
    series_end(&request);
    assert_int_equal(request_parse(&request), STATUS_OK);
    assert_int_equal(request.batch.sample_count, 2);
    assert_int_equal(request.batch.rejected, 2);
    assert_int_equal(request.batch.rejections[0].index, 1);
    assert_string_equal(request.batch.rejections[0].code, "timestamp_out_of_range");
    request_release(&request);
}

static void a_nul_byte_in_a_label_is_refused_when_it_is_decoded(void **state)
{
    (void)state;
    static const struct {
        const char *name, *value;
        size_t name_size, value_size;
    } cases[] = {{"a\0b", "v", 3, 1}, {"a", "v\0", 1, 2}, {"__name__", "\0", 8, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct request request;
        struct labels labels;
        struct bytes label;
        request_init(&request);
        bytes_init(&label, MESSAGE_MAX);
        put_bytes(&label, 1, cases[i].name, cases[i].name_size);
        put_bytes(&label, 2, cases[i].value, cases[i].value_size);
        put_message(&request.series, 1, &label);
        put_sample(&request.series, 1, 1);
        series_end(&request);
        assert_int_equal(request_parse(&request), STATUS_OK);
        assert_int_equal(request.batch.decode_labels(request.batch.series[0].raw, &request.arena,
                                                     &labels, &request.err),
                         STATUS_OK);
        assert_int_equal(labels_canonicalise(&labels, &request.err), STATUS_INVALID);
        assert_string_equal(request.err.code, "label_invalid");
        assert_non_null(strstr(request.err.message, "NUL byte"));
        bytes_release(&label);
        request_release(&request);
    }
}

static void metadata_that_cannot_be_registered_is_a_warning(void **state)
{
    (void)state;
    struct request request;
    request_init(&request);
    struct bytes metadata;
    bytes_init(&metadata, MESSAGE_MAX);
    put_bytes(&metadata, 4, "no name", 7);
    put_message(&request.message, 3, &metadata);
    bytes_clear(&metadata);
    put_bytes(&metadata, 2, "bad\xff", 4);
    put_message(&request.message, 3, &metadata);
    bytes_clear(&metadata);
    put_bytes(&metadata, 2, "x", 1);
    put_bytes(&metadata, 4, "nul\0", 4);
    put_message(&request.message, 3, &metadata);
    assert_int_equal(request_parse(&request), STATUS_OK);
    assert_int_equal(request.batch.metric_count, 0);
    assert_int_equal(request.batch.warning_count, 3);
    bytes_release(&metadata);
    request_release(&request);
}

/* ---- what is refused whole ---- */

static void wrong_wire_types_are_refused_with_their_offset(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t size;
        const char *words;
    } cases[] = {
        {"\x08\x01", 2, "byte 0 of"},                         /* timeseries as varint */
        {"\x0a\x02\x08\x01", 4, "byte 2 of"},                 /* labels as varint */
        {"\x0a\x04\x0a\x02\x08\x01", 6, "byte 4 of"},         /* a name as varint */
        {"\x0a\x04\x12\x02\x08\x01", 6, "byte 4 of"},         /* a value as varint */
        {"\x0a\x04\x12\x02\x12\x00", 6, "byte 4 of"},         /* a time as bytes */
        {"\x1a\x02\x10\x01", 4, "byte 2 of"},                 /* metadata's name as varint */
        {"\x0b\x0c", 2, "proto3 does not have"},              /* a group */
        {"\x0f\x00", 2, "proto3 does not have"},              /* wire type 7 */
        {"\x02\x00", 2, "number"},                            /* field 0 */
        {"\x0a\x05\x0a\x09", 4, "longer than what holds it"}, /* beyond the body */
        {"\x0a\x04\x0a\x09"
         "aaaaaaaaaaaa",
         16, "longer than"}, /* beyond the parent */
        {"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12, "varint"},
        {"\x10\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11, "varint"}, /* over 64 bits */
        {"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "tag"},
        {"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 11, "longer"}, /* 2^64 - 1 */
        {"\x11\x01\x02", 3, "cut off"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct request request;
        request_init(&request);
        assert_int_equal(bytes_append(&request.message, cases[i].bytes, cases[i].size), STATUS_OK);
        assert_refused(&request, "protobuf_invalid", cases[i].words);
        request_release(&request);
    }
}

static void build_mixed(struct request *request)
{
    put_label(&request->series, "__name__", "up");
    put_label(&request->series, "job", "node");
    put_sample(&request->series, 1795305600000, 1.5);
    put_sample(&request->series, TIME_MAX_MS, 1.5);
    put_label(&request->series, "late", "label");
    put_bytes(&request->series, 4, "histogram", 9);
    series_end(request);
    struct bytes metadata;
    bytes_init(&metadata, MESSAGE_MAX);
    put_bytes(&metadata, 2, "up", 2);
    put_message(&request->message, 3, &metadata);
    bytes_release(&metadata);
}

static void a_message_cut_at_any_byte_is_read_or_refused_cleanly(void **state)
{
    (void)state;
    struct request whole;
    request_init(&whole);
    build_mixed(&whole);
    size_t read = 0;
    for (size_t size = 0; size < whole.message.size; size++) {
        struct request request;
        request_init(&request);
        /* A block of exactly this size, so that a sanitizer sees any byte read beyond it. */
        uint8_t *cut = malloc(size + 1);
        assert_non_null(cut);
        memcpy(cut, whole.message.data, size);
        enum status status = message_parse(&request, slice_of(cut, size));
        free(cut);
        assert_true(status == STATUS_OK || status == STATUS_INVALID);
        read += status == STATUS_OK;
        request_release(&request);
    }
    assert_int_equal(read, 2); /* nothing, and the series without the metadata */
    request_release(&whole);
}

static void a_body_cut_at_any_byte_is_refused(void **state)
{
    (void)state;
    struct request whole;
    request_init(&whole);
    build_mixed(&whole);
    size_t size = snappy_max_compressed_length(whole.message.size);
    char *body = malloc(size);
    assert_non_null(body);
    assert_int_equal(
        snappy_compress((const char *)whole.message.data, whole.message.size, body, &size),
        SNAPPY_OK);
    for (size_t cut = 0; cut < size; cut++) {
        struct request request;
        request_init(&request);
        assert_int_equal(body_parse(&request, slice_of(body, cut)), STATUS_INVALID);
        assert_string_equal(request.err.code, "snappy_invalid");
        request_release(&request);
    }
    free(body);
    request_release(&whole);
}

static void a_small_body_that_declares_much_allocates_nothing(void **state)
{
    (void)state;
    static const uint64_t declared[] = {
        UINT64_C(900) << 20,
        (UINT64_C(64) << 20) + 1,
        UINT64_C(64) << 20,
        UINT64_C(0xffffffff),
        1024,
    };
    for (size_t i = 0; i < sizeof declared / sizeof declared[0]; i++) {
        struct request request;
        request_init(&request);
        uint8_t body[25] = {0};
        varint_put(body, declared[i]);
        enum status status = body_parse(&request, slice_of(body, sizeof body));
        assert_int_equal(status, declared[i] > BODY_MAX ? STATUS_LIMIT : STATUS_INVALID);
        assert_string_equal(request.err.code,
                            declared[i] > BODY_MAX ? "body_too_large" : "snappy_invalid");
        assert_int_equal(request.scratch.capacity, 0);
        request_release(&request);
    }
}

static void what_is_not_snappy_is_refused(void **state)
{
    (void)state;
    static const char *const bodies[] = {"", "\xff\xff\xff\xff\xff\xff", "{\"name\":\"x\"}",
                                         "\x05hello"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct request request;
        request_init(&request);
        assert_int_equal(body_parse(&request, slice_from_text(bodies[i])), STATUS_INVALID);
        assert_string_equal(request.err.code, "snappy_invalid");
        request_release(&request);
    }
}

/* ---- memory ---- */

static void an_arena_of_any_size_gives_the_request_or_a_limit(void **state)
{
    (void)state;
    struct request request;
    request_init(&request);
    for (int i = 0; i < 200; i++)
        build_mixed(&request);
    bool read = false;
    for (size_t max = 0; !read; max += 256) {
        arena_release(&request.arena);
        arena_init(&request.arena, max);
        enum status status = request_parse(&request);
        assert_true(status == STATUS_OK || status == STATUS_LIMIT);
        read = status == STATUS_OK;
        if (!read)
            assert_string_equal(request.err.code, "body_too_large");
        assert_true(max < ARENA_MAX);
    }
    assert_int_equal(request.batch.sample_count, 200);
    request_release(&request);
}

static void labels_decode_in_an_arena_of_any_size_or_not_at_all(void **state)
{
    (void)state;
    struct request request;
    request_init(&request);
    build_mixed(&request);
    assert_int_equal(request_parse(&request), STATUS_OK);
    struct slice raw = request.batch.series[0].raw;
    for (size_t size = 0; size <= raw.size; size++) {
        struct arena arena;
        struct labels labels;
        arena_init(&arena, size);
        enum status status =
            protocols_remote_write_decode_labels(slice_of(raw.data, size), &arena, &labels, NULL);
        assert_true(status == STATUS_OK || status == STATUS_LIMIT || status == STATUS_INVALID);
        arena_release(&arena);
    }
    request_release(&request);
}

static void more_labels_than_a_series_may_have_are_a_limit(void **state)
{
    (void)state;
    struct request request;
    request_init(&request);
    for (int i = 0; i <= LABELS_MAX_COUNT; i++)
        put_label(&request.series, "a", "b");
    put_sample(&request.series, 1, 1);
    series_end(&request);
    assert_int_equal(request_parse(&request), STATUS_OK);
    struct labels labels;
    assert_int_equal(protocols_remote_write_decode_labels(request.batch.series[0].raw,
                                                          &request.arena, &labels, &request.err),
                     STATUS_LIMIT);
    assert_string_equal(request.err.code, "labels_too_large");
    request_release(&request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_with_every_part_is_read),
        cmocka_unit_test(an_empty_request_holds_nothing),
        cmocka_unit_test(random_requests_come_back_bit_for_bit),
        cmocka_unit_test(labels_scattered_among_samples_are_put_together),
        cmocka_unit_test(the_last_of_a_repeated_scalar_wins_and_a_missing_one_is_zero),
        cmocka_unit_test(unknown_fields_and_long_tags_are_read_over),
        cmocka_unit_test(native_histograms_are_refused_by_name_and_the_rest_is_kept),
        cmocka_unit_test(times_outside_1678_to_2262_are_refused_and_the_rest_is_kept),
        cmocka_unit_test(a_nul_byte_in_a_label_is_refused_when_it_is_decoded),
        cmocka_unit_test(metadata_that_cannot_be_registered_is_a_warning),
        cmocka_unit_test(wrong_wire_types_are_refused_with_their_offset),
        cmocka_unit_test(a_message_cut_at_any_byte_is_read_or_refused_cleanly),
        cmocka_unit_test(a_body_cut_at_any_byte_is_refused),
        cmocka_unit_test(a_small_body_that_declares_much_allocates_nothing),
        cmocka_unit_test(what_is_not_snappy_is_refused),
        cmocka_unit_test(an_arena_of_any_size_gives_the_request_or_a_limit),
        cmocka_unit_test(labels_decode_in_an_arena_of_any_size_or_not_at_all),
        cmocka_unit_test(more_labels_than_a_series_may_have_are_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

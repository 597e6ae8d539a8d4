#include "../test.h"

#include <zlib.h>
#include <zstd.h>

#include "base/bits.h"
#include "http/content_encoding.h"

enum { CAP = 1 << 20 };

static const char sample[] =
    "up{instance=\"a:9100\"} 1\nup{instance=\"b:9100\"} 1\nup{instance=\"c:9100\"} 0\n";

/* windowBits 31: gzip, 15: zlib, -15: raw. */
static size_t deflated(int window, const void *data, size_t size, uint8_t *to, size_t room)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)data,
                       .avail_in = (uInt)size,
                       .next_out = to,
                       .avail_out = (uInt)room};
    assert_int_equal(deflateInit2(&stream, 9, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
    assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
    deflateEnd(&stream);
    return stream.total_out;
}

/* As senders do that do not know the size beforehand. */
static size_t zstd_without_size(const void *data, size_t size, uint8_t *to, size_t room)
{
    ZSTD_CCtx *context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);
    ZSTD_inBuffer in = {data, size, 0};
    ZSTD_outBuffer out = {to, room, 0};
    assert_int_equal(ZSTD_compressStream2(context, &out, &in, ZSTD_e_flush), 0);
    assert_int_equal(ZSTD_compressStream2(context, &out, &in, ZSTD_e_end), 0);
    ZSTD_freeCCtx(context);
    assert_int_equal(ZSTD_getFrameContentSize(to, out.pos), ZSTD_CONTENTSIZE_UNKNOWN);
    return out.pos;
}

struct form {
    enum http_coding coding;
    uint8_t bytes[4096];
    size_t size;
};

enum { FORMS = 5 };

/* The sample in every form that is taken. */
static void make_forms(struct form forms[FORMS], const void *data, size_t size)
{
    static const int windows[] = {31, 15, -15};
    for (size_t i = 0; i < 3; i++) {
        forms[i].coding = i == 0 ? HTTP_CODING_GZIP : HTTP_CODING_DEFLATE;
        forms[i].size = deflated(windows[i], data, size, forms[i].bytes, sizeof forms[i].bytes);
    }
    forms[3].coding = forms[4].coding = HTTP_CODING_ZSTD;
    forms[3].size = ZSTD_compress(forms[3].bytes, sizeof forms[3].bytes, data, size, 3);
    forms[4].size = zstd_without_size(data, size, forms[4].bytes, sizeof forms[4].bytes);
}

static enum status decode(enum http_coding coding, struct slice encoded, size_t max,
                          struct body_buffer *decoded, struct error *err)
{
    static struct memory_share budget = {.max = UINT64_MAX};
    /* An exact copy on the heap, so that reading past its end is found. */
    uint8_t *copy = malloc(encoded.size == 0 ? 1 : encoded.size);
    memcpy(copy, encoded.data, encoded.size);
    body_buffer_init(decoded, max, &budget);
    enum status status = http_decode(coding, slice_of(copy, encoded.size), decoded, err);
    assert_true(decoded->capacity <= max);
    assert_int_equal(budget.used, decoded->charged);
    free(copy);
    return status;
}

static void every_form_decodes_to_what_was_encoded(void **state)
{
    (void)state;
    static struct form forms[FORMS];
    make_forms(forms, sample, sizeof sample);
    for (size_t i = 0; i < FORMS; i++) {
        struct body_buffer decoded;
        struct error err;
        assert_int_equal(
            decode(forms[i].coding, slice_of(forms[i].bytes, forms[i].size), CAP, &decoded, &err),
            STATUS_OK);
        assert_int_equal(decoded.size, sizeof sample);
        assert_memory_equal(decoded.data, sample, sizeof sample);
        body_buffer_release(&decoded);
    }
}

static void a_body_cut_off_at_any_byte_is_refused_by_name(void **state)
{
    (void)state;
    static struct form forms[FORMS];
    make_forms(forms, sample, sizeof sample);
    for (size_t i = 0; i < FORMS; i++)
        for (size_t size = 0; size < forms[i].size; size++) {
            struct body_buffer decoded;
            struct error err = {0};
            enum status status =
                decode(forms[i].coding, slice_of(forms[i].bytes, size), CAP, &decoded, &err);
            assert_int_equal(status, STATUS_INVALID);
            assert_string_equal(err.code, "body_encoding_invalid");
            assert_non_null(strstr(err.message, http_coding_name(forms[i].coding)));
            body_buffer_release(&decoded);
        }
}

static void every_flipped_bit_ends_in_a_status_and_never_in_other_bytes(void **state)
{
    (void)state;
    static struct form forms[FORMS];
    make_forms(forms, sample, sizeof sample);
    for (size_t i = 0; i < FORMS; i++)
        for (size_t bit = 0; bit < forms[i].size * 8; bit++) {
            struct body_buffer decoded;
            forms[i].bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
            enum status status = decode(forms[i].coding, slice_of(forms[i].bytes, forms[i].size),
                                        CAP, &decoded, NULL);
            assert_true(status == STATUS_OK || status == STATUS_INVALID || status == STATUS_LIMIT);
            /* gzip and zlib carry a checksum; here the streamed zstd frame does too. */
            bool checked = i == 0 || i == 1 || i == 4;
            if (checked && status == STATUS_OK)
                assert_memory_equal(decoded.data, sample, decoded.size);
            body_buffer_release(&decoded);
            forms[i].bytes[bit / 8] ^= (uint8_t)(1 << bit % 8);
        }
}

static void what_follows_a_body_is_refused(void **state)
{
    (void)state;
    static struct form forms[FORMS];
    make_forms(forms, sample, sizeof sample);
    for (size_t i = 0; i < FORMS; i++) {
        struct body_buffer decoded;
        struct error err = {0};
        memcpy(forms[i].bytes + forms[i].size, "garbage", 7);
        assert_int_equal(decode(forms[i].coding, slice_of(forms[i].bytes, forms[i].size + 7), CAP,
                                &decoded, &err),
                         STATUS_INVALID);
        assert_non_null(strstr(err.message, "7 further bytes"));
        body_buffer_release(&decoded);
    }
}

static void members_and_frames_in_a_row_are_one_body(void **state)
{
    (void)state;
    static struct form forms[FORMS];
    make_forms(forms, sample, sizeof sample);
    for (size_t i = 0; i < FORMS; i++) {
        if (forms[i].coding == HTTP_CODING_DEFLATE)
            continue;
        memcpy(forms[i].bytes + forms[i].size, forms[i].bytes, forms[i].size);
        struct body_buffer decoded;
        assert_int_equal(decode(forms[i].coding, slice_of(forms[i].bytes, 2 * forms[i].size), CAP,
                                &decoded, NULL),
                         STATUS_OK);
        assert_int_equal(decoded.size, 2 * sizeof sample);
        body_buffer_release(&decoded);
    }
}

static void the_limit_is_exact(void **state)
{
    (void)state;
    static uint8_t zeros[70000];
    static struct form forms[FORMS];
    make_forms(forms, zeros, sizeof zeros);
    for (size_t i = 0; i < FORMS; i++) {
        struct body_buffer decoded;
        struct error err = {0};
        struct slice encoded = slice_of(forms[i].bytes, forms[i].size);
        assert_int_equal(decode(forms[i].coding, encoded, sizeof zeros, &decoded, &err), STATUS_OK);
        assert_int_equal(decoded.size, sizeof zeros);
        body_buffer_release(&decoded);
        assert_int_equal(decode(forms[i].coding, encoded, sizeof zeros - 1, &decoded, &err),
                         STATUS_LIMIT);
        assert_string_equal(err.code, "body_too_large");
        body_buffer_release(&decoded);
    }
}

static void bombs_stay_under_the_limit(void **state)
{
    (void)state;
    enum { BOMB = 64 << 20 };
    uint8_t *zeros = calloc(1, BOMB);
    uint8_t *encoded = malloc(BOMB / 500);
    for (size_t i = 0; i < FORMS; i++) {
        static const int windows[] = {31, 15, -15};
        size_t size = i < 3    ? deflated(windows[i], zeros, BOMB, encoded, BOMB / 500)
                      : i == 3 ? ZSTD_compress(encoded, BOMB / 500, zeros, BOMB, 3)
                               : zstd_without_size(zeros, BOMB, encoded, BOMB / 500);
        struct body_buffer decoded;
        enum http_coding coding = i == 0  ? HTTP_CODING_GZIP
                                  : i < 3 ? HTTP_CODING_DEFLATE
                                          : HTTP_CODING_ZSTD;
        assert_int_equal(decode(coding, slice_of(encoded, size), CAP, &decoded, NULL),
                         STATUS_LIMIT);
        body_buffer_release(&decoded);
    }
    free(encoded);
    free(zeros);
}

static void a_declared_size_alone_allocates_nothing(void **state)
{
    (void)state;
    /* A zstd frame of one empty block that declares 2^40 bytes. */
    uint8_t lie[16] = {0x28, 0xb5, 0x2f, 0xfd, 0xe0, 0, 0, 0, 0, 0, 1, 0, 0, 1, 0, 0};
    struct body_buffer decoded;
    struct error err;
    assert_int_equal(decode(HTTP_CODING_ZSTD, slice_of(lie, sizeof lie), CAP, &decoded, &err),
                     STATUS_LIMIT);
    assert_int_equal(decoded.capacity, 0);
    body_buffer_release(&decoded);
    /* gzip that declares 4 GiB less one: only a hint, so the truth counts. */
    static struct form forms[FORMS];
    make_forms(forms, sample, sizeof sample);
    store_u32(forms[0].bytes + forms[0].size - 4, UINT32_MAX);
    assert_int_equal(
        decode(HTTP_CODING_GZIP, slice_of(forms[0].bytes, forms[0].size), CAP, &decoded, &err),
        STATUS_INVALID);
    assert_true(decoded.capacity < CAP);
    body_buffer_release(&decoded);
}

static void decoding_over_the_shared_budget_is_put_off(void **state)
{
    (void)state;
    static uint8_t zeros[70000];
    static struct form forms[FORMS];
    make_forms(forms, zeros, sizeof zeros);
    for (size_t i = 0; i < FORMS; i++) {
        struct memory_share budget = {.used = 50000, .max = 100000};
        struct body_buffer decoded;
        body_buffer_init(&decoded, CAP, &budget);
        assert_int_equal(
            http_decode(forms[i].coding, slice_of(forms[i].bytes, forms[i].size), &decoded, NULL),
            STATUS_BUSY);
        body_buffer_release(&decoded);
        assert_int_equal(budget.used, 50000);
    }
}

static void content_encoding_takes_one_coding(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        enum status status;
        enum http_coding coding;
    } cases[] = {
        {"", STATUS_OK, HTTP_CODING_IDENTITY},
        {"identity", STATUS_OK, HTTP_CODING_IDENTITY},
        {"GZip", STATUS_OK, HTTP_CODING_GZIP},
        {" x-gzip , identity,", STATUS_OK, HTTP_CODING_GZIP},
        {"zstd", STATUS_OK, HTTP_CODING_ZSTD},
        {"deflate", STATUS_OK, HTTP_CODING_DEFLATE},
        {"snappy", STATUS_OK, HTTP_CODING_SNAPPY},
        {"br", STATUS_UNSUPPORTED, HTTP_CODING_IDENTITY},
        {"gzip,gzip", STATUS_UNSUPPORTED, HTTP_CODING_GZIP},
        {"gzipp", STATUS_UNSUPPORTED, HTTP_CODING_IDENTITY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum http_coding coding;
        assert_int_equal(http_coding_parse(slice_from_text(cases[i].header), &coding, NULL),
                         cases[i].status);
        assert_int_equal(coding, cases[i].coding);
    }
}

static void accept_encoding_follows_the_weights(void **state)
{
    (void)state;
    static const struct {
        const char *header;
        enum http_coding coding;
    } cases[] = {
        {"", HTTP_CODING_IDENTITY},
        {"gzip", HTTP_CODING_GZIP},
        {"gzip, deflate, br, zstd", HTTP_CODING_ZSTD},
        {"gzip;q=1.0, zstd;q=0.9", HTTP_CODING_GZIP},
        {"gzip;q=0, identity", HTTP_CODING_IDENTITY},
        {"*", HTTP_CODING_ZSTD},
        {"*;q=0, gzip;q=0.001", HTTP_CODING_GZIP},
        {"identity, gzip;q=0.5", HTTP_CODING_IDENTITY},
        {"gzip; q=abc", HTTP_CODING_IDENTITY},
        {"br", HTTP_CODING_IDENTITY},
        {",;,;q=1,,", HTTP_CODING_IDENTITY},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(http_coding_choose(slice_from_text(cases[i].header)), cases[i].coding);
}

static void what_is_encoded_in_pieces_decodes_again(void **state)
{
    (void)state;
    static const enum http_coding codings[] = {HTTP_CODING_GZIP, HTTP_CODING_ZSTD};
    for (size_t i = 0; i < 2; i++) {
        struct http_encoder *encoder = http_encoder_new(codings[i]);
        assert_non_null(encoder);
        struct bytes encoded;
        bytes_init(&encoded, CAP);
        for (int k = 0; k < 1000; k++)
            assert_int_equal(http_encode(encoder, slice_of(sample, sizeof sample),
                                         k % 100 == 99 ? HTTP_ENCODE_FLUSH : HTTP_ENCODE_MORE,
                                         &encoded),
                             STATUS_OK);
        assert_int_equal(http_encode(encoder, slice_of(NULL, 0), HTTP_ENCODE_LAST, &encoded),
                         STATUS_OK);
        http_encoder_free(encoder);
        struct body_buffer decoded;
        assert_int_equal(decode(codings[i], bytes_slice(&encoded), CAP, &decoded, NULL), STATUS_OK);
        assert_int_equal(decoded.size, 1000 * sizeof sample);
        assert_memory_equal(decoded.data + 999 * sizeof sample, sample, sizeof sample);
        body_buffer_release(&decoded);
        bytes_release(&encoded);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_decodes_to_what_was_encoded),
        cmocka_unit_test(a_body_cut_off_at_any_byte_is_refused_by_name),
        cmocka_unit_test(every_flipped_bit_ends_in_a_status_and_never_in_other_bytes),
        cmocka_unit_test(what_follows_a_body_is_refused),
        cmocka_unit_test(members_and_frames_in_a_row_are_one_body),
        cmocka_unit_test(the_limit_is_exact),
        cmocka_unit_test(bombs_stay_under_the_limit),
        cmocka_unit_test(a_declared_size_alone_allocates_nothing),
        cmocka_unit_test(decoding_over_the_shared_budget_is_put_off),
        cmocka_unit_test(content_encoding_takes_one_coding),
        cmocka_unit_test(accept_encoding_follows_the_weights),
        cmocka_unit_test(what_is_encoded_in_pieces_decodes_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

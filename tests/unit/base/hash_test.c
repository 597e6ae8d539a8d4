#include "../test.h"

#include "base/hash.h"

/* RFC 3720, B.4, and the check value of the CRC catalogue for CRC-32C. */
static void crc32c_gives_the_published_values(void **state)
{
    (void)state;
    uint8_t zeros[32] = {0}, ones[32], up[32], down[32];
    memset(ones, 0xff, sizeof ones);
    for (size_t i = 0; i < 32; i++) {
        up[i] = (uint8_t)i;
        down[i] = (uint8_t)(31 - i);
    }
    static const uint8_t scsi_read[48] = {
        0x01, 0xc0, [16] = 0x14, [22] = 0x04, [27] = 0x14, [31] = 0x18, 0x28, [40] = 0x02,
    };
    const struct {
        const void *data;
        size_t size;
        uint32_t crc;
    } cases[] = {
        {zeros, 32, 0x8a9136aa},
        {ones, 32, 0x62a8ab43},
        {up, 32, 0x46dd794e},
        {down, 32, 0x113fdb5c},
        {scsi_read, 48, 0xd9963a56},
        {"123456789", 9, 0xe3069283},
        {"", 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(crc32c(0, cases[i].data, cases[i].size), cases[i].crc);
        assert_int_equal(crc32c_portable(0, cases[i].data, cases[i].size), cases[i].crc);
    }
}

static void crc32c_is_the_same_with_and_without_the_instruction(void **state)
{
    (void)state;
    uint8_t data[300];
    uint32_t random = 7;
    for (size_t i = 0; i < sizeof data; i++) {
        random = random * 1664525 + 1013904223;
        data[i] = (uint8_t)(random >> 24);
    }
    for (size_t offset = 0; offset < 9; offset++)
        for (size_t size = 0; size <= sizeof data - offset; size++)
            assert_int_equal(crc32c(random, data + offset, size),
                             crc32c_portable(random, data + offset, size));
    /* Three lanes of 256 bytes at a time, and what is left. */
    static uint8_t large[5000];
    for (size_t i = 0; i < sizeof large; i++) {
        random = random * 1664525 + 1013904223;
        large[i] = (uint8_t)(random >> 24);
    }
    for (size_t size = 700; size <= sizeof large - 3; size += size % 768 == 767 ? 1 : 41)
        assert_int_equal(crc32c(random, large + size % 4, size),
                         crc32c_portable(random, large + size % 4, size));
}

static void crc32c_in_pieces_equals_crc32c_at_once(void **state)
{
    (void)state;
    static const char text[] = "the checksum continues over the pieces of a record";
    uint32_t whole = crc32c(0, text, sizeof text);
    for (size_t cut = 0; cut <= sizeof text; cut++) {
        assert_int_equal(crc32c(crc32c(0, text, cut), text + cut, sizeof text - cut), whole);
        assert_int_equal(
            crc32c_portable(crc32c_portable(0, text, cut), text + cut, sizeof text - cut), whole);
    }
}

static void crc32c_notices_every_single_flipped_bit(void **state)
{
    (void)state;
    uint8_t data[64];
    memset(data, 0x5a, sizeof data);
    uint32_t crc = crc32c(0, data, sizeof data);
    for (size_t bit = 0; bit < sizeof data * 8; bit++) {
        data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        assert_int_not_equal(crc32c(0, data, sizeof data), crc);
        data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
}

static void hashes_depend_on_bytes_and_seed(void **state)
{
    (void)state;
    struct slice a = slice_from_text("http_requests_total");
    struct slice b = slice_from_text("http_requests_tota1");
    assert_int_equal(hash64(a, 1), hash64(a, 1));
    assert_int_not_equal(hash64(a, 1), hash64(a, 2));
    assert_int_not_equal(hash64(a, 1), hash64(b, 1));
    assert_true(hash128_equal(hash128(a, 1), hash128(a, 1)));
    assert_false(hash128_equal(hash128(a, 1), hash128(a, 2)));
    assert_false(hash128_equal(hash128(a, 1), hash128(b, 1)));
    assert_true(hash128_equal(hash128(slice_of(NULL, 0), 5), hash128(slice_of("", 0), 5)));
}

/* What is on disk may hold them: they must never change. */
static void xxh3_gives_its_published_values_for_no_bytes(void **state)
{
    (void)state;
    assert_int_equal(hash64(slice_of(NULL, 0), 0), UINT64_C(0x2d06800538d394c2));
    struct hash128 hash = hash128(slice_of(NULL, 0), 0);
    assert_int_equal(hash.high, UINT64_C(0x99aa06d3014798d8));
    assert_int_equal(hash.low, UINT64_C(0x6001c324468d497f));
}

static void hash128_in_pieces_equals_hash128_at_once(void **state)
{
    (void)state;
    uint8_t data[5000];
    for (size_t i = 0; i < sizeof data; i++)
        data[i] = (uint8_t)(i * 7 + i / 251);
    const size_t sizes[] = {0, 1, 16, 17, 128, 129, 240, 241, 1023, 1024, 1025, sizeof data};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++)
        for (size_t step = 1; step <= sizes[i]; step += 1 + step) {
            struct hash128_stream stream;
            hash128_begin(&stream, 42);
            for (size_t at = 0; at < sizes[i]; at += step)
                hash128_add(&stream,
                            slice_of(data + at, sizes[i] - at < step ? sizes[i] - at : step));
            assert_true(hash128_equal(hash128_end(&stream), hash128(slice_of(data, sizes[i]), 42)));
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(crc32c_gives_the_published_values),
        cmocka_unit_test(crc32c_is_the_same_with_and_without_the_instruction),
        cmocka_unit_test(crc32c_in_pieces_equals_crc32c_at_once),
        cmocka_unit_test(crc32c_notices_every_single_flipped_bit),
        cmocka_unit_test(hashes_depend_on_bytes_and_seed),
        cmocka_unit_test(hash128_in_pieces_equals_hash128_at_once),
        cmocka_unit_test(xxh3_gives_its_published_values_for_no_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

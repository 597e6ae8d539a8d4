#include "../test.h"

#include "base/bits.h"

static void varints_of_every_length_read_back(void **state)
{
    (void)state;
    for (unsigned shift = 0; shift < 64; shift++)
        for (int64_t off = -1; off <= 1; off++) {
            uint64_t value = (UINT64_C(1) << shift) + (uint64_t)off;
            uint8_t text[VARINT_MAX_SIZE];
            const uint8_t *end = varint_put(text, value);
            uint64_t got;
            assert_int_equal(end - text, varint_size(value));
            assert_ptr_equal(varint_get(text, end, &got), end);
            assert_int_equal(got, value);
        }
    assert_int_equal(varint_size(0), 1);
    assert_int_equal(varint_size(UINT64_MAX), VARINT_MAX_SIZE);
}

static void a_varint_cut_at_any_byte_is_refused(void **state)
{
    (void)state;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        uint8_t text[VARINT_MAX_SIZE];
        const uint8_t *end = varint_put(text, UINT64_C(1) << shift);
        uint64_t got;
        for (const uint8_t *cut = text; cut < end; cut++)
            assert_null(varint_get(text, cut, &got));
    }
}

static void a_varint_beyond_64_bits_is_refused(void **state)
{
    (void)state;
    uint64_t got;
    const uint8_t largest[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01};
    assert_ptr_equal(varint_get(largest, largest + 10, &got), largest + 10);
    assert_int_equal(got, UINT64_MAX);
    const uint8_t bit_64[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x02};
    assert_null(varint_get(bit_64, bit_64 + 10, &got));
    const uint8_t eleven[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00};
    assert_null(varint_get(eleven, eleven + 11, &got));
}

/* Protobuf writers may pad; the value is what counts. */
static void a_padded_varint_within_ten_bytes_is_read(void **state)
{
    (void)state;
    uint64_t got;
    const uint8_t padded[] = {0x85, 0x80, 0x00};
    assert_ptr_equal(varint_get(padded, padded + 3, &got), padded + 3);
    assert_int_equal(got, 5);
    const uint8_t ten[] = {0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00};
    assert_ptr_equal(varint_get(ten, ten + 10, &got), ten + 10);
    assert_int_equal(got, 0);
}

static void zigzag_keeps_small_magnitudes_small_and_loses_nothing(void **state)
{
    (void)state;
    assert_int_equal(zigzag_encode(0), 0);
    assert_int_equal(zigzag_encode(-1), 1);
    assert_int_equal(zigzag_encode(1), 2);
    assert_int_equal(zigzag_encode(INT64_MAX), UINT64_MAX - 1);
    assert_int_equal(zigzag_encode(INT64_MIN), UINT64_MAX);
    const int64_t values[] = {0, 1, -1, 63, -64, INT64_MAX, INT64_MIN, INT64_MIN + 1};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        assert_int_equal(zigzag_decode(zigzag_encode(values[i])), values[i]);
}

static void differences_wrap_around_and_back(void **state)
{
    (void)state;
    const int64_t values[] = {0, 1, -1, INT64_MAX, INT64_MIN, 1795305600000};
    for (size_t a = 0; a < sizeof values / sizeof values[0]; a++)
        for (size_t b = 0; b < sizeof values / sizeof values[0]; b++)
            assert_int_equal(wrapping_add(values[b], wrapping_sub(values[a], values[b])),
                             values[a]);
    assert_int_equal(wrapping_sub(INT64_MIN, 1), INT64_MAX);
}

static void stored_integers_are_little_endian_at_any_address(void **state)
{
    (void)state;
    uint8_t bytes[16];
    for (size_t offset = 0; offset < 8; offset++) {
        store_u64(bytes + offset, UINT64_C(0x8877665544332211));
        for (size_t i = 0; i < 8; i++)
            assert_int_equal(bytes[offset + i], 0x11 * (i + 1));
        assert_int_equal(load_u64(bytes + offset), UINT64_C(0x8877665544332211));
        assert_int_equal(load_u32(bytes + offset), 0x44332211);
        assert_int_equal(load_u16(bytes + offset), 0x2211);
        store_u32(bytes + offset, 0xddccbbaa);
        store_u16(bytes + offset + 4, 0xffee);
        assert_int_equal(load_u64(bytes + offset), UINT64_C(0x8877ffeeddccbbaa));
    }
}

static void doubles_keep_every_bit(void **state)
{
    (void)state;
    const uint64_t values[] = {0,
                               UINT64_C(0x8000000000000000),
                               UINT64_C(0x7ff0000000000002),
                               UINT64_C(0x7ff8000000000001),
                               UINT64_C(0xfff8000000000123),
                               1};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        assert_int_equal(bits_of_double(double_of_bits(values[i])), values[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varints_of_every_length_read_back),
        cmocka_unit_test(a_varint_cut_at_any_byte_is_refused),
        cmocka_unit_test(a_varint_beyond_64_bits_is_refused),
        cmocka_unit_test(a_padded_varint_within_ten_bytes_is_read),
        cmocka_unit_test(zigzag_keeps_small_magnitudes_small_and_loses_nothing),
        cmocka_unit_test(differences_wrap_around_and_back),
        cmocka_unit_test(stored_integers_are_little_endian_at_any_address),
        cmocka_unit_test(doubles_keep_every_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

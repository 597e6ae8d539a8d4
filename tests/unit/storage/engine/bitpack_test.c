#include "../../test.h"

#include "random_series.h"
#include "storage/engine/bitpack.h"

static void every_width_and_count_comes_back_the_same(void **state)
{
    (void)state;
    struct dice dice = {1};
    for (unsigned width = 0; width <= 64; width++) {
        for (size_t count = 0; count <= 140; count++) {
            uint64_t values[140], back[140];
            for (size_t i = 0; i < count; i++)
                values[i] = width == 0 ? 0 : dice_roll(&dice) >> (64 - width);
            /* Held in blocks of exactly their size, so that a sanitizer sees one byte too many. */
            size_t size = bitpack_size(count, width);
            uint8_t *packed = malloc(size + 1);
            bitpack_pack(values, count, width, packed + 1);
            bitpack_unpack(slice_of(packed + 1, size), count, width, back);
            assert_memory_equal(values, back, count * sizeof *values);
            assert_true(bitpack_tail_is_zero(packed + 1, count, width));
            free(packed);
        }
    }
}

static void bytes_behind_the_run_do_not_matter(void **state)
{
    (void)state;
    uint64_t values[5] = {1, 2, 3, 4, 5}, back[5];
    uint8_t packed[40];
    memset(packed, 0xff, sizeof packed);
    bitpack_pack(values, 5, 3, packed);
    for (size_t size = bitpack_size(5, 3); size <= sizeof packed; size++) {
        bitpack_unpack(slice_of(packed, size), 5, 3, back);
        assert_memory_equal(values, back, sizeof values);
    }
}

static void bit_length_counts_to_the_highest_bit(void **state)
{
    (void)state;
    assert_int_equal(bit_length(0), 0);
    assert_int_equal(bit_length(1), 1);
    assert_int_equal(bit_length(255), 8);
    assert_int_equal(bit_length(UINT64_MAX), 64);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_width_and_count_comes_back_the_same),
        cmocka_unit_test(bytes_behind_the_run_do_not_matter),
        cmocka_unit_test(bit_length_counts_to_the_highest_bit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

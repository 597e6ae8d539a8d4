#include "../../test.h"

#include "random_series.h"
#include "storage/engine/value_codec.h"
#include "storage/engine/value_scale.h"

static struct value_encoder encoder;

/* A block of exactly its size on the heap. */
static uint8_t *encode(const double *values, size_t count, struct value_encoding *encoding)
{
    uint8_t *room = malloc(value_block_max_size(count));
    value_block_encode(&encoder, values, count, room, encoding);
    assert_true(encoding->size <= value_block_max_size(count));
    uint8_t *block = malloc(encoding->size);
    memcpy(block, room, encoding->size);
    free(room);
    return block;
}

static void assert_comes_back(const double *values, size_t count)
{
    static double back[VALUE_BLOCK_MAX_COUNT];
    struct value_encoding encoding;
    uint8_t *block = encode(values, count, &encoding);
    struct error err;
    if (value_block_decode(slice_of(block, encoding.size), count, 0, count, back, &err) !=
        STATUS_OK)
        test_fail("%s", err.message);
    assert_memory_equal(values, back, count * sizeof *values);
    free(block);
}

static void every_kind_and_count_comes_back_bit_for_bit(void **state)
{
    (void)state;
    static double values[VALUE_BLOCK_MAX_COUNT];
    static const size_t counts[] = {1, 2, 3, 5, 50, 127, 128, 129, 240, 500, 1024, 4096};
    struct dice dice = {1};
    for (int round = 0; round < 10; round++)
        for (unsigned kind = 0; kind < VALUES_KINDS; kind++)
            for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
                random_values(&dice, (enum value_kind)kind, values, counts[c]);
                assert_comes_back(values, counts[c]);
            }
}

static void decimals_of_any_length_come_back_bit_for_bit(void **state)
{
    (void)state;
    struct dice dice = {2};
    for (int digits = 0; digits <= 20; digits++) {
        double values[300];
        for (size_t i = 0; i < 300; i++) {
            char text[64];
            snprintf(text, sizeof text, "%s%llu.%.*llu", i % 7 == 0 ? "-" : "",
                     (unsigned long long)dice_below(&dice, 100000), digits,
                     (unsigned long long)dice_below(&dice, 1000000));
            values[i] = strtod(text, NULL);
        }
        assert_comes_back(values, 300);
    }
}

static void every_range_of_a_block_is_the_same_as_the_whole(void **state)
{
    (void)state;
    enum { COUNT = 400 };
    double values[COUNT], back[COUNT];
    struct dice dice = {3};
    for (unsigned kind = 0; kind < VALUES_KINDS; kind++) {
        random_values(&dice, (enum value_kind)kind, values, COUNT);
        struct value_encoding encoding;
        uint8_t *block = encode(values, COUNT, &encoding);
        for (size_t first = 0; first <= COUNT; first += 1 + first % 3) {
            for (size_t wanted = 0; wanted <= COUNT - first; wanted += 1 + wanted % 7) {
                assert_int_equal(value_block_decode(slice_of(block, encoding.size), COUNT, first,
                                                    wanted, back, NULL),
                                 STATUS_OK);
                assert_memory_equal(values + first, back, wanted * sizeof *values);
            }
        }
        free(block);
    }
}

static size_t size_of(const double *values, size_t count, enum value_form form, int scale)
{
    struct value_encoding encoding;
    free(encode(values, count, &encoding));
    assert_int_equal(encoding.form, form);
    assert_int_equal(encoding.scale, scale);
    return encoding.size;
}

static void each_kind_of_metric_takes_its_shortest_form(void **state)
{
    (void)state;
    enum { COUNT = 1024 };
    double values[COUNT];
    struct dice dice = {4};
    for (size_t i = 0; i < COUNT; i++)
        values[i] = 42.5;
    assert_int_equal(size_of(values, COUNT, VALUE_CONSTANT, -1), 9);
    for (size_t i = 0; i < COUNT; i++)
        values[i] = 1e9 + 15 * (double)i;
    assert_true(size_of(values, COUNT, VALUE_LINEAR, 0) < 12);
    for (size_t i = 0; i < COUNT; i++)
        values[i] = (double)dice_below(&dice, 4096) / 100;
    assert_true(size_of(values, COUNT, VALUE_PACKED, -2) < COUNT * 12 / 8 + 60);
    for (size_t i = 0; i < COUNT; i++)
        values[i] = (double)dice_below(&dice, 1024) * 4096;
    assert_true(size_of(values, COUNT, VALUE_PACKED, 0) < COUNT * 10 / 8 + 60);
    for (size_t i = 0; i < COUNT; i++)
        values[i] = (double)(1 + dice_below(&dice, 100)) * 1e22;
    assert_true(size_of(values, COUNT, VALUE_PACKED, 9) < COUNT * 7 / 8 + 60);
    for (size_t i = 0; i < COUNT; i++)
        values[i] = sqrt((double)dice_below(&dice, 1000000));
    assert_true(size_of(values, COUNT, VALUE_PACKED, SCALE_BITS) < COUNT * 8);
}

static void a_few_odd_values_cost_only_themselves(void **state)
{
    (void)state;
    enum { COUNT = 1000 };
    double values[COUNT];
    struct dice dice = {5};
    for (size_t i = 0; i < COUNT; i++)
        values[i] = (double)dice_below(&dice, 256);
    size_t plain = size_of(values, COUNT, VALUE_PACKED, 0);
    values[10] = double_of_bits(VALUE_STALE_BITS);
    values[11] = double_of_bits(VALUE_NORMAL_NAN_BITS);
    values[500] = -0.0;
    values[999] = M_PI;
    assert_true(size_of(values, COUNT, VALUE_PACKED, 0) <= plain + 30);
}

static void a_block_cut_anywhere_is_corrupt(void **state)
{
    (void)state;
    double values[300], back[300];
    struct dice dice = {6};
    for (unsigned kind = 0; kind < VALUES_KINDS; kind++) {
        random_values(&dice, (enum value_kind)kind, values, 300);
        struct value_encoding encoding;
        uint8_t *block = encode(values, 300, &encoding);
        for (size_t cut = 0; cut < encoding.size; cut++) {
            uint8_t *exact = malloc(cut + 1);
            memcpy(exact, block, cut);
            struct error err;
            assert_int_equal(value_block_decode(slice_of(exact, cut), 300, 0, 300, back, &err),
                             STATUS_CORRUPT);
            assert_true(strlen(err.message) > 0);
            free(exact);
        }
        free(block);
    }
}

static void a_flipped_bit_is_refused_or_gives_values_within_bounds(void **state)
{
    (void)state;
    double values[200], back[200];
    struct dice dice = {7};
    for (unsigned kind = 0; kind < VALUES_KINDS; kind++) {
        random_values(&dice, (enum value_kind)kind, values, 200);
        struct value_encoding encoding;
        uint8_t *block = encode(values, 200, &encoding);
        for (size_t i = 0; i < encoding.size * 8; i++) {
            block[i / 8] ^= (uint8_t)(1u << (i % 8));
            enum status status =
                value_block_decode(slice_of(block, encoding.size), 200, 0, 200, back, NULL);
            assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
            block[i / 8] ^= (uint8_t)(1u << (i % 8));
        }
        free(block);
    }
}

static void only_exact_decimals_have_an_integer(void **state)
{
    (void)state;
    int64_t integer;
    assert_true(scale_to_integer(12.34, -2, &integer));
    assert_int_equal(integer, 1234);
    assert_false(scale_to_integer(12.345, -2, &integer));
    assert_false(scale_to_integer(-0.0, 0, &integer));
    assert_false(scale_to_integer(NAN, -1, &integer));
    assert_false(scale_to_integer(INFINITY, 0, &integer));
    assert_false(scale_to_integer(0.1 + 0.2, -17, &integer));
    assert_true(scale_to_integer(1e30, 15, &integer));
    int scale;
    assert_true(scale_find(0.1, 0, &scale));
    assert_int_equal(scale, -1);
    assert_false(scale_find(0.1 + 0.2, 0, &scale));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_and_count_comes_back_bit_for_bit),
        cmocka_unit_test(decimals_of_any_length_come_back_bit_for_bit),
        cmocka_unit_test(every_range_of_a_block_is_the_same_as_the_whole),
        cmocka_unit_test(each_kind_of_metric_takes_its_shortest_form),
        cmocka_unit_test(a_few_odd_values_cost_only_themselves),
        cmocka_unit_test(a_block_cut_anywhere_is_corrupt),
        cmocka_unit_test(a_flipped_bit_is_refused_or_gives_values_within_bounds),
        cmocka_unit_test(only_exact_decimals_have_an_integer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

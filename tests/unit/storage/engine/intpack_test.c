#include "../../test.h"

#include "random_series.h"
#include "storage/engine/intpack.h"

enum { SHAPES = 7 };

static void fill(struct dice *dice, unsigned shape, int64_t *values, size_t count)
{
    int64_t at = (int64_t)dice_below(dice, 1000000) - 500000;
    for (size_t i = 0; i < count; i++) {
        int64_t roll = (int64_t)dice_below(dice, 1000);
        switch (shape) {
        case 0:
            values[i] = at;
            break;
        case 1:
            values[i] = at += roll;
            break;
        case 2:
            values[i] = at += roll < 10 ? -at : roll;
            break;
        case 3:
            values[i] = roll < 100 ? roll * 1000000007 : 0;
            break;
        case 4:
            values[i] = (int64_t)dice_roll(dice);
            break;
        case 5:
            values[i] = roll < 500 ? INT64_MIN : INT64_MAX;
            break;
        default:
            values[i] = at += 1000 + (roll < 5 ? roll : 0);
        }
    }
}

static void every_shape_order_and_count_comes_back_the_same(void **state)
{
    (void)state;
    static int64_t values[INTPACK_MAX_COUNT], back[INTPACK_MAX_COUNT];
    static const size_t counts[] = {1, 2, 3, 7, 127, 128, 129, 130, 255, 257, 1024, 4095, 4096};
    struct dice dice = {2};
    for (size_t c = 0; c < sizeof counts / sizeof *counts; c++) {
        for (unsigned shape = 0; shape < SHAPES; shape++) {
            fill(&dice, shape, values, counts[c]);
            for (unsigned order = 0; order <= INTPACK_MAX_ORDER; order++) {
                uint8_t *room = malloc(intpack_max_size(counts[c]));
                size_t size = intpack_encode(values, counts[c], order, room);
                assert_true(size <= intpack_max_size(counts[c]));
                uint8_t *exact = malloc(size);
                memcpy(exact, room, size);
                struct error err;
                assert_int_equal(
                    intpack_decode(slice_of(exact, size), counts[c], order, back, &err), STATUS_OK);
                assert_memory_equal(values, back, counts[c] * sizeof *values);
                free(exact);
                free(room);
            }
        }
    }
}

static void the_cheapest_order_is_chosen(void **state)
{
    (void)state;
    int64_t noise[1000], counter[1000], steady[1000];
    struct dice dice = {3};
    for (int64_t i = 0; i < 1000; i++) {
        noise[i] = (int64_t)dice_below(&dice, 1000);
        counter[i] = (i == 0 ? 0 : counter[i - 1]) + (int64_t)dice_below(&dice, 1000);
        steady[i] = i * i * 100;
    }
    assert_int_equal(intpack_choose_order(noise, 1000), 0);
    assert_int_equal(intpack_choose_order(counter, 1000), 1);
    assert_int_equal(intpack_choose_order(steady, 1000), 2);
}

static void one_outlier_costs_bytes_not_bits_of_every_value(void **state)
{
    (void)state;
    int64_t values[128];
    uint8_t room[4096];
    struct dice dice = {4};
    for (size_t i = 0; i < 128; i++)
        values[i] = (int64_t)dice_below(&dice, 16);
    size_t plain = intpack_encode(values, 128, 0, room);
    values[77] = INT64_C(1) << 60;
    assert_true(intpack_encode(values, 128, 0, room) <= plain + 12);
}

static void a_stream_cut_or_lengthened_is_corrupt(void **state)
{
    (void)state;
    int64_t values[300], back[300];
    uint8_t room[300 * 8 + 200];
    struct dice dice = {5};
    fill(&dice, 3, values, 300);
    for (unsigned order = 0; order <= INTPACK_MAX_ORDER; order++) {
        size_t size = intpack_encode(values, 300, order, room);
        for (size_t cut = 0; cut < size; cut++) {
            struct error err;
            assert_int_equal(intpack_decode(slice_of(room, cut), 300, order, back, &err),
                             STATUS_CORRUPT);
            assert_true(strlen(err.message) > 0);
        }
        room[size] = 0;
        assert_int_equal(intpack_decode(slice_of(room, size + 1), 300, order, back, NULL),
                         STATUS_CORRUPT);
    }
}

static void counts_and_orders_beyond_the_limits_are_corrupt(void **state)
{
    (void)state;
    struct intpack_reader reader;
    uint8_t bytes[16] = {0};
    assert_int_equal(intpack_open(&reader, slice_of(bytes, 16), 0, 0, NULL), STATUS_CORRUPT);
    assert_int_equal(intpack_open(&reader, slice_of(bytes, 16), 4097, 0, NULL), STATUS_CORRUPT);
    assert_int_equal(intpack_open(&reader, slice_of(bytes, 16), 1, 3, NULL), STATUS_CORRUPT);
}

static void any_changed_byte_is_refused_or_gives_integers(void **state)
{
    (void)state;
    int64_t values[200], back[200];
    uint8_t room[200 * 8 + 200];
    struct dice dice = {6};
    for (unsigned shape = 0; shape < SHAPES; shape++) {
        fill(&dice, shape, values, 200);
        unsigned order = intpack_choose_order(values, 200);
        size_t size = intpack_encode(values, 200, order, room);
        uint8_t *exact = malloc(size);
        for (size_t i = 0; i < size * 8; i++) {
            memcpy(exact, room, size);
            exact[i / 8] ^= (uint8_t)(1u << (i % 8));
            enum status status = intpack_decode(slice_of(exact, size), 200, order, back, NULL);
            assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
        }
        free(exact);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_shape_order_and_count_comes_back_the_same),
        cmocka_unit_test(the_cheapest_order_is_chosen),
        cmocka_unit_test(one_outlier_costs_bytes_not_bits_of_every_value),
        cmocka_unit_test(a_stream_cut_or_lengthened_is_corrupt),
        cmocka_unit_test(counts_and_orders_beyond_the_limits_are_corrupt),
        cmocka_unit_test(any_changed_byte_is_refused_or_gives_integers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

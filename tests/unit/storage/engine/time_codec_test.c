#include "../../test.h"

#include "base/times.h"
#include "random_series.h"
#include "storage/engine/time_codec.h"

static struct time_encoder encoder;

static uint8_t *encode(const int64_t *times, size_t count, size_t *size)
{
    uint8_t *room = malloc(time_column_max_size(count));
    *size = time_column_encode(&encoder, times, count, room);
    uint8_t *column = malloc(*size);
    memcpy(column, room, *size);
    free(room);
    return column;
}

static void every_kind_and_count_comes_back_the_same(void **state)
{
    (void)state;
    static int64_t times[TIME_COLUMN_MAX_COUNT], back[TIME_COLUMN_MAX_COUNT];
    static const size_t counts[] = {1, 2, 3, 128, 129, 240, 1024, 4096};
    static const int64_t firsts[] = {TIME_MIN_MS, -1, 0, INT64_C(1795377918027),
                                     TIME_MAX_MS - INT64_C(500000000)};
    struct dice dice = {1};
    for (unsigned kind = 0; kind < TIMES_KINDS; kind++)
        for (size_t c = 0; c < sizeof counts / sizeof *counts; c++)
            for (size_t f = 0; f < sizeof firsts / sizeof *firsts; f++) {
                random_times(&dice, (enum time_kind)kind, firsts[f], times, counts[c]);
                size_t size;
                uint8_t *column = encode(times, counts[c], &size);
                struct error err;
                assert_int_equal(
                    time_column_decode(slice_of(column, size), counts[c], 0, counts[c], back, &err),
                    STATUS_OK);
                assert_memory_equal(times, back, counts[c] * sizeof *times);
                free(column);
            }
}

static void steady_times_take_a_few_bytes(void **state)
{
    (void)state;
    int64_t times[1024];
    struct dice dice = {2};
    random_times(&dice, TIMES_STEADY, INT64_C(1795377918027), times, 1024);
    size_t size;
    free(encode(times, 1024, &size));
    assert_true(size <= 12);
}

static void every_range_of_a_column_is_the_same_as_the_whole(void **state)
{
    (void)state;
    enum { COUNT = 400 };
    int64_t times[COUNT], back[COUNT];
    struct dice dice = {3};
    for (unsigned kind = 0; kind < TIMES_KINDS; kind++) {
        random_times(&dice, (enum time_kind)kind, 1000, times, COUNT);
        size_t size;
        uint8_t *column = encode(times, COUNT, &size);
        for (size_t first = 0; first <= COUNT; first++)
            for (size_t wanted = 0; wanted <= COUNT - first; wanted += 1 + wanted % 5) {
                assert_int_equal(
                    time_column_decode(slice_of(column, size), COUNT, first, wanted, back, NULL),
                    STATUS_OK);
                assert_memory_equal(times + first, back, wanted * sizeof *times);
            }
        free(column);
    }
}

static void a_column_cut_anywhere_is_corrupt(void **state)
{
    (void)state;
    int64_t times[300], back[300];
    struct dice dice = {5};
    for (unsigned kind = 0; kind < TIMES_KINDS; kind++) {
        random_times(&dice, (enum time_kind)kind, 1000, times, 300);
        size_t size;
        uint8_t *column = encode(times, 300, &size);
        for (size_t cut = 0; cut < size; cut++) {
            struct error err;
            assert_int_equal(time_column_decode(slice_of(column, cut), 300, 0, 300, back, &err),
                             STATUS_CORRUPT);
            assert_true(strlen(err.message) > 0);
        }
        free(column);
    }
}

static void times_that_do_not_rise_are_corrupt(void **state)
{
    (void)state;
    int64_t back[3];
    /* steady: first 0, step 0 */
    uint8_t still[] = {0, 0, 0};
    assert_int_equal(time_column_decode(slice_of(still, 3), 3, 0, 3, back, NULL), STATUS_CORRUPT);
    /* steady: a step that leaves the range of int64_t */
    uint8_t far[] = {0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f};
    assert_int_equal(time_column_decode(slice_of(far, sizeof far), 3, 0, 3, back, NULL),
                     STATUS_CORRUPT);
    int64_t falling[] = {5, 4, 3};
    uint8_t packed[64] = {1 | 1 << 2, 0};
    size_t size = 2 + intpack_encode(falling, 3, 1, packed + 2);
    assert_int_equal(time_column_decode(slice_of(packed, size), 3, 0, 3, back, NULL),
                     STATUS_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_and_count_comes_back_the_same),
        cmocka_unit_test(steady_times_take_a_few_bytes),
        cmocka_unit_test(every_range_of_a_column_is_the_same_as_the_whole),
        cmocka_unit_test(a_column_cut_anywhere_is_corrupt),
        cmocka_unit_test(times_that_do_not_rise_are_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "../../sanitized.h"
#include "../test.h"

#include <math.h>

#include "admission/hyperloglog.h"
#include "base/hash.h"
#include "failing_heap.h"

static void add(struct hyperloglog *counter, uint64_t hash)
{
    assert_int_equal(hyperloglog_add(counter, hash), STATUS_OK);
}

/* Numbers from `first` on, by the hash that the service uses. */
static void add_numbers(struct hyperloglog *counter, uint64_t first, uint64_t count, uint64_t seed)
{
    for (uint64_t i = first; i < first + count; i++)
        add(counter, hash64(slice_of(&i, sizeof i), seed));
}

static double error_at(uint64_t count, uint64_t seed)
{
    struct hyperloglog counter = {0};
    add_numbers(&counter, 0, count, seed);
    double error = (double)hyperloglog_estimate(&counter) / (double)count - 1;
    hyperloglog_release(&counter);
    return error;
}

static void nothing_is_none_and_few_are_exact(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++) {
        struct hyperloglog counter = {0};
        assert_int_equal(hyperloglog_estimate(&counter), 0);
        for (uint64_t i = 1; i <= HYPERLOGLOG_FEW; i++) {
            add_numbers(&counter, 0, i, seed);
            assert_int_equal(hyperloglog_estimate(&counter), i);
            assert_int_equal(hyperloglog_memory(&counter), 0);
        }
        add_numbers(&counter, 0, HYPERLOGLOG_FEW + 1, seed);
        assert_int_equal(hyperloglog_estimate(&counter), HYPERLOGLOG_FEW + 1);
        assert_in_range(hyperloglog_memory(&counter), 3072, 3080);
        hyperloglog_release(&counter);
        assert_int_equal(hyperloglog_estimate(&counter), 0);
    }
}

/* The standard error is 1.625 %: four times that for one counter, what so many draws make of it
 * for their root mean square, and next to nothing on one side. */
static void estimates_are_within_their_error_from_few_to_millions(void **state)
{
    (void)state;
    static const struct {
        uint64_t count;
        unsigned seeds;
    } cases[] = {
        {17, 400},    {100, 400},   {1000, 400},
        {5000, 400},  {10000, 400}, {20000, 200},
        {50000, 100}, {100000, 50}, {10000000, SANITIZED ? 2 : 8},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double sum = 0;
        double squares = 0;
        unsigned seeds = cases[i].seeds;
        for (uint64_t seed = 1; seed <= seeds; seed++) {
            double error = error_at(cases[i].count, seed * 7919);
            sum += error;
            squares += error * error;
            if (fabs(error) > 0.065)
                test_fail("%u: %.1f %% off with seed %u", (unsigned)cases[i].count, error * 100,
                          (unsigned)seed);
        }
        double bound = 0.01625 * (1 + 4 / sqrt(2.0 * seeds));
        double bias = 0.01625 * 4 / sqrt(seeds);
        if (sqrt(squares / seeds) > bound || fabs(sum / seeds) > bias)
            test_fail("%u: mean %.3f %%, root mean square %.3f %%", (unsigned)cases[i].count,
                      sum / seeds * 100, sqrt(squares / seeds) * 100);
    }
}

static void what_comes_again_counts_once_in_any_order(void **state)
{
    (void)state;
    struct hyperloglog counter = {0};
    struct hyperloglog backwards = {0};
    add_numbers(&counter, 0, 10000, 5);
    uint64_t once = hyperloglog_estimate(&counter);
    add_numbers(&counter, 0, 10000, 5);
    assert_int_equal(hyperloglog_estimate(&counter), once);
    for (uint64_t i = 10000; i > 0; i--)
        add_numbers(&backwards, i - 1, 1, 5);
    assert_int_equal(hyperloglog_estimate(&backwards), once);
    hyperloglog_release(&counter);
    hyperloglog_release(&backwards);
}

static void the_merge_of_two_is_what_one_would_be_that_saw_both(void **state)
{
    (void)state;
    static const uint64_t sizes[] = {0, 1, 7, 12, 16, 17, 100, 30000};
    enum { SIZES = sizeof sizes / sizeof sizes[0] };
    for (size_t i = 0; i < SIZES * SIZES; i++) {
        uint64_t first = sizes[i / SIZES];
        uint64_t second = sizes[i % SIZES];
        struct hyperloglog into = {0};
        struct hyperloglog from = {0};
        struct hyperloglog both = {0};
        add_numbers(&into, 0, first, 9);
        add_numbers(&from, first / 2, second, 9);
        add_numbers(&both, 0, first, 9);
        add_numbers(&both, first / 2, second, 9);
        uint64_t of_from = hyperloglog_estimate(&from);
        assert_int_equal(hyperloglog_merge(&into, &from), STATUS_OK);
        assert_int_equal(hyperloglog_estimate(&from), of_from);
        assert_int_equal(hyperloglog_estimate(&into), hyperloglog_estimate(&both));
        assert_true((into.registers == NULL) == (both.registers == NULL));
        hyperloglog_release(&into);
        hyperloglog_release(&from);
        hyperloglog_release(&both);
    }
}

/* The greatest rank fits its register, and touches no other. */
static void hashes_of_any_shape_stay_in_their_register(void **state)
{
    (void)state;
    struct hyperloglog counter = {0};
    for (uint64_t i = 0; i < 4096; i++)
        add(&counter, i << 52 | UINT64_C(1) << 51); /* of rank 1, so all registers are at 1 */
    uint64_t least = hyperloglog_estimate(&counter);
    for (uint64_t i = 0; i < 4096; i += 2)
        add(&counter, i << 52); /* of the greatest */
    uint64_t half = hyperloglog_estimate(&counter);
    for (uint64_t i = 0; i < 4096; i++)
        add(&counter, i << 52 | UINT64_C(1) << 51);
    assert_int_equal(hyperloglog_estimate(&counter), half);
    /* Registers at the greatest rank weigh nothing: twice as many by half of the sum. */
    assert_in_range(half, 2 * least - 1, 2 * least + 1);
    hyperloglog_release(&counter);
}

static void without_memory_what_was_counted_stays(void **state)
{
    (void)state;
    struct hyperloglog counter = {0};
    struct hyperloglog other = {0};
    add_numbers(&counter, 0, HYPERLOGLOG_FEW, 3);
    add_numbers(&other, 8, HYPERLOGLOG_FEW, 3);
    heap_left = 0;
    enum status added = hyperloglog_add(&counter, 1);
    enum status merged = hyperloglog_merge(&counter, &other);
    heap_left = -1;
    assert_int_equal(added, STATUS_MEMORY);
    assert_int_equal(merged, STATUS_MEMORY);
    assert_int_equal(hyperloglog_estimate(&counter), HYPERLOGLOG_FEW);
    assert_int_equal(hyperloglog_merge(&counter, &other), STATUS_OK);
    assert_int_equal(hyperloglog_estimate(&counter), HYPERLOGLOG_FEW + 8);
    heap_left = 0;
    enum status more = hyperloglog_add(&counter, 1); /* has what it needs */
    heap_left = -1;
    assert_int_equal(more, STATUS_OK);
    hyperloglog_release(&counter);
    hyperloglog_release(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_none_and_few_are_exact),
        cmocka_unit_test(estimates_are_within_their_error_from_few_to_millions),
        cmocka_unit_test(what_comes_again_counts_once_in_any_order),
        cmocka_unit_test(the_merge_of_two_is_what_one_would_be_that_saw_both),
        cmocka_unit_test(hashes_of_any_shape_stay_in_their_register),
        cmocka_unit_test(without_memory_what_was_counted_stays),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

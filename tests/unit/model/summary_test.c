#include "../pseudo_random.h"
#include "../test.h"

#include "base/bits.h"
#include "model/summary.h"
#include "model/value.h"

#include <math.h>

enum { SAMPLES = 60 };

/* What a value may be drawn from. */
enum ingredients { PLAIN = 0, WITH_NAN = 1, WITH_STALE = 2, WITH_INFINITY = 4, WITH_ZEROS = 8 };

static double random_value(uint64_t *random, unsigned ingredients)
{
    switch (random_below(random, 12)) {
    case 0:
        if (ingredients & WITH_NAN)
            return double_of_bits(UINT64_C(0x7ff8000000000000) | random_below(random, 1000));
        break;
    case 1:
        if (ingredients & WITH_STALE)
            return double_of_bits(VALUE_STALE_BITS);
        break;
    case 2:
        if (ingredients & WITH_INFINITY)
            return random_below(random, 2) == 0 ? INFINITY : -INFINITY;
        break;
    case 3:
    case 4:
        if (ingredients & WITH_ZEROS)
            return random_below(random, 2) == 0 ? 0.0 : -0.0;
        break;
    case 5:
        return ldexp(random_below(random, 1000), (int)random_below(random, 200) - 100);
    }
    return ((double)random_below(random, 2000000) - 1000000) / 64;
}

static bool same_bits(double a, double b)
{
    return bits_of_double(a) == bits_of_double(b);
}

/* Both NaN, the same infinity, or apart by less than `error`. */
static bool near(double a, double b, double error)
{
    return (isnan(a) && isnan(b)) || a == b || fabs(a - b) <= error;
}

static struct summary summary_of(const int64_t *times, const double *values, size_t count)
{
    struct summary summary;
    summary_init(&summary);
    summary_add(&summary, times, values, count);
    return summary;
}

/* Sums of absolute values, for what rounding may cost. */
static double magnitude(const double *values, size_t count)
{
    double total = 0;
    for (size_t i = 0; i < count; i++)
        total += isfinite(values[i]) ? fabs(values[i]) : 0;
    return total;
}

static void check_same(const struct summary *a, const struct summary *b, double size)
{
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->stale_count, b->stale_count);
    assert_int_equal(a->nan_count, b->nan_count);
    assert_true(same_bits(a->min, b->min) && same_bits(a->max, b->max));
    if (a->count > 0) {
        assert_int_equal(a->first_ms, b->first_ms);
        assert_int_equal(a->last_ms, b->last_ms);
        assert_true(same_bits(a->first, b->first) && same_bits(a->last, b->last));
    }
    assert_true(near(summary_sum(a), summary_sum(b), 1e-15 * fabs(summary_sum(a)) + 1e-27 * size));
    assert_true(near(a->increase, b->increase, 1e-13 * size));
}

static void combining_runs_is_adding_their_samples(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20000; seed++) {
        uint64_t random = seed;
        int64_t times[SAMPLES];
        double values[SAMPLES];
        size_t count = random_below(&random, SAMPLES + 1);
        for (size_t i = 0; i < count; i++) {
            times[i] = (i == 0 ? -1000 : times[i - 1]) + 1 + random_below(&random, 100);
            values[i] = random_value(&random, (unsigned)seed % 16);
        }
        struct summary whole = summary_of(times, values, count);
        /* Split into up to five runs, combined from the left or the last ones first. */
        size_t cuts[6] = {0, 0, 0, 0, 0, count};
        for (int i = 1; i < 5; i++)
            cuts[i] = cuts[i - 1] + random_below(&random, (uint32_t)(count - cuts[i - 1]) + 1);
        struct summary runs[5];
        for (int i = 0; i < 5; i++)
            runs[i] = summary_of(times + cuts[i], values + cuts[i], cuts[i + 1] - cuts[i]);
        struct summary left = runs[0];
        for (int i = 1; i < 5; i++)
            summary_combine(&left, &runs[i]);
        struct summary right = runs[4];
        for (int i = 4; i-- > 0;) {
            struct summary earlier = runs[i];
            summary_combine(&earlier, &right);
            right = earlier;
        }
        double size = magnitude(values, count);
        check_same(&whole, &left, size);
        check_same(&whole, &right, size);
    }
}

static void adding_in_pieces_is_adding_at_once_bit_for_bit(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 1000; seed++) {
        uint64_t random = seed;
        int64_t times[SAMPLES];
        double values[SAMPLES];
        struct summary pieces;
        summary_init(&pieces);
        for (size_t i = 0; i < SAMPLES; i++) {
            times[i] = (int64_t)i;
            values[i] = random_value(&random, WITH_STALE | WITH_ZEROS);
            summary_add(&pieces, &times[i], &values[i], 1);
        }
        struct summary whole = summary_of(times, values, SAMPLES);
        assert_memory_equal(&pieces, &whole, sizeof whole);
    }
}

static void a_stale_marker_is_counted_and_otherwise_not_there(void **state)
{
    (void)state;
    double stale = double_of_bits(VALUE_STALE_BITS);
    struct summary summary =
        summary_of((int64_t[]){1, 2, 3, 4, 5}, (double[]){stale, 3, stale, 5, stale}, 5);
    assert_int_equal(summary.count, 2);
    assert_int_equal(summary.stale_count, 3);
    assert_int_equal(summary.nan_count, 0);
    assert_int_equal(summary.first_ms, 2);
    assert_int_equal(summary.last_ms, 4);
    assert_true(summary.min == 3 && summary.max == 5 && summary_sum(&summary) == 8);
    assert_true(summary.increase == 2);
    struct summary only = summary_of((int64_t[]){6}, &stale, 1);
    assert_int_equal(only.count, 0);
    summary_combine(&only, &summary);
    assert_int_equal(only.stale_count, 4);
    assert_int_equal(only.first_ms, 2);
}

static void a_nan_is_an_ordinary_value_to_first_and_last_only(void **state)
{
    (void)state;
    double nan = double_of_bits(UINT64_C(0xfff8000000000abc));
    struct summary summary = summary_of((int64_t[]){1, 2, 3}, (double[]){nan, 3, nan}, 3);
    assert_int_equal(summary.count, 3);
    assert_int_equal(summary.nan_count, 2);
    assert_true(same_bits(summary.first, nan) && same_bits(summary.last, nan));
    assert_true(summary.min == 3 && summary.max == 3);
    assert_true(isnan(summary_sum(&summary)) && isnan(summary.increase));
    struct summary only = summary_of((int64_t[]){1}, &nan, 1);
    assert_true(only.min == INFINITY && only.max == -INFINITY);
}

static void infinities_are_summed_as_they_stand(void **state)
{
    (void)state;
    struct summary up = summary_of((int64_t[]){1, 2, 3}, (double[]){1, INFINITY, 2}, 3);
    assert_true(summary_sum(&up) == INFINITY);
    struct summary down = summary_of((int64_t[]){4, 5}, (double[]){-INFINITY, 1e300}, 2);
    assert_true(summary_sum(&down) == -INFINITY);
    summary_combine(&up, &down);
    assert_true(isnan(summary_sum(&up)));
    assert_true(up.min == -INFINITY && up.max == INFINITY);
}

static void a_reset_counts_what_the_counter_reached_since(void **state)
{
    (void)state;
    struct summary whole = summary_of((int64_t[]){1, 2, 3, 4, 5}, (double[]){10, 15, 3, 3, 7}, 5);
    assert_true(whole.increase == 5 + 3 + 0 + 4);
    /* The reset lies between the two runs. */
    struct summary before = summary_of((int64_t[]){1, 2}, (double[]){10, 15}, 2);
    struct summary after = summary_of((int64_t[]){3, 4, 5}, (double[]){3, 3, 7}, 3);
    summary_combine(&before, &after);
    assert_true(before.increase == whole.increase);
}

static void small_terms_are_not_lost_beside_large_ones(void **state)
{
    (void)state;
    struct summary summary =
        summary_of((int64_t[]){1, 2, 3, 4}, (double[]){1, 1e100, 1, -1e100}, 4);
    assert_true(summary_sum(&summary) == 2);
    struct summary first = summary_of((int64_t[]){1, 2}, (double[]){1, 1e100}, 2);
    struct summary second = summary_of((int64_t[]){3, 4}, (double[]){1, -1e100}, 2);
    summary_combine(&first, &second);
    assert_true(summary_sum(&first) == 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(combining_runs_is_adding_their_samples),
        cmocka_unit_test(adding_in_pieces_is_adding_at_once_bit_for_bit),
        cmocka_unit_test(a_stale_marker_is_counted_and_otherwise_not_there),
        cmocka_unit_test(a_nan_is_an_ordinary_value_to_first_and_last_only),
        cmocka_unit_test(infinities_are_summed_as_they_stand),
        cmocka_unit_test(a_reset_counts_what_the_counter_reached_since),
        cmocka_unit_test(small_terms_are_not_lost_beside_large_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

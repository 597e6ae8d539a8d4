#include "../test.h"

#include "os/thread.h"
#include "telemetry/telemetry.h"

static const struct histogram_bounds three = {.scale = 1, .count = 3, .bounds = {10, 20, 30}};

static void a_bound_belongs_to_its_bucket_and_the_rest_goes_above(void **state)
{
    (void)state;
    struct histogram histogram;
    histogram_init(&histogram, &three);
    const uint64_t amounts[] = {0, 10, 11, 20, 30, 31, UINT32_MAX};
    for (size_t i = 0; i < sizeof amounts / sizeof amounts[0]; i++)
        histogram_record(&histogram, amounts[i]);
    assert_int_equal(histogram.buckets[0], 2);
    assert_int_equal(histogram.buckets[1], 2);
    assert_int_equal(histogram.buckets[2], 1);
    assert_int_equal(histogram.buckets[3], 2);
    assert_int_equal(histogram.sum, 102 + (uint64_t)UINT32_MAX);
}

static void rising(const struct histogram_bounds *bounds)
{
    assert_in_range(bounds->count, 1, HISTOGRAM_MAX_BOUNDS);
    for (size_t i = 1; i < bounds->count; i++)
        assert_true(bounds->bounds[i] > bounds->bounds[i - 1]);
}

static void the_bounds_rise_and_span_a_tenth_of_a_ms_to_half_a_minute(void **state)
{
    (void)state;
    rising(&histogram_latency_bounds);
    assert_int_equal(histogram_latency_bounds.bounds[0], 100000);
    assert_int_equal(histogram_latency_bounds.bounds[histogram_latency_bounds.count - 1],
                     INT64_C(30000000000));
}

enum { THREADS = 4, ROUNDS = 20000 };

static void record_many(void *context)
{
    for (uint64_t i = 0; i < ROUNDS; i++)
        histogram_record(context, i % 40);
}

static void no_record_is_lost_between_threads(void **state)
{
    (void)state;
    struct histogram histogram;
    histogram_init(&histogram, &three);
    struct thread *threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(
            threads_start(threads_posix(), "record", record_many, &histogram, &threads[i], NULL),
            STATUS_OK);
    for (size_t i = 0; i < THREADS; i++)
        threads_join(threads_posix(), threads[i]);
    uint64_t count = 0;
    for (size_t i = 0; i <= three.count; i++)
        count += histogram.buckets[i];
    assert_int_equal(count, THREADS * ROUNDS);
    assert_int_equal(histogram.sum, (uint64_t)THREADS * (ROUNDS / 40) * (39 * 40 / 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bound_belongs_to_its_bucket_and_the_rest_goes_above),
        cmocka_unit_test(the_bounds_rise_and_span_a_tenth_of_a_ms_to_half_a_minute),
        cmocka_unit_test(no_record_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

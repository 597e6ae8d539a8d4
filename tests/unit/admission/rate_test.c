#include "../test.h"

#include "../pseudo_random.h"
#include "admission/rate.h"

#define SECOND INT64_C(1000000000)

static unsigned taken(struct rate_bucket *bucket, uint64_t per_second, int64_t now_ns,
                      unsigned wanted)
{
    unsigned count = 0;
    while (count < wanted && rate_has(bucket, per_second, now_ns)) {
        rate_take(bucket);
        count++;
    }
    return count;
}

static void a_bucket_begins_with_what_a_second_brings_and_holds_no_more(void **state)
{
    (void)state;
    static const uint64_t rates[] = {1, 3, 1000, 1000000};
    for (size_t i = 0; i < sizeof rates / sizeof rates[0]; i++) {
        struct rate_bucket bucket = {0};
        unsigned rate = (unsigned)rates[i];
        assert_int_equal(taken(&bucket, rate, 1, 2 * rate), rate);
        assert_int_equal(taken(&bucket, rate, 1 + SECOND, 2 * rate), rate);
        assert_int_equal(taken(&bucket, rate, INT64_MAX, 2 * rate), rate);
    }
}

/* However often it is asked, between two questions nothing is lost, and nothing is made. */
static void the_rate_is_exact_for_any_time_between_two_questions(void **state)
{
    (void)state;
    static const uint64_t rates[] = {1, 3, 7, 1000, 999999};
    static const uint32_t gaps[] = {7, 90, 400, 1500, 20000, 1000000};
    for (size_t i = 0; i < 5 * 6; i++) {
        uint64_t rate = rates[i / 6];
        uint64_t random = i + 1;
        struct rate_bucket bucket = {0};
        int64_t now = 5 * SECOND;
        (void)taken(&bucket, rate, now, (unsigned)rate);
        uint64_t count = 0;
        int64_t start = now;
        for (int n = 0; n < 2000000 && now - start < 10 * SECOND; n++) {
            now += random_below(&random, 2 * gaps[i % 6]);
            count += taken(&bucket, rate, now, 1000000);
        }
        uint64_t exact = (uint64_t)((__int128)(now - start) * rate / SECOND);
        /* A bucket of one is full before it is asked again. */
        if (count != exact && !(rate == 1 && count + 1 == exact))
            test_fail("%u at %u a second with %u ns between, not %u", (unsigned)count,
                      (unsigned)rate, gaps[i % 6], (unsigned)exact);
    }
}

static void a_clock_that_stands_or_goes_back_gives_nothing(void **state)
{
    (void)state;
    struct rate_bucket bucket = {0};
    assert_int_equal(taken(&bucket, 10, 100 * SECOND, 20), 10);
    assert_int_equal(taken(&bucket, 10, 100 * SECOND, 20), 0);
    assert_int_equal(taken(&bucket, 10, 50 * SECOND, 20), 0);
    assert_int_equal(taken(&bucket, 10, 100 * SECOND + SECOND / 2, 20), 5);
}

static void a_changed_rate_holds_at_once(void **state)
{
    (void)state;
    struct rate_bucket bucket = {0};
    assert_true(rate_has(&bucket, 1000000000, SECOND));
    assert_int_equal(taken(&bucket, 2, SECOND, 20), 2);
    assert_int_equal(taken(&bucket, 1000000000, SECOND + 3, 20), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bucket_begins_with_what_a_second_brings_and_holds_no_more),
        cmocka_unit_test(the_rate_is_exact_for_any_time_between_two_questions),
        cmocka_unit_test(a_clock_that_stands_or_goes_back_gives_nothing),
        cmocka_unit_test(a_changed_rate_holds_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

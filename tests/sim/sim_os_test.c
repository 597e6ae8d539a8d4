#include "../unit/test.h"

#include "sim_os.h"

static void the_wall_clock_jumps_and_monotonic_time_does_not_notice(void **state)
{
    (void)state;
    struct sim_clock clock;
    sim_clock_init(&clock, 1000000);
    int64_t before = clock_monotonic_ns(&clock.clock);
    sim_clock_jump(&clock, -500000);
    assert_int_equal(clock_wall_ms(&clock.clock), 500000);
    assert_true(clock_monotonic_ns(&clock.clock) > before);
    clock_sleep_ms(&clock.clock, 10);
    assert_int_equal(clock_wall_ms(&clock.clock), 500010);
    assert_true(clock_monotonic_ns(&clock.clock) >= before + 10000000);
}

static void random_bytes_repeat_with_their_seed(void **state)
{
    (void)state;
    struct sim_random a;
    struct sim_random b;
    struct sim_random c;
    sim_random_init(&a, 7);
    sim_random_init(&b, 7);
    sim_random_init(&c, 8);
    uint64_t first = random_u64(&a.random);
    assert_true(first == random_u64(&b.random));
    assert_true(first != random_u64(&c.random));
    assert_true(first != random_u64(&a.random));
}

static void do_nothing(void *context)
{
    (void)context;
}

static void threads_refuse_to_start(void **state)
{
    (void)state;
    struct thread *thread = NULL;
    assert_int_equal(threads_start(sim_threads(), "any", do_nothing, NULL, &thread, NULL),
                     STATUS_UNAVAILABLE);
    assert_null(thread);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_wall_clock_jumps_and_monotonic_time_does_not_notice),
        cmocka_unit_test(random_bytes_repeat_with_their_seed),
        cmocka_unit_test(threads_refuse_to_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

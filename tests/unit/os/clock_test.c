#include "../test.h"

#include "os/clock.h"

#include <time.h>

static void wall_time_is_in_unix_milliseconds(void **state)
{
    (void)state;
    int64_t before = (int64_t)time(NULL) * 1000;
    int64_t now = clock_wall_ms(clock_system());
    assert_true(now >= before - 1000 && now < before + 60000);
}

static void sleeping_lasts_at_least_as_long_as_asked(void **state)
{
    (void)state;
    struct clock *clock = clock_system();
    int64_t before = clock_monotonic_ns(clock);
    clock_sleep_ms(clock, 3);
    assert_true(clock_monotonic_ns(clock) - before >= 3000000);
    clock_sleep_ms(clock, 0);
    clock_sleep_ms(clock, -5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wall_time_is_in_unix_milliseconds),
        cmocka_unit_test(sleeping_lasts_at_least_as_long_as_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

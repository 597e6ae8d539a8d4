#include "storage/engine/day_set.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct day_set set_of(const int64_t *days, size_t count)
{
    struct day_set set = {0};
    for (size_t i = 0; i < count; i++)
        assert_int_equal(day_set_add(&set, days[i]), STATUS_OK);
    return set;
}

static void days_are_kept_in_order_and_once(void **state)
{
    (void)state;
    static const int64_t days[] = {20, -3, 7, 20, 8, 7, 6, -3, 5};
    static const int64_t rising[] = {-3, 5, 6, 7, 8, 20};
    struct day_set set = set_of(days, sizeof days / sizeof days[0]);
    assert_int_equal(set.count, sizeof rising / sizeof rising[0]);
    assert_memory_equal(set.days, rising, sizeof rising);
    day_set_release(&set);
}

static void a_day_is_found_whether_or_not_days_before_it_are_missing(void **state)
{
    (void)state;
    static const int64_t without_gaps[] = {-1, 0, 1, 2, 3, 4};
    static const int64_t with_gaps[] = {-1, 0, 2, 3, 7};
    struct day_set set = set_of(without_gaps, 6);
    for (int64_t day = -3; day < 10; day++)
        assert_int_equal(day_set_has(&set, day), day >= -1 && day <= 4);
    day_set_release(&set);
    set = set_of(with_gaps, 5);
    for (int64_t day = -3; day < 10; day++)
        assert_int_equal(day_set_has(&set, day),
                         day == -1 || day == 0 || day == 2 || day == 3 || day == 7);
    day_set_release(&set);
}

static void days_at_the_ends_of_what_is_possible_are_found(void **state)
{
    (void)state;
    static const int64_t days[] = {INT64_MIN, 0, INT64_MAX};
    struct day_set set = {0};
    assert_false(day_set_has(&set, 0));
    set = set_of(days, 3);
    for (size_t i = 0; i < 3; i++)
        assert_true(day_set_has(&set, days[i]));
    assert_false(day_set_has(&set, INT64_MIN + 1));
    assert_false(day_set_has(&set, INT64_MAX - 1));
    day_set_release(&set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(days_are_kept_in_order_and_once),
        cmocka_unit_test(a_day_is_found_whether_or_not_days_before_it_are_missing),
        cmocka_unit_test(days_at_the_ends_of_what_is_possible_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "os/descriptors.h"

#include <sys/resource.h>

#include "../test.h"

static void the_soft_limit_is_raised_to_the_hard_one(void **state)
{
    (void)state;
    struct rlimit before, limit;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = (struct rlimit){.rlim_cur = 100, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    uint64_t raised = descriptors_raise();
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(limit.rlim_cur, before.rlim_max);
    assert_true(raised == before.rlim_max || before.rlim_max == RLIM_INFINITY);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
}

static void connections_get_what_the_limit_leaves_to_them(void **state)
{
    (void)state;
    assert_int_equal(descriptors_for_connections(UINT64_MAX, 300, 1024), 1024);
    assert_int_equal(descriptors_for_connections(1324, 300, 1024), 1024);
    assert_int_equal(descriptors_for_connections(1323, 300, 1024), 1023);
    assert_int_equal(descriptors_for_connections(300, 300, 1024), 100);
    assert_int_equal(descriptors_for_connections(24, 300, 1024), 8);
    assert_int_equal(descriptors_for_connections(24, 300, 5), 5);
    assert_int_equal(descriptors_for_connections(0, 300, 1024), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_soft_limit_is_raised_to_the_hard_one),
        cmocka_unit_test(connections_get_what_the_limit_leaves_to_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

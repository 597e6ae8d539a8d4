/*
 * test - what every unit test includes: cmocka with the headers it wants before it.
 */
#ifndef METRIC_STORE_TESTS_UNIT_TEST_H
#define METRIC_STORE_TESTS_UNIT_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

/* cmocka's fail() would hide ours (base/status.h), and its fail_msg() would then call ours. */
#undef fail
#undef fail_msg
#define test_fail(...) (print_error(__VA_ARGS__), print_error("\n"), _fail(__FILE__, __LINE__))

#endif

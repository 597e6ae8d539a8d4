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

/* cmocka's fail() would hide ours (base/status.h). */
#undef fail
#define test_fail(...) fail_msg(__VA_ARGS__)

#endif

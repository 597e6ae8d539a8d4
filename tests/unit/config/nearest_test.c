#include "../test.h"

#include "config/nearest.h"

static unsigned distance(const char *a, const char *b)
{
    unsigned there = nearest_distance(slice_from_text(a), slice_from_text(b));
    assert_int_equal(there, nearest_distance(slice_from_text(b), slice_from_text(a)));
    return there;
}

static void each_kind_of_slip_counts_one(void **state)
{
    (void)state;
    assert_int_equal(distance("listen", "listen"), 0);
    assert_int_equal(distance("listen", "LISTEN"), 0);
    assert_int_equal(distance("listn", "listen"), 1);
    assert_int_equal(distance("listenn", "listen"), 1);
    assert_int_equal(distance("lasten", "listen"), 1);
    assert_int_equal(distance("litsen", "listen"), 1);
    assert_int_equal(distance("", "abc"), 3);
    assert_int_equal(distance("kitten", "sitting"), 3);
}

static void a_name_of_any_length_is_compared_up_to_the_maximum(void **state)
{
    (void)state;
    char text[3 * NEAREST_NAME_MAX];
    memset(text, 'x', sizeof text);
    assert_int_equal(nearest_distance(slice_of(text, sizeof text), slice_from_text("x")),
                     NEAREST_NAME_MAX - 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_slip_counts_one),
        cmocka_unit_test(a_name_of_any_length_is_compared_up_to_the_maximum),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

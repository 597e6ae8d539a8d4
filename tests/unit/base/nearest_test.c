#include "../test.h"

#include "base/nearest.h"

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

static struct nearest nearest_of(const char *name, enum nearest_reach reach)
{
    static const char *const valid[] = {"name", "labels", "value", "valve", "unit"};
    struct nearest nearest = nearest_to(slice_from_text(name), reach);
    for (size_t i = 0; i < sizeof valid / sizeof valid[0]; i++)
        nearest_offer(&nearest, i, slice_from_text(valid[i]));
    return nearest;
}

static void assert_nearest(const char *name, enum nearest_reach reach, size_t index)
{
    struct nearest nearest = nearest_of(name, reach);
    if (!nearest.found || nearest.index != index)
        test_fail("\"%s\": found %d, index %zu", name, nearest.found, nearest.index);
}

static void the_nearest_name_is_found_and_the_first_of_equals(void **state)
{
    (void)state;
    assert_nearest("labels", NEAREST_SLIPS, 1);
    assert_nearest("label", NEAREST_SLIPS, 1);
    assert_nearest("Naem", NEAREST_SLIPS, 0);
    assert_nearest("valve", NEAREST_SLIPS, 3);
    assert_nearest("vale", NEAREST_SLIPS, 2);
    assert_nearest("ui", NEAREST_SLIPS, 4);
}

static void nothing_is_near_beyond_two_slips_unless_any_will_do(void **state)
{
    (void)state;
    assert_false(nearest_of("", NEAREST_SLIPS).found);
    assert_false(nearest_of("u", NEAREST_SLIPS).found);
    assert_false(nearest_of("timestamp", NEAREST_SLIPS).found);
    assert_nearest("", NEAREST_ANY, 0);
    assert_nearest("u", NEAREST_ANY, 4);
    assert_false(nearest_to(slice_from_text("x"), NEAREST_ANY).found);
}

static void a_name_that_is_wrong_by_more_than_half_is_near_to_none(void **state)
{
    (void)state;
    assert_nearest("valu", NEAREST_LIKELY, 2);
    assert_nearest("laebls", NEAREST_LIKELY, 1);
    assert_nearest("na", NEAREST_SLIPS, 0);
    assert_false(nearest_of("na", NEAREST_LIKELY).found);
    assert_false(nearest_of("", NEAREST_LIKELY).found);
    assert_false(nearest_of("u", NEAREST_LIKELY).found);
    assert_false(nearest_of("timestamp", NEAREST_LIKELY).found);
}

static void a_name_of_any_length_has_a_nearest(void **state)
{
    (void)state;
    char text[4 * NEAREST_NAME_MAX + 1];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = 0;
    assert_false(nearest_of(text, NEAREST_SLIPS).found);
    assert_nearest(text, NEAREST_ANY, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_slip_counts_one),
        cmocka_unit_test(a_name_of_any_length_is_compared_up_to_the_maximum),
        cmocka_unit_test(the_nearest_name_is_found_and_the_first_of_equals),
        cmocka_unit_test(nothing_is_near_beyond_two_slips_unless_any_will_do),
        cmocka_unit_test(a_name_that_is_wrong_by_more_than_half_is_near_to_none),
        cmocka_unit_test(a_name_of_any_length_has_a_nearest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

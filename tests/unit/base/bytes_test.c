#include "../test.h"

#include "base/bytes.h"

static void append_past_the_maximum_is_refused_and_changes_nothing(void **state)
{
    (void)state;
    struct bytes bytes;
    bytes_init(&bytes, 100);
    assert_int_equal(bytes_append(&bytes, "0123456789", 10), STATUS_OK);
    uint8_t large[91] = {0};
    assert_int_equal(bytes_append(&bytes, large, sizeof large), STATUS_LIMIT);
    assert_int_equal(bytes.size, 10);
    assert_memory_equal(bytes.data, "0123456789", 10);
    assert_int_equal(bytes_append(&bytes, large, 90), STATUS_OK);
    assert_int_equal(bytes.size, 100);
    bytes_release(&bytes);
}

static void format_appends_without_its_terminator(void **state)
{
    (void)state;
    struct bytes bytes;
    bytes_init(&bytes, 1024);
    assert_int_equal(bytes_format(&bytes, "%s=%d", "a", 7), STATUS_OK);
    assert_int_equal(bytes_format(&bytes, ";"), STATUS_OK);
    assert_true(slice_equal_text(bytes_slice(&bytes), "a=7;"));
    bytes_release(&bytes);
}

static void a_share_bounds_what_all_take(void **state)
{
    (void)state;
    struct memory_share share = {.max = 1000};
    struct bytes first, second;
    bytes_init_shared(&first, 4096, &share);
    bytes_init_shared(&second, 4096, &share);
    assert_int_equal(bytes_reserve(&first, 700), STATUS_OK);
    assert_int_equal(memory_share_used(&share), first.capacity);
    assert_int_equal(bytes_reserve(&second, 700), STATUS_BUSY);
    assert_int_equal(memory_share_used(&share), first.capacity);
    bytes_release(&first);
    assert_int_equal(bytes_reserve(&second, 700), STATUS_OK);
    bytes_release(&second);
    assert_int_equal(memory_share_used(&share), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append_past_the_maximum_is_refused_and_changes_nothing),
        cmocka_unit_test(format_appends_without_its_terminator),
        cmocka_unit_test(a_share_bounds_what_all_take),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

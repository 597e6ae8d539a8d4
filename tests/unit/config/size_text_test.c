#include "../test.h"

#include "config/size_text.h"

static uint64_t size_of(const char *text)
{
    uint64_t size = 0;
    assert_true(size_parse(slice_from_text(text), &size));
    return size;
}

static void sizes_take_binary_and_decimal_units(void **state)
{
    (void)state;
    assert_int_equal(size_of("0"), 0);
    assert_int_equal(size_of("4096"), 4096);
    assert_int_equal(size_of("7B"), 7);
    assert_int_equal(size_of("512KiB"), 524288);
    assert_int_equal(size_of("64MiB"), 67108864);
    assert_int_equal(size_of("1GiB"), 1073741824);
    assert_int_equal(size_of("2TiB"), INT64_C(2199023255552));
    assert_int_equal(size_of("10MB"), 10000000);
    assert_int_equal(size_of("1kB"), 1000);
    assert_int_equal(size_of("18446744073709551615"), UINT64_MAX);
}

static void what_is_no_size_or_too_large_is_refused(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "",
        "MiB",
        "-1",
        "+1",
        "1.5GiB",
        "64 MiB",
        "64M",
        "64mib",
        "0x10",
        "64MiB ",
        "18446744073709551616",
        "16777216TiB",
        " 64MiB",
        "1e6",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        uint64_t size;
        if (size_parse(slice_from_text(refused[i]), &size))
            test_fail("\"%s\" was taken", refused[i]);
    }
}

static void a_size_is_written_in_the_largest_unit_that_loses_nothing(void **state)
{
    (void)state;
    static const char *const texts[] = {"0",     "1",    "1023", "1KiB", "1025",
                                        "64MiB", "3GiB", "10MB", "5TiB"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char text[SIZE_TEXT_SIZE];
        assert_int_equal(size_format(text, size_of(texts[i])), strlen(texts[i]));
        assert_string_equal(text, texts[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sizes_take_binary_and_decimal_units),
        cmocka_unit_test(what_is_no_size_or_too_large_is_refused),
        cmocka_unit_test(a_size_is_written_in_the_largest_unit_that_loses_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

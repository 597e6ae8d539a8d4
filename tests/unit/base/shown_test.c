#include "../test.h"

#include "base/shown.h"

static void shows(struct slice text, const char *expected)
{
    struct shown shown = shown_text(text);
    assert_string_equal(shown.text, expected);
}

#define BYTES(literal) slice_of(literal, sizeof(literal) - 1)

static void text_that_can_be_read_is_shown_as_it_is(void **state)
{
    (void)state;
    shows(slice_of(NULL, 0), "");
    shows(BYTES("now-1x \\ \"q\" %00"), "now-1x \\ \"q\" %00");
    shows(BYTES("K\xc3\xbc"
                "che \xc2\xa0 \xf0\x9f\x98\x80"),
          "K\xc3\xbc"
          "che \xc2\xa0 \xf0\x9f\x98\x80");
}

static void control_characters_are_escaped_and_a_zero_byte_ends_nothing(void **state)
{
    (void)state;
    shows(BYTES("\0"), "\\x00");
    shows(BYTES("a\0b\n\x1b[31m\x7f"), "a\\x00b\\x0a\\x1b[31m\\x7f");
    shows(BYTES("\xc2\x80 \xc2\x9b"), "\\xc2\\x80 \\xc2\\x9b");
}

static void bytes_that_are_no_utf_8_are_escaped_one_by_one(void **state)
{
    (void)state;
    shows(BYTES("\xff\xc3"), "\\xff\\xc3");
    shows(BYTES("\xed\xa0\x80z"), "\\xed\\xa0\\x80z");
}

static void what_is_too_long_is_cut_between_characters_and_escapes(void **state)
{
    (void)state;
    char text[SHOWN_MAX_SIZE + 3];
    memset(text, 'x', sizeof text);
    struct shown shown = shown_text(slice_of(text, sizeof text));
    assert_int_equal(strlen(shown.text), SHOWN_MAX_SIZE);
    memcpy(text + SHOWN_MAX_SIZE - 1, "\xc3\xbc", 2);
    shown = shown_text(slice_of(text, sizeof text));
    assert_int_equal(strlen(shown.text), SHOWN_MAX_SIZE - 1);
    text[SHOWN_MAX_SIZE - 3] = 0;
    shown = shown_text(slice_of(text, sizeof text));
    assert_int_equal(strlen(shown.text), SHOWN_MAX_SIZE - 3);
    memset(text, 0, sizeof text);
    shown = shown_text(slice_of(text, sizeof text));
    assert_int_equal(strlen(shown.text), SHOWN_MAX_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_that_can_be_read_is_shown_as_it_is),
        cmocka_unit_test(control_characters_are_escaped_and_a_zero_byte_ends_nothing),
        cmocka_unit_test(bytes_that_are_no_utf_8_are_escaped_one_by_one),
        cmocka_unit_test(what_is_too_long_is_cut_between_characters_and_escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

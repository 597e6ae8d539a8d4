#include "../test.h"

#include "base/json_text.h"

static void expect(struct slice text, const char *wanted)
{
    struct bytes to;
    bytes_init(&to, 1000);
    assert_int_equal(json_append_string(&to, text), STATUS_OK);
    struct slice got = bytes_slice(&to);
    if (got.size != strlen(wanted) || memcmp(got.data, wanted, got.size) != 0)
        test_fail("%.*s instead of %s", SLICE_FORMAT(got), wanted);
    bytes_release(&to);
}

static void text_becomes_one_json_string(void **state)
{
    (void)state;
    expect(slice_of(NULL, 0), "\"\"");
    expect(slice_from_text("plain / 50 %"), "\"plain / 50 %\"");
    expect(slice_from_text("a \"b\" \\ c"), "\"a \\\"b\\\" \\\\ c\"");
    expect(slice_from_text("\n\t\x1b\x7f"), "\"\\u000a\\u0009\\u001b\\u007f\"");
    expect(slice_of("a\0b", 3), "\"a\\u0000b\"");
    expect(slice_from_text("\xc3\xa9 \xf0\x9f\x98\x80"), "\"\xc3\xa9 \xf0\x9f\x98\x80\"");
}

static void bytes_that_are_no_utf8_are_replaced_and_what_follows_is_kept(void **state)
{
    (void)state;
    expect(slice_from_text("a\xff\"b"), "\"a\\ufffd\\\"b\"");
    expect(slice_from_text("\xe2\x82"), "\"\\ufffd\\ufffd\"");
    expect(slice_from_text("\xed\xa0\x80z"), "\"\\ufffd\\ufffd\\ufffdz\"");
}

static void a_full_buffer_is_told(void **state)
{
    (void)state;
    for (size_t room = 0; room < 7; room++) {
        struct bytes to;
        bytes_init(&to, room);
        assert_int_equal(json_append_string(&to, slice_from_text("a\"bc")), STATUS_LIMIT);
        bytes_release(&to);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_becomes_one_json_string),
        cmocka_unit_test(bytes_that_are_no_utf8_are_replaced_and_what_follows_is_kept),
        cmocka_unit_test(a_full_buffer_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "../test.h"

#include "base/utf8.h"

static bool valid(const char *text)
{
    return utf8_valid(slice_from_text(text));
}

static void well_formed_text_is_valid(void **state)
{
    (void)state;
    assert_true(valid(""));
    assert_true(utf8_valid(slice_of(NULL, 0)));
    assert_true(valid("plain ASCII, longer than the eight bytes taken at once"));
    assert_true(valid("\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xee\x80\x80 \xef\xbf\xbf"));
    assert_true(valid("\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf"));
    assert_true(utf8_valid(slice_of("a\0b", 3)));
}

static void malformed_text_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "\x80",             /* continuation without a lead */
        "\xc0\xaf",         /* overlong '/' */
        "\xc1\xbf",         /* overlong */
        "\xe0\x9f\xbf",     /* overlong */
        "\xf0\x8f\xbf\xbf", /* overlong */
        "\xed\xa0\x80",     /* surrogate */
        "\xed\xbf\xbf",     /* surrogate */
        "\xf4\x90\x80\x80", /* beyond U+10FFFF */
        "\xf5\x80\x80\x80",
        "\xff",
        "\xfe",
        "\xc2",         /* cut */
        "\xe2\x82",     /* cut */
        "\xf0\x9f\x98", /* cut */
        "\xe2\x28\xa1", /* second byte is no continuation */
        "\xe2\x82\x28", /* third byte is no continuation */
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_false(valid(cases[i]));
        char embedded[64];
        for (size_t before = 0; before < 17; before++) {
            snprintf(embedded, sizeof embedded, "%.*s%sabcdefgh", (int)before, "0123456789abcdefgh",
                     cases[i]);
            assert_false(valid(embedded));
        }
    }
}

/* The decoder written the plain way, to compare with over all short texts. */
static size_t plain_char_size(const uint8_t *at, size_t left)
{
    size_t size = at[0] < 0x80 ? 1 : (at[0] >> 5) == 6 ? 2 : (at[0] >> 4) == 14 ? 3 : 4;
    if ((size == 4 && (at[0] >> 3) != 30) || size > left)
        return 0;
    uint32_t code = size == 1 ? at[0] : at[0] & (0x7fu >> size);
    for (size_t i = 1; i < size; i++) {
        if ((at[i] >> 6) != 2)
            return 0;
        code = (code << 6) | (at[i] & 0x3f);
    }
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < least[size] || code > 0x10ffff || surrogate ? 0 : size;
}

static void every_text_of_three_bytes_is_judged_as_rfc_3629_says(void **state)
{
    (void)state;
    for (uint32_t code = 0; code < 1u << 24; code++) {
        const uint8_t text[3] = {(uint8_t)code, (uint8_t)(code >> 8), (uint8_t)(code >> 16)};
        size_t want = plain_char_size(text, 3);
        size_t got = utf8_char_size(slice_of(text, 3), 0);
        if (got != want)
            test_fail("%02x %02x %02x: got %zu, want %zu", text[0], text[1], text[2], got, want);
    }
}

static void a_prefix_never_cuts_a_character(void **state)
{
    (void)state;
    struct slice text = slice_from_text("a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z");
    static const size_t want[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11, 11};
    for (size_t max = 0; max < sizeof want / sizeof want[0]; max++)
        assert_int_equal(utf8_prefix(text, max), want[max]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_text_is_valid),
        cmocka_unit_test(malformed_text_is_refused),
        cmocka_unit_test(every_text_of_three_bytes_is_judged_as_rfc_3629_says),
        cmocka_unit_test(a_prefix_never_cuts_a_character),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

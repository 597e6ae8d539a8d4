#include "../test.h"

#include "base/bits.h"
#include "cxx/number.h"

static const char *formatted(double value)
{
    static char text[NUMBER_TEXT_SIZE + 1];
    size_t size = number_format(text, value);
    assert_true(size <= NUMBER_TEXT_SIZE);
    text[size] = 0;
    return text;
}

static void numbers_print_as_ecmascript_prints_them(void **state)
{
    (void)state;
    static const struct {
        double value;
        const char *text;
    } cases[] = {
        {0, "0"},
        {1, "1"},
        {-1, "-1"},
        {0.1, "0.1"},
        {-1.5, "-1.5"},
        {100, "100"},
        {123456789, "123456789"},
        {123.456, "123.456"},
        {1027, "1027"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1.0 / 3, "0.3333333333333333"},
        {1e-6, "0.000001"},
        {1.5e-6, "0.0000015"},
        {1e-7, "1e-7"},
        {1.5e-7, "1.5e-7"},
        {123e-20, "1.23e-18"},
        {1e20, "100000000000000000000"},
        {123456789012345680000.0, "123456789012345680000"},
        {1e21, "1e+21"},
        {1.5e21, "1.5e+21"},
        {-1e21, "-1e+21"},
        {9007199254740991, "9007199254740991"},
        {9007199254740992, "9007199254740992"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {5e-324, "5e-324"},
        {4.35, "4.35"},
        {1e23, "1e+23"},
        {1795305600000, "1795305600000"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_string_equal(formatted(cases[i].value), cases[i].text);
}

static void what_ecmascript_has_no_text_for_is_spelt_as_documented(void **state)
{
    (void)state;
    assert_string_equal(formatted(-0.0), "-0.0");
    assert_string_equal(formatted(__builtin_inf()), "+Inf");
    assert_string_equal(formatted(-__builtin_inf()), "-Inf");
    assert_string_equal(formatted(double_of_bits(UINT64_C(0x7ff0000000000002))), "NaN");
    assert_string_equal(formatted(double_of_bits(UINT64_C(0xfff8000000000001))), "NaN");
}

static void assert_round_trip(double value)
{
    char text[NUMBER_TEXT_SIZE];
    size_t size = number_format(text, value);
    double again;
    bool overflow = true;
    if (!number_parse(slice_of(text, size), &again, &overflow) || overflow ||
        bits_of_double(again) != bits_of_double(value))
        test_fail("%a prints as %.*s, which reads as %a", value, (int)size, text, again);
}

static void random_bits_and_random_decimals_read_back_equal(void **state)
{
    (void)state;
    uint64_t random = 88172645463325252u;
    for (int i = 0; i < 300000; i++) {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        double value = double_of_bits(random);
        if (value - value == 0)
            assert_round_trip(value);
        assert_round_trip((double)(random >> 40) / 1000.0);
        assert_round_trip((double)(random >> 11));
        assert_round_trip(double_of_bits(random >> 12)); /* subnormal */
    }
}

static void powers_of_two_and_ten_read_back_equal(void **state)
{
    (void)state;
    for (uint64_t exponent = 0; exponent < 0x7ff; exponent++) {
        assert_round_trip(double_of_bits(exponent << 52));
        assert_round_trip(double_of_bits((exponent << 52) + 1));
        assert_round_trip(-double_of_bits((exponent << 52) | UINT64_C(0xfffffffffffff)));
    }
    for (int exponent = -323; exponent <= 308; exponent++) {
        char text[16];
        snprintf(text, sizeof text, "1e%d", exponent);
        double value;
        bool overflow;
        assert_true(number_parse(slice_from_text(text), &value, &overflow));
        assert_int_equal(bits_of_double(value), bits_of_double(strtod(text, NULL)));
        assert_round_trip(value);
    }
}

static void numbers_are_read_correctly_rounded(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "0",
        "-0",
        "-0.0",
        "+2",
        "1",
        "1.",
        ".5",
        "-.5",
        "1e3",
        "1E3",
        "1e+3",
        "1e-3",
        "007",
        "9007199254740993",
        "9007199254740992.99999999999999999999999999999",
        "2.2250738585072011e-308",
        "2.2250738585072012e-308",
        "4.9406564584124654e-324",
        "2.4703282292062328e-324",
        "1.7976931348623157e308",
        "1.7976931348623158e308",
        "0.000000000000000000000000000000000000000000000000000000000000000000000000000000000001",
        "179769313486231570000000000000000000000e270",
        "6.02214076e23",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double value;
        bool overflow = true;
        if (!number_parse(slice_from_text(cases[i]), &value, &overflow) || overflow)
            test_fail("%s is refused", cases[i]);
        assert_int_equal(bits_of_double(value), bits_of_double(strtod(cases[i], NULL)));
    }
}

static void what_is_no_decimal_number_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",    "+",   "-",     ".",         "-.",    "e3",    ".e3",      "1e",
        "1e+", "1e-", "1.2.3", "1,5",       " 1",    "1 ",    "1\n",      "--1",
        "+-1", "-+1", "++1",   "0x10",      "0x",    "1f",    "nan",      "NaN",
        "inf", "Inf", "+Inf",  "-infinity", "1e3.5", "1_000", "\xd9\xa1", "one",
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double value;
        bool overflow;
        if (number_parse(slice_from_text(cases[i]), &value, &overflow))
            test_fail("'%s' is accepted", cases[i]);
    }
    double value;
    bool overflow;
    assert_false(number_parse(slice_of(NULL, 0), &value, &overflow));
    assert_false(number_parse(slice_of("1\0", 2), &value, &overflow));
    assert_true(number_parse(slice_of("123", 2), &value, &overflow));
    assert_true(value == 12);
}

/* Fills `text` with `before`, `count` zeros and `after`. */
static struct slice with_zeros(char *text, const char *before, size_t count, const char *after)
{
    size_t size = strlen(before);
    memcpy(text, before, size);
    memset(text + size, '0', count);
    memcpy(text + size + count, after, strlen(after));
    return slice_of(text, size + count + strlen(after));
}

static void magnitudes_beyond_a_double_are_infinite_and_said_so(void **state)
{
    (void)state;
    static char long_text[3000];
    const struct slice cases[] = {
        slice_from_text("1e400"),
        slice_from_text("1.7976931348623159e308"),
        slice_from_text("1e999999999999999999999999"),
        slice_from_text("0.0001e400"),
        with_zeros(long_text, "1", 600, ""),
        with_zeros(long_text + 1000, "0.", 600, "1e1000"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double value = 0;
        bool overflow = false;
        assert_true(number_parse(cases[i], &value, &overflow));
        assert_true(overflow);
        assert_true(value == __builtin_inf());
    }
    double value;
    bool overflow;
    assert_true(number_parse(slice_from_text("-1e400"), &value, &overflow));
    assert_true(overflow && value == -__builtin_inf());
}

static void magnitudes_below_a_double_are_zero_with_their_sign(void **state)
{
    (void)state;
    static char long_text[3000];
    const struct slice cases[] = {
        slice_from_text("1e-400"),
        slice_from_text("2.4703282292062327e-324"),
        slice_from_text("1e-999999999999999999999999"),
        slice_from_text("1000e-400"),
        slice_from_text("0e999999999999999999999999"),
        slice_from_text("0e400"),
        with_zeros(long_text, "0.", 600, "1"),
        with_zeros(long_text + 1000, "1", 600, "e-1200"),
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        double value = 1;
        bool overflow = true;
        assert_true(number_parse(cases[i], &value, &overflow));
        assert_false(overflow);
        assert_int_equal(bits_of_double(value), 0);
    }
    double value;
    bool overflow;
    assert_true(number_parse(slice_from_text("-1e-400"), &value, &overflow));
    assert_int_equal(bits_of_double(value), bits_of_double(-0.0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_print_as_ecmascript_prints_them),
        cmocka_unit_test(what_ecmascript_has_no_text_for_is_spelt_as_documented),
        cmocka_unit_test(random_bits_and_random_decimals_read_back_equal),
        cmocka_unit_test(powers_of_two_and_ten_read_back_equal),
        cmocka_unit_test(numbers_are_read_correctly_rounded),
        cmocka_unit_test(what_is_no_decimal_number_is_refused),
        cmocka_unit_test(magnitudes_beyond_a_double_are_infinite_and_said_so),
        cmocka_unit_test(magnitudes_below_a_double_are_zero_with_their_sign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

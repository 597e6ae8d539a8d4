#include "protocols/json_text.h"

#include "base/bits.h"
#include "cxx/number.h"

/* ---- strings ---- */

static bool text_refuse(struct json_fault *fault, const uint8_t *at, const char *what)
{
    *fault = (struct json_fault){
        .status = STATUS_INVALID,
        .code = "json_invalid",
        .what = what,
        .at = at,
    };
    return false;
}

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    uint8_t lower = byte | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

/* The code unit of "\uXXXX" at `at`; -1 when it is not that. */
static int32_t unicode_escape(const uint8_t *at, const uint8_t *end)
{
    if (end - at < 6 || at[0] != '\\' || at[1] != 'u')
        return -1;
    int32_t unit = 0;
    for (int i = 2; i < 6; i++) {
        int digit = hex_digit(at[i]);
        if (digit < 0)
            return -1;
        unit = unit * 16 + digit;
    }
    return unit;
}

/*
 * Reads the escape at `at`. Gives the position after it, or NULL when there is no such escape;
 * a surrogate pair is one escape, half of one is none.
 */
static const uint8_t *escape_get(const uint8_t *at, const uint8_t *end, uint32_t *character)
{
    static const char names[] = "\"\\/bfnrt";
    static const char values[] = "\"\\/\b\f\n\r\t";
    if (end - at < 2)
        return NULL;
    const char *name = at[1] == 0 ? NULL : strchr(names, at[1]);
    if (name != NULL) {
        *character = (uint8_t)values[name - names];
        return at + 2;
    }
    int32_t unit = unicode_escape(at, end);
    if (unit < 0)
        return NULL;
    *character = (uint32_t)unit;
    if (unit < 0xd800 || unit > 0xdfff)
        return at + 6;
    int32_t low = unicode_escape(at + 6, end);
    if (unit > 0xdbff || low < 0xdc00 || low > 0xdfff)
        return NULL;
    *character = 0x10000 + (((uint32_t)unit - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
    return at + 12;
}

/* Whether any of 8 bytes is a quote, a backslash or a control character (or, harmlessly, another
 * byte above 0x7f). */
static inline bool word_is_special(uint64_t word)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    uint64_t quote = word ^ (ones * '"');
    uint64_t backslash = word ^ (ones * '\\');
    uint64_t found = (quote - ones) | (backslash - ones) | (word - ones * 0x20) | word;
    return (found & (ones * 0x80)) != 0;
}

const uint8_t *json_string_end(const uint8_t *at, const uint8_t *end, struct json_fault *fault)
{
    const uint8_t *start = at++;
    while (at < end) {
        if (end - at >= 8 && !word_is_special(load_u64(at))) {
            at += 8;
            continue;
        }
        if (*at == '"')
            return at;
        if (*at < 0x20) {
            text_refuse(fault, at,
                        "a control character stands in a string; escape it as \\u00XX (or the "
                        "closing quote is missing)");
            return NULL;
        }
        if (*at != '\\') {
            at++;
            continue;
        }
        uint32_t character;
        const uint8_t *after = escape_get(at, end, &character);
        if (after == NULL) {
            text_refuse(fault, at, "an escape that JSON does not have, or half a surrogate pair");
            return NULL;
        }
        at = after;
    }
    text_refuse(fault, start, "a string is not closed");
    return NULL;
}

bool json_strings_check(struct slice text, struct json_fault *fault)
{
    const uint8_t *end = text.data + text.size;
    const uint8_t *at = text.data;
    while ((at = memchr(at, '"', (size_t)(end - at))) != NULL) {
        at = json_string_end(at, end, fault);
        if (at == NULL)
            return false;
        if (++at == end)
            break;
    }
    return true;
}

static uint8_t *utf8_put(uint8_t *to, uint32_t character)
{
    if (character < 0x80) {
        *to++ = (uint8_t)character;
        return to;
    }
    if (character < 0x800) {
        *to++ = (uint8_t)(0xc0 | character >> 6);
    } else {
        if (character < 0x10000) {
            *to++ = (uint8_t)(0xe0 | character >> 12);
        } else {
            *to++ = (uint8_t)(0xf0 | character >> 18);
            *to++ = (uint8_t)(0x80 | (character >> 12 & 0x3f));
        }
        *to++ = (uint8_t)(0x80 | (character >> 6 & 0x3f));
    }
    *to++ = (uint8_t)(0x80 | (character & 0x3f));
    return to;
}

struct slice json_string_text(struct slice quoted, struct arena *arena)
{
    struct slice inner = slice_of(quoted.data + 1, quoted.size - 2);
    const uint8_t *escape = inner.size == 0 ? NULL : memchr(inner.data, '\\', inner.size);
    if (escape == NULL)
        return inner;
    uint8_t *text = arena_alloc(arena, inner.size); /* an escape is never shorter than its text */
    if (text == NULL)
        return slice_of(NULL, 0);
    const uint8_t *at = inner.data;
    const uint8_t *end = inner.data + inner.size;
    uint8_t *to = text;
    while (escape != NULL) {
        memcpy(to, at, (size_t)(escape - at));
        to += escape - at;
        uint32_t character = 0;
        at = escape_get(escape, end, &character);
        if (at == NULL)
            return slice_of(NULL, 0);
        to = utf8_put(to, character);
        escape = at == end ? NULL : memchr(at, '\\', (size_t)(end - at));
    }
    memcpy(to, at, (size_t)(end - at));
    to += end - at;
    return slice_of(text, (size_t)(to - text));
}

/* ---- numbers ---- */

/* A number taken apart: (-1)^negative * mantissa * 10^exponent, exact where `exact`. */
struct decimal {
    bool negative;
    bool exact;
    bool integral_text; /* neither fraction nor exponent is written */
    uint64_t mantissa;
    int64_t exponent;
};

static inline bool is_digit(uint8_t byte)
{
    return (uint8_t)(byte - '0') < 10;
}

enum { MANTISSA_DIGITS = 19 }; /* always fit 64 bits */

/* Adds the run of digits at `at`; digits beyond what the mantissa holds make it inexact. */
static inline const uint8_t *digits_get(const uint8_t *at, const uint8_t *end, int *digits,
                                        struct decimal *number)
{
    while (at < end && is_digit(*at)) {
        if (*digits >= MANTISSA_DIGITS) {
            number->exact = false;
        } else {
            number->mantissa = number->mantissa * 10 + (uint64_t)(*at - '0');
            if (number->mantissa != 0)
                (*digits)++;
        }
        at++;
    }
    return at;
}

static bool exponent_get(const uint8_t *at, const uint8_t *end, int64_t *exponent)
{
    bool negative = at < end && *at == '-';
    if (at < end && (*at == '-' || *at == '+'))
        at++;
    if (at == end)
        return false;
    int64_t value = 0;
    for (; at < end && is_digit(*at); at++)
        if (value < 1000000) /* far beyond any double */
            value = value * 10 + (*at - '0');
    *exponent = negative ? -value : value;
    return at == end;
}

/* False when the text is not a number of JSON's grammar. */
static inline bool decimal_parse(struct slice text, struct decimal *number)
{
    const uint8_t *at = text.data;
    const uint8_t *end = text.data + text.size;
    *number = (struct decimal){.exact = true, .integral_text = true};
    if (at < end && *at == '-') {
        number->negative = true;
        at++;
    }
    int digits = 0;
    const uint8_t *first = at;
    at = digits_get(at, end, &digits, number);
    if (at == first || (*first == '0' && at - first > 1))
        return false;
    if (at < end && *at == '.') {
        number->integral_text = false;
        first = ++at;
        at = digits_get(at, end, &digits, number);
        if (at == first)
            return false;
        number->exponent = first - at;
    }
    if (at < end && (*at | 0x20) == 'e') {
        int64_t exponent;
        number->integral_text = false;
        if (!exponent_get(at + 1, end, &exponent))
            return false;
        number->exponent += exponent;
        at = end;
    }
    return at == end;
}

enum json_number json_number_parse(struct slice text, double *value)
{
    static const double powers[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                    1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    struct decimal number;
    if (!decimal_parse(text, &number))
        return JSON_NUMBER_INVALID;
    /* Both factors are exact doubles, so that one rounding gives the nearest (Clinger 1990). */
    if (number.exact && number.mantissa <= UINT64_C(1) << 53 && number.exponent >= -22 &&
        number.exponent <= 22) {
        double magnitude = (double)number.mantissa;
        magnitude = number.exponent < 0 ? magnitude / powers[-number.exponent]
                                        : magnitude * powers[number.exponent];
        *value = number.negative ? -magnitude : magnitude;
        return JSON_NUMBER_OK;
    }
    /* The grammar was checked: what number_parse refuses is out of range in very many digits. */
    bool overflow;
    if (!number_parse(text, value, &overflow) || overflow)
        return JSON_NUMBER_OVERFLOW;
    return JSON_NUMBER_OK;
}

enum json_number json_integer_parse(struct slice text, int64_t *value)
{
    struct decimal number;
    if (!decimal_parse(text, &number))
        return JSON_NUMBER_INVALID;
    if (!number.integral_text) {
        double real;
        enum json_number result = json_number_parse(text, &real);
        if (result != JSON_NUMBER_OK)
            return result;
        const double two_to_63 = 9223372036854775808.0;
        if (real < -two_to_63 || real >= two_to_63)
            return JSON_NUMBER_OVERFLOW;
        *value = (int64_t)real;
        return (double)*value == real ? JSON_NUMBER_OK : JSON_NUMBER_INVALID;
    }
    if (!number.exact || number.mantissa > INT64_MAX)
        return JSON_NUMBER_OVERFLOW;
    *value = number.negative ? -(int64_t)number.mantissa : (int64_t)number.mantissa;
    return JSON_NUMBER_OK;
}

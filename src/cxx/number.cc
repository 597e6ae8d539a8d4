#include "cxx/number.h"

#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>

namespace
{

size_t put(char *text, const char *word)
{
    size_t size = std::strlen(word);
    std::memcpy(text, word, size);
    return size;
}

/* Digits and decimal exponent: the value is 0.DIGITS * 10^point. */
struct decimal {
    char digits[24];
    int count;
    int point;
};

decimal shortest(double magnitude)
{
    char scientific[NUMBER_TEXT_SIZE];
    auto end = std::to_chars(scientific, scientific + sizeof scientific, magnitude,
                             std::chars_format::scientific);
    decimal result{};
    const char *at = scientific;
    for (; at < end.ptr && *at != 'e'; at++)
        if (*at != '.')
            result.digits[result.count++] = *at;
    int exponent = 0;
    at++;
    if (*at == '+')
        at++;
    std::from_chars(at, end.ptr, exponent);
    while (result.count > 1 && result.digits[result.count - 1] == '0')
        result.count--;
    result.point = exponent + 1;
    return result;
}

size_t put_exponent(char *text, const decimal &number)
{
    size_t size = 0;
    text[size++] = number.digits[0];
    if (number.count > 1) {
        text[size++] = '.';
        std::memcpy(text + size, number.digits + 1, static_cast<size_t>(number.count - 1));
        size += static_cast<size_t>(number.count - 1);
    }
    text[size++] = 'e';
    int exponent = number.point - 1;
    text[size++] = exponent < 0 ? '-' : '+';
    auto end = std::to_chars(text + size, text + NUMBER_TEXT_SIZE, std::abs(exponent));
    return static_cast<size_t>(end.ptr - text);
}

size_t put_plain(char *text, const decimal &number)
{
    size_t size = 0;
    if (number.point <= 0) {
        text[size++] = '0';
        text[size++] = '.';
        for (int i = number.point; i < 0; i++)
            text[size++] = '0';
    }
    for (int i = 0; i < number.count; i++) {
        if (i == number.point && i > 0)
            text[size++] = '.';
        text[size++] = number.digits[i];
    }
    for (int i = number.count; i < number.point; i++)
        text[size++] = '0';
    return size;
}

/* Whether the well-formed number in [at, end) is 1 or more, by where its first digit stands. */
bool at_least_one(const char *at, const char *end)
{
    int64_t point = 0;
    bool after_dot = false, significant = false;
    for (; at < end && *at != 'e' && *at != 'E'; at++) {
        if (*at == '.') {
            after_dot = true;
            continue;
        }
        significant = significant || *at != '0';
        if (significant && !after_dot)
            point++;
        else if (!significant && after_dot)
            point--;
    }
    if (at == end)
        return point > 0;
    at++;
    bool down = *at == '-';
    if (*at == '+')
        at++;
    int64_t exponent = 0;
    if (std::from_chars(at, end, exponent).ec == std::errc::result_out_of_range)
        return !down;
    int64_t place;
    return __builtin_add_overflow(point, exponent, &place) ? !down : place > 0;
}

} // namespace

size_t number_format(char text[NUMBER_TEXT_SIZE], double value)
{
    if (std::isnan(value))
        return put(text, "NaN");
    if (std::isinf(value))
        return put(text, value > 0 ? "+Inf" : "-Inf");
    if (value == 0)
        return put(text, std::signbit(value) ? "-0.0" : "0");
    size_t sign = 0;
    if (value < 0)
        text[sign++] = '-';
    decimal number = shortest(std::fabs(value));
    bool plain = number.point > -6 && number.point <= 21;
    return sign + (plain ? put_plain(text + sign, number) : put_exponent(text + sign, number));
}

bool number_parse(struct slice text, double *value, bool *overflow)
{
    *overflow = false;
    const char *at = reinterpret_cast<const char *>(text.data);
    const char *end = at + text.size;
    bool negative = false;
    if (at < end && (*at == '+' || *at == '-'))
        negative = *at++ == '-';
    /* from_chars also reads "inf", "nan" and a second '-'; a number begins with a digit or a dot.
     */
    if (at == end || !((*at >= '0' && *at <= '9') || *at == '.'))
        return false;
    double magnitude = 0;
    auto result = std::from_chars(at, end, magnitude);
    if (result.ptr != end ||
        (result.ec != std::errc() && result.ec != std::errc::result_out_of_range))
        return false;
    if (result.ec == std::errc::result_out_of_range) {
        /* from_chars leaves the value alone then, and does not tell overflow from underflow. */
        *overflow = at_least_one(at, end);
        magnitude = *overflow ? std::numeric_limits<double>::infinity() : 0;
    }
    *value = negative ? -magnitude : magnitude;
    return true;
}

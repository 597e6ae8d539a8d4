#include "storage/engine/value_scale.h"

#include "base/bits.h"
#include "base/invariant.h"

/* Above, a rounded quotient may be another decimal's; and more digits than 15 or 16 are noise. */
#define LARGEST_SCALED  0x1p53
#define LARGEST_INTEGER 0x1p62

enum { SAMPLES = 32 };

static const double powers[SCALE_MAX + 1] = {
    1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
    1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
};

static double power(int exponent)
{
    invariant(exponent >= 0 && exponent <= SCALE_MAX);
    return powers[exponent];
}

static inline int64_t nearest(double value)
{
    return (int64_t)(value + __builtin_copysign(0.5, value));
}

static inline bool same_bits(double a, double b)
{
    return bits_of_double(a) == bits_of_double(b);
}

bool scale_to_integer(double value, int scale, int64_t *integer)
{
    if (scale == SCALE_BITS) {
        *integer = (int64_t)bits_of_double(value);
        return true;
    }
    if (scale == 0) {
        if (!(__builtin_fabs(value) < LARGEST_INTEGER))
            return false;
        *integer = (int64_t)value;
        return same_bits((double)*integer, value);
    }
    double scaled = scale < 0 ? value * power(-scale) : value / power(scale);
    if (!(__builtin_fabs(scaled) < LARGEST_SCALED))
        return false;
    *integer = nearest(scaled);
    return same_bits(scale_to_double(*integer, scale), value);
}

double scale_to_double(int64_t integer, int scale)
{
    if (scale == SCALE_BITS)
        return double_of_bits((uint64_t)integer);
    return scale < 0 ? (double)integer / power(-scale) : (double)integer * power(scale);
}

void scale_to_doubles(const int64_t *integers, size_t count, int scale, double *values)
{
    if (scale == SCALE_BITS) {
        memcpy(values, integers, count * sizeof *values);
        return;
    }
    if (scale == 0) {
        for (size_t i = 0; i < count; i++)
            values[i] = (double)integers[i];
    } else if (scale < 0) {
        double divisor = power(-scale);
        for (size_t i = 0; i < count; i++)
            values[i] = (double)integers[i] / divisor;
    } else {
        double factor = power(scale);
        for (size_t i = 0; i < count; i++)
            values[i] = (double)integers[i] * factor;
    }
}

bool scale_find(double value, int from, int *scale)
{
    int64_t integer;
    if (__builtin_fabs(value) < LARGEST_INTEGER) {
        for (int s = from < 0 ? from : 0; s >= SCALE_MIN; s--) {
            if (scale_to_integer(value, s, &integer)) {
                *scale = s;
                return true;
            }
        }
        return false;
    }
    for (int s = from > 0 ? from : 1; s <= SCALE_MAX; s++) {
        if (scale_to_integer(value, s, &integer)) {
            *scale = s;
            return true;
        }
    }
    return false;
}

int scale_choose(const double *values, size_t count, uint64_t skip)
{
    size_t step = count < SAMPLES ? 1 : count / SAMPLES;
    size_t looked_at = 0;
    size_t failed = 0;
    int chosen = 0;
    for (size_t i = 0; i < count; i += step) {
        if (bits_of_double(values[i]) == skip)
            continue;
        looked_at++;
        int64_t integer;
        if (scale_to_integer(values[i], chosen, &integer))
            continue;
        int scale;
        if (scale_find(values[i], chosen, &scale) && (chosen >= 0 || scale <= 0))
            chosen = scale;
        else if (++failed > 1 + SAMPLES / 8)
            return SCALE_BITS;
    }
    return failed * 8 > looked_at ? SCALE_BITS : chosen;
}

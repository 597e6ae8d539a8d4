#include "query/execute/quantile.h"

#include <math.h>

#include "base/bits.h"

enum { SORT_BELOW = 48, DIGIT_BITS = 8, DIGITS = 1 << DIGIT_BITS };

/* Bits that order as the numbers do: -Inf first, -0.0 just before 0, +Inf last. */
static uint64_t key_of(double value)
{
    uint64_t bits = bits_of_double(value);
    return bits >> 63 ? ~bits : bits | UINT64_C(1) << 63;
}

static void sort_few(double *values, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        double value = values[i];
        size_t at = i;
        for (; at > 0 && values[at - 1] > value; at--)
            values[at] = values[at - 1];
        values[at] = value;
    }
}

/* Brings the values whose digit at `shift` is `digit` to the front. */
static void gather(double *values, size_t count, unsigned shift, unsigned digit)
{
    size_t front = 0;
    for (size_t i = 0; i < count; i++) {
        double value = values[i];
        if ((key_of(value) >> shift & (DIGITS - 1)) != digit)
            continue;
        values[i] = values[front];
        values[front++] = value;
    }
}

/* Radix selection: at most eight passes, so that no choice of values makes it slow. */
static double select_rank(double *values, size_t count, size_t rank)
{
    for (unsigned shift = 64 - DIGIT_BITS; count >= SORT_BELOW; shift -= DIGIT_BITS) {
        size_t sizes[DIGITS] = {0};
        for (size_t i = 0; i < count; i++)
            sizes[key_of(values[i]) >> shift & (DIGITS - 1)]++;
        unsigned digit = 0;
        while (rank >= sizes[digit])
            rank -= sizes[digit++];
        if (sizes[digit] < count)
            gather(values, count, shift, digit);
        count = sizes[digit];
        if (shift == 0)
            return values[0]; /* all that is left is equal */
    }
    sort_few(values, count);
    return values[rank];
}

double quantile_of(double *values, size_t count, double q)
{
    double h = q * (double)(count - 1);
    size_t rank = (size_t)h;
    double fraction = h - (double)rank;
    double low = select_rank(values, count, rank);
    if (fraction == 0 || rank + 1 >= count)
        return low;
    double high = select_rank(values, count, rank + 1);
    if (low == high)
        return low;
    double spread = high - low;
    if (isinf(spread)) /* an infinity among the two, or they are very far apart */
        return low * (1 - fraction) + high * fraction;
    return low + spread * fraction;
}

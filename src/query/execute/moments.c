#include "query/execute/moments.h"

#include <math.h>

/* a + b = result + *rest exactly (Knuth, TAOCP 2, 4.2.2). */
static double two_sum(double a, double b, double *rest)
{
    double result = a + b;
    double share = result - a;
    *rest = (a - (result - share)) + (b - share);
    return result;
}

void moments_add(struct moments *moments, double value)
{
    if (moments->count++ == 0)
        moments->shift = value;
    if (!isfinite(value))
        moments->shift = NAN;
    double rest;
    double distance = two_sum(value, -moments->shift, &rest);
    double lost;
    moments->sum = two_sum(moments->sum, distance, &lost);
    moments->sum_rest += lost + rest;
    double square = distance * distance;
    double square_rest = fma(distance, distance, -square) + 2 * distance * rest;
    moments->square = two_sum(moments->square, square, &lost);
    moments->square_rest += lost + square_rest;
}

double moments_stddev(const struct moments *moments)
{
    if (isnan(moments->shift))
        return NAN;
    if (!isfinite(moments->sum) || !isfinite(moments->square))
        return INFINITY;
    double n = (double)moments->count;
    double low;
    double high = two_sum(moments->sum, moments->sum_rest, &low);
    /* (sum of distances)^2 / n, to both parts. */
    double product = high * high;
    if (!isfinite(product))
        return INFINITY;
    double product_rest = fma(high, high, -product) + 2 * high * low;
    double quotient = product / n;
    double quotient_rest = (fma(-quotient, n, product) + product_rest) / n;
    double rest;
    double scaled = two_sum(moments->square, -quotient, &rest);
    double variance = (scaled + (rest + moments->square_rest - quotient_rest)) / n;
    return variance > 0 ? sqrt(variance) : 0;
}

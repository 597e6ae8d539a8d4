/*
 * number - doubles to the shortest decimal text that reads back equal, and the reverse.
 *
 * C has neither; these wrap std::to_chars and std::from_chars (correctly rounded, no locale).
 */
#ifndef METRIC_STORE_CXX_NUMBER_H
#define METRIC_STORE_CXX_NUMBER_H

#include "base/slice.h"

#ifdef __cplusplus
extern "C" {
#endif

enum { NUMBER_TEXT_SIZE = 32 };

/*
 * As ECMAScript's Number::toString (ECMA-262, 6.1.6.1.20) does, except that negative zero is
 * "-0.0": plain digits for 1e-6 <= |x| < 1e21, else the 'e' form ("1e+21", "1.5e-7"). NaN is
 * "NaN", the infinities "+Inf" and "-Inf". Returns the length; not zero-terminated.
 */
size_t number_format(char text[NUMBER_TEXT_SIZE], double value);

/*
 * Reads a whole slice as a decimal floating-point number ("1", "-.5", "1e3", "+2"); no white space,
 * no hexadecimal, no NaN or infinity words. False when the text is not that. A magnitude beyond
 * double becomes an infinity and sets *overflow; one below becomes the nearest (perhaps zero).
 */
bool number_parse(struct slice text, double *value, bool *overflow);

#ifdef __cplusplus
}
#endif

#endif

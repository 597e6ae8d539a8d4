/*
 * random_series - samples of every kind that metrics have, repeatable from a seed.
 */
#ifndef METRIC_STORE_TESTS_UNIT_STORAGE_ENGINE_RANDOM_SERIES_H
#define METRIC_STORE_TESTS_UNIT_STORAGE_ENGINE_RANDOM_SERIES_H

#include <math.h>

#include "base/bits.h"
#include "model/value.h"

struct dice {
    uint64_t state;
};

static inline uint64_t dice_roll(struct dice *dice)
{
    uint64_t z = dice->state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static inline uint64_t dice_below(struct dice *dice, uint64_t limit)
{
    return dice_roll(dice) % limit;
}

enum value_kind {
    VALUES_CONSTANT,
    VALUES_STEADY,
    VALUES_COUNTER,
    VALUES_COUNTER_WITH_RESETS,
    VALUES_DECIMAL_GAUGE,
    VALUES_DECIMAL_COUNTER,
    VALUES_PAGES,
    VALUES_RARELY_CHANGING,
    VALUES_LARGE,
    VALUES_FLOATS,
    VALUES_SINGLE_PRECISION,
    VALUES_ANY_BITS,
    VALUES_SPECIAL,
    VALUES_KINDS,
};

static inline double special_value(struct dice *dice)
{
    static const uint64_t special[] = {
        VALUE_STALE_BITS,
        VALUE_NORMAL_NAN_BITS,
        UINT64_C(0x8000000000000000), /* -0.0 */
        UINT64_C(0x7ff0000000000000), /* infinities */
        UINT64_C(0xfff0000000000000),
        UINT64_C(0xfff8dead0000beef), /* a NaN with a payload */
        UINT64_C(0x0000000000000001), /* the smallest subnormal */
        UINT64_C(0x800fffffffffffff), /* the largest negative subnormal */
        UINT64_C(0x7fefffffffffffff), /* the largest number */
        UINT64_C(0x43e0000000000000), /* 2^63 */
        UINT64_C(0xc3e0000000000000),
    };
    return double_of_bits(special[dice_below(dice, sizeof special / sizeof *special)]);
}

static inline double next_value(struct dice *dice, enum value_kind kind, double scale,
                                double *state)
{
    double roll = (double)(dice_roll(dice) >> 11) * 0x1p-53;
    switch (kind) {
    case VALUES_CONSTANT:
        return *state;
    case VALUES_STEADY:
        return *state += scale;
    case VALUES_COUNTER:
        return *state += floor(roll * roll * 100000);
    case VALUES_COUNTER_WITH_RESETS:
        return *state = dice_below(dice, 100) == 0 ? floor(roll * 10) : *state + floor(roll * 99);
    case VALUES_DECIMAL_GAUGE:
        return (floor(roll * 20000) - 10000) / scale;
    case VALUES_DECIMAL_COUNTER:
        *state += floor(roll * 1500);
        return *state / scale;
    case VALUES_PAGES:
        *state += floor((roll - .5) * 512);
        return *state * 4096;
    case VALUES_RARELY_CHANGING:
        return dice_below(dice, 20) == 0 ? *state = floor(roll * 1000) : *state;
    case VALUES_LARGE:
        return floor(roll * 1000) * 1e18 * scale;
    case VALUES_FLOATS:
        return *state += roll - .5;
    case VALUES_SINGLE_PRECISION:
        return (double)(float)(roll * 1000);
    case VALUES_ANY_BITS:
        return double_of_bits(dice_roll(dice));
    default:
        return special_value(dice);
    }
}

/* `count` values of one kind; in some series a few special ones are strewn in. */
static inline void random_values(struct dice *dice, enum value_kind kind, double *values,
                                 size_t count)
{
    double scale = pow(10, (double)dice_below(dice, 10));
    double state = floor((double)dice_below(dice, 1000000)) - 500000;
    unsigned strewn = dice_below(dice, 3) == 0 ? (unsigned)dice_below(dice, 40) + 2 : 0;
    for (size_t i = 0; i < count; i++) {
        values[i] = next_value(dice, kind, scale, &state);
        if (strewn != 0 && dice_below(dice, strewn) == 0)
            values[i] = special_value(dice);
    }
    if (dice_below(dice, 4) == 0)
        values[count - 1] = double_of_bits(VALUE_STALE_BITS);
}

enum time_kind {
    TIMES_STEADY,
    TIMES_JITTER,
    TIMES_GAPS,
    TIMES_IRREGULAR,
    TIMES_DENSE,
    TIMES_KINDS
};

/* Strictly rising from `first`. */
static inline void random_times(struct dice *dice, enum time_kind kind, int64_t first,
                                int64_t *times, size_t count)
{
    int64_t at = first;
    for (size_t i = 0; i < count; i++) {
        int64_t jitter = (int64_t)dice_below(dice, 20);
        times[i] = kind == TIMES_JITTER ? at + jitter : at;
        switch (kind) {
        case TIMES_STEADY:
        case TIMES_JITTER:
            at += 15000;
            break;
        case TIMES_GAPS:
            at += dice_below(dice, 50) == 0 ? 600000 : 15000;
            break;
        case TIMES_IRREGULAR:
            at += 1 + (int64_t)dice_below(dice, 100000);
            break;
        default:
            at += 1;
        }
    }
}

#endif

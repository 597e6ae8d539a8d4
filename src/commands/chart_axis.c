#include "commands/chart_axis.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/times.h"

/* ---- values ----------------------------------------------------------------------------- */

/* A factor that keeps differences of what it is put to within a double. */
static double scale_of(double low, double high)
{
    return fmax(fabs(low), fabs(high)) > DBL_MAX / 4 ? 0.25 : 1;
}

double axis_place(double value, double low, double high)
{
    if (low == high)
        return 0.5;
    double scale = scale_of(low, high);
    return (value * scale - low * scale) / (high * scale - low * scale);
}

static void label_end(char label[AXIS_LABEL_SIZE], double value, int digits)
{
    if (value == floor(value) && fabs(value) < 1e9)
        snprintf(label, AXIS_LABEL_SIZE, "%.0f", value + 0.0);
    else
        snprintf(label, AXIS_LABEL_SIZE, "%.*g", digits, value);
}

/* The ends, with as few digits as tell them apart. */
static void label_ends(struct axis *axis, double low, double high)
{
    double ends[] = {low, high};
    axis->count = low == high ? 1 : 2;
    for (int digits = 6; digits <= DBL_DECIMAL_DIG; digits++) {
        for (size_t i = 0; i < axis->count; i++) {
            axis->ticks[i].place = axis_place(ends[i], low, high);
            label_end(axis->ticks[i].label, ends[i], digits);
        }
        if (axis->count == 1 || strcmp(axis->ticks[0].label, axis->ticks[1].label) != 0)
            break;
    }
}

/* The step is 1, 2 or 5 times 10^*exponent; 0 where doubles have no such steps. */
static double round_step(double low, double high, size_t wanted, int *exponent)
{
    double raw = (high - low) / (double)wanted;
    *exponent = (int)floor(log10(raw));
    double base = pow(10, *exponent);
    double largest = fmax(fabs(low), fabs(high));
    if (!(base > DBL_MIN) || largest / base > 1e14)
        return 0;
    if (raw <= base)
        return base;
    if (raw <= 2 * base)
        return 2 * base;
    if (raw <= 5 * base)
        return 5 * base;
    (*exponent)++;
    return 10 * base;
}

/* All labels in the form that needs less room for the longest: plain, or with an exponent. */
static void label_values(struct axis *axis, const double *values, double largest, int exponent)
{
    int decimals = exponent < 0 ? -exponent : 0;
    int digits = (int)floor(log10(largest)) - exponent;
    int plain = snprintf(NULL, 0, "%.*f", decimals, largest);
    int scientific = snprintf(NULL, 0, "%.*e", digits, largest);
    for (size_t i = 0; i < axis->count; i++) {
        if (plain <= scientific || plain <= 8)
            snprintf(axis->ticks[i].label, AXIS_LABEL_SIZE, "%.*f", decimals, values[i]);
        else
            snprintf(axis->ticks[i].label, AXIS_LABEL_SIZE, "%.*e", digits, values[i]);
    }
}

void axis_of_values(struct axis *axis, double low, double high, size_t wanted)
{
    double values[AXIS_MAX_TICKS];
    double step = 0;
    int exponent = 0;
    if (wanted > AXIS_MAX_TICKS / 4)
        wanted = AXIS_MAX_TICKS / 4;
    /* The largest values have their ends written, which are no round ones. */
    if (wanted > 1 && low < high && scale_of(low, high) == 1)
        step = round_step(low, high, wanted, &exponent);
    axis->count = 0;
    if (step > 0) {
        double first = ceil(low / step);
        double more = floor(high / step) - first;
        for (int i = 0; i <= more && i < AXIS_MAX_TICKS; i++) {
            values[i] = (first + i) * step + 0.0;
            axis->ticks[i].place = axis_place(values[i], low, high);
            axis->count++;
        }
    }
    if (axis->count < 2) {
        label_ends(axis, low, high);
        return;
    }
    label_values(axis, values, fmax(fabs(values[0]), fabs(values[axis->count - 1])), exponent);
}

/* ---- times ------------------------------------------------------------------------------ */

/* 1970-01-05, a Monday: weeks begin there. */
#define ORIGIN_MS (4 * (int64_t)MS_PER_DAY)

static int64_t offset_at(const struct zone *zone, int64_t time_ms)
{
    return zone == NULL ? 0 : zone_span_at(zone, time_ms).offset_ms;
}

void axis_time(char text[AXIS_LABEL_SIZE], int64_t time_ms, const struct zone *zone)
{
    size_t size = instant_format(text, time_ms + offset_at(zone, time_ms));
    for (size_t i = 0; i < size; i++) {
        if (text[i] == 'T')
            text[i] = ' ';
        if (text[i] == 'Z')
            text[i] = 0;
    }
}

/* What of "2026-11-23 10:00:00.000" is written beside steps of this length. */
struct time_form {
    size_t from;
    size_t size;
};

static struct time_form form_of(int64_t step_ms, int64_t span_ms)
{
    if (step_ms >= MS_PER_DAY)
        return (struct time_form){0, 10};
    if (step_ms >= MS_PER_MINUTE)
        return span_ms > MS_PER_DAY ? (struct time_form){5, 11} : (struct time_form){11, 5};
    return step_ms >= MS_PER_SECOND ? (struct time_form){11, 8} : (struct time_form){11, 12};
}

static void time_label(char label[AXIS_LABEL_SIZE], int64_t time_ms, struct time_form form,
                       const struct zone *zone)
{
    char text[AXIS_LABEL_SIZE];
    axis_time(text, time_ms, zone);
    if (form.from + form.size > 19 && strlen(text) == 19)
        memcpy(text + 19, ".000", 5);
    snprintf(label, AXIS_LABEL_SIZE, "%.*s", (int)form.size, text + form.from);
}

static const int64_t steps[] = {
    1,
    2,
    5,
    10,
    20,
    50,
    100,
    200,
    500,
    MS_PER_SECOND,
    2 * MS_PER_SECOND,
    5 * MS_PER_SECOND,
    10 * MS_PER_SECOND,
    15 * MS_PER_SECOND,
    30 * MS_PER_SECOND,
    MS_PER_MINUTE,
    2 * MS_PER_MINUTE,
    5 * MS_PER_MINUTE,
    10 * MS_PER_MINUTE,
    15 * MS_PER_MINUTE,
    30 * MS_PER_MINUTE,
    MS_PER_HOUR,
    2 * MS_PER_HOUR,
    3 * MS_PER_HOUR,
    6 * MS_PER_HOUR,
    12 * MS_PER_HOUR,
    MS_PER_DAY,
    2 * (int64_t)MS_PER_DAY,
    7 * (int64_t)MS_PER_DAY,
    14 * (int64_t)MS_PER_DAY,
    28 * (int64_t)MS_PER_DAY,
    91 * (int64_t)MS_PER_DAY,
    182 * (int64_t)MS_PER_DAY,
    365 * (int64_t)MS_PER_DAY,
    2 * 365 * (int64_t)MS_PER_DAY,
    5 * 365 * (int64_t)MS_PER_DAY,
    10 * 365 * (int64_t)MS_PER_DAY,
    20 * 365 * (int64_t)MS_PER_DAY,
    50 * 365 * (int64_t)MS_PER_DAY,
    100 * 365 * (int64_t)MS_PER_DAY,
    200 * 365 * (int64_t)MS_PER_DAY,
};

enum { STEP_COUNT = sizeof steps / sizeof steps[0], LABEL_GAP = 2 };

/* 0: no step has room. */
static int64_t time_step(int64_t span_ms, size_t cells)
{
    for (size_t i = 0; i < STEP_COUNT; i++) {
        int64_t room = (int64_t)form_of(steps[i], span_ms).size + LABEL_GAP;
        int64_t ticks = span_ms / steps[i] + 1;
        if (ticks <= AXIS_MAX_TICKS && ticks * room <= (int64_t)cells)
            return steps[i];
    }
    return 0;
}

void axis_of_times(struct axis *axis, int64_t first_ms, int64_t last_ms, size_t cells,
                   const struct zone *zone)
{
    int64_t span_ms = last_ms - first_ms;
    axis->count = 0;
    if (span_ms == 0) {
        axis->count = 1;
        axis->ticks[0].place = 0.5;
        time_label(axis->ticks[0].label, first_ms, form_of(MS_PER_SECOND, 0), zone);
        return;
    }
    int64_t step_ms = time_step(span_ms, cells);
    if (step_ms == 0)
        return;
    struct time_form form = form_of(step_ms, span_ms);
    /* Round by the clocks; where these change between two ticks, each is round by its own. */
    int64_t local_ms = first_ms + offset_at(zone, first_ms) - ORIGIN_MS;
    int64_t rest = local_ms % step_ms;
    local_ms -= rest < 0 ? rest + step_ms : rest;
    for (; axis->count < AXIS_MAX_TICKS; local_ms += step_ms) {
        int64_t time_ms = local_ms + ORIGIN_MS - offset_at(zone, local_ms + ORIGIN_MS);
        time_ms = local_ms + ORIGIN_MS - offset_at(zone, time_ms);
        if (time_ms > last_ms)
            return;
        if (time_ms < first_ms)
            continue;
        struct axis_tick *tick = &axis->ticks[axis->count++];
        tick->place = (double)(time_ms - first_ms) / (double)span_ms;
        time_label(tick->label, time_ms, form, zone);
    }
}

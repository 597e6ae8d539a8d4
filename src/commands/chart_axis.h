/*
 * chart_axis - where the marks of a chart's axes stand and what is written at them: round values
 * and round times.
 */
#ifndef METRIC_STORE_COMMANDS_CHART_AXIS_H
#define METRIC_STORE_COMMANDS_CHART_AXIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cxx/zone.h"

enum { AXIS_MAX_TICKS = 64, AXIS_LABEL_SIZE = 40 };

struct axis_tick {
    double place; /* 0 at the low end, 1 at the high end */
    char label[AXIS_LABEL_SIZE];
};

struct axis {
    struct axis_tick ticks[AXIS_MAX_TICKS]; /* rising */
    size_t count;
};

/* Of a value in [low, high], all of them finite: 0 to 1; 0.5 where the two are equal. */
double axis_place(double value, double low, double high);

/* Finite, low <= high; about `wanted` ticks, at least one and no two alike. */
void axis_of_values(struct axis *axis, double low, double high, size_t wanted);

/* Labels that have room side by side in `cells`, in the time of `zone` (NULL: UTC). May be none
 * where there is room for none. */
void axis_of_times(struct axis *axis, int64_t first_ms, int64_t last_ms, size_t cells,
                   const struct zone *zone);

/* What the clocks show, "2026-11-23 10:00:00" and ".mmm" where there are ms; zero-terminated. */
void axis_time(char text[AXIS_LABEL_SIZE], int64_t time_ms, const struct zone *zone);

#endif

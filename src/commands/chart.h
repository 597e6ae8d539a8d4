/*
 * chart - lines over time drawn with characters, for a terminal: axes with round values and times,
 * a legend, and what could not be drawn in words.
 *
 * Where colours may be used, and where there is one series, lines are drawn with braille patterns
 * (2 by 4 dots a character); else each series has its own mark, one a character.
 */
#ifndef METRIC_STORE_COMMANDS_CHART_H
#define METRIC_STORE_COMMANDS_CHART_H

#include "base/arena.h"
#include "base/bytes.h"
#include "cxx/zone.h"

/* More are not told apart by eye; the rest is left out and counted. */
enum { CHART_MAX_SERIES = 8, CHART_MIN_WIDTH = 20, CHART_MIN_HEIGHT = 6, CHART_MAX_SIZE = 500 };

struct chart_point {
    int64_t time_ms;
    double value; /* what is not finite is a gap and counted */
    bool missing; /* a gap that is not counted */
};

struct chart_series {
    struct slice name;                /* may hold anything */
    const struct chart_point *points; /* in rising time */
    size_t count;
};

/* Everything is borrowed. */
struct chart {
    const struct chart_series *series;
    size_t count;
    size_t width;  /* of the whole, in characters; taken as within the limits above */
    size_t height; /* of the axes with what is in them; the legend comes below */
    bool colour;
    const struct zone *zone; /* NULL: UTC */
    const char *zone_name;
};

/*
 * Appends the chart's lines. A line connects a series' consecutive points, unless there is a gap
 * between them or they lie more than five times as far apart as its points usually (the median).
 *   LIMIT, MEMORY  of `to` or `arena`
 */
MUST_CHECK enum status chart_draw(const struct chart *chart, struct arena *arena, struct bytes *to);

#endif

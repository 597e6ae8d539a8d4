#include "commands/chart.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/invariant.h"
#include "base/utf8.h"
#include "commands/chart_axis.h"
#include "commands/text_table.h"

enum { GAP_FACTOR = 5, ROWS_PER_TICK = 3, LEAST_COLUMNS = 8, BELOW = 2 };

static const char *const marks[CHART_MAX_SERIES] = {"●", "○", "■", "□", "▲", "△", "◆", "◇"};
static const char *const colours[CHART_MAX_SERIES] = {
    "\033[36m", "\033[33m", "\033[35m", "\033[32m", "\033[31m", "\033[34m", "\033[96m", "\033[93m"};
static const char plain[] = "\033[0m";

struct cell {
    uint8_t dots;  /* braille, in the order of Unicode's bits; else 0 or 1 */
    uint8_t owner; /* series, from 1; 0: nobody */
};

struct drawing {
    const struct chart *chart;
    struct arena *arena;
    struct bytes *to;
    size_t drawn; /* series */
    bool has_values;
    int64_t first_ms, last_ms;
    double low, high;
    uint64_t hidden; /* values that are not finite */
    struct axis values, times;
    size_t gutter; /* columns of the values' labels, the axis included */
    size_t columns, rows;
    bool braille;
    size_t across, down; /* dots of a cell */
    struct cell *cells;
};

static bool is_drawn(const struct chart_point *point)
{
    return !point->missing && isfinite(point->value);
}

/* ---- what there is ---------------------------------------------------------------------- */

static void measure(struct drawing *drawing)
{
    bool any = false;
    for (size_t i = 0; i < drawing->drawn; i++) {
        const struct chart_series *series = &drawing->chart->series[i];
        for (size_t j = 0; j < series->count; j++) {
            const struct chart_point *point = &series->points[j];
            if (!any || point->time_ms < drawing->first_ms)
                drawing->first_ms = point->time_ms;
            if (!any || point->time_ms > drawing->last_ms)
                drawing->last_ms = point->time_ms;
            any = true;
            drawing->hidden += !point->missing && !isfinite(point->value);
            if (!is_drawn(point))
                continue;
            if (!drawing->has_values || point->value < drawing->low)
                drawing->low = point->value;
            if (!drawing->has_values || point->value > drawing->high)
                drawing->high = point->value;
            drawing->has_values = true;
        }
    }
}

static void lay_out(struct drawing *drawing)
{
    const struct chart *chart = drawing->chart;
    size_t longest = 0;
    drawing->rows = chart->height - BELOW;
    axis_of_values(&drawing->values, drawing->low, drawing->high, drawing->rows / ROWS_PER_TICK);
    for (size_t i = 0; i < drawing->values.count; i++) {
        size_t size = strlen(drawing->values.ticks[i].label);
        longest = size > longest ? size : longest;
    }
    drawing->gutter = longest + 2;
    if (drawing->gutter > chart->width - LEAST_COLUMNS)
        drawing->gutter = chart->width - LEAST_COLUMNS;
    drawing->columns = chart->width - drawing->gutter;
    axis_of_times(&drawing->times, drawing->first_ms, drawing->last_ms, drawing->columns,
                  chart->zone);
    drawing->braille = chart->colour || drawing->drawn == 1;
    drawing->across = drawing->braille ? 2 : 1;
    drawing->down = drawing->braille ? 4 : 1;
}

/* ---- lines ------------------------------------------------------------------------------ */

struct dot {
    int64_t x, y; /* from the upper left */
};

static void put_dot(struct drawing *drawing, struct dot dot, size_t series)
{
    static const uint8_t bits[4][2] = {{0x01, 0x08}, {0x02, 0x10}, {0x04, 0x20}, {0x40, 0x80}};
    size_t x = (size_t)dot.x;
    size_t y = (size_t)dot.y;
    size_t column = x / drawing->across;
    size_t row = y / drawing->down;
    invariant(column < drawing->columns && row < drawing->rows);
    struct cell *cell = &drawing->cells[row * drawing->columns + column];
    cell->dots |= drawing->braille ? bits[y % 4][x % 2] : 1;
    cell->owner = (uint8_t)(series + 1);
}

/* Bresenham's. */
static void put_line(struct drawing *drawing, struct dot from, struct dot to, size_t series)
{
    int64_t width = llabs(to.x - from.x);
    int64_t height = -llabs(to.y - from.y);
    int64_t error = width + height;
    for (;;) {
        put_dot(drawing, from, series);
        if (from.x == to.x && from.y == to.y)
            return;
        int64_t twice = 2 * error;
        if (twice >= height) {
            error += height;
            from.x += from.x < to.x ? 1 : -1;
        }
        if (twice <= width) {
            error += width;
            from.y += from.y < to.y ? 1 : -1;
        }
    }
}

static struct dot dot_of(const struct drawing *drawing, const struct chart_point *point)
{
    double wide = (double)(drawing->columns * drawing->across - 1);
    double high = (double)(drawing->rows * drawing->down - 1);
    double x = drawing->first_ms == drawing->last_ms
                   ? 0.5
                   : (double)(point->time_ms - drawing->first_ms) /
                         (double)(drawing->last_ms - drawing->first_ms);
    double y = 1 - axis_place(point->value, drawing->low, drawing->high);
    return (struct dot){llround(x * wide), llround(y * high)};
}

static int compare_distances(const void *a, const void *b)
{
    const int64_t *left = a;
    const int64_t *right = b;
    return (*left > *right) - (*left < *right);
}

/* The largest distance in time over which points are connected. */
static enum status reach_of(const struct drawing *drawing, const struct chart_series *series,
                            int64_t *reach_ms)
{
    *reach_ms = 0;
    if (series->count < 2)
        return STATUS_OK;
    size_t count = series->count - 1;
    int64_t *distances = arena_calloc(drawing->arena, count, sizeof distances[0]);
    if (distances == NULL)
        return arena_status(drawing->arena);
    for (size_t i = 0; i < count; i++)
        distances[i] = series->points[i + 1].time_ms - series->points[i].time_ms;
    qsort(distances, count, sizeof distances[0], compare_distances);
    *reach_ms = GAP_FACTOR * distances[count / 2];
    return STATUS_OK;
}

static enum status put_series(struct drawing *drawing, size_t index)
{
    const struct chart_series *series = &drawing->chart->series[index];
    const struct chart_point *before = NULL;
    int64_t reach_ms;
    enum status status = reach_of(drawing, series, &reach_ms);
    for (size_t i = 0; i < series->count && status == STATUS_OK; i++) {
        const struct chart_point *point = &series->points[i];
        if (!is_drawn(point)) {
            before = NULL;
            continue;
        }
        bool connected = before != NULL && point->time_ms - before->time_ms <= reach_ms;
        struct dot dot = dot_of(drawing, point);
        put_line(drawing, connected ? dot_of(drawing, before) : dot, dot, index);
        before = point;
    }
    return status;
}

/* ---- rows ------------------------------------------------------------------------------- */

static enum status put_times(struct bytes *to, const char *text, size_t count)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = bytes_append_text(to, text);
    return status;
}

static enum status put_label(const struct drawing *drawing, const char *label)
{
    size_t room = drawing->gutter - 2;
    size_t size = strlen(label);
    if (size > room)
        return bytes_format(drawing->to, "%.*s… ", (int)(room - 1), label);
    enum status status = put_times(drawing->to, " ", room - size);
    return status == STATUS_OK ? bytes_format(drawing->to, "%s ", label) : status;
}

static enum status put_cell(const struct drawing *drawing, struct cell cell, uint8_t *colour)
{
    enum status status = STATUS_OK;
    if (drawing->chart->colour && cell.owner != *colour) {
        status = bytes_append_text(drawing->to, cell.owner == 0 ? plain : colours[cell.owner - 1]);
        *colour = cell.owner;
    }
    if (status != STATUS_OK)
        return status;
    if (cell.owner == 0)
        return bytes_append_text(drawing->to, " ");
    if (!drawing->braille)
        return bytes_append_text(drawing->to, marks[cell.owner - 1]);
    /* U+2800 and the dots' bits. */
    uint8_t text[] = {0xe2, (uint8_t)(0xa0 | cell.dots >> 6), (uint8_t)(0x80 | (cell.dots & 63))};
    return bytes_append(drawing->to, text, sizeof text);
}

static size_t row_of(const struct drawing *drawing, double place)
{
    double dots = (double)(drawing->rows * drawing->down - 1);
    return (size_t)llround((1 - place) * dots) / drawing->down;
}

static enum status put_row(const struct drawing *drawing, size_t row)
{
    const char *label = "";
    bool marked = false;
    for (size_t i = 0; i < drawing->values.count && !marked; i++) {
        marked = row_of(drawing, drawing->values.ticks[i].place) == row;
        label = marked ? drawing->values.ticks[i].label : "";
    }
    enum status status = put_label(drawing, label);
    if (status == STATUS_OK)
        status = bytes_append_text(drawing->to, marked ? "┤" : "│");
    const struct cell *cells = drawing->cells + row * drawing->columns;
    size_t end = drawing->columns;
    while (end > 0 && cells[end - 1].owner == 0)
        end--;
    uint8_t colour = 0;
    for (size_t i = 0; i < end && status == STATUS_OK; i++)
        status = put_cell(drawing, cells[i], &colour);
    if (status == STATUS_OK && colour != 0)
        status = bytes_append_text(drawing->to, plain);
    return status == STATUS_OK ? bytes_append_text(drawing->to, "\n") : status;
}

static size_t column_of(const struct drawing *drawing, double place)
{
    double dots = (double)(drawing->columns * drawing->across - 1);
    return (size_t)llround(place * dots) / drawing->across;
}

static enum status put_axis(const struct drawing *drawing)
{
    enum status status = put_times(drawing->to, " ", drawing->gutter - 1);
    if (status == STATUS_OK)
        status = bytes_append_text(drawing->to, "└");
    size_t tick = 0;
    for (size_t i = 0; i < drawing->columns && status == STATUS_OK; i++) {
        bool marked = tick < drawing->times.count &&
                      column_of(drawing, drawing->times.ticks[tick].place) == i;
        tick += marked;
        status = bytes_append_text(drawing->to, marked ? "┬" : "─");
    }
    return status == STATUS_OK ? bytes_append_text(drawing->to, "\n") : status;
}

/* Each label in the middle below its tick, moved in from the edges. */
static enum status put_time_labels(const struct drawing *drawing)
{
    enum status status = STATUS_OK;
    size_t used = 0;
    for (size_t i = 0; i < drawing->times.count && status == STATUS_OK; i++) {
        const struct axis_tick *tick = &drawing->times.ticks[i];
        size_t size = strlen(tick->label);
        size_t middle = drawing->gutter + column_of(drawing, tick->place);
        size_t start = middle < size / 2 ? 0 : middle - size / 2;
        if (start + size > drawing->chart->width)
            start = drawing->chart->width - size;
        if (used > 0 && start <= used)
            continue;
        status = put_times(drawing->to, " ", start - used);
        if (status == STATUS_OK)
            status = bytes_append_text(drawing->to, tick->label);
        used = start + size;
    }
    return status == STATUS_OK ? bytes_append_text(drawing->to, "\n") : status;
}

/* ---- words ------------------------------------------------------------------------------ */

/* The characters of `text` that have room. */
static enum status put_name(const struct drawing *drawing, struct slice text, size_t room)
{
    enum status status = text_printable(drawing->arena, &text);
    if (status != STATUS_OK || text_width(text) <= room)
        return status == STATUS_OK ? bytes_append(drawing->to, text.data, text.size) : status;
    size_t end = 0;
    for (;;) {
        size_t next = end + utf8_char_size(text, end);
        if (text_width(slice_of(text.data, next)) > room - 1)
            break;
        end = next;
    }
    status = bytes_append(drawing->to, text.data, end);
    return status == STATUS_OK ? bytes_append_text(drawing->to, "…") : status;
}

static enum status put_legend(const struct drawing *drawing, size_t index)
{
    const struct chart_series *series = &drawing->chart->series[index];
    bool visible = false;
    for (size_t i = 0; i < series->count && !visible; i++)
        visible = is_drawn(&series->points[i]);
    const char *mark = drawing->braille ? "━" : marks[index];
    const char *note = visible ? "" : " (no numbers)";
    enum status status = drawing->chart->colour
                             ? bytes_format(drawing->to, "%s%s%s ", colours[index], mark, plain)
                             : bytes_format(drawing->to, "%s ", mark);
    if (status == STATUS_OK)
        status = put_name(drawing, series->name, drawing->chart->width - 2 - strlen(note));
    return status == STATUS_OK ? bytes_format(drawing->to, "%s\n", note) : status;
}

static enum status put_words(const struct drawing *drawing)
{
    const struct chart *chart = drawing->chart;
    char first[AXIS_LABEL_SIZE], last[AXIS_LABEL_SIZE];
    axis_time(first, drawing->first_ms, chart->zone);
    axis_time(last, drawing->last_ms, chart->zone);
    const char *zone = chart->zone == NULL ? "UTC" : chart->zone_name;
    enum status status = drawing->first_ms == drawing->last_ms
                             ? bytes_format(drawing->to, "%s %s\n", first, zone)
                             : bytes_format(drawing->to, "%s to %s %s\n", first, last, zone);
    for (size_t i = 0; i < drawing->drawn && status == STATUS_OK; i++)
        status = put_legend(drawing, i);
    if (status == STATUS_OK && drawing->hidden > 0)
        status = bytes_format(drawing->to, "%llu value%s NaN or infinite, not drawn\n",
                              (unsigned long long)drawing->hidden,
                              drawing->hidden == 1 ? " is" : "s are");
    if (status == STATUS_OK && chart->count > drawing->drawn)
        status = bytes_format(drawing->to,
                              "%zu more series not drawn: narrow the selector, or group them "
                              "with --by\n",
                              chart->count - drawing->drawn);
    return status;
}

/* ---- the whole -------------------------------------------------------------------------- */

static enum status put_plot(struct drawing *drawing)
{
    lay_out(drawing);
    drawing->cells =
        arena_calloc(drawing->arena, drawing->columns * drawing->rows, sizeof drawing->cells[0]);
    if (drawing->cells == NULL)
        return arena_status(drawing->arena);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < drawing->drawn && status == STATUS_OK; i++)
        status = put_series(drawing, i);
    for (size_t row = 0; row < drawing->rows && status == STATUS_OK; row++)
        status = put_row(drawing, row);
    if (status == STATUS_OK)
        status = put_axis(drawing);
    return status == STATUS_OK ? put_time_labels(drawing) : status;
}

static size_t clamped(size_t size, size_t least)
{
    return size < least ? least : size > CHART_MAX_SIZE ? CHART_MAX_SIZE : size;
}

enum status chart_draw(const struct chart *given, struct arena *arena, struct bytes *to)
{
    struct chart chart = *given;
    chart.width = clamped(chart.width, CHART_MIN_WIDTH);
    chart.height = clamped(chart.height, CHART_MIN_HEIGHT);
    struct drawing drawing = {
        .chart = &chart,
        .arena = arena,
        .to = to,
        .drawn = chart.count < CHART_MAX_SERIES ? chart.count : CHART_MAX_SERIES,
    };
    if (chart.count == 0)
        return bytes_append_text(to, "nothing to draw: no series has a point\n");
    measure(&drawing);
    enum status status = drawing.has_values
                             ? put_plot(&drawing)
                             : bytes_append_text(to, "nothing to draw: no point has a number\n");
    return status == STATUS_OK ? put_words(&drawing) : status;
}

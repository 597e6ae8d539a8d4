#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/json_text.h"
#include "commands/chart.h"
#include "commands/query_views.h"
#include "cxx/number.h"

enum { WIDTH = 80, HEIGHT = 20, MAX_HEIGHT = 40, NAME_MAX = 64 * 1024 };
/* What stands below the axes on a screen: the range, some series, a note, the prompt. */
enum { LINES_BELOW = 6 };

struct query_terminal query_terminal_ask(void)
{
    struct query_terminal terminal = {.width = WIDTH, .height = HEIGHT};
    struct winsize size;
    if (isatty(STDOUT_FILENO) != 1)
        return terminal;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0) {
        terminal.width = size.ws_col;
        terminal.height = size.ws_row > LINES_BELOW ? size.ws_row - LINES_BELOW : 1;
        if (terminal.height > MAX_HEIGHT)
            terminal.height = MAX_HEIGHT;
    }
    const char *forbidden = getenv("NO_COLOR");
    const char *kind = getenv("TERM");
    terminal.colour =
        (forbidden == NULL || forbidden[0] == 0) && (kind == NULL || strcmp(kind, "dumb") != 0);
    return terminal;
}

enum status query_series_name(const struct json_node *series, struct bytes *to)
{
    const struct json_node *labels = json_member(series, "labels");
    struct slice metric = json_member_text(series, "metric");
    enum status status = bytes_append(to, metric.data, metric.size);
    const char *separator = "{";
    for (const struct json_node *label = labels == NULL ? NULL : labels->first;
         label != NULL && status == STATUS_OK; label = label->next) {
        status = bytes_append_text(to, separator);
        if (status == STATUS_OK)
            status = bytes_append(to, label->key.data, label->key.size);
        if (status == STATUS_OK)
            status = bytes_append_text(to, "=");
        if (status == STATUS_OK)
            status = json_append_string(to, label->text);
        separator = ",";
    }
    if (status == STATUS_OK && separator[0] == ',')
        status = bytes_append_text(to, "}");
    else if (status == STATUS_OK && metric.size == 0)
        status = bytes_append_text(to, "{}");
    return status;
}

static struct chart_point point_of(const struct json_node *node)
{
    struct chart_point point = {.value = NAN};
    char time[32];
    bool overflow;
    snprintf(time, sizeof time, "%.*s", SLICE_FORMAT(node->first->text));
    point.time_ms = strtoll(time, NULL, 10);
    const struct json_node *value = node->first->next;
    point.missing = value->type == JSON_NULL;
    if (value->type == JSON_NUMBER && !number_parse(value->text, &point.value, &overflow))
        point.value = NAN;
    return point;
}

static enum status series_of(const struct json_node *node, struct arena *arena,
                             struct chart_series *series)
{
    struct bytes name;
    bytes_init(&name, NAME_MAX);
    /* A name that is longer than any screen may end here. */
    enum status status = query_series_name(node, &name);
    if (status == STATUS_OK || status == STATUS_LIMIT)
        series->name = arena_copy(arena, bytes_slice(&name));
    bytes_release(&name);
    if (status == STATUS_MEMORY)
        return status;
    const struct json_node *all = json_member(node, "points");
    size_t count = all == NULL ? 0 : all->count;
    struct chart_point *points = arena_calloc(arena, count + 1, sizeof points[0]);
    if (points == NULL)
        return arena_status(arena);
    series->points = points;
    for (const struct json_node *point = all == NULL ? NULL : all->first; point != NULL;
         point = point->next) {
        if (point->type != JSON_ARRAY || point->count < 2)
            return STATUS_INVALID;
        points[series->count++] = point_of(point);
    }
    return STATUS_OK;
}

static enum status open_zone(const char *name, struct zone **zone, struct error *err)
{
    *zone = NULL;
    if (name == NULL)
        return STATUS_OK;
    struct error reason;
    enum status status = zone_open(zone, slice_from_text(name), &reason);
    return status == STATUS_OK ? status
                               : fail(err, status == STATUS_MEMORY ? status : STATUS_INVALID,
                                      "cannot show times of %s: %s", name, reason.message);
}

enum status query_chart(const struct json_node *root, const struct query_terminal *terminal,
                        const char *zone_name, struct arena *arena, struct bytes *to,
                        struct error *err)
{
    struct chart chart = {
        .width = terminal->width,
        .height = terminal->height,
        .colour = terminal->colour,
        .zone_name = zone_name,
    };
    const struct json_node *all = json_member(root, "series");
    struct chart_series *series = arena_calloc(arena, all->count + 1, sizeof series[0]);
    if (series == NULL)
        return fail(err, arena_status(arena), "no memory for a chart");
    chart.series = series;
    enum status status = STATUS_OK;
    for (const struct json_node *node = all->first; node != NULL && status == STATUS_OK;
         node = node->next) {
        /* Those that will not be drawn are counted only. */
        if (chart.count < CHART_MAX_SERIES)
            status = series_of(node, arena, &series[chart.count]);
        chart.count++;
    }
    if (status != STATUS_OK)
        return fail(err, status, "the answer is too large for a chart, or none; take it as --json");
    struct zone *zone;
    status = open_zone(zone_name, &zone, err);
    if (status != STATUS_OK)
        return status;
    chart.zone = zone;
    status = chart_draw(&chart, arena, to);
    zone_close(zone);
    return status == STATUS_OK ? STATUS_OK : fail(err, status, "no memory to draw a chart");
}

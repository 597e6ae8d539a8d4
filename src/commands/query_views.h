/*
 * query_views - what `query` shows of an answer besides the table: a chart, or what is new.
 */
#ifndef METRIC_STORE_COMMANDS_QUERY_VIEWS_H
#define METRIC_STORE_COMMANDS_QUERY_VIEWS_H

#include "commands/client.h"
#include "commands/json_tree.h"
#include "commands/options.h"
#include "commands/output.h"

/* Appends `name{label="value",...}` of a series of an answer. LIMIT, MEMORY of `to`. */
MUST_CHECK enum status query_series_name(const struct json_node *series, struct bytes *to);

/* ---- chart ------------------------------------------------------------------------------ */

/* The size of the terminal, or 80 by 20 where standard output is none; `colour` only where it is
 * one, and neither NO_COLOR nor TERM=dumb forbids it. */
struct query_terminal {
    size_t width;
    size_t height;
    bool colour;
};

struct query_terminal query_terminal_ask(void);

/* Appends the chart of the answer `root`. `zone_name` is the query's tz, or NULL.
 *   INVALID        there is no such zone here
 *   LIMIT, MEMORY  of `arena` or `to` */
MUST_CHECK enum status query_chart(const struct json_node *root,
                                   const struct query_terminal *terminal, const char *zone_name,
                                   struct arena *arena, struct bytes *to, struct error *err);

#endif

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

/* ---- following -------------------------------------------------------------------------- */

/* Everything is borrowed. */
struct query_follow {
    const struct options *options; /* for what is said on standard error */
    struct client *client;
    struct interrupt *interrupt;
    struct clock *clock;
    struct output *output;
    const struct client_parameter *parameters; /* of the query, neither start nor end */
    size_t parameter_count;                    /* at most QUERY_FOLLOW_PARAMETERS */
    const char *start;   /* from where on old samples are printed too; NULL: none */
    int64_t interval_ms; /* of the buckets, each printed when it is over; 0: samples */
    bool skip_null;      /* buckets without a value are not printed */
    bool json;
    int every_ms;
};

enum { QUERY_FOLLOW_PARAMETERS = 250 };

/*
 * Prints samples, or buckets that are over, as they arrive, each once and in the order of their
 * times as far as they arrive so; late ones too if they are not over 5 minutes (4 buckets) old. A
 * server that is away is asked on. OK: the command was asked to end.
 *   IO       the server cannot be reached from the start, or standard output not be written
 *   INVALID  the server refuses the query
 *   LIMIT    over 10,000 series, or more than fits into memory
 */
MUST_CHECK enum status query_follow(const struct query_follow *follow, struct error *err);

#endif

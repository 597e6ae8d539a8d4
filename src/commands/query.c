/* query - one query, answered by a server or from a stopped store, as a table, a chart or JSON. */
#include <stdio.h>
#include <stdlib.h>

#include "base/invariant.h"
#include "base/times.h"
#include "commands/client.h"
#include "commands/json_tree.h"
#include "commands/query_views.h"
#include "commands/store.h"
#include "commands/text_table.h"

enum {
    PARAMETERS_MAX = 256,
    OWN_PARAMETERS = 2,    /* may be added to what was given */
    ANSWER_MAX = 64 << 20, /* for a table; JSON is passed on as it comes */
    TREE_MAX = 1 << 30,
    PRINT_MAX = 1 << 30,
    LABELS_MAX_COLUMNS = 64,
};

struct asker {
    const struct options *options;
    struct os os;
    struct config config;
    struct log log;
    struct interrupt interrupt;
    bool json;
    bool partial;           /* the answer says that damage made it so */
    size_t partial_matched; /* of partial_member, at the end of what has come */
    struct output *output;  /* of JSON */
    struct bytes answer;    /* for a table */
    struct query_sink sink; /* of a stopped store */
};

/* ---- asking ----------------------------------------------------------------------------- */

/* A quotation mark within a text of JSON is escaped: these bytes are that member and nothing else.
 */
static const char partial_member[] = "\"partial\":true";

/* Of JSON, which is passed on unparsed, however its pieces are cut. */
static void look_for_partial(struct asker *asker, struct slice piece)
{
    size_t matched = asker->partial_matched;
    for (size_t i = 0; i < piece.size && !asker->partial; i++) {
        if (piece.data[i] == (uint8_t)partial_member[matched])
            matched++;
        else
            matched = piece.data[i] == '"';
        asker->partial = matched == sizeof partial_member - 1;
    }
    asker->partial_matched = matched;
}

static enum status take(struct asker *asker, struct slice piece, struct error *err)
{
    if (asker->json) {
        look_for_partial(asker, piece);
        return output_write(asker->output, piece, err);
    }
    if (bytes_append(&asker->answer, piece.data, piece.size) == STATUS_OK)
        return STATUS_OK;
    return fail(err, STATUS_LIMIT,
                "the answer is too large for a table; ask for less, or take it as --json");
}

static enum status take_from_store(struct query_sink *sink, struct slice piece, struct error *err)
{
    return take(container_of(sink, struct asker, sink), piece, err);
}

static enum status take_from_server(void *context, struct slice piece, struct error *err)
{
    return take(context, piece, err);
}

static bool is_interrupted(void *context)
{
    return interrupt_pending(context);
}

static enum status ask_store(struct asker *asker, const struct client_parameter *parameters,
                             size_t count, struct error *err)
{
    struct query_parameter decoded[QUERY_FOLLOW_PARAMETERS];
    for (size_t i = 0; i < count; i++)
        decoded[i] = (struct query_parameter){slice_from_text(parameters[i].name),
                                              slice_from_text(parameters[i].value)};
    struct tier *tier = NULL;
    enum status status = store_open(&asker->config, asker->os, &asker->log, true, &tier, err);
    if (status != STATUS_OK)
        return status;
    struct query_environment environment = {
        .tier = tier,
        .clock = asker->os.clock,
        .cancelled = is_interrupted,
        .context = &asker->interrupt,
    };
    store_query_limits(&asker->config, &environment.limits);
    asker->sink.write = take_from_store;
    status = query_answer(&environment, decoded, count, &asker->sink, err);
    engine_close(tier);
    return status;
}

static enum status open_client(struct asker *asker, struct client **client, struct error *err)
{
    char url[CLIENT_URL_SIZE];
    client_default_url(&asker->config, url);
    const char *given = options_value(asker->options, "url");
    return client_open(client, given != NULL ? given : url, &asker->interrupt, err);
}

static enum status ask_server(struct asker *asker, const struct client_parameter *parameters,
                              size_t count, struct error *err)
{
    struct client *client = NULL;
    enum status status = open_client(asker, &client, err);
    if (status != STATUS_OK)
        return status;
    struct client_answer answer;
    bytes_init(&answer.body, ANSWER_MAX);
    struct client_request request = {
        .path = "/api/v1/metrics/query",
        .parameters = parameters,
        .parameter_count = count,
        .compressed = true,
        .answer_type = "application/json",
        .receive = take_from_server,
        .context = asker,
    };
    status = client_send(client, &request, &answer, err);
    if (status == STATUS_OK && answer.status >= 300)
        status = client_fail(client, &answer, err);
    bytes_release(&answer.body);
    client_close(client);
    return status;
}

/* ---- the table -------------------------------------------------------------------------- */

struct columns {
    struct slice names[LABELS_MAX_COLUMNS]; /* labels that any series has, sorted */
    size_t count;
    bool more; /* than there is room for */
};

static void add_column(struct columns *columns, struct slice name)
{
    size_t place = 0;
    while (place < columns->count && slice_compare(columns->names[place], name) < 0)
        place++;
    if (place < columns->count && slice_equal(columns->names[place], name))
        return;
    if (columns->count == LABELS_MAX_COLUMNS) {
        columns->more = true;
        return;
    }
    memmove(columns->names + place + 1, columns->names + place,
            (columns->count - place) * sizeof columns->names[0]);
    columns->names[place] = name;
    columns->count++;
}

static struct slice label_value(const struct json_node *labels, struct slice name)
{
    for (const struct json_node *label = labels == NULL ? NULL : labels->first; label != NULL;
         label = label->next)
        if (slice_equal(label->key, name))
            return label->text;
    return slice_of(NULL, 0);
}

static enum status add_instant(struct text_table *table, const struct json_node *time)
{
    char text[INSTANT_TEXT_SIZE];
    char number[32];
    snprintf(number, sizeof number, "%.*s", SLICE_FORMAT(time->text));
    size_t size = instant_format(text, strtoll(number, NULL, 10));
    struct slice copy = arena_copy(table->arena, slice_of(text, size));
    return copy.data == NULL ? arena_status(table->arena) : text_table_add(table, copy);
}

static enum status add_value(struct text_table *table, const struct json_node *value)
{
    return text_table_add(table, value->type == JSON_NULL ? slice_from_text("null") : value->text);
}

static enum status add_points(struct text_table *table, const struct json_node *series,
                              const struct columns *columns)
{
    const struct json_node *points = json_member(series, "points");
    const struct json_node *labels = json_member(series, "labels");
    enum status status = STATUS_OK;
    for (const struct json_node *point = points == NULL ? NULL : points->first;
         point != NULL && status == STATUS_OK; point = point->next) {
        if (point->type != JSON_ARRAY || point->count < 2)
            return STATUS_INVALID;
        status = text_table_add(table, json_member_text(series, "metric"));
        for (size_t i = 0; i < columns->count && status == STATUS_OK; i++)
            status = text_table_add(table, label_value(labels, columns->names[i]));
        if (status == STATUS_OK)
            status = add_instant(table, point->first);
        if (status == STATUS_OK)
            status = add_value(table, point->first->next);
    }
    return status;
}

static enum status build_table(struct text_table *table, const struct json_node *root,
                               struct columns *columns, struct arena *arena)
{
    const struct json_node *all = json_member(root, "series");
    for (const struct json_node *series = all->first; series != NULL; series = series->next) {
        const struct json_node *labels = json_member(series, "labels");
        for (const struct json_node *label = labels == NULL ? NULL : labels->first; label != NULL;
             label = label->next)
            add_column(columns, label->key);
    }
    enum status status = text_table_init(table, columns->count + 3, arena);
    if (status == STATUS_OK) {
        table->right[columns->count + 2] = true;
        status = text_table_add(table, slice_from_text("metric"));
    }
    for (size_t i = 0; i < columns->count && status == STATUS_OK; i++)
        status = text_table_add(table, columns->names[i]);
    if (status == STATUS_OK)
        status = text_table_add(table, slice_from_text("time"));
    if (status == STATUS_OK)
        status = text_table_add(table, slice_from_text("value"));
    for (const struct json_node *series = all->first; series != NULL && status == STATUS_OK;
         series = series->next)
        status = add_points(table, series, columns);
    return status;
}

/* What a table has no place for. */
static void print_notes(struct asker *asker, const struct json_node *root,
                        const struct columns *columns)
{
    const struct json_node *warnings = json_member(root, "warnings");
    for (const struct json_node *warning = warnings == NULL ? NULL : warnings->first;
         warning != NULL; warning = warning->next)
        complain(asker->options, "%.*s", SLICE_FORMAT(warning->text));
    if (columns->more)
        complain(asker->options, "only %d labels are shown; --json has all", LABELS_MAX_COLUMNS);
    asker->partial = json_member_true(root, "partial");
    /* The warning of it says so already. */
    if (asker->partial && (warnings == NULL || warnings->count == 0))
        complain(asker->options, "the answer is partial: damaged blocks were left out");
    const struct json_node *all = json_member(root, "series");
    if (all->count == 0 && !options_has(asker->options, "start") &&
        !options_has(asker->options, "end") && !options_has(asker->options, "after"))
        complain(asker->options, "nothing in the last hour; --start now-1d looks further back");
    struct slice next = json_member_text(root, "next");
    if (next.size > 0)
        complain(asker->options, "there are more series; the next page: --after %.*s",
                 (int)next.size, (const char *)next.data);
}

static enum status put_table(const struct json_node *root, struct columns *columns,
                             struct arena *arena, struct bytes *text, struct error *err)
{
    struct text_table table;
    enum status status = build_table(&table, root, columns, arena);
    if (status == STATUS_OK)
        status = text_table_print(&table, text);
    return status == STATUS_OK
               ? STATUS_OK
               : fail(err, status, "the answer is too large for a table; take it as --json");
}

/* ---- the command ------------------------------------------------------------------------ */

static enum status put_answer(struct asker *asker, struct arena *arena, struct bytes *text,
                              struct error *err)
{
    struct json_node *root = NULL;
    struct columns *columns = arena_calloc(arena, 1, sizeof *columns);
    if (columns == NULL)
        return fail(err, STATUS_MEMORY, "no memory for the answer");
    enum status status = json_tree_parse(bytes_slice(&asker->answer), arena, &root, err);
    if (status != STATUS_OK)
        return status;
    if (json_member(root, "series") == NULL)
        return fail(err, STATUS_IO, "this is no answer to a query; is it a metric-store server?");
    if (options_has(asker->options, "chart")) {
        struct query_terminal terminal = query_terminal_ask();
        status =
            query_chart(root, &terminal, options_value(asker->options, "tz"), arena, text, err);
    } else {
        status = put_table(root, columns, arena, text, err);
    }
    if (status == STATUS_OK)
        status = output_write(asker->output, bytes_slice(text), err);
    if (status == STATUS_OK)
        print_notes(asker, root, columns);
    return status;
}

static enum status print_answer(struct asker *asker, struct error *err)
{
    struct arena arena;
    struct bytes text;
    arena_init(&arena, TREE_MAX);
    bytes_init(&text, PRINT_MAX);
    enum status status = put_answer(asker, &arena, &text, err);
    bytes_release(&text);
    arena_release(&arena);
    return status;
}

/* What does not go together. */
static int check_options(const struct options *options)
{
    static const char *const pairs[][2] = {
        {"data", "url"},   {"chart", "json"},   {"follow", "chart"}, {"follow", "data"},
        {"follow", "end"}, {"follow", "limit"}, {"follow", "after"},
    };
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; i++)
        if (options_has(options, pairs[i][0]) && options_has(options, pairs[i][1]))
            return complain_usage(options, "--%s and --%s exclude each other", pairs[i][0],
                                  pairs[i][1]);
    if (options_has(options, "every") && !options_has(options, "follow"))
        return complain_usage(options, "--every is of --follow only");
    if (options_has(options, "follow") && options_has(options, "aggregate") &&
        !options_has(options, "interval"))
        return complain_usage(options, "--follow with --aggregate prints bucket after bucket: "
                                       "give their length, --interval 1m");
    if (options->argument_count == 0 && !options_has(options, "metric") &&
        !options_has(options, "match"))
        return complain_usage(options, "which series? give a SELECTOR, --metric or --match");
    return COMMAND_DONE;
}

/* Whether the server shall fill what is not asked to be filled: a chart breaks its lines where
 * buckets are missing, and following needs to see which bucket is under way. */
static bool needs_null(const struct options *options)
{
    const char *fill = options_value(options, "fill");
    if (!options_has(options, "aggregate") || !options_has(options, "interval"))
        return false;
    if (options_has(options, "follow"))
        return fill == NULL || strcmp(fill, "none") == 0;
    return options_has(options, "chart") && fill == NULL;
}

static int collect(const struct options *options, struct client_parameter *parameters,
                   size_t *count)
{
    static const char *const names[] = {"metric",    "match",    "label", "start",  "end",
                                        "aggregate", "interval", "by",    "fill",   "tz",
                                        "over",      "limit",    "after", "timeout"};
    bool follow = options_has(options, "follow");
    bool null = needs_null(options);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const char *value;
        if ((follow && strcmp(names[i], "start") == 0) || (null && strcmp(names[i], "fill") == 0))
            continue;
        for (size_t at = 0; (value = options_each(options, names[i], &at)) != NULL;) {
            if (*count == PARAMETERS_MAX)
                return complain_usage(options, "more than %d options", PARAMETERS_MAX);
            parameters[(*count)++] = (struct client_parameter){names[i], value};
        }
    }
    if (options->argument_count > 0)
        parameters[(*count)++] = (struct client_parameter){"match", options->arguments[0]};
    if (null)
        parameters[(*count)++] = (struct client_parameter){"fill", "null"};
    return COMMAND_DONE;
}

/* How often to ask: what was given, else every second, or as often as a bucket ends and at least
 * once a minute. False when what was given is no time. */
static bool poll_interval(const struct options *options, int64_t interval_ms, int *every_ms)
{
    enum { LEAST_MS = 50, MOST_MS = MS_PER_DAY };
    const char *given = options_value(options, "every");
    int64_t wanted = MS_PER_SECOND;
    if (interval_ms > 0)
        wanted = interval_ms < MS_PER_MINUTE ? interval_ms : MS_PER_MINUTE;
    if (given != NULL &&
        (!duration_parse(slice_from_text(given), &wanted) || wanted < LEAST_MS || wanted > MOST_MS))
        return false;
    *every_ms = (int)(wanted < LEAST_MS ? LEAST_MS : wanted);
    return true;
}

static enum status follow(struct asker *asker, const struct client_parameter *parameters,
                          size_t count, struct error *err)
{
    const struct options *options = asker->options;
    const char *interval = options_value(options, "interval");
    struct query_follow query = {
        .options = options,
        .interrupt = &asker->interrupt,
        .clock = asker->os.clock,
        .output = asker->output,
        .parameters = parameters,
        .parameter_count = count,
        .start = options_value(options, "start"),
        .skip_null = needs_null(options),
        .json = asker->json,
    };
    if (interval != NULL && options_has(options, "aggregate") &&
        !duration_parse(slice_from_text(interval), &query.interval_ms))
        return fail(err, STATUS_INVALID, "--interval %s is no length of time, such as 1m",
                    interval);
    if (!poll_interval(options, query.interval_ms, &query.every_ms))
        return fail(err, STATUS_INVALID, "--every takes a time from 50ms to 1d, such as 5s");
    enum status status = open_client(asker, &query.client, err);
    if (status == STATUS_OK)
        status = query_follow(&query, err);
    client_close(query.client);
    return status;
}

static enum status answer_once(struct asker *asker, const struct client_parameter *parameters,
                               size_t count, struct error *err)
{
    enum status status = options_has(asker->options, "data")
                             ? ask_store(asker, parameters, count, err)
                             : ask_server(asker, parameters, count, err);
    if (status != STATUS_OK)
        return status;
    return asker->json ? STATUS_OK : print_answer(asker, err);
}

static int run(struct asker *asker, const struct client_parameter *parameters, size_t count)
{
    struct error err;
    bool follows = options_has(asker->options, "follow");
    enum status status = interrupt_open(&asker->interrupt, &err);
    if (status == STATUS_OK)
        status = output_open(&asker->output, asker->os.fs, NULL, &asker->interrupt, &err);
    if (status == STATUS_OK)
        status = follows ? follow(asker, parameters, count, &err)
                         : answer_once(asker, parameters, count, &err);
    if (status == STATUS_OK)
        status = output_flush(asker->output, &err);
    bool began = asker->output != NULL && output_began(asker->output);
    if (status == STATUS_OK)
        status = output_finish(asker->output, &err);
    else
        output_abandon(asker->output);
    interrupt_close(&asker->interrupt);
    /* Half an answer is there, and nothing can make it a whole one; following prints line by line.
     */
    if (status == STATUS_OK || (began && !follows))
        options_answered(asker->options);
    if (status == STATUS_OK)
        return asker->partial ? COMMAND_DAMAGE : COMMAND_DONE;
    return complain_of_request(asker->options, &err);
}

int command_query(int argc, char **argv)
{
    struct options options;
    int exit_code;
    if (options_parse(&options, command_find("query"), argc, argv, &exit_code)) {
        struct client_parameter parameters[QUERY_FOLLOW_PARAMETERS];
        size_t count = 0;
        struct asker asker = {.options = &options, .os = os_system()};
        asker.json = options_has(&options, "json");
        bytes_init(&asker.answer, ANSWER_MAX);
        exit_code = check_options(&options);
        if (exit_code == COMMAND_DONE)
            exit_code = collect(&options, parameters, &count);
        if (exit_code == COMMAND_DONE)
            exit_code = options_load_config(&options, asker.os, &asker.config);
        if (exit_code == COMMAND_DONE) {
            asker.log = options_log(&asker.config, asker.os);
            exit_code = run(&asker, parameters, count);
        }
        bytes_release(&asker.answer);
        config_release(&asker.config);
    }
    return options_end(&options, exit_code);
}

/*
 * Following asks again and again for a window that ends now and reaches back over the time since
 * the last answer and some margin. What the last answer had not is new. So it is the server's clock
 * alone that counts, samples that arrive late by up to the margin are seen, nothing is printed
 * twice, and an absence of the server leaves no hole.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/hash.h"
#include "base/json_text.h"
#include "base/times.h"
#include "commands/query_views.h"
#include "commands/text_table.h"

enum {
    MAX_SERIES = 10000,
    SLOTS = 32768, /* a power of two, well above */
    PARAMETERS_MAX = 256,
    PAGE_MAX = 64 << 20,
    TREE_MAX = 1 << 30,
    SEEN_MAX = 256 << 20,
    LINE_MAX_SIZE = 4 << 20,
    NS_PER_MS = 1000000,
    /* Of a query by interval: one that the window cuts, one under way, and these late. */
    BUCKETS_BACK = 4,
};

/* How late a sample may arrive and still be printed. */
#define MARGIN_MS (5 * (int64_t)MS_PER_MINUTE)

struct seen_point {
    int64_t time_ms;
    struct slice value; /* as JSON */
};

struct seen_series {
    struct slice key; /* "name":...,"labels":{...} as JSON */
    struct slice name;
    struct seen_point *points; /* in rising time */
    size_t count;
    size_t order; /* among the answer's series */
};

/* One answer, all of its pages. */
struct seen {
    struct arena arena;
    struct seen_series **slots; /* by hash of the key; NULL before the first answer */
    size_t count;
};

struct follower {
    const struct query_follow *follow;
    struct seen seen[3]; /* the last answer, at the start a second one, and room for the next */
    size_t last, other, next;
    bool lost; /* the server did not answer, and that was said */
    bool warned;
    int64_t asked_ns; /* when the last answer was asked for */
};

/* ---- answers ---------------------------------------------------------------------------- */

static void seen_init(struct seen *seen)
{
    *seen = (struct seen){0};
    arena_init(&seen->arena, SEEN_MAX);
}

static void seen_release(struct seen *seen)
{
    arena_release(&seen->arena);
    seen_init(seen);
}

/* The slot of this key, or the empty one where it belongs. */
static struct seen_series **slot_of(const struct seen *seen, struct slice key)
{
    for (size_t at = (size_t)hash64(key, 0);; at++) {
        struct seen_series **slot = &seen->slots[at & (SLOTS - 1)];
        if (*slot == NULL || slice_equal((*slot)->key, key))
            return slot;
    }
}

/* Appends a value of a tree as JSON. */
static enum status put_value(struct bytes *to, const struct json_node *value)
{
    if (value->type == JSON_NULL)
        return bytes_append_text(to, "null");
    if (value->type == JSON_STRING)
        return json_append_string(to, value->text);
    return bytes_append(to, value->text.data, value->text.size);
}

/* Appends "name":...,"labels":{...}. */
static enum status put_key(struct bytes *to, const struct json_node *series)
{
    const struct json_node *labels = json_member(series, "labels");
    const char *separator = "";
    enum status status = bytes_append_text(to, "\"name\":");
    if (status == STATUS_OK)
        status = json_append_string(to, json_member_text(series, "metric"));
    if (status == STATUS_OK)
        status = bytes_append_text(to, ",\"labels\":{");
    for (const struct json_node *label = labels == NULL ? NULL : labels->first;
         label != NULL && status == STATUS_OK; label = label->next) {
        status = bytes_append_text(to, separator);
        if (status == STATUS_OK)
            status = json_append_string(to, label->key);
        if (status == STATUS_OK)
            status = bytes_append_text(to, ":");
        if (status == STATUS_OK)
            status = json_append_string(to, label->text);
        separator = ",";
    }
    return status == STATUS_OK ? bytes_append_text(to, "}") : status;
}

static enum status copy_line(struct seen *seen, struct bytes *line, struct slice *copy)
{
    *copy = arena_copy(&seen->arena, bytes_slice(line));
    bytes_clear(line);
    return copy->data == NULL ? arena_status(&seen->arena) : STATUS_OK;
}

static enum status add_points(struct seen *seen, struct seen_series *series,
                              const struct json_node *node, struct bytes *line)
{
    const struct json_node *points = json_member(node, "points");
    size_t count = points == NULL ? 0 : points->count;
    series->points = arena_calloc(&seen->arena, count + 1, sizeof series->points[0]);
    if (series->points == NULL)
        return arena_status(&seen->arena);
    for (const struct json_node *point = points == NULL ? NULL : points->first; point != NULL;
         point = point->next) {
        char time[32];
        if (point->type != JSON_ARRAY || point->count < 2)
            return STATUS_INVALID;
        struct seen_point *to = &series->points[series->count++];
        snprintf(time, sizeof time, "%.*s", SLICE_FORMAT(point->first->text));
        to->time_ms = strtoll(time, NULL, 10);
        enum status status = put_value(line, point->first->next);
        if (status == STATUS_OK)
            status = copy_line(seen, line, &to->value);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static enum status add_series(struct seen *seen, const struct json_node *node, struct bytes *line)
{
    struct seen_series *series = arena_calloc(&seen->arena, 1, sizeof *series);
    if (series == NULL)
        return arena_status(&seen->arena);
    series->order = seen->count++;
    enum status status = query_series_name(node, line);
    if (status == STATUS_OK)
        status = copy_line(seen, line, &series->name);
    if (status == STATUS_OK)
        status = text_printable(&seen->arena, &series->name);
    if (status == STATUS_OK)
        status = put_key(line, node);
    if (status == STATUS_OK)
        status = copy_line(seen, line, &series->key);
    if (status == STATUS_OK)
        status = add_points(seen, series, node, line);
    if (status == STATUS_OK)
        *slot_of(seen, series->key) = series;
    return status;
}

/* Of one page; `after` gets the next one's cursor, empty where there is none. */
static enum status add_page(struct follower *follower, struct seen *seen, struct slice text,
                            struct bytes *after, struct error *err)
{
    struct arena arena;
    struct bytes line;
    struct json_node *root = NULL;
    arena_init(&arena, TREE_MAX);
    bytes_init(&line, LINE_MAX_SIZE);
    enum status status = json_tree_parse(text, &arena, &root, err);
    const struct json_node *all = status == STATUS_OK ? json_member(root, "series") : NULL;
    if (status == STATUS_OK && all == NULL)
        status =
            fail(err, STATUS_INVALID, "this is no answer to a query; is it a metric-store server?");
    for (const struct json_node *node = all == NULL ? NULL : all->first;
         node != NULL && status == STATUS_OK; node = node->next) {
        if (seen->count == MAX_SERIES)
            status = fail(err, STATUS_LIMIT,
                          "more than %d series cannot be followed; narrow the selector, or group "
                          "them with --by",
                          MAX_SERIES);
        else if ((status = add_series(seen, node, &line)) != STATUS_OK)
            fail(err, status, "the answer is too large to be followed; ask for less");
    }
    if (status == STATUS_OK && json_member_true(root, "partial") && !follower->warned) {
        complain(follower->follow->options, "answers are partial: damaged blocks are left out");
        follower->warned = true;
    }
    bytes_clear(after);
    struct slice next = json_member_text(root, "next");
    if (status == STATUS_OK && next.size > 0) {
        status = bytes_append(after, next.data, next.size);
        if (status == STATUS_OK)
            status = bytes_append(after, "", 1);
        if (status != STATUS_OK)
            fail(err, status, "no memory for the next page of an answer");
    }
    bytes_release(&line);
    arena_release(&arena);
    return status;
}

/* ---- asking ----------------------------------------------------------------------------- */

/* BUSY: the server is away, or wants to be asked later. */
static enum status ask_page(struct follower *follower, struct seen *seen, const char *start,
                            struct bytes *after, struct error *err)
{
    const struct query_follow *follow = follower->follow;
    struct client_parameter parameters[PARAMETERS_MAX];
    size_t count = follow->parameter_count;
    memcpy(parameters, follow->parameters, count * sizeof parameters[0]);
    parameters[count++] = (struct client_parameter){"start", start};
    if (after->size > 0)
        parameters[count++] = (struct client_parameter){"after", (const char *)after->data};
    struct client_answer answer;
    bytes_init(&answer.body, PAGE_MAX);
    struct client_request request = {
        .path = "/api/v1/metrics/query",
        .parameters = parameters,
        .parameter_count = count,
        .compressed = true,
    };
    enum status status = client_send(follow->client, &request, &answer, err);
    if (status == STATUS_IO)
        status = STATUS_BUSY;
    if (status == STATUS_OK && answer.status >= 300) {
        status = client_fail(follow->client, &answer, err);
        if (answer.status >= 500 || answer.status == 429)
            status = STATUS_BUSY;
    } else if (status == STATUS_OK) {
        status = add_page(follower, seen, bytes_slice(&answer.body), after, err);
    }
    bytes_release(&answer.body);
    return status;
}

static enum status ask(struct follower *follower, struct seen *seen, const char *start,
                       struct error *err)
{
    struct bytes after;
    seen_release(seen);
    bytes_init(&after, PAGE_MAX);
    seen->slots = arena_calloc(&seen->arena, SLOTS, sizeof seen->slots[0]);
    enum status status = seen->slots != NULL ? STATUS_OK : fail(err, STATUS_MEMORY, "no memory");
    do {
        if (status == STATUS_OK)
            status = ask_page(follower, seen, start, &after, err);
    } while (status == STATUS_OK && after.size > 0);
    bytes_release(&after);
    return status;
}

/* ---- what is new ------------------------------------------------------------------------ */

struct news {
    const struct seen_series *series;
    const struct seen_point *point;
};

static int compare_news(const void *a, const void *b)
{
    const struct news *left = a;
    const struct news *right = b;
    if (left->point->time_ms != right->point->time_ms)
        return left->point->time_ms < right->point->time_ms ? -1 : 1;
    return (left->series->order > right->series->order) -
           (left->series->order < right->series->order);
}

static bool has_value(const struct query_follow *follow, const struct seen_point *point)
{
    return !follow->skip_null || !slice_equal_text(point->value, "null");
}

/* Whether an answer has the series' point of this time; *at goes on with rising times. */
static bool is_known(const struct query_follow *follow, const struct seen_series *known, size_t *at,
                     int64_t time_ms)
{
    if (known == NULL)
        return false;
    while (*at < known->count && known->points[*at].time_ms < time_ms)
        (*at)++;
    if (*at == known->count || known->points[*at].time_ms != time_ms)
        return false;
    /* Of buckets, that which was under way then was not printed. */
    return has_value(follow, &known->points[*at]) &&
           (follow->interval_ms == 0 || *at + 1 < known->count);
}

static const struct seen_series *find(const struct seen *seen, struct slice key)
{
    return seen->slots == NULL ? NULL : *slot_of(seen, key);
}

/* Adds the new points of one series; with room for all of them. */
static void add_news(const struct follower *follower, const struct seen_series *series,
                     bool cut_first, bool all, struct news *news, size_t *count)
{
    const struct query_follow *follow = follower->follow;
    const struct seen_series *known[2] = {NULL, NULL};
    size_t at[2] = {0, 0};
    if (!all) {
        known[0] = find(&follower->seen[follower->last], series->key);
        known[1] = find(&follower->seen[follower->other], series->key);
    }
    size_t first = follow->interval_ms != 0 && cut_first ? 1 : 0;
    size_t end = series->count;
    /* The bucket that is under way comes when it is over. */
    if (follow->interval_ms != 0 && end > 0)
        end--;
    for (size_t i = first; i < end; i++) {
        const struct seen_point *point = &series->points[i];
        bool old = is_known(follow, known[0], &at[0], point->time_ms);
        old = is_known(follow, known[1], &at[1], point->time_ms) || old;
        if (!old && has_value(follow, point))
            news[(*count)++] = (struct news){series, point};
    }
}

static enum status print_line(const struct query_follow *follow, const struct news *news,
                              struct bytes *line)
{
    char time[INSTANT_TEXT_SIZE];
    bytes_clear(line);
    if (follow->json) {
        enum status status = bytes_append_text(line, "{");
        if (status == STATUS_OK)
            status = bytes_append(line, news->series->key.data, news->series->key.size);
        if (status == STATUS_OK)
            status = bytes_append_text(line, ",\"value\":");
        if (status == STATUS_OK)
            status = bytes_append(line, news->point->value.data, news->point->value.size);
        return status == STATUS_OK
                   ? bytes_format(line, ",\"timestamp\":%" PRId64 "}\n", news->point->time_ms)
                   : status;
    }
    struct slice value = news->point->value;
    if (value.size > 1 && value.data[0] == '"')
        value = slice_of(value.data + 1, value.size - 2);
    instant_format(time, news->point->time_ms);
    enum status status =
        bytes_format(line, "%-24s  %12.*s  ", time, (int)value.size, (const char *)value.data);
    if (status == STATUS_OK)
        status = bytes_append(line, news->series->name.data, news->series->name.size);
    return status == STATUS_OK ? bytes_append_text(line, "\n") : status;
}

static enum status print_all(const struct query_follow *follow, struct news *news, size_t count,
                             struct error *err)
{
    struct bytes line;
    bytes_init(&line, LINE_MAX_SIZE);
    qsort(news, count, sizeof news[0], compare_news);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        status = print_line(follow, &news[i], &line);
        status = status == STATUS_OK ? output_write(follow->output, bytes_slice(&line), err)
                                     : fail(err, status, "no memory for a line");
    }
    bytes_release(&line);
    return status == STATUS_OK ? output_flush(follow->output, err) : status;
}

static enum status print_news(const struct follower *follower, struct seen *seen, bool cut_first,
                              bool all, struct error *err)
{
    size_t room = 0;
    size_t count = 0;
    for (size_t i = 0; i < SLOTS; i++)
        room += seen->slots[i] == NULL ? 0 : seen->slots[i]->count;
    struct news *news = arena_calloc(&seen->arena, room + 1, sizeof news[0]);
    if (news == NULL)
        return fail(err, arena_status(&seen->arena),
                    "the answer is too large to be followed; ask for less");
    for (size_t i = 0; i < SLOTS; i++)
        if (seen->slots[i] != NULL)
            add_news(follower, seen->slots[i], cut_first, all, news, &count);
    return count == 0 ? STATUS_OK : print_all(follower->follow, news, count, err);
}

/* ---- again and again -------------------------------------------------------------------- */

static int64_t now_ns(const struct follower *follower)
{
    return clock_monotonic_ns(follower->follow->clock);
}

static void window_start(const struct follower *follower, int64_t elapsed_ms,
                         char text[INSTANT_TEXT_SIZE])
{
    int64_t interval_ms = follower->follow->interval_ms;
    int64_t back_ms = interval_ms == 0 ? MARGIN_MS : BUCKETS_BACK * interval_ms;
    snprintf(text, INSTANT_TEXT_SIZE, "now-%" PRId64 "ms", back_ms + elapsed_ms);
}

/* What is there already is old, or from `start` on printed. */
static enum status begin(struct follower *follower, struct error *err)
{
    char start[INSTANT_TEXT_SIZE];
    window_start(follower, 0, start);
    follower->asked_ns = now_ns(follower);
    enum status status = ask(follower, &follower->seen[follower->last], start, err);
    if (status != STATUS_OK || follower->follow->start == NULL)
        return status;
    struct seen *seen = &follower->seen[follower->other];
    status = ask(follower, seen, follower->follow->start, err);
    return status == STATUS_OK ? print_news(follower, seen, false, true, err) : status;
}

static void say_lost(struct follower *follower, const struct error *err)
{
    if (!follower->lost)
        complain(follower->follow->options, "%s; asking on", err->message);
    follower->lost = true;
}

static enum status step(struct follower *follower, struct error *err)
{
    char start[INSTANT_TEXT_SIZE];
    int64_t asked_ns = now_ns(follower);
    window_start(follower, (asked_ns - follower->asked_ns) / NS_PER_MS, start);
    struct seen *seen = &follower->seen[follower->next];
    enum status status = ask(follower, seen, start, err);
    if (status == STATUS_BUSY) {
        say_lost(follower, err);
        return STATUS_OK;
    }
    if (status == STATUS_OK)
        status = print_news(follower, seen, true, false, err);
    if (status != STATUS_OK)
        return status;
    if (follower->lost)
        complain(follower->follow->options, "the server answers again");
    follower->lost = false;
    follower->asked_ns = asked_ns;
    seen_release(&follower->seen[follower->other]);
    size_t last = follower->last;
    follower->last = follower->next;
    follower->next = last;
    return STATUS_OK;
}

enum status query_follow(const struct query_follow *follow, struct error *err)
{
    struct follower follower = {.follow = follow, .last = 0, .other = 1, .next = 2};
    for (size_t i = 0; i < 3; i++)
        seen_init(&follower.seen[i]);
    enum status status = begin(&follower, err);
    if (status == STATUS_BUSY)
        status = err->status = STATUS_IO;
    while (status == STATUS_OK && !interrupt_wait(follow->interrupt, -1, follow->every_ms))
        status = step(&follower, err);
    for (size_t i = 0; i < 3; i++)
        arena_release(&follower.seen[i].arena);
    if (status == STATUS_CANCELLED && interrupt_pending(follow->interrupt))
        return STATUS_OK;
    return status;
}

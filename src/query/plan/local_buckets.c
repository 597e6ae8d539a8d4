#include "query/plan/local_buckets.h"

#include <inttypes.h>

#include "base/times.h"

/* 2000-01-03 00:00, a Monday, as a clock that shows UTC counts. */
#define ORIGIN_MS INT64_C(946857600000)

/* Goes from the start of one bucket to that of the next. */
struct walk {
    const struct zone *zone;
    int64_t width_ms;
    struct zone_span span;
    int64_t highest; /* piece that the clock has shown */
};

/* The piece of the clock's time that it shows at `time_ms`, which lies in the walk's span. */
static int64_t piece_at(const struct walk *walk, int64_t time_ms)
{
    int64_t local = time_ms + walk->span.offset_ms - ORIGIN_MS;
    int64_t piece = local / walk->width_ms;
    return local % walk->width_ms < 0 ? piece - 1 : piece;
}

static int64_t walk_next(struct walk *walk)
{
    int64_t from_ms = INT64_MIN;
    for (;;) {
        int64_t shown_ms = ORIGIN_MS + (walk->highest + 1) * walk->width_ms - walk->span.offset_ms;
        int64_t start_ms = shown_ms > from_ms ? shown_ms : from_ms;
        if (start_ms < walk->span.end_ms) {
            walk->highest = piece_at(walk, start_ms);
            return start_ms;
        }
        from_ms = walk->span.end_ms;
        int64_t before_ms = walk->span.offset_ms;
        walk->span = zone_span_at(walk->zone, from_ms);
        if (before_ms - walk->span.offset_ms >= walk->width_ms) {
            walk->highest = piece_at(walk, from_ms);
            return from_ms;
        }
    }
}

/*
 * Begins so long before `time_ms` that the walk knows by then what the clock has shown: it takes up
 * to an interval (clocks were put back by less) for a start that was shown before to be no start
 * any more. Returns the start of the bucket that holds `time_ms`.
 */
static int64_t walk_begin(struct walk *walk, const struct query_request *request, int64_t *next_ms)
{
    int64_t time_ms = request->range.start_ms;
    *walk = (struct walk){.zone = request->zone, .width_ms = request->interval_ms};
    int64_t early_ms = time_ms - 4 * walk->width_ms - 2 * (int64_t)MS_PER_DAY;
    walk->span = zone_span_at(walk->zone, early_ms);
    walk->highest = piece_at(walk, early_ms);
    int64_t start_ms = early_ms;
    while ((*next_ms = walk_next(walk)) <= time_ms)
        start_ms = *next_ms;
    return start_ms;
}

enum status local_buckets_make(struct plan_buckets *buckets, const struct query_request *request,
                               struct arena *arena, struct error *err)
{
    struct walk walk;
    int64_t next_ms;
    uint64_t count = 1;
    walk_begin(&walk, request, &next_ms);
    for (; next_ms < buckets->range.end_ms; next_ms = walk_next(&walk))
        if (++count > request->max_points && request->max_points != 0)
            return fail_code(err, STATUS_LIMIT, "query_points_limit",
                             "invalid parameter \"interval\": it makes more than %" PRIu64
                             " points a series, which are all that are accepted: choose a longer "
                             "interval or a shorter range",
                             request->max_points);
    int64_t *starts = arena_calloc(arena, count + 1, sizeof starts[0]);
    if (starts == NULL)
        return fail(err, arena_status(arena), "no memory for the query's buckets");
    starts[0] = walk_begin(&walk, request, &starts[1]);
    for (size_t i = 2; i <= count; i++)
        starts[i] = walk_next(&walk);
    buckets->starts = starts;
    buckets->count = count;
    return STATUS_OK;
}

#include "storage/engine/head_buckets.h"

#include <stdlib.h>

#include "base/invariant.h"

enum {
    BUCKETS_FOR_LIMIT = 4, /* so that what is read at once is nearly as many as may be */
    BUCKETS_LEAST = 16,
    BUCKET_BYTES = 2 * sizeof(uint32_t),
    PLACE_BYTES = sizeof(uint32_t),
};

/* At most half of the memory. */
static size_t buckets_for(const struct head_series *series, size_t limit, size_t bytes)
{
    size_t wanted = series->entry.count / limit * BUCKETS_FOR_LIMIT + BUCKETS_LEAST;
    size_t most = bytes / 2 / BUCKET_BYTES;
    return wanted < most ? wanted : most;
}

size_t head_buckets_bytes(const struct head_series *series, size_t limit, size_t max_bytes)
{
    size_t buckets = buckets_for(series, limit, max_bytes);
    if (buckets < BUCKETS_LEAST)
        return 0;
    size_t all = 2 * buckets * BUCKET_BYTES + (size_t)series->entry.count * PLACE_BYTES;
    return all < max_bytes ? all : max_bytes;
}

void head_buckets_release(struct head_buckets *buckets)
{
    free(buckets->samples);
    free(buckets->ends);
    free(buckets->places);
    *buckets = (struct head_buckets){0};
}

/* ---- walks ------------------------------------------------------------------------------ */

struct walk {
    struct head_buckets *buckets;
    struct head_reader reader;
    uint32_t written; /* samples before the run */
    uint32_t place;   /* of the run */
    const struct head_sample *samples;
    size_t count;
};

static struct walk walk_begin(struct head_buckets *buckets)
{
    struct walk walk = {.buckets = buckets};
    head_reader_init(&walk.reader, buckets->series.head, buckets->series.entry);
    buckets->walked += buckets->series.entry.count;
    return walk;
}

static bool walk_next(struct walk *walk)
{
    walk->written += (uint32_t)walk->count;
    walk->place = head_reader_place(&walk->reader);
    walk->count = head_reader_next(&walk->reader, &walk->samples);
    return walk->count > 0;
}

static bool walk_sees(const struct walk *walk, size_t i)
{
    const struct head_series *series = &walk->buckets->series;
    int64_t time_ms = walk->samples[i].time_ms;
    return time_range_contains(walk->buckets->range, time_ms) &&
           !cuts_hide_in_head(series->cuts, series->number, walk->written + (uint32_t)i, time_ms);
}

static void find_span(struct head_buckets *buckets)
{
    buckets->first_ms = INT64_MAX;
    buckets->last_ms = INT64_MIN;
    struct walk walk = walk_begin(buckets);
    while (walk_next(&walk))
        for (size_t i = 0; i < walk.count; i++) {
            int64_t time_ms = walk.samples[i].time_ms;
            if ((time_ms >= buckets->first_ms && time_ms <= buckets->last_ms) ||
                !walk_sees(&walk, i))
                continue;
            buckets->first_ms = time_ms < buckets->first_ms ? time_ms : buckets->first_ms;
            buckets->last_ms = time_ms > buckets->last_ms ? time_ms : buckets->last_ms;
        }
}

/* Of a time from first_ms to last_ms. */
static size_t bucket_of(const struct head_buckets *buckets, int64_t time_ms)
{
    return (size_t)(((uint64_t)time_ms - (uint64_t)buckets->first_ms) / buckets->width_ms);
}

/* Where a bucket begins, from 0 to count - 1. */
static int64_t bucket_start(const struct head_buckets *buckets, size_t bucket)
{
    return (int64_t)((uint64_t)buckets->first_ms + (uint64_t)bucket * buckets->width_ms);
}

static void count_samples(struct head_buckets *buckets)
{
    struct walk walk = walk_begin(buckets);
    while (walk_next(&walk))
        for (size_t i = 0; i < walk.count; i++)
            if (walk_sees(&walk, i))
                buckets->samples[bucket_of(buckets, walk.samples[i].time_ms)]++;
}

/* The places of as many buckets from `from` on as there is room for; there is for the first. */
static void find_places(struct head_buckets *buckets, size_t from)
{
    uint32_t end = 0;
    size_t to = from;
    for (; to < buckets->count && buckets->samples[to] <= buckets->room - end; to++) {
        buckets->ends[to] = end; /* until they are filled */
        end += buckets->samples[to];
    }
    invariant(to > from);
    buckets->from = from;
    buckets->to = to;
    /* Most are elsewhere. */
    int64_t first_ms = bucket_start(buckets, from);
    int64_t last_ms = to < buckets->count ? bucket_start(buckets, to) - 1 : buckets->last_ms;
    struct walk walk = walk_begin(buckets);
    while (walk_next(&walk))
        for (size_t i = 0; i < walk.count; i++) {
            int64_t time_ms = walk.samples[i].time_ms;
            if (time_ms < first_ms || time_ms > last_ms || !walk_sees(&walk, i))
                continue;
            size_t bucket = bucket_of(buckets, time_ms);
            buckets->places[buckets->ends[bucket]++] = walk.place + (uint32_t)i;
        }
}

/* ---- use -------------------------------------------------------------------------------- */

enum status head_buckets_make(struct head_buckets *buckets, const struct head_series *series,
                              struct time_range range, size_t limit, size_t bytes)
{
    *buckets = (struct head_buckets){.series = *series, .range = range};
    size_t most = buckets_for(series, limit, bytes);
    invariant(most > 0);
    buckets->room = (bytes - most * BUCKET_BYTES) / PLACE_BYTES;
    buckets->samples = calloc(most, sizeof buckets->samples[0]);
    buckets->ends = calloc(most, sizeof buckets->ends[0]);
    buckets->places = malloc(buckets->room * PLACE_BYTES);
    if (buckets->samples == NULL || buckets->ends == NULL || buckets->places == NULL)
        return STATUS_MEMORY;
    find_span(buckets);
    if (buckets->first_ms > buckets->last_ms)
        return STATUS_OK;
    uint64_t span_ms = (uint64_t)buckets->last_ms - (uint64_t)buckets->first_ms;
    buckets->width_ms = span_ms / most + 1;
    buckets->count = (size_t)(span_ms / buckets->width_ms) + 1;
    count_samples(buckets);
    return STATUS_OK;
}

bool head_buckets_find(struct head_buckets *buckets, struct time_range *range, size_t limit,
                       struct head_places *places)
{
    *places = (struct head_places){0};
    if (range->start_ms > buckets->last_ms || buckets->count == 0)
        return true;
    size_t from = range->start_ms <= buckets->first_ms ? 0 : bucket_of(buckets, range->start_ms);
    size_t most = limit < buckets->room ? limit : buckets->room;
    size_t samples = buckets->samples[from];
    size_t end = from + 1;
    while (end < buckets->count && samples + buckets->samples[end] <= most)
        samples += buckets->samples[end++];
    bool has_room = samples <= buckets->room;
    if (has_room && (from < buckets->from || end > buckets->to))
        find_places(buckets, from);
    if (end < buckets->count) {
        int64_t end_ms = bucket_start(buckets, end);
        if (end_ms < range->end_ms)
            range->end_ms = end_ms;
    }
    if (!has_room)
        return false;
    places->count = samples;
    places->places = buckets->places + buckets->ends[from] - buckets->samples[from];
    return true;
}

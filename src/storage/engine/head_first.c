#include "storage/engine/head_first.h"

#include "base/invariant.h"

enum { PLACES_AHEAD = 16 }; /* how many places ahead samples are fetched */

static bool in_order(const struct head_first *first)
{
    const struct head_series *series = &first->series;
    return !series->entry.disordered && !cuts_touch_head(series->cuts, series->number);
}

void head_first_init(struct head_first *first, const struct head_series *series, size_t limit)
{
    *first = (struct head_first){.series = *series, .limit = limit};
    head_reader_init(&first->reader, series->head, series->entry);
}

void head_first_release(struct head_first *first)
{
    if (first->has_buckets)
        head_buckets_release(&first->buckets);
    first->has_buckets = false;
    first->bytes = 0;
}

size_t head_first_bytes(const struct head_first *first, size_t max_bytes)
{
    if (in_order(first) || first->series.entry.count <= head_first_room(first))
        return 0;
    return head_buckets_bytes(&first->series, first->limit, max_bytes);
}

enum status head_first_sort_out(struct head_first *first, struct time_range range, size_t bytes)
{
    first->has_buckets = true;
    first->bytes = bytes;
    return head_buckets_make(&first->buckets, &first->series, range, first->limit, bytes);
}

size_t head_first_room(const struct head_first *first)
{
    size_t most = in_order(first) ? first->limit : 2 * first->limit;
    return first->series.entry.count < most ? first->series.entry.count : most;
}

size_t head_first_scratch(const struct head_first *first)
{
    return in_order(first) ? 0 : 2 * head_first_room(first);
}

static size_t copy_in_order(struct head_first *first, struct time_range *range, int64_t *times,
                            double *values)
{
    struct head_reader reader = first->reader;
    const struct head_sample *samples;
    size_t copied = 0;
    for (size_t count; (count = head_reader_next(&reader, &samples)) > 0;) {
        first->walked++;
        if (samples[count - 1].time_ms < range->start_ms) {
            first->reader = reader;
            continue;
        }
        first->walked += count - 1;
        for (size_t i = 0; i < count; i++) {
            if (samples[i].time_ms < range->start_ms)
                continue;
            if (copied == first->limit && samples[i].time_ms < range->end_ms)
                range->end_ms = samples[i].time_ms;
            if (samples[i].time_ms >= range->end_ms)
                return copied;
            times[copied] = samples[i].time_ms;
            values[copied++] = samples[i].value;
        }
    }
    return copied;
}

/* ---- out of order ----------------------------------------------------------------------- */

/* What is taken of them, to be sorted. */
struct taking {
    const struct head_first *first;
    struct time_range *range;
    size_t room, taken;
    struct head_sample *scratch;
    int64_t *times;
    double *values;
};

/* Sorts what is taken into times and values. Of more than the limit the range ends before the
 * others. */
static size_t sort(struct taking *taking)
{
    size_t kept =
        head_sort(taking->scratch, taking->room, taking->taken, taking->times, taking->values);
    if (kept <= taking->first->limit)
        return kept;
    taking->range->end_ms = taking->times[taking->first->limit];
    return taking->first->limit;
}

static void take(struct taking *taking, const struct head_sample *sample)
{
    if (!time_range_contains(*taking->range, sample->time_ms))
        return;
    /* Full: of what was taken only the first stay, and later writes still come after. */
    if (taking->taken == taking->room) {
        taking->taken = sort(taking);
        for (size_t i = 0; i < taking->taken; i++)
            taking->scratch[i] =
                (struct head_sample){.time_ms = taking->times[i], .value = taking->values[i]};
        if (sample->time_ms >= taking->range->end_ms)
            return;
    }
    taking->scratch[taking->taken++] = *sample;
}

static void take_of_all(struct taking *taking, const struct head_series *series)
{
    struct head_reader reader;
    head_reader_init(&reader, series->head, series->entry);
    const struct head_sample *samples;
    uint32_t written = 0;
    for (size_t count; (count = head_reader_next(&reader, &samples)) > 0;)
        for (size_t i = 0; i < count; i++, written++)
            if (!cuts_hide_in_head(series->cuts, series->number, written, samples[i].time_ms))
                take(taking, &samples[i]);
}

static void take_places(struct taking *taking, const struct head *head, struct head_places places)
{
    for (size_t i = 0; i < places.count; i++) {
        if (i + PLACES_AHEAD < places.count)
            __builtin_prefetch(head_sample_at(head, places.places[i + PLACES_AHEAD]));
        take(taking, head_sample_at(head, places.places[i]));
    }
}

size_t head_first_copy(struct head_first *first, struct time_range *range,
                       struct head_sample *scratch, int64_t *times, double *values)
{
    if (in_order(first))
        return copy_in_order(first, range, times, values);
    invariant(scratch != NULL || first->series.entry.count == 0);
    struct taking taking = {
        .first = first,
        .range = range,
        .room = head_first_room(first),
        .scratch = scratch,
        .times = times,
        .values = values,
    };
    struct head_places places;
    if (first->has_buckets && head_buckets_find(&first->buckets, range, first->limit, &places)) {
        first->walked += places.count;
        take_places(&taking, first->series.head, places);
    } else {
        first->walked += first->series.entry.count;
        take_of_all(&taking, &first->series);
    }
    return sort(&taking);
}

uint64_t head_first_again(const struct head_first *first)
{
    uint64_t walked = first->walked + first->buckets.walked;
    uint64_t once = first->series.entry.count;
    return walked > once ? walked - once : 0;
}

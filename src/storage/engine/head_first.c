#include "storage/engine/head_first.h"

#include "base/invariant.h"

static bool in_order(const struct head_first *first)
{
    return !first->entry.disordered && !cuts_touch_head(first->cuts, first->number);
}

size_t head_first_room(const struct head_first *first)
{
    size_t most = in_order(first) ? first->limit : 2 * first->limit;
    return first->entry.count < most ? first->entry.count : most;
}

size_t head_first_scratch(const struct head_first *first)
{
    return in_order(first) ? 0 : 2 * head_first_room(first);
}

static size_t copy_in_order(const struct head_first *first, struct time_range *range,
                            int64_t *times, double *values)
{
    struct head_reader reader;
    head_reader_init(&reader, first->head, first->entry);
    const struct head_sample *samples;
    size_t copied = 0;
    for (size_t count; (count = head_reader_next(&reader, &samples)) > 0;) {
        if (samples[count - 1].time_ms < range->start_ms)
            continue;
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

/* Sorts the `count` samples in `scratch` into times and values. Of more than the limit the range
 * ends before the others. */
static size_t sort(const struct head_first *first, struct time_range *range, size_t count,
                   struct head_sample *scratch, int64_t *times, double *values)
{
    size_t kept = head_sort(scratch, head_first_room(first), count, times, values);
    if (kept <= first->limit)
        return kept;
    range->end_ms = times[first->limit];
    return first->limit;
}

size_t head_first_copy(const struct head_first *first, struct time_range *range,
                       struct head_sample *scratch, int64_t *times, double *values)
{
    if (in_order(first))
        return copy_in_order(first, range, times, values);
    invariant(scratch != NULL || first->entry.count == 0);
    size_t room = head_first_room(first);
    struct head_reader reader;
    head_reader_init(&reader, first->head, first->entry);
    const struct head_sample *samples;
    uint32_t place = 0;
    size_t taken = 0;
    for (size_t count; (count = head_reader_next(&reader, &samples)) > 0;)
        for (size_t i = 0; i < count; i++, place++) {
            if (!time_range_contains(*range, samples[i].time_ms) ||
                cuts_hide_in_head(first->cuts, first->number, place, samples[i].time_ms))
                continue;
            /* Full: of what was taken only the first stay, and later writes still come after. */
            if (taken == room) {
                taken = sort(first, range, taken, scratch, times, values);
                for (size_t j = 0; j < taken; j++)
                    scratch[j] = (struct head_sample){.time_ms = times[j], .value = values[j]};
                if (samples[i].time_ms >= range->end_ms)
                    continue;
            }
            scratch[taken++] = samples[i];
        }
    return sort(first, range, taken, scratch, times, values);
}

#include "storage/engine/merge_choice.h"

/* Neighbours that would become one. */
struct window {
    size_t start, end;
    uint64_t bytes;
};

/* With a fan-in of 8 two merges take 120 flushes of a day together, and up to 1,800 go without a
 * third, which would be one write too many. */
static size_t fan_in_of(uint32_t level, size_t fan_in)
{
    return level == 0 ? fan_in : MERGE_MAX_PARTS;
}

/* The end of the neighbours from `at` on that may be merged, of levels up to `level`. */
static size_t run_end(const struct merge_candidate *parts, size_t count, size_t at, uint32_t level)
{
    size_t end = at;
    while (end < count && !parts[end].fixed && parts[end].level <= level &&
           (end == at || !parts[end].gap_before))
        end++;
    return end;
}

/* The least window from `start` on, before `end`, that has `fan_in` parts of the level and none
 * that is most of it. False: there is none. */
static bool window_at(const struct merge_candidate *parts, size_t start, size_t end, uint32_t level,
                      size_t fan_in, struct window *window)
{
    *window = (struct window){.start = start, .end = start};
    uint64_t largest = 0;
    size_t counted = 0;
    while (window->end < end && (counted < fan_in || window->end - start < MERGE_SOURCES_MAX)) {
        const struct merge_candidate *part = &parts[window->end++];
        window->bytes += part->bytes;
        largest = part->bytes > largest ? part->bytes : largest;
        counted += part->level == level;
        if (part->level == level && counted >= fan_in && largest <= 2 * (window->bytes - largest))
            return window->end - start <= MERGE_SOURCES_MAX;
    }
    return false;
}

/* And with them their own neighbours that are no larger than what is merged already. */
static void take_along(const struct merge_candidate *parts, size_t begin, size_t end,
                       struct window *window)
{
    while (window->end - window->start < MERGE_MAX_PARTS) {
        if (window->end < end && parts[window->end].bytes <= window->bytes)
            window->bytes += parts[window->end++].bytes;
        else if (window->start > begin && parts[window->start - 1].bytes <= window->bytes)
            window->bytes += parts[--window->start].bytes;
        else
            break;
    }
}

/* Of the windows of a run of levels up to `level` the oldest that is not much more to write than
 * the least: what is left of the run then stands at its end, where more comes. */
static bool choose_in_run(const struct merge_candidate *parts, size_t begin, size_t end,
                          uint32_t level, size_t fan_in, struct window *chosen)
{
    enum { MUCH_MORE = 2 };
    uint64_t least = UINT64_MAX;
    struct window window;
    for (size_t i = begin; i < end; i++)
        if (parts[i].level == level && window_at(parts, i, end, level, fan_in, &window) &&
            window.bytes < least)
            least = window.bytes;
    if (least == UINT64_MAX)
        return false;
    for (size_t i = begin; i < end; i++)
        if (parts[i].level == level && window_at(parts, i, end, level, fan_in, chosen) &&
            chosen->bytes / MUCH_MORE <= least)
            break;
    take_along(parts, begin, end, chosen);
    return true;
}

/* Of all levels of a stretch, low ones first. */
static bool choose_by_level(const struct merge_candidate *parts, size_t begin, size_t end,
                            size_t fan_in, struct window *best)
{
    uint32_t top = 0;
    for (size_t i = begin; i < end; i++)
        top = parts[i].level > top ? parts[i].level : top;
    for (uint32_t level = 0; level <= top; level++)
        for (size_t at = begin; at < end;) {
            size_t last = run_end(parts, end, at, level);
            if (choose_in_run(parts, at, last, level, fan_in_of(level, fan_in), best))
                return true;
            at = last > at ? last : at + 1;
        }
    return false;
}

static void choose_cheapest(const struct merge_candidate *parts, size_t begin, size_t end,
                            struct window *best)
{
    best->bytes = UINT64_MAX;
    for (size_t start = begin; start + MERGE_MAX_PARTS <= end; start++) {
        uint64_t bytes = 0;
        for (size_t i = start; i < start + MERGE_MAX_PARTS; i++)
            bytes += parts[i].bytes;
        if (bytes < best->bytes)
            *best = (struct window){start, start + MERGE_MAX_PARTS, bytes};
    }
}

/* Neighbours that stay, at the most. */
static size_t most_that_stay(size_t fan_in)
{
    return fan_in > MERGE_PARTS_MAX ? fan_in : MERGE_PARTS_MAX;
}

bool merge_is_behind(const struct merge_candidate *parts, size_t count, size_t fan_in)
{
    for (size_t begin = 0; begin < count;) {
        size_t end = run_end(parts, count, begin, UINT32_MAX);
        if (end - begin > most_that_stay(fan_in))
            return true;
        begin = end > begin ? end : begin + 1;
    }
    return false;
}

size_t merge_choose(const struct merge_candidate *parts, size_t count, size_t fan_in, size_t *start)
{
    size_t most = most_that_stay(fan_in);
    *start = 0;
    for (size_t begin = 0; begin < count;) {
        size_t end = run_end(parts, count, begin, UINT32_MAX);
        struct window window = {0};
        if (!choose_by_level(parts, begin, end, fan_in, &window) && end - begin > most)
            choose_cheapest(parts, begin, end, &window);
        if (window.end > window.start) {
            *start = window.start;
            return window.end - window.start;
        }
        begin = end > begin ? end : begin + 1;
    }
    return 0;
}

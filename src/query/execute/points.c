#include "query/execute/points.h"

/* Choosing a rank passes over the values several times. */
enum { HELD_WORK = 4 };

void points_start(struct points *points, const struct window *window,
                  const struct window_cells *cells)
{
    points->bucket = window->fill == FILL_NONE ? cells->low : 0;
    points->has_before = false;
}

/* The point at `at` is of a bucket without a value. */
static void points_fill(struct points *points, enum query_fill fill, size_t at)
{
    points->missing[at] = fill == FILL_NULL || !points->has_before;
    points->values[at] = points->missing[at] ? 0 : points->before;
}

/* Finishes the next bucket into the place `at`; false: it gives no point. */
static inline bool points_take(struct points *points, const struct window *window,
                               const struct window_cells *cells, size_t at)
{
    void *cell = window_cell(window, cells, points->bucket);
    int64_t start_ms = plan_bucket_start(&window->buckets, points->bucket);
    int64_t length_ms = plan_bucket_start(&window->buckets, points->bucket + 1) - start_ms;
    bool has_value = aggregate_finish(&window->aggregate, cell, length_ms, &points->values[at],
                                      &points->sample_times[at]);
    if (!has_value && window->fill == FILL_NONE)
        return false;
    points->times[at] = start_ms;
    points->missing[at] = false;
    if (!has_value) {
        points_fill(points, window->fill, at);
        return true;
    }
    points->has_before = true;
    points->before = points->values[at];
    return true;
}

enum status points_next(struct points *points, const struct window *window,
                        const struct window_cells *cells, struct budget *budget,
                        struct result_points *result, struct error *err)
{
    const struct aggregate *aggregate = &window->aggregate;
    size_t end = window->fill == FILL_NONE ? cells->high : window->buckets.count;
    size_t count = 0;
    for (; points->bucket < end && count < OPERATOR_BATCH; points->bucket++) {
        size_t held = aggregate_held(aggregate, window_cell(window, cells, points->bucket));
        enum status status = held == 0 ? STATUS_OK : budget_spend(budget, HELD_WORK * held, err);
        if (status != STATUS_OK)
            return status;
        count += points_take(points, window, cells, count);
    }
    if (count == 0)
        return STATUS_END;
    bool edge = aggregate->function == AGGREGATE_FIRST || aggregate->function == AGGREGATE_LAST;
    *result = (struct result_points){
        .count = count,
        .times = points->times,
        .values = points->values,
        .missing = window->fill == FILL_NONE ? NULL : points->missing,
        .sample_times = edge ? points->sample_times : NULL,
    };
    return budget_spend(budget, count, err);
}

enum status points_add(const struct window *window, struct window_cells *cells,
                       const struct result_points *input, struct error *err)
{
    const struct plan_buckets *buckets = &window->buckets;
    const int64_t *times = input->sample_times != NULL ? input->sample_times : input->times;
    for (size_t i = 0; i < input->count; i++) {
        size_t bucket = plan_bucket_of(buckets, input->times[i]);
        enum status status = aggregate_add(&window->aggregate, window_touch(window, cells, bucket),
                                           &times[i], &input->values[i], 1);
        if (status != STATUS_OK)
            return budget_no_memory(window->aggregate.pool->arena, err);
    }
    return STATUS_OK;
}

bool points_any(const struct window *window, const struct window_cells *cells)
{
    for (size_t bucket = cells->low; bucket < cells->high; bucket++) {
        uint64_t count; /* every cell begins with it */
        memcpy(&count, window_cell(window, cells, bucket), sizeof count);
        if (count > 0)
            return true;
    }
    return false;
}

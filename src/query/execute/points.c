#include "query/execute/points.h"

/* Choosing a rank passes over the values several times. */
enum { HELD_WORK = 4 };

void points_start(struct points *points, const struct window_cells *cells)
{
    points->bucket = cells->low;
}

enum status points_next(struct points *points, const struct window *window,
                        const struct window_cells *cells, struct budget *budget,
                        struct result_points *result, struct error *err)
{
    const struct aggregate *aggregate = &window->aggregate;
    size_t count = 0;
    for (; points->bucket < cells->high && count < OPERATOR_BATCH; points->bucket++) {
        void *cell = window_cell(window, cells, points->bucket);
        size_t held = aggregate_held(aggregate, cell);
        enum status status = held == 0 ? STATUS_OK : budget_spend(budget, 0, HELD_WORK * held, err);
        if (status != STATUS_OK)
            return status;
        if (!aggregate_finish(aggregate, cell, &points->values[count],
                              &points->sample_times[count]))
            continue;
        points->times[count++] = window_bucket_start(window, points->bucket);
    }
    if (count == 0)
        return STATUS_END;
    bool edge = aggregate->function == AGGREGATE_FIRST || aggregate->function == AGGREGATE_LAST;
    *result = (struct result_points){
        .count = count,
        .times = points->times,
        .values = points->values,
        .sample_times = edge ? points->sample_times : NULL,
    };
    return budget_spend(budget, 0, count, err);
}

enum status points_add(const struct window *window, struct window_cells *cells,
                       const struct result_points *input, struct error *err)
{
    const struct plan_buckets *buckets = &window->buckets;
    const int64_t *times = input->sample_times != NULL ? input->sample_times : input->times;
    for (size_t i = 0; i < input->count; i++) {
        size_t bucket = (size_t)((input->times[i] - buckets->first_ms) / buckets->width_ms);
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

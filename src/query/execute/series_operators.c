/*
 * The operators that give each series by itself, in the source's order: raw samples, a window of
 * one series, a combination of one series' points.
 */
#include "base/invariant.h"
#include "model/value.h"
#include "query/execute/operator.h"
#include "query/execute/points.h"

/* ---- SELECT ----------------------------------------------------------------------------- */

struct select_operator {
    struct operator base;
    const struct operator_context *context;
    bool held; /* `batch` was read ahead and waits */
    struct result_points batch;
    struct storage_block block; /* being given out, from `at` on */
    uint32_t at;
    int64_t times[OPERATOR_BATCH];
    double values[OPERATOR_BATCH];
};

/* The next samples of the series that are no stale markers. */
static enum status select_read(struct select_operator *select, struct error *err)
{
    struct source *source = select->context->source;
    size_t count = 0;
    while (count == 0) {
        if (select->at == select->block.count) {
            enum status status = source_next_block(source, &select->block, err);
            if (status == STATUS_OK)
                status = source_load(source, &select->block, err);
            if (status != STATUS_OK) {
                select->at = select->block.count = 0;
                return status;
            }
            select->at = 0;
        }
        for (; select->at < select->block.count && count < OPERATOR_BATCH; select->at++) {
            select->times[count] = select->block.times[select->at];
            select->values[count] = select->block.values[select->at];
            count += !value_is_stale(select->values[count]);
        }
    }
    select->batch = (struct result_points){
        .count = count,
        .times = select->times,
        .values = select->values,
    };
    return STATUS_OK;
}

static enum status select_next_series(struct operator* operator, struct result_series * series,
                                      struct error *err)
{
    struct select_operator *select = container_of(operator, struct select_operator, base);
    struct source *source = select->context->source;
    enum status status;
    do {
        status = source_next_series(source, err);
        if (status != STATUS_OK)
            return status;
        select->at = select->block.count = 0;
        status = select_read(select, err);
    } while (status == STATUS_END);
    select->held = status == STATUS_OK;
    *series = (struct result_series){
        .metric = labels_metric_name(&source->series.labels),
        .labels = source->series.labels,
    };
    return status;
}

static enum status select_next_points(struct operator* operator, struct result_points * points,
                                      struct error *err)
{
    struct select_operator *select = container_of(operator, struct select_operator, base);
    enum status status = select->held ? STATUS_OK : select_read(select, err);
    select->held = false;
    if (status == STATUS_OK)
        *points = select->batch;
    return status;
}

static enum status select_skip_after(struct operator* operator, const struct labels * labels,
                                     struct error *err)
{
    struct select_operator *select = container_of(operator, struct select_operator, base);
    return source_skip_after(select->context->source, labels, err);
}

static bool select_has_more(const struct operator* operator)
{
    const struct select_operator *select =
        container_of(operator, const struct select_operator, base);
    return select->context->source->next < select->context->source->count;
}

struct operator* select_operator_new(const struct operator_context *context)
{
    static const struct operator_ops ops = {select_next_series, select_next_points,
                                            select_skip_after, select_has_more};
    struct select_operator *select = arena_calloc(context->arena, 1, sizeof *select);
    if (select == NULL)
        return NULL;
    select->base.ops = &ops;
    select->context = context;
    return &select->base;
}

/* ---- WINDOW of each series, GROUP of each series ---------------------------------------- */

/* One set of cells, used again for every series. */
struct cells_operator {
    struct operator base;
    const struct operator_context *context;
    struct operator* input; /* of GROUP; NULL with WINDOW, which reads the source */
    struct window window;
    struct window_cells cells;
    struct points points;
};

static struct cells_operator *cells_operator_new(const struct plan_node *node,
                                                 const struct operator_context *context,
                                                 const struct operator_ops *ops)
{
    struct cells_operator *cells = arena_calloc(context->arena, 1, sizeof *cells);
    if (cells == NULL)
        return NULL;
    cells->base.ops = ops;
    cells->context = context;
    window_init(&cells->window, node, context->pool);
    size_t size = window_cells_size(&cells->window);
    if (size == 0)
        context->arena->exhausted = true;
    else
        cells->cells.cells = arena_calloc(context->arena, 1, size);
    return cells->cells.cells == NULL ? NULL : cells;
}

static enum status cells_next_points(struct operator* operator, struct result_points * points,
                                     struct error *err)
{
    struct cells_operator *cells = container_of(operator, struct cells_operator, base);
    return points_next(&cells->points, &cells->window, &cells->cells, cells->context->budget,
                       points, err);
}

static enum status window_next_series(struct operator* operator, struct result_series * series,
                                      struct error *err)
{
    struct cells_operator *cells = container_of(operator, struct cells_operator, base);
    struct source *source = cells->context->source;
    do {
        window_reset(&cells->window, &cells->cells);
        enum status status = source_next_series(source, err);
        if (status == STATUS_OK)
            status = window_add_series(&cells->window, &cells->cells, source, err);
        if (status != STATUS_OK)
            return status;
    } while (!points_any(&cells->window, &cells->cells));
    points_start(&cells->points, &cells->window, &cells->cells);
    *series = (struct result_series){
        .metric = labels_metric_name(&source->series.labels),
        .labels = source->series.labels,
    };
    return STATUS_OK;
}

static enum status window_skip_after(struct operator* operator, const struct labels * labels,
                                     struct error *err)
{
    struct cells_operator *cells = container_of(operator, struct cells_operator, base);
    return source_skip_after(cells->context->source, labels, err);
}

static bool window_has_more(const struct operator* operator)
{
    const struct cells_operator *cells = container_of(operator, const struct cells_operator, base);
    return cells->context->source->next < cells->context->source->count;
}

struct operator*
    window_operator_new(const struct plan_node *node, const struct operator_context *context)
{
    static const struct operator_ops ops = {window_next_series, cells_next_points,
                                            window_skip_after, window_has_more};
    struct cells_operator *cells = cells_operator_new(node, context, &ops);
    return cells == NULL ? NULL : &cells->base;
}

static enum status each_next_series(struct operator* operator, struct result_series * series,
                                    struct error *err)
{
    struct cells_operator *cells = container_of(operator, struct cells_operator, base);
    window_reset(&cells->window, &cells->cells);
    enum status status = cells->input->ops->next_series(cells->input, series, err);
    struct result_points points;
    while (status == STATUS_OK) {
        status = cells->input->ops->next_points(cells->input, &points, err);
        if (status == STATUS_END)
            break;
        if (status == STATUS_OK)
            status = points_add(&cells->window, &cells->cells, &points, err);
        if (status != STATUS_OK)
            return status;
    }
    if (cells->cells.high == 0)
        return status;
    points_start(&cells->points, &cells->window, &cells->cells);
    return STATUS_OK;
}

static enum status each_skip_after(struct operator* operator, const struct labels * labels,
                                   struct error *err)
{
    struct cells_operator *cells = container_of(operator, struct cells_operator, base);
    return cells->input->ops->skip_after(cells->input, labels, err);
}

static bool each_has_more(const struct operator* operator)
{
    const struct cells_operator *cells = container_of(operator, const struct cells_operator, base);
    return cells->input->ops->has_more(cells->input);
}

struct operator* each_operator_new(const struct plan_node *node,
                                   const struct operator_context *context, struct operator* input)
{
    static const struct operator_ops ops = {each_next_series, cells_next_points, each_skip_after,
                                            each_has_more};
    struct cells_operator *cells = cells_operator_new(node, context, &ops);
    if (cells == NULL)
        return NULL;
    cells->input = input;
    return &cells->base;
}

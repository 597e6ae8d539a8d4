#include "query/execute/execution.h"

#include "query/parse/cursor.h"

/* A cursor is base64 of all labels of a series. */
enum { CURSOR_MAX_SIZE = 2 * LABELS_MAX_SIZE };

enum status operator_build(const struct plan_node *node, const struct operator_context *context,
                           struct operator** operator, struct error * err)
{
    struct operator* input = NULL;
    *operator= NULL;
    /* A chain of three at most: the plan's builder made it. */
    if (node->kind == PLAN_GROUP) {
        enum status status = operator_build(node->input, context, &input, err);
        if (status != STATUS_OK)
            return status;
    }
    switch (node->kind) {
    case PLAN_SELECT:
        *operator= select_operator_new(context);
        break;
    case PLAN_WINDOW:
        *operator= node->grouping == PLAN_EACH ? window_operator_new(node, context)
                                               : pool_operator_new(node, context);
        break;
    case PLAN_GROUP:
        *operator= node->grouping == PLAN_EACH ? each_operator_new(node, context, input)
                                               : group_operator_new(node, context, input);
        break;
    }
    return *operator!= NULL ? STATUS_OK : budget_no_memory(context->arena, err);
}

enum status execution_open(struct execution *execution, const struct plan *plan,
                           struct arena *arena, struct budget *budget, struct error *err)
{
    *execution = (struct execution){
        .limit = plan->limit,
        .grouped = plan->root->kind != PLAN_SELECT && plan->root->grouping == PLAN_BY,
    };
    bytes_init(&execution->next, CURSOR_MAX_SIZE);
    value_pool_init(&execution->pool, arena);
    execution->context = (struct operator_context){
        .arena = arena,
        .pool = &execution->pool,
        .budget = budget,
        .source = &execution->source,
    };
    enum status status = operator_build(plan->root, &execution->context, &execution->root, err);
    const struct plan_node *leaf = plan->root;
    while (leaf->input != NULL)
        leaf = leaf->input;
    if (status == STATUS_OK)
        status = source_open(&execution->source, leaf->matchers, 1, leaf->range, leaf->ordered,
                             budget, err);
    if (status == STATUS_OK && plan->after != NULL)
        status = execution->root->ops->skip_after(execution->root, plan->after, err);
    return status;
}

void execution_close(struct execution *execution)
{
    source_close(&execution->source);
    bytes_release(&execution->next);
}

enum status execution_next_series(struct execution *execution, struct result_series *series,
                                  struct error *err)
{
    if (execution->given == execution->limit)
        return STATUS_END;
    enum status status = execution->root->ops->next_series(execution->root, series, err);
    if (status != STATUS_OK)
        return status;
    execution->given++;
    if (execution->given < execution->limit || !execution->root->ops->has_more(execution->root))
        return STATUS_OK;
    status = cursor_encode(execution->grouped ? CURSOR_GROUP : CURSOR_SERIES, &series->labels,
                           &execution->next);
    return status == STATUS_OK ? STATUS_OK
                               : fail(err, status, "no memory for the cursor of the next page");
}

enum status execution_next_points(struct execution *execution, struct result_points *points,
                                  struct error *err)
{
    return execution->root->ops->next_points(execution->root, points, err);
}

void execution_stats(const struct execution *execution, struct execution_stats *stats)
{
    struct read_stats read;
    const struct source *source = &execution->source;
    selection_stats(source->tier, source->selection, &read);
    *stats = (struct execution_stats){
        .series = source->series_read,
        .samples_scanned = source->budget->samples,
        .blocks_skipped = read.blocks_skipped,
        .partial = read.partial,
        .duration_ns = budget_elapsed_ns(source->budget),
    };
}

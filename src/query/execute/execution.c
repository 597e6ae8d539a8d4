#include "query/execute/operator.h"

struct execution {
    struct operator_context context;
    struct value_pool pool;
    struct budget budget;
    struct source source;
    struct operator* root;
    uint64_t limit;
    enum cursor_kind kind;
    uint64_t given;    /* series so far */
    struct bytes next; /* cursor of the next page; empty when this is the last */
};

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

static enum status open_source(struct execution *execution, const struct plan *plan,
                               struct error *err)
{
    const struct plan_node *leaf = plan->root;
    while (leaf->input != NULL)
        leaf = leaf->input;
    enum status status = source_open(&execution->source, leaf->matchers, 1, leaf->range,
                                     leaf->ordered, &execution->budget, err);
    if (status == STATUS_OK && plan->after != NULL)
        status = execution->root->ops->skip_after(execution->root, plan->after, err);
    return status;
}

enum status execution_open(struct execution **result, const struct query_environment *environment,
                           const struct plan *plan, int64_t timeout_ms, struct arena *arena,
                           struct error *err)
{
    *result = NULL;
    struct execution *execution = arena_calloc(arena, 1, sizeof *execution);
    if (execution == NULL)
        return budget_no_memory(arena, err);
    bool grouped = plan->root->kind != PLAN_SELECT && plan->root->grouping == PLAN_BY;
    execution->limit = plan->limit;
    execution->kind = grouped ? CURSOR_GROUP : CURSOR_SERIES;
    bytes_init(&execution->next, CURSOR_MAX_SIZE);
    value_pool_init(&execution->pool, arena);
    budget_init(&execution->budget, environment, environment->limits.max_samples, timeout_ms);
    execution->context = (struct operator_context){
        .arena = arena,
        .pool = &execution->pool,
        .budget = &execution->budget,
        .source = &execution->source,
    };
    enum status status = budget_check(&execution->budget, err);
    if (status == STATUS_OK)
        status = operator_build(plan->root, &execution->context, &execution->root, err);
    if (status == STATUS_OK)
        status = open_source(execution, plan, err);
    if (status == STATUS_OK)
        *result = execution;
    else
        execution_close(execution);
    return status;
}

void execution_close(struct execution *execution)
{
    if (execution == NULL)
        return;
    source_close(&execution->source);
    bytes_release(&execution->next);
}

struct slice execution_next_page(const struct execution *execution)
{
    return bytes_slice(&execution->next);
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
    status = cursor_encode(execution->kind, &series->labels, &execution->next);
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
    memcpy(stats->tiers, read.tiers, sizeof stats->tiers);
}

/*
 * The operators that put series together: they read all of their input before they give the first
 * group.
 */
#include "base/invariant.h"
#include "query/execute/groups.h"
#include "query/execute/operator.h"

struct groups_operator {
    struct operator base;
    struct operator* input; /* of GROUP; NULL where samples are pooled from the source */
    bool filled;
    const struct labels *after;
    struct groups groups;
};

static enum status pool_fill(struct groups_operator *operator, struct error * err)
{
    struct groups *groups = &operator->groups;
    struct source *source = groups->context->source;
    enum status status;
    while ((status = source_next_series(source, err)) == STATUS_OK) {
        struct group *group;
        status = groups_find(groups, &source->series.labels, &group, err);
        if (status == STATUS_OK)
            status = window_add_series(&groups->window, &group->cells, source, err);
        if (status != STATUS_OK)
            return status;
    }
    return status == STATUS_END ? STATUS_OK : status;
}

static enum status group_fill_series(struct groups_operator *operator,
                                     const struct result_series * series, struct error *err)
{
    struct groups *groups = &operator->groups;
    struct group *group;
    struct result_points points;
    enum status status = groups_find(groups, &series->labels, &group, err);
    while (status == STATUS_OK) {
        status = operator->input->ops->next_points(operator->input, &points, err);
        if (status == STATUS_OK)
            status = points_add(&groups->window, &group->cells, &points, err);
    }
    return status == STATUS_END ? STATUS_OK : status;
}

static enum status group_fill(struct groups_operator *operator, struct error * err)
{
    struct result_series series;
    enum status status;
    while ((status = operator->input->ops->next_series(operator->input, &series, err)) ==
           STATUS_OK) {
        status = group_fill_series(operator, & series, err);
        if (status != STATUS_OK)
            return status;
    }
    return status == STATUS_END ? STATUS_OK : status;
}

static enum status groups_operator_fill(struct groups_operator *groups, struct error *err)
{
    if (groups->filled)
        return STATUS_OK;
    enum status status = groups->input == NULL ? pool_fill(groups, err) : group_fill(groups, err);
    if (status != STATUS_OK)
        return status;
    groups_sort(&groups->groups, groups->after);
    groups->filled = true;
    return STATUS_OK;
}

static enum status groups_operator_next_series(struct operator* operator,
                                               struct result_series * series, struct error *err)
{
    struct groups_operator *groups = container_of(operator, struct groups_operator, base);
    enum status status = groups_operator_fill(groups, err);
    return status == STATUS_OK ? groups_next(&groups->groups, series) : status;
}

static enum status groups_operator_next_points(struct operator* operator,
                                               struct result_points * points, struct error *err)
{
    struct groups_operator *groups = container_of(operator, struct groups_operator, base);
    return groups_next_points(&groups->groups, points, err);
}

static enum status groups_operator_skip_after(struct operator* operator,
                                              const struct labels * labels, struct error *err)
{
    (void)err;
    container_of(operator, struct groups_operator, base)->after = labels;
    return STATUS_OK;
}

static bool groups_operator_has_more(const struct operator* operator)
{
    const struct groups_operator *groups =
        container_of(operator, const struct groups_operator, base);
    return !groups->filled || groups->groups.next < groups->groups.count;
}

struct operator* group_operator_new(const struct plan_node *node,
                                    const struct operator_context *context, struct operator* input)
{
    static const struct operator_ops ops = {groups_operator_next_series,
                                            groups_operator_next_points, groups_operator_skip_after,
                                            groups_operator_has_more};
    struct groups_operator *groups = arena_calloc(context->arena, 1, sizeof *groups);
    if (groups == NULL)
        return NULL;
    groups->base.ops = &ops;
    groups->input = input;
    groups_init(&groups->groups, node, context);
    return &groups->base;
}

struct operator*
    pool_operator_new(const struct plan_node *node, const struct operator_context *context)
{
    return group_operator_new(node, context, NULL);
}

#include "query/plan/plan.h"

static int64_t floor_to(int64_t time_ms, int64_t width_ms)
{
    int64_t rest = time_ms % width_ms;
    return time_ms - (rest < 0 ? rest + width_ms : rest);
}

static struct plan_buckets buckets_of(const struct query_request *request)
{
    struct time_range range = request->range;
    struct plan_buckets buckets = {.range = range};
    if (request->interval_ms == 0) {
        buckets.first_ms = range.start_ms;
        buckets.width_ms = range.end_ms - range.start_ms;
    } else {
        buckets.first_ms = floor_to(range.start_ms, request->interval_ms);
        buckets.width_ms = request->interval_ms;
    }
    buckets.count = (size_t)((range.end_ms - 1 - buckets.first_ms) / buckets.width_ms) + 1;
    return buckets;
}

/* Rate and increase belong to one series; pooling them would take one series' growth for
 * another's. */
static bool is_growth(enum query_aggregate function)
{
    return function == AGGREGATE_RATE || function == AGGREGATE_INCREASE;
}

static struct plan_node *add_node(struct plan *plan, enum plan_kind kind,
                                  const struct query_request *request, struct arena *arena)
{
    struct plan_node *node = arena_calloc(arena, 1, sizeof *node);
    if (node == NULL)
        return NULL;
    node->kind = kind;
    node->input = plan->root;
    node->function = request->aggregate;
    node->quantile = request->quantile;
    node->grouping = PLAN_EACH;
    plan->root = node;
    return node;
}

static void set_grouping(struct plan_node *node, const struct query_request *request)
{
    if (!request->grouped)
        return;
    node->grouping = PLAN_BY;
    node->by = request->by;
    node->by_count = request->by_count;
}

static bool add_select(struct plan *plan, const struct query_request *request, struct arena *arena)
{
    struct plan_node *node = add_node(plan, PLAN_SELECT, request, arena);
    if (node == NULL)
        return false;
    node->matchers = &request->matchers;
    node->range = request->range;
    if (is_growth(request->aggregate))
        node->range.start_ms -= PLAN_LOOKBACK_MS;
    /* Groups are sorted at the end; only first and last ask who comes first among series. */
    node->ordered = !request->grouped || request->aggregate == AGGREGATE_FIRST ||
                    request->aggregate == AGGREGATE_LAST;
    return true;
}

enum status plan_build(struct plan *plan, const struct query_request *request, struct arena *arena,
                       struct error *err)
{
    *plan = (struct plan){
        .limit = request->limit,
        .after = request->has_after ? &request->after : NULL,
    };
    bool growth = is_growth(request->aggregate);
    bool two_steps = growth ? request->grouped : request->over_series;
    bool built = add_select(plan, request, arena);
    if (built && request->aggregate != AGGREGATE_NONE) {
        struct plan_node *window = add_node(plan, PLAN_WINDOW, request, arena);
        built = window != NULL;
        if (built) {
            window->buckets = buckets_of(request);
            if (!two_steps)
                set_grouping(window, request);
            else if (!growth)
                window->function = AGGREGATE_LAST;
        }
    }
    if (built && two_steps) {
        struct plan_node *group = add_node(plan, PLAN_GROUP, request, arena);
        built = group != NULL;
        if (built) {
            group->buckets = group->input->buckets;
            set_grouping(group, request);
            if (growth)
                group->function = AGGREGATE_SUM;
        }
    }
    if (!built)
        return fail(err, arena_status(arena), "no memory for the query's plan");
    plan->root->fill = request->fill;
    return STATUS_OK;
}

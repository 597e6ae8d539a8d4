#include "query/plan/plan.h"

#include "base/times.h"
#include "query/plan/local_buckets.h"

static int64_t floor_to(int64_t time_ms, int64_t width_ms)
{
    int64_t rest = time_ms % width_ms;
    return time_ms - (rest < 0 ? rest + width_ms : rest);
}

size_t plan_bucket_search(const struct plan_buckets *buckets, int64_t time_ms)
{
    size_t low = 0;
    size_t high = buckets->count;
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        if (buckets->starts[middle] <= time_ms)
            low = middle;
        else
            high = middle;
    }
    return low;
}

static enum status make_buckets(struct plan_buckets *buckets, const struct query_request *request,
                                struct arena *arena, struct error *err)
{
    struct time_range range = request->range;
    *buckets = (struct plan_buckets){.range = range};
    if (request->zone != NULL && request->interval_ms >= MS_PER_HOUR)
        return local_buckets_make(buckets, request, arena, err);
    if (request->interval_ms == 0) {
        buckets->first_ms = range.start_ms;
        buckets->width_ms = range.end_ms - range.start_ms;
    } else {
        buckets->first_ms = floor_to(range.start_ms, request->interval_ms);
        buckets->width_ms = request->interval_ms;
    }
    buckets->count = (size_t)((range.end_ms - 1 - buckets->first_ms) / buckets->width_ms) + 1;
    return STATUS_OK;
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

/* The steps after SELECT; false when the arena gave nothing. */
static bool add_aggregate(struct plan *plan, const struct query_request *request,
                          const struct plan_buckets *buckets, struct arena *arena)
{
    bool growth = is_growth(request->aggregate);
    bool two_steps = growth ? request->grouped : request->over_series;
    struct plan_node *window = add_node(plan, PLAN_WINDOW, request, arena);
    if (window == NULL)
        return false;
    window->buckets = *buckets;
    if (!two_steps) {
        set_grouping(window, request);
        return true;
    }
    if (!growth)
        window->function = AGGREGATE_LAST;
    struct plan_node *group = add_node(plan, PLAN_GROUP, request, arena);
    if (group == NULL)
        return false;
    group->buckets = *buckets;
    set_grouping(group, request);
    if (growth)
        group->function = AGGREGATE_SUM;
    return true;
}

enum status plan_build(struct plan *plan, const struct query_request *request, struct arena *arena,
                       struct error *err)
{
    *plan = (struct plan){
        .limit = request->limit,
        .after = request->has_after ? &request->after : NULL,
    };
    bool built = add_select(plan, request, arena);
    if (built && request->aggregate != AGGREGATE_NONE) {
        struct plan_buckets buckets;
        enum status status = make_buckets(&buckets, request, arena, err);
        if (status != STATUS_OK)
            return status;
        built = add_aggregate(plan, request, &buckets, arena);
    }
    if (!built)
        return fail(err, arena_status(arena), "no memory for the query's plan");
    plan->root->fill = request->fill;
    return STATUS_OK;
}

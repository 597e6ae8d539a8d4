#include "model/value.h"
#include "query/execute/family.h"
#include "query/execute/metric_order.h"

struct export_run {
    struct export_sink *sink;
    struct export_outcome *outcome;
    struct source source;
    uint64_t limit;            /* of series; 0: none */
    uint32_t *order;           /* in which the source's series are given */
    struct arena family_arena; /* of the next two, emptied with each metric */
    struct slice metric;
    struct metric family; /* of `metric` */
    bool breaks_type;     /* likewise */
};

/* ---- looking ahead --------------------------------------------------------------------------- */

static bool summary_allowed(enum metric_type type, const struct summary *summary)
{
    return summary->count == 0 ||
           (summary->nan_count == 0 && metric_type_allows(type, summary->min) &&
            metric_type_allows(type, summary->max));
}

static bool values_allowed(enum metric_type type, const struct storage_block *block)
{
    for (uint32_t i = 0; i < block->count; i++)
        if (!value_is_stale(block->values[i]) && !metric_type_allows(type, block->values[i]))
            return false;
    return true;
}

/* Sets breaks_type by the series at hand, and *any: it has samples. */
static enum status check_series(struct export_run *run, bool *any, struct error *err)
{
    enum metric_type type = run->family.type;
    struct storage_block block;
    enum status status;
    while ((status = source_next_block(&run->source, &block, err)) == STATUS_OK) {
        bool allowed = true;
        if (block.summary != NULL) {
            allowed = summary_allowed(type, block.summary);
        } else {
            status = source_load(&run->source, &block, err);
            if (status != STATUS_OK)
                return status;
            allowed = values_allowed(type, &block);
        }
        *any |= block.count > 0;
        if (!allowed) {
            run->breaks_type = true;
            return STATUS_OK;
        }
    }
    return status == STATUS_END ? STATUS_OK : status;
}

/* The series of run->metric that will be given, from place `at` on; moves the source. */
static enum status check_metric(struct export_run *run, size_t at, struct error *err)
{
    uint64_t left = run->limit == 0 ? UINT64_MAX : run->limit - run->outcome->series;
    for (; at < run->source.count && left > 0 && !run->breaks_type; at++) {
        bool any = false;
        run->source.next = run->order[at];
        enum status status = source_next_series(&run->source, err);
        if (status != STATUS_OK)
            return status;
        if (!slice_equal(labels_metric_name(&run->source.series.labels), run->metric))
            return STATUS_OK;
        status = check_series(run, &any, err);
        if (status != STATUS_OK)
            return status;
        left -= any;
    }
    return STATUS_OK;
}

static enum status begin_metric(struct export_run *run, size_t at, struct slice metric,
                                struct error *err)
{
    arena_release(&run->family_arena);
    run->metric = arena_copy(&run->family_arena, metric);
    run->breaks_type = false;
    if (run->metric.data == NULL)
        return budget_no_memory(&run->family_arena, err);
    enum status status =
        family_find(run->source.tier, run->metric, &run->family_arena, &run->family, err);
    if (status != STATUS_OK || !run->sink->checks_types)
        return status;
    if (run->family.type != METRIC_COUNTER && run->family.type != METRIC_INFO)
        return STATUS_OK;
    status = check_metric(run, at, err);
    if (status != STATUS_OK)
        return status;
    run->source.next = run->order[at];
    return source_next_series(&run->source, err);
}

/* ---- giving ---------------------------------------------------------------------------------- */

static enum status begin_series(struct export_run *run, struct error *err)
{
    struct export_series series = {
        .labels = &run->source.series.labels,
        .family = run->family.name,
        .type = run->family.type,
        .unit = run->family.unit,
        .help = run->family.help,
        .breaks_type = run->breaks_type,
    };
    run->outcome->series++;
    return run->sink->ops->begin_series(run->sink, &series, err);
}

static enum status export_one(struct export_run *run, struct error *err)
{
    struct storage_block block;
    bool begun = false;
    enum status status;
    while ((status = source_next_block(&run->source, &block, err)) == STATUS_OK) {
        status = source_load(&run->source, &block, err);
        if (status == STATUS_OK && block.count == 0)
            continue;
        if (status == STATUS_OK && !begun)
            status = begin_series(run, err);
        if (status != STATUS_OK)
            return status;
        begun = true;
        status = run->sink->ops->samples(run->sink, block.times, block.values, block.count, err);
        if (status != STATUS_OK)
            return status;
        run->outcome->samples += block.count;
    }
    if (status != STATUS_END)
        return status;
    return begun ? run->sink->ops->end_series(run->sink, err) : STATUS_OK;
}

static enum status export_all(struct export_run *run, struct arena *arena, struct error *err)
{
    enum status status = metric_order_make(&run->source, arena, &run->order, err);
    for (size_t i = 0; status == STATUS_OK && i < run->source.count; i++) {
        if (run->limit != 0 && run->outcome->series == run->limit)
            break;
        run->source.next = run->order[i];
        status = source_next_series(&run->source, err);
        if (status != STATUS_OK)
            break;
        struct slice metric = labels_metric_name(&run->source.series.labels);
        if (!slice_equal(run->metric, metric))
            status = begin_metric(run, i, metric, err);
        if (status == STATUS_OK)
            status = export_one(run, err);
    }
    return status;
}

enum status export_run(const struct query_environment *environment,
                       const struct export_request *request, struct export_sink *sink,
                       struct arena *arena, struct export_outcome *outcome, struct error *err)
{
    struct export_run run = {.sink = sink, .outcome = outcome, .limit = request->limit};
    struct budget budget;
    *outcome = (struct export_outcome){0};
    budget_init(&budget, environment, 0, 0);
    arena_init(&run.family_arena, FAMILY_MAX_SIZE);
    enum status status = source_open(&run.source, request->selectors.items,
                                     request->selectors.count, request->range, true, &budget, err);
    if (status == STATUS_OK)
        status = export_all(&run, arena, err);
    if (run.source.selection != NULL) {
        struct read_stats stats;
        selection_stats(run.source.tier, run.source.selection, &stats);
        outcome->partial = stats.partial;
    }
    source_close(&run.source);
    arena_release(&run.family_arena);
    return status;
}

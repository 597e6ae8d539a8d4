#include "query/execute/family.h"
#include "query/execute/source.h"

struct export_run {
    struct export_sink *sink;
    struct export_outcome *outcome;
    struct source source;
    struct arena family_arena; /* of the next two, emptied with each metric */
    struct slice metric;
    struct metric family; /* of `metric` */
};

static enum status look_up_family(struct export_run *run, struct slice metric, struct error *err)
{
    if (run->metric.size > 0 && slice_equal(run->metric, metric))
        return STATUS_OK;
    arena_release(&run->family_arena);
    run->metric = arena_copy(&run->family_arena, metric);
    if (run->metric.data == NULL)
        return budget_no_memory(&run->family_arena, err);
    return family_find(run->source.tier, metric, &run->family_arena, &run->family, err);
}

static enum status begin_series(struct export_run *run, struct error *err)
{
    const struct labels *labels = &run->source.series.labels;
    enum status status = look_up_family(run, labels_metric_name(labels), err);
    if (status != STATUS_OK)
        return status;
    struct export_series series = {
        .labels = labels,
        .family = run->family.name,
        .type = run->family.type,
        .unit = run->family.unit,
        .help = run->family.help,
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

static enum status export_all(struct export_run *run, const struct export_request *request,
                              struct arena *arena, struct error *err)
{
    uint32_t *order;
    enum status status = metric_order(&run->source, arena, &order, err);
    for (size_t i = 0; status == STATUS_OK && i < run->source.count; i++) {
        if (request->limit != 0 && run->outcome->series == request->limit)
            break;
        run->source.next = order[i];
        status = source_next_series(&run->source, err);
        if (status == STATUS_OK)
            status = export_one(run, err);
    }
    return status;
}

enum status export_run(const struct query_environment *environment,
                       const struct export_request *request, struct export_sink *sink,
                       struct arena *arena, struct export_outcome *outcome, struct error *err)
{
    struct export_run run = {.sink = sink, .outcome = outcome};
    struct budget budget;
    *outcome = (struct export_outcome){0};
    budget_init(&budget, environment, 0, 0);
    arena_init(&run.family_arena, FAMILY_MAX_SIZE);
    enum status status = source_open(&run.source, request->selectors.items,
                                     request->selectors.count, request->range, true, &budget, err);
    if (status == STATUS_OK)
        status = export_all(&run, request, arena, err);
    if (run.source.selection != NULL) {
        struct read_stats stats;
        selection_stats(run.source.tier, run.source.selection, &stats);
        outcome->partial = stats.partial;
    }
    source_close(&run.source);
    arena_release(&run.family_arena);
    return status;
}

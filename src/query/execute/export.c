#include "query/execute/export.h"

#include "query/execute/family.h"
#include "query/execute/source.h"

/* Name, unit and help of one family, with room to spare. */
enum { DESCRIPTOR_MAX_SIZE = 64 * 1024 };

struct export_run {
    struct export_sink *sink;
    struct export_outcome *outcome;
    struct source source;
    struct arena descriptor_arena; /* of `descriptor`, emptied with each family */
    struct metric descriptor;      /* of the family that was last looked up */
    bool has_descriptor;
};

static enum status look_up_family(struct export_run *run, struct slice family, struct error *err)
{
    if (run->has_descriptor && slice_equal(run->descriptor.name, family))
        return STATUS_OK;
    arena_release(&run->descriptor_arena);
    run->has_descriptor = false;
    enum status status =
        storage_metric(run->source.tier, family, &run->descriptor_arena, &run->descriptor, err);
    if (status == STATUS_NOT_FOUND) {
        run->descriptor = (struct metric){.name = arena_copy(&run->descriptor_arena, family)};
        status = run->descriptor.name.data != NULL ? STATUS_OK
                                                   : budget_no_memory(&run->descriptor_arena, err);
    }
    run->has_descriptor = status == STATUS_OK;
    return status;
}

static enum status begin_series(struct export_run *run, struct error *err)
{
    const struct selected_series *selected = &run->source.series;
    struct slice family = family_name(labels_metric_name(&selected->labels), selected->type);
    enum status status = look_up_family(run, family, err);
    if (status != STATUS_OK)
        return status;
    struct export_series series = {
        .labels = &selected->labels,
        .family = family,
        .type = selected->type,
        .unit = run->descriptor.unit,
        .help = run->descriptor.help,
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
    enum status status = family_order(&run->source, arena, &order, err);
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

enum status export_run(const struct export_request *request, struct export_sink *sink,
                       struct arena *arena, struct budget *budget, struct export_outcome *outcome,
                       struct error *err)
{
    struct export_run run = {.sink = sink, .outcome = outcome};
    *outcome = (struct export_outcome){0};
    arena_init(&run.descriptor_arena, DESCRIPTOR_MAX_SIZE);
    enum status status = source_open(&run.source, request->selectors.items,
                                     request->selectors.count, request->range, true, budget, err);
    if (status == STATUS_OK)
        status = export_all(&run, request, arena, err);
    if (run.source.selection != NULL) {
        struct read_stats stats;
        selection_stats(run.source.tier, run.source.selection, &stats);
        outcome->partial = stats.partial;
    }
    source_close(&run.source);
    arena_release(&run.descriptor_arena);
    return status;
}

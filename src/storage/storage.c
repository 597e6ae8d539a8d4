#include "storage/storage.h"

#include "base/invariant.h"

enum status storage_resolve(struct tier *tier, struct batch *batch, struct admitter *admitter,
                            struct error *err)
{
    return tier->ops->resolve(tier, batch, admitter, err);
}

enum status storage_append(struct tier *tier, struct batch *const *batches, size_t count,
                           struct error *err)
{
    invariant(count > 0);
    return tier->ops->append(tier, batches, count, err);
}

void storage_settle(struct tier *tier, struct batch *batch)
{
    tier->ops->settle(tier, batch);
}

enum status storage_select(struct tier *tier, const struct matchers *matchers, size_t count,
                           const struct select_options *options, struct selection **selection,
                           struct error *err)
{
    *selection = NULL;
    invariant(count > 0);
    return tier->ops->select(tier, matchers, count, options, selection, err);
}

size_t selection_count(struct tier *tier, const struct selection *selection)
{
    return tier->ops->selection_count(selection);
}

enum status selection_series(struct tier *tier, struct selection *selection, size_t index,
                             struct selected_series *series, struct error *err)
{
    invariant(index < tier->ops->selection_count(selection));
    return tier->ops->selection_series(selection, index, series, err);
}

enum status selection_read(struct tier *tier, struct selection *selection, size_t index,
                           struct time_range range, struct storage_cursor **cursor,
                           struct error *err)
{
    invariant(index < tier->ops->selection_count(selection));
    return tier->ops->selection_read(selection, index, range, cursor, err);
}

enum status storage_cursor_next(struct tier *tier, struct storage_cursor *cursor,
                                struct storage_block *block, struct error *err)
{
    enum status status = tier->ops->cursor_next(cursor, block, err);
    if (status == STATUS_OK)
        invariant(block->count > 0 && block->first_ms <= block->last_ms);
    return status;
}

enum status storage_cursor_load(struct tier *tier, struct storage_cursor *cursor,
                                struct storage_block *block, struct error *err)
{
    return tier->ops->cursor_load(cursor, block, err);
}

const char *chunk_tier_name(enum chunk_tier tier)
{
    static const char *const names[CHUNK_TIERS] = {"hot", "warm"};
    return names[tier];
}

void selection_stats(struct tier *tier, const struct selection *selection, struct read_stats *stats)
{
    tier->ops->selection_stats(selection, stats);
}

void selection_close(struct tier *tier, struct selection *selection)
{
    if (selection != NULL)
        tier->ops->selection_close(selection);
}

enum status storage_delete(struct tier *tier, const struct matchers *matchers, size_t count,
                           struct time_range range, struct delete_result *result, struct error *err)
{
    return tier->ops->delete_series(tier, matchers, count, range, result, err);
}

enum status storage_metrics(struct tier *tier, const struct matchers *matchers,
                            storage_visit_metric *visit, void *context, struct arena *arena,
                            bool *partial, struct error *err)
{
    return tier->ops->metrics(tier, matchers, visit, context, arena, partial, err);
}

enum status storage_metric(struct tier *tier, struct slice name, struct arena *arena,
                           struct metric *metric, struct error *err)
{
    return tier->ops->metric(tier, name, arena, metric, err);
}

enum status storage_chunks(struct tier *tier, storage_visit_chunk *visit, void *context,
                           struct error *err)
{
    return tier->ops->chunks(tier, visit, context, err);
}

void storage_condition(struct tier *tier, struct storage_condition *condition)
{
    tier->ops->condition(tier, condition);
}

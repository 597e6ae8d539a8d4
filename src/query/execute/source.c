#include "query/execute/source.h"

enum { SERIES_WORK = 64, BLOCK_WORK = 8 };

enum status source_open(struct source *source, const struct matchers *matchers, size_t count,
                        struct time_range range, bool ordered, struct budget *budget,
                        struct error *err)
{
    const struct query_environment *environment = budget->environment;
    *source = (struct source){
        .tier = environment->tier,
        .budget = budget,
        .range = range,
    };
    struct select_options options = {
        .range = range,
        .max_series = environment->limits.max_series,
        .ordered = ordered,
        .max_memory_bytes = execution_memory(&environment->limits),
        .memory = environment->memory,
        .patience = budget_patience(budget),
    };
    enum status status =
        storage_select(source->tier, matchers, count, &options, &source->selection, err);
    if (status != STATUS_OK)
        return status;
    source->count = selection_count(source->tier, source->selection);
    return budget_check(budget, err);
}

void source_close(struct source *source)
{
    if (source->selection != NULL)
        selection_close(source->tier, source->selection);
    source->selection = NULL;
    source->cursor = NULL;
}

enum status source_skip_after(struct source *source, const struct labels *labels, struct error *err)
{
    size_t low = 0;
    size_t high = source->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        struct selected_series series;
        enum status status =
            selection_series(source->tier, source->selection, middle, &series, err);
        if (status != STATUS_OK)
            return status;
        if (labels_compare(&series.labels, labels) <= 0)
            low = middle + 1;
        else
            high = middle;
    }
    source->next = low;
    return STATUS_OK;
}

/* The next series whose labels can be read. */
static enum status next_readable(struct source *source, struct error *err)
{
    enum status status = STATUS_CORRUPT;
    while (status == STATUS_CORRUPT) {
        if (source->next == source->count)
            return STATUS_END;
        status = budget_spend(source->budget, SERIES_WORK, err);
        if (status == STATUS_OK)
            status = selection_series(source->tier, source->selection, source->next,
                                      &source->series, err);
        if (status == STATUS_CORRUPT)
            source->next++;
    }
    return status;
}

enum status source_next_series(struct source *source, struct error *err)
{
    enum status status = next_readable(source, err);
    if (status == STATUS_OK)
        status = selection_read(source->tier, source->selection, source->next, source->range,
                                &source->cursor, err);
    if (status != STATUS_OK)
        return status;
    source->next++;
    source->series_read++;
    return STATUS_OK;
}

/* What the tier has decoded since: in whichever call, and more than what it gave, where samples
 * were overwritten or deleted. */
static enum status spend_read(struct source *source, struct error *err)
{
    struct read_stats stats;
    selection_stats(source->tier, source->selection, &stats);
    uint64_t decoded = stats.samples_decoded - source->decoded;
    uint64_t again = stats.samples_again - source->again;
    source->decoded = stats.samples_decoded;
    source->again = stats.samples_again;
    return decoded + again == 0 ? STATUS_OK
                                : budget_spend_samples(source->budget, decoded, again, err);
}

enum status source_next_block(struct source *source, struct storage_block *block, struct error *err)
{
    enum status status = budget_spend(source->budget, BLOCK_WORK, err);
    if (status == STATUS_OK)
        status = storage_cursor_next(source->tier, source->cursor, block, err);
    if (status != STATUS_OK && status != STATUS_END)
        return status;
    enum status spent = spend_read(source, err);
    return spent == STATUS_OK ? status : spent;
}

enum status source_load(struct source *source, struct storage_block *block, struct error *err)
{
    enum status status = storage_cursor_load(source->tier, source->cursor, block, err);
    if (status == STATUS_OK)
        status = spend_read(source, err);
    return status;
}

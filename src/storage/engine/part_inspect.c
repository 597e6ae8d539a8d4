/* part_inspect: a part as text. */
#include "base/times.h"
#include "storage/engine/part_state.h"
#include "storage/engine/value_scale.h"

static enum status put_totals(const struct part *part, struct bytes *to)
{
    const struct part_identity *identity = &part->identity;
    const struct part_totals *totals = &part->totals;
    char day[INSTANT_TEXT_SIZE], first[INSTANT_TEXT_SIZE], last[INSTANT_TEXT_SIZE];
    day_format(day, identity->day);
    instant_format(first, totals->min_ms);
    instant_format(last, totals->max_ms);
    double samples = totals->samples == 0 ? 1 : (double)totals->samples;
    return bytes_format(
        to,
        "part id=%llu version=%d day=%s sequence=%llu..%llu level=%u bytes=%llu\n"
        "samples=%llu blocks=%llu series=%llu pages=%llu first=%s last=%s "
        "bytes_per_sample=%.3f\n",
        (unsigned long long)identity->id, PART_VERSION, day,
        (unsigned long long)identity->min_sequence, (unsigned long long)identity->max_sequence,
        identity->level, (unsigned long long)totals->bytes, (unsigned long long)totals->samples,
        (unsigned long long)totals->blocks, (unsigned long long)totals->series,
        (unsigned long long)totals->pages, first, last, (double)totals->bytes / samples);
}

static enum status put_block(struct part_cursor *cursor, const struct part_block *block,
                             struct bytes *to)
{
    char first[INSTANT_TEXT_SIZE], last[INSTANT_TEXT_SIZE];
    instant_format(first, block->first_ms);
    instant_format(last, block->last_ms);
    char values[128] = "constant";
    struct slice bytes;
    struct error local;
    enum status status = part_block_values(cursor, block, &bytes, &local);
    if (status == STATUS_OK && bytes.size > 0)
        status = value_block_describe(bytes, block->count, values, sizeof values, &local);
    if (status == STATUS_CORRUPT)
        return bytes_format(to, "block metric=%u series=%u damaged: %s\n", block->metric,
                            block->series, local.message);
    if (status != STATUS_OK)
        return status;
    const struct summary *summary = &block->summary;
    return bytes_format(to,
                        "block metric=%u series=%u count=%u first=%s last=%s values=[%s] "
                        "values_bytes=%u times_offset=%llu times_bytes=%u stale=%u nan=%u "
                        "min=%.17g max=%.17g sum=%.17g increase=%.17g\n",
                        block->metric, block->series, block->count, first, last, values,
                        block->values_size, (unsigned long long)block->times_offset,
                        block->times_size, summary->stale_count, summary->nan_count, summary->min,
                        summary->max, summary_sum(summary), summary->increase);
}

static enum status put_page(struct part_cursor *cursor, size_t index, bool blocks, struct bytes *to)
{
    const struct part_index_entry *entry = &cursor->index->entries[index];
    struct error local;
    enum status status = part_load_page(cursor, index, &local);
    if (status == STATUS_CORRUPT)
        return bytes_format(to, "page %zu damaged: %s\n", index, local.message);
    if (status == STATUS_OK)
        status = bytes_format(to, "page %zu offset=%llu bytes=%u blocks=%u values_bytes=%llu\n",
                              index, (unsigned long long)entry->offset, entry->size, entry->blocks,
                              (unsigned long long)(entry->offset - cursor->page.values_offset));
    for (size_t i = 0; status == STATUS_OK && blocks && i < cursor->page.count; i++)
        status = put_block(cursor, &cursor->page.blocks[i], to);
    return status;
}

enum status part_inspect(struct part *part, bool blocks, struct bytes *to, struct error *err)
{
    enum status status = put_totals(part, to);
    if (status == STATUS_OK && part->damage[0] != 0)
        status = bytes_format(to, "damage: %s\n", part->damage);
    struct part_cursor *cursor = NULL;
    if (status == STATUS_OK)
        status = part_cursor_new(&cursor, part, err);
    if (status == STATUS_OK)
        status = part_cursor_take_index(cursor, err);
    for (size_t i = 0; status == STATUS_OK && i < cursor->index->count; i++)
        status = put_page(cursor, i, blocks, to);
    part_cursor_free(cursor);
    return status == STATUS_OK ? STATUS_OK
                               : fail(err, status, "part %s: cannot be shown whole", part->path);
}

/* part_inspect: a part as text. */
#include <stdio.h>

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
                             struct detail *detail)
{
    char values[128] = "constant";
    struct slice bytes;
    struct error local;
    enum status status = part_block_values(cursor, block, &bytes, &local);
    if (status == STATUS_OK && bytes.size > 0)
        status = value_block_describe(bytes, block->count, values, sizeof values, &local);
    if (status != STATUS_OK && status != STATUS_CORRUPT)
        return status;
    detail_begin(detail, "block");
    detail_count(detail, "metric", block->metric);
    detail_count(detail, "series", block->series);
    if (status == STATUS_CORRUPT) {
        detail_damage(detail, local.message);
        return detail->status;
    }
    char in_brackets[sizeof values + 2];
    snprintf(in_brackets, sizeof in_brackets, "[%s]", values);
    const struct summary *summary = &block->summary;
    detail_count(detail, "count", block->count);
    detail_instant(detail, "first", block->first_ms);
    detail_instant(detail, "last", block->last_ms);
    detail_word(detail, "values", detail->json ? values : in_brackets);
    detail_count(detail, "values_bytes", block->values_size);
    detail_count(detail, "times_offset", block->times_offset);
    detail_count(detail, "times_bytes", block->times_size);
    detail_count(detail, "stale", summary->stale_count);
    detail_count(detail, "nan", summary->nan_count);
    detail_value(detail, "min", summary->min);
    detail_value(detail, "max", summary->max);
    detail_value(detail, "sum", summary_sum(summary));
    detail_value(detail, "increase", summary->increase);
    detail_end(detail);
    return detail->status;
}

/* In a line pages have their number without a key. */
static void begin_page(struct detail *detail, size_t index)
{
    char type[40];
    snprintf(type, sizeof type, "page %zu", index);
    detail_begin(detail, detail->json ? "page" : type);
    if (detail->json)
        detail_count(detail, "page", index);
}

static enum status put_page(struct part_cursor *cursor, size_t index, bool blocks,
                            struct detail *detail)
{
    const struct part_index_entry *entry = &cursor->index->entries[index];
    struct error local;
    enum status status = part_load_page(cursor, index, &local);
    if (status != STATUS_OK && status != STATUS_CORRUPT)
        return status;
    begin_page(detail, index);
    if (status == STATUS_CORRUPT) {
        detail_damage(detail, local.message);
        return detail->status;
    }
    detail_count(detail, "offset", entry->offset);
    detail_count(detail, "bytes", entry->size);
    detail_count(detail, "blocks", entry->blocks);
    detail_count(detail, "values_bytes", entry->offset - cursor->page.values_offset);
    detail_end(detail);
    status = detail->status;
    for (size_t i = 0; status == STATUS_OK && blocks && i < cursor->page.count; i++)
        status = put_block(cursor, &cursor->page.blocks[i], detail);
    return status;
}

enum status part_inspect(struct part *part, bool blocks, struct detail *detail, struct error *err)
{
    enum status status = detail->json ? STATUS_OK : put_totals(part, detail->to);
    if (status == STATUS_OK && part->damage[0] != 0 && !detail->json)
        status = bytes_format(detail->to, "damage: %s\n", part->damage);
    struct part_cursor *cursor = NULL;
    if (status == STATUS_OK)
        status = part_cursor_new(&cursor, part, err);
    if (status == STATUS_OK)
        status = part_cursor_take_index(cursor, err);
    for (size_t i = 0; status == STATUS_OK && i < cursor->index->count; i++)
        status = put_page(cursor, i, blocks, detail);
    part_cursor_free(cursor);
    return status == STATUS_OK ? STATUS_OK
                               : fail(err, status, "part %s: cannot be shown whole", part->path);
}

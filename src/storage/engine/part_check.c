/* part_verify: every byte of a part, read and compared with what its headers say. */
#include <stdlib.h>

#include "storage/engine/part_state.h"

struct check {
    struct part *part;
    struct part_cursor *cursor;
    part_report *report;
    void *context;
    uint64_t found;
    struct part_totals seen;
    uint32_t metric;
    uint32_t series;
    int64_t times[PART_BLOCK_MAX_COUNT];
    double values[PART_BLOCK_MAX_COUNT];
};

static void report(struct check *check, const struct error *err)
{
    check->found++;
    check->report(check->context, err);
}

/* Passes damage to the report; what is left is a reason to stop. */
static enum status pass_damage(struct check *check, enum status status, const struct error *local,
                               struct error *err)
{
    if (status == STATUS_OK)
        return STATUS_OK;
    if (status == STATUS_CORRUPT) {
        report(check, local);
        return STATUS_OK;
    }
    if (err != NULL)
        *err = *local;
    return status;
}

static bool same_double(double a, double b)
{
    return bits_of_double(a) == bits_of_double(b);
}

static bool same_summary(const struct summary *a, const struct summary *b)
{
    if (a->count != b->count || a->stale_count != b->stale_count || a->nan_count != b->nan_count)
        return false;
    if (a->count == 0)
        return true;
    return a->first_ms == b->first_ms && a->last_ms == b->last_ms &&
           same_double(a->first, b->first) && same_double(a->last, b->last) &&
           same_double(a->min, b->min) && same_double(a->max, b->max) &&
           same_double(a->sum, b->sum) && same_double(a->compensation, b->compensation) &&
           same_double(a->increase, b->increase);
}

static enum status check_block(struct check *check, const struct part_block *block,
                               struct error *err)
{
    enum status status =
        part_block_read(check->cursor, block, 0, block->count, check->times, check->values, err);
    if (status != STATUS_OK)
        return status;
    struct summary summary;
    summary_init(&summary);
    summary_add(&summary, check->times, check->values, block->count);
    if (same_summary(&summary, &block->summary))
        return STATUS_OK;
    return fail(err, STATUS_CORRUPT,
                "part %s: the header of series %u (metric %u) at %lld ms contradicts its samples",
                check->part->path, block->series, block->metric, (long long)block->first_ms);
}

static void count_block(struct check *check, const struct part_block *block)
{
    struct part_totals *seen = &check->seen;
    bool first = seen->blocks == 0;
    seen->blocks++;
    seen->samples += block->count;
    seen->series +=
        first || part_compare_keys(check->metric, check->series, block->metric, block->series);
    seen->min_ms = first || block->first_ms < seen->min_ms ? block->first_ms : seen->min_ms;
    seen->max_ms = first || block->last_ms > seen->max_ms ? block->last_ms : seen->max_ms;
    check->metric = block->metric;
    check->series = block->series;
}

static enum status check_page(struct check *check, size_t index, uint64_t *expected,
                              struct error *err)
{
    const struct part *part = check->part;
    struct error local;
    const struct part_index_entry *entry = &check->cursor->index->entries[index];
    enum status status = part_load_page(check->cursor, index, &local);
    if (status != STATUS_OK) {
        *expected = entry->offset + entry->size;
        return pass_damage(check, status, &local, err);
    }
    const struct part_page *page = &check->cursor->page;
    if (page->values_offset != *expected) {
        fail(&local, STATUS_CORRUPT,
             "part %s: page at offset %llu does not follow the page before it", part->path,
             (unsigned long long)entry->offset);
        report(check, &local);
    }
    *expected = entry->offset + entry->size;
    check->seen.pages++;
    for (size_t i = 0; i < page->count; i++) {
        count_block(check, &page->blocks[i]);
        status = check_block(check, &page->blocks[i], &local);
        status = pass_damage(check, status, &local, err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

static void check_totals(struct check *check)
{
    const struct part_totals *seen = &check->seen;
    const struct part_totals *told = &check->part->totals;
    if (seen->samples == told->samples && seen->blocks == told->blocks &&
        seen->series == told->series && seen->pages == told->pages &&
        seen->min_ms == told->min_ms && seen->max_ms == told->max_ms)
        return;
    struct error local;
    fail(&local, STATUS_CORRUPT,
         "part %s: its trailer counts %llu samples in %llu blocks, there are %llu in %llu",
         check->part->path, (unsigned long long)told->samples, (unsigned long long)told->blocks,
         (unsigned long long)seen->samples, (unsigned long long)seen->blocks);
    report(check, &local);
}

/* The set of series says what the pages do. */
static enum status check_set(struct check *check, struct error *err)
{
    struct part *part = check->part;
    if (part->set_size == 0)
        return STATUS_OK;
    struct error local = {0};
    roaring_bitmap_t *told = NULL;
    roaring_bitmap_t *seen = NULL;
    enum status status = part_read_set(part, &told, &local);
    if (status == STATUS_OK)
        status = part_collect_series(part, &seen, &local);
    if (status == STATUS_OK && !roaring_bitmap_equals(told, seen))
        status = fail(&local, STATUS_CORRUPT,
                      "part %s: its set of series is not that of its blocks", part->path);
    if (told != NULL)
        roaring_bitmap_free(told);
    if (seen != NULL)
        roaring_bitmap_free(seen);
    return pass_damage(check, status, &local, err);
}

enum status part_verify(struct part *part, part_report *report_damage, void *context,
                        uint64_t *found, struct error *err)
{
    *found = 0;
    struct check *check = malloc(sizeof *check);
    if (check == NULL)
        return fail(err, STATUS_MEMORY, "part %s: no memory to verify it", part->path);
    check->part = part;
    check->cursor = NULL;
    check->report = report_damage;
    check->context = context;
    check->found = 0;
    check->seen = (struct part_totals){0};
    if (part->damage[0] != 0) {
        struct error local;
        fail(&local, STATUS_CORRUPT, "part %s: %s", part->path, part->damage);
        report(check, &local);
    }
    enum status status = part_cursor_new(&check->cursor, part, err);
    if (status == STATUS_OK)
        status = part_cursor_take_index(check->cursor, err);
    uint64_t expected = PART_HEADER_SIZE;
    for (size_t i = 0; status == STATUS_OK && i < check->cursor->index->count; i++)
        status = check_page(check, i, &expected, err);
    if (status == STATUS_OK && check->found == 0)
        check_totals(check);
    if (status == STATUS_OK)
        status = check_set(check, err);
    *found = check->found;
    part_cursor_free(check->cursor);
    free(check);
    return status;
}

#include "storage/engine/flush_metrics.h"

#include <stdlib.h>

struct question {
    const uint32_t *ids;
    size_t count;
    uint32_t *metrics;
    roaring_bitmap_t *open; /* ids that nothing has told yet */
};

static enum status no_memory(struct error *err)
{
    return fail(err, STATUS_MEMORY, "no memory for a flush");
}

static bool is_defined(const struct segment_set *set, uint32_t id)
{
    for (size_t i = 0; i < set->count; i++)
        if (series_segment_has(set->segments[i]->segment, id))
            return true;
    return false;
}

static void find_open(struct question *question, struct engine *engine)
{
    rwlock_read(&engine->series_lock);
    struct segment_set *set = segment_set_acquire(engine->index.segments);
    rwlock_unlock(&engine->series_lock);
    for (size_t i = 0; i < question->count; i++)
        if (question->metrics[i] == METRIC_ID_NONE && is_defined(set, question->ids[i]))
            roaring_bitmap_add(question->open, question->ids[i]);
    segment_set_release(set);
}

static int compare_ids(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

static void take_answer(struct question *question, const struct part_block *block)
{
    if (!roaring_bitmap_contains(question->open, block->series))
        return;
    const uint32_t *id = bsearch(&block->series, question->ids, question->count,
                                 sizeof question->ids[0], compare_ids);
    if (id != NULL)
        question->metrics[id - question->ids] = block->metric;
    roaring_bitmap_remove(question->open, block->series);
}

/* Of a part that may not be whole itself. */
static enum status may_tell(const struct question *question, struct part *part, bool *tells,
                            struct error *err)
{
    roaring_bitmap_t *series = NULL;
    struct error why = {0};
    enum status status = part_series(part, &series, &why);
    *tells = status != STATUS_OK || roaring_bitmap_intersect(series, question->open);
    if (series != NULL)
        roaring_bitmap_free(series);
    return status == STATUS_OK || status == STATUS_CORRUPT ? STATUS_OK
                                                           : fail(err, status, "%s", why.message);
}

static enum status ask_part(struct question *question, struct part *part, struct error *err)
{
    struct part_cursor *cursor = NULL;
    bool tells;
    enum status status = may_tell(question, part, &tells, err);
    if (status != STATUS_OK || !tells)
        return status;
    status = part_cursor_new(&cursor, part, err);
    if (status != STATUS_OK)
        return status;
    part_cursor_seek(cursor, 0, 0);
    struct error why = {0};
    while ((status == STATUS_OK || status == STATUS_CORRUPT) &&
           !roaring_bitmap_is_empty(question->open)) {
        const struct part_block *block;
        struct part_loss lost;
        status = part_cursor_next(cursor, &block, &lost, &why);
        if (status == STATUS_OK)
            take_answer(question, block);
    }
    part_cursor_free(cursor);
    return status == STATUS_OK || status == STATUS_END || status == STATUS_CORRUPT
               ? STATUS_OK
               : fail(err, status, "%s", why.message);
}

enum status flush_ask_parts(struct engine *engine, const struct version *version,
                            const uint32_t *ids, size_t count, uint32_t *metrics, struct error *err)
{
    struct question question = {ids, count, metrics, roaring_bitmap_create()};
    if (question.open == NULL)
        return no_memory(err);
    find_open(&question, engine);
    enum status status = STATUS_OK;
    for (size_t i = version->part_count;
         i-- > 0 && status == STATUS_OK && !roaring_bitmap_is_empty(question.open);)
        status = ask_part(&question, version->parts[i]->part, err);
    roaring_bitmap_free(question.open);
    return status;
}

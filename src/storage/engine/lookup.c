#include "storage/engine/lookup.h"

#include <stdlib.h>

#include "storage/engine/matching.h"

static enum status no_memory(struct error *err)
{
    return fail(err, STATUS_MEMORY, "no memory for a query");
}

static void note_damage(struct engine *engine, const struct error *why)
{
    engine_note_damage(engine, "a damaged page of the index was passed over", why);
}

/* ---- matching --------------------------------------------------------------------------- */

/* With series_lock. */
static enum status match_table(const struct series_table *table, const struct matchers *matchers,
                               size_t count, roaring_bitmap_t *ids, struct error *err)
{
    roaring_bitmap_t *own = roaring_bitmap_create();
    if (own == NULL)
        return no_memory(err);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = matching_series(table, &matchers[i], own, err);
    roaring_uint32_iterator_t at;
    roaring_init_iterator(own, &at);
    for (; at.has_value && status == STATUS_OK; roaring_advance_uint32_iterator(&at))
        if (series_table_has_committed(table, at.current_value))
            roaring_bitmap_add(ids, at.current_value);
    roaring_bitmap_free(own);
    return status;
}

/* By reading every definition. Those that cannot be read are taken out of `open`. */
static enum status match_definitions(struct engine *engine, const struct series_segment *segment,
                                     const struct matchers *matchers, roaring_bitmap_t *ids,
                                     roaring_bitmap_t *open, struct error *err)
{
    struct series_segment_cursor *cursor;
    enum status status = series_segment_cursor_new(&cursor, segment, err);
    while (status == STATUS_OK || status == STATUS_CORRUPT) {
        struct series_definition definition;
        struct error why = {0};
        status = series_segment_next(cursor, &definition, &why);
        if (status == STATUS_OK) {
            roaring_bitmap_remove(open, definition.id);
            if (matchers_match(matchers, &definition.labels))
                roaring_bitmap_add(ids, definition.id);
        } else if (status == STATUS_CORRUPT) {
            note_damage(engine, &why);
        } else if (status != STATUS_END) {
            status = fail(err, status, "%s", why.message);
        }
    }
    series_segment_cursor_free(cursor);
    return status == STATUS_END ? STATUS_OK : status;
}

static enum status match_damaged(struct engine *engine, const struct series_segment *segment,
                                 const struct matchers *matchers, roaring_bitmap_t *ids,
                                 roaring_bitmap_t *undecided, struct error *err)
{
    roaring_bitmap_t *open = roaring_bitmap_copy(series_segment_ids(segment));
    if (open == NULL)
        return no_memory(err);
    enum status status = match_definitions(engine, segment, matchers, ids, open, err);
    roaring_bitmap_or_inplace(undecided, open);
    roaring_bitmap_free(open);
    return status;
}

/* `undecided`: NULL, or as engine_match_each. */
static enum status match_segments(struct engine *engine, const struct segment_set *set,
                                  const struct matchers *matchers, size_t count,
                                  struct matched *matched, roaring_bitmap_t *undecided,
                                  struct error *err)
{
    for (size_t i = 0; i < set->count; i++)
        for (size_t j = 0; j < count; j++) {
            struct error why = {0};
            const struct series_segment *segment = set->segments[i]->segment;
            enum status status = matching_segment(segment, &matchers[j], matched->ids, &why);
            if (status == STATUS_CORRUPT) {
                note_damage(engine, &why);
                matched->partial |= undecided == NULL;
                status = undecided == NULL ? STATUS_OK
                                           : match_damaged(engine, segment, &matchers[j],
                                                           matched->ids, undecided, &why);
            }
            if (status != STATUS_OK)
                return fail(err, status, "%s", why.message);
        }
    return STATUS_OK;
}

static enum status match(struct engine *engine, const struct matchers *matchers, size_t count,
                         struct matched *matched, roaring_bitmap_t *undecided, struct error *err)
{
    *matched = (struct matched){.ids = roaring_bitmap_create()};
    if (matched->ids == NULL)
        return no_memory(err);
    const struct series_index *index = &engine->index;
    rwlock_read(&engine->series_lock);
    matched->set = segment_set_acquire(index->segments);
    matched->commits = index->commits;
    enum status status = match_table(&index->active, matchers, count, matched->ids, err);
    if (status == STATUS_OK && index->has_sealed)
        status = match_table(&index->sealed, matchers, count, matched->ids, err);
    rwlock_unlock(&engine->series_lock);
    if (status == STATUS_OK)
        status = match_segments(engine, matched->set, matchers, count, matched, undecided, err);
    return status;
}

enum status engine_match(struct engine *engine, const struct matchers *matchers, size_t count,
                         struct matched *matched, struct error *err)
{
    return match(engine, matchers, count, matched, NULL, err);
}

enum status engine_match_each(struct engine *engine, const struct matchers *matchers,
                              struct matched *matched, roaring_bitmap_t *undecided,
                              struct error *err)
{
    return match(engine, matchers, 1, matched, undecided, err);
}

void matched_release(struct matched *matched)
{
    if (matched->ids != NULL)
        roaring_bitmap_free(matched->ids);
    segment_set_release(matched->set);
    matched->ids = NULL;
    matched->set = NULL;
}

/* ---- metrics ---------------------------------------------------------------------------- */

/* By their definitions, of which the damaged pages are a second copy. */
static enum status metrics_by_definition(const struct segment_set *set, const uint32_t *ids,
                                         size_t count, uint32_t *metrics, struct error *err)
{
    struct segment_labels labels;
    enum status status = segment_labels_open(&labels, (struct segment_set *)set, err);
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        if (metrics[i] != METRIC_ID_NONE)
            continue;
        struct series_definition definition;
        status = segment_labels_read(&labels, ids[i], &definition, NULL);
        if (status == STATUS_OK)
            metrics[i] = definition.metric;
        if (status == STATUS_CORRUPT || status == STATUS_NOT_FOUND)
            status = STATUS_OK;
    }
    segment_labels_close(&labels);
    return status;
}

static enum status metrics_of_set(struct engine *engine, const struct segment_set *set,
                                  const uint32_t *ids, size_t count, uint32_t *metrics,
                                  struct error *err)
{
    struct error why = {0};
    enum status status = segment_set_metrics_of(set, ids, count, metrics, &why);
    if (status == STATUS_CORRUPT) {
        note_damage(engine, &why);
        status = metrics_by_definition(set, ids, count, metrics, &why);
    }
    return status == STATUS_OK ? status : fail(err, status, "%s", why.message);
}

static bool some_unknown(const uint32_t *metrics, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (metrics[i] == METRIC_ID_NONE)
            return true;
    return false;
}

enum status engine_metrics_of(struct engine *engine, const struct segment_set *held,
                              const uint32_t *ids, size_t count, uint32_t *metrics, bool *partial,
                              struct error *err)
{
    rwlock_read(&engine->series_lock);
    struct segment_set *set = segment_set_acquire(engine->index.segments);
    for (size_t i = 0; i < count; i++) {
        const struct series *series = series_index_get(&engine->index, ids[i], NULL);
        bool known = series != NULL && series->state == SERIES_COMMITTED;
        metrics[i] = known ? series->metric : METRIC_ID_NONE;
    }
    rwlock_unlock(&engine->series_lock);
    enum status status = metrics_of_set(engine, set, ids, count, metrics, err);
    if (status == STATUS_OK && held != NULL && held != set && some_unknown(metrics, count))
        status = metrics_of_set(engine, held, ids, count, metrics, err);
    segment_set_release(set);
    if (status == STATUS_OK && some_unknown(metrics, count))
        *partial = true;
    return status;
}

/* ---- heads ------------------------------------------------------------------------------ */

void engine_head_series(struct engine *engine, const struct head_ref *ref, roaring_bitmap_t *ids)
{
    enum { A_LOCK = 4096 }; /* series before commits get a turn */
    for (uint32_t id = 0; id != UINT32_MAX;) {
        rwlock_read(&engine->head_lock);
        id = head_next_series(ref->head, id);
        for (int i = 0; i < A_LOCK && id != UINT32_MAX; i++) {
            roaring_bitmap_add(ids, id);
            id = head_next_series(ref->head, id + 1);
        }
        rwlock_unlock(&engine->head_lock);
    }
}

/* ---- labels ----------------------------------------------------------------------------- */

void label_reader_init(struct label_reader *reader, struct engine *engine)
{
    *reader = (struct label_reader){.engine = engine};
}

void label_reader_release(struct label_reader *reader)
{
    segment_labels_close(&reader->held);
    segment_labels_close(&reader->newer);
    free(reader->items);
    *reader = (struct label_reader){0};
}

enum status label_reader_hold(struct label_reader *reader, struct segment_set *set,
                              struct error *err)
{
    segment_labels_close(&reader->held);
    return segment_labels_open(&reader->held, set, err);
}

/* NOT_FOUND when no table has it. Strings of the active table live as long as the series stays
 * there: they are copied behind the labels. */
static enum status read_table(struct label_reader *reader, uint32_t id, struct labels *labels,
                              struct error *err)
{
    const struct series_table *table;
    const struct series *series = series_index_get(&reader->engine->index, id, &table);
    if (series == NULL)
        return STATUS_NOT_FOUND;
    size_t need = series->pair_count * sizeof reader->items[0];
    const uint32_t *pairs = series_pairs(table, id);
    for (uint32_t i = 0; i < series->pair_count; i++)
        need += pair_name(&table->pairs, pairs[i]).size + pair_value(&table->pairs, pairs[i]).size;
    if (need > reader->capacity) {
        struct label *items = realloc(reader->items, 2 * need);
        if (items == NULL)
            return no_memory(err);
        reader->items = items;
        reader->capacity = 2 * need;
    }
    series_table_labels(table, id, reader->items, labels);
    uint8_t *text = (uint8_t *)(reader->items + labels->count);
    for (size_t i = 0; i < labels->count; i++) {
        struct slice *slices[2] = {&reader->items[i].name, &reader->items[i].value};
        for (int j = 0; j < 2; j++) {
            memcpy(text, slices[j]->data, slices[j]->size);
            slices[j]->data = text;
            text += slices[j]->size;
        }
    }
    return STATUS_OK;
}

static enum status open_newest(struct label_reader *reader, struct error *err)
{
    struct engine *engine = reader->engine;
    rwlock_read(&engine->series_lock);
    struct segment_set *set = segment_set_acquire(engine->index.segments);
    rwlock_unlock(&engine->series_lock);
    segment_labels_close(&reader->newer);
    enum status status = segment_labels_open(&reader->newer, set, err);
    segment_set_release(set);
    return status;
}

static enum status read_segments(struct segment_labels *segments, uint32_t id,
                                 struct labels *labels, struct error *err)
{
    if (segments->set == NULL)
        return STATUS_NOT_FOUND;
    struct series_definition definition;
    enum status status = segment_labels_read(segments, id, &definition, err);
    if (status == STATUS_OK)
        *labels = definition.labels;
    return status;
}

static enum status find_labels(struct label_reader *reader, uint32_t id, struct labels *labels,
                               struct error *err)
{
    enum status status = read_segments(&reader->held, id, labels, err);
    if (status == STATUS_NOT_FOUND)
        status = read_segments(&reader->newer, id, labels, err);
    if (status != STATUS_NOT_FOUND)
        return status;
    rwlock_read(&reader->engine->series_lock);
    status = read_table(reader, id, labels, err);
    rwlock_unlock(&reader->engine->series_lock);
    if (status != STATUS_NOT_FOUND)
        return status;
    /* A flush wrote it to a segment since. */
    status = open_newest(reader, err);
    return status == STATUS_OK ? read_segments(&reader->newer, id, labels, err) : status;
}

enum status label_reader_read(struct label_reader *reader, uint32_t id, struct labels *labels,
                              struct error *err)
{
    struct error why = {0};
    enum status status = find_labels(reader, id, labels, &why);
    if (status == STATUS_NOT_FOUND)
        status = fail(&why, STATUS_CORRUPT, "series %u is not defined", id);
    if (status == STATUS_CORRUPT)
        note_damage(reader->engine, &why);
    return status == STATUS_OK ? status : fail(err, status, "%s", why.message);
}

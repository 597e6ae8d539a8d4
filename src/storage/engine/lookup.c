#include "storage/engine/lookup.h"

#include <stdlib.h>

#include "storage/engine/matching.h"

enum { METRICS_A_LOCK = 2048 }; /* series before commits get a turn */

static enum status no_memory(struct error *err)
{
    return fail(err, STATUS_MEMORY, "no memory for a query");
}

static void note_damage(struct engine *engine, const struct error *why)
{
    engine_note_index_damage(engine, "a damaged page of the index was passed over", why);
}

/* ---- matching --------------------------------------------------------------------------- */

/* What is being looked for. */
struct request {
    struct engine *engine;
    const struct matchers *matchers;
    size_t count;
    const struct patience *patience;
    roaring_bitmap_t *undecided; /* NULL, or as engine_match_each */
    struct error *err;
};

/* What stood where at the moment of a look. */
struct look {
    struct segment_set *set;
    uint64_t commits, dropped;
    uint64_t tables[2]; /* their numbers */
    int table_count;
};

static void look_init(struct look *look, struct engine *engine)
{
    const struct series_index *index = &engine->index;
    rwlock_read(&engine->series_lock);
    *look = (struct look){
        .set = segment_set_acquire(index->segments),
        .commits = index->commits,
        .dropped = index->dropped,
        .tables = {index->active.number, index->has_sealed ? index->sealed.number : 0},
        .table_count = index->has_sealed ? 2 : 1,
    };
    rwlock_unlock(&engine->series_lock);
}

static bool flush_ended_since(struct engine *engine, const struct look *look)
{
    rwlock_read(&engine->series_lock);
    bool ended = engine->index.dropped != look->dropped;
    rwlock_unlock(&engine->series_lock);
    return ended;
}

/* BUSY: a table has gone. */
static enum status match_tables(const struct request *request, const struct look *look,
                                struct matched *matched)
{
    enum status status = STATUS_OK;
    for (int i = 0; i < look->table_count; i++)
        for (size_t j = 0; j < request->count && status == STATUS_OK; j++) {
            struct shared_table table = {.lock = &request->engine->series_lock,
                                         .index = &request->engine->index,
                                         .number = look->tables[i],
                                         .until = look->commits};
            status = matching_table(&table, &request->matchers[j], request->patience, matched->ids,
                                    request->err);
        }
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

static enum status match_segment(const struct request *request,
                                 const struct series_segment *segment, struct matched *matched)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < request->count && status == STATUS_OK; i++) {
        struct error why = {0};
        const struct matchers *matchers = &request->matchers[i];
        status = matching_segment(segment, matchers, request->patience, matched->ids, &why);
        if (status == STATUS_CORRUPT) {
            note_damage(request->engine, &why);
            matched->partial |= request->undecided == NULL;
            status = request->undecided == NULL
                         ? STATUS_OK
                         : match_damaged(request->engine, segment, matchers, matched->ids,
                                         request->undecided, &why);
        }
        if (status != STATUS_OK && request->err != NULL)
            *request->err = why;
    }
    return status;
}

static bool has_segment(const struct segment_set *set, const struct segment_ref *ref)
{
    for (size_t i = 0; set != NULL && i < set->count; i++)
        if (set->segments[i] == ref)
            return true;
    return false;
}

/* Those that were not looked at before. */
static enum status match_segments(const struct request *request, const struct segment_set *set,
                                  struct matched *matched)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < set->count && status == STATUS_OK; i++)
        if (!has_segment(matched->looked_at, set->segments[i]))
            status = match_segment(request, set->segments[i]->segment, matched);
    return status;
}

/* Takes over the look's set. */
static void note_look(struct matched *matched, struct look *look)
{
    segment_set_release(matched->looked_at);
    matched->looked_at = look->set;
    look->set = NULL;
    matched->commits = look->commits;
    matched->dropped = look->dropped;
}

/* Everything. When a flush takes a table away meanwhile it begins again, with what is new: that
 * takes a whole flush each time, and tables are not much beside segments. */
static enum status match(const struct request *request, struct matched *matched)
{
    *matched = (struct matched){.ids = roaring_bitmap_create()};
    if (matched->ids == NULL)
        return no_memory(request->err);
    enum status status = STATUS_BUSY;
    while (status == STATUS_BUSY) {
        struct look look;
        look_init(&look, request->engine);
        status = match_tables(request, &look, matched);
        if (status == STATUS_OK)
            status = match_segments(request, look.set, matched);
        if (status == STATUS_OK) {
            matched->set = segment_set_acquire(look.set);
            note_look(matched, &look);
        }
        segment_set_release(look.set);
    }
    return status;
}

enum status engine_match(struct engine *engine, const struct matchers *matchers, size_t count,
                         const struct patience *patience, struct matched *matched,
                         struct error *err)
{
    struct request request = {
        .engine = engine, .matchers = matchers, .count = count, .patience = patience, .err = err};
    return match(&request, matched);
}

enum status engine_match_each(struct engine *engine, const struct matchers *matchers,
                              struct matched *matched, roaring_bitmap_t *undecided,
                              struct error *err)
{
    struct request request = {
        .engine = engine, .matchers = matchers, .count = 1, .undecided = undecided, .err = err};
    return match(&request, matched);
}

/* Those up to look->commits. What flushes wrote to segments since is looked for there, and the rest
 * in the tables. */
static enum status match_since(const struct request *request, const struct look *look,
                               struct matched *matched)
{
    struct engine *engine = request->engine;
    enum status status = STATUS_OK;
    if (look->dropped != matched->dropped)
        status = match_segments(request, look->set, matched);
    if (status == STATUS_OK)
        status = matching_newer(&engine->index, &engine->series_lock, request->matchers,
                                request->count, matched->commits, look->commits, request->patience,
                                matched->ids, request->err);
    return status == STATUS_OK && flush_ended_since(engine, look) ? STATUS_BUSY : status;
}

enum status engine_match_newer(struct engine *engine, const struct matchers *matchers, size_t count,
                               uint64_t until, const struct patience *patience,
                               struct matched *matched, struct error *err)
{
    struct request request = {
        .engine = engine, .matchers = matchers, .count = count, .patience = patience, .err = err};
    enum status status;
    do {
        struct look look;
        look_init(&look, engine);
        bool later = look.commits > until;
        if (later)
            look.commits = until;
        if (look.commits == matched->commits)
            status = STATUS_OK;
        else if (later && look.dropped != matched->dropped)
            status = STATUS_BUSY;
        else
            status = match_since(&request, &look, matched);
        if (status == STATUS_OK)
            note_look(matched, &look);
        segment_set_release(look.set);
    } while (status == STATUS_BUSY && until == ENGINE_MATCH_ALL);
    return status;
}

void matched_release(struct matched *matched)
{
    if (matched->ids != NULL)
        roaring_bitmap_free(matched->ids);
    segment_set_release(matched->set);
    segment_set_release(matched->looked_at);
    matched->ids = NULL;
    matched->set = matched->looked_at = NULL;
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

/* With series_lock. */
static void metrics_of_tables(const struct series_index *index, const uint32_t *ids, size_t count,
                              uint32_t *metrics)
{
    for (size_t i = 0; i < count; i++) {
        const struct series *series = series_index_get(index, ids[i], NULL);
        bool known = series != NULL && series->state == SERIES_COMMITTED;
        metrics[i] = known ? series->metric : METRIC_ID_NONE;
    }
}

enum status engine_metrics_of(struct engine *engine, const struct segment_set *held,
                              const uint32_t *ids, size_t count, uint32_t *metrics, bool *partial,
                              struct error *err)
{
    for (size_t done = 0; done < count; done += METRICS_A_LOCK) {
        size_t left = count - done;
        rwlock_read(&engine->series_lock);
        metrics_of_tables(&engine->index, ids + done, left < METRICS_A_LOCK ? left : METRICS_A_LOCK,
                          metrics + done);
        rwlock_unlock(&engine->series_lock);
    }
    /* Afterwards: what has left the tables is in one of these. */
    rwlock_read(&engine->series_lock);
    struct segment_set *set = segment_set_acquire(engine->index.segments);
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

/* What cannot be read may have been defined again. */
static bool is_elsewhere(enum status status)
{
    return status == STATUS_NOT_FOUND || status == STATUS_CORRUPT;
}

static enum status find_labels(struct label_reader *reader, uint32_t id, struct labels *labels,
                               struct error *err)
{
    enum status status = read_segments(&reader->held, id, labels, err);
    if (is_elsewhere(status))
        status = read_segments(&reader->newer, id, labels, err);
    if (!is_elsewhere(status))
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

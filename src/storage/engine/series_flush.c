/* A series_table becomes a series_segment. */
#include <stdlib.h>

#include "storage/engine/series_segment.h"
#include "storage/engine/series_table.h"

struct keyed {
    struct series_key key;
    uint32_t id;
};

struct writing {
    const struct series_table *table;
    struct series_segment_writer *writer;
    struct keyed *keys; /* of every committed series */
    uint32_t count;
    struct error *err;
};

static enum status no_memory(struct writing *writing)
{
    return fail(writing->err, STATUS_MEMORY, "no memory to write an index segment");
}

/* The definitions; notes their keys. */
static enum status write_series(struct writing *writing)
{
    const struct series_table *table = writing->table;
    struct label *items = malloc(LABELS_MAX_COUNT * sizeof items[0]);
    writing->keys = malloc(((size_t)table->committed_series + 1) * sizeof writing->keys[0]);
    enum status status = items == NULL || writing->keys == NULL ? no_memory(writing) : STATUS_OK;
    uint32_t id = series_table_next_committed(table, 0);
    for (; id != SERIES_ID_NONE && status == STATUS_OK;
         id = series_table_next_committed(table, id + 1)) {
        struct labels labels;
        series_table_labels(table, id, items, &labels);
        writing->keys[writing->count++] =
            (struct keyed){.key = series_key_of(&labels, table->seed), .id = id};
        status = series_segment_put_series(writing->writer, id, series_table_get(table, id)->metric,
                                           &labels, writing->err);
    }
    free(items);
    return status;
}

/* ---- pairs ------------------------------------------------------------------------------ */

struct text {
    struct slice slice;
    uint32_t id; /* of the name, or of the pair */
};

static int compare_texts(const void *a, const void *b)
{
    return slice_compare(((const struct text *)a)->slice, ((const struct text *)b)->slice);
}

static enum status write_pair(struct writing *writing, struct slice name, const struct text *value)
{
    roaring_bitmap_t *ids = roaring_bitmap_create();
    if (ids == NULL)
        return no_memory(writing);
    postings_union_into(&writing->table->pairs.pairs[value->id].series, ids);
    enum status status =
        series_segment_put_pair(writing->writer, name, value->slice, ids, writing->err);
    roaring_bitmap_free(ids);
    return status;
}

static enum status write_name(struct writing *writing, const struct text *name)
{
    const struct pair_table *pairs = &writing->table->pairs;
    const struct label_name *entry = &pairs->names[name->id];
    struct text *values = malloc(((size_t)entry->pair_count + 1) * sizeof values[0]);
    if (values == NULL)
        return no_memory(writing);
    for (uint32_t i = 0; i < entry->pair_count; i++)
        values[i] = (struct text){pair_value(pairs, entry->pairs[i]), entry->pairs[i]};
    qsort(values, entry->pair_count, sizeof values[0], compare_texts);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < entry->pair_count && status == STATUS_OK; i++)
        status = write_pair(writing, name->slice, &values[i]);
    free(values);
    return status;
}

static enum status write_pairs(struct writing *writing)
{
    const struct pair_table *pairs = &writing->table->pairs;
    struct text *names = malloc(((size_t)pairs->name_count + 1) * sizeof names[0]);
    if (names == NULL)
        return no_memory(writing);
    for (uint32_t i = 0; i < pairs->name_count; i++)
        names[i] = (struct text){slice_of(pairs->names[i].text, pairs->names[i].size), i};
    if (pairs->name_count > 0)
        qsort(names, pairs->name_count, sizeof names[0], compare_texts);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < pairs->name_count && status == STATUS_OK; i++)
        status = write_name(writing, &names[i]);
    free(names);
    return status;
}

/* ---- keys and metrics ------------------------------------------------------------------- */

static int compare_keys(const void *a, const void *b)
{
    const struct keyed *left = a;
    const struct keyed *right = b;
    int order = series_key_compare(left->key, right->key);
    return order != 0 ? order : (left->id > right->id) - (left->id < right->id);
}

static enum status write_keys(struct writing *writing)
{
    if (writing->count > 0)
        qsort(writing->keys, writing->count, sizeof writing->keys[0], compare_keys);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; i < writing->count && status == STATUS_OK; i++)
        status = series_segment_put_key(writing->writer, writing->keys[i].key, writing->keys[i].id,
                                        writing->err);
    return status;
}

struct counted {
    uint32_t series;
    uint32_t first; /* one of them: its labels have the name */
};

/* Out of the table alone: its space changes meanwhile. */
static enum status write_metrics(struct writing *writing)
{
    const struct series_table *table = writing->table;
    uint32_t end = 0;
    uint32_t id = series_table_next_committed(table, 0);
    for (; id != SERIES_ID_NONE; id = series_table_next_committed(table, id + 1)) {
        uint32_t metric = series_table_get(table, id)->metric;
        end = metric >= end ? metric + 1 : end;
    }
    struct counted *metrics = calloc((size_t)end + 1, sizeof metrics[0]);
    struct label *items = malloc(LABELS_MAX_COUNT * sizeof items[0]);
    enum status status = metrics == NULL || items == NULL ? no_memory(writing) : STATUS_OK;
    id = status == STATUS_OK ? series_table_next_committed(table, 0) : SERIES_ID_NONE;
    for (; id != SERIES_ID_NONE; id = series_table_next_committed(table, id + 1)) {
        struct counted *metric = &metrics[series_table_get(table, id)->metric];
        metric->series++;
        metric->first = id;
    }
    for (uint32_t metric = 0; metric < end && status == STATUS_OK; metric++) {
        if (metrics[metric].series == 0)
            continue;
        struct labels labels;
        series_table_labels(table, metrics[metric].first, items, &labels);
        status = series_segment_put_metric(writing->writer, metric, labels_metric_name(&labels),
                                           metrics[metric].series, writing->err);
    }
    free(metrics);
    free(items);
    return status;
}

enum status series_table_write_segment(const struct series_table *table, struct filesystem *fs,
                                       const char *path, uint64_t segment_id,
                                       struct series_segment_stats *stats, struct error *err)
{
    struct writing writing = {.table = table, .err = err};
    enum status status = series_segment_writer_open(&writing.writer, fs, path, segment_id, err);
    if (status != STATUS_OK)
        return status;
    status = write_series(&writing);
    if (status == STATUS_OK)
        status = write_pairs(&writing);
    if (status == STATUS_OK)
        status = write_keys(&writing);
    if (status == STATUS_OK)
        status = write_metrics(&writing);
    free(writing.keys);
    if (status != STATUS_OK) {
        series_segment_writer_abort(writing.writer);
        return status;
    }
    return series_segment_finish(writing.writer, stats, err);
}

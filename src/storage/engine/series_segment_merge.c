/*
 * Merging: each section is a merge of sorted runs, one after the other. What is read may contradict
 * itself behind right checksums, which ends the merge with CORRUPT; a series that several define
 * alike is taken once.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "base/invariant.h"
#include "storage/engine/series_segment_state.h"

enum { ASK_EVERY = 1024 }; /* steps between two questions whether to go on */

/* What one segment gives next, of the section that is merged. */
struct source {
    const struct series_segment *segment;
    struct series_segment_cursor *cursor;
    struct series_definition definition;
    struct series_segment_pairs *pairs;
    struct slice name, value;
    struct series_segment_keys *keys;
    struct series_key key;
    uint32_t id;
};

struct merge {
    struct source *sources;
    size_t count;
    const roaring_bitmap_t *without;
    struct series_segment_writer *writer;
    bool (*go_on)(void *context);
    void *context;
    uint64_t steps;
    const struct source *damaged; /* the one that CORRUPT is about; NULL: none alone */
    /* Sources that are not at their end, the one that gives next at the root. */
    struct source **heap;
    size_t heap_size;
    int (*order)(const struct source *a, const struct source *b);
    struct source **same; /* those that give the same pair */
    roaring_bitmap_t *ids;
    struct series_segment_metric *metrics; /* by id; series: that are kept */
    size_t metric_count, last_metric;
};

static bool is_left_out(const struct merge *merge, uint32_t id)
{
    return merge->without != NULL && roaring_bitmap_contains(merge->without, id);
}

static enum status ask(struct merge *merge, struct error *err)
{
    if (++merge->steps % ASK_EVERY != 0 || merge->go_on == NULL || merge->go_on(merge->context))
        return STATUS_OK;
    return fail(err, STATUS_CANCELLED, "the merge of series segments was stopped");
}

static enum status note_source(struct merge *merge, const struct source *source, enum status status)
{
    if (status == STATUS_CORRUPT)
        merge->damaged = source;
    return status;
}

/* ---- the heap --------------------------------------------------------------------------- */

static void sift_down(struct merge *merge)
{
    struct source *moved = merge->heap[0];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= merge->heap_size)
            break;
        if (child + 1 < merge->heap_size &&
            merge->order(merge->heap[child + 1], merge->heap[child]) < 0)
            child++;
        if (merge->order(merge->heap[child], moved) >= 0)
            break;
        merge->heap[at] = merge->heap[child];
        at = child;
    }
    merge->heap[at] = moved;
}

static void push(struct merge *merge, struct source *source)
{
    size_t at = merge->heap_size++;
    while (at > 0 && merge->order(source, merge->heap[(at - 1) / 2]) < 0) {
        merge->heap[at] = merge->heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    merge->heap[at] = source;
}

static struct source *pop(struct merge *merge)
{
    struct source *first = merge->heap[0];
    merge->heap[0] = merge->heap[--merge->heap_size];
    if (merge->heap_size > 0)
        sift_down(merge);
    return first;
}

/* Another source that gives the same next as the root; NULL when none does. */
static const struct source *twin(const struct merge *merge)
{
    for (size_t i = 1; i < 3 && i < merge->heap_size; i++)
        if (merge->order(merge->heap[i], merge->heap[0]) == 0)
            return merge->heap[i];
    return NULL;
}

/* Puts every source into the heap that `step` does not find at its end. */
static enum status begin(struct merge *merge,
                         int (*order)(const struct source *a, const struct source *b),
                         enum status (*step)(struct source *source, struct error *err),
                         struct error *err)
{
    merge->heap_size = 0;
    merge->order = order;
    for (size_t i = 0; i < merge->count; i++) {
        enum status status = step(&merge->sources[i], err);
        if (status == STATUS_OK)
            push(merge, &merge->sources[i]);
        else if (status != STATUS_END)
            return note_source(merge, &merge->sources[i], status);
    }
    return STATUS_OK;
}

/* The root goes on to what it gives next. */
static enum status advance(struct merge *merge,
                           enum status (*step)(struct source *source, struct error *err),
                           struct error *err)
{
    enum status status = step(merge->heap[0], err);
    if (status == STATUS_OK)
        sift_down(merge);
    else if (status == STATUS_END)
        (void)pop(merge);
    else
        return note_source(merge, merge->heap[0], status);
    return ask(merge, err);
}

/* ---- definitions ------------------------------------------------------------------------ */

static int order_of_ids(const struct source *a, const struct source *b)
{
    return (a->definition.id > b->definition.id) - (a->definition.id < b->definition.id);
}

static enum status step_definition(struct source *source, struct error *err)
{
    return series_segment_next(source->cursor, &source->definition, err);
}

static enum status count_metric(struct merge *merge, const struct source *source, struct error *err)
{
    uint32_t metric = source->definition.metric;
    size_t low = 0;
    size_t high = merge->metric_count;
    if (merge->last_metric < high && merge->metrics[merge->last_metric].metric == metric)
        low = high = merge->last_metric;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (merge->metrics[middle].metric < metric)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == merge->metric_count || merge->metrics[low].metric != metric) {
        fail(err, STATUS_CORRUPT,
             "series segment %s: series %u is of metric %u, which it does not have",
             source->segment->path, source->definition.id, metric);
        return note_source(merge, source, STATUS_CORRUPT);
    }
    merge->last_metric = low;
    merge->metrics[low].series++;
    return STATUS_OK;
}

static enum status merge_definitions(struct merge *merge, struct error *err)
{
    enum status status = begin(merge, order_of_ids, step_definition, err);
    while (merge->heap_size > 0 && status == STATUS_OK) {
        const struct source *source = merge->heap[0];
        const struct series_definition *definition = &source->definition;
        const struct source *other = twin(merge);
        if (other != NULL && (definition->metric != other->definition.metric ||
                              labels_compare(&definition->labels, &other->definition.labels) != 0))
            return fail(err, STATUS_CORRUPT,
                        "series segments %s and %s define series %u differently",
                        source->segment->path, other->segment->path, definition->id);
        if (other == NULL && !is_left_out(merge, definition->id)) {
            status = count_metric(merge, source, err);
            if (status == STATUS_OK)
                status = segment_write_series(merge->writer, definition->id, definition->metric,
                                              &definition->labels, err);
        }
        if (status == STATUS_OK)
            status = advance(merge, step_definition, err);
    }
    return status;
}

/* ---- pairs ------------------------------------------------------------------------------ */

static int order_of_pairs(const struct source *a, const struct source *b)
{
    int order = slice_compare(a->name, b->name);
    return order != 0 ? order : slice_compare(a->value, b->value);
}

static enum status step_pair(struct source *source, struct error *err)
{
    return segment_pairs_step(source->pairs, &source->name, &source->value, err);
}

static int order_of_numbers(const void *a, const void *b)
{
    uint32_t left = *(const uint32_t *)a;
    uint32_t right = *(const uint32_t *)b;
    return (left > right) - (left < right);
}

/* Adds the few ids that are not left out; false when they become too many. */
static bool add_few(const struct merge *merge, struct segment_ids *to,
                    const struct segment_ids *from)
{
    for (size_t i = 0; i < from->count; i++) {
        if (is_left_out(merge, from->few[i]))
            continue;
        if (to->count == SEGMENT_IDS_IN_PLACE)
            return false;
        to->few[to->count++] = from->few[i];
    }
    return true;
}

static enum status union_of_many(struct merge *merge, size_t same, struct segment_ids *all,
                                 struct error *err)
{
    roaring_bitmap_clear(merge->ids);
    for (size_t i = 0; i < same; i++) {
        struct segment_ids ids;
        enum status status = segment_pairs_ids(merge->same[i]->pairs, &ids, err);
        if (status != STATUS_OK)
            return note_source(merge, merge->same[i], status);
        if (ids.many == NULL)
            roaring_bitmap_add_many(merge->ids, (size_t)ids.count, ids.few);
        else
            roaring_bitmap_or_inplace(merge->ids, ids.many);
    }
    if (merge->without != NULL)
        roaring_bitmap_andnot_inplace(merge->ids, merge->without);
    *all = (struct segment_ids){.count = roaring_bitmap_get_cardinality(merge->ids),
                                .many = merge->ids};
    if (all->count <= SEGMENT_IDS_IN_PLACE)
        roaring_bitmap_to_uint32_array(merge->ids, all->few);
    return STATUS_OK;
}

/* Of sorted ids. */
static void take_once(struct segment_ids *ids)
{
    size_t kept = 0;
    for (size_t i = 0; i < ids->count; i++)
        if (kept == 0 || ids->few[i] != ids->few[kept - 1])
            ids->few[kept++] = ids->few[i];
    ids->count = kept;
}

static enum status union_of_ids(struct merge *merge, size_t same, struct segment_ids *all,
                                struct error *err)
{
    all->count = 0;
    all->many = NULL;
    for (size_t i = 0; i < same; i++) {
        struct segment_ids ids;
        const struct segment_values *values = &merge->same[i]->pairs->values;
        if (values->count > SEGMENT_IDS_IN_PLACE)
            return union_of_many(merge, same, all, err);
        ids.count = values->count;
        memcpy(ids.few, values->few, sizeof ids.few);
        if (!add_few(merge, all, &ids))
            return union_of_many(merge, same, all, err);
    }
    if (same > 1) {
        qsort(all->few, (size_t)all->count, sizeof all->few[0], order_of_numbers);
        take_once(all);
    }
    return STATUS_OK;
}

/* What `same` sources gave becomes one pair. */
static enum status put_pair(struct merge *merge, size_t same, struct error *err)
{
    struct segment_ids ids;
    enum status status = union_of_ids(merge, same, &ids, err);
    if (status != STATUS_OK || ids.count == 0)
        return status;
    const struct source *first = merge->same[0];
    status = segment_write_pair(merge->writer, first->name, first->value, &ids, err);
    return same == 1 ? note_source(merge, first, status) : status;
}

static enum status merge_pairs(struct merge *merge, struct error *err)
{
    enum status status = begin(merge, order_of_pairs, step_pair, err);
    while (merge->heap_size > 0 && status == STATUS_OK) {
        size_t same = 0;
        do
            merge->same[same++] = pop(merge);
        while (merge->heap_size > 0 && order_of_pairs(merge->heap[0], merge->same[0]) == 0);
        status = put_pair(merge, same, err);
        for (size_t i = 0; i < same && status == STATUS_OK; i++) {
            status = step_pair(merge->same[i], err);
            if (status == STATUS_OK)
                push(merge, merge->same[i]);
            else if (status == STATUS_END)
                status = STATUS_OK;
            else
                status = note_source(merge, merge->same[i], status);
        }
        if (status == STATUS_OK)
            status = ask(merge, err);
    }
    return status;
}

/* ---- keys ------------------------------------------------------------------------------- */

static int order_of_keys(const struct source *a, const struct source *b)
{
    int order = series_key_compare(a->key, b->key);
    return order != 0 ? order : (a->id > b->id) - (a->id < b->id);
}

static enum status step_key(struct source *source, struct error *err)
{
    return series_segment_keys_next(source->keys, &source->key, &source->id, err);
}

static enum status merge_keys(struct merge *merge, struct error *err)
{
    enum status status = begin(merge, order_of_keys, step_key, err);
    while (merge->heap_size > 0 && status == STATUS_OK) {
        const struct source *source = merge->heap[0];
        if (twin(merge) == NULL && !is_left_out(merge, source->id))
            status = note_source(merge, source,
                                 segment_write_key(merge->writer, source->key, source->id, err));
        if (status == STATUS_OK)
            status = advance(merge, step_key, err);
    }
    return status;
}

/* ---- metrics ---------------------------------------------------------------------------- */

static int order_of_metrics(const void *a, const void *b)
{
    const struct series_segment_metric *left = a;
    const struct series_segment_metric *right = b;
    return (left->metric > right->metric) - (left->metric < right->metric);
}

/* All metrics, each once, without series yet. */
static enum status collect_metrics(struct merge *merge, struct error *err)
{
    size_t all = 0;
    size_t count;
    for (size_t i = 0; i < merge->count; i++) {
        (void)series_segment_metrics(merge->sources[i].segment, &count);
        all += count;
    }
    merge->metrics = malloc((all + 1) * sizeof merge->metrics[0]);
    if (merge->metrics == NULL)
        return fail(err, STATUS_MEMORY, "no memory for the metrics of series segments");
    all = 0;
    for (size_t i = 0; i < merge->count; i++) {
        const struct series_segment_metric *metrics =
            series_segment_metrics(merge->sources[i].segment, &count);
        memcpy(merge->metrics + all, metrics, count * sizeof *metrics);
        all += count;
    }
    qsort(merge->metrics, all, sizeof merge->metrics[0], order_of_metrics);
    for (size_t i = 0; i < all; i++) {
        struct series_segment_metric *metric = &merge->metrics[i];
        metric->series = 0;
        const struct series_segment_metric *last =
            merge->metric_count == 0 ? NULL : &merge->metrics[merge->metric_count - 1];
        if (last == NULL || last->metric != metric->metric)
            merge->metrics[merge->metric_count++] = *metric;
        else if (!slice_equal(last->name, metric->name))
            return fail(err, STATUS_CORRUPT, "series segments name metric %u \"%.*s\" and \"%.*s\"",
                        metric->metric, SLICE_FORMAT(last->name), SLICE_FORMAT(metric->name));
    }
    return STATUS_OK;
}

static enum status put_metrics(struct merge *merge, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < merge->metric_count && status == STATUS_OK; i++) {
        const struct series_segment_metric *metric = &merge->metrics[i];
        if (metric->series > 0)
            status = segment_write_metric(merge->writer, metric->metric, metric->name,
                                          metric->series, err);
    }
    return status;
}

/* ---- all of it -------------------------------------------------------------------------- */

static enum status open_sources(struct merge *merge, struct series_segment *const *segments,
                                struct error *err)
{
    merge->sources = calloc(merge->count + 1, sizeof merge->sources[0]);
    merge->heap = calloc(merge->count + 1, sizeof(struct source *));
    merge->same = calloc(merge->count + 1, sizeof(struct source *));
    merge->ids = roaring_bitmap_create();
    if (merge->sources == NULL || merge->heap == NULL || merge->same == NULL || merge->ids == NULL)
        return fail(err, STATUS_MEMORY, "no memory to merge series segments");
    enum status status = STATUS_OK;
    for (size_t i = 0; i < merge->count && status == STATUS_OK; i++) {
        struct source *source = &merge->sources[i];
        source->segment = segments[i];
        status = series_segment_cursor_new(&source->cursor, source->segment, err);
        if (status == STATUS_OK)
            status = series_segment_pairs_new(&source->pairs, source->segment, err);
        if (status == STATUS_OK)
            status = series_segment_keys_new(&source->keys, source->segment, err);
    }
    return status == STATUS_OK ? collect_metrics(merge, err) : status;
}

static void close_sources(struct merge *merge)
{
    for (size_t i = 0; merge->sources != NULL && i < merge->count; i++) {
        series_segment_cursor_free(merge->sources[i].cursor);
        series_segment_pairs_free(merge->sources[i].pairs);
        series_segment_keys_free(merge->sources[i].keys);
    }
    free(merge->sources);
    free(merge->heap);
    free(merge->same);
    free(merge->metrics);
    if (merge->ids != NULL)
        roaring_bitmap_free(merge->ids);
}

enum status series_segment_merge(struct series_segment *const *segments, size_t count,
                                 const roaring_bitmap_t *without, struct os os, const char *path,
                                 uint64_t segment_id, bool (*go_on)(void *context), void *context,
                                 struct series_segment_stats *stats, size_t *damaged,
                                 struct error *err)
{
    struct merge merge = {.count = count, .without = without, .go_on = go_on, .context = context};
    enum status status = open_sources(&merge, segments, err);
    if (status == STATUS_OK)
        status = series_segment_writer_open(&merge.writer, os.fs, path, segment_id, err);
    if (status == STATUS_OK)
        status = merge_definitions(&merge, err);
    if (status == STATUS_OK)
        status = merge_pairs(&merge, err);
    if (status == STATUS_OK)
        status = merge_keys(&merge, err);
    if (status == STATUS_OK)
        status = put_metrics(&merge, err);
    if (status == STATUS_OK) {
        status = segment_write_complete(merge.writer, err);
        if (status != STATUS_OK)
            error_prefix(err, "merged series segment %s", path);
    }
    if (status == STATUS_OK)
        status = series_segment_finish(merge.writer, stats, err);
    else
        series_segment_writer_abort(merge.writer);
    if (damaged != NULL)
        *damaged = merge.damaged == NULL ? count : (size_t)(merge.damaged - merge.sources);
    close_sources(&merge);
    return status;
}

#include "storage/engine/series_segment_recover.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/invariant.h"
#include "storage/engine/series_segment_state.h"

enum { WINDOW_SERIES = 256, FIRST_LABELS = 8 };

struct found_series {
    uint32_t id;
    struct label *labels; /* by rising name */
    size_t count, capacity;
};

struct segment_recovery {
    const struct series_segment *segment;
    uint64_t seed;
    roaring_bitmap_t *lost; /* those that are not in the window, or before it */
    roaring_bitmap_t *here; /* the window's */
    struct found_series *series;
    size_t count, next;
    struct arena arena; /* texts and labels of the window */
};

static enum status no_memory(struct error *err)
{
    return fail(err, STATUS_MEMORY, "no memory to make definitions of series anew");
}

/* ---- what is lost ----------------------------------------------------------------------- */

static enum status find_lost(struct segment_recovery *recovery, struct error *err)
{
    struct series_segment_cursor *cursor;
    enum status status = series_segment_cursor_new(&cursor, recovery->segment, err);
    if (status != STATUS_OK)
        return status;
    struct series_definition definition;
    struct error why = {0};
    while ((status = series_segment_next(cursor, &definition, &why)) == STATUS_OK ||
           status == STATUS_CORRUPT)
        if (status == STATUS_OK)
            roaring_bitmap_remove(recovery->lost, definition.id);
    series_segment_cursor_free(cursor);
    return status == STATUS_END ? STATUS_OK : fail(err, status, "%s", why.message);
}

enum status segment_recovery_new(struct segment_recovery **result,
                                 const struct series_segment *segment, uint64_t seed,
                                 struct error *err)
{
    *result = NULL;
    struct segment_recovery *recovery = calloc(1, sizeof *recovery);
    if (recovery == NULL)
        return no_memory(err);
    recovery->segment = segment;
    recovery->seed = seed;
    recovery->lost = roaring_bitmap_copy(series_segment_ids(segment));
    recovery->here = roaring_bitmap_create();
    recovery->series = calloc(WINDOW_SERIES, sizeof recovery->series[0]);
    arena_init(&recovery->arena, (size_t)2 * WINDOW_SERIES * LABELS_MAX_SIZE);
    enum status status =
        recovery->lost == NULL || recovery->here == NULL || recovery->series == NULL
            ? no_memory(err)
            : find_lost(recovery, err);
    if (status != STATUS_OK) {
        segment_recovery_free(recovery);
        return status;
    }
    *result = recovery;
    return STATUS_OK;
}

void segment_recovery_free(struct segment_recovery *recovery)
{
    if (recovery == NULL)
        return;
    if (recovery->lost != NULL)
        roaring_bitmap_free(recovery->lost);
    if (recovery->here != NULL)
        roaring_bitmap_free(recovery->here);
    free(recovery->series);
    arena_release(&recovery->arena);
    free(recovery);
}

/* ---- a window --------------------------------------------------------------------------- */

static void begin_window(struct segment_recovery *recovery)
{
    arena_reset(&recovery->arena, 0);
    roaring_bitmap_clear(recovery->here);
    recovery->count = recovery->next = 0;
    while (recovery->count < WINDOW_SERIES && !roaring_bitmap_is_empty(recovery->lost)) {
        uint32_t id = roaring_bitmap_minimum(recovery->lost);
        recovery->series[recovery->count++] = (struct found_series){.id = id};
        roaring_bitmap_add(recovery->here, id);
        roaring_bitmap_remove(recovery->lost, id);
    }
}

static int compare_ids(const void *id, const void *series)
{
    uint32_t left = *(const uint32_t *)id;
    uint32_t right = ((const struct found_series *)series)->id;
    return (left > right) - (left < right);
}

static enum status add_label(struct segment_recovery *recovery, uint32_t id, struct label label)
{
    struct found_series *series =
        bsearch(&id, recovery->series, recovery->count, sizeof recovery->series[0], compare_ids);
    invariant(series != NULL);
    if (series->count == series->capacity) {
        size_t capacity = series->capacity == 0 ? FIRST_LABELS : 2 * series->capacity;
        struct label *labels =
            arena_grow(&recovery->arena, series->labels, series->count * sizeof labels[0],
                       capacity * sizeof labels[0]);
        if (labels == NULL)
            return STATUS_MEMORY;
        series->labels = labels;
        series->capacity = capacity;
    }
    series->labels[series->count++] = label;
    return STATUS_OK;
}

static enum status take_pair(struct segment_recovery *recovery, struct slice name,
                             struct slice value, const roaring_bitmap_t *ids)
{
    if (!roaring_bitmap_intersect(ids, recovery->here))
        return STATUS_OK;
    roaring_bitmap_t *both = roaring_bitmap_and(ids, recovery->here);
    if (both == NULL)
        return STATUS_MEMORY;
    struct label label = {arena_copy(&recovery->arena, name), arena_copy(&recovery->arena, value)};
    enum status status =
        label.name.data == NULL || label.value.data == NULL ? STATUS_MEMORY : STATUS_OK;
    uint32_t found[WINDOW_SERIES];
    size_t count = (size_t)roaring_bitmap_get_cardinality(both);
    roaring_bitmap_to_uint32_array(both, found);
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = add_label(recovery, found[i], label);
    roaring_bitmap_free(both);
    return status;
}

/* What cannot be read of the pairs is missing from labels, which then have another key. */
static enum status take_pairs(struct segment_recovery *recovery, struct error *err)
{
    struct series_segment_pairs *walk;
    enum status status = series_segment_pairs_new(&walk, recovery->segment, err);
    if (status != STATUS_OK)
        return status;
    struct slice name, value;
    const roaring_bitmap_t *ids;
    struct error why = {0};
    while ((status = series_segment_pairs_next(walk, &name, &value, &ids, &why)) == STATUS_OK ||
           status == STATUS_CORRUPT) {
        if (status == STATUS_OK && take_pair(recovery, name, value, ids) != STATUS_OK) {
            series_segment_pairs_free(walk);
            return no_memory(err);
        }
    }
    series_segment_pairs_free(walk);
    return status == STATUS_END ? STATUS_OK : fail(err, status, "%s", why.message);
}

static bool find_metric(const struct series_segment *segment, struct slice name, uint32_t *metric)
{
    size_t count;
    const struct series_segment_metric *metrics = series_segment_metrics(segment, &count);
    for (size_t i = 0; i < count; i++)
        if (slice_equal(metrics[i].name, name)) {
            *metric = metrics[i].metric;
            return true;
        }
    return false;
}

/* NOT_FOUND when the segment's keys do not confirm it. */
static enum status confirm(const struct segment_recovery *recovery,
                           const struct found_series *series, struct series_definition *definition,
                           struct error *err)
{
    definition->id = series->id;
    definition->labels = (struct labels){.items = series->labels, .count = series->count};
    if (!segment_labels_are_canonical(&definition->labels) ||
        !find_metric(recovery->segment, labels_metric_name(&definition->labels),
                     &definition->metric))
        return STATUS_NOT_FOUND;
    struct series_key key = series_key_of(&definition->labels, recovery->seed);
    uint32_t id = 0;
    enum status status = series_segment_find(recovery->segment, key, &id, err);
    if (status == STATUS_CORRUPT || (status == STATUS_OK && id != series->id))
        return STATUS_NOT_FOUND;
    return status;
}

enum status segment_recovery_next(struct segment_recovery *recovery, uint64_t limit,
                                  struct series_definition *definition, struct error *err)
{
    for (;;) {
        if (recovery->next == recovery->count) {
            if (roaring_bitmap_is_empty(recovery->lost) ||
                roaring_bitmap_minimum(recovery->lost) >= limit)
                return STATUS_END;
            begin_window(recovery);
            enum status status = take_pairs(recovery, err);
            if (status != STATUS_OK)
                return status;
        }
        const struct found_series *series = &recovery->series[recovery->next];
        if (series->id >= limit)
            return STATUS_END;
        recovery->next++;
        enum status status = confirm(recovery, series, definition, err);
        if (status != STATUS_NOT_FOUND)
            return status;
    }
}

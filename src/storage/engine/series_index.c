#include "storage/engine/series_index.h"

#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"

enum status series_index_init(struct series_index *index, uint64_t seed)
{
    *index = (struct series_index){.seed = seed};
    index->segments = segment_set_new();
    if (index->segments != NULL && series_space_init(&index->space, seed) == STATUS_OK &&
        series_table_init(&index->active, seed, &index->space) == STATUS_OK) {
        index->active.number = ++index->tables;
        return STATUS_OK;
    }
    series_index_release(index);
    return STATUS_MEMORY;
}

void series_index_release(struct series_index *index)
{
    series_table_release(&index->active);
    series_table_release(&index->sealed);
    series_space_release(&index->space);
    segment_set_release(index->segments);
    if (index->leaving != NULL)
        roaring_bitmap_free(index->leaving);
    if (index->doubtful != NULL)
        roaring_bitmap_free(index->doubtful);
    *index = (struct series_index){0};
}

uint32_t series_index_find(const struct series_index *index, const struct labels *labels)
{
    uint32_t id = series_table_find(&index->active, labels);
    return id == SERIES_ID_NONE && index->has_sealed ? series_table_find(&index->sealed, labels)
                                                     : id;
}

const struct series *series_index_get(const struct series_index *index, uint32_t id,
                                      const struct series_table **table)
{
    const struct series_table *at = &index->active;
    const struct series *series = series_table_get(at, id);
    if (series == NULL && index->has_sealed) {
        at = &index->sealed;
        series = series_table_get(at, id);
    }
    if (table != NULL)
        *table = at;
    return series;
}

const struct series_table *series_index_table(const struct series_index *index, uint64_t number)
{
    if (index->active.number == number)
        return &index->active;
    return index->has_sealed && index->sealed.number == number ? &index->sealed : NULL;
}

bool series_index_has_committed(const struct series_index *index, uint32_t id)
{
    const struct series *series = series_index_get(index, id, NULL);
    return series != NULL ? series->state == SERIES_COMMITTED
                          : segment_set_with(index->segments, id) != NULL;
}

bool series_index_doubt(struct series_index *index)
{
    const struct segment_set *set = index->segments;
    uint64_t damage = 0;
    for (size_t i = 0; i < set->count; i++) {
        uint64_t of[] = {set->segments[i]->info.id,
                         series_segment_damaged_pages(set->segments[i]->segment)};
        if (of[1] > 0)
            damage = hash64(slice_of(of, sizeof of), damage);
    }
    if (damage == index->damage_known)
        return true;
    if (index->doubtful == NULL)
        index->doubtful = roaring_bitmap_create();
    if (index->doubtful == NULL)
        return false;
    for (size_t i = 0; i < set->count; i++)
        series_segment_damaged_series(set->segments[i]->segment, index->doubtful);
    index->damage_known = damage;
    return true;
}

bool series_index_is_doubtful(struct series_index *index, uint32_t id)
{
    if (index->doubtful == NULL || !roaring_bitmap_contains(index->doubtful, id))
        return false;
    if (series_index_get(index, id, NULL) == NULL && !segment_set_may_define(index->segments, id))
        return true;
    roaring_bitmap_remove(index->doubtful, id);
    return false;
}

/* ---- counting --------------------------------------------------------------------------- */

static uint64_t counted(const struct series_table *table)
{
    return table->committed_series - table->committed_again;
}

uint64_t series_index_committed(const struct series_index *index)
{
    uint64_t sealed = index->has_sealed ? counted(&index->sealed) : 0;
    return counted(&index->active) + sealed + index->segments->series;
}

uint64_t series_index_reserved(const struct series_index *index)
{
    return index->active.live_series - index->active.committed_series;
}

size_t series_index_memory(const struct series_index *index)
{
    size_t sealed = index->has_sealed ? series_table_memory(&index->sealed) : 0;
    return series_table_memory(&index->active) + sealed + index->space.memory_bytes +
           index->segments->memory;
}

size_t series_index_name_memory(const struct series_index *index)
{
    size_t sealed = index->has_sealed ? pair_table_name_bytes(&index->sealed.pairs) : 0;
    return pair_table_name_bytes(&index->active.pairs) + sealed + index->space.memory_bytes +
           index->segments->memory;
}

bool series_index_has_name(const struct series_index *index, struct slice name)
{
    if (pair_table_find_name(&index->active.pairs, name) != PAIR_NONE ||
        (index->has_sealed && pair_table_find_name(&index->sealed.pairs, name) != PAIR_NONE))
        return true;
    for (size_t i = index->segments->count; i > 0; i--)
        if (series_segment_has_name(index->segments->segments[i - 1]->segment, name))
            return true;
    return false;
}

/* ---- flushing --------------------------------------------------------------------------- */

enum status series_index_seal(struct series_index *index)
{
    if (index->has_sealed)
        return STATUS_OK;
    struct series_table fresh;
    if (series_table_init(&fresh, index->seed, &index->space) != STATUS_OK)
        return STATUS_MEMORY;
    if (series_table_move_reserved(&index->active, &fresh) != STATUS_OK) {
        series_table_release(&fresh);
        return STATUS_MEMORY;
    }
    fresh.number = ++index->tables;
    index->sealed = index->active;
    index->active = fresh;
    index->has_sealed = true;
    return STATUS_OK;
}

enum status series_index_write_sealed(const struct series_index *index, struct filesystem *fs,
                                      const char *path, uint64_t segment_id,
                                      struct series_segment_stats *stats, struct error *err)
{
    invariant(index->has_sealed);
    return series_table_write_segment(&index->sealed, fs, path, segment_id, stats, err);
}

void series_index_replace_set(struct series_index *index, struct segment_set *set,
                              struct series_index_old *old)
{
    *old = (struct series_index_old){.segments = index->segments};
    index->segments = set;
}

void series_index_drop_sealed(struct series_index *index, struct segment_set *set,
                              struct series_index_old *old)
{
    invariant(index->has_sealed);
    series_index_replace_set(index, set, old);
    old->table = index->sealed;
    index->sealed = (struct series_table){0};
    index->has_sealed = false;
    index->dropped++;
}

void series_index_old_release(struct series_index_old *old)
{
    series_table_release(&old->table);
    segment_set_release(old->segments);
    *old = (struct series_index_old){0};
}

/* ---- recovering ------------------------------------------------------------------------- */

/* Metrics of series that the set has too were counted already. Where the segment cannot say them,
 * they are counted twice, which only limits look at. */
static enum status count_once(struct series_index *index, const struct series_segment *segment,
                              struct error *err)
{
    const struct segment_set *set = index->segments;
    roaring_bitmap_t *both = roaring_bitmap_create();
    enum status status = both == NULL ? STATUS_MEMORY : STATUS_OK;
    for (size_t i = 0; i < set->count && status == STATUS_OK; i++)
        roaring_bitmap_or_inplace(both, series_segment_ids(set->segments[i]->segment));
    if (status == STATUS_OK)
        roaring_bitmap_and_inplace(both, series_segment_ids(segment));
    size_t count = both == NULL ? 0 : (size_t)roaring_bitmap_get_cardinality(both);
    uint32_t *ids = malloc((count + 1) * sizeof ids[0]);
    uint32_t *metrics = malloc((count + 1) * sizeof metrics[0]);
    if (ids == NULL || metrics == NULL)
        status = STATUS_MEMORY;
    if (status == STATUS_OK) {
        roaring_bitmap_to_uint32_array(both, ids);
        memset(metrics, 0xff, count * sizeof metrics[0]);
        status = series_segment_metrics_of(segment, ids, count, metrics, err);
    }
    for (size_t i = 0; i < count && (status == STATUS_OK || status == STATUS_CORRUPT); i++)
        if (metrics[i] != METRIC_ID_NONE)
            series_space_remove(&index->space, metrics[i]);
    free(ids);
    free(metrics);
    if (both != NULL)
        roaring_bitmap_free(both);
    return status == STATUS_OK || status == STATUS_CORRUPT
               ? STATUS_OK
               : fail(err, status, "no memory for the index");
}

enum status series_index_restore_segment(struct series_index *index, struct segment_ref *segment,
                                         struct error *err)
{
    size_t count;
    const struct series_segment_metric *metrics = series_segment_metrics(segment->segment, &count);
    struct segment_set *set = segment_set_replace(index->segments, NULL, 0, segment);
    if (set == NULL)
        return fail(err, STATUS_MEMORY, "no memory for the index");
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = series_space_restore(&index->space, metrics[i].metric, metrics[i].name,
                                      metrics[i].series, err);
    if (status == STATUS_OK && set->shared)
        status = count_once(index, segment->segment, err);
    if (status != STATUS_OK) {
        segment_set_release(set);
        return status;
    }
    struct series_segment_stats stats;
    series_segment_stats(segment->segment, &stats);
    series_space_reach(&index->space, stats.last_id + 1);
    struct series_index_old old;
    series_index_replace_set(index, set, &old);
    series_index_old_release(&old);
    return STATUS_OK;
}

void series_index_drop_known(struct series_index *index)
{
    uint32_t id = series_table_next_committed(&index->active, 0);
    for (; id != SERIES_ID_NONE; id = series_table_next_committed(&index->active, id + 1))
        if (!series_table_get(&index->active, id)->again &&
            segment_set_with(index->segments, id) != NULL)
            series_table_drop(&index->active, id);
}

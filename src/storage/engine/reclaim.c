#include "storage/engine/reclaim.h"

#include <stdlib.h>
#include <string.h>

#include "base/invariant.h"
#include "storage/engine/engine_internal.h"
#include "storage/engine/lookup.h"
#include "storage/engine/paths.h"

/* A segment is written again for so many series, or for this share of its own. */
enum { WORTH_SERIES = 100000, WORTH_SHARE = 8 };

/* How often segments are written while somebody wants one of the series that go, or one turns out
 * to be damaged. */
enum { ATTEMPTS = 3 };

/* Looked at while series_lock is held. */
enum { IDS_A_LOCK = 1 << 14 };

void reclaim_release(struct reclaim *reclaim)
{
    if (reclaim->dying != NULL)
        roaring_bitmap_free(reclaim->dying);
    if (reclaim->freed != NULL)
        roaring_bitmap_free(reclaim->freed);
    reclaim->dying = reclaim->freed = NULL;
    reclaim->stage = RECLAIM_IDLE;
}

/* Back to looking. What became due meanwhile stays so. */
static void start_over(struct engine *engine)
{
    rwlock_write(&engine->series_lock);
    reclaim_release(&engine->reclaim);
    rwlock_unlock(&engine->series_lock);
}

static enum status no_memory(struct error *err)
{
    return fail(err, STATUS_MEMORY, "no memory to take series out of the index");
}

/* ---- what is in use --------------------------------------------------------------------- */

/* Takes what parts and heads name from `from`. CORRUPT where a part cannot tell. */
static enum status take_used(roaring_bitmap_t *from, struct engine *engine, struct error *err)
{
    struct version *version = engine_version(engine);
    enum status status = STATUS_OK;
    for (size_t i = 0; i < version->part_count && status == STATUS_OK; i++) {
        roaring_bitmap_t *series;
        status = part_series(version->parts[i]->part, &series, err);
        if (status != STATUS_OK)
            break;
        roaring_bitmap_andnot_inplace(from, series);
        roaring_bitmap_free(series);
    }
    if (status == STATUS_OK) {
        roaring_bitmap_t *heads = roaring_bitmap_create();
        if (heads == NULL)
            status = no_memory(err);
        else
            engine_head_series(engine, version->active, heads);
        if (heads != NULL && version->sealed != NULL)
            engine_head_series(engine, version->sealed, heads);
        if (heads != NULL) {
            roaring_bitmap_andnot_inplace(from, heads);
            roaring_bitmap_free(heads);
        }
    }
    version_release(version);
    return status;
}

/* ---- looking ---------------------------------------------------------------------------- */

/* With series_lock: ids of [first, end) that a table has, reserved ones too. */
static size_t ids_of_tables(const struct series_index *index, uint64_t first, uint64_t end,
                            uint32_t *ids)
{
    size_t count = 0;
    for (uint64_t id = first; id < end; id++)
        if (series_index_get(index, (uint32_t)id, NULL) != NULL)
            ids[count++] = (uint32_t)id;
    return count;
}

/* Takes from `ids` what tables and segments define, some ids at a time. First the tables: what
 * leaves them meanwhile is in a segment afterwards. False without memory. */
static bool take_defined(struct engine *engine, roaring_bitmap_t *ids, uint32_t next_series)
{
    uint32_t *found = malloc(IDS_A_LOCK * sizeof found[0]);
    for (uint64_t first = 0; found != NULL && first < next_series; first += IDS_A_LOCK) {
        uint64_t end = next_series - first < IDS_A_LOCK ? next_series : first + IDS_A_LOCK;
        rwlock_read(&engine->series_lock);
        size_t count = ids_of_tables(&engine->index, first, end, found);
        rwlock_unlock(&engine->series_lock);
        roaring_bitmap_remove_many(ids, count, found);
    }
    rwlock_read(&engine->series_lock);
    struct segment_set *set = segment_set_acquire(engine->index.segments);
    rwlock_unlock(&engine->series_lock);
    for (size_t i = 0; i < set->count; i++)
        roaring_bitmap_andnot_inplace(ids, series_segment_ids(set->segments[i]->segment));
    segment_set_release(set);
    free(found);
    return found != NULL;
}

/* Ids that were given and that are not free. *changes tells which free ones these were. */
static roaring_bitmap_t *given_ids(struct engine *engine, uint32_t *next_series, uint64_t *changes)
{
    const struct series_space *space = &engine->index.space;
    rwlock_read(&engine->series_lock);
    *next_series = space->next_series;
    *changes = space->changes;
    size_t count = space->free_count;
    uint32_t *unused = malloc((count + 1) * sizeof unused[0]);
    if (unused != NULL && count > 0)
        memcpy(unused, space->free_series, count * sizeof unused[0]);
    rwlock_unlock(&engine->series_lock);
    roaring_bitmap_t *ids = roaring_bitmap_create();
    if (ids != NULL && unused != NULL) {
        roaring_bitmap_add_range(ids, 0, *next_series);
        roaring_bitmap_remove_many(ids, count, unused);
    } else if (ids != NULL) {
        roaring_bitmap_free(ids);
        ids = NULL;
    }
    free(unused);
    return ids;
}

/*
 * Ids that were given and that nothing defines. Such an id stays so, as nobody can be given it; but
 * one that is free may be given, and come back, between two looks, and be seen nowhere. Where that
 * has happened to any, all are left for another time: ids get lost at a start, when none is free
 * yet. NULL without memory.
 */
static roaring_bitmap_t *undefined_ids(struct engine *engine)
{
    uint32_t next_series;
    uint64_t changes;
    roaring_bitmap_t *ids = given_ids(engine, &next_series, &changes);
    if (ids == NULL)
        return NULL;
    if (!take_defined(engine, ids, next_series)) {
        roaring_bitmap_free(ids);
        return NULL;
    }
    rwlock_read(&engine->series_lock);
    bool same = changes == engine->index.space.changes;
    rwlock_unlock(&engine->series_lock);
    if (!same)
        roaring_bitmap_clear(ids);
    return ids;
}

/* Those whose definitions no longer stand in the part of the log that a start replays. */
static enum status settled_ids(struct engine *engine, roaring_bitmap_t *ids)
{
    mutex_lock(&engine->manifest_lock);
    uint64_t flushed = manifest_state(engine->manifest)->log_position;
    mutex_unlock(&engine->manifest_lock);
    rwlock_read(&engine->series_lock);
    struct segment_set *set = segment_set_acquire(engine->index.segments);
    rwlock_unlock(&engine->series_lock);
    for (size_t i = 0; i < set->count; i++)
        if (set->segments[i]->logged_until <= flushed &&
            !atomic_load(&set->segments[i]->unreadable))
            roaring_bitmap_or_inplace(ids, series_segment_ids(set->segments[i]->segment));
    segment_set_release(set);
    return STATUS_OK;
}

static bool damage_hides(const struct engine *engine)
{
    return engine->definitions_lost || engine->lost_days.count > 0;
}

static enum status look(struct engine *engine, bool *did, struct error *err)
{
    struct reclaim *reclaim = &engine->reclaim;
    atomic_store(&reclaim->due, false);
    if (damage_hides(engine))
        return STATUS_OK;
    roaring_bitmap_t *dying = roaring_bitmap_create();
    if (dying == NULL)
        return no_memory(err);
    enum status status = settled_ids(engine, dying);
    if (status == STATUS_OK)
        status = take_used(dying, engine, err);
    roaring_bitmap_t *freed = status == STATUS_OK ? undefined_ids(engine) : NULL;
    if (status == STATUS_OK && freed == NULL)
        status = no_memory(err);
    if (status != STATUS_OK) {
        roaring_bitmap_free(dying);
        return status == STATUS_CORRUPT ? STATUS_OK : status;
    }
    rwlock_write(&engine->series_lock);
    reclaim->freed = freed;
    reclaim->dying = dying;
    rwlock_unlock(&engine->series_lock);
    gate_turn(&engine->batches);
    gate_turn(&engine->selections);
    reclaim->stage = RECLAIM_DRAINING;
    *did = true;
    return STATUS_OK;
}

/* ---- taking them out -------------------------------------------------------------------- */

/* Whatever bytes once meant a dying series are forgotten, some at a time. */
static void forget_bytes(struct engine *engine)
{
    enum { AT_ONCE = 1 << 16 };
    for (uint64_t from = 0; from != UINT64_MAX;) {
        rwlock_write(&engine->series_lock);
        from = raw_cache_forget(&engine->raw_cache, engine->reclaim.dying, from, AT_ONCE);
        rwlock_unlock(&engine->series_lock);
    }
}

/* The segments that are worth writing again and can be read, of `refs` with room for all. */
static size_t affected(const struct segment_set *set, const roaring_bitmap_t *dying,
                       struct segment_ref **refs)
{
    size_t count = 0;
    for (size_t i = 0; i < set->count; i++) {
        const roaring_bitmap_t *ids = series_segment_ids(set->segments[i]->segment);
        uint64_t gone = roaring_bitmap_and_cardinality(ids, dying);
        if (gone > 0 && !atomic_load(&set->segments[i]->unreadable) &&
            (gone >= WORTH_SERIES || gone >= set->segments[i]->info.entries / WORTH_SHARE))
            refs[count++] = set->segments[i];
    }
    return count;
}

struct removal {
    struct engine *engine;
    struct segment_ref **refs;
    size_t count;
    roaring_bitmap_t *gone; /* of dying, those that stand in `refs` */
    struct segment_ref *made;
    uint32_t *ids, *metrics;
    struct error *err;
};

static enum status write_rest(struct removal *removal)
{
    struct engine *engine = removal->engine;
    uint64_t all = 0;
    for (size_t i = 0; i < removal->count; i++)
        all += removal->refs[i]->info.entries;
    if (all == roaring_bitmap_get_cardinality(removal->gone))
        return STATUS_OK; /* nothing is left */
    return index_write_merged(engine, removal->refs, removal->count, removal->gone, &removal->made,
                              removal->err);
}

/* Segments that do not say of all of their series which metric they are of. */
static enum status leave_alone(struct removal *removal, size_t count)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < removal->count && removal->metrics[i] == METRIC_ID_NONE; j++)
            if (series_segment_has(removal->refs[j]->segment, removal->ids[i]))
                atomic_store(&removal->refs[j]->unreadable, true);
    return fail(removal->err, STATUS_CORRUPT, "metrics of series cannot be read");
}

/* Their metrics, while the segments still say them. */
static enum status note_metrics(struct removal *removal)
{
    size_t count = (size_t)roaring_bitmap_get_cardinality(removal->gone);
    bool partial = false;
    removal->ids = malloc((count + 1) * sizeof removal->ids[0]);
    removal->metrics = malloc((count + 1) * sizeof removal->metrics[0]);
    if (removal->ids == NULL || removal->metrics == NULL)
        return no_memory(removal->err);
    roaring_bitmap_to_uint32_array(removal->gone, removal->ids);
    enum status status = engine_metrics_of(removal->engine, NULL, removal->ids, count,
                                           removal->metrics, &partial, removal->err);
    return status == STATUS_OK && partial ? leave_alone(removal, count) : status;
}

/* From here on until the new set is there, whoever resolves one of them makes a new series: one
 * that goes must not be found any more. BUSY when one was wanted since. */
static enum status send_off(struct removal *removal)
{
    struct engine *engine = removal->engine;
    struct series_index *index = &engine->index;
    enum status status = STATUS_OK;
    rwlock_write(&engine->series_lock);
    if (!roaring_bitmap_is_subset(removal->gone, engine->reclaim.dying)) {
        status = STATUS_BUSY;
    } else if (index->leaving == NULL) {
        index->leaving = roaring_bitmap_copy(removal->gone);
        status = index->leaving == NULL ? no_memory(removal->err) : STATUS_OK;
    } else {
        roaring_bitmap_or_inplace(index->leaving, removal->gone);
    }
    rwlock_unlock(&engine->series_lock);
    return status;
}

static enum status publish(struct removal *removal)
{
    struct engine *engine = removal->engine;
    struct series_index *index = &engine->index;
    enum status status = send_off(removal);
    /* After a failure they stay sent off: some may have been made anew under other ids. */
    if (status == STATUS_OK)
        status = index_publish_merged(engine, removal->refs, removal->count, removal->made,
                                      removal->err);
    if (status != STATUS_OK)
        return status;
    size_t count = (size_t)roaring_bitmap_get_cardinality(removal->gone);
    for (size_t done = 0; done < count; done += IDS_A_LOCK) {
        size_t end = count - done < IDS_A_LOCK ? count : done + IDS_A_LOCK;
        rwlock_write(&engine->series_lock);
        for (size_t i = done; i < end; i++) {
            series_space_remove(&index->space, removal->metrics[i]);
            activity_forget(&engine->activity, removal->ids[i]);
        }
        rwlock_unlock(&engine->series_lock);
    }
    rwlock_write(&engine->series_lock);
    roaring_bitmap_t *left = index->leaving;
    index->leaving = NULL;
    rwlock_unlock(&engine->series_lock);
    roaring_bitmap_free(left);
    roaring_bitmap_or_inplace(engine->reclaim.freed, removal->gone);
    return STATUS_OK;
}

static void removal_release(struct removal *removal)
{
    segment_ref_release(removal->made);
    if (removal->gone != NULL)
        roaring_bitmap_free(removal->gone);
    free(removal->refs);
    free(removal->ids);
    free(removal->metrics);
}

static bool is_affected(const struct removal *removal, const struct segment_ref *ref)
{
    for (size_t i = 0; i < removal->count; i++)
        if (removal->refs[i] == ref)
            return true;
    return false;
}

/* An id that a segment which stays has too is not free: its key would still lead there. */
static enum status gather(struct removal *removal, const struct segment_set *set)
{
    const roaring_bitmap_t *dying = removal->engine->reclaim.dying;
    roaring_bitmap_t *ids = roaring_bitmap_create();
    if (ids == NULL)
        return no_memory(removal->err);
    for (size_t i = 0; i < removal->count; i++)
        roaring_bitmap_or_inplace(ids, series_segment_ids(removal->refs[i]->segment));
    for (size_t i = 0; set->shared && i < set->count; i++)
        if (!is_affected(removal, set->segments[i]))
            roaring_bitmap_andnot_inplace(ids, series_segment_ids(set->segments[i]->segment));
    rwlock_read(&removal->engine->series_lock);
    roaring_bitmap_and_inplace(ids, dying);
    rwlock_unlock(&removal->engine->series_lock);
    removal->gone = ids;
    return STATUS_OK;
}

/* Writes the segments without the dying series. BUSY: somebody wanted one of them meanwhile, which
 * is not dying any more. CORRUPT: a segment could not be read, and is left alone from now on. */
static enum status try_to_take_out(struct engine *engine, struct error *err)
{
    rwlock_read(&engine->series_lock);
    struct segment_set *set = segment_set_acquire(engine->index.segments);
    rwlock_unlock(&engine->series_lock);
    struct removal removal = {.engine = engine, .err = err};
    removal.refs = malloc((set->count + 1) * sizeof removal.refs[0]);
    enum status status = removal.refs == NULL ? no_memory(err) : STATUS_OK;
    if (status == STATUS_OK) {
        rwlock_read(&engine->series_lock);
        removal.count = affected(set, engine->reclaim.dying, removal.refs);
        rwlock_unlock(&engine->series_lock);
    }
    if (status == STATUS_OK && removal.count > 0) {
        status = gather(&removal, set);
        if (status == STATUS_OK)
            status = note_metrics(&removal);
        if (status == STATUS_OK)
            status = write_rest(&removal);
        if (status == STATUS_OK)
            status = publish(&removal);
        if (status == STATUS_BUSY && removal.made != NULL)
            atomic_store(&removal.made->doomed, true);
    }
    removal_release(&removal);
    segment_set_release(set);
    return status;
}

/* What still can go does. */
static enum status take_out(struct engine *engine, struct error *err)
{
    enum status status = STATUS_BUSY;
    for (int i = 0; i < ATTEMPTS && (status == STATUS_BUSY || status == STATUS_CORRUPT); i++)
        status = try_to_take_out(engine, err);
    return status;
}

static enum status drain(struct engine *engine, bool *did, struct error *err)
{
    struct reclaim *reclaim = &engine->reclaim;
    if (!gate_is_empty(&engine->batches) || !gate_is_empty(&engine->selections))
        return STATUS_OK;
    *did = true;
    /* What the batches of before brought is in a head or a part now. */
    rwlock_read(&engine->series_lock);
    roaring_bitmap_t *unused = roaring_bitmap_copy(reclaim->dying);
    rwlock_unlock(&engine->series_lock);
    enum status status = unused == NULL ? no_memory(err) : take_used(unused, engine, err);
    if (status == STATUS_OK)
        status = take_used(reclaim->freed, engine, err);
    rwlock_write(&engine->series_lock);
    if (status == STATUS_OK)
        roaring_bitmap_and_inplace(reclaim->dying, unused);
    bool none = roaring_bitmap_is_empty(reclaim->dying);
    rwlock_unlock(&engine->series_lock);
    if (unused != NULL)
        roaring_bitmap_free(unused);
    if (status == STATUS_OK && !none) {
        forget_bytes(engine);
        status = take_out(engine, err);
    }
    rwlock_write(&engine->series_lock);
    roaring_bitmap_free(reclaim->dying);
    reclaim->dying = NULL;
    rwlock_unlock(&engine->series_lock);
    if (status == STATUS_OK) {
        gate_turn(&engine->selections);
        reclaim->stage = RECLAIM_FREEING;
        return STATUS_OK;
    }
    start_over(engine);
    /* Somebody wants series again and again, or damage hides what is in use: perhaps another time.
     */
    return status == STATUS_BUSY || status == STATUS_CORRUPT ? STATUS_OK : status;
}

/* ---- giving ids back -------------------------------------------------------------------- */

static enum status give_back(struct engine *engine, bool *did, struct error *err)
{
    struct reclaim *reclaim = &engine->reclaim;
    if (!gate_is_empty(&engine->selections))
        return STATUS_OK;
    *did = true;
    size_t count = (size_t)roaring_bitmap_get_cardinality(reclaim->freed);
    uint32_t *ids = malloc((count + 1) * sizeof ids[0]);
    enum status status = ids == NULL ? no_memory(err) : STATUS_OK;
    if (status == STATUS_OK) {
        roaring_bitmap_to_uint32_array(reclaim->freed, ids);
        rwlock_write(&engine->series_lock);
        status = series_space_free(&engine->index.space, ids, count);
        rwlock_unlock(&engine->series_lock);
    }
    free(ids);
    if (status == STATUS_OK) {
        atomic_fetch_add(&engine->counters.series_ids_freed, count);
        if (count > 0)
            log_event(engine->log, LOG_INFO, "engine", "ids of series are free again",
                      log_int("ids", (int64_t)count));
    }
    start_over(engine);
    return status;
}

enum status engine_reclaim_step(struct engine *engine, bool *did, struct error *err)
{
    *did = false;
    switch (engine->reclaim.stage) {
    case RECLAIM_IDLE:
        return atomic_load(&engine->reclaim.due) ? look(engine, did, err) : STATUS_OK;
    case RECLAIM_DRAINING:
        return drain(engine, did, err);
    case RECLAIM_FREEING:
        return give_back(engine, did, err);
    }
    return STATUS_OK;
}

/*
 * deletes - a delete is logged as a tombstone (tombstone.h) and hides samples from the moment of
 * its commit. A flush writes it to a segment of its own, as the log behind it will be used again;
 * merges leave out what it hides; and once no part holds anything that it hides, it is forgotten.
 * Where merges do not come that way, parts are written anew for the sake of tombstones that hide
 * much of them, and of all when tombstones become many; and where no samples come that would have
 * the head flushed, the deletes alone do after a while.
 */
#include <stdlib.h>

#include "base/times.h"
#include "storage/engine/engine_internal.h"
#include "storage/engine/flush_index.h"
#include "storage/engine/lookup.h"

enum { CLEAN_FROM = TOMBSTONES_MAX / 2 };

/* A part is written anew when tombstones hide this share of its series: for each byte that it gives
 * back, at most so many are written. */
enum { WORTH_CLEANING = 8 };

/* One commit of deletes under way. */
struct job {
    struct engine *engine;
    struct tombstone **tombstones; /* one for each stretch of ids that fits into a record */
    size_t count;
    struct error *err;
};

/* A request's. */
struct request {
    struct engine *engine;
    const struct matchers *matchers;
    size_t matchers_count;
    struct matched matched;
    struct error *err;
};

static enum status no_memory(struct error *err)
{
    return fail(err, STATUS_MEMORY, "no memory for a delete");
}

/* ---- which series ----------------------------------------------------------------------- */

static enum status match_newer(struct request *request)
{
    return engine_match_newer(request->engine, request->matchers, request->matchers_count,
                              ENGINE_MATCH_ALL, NULL, &request->matched, request->err);
}

/* Gives what matches as of now and holds append_lock, also after a failure: no commit comes between
 * them. With commits shut out only the series that came since are looked at. */
static enum status match_and_lock(struct request *request)
{
    struct engine *engine = request->engine;
    enum status status = engine_match(engine, request->matchers, request->matchers_count, NULL,
                                      &request->matched, request->err);
    if (status == STATUS_OK)
        status = match_newer(request);
    mutex_lock(&engine->append_lock);
    return status == STATUS_OK ? match_newer(request) : status;
}

/* Those of `ids` from *first on that have the upper bits of the first one in common; END. */
static enum status next_stretch(const roaring_bitmap_t *ids, uint64_t *first,
                                roaring_bitmap_t **stretch)
{
    roaring_uint32_iterator_t walk;
    roaring_init_iterator(ids, &walk);
    if (*first > UINT32_MAX || !roaring_move_uint32_iterator_equalorlarger(&walk, (uint32_t)*first))
        return STATUS_END;
    uint64_t start = (uint64_t)walk.current_value >> RECORD_DELETE_ID_BITS << RECORD_DELETE_ID_BITS;
    *first = start + (UINT64_C(1) << RECORD_DELETE_ID_BITS);
    *stretch = roaring_bitmap_from_range(start, *first, 1);
    if (*stretch == NULL)
        return STATUS_MEMORY;
    roaring_bitmap_and_inplace(*stretch, ids);
    roaring_bitmap_run_optimize(*stretch);
    return STATUS_OK;
}

static enum status make_tombstones(struct job *job, const struct doomed_samples *doomed)
{
    struct engine *engine = job->engine;
    const struct head_ref *active = engine_newest(engine)->active;
    uint64_t first = 0;
    roaring_bitmap_t *ids;
    enum status status;
    while ((status = next_stretch(doomed->ids, &first, &ids)) == STATUS_OK) {
        struct tombstone **tombstones =
            realloc(job->tombstones, (job->count + 1) * sizeof tombstones[0]);
        if (tombstones == NULL) {
            roaring_bitmap_free(ids);
            return no_memory(job->err);
        }
        job->tombstones = tombstones;
        struct tombstone *made =
            tombstone_new(engine->sequence + 1 + job->count, doomed->range, ids);
        if (made == NULL)
            return no_memory(job->err);
        job->tombstones[job->count++] = made;
        if (tombstone_note_head(made, active->head, active->number) != STATUS_OK)
            return no_memory(job->err);
    }
    return status == STATUS_END ? STATUS_OK : no_memory(job->err);
}

static enum status check_limits(struct job *job)
{
    const struct tombstone_set *set = engine_newest(job->engine)->tombstones;
    size_t count = (set == NULL ? 0 : set->count) + job->count;
    size_t bytes = set == NULL ? 0 : set->bytes;
    for (size_t i = 0; i < job->count; i++)
        bytes += job->tombstones[i]->bytes;
    size_t most = job->engine->options.tombstone_bytes;
    if (count <= TOMBSTONES_MAX && (most == 0 || bytes <= most))
        return STATUS_OK;
    return fail_code(job->err, STATUS_LIMIT, "delete_limit",
                     "%zu deletes of %zu bytes would wait until merges have removed their samples; "
                     "at most %d, of %zu bytes, may: delete with fewer requests, or try again when "
                     "metric_store_tombstones has fallen",
                     count, bytes, TOMBSTONES_MAX, most);
}

/* ---- the commit ------------------------------------------------------------------------- */

static enum status log_tombstones(struct job *job)
{
    struct engine *engine = job->engine;
    enum status status = wal_begin(engine->wal, job->err);
    for (size_t i = 0; i < job->count && status == STATUS_OK; i++) {
        bytes_clear(&engine->record);
        if (record_put_delete(&engine->record, 0, job->tombstones[i]->range,
                              job->tombstones[i]->ids) != STATUS_OK)
            return no_memory(job->err);
        status = wal_put(engine->wal, RECORD_DELETE, bytes_slice(&engine->record),
                         slice_of(NULL, 0), job->err);
    }
    if (status == STATUS_OK)
        status = engine_commit_log(engine, job->err);
    if (status != STATUS_OK)
        engine_note_broken_log(engine, job->err);
    return status;
}

/* The version that has them too; nothing can fail after it was made. */
static struct version *version_with(struct engine *engine, struct tombstone *const *more,
                                    size_t count)
{
    const struct version *old = engine_newest(engine);
    struct tombstone_set *set = tombstone_set_add(old->tombstones, more, count);
    struct version *version =
        set == NULL ? NULL
                    : version_new(old->active, old->sealed, old->parts, old->part_count, set);
    tombstone_set_release(set);
    if (version != NULL)
        version->flushed_sequence = old->flushed_sequence;
    return version;
}

static void publish(struct engine *engine, struct version *version, size_t count)
{
    struct head_ref *active = version->active;
    if (!active->has_deletes)
        active->deletes_ns = clock_monotonic_ns(engine->os.clock);
    rwlock_write(&engine->head_lock);
    if (active->first_sequence == 0)
        active->first_sequence = engine->sequence + 1;
    engine->sequence += count;
    active->last_sequence = engine->sequence;
    active->has_deletes = true;
    struct version *old = version_slot_replace(&engine->version, version);
    rwlock_unlock(&engine->head_lock);
    version_release(old);
}

enum status engine_add_tombstones(struct engine *engine, struct tombstone *const *more,
                                  size_t count, struct error *err)
{
    struct version *version = version_with(engine, more, count);
    if (version == NULL)
        return no_memory(err);
    publish(engine, version, count);
    return STATUS_OK;
}

static enum status commit(struct job *job)
{
    struct engine *engine = job->engine;
    struct version *version = version_with(engine, job->tombstones, job->count);
    if (version == NULL)
        return no_memory(job->err);
    enum status status = log_tombstones(job);
    if (status != STATUS_OK) {
        version_release(version);
        return status;
    }
    publish(engine, version, job->count);
    if (engine_head_is_due(engine) && engine_rotate(engine, NULL) == STATUS_OK)
        background_wake(engine);
    return STATUS_OK;
}

enum status engine_commit_deletes(struct engine *engine, const struct doomed_samples *doomed,
                                  size_t count, size_t *tombstones, struct error *err)
{
    struct job job = {.engine = engine, .err = err};
    enum status status = atomic_load(&engine->broken) ? engine_refuse_broken(err) : STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = make_tombstones(&job, &doomed[i]);
    if (status == STATUS_OK)
        status = check_limits(&job);
    if (status == STATUS_OK && job.count > 0)
        status = commit(&job);
    if (tombstones != NULL)
        *tombstones = job.count;
    for (size_t i = 0; i < job.count; i++)
        tombstone_release(job.tombstones[i]);
    free(job.tombstones);
    return status;
}

static uint64_t chunks_within(struct engine *engine, struct time_range range)
{
    uint64_t chunks = 0;
    rwlock_read(&engine->series_lock);
    for (size_t i = 0; i < engine->days.count; i++)
        chunks += engine->days.days[i] >= day_of_time(range.start_ms) &&
                  engine->days.days[i] <= day_of_time(range.end_ms - 1);
    rwlock_unlock(&engine->series_lock);
    return chunks;
}

enum status engine_delete(struct tier *tier, const struct matchers *matchers, size_t count,
                          struct time_range range, struct delete_result *result, struct error *err)
{
    struct engine *engine = engine_of(tier);
    struct request request = {
        .engine = engine, .matchers = matchers, .matchers_count = count, .err = err};
    *result = (struct delete_result){0};
    if (time_range_empty(range))
        return STATUS_OK;
    size_t tombstones = 0;
    enum status status = match_and_lock(&request);
    /* Where a part of the index cannot be read, something that should go would stay. */
    if (status == STATUS_OK && (request.matched.partial || engine->definitions_lost))
        status = fail(err, STATUS_CORRUPT,
                      "the series index is damaged, so that not all series that match are known: "
                      "run metric-store verify --repair");
    struct doomed_samples doomed = {.ids = request.matched.ids, .range = range};
    if (status == STATUS_OK)
        status = engine_commit_deletes(engine, &doomed, 1, &tombstones, err);
    mutex_unlock(&engine->append_lock);
    if (status == STATUS_OK && tombstones > 0) {
        atomic_fetch_add(&engine->counters.deletes, 1);
        result->series = roaring_bitmap_get_cardinality(request.matched.ids);
        result->chunks = chunks_within(engine, range);
    }
    matched_release(&request.matched);
    return status;
}

/* ---- forgetting ------------------------------------------------------------------------- */

static bool may_cut(const struct tombstone *tombstone, const struct part_ref *part)
{
    return manifest_part_cut_sequence(&part->info) < tombstone->sequence &&
           part->info.min_ms < tombstone->range.end_ms &&
           part->info.max_ms >= tombstone->range.start_ms;
}

/* A part that could not be opened may come back. */
static bool covers_lost_day(const struct engine *engine, const struct tombstone *tombstone)
{
    for (size_t i = 0; i < engine->lost_days.count; i++)
        if (engine->lost_days.days[i] * MS_PER_DAY < tombstone->range.end_ms &&
            (engine->lost_days.days[i] + 1) * MS_PER_DAY > tombstone->range.start_ms)
            return true;
    return false;
}

/* The series of a part, read when they are first asked for. */
struct part_set {
    struct part_ref *part;
    roaring_bitmap_t *ids;
    bool unknown; /* they cannot be read: any series may be there */
};

static bool hides_in(const struct tombstone *tombstone, struct part_set *set)
{
    if (!may_cut(tombstone, set->part))
        return false;
    if (set->ids == NULL && !set->unknown)
        set->unknown = part_series(set->part->part, &set->ids, NULL) != STATUS_OK;
    return set->unknown || roaring_bitmap_intersect(tombstone->ids, set->ids);
}

static void part_set_release(struct part_set *set)
{
    if (set->ids != NULL)
        roaring_bitmap_free(set->ids);
}

/* Whether it hides, of what the part has, at least all that the other one does. */
static bool covers_in(const struct tombstone *later, const struct tombstone *tombstone,
                      const struct manifest_part *info)
{
    return later->range.start_ms <= (tombstone->range.start_ms > info->min_ms
                                         ? tombstone->range.start_ms
                                         : info->min_ms) &&
           (later->range.end_ms >= tombstone->range.end_ms || later->range.end_ms > info->max_ms);
}

/* Whether later ones that are on disk too hide all that it hides in the part. */
static bool others_hide_it(const struct version *version, size_t place, const struct part_set *set)
{
    const struct tombstone *tombstone = version->tombstones->items[place];
    if (set->unknown)
        return false;
    roaring_bitmap_t *left = roaring_bitmap_and(tombstone->ids, set->ids);
    if (left == NULL)
        return false;
    bool hidden = false;
    for (size_t i = place + 1; i < version->tombstones->count && !hidden; i++) {
        const struct tombstone *later = version->tombstones->items[i];
        if (later->sequence > version->flushed_sequence ||
            !covers_in(later, tombstone, &set->part->info))
            continue;
        roaring_bitmap_andnot_inplace(left, later->ids);
        hidden = roaring_bitmap_is_empty(left);
    }
    roaring_bitmap_free(left);
    return hidden;
}

/* Clears gone[i] of tombstones that hide something in the part that later ones do not. */
static void keep_needed(const struct version *version, size_t part, bool *gone)
{
    struct part_set set = {.part = version->parts[part]};
    for (size_t i = 0; i < version->tombstones->count; i++)
        gone[i] = gone[i] && (!hides_in(version->tombstones->items[i], &set) ||
                              others_hide_it(version, i, &set));
    part_set_release(&set);
}

/* Whether a later one that is on disk too hides all that it hides. */
static bool is_covered(const struct version *version, size_t place)
{
    const struct tombstone *tombstone = version->tombstones->items[place];
    for (size_t i = place + 1; i < version->tombstones->count; i++) {
        const struct tombstone *later = version->tombstones->items[i];
        if (later->sequence <= version->flushed_sequence &&
            later->range.start_ms <= tombstone->range.start_ms &&
            later->range.end_ms >= tombstone->range.end_ms &&
            roaring_bitmap_is_subset(tombstone->ids, later->ids))
            return true;
    }
    return false;
}

static enum status drop(struct engine *engine, const struct version *version, const bool *gone,
                        struct error *err)
{
    struct tombstone_set *left;
    if (tombstone_set_remove(version->tombstones, gone, &left) != STATUS_OK)
        return no_memory(err);
    struct manifest_edit edit;
    struct index_flush flush = {0};
    manifest_edit_init(&edit);
    struct parts_change change = {.gone = gone, .gone_count = version->tombstones->count};
    enum status status =
        index_flush_deletes(engine, &flush, left, version->flushed_sequence, &edit, err);
    if (status == STATUS_OK)
        status = engine_publish(engine, &edit, &change, err);
    if (status == STATUS_OK)
        index_flush_done(engine, &flush);
    else
        index_flush_undo(engine, &flush, manifest_broken(engine->manifest));
    manifest_edit_release(&edit);
    tombstone_set_release(left);
    return status;
}

/* Sets gone[i] of those that nobody needs. */
static void find_gone(const struct engine *engine, const struct version *version, bool *gone)
{
    const struct tombstone_set *set = version->tombstones;
    for (size_t i = 0; i < set->count; i++)
        gone[i] = set->items[i]->sequence <= version->flushed_sequence &&
                  !covers_lost_day(engine, set->items[i]);
    for (size_t i = 0; i < version->part_count; i++)
        keep_needed(version, i, gone);
    for (size_t i = 0; i < set->count; i++)
        gone[i] = gone[i] ||
                  (set->items[i]->sequence <= version->flushed_sequence && is_covered(version, i));
}

/* Where the last look found nothing, only an edit of the manifest makes a difference; and since a
 * look may read the series sets of all parts, not each of them has one follow. */
static bool may_rest(const struct engine *engine, const struct tombstone_look *look)
{
    return look->edits == atomic_load(&engine->edits) ||
           (look->edits != 0 && clock_monotonic_ns(engine->os.clock) - look->time_ns <
                                    engine->options.delete_rest_ms * 1000000);
}

static void note_look(const struct engine *engine, struct tombstone_look *look, uint64_t edits)
{
    look->edits = edits;
    look->time_ns = clock_monotonic_ns(engine->os.clock);
}

enum status engine_drop_tombstones(struct engine *engine, bool *did, struct error *err)
{
    *did = false;
    struct version *version = engine_version(engine);
    size_t count = version->tombstones == NULL ? 0 : version->tombstones->count;
    uint64_t edits = atomic_load(&engine->edits);
    if (count == 0 || may_rest(engine, &engine->drop_look)) {
        version_release(version);
        return STATUS_OK;
    }
    bool *gone = calloc(count, sizeof gone[0]);
    if (gone == NULL) {
        version_release(version);
        return no_memory(err);
    }
    find_gone(engine, version, gone);
    for (size_t i = 0; i < count; i++)
        *did = *did || gone[i];
    enum status status = *did ? drop(engine, version, gone, err) : STATUS_OK;
    if (!*did)
        note_look(engine, &engine->drop_look, edits);
    free(gone);
    version_release(version);
    return status;
}

/* ---- making room ------------------------------------------------------------------------ */

static bool are_many(const struct engine *engine, const struct tombstone_set *set)
{
    size_t most = engine->options.tombstone_bytes;
    return set != NULL && (set->count > CLEAN_FROM || (most != 0 && set->bytes > most / 2));
}

static bool hides_all_times(const struct tombstone *tombstone, const struct manifest_part *info)
{
    return tombstone->range.start_ms <= info->min_ms && tombstone->range.end_ms > info->max_ms;
}

/* Adds the part's series that have nothing left behind it. */
static void add_hidden(const struct tombstone *tombstone, const struct part_set *set,
                       roaring_bitmap_t **hidden)
{
    roaring_bitmap_t *own = roaring_bitmap_and(tombstone->ids, set->ids);
    if (own != NULL && *hidden != NULL) {
        roaring_bitmap_or_inplace(*hidden, own);
        roaring_bitmap_free(own);
    } else if (own != NULL) {
        *hidden = own;
    }
}

/* Whether tombstones together hide that share of the part's series, all of their samples; where
 * there are many, whether they hide anything. */
static bool needs_cleaning(const struct version *version, size_t part, bool many)
{
    struct part_set set = {.part = version->parts[part]};
    roaring_bitmap_t *hidden = NULL;
    bool needs = false;
    for (size_t i = 0; i < version->tombstones->count && !needs; i++) {
        const struct tombstone *tombstone = version->tombstones->items[i];
        if (tombstone->sequence > version->flushed_sequence || !hides_in(tombstone, &set))
            continue;
        needs = many;
        if (!many && !set.unknown && hides_all_times(tombstone, &set.part->info))
            add_hidden(tombstone, &set, &hidden);
    }
    if (hidden != NULL) {
        needs = roaring_bitmap_get_cardinality(hidden) * WORTH_CLEANING >=
                roaring_bitmap_get_cardinality(set.ids);
        roaring_bitmap_free(hidden);
    }
    part_set_release(&set);
    return needs;
}

/* From the day on at which the last step found something. */
static size_t first_to_clean(const struct engine *engine, const struct version *version)
{
    size_t at = 0;
    while (at < version->part_count && version->parts[at]->info.day < engine->clean_from_day)
        at++;
    return at;
}

enum status engine_clean_step(struct engine *engine, bool *did, struct error *err)
{
    *did = false;
    struct version *version = engine_version(engine);
    if (version->tombstones == NULL || may_rest(engine, &engine->clean_look)) {
        version_release(version);
        return STATUS_OK;
    }
    enum status status = STATUS_OK;
    uint64_t edits = atomic_load(&engine->edits);
    bool many = are_many(engine, version->tombstones);
    for (size_t at = first_to_clean(engine, version); !*did && at < version->part_count; at++) {
        if (!engine_may_merge(version->parts[at]) || !needs_cleaning(version, at, many))
            continue;
        *did = true;
        engine->clean_from_day = version->parts[at]->info.day;
        status = engine_merge_parts(engine, version, at, 1, version->parts[at]->info.tier, err);
    }
    if (!*did)
        version_release(version);
    if (!*did && engine->clean_from_day == INT64_MIN)
        note_look(engine, &engine->clean_look, edits);
    else if (!*did) {
        engine->clean_from_day = INT64_MIN;
        *did = true; /* the days before are looked at in the next step */
    }
    return status;
}

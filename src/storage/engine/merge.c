/*
 * merge - parts of one day that are adjacent in sequence become one: hot ones a part of the next
 * level, so that a day never has many and no sample is written often (merge_choice.h); those of a
 * day that is old enough a warm one (warm.c).
 *
 * Blocks of half the full size or more that overlap nothing are copied as they are, and so is a
 * series' only block; others are decoded and encoded together. A part that cannot be read is left
 * alone, with all that it still holds: a merge never drops what it could not see. Its neighbours go
 * on merging, those before it and those behind it each by themselves.
 */
#include <stdlib.h>

#include "base/invariant.h"
#include "base/times.h"
#include "storage/engine/engine_internal.h"
#include "storage/engine/part_writer.h"
#include "storage/engine/paths.h"
#include "storage/engine/pieces.h"
#include "storage/engine/sample_array.h"

enum { WRITE_BLOCKS = 4 }; /* are written together */

struct source {
    struct part_ref *part;
    struct part_cursor *walk;  /* over all blocks */
    struct part_cursor *fetch; /* for decoding */
    struct part_block block;   /* the walk's, next to be taken */
    bool ended;
};

/* Overlapping blocks of one part, one after the other. */
struct lane {
    size_t piece, end; /* those that are not loaded yet */
    struct sample_array samples;
    size_t at;
};

struct merge {
    struct engine *engine;
    enum part_tier tier;                       /* of what is made */
    struct part_ref *parts[MERGE_SOURCES_MAX]; /* held */
    size_t part_count;
    struct tombstone_set *tombstones;         /* held; of the version in which they were chosen */
    uint64_t flushed_sequence;                /* likewise */
    struct source sources[MERGE_SOURCES_MAX]; /* by sequence */
    size_t source_count;
    struct part_writer *writer;
    struct pieces pieces;
    struct sample_array waiting; /* small blocks of the series in hand, to be written together */
    struct sample_array loaded;
    struct lane lanes[MERGE_SOURCES_MAX];
    size_t lane_count;
    uint32_t metric, series;
    struct cuts cuts;         /* by tombstones that are on disk beside the parts */
    struct part_ref *damaged; /* what was being read as it turned out to be; NULL: not known */
    struct error *err;
};

static enum status no_memory(struct merge *merge)
{
    return fail(merge->err, STATUS_MEMORY, "no memory for a merge");
}

static enum status note_source(struct merge *merge, const struct source *source, enum status status)
{
    if (status == STATUS_CORRUPT)
        merge->damaged = source->part;
    return status;
}

static enum status advance(struct merge *merge, struct source *source)
{
    const struct part_block *block;
    struct part_loss lost;
    enum status status = part_cursor_next(source->walk, &block, &lost, merge->err);
    source->ended = status == STATUS_END;
    if (status == STATUS_OK)
        source->block = *block;
    return status == STATUS_END ? STATUS_OK : note_source(merge, source, status);
}

static enum status open_source(struct merge *merge, struct part_ref *part)
{
    struct source *source = &merge->sources[merge->source_count++];
    *source = (struct source){.part = part};
    enum status status = part_cursor_new(&source->walk, part->part, merge->err);
    if (status == STATUS_OK)
        status = part_cursor_new(&source->fetch, part->part, merge->err);
    if (status != STATUS_OK)
        return note_source(merge, source, status);
    part_cursor_seek(source->walk, 0, 0);
    return advance(merge, source);
}

/* The lowest key among the sources. False at the end. */
static bool next_key(struct merge *merge)
{
    const struct part_block *lowest = NULL;
    for (size_t i = 0; i < merge->source_count; i++) {
        const struct source *source = &merge->sources[i];
        if (source->ended)
            continue;
        if (lowest == NULL || part_compare_keys(source->block.metric, source->block.series,
                                                lowest->metric, lowest->series) < 0)
            lowest = &source->block;
    }
    if (lowest == NULL)
        return false;
    merge->metric = lowest->metric;
    merge->series = lowest->series;
    return true;
}

static uint64_t cut_sequence_of(const struct merge *merge, size_t source)
{
    return manifest_part_cut_sequence(&merge->sources[source].part->info);
}

static enum status take_block(struct merge *merge, size_t source)
{
    const struct part_block *block = &merge->sources[source].block;
    enum cut cut = cuts_of_block(&merge->cuts, cut_sequence_of(merge, source), block->first_ms,
                                 block->last_ms);
    if (cut == CUT_ALL)
        return STATUS_OK;
    if (pieces_add(&merge->pieces, block, source) != STATUS_OK)
        return no_memory(merge);
    merge->pieces.items[merge->pieces.count - 1].cut = cut == CUT_SOME;
    return STATUS_OK;
}

static enum status take_series(struct merge *merge)
{
    merge->pieces.count = 0;
    cuts_take(&merge->cuts, merge->series);
    for (size_t i = 0; i < merge->source_count; i++) {
        struct source *source = &merge->sources[i];
        while (!source->ended && source->block.metric == merge->metric &&
               source->block.series == merge->series) {
            enum status status = take_block(merge, i);
            if (status == STATUS_OK)
                status = advance(merge, source);
            if (status != STATUS_OK)
                return status;
        }
    }
    pieces_sort_by_time(&merge->pieces, 0, merge->pieces.count);
    return STATUS_OK;
}

static enum status load(struct merge *merge, const struct piece *piece, struct sample_array *to)
{
    if (sample_array_reach(to, piece->block.count) != STATUS_OK)
        return no_memory(merge);
    to->count = piece->block.count;
    const struct source *source = &merge->sources[piece->part];
    enum status status = part_block_read(source->fetch, &piece->block, 0, piece->block.count,
                                         to->times, to->values, merge->err);
    status = note_source(merge, source, status);
    if (status == STATUS_OK && piece->cut)
        to->count = cuts_apply(&merge->cuts, cut_sequence_of(merge, piece->part), to->times,
                               to->values, to->count);
    return status;
}

static enum status write_array(struct merge *merge, struct sample_array *array)
{
    if (array->count == 0)
        return STATUS_OK;
    enum status status =
        part_writer_add(merge->writer, merge->metric, merge->series, PART_KIND_FLOAT, array->times,
                        array->values, array->count, merge->err);
    array->count = 0;
    return status;
}

static size_t block_count_of(enum part_tier tier)
{
    return tier == PART_WARM ? PART_WARM_BLOCK_COUNT : PART_BLOCK_COUNT;
}

/* Whole blocks leave as soon as there are some, so that memory follows blocks and not the day. */
static enum status write_full_blocks(struct merge *merge)
{
    struct sample_array *waiting = &merge->waiting;
    size_t block_count = block_count_of(merge->tier);
    size_t full = waiting->count / block_count * block_count;
    if (full < WRITE_BLOCKS * block_count)
        return STATUS_OK;
    struct sample_array rest = {.times = waiting->times + full,
                                .values = waiting->values + full,
                                .count = waiting->count - full};
    waiting->count = full;
    enum status status = write_array(merge, waiting);
    memmove(waiting->times, rest.times, rest.count * sizeof rest.times[0]);
    memmove(waiting->values, rest.values, rest.count * sizeof rest.values[0]);
    waiting->count = rest.count;
    return status;
}

static enum status append_waiting(struct merge *merge, const int64_t *times, const double *values,
                                  size_t count)
{
    struct sample_array *waiting = &merge->waiting;
    if (count == 0)
        return STATUS_OK;
    if (sample_array_reach(waiting, waiting->count + count) != STATUS_OK)
        return no_memory(merge);
    sample_array_append(waiting, times, values, count);
    return write_full_blocks(merge);
}

/* ---- overlap ---------------------------------------------------------------------------- */

/* With at least one sample at hand, or at its end. */
static enum status fill_lane(struct merge *merge, struct lane *lane)
{
    while (lane->at == lane->samples.count && lane->piece < lane->end) {
        enum status status = load(merge, &merge->pieces.items[lane->piece++], &lane->samples);
        if (status != STATUS_OK)
            return status;
        lane->at = 0;
    }
    return STATUS_OK;
}

static bool lane_ended(const struct lane *lane)
{
    return lane->at == lane->samples.count;
}

/* One lane for the pieces of each part, which overlap only those of other parts. */
static enum status open_lanes(struct merge *merge, size_t start, size_t end)
{
    pieces_sort_by_part(&merge->pieces, start, end);
    merge->lane_count = 0;
    for (size_t at = start; at < end;) {
        struct lane *lane = &merge->lanes[merge->lane_count++];
        size_t part = merge->pieces.items[at].part;
        lane->piece = at;
        while (at < end && merge->pieces.items[at].part == part)
            at++;
        lane->end = at;
        lane->at = lane->samples.count = 0;
        enum status status = fill_lane(merge, lane);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* The lane whose next sample is the earliest, of several the last: the later write. *until_ms: the
 * earliest of the others from there on. NULL at the end. Lanes that the sample hides are moved. */
static struct lane *next_lane(struct merge *merge, int64_t *until_ms, enum status *status)
{
    struct lane *first = NULL;
    for (size_t i = 0; i < merge->lane_count; i++) {
        struct lane *lane = &merge->lanes[i];
        if (!lane_ended(lane) &&
            (first == NULL || lane->samples.times[lane->at] <= first->samples.times[first->at]))
            first = lane;
    }
    *until_ms = INT64_MAX;
    *status = STATUS_OK;
    for (size_t i = 0; i < merge->lane_count && first != NULL && *status == STATUS_OK; i++) {
        struct lane *lane = &merge->lanes[i];
        if (lane == first || lane_ended(lane))
            continue;
        if (lane->samples.times[lane->at] == first->samples.times[first->at]) {
            lane->at++;
            *status = fill_lane(merge, lane);
        }
        if (*status == STATUS_OK && !lane_ended(lane) && lane->samples.times[lane->at] < *until_ms)
            *until_ms = lane->samples.times[lane->at];
    }
    return first;
}

/* Where the service stops a merge is begun again after the next start. */
static enum status go_on(const struct merge *merge)
{
    if (!engine_goes_on(merge->engine))
        return fail(merge->err, STATUS_CANCELLED, "the merge was stopped");
    /* Days go whole. */
    if (atomic_load(&merge->parts[0]->doomed))
        return fail(merge->err, STATUS_CANCELLED, "the day that was merged was dropped");
    return STATUS_OK;
}

/* Pieces [start, end) overlap one another: decoded, the later part over the earlier. */
static enum status merge_stretch(struct merge *merge, size_t start, size_t end)
{
    enum status status = open_lanes(merge, start, end);
    while (status == STATUS_OK) {
        int64_t until_ms;
        struct lane *lane = next_lane(merge, &until_ms, &status);
        if (lane == NULL || status != STATUS_OK)
            return status;
        const struct sample_array *samples = &lane->samples;
        size_t from = lane->at++;
        while (lane->at < samples->count && samples->times[lane->at] < until_ms)
            lane->at++;
        status =
            append_waiting(merge, samples->times + from, samples->values + from, lane->at - from);
        if (status == STATUS_OK && lane_ended(lane))
            status = go_on(merge);
        if (status == STATUS_OK)
            status = fill_lane(merge, lane);
    }
    return status;
}

/* Whether encoding a block anew would bring nothing, or too little for the work. */
static bool is_large(const struct merge *merge, const struct part_block *block)
{
    return block->count >= block_count_of(merge->tier) / 2 || merge->pieces.count == 1;
}

static enum status copy(struct merge *merge, const struct piece *piece)
{
    const struct source *source = &merge->sources[piece->part];
    return note_source(merge, source,
                       part_writer_copy(merge->writer, source->fetch, &piece->block, merge->err));
}

static enum status write_series(struct merge *merge)
{
    for (size_t at = 0; at < merge->pieces.count;) {
        int64_t last_ms;
        size_t end = pieces_stretch(&merge->pieces, at, &last_ms);
        const struct piece *piece = &merge->pieces.items[at];
        enum status status;
        if (end == at + 1 && !piece->cut && is_large(merge, &piece->block)) {
            status = write_array(merge, &merge->waiting);
            if (status == STATUS_OK)
                status = copy(merge, piece);
        } else if (end == at + 1) {
            status = load(merge, piece, &merge->loaded);
            if (status == STATUS_OK)
                status = append_waiting(merge, merge->loaded.times, merge->loaded.values,
                                        merge->loaded.count);
        } else {
            status = merge_stretch(merge, at, end);
        }
        if (status != STATUS_OK)
            return status;
        at = end;
    }
    return write_array(merge, &merge->waiting);
}

static enum status write_all(struct merge *merge)
{
    while (next_key(merge)) {
        enum status status = go_on(merge);
        if (status == STATUS_OK)
            status = take_series(merge);
        if (status == STATUS_OK)
            status = write_series(merge);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* ---- choosing --------------------------------------------------------------------------- */

bool engine_may_merge(const struct part_ref *part)
{
    return !atomic_load(&part->unreadable);
}

/* The manifest goes on naming it, and says where it stands. */
bool engine_gap_before(struct engine *engine, const struct version *version, size_t place)
{
    const struct manifest_part *part = &version->parts[place]->info;
    if (!day_set_has(&engine->lost_days, part->day) || place == 0 ||
        version->parts[place - 1]->info.day != part->day)
        return false;
    const struct manifest_part *before = &version->parts[place - 1]->info;
    bool gap = false;
    mutex_lock(&engine->manifest_lock);
    const struct manifest_state *state = manifest_state(engine->manifest);
    for (size_t i = 0; i < state->part_count && !gap; i++)
        gap = state->parts[i].day == part->day &&
              state->parts[i].min_sequence > before->max_sequence &&
              state->parts[i].max_sequence < part->min_sequence;
    mutex_unlock(&engine->manifest_lock);
    return gap;
}

/* The end of the day's parts from `start` on. */
static size_t day_end(const struct version *version, size_t start)
{
    size_t end = start;
    while (end < version->part_count &&
           version->parts[end]->info.day == version->parts[start]->info.day)
        end++;
    return end;
}

/* Which parts become one; *count is 0 if there is nothing to merge. *behind: so many wait in that
 * day that merging them gives way no more. */
static enum status choose(struct engine *engine, const struct version *version, size_t *start,
                          size_t *count, bool *behind, struct error *err)
{
    size_t fan_in = engine->options.merge_fan_in;
    *count = 0;
    *behind = false;
    struct merge_candidate *parts = malloc((version->part_count + 1) * sizeof parts[0]);
    if (parts == NULL)
        return fail(err, STATUS_MEMORY, "no memory to choose what to merge");
    for (size_t at = 0; at < version->part_count && *count == 0;) {
        size_t end = day_end(version, at);
        for (size_t i = at; i < end; i++) {
            const struct part_ref *part = version->parts[i];
            parts[i - at] = (struct merge_candidate){
                .bytes = part->info.bytes,
                .level = part->info.level,
                .fixed = part->info.tier != PART_HOT || !engine_may_merge(part),
                .gap_before = engine_gap_before(engine, version, i),
            };
        }
        *count = merge_choose(parts, end - at, fan_in, start);
        *behind = *count > 0 && merge_is_behind(parts, end - at, fan_in);
        *start += at;
        at = end;
    }
    free(parts);
    return STATUS_OK;
}

/* ---- making it count -------------------------------------------------------------------- */

/* Since when the oldest of them is there. */
static int64_t since_of(struct part_ref *const *sources, size_t count)
{
    int64_t since_ns = sources[0]->since_ns;
    for (size_t i = 1; i < count; i++)
        since_ns = sources[i]->since_ns < since_ns ? sources[i]->since_ns : since_ns;
    return since_ns;
}

static void count_merge(struct engine *engine, struct part_ref *const *sources, size_t count,
                        const struct manifest_part *made)
{
    struct engine_counters *counters = &engine->counters;
    uint64_t read = 0;
    for (size_t i = 0; i < count; i++)
        read += sources[i]->info.bytes;
    bool warm = made->tier == PART_WARM;
    atomic_fetch_add(warm ? &counters->warm_merges : &counters->merges, 1);
    atomic_fetch_add(warm ? &counters->warm_bytes_read : &counters->merged_bytes_read, read);
    atomic_fetch_add(warm ? &counters->warm_bytes_written : &counters->merged_bytes_written,
                     made->bytes);
}

static enum status commit(struct merge *merge, const struct manifest_part *info)
{
    struct engine *engine = merge->engine;
    struct part_ref *const *sources = merge->parts;
    size_t count = merge->part_count;
    struct part_ref *made = NULL;
    enum status status =
        info->samples == 0 ? STATUS_OK : engine_open_made(engine, info, &made, merge->err);
    if (status != STATUS_OK) {
        engine_remove_part(engine, info->id);
        return status;
    }
    if (made != NULL) {
        atomic_store(&made->doomed, true);
        made->since_ns = since_of(sources, count);
    }
    struct manifest_edit edit;
    manifest_edit_init(&edit);
    struct parts_change change = {
        .added = &made, .added_count = made != NULL, .removed = sources, .removed_count = count};
    status = engine_publish(engine, &edit, &change, merge->err);
    manifest_edit_release(&edit);
    part_ref_release(made);
    if (status == STATUS_OK)
        count_merge(engine, sources, count, info);
    if (status == STATUS_OK && made == NULL)
        engine_forget_days(engine);
    /* Series may have lost their last samples. */
    if (status == STATUS_OK && merge->cuts.count > 0)
        atomic_store(&engine->reclaim.due, true);
    return status;
}

static enum status find_cuts(struct merge *merge, int64_t day)
{
    struct time_range range = {day * MS_PER_DAY, (day + 1) * MS_PER_DAY};
    enum status status = cuts_init(&merge->cuts, merge->tombstones, range, merge->flushed_sequence);
    return status == STATUS_OK ? status : no_memory(merge);
}

/* Of what is made. */
static struct manifest_part describe(const struct merge *merge)
{
    size_t count = merge->part_count;
    struct manifest_part info = {
        .id = engine_take_file_id(merge->engine),
        .day = merge->parts[0]->info.day,
        .min_sequence = merge->parts[0]->info.min_sequence,
        .max_sequence = merge->parts[count - 1]->info.max_sequence,
        .tier = merge->tier,
    };
    for (size_t i = 0; i < count; i++)
        if (merge->parts[i]->info.level >= info.level)
            info.level = merge->parts[i]->info.level + (count > 1 ? 1 : 0);
    if (merge->cuts.count > 0 && merge->flushed_sequence > info.max_sequence)
        info.cleaned = merge->flushed_sequence;
    return info;
}

static enum status write_part(struct merge *merge, struct manifest_part *info)
{
    struct engine *engine = merge->engine;
    enum status status = find_cuts(merge, merge->parts[0]->info.day);
    for (size_t i = 0; i < merge->part_count && status == STATUS_OK; i++)
        status = open_source(merge, merge->parts[i]);
    if (status != STATUS_OK)
        return status;
    *info = describe(merge);
    struct part_writer_options options = {
        .identity = manifest_part_identity(info),
        .hash_seed = engine->index.seed,
        .block_count = block_count_of(merge->tier),
    };
    char *path = path_of_part(engine->dir, info->id);
    char *directory = path_format("%s/parts", engine->dir);
    status = path == NULL || directory == NULL
                 ? no_memory(merge)
                 : part_writer_open(&merge->writer, engine->os.fs, path, &options, merge->err);
    if (status == STATUS_OK) {
        status = write_all(merge);
        if (status != STATUS_OK)
            part_writer_abort(merge->writer);
    }
    struct part_totals totals = {0};
    if (status == STATUS_OK)
        status = part_writer_finish(merge->writer, &totals, merge->err);
    bool empty = status == STATUS_INVALID; /* all of it was deleted */
    if (empty)
        status = STATUS_OK;
    if (status == STATUS_OK && !empty) {
        info->samples = totals.samples;
        info->bytes = totals.bytes;
        info->min_ms = totals.min_ms;
        info->max_ms = totals.max_ms;
        status = filesystem_sync_directory(engine->os.fs, directory, merge->err);
        if (status != STATUS_OK)
            engine_remove_part(engine, info->id);
    }
    free(path);
    free(directory);
    return status;
}

static void take_sources(struct merge *merge, struct version *version, size_t start, size_t count)
{
    invariant(count > 0 && count <= MERGE_SOURCES_MAX);
    for (size_t i = start; i < start + count; i++)
        merge->parts[merge->part_count++] = part_ref_acquire(version->parts[i]);
    merge->tombstones = tombstone_set_acquire(version->tombstones);
    merge->flushed_sequence = version->flushed_sequence;
    version_release(version);
}

static void release(struct merge *merge)
{
    for (size_t i = 0; i < merge->source_count; i++) {
        part_cursor_free(merge->sources[i].walk);
        part_cursor_free(merge->sources[i].fetch);
    }
    for (size_t i = 0; i < merge->part_count; i++)
        part_ref_release(merge->parts[i]);
    cuts_release(&merge->cuts);
    tombstone_set_release(merge->tombstones);
    pieces_release(&merge->pieces);
    sample_array_release(&merge->waiting);
    sample_array_release(&merge->loaded);
    for (size_t i = 0; i < MERGE_SOURCES_MAX; i++)
        sample_array_release(&merge->lanes[i].samples);
}

/* Where nobody knows which of them is damaged, none is merged again: verify tells. */
static void leave_alone(const struct merge *merge)
{
    struct engine *engine = merge->engine;
    for (size_t i = 0; i < merge->part_count; i++)
        if (merge->damaged == NULL || merge->parts[i] == merge->damaged)
            atomic_store(&merge->parts[i]->unreadable, true);
    const char *why = merge->err->message;
    engine_trouble(engine, TROUBLE_DAMAGE, STORAGE_DEGRADED, "damaged data: %s", why);
    log_event(engine->log, LOG_ERROR, "engine",
              merge->damaged != NULL ? "a part is not merged: it is damaged"
                                     : "parts are not merged: one is damaged",
              log_text("error", why));
}

enum status engine_merge_parts(struct engine *engine, struct version *version, size_t start,
                               size_t count, enum part_tier tier, struct error *err)
{
    struct error why = {0};
    struct merge merge = {.engine = engine, .tier = tier, .err = &why};
    struct manifest_part info;
    take_sources(&merge, version, start, count);
    enum status status = write_part(&merge, &info);
    if (status == STATUS_OK)
        status = commit(&merge, &info);
    /* Their day was dropped: what was made of it has been removed. */
    if (status == STATUS_CANCELLED || status == STATUS_CONFLICT)
        status = STATUS_OK;
    if (status != STATUS_OK)
        atomic_fetch_add(&engine->counters.merge_failures, 1);
    if (status == STATUS_CORRUPT) {
        leave_alone(&merge);
        status = STATUS_OK;
    }
    release(&merge);
    return status == STATUS_OK ? status : fail(err, status, "%s", why.message);
}

enum status engine_merge_step(struct engine *engine, bool *did, struct error *err)
{
    struct version *version = engine_version(engine);
    size_t start, count;
    enum status status = choose(engine, version, &start, &count, &engine->pace.behind, err);
    *did = count > 0;
    engine->pace.hurries = engine->pace.behind;
    if (count > 0)
        status = engine_merge_parts(engine, version, start, count, PART_HOT, err);
    else
        version_release(version);
    engine->pace.hurries = false;
    return status;
}

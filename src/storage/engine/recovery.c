/*
 * recovery - the store as it was: definitions from the index segments, parts opened, and the log
 * above the flushed position replayed into a head.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bits.h"
#include "base/invariant.h"
#include "base/times.h"
#include "storage/engine/adopt.h"
#include "storage/engine/paths.h"
#include "storage/engine/recovery_state.h"
#include "storage/engine/repair_state.h"
#include "storage/engine/segment_owner.h"

/* ---- definitions ------------------------------------------------------------------------ */

static enum status restore_metric(void *context, const struct metric *metric, struct error *err)
{
    struct recovery *recovery = context;
    enum metric_outcome outcome;
    enum status status = registry_put(&recovery->engine->registry, metric, &outcome);
    if (status == STATUS_MEMORY)
        return fail(err, status, "no memory for the metric registry");
    return STATUS_OK;
}

static enum status restore_record(void *context, enum record_type type, struct slice record,
                                  struct error *err)
{
    struct recovery *recovery = context;
    size_t count;
    if (type == RECORD_SERIES)
        return record_restore_series(record, &recovery->engine->index.active, &count, err);
    if (type == RECORD_METRICS)
        return record_get_metrics(record, restore_metric, recovery, err);
    if (type == RECORD_DELETE)
        return tombstone_set_take_record(&recovery->tombstones, record, err);
    if (type == RECORD_ACTIVITY)
        return engine_restore_activity(recovery->engine, record, err);
    return fail(err, STATUS_CORRUPT, "a record of type %d does not belong here", (int)type);
}

static enum status take_index(struct recovery *recovery, const struct manifest_segment *info,
                              bool *opened, struct error *err)
{
    struct engine *engine = recovery->engine;
    struct segment_ref *segment = NULL;
    enum status status = segment_ref_open(&segment, engine->os, engine->dir, info, err);
    *opened = status == STATUS_OK;
    if (status == STATUS_OK)
        status = segment_expect_own(segment->segment, engine->index.seed, err);
    if (status == STATUS_OK)
        status = series_index_restore_segment(&engine->index, segment, err);
    segment_ref_release(segment);
    return status;
}

static enum status open_index(struct recovery *recovery, const struct manifest_segment *info,
                              struct error *err)
{
    bool opened;
    struct error why = {0};
    enum status status = take_index(recovery, info, &opened, &why);
    if (status == STATUS_CORRUPT && !opened) {
        recovery->closed[recovery->closed_count++] = *info;
        return STATUS_OK;
    }
    if (status == STATUS_CORRUPT || status == STATUS_NOT_FOUND) {
        recovery_note_damage(recovery, why.message);
        return STATUS_OK;
    }
    return status == STATUS_OK ? status : fail(err, status, "%s", why.message);
}

static void ignore_finding(void *context, enum engine_finding finding, const char *path,
                           const char *description)
{
    (void)context, (void)finding, (void)path, (void)description;
}

/* CORRUPT, and anything that stands in the way of writing: it stays closed. */
static enum status make_anew(struct recovery *recovery, const struct manifest_segment *info,
                             bool *whole, struct error *err)
{
    struct engine *engine = recovery->engine;
    struct engine_repair_result result = {0};
    struct repair repair = {
        .os = engine->os,
        .dir = engine->dir,
        .report = ignore_finding,
        .result = &result,
        .manifest = engine->manifest,
        .state = *manifest_state(engine->manifest),
        .next_file = engine->next_file,
    };
    struct manifest_segment made;
    bool opened;
    if (engine->options.read_only || repair.state.edits_lost)
        return fail(err, STATUS_CORRUPT, "nothing is written here");
    enum status status = repair_save_segment(&repair, info, &made, whole, err);
    engine->next_file = repair.next_file;
    return status == STATUS_OK ? take_index(recovery, &made, &opened, err) : status;
}

/*
 * A segment of which the directories or the trailer are damaged has its series still, all or most
 * of them. They are not left unknown: samples that the log has of them would be lost with the next
 * flush, and what comes for them would make them again under other ids, beside those that a repair
 * finds.
 */
static enum status open_closed(struct recovery *recovery, struct error *err)
{
    for (size_t i = 0; i < recovery->closed_count; i++) {
        struct error damage = {0};
        struct error why = {0};
        bool opened;
        bool whole = false;
        enum status status = take_index(recovery, &recovery->closed[i], &opened, &damage);
        if (status != STATUS_CORRUPT)
            return status == STATUS_OK ? status : fail(err, status, "%s", damage.message);
        status = make_anew(recovery, &recovery->closed[i], &whole, &why);
        if (status == STATUS_OK && whole)
            recovery_note_known_loss(recovery, damage.message);
        else
            recovery_note_damage(recovery, damage.message);
        log_event(recovery->engine->log, LOG_WARN, "engine",
                  status != STATUS_OK ? "nothing was made anew of a damaged index segment"
                  : whole
                      ? "a damaged index segment was made anew; the old one is in the quarantine"
                      : "a damaged index segment was made anew without series that are lost",
                  log_text("reason", status == STATUS_OK ? damage.message : why.message));
    }
    return STATUS_OK;
}

/* A segment whose records are read into memory. */
static enum status load_records(struct recovery *recovery, const struct manifest_segment *info,
                                struct error *err)
{
    struct engine *engine = recovery->engine;
    char *path = path_of_segment(engine->dir, info->id);
    if (path == NULL)
        return fail(err, STATUS_MEMORY, "no memory for a path");
    uint64_t damaged = engine->recovery.damaged;
    /* Descriptors that are lost cost no samples. */
    index_segment_damage *damage = info->kind == SEGMENT_METRICS    ? recovery_note_descriptors
                                   : info->kind == SEGMENT_ACTIVITY ? recovery_note_activity
                                                                    : recovery_note_damage;
    enum status status =
        index_segment_read(engine->os, path, restore_record, damage, recovery, err);
    if (status == STATUS_NOT_FOUND || status == STATUS_CORRUPT) {
        damage(recovery, err == NULL ? "an index segment cannot be opened" : err->message);
        status = STATUS_OK;
    }
    free(path);
    /* The next flush says anew which series are active. */
    if (engine->recovery.damaged > damaged && info->kind != SEGMENT_ACTIVITY)
        engine->damaged_segments[engine->damaged_segment_count++] = info->id;
    return status;
}

static enum status load_segments(struct recovery *recovery, struct error *err)
{
    const struct manifest_state *state = manifest_state(recovery->engine->manifest);
    uint64_t *damaged = malloc((state->segment_count + 1) * sizeof damaged[0]);
    recovery->engine->damaged_segments = damaged;
    recovery->closed = malloc((state->segment_count + 1) * sizeof recovery->closed[0]);
    if (damaged == NULL || recovery->closed == NULL)
        return fail(err, STATUS_MEMORY, "no memory for the index");
    enum status status = STATUS_OK;
    for (size_t i = 0; i < state->segment_count && status == STATUS_OK; i++)
        if (state->segments[i].kind == SEGMENT_INDEX)
            status = open_index(recovery, &state->segments[i], err);
        else if (state->segments[i].kind != SEGMENT_ACTIVITY)
            status = load_records(recovery, &state->segments[i], err);
    return status == STATUS_OK ? open_closed(recovery, err) : status;
}

/* After the index, which says what metrics there are. */
static enum status load_activity(struct recovery *recovery, struct error *err)
{
    const struct manifest_state *state = manifest_state(recovery->engine->manifest);
    enum status status = STATUS_OK;
    bool any = false;
    for (size_t i = 0; i < state->segment_count && status == STATUS_OK; i++) {
        if (state->segments[i].kind != SEGMENT_ACTIVITY)
            continue;
        any = true;
        status = load_records(recovery, &state->segments[i], err);
    }
    recovery->activity_lost = recovery->activity_lost || !any;
    return status;
}

/* ---- parts ------------------------------------------------------------------------------ */

/* It was got round, and costs nothing yet. */
static void note_part_damage(struct recovery *recovery, const struct part_ref *part)
{
    const char *damage = part_damage(part->part);
    char text[ERROR_MESSAGE_SIZE];
    if (damage == NULL)
        return;
    snprintf(text, sizeof text, "%s: %s", part->path, damage);
    recovery_note_known_loss(recovery, text);
}

static enum status open_parts(struct recovery *recovery, struct head_ref *head, struct error *err)
{
    struct engine *engine = recovery->engine;
    const struct manifest_state *state = manifest_state(engine->manifest);
    struct part_ref **parts = calloc(state->part_count + 1, sizeof parts[0]);
    if (parts == NULL)
        return fail(err, STATUS_MEMORY, "no memory for parts");
    size_t opened = 0;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < state->part_count && status == STATUS_OK; i++) {
        struct error why = {0};
        status = part_ref_open(&parts[opened], engine->os, engine->dir, &engine->part_commons,
                               &state->parts[i], &why);
        if (status == STATUS_OK) {
            note_part_damage(recovery, parts[opened++]);
        } else if (status == STATUS_CORRUPT || status == STATUS_NOT_FOUND) {
            /* The manifest keeps naming it, so that verify does too and its file stays. */
            recovery_note_known_loss(recovery, why.message);
            status = day_set_add(&engine->lost_days, state->parts[i].day);
        } else {
            status = fail(err, status, "%s", why.message);
        }
        if (status == STATUS_OK)
            status = day_set_add(&engine->days, state->parts[i].day);
        if (status == STATUS_MEMORY)
            status = fail(err, STATUS_MEMORY, "no memory for parts");
    }
    if (status == STATUS_OK) {
        struct version *version = version_new(head, NULL, parts, opened, recovery->tombstones);
        if (version == NULL)
            status = fail(err, STATUS_MEMORY, "no memory for parts");
        else
            version->flushed_sequence = state->last_sequence;
        version_release(version_slot_replace(&engine->version, version));
    }
    for (size_t i = 0; i < opened; i++)
        part_ref_release(parts[i]);
    free(parts);
    return status;
}

/* ---- the log ---------------------------------------------------------------------------- */

static enum status note_days(struct engine *engine, const int64_t *times, size_t count)
{
    int64_t start_ms = 0;
    int64_t end_ms = 0;
    for (size_t i = 0; i < count; i++) {
        if (times[i] >= start_ms && times[i] < end_ms)
            continue;
        int64_t day = day_of_time(times[i]);
        if (day_set_add(&engine->days, day) != STATUS_OK)
            return STATUS_MEMORY;
        start_ms = day * MS_PER_DAY;
        end_ms = start_ms + MS_PER_DAY;
    }
    return STATUS_OK;
}

static enum status replay_samples(struct recovery *recovery, struct slice record, struct error *err)
{
    struct engine *engine = recovery->engine;
    size_t count;
    enum status status =
        record_get_samples(record, recovery->ids, recovery->times, recovery->values, &count, err);
    if (status != STATUS_OK)
        return status;
    struct head_ref *active = engine_newest(engine)->active;
    if (head_reserve(active->head, recovery->ids, count) != STATUS_OK ||
        note_days(engine, recovery->times, count) != STATUS_OK ||
        arrivals_note(&recovery->arrivals, recovery->ids, count) != STATUS_OK)
        return fail(err, STATUS_MEMORY, "no memory to replay the log; give the process more");
    head_append(active->head, recovery->ids, recovery->times, recovery->values, count);
    for (size_t i = 0; i < count; i++)
        if (recovery->ids[i] >= recovery->next_series)
            recovery->next_series = recovery->ids[i] + 1;
    engine->sequence++;
    if (active->first_sequence == 0)
        active->first_sequence = engine->sequence;
    active->last_sequence = engine->sequence;
    engine->recovery.log_samples += count;
    return STATUS_OK;
}

static enum status replay_series(struct recovery *recovery, struct slice record, struct error *err)
{
    size_t count;
    return record_restore_series(record, &recovery->engine->index.active, &count, err);
}

static enum status replay_delete(struct recovery *recovery, struct slice record, struct error *err)
{
    struct engine *engine = recovery->engine;
    struct head_ref *active = engine_newest(engine)->active;
    struct record_delete delete;
    enum status status = record_get_delete(record, &delete, err);
    if (status != STATUS_OK)
        return status;
    struct tombstone *tombstone = tombstone_new(engine->sequence + 1, delete.range, delete.ids);
    status = tombstone == NULL ? STATUS_MEMORY
                               : tombstone_note_head(tombstone, active->head, active->number);
    status = status == STATUS_OK ? engine_add_tombstones(engine, &tombstone, 1, err)
                                 : fail(err, status, "no memory for deletes");
    tombstone_release(tombstone);
    return status;
}

/* ---- series that the log defines anew ---------------------------------------------------- */

/* Ids of the log's series that a segment has for other labels. An id is given again only after the
 * edit that takes its series out of the index: where that edit is lost, the log proves it. What the
 * segment cannot say, the log has said again. */
static enum status find_given_again(struct engine *engine, roaring_bitmap_t *again,
                                    struct error *err)
{
    struct series_table *table = &engine->index.active;
    struct segment_labels segments;
    enum status status = segment_labels_open(&segments, engine->index.segments, err);
    uint32_t id = series_table_next_committed(table, 0);
    for (; id != SERIES_ID_NONE && status == STATUS_OK;
         id = series_table_next_committed(table, id + 1)) {
        struct series_definition definition;
        struct label items[LABELS_MAX_COUNT];
        struct labels labels;
        struct error why = {0};
        status = segment_labels_read(&segments, id, &definition, &why);
        if (status == STATUS_CORRUPT)
            series_table_mark_again(table, id);
        if (status == STATUS_NOT_FOUND || status == STATUS_CORRUPT) {
            status = STATUS_OK;
        } else if (status != STATUS_OK) {
            fail(err, status, "%s", why.message);
        } else {
            series_table_labels(table, id, items, &labels);
            if (labels_compare(&labels, &definition.labels) != 0)
                roaring_bitmap_add(again, id);
        }
    }
    segment_labels_close(&segments);
    return status;
}

/* The metrics of those that go have so many series less. */
static enum status forget_series(struct engine *engine, struct segment_set *set,
                                 const roaring_bitmap_t *gone, struct error *err)
{
    size_t count = (size_t)roaring_bitmap_get_cardinality(gone);
    uint32_t *ids = malloc((count + 1) * sizeof ids[0]);
    uint32_t *metrics = malloc((count + 1) * sizeof metrics[0]);
    enum status status = ids == NULL || metrics == NULL
                             ? fail(err, STATUS_MEMORY, "no memory for the index")
                             : STATUS_OK;
    if (status == STATUS_OK) {
        roaring_bitmap_to_uint32_array(gone, ids);
        for (size_t i = 0; i < count; i++)
            metrics[i] = METRIC_ID_NONE;
        status = segment_set_metrics_of(set, ids, count, metrics, err);
    }
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        if (metrics[i] != METRIC_ID_NONE)
            series_space_remove(&engine->index.space, metrics[i]);
    free(ids);
    free(metrics);
    return status;
}

static enum status write_without(struct engine *engine, struct segment_ref *ref,
                                 const roaring_bitmap_t *gone, struct error *err)
{
    struct segment_ref *made = NULL;
    enum status status = STATUS_OK;
    if (!roaring_bitmap_is_subset(series_segment_ids(ref->segment), gone))
        status = index_write_merged(engine, &ref, 1, gone, &made, err);
    if (status == STATUS_OK)
        status = index_publish_merged(engine, &ref, 1, made, err);
    segment_ref_release(made);
    return status;
}

static enum status take_out(struct recovery *recovery, const roaring_bitmap_t *gone,
                            struct error *err)
{
    struct engine *engine = recovery->engine;
    if (engine->options.read_only)
        return fail(err, STATUS_CORRUPT,
                    "edits of the manifest are lost: log and index define series differently; "
                    "start the service, or run metric-store verify --repair");
    /* Nothing has them: otherwise their ids would not have been given again. */
    recovery_note_known_loss(recovery,
                             "edits of the manifest are lost: series that the log defines anew "
                             "are taken out of the index");
    struct segment_set *set = segment_set_acquire(engine->index.segments);
    enum status status = forget_series(engine, set, gone, err);
    for (size_t i = 0; i < set->count && status == STATUS_OK; i++)
        if (roaring_bitmap_intersect(series_segment_ids(set->segments[i]->segment), gone))
            status = write_without(engine, set->segments[i], gone, err);
    segment_set_release(set);
    return status;
}

/* What the log has defined so far is in a segment too, if a flush wrote it: there it stays. */
static enum status settle_series(struct recovery *recovery, struct error *err)
{
    struct engine *engine = recovery->engine;
    roaring_bitmap_t *again = roaring_bitmap_create();
    if (again == NULL)
        return fail(err, STATUS_MEMORY, "no memory for the index");
    enum status status = find_given_again(engine, again, err);
    if (status == STATUS_OK && !roaring_bitmap_is_empty(again))
        status = take_out(recovery, again, err);
    if (status == STATUS_OK)
        series_index_drop_known(&engine->index);
    roaring_bitmap_free(again);
    return status;
}

/* ---- replay ------------------------------------------------------------------------------ */

/* A head that is full is sealed and flushed before the next frame is replayed. */
static enum status make_room(struct recovery *recovery, uint64_t frame, struct error *err)
{
    struct engine *engine = recovery->engine;
    uint64_t before = recovery->frame;
    if (frame == before)
        return STATUS_OK;
    recovery->frame = frame;
    /* With a head that could not be flushed the rest of the log, which is bounded, goes beside it.
     */
    if (engine->options.read_only || !head_is_full(engine_newest(engine)->active->head) ||
        engine_newest(engine)->sealed != NULL)
        return STATUS_OK;
    struct head_ref *fresh;
    struct version *old = engine_newest(engine);
    if (head_ref_new(&fresh, engine->options.head_bytes, old->active->number + 1) != STATUS_OK)
        return fail(err, STATUS_MEMORY, "no memory for a head");
    fresh->begin_position = before;
    struct version *version =
        version_new(fresh, old->active, old->parts, old->part_count, old->tombstones);
    head_ref_release(fresh);
    if (version == NULL)
        return fail(err, STATUS_MEMORY, "no memory for a head");
    version->flushed_sequence = old->flushed_sequence;
    old->active->end_position = before;
    version_release(version_slot_replace(&engine->version, version));
    enum status status = settle_series(recovery, err);
    if (status == STATUS_OK)
        status = arrivals_apply(&recovery->arrivals, engine, err);
    /* The manifest is about to say that this much of the log is there and not needed any more. */
    if (status == STATUS_OK)
        status = wal_sync_replayed(recovery->replaying, err);
    if (status == STATUS_OK)
        status = engine_flush_sealed(engine, err);
    if (status != STATUS_NO_SPACE)
        return status;
    /* Reads must go on where the disk is full: the background flushes it when there is room. */
    atomic_store(&engine->flush_lacks_space, true);
    log_event(engine->log, LOG_WARN, "engine", "the log is replayed without room to flush it",
              log_text("error", err == NULL ? "" : err->message));
    return STATUS_OK;
}

static enum status replay(void *context, struct slice record, uint8_t type, uint64_t lsn,
                          struct error *err)
{
    struct recovery *recovery = context;
    enum status status = recovery_note_lost_frames(recovery, err);
    if (status == STATUS_OK)
        status = make_room(recovery, lsn, err);
    if (status != STATUS_OK)
        return status;
    struct error why = {0};
    switch ((enum record_type)type) {
    case RECORD_SERIES:
        status = replay_series(recovery, record, &why);
        break;
    case RECORD_SAMPLES:
        status = replay_samples(recovery, record, &why);
        break;
    case RECORD_DELETE:
        status = replay_delete(recovery, record, &why);
        break;
    case RECORD_ARRIVAL:
        status = record_get_arrival(record, &recovery->arrivals.arrival_s, &why);
        break;
    case RECORD_METRICS:
        recovery->engine->registry_dirty = true;
        status = record_get_metrics(record, restore_metric, recovery, &why);
        break;
    default:
        return fail(err, STATUS_UNSUPPORTED,
                    "the log holds a record of type %u, which this version does not know", type);
    }
    if (status == STATUS_CORRUPT) {
        recovery_note_damage(recovery, why.message);
        return STATUS_OK;
    }
    return status == STATUS_OK ? status : fail(err, status, "%s", why.message);
}

/* ---- files that nothing names ----------------------------------------------------------- */

static enum status note_decision(void *context, const char *path, const char *brings,
                                 struct error *err)
{
    const struct recovery *recovery = context;
    (void)err;
    log_event(recovery->engine->log, LOG_WARN, "engine",
              brings == NULL ? "a file that the manifest does not name is left where it is"
                             : "a file that the manifest does not name is taken in",
              log_text("path", path), log_text("brings", brings == NULL ? "" : brings));
    return STATUS_OK;
}

/*
 * What they hold must not wait for a repair: what is behind it in the log needs their definitions,
 * series that come in again must not get other ids, nor commits the sequences that theirs have, and
 * merges must not close over them.
 */
static enum status take_in(struct recovery *recovery, const struct unnamed *unnamed,
                           struct error *err)
{
    struct engine *engine = recovery->engine;
    const struct manifest_state *state = manifest_state(engine->manifest);
    struct adoption adoption = {.os = engine->os,
                                .dir = engine->dir,
                                .state = state,
                                .unnamed = unnamed,
                                .whole_only = true,
                                .decided = note_decision,
                                .context = recovery};
    struct manifest_edit edit;
    size_t taken = 0;
    bool known = state->edits_lost;
    manifest_edit_init(&edit);
    enum status status = adopt_files(&adoption, &edit, &taken, err);
    manifest_set_next_file(&edit, engine->next_file);
    /* The next start would find a log that has gone on, and nothing missing. */
    if (!known)
        manifest_note_lost(&edit);
    if (status == STATUS_OK && (taken > 0 || !known))
        status = (engine->options.read_only ? manifest_assume : manifest_commit)(engine->manifest,
                                                                                 &edit, err);
    manifest_edit_release(&edit);
    if (status != STATUS_OK || known)
        return status;
    char text[160];
    snprintf(
        text, sizeof text,
        "edits of the manifest are lost: of %zu files that it does not name %zu were taken in; "
        "run metric-store verify --repair",
        unnamed_count(unnamed), taken);
    recovery_note_damage(recovery, text);
    return STATUS_OK;
}

static enum status look_after_unnamed(struct recovery *recovery, struct error *err)
{
    struct engine *engine = recovery->engine;
    const struct manifest_state *state = manifest_state(engine->manifest);
    struct unnamed unnamed;
    bool lost = false;
    enum status status = unnamed_list(&unnamed, engine->os, engine->dir, state, err);
    if (status == STATUS_OK)
        status = unnamed_may_count(&unnamed, engine->os, engine->dir, state, &lost, err);
    if (lost && unnamed.next_file > engine->next_file)
        engine->next_file = unnamed.next_file;
    if (status == STATUS_OK && unnamed_count(&unnamed) > 0 && lost)
        status = take_in(recovery, &unnamed, err);
    else if (status == STATUS_OK && !lost && !engine->options.read_only)
        status = unnamed_remove(&unnamed, engine->os, engine->dir, err);
    unnamed_release(&unnamed);
    return status;
}

static enum status make_folder(struct engine *engine, const char *folder, struct error *err)
{
    char *path = path_format("%s/%s", engine->dir, folder);
    if (path == NULL)
        return fail(err, STATUS_MEMORY, "no memory for a path");
    enum status status = filesystem_make_directory(engine->os.fs, path, err);
    free(path);
    return status;
}

/* ---- the log, opened -------------------------------------------------------------------- */

static enum status open_log(struct recovery *recovery, struct error *err)
{
    struct engine *engine = recovery->engine;
    char *path = path_format("%s/wal", engine->dir);
    if (path == NULL)
        return fail(err, STATUS_MEMORY, "no memory for a path");
    struct wal_options options = {
        .os = engine->os,
        .dir = path,
        .segment_size = engine->options.log_segment_bytes,
        .frame_max = WAL_FRAME_MAX,
        .owner = load_u64(manifest_state(engine->manifest)->store_id),
        .spares = 2,
        .log = engine->log,
        .was_read = recovery_note_lost_frames,
        .replaying = &recovery->replaying,
        .read_only = engine->options.read_only,
    };
    uint64_t from = manifest_state(engine->manifest)->log_position;
    recovery->frame = recovery->replay_from = from;
    enum status status =
        wal_open(&engine->wal, &options, from, replay, recovery_note_log_damage, recovery, err);
    free(path);
    /* Some of it may have been flushed while it was replayed. */
    uint64_t flushed = manifest_state(engine->manifest)->log_position;
    if (status == STATUS_OK && flushed > from)
        status = wal_release(engine->wal, flushed, err);
    return status;
}

/* ---- all of it --------------------------------------------------------------------------- */

static enum status restore_next_ids(struct recovery *recovery, struct error *err)
{
    struct engine *engine = recovery->engine;
    const struct manifest_state *state = manifest_state(engine->manifest);
    uint32_t next_series =
        state->next_series > recovery->next_series ? state->next_series : recovery->next_series;
    series_space_reach(&engine->index.space, next_series);
    enum status status = series_space_reach_metrics(&engine->index.space, state->next_metric);
    return status == STATUS_OK ? status : fail(err, status, "no memory for the series table");
}

/*
 * What the disk does not give back of manifest or log is no damage, which a start would settle for
 * good: the log would be cut there, and files that nothing names any more removed. The next start
 * may read it, and whoever does not want to wait says so.
 */
static enum status tell_unreadable(enum status status, struct error *err)
{
    if (status == STATUS_IO && err != NULL && !error_not_allowed(err))
        error_suffix(err, "if the disk cannot read it any more, metric-store verify --repair saves "
                          "what is left");
    return status;
}

static enum status recover(struct recovery *recovery, struct error *err)
{
    struct engine *engine = recovery->engine;
    /* A new store is made only where there is nothing of an old one: without a manifest its files
     * would be taken for leftovers. */
    enum status found = engine_find_store(engine->os, engine->dir, err);
    if (found != STATUS_OK && found != STATUS_NOT_FOUND)
        return found;
    bool read_only = engine->options.read_only;
    enum status status = (read_only ? manifest_open_read_only : manifest_open)(
        &engine->manifest, engine->os, engine->dir, recovery_note_manifest_damage, recovery, err);
    if (status != STATUS_OK)
        return tell_unreadable(status, err);
    if (manifest_state(engine->manifest)->edits_lost) {
        engine->recovery.damaged += recovery->manifest_damage;
        engine->definitions_lost = true;
    }
    recovery_tell_lost_frames(recovery);
    const struct manifest_state *state = manifest_state(engine->manifest);
    engine->next_file = state->next_file;
    if (series_index_init(&engine->index, state->secret) != STATUS_OK ||
        registry_init(&engine->registry, state->secret) != STATUS_OK ||
        raw_cache_init(&engine->raw_cache, engine->options.raw_cache_bytes) != STATUS_OK)
        return fail(err, STATUS_MEMORY, "no memory for the series table");
    /* The names of both become durable with the log's own (wal_open), before anything is in them.
     */
    if (!read_only)
        status = make_folder(engine, "parts", err);
    if (!read_only && status == STATUS_OK)
        status = make_folder(engine, "index", err);
    if (status == STATUS_OK)
        status = look_after_unnamed(recovery, err);
    engine->sequence = state->last_sequence;
    engine_activity_begin(engine);
    if (status == STATUS_OK)
        status = load_segments(recovery, err);
    if (status == STATUS_OK)
        status = load_activity(recovery, err);
    struct head_ref *head = NULL;
    if (status == STATUS_OK && head_ref_new(&head, engine->options.head_bytes, 1) != STATUS_OK)
        status = fail(err, STATUS_MEMORY, "no memory for a head");
    if (status == STATUS_OK)
        status = open_parts(recovery, head, err);
    head_ref_release(head);
    if (status == STATUS_OK) {
        /* A log begins with segment 1. */
        uint64_t first = UINT64_C(1) << 32;
        engine_newest(engine)->active->begin_position =
            state->log_position > first ? state->log_position : first;
    }
    if (status == STATUS_OK && recovery->activity_lost)
        status = engine_guess_activity(engine, err);
    arrivals_init(&recovery->arrivals, engine);
    if (status == STATUS_OK)
        status = tell_unreadable(open_log(recovery, err), err);
    if (status == STATUS_OK) {
        struct wal_stats log;
        wal_stats(engine->wal, &log);
        engine->recovery.torn_tail = log.torn_lsn != 0;
        engine_note_index(engine);
    }
    if (status == STATUS_OK)
        status = settle_series(recovery, err);
    if (status == STATUS_OK)
        status = arrivals_apply(&recovery->arrivals, engine, err);
    if (status == STATUS_OK)
        engine_settle_activity(engine);
    const struct segment_set *set = engine->index.segments;
    for (size_t i = 0; i < set->count && status == STATUS_OK; i++)
        set->segments[i]->logged_until = wal_position(engine->wal);
    engine->reclaim.due = !read_only;
    if (status == STATUS_OK)
        status = restore_next_ids(recovery, err);
    return status;
}

enum status engine_recover(struct engine *engine, struct error *err)
{
    struct recovery recovery = {
        .engine = engine,
        .ids = malloc(RECORD_MAX_SAMPLES * sizeof(uint32_t)),
        .times = malloc(RECORD_MAX_SAMPLES * sizeof(int64_t)),
        .values = malloc(RECORD_MAX_SAMPLES * sizeof(double)),
    };
    int64_t started_ns = clock_monotonic_ns(engine->os.clock);
    enum status status = recovery.ids == NULL || recovery.times == NULL || recovery.values == NULL
                             ? fail(err, STATUS_MEMORY, "no memory to recover the store")
                             : recover(&recovery, err);
    tombstone_set_release(recovery.tombstones);
    arrivals_release(&recovery.arrivals);
    free(recovery.closed);
    free(recovery.ids);
    free(recovery.times);
    free(recovery.values);
    engine->recovery.duration_ms = (clock_monotonic_ns(engine->os.clock) - started_ns) / 1000000;
    return status;
}

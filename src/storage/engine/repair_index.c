#include <inttypes.h>
#include <stdlib.h>

#include "storage/engine/index_segment.h"
#include "storage/engine/paths.h"
#include "storage/engine/repair_state.h"
#include "storage/engine/segment_owner.h"
#include "storage/engine/tombstone.h"

/* One segment under repair. */
struct mending {
    struct repair *repair;
    const struct manifest_segment *told;
    char *path;
    uint64_t damaged; /* places */
    uint64_t entries; /* deletes that can be read */
    struct registry registry;
    struct series_space space;
    struct series_table series;
    struct tombstone_set *deletes;
};

static void count_damage(void *context, const char *description)
{
    struct mending *mending = context;
    (void)description; /* verify has said it */
    mending->damaged++;
}

/* ---- replacing -------------------------------------------------------------------------- */

static void tell_outcome(struct mending *mending, uint64_t kept)
{
    static const char *const names[] = {
        [SEGMENT_SERIES] = "series",
        [SEGMENT_METRICS] = "descriptors of metrics",
        [SEGMENT_INDEX] = "series",
        [SEGMENT_DELETES] = "deletes, which hide nothing any more",
    };
    uint64_t had = mending->told->entries;
    enum segment_kind kind = mending->told->kind;
    if (kind == SEGMENT_ACTIVITY) {
        repair_tell(mending->repair, ENGINE_REPAIRED, mending->path,
                    "put aside: the next start finds active series by what parts hold");
        return;
    }
    if (kept < had) {
        if (kind == SEGMENT_SERIES || kind == SEGMENT_INDEX)
            mending->repair->result->lost_series += had - kept;
        repair_tell(mending->repair, ENGINE_LOST, mending->path, "%" PRIu64 " %s", had - kept,
                    names[kind]);
    }
    if (kept > 0)
        repair_tell(mending->repair, ENGINE_REPAIRED, mending->path,
                    "made anew with %" PRIu64 " of %" PRIu64 " entries", kept, had);
}

/* `made` takes the old one's place; NULL: nothing does. `kept` entries are there still. */
static enum status replace_keeping(struct mending *mending, const struct manifest_segment *made,
                                   uint64_t kept, struct error *err)
{
    struct repair *repair = mending->repair;
    struct manifest_edit edit;
    manifest_edit_init(&edit);
    manifest_remove_segment(&edit, mending->told->id);
    if (made != NULL)
        manifest_add_segment(&edit, made);
    enum status status = repair_keep(repair, mending->path, false, err);
    if (status == STATUS_OK)
        status = repair_replace(repair, &edit, "index", mending->path, err);
    manifest_edit_release(&edit);
    if (status == STATUS_OK)
        tell_outcome(mending, kept);
    return status;
}

static enum status replace(struct mending *mending, const struct manifest_segment *made,
                           struct error *err)
{
    return replace_keeping(mending, made, made != NULL ? made->entries : 0, err);
}

/* ---- series, on disk -------------------------------------------------------------------- */

/* Takes those of `open` that the segment defines, readably, to `elsewhere`. */
static enum status take_defined(const struct series_segment *segment, roaring_bitmap_t *open,
                                roaring_bitmap_t *elsewhere, struct error *err)
{
    struct series_segment_cursor *cursor = NULL;
    roaring_bitmap_t *both = roaring_bitmap_and(open, series_segment_ids(segment));
    enum status status = both == NULL ? fail(err, STATUS_MEMORY, "no memory for a repair")
                                      : series_segment_cursor_new(&cursor, segment, err);
    roaring_uint32_iterator_t at;
    if (both != NULL)
        roaring_init_iterator(both, &at);
    for (; status == STATUS_OK && at.has_value; roaring_advance_uint32_iterator(&at)) {
        struct series_definition definition;
        struct error why = {0};
        status = series_segment_read(cursor, at.current_value, &definition, &why);
        if (status == STATUS_OK)
            roaring_bitmap_add(elsewhere, at.current_value);
        else if (status != STATUS_CORRUPT)
            fail(err, status, "%s", why.message);
        status = status == STATUS_CORRUPT ? STATUS_OK : status;
    }
    series_segment_cursor_free(cursor);
    roaring_bitmap_andnot_inplace(open, elsewhere);
    if (both != NULL)
        roaring_bitmap_free(both);
    return status;
}

/* NOT_FOUND: it is not there, does not open, or is of another store. */
static enum status open_segment(const struct repair *repair, uint64_t id,
                                struct series_segment **segment, struct error *err)
{
    struct error why = {0};
    char *path = path_of_segment(repair->dir, id);
    *segment = NULL;
    if (path == NULL)
        return repair_no_path(err);
    enum status status = series_segment_open(segment, repair->os, path, id, &why);
    free(path);
    if (status == STATUS_OK)
        status = segment_expect_own(*segment, repair->state.secret, &why);
    if (status == STATUS_OK)
        return status;
    series_segment_close(*segment);
    *segment = NULL;
    return status == STATUS_CORRUPT || status == STATUS_NOT_FOUND
               ? STATUS_NOT_FOUND
               : fail(err, status, "%s", why.message);
}

/* Of `ids`, which are emptied of them, those that other segments define: a start has made them anew
 * before, or they were written again. */
static enum status find_elsewhere(const struct mending *mending, roaring_bitmap_t *ids,
                                  roaring_bitmap_t *elsewhere, struct error *err)
{
    const struct repair *repair = mending->repair;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < repair->state.segment_count && status == STATUS_OK; i++) {
        const struct manifest_segment *info = &repair->state.segments[i];
        struct series_segment *other = NULL;
        if (info->kind != SEGMENT_INDEX || info->id == mending->told->id)
            continue;
        status = open_segment(repair, info->id, &other, err);
        if (status == STATUS_OK)
            status = take_defined(other, ids, elsewhere, err);
        else if (status == STATUS_NOT_FOUND)
            status = STATUS_OK;
        series_segment_close(other);
    }
    return status;
}

/* `made`, which stands at *path, becomes one without series that stand elsewhere. */
static enum status leave_out(struct mending *mending, struct series_segment *own,
                             const roaring_bitmap_t *elsewhere, struct manifest_segment *made,
                             char **path, struct error *err)
{
    struct repair *repair = mending->repair;
    struct series_segment_stats stats;
    char *first = *path;
    *path = NULL;
    enum status status = repair_new_file(repair, path_of_segment, &made->id, path, err);
    if (status == STATUS_OK)
        status = series_segment_merge(&own, 1, elsewhere, repair->os, *path, made->id, NULL, NULL,
                                      &stats, NULL, err);
    if (status == STATUS_OK) {
        made->entries = stats.series;
        made->bytes = stats.bytes;
        status = filesystem_remove(repair->os.fs, first, err);
    }
    free(first);
    return status;
}

/* What a file that was made of a segment holds, and what its series have become. */
struct outcome {
    struct manifest_segment made; /* no entries: there is no file */
    uint64_t kept;                /* series that are defined, here or elsewhere */
};

static enum status look_elsewhere(struct mending *mending, struct outcome *outcome, char **path,
                                  struct error *err)
{
    struct series_segment *own = NULL;
    struct series_segment *old = NULL;
    roaring_bitmap_t *open = roaring_bitmap_create();
    roaring_bitmap_t *elsewhere = roaring_bitmap_create();
    enum status status = open == NULL || elsewhere == NULL
                             ? fail(err, STATUS_MEMORY, "no memory for a repair")
                             : STATUS_OK;
    if (status == STATUS_OK)
        status = open_segment(mending->repair, mending->told->id, &old, err);
    if (old != NULL)
        roaring_bitmap_or_inplace(open, series_segment_ids(old));
    if (status == STATUS_OK || status == STATUS_NOT_FOUND)
        status = series_segment_open(&own, mending->repair->os, *path, outcome->made.id, err);
    if (own != NULL)
        roaring_bitmap_or_inplace(open, series_segment_ids(own));
    if (status == STATUS_OK)
        status = find_elsewhere(mending, open, elsewhere, err);
    if (status == STATUS_OK) {
        const roaring_bitmap_t *ids = series_segment_ids(own);
        outcome->kept = roaring_bitmap_or_cardinality(ids, elsewhere);
        if (roaring_bitmap_is_subset(ids, elsewhere)) {
            outcome->made.entries = 0;
            status = filesystem_remove(mending->repair->os.fs, *path, err);
        } else if (roaring_bitmap_intersect(ids, elsewhere)) {
            status = leave_out(mending, own, elsewhere, &outcome->made, path, err);
        }
    }
    series_segment_close(own);
    series_segment_close(old);
    if (open != NULL)
        roaring_bitmap_free(open);
    if (elsewhere != NULL)
        roaring_bitmap_free(elsewhere);
    return status;
}

/* Makes what can be read of the segment a file of its own, without what is elsewhere. */
static enum status make_file(struct mending *mending, struct outcome *outcome, struct error *err)
{
    struct repair *repair = mending->repair;
    struct series_segment_stats stats;
    char *path = NULL;
    *outcome = (struct outcome){.made.kind = SEGMENT_INDEX};
    enum status status = repair_new_file(repair, path_of_segment, &outcome->made.id, &path, err);
    if (status == STATUS_OK)
        status = series_segment_rebuild(repair->os, mending->path, mending->told->id, path,
                                        outcome->made.id, repair->state.secret, count_damage,
                                        mending, &stats, err);
    if (status == STATUS_OK) {
        outcome->made.entries = stats.series;
        outcome->made.bytes = stats.bytes;
        status = look_elsewhere(mending, outcome, &path, err);
    }
    free(path);
    return status;
}

static enum status rebuild(struct mending *mending, struct error *err)
{
    struct outcome outcome;
    struct error why = {0};
    enum status status = make_file(mending, &outcome, &why);
    if (status == STATUS_OK)
        return replace_keeping(mending, outcome.made.entries == 0 ? NULL : &outcome.made,
                               outcome.kept, err);
    /* It is something else, or nothing. */
    if (status == STATUS_CORRUPT || status == STATUS_NOT_FOUND)
        return replace(mending, NULL, err);
    return fail(err, status, "%s", why.message);
}

static enum status add_beside(struct mending *mending, const struct manifest_segment *made,
                              struct error *err)
{
    struct manifest_edit edit;
    manifest_edit_init(&edit);
    manifest_add_segment(&edit, made);
    enum status status = repair_replace(mending->repair, &edit, "index", NULL, err);
    manifest_edit_release(&edit);
    return status;
}

enum status repair_save_segment(struct repair *repair, const struct manifest_segment *told,
                                struct manifest_segment *made, bool *whole, struct error *err)
{
    struct mending mending = {
        .repair = repair, .told = told, .path = path_of_segment(repair->dir, told->id)};
    struct outcome outcome = {0};
    if (mending.path == NULL)
        return repair_no_path(err);
    enum status status = make_file(&mending, &outcome, err);
    *made = outcome.made;
    *whole = outcome.kept == told->entries;
    if (status == STATUS_OK && made->entries == 0)
        status = fail(err, STATUS_CORRUPT, "nothing more can be read of it");
    else if (status == STATUS_OK)
        status = *whole ? replace_keeping(&mending, made, outcome.kept, err)
                        : add_beside(&mending, made, err);
    free(mending.path);
    return status;
}

/* Of one that cannot be opened nobody knows; its definitions, which carry its id, are believed. */
static enum status look_at_owner(const struct mending *mending, bool *foreign, struct error *err)
{
    struct repair *repair = mending->repair;
    struct series_segment *segment = NULL;
    struct error why = {0};
    *foreign = false;
    enum status status =
        series_segment_open(&segment, repair->os, mending->path, mending->told->id, &why);
    if (status == STATUS_OK) {
        status = segment_expect_own(segment, repair->state.secret, &why);
        *foreign = status == STATUS_CORRUPT;
    }
    series_segment_close(segment);
    return status == STATUS_OK || status == STATUS_CORRUPT ? STATUS_OK
                                                           : fail(err, status, "%s", why.message);
}

static enum status mend_index(struct mending *mending, struct error *err)
{
    struct repair *repair = mending->repair;
    struct series_segment_stats stats = {0};
    struct error why = {0};
    enum status status =
        series_segment_verify(repair->os, mending->path, mending->told->id, repair->state.secret,
                              count_damage, mending, &stats, &why);
    if (status == STATUS_NOT_FOUND)
        return replace(mending, NULL, err);
    if (status != STATUS_OK)
        return fail(err, status, "%s", why.message);
    if (mending->damaged == 0 && stats.series == mending->told->entries &&
        stats.bytes == mending->told->bytes)
        return STATUS_OK;
    bool foreign = false;
    status = look_at_owner(mending, &foreign, err);
    if (status == STATUS_OK && foreign)
        return replace(mending, NULL, err);
    return status == STATUS_OK ? rebuild(mending, err) : status;
}

/* ---- descriptors, deletes, series of earlier versions ------------------------------------ */

static enum status take_metric(void *context, const struct metric *metric, struct error *err)
{
    struct mending *mending = context;
    enum metric_outcome outcome;
    enum status status = registry_put(&mending->registry, metric, &outcome);
    return status == STATUS_MEMORY ? fail(err, status, "no memory for descriptors") : STATUS_OK;
}

static enum status take_delete(struct mending *mending, struct slice record, struct error *err)
{
    enum status status = tombstone_set_take_record(&mending->deletes, record, err);
    mending->entries += status == STATUS_OK;
    return status;
}

static enum status count_active(void *context, const struct activity_entry *entry, uint32_t step_s,
                                struct error *err)
{
    struct mending *mending = context;
    (void)entry, (void)step_s, (void)err;
    mending->entries++;
    return STATUS_OK;
}

static enum status take_record(void *context, enum record_type type, struct slice record,
                               struct error *err)
{
    struct mending *mending = context;
    size_t count = 0;
    if (type == RECORD_METRICS && mending->told->kind == SEGMENT_METRICS)
        return record_get_metrics(record, take_metric, mending, err);
    if (type == RECORD_DELETE && mending->told->kind == SEGMENT_DELETES)
        return take_delete(mending, record, err);
    if (type == RECORD_ACTIVITY && mending->told->kind == SEGMENT_ACTIVITY)
        return record_get_activity(record, count_active, mending, err);
    if (type == RECORD_SERIES && mending->told->kind == SEGMENT_SERIES)
        return record_restore_series(record, &mending->series, &count, err);
    return fail(err, STATUS_CORRUPT, "a record of type %d does not belong here", (int)type);
}

static enum status write_metrics(struct mending *mending, struct error *err)
{
    struct repair *repair = mending->repair;
    struct manifest_segment made = {.kind = SEGMENT_METRICS};
    struct index_segment_stats stats;
    struct rwlock lock;
    char *path = NULL;
    enum status status = repair_new_file(repair, path_of_segment, &made.id, &path, err);
    free(path);
    rwlock_init(&lock);
    if (status == STATUS_OK)
        status = index_segment_write_metrics(repair->os, repair->dir, made.id, &mending->registry,
                                             &lock, &stats, err);
    rwlock_release(&lock);
    if (status != STATUS_OK)
        return status;
    made.entries = stats.entries;
    made.bytes = stats.bytes;
    return replace(mending, &made, err);
}

static enum status write_deletes(struct mending *mending, struct error *err)
{
    struct repair *repair = mending->repair;
    struct manifest_segment made = {.kind = SEGMENT_DELETES};
    struct index_segment_stats stats;
    char *path = NULL;
    enum status status = repair_new_file(repair, path_of_segment, &made.id, &path, err);
    free(path);
    if (status == STATUS_OK)
        status = index_segment_write_deletes(repair->os, repair->dir, made.id, mending->deletes,
                                             UINT64_MAX, &stats, err);
    if (status != STATUS_OK)
        return status;
    made.entries = stats.entries;
    made.bytes = stats.bytes;
    return replace(mending, &made, err);
}

static enum status write_series(struct mending *mending, struct error *err)
{
    struct repair *repair = mending->repair;
    struct manifest_segment made = {.kind = SEGMENT_INDEX};
    struct series_segment_stats stats;
    char *path = NULL;
    enum status status = repair_new_file(repair, path_of_segment, &made.id, &path, err);
    if (status == STATUS_OK)
        status =
            series_table_write_segment(&mending->series, repair->os.fs, path, made.id, &stats, err);
    free(path);
    if (status != STATUS_OK)
        return status;
    made.entries = stats.series;
    made.bytes = stats.bytes;
    return replace(mending, &made, err);
}

static enum status read_records(struct mending *mending, struct error *err)
{
    struct repair *repair = mending->repair;
    struct error why = {0};
    enum status status =
        index_segment_read(repair->os, mending->path, take_record, count_damage, mending, &why);
    if (status == STATUS_NOT_FOUND)
        return replace(mending, NULL, err);
    if (status == STATUS_CORRUPT) {
        mending->damaged++;
        status = STATUS_OK;
    }
    if (status != STATUS_OK)
        return fail(err, status, "%s", why.message);
    enum segment_kind kind = mending->told->kind;
    uint64_t entries = kind == SEGMENT_METRICS  ? mending->registry.count
                       : kind == SEGMENT_SERIES ? mending->series.committed_series
                                                : mending->entries;
    if (mending->damaged == 0 && entries == mending->told->entries)
        return STATUS_OK;
    if (entries == 0 || kind == SEGMENT_ACTIVITY)
        return replace(mending, NULL, err);
    return kind == SEGMENT_METRICS   ? write_metrics(mending, err)
           : kind == SEGMENT_DELETES ? write_deletes(mending, err)
                                     : write_series(mending, err);
}

static enum status mend_records(struct mending *mending, struct error *err)
{
    uint64_t secret = mending->repair->state.secret;
    enum status registry = registry_init(&mending->registry, secret);
    enum status space = series_space_init(&mending->space, secret);
    enum status series = STATUS_MEMORY;
    if (space == STATUS_OK)
        series = series_table_init(&mending->series, secret, &mending->space);
    enum status status = registry != STATUS_OK || space != STATUS_OK || series != STATUS_OK
                             ? fail(err, STATUS_MEMORY, "no memory to read an index segment")
                             : read_records(mending, err);
    tombstone_set_release(mending->deletes);
    registry_release(&mending->registry);
    series_table_release(&mending->series);
    series_space_release(&mending->space);
    return status;
}

enum status repair_segments(struct repair *repair, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < repair->state.segment_count && status == STATUS_OK; i++) {
        struct mending mending = {.repair = repair, .told = &repair->state.segments[i]};
        mending.path = path_of_segment(repair->dir, mending.told->id);
        if (mending.path == NULL)
            return repair_no_path(err);
        status = repair_go_on(repair, err);
        if (status == STATUS_OK)
            status = mending.told->kind == SEGMENT_INDEX ? mend_index(&mending, err)
                                                         : mend_records(&mending, err);
        free(mending.path);
    }
    return status;
}

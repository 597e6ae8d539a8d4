/*
 * Where both copies of an edit are damaged, the manifest does not name what the edit added, and
 * names what it removed. Files say themselves what they are: a part its day and the commits that it
 * holds, a series segment its series. One that nobody else covers is taken in; one whose commits or
 * series stand in another file too was merged into that one.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "storage/engine/index_segment.h"
#include "storage/engine/part_reader.h"
#include "storage/engine/paths.h"
#include "storage/engine/repair_state.h"
#include "storage/engine/segment_owner.h"

struct finding {
    uint64_t id;
    struct manifest_part part;
    struct manifest_segment segment;
    struct series_segment *index; /* or NULL */
};

struct search {
    struct repair *repair;
    const char *folder; /* that is listed */
    const char *ending;
    uint64_t *ids; /* that nothing names */
    size_t id_count;
    struct finding *found;
    size_t count;
    struct manifest_part *parts; /* that are named now */
    size_t part_count;
    struct series_segment **indexes; /* that are named now and open */
    size_t index_count;
    bool has_metrics, has_deletes;
    /* Of the segment that is read: */
    uint64_t metrics, deletes;
    uint64_t last_delete; /* sequence */
    uint64_t damaged;     /* places */
    uint32_t next_series, next_metric;
    uint64_t last_sequence;
    struct manifest_edit edit;
};

static enum status no_memory(struct error *err)
{
    return fail(err, STATUS_MEMORY, "no memory to look for the files of the store");
}

/* ---- files that nothing names ------------------------------------------------------------- */

static bool is_named(const struct search *search, uint64_t id)
{
    const struct manifest_state *state = &search->repair->state;
    bool parts = strcmp(search->folder, "parts") == 0;
    for (size_t i = 0; i < state->part_count && parts; i++)
        if (state->parts[i].id == id)
            return true;
    for (size_t i = 0; i < state->segment_count && !parts; i++)
        if (state->segments[i].id == id)
            return true;
    return false;
}

static enum status take_name(void *context, const char *name, bool is_directory, struct error *err)
{
    struct search *search = context;
    struct repair *repair = search->repair;
    char *end;
    uint64_t id = strtoull(name, &end, 16);
    if (is_directory || end != name + 16 || strcmp(end, search->ending) != 0)
        return STATUS_OK;
    /* Whatever becomes of it, the id was given out. */
    if (id >= repair->next_file)
        repair->next_file = id + 1;
    if (is_named(search, id))
        return STATUS_OK;
    uint64_t *ids = realloc(search->ids, (search->id_count + 1) * sizeof ids[0]);
    if (ids == NULL)
        return no_memory(err);
    search->ids = ids;
    ids[search->id_count++] = id;
    return STATUS_OK;
}

static enum status list_unnamed(struct search *search, const char *folder, const char *ending,
                                struct error *err)
{
    char *path = path_format("%s/%s", search->repair->dir, folder);
    if (path == NULL)
        return repair_no_path(err);
    search->folder = folder;
    search->ending = ending;
    search->id_count = 0;
    struct error why = {0};
    enum status status = filesystem_list(search->repair->os.fs, path, take_name, search, &why);
    free(path);
    return status == STATUS_OK || status == STATUS_NOT_FOUND ? STATUS_OK
                                                             : fail(err, status, "%s", why.message);
}

/* It is no part of the store: kept, and out of the way. */
static enum status put_aside(struct search *search, const char *path, struct error *err)
{
    enum status status = repair_keep(search->repair, path, false, err);
    if (status == STATUS_OK)
        status = filesystem_remove(search->repair->os.fs, path, err);
    if (status == STATUS_OK)
        repair_tell(search->repair, ENGINE_REPAIRED, path,
                    "no edit that can be read names it, and it fits nowhere: put aside");
    return status;
}

static bool is_there(const struct search *search, char *path)
{
    struct file *file = NULL;
    bool there = path != NULL &&
                 filesystem_open(search->repair->os.fs, path, FILE_READ, &file, NULL) == STATUS_OK;
    file_close(file);
    free(path);
    return there;
}

/* ---- parts --------------------------------------------------------------------------------- */

static bool overlap(const struct manifest_part *a, const struct manifest_part *b)
{
    return a->day == b->day && a->min_sequence <= b->max_sequence &&
           b->min_sequence <= a->max_sequence;
}

/* Whether none of the files that hold the same commits is there. */
static bool is_alone(const struct search *search, const struct manifest_part *part)
{
    for (size_t i = 0; i < search->part_count; i++)
        if (overlap(&search->parts[i], part) &&
            is_there(search, path_of_part(search->repair->dir, search->parts[i].id)))
            return false;
    return true;
}

static void adopt_part(struct search *search, const struct manifest_part *part)
{
    size_t kept = 0;
    for (size_t i = 0; i < search->part_count; i++) {
        if (overlap(&search->parts[i], part))
            manifest_remove_part(&search->edit, search->parts[i].id);
        else
            search->parts[kept++] = search->parts[i];
    }
    search->part_count = kept;
    search->parts[search->part_count++] = *part;
    manifest_add_part(&search->edit, part);
    if (part->max_sequence > search->last_sequence)
        search->last_sequence = part->max_sequence;
}

static enum status look_at_part(struct search *search, uint64_t id, struct finding *finding,
                                bool *good, struct error *err)
{
    struct part *part = NULL;
    struct error why = {0};
    char *path = path_of_part(search->repair->dir, id);
    *good = false;
    if (path == NULL)
        return repair_no_path(err);
    enum status status = part_open(&part, search->repair->os.fs, path, &why);
    free(path);
    if (status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED)
        return STATUS_OK;
    if (status != STATUS_OK)
        return fail(err, status, "%s", why.message);
    const struct part_identity *identity = part_identity(part);
    const struct part_totals *totals = part_totals(part);
    *good = identity->id == id && totals->samples > 0;
    finding->id = id;
    finding->part = (struct manifest_part){
        .id = id,
        .day = identity->day,
        .min_sequence = identity->min_sequence,
        .max_sequence = identity->max_sequence,
        .level = identity->level,
        .samples = totals->samples,
        .bytes = totals->bytes,
        .min_ms = totals->min_ms,
        .max_ms = totals->max_ms,
    };
    part_close(part);
    return STATUS_OK;
}

/* What came of a merge before what went into it. */
static int compare_levels(const void *a, const void *b)
{
    const struct finding *left = a;
    const struct finding *right = b;
    if (left->part.level != right->part.level)
        return left->part.level > right->part.level ? -1 : 1;
    return (left->id > right->id) - (left->id < right->id);
}

static enum status decide_part(struct search *search, const struct finding *finding,
                               struct error *err)
{
    char *path = path_of_part(search->repair->dir, finding->id);
    enum status status = STATUS_OK;
    if (path == NULL)
        return repair_no_path(err);
    if (!is_alone(search, &finding->part)) {
        status = put_aside(search, path, err);
    } else {
        adopt_part(search, &finding->part);
        repair_tell(search->repair, ENGINE_REPAIRED, path,
                    "taken in: it holds %" PRIu64 " samples that nothing else does",
                    finding->part.samples);
    }
    free(path);
    return status;
}

static enum status search_parts(struct search *search, struct error *err)
{
    const struct manifest_state *state = &search->repair->state;
    enum status status = list_unnamed(search, "parts", ".part", err);
    if (status != STATUS_OK)
        return status;
    search->parts = malloc((state->part_count + search->id_count + 1) * sizeof search->parts[0]);
    search->found = calloc(search->id_count + 1, sizeof search->found[0]);
    if (search->parts == NULL || search->found == NULL)
        return no_memory(err);
    if (state->part_count > 0)
        memcpy(search->parts, state->parts, state->part_count * sizeof search->parts[0]);
    search->part_count = state->part_count;
    for (size_t i = 0; i < search->id_count && status == STATUS_OK; i++) {
        bool good = false;
        status = look_at_part(search, search->ids[i], &search->found[search->count], &good, err);
        search->count += good;
        if (status == STATUS_OK && !good) {
            char *path = path_of_part(search->repair->dir, search->ids[i]);
            status = path == NULL ? repair_no_path(err) : put_aside(search, path, err);
            free(path);
        }
    }
    if (search->count > 0)
        qsort(search->found, search->count, sizeof search->found[0], compare_levels);
    for (size_t i = 0; i < search->count && status == STATUS_OK; i++)
        status = decide_part(search, &search->found[i], err);
    return status;
}

/* ---- the index ------------------------------------------------------------------------------ */

static void reach_ids(struct search *search, const struct series_segment *index)
{
    struct series_segment_stats stats;
    size_t count = 0;
    series_segment_stats(index, &stats);
    const struct series_segment_metric *metrics = series_segment_metrics(index, &count);
    if (stats.series > 0 && stats.last_id >= search->next_series)
        search->next_series = stats.last_id + 1;
    if (count > 0 && metrics[count - 1].metric >= search->next_metric)
        search->next_metric = metrics[count - 1].metric + 1;
}

static enum status open_named(struct search *search, struct error *err)
{
    const struct manifest_state *state = &search->repair->state;
    size_t most = state->segment_count + search->id_count + 1;
    enum status status = STATUS_OK;
    search->indexes = calloc(most, sizeof search->indexes[0]);
    if (search->indexes == NULL)
        return no_memory(err);
    for (size_t i = 0; i < state->segment_count && status == STATUS_OK; i++) {
        const struct manifest_segment *told = &state->segments[i];
        char *path = path_of_segment(search->repair->dir, told->id);
        struct error why = {0};
        if (path == NULL)
            return repair_no_path(err);
        if (told->kind == SEGMENT_METRICS || told->kind == SEGMENT_DELETES) {
            bool *has = told->kind == SEGMENT_METRICS ? &search->has_metrics : &search->has_deletes;
            *has = is_there(search, path) || *has;
            continue;
        }
        status = series_segment_open(&search->indexes[search->index_count], search->repair->os,
                                     path, told->id, &why);
        free(path);
        if (status == STATUS_OK)
            reach_ids(search, search->indexes[search->index_count++]);
        else if (status == STATUS_CORRUPT || status == STATUS_NOT_FOUND)
            status = STATUS_OK; /* looked after by repair_segments */
        else
            fail(err, status, "%s", why.message);
    }
    return status;
}

static bool has_other_series(const struct search *search, const struct series_segment *index)
{
    for (size_t i = 0; i < search->index_count; i++)
        if (roaring_bitmap_intersect(series_segment_ids(search->indexes[i]),
                                     series_segment_ids(index)))
            return false;
    return true;
}

static enum status count_metric(void *context, const struct metric *metric, struct error *err)
{
    struct search *search = context;
    (void)metric, (void)err;
    search->metrics++;
    return STATUS_OK;
}

static enum status count_delete(struct search *search, struct slice record, struct error *err)
{
    struct record_delete delete;
    enum status status = record_get_delete(record, &delete, err);
    if (status != STATUS_OK)
        return status;
    roaring_bitmap_free(delete.ids);
    search->deletes++;
    if (delete.sequence > search->last_delete)
        search->last_delete = delete.sequence;
    return STATUS_OK;
}

static enum status take_record(void *context, enum record_type type, struct slice record,
                               struct error *err)
{
    if (type == RECORD_METRICS)
        return record_get_metrics(record, count_metric, context, err);
    if (type == RECORD_DELETE)
        return count_delete(context, record, err);
    return fail(err, STATUS_CORRUPT, "a record of type %d does not belong here", (int)type);
}

static void count_damage(void *context, const char *description)
{
    struct search *search = context;
    (void)description;
    search->damaged++;
}

static enum status size_of(const struct search *search, const char *path, uint64_t *size,
                           struct error *err)
{
    struct file *file = NULL;
    enum status status = filesystem_open(search->repair->os.fs, path, FILE_READ, &file, err);
    if (status == STATUS_OK)
        status = file_size(file, size, err);
    file_close(file);
    return status;
}

/* Descriptors or deletes. The newest segment says what all before it said. */
static enum status take_records(struct search *search, uint64_t id, const char *path, bool *taken,
                                struct error *err)
{
    struct manifest_segment told = {.id = id};
    struct error why = {0};
    *taken = false;
    search->metrics = search->deletes = search->last_delete = search->damaged = 0;
    enum status status =
        index_segment_read(search->repair->os, path, take_record, count_damage, search, &why);
    if (status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED ||
        (status == STATUS_OK &&
         (search->damaged > 0 || (search->metrics > 0) == (search->deletes > 0))))
        return STATUS_OK;
    bool deletes = search->deletes > 0;
    bool *has = deletes ? &search->has_deletes : &search->has_metrics;
    if (status == STATUS_OK && *has)
        return STATUS_OK;
    if (status == STATUS_OK)
        status = size_of(search, path, &told.bytes, &why);
    if (status != STATUS_OK)
        return fail(err, status, "%s", why.message);
    told.kind = deletes ? SEGMENT_DELETES : SEGMENT_METRICS;
    told.entries = deletes ? search->deletes : search->metrics;
    manifest_add_segment(&search->edit, &told);
    /* What is written from now on is behind the deletes. */
    if (search->last_delete > search->last_sequence)
        search->last_sequence = search->last_delete;
    repair_tell(search->repair, ENGINE_REPAIRED, path, "taken in: it holds %" PRIu64 " %s",
                told.entries, deletes ? "deletes" : "descriptors of metrics");
    *has = *taken = true;
    return STATUS_OK;
}

static enum status take_index(struct search *search, uint64_t id, const char *path, bool *taken,
                              struct error *err)
{
    struct series_segment *index = NULL;
    struct series_segment_stats stats;
    struct error why = {0};
    *taken = false;
    enum status status = series_segment_open(&index, search->repair->os, path, id, &why);
    if (status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED)
        return take_records(search, id, path, taken, err);
    if (status != STATUS_OK)
        return fail(err, status, "%s", why.message);
    if (!has_other_series(search, index) ||
        segment_expect_own(index, search->repair->state.secret, NULL) != STATUS_OK) {
        series_segment_close(index);
        return STATUS_OK;
    }
    series_segment_stats(index, &stats);
    search->indexes[search->index_count++] = index;
    reach_ids(search, index);
    manifest_add_segment(&search->edit, &(struct manifest_segment){.id = id,
                                                                   .kind = SEGMENT_INDEX,
                                                                   .entries = stats.series,
                                                                   .bytes = stats.bytes});
    repair_tell(search->repair, ENGINE_REPAIRED, path,
                "taken in: it defines %" PRIu64 " series that nothing else does", stats.series);
    *taken = true;
    return STATUS_OK;
}

static int compare_ids(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a;
    uint64_t right = *(const uint64_t *)b;
    return (left < right) - (left > right); /* the newest first */
}

/* What the lost edits took out of the manifest is missing, and no loss. */
static void remove_missing(struct search *search)
{
    const struct manifest_state *state = &search->repair->state;
    for (size_t i = 0; i < state->segment_count; i++)
        if (!is_there(search, path_of_segment(search->repair->dir, state->segments[i].id)))
            manifest_remove_segment(&search->edit, state->segments[i].id);
}

static enum status search_index(struct search *search, struct error *err)
{
    bool any = false;
    enum status status = list_unnamed(search, "index", ".seg", err);
    if (status == STATUS_OK)
        status = open_named(search, err);
    if (search->id_count > 0)
        qsort(search->ids, search->id_count, sizeof search->ids[0], compare_ids);
    for (size_t i = 0; i < search->id_count && status == STATUS_OK; i++) {
        bool taken = false;
        char *path = path_of_segment(search->repair->dir, search->ids[i]);
        status = path == NULL ? repair_no_path(err)
                              : take_index(search, search->ids[i], path, &taken, err);
        any = any || taken;
        if (status == STATUS_OK && !taken)
            status = put_aside(search, path, err);
        free(path);
    }
    if (status == STATUS_OK && any)
        remove_missing(search);
    return status;
}

/* ---- all of it ------------------------------------------------------------------------------ */

static enum status write_manifest(struct repair *repair, struct error *err)
{
    struct manifest_state state;
    enum status status = manifest_state_copy(&state, manifest_state(repair->manifest), err);
    if (status != STATUS_OK)
        return status;
    state.edits_lost = false;
    manifest_close(repair->manifest);
    repair->manifest = NULL;
    status = manifest_write(repair->os, repair->dir, &state, err);
    manifest_state_release(&state);
    if (status == STATUS_OK)
        status = manifest_open(&repair->manifest, repair->os, repair->dir, NULL, NULL, err);
    manifest_state_release(&repair->state);
    if (status == STATUS_OK)
        status = manifest_state_copy(&repair->state, manifest_state(repair->manifest), err);
    return status;
}

static enum status commit(struct search *search, struct error *err)
{
    struct repair *repair = search->repair;
    manifest_set_flushed(&search->edit, repair->state.log_position, search->last_sequence);
    manifest_set_next_file(&search->edit, repair->next_file);
    manifest_set_next_ids(&search->edit, search->next_series, search->next_metric);
    enum status status = manifest_commit(repair->manifest, &search->edit, err);
    return status == STATUS_OK ? write_manifest(repair, err) : status;
}

enum status repair_manifest(struct repair *repair, struct error *err)
{
    struct search search = {.repair = repair,
                            .next_series = repair->state.next_series,
                            .next_metric = repair->state.next_metric,
                            .last_sequence = repair->state.last_sequence};
    manifest_edit_init(&search.edit);
    enum status status = search_parts(&search, err);
    if (status == STATUS_OK)
        status = search_index(&search, err);
    if (status == STATUS_OK)
        status = commit(&search, err);
    if (status == STATUS_OK) {
        char *path = path_format("%s/manifest", repair->dir);
        repair_tell(repair, ENGINE_LOST, path == NULL ? "manifest" : path,
                    "edits of it: what they dropped or deleted may be back");
        repair_tell(repair, ENGINE_REPAIRED, path == NULL ? "manifest" : path,
                    "written anew from what can be read of it and from the files that are there");
        free(path);
    }
    for (size_t i = 0; i < search.index_count; i++)
        series_segment_close(search.indexes[i]);
    manifest_edit_release(&search.edit);
    free(search.indexes);
    free(search.ids);
    free(search.parts);
    free(search.found);
    return status;
}

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/times.h"
#include "storage/engine/part_reader.h"
#include "storage/engine/part_writer.h"
#include "storage/engine/paths.h"
#include "storage/engine/repair_state.h"
#include "storage/engine/version.h"

enum { NAME_SIZE = 300 };

/* One part under repair. */
struct mending {
    struct repair *repair;
    const struct manifest_part *told;
    char *path;
    struct part *part;
    struct part_cursor *cursor;
    struct part_writer *writer;
    uint64_t kept; /* samples */
    bool any;      /* block was kept: */
    uint32_t metric, series;
    int64_t last_ms;
    uint32_t undefined; /* the series that nothing defines whose blocks are coming */
    uint64_t undefined_samples;
    int64_t times[PART_BLOCK_MAX_COUNT];
    double values[PART_BLOCK_MAX_COUNT];
};

/* ---- what defines series ----------------------------------------------------------------- */

static size_t index_with(const struct repair *repair, uint32_t series)
{
    size_t i = 0;
    while (i < repair->index_count && !series_segment_has(repair->indexes[i], series))
        i++;
    return i;
}

/* CORRUPT where it is not under `metric`, or is defined nowhere. */
static enum status check_definition(const struct repair *repair, uint32_t series, uint32_t metric,
                                    struct error *err)
{
    size_t index = index_with(repair, series);
    uint32_t defined = UINT32_MAX;
    if (index == repair->index_count)
        return fail(err, STATUS_CORRUPT, "nothing defines series %u", series);
    enum status status =
        series_segment_metrics_of(repair->indexes[index], &series, 1, &defined, err);
    if (status == STATUS_OK && defined != metric)
        return fail(err, STATUS_CORRUPT, "series %u stands under metric %u, and is of %u", series,
                    metric, defined);
    return status;
}

static size_t add_text(char *to, size_t used, const char *before, struct slice text)
{
    if (used >= NAME_SIZE)
        return used;
    int size = snprintf(to + used, NAME_SIZE - used, "%s%.*s", before, SLICE_FORMAT(text));
    return size < 0 ? used : used + (size_t)size;
}

/* {__name__="x",host="a"}, cut at NAME_SIZE. */
static void name_series(const struct repair *repair, uint32_t series, char to[NAME_SIZE])
{
    struct series_definition definition;
    size_t index = index_with(repair, series);
    snprintf(to, NAME_SIZE, "series %u", series);
    if (index == repair->index_count ||
        series_segment_read(repair->cursors[index], series, &definition, NULL) != STATUS_OK)
        return;
    size_t used = 0;
    for (size_t i = 0; i < definition.labels.count; i++) {
        used = add_text(to, used, i == 0 ? "{" : "\",", definition.labels.items[i].name);
        used = add_text(to, used, "=\"", definition.labels.items[i].value);
    }
    add_text(to, used, "\"}", slice_of(NULL, 0));
}

static enum status open_indexes(struct repair *repair, struct error *err)
{
    size_t most = repair->state.segment_count + 1;
    repair->indexes = calloc(most, sizeof repair->indexes[0]);
    repair->cursors = calloc(most, sizeof repair->cursors[0]);
    enum status status = repair->indexes == NULL || repair->cursors == NULL
                             ? fail(err, STATUS_MEMORY, "no memory for the index")
                             : STATUS_OK;
    for (size_t i = 0; i < repair->state.segment_count && status == STATUS_OK; i++) {
        const struct manifest_segment *told = &repair->state.segments[i];
        if (told->kind != SEGMENT_INDEX)
            continue;
        char *path = path_of_segment(repair->dir, told->id);
        if (path == NULL)
            return repair_no_path(err);
        size_t at = repair->index_count;
        status = series_segment_open(&repair->indexes[at], repair->os, path, told->id, err);
        free(path);
        repair->index_count += status == STATUS_OK;
        if (status == STATUS_OK)
            status = series_segment_cursor_new(&repair->cursors[at], repair->indexes[at], err);
    }
    return status;
}

static void close_indexes(struct repair *repair)
{
    for (size_t i = 0; i < repair->index_count; i++) {
        series_segment_cursor_free(repair->cursors[i]);
        series_segment_close(repair->indexes[i]);
    }
    free(repair->indexes);
    free(repair->cursors);
    repair->indexes = NULL;
    repair->cursors = NULL;
    repair->index_count = 0;
}

/* ---- what is lost ------------------------------------------------------------------------ */

static void tell_block(struct mending *mending, const struct part_block *block)
{
    char name[NAME_SIZE];
    char from[INSTANT_TEXT_SIZE];
    char to[INSTANT_TEXT_SIZE];
    name_series(mending->repair, block->series, name);
    instant_format(from, block->first_ms);
    instant_format(to, block->last_ms);
    repair_tell(mending->repair, ENGINE_LOST, mending->path, "%u samples of %s from %s to %s",
                block->count, name, from, to);
}

/* Its bounds are those of its neighbours, where there are such. */
static void tell_lost_page(struct mending *mending, const struct part_loss *lost)
{
    char first[NAME_SIZE] = "the first of the part";
    char last[NAME_SIZE] = "the last";
    if (lost->first_metric != 0 || lost->first_series != 0)
        name_series(mending->repair, lost->first_series, first);
    if (lost->last_metric != UINT32_MAX || lost->last_series != UINT32_MAX)
        name_series(mending->repair, lost->last_series, last);
    repair_tell(mending->repair, ENGINE_LOST, mending->path,
                "a page of blocks, of series in the part's order from %s to %s", first, last);
}

static void tell_undefined(struct mending *mending)
{
    if (mending->undefined_samples > 0)
        repair_tell(mending->repair, ENGINE_LOST, mending->path,
                    "%" PRIu64 " samples of series %u, which nothing defines any more",
                    mending->undefined_samples, mending->undefined);
    mending->undefined_samples = 0;
}

static void note_undefined(struct mending *mending, const struct part_block *block)
{
    if (mending->undefined_samples > 0 && mending->undefined != block->series)
        tell_undefined(mending);
    mending->undefined = block->series;
    mending->undefined_samples += block->count;
}

static void tell_outcome(struct mending *mending, uint64_t kept)
{
    uint64_t had = mending->told->samples;
    uint64_t lost = had > kept ? had - kept : 0;
    char day[INSTANT_TEXT_SIZE];
    instant_format(day, mending->told->day * MS_PER_DAY);
    mending->repair->result->lost_samples += lost;
    if (kept > 0)
        repair_tell(mending->repair, ENGINE_REPAIRED, mending->path,
                    "written anew with %" PRIu64 " samples of %.10s", kept, day);
    if (lost > 0)
        repair_tell(mending->repair, ENGINE_LOST, mending->path,
                    "%" PRIu64 " of its %" PRIu64 " samples of %.10s in all", lost, had, day);
}

/* ---- writing anew ------------------------------------------------------------------------ */

/* The checks hold what the writer takes for granted. */
static bool fits(const struct mending *mending, const struct part_block *block)
{
    if (block->kind != PART_KIND_FLOAT || block->count == 0 ||
        day_of_time(mending->times[0]) != mending->told->day ||
        day_of_time(mending->times[block->count - 1]) != mending->told->day)
        return false;
    for (uint32_t i = 1; i < block->count; i++)
        if (mending->times[i] <= mending->times[i - 1])
            return false;
    if (!mending->any)
        return true;
    int order = part_compare_keys(mending->metric, mending->series, block->metric, block->series);
    return order < 0 || (order == 0 && mending->last_ms < mending->times[0]);
}

static enum status keep_block(struct mending *mending, const struct part_block *block,
                              struct error *err)
{
    struct error why = {0};
    enum status status = check_definition(mending->repair, block->series, block->metric, &why);
    if (status == STATUS_CORRUPT) {
        note_undefined(mending, block);
        return STATUS_OK;
    }
    if (status == STATUS_OK)
        status = part_block_read(mending->cursor, block, 0, block->count, mending->times,
                                 mending->values, &why);
    if (status == STATUS_CORRUPT || (status == STATUS_OK && !fits(mending, block))) {
        tell_block(mending, block);
        return STATUS_OK;
    }
    if (status != STATUS_OK)
        return fail(err, status, "%s", why.message);
    status = part_writer_add(mending->writer, block->metric, block->series, PART_KIND_FLOAT,
                             mending->times, mending->values, block->count, err);
    mending->any = true;
    mending->metric = block->metric;
    mending->series = block->series;
    mending->last_ms = mending->times[block->count - 1];
    mending->kept += block->count;
    return status;
}

static enum status keep_blocks(struct mending *mending, struct error *err)
{
    enum status status = STATUS_OK;
    part_cursor_seek(mending->cursor, 0, 0);
    while (status == STATUS_OK) {
        const struct part_block *block;
        struct part_loss lost;
        struct error why = {0};
        status = part_cursor_next(mending->cursor, &block, &lost, &why);
        if (status == STATUS_OK) {
            status = keep_block(mending, block, err);
        } else if (status == STATUS_CORRUPT) {
            tell_lost_page(mending, &lost);
            status = STATUS_OK;
        } else if (status != STATUS_END) {
            fail(err, status, "%s", why.message);
        }
    }
    tell_undefined(mending);
    return status == STATUS_END ? STATUS_OK : status;
}

/* `made` takes the old one's place; NULL: nothing does. */
static enum status replace(struct mending *mending, const struct manifest_part *made,
                           struct error *err)
{
    struct repair *repair = mending->repair;
    struct manifest_edit edit;
    manifest_edit_init(&edit);
    manifest_remove_part(&edit, mending->told->id);
    if (made != NULL)
        manifest_add_part(&edit, made);
    enum status status = repair_keep(repair, mending->path, false, err);
    if (status == STATUS_OK)
        status = repair_replace(repair, &edit, "parts", mending->path, err);
    manifest_edit_release(&edit);
    if (status == STATUS_OK)
        tell_outcome(mending, made != NULL ? made->samples : 0);
    return status;
}

static enum status write_anew(struct mending *mending, struct error *err)
{
    struct repair *repair = mending->repair;
    struct manifest_part made = *mending->told;
    struct part_totals totals;
    char *path = NULL;
    enum status status = repair_new_file(repair, path_of_part, &made.id, &path, err);
    struct part_writer_options options = {.identity = manifest_part_identity(&made),
                                          .hash_seed = repair->state.secret};
    if (status == STATUS_OK)
        status = part_writer_open(&mending->writer, repair->os.fs, path, &options, err);
    free(path);
    if (status != STATUS_OK)
        return status;
    status = keep_blocks(mending, err);
    if (status == STATUS_OK)
        status = part_writer_finish(mending->writer, &totals, err);
    else
        part_writer_abort(mending->writer);
    if (status == STATUS_INVALID)
        return replace(mending, NULL, err);
    if (status != STATUS_OK)
        return status;
    made.samples = totals.samples;
    made.bytes = totals.bytes;
    made.min_ms = totals.min_ms;
    made.max_ms = totals.max_ms;
    return replace(mending, &made, err);
}

/* ---- looking ------------------------------------------------------------------------------ */

static void ignore_damage(void *context, const struct error *err)
{
    (void)context, (void)err; /* verify has said it */
}

static enum status definitions_are_sound(struct mending *mending, bool *sound, struct error *err)
{
    enum status status = STATUS_OK;
    uint32_t previous = UINT32_MAX;
    part_cursor_seek(mending->cursor, 0, 0);
    while (status == STATUS_OK && *sound) {
        const struct part_block *block;
        struct part_loss lost;
        status = part_cursor_next(mending->cursor, &block, &lost, err);
        if (status == STATUS_OK && block->series != previous) {
            previous = block->series;
            status = check_definition(mending->repair, block->series, block->metric, err);
        }
        if (status == STATUS_CORRUPT) {
            *sound = false;
            status = STATUS_OK;
        }
    }
    return status == STATUS_END ? STATUS_OK : status;
}

static enum status look(struct mending *mending, bool *sound, struct error *err)
{
    const struct manifest_part *told = mending->told;
    uint64_t found = 0;
    enum status status = part_cursor_new(&mending->cursor, mending->part, err);
    if (status == STATUS_OK)
        status = part_verify(mending->part, ignore_damage, NULL, &found, err);
    const struct part_totals *totals = part_totals(mending->part);
    *sound = found == 0 && totals->samples == told->samples && totals->bytes == told->bytes &&
             totals->min_ms == told->min_ms && totals->max_ms == told->max_ms;
    return status == STATUS_OK && *sound ? definitions_are_sound(mending, sound, err) : status;
}

static enum status mend(struct mending *mending, struct error *err)
{
    struct part_identity expected = manifest_part_identity(mending->told);
    struct error why = {0};
    enum status status = part_open(&mending->part, mending->repair->os.fs, mending->path, &why);
    if (status == STATUS_OK)
        status = part_expect(mending->part, &expected, mending->told->samples, &why);
    if (status == STATUS_NOT_FOUND || status == STATUS_CORRUPT)
        return replace(mending, NULL, err);
    if (status != STATUS_OK)
        return fail(err, status, "%s", why.message);
    bool sound = false;
    status = look(mending, &sound, err);
    return status == STATUS_OK && !sound ? write_anew(mending, err) : status;
}

enum status repair_parts(struct repair *repair, struct error *err)
{
    struct mending *mending = malloc(sizeof *mending);
    enum status status = mending == NULL ? fail(err, STATUS_MEMORY, "no memory to repair parts")
                                         : open_indexes(repair, err);
    for (size_t i = 0; i < repair->state.part_count && status == STATUS_OK; i++) {
        memset(mending, 0, offsetof(struct mending, times));
        mending->repair = repair;
        mending->told = &repair->state.parts[i];
        mending->path = path_of_part(repair->dir, mending->told->id);
        if (mending->path == NULL)
            status = repair_no_path(err);
        if (status == STATUS_OK)
            status = repair_go_on(repair, err);
        if (status == STATUS_OK)
            status = mend(mending, err);
        part_cursor_free(mending->cursor);
        part_close(mending->part);
        free(mending->path);
    }
    close_indexes(repair);
    free(mending);
    return status;
}

/*
 * merge - parts of one day that are adjacent in sequence and of one level become one part of the
 * next level, so that a day never has many.
 *
 * Blocks of MERGE_COPY_COUNT samples or more that overlap nothing are copied as they are; smaller
 * ones are decoded and encoded together. A part that cannot be read is left alone, with all that it
 * still holds: a merge never drops what it could not see.
 */
#include <stdlib.h>

#include "base/invariant.h"
#include "storage/engine/engine_internal.h"
#include "storage/engine/part_writer.h"
#include "storage/engine/paths.h"
#include "storage/engine/pieces.h"
#include "storage/engine/sample_array.h"

enum { MERGE_COPY_COUNT = 512, MERGE_MAX_PARTS = 15 };

struct source {
    struct part_ref *part;
    struct part_cursor *walk;  /* over all blocks */
    struct part_cursor *fetch; /* for decoding */
    struct part_block block;   /* the walk's, next to be taken */
    bool ended;
};

struct merge {
    struct engine *engine;
    struct source sources[MERGE_MAX_PARTS]; /* by sequence */
    size_t source_count;
    struct part_writer *writer;
    struct pieces pieces;
    struct sample_array waiting; /* small blocks of the series in hand, to be written together */
    struct sample_array merged, loaded, spare;
    uint32_t metric, series;
    struct error *err;
};

static enum status no_memory(struct merge *merge)
{
    return fail(merge->err, STATUS_MEMORY, "no memory for a merge");
}

static enum status advance(struct merge *merge, struct source *source)
{
    const struct part_block *block;
    struct part_loss lost;
    enum status status = part_cursor_next(source->walk, &block, &lost, merge->err);
    source->ended = status == STATUS_END;
    if (status == STATUS_OK)
        source->block = *block;
    return status == STATUS_END ? STATUS_OK : status;
}

static enum status open_source(struct merge *merge, struct part_ref *part)
{
    struct source *source = &merge->sources[merge->source_count++];
    *source = (struct source){.part = part};
    enum status status = part_cursor_new(&source->walk, part->part, merge->err);
    if (status == STATUS_OK)
        status = part_cursor_new(&source->fetch, part->part, merge->err);
    if (status != STATUS_OK)
        return status;
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

static enum status take_series(struct merge *merge)
{
    merge->pieces.count = 0;
    for (size_t i = 0; i < merge->source_count; i++) {
        struct source *source = &merge->sources[i];
        while (!source->ended && source->block.metric == merge->metric &&
               source->block.series == merge->series) {
            if (pieces_add(&merge->pieces, &source->block, i) != STATUS_OK)
                return no_memory(merge);
            enum status status = advance(merge, source);
            if (status != STATUS_OK)
                return status;
        }
    }
    pieces_sort_by_time(&merge->pieces);
    return STATUS_OK;
}

static enum status load(struct merge *merge, const struct piece *piece, struct sample_array *to)
{
    if (sample_array_reach(to, piece->block.count) != STATUS_OK)
        return no_memory(merge);
    to->count = piece->block.count;
    return part_block_read(merge->sources[piece->part].fetch, &piece->block, 0, piece->block.count,
                           to->times, to->values, merge->err);
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

static enum status append_waiting(struct merge *merge, const struct sample_array *more)
{
    struct sample_array *waiting = &merge->waiting;
    if (sample_array_reach(waiting, waiting->count + more->count) != STATUS_OK)
        return no_memory(merge);
    memcpy(waiting->times + waiting->count, more->times, more->count * sizeof more->times[0]);
    memcpy(waiting->values + waiting->count, more->values, more->count * sizeof more->values[0]);
    waiting->count += more->count;
    return STATUS_OK;
}

/* Pieces [start, end) overlap one another: decoded, the later part over the earlier. */
static enum status merge_stretch(struct merge *merge, size_t start, size_t end)
{
    pieces_sort_by_part(&merge->pieces, start, end);
    merge->merged.count = 0;
    for (size_t i = start; i < end; i++) {
        enum status status = load(merge, &merge->pieces.items[i], &merge->loaded);
        if (status != STATUS_OK)
            return status;
        if (sample_array_reach(&merge->spare, merge->merged.count + merge->loaded.count) !=
            STATUS_OK)
            return no_memory(merge);
        sample_array_merge(&merge->merged, &merge->loaded, &merge->spare);
        sample_array_swap(&merge->merged, &merge->spare);
    }
    return append_waiting(merge, &merge->merged);
}

static enum status write_series(struct merge *merge)
{
    for (size_t at = 0; at < merge->pieces.count;) {
        int64_t last_ms;
        size_t end = pieces_stretch(&merge->pieces, at, &last_ms);
        const struct piece *piece = &merge->pieces.items[at];
        enum status status;
        if (end == at + 1 && piece->block.count >= MERGE_COPY_COUNT) {
            status = write_array(merge, &merge->waiting);
            if (status == STATUS_OK)
                status = part_writer_copy(merge->writer, merge->sources[piece->part].fetch,
                                          &piece->block, merge->err);
        } else if (end == at + 1) {
            status = load(merge, piece, &merge->loaded);
            if (status == STATUS_OK)
                status = append_waiting(merge, &merge->loaded);
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
        enum status status = take_series(merge);
        if (status == STATUS_OK)
            status = write_series(merge);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

/* ---- choosing --------------------------------------------------------------------------- */

/* The first run of `fan_in` or more parts of one day and level; 0 if there is none. Where a part of
 * the day could not be opened, its place in the sequence would be lost. */
static size_t choose(const struct engine *engine, const struct version *version, size_t *start)
{
    uint32_t fan_in = engine->options.merge_fan_in;
    for (size_t at = 0; at < version->part_count;) {
        const struct manifest_part *first = &version->parts[at]->info;
        size_t end = at;
        while (end < version->part_count && version->parts[end]->info.day == first->day &&
               version->parts[end]->info.level == first->level &&
               !day_set_has(&engine->lost_days, first->day) &&
               !atomic_load(&version->parts[end]->unreadable) && end - at < MERGE_MAX_PARTS)
            end++;
        if (end - at >= fan_in) {
            *start = at;
            return end - at;
        }
        at = end > at ? end : at + 1;
    }
    return 0;
}

/* ---- making it count -------------------------------------------------------------------- */

static enum status publish(struct merge *merge, struct version *version, size_t start, size_t count,
                           struct part_ref *made)
{
    struct part_ref **parts = malloc((version->part_count + 1) * sizeof parts[0]);
    if (parts == NULL)
        return no_memory(merge);
    size_t kept = 0;
    for (size_t i = 0; i < version->part_count; i++) {
        if (i == start)
            parts[kept++] = made;
        if (i < start || i >= start + count)
            parts[kept++] = version->parts[i];
    }
    enum status status = engine_publish(merge->engine, parts, kept, false, merge->err);
    free(parts);
    return status;
}

static enum status commit(struct merge *merge, struct version *version, size_t start, size_t count,
                          const struct manifest_part *info)
{
    struct engine *engine = merge->engine;
    struct part_ref *made;
    enum status status = part_ref_open(&made, engine->os, engine->dir, info, merge->err);
    if (status != STATUS_OK) {
        engine_remove_part(engine, info->id);
        return status;
    }
    struct manifest_edit edit;
    manifest_edit_init(&edit);
    for (size_t i = start; i < start + count; i++)
        manifest_remove_part(&edit, version->parts[i]->info.id);
    manifest_add_part(&edit, info);
    manifest_set_next_file(&edit, engine->next_file);
    status = engine_commit_manifest(engine, &edit, merge->err);
    manifest_edit_release(&edit);
    if (status != STATUS_OK) {
        /* After a failed sync the edit may be there: then both must stay for the next start. */
        atomic_store(&made->doomed, !manifest_broken(engine->manifest));
        part_ref_release(made);
        return status;
    }
    invariant(publish(merge, version, start, count, made) == STATUS_OK);
    for (size_t i = start; i < start + count; i++) {
        atomic_fetch_add(&engine->counters.merged_bytes_read, version->parts[i]->info.bytes);
        atomic_store(&version->parts[i]->doomed, true);
    }
    atomic_fetch_add(&engine->counters.merges, 1);
    atomic_fetch_add(&engine->counters.merged_bytes_written, info->bytes);
    part_ref_release(made);
    return STATUS_OK;
}

static enum status write_part(struct merge *merge, struct version *version, size_t start,
                              size_t count, struct manifest_part *info)
{
    struct engine *engine = merge->engine;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++)
        status = open_source(merge, version->parts[start + i]);
    if (status != STATUS_OK)
        return status;
    *info = (struct manifest_part){
        .id = engine->next_file++,
        .day = version->parts[start]->info.day,
        .min_sequence = version->parts[start]->info.min_sequence,
        .max_sequence = version->parts[start + count - 1]->info.max_sequence,
        .level = version->parts[start]->info.level + 1,
    };
    struct part_writer_options options = {
        .identity = {.id = info->id,
                     .day = info->day,
                     .min_sequence = info->min_sequence,
                     .max_sequence = info->max_sequence,
                     .level = info->level},
        .hash_seed = manifest_state(engine->manifest)->secret,
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
    struct part_totals totals;
    if (status == STATUS_OK)
        status = part_writer_finish(merge->writer, &totals, merge->err);
    if (status == STATUS_OK) {
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

static void release(struct merge *merge)
{
    for (size_t i = 0; i < merge->source_count; i++) {
        part_cursor_free(merge->sources[i].walk);
        part_cursor_free(merge->sources[i].fetch);
    }
    pieces_release(&merge->pieces);
    sample_array_release(&merge->waiting);
    sample_array_release(&merge->merged);
    sample_array_release(&merge->loaded);
    sample_array_release(&merge->spare);
}

/* Which of them is damaged is not known here: verify tells. None is merged again. */
static void leave_alone(struct engine *engine, struct version *version, size_t start, size_t count,
                        const struct error *why)
{
    for (size_t i = start; i < start + count; i++)
        atomic_store(&version->parts[i]->unreadable, true);
    engine_trouble(engine, STORAGE_DEGRADED, "damaged data: %s", why->message);
    log_event(engine->log, LOG_ERROR, "engine", "parts are not merged: one is damaged",
              log_text("error", why->message));
}

enum status engine_merge_step(struct engine *engine, bool *did, struct error *err)
{
    struct version *version = engine_version(engine);
    size_t start;
    size_t count = choose(engine, version, &start);
    *did = count > 0;
    if (count == 0) {
        version_release(version);
        return STATUS_OK;
    }
    struct error why = {0};
    struct merge merge = {.engine = engine, .err = &why};
    struct manifest_part info;
    enum status status = write_part(&merge, version, start, count, &info);
    if (status == STATUS_OK)
        status = commit(&merge, version, start, count, &info);
    if (status != STATUS_OK)
        atomic_fetch_add(&engine->counters.merge_failures, 1);
    if (status == STATUS_CORRUPT) {
        leave_alone(engine, version, start, count, &why);
        status = STATUS_OK;
    }
    release(&merge);
    version_release(version);
    return status == STATUS_OK ? status : fail(err, status, "%s", why.message);
}

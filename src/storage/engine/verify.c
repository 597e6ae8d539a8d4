/*
 * verify - every byte of a store, read and held against every other that speaks of it.
 *
 *   manifest   its records' checksums; it names all the rest
 *   index      every block; the definitions in it, rebuilt into a series table; series segments
 *              stay where they are, each of their sections is held against the definitions
 *   log        verify_log.c
 *   parts      every block decoded and summed up again; identity and totals as the manifest has
 *              them; each series in it is defined, under the same metric
 *   the rest   files that nothing names
 * The order is that of recovery: definitions first, then what refers to them.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bits.h"
#include "base/times.h"
#include "storage/engine/index_segment.h"
#include "storage/engine/part_reader.h"
#include "storage/engine/paths.h"
#include "storage/engine/verify_state.h"
#include "storage/engine/version.h"

/* ---- findings --------------------------------------------------------------------------- */

/* The readers name the file themselves; here it stands beside the sentence. */
const char *verify_without_path(const char *text, const char *path)
{
    const char *at = strstr(text, path);
    size_t size = strlen(path);
    return at != NULL && at[size] == ':' && at[size + 1] == ' ' ? at + size + 2 : text;
}

void verify_damage_at(struct verifier *verifier, const char *path, const char *text)
{
    verifier->result->damaged++;
    verifier->report(verifier->context, ENGINE_DAMAGE, path, verify_without_path(text, path));
}

void verify_damage(struct verifier *verifier, const char *format, ...)
{
    char text[ERROR_MESSAGE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    verify_damage_at(verifier, verifier->path, text);
}

void verify_note(void *context, const char *description)
{
    struct verifier *verifier = context;
    verify_damage_at(verifier, verifier->path, description);
}

/* What stood there nobody knows, also where what follows does not miss it. */
static void note_unreadable(void *context, const char *path, const char *description)
{
    struct verifier *verifier = context;
    verifier->incomplete = true;
    verify_damage_at(verifier, path, description);
}

struct os verify_os_around(struct verifier *verifier)
{
    struct os os = verifier->os;
    os.fs = &verifier->around.fs;
    return os;
}

enum status verify_no_path(struct error *err)
{
    return fail(err, STATUS_MEMORY, "no memory for a path");
}

enum status verify_advance(struct verifier *verifier, uint64_t bytes, struct error *err)
{
    verifier->done += bytes;
    verifier->result->bytes += bytes;
    verifier->result->files++;
    if (verifier->progress != NULL &&
        verifier->progress(verifier->context, verifier->done, verifier->total))
        return fail(err, STATUS_CANCELLED, "stopped before everything was read");
    return STATUS_OK;
}

/* 0 where there is none, or something else than a file. */
enum status verify_file_size(struct verifier *verifier, const char *path, uint64_t *size,
                             struct error *err)
{
    *size = 0;
    struct file *file = NULL;
    struct error why = {0};
    enum status status = filesystem_open(verifier->os.fs, path, FILE_READ, &file, &why);
    if (status == STATUS_OK)
        status = file_size(file, size, &why);
    file_close(file);
    if (status == STATUS_OK || status == STATUS_NOT_FOUND || status == STATUS_CORRUPT)
        return STATUS_OK;
    return fail(err, status, "%s", why.message);
}

/* ---- definitions ------------------------------------------------------------------------ */

enum status verify_metric(void *context, const struct metric *metric, struct error *err)
{
    (void)metric;
    (void)err;
    struct verifier *verifier = context;
    verifier->entries++;
    return STATUS_OK;
}

enum status verify_delete(struct verifier *verifier, struct slice record, struct error *err)
{
    struct record_delete delete;
    enum status status = record_get_delete(record, &delete, err);
    if (status == STATUS_OK)
        roaring_bitmap_free(delete.ids);
    verifier->entries++;
    return status;
}

static enum status verify_active(void *context, const struct activity_entry *entry, uint32_t step_s,
                                 struct error *err)
{
    (void)entry, (void)step_s, (void)err;
    struct verifier *verifier = context;
    verifier->entries++;
    return STATUS_OK;
}

static enum status take_definitions(void *context, enum record_type type, struct slice record,
                                    struct error *err)
{
    struct verifier *verifier = context;
    if (type == RECORD_SERIES && verifier->kind == SEGMENT_SERIES) {
        size_t count = 0;
        enum status status = record_restore_series(record, &verifier->series, &count, err);
        verifier->entries += count;
        return status;
    }
    if (type == RECORD_DELETE && verifier->kind == SEGMENT_DELETES)
        return verify_delete(verifier, record, err);
    if (type == RECORD_METRICS && verifier->kind == SEGMENT_METRICS)
        return record_get_metrics(record, verify_metric, verifier, err);
    if (type == RECORD_ACTIVITY && verifier->kind == SEGMENT_ACTIVITY)
        return record_get_activity(record, verify_active, verifier, err);
    return fail(err, STATUS_CORRUPT, "a record of type %d does not belong here", (int)type);
}

static enum status missing_segment(struct verifier *verifier, struct error *err)
{
    verifier->incomplete = true;
    verify_damage(verifier, "the manifest names this index segment, and it is missing");
    return verify_advance(verifier, 0, err);
}

static void compare_counts(struct verifier *verifier, const struct manifest_segment *segment,
                           uint64_t entries, uint64_t bytes)
{
    if (entries != segment->entries || bytes != segment->bytes)
        verify_damage(verifier,
                      "the manifest counts %" PRIu64 " entries in %" PRIu64
                      " bytes, there are %" PRIu64 " in %" PRIu64,
                      segment->entries, segment->bytes, entries, bytes);
}

/* Series that were written again, as their definition could not be read. */
static uint64_t defined_before(const struct verifier *verifier, const struct series_segment *index)
{
    uint64_t count = 0;
    for (size_t i = 0; i < verifier->index_count; i++)
        count += roaring_bitmap_and_cardinality(series_segment_ids(verifier->indexes[i]),
                                                series_segment_ids(index));
    return count;
}

/* Of those that open, all that a later look-up needs is in the segment itself. */
static enum status check_index(struct verifier *verifier, const struct manifest_segment *segment,
                               struct error *err)
{
    struct series_segment_stats stats;
    struct series_segment *index = NULL;
    struct error why = {0};
    uint64_t before = verifier->result->damaged;
    uint64_t size = 0;
    enum status status =
        series_segment_verify(verifier->os, verifier->path, segment->id, verifier->state.secret,
                              verify_note, verifier, &stats, &why);
    if (status == STATUS_NOT_FOUND)
        return missing_segment(verifier, err);
    if (status != STATUS_OK)
        return fail(err, status, "%s", why.message);
    if (before == verifier->result->damaged)
        compare_counts(verifier, segment, stats.series, stats.bytes);
    status = series_segment_open(&index, verifier->os, verifier->path, segment->id, &why);
    if (status != STATUS_OK && status != STATUS_CORRUPT)
        return fail(err, status, "%s", why.message);
    verifier->result->series += stats.series;
    if (status == STATUS_OK) {
        verifier->result->series -= defined_before(verifier, index);
        verifier->indexes[verifier->index_count++] = index;
    }
    status = verify_file_size(verifier, verifier->path, &size, err);
    return status == STATUS_OK ? verify_advance(verifier, size, err) : status;
}

static enum status check_segment(struct verifier *verifier, const struct manifest_segment *segment,
                                 struct error *err)
{
    if (segment->kind == SEGMENT_INDEX)
        return check_index(verifier, segment, err);
    uint64_t size = 0;
    uint64_t before = verifier->result->damaged;
    verifier->entries = 0;
    verifier->kind = segment->kind;
    struct error why = {0};
    enum status status = index_segment_read(verifier->os, verifier->path, take_definitions,
                                            verify_note, verifier, &why);
    if (status == STATUS_NOT_FOUND)
        return missing_segment(verifier, err);
    if (status == STATUS_CORRUPT) {
        verify_note(verifier, why.message);
        status = STATUS_OK;
    }
    if (status != STATUS_OK)
        return fail(err, status, "%s", why.message);
    status = verify_file_size(verifier, verifier->path, &size, err);
    if (status != STATUS_OK)
        return status;
    if (before == verifier->result->damaged)
        compare_counts(verifier, segment, verifier->entries, size);
    return verify_advance(verifier, size, err);
}

static enum status check_segments(struct verifier *verifier, struct error *err)
{
    enum status status = STATUS_OK;
    verifier->indexes = calloc(verifier->state.segment_count + 1, sizeof(struct series_segment *));
    if (verifier->indexes == NULL)
        return fail(err, STATUS_MEMORY, "no memory for %zu index segments",
                    verifier->state.segment_count);
    for (size_t i = 0; i < verifier->state.segment_count && status == STATUS_OK; i++) {
        char *path = path_of_segment(verifier->dir, verifier->state.segments[i].id);
        if (path == NULL)
            return verify_no_path(err);
        verifier->path = path;
        status = check_segment(verifier, &verifier->state.segments[i], err);
        free(path);
    }
    return status;
}

static bool is_indexed(const struct verifier *verifier, uint32_t series)
{
    for (size_t i = 0; i < verifier->index_count; i++)
        if (series_segment_has(verifier->indexes[i], series))
            return true;
    return false;
}

/* Series that no index segment has; of earlier versions, those of their segments too. */
static uint64_t defined_by_log(const struct verifier *verifier)
{
    uint64_t count = 0;
    uint32_t id = series_table_next_committed(&verifier->series, 0);
    for (; id != SERIES_ID_NONE; id = series_table_next_committed(&verifier->series, id + 1))
        count += !is_indexed(verifier, id);
    return count;
}

bool verify_is_defined(const struct verifier *verifier, uint32_t series)
{
    return series_table_has_committed(&verifier->series, series) || is_indexed(verifier, series);
}

/* Of a series that is defined. CORRUPT where the metric cannot be read, which was reported. */
static enum status find_metric(const struct verifier *verifier, uint32_t series, uint32_t *metric,
                               struct error *err)
{
    if (series_table_has_committed(&verifier->series, series)) {
        *metric = series_table_get(&verifier->series, series)->metric;
        return STATUS_OK;
    }
    size_t i = 0;
    while (!series_segment_has(verifier->indexes[i], series))
        i++;
    return series_segment_metrics_of(verifier->indexes[i], &series, 1, metric, err);
}

/* ---- parts ------------------------------------------------------------------------------ */

static void note_part_damage(void *context, const struct error *err)
{
    verify_note(context, err->message);
}

static void check_identity(struct verifier *verifier, struct part *part,
                           const struct manifest_part *told)
{
    const struct part_totals *totals = part_totals(part);
    struct part_identity expected = manifest_part_identity(told);
    struct error why = {0};
    if (part_expect(part, &expected, told->samples, &why) != STATUS_OK)
        verify_note(verifier, why.message);
    else if (totals->samples != told->samples || totals->bytes != told->bytes ||
             totals->min_ms != told->min_ms || totals->max_ms != told->max_ms)
        verify_damage(verifier,
                      "it holds %" PRIu64 " samples in %" PRIu64
                      " bytes, where the manifest expects "
                      "%" PRIu64 " in %" PRIu64,
                      totals->samples, totals->bytes, told->samples, told->bytes);
}

/* Each series of the part is defined, and under the metric that the part is sorted by. Damaged
 * pages were reported already. */
static enum status check_series(struct verifier *verifier, struct part *part, struct error *err)
{
    struct part_cursor *cursor = NULL;
    enum status status = part_cursor_new(&cursor, part, err);
    uint32_t previous = SERIES_ID_NONE;
    verifier->undefined = 0;
    if (status == STATUS_OK)
        part_cursor_seek(cursor, 0, 0);
    while (status == STATUS_OK) {
        const struct part_block *block;
        struct part_loss lost;
        status = part_cursor_next(cursor, &block, &lost, err);
        if (status == STATUS_CORRUPT) {
            status = STATUS_OK;
            continue;
        }
        if (status != STATUS_OK || block->series == previous)
            continue;
        previous = block->series;
        if (!verify_is_defined(verifier, block->series)) {
            verifier->undefined++;
            continue;
        }
        uint32_t metric = block->metric;
        status = find_metric(verifier, block->series, &metric, err);
        if (status == STATUS_CORRUPT)
            status = STATUS_OK;
        else if (status == STATUS_OK && metric != block->metric)
            verify_damage(verifier, "series %u stands under metric %u, and is defined under %u",
                          block->series, block->metric, metric);
    }
    part_cursor_free(cursor);
    if (verifier->undefined > 0)
        verify_damage(verifier, "%" PRIu64 " of its series are defined nowhere",
                      verifier->undefined);
    return status == STATUS_END ? STATUS_OK : status;
}

static enum status check_part(struct verifier *verifier, const struct manifest_part *told,
                              struct error *err)
{
    struct part *part = NULL;
    struct error why = {0};
    enum status status = part_open(&part, verifier->os.fs, verifier->path, &why);
    if (status == STATUS_NOT_FOUND) {
        verifier->incomplete = true;
        verify_damage(verifier,
                      "the manifest names this part, and it is missing: %" PRIu64 " samples",
                      told->samples);
        return verify_advance(verifier, told->bytes, err);
    }
    if (status == STATUS_CORRUPT) {
        verify_note(verifier, why.message);
        return verify_advance(verifier, told->bytes, err);
    }
    if (status != STATUS_OK)
        return fail(err, status, "%s", why.message);
    uint64_t found = 0;
    status = part_verify(part, note_part_damage, verifier, &found, err);
    if (status == STATUS_OK && found == 0)
        check_identity(verifier, part, told);
    if (status == STATUS_OK)
        status = check_series(verifier, part, err);
    verifier->result->samples += part_totals(part)->samples;
    part_close(part);
    return status == STATUS_OK ? verify_advance(verifier, told->bytes, err) : status;
}

static enum status check_parts(struct verifier *verifier, struct error *err)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < verifier->state.part_count && status == STATUS_OK; i++) {
        char *path = path_of_part(verifier->dir, verifier->state.parts[i].id);
        if (path == NULL)
            return verify_no_path(err);
        verifier->path = path;
        status = check_part(verifier, &verifier->state.parts[i], err);
        free(path);
    }
    return status;
}

/* ---- leftovers -------------------------------------------------------------------------- */

struct folder {
    struct verifier *verifier;
    const char *name;   /* "" for the store itself */
    const char *ending; /* of the files that the manifest names by id; NULL: none */
    const char *const *known;
};

static bool is_named(const struct folder *folder, const char *name)
{
    for (const char *const *known = folder->known; *known != NULL; known++)
        if (strcmp(*known, name) == 0)
            return true;
    if (folder->ending == NULL)
        return false;
    char *end;
    uint64_t id = strtoull(name, &end, 16);
    if (end != name + 16 || strcmp(end, folder->ending) != 0)
        return false;
    const struct manifest_state *state = &folder->verifier->state;
    for (size_t i = 0; i < state->part_count; i++)
        if (strcmp(folder->ending, ".part") == 0 && state->parts[i].id == id)
            return true;
    for (size_t i = 0; i < state->segment_count; i++)
        if (strcmp(folder->ending, ".seg") == 0 && state->segments[i].id == id)
            return true;
    return false;
}

static enum status check_name(void *context, const char *name, bool is_directory, struct error *err)
{
    (void)is_directory;
    const struct folder *folder = context;
    struct verifier *verifier = folder->verifier;
    if (is_named(folder, name))
        return STATUS_OK;
    char *path = path_format("%s%s/%s", verifier->dir, folder->name, name);
    if (path == NULL)
        return verify_no_path(err);
    verifier->result->leftovers++;
    verifier->report(verifier->context, ENGINE_LEFTOVER, path,
                     verifier->incomplete && folder->ending != NULL
                         ? "nothing names it, and edits of the manifest may be lost: verify "
                           "--repair looks whether it belongs to the store"
                         : "nothing names it");
    free(path);
    return STATUS_OK;
}

static enum status find_leftovers(struct verifier *verifier, struct error *err)
{
    static const char *const none[] = {NULL};
    static const char *const top[] = {"lock",  "manifest",   "wal",       "index",
                                      "parts", "quarantine", "snapshots", NULL};
    struct folder folders[] = {
        {verifier, "", NULL, top},
        {verifier, "/parts", ".part", none},
        {verifier, "/index", ".seg", none},
    };
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char *path = path_format("%s%s", verifier->dir, folders[i].name);
        if (path == NULL)
            return verify_no_path(err);
        struct error why = {0};
        enum status status = filesystem_list(verifier->os.fs, path, check_name, &folders[i], &why);
        free(path);
        if (status != STATUS_OK && status != STATUS_NOT_FOUND)
            return fail(err, status, "%s", why.message);
    }
    return STATUS_OK;
}

/* ---- all of it -------------------------------------------------------------------------- */

static enum status check_manifest(struct verifier *verifier, bool *readable, struct error *err)
{
    char *path = path_format("%s/manifest", verifier->dir);
    if (path == NULL)
        return verify_no_path(err);
    verifier->path = path;
    struct error why = {0};
    uint64_t size = 0;
    enum status status = manifest_verify(verify_os_around(verifier), verifier->dir, verify_note,
                                         verifier, &verifier->state, &why);
    *readable = status == STATUS_OK;
    verifier->incomplete =
        verifier->incomplete || verifier->state.edits_lost || verifier->state.log_lost_to != 0;
    if (status == STATUS_CORRUPT) {
        verify_note(verifier, why.message);
        status = STATUS_OK;
    }
    if (status != STATUS_OK)
        status = fail(err, status, "%s", why.message);
    else
        status = verify_file_size(verifier, path, &size, err);
    verifier->total = size;
    for (size_t i = 0; i < verifier->state.part_count; i++)
        verifier->total += verifier->state.parts[i].bytes;
    for (size_t i = 0; i < verifier->state.segment_count; i++)
        verifier->total += verifier->state.segments[i].bytes;
    uint64_t log_size = 0;
    if (status == STATUS_OK)
        status = verify_log_size(verifier, &log_size, err);
    verifier->total += log_size;
    if (status == STATUS_OK)
        status = verify_advance(verifier, size, err);
    free(path);
    return status;
}

static enum status check_all(struct verifier *verifier, struct error *err)
{
    bool readable = false;
    enum status status = check_manifest(verifier, &readable, err);
    if (status != STATUS_OK || !readable)
        return status;
    enum status space = series_space_init(&verifier->space, verifier->state.secret);
    enum status table = STATUS_MEMORY;
    if (space == STATUS_OK)
        table = series_table_init(&verifier->series, verifier->state.secret, &verifier->space);
    status = table == STATUS_OK ? check_segments(verifier, err)
                                : fail(err, STATUS_MEMORY, "no memory for the series table");
    if (status == STATUS_OK)
        status = verify_log(verifier, err);
    if (status == STATUS_OK)
        status = check_parts(verifier, err);
    verifier->result->series += defined_by_log(verifier);
    for (size_t i = 0; i < verifier->index_count; i++)
        series_segment_close(verifier->indexes[i]);
    free(verifier->indexes);
    series_table_release(&verifier->series);
    series_space_release(&verifier->space);
    return status == STATUS_OK ? find_leftovers(verifier, err) : status;
}

/* Nothing is made where there is no store. */
static enum status lock_store(struct os os, const char *dir, struct file **lock, struct error *err)
{
    *lock = NULL;
    char *path = path_format("%s/lock", dir);
    enum status status = path == NULL ? verify_no_path(err) : engine_find_store(os, dir, err);
    if (status == STATUS_CORRUPT)
        error_prefix(err, "%s", dir);
    if (status == STATUS_OK)
        status = filesystem_lock_for_reading(os.fs, path, lock, err);
    free(path);
    return status;
}

enum status engine_verify(struct os os, const char *dir, engine_report *report,
                          engine_progress *progress, void *context,
                          struct engine_verify_result *result, struct error *err)
{
    *result = (struct engine_verify_result){0};
    struct file *lock;
    enum status status = lock_store(os, dir, &lock, err);
    if (status != STATUS_OK)
        return status;
    result->unlocked = lock == NULL;
    struct verifier verifier = {
        .os = os,
        .dir = dir,
        .report = report,
        .progress = progress,
        .context = context,
        .result = result,
        .ids = malloc(RECORD_MAX_SAMPLES * sizeof(uint32_t)),
        .times = malloc(RECORD_MAX_SAMPLES * sizeof(int64_t)),
        .values = malloc(RECORD_MAX_SAMPLES * sizeof(double)),
    };
    reading_around_init(&verifier.around, os.fs, note_unreadable, &verifier);
    if (verifier.ids == NULL || verifier.times == NULL || verifier.values == NULL)
        status = fail(err, STATUS_MEMORY, "no memory to verify the store");
    else
        status = check_all(&verifier, err);
    manifest_state_release(&verifier.state);
    reading_around_release(&verifier.around);
    free(verifier.ids);
    free(verifier.times);
    free(verifier.values);
    file_close(lock);
    return status;
}

/*
 * verify_log - the log, replayed as a start would, without its repairs.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bits.h"
#include "storage/engine/paths.h"
#include "storage/engine/verify_state.h"
#include "storage/engine/wal_format.h"

static enum status check_samples(struct verifier *verifier, struct slice record, uint64_t lsn,
                                 struct error *err)
{
    size_t count = 0;
    enum status status =
        record_get_samples(record, verifier->ids, verifier->times, verifier->values, &count, err);
    if (status != STATUS_OK)
        return status;
    if (lsn <= verifier->state.log_position)
        return STATUS_OK; /* the parts hold them, where their series are looked at */
    for (size_t i = 0; i < count; i++)
        verifier->undefined += !verify_is_defined(verifier, verifier->ids[i]);
    verifier->unflushed += count;
    return STATUS_OK;
}

static enum status take_record(void *context, struct slice record, uint8_t type, uint64_t lsn,
                               struct error *err)
{
    struct verifier *verifier = context;
    struct error why = {0};
    enum status status = STATUS_OK;
    size_t count;
    uint32_t arrival_s;
    switch ((enum record_type)type) {
    case RECORD_SERIES:
        /* What was flushed has to stand in an index segment: the log will be used again. */
        if (lsn > verifier->state.log_position)
            status = record_restore_series(record, &verifier->series, &count, &why);
        break;
    case RECORD_SAMPLES:
        status = check_samples(verifier, record, lsn, &why);
        break;
    case RECORD_METRICS:
        status = record_get_metrics(record, verify_metric, verifier, &why);
        break;
    case RECORD_DELETE:
        status = verify_delete(verifier, record, &why);
        break;
    case RECORD_ARRIVAL:
        status = record_get_arrival(record, &arrival_s, &why);
        break;
    default:
        status = fail(&why, STATUS_CORRUPT, "a record of the unknown type %u", type);
    }
    if (status == STATUS_CORRUPT) {
        verify_note(verifier, why.message);
        return STATUS_OK;
    }
    return status == STATUS_OK ? status : fail(err, status, "%s", why.message);
}

static void note_log_damage(void *context, const char *description, uint64_t from, uint64_t to)
{
    struct verifier *verifier = context;
    char *path = path_format("%s/wal/%016" PRIx64 ".wal", verifier->dir, wal_lsn_segment(from));
    const char *place = path == NULL ? verifier->path : path;
    char text[ERROR_MESSAGE_SIZE];
    const struct manifest_state *state = &verifier->state;
    bool known = from < state->log_lost_to && to > state->log_lost_from;
    bool flushed = to <= state->log_position && !known;
    verifier->incomplete = verifier->incomplete || !flushed;
    snprintf(text, sizeof text, "%s%s", verify_without_path(description, place),
             flushed ? "; the parts hold what stood there" : "");
    verify_damage_at(verifier, place, text);
    free(path);
}

static enum status add_wal_size(void *context, const char *name, bool is_directory,
                                struct error *err)
{
    struct verifier *verifier = context;
    if (is_directory)
        return STATUS_OK;
    char *path = path_format("%s/wal/%s", verifier->dir, name);
    if (path == NULL)
        return verify_no_path(err);
    uint64_t size = 0;
    enum status status = verify_file_size(verifier, path, &size, err);
    free(path);
    verifier->entries += size;
    verifier->log_files++;
    return status;
}

enum status verify_log_size(struct verifier *verifier, uint64_t *size, struct error *err)
{
    char *path = path_format("%s/wal", verifier->dir);
    if (path == NULL)
        return verify_no_path(err);
    verifier->entries = 0;
    verifier->log_files = 0;
    struct error why = {0};
    enum status status = filesystem_list(verifier->os.fs, path, add_wal_size, verifier, &why);
    free(path);
    *size = verifier->entries;
    return status == STATUS_OK || status == STATUS_NOT_FOUND ? STATUS_OK
                                                             : fail(err, status, "%s", why.message);
}

/* Of the segment that the replay begins in: the replay speaks of what lies behind it. */
static enum status check_log_header(struct verifier *verifier, uint64_t segment, struct error *err)
{
    char *path = path_format("%s/wal/%016" PRIx64 ".wal", verifier->dir, segment);
    if (path == NULL)
        return verify_no_path(err);
    uint8_t block[WAL_DATA_START] = {0};
    size_t got = 0;
    struct file *file = NULL;
    struct error why = {0};
    enum status status = filesystem_open(&verifier->around.fs, path, FILE_READ, &file, &why);
    if (status == STATUS_OK)
        status = file_read(file, block, sizeof block, 0, &got, &why);
    file_close(file);
    struct wal_segment_header header;
    bool copy_damaged = false;
    if (status == STATUS_OK)
        status = wal_segment_header_decode(block, &header, &copy_damaged, &why);
    if (status == STATUS_OK && copy_damaged)
        verify_damage_at(verifier, path, "one copy of the segment's header is damaged");
    else if (status == STATUS_CORRUPT)
        verify_damage_at(verifier, path, why.message);
    free(path);
    /* A segment that is missing is damage only where it was still needed, which the replay knows.
     */
    if (status == STATUS_OK || status == STATUS_CORRUPT || status == STATUS_NOT_FOUND)
        return STATUS_OK;
    return fail(err, status, "%s", why.message);
}

static enum status replay_log(struct verifier *verifier, const struct wal_options *options,
                              uint64_t from, struct error *err)
{
    struct wal *wal = NULL;
    struct error why = {0};
    enum status status =
        wal_open(&wal, options, from, take_record, note_log_damage, verifier, &why);
    wal_close(wal);
    if (status == STATUS_OK)
        return status;
    if (status != STATUS_CORRUPT)
        return fail(err, status, "%s", why.message);
    /* A segment is no file: the log cannot be read. */
    verifier->incomplete = true;
    verify_note(verifier, why.message);
    return STATUS_OK;
}

/* An id is given again after the edit that takes its series out of the index: no log defines a
 * series otherwise than an index segment that counts. */
static enum status check_given_again(struct verifier *verifier,
                                     const struct series_segment *segment, struct error *err)
{
    struct series_segment_cursor *cursor = NULL;
    enum status status = series_segment_cursor_new(&cursor, segment, err);
    uint32_t id = series_table_next_committed(&verifier->series, 0);
    for (; id != SERIES_ID_NONE && status == STATUS_OK;
         id = series_table_next_committed(&verifier->series, id + 1)) {
        struct series_definition definition;
        struct label items[LABELS_MAX_COUNT];
        struct labels labels;
        struct error why = {0};
        if (!series_segment_has(segment, id))
            continue;
        status = series_segment_read(cursor, id, &definition, &why);
        series_table_labels(&verifier->series, id, items, &labels);
        if (status == STATUS_OK && labels_compare(&labels, &definition.labels) != 0)
            verify_damage(
                verifier,
                "series %u is another one than in the index: edits of the manifest are lost", id);
        else if (status != STATUS_OK && status != STATUS_CORRUPT)
            fail(err, status, "%s", why.message);
        status = status == STATUS_CORRUPT ? STATUS_OK : status;
    }
    series_segment_cursor_free(cursor);
    return status;
}

enum status verify_log(struct verifier *verifier, struct error *err)
{
    char *path = path_format("%s/wal", verifier->dir);
    if (path == NULL)
        return verify_no_path(err);
    verifier->path = path;
    verifier->undefined = 0;
    if (verifier->state.log_lost_to != 0)
        verify_damage(verifier,
                      "frames were lost between %016" PRIx64 " and %016" PRIx64
                      ", as a start found, and no part has what stood there",
                      verifier->state.log_lost_from, verifier->state.log_lost_to);
    struct wal_options options = {
        .os = verify_os_around(verifier),
        .dir = path,
        .segment_size = WAL_SEGMENT_SIZE_DEFAULT,
        .frame_max = WAL_FRAME_MAX,
        .owner = load_u64(verifier->state.store_id),
        .read_only = true,
    };
    uint64_t from = verifier->state.log_position;
    uint64_t first = wal_lsn_segment(from);
    enum status status = first == 0 ? STATUS_OK : check_log_header(verifier, first, err);
    if (status == STATUS_OK)
        status = replay_log(verifier, &options, from, err);
    for (size_t i = 0; i < verifier->index_count && status == STATUS_OK; i++)
        status = check_given_again(verifier, verifier->indexes[i], err);
    if (status == STATUS_OK && verifier->undefined > 0)
        verify_damage(verifier, "%" PRIu64 " samples belong to series that nothing defines",
                      verifier->undefined);
    verifier->result->samples += verifier->unflushed;
    uint64_t size = 0;
    if (status == STATUS_OK)
        status = verify_log_size(verifier, &size, err);
    verifier->result->files += verifier->log_files - 1; /* the next line counts one */
    if (status == STATUS_OK)
        status = verify_advance(verifier, size, err);
    free(path);
    return status;
}

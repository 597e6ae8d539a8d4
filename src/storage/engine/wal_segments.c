#include "storage/engine/wal_private.h"

#include "base/invariant.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * A segment gets its name in the log only when its header is durable, and is written to only when
 * its name is durable: so a log never has a hole that a crash made.
 */

enum { ZEROS_SIZE = 256 * 1024 };

enum status wal_path(const struct wal *wal, const char *name, char path[WAL_PATH_SIZE],
                     struct error *err)
{
    int size = snprintf(path, WAL_PATH_SIZE, "%s/%s", wal->dir, name);
    if (size < 0 || size >= WAL_PATH_SIZE)
        return fail(err, STATUS_INVALID, "the path of the log is longer than %d bytes",
                    WAL_PATH_SIZE - WAL_NAME_SIZE);
    return STATUS_OK;
}

void wal_count_segments(struct wal *wal)
{
    atomic_store(&wal->counters.segments, wal->segment_count);
    atomic_store(&wal->counters.spares, wal->spare_count);
}

struct wal_segment *wal_find_segment(struct wal *wal, uint64_t number)
{
    for (size_t i = 0; i < wal->segment_count; i++)
        if (wal->segments[i].number == number)
            return &wal->segments[i];
    return NULL;
}

enum status wal_add_segment(struct wal *wal, const struct wal_segment *segment, struct error *err)
{
    if (wal->segment_count == wal->segment_capacity) {
        size_t capacity = wal->segment_capacity == 0 ? 16 : wal->segment_capacity * 2;
        struct wal_segment *segments = realloc(wal->segments, capacity * sizeof *segments);
        if (segments == NULL)
            return fail(err, STATUS_MEMORY, "no memory for a list of %zu segments", capacity);
        wal->segments = segments;
        wal->segment_capacity = capacity;
    }
    wal->segments[wal->segment_count++] = *segment;
    wal_count_segments(wal);
    return STATUS_OK;
}

enum status wal_remove_spare(struct wal *wal, uint64_t number, struct error *err)
{
    char name[WAL_NAME_SIZE];
    char path[WAL_PATH_SIZE];
    wal_spare_name(name, number);
    enum status status = wal_path(wal, name, path, err);
    return status == STATUS_OK ? filesystem_remove(wal->os.fs, path, err) : status;
}

/* A failure here costs disk space only, until the next start removes the file. */
static void discard(struct wal *wal, struct file *file, const char *path)
{
    file_close(file);
    struct error err = {.status = STATUS_OK};
    if (filesystem_remove(wal->os.fs, path, &err) != STATUS_OK)
        log_event(wal->log, LOG_WARN, "wal", "cannot remove an unfinished segment",
                  log_text("path", path), log_text("reason", err.message));
}

static enum status fill_with_zeros(struct file *file, uint64_t size, struct error *err)
{
    size_t step = size < ZEROS_SIZE ? (size_t)size : ZEROS_SIZE;
    uint8_t *zeros = calloc(1, step);
    if (zeros == NULL)
        return fail(err, STATUS_MEMORY, "no memory to fill a segment of the log");
    enum status status = STATUS_OK;
    uint64_t begun = 0;
    for (uint64_t at = 0; at < size && status == STATUS_OK;) {
        size_t piece = size - at < step ? (size_t)(size - at) : step;
        status = file_write(file, zeros, piece, at, err);
        at += piece;
        file_write_back_behind(file, &begun, at);
    }
    free(zeros);
    return status;
}

/* An unwritten extent would make each later sync write the journal: zeros, not only fallocate. */
static enum status create_spare(struct wal *wal, const char *path, struct file **file,
                                struct error *err)
{
    enum status status = filesystem_open(wal->os.fs, path, FILE_CREATE_NEW, file, err);
    if (status == STATUS_CONFLICT) {
        /* Left by an attempt that failed. Not used again: its unsynced pages may be lost. */
        status = filesystem_remove(wal->os.fs, path, err);
        if (status == STATUS_OK)
            status = filesystem_open(wal->os.fs, path, FILE_CREATE_NEW, file, err);
    }
    if (status != STATUS_OK)
        return status;
    status = fill_with_zeros(*file, wal->segment_size, err);
    if (status != STATUS_OK) {
        discard(wal, *file, path);
        *file = NULL;
    }
    return status;
}

/* A file of the right size under a spare's name, whose content does not matter. */
static enum status take_spare(struct wal *wal, uint64_t number, char path[WAL_PATH_SIZE],
                              struct file **file, struct error *err)
{
    char name[WAL_NAME_SIZE];
    bool reused = wal->spare_count > 0;
    wal_spare_name(name, reused ? wal->spares[--wal->spare_count] : number);
    wal_count_segments(wal);
    enum status status = wal_path(wal, name, path, err);
    if (status != STATUS_OK)
        return status;
    if (reused)
        return filesystem_open(wal->os.fs, path, FILE_READ_WRITE, file, err);
    return create_spare(wal, path, file, err);
}

enum status wal_write_header(struct wal *wal, const struct wal_segment *segment, struct error *err)
{
    uint8_t block[WAL_DATA_START];
    struct wal_segment_header header = {
        .number = segment->number,
        /* Of a file that was cut: the reader takes the smaller one. */
        .size = segment->size < WAL_SEGMENT_SIZE_MIN ? WAL_SEGMENT_SIZE_MIN : segment->size,
        .key = wal->key,
        .owner = wal->owner,
        .created_ms = clock_wall_ms(wal->os.clock),
        .epoch = wal->epoch,
    };
    wal_segment_header_encode(&header, block);
    enum status status = file_write(segment->file, block, sizeof block, 0, err);
    return status == STATUS_OK ? file_sync(segment->file, err) : status;
}

enum status wal_install_segment(struct wal *wal, uint64_t number, struct error *err)
{
    if (number > UINT32_MAX)
        return fail(err, STATUS_LIMIT, "the log has used up its 2^32 segment numbers");
    char spare[WAL_PATH_SIZE];
    char path[WAL_PATH_SIZE];
    char name[WAL_NAME_SIZE];
    struct wal_segment segment = {
        .number = number, .size = wal->segment_size, .made = wal->segment_size};
    wal_segment_name(name, number);
    enum status status = wal_path(wal, name, path, err);
    if (status == STATUS_OK)
        status = take_spare(wal, number, spare, &segment.file, err);
    if (status != STATUS_OK)
        return status;
    status = wal_write_header(wal, &segment, err);
    if (status == STATUS_OK)
        status = filesystem_rename(wal->os.fs, spare, path, err);
    if (status != STATUS_OK) {
        discard(wal, segment.file, spare);
        return status;
    }
    /* If this fails, the name is there now and may be gone after a crash: nothing can be built on
     * it. */
    status = filesystem_sync_directory(wal->os.fs, wal->dir, err);
    if (status == STATUS_OK)
        status = wal_add_segment(wal, &segment, err);
    if (status != STATUS_OK) {
        file_close(segment.file);
        wal_break(wal, err);
    }
    return status;
}

enum status wal_retire_segment(struct wal *wal, size_t index, struct error *err)
{
    struct wal_segment segment = wal->segments[index];
    char segment_name[WAL_NAME_SIZE];
    char spare_name[WAL_NAME_SIZE];
    char from[WAL_PATH_SIZE];
    char to[WAL_PATH_SIZE];
    wal_segment_name(segment_name, segment.number);
    wal_spare_name(spare_name, segment.number);
    enum status status = wal_path(wal, segment_name, from, err);
    if (status == STATUS_OK)
        status = wal_path(wal, spare_name, to, err);
    if (status != STATUS_OK)
        return status;
    bool keep = segment.size == wal->segment_size && wal->spare_count < wal->spare_max;
    if (keep)
        status = filesystem_rename(wal->os.fs, from, to, err);
    else
        status = filesystem_remove(wal->os.fs, from, err);
    if (status != STATUS_OK)
        return status;
    file_close(segment.file);
    if (keep)
        wal->spares[wal->spare_count++] = segment.number;
    wal->segment_count--;
    memmove(&wal->segments[index], &wal->segments[index + 1],
            (wal->segment_count - index) * sizeof wal->segments[0]);
    wal_count_segments(wal);
    return STATUS_OK;
}

#include "storage/engine/manifest_state.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/bits.h"
#include "base/hash.h"
#include "base/invariant.h"
#include "storage/engine/paths.h"
#include "storage/engine/unnamed.h"

/*
 * The file: records back to back, each of them twice, so that damage in one place loses no edit.
 *   u32 crc32c of what follows, u32 payload size, u64 number (from 1, without gaps), payload
 * Both copies are written at once. A first copy counts only if there is room for the second behind
 * it, or if what is there shows that it has counted: a write that failed half way may have left it
 * whole. The payload: items, each a varint tag and varints (manifest_state.c).
 * docs/formats/manifest.md
 */
enum { RECORD_HEADER = 16, RECORD_MAX = MANIFEST_PAYLOAD_MAX, REWRITE_MIN = 1024 * 1024 };

/* What a disk loses at once. The record of a whole state takes as many of them as it needs, so that
 * none holds something of both copies: without it nobody knows what the store is. */
enum { SECTOR_MAX = 4096 };

struct manifest {
    struct os os;
    char *dir;
    char *path;
    struct file *file;
    uint64_t size;        /* of the whole records */
    uint64_t next_number; /* of records */
    bool broken;
    struct manifest_state state;
};

/* ---- reading ---------------------------------------------------------------------------- */

static bool record_at(const uint8_t *data, size_t size, size_t at, struct slice *payload,
                      uint64_t *number)
{
    if (size - at < RECORD_HEADER)
        return false;
    uint32_t length = load_u32(data + at + 4);
    if (length > RECORD_MAX || length > size - at - RECORD_HEADER)
        return false;
    if (crc32c(0, data + at + 4, (size_t)length + 12) != load_u32(data + at))
        return false;
    *number = load_u64(data + at + 8);
    *payload = slice_of(data + at + RECORD_HEADER, length);
    return true;
}

/* Where the next whole record begins at or after `at`; `size` if there is none. */
static size_t next_record(const uint8_t *data, size_t size, size_t at, struct slice *payload,
                          uint64_t *number)
{
    *payload = slice_of(NULL, 0);
    *number = 0;
    for (; at < size; at++)
        if (record_at(data, size, at, payload, number))
            return at;
    return size;
}

struct replay {
    struct os os;
    const char *dir; /* of the store; NULL: the file alone is looked at */
    struct manifest_state *state;
    manifest_damage *damage;
    void *context;
    uint8_t *data; /* the whole file */
    size_t size;
    uint64_t last_number;
    size_t good;      /* end of the last whole record */
    size_t last_size; /* of it, one copy */
    size_t records;
    bool second;  /* the last record's second copy was seen */
    bool store;   /* the record that names the store was */
    bool damaged; /* something was found that no crash explains, or may explain */
};

static void report(struct replay *replay, const char *format, ...) PRINTF_LIKE(2, 3);
static void report(struct replay *replay, const char *format, ...)
{
    char text[256];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    replay->damaged = true;
    if (replay->damage != NULL)
        replay->damage(replay->context, text);
}

static enum status replay_record(struct replay *replay, uint64_t number, struct slice payload,
                                 struct error *err)
{
    if (replay->records > 0 && number != replay->last_number + 1) {
        report(replay, "manifest: edits %" PRIu64 " to %" PRIu64 " are lost",
               replay->last_number + 1, number - 1);
        replay->state->edits_lost = true;
    }
    struct error why = {0};
    bool lost = replay->state->edits_lost;
    enum status status = manifest_state_apply(replay->state, payload, &why);
    if (status == STATUS_OK && replay->state->edits_lost && !lost)
        report(replay,
               "manifest: edits before edit %" PRIu64 " are lost, as a start found: files "
               "may be there that it does not name",
               number);
    if (status == STATUS_MEMORY || status == STATUS_UNSUPPORTED)
        return fail(err, status, "manifest, record %" PRIu64 ": %s", number, why.message);
    if (status != STATUS_OK) {
        report(replay, "manifest: edit %" PRIu64 " is lost: %s", number, why.message);
        replay->state->edits_lost = true;
    }
    replay->store = replay->store || manifest_names_store(payload);
    replay->last_number = number;
    replay->records++;
    replay->second = false;
    return STATUS_OK;
}

/* Whether a crash explains that the last record has one copy: what is missing of the other was
 * never written, in sectors that are zero or beyond the end of the file. */
static bool is_unfinished(const struct replay *replay)
{
    enum { SECTOR = 512 };
    size_t end = replay->good + replay->last_size;
    end = end < replay->size ? end : replay->size;
    for (size_t at = replay->good; at < end;) {
        size_t next = (at / SECTOR + 1) * SECTOR;
        next = next < end ? next : end;
        bool same =
            memcmp(replay->data + at, replay->data + at - replay->last_size, next - at) == 0;
        for (size_t i = at; i < next && !same; i++)
            if (replay->data[i] != 0)
                return false;
        at = next;
    }
    return true;
}

/*
 * The last record's first copy is whole, and the file ends before its second one. Its edit failed,
 * or was never told to have succeeded, or the file was cut. What an edit takes away (files, and a
 * stretch of the log) goes after both copies are synced, and what it adds is there before. So where
 * the state before it lacks something and the state after it lacks nothing, it has counted; and
 * where it has not, the state before it lacks nothing.
 */
static enum status last_has_counted(const struct replay *replay, uint64_t number,
                                    struct slice payload, bool *counted, struct error *err)
{
    bool lacks = false;
    *counted = false;
    if (replay->dir == NULL || replay->records == 0 || number != replay->last_number + 1)
        return STATUS_OK;
    enum status status = unnamed_state_lacks(replay->os, replay->dir, replay->state, &lacks, err);
    if (status != STATUS_OK || !lacks)
        return status;
    struct manifest_state after;
    struct error why = {0};
    status = manifest_state_copy(&after, replay->state, err);
    if (status != STATUS_OK)
        return status;
    status = manifest_state_apply(&after, payload, &why);
    if (status == STATUS_OK)
        status = unnamed_state_lacks(replay->os, replay->dir, &after, &lacks, &why);
    manifest_state_release(&after);
    *counted = status == STATUS_OK && !lacks;
    return status == STATUS_OK || status == STATUS_CORRUPT ? STATUS_OK
                                                           : fail(err, status, "%s", why.message);
}

/* Whether to go on with the new record in hand, which is the last one. */
static enum status judge_last(struct replay *replay, uint64_t number, struct slice payload,
                              bool *counted, struct error *err)
{
    enum status status = last_has_counted(replay, number, payload, counted, err);
    if (status == STATUS_OK && *counted)
        report(replay, "manifest: the second copy of edit %" PRIu64 ", the last, is cut off",
               number);
    return status;
}

static enum status replay_all(struct replay *replay, struct error *err)
{
    size_t at = 0;
    while (at < replay->size) {
        struct slice payload;
        uint64_t number;
        size_t bad = at;
        at = next_record(replay->data, replay->size, at, &payload, &number);
        size_t record_size = RECORD_HEADER + payload.size;
        bool is_new = replay->records == 0 || number > replay->last_number;
        /* Both copies bad, or cut off, at the end: an edit that never finished. */
        if (at == replay->size)
            break;
        if (is_new && at - bad < record_size && replay->size - at < 2 * record_size) {
            bool counted = false;
            enum status judged = judge_last(replay, number, payload, &counted, err);
            if (judged != STATUS_OK || !counted)
                return judged;
        }
        if (at > bad)
            report(replay, "manifest: bytes %zu to %zu are damaged", bad, at);
        enum status status = is_new ? replay_record(replay, number, payload, err) : STATUS_OK;
        if (status != STATUS_OK)
            return status;
        replay->second = !is_new || at - bad >= record_size;
        at += record_size;
        replay->good = at;
        replay->last_size = record_size;
    }
    if (replay->records > 0 && !replay->second && !is_unfinished(replay))
        report(replay, "manifest: the second copy of edit %" PRIu64 ", the last, is damaged",
               replay->last_number);
    return STATUS_OK;
}

static enum status read_whole(struct file *file, uint8_t **data, size_t *size, struct error *err)
{
    uint64_t file_bytes;
    enum status status = file_size(file, &file_bytes, err);
    if (status != STATUS_OK)
        return status;
    *size = (size_t)file_bytes;
    *data = malloc(*size + 1);
    if (*data == NULL)
        return fail(err, STATUS_MEMORY, "no memory to read the manifest");
    return file_read_exactly(file, *data, *size, 0, err);
}

/* The caller frees replay->data, also on a failure. */
static enum status load(struct file *file, struct replay *replay, struct error *err)
{
    enum status status = read_whole(file, &replay->data, &replay->size, err);
    if (status == STATUS_OK)
        status = replay_all(replay, err);
    if (status == STATUS_OK && replay->records == 0)
        return fail(err, STATUS_CORRUPT,
                    "the manifest (%zu bytes) holds no readable record: restore it from a backup",
                    replay->size);
    if (status == STATUS_OK && !replay->store)
        return fail(err, STATUS_CORRUPT,
                    "both copies of the manifest's first record, which says what the store is, are "
                    "damaged: restore it from a backup");
    return status;
}

/* ---- writing ---------------------------------------------------------------------------- */

/* Both copies. */
static enum status write_record(struct file *file, uint64_t offset, uint64_t number,
                                struct slice payload, struct error *err)
{
    size_t size = RECORD_HEADER + payload.size;
    uint8_t *record = malloc(2 * size);
    if (record == NULL)
        return fail(err, STATUS_MEMORY, "no memory for a manifest record");
    store_u32(record + 4, (uint32_t)payload.size);
    store_u64(record + 8, number);
    if (payload.data != NULL)
        memcpy(record + RECORD_HEADER, payload.data, payload.size);
    store_u32(record, crc32c(0, record + 4, payload.size + 12));
    memcpy(record + size, record, size);
    enum status status = file_write(file, record, 2 * size, offset, err);
    free(record);
    return status;
}

/* Writes all of the state as one record to a new file and puts it in the manifest's place. */
static enum status rewrite(struct manifest *manifest, struct error *err)
{
    struct filesystem *fs = manifest->os.fs;
    char *temporary = path_format("%s.new", manifest->path);
    struct manifest_edit edit;
    manifest_edit_init(&edit);
    manifest_put_state(&edit, &manifest->state);
    manifest_fill(&edit, SECTOR_MAX - (RECORD_HEADER + edit.bytes.size) % SECTOR_MAX);
    struct file *file = NULL;
    enum status status = edit.failed || temporary == NULL
                             ? fail(err, STATUS_MEMORY, "no memory for the manifest")
                             : filesystem_open(fs, temporary, FILE_CREATE, &file, err);
    if (status == STATUS_OK)
        status = file_resize(file, 0, err);
    if (status == STATUS_OK)
        status = write_record(file, 0, manifest->next_number, bytes_slice(&edit.bytes), err);
    if (status == STATUS_OK)
        status = file_sync(file, err);
    if (status == STATUS_OK)
        status = filesystem_rename(fs, temporary, manifest->path, err);
    if (status == STATUS_OK) {
        status = filesystem_sync_directory(fs, manifest->dir, err);
        /* Which of the two files a crash would leave is not known: no more edits. */
        manifest->broken = status != STATUS_OK;
        file_close(manifest->file);
        manifest->file = file;
        file = NULL;
        manifest->size = 2 * (RECORD_HEADER + edit.bytes.size);
        manifest->next_number++;
    } else if (file != NULL) {
        /* The next attempt begins with another file: what became of this one nobody knows. */
        enum status removed = filesystem_remove(fs, temporary, NULL);
        (void)removed;
    }
    file_close(file);
    manifest_edit_release(&edit);
    free(temporary);
    return status;
}

static enum status make_store(struct manifest *manifest, struct error *err)
{
    struct manifest_state *state = &manifest->state;
    random_fill(manifest->os.random, state->store_id, sizeof state->store_id);
    random_fill(manifest->os.random, &state->secret, sizeof state->secret);
    state->created_ms = clock_wall_ms(manifest->os.clock);
    manifest->next_number = 1;
    return rewrite(manifest, err);
}

/* The bytes that were read, once more, without what follows the last whole record: that gets its
 * second copy, where it never came to it. */
static enum status write_again(struct manifest *manifest, const struct replay *replay,
                               struct error *err)
{
    struct file *file = manifest->file;
    size_t size = replay->good;
    enum status status = file_write(file, replay->data, size, 0, err);
    if (status == STATUS_OK && !replay->second) {
        status =
            file_write(file, replay->data + size - replay->last_size, replay->last_size, size, err);
        if (status == STATUS_OK)
            size += replay->last_size;
        else if (status == STATUS_NO_SPACE)
            status = STATUS_OK; /* one copy says it all */
    }
    if (status == STATUS_OK && replay->size > size)
        status = file_resize(file, size, err);
    manifest->size = size;
    return status == STATUS_OK ? file_sync(file, err) : status;
}

/*
 * Makes durable what was read: an earlier process may have failed to sync, and then the kernel
 * shows bytes, or a name, that the disk does not have, and a sync alone would not write them again.
 * So the log is written anew, which also cuts off an unfinished edit and heals a damaged copy; but
 * not where edits are lost: that file stays, for whoever wants to look into it. On a full disk the
 * bytes are written over themselves: in the file that they were read from, never in the new one,
 * which they would tear.
 */
static enum status make_durable(struct manifest *manifest, const struct replay *replay,
                                struct error *err)
{
    enum status status = STATUS_NO_SPACE;
    if (!manifest->state.edits_lost)
        status = rewrite(manifest, err);
    return status == STATUS_NO_SPACE && !manifest->broken ? write_again(manifest, replay, err)
                                                          : status;
}

static enum status open_existing(struct manifest *manifest, manifest_damage *damage, void *context,
                                 struct error *err)
{
    struct replay replay = {.os = manifest->os,
                            .dir = manifest->dir,
                            .state = &manifest->state,
                            .damage = damage,
                            .context = context};
    enum status status = load(manifest->file, &replay, err);
    if (status == STATUS_OK) {
        manifest->next_number = replay.last_number + 1;
        manifest->size = replay.good;
        status = make_durable(manifest, &replay, err);
    }
    free(replay.data);
    return status;
}

static struct manifest *manifest_new(struct os os, const char *dir)
{
    struct manifest *manifest = calloc(1, sizeof *manifest);
    if (manifest == NULL)
        return NULL;
    manifest->os = os;
    manifest->dir = path_format("%s", dir);
    manifest->path = path_format("%s/manifest", dir);
    manifest->state.next_file = 1;
    if (manifest->dir != NULL && manifest->path != NULL)
        return manifest;
    manifest_close(manifest);
    return NULL;
}

enum status manifest_open(struct manifest **result, struct os os, const char *dir,
                          manifest_damage *damage, void *context, struct error *err)
{
    *result = NULL;
    struct manifest *manifest = manifest_new(os, dir);
    if (manifest == NULL)
        return fail(err, STATUS_MEMORY, "no memory for the manifest");
    enum status status =
        filesystem_open(os.fs, manifest->path, FILE_READ_WRITE, &manifest->file, err);
    if (status == STATUS_OK)
        status = open_existing(manifest, damage, context, err);
    else if (status == STATUS_NOT_FOUND)
        status = make_store(manifest, err);
    if (status != STATUS_OK) {
        manifest_close(manifest);
        return status;
    }
    *result = manifest;
    return STATUS_OK;
}

enum status manifest_open_read_only(struct manifest **result, struct os os, const char *dir,
                                    manifest_damage *damage, void *context, struct error *err)
{
    *result = NULL;
    struct manifest *manifest = manifest_new(os, dir);
    if (manifest == NULL)
        return fail(err, STATUS_MEMORY, "no memory for the manifest");
    manifest->broken = true;
    enum status status = manifest_verify(os, dir, damage, context, &manifest->state, err);
    if (status != STATUS_OK) {
        manifest_close(manifest);
        return status;
    }
    *result = manifest;
    return STATUS_OK;
}

void manifest_close(struct manifest *manifest)
{
    if (manifest == NULL)
        return;
    file_close(manifest->file);
    manifest_state_release(&manifest->state);
    free(manifest->dir);
    free(manifest->path);
    free(manifest);
}

const struct manifest_state *manifest_state(const struct manifest *manifest)
{
    return &manifest->state;
}

bool manifest_broken(const struct manifest *manifest)
{
    return manifest->broken;
}

static enum status read_file(const char *path, struct replay *replay, struct error *err)
{
    *replay->state = (struct manifest_state){.next_file = 1};
    struct file *file = NULL;
    enum status status = filesystem_open(replay->os.fs, path, FILE_READ, &file, err);
    if (status == STATUS_OK)
        status = load(file, replay, err);
    if (status != STATUS_OK)
        manifest_state_release(replay->state);
    free(replay->data);
    file_close(file);
    return status;
}

enum status manifest_read(struct os os, const char *path, manifest_damage *damage, void *context,
                          struct manifest_state *state, struct error *err)
{
    struct replay replay = {.os = os, .state = state, .damage = damage, .context = context};
    return read_file(path, &replay, err);
}

enum status manifest_verify(struct os os, const char *dir, manifest_damage *damage, void *context,
                            struct manifest_state *state, struct error *err)
{
    struct replay replay = {
        .os = os, .dir = dir, .state = state, .damage = damage, .context = context};
    *state = (struct manifest_state){.next_file = 1};
    char *path = path_format("%s/manifest", dir);
    if (path == NULL)
        return fail(err, STATUS_MEMORY, "no memory for a path");
    enum status status = read_file(path, &replay, err);
    free(path);
    return status;
}

/* After a failure the file ends where it ended, or the manifest is broken. */
static enum status append_record(struct manifest *manifest, struct slice payload, struct error *err)
{
    enum status status =
        write_record(manifest->file, manifest->size, manifest->next_number, payload, err);
    if (status == STATUS_OK) {
        status = file_sync(manifest->file, err);
        manifest->broken = status != STATUS_OK;
    } else {
        /* Half of it may be a whole copy: it must not lie where a later write, failed like this
         * one, makes room behind it. */
        struct error ignored;
        manifest->broken = file_resize(manifest->file, manifest->size, &ignored) != STATUS_OK;
    }
    return status;
}

/* The state as it will be; the caller releases it, or what was before. */
static enum status state_after(const struct manifest *manifest, const struct manifest_edit *edit,
                               struct manifest_state *after, struct error *err)
{
    if (edit->failed)
        return fail(err, STATUS_MEMORY, "no memory for a manifest edit");
    enum status status = manifest_state_copy(after, &manifest->state, err);
    if (status != STATUS_OK)
        return status;
    status = manifest_state_apply(after, bytes_slice(&edit->bytes), err);
    if (status != STATUS_OK)
        manifest_state_release(after);
    return status;
}

enum status manifest_assume(struct manifest *manifest, const struct manifest_edit *edit,
                            struct error *err)
{
    struct manifest_state after;
    invariant(manifest->file == NULL);
    enum status status = state_after(manifest, edit, &after, err);
    if (status != STATUS_OK)
        return status;
    manifest_state_release(&manifest->state);
    manifest->state = after;
    return STATUS_OK;
}

enum status manifest_commit(struct manifest *manifest, const struct manifest_edit *edit,
                            struct error *err)
{
    if (manifest->broken)
        return fail(err, STATUS_UNAVAILABLE,
                    "the manifest could not be written or synced before: restart to recover");
    struct manifest_state after;
    enum status status = state_after(manifest, edit, &after, err);
    if (status != STATUS_OK)
        return status;
    status = append_record(manifest, bytes_slice(&edit->bytes), err);
    if (status != STATUS_OK) {
        manifest_state_release(&after);
        return status;
    }
    manifest_state_release(&manifest->state);
    manifest->state = after;
    manifest->size += 2 * (RECORD_HEADER + edit->bytes.size);
    manifest->next_number++;
    size_t says = (after.part_count + after.segment_count + 4) * 64;
    if (manifest->size > REWRITE_MIN && manifest->size > 4 * says && !after.edits_lost) {
        /* The edit is durable whatever becomes of the shorter log; a rewrite that fails is tried at
         * the next commit. */
        struct error ignored;
        status = rewrite(manifest, &ignored);
        (void)status;
    }
    return STATUS_OK;
}

enum status manifest_write(struct os os, const char *dir, const struct manifest_state *state,
                           struct error *err)
{
    struct manifest *manifest = manifest_new(os, dir);
    if (manifest == NULL)
        return fail(err, STATUS_MEMORY, "no memory for the manifest");
    manifest->next_number = 1;
    enum status status = manifest_state_copy(&manifest->state, state, err);
    if (status == STATUS_OK)
        status = rewrite(manifest, err);
    manifest_close(manifest);
    return status;
}

#include "storage/engine/index_segment.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include <zstd.h>

#include "base/bits.h"
#include "base/hash.h"
#include "storage/engine/paths.h"
#include "storage/engine/stored_read.h"

/*
 * File header, 32 bytes:
 *   "MSINDEX1", u64 id, u32 version, u32 0, u32 0, u32 crc32c of the 28 bytes before
 *
 * Block header, 24 bytes:
 *   u32 crc32c of what follows up to the payload's end, u32 "MSIB", u32 compressed size, u32 raw
 *   size, u32 record type, u32 block number
 *
 * The last block has type 0, no payload, and the number of blocks before it as its number: a file
 * without it is cut off.
 */
enum { FILE_HEADER = 32, BLOCK_HEADER = 24, VERSION = 1, ZSTD_LEVEL = 3 };
enum { BLOCK_MAX_RAW = 4 * RECORD_MAX_SIZE };
static const uint32_t block_magic = 0x4249534d; /* "MSIB" */
static const char file_magic[8] = {'M', 'S', 'I', 'N', 'D', 'E', 'X', '1'};

/* ---- writing ---------------------------------------------------------------------------- */

struct segment_writer {
    struct os os;
    char *directory;
    char *path;
    struct file *file;
    ZSTD_CCtx *zstd;
    struct bytes raw;
    struct bytes block;
    uint64_t offset;
    uint32_t blocks;
    struct error *err;
};

static enum status put_at_end(struct segment_writer *writer, const void *data, size_t size)
{
    enum status status = file_write(writer->file, data, size, writer->offset, writer->err);
    writer->offset += size;
    return status;
}

static enum status write_block(struct segment_writer *writer, uint32_t type)
{
    size_t bound = ZSTD_compressBound(writer->raw.size);
    bytes_clear(&writer->block);
    if (bytes_reserve(&writer->block, BLOCK_HEADER + bound) != STATUS_OK)
        return fail(writer->err, STATUS_MEMORY, "no memory for an index block");
    size_t size = 0;
    if (type != 0) {
        size = ZSTD_compressCCtx(writer->zstd, writer->block.data + BLOCK_HEADER, bound,
                                 writer->raw.data, writer->raw.size, ZSTD_LEVEL);
        if (ZSTD_isError(size))
            return fail(writer->err, STATUS_MEMORY, "cannot compress an index block: %s",
                        ZSTD_getErrorName(size));
    }
    uint8_t *header = writer->block.data;
    store_u32(header + 4, block_magic);
    store_u32(header + 8, (uint32_t)size);
    store_u32(header + 12, type == 0 ? 0 : (uint32_t)writer->raw.size);
    store_u32(header + 16, type);
    store_u32(header + 20, writer->blocks);
    store_u32(header, crc32c(0, header + 4, BLOCK_HEADER - 4 + size));
    writer->blocks++;
    return put_at_end(writer, header, BLOCK_HEADER + size);
}

static enum status writer_open(struct segment_writer *writer, struct os os, const char *dir,
                               uint64_t id, struct error *err)
{
    *writer = (struct segment_writer){.os = os, .err = err};
    bytes_init(&writer->raw, BLOCK_MAX_RAW);
    bytes_init(&writer->block, ZSTD_compressBound(BLOCK_MAX_RAW) + BLOCK_HEADER);
    writer->directory = path_format("%s/index", dir);
    writer->path = path_of_segment(dir, id);
    writer->zstd = ZSTD_createCCtx();
    if (writer->directory == NULL || writer->path == NULL || writer->zstd == NULL)
        return fail(err, STATUS_MEMORY, "no memory for an index segment");
    enum status status = filesystem_open(os.fs, writer->path, FILE_CREATE, &writer->file, err);
    if (status == STATUS_OK)
        status = file_resize(writer->file, 0, err);
    if (status != STATUS_OK)
        return status;
    uint8_t header[FILE_HEADER] = {0};
    memcpy(header, file_magic, sizeof file_magic);
    store_u64(header + 8, id);
    store_u32(header + 16, VERSION);
    store_u32(header + 28, crc32c(0, header, FILE_HEADER - 4));
    return put_at_end(writer, header, sizeof header);
}

/* Ends the file if `status` is OK; removes it otherwise. */
static enum status writer_close(struct segment_writer *writer, enum status status,
                                struct index_segment_stats *stats)
{
    if (status == STATUS_OK)
        status = write_block(writer, 0);
    if (status == STATUS_OK)
        status = file_sync(writer->file, writer->err);
    if (status == STATUS_OK)
        status = filesystem_sync_directory(writer->os.fs, writer->directory, writer->err);
    stats->bytes = writer->offset;
    bool made = writer->file != NULL;
    file_close(writer->file);
    if (status != STATUS_OK && made) {
        /* A file that stays behind is no harm: nothing names it, and the next start removes it. */
        enum status removed = filesystem_remove(writer->os.fs, writer->path, NULL);
        (void)removed;
    }
    ZSTD_freeCCtx(writer->zstd);
    bytes_release(&writer->raw);
    bytes_release(&writer->block);
    free(writer->directory);
    free(writer->path);
    return status;
}

enum status index_segment_write_series(struct os os, const char *dir, uint64_t id,
                                       const struct series_table *table, struct rwlock *lock,
                                       const uint32_t *ids, size_t count,
                                       struct index_segment_stats *stats, struct error *err)
{
    struct segment_writer writer;
    enum status status = writer_open(&writer, os, dir, id, err);
    for (size_t done = 0, taken; done < count && status == STATUS_OK; done += taken) {
        bytes_clear(&writer.raw);
        rwlock_read(lock);
        status = record_put_series(&writer.raw, table, ids + done, count - done, &taken);
        rwlock_unlock(lock);
        if (status != STATUS_OK)
            status = fail(err, status, "no memory for an index block");
        else
            status = write_block(&writer, RECORD_SERIES);
    }
    stats->entries = count;
    return writer_close(&writer, status, stats);
}

/* Puts descriptors from slot *next on, until the block is full or they end. */
static enum status put_metrics(struct bytes *raw, const struct registry *registry, size_t *next)
{
    for (; *next < registry->capacity && raw->size < RECORD_MAX_SIZE; (*next)++)
        if (registry->entries[*next].text != NULL &&
            record_put_metric(raw, &registry->entries[*next].metric) != STATUS_OK)
            return STATUS_MEMORY;
    return STATUS_OK;
}

enum status index_segment_write_metrics(struct os os, const char *dir, uint64_t id,
                                        const struct registry *registry, struct rwlock *lock,
                                        struct index_segment_stats *stats, struct error *err)
{
    struct segment_writer writer;
    enum status status = writer_open(&writer, os, dir, id, err);
    bool more = true;
    /* Descriptors are small and few: they are put together under one lock, block after block. */
    rwlock_read(lock);
    stats->entries = registry->count;
    for (size_t next = 0; more && status == STATUS_OK;) {
        bytes_clear(&writer.raw);
        if (put_metrics(&writer.raw, registry, &next) != STATUS_OK)
            status = fail(err, STATUS_MEMORY, "no memory for an index block");
        else if (writer.raw.size > 0)
            status = write_block(&writer, RECORD_METRICS);
        more = next < registry->capacity;
    }
    rwlock_unlock(lock);
    return writer_close(&writer, status, stats);
}

enum status index_segment_write_deletes(struct os os, const char *dir, uint64_t id,
                                        const struct tombstone_set *set, uint64_t max_sequence,
                                        struct index_segment_stats *stats, struct error *err)
{
    struct segment_writer writer;
    enum status status = writer_open(&writer, os, dir, id, err);
    stats->entries = 0;
    for (size_t i = 0; set != NULL && i < set->count && status == STATUS_OK; i++) {
        const struct tombstone *tombstone = set->items[i];
        if (tombstone->sequence > max_sequence)
            continue;
        bytes_clear(&writer.raw);
        if (record_put_delete(&writer.raw, tombstone->sequence, tombstone->range, tombstone->ids) !=
            STATUS_OK)
            status = fail(err, STATUS_MEMORY, "no memory for an index block");
        else
            status = write_block(&writer, RECORD_DELETE);
        stats->entries++;
    }
    return writer_close(&writer, status, stats);
}

static int compare_entries(const void *a, const void *b)
{
    uint32_t left = ((const struct activity_entry *)a)->id;
    uint32_t right = ((const struct activity_entry *)b)->id;
    return (left > right) - (left < right);
}

/* Gives *entries, by rising id; NULL when there are none. */
static enum status copy_shard(const struct activity *activity, size_t number, struct rwlock *lock,
                              struct activity_entry **entries, size_t *count, uint32_t *step_s)
{
    const struct activity_shard *shard = &activity->shards[number];
    *entries = NULL;
    *count = 0;
    rwlock_read(lock);
    *step_s = activity->step_s;
    if (shard->used > 0)
        *entries = malloc(shard->used * sizeof(*entries)[0]);
    bool copied = shard->used == 0 || *entries != NULL;
    for (uint32_t i = 0; *entries != NULL && i <= shard->mask; i++)
        if (shard->entries[i].id != SERIES_ID_NONE && !activity_is_held(&shard->entries[i]))
            (*entries)[(*count)++] = shard->entries[i];
    rwlock_unlock(lock);
    if (*count > 0)
        qsort(*entries, *count, sizeof(*entries)[0], compare_entries);
    return copied ? STATUS_OK : STATUS_MEMORY;
}

static enum status write_active(struct segment_writer *writer, const struct activity_entry *entries,
                                size_t count, uint32_t step_s)
{
    bytes_clear(&writer->raw);
    if (record_put_activity(&writer->raw, entries, count, step_s) != STATUS_OK)
        return fail(writer->err, STATUS_MEMORY, "no memory for an index block");
    return write_block(writer, RECORD_ACTIVITY);
}

enum status index_segment_write_activity(struct os os, const char *dir, uint64_t id,
                                         const struct activity *activity, struct rwlock *lock,
                                         struct index_segment_stats *stats, struct error *err)
{
    struct segment_writer writer;
    enum status status = writer_open(&writer, os, dir, id, err);
    stats->entries = 0;
    for (size_t i = 0; i < ACTIVITY_SHARDS && status == STATUS_OK; i++) {
        struct activity_entry *entries;
        size_t count;
        uint32_t step_s;
        if (copy_shard(activity, i, lock, &entries, &count, &step_s) != STATUS_OK)
            status = fail(err, STATUS_MEMORY, "no memory for an index block");
        for (size_t done = 0, some; done < count && status == STATUS_OK; done += some) {
            some = count - done < RECORD_MAX_ACTIVE ? count - done : RECORD_MAX_ACTIVE;
            status = write_active(&writer, entries + done, some, step_s);
        }
        stats->entries += count;
        free(entries);
    }
    return writer_close(&writer, status, stats);
}

/* ---- reading ---------------------------------------------------------------------------- */

struct segment_reader {
    const char *path;
    uint8_t *data;
    size_t size;
    uint8_t *raw;
    index_segment_visit *visit;
    index_segment_damage *damage;
    void *context;
};

static void report(const struct segment_reader *reader, const char *format, ...) PRINTF_LIKE(2, 3);
static void report(const struct segment_reader *reader, const char *format, ...)
{
    char text[ERROR_MESSAGE_SIZE];
    int used = snprintf(text, sizeof text, "index segment %s: ", reader->path);
    va_list args;
    va_start(args, format);
    if (used > 0 && (size_t)used < sizeof text)
        vsnprintf(text + used, sizeof text - (size_t)used, format, args);
    va_end(args);
    if (reader->damage != NULL)
        reader->damage(reader->context, text);
}

static bool block_whole(const struct segment_reader *reader, size_t at)
{
    if (reader->size - at < BLOCK_HEADER)
        return false;
    const uint8_t *header = reader->data + at;
    uint32_t size = load_u32(header + 8);
    return load_u32(header + 4) == block_magic && size <= reader->size - at - BLOCK_HEADER &&
           crc32c(0, header + 4, BLOCK_HEADER - 4 + (size_t)size) == load_u32(header);
}

static enum status read_block(struct segment_reader *reader, size_t at, struct error *err)
{
    const uint8_t *header = reader->data + at;
    uint32_t size = load_u32(header + 8);
    uint32_t raw_size = load_u32(header + 12);
    if (raw_size > BLOCK_MAX_RAW) {
        report(reader, "block at %zu: %u bytes raw is beyond the limit", at, raw_size);
        return STATUS_OK;
    }
    size_t got = ZSTD_decompress(reader->raw, BLOCK_MAX_RAW, header + BLOCK_HEADER, size);
    if (ZSTD_isError(got) || got != raw_size) {
        report(reader, "block at %zu does not decompress", at);
        return STATUS_OK;
    }
    struct error why = {0};
    enum status status = reader->visit(reader->context, (enum record_type)load_u32(header + 16),
                                       slice_of(reader->raw, raw_size), &why);
    if (status == STATUS_CORRUPT) {
        report(reader, "block at %zu: %s", at, why.message);
        return STATUS_OK;
    }
    return status == STATUS_OK ? STATUS_OK : fail(err, status, "%s", why.message);
}

/* Where the next whole block begins at or after `at`; the file's size if there is none. */
static size_t next_block(const struct segment_reader *reader, size_t at)
{
    while (at < reader->size && !block_whole(reader, at))
        at++;
    return at;
}

static enum status read_blocks(struct segment_reader *reader, struct error *err)
{
    uint32_t blocks = 0;
    for (size_t at = FILE_HEADER; at < reader->size;) {
        size_t bad = at;
        at = next_block(reader, at);
        if (at > bad)
            report(reader, "bytes %zu to %zu are damaged: what is defined there is lost", bad, at);
        if (at == reader->size)
            break;
        const uint8_t *header = reader->data + at;
        uint32_t number = load_u32(header + 20);
        if (at == bad && number != blocks)
            report(reader, "block %u at %zu stands where block %u should", number, at, blocks);
        blocks = number + 1;
        at += BLOCK_HEADER + load_u32(header + 8);
        if (load_u32(header + 16) == 0) {
            if (at != reader->size)
                report(reader, "%zu bytes follow the end", reader->size - at);
            return STATUS_OK;
        }
        enum status status = read_block(reader, (size_t)(header - reader->data), err);
        if (status != STATUS_OK)
            return status;
    }
    report(reader, "cut off after %u blocks", blocks);
    return STATUS_OK;
}

static enum status read_header(struct segment_reader *reader, struct error *err)
{
    if (reader->size < FILE_HEADER || memcmp(reader->data, file_magic, sizeof file_magic) != 0 ||
        crc32c(0, reader->data, FILE_HEADER - 4) != load_u32(reader->data + FILE_HEADER - 4)) {
        report(reader, "the header is damaged; the blocks are read all the same");
        return STATUS_OK;
    }
    uint32_t version = load_u32(reader->data + 16);
    if (version != VERSION)
        return fail(err, STATUS_UNSUPPORTED,
                    "index segment %s is of version %u; this program reads version %d",
                    reader->path, version, VERSION);
    return STATUS_OK;
}

enum status index_segment_read(struct os os, const char *path, index_segment_visit *visit,
                               index_segment_damage *damage, void *context, struct error *err)
{
    struct segment_reader reader = {
        .path = path, .visit = visit, .damage = damage, .context = context};
    struct file *file = NULL;
    uint64_t size = 0;
    uint64_t lost = 0;
    struct error why = {0};
    enum status status = stored_open(os.fs, path, &file, &size, err);
    if (status == STATUS_OK) {
        reader.size = (size_t)size;
        reader.data = malloc(reader.size + 1);
        reader.raw = malloc(BLOCK_MAX_RAW);
        status = STATUS_MEMORY;
        if (reader.data == NULL || reader.raw == NULL)
            fail(err, status, "no memory to read index segment %s", path);
        else
            status = stored_read_around(file, reader.data, reader.size, 0, &reader.size, &lost,
                                        &why, err);
    }
    if (status == STATUS_OK && lost > 0)
        report(&reader, "%s", why.message);
    if (status == STATUS_OK) {
        status = read_header(&reader, err);
        if (status == STATUS_OK)
            status = read_blocks(&reader, err);
    }
    free(reader.data);
    free(reader.raw);
    file_close(file);
    return status;
}

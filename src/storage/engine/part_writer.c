#include "storage/engine/part_writer.h"

#include <assert.h>
#include <stdlib.h>

#include "base/invariant.h"
#include "base/times.h"
#include "storage/engine/bitmap_codec.h"
#include "storage/engine/part_page.h"
#include "storage/engine/part_reader.h"
#include "storage/engine/time_codec.h"

enum {
    BUFFER_SIZE = 64 * 1024,
    /* A page ends early behind this much data, so that one read brings it and its blocks. */
    GROUP_MAX_SIZE = 512 * 1024,
    COLUMNS_FIRST = 256,
    COLUMNS_MAX = 64 * 1024,
};

/* A time column that is in the file, by the hash of its times. */
struct known_column {
    struct hash128 hash;
    uint64_t offset; /* 0: a free place */
    uint32_t size;
};

struct part_writer {
    struct filesystem *fs;
    struct file *file;
    char *path;
    struct part_writer_options options;
    enum status failed;

    uint64_t written; /* bytes in the file */
    uint64_t begun;   /* bytes whose write-back has begun */
    size_t buffered;  /* bytes behind them, in `buffer` */

    struct part_page page; /* the group under way */
    struct part_index_entry *index;
    size_t index_capacity;

    struct known_column *columns; /* open addressing */
    size_t column_capacity;
    size_t column_count;

    /* Samples of the series under way that are not in a block yet. */
    bool started;
    uint32_t metric;
    uint32_t series;
    enum part_kind kind;
    size_t pending;
    int64_t last_ms;
    int64_t *times; /* with `values`, options.block_count each */
    double *values;

    roaring_bitmap_t *series_set;

    struct part_totals totals;
    union {
        struct value_encoder value_encoder;
        struct time_encoder time_encoder;
    };
    uint8_t buffer[BUFFER_SIZE];
};

static_assert(sizeof(struct part_writer) < 176 * 1024, "64 writers may be open at once");

/* ---- the file --------------------------------------------------------------------------- */

static uint64_t position(const struct part_writer *writer)
{
    return writer->written + writer->buffered;
}

static void note_written(struct part_writer *writer, size_t size)
{
    writer->written += size;
    file_write_back_behind(writer->file, &writer->begun, writer->written);
}

static enum status flush_buffer(struct part_writer *writer, struct error *err)
{
    if (writer->buffered == 0)
        return STATUS_OK;
    enum status status =
        file_write(writer->file, writer->buffer, writer->buffered, writer->written, err);
    if (status != STATUS_OK)
        return status;
    note_written(writer, writer->buffered);
    writer->buffered = 0;
    return STATUS_OK;
}

/* Room for `size` further bytes, at most BUFFER_SIZE. */
static enum status make_room(struct part_writer *writer, size_t size, struct error *err)
{
    invariant(size <= BUFFER_SIZE);
    return BUFFER_SIZE - writer->buffered < size ? flush_buffer(writer, err) : STATUS_OK;
}

static uint8_t *buffer_end(struct part_writer *writer)
{
    return writer->buffer + writer->buffered;
}

static enum status put_large(struct part_writer *writer, const uint8_t *data, size_t size,
                             struct error *err)
{
    enum status status = flush_buffer(writer, err);
    if (status == STATUS_OK)
        status = file_write(writer->file, data, size, writer->written, err);
    if (status == STATUS_OK)
        note_written(writer, size);
    return status;
}

/* ---- pages ------------------------------------------------------------------------------ */

static enum status add_index_entry(struct part_writer *writer, uint64_t offset, size_t size,
                                   struct error *err)
{
    if (writer->totals.pages == writer->index_capacity) {
        size_t capacity = writer->index_capacity == 0 ? 16 : 2 * writer->index_capacity;
        struct part_index_entry *index = realloc(writer->index, capacity * sizeof *index);
        if (index == NULL)
            return fail(err, STATUS_MEMORY, "part %s: no memory for its index", writer->path);
        writer->index = index;
        writer->index_capacity = capacity;
    }
    const struct part_page *page = &writer->page;
    struct part_index_entry *entry = &writer->index[writer->totals.pages++];
    *entry = (struct part_index_entry){
        .metric = page->blocks[0].metric,
        .series = page->blocks[0].series,
        .offset = offset,
        .size = (uint32_t)size,
        .blocks = page->count,
        .min_ms = page->blocks[0].first_ms,
        .max_ms = page->blocks[0].last_ms,
    };
    for (size_t i = 1; i < page->count; i++) {
        const struct part_block *block = &page->blocks[i];
        entry->min_ms = block->first_ms < entry->min_ms ? block->first_ms : entry->min_ms;
        entry->max_ms = block->last_ms > entry->max_ms ? block->last_ms : entry->max_ms;
    }
    return STATUS_OK;
}

static enum status end_page(struct part_writer *writer, struct error *err)
{
    if (writer->page.count == 0)
        return STATUS_OK;
    uint8_t *bytes = malloc(PART_PAGE_MAX_SIZE);
    if (bytes == NULL)
        return fail(err, STATUS_MEMORY, "part %s: no memory for a page", writer->path);
    uint64_t offset = position(writer);
    size_t size = part_page_encode(&writer->page, &writer->options.identity, offset, bytes);
    enum status status = put_large(writer, bytes, size, err);
    free(bytes);
    if (status == STATUS_OK)
        status = add_index_entry(writer, offset, size, err);
    writer->page.count = 0;
    writer->page.values_offset = position(writer);
    return status;
}

/* Before a block's bytes are written: they belong to the page that its header goes to. */
static enum status begin_block(struct part_writer *writer, struct error *err)
{
    bool full = writer->page.count == PART_PAGE_MAX_BLOCKS ||
                position(writer) - writer->page.values_offset >= GROUP_MAX_SIZE;
    return full ? end_page(writer, err) : STATUS_OK;
}

static void end_block(struct part_writer *writer, const struct part_block *block)
{
    struct part_totals *totals = &writer->totals;
    totals->min_ms =
        totals->blocks == 0 || block->first_ms < totals->min_ms ? block->first_ms : totals->min_ms;
    totals->max_ms =
        totals->blocks == 0 || block->last_ms > totals->max_ms ? block->last_ms : totals->max_ms;
    totals->blocks++;
    totals->samples += block->count;
    writer->page.blocks[writer->page.count++] = *block;
}

/* ---- times ------------------------------------------------------------------------------ */

static struct known_column *column_place(struct known_column *columns, size_t capacity,
                                         struct hash128 hash)
{
    size_t at = hash.low & (capacity - 1);
    while (columns[at].offset != 0 && !hash128_equal(columns[at].hash, hash))
        at = (at + 1) & (capacity - 1);
    return &columns[at];
}

/* Twice the room; at the limit everything is forgotten instead, which costs space and no more. */
static enum status grow_columns(struct part_writer *writer, struct error *err)
{
    if (writer->columns != NULL && writer->column_capacity == COLUMNS_MAX) {
        memset(writer->columns, 0, COLUMNS_MAX * sizeof *writer->columns);
        writer->column_count = 0;
        return STATUS_OK;
    }
    size_t capacity = writer->columns == NULL ? COLUMNS_FIRST : 2 * writer->column_capacity;
    struct known_column *columns = calloc(capacity, sizeof *columns);
    if (columns == NULL)
        return fail(err, STATUS_MEMORY, "part %s: no memory for its time columns", writer->path);
    for (size_t i = 0; writer->columns != NULL && i < writer->column_capacity; i++)
        if (writer->columns[i].offset != 0)
            *column_place(columns, capacity, writer->columns[i].hash) = writer->columns[i];
    free(writer->columns);
    writer->columns = columns;
    writer->column_capacity = capacity;
    return STATUS_OK;
}

static enum status write_column(struct part_writer *writer, const int64_t *times, size_t count,
                                struct known_column *column, struct error *err)
{
    enum status status = make_room(writer, time_column_max_size(count) + 4, err);
    if (status != STATUS_OK)
        return status;
    uint8_t *to = buffer_end(writer);
    size_t size = time_column_encode(&writer->time_encoder, times, count, to);
    column->offset = position(writer);
    column->size = (uint32_t)size + 4;
    store_u32(to + size, part_checksum(writer->options.identity.id, column->offset, to, size));
    writer->buffered += column->size;
    return STATUS_OK;
}

/* Sets what the block's header says of its times, and writes them unless that is known already. */
static enum status put_times(struct part_writer *writer, const int64_t *times, size_t count,
                             struct part_block *block, struct error *err)
{
    block->first_ms = times[0];
    block->last_ms = times[count - 1];
    if (times_are_steady(times, count))
        return STATUS_OK;
    if (writer->columns == NULL || writer->column_count * 2 >= writer->column_capacity) {
        enum status status = grow_columns(writer, err);
        if (status != STATUS_OK)
            return status;
    }
    invariant(writer->columns != NULL);
    struct hash128 hash =
        hash128(slice_of(times, count * sizeof *times), writer->options.hash_seed);
    struct known_column *column = column_place(writer->columns, writer->column_capacity, hash);
    if (column->offset == 0) {
        enum status status = write_column(writer, times, count, column, err);
        if (status != STATUS_OK)
            return status;
        column->hash = hash;
        writer->column_count++;
    }
    block->times_offset = column->offset;
    block->times_size = column->size;
    return STATUS_OK;
}

/* ---- blocks ----------------------------------------------------------------------------- */

static enum status write_block(struct part_writer *writer, const int64_t *times,
                               const double *values, size_t count, struct error *err)
{
    enum status status = begin_block(writer, err);
    struct part_block block = {
        .metric = writer->metric,
        .series = writer->series,
        .kind = (uint8_t)writer->kind,
        .count = (uint32_t)count,
    };
    if (status == STATUS_OK)
        status = put_times(writer, times, count, &block, err);
    if (status == STATUS_OK)
        status = make_room(writer, value_block_max_size(count), err);
    if (status != STATUS_OK)
        return status;
    summary_init(&block.summary);
    summary_add(&block.summary, times, values, count);
    struct value_encoding encoding;
    uint8_t *to = buffer_end(writer);
    value_block_encode(&writer->value_encoder, values, count, to, &encoding);
    block.scale = (int8_t)encoding.scale;
    block.values_offset = position(writer);
    if (encoding.form != VALUE_CONSTANT) {
        block.values_size = (uint32_t)encoding.size;
        block.values_crc =
            part_checksum(writer->options.identity.id, block.values_offset, to, encoding.size);
        writer->buffered += encoding.size;
    }
    end_block(writer, &block);
    return STATUS_OK;
}

static enum status flush_pending(struct part_writer *writer, struct error *err)
{
    if (writer->pending == 0)
        return STATUS_OK;
    size_t count = writer->pending;
    writer->pending = 0;
    return write_block(writer, writer->times, writer->values, count, err);
}

/* Ends the series before and checks that what comes is in order. */
static enum status begin_samples(struct part_writer *writer, uint32_t metric, uint32_t series,
                                 enum part_kind kind, int64_t first_ms, int64_t last_ms,
                                 struct error *err)
{
    int order =
        writer->started ? part_compare_keys(writer->metric, writer->series, metric, series) : -1;
    invariant(order < 0 || (order == 0 && kind == writer->kind && first_ms > writer->last_ms));
    invariant(day_of_time(first_ms) == writer->options.identity.day &&
              day_of_time(last_ms) == writer->options.identity.day);
    if (order < 0) {
        enum status status = flush_pending(writer, err);
        if (status != STATUS_OK)
            return status;
        writer->totals.series++;
        roaring_bitmap_add(writer->series_set, series);
    }
    writer->started = true;
    writer->metric = metric;
    writer->series = series;
    writer->kind = kind;
    writer->last_ms = last_ms;
    return STATUS_OK;
}

static enum status add_samples(struct part_writer *writer, const int64_t *times,
                               const double *values, size_t count, struct error *err)
{
    while (count > 0) {
        if (writer->pending == writer->options.block_count) {
            enum status status = flush_pending(writer, err);
            if (status != STATUS_OK)
                return status;
        }
        size_t room = writer->options.block_count - writer->pending;
        size_t n = count < room ? count : room;
        memcpy(writer->times + writer->pending, times, n * sizeof *times);
        memcpy(writer->values + writer->pending, values, n * sizeof *values);
        writer->pending += n;
        times += n;
        values += n;
        count -= n;
    }
    return STATUS_OK;
}

enum status part_writer_add(struct part_writer *writer, uint32_t metric, uint32_t series,
                            enum part_kind kind, const int64_t *times, const double *values,
                            size_t count, struct error *err)
{
    invariant(writer->failed == STATUS_OK);
    if (count == 0)
        return STATUS_OK;
    bool rise = true;
    for (size_t i = 1; i < count; i++)
        rise &= times[i] > times[i - 1];
    invariant(rise);
    writer->failed = begin_samples(writer, metric, series, kind, times[0], times[count - 1], err);
    if (writer->failed == STATUS_OK)
        writer->failed = add_samples(writer, times, values, count, err);
    return writer->failed;
}

static enum status copy_block(struct part_writer *writer, const struct part_block *from,
                              const int64_t *times, struct slice values, struct error *err)
{
    enum status status =
        begin_samples(writer, from->metric, from->series, (enum part_kind)from->kind,
                      from->first_ms, from->last_ms, err);
    if (status == STATUS_OK)
        status = flush_pending(writer, err);
    if (status == STATUS_OK)
        status = begin_block(writer, err);
    struct part_block block = *from;
    block.times_offset = 0;
    block.times_size = 0;
    if (status == STATUS_OK)
        status = put_times(writer, times, from->count, &block, err);
    if (status == STATUS_OK)
        status = make_room(writer, values.size, err);
    if (status != STATUS_OK)
        return status;
    block.values_offset = position(writer);
    if (values.size > 0) {
        memcpy(buffer_end(writer), values.data, values.size);
        block.values_crc = part_checksum(writer->options.identity.id, block.values_offset,
                                         values.data, values.size);
        writer->buffered += values.size;
    }
    end_block(writer, &block);
    return STATUS_OK;
}

enum status part_writer_copy(struct part_writer *writer, struct part_cursor *cursor,
                             const struct part_block *block, struct error *err)
{
    invariant(writer->failed == STATUS_OK);
    int64_t *times = malloc(block->count * sizeof *times);
    if (times == NULL)
        return writer->failed = fail(err, STATUS_MEMORY, "part %s: no memory", writer->path);
    struct slice values = {0};
    enum status status = part_block_read(cursor, block, 0, block->count, times, NULL, err);
    if (status == STATUS_OK)
        status = part_block_values(cursor, block, &values, err);
    if (status == STATUS_OK)
        status = writer->failed = copy_block(writer, block, times, values, err);
    free(times);
    return status;
}

/* ---- beginning and end ------------------------------------------------------------------ */

static void writer_free(struct part_writer *writer)
{
    file_close(writer->file);
    if (writer->series_set != NULL)
        roaring_bitmap_free(writer->series_set);
    free(writer->columns);
    free(writer->index);
    free(writer->times);
    free(writer->values);
    free(writer->path);
    free(writer);
}

enum status part_writer_open(struct part_writer **writer, struct filesystem *fs, const char *path,
                             const struct part_writer_options *options, struct error *err)
{
    *writer = NULL;
    struct part_writer *made = malloc(sizeof *made);
    if (made == NULL)
        return fail(err, STATUS_MEMORY, "part %s: no memory for its writer", path);
    memset(made, 0, offsetof(struct part_writer, totals));
    made->fs = fs;
    made->options = *options;
    if (options->block_count == 0)
        made->options.block_count = PART_BLOCK_COUNT;
    invariant(made->options.block_count <= PART_BLOCK_MAX_COUNT);
    made->totals = (struct part_totals){0};
    made->path = strdup(path);
    made->series_set = roaring_bitmap_create();
    made->times = malloc(made->options.block_count * sizeof made->times[0]);
    made->values = malloc(made->options.block_count * sizeof made->values[0]);
    bool complete = made->path != NULL && made->series_set != NULL && made->times != NULL &&
                    made->values != NULL;
    enum status status = !complete
                             ? fail(err, STATUS_MEMORY, "part %s: no memory for its writer", path)
                             : filesystem_open(fs, path, FILE_CREATE_NEW, &made->file, err);
    if (status != STATUS_OK) {
        writer_free(made);
        return status;
    }
    part_header_encode(&options->identity, made->buffer);
    made->buffered = PART_HEADER_SIZE;
    made->page.values_offset = PART_HEADER_SIZE;
    *writer = made;
    return STATUS_OK;
}

static enum status write_set(struct part_writer *writer, struct part_trailer *trailer,
                             struct error *err)
{
    struct bytes bytes;
    bytes_init(&bytes, UINT32_MAX);
    roaring_bitmap_run_optimize(writer->series_set);
    enum status status = bitmap_encode(writer->series_set, &bytes);
    if (status != STATUS_OK)
        status = fail(err, status, "part %s: no memory for its set of series", writer->path);
    if (status == STATUS_OK) {
        trailer->set_size = (uint32_t)bytes.size;
        trailer->set_crc =
            part_checksum(writer->options.identity.id, position(writer), bytes.data, bytes.size);
        status = put_large(writer, bytes.data, bytes.size, err);
    }
    bytes_release(&bytes);
    return status;
}

static enum status write_index(struct part_writer *writer, uint64_t *offset, uint32_t *crc,
                               struct error *err)
{
    size_t size = (size_t)writer->totals.pages * PART_INDEX_ENTRY_SIZE;
    uint8_t *bytes = malloc(size);
    if (bytes == NULL)
        return fail(err, STATUS_MEMORY, "part %s: no memory for its index", writer->path);
    for (size_t i = 0; i < writer->totals.pages; i++)
        part_index_entry_encode(&writer->index[i], bytes + i * PART_INDEX_ENTRY_SIZE);
    *offset = position(writer);
    *crc = part_checksum(writer->options.identity.id, *offset, bytes, size);
    enum status status = put_large(writer, bytes, size, err);
    free(bytes);
    return status;
}

static enum status write_end(struct part_writer *writer, struct error *err)
{
    enum status status = flush_pending(writer, err);
    if (status == STATUS_OK)
        status = end_page(writer, err);
    if (status != STATUS_OK)
        return status;
    if (writer->totals.pages == 0)
        return fail(err, STATUS_INVALID, "part %s: it has no samples", writer->path);
    if (writer->totals.pages > UINT32_MAX)
        return fail(err, STATUS_LIMIT, "part %s: it has too many pages", writer->path);
    struct part_trailer trailer = {.identity = writer->options.identity};
    status = write_set(writer, &trailer, err);
    if (status == STATUS_OK)
        status = write_index(writer, &trailer.index_offset, &trailer.index_crc, err);
    if (status != STATUS_OK)
        return status;
    writer->totals.bytes = position(writer) + PART_TRAILER_SIZE;
    trailer.totals = writer->totals;
    part_trailer_encode(&trailer, buffer_end(writer));
    writer->buffered += PART_TRAILER_SIZE;
    status = flush_buffer(writer, err);
    return status == STATUS_OK ? file_sync(writer->file, err) : status;
}

enum status part_writer_finish(struct part_writer *writer, struct part_totals *totals,
                               struct error *err)
{
    invariant(writer->failed == STATUS_OK);
    enum status status = write_end(writer, err);
    if (status != STATUS_OK) {
        part_writer_abort(writer);
        return status;
    }
    *totals = writer->totals;
    writer_free(writer);
    return STATUS_OK;
}

void part_writer_abort(struct part_writer *writer)
{
    if (writer == NULL)
        return;
    /* What cannot be removed now is a leftover that the next start removes. */
    enum status status = filesystem_remove(writer->fs, writer->path, NULL);
    (void)status;
    writer_free(writer);
}

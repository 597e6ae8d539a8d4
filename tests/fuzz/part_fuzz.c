/*
 * part_fuzz - part files: any bytes either open or are refused with a sentence, and every walk,
 * search, decode, verify and inspect of what opened ends.
 *
 * Input: one byte of what to mend, the file. Mending (bit 0 header and trailer, bit 1 index, bit 2
 * pages) puts checksums right, so that what lies behind them is reached.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "base/bits.h"
#include "base/bytes.h"
#include "base/invariant.h"
#include "storage/engine/part_page.h"
#include "storage/engine/part_reader.h"

enum { MEND_FRAME = 1, MEND_INDEX = 2, MEND_PAGES = 4 };

/* ---- a file in memory ------------------------------------------------------------------- */

struct memory_file {
    struct file file;
    struct slice content;
};

struct memory_filesystem {
    struct filesystem fs;
    struct slice content;
};

static enum status memory_read(struct file *file, void *to, size_t size, uint64_t offset,
                               size_t *got, struct error *err)
{
    (void)err;
    const struct memory_file *memory = container_of(file, struct memory_file, file);
    size_t left = offset < memory->content.size ? memory->content.size - (size_t)offset : 0;
    *got = size < left ? size : left;
    if (*got > 0)
        memcpy(to, memory->content.data + offset, *got);
    return STATUS_OK;
}

static enum status memory_size(struct file *file, uint64_t *size, struct error *err)
{
    (void)err;
    *size = container_of(file, struct memory_file, file)->content.size;
    return STATUS_OK;
}

static void memory_close(struct file *file)
{
    free(container_of(file, struct memory_file, file));
}

static enum status memory_open(struct filesystem *fs, const char *path, enum file_mode mode,
                               struct file **file, struct error *err)
{
    static const struct file_ops ops = {
        .read = memory_read, .size = memory_size, .close = memory_close};
    (void)path;
    (void)mode;
    (void)err;
    struct memory_file *made = malloc(sizeof *made);
    invariant(made != NULL);
    made->file.ops = &ops;
    made->content = container_of(fs, struct memory_filesystem, fs)->content;
    *file = &made->file;
    return STATUS_OK;
}

/* ---- mending ---------------------------------------------------------------------------- */

static void mend_page(uint8_t *file, size_t size, uint64_t part_id, uint64_t offset)
{
    if (offset > size || size - offset < 24)
        return;
    uint8_t *page = file + offset;
    size_t page_size = part_page_size(page);
    if (page_size == 0 || page_size > size - offset)
        return;
    uint32_t crc = crc32c(part_checksum(part_id, offset, page, 8), page + 12, page_size - 12);
    store_u32(page + 8, crc);
}

static void mend(uint8_t *file, size_t size, unsigned what)
{
    if (size < PART_HEADER_SIZE + PART_TRAILER_SIZE)
        return;
    uint8_t *trailer = file + size - PART_TRAILER_SIZE;
    uint64_t id = load_u64(file + 16);
    uint64_t pages = load_u32(trailer + 64);
    uint64_t index_size = pages * PART_INDEX_ENTRY_SIZE;
    if (index_size <= size - PART_HEADER_SIZE - PART_TRAILER_SIZE) {
        uint64_t index_offset = size - PART_TRAILER_SIZE - index_size;
        for (uint64_t i = 0; (what & MEND_PAGES) != 0 && i < pages; i++)
            mend_page(file, size, id,
                      load_u64(file + index_offset + i * PART_INDEX_ENTRY_SIZE + 8));
        if ((what & MEND_INDEX) != 0)
            store_u32(trailer + 100,
                      part_checksum(id, index_offset, file + index_offset, (size_t)index_size));
        uint64_t set_size = load_u32(trailer + 104);
        if ((what & MEND_INDEX) != 0 && set_size <= index_offset)
            store_u32(trailer + 108,
                      part_checksum(id, index_offset - set_size, file + index_offset - set_size,
                                    (size_t)set_size));
    }
    if ((what & MEND_FRAME) != 0) {
        store_u32(file + 48, crc32c(0, file, 48));
        store_u32(trailer + PART_TRAILER_SIZE - 4, crc32c(0, trailer, PART_TRAILER_SIZE - 4));
    }
}

/* ---- using ------------------------------------------------------------------------------ */

static void walk(struct part *part)
{
    static int64_t times[PART_BLOCK_MAX_COUNT];
    static double values[PART_BLOCK_MAX_COUNT];
    struct part_cursor *cursor;
    struct error err;
    invariant(part_cursor_new(&cursor, part, &err) == STATUS_OK);
    part_cursor_seek(cursor, 0, 0);
    const struct part_block *block;
    struct part_loss lost;
    enum status status;
    while ((status = part_cursor_next(cursor, &block, &lost, &err)) != STATUS_END) {
        invariant(status == STATUS_OK || status == STATUS_CORRUPT);
        if (status != STATUS_OK)
            continue;
        size_t count;
        int64_t middle = block->first_ms + (block->last_ms - block->first_ms) / 2;
        status =
            part_block_read_range(cursor, block, middle, INT64_MAX, times, values, &count, &err);
        invariant(status == STATUS_OK || status == STATUS_CORRUPT);
        invariant(status != STATUS_OK || count == 0 || times[0] >= middle);
    }
    part_cursor_find(cursor, 1, 5);
    while ((status = part_cursor_next(cursor, &block, &lost, &err)) != STATUS_END)
        invariant(status == STATUS_OK || status == STATUS_CORRUPT);
    part_cursor_free(cursor);
}

static void ignore_damage(void *context, const struct error *err)
{
    (void)context;
    invariant(err->status == STATUS_CORRUPT && err->message[0] != 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct filesystem_ops ops = {.open = memory_open};
    if (size == 0)
        return 0;
    uint8_t *file = malloc(size);
    invariant(file != NULL);
    memcpy(file, data + 1, size - 1);
    mend(file, size - 1, data[0]);
    struct memory_filesystem memory = {.fs = {.ops = &ops}, .content = slice_of(file, size - 1)};
    struct part *part;
    struct error err = {0};
    enum status status = part_open(&part, &memory.fs, "fuzz.part", &err);
    if (status == STATUS_OK) {
        uint64_t found;
        walk(part);
        invariant(part_verify(part, ignore_damage, NULL, &found, &err) == STATUS_OK);
        struct bytes text;
        bytes_init(&text, 1 << 20);
        struct detail detail = {.to = &text, .json = data[0] % 2 == 1};
        status = part_inspect(part, true, &detail, &err);
        invariant(status == STATUS_OK || status == STATUS_LIMIT);
        bytes_release(&text);
        part_close(part);
    } else {
        invariant((status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED) &&
                  err.message[0] != 0);
    }
    free(file);
    return 0;
}

/*
 * An index segment of any bytes is read to its end, or refused as of another version. After a first
 * byte of 1 the input is records, each a type, a little-endian u16 size and so many bytes, which
 * become blocks with right checksums.
 */
#include "fuzz.h"

#include "base/bits.h"
#include "base/hash.h"
#include "base/invariant.h"
#include "storage/engine/index_segment.h"

#include "../unit/files.h"

#include <zstd.h>

enum { INPUT_MAX = 256 * 1024 };

static void put_block(struct bytes *file, uint32_t number, uint32_t type, struct slice record)
{
    size_t bound = ZSTD_compressBound(record.size);
    invariant(bytes_reserve(file, 24 + bound) == STATUS_OK);
    uint8_t *block = file->data + file->size;
    size_t size = 0;
    if (type != 0)
        size = ZSTD_compress(block + 24, bound, record.data, record.size, 1);
    invariant(!ZSTD_isError(size));
    memcpy(block + 4, "MSIB", 4);
    store_u32(block + 8, (uint32_t)size);
    store_u32(block + 12, (uint32_t)record.size);
    store_u32(block + 16, type);
    store_u32(block + 20, number);
    store_u32(block, crc32c(0, block + 4, 20 + size));
    file->size += 24 + size;
}

static void put_blocks(struct bytes *file, struct slice input)
{
    uint8_t header[32] = "MSINDEX1";
    store_u32(header + 16, 1);
    store_u32(header + 28, crc32c(0, header, 28));
    invariant(bytes_append(file, header, sizeof header) == STATUS_OK);
    uint32_t number = 0;
    for (; input.size >= 3; number++) {
        uint32_t type = input.data[0];
        size_t size = load_u16(input.data + 1);
        input = slice_from(input, 3);
        size = size < input.size ? size : input.size;
        put_block(file, number, type, slice_of(input.data, size));
        input = slice_from(input, size);
    }
    put_block(file, number, 0, slice_of(NULL, 0));
}

struct seen {
    size_t records, damage;
};

static enum status see_metric(void *context, const struct metric *metric, struct error *err)
{
    (void)context, (void)metric, (void)err;
    return STATUS_OK;
}

/* Series records have a target of their own, which knows how large ids may grow. */
static enum status see_record(void *context, enum record_type type, struct slice record,
                              struct error *err)
{
    ++((struct seen *)context)->records;
    return type == RECORD_METRICS ? record_get_metrics(record, see_metric, NULL, err) : STATUS_OK;
}

static void see_damage(void *context, const char *description)
{
    invariant(strncmp(description, "index segment /segment: ", 24) == 0);
    ++((struct seen *)context)->damage;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > INPUT_MAX)
        return 0;
    struct bytes file;
    bytes_init(&file, 64 * INPUT_MAX);
    if (data[0] == 1)
        put_blocks(&file, slice_of(data + 1, size - 1));
    else
        invariant(bytes_append(&file, data + 1, size - 1) == STATUS_OK);
    const struct test_file files[] = {
        {.path = "/segment",
         .text = file.size > 0 ? (const char *)file.data : "",
         .size = file.size},
        {.path = NULL},
    };
    struct test_files fs = test_files_of(files);
    struct seen seen = {0};
    enum status status = index_segment_read((struct os){.fs = &fs.fs}, "/segment", see_record,
                                            see_damage, &seen, NULL);
    invariant(status == STATUS_OK || status == STATUS_UNSUPPORTED);
    bytes_release(&file);
    return 0;
}

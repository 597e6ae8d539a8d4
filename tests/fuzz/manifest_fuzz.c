/*
 * A manifest of any bytes is read or refused. After a first byte of 1 the input is payloads, each a
 * little-endian u16 size and so many bytes, which become records with right checksums: what is in
 * them must not be trusted either.
 */
#include "fuzz.h"

#include "base/bits.h"
#include "base/bytes.h"
#include "base/hash.h"
#include "base/invariant.h"
#include "storage/engine/manifest.h"

#include "../unit/files.h"

enum { INPUT_MAX = 256 * 1024 };

static void put_record(struct bytes *file, uint64_t number, struct slice payload)
{
    for (int copy = 0; copy < 2; copy++) {
        invariant(bytes_reserve(file, 16 + payload.size) == STATUS_OK);
        uint8_t *record = file->data + file->size;
        store_u32(record + 4, (uint32_t)payload.size);
        store_u64(record + 8, number);
        if (payload.size > 0)
            memcpy(record + 16, payload.data, payload.size);
        store_u32(record, crc32c(0, record + 4, 12 + payload.size));
        file->size += 16 + payload.size;
    }
}

static void put_records(struct bytes *file, struct slice input)
{
    for (uint64_t number = 1; input.size >= 2; number++) {
        size_t size = load_u16(input.data);
        input = slice_from(input, 2);
        size = size < input.size ? size : input.size;
        put_record(file, number, slice_of(input.data, size));
        input = slice_from(input, size);
    }
}

static void count_damage(void *context, const char *description)
{
    invariant(description[0] != '\0');
    ++*(size_t *)context;
}

static void check(const struct manifest_state *state)
{
    for (size_t i = 1; i < state->part_count; i++) {
        const struct manifest_part *a = &state->parts[i - 1];
        const struct manifest_part *b = &state->parts[i];
        invariant(a->day < b->day || (a->day == b->day && a->min_sequence <= b->min_sequence));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > INPUT_MAX)
        return 0;
    struct bytes file;
    bytes_init(&file, 64 * INPUT_MAX);
    if (data[0] == 1)
        put_records(&file, slice_of(data + 1, size - 1));
    else
        invariant(bytes_append(&file, data + 1, size - 1) == STATUS_OK);
    const struct test_file files[] = {
        {.path = "/manifest",
         .text = file.size > 0 ? (const char *)file.data : "",
         .size = file.size},
        {.path = NULL},
    };
    struct test_files fs = test_files_of(files);
    struct manifest_state state;
    struct error err = {0};
    size_t damage = 0;
    enum status status =
        manifest_verify((struct os){.fs = &fs.fs}, "", count_damage, &damage, &state, &err);
    invariant(status == STATUS_OK || status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED);
    if (status == STATUS_OK) {
        check(&state);
        manifest_state_release(&state);
    }
    bytes_release(&file);
    return 0;
}

#include "storage/engine/series_segment_page.h"

#include <stdlib.h>

#include "base/invariant.h"

enum { ZSTD_LEVEL = 1 };

/* ---- writing ---------------------------------------------------------------------------- */

enum status segment_page_builder_init(struct segment_page_builder *builder)
{
    *builder = (struct segment_page_builder){
        .zstd = ZSTD_createCCtx(),
        .names = malloc(LABELS_MAX_COUNT * sizeof *builder->names),
        .values = malloc(LABELS_MAX_COUNT * sizeof *builder->values),
    };
    bytes_init(&builder->raw, SEGMENT_PAGE_RAW_MAX);
    bytes_init(&builder->stored,
               SEGMENT_PAGE_HEADER_SIZE + ZSTD_compressBound(SEGMENT_PAGE_RAW_MAX));
    bool made = builder->zstd != NULL && builder->names != NULL && builder->values != NULL;
    return made ? STATUS_OK : STATUS_MEMORY;
}

void segment_page_builder_release(struct segment_page_builder *builder)
{
    ZSTD_freeCCtx(builder->zstd);
    free(builder->names);
    free(builder->values);
    bytes_release(&builder->raw);
    bytes_release(&builder->stored);
}

static bool stands_at(const struct segment_page_builder *builder, struct segment_place place,
                      struct slice text)
{
    return place.size == text.size &&
           memcmp(builder->raw.data + place.offset, text.data, text.size) == 0;
}

static uint8_t *put_text(struct segment_page_builder *builder, uint8_t *to, struct slice text,
                         struct segment_place *place)
{
    *place = (struct segment_place){(uint32_t)(to - builder->raw.data), (uint32_t)text.size};
    if (text.size > 0)
        memcpy(to, text.data, text.size);
    return to + text.size;
}

static uint8_t *put_label(struct segment_page_builder *builder, uint8_t *to, uint32_t number,
                          const struct label *label)
{
    struct segment_place *name = &builder->names[number];
    struct segment_place *value = &builder->values[number];
    bool same_name = number < builder->label_count && stands_at(builder, *name, label->name);
    if (same_name && stands_at(builder, *value, label->value)) {
        *to++ = 0;
        return to;
    }
    if (same_name) {
        to = varint_put(to, 2 * label->value.size + 1);
    } else {
        to = varint_put(to, 2 * label->name.size);
        to = put_text(builder, to, label->name, name);
        to = varint_put(to, label->value.size);
    }
    return put_text(builder, to, label->value, value);
}

/* The most that a definition can take; 0 when it is beyond the limits. */
static size_t room_for(const struct labels *labels)
{
    if (labels->count > LABELS_MAX_COUNT)
        return 0;
    size_t size = 0;
    for (size_t i = 0; i < labels->count; i++) {
        const struct label *label = &labels->items[i];
        if (label->name.size == 0 || label->name.size > LABEL_VALUE_MAX_SIZE ||
            label->value.size > LABEL_VALUE_MAX_SIZE)
            return 0;
        size += label->name.size + label->value.size + LABEL_FRAMING_SIZE;
    }
    return size > LABELS_MAX_SIZE ? 0 : size + 3 * VARINT_MAX_SIZE;
}

enum status segment_page_put(struct segment_page_builder *builder, uint32_t id, uint32_t metric,
                             const struct labels *labels)
{
    size_t room = room_for(labels);
    if (room == 0)
        return STATUS_LIMIT;
    enum status status = bytes_reserve(&builder->raw, room);
    if (status != STATUS_OK)
        return status;
    uint8_t *to = builder->raw.data + builder->raw.size;
    if (builder->count == 0)
        builder->first_id = id;
    else
        to = varint_put(to, id - builder->last_id - 1);
    to = varint_put(to, metric);
    to = varint_put(to, labels->count);
    for (uint32_t i = 0; i < labels->count; i++)
        to = put_label(builder, to, i, &labels->items[i]);
    builder->raw.size = (size_t)(to - builder->raw.data);
    builder->label_count = (uint32_t)labels->count;
    builder->last_id = id;
    builder->count++;
    return STATUS_OK;
}

enum status segment_page_close(struct segment_page_builder *builder, uint64_t segment_id,
                               uint64_t offset, uint32_t series_before, struct slice *page)
{
    invariant(builder->count > 0);
    size_t bound = ZSTD_compressBound(builder->raw.size);
    bytes_clear(&builder->stored);
    enum status status = bytes_reserve(&builder->stored, SEGMENT_PAGE_HEADER_SIZE + bound);
    if (status != STATUS_OK)
        return status;
    uint8_t *header = builder->stored.data;
    size_t size = ZSTD_compressCCtx(builder->zstd, header + SEGMENT_PAGE_HEADER_SIZE, bound,
                                    builder->raw.data, builder->raw.size, ZSTD_LEVEL);
    if (ZSTD_isError(size))
        return STATUS_MEMORY;
    store_u32(header + 4, SEGMENT_PAGE_MAGIC);
    store_u32(header + 8, (uint32_t)size);
    store_u32(header + 12, (uint32_t)builder->raw.size);
    store_u32(header + 16, builder->count);
    store_u32(header + 20, series_before);
    store_u32(header + 24, builder->first_id);
    size += SEGMENT_PAGE_HEADER_SIZE;
    store_u32(header, segment_checksum(segment_id, offset, header + 4, size - 4));
    *page = slice_of(header, size);
    bytes_clear(&builder->raw);
    builder->label_count = 0;
    builder->count = 0;
    return STATUS_OK;
}

/* ---- reading ---------------------------------------------------------------------------- */

enum status segment_page_init(struct segment_page *page)
{
    *page = (struct segment_page){
        .zstd = ZSTD_createDCtx(),
        .labels = malloc(LABELS_MAX_COUNT * sizeof *page->labels),
    };
    bytes_init(&page->raw, SEGMENT_PAGE_RAW_MAX);
    return page->zstd == NULL || page->labels == NULL ? STATUS_MEMORY : STATUS_OK;
}

void segment_page_release(struct segment_page *page)
{
    ZSTD_freeDCtx(page->zstd);
    free(page->labels);
    bytes_release(&page->raw);
}

uint64_t segment_page_size(const uint8_t *header)
{
    if (load_u32(header + 4) != SEGMENT_PAGE_MAGIC)
        return 0;
    uint32_t stored = load_u32(header + 8);
    uint32_t raw = load_u32(header + 12);
    uint32_t count = load_u32(header + 16);
    if (raw > SEGMENT_PAGE_RAW_MAX || stored > ZSTD_compressBound(SEGMENT_PAGE_RAW_MAX) ||
        count == 0 || count > SEGMENT_PAGE_MAX_SERIES)
        return 0;
    return SEGMENT_PAGE_HEADER_SIZE + (uint64_t)stored;
}

enum status segment_page_check(struct slice bytes, uint64_t segment_id, uint64_t offset,
                               struct error *err)
{
    if (bytes.size < SEGMENT_PAGE_HEADER_SIZE || segment_page_size(bytes.data) != bytes.size)
        return fail(err, STATUS_CORRUPT, "its header is damaged");
    uint32_t got = segment_checksum(segment_id, offset, bytes.data + 4, bytes.size - 4);
    if (got != load_u32(bytes.data))
        return fail(err, STATUS_CORRUPT, "checksum differs (got %08x, want %08x)", got,
                    load_u32(bytes.data));
    return STATUS_OK;
}

enum status segment_page_load(struct segment_page *page, struct slice bytes, uint64_t segment_id,
                              uint64_t offset, struct error *err)
{
    enum status status = segment_page_check(bytes, segment_id, offset, err);
    if (status != STATUS_OK)
        return status;
    uint32_t raw_size = load_u32(bytes.data + 12);
    bytes_clear(&page->raw);
    if (bytes_reserve(&page->raw, raw_size) != STATUS_OK)
        return fail(err, STATUS_MEMORY, "no memory for a page of %u bytes", raw_size);
    size_t size = ZSTD_decompressDCtx(page->zstd, page->raw.data, raw_size,
                                      bytes.data + SEGMENT_PAGE_HEADER_SIZE,
                                      bytes.size - SEGMENT_PAGE_HEADER_SIZE);
    if (ZSTD_isError(size) || size != raw_size)
        return fail(err, STATUS_CORRUPT, "it does not decompress");
    page->raw.size = size;
    page->count = load_u32(bytes.data + 16);
    page->series_before = load_u32(bytes.data + 20);
    page->first_id = load_u32(bytes.data + 24);
    segment_page_rewind(page);
    return STATUS_OK;
}

void segment_page_rewind(struct segment_page *page)
{
    page->input = segment_input_of(bytes_slice(&page->raw));
    page->decoded = 0;
    page->label_count = 0;
}

/* False when the tag speaks of a label that the definition before does not have. */
static bool read_label(struct segment_page *page, uint32_t number, uint32_t labels_before)
{
    struct label *label = &page->labels[number];
    uint64_t tag = segment_get(&page->input, 2 * LABEL_VALUE_MAX_SIZE + 1);
    bool another_name = tag != 0 && tag % 2 == 0;
    if (!another_name && number >= labels_before)
        return false;
    if (tag == 0)
        return page->input.at != NULL;
    if (another_name) {
        label->name = segment_get_bytes(&page->input, (size_t)(tag / 2));
        label->value = segment_get_text(&page->input, LABEL_VALUE_MAX_SIZE);
    } else {
        label->value = segment_get_bytes(&page->input, (size_t)(tag / 2));
    }
    return page->input.at != NULL;
}

enum status segment_page_next(struct segment_page *page, struct error *err)
{
    if (page->decoded == page->count) {
        if (segment_input_left(&page->input))
            return fail(err, STATUS_CORRUPT, "bytes follow its last definition");
        return STATUS_END;
    }
    uint64_t id = page->first_id;
    if (page->decoded > 0)
        id = page->id + UINT64_C(1) + segment_get(&page->input, UINT32_MAX);
    page->metric = (uint32_t)segment_get(&page->input, UINT32_MAX);
    uint32_t labels_before = page->label_count;
    page->label_count = (uint32_t)segment_get(&page->input, LABELS_MAX_COUNT);
    bool sound = page->input.at != NULL && id <= UINT32_MAX;
    for (uint32_t i = 0; i < page->label_count && sound; i++)
        sound = read_label(page, i, labels_before);
    if (!sound)
        return fail(err, STATUS_CORRUPT, "definition %u does not decode", page->decoded);
    page->id = (uint32_t)id;
    page->decoded++;
    return STATUS_OK;
}

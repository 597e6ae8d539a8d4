#include "storage/engine/series_segment_format.h"

#include <inttypes.h>

static const char header_magic[8] = {'M', 'S', 'S', 'E', 'R', 'I', 'E', 'S'};
static const char trailer_magic[8] = {'M', 'E', 'S', 'E', 'R', 'I', 'E', 'S'};

bool segment_has_magic(const uint8_t *header, size_t size)
{
    return size >= sizeof header_magic && memcmp(header, header_magic, sizeof header_magic) == 0;
}

void segment_header_encode(uint64_t id, uint8_t to[SEGMENT_HEADER_SIZE])
{
    memcpy(to, header_magic, 8);
    store_u64(to + 8, id);
    store_u32(to + 16, SEGMENT_VERSION);
    store_u32(to + 20, crc32c(0, to, 20));
}

enum status segment_header_decode(const uint8_t from[SEGMENT_HEADER_SIZE], uint64_t *id,
                                  struct error *err)
{
    if (!segment_has_magic(from, SEGMENT_HEADER_SIZE))
        return fail(err, STATUS_CORRUPT, "it does not begin as a series segment does");
    uint32_t got = crc32c(0, from, 20);
    if (got != load_u32(from + 20))
        return fail(err, STATUS_CORRUPT, "header checksum differs (got %08x, want %08x)", got,
                    load_u32(from + 20));
    uint32_t version = load_u32(from + 16);
    if (version != SEGMENT_VERSION)
        return fail(err, STATUS_UNSUPPORTED, "it is of version %u; this program reads version %d",
                    version, SEGMENT_VERSION);
    *id = load_u64(from + 8);
    return STATUS_OK;
}

void segment_trailer_encode(const struct segment_trailer *trailer, uint8_t to[SEGMENT_TRAILER_SIZE])
{
    const struct series_segment_stats *stats = &trailer->stats;
    store_u64(to, trailer->id);
    store_u32(to + 8, stats->first_id);
    store_u32(to + 12, stats->last_id);
    store_u64(to + 16, stats->series);
    store_u64(to + 24, stats->pairs);
    store_u64(to + 32, stats->metrics);
    store_u64(to + 40, stats->bytes);
    store_u64(to + 48, trailer->definitions_end);
    store_u64(to + 56, trailer->keys_begin);
    uint8_t *at = to + 64;
    for (int i = 0; i < SEGMENT_DIRECTORIES; i++, at += 12) {
        store_u64(at, trailer->directories[i].size);
        store_u32(at + 8, trailer->directories[i].crc);
    }
    memcpy(at, trailer_magic, 8);
    store_u32(at + 8, crc32c(0, to, SEGMENT_TRAILER_SIZE - 4));
}

uint64_t segment_directories_begin(const struct segment_trailer *trailer)
{
    return trailer->keys_begin + trailer->stats.series * SEGMENT_KEY_SIZE;
}

/* What a file of this size can hold, so that no later sum overflows. */
static bool is_possible(const struct segment_trailer *trailer, uint64_t file_size)
{
    const struct series_segment_stats *stats = &trailer->stats;
    if (stats->bytes != file_size || stats->series > file_size / SEGMENT_KEY_SIZE ||
        stats->series > UINT32_MAX || stats->pairs > file_size || stats->metrics > stats->series ||
        stats->first_id > stats->last_id || trailer->definitions_end < SEGMENT_HEADER_SIZE ||
        trailer->definitions_end > trailer->keys_begin || trailer->keys_begin > file_size ||
        trailer->keys_begin % SEGMENT_ALIGNMENT != 0)
        return false;
    uint64_t at = segment_directories_begin(trailer);
    for (int i = 0; i < SEGMENT_DIRECTORIES; i++) {
        if (trailer->directories[i].size > file_size)
            return false;
        at += trailer->directories[i].size;
    }
    return at + SEGMENT_TRAILER_SIZE == file_size;
}

enum status segment_trailer_decode(const uint8_t from[SEGMENT_TRAILER_SIZE], uint64_t file_size,
                                   struct segment_trailer *trailer, struct error *err)
{
    const uint8_t *end = from + SEGMENT_TRAILER_SIZE;
    if (memcmp(end - 12, trailer_magic, 8) != 0)
        return fail(err, STATUS_CORRUPT, "it does not end as a series segment does");
    uint32_t got = crc32c(0, from, SEGMENT_TRAILER_SIZE - 4);
    if (got != load_u32(end - 4))
        return fail(err, STATUS_CORRUPT, "trailer checksum differs (got %08x, want %08x)", got,
                    load_u32(end - 4));
    *trailer = (struct segment_trailer){
        .id = load_u64(from),
        .stats = {.first_id = load_u32(from + 8),
                  .last_id = load_u32(from + 12),
                  .series = load_u64(from + 16),
                  .pairs = load_u64(from + 24),
                  .metrics = load_u64(from + 32),
                  .bytes = load_u64(from + 40)},
        .definitions_end = load_u64(from + 48),
        .keys_begin = load_u64(from + 56),
    };
    const uint8_t *at = from + 64;
    for (int i = 0; i < SEGMENT_DIRECTORIES; i++, at += 12)
        trailer->directories[i] =
            (struct segment_block){.size = load_u64(at), .crc = load_u32(at + 8)};
    if (!is_possible(trailer, file_size))
        return fail(err, STATUS_CORRUPT, "the trailer contradicts itself or the file's size");
    return STATUS_OK;
}

enum status segment_put(struct bytes *to, uint64_t value)
{
    enum status status = bytes_reserve(to, VARINT_MAX_SIZE);
    if (status == STATUS_OK)
        to->size = (size_t)(varint_put(to->data + to->size, value) - to->data);
    return status;
}

enum status segment_put_u32(struct bytes *to, uint32_t value)
{
    return bytes_append(to, &value, sizeof value);
}

enum status segment_put_text(struct bytes *to, struct slice text)
{
    enum status status = segment_put(to, text.size);
    return status == STATUS_OK ? bytes_append(to, text.data, text.size) : status;
}

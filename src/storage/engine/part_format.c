#include "storage/engine/part_format.h"

#include "base/times.h"

void part_header_encode(const struct part_identity *identity, uint8_t to[PART_HEADER_SIZE])
{
    store_u64(to, PART_HEADER_MAGIC);
    store_u32(to + 8, PART_VERSION);
    store_u32(to + 12, identity->level);
    store_u64(to + 16, identity->id);
    store_u64(to + 24, (uint64_t)identity->day);
    store_u64(to + 32, identity->min_sequence);
    store_u64(to + 40, identity->max_sequence);
    store_u32(to + 48, crc32c(0, to, 48));
}

static enum status check_identity(uint32_t version, const struct part_identity *identity,
                                  struct error *err)
{
    if (version >= 1 && version <= PART_VERSION) {
        if (identity->day < day_of_time(TIME_MIN_MS) || identity->day > day_of_time(TIME_MAX_MS))
            return fail(err, STATUS_CORRUPT, "day %lld is outside the range of times",
                        (long long)identity->day);
        return STATUS_OK;
    }
    return fail(err, STATUS_UNSUPPORTED,
                "it has format version %u and this program reads versions 1 to %d: use the program "
                "that wrote it, or a later one",
                version, PART_VERSION);
}

enum status part_header_decode(const uint8_t from[PART_HEADER_SIZE], struct part_identity *identity,
                               uint32_t *version, struct error *err)
{
    if (load_u64(from) != PART_HEADER_MAGIC)
        return fail(err, STATUS_CORRUPT, "the header does not begin like a part's");
    uint32_t want = load_u32(from + 48);
    uint32_t got = crc32c(0, from, 48);
    if (got != want)
        return fail(err, STATUS_CORRUPT, "header checksum differs (got %08x, want %08x)", got,
                    want);
    *identity = (struct part_identity){
        .level = load_u32(from + 12),
        .id = load_u64(from + 16),
        .day = (int64_t)load_u64(from + 24),
        .min_sequence = load_u64(from + 32),
        .max_sequence = load_u64(from + 40),
    };
    *version = load_u32(from + 8);
    return check_identity(*version, identity, err);
}

void part_trailer_encode(const struct part_trailer *trailer, uint8_t to[PART_TRAILER_SIZE])
{
    store_u64(to, trailer->identity.id);
    store_u64(to + 8, (uint64_t)trailer->identity.day);
    store_u64(to + 16, trailer->identity.min_sequence);
    store_u64(to + 24, trailer->identity.max_sequence);
    store_u32(to + 32, trailer->identity.level);
    store_u32(to + 36, PART_VERSION);
    store_u64(to + 40, trailer->totals.samples);
    store_u64(to + 48, trailer->totals.blocks);
    store_u64(to + 56, trailer->totals.series);
    store_u32(to + 64, (uint32_t)trailer->totals.pages);
    store_u64(to + 68, (uint64_t)trailer->totals.min_ms);
    store_u64(to + 76, (uint64_t)trailer->totals.max_ms);
    store_u64(to + 84, trailer->totals.bytes);
    store_u64(to + 92, trailer->index_offset);
    store_u32(to + 100, trailer->index_crc);
    store_u32(to + 104, trailer->set_size);
    store_u32(to + 108, trailer->set_crc);
    store_u64(to + 112, PART_TRAILER_MAGIC);
    store_u32(to + 120, crc32c(0, to, 120));
}

static enum status check_places(const struct part_trailer *trailer, uint64_t size,
                                uint64_t file_size, struct error *err)
{
    uint64_t index_size = trailer->totals.pages * PART_INDEX_ENTRY_SIZE;
    if (trailer->totals.bytes != file_size)
        return fail(err, STATUS_CORRUPT, "the file has %llu bytes where its trailer says %llu",
                    (unsigned long long)file_size, (unsigned long long)trailer->totals.bytes);
    if (trailer->index_offset < PART_HEADER_SIZE || trailer->index_offset > file_size ||
        file_size - trailer->index_offset != index_size + size)
        return fail(err, STATUS_CORRUPT, "the trailer places the index outside the file");
    if (trailer->set_size > trailer->index_offset - PART_HEADER_SIZE)
        return fail(err, STATUS_CORRUPT, "the trailer places the series set outside the file");
    return STATUS_OK;
}

/* `from` is where the trailer begins, `size` what it has up to its magic number. */
static enum status decode_trailer(const uint8_t *from, uint32_t size, uint64_t file_size,
                                  struct part_trailer *trailer, struct error *err)
{
    uint32_t want = load_u32(from + size - 4);
    uint32_t got = crc32c(0, from, size - 4);
    if (got != want)
        return fail(err, STATUS_CORRUPT, "trailer checksum differs (got %08x, want %08x)", got,
                    want);
    bool has_set = size == PART_TRAILER_SIZE;
    *trailer = (struct part_trailer){
        .identity = {.id = load_u64(from),
                     .day = (int64_t)load_u64(from + 8),
                     .min_sequence = load_u64(from + 16),
                     .max_sequence = load_u64(from + 24),
                     .level = load_u32(from + 32)},
        .totals = {.samples = load_u64(from + 40),
                   .blocks = load_u64(from + 48),
                   .series = load_u64(from + 56),
                   .pages = load_u32(from + 64),
                   .min_ms = (int64_t)load_u64(from + 68),
                   .max_ms = (int64_t)load_u64(from + 76),
                   .bytes = load_u64(from + 84)},
        .index_offset = load_u64(from + 92),
        .index_crc = load_u32(from + 100),
        .set_size = has_set ? load_u32(from + 104) : 0,
        .set_crc = has_set ? load_u32(from + 108) : 0,
    };
    enum status status = check_identity(load_u32(from + 36), &trailer->identity, err);
    return status == STATUS_OK ? check_places(trailer, size, file_size, err) : status;
}

enum status part_trailer_decode(const uint8_t from[PART_TRAILER_SIZE], uint64_t file_size,
                                struct part_trailer *trailer, struct error *err)
{
    /* All versions end with the same 12 bytes; what begins earlier has more before them. */
    const uint8_t *first = from + PART_TRAILER_SIZE - PART_TRAILER_SIZE_1;
    if (load_u64(from + PART_TRAILER_SIZE - 12) != PART_TRAILER_MAGIC)
        return fail(err, STATUS_CORRUPT, "the file does not end like a part");
    if (load_u32(first + 36) == 1 &&
        load_u32(first + PART_TRAILER_SIZE_1 - 4) == crc32c(0, first, PART_TRAILER_SIZE_1 - 4))
        return decode_trailer(first, PART_TRAILER_SIZE_1, file_size, trailer, err);
    return decode_trailer(from, PART_TRAILER_SIZE, file_size, trailer, err);
}

void part_index_entry_encode(const struct part_index_entry *entry, uint8_t *to)
{
    store_u32(to, entry->metric);
    store_u32(to + 4, entry->series);
    store_u64(to + 8, entry->offset);
    store_u32(to + 16, entry->size);
    store_u32(to + 20, entry->blocks);
    store_u64(to + 24, (uint64_t)entry->min_ms);
    store_u64(to + 32, (uint64_t)entry->max_ms);
}

void part_index_entry_decode(const uint8_t *from, struct part_index_entry *entry)
{
    *entry = (struct part_index_entry){
        .metric = load_u32(from),
        .series = load_u32(from + 4),
        .offset = load_u64(from + 8),
        .size = load_u32(from + 16),
        .blocks = load_u32(from + 20),
        .min_ms = (int64_t)load_u64(from + 24),
        .max_ms = (int64_t)load_u64(from + 32),
    };
}

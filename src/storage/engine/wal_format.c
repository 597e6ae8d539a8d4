#include "storage/engine/wal_format.h"

#include "base/bits.h"
#include "base/hash.h"
#include "base/invariant.h"

#include <inttypes.h>
#include <stdio.h>

/*
 * Segment header: magic 8, version u32, epoch u32, number u64, size u64, key u64, created i64,
 * owner u64, zeros, checksum u32 over the bytes before it.
 * Record header: checksum u32, length u32, order u64, lsn u64, index u32, type u8, flags u8, zeros
 * u16.
 */
static const char magic[8] = {'M', 'S', 'W', 'A', 'L', 'S', 'E', 'G'};

enum {
    HEADER_VERSION = 8,
    HEADER_EPOCH = 12,
    HEADER_NUMBER = 16,
    HEADER_SEGMENT_SIZE = 24,
    HEADER_KEY = 32,
    HEADER_CREATED = 40,
    HEADER_OWNER = 48,
    HEADER_CHECKSUM = 60,

    RECORD_LENGTH = 4,
    RECORD_ORDER = 8,
    RECORD_LSN = 16,
    RECORD_INDEX = 24,
    RECORD_TYPE = 28,
    RECORD_FLAGS = 29,
    RECORD_ZERO = 30,
};

_Static_assert(HEADER_CHECKSUM + 4 == WAL_HEADER_SIZE, "on-disk layout, see docs/formats/wal.md");
_Static_assert(RECORD_ZERO + 2 == WAL_RECORD_HEADER_SIZE,
               "on-disk layout, see docs/formats/wal.md");

void wal_segment_header_encode(const struct wal_segment_header *header, uint8_t *block)
{
    memset(block, 0, WAL_DATA_START);
    memcpy(block, magic, sizeof magic);
    store_u32(block + HEADER_VERSION, WAL_VERSION);
    store_u32(block + HEADER_EPOCH, header->epoch);
    store_u64(block + HEADER_NUMBER, header->number);
    store_u64(block + HEADER_SEGMENT_SIZE, header->size);
    store_u64(block + HEADER_KEY, header->key);
    store_u64(block + HEADER_CREATED, (uint64_t)header->created_ms);
    store_u64(block + HEADER_OWNER, header->owner);
    store_u32(block + HEADER_CHECKSUM, crc32c(0, block, HEADER_CHECKSUM));
    memcpy(block + WAL_HEADER_COPY, block, WAL_HEADER_SIZE);
}

static bool header_holds(const uint8_t *bytes)
{
    return memcmp(bytes, magic, sizeof magic) == 0 &&
           load_u32(bytes + HEADER_CHECKSUM) == crc32c(0, bytes, HEADER_CHECKSUM);
}

enum status wal_segment_header_decode(const uint8_t *block, struct wal_segment_header *header,
                                      bool *damaged, struct error *err)
{
    bool first = header_holds(block);
    bool second = header_holds(block + WAL_HEADER_COPY);
    const uint8_t *bytes = first ? block : block + WAL_HEADER_COPY;
    *damaged = !first || !second;
    if (!first && !second)
        return fail(err, STATUS_CORRUPT, "both copies of the segment's header are damaged");
    uint32_t version = load_u32(bytes + HEADER_VERSION);
    if (version != WAL_VERSION)
        return fail(err, STATUS_UNSUPPORTED,
                    "the segment has format version %" PRIu32 ", this program reads version %d: "
                    "use the program that wrote it",
                    version, WAL_VERSION);
    *header = (struct wal_segment_header){
        .number = load_u64(bytes + HEADER_NUMBER),
        .size = load_u64(bytes + HEADER_SEGMENT_SIZE),
        .key = load_u64(bytes + HEADER_KEY),
        .created_ms = (int64_t)load_u64(bytes + HEADER_CREATED),
        .owner = load_u64(bytes + HEADER_OWNER),
        .epoch = load_u32(bytes + HEADER_EPOCH),
    };
    if (header->size < WAL_SEGMENT_SIZE_MIN || header->size > WAL_SEGMENT_SIZE_MAX ||
        header->size % WAL_DATA_START != 0)
        return fail(err, STATUS_CORRUPT,
                    "the segment's header names an impossible size of %" PRIu64 " bytes",
                    header->size);
    return STATUS_OK;
}

uint32_t wal_checksum_seed(uint64_t key)
{
    return crc32c(0, &key, sizeof key);
}

void wal_record_seal(uint8_t *record, const struct wal_record_header *header, uint32_t seed)
{
    store_u32(record + RECORD_LENGTH, header->length);
    store_u64(record + RECORD_ORDER, header->order);
    store_u64(record + RECORD_LSN, header->lsn);
    store_u32(record + RECORD_INDEX, header->index);
    record[RECORD_TYPE] = header->type;
    record[RECORD_FLAGS] = header->flags;
    store_u16(record + RECORD_ZERO, 0);
    size_t size = wal_record_size(header->length);
    store_u32(record, crc32c(seed, record + RECORD_LENGTH, size - RECORD_LENGTH));
}

void wal_record_header_decode(const uint8_t *record, struct wal_record_header *header)
{
    *header = (struct wal_record_header){
        .checksum = load_u32(record),
        .length = load_u32(record + RECORD_LENGTH),
        .order = load_u64(record + RECORD_ORDER),
        .lsn = load_u64(record + RECORD_LSN),
        .index = load_u32(record + RECORD_INDEX),
        .type = record[RECORD_TYPE],
        .flags = record[RECORD_FLAGS],
    };
}

bool wal_record_header_plausible(const uint8_t *record, const struct wal_record_header *header,
                                 uint64_t lsn, uint64_t room)
{
    if (header->lsn != lsn || header->length > WAL_RECORD_MAX ||
        wal_record_size(header->length) > room || load_u16(record + RECORD_ZERO) != 0)
        return false;
    switch (header->flags) {
    case WAL_FLAG_BEGIN:
        return header->index == 0 && header->length == WAL_BEGIN_PAYLOAD_SIZE;
    case WAL_FLAG_COMMIT:
        return header->index > 0 && header->length == 0;
    case WAL_FLAG_MORE:
    case 0:
        return header->index > 0;
    default:
        return false;
    }
}

bool wal_record_checksum_holds(const uint8_t *record, const struct wal_record_header *header,
                               uint32_t seed)
{
    size_t size = wal_record_size(header->length);
    return header->checksum == crc32c(seed, record + RECORD_LENGTH, size - RECORD_LENGTH);
}

static const char spare_prefix[] = "spare-";
static const char name_end[] = ".wal";
enum { NUMBER_DIGITS = 16 };

void wal_segment_name(char name[WAL_NAME_SIZE], uint64_t number)
{
    snprintf(name, WAL_NAME_SIZE, "%016" PRIx64 "%s", number, name_end);
}

void wal_spare_name(char name[WAL_NAME_SIZE], uint64_t number)
{
    snprintf(name, WAL_NAME_SIZE, "%s%016" PRIx64 "%s", spare_prefix, number, name_end);
}

bool wal_segment_name_parse(const char *name, uint64_t *number)
{
    uint64_t value = 0;
    for (size_t i = 0; i < NUMBER_DIGITS; i++) {
        unsigned digit;
        if (name[i] >= '0' && name[i] <= '9')
            digit = (unsigned)(name[i] - '0');
        else if (name[i] >= 'a' && name[i] <= 'f')
            digit = (unsigned)(name[i] - 'a') + 10;
        else
            return false;
        value = value << 4 | digit;
    }
    /* Segment numbers have 32 bits: the upper half of an LSN. */
    if (strcmp(name + NUMBER_DIGITS, name_end) != 0 || value == 0 || value > UINT32_MAX)
        return false;
    *number = value;
    return true;
}

bool wal_spare_name_parse(const char *name, uint64_t *number)
{
    size_t size = sizeof spare_prefix - 1;
    return strncmp(name, spare_prefix, size) == 0 && wal_segment_name_parse(name + size, number);
}

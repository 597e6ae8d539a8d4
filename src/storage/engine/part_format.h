/*
 * part_format - what the writer and the reader of part files agree on; docs/formats/part.md.
 *
 *   file   := header, group *, series set, index, trailer
 *   group  := (time column, values of a block) *, page
 *   page   := block headers of the group, in columns                       part_page.h
 *   set    := ids of all series in the part                                bitmap_codec.h
 *   index  := one entry a page: its first key, place, and range of times
 * Version 1 has no set.
 *
 * Every checksum is a CRC32C that begins with the part's id and the offset in the file, so that
 * bytes of another part, or of another place, are never taken for the right ones.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_PART_FORMAT_H
#define METRIC_STORE_STORAGE_ENGINE_PART_FORMAT_H

#include "base/bits.h"
#include "base/hash.h"
#include "base/status.h"
#include "model/summary.h"
#include "storage/engine/value_codec.h"

enum {
    PART_VERSION = 2,                             /* what is written; earlier ones are read */
    PART_BLOCK_MAX_COUNT = VALUE_BLOCK_MAX_COUNT, /* what may be read */
    PART_BLOCK_COUNT = 1024,                      /* what is written */
    PART_WARM_BLOCK_COUNT = 4096,                 /* likewise, of a warm day */
    PART_PAGE_MAX_BLOCKS = 256,
    PART_PAGE_MAX_SIZE = 128 * 1024,
    PART_HEADER_SIZE = 52,
    PART_TRAILER_SIZE = 124,
    PART_TRAILER_SIZE_1 = 116, /* of version 1 */
    PART_INDEX_ENTRY_SIZE = 40,
};

#define PART_HEADER_MAGIC  UINT64_C(0x0a0d54524150534d) /* "MSPART\r\n" */
#define PART_TRAILER_MAGIC UINT64_C(0x0a0d54524150454d) /* "MEPART\r\n" */
#define PART_PAGE_MAGIC    UINT32_C(0x3147504d)         /* "MPG1" */

/* What kind of samples a series has. */
enum part_kind { PART_KIND_FLOAT = 0 };

/* Who a part is: stands in the header and again in the trailer. */
struct part_identity {
    uint64_t id;
    int64_t day; /* UTC days since 1970 */
    uint64_t min_sequence;
    uint64_t max_sequence;
    uint32_t level; /* merges it has been through */
};

/* A part's contents, counted. */
struct part_totals {
    uint64_t samples;
    uint64_t blocks;
    uint64_t series;
    uint64_t pages;
    int64_t min_ms; /* of all samples */
    int64_t max_ms;
    uint64_t bytes; /* of the file */
};

/* A block's header. */
struct part_block {
    uint32_t metric; /* id of the metric's name */
    uint32_t series;
    uint8_t kind;     /* enum part_kind */
    int8_t scale;     /* value_scale.h; of the integers in the header */
    uint32_t count;   /* stale markers too */
    int64_t first_ms; /* stale markers too */
    int64_t last_ms;
    struct summary summary;
    uint64_t values_offset;
    uint32_t values_size; /* 0: all values are the first one, or all are stale markers */
    uint32_t values_crc;
    uint64_t times_offset;
    uint32_t times_size; /* with its checksum; 0: steady from first_ms to last_ms */
};

/* An entry of the index. */
struct part_index_entry {
    uint32_t metric; /* of the page's first block */
    uint32_t series;
    uint64_t offset;
    uint32_t size;
    uint32_t blocks;
    int64_t min_ms; /* of all samples of the page */
    int64_t max_ms;
};

static inline uint32_t part_checksum(uint64_t part_id, uint64_t offset, const void *data,
                                     size_t size)
{
    uint8_t place[16];
    store_u64(place, part_id);
    store_u64(place + 8, offset);
    return crc32c(crc32c(0, place, sizeof place), data, size);
}

static inline int part_compare_keys(uint32_t metric_a, uint32_t series_a, uint32_t metric_b,
                                    uint32_t series_b)
{
    uint64_t a = (uint64_t)metric_a << 32 | series_a;
    uint64_t b = (uint64_t)metric_b << 32 | series_b;
    return (a > b) - (a < b);
}

void part_header_encode(const struct part_identity *identity, uint8_t to[PART_HEADER_SIZE]);
/* CORRUPT; UNSUPPORTED for a version that is not ours. */
MUST_CHECK enum status part_header_decode(const uint8_t from[PART_HEADER_SIZE],
                                          struct part_identity *identity, uint32_t *version,
                                          struct error *err);

struct part_trailer {
    struct part_identity identity;
    struct part_totals totals; /* bytes: of the whole file */
    uint64_t index_offset;
    uint32_t index_crc;
    uint32_t set_size; /* it ends where the index begins; 0: there is none */
    uint32_t set_crc;
};

void part_trailer_encode(const struct part_trailer *trailer, uint8_t to[PART_TRAILER_SIZE]);
/* The bytes are the file's last ones. */
MUST_CHECK enum status part_trailer_decode(const uint8_t from[PART_TRAILER_SIZE],
                                           uint64_t file_size, struct part_trailer *trailer,
                                           struct error *err);

void part_index_entry_encode(const struct part_index_entry *entry, uint8_t *to);
void part_index_entry_decode(const uint8_t *from, struct part_index_entry *entry);

#endif

/*
 * wal_format - the bytes of a segment; docs/formats/wal.md is the specification.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_WAL_FORMAT_H
#define METRIC_STORE_STORAGE_ENGINE_WAL_FORMAT_H

#include "base/slice.h"
#include "storage/engine/wal.h"

enum {
    WAL_VERSION = 1,
    WAL_HEADER_SIZE = 64,
    WAL_HEADER_COPY = 2048, /* where the second copy is */
    WAL_DATA_START = 4096,
    WAL_RECORD_HEADER_SIZE = 32,
    WAL_ALIGNMENT = 8,
    WAL_BEGIN_PAYLOAD_SIZE = 8,
    /* With less room than this, the segment ends. */
    WAL_ROOM_MIN = WAL_RECORD_HEADER_SIZE + WAL_BEGIN_PAYLOAD_SIZE,
    WAL_NAME_SIZE = 32,
    WAL_SECTOR_MAX = 4096, /* what a disk loses at once */
};

enum { WAL_TYPE_FILLER = 0 }; /* of a record that only takes room; the writer's types are others */

enum wal_flags {
    WAL_FLAG_BEGIN = 1,  /* first of a frame; the payload is the synced LSN */
    WAL_FLAG_COMMIT = 2, /* last of a frame; no payload */
    WAL_FLAG_MORE = 4,   /* the record goes on in the next one */
};

struct wal_segment_header {
    uint64_t number;
    uint64_t size;
    uint64_t key; /* the log's secret, the same in all its segments */
    int64_t created_ms;
    uint64_t owner; /* the store that it belongs to; 0: it does not say */
    uint32_t epoch;
};

struct wal_record_header {
    uint32_t checksum;
    uint32_t length;
    uint64_t order; /* epoch << 32 | frame */
    uint64_t lsn;
    uint32_t index;
    uint8_t type;
    uint8_t flags;
};

/* Both copies, into WAL_DATA_START bytes. */
void wal_segment_header_encode(const struct wal_segment_header *header, uint8_t *block);

/*
 * From WAL_DATA_START bytes; *damaged tells that one copy was bad.
 *   CORRUPT      both copies are bad
 *   UNSUPPORTED  a newer version
 */
MUST_CHECK enum status wal_segment_header_decode(const uint8_t *block,
                                                 struct wal_segment_header *header, bool *damaged,
                                                 struct error *err);

/* What the checksums of a log's records begin with. */
uint32_t wal_checksum_seed(uint64_t key);

/* Bytes of a record with a payload of `length`, padding included. */
static inline size_t wal_record_size(size_t length)
{
    return WAL_RECORD_HEADER_SIZE + (length + WAL_ALIGNMENT - 1) / WAL_ALIGNMENT * WAL_ALIGNMENT;
}

/* Where the sector ends of which the byte before this position is one: an offset, or an LSN. */
static inline uint64_t wal_sector_end(uint64_t position)
{
    return (position + WAL_SECTOR_MAX - 1) / WAL_SECTOR_MAX * WAL_SECTOR_MAX;
}

/* Puts the header before the payload and padding that are in place behind `record`. */
void wal_record_seal(uint8_t *record, const struct wal_record_header *header, uint32_t seed);

void wal_record_header_decode(const uint8_t *record, struct wal_record_header *header);

/* Whether the fields can be those of a record at `lsn` with `room` bytes to the segment's end. */
bool wal_record_header_plausible(const uint8_t *record, const struct wal_record_header *header,
                                 uint64_t lsn, uint64_t room);

/* Over header and padded payload. */
bool wal_record_checksum_holds(const uint8_t *record, const struct wal_record_header *header,
                               uint32_t seed);

/* "0000000000000017.wal", "spare-0000000000000017.wal" */
void wal_segment_name(char name[WAL_NAME_SIZE], uint64_t number);
void wal_spare_name(char name[WAL_NAME_SIZE], uint64_t number);
bool wal_segment_name_parse(const char *name, uint64_t *number);
bool wal_spare_name_parse(const char *name, uint64_t *number);

#endif

/*
 * wal_reader - reads the frames of consecutive segments, in large sequential reads, and hands their
 * records out where they were read; finds valid records behind damaged ones.
 *
 * Reading changes nothing. A read error of the operating system is returned as such and never
 * taken for damage: the bytes may be there the next time. Not for two threads.
 */
#ifndef METRIC_STORE_STORAGE_ENGINE_WAL_READER_H
#define METRIC_STORE_STORAGE_ENGINE_WAL_READER_H

#include "storage/engine/wal_format.h"

/* Bytes behind the end of the file, up to `size`, read as zeros. */
struct wal_source {
    struct file *file; /* borrowed; NULL: the file is missing, all zeros */
    uint64_t number;
    uint64_t size;
};

enum wal_found {
    WAL_FOUND,   /* a whole frame, or a valid record */
    WAL_INVALID, /* something else: damage, a torn frame, or the unwritten rest */
    WAL_ENDED,   /* the last segment has no room for another record */
};

struct wal_place {
    size_t source; /* index */
    uint64_t offset;
};

/* A record or a part of one, at an offset from the start of the frame in the buffer. */
struct wal_part {
    size_t at;
    uint32_t length;
    uint8_t type;
    bool more;
};

struct wal_frame {
    uint64_t start;
    uint64_t end;
    uint64_t order;
    uint64_t synced_lsn;
    size_t record_count; /* but for filler */
};

struct wal_reader {
    const struct wal_source *sources; /* borrowed; ascending numbers */
    size_t source_count;
    uint32_t seed;
    uint64_t last_order; /* a frame must come after it; the caller may set it */
    uint64_t max_order;  /* of all valid records met */

    /* Why the last call found nothing valid, and whether that looked like a record that was begun:
     * right place, wrong content. */
    const char *reason;
    bool torn;

    struct wal_place place; /* of `cursor` */
    uint8_t *buffer;
    size_t capacity;
    size_t keep; /* bytes before it are not needed any more */
    size_t cursor;
    size_t end;
    struct wal_part *parts; /* of the frame found last */
    size_t part_count;
    size_t part_capacity;
    size_t record_size; /* bytes of the record in parts so far */
    uint8_t *joined;    /* a record that was in parts; WAL_RECORD_MAX bytes once needed */
};

/* Starts at the first byte after the header of the first segment. */
void wal_reader_init(struct wal_reader *reader, const struct wal_source *sources, size_t count,
                     uint64_t key);
void wal_reader_release(struct wal_reader *reader);

void wal_reader_seek(struct wal_reader *reader, struct wal_place place);
uint64_t wal_reader_lsn(const struct wal_reader *reader, struct wal_place place);

/*
 * The frame at the present place. INVALID leaves the reader where the frame should have begun.
 *   IO, MEMORY
 */
MUST_CHECK enum status wal_reader_next_frame(struct wal_reader *reader, enum wal_found *found,
                                             struct wal_frame *frame, struct error *err);

/* Calls `apply` for each record of the frame that was found last. */
MUST_CHECK enum status wal_reader_apply(struct wal_reader *reader, const struct wal_frame *frame,
                                        wal_apply *apply, void *context, struct error *err);

/* The single record at the present place; wal_reader_skip goes behind it. The payload is borrowed
 * until the next call. */
MUST_CHECK enum status wal_reader_record(struct wal_reader *reader, enum wal_found *found,
                                         struct wal_record_header *header, struct slice *payload,
                                         struct error *err);
void wal_reader_skip(struct wal_reader *reader, const struct wal_record_header *header);

/* Moves to the first valid record at or behind the present place, in any segment. ENDED: none. */
MUST_CHECK enum status wal_reader_scan(struct wal_reader *reader, enum wal_found *found,
                                       struct wal_record_header *header, struct error *err);

#endif

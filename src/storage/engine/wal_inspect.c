#include "storage/engine/wal.h"

#include "base/bits.h"
#include "storage/engine/wal_reader.h"

struct inspection {
    wal_visit *visit;
    void *context;
    struct wal_source source;
    struct wal_reader reader;
    uint64_t last_order;
    struct error *err;
};

static enum wal_entry_kind kind_of(const struct wal_record_header *header)
{
    switch (header->flags) {
    case WAL_FLAG_BEGIN:
        return WAL_ENTRY_BEGIN;
    case WAL_FLAG_COMMIT:
        return WAL_ENTRY_COMMIT;
    case WAL_FLAG_MORE:
        return WAL_ENTRY_FRAGMENT;
    default:
        return WAL_ENTRY_RECORD;
    }
}

static enum status show_bytes(struct inspection *inspection, enum wal_entry_kind kind,
                              uint64_t from, uint64_t to)
{
    if (from >= to)
        return STATUS_OK;
    struct wal_entry entry = {
        .kind = kind,
        .state = kind == WAL_ENTRY_GAP ? WAL_ENTRY_BAD : WAL_ENTRY_GOOD,
        .lsn = wal_lsn(inspection->source.number, from),
        .size = to - from,
    };
    return inspection->visit(inspection->context, &entry, inspection->err);
}

static enum status show_record(struct inspection *inspection,
                               const struct wal_record_header *header, struct slice payload)
{
    bool stale = header->order < inspection->last_order;
    if (!stale)
        inspection->last_order = header->order;
    enum wal_entry_kind kind = kind_of(header);
    bool has_payload = kind == WAL_ENTRY_RECORD || kind == WAL_ENTRY_FRAGMENT;
    struct wal_entry entry = {
        .kind = kind,
        .state = stale ? WAL_ENTRY_STALE : WAL_ENTRY_GOOD,
        .lsn = header->lsn,
        .size = wal_record_size(header->length),
        .type = header->type,
        .payload_size = header->length,
        .epoch = (uint32_t)(header->order >> 32),
        .frame = (uint32_t)header->order,
        .index = header->index,
        .synced_lsn = kind == WAL_ENTRY_BEGIN ? load_u64(payload.data) : 0,
        .payload = has_payload ? payload : slice_of(NULL, 0),
    };
    return inspection->visit(inspection->context, &entry, inspection->err);
}

static enum status show_records(struct inspection *inspection)
{
    struct wal_reader *reader = &inspection->reader;
    uint64_t shown = WAL_DATA_START; /* all before it */
    for (;;) {
        enum wal_found found;
        struct wal_record_header header;
        struct slice payload;
        enum status status = wal_reader_scan(reader, &found, &header, inspection->err);
        if (status != STATUS_OK)
            return status;
        if (found == WAL_ENDED)
            return show_bytes(inspection, WAL_ENTRY_REST, shown, inspection->source.size);
        status = show_bytes(inspection, WAL_ENTRY_GAP, shown, reader->place.offset);
        if (status == STATUS_OK)
            status = wal_reader_record(reader, &found, &header, &payload, inspection->err);
        if (status == STATUS_OK)
            status = show_record(inspection, &header, payload);
        if (status != STATUS_OK)
            return status;
        wal_reader_skip(reader, &header);
        shown = reader->place.offset;
    }
}

static enum status show_segment(struct inspection *inspection, struct file *file, const char *path)
{
    uint8_t block[WAL_DATA_START] = {0};
    size_t got = 0;
    uint64_t size = 0;
    enum status status = file_read(file, block, sizeof block, 0, &got, inspection->err);
    if (status == STATUS_OK)
        status = file_size(file, &size, inspection->err);
    if (status != STATUS_OK)
        return status;
    struct wal_segment_header header;
    bool damaged = false;
    status = wal_segment_header_decode(block, &header, &damaged, inspection->err);
    if (status != STATUS_OK) {
        error_prefix(inspection->err, "%s", path);
        return status;
    }
    inspection->source = (struct wal_source){
        .file = file, .number = header.number, .size = size < header.size ? size : header.size};
    struct wal_entry entry = {
        .kind = WAL_ENTRY_SEGMENT,
        .state = damaged || size < header.size ? WAL_ENTRY_BAD : WAL_ENTRY_GOOD,
        .lsn = wal_lsn(header.number, 0),
        .size = header.size,
        .epoch = header.epoch,
    };
    status = inspection->visit(inspection->context, &entry, inspection->err);
    if (status != STATUS_OK)
        return status;
    wal_reader_init(&inspection->reader, &inspection->source, 1, header.key);
    status = show_records(inspection);
    wal_reader_release(&inspection->reader);
    return status;
}

enum status wal_inspect(struct os os, const char *path, wal_visit *visit, void *context,
                        struct error *err)
{
    struct inspection inspection = {.visit = visit, .context = context, .err = err};
    struct file *file = NULL;
    enum status status = filesystem_open(os.fs, path, FILE_READ, &file, err);
    if (status == STATUS_OK)
        status = show_segment(&inspection, file, path);
    file_close(file);
    return status;
}

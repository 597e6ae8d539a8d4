/*
 * A log whose only segment holds any bytes opens or is refused, takes a frame, and gives back when
 * opened again exactly what it gave the first time, and that frame.
 *
 * Input: a byte of options, then the segment's bytes: with HEADER from the header on, otherwise the
 * header is made and they begin behind it. With REPAIR each place where a record could begin gets
 * its own position and a right checksum, so that what lies behind the checksum is reached.
 */
#include "fuzz.h"

#include "base/bits.h"
#include "base/hash.h"
#include "base/invariant.h"
#include "sim_disk.h"
#include "sim_os.h"
#include "storage/engine/wal_format.h"

enum { HEADER = 1, REPAIR = 2, LATER = 4, KEY = 12345 };

static const char path[] = "/wal/0000000000000001.wal";

struct seen {
    uint64_t records;
    uint64_t last_lsn;
    uint32_t checksum;
};

static enum status look(void *context, struct slice record, uint8_t type, uint64_t lsn,
                        struct error *err)
{
    (void)err;
    struct seen *seen = context;
    invariant(record.size <= WAL_RECORD_MAX && lsn >= seen->last_lsn);
    seen->records++;
    seen->last_lsn = lsn;
    seen->checksum = crc32c(seen->checksum, &type, 1);
    seen->checksum = crc32c(seen->checksum, record.data, record.size);
    return STATUS_OK;
}

static void damage(void *context, const char *description, uint64_t from, uint64_t to)
{
    (void)context;
    invariant(description[0] != '\0' && from <= to);
}

static enum status visit(void *context, const struct wal_entry *entry, struct error *err)
{
    (void)err;
    uint64_t *end = context;
    invariant(entry->kind == WAL_ENTRY_SEGMENT || entry->lsn == *end);
    *end =
        entry->kind == WAL_ENTRY_SEGMENT ? entry->lsn + WAL_DATA_START : entry->lsn + entry->size;
    return STATUS_OK;
}

static void repair(uint8_t *segment)
{
    uint32_t seed = wal_checksum_seed(KEY);
    for (size_t at = WAL_DATA_START; at + WAL_ROOM_MIN <= WAL_SEGMENT_SIZE_MIN;) {
        struct wal_record_header header;
        wal_record_header_decode(segment + at, &header);
        header.lsn = wal_lsn(1, at);
        size_t room = WAL_SEGMENT_SIZE_MIN - at - WAL_RECORD_HEADER_SIZE;
        if (header.length > room)
            header.length = (uint32_t)(header.length % room);
        wal_record_seal(segment + at, &header, seed);
        at += wal_record_size(header.length);
    }
}

static void make_segment(uint8_t *segment, const uint8_t *data, size_t size)
{
    uint8_t options = data[0];
    size_t from = (options & HEADER) != 0 ? 0 : WAL_DATA_START;
    size_t room = WAL_SEGMENT_SIZE_MIN - from;
    if (from != 0)
        wal_segment_header_encode(
            &(struct wal_segment_header){
                .number = 1, .size = WAL_SEGMENT_SIZE_MIN, .key = KEY, .epoch = 1},
            segment);
    memcpy(segment + from, data + 1, size - 1 < room ? size - 1 : room);
    if ((options & REPAIR) != 0)
        repair(segment);
}

static void put_segment(struct sim_disk *disk, const uint8_t *segment)
{
    struct file *file = NULL;
    struct filesystem *fs = sim_disk_filesystem(disk);
    invariant(filesystem_make_directory(fs, "/wal", NULL) == STATUS_OK);
    invariant(filesystem_open(fs, path, FILE_CREATE_NEW, &file, NULL) == STATUS_OK);
    invariant(file_write(file, segment, WAL_SEGMENT_SIZE_MIN, 0, NULL) == STATUS_OK);
    file_close(file);
}

static void check_log(const struct wal_options *options, uint64_t replay_from)
{
    struct wal *wal = NULL;
    struct error err;
    struct seen first = {.records = 0};
    enum status status = wal_open(&wal, options, replay_from, look, damage, &first, &err);
    if (status != STATUS_OK) {
        invariant(status == STATUS_UNSUPPORTED || status == STATUS_LIMIT);
        return;
    }
    uint64_t lsn = 0;
    invariant(wal_position(wal) >= replay_from && wal_position(wal) >= first.last_lsn);
    invariant(wal_begin(wal, &err) == STATUS_OK);
    invariant(wal_put(wal, 3, slice_from_text("new"), slice_of(NULL, 0), &err) == STATUS_OK);
    invariant(wal_commit(wal, &lsn, &err) == STATUS_OK);
    wal_close(wal);

    struct seen second = {.records = 0};
    status = wal_open(&wal, options, replay_from, look, damage, &second, &err);
    if (status == STATUS_LIMIT)
        return;
    invariant(status == STATUS_OK);
    invariant(second.records == first.records + 1 && second.last_lsn == lsn);
    uint8_t type = 3;
    first.checksum = crc32c(first.checksum, &type, 1);
    invariant(second.checksum == crc32c(first.checksum, "new", 3));
    wal_close(wal);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    static uint8_t segment[WAL_SEGMENT_SIZE_MIN];
    memset(segment, 0, sizeof segment);
    make_segment(segment, data, size);

    struct sim_disk *disk = sim_disk_new(1);
    struct sim_clock clock;
    struct sim_random random;
    sim_clock_init(&clock, 0);
    sim_random_init(&random, 1);
    put_segment(disk, segment);
    struct wal_options options = {
        .os = {.fs = sim_disk_filesystem(disk),
               .clock = &clock.clock,
               .random = &random.random,
               .threads = sim_threads()},
        .dir = "/wal",
        .segment_size = WAL_SEGMENT_SIZE_MIN,
        .frame_max = WAL_SEGMENT_SIZE_MIN,
        .spares = 1,
    };
    uint64_t end = 0;
    enum status status = wal_inspect(options.os, path, visit, &end, NULL);
    invariant(status == STATUS_OK || status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED);
    check_log(&options, (data[0] & LATER) != 0 ? wal_lsn(1, WAL_DATA_START + 128) : 0);
    sim_disk_free(disk);
    return 0;
}

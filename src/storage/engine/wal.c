#include "storage/engine/wal.h"

#include "base/bits.h"
#include "base/invariant.h"
#include "storage/engine/wal_private.h"

#include <inttypes.h>
#include <stdlib.h>

/* A frame's buffer is given back when it grew over this. */
enum { BUFFER_KEPT = 8 << 20 };

bool wal_is_broken(const struct wal *wal)
{
    return atomic_load(&wal->counters.broken);
}

void wal_break(struct wal *wal, const struct error *err)
{
    if (atomic_exchange(&wal->counters.broken, true))
        return;
    log_event(wal->log, LOG_ERROR, "wal",
              "the log is broken until a restart: a sync failed, and what it was to make durable "
              "may be lost",
              log_text("reason", err == NULL ? "" : err->message));
}

enum status wal_fail_broken(struct error *err)
{
    return fail(err, STATUS_UNAVAILABLE,
                "the write-ahead log is broken since a sync failed: restart the server once the "
                "disk is sound");
}

/* ---- building a frame ---- */

static void *piece_grow(struct wal_builder *builder)
{
    size_t capacity = builder->piece_capacity == 0 ? 4 : builder->piece_capacity * 2;
    struct wal_piece *pieces = realloc(builder->pieces, capacity * sizeof *pieces);
    if (pieces != NULL) {
        builder->pieces = pieces;
        builder->piece_capacity = capacity;
    }
    return pieces;
}

/* Segments that are not there yet will have the configured size. */
static uint64_t segment_size(struct wal *wal, uint64_t number)
{
    mutex_lock(&wal->lock);
    const struct wal_segment *segment = wal_find_segment(wal, number);
    uint64_t size = segment != NULL ? segment->size : wal->segment_size;
    mutex_unlock(&wal->lock);
    return size;
}

static enum status start_piece(struct wal *wal, uint64_t number, uint64_t offset, struct error *err)
{
    struct wal_builder *builder = &wal->builder;
    if (builder->piece_count == builder->piece_capacity && piece_grow(builder) == NULL)
        return fail(err, STATUS_MEMORY, "no memory for a frame of the log");
    builder->pieces[builder->piece_count++] =
        (struct wal_piece){.number = number, .offset = offset, .from = builder->bytes.size};
    builder->number = number;
    builder->offset = offset;
    builder->room = segment_size(wal, number) - offset;
    return STATUS_OK;
}

/* Room for a record here, or in the next segment. */
static enum status settle(struct wal *wal, struct error *err)
{
    if (wal->builder.room >= WAL_ROOM_MIN)
        return STATUS_OK;
    return start_piece(wal, wal->builder.number + 1, WAL_DATA_START, err);
}

struct gather {
    struct slice parts[2];
};

static void gather_take(struct gather *gather, uint8_t *to, size_t size)
{
    for (size_t i = 0; i < 2; i++) {
        struct slice *part = &gather->parts[i];
        size_t taken = part->size < size ? part->size : size;
        if (taken == 0)
            continue;
        memcpy(to, part->data, taken);
        *part = slice_from(*part, taken);
        to += taken;
        size -= taken;
    }
    invariant(size == 0);
}

static enum status append_record(struct wal *wal, uint8_t flags, uint8_t type, struct gather *from,
                                 size_t length, struct error *err)
{
    struct wal_builder *builder = &wal->builder;
    size_t size = wal_record_size(length);
    enum status status = bytes_reserve(&builder->bytes, size);
    if (status == STATUS_LIMIT)
        return fail(err, status, "the write is larger than %zu bytes in the log: split it",
                    builder->bytes.max);
    if (status != STATUS_OK)
        return fail(err, status, "no memory for a frame of %zu bytes in the log",
                    builder->bytes.size + size);
    uint8_t *record = builder->bytes.data + builder->bytes.size;
    gather_take(from, record + WAL_RECORD_HEADER_SIZE, length);
    memset(record + WAL_RECORD_HEADER_SIZE + length, 0, size - WAL_RECORD_HEADER_SIZE - length);
    wal_record_seal(record,
                    &(struct wal_record_header){
                        .length = (uint32_t)length,
                        .order = (uint64_t)wal->epoch << 32 | wal->frame,
                        .lsn = wal_lsn(builder->number, builder->offset),
                        .index = builder->index++,
                        .type = type,
                        .flags = flags,
                    },
                    wal->seed);
    builder->bytes.size += size;
    builder->offset += size;
    builder->room -= size;
    builder->pieces[builder->piece_count - 1].size += size;
    return STATUS_OK;
}

enum status wal_begin(struct wal *wal, struct error *err)
{
    struct wal_builder *builder = &wal->builder;
    builder->open = false;
    if (wal_is_broken(wal))
        return wal_fail_broken(err);
    bytes_clear(&builder->bytes);
    builder->piece_count = 0;
    builder->index = 0;
    builder->records = 0;
    /* Never twice the same order: what an abandoned frame left must not complete another one. */
    wal->frame++;
    if (wal->frame == 0) {
        mutex_lock(&wal->lock); /* wal_prepare reads it */
        wal->epoch++;
        mutex_unlock(&wal->lock);
        invariant(wal->epoch != 0);
    }
    enum status status = start_piece(wal, wal->number, wal->offset, err);
    if (status == STATUS_OK)
        status = settle(wal, err);
    if (status != STATUS_OK)
        return status;
    uint8_t synced[WAL_BEGIN_PAYLOAD_SIZE];
    store_u64(synced, atomic_load(&wal->counters.synced_lsn));
    struct gather from = {{slice_of(synced, sizeof synced), slice_of(NULL, 0)}};
    status = append_record(wal, WAL_FLAG_BEGIN, 0, &from, sizeof synced, err);
    builder->open = status == STATUS_OK;
    return status;
}

enum status wal_put(struct wal *wal, uint8_t type, struct slice first, struct slice second,
                    struct error *err)
{
    struct wal_builder *builder = &wal->builder;
    invariant(builder->open);
    builder->open = false;
    if (first.size > WAL_RECORD_MAX || second.size > WAL_RECORD_MAX - first.size)
        return fail(err, STATUS_LIMIT, "a record of the log holds at most %d bytes, not %zu",
                    WAL_RECORD_MAX, first.size + second.size);
    struct gather from = {{first, second}};
    size_t left = first.size + second.size;
    bool more;
    do {
        enum status status = settle(wal, err);
        if (status != STATUS_OK)
            return status;
        size_t most = (size_t)builder->room - WAL_RECORD_HEADER_SIZE;
        size_t length = left < most ? left : most;
        more = left > length;
        status = append_record(wal, more ? WAL_FLAG_MORE : 0, type, &from, length, err);
        if (status != STATUS_OK)
            return status;
        left -= length;
    } while (more);
    builder->records += type != WAL_TYPE_FILLER;
    builder->open = true;
    return STATUS_OK;
}

/* ---- writing it ---- */

static enum status ensure_segments(struct wal *wal, uint64_t last, struct error *err)
{
    enum status status = STATUS_OK;
    mutex_lock(&wal->lock);
    while (status == STATUS_OK && wal->segments[wal->segment_count - 1].number < last)
        status = wal_install_segment(wal, wal->segments[wal->segment_count - 1].number + 1, err);
    mutex_unlock(&wal->lock);
    return status;
}

static struct file *segment_file(struct wal *wal, uint64_t number)
{
    mutex_lock(&wal->lock);
    const struct wal_segment *segment = wal_find_segment(wal, number);
    struct file *file = segment != NULL ? segment->file : NULL;
    mutex_unlock(&wal->lock);
    invariant(file != NULL);
    return file;
}

static enum status write_pieces(struct wal *wal, struct error *err)
{
    const struct wal_builder *builder = &wal->builder;
    enum status status =
        ensure_segments(wal, builder->pieces[builder->piece_count - 1].number, err);
    for (size_t i = 0; i < builder->piece_count && status == STATUS_OK; i++) {
        const struct wal_piece *piece = &builder->pieces[i];
        if (piece->size > 0)
            status = file_write(segment_file(wal, piece->number), builder->bytes.data + piece->from,
                                piece->size, piece->offset, err);
    }
    return status;
}

static void shrink_buffer(struct wal_builder *builder)
{
    if (builder->bytes.capacity > BUFFER_KEPT)
        bytes_release(&builder->bytes);
}

enum status wal_commit(struct wal *wal, uint64_t *lsn, struct error *err)
{
    struct wal_builder *builder = &wal->builder;
    invariant(builder->open);
    builder->open = false;
    if (wal_is_broken(wal))
        return wal_fail_broken(err);
    struct gather nothing = {{slice_of(NULL, 0), slice_of(NULL, 0)}};
    enum status status = settle(wal, err);
    if (status == STATUS_OK)
        status = append_record(wal, WAL_FLAG_COMMIT, 0, &nothing, 0, err);
    if (status == STATUS_OK)
        status = write_pieces(wal, err);
    if (status != STATUS_OK) {
        atomic_fetch_add(&wal->counters.failed_frames, 1);
        shrink_buffer(builder);
        return status;
    }
    if (wal->dirty == 0)
        wal->dirty = wal->number;
    wal->number = builder->number;
    wal->offset = builder->offset;
    wal->sealed = false;
    *lsn = wal_lsn(wal->number, wal->offset);
    atomic_fetch_add(&wal->counters.frames, 1);
    atomic_fetch_add(&wal->counters.bytes, builder->bytes.size);
    atomic_fetch_add(&wal->counters.records, builder->records);
    atomic_store(&wal->counters.last_lsn, *lsn);
    shrink_buffer(builder);
    return STATUS_OK;
}

static void count_sync(struct wal *wal, int64_t started_ns)
{
    uint64_t took = (uint64_t)(clock_monotonic_ns(wal->os.clock) - started_ns);
    atomic_fetch_add(&wal->counters.syncs, 1);
    atomic_fetch_add(&wal->counters.sync_ns_sum, took);
    if (took > atomic_load(&wal->counters.sync_ns_max))
        atomic_store(&wal->counters.sync_ns_max, took);
}

/* Full segments are not written again. */
static void close_full_segments(struct wal *wal)
{
    mutex_lock(&wal->lock);
    for (size_t i = 0; i < wal->segment_count && wal->segments[i].number < wal->number; i++) {
        file_close(wal->segments[i].file);
        wal->segments[i].file = NULL;
    }
    mutex_unlock(&wal->lock);
}

enum status wal_sync(struct wal *wal, struct error *err)
{
    if (wal_is_broken(wal))
        return wal_fail_broken(err);
    if (wal->dirty == 0)
        return STATUS_OK;
    int64_t started_ns = clock_monotonic_ns(wal->os.clock);
    for (uint64_t number = wal->dirty; number <= wal->number; number++) {
        enum status status = file_sync(segment_file(wal, number), err);
        if (status != STATUS_OK) {
            /*
             * Never retry. After a failed fsync the kernel may mark the lost pages clean, so that a
             * second call reports success for data that never reached the disk.
             */
            wal_break(wal, err);
            return status;
        }
    }
    if (wal->dirty != wal->number)
        close_full_segments(wal);
    wal->dirty = 0;
    atomic_store(&wal->counters.synced_lsn, wal_lsn(wal->number, wal->offset));
    count_sync(wal, started_ns);
    return STATUS_OK;
}

/* A frame that only takes room: so much, or a little more where that is too little for one. */
static enum status write_filler(struct wal *wal, size_t size, struct error *err)
{
    static const uint8_t zeros[WAL_SECTOR_MAX];
    const size_t least = wal_record_size(WAL_BEGIN_PAYLOAD_SIZE) + 2 * wal_record_size(0);
    struct slice payload = slice_of(zeros, size > least ? size - least : 0);
    uint64_t lsn;
    enum status status = wal_begin(wal, err);
    if (status == STATUS_OK)
        status = wal_put(wal, WAL_TYPE_FILLER, payload, slice_of(NULL, 0), err);
    return status == STATUS_OK ? wal_commit(wal, &lsn, err) : status;
}

enum status wal_mark(struct wal *wal, struct error *err)
{
    if (wal_is_broken(wal))
        return wal_fail_broken(err);
    if (wal->sealed || wal->dirty != 0)
        return STATUS_OK;
    uint64_t lsn;
    /* A lost sector must not take the last frame and its witness. */
    size_t rest = (size_t)(wal_sector_end(wal->offset) - wal->offset);
    enum status status = rest == 0 ? STATUS_OK : write_filler(wal, rest, err);
    if (status == STATUS_OK)
        status = wal_begin(wal, err);
    if (status == STATUS_OK)
        status = wal_commit(wal, &lsn, err);
    wal->sealed = status == STATUS_OK;
    /* The filler too, where the mark failed: it is tried again only when all is synced. */
    enum status synced = wal_sync(wal, status == STATUS_OK ? err : NULL);
    return status == STATUS_OK ? synced : status;
}

enum status wal_prepare(struct wal *wal, struct error *err)
{
    if (wal_is_broken(wal))
        return wal_fail_broken(err);
    uint64_t current = wal_lsn_segment(atomic_load(&wal->counters.last_lsn));
    return ensure_segments(wal, current + 1, err);
}

enum status wal_release(struct wal *wal, uint64_t lsn, struct error *err)
{
    if (wal_is_broken(wal))
        return wal_fail_broken(err);
    /* Never what is being written, or not yet synced. */
    uint64_t synced = atomic_load(&wal->counters.synced_lsn);
    uint64_t first = wal_lsn_segment(lsn < synced ? lsn : synced);
    enum status status = STATUS_OK;
    mutex_lock(&wal->lock);
    while (status == STATUS_OK && wal->segments[0].number < first)
        status = wal_retire_segment(wal, 0, err);
    mutex_unlock(&wal->lock);
    return status;
}

uint64_t wal_position(const struct wal *wal)
{
    return atomic_load(&wal->counters.last_lsn);
}

void wal_stats(const struct wal *wal, struct wal_stats *stats)
{
    const struct wal_counters *counters = &wal->counters;
    *stats = (struct wal_stats){
        .frames = atomic_load(&counters->frames),
        .bytes = atomic_load(&counters->bytes),
        .records = atomic_load(&counters->records),
        .failed_frames = atomic_load(&counters->failed_frames),
        .syncs = atomic_load(&counters->syncs),
        .sync_ns_sum = atomic_load(&counters->sync_ns_sum),
        .sync_ns_max = atomic_load(&counters->sync_ns_max),
        .segments = atomic_load(&counters->segments),
        .spares = atomic_load(&counters->spares),
        .last_lsn = atomic_load(&counters->last_lsn),
        .synced_lsn = atomic_load(&counters->synced_lsn),
        .replayed_frames = counters->replayed_frames,
        .replayed_records = counters->replayed_records,
        .replayed_bytes = counters->replayed_bytes,
        .damages = counters->damages,
        .torn_lsn = counters->torn_lsn,
        .broken = atomic_load(&counters->broken),
    };
}

/* ---- opening and closing ---- */

static enum status check_options(const struct wal_options *options, struct error *err)
{
    if (options->segment_size < WAL_SEGMENT_SIZE_MIN ||
        options->segment_size > WAL_SEGMENT_SIZE_MAX || options->segment_size % WAL_DATA_START != 0)
        return fail(err, STATUS_INVALID,
                    "a segment of the log has %d to %d bytes and a multiple of %d, not %" PRIu64,
                    WAL_SEGMENT_SIZE_MIN, WAL_SEGMENT_SIZE_MAX, WAL_DATA_START,
                    options->segment_size);
    if (options->frame_max < WAL_SEGMENT_SIZE_MIN || options->frame_max > WAL_FRAME_MAX)
        return fail(err, STATUS_INVALID,
                    "a frame of the log may have %d to %d bytes at most, not %" PRIu64,
                    WAL_SEGMENT_SIZE_MIN, WAL_FRAME_MAX, options->frame_max);
    if (options->spares > WAL_SPARES_MAX)
        return fail(err, STATUS_INVALID, "the log keeps at most %d spare segments, not %u",
                    WAL_SPARES_MAX, options->spares);
    if (strlen(options->dir) >= WAL_PATH_SIZE - 2 * WAL_NAME_SIZE)
        return fail(err, STATUS_INVALID, "the path of the log is longer than %d bytes",
                    WAL_PATH_SIZE - 2 * WAL_NAME_SIZE);
    return STATUS_OK;
}

static void wal_free(struct wal *wal)
{
    for (size_t i = 0; i < wal->segment_count; i++)
        file_close(wal->segments[i].file);
    bytes_release(&wal->builder.bytes);
    free(wal->builder.pieces);
    free(wal->segments);
    mutex_release(&wal->lock);
    free(wal->dir);
    free(wal);
}

enum status wal_open(struct wal **out, const struct wal_options *options, uint64_t replay_from,
                     wal_apply *apply, wal_damage *damage, void *context, struct error *err)
{
    *out = NULL;
    enum status status = check_options(options, err);
    if (status != STATUS_OK)
        return status;
    if (replay_from != 0 &&
        (wal_lsn_segment(replay_from) == 0 || wal_lsn_offset(replay_from) < WAL_DATA_START ||
         wal_lsn_offset(replay_from) % WAL_ALIGNMENT != 0))
        return fail(err, STATUS_INVALID, "no frame of the log can begin at %" PRIx64, replay_from);
    struct wal *wal = calloc(1, sizeof *wal);
    char *dir = strdup(options->dir);
    if (wal == NULL || dir == NULL) {
        free(wal);
        free(dir);
        return fail(err, STATUS_MEMORY, "no memory to open the log");
    }
    wal->os = options->os;
    wal->dir = dir;
    wal->segment_size = options->segment_size;
    wal->spare_max = options->spares;
    wal->owner = options->owner;
    wal->log = options->log;
    wal->read_only = options->read_only;
    mutex_init(&wal->lock);
    bytes_init(&wal->builder.bytes, (size_t)options->frame_max);
    struct wal_replay replay = {.replay_from = replay_from,
                                .apply = apply,
                                .damage = damage,
                                .was_read = options->was_read,
                                .context = context};
    if (options->replaying != NULL)
        *options->replaying = wal;
    status = wal_recover(wal, &replay, err);
    if (options->replaying != NULL)
        *options->replaying = NULL;
    if (status != STATUS_OK) {
        wal_free(wal);
        return status;
    }
    *out = wal;
    return STATUS_OK;
}

static enum status seal(struct wal *wal, struct error *err)
{
    enum status status = wal_sync(wal, err);
    return status == STATUS_OK ? wal_mark(wal, err) : status;
}

void wal_close(struct wal *wal)
{
    if (wal == NULL)
        return;
    struct error err = {.status = STATUS_OK};
    if (!wal_is_broken(wal) && seal(wal, &err) != STATUS_OK)
        log_event(wal->log, LOG_WARN, "wal", "cannot mark the end of the log as clean",
                  log_text("reason", err.message));
    wal_free(wal);
}

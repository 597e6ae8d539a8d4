#include "storage/engine/wal_private.h"

#include "base/invariant.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/*
 * Replay walks over the frames from the segment of replay_from on. Where no valid frame is, it
 * looks for valid ones behind that place. If one of them was written when the place had been synced
 * already, bytes that were once safe are gone: damage. If none was, the machine stopped while the
 * frame at that place was being written: the end of the log. Damage is known without a later frame
 * where a segment is missing or cut short, or where frames below replay_from are gone: all of that
 * was synced before anybody relied on it.
 */
struct recovery {
    struct wal *wal;
    const struct wal_replay *replay;
    struct wal_source *sources;
    size_t source_count;
    struct wal_reader reader;
    uint64_t proven;       /* durable up to here: the largest synced LSN that a frame named */
    uint64_t applied;      /* where the frame in hand begins */
    struct wal_place end;  /* where the log ends */
    uint32_t header_epoch; /* the largest of a segment header */
    uint64_t quiet;        /* where the frames without records begin that are the last; 0: none */
    bool sealed;
    uint64_t decayed; /* below replay_from, no frame is from here on; 0: all of them are there */
};

/* ---- what is in the directory ---- */

struct listing {
    struct wal *wal;
    uint64_t *spares;
    size_t spare_count;
};

static enum status list_name(void *context, const char *name, bool is_directory, struct error *err)
{
    struct listing *listing = context;
    uint64_t number;
    if (is_directory)
        return STATUS_OK;
    if (wal_segment_name_parse(name, &number)) {
        struct wal_segment segment = {.number = number};
        return wal_add_segment(listing->wal, &segment, err);
    }
    if (!wal_spare_name_parse(name, &number))
        return STATUS_OK;
    uint64_t *spares = realloc(listing->spares, (listing->spare_count + 1) * sizeof *spares);
    if (spares == NULL)
        return fail(err, STATUS_MEMORY, "no memory to list the segments of the log");
    listing->spares = spares;
    listing->spares[listing->spare_count++] = number;
    return STATUS_OK;
}

/* A spare that was a segment of the log came before all that are in it. Others are half made: where
 * a sync of such a one failed, pages that can be read, and its size, may not be on the disk. */
static bool is_half_made(const struct wal *wal, uint64_t number)
{
    return wal->segment_count == 0 || number >= wal->segments[0].number;
}

static enum status keep_spare(struct wal *wal, uint64_t number, struct error *err)
{
    if (is_half_made(wal, number))
        return wal_remove_spare(wal, number, err);
    char name[WAL_NAME_SIZE];
    char path[WAL_PATH_SIZE];
    wal_spare_name(name, number);
    enum status status = wal_path(wal, name, path, err);
    struct file *file = NULL;
    if (status == STATUS_OK)
        status = filesystem_open(wal->os.fs, path, FILE_READ, &file, err);
    uint64_t size = 0;
    if (status == STATUS_OK)
        status = file_size(file, &size, err);
    file_close(file);
    if (status != STATUS_OK)
        return status;
    if (size != wal->segment_size || wal->spare_count >= wal->spare_max)
        return wal_remove_spare(wal, number, err);
    wal->spares[wal->spare_count++] = number;
    return STATUS_OK;
}

static int compare_segments(const void *a, const void *b)
{
    uint64_t left = ((const struct wal_segment *)a)->number;
    uint64_t right = ((const struct wal_segment *)b)->number;
    return (left > right) - (left < right);
}

static enum status list_directory(struct wal *wal, struct error *err)
{
    struct listing listing = {.wal = wal};
    enum status status = filesystem_list(wal->os.fs, wal->dir, list_name, &listing, err);
    /* A store that stopped before it had a log. */
    if (status == STATUS_NOT_FOUND && wal->read_only)
        status = STATUS_OK;
    if (status == STATUS_OK && wal->segment_count > 0)
        qsort(wal->segments, wal->segment_count, sizeof wal->segments[0], compare_segments);
    for (size_t i = 0; i < listing.spare_count && status == STATUS_OK && !wal->read_only; i++)
        status = keep_spare(wal, listing.spares[i], err);
    free(listing.spares);
    wal_count_segments(wal);
    return status;
}

/* The directory's own name must be durable before anything in it is relied on. */
static enum status make_directory(struct wal *wal, struct error *err)
{
    enum status status = filesystem_make_directory(wal->os.fs, wal->dir, err);
    if (status != STATUS_OK)
        return status;
    char parent[WAL_PATH_SIZE];
    snprintf(parent, sizeof parent, "%s", wal->dir);
    size_t size = strlen(parent);
    while (size > 1 && parent[size - 1] == '/')
        size--;
    while (size > 0 && parent[size - 1] != '/')
        size--;
    while (size > 1 && parent[size - 1] == '/')
        size--;
    parent[size] = '\0';
    return filesystem_sync_directory(wal->os.fs, size == 0 ? "." : parent, err);
}

/* ---- the segments to read ---- */

static void report_damage(struct recovery *recovery, uint64_t from, uint64_t to, const char *reason)
{
    struct wal *wal = recovery->wal;
    char text[WAL_PATH_SIZE + 256];
    if (from == to)
        snprintf(text, sizeof text, "%s/%016" PRIx64 ".wal: damaged, at no cost: %s", wal->dir,
                 wal_lsn_segment(from), reason);
    else if (wal_lsn_segment(from) == wal_lsn_segment(to))
        snprintf(text, sizeof text,
                 "%s/%016" PRIx64 ".wal: bytes %" PRIu64 " to %" PRIu64 " are damaged: %s",
                 wal->dir, wal_lsn_segment(from), wal_lsn_offset(from), wal_lsn_offset(to), reason);
    else
        snprintf(text, sizeof text,
                 "%s/%016" PRIx64 ".wal: from byte %" PRIu64 " on, up to byte %" PRIu64
                 " of %016" PRIx64 ".wal, the log is damaged: %s",
                 wal->dir, wal_lsn_segment(from), wal_lsn_offset(from), wal_lsn_offset(to),
                 wal_lsn_segment(to), reason);
    wal->counters.damages++;
    log_event(wal->log, LOG_ERROR, "wal", "damage in the log", log_text("where", text));
    if (recovery->replay->damage != NULL)
        recovery->replay->damage(recovery->replay->context, text, from, to);
}

/* *known: the header could be read. */
static enum status open_segment(struct recovery *recovery, struct wal_segment *segment, bool *known,
                                struct wal_segment_header *header, struct error *err)
{
    struct wal *wal = recovery->wal;
    char name[WAL_NAME_SIZE];
    char path[WAL_PATH_SIZE];
    wal_segment_name(name, segment->number);
    enum status status = wal_path(wal, name, path, err);
    if (status == STATUS_OK)
        status = filesystem_open(wal->os.fs, path, wal->read_only ? FILE_READ : FILE_READ_WRITE,
                                 &segment->file, err);
    const uint64_t least = 2 * WAL_DATA_START;
    uint8_t block[WAL_DATA_START] = {0};
    size_t got = 0;
    uint64_t size = 0;
    if (status == STATUS_OK)
        status = file_read(segment->file, block, sizeof block, 0, &got, err);
    if (status == STATUS_OK)
        status = file_size(segment->file, &size, err);
    if (status != STATUS_OK)
        return status;
    bool damaged = false;
    status = wal_segment_header_decode(block, header, &damaged, err);
    *known = status == STATUS_OK && header->number == segment->number;
    if (status != STATUS_OK && status != STATUS_CORRUPT) {
        error_prefix(err, "%s", path);
        return status;
    }
    bool foreign = *known && wal->owner != 0 && header->owner != 0 && header->owner != wal->owner;
    *known = *known && !foreign;
    /* A file that is shorter than it was made ends earlier: nothing can be read behind it. */
    size = (size + WAL_DATA_START - 1) / WAL_DATA_START * WAL_DATA_START;
    uint64_t most = *known ? header->size : WAL_SEGMENT_SIZE_MAX;
    segment->size = size > most ? most : size < least ? least : size;
    segment->damaged = damaged || !*known;
    /* Without a header the others tell how long it was: all are made alike unless a setting has
     * changed. */
    segment->made = *known ? header->size : wal->segment_size;
    if (size < segment->made)
        report_damage(recovery, wal_lsn(segment->number, size),
                      wal_lsn(segment->number, segment->made), "the file is cut short");
    if (foreign)
        report_damage(recovery, wal_lsn(segment->number, WAL_DATA_START),
                      wal_lsn(segment->number, segment->size), "it is of the log of another store");
    else if (segment->damaged)
        report_damage(recovery, wal_lsn(segment->number, 0),
                      wal_lsn(segment->number, *known ? 0 : WAL_DATA_START),
                      *known ? "one copy of the segment's header" : "the segment's header");
    return STATUS_OK;
}

static void add_source(struct recovery *recovery, const struct wal_segment *segment)
{
    recovery->sources[recovery->source_count++] = (struct wal_source){
        .file = segment->file, .number = segment->number, .size = segment->size};
}

/* Opens the segments from replay_from's on; where one is missing, a source without a file stands
 * for it. There is room for two sources a segment. */
static enum status open_sources(struct recovery *recovery, bool *key_known, struct error *err)
{
    struct wal *wal = recovery->wal;
    uint64_t from = recovery->replay->replay_from;
    uint64_t expected = from == 0 ? 1 : wal_lsn_segment(from);
    for (size_t i = 0; i < wal->segment_count; i++) {
        struct wal_segment *segment = &wal->segments[i];
        if (segment->number < wal_lsn_segment(from))
            continue;
        if (segment->number > expected) {
            struct wal_segment missing = {.number = expected, .size = wal->segment_size};
            add_source(recovery, &missing);
        }
        bool known = false;
        struct wal_segment_header header = {0};
        enum status status = open_segment(recovery, segment, &known, &header, err);
        if (status != STATUS_OK)
            return status;
        if (known) {
            *key_known = true;
            wal->key = header.key;
            if (header.epoch > recovery->header_epoch)
                recovery->header_epoch = header.epoch;
        }
        add_source(recovery, segment);
        expected = segment->number + 1;
    }
    return STATUS_OK;
}

/* ---- replay ---- */

/* The rest of a frame that began in a segment that is gone, and so below replay_from. */
static enum status skip_partial_frame(struct recovery *recovery, struct error *err)
{
    struct wal_reader *reader = &recovery->reader;
    for (;;) {
        enum wal_found found;
        struct wal_record_header header;
        struct slice payload;
        enum status status = wal_reader_record(reader, &found, &header, &payload, err);
        if (status != STATUS_OK || found != WAL_FOUND || header.flags == WAL_FLAG_BEGIN)
            return status;
        wal_reader_skip(reader, &header);
    }
}

static enum status apply_frame(struct recovery *recovery, const struct wal_frame *frame,
                               struct error *err)
{
    struct wal_counters *counters = &recovery->wal->counters;
    if (frame->synced_lsn > recovery->proven)
        recovery->proven = frame->synced_lsn;
    if (frame->record_count > 0)
        recovery->quiet = 0;
    else if (recovery->quiet == 0)
        recovery->quiet = frame->start;
    recovery->sealed = recovery->quiet != 0 && frame->synced_lsn >= recovery->quiet &&
                       frame->start >= wal_sector_end(recovery->quiet);
    if (frame->start < recovery->replay->replay_from)
        return STATUS_OK;
    recovery->applied = frame->start;
    counters->replayed_frames++;
    counters->replayed_records += frame->record_count;
    counters->replayed_bytes += recovery->reader.cursor - recovery->reader.keep;
    return wal_reader_apply(&recovery->reader, frame, recovery->replay->apply,
                            recovery->replay->context, err);
}

/*
 * From a place where no valid frame is. *damaged: it is damage, and the reader stands at the next
 * valid frame; otherwise the log ends at that place, and *torn becomes true where records of a
 * later frame are behind it.
 */
static enum status look_behind(struct recovery *recovery, struct wal_place place, bool *damaged,
                               bool *torn, struct error *err)
{
    struct wal_reader *reader = &recovery->reader;
    uint64_t from = wal_reader_lsn(reader, place);
    uint64_t order = reader->last_order;
    /* A segment is named durably before it is written to: a missing one was never lost in a crash.
     */
    bool missing = reader->sources[place.source].file == NULL;
    bool any = false;
    struct wal_place resume = place;
    *damaged = false;
    for (;;) {
        enum wal_found found;
        struct wal_record_header header;
        struct wal_frame frame;
        enum status status = wal_reader_scan(reader, &found, &header, err);
        if (status != STATUS_OK || found == WAL_ENDED)
            return status;
        struct wal_place candidate = reader->place;
        *torn = *torn || header.order > order;
        found = WAL_INVALID;
        if (header.flags == WAL_FLAG_BEGIN && header.order > reader->last_order)
            status = wal_reader_next_frame(reader, &found, &frame, err);
        if (status != STATUS_OK)
            return status;
        if (found != WAL_FOUND) {
            wal_reader_skip(reader, &header);
            continue;
        }
        if (!any)
            resume = candidate;
        any = true;
        if (missing || frame.synced_lsn > from) {
            wal_reader_seek(reader, resume);
            reader->last_order = order;
            *damaged = true;
            return STATUS_OK;
        }
    }
}

/* The log ends at `place`, or behind the damage there that no later frame tells of. */
static void end_at(struct recovery *recovery, struct wal_place place, const char *reason)
{
    struct wal_reader *reader = &recovery->reader;
    struct wal *wal = recovery->wal;
    uint64_t from = wal_reader_lsn(reader, place);
    recovery->end = place;
    if (reader->sources[place.source].file == NULL) {
        /* It stands before one that is there. */
        recovery->end = (struct wal_place){place.source + 1, WAL_DATA_START};
        report_damage(recovery, from, wal_reader_lsn(reader, recovery->end),
                      "a segment is missing");
    } else if (recovery->decayed != 0) {
        report_damage(recovery, recovery->decayed,
                      wal_lsn(wal_lsn_segment(from), reader->sources[place.source].size),
                      "frames that were synced are gone, and perhaps later ones");
    } else if (reader->torn) {
        wal->counters.torn_lsn = from;
        log_event(
            wal->log, LOG_WARN, "wal",
            "the log ends in a frame that is not whole and was dropped: after a crash a write "
            "that nobody was told of, else damage",
            log_int("segment", (int64_t)wal_lsn_segment(from)),
            log_int("offset", (int64_t)wal_lsn_offset(from)), log_text("reason", reason));
    }
}

static enum status handle_invalid(struct recovery *recovery, bool *ended, struct error *err)
{
    struct wal_reader *reader = &recovery->reader;
    struct wal_place place = reader->place;
    const char *reason = reader->reason;
    bool torn = reader->torn;
    bool damaged = false;
    uint64_t replay_from = recovery->replay->replay_from;
    if (wal_reader_lsn(reader, place) < replay_from) {
        /* Nobody needs what is before it. It is in the first segment, and a frame begins there. */
        recovery->decayed = wal_reader_lsn(reader, place);
        wal_reader_seek(reader, (struct wal_place){.offset = wal_lsn_offset(replay_from)});
        return STATUS_OK;
    }
    if (reader->sources[place.source].file == NULL)
        reason = "a segment is missing";
    enum status status = look_behind(recovery, place, &damaged, &torn, err);
    if (status != STATUS_OK)
        return status;
    if (damaged) {
        report_damage(recovery, wal_reader_lsn(reader, place),
                      wal_reader_lsn(reader, reader->place), reason);
        recovery->decayed = 0;
        return STATUS_OK;
    }
    reader->torn = torn;
    end_at(recovery, place, reason);
    *ended = true;
    return STATUS_OK;
}

static enum status tell_read(const struct recovery *recovery, struct error *err)
{
    const struct wal_replay *replay = recovery->replay;
    return replay->was_read == NULL ? STATUS_OK : replay->was_read(replay->context, err);
}

/* What is gone below replay_from, where all that is needed is there. */
static void report_decayed(struct recovery *recovery)
{
    if (recovery->decayed != 0)
        report_damage(recovery, recovery->decayed, recovery->replay->replay_from,
                      "nothing of it is needed any more");
    recovery->decayed = 0;
}

static enum status read_frames(struct recovery *recovery, struct error *err)
{
    struct wal_reader *reader = &recovery->reader;
    enum status status = skip_partial_frame(recovery, err);
    bool ended = false;
    while (status == STATUS_OK && !ended) {
        enum wal_found found;
        struct wal_frame frame;
        status = wal_reader_next_frame(reader, &found, &frame, err);
        if (status != STATUS_OK)
            break;
        if (found == WAL_FOUND) {
            report_decayed(recovery);
            status = apply_frame(recovery, &frame, err);
        } else if (found == WAL_INVALID) {
            status = handle_invalid(recovery, &ended, err);
        } else {
            recovery->end = reader->place;
            ended = true;
        }
    }
    return status;
}

/* ---- after it ---- */

static enum status write_again(const struct wal_source *source, uint64_t from, uint64_t to,
                               uint8_t *copy, size_t copy_size, struct error *err)
{
    enum status status = STATUS_OK;
    for (uint64_t at = from; at < to && status == STATUS_OK; at += copy_size) {
        size_t size = to - at < copy_size ? (size_t)(to - at) : copy_size;
        size_t got = 0;
        status = file_read(source->file, copy, size, at, &got, err);
        if (status == STATUS_OK)
            status = file_write(source->file, copy, got, at, err);
    }
    return status == STATUS_OK ? file_sync(source->file, err) : status;
}

/*
 * Writes again what was read before `end` and is not known to be synced, and syncs it: after a sync
 * that failed before a restart, the kernel may show bytes that never reached the disk and believe
 * them clean.
 */
static enum status make_durable(struct recovery *recovery, uint64_t end, struct error *err)
{
    enum { COPY_SIZE = 128 * 1024 };
    uint8_t *copy = malloc(COPY_SIZE);
    if (copy == NULL)
        return fail(err, STATUS_MEMORY, "no memory to sync the log");
    enum status status = STATUS_OK;
    for (size_t i = 0; i < recovery->source_count && status == STATUS_OK; i++) {
        const struct wal_source *source = &recovery->sources[i];
        if (source->number > wal_lsn_segment(end))
            break;
        bool last = source->number == wal_lsn_segment(end);
        uint64_t stop = last ? wal_lsn_offset(end) : source->size;
        uint64_t at = WAL_DATA_START;
        if (wal_lsn_segment(recovery->proven) == source->number)
            at = wal_lsn_offset(recovery->proven);
        if (source->file != NULL && at < stop && wal_lsn(source->number, stop) > recovery->proven)
            status = write_again(source, at, stop, copy, COPY_SIZE, err);
    }
    free(copy);
    if (status == STATUS_OK && end > recovery->proven)
        recovery->proven = end;
    return status;
}

enum status wal_sync_replayed(struct wal *wal, struct error *err)
{
    invariant(wal->recovery != NULL && !wal->read_only);
    return make_durable(wal->recovery, wal->recovery->applied, err);
}

/* Leaves the segments from the current one on, without gaps, and those before it that may be
 * replayed again. */
static enum status retire_segments(struct recovery *recovery, uint64_t current, struct error *err)
{
    struct wal *wal = recovery->wal;
    uint64_t first = wal_lsn_segment(recovery->replay->replay_from);
    uint64_t expected = current;
    enum status status = STATUS_OK;
    for (size_t i = 0; i < wal->segment_count && status == STATUS_OK;) {
        struct wal_segment *segment = &wal->segments[i];
        bool keep = segment->number >= first && segment->number < current;
        if (segment->number == expected) {
            keep = true;
            expected++;
        }
        if (!keep) {
            status = wal_retire_segment(wal, i, err);
            continue;
        }
        i++;
    }
    return status;
}

/* A segment that will be written to: what it cost that the file was cut is told once, and not by
 * every start until the log has left it. Not of those before it: what cannot be read of them must
 * not look like a place where the log ends. */
static enum status lengthen(struct wal_segment *segment, struct error *err)
{
    if (segment->size >= segment->made)
        return STATUS_OK;
    enum status status = file_resize(segment->file, segment->made, err);
    if (status == STATUS_OK)
        segment->size = segment->made;
    segment->damaged = true;
    return status;
}

/* Goes on at a place, in a new segment where that one is missing. */
static enum status continue_at(struct recovery *recovery, uint64_t number, uint64_t offset,
                               struct error *err)
{
    struct wal *wal = recovery->wal;
    const struct wal_segment *current = wal_find_segment(wal, number);
    if (current != NULL && offset > current->size && offset > current->made) {
        /* It was cut short before replay_from: behind its end nothing could be read again. */
        number++;
        offset = WAL_DATA_START;
    }
    enum status status = retire_segments(recovery, number, err);
    for (size_t i = 0; i < wal->segment_count && status == STATUS_OK; i++) {
        struct wal_segment *segment = &wal->segments[i];
        if (segment->number >= number)
            status = lengthen(segment, err);
        if (status == STATUS_OK && segment->damaged)
            status = wal_write_header(wal, segment, err);
        segment->damaged = false;
        if (segment->number < number) {
            file_close(segment->file);
            segment->file = NULL;
        }
    }
    if (status == STATUS_OK && wal_find_segment(wal, number) == NULL) {
        status = wal_install_segment(wal, number, err);
        if (offset > wal->segment_size)
            offset = wal->segment_size;
    }
    wal->number = number;
    wal->offset = offset;
    return status;
}

static enum status start_log(struct recovery *recovery, struct error *err)
{
    struct wal *wal = recovery->wal;
    uint64_t from = recovery->replay->replay_from;
    uint64_t number = wal_lsn_segment(from) + 1;
    wal->key = random_u64(wal->os.random);
    wal->seed = wal_checksum_seed(wal->key);
    wal->epoch = 1;
    if (from != 0)
        report_damage(recovery, from, wal_lsn(number, WAL_DATA_START),
                      "there is no segment from there on");
    enum status status = tell_read(recovery, err);
    if (status != STATUS_OK || wal->read_only)
        return status;
    return continue_at(recovery, number, WAL_DATA_START, err);
}

static enum status continue_log(struct recovery *recovery, bool key_known, struct error *err)
{
    struct wal *wal = recovery->wal;
    /* All headers are damaged: no record can be told from garbage, and new ones get a new key. */
    if (!key_known) {
        const struct wal_source *last = &recovery->sources[recovery->source_count - 1];
        wal->key = random_u64(wal->os.random);
        report_damage(recovery, wal_lsn(recovery->sources[0].number, WAL_DATA_START),
                      wal_lsn(last->number, last->size), "no segment's header can be read");
    }
    wal->seed = wal_checksum_seed(wal->key);
    wal_reader_init(&recovery->reader, recovery->sources, recovery->source_count, wal->key);
    enum status status = read_frames(recovery, err);
    if (status == STATUS_OK)
        status = tell_read(recovery, err);
    if (status == STATUS_OK && !wal->read_only)
        status = make_durable(recovery, wal_reader_lsn(&recovery->reader, recovery->end), err);
    if (status != STATUS_OK)
        return status;
    wal->number = recovery->sources[recovery->end.source].number;
    wal->offset = recovery->end.offset;
    if (wal->read_only)
        return STATUS_OK;
    uint64_t last_epoch = recovery->reader.max_order >> 32;
    if (recovery->header_epoch > last_epoch)
        last_epoch = recovery->header_epoch;
    if (last_epoch >= UINT32_MAX)
        return fail(err, STATUS_LIMIT, "the log was opened 2^32 times");
    wal->epoch = (uint32_t)last_epoch + 1;
    /* After damage the end is marked once more: a start that cannot read what is below replay_from
     * knows by the frame there that nothing is missing. */
    wal->sealed = recovery->sealed && wal->counters.damages == 0;
    return continue_at(recovery, wal->number, wal->offset, err);
}

enum status wal_recover(struct wal *wal, const struct wal_replay *replay, struct error *err)
{
    struct recovery recovery = {.wal = wal, .replay = replay};
    bool key_known = false;
    wal->recovery = &recovery;
    mutex_lock(&wal->lock);
    enum status status = wal->read_only ? STATUS_OK : make_directory(wal, err);
    if (status == STATUS_OK)
        status = list_directory(wal, err);
    struct wal_source *sources = NULL;
    if (status == STATUS_OK) {
        sources = calloc(wal->segment_count * 2 + 1, sizeof *sources);
        if (sources == NULL)
            status = fail(err, STATUS_MEMORY, "no memory to open %zu segments", wal->segment_count);
    }
    recovery.sources = sources;
    if (status == STATUS_OK)
        status = open_sources(&recovery, &key_known, err);
    if (status == STATUS_OK)
        status = recovery.source_count > 0 ? continue_log(&recovery, key_known, err)
                                           : start_log(&recovery, err);
    if (status == STATUS_OK && !wal->read_only)
        status = filesystem_sync_directory(wal->os.fs, wal->dir, err);
    mutex_unlock(&wal->lock);
    wal_reader_release(&recovery.reader);
    wal->recovery = NULL;
    free(sources);
    if (status != STATUS_OK)
        return status;
    uint64_t end = wal_lsn(wal->number, wal->offset);
    atomic_store(&wal->counters.last_lsn, end);
    atomic_store(&wal->counters.synced_lsn, end);
    atomic_store(&wal->counters.broken, wal->read_only);
    return STATUS_OK;
}

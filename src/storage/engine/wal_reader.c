#include "storage/engine/wal_reader.h"

#include "base/bits.h"
#include "base/invariant.h"

#include <stdlib.h>

enum {
    READ_SIZE = 1 << 20,    /* at least, where the segment has so many */
    BUFFER_SIZE = 4 << 20,  /* grows where a frame is larger */
    RECORD_LSN_OFFSET = 16, /* in the record header */
};

void wal_reader_init(struct wal_reader *reader, const struct wal_source *sources, size_t count,
                     uint64_t key)
{
    *reader = (struct wal_reader){
        .sources = sources,
        .source_count = count,
        .seed = wal_checksum_seed(key),
        .place = {.source = 0, .offset = WAL_DATA_START},
    };
}

void wal_reader_release(struct wal_reader *reader)
{
    free(reader->buffer);
    free(reader->parts);
    free(reader->joined);
    *reader = (struct wal_reader){0};
}

void wal_reader_seek(struct wal_reader *reader, struct wal_place place)
{
    reader->place = place;
    reader->keep = reader->cursor = reader->end = 0;
}

uint64_t wal_reader_lsn(const struct wal_reader *reader, struct wal_place place)
{
    return wal_lsn(reader->sources[place.source].number, place.offset);
}

static uint64_t room_at(const struct wal_reader *reader, struct wal_place place)
{
    uint64_t size = reader->sources[place.source].size;
    return place.offset < size ? size - place.offset : 0;
}

static bool next_source(const struct wal_reader *reader, struct wal_place *place)
{
    if (place->source + 1 >= reader->source_count)
        return false;
    *place = (struct wal_place){.source = place->source + 1, .offset = WAL_DATA_START};
    return true;
}

/* Goes to the next segment where this one has no room; false: there is none. What is kept in the
 * buffer stays; the next segment's bytes are read behind it. */
static bool settle(struct wal_reader *reader)
{
    if (reader->place.source >= reader->source_count)
        return false;
    while (room_at(reader, reader->place) < WAL_ROOM_MIN) {
        if (!next_source(reader, &reader->place))
            return false;
        reader->end = reader->cursor;
    }
    return true;
}

static enum status make_room(struct wal_reader *reader, size_t need, struct error *err)
{
    if (reader->keep > 0) {
        memmove(reader->buffer, reader->buffer + reader->keep, reader->end - reader->keep);
        reader->cursor -= reader->keep;
        reader->end -= reader->keep;
        reader->keep = 0;
    }
    uint64_t left = room_at(reader, reader->place);
    size_t read_ahead = left < READ_SIZE ? (size_t)left : READ_SIZE;
    size_t wanted = reader->cursor + need + read_ahead;
    if (wanted <= reader->capacity)
        return STATUS_OK;
    size_t capacity = reader->capacity * 2;
    if (reader->capacity == 0) /* small logs should not cost much */
        capacity = left < BUFFER_SIZE / 2 ? WAL_SEGMENT_SIZE_MIN : BUFFER_SIZE;
    while (capacity < wanted)
        capacity *= 2;
    uint8_t *buffer = realloc(reader->buffer, capacity);
    if (buffer == NULL)
        return fail(err, STATUS_MEMORY, "no memory for %zu bytes to read the log", capacity);
    reader->buffer = buffer;
    reader->capacity = capacity;
    return STATUS_OK;
}

/* Has `need` bytes from the cursor on in the buffer; the segment has so many. */
static enum status fill(struct wal_reader *reader, size_t need, struct error *err)
{
    if (reader->end - reader->cursor >= need)
        return STATUS_OK;
    enum status status = make_room(reader, need, err);
    if (status != STATUS_OK)
        return status;
    const struct wal_source *source = &reader->sources[reader->place.source];
    uint64_t from = reader->place.offset + (reader->end - reader->cursor);
    uint64_t left = source->size - from;
    size_t size = reader->capacity - reader->end;
    if (size > left)
        size = (size_t)left;
    size_t got = 0;
    if (source->file != NULL)
        status = file_read(source->file, reader->buffer + reader->end, size, from, &got, err);
    if (status != STATUS_OK)
        return status;
    memset(reader->buffer + reader->end + got, 0, size - got);
    reader->end += size;
    invariant(reader->end - reader->cursor >= need);
    return STATUS_OK;
}

/* The place is settled. */
static enum status read_record(struct wal_reader *reader, bool *valid,
                               struct wal_record_header *header, struct error *err)
{
    *valid = false;
    reader->torn = false;
    reader->reason = "there is no record";
    enum status status = fill(reader, WAL_RECORD_HEADER_SIZE, err);
    if (status != STATUS_OK)
        return status;
    uint64_t lsn = wal_reader_lsn(reader, reader->place);
    uint64_t room = room_at(reader, reader->place);
    wal_record_header_decode(reader->buffer + reader->cursor, header);
    reader->torn = header->lsn == lsn;
    if (!wal_record_header_plausible(reader->buffer + reader->cursor, header, lsn, room))
        return STATUS_OK;
    status = fill(reader, wal_record_size(header->length), err);
    if (status != STATUS_OK)
        return status;
    reader->reason = "a checksum differs";
    if (!wal_record_checksum_holds(reader->buffer + reader->cursor, header, reader->seed))
        return STATUS_OK;
    if (header->order > reader->max_order)
        reader->max_order = header->order;
    *valid = true;
    return STATUS_OK;
}

static void step_over(struct wal_reader *reader, const struct wal_record_header *header)
{
    size_t size = wal_record_size(header->length);
    reader->cursor += size;
    reader->place.offset += size;
}

static enum status add_part(struct wal_reader *reader, const struct wal_record_header *header,
                            struct error *err)
{
    if (reader->part_count == reader->part_capacity) {
        size_t capacity = reader->part_capacity == 0 ? 64 : reader->part_capacity * 2;
        struct wal_part *parts = realloc(reader->parts, capacity * sizeof *parts);
        if (parts == NULL)
            return fail(err, STATUS_MEMORY, "no memory to read a frame of %zu records", capacity);
        reader->parts = parts;
        reader->part_capacity = capacity;
    }
    reader->parts[reader->part_count++] = (struct wal_part){
        .at = reader->cursor + WAL_RECORD_HEADER_SIZE - reader->keep,
        .length = header->length,
        .type = header->type,
        .more = header->flags == WAL_FLAG_MORE,
    };
    return STATUS_OK;
}

/* Whether a record can follow in the frame; sets the reason where it cannot. */
static bool follows(struct wal_reader *reader, const struct wal_frame *frame, uint32_t index,
                    const struct wal_record_header *header)
{
    reader->reason = "the frame is not complete";
    reader->torn = true;
    if (header->order != frame->order || header->index != index)
        return false;
    const struct wal_part *last =
        reader->part_count > 0 ? &reader->parts[reader->part_count - 1] : NULL;
    bool continues = last != NULL && last->more;
    reader->reason = "the parts of a record do not fit together";
    if (header->flags == WAL_FLAG_BEGIN)
        return false;
    if (!continues)
        reader->record_size = 0;
    else if (header->flags == WAL_FLAG_COMMIT || header->type != last->type)
        return false;
    reader->record_size += header->length;
    if (reader->record_size > WAL_RECORD_MAX)
        return false;
    reader->reason = "the frame is too large";
    return reader->cursor - reader->keep + wal_record_size(header->length) <= WAL_FRAME_MAX;
}

static enum status read_begin(struct wal_reader *reader, bool *valid, struct wal_frame *frame,
                              struct error *err)
{
    struct wal_record_header header;
    enum status status = read_record(reader, valid, &header, err);
    if (status != STATUS_OK || !*valid)
        return status;
    *valid = header.flags == WAL_FLAG_BEGIN && header.order > reader->last_order;
    reader->torn = header.order > reader->last_order;
    reader->reason = header.flags == WAL_FLAG_BEGIN ? "an older frame was left there"
                                                    : "a frame's first record is missing";
    if (!*valid)
        return STATUS_OK;
    *frame = (struct wal_frame){
        .start = header.lsn,
        .order = header.order,
        .synced_lsn = load_u64(reader->buffer + reader->cursor + WAL_RECORD_HEADER_SIZE),
    };
    step_over(reader, &header);
    return STATUS_OK;
}

/* From the begin record on. */
static enum status read_rest(struct wal_reader *reader, bool *valid, struct wal_frame *frame,
                             struct error *err)
{
    for (uint32_t index = 1;; index++) {
        struct wal_record_header header;
        uint64_t number = reader->sources[reader->place.source].number;
        *valid = settle(reader);
        reader->reason = "the segment behind it is missing";
        reader->torn = true;
        uint64_t now = reader->sources[reader->place.source].number;
        *valid = *valid && (now == number || now == number + 1);
        if (!*valid)
            return STATUS_OK;
        enum status status = read_record(reader, valid, &header, err);
        if (status != STATUS_OK)
            return status;
        reader->torn = true;
        *valid = *valid && follows(reader, frame, index, &header);
        if (!*valid)
            return STATUS_OK;
        if (header.flags != WAL_FLAG_COMMIT) {
            status = add_part(reader, &header, err);
            if (status != STATUS_OK)
                return status;
            frame->record_count += header.flags != WAL_FLAG_MORE && header.type != WAL_TYPE_FILLER;
        }
        step_over(reader, &header);
        if (header.flags == WAL_FLAG_COMMIT)
            return STATUS_OK;
    }
}

enum status wal_reader_next_frame(struct wal_reader *reader, enum wal_found *found,
                                  struct wal_frame *frame, struct error *err)
{
    *found = WAL_ENDED;
    if (!settle(reader))
        return STATUS_OK;
    struct wal_place start = reader->place;
    reader->keep = reader->cursor;
    reader->part_count = 0;
    bool valid = false;
    enum status status = read_begin(reader, &valid, frame, err);
    if (status == STATUS_OK && valid)
        status = read_rest(reader, &valid, frame, err);
    if (status != STATUS_OK)
        return status;
    if (!valid) {
        *found = WAL_INVALID;
        if (reader->place.source != start.source)
            wal_reader_seek(reader, start);
        reader->place = start;
        reader->cursor = reader->keep;
        return STATUS_OK;
    }
    frame->end = wal_reader_lsn(reader, reader->place);
    reader->last_order = frame->order;
    *found = WAL_FOUND;
    return STATUS_OK;
}

enum status wal_reader_apply(struct wal_reader *reader, const struct wal_frame *frame,
                             wal_apply *apply, void *context, struct error *err)
{
    size_t joined = 0;
    for (size_t i = 0; i < reader->part_count; i++) {
        const struct wal_part *part = &reader->parts[i];
        if (part->type == WAL_TYPE_FILLER)
            continue;
        struct slice record = slice_of(reader->buffer + reader->keep + part->at, part->length);
        if (part->more || joined > 0) {
            if (reader->joined == NULL)
                reader->joined = malloc(WAL_RECORD_MAX);
            if (reader->joined == NULL)
                return fail(err, STATUS_MEMORY, "no memory to read a record of the log");
            invariant(part->length <= WAL_RECORD_MAX - joined); /* checked by follows() */
            memcpy(reader->joined + joined, record.data, record.size);
            joined += record.size;
            if (part->more)
                continue;
            record = slice_of(reader->joined, joined);
            joined = 0;
        }
        enum status status = apply(context, record, part->type, frame->end, err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

enum status wal_reader_record(struct wal_reader *reader, enum wal_found *found,
                              struct wal_record_header *header, struct slice *payload,
                              struct error *err)
{
    *found = WAL_ENDED;
    if (!settle(reader))
        return STATUS_OK;
    reader->keep = reader->cursor;
    bool valid = false;
    enum status status = read_record(reader, &valid, header, err);
    if (status != STATUS_OK)
        return status;
    *found = valid ? WAL_FOUND : WAL_INVALID;
    if (valid)
        *payload =
            slice_of(reader->buffer + reader->cursor + WAL_RECORD_HEADER_SIZE, header->length);
    return STATUS_OK;
}

void wal_reader_skip(struct wal_reader *reader, const struct wal_record_header *header)
{
    size_t size = wal_record_size(header->length);
    if (reader->end - reader->cursor >= size) {
        step_over(reader, header);
        return;
    }
    reader->place.offset += size;
    wal_reader_seek(reader, reader->place);
}

/* To the next place in the buffer where a record could be: its header names its own position. */
static void scan_buffer(struct wal_reader *reader)
{
    uint64_t lsn = wal_reader_lsn(reader, reader->place);
    const uint8_t *from = reader->buffer + reader->cursor;
    const uint8_t *end = reader->buffer + reader->end;
    const uint8_t *at = from;
    while (end - at >= WAL_RECORD_HEADER_SIZE && load_u64(at + RECORD_LSN_OFFSET) != lsn) {
        at += WAL_ALIGNMENT;
        lsn += WAL_ALIGNMENT;
    }
    size_t passed = (size_t)(at - from);
    reader->cursor += passed;
    reader->place.offset += passed;
}

enum status wal_reader_scan(struct wal_reader *reader, enum wal_found *found,
                            struct wal_record_header *header, struct error *err)
{
    *found = WAL_ENDED;
    while (settle(reader)) {
        if (reader->sources[reader->place.source].file == NULL) {
            reader->place.offset = reader->sources[reader->place.source].size;
            reader->end = reader->cursor;
            continue;
        }
        reader->keep = reader->cursor;
        enum status status = fill(reader, WAL_RECORD_HEADER_SIZE, err);
        if (status != STATUS_OK)
            return status;
        scan_buffer(reader);
        reader->keep = reader->cursor;
        if (reader->end - reader->cursor < WAL_RECORD_HEADER_SIZE)
            continue;
        bool valid = false;
        status = read_record(reader, &valid, header, err);
        if (status != STATUS_OK)
            return status;
        if (valid) {
            *found = WAL_FOUND;
            return STATUS_OK;
        }
        reader->cursor += WAL_ALIGNMENT;
        reader->place.offset += WAL_ALIGNMENT;
    }
    return STATUS_OK;
}

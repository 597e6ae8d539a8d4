/*
 * What the manifest says: edits as items, and the state that they make.
 */
#include "storage/engine/manifest_state.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/bits.h"

enum item_tag {
    ITEM_STORE = 1,
    ITEM_PART_ADD = 2,
    ITEM_PART_REMOVE = 3,
    ITEM_SEGMENT_ADD = 4,
    ITEM_SEGMENT_REMOVE = 5,
    ITEM_FLUSHED = 6,
    ITEM_NEXT_FILE = 7,
    ITEM_NEXT_IDS = 8,
    ITEM_PART_TIER = 9,
    ITEM_PART_CLEANED = 10,
    ITEM_TIME = 11,
    ITEM_LOST = 12,
    ITEM_LOG_LOST = 13,
    ITEM_FILLER = 14,
    ITEM_LAST = ITEM_FILLER,
};
enum { FORMAT_VERSION = 1, MAX_FIELDS = 12 };

static const uint8_t field_counts[] = {
    [ITEM_STORE] = 5,        [ITEM_PART_ADD] = 9,       [ITEM_PART_REMOVE] = 1,
    [ITEM_SEGMENT_ADD] = 4,  [ITEM_SEGMENT_REMOVE] = 1, [ITEM_FLUSHED] = 2,
    [ITEM_NEXT_FILE] = 1,    [ITEM_NEXT_IDS] = 2,       [ITEM_PART_TIER] = 2,
    [ITEM_PART_CLEANED] = 2, [ITEM_TIME] = 1,           [ITEM_LOST] = 0,
    [ITEM_LOG_LOST] = 2,     [ITEM_FILLER] = 0,
};

/* ---- items ------------------------------------------------------------------------------ */

void manifest_edit_init(struct manifest_edit *edit)
{
    *edit = (struct manifest_edit){.failed = false};
    bytes_init(&edit->bytes, MANIFEST_PAYLOAD_MAX);
}

void manifest_edit_release(struct manifest_edit *edit)
{
    bytes_release(&edit->bytes);
}

static void item_put(struct manifest_edit *edit, enum item_tag tag, const uint64_t *fields)
{
    if (bytes_reserve(&edit->bytes, (size_t)(MAX_FIELDS + 1) * VARINT_MAX_SIZE) != STATUS_OK) {
        edit->failed = true;
        return;
    }
    uint8_t *at = varint_put(edit->bytes.data + edit->bytes.size, (uint64_t)tag);
    for (size_t i = 0; i < field_counts[tag]; i++)
        at = varint_put(at, fields[i]);
    edit->bytes.size = (size_t)(at - edit->bytes.data);
}

void manifest_add_part(struct manifest_edit *edit, const struct manifest_part *part)
{
    item_put(edit, ITEM_PART_ADD,
             (const uint64_t[]){part->id, zigzag_encode(part->day), part->min_sequence,
                                part->max_sequence, part->level, part->samples, part->bytes,
                                zigzag_encode(part->min_ms), zigzag_encode(part->max_ms)});
    if (part->tier != PART_HOT)
        item_put(edit, ITEM_PART_TIER, (const uint64_t[]){part->id, part->tier});
    if (part->cleaned != 0)
        item_put(edit, ITEM_PART_CLEANED, (const uint64_t[]){part->id, part->cleaned});
}

void manifest_remove_part(struct manifest_edit *edit, uint64_t id)
{
    item_put(edit, ITEM_PART_REMOVE, &id);
}

void manifest_add_segment(struct manifest_edit *edit, const struct manifest_segment *segment)
{
    item_put(edit, ITEM_SEGMENT_ADD,
             (const uint64_t[]){segment->id, segment->kind, segment->entries, segment->bytes});
}

void manifest_remove_segment(struct manifest_edit *edit, uint64_t id)
{
    item_put(edit, ITEM_SEGMENT_REMOVE, &id);
}

void manifest_set_flushed(struct manifest_edit *edit, uint64_t log_position, uint64_t last_sequence)
{
    item_put(edit, ITEM_FLUSHED, (const uint64_t[]){log_position, last_sequence});
}

void manifest_set_next_file(struct manifest_edit *edit, uint64_t next)
{
    item_put(edit, ITEM_NEXT_FILE, &next);
}

void manifest_set_next_ids(struct manifest_edit *edit, uint32_t next_series, uint32_t next_metric)
{
    item_put(edit, ITEM_NEXT_IDS, (const uint64_t[]){next_series, next_metric});
}

void manifest_set_time(struct manifest_edit *edit, int64_t time_ms)
{
    item_put(edit, ITEM_TIME, (const uint64_t[]){zigzag_encode(time_ms)});
}

void manifest_note_lost(struct manifest_edit *edit)
{
    item_put(edit, ITEM_LOST, NULL);
}

void manifest_note_log_lost(struct manifest_edit *edit, uint64_t from, uint64_t to)
{
    item_put(edit, ITEM_LOG_LOST, (const uint64_t[]){from, to});
}

void manifest_fill(struct manifest_edit *edit, size_t count)
{
    for (size_t i = 0; i < count; i++)
        item_put(edit, ITEM_FILLER, NULL);
}

static void put_store(struct manifest_edit *edit, const struct manifest_state *state)
{
    item_put(edit, ITEM_STORE,
             (const uint64_t[]){FORMAT_VERSION, load_u64(state->store_id),
                                load_u64(state->store_id + 8), state->secret,
                                zigzag_encode(state->created_ms)});
}

/* ---- state ------------------------------------------------------------------------------ */

void manifest_state_release(struct manifest_state *state)
{
    free(state->parts);
    free(state->segments);
    *state = (struct manifest_state){.next_file = 1};
}

static bool part_before(const struct manifest_part *a, const struct manifest_part *b)
{
    return a->day != b->day ? a->day < b->day : a->min_sequence < b->min_sequence;
}

static enum status part_insert(struct manifest_state *state, const struct manifest_part *part)
{
    struct manifest_part *parts = realloc(state->parts, (state->part_count + 1) * sizeof parts[0]);
    if (parts == NULL)
        return STATUS_MEMORY;
    state->parts = parts;
    size_t place = state->part_count;
    while (place > 0 && part_before(part, &parts[place - 1]))
        place--;
    memmove(parts + place + 1, parts + place, (state->part_count - place) * sizeof parts[0]);
    parts[place] = *part;
    state->part_count++;
    return STATUS_OK;
}

static bool part_erase(struct manifest_state *state, uint64_t id)
{
    for (size_t i = 0; i < state->part_count; i++)
        if (state->parts[i].id == id) {
            memmove(state->parts + i, state->parts + i + 1,
                    (state->part_count - i - 1) * sizeof state->parts[0]);
            state->part_count--;
            return true;
        }
    return false;
}

static struct manifest_part *part_find(struct manifest_state *state, uint64_t id)
{
    for (size_t i = 0; i < state->part_count; i++)
        if (state->parts[i].id == id)
            return &state->parts[i];
    return NULL;
}

static enum status part_set_tier(struct manifest_state *state, uint64_t id, uint64_t tier)
{
    struct manifest_part *part = part_find(state, id);
    if (tier > PART_WARM)
        return STATUS_UNSUPPORTED;
    if (part == NULL)
        return STATUS_CORRUPT;
    part->tier = (enum part_tier)tier;
    return STATUS_OK;
}

static enum status part_set_cleaned(struct manifest_state *state, uint64_t id, uint64_t sequence)
{
    struct manifest_part *part = part_find(state, id);
    if (part == NULL)
        return STATUS_CORRUPT;
    part->cleaned = sequence;
    return STATUS_OK;
}

static enum status segment_insert(struct manifest_state *state,
                                  const struct manifest_segment *segment)
{
    struct manifest_segment *segments =
        realloc(state->segments, (state->segment_count + 1) * sizeof segments[0]);
    if (segments == NULL)
        return STATUS_MEMORY;
    state->segments = segments;
    segments[state->segment_count++] = *segment;
    return STATUS_OK;
}

static bool segment_erase(struct manifest_state *state, uint64_t id)
{
    for (size_t i = 0; i < state->segment_count; i++)
        if (state->segments[i].id == id) {
            memmove(state->segments + i, state->segments + i + 1,
                    (state->segment_count - i - 1) * sizeof state->segments[0]);
            state->segment_count--;
            return true;
        }
    return false;
}

static enum status item_apply(struct manifest_state *state, uint64_t tag, const uint64_t *f)
{
    switch ((enum item_tag)tag) {
    case ITEM_STORE:
        if (f[0] != FORMAT_VERSION)
            return STATUS_UNSUPPORTED;
        store_u64(state->store_id, f[1]);
        store_u64(state->store_id + 8, f[2]);
        state->secret = f[3];
        state->created_ms = zigzag_decode(f[4]);
        return STATUS_OK;
    case ITEM_PART_ADD:
        return part_insert(state, &(struct manifest_part){
                                      .id = f[0],
                                      .day = zigzag_decode(f[1]),
                                      .min_sequence = f[2],
                                      .max_sequence = f[3],
                                      .level = (uint32_t)f[4],
                                      .samples = f[5],
                                      .bytes = f[6],
                                      .min_ms = zigzag_decode(f[7]),
                                      .max_ms = zigzag_decode(f[8]),
                                  });
    case ITEM_PART_REMOVE:
        return part_erase(state, f[0]) ? STATUS_OK : STATUS_CORRUPT;
    case ITEM_SEGMENT_ADD:
        return segment_insert(state, &(struct manifest_segment){
                                         .id = f[0],
                                         .kind = (enum segment_kind)f[1],
                                         .entries = f[2],
                                         .bytes = f[3],
                                     });
    case ITEM_SEGMENT_REMOVE:
        return segment_erase(state, f[0]) ? STATUS_OK : STATUS_CORRUPT;
    case ITEM_FLUSHED:
        state->log_position = f[0];
        state->last_sequence = f[1];
        return STATUS_OK;
    case ITEM_NEXT_IDS:
        if (f[0] > UINT32_MAX || f[1] > UINT32_MAX)
            return STATUS_CORRUPT;
        state->next_series = (uint32_t)f[0];
        state->next_metric = (uint32_t)f[1];
        return STATUS_OK;
    case ITEM_NEXT_FILE:
        state->next_file = f[0];
        return STATUS_OK;
    case ITEM_PART_TIER:
        return part_set_tier(state, f[0], f[1]);
    case ITEM_PART_CLEANED:
        return part_set_cleaned(state, f[0], f[1]);
    case ITEM_TIME:
        state->time_ms = zigzag_decode(f[0]);
        return STATUS_OK;
    case ITEM_LOST:
        state->edits_lost = true;
        return STATUS_OK;
    case ITEM_LOG_LOST:
        if (f[0] > f[1])
            return STATUS_CORRUPT;
        state->log_lost_from = f[0];
        state->log_lost_to = f[1];
        return STATUS_OK;
    case ITEM_FILLER:
        return STATUS_OK;
    }
    return STATUS_UNSUPPORTED;
}

enum status manifest_state_copy(struct manifest_state *to, const struct manifest_state *from,
                                struct error *err)
{
    *to = *from;
    to->parts = malloc((from->part_count + 1) * sizeof to->parts[0]);
    to->segments = malloc((from->segment_count + 1) * sizeof to->segments[0]);
    if (to->parts == NULL || to->segments == NULL) {
        manifest_state_release(to);
        return fail(err, STATUS_MEMORY, "no memory for the manifest");
    }
    if (from->part_count > 0)
        memcpy(to->parts, from->parts, from->part_count * sizeof to->parts[0]);
    if (from->segment_count > 0)
        memcpy(to->segments, from->segments, from->segment_count * sizeof to->segments[0]);
    return STATUS_OK;
}

enum status manifest_state_apply(struct manifest_state *state, struct slice payload,
                                 struct error *err)
{
    struct manifest_state after;
    enum status status = manifest_state_copy(&after, state, err);
    if (status != STATUS_OK)
        return status;
    const uint8_t *at = payload.data;
    const uint8_t *end = payload.size > 0 ? at + payload.size : at;
    uint64_t tag = 0;
    while (at != NULL && at < end && status == STATUS_OK) {
        uint64_t fields[MAX_FIELDS] = {0};
        at = varint_get(at, end, &tag);
        if (at == NULL || tag < ITEM_STORE || tag > ITEM_LAST) {
            status = at == NULL ? STATUS_CORRUPT : STATUS_UNSUPPORTED;
            break;
        }
        for (size_t i = 0; i < field_counts[tag] && at != NULL; i++)
            at = varint_get(at, end, &fields[i]);
        status = at == NULL ? STATUS_CORRUPT : item_apply(&after, tag, fields);
    }
    if (status != STATUS_OK) {
        manifest_state_release(&after);
        return fail(err, status, "item %" PRIu64 " of an edit %s", tag,
                    status == STATUS_UNSUPPORTED ? "is of a newer version" : "does not apply");
    }
    manifest_state_release(state);
    *state = after;
    return STATUS_OK;
}

bool manifest_names_store(struct slice payload)
{
    return payload.size > 0 && payload.data[0] == ITEM_STORE;
}

void manifest_put_state(struct manifest_edit *edit, const struct manifest_state *state)
{
    put_store(edit, state);
    for (size_t i = 0; i < state->segment_count; i++)
        manifest_add_segment(edit, &state->segments[i]);
    for (size_t i = 0; i < state->part_count; i++)
        manifest_add_part(edit, &state->parts[i]);
    manifest_set_flushed(edit, state->log_position, state->last_sequence);
    manifest_set_next_file(edit, state->next_file);
    if (state->next_series != 0 || state->next_metric != 0)
        manifest_set_next_ids(edit, state->next_series, state->next_metric);
    if (state->time_ms != 0)
        manifest_set_time(edit, state->time_ms);
    if (state->edits_lost)
        manifest_note_lost(edit);
    if (state->log_lost_to != 0)
        manifest_note_log_lost(edit, state->log_lost_from, state->log_lost_to);
}

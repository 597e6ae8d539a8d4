/* inspect: one file of a store as a person, or a program that reads JSON, wants to see it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_text.h"
#include "base/times.h"
#include "storage/engine/detail.h"
#include "storage/engine/engine.h"
#include "storage/engine/index_segment.h"
#include "storage/engine/manifest.h"
#include "storage/engine/part_reader.h"
#include "storage/engine/record.h"
#include "storage/engine/series_segment_state.h"
#include "storage/engine/stored_read.h"
#include "storage/engine/wal.h"
#include "storage/engine/wal_format.h"

enum { FIELD_WIDTH = 18, DAMAGES_SHOWN = 100, DETAILS_MAX = 1 << 30, LINE_MAX_SIZE = 8 << 20 };

struct inspector {
    struct os os;
    const char *path;
    const struct engine_inspect_options *options;
    engine_show *show;
    void *context;
    struct error *err;
    enum status status; /* the first failure of `show` sticks */
    struct bytes line;
    struct bytes damages; /* shown at the end */
    uint64_t damage_count;
    bool any_field;
    struct detail detail; /* into `line` */
    bool in_details;      /* within the array of details, in JSON */
    bool had_details;

    /* index segment */
    struct series_space space;
    struct series_table series;
    uint64_t blocks, entries;
    /* log segment */
    uint64_t frames, commits, records[RECORD_ARRIVAL + 1], samples, stale, stale_bytes, unused,
        gaps;
    uint32_t last_epoch;
    uint64_t number, segment_size;
};

/* ---- output ----------------------------------------------------------------------------- */

static void send_line(struct inspector *inspector)
{
    if (inspector->status == STATUS_OK)
        inspector->status =
            inspector->show(inspector->context, bytes_slice(&inspector->line), inspector->err);
    bytes_clear(&inspector->line);
}

static void keep(struct inspector *inspector, enum status status)
{
    if (inspector->status == STATUS_OK && status != STATUS_OK)
        inspector->status = fail(inspector->err, status, "a line about %s is too long to be shown",
                                 inspector->path);
}

static void put_string(struct inspector *inspector, struct bytes *to, struct slice text)
{
    keep(inspector, json_append_string(to, text));
}

static void leave_details(struct inspector *inspector)
{
    if (inspector->in_details)
        keep(inspector, bytes_append(&inspector->line, "]", 1));
    inspector->in_details = false;
}

static void put_key(struct inspector *inspector, const char *key)
{
    leave_details(inspector);
    if (inspector->options->json)
        keep(inspector,
             bytes_format(&inspector->line, "%s\"%s\":", inspector->any_field ? "," : "{", key));
    else
        keep(inspector, bytes_format(&inspector->line, "%-*s ", FIELD_WIDTH, key));
    inspector->any_field = true;
}

static void end_field(struct inspector *inspector)
{
    if (!inspector->options->json)
        keep(inspector, bytes_append(&inspector->line, "\n", 1));
    send_line(inspector);
}

static void put_text(struct inspector *inspector, const char *key, const char *text)
{
    put_key(inspector, key);
    if (inspector->options->json)
        put_string(inspector, &inspector->line, slice_from_text(text));
    else
        keep(inspector, bytes_append_text(&inspector->line, text));
    end_field(inspector);
}

static void put_number(struct inspector *inspector, const char *key, uint64_t number)
{
    put_key(inspector, key);
    keep(inspector, bytes_format(&inspector->line, "%" PRIu64, number));
    end_field(inspector);
}

static void put_instant(struct inspector *inspector, const char *key, int64_t time_ms)
{
    char text[INSTANT_TEXT_SIZE];
    instant_format(text, time_ms);
    put_text(inspector, key, text);
}

static void put_position(struct inspector *inspector, const char *key, uint64_t lsn)
{
    char text[64];
    snprintf(text, sizeof text, "%016" PRIx64 ":%" PRIu64, wal_lsn_segment(lsn),
             wal_lsn_offset(lsn));
    put_text(inspector, key, text);
}

static void note_damage(void *context, const char *description)
{
    struct inspector *inspector = context;
    if (inspector->damage_count++ >= DAMAGES_SHOWN)
        return;
    struct bytes *to = &inspector->damages;
    if (!inspector->options->json) {
        keep(inspector, bytes_format(to, "%-*s %s\n", FIELD_WIDTH, "damage", description));
        return;
    }
    if (to->size > 0)
        keep(inspector, bytes_append(to, ",", 1));
    put_string(inspector, to, slice_from_text(description));
}

static void put_damages(struct inspector *inspector)
{
    put_number(inspector, "damaged", inspector->damage_count);
    struct slice damages = bytes_slice(&inspector->damages);
    if (inspector->options->json)
        keep(inspector, bytes_format(&inspector->line, ",\"damage\":["));
    keep(inspector, bytes_append(&inspector->line, damages.data, damages.size));
    if (inspector->options->json)
        keep(inspector, bytes_append_text(&inspector->line, "]"));
    send_line(inspector);
}

/* The array of details, of which there is one: they are shown one after the other. */
static void enter_details(struct inspector *inspector)
{
    if (!inspector->options->json || inspector->had_details)
        return;
    put_key(inspector, "details");
    keep(inspector, bytes_append(&inspector->line, "[", 1));
    inspector->in_details = inspector->had_details = true;
}

static struct detail *begin_detail(struct inspector *inspector, const char *type)
{
    enter_details(inspector);
    detail_begin(&inspector->detail, type);
    return &inspector->detail;
}

static void end_detail(struct inspector *inspector)
{
    detail_end(&inspector->detail);
    keep(inspector, inspector->detail.status);
    send_line(inspector);
}

static void end_object(struct inspector *inspector)
{
    if (!inspector->options->json)
        return;
    if (inspector->options->details)
        enter_details(inspector);
    leave_details(inspector);
    keep(inspector, bytes_append_text(&inspector->line, "}\n"));
    send_line(inspector);
}

/* ---- part ------------------------------------------------------------------------------- */

static void note_part_damage(void *context, const struct error *err)
{
    note_damage(context, err->message);
}

static void show_part_fields(struct inspector *inspector, const struct part *part)
{
    const struct part_identity *identity = part_identity(part);
    const struct part_totals *totals = part_totals(part);
    char day[INSTANT_TEXT_SIZE];
    day_format(day, identity->day);
    put_text(inspector, "kind", "part");
    put_number(inspector, "id", identity->id);
    put_text(inspector, "day", day);
    put_number(inspector, "first_sequence", identity->min_sequence);
    put_number(inspector, "last_sequence", identity->max_sequence);
    put_number(inspector, "level", identity->level);
    put_number(inspector, "series", totals->series);
    put_number(inspector, "samples", totals->samples);
    put_number(inspector, "blocks", totals->blocks);
    put_number(inspector, "pages", totals->pages);
    put_number(inspector, "bytes", totals->bytes);
    if (totals->samples > 0) {
        put_instant(inspector, "first", totals->min_ms);
        put_instant(inspector, "last", totals->max_ms);
    }
}

static enum status show_part(struct inspector *inspector)
{
    struct part *part = NULL;
    enum status status = part_open(&part, inspector->os.fs, inspector->path, inspector->err);
    if (status != STATUS_OK)
        return status;
    show_part_fields(inspector, part);
    uint64_t found = 0;
    status = part_verify(part, note_part_damage, inspector, &found, inspector->err);
    if (status == STATUS_OK)
        put_damages(inspector);
    if (status == STATUS_OK && inspector->options->details) {
        struct bytes text;
        bytes_init(&text, DETAILS_MAX);
        enter_details(inspector);
        send_line(inspector);
        struct detail detail = {.to = &text, .json = inspector->options->json};
        status = part_inspect(part, true, &detail, inspector->err);
        if (status == STATUS_OK && inspector->status == STATUS_OK)
            inspector->status =
                inspector->show(inspector->context, bytes_slice(&text), inspector->err);
        bytes_release(&text);
    }
    part_close(part);
    return status;
}

/* ---- index segment ---------------------------------------------------------------------- */

static enum status show_metric(void *context, const struct metric *metric, struct error *err)
{
    (void)err;
    struct inspector *inspector = context;
    inspector->entries++;
    if (!inspector->options->details)
        return STATUS_OK;
    struct detail *detail = begin_detail(inspector, "metric");
    detail_text(detail, "name", metric->name);
    detail_word(detail, "type", metric_type_name(metric->type));
    detail_text(detail, "unit", metric->unit);
    detail_text(detail, "help", metric->help);
    if (metric->has_max_series)
        detail_count(detail, "max_series", metric->max_series);
    end_detail(inspector);
    return inspector->status;
}

static void show_definition(struct inspector *inspector, uint32_t id, uint32_t metric,
                            const struct labels *labels)
{
    struct detail *detail = begin_detail(inspector, "series");
    detail_count(detail, "id", id);
    detail_count(detail, "metric", metric);
    detail_labels(detail, "labels", labels);
    end_detail(inspector);
}

static void show_series(struct inspector *inspector, uint32_t id)
{
    const struct series *series = series_table_get(&inspector->series, id);
    struct label *items = calloc(series->pair_count, sizeof items[0]);
    if (items == NULL) {
        keep(inspector, STATUS_MEMORY);
        return;
    }
    struct labels labels;
    series_table_labels(&inspector->series, id, items, &labels);
    show_definition(inspector, id, series->metric, &labels);
    free(items);
}

static void note_record(struct inspector *inspector, uint8_t type)
{
    if (type <= RECORD_ARRIVAL)
        inspector->records[type]++;
}

static enum status show_delete(struct inspector *inspector, struct slice record, struct error *err)
{
    struct record_delete delete;
    enum status status = record_get_delete(record, &delete, err);
    if (status != STATUS_OK)
        return status;
    inspector->entries++;
    if (inspector->options->details) {
        struct detail *detail = begin_detail(inspector, "delete");
        detail_count(detail, "sequence", delete.sequence);
        detail_count(detail, "series", roaring_bitmap_get_cardinality(delete.ids));
        detail_time_ms(detail, "start_ms", delete.range.start_ms);
        detail_time_ms(detail, "end_ms", delete.range.end_ms);
        end_detail(inspector);
    }
    roaring_bitmap_free(delete.ids);
    return STATUS_OK;
}

static enum status show_active(void *context, const struct activity_entry *entry, uint32_t step_s,
                               struct error *err)
{
    struct inspector *inspector = context;
    (void)step_s, (void)err;
    inspector->entries++;
    if (inspector->options->details) {
        struct detail *detail = begin_detail(inspector, "active");
        detail_count(detail, "series", entry->id);
        detail_count(detail, "metric", entry->metric);
        detail_instant(detail, "received", (int64_t)entry->arrival_s * 1000);
        end_detail(inspector);
    }
    return inspector->status;
}

static enum status take_block(void *context, enum record_type type, struct slice record,
                              struct error *err)
{
    struct inspector *inspector = context;
    inspector->blocks++;
    note_record(inspector, (uint8_t)type);
    if (type == RECORD_DELETE)
        return show_delete(inspector, record, err);
    if (type == RECORD_METRICS)
        return record_get_metrics(record, show_metric, inspector, err);
    if (type == RECORD_ACTIVITY)
        return record_get_activity(record, show_active, inspector, err);
    if (type != RECORD_SERIES)
        return fail(err, STATUS_CORRUPT, "a record of type %d does not belong here", (int)type);
    size_t count = 0;
    enum status status = record_restore_series(record, &inspector->series, &count, err);
    inspector->entries += count;
    return status;
}

static enum status show_index(struct inspector *inspector)
{
    uint64_t seed = random_u64(inspector->os.random);
    if (series_space_init(&inspector->space, seed) != STATUS_OK ||
        series_table_init(&inspector->series, seed, &inspector->space) != STATUS_OK)
        return fail(inspector->err, STATUS_MEMORY, "no memory for the series table");
    put_text(inspector, "kind", "index segment");
    enum status status = index_segment_read(inspector->os, inspector->path, take_block, note_damage,
                                            inspector, inspector->err);
    if (status == STATUS_OK) {
        put_text(inspector, "defines",
                 inspector->records[RECORD_METRICS] > 0    ? "metrics"
                 : inspector->records[RECORD_DELETE] > 0   ? "deletes"
                 : inspector->records[RECORD_ACTIVITY] > 0 ? "activity"
                                                           : "series");
        put_number(inspector, "entries", inspector->entries);
        put_number(inspector, "blocks", inspector->blocks);
        put_damages(inspector);
    }
    uint32_t id = inspector->options->details ? series_table_next_committed(&inspector->series, 0)
                                              : SERIES_ID_NONE;
    for (; id != SERIES_ID_NONE; id = series_table_next_committed(&inspector->series, id + 1))
        show_series(inspector, id);
    series_table_release(&inspector->series);
    series_space_release(&inspector->space);
    return status;
}

/* ---- series segment --------------------------------------------------------------------- */

/* Pages that are damaged were told of. */
static enum status show_definitions(struct inspector *inspector,
                                    const struct series_segment *segment)
{
    struct series_segment_cursor *cursor;
    enum status status = series_segment_cursor_new(&cursor, segment, inspector->err);
    while (status == STATUS_OK || status == STATUS_CORRUPT) {
        struct series_definition definition;
        status = series_segment_next(cursor, &definition, inspector->err);
        if (status == STATUS_OK)
            show_definition(inspector, definition.id, definition.metric, &definition.labels);
    }
    series_segment_cursor_free(cursor);
    return status == STATUS_END ? STATUS_OK : status;
}

static enum status show_segment_details(struct inspector *inspector,
                                        const struct series_segment *segment)
{
    size_t count;
    const struct series_segment_metric *metrics = series_segment_metrics(segment, &count);
    for (size_t i = 0; i < count; i++) {
        struct detail *detail = begin_detail(inspector, "metric");
        detail_count(detail, "id", metrics[i].metric);
        detail_count(detail, "series", metrics[i].series);
        detail_text(detail, "name", metrics[i].name);
        end_detail(inspector);
    }
    return show_definitions(inspector, segment);
}

static enum status show_series_segment(struct inspector *inspector)
{
    uint64_t id = 0;
    struct series_segment *segment = NULL;
    struct series_segment_stats stats;
    enum status status =
        series_segment_identify(inspector->os, inspector->path, &id, inspector->err);
    if (status == STATUS_OK)
        status = series_segment_open(&segment, inspector->os, inspector->path, id, inspector->err);
    if (status != STATUS_OK)
        return status;
    series_segment_stats(segment, &stats);
    put_text(inspector, "kind", "series segment");
    put_number(inspector, "id", id);
    put_number(inspector, "series", stats.series);
    if (stats.series > 0) {
        put_number(inspector, "first_series", stats.first_id);
        put_number(inspector, "last_series", stats.last_id);
    }
    put_number(inspector, "metrics", stats.metrics);
    put_number(inspector, "label_names", series_segment_name_count(segment));
    put_number(inspector, "label_pairs", stats.pairs);
    put_number(inspector, "bytes", stats.bytes);
    status = segment_verify(segment, NULL, note_damage, inspector, inspector->err);
    if (status == STATUS_OK)
        put_damages(inspector);
    if (status == STATUS_OK && inspector->options->details)
        status = show_segment_details(inspector, segment);
    series_segment_close(segment);
    return status;
}

/* ---- manifest --------------------------------------------------------------------------- */

/* As the fields of the part itself in JSON. */
static void put_sequence(struct detail *detail, const struct manifest_part *part)
{
    if (detail->json) {
        detail_count(detail, "first_sequence", part->min_sequence);
        detail_count(detail, "last_sequence", part->max_sequence);
        return;
    }
    char text[48];
    snprintf(text, sizeof text, "%" PRIu64 "..%" PRIu64, part->min_sequence, part->max_sequence);
    detail_word(detail, "sequence", text);
}

static void show_manifest_details(struct inspector *inspector, const struct manifest_state *state)
{
    for (size_t i = 0; i < state->part_count; i++) {
        const struct manifest_part *part = &state->parts[i];
        char day[INSTANT_TEXT_SIZE], file[40];
        day_format(day, part->day);
        snprintf(file, sizeof file, "parts/%016" PRIx64 ".part", part->id);
        struct detail *detail = begin_detail(inspector, "part");
        detail_word(detail, "file", file);
        detail_word(detail, "day", day);
        put_sequence(detail, part);
        detail_count(detail, "level", part->level);
        detail_word(detail, "tier",
                    chunk_tier_name(part->tier == PART_WARM ? CHUNK_WARM : CHUNK_HOT));
        detail_count(detail, "samples", part->samples);
        detail_count(detail, "bytes", part->bytes);
        end_detail(inspector);
    }
    for (size_t i = 0; i < state->segment_count; i++) {
        const struct manifest_segment *segment = &state->segments[i];
        char file[40];
        snprintf(file, sizeof file, "index/%016" PRIx64 ".seg", segment->id);
        struct detail *detail = begin_detail(inspector, "index");
        detail_word(detail, "file", file);
        detail_word(detail, "defines",
                    segment->kind == SEGMENT_METRICS    ? "metrics"
                    : segment->kind == SEGMENT_DELETES  ? "deletes"
                    : segment->kind == SEGMENT_ACTIVITY ? "activity"
                                                        : "series");
        detail_count(detail, "entries", segment->entries);
        detail_count(detail, "bytes", segment->bytes);
        end_detail(inspector);
    }
}

static enum status show_manifest(struct inspector *inspector)
{
    struct manifest_state state;
    enum status status = manifest_read(inspector->os, inspector->path, note_damage, inspector,
                                       &state, inspector->err);
    if (status != STATUS_OK)
        return status;
    char store[33];
    for (size_t i = 0; i < sizeof state.store_id; i++)
        snprintf(store + 2 * i, 3, "%02x", state.store_id[i]);
    uint64_t samples = 0;
    uint64_t bytes = 0;
    uint64_t warm = 0;
    for (size_t i = 0; i < state.part_count; i++) {
        samples += state.parts[i].samples;
        bytes += state.parts[i].bytes;
        warm += state.parts[i].tier == PART_WARM;
    }
    put_text(inspector, "kind", "manifest");
    put_text(inspector, "store", store);
    put_instant(inspector, "created", state.created_ms);
    if (state.time_ms != 0)
        put_instant(inspector, "time", state.time_ms);
    put_number(inspector, "parts", state.part_count);
    put_number(inspector, "part_samples", samples);
    put_number(inspector, "part_bytes", bytes);
    put_number(inspector, "warm_parts", warm);
    put_number(inspector, "index_segments", state.segment_count);
    put_position(inspector, "flushed_to", state.log_position);
    put_number(inspector, "last_sequence", state.last_sequence);
    put_number(inspector, "next_file", state.next_file);
    put_damages(inspector);
    if (inspector->options->details)
        show_manifest_details(inspector, &state);
    manifest_state_release(&state);
    return STATUS_OK;
}

/* ---- log segment ------------------------------------------------------------------------ */

static const char *record_name(uint8_t type)
{
    if (type == WAL_TYPE_FILLER)
        return "filler";
    switch ((enum record_type)type) {
    case RECORD_SERIES:
        return "series";
    case RECORD_SAMPLES:
        return "samples";
    case RECORD_METRICS:
        return "metrics";
    case RECORD_DELETE:
        return "delete";
    case RECORD_ACTIVITY:
        return "activity";
    case RECORD_ARRIVAL:
        return "arrival";
    }
    return "unknown";
}

static void show_entry(struct inspector *inspector, const struct wal_entry *entry)
{
    static const char *const kinds[] = {"segment", "begin", "record", "fragment",
                                        "commit",  "gap",   "rest"};
    static const char *const states[] = {"good", "stale", "bad"};
    struct detail *detail = begin_detail(inspector, kinds[entry->kind]);
    detail_count(detail, "offset", wal_lsn_offset(entry->lsn));
    detail_count(detail, "bytes", entry->size);
    detail_word(detail, "state", states[entry->state]);
    if (entry->kind >= WAL_ENTRY_BEGIN && entry->kind <= WAL_ENTRY_COMMIT) {
        detail_count(detail, "epoch", entry->epoch);
        detail_count(detail, "frame", entry->frame);
    }
    if (entry->kind == WAL_ENTRY_RECORD || entry->kind == WAL_ENTRY_FRAGMENT) {
        detail_word(detail, "type", record_name(entry->type));
        detail_count(detail, "payload_bytes", entry->payload_size);
    }
    end_detail(inspector);
}

static void count_record(struct inspector *inspector, const struct wal_entry *entry)
{
    note_record(inspector, entry->type);
    uint64_t count = 0;
    const uint8_t *end = entry->payload.data + entry->payload.size;
    if (entry->type == RECORD_SAMPLES && varint_get(entry->payload.data, end, &count) != NULL)
        inspector->samples += count;
}

static void count_entry(struct inspector *inspector, const struct wal_entry *entry)
{
    if (entry->state == WAL_ENTRY_STALE) {
        inspector->stale++;
        inspector->stale_bytes += entry->size;
        return;
    }
    char text[128];
    switch (entry->kind) {
    case WAL_ENTRY_SEGMENT:
        inspector->number = wal_lsn_segment(entry->lsn);
        inspector->segment_size = entry->size;
        inspector->last_epoch = entry->epoch;
        if (entry->state == WAL_ENTRY_BAD)
            note_damage(inspector, "a copy of the header is damaged, or the file is cut off");
        break;
    case WAL_ENTRY_BEGIN:
        inspector->frames++;
        inspector->last_epoch = entry->epoch;
        break;
    case WAL_ENTRY_COMMIT:
        inspector->commits++;
        break;
    case WAL_ENTRY_RECORD:
    case WAL_ENTRY_FRAGMENT:
        count_record(inspector, entry);
        break;
    case WAL_ENTRY_GAP:
        snprintf(text, sizeof text, "bytes %" PRIu64 " to %" PRIu64 " hold no valid record",
                 wal_lsn_offset(entry->lsn), wal_lsn_offset(entry->lsn) + entry->size);
        note_damage(inspector, text);
        break;
    case WAL_ENTRY_REST:
        inspector->unused = entry->size;
        break;
    }
}

static enum status take_entry(void *context, const struct wal_entry *entry, struct error *err)
{
    (void)err;
    struct inspector *inspector = context;
    count_entry(inspector, entry);
    if (inspector->options->details)
        show_entry(inspector, entry);
    return inspector->status;
}

static enum status show_log(struct inspector *inspector)
{
    enum status status =
        wal_inspect(inspector->os, inspector->path, take_entry, inspector, inspector->err);
    if (status != STATUS_OK)
        return status;
    char number[32];
    snprintf(number, sizeof number, "%016" PRIx64, inspector->number);
    put_text(inspector, "kind", "log segment");
    put_text(inspector, "number", number);
    put_number(inspector, "bytes", inspector->segment_size);
    put_number(inspector, "epoch", inspector->last_epoch);
    put_number(inspector, "frames", inspector->frames);
    put_number(inspector, "commits", inspector->commits);
    put_number(inspector, "series_records", inspector->records[RECORD_SERIES]);
    put_number(inspector, "samples_records", inspector->records[RECORD_SAMPLES]);
    put_number(inspector, "metrics_records", inspector->records[RECORD_METRICS]);
    put_number(inspector, "delete_records", inspector->records[RECORD_DELETE]);
    put_number(inspector, "samples", inspector->samples);
    put_number(inspector, "stale_records", inspector->stale);
    put_number(inspector, "stale_bytes", inspector->stale_bytes);
    put_number(inspector, "unused_bytes", inspector->unused);
    put_damages(inspector);
    return STATUS_OK;
}

/* ---- which of them ---------------------------------------------------------------------- */

enum inspect_kind { KIND_NONE, KIND_PART, KIND_INDEX, KIND_SERIES, KIND_LOG, KIND_MANIFEST };

static const struct {
    const char *magic;
    size_t offset;
    const char *ending;
    enum inspect_kind kind;
} kinds[] = {
    {"MSPART\r\n", 0, ".part", KIND_PART}, {"MSINDEX1", 0, ".seg", KIND_INDEX},
    {"MSSERIES", 0, NULL, KIND_SERIES},    {"MSWALSEG", 0, ".wal", KIND_LOG},
    {"MSWALSEG", 2048, ".wal", KIND_LOG},  {NULL, 0, "manifest", KIND_MANIFEST},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static enum inspect_kind kind_by_magic(const uint8_t *head, size_t size)
{
    for (size_t i = 0; i < KINDS; i++)
        if (kinds[i].magic != NULL && size >= kinds[i].offset + 8 &&
            memcmp(head + kinds[i].offset, kinds[i].magic, 8) == 0)
            return kinds[i].kind;
    return KIND_NONE;
}

static enum inspect_kind kind_by_name(const char *path)
{
    for (size_t i = 0; i < KINDS; i++) {
        size_t length = strlen(path);
        size_t ending = kinds[i].ending == NULL ? SIZE_MAX : strlen(kinds[i].ending);
        if (length >= ending && strcmp(path + length - ending, kinds[i].ending) == 0)
            return kinds[i].kind;
    }
    return KIND_NONE;
}

static enum status find_kind(struct inspector *inspector, enum inspect_kind *kind)
{
    uint8_t head[4096];
    size_t got = 0;
    struct file *file = NULL;
    struct error why = {0};
    enum status status = filesystem_open(inspector->os.fs, inspector->path, FILE_READ, &file, &why);
    /* What is no file is none of a store's. */
    if (status != STATUS_OK)
        return fail(inspector->err, status == STATUS_CORRUPT ? STATUS_UNSUPPORTED : status, "%s",
                    why.message);
    status = stored_read(file, head, sizeof head, 0, &got, &why);
    file_close(file);
    if (status == STATUS_CORRUPT)
        got = 0;
    else if (status != STATUS_OK)
        return fail(inspector->err, status, "%s", why.message);
    *kind = kind_by_magic(head, got);
    /* Its first bytes are damaged: then its last ones, or the name, have to do. */
    uint64_t id;
    if (*kind == KIND_NONE &&
        series_segment_identify(inspector->os, inspector->path, &id, NULL) == STATUS_OK)
        *kind = KIND_SERIES;
    if (*kind == KIND_NONE)
        *kind = kind_by_name(inspector->path);
    if (*kind != KIND_NONE)
        return STATUS_OK;
    /* A manifest has no mark of its own: it is one when a record of it can be read. */
    struct manifest_state state;
    status = manifest_read(inspector->os, inspector->path, NULL, NULL, &state, inspector->err);
    if (status == STATUS_OK) {
        manifest_state_release(&state);
        *kind = KIND_MANIFEST;
        return STATUS_OK;
    }
    if (status != STATUS_CORRUPT)
        return status;
    return fail(inspector->err, STATUS_UNSUPPORTED,
                "%s is no log segment, part, index or series segment, or manifest",
                inspector->path);
}

enum status engine_inspect(struct os os, const char *path,
                           const struct engine_inspect_options *options, engine_show *show,
                           void *context, bool *damaged, struct error *err)
{
    struct inspector inspector = {
        .os = os, .path = path, .options = options, .show = show, .context = context, .err = err};
    bytes_init(&inspector.line, LINE_MAX_SIZE);
    bytes_init(&inspector.damages, LINE_MAX_SIZE);
    inspector.detail = (struct detail){.to = &inspector.line, .json = options->json};
    enum inspect_kind kind = KIND_NONE;
    enum status status = find_kind(&inspector, &kind);
    if (status == STATUS_OK)
        status = kind == KIND_PART     ? show_part(&inspector)
                 : kind == KIND_INDEX  ? show_index(&inspector)
                 : kind == KIND_SERIES ? show_series_segment(&inspector)
                 : kind == KIND_LOG    ? show_log(&inspector)
                                       : show_manifest(&inspector);
    if (status == STATUS_OK)
        end_object(&inspector);
    *damaged = inspector.damage_count > 0;
    bytes_release(&inspector.line);
    bytes_release(&inspector.damages);
    return status == STATUS_OK ? inspector.status : status;
}

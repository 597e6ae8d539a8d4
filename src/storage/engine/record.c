#include "storage/engine/record.h"

#include <stdlib.h>

#include "base/bits.h"
#include "model/batch.h"
#include "storage/engine/bitmap_codec.h"

/* A series record ends soon after this: most of a record's worth, and room for one huge series. */
enum { RECORD_SERIES_SIZE = 256 * 1024 };

/* No store has as many metrics as it may have series. */
#define RECORD_METRIC_END (UINT32_MAX / 2)

/* ---- samples ---------------------------------------------------------------------------- */

enum status record_put_samples(struct bytes *to, const uint32_t *ids, const int64_t *times,
                               const double *values, size_t count)
{
    enum status status = bytes_reserve(to, VARINT_MAX_SIZE + count * (2 * VARINT_MAX_SIZE + 8));
    if (status != STATUS_OK)
        return status;
    uint8_t *at = varint_put(to->data + to->size, count);
    int64_t previous_id = 0;
    for (size_t i = 0; i < count; i++) {
        at = varint_put(at, zigzag_encode((int64_t)ids[i] - previous_id));
        previous_id = ids[i];
    }
    int64_t previous_ms = 0;
    for (size_t i = 0; i < count; i++) {
        at = varint_put(at, zigzag_encode(wrapping_sub(times[i], previous_ms)));
        previous_ms = times[i];
    }
    memcpy(at, values, count * sizeof values[0]);
    at += count * sizeof values[0];
    to->size = (size_t)(at - to->data);
    return STATUS_OK;
}

enum status record_get_samples(struct slice record, uint32_t *ids, int64_t *times, double *values,
                               size_t *count, struct error *err)
{
    if (record.size == 0)
        return fail(err, STATUS_CORRUPT, "samples record: empty");
    const uint8_t *end = record.data + record.size;
    uint64_t number;
    const uint8_t *at = varint_get(record.data, end, &number);
    if (at == NULL || number > RECORD_MAX_SAMPLES)
        return fail(err, STATUS_CORRUPT, "samples record: bad count");
    *count = (size_t)number;
    int64_t id = 0;
    for (size_t i = 0; i < *count; i++) {
        at = varint_get(at, end, &number);
        if (at == NULL)
            return fail(err, STATUS_CORRUPT, "samples record: series id %zu is cut off", i);
        id = wrapping_add(id, zigzag_decode(number));
        if (id < 0 || id >= SERIES_ID_NONE)
            return fail(err, STATUS_CORRUPT, "samples record: series id %zu out of range", i);
        ids[i] = (uint32_t)id;
    }
    int64_t time_ms = 0;
    for (size_t i = 0; i < *count; i++) {
        at = varint_get(at, end, &number);
        if (at == NULL)
            return fail(err, STATUS_CORRUPT, "samples record: time %zu is cut off", i);
        time_ms = wrapping_add(time_ms, zigzag_decode(number));
        times[i] = time_ms;
    }
    if ((size_t)(end - at) != *count * sizeof values[0])
        return fail(err, STATUS_CORRUPT, "samples record: %zu bytes of values for %zu samples",
                    (size_t)(end - at), *count);
    memcpy(values, at, *count * sizeof values[0]);
    return STATUS_OK;
}

/* ---- series: writing -------------------------------------------------------------------- */

/* An id of the table -> its place in the record's own dictionary, in order of first use. */
struct local_ids {
    uint32_t *slots; /* place, or UINT32_MAX */
    uint32_t *ids;   /* by place */
    uint32_t slot_count, count;
};

static enum status local_ids_init(struct local_ids *local, uint32_t slot_count)
{
    *local = (struct local_ids){.slot_count = slot_count};
    local->slots = malloc(slot_count * sizeof local->slots[0]);
    local->ids = malloc(slot_count / 2 * sizeof local->ids[0]);
    if (local->slots == NULL || local->ids == NULL)
        return STATUS_MEMORY;
    memset(local->slots, 0xff, slot_count * sizeof local->slots[0]);
    return STATUS_OK;
}

static void local_ids_release(struct local_ids *local)
{
    free(local->slots);
    free(local->ids);
}

static uint32_t *local_slot(const struct local_ids *local, uint32_t id)
{
    uint32_t slot = id * 2654435769u & (local->slot_count - 1);
    while (local->slots[slot] != UINT32_MAX && local->ids[local->slots[slot]] != id)
        slot = (slot + 1) & (local->slot_count - 1);
    return &local->slots[slot];
}

static enum status local_ids_grow(struct local_ids *local)
{
    struct local_ids larger;
    if (local_ids_init(&larger, local->slot_count * 2) != STATUS_OK) {
        local_ids_release(&larger);
        return STATUS_MEMORY;
    }
    memcpy(larger.ids, local->ids, local->count * sizeof local->ids[0]);
    larger.count = local->count;
    for (uint32_t place = 0; place < local->count; place++) {
        uint32_t slot = larger.ids[place] * 2654435769u & (larger.slot_count - 1);
        while (larger.slots[slot] != UINT32_MAX)
            slot = (slot + 1) & (larger.slot_count - 1);
        larger.slots[slot] = place;
    }
    local_ids_release(local);
    *local = larger;
    return STATUS_OK;
}

static enum status local_place(struct local_ids *local, uint32_t id, uint32_t *place, bool *added)
{
    uint32_t *slot = local_slot(local, id);
    *added = *slot == UINT32_MAX;
    if (*added) {
        if (local->count == local->slot_count / 2) {
            if (local_ids_grow(local) != STATUS_OK)
                return STATUS_MEMORY;
            slot = local_slot(local, id);
        }
        *slot = local->count;
        local->ids[local->count++] = id;
    }
    *place = *slot;
    return STATUS_OK;
}

struct series_writer {
    const struct series_table *table;
    struct local_ids names, pairs;
    struct bytes name_bytes, pair_bytes, series_bytes;
    uint32_t previous_id, previous_metric;
};

static enum status put_varint(struct bytes *to, uint64_t value)
{
    enum status status = bytes_reserve(to, VARINT_MAX_SIZE);
    if (status == STATUS_OK)
        to->size = (size_t)(varint_put(to->data + to->size, value) - to->data);
    return status;
}

static enum status put_text(struct bytes *to, struct slice text)
{
    enum status status = put_varint(to, text.size);
    return status == STATUS_OK ? bytes_append(to, text.data, text.size) : status;
}

static enum status put_pair(struct series_writer *writer, uint32_t pair)
{
    const struct pair_table *pairs = &writer->table->pairs;
    uint32_t place;
    bool added;
    enum status status = local_place(&writer->pairs, pair, &place, &added);
    if (status == STATUS_OK && added) {
        uint32_t name_place;
        bool name_added;
        status = local_place(&writer->names, pairs->pairs[pair].name, &name_place, &name_added);
        if (status == STATUS_OK && name_added)
            status = put_text(&writer->name_bytes, pair_name(pairs, pair));
        if (status == STATUS_OK)
            status = put_varint(&writer->pair_bytes, name_place);
        if (status == STATUS_OK)
            status = put_text(&writer->pair_bytes, pair_value(pairs, pair));
    }
    return status == STATUS_OK ? put_varint(&writer->series_bytes, place) : status;
}

static enum status put_one_series(struct series_writer *writer, uint32_t id)
{
    const struct series *series = series_table_get(writer->table, id);
    struct bytes *to = &writer->series_bytes;
    enum status status = put_varint(to, zigzag_encode((int64_t)id - writer->previous_id));
    if (status == STATUS_OK)
        status = put_varint(to, zigzag_encode((int64_t)series->metric - writer->previous_metric));
    if (status == STATUS_OK)
        status = put_varint(to, series->kind);
    if (status == STATUS_OK)
        status = put_varint(to, series->pair_count);
    const uint32_t *pairs = series_pairs(writer->table, id);
    for (uint32_t i = 0; i < series->pair_count && status == STATUS_OK; i++)
        status = put_pair(writer, pairs[i]);
    writer->previous_id = id;
    writer->previous_metric = series->metric;
    return status;
}

static size_t writer_size(const struct series_writer *writer)
{
    return writer->name_bytes.size + writer->pair_bytes.size + writer->series_bytes.size;
}

static size_t series_text_size(const struct series_table *table, uint32_t id)
{
    const uint32_t *pairs = series_pairs(table, id);
    size_t size = 0;
    for (uint32_t i = 0; i < series_table_get(table, id)->pair_count; i++)
        size += pair_name(&table->pairs, pairs[i]).size + pair_value(&table->pairs, pairs[i]).size;
    return size;
}

static enum status writer_finish(struct series_writer *writer, size_t count, struct bytes *to)
{
    enum status status = put_varint(to, writer->names.count);
    if (status == STATUS_OK)
        status = bytes_append(to, writer->name_bytes.data, writer->name_bytes.size);
    if (status == STATUS_OK)
        status = put_varint(to, writer->pairs.count);
    if (status == STATUS_OK)
        status = bytes_append(to, writer->pair_bytes.data, writer->pair_bytes.size);
    if (status == STATUS_OK)
        status = put_varint(to, count);
    if (status == STATUS_OK)
        status = bytes_append(to, writer->series_bytes.data, writer->series_bytes.size);
    return status;
}

enum status record_put_series(struct bytes *to, const struct series_table *table,
                              const uint32_t *ids, size_t count, size_t *taken)
{
    struct series_writer writer = {.table = table};
    bytes_init(&writer.name_bytes, 2 * RECORD_MAX_SIZE);
    bytes_init(&writer.pair_bytes, 2 * RECORD_MAX_SIZE);
    bytes_init(&writer.series_bytes, 2 * RECORD_MAX_SIZE);
    enum status status = local_ids_init(&writer.names, 64);
    if (local_ids_init(&writer.pairs, 1024) != STATUS_OK)
        status = STATUS_MEMORY;
    *taken = 0;
    while (*taken < count && *taken < RECORD_MAX_SERIES && status == STATUS_OK) {
        size_t size = writer_size(&writer);
        if (*taken > 0 && (size > RECORD_SERIES_SIZE ||
                           size + series_text_size(table, ids[*taken]) > RECORD_MAX_SIZE / 2))
            break;
        status = put_one_series(&writer, ids[*taken]);
        (*taken)++;
    }
    if (status == STATUS_OK)
        status = writer_finish(&writer, *taken, to);
    local_ids_release(&writer.names);
    local_ids_release(&writer.pairs);
    bytes_release(&writer.name_bytes);
    bytes_release(&writer.pair_bytes);
    bytes_release(&writer.series_bytes);
    return status;
}

/* ---- series: reading -------------------------------------------------------------------- */

struct record_reader {
    const uint8_t *at; /* NULL once something was cut off */
    const uint8_t *end;
};

/* An empty slice may have no data, which is not to be taken for a record that was cut off. */
static struct record_reader reader_of(struct slice record)
{
    const uint8_t *at = record.size > 0 ? record.data : (const uint8_t *)"";
    return (struct record_reader){.at = at, .end = at + record.size};
}

static uint64_t get_varint(struct record_reader *reader)
{
    uint64_t value = 0;
    if (reader->at != NULL)
        reader->at = varint_get(reader->at, reader->end, &value);
    return reader->at == NULL ? 0 : value;
}

static struct slice get_text(struct record_reader *reader)
{
    uint64_t size = get_varint(reader);
    if (reader->at == NULL || size > (uint64_t)(reader->end - reader->at)) {
        reader->at = NULL;
        return slice_of(NULL, 0);
    }
    struct slice text = slice_of(reader->at, (size_t)size);
    reader->at += size;
    return text;
}

/* A count of things that take at least one byte each: a larger one is a lie. */
static size_t get_count(struct record_reader *reader)
{
    uint64_t count = get_varint(reader);
    if (reader->at != NULL && count > (uint64_t)(reader->end - reader->at))
        reader->at = NULL;
    return reader->at == NULL ? 0 : (size_t)count;
}

static enum status cut_off(struct error *err)
{
    return fail(err, STATUS_CORRUPT, "series record is cut off or out of range");
}

static enum status restore_dictionary(struct record_reader *reader, struct series_table *table,
                                      uint32_t **pairs, size_t *pair_count, struct error *err)
{
    size_t name_count = get_count(reader);
    struct slice *names = malloc((name_count + 1) * sizeof names[0]);
    if (names == NULL)
        return fail(err, STATUS_MEMORY, "no memory for a series record");
    for (size_t i = 0; i < name_count; i++)
        names[i] = get_text(reader);
    *pair_count = get_count(reader);
    *pairs = malloc((*pair_count + 1) * sizeof(*pairs)[0]);
    enum status status =
        *pairs == NULL ? fail(err, STATUS_MEMORY, "no memory for a series record") : STATUS_OK;
    for (size_t i = 0; i < *pair_count && status == STATUS_OK; i++) {
        uint64_t name = get_varint(reader);
        struct slice value = get_text(reader);
        if (reader->at == NULL || name >= name_count || names[name].size == 0 || value.size == 0)
            status = cut_off(err);
        else if (pair_table_intern(&table->pairs, names[name], value, &(*pairs)[i]) != STATUS_OK)
            status = fail(err, STATUS_MEMORY, "no memory for a label");
    }
    free(names);
    return status;
}

static enum status restore_one(struct record_reader *reader, struct series_table *table,
                               const uint32_t *pairs, size_t pair_count, int64_t *id,
                               int64_t *metric, struct error *err)
{
    *id = wrapping_add(*id, zigzag_decode(get_varint(reader)));
    *metric = wrapping_add(*metric, zigzag_decode(get_varint(reader)));
    uint64_t kind = get_varint(reader);
    uint64_t count = get_varint(reader);
    if (reader->at == NULL || *id < 0 || *id >= SERIES_ID_NONE || *metric < 0 ||
        *metric >= METRIC_ID_NONE || kind != SERIES_KIND_FLOAT || count == 0 ||
        count > LABELS_MAX_COUNT)
        return cut_off(err);
    uint32_t own[LABELS_MAX_COUNT];
    for (size_t i = 0; i < count; i++) {
        uint64_t place = get_varint(reader);
        if (reader->at == NULL || place >= pair_count)
            return cut_off(err);
        own[i] = pairs[place];
    }
    return series_table_restore_pairs(table, (uint32_t)*id, (uint32_t)*metric, own, (size_t)count,
                                      err);
}

enum status record_restore_series(struct slice record, struct series_table *table, size_t *count,
                                  struct error *err)
{
    struct record_reader reader = reader_of(record);
    uint32_t *pairs = NULL;
    size_t pair_count = 0;
    *count = 0;
    enum status status = restore_dictionary(&reader, table, &pairs, &pair_count, err);
    size_t series_count = status == STATUS_OK ? get_count(&reader) : 0;
    int64_t id = 0;
    int64_t metric = 0;
    for (; *count < series_count && status == STATUS_OK; (*count)++)
        status = restore_one(&reader, table, pairs, pair_count, &id, &metric, err);
    if (status == STATUS_OK && (reader.at == NULL || reader.at != reader.end))
        status = cut_off(err);
    free(pairs);
    return status;
}

/* ---- deletes ---------------------------------------------------------------------------- */

enum status record_put_delete(struct bytes *to, uint64_t sequence, struct time_range range,
                              const roaring_bitmap_t *ids)
{
    enum status status = put_varint(to, sequence);
    if (status == STATUS_OK)
        status = put_varint(to, zigzag_encode(range.start_ms));
    if (status == STATUS_OK)
        status = put_varint(to, zigzag_encode(range.end_ms));
    return status == STATUS_OK ? bitmap_encode(ids, to) : status;
}

enum status record_get_delete(struct slice record, struct record_delete *delete, struct error *err)
{
    struct record_reader reader = reader_of(record);
    *delete = (struct record_delete){.sequence = get_varint(&reader)};
    delete->range.start_ms = zigzag_decode(get_varint(&reader));
    delete->range.end_ms = zigzag_decode(get_varint(&reader));
    if (reader.at == NULL || time_range_empty(delete->range))
        return fail(err, STATUS_CORRUPT, "delete record is cut off or out of range");
    return bitmap_decode(slice_of(reader.at, (size_t)(reader.end - reader.at)), &delete->ids, err);
}

/* ---- activity --------------------------------------------------------------------------- */

enum status record_put_activity(struct bytes *to, const struct activity_entry *entries,
                                size_t count, uint32_t step_s)
{
    struct activity_entry last = {0};
    enum status status = bytes_reserve(to, (1 + count * 3) * VARINT_MAX_SIZE);
    if (status != STATUS_OK)
        return status;
    uint8_t *at = varint_put(to->data + to->size, step_s);
    for (size_t i = 0; i < count; i++) {
        const struct activity_entry *entry = &entries[i];
        at = varint_put(at, entry->id - last.id);
        at = varint_put(at, zigzag_encode((int64_t)entry->metric - last.metric));
        at = varint_put(at, zigzag_encode((int64_t)entry->arrival_s - last.arrival_s));
        last = *entry;
    }
    to->size = (size_t)(at - to->data);
    return STATUS_OK;
}

static bool in_range(int64_t number, int64_t first, int64_t end)
{
    return number >= first && number < end;
}

enum status record_get_activity(struct slice record, record_visit_active *visit, void *context,
                                struct error *err)
{
    struct record_reader reader = reader_of(record);
    struct activity_entry entry = {0};
    uint64_t step_s = get_varint(&reader);
    if (reader.at == NULL || step_s == 0 || step_s > ACTIVITY_LONGEST_STEP_S)
        return fail(err, STATUS_CORRUPT, "activity record is cut off or out of range");
    while (reader.at != reader.end) {
        uint64_t step = get_varint(&reader);
        uint64_t id = entry.id + (step & UINT32_MAX);
        int64_t metric = wrapping_add(entry.metric, zigzag_decode(get_varint(&reader)));
        int64_t arrival_s = wrapping_add(entry.arrival_s, zigzag_decode(get_varint(&reader)));
        if (reader.at == NULL || step > UINT32_MAX || id >= SERIES_ID_END ||
            !in_range(metric, 0, RECORD_METRIC_END) ||
            !in_range(arrival_s, ACTIVITY_FIRST_S, ACTIVITY_LAST_S + INT64_C(1)))
            return fail(err, STATUS_CORRUPT, "activity record is cut off or out of range");
        entry = (struct activity_entry){(uint32_t)id, (uint32_t)metric, (uint32_t)arrival_s};
        enum status status = visit(context, &entry, (uint32_t)step_s, err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

enum status record_put_arrival(struct bytes *to, uint32_t arrival_s)
{
    return put_varint(to, arrival_s);
}

enum status record_get_arrival(struct slice record, uint32_t *arrival_s, struct error *err)
{
    struct record_reader reader = reader_of(record);
    uint64_t time_s = get_varint(&reader);
    if (reader.at == NULL || reader.at != reader.end ||
        !in_range((int64_t)time_s, ACTIVITY_FIRST_S, ACTIVITY_LAST_S + INT64_C(1)))
        return fail(err, STATUS_CORRUPT, "arrival record is cut off or out of range");
    *arrival_s = (uint32_t)time_s;
    return STATUS_OK;
}

/* ---- metrics ---------------------------------------------------------------------------- */

enum status record_put_metric(struct bytes *to, const struct metric *metric)
{
    enum status status = put_text(to, metric->name);
    if (status == STATUS_OK)
        status = put_varint(to, (uint64_t)metric->type);
    if (status == STATUS_OK)
        status = put_text(to, metric->unit);
    if (status == STATUS_OK)
        status = put_text(to, metric->help);
    /* 0: no limit of its own; else the limit and one. */
    uint64_t limit = metric->has_max_series ? (uint64_t)metric->max_series + 1 : 0;
    return status == STATUS_OK ? put_varint(to, limit) : status;
}

enum status record_get_metrics(struct slice record, record_visit_metric *visit, void *context,
                               struct error *err)
{
    struct record_reader reader = reader_of(record);
    while (reader.at != reader.end) {
        struct metric metric = {.name = get_text(&reader)};
        uint64_t type = get_varint(&reader);
        metric.unit = get_text(&reader);
        metric.help = get_text(&reader);
        uint64_t limit = get_varint(&reader);
        if (reader.at == NULL || type > METRIC_GAUGEHISTOGRAM || limit > (uint64_t)UINT32_MAX + 1)
            return fail(err, STATUS_CORRUPT, "metrics record is cut off or out of range");
        metric.type = (enum metric_type)type;
        metric.has_max_series = limit > 0;
        metric.max_series = limit > 0 ? (uint32_t)(limit - 1) : 0;
        enum status status = visit(context, &metric, err);
        if (status != STATUS_OK)
            return status;
    }
    return STATUS_OK;
}

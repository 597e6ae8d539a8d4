/*
 * Records of any bytes: each kind is read, or refused as CORRUPT. What was read of samples and
 * metrics is written again and reads back as the same; series are found by the labels that a second
 * reader (record_walk.h) sees in them.
 */
#include "fuzz.h"

#include "base/invariant.h"
#include "storage/engine/record.h"

#include "../unit/storage/engine/lone_table.h"
#include "../unit/storage/engine/record_walk.h"

struct columns {
    uint32_t ids[RECORD_MAX_SAMPLES];
    int64_t times[RECORD_MAX_SAMPLES];
    double values[RECORD_MAX_SAMPLES];
    size_t count;
};

static void feed_samples(struct slice record)
{
    static struct columns columns, again;
    enum status status = record_get_samples(record, columns.ids, columns.times, columns.values,
                                            &columns.count, NULL);
    invariant(status == STATUS_OK || status == STATUS_CORRUPT);
    if (status != STATUS_OK)
        return;
    struct bytes copy;
    bytes_init(&copy, 2 * RECORD_MAX_SIZE);
    invariant(record_put_samples(&copy, columns.ids, columns.times, columns.values,
                                 columns.count) == STATUS_OK);
    invariant(record_get_samples(bytes_slice(&copy), again.ids, again.times, again.values,
                                 &again.count, NULL) == STATUS_OK);
    invariant(again.count == columns.count);
    invariant(memcmp(again.ids, columns.ids, again.count * sizeof again.ids[0]) == 0);
    invariant(memcmp(again.times, columns.times, again.count * sizeof again.times[0]) == 0);
    invariant(memcmp(again.values, columns.values, again.count * sizeof again.values[0]) == 0);
    bytes_release(&copy);
}

struct walked {
    const struct series_table *table; /* NULL: only the largest ids are noted */
    uint32_t max_id, max_metric;
    size_t count;
};

static void note_definition(void *context, uint32_t id, uint32_t metric,
                            const struct labels *labels)
{
    struct walked *walked = context;
    walked->max_id = id > walked->max_id ? id : walked->max_id;
    walked->max_metric = metric > walked->max_metric ? metric : walked->max_metric;
    walked->count++;
    if (walked->table == NULL)
        return;
    invariant(series_table_find(walked->table, labels) == id);
    invariant(series_table_get(walked->table, id)->metric == metric);
}

static void feed_series(struct slice record)
{
    struct walked walked = {.table = NULL};
    bool whole = record_walk(record, note_definition, &walked);
    /* Room is made for all ids below the largest: not what is to be found out here. */
    if (walked.max_id > 100000 || walked.max_metric > 100000)
        return;
    struct series_table table;
    size_t count = 0;
    invariant(lone_table_init(&table, 1) == STATUS_OK);
    enum status status = record_restore_series(record, &table, &count, NULL);
    invariant(status == STATUS_CORRUPT || (status == STATUS_OK && whole));
    if (status == STATUS_OK) {
        struct walked again = {.table = &table};
        invariant(record_walk(record, note_definition, &again));
        invariant(again.count == count);
    }
    lone_table_release(&table);
}

static enum status copy_metric(void *context, const struct metric *metric, struct error *err)
{
    (void)err;
    return record_put_metric(context, metric);
}

static void feed_metrics(struct slice record)
{
    struct bytes copy, again;
    bytes_init(&copy, 2 * record.size + 64);
    bytes_init(&again, 2 * record.size + 64);
    enum status status = record_get_metrics(record, copy_metric, &copy, NULL);
    invariant(status == STATUS_OK || status == STATUS_CORRUPT);
    invariant(record_get_metrics(bytes_slice(&copy), copy_metric, &again, NULL) == STATUS_OK);
    invariant(slice_equal(bytes_slice(&copy), bytes_slice(&again)));
    bytes_release(&copy);
    bytes_release(&again);
}

static void feed_delete(struct slice record)
{
    struct record_delete delete, same;
    enum status status = record_get_delete(record, &delete, NULL);
    invariant(status == STATUS_OK || status == STATUS_CORRUPT);
    if (status != STATUS_OK)
        return;
    struct bytes again;
    bytes_init(&again, RECORD_MAX_SIZE);
    invariant(record_put_delete(&again, delete.sequence, delete.range, delete.ids) == STATUS_OK);
    invariant(record_get_delete(bytes_slice(&again), &same, NULL) == STATUS_OK);
    invariant(same.sequence == delete.sequence && same.range.start_ms == delete.range.start_ms &&
              same.range.end_ms == delete.range.end_ms &&
              roaring_bitmap_equals(delete.ids, same.ids));
    roaring_bitmap_free(delete.ids);
    roaring_bitmap_free(same.ids);
    bytes_release(&again);
}

struct active_ids {
    struct activity_entry entries[RECORD_MAX_ACTIVE];
    size_t count;
    uint32_t step_s;
};

static enum status note_active(void *context, const struct activity_entry *entry, uint32_t step_s,
                               struct error *err)
{
    struct active_ids *active = context;
    (void)err;
    active->step_s = step_s;
    if (active->count < RECORD_MAX_ACTIVE)
        active->entries[active->count++] = *entry;
    return STATUS_OK;
}

static void feed_activity(struct slice record)
{
    static struct active_ids first, again;
    first.count = again.count = 0;
    first.step_s = again.step_s = 1;
    enum status status = record_get_activity(record, note_active, &first, NULL);
    invariant(status == STATUS_OK || status == STATUS_CORRUPT);
    struct bytes copy;
    bytes_init(&copy, 32 * RECORD_MAX_ACTIVE);
    invariant(record_put_activity(&copy, first.entries, first.count, first.step_s) == STATUS_OK);
    invariant(record_get_activity(bytes_slice(&copy), note_active, &again, NULL) == STATUS_OK);
    invariant(again.count == first.count && again.step_s == first.step_s &&
              memcmp(again.entries, first.entries, first.count * sizeof first.entries[0]) == 0);
    bytes_release(&copy);
}

static void feed_arrival(struct slice record)
{
    uint32_t arrival_s, again;
    if (record_get_arrival(record, &arrival_s, NULL) != STATUS_OK)
        return;
    struct bytes copy;
    bytes_init(&copy, 64);
    invariant(record_put_arrival(&copy, arrival_s) == STATUS_OK);
    invariant(record_get_arrival(bytes_slice(&copy), &again, NULL) == STATUS_OK);
    invariant(again == arrival_s);
    bytes_release(&copy);
}

/* The first byte is the record's type. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > RECORD_MAX_SIZE)
        return 0;
    struct slice record = slice_of(data + 1, size - 1);
    switch ((enum record_type)data[0]) {
    case RECORD_SAMPLES:
        feed_samples(record);
        break;
    case RECORD_SERIES:
        feed_series(record);
        break;
    case RECORD_METRICS:
        feed_metrics(record);
        break;
    case RECORD_DELETE:
        feed_delete(record);
        break;
    case RECORD_ACTIVITY:
        feed_activity(record);
        break;
    case RECORD_ARRIVAL:
        feed_arrival(record);
        break;
    }
    return 0;
}

#include "../../pseudo_random.h"
#include "../../test.h"

#include "base/bits.h"
#include "model/batch.h"
#include "storage/engine/record.h"

#include "golden.h"
#include "lone_table.h"
#include "record_walk.h"

enum { RECORD_ROOM = 2 * RECORD_MAX_SIZE };

struct columns {
    uint32_t ids[RECORD_MAX_SAMPLES];
    int64_t times[RECORD_MAX_SAMPLES];
    double values[RECORD_MAX_SAMPLES];
    size_t count;
};

/* ---- samples -------------------------------------------------------------------------------- */

static void put_samples(struct bytes *record, const struct columns *columns)
{
    bytes_init(record, RECORD_ROOM);
    assert_int_equal(
        record_put_samples(record, columns->ids, columns->times, columns->values, columns->count),
        STATUS_OK);
    assert_true(record->size <= RECORD_MAX_SIZE);
}

static void check_samples(struct slice record, const struct columns *wanted)
{
    static struct columns back;
    struct error err;
    assert_int_equal(
        record_get_samples(record, back.ids, back.times, back.values, &back.count, &err),
        STATUS_OK);
    assert_int_equal(back.count, wanted->count);
    assert_memory_equal(back.ids, wanted->ids, back.count * sizeof back.ids[0]);
    assert_memory_equal(back.times, wanted->times, back.count * sizeof back.times[0]);
    assert_memory_equal(back.values, wanted->values, back.count * sizeof back.values[0]);
}

static void round_trip(const struct columns *columns)
{
    struct bytes record;
    put_samples(&record, columns);
    check_samples(bytes_slice(&record), columns);
    bytes_release(&record);
}

static const int64_t odd_times[] = {0, -1, 1, INT64_MIN, INT64_MAX, 1700000000000};
static const uint64_t odd_values[] = {
    0,
    UINT64_C(1) << 63,            /* -0.0 */
    1,                            /* the smallest subnormal */
    UINT64_C(0x7ff0000000000000), /* +Inf */
    UINT64_C(0x7ff0000000000002), /* the stale marker */
    UINT64_C(0xfff8dead00000001), /* a NaN with a payload */
    UINT64_C(0x7fefffffffffffff),
};
static const uint32_t odd_ids[] = {0, 1, UINT32_MAX - 1, 127, 128, 65536};

static void fill(struct columns *columns, size_t count, uint64_t seed)
{
    uint64_t random = seed;
    columns->count = count;
    for (size_t i = 0; i < count; i++) {
        bool odd = random_below(&random, 3) == 0;
        columns->ids[i] = odd ? odd_ids[random_below(&random, 6)] : random_below(&random, 1000000);
        columns->times[i] =
            odd ? odd_times[random_below(&random, 6)] : 1700000000000 + (int64_t)i * 15000;
        uint64_t bits = odd ? odd_values[random_below(&random, 7)] : random_next(&random);
        columns->values[i] = double_of_bits(bits);
    }
}

static void samples_come_back_bit_for_bit(void **state)
{
    (void)state;
    static struct columns columns;
    for (size_t count = 0; count < 50; count++) {
        fill(&columns, count, count + 1);
        round_trip(&columns);
    }
    fill(&columns, RECORD_MAX_SAMPLES, 1);
    round_trip(&columns);
    /* The longest there is: every delta takes ten bytes, or five. */
    for (size_t i = 0; i < RECORD_MAX_SAMPLES; i++) {
        columns.ids[i] = i % 2 == 0 ? 0 : SERIES_ID_NONE - 1;
        columns.times[i] = i % 2 == 0 ? 0 : INT64_MIN + 1;
    }
    round_trip(&columns);
}

static void check_samples_corrupt(struct slice record)
{
    static struct columns back;
    struct error err = {0};
    assert_int_equal(
        record_get_samples(record, back.ids, back.times, back.values, &back.count, &err),
        STATUS_CORRUPT);
    assert_true(err.message[0] != '\0');
}

static void samples_cut_off_at_any_byte_are_corrupt(void **state)
{
    (void)state;
    static struct columns columns;
    fill(&columns, 40, 7);
    struct bytes record;
    put_samples(&record, &columns);
    for (size_t size = 0; size < record.size; size++) {
        /* A block of exactly that size, so that a sanitizer sees a byte too far. */
        uint8_t *cut = malloc(size + 1);
        memcpy(cut, record.data, size);
        check_samples_corrupt(slice_of(cut, size));
        free(cut);
    }
    assert_int_equal(bytes_append(&record, "", 1), STATUS_OK);
    check_samples_corrupt(bytes_slice(&record));
    bytes_release(&record);
}

static void a_count_of_samples_beyond_the_limit_is_corrupt(void **state)
{
    (void)state;
    static uint8_t record[RECORD_MAX_SIZE];
    varint_put(record, RECORD_MAX_SAMPLES + 1);
    check_samples_corrupt(slice_of(record, sizeof record));
    varint_put(record, UINT64_MAX);
    check_samples_corrupt(slice_of(record, sizeof record));
    /* One sample of series -1, and of series SERIES_ID_NONE. */
    const uint8_t negative[] = {1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0};
    check_samples_corrupt(slice_of(negative, sizeof negative));
    record[0] = 1;
    uint8_t *at = varint_put(record + 1, zigzag_encode(SERIES_ID_NONE));
    check_samples_corrupt(slice_of(record, (size_t)(at - record) + 9));
}

static void flipped_samples_never_reach_beyond_the_columns(void **state)
{
    (void)state;
    static struct columns columns, back;
    fill(&columns, 100, 3);
    struct bytes record;
    put_samples(&record, &columns);
    uint64_t random = 1;
    for (int i = 0; i < 20000; i++) {
        uint8_t *byte =
            &record.data[random_below(&random, i % 2 == 0 ? 300 : (uint32_t)record.size)];
        uint8_t before = *byte;
        *byte ^= (uint8_t)(1 + random_below(&random, 255));
        enum status status = record_get_samples(bytes_slice(&record), back.ids, back.times,
                                                back.values, &back.count, NULL);
        assert_true(status == STATUS_CORRUPT || back.count <= RECORD_MAX_SAMPLES);
        *byte = before;
    }
    check_samples(bytes_slice(&record), &columns);
    bytes_release(&record);
}

/* ---- series --------------------------------------------------------------------------------- */

static uint32_t add_series(struct series_table *table, struct label *items, size_t count)
{
    struct labels labels = {items, count};
    uint32_t id;
    assert_int_equal(series_table_reserve(table, &labels, &id), STATUS_OK);
    series_table_commit(table, id, 1);
    return id;
}

static void add_targets(struct series_table *table, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char metric[24], host[24], path[24];
        snprintf(metric, sizeof metric, "metric_%u", i % 101);
        snprintf(host, sizeof host, "host-%u", i / 101);
        snprintf(path, sizeof path, "/a/%u", i % 13);
        struct label items[] = {
            {slice_from_text(METRIC_NAME_LABEL), slice_from_text(metric)},
            {slice_from_text("instance"), slice_from_text(host)},
            {slice_from_text("path"), slice_from_text(path)},
        };
        add_series(table, items, i % 3 == 0 ? 3 : 2);
    }
}

static void check_tables_equal(const struct series_table *a, const struct series_table *b)
{
    static struct label items_a[LABELS_MAX_COUNT], items_b[LABELS_MAX_COUNT];
    assert_int_equal(a->committed_series, b->committed_series);
    uint32_t id = series_table_next_committed(a, 0);
    for (; id != SERIES_ID_NONE; id = series_table_next_committed(a, id + 1)) {
        struct labels labels_a, labels_b;
        assert_true(series_table_has_committed(b, id));
        assert_int_equal(series_table_get(a, id)->metric, series_table_get(b, id)->metric);
        series_table_labels(a, id, items_a, &labels_a);
        series_table_labels(b, id, items_b, &labels_b);
        assert_int_equal(labels_compare(&labels_a, &labels_b), 0);
        assert_int_equal(series_table_find(b, &labels_a), id);
    }
}

struct ids {
    uint32_t *items;
    size_t count;
};

static struct ids committed_ids(const struct series_table *table)
{
    struct ids ids = {.items = malloc((table->committed_series + 1) * sizeof(uint32_t))};
    uint32_t id = series_table_next_committed(table, 0);
    for (; id != SERIES_ID_NONE; id = series_table_next_committed(table, id + 1))
        ids.items[ids.count++] = id;
    return ids;
}

/* Writes the whole table as records and restores them into another; returns how many. */
static size_t series_round_trip(const struct series_table *table)
{
    struct series_table back;
    assert_int_equal(lone_table_init(&back, 77), STATUS_OK);
    struct ids ids = committed_ids(table);
    size_t records = 0;
    for (size_t done = 0; done < ids.count; records++) {
        struct bytes record;
        struct error err;
        size_t taken, restored;
        bytes_init(&record, RECORD_ROOM);
        assert_int_equal(
            record_put_series(&record, table, ids.items + done, ids.count - done, &taken),
            STATUS_OK);
        assert_true(taken > 0 && taken <= RECORD_MAX_SERIES);
        assert_true(record.size <= RECORD_MAX_SIZE || taken == 1);
        if (record_restore_series(bytes_slice(&record), &back, &restored, &err) != STATUS_OK)
            test_fail("%s", err.message);
        assert_int_equal(restored, taken);
        /* The same definitions again change nothing. */
        assert_int_equal(record_restore_series(bytes_slice(&record), &back, &restored, &err),
                         STATUS_OK);
        done += taken;
        bytes_release(&record);
    }
    check_tables_equal(table, &back);
    lone_table_release(&back);
    free(ids.items);
    return records;
}

static void definitions_come_back_in_as_many_records_as_it_takes(void **state)
{
    (void)state;
    struct series_table table;
    assert_int_equal(lone_table_init(&table, 1), STATUS_OK);
    add_targets(&table, 1);
    assert_int_equal(series_round_trip(&table), 1);
    lone_table_release(&table);
    assert_int_equal(lone_table_init(&table, 1), STATUS_OK);
    add_targets(&table, 3 * RECORD_MAX_SERIES);
    assert_true(series_round_trip(&table) >= 3);
    lone_table_release(&table);
}

/* Labels of `size` bytes in all, values as long as they may be. */
static void add_huge_series(struct series_table *table, size_t size, uint8_t letter)
{
    static uint8_t text[LABEL_VALUE_MAX_SIZE];
    memset(text, letter, sizeof text);
    struct label items[LABELS_MAX_COUNT];
    char names[LABELS_MAX_COUNT][8];
    items[0] = (struct label){slice_from_text(METRIC_NAME_LABEL), slice_of(text, 100)};
    size_t left = size - items[0].name.size - 100;
    size_t count = 1;
    for (; left > 5; count++) {
        snprintf(names[count], sizeof names[count], "l%04u", (unsigned)count % 10000);
        size_t value = left - 5 < sizeof text ? left - 5 : sizeof text;
        items[count] = (struct label){slice_from_text(names[count]), slice_of(text, value)};
        left -= value + 5;
    }
    add_series(table, items, count);
}

static void a_mebibyte_of_labels_comes_back(void **state)
{
    (void)state;
    struct series_table table;
    assert_int_equal(lone_table_init(&table, 1), STATUS_OK);
    add_huge_series(&table, LABELS_MAX_SIZE, 'a');
    add_targets(&table, 100);
    add_huge_series(&table, LABELS_MAX_SIZE, 'b');
    add_huge_series(&table, LABELS_MAX_SIZE / 2, 'c');
    add_huge_series(&table, LABELS_MAX_SIZE / 2, 'd');
    add_targets(&table, 0);
    assert_true(series_round_trip(&table) >= 4);
    lone_table_release(&table);
}

static void four_thousand_labels_of_a_series_come_back(void **state)
{
    (void)state;
    struct series_table table;
    assert_int_equal(lone_table_init(&table, 1), STATUS_OK);
    static struct label items[LABELS_MAX_COUNT];
    static char names[LABELS_MAX_COUNT][16], values[LABELS_MAX_COUNT][24];
    for (int series = 0; series < 20; series++) {
        for (int i = 0; i < LABELS_MAX_COUNT; i++) {
            snprintf(names[i], sizeof names[i], "l%04d", i);
            snprintf(values[i], sizeof values[i], "%d.%d", i, series);
            items[i] = (struct label){slice_from_text(names[i]), slice_from_text(values[i])};
        }
        items[0].name = slice_from_text(METRIC_NAME_LABEL);
        add_series(&table, items, LABELS_MAX_COUNT);
    }
    series_round_trip(&table);
    lone_table_release(&table);
}

struct walked {
    uint32_t max_id, max_metric;
    size_t count;
};

static void note_definition(void *context, uint32_t id, uint32_t metric,
                            const struct labels *labels)
{
    struct walked *walked = context;
    (void)labels;
    walked->max_id = id > walked->max_id ? id : walked->max_id;
    walked->max_metric = metric > walked->max_metric ? metric : walked->max_metric;
    walked->count++;
}

static void check_damaged_series(struct slice record)
{
    struct walked walked = {0};
    bool whole = record_walk(record, note_definition, &walked);
    /* An id out of the blue is no error, but makes room for all ids below it. */
    if (walked.max_id > 1000000 || walked.max_metric > 1000000)
        return;
    struct series_table table;
    struct error err = {0};
    size_t count;
    assert_int_equal(lone_table_init(&table, 1), STATUS_OK);
    enum status status = record_restore_series(record, &table, &count, &err);
    assert_true(status == STATUS_CORRUPT || (status == STATUS_OK && whole));
    if (status == STATUS_OK)
        assert_int_equal(count, walked.count);
    lone_table_release(&table);
}

static void put_first_series(struct bytes *record, uint32_t count)
{
    struct series_table table;
    assert_int_equal(lone_table_init(&table, 1), STATUS_OK);
    add_targets(&table, count);
    struct ids ids = committed_ids(&table);
    size_t taken;
    bytes_init(record, RECORD_ROOM);
    assert_int_equal(record_put_series(record, &table, ids.items, ids.count, &taken), STATUS_OK);
    assert_int_equal(taken, count);
    free(ids.items);
    lone_table_release(&table);
}

static void definitions_cut_off_at_any_byte_are_corrupt(void **state)
{
    (void)state;
    struct bytes record;
    put_first_series(&record, 20);
    for (size_t size = 0; size < record.size; size++) {
        struct series_table table;
        size_t count;
        uint8_t *cut = malloc(size + 1);
        memcpy(cut, record.data, size);
        assert_int_equal(lone_table_init(&table, 1), STATUS_OK);
        assert_int_equal(record_restore_series(slice_of(cut, size), &table, &count, NULL),
                         STATUS_CORRUPT);
        lone_table_release(&table);
        free(cut);
    }
    bytes_release(&record);
}

static void flipped_definitions_are_corrupt_or_other_definitions(void **state)
{
    (void)state;
    struct bytes record;
    put_first_series(&record, 20);
    uint64_t random = 1;
    for (int i = 0; i < 5000; i++) {
        uint8_t *byte = &record.data[random_below(&random, (uint32_t)record.size)];
        uint8_t before = *byte;
        *byte ^= (uint8_t)(1 + random_below(&random, 255));
        check_damaged_series(bytes_slice(&record));
        *byte = before;
    }
    bytes_release(&record);
}

static void lying_counts_are_refused_before_memory_is_taken(void **state)
{
    (void)state;
    uint8_t record[64];
    struct series_table table;
    size_t count;
    assert_int_equal(lone_table_init(&table, 1), STATUS_OK);
    const uint64_t lies[] = {64, 1 << 20, UINT64_C(1) << 40, UINT64_MAX / 16, UINT64_MAX};
    for (size_t i = 0; i < 5; i++) {
        memset(record, 0, sizeof record);
        varint_put(record, lies[i]); /* names */
        assert_int_equal(record_restore_series(slice_of(record, 32), &table, &count, NULL),
                         STATUS_CORRUPT);
        record[0] = 0;
        varint_put(record + 1, lies[i]); /* pairs */
        assert_int_equal(record_restore_series(slice_of(record, 32), &table, &count, NULL),
                         STATUS_CORRUPT);
        record[1] = 0;
        varint_put(record + 2, lies[i]); /* series */
        assert_int_equal(record_restore_series(slice_of(record, 32), &table, &count, NULL),
                         STATUS_CORRUPT);
    }
    assert_int_equal(table.live_series, 0);
    assert_int_equal(table.pairs.live_pairs, 0);
    lone_table_release(&table);
}

/* ---- metrics -------------------------------------------------------------------------------- */

struct seen_metrics {
    const struct metric *wanted;
    size_t count;
    enum status answer;
};

static enum status see_metric(void *context, const struct metric *metric, struct error *err)
{
    (void)err;
    struct seen_metrics *seen = context;
    const struct metric *wanted = &seen->wanted[seen->count++];
    if (seen->wanted != NULL) {
        assert_true(slice_equal(metric->name, wanted->name));
        assert_true(slice_equal(metric->unit, wanted->unit));
        assert_true(slice_equal(metric->help, wanted->help));
        assert_int_equal(metric->type, wanted->type);
        assert_int_equal(metric->has_max_series, wanted->has_max_series);
        assert_int_equal(metric->max_series, wanted->max_series);
    }
    return seen->answer;
}

static size_t make_metrics(struct metric *metrics)
{
    static char help[METRIC_HELP_MAX_SIZE];
    memset(help, 'h', sizeof help);
    size_t count = 0;
    for (int type = METRIC_UNKNOWN; type <= METRIC_GAUGEHISTOGRAM; type++)
        metrics[count++] = (struct metric){.name = slice_from_text("m\xc3\xa9trique"),
                                           .type = (enum metric_type)type,
                                           .unit = slice_from_text(type % 2 == 0 ? "" : "bytes"),
                                           .help = slice_of(help, type % 3 == 0 ? 0 : 200),
                                           .has_max_series = type >= 4,
                                           .max_series = type == 5   ? UINT32_MAX
                                                         : type == 6 ? 1
                                                                     : 0};
    metrics[0].help = slice_of(help, sizeof help);
    return count;
}

static void put_metrics(struct bytes *record, const struct metric *metrics, size_t count)
{
    bytes_init(record, RECORD_ROOM);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(record_put_metric(record, &metrics[i]), STATUS_OK);
}

static void descriptors_come_back(void **state)
{
    (void)state;
    struct metric metrics[16];
    size_t count = make_metrics(metrics);
    struct bytes record;
    put_metrics(&record, metrics, count);
    struct seen_metrics seen = {.wanted = metrics};
    assert_int_equal(record_get_metrics(bytes_slice(&record), see_metric, &seen, NULL), STATUS_OK);
    assert_int_equal(seen.count, count);
    seen = (struct seen_metrics){.wanted = metrics, .answer = STATUS_LIMIT};
    assert_int_equal(record_get_metrics(bytes_slice(&record), see_metric, &seen, NULL),
                     STATUS_LIMIT);
    assert_int_equal(seen.count, 1);
    bytes_release(&record);
}

static void damaged_descriptors_are_corrupt_or_other_descriptors(void **state)
{
    (void)state;
    struct metric metrics[16];
    size_t count = make_metrics(metrics);
    struct bytes record;
    put_metrics(&record, metrics + 1, count - 1);
    for (size_t size = 0; size < record.size; size++) {
        struct seen_metrics seen = {.wanted = NULL};
        uint8_t *cut = malloc(size + 1);
        memcpy(cut, record.data, size);
        enum status status = record_get_metrics(slice_of(cut, size), see_metric, &seen, NULL);
        assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
        assert_true(seen.count < count - 1);
        free(cut);
    }
    for (size_t i = 0; i < record.size * 8; i++) {
        struct seen_metrics seen = {.wanted = NULL};
        record.data[i / 8] ^= (uint8_t)(1u << i % 8);
        enum status status = record_get_metrics(bytes_slice(&record), see_metric, &seen, NULL);
        assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
        record.data[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    bytes_release(&record);
}

/* ---- what an earlier version wrote ---------------------------------------------------------- */

/* ---- deletes ---------------------------------------------------------------------------- */

static roaring_bitmap_t *some_ids(void)
{
    roaring_bitmap_t *ids = roaring_bitmap_from_range(5, 90000, 3);
    assert_non_null(ids);
    roaring_bitmap_add(ids, UINT32_C(4000000));
    roaring_bitmap_run_optimize(ids);
    return ids;
}

static const struct time_range some_range = {-5, INT64_MAX};

static void put_delete(struct bytes *record)
{
    roaring_bitmap_t *ids = some_ids();
    bytes_init(record, RECORD_ROOM);
    assert_int_equal(record_put_delete(record, 77, some_range, ids), STATUS_OK);
    roaring_bitmap_free(ids);
}

static void check_delete(struct slice record)
{
    struct record_delete delete;
    assert_int_equal(record_get_delete(record, &delete, NULL), STATUS_OK);
    roaring_bitmap_t *wanted = some_ids();
    assert_int_equal(delete.sequence, 77);
    assert_int_equal(delete.range.start_ms, some_range.start_ms);
    assert_int_equal(delete.range.end_ms, some_range.end_ms);
    assert_true(roaring_bitmap_equals(delete.ids, wanted));
    roaring_bitmap_free(delete.ids);
    roaring_bitmap_free(wanted);
}

static void a_delete_comes_back(void **state)
{
    (void)state;
    struct bytes record;
    put_delete(&record);
    check_delete(bytes_slice(&record));
    bytes_release(&record);
}

static void damaged_deletes_are_corrupt_or_other_deletes(void **state)
{
    (void)state;
    struct bytes record;
    put_delete(&record);
    struct record_delete delete;
    struct error err = {0};
    for (size_t size = 0; size < record.size; size++)
        assert_int_equal(record_get_delete(slice_of(record.data, size), &delete, &err),
                         STATUS_CORRUPT);
    for (size_t at = 0; at < record.size; at++) {
        record.data[at] ^= 0x41;
        enum status status = record_get_delete(bytes_slice(&record), &delete, &err);
        assert_true(status == STATUS_OK || status == STATUS_CORRUPT);
        if (status == STATUS_OK) {
            assert_false(time_range_empty(delete.range));
            roaring_bitmap_free(delete.ids);
        }
        record.data[at] ^= 0x41;
    }
    bytes_release(&record);
}

static void a_delete_of_a_whole_stretch_of_ids_fits_into_a_record(void **state)
{
    (void)state;
    /* Every other id, the worst for the encoding. */
    roaring_bitmap_t *ids = roaring_bitmap_from_range(0, UINT64_C(1) << RECORD_DELETE_ID_BITS, 2);
    assert_non_null(ids);
    struct bytes record;
    bytes_init(&record, RECORD_MAX_SIZE);
    assert_int_equal(
        record_put_delete(&record, UINT64_MAX, (struct time_range){INT64_MIN, INT64_MAX}, ids),
        STATUS_OK);
    bytes_release(&record);
    roaring_bitmap_free(ids);
}

static void golden_deletes_are_read_and_written_as_ever(void **state)
{
    (void)state;
    struct bytes record, golden;
    put_delete(&record);
    golden_write("record-delete-v1", bytes_slice(&record));
    bytes_init(&golden, RECORD_ROOM);
    golden_read("record-delete-v1", &golden);
    check_delete(bytes_slice(&golden));
    assert_true(slice_equal(bytes_slice(&golden), bytes_slice(&record)));
    bytes_release(&golden);
    bytes_release(&record);
}

static void golden_samples_are_read_and_written_as_ever(void **state)
{
    (void)state;
    static struct columns columns;
    columns.count = 7;
    for (size_t i = 0; i < columns.count; i++) {
        columns.ids[i] = odd_ids[i % 6];
        columns.times[i] = odd_times[i % 6];
        columns.values[i] = double_of_bits(odd_values[i]);
    }
    struct bytes record, golden;
    put_samples(&record, &columns);
    golden_write("record-samples-v1", bytes_slice(&record));
    bytes_init(&golden, RECORD_ROOM);
    golden_read("record-samples-v1", &golden);
    check_samples(bytes_slice(&golden), &columns);
    assert_true(slice_equal(bytes_slice(&golden), bytes_slice(&record)));
    bytes_release(&golden);
    bytes_release(&record);
}

static void check_walked(void *context, uint32_t id, uint32_t metric, const struct labels *labels)
{
    const struct series_table *table = context;
    assert_int_equal(series_table_find(table, labels), id);
    assert_int_equal(series_table_get(table, id)->metric, metric);
}

static void golden_definitions_are_read_and_written_as_ever(void **state)
{
    (void)state;
    struct series_table table, back;
    struct bytes record, golden;
    size_t count;
    put_first_series(&record, 30);
    golden_write("record-series-v1", bytes_slice(&record));
    bytes_init(&golden, RECORD_ROOM);
    golden_read("record-series-v1", &golden);
    assert_int_equal(lone_table_init(&table, 1), STATUS_OK);
    assert_int_equal(lone_table_init(&back, 2), STATUS_OK);
    add_targets(&table, 30);
    assert_int_equal(record_restore_series(bytes_slice(&golden), &back, &count, NULL), STATUS_OK);
    check_tables_equal(&table, &back);
    /* The document alone says the same. */
    assert_true(record_walk(bytes_slice(&golden), check_walked, &table));
    assert_true(slice_equal(bytes_slice(&golden), bytes_slice(&record)));
    lone_table_release(&table);
    lone_table_release(&back);
    bytes_release(&golden);
    bytes_release(&record);
}

static void golden_descriptors_are_read_and_written_as_ever(void **state)
{
    (void)state;
    struct metric metrics[16];
    size_t count = make_metrics(metrics);
    struct bytes record, golden;
    put_metrics(&record, metrics + 1, count - 1);
    golden_write("record-metrics-v1", bytes_slice(&record));
    bytes_init(&golden, RECORD_ROOM);
    golden_read("record-metrics-v1", &golden);
    struct seen_metrics seen = {.wanted = metrics + 1};
    assert_int_equal(record_get_metrics(bytes_slice(&golden), see_metric, &seen, NULL), STATUS_OK);
    assert_int_equal(seen.count, count - 1);
    assert_true(slice_equal(bytes_slice(&golden), bytes_slice(&record)));
    bytes_release(&golden);
    bytes_release(&record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_come_back_bit_for_bit),
        cmocka_unit_test(samples_cut_off_at_any_byte_are_corrupt),
        cmocka_unit_test(a_count_of_samples_beyond_the_limit_is_corrupt),
        cmocka_unit_test(flipped_samples_never_reach_beyond_the_columns),
        cmocka_unit_test(definitions_come_back_in_as_many_records_as_it_takes),
        cmocka_unit_test(a_mebibyte_of_labels_comes_back),
        cmocka_unit_test(four_thousand_labels_of_a_series_come_back),
        cmocka_unit_test(definitions_cut_off_at_any_byte_are_corrupt),
        cmocka_unit_test(flipped_definitions_are_corrupt_or_other_definitions),
        cmocka_unit_test(lying_counts_are_refused_before_memory_is_taken),
        cmocka_unit_test(descriptors_come_back),
        cmocka_unit_test(damaged_descriptors_are_corrupt_or_other_descriptors),
        cmocka_unit_test(golden_samples_are_read_and_written_as_ever),
        cmocka_unit_test(golden_definitions_are_read_and_written_as_ever),
        cmocka_unit_test(golden_descriptors_are_read_and_written_as_ever),
        cmocka_unit_test(a_delete_comes_back),
        cmocka_unit_test(damaged_deletes_are_corrupt_or_other_deletes),
        cmocka_unit_test(a_delete_of_a_whole_stretch_of_ids_fits_into_a_record),
        cmocka_unit_test(golden_deletes_are_read_and_written_as_ever),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

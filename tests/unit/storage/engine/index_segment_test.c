#include "../../test.h"

#include "base/bits.h"
#include "base/hash.h"
#include "os/os.h"
#include "storage/engine/index_segment.h"
#include "storage/engine/paths.h"

#include "golden.h"
#include "lone_table.h"
#include "record_walk.h"

#include <unistd.h>
#include <zstd.h>

enum { SERIES = 30, METRICS = 12, SERIES_ID = 4, METRICS_ID = 6 };

struct store {
    char dir[64];
    struct series_table table;
    struct registry registry;
    struct rwlock lock;
    uint32_t ids[SERIES];
};

static void store_init(struct store *store)
{
    snprintf(store->dir, sizeof store->dir, "/tmp/index_segment_test.XXXXXX");
    assert_non_null(mkdtemp(store->dir));
    char folder[80];
    snprintf(folder, sizeof folder, "%s/index", store->dir);
    assert_int_equal(filesystem_make_directory(filesystem_posix(), folder, NULL), STATUS_OK);
    rwlock_init(&store->lock);
    assert_int_equal(lone_table_init(&store->table, 1), STATUS_OK);
    assert_int_equal(registry_init(&store->registry, 1), STATUS_OK);
    for (uint32_t i = 0; i < SERIES; i++) {
        char host[24];
        snprintf(host, sizeof host, "host-%u", i / 3);
        struct label items[] = {
            {slice_from_text(METRIC_NAME_LABEL), slice_from_text(i % 3 == 0 ? "up" : "load")},
            {slice_from_text("core"), slice_from_text(i % 3 == 1 ? "0" : "1")},
            {slice_from_text("host"), slice_from_text(host)},
        };
        struct labels labels = {items, 3};
        assert_int_equal(series_table_reserve(&store->table, &labels, &store->ids[i]), STATUS_OK);
        series_table_commit(&store->table, store->ids[i], i + 1);
    }
    for (uint32_t i = 0; i < METRICS; i++) {
        char name[24];
        snprintf(name, sizeof name, "metric_%u", i);
        struct metric metric = {.name = slice_from_text(name),
                                .type = (enum metric_type)(i % 8),
                                .unit = slice_from_text(i % 2 == 0 ? "" : "seconds"),
                                .help = slice_from_text("what it is"),
                                .has_max_series = i % 3 == 0,
                                .max_series = i};
        enum metric_outcome outcome;
        assert_int_equal(registry_put(&store->registry, &metric, &outcome), STATUS_OK);
    }
}

static void store_release(struct store *store)
{
    const uint64_t files[] = {SERIES_ID, METRICS_ID};
    for (int i = 0; i < 2; i++) {
        char *path = path_of_segment(store->dir, files[i]);
        (void)unlink(path);
        free(path);
    }
    char folder[80];
    snprintf(folder, sizeof folder, "%s/index", store->dir);
    (void)rmdir(folder);
    (void)rmdir(store->dir);
    lone_table_release(&store->table);
    registry_release(&store->registry);
    rwlock_release(&store->lock);
}

static void write_both(struct store *store)
{
    struct index_segment_stats stats;
    struct error err;
    if (index_segment_write_series(os_system(), store->dir, SERIES_ID, &store->table, &store->lock,
                                   store->ids, SERIES, &stats, &err) != STATUS_OK)
        test_fail("%s", err.message);
    assert_int_equal(stats.entries, SERIES);
    if (index_segment_write_metrics(os_system(), store->dir, METRICS_ID, &store->registry,
                                    &store->lock, &stats, &err) != STATUS_OK)
        test_fail("%s", err.message);
    assert_int_equal(stats.entries, METRICS);
}

/* ---- reading -------------------------------------------------------------------------------- */

struct reading {
    const struct store *store;
    struct series_table table;
    size_t metrics, damage;
    char last_damage[256];
};

static enum status see_metric(void *context, const struct metric *metric, struct error *err)
{
    (void)err;
    struct reading *reading = context;
    struct metric wanted = *registry_find(&reading->store->registry, metric->name);
    assert_int_equal(registry_compare(&reading->store->registry, metric), METRIC_SAME);
    assert_int_equal(metric->type, wanted.type);
    assert_int_equal(metric->has_max_series, wanted.has_max_series);
    reading->metrics++;
    return STATUS_OK;
}

static enum status see_record(void *context, enum record_type type, struct slice record,
                              struct error *err)
{
    struct reading *reading = context;
    size_t count;
    if (type == RECORD_SERIES)
        return record_restore_series(record, &reading->table, &count, err);
    if (type == RECORD_METRICS)
        return record_get_metrics(record, see_metric, reading, err);
    return fail(err, STATUS_CORRUPT, "a record of type %d", (int)type);
}

static void see_damage(void *context, const char *description)
{
    struct reading *reading = context;
    reading->damage++;
    snprintf(reading->last_damage, sizeof reading->last_damage, "%s", description);
}

static void reading_init(struct reading *reading, const struct store *store)
{
    *reading = (struct reading){.store = store};
    assert_int_equal(lone_table_init(&reading->table, 9), STATUS_OK);
}

static enum status read_segment(struct reading *reading, const char *dir, uint64_t id,
                                struct error *err)
{
    char *path = path_of_segment(dir, id);
    enum status status =
        index_segment_read(os_system(), path, see_record, see_damage, reading, err);
    free(path);
    return status;
}

static void check_all(struct reading *reading, const char *dir)
{
    struct label items[LABELS_MAX_COUNT];
    assert_int_equal(read_segment(reading, dir, SERIES_ID, NULL), STATUS_OK);
    assert_int_equal(read_segment(reading, dir, METRICS_ID, NULL), STATUS_OK);
    assert_int_equal(reading->damage, 0);
    assert_int_equal(reading->metrics, METRICS);
    assert_int_equal(reading->table.committed_series, SERIES);
    for (uint32_t i = 0; i < SERIES; i++) {
        struct labels labels;
        uint32_t id = reading->store->ids[i];
        series_table_labels(&reading->store->table, id, items, &labels);
        assert_int_equal(series_table_find(&reading->table, &labels), id);
        assert_int_equal(series_table_get(&reading->table, id)->metric,
                         series_table_get(&reading->store->table, id)->metric);
    }
}

static void segments_hold_what_was_written(void **state)
{
    (void)state;
    struct store store;
    struct reading reading;
    store_init(&store);
    write_both(&store);
    reading_init(&reading, &store);
    check_all(&reading, store.dir);
    lone_table_release(&reading.table);
    store_release(&store);
}

static void golden_segments_are_read_as_ever(void **state)
{
    (void)state;
    struct store store;
    struct reading reading;
    store_init(&store);
    write_both(&store);
    const uint64_t files[] = {SERIES_ID, METRICS_ID};
    for (int i = 0; i < 2; i++) {
        struct bytes file;
        char name[64];
        bytes_init(&file, 1 << 20);
        char *path = path_of_segment(store.dir, files[i]);
        assert_int_equal(filesystem_read_all(filesystem_posix(), path, &file, NULL), STATUS_OK);
        snprintf(name, sizeof name, "store-v1%s", path + strlen(store.dir));
        golden_write(name, bytes_slice(&file));
        free(path);
        bytes_release(&file);
    }
    reading_init(&reading, &store);
    check_all(&reading, GOLDEN_DIRECTORY "/store-v1");
    lone_table_release(&reading.table);
    store_release(&store);
}

/* ---- a second reader, from docs/formats/index-segment.md ------------------------------------ */

static void check_walked(void *context, uint32_t id, uint32_t metric, const struct labels *labels)
{
    const struct store *store = context;
    assert_int_equal(series_table_find(&store->table, labels), id);
    assert_int_equal(series_table_get(&store->table, id)->metric, metric);
}

static void the_golden_segment_is_what_its_document_says(void **state)
{
    (void)state;
    struct store store;
    struct bytes file;
    store_init(&store);
    bytes_init(&file, 1 << 20);
    golden_read("store-v1/index/0000000000000004.seg", &file);
    const uint8_t *data = file.data;
    assert_memory_equal(data, "MSINDEX1", 8);
    assert_int_equal(load_u64(data + 8), SERIES_ID);
    assert_int_equal(load_u32(data + 16), 1);
    assert_int_equal(load_u64(data + 20), 0);
    assert_int_equal(load_u32(data + 28), crc32c(0, data, 28));
    size_t at = 32;
    for (uint32_t number = 0;; number++) {
        const uint8_t *block = data + at;
        assert_true(file.size - at >= 24);
        uint32_t size = load_u32(block + 8);
        assert_int_equal(load_u32(block), crc32c(0, block + 4, 20 + size));
        assert_memory_equal(block + 4, "MSIB", 4);
        assert_int_equal(load_u32(block + 20), number);
        at += 24 + size;
        if (load_u32(block + 16) == 0) {
            assert_int_equal(size, 0);
            break;
        }
        assert_int_equal(load_u32(block + 16), 1);
        uint32_t raw_size = load_u32(block + 12);
        uint8_t *raw = malloc(raw_size + 1);
        assert_int_equal(ZSTD_decompress(raw, raw_size, block + 24, size), raw_size);
        assert_true(record_walk(slice_of(raw, raw_size), check_walked, &store));
        free(raw);
    }
    assert_int_equal(at, file.size);
    bytes_release(&file);
    store_release(&store);
}

/* ---- what is refused or named --------------------------------------------------------------- */

static void read_series_file(const struct store *store, struct bytes *file)
{
    bytes_init(file, 1 << 20);
    char *path = path_of_segment(store->dir, SERIES_ID);
    assert_int_equal(filesystem_read_all(filesystem_posix(), path, file, NULL), STATUS_OK);
    free(path);
}

static void write_series_file(const struct store *store, struct slice content)
{
    char *path = path_of_segment(store->dir, SERIES_ID);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(content.data, 1, content.size, file), content.size);
    assert_int_equal(fclose(file), 0);
    free(path);
}

static void a_segment_of_another_version_is_refused(void **state)
{
    (void)state;
    struct store store;
    struct bytes file;
    struct reading reading;
    struct error err;
    store_init(&store);
    write_both(&store);
    read_series_file(&store, &file);
    store_u32(file.data + 16, 2);
    store_u32(file.data + 28, crc32c(0, file.data, 28));
    write_series_file(&store, bytes_slice(&file));
    reading_init(&reading, &store);
    assert_int_equal(read_segment(&reading, store.dir, SERIES_ID, &err), STATUS_UNSUPPORTED);
    assert_non_null(strstr(err.message, "version 2"));
    lone_table_release(&reading.table);
    bytes_release(&file);
    store_release(&store);
}

/* Changes the first block and makes its checksum right again. */
static size_t read_changed(struct store *store, size_t offset, uint32_t value, const char *named)
{
    struct bytes file;
    struct reading reading;
    write_both(store);
    read_series_file(store, &file);
    uint8_t *block = file.data + 32;
    store_u32(block + offset, value);
    store_u32(block, crc32c(0, block + 4, 20 + load_u32(block + 8)));
    write_series_file(store, bytes_slice(&file));
    reading_init(&reading, store);
    assert_int_equal(read_segment(&reading, store->dir, SERIES_ID, NULL), STATUS_OK);
    assert_true(reading.damage > 0);
    assert_non_null(strstr(reading.last_damage, named));
    size_t restored = reading.table.committed_series;
    lone_table_release(&reading.table);
    bytes_release(&file);
    return restored;
}

static void a_block_that_lies_behind_its_checksum_is_named(void **state)
{
    (void)state;
    struct store store;
    store_init(&store);
    assert_int_equal(read_changed(&store, 12, UINT32_MAX, "beyond the limit"), 0);
    assert_int_equal(read_changed(&store, 12, 1, "does not decompress"), 0);
    assert_int_equal(read_changed(&store, 16, 77, "a record of type 77"), 0);
    assert_int_equal(read_changed(&store, 20, 5, "block 1 at"), SERIES);
    store_release(&store);
}

static void a_segment_that_is_not_there_is_not_found(void **state)
{
    (void)state;
    struct reading reading;
    struct error err;
    reading_init(&reading, NULL);
    assert_int_equal(read_segment(&reading, "/nowhere", 1, &err), STATUS_NOT_FOUND);
    assert_non_null(strstr(err.message, "/nowhere/index/0000000000000001.seg"));
    lone_table_release(&reading.table);
}

static void an_empty_segment_has_no_blocks(void **state)
{
    (void)state;
    struct store store;
    struct reading reading;
    struct index_segment_stats stats;
    store_init(&store);
    assert_int_equal(index_segment_write_series(os_system(), store.dir, SERIES_ID, &store.table,
                                                &store.lock, store.ids, 0, &stats, NULL),
                     STATUS_OK);
    assert_int_equal(stats.entries, 0);
    assert_int_equal(stats.bytes, 32 + 24);
    reading_init(&reading, &store);
    assert_int_equal(read_segment(&reading, store.dir, SERIES_ID, NULL), STATUS_OK);
    assert_int_equal(reading.damage, 0);
    lone_table_release(&reading.table);
    store_release(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_hold_what_was_written),
        cmocka_unit_test(golden_segments_are_read_as_ever),
        cmocka_unit_test(the_golden_segment_is_what_its_document_says),
        cmocka_unit_test(a_segment_of_another_version_is_refused),
        cmocka_unit_test(a_block_that_lies_behind_its_checksum_is_named),
        cmocka_unit_test(a_segment_that_is_not_there_is_not_found),
        cmocka_unit_test(an_empty_segment_has_no_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

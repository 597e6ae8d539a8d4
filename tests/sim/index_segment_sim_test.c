#include "../unit/test.h"

#include "storage/engine/index_segment.h"
#include "storage/engine/paths.h"

#include "../unit/storage/engine/lone_table.h"
#include "sim_disk.h"
#include "sim_explore.h"
#include "sim_os.h"

/* Long labels of one letter: many blocks, since those are cut by what they hold, in few bytes. */
enum { SERIES = 40, LABEL_SIZE = 50000, METRICS = 200, SEGMENT_ID = 10 };

struct content {
    struct sim_sites sites;
    struct series_table table;
    struct registry registry;
    struct rwlock lock;
    uint32_t ids[SERIES];
    bool metrics; /* descriptors instead of series */
    bool written; /* acknowledged */
};

static struct os os_on(struct sim_disk *disk)
{
    return (struct os){.fs = sim_disk_filesystem(disk)};
}

static void content_init(struct content *content, bool metrics)
{
    static uint8_t text[LABEL_SIZE];
    *content = (struct content){.metrics = metrics};
    rwlock_init(&content->lock);
    assert_int_equal(lone_table_init(&content->table, 1), STATUS_OK);
    assert_int_equal(registry_init(&content->registry, 1), STATUS_OK);
    for (uint32_t i = 0; i < SERIES; i++) {
        memset(text, 'a' + (int)i % 26, sizeof text);
        struct label items[] = {
            {slice_from_text(METRIC_NAME_LABEL), slice_from_text(i % 2 == 0 ? "even" : "odd")},
            {slice_from_text("long"), slice_of(text, LABEL_SIZE - i)},
        };
        struct labels labels = {items, 2};
        assert_int_equal(series_table_reserve(&content->table, &labels, &content->ids[i]),
                         STATUS_OK);
        series_table_commit(&content->table, content->ids[i], i + 1);
    }
    static char help[METRIC_HELP_MAX_SIZE];
    memset(help, 'h', sizeof help);
    for (uint32_t i = 0; i < METRICS; i++) {
        char name[24];
        snprintf(name, sizeof name, "metric_%u", i);
        struct metric metric = {.name = slice_from_text(name),
                                .type = METRIC_GAUGE,
                                .help = slice_of(help, sizeof help - i)};
        enum metric_outcome outcome;
        assert_int_equal(registry_put(&content->registry, &metric, &outcome), STATUS_OK);
    }
}

static void content_release(struct content *content)
{
    lone_table_release(&content->table);
    registry_release(&content->registry);
    rwlock_release(&content->lock);
}

static enum status write_content(struct content *content, struct sim_disk *disk, struct error *err)
{
    struct index_segment_stats stats;
    enum status status;
    if (content->metrics)
        status = index_segment_write_metrics(os_on(disk), "", SEGMENT_ID, &content->registry,
                                             &content->lock, &stats, err);
    else
        status = index_segment_write_series(os_on(disk), "", SEGMENT_ID, &content->table,
                                            &content->lock, content->ids, SERIES, &stats, err);
    if (status == STATUS_OK)
        assert_int_equal(stats.entries, content->metrics ? METRICS : SERIES);
    return status;
}

static struct sim_disk *disk_new(uint64_t seed)
{
    struct sim_disk *disk = sim_disk_new(seed);
    struct filesystem *fs = sim_disk_filesystem(disk);
    assert_int_equal(filesystem_make_directory(fs, "/index", NULL), STATUS_OK);
    assert_int_equal(filesystem_sync_directory(fs, "/", NULL), STATUS_OK);
    return disk;
}

/* ---- reading it back ------------------------------------------------------------------------ */

struct reading {
    const struct content *content;
    struct series_table table;
    size_t blocks, metrics, damage;
    size_t largest; /* entries of one block */
    char first_damage[256];
    bool wrong;
};

static enum status see_metric(void *context, const struct metric *metric, struct error *err)
{
    (void)err;
    struct reading *reading = context;
    const struct metric *known = registry_find(&reading->content->registry, metric->name);
    reading->metrics++;
    if (known == NULL || !slice_equal(known->help, metric->help) || known->type != metric->type)
        reading->wrong = true;
    return STATUS_OK;
}

static enum status see_record(void *context, enum record_type type, struct slice record,
                              struct error *err)
{
    struct reading *reading = context;
    size_t count = reading->metrics;
    reading->blocks++;
    enum status status;
    if (type == RECORD_SERIES) {
        status = record_restore_series(record, &reading->table, &count, err);
    } else {
        status = record_get_metrics(record, see_metric, reading, err);
        count = reading->metrics - count;
    }
    reading->largest = count > reading->largest ? count : reading->largest;
    return status;
}

static void see_damage(void *context, const char *description)
{
    struct reading *reading = context;
    if (reading->damage++ == 0)
        snprintf(reading->first_damage, sizeof reading->first_damage, "%s", description);
}

static bool restored_right(const struct reading *reading)
{
    static struct label items[LABELS_MAX_COUNT];
    uint32_t id = series_table_next_committed(&reading->table, 0);
    for (; id != SERIES_ID_NONE; id = series_table_next_committed(&reading->table, id + 1)) {
        struct labels labels;
        series_table_labels(&reading->table, id, items, &labels);
        if (series_table_find(&reading->content->table, &labels) != id)
            return false;
    }
    return !reading->wrong;
}

static size_t entries_of(const struct reading *reading)
{
    return reading->content->metrics ? reading->metrics : reading->table.committed_series;
}

static enum status read_content(const struct content *content, struct sim_disk *disk,
                                struct reading *reading)
{
    *reading = (struct reading){.content = content};
    assert_int_equal(lone_table_init(&reading->table, 2), STATUS_OK);
    char *path = path_of_segment("", SEGMENT_ID);
    enum status status =
        index_segment_read(os_on(disk), path, see_record, see_damage, reading, NULL);
    free(path);
    assert_true(restored_right(reading));
    return status;
}

static bool whole(const struct content *content, struct sim_disk *disk)
{
    struct reading reading;
    enum status status = read_content(content, disk, &reading);
    bool all = status == STATUS_OK && reading.damage == 0 &&
               entries_of(&reading) == (size_t)(content->metrics ? METRICS : SERIES);
    lone_table_release(&reading.table);
    return all;
}

static void a_segment_holds_what_was_written(void **state)
{
    (void)state;
    for (int metrics = 0; metrics < 2; metrics++) {
        struct content content;
        struct reading reading;
        content_init(&content, metrics == 1);
        struct sim_disk *disk = disk_new(1);
        assert_int_equal(write_content(&content, disk, NULL), STATUS_OK);
        assert_true(whole(&content, disk));
        assert_int_equal(read_content(&content, disk, &reading), STATUS_OK);
        assert_true(reading.blocks >= 4);
        lone_table_release(&reading.table);
        sim_disk_free(disk);
        content_release(&content);
    }
}

/* ---- crashes and failures ------------------------------------------------------------------- */

static bool recovers(void *context, struct sim_disk *disk)
{
    const struct content *content = context;
    if (content->written)
        return whole(content, disk);
    /* Nothing names it yet. Whatever is there: reading it ends, and invents nothing. */
    struct reading reading;
    enum status status = read_content(content, disk, &reading);
    bool fine = status == STATUS_NOT_FOUND || status == STATUS_OK;
    lone_table_release(&reading.table);
    return fine;
}

static bool write_and_crash(void *context)
{
    struct content *content = context;
    struct sim_disk *disk = disk_new(1);
    sim_disk_set_sites(disk, &content->sites);
    struct sim_explore explore = {
        .check = recovers, .context = content, .seed = 3, .crashes = 40, .every = 1};
    content->written = false;
    sim_explore_attach(&explore, disk);
    content->written = write_content(content, disk, NULL) == STATUS_OK;
    sim_explore_now(&explore, disk);
    bool passed = content->written && explore.violations == 0;
    if (content->sites.suppressed == 0)
        printf("%lu states\n", explore.states);
    sim_disk_free(disk);
    return passed;
}

static void a_written_segment_survives_every_crash_and_needs_every_sync(void **state)
{
    (void)state;
    for (int metrics = 0; metrics < 2; metrics++) {
        struct content content;
        content_init(&content, metrics == 1);
        assert_true(sim_sites_mutate(&content.sites, write_and_crash, &content));
        assert_int_equal(content.sites.count, 2);
        content_release(&content);
    }
}

static void a_failure_of_any_call_leaves_no_file(void **state)
{
    (void)state;
    const enum sim_failure failures[] = {SIM_EIO, SIM_ENOSPC, SIM_SHORT_EIO, SIM_SHORT_ENOSPC};
    for (int metrics = 0; metrics < 2; metrics++) {
        struct content content;
        content_init(&content, metrics == 1);
        bool failed = true;
        uint64_t nth = 1;
        for (; failed; nth++)
            for (int i = 0; i < 4; i++) {
                struct sim_disk *disk = disk_new(nth);
                struct error err = {0};
                sim_disk_add_fault(disk, &(struct sim_fault){.kinds = SIM_ANY_CALL,
                                                             .nth = nth,
                                                             .repeat = 1,
                                                             .failure = failures[i]});
                enum status status = write_content(&content, disk, &err);
                failed = status != STATUS_OK;
                sim_disk_clear_faults(disk);
                if (failed) {
                    assert_true(status == STATUS_IO || status == STATUS_NO_SPACE);
                    assert_true(err.message[0] != '\0');
                    struct reading reading;
                    assert_int_equal(read_content(&content, disk, &reading), STATUS_NOT_FOUND);
                    lone_table_release(&reading.table);
                    assert_int_equal(write_content(&content, disk, NULL), STATUS_OK);
                }
                assert_true(whole(&content, disk));
                sim_disk_free(disk);
            }
        assert_true(nth > 8);
        content_release(&content);
    }
}

/* ---- decay ---------------------------------------------------------------------------------- */

static uint64_t segment_size(struct sim_disk *disk, struct file **file)
{
    uint64_t size;
    char *path = path_of_segment("", SEGMENT_ID);
    assert_int_equal(filesystem_open(sim_disk_filesystem(disk), path, FILE_READ_WRITE, file, NULL),
                     STATUS_OK);
    assert_int_equal(file_size(*file, &size, NULL), STATUS_OK);
    free(path);
    return size;
}

static void a_flipped_bit_costs_its_block_at_most_and_is_named(void **state)
{
    (void)state;
    for (int metrics = 0; metrics < 2; metrics++) {
        struct content content;
        content_init(&content, metrics == 1);
        struct sim_disk *disk = disk_new(1);
        assert_int_equal(write_content(&content, disk, NULL), STATUS_OK);
        struct reading reading;
        assert_int_equal(read_content(&content, disk, &reading), STATUS_OK);
        size_t entries = entries_of(&reading);
        size_t blocks = reading.blocks;
        size_t largest = reading.largest;
        lone_table_release(&reading.table);
        struct file *file;
        uint64_t size = segment_size(disk, &file);
        file_close(file);
        char *path = path_of_segment("", SEGMENT_ID);
        for (uint64_t byte = 0; byte < size; byte++) {
            struct sim_disk *clone = sim_disk_clone(disk);
            sim_disk_flip(clone, path, byte * 8 + byte % 8);
            assert_int_equal(read_content(&content, clone, &reading), STATUS_OK);
            assert_true(reading.damage > 0);
            assert_non_null(strstr(reading.first_damage, path));
            assert_true(reading.blocks >= blocks - 1);
            assert_true(entries_of(&reading) >= entries - largest);
            lone_table_release(&reading.table);
            sim_disk_free(clone);
        }
        printf("%lu bytes, %zu blocks\n", size, blocks);
        free(path);
        sim_disk_free(disk);
        content_release(&content);
    }
}

static void a_cut_segment_is_named_and_gives_the_blocks_before_the_cut(void **state)
{
    (void)state;
    struct content content;
    content_init(&content, false);
    struct sim_disk *disk = disk_new(1);
    assert_int_equal(write_content(&content, disk, NULL), STATUS_OK);
    struct file *file;
    uint64_t whole_size = segment_size(disk, &file);
    size_t before = SIZE_MAX;
    for (uint64_t size = whole_size; size-- > 0;) {
        struct reading reading;
        assert_int_equal(file_resize(file, size, NULL), STATUS_OK);
        assert_int_equal(read_content(&content, disk, &reading), STATUS_OK);
        assert_true(reading.damage > 0);
        assert_true(reading.blocks <= before);
        before = reading.blocks;
        lone_table_release(&reading.table);
    }
    assert_int_equal(before, 0);
    file_close(file);
    sim_disk_free(disk);
    content_release(&content);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_segment_holds_what_was_written),
        cmocka_unit_test(a_written_segment_survives_every_crash_and_needs_every_sync),
        cmocka_unit_test(a_failure_of_any_call_leaves_no_file),
        cmocka_unit_test(a_flipped_bit_costs_its_block_at_most_and_is_named),
        cmocka_unit_test(a_cut_segment_is_named_and_gives_the_blocks_before_the_cut),
    };
    /* A pattern, for scripts/sync-sites. */
    cmocka_set_test_filter(getenv("METRIC_STORE_TEST_FILTER"));
    cmocka_set_skip_filter(getenv("METRIC_STORE_TEST_SKIP"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

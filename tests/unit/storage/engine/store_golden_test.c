/*
 * Whole stores that were written once (tests/golden/whole-N) stay readable, and what is written now
 * is what the newest of them holds, byte for byte: a format that changes without a new version is
 * seen here.
 *
 *   whole-1  parts of version 1; the last samples are in the log
 *   whole-2  parts of version 2: hot, merged, warm, and written anew for a delete; segments of
 *            series, of descriptors and of deletes; a log of several segments with every kind of
 *            record, but none about when series were received
 *   whole-3  the same, with arrivals in the log and a segment of active series. fill() below made
 *            it, and makes the next one (GOLDEN_WRITE=1); whole-3.zstd says by which version of
 *            zstd.
 */
#include "../../test.h"

#include <dirent.h>
#include <errno.h>
#include <sys/stat.h>
#include <zstd.h>

#include "../../pseudo_random.h"
#include "base/times.h"
#include "engine_fixture.h"
#include "golden.h"

#define NEWEST "whole-3"
#define DAY0   (INT64_C(19900) * MS_PER_DAY)
#define NOW    (INT64_C(20000) * MS_PER_DAY + MS_PER_DAY / 2)

enum { SERIES = 30, LOG_SEGMENT = 64 * 1024, PATH_SIZE = 512 };

static const char *const folders[] = {"", "parts/", "index/", "wal/"};

/* ---- a machine on which everything comes out the same -------------------------------------- */

static int64_t wall_ms(struct clock *clock)
{
    (void)clock;
    return NOW;
}

static int64_t monotonic_ns(struct clock *clock)
{
    (void)clock;
    return 1000;
}

static uint64_t random_state;

static void fill_random(struct random *random, void *to, size_t size)
{
    (void)random;
    for (size_t i = 0; i < size; i++)
        ((uint8_t *)to)[i] = (uint8_t)random_next(&random_state);
}

static const struct clock_ops clock_ops = {.wall_ms = wall_ms, .monotonic_ns = monotonic_ns};
static const struct random_ops random_ops = {.fill = fill_random};
static struct clock same_clock = {.ops = &clock_ops};
static struct random same_random = {.ops = &random_ops};

static struct store begin(void)
{
    struct store store = {.dir = "/tmp/metric-store-golden-XXXXXX"};
    assert_non_null(mkdtemp(store.dir));
    random_state = 20000;
    store.options = (struct engine_options){
        .os = os_system(),
        .sync = ENGINE_SYNC_NEVER,
        .head_bytes = 8 << 20,
        .raw_cache_bytes = 1 << 20,
        .log_segment_bytes = LOG_SEGMENT,
        .max_chunks = 8192,
        .merge_fan_in = 3,
        .warm_after_ms = 2 * MS_PER_DAY,
    };
    store.options.os.clock = &same_clock;
    store.options.os.random = &same_random;
    return store;
}

static void open_store(struct store *store)
{
    struct error err = {0};
    store->options.dir = store->dir;
    if (engine_open(&store->options, &store->tier, &err) != STATUS_OK)
        test_fail("%s", err.message);
}

/* ---- content ------------------------------------------------------------------------------- */

/* Written, where there is a store, and noted. */
static void put(struct store *store, struct ledger *ledger, uint32_t series, int64_t from_ms,
                int64_t step_ms, size_t count, double value)
{
    struct fixture_sample samples[512];
    assert_true(count <= sizeof samples / sizeof samples[0]);
    for (size_t i = 0; i < count; i++)
        samples[i] = (struct fixture_sample){series, from_ms + (int64_t)i * step_ms,
                                             value + (double)(i * i % 1013) * 0.25};
    struct error err = {0};
    if (store != NULL && fixture_put(store->tier, samples, count, &err) != STATUS_OK)
        test_fail("put: %s", err.message);
    ledger_put(ledger, samples, count);
}

static void delete_range(struct store *store, struct ledger *ledger, uint32_t first, uint32_t end,
                         struct time_range range)
{
    bool only[SERIES] = {false};
    for (uint32_t i = first; i < end; i++)
        only[i] = true;
    struct delete_result result;
    struct error err = {0};
    if (fixture_delete(store->tier, only, SERIES, range, &result, &err) != STATUS_OK)
        test_fail("delete: %s", err.message);
    assert_int_equal(result.series, end - first);
    ledger_delete(ledger, only, range);
}

static void describe(struct store *store, struct ledger *ledger, const char *name, double value)
{
    struct metric metric = {
        .name = slice_from_text(name),
        .type = METRIC_GAUGE,
        .unit = slice_from_text("celsius"),
        .help = slice_from_text("of the golden store"),
    };
    struct fixture_sample sample = {0, NOW, value};
    struct fixture_write write = {.samples = &sample, .count = 1, .metric = &metric};
    struct error err = {0};
    if (fixture_commit(store->tier, &write, 1, &err) != STATUS_OK)
        test_fail("describe: %s", err.message);
    ledger_put(ledger, &sample, 1);
}

static void settle(struct store *store)
{
    store_flush(store);
    store_settle_down(store);
}

/* What whole-2 and whole-3 hold. */
static void fill(struct store *store, struct ledger *ledger)
{
    int64_t old = NOW - 5 * MS_PER_DAY;
    int64_t today = NOW - MS_PER_DAY / 4;
    for (uint32_t i = 0; i < 20; i++)
        put(store, ledger, i, old + i, 15000, 100, i);
    settle(store); /* warm */
    for (int64_t round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < 20; i++)
            put(store, ledger, i, today + round * 600000 + i * 10, 10000 + i % 3, 80, -(double)i);
        settle(store); /* hot, three of them merged */
    }
    describe(store, ledger, "metric_0", 21.5);
    delete_range(store, ledger, 2, 10, (struct time_range){old, old + MS_PER_DAY / 2});
    delete_range(store, ledger, 3, 4, (struct time_range){today + 100000, today + 200000});
    settle(store); /* the first is applied, the second waits */
    put(store, ledger, 3, old + 3, 15000, 40, 1e9 / 3);
    settle(store); /* late for a warm day, and again what was deleted */
    for (uint32_t i = 11; i < 25; i++)
        put(store, ledger, i, NOW + i, 997, 360, i * 0.37);
    describe(store, ledger, "metric_1", -0.0);
    delete_range(store, ledger, 16, 18, (struct time_range){NOW, NOW + 50000});
    put(store, ledger, 16, NOW + 16, 1000, 5, 7);
}

/* What whole-1 holds. */
static void fill_first(struct ledger *ledger)
{
    for (uint32_t n = 0; n < 20; n++)
        put(NULL, ledger, n, DAY0 + n * 10, 864000, 300, n);
    for (uint32_t n = 0; n < 20; n += 2)
        for (uint32_t i = 0; i < 300; i += 3)
            put(NULL, ledger, n, DAY0 + n * 10 + i * 864000, 1, 1, -(double)n - i);
    for (uint32_t n = 5; n < 25; n++)
        put(NULL, ledger, n, DAY0 + 3 * MS_PER_DAY + n, 1, 1, n * 0.37);
}

/* ---- files --------------------------------------------------------------------------------- */

static void path_in(char to[PATH_SIZE], const char *dir, const char *folder, const char *name)
{
    assert_true(snprintf(to, PATH_SIZE, "%s/%s%s", dir, folder, name) < PATH_SIZE);
}

static int is_content(const struct dirent *entry)
{
    return entry->d_name[0] != '.' && entry->d_type != DT_DIR && strcmp(entry->d_name, "lock") != 0;
}

typedef void visit_file(void *context, const char *dir, const char *folder, const char *name);

/* By name. */
static size_t each_file(const char *dir, visit_file *visit, void *context)
{
    size_t count = 0;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char path[PATH_SIZE];
        path_in(path, dir, folders[i], "");
        struct dirent **entries;
        int found = scandir(path, &entries, is_content, alphasort);
        assert_true(found >= 0);
        for (int j = 0; j < found; j++, count++) {
            if (visit != NULL)
                visit(context, dir, folders[i], entries[j]->d_name);
            free(entries[j]);
        }
        free(entries);
    }
    return count;
}

static void make_folders(const char *dir)
{
    for (size_t i = 0; i < sizeof folders / sizeof folders[0]; i++) {
        char path[PATH_SIZE];
        path_in(path, dir, folders[i], "");
        assert_true(mkdir(path, 0700) == 0 || errno == EEXIST);
    }
}

static void read_file(const char *path, struct bytes *to)
{
    struct error err = {0};
    bytes_init(to, 1 << 20);
    if (filesystem_read_all(filesystem_posix(), path, to, &err) != STATUS_OK)
        test_fail("%s", err.message);
}

/* A log segment ends in zeros, which tests/golden leaves out. */
static void cut_zeros(const char *folder, struct bytes *content)
{
    if (strcmp(folder, "wal/") == 0)
        while (content->size > 0 && content->data[content->size - 1] == 0)
            content->size--;
}

static void add_zeros(const char *folder, struct bytes *content)
{
    if (strcmp(folder, "wal/") == 0)
        while (content->size % LOG_SEGMENT != 0)
            assert_int_equal(bytes_append(content, "", 1), STATUS_OK);
}

typedef void change_content(const char *folder, struct bytes *content);

struct copying {
    const char *to;
    change_content *change;
};

static void copy_one(void *context, const char *dir, const char *folder, const char *name)
{
    const struct copying *copying = context;
    char from[PATH_SIZE], to[PATH_SIZE];
    path_in(from, dir, folder, name);
    path_in(to, copying->to, folder, name);
    struct bytes content;
    read_file(from, &content);
    copying->change(folder, &content);
    FILE *file = fopen(to, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(content.data, 1, content.size, file), content.size);
    assert_int_equal(fclose(file), 0);
    bytes_release(&content);
}

static void copy_files(const char *from, const char *to, change_content *change)
{
    make_folders(to);
    each_file(from, copy_one, &(struct copying){to, change});
}

/* Segments of the index are compressed by zstd, whose versions may differ in what they make of the
 * same bytes; the manifest says how large the segments are. */
static bool depends_on_zstd(const char *folder)
{
    return strcmp(folder, "index/") == 0 || folder[0] == '\0';
}

struct comparison {
    const char *golden;
    bool same_zstd;
};

static void compare_one(void *context, const char *dir, const char *folder, const char *name)
{
    const struct comparison *comparison = context;
    if (depends_on_zstd(folder) && !comparison->same_zstd)
        return;
    struct bytes now, then;
    char path[PATH_SIZE], golden[PATH_SIZE];
    path_in(path, dir, folder, name);
    path_in(golden, comparison->golden, folder, name);
    read_file(path, &now);
    read_file(golden, &then);
    cut_zeros(folder, &now);
    if (!slice_equal(bytes_slice(&now), bytes_slice(&then)))
        test_fail("%s%s is written otherwise than in %s. Where its format changed: give it a new "
                  "version, keep reading the old one, and write the next whole-N. Where only what "
                  "is chosen changed: write " NEWEST " anew. Both by GOLDEN_WRITE=1",
                  folder, name, comparison->golden);
    bytes_release(&now);
    bytes_release(&then);
}

/* ---- tests ------------------------------------------------------------------------------------
 */

static void no_finding(void *context, enum engine_finding finding, const char *path,
                       const char *description)
{
    (void)context, (void)finding;
    test_fail("%s: %s", path, description);
}

static void check_whole(const struct store *store, const struct ledger *ledger)
{
    struct engine_verify_result result;
    struct error err = {0};
    if (engine_verify(os_system(), store->dir, no_finding, NULL, NULL, &result, &err) != STATUS_OK)
        test_fail("%s", err.message);
    assert_true(result.samples >= ledger_count(ledger));
    assert_int_equal(result.damaged + result.leftovers, 0);
}

static void check_answers(struct store *store, const struct ledger *ledger)
{
    char why[FIXTURE_WHY_SIZE];
    if (!fixture_same(store->tier, ledger, fixture_always(), why) ||
        !fixture_totals_same(store->tier, ledger, fixture_always(), why))
        test_fail("%s", why);
}

/* A copy is whole and answers; so does what merges and restarts make of it. */
static void reads_as_it_was_written(const char *name, const struct ledger *ledger)
{
    char golden[PATH_SIZE];
    path_in(golden, GOLDEN_DIRECTORY, "", name);
    struct store store = begin();
    copy_files(golden, store.dir, add_zeros);
    check_whole(&store, ledger);
    open_store(&store);
    struct engine_stats stats;
    engine_stats(store.tier, &stats);
    assert_true(stats.recovery.log_samples > 0);
    assert_int_equal(stats.recovery.damaged, 0);
    check_answers(&store, ledger);
    settle(&store);
    check_answers(&store, ledger);
    engine_close(store.tier);
    check_whole(&store, ledger);
    open_store(&store);
    check_answers(&store, ledger);
    store_release(&store);
}

/* What is in the log, the stats cannot tell: fill() puts every kind there, into several segments.
 */
static void check_that_nothing_is_missing(const struct store *store)
{
    struct engine_stats stats;
    engine_stats(store->tier, &stats);
    assert_true(stats.warm_parts > 0 && stats.parts > stats.warm_parts + 1);
    assert_true(stats.merges > 0 && stats.tombstones > 1 && stats.index_segments > 2);
    assert_true(store_files(store, "wal") >= 2);
    assert_true(store_files(store, "index") > 2);
}

static void the_newest_formats_are_written_as_in_the_golden_store(void **state)
{
    (void)state;
    struct store store = begin();
    struct ledger ledger;
    ledger_init(&ledger, SERIES);
    open_store(&store);
    fill(&store, &ledger);
    check_that_nothing_is_missing(&store);
    engine_abandon(store.tier);
    store.tier = NULL;
    char golden[PATH_SIZE];
    path_in(golden, GOLDEN_DIRECTORY, "", NEWEST);
    if (getenv("GOLDEN_WRITE") != NULL)
        copy_files(store.dir, golden, cut_zeros);
    golden_write(NEWEST ".zstd", slice_from_text(ZSTD_versionString()));
    struct bytes zstd;
    bytes_init(&zstd, 64);
    golden_read(NEWEST ".zstd", &zstd);
    struct comparison comparison = {
        .golden = golden,
        .same_zstd = slice_equal_text(bytes_slice(&zstd), ZSTD_versionString()),
    };
    size_t count = each_file(store.dir, compare_one, &comparison);
    assert_int_equal(each_file(golden, NULL, NULL), count);
    bytes_release(&zstd);
    reads_as_it_was_written(NEWEST, &ledger);
    reads_as_it_was_written("whole-2", &ledger);
    ledger_release(&ledger);
    store_release(&store);
}

static void a_store_with_parts_of_version_1_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct ledger ledger;
    ledger_init(&ledger, SERIES);
    fill_first(&ledger);
    reads_as_it_was_written("whole-1", &ledger);
    ledger_release(&ledger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_newest_formats_are_written_as_in_the_golden_store),
        cmocka_unit_test(a_store_with_parts_of_version_1_is_read_as_it_was_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

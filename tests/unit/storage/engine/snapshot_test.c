/*
 * Snapshots: a store of their own with all that was acknowledged before, whatever becomes of the
 * one that they were taken of.
 */
#include "../../test.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/times.h"
#include "scene.h"

enum { SERIES = 50, HEAD = 64 << 10, PATH_SIZE = 160 };

#define NOON (INT64_C(20000) * MS_PER_DAY + MS_PER_DAY / 2)

struct test {
    struct scene scene;
    char target[PATH_SIZE];
    struct engine_snapshot_result result;
};

static void begin(struct test *test)
{
    scene_begin(&test->scene, HEAD, SERIES);
    snprintf(test->target, sizeof test->target, "%s/snapshots", test->scene.store.dir);
    assert_int_equal(mkdir(test->target, 0700), 0);
    snprintf(test->target, sizeof test->target, "%s/snapshots/one", test->scene.store.dir);
}

static void end(struct test *test)
{
    scene_end(&test->scene);
}

static void put(struct test *test, uint32_t series, int64_t from_ms, size_t count, double value)
{
    scene_put_run(&test->scene, series, from_ms, 1, count, value);
}

/* In several parts of two days, in the index, and in the log. */
static void fill(struct test *test)
{
    for (uint32_t i = 0; i < SERIES; i++) {
        put(test, i, NOON + i, 100, i * 0.37);
        put(test, i, NOON - MS_PER_DAY, 3, i);
        if (i % 12 == 0)
            store_flush(&test->scene.store);
    }
}

static enum status take(struct test *test, bool copy, struct error *err)
{
    return engine_snapshot(test->scene.store.tier, test->target, copy, &test->result, err);
}

static void must_take(struct test *test)
{
    struct error err = {0};
    if (take(test, false, &err) != STATUS_OK)
        test_fail("snapshot: %s", err.message);
}

static void no_finding(void *context, enum engine_finding finding, const char *path,
                       const char *description)
{
    (void)context, (void)finding;
    test_fail("%s: %s", path, description);
}

static void expect_sound(const char *dir)
{
    struct engine_verify_result result;
    struct error err = {0};
    if (engine_verify(os_system(), dir, no_finding, NULL, NULL, &result, &err) != STATUS_OK)
        test_fail("verify: %s", err.message);
    assert_int_equal(result.damaged, 0);
}

static struct tier *open_at(const char *dir, const struct store *store)
{
    struct engine_options options = store->options;
    options.dir = dir;
    struct tier *tier;
    struct error err = {0};
    if (engine_open(&options, &tier, &err) != STATUS_OK)
        test_fail("the snapshot does not open: %s", err.message);
    return tier;
}

static void expect_content(const struct test *test, const struct ledger *ledger)
{
    char why[FIXTURE_WHY_SIZE];
    expect_sound(test->target);
    struct tier *tier = open_at(test->target, &test->scene.store);
    if (!fixture_same(tier, ledger, fixture_always(), why) ||
        !fixture_totals_same(tier, ledger, fixture_always(), why))
        test_fail("the snapshot: %s", why);
    struct engine_stats stats;
    engine_stats(tier, &stats);
    assert_int_equal(stats.recovery.damaged, 0);
    engine_close(tier);
    expect_sound(test->target);
}

static void a_snapshot_holds_what_was_acknowledged_before_it_and_nothing_later(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    fill(&test);
    must_take(&test);
    struct ledger then;
    ledger_copy(&then, &test.scene.ledger);
    assert_int_equal(test.result.samples, ledger_count(&then));
    assert_int_equal(test.result.series, SERIES);
    assert_int_equal(test.result.missing, 0);
    put(&test, 1, NOON + 50000, 500, 7);
    put(&test, 1, NOON + 1, 1, -1);
    expect_content(&test, &then);
    char why[FIXTURE_WHY_SIZE];
    if (!fixture_same(test.scene.store.tier, &test.scene.ledger, fixture_always(), why))
        test_fail("%s", why);
    store_kill(&test.scene.store);
    if (!fixture_same(test.scene.store.tier, &test.scene.ledger, fixture_always(), why))
        test_fail("%s", why);
    ledger_release(&then);
    end(&test);
}

static void merges_and_dropped_days_leave_a_snapshot_alone(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    fill(&test);
    must_take(&test);
    store_settle_down(&test.scene.store);
    engine_set_retention(test.scene.store.tier, MS_PER_DAY);
    store_settle_down(&test.scene.store);
    assert_int_equal(store_files(&test.scene.store, "parts"), 0);
    expect_content(&test, &test.scene.ledger);
    end(&test);
}

static void a_delete_that_only_the_log_holds_is_in_a_snapshot(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    fill(&test);
    store_flush(&test.scene.store);
    struct matchers everything = {0};
    struct time_range range = {0, NOON - MS_PER_DAY / 2};
    struct delete_result deleted;
    struct error err = {0};
    assert_int_equal(storage_delete(test.scene.store.tier, &everything, 1, range, &deleted, &err),
                     STATUS_OK);
    ledger_drop_before(&test.scene.ledger, NOON - MS_PER_DAY / 2);
    must_take(&test);
    expect_content(&test, &test.scene.ledger);
    end(&test);
}

static size_t links_below(const char *dir, const char *folder, nlink_t links)
{
    char path[2 * PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", dir, folder);
    DIR *directory = opendir(path);
    assert_non_null(directory);
    size_t count = 0;
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        struct stat about;
        if (entry->d_name[0] == '.')
            continue;
        assert_int_equal(fstatat(dirfd(directory), entry->d_name, &about, 0), 0);
        assert_int_equal(about.st_nlink, links);
        count++;
    }
    closedir(directory);
    return count;
}

static void files_are_shared_by_links_and_copies_are_not(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    fill(&test);
    must_take(&test);
    assert_int_equal(links_below(test.target, "parts", 2), test.result.parts);
    assert_int_equal(links_below(test.target, "index", 2), test.result.segments);
    snprintf(test.target, sizeof test.target, "%s/snapshots/two", test.scene.store.dir);
    struct error err = {0};
    assert_int_equal(take(&test, true, &err), STATUS_OK);
    assert_int_equal(links_below(test.target, "parts", 1), test.result.parts);
    expect_content(&test, &test.scene.ledger);
    end(&test);
}

static void descriptors_without_samples_are_in_a_snapshot(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    struct metric metric = {.name = slice_from_text("metric_0"),
                            .type = METRIC_COUNTER,
                            .help = slice_from_text("Only announced.")};
    struct fixture_write write = {.metric = &metric};
    struct error err = {0};
    assert_int_equal(fixture_commit(test.scene.store.tier, &write, 1, &err), STATUS_OK);
    must_take(&test);
    struct tier *tier = open_at(test.target, &test.scene.store);
    struct arena arena;
    arena_init(&arena, 1 << 16);
    struct metric found;
    assert_int_equal(storage_metric(tier, slice_from_text("metric_0"), &arena, &found, &err),
                     STATUS_OK);
    assert_true(slice_equal_text(found.help, "Only announced."));
    arena_release(&arena);
    engine_close(tier);
    end(&test);
}

static void a_snapshot_of_an_idle_store_leaves_the_order_of_writes_as_it_was(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    for (int i = 0; i < 5; i++)
        put(&test, 3, NOON, 10, i);
    store_reopen(&test.scene.store);
    must_take(&test);
    store_reopen(&test.scene.store);
    put(&test, 3, NOON, 10, 99);
    store_reopen(&test.scene.store);
    char why[FIXTURE_WHY_SIZE];
    if (!fixture_same(test.scene.store.tier, &test.scene.ledger, fixture_always(), why))
        test_fail("an older write won: %s", why);
    end(&test);
}

static void a_snapshot_of_an_empty_store_is_an_empty_store(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    must_take(&test);
    expect_content(&test, &test.scene.ledger);
    end(&test);
}

static void a_snapshot_can_be_taken_of_a_snapshot(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    fill(&test);
    must_take(&test);
    struct tier *tier = open_at(test.target, &test.scene.store);
    struct error err = {0};
    snprintf(test.target, sizeof test.target, "%s/snapshots/two", test.scene.store.dir);
    assert_int_equal(engine_snapshot(tier, test.target, false, &test.result, &err), STATUS_OK);
    engine_close(tier);
    expect_content(&test, &test.scene.ledger);
    end(&test);
}

static void a_directory_with_something_in_it_is_refused_and_left_as_it_is(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    fill(&test);
    must_take(&test);
    struct error err = {0};
    assert_int_equal(take(&test, false, &err), STATUS_CONFLICT);
    assert_non_null(strstr(err.message, "not empty"));
    expect_content(&test, &test.scene.ledger);
    snprintf(test.target, sizeof test.target, "%s/nowhere/one", test.scene.store.dir);
    assert_int_equal(take(&test, false, &err), STATUS_NOT_FOUND);
    end(&test);
}

static void without_hard_links_only_a_copy_works(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    fill(&test);
    struct filesystem_ops ops = *filesystem_posix()->ops;
    struct filesystem without = {.ops = &ops};
    ops.link = NULL;
    engine_close(test.scene.store.tier);
    test.scene.store.options.os.fs = &without;
    test.scene.store.tier = open_at(test.scene.store.dir, &test.scene.store);
    struct error err = {0};
    assert_int_equal(take(&test, false, &err), STATUS_UNSUPPORTED);
    assert_int_equal(access(test.target, F_OK), -1);
    assert_int_equal(take(&test, true, &err), STATUS_OK);
    expect_content(&test, &test.scene.ledger);
    end(&test);
}

/* A store whose part went missing: what is left is still worth a backup, and it says what lacks. */
static void a_missing_part_is_counted_and_the_rest_is_in_the_snapshot(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    put(&test, 1, NOON, 10, 1);
    store_flush(&test.scene.store);
    char command[2 * PATH_SIZE];
    snprintf(command, sizeof command, "%s/parts", test.scene.store.dir);
    DIR *directory = opendir(command);
    assert_non_null(directory);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;)
        if (entry->d_name[0] != '.')
            assert_int_equal(unlinkat(dirfd(directory), entry->d_name, 0), 0);
    closedir(directory);
    put(&test, 2, NOON, 10, 1);
    must_take(&test);
    assert_int_equal(test.result.missing, 1);
    end(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_snapshot_holds_what_was_acknowledged_before_it_and_nothing_later),
        cmocka_unit_test(merges_and_dropped_days_leave_a_snapshot_alone),
        cmocka_unit_test(a_delete_that_only_the_log_holds_is_in_a_snapshot),
        cmocka_unit_test(files_are_shared_by_links_and_copies_are_not),
        cmocka_unit_test(descriptors_without_samples_are_in_a_snapshot),
        cmocka_unit_test(a_snapshot_of_an_idle_store_leaves_the_order_of_writes_as_it_was),
        cmocka_unit_test(a_snapshot_of_an_empty_store_is_an_empty_store),
        cmocka_unit_test(a_snapshot_can_be_taken_of_a_snapshot),
        cmocka_unit_test(a_directory_with_something_in_it_is_refused_and_left_as_it_is),
        cmocka_unit_test(without_hard_links_only_a_copy_works),
        cmocka_unit_test(a_missing_part_is_counted_and_the_rest_is_in_the_snapshot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

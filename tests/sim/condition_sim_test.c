/*
 * What the store says of itself (storage_condition) once the disk has failed it: which file's sync
 * failed, why, what follows from it and what is to be done. Whoever operates it has no more to go
 * by.
 */
#include "../unit/test.h"

#include "engine_fixture.h"
#include "sim_machine.h"

enum { SERIES = 8, SAMPLES = 20, SEGMENT_COMMITS = 200 };

struct scene {
    struct sim_disk *disk;
    struct sim_machine machine;
    struct tier *tier;
    uint32_t puts;
};

static void open_scene(struct scene *scene, enum engine_sync sync)
{
    struct error err = {0};
    *scene = (struct scene){.disk = sim_machine_disk(1)};
    sim_machine_init(&scene->machine, scene->disk, "/data/store", 1);
    scene->machine.options.sync = sync;
    scene->machine.options.sync_interval_ms = MS_PER_MINUTE;
    scene->machine.options.head_bytes = 1 << 20;
    if (engine_open(&scene->machine.options, &scene->tier, &err) != STATUS_OK)
        test_fail("%s", err.message);
}

static void close_scene(struct scene *scene)
{
    engine_abandon(scene->tier);
    sim_disk_free(scene->disk);
}

static enum status put(struct scene *scene, struct error *err)
{
    struct fixture_sample samples[SAMPLES];
    int64_t from_ms = SIM_START_MS + (int64_t)scene->puts * SAMPLES;
    for (size_t i = 0; i < SAMPLES; i++)
        samples[i] = (struct fixture_sample){scene->puts % SERIES, from_ms + (int64_t)i, 1};
    scene->puts++;
    return fixture_put(scene->tier, samples, SAMPLES, err);
}

static void fail_from_now_on(struct scene *scene, unsigned kinds)
{
    sim_disk_add_fault(scene->disk,
                       &(struct sim_fault){.kinds = kinds, .nth = 1, .failure = SIM_EIO});
}

static void demand_ok(enum status status, const struct error *err)
{
    if (status != STATUS_OK)
        test_fail("%s", err->message);
}

/* Says what failed, why, what it means and what to do, and goes on saying it once the disk works
 * again: what is there is not known. */
static void expect_failed_sync(struct scene *scene, const char *what)
{
    struct storage_condition condition;
    struct error err = {0};
    sim_disk_clear_faults(scene->disk);
    storage_condition(scene->tier, &condition);
    assert_int_equal(condition.health, STORAGE_FAILING);
    const char *const parts[] = {what, "writes are refused until a restart", "look at the disk",
                                 "Input/output error"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        if (strstr(condition.message, parts[i]) == NULL)
            test_fail("\"%s\" lacks \"%s\"", condition.message, parts[i]);
    assert_int_equal(put(scene, &err), STATUS_UNAVAILABLE);
    bool did;
    assert_int_equal(engine_background_step(scene->tier, &did, &err), STATUS_OK);
    struct storage_condition later;
    storage_condition(scene->tier, &later);
    assert_string_equal(condition.message, later.message);
}

static void expect_sound(struct scene *scene)
{
    struct storage_condition condition;
    storage_condition(scene->tier, &condition);
    assert_int_equal(condition.health, STORAGE_HEALTHY);
}

static void restart(struct scene *scene)
{
    struct error err = {0};
    engine_abandon(scene->tier);
    sim_machine_init(&scene->machine, scene->disk, "/data/store", 1);
    demand_ok(engine_open(&scene->machine.options, &scene->tier, &err), &err);
    expect_sound(scene);
    demand_ok(put(scene, &err), &err);
}

static void a_failed_sync_of_a_commit_is_told_as_one_of_the_log(void **state)
{
    (void)state;
    struct scene scene;
    struct error err = {0};
    open_scene(&scene, ENGINE_SYNC_ALWAYS);
    demand_ok(put(&scene, &err), &err);
    expect_sound(&scene);
    fail_from_now_on(&scene, SIM_SYNC);
    assert_int_equal(put(&scene, &err), STATUS_IO);
    expect_failed_sync(&scene, "a sync of the log failed");
    restart(&scene);
    close_scene(&scene);
}

static void a_failed_sync_between_commits_is_told_as_one_of_the_log(void **state)
{
    (void)state;
    struct scene scene;
    struct error err = {0};
    bool did;
    open_scene(&scene, ENGINE_SYNC_INTERVAL);
    demand_ok(put(&scene, &err), &err);
    fail_from_now_on(&scene, SIM_SYNC);
    assert_int_equal(engine_background_step(scene.tier, &did, &err), STATUS_IO);
    expect_failed_sync(&scene, "a sync of the log failed");
    restart(&scene);
    close_scene(&scene);
}

static void a_failed_sync_of_a_delete_is_told_as_one_of_the_log(void **state)
{
    (void)state;
    struct scene scene;
    struct error err = {0};
    struct delete_result result;
    open_scene(&scene, ENGINE_SYNC_ALWAYS);
    demand_ok(put(&scene, &err), &err);
    fail_from_now_on(&scene, SIM_SYNC);
    assert_int_equal(
        fixture_delete_matching(scene.tier, "{n!=\"\"}", fixture_always(), &result, &err),
        STATUS_IO);
    expect_failed_sync(&scene, "a sync of the log failed");
    restart(&scene);
    close_scene(&scene);
}

static void a_segment_of_the_log_without_a_durable_name_is_told_as_a_failed_sync(void **state)
{
    (void)state;
    struct scene scene;
    struct error err = {0};
    enum status status = STATUS_OK;
    open_scene(&scene, ENGINE_SYNC_ALWAYS);
    fail_from_now_on(&scene, SIM_SYNC_DIRECTORY);
    for (int i = 0; i < SEGMENT_COMMITS && status == STATUS_OK; i++)
        status = put(&scene, &err);
    assert_int_not_equal(status, STATUS_OK);
    expect_failed_sync(&scene, "a sync of the log failed");
    restart(&scene);
    close_scene(&scene);
}

/* Of all syncs of a flush those of the manifest come last. */
static void a_failed_sync_of_the_manifest_is_told_as_such(void **state)
{
    (void)state;
    enum { SYNCS_MAX = 20 };
    unsigned told = 0;
    for (uint64_t nth = 1; nth <= SYNCS_MAX; nth++) {
        struct scene scene;
        struct error err = {0};
        open_scene(&scene, ENGINE_SYNC_ALWAYS);
        demand_ok(put(&scene, &err), &err);
        sim_disk_add_fault(
            scene.disk,
            &(struct sim_fault){.kinds = SIM_SYNC, .nth = nth, .repeat = 1, .failure = SIM_EIO});
        enum status status = engine_flush(scene.tier, &err);
        struct storage_condition condition;
        storage_condition(scene.tier, &condition);
        if (condition.health == STORAGE_FAILING) {
            assert_int_not_equal(status, STATUS_OK);
            expect_failed_sync(&scene, "a sync of the manifest failed");
            restart(&scene);
            told++;
        } else if (status != STATUS_OK) {
            /* A part or segment that nothing names: the flush is done once more. */
            sim_disk_clear_faults(scene.disk);
            demand_ok(engine_flush(scene.tier, &err), &err);
        }
        close_scene(&scene);
    }
    assert_in_range(told, 1, SYNCS_MAX / 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_failed_sync_of_a_commit_is_told_as_one_of_the_log),
        cmocka_unit_test(a_failed_sync_between_commits_is_told_as_one_of_the_log),
        cmocka_unit_test(a_failed_sync_of_a_delete_is_told_as_one_of_the_log),
        cmocka_unit_test(a_segment_of_the_log_without_a_durable_name_is_told_as_a_failed_sync),
        cmocka_unit_test(a_failed_sync_of_the_manifest_is_told_as_such),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

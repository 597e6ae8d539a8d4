/*
 * Retention that goes by a wrong clock or a damaged index must delete nothing early.
 */
#include "../../test.h"

#include <dirent.h>

#include "retention_scene.h"

/* ---- the clock -------------------------------------------------------------------------- */

static const struct retention_rule both[] = {{"metric_1", 3 * (int64_t)MS_PER_DAY}};

static void leap(struct retention_scene *test, int64_t by_ms)
{
    test->scene.now_ms += by_ms;
    test->leap_ms += by_ms;
}

static void begin_with_a_careful_clock(struct retention_scene *test, int64_t default_ms)
{
    retention_begin(test, default_ms, both, 1);
    test->scene.store.options.clock_leap_ms = DAY;
    store_reopen(&test->scene.store);
    retention_live(test, 4);
    store_settle_down(&test->scene.store);
    retention_expect_gone(test, 1, 2, 3 * DAY);
    scene_check(&test->scene);
}

static void a_clock_that_leaps_a_year_deletes_nothing(void **state)
{
    (void)state;
    for (int restart = 0; restart < 2; restart++) {
        struct retention_scene test;
        begin_with_a_careful_clock(&test, 10 * DAY);
        leap(&test, 365 * DAY);
        for (int hour = 0; hour < 20; hour++) {
            store_settle_down(&test.scene.store);
            /* Edits of the manifest meanwhile must not make it believed. */
            retention_put_all(&test, SERIES);
            store_flush(&test.scene.store);
            if (restart)
                store_kill(&test.scene.store);
            retention_expect_gone(&test, 1, 2, 3 * DAY);
            scene_check(&test.scene);
            retention_pass(&test, DAY / 24);
        }
        store_settle_down(&test.scene.store);
        retention_expect_gone(&test, 1, 2, 3 * DAY);
        scene_check(&test.scene);
        leap(&test, -365 * DAY);
        retention_live(&test, 5);
        store_settle_down(&test.scene.store);
        retention_expect_gone(&test, 1, 2, 3 * DAY);
        scene_check(&test.scene);
        scene_end(&test.scene);
    }
}

static void a_clock_that_is_set_back_deletes_nothing_and_neither_does_its_return(void **state)
{
    (void)state;
    struct retention_scene test;
    begin_with_a_careful_clock(&test, 10 * DAY);
    leap(&test, -365 * DAY);
    for (int hour = 0; hour < 20; hour++) {
        store_settle_down(&test.scene.store);
        scene_check(&test.scene);
        retention_pass(&test, DAY / 24);
    }
    leap(&test, 365 * DAY);
    store_settle_down(&test.scene.store);
    retention_expect_gone(&test, 1, 2, 3 * DAY);
    scene_check(&test.scene);
    scene_end(&test.scene);
}

static void a_leap_that_stands_for_a_day_is_believed(void **state)
{
    (void)state;
    struct retention_scene test;
    begin_with_a_careful_clock(&test, 10 * DAY);
    leap(&test, 20 * DAY);
    for (int hour = 0; hour < 23; hour++) {
        store_settle_down(&test.scene.store);
        retention_expect_gone(&test, 1, 2, 3 * DAY);
        scene_check(&test.scene);
        retention_pass(&test, DAY / 24);
    }
    /* Another leap meanwhile begins anew. */
    leap(&test, 20 * DAY);
    for (int hour = 0; hour < 23; hour++) {
        store_settle_down(&test.scene.store);
        retention_expect_gone(&test, 1, 2, 3 * DAY);
        scene_check(&test.scene);
        retention_pass(&test, DAY / 24);
    }
    retention_pass(&test, DAY / 12);
    test.leap_ms = 0;
    store_settle_down(&test.scene.store);
    retention_expect_gone(&test, 0, FIXTURE_METRICS, 10 * DAY);
    scene_check(&test.scene);
    scene_end(&test.scene);
}

static void a_store_that_slept_for_long_waits_a_day_and_one_that_ran_idly_does_not(void **state)
{
    (void)state;
    for (int idle = 0; idle < 2; idle++) {
        struct retention_scene test;
        begin_with_a_careful_clock(&test, 10 * DAY);
        for (int hour = 0; hour < 24 * 9; hour++) {
            retention_pass(&test, DAY / 24);
            if (idle)
                store_settle_down(&test.scene.store);
        }
        test.scene.passed_ms = INT64_C(1) << 30; /* the machine was booted */
        test.leap_ms = idle ? 0 : 9 * DAY;
        retention_expect_gone(&test, 1, 2, 3 * DAY);
        retention_expect_gone(&test, 0, FIXTURE_METRICS, 10 * DAY);
        store_kill(&test.scene.store);
        store_settle_down(&test.scene.store);
        scene_check(&test.scene);
        /* A day turns, by the clock of the one and by what the other one believes. */
        retention_pass(&test, DAY / 2);
        store_settle_down(&test.scene.store);
        retention_expect_gone(&test, 1, 2, 3 * DAY);
        retention_expect_gone(&test, 0, FIXTURE_METRICS, 10 * DAY);
        scene_check(&test.scene);
        retention_pass(&test, DAY / 2 + 1);
        store_settle_down(&test.scene.store);
        test.leap_ms = 0;
        retention_expect_gone(&test, 1, 2, 3 * DAY);
        retention_expect_gone(&test, 0, FIXTURE_METRICS, 10 * DAY);
        scene_check(&test.scene);
        scene_end(&test.scene);
    }
}

/* ---- damage ----------------------------------------------------------------------------- */

/* Its size. */
static long largest_of_index(struct retention_scene *test, char largest[512])
{
    char directory[128], path[512];
    long most = 0;
    snprintf(directory, sizeof directory, "%s/index", test->scene.store.dir);
    DIR *listing = opendir(directory);
    assert_non_null(listing);
    for (struct dirent *entry; (entry = readdir(listing)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", directory, entry->d_name);
        FILE *file = fopen(path, "rb");
        if (entry->d_name[0] == '.' || file == NULL || fseek(file, 0, SEEK_END) != 0)
            continue;
        if (ftell(file) > most) {
            most = ftell(file);
            memcpy(largest, path, 512);
        }
        assert_int_equal(fclose(file), 0);
    }
    assert_int_equal(closedir(listing), 0);
    return most;
}

/* Flips a bit of the largest file of the index, and one that makes its directories unreadable, so
 * that a start finds definitions again only where the first one did not hit them. */
static bool damage_index(struct retention_scene *test, long place)
{
    char largest[512];
    long size = largest_of_index(test, largest);
    if (place >= size)
        return false;
    scene_flip(largest, place);
    scene_flip(largest, size - 20);
    return true;
}

/* Everything in it, or, the second time, nothing. */
static void damage_all(const char *path, long size)
{
    for (long place = 64; place < size; place += 256)
        scene_flip(path, place);
    scene_flip(path, size - 20);
}

/* Rules that look for metrics would not find all that they keep longer than the default. */
static void a_damaged_index_deletes_nothing_that_a_rule_keeps(void **state)
{
    (void)state;
    static const struct retention_rule rules[] = {{"{__name__=~\"metric_[1-5]\"}", FOREVER}};
    size_t kept = 0;
    for (long place = 0;; place += 61) {
        struct retention_scene test;
        retention_begin(&test, FOREVER, NULL, 0);
        retention_live(&test, 2);
        engine_close(test.scene.store.tier);
        if (!damage_index(&test, place)) {
            test.scene.store.tier = NULL;
            scene_end(&test.scene);
            break;
        }
        struct error err = {0};
        assert_int_equal(engine_open(&test.scene.store.options, &test.scene.store.tier, &err),
                         STATUS_OK);
        retention_pass(&test, 5 * DAY);
        retention_change(&test, DAY, rules, 1);
        store_settle_down(&test.scene.store);
        bool keeping =
            strstr(retention_condition(&test).message, "retention rules keep 28 ") != NULL;
        kept += keeping;
        struct engine_stats stats = scene_stats(&test.scene);
        /* Either all is known, by a second copy, or nothing goes. */
        assert_int_equal(stats.part_samples, 2 * 30 * (stats.rule_deletes > 0 ? 20 : SERIES));
        assert_int_equal(keeping, stats.rule_deletes == 0);
        if (keeping)
            assert_int_equal(retention_condition(&test).health, STORAGE_DEGRADED);
        scene_end(&test.scene);
    }
    assert_true(kept > 0);
}

/* Two segments of the index, of which the larger one cannot be read for a while. */
static void series_without_labels_are_kept_and_others_go_by_their_rules(void **state)
{
    (void)state;
    enum { LOST = 700 };
    static const struct retention_rule rules[] = {{"{__name__=~\"metric_[1-5]\"}", FOREVER},
                                                  {"{n=\"706\"}", 3 * (int64_t)MS_PER_DAY}};
    struct retention_scene test;
    retention_begin(&test, FOREVER, NULL, 0);
    for (uint32_t i = 0; i < LOST + SERIES; i++) {
        retention_put_run(&test, i, test.scene.now_ms, 3, i);
        if (i + 1 == LOST)
            store_flush(&test.scene.store);
    }
    store_flush(&test.scene.store);
    assert_int_equal(scene_stats(&test.scene).index_segments, 2);
    engine_close(test.scene.store.tier);
    char largest[512];
    long size = largest_of_index(&test, largest);
    damage_all(largest, size);
    struct error err = {0};
    assert_int_equal(engine_open(&test.scene.store.options, &test.scene.store.tier, &err),
                     STATUS_OK);
    retention_pass(&test, 2 * DAY);
    retention_change(&test, DAY, rules, 2);
    store_settle_down(&test.scene.store);
    /* Of the others seven go by the default: two metrics of seven, without number 706. */
    assert_int_equal(scene_stats(&test.scene).part_samples, 3 * (LOST + SERIES - 7));
    assert_int_equal(scene_stats(&test.scene).rule_series, 7);
    assert_non_null(
        strstr(retention_condition(&test).message, "retention rules keep 700 series longer"));
    assert_int_equal(retention_condition(&test).health, STORAGE_DEGRADED);
    /* They stay kept, in further runs too. */
    retention_pass(&test, 2 * DAY);
    store_settle_down(&test.scene.store);
    assert_int_equal(scene_stats(&test.scene).rule_series, 8);
    assert_non_null(
        strstr(retention_condition(&test).message, "retention rules keep 700 series longer"));

    engine_close(test.scene.store.tier);
    damage_all(largest, size);
    assert_int_equal(engine_open(&test.scene.store.options, &test.scene.store.tier, &err),
                     STATUS_OK);
    store_settle_down(&test.scene.store);
    assert_int_equal(retention_condition(&test).health, STORAGE_HEALTHY);
    retention_expect_gone(&test, 0, 1, DAY);
    retention_expect_gone(&test, 6, 7, DAY);
    scene_check(&test.scene);
    scene_end(&test.scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_clock_that_leaps_a_year_deletes_nothing),
        cmocka_unit_test(a_clock_that_is_set_back_deletes_nothing_and_neither_does_its_return),
        cmocka_unit_test(a_leap_that_stands_for_a_day_is_believed),
        cmocka_unit_test(a_store_that_slept_for_long_waits_a_day_and_one_that_ran_idly_does_not),
        cmocka_unit_test(a_damaged_index_deletes_nothing_that_a_rule_keeps),
        cmocka_unit_test(series_without_labels_are_kept_and_others_go_by_their_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

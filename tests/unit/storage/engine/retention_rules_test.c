/*
 * Retention rules: which series they keep how long, what late data, restarts and reloads change
 * about it, that space comes back by itself, and that nothing piles up.
 */
#include "../../test.h"

#include <pthread.h>
#include <stdatomic.h>

#include "retention_scene.h"

/* ---- who is kept how long --------------------------------------------------------------- */

static const struct retention_rule shorter[] = {{"metric_1", 3 * (int64_t)MS_PER_DAY}};

static void a_rule_keeps_its_series_shorter_than_the_default(void **state)
{
    (void)state;
    struct retention_scene test;
    retention_begin(&test, FOREVER, shorter, 1);
    for (int day = 0; day < 12; day++) {
        retention_live(&test, 1);
        store_settle_down(&test.scene.store);
        retention_expect_gone(&test, 1, 2, 3 * DAY);
        scene_check(&test.scene);
    }
    assert_true(scene_stats(&test.scene).rule_deletes > 0);
    assert_int_equal(scene_stats(&test.scene).chunks_dropped, 0);
    assert_int_equal(scene_stats(&test.scene).deletes, 0);
    /* Four series, and the last three days and a half of each. */
    assert_int_equal(test.scene.ledger.series[1].count, 30 * 3);
    scene_end(&test.scene);
}

static void a_rule_keeps_its_series_longer_than_the_default(void **state)
{
    (void)state;
    static const struct retention_rule rules[] = {{"metric_2", 8 * (int64_t)MS_PER_DAY}};
    struct retention_scene test;
    retention_begin(&test, 2 * DAY, rules, 1);
    for (int day = 0; day < 12; day++) {
        retention_live(&test, 1);
        store_settle_down(&test.scene.store);
        retention_expect_gone(&test, 0, 2, 2 * DAY);
        retention_expect_gone(&test, 3, FIXTURE_METRICS, 2 * DAY);
        retention_expect_gone(&test, 2, 3, 8 * DAY);
        scene_check(&test.scene);
    }
    /* Nobody keeps the first ones. */
    assert_true(scene_stats(&test.scene).chunks_dropped > 0);
    assert_int_equal(scene_stats(&test.scene).chunks, 8);
    scene_end(&test.scene);
}

static void a_rule_keeps_for_ever_what_the_default_does_not(void **state)
{
    (void)state;
    static const struct retention_rule rules[] = {{"metric_3", FOREVER}};
    struct retention_scene test;
    retention_begin(&test, 2 * DAY, rules, 1);
    retention_live(&test, 12);
    store_settle_down(&test.scene.store);
    retention_expect_gone(&test, 0, 3, 2 * DAY);
    retention_expect_gone(&test, 4, FIXTURE_METRICS, 2 * DAY);
    scene_check(&test.scene);
    assert_int_equal(scene_stats(&test.scene).chunks_dropped, 0);
    assert_int_equal(test.scene.ledger.series[3].count, 12 * 30);
    scene_end(&test.scene);
}

static void the_first_rule_that_matches_a_series_holds(void **state)
{
    (void)state;
    static const struct retention_rule rules[] = {
        {"{n=\"1\"}", 6 * (int64_t)MS_PER_DAY},
        {"{__name__=~\"metric_[12]\",n!~\"2|9\"}", 2 * (int64_t)MS_PER_DAY},
        {"metric_1", FOREVER},
        {"{n=~\"2|9\"}", 4 * (int64_t)MS_PER_DAY},
    };
    struct retention_scene test;
    retention_begin(&test, 9 * DAY, rules, 4);
    retention_live(&test, 12);
    store_settle_down(&test.scene.store);
    for (uint32_t i = 0; i < SERIES; i++) {
        bool only[ALL_SERIES] = {false};
        only[i] = true;
        bool second = i % FIXTURE_METRICS == 1 || i % FIXTURE_METRICS == 2;
        int64_t keep_ms = i == 1             ? 6 * DAY
                          : i == 2 || i == 9 ? 4 * DAY
                          : second           ? 2 * DAY
                                             : 9 * DAY;
        int64_t before_ms = day_of_time(test.scene.now_ms - keep_ms) * DAY;
        ledger_delete(&test.scene.ledger, only, (struct time_range){TIME_MIN_MS, before_ms});
    }
    scene_check(&test.scene);
    scene_end(&test.scene);
}

static void a_rule_may_match_all_series_or_none(void **state)
{
    (void)state;
    static const struct retention_rule rules[] = {
        {"nothing_is_called_so", 1 * (int64_t)MS_PER_DAY},
        {"{__name__!=\"\"}", 2 * (int64_t)MS_PER_DAY},
    };
    struct retention_scene test;
    retention_begin(&test, FOREVER, rules, 2);
    retention_live(&test, 6);
    store_settle_down(&test.scene.store);
    retention_expect_gone(&test, 0, FIXTURE_METRICS, 2 * DAY);
    scene_check(&test.scene);
    /* Emptied days have no parts. */
    assert_int_equal(scene_stats(&test.scene).parts, 2);
    scene_end(&test.scene);
}

/* ---- late data -------------------------------------------------------------------------- */

static void late_data_beyond_the_keep_goes_by_itself(void **state)
{
    (void)state;
    struct retention_scene test;
    retention_begin(&test, FOREVER, shorter, 1);
    retention_live(&test, 8);
    store_settle_down(&test.scene.store);
    retention_expect_gone(&test, 1, 2, 3 * DAY);
    scene_check(&test.scene);
    uint64_t runs = scene_stats(&test.scene).rule_runs;

    retention_put_run(&test, 1, FIRST + DAY, 50, 7);
    retention_put_run(&test, 2, FIRST + DAY, 50, 7);
    scene_check(&test.scene); /* it is in the head */
    store_settle_down(&test.scene.store);
    retention_expect_gone(&test, 1, 2, 3 * DAY);
    scene_check(&test.scene);
    assert_int_equal(scene_stats(&test.scene).rule_runs, runs + 1);

    /* Series that were not there before, too. */
    retention_put_run(&test, 22, FIRST, 50, 7);
    store_flush(&test.scene.store);
    store_kill(&test.scene.store);
    store_settle_down(&test.scene.store);
    retention_expect_gone(&test, 1, 2, 3 * DAY);
    scene_check(&test.scene);
    scene_end(&test.scene);
}

static void samples_beyond_the_keep_of_a_head_that_nothing_fills_go_too(void **state)
{
    (void)state;
    for (uint32_t rules = 0; rules < 2; rules++) {
        struct retention_scene test;
        retention_begin(&test, rules ? FOREVER : 3 * DAY, shorter, rules);
        test.scene.store.options.delete_rest_ms = 60000;
        store_reopen(&test.scene.store);
        for (int day = 0; day < 6; day++) {
            retention_put_all(&test, SERIES);
            for (int hour = 0; hour < 24; hour++) {
                store_settle_down(&test.scene.store);
                retention_pass(&test, DAY / 24);
            }
        }
        store_settle_down(&test.scene.store);
        retention_expect_gone(&test, rules, rules ? 2 : FIXTURE_METRICS, 3 * DAY);
        scene_check(&test.scene);
        assert_in_range(scene_stats(&test.scene).flushes, 1, 5);
        scene_end(&test.scene);
    }
}

static void runs_for_late_data_have_a_rest_between_them(void **state)
{
    (void)state;
    struct retention_scene test;
    retention_begin(&test, FOREVER, shorter, 1);
    test.scene.store.options.delete_rest_ms = 60000;
    store_reopen(&test.scene.store);
    retention_live(&test, 6);
    store_settle_down(&test.scene.store);
    uint64_t runs = scene_stats(&test.scene).rule_runs;
    for (int i = 0; i < 20; i++) {
        retention_put_run(&test, 1, FIRST + DAY + i, 50, 7);
        scene_settle(&test.scene);
        retention_pass(&test, 60000);
    }
    assert_in_range(scene_stats(&test.scene).rule_runs, runs + 1, runs + 3);
    retention_pass(&test, 600000);
    store_settle_down(&test.scene.store);
    retention_expect_gone(&test, 1, 2, 3 * DAY);
    scene_check(&test.scene);
    scene_end(&test.scene);
}

static void nothing_is_matched_where_nothing_has_changed(void **state)
{
    (void)state;
    struct retention_scene test;
    retention_begin(&test, FOREVER, shorter, 1);
    retention_live(&test, 6);
    store_settle_down(&test.scene.store);
    uint64_t runs = scene_stats(&test.scene).rule_runs;
    for (int i = 0; i < 8; i++) {
        retention_put_all(&test, SERIES);
        scene_settle(&test.scene);
        retention_pass(&test, DAY / 24);
    }
    assert_int_equal(scene_stats(&test.scene).rule_runs, runs);
    retention_pass(&test, DAY);
    store_settle_down(&test.scene.store);
    assert_int_equal(scene_stats(&test.scene).rule_runs, runs + 1);
    scene_end(&test.scene);
}

/* ---- changes ---------------------------------------------------------------------------- */

static void a_new_policy_holds_from_the_next_step_on(void **state)
{
    (void)state;
    struct retention_scene test;
    retention_begin(&test, FOREVER, NULL, 0);
    retention_live(&test, 10);
    store_settle_down(&test.scene.store);
    scene_check(&test.scene);
    assert_int_equal(scene_stats(&test.scene).rule_runs, 0);

    retention_change(&test, FOREVER, shorter, 1);
    store_settle_down(&test.scene.store);
    retention_expect_gone(&test, 1, 2, 3 * DAY);
    scene_check(&test.scene);

    static const struct retention_rule shortest[] = {{"metric_1", 1 * (int64_t)MS_PER_DAY},
                                                     {"metric_4", 2 * (int64_t)MS_PER_DAY}};
    retention_change(&test, 5 * DAY, shortest, 2);
    store_settle_down(&test.scene.store);
    retention_expect_gone(&test, 1, 2, DAY);
    retention_expect_gone(&test, 4, 5, 2 * DAY);
    retention_expect_gone(&test, 0, FIXTURE_METRICS, 5 * DAY);
    scene_check(&test.scene);

    /* What has gone stays gone, and what is there is kept from now on; what is written again lives.
     */
    static const struct retention_rule longer[] = {{"metric_1", 30 * (int64_t)MS_PER_DAY}};
    retention_change(&test, FOREVER, longer, 1);
    store_settle_down(&test.scene.store);
    scene_check(&test.scene);
    retention_put_run(&test, 1, FIRST + 2 * DAY, 20, 3);
    store_flush(&test.scene.store);
    retention_live(&test, 5);
    store_kill(&test.scene.store);
    store_settle_down(&test.scene.store);
    scene_check(&test.scene);
    scene_end(&test.scene);
}

static void the_default_alone_leaves_the_rules(void **state)
{
    (void)state;
    struct retention_scene test;
    retention_begin(&test, FOREVER, shorter, 1);
    retention_live(&test, 8);
    engine_set_retention(test.scene.store.tier, 5 * DAY);
    store_settle_down(&test.scene.store);
    retention_expect_gone(&test, 1, 2, 3 * DAY);
    retention_expect_gone(&test, 0, FIXTURE_METRICS, 5 * DAY);
    scene_check(&test.scene);
    scene_end(&test.scene);
}

static void rules_that_cannot_be_are_refused_and_leave_what_was(void **state)
{
    (void)state;
    struct retention_scene test;
    retention_begin(&test, FOREVER, shorter, 1);
    retention_live(&test, 8);
    static const struct retention_rule bad[] = {{"metric_1", FOREVER}, {"metric_1{", FOREVER}};
    static const struct retention_rule empty[] = {{"{a=\"\"}", FOREVER}};
    struct retention_rule many[RETENTION_RULES_MAX + 1];
    for (size_t i = 0; i < RETENTION_RULES_MAX + 1; i++)
        many[i] = (struct retention_rule){"metric_2", DAY};
    struct tier *tier = test.scene.store.tier;
    struct error err = {0};
    assert_int_equal(engine_set_retention_rules(tier, DAY, bad, 2, &err), STATUS_INVALID);
    assert_int_equal(engine_set_retention_rules(tier, DAY, empty, 1, &err), STATUS_INVALID);
    assert_int_equal(engine_set_retention_rules(tier, DAY, many, RETENTION_RULES_MAX + 1, &err),
                     STATUS_LIMIT);
    store_settle_down(&test.scene.store);
    retention_expect_gone(&test, 1, 2, 3 * DAY);
    scene_check(&test.scene);
    many[0].match = "metric_1";
    many[0].keep_ms = 2 * DAY;
    assert_int_equal(engine_set_retention_rules(tier, FOREVER, many, RETENTION_RULES_MAX, &err),
                     STATUS_OK);
    store_settle_down(&test.scene.store);
    retention_expect_gone(&test, 1, 2, 2 * DAY);
    retention_expect_gone(&test, 2, 3, DAY);
    scene_check(&test.scene);
    test.scene.store.options.retention_rules[0].match = "up{";
    engine_close(test.scene.store.tier);
    assert_int_equal(engine_open(&test.scene.store.options, &test.scene.store.tier, &err),
                     STATUS_INVALID);
    test.scene.store.options.retention_rule_count = 0;
    assert_int_equal(engine_open(&test.scene.store.options, &test.scene.store.tier, &err),
                     STATUS_OK);
    scene_end(&test.scene);
}

/* ---- restarts --------------------------------------------------------------------------- */

static void a_restart_at_any_step_brings_nothing_back_and_deletes_nothing_twice(void **state)
{
    (void)state;
    for (int steps = 0; steps < 12; steps++) {
        struct retention_scene test;
        retention_begin(&test, FOREVER, NULL, 0);
        retention_live(&test, 8);
        store_settle_down(&test.scene.store);
        retention_change(&test, FOREVER, shorter, 1);
        bool did = true;
        for (int i = 0; i < steps && did; i++) {
            struct error err = {0};
            assert_int_equal(engine_background_step(test.scene.store.tier, &did, &err), STATUS_OK);
        }
        bool gone = scene_stats(&test.scene).rule_deletes > 0;
        if (gone) {
            retention_expect_gone(&test, 1, 2, 3 * DAY);
            scene_check(&test.scene);
        }
        store_kill(&test.scene.store);
        scene_check(&test.scene);
        store_settle_down(&test.scene.store);
        retention_expect_gone(&test, 1, 2, 3 * DAY);
        scene_check(&test.scene);
        if (gone)
            assert_int_equal(scene_stats(&test.scene).rule_deletes, 0);
        store_reopen(&test.scene.store);
        store_settle_down(&test.scene.store);
        scene_check(&test.scene);
        assert_int_equal(scene_stats(&test.scene).rule_deletes, 0);
        scene_end(&test.scene);
    }
}

/* ---- space ------------------------------------------------------------------------------ */

static void space_comes_back_without_any_new_sample(void **state)
{
    (void)state;
    static const struct retention_rule rules[] = {
        {"{__name__=~\"metric_[0-4]\"}", 3 * (int64_t)MS_PER_DAY}};
    struct retention_scene test;
    retention_begin(&test, FOREVER, rules, 1);
    test.scene.store.options.delete_rest_ms = 60000;
    store_reopen(&test.scene.store);
    retention_live(&test, 4);
    store_settle_down(&test.scene.store);
    uint64_t samples = scene_stats(&test.scene).part_samples;
    assert_int_equal(samples, 4 * 30 * SERIES);
    for (int hour = 0; hour < 24 * 6; hour++) {
        retention_pass(&test, DAY / 24);
        store_settle_down(&test.scene.store);
    }
    retention_expect_gone(&test, 0, 5, 3 * DAY);
    scene_check(&test.scene);
    /* Two metrics are left, and no delete waits for anything. */
    assert_int_equal(scene_stats(&test.scene).part_samples, samples / 7 * 2);
    assert_int_equal(scene_stats(&test.scene).tombstones, 0);
    scene_end(&test.scene);
}

static void many_rules_with_a_few_series_each_give_space_back_together(void **state)
{
    (void)state;
    static const struct retention_rule rules[] = {{"{n=\"1\"}", 2 * (int64_t)MS_PER_DAY},
                                                  {"{n=\"2\"}", 2 * (int64_t)MS_PER_DAY},
                                                  {"{n=\"3\"}", 2 * (int64_t)MS_PER_DAY},
                                                  {"{n=\"4\"}", 2 * (int64_t)MS_PER_DAY},
                                                  {"{n=\"5\"}", 2 * (int64_t)MS_PER_DAY}};
    struct retention_scene test;
    retention_begin(&test, FOREVER, rules, 5);
    retention_put_all(&test, SERIES);
    store_flush(&test.scene.store);
    retention_pass(&test, 4 * DAY);
    store_settle_down(&test.scene.store);
    assert_int_equal(scene_stats(&test.scene).part_samples, 30 * (SERIES - 5));
    assert_int_equal(scene_stats(&test.scene).tombstones, 0);
    scene_end(&test.scene);
}

static void few_series_of_a_part_wait_behind_few_tombstones_for_four_hundred_days(void **state)
{
    (void)state;
    /* Too few of each part for it to be written anew, and other ones each day; what a part has of
     * them stays in it until it is dropped. */
    static const struct retention_rule rules[] = {{"metric_1", 3 * (int64_t)MS_PER_DAY},
                                                  {"metric_2", 30 * (int64_t)MS_PER_DAY}};
    struct retention_scene test;
    retention_begin(&test, 200 * DAY, rules, 2);
    uint64_t most = 0;
    for (uint32_t day = 0; day < 400; day++) {
        for (uint32_t i = 0; i < 21; i++)
            if (i % FIXTURE_METRICS != 1 && i % FIXTURE_METRICS != 2)
                retention_put_run(&test, i, test.scene.now_ms, 10, i);
        retention_put_run(&test, day * FIXTURE_METRICS + 1, test.scene.now_ms, 10, day);
        retention_put_run(&test, day / 3 * FIXTURE_METRICS + 2, test.scene.now_ms, 10, day);
        scene_settle(&test.scene);
        retention_pass(&test, DAY);
        store_settle_down(&test.scene.store);
        uint64_t tombstones = scene_stats(&test.scene).tombstones;
        most = tombstones > most ? tombstones : most;
    }
    retention_expect_gone(&test, 1, 2, 3 * DAY);
    retention_expect_gone(&test, 2, 3, 30 * DAY);
    retention_expect_gone(&test, 0, FIXTURE_METRICS, 200 * DAY);
    scene_check(&test.scene);
    assert_in_range(most, 2, 4);
    store_kill(&test.scene.store);
    store_settle_down(&test.scene.store);
    scene_check(&test.scene);
    scene_end(&test.scene);
}

static void rules_that_hit_a_limit_wait_and_other_work_goes_on(void **state)
{
    (void)state;
    struct retention_scene test;
    retention_begin(&test, FOREVER, shorter, 1);
    test.scene.store.options.tombstone_bytes = 16;
    store_reopen(&test.scene.store);
    retention_live(&test, 8);
    store_settle_down(&test.scene.store);
    scene_check(&test.scene);
    assert_int_equal(retention_condition(&test).health, STORAGE_DEGRADED);
    assert_non_null(strstr(retention_condition(&test).message, "retention rules wait"));
    uint64_t merges = scene_stats(&test.scene).merges;
    for (int i = 0; i < 6; i++) {
        retention_put_all(&test, SERIES);
        scene_settle(&test.scene);
    }
    assert_true(scene_stats(&test.scene).merges > merges);
    test.scene.store.options.tombstone_bytes = 0;
    store_reopen(&test.scene.store);
    store_settle_down(&test.scene.store);
    retention_expect_gone(&test, 1, 2, 3 * DAY);
    scene_check(&test.scene);
    scene_end(&test.scene);
}

/* ---- threads ---------------------------------------------------------------------------- */

struct busy {
    struct store store;
    atomic_bool over;
    atomic_uint wrong;
};

static void *append(void *context)
{
    struct busy *busy = context;
    int64_t now_ms = clock_wall_ms(clock_system());
    for (uint32_t round = 0; !atomic_load(&busy->over); round++) {
        struct fixture_sample samples[SERIES];
        for (uint32_t i = 0; i < SERIES; i++)
            samples[i] = (struct fixture_sample){
                i, now_ms - (int64_t)((round + i) % 9) * DAY + (int64_t)round, round};
        enum status status = fixture_put(busy->store.tier, samples, SERIES, NULL);
        if (status != STATUS_OK && status != STATUS_BUSY)
            atomic_fetch_add(&busy->wrong, 1);
        /* A writer that never rests leaves the retention, which gives way to it, no processor where
         * a sanitizer makes everything slow. */
        clock_sleep_ms(clock_system(), 1);
    }
    return NULL;
}

static void rules_may_change_while_everything_goes_on(void **state)
{
    (void)state;
    struct busy busy = {0};
    store_init(&busy.store, 64 * 1024);
    busy.store.options.background = true;
    busy.store.options.clock_leap_ms = DAY;
    store_reopen(&busy.store);
    pthread_t appender;
    assert_int_equal(pthread_create(&appender, NULL, append, &busy), 0);
    for (int i = 0; i < 400; i++) {
        struct retention_rule rules[] = {{"metric_1", (1 + i % 5) * DAY},
                                         {"metric_2", i % 2 == 0 ? 0 : 3 * DAY}};
        assert_int_equal(
            engine_set_retention_rules(busy.store.tier, (4 + i % 3) * DAY, rules, 2, NULL),
            STATUS_OK);
        struct engine_stats stats;
        engine_stats(busy.store.tier, &stats);
        struct storage_condition condition;
        storage_condition(busy.store.tier, &condition);
        struct select_options options = {.range = fixture_always()};
        struct selection *selection = NULL;
        struct matchers everything = {0};
        assert_int_equal(
            storage_select(busy.store.tier, &everything, 1, &options, &selection, NULL), STATUS_OK);
        selection_close(busy.store.tier, selection);
    }
    /* The threads look every second. */
    struct engine_stats stats = {0};
    for (int i = 0; i < 100000 && stats.rule_deletes == 0; i++) {
        engine_stats(busy.store.tier, &stats);
        clock_sleep_ms(clock_system(), 1);
    }
    assert_true(stats.rule_deletes > 0);
    atomic_store(&busy.over, true);
    assert_int_equal(pthread_join(appender, NULL), 0);
    assert_int_equal(atomic_load(&busy.wrong), 0);
    store_release(&busy.store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_rule_keeps_its_series_shorter_than_the_default),
        cmocka_unit_test(a_rule_keeps_its_series_longer_than_the_default),
        cmocka_unit_test(a_rule_keeps_for_ever_what_the_default_does_not),
        cmocka_unit_test(the_first_rule_that_matches_a_series_holds),
        cmocka_unit_test(a_rule_may_match_all_series_or_none),
        cmocka_unit_test(late_data_beyond_the_keep_goes_by_itself),
        cmocka_unit_test(samples_beyond_the_keep_of_a_head_that_nothing_fills_go_too),
        cmocka_unit_test(runs_for_late_data_have_a_rest_between_them),
        cmocka_unit_test(nothing_is_matched_where_nothing_has_changed),
        cmocka_unit_test(a_new_policy_holds_from_the_next_step_on),
        cmocka_unit_test(the_default_alone_leaves_the_rules),
        cmocka_unit_test(rules_that_cannot_be_are_refused_and_leave_what_was),
        cmocka_unit_test(a_restart_at_any_step_brings_nothing_back_and_deletes_nothing_twice),
        cmocka_unit_test(space_comes_back_without_any_new_sample),
        cmocka_unit_test(many_rules_with_a_few_series_each_give_space_back_together),
        cmocka_unit_test(few_series_of_a_part_wait_behind_few_tombstones_for_four_hundred_days),
        cmocka_unit_test(rules_that_hit_a_limit_wait_and_other_work_goes_on),
        cmocka_unit_test(rules_may_change_while_everything_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

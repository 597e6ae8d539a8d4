/*
 * Days beyond retention go, and with them the series of which nothing is left; not while a
 * selection may mean them.
 */
#include "../../test.h"

#include "base/times.h"
#include "scene.h"

enum { SERIES = 50, HEAD = 8 << 20 };

static void days_beyond_retention_go_and_others_stay(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    int64_t today = clock_wall_ms(scene.store.options.os.clock);
    for (int64_t day = 0; day < 10; day++)
        scene_put_run(&scene, 1, today - day * MS_PER_DAY, 1, 10, 0);
    scene_settle(&scene);
    scene_check(&scene);
    engine_set_retention(scene.store.tier, 3 * (int64_t)MS_PER_DAY);
    store_settle_down(&scene.store);
    int64_t keep_from = clock_wall_ms(scene.store.options.os.clock) - 3 * (int64_t)MS_PER_DAY;
    ledger_drop_before(&scene.ledger, day_of_time(keep_from) * MS_PER_DAY);
    scene_check(&scene);
    store_kill(&scene.store);
    scene_check(&scene);
    scene_end(&scene);
}

/* Drops the days before today; what is left in the ledger is today's. */
static void drop_the_past(struct scene *scene)
{
    int64_t today = clock_wall_ms(scene->store.options.os.clock) / MS_PER_DAY;
    engine_set_retention(scene->store.tier, MS_PER_DAY);
    store_settle_down(&scene->store);
    ledger_drop_before(&scene->ledger, (today - 1) * MS_PER_DAY);
}

static void series_whose_samples_have_gone_leave_and_their_ids_are_used_again(void **state)
{
    (void)state;
    enum { ALL = 400, LIVE = 10 };
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    ledger_release(&scene.ledger);
    ledger_init(&scene.ledger, 2 * ALL);
    int64_t now = clock_wall_ms(scene.store.options.os.clock);
    for (uint32_t i = 0; i < ALL; i++)
        scene_put_one(&scene, i, now - 5 * (int64_t)MS_PER_DAY, i);
    for (uint32_t i = 0; i < LIVE; i++)
        scene_put_one(&scene, i, now, i);
    scene_settle(&scene);
    /* The log tells of series up to the flush before. */
    scene_put_one(&scene, 0, now + 1, 1);
    store_flush(&scene.store);
    assert_int_equal(scene_stats(&scene).series_committed, ALL);
    drop_the_past(&scene);
    assert_int_equal(scene_stats(&scene).series_committed, LIVE);
    assert_int_equal(scene_stats(&scene).series_ids_freed, ALL - LIVE);
    scene_check_all_ways(&scene);
    store_settle_down(&scene.store);
    /* What comes back is new, and what is new takes the old ids. */
    for (uint32_t i = 0; i < 2 * ALL; i++)
        scene_put_one(&scene, i, now + 2, -(double)i);
    assert_int_equal(scene_stats(&scene).series_committed, 2 * ALL);
    struct select_options options = {.range = fixture_always()};
    struct selection *selection = scene_select(&scene, &options);
    for (size_t i = 0; i < selection_count(scene.store.tier, selection); i++) {
        struct selected_series series;
        assert_int_equal(selection_series(scene.store.tier, selection, i, &series, NULL),
                         STATUS_OK);
        assert_true(series.id < 2 * ALL);
    }
    selection_close(scene.store.tier, selection);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

/* Each of its series has labels still, and nothing is damaged. */
static void check_labels(struct scene *scene, struct selection *selection)
{
    struct tier *tier = scene->store.tier;
    assert_int_equal(selection_count(tier, selection), SERIES);
    for (size_t i = 0; i < SERIES; i++) {
        struct selected_series series;
        assert_int_equal(selection_series(tier, selection, i, &series, NULL), STATUS_OK);
        assert_int_equal(series.labels.count, 3);
    }
    struct read_stats stats;
    selection_stats(tier, selection, &stats);
    assert_false(stats.partial);
    struct storage_condition condition;
    storage_condition(tier, &condition);
    assert_int_equal(condition.health, STORAGE_HEALTHY);
}

/* One selection from before the series were known to go, one from after that. */
static void series_stay_and_their_ids_are_not_used_again_while_a_selection_may_mean_them(
    void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    struct tier *tier = scene.store.tier;
    int64_t now = clock_wall_ms(scene.store.options.os.clock);
    for (uint32_t i = 0; i < SERIES; i++)
        scene_put_one(&scene, i, now - 5 * (int64_t)MS_PER_DAY, i);
    scene_settle(&scene);
    scene_put_one(&scene, 0, now, 1);
    store_flush(&scene.store);
    struct select_options options = {.range = fixture_always()};
    struct selection *before = scene_select(&scene, &options);
    drop_the_past(&scene);
    assert_int_equal(scene_stats(&scene).series_committed, SERIES);
    struct selection *after = scene_select(&scene, &options);
    check_labels(&scene, before);
    selection_close(tier, before);
    store_settle_down(&scene.store);
    assert_int_equal(scene_stats(&scene).series_committed, 1);
    assert_int_equal(scene_stats(&scene).series_ids_freed, 0);
    check_labels(&scene, after);
    selection_close(tier, after);
    store_settle_down(&scene.store);
    assert_int_equal(scene_stats(&scene).series_ids_freed, SERIES - 1);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void days_that_are_dropped_while_ids_wait_are_not_forgotten(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    int64_t now = clock_wall_ms(scene.store.options.os.clock);
    for (uint32_t i = 1; i < SERIES; i++)
        scene_put_one(&scene, i, now - (i < SERIES / 2 ? 5 : 2) * (int64_t)MS_PER_DAY, i);
    scene_settle(&scene);
    scene_put_one(&scene, 0, now, 1);
    store_flush(&scene.store);
    struct select_options options = {.range = fixture_always()};
    struct selection *selection = scene_select(&scene, &options);
    engine_set_retention(scene.store.tier, 4 * (int64_t)MS_PER_DAY);
    store_settle_down(&scene.store);
    drop_the_past(&scene);
    assert_int_equal(scene_stats(&scene).series_ids_freed, 0);
    selection_close(scene.store.tier, selection);
    store_settle_down(&scene.store);
    assert_int_equal(scene_stats(&scene).series_committed, 1);
    assert_int_equal(scene_stats(&scene).series_ids_freed, SERIES - 1);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(days_beyond_retention_go_and_others_stay),
        cmocka_unit_test(series_whose_samples_have_gone_leave_and_their_ids_are_used_again),
        cmocka_unit_test(
            series_stay_and_their_ids_are_not_used_again_while_a_selection_may_mean_them),
        cmocka_unit_test(days_that_are_dropped_while_ids_wait_are_not_forgotten),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

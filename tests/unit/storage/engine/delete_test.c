/*
 * Deletes: what they hide and what not, in heads and parts, over restarts, merges and crashes of a
 * process; how they are forgotten, and their limits.
 */
#include "../../test.h"

#include "base/times.h"
#include "scene.h"

enum { SERIES = 50, HEAD = 8 << 20 };

#define NOW INT64_C(1750000000000)

/* Series [from, to). */
static struct delete_result delete(struct scene *scene, uint32_t from, uint32_t to,
                                   struct time_range range)
{
    bool only[SERIES] = {false};
    for (uint32_t i = from; i < to; i++)
        only[i] = true;
    struct delete_result result;
    struct error err = {0};
    if (fixture_delete(scene->store.tier, only, SERIES, range, &result, &err) != STATUS_OK)
        test_fail("delete: %s", err.message);
    ledger_delete(&scene->ledger, only, range);
    return result;
}

static void what_a_delete_names_is_gone_at_once_and_stays_gone(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    for (uint32_t i = 0; i < 10; i++)
        scene_put_run(&scene, i, NOW, 1000, 3000, i);
    store_flush(&scene.store);
    for (uint32_t i = 5; i < 15; i++)
        scene_put_run(&scene, i, NOW + 1500, 1000, 3000, i);
    struct delete_result result = delete (&scene, 4, 8, fixture_always());
    assert_int_equal(result.series, 4);
    assert_int_equal(result.chunks, 1);
    scene_check(&scene);
    /* A range cuts blocks of parts and the head. */
    delete (&scene, 0, 12, (struct time_range){NOW + 500000, NOW + 1700001});
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void data_written_after_a_delete_lives(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    for (int round = 0; round < 4; round++) {
        scene_put_run(&scene, 1, NOW, 1000, 100, round);
        scene_put_run(&scene, 2, NOW, 1000, 100, round);
        if (round % 2 == 0)
            store_flush(&scene.store);
        delete (&scene, 1, 2, fixture_always());
        scene_check(&scene);
        /* The same times again, in the head that held the deleted ones too. */
        scene_put_run(&scene, 1, NOW + 20000, 1000, 10, 1e6 + round);
        scene_check(&scene);
        if (round == 2)
            store_kill(&scene.store);
        scene_check(&scene);
    }
    scene_check_all_ways(&scene);
    scene_put_run(&scene, 1, NOW, 1000, 100, 7);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void a_merge_removes_what_is_deleted_and_the_tombstone_is_forgotten(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    for (int i = 0; i < 3; i++) {
        for (uint32_t series = 0; series < 4; series++)
            scene_put_run(&scene, series, NOW + i * 1000000, 1000, 1000, i);
        store_flush(&scene.store);
    }
    delete (&scene, 0, 2, fixture_always());
    assert_int_equal(scene_stats(&scene).tombstones, 1);
    assert_int_equal(scene_stats(&scene).part_samples, 12000);
    scene_put_run(&scene, 0, NOW + 500, 1000, 10, 3);
    scene_settle(&scene);
    assert_true(scene_stats(&scene).merges > 0);
    assert_int_equal(scene_stats(&scene).part_samples, 6010);
    assert_int_equal(scene_stats(&scene).tombstones, 0);
    scene_check_all_ways(&scene);
    assert_int_equal(scene_stats(&scene).tombstones, 0);
    scene_end(&scene);
}

static void a_merge_of_nothing_but_deleted_samples_leaves_no_part(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    for (int i = 0; i < 4; i++) {
        scene_put_run(&scene, 1, NOW + i * 1000000, 1000, 1000, i);
        store_flush(&scene.store);
    }
    delete (&scene, 1, 2, fixture_always());
    scene_settle(&scene);
    assert_int_equal(scene_stats(&scene).parts, 0);
    assert_int_equal(scene_stats(&scene).tombstones, 0);
    assert_int_equal(store_files(&scene.store, "parts"), 0);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void a_selection_shows_what_is_deleted_after_it(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    scene_put_run(&scene, 1, NOW, 1000, 2000, 0);
    store_flush(&scene.store);
    scene_put_run(&scene, 1, NOW + 500, 1000, 2000, 0);
    struct ledger moment;
    ledger_copy(&moment, &scene.ledger);
    struct matchers everything = {0};
    struct select_options options = {.range = fixture_always()};
    struct selection *selection;
    assert_int_equal(storage_select(scene.store.tier, &everything, 1, &options, &selection, NULL),
                     STATUS_OK);
    delete (&scene, 0, SERIES, fixture_always());
    store_flush(&scene.store);
    scene_check(&scene);
    char why[FIXTURE_WHY_SIZE];
    if (!fixture_selection_same(scene.store.tier, selection, &moment, fixture_always(), NULL, why))
        test_fail("%s", why);
    selection_close(scene.store.tier, selection);
    ledger_release(&moment);
    scene_end(&scene);
}

struct span {
    bool has_samples;
    int64_t first_ms, last_ms;
};

static enum status take_span(void *context, const struct metric_info *info, struct error *err)
{
    (void)err;
    struct span *span = context;
    if (slice_equal_text(info->metric.name, "metric_1"))
        *span = (struct span){info->has_samples, info->first_ms, info->last_ms};
    return STATUS_OK;
}

static void the_list_of_metrics_says_first_and_last_of_what_is_left(void **state)
{
    (void)state;
    for (int flushed = 0; flushed < 2; flushed++) {
        struct scene scene;
        scene_begin(&scene, HEAD, SERIES);
        scene_put_run(&scene, 1, NOW, 1000, 3000, 0);
        if (flushed)
            store_flush(&scene.store);
        delete (&scene, 1, 2, (struct time_range){NOW, NOW + 10001});
        delete (&scene, 1, 2, (struct time_range){NOW + 2000500, INT64_MAX});
        struct span span = {0};
        bool partial = false;
        assert_int_equal(
            storage_metrics(scene.store.tier, NULL, take_span, &span, NULL, &partial, NULL),
            STATUS_OK);
        assert_true(span.has_samples);
        assert_int_equal(span.first_ms, NOW + 11000);
        assert_int_equal(span.last_ms, NOW + 2000000);
        delete (&scene, 1, 2, fixture_always());
        assert_int_equal(
            storage_metrics(scene.store.tier, NULL, take_span, &span, NULL, &partial, NULL),
            STATUS_OK);
        assert_false(span.has_samples);
        scene_end(&scene);
    }
}

static void a_delete_of_nothing_writes_nothing(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    scene_put_run(&scene, 1, NOW, 1000, 10, 0);
    assert_int_equal(delete (&scene, 2, 2, fixture_always()).series, 0);
    assert_int_equal(delete (&scene, 1, 2, (struct time_range){NOW, NOW}).series, 0);
    assert_int_equal(scene_stats(&scene).tombstones, 0);
    assert_int_equal(scene_stats(&scene).deletes, 0);
    scene_check(&scene);
    scene_end(&scene);
}

static void deletes_that_cover_others_take_their_place(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    for (uint32_t i = 0; i < 5; i++)
        scene_put_run(&scene, i, NOW, 1000, 3000, 0);
    store_flush(&scene.store);
    for (uint32_t i = 0; i < 20; i++)
        delete (&scene, 1, 3, (struct time_range){NOW, NOW + 1000 * i + 5});
    assert_int_equal(scene_stats(&scene).tombstones, 20);
    scene_settle(&scene);
    assert_int_equal(scene_stats(&scene).tombstones, 1);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void too_many_deletes_are_refused_until_parts_were_written_without_them(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    for (uint32_t i = 0; i < 5; i++)
        scene_put_run(&scene, i, NOW, 1000, 3000, 0);
    store_flush(&scene.store);
    struct error err = {0};
    enum status status = STATUS_OK;
    bool only[SERIES] = {false, true};
    for (int i = 0; i < 1100 && status == STATUS_OK; i++) {
        struct time_range range = {NOW + 2000 * i, NOW + 2000 * i + 1500};
        struct delete_result result;
        status = fixture_delete(scene.store.tier, only, SERIES, range, &result, &err);
        if (status == STATUS_OK)
            ledger_delete(&scene.ledger, only, range);
    }
    assert_int_equal(status, STATUS_LIMIT);
    assert_string_equal(err.code, "delete_limit");
    assert_int_equal(scene_stats(&scene).tombstones, 1024);
    scene_check(&scene);
    store_kill(&scene.store);
    scene_check(&scene);
    scene_settle(&scene);
    assert_int_equal(scene_stats(&scene).tombstones, 0);
    delete (&scene, 2, 3, fixture_always());
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void parts_are_written_anew_where_a_delete_hides_much_of_them(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    for (uint32_t i = 0; i < 40; i++)
        scene_put_run(&scene, i, NOW, 1000, 200, 0);
    store_flush(&scene.store);
    /* A fortieth is not worth it, half a day is not whole series, a quarter of them is. */
    delete (&scene, 0, 1, fixture_always());
    delete (&scene, 0, 40, (struct time_range){NOW, NOW + 100000});
    scene_settle(&scene);
    assert_int_equal(scene_stats(&scene).part_samples, 8000);
    assert_int_equal(scene_stats(&scene).tombstones, 2);
    delete (&scene, 10, 20, fixture_always());
    scene_settle(&scene);
    assert_int_equal(scene_stats(&scene).part_samples, 2900);
    assert_int_equal(scene_stats(&scene).tombstones, 0);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void a_delete_of_series_that_no_part_has_is_forgotten_at_once(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    scene_put_run(&scene, 1, NOW, 1000, 3000, 0);
    store_flush(&scene.store);
    scene_put_run(&scene, 2, NOW, 1000, 30, 0);
    delete (&scene, 2, 3, fixture_always());
    assert_int_equal(scene_stats(&scene).tombstones, 1);
    scene_settle(&scene);
    assert_int_equal(scene_stats(&scene).tombstones, 0);
    assert_int_equal(scene_stats(&scene).merges, 0);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void a_delete_survives_the_end_of_its_log_without_any_samples(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    scene_put_run(&scene, 1, NOW, 1000, 3000, 0);
    store_flush(&scene.store);
    delete (&scene, 1, 2, (struct time_range){NOW, NOW + 1000000});
    store_reopen(&scene.store); /* nothing but the delete is flushed */
    assert_int_equal(scene_stats(&scene).recovery.log_samples, 0);
    scene_check(&scene);
    scene_put_run(&scene, 1, NOW, 1000, 5, 9);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void a_day_that_was_deleted_whole_makes_room_for_another(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, HEAD, SERIES);
    scene.store.options.max_chunks = 3;
    store_reopen(&scene.store);
    for (int64_t day = 0; day < 3; day++)
        scene_put_run(&scene, 1, NOW + day * (int64_t)MS_PER_DAY, 1000, 10, 0);
    store_flush(&scene.store);
    struct fixture_sample late = {1, NOW + 3 * (int64_t)MS_PER_DAY, 1};
    struct fixture_write write = {.samples = &late, .count = 1};
    struct error err = {0};
    assert_int_equal(fixture_commit(scene.store.tier, &write, 1, &err), STATUS_OK);
    assert_string_equal(write.code, "chunk_limit");
    delete (&scene, 1, 2, (struct time_range){NOW, NOW + MS_PER_DAY});
    scene_settle(&scene);
    scene_put(&scene, &late, 1);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_delete_names_is_gone_at_once_and_stays_gone),
        cmocka_unit_test(data_written_after_a_delete_lives),
        cmocka_unit_test(a_merge_removes_what_is_deleted_and_the_tombstone_is_forgotten),
        cmocka_unit_test(a_merge_of_nothing_but_deleted_samples_leaves_no_part),
        cmocka_unit_test(a_selection_shows_what_is_deleted_after_it),
        cmocka_unit_test(the_list_of_metrics_says_first_and_last_of_what_is_left),
        cmocka_unit_test(a_delete_of_nothing_writes_nothing),
        cmocka_unit_test(deletes_that_cover_others_take_their_place),
        cmocka_unit_test(too_many_deletes_are_refused_until_parts_were_written_without_them),
        cmocka_unit_test(parts_are_written_anew_where_a_delete_hides_much_of_them),
        cmocka_unit_test(a_delete_of_series_that_no_part_has_is_forgotten_at_once),
        cmocka_unit_test(a_delete_survives_the_end_of_its_log_without_any_samples),
        cmocka_unit_test(a_day_that_was_deleted_whole_makes_room_for_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

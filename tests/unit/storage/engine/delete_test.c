/*
 * Deletes: what they hide and what not, in heads and parts, over restarts, merges and crashes of a
 * process; how they are forgotten, and their limits.
 */
#include "../../test.h"

#include "base/times.h"
#include "engine_fixture.h"

enum { SERIES = 50, HEAD = 8 << 20 };

#define NOW INT64_C(1750000000000)

struct test {
    struct store store;
    struct ledger ledger;
};

static void begin(struct test *test)
{
    store_init(&test->store, HEAD);
    ledger_init(&test->ledger, SERIES);
}

static void end(struct test *test)
{
    ledger_release(&test->ledger);
    store_release(&test->store);
}

static void put_run(struct test *test, uint32_t series, int64_t from_ms, int64_t step_ms,
                    size_t count, double value)
{
    struct fixture_sample *samples = calloc(count, sizeof samples[0]);
    assert_non_null(samples);
    for (size_t i = 0; i < count; i++)
        samples[i] =
            (struct fixture_sample){series, from_ms + (int64_t)i * step_ms, value + (double)i};
    struct error err = {0};
    if (fixture_put(test->store.tier, samples, count, &err) != STATUS_OK)
        test_fail("put: %s", err.message);
    ledger_put(&test->ledger, samples, count);
    free(samples);
}

static void check(struct test *test)
{
    char why[FIXTURE_WHY_SIZE];
    if (!fixture_same(test->store.tier, &test->ledger, fixture_always(), why) ||
        !fixture_totals_same(test->store.tier, &test->ledger, fixture_always(), why))
        test_fail("%s", why);
}

static struct engine_stats stats_of(struct test *test)
{
    struct engine_stats stats;
    engine_stats(test->store.tier, &stats);
    return stats;
}

/* Series [from, to). */
static struct delete_result delete(struct test *test, uint32_t from, uint32_t to,
                                   struct time_range range)
{
    bool only[SERIES] = {false};
    for (uint32_t i = from; i < to; i++)
        only[i] = true;
    struct delete_result result;
    struct error err = {0};
    if (fixture_delete(test->store.tier, only, SERIES, range, &result, &err) != STATUS_OK)
        test_fail("delete: %s", err.message);
    ledger_delete(&test->ledger, only, range);
    return result;
}

/* After every way that samples and deletes can be kept. */
static void check_all_ways(struct test *test)
{
    check(test);
    store_kill(&test->store);
    check(test);
    store_flush(&test->store);
    check(test);
    store_kill(&test->store);
    check(test);
    store_settle_down(&test->store);
    check(test);
    store_reopen(&test->store);
    check(test);
}

static void what_a_delete_names_is_gone_at_once_and_stays_gone(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    for (uint32_t i = 0; i < 10; i++)
        put_run(&test, i, NOW, 1000, 3000, i);
    store_flush(&test.store);
    for (uint32_t i = 5; i < 15; i++)
        put_run(&test, i, NOW + 1500, 1000, 3000, i);
    struct delete_result result = delete (&test, 4, 8, fixture_always());
    assert_int_equal(result.series, 4);
    assert_int_equal(result.chunks, 1);
    check(&test);
    /* A range cuts blocks of parts and the head. */
    delete (&test, 0, 12, (struct time_range){NOW + 500000, NOW + 1700001});
    check_all_ways(&test);
    end(&test);
}

static void data_written_after_a_delete_lives(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    for (int round = 0; round < 4; round++) {
        put_run(&test, 1, NOW, 1000, 100, round);
        put_run(&test, 2, NOW, 1000, 100, round);
        if (round % 2 == 0)
            store_flush(&test.store);
        delete (&test, 1, 2, fixture_always());
        check(&test);
        /* The same times again, in the head that held the deleted ones too. */
        put_run(&test, 1, NOW + 20000, 1000, 10, 1e6 + round);
        check(&test);
        if (round == 2)
            store_kill(&test.store);
        check(&test);
    }
    check_all_ways(&test);
    put_run(&test, 1, NOW, 1000, 100, 7);
    check_all_ways(&test);
    end(&test);
}

static void a_merge_removes_what_is_deleted_and_the_tombstone_is_forgotten(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    for (int i = 0; i < 3; i++) {
        for (uint32_t series = 0; series < 4; series++)
            put_run(&test, series, NOW + i * 1000000, 1000, 1000, i);
        store_flush(&test.store);
    }
    delete (&test, 0, 2, fixture_always());
    assert_int_equal(stats_of(&test).tombstones, 1);
    assert_int_equal(stats_of(&test).part_samples, 12000);
    put_run(&test, 0, NOW + 500, 1000, 10, 3);
    store_flush(&test.store);
    store_settle_down(&test.store);
    assert_true(stats_of(&test).merges > 0);
    assert_int_equal(stats_of(&test).part_samples, 6010);
    assert_int_equal(stats_of(&test).tombstones, 0);
    check_all_ways(&test);
    assert_int_equal(stats_of(&test).tombstones, 0);
    end(&test);
}

static void a_merge_of_nothing_but_deleted_samples_leaves_no_part(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    for (int i = 0; i < 4; i++) {
        put_run(&test, 1, NOW + i * 1000000, 1000, 1000, i);
        store_flush(&test.store);
    }
    delete (&test, 1, 2, fixture_always());
    store_flush(&test.store);
    store_settle_down(&test.store);
    assert_int_equal(stats_of(&test).parts, 0);
    assert_int_equal(stats_of(&test).tombstones, 0);
    assert_int_equal(store_files(&test.store, "parts"), 0);
    check_all_ways(&test);
    end(&test);
}

static void a_selection_shows_what_is_deleted_after_it(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    put_run(&test, 1, NOW, 1000, 2000, 0);
    store_flush(&test.store);
    put_run(&test, 1, NOW + 500, 1000, 2000, 0);
    struct ledger moment;
    ledger_copy(&moment, &test.ledger);
    struct matchers everything = {0};
    struct select_options options = {.range = fixture_always()};
    struct selection *selection;
    assert_int_equal(storage_select(test.store.tier, &everything, 1, &options, &selection, NULL),
                     STATUS_OK);
    delete (&test, 0, SERIES, fixture_always());
    store_flush(&test.store);
    check(&test);
    char why[FIXTURE_WHY_SIZE];
    if (!fixture_selection_same(test.store.tier, selection, &moment, fixture_always(), NULL, why))
        test_fail("%s", why);
    selection_close(test.store.tier, selection);
    ledger_release(&moment);
    end(&test);
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
        struct test test;
        begin(&test);
        put_run(&test, 1, NOW, 1000, 3000, 0);
        if (flushed)
            store_flush(&test.store);
        delete (&test, 1, 2, (struct time_range){NOW, NOW + 10001});
        delete (&test, 1, 2, (struct time_range){NOW + 2000500, INT64_MAX});
        struct span span = {0};
        assert_int_equal(storage_metrics(test.store.tier, NULL, take_span, &span, NULL), STATUS_OK);
        assert_true(span.has_samples);
        assert_int_equal(span.first_ms, NOW + 11000);
        assert_int_equal(span.last_ms, NOW + 2000000);
        delete (&test, 1, 2, fixture_always());
        assert_int_equal(storage_metrics(test.store.tier, NULL, take_span, &span, NULL), STATUS_OK);
        assert_false(span.has_samples);
        end(&test);
    }
}

static void a_delete_of_nothing_writes_nothing(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    put_run(&test, 1, NOW, 1000, 10, 0);
    assert_int_equal(delete (&test, 2, 2, fixture_always()).series, 0);
    assert_int_equal(delete (&test, 1, 2, (struct time_range){NOW, NOW}).series, 0);
    assert_int_equal(stats_of(&test).tombstones, 0);
    assert_int_equal(stats_of(&test).deletes, 0);
    check(&test);
    end(&test);
}

static void deletes_that_cover_others_take_their_place(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    for (uint32_t i = 0; i < 5; i++)
        put_run(&test, i, NOW, 1000, 3000, 0);
    store_flush(&test.store);
    for (uint32_t i = 0; i < 20; i++)
        delete (&test, 1, 3, (struct time_range){NOW, NOW + 1000 * i + 5});
    assert_int_equal(stats_of(&test).tombstones, 20);
    store_flush(&test.store);
    store_settle_down(&test.store);
    assert_int_equal(stats_of(&test).tombstones, 1);
    check_all_ways(&test);
    end(&test);
}

static void too_many_deletes_are_refused_until_parts_were_written_without_them(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    for (uint32_t i = 0; i < 5; i++)
        put_run(&test, i, NOW, 1000, 3000, 0);
    store_flush(&test.store);
    struct error err = {0};
    enum status status = STATUS_OK;
    bool only[SERIES] = {false, true};
    for (int i = 0; i < 1100 && status == STATUS_OK; i++) {
        struct time_range range = {NOW + 2000 * i, NOW + 2000 * i + 1500};
        struct delete_result result;
        status = fixture_delete(test.store.tier, only, SERIES, range, &result, &err);
        if (status == STATUS_OK)
            ledger_delete(&test.ledger, only, range);
    }
    assert_int_equal(status, STATUS_LIMIT);
    assert_string_equal(err.code, "delete_limit");
    assert_int_equal(stats_of(&test).tombstones, 1024);
    check(&test);
    store_kill(&test.store);
    check(&test);
    store_flush(&test.store);
    store_settle_down(&test.store);
    assert_int_equal(stats_of(&test).tombstones, 0);
    delete (&test, 2, 3, fixture_always());
    check_all_ways(&test);
    end(&test);
}

static void parts_are_written_anew_where_a_delete_hides_much_of_them(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    for (uint32_t i = 0; i < 40; i++)
        put_run(&test, i, NOW, 1000, 200, 0);
    store_flush(&test.store);
    /* A fortieth is not worth it, half a day is not whole series, a quarter of them is. */
    delete (&test, 0, 1, fixture_always());
    delete (&test, 0, 40, (struct time_range){NOW, NOW + 100000});
    store_flush(&test.store);
    store_settle_down(&test.store);
    assert_int_equal(stats_of(&test).part_samples, 8000);
    assert_int_equal(stats_of(&test).tombstones, 2);
    delete (&test, 10, 20, fixture_always());
    store_flush(&test.store);
    store_settle_down(&test.store);
    assert_int_equal(stats_of(&test).part_samples, 2900);
    assert_int_equal(stats_of(&test).tombstones, 0);
    check_all_ways(&test);
    end(&test);
}

static void a_delete_of_series_that_no_part_has_is_forgotten_at_once(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    put_run(&test, 1, NOW, 1000, 3000, 0);
    store_flush(&test.store);
    put_run(&test, 2, NOW, 1000, 30, 0);
    delete (&test, 2, 3, fixture_always());
    assert_int_equal(stats_of(&test).tombstones, 1);
    store_flush(&test.store);
    store_settle_down(&test.store);
    assert_int_equal(stats_of(&test).tombstones, 0);
    assert_int_equal(stats_of(&test).merges, 0);
    check_all_ways(&test);
    end(&test);
}

static void a_delete_survives_the_end_of_its_log_without_any_samples(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    put_run(&test, 1, NOW, 1000, 3000, 0);
    store_flush(&test.store);
    delete (&test, 1, 2, (struct time_range){NOW, NOW + 1000000});
    store_reopen(&test.store); /* nothing but the delete is flushed */
    assert_int_equal(stats_of(&test).recovery.log_samples, 0);
    check(&test);
    put_run(&test, 1, NOW, 1000, 5, 9);
    check_all_ways(&test);
    end(&test);
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
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Days that become warm: when, as what, with late samples, through restarts; on a clock that moves
 * when told.
 */
#include "../../test.h"

#include <sys/stat.h>

#include "base/invariant.h"
#include "base/times.h"
#include "engine_fixture.h"
#include "storage/engine/paths.h"

enum { SERIES = 30, AFTER_DAYS = 10, FIRST_DAY = 20000 };

struct test {
    struct clock clock;
    struct clock_ops ops;
    int64_t now_ms, passed_ms;
    struct store store;
    struct ledger ledger;
};

static int64_t wall_ms(struct clock *clock)
{
    return container_of(clock, struct test, clock)->now_ms;
}

static int64_t monotonic_ns(struct clock *clock)
{
    return (1000 + container_of(clock, struct test, clock)->passed_ms) * 1000000;
}

static void reopen_with(struct test *test, const struct engine_options *options)
{
    engine_close(test->store.tier);
    test->store.options = *options;
    struct error err = {0};
    if (engine_open(&test->store.options, &test->store.tier, &err) != STATUS_OK)
        test_fail("%s", err.message);
}

static void begin(struct test *test)
{
    *test = (struct test){.ops = {.wall_ms = wall_ms, .monotonic_ns = monotonic_ns},
                          .now_ms = (int64_t)FIRST_DAY * MS_PER_DAY};
    test->clock.ops = &test->ops;
    store_init(&test->store, 8 << 20);
    ledger_init(&test->ledger, SERIES);
    struct engine_options options = test->store.options;
    options.os.clock = &test->clock;
    options.warm_after_ms = (int64_t)AFTER_DAYS * MS_PER_DAY;
    reopen_with(test, &options);
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
        samples[i] = (struct fixture_sample){series, from_ms + (int64_t)i * step_ms,
                                             value + (double)(i * i % 1013)};
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

static int64_t day_ms(int64_t day)
{
    return (FIRST_DAY + day) * (int64_t)MS_PER_DAY;
}

/* The last moment at which the day is hot, and the first at which it is not. */
static int64_t warm_from_ms(int64_t day)
{
    return day_ms(day + 1 + AFTER_DAYS);
}

static struct chunk_info chunk;

static enum status find_chunk(void *context, const struct chunk_info *info, struct error *err)
{
    (void)err;
    if (info->day == FIRST_DAY + *(const int64_t *)context)
        chunk = *info;
    return STATUS_OK;
}

static struct chunk_info chunk_of(struct test *test, int64_t day)
{
    chunk = (struct chunk_info){.day = INT64_MIN};
    assert_int_equal(storage_chunks(test->store.tier, find_chunk, &day, NULL), STATUS_OK);
    return chunk;
}

static void fill_day(struct test *test, int64_t day, unsigned flushes, size_t count)
{
    for (unsigned i = 0; i < flushes; i++) {
        for (uint32_t series = 0; series < 5; series++)
            put_run(test, series, day_ms(day) + (int64_t)(i * count) * 1000, 1000, count, i);
        store_flush(&test->store);
    }
}

/* ---- the step --------------------------------------------------------------------------- */

static void a_day_becomes_one_warm_part_once_it_is_old_enough(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    fill_day(&test, 0, 3, 2000);
    fill_day(&test, 1, 1, 100);
    test.now_ms = warm_from_ms(0) - 1;
    store_settle_down(&test.store);
    assert_int_equal(stats_of(&test).warm_merges, 0);
    assert_int_equal(chunk_of(&test, 0).tier, CHUNK_HOT);

    test.now_ms = warm_from_ms(0);
    store_settle_down(&test.store);
    struct engine_stats stats = stats_of(&test);
    assert_int_equal(stats.warm_merges, 1);
    assert_int_equal(stats.warm_parts, 1);
    assert_int_equal(stats.warm_samples, 30000);
    assert_int_equal(stats.warm_bytes_written, stats.warm_bytes);
    assert_int_equal(stats.merged_bytes_written, 0);
    struct chunk_info first = chunk_of(&test, 0);
    assert_int_equal(first.tier, CHUNK_WARM);
    assert_int_equal(first.parts, 1);
    assert_int_equal(first.late_parts, 0);
    assert_int_equal(chunk_of(&test, 1).tier, CHUNK_HOT);
    check(&test);

    /* It is done once, also by a store that is opened anew. */
    store_settle_down(&test.store);
    store_kill(&test.store);
    store_settle_down(&test.store);
    assert_int_equal(stats_of(&test).warm_merges, 0);
    assert_int_equal(chunk_of(&test, 0).tier, CHUNK_WARM);
    check(&test);

    test.now_ms = warm_from_ms(1);
    store_settle_down(&test.store);
    assert_int_equal(stats_of(&test).warm_merges, 1);
    assert_int_equal(chunk_of(&test, 1).tier, CHUNK_WARM);
    check(&test);
    end(&test);
}

static void warm_blocks_are_four_times_as_large(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    fill_day(&test, 0, 2, 4096);
    struct time_range range = {day_ms(0), day_ms(1)};
    uint64_t skipped[2];
    for (int warm = 0; warm < 2; warm++) {
        struct matchers everything = {0};
        struct select_options options = {.range = range};
        struct selection *selection;
        assert_int_equal(
            storage_select(test.store.tier, &everything, 1, &options, &selection, NULL), STATUS_OK);
        struct storage_cursor *cursor = NULL;
        assert_int_equal(selection_read(test.store.tier, selection, 0, range, &cursor, NULL),
                         STATUS_OK);
        struct storage_block block;
        while (storage_cursor_next(test.store.tier, cursor, &block, NULL) == STATUS_OK)
            assert_int_equal(block.count, warm ? 4096 : 1024);
        struct read_stats stats;
        selection_stats(test.store.tier, selection, &stats);
        skipped[warm] = stats.blocks_skipped;
        selection_close(test.store.tier, selection);
        test.now_ms = warm_from_ms(0);
        store_settle_down(&test.store);
    }
    assert_int_equal(skipped[0], 8);
    assert_int_equal(skipped[1], 2);
    check(&test);
    end(&test);
}

static void the_age_may_change_and_the_clock_go_back(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    fill_day(&test, 0, 2, 100);
    test.now_ms = day_ms(2);
    store_settle_down(&test.store);
    assert_int_equal(stats_of(&test).warm_parts, 0);
    engine_set_warm_after(test.store.tier, MS_PER_DAY);
    store_settle_down(&test.store);
    assert_int_equal(stats_of(&test).warm_parts, 1);
    engine_set_warm_after(test.store.tier, 20 * (int64_t)MS_PER_DAY);
    test.now_ms = day_ms(-5);
    store_settle_down(&test.store);
    assert_int_equal(stats_of(&test).warm_parts, 1);
    check(&test);
    end(&test);
}

/* ---- late samples ----------------------------------------------------------------------- */

static void late_samples_stand_beside_a_warm_day_and_join_it_when_they_are_many(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    fill_day(&test, 0, 1, 20000);
    test.now_ms = warm_from_ms(0);
    store_settle_down(&test.store);
    uint64_t first = stats_of(&test).warm_bytes_written;
    /* Over what is there, between it, and of another series. */
    put_run(&test, 1, day_ms(0) + 5000, 1000, 50, 1e6);
    put_run(&test, 2, day_ms(0) + 500, 1000, 50, 1e6);
    put_run(&test, 9, day_ms(0), 1000, 50, 3);
    check(&test);
    store_flush(&test.store);
    store_settle_down(&test.store);
    check(&test);
    struct chunk_info chunk_now = chunk_of(&test, 0);
    assert_int_equal(chunk_now.tier, CHUNK_WARM);
    assert_int_equal(chunk_now.parts, 2);
    assert_int_equal(chunk_now.late_parts, 1);
    assert_int_equal(chunk_now.late_samples, 150);
    assert_int_equal(stats_of(&test).warm_bytes_written, first);
    store_reopen(&test.store);
    store_settle_down(&test.store);
    assert_int_equal(chunk_of(&test, 0).late_parts, 1);
    check(&test);

    uint64_t late = stats_of(&test).part_bytes - stats_of(&test).warm_bytes;
    for (unsigned i = 0; i < 8; i++) {
        for (uint32_t series = 0; series < 5; series++)
            put_run(&test, 10 + series, day_ms(0) + i * 4000000 + 3, 1000, 4000, i);
        store_flush(&test.store);
        late += stats_of(&test).flushed_bytes;
        store_settle_down(&test.store);
        check(&test);
    }
    struct engine_stats stats = stats_of(&test);
    assert_true(stats.warm_merges > 0);
    assert_true(stats.warm_bytes_written <= 3 * late);
    assert_true(chunk_of(&test, 0).parts < 5);
    store_kill(&test.store);
    check(&test);
    end(&test);
}

static void parts_of_an_old_day_wait_for_others_before_they_become_warm(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    struct engine_options options = test.store.options;
    options.warm_rest_ms = 60000;
    reopen_with(&test, &options);
    test.now_ms = warm_from_ms(0);
    fill_day(&test, 0, 1, 100);
    store_settle_down(&test.store);
    assert_int_equal(stats_of(&test).warm_merges, 0);
    test.passed_ms = 59999;
    fill_day(&test, 0, 1, 100);
    store_settle_down(&test.store);
    assert_int_equal(stats_of(&test).warm_merges, 0);
    test.passed_ms = 60000; /* of the oldest */
    store_settle_down(&test.store);
    assert_int_equal(stats_of(&test).warm_merges, 1);
    assert_int_equal(stats_of(&test).parts, 1);
    check(&test);
    /* What stood there before the start has waited enough. */
    fill_day(&test, 5, 1, 100);
    test.now_ms = warm_from_ms(5);
    store_settle_down(&test.store);
    assert_int_equal(stats_of(&test).warm_merges, 1);
    store_kill(&test.store);
    store_settle_down(&test.store);
    assert_int_equal(stats_of(&test).warm_merges, 1);
    check(&test);
    end(&test);
}

static void many_parts_of_a_day_become_one(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    struct engine_options options = test.store.options;
    options.warm_after_ms = 0;
    reopen_with(&test, &options);
    /* More than one step takes: merges are kept off by leaving them no turn. */
    for (unsigned i = 0; i < 70; i++)
        fill_day(&test, 0, 1, 20 + i);
    assert_int_equal(stats_of(&test).parts, 70);
    options.warm_after_ms = MS_PER_DAY;
    options.merge_fan_in = 100;
    reopen_with(&test, &options);
    test.now_ms = day_ms(3);
    store_settle_down(&test.store);
    check(&test);
    assert_int_equal(stats_of(&test).parts, 1);
    assert_int_equal(stats_of(&test).warm_parts, 1);
    store_kill(&test.store);
    check(&test);
    end(&test);
}

/* ---- damage ----------------------------------------------------------------------------- */

static void a_damaged_part_keeps_its_day_as_it_is(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    fill_day(&test, 0, 2, 5000);
    engine_close(test.store.tier);
    char *path = path_of_part(test.store.dir, 1);
    FILE *file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fseek(file, 200, SEEK_SET), 0);
    assert_int_equal(fputc(0xff, file), 0xff);
    assert_int_equal(fputc(0x00, file), 0x00);
    assert_int_equal(fputc(0xff, file), 0xff);
    fclose(file);
    free(path);
    struct error err = {0};
    assert_int_equal(engine_open(&test.store.options, &test.store.tier, &err), STATUS_OK);
    test.now_ms = warm_from_ms(0);
    store_settle_down(&test.store);
    assert_int_equal(stats_of(&test).parts, 2);
    assert_int_equal(stats_of(&test).warm_parts, 0);
    end(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_day_becomes_one_warm_part_once_it_is_old_enough),
        cmocka_unit_test(warm_blocks_are_four_times_as_large),
        cmocka_unit_test(the_age_may_change_and_the_clock_go_back),
        cmocka_unit_test(late_samples_stand_beside_a_warm_day_and_join_it_when_they_are_many),
        cmocka_unit_test(parts_of_an_old_day_wait_for_others_before_they_become_warm),
        cmocka_unit_test(many_parts_of_a_day_become_one),
        cmocka_unit_test(a_damaged_part_keeps_its_day_as_it_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

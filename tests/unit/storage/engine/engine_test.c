/*
 * The engine behind storage.h, behaviour by behaviour, on the real file system.
 */
#include "../../test.h"

#include <inttypes.h>
#include <math.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/times.h"
#include "engine_fixture.h"
#include "model/value.h"

enum { SERIES = 50, LARGE_HEAD = 8 << 20, SMALL_HEAD = 64 << 10 };

#define NOW INT64_C(1750000000000)

struct test {
    struct store store;
    struct ledger ledger;
};

static void begin(struct test *test, size_t head_bytes)
{
    store_init(&test->store, head_bytes);
    ledger_init(&test->ledger, SERIES);
}

static void end(struct test *test)
{
    ledger_release(&test->ledger);
    store_release(&test->store);
}

/* Written and noted. */
static void put(struct test *test, const struct fixture_sample *samples, size_t count)
{
    struct error err = {0};
    if (fixture_put(test->store.tier, samples, count, &err) != STATUS_OK)
        test_fail("put: %s", err.message);
    ledger_put(&test->ledger, samples, count);
}

static void put_one(struct test *test, uint32_t series, int64_t time_ms, double value)
{
    put(test, &(struct fixture_sample){series, time_ms, value}, 1);
}

static void put_run(struct test *test, uint32_t series, int64_t from_ms, int64_t step_ms,
                    size_t count, double value)
{
    struct fixture_sample *samples = calloc(count, sizeof samples[0]);
    assert_non_null(samples);
    for (size_t i = 0; i < count; i++)
        samples[i] =
            (struct fixture_sample){series, from_ms + (int64_t)i * step_ms, value + (double)i};
    put(test, samples, count);
    free(samples);
}

static void check(struct test *test)
{
    char why[FIXTURE_WHY_SIZE];
    if (!fixture_same(test->store.tier, &test->ledger, fixture_always(), why) ||
        !fixture_totals_same(test->store.tier, &test->ledger, fixture_always(), why))
        test_fail("%s", why);
}

/* After every way that samples can be kept. */
static void check_all_ways(struct test *test)
{
    check(test);
    store_kill(&test->store);
    check(test);
    store_flush(&test->store);
    check(test);
    store_settle_down(&test->store);
    check(test);
    store_reopen(&test->store);
    check(test);
}

static struct engine_stats stats_of(struct test *test)
{
    struct engine_stats stats;
    engine_stats(test->store.tier, &stats);
    return stats;
}

static struct selection *select_all(struct test *test, const struct select_options *options)
{
    struct matchers everything = {0};
    struct selection *selection;
    struct error err = {0};
    if (storage_select(test->store.tier, &everything, 1, options, &selection, &err) != STATUS_OK)
        test_fail("select: %s", err.message);
    return selection;
}

/* ---- writing and reading ---------------------------------------------------------------- */

static void a_new_store_is_empty(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    check_all_ways(&test);
    assert_int_equal(stats_of(&test).parts, 0);
    end(&test);
}

static void samples_are_seen_as_soon_as_they_are_acknowledged(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    for (uint32_t i = 0; i < 40; i++) {
        put_one(&test, i % SERIES, NOW + i, i);
        check(&test);
    }
    check_all_ways(&test);
    end(&test);
}

static void the_later_write_wins_wherever_the_earlier_is(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    /* In one batch, in one head, over a part, over two parts, over a merged part. */
    put(&test, (struct fixture_sample[]){{1, NOW, 1}, {1, NOW, 2}, {1, NOW - 5, 3}}, 3);
    put_one(&test, 1, NOW, 4);
    check(&test);
    for (int i = 0; i < 9; i++) {
        put_run(&test, 1, NOW - 2000, 100, 40, i * 1000);
        put_run(&test, 2, NOW - i * 777, 50, 30, i);
        check(&test);
        store_flush(&test.store);
        put_one(&test, 1, NOW - 1000, i);
        put_one(&test, 1, NOW - 1050, i);
        check(&test);
        store_settle_down(&test.store);
        check(&test);
    }
    assert_true(stats_of(&test).merges > 0);
    store_kill(&test.store);
    check_all_ways(&test);
    end(&test);
}

static void values_and_times_keep_every_bit(void **state)
{
    (void)state;
    static const uint64_t bits[] = {
        VALUE_STALE_BITS,
        VALUE_NORMAL_NAN_BITS,
        UINT64_C(0x7ff8000000000000),
        UINT64_C(0xfff8000000000123),
        UINT64_C(0x7ff0000000000001), /* a signalling NaN */
        UINT64_C(0x8000000000000000), /* -0.0 */
        0,
        1, /* the smallest subnormal */
        UINT64_C(0x000fffffffffffff),
        UINT64_C(0x7ff0000000000000),
        UINT64_C(0xfff0000000000000),
        UINT64_C(0x7fefffffffffffff),
        UINT64_C(0x3ff0000000000000),
    };
    enum { VALUES = sizeof bits / sizeof bits[0] };
    static const int64_t times[] = {
        TIME_MIN_MS, TIME_MIN_MS + 1, -MS_PER_DAY - 1, -MS_PER_DAY, -1, 0, 1, NOW, TIME_MAX_MS - 1,
    };
    struct test test;
    begin(&test, LARGE_HEAD);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        put_one(&test, 0, times[i], (double)i);
    /* Alone, mixed, and in runs long enough for every encoding. */
    for (uint32_t i = 0; i < VALUES; i++)
        put_one(&test, 1 + i, NOW, double_of_bits(bits[i]));
    for (uint32_t i = 0; i < 2000; i++)
        put_one(&test, 20, NOW + i * 1000, double_of_bits(bits[i % VALUES]));
    for (uint32_t i = 0; i < 2000; i++)
        put_one(&test, 21, NOW + i * 1000, i % 50 == 0 ? double_of_bits(bits[i / 50 % VALUES]) : i);
    check_all_ways(&test);
    /* Once more over it, so that they are merged. */
    for (int round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < VALUES; i++)
            put_one(&test, 1 + i, NOW + round, double_of_bits(bits[i]));
        store_flush(&test.store);
    }
    store_settle_down(&test.store);
    check_all_ways(&test);
    end(&test);
}

static void one_commit_may_touch_hundreds_of_days(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    enum { DAYS = 200 };
    struct fixture_sample samples[2 * DAYS];
    for (uint32_t i = 0; i < 2 * DAYS; i++)
        samples[i] = (struct fixture_sample){i % 3, NOW - (int64_t)(i * 7 % DAYS) * MS_PER_DAY, i};
    put(&test, samples, 2 * DAYS);
    check_all_ways(&test);
    assert_int_equal(stats_of(&test).chunks, DAYS);
    end(&test);
}

static void a_log_that_holds_more_than_a_head_is_recovered(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    for (uint32_t i = 0; i < 60; i++)
        put_run(&test, i % SERIES, NOW + i * 100, 1000, 500, i);
    /* Where a smaller head must do, the log is flushed while it is replayed. */
    test.store.options.head_bytes = SMALL_HEAD;
    store_kill(&test.store);
    assert_true(stats_of(&test).flushes > 1);
    check(&test);
    store_kill(&test.store);
    check_all_ways(&test);
    end(&test);
}

/* ---- admission -------------------------------------------------------------------------- */

struct strict_admitter {
    struct admitter admitter;
    uint32_t max_series; /* of a metric */
    unsigned asked;
};

static enum status admit_up_to(struct admitter *admitter, const struct admission_question *question,
                               struct error *err)
{
    struct strict_admitter *self = (struct strict_admitter *)admitter;
    self->asked++;
    if (question->metric_series < self->max_series)
        return STATUS_OK;
    return fail_code(err, STATUS_LIMIT, "series_limit", "%" PRIu32 " series are the limit",
                     self->max_series);
}

static const struct admitter_ops strict_ops = {.admit = admit_up_to};

/* Series 0, 7, 14, ... are of one metric. */
static void refused_series_take_nothing_and_known_ones_always_pass(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    struct strict_admitter strict = {.admitter = {&strict_ops}, .max_series = 2};
    struct fixture_sample samples[] = {{0, NOW, 1}, {7, NOW, 2}, {14, NOW, 3}, {14, NOW + 1, 4}};
    struct fixture_write write = {.samples = samples, .count = 4, .admitter = &strict.admitter};
    struct error err = {0};
    assert_int_equal(fixture_commit(test.store.tier, &write, 1, &err), STATUS_OK);
    assert_int_equal(write.rejected, 2);
    assert_int_equal(write.new_series, 2);
    assert_string_equal(write.code, "series_limit");
    ledger_put(&test.ledger, samples, 2);
    check(&test);
    struct engine_stats stats = stats_of(&test);
    assert_int_equal(stats.series_committed, 2);
    assert_int_equal(stats.series_reserved, 0);
    /* Lower than what is there: known series are not even asked about. */
    strict = (struct strict_admitter){.admitter = {&strict_ops}, .max_series = 0};
    struct fixture_sample again[] = {{0, NOW + 9, 1}, {7, NOW + 9, 2}};
    write = (struct fixture_write){.samples = again, .count = 2, .admitter = &strict.admitter};
    assert_int_equal(fixture_commit(test.store.tier, &write, 1, &err), STATUS_OK);
    assert_int_equal(write.rejected, 0);
    assert_int_equal(strict.asked, 0);
    ledger_put(&test.ledger, again, 2);
    check_all_ways(&test);
    end(&test);
}

static void an_atomic_batch_with_one_refusal_leaves_nothing(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    struct strict_admitter strict = {.admitter = {&strict_ops}, .max_series = 1};
    struct fixture_sample samples[] = {{0, NOW, 1}, {1, NOW, 2}, {7, NOW, 3}};
    struct fixture_write write = {
        .samples = samples, .count = 3, .atomic = true, .admitter = &strict.admitter};
    struct error err = {0};
    assert_int_equal(fixture_commit(test.store.tier, &write, 1, &err), STATUS_OK);
    assert_int_equal(write.rejected, 3);
    assert_int_equal(stats_of(&test).series_committed + stats_of(&test).series_reserved, 0);
    check_all_ways(&test);
    end(&test);
}

static void every_one_of_many_refusals_is_counted(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    enum { MANY = 20000 };
    struct fixture_sample *samples = calloc(MANY, sizeof samples[0]);
    assert_non_null(samples);
    for (uint32_t i = 0; i < MANY; i++)
        samples[i] = (struct fixture_sample){i, NOW, 1};
    struct strict_admitter strict = {.admitter = {&strict_ops}, .max_series = 0};
    struct fixture_write write = {.samples = samples, .count = MANY, .admitter = &strict.admitter};
    struct error err = {0};
    assert_int_equal(fixture_commit(test.store.tier, &write, 1, &err), STATUS_OK);
    assert_int_equal(write.rejected, MANY);
    assert_int_equal(stats_of(&test).series_committed + stats_of(&test).series_reserved, 0);
    free(samples);
    check(&test);
    end(&test);
}

static void days_beyond_the_limit_are_refused(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    test.store.options.max_chunks = 3;
    store_reopen(&test.store);
    for (int64_t day = 0; day < 3; day++)
        put_one(&test, 1, NOW + day * MS_PER_DAY, 1);
    struct fixture_sample samples[] = {{1, NOW + 3 * MS_PER_DAY, 1}, {1, NOW + 5, 2}};
    struct fixture_write write = {.samples = samples, .count = 2};
    struct error err = {0};
    assert_int_equal(fixture_commit(test.store.tier, &write, 1, &err), STATUS_OK);
    assert_int_equal(write.rejected, 1);
    assert_string_equal(write.code, "chunk_limit");
    ledger_put(&test.ledger, samples + 1, 1);
    check_all_ways(&test);
    /* The limit holds after a restart. */
    write = (struct fixture_write){.samples = samples, .count = 1};
    assert_int_equal(fixture_commit(test.store.tier, &write, 1, &err), STATUS_OK);
    assert_int_equal(write.rejected, 1);
    end(&test);
}

/* ---- heads ------------------------------------------------------------------------------ */

static void writes_wait_when_both_heads_are_full(void **state)
{
    (void)state;
    struct test test;
    begin(&test, SMALL_HEAD);
    enum status status = STATUS_OK;
    struct error err = {0};
    uint32_t commits = 0;
    for (; status == STATUS_OK && commits < 1000; commits++) {
        struct fixture_sample samples[100];
        for (uint32_t i = 0; i < 100; i++)
            samples[i] = (struct fixture_sample){i % SERIES, NOW + commits * 100 + i, i};
        status = fixture_put(test.store.tier, samples, 100, &err);
        if (status == STATUS_OK)
            ledger_put(&test.ledger, samples, 100);
    }
    assert_int_equal(status, STATUS_BUSY);
    check(&test);
    assert_int_equal(stats_of(&test).series_reserved, 0);
    store_settle_down(&test.store);
    put_one(&test, 1, NOW - 1, 1);
    check_all_ways(&test);
    end(&test);
}

static void a_second_opener_is_refused(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    struct tier *second;
    struct error err = {0};
    assert_int_equal(engine_open(&test.store.options, &second, &err), STATUS_CONFLICT);
    assert_null(second);
    put_one(&test, 1, NOW, 1);
    check(&test);
    end(&test);
}

/* ---- metrics and chunks ----------------------------------------------------------------- */

struct listed {
    char names[16][32];
    struct metric_info infos[16];
    size_t count;
};

static enum status list_metric(void *context, const struct metric_info *info, struct error *err)
{
    (void)err;
    struct listed *listed = context;
    assert_true(listed->count < 16);
    snprintf(listed->names[listed->count], 32, "%.*s", SLICE_FORMAT(info->metric.name));
    listed->infos[listed->count++] = *info;
    return STATUS_OK;
}

static struct listed list_metrics(struct test *test, const char *selector)
{
    struct listed listed = {.count = 0};
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct matchers matchers = {0};
    struct error err = {0};
    if (selector != NULL &&
        matchers_parse(slice_from_text(selector), &arena, &matchers, &err) != STATUS_OK)
        test_fail("%s", err.message);
    if (storage_metrics(test->store.tier, selector == NULL ? NULL : &matchers, list_metric, &listed,
                        &err) != STATUS_OK)
        test_fail("%s", err.message);
    matchers_release(&matchers);
    arena_release(&arena);
    return listed;
}

static enum metric_outcome describe(struct test *test, const struct metric *metric)
{
    struct fixture_write write = {.metric = metric};
    struct error err = {0};
    if (fixture_commit(test->store.tier, &write, 1, &err) != STATUS_OK)
        test_fail("%s", err.message);
    return write.outcome;
}

/* They fill no head. */
static void descriptors_do_not_make_the_log_grow(void **state)
{
    (void)state;
    struct test test;
    begin(&test, SMALL_HEAD);
    char help[10000];
    memset(help, 'h', sizeof help);
    struct metric metric = {.name = slice_from_text("metric_1"), .type = METRIC_COUNTER};
    for (size_t i = 0; i < 1000; i++) {
        metric.help = slice_of(help, 9000 + i);
        assert_int_equal(describe(&test, &metric), i == 0 ? METRIC_NEW : METRIC_CHANGED);
        if (i % 20 == 0)
            store_settle_down(&test.store);
    }
    struct engine_stats stats = stats_of(&test);
    assert_true(stats.log_bytes_written > 9000 * 1000);
    assert_in_range(stats.log_segments, 1, 6);
    store_kill(&test.store);
    struct arena arena;
    arena_init(&arena, 1 << 16);
    struct metric found;
    assert_int_equal(storage_metric(test.store.tier, metric.name, &arena, &found, NULL), STATUS_OK);
    assert_int_equal(found.help.size, 9999);
    arena_release(&arena);
    put_one(&test, 1, NOW, 1);
    check_all_ways(&test);
    end(&test);
}

static void metrics_are_listed_by_name_with_series_and_span(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    put_run(&test, 1, NOW, 1000, 10, 0);
    put_run(&test, 8, NOW - MS_PER_DAY, 1000, 10, 0);
    store_flush(&test.store);
    put_run(&test, 0, NOW + 5, 1000, 10, 0);
    put_one(&test, 8, NOW + MS_PER_DAY, 1);
    struct metric lonely = {.name = slice_from_text("a_lonely_one"), .type = METRIC_GAUGE};
    assert_int_equal(describe(&test, &lonely), METRIC_NEW);
    for (int round = 0; round < 3; round++) {
        struct listed listed = list_metrics(&test, NULL);
        assert_int_equal(listed.count, 3);
        assert_string_equal(listed.names[0], "a_lonely_one");
        assert_int_equal(listed.infos[0].series, 0);
        assert_false(listed.infos[0].has_samples);
        assert_string_equal(listed.names[1], "metric_0");
        assert_int_equal(listed.infos[1].first_ms, NOW + 5);
        assert_string_equal(listed.names[2], "metric_1");
        assert_int_equal(listed.infos[2].series, 2);
        assert_int_equal(listed.infos[2].first_ms, NOW - MS_PER_DAY);
        assert_int_equal(listed.infos[2].last_ms, NOW + MS_PER_DAY);
        assert_int_equal(list_metrics(&test, "{n=\"8\"}").count, 1);
        assert_int_equal(list_metrics(&test, "{n=\"8\"}").infos[0].series, 1);
        if (round == 0)
            store_kill(&test.store);
        else
            store_reopen(&test.store);
    }
    end(&test);
}

static void descriptors_are_compared_and_kept(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    struct metric metric = {.name = slice_from_text("metric_1"),
                            .type = METRIC_COUNTER,
                            .help = slice_from_text("one")};
    assert_int_equal(describe(&test, &metric), METRIC_NEW);
    assert_int_equal(describe(&test, &metric), METRIC_SAME);
    metric.help = slice_from_text("two");
    assert_int_equal(describe(&test, &metric), METRIC_CHANGED);
    struct metric other = {.name = metric.name, .type = METRIC_GAUGE};
    assert_int_equal(describe(&test, &other), METRIC_SAME); /* taken out, with a warning */
    put_one(&test, 1, NOW, 1);
    for (int round = 0; round < 4; round++) {
        struct arena arena;
        arena_init(&arena, 1 << 16);
        struct metric found;
        assert_int_equal(storage_metric(test.store.tier, metric.name, &arena, &found, NULL),
                         STATUS_OK);
        assert_int_equal(found.type, METRIC_COUNTER);
        assert_true(slice_equal_text(found.help, "two"));
        assert_int_equal(
            storage_metric(test.store.tier, slice_from_text("nobody"), &arena, &found, NULL),
            STATUS_NOT_FOUND);
        arena_release(&arena);
        if (round == 0)
            store_kill(&test.store);
        else
            store_reopen(&test.store);
    }
    end(&test);
}

static enum status sum_chunk(void *context, const struct chunk_info *info, struct error *err)
{
    (void)err;
    struct chunk_info *sum = context;
    assert_true(sum->parts == 0 || info->day > sum->day);
    sum->day = info->day;
    sum->samples += info->samples;
    sum->bytes += info->bytes;
    sum->parts += info->parts;
    return STATUS_OK;
}

static void chunks_are_listed_by_day(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    for (int64_t day = 5; day >= 0; day--)
        put_run(&test, 3, NOW + day * MS_PER_DAY, 1000, 20, 0);
    store_flush(&test.store);
    struct chunk_info sum = {.day = INT64_MIN};
    assert_int_equal(storage_chunks(test.store.tier, sum_chunk, &sum, NULL), STATUS_OK);
    assert_int_equal(sum.samples, ledger_count(&test.ledger));
    assert_int_equal(sum.parts, 6);
    assert_int_equal(sum.bytes, stats_of(&test).part_bytes);
    end(&test);
}

/* ---- selections ------------------------------------------------------------------------- */

static void an_ordered_selection_is_in_label_order(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    for (uint32_t i = 0; i < SERIES; i++)
        put_one(&test, (i * 37 + 11) % SERIES, NOW, i);
    struct select_options options = {.range = fixture_always(), .ordered = true};
    struct selection *selection = select_all(&test, &options);
    size_t count = selection_count(test.store.tier, selection);
    assert_int_equal(count, SERIES);
    char before[128] = "";
    for (size_t i = 0; i < count; i++) {
        struct selected_series series;
        assert_int_equal(selection_series(test.store.tier, selection, i, &series, NULL), STATUS_OK);
        char key[128];
        /* No value here is a prefix of another with a digit below the separator. */
        snprintf(
            key, sizeof key, "%.*s\x01%.*s\x01%.*s", SLICE_FORMAT(series.labels.items[0].value),
            SLICE_FORMAT(series.labels.items[1].value), SLICE_FORMAT(series.labels.items[2].value));
        assert_true(strcmp(before, key) < 0);
        memcpy(before, key, sizeof key);
    }
    char why[FIXTURE_WHY_SIZE];
    if (!fixture_selection_same(test.store.tier, selection, &test.ledger, fixture_always(), NULL,
                                why))
        test_fail("%s", why);
    selection_close(test.store.tier, selection);
    end(&test);
}

static void a_selection_shows_its_moment_until_it_closes(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 10; i++)
            put_run(&test, i, NOW + round * 50000, 1000, 100, round);
        store_flush(&test.store);
    }
    put_run(&test, 4, NOW + 500, 1000, 20, 7);
    struct ledger moment;
    ledger_copy(&moment, &test.ledger);
    struct select_options options = {.range = fixture_always()};
    struct selection *selection = select_all(&test, &options);
    size_t files = store_files(&test.store, "parts");

    /* New series, new samples, later writes, a flush, a merge; the old parts are still there. */
    for (uint32_t i = 0; i < 20; i++)
        put_run(&test, i, NOW + 200, 500, 300, 1e6);
    put_one(&test, 4, NOW + 500, -1);
    store_flush(&test.store);
    store_settle_down(&test.store);
    assert_true(stats_of(&test).merges > 0);
    assert_int_equal(stats_of(&test).parts, 1);
    assert_true(store_files(&test.store, "parts") > files);
    check(&test);
    char why[FIXTURE_WHY_SIZE];
    if (!fixture_selection_same(test.store.tier, selection, &moment, fixture_always(), NULL, why))
        test_fail("%s", why);

    /* All days are dropped. */
    engine_set_retention(test.store.tier, 1);
    store_settle_down(&test.store);
    assert_int_equal(stats_of(&test).parts, 0);
    assert_int_equal(stats_of(&test).chunks_dropped, 1);
    if (!fixture_selection_same(test.store.tier, selection, &moment, fixture_always(), NULL, why))
        test_fail("%s", why);
    selection_close(test.store.tier, selection);
    assert_int_equal(store_files(&test.store, "parts"), 0);
    ledger_drop_before(&test.ledger, TIME_MAX_MS);
    check(&test);
    ledger_release(&moment);
    end(&test);
}

static void days_beyond_retention_go_and_others_stay(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    int64_t today = clock_wall_ms(test.store.options.os.clock);
    for (int64_t day = 0; day < 10; day++)
        put_run(&test, 1, today - day * MS_PER_DAY, 1, 10, 0);
    store_flush(&test.store);
    store_settle_down(&test.store);
    check(&test);
    engine_set_retention(test.store.tier, 3 * (int64_t)MS_PER_DAY);
    store_settle_down(&test.store);
    int64_t keep_from = clock_wall_ms(test.store.options.os.clock) - 3 * (int64_t)MS_PER_DAY;
    ledger_drop_before(&test.ledger, day_of_time(keep_from) * MS_PER_DAY);
    check(&test);
    store_kill(&test.store);
    check(&test);
    end(&test);
}

/* Drops the days before today; what is left in the ledger is today's. */
static void drop_the_past(struct test *test)
{
    int64_t today = clock_wall_ms(test->store.options.os.clock) / MS_PER_DAY;
    engine_set_retention(test->store.tier, MS_PER_DAY);
    store_settle_down(&test->store);
    ledger_drop_before(&test->ledger, (today - 1) * MS_PER_DAY);
}

static void series_whose_samples_have_gone_leave_and_their_ids_are_used_again(void **state)
{
    (void)state;
    enum { ALL = 400, LIVE = 10 };
    struct test test;
    begin(&test, LARGE_HEAD);
    ledger_release(&test.ledger);
    ledger_init(&test.ledger, 2 * ALL);
    int64_t now = clock_wall_ms(test.store.options.os.clock);
    for (uint32_t i = 0; i < ALL; i++)
        put_one(&test, i, now - 5 * (int64_t)MS_PER_DAY, i);
    for (uint32_t i = 0; i < LIVE; i++)
        put_one(&test, i, now, i);
    store_flush(&test.store);
    store_settle_down(&test.store);
    /* The log tells of series up to the flush before. */
    put_one(&test, 0, now + 1, 1);
    store_flush(&test.store);
    assert_int_equal(stats_of(&test).series_committed, ALL);
    drop_the_past(&test);
    assert_int_equal(stats_of(&test).series_committed, LIVE);
    assert_int_equal(stats_of(&test).series_ids_freed, ALL - LIVE);
    check_all_ways(&test);
    store_settle_down(&test.store);
    /* What comes back is new, and what is new takes the old ids. */
    for (uint32_t i = 0; i < 2 * ALL; i++)
        put_one(&test, i, now + 2, -(double)i);
    assert_int_equal(stats_of(&test).series_committed, 2 * ALL);
    struct select_options options = {.range = fixture_always()};
    struct selection *selection = select_all(&test, &options);
    for (size_t i = 0; i < selection_count(test.store.tier, selection); i++) {
        struct selected_series series;
        assert_int_equal(selection_series(test.store.tier, selection, i, &series, NULL), STATUS_OK);
        assert_true(series.id < 2 * ALL);
    }
    selection_close(test.store.tier, selection);
    check_all_ways(&test);
    end(&test);
}

static void ids_are_not_used_again_while_a_selection_may_mean_them(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    int64_t now = clock_wall_ms(test.store.options.os.clock);
    for (uint32_t i = 0; i < SERIES; i++)
        put_one(&test, i, now - 5 * (int64_t)MS_PER_DAY, i);
    store_flush(&test.store);
    store_settle_down(&test.store);
    put_one(&test, 0, now, 1);
    store_flush(&test.store);
    struct select_options options = {.range = fixture_always()};
    struct selection *selection = select_all(&test, &options);
    drop_the_past(&test);
    assert_int_equal(stats_of(&test).series_committed, 1);
    assert_int_equal(stats_of(&test).series_ids_freed, 0);
    selection_close(test.store.tier, selection);
    store_settle_down(&test.store);
    assert_int_equal(stats_of(&test).series_ids_freed, SERIES - 1);
    check_all_ways(&test);
    end(&test);
}

static void days_that_are_dropped_while_ids_wait_are_not_forgotten(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    int64_t now = clock_wall_ms(test.store.options.os.clock);
    for (uint32_t i = 1; i < SERIES; i++)
        put_one(&test, i, now - (i < SERIES / 2 ? 5 : 2) * (int64_t)MS_PER_DAY, i);
    store_flush(&test.store);
    store_settle_down(&test.store);
    put_one(&test, 0, now, 1);
    store_flush(&test.store);
    struct select_options options = {.range = fixture_always()};
    struct selection *selection = select_all(&test, &options);
    engine_set_retention(test.store.tier, 4 * (int64_t)MS_PER_DAY);
    store_settle_down(&test.store);
    drop_the_past(&test);
    assert_int_equal(stats_of(&test).series_ids_freed, 0);
    selection_close(test.store.tier, selection);
    store_settle_down(&test.store);
    assert_int_equal(stats_of(&test).series_committed, 1);
    assert_int_equal(stats_of(&test).series_ids_freed, SERIES - 1);
    check_all_ways(&test);
    end(&test);
}

static void limits_of_a_query_are_kept(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    for (uint32_t i = 0; i < 30; i++)
        put_run(&test, i, NOW, 1000, 500, 0);
    store_flush(&test.store);
    struct matchers everything = {0};
    struct selection *selection;
    struct error err = {0};
    struct select_options options = {.range = fixture_always(), .max_series = 29};
    assert_int_equal(storage_select(test.store.tier, &everything, 1, &options, &selection, &err),
                     STATUS_LIMIT);
    assert_string_equal(err.code, "query_series_limit");
    options = (struct select_options){.range = fixture_always(), .max_memory_bytes = 500};
    assert_int_equal(storage_select(test.store.tier, &everything, 1, &options, &selection, &err),
                     STATUS_LIMIT);
    assert_string_equal(err.code, "query_memory_limit");
    /* Enough for the selection, not for reading. */
    options.max_memory_bytes = 20000;
    selection = select_all(&test, &options);
    struct storage_cursor *cursor = NULL;
    struct storage_block block;
    enum status status =
        selection_read(test.store.tier, selection, 0, fixture_always(), &cursor, &err);
    if (status == STATUS_OK)
        status = storage_cursor_next(test.store.tier, cursor, &block, &err);
    assert_int_equal(status, STATUS_LIMIT);
    assert_string_equal(err.code, "query_memory_limit");
    selection_close(test.store.tier, selection);
    end(&test);
}

/* A counter with resets, in parts, in merged parts and in the head; headers alone answer. */
static void count_sum_and_increase_come_from_headers(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    for (uint32_t round = 0; round < 6; round++) {
        for (uint32_t i = 0; i < 10; i++)
            put_run(&test, i, NOW + round * 600000, 1000, 600, round % 2 == 0 ? 100 : 5000);
        store_flush(&test.store);
    }
    store_settle_down(&test.store);
    check(&test);
    struct select_options options = {.range = fixture_always()};
    struct selection *selection = select_all(&test, &options);
    struct storage_cursor *cursor = NULL;
    uint64_t samples = 0;
    for (size_t i = 0; i < selection_count(test.store.tier, selection); i++) {
        assert_int_equal(
            selection_read(test.store.tier, selection, i, fixture_always(), &cursor, NULL),
            STATUS_OK);
        struct storage_block block;
        while (storage_cursor_next(test.store.tier, cursor, &block, NULL) == STATUS_OK) {
            assert_non_null(block.summary);
            samples += block.summary->count;
        }
    }
    assert_int_equal(samples, ledger_count(&test.ledger));
    struct read_stats stats;
    selection_stats(test.store.tier, selection, &stats);
    assert_int_equal(stats.blocks_loaded, 0);
    assert_int_equal(stats.samples_decoded, 0);
    assert_true(stats.blocks_skipped > 0);
    selection_close(test.store.tier, selection);
    end(&test);
}

static void samples_read_are_counted_once(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    put_run(&test, 1, NOW, 1000, 100, 0);
    store_flush(&test.store);
    put_run(&test, 1, NOW + 50500, 1000, 100, 0); /* overlaps the part */
    put_run(&test, 2, NOW, 1000, 70, 0);          /* in the head alone */
    struct select_options options = {.range = fixture_always()};
    struct selection *selection = select_all(&test, &options);
    char why[FIXTURE_WHY_SIZE];
    assert_true(fixture_selection_same(test.store.tier, selection, &test.ledger, fixture_always(),
                                       NULL, why));
    struct read_stats stats;
    selection_stats(test.store.tier, selection, &stats);
    assert_int_equal(stats.samples_decoded, 270);
    selection_close(test.store.tier, selection);
    end(&test);
}

/* ---- damage ----------------------------------------------------------------------------- */

static void part_path(const struct test *test, char path[160])
{
    snprintf(path, 160, "%s/parts/%016x.part", test->store.dir, 1);
}

static struct read_stats read_everything(struct test *test, bool *same)
{
    struct select_options options = {.range = fixture_always()};
    struct selection *selection = select_all(test, &options);
    char why[FIXTURE_WHY_SIZE];
    *same = fixture_selection_same(test->store.tier, selection, &test->ledger, fixture_always(),
                                   NULL, why);
    struct read_stats stats;
    selection_stats(test->store.tier, selection, &stats);
    selection_close(test->store.tier, selection);
    return stats;
}

static void a_damaged_part_makes_answers_partial_and_is_not_merged_away(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    for (uint32_t i = 0; i < 700; i++)
        put_one(&test, 1, NOW + i * 997 % 60000000, sin(i));
    store_flush(&test.store);
    char path[160];
    part_path(&test, path);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 1000, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, 1000, SEEK_SET), 0);
    fputc(byte ^ 1, file);
    fclose(file);
    bool same;
    assert_true(read_everything(&test, &same).partial);
    assert_false(same);
    /* Others of the day are there, and the damaged file stays. */
    for (int i = 0; i < 6; i++) {
        put_one(&test, 2, NOW + i, i);
        store_flush(&test.store);
    }
    store_settle_down(&test.store);
    assert_int_equal(access(path, F_OK), 0);
    struct storage_condition condition;
    storage_condition(test.store.tier, &condition);
    assert_int_equal(condition.health, STORAGE_DEGRADED);
    end(&test);
}

static void a_missing_part_makes_answers_partial(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    put_run(&test, 1, NOW, 1000, 100, 0);
    put_run(&test, 1, NOW + 3 * (int64_t)MS_PER_DAY, 1000, 100, 0);
    store_flush(&test.store);
    char path[160];
    part_path(&test, path);
    engine_close(test.store.tier);
    assert_int_equal(unlink(path), 0);
    struct error err = {0};
    assert_int_equal(engine_open(&test.store.options, &test.store.tier, &err), STATUS_OK);
    assert_int_equal(stats_of(&test).recovery.damaged, 1);
    bool same;
    assert_true(read_everything(&test, &same).partial);
    ledger_drop_before(&test.ledger, NOW + MS_PER_DAY);
    /* Of days that are whole, answers are whole. */
    char why[FIXTURE_WHY_SIZE];
    struct time_range later = {NOW + 2 * (int64_t)MS_PER_DAY, TIME_MAX_MS};
    if (!fixture_same(test.store.tier, &test.ledger, later, why))
        test_fail("%s", why);
    end(&test);
}

/* A disk may return it, or a hand that copies files put it there. */
static void a_part_in_place_of_another_is_not_read(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    put_run(&test, 1, NOW, 1000, 100, 0);
    store_flush(&test.store);
    put_run(&test, 1, NOW + 3 * (int64_t)MS_PER_DAY, 1000, 100, 0);
    store_flush(&test.store);
    char path[160], command[400];
    part_path(&test, path);
    engine_close(test.store.tier);
    snprintf(command, sizeof command, "cd %s/parts && cp $(ls | tail -1) %s", test.store.dir, path);
    assert_int_equal(system(command), 0);
    struct error err = {0};
    assert_int_equal(engine_open(&test.store.options, &test.store.tier, &err), STATUS_OK);
    assert_int_equal(stats_of(&test).recovery.damaged, 1);
    bool same;
    assert_true(read_everything(&test, &same).partial);
    ledger_drop_before(&test.ledger, NOW + MS_PER_DAY);
    char why[FIXTURE_WHY_SIZE];
    struct time_range later = {NOW + 2 * (int64_t)MS_PER_DAY, TIME_MAX_MS};
    if (!fixture_same(test.store.tier, &test.ledger, later, why))
        test_fail("%s", why);
    end(&test);
}

static void a_part_whose_frame_is_damaged_is_read_whole(void **state)
{
    (void)state;
    static const char *const damages[] = {
        "echo junk >> %s",                                                /* behind the trailer */
        "truncate -s -20 %s",                                             /* in it */
        "printf X | dd of=%s bs=1 seek=20 conv=notrunc status=none 2>&1", /* the header */
    };
    for (size_t i = 0; i < sizeof damages / sizeof damages[0]; i++) {
        struct test test;
        begin(&test, LARGE_HEAD);
        for (uint32_t series = 0; series < SERIES; series++)
            put_run(&test, series, NOW, 1000, 300, series);
        store_flush(&test.store);
        char path[160], command[400];
        part_path(&test, path);
        engine_close(test.store.tier);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(command, sizeof command, damages[i], path);
#pragma GCC diagnostic pop
        assert_int_equal(system(command), 0);
        struct error err = {0};
        assert_int_equal(engine_open(&test.store.options, &test.store.tier, &err), STATUS_OK);
        bool same;
        assert_false(read_everything(&test, &same).partial);
        assert_true(same);
        end(&test);
    }
}

/* Its samples, if it is put back, belong between those of its neighbours. */
static void parts_are_not_merged_around_a_missing_one(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    for (int i = 0; i < 3; i++) {
        put_run(&test, 1, NOW, 1000, 100, i);
        store_flush(&test.store);
    }
    char path[160], aside[170];
    part_path(&test, path);
    snprintf(aside, sizeof aside, "%s.aside", path);
    put_run(&test, 1, NOW, 1000, 1, 8);
    engine_close(test.store.tier);
    assert_int_equal(rename(path, aside), 0);
    struct error err = {0};
    assert_int_equal(engine_open(&test.store.options, &test.store.tier, &err), STATUS_OK);
    for (int i = 0; i < 6; i++) {
        put_run(&test, 1, NOW + 1000 * i, 1000, 1, 10 + i);
        store_flush(&test.store);
    }
    store_settle_down(&test.store);
    assert_int_equal(stats_of(&test).merges, 0);
    engine_close(test.store.tier);
    assert_int_equal(rename(aside, path), 0);
    assert_int_equal(engine_open(&test.store.options, &test.store.tier, &err), STATUS_OK);
    store_settle_down(&test.store);
    assert_true(stats_of(&test).merges > 0);
    check_all_ways(&test);
    end(&test);
}

/* ---- many series, few of them in use ----------------------------------------------------- */

static size_t selected_in(struct test *test, struct time_range range)
{
    struct select_options options = {.range = range};
    struct selection *selection = select_all(test, &options);
    size_t count = selection_count(test->store.tier, selection);
    selection_close(test->store.tier, selection);
    char why[FIXTURE_WHY_SIZE];
    if (!fixture_same(test->store.tier, &test->ledger, range, why))
        test_fail("%s", why);
    return count;
}

static void put_day(struct test *test, int64_t day_start, uint32_t from, uint32_t to)
{
    for (uint32_t series = from; series < to; series++)
        put_one(test, series, day_start + series, series);
}

static void of_many_series_only_those_with_samples_in_the_range_are_selected(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    struct test test;
    begin(&test, LARGE_HEAD);
    ledger_release(&test.ledger);
    ledger_init(&test.ledger, MANY);
    int64_t day = NOW - NOW % MS_PER_DAY;
    put_day(&test, day, 0, MANY);
    store_flush(&test.store);
    put_day(&test, day + MS_PER_DAY, 100, 200);
    store_flush(&test.store);
    put_day(&test, day + 2 * (int64_t)MS_PER_DAY, 150, 170);
    struct time_range second = {day + MS_PER_DAY, day + 2 * (int64_t)MS_PER_DAY};
    struct time_range last = {day + 2 * (int64_t)MS_PER_DAY, TIME_MAX_MS};
    for (int round = 0; round < 3; round++) {
        assert_int_equal(selected_in(&test, fixture_always()), MANY);
        assert_in_range(selected_in(&test, second), 100, 120);
        /* What is in a head may be of any time. */
        assert_in_range(selected_in(&test, last), 20, 20 + 10 * (size_t)round);
        if (round == 0)
            put_one(&test, 2500, day + MS_PER_DAY + 5, 1);
        else
            store_reopen(&test.store);
    }
    end(&test);
}

/* ---- merging ---------------------------------------------------------------------------- */

/* The log apart, each sample is written by its flush and by two merges. */
static void samples_in_order_of_time_are_written_three_times_at_the_most(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    enum { FLUSHES = 200, RUN = 20 };
    int64_t day_start = NOW - NOW % MS_PER_DAY;
    for (int i = 0; i < FLUSHES; i++) {
        for (uint32_t series = 0; series < 10; series++)
            put_run(&test, series, day_start + (int64_t)i * RUN * 1000, 1000, RUN, i);
        store_flush(&test.store);
        store_settle_down(&test.store);
    }
    struct engine_stats stats = stats_of(&test);
    assert_true(stats.parts < 30);
    assert_in_range(stats.flushed_bytes + stats.merged_bytes_written, stats.flushed_bytes + 1,
                    3 * stats.flushed_bytes);
    check_all_ways(&test);
    end(&test);
}

static void series_of_many_flushes_stand_in_few_segments(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    ledger_release(&test.ledger);
    ledger_init(&test.ledger, 2000);
    for (uint32_t flush = 0; flush < 100; flush++) {
        for (uint32_t i = 0; i < 20; i++)
            put_one(&test, flush * 20 + i, NOW + flush, flush);
        put_one(&test, flush * 7, NOW + 1000 + flush, 1);
        store_flush(&test.store);
        store_settle_down(&test.store);
    }
    struct engine_stats stats = stats_of(&test);
    assert_true(stats.index_merges > 10);
    assert_true(stats.index_segments < 12);
    assert_int_equal(stats.series_committed, 2000);
    check_all_ways(&test);
    assert_int_equal(stats_of(&test).series_committed, 2000);
    /* Known series are found on disk, and are no new ones. */
    put_one(&test, 3, NOW + 5000, 1);
    put_one(&test, 1999, NOW + 5000, 1);
    assert_int_equal(stats_of(&test).series_committed, 2000);
    assert_int_equal(store_files(&test.store, "index"), stats_of(&test).index_segments);
    check_all_ways(&test);
    end(&test);
}

static void a_few_late_samples_do_not_have_a_large_part_written_again(void **state)
{
    (void)state;
    struct test test;
    begin(&test, LARGE_HEAD);
    int64_t day_start = NOW - NOW % MS_PER_DAY;
    for (int i = 0; i < 50000; i++)
        put_one(&test, 1, day_start + 1000 + i * 7 + i % 5, (double)((int64_t)i * i % 1009));
    store_flush(&test.store);
    uint64_t large = stats_of(&test).flushed_bytes;
    for (int i = 0; i < 40; i++) {
        put_one(&test, 1, day_start + i, i);
        store_flush(&test.store);
        store_settle_down(&test.store);
    }
    struct engine_stats stats = stats_of(&test);
    assert_true(stats.merges > 5);
    assert_true(stats.merged_bytes_written < large / 2);
    assert_true(stats.parts < 15);
    check_all_ways(&test);
    end(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_new_store_is_empty),
        cmocka_unit_test(samples_are_seen_as_soon_as_they_are_acknowledged),
        cmocka_unit_test(the_later_write_wins_wherever_the_earlier_is),
        cmocka_unit_test(values_and_times_keep_every_bit),
        cmocka_unit_test(one_commit_may_touch_hundreds_of_days),
        cmocka_unit_test(a_log_that_holds_more_than_a_head_is_recovered),
        cmocka_unit_test(refused_series_take_nothing_and_known_ones_always_pass),
        cmocka_unit_test(an_atomic_batch_with_one_refusal_leaves_nothing),
        cmocka_unit_test(every_one_of_many_refusals_is_counted),
        cmocka_unit_test(days_beyond_the_limit_are_refused),
        cmocka_unit_test(writes_wait_when_both_heads_are_full),
        cmocka_unit_test(a_second_opener_is_refused),
        cmocka_unit_test(metrics_are_listed_by_name_with_series_and_span),
        cmocka_unit_test(descriptors_are_compared_and_kept),
        cmocka_unit_test(descriptors_do_not_make_the_log_grow),
        cmocka_unit_test(chunks_are_listed_by_day),
        cmocka_unit_test(an_ordered_selection_is_in_label_order),
        cmocka_unit_test(a_selection_shows_its_moment_until_it_closes),
        cmocka_unit_test(days_beyond_retention_go_and_others_stay),
        cmocka_unit_test(series_whose_samples_have_gone_leave_and_their_ids_are_used_again),
        cmocka_unit_test(ids_are_not_used_again_while_a_selection_may_mean_them),
        cmocka_unit_test(days_that_are_dropped_while_ids_wait_are_not_forgotten),
        cmocka_unit_test(limits_of_a_query_are_kept),
        cmocka_unit_test(count_sum_and_increase_come_from_headers),
        cmocka_unit_test(samples_read_are_counted_once),
        cmocka_unit_test(a_damaged_part_makes_answers_partial_and_is_not_merged_away),
        cmocka_unit_test(a_missing_part_makes_answers_partial),
        cmocka_unit_test(a_part_in_place_of_another_is_not_read),
        cmocka_unit_test(a_part_whose_frame_is_damaged_is_read_whole),
        cmocka_unit_test(parts_are_not_merged_around_a_missing_one),
        cmocka_unit_test(of_many_series_only_those_with_samples_in_the_range_are_selected),
        cmocka_unit_test(samples_in_order_of_time_are_written_three_times_at_the_most),
        cmocka_unit_test(series_of_many_flushes_stand_in_few_segments),
        cmocka_unit_test(a_few_late_samples_do_not_have_a_large_part_written_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

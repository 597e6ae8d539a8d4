/*
 * The engine behind storage.h, behaviour by behaviour, on the real file system.
 */
#include "../../test.h"

#include <inttypes.h>
#include <math.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/times.h"
#include "model/value.h"
#include "scene.h"

enum { SERIES = 50, LARGE_HEAD = 8 << 20, SMALL_HEAD = 64 << 10 };

#define NOW INT64_C(1750000000000)

static struct selection *select_all(struct scene *scene, const struct select_options *options)
{
    struct matchers everything = {0};
    struct selection *selection;
    struct error err = {0};
    if (storage_select(scene->store.tier, &everything, 1, options, &selection, &err) != STATUS_OK)
        test_fail("select: %s", err.message);
    return selection;
}

/* ---- writing and reading ---------------------------------------------------------------- */

static void a_new_store_is_empty(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    scene_check_all_ways(&scene);
    assert_int_equal(scene_stats(&scene).parts, 0);
    scene_end(&scene);
}

static void samples_are_seen_as_soon_as_they_are_acknowledged(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    for (uint32_t i = 0; i < 40; i++) {
        scene_put_one(&scene, i % SERIES, NOW + i, i);
        scene_check(&scene);
    }
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void the_later_write_wins_wherever_the_earlier_is(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    /* In one batch, in one head, over a part, over two parts, over a merged part. */
    scene_put(&scene, (struct fixture_sample[]){{1, NOW, 1}, {1, NOW, 2}, {1, NOW - 5, 3}}, 3);
    scene_put_one(&scene, 1, NOW, 4);
    scene_check(&scene);
    for (int i = 0; i < 9; i++) {
        scene_put_run(&scene, 1, NOW - 2000, 100, 40, i * 1000);
        scene_put_run(&scene, 2, NOW - i * 777, 50, 30, i);
        scene_check(&scene);
        store_flush(&scene.store);
        scene_put_one(&scene, 1, NOW - 1000, i);
        scene_put_one(&scene, 1, NOW - 1050, i);
        scene_check(&scene);
        store_settle_down(&scene.store);
        scene_check(&scene);
    }
    assert_true(scene_stats(&scene).merges > 0);
    store_kill(&scene.store);
    scene_check_all_ways(&scene);
    scene_end(&scene);
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
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++)
        scene_put_one(&scene, 0, times[i], (double)i);
    /* Alone, mixed, and in runs long enough for every encoding. */
    for (uint32_t i = 0; i < VALUES; i++)
        scene_put_one(&scene, 1 + i, NOW, double_of_bits(bits[i]));
    for (uint32_t i = 0; i < 2000; i++)
        scene_put_one(&scene, 20, NOW + i * 1000, double_of_bits(bits[i % VALUES]));
    for (uint32_t i = 0; i < 2000; i++)
        scene_put_one(&scene, 21, NOW + i * 1000,
                      i % 50 == 0 ? double_of_bits(bits[i / 50 % VALUES]) : i);
    scene_check_all_ways(&scene);
    /* Once more over it, so that they are merged. */
    for (int round = 0; round < 4; round++) {
        for (uint32_t i = 0; i < VALUES; i++)
            scene_put_one(&scene, 1 + i, NOW + round, double_of_bits(bits[i]));
        store_flush(&scene.store);
    }
    store_settle_down(&scene.store);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void one_commit_may_touch_hundreds_of_days(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    enum { DAYS = 200 };
    struct fixture_sample samples[2 * DAYS];
    for (uint32_t i = 0; i < 2 * DAYS; i++)
        samples[i] = (struct fixture_sample){i % 3, NOW - (int64_t)(i * 7 % DAYS) * MS_PER_DAY, i};
    scene_put(&scene, samples, 2 * DAYS);
    scene_check_all_ways(&scene);
    assert_int_equal(scene_stats(&scene).chunks, DAYS);
    scene_end(&scene);
}

static void a_log_that_holds_more_than_a_head_is_recovered(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    for (uint32_t i = 0; i < 60; i++)
        scene_put_run(&scene, i % SERIES, NOW + i * 100, 1000, 500, i);
    /* Where a smaller head must do, the log is flushed while it is replayed. */
    scene.store.options.head_bytes = SMALL_HEAD;
    store_kill(&scene.store);
    assert_true(scene_stats(&scene).flushes > 1);
    scene_check(&scene);
    store_kill(&scene.store);
    scene_check_all_ways(&scene);
    scene_end(&scene);
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
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    struct strict_admitter strict = {.admitter = {&strict_ops}, .max_series = 2};
    struct fixture_sample samples[] = {{0, NOW, 1}, {7, NOW, 2}, {14, NOW, 3}, {14, NOW + 1, 4}};
    struct fixture_write write = {.samples = samples, .count = 4, .admitter = &strict.admitter};
    struct error err = {0};
    assert_int_equal(fixture_commit(scene.store.tier, &write, 1, &err), STATUS_OK);
    assert_int_equal(write.rejected, 2);
    assert_int_equal(write.new_series, 2);
    assert_string_equal(write.code, "series_limit");
    ledger_put(&scene.ledger, samples, 2);
    scene_check(&scene);
    struct engine_stats stats = scene_stats(&scene);
    assert_int_equal(stats.series_committed, 2);
    assert_int_equal(stats.series_reserved, 0);
    /* Lower than what is there: known series are not even asked about. */
    strict = (struct strict_admitter){.admitter = {&strict_ops}, .max_series = 0};
    struct fixture_sample again[] = {{0, NOW + 9, 1}, {7, NOW + 9, 2}};
    write = (struct fixture_write){.samples = again, .count = 2, .admitter = &strict.admitter};
    assert_int_equal(fixture_commit(scene.store.tier, &write, 1, &err), STATUS_OK);
    assert_int_equal(write.rejected, 0);
    assert_int_equal(strict.asked, 0);
    ledger_put(&scene.ledger, again, 2);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void an_atomic_batch_with_one_refusal_leaves_nothing(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    struct strict_admitter strict = {.admitter = {&strict_ops}, .max_series = 1};
    struct fixture_sample samples[] = {{0, NOW, 1}, {1, NOW, 2}, {7, NOW, 3}};
    struct fixture_write write = {
        .samples = samples, .count = 3, .atomic = true, .admitter = &strict.admitter};
    struct error err = {0};
    assert_int_equal(fixture_commit(scene.store.tier, &write, 1, &err), STATUS_OK);
    assert_int_equal(write.rejected, 3);
    assert_int_equal(scene_stats(&scene).series_committed + scene_stats(&scene).series_reserved, 0);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void every_one_of_many_refusals_is_counted(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    enum { MANY = 20000 };
    struct fixture_sample *samples = calloc(MANY, sizeof samples[0]);
    assert_non_null(samples);
    for (uint32_t i = 0; i < MANY; i++)
        samples[i] = (struct fixture_sample){i, NOW, 1};
    struct strict_admitter strict = {.admitter = {&strict_ops}, .max_series = 0};
    struct fixture_write write = {.samples = samples, .count = MANY, .admitter = &strict.admitter};
    struct error err = {0};
    assert_int_equal(fixture_commit(scene.store.tier, &write, 1, &err), STATUS_OK);
    assert_int_equal(write.rejected, MANY);
    assert_int_equal(scene_stats(&scene).series_committed + scene_stats(&scene).series_reserved, 0);
    free(samples);
    scene_check(&scene);
    scene_end(&scene);
}

static void days_beyond_the_limit_are_refused(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    scene.store.options.max_chunks = 3;
    store_reopen(&scene.store);
    for (int64_t day = 0; day < 3; day++)
        scene_put_one(&scene, 1, NOW + day * MS_PER_DAY, 1);
    struct fixture_sample samples[] = {{1, NOW + 3 * MS_PER_DAY, 1}, {1, NOW + 5, 2}};
    struct fixture_write write = {.samples = samples, .count = 2};
    struct error err = {0};
    assert_int_equal(fixture_commit(scene.store.tier, &write, 1, &err), STATUS_OK);
    assert_int_equal(write.rejected, 1);
    assert_string_equal(write.code, "chunk_limit");
    ledger_put(&scene.ledger, samples + 1, 1);
    scene_check_all_ways(&scene);
    /* The limit holds after a restart. */
    write = (struct fixture_write){.samples = samples, .count = 1};
    assert_int_equal(fixture_commit(scene.store.tier, &write, 1, &err), STATUS_OK);
    assert_int_equal(write.rejected, 1);
    scene_end(&scene);
}

/* ---- heads ------------------------------------------------------------------------------ */

static void writes_wait_when_both_heads_are_full(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, SMALL_HEAD, SERIES);
    enum status status = STATUS_OK;
    struct error err = {0};
    uint32_t commits = 0;
    for (; status == STATUS_OK && commits < 1000; commits++) {
        struct fixture_sample samples[100];
        for (uint32_t i = 0; i < 100; i++)
            samples[i] = (struct fixture_sample){i % SERIES, NOW + commits * 100 + i, i};
        status = fixture_put(scene.store.tier, samples, 100, &err);
        if (status == STATUS_OK)
            ledger_put(&scene.ledger, samples, 100);
    }
    assert_int_equal(status, STATUS_BUSY);
    scene_check(&scene);
    assert_int_equal(scene_stats(&scene).series_reserved, 0);
    store_settle_down(&scene.store);
    scene_put_one(&scene, 1, NOW - 1, 1);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void a_second_opener_is_refused(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    struct tier *second;
    struct error err = {0};
    assert_int_equal(engine_open(&scene.store.options, &second, &err), STATUS_CONFLICT);
    assert_null(second);
    scene_put_one(&scene, 1, NOW, 1);
    scene_check(&scene);
    scene_end(&scene);
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

static struct listed list_metrics(struct scene *scene, const char *selector)
{
    struct listed listed = {.count = 0};
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct matchers matchers = {0};
    bool partial = false;
    struct error err = {0};
    if (selector != NULL &&
        matchers_parse(slice_from_text(selector), &arena, &matchers, &err) != STATUS_OK)
        test_fail("%s", err.message);
    if (storage_metrics(scene->store.tier, selector == NULL ? NULL : &matchers, list_metric,
                        &listed, &partial, &err) != STATUS_OK ||
        partial)
        test_fail("%s", err.message);
    matchers_release(&matchers);
    arena_release(&arena);
    return listed;
}

static enum metric_outcome describe(struct scene *scene, const struct metric *metric)
{
    struct fixture_write write = {.metric = metric};
    struct error err = {0};
    if (fixture_commit(scene->store.tier, &write, 1, &err) != STATUS_OK)
        test_fail("%s", err.message);
    return write.outcome;
}

/* They fill no head. */
static void descriptors_do_not_make_the_log_grow(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, SMALL_HEAD, SERIES);
    char help[10000];
    memset(help, 'h', sizeof help);
    struct metric metric = {.name = slice_from_text("metric_1"), .type = METRIC_COUNTER};
    for (size_t i = 0; i < 1000; i++) {
        metric.help = slice_of(help, 9000 + i);
        assert_int_equal(describe(&scene, &metric), i == 0 ? METRIC_NEW : METRIC_CHANGED);
        if (i % 20 == 0)
            store_settle_down(&scene.store);
    }
    struct engine_stats stats = scene_stats(&scene);
    assert_true(stats.log_bytes_written > 9000 * 1000);
    assert_in_range(stats.log_segments, 1, 6);
    store_kill(&scene.store);
    struct arena arena;
    arena_init(&arena, 1 << 16);
    struct metric found;
    assert_int_equal(storage_metric(scene.store.tier, metric.name, &arena, &found, NULL),
                     STATUS_OK);
    assert_int_equal(found.help.size, 9999);
    arena_release(&arena);
    scene_put_one(&scene, 1, NOW, 1);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void metrics_are_listed_by_name_with_series_and_span(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    scene_put_run(&scene, 1, NOW, 1000, 10, 0);
    scene_put_run(&scene, 8, NOW - MS_PER_DAY, 1000, 10, 0);
    store_flush(&scene.store);
    scene_put_run(&scene, 0, NOW + 5, 1000, 10, 0);
    scene_put_one(&scene, 8, NOW + MS_PER_DAY, 1);
    struct metric lonely = {.name = slice_from_text("a_lonely_one"), .type = METRIC_GAUGE};
    assert_int_equal(describe(&scene, &lonely), METRIC_NEW);
    for (int round = 0; round < 3; round++) {
        struct listed listed = list_metrics(&scene, NULL);
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
        assert_int_equal(list_metrics(&scene, "{n=\"8\"}").count, 1);
        assert_int_equal(list_metrics(&scene, "{n=\"8\"}").infos[0].series, 1);
        if (round == 0)
            store_kill(&scene.store);
        else
            store_reopen(&scene.store);
    }
    scene_end(&scene);
}

static void descriptors_are_compared_and_kept(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    struct metric metric = {.name = slice_from_text("metric_1"),
                            .type = METRIC_COUNTER,
                            .help = slice_from_text("one")};
    assert_int_equal(describe(&scene, &metric), METRIC_NEW);
    assert_int_equal(describe(&scene, &metric), METRIC_SAME);
    metric.help = slice_from_text("two");
    assert_int_equal(describe(&scene, &metric), METRIC_CHANGED);
    struct metric other = {.name = metric.name, .type = METRIC_GAUGE};
    assert_int_equal(describe(&scene, &other), METRIC_SAME); /* taken out, with a warning */
    scene_put_one(&scene, 1, NOW, 1);
    for (int round = 0; round < 4; round++) {
        struct arena arena;
        arena_init(&arena, 1 << 16);
        struct metric found;
        assert_int_equal(storage_metric(scene.store.tier, metric.name, &arena, &found, NULL),
                         STATUS_OK);
        assert_int_equal(found.type, METRIC_COUNTER);
        assert_true(slice_equal_text(found.help, "two"));
        assert_int_equal(
            storage_metric(scene.store.tier, slice_from_text("nobody"), &arena, &found, NULL),
            STATUS_NOT_FOUND);
        arena_release(&arena);
        if (round == 0)
            store_kill(&scene.store);
        else
            store_reopen(&scene.store);
    }
    scene_end(&scene);
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
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    for (int64_t day = 5; day >= 0; day--)
        scene_put_run(&scene, 3, NOW + day * MS_PER_DAY, 1000, 20, 0);
    store_flush(&scene.store);
    struct chunk_info sum = {.day = INT64_MIN};
    assert_int_equal(storage_chunks(scene.store.tier, sum_chunk, &sum, NULL), STATUS_OK);
    assert_int_equal(sum.samples, ledger_count(&scene.ledger));
    assert_int_equal(sum.parts, 6);
    assert_int_equal(sum.bytes, scene_stats(&scene).part_bytes);
    scene_end(&scene);
}

/* ---- selections ------------------------------------------------------------------------- */

static void an_ordered_selection_is_in_label_order(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    for (uint32_t i = 0; i < SERIES; i++)
        scene_put_one(&scene, (i * 37 + 11) % SERIES, NOW, i);
    struct select_options options = {.range = fixture_always(), .ordered = true};
    struct selection *selection = select_all(&scene, &options);
    size_t count = selection_count(scene.store.tier, selection);
    assert_int_equal(count, SERIES);
    char before[128] = "";
    for (size_t i = 0; i < count; i++) {
        struct selected_series series;
        assert_int_equal(selection_series(scene.store.tier, selection, i, &series, NULL),
                         STATUS_OK);
        char key[128];
        /* No value here is a prefix of another with a digit below the separator. */
        snprintf(
            key, sizeof key, "%.*s\x01%.*s\x01%.*s", SLICE_FORMAT(series.labels.items[0].value),
            SLICE_FORMAT(series.labels.items[1].value), SLICE_FORMAT(series.labels.items[2].value));
        assert_true(strcmp(before, key) < 0);
        memcpy(before, key, sizeof key);
    }
    char why[FIXTURE_WHY_SIZE];
    if (!fixture_selection_same(scene.store.tier, selection, &scene.ledger, fixture_always(), NULL,
                                why))
        test_fail("%s", why);
    selection_close(scene.store.tier, selection);
    scene_end(&scene);
}

static void a_selection_shows_its_moment_until_it_closes(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    for (uint32_t round = 0; round < 3; round++) {
        for (uint32_t i = 0; i < 10; i++)
            scene_put_run(&scene, i, NOW + round * 50000, 1000, 100, round);
        store_flush(&scene.store);
    }
    scene_put_run(&scene, 4, NOW + 500, 1000, 20, 7);
    struct ledger moment;
    ledger_copy(&moment, &scene.ledger);
    struct select_options options = {.range = fixture_always()};
    struct selection *selection = select_all(&scene, &options);
    size_t files = store_files(&scene.store, "parts");

    /* New series, new samples, later writes, a flush, a merge; the old parts are still there. */
    for (uint32_t i = 0; i < 20; i++)
        scene_put_run(&scene, i, NOW + 200, 500, 300, 1e6);
    scene_put_one(&scene, 4, NOW + 500, -1);
    scene_settle(&scene);
    assert_true(scene_stats(&scene).merges > 0);
    assert_int_equal(scene_stats(&scene).parts, 1);
    assert_true(store_files(&scene.store, "parts") > files);
    scene_check(&scene);
    char why[FIXTURE_WHY_SIZE];
    if (!fixture_selection_same(scene.store.tier, selection, &moment, fixture_always(), NULL, why))
        test_fail("%s", why);

    /* All days are dropped. */
    engine_set_retention(scene.store.tier, 1);
    store_settle_down(&scene.store);
    assert_int_equal(scene_stats(&scene).parts, 0);
    assert_int_equal(scene_stats(&scene).chunks_dropped, 1);
    if (!fixture_selection_same(scene.store.tier, selection, &moment, fixture_always(), NULL, why))
        test_fail("%s", why);
    selection_close(scene.store.tier, selection);
    assert_int_equal(store_files(&scene.store, "parts"), 0);
    ledger_drop_before(&scene.ledger, TIME_MAX_MS);
    scene_check(&scene);
    ledger_release(&moment);
    scene_end(&scene);
}

static void days_beyond_retention_go_and_others_stay(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
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
    scene_begin(&scene, LARGE_HEAD, SERIES);
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
    struct selection *selection = select_all(&scene, &options);
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
    scene_begin(&scene, LARGE_HEAD, SERIES);
    struct tier *tier = scene.store.tier;
    int64_t now = clock_wall_ms(scene.store.options.os.clock);
    for (uint32_t i = 0; i < SERIES; i++)
        scene_put_one(&scene, i, now - 5 * (int64_t)MS_PER_DAY, i);
    scene_settle(&scene);
    scene_put_one(&scene, 0, now, 1);
    store_flush(&scene.store);
    struct select_options options = {.range = fixture_always()};
    struct selection *before = select_all(&scene, &options);
    drop_the_past(&scene);
    assert_int_equal(scene_stats(&scene).series_committed, SERIES);
    struct selection *after = select_all(&scene, &options);
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
    scene_begin(&scene, LARGE_HEAD, SERIES);
    int64_t now = clock_wall_ms(scene.store.options.os.clock);
    for (uint32_t i = 1; i < SERIES; i++)
        scene_put_one(&scene, i, now - (i < SERIES / 2 ? 5 : 2) * (int64_t)MS_PER_DAY, i);
    scene_settle(&scene);
    scene_put_one(&scene, 0, now, 1);
    store_flush(&scene.store);
    struct select_options options = {.range = fixture_always()};
    struct selection *selection = select_all(&scene, &options);
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

/* Two parts and the head, each over the other in all of a day. */
static void memory_of_a_query_over_overlapping_parts_does_not_follow_their_samples(void **state)
{
    (void)state;
    enum { COUNT = 150000, STEP = 400, RUN = 5000 };
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    int64_t day_start = NOW - NOW % MS_PER_DAY;
    for (int part = 0; part < 3; part++) {
        for (int i = 0; i < COUNT; i += RUN)
            scene_put_run(&scene, 1, day_start + (int64_t)i * STEP + part * 100, STEP, RUN, part);
        /* Some over what is there. */
        if (part > 0)
            scene_put_run(&scene, 1, day_start + 1000 * STEP, 100 * STEP, 1000, -part);
        if (part < 2)
            store_flush(&scene.store);
    }
    assert_int_equal(scene_stats(&scene).parts, 2);
    /* Some of a block in the middle of a slice, of none, and of all. */
    static const struct time_range ranges[] = {
        {0, INT64_MAX}, {1234567, 1234568}, {12345678, 45678901}, {59999000, INT64_MAX}};
    char why[FIXTURE_WHY_SIZE];
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        struct time_range range = {day_start + ranges[i].start_ms,
                                   ranges[i].end_ms == INT64_MAX ? TIME_MAX_MS
                                                                 : day_start + ranges[i].end_ms};
        if (!fixture_same(scene.store.tier, &scene.ledger, range, why))
            test_fail("%s", why);
    }
    /* In parts alone: what a head holds of a series is copied in one piece. */
    store_flush(&scene.store);
    struct select_options options = {.range = fixture_always(), .max_memory_bytes = 6 << 20};
    struct selection *selection = select_all(&scene, &options);
    if (!fixture_selection_same(scene.store.tier, selection, &scene.ledger, fixture_always(), NULL,
                                why))
        test_fail("%s", why);
    selection_close(scene.store.tier, selection);
    scene_end(&scene);
}

static void limits_of_a_query_are_kept(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    for (uint32_t i = 0; i < 30; i++)
        scene_put_run(&scene, i, NOW, 1000, 500, 0);
    store_flush(&scene.store);
    struct matchers everything = {0};
    struct selection *selection;
    struct error err = {0};
    struct select_options options = {.range = fixture_always(), .max_series = 29};
    assert_int_equal(storage_select(scene.store.tier, &everything, 1, &options, &selection, &err),
                     STATUS_LIMIT);
    assert_string_equal(err.code, "query_series_limit");
    options = (struct select_options){.range = fixture_always(), .max_memory_bytes = 500};
    assert_int_equal(storage_select(scene.store.tier, &everything, 1, &options, &selection, &err),
                     STATUS_LIMIT);
    assert_string_equal(err.code, "query_memory_limit");
    /* Enough for the selection, not for reading. */
    options.max_memory_bytes = 20000;
    selection = select_all(&scene, &options);
    struct storage_cursor *cursor = NULL;
    struct storage_block block;
    enum status status =
        selection_read(scene.store.tier, selection, 0, fixture_always(), &cursor, &err);
    if (status == STATUS_OK)
        status = storage_cursor_next(scene.store.tier, cursor, &block, &err);
    assert_int_equal(status, STATUS_LIMIT);
    assert_string_equal(err.code, "query_memory_limit");
    selection_close(scene.store.tier, selection);
    scene_end(&scene);
}

/* A counter with resets, in parts, in merged parts and in the head; headers alone answer. */
static void count_sum_and_increase_come_from_headers(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    for (uint32_t round = 0; round < 6; round++) {
        for (uint32_t i = 0; i < 10; i++)
            scene_put_run(&scene, i, NOW + round * 600000, 1000, 600, round % 2 == 0 ? 100 : 5000);
        store_flush(&scene.store);
    }
    store_settle_down(&scene.store);
    scene_check(&scene);
    struct select_options options = {.range = fixture_always()};
    struct selection *selection = select_all(&scene, &options);
    struct storage_cursor *cursor = NULL;
    uint64_t samples = 0;
    for (size_t i = 0; i < selection_count(scene.store.tier, selection); i++) {
        assert_int_equal(
            selection_read(scene.store.tier, selection, i, fixture_always(), &cursor, NULL),
            STATUS_OK);
        struct storage_block block;
        while (storage_cursor_next(scene.store.tier, cursor, &block, NULL) == STATUS_OK) {
            assert_non_null(block.summary);
            samples += block.summary->count;
        }
    }
    assert_int_equal(samples, ledger_count(&scene.ledger));
    struct read_stats stats;
    selection_stats(scene.store.tier, selection, &stats);
    assert_int_equal(stats.blocks_loaded, 0);
    assert_int_equal(stats.samples_decoded, 0);
    assert_true(stats.blocks_skipped > 0);
    selection_close(scene.store.tier, selection);
    scene_end(&scene);
}

static void samples_read_are_counted_once(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    scene_put_run(&scene, 1, NOW, 1000, 100, 0);
    store_flush(&scene.store);
    scene_put_run(&scene, 1, NOW + 50500, 1000, 100, 0); /* overlaps the part */
    scene_put_run(&scene, 2, NOW, 1000, 70, 0);          /* in the head alone */
    struct select_options options = {.range = fixture_always()};
    struct selection *selection = select_all(&scene, &options);
    char why[FIXTURE_WHY_SIZE];
    assert_true(fixture_selection_same(scene.store.tier, selection, &scene.ledger, fixture_always(),
                                       NULL, why));
    struct read_stats stats;
    selection_stats(scene.store.tier, selection, &stats);
    assert_int_equal(stats.samples_decoded, 270);
    selection_close(scene.store.tier, selection);
    scene_end(&scene);
}

/* ---- damage ----------------------------------------------------------------------------- */

static void part_path(const struct scene *scene, char path[160])
{
    snprintf(path, 160, "%s/parts/%016x.part", scene->store.dir, 1);
}

static struct read_stats read_everything(struct scene *scene, bool *same)
{
    struct select_options options = {.range = fixture_always()};
    struct selection *selection = select_all(scene, &options);
    char why[FIXTURE_WHY_SIZE];
    *same = fixture_selection_same(scene->store.tier, selection, &scene->ledger, fixture_always(),
                                   NULL, why);
    struct read_stats stats;
    selection_stats(scene->store.tier, selection, &stats);
    selection_close(scene->store.tier, selection);
    return stats;
}

static void a_damaged_part_makes_answers_partial_and_is_not_merged_away(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    for (uint32_t i = 0; i < 700; i++)
        scene_put_one(&scene, 1, NOW + i * 997 % 60000000, sin(i));
    store_flush(&scene.store);
    char path[160];
    part_path(&scene, path);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseek(file, 1000, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, 1000, SEEK_SET), 0);
    fputc(byte ^ 1, file);
    fclose(file);
    bool same;
    assert_true(read_everything(&scene, &same).partial);
    assert_false(same);
    /* Others of the day are there, and the damaged file stays. */
    for (int i = 0; i < 6; i++) {
        scene_put_one(&scene, 2, NOW + i, i);
        store_flush(&scene.store);
    }
    store_settle_down(&scene.store);
    assert_int_equal(access(path, F_OK), 0);
    struct storage_condition condition;
    storage_condition(scene.store.tier, &condition);
    assert_int_equal(condition.health, STORAGE_DEGRADED);
    scene_end(&scene);
}

/* A part of it is damaged. Of days that are whole, answers are whole. */
static void open_without_the_first_day(struct scene *scene)
{
    struct error err = {0};
    assert_int_equal(engine_open(&scene->store.options, &scene->store.tier, &err), STATUS_OK);
    assert_int_equal(scene_stats(scene).recovery.damaged, 1);
    bool same;
    assert_true(read_everything(scene, &same).partial);
    ledger_drop_before(&scene->ledger, NOW + MS_PER_DAY);
    char why[FIXTURE_WHY_SIZE];
    struct time_range later = {NOW + 2 * (int64_t)MS_PER_DAY, TIME_MAX_MS};
    if (!fixture_same(scene->store.tier, &scene->ledger, later, why))
        test_fail("%s", why);
}

static void a_missing_part_makes_answers_partial(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    scene_put_run(&scene, 1, NOW, 1000, 100, 0);
    scene_put_run(&scene, 1, NOW + 3 * (int64_t)MS_PER_DAY, 1000, 100, 0);
    store_flush(&scene.store);
    char path[160];
    part_path(&scene, path);
    engine_close(scene.store.tier);
    assert_int_equal(unlink(path), 0);
    open_without_the_first_day(&scene);
    scene_end(&scene);
}

/* A disk may return it, or a hand that copies files put it there. */
static void a_part_in_place_of_another_is_not_read(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    scene_put_run(&scene, 1, NOW, 1000, 100, 0);
    store_flush(&scene.store);
    scene_put_run(&scene, 1, NOW + 3 * (int64_t)MS_PER_DAY, 1000, 100, 0);
    store_flush(&scene.store);
    char path[160], command[400];
    part_path(&scene, path);
    engine_close(scene.store.tier);
    snprintf(command, sizeof command, "cd %s/parts && cp $(ls | tail -1) %s", scene.store.dir,
             path);
    assert_int_equal(system(command), 0);
    open_without_the_first_day(&scene);
    scene_end(&scene);
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
        struct scene scene;
        scene_begin(&scene, LARGE_HEAD, SERIES);
        for (uint32_t series = 0; series < SERIES; series++)
            scene_put_run(&scene, series, NOW, 1000, 300, series);
        store_flush(&scene.store);
        char path[160], command[400];
        part_path(&scene, path);
        engine_close(scene.store.tier);
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
        snprintf(command, sizeof command, damages[i], path);
#pragma GCC diagnostic pop
        assert_int_equal(system(command), 0);
        struct error err = {0};
        assert_int_equal(engine_open(&scene.store.options, &scene.store.tier, &err), STATUS_OK);
        bool same;
        assert_false(read_everything(&scene, &same).partial);
        assert_true(same);
        scene_end(&scene);
    }
}

/* ---- many series, few of them in use ----------------------------------------------------- */

static size_t selected_in(struct scene *scene, struct time_range range)
{
    struct select_options options = {.range = range};
    struct selection *selection = select_all(scene, &options);
    size_t count = selection_count(scene->store.tier, selection);
    selection_close(scene->store.tier, selection);
    char why[FIXTURE_WHY_SIZE];
    if (!fixture_same(scene->store.tier, &scene->ledger, range, why))
        test_fail("%s", why);
    return count;
}

static void put_day(struct scene *scene, int64_t day_start, uint32_t from, uint32_t to)
{
    for (uint32_t series = from; series < to; series++)
        scene_put_one(scene, series, day_start + series, series);
}

static void of_many_series_only_those_with_samples_in_the_range_are_selected(void **state)
{
    (void)state;
    enum { MANY = 3000 };
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    ledger_release(&scene.ledger);
    ledger_init(&scene.ledger, MANY);
    int64_t day = NOW - NOW % MS_PER_DAY;
    put_day(&scene, day, 0, MANY);
    store_flush(&scene.store);
    put_day(&scene, day + MS_PER_DAY, 100, 200);
    store_flush(&scene.store);
    put_day(&scene, day + 2 * (int64_t)MS_PER_DAY, 150, 170);
    struct time_range second = {day + MS_PER_DAY, day + 2 * (int64_t)MS_PER_DAY};
    struct time_range last = {day + 2 * (int64_t)MS_PER_DAY, TIME_MAX_MS};
    for (int round = 0; round < 3; round++) {
        assert_int_equal(selected_in(&scene, fixture_always()), MANY);
        assert_in_range(selected_in(&scene, second), 100, 120);
        /* What is in a head may be of any time. */
        assert_in_range(selected_in(&scene, last), 20, 20 + 10 * (size_t)round);
        if (round == 0)
            scene_put_one(&scene, 2500, day + MS_PER_DAY + 5, 1);
        else
            store_reopen(&scene.store);
    }
    scene_end(&scene);
}

/* ---- merging ---------------------------------------------------------------------------- */

/* The log apart, each sample is written by its flush and by two merges. */
static void samples_in_order_of_time_are_written_three_times_at_the_most(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    enum { FLUSHES = 200, RUN = 20 };
    int64_t day_start = NOW - NOW % MS_PER_DAY;
    for (int i = 0; i < FLUSHES; i++) {
        for (uint32_t series = 0; series < 10; series++)
            scene_put_run(&scene, series, day_start + (int64_t)i * RUN * 1000, 1000, RUN, i);
        scene_settle(&scene);
    }
    struct engine_stats stats = scene_stats(&scene);
    assert_true(stats.parts < 30);
    assert_in_range(stats.flushed_bytes + stats.merged_bytes_written, stats.flushed_bytes + 1,
                    3 * stats.flushed_bytes);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void series_of_many_flushes_stand_in_few_segments(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    ledger_release(&scene.ledger);
    ledger_init(&scene.ledger, 2000);
    for (uint32_t flush = 0; flush < 100; flush++) {
        for (uint32_t i = 0; i < 20; i++)
            scene_put_one(&scene, flush * 20 + i, NOW + flush, flush);
        scene_put_one(&scene, flush * 7, NOW + 1000 + flush, 1);
        scene_settle(&scene);
    }
    struct engine_stats stats = scene_stats(&scene);
    assert_true(stats.index_merges > 10);
    assert_true(stats.index_segments < 12);
    assert_int_equal(stats.series_committed, 2000);
    scene_check_all_ways(&scene);
    assert_int_equal(scene_stats(&scene).series_committed, 2000);
    /* Known series are found on disk, and are no new ones. */
    scene_put_one(&scene, 3, NOW + 5000, 1);
    scene_put_one(&scene, 1999, NOW + 5000, 1);
    assert_int_equal(scene_stats(&scene).series_committed, 2000);
    assert_int_equal(store_files(&scene.store, "index"), scene_stats(&scene).index_segments);
    scene_check_all_ways(&scene);
    scene_end(&scene);
}

static void a_few_late_samples_do_not_have_a_large_part_written_again(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin(&scene, LARGE_HEAD, SERIES);
    int64_t day_start = NOW - NOW % MS_PER_DAY;
    for (int i = 0; i < 50000; i++)
        scene_put_one(&scene, 1, day_start + 1000 + i * 7 + i % 5, (double)((int64_t)i * i % 1009));
    store_flush(&scene.store);
    uint64_t large = scene_stats(&scene).flushed_bytes;
    for (int i = 0; i < 40; i++) {
        scene_put_one(&scene, 1, day_start + i, i);
        scene_settle(&scene);
    }
    struct engine_stats stats = scene_stats(&scene);
    assert_true(stats.merges > 5);
    assert_true(stats.merged_bytes_written < large / 2);
    assert_true(stats.parts < 15);
    scene_check_all_ways(&scene);
    scene_end(&scene);
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
        cmocka_unit_test(
            series_stay_and_their_ids_are_not_used_again_while_a_selection_may_mean_them),
        cmocka_unit_test(days_that_are_dropped_while_ids_wait_are_not_forgotten),
        cmocka_unit_test(memory_of_a_query_over_overlapping_parts_does_not_follow_their_samples),
        cmocka_unit_test(limits_of_a_query_are_kept),
        cmocka_unit_test(count_sum_and_increase_come_from_headers),
        cmocka_unit_test(samples_read_are_counted_once),
        cmocka_unit_test(a_damaged_part_makes_answers_partial_and_is_not_merged_away),
        cmocka_unit_test(a_missing_part_makes_answers_partial),
        cmocka_unit_test(a_part_in_place_of_another_is_not_read),
        cmocka_unit_test(a_part_whose_frame_is_damaged_is_read_whole),
        cmocka_unit_test(of_many_series_only_those_with_samples_in_the_range_are_selected),
        cmocka_unit_test(samples_in_order_of_time_are_written_three_times_at_the_most),
        cmocka_unit_test(series_of_many_flushes_stand_in_few_segments),
        cmocka_unit_test(a_few_late_samples_do_not_have_a_large_part_written_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Metrics with their descriptors, and days, as the engine lists them. */
#include "../../test.h"

#include "base/times.h"
#include "scene.h"

enum { SERIES = 50, LARGE_HEAD = 8 << 20, SMALL_HEAD = 64 << 10 };

#define NOW INT64_C(1750000000000)

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
                        &listed, NULL, &partial, &err) != STATUS_OK ||
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(metrics_are_listed_by_name_with_series_and_span),
        cmocka_unit_test(descriptors_are_compared_and_kept),
        cmocka_unit_test(descriptors_do_not_make_the_log_grow),
        cmocka_unit_test(chunks_are_listed_by_day),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Series and days that are refused as they are written: nothing of them is kept, and all is
 * counted. */
#include "../../test.h"

#include <inttypes.h>

#include "base/times.h"
#include "scene.h"

enum { SERIES = 50, HEAD = 8 << 20 };

#define NOW INT64_C(1750000000000)

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
    scene_begin(&scene, HEAD, SERIES);
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
    scene_begin(&scene, HEAD, SERIES);
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
    scene_begin(&scene, HEAD, SERIES);
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
    scene_begin(&scene, HEAD, SERIES);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused_series_take_nothing_and_known_ones_always_pass),
        cmocka_unit_test(an_atomic_batch_with_one_refusal_leaves_nothing),
        cmocka_unit_test(every_one_of_many_refusals_is_counted),
        cmocka_unit_test(days_beyond_the_limit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * When merges pause: the thread that merges asks after each series and block whether to go on.
 */
#include "../../test.h"

#include "base/times.h"
#include "scene.h"
#include "storage/engine/engine_internal.h"

enum { NOW_DAY = 20100 };

static void begin(struct scene *scene)
{
    scene_begin_at(scene, 256 * 1024, 4, NOW_DAY * INT64_C(1) * MS_PER_DAY);
    engine_of(scene->store.tier)->pace.gives_way = true;
}

/* The pauses that a slice of a millisecond ends with. */
static uint64_t pauses_of_a_slice(struct scene *scene)
{
    uint64_t before = scene_stats(scene).merge_pauses;
    scene->passed_ms++;
    assert_true(engine_goes_on(engine_of(scene->store.tier)));
    return scene_stats(scene).merge_pauses - before;
}

/* The first slice began before anything else. */
static void begin_slices(struct scene *scene)
{
    begin(scene);
    (void)pauses_of_a_slice(scene);
    assert_int_equal(pauses_of_a_slice(scene), 0);
}

static void a_merge_pauses_after_a_slice_beside_which_somebody_wrote(void **state)
{
    (void)state;
    struct scene scene;
    begin_slices(&scene);
    scene_put_one(&scene, 1, scene.now_ms, 1);
    assert_int_equal(pauses_of_a_slice(&scene), 1);
    assert_int_equal(pauses_of_a_slice(&scene), 0);
    scene_end(&scene);
}

static void a_merge_pauses_as_long_as_somebody_reads(void **state)
{
    (void)state;
    struct scene scene;
    begin_slices(&scene);
    struct matchers everything = {0};
    struct select_options options = {.range = fixture_always()};
    struct selection *selection = NULL;
    struct error err;
    assert_int_equal(storage_select(scene.store.tier, &everything, 1, &options, &selection, &err),
                     STATUS_OK);
    assert_int_equal(pauses_of_a_slice(&scene), 1);
    assert_int_equal(pauses_of_a_slice(&scene), 1);
    selection_close(scene.store.tier, selection);
    assert_int_equal(pauses_of_a_slice(&scene), 0);
    /* One that ends within a slice is no less in its way. */
    assert_int_equal(storage_select(scene.store.tier, &everything, 1, &options, &selection, &err),
                     STATUS_OK);
    selection_close(scene.store.tier, selection);
    assert_int_equal(pauses_of_a_slice(&scene), 1);
    scene_end(&scene);
}

static void a_merge_that_many_parts_wait_for_does_not_pause(void **state)
{
    (void)state;
    struct scene scene;
    begin_slices(&scene);
    engine_of(scene.store.tier)->pace.hurries = true;
    scene_put_one(&scene, 1, scene.now_ms, 1);
    assert_int_equal(pauses_of_a_slice(&scene), 0);
    scene_end(&scene);
}

static void a_slice_that_has_only_begun_ends_without_a_pause(void **state)
{
    (void)state;
    struct scene scene;
    begin_slices(&scene);
    scene_put_one(&scene, 1, scene.now_ms, 1);
    assert_true(engine_goes_on(engine_of(scene.store.tier)));
    assert_int_equal(scene_stats(&scene).merge_pauses, 0);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_merge_pauses_after_a_slice_beside_which_somebody_wrote),
        cmocka_unit_test(a_merge_pauses_as_long_as_somebody_reads),
        cmocka_unit_test(a_merge_that_many_parts_wait_for_does_not_pause),
        cmocka_unit_test(a_slice_that_has_only_begun_ends_without_a_pause),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

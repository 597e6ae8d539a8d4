/* Who merges has several things to do, of which each may have work without end. */
#include "../../test.h"

#include "base/times.h"
#include "scene.h"

enum { NOW_DAY = 20100, DAYS = 12, FLUSHES = 8, HEAD = 8 << 20 };

/* Many days of many parts each, and a segment of the index with each part. */
static void segments_of_the_index_are_merged_though_parts_wait_too(void **state)
{
    (void)state;
    struct scene scene;
    scene_begin_at(&scene, HEAD, DAYS * FLUSHES, NOW_DAY * INT64_C(1) * MS_PER_DAY);
    for (uint32_t i = 0; i < DAYS * FLUSHES; i++) {
        scene_put_one(&scene, i, scene.now_ms - i / FLUSHES * (int64_t)MS_PER_DAY, i);
        store_flush(&scene.store);
    }
    unsigned steps = 0;
    for (; scene_stats(&scene).index_merges == 0; steps++) {
        bool did;
        struct error err = {0};
        assert_int_equal(engine_background_step(scene.store.tier, &did, &err), STATUS_OK);
        assert_true(did);
    }
    assert_true(steps <= 5);
    assert_true(scene_stats(&scene).merges < DAYS);
    scene_settle(&scene);
    scene_check(&scene);
    scene_end(&scene);
}

/* It may take long, and meanwhile the parts of the day would become more and more. */
static void no_day_gets_warm_while_merges_are_behind(void **state)
{
    (void)state;
    enum { OLD_DAYS = 4, OLD_PARTS = 2, PARTS = 80 };
    struct scene scene;
    scene_begin_at(&scene, HEAD, PARTS, NOW_DAY * INT64_C(1) * MS_PER_DAY);
    for (uint32_t i = 0; i < OLD_DAYS * OLD_PARTS; i++) {
        scene_put_one(&scene, 0, scene.now_ms - (30 + i % OLD_DAYS) * (int64_t)MS_PER_DAY + i, i);
        store_flush(&scene.store);
    }
    for (uint32_t i = 0; i < PARTS; i++) {
        scene_put_one(&scene, i, scene.now_ms + i, i);
        store_flush(&scene.store);
    }
    engine_set_warm_after(scene.store.tier, 10 * (int64_t)MS_PER_DAY);
    for (uint64_t parts = PARTS + OLD_DAYS * OLD_PARTS; parts > 64 + OLD_DAYS * OLD_PARTS;) {
        assert_int_equal(scene_stats(&scene).warm_merges, 0);
        bool did;
        struct error err = {0};
        assert_int_equal(engine_background_step(scene.store.tier, &did, &err), STATUS_OK);
        assert_true(did);
        parts = scene_stats(&scene).parts;
    }
    scene_settle(&scene);
    assert_int_equal(scene_stats(&scene).warm_merges, OLD_DAYS);
    scene_check(&scene);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(segments_of_the_index_are_merged_though_parts_wait_too),
        cmocka_unit_test(no_day_gets_warm_while_merges_are_behind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

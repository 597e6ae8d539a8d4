/* Series that leave the index while somebody wants one of them again, or a segment is damaged. */
#include "../../test.h"

#include "base/times.h"
#include "hooked_fs.h"
#include "scene.h"

enum { SERIES = 60, HEAD = 8 << 20 };

struct test {
    struct scene scene;
    struct hooked_fs fs;
    int64_t now_ms;
    uint32_t next;  /* series that is wanted next, */
    uint32_t until; /* as long as it is below: each time that a segment of the index is made */
    uint32_t made;
};

static void want_one(void *context, const char *path, enum file_mode mode)
{
    struct test *test = context;
    if (mode != FILE_CREATE_NEW || strstr(path, "/index/") == NULL)
        return;
    test->made++;
    if (test->next < test->until) {
        test->next++;
        scene_put_one(&test->scene, test->next - 1, test->now_ms + 2, 7);
    }
}

/* One segment with series [0, first), another one with the others; only series 0 has samples of
 * today. */
static void begin(struct test *test, uint32_t first)
{
    *test = (struct test){0};
    scene_begin(&test->scene, HEAD, SERIES);
    hooked_fs_init(&test->fs, want_one, test);
    struct engine_options options = test->scene.store.options;
    options.os.fs = &test->fs.fs;
    scene_reopen_with(&test->scene, &options);
    test->now_ms = clock_wall_ms(options.os.clock);
    for (uint32_t i = 0; i < SERIES; i++) {
        if (i == first)
            store_flush(&test->scene.store);
        scene_put_one(&test->scene, i, test->now_ms - 5 * (int64_t)MS_PER_DAY, i);
    }
    store_flush(&test->scene.store);
    /* The log tells of series up to the flush before. */
    scene_put_one(&test->scene, 0, test->now_ms, 1);
    store_flush(&test->scene.store);
    test->made = 0;
}

static void drop_the_past(struct test *test)
{
    engine_set_retention(test->scene.store.tier, 2 * (int64_t)MS_PER_DAY);
    store_settle_down(&test->scene.store);
    ledger_drop_before(&test->scene.ledger, test->now_ms - 2 * (int64_t)MS_PER_DAY);
}

static void a_series_that_comes_back_stays_and_the_others_leave(void **state)
{
    (void)state;
    for (uint32_t wanted = 1; wanted <= 3; wanted++) {
        struct test test;
        begin(&test, SERIES);
        test.next = 1;
        test.until = 1 + wanted;
        drop_the_past(&test);
        struct engine_stats stats = scene_stats(&test.scene);
        /* Whoever is wanted each time that the index is written stops it for now. */
        assert_int_equal(stats.series_committed, wanted < 3 ? 1 + wanted : SERIES);
        assert_int_equal(stats.series_ids_freed, wanted < 3 ? SERIES - 1 - wanted : 0);
        assert_int_equal(test.made, wanted < 3 ? 1 + wanted : 3);
        assert_int_equal(test.next, 1 + wanted);
        test.until = 0;
        scene_check_all_ways(&test.scene);
        scene_end(&test.scene);
    }
}

static void a_damaged_segment_keeps_its_series_and_those_of_others_leave(void **state)
{
    (void)state;
    enum { FIRST = 40 };
    struct test test;
    begin(&test, FIRST);
    assert_int_equal(scene_stats(&test.scene).index_segments, 2);
    char command[200];
    snprintf(command, sizeof command,
             "cd %s/index && printf XXXX | dd of=$(ls -S | head -1) bs=1 seek=100 "
             "conv=notrunc status=none",
             test.scene.store.dir);
    assert_int_equal(system(command), 0);
    drop_the_past(&test);
    assert_int_equal(scene_stats(&test.scene).series_committed, FIRST);
    assert_int_equal(scene_stats(&test.scene).series_ids_freed, SERIES - FIRST);
    struct storage_condition condition;
    storage_condition(test.scene.store.tier, &condition);
    assert_int_equal(condition.health, STORAGE_DEGRADED);
    scene_end(&test.scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_series_that_comes_back_stays_and_the_others_leave),
        cmocka_unit_test(a_damaged_segment_keeps_its_series_and_those_of_others_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

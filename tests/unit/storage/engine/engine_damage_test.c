/* Parts that are damaged, missing or not the right ones: what answers and a start say of it. And
 * writes where damage hides what the store knows. */
#include "../../test.h"

#include <math.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/times.h"
#include "scene.h"

enum { SERIES = 50, HEAD = 8 << 20 };

#define NOW INT64_C(1750000000000)

static void part_path(const struct scene *scene, char path[160])
{
    snprintf(path, 160, "%s/parts/%016x.part", scene->store.dir, 1);
}

static struct read_stats read_everything(struct scene *scene, bool *same)
{
    struct select_options options = {.range = fixture_always()};
    struct selection *selection = scene_select(scene, &options);
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
    scene_begin(&scene, HEAD, SERIES);
    for (uint32_t i = 0; i < 700; i++)
        scene_put_one(&scene, 1, NOW + i * 997 % 60000000, sin(i));
    store_flush(&scene.store);
    char path[160];
    part_path(&scene, path);
    scene_flip(path, 1000);
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
    scene_begin(&scene, HEAD, SERIES);
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
    scene_begin(&scene, HEAD, SERIES);
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
        scene_begin(&scene, HEAD, SERIES);
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

static uint64_t start_of_keys(const char *path)
{
    enum { TRAILER_SIZE = 148, KEYS_AT = 56 }; /* docs/formats/series-segment.md */
    uint8_t offset[8];
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    assert_int_equal(fseek(file, KEYS_AT - TRAILER_SIZE, SEEK_END), 0);
    assert_int_equal(fread(offset, sizeof offset, 1, file), 1);
    fclose(file);
    return load_u64(offset);
}

enum { HIDDEN = 3 };

/* Of 20 series one is hidden: neither its key nor its labels can be read. */
static void begin_with_hidden(struct scene *scene)
{
    scene_begin(scene, HEAD, SERIES);
    for (uint32_t i = 0; i < 20; i++)
        scene_put_one(scene, i, NOW, i);
    store_flush(&scene->store);
    struct engine_stats stats = scene_stats(scene);
    assert_int_equal(stats.index_segments, 1);
    engine_close(scene->store.tier);
    char find[200], path[200] = "";
    snprintf(find, sizeof find, "grep -l ^MSSERIES %s/index/*.seg", scene->store.dir);
    FILE *found = popen(find, "r");
    assert_non_null(found);
    assert_non_null(fgets(path, sizeof path, found));
    pclose(found);
    path[strcspn(path, "\n")] = 0;
    scene_flip(path, (long)start_of_keys(path) + 20);
    scene_flip(path, 60);
    struct error err = {0};
    assert_int_equal(engine_open(&scene->store.options, &scene->store.tier, &err), STATUS_OK);
}

static void a_series_that_damage_hides_is_refused_and_the_others_are_stored(void **state)
{
    (void)state;
    struct scene scene;
    struct error err = {0};
    begin_with_hidden(&scene);
    const struct fixture_sample samples[] = {{30, NOW, 1}, {HIDDEN, NOW + 1, 2}, {31, NOW, 3}};
    struct fixture_write write = {.samples = samples, .count = 3};
    assert_int_equal(fixture_commit(scene.store.tier, &write, 1, &err), STATUS_OK);
    assert_int_equal(write.rejected, 1);
    assert_string_equal(write.code, "data_damaged");
    assert_int_equal(scene_stats(&scene).samples_appended, 2);
    scene_end(&scene);
}

/* A client does not send again what is refused. */
static void a_disk_that_fails_as_a_whole_is_no_damage_of_a_series(void **state)
{
    (void)state;
    struct scene scene;
    struct error err = {0};
    begin_with_hidden(&scene);
    const struct fixture_sample sample = {HIDDEN, NOW + 1, 2};
    assert_int_equal(fixture_abandon(scene.store.tier, &sample, 1, &err), STATUS_OK);
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &none), 0);
    enum status status = fixture_abandon(scene.store.tier, &sample, 1, &err);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_true(status == STATUS_IO || status == STATUS_NO_SPACE);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_damaged_part_makes_answers_partial_and_is_not_merged_away),
        cmocka_unit_test(a_missing_part_makes_answers_partial),
        cmocka_unit_test(a_part_in_place_of_another_is_not_read),
        cmocka_unit_test(a_part_whose_frame_is_damaged_is_read_whole),
        cmocka_unit_test(a_series_that_damage_hides_is_refused_and_the_others_are_stored),
        cmocka_unit_test(a_disk_that_fails_as_a_whole_is_no_damage_of_a_series),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

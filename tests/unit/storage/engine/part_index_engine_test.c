#include "../../test.h"

#include <unistd.h>

#include "base/times.h"
#include "scene.h"
#include "storage/engine/part_format.h"

#define NOW (INT64_C(20780) * MS_PER_DAY)

/* One bit of the index of the store's only part, which is closed. */
static void flip_index_bit(const struct scene *scene)
{
    char path[160];
    FILE *file = NULL;
    for (int id = 1; id < 100 && file == NULL; id++) {
        snprintf(path, sizeof path, "%s/parts/%016x.part", scene->store.dir, (unsigned)id);
        file = fopen(path, "r+b");
    }
    assert_non_null(file);
    assert_int_equal(fseek(file, -(long)(PART_TRAILER_SIZE + 1), SEEK_END), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, -(long)(PART_TRAILER_SIZE + 1), SEEK_END), 0);
    assert_int_not_equal(fputc(byte ^ 1, file), EOF);
    fclose(file);
}

static void close_store(struct scene *scene)
{
    engine_close(scene->store.tier);
    scene->store.tier = NULL;
}

static void open_store(struct scene *scene)
{
    struct error err = {0};
    if (engine_open(&scene->store.options, &scene->store.tier, &err) != STATUS_OK)
        test_fail("%s", err.message);
}

static void write_part(struct scene *scene, int64_t from_ms)
{
    for (uint32_t series = 0; series < 10; series++)
        scene_put_run(scene, series, from_ms + series, 1000, 500, series);
    store_flush(&scene->store);
}

static void begin_with_a_part(struct scene *scene)
{
    scene_begin(scene, 1 << 20, 10);
    write_part(scene, NOW);
}

static void a_start_reads_no_index_of_a_part(void **state)
{
    (void)state;
    struct scene scene;
    begin_with_a_part(&scene);
    store_reopen(&scene.store);
    assert_int_equal(scene_stats(&scene).parts, 1);
    assert_int_equal(scene_stats(&scene).part_index_loads, 0);
    assert_int_equal(scene_stats(&scene).part_index_bytes, 0);
    scene_check(&scene);
    assert_int_not_equal(scene_stats(&scene).part_index_loads, 0);
    assert_int_not_equal(scene_stats(&scene).part_index_bytes, 0);
    scene_end(&scene);
}

static void a_damaged_index_is_found_by_the_first_query_and_costs_nothing(void **state)
{
    (void)state;
    struct scene scene;
    struct storage_condition condition;
    begin_with_a_part(&scene);
    close_store(&scene);
    flip_index_bit(&scene);
    open_store(&scene);
    storage_condition(scene.store.tier, &condition);
    assert_int_equal(condition.health, STORAGE_HEALTHY);
    for (int turn = 0; turn < 3; turn++)
        scene_check(&scene);
    assert_int_equal(scene_stats(&scene).damaged_blocks, 1);
    assert_int_equal(scene_stats(&scene).part_index_loads, 1);
    storage_condition(scene.store.tier, &condition);
    assert_int_equal(condition.health, STORAGE_DEGRADED);
    assert_non_null(strstr(condition.message, "index checksum differs"));
    scene_end(&scene);
}

static void a_merge_gets_round_a_damaged_index_and_mends_it(void **state)
{
    (void)state;
    struct scene scene;
    begin_with_a_part(&scene);
    close_store(&scene);
    flip_index_bit(&scene);
    open_store(&scene);
    for (int i = 1; i < 4; i++)
        write_part(&scene, NOW + i * (int64_t)1000000);
    store_settle_down(&scene.store);
    assert_int_not_equal(scene_stats(&scene).merges, 0);
    assert_int_equal(scene_stats(&scene).damaged_blocks, 1);
    store_reopen(&scene.store);
    scene_check(&scene);
    assert_int_equal(scene_stats(&scene).damaged_blocks, 0);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_start_reads_no_index_of_a_part),
        cmocka_unit_test(a_damaged_index_is_found_by_the_first_query_and_costs_nothing),
        cmocka_unit_test(a_merge_gets_round_a_damaged_index_and_mends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

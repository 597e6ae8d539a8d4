/*
 * Whole files of a small store cut off, missing, swapped, and those of another store: answered
 * honestly, and repaired.
 */
#include "../unit/test.h"

#include "damage_check.h"
static void look_and_repair(const struct world *world, struct sim_disk *disk, const char *what,
                            uint64_t where)
{
    struct told told;
    expect_honest(world, disk, what, where);
    expect_repair(world, disk, what, where, &told);
    expect_ingest(world, disk, what, where);
    expect_delete(world, disk, what, where);
    sim_disk_free(disk);
}

static void a_file_that_is_cut_off_is_answered_honestly_and_repaired(void **state)
{
    (void)state;
    struct world world;
    world_make_small(&world, 3);
    for (size_t i = 0; i < world.count; i++) {
        const struct stored_file *file = &world.files[i];
        if (file_is_spare(file))
            continue;
        for (uint64_t part = 0; part < 24; part++) {
            struct sim_disk *disk = sim_disk_clone(world.disk);
            uint64_t size = part == 23 ? file->size - 1 : file->used * part / 23;
            disk_cut(disk, file->path, size);
            look_and_repair(&world, disk, file->path, size);
        }
    }
    world_release(&world);
}

static void a_missing_file_is_answered_honestly_and_repaired(void **state)
{
    (void)state;
    struct world world;
    world_make_small(&world, 4);
    for (size_t i = 0; i < world.count; i++) {
        if (file_is_spare(&world.files[i]))
            continue;
        struct sim_disk *disk = sim_disk_clone(world.disk);
        assert_int_equal(filesystem_remove(sim_disk_filesystem(disk), world.files[i].path, NULL),
                         STATUS_OK);
        look_and_repair(&world, disk, world.files[i].path, 0);
    }
    world_release(&world);
}

static bool same_folder(const char *a, const char *b)
{
    const char *slash = strrchr(a, '/');
    return slash != NULL && strncmp(a, b, (size_t)(slash - a) + 1) == 0 &&
           strrchr(b, '/') - b == slash - a;
}

static void swapped_files_are_answered_honestly_and_repaired(void **state)
{
    (void)state;
    struct world world;
    world_make_small(&world, 5);
    unsigned swaps = 0;
    for (size_t i = 0; i < world.count; i++)
        for (size_t j = 0; j < i; j++) {
            const char *a = world.files[i].path;
            const char *b = world.files[j].path;
            if (!same_folder(a, b) || file_is_log(&world.files[i]))
                continue;
            struct sim_disk *disk = sim_disk_clone(world.disk);
            disk_swap(disk, a, b);
            look_and_repair(&world, disk, a, j);
            swaps++;
        }
    assert_true(swaps >= 4);
    world_release(&world);
}

/* Of a store with other series under the same ids, in files of the same names. */
static void a_file_of_another_store_is_answered_honestly(void **state)
{
    (void)state;
    struct world world, other;
    world_make_small(&world, 6);
    world_init(&other, &small_world, 7);
    struct sim_machine machine;
    struct tier *tier;
    struct error err = {0};
    world_machine_init(&other, &machine, other.disk);
    assert_int_equal(engine_open(&machine.options, &tier, &err), STATUS_OK);
    for (uint32_t i = SMALL_SERIES; i-- > 0;)
        world_put(&other, tier, i, SIM_START_MS + 777, 20, i % 2 == 0);
    world_describe(&other, tier);
    assert_int_equal(engine_flush(tier, &err), STATUS_OK);
    /* Its log goes on where ours does, and further. */
    for (uint32_t i = 0; i < 8 * SMALL_SERIES; i++)
        world_put(&other, tier, i % SMALL_SERIES, SIM_START_MS + MS_PER_DAY + i * 60000, 20, true);
    engine_abandon(tier);
    for (size_t i = 0; i < world.count; i++) {
        const struct stored_file *file = &world.files[i];
        struct sim_disk *source = sim_disk_clone(other.disk);
        struct file *there = NULL;
        bool has = filesystem_open(sim_disk_filesystem(source), file->path, FILE_READ, &there,
                                   NULL) == STATUS_OK;
        file_close(there);
        sim_disk_free(source);
        if (!has || file_is_spare(file))
            continue;
        struct sim_disk *disk = sim_disk_clone(world.disk);
        disk_bring(disk, file->path, other.disk, file->path);
        /* A manifest makes the files of this store into those of another: none is what it names. */
        if (strstr(file->path, "manifest") != NULL) {
            expect_honest(&world, disk, file->path, 0);
            sim_disk_free(disk);
        } else {
            look_and_repair(&world, disk, file->path, 0);
        }
    }
    world_release(&other);
    world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_that_is_cut_off_is_answered_honestly_and_repaired),
        cmocka_unit_test(a_missing_file_is_answered_honestly_and_repaired),
        cmocka_unit_test(swapped_files_are_answered_honestly_and_repaired),
        cmocka_unit_test(a_file_of_another_store_is_answered_honestly),
    };
    cmocka_set_test_filter(getenv("METRIC_STORE_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

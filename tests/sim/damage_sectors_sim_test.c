/*
 * A disk that does not give back one sector, or one page, of a store, again and again. Each costs
 * what damage to its bytes may cost, and no more (docs/ENGINE.md); only of the manifest and the log
 * a start says that it cannot read them, and changes nothing. A repair makes a sound store of what
 * is left, on the same disk.
 */
#include "../unit/test.h"

#include <inttypes.h>

#include "damage_check.h"
#include "damage_regions.h"

enum {
    PAGE_SIZE = 4096,
    BYTES = 100,
    BYTES_STEP = SANITIZED ? 197 : 37,
    SEEDS = SANITIZED ? 1 : 3,
    REPAIR_EVERY = SANITIZED ? 7 : 1,
    WRITE_EVERY = SANITIZED ? 11 : 1,
    LOG_REST_EVERY = SANITIZED ? 41 : 13,
};

/* Neither is ever read around by who goes on with it. */
static bool refuses(const struct stored_file *file)
{
    return file_is_log(file) || strcmp(file->path, "/store/manifest") == 0;
}

/* What a start says of it, and that it leaves the store as it was. */
static void expect_refusal(const struct world *world, const struct sim_disk *damaged,
                           const struct stored_file *file, uint64_t at)
{
    struct sim_disk *disk = sim_disk_clone(damaged);
    struct sim_machine machine;
    struct tier *tier = NULL;
    struct error err = {0};
    world_machine_init(world, &machine, disk);
    enum status status = engine_open(&machine.options, &tier, &err);
    if (status == STATUS_OK)
        engine_abandon(tier);
    else if (status != STATUS_IO || strstr(err.message, "verify --repair") == NULL)
        test_fail("%s, byte %" PRIu64 ": %s: %s", file->path, at, status_name(status), err.message);
    /* When the disk is well again, nothing is missing. */
    sim_disk_make_unreadable(disk, file->path, 0, 0);
    struct answer answer = world_ask(world, disk, true);
    if (answer.status != STATUS_OK || answer.wrong || answer.partial ||
        answer.samples != ledger_count(&world->living))
        test_fail("%s, byte %" PRIu64 ": after a start that was refused: %s %s", file->path, at,
                  status_name(answer.status), answer.why);
    sim_disk_free(disk);
}

static size_t regions_at(const struct regions *regions, size_t file, uint64_t from, uint64_t to,
                         const struct region **found)
{
    size_t count = 0;
    for (size_t i = 0; i < regions->count; i++) {
        const struct region *region = &regions->items[i];
        if (region->file == file && region->from < to && region->from + region->size > from)
            found[count++] = region;
    }
    return count;
}

static void expect_bounds(const struct regions *regions, const struct sim_disk *damaged,
                          size_t file, uint64_t from, uint64_t to)
{
    const struct world *world = regions->world;
    const struct region **hit = calloc(regions->count + 1, sizeof hit[0]);
    assert_non_null(hit);
    size_t count = regions_at(regions, file, from, to, hit);
    for (int read_only = 0; read_only < 2; read_only++) {
        struct sim_disk *disk = sim_disk_clone(damaged);
        struct sim_machine machine;
        struct tier *tier = NULL;
        struct error err = {0};
        struct ledger told;
        char why[FIXTURE_WHY_SIZE] = "";
        ledger_init(&told, world->living.series_count);
        struct answer answer = {.told = &told};
        world_machine_init(world, &machine, disk);
        machine.options.read_only = read_only == 1;
        if (engine_open(&machine.options, &tier, &err) != STATUS_OK)
            test_fail("%s, byte %" PRIu64 ": %s", world->files[file].path, from, err.message);
        world_questions(world, tier, &answer);
        engine_abandon(tier);
        if (answer.wrong || answer.status != STATUS_OK ||
            !regions_allow(regions, hit, count, read_only == 1, &told, why))
            test_fail("%s, bytes %" PRIu64 " to %" PRIu64 "%s: %s%s %s", world->files[file].path,
                      from, to, read_only == 1 ? ", read only" : "", answer.why, why,
                      status_name(answer.status));
        ledger_release(&told);
        sim_disk_free(disk);
    }
    free(hit);
}

static void look(const struct regions *regions, size_t index, uint64_t at, uint64_t size,
                 uint64_t turn)
{
    const struct world *world = regions->world;
    const struct stored_file *file = &world->files[index];
    struct sim_disk *disk = sim_disk_clone(world->disk);
    sim_disk_make_unreadable(disk, file->path, at, size);
    expect_honest(world, disk, file->path, at);
    if (refuses(file))
        expect_refusal(world, disk, file, at);
    else
        /* Searches leave out whole sectors. */
        expect_bounds(regions, disk, index, at / SIM_SECTOR_SIZE * SIM_SECTOR_SIZE,
                      (at + size + SIM_SECTOR_SIZE - 1) / SIM_SECTOR_SIZE * SIM_SECTOR_SIZE);
    if (turn % REPAIR_EVERY == 0) {
        struct told told;
        expect_repair(world, disk, file->path, at, &told);
        if (!file_is_log(file) && told.result.found.damaged == 0)
            test_fail("%s, byte %" PRIu64 ": verify finds nothing", file->path, at);
    }
    if (turn % WRITE_EVERY == 0 && !refuses(file)) {
        expect_ingest(world, disk, file->path, at);
        expect_delete(world, disk, file->path, at);
    }
    sim_disk_free(disk);
}

static uint64_t sweep(uint64_t seed, uint64_t size, uint64_t step)
{
    struct world world;
    struct regions regions;
    world_make_small(&world, seed);
    regions_make(&regions, &world);
    uint64_t looked = 0;
    for (size_t i = 0; i < world.count; i++) {
        const struct stored_file *file = &world.files[i];
        if (file_is_spare(file))
            continue;
        for (uint64_t at = 0; at < file->used; at += step)
            look(&regions, i, at, size, looked++);
        for (uint64_t at = (file->used / size + 1) * size; at < file->size;
             at += LOG_REST_EVERY * size)
            look(&regions, i, at, size, looked++);
    }
    printf("%zu files, %" PRIu64 " places of %" PRIu64 " bytes\n", world.count, looked, size);
    regions_release(&regions);
    world_release(&world);
    return looked;
}

static void a_sector_that_cannot_be_read_costs_its_place(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        assert_true(sweep(seed, SIM_SECTOR_SIZE, SIM_SECTOR_SIZE) > 50);
}

/* As a test of a broken disk may have it. */
static void bytes_that_cannot_be_read_cost_their_place(void **state)
{
    (void)state;
    assert_true(sweep(3, BYTES, BYTES_STEP) > 50);
}

static void a_page_that_cannot_be_read_costs_its_place(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= SEEDS; seed++)
        assert_true(sweep(seed, PAGE_SIZE, PAGE_SIZE) > 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_sector_that_cannot_be_read_costs_its_place),
        cmocka_unit_test(bytes_that_cannot_be_read_cost_their_place),
        cmocka_unit_test(a_page_that_cannot_be_read_costs_its_place),
    };
    cmocka_set_test_filter(getenv("METRIC_STORE_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

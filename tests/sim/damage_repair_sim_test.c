/*
 * A repair that is killed, or whose machine stops, at any point: run again it saves all that it
 * would have saved.
 */
#include "../unit/test.h"

#include <inttypes.h>

#include "damage_check.h"
#include "sim_explore.h"

struct crashed {
    const struct world *world;
    const char *what;
    uint64_t least; /* samples that a repair without a crash saves */
    bool kept;      /* the damaged file has to be there, in its place or in the quarantine */
};

static bool is_kept(const struct crashed *crashed, struct sim_disk *disk)
{
    char kept[STORE_PATH_SIZE + 16];
    snprintf(kept, sizeof kept, "/store/quarantine%s", strrchr(crashed->what, '/'));
    const char *const paths[] = {crashed->what, kept};
    bool there = false;
    for (size_t i = 0; i < 2; i++) {
        struct file *file = NULL;
        there = there || filesystem_open(sim_disk_filesystem(disk), paths[i], FILE_READ, &file,
                                         NULL) == STATUS_OK;
        file_close(file);
    }
    if (!there)
        printf("%s: the damaged file is nowhere\n", crashed->what);
    return there;
}

static bool repair_again(void *context, struct sim_disk *disk)
{
    const struct crashed *crashed = context;
    struct told told = {0};
    struct error err = {0};
    sim_disk_set_sites(disk, NULL);
    if (crashed->kept && !is_kept(crashed, disk))
        return false;
    if (world_repair(crashed->world, disk, &told, &err) != STATUS_OK ||
        told.result.left.damaged > 0) {
        printf("%s: the second repair: %s%s\n", crashed->what, err.message, told.last);
        return false;
    }
    struct answer answer = {.may_lack = true};
    struct sim_machine machine;
    struct tier *tier;
    world_machine_init(crashed->world, &machine, disk);
    if (engine_open(&machine.options, &tier, &err) != STATUS_OK) {
        printf("%s: %s\n", crashed->what, err.message);
        return false;
    }
    world_question(crashed->world, tier, ASK_SAMPLES, &answer);
    engine_abandon(tier);
    if (!answer.wrong && answer.status == STATUS_OK && !answer.partial &&
        answer.samples >= crashed->least)
        return true;
    printf("%s: %" PRIu64 " samples instead of %" PRIu64 "%s %s\n", crashed->what, answer.samples,
           crashed->least, answer.partial ? ", partial" : "", answer.why);
    return false;
}

static uint64_t samples_after_repair(const struct world *world, const struct sim_disk *damaged)
{
    struct sim_disk *disk = sim_disk_clone(damaged);
    struct told told = {0};
    struct error err = {0};
    assert_int_equal(world_repair(world, disk, &told, &err), STATUS_OK);
    struct answer answer = world_ask(world, disk, true);
    sim_disk_free(disk);
    return answer.samples;
}

/* A sector of what stands in the log that the disk does not give back. */
static struct sim_disk *with_unreadable_log(const struct world *world)
{
    struct sim_disk *disk = sim_disk_clone(world->disk);
    const struct stored_file *log = NULL;
    for (size_t i = 0; i < world->count; i++)
        if (file_is_log(&world->files[i]) && (log == NULL || world->files[i].used > log->used))
            log = &world->files[i];
    assert_non_null(log);
    sim_disk_make_unreadable(disk, log->path, log->used * 2 / 3 / SIM_SECTOR_SIZE * SIM_SECTOR_SIZE,
                             SIM_SECTOR_SIZE);
    return disk;
}

/* Damage to an edit of the manifest, to the log, or to a file in its middle and to another one
 * too. */
static struct sim_disk *damaged(const struct world *world, size_t i)
{
    if (i > world->count)
        return with_unreadable_log(world);
    struct sim_disk *disk = sim_disk_clone(world->disk);
    const struct stored_file *file = &world->files[i % world->count];
    const struct stored_file *second = &world->files[(i + 2) % world->count];
    if (i == world->count)
        assert_true(disk_flip_edit(disk, 2));
    else /* The trailer of a part: all of it can be saved. */
        sim_disk_flip(disk, file->path,
                      strstr(file->path, ".part") != NULL ? (file->size - 10) * 8
                                                          : file->used / 2 * 8);
    if (!file_is_spare(second) && strstr(second->path, "manifest") == NULL)
        sim_disk_flip(disk, second->path, second->used / 3 * 8);
    return disk;
}

static bool crash_a_repair(const struct world *world, size_t i, struct sim_sites *sites,
                           uint64_t *states)
{
    const struct stored_file *file = &world->files[i % world->count];
    struct sim_disk *disk = damaged(world, i);
    struct crashed crashed = {world, file->path, samples_after_repair(world, disk),
                              i < world->count && !file_is_log(file) &&
                                  strstr(file->path, "manifest") == NULL};
    struct sim_explore explore = {.check = repair_again,
                                  .context = &crashed,
                                  .seed = i + 1,
                                  .crashes = SANITIZED ? 1 : 2,
                                  .kills = true,
                                  .every = SANITIZED ? 7 : 1};
    struct told told = {0};
    struct error err = {0};
    sim_explore_attach(&explore, disk);
    sim_disk_set_sites(disk, sites);
    if (world_repair(world, disk, &told, &err) != STATUS_OK)
        test_fail("%s: %s", file->path, err.message);
    sim_disk_set_sites(disk, NULL);
    sim_explore_now(&explore, disk);
    sim_explore_detach(disk);
    sim_disk_free(disk);
    *states += explore.states;
    return explore.violations == 0;
}

static bool crash_repairs(struct sim_sites *sites, uint64_t *states)
{
    struct world world;
    world_make_small(&world, 8);
    bool passed = true;
    for (size_t i = 0; i <= world.count + 1 && passed; i++)
        if (i >= world.count || !file_is_spare(&world.files[i]))
            passed = crash_a_repair(&world, i, sites, states);
    world_release(&world);
    return passed;
}

static void a_crash_in_a_repair_loses_nothing_that_it_would_have_saved(void **state)
{
    (void)state;
    uint64_t states = 0;
    assert_true(crash_repairs(NULL, &states));
    printf("%" PRIu64 " crash states\n", states);
    assert_true(states > 100);
}

#if !SANITIZED /* with most crashes left out, some sites would seem not to matter */
static bool crash_repairs_with_sites(void *context)
{
    uint64_t states = 0;
    return crash_repairs(context, &states);
}

/* Those of a start and of the log (engine_sim_test and the tests of the log), of a copy and of
 * segments of records (snapshot_sim_test), and of an edit (manifest_sim_test): one that is lost
 * after its files is found out here, and what it named is taken in. */
static const char *const proven_elsewhere[] = {
    "copy_file",       "engine_open", "make_directory",   "manifest_open",
    "manifest_commit", "rewrite",     "writer_close",     "make_durable",
    "make_durable",    "wal_recover", "wal_write_header", "wal_install_segment",
    "wal_sync",        NULL};

static void each_sync_of_a_repair_is_needed(void **state)
{
    (void)state;
    struct sim_sites sites = {.proven_elsewhere = proven_elsewhere};
    assert_true(sim_sites_mutate(&sites, crash_repairs_with_sites, &sites));
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_in_a_repair_loses_nothing_that_it_would_have_saved),
#if !SANITIZED
        cmocka_unit_test(each_sync_of_a_repair_is_needed),
#endif
    };
    /* A pattern, for scripts/sync-sites. */
    cmocka_set_test_filter(getenv("METRIC_STORE_TEST_FILTER"));
    cmocka_set_skip_filter(getenv("METRIC_STORE_TEST_SKIP"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

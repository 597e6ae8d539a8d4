/*
 * Snapshots on the simulated disk: crashed before every call, a snapshot is whole or cannot be
 * opened at all, the store that it was taken of loses nothing, and what was answered is durable.
 */
#include "../unit/test.h"

#include <inttypes.h>

#include "engine_fixture.h"
#include "sim_explore.h"
#include "sim_machine.h"

enum { SERIES = 9, COMMITS = 6 };

struct life {
    uint64_t seed;
    struct ledger acknowledged;
    struct ledger snapshot; /* what it holds, once it was begun */
    bool answered;
};

static bool holds(const struct life *life, struct sim_disk *disk, const char *dir,
                  const struct ledger *ledger)
{
    struct sim_machine machine;
    struct tier *tier;
    struct error err = {0};
    char why[FIXTURE_WHY_SIZE];
    sim_machine_init(&machine, disk, dir, life->seed);
    if (engine_open(&machine.options, &tier, &err) != STATUS_OK) {
        printf("%s: cannot open: %s\n", dir, err.message);
        return false;
    }
    struct engine_stats stats;
    engine_stats(tier, &stats);
    bool same = fixture_same(tier, ledger, fixture_always(), why);
    if (!same || stats.recovery.damaged > 0)
        printf("%s: %s, %" PRIu64 " places damaged\n", dir, same ? "" : why,
               stats.recovery.damaged);
    engine_abandon(tier);
    return same && stats.recovery.damaged == 0;
}

static bool is_there(struct sim_disk *disk, const char *path)
{
    struct file *file = NULL;
    enum status status = filesystem_open(sim_disk_filesystem(disk), path, FILE_READ, &file, NULL);
    file_close(file);
    return status == STATUS_OK;
}

static bool is_whole_or_none(void *context, struct sim_disk *disk)
{
    const struct life *life = context;
    sim_disk_set_sites(disk, NULL);
    if (!holds(life, disk, "/data/store", &life->acknowledged))
        return false;
    bool there = is_there(disk, "/data/copy/manifest");
    if (there)
        return holds(life, disk, "/data/copy", &life->snapshot);
    if (life->answered)
        printf("the snapshot that was answered is gone\n");
    return !life->answered;
}

static void commit_some(struct life *life, struct tier *tier, uint64_t *random)
{
    struct fixture_sample samples[60];
    size_t count = 1 + sim_below(random, 60);
    for (size_t i = 0; i < count; i++)
        samples[i] = (struct fixture_sample){
            (uint32_t)sim_below(random, SERIES),
            SIM_START_MS + (int64_t)sim_below(random, 2 * MS_PER_DAY),
            (double)sim_below(random, 1 << 20),
        };
    struct error err = {0};
    assert_int_equal(fixture_put(tier, samples, count, &err), STATUS_OK);
    ledger_put(&life->acknowledged, samples, count);
}

static struct tier *open_filled(struct life *life, struct sim_machine *machine,
                                struct sim_disk *disk, uint64_t *random)
{
    struct error err = {0};
    struct tier *tier;
    sim_machine_init(machine, disk, "/data/store", life->seed);
    ledger_init(&life->acknowledged, SERIES);
    assert_int_equal(engine_open(&machine->options, &tier, &err), STATUS_OK);
    for (int i = 0; i < COMMITS; i++) {
        commit_some(life, tier, random);
        if (i % 2 == 0)
            assert_int_equal(engine_flush(tier, &err), STATUS_OK);
    }
    return tier;
}

/* False after a violation. `sites` (may be NULL) counts the syncs of the snapshot alone. */
static bool live(uint64_t seed, bool copy, struct sim_sites *sites, uint64_t *states)
{
    struct life life = {.seed = seed};
    struct sim_machine machine;
    struct sim_disk *disk = sim_machine_disk(life.seed);
    uint64_t random = seed;
    struct tier *tier = open_filled(&life, &machine, disk, &random);
    struct error err = {0};
    struct sim_explore explore = {.check = is_whole_or_none,
                                  .context = &life,
                                  .seed = seed,
                                  .crashes = sites == NULL ? 6 : 24,
                                  .kills = true};
    ledger_copy(&life.snapshot, &life.acknowledged);
    sim_explore_attach(&explore, disk);
    sim_disk_set_sites(disk, sites);
    struct engine_snapshot_result result;
    if (engine_snapshot(tier, "/data/copy", copy, &result, &err) != STATUS_OK)
        test_fail("%s", err.message);
    sim_disk_set_sites(disk, NULL);
    life.answered = true;
    sim_explore_now(&explore, disk);
    sim_explore_detach(disk);
    commit_some(&life, tier, &random);
    sim_explore_attach(&explore, disk);
    bool did = true;
    while (did)
        assert_int_equal(engine_background_step(tier, &did, &err), STATUS_OK);
    sim_explore_now(&explore, disk);
    sim_explore_detach(disk);
    engine_abandon(tier);
    sim_disk_free(disk);
    ledger_release(&life.acknowledged);
    ledger_release(&life.snapshot);
    *states += explore.states;
    return explore.violations == 0;
}

static void a_crash_leaves_a_whole_snapshot_or_none(void **state)
{
    (void)state;
    uint64_t states = 0;
    for (uint64_t seed = 1; seed <= sim_rounds(4); seed++)
        assert_true(live(seed, seed % 4 == 0, NULL, &states));
    printf("%" PRIu64 " crash states\n", states);
    assert_true(states > 500);
}

static bool live_with_sites(void *context)
{
    uint64_t states = 0;
    return live(1, false, context, &states) && live(2, false, context, &states) &&
           live(4, true, context, &states);
}

/* Of the flush before it: the store's own manifest (engine_sim_test). */
static const char *const proven_elsewhere[] = {"manifest_commit", NULL};

static void each_sync_of_a_snapshot_is_needed(void **state)
{
    (void)state;
    struct sim_sites sites = {.proven_elsewhere = proven_elsewhere};
    assert_true(sim_sites_mutate(&sites, live_with_sites, &sites));
}

/* Also one of the same name can be made once the fault is over. */
static void a_call_that_fails_leaves_nothing_that_looks_like_a_snapshot(void **state)
{
    (void)state;
    bool done = false;
    for (uint64_t nth = 1; !done; nth++) {
        struct life life = {.seed = 7};
        struct sim_machine machine;
        struct sim_disk *disk = sim_machine_disk(life.seed);
        uint64_t random = 7;
        struct tier *tier = open_filled(&life, &machine, disk, &random);
        struct error err = {0};
        struct engine_snapshot_result result;
        sim_disk_add_fault(disk,
                           &(struct sim_fault){
                               .kinds = SIM_ANY_CALL, .nth = nth, .repeat = 1, .failure = SIM_EIO});
        uint64_t before = sim_disk_calls(disk);
        enum status status = engine_snapshot(tier, "/data/copy", false, &result, &err);
        done = sim_disk_calls(disk) - before < nth;
        sim_disk_clear_faults(disk);
        if (status != STATUS_OK)
            assert_false(is_there(disk, "/data/copy/manifest"));
        else
            assert_true(holds(&life, disk, "/data/copy", &life.acknowledged));
        if (status != STATUS_OK &&
            engine_snapshot(tier, "/data/copy", false, &result, &err) == STATUS_OK)
            assert_true(holds(&life, disk, "/data/copy", &life.acknowledged));
        engine_abandon(tier);
        assert_true(holds(&life, disk, "/data/store", &life.acknowledged));
        sim_disk_free(disk);
        ledger_release(&life.acknowledged);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_crash_leaves_a_whole_snapshot_or_none),
        cmocka_unit_test(each_sync_of_a_snapshot_is_needed),
        cmocka_unit_test(a_call_that_fails_leaves_nothing_that_looks_like_a_snapshot),
    };
    /* A pattern, for scripts/sync-sites. */
    cmocka_set_test_filter(getenv("METRIC_STORE_TEST_FILTER"));
    cmocka_set_skip_filter(getenv("METRIC_STORE_TEST_SKIP"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

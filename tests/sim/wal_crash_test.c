/*
 * Every crash state of a scripted life of a log: commits that are small, span segments or exceed a
 * segment, syncs, segments prepared ahead, released and reused; crashes in recovery too. After each
 * recovery the log is used again and crashes again.
 */
#include "../unit/test.h"

#include "sim_explore.h"
#include "wal_model.h"

struct life {
    struct wal_model model;
    struct sim_sites sites;
    unsigned frames;
    unsigned crashes;
    unsigned depth;
    uint64_t every;
    uint64_t states;
};

static bool reopen_gives(struct wal_model *model, struct sim_disk *disk,
                         const struct model_log *expected, const char *when)
{
    struct wal *wal = NULL;
    struct error err;
    struct model_replay *replay = calloc(1, sizeof *replay);
    assert_non_null(replay);
    bool passed = model_open(model, disk, &wal, replay, &err) == STATUS_OK;
    if (!passed)
        printf("cannot open %s: %s\n", when, err.message);
    if (passed &&
        (replay->wrong != NULL || replay->damages > 0 || !model_same(&replay->log, expected))) {
        passed = false;
        printf("%s: %zu frames instead of %zu, %u damages, %s\n", when, replay->log.count,
               expected->count, replay->damages, replay->wrong == NULL ? "" : replay->wrong);
    }
    wal_close(wal);
    free(replay);
    return passed;
}

/* What was replayed once is durable, and is there after another crash with nothing else. */
static bool survives_at_once(struct wal_model *model, struct sim_disk *disk,
                             const struct model_log *log)
{
    struct sim_disk *clone = sim_disk_clone(disk);
    sim_disk_crash(clone, &(struct sim_crash){.seed = sim_disk_calls(disk) * 7 + 1});
    bool passed = reopen_gives(model, clone, log, "after a crash right after recovery");
    sim_disk_free(clone);
    return passed;
}

/*
 * New frames take the place of those that were lost, with the same sizes as these had: leftovers
 * must not follow them. The second one is not synced.
 */
static bool goes_on(struct wal_model *model, struct sim_disk *disk, struct wal *wal,
                    struct model_log *log)
{
    struct error err;
    uint32_t number = log->count > 0 ? log->frames[log->count - 1].number + 1 : 0;
    enum { GENERATION = 9 };
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t lsn = 0;
        if (model_write(model, wal, number + i, GENERATION, &lsn, &err) != STATUS_OK ||
            (i == 0 && wal_sync(wal, &err) != STATUS_OK)) {
            printf("the recovered log takes no frame: %s\n", err.message);
            return false;
        }
        if (i == 0)
            log->frames[log->count++] =
                (struct model_frame){.number = number, .generation = GENERATION, .lsn = lsn};
    }
    /* With the machine's last breath nothing of the unsynced frame is written. */
    struct sim_disk *clone = sim_disk_clone(disk);
    struct model_replay *replay = calloc(1, sizeof *replay);
    assert_non_null(replay);
    sim_disk_crash(clone, &(struct sim_crash){.seed = sim_disk_calls(disk) * 3 + 2});
    struct wal *again = NULL;
    bool passed = model_open(model, clone, &again, replay, &err) == STATUS_OK;
    if (!passed)
        printf("cannot open after new frames: %s\n", err.message);
    /* The unsynced one may have survived. */
    if (passed && replay->log.count == log->count + 1 &&
        replay->log.frames[log->count].generation == GENERATION &&
        replay->log.frames[log->count].number == number + 1)
        replay->log.count--;
    if (passed &&
        (replay->wrong != NULL || replay->damages > 0 || !model_same(&replay->log, log))) {
        passed = false;
        printf("with new frames: %zu frames instead of %zu, %u damages\n", replay->log.count,
               log->count, replay->damages);
    }
    wal_close(again);
    sim_disk_free(clone);
    free(replay);
    return passed;
}

static bool recovers(void *context, struct sim_disk *disk)
{
    struct life *life = context;
    struct wal *wal = NULL;
    struct error err;
    struct model_replay *replay = calloc(1, sizeof *replay);
    assert_non_null(replay);
    bool passed = model_open(&life->model, disk, &wal, replay, &err) == STATUS_OK;
    if (!passed)
        printf("cannot recover: %s\n", err.message);
    sim_explore_detach(disk);
    passed = passed && model_accepts(&life->model, replay);
    passed = passed && survives_at_once(&life->model, disk, &replay->log);
    passed = passed && goes_on(&life->model, disk, wal, &replay->log);
    wal_close(wal);
    free(replay);
    return passed;
}

/* One step of the script; all of it follows from the seed. */
static void live_a_step(struct wal_model *model, struct wal *wal, uint64_t *random)
{
    struct error err = {.status = STATUS_OK};
    enum status status = model_commit(model, wal, &err);
    if (status == STATUS_OK && sim_below(random, 3) == 0)
        status = model_sync(model, wal, &err);
    if (status == STATUS_OK && sim_below(random, 5) == 0)
        status = wal_prepare(wal, &err);
    if (status == STATUS_OK && sim_below(random, 6) == 0 && model->synced > 4) {
        uint64_t lsn = model->log.frames[model->synced - 4].lsn;
        if (lsn > model->replay_from)
            model->replay_from = lsn;
        status = wal_release(wal, model->replay_from, &err);
    }
    if (status != STATUS_OK)
        test_fail("%s", err.message);
}

static bool live(void *context)
{
    struct life *life = context;
    struct wal_model *model = &life->model;
    struct sim_disk *disk = sim_disk_new(model->seed);
    sim_disk_set_sites(disk, &life->sites);
    model_init(model, model->seed, model->size_class);
    uint64_t random = model->seed;
    struct sim_explore explore = {
        .check = recovers,
        .context = life,
        .seed = model->seed,
        .crashes = life->crashes,
        .kills = true,
        .depth = life->depth,
        .every = life->every,
    };
    struct wal *wal = NULL;
    struct error err;
    struct model_replay *replay = calloc(1, sizeof *replay);
    assert_non_null(replay);
    sim_explore_attach(&explore, disk);
    if (model_open(model, disk, &wal, replay, &err) != STATUS_OK)
        test_fail("%s", err.message);
    for (unsigned i = 0; i < life->frames && explore.violations == 0; i++) {
        live_a_step(model, wal, &random);
        /* A clean stop now and then. */
        if (i % 16 == 15) {
            wal_close(wal);
            model->synced = model->log.count;
            if (model_open(model, disk, &wal, replay, &err) != STATUS_OK)
                test_fail("%s", err.message);
            if (!model_accepts(model, replay))
                explore.violations++;
        }
    }
    sim_explore_now(&explore, disk);
    sim_explore_detach(disk);
    wal_close(wal);
    sim_disk_free(disk);
    free(replay);
    life->states += explore.states;
    return explore.violations == 0;
}

static void every_crash_of_small_commits_keeps_what_was_synced(void **state)
{
    (void)state;
    for (uint64_t seed = 100; seed < 100 + sim_rounds(1); seed++) {
        struct life life = {.frames = 40, .crashes = 4, .depth = 1, .every = 1};
        model_init(&life.model, seed, 0);
        assert_true(live(&life));
        printf("seed %d: %d states\n", (int)seed, (int)life.states);
    }
}

static void every_crash_of_commits_that_span_segments_keeps_what_was_synced(void **state)
{
    (void)state;
    for (uint64_t seed = 200000; seed < 200000 + sim_rounds(1); seed++) {
        struct life life = {.frames = 30, .crashes = 4, .depth = 1, .every = 1};
        model_init(&life.model, seed, 1);
        assert_true(live(&life));
        printf("seed %d: %d states\n", (int)seed, (int)life.states);
    }
}

static void every_crash_of_commits_over_1_mib_keeps_what_was_synced(void **state)
{
    (void)state;
    struct life life = {.frames = 24, .crashes = 2, .depth = 0, .every = 1};
    model_init(&life.model, 21, 2);
    assert_true(live(&life));
    printf("seed 21: %d states\n", (int)life.states);
}

static void each_sync_site_is_needed(void **state)
{
    (void)state;
    struct life life = {.frames = 36, .crashes = 4, .depth = 0, .every = 1};
    model_init(&life.model, 31, 1);
    assert_true(sim_sites_mutate(&life.sites, live, &life));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_crash_of_small_commits_keeps_what_was_synced),
        cmocka_unit_test(every_crash_of_commits_that_span_segments_keeps_what_was_synced),
        cmocka_unit_test(every_crash_of_commits_over_1_mib_keeps_what_was_synced),
        cmocka_unit_test(each_sync_site_is_needed),
    };
    /* A pattern, for scripts/sync-sites. */
    cmocka_set_test_filter(getenv("METRIC_STORE_TEST_FILTER"));
    cmocka_set_skip_filter(getenv("METRIC_STORE_TEST_SKIP"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

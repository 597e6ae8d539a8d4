/*
 * The mark that the log gets in a pause (wal_mark): a crash before its write, before its sync and
 * after it, and in the recovery from that; and a write or a sync of it that fails.
 */
#include "../unit/test.h"

#include <inttypes.h>

#include "scripted_life.h"

enum {
    SEEDS = SANITIZED ? 3 : 12,
    STEPS_MAX = 40,
    WAYS = SANITIZED ? 6 : 16,
    QUIET_STEPS = 64,
    PAUSE_MS = 2000,
    RECOVERY_STRIDE = 5,
};

/* Some life, with a commit at its end that nothing marks. */
static void live_until_a_pause(struct scripted_living *living, struct scripted_life *life)
{
    scripted_begin(life);
    *living = (struct scripted_living){.life = life, .disk = scripted_disk(life)};
    uint64_t random = life->seed;
    scripted_open(living);
    for (unsigned i = 0; i < life->steps; i++)
        scripted_step(living, &random);
    scripted_commit_to_mark(living);
}

/* Nothing is left to do but to mark the pause that now begins. */
static void become_quiet(struct scripted_living *living)
{
    bool did = true;
    struct error err = {0};
    for (int i = 0; i < QUIET_STEPS && did; i++)
        assert_int_equal(engine_background_step(living->tier, &did, &err), STATUS_OK);
    assert_false(did);
}

static void end_life(struct scripted_living *living)
{
    engine_abandon(living->tier);
    sim_disk_free(living->disk);
    scripted_end(living->life);
}

static struct scripted_life life_of(uint64_t seed)
{
    return (struct scripted_life){.seed = seed,
                                  .steps = (unsigned)(seed * 7 % STEPS_MAX),
                                  .sync = ENGINE_SYNC_ALWAYS,
                                  .thorough = true};
}

static void every_crash_around_a_mark_keeps_what_was_acknowledged(void **state)
{
    (void)state;
    uint64_t states = 0;
    for (uint64_t seed = 1; seed <= sim_rounds(SEEDS); seed++) {
        struct scripted_life life = life_of(seed);
        life.thorough = seed % 8 == 0;
        struct scripted_living living;
        live_until_a_pause(&living, &life);
        become_quiet(&living);
        struct sim_explore explore = {.check = scripted_recovers,
                                      .context = &life,
                                      .seed = seed,
                                      .crashes = WAYS,
                                      .kills = true,
                                      .depth = 1,
                                      .every = 1,
                                      .every_in_recovery = RECOVERY_STRIDE};
        sim_explore_attach(&explore, living.disk);
        scripted_pause(&living);
        sim_explore_now(&explore, living.disk);
        sim_explore_detach(living.disk);
        assert_int_equal(explore.violations, 0);
        assert_int_equal(life.marks, 1);
        /* Before the write, before the sync, after it. */
        assert_true(explore.states >= 3 * (WAYS + 1));
        states += explore.states;
        end_life(&living);
    }
    printf("%" PRIu64 " states\n", states);
}

/* ---- calls that fail -------------------------------------------------------------------- */

struct log_calls {
    unsigned writes, syncs, others; /* others: calls that change something else */
};

static void count_call(void *context, struct sim_disk *disk, const struct sim_call *call)
{
    (void)disk;
    struct log_calls *calls = context;
    if ((call->kind & SIM_CHANGING_CALL) == 0)
        return;
    bool of_log = strstr(call->path, "/wal/") != NULL;
    if (of_log && call->kind == SIM_WRITE)
        calls->writes++;
    else if (of_log && call->kind == SIM_SYNC)
        calls->syncs++;
    else
        calls->others++;
}

enum { FRAMES = 2 }; /* of a mark: filler, unless the log ends with a sector, and itself */

/* The step that marks the pause, with the nth call of a kind that fails. */
static enum status fail_to_mark(struct scripted_living *living, enum sim_call_kind kind,
                                unsigned nth, enum sim_failure failure, struct error *err)
{
    struct log_calls calls = {0};
    bool did;
    become_quiet(living);
    sim_clock_advance(&living->machine.clock, PAUSE_MS);
    sim_disk_add_fault(
        living->disk,
        &(struct sim_fault){.kinds = kind, .nth = nth, .repeat = 1, .failure = failure});
    sim_disk_set_hook(living->disk, count_call, &calls);
    enum status status = engine_background_step(living->tier, &did, err);
    sim_disk_set_hook(living->disk, NULL, NULL);
    sim_disk_clear_faults(living->disk);
    /* It was the mark, and nothing else. */
    assert_int_equal(calls.writes, kind == SIM_SYNC ? FRAMES : nth);
    assert_int_equal(calls.syncs, kind == SIM_SYNC || nth > 1 ? 1 : 0);
    assert_int_equal(calls.others, 0);
    return status;
}

static void expect_crashes_survived(struct scripted_living *living)
{
    for (unsigned way = 0; way <= WAYS; way++) {
        struct sim_disk *clone = sim_disk_clone(living->disk);
        if (way == WAYS)
            sim_disk_kill(clone);
        else
            sim_disk_crash(clone, &(struct sim_crash){.seed = living->life->seed * 31 + way,
                                                      .names_in_any_order = way % 2 == 1});
        if (!scripted_recovers(living->life, clone))
            test_fail("seed %" PRIu64 ", crash %u", living->life->seed, way);
        sim_disk_free(clone);
    }
}

static void expect_all_there(struct scripted_living *living)
{
    char why[FIXTURE_WHY_SIZE];
    if (!scripted_state_same(living->tier, &living->life->acknowledged, living->life->help, why))
        test_fail("seed %" PRIu64 ": %s", living->life->seed, why);
}

static void a_mark_that_cannot_be_written_costs_nothing_and_comes_later(void **state)
{
    (void)state;
    static const struct {
        enum sim_failure failure;
        enum status status;
    } ways[] = {{SIM_EIO, STATUS_IO},
                {SIM_SHORT_EIO, STATUS_IO},
                {SIM_ENOSPC, STATUS_NO_SPACE},
                {SIM_SHORT_ENOSPC, STATUS_NO_SPACE}};
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
        for (uint64_t seed = 1; seed <= 8; seed++) {
            struct scripted_life life = life_of(seed);
            struct scripted_living living;
            struct error err = {0};
            live_until_a_pause(&living, &life);
            assert_int_equal(
                fail_to_mark(&living, SIM_WRITE, 1 + seed / 2 % FRAMES, ways[i].failure, &err),
                ways[i].status);
            expect_all_there(&living);
            expect_crashes_survived(&living);
            /* A write that fails has lost nothing: the next one takes its place. */
            if (seed % 2 == 0)
                scripted_commit_to_mark(&living);
            scripted_pause(&living);
            assert_int_equal(life.marks, 1);
            scripted_commit_to_mark(&living);
            expect_all_there(&living);
            expect_crashes_survived(&living);
            end_life(&living);
        }
}

static void expect_refusal(struct scripted_living *living)
{
    struct storage_condition condition;
    struct error err = {0};
    struct fixture_sample sample = {.series = 0, .time_ms = SIM_START_MS, .value = 1};
    storage_condition(living->tier, &condition);
    assert_int_equal(condition.health, STORAGE_FAILING);
    if (strstr(condition.message, "a sync of the log failed") == NULL ||
        strstr(condition.message, "writes are refused until a restart") == NULL)
        test_fail("the condition says \"%s\"", condition.message);
    assert_int_equal(fixture_put(living->tier, &sample, 1, &err), STATUS_UNAVAILABLE);
    assert_non_null(strstr(err.message, "restart"));
}

static void a_mark_that_cannot_be_synced_stops_writes_until_a_restart(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct scripted_life life = life_of(seed);
        struct scripted_living living;
        struct error err = {0};
        bool did;
        live_until_a_pause(&living, &life);
        assert_int_equal(fail_to_mark(&living, SIM_SYNC, 1, SIM_EIO, &err), STATUS_IO);
        expect_refusal(&living);
        /* Nor is the sync tried again. */
        struct log_calls calls = {0};
        sim_disk_set_hook(living.disk, count_call, &calls);
        sim_clock_advance(&living.machine.clock, PAUSE_MS);
        assert_int_equal(engine_background_step(living.tier, &did, &err), STATUS_OK);
        sim_disk_set_hook(living.disk, NULL, NULL);
        assert_int_equal(calls.writes + calls.syncs + calls.others, 0);
        expect_refusal(&living);
        expect_all_there(&living);
        expect_crashes_survived(&living);
        engine_abandon(living.tier);
        scripted_open(&living);
        expect_all_there(&living);
        scripted_commit_to_mark(&living);
        scripted_pause(&living);
        assert_int_equal(life.marks, 1);
        expect_all_there(&living);
        expect_crashes_survived(&living);
        end_life(&living);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_crash_around_a_mark_keeps_what_was_acknowledged),
        cmocka_unit_test(a_mark_that_cannot_be_written_costs_nothing_and_comes_later),
        cmocka_unit_test(a_mark_that_cannot_be_synced_stops_writes_until_a_restart),
    };
    cmocka_set_test_filter(getenv("METRIC_STORE_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

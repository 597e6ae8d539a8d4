/*
 * A scripted life of the whole engine with every call to the disk failed once: none of it is lost,
 * nothing shows of a commit that failed, and the store goes on or says that it cannot.
 *
 * The environment's SIM_ROUNDS (sim_explore.h) multiplies the seeds.
 */
#include "../unit/test.h"

#include <inttypes.h>

#include "scripted_life.h"

struct call_counts {
    uint64_t of_kind[32]; /* by bit */
};

static void count_call(void *context, struct sim_disk *disk, const struct sim_call *call)
{
    (void)disk;
    struct call_counts *counts = context;
    counts->of_kind[__builtin_ctz((unsigned)call->kind)]++;
}

static uint64_t calls_of(const struct call_counts *counts, unsigned kinds)
{
    uint64_t calls = 0;
    for (unsigned bit = 0; bit < 32; bit++)
        calls += (kinds >> bit & 1) != 0 ? counts->of_kind[bit] : 0;
    return calls;
}

static void live_script(struct scripted_living *living)
{
    uint64_t random = living->life->seed;
    scripted_open(living);
    for (unsigned i = 0; i < living->life->steps; i++) {
        scripted_plan_step(living, i);
        scripted_step(living, &random);
    }
}

/* What can be read now is what was acknowledged: nothing of a commit that failed. */
static bool shows_only_the_acknowledged(struct scripted_living *living)
{
    struct scripted_life *life = living->life;
    size_t maybe_count = life->maybe_count;
    life->maybe_count = 0;
    struct ledger found;
    uint32_t help;
    bool passed = scripted_holds(life, living->tier, &found, &help);
    if (passed)
        ledger_release(&found);
    life->maybe_count = maybe_count;
    return passed;
}

/* Once calls succeed again, so do commits; or the engine says that it needs a restart. */
static bool goes_on_or_says_so(struct scripted_living *living)
{
    struct scripted_life *life = living->life;
    struct storage_condition condition;
    storage_condition(living->tier, &condition);
    unsigned before = life->commits;
    size_t maybe_count = life->maybe_count;
    scripted_commit(living);
    assert_int_equal(life->commits, before + 1);
    bool done = life->maybe_count == 0;
    /* It never reached the log: refused for good. */
    bool refused = life->maybe_count == maybe_count && condition.health == STORAGE_FAILING;
    if (!done && !refused)
        printf("after the fault a commit fails, and the condition says: %s\n", condition.message);
    return done || refused;
}

static bool a_restart_recovers(struct scripted_living *living)
{
    struct scripted_life *life = living->life;
    for (unsigned way = 0; way < 3; way++) {
        struct sim_disk *clone = sim_disk_clone(living->disk);
        if (way == 0)
            sim_disk_kill(clone);
        else
            sim_disk_crash(clone, &(struct sim_crash){.seed = life->seed * 31 + way});
        bool passed = scripted_recovers(life, clone);
        sim_disk_free(clone);
        if (!passed)
            return false;
    }
    return true;
}

static void survive_fault(struct scripted_life *life, const struct sim_fault *fault)
{
    scripted_begin(life);
    struct scripted_living living = {.life = life, .disk = scripted_disk(life), .faulty = true};
    sim_disk_add_fault(living.disk, fault);
    live_script(&living);
    sim_disk_clear_faults(living.disk);
    bool passed = shows_only_the_acknowledged(&living) && goes_on_or_says_so(&living) &&
                  shows_only_the_acknowledged(&living) && a_restart_recovers(&living);
    if (!passed)
        test_fail("seed %" PRIu64 ": failure %d of call %" PRIu64 " of kinds %x, %" PRIu64 " times",
                  life->seed, (int)fault->failure, fault->nth, fault->kinds, fault->repeat);
    engine_abandon(living.tier);
    sim_disk_free(living.disk);
    scripted_end(life);
    life->states += 3;
}

static void every_nth_call_fails(struct scripted_life *life, const struct sim_fault *fault,
                                 uint64_t stride)
{
    clock_t started = clock();
    struct call_counts counts = {0};
    scripted_begin(life);
    struct scripted_living living = {.life = life, .disk = scripted_disk(life)};
    sim_disk_set_hook(living.disk, count_call, &counts);
    live_script(&living);
    engine_abandon(living.tier);
    sim_disk_free(living.disk);
    scripted_end(life);
    life->calls = calls_of(&counts, fault->kinds);
    life->states = 0;
    struct sim_fault nth = *fault;
    for (nth.nth = 1; nth.nth <= life->calls; nth.nth += stride * SCRIPTED_SPARSE)
        survive_fault(life, &nth);
    scripted_report(life, "failing calls", started);
}

enum { GROWING = SIM_WRITE | SIM_RESIZE | SIM_CREATE | SIM_MAKE_DIRECTORY };

static struct scripted_life faulty_life(uint64_t seed)
{
    return (struct scripted_life){
        .seed = seed, .steps = 36, .sync = ENGINE_SYNC_ALWAYS, .thorough = true};
}

static void an_io_error_of_any_call_loses_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 41; seed <= 40 + sim_rounds(1); seed++) {
        struct scripted_life life = faulty_life(seed);
        every_nth_call_fails(
            &life, &(struct sim_fault){.kinds = SIM_ANY_CALL, .repeat = 1, .failure = SIM_EIO}, 1);
    }
}

static void a_write_that_is_cut_short_loses_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 51; seed <= 50 + sim_rounds(1); seed++) {
        struct scripted_life life = faulty_life(seed);
        every_nth_call_fails(
            &life, &(struct sim_fault){.kinds = SIM_WRITE, .repeat = 1, .failure = SIM_SHORT_EIO},
            2);
        every_nth_call_fails(
            &life,
            &(struct sim_fault){.kinds = SIM_WRITE, .repeat = 1, .failure = SIM_SHORT_ENOSPC}, 2);
    }
}

static void a_disk_that_is_full_for_a_while_loses_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 61; seed <= 60 + sim_rounds(1); seed++) {
        struct scripted_life life = faulty_life(seed);
        every_nth_call_fails(
            &life, &(struct sim_fault){.kinds = GROWING, .repeat = 1, .failure = SIM_ENOSPC}, 2);
        every_nth_call_fails(
            &life, &(struct sim_fault){.kinds = GROWING, .repeat = 30, .failure = SIM_ENOSPC}, 5);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_io_error_of_any_call_loses_nothing),
        cmocka_unit_test(a_write_that_is_cut_short_loses_nothing),
        cmocka_unit_test(a_disk_that_is_full_for_a_while_loses_nothing),
    };
    cmocka_set_test_filter(getenv("METRIC_STORE_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

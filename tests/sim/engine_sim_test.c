/*
 * The whole engine on the simulated disk: a scripted life of commits, flushes, merges, retention
 * and restarts, crashed before every call that changes the disk, in recovery too; with every call
 * failed once; and with every sync made to do nothing, which the crashes must find out.
 *
 * METRIC_STORE_SIM_SCALE (default 1) makes it longer and looks at more crashes.
 */
#include "../unit/test.h"

#include <inttypes.h>
#include <time.h>

#include "base/times.h"
#include "engine_fixture.h"
#include "sim_explore.h"
#include "sim_os.h"

enum {
    SERIES = 24,
    COMMIT_MAX = 48, /* samples of a commit */
    MAYBE_MAX = 64,  /* commits that failed one after the other */
    KEEP_DAYS = 3,
};

#define START_MS (INT64_C(20000) * MS_PER_DAY)

/* The tables that one opening of the store sees. */
struct machine {
    struct sim_clock clock;
    struct sim_random random;
    struct engine_options options;
};

struct life {
    /* Set before live(). */
    uint64_t seed;
    unsigned steps;
    unsigned crashes, depth;
    uint64_t every;
    enum engine_sync sync;
    bool thorough; /* recovered stores are used and crashed again */

    struct sim_sites sites;
    struct ledger acknowledged;
    uint32_t help; /* number of the acknowledged descriptor; 0: none yet */
    /* Commits since the last success that may have reached the disk. */
    unsigned maybe[MAYBE_MAX];
    size_t maybe_count;
    int64_t now_ms;
    bool dropping; /* days before drop_ms may be there or not */
    int64_t drop_ms;
    unsigned commits; /* begun */
    uint64_t states;
    uint64_t calls;
};

static uint64_t scale(void)
{
    const char *text = getenv("METRIC_STORE_SIM_SCALE");
    uint64_t given = text == NULL ? 1 : strtoull(text, NULL, 10);
    return given == 0 ? 1 : given;
}

static void machine_init(struct machine *machine, struct sim_disk *disk, const struct life *life)
{
    sim_clock_init(&machine->clock, life->now_ms);
    sim_random_init(&machine->random, life->seed + sim_disk_calls(disk));
    machine->options = (struct engine_options){
        .os = {.fs = sim_disk_filesystem(disk),
               .clock = &machine->clock.clock,
               .random = &machine->random.random,
               .threads = sim_threads()},
        .dir = "/data/store",
        .sync = life->sync,
        .head_bytes = 20 * 1024,
        .raw_cache_bytes = 4096,
        .log_segment_bytes = 64 * 1024,
        .max_chunks = 100,
        .merge_fan_in = 3,
        .retention_ms = (int64_t)KEEP_DAYS * MS_PER_DAY,
    };
}

/* ---- the script ------------------------------------------------------------------------- */

struct commit {
    struct fixture_sample samples[COMMIT_MAX];
    size_t count, first; /* of which `first` in the first of two batches */
    uint32_t help;       /* 0: no descriptor rides along */
};

/* Commit `number` of the life: always the same. */
static void make_commit(const struct life *life, unsigned number, struct commit *commit)
{
    uint64_t random = life->seed * 1000003 + number;
    commit->count = 1 + sim_below(&random, COMMIT_MAX);
    commit->first = sim_below(&random, 3) == 0 ? sim_below(&random, commit->count) : commit->count;
    commit->help = sim_below(&random, 8) == 0 ? number + 1 : 0;
    uint32_t series = (uint32_t)sim_below(&random, 4 + number < SERIES ? 4 + number : SERIES);
    for (size_t i = 0; i < commit->count; i++) {
        if (sim_below(&random, 4) == 0)
            series = (uint32_t)sim_below(&random, 4 + number < SERIES ? 4 + number : SERIES);
        int64_t time_ms = START_MS + (int64_t)(number * 40 + i) * 1000;
        /* Late, into the day before, or again. */
        if (sim_below(&random, 6) == 0)
            time_ms -= (int64_t)sim_below(&random, 100) * 1000;
        else if (sim_below(&random, 12) == 0)
            time_ms -= MS_PER_DAY;
        commit->samples[i] = (struct fixture_sample){series, time_ms, (double)(number * 1000 + i)};
    }
}

static void apply_commit(const struct life *life, unsigned number, struct ledger *ledger,
                         uint32_t *help)
{
    struct commit commit;
    make_commit(life, number, &commit);
    ledger_put(ledger, commit.samples, commit.count);
    if (commit.help != 0)
        *help = commit.help;
}

static enum status send_commit(struct tier *tier, const struct commit *commit, struct error *err)
{
    char help[32];
    snprintf(help, sizeof help, "help %" PRIu32, commit->help);
    struct metric metric = {
        .name = slice_from_text("metric_0"), .type = METRIC_COUNTER, .help = slice_from_text(help)};
    struct fixture_write writes[2] = {
        {.samples = commit->samples,
         .count = commit->first,
         .metric = commit->help != 0 ? &metric : NULL},
        {.samples = commit->samples + commit->first, .count = commit->count - commit->first},
    };
    return fixture_commit(tier, writes, commit->first < commit->count ? 2 : 1, err);
}

/* ---- what must be there ----------------------------------------------------------------- */

static bool help_same(struct tier *tier, uint32_t expected)
{
    struct arena arena;
    arena_init(&arena, 1 << 16);
    struct metric metric;
    enum status status = storage_metric(tier, slice_from_text("metric_0"), &arena, &metric, NULL);
    char text[32];
    snprintf(text, sizeof text, "help %" PRIu32, expected);
    bool same = expected == 0 ? status == STATUS_NOT_FOUND
                              : status == STATUS_OK && slice_equal_text(metric.help, text) &&
                                    metric.type == METRIC_COUNTER;
    arena_release(&arena);
    return same;
}

static bool state_same(struct tier *tier, const struct ledger *ledger, uint32_t help,
                       char why[FIXTURE_WHY_SIZE])
{
    if (!fixture_same(tier, ledger, fixture_always(), why))
        return false;
    if (help_same(tier, help))
        return true;
    snprintf(why, FIXTURE_WHY_SIZE, "the descriptor is not number %" PRIu32, help);
    return false;
}

/*
 * Whether the store holds what was acknowledged, perhaps with one of the commits that were not, and
 * with or without the days that are being dropped. The state found goes to `found`.
 */
static bool holds(const struct life *life, struct tier *tier, struct ledger *found,
                  uint32_t *found_help)
{
    char why[FIXTURE_WHY_SIZE] = "";
    char first_why[FIXTURE_WHY_SIZE] = "";
    for (size_t i = 0; i <= life->maybe_count; i++)
        for (int dropped = 0; dropped <= (life->dropping ? 1 : 0); dropped++) {
            ledger_copy(found, &life->acknowledged);
            *found_help = life->help;
            if (i > 0)
                apply_commit(life, life->maybe[i - 1], found, found_help);
            if (dropped)
                ledger_drop_before(found, life->drop_ms);
            if (state_same(tier, found, *found_help, why))
                return true;
            if (first_why[0] == '\0')
                memcpy(first_why, why, sizeof why);
            ledger_release(found);
        }
    printf("after %u commits, %zu of them unsure: %s\n", life->commits, life->maybe_count,
           first_why);
    return false;
}

/* Opens what `disk` holds after a crash, and compares. */
static bool reopen_gives(const struct life *life, struct sim_disk *disk,
                         const struct ledger *ledger, uint32_t help, const char *when)
{
    struct machine machine;
    machine_init(&machine, disk, life);
    struct tier *tier;
    struct error err = {0};
    char why[FIXTURE_WHY_SIZE];
    if (engine_open(&machine.options, &tier, &err) != STATUS_OK) {
        printf("%s: cannot open: %s\n", when, err.message);
        return false;
    }
    bool same = state_same(tier, ledger, help, why);
    if (!same)
        printf("%s: %s\n", when, why);
    engine_abandon(tier);
    return same;
}

static bool survives_a_crash(const struct life *life, struct sim_disk *disk,
                             const struct ledger *ledger, uint32_t help, const char *when)
{
    struct sim_disk *clone = sim_disk_clone(disk);
    sim_disk_crash(clone, &(struct sim_crash){.seed = sim_disk_calls(disk) * 7 + 1});
    bool survives = reopen_gives(life, clone, ledger, help, when);
    sim_disk_free(clone);
    return survives;
}

/* New commits, a flush and merges on top of what was recovered, and crashes after each. */
static bool goes_on(const struct life *life, struct sim_disk *disk, struct tier *tier,
                    struct ledger *ledger, uint32_t *help)
{
    struct error err = {0};
    for (unsigned i = 0; i < 2; i++) {
        struct commit commit;
        unsigned number = life->commits + 1000 + i;
        make_commit(life, number, &commit);
        if (send_commit(tier, &commit, &err) != STATUS_OK) {
            printf("the recovered store takes no samples: %s\n", err.message);
            return false;
        }
        apply_commit(life, number, ledger, help);
        if (life->sync == ENGINE_SYNC_ALWAYS &&
            !survives_a_crash(life, disk, ledger, *help, "after a commit after recovery"))
            return false;
        bool did = true;
        while (did)
            if (engine_background_step(tier, &did, &err) != STATUS_OK) {
                printf("a background step after recovery: %s\n", err.message);
                return false;
            }
        if (engine_flush(tier, &err) != STATUS_OK) {
            printf("a flush after recovery: %s\n", err.message);
            return false;
        }
    }
    return survives_a_crash(life, disk, ledger, *help, "after a flush after recovery");
}

static bool recovers(void *context, struct sim_disk *disk)
{
    struct life *life = context;
    struct machine machine;
    machine_init(&machine, disk, life);
    struct tier *tier;
    struct error err = {0};
    if (engine_open(&machine.options, &tier, &err) != STATUS_OK) {
        printf("cannot recover: %s\n", err.message);
        return false;
    }
    sim_explore_detach(disk);
    struct engine_stats stats;
    engine_stats(tier, &stats);
    struct ledger found;
    uint32_t help;
    bool passed = holds(life, tier, &found, &help);
    if (passed && stats.recovery.damaged > 0) {
        printf("recovery speaks of damage\n");
        passed = false;
    }
    if (passed) {
        passed = survives_a_crash(life, disk, &found, help, "after a crash right after recovery");
        /* Retention would drop the days in question now. */
        if (passed && life->thorough && !life->dropping)
            passed = goes_on(life, disk, tier, &found, &help);
        ledger_release(&found);
    }
    engine_abandon(tier);
    return passed;
}

/* ---- living ----------------------------------------------------------------------------- */

struct living {
    struct life *life;
    struct sim_disk *disk;
    struct machine machine;
    struct tier *tier;
    bool faulty; /* calls are made to fail: errors are part of the life */
};

static void must(const struct living *living, enum status status, const struct error *err,
                 const char *what)
{
    if (status != STATUS_OK && !living->faulty)
        test_fail("%s: %s: %s", what, status_name(status), err->message);
}

static void open_store(struct living *living)
{
    machine_init(&living->machine, living->disk, living->life);
    struct error err = {0};
    /* With a fault the first attempt may fail; nobody is told anything meanwhile. */
    enum status status = STATUS_IO;
    for (int attempt = 0; attempt < 3 && status != STATUS_OK; attempt++) {
        status = engine_open(&living->machine.options, &living->tier, &err);
        must(living, status, &err, "open");
    }
    if (status != STATUS_OK)
        test_fail("the store does not open after a fault: %s", err.message);
}

static void live_commit(struct living *living)
{
    struct life *life = living->life;
    struct commit commit;
    struct error err = {0};
    make_commit(life, life->commits, &commit);
    assert_true(life->maybe_count < MAYBE_MAX);
    life->maybe[life->maybe_count++] = life->commits++;
    enum status status = send_commit(living->tier, &commit, &err);
    for (int i = 0; i < 8 && status == STATUS_BUSY; i++) {
        bool did;
        must(living, engine_background_step(living->tier, &did, &err), &err, "a step");
        status = send_commit(living->tier, &commit, &err);
    }
    must(living, status, &err, "commit");
    if (status == STATUS_OK) {
        apply_commit(life, life->commits - 1, &life->acknowledged, &life->help);
        life->maybe_count = 0;
    } else if (status == STATUS_UNAVAILABLE || status == STATUS_BUSY) {
        life->maybe_count--; /* never reached the log */
    }
}

static void live_background(struct living *living)
{
    bool did;
    struct error err = {0};
    must(living, engine_background_step(living->tier, &did, &err), &err, "a step");
}

static void live_flush(struct living *living)
{
    struct error err = {0};
    enum status status = engine_flush(living->tier, &err);
    must(living, status, &err, "flush");
}

/* Days pass, and what was written before START_MS's day goes. */
static void live_long(struct living *living)
{
    struct life *life = living->life;
    struct error err = {0};
    enum status status = engine_flush(living->tier, &err);
    must(living, status, &err, "flush");
    if (status != STATUS_OK)
        return;
    life->drop_ms = START_MS;
    life->dropping = true;
    life->now_ms = START_MS + (int64_t)KEEP_DAYS * MS_PER_DAY;
    sim_clock_jump(&living->machine.clock, life->now_ms - living->machine.clock.wall_ms);
    bool did = false;
    status = engine_background_step(living->tier, &did, &err);
    must(living, status, &err, "retention");
    if (status == STATUS_OK && did) {
        ledger_drop_before(&life->acknowledged, life->drop_ms);
        life->dropping = false;
    }
    /* No later sample may be of a dropped day, or it would go at once. */
    life->now_ms = START_MS;
    sim_clock_jump(&living->machine.clock, life->now_ms - living->machine.clock.wall_ms);
}

static void live_restart(struct living *living)
{
    engine_close(living->tier);
    open_store(living);
}

static void live_a_step(struct living *living, uint64_t *random)
{
    uint64_t what = sim_below(random, 32);
    if (what < 17)
        live_commit(living);
    else if (what < 25)
        live_background(living);
    else if (what < 30)
        live_flush(living);
    else
        live_restart(living);
}

static void life_begin(struct life *life)
{
    ledger_init(&life->acknowledged, SERIES);
    life->help = 0;
    life->maybe_count = 0;
    life->now_ms = START_MS;
    life->dropping = false;
    life->commits = 0;
}

static struct sim_disk *new_disk(struct life *life)
{
    struct sim_disk *disk = sim_disk_new(life->seed);
    sim_disk_set_sites(disk, &life->sites);
    struct filesystem *fs = sim_disk_filesystem(disk);
    /* Where the store is to be made: somebody else's, and durable. */
    if (filesystem_make_directory(fs, "/data", NULL) != STATUS_OK ||
        filesystem_sync_directory(fs, "/", NULL) != STATUS_OK)
        test_fail("cannot prepare the disk");
    return disk;
}

/* With violations nothing more is explored, but the life goes on to its end. */
static bool live(void *context)
{
    struct life *life = context;
    life_begin(life);
    struct living living = {.life = life, .disk = new_disk(life)};
    struct sim_explore explore = {
        .check = recovers,
        .context = life,
        .seed = life->seed,
        .crashes = life->crashes,
        .kills = true,
        .depth = life->depth,
        .every = life->every,
    };
    uint64_t random = life->seed;
    sim_explore_attach(&explore, living.disk);
    open_store(&living);
    for (unsigned i = 0; i < life->steps && explore.violations == 0; i++) {
        if (i == life->steps * 2 / 3)
            live_long(&living);
        live_a_step(&living, &random);
    }
    sim_explore_now(&explore, living.disk);
    sim_explore_detach(living.disk);
    engine_abandon(living.tier);
    life->states += explore.states;
    life->calls = sim_disk_calls(living.disk);
    sim_disk_free(living.disk);
    ledger_release(&life->acknowledged);
    return explore.violations == 0;
}

static void report(const struct life *life, const char *what, clock_t started)
{
    printf("%s, seed %" PRIu64 ": %" PRIu64 " calls, %" PRIu64 " states, %.1f s\n", what,
           life->seed, life->calls, life->states, (double)(clock() - started) / CLOCKS_PER_SEC);
}

static void every_crash_keeps_what_was_acknowledged(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 2 * scale(); seed++) {
        clock_t started = clock();
        struct life life = {.seed = seed,
                            .steps = 70,
                            .crashes = 3,
                            .every = 1,
                            .sync = ENGINE_SYNC_ALWAYS,
                            .thorough = seed % 2 == 0};
        assert_true(live(&life));
        report(&life, "crashes", started);
    }
}

static void crashes_in_recovery_keep_what_was_acknowledged(void **state)
{
    (void)state;
    for (uint64_t seed = 11; seed <= 10 + scale(); seed++) {
        clock_t started = clock();
        struct life life = {.seed = seed,
                            .steps = 60,
                            .crashes = 2,
                            .depth = 1,
                            .every = 7,
                            .sync = ENGINE_SYNC_ALWAYS};
        assert_true(live(&life));
        report(&life, "crashes in recovery", started);
    }
}

static void each_sync_site_is_needed(void **state)
{
    (void)state;
    struct life life = {.seed = 21,
                        .steps = 70,
                        .crashes = 3,
                        .every = 1,
                        .sync = ENGINE_SYNC_ALWAYS,
                        .thorough = false};
    clock_t started = clock();
    assert_true(sim_sites_mutate(&life.sites, live, &life));
    report(&life, "sync sites", started);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_crash_keeps_what_was_acknowledged),
        cmocka_unit_test(crashes_in_recovery_keep_what_was_acknowledged),
        cmocka_unit_test(each_sync_site_is_needed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The whole engine on the simulated disk: a scripted life of commits, deletes, flushes, merges,
 * the warm step, retention and restarts, crashed before every call that changes the disk, in
 * recovery too; with every call failed once; and with every sync made to do nothing, which the
 * crashes must find out.
 *
 * The environment's SIM_ROUNDS (sim_explore.h) multiplies the seeds. Crashes in recovery are tried
 * before each RECOVERY_STRIDE-th call, which ones the time decides; METRIC_STORE_SIM_STRIDE=1 tries
 * all, METRIC_STORE_SIM_PHASE repeats a run.
 */
#include "../unit/test.h"

#include <inttypes.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "engine_fixture.h"
#include "sim_explore.h"
#include "sim_machine.h"

enum {
    SERIES = 24,
    COMMIT_MAX = 2000, /* samples of a commit */
    MAYBE_MAX = 64,    /* commits that failed one after the other */
    KEEP_DAYS = 3,
    OPEN_ATTEMPTS = 64, /* more than calls fail in a row */
    WARM_STEPS = 16,
    RECOVERY_STRIDE = 7,
};

/* Under a sanitizer, which is after memory and makes a start ten times slower, each SPARSE-th crash
 * and fault is looked at. */
enum { SPARSE = SANITIZED ? 7 : 1 };

struct life {
    /* Set before live(). */
    uint64_t seed;
    unsigned steps;
    unsigned crashes, depth;
    uint64_t every, phase;
    enum engine_sync sync;
    bool thorough; /* recovered stores are used and crashed again */
    int log_fd;    /* what recovery logs, to be read again */
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

static int64_t no_time(void *context)
{
    (void)context;
    return 0;
}

static void machine_init(struct sim_machine *machine, struct sim_disk *disk,
                         const struct life *life)
{
    sim_machine_init(machine, disk, "/data/store", life->seed);
    sim_clock_init(&machine->clock, life->now_ms);
    machine->log = (struct log){.fd = life->log_fd, .level = LOG_ERROR, .now_ms = no_time};
    machine->options.log = &machine->log;
    machine->options.sync = life->sync;
    machine->options.retention_ms = (int64_t)KEEP_DAYS * MS_PER_DAY;
    machine->options.warm_after_ms = MS_PER_DAY;
}

/* ---- the script ------------------------------------------------------------------------- */

struct commit {
    struct fixture_sample samples[COMMIT_MAX];
    size_t count, first; /* of which `first` in the first of two batches */
    uint32_t help;       /* 0: no descriptor rides along */
    bool deletes;        /* instead: these series, in this range */
    bool series[SERIES];
    struct time_range range;
};

/* Most of what was written, or what two commits wrote. */
static void make_delete(unsigned number, uint64_t *random, struct commit *commit)
{
    memset(commit->series, 0, sizeof commit->series);
    for (uint64_t i = 1 + sim_below(random, 6); i > 0; i--)
        commit->series[sim_below(random, SERIES)] = true;
    int64_t from_ms =
        SIM_START_MS + (int64_t)sim_below(random, number + 1) * COMMIT_MAX * 50 + 1000;
    commit->range = (struct time_range){from_ms, from_ms + 2 * COMMIT_MAX * 50};
    if (sim_below(random, 3) == 0)
        commit->range.start_ms = SIM_START_MS - MS_PER_DAY;
}

/* Commit `number` of the life: always the same. */
static void make_commit(const struct life *life, unsigned number, struct commit *commit)
{
    uint64_t random = life->seed * 1000003 + number;
    commit->deletes = sim_below(&random, 9) == 0;
    if (commit->deletes) {
        make_delete(number, &random, commit);
        return;
    }
    /* Few, or enough for segments of the log and heads to fill up. */
    commit->count = 1 + sim_below(&random, sim_below(&random, 3) > 0 ? 40 : COMMIT_MAX);
    commit->first = sim_below(&random, 3) == 0 ? sim_below(&random, commit->count) : commit->count;
    commit->help = sim_below(&random, 8) == 0 ? number + 1 : 0;
    uint32_t series = (uint32_t)sim_below(&random, 4 + number < SERIES ? 4 + number : SERIES);
    for (size_t i = 0; i < commit->count; i++) {
        if (sim_below(&random, 40) == 0)
            series = (uint32_t)sim_below(&random, 4 + number < SERIES ? 4 + number : SERIES);
        int64_t time_ms = SIM_START_MS + (int64_t)(number * COMMIT_MAX + i) * 50;
        /* Late, into the day before, or again. */
        if (sim_below(&random, 6) == 0)
            time_ms -= (int64_t)sim_below(&random, 100) * 50;
        else if (sim_below(&random, 12) == 0)
            time_ms -= MS_PER_DAY;
        commit->samples[i] =
            (struct fixture_sample){series, time_ms, (double)sim_below(&random, 1u << 30) / 1024};
    }
}

static void apply_commit(const struct life *life, unsigned number, struct ledger *ledger,
                         uint32_t *help)
{
    struct commit commit;
    make_commit(life, number, &commit);
    if (commit.deletes) {
        ledger_delete(ledger, commit.series, commit.range);
        return;
    }
    ledger_put(ledger, commit.samples, commit.count);
    if (commit.help != 0)
        *help = commit.help;
}

static enum status send_commit(struct tier *tier, const struct commit *commit, struct error *err)
{
    struct delete_result result;
    if (commit->deletes)
        return fixture_delete(tier, commit->series, SERIES, commit->range, &result, err);
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
    struct sim_machine machine;
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

/* Whether recovery spoke of damage, which a crash is not. */
static bool speaks_of_damage(const struct life *life, struct tier *tier)
{
    struct engine_stats stats;
    engine_stats(tier, &stats);
    if (stats.recovery.damaged == 0)
        return false;
    char text[1024];
    ssize_t size = pread(life->log_fd, text, sizeof text - 1, 0);
    assert_true(size >= 0);
    text[size] = '\0';
    printf("recovery speaks of damage: %s", text);
    return true;
}

static bool recovers(void *context, struct sim_disk *disk)
{
    struct life *life = context;
    assert_int_equal(ftruncate(life->log_fd, 0), 0);
    assert_int_equal(lseek(life->log_fd, 0, SEEK_SET), 0);
    struct sim_machine machine;
    machine_init(&machine, disk, life);
    struct tier *tier;
    struct error err = {0};
    if (engine_open(&machine.options, &tier, &err) != STATUS_OK) {
        printf("cannot recover: %s\n", err.message);
        return false;
    }
    sim_explore_detach(disk);
    if (speaks_of_damage(life, tier)) {
        engine_abandon(tier);
        return false;
    }
    struct ledger found;
    uint32_t help;
    bool passed = holds(life, tier, &found, &help);
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
    struct sim_machine machine;
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
    for (int attempt = 0; attempt < OPEN_ATTEMPTS && status != STATUS_OK; attempt++) {
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

/* Days pass until all that was written becomes warm, but none goes; then it is SIM_START_MS again.
 */
static void live_until_warm(struct living *living)
{
    struct life *life = living->life;
    struct error err = {0};
    must(living, engine_flush(living->tier, &err), &err, "flush");
    life->now_ms = SIM_START_MS + 2 * (int64_t)MS_PER_DAY;
    sim_clock_jump(&living->machine.clock, life->now_ms - living->machine.clock.wall_ms);
    bool did = true;
    enum status status = STATUS_OK;
    for (int i = 0; i < WARM_STEPS && did && status == STATUS_OK; i++) {
        status = engine_background_step(living->tier, &did, &err);
        must(living, status, &err, "a step");
    }
    struct engine_stats stats;
    engine_stats(living->tier, &stats);
    if (!living->faulty && stats.parts > 0)
        assert_true(stats.warm_parts > 0);
    life->now_ms = SIM_START_MS;
    sim_clock_jump(&living->machine.clock, life->now_ms - living->machine.clock.wall_ms);
}

/* Days pass, and what was written before SIM_START_MS's day goes. */
static void live_long(struct living *living)
{
    struct life *life = living->life;
    struct error err = {0};
    enum status status = engine_flush(living->tier, &err);
    must(living, status, &err, "flush");
    if (status != STATUS_OK)
        return;
    life->drop_ms = SIM_START_MS;
    life->dropping = true;
    life->now_ms = SIM_START_MS + (int64_t)KEEP_DAYS * MS_PER_DAY;
    sim_clock_jump(&living->machine.clock, life->now_ms - living->machine.clock.wall_ms);
    bool did = false;
    status = engine_background_step(living->tier, &did, &err);
    must(living, status, &err, "retention");
    if (status == STATUS_OK && did) {
        ledger_drop_before(&life->acknowledged, life->drop_ms);
        life->dropping = false;
    }
    /* No later sample may be of a dropped day, or it would go at once. */
    life->now_ms = SIM_START_MS;
    sim_clock_jump(&living->machine.clock, life->now_ms - living->machine.clock.wall_ms);
}

/* A commit that failed may have reached the log; then a restart brings it, for good. */
static void adopt_the_unsure(struct living *living)
{
    struct life *life = living->life;
    struct sim_disk *clone = sim_disk_clone(living->disk);
    sim_disk_kill(clone);
    struct sim_machine machine;
    machine_init(&machine, clone, life);
    struct tier *tier;
    struct error err = {0};
    if (engine_open(&machine.options, &tier, &err) != STATUS_OK)
        test_fail("the store does not open after a fault: %s", err.message);
    struct ledger found;
    uint32_t help;
    if (!holds(life, tier, &found, &help))
        test_fail("after a fault and a restart the store holds something else");
    ledger_release(&life->acknowledged);
    life->acknowledged = found;
    life->help = help;
    life->maybe_count = 0;
    engine_abandon(tier);
    sim_disk_free(clone);
}

static void live_restart(struct living *living)
{
    engine_close(living->tier);
    if (living->life->maybe_count > 0)
        adopt_the_unsure(living);
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

/* What comes once, at its time: a second warm step finds late samples beside the first one's. */
static void live_by_plan(struct living *living, unsigned step)
{
    unsigned steps = living->life->steps;
    if (step == steps / 4 || step == steps / 2)
        live_until_warm(living);
    if (step == steps * 2 / 3)
        live_long(living);
}

static void life_begin(struct life *life)
{
    ledger_init(&life->acknowledged, SERIES);
    life->help = 0;
    life->maybe_count = 0;
    life->now_ms = SIM_START_MS;
    life->dropping = false;
    life->commits = 0;
    life->log_fd = memfd_create("log", MFD_CLOEXEC);
    assert_true(life->log_fd >= 0);
}

static void life_end(struct life *life)
{
    ledger_release(&life->acknowledged);
    close(life->log_fd);
}

static struct sim_disk *new_disk(struct life *life)
{
    struct sim_disk *disk = sim_machine_disk(life->seed);
    sim_disk_set_sites(disk, &life->sites);
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
        .phase = life->phase,
    };
    uint64_t random = life->seed;
    sim_explore_attach(&explore, living.disk);
    open_store(&living);
    for (unsigned i = 0; i < life->steps && explore.violations == 0; i++) {
        live_by_plan(&living, i);
        live_a_step(&living, &random);
    }
    sim_explore_now(&explore, living.disk);
    sim_explore_detach(living.disk);
    engine_abandon(living.tier);
    life->states += explore.states;
    life->calls = sim_disk_calls(living.disk);
    sim_disk_free(living.disk);
    life_end(life);
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
    for (uint64_t seed = 1; seed <= sim_rounds(2); seed++) {
        clock_t started = clock();
        struct life life = {.seed = seed,
                            .steps = 70,
                            .crashes = 3,
                            .every = SPARSE,
                            .sync = ENGINE_SYNC_ALWAYS,
                            .thorough = seed % 2 == 0};
        assert_true(live(&life));
        report(&life, "crashes", started);
    }
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);
    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void crashes_in_recovery_keep_what_was_acknowledged(void **state)
{
    (void)state;
    uint64_t stride = from_environment("METRIC_STORE_SIM_STRIDE", RECOVERY_STRIDE);
    uint64_t phase = from_environment("METRIC_STORE_SIM_PHASE", (uint64_t)time(NULL) % stride);
    printf("METRIC_STORE_SIM_STRIDE=%" PRIu64 " METRIC_STORE_SIM_PHASE=%" PRIu64 "\n", stride,
           phase);
    for (uint64_t seed = 11; seed <= 10 + sim_rounds(1); seed++) {
        clock_t started = clock();
        struct life life = {.seed = seed,
                            .steps = 60,
                            .crashes = 2,
                            .depth = 1,
                            .every = stride * SPARSE,
                            .phase = phase * SPARSE,
                            .sync = ENGINE_SYNC_ALWAYS};
        assert_true(live(&life));
        report(&life, "crashes in recovery", started);
    }
}

#if !SANITIZED /* with most crashes left out, some sites would seem not to matter */
/*
 * Two syncs can only matter where this life does not come: a manifest over 1 MiB that is written
 * anew between commits, and names in the log's directory that are lost although segments were
 * synced. Their own programs, manifest_sim_test and wal_crash_test, find them missing.
 */
static const char *const proven_elsewhere[] = {"rewrite", "wal_recover", NULL};

static void each_sync_site_is_needed(void **state)
{
    (void)state;
    struct life life = {
        .seed = 21, .steps = 150, .crashes = 3, .every = 1, .sync = ENGINE_SYNC_ALWAYS};
    life.sites.proven_elsewhere = proven_elsewhere;
    clock_t started = clock();
    assert_true(sim_sites_mutate(&life.sites, live, &life));
    report(&life, "sync sites", started);
}
#endif

/* ---- failing calls ---------------------------------------------------------------------- */

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

static void live_script(struct living *living)
{
    uint64_t random = living->life->seed;
    open_store(living);
    for (unsigned i = 0; i < living->life->steps; i++) {
        live_by_plan(living, i);
        live_a_step(living, &random);
    }
}

/* What can be read now is what was acknowledged: nothing of a commit that failed. */
static bool shows_only_the_acknowledged(struct living *living)
{
    struct life *life = living->life;
    size_t maybe_count = life->maybe_count;
    life->maybe_count = 0;
    struct ledger found;
    uint32_t help;
    bool passed = holds(life, living->tier, &found, &help);
    if (passed)
        ledger_release(&found);
    life->maybe_count = maybe_count;
    return passed;
}

/* Once calls succeed again, so do commits; or the engine says that it needs a restart. */
static bool goes_on_or_says_so(struct living *living)
{
    struct life *life = living->life;
    struct storage_condition condition;
    storage_condition(living->tier, &condition);
    unsigned before = life->commits;
    size_t maybe_count = life->maybe_count;
    live_commit(living);
    assert_int_equal(life->commits, before + 1);
    bool done = life->maybe_count == 0;
    /* It never reached the log: refused for good. */
    bool refused = life->maybe_count == maybe_count && condition.health == STORAGE_FAILING;
    if (!done && !refused)
        printf("after the fault a commit fails, and the condition says: %s\n", condition.message);
    return done || refused;
}

static bool a_restart_recovers(struct living *living)
{
    struct life *life = living->life;
    for (unsigned way = 0; way < 3; way++) {
        struct sim_disk *clone = sim_disk_clone(living->disk);
        if (way == 0)
            sim_disk_kill(clone);
        else
            sim_disk_crash(clone, &(struct sim_crash){.seed = life->seed * 31 + way});
        bool passed = recovers(life, clone);
        sim_disk_free(clone);
        if (!passed)
            return false;
    }
    return true;
}

static void survive_fault(struct life *life, const struct sim_fault *fault)
{
    life_begin(life);
    struct living living = {.life = life, .disk = new_disk(life), .faulty = true};
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
    life_end(life);
    life->states += 3;
}

static void every_nth_call_fails(struct life *life, const struct sim_fault *fault, uint64_t stride)
{
    clock_t started = clock();
    struct call_counts counts = {0};
    life_begin(life);
    struct living living = {.life = life, .disk = new_disk(life)};
    sim_disk_set_hook(living.disk, count_call, &counts);
    live_script(&living);
    engine_abandon(living.tier);
    sim_disk_free(living.disk);
    life_end(life);
    life->calls = calls_of(&counts, fault->kinds);
    life->states = 0;
    struct sim_fault nth = *fault;
    for (nth.nth = 1; nth.nth <= life->calls; nth.nth += stride * SPARSE)
        survive_fault(life, &nth);
    report(life, "failing calls", started);
}

enum { GROWING = SIM_WRITE | SIM_RESIZE | SIM_CREATE | SIM_MAKE_DIRECTORY };

static struct life faulty_life(uint64_t seed)
{
    return (struct life){.seed = seed, .steps = 36, .sync = ENGINE_SYNC_ALWAYS, .thorough = true};
}

static void an_io_error_of_any_call_loses_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 41; seed <= 40 + sim_rounds(1); seed++) {
        struct life life = faulty_life(seed);
        every_nth_call_fails(
            &life, &(struct sim_fault){.kinds = SIM_ANY_CALL, .repeat = 1, .failure = SIM_EIO}, 1);
    }
}

static void a_write_that_is_cut_short_loses_nothing(void **state)
{
    (void)state;
    for (uint64_t seed = 51; seed <= 50 + sim_rounds(1); seed++) {
        struct life life = faulty_life(seed);
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
        struct life life = faulty_life(seed);
        every_nth_call_fails(
            &life, &(struct sim_fault){.kinds = GROWING, .repeat = 1, .failure = SIM_ENOSPC}, 2);
        every_nth_call_fails(
            &life, &(struct sim_fault){.kinds = GROWING, .repeat = 30, .failure = SIM_ENOSPC}, 5);
    }
}

/* Without a sync a crash may take the last commits, but only those, each whole. */
static void without_syncs_a_crash_leaves_a_prefix_of_the_commits(void **state)
{
    (void)state;
    for (uint64_t seed = 71; seed <= 70 + sim_rounds(4); seed++) {
        struct life life = {.seed = seed, .steps = 50, .sync = ENGINE_SYNC_NEVER};
        life_begin(&life);
        struct living living = {.life = &life, .disk = new_disk(&life)};
        uint64_t random = seed;
        open_store(&living);
        for (unsigned i = 0; i < life.steps; i++)
            live_a_step(&living, &random);
        struct sim_disk *clone = sim_disk_clone(living.disk);
        sim_disk_crash(clone, &(struct sim_crash){.seed = seed});
        struct sim_machine machine;
        machine_init(&machine, clone, &life);
        struct tier *tier;
        struct error err = {0};
        if (engine_open(&machine.options, &tier, &err) != STATUS_OK)
            test_fail("%s", err.message);
        struct ledger prefix;
        ledger_init(&prefix, SERIES);
        uint32_t help = 0;
        char why[FIXTURE_WHY_SIZE];
        bool found = state_same(tier, &prefix, help, why);
        unsigned kept = 0;
        while (!found && kept < life.commits) {
            apply_commit(&life, kept++, &prefix, &help);
            found = state_same(tier, &prefix, help, why);
        }
        if (!found)
            test_fail("seed %" PRIu64 ": no prefix of %u commits: %s", seed, life.commits, why);
        printf("seed %" PRIu64 ": %u of %u commits survived\n", seed, kept, life.commits);
        ledger_release(&prefix);
        engine_abandon(tier);
        sim_disk_free(clone);
        engine_abandon(living.tier);
        sim_disk_free(living.disk);
        life_end(&life);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_crash_keeps_what_was_acknowledged),
        cmocka_unit_test(crashes_in_recovery_keep_what_was_acknowledged),
#if !SANITIZED
        cmocka_unit_test(each_sync_site_is_needed),
#endif
        cmocka_unit_test(an_io_error_of_any_call_loses_nothing),
        cmocka_unit_test(a_write_that_is_cut_short_loses_nothing),
        cmocka_unit_test(a_disk_that_is_full_for_a_while_loses_nothing),
        cmocka_unit_test(without_syncs_a_crash_leaves_a_prefix_of_the_commits),
    };
    /* A pattern, for scripts/sync-sites. */
    cmocka_set_test_filter(getenv("METRIC_STORE_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

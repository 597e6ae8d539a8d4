#include "scripted_life.h"

#include "../unit/test.h"

#include <inttypes.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    COMMIT_MAX = 2000, /* samples of a commit */
    KEEP_DAYS = 3,
    OPEN_ATTEMPTS = 64, /* more than calls fail in a row */
    WARM_STEPS = 16,
    PAUSE_STEPS = 32,
    PAUSE_STEP_MS = 2000, /* longer than the log waits for writes before it marks a pause */
    COMMITS_TO_MARK = 8,
};

static int64_t no_time(void *context)
{
    (void)context;
    return 0;
}

void scripted_machine_init(struct sim_machine *machine, struct sim_disk *disk,
                           const struct scripted_life *life)
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
    bool series[SCRIPTED_SERIES];
    struct time_range range;
};

/* Most of what was written, or what two commits wrote. */
static void make_delete(unsigned number, uint64_t *random, struct commit *commit)
{
    memset(commit->series, 0, sizeof commit->series);
    for (uint64_t i = 1 + sim_below(random, 6); i > 0; i--)
        commit->series[sim_below(random, SCRIPTED_SERIES)] = true;
    int64_t from_ms =
        SIM_START_MS + (int64_t)sim_below(random, number + 1) * COMMIT_MAX * 50 + 1000;
    commit->range = (struct time_range){from_ms, from_ms + 2 * COMMIT_MAX * 50};
    if (sim_below(random, 3) == 0)
        commit->range.start_ms = SIM_START_MS - MS_PER_DAY;
}

/* Commit `number` of the life: always the same. */
static void make_commit(const struct scripted_life *life, unsigned number, struct commit *commit)
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
    uint32_t series =
        (uint32_t)sim_below(&random, 4 + number < SCRIPTED_SERIES ? 4 + number : SCRIPTED_SERIES);
    for (size_t i = 0; i < commit->count; i++) {
        if (sim_below(&random, 40) == 0)
            series = (uint32_t)sim_below(&random, 4 + number < SCRIPTED_SERIES ? 4 + number
                                                                               : SCRIPTED_SERIES);
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

void scripted_apply(const struct scripted_life *life, unsigned number, struct ledger *ledger,
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
        return fixture_delete(tier, commit->series, SCRIPTED_SERIES, commit->range, &result, err);
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

bool scripted_state_same(struct tier *tier, const struct ledger *ledger, uint32_t help,
                         char why[FIXTURE_WHY_SIZE])
{
    if (!fixture_same(tier, ledger, fixture_always(), why))
        return false;
    if (help_same(tier, help))
        return true;
    snprintf(why, FIXTURE_WHY_SIZE, "the descriptor is not number %" PRIu32, help);
    return false;
}

bool scripted_holds(const struct scripted_life *life, struct tier *tier, struct ledger *found,
                    uint32_t *found_help)
{
    char why[FIXTURE_WHY_SIZE] = "";
    char first_why[FIXTURE_WHY_SIZE] = "";
    for (size_t i = 0; i <= life->maybe_count; i++)
        for (int dropped = 0; dropped <= (life->dropping ? 1 : 0); dropped++) {
            ledger_copy(found, &life->acknowledged);
            *found_help = life->help;
            if (i > 0)
                scripted_apply(life, life->maybe[i - 1], found, found_help);
            if (dropped)
                ledger_drop_before(found, life->drop_ms);
            if (scripted_state_same(tier, found, *found_help, why))
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
static bool reopen_gives(const struct scripted_life *life, struct sim_disk *disk,
                         const struct ledger *ledger, uint32_t help, const char *when)
{
    struct sim_machine machine;
    scripted_machine_init(&machine, disk, life);
    struct tier *tier;
    struct error err = {0};
    char why[FIXTURE_WHY_SIZE];
    if (engine_open(&machine.options, &tier, &err) != STATUS_OK) {
        printf("%s: cannot open: %s\n", when, err.message);
        return false;
    }
    bool same = scripted_state_same(tier, ledger, help, why);
    if (!same)
        printf("%s: %s\n", when, why);
    engine_abandon(tier);
    return same;
}

static bool survives_a_crash(const struct scripted_life *life, struct sim_disk *disk,
                             const struct ledger *ledger, uint32_t help, const char *when)
{
    struct sim_disk *clone = sim_disk_clone(disk);
    sim_disk_crash(clone, &(struct sim_crash){.seed = sim_disk_calls(disk) * 7 + 1});
    bool survives = reopen_gives(life, clone, ledger, help, when);
    sim_disk_free(clone);
    return survives;
}

/* New commits, a flush and merges on top of what was recovered, and crashes after each. */
static bool goes_on(const struct scripted_life *life, struct sim_disk *disk, struct tier *tier,
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
        scripted_apply(life, number, ledger, help);
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
static bool speaks_of_damage(const struct scripted_life *life, struct tier *tier)
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

bool scripted_recovers(void *context, struct sim_disk *disk)
{
    struct scripted_life *life = context;
    assert_int_equal(ftruncate(life->log_fd, 0), 0);
    assert_int_equal(lseek(life->log_fd, 0, SEEK_SET), 0);
    struct sim_machine machine;
    scripted_machine_init(&machine, disk, life);
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
    bool passed = scripted_holds(life, tier, &found, &help);
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

static void must(const struct scripted_living *living, enum status status, const struct error *err,
                 const char *what)
{
    if (status != STATUS_OK && !living->faulty)
        test_fail("%s: %s: %s", what, status_name(status), err->message);
}

void scripted_open(struct scripted_living *living)
{
    scripted_machine_init(&living->machine, living->disk, living->life);
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

void scripted_commit(struct scripted_living *living)
{
    struct scripted_life *life = living->life;
    struct commit commit;
    struct error err = {0};
    make_commit(life, life->commits, &commit);
    assert_true(life->maybe_count < SCRIPTED_MAYBE_MAX);
    life->maybe[life->maybe_count++] = life->commits++;
    enum status status = send_commit(living->tier, &commit, &err);
    for (int i = 0; i < 8 && status == STATUS_BUSY; i++) {
        bool did;
        must(living, engine_background_step(living->tier, &did, &err), &err, "a step");
        status = send_commit(living->tier, &commit, &err);
    }
    must(living, status, &err, "commit");
    if (status == STATUS_OK) {
        scripted_apply(life, life->commits - 1, &life->acknowledged, &life->help);
        life->maybe_count = 0;
    } else if (status == STATUS_UNAVAILABLE || status == STATUS_BUSY) {
        life->maybe_count--; /* never reached the log */
    }
}

static void live_background(struct scripted_living *living)
{
    bool did;
    struct error err = {0};
    must(living, engine_background_step(living->tier, &did, &err), &err, "a step");
}

static void live_flush(struct scripted_living *living)
{
    struct error err = {0};
    enum status status = engine_flush(living->tier, &err);
    must(living, status, &err, "flush");
}

static uint64_t log_syncs(const struct scripted_living *living)
{
    struct engine_stats stats;
    engine_stats(living->tier, &stats);
    return stats.log_syncs;
}

void scripted_commit_to_mark(struct scripted_living *living)
{
    uint64_t before = log_syncs(living);
    /* A delete of nothing is not logged. */
    for (int i = 0; i < COMMITS_TO_MARK && log_syncs(living) == before; i++)
        scripted_commit(living);
}

/* The wall clock is set back: it says the same wherever a pause was. */
void scripted_pause(struct scripted_living *living)
{
    struct sim_clock *clock = &living->machine.clock;
    int64_t wall_ms = clock->wall_ms;
    uint64_t before = log_syncs(living);
    for (int i = 0; i < PAUSE_STEPS && log_syncs(living) == before; i++) {
        sim_clock_advance(clock, PAUSE_STEP_MS);
        live_background(living);
    }
    sim_clock_jump(clock, wall_ms - clock->wall_ms);
    bool marked = log_syncs(living) == before + 1;
    if (!living->faulty && living->life->sync == ENGINE_SYNC_ALWAYS && !marked)
        test_fail("after %u commits a pause is not marked in the log", living->life->commits);
    living->life->marks += marked ? 1 : 0;
}

/* Days pass until all that was written becomes warm, but none goes; then it is SIM_START_MS again.
 */
static void live_until_warm(struct scripted_living *living)
{
    struct scripted_life *life = living->life;
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
static void live_long(struct scripted_living *living)
{
    struct scripted_life *life = living->life;
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
static void adopt_the_unsure(struct scripted_living *living)
{
    struct scripted_life *life = living->life;
    struct sim_disk *clone = sim_disk_clone(living->disk);
    sim_disk_kill(clone);
    struct sim_machine machine;
    scripted_machine_init(&machine, clone, life);
    struct tier *tier;
    struct error err = {0};
    if (engine_open(&machine.options, &tier, &err) != STATUS_OK)
        test_fail("the store does not open after a fault: %s", err.message);
    struct ledger found;
    uint32_t help;
    if (!scripted_holds(life, tier, &found, &help))
        test_fail("after a fault and a restart the store holds something else");
    ledger_release(&life->acknowledged);
    life->acknowledged = found;
    life->help = help;
    life->maybe_count = 0;
    engine_abandon(tier);
    sim_disk_free(clone);
}

static void live_restart(struct scripted_living *living)
{
    engine_close(living->tier);
    if (living->life->maybe_count > 0)
        adopt_the_unsure(living);
    scripted_open(living);
}

void scripted_step(struct scripted_living *living, uint64_t *random)
{
    uint64_t what = sim_below(random, 32);
    if (what < 17)
        scripted_commit(living);
    else if (what < 25)
        live_background(living);
    else if (what < 30)
        live_flush(living);
    else
        live_restart(living);
}

/* What comes once, at its time: a second warm step finds late samples beside the first one's. */
void scripted_plan_step(struct scripted_living *living, unsigned step)
{
    unsigned steps = living->life->steps;
    /* In a log that was never flushed, and in one that is written to again after all else. */
    if (step == steps / 8 || step == steps * 7 / 8) {
        scripted_commit_to_mark(living);
        scripted_pause(living);
    }
    if (step == steps / 4 || step == steps / 2)
        live_until_warm(living);
    if (step == steps * 2 / 3)
        live_long(living);
}

void scripted_begin(struct scripted_life *life)
{
    ledger_init(&life->acknowledged, SCRIPTED_SERIES);
    life->help = 0;
    life->maybe_count = 0;
    life->now_ms = SIM_START_MS;
    life->dropping = false;
    life->commits = 0;
    life->marks = 0;
    life->log_fd = memfd_create("log", MFD_CLOEXEC);
    assert_true(life->log_fd >= 0);
}

void scripted_end(struct scripted_life *life)
{
    ledger_release(&life->acknowledged);
    close(life->log_fd);
}

struct sim_disk *scripted_disk(struct scripted_life *life)
{
    struct sim_disk *disk = sim_machine_disk(life->seed);
    sim_disk_set_sites(disk, &life->sites);
    return disk;
}

void scripted_report(const struct scripted_life *life, const char *what, clock_t started)
{
    printf("%s, seed %" PRIu64 ": %" PRIu64 " calls, %" PRIu64 " states, %.1f s\n", what,
           life->seed, life->calls, life->states, (double)(clock() - started) / CLOCKS_PER_SEC);
}

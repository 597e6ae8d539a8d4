/*
 * life_store - the store of a life: opened, looked at, broken, and recovered from crashes.
 */
#include "life.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/invariant.h"

enum {
    CALM_AFTER = 6, /* attempts to open a store on a disk that fails */
    LIVES_ON_MAX = 8,
    FIRST_STEP_AFTERWARDS = 1000,
};

/* ---- settings --------------------------------------------------------------------------- */

#define ONE_OF(random, ...)                                                                        \
    (((const int64_t[]){__VA_ARGS__})[sim_below(random, sizeof((const int64_t[]){__VA_ARGS__}) /   \
                                                            sizeof(int64_t))])

void life_config_random(struct life_config *config, uint64_t *random)
{
    enum { KIB = 1024 };
    *config = (struct life_config){
        .sync =
            (enum engine_sync)ONE_OF(random, ENGINE_SYNC_ALWAYS, ENGINE_SYNC_ALWAYS,
                                     ENGINE_SYNC_ALWAYS, ENGINE_SYNC_INTERVAL, ENGINE_SYNC_NEVER),
        .sync_interval_ms = ONE_OF(random, 0, 200, MS_PER_MINUTE),
        .head_bytes = (size_t)ONE_OF(random, 14 * KIB, 20 * KIB, 40 * KIB, 200 * KIB),
        .table_bytes = (size_t)ONE_OF(random, 0, 0, 64 * KIB),
        .raw_cache_bytes = (size_t)ONE_OF(random, 4 * KIB, 64 * KIB),
        .tombstone_bytes = (size_t)ONE_OF(random, 0, 0, KIB),
        .log_segment_bytes = (uint64_t)ONE_OF(random, 64 * KIB, 64 * KIB, 128 * KIB),
        .max_chunks = (uint32_t)ONE_OF(random, LIFE_DAYS_KEPT, LIFE_DAYS_KEPT, 100, 6),
        .merge_fan_in = (uint32_t)ONE_OF(random, 2, 2, 3, 4, 8),
        .retention_ms = ONE_OF(random, 0, 0, 0, 3, 8) * MS_PER_DAY,
        .warm_after_ms = ONE_OF(random, 0, 1, 1, 2) * MS_PER_DAY,
        .delete_rest_ms = ONE_OF(random, 0, 0, MS_PER_MINUTE),
        .warm_rest_ms = ONE_OF(random, 0, 0, 10 * MS_PER_MINUTE),
        .clock_leap_ms = ONE_OF(random, 0, 2, 2, 2, 30, 30) * MS_PER_HOUR,
        .rule_count = (size_t)ONE_OF(random, 0, 0, 1, 2),
        .admitted_series = (uint64_t)ONE_OF(random, 0, 0, 0, 12, 30),
    };
    for (size_t i = 0; i < config->rule_count; i++) {
        bool host = sim_below(random, 2) == 0;
        uint32_t numbers = host ? LIFE_SERIES / FIXTURE_METRICS : FIXTURE_METRICS;
        config->rules[i] = (struct life_rule){.host = host,
                                              .number = (uint32_t)sim_below(random, numbers),
                                              .keep_ms = ONE_OF(random, 0, 1, 2, 5) * MS_PER_DAY};
    }
}

size_t life_rules(struct life *life, struct retention_rule *rules)
{
    for (size_t i = 0; i < life->config.rule_count; i++) {
        const struct life_rule *rule = &life->config.rules[i];
        snprintf(life->selectors[i], sizeof life->selectors[i],
                 rule->host ? "{host=\"h%" PRIu32 "\"}" : "metric_%" PRIu32, rule->number);
        rules[i] = (struct retention_rule){life->selectors[i], rule->keep_ms};
    }
    return life->config.rule_count;
}

static int64_t no_time(void *context)
{
    (void)context;
    return 0;
}

/* Of a life whose machine does not run yet. */
static void machine_init(struct life *life)
{
    struct sim_machine *machine = &life->machine;
    const struct life_config *config = &life->config;
    sim_machine_init(machine, life->disk, life->dir, life->options.seed + life->salt);
    sim_clock_init(&machine->clock, life->wall_ms);
    machine->clock.monotonic_ns = life->monotonic_ns;
    invariant(ftruncate(life->log_fd, 0) == 0 && lseek(life->log_fd, 0, SEEK_SET) == 0);
    machine->log = (struct log){.fd = life->log_fd, .level = LOG_ERROR, .now_ms = no_time};
    struct engine_options *options = &machine->options;
    options->log = &machine->log;
    options->sync = config->sync;
    options->sync_interval_ms = config->sync_interval_ms;
    options->head_bytes = config->head_bytes;
    options->table_bytes = config->table_bytes;
    options->raw_cache_bytes = config->raw_cache_bytes;
    options->tombstone_bytes = config->tombstone_bytes;
    options->log_segment_bytes = config->log_segment_bytes;
    options->max_chunks = config->max_chunks;
    options->merge_fan_in = config->merge_fan_in;
    options->retention_ms = config->retention_ms;
    options->retention_rule_count = life_rules(life, options->retention_rules);
    options->clock_leap_ms = config->clock_leap_ms;
    options->warm_after_ms = config->warm_after_ms;
    options->delete_rest_ms = config->delete_rest_ms;
    options->warm_rest_ms = config->warm_rest_ms;
}

/* ---- looking ---------------------------------------------------------------------------- */

struct findings {
    struct engine_verify_result result;
    uint64_t cut_edits;
    char first[256];
};

/* A crash may leave one copy of the manifest's last edit, as decay may. Nothing is lost, and verify
 * speaks of it; a start mends it. */
static bool is_cut_edit(const char *description)
{
    return strstr(description, ", the last, is damaged") != NULL ||
           (strstr(description, "manifest: bytes ") != NULL &&
            strstr(description, " are damaged") != NULL);
}

static void note_finding(void *context, enum engine_finding finding, const char *path,
                         const char *description)
{
    struct findings *findings = context;
    if (finding == ENGINE_DAMAGE && is_cut_edit(description)) {
        findings->cut_edits++;
        return;
    }
    if (findings->first[0] == '\0')
        snprintf(findings->first, sizeof findings->first, "%s: %s", path, description);
}

/* Of a store that nobody has open. One that was never finished is none. */
static bool verifies(struct life *life, const char *dir, bool crashed)
{
    struct findings findings = {.first = ""};
    struct error err = {0};
    struct os os = life->machine.options.os;
    os.fs = sim_disk_filesystem(life->disk);
    enum status status =
        engine_verify(os, dir, note_finding, NULL, &findings, &findings.result, &err);
    if (status == STATUS_NOT_FOUND && crashed)
        return true;
    if (status != STATUS_OK)
        return life_fail(life, "cannot verify %s: %s", dir, err.message);
    uint64_t allowed = crashed ? findings.cut_edits : 0;
    if (findings.result.damaged > allowed || (findings.result.leftovers > 0 && !crashed))
        return life_fail(life, "verify finds %" PRIu64 " places damaged, %" PRIu64 " left over: %s",
                         findings.result.damaged, findings.result.leftovers, findings.first);
    return true;
}

bool life_is_broken(const struct life *life)
{
    struct storage_condition condition;
    storage_condition(life->tier, &condition);
    return condition.health == STORAGE_FAILING;
}

bool life_look(struct life *life)
{
    char why[FIXTURE_WHY_SIZE];
    life_state_release(&life->seen);
    life_state_init(&life->seen);
    sim_disk_pause_faults(life->disk, true);
    bool same = (life_state_read(&life->seen, life->tier, why) &&
                 life_model_shows(&life->model, &life->seen, why)) ||
                life_fail(life, "a reader: %s", why);
    same = same && life_look_at_totals(life, &life->seen.ledger, NULL);
    sim_disk_pause_faults(life->disk, false);
    return same;
}

/* ---- opening and breaking --------------------------------------------------------------- */

void life_calm(struct life *life)
{
    sim_disk_clear_faults(life->disk);
    sim_disk_set_space(life->disk, 0);
    life->faulty = false;
}

static bool recovered_clean(struct life *life)
{
    struct engine_stats stats;
    engine_stats(life->tier, &stats);
    if (stats.recovery.damaged == 0)
        return true;
    char text[LIFE_WHY_SIZE] = "";
    ssize_t size = pread(life->log_fd, text, sizeof text - 1, 0);
    return life_fail(life, "recovery speaks of damage: %.*s", (int)size, text);
}

static bool look_after_start(struct life *life)
{
    char why[FIXTURE_WHY_SIZE];
    struct life_state found;
    life_state_init(&found);
    if (!life_state_read(&found, life->tier, why) ||
        !life_model_allows(&life->model, &found, why)) {
        life_state_release(&found);
        return life_fail(life, "after a start: %s", why);
    }
    life_model_adopt(&life->model, &found);
    uint64_t random = life_random(life, life->starts + (UINT64_C(6) << 40));
    const struct life_state *now = &life->model.now;
    return life_look_at_totals(life, &now->ledger, &random) && life_look_at_metrics(life, now) &&
           life_look_at_selectors(life, &now->ledger, &random) && life_look_at_chunks(life);
}

bool life_open(struct life *life)
{
    struct error err = {0};
    enum status status = STATUS_IO;
    for (int attempt = 0; status != STATUS_OK; attempt++) {
        if (attempt == CALM_AFTER)
            life_calm(life);
        machine_init(life);
        life_clock_starts(life);
        status = engine_open(&life->machine.options, &life->tier, &err);
        if (status != STATUS_OK && !life->faulty)
            return life_fail(life, "cannot open the store: %s", err.message);
    }
    life->starts++;
    sim_disk_pause_faults(life->disk, true);
    bool same = recovered_clean(life) && look_after_start(life);
    sim_disk_pause_faults(life->disk, false);
    return same;
}

static void close_readers(struct life *life)
{
    for (size_t i = 0; i < LIFE_READERS; i++) {
        struct life_reader *reader = &life->readers[i];
        if (reader->selection == NULL)
            continue;
        selection_close(life->tier, reader->selection);
        ledger_release(&reader->expected);
        reader->selection = NULL;
    }
}

void life_stop(struct life *life, bool close)
{
    close_readers(life);
    if (close)
        engine_close(life->tier);
    else
        engine_abandon(life->tier);
    life->arrivals.high_s = life_arrivals_latest(life);
    life->tier = NULL;
    life->wall_ms = life->machine.clock.wall_ms;
    life->monotonic_ns = life->machine.clock.monotonic_ns;
}

void life_break(struct life *life, const struct sim_crash *crash)
{
    struct sim_disk *left = sim_disk_clone(life->disk);
    sim_disk_set_space(left, 0);
    if (crash != NULL)
        sim_disk_crash(left, crash);
    else
        sim_disk_kill(left);
    sim_explore_detach(life->disk);
    life_calm(life);
    life_stop(life, false);
    if (life->owns_disk)
        sim_disk_free(life->disk);
    life->disk = left;
    life->owns_disk = true;
    if (crash != NULL)
        life->monotonic_ns = 0;
    life_explore(life);
}

/* ---- other stores on the disk ----------------------------------------------------------- */

/* A second life on a disk that is the first one's or a copy of it, not yet open. */
static void second_init(struct life *second, const struct life *life, struct sim_disk *disk)
{
    memset(second, 0, sizeof *second);
    second->options = life->options;
    second->disk = disk;
    sim_disk_set_space(disk, 0);
    second->log_fd = life->log_fd;
    second->depth = life->depth + 1;
    second->step = life->step;
    second->config = life->config;
    second->expired_before = life->expired_before;
    second->warm_before_ms = life->warm_before_ms;
    second->belief = life->belief;
    second->arrivals = life->arrivals;
    second->arrivals.high_s = life_arrivals_latest(life);
    second->wall_stands = life->wall_stands;
    second->starts = life->starts;
    second->wall_ms = life->tier != NULL ? life->machine.clock.wall_ms : life->wall_ms;
    second->salt = life->salt * 31 + sim_disk_calls(disk) * 1000 + life->explore.states;
    snprintf(second->dir, sizeof second->dir, "%s", life->dir);
    machine_init(second);
    second->arrivals.began_ns = second->machine.clock.monotonic_ns;
}

static bool opens_as(struct life *second, const struct life_state *state)
{
    char why[FIXTURE_WHY_SIZE];
    struct error err = {0};
    machine_init(second);
    if (engine_open(&second->machine.options, &second->tier, &err) != STATUS_OK)
        return life_fail(second, "cannot open %s: %s", second->dir, err.message);
    struct life_print must;
    struct life_print is;
    struct life_state found;
    life_state_init(&found);
    bool same = recovered_clean(second);
    if (same && !life_state_read(&found, second->tier, why))
        same = life_fail(second, "%s: %s", second->dir, why);
    life_state_print(state, &must);
    life_state_print(&found, &is);
    if (same && (must.descriptors != is.descriptors || must.day_count != is.day_count ||
                 memcmp(must.days, is.days, must.day_count * sizeof must.days[0]) != 0))
        same = life_fail(second, "%s holds %" PRIu64 " samples, and should %" PRIu64, second->dir,
                         ledger_count(&found.ledger), ledger_count(&state->ledger));
    life_state_release(&found);
    life_stop(second, false);
    return same;
}

bool life_holds(struct life *life, const char *dir, const struct life_state *state)
{
    struct life *second = malloc(sizeof *second);
    invariant(second != NULL);
    struct sim_disk *disk = sim_disk_clone(life->disk);
    second_init(second, life, disk);
    snprintf(second->dir, sizeof second->dir, "%s", dir);
    bool holds = verifies(second, dir, false) && opens_as(second, state);
    if (!holds)
        life_fail(life, "%s", second->why);
    sim_disk_free(disk);
    free(second);
    return holds;
}

struct tree_walk {
    struct filesystem *fs;
    const char *path;
};

static enum status remove_below(void *context, const char *name, bool is_directory,
                                struct error *err)
{
    const struct tree_walk *walk = context;
    char path[SIM_PATH_SIZE];
    snprintf(path, sizeof path, "%s/%s", walk->path, name);
    if (!is_directory)
        return filesystem_remove(walk->fs, path, err);
    struct tree_walk below = {walk->fs, path};
    enum status status = filesystem_list(walk->fs, path, remove_below, &below, err);
    return status == STATUS_OK ? filesystem_remove_directory(walk->fs, path, err) : status;
}

void life_remove_store(struct life *life, const char *dir)
{
    struct filesystem *fs = sim_disk_filesystem(life->disk);
    struct tree_walk walk = {fs, dir};
    sim_explore_detach(life->disk);
    sim_disk_pause_faults(life->disk, true);
    invariant(filesystem_list(fs, dir, remove_below, &walk, NULL) == STATUS_OK &&
              filesystem_remove_directory(fs, dir, NULL) == STATUS_OK &&
              filesystem_sync_directory(fs, "/data", NULL) == STATUS_OK);
    sim_disk_pause_faults(life->disk, false);
    life_explore(life);
}

/* ---- recovering from a crash ------------------------------------------------------------ */

/* Recovery itself meets a disk that fails, and a machine that crashes again. */
static void stumble(struct life *second, uint64_t *random)
{
    static const enum sim_failure failures[] = {SIM_EIO, SIM_ENOSPC, SIM_SHORT_EIO, SIM_EROFS};
    for (int attempt = 0; attempt < 3; attempt++) {
        struct sim_fault fault = {
            .kinds = sim_below(random, 2) == 0 ? SIM_ANY_CALL : SIM_CHANGING_CALL,
            .nth = 1 + sim_below(random, 40),
            .repeat = 1 + sim_below(random, 3),
            .failure = failures[sim_below(random, sizeof failures / sizeof failures[0])],
        };
        machine_init(second);
        if (sim_below(random, 3) == 0)
            sim_disk_set_space(second->disk, sim_disk_used(second->disk));
        else
            sim_disk_add_fault(second->disk, &fault);
        enum status status = engine_open(&second->machine.options, &second->tier, NULL);
        life_calm(second);
        if (status == STATUS_OK) {
            life_stop(second, false);
            return;
        }
        struct sim_crash crash = {.seed = sim_next(random)};
        uint64_t end = sim_below(random, 3);
        if (end == 0)
            sim_disk_crash(second->disk, &crash);
        if (end == 1)
            sim_disk_kill(second->disk);
    }
}

/* The recovered store is used for a while, and broken again. */
static bool lives_on(struct life *second, const struct life *life, struct life_state *found,
                     uint64_t *random)
{
    life_model_copy(&second->model, &life->model);
    life_model_adopt(&second->model, found);
    life_state_init(found);
    life_clock_starts(second);
    uint64_t steps = 1 + sim_below(random, LIVES_ON_MAX);
    bool goes_on = true;
    for (uint64_t i = 0; i < steps && goes_on; i++) {
        second->step = FIRST_STEP_AFTERWARDS + (unsigned)i;
        goes_on = life_take_step(second);
    }
    if (goes_on) {
        struct sim_crash crash = {.seed = sim_next(random), .names_in_any_order = steps % 2 == 0};
        life_break(second, steps % 3 == 0 ? NULL : &crash);
        goes_on = life_open(second);
    }
    life_model_release(&second->model);
    life_state_release(&second->seen);
    /* The steps of this short life, for whoever looks into it. */
    for (second->step = FIRST_STEP_AFTERWARDS; !goes_on && steps-- > 0; second->step++) {
        char name[LIFE_NAME_SIZE];
        life_step_name(second, name);
        printf("%u %s\n", second->step, name);
    }
    return goes_on;
}

/* What was found is there for good, not only to be read. */
static bool survives(struct life *life, struct sim_disk *disk, const struct life_state *found)
{
    struct sim_crash crash = {.seed = sim_disk_calls(disk) * 7 + 1};
    struct sim_disk *clone = sim_disk_clone(disk);
    sim_disk_crash(clone, &crash);
    struct life *second = malloc(sizeof *second);
    invariant(second != NULL);
    second_init(second, life, clone);
    bool same = opens_as(second, found);
    if (!same)
        life_fail(life, "a crash right after recovery: %s", second->why);
    free(second);
    sim_disk_free(clone);
    return same;
}

/* A snapshot that was being made is whole, or cannot be taken for one. */
static bool snapshot_is_whole_or_none(struct life *second, const struct life *life)
{
    struct file *file = NULL;
    char path[64];
    snprintf(path, sizeof path, "%s/manifest", life->snapshot);
    enum status status =
        filesystem_open(sim_disk_filesystem(second->disk), path, FILE_READ, &file, NULL);
    file_close(file);
    return status == STATUS_NOT_FOUND || life_holds(second, life->snapshot, &life->seen);
}

static bool compare(struct life *second, const struct life *life, struct life_state *found,
                    uint64_t *random)
{
    char why[FIXTURE_WHY_SIZE];
    if (!recovered_clean(second))
        return false;
    if (!life_state_read(found, second->tier, why) || !life_model_allows(&life->model, found, why))
        return life_fail(second, "%s", why);
    if (sim_below(random, 3) == 0 && !life_look_at_totals(second, &found->ledger, random))
        return false;
    if (sim_below(random, 3) == 0 && !(life_look_at_selectors(second, &found->ledger, random) &&
                                       life_look_at_metrics(second, found)))
        return false;
    if (!life_look_at_chunks(second))
        return false;
    if (life->snapshot != NULL && sim_below(random, 4) == 0 &&
        !snapshot_is_whole_or_none(second, life))
        return false;
    uint64_t way = sim_below(random, 12);
    if (way < 4 && !survives(second, second->disk, found))
        return false;
    return way < 11 || life->depth > 0 || lives_on(second, life, found, random);
}

static bool recovers(struct life *second, const struct life *life, uint64_t *random)
{
    if (sim_below(random, 12) == 0 && !verifies(second, second->dir, true))
        return false;
    if (sim_below(random, 4) == 0)
        life_config_random(&second->config, random);
    if (sim_below(random, 6) == 0)
        stumble(second, random);
    machine_init(second);
    struct error err = {0};
    if (engine_open(&second->machine.options, &second->tier, &err) != STATUS_OK)
        return life_fail(second, "cannot recover: %s", err.message);
    sim_explore_detach(second->disk);
    struct life_state found;
    life_state_init(&found);
    bool passed = compare(second, life, &found, random);
    life_state_release(&found);
    if (second->tier != NULL)
        life_stop(second, false);
    if (passed && sim_below(random, 12) == 0)
        passed = verifies(second, second->dir, false);
    return passed;
}

static void note_spread(struct life *life)
{
    if (life->depth > 0)
        return;
    /* The last crash comes after the last step. */
    unsigned quarter = life->step * LIFE_QUARTERS / life->options.steps;
    life->spread.quarters[quarter < LIFE_QUARTERS ? quarter : LIFE_QUARTERS - 1]++;
    for (size_t i = 0; i < LIFE_PASTS; i++)
        life->spread.pasts[i] += life->past[i];
}

bool life_recovers(void *context, struct sim_disk *disk)
{
    struct life *life = context;
    note_spread(life);
    struct life *second = malloc(sizeof *second);
    invariant(second != NULL);
    second_init(second, life, disk);
    uint64_t random = life_random(second, UINT64_C(3) << 40);
    /* Such a state is of interest: what its recovery asks of the disk is shown. */
    if (life->depth == 0 && life->options.shown_state == life->explore.states)
        sim_disk_set_log(disk, stdout);
    bool passed = recovers(second, life, &random);
    if (!passed)
        printf("%s\n", second->why);
    life_calm(second);
    if (second->owns_disk)
        sim_disk_free(second->disk);
    free(second);
    return passed;
}

/*
 * life_steps - what can happen in a life.
 */
#include "life.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bits.h"
#include "base/invariant.h"
#include "model/value.h"

enum {
    ATTEMPTS = 12,       /* of a commit, with a background step between them */
    SETTLE_STEPS = 2000, /* of the background, far more than there is work */
    LATE_DAYS = 5,
    STEP_MS = 1000,       /* most times are whole multiples of it, so that some come again */
    ROOM_MAX = 64 * 1024, /* that a disk which is nearly full has */
    CALLS_OF_A_STEP = 60,
    MANY = 8, /* a commit in so many has hundreds of samples */
};

enum step_kind {
    STEP_COMMIT,
    STEP_DELETE,
    STEP_FLUSH,
    STEP_BACKGROUND,
    STEP_SETTLE,
    STEP_CLOCK,
    STEP_READER,
    STEP_LOOK,
    STEP_SETTINGS,
    STEP_SNAPSHOT,
    STEP_RESTORE,
    STEP_RESTART,
    STEP_KILL,
    STEP_CRASH,
    STEP_FAULT,
    STEP_CALM,
};

static const struct {
    const char *name;
    unsigned weight;
} kinds[] = {
    [STEP_COMMIT] = {"commit", 42},
    [STEP_DELETE] = {"delete", 6},
    [STEP_FLUSH] = {"flush", 8},
    [STEP_BACKGROUND] = {"a background step", 14},
    [STEP_SETTLE] = {"all background work", 3},
    [STEP_CLOCK] = {"clock", 5},
    [STEP_READER] = {"reader", 5},
    [STEP_LOOK] = {"look", 2},
    [STEP_SETTINGS] = {"reload", 2},
    [STEP_SNAPSHOT] = {"snapshot", 1},
    [STEP_RESTORE] = {"restore", 1},
    [STEP_RESTART] = {"restart", 4},
    [STEP_KILL] = {"kill", 2},
    [STEP_CRASH] = {"crash", 3},
    [STEP_FAULT] = {"fault", 3},
    [STEP_CALM] = {"the disk works again", 4},
};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static enum step_kind step_kind(const struct life *life, uint64_t *random)
{
    *random = life_random(life, life->step);
    uint64_t sum = 0;
    for (size_t i = 0; i < KINDS; i++)
        sum += kinds[i].weight;
    uint64_t at = sim_below(random, sum);
    size_t kind = 0;
    while (at >= kinds[kind].weight)
        at -= kinds[kind++].weight;
    return (enum step_kind)kind;
}

/* Whether a step may end like this. */
static bool expected(struct life *life, enum status status, const struct error *err,
                     const char *what)
{
    if (status == STATUS_OK || life->faulty || life_is_broken(life))
        return true;
    return life_fail(life, "%s: %s: %s", what, status_name(status), err->message);
}

/* ---- the background --------------------------------------------------------------------- */

static void pass_time(struct life *life, int64_t duration_ms)
{
    sim_clock_advance(&life->machine.clock, duration_ms);
    if (life->wall_stands)
        sim_clock_jump(&life->machine.clock, -duration_ms);
}

static bool background(struct life *life, bool *did)
{
    struct error err = {0};
    *did = false;
    life_clock_look(life);
    enum status status = engine_background_step(life->tier, did, &err);
    if (!expected(life, status, &err, "a background step") || !life_look_at_chunks(life))
        return false;
    *did = *did && status == STATUS_OK;
    if (life->model.doomed_before == INT64_MIN)
        return true;
    if (!life_look(life))
        return false;
    /* Without syncs a crash may undo what a rule has deleted. */
    if (status == STATUS_OK && !life_is_broken(life) && life->config.sync == ENGINE_SYNC_ALWAYS)
        life_model_dropped(&life->model, &life->seen);
    return true;
}

static bool settle(struct life *life)
{
    bool did = true;
    int steps = 0;
    while (did && steps++ < SETTLE_STEPS)
        if (!background(life, &did))
            return false;
    return !did || life_fail(life, "after %d steps the background is not done", SETTLE_STEPS);
}

static bool flush(struct life *life)
{
    struct error err = {0};
    enum status status = engine_flush(life->tier, &err);
    if (status == STATUS_OK)
        life_model_flushed(&life->model, false);
    return expected(life, status, &err, "a flush");
}

/* ---- commits ---------------------------------------------------------------------------- */

static double some_value(uint64_t *random)
{
    switch (sim_below(random, 16)) {
    case 0:
        return double_of_bits(VALUE_STALE_BITS);
    case 1:
        return double_of_bits(UINT64_C(0x7ff8000000000000) | sim_below(random, 1000));
    case 2:
        return sim_below(random, 2) == 0 ? INFINITY : -INFINITY;
    case 3:
        return sim_below(random, 2) == 0 ? -0.0 : 0.0;
    case 4:
        return double_of_bits(sim_below(random, 1000) + 1);
    case 5:
        return double_of_bits(sim_next(random));
    case 6:
    case 7:
        return 42;
    default:
        return (double)sim_below(random, 1u << 20) / (double)(1 + sim_below(random, 8));
    }
}

static int64_t some_time(const struct life *life, uint64_t *random)
{
    int64_t now_ms = life->machine.clock.wall_ms / STEP_MS * STEP_MS;
    int64_t back = (int64_t)sim_below(random, 100) * STEP_MS;
    switch (sim_below(random, 10)) {
    case 0: /* late */
        return now_ms - back - (int64_t)sim_below(random, LATE_DAYS) * MS_PER_DAY;
    case 1: /* early */
        return now_ms + back * 500;
    case 2:
        return now_ms - back + (int64_t)sim_below(random, STEP_MS);
    default:
        return now_ms - back;
    }
}

static void make_commit(struct life *life, uint64_t *random)
{
    struct life_commit *commit = &life->commit;
    *commit = (struct life_commit){.samples = life->samples, .kept = life->kept};
    uint64_t most = sim_below(random, MANY) == 0 ? LIFE_COMMIT_MAX : 30;
    commit->count = sim_below(random, 12) == 0 ? 0 : 1 + sim_below(random, most);
    /* Some series are written often, some hardly ever. */
    uint32_t range = sim_below(random, 3) == 0 ? LIFE_SERIES : LIFE_SERIES / 4;
    uint32_t series = (uint32_t)sim_below(random, range);
    for (size_t i = 0; i < commit->count; i++) {
        if (sim_below(random, 6) == 0)
            series = (uint32_t)sim_below(random, range);
        life->samples[i] =
            (struct fixture_sample){series, some_time(life, random), some_value(random)};
    }
    commit->describes = commit->count == 0 || sim_below(random, 8) == 0;
    commit->metric = (uint32_t)sim_below(random, FIXTURE_METRICS);
    commit->type = sim_below(random, 4) > 0 ? METRIC_GAUGE : METRIC_COUNTER;
    commit->help = 1 + (uint32_t)sim_below(random, 1000);
}

struct admission {
    struct admitter admitter;
    struct life *life;
    bool refused[LIFE_SERIES];
};

/* One attempt to commit, in two batches. */
struct attempt {
    struct life *life;
    struct fixture_write writes[2];
    struct admission admissions[2];
    bool begun;
};

/* But for such as retention may have dropped. */
static bool has_samples(const struct life *life, uint32_t number)
{
    const struct ledger_series *series = &life->model.now.ledger.series[number];
    return series->count > 0 &&
           day_of_time(series->times[series->count - 1]) >= life->model.doomed[number];
}

static enum status admit(struct admitter *admitter, const struct admission_question *question,
                         struct error *err)
{
    struct admission *admission = container_of(admitter, struct admission, admitter);
    struct life *life = admission->life;
    uint32_t number = 0;
    struct slice text = labels_get(question->labels, slice_from_text("n"));
    for (size_t i = 0; i < text.size; i++)
        number = number * 10 + (uint32_t)(text.data[i] - '0');
    invariant(number < LIFE_SERIES);
    if (has_samples(life, number) && !question->returns)
        life_fail(life, "series %" PRIu32 " has samples and is put to admission as a new one",
                  number);
    if (has_samples(life, number) && life_is_active(life, number))
        life_fail(life, "series %" PRIu32 " is active and is put to admission", number);
    if (life->config.admitted_series == 0 || question->total_series < life->config.admitted_series)
        return STATUS_OK;
    admission->refused[number] = true;
    return fail_code(err, STATUS_LIMIT, "cardinality_limit", "too many series");
}

static const struct admitter_ops admitter_ops = {.admit = admit};

static bool has_day(const struct life *life, int64_t day)
{
    struct life_print print;
    life_state_print(&life->model.now, &print);
    for (size_t i = 0; i < print.day_count; i++)
        if (print.days[i].day == day)
            return true;
    return false;
}

/* A sample that was refused must have been of a refused series, or of a new day. */
static void check_refusals(struct life *life, const struct fixture_write *write,
                           const bool *refused)
{
    bool any = false;
    for (size_t i = 0; i < write->count; i++)
        any = any || write->kept[i];
    int64_t today = day_of_time(life->machine.clock.wall_ms);
    for (size_t i = 0; i < write->count && (any || !write->atomic); i++) {
        const struct fixture_sample *sample = &write->samples[i];
        int64_t day = day_of_time(sample->time_ms);
        if (write->kept[i] && refused[sample->series])
            life_fail(life, "series %" PRIu32 " was refused and is written", sample->series);
        if (write->kept[i] || refused[sample->series])
            continue;
        if (write->atomic)
            life_fail(life, "an atomic batch is stored in part");
        if ((day >= today - 1 && day <= today + 1) || life->config.max_chunks == LIFE_DAYS_KEPT ||
            (day >= life->expired_before && has_day(life, day)))
            life_fail(life,
                      "a sample of day %" PRId64 " is refused, today is %" PRId64 ", %" PRIu32
                      " days may be there, for %" PRId64,
                      day, today, life->config.max_chunks, life->config.retention_ms / MS_PER_DAY);
    }
}

static void resolved(void *context)
{
    struct attempt *attempt = context;
    struct life *life = attempt->life;
    for (size_t i = 0; i < 2; i++)
        check_refusals(life, &attempt->writes[i], attempt->admissions[i].refused);
    /* A batch that is refused as a whole leaves its descriptor out too. */
    const struct fixture_write *first = &attempt->writes[0];
    for (size_t i = 0; i < first->count && first->atomic; i++)
        if (!first->kept[i])
            life->commit.describes = false;
    life_model_begin(&life->model, &life->commit);
    attempt->begun = true;
}

static enum life_outcome outcome_of(enum status status)
{
    if (status == STATUS_OK)
        return LIFE_ACKNOWLEDGED;
    return status == STATUS_BUSY || status == STATUS_UNAVAILABLE || status == STATUS_LIMIT
               ? LIFE_REFUSED
               : LIFE_UNSURE;
}

static enum status try_commit(struct life *life, size_t first, unsigned atomic, struct error *err)
{
    struct life_commit *commit = &life->commit;
    char name[32];
    char help[32];
    fixture_metric_name(commit->metric, name);
    snprintf(help, sizeof help, "help %" PRIu32, commit->help);
    struct metric metric = {
        .name = slice_from_text(name), .type = commit->type, .help = slice_from_text(help)};
    struct attempt attempt = {.life = life};
    attempt.writes[0] = (struct fixture_write){.samples = commit->samples,
                                               .count = first,
                                               .kept = life->kept,
                                               .atomic = (atomic & 1) != 0,
                                               .metric = commit->describes ? &metric : NULL};
    attempt.writes[1] = (struct fixture_write){.samples = commit->samples + first,
                                               .count = commit->count - first,
                                               .kept = life->kept + first,
                                               .atomic = (atomic & 2) != 0};
    for (size_t i = 0; i < 2; i++) {
        attempt.admissions[i] = (struct admission){.admitter = {&admitter_ops}, .life = life};
        attempt.writes[i].admitter = &attempt.admissions[i].admitter;
    }
    enum status status =
        fixture_commit_noting(life->tier, attempt.writes, 2, resolved, &attempt, err);
    if (attempt.begun)
        life_model_end(&life->model, commit, outcome_of(status),
                       life->config.sync == ENGINE_SYNC_ALWAYS);
    if (attempt.begun && status == STATUS_OK)
        life_received(life);
    return status;
}

static bool commit(struct life *life, uint64_t *random)
{
    make_commit(life, random);
    size_t first =
        sim_below(random, 3) == 0 ? sim_below(random, life->commit.count + 1) : life->commit.count;
    unsigned atomic = sim_below(random, 3) == 0 ? (unsigned)sim_below(random, 4) : 0;
    bool describes = life->commit.describes;
    struct error err = {0};
    enum status status = STATUS_BUSY;
    for (int i = 0; i < ATTEMPTS && (status == STATUS_BUSY || status == STATUS_NO_SPACE); i++) {
        bool did;
        if (i > 0 && !background(life, &did))
            return false;
        life->commit.describes = describes;
        status = try_commit(life, first, atomic, &err);
        if (life->why[0] != '\0')
            return false;
    }
    return expected(life, status, &err, "a commit");
}

/* ---- deletes ---------------------------------------------------------------------------- */

static struct time_range some_range(const struct life *life, uint64_t *random)
{
    if (sim_below(random, 4) == 0)
        return fixture_always();
    int64_t end = some_time(life, random) + (int64_t)sim_below(random, 2 * MS_PER_HOUR);
    int64_t most = sim_below(random, 2) == 0 ? 100 * STEP_MS : 4 * (int64_t)MS_PER_DAY;
    return (struct time_range){end - (int64_t)sim_below(random, (uint64_t)most), end};
}

static bool delete(struct life *life, uint64_t *random)
{
    struct life_selector selector;
    struct life_commit *commit = &life->commit;
    *commit = (struct life_commit){.deletes = true};
    life_selector_random(&selector, random);
    memcpy(commit->only, selector.only, sizeof commit->only);
    commit->range = some_range(life, random);
    life_model_begin(&life->model, commit);
    struct delete_result result;
    struct error err = {0};
    enum status status =
        fixture_delete_matching(life->tier, selector.text, commit->range, &result, &err);
    commit->found_nothing = status == STATUS_OK && result.series == 0;
    life_model_end(&life->model, commit, outcome_of(status),
                   life->config.sync == ENGINE_SYNC_ALWAYS);
    if (status == STATUS_LIMIT && life->config.tombstone_bytes > 0)
        return true;
    return expected(life, status, &err, "a delete");
}

/* ---- readers ---------------------------------------------------------------------------- */

static bool reader_is_right(struct life *life, struct life_reader *reader)
{
    char why[FIXTURE_WHY_SIZE];
    struct read_stats stats;
    bool same = fixture_selection_same(life->tier, reader->selection, &reader->expected,
                                       reader->range, NULL, why);
    selection_stats(life->tier, reader->selection, &stats);
    selection_close(life->tier, reader->selection);
    ledger_release(&reader->expected);
    reader->selection = NULL;
    if (!same)
        return life_fail(life, "a reader that was held open: %s", why);
    return !stats.partial || life_fail(life, "the answer of a reader held open is partial");
}

static bool read_or_open(struct life *life, uint64_t *random)
{
    struct life_reader *reader = &life->readers[sim_below(random, LIFE_READERS)];
    struct matchers everything = {0};
    struct select_options options = {.range = some_range(life, random)};
    struct error err = {0};
    if (reader->selection == NULL && !life_look(life))
        return false;
    sim_disk_pause_faults(life->disk, true);
    bool passed = true;
    if (reader->selection != NULL) {
        passed = reader_is_right(life, reader);
    } else {
        reader->range = options.range;
        ledger_copy(&reader->expected, &life->seen.ledger);
        enum status status =
            storage_select(life->tier, &everything, 1, &options, &reader->selection, &err);
        passed = status == STATUS_OK || life_fail(life, "cannot open a reader: %s", err.message);
        if (!passed)
            ledger_release(&reader->expected);
    }
    sim_disk_pause_faults(life->disk, false);
    return passed;
}

static bool look(struct life *life, uint64_t *random)
{
    if (!life_look(life))
        return false;
    sim_disk_pause_faults(life->disk, true);
    bool same = life_look_at_metrics(life, &life->seen) &&
                life_look_at_totals(life, &life->seen.ledger, random) &&
                life_look_at_selectors(life, &life->seen.ledger, random);
    sim_disk_pause_faults(life->disk, false);
    return same;
}

/* ---- the rest --------------------------------------------------------------------------- */

static bool turn_clock(struct life *life, uint64_t *random)
{
    static const int64_t days[] = {1, 1, 1, 2, 4, -1, -3, 365, 365, -365, -365};
    struct sim_clock *clock = &life->machine.clock;
    uint64_t way = sim_below(random, 5);
    if (way == 0) {
        int64_t by_ms = days[sim_below(random, sizeof days / sizeof days[0])] * MS_PER_DAY;
        sim_clock_jump(clock, by_ms);
        life_clock_turned(life, by_ms);
    } else if (way == 1) {
        clock->step_ns = clock->step_ns == 0 ? 1 : 0; /* no time passes, or some does again */
    } else if (way == 2) {
        life->wall_stands = !life->wall_stands;
    } else {
        pass_time(life, (int64_t)sim_below(random, 30 * MS_PER_HOUR));
    }
    life_clock_look(life);
    return true;
}

/* What a reload of the configuration changes. */
static bool reload(struct life *life, uint64_t *random)
{
    struct life_config config;
    struct retention_rule rules[LIFE_RULES];
    struct error err = {0};
    life_config_random(&config, random);
    life->past[LIFE_RECONFIGURED] = true;
    memcpy(life->config.rules, config.rules, sizeof config.rules);
    life->config.rule_count = config.rule_count;
    life->config.retention_ms = config.retention_ms;
    life->config.warm_after_ms = config.warm_after_ms;
    size_t count = life_rules(life, rules);
    engine_set_warm_after(life->tier, config.warm_after_ms);
    if (engine_set_retention_rules(life->tier, config.retention_ms, rules, count, &err) !=
        STATUS_OK)
        return life_fail(life, "other rules of retention: %s", err.message);
    return true;
}

static bool snapshot(struct life *life, uint64_t *random, bool restore)
{
    char dir[32];
    struct engine_snapshot_result result;
    struct error err = {0};
    if (!life_look(life))
        return false;
    snprintf(dir, sizeof dir, "/data/snapshot-%u-%u", life->depth, ++life->dirs);
    life->snapshot = dir;
    enum status status = engine_snapshot(life->tier, dir, sim_below(random, 3) == 0, &result, &err);
    life->snapshot = NULL;
    if (status != STATUS_OK)
        return expected(life, status, &err, "a snapshot");
    life_model_flushed(&life->model, true);
    if (!life_holds(life, dir, &life->seen))
        return false;
    if (!restore) {
        life_remove_store(life, dir);
        return true;
    }
    /* The store is lost, and the snapshot takes its place. */
    life_stop(life, false);
    life_remove_store(life, life->dir);
    snprintf(life->dir, sizeof life->dir, "%s", dir);
    life->past[LIFE_RESTORED] = true;
    return life_open(life);
}

static bool begin_faults(struct life *life, uint64_t *random)
{
    static const unsigned sets[] = {
        SIM_ANY_CALL, SIM_CHANGING_CALL, SIM_WRITE | SIM_RESIZE | SIM_CREATE | SIM_MAKE_DIRECTORY,
        SIM_READ,     SIM_SYNC,          SIM_REMOVE | SIM_SYNC_DIRECTORY,
    };
    static const enum sim_failure failures[] = {SIM_EIO, SIM_ENOSPC, SIM_SHORT_EIO,
                                                SIM_SHORT_ENOSPC};
    if (life->faulty)
        return true;
    life->faulty = true;
    if (sim_below(random, 5) == 0) {
        uint64_t room = sim_below(random, 2) == 0 ? 0 : sim_below(random, ROOM_MAX);
        sim_disk_set_space(life->disk, sim_disk_used(life->disk) + room);
        return true;
    }
    struct sim_fault fault = {
        .kinds = sets[sim_below(random, sizeof sets / sizeof sets[0])],
        .nth = 1 + sim_below(random, 30),
        .repeat = sim_below(random, 5) == 0 ? 0 : 1 + sim_below(random, 20),
        .failure = failures[sim_below(random, sizeof failures / sizeof failures[0])],
    };
    if (sim_below(random, 6) == 0)
        fault = (struct sim_fault){
            .kinds = SIM_REFUSED_READ_ONLY, .nth = fault.nth, .failure = SIM_EROFS};
    sim_disk_add_fault(life->disk, &fault);
    /* It goes, and comes once more. */
    fault.nth += 20 + sim_below(random, 40);
    if (fault.repeat != 0 && sim_below(random, 2) == 0)
        sim_disk_add_fault(life->disk, &fault);
    return true;
}

/* A few calls fail in the midst of what the step does: else the ways back out of it are seldom
 * taken. True where the disk has to be well again afterwards. */
static bool stumbles(struct life *life, enum step_kind kind)
{
    /* Those of directories come at the end of much, where there is most to take back. */
    static const unsigned seldom[] = {
        SIM_SYNC_DIRECTORY, SIM_SYNC_DIRECTORY, SIM_RENAME, SIM_REMOVE,         SIM_LINK,
        SIM_RESIZE,         SIM_CREATE,         SIM_SYNC,   SIM_MAKE_DIRECTORY, SIM_SYNC_DIRECTORY};
    static const unsigned one_in[KINDS] = {
        [STEP_COMMIT] = 40, [STEP_DELETE] = 20,  [STEP_FLUSH] = 6,   [STEP_BACKGROUND] = 10,
        [STEP_SETTLE] = 10, [STEP_SNAPSHOT] = 2, [STEP_RESTORE] = 6,
    };
    uint64_t random = life_random(life, life->step + (UINT64_C(7) << 40));
    if (life->faulty || one_in[kind] == 0 || sim_below(&random, one_in[kind]) != 0)
        return false;
    struct sim_fault fault = {
        .kinds = SIM_CHANGING_CALL,
        .nth = 1 + sim_below(&random, 1 + sim_below(&random, CALLS_OF_A_STEP)),
        .repeat = 1 + sim_below(&random, 2),
        .failure = sim_below(&random, 3) == 0 ? SIM_ENOSPC : SIM_EIO,
    };
    /* Or calls of one kind, of which there are few. */
    if (sim_below(&random, 2) == 0) {
        fault.kinds = seldom[sim_below(&random, sizeof seldom / sizeof seldom[0])];
        /* A snapshot flushes before its own begins. */
        fault.nth = 1 + sim_below(&random, kind == STEP_SNAPSHOT ? 14 : 6);
    }
    sim_disk_add_fault(life->disk, &fault);
    life->faulty = true;
    return true;
}

static void reconfigure(struct life *life, uint64_t *random)
{
    life_config_random(&life->config, random);
    life->past[LIFE_RECONFIGURED] = true;
}

static bool restart(struct life *life, uint64_t *random)
{
    life_stop(life, true);
    if (sim_below(random, 2) == 0)
        reconfigure(life, random);
    life_clock_turn_while_down(life, random);
    return life_open(life);
}

static bool break_down(struct life *life, uint64_t *random, bool crashes)
{
    struct sim_crash crash = {.seed = sim_next(random),
                              .names_in_any_order = sim_below(random, 2) == 0};
    life_break(life, crashes ? &crash : NULL);
    if (sim_below(random, 3) == 0)
        reconfigure(life, random);
    life_clock_turn_while_down(life, random);
    /* The disk may be full, or failing, when the machine starts again. */
    return (sim_below(random, 4) != 0 || begin_faults(life, random)) && life_open(life);
}

static bool take(struct life *life)
{
    uint64_t random;
    bool did;
    switch (step_kind(life, &random)) {
    case STEP_COMMIT:
        return commit(life, &random);
    case STEP_DELETE:
        return delete (life, &random);
    case STEP_FLUSH:
        return flush(life);
    case STEP_BACKGROUND:
        return background(life, &did);
    case STEP_SETTLE:
        return settle(life);
    case STEP_CLOCK:
        return turn_clock(life, &random);
    case STEP_READER:
        return read_or_open(life, &random);
    case STEP_LOOK:
        return look(life, &random);
    case STEP_SETTINGS:
        return reload(life, &random);
    case STEP_SNAPSHOT:
    case STEP_RESTORE:
        return snapshot(life, &random, step_kind(life, &random) == STEP_RESTORE);
    case STEP_RESTART:
        return restart(life, &random);
    case STEP_KILL:
    case STEP_CRASH:
        return break_down(life, &random, step_kind(life, &random) == STEP_CRASH);
    case STEP_FAULT:
        return begin_faults(life, &random);
    case STEP_CALM:
        life_calm(life);
        return true;
    }
    return false;
}

bool life_take_step(struct life *life)
{
    if (life->machine.clock.step_ns != 0)
        pass_time(life, STEP_MS);
    life_clock_look(life);
    uint64_t random;
    bool stumbled = stumbles(life, step_kind(life, &random));
    if (!take(life))
        return false;
    if (stumbled)
        life_calm(life);
    /* Nothing is written any more until somebody starts it anew. */
    random = life_random(life, life->step + (UINT64_C(4) << 40));
    if (!life_is_broken(life) || sim_below(&random, 2) == 0)
        return true;
    return break_down(life, &random, sim_below(&random, 2) == 0);
}

void life_step_name(const struct life *life, char name[LIFE_NAME_SIZE])
{
    uint64_t random;
    snprintf(name, LIFE_NAME_SIZE, "%s", kinds[step_kind(life, &random)].name);
}

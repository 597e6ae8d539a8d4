#include "damage_check.h"

#include "../unit/test.h"

#include <inttypes.h>

#include "base/bits.h"

static bool is_refusal(enum status status)
{
    return status == STATUS_CORRUPT || status == STATUS_UNSUPPORTED;
}

/* Manifest and log: of what the disk does not give back a start makes no damage. */
static bool is_never_read_around(const char *path)
{
    return strstr(path, "/wal/") != NULL || strcmp(path, "/store/manifest") == 0;
}

void expect_honest(const struct world *world, const struct sim_disk *damaged, const char *what,
                   uint64_t where)
{
    for (int read_only = 0; read_only < 2; read_only++) {
        struct sim_disk *disk = sim_disk_clone(damaged);
        struct answer answer = world_ask(world, disk, read_only == 1);
        sim_disk_free(disk);
        if (answer.wrong)
            test_fail("%s, byte %" PRIu64 ": %s", what, where, answer.why);
        if (answer.status != STATUS_OK && !is_refusal(answer.status) &&
            !(answer.status == STATUS_IO && is_never_read_around(what)))
            test_fail("%s, byte %" PRIu64 ": %s", what, where, status_name(answer.status));
    }
}

/* ---- writes ----------------------------------------------------------------------------- */

/* Beside all old samples, on a day that has some and on one that has none. */
static size_t new_samples(const struct world *world, int64_t later_ms,
                          struct fixture_sample *samples)
{
    size_t count = 0;
    uint32_t all = world->kind->series + world->kind->new_series;
    for (uint32_t i = 0; i < all; i++)
        for (int64_t day = 0; day <= 40; day += 40) {
            int64_t time_ms = SIM_START_MS + day * MS_PER_DAY + MS_PER_DAY - 60000 + later_ms + i;
            samples[count++] = (struct fixture_sample){i, time_ms, world_value(i, time_ms)};
        }
    return count;
}

static void put_later(struct world *fork, struct tier *tier, int64_t later_ms, const char *what,
                      uint64_t where)
{
    size_t room = 2 * (size_t)(fork->kind->series + fork->kind->new_series);
    struct fixture_sample *samples = calloc(room, sizeof samples[0]);
    assert_non_null(samples);
    size_t count = new_samples(fork, later_ms, samples);
    struct error err = {0};
    if (world_commit(fork, tier, samples, count, &err) != STATUS_OK)
        test_fail("%s, byte %" PRIu64 ": new samples are refused: %s", what, where, err.message);
    free(samples);
}

static void put_new(struct world *fork, struct tier *tier, const char *what, uint64_t where)
{
    put_later(fork, tier, 0, what, where);
}

/* Whether all that was put last is told. `but_hidden`: of a series whose labels cannot be read
 * there is nothing. */
static void expect_new(const struct world *fork, const struct ledger *told, bool but_hidden,
                       const char *what, uint64_t where, const char *when)
{
    for (size_t i = 0; i < fork->commits.series_count; i++) {
        const struct ledger_series *commits = &fork->commits.series[i];
        size_t at = 0;
        for (size_t j = 0; j < commits->count; j++) {
            const struct ledger_series *found = &told->series[i];
            if (commits->bits[j] != fork->commit_count || (but_hidden && found->count == 0))
                continue;
            while (at < found->count && found->times[at] < commits->times[j])
                at++;
            if (at == found->count || found->times[at] != commits->times[j])
                test_fail("%s, byte %" PRIu64 ": %s: series %zu lacks its new sample at %" PRId64,
                          what, where, when, i, commits->times[j]);
        }
    }
}

/* What was deleted last, and is in no commit any more, is not told. */
static void expect_gone(const struct world *fork, const struct ledger *told, const char *what,
                        uint64_t where, const char *when)
{
    for (size_t i = 0; i < told->series_count; i++) {
        const struct ledger_series *found = &told->series[i];
        const struct ledger_series *commits = &fork->commits.series[i];
        size_t at = 0;
        for (size_t j = 0; j < found->count; j++) {
            while (at < commits->count && commits->times[at] < found->times[j])
                at++;
            if (at == commits->count || commits->times[at] != found->times[j])
                test_fail("%s, byte %" PRIu64 ": %s: series %zu has its deleted sample at %" PRId64,
                          what, where, when, i, found->times[j]);
        }
    }
}

/* What an answer may lack in silence. */
enum excuse {
    NO_EXCUSE,
    OLD_SAMPLES,  /* lost, and told */
    WHOLE_SERIES, /* these too */
};

static enum excuse excuse_after(const struct told *told, bool log)
{
    return told->result.lost_series > 0     ? WHOLE_SERIES
           : log || told->result.losses > 0 ? OLD_SAMPLES
                                            : NO_EXCUSE;
}

static void ask_fork(const struct world *fork, struct tier *tier, enum excuse excuse,
                     const char *what, uint64_t where, const char *when)
{
    struct ledger told;
    struct answer answer = {.told = &told, .may_lack = excuse != NO_EXCUSE};
    ledger_init(&told, fork->living.series_count);
    world_questions(fork, tier, &answer);
    if (answer.wrong || answer.status != STATUS_OK)
        test_fail("%s, byte %" PRIu64 ": %s: %s %s", what, where, when, answer.why,
                  status_name(answer.status));
    /* Who writes names the labels: whatever was damaged before, what was put is told. */
    bool put_since = fork->commit_count > fork->damaged_at;
    bool but_hidden = !put_since && (answer.partial || excuse == WHOLE_SERIES);
    expect_new(fork, &told, but_hidden, what, where, when);
    expect_gone(fork, &told, what, where, when);
    ledger_release(&told);
}

static struct tier *start(const struct world *fork, struct sim_machine *machine,
                          struct sim_disk *disk, const char *what, uint64_t where)
{
    struct tier *tier = NULL;
    struct error err = {0};
    world_machine_init(fork, machine, disk);
    if (engine_open(&machine->options, &tier, &err) != STATUS_OK && !is_refusal(err.status))
        test_fail("%s, byte %" PRIu64 ": %s", what, where, err.message);
    return tier;
}

static void settle_down(struct tier *tier)
{
    struct error err = {0};
    bool did = true;
    assert_int_equal(engine_flush(tier, &err), STATUS_OK);
    /* What stands in a job's way is damage: the job is left. */
    while (did)
        if (engine_background_step(tier, &did, &err) != STATUS_OK)
            break;
}

void expect_ingest(const struct world *world, const struct sim_disk *damaged, const char *what,
                   uint64_t where)
{
    struct sim_disk *disk = sim_disk_clone(damaged);
    struct sim_machine machine;
    struct world fork;
    struct told told = {0};
    struct error err = {0};
    /* What a log has lost is told by the start that finds it: then the log is whole again. */
    bool log = strstr(what, "/wal/") != NULL;
    world_fork(&fork, world);
    struct tier *tier = start(&fork, &machine, disk, what, where);
    if (tier != NULL) {
        put_new(&fork, tier, what, where);
        ask_fork(&fork, tier, NO_EXCUSE, what, where, "after a write");
        engine_abandon(tier);
        tier = start(&fork, &machine, disk, what, where);
        assert_non_null(tier);
        ask_fork(&fork, tier, log ? OLD_SAMPLES : NO_EXCUSE, what, where, "after a restart");
        settle_down(tier);
        ask_fork(&fork, tier, log ? OLD_SAMPLES : NO_EXCUSE, what, where, "after merges");
        engine_close(tier);
        if (world_repair(&fork, disk, &told, &err) != STATUS_OK)
            test_fail("%s, byte %" PRIu64 ": no repair: %s", what, where, err.message);
        tier = start(&fork, &machine, disk, what, where);
        assert_non_null(tier);
        ask_fork(&fork, tier, excuse_after(&told, log), what, where, "after a repair");
        engine_abandon(tier);
    }
    world_fork_release(&fork);
    sim_disk_free(disk);
}

/* ---- writing again ---------------------------------------------------------------------- */

static void expect_all(const struct world *fork, struct tier *tier, bool may_be_partial,
                       const char *what, uint64_t where, const char *when)
{
    struct answer answer = {0};
    world_question(fork, tier, ASK_SAMPLES, &answer);
    if (answer.wrong || answer.status != STATUS_OK || (answer.partial && !may_be_partial) ||
        answer.samples != ledger_count(&fork->living))
        test_fail("%s, byte %" PRIu64 ": %s: %" PRIu64 " samples of %" PRIu64 "%s %s", what, where,
                  when, answer.samples, ledger_count(&fork->living),
                  answer.partial ? ", partial" : "", answer.why);
    answer = (struct answer){0};
    world_questions(fork, tier, &answer);
    if (answer.wrong)
        test_fail("%s, byte %" PRIu64 ": %s: %s", what, where, when, answer.why);
    struct engine_stats stats;
    engine_stats(tier, &stats);
    uint64_t series = fork->kind->series + fork->kind->new_series;
    if (stats.series_committed != series)
        test_fail("%s, byte %" PRIu64 ": %s: %" PRIu64 " series of %" PRIu64, what, where, when,
                  stats.series_committed, series);
}

static void repair_healed(const struct world *fork, struct sim_disk *disk, bool may_tell_losses,
                          const char *what, uint64_t where)
{
    struct sim_machine machine;
    struct told told = {0};
    struct error err = {0};
    if (world_repair(fork, disk, &told, &err) != STATUS_OK || told.result.left.damaged > 0)
        test_fail("%s, byte %" PRIu64 ": no repair: %s%s", what, where, err.message, told.last);
    if (told.result.losses > 0 && !may_tell_losses)
        test_fail("%s, byte %" PRIu64 ": a repair loses: %s", what, where, told.last);
    struct tier *tier = start(fork, &machine, disk, what, where);
    assert_non_null(tier);
    expect_all(fork, tier, false, what, where, "after a repair");
    settle_down(tier);
    expect_all(fork, tier, false, what, where, "after a repair and merges");
    engine_close(tier);
}

void expect_healed(const struct world *world, const struct sim_disk *damaged, const char *what,
                   uint64_t where)
{
    struct sim_disk *disk = sim_disk_clone(damaged);
    struct sim_machine machine;
    struct world fork;
    world_fork(&fork, world);
    struct tier *tier = start(&fork, &machine, disk, what, where);
    assert_non_null(tier);
    put_new(&fork, tier, what, where);
    expect_all(&fork, tier, true, what, where, "after a write");
    engine_abandon(tier);
    /* Of definitions that only the log has a repair knows when it has mended the index. */
    struct sim_disk *crashed = sim_disk_clone(disk);
    repair_healed(&fork, crashed, true, what, where);
    sim_disk_free(crashed);
    tier = start(&fork, &machine, disk, what, where);
    assert_non_null(tier);
    expect_all(&fork, tier, true, what, where, "after a restart");
    settle_down(tier);
    expect_all(&fork, tier, true, what, where, "after merges");
    put_later(&fork, tier, 1000, what, where);
    engine_close(tier);
    tier = start(&fork, &machine, disk, what, where);
    assert_non_null(tier);
    put_later(&fork, tier, 2000, what, where);
    settle_down(tier);
    expect_all(&fork, tier, true, what, where, "written once more");
    engine_close(tier);
    repair_healed(&fork, disk, false, what, where);
    world_fork_release(&fork);
    sim_disk_free(disk);
}

void expect_healed_while_open(const struct world *world, world_damage *damage, void *context,
                              const char *what, uint64_t where)
{
    struct sim_disk *disk = sim_disk_clone(world->disk);
    struct sim_machine machine;
    struct world fork;
    world_fork(&fork, world);
    struct tier *tier = start(&fork, &machine, disk, what, where);
    assert_non_null(tier);
    put_new(&fork, tier, what, where);
    damage(context, disk);
    struct answer answer = {.may_lack = true};
    world_question(&fork, tier, ASK_SAMPLES, &answer);
    if (answer.wrong || answer.status != STATUS_OK)
        test_fail("%s, byte %" PRIu64 ": %s", what, where, answer.why);
    put_later(&fork, tier, 1000, what, where);
    expect_all(&fork, tier, true, what, where, "written again while it runs");
    settle_down(tier);
    put_later(&fork, tier, 2000, what, where);
    expect_all(&fork, tier, true, what, where, "after merges");
    engine_close(tier);
    repair_healed(&fork, disk, false, what, where);
    world_fork_release(&fork);
    sim_disk_free(disk);
}

/* ---- deletes ---------------------------------------------------------------------------- */

void expect_delete(const struct world *world, const struct sim_disk *damaged, const char *what,
                   uint64_t where)
{
    struct sim_disk *disk = sim_disk_clone(damaged);
    struct sim_machine machine;
    struct world fork;
    struct told told = {0};
    struct error err = {0};
    struct matchers everything = {0};
    struct delete_result result;
    struct time_range range = {SIM_START_MS, SIM_START_MS + MS_PER_DAY};
    bool log = strstr(what, "/wal/") != NULL;
    world_fork(&fork, world);
    struct tier *tier = start(&fork, &machine, disk, what, where);
    enum status status =
        tier == NULL ? STATUS_CORRUPT : storage_delete(tier, &everything, 1, range, &result, &err);
    if (status == STATUS_OK) {
        bool *all = malloc(fork.living.series_count * sizeof all[0]);
        assert_non_null(all);
        memset(all, 1, fork.living.series_count * sizeof all[0]);
        ledger_delete(&fork.living, all, range);
        ledger_delete(&fork.commits, all, range);
        free(all);
        ask_fork(&fork, tier, NO_EXCUSE, what, where, "after a delete");
    } else if (!is_refusal(status)) {
        test_fail("%s, byte %" PRIu64 ": a delete: %s", what, where, err.message);
    }
    engine_close(tier);
    if (status == STATUS_OK) {
        if (world_repair(&fork, disk, &told, &err) != STATUS_OK)
            test_fail("%s, byte %" PRIu64 ": no repair: %s", what, where, err.message);
        tier = start(&fork, &machine, disk, what, where);
        assert_non_null(tier);
        ask_fork(&fork, tier, excuse_after(&told, log), what, where, "after delete, repair");
        engine_abandon(tier);
    }
    world_fork_release(&fork);
    sim_disk_free(disk);
}

/* ---- repairs ---------------------------------------------------------------------------- */

static void take_finding(void *context, enum engine_finding finding, const char *path,
                         const char *description)
{
    struct told *told = context;
    if (getenv("DAMAGE_TRACE") != NULL)
        print_message("%d %s: %s\n", (int)finding, path, description);
    if (finding == ENGINE_DAMAGE || finding == ENGINE_LOST)
        snprintf(told->last, sizeof told->last, "%s: %s", path, description);
}

enum status world_repair(const struct world *world, struct sim_disk *disk, struct told *told,
                         struct error *err)
{
    struct sim_machine machine;
    world_machine_init(world, &machine, disk);
    return engine_repair(&machine.options, take_finding, NULL, told, &told->result, err);
}

/* Sound, complete but for what was told to be lost, and it stays so. */
static void expect_sound(const struct world *world, struct sim_disk *disk, struct told *told,
                         const char *what, uint64_t where)
{
    if (told->result.left.damaged > 0)
        test_fail("%s, byte %" PRIu64 ": damage is left: %s", what, where, told->last);
    struct sim_machine machine;
    struct tier *tier;
    struct error err = {0};
    world_machine_init(world, &machine, disk);
    if (engine_open(&machine.options, &tier, &err) != STATUS_OK)
        test_fail("%s, byte %" PRIu64 ": %s", what, where, err.message);
    /* What is lost is as if it had never been written: answers are not partial any more. */
    struct answer answer = {.may_lack = told->result.losses > 0};
    world_questions(world, tier, &answer);
    told->samples = answer.samples;
    struct engine_stats stats;
    engine_stats(tier, &stats);
    uint64_t all = ledger_count(&world->living);
    if (answer.wrong || answer.status != STATUS_OK || answer.partial ||
        stats.recovery.damaged > 0 || stats.damaged_blocks > 0)
        test_fail("%s, byte %" PRIu64 ": after the repair: %s%s", what, where, answer.why,
                  answer.partial ? "partial" : "");
    if (answer.samples != all && told->result.losses == 0)
        test_fail("%s, byte %" PRIu64 ": %" PRIu64 " samples instead of %" PRIu64 ", in silence",
                  what, where, answer.samples, all);
    engine_close(tier);
}

void expect_repair(const struct world *world, const struct sim_disk *damaged, const char *what,
                   uint64_t where, struct told *told)
{
    struct sim_disk *disk = sim_disk_clone(damaged);
    struct error err = {0};
    *told = (struct told){0};
    enum status status = world_repair(world, disk, told, &err);
    /* Nothing helps where nobody knows what the store is. */
    if (status == STATUS_OK)
        expect_sound(world, disk, told, what, where);
    else if (!is_refusal(status) && status != STATUS_NOT_FOUND)
        test_fail("%s, byte %" PRIu64 ": %s: %s", what, where, status_name(status), err.message);
    struct told again = {0};
    if (status == STATUS_OK) {
        assert_int_equal(world_repair(world, disk, &again, &err), STATUS_OK);
        assert_int_equal(again.result.found.damaged, 0);
        assert_int_equal(again.result.kept, 0);
    }
    sim_disk_free(disk);
}

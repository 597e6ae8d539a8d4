/*
 * Edits of the manifest that are lost with their end of the file: the file is cut at every byte of
 * the life of a store that has flushed, merged, deleted, and dropped days, and whose log was used
 * again. Whatever its start finds, answers are right or say that they are partial, no file that
 * nothing names goes while it may count, no series gets a second id and no commit a sequence that
 * another has; and a repair brings all of it back, before or after more was written.
 */
#include "../unit/test.h"

#include <inttypes.h>

#include "base/bits.h"
#include "engine_fixture.h"
#include "sim_explore.h"
#include "sim_machine.h"

/* GONE is deleted after the damage, as soon as that is not refused, and never comes back. */
enum { SERIES = 24, GONE = 5, MAX_FILES = 64, MANIFEST_MAX = 64 * 1024, NAME_SIZE = 64 };

/* Sanitizers look at one cut of so many. */
enum { CUT_EVERY = SANITIZED ? 37 : 1 };

struct world;

/* Called after each step of a life: the disk is as a kill at that moment would leave it. */
typedef void look_at_stage(const struct world *world);

struct world {
    struct sim_disk *disk;
    look_at_stage *stage;  /* or NULL */
    struct ledger now;     /* what is to be answered */
    struct ledger written; /* what was written last to each place, deleted and dropped or not */
    struct ledger first;   /* likewise, first */
    uint64_t record_ends[64];
    size_t records;       /* of the manifest */
    uint64_t size;        /* of it */
    int64_t retention_ms; /* 0 until a day is dropped */
    bool gone;            /* GONE was deleted since the damage */
};

static void machine_init(struct sim_machine *machine, const struct world *world)
{
    sim_machine_init(machine, world->disk, "/store", 1);
    machine->options.head_bytes = 256 * 1024;
    machine->options.retention_ms = world->retention_ms;
    machine->clock.wall_ms = SIM_START_MS + INT64_C(41) * MS_PER_DAY;
}

/* ---- the life ----------------------------------------------------------------------------- */

static void put(struct world *world, struct tier *tier, uint32_t series, int64_t from_ms,
                size_t count, int generation)
{
    struct fixture_sample samples[64];
    struct error err = {0};
    assert_true(count <= sizeof samples / sizeof samples[0]);
    for (size_t i = 0; i < count; i++)
        samples[i] = (struct fixture_sample){series, from_ms + (int64_t)(i * 1000 + i * i % 7),
                                             series * 1000.0 + (double)(i * i) / 8 + generation};
    if (fixture_put(tier, samples, count, &err) != STATUS_OK)
        test_fail("%s", err.message);
    ledger_put(&world->now, samples, count);
    ledger_put(&world->written, samples, count);
    if (generation == 0)
        ledger_put(&world->first, samples, count);
}

/* So that its segments are used again, and say nothing any more of what was flushed. */
static void fill_the_log(struct tier *tier)
{
    static uint8_t help[12000];
    struct error err = {0};
    for (unsigned i = 0; i < 8; i++) {
        memset(help, 'a' + (int)i, sizeof help);
        struct metric metric = {.name = slice_from_text("metric_0"),
                                .type = METRIC_GAUGE,
                                .help = slice_of(help, sizeof help)};
        struct fixture_write write = {.metric = &metric};
        assert_int_equal(fixture_commit(tier, &write, 1, &err), STATUS_OK);
    }
}

static void flush(const struct world *world, struct tier *tier)
{
    struct error err = {0};
    if (engine_flush(tier, &err) != STATUS_OK)
        test_fail("%s", err.message);
    if (world->stage != NULL)
        world->stage(world);
}

static void work(const struct world *world, struct tier *tier)
{
    struct error err = {0};
    bool did = true;
    while (did) {
        if (engine_background_step(tier, &did, &err) != STATUS_OK)
            test_fail("%s", err.message);
        if (did && world->stage != NULL)
            world->stage(world);
    }
}

static void delete(struct world *world, struct tier *tier, uint32_t series, struct time_range range)
{
    struct error err = {0};
    struct delete_result result;
    bool only[SERIES] = {false};
    only[series] = true;
    if (fixture_delete(tier, only, SERIES, range, &result, &err) != STATUS_OK)
        test_fail("%s", err.message);
    ledger_delete(&world->now, only, range);
}

/* Days are of the last weeks, those before SIM_START_MS + MS_PER_DAY beyond retention in the end.
 */
static void live(struct world *world, struct sim_machine *machine, struct tier *tier)
{
    const int64_t day[] = {SIM_START_MS, SIM_START_MS + 2 * MS_PER_DAY,
                           SIM_START_MS + 3 * MS_PER_DAY, SIM_START_MS + 5 * MS_PER_DAY};
    for (uint32_t i = 0; i < 6; i++)
        put(world, tier, i, day[i % 2], 20, 0);
    fill_the_log(tier);
    flush(world, tier);
    for (uint32_t i = 2; i < 9; i++)
        put(world, tier, i, day[1] + 100000 * i, 15, 0);
    fill_the_log(tier);
    flush(world, tier);
    /* The log still has this one. */
    for (uint32_t i = 4; i < 10; i++)
        put(world, tier, i, day[1] + 3600000, 10, 0);
    flush(world, tier);
    work(world, tier);
    delete (world, tier, 1, (struct time_range){day[1], day[1] + 8000});
    delete (world, tier, 4, (struct time_range){day[1], day[2]});
    put(world, tier, 4, day[1] + 2000, 5, 1); /* lives */
    fill_the_log(tier);
    flush(world, tier);
    for (uint32_t i = 8; i < 14; i++)
        put(world, tier, i, day[2], 12, 0);
    put(world, tier, 3, day[1] + 300000, 15, 1); /* takes the place of what is there */
    fill_the_log(tier);
    flush(world, tier);
    work(world, tier);
    for (uint32_t i = 10; i < 16; i++)
        put(world, tier, i, day[2] + 7200000, 12, 0);
    fill_the_log(tier);
    flush(world, tier);
    sim_clock_advance(&machine->clock, MS_PER_DAY / 2);
    world->retention_ms = INT64_C(40) * MS_PER_DAY;
    engine_set_retention(tier, world->retention_ms);
    ledger_drop_before(&world->now, SIM_START_MS + MS_PER_DAY);
    work(world, tier);
    put(world, tier, 12, day[2], 12, 1);
    put(world, tier, 16, day[3], 30, 0);
    delete (world, tier, 8, (struct time_range){day[1], day[3]});
    fill_the_log(tier);
    flush(world, tier);
    work(world, tier);
    put(world, tier, 17, day[3], 9, 0);
    put(world, tier, 2, day[3], 9, 0);
}

static void read_file(struct sim_disk *disk, const char *path, uint8_t *bytes, uint64_t *size)
{
    struct file *file = NULL;
    assert_int_equal(filesystem_open(sim_disk_filesystem(disk), path, FILE_READ, &file, NULL),
                     STATUS_OK);
    assert_int_equal(file_size(file, size, NULL), STATUS_OK);
    assert_true(*size <= MANIFEST_MAX);
    assert_int_equal(file_read_exactly(file, bytes, *size, 0, NULL), STATUS_OK);
    file_close(file);
}

static void find_records(struct world *world)
{
    static uint8_t bytes[MANIFEST_MAX];
    read_file(world->disk, "/store/manifest", bytes, &world->size);
    for (uint64_t at = 0; at < world->size;) {
        at += 2 * (16 + (uint64_t)load_u32(bytes + at + 4));
        assert_true(world->records < sizeof world->record_ends / sizeof world->record_ends[0]);
        world->record_ends[world->records++] = at;
    }
}

/* With a crash in the end, after which files may be there again that were removed. */
static void make_world(struct world *world, const struct sim_crash *crash, look_at_stage *stage)
{
    *world = (struct world){.disk = sim_disk_new(1), .stage = stage};
    ledger_init(&world->now, SERIES);
    ledger_init(&world->written, SERIES);
    ledger_init(&world->first, SERIES);
    struct sim_machine machine;
    struct tier *tier;
    struct error err = {0};
    machine_init(&machine, world);
    if (engine_open(&machine.options, &tier, &err) != STATUS_OK)
        test_fail("%s", err.message);
    live(world, &machine, tier);
    struct engine_stats stats;
    engine_stats(tier, &stats);
    assert_true(stats.merges >= 2 && stats.chunks_dropped >= 1 && stats.deletes >= 3);
    assert_true(stats.index_merges >= 1);
    engine_abandon(tier);
    if (crash != NULL)
        sim_disk_crash(world->disk, crash);
    find_records(world);
}

static void world_release(struct world *world)
{
    ledger_release(&world->now);
    ledger_release(&world->written);
    ledger_release(&world->first);
    sim_disk_free(world->disk);
}

/* A world of its own that goes on from here. */
static void world_copy(struct world *to, const struct world *from)
{
    *to = *from;
    to->stage = NULL;
    to->disk = sim_disk_clone(from->disk);
    ledger_copy(&to->now, &from->now);
    ledger_copy(&to->written, &from->written);
    ledger_copy(&to->first, &from->first);
}

static void cut(struct world *world, uint64_t size)
{
    struct file *file = NULL;
    assert_int_equal(filesystem_open(sim_disk_filesystem(world->disk), "/store/manifest",
                                     FILE_READ_WRITE, &file, NULL),
                     STATUS_OK);
    assert_int_equal(file_resize(file, size, NULL), STATUS_OK);
    assert_int_equal(file_sync(file, NULL), STATUS_OK);
    file_close(file);
}

/* ---- files -------------------------------------------------------------------------------- */

struct files {
    char names[MAX_FILES][NAME_SIZE];
    size_t count;
    const char *folder;
};

static enum status add_name(void *context, const char *name, bool is_directory, struct error *err)
{
    struct files *files = context;
    (void)is_directory, (void)err;
    assert_true(files->count < MAX_FILES);
    snprintf(files->names[files->count++], NAME_SIZE, "%s/%s", files->folder, name);
    return STATUS_OK;
}

static void list_files(struct sim_disk *disk, struct files *files)
{
    static const char *const folders[] = {"/store/parts", "/store/index"};
    files->count = 0;
    for (size_t i = 0; i < 2; i++) {
        files->folder = folders[i];
        assert_int_equal(
            filesystem_list(sim_disk_filesystem(disk), folders[i], add_name, files, NULL),
            STATUS_OK);
    }
}

static bool has_name(const struct files *files, const char *name)
{
    for (size_t i = 0; i < files->count; i++)
        if (strcmp(files->names[i], name) == 0)
            return true;
    return false;
}

/* ---- answers ------------------------------------------------------------------------------ */

static bool has_sample(const struct ledger *ledger, uint32_t series, int64_t time_ms, uint64_t bits)
{
    const struct ledger_series *at = &ledger->series[series];
    for (size_t i = 0; i < at->count; i++)
        if (at->times[i] == time_ms && at->bits[i] == bits)
            return true;
    return false;
}

struct heard {
    uint64_t missing; /* samples that should be there */
    uint64_t back;    /* that were deleted, dropped or written over */
    bool partial;
};

static void listen(const struct world *world, struct tier *tier, const char *when, uint64_t size,
                   struct heard *heard)
{
    struct ledger seen;
    char why[FIXTURE_WHY_SIZE];
    *heard = (struct heard){0};
    ledger_init(&seen, SERIES);
    if (!fixture_read_partial(tier, &seen, &heard->partial, why))
        test_fail("cut to %" PRIu64 ", %s: %s", size, when, why);
    for (uint32_t i = 0; i < SERIES; i++) {
        const struct ledger_series *told = &seen.series[i];
        const struct ledger_series *right = &world->now.series[i];
        for (size_t j = 0; j < told->count; j++) {
            if (has_sample(&world->now, i, told->times[j], told->bits[j]))
                continue;
            heard->back++;
            if (world->gone && i == GONE)
                test_fail("cut to %" PRIu64 ", %s: what was deleted since is back", size, when);
            if (!has_sample(&world->written, i, told->times[j], told->bits[j]) &&
                !has_sample(&world->first, i, told->times[j], told->bits[j]))
                test_fail("cut to %" PRIu64 ", %s: series %" PRIu32 " at %" PRId64
                          ": nobody wrote that",
                          size, when, i, told->times[j]);
        }
        for (size_t j = 0; j < right->count; j++)
            heard->missing += !has_sample(&seen, i, right->times[j], right->bits[j]);
    }
    ledger_release(&seen);
}

/* Right or partial, and if partial then health says so. */
static void ask(const struct world *world, struct tier *tier, const char *when, uint64_t size,
                struct heard *heard)
{
    struct storage_condition condition;
    listen(world, tier, when, size, heard);
    if (!heard->partial && (heard->missing > 0 || heard->back > 0))
        test_fail("cut to %" PRIu64 ", %s: %" PRIu64 " samples are missing, %" PRIu64
                  " are back, in silence",
                  size, when, heard->missing, heard->back);
    storage_condition(tier, &condition);
    if (heard->partial && condition.health == STORAGE_HEALTHY)
        test_fail("cut to %" PRIu64 ", %s: partial, and health says nothing", size, when);
}

static struct tier *start(struct sim_machine *machine, struct world *world, const char *when,
                          uint64_t size)
{
    struct tier *tier = NULL;
    struct error err = {0};
    machine_init(machine, world);
    if (engine_open(&machine->options, &tier, &err) != STATUS_OK)
        test_fail("cut to %" PRIu64 ", %s: %s", size, when, err.message);
    return tier;
}

/* *damaged: the answer is partial, or refused. */
static void expect_read_only_honest(const struct world *cut_short, uint64_t size, bool *damaged,
                                    bool *partial)
{
    struct world world;
    struct sim_machine machine;
    struct tier *tier = NULL;
    struct heard heard;
    struct error err = {0};
    world_copy(&world, cut_short);
    machine_init(&machine, &world);
    machine.options.read_only = true;
    enum status status = engine_open(&machine.options, &tier, &err);
    *damaged = status == STATUS_CORRUPT;
    *partial = false;
    if (status == STATUS_OK) {
        ask(&world, tier, "read-only", size, &heard);
        *damaged = *partial = heard.partial;
        engine_close(tier);
    } else if (status != STATUS_CORRUPT) {
        test_fail("cut to %" PRIu64 ", read-only: %s", size, err.message);
    }
    world_release(&world);
}

/* ---- repairs ------------------------------------------------------------------------------ */

struct told {
    struct engine_repair_result result;
    char last[ERROR_MESSAGE_SIZE];
};

static void take_finding(void *context, enum engine_finding finding, const char *path,
                         const char *description)
{
    struct told *told = context;
    if (getenv("DAMAGE_TRACE") != NULL)
        print_message("%d %s: %s\n", (int)finding, path, description);
    if (finding == ENGINE_DAMAGE || finding == ENGINE_LOST)
        snprintf(told->last, sizeof told->last, "%s: %s", path, description);
}

static void repair(struct world *world, struct told *told, const char *when, uint64_t size)
{
    struct sim_machine machine;
    struct error err = {0};
    *told = (struct told){0};
    machine_init(&machine, world);
    if (engine_repair(&machine.options, take_finding, NULL, told, &told->result, &err) != STATUS_OK)
        test_fail("cut to %" PRIu64 ", %s: %s", size, when, err.message);
    if (told->result.left.damaged > 0)
        test_fail("cut to %" PRIu64 ", %s: damage is left: %s", size, when, told->last);
}

/* All samples whose files were whole are there; what lost edits had taken away may be back. */
static void expect_repaired(struct world *world, const char *when, uint64_t size, bool damaged,
                            bool listed)
{
    struct told told;
    struct heard heard;
    struct sim_machine machine;
    repair(world, &told, when, size);
    if (listed && told.result.found.damaged == 0)
        test_fail("cut to %" PRIu64 ", %s: verify finds nothing", size, when);
    if (!damaged && told.result.losses > 0)
        test_fail("cut to %" PRIu64 ", %s: nothing is missing, and this is lost: %s", size, when,
                  told.last);
    for (int i = 0; i < 2; i++) {
        struct tier *tier = start(&machine, world, when, size);
        struct engine_stats stats;
        engine_stats(tier, &stats);
        listen(world, tier, when, size, &heard);
        if (heard.partial || heard.missing > 0 || stats.recovery.damaged > 0)
            test_fail("cut to %" PRIu64 ", after a repair, %s: %s%" PRIu64
                      " samples missing, %" PRIu64 " places damaged",
                      size, when, heard.partial ? "partial, " : "", heard.missing,
                      stats.recovery.damaged);
        if (heard.back > 0 && told.result.losses == 0)
            test_fail("cut to %" PRIu64 ", after a repair, %s: %" PRIu64 " samples are back", size,
                      when, heard.back);
        work(world, tier);
        engine_close(tier);
    }
    repair(world, &told, when, size);
    assert_int_equal(told.result.found.damaged, 0);
}

/* ---- every cut ---------------------------------------------------------------------------- */

/* What arrives after the damage: known series, new ones, of known days and others, samples that are
 * there already with other values, and a delete, which may be refused while not all series are
 * known.
 */
static void go_on(struct world *world, struct tier *tier, bool partial, unsigned time)
{
    int64_t from_ms = SIM_START_MS + 2 * MS_PER_DAY + 40000000 + 100000 * (int64_t)time;
    for (uint32_t i = 2; i < 18; i += 3)
        put(world, tier, i, from_ms, 8, 0);
    put(world, tier, 18 + time, from_ms + 3 * MS_PER_DAY, 8, 0);
    put(world, tier, 18 + time, from_ms, 8, 0);
    put(world, tier, 12, SIM_START_MS + 3 * MS_PER_DAY, 12, 2 + (int)time);
    bool only[SERIES] = {[GONE] = true};
    struct delete_result result;
    struct error err = {0};
    enum status status = fixture_delete(tier, only, SERIES, fixture_always(), &result, &err);
    if (status == STATUS_OK) {
        ledger_delete(&world->now, only, fixture_always());
        world->gone = true;
    } else if (status != STATUS_CORRUPT || !partial) {
        test_fail("%s", err.message);
    }
}

static void expect_files(const struct files *before, struct sim_disk *disk, const char *when,
                         uint64_t size)
{
    struct files after;
    list_files(disk, &after);
    for (size_t i = 0; i < before->count; i++)
        if (!has_name(&after, before->names[i]))
            test_fail("cut to %" PRIu64 ", %s: %s is gone", size, when, before->names[i]);
}

static bool has_leftovers(const struct world *world)
{
    struct sim_machine machine;
    struct told told = {0};
    struct engine_verify_result result;
    machine_init(&machine, world);
    assert_int_equal(
        engine_verify(machine.options.os, "/store", take_finding, NULL, &told, &result, NULL),
        STATUS_OK);
    return result.leftovers > 0;
}

/* Three starts, with work in each, of which the middle one ends in a crash. Answers stay partial
 * while there are files of which nobody knows what they are. */
static void start_and_go_on(struct world *world, uint64_t size, bool partial, bool stays)
{
    struct sim_machine machine;
    struct heard heard;
    struct files files;
    list_files(world->disk, &files);
    for (unsigned i = 0; i < 3; i++) {
        struct tier *tier = start(&machine, world, "started", size);
        if (i == 0 && partial)
            expect_files(&files, world->disk, "started", size);
        ask(world, tier, "started", size, &heard);
        if (heard.partial != partial && (!partial || i == 0 || stays))
            test_fail("cut to %" PRIu64 ", start %u: the answer is %spartial", size, i,
                      partial ? "not " : "");
        go_on(world, tier, heard.partial, i);
        work(world, tier);
        ask(world, tier, "gone on", size, &heard);
        if (i == 1) {
            engine_abandon(tier);
            sim_disk_crash(world->disk, &(struct sim_crash){.seed = size});
        } else {
            engine_close(tier);
        }
    }
}

static void look_at_cut(const struct world *whole, uint64_t size, unsigned *lost)
{
    struct world world;
    bool damaged = false;
    bool partial = false;
    world_copy(&world, whole);
    cut(&world, size);
    expect_read_only_honest(&world, size, &damaged, &partial);
    *lost += partial;
    struct world once;
    world_copy(&once, &world);
    expect_repaired(&once, "at once", size, damaged, damaged);
    world_release(&once);
    bool stays = has_leftovers(&world);
    start_and_go_on(&world, size, partial, stays);
    expect_repaired(&world, "later", size, partial, partial && stays);
    world_release(&world);
}

static void a_manifest_cut_at_any_byte_costs_nothing_that_a_repair_does_not_bring_back(void **state)
{
    (void)state;
    struct world world;
    unsigned lost = 0;
    make_world(&world, NULL, NULL);
    for (uint64_t size = world.record_ends[0]; size <= world.size; size += CUT_EVERY)
        look_at_cut(&world, size, &lost);
    printf("%u cuts that lose edits\n", lost);
    assert_true(lost > (world.size - world.record_ends[0]) / CUT_EVERY / 2);
    world_release(&world);
}

static void files_that_were_removed_and_are_there_again_after_a_crash_take_nothing_away(
    void **state)
{
    (void)state;
    unsigned lost = 0;
    for (uint64_t seed = 0; seed < (SANITIZED ? 3 : 12); seed++) {
        struct world world;
        make_world(&world, &(struct sim_crash){.seed = seed, .names_in_any_order = seed % 2 == 1},
                   NULL);
        for (size_t i = 0; i + 1 < world.records; i++)
            look_at_cut(&world, world.record_ends[i], &lost);
        world_release(&world);
    }
    printf("%u cuts that lose edits\n", lost);
}

/* Into the second copy: the first tells enough, whatever kind of edit it is. */
static void cut_the_last_copy(const struct world *at_stage)
{
    struct world world;
    unsigned lost = 0;
    world_copy(&world, at_stage);
    sim_disk_kill(world.disk);
    world.records = 0;
    find_records(&world);
    uint64_t from = world.records < 2 ? 0 : world.record_ends[world.records - 2];
    uint64_t copy = (world.record_ends[world.records - 1] - from) / 2;
    const uint64_t sizes[] = {world.size - 1, world.size - copy / 2, from + copy};
    for (size_t i = 0; world.records > 1 && i < sizeof sizes / sizeof sizes[0]; i++) {
        look_at_cut(&world, sizes[i], &lost);
        if (lost > 0)
            test_fail("record %zu, cut to %" PRIu64 ": its first copy does not count",
                      world.records, sizes[i]);
    }
    if (world.records > 1)
        look_at_cut(&world, from + copy - 1, &lost);
    world_release(&world);
}

static void the_last_edit_counts_by_its_first_copy_where_it_is_seen_to_have_counted(void **state)
{
    (void)state;
    struct world world;
    make_world(&world, NULL, cut_the_last_copy);
    world_release(&world);
}

/* ---- starts that go wrong ------------------------------------------------------------------ */

struct start_again {
    const struct world *world;
    uint64_t size;
};

/* The next start is as honest as the first, and a repair brings everything back. Where the crash
 * has brought back what an edit had removed, nothing may be missing. */
static bool starts_again(void *context, struct sim_disk *disk)
{
    const struct start_again *again = context;
    struct world world;
    struct sim_machine machine;
    struct heard heard;
    world_copy(&world, again->world);
    sim_disk_free(world.disk);
    world.disk = sim_disk_clone(disk);
    struct tier *tier = start(&machine, &world, "after a crash in a start", again->size);
    ask(&world, tier, "after a crash in a start", again->size, &heard);
    engine_abandon(tier);
    expect_repaired(&world, "after a crash in a start", again->size, heard.partial, heard.partial);
    world_release(&world);
    return true;
}

static void a_crash_in_a_start_that_takes_files_in_loses_none_of_them(void **state)
{
    (void)state;
    struct world whole;
    uint64_t states = 0;
    make_world(&whole, NULL, NULL);
    for (size_t i = 0; i + 1 < whole.records; i += SANITIZED ? 6 : 1) {
        struct world world;
        struct sim_machine machine;
        world_copy(&world, &whole);
        cut(&world, world.record_ends[i]);
        struct start_again again = {&world, world.record_ends[i]};
        struct sim_explore explore = {.check = starts_again,
                                      .context = &again,
                                      .seed = i + 1,
                                      .crashes = 2,
                                      .kills = true,
                                      .every = SANITIZED ? 5 : 1};
        sim_explore_attach(&explore, world.disk);
        struct tier *tier = start(&machine, &world, "started", again.size);
        sim_explore_detach(world.disk);
        engine_abandon(tier);
        assert_int_equal(explore.violations, 0);
        states += explore.states;
        world_release(&world);
    }
    printf("%" PRIu64 " crash states\n", states);
    assert_true(states > 10);
    world_release(&whole);
}

static void a_call_that_fails_in_such_a_start_loses_nothing(void **state)
{
    (void)state;
    struct world whole;
    uint64_t failed = 0;
    make_world(&whole, NULL, NULL);
    for (uint64_t nth = 1;; nth += SANITIZED ? 7 : 1) {
        struct world world;
        struct sim_machine machine;
        struct tier *tier = NULL;
        world_copy(&world, &whole);
        cut(&world, world.record_ends[4]);
        struct start_again again = {&world, world.record_ends[4]};
        sim_disk_add_fault(world.disk,
                           &(struct sim_fault){
                               .kinds = SIM_ANY_CALL, .nth = nth, .repeat = 1, .failure = SIM_EIO});
        machine_init(&machine, &world);
        uint64_t calls = sim_disk_calls(world.disk);
        enum status status = engine_open(&machine.options, &tier, NULL);
        bool last = sim_disk_calls(world.disk) - calls < nth;
        engine_abandon(tier);
        sim_disk_clear_faults(world.disk);
        sim_disk_kill(world.disk);
        failed += status != STATUS_OK;
        assert_true(starts_again(&again, world.disk));
        world_release(&world);
        if (last)
            break;
    }
    printf("%" PRIu64 " failures\n", failed);
    /* A read that fails once is made again. */
    assert_true(failed > (SANITIZED ? 2 : 15));
    world_release(&whole);
}

/* ---- names ---------------------------------------------------------------------------------- */

static void make_file(struct world *world, const char *path)
{
    struct file *file = NULL;
    assert_int_equal(
        filesystem_open(sim_disk_filesystem(world->disk), path, FILE_CREATE, &file, NULL),
        STATUS_OK);
    assert_int_equal(file_write(file, "x", 1, 0, NULL), STATUS_OK);
    file_close(file);
}

static void no_name_of_a_file_moves_ids_beyond_what_can_be_given(void **state)
{
    (void)state;
    struct world whole;
    make_world(&whole, NULL, NULL);
    for (int lost = 0; lost < 2; lost++) {
        struct world world;
        struct sim_machine machine;
        struct heard heard;
        world_copy(&world, &whole);
        uint64_t size = lost == 1 ? world.record_ends[4] : world.size;
        cut(&world, size);
        make_file(&world, "/store/parts/ffffffffffffffff.part");
        make_file(&world, "/store/parts/00000000000000AB.part");
        make_file(&world, "/store/index/fffffffffffffffe.seg");
        make_file(&world, "/store/index/0x0000000000000f.seg");
        make_file(&world, "/store/index/00000000000000f0.seg");
        for (unsigned i = 0; i < 2; i++) {
            struct tier *tier = start(&machine, &world, "silly names", size);
            go_on(&world, tier, lost == 1, i);
            flush(&world, tier);
            ask(&world, tier, "silly names", size, &heard);
            assert_int_equal(heard.partial, lost == 1);
            engine_close(tier);
        }
        struct files files;
        list_files(world.disk, &files);
        /* What no id can be called is nobody's; what could be, is there only while it may count. */
        assert_true(has_name(&files, "/store/parts/00000000000000AB.part"));
        assert_int_equal(has_name(&files, "/store/parts/ffffffffffffffff.part"), lost == 1);
        assert_int_equal(has_name(&files, "/store/index/00000000000000f0.seg"), lost == 1);
        assert_true(!has_name(&files, "/store/parts/0000000000000000.part"));
        expect_repaired(&world, "silly names", size, lost == 1, lost == 1);
        world_release(&world);
    }
    world_release(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            a_manifest_cut_at_any_byte_costs_nothing_that_a_repair_does_not_bring_back),
        cmocka_unit_test(the_last_edit_counts_by_its_first_copy_where_it_is_seen_to_have_counted),
        cmocka_unit_test(a_crash_in_a_start_that_takes_files_in_loses_none_of_them),
        cmocka_unit_test(a_call_that_fails_in_such_a_start_loses_nothing),
        cmocka_unit_test(no_name_of_a_file_moves_ids_beyond_what_can_be_given),
        cmocka_unit_test(
            files_that_were_removed_and_are_there_again_after_a_crash_take_nothing_away),
    };
    cmocka_set_test_filter(getenv("METRIC_STORE_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

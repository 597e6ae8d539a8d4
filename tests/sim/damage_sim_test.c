/*
 * Damage of every kind of file of a small store: one bit flipped in every byte, files cut off,
 * swapped, missing, empty, and those of another store. What is answered is right and complete, or
 * says that it is partial, or is refused; and a repair makes a sound store of what is left, with
 * everything that was whole, killed in the middle or not.
 */
#include "../unit/test.h"

#include <inttypes.h>

#include "base/bits.h"
#include "engine_fixture.h"
#include "sim_explore.h"
#include "sim_machine.h"

enum { SERIES = 12, MAX_FILES = 32, STORE_PATH_SIZE = 128 };

/* Of all bytes, so many are looked at; repairs, which take longer, at one of REPAIR_EVERY. */
enum { READ_EVERY = SANITIZED ? 17 : 1, REPAIR_EVERY = SANITIZED ? 131 : 11, REST_EVERY = 997 };

struct stored_file {
    char path[STORE_PATH_SIZE];
    uint64_t size;
    uint64_t used; /* up to the last byte that is not zero */
};

struct world {
    uint64_t seed;
    struct sim_disk *disk;
    struct ledger ledger; /* all that was written, what was deleted later too */
    uint64_t alive;       /* samples of it that were not deleted */
    struct stored_file files[MAX_FILES];
    size_t count;
};

static void machine_init(struct sim_machine *machine, struct sim_disk *disk)
{
    sim_machine_init(machine, disk, "/store", 1);
    machine->options.head_bytes = 64 * 1024;
    machine->options.merge_fan_in = 8;
}

/* ---- the store -------------------------------------------------------------------------- */

static void put(struct world *world, struct tier *tier, uint32_t series, int64_t from_ms,
                size_t count, bool steady)
{
    struct fixture_sample samples[64];
    assert_true(count <= sizeof samples / sizeof samples[0]);
    for (size_t i = 0; i < count; i++)
        samples[i] = (struct fixture_sample){
            series, from_ms + (int64_t)i * 1000 + (steady ? 0 : (int64_t)(i * i % 7)),
            series * 1000.0 + (double)(i * i) / 8};
    struct error err = {0};
    if (fixture_put(tier, samples, count, &err) != STATUS_OK)
        test_fail("%s", err.message);
    ledger_put(&world->ledger, samples, count);
}

static void describe(struct tier *tier)
{
    struct metric metric = {
        .name = slice_from_text("metric_0"), .type = METRIC_GAUGE, .help = slice_from_text("It.")};
    struct fixture_write write = {.metric = &metric};
    struct error err = {0};
    assert_int_equal(fixture_commit(tier, &write, 1, &err), STATUS_OK);
}

/* Of all series. Returns how many samples went. */
static uint64_t delete_some(const struct world *world, struct tier *tier, struct time_range range)
{
    struct matchers everything = {0};
    struct delete_result result;
    struct error err = {0};
    uint64_t count = 0;
    if (storage_delete(tier, &everything, 1, range, &result, &err) != STATUS_OK)
        test_fail("%s", err.message);
    for (size_t i = 0; i < world->ledger.series_count; i++)
        for (size_t j = 0; j < world->ledger.series[i].count; j++)
            count += world->ledger.series[i].times[j] >= range.start_ms &&
                     world->ledger.series[i].times[j] < range.end_ms;
    assert_true(count > 0);
    return count;
}

struct folder {
    struct world *world;
    const char *path;
};

static enum status add_file(void *context, const char *name, bool is_directory, struct error *err)
{
    struct folder *folder = context;
    struct world *world = folder->world;
    (void)err;
    if (is_directory || strcmp(name, "lock") == 0)
        return STATUS_OK;
    assert_true(world->count < MAX_FILES);
    struct stored_file *file = &world->files[world->count++];
    snprintf(file->path, sizeof file->path, "%s/%s", folder->path, name);
    return STATUS_OK;
}

static void measure(struct world *world, struct stored_file *file)
{
    struct file *opened = NULL;
    assert_int_equal(
        filesystem_open(sim_disk_filesystem(world->disk), file->path, FILE_READ, &opened, NULL),
        STATUS_OK);
    assert_int_equal(file_size(opened, &file->size, NULL), STATUS_OK);
    uint8_t *bytes = malloc(file->size + 1);
    assert_non_null(bytes);
    assert_int_equal(file_read_exactly(opened, bytes, file->size, 0, NULL), STATUS_OK);
    file->used = file->size;
    while (file->used > 0 && bytes[file->used - 1] == 0)
        file->used--;
    free(bytes);
    file_close(opened);
}

/* Parts of two days, two index segments, descriptors, and a log with samples and series that are
 * nowhere else; closed, so that the end of the log is known. */
static void make_world(struct world *world, uint64_t seed)
{
    *world = (struct world){.seed = seed, .disk = sim_disk_new(seed)};
    ledger_init(&world->ledger, SERIES);
    struct sim_machine machine;
    struct tier *tier;
    struct error err = {0};
    machine_init(&machine, world->disk);
    machine.random.state += seed;
    assert_int_equal(engine_open(&machine.options, &tier, &err), STATUS_OK);
    for (uint32_t i = 0; i < SERIES - 4; i++)
        put(world, tier, i, SIM_START_MS + 1000, 20 + i, i % 3 != 0);
    describe(tier);
    assert_int_equal(engine_flush(tier, &err), STATUS_OK);
    for (uint32_t i = 2; i < SERIES - 2; i++)
        put(world, tier, i, SIM_START_MS + MS_PER_DAY / 2 * (1 + i % 2), 10, i % 2 == 0);
    assert_int_equal(engine_flush(tier, &err), STATUS_OK);
    uint64_t deleted =
        delete_some(world, tier, (struct time_range){SIM_START_MS, SIM_START_MS + 4500});
    assert_int_equal(engine_flush(tier, &err), STATUS_OK);
    for (uint32_t i = 0; i < SERIES; i++)
        put(world, tier, i, SIM_START_MS + MS_PER_DAY / 2 + 600000, 8, true);
    world->alive = ledger_count(&world->ledger) - deleted;
    engine_abandon(tier);
    static const char *const paths[] = {"/store", "/store/parts", "/store/index", "/store/wal"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct folder folder = {world, paths[i]};
        assert_int_equal(
            filesystem_list(sim_disk_filesystem(world->disk), paths[i], add_file, &folder, NULL),
            STATUS_OK);
    }
    for (size_t i = 0; i < world->count; i++)
        measure(world, &world->files[i]);
}

static void world_release(struct world *world)
{
    ledger_release(&world->ledger);
    sim_disk_free(world->disk);
}

static bool is_log(const struct stored_file *file)
{
    return strstr(file->path, "/wal/") != NULL;
}

static bool is_spare(const struct stored_file *file)
{
    return strstr(file->path, "/spare-") != NULL;
}

/* ---- answers ---------------------------------------------------------------------------- */

struct answer {
    enum status status; /* of opening or reading; CORRUPT: refused */
    bool partial;
    bool wrong;
    uint64_t samples;
    char why[FIXTURE_WHY_SIZE];
};

static void say(struct answer *answer, const char *format, ...) PRINTF_LIKE(2, 3);
static void say(struct answer *answer, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(answer->why, sizeof answer->why, format, args);
    va_end(args);
    answer->wrong = true;
}

static bool number_of(const struct labels *labels, uint32_t *number)
{
    char metric[32];
    struct slice text = labels_get(labels, slice_from_text("n"));
    if (text.size == 0 || text.size > 4)
        return false;
    char digits[8] = {0};
    memcpy(digits, text.data, text.size);
    *number = (uint32_t)strtoul(digits, NULL, 10);
    fixture_metric_name(*number, metric);
    return *number < SERIES && slice_equal_text(labels_metric_name(labels), metric);
}

/* Every sample that is told is one that was written. */
static void check_samples(struct answer *answer, const struct ledger_series *written,
                          const struct storage_block *block)
{
    for (uint32_t i = 0; i < block->count; i++) {
        size_t place = 0;
        while (place < written->count && written->times[place] != block->times[i])
            place++;
        if (place == written->count || written->bits[place] != bits_of_double(block->values[i])) {
            say(answer, "a sample at %" PRId64 " that nobody wrote", block->times[i]);
            return;
        }
        answer->samples++;
    }
}

static void read_series(struct answer *answer, struct tier *tier, struct selection *selection,
                        size_t index, const struct ledger *ledger, struct storage_cursor **cursor)
{
    struct selected_series series;
    uint32_t number = 0;
    answer->status = selection_series(tier, selection, index, &series, NULL);
    /* It is left out, and the answer is partial. */
    if (answer->status == STATUS_CORRUPT) {
        answer->status = STATUS_OK;
        return;
    }
    if (answer->status != STATUS_OK)
        return;
    if (!number_of(&series.labels, &number)) {
        say(answer, "series %zu has labels that nobody wrote", index);
        return;
    }
    answer->status = selection_read(tier, selection, index, fixture_always(), cursor, NULL);
    struct storage_block block;
    while (answer->status == STATUS_OK && !answer->wrong &&
           (answer->status = storage_cursor_next(tier, *cursor, &block, NULL)) == STATUS_OK) {
        answer->status = storage_cursor_load(tier, *cursor, &block, NULL);
        if (answer->status == STATUS_OK)
            check_samples(answer, &ledger->series[number], &block);
    }
    if (answer->status == STATUS_END)
        answer->status = STATUS_OK;
}

static void read_all(struct answer *answer, struct tier *tier, const struct ledger *ledger)
{
    struct matchers everything = {0};
    struct select_options options = {.range = fixture_always()};
    struct selection *selection;
    struct storage_cursor *cursor = NULL;
    answer->status = storage_select(tier, &everything, 1, &options, &selection, NULL);
    if (answer->status != STATUS_OK)
        return;
    for (size_t i = 0;
         i < selection_count(tier, selection) && answer->status == STATUS_OK && !answer->wrong; i++)
        read_series(answer, tier, selection, i, ledger, &cursor);
    struct read_stats stats;
    selection_stats(tier, selection, &stats);
    answer->partial = stats.partial;
    selection_close(tier, selection);
}

static struct answer ask(const struct world *world, struct sim_disk *disk, bool read_only)
{
    struct answer answer = {0};
    struct sim_machine machine;
    struct tier *tier;
    machine_init(&machine, disk);
    machine.options.read_only = read_only;
    answer.status = engine_open(&machine.options, &tier, NULL);
    if (answer.status != STATUS_OK)
        return answer;
    read_all(&answer, tier, &world->ledger);
    uint64_t all = world->alive;
    if (!answer.wrong && answer.status == STATUS_OK && !answer.partial && answer.samples != all)
        say(&answer, "%" PRIu64 " of %" PRIu64 " samples, in silence", answer.samples, all);
    struct storage_condition condition;
    storage_condition(tier, &condition);
    if (!answer.wrong && answer.partial && condition.health == STORAGE_HEALTHY)
        say(&answer, "the answer is partial, and health says nothing");
    engine_abandon(tier);
    return answer;
}

/* Whether the damage is answered honestly, by a start and by a reader. */
static void expect_honest(const struct world *world, const struct sim_disk *damaged,
                          const char *what, uint64_t where)
{
    for (int read_only = 0; read_only < 2; read_only++) {
        struct sim_disk *disk = sim_disk_clone(damaged);
        struct answer answer = ask(world, disk, read_only == 1);
        sim_disk_free(disk);
        if (answer.wrong)
            test_fail("%s, byte %" PRIu64 ": %s", what, where, answer.why);
        if (answer.status != STATUS_OK && answer.status != STATUS_CORRUPT &&
            answer.status != STATUS_UNSUPPORTED)
            test_fail("%s, byte %" PRIu64 ": %s", what, where, status_name(answer.status));
    }
}

/* ---- repairs ---------------------------------------------------------------------------- */

struct told {
    struct engine_repair_result result;
    uint64_t samples; /* that are there afterwards */
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

static enum status repair(struct sim_disk *disk, struct told *told, struct error *err)
{
    struct sim_machine machine;
    machine_init(&machine, disk);
    return engine_repair(&machine.options, take_finding, NULL, told, &told->result, err);
}

/* After a repair: sound, complete but for what was told to be lost, and it stays so. */
static void expect_sound(const struct world *world, struct sim_disk *disk, struct told *told,
                         const char *what, uint64_t where)
{
    if (told->result.left.damaged > 0)
        test_fail("%s, byte %" PRIu64 ": damage is left: %s", what, where, told->last);
    struct sim_machine machine;
    struct tier *tier;
    struct error err = {0};
    machine_init(&machine, disk);
    if (engine_open(&machine.options, &tier, &err) != STATUS_OK)
        test_fail("%s, byte %" PRIu64 ": %s", what, where, err.message);
    struct answer answer = {0};
    read_all(&answer, tier, &world->ledger);
    told->samples = answer.samples;
    struct engine_stats stats;
    engine_stats(tier, &stats);
    uint64_t all = world->alive;
    if (answer.wrong || answer.status != STATUS_OK || answer.partial || stats.recovery.damaged > 0)
        test_fail("%s, byte %" PRIu64 ": after the repair: %s%s", what, where, answer.why,
                  answer.partial ? "partial" : "");
    if (answer.samples != all && told->result.losses == 0)
        test_fail("%s, byte %" PRIu64 ": %" PRIu64 " samples instead of %" PRIu64 ", in silence",
                  what, where, answer.samples, all);
    engine_close(tier);
}

static void expect_repair(const struct world *world, const struct sim_disk *damaged,
                          const char *what, uint64_t where, struct told *told)
{
    struct sim_disk *disk = sim_disk_clone(damaged);
    struct error err = {0};
    *told = (struct told){0};
    enum status status = repair(disk, told, &err);
    /* Nothing helps where nobody knows what the store is. */
    if (status == STATUS_OK)
        expect_sound(world, disk, told, what, where);
    else if (status != STATUS_CORRUPT && status != STATUS_UNSUPPORTED && status != STATUS_NOT_FOUND)
        test_fail("%s, byte %" PRIu64 ": %s: %s", what, where, status_name(status), err.message);
    struct told again = {0};
    if (status == STATUS_OK) {
        assert_int_equal(repair(disk, &again, &err), STATUS_OK);
        assert_int_equal(again.result.found.damaged, 0);
        assert_int_equal(again.result.kept, 0);
    }
    sim_disk_free(disk);
}

/* ---- one bit ---------------------------------------------------------------------------- */

static void flip_and_look(const struct world *world, const struct stored_file *file, uint64_t byte,
                          bool repaired)
{
    struct sim_disk *disk = sim_disk_clone(world->disk);
    sim_disk_flip(disk, file->path, byte * 8 + byte % 8);
    expect_honest(world, disk, file->path, byte);
    if (repaired) {
        struct told told;
        expect_repair(world, disk, file->path, byte, &told);
        if (!is_log(file) && told.result.found.damaged == 0)
            test_fail("%s, byte %" PRIu64 ": verify finds nothing", file->path, byte);
    }
    sim_disk_free(disk);
}

static void one_bit_of_any_byte_is_answered_honestly_and_repaired(void **state)
{
    (void)state;
    struct world world;
    make_world(&world, 1);
    uint64_t looked = 0;
    for (size_t i = 0; i < world.count; i++) {
        const struct stored_file *file = &world.files[i];
        if (is_spare(file))
            continue;
        for (uint64_t byte = i % READ_EVERY; byte < file->used; byte += READ_EVERY, looked++)
            flip_and_look(&world, file, byte, (byte + i) % REPAIR_EVERY == 0);
        for (uint64_t byte = file->used; byte < file->size; byte += REST_EVERY, looked++)
            flip_and_look(&world, file, byte, true);
    }
    printf("%zu files, %" PRIu64 " bytes\n", world.count, looked);
    assert_true(world.count >= 7);
    world_release(&world);
}

/* In it all is told twice. */
static bool is_series_segment(const struct world *world, const struct stored_file *file)
{
    struct file *opened = NULL;
    uint8_t magic[8] = {0};
    if (strstr(file->path, ".seg") == NULL)
        return false;
    assert_int_equal(
        filesystem_open(sim_disk_filesystem(world->disk), file->path, FILE_READ, &opened, NULL),
        STATUS_OK);
    assert_int_equal(file_read_exactly(opened, magic, sizeof magic, 0, NULL), STATUS_OK);
    file_close(opened);
    return memcmp(magic, "MSSERIES", sizeof magic) == 0;
}

static void expect_no_loss(const struct world *world, const struct stored_file *file, uint64_t byte)
{
    struct sim_disk *disk = sim_disk_clone(world->disk);
    struct told told;
    sim_disk_flip(disk, file->path, byte * 8);
    expect_repair(world, disk, file->path, byte, &told);
    if (told.result.losses != 0 || told.result.found.damaged == 0)
        test_fail("%s, byte %" PRIu64 ": %s", file->path, byte, told.last);
    sim_disk_free(disk);
}

/* What does not hold samples itself costs none of them. */
static void frames_and_derived_sections_are_rebuilt_without_loss(void **state)
{
    (void)state;
    struct world world;
    make_world(&world, 2);
    for (size_t i = 0; i < world.count; i++) {
        const struct stored_file *file = &world.files[i];
        bool part = strstr(file->path, ".part") != NULL;
        if (is_series_segment(&world, file))
            for (uint64_t byte = 0; byte < file->size; byte += SANITIZED ? 401 : 41)
                expect_no_loss(&world, file, byte);
        if (!part && strstr(file->path, "manifest") == NULL)
            continue;
        /* Of a part header and trailer, of the manifest any place. */
        uint64_t places[] = {8, part ? file->size - 10 : file->size / 3, file->size - 60};
        for (size_t j = 0; j < sizeof places / sizeof places[0]; j++)
            expect_no_loss(&world, file, places[j]);
    }
    world_release(&world);
}

/* ---- edits of the manifest ----------------------------------------------------------------- */

/* Flips a bit of both copies of the nth record; false when there is no such record, or no other
 * behind it. */
static bool flip_record(struct sim_disk *disk, unsigned nth)
{
    struct file *file = NULL;
    uint64_t size = 0;
    uint8_t head[16];
    uint64_t at = 0;
    assert_int_equal(
        filesystem_open(sim_disk_filesystem(disk), "/store/manifest", FILE_READ, &file, NULL),
        STATUS_OK);
    assert_int_equal(file_size(file, &size, NULL), STATUS_OK);
    uint64_t record = 0;
    for (unsigned i = 0; i < nth && at < size; i++) {
        assert_int_equal(file_read_exactly(file, head, sizeof head, at, NULL), STATUS_OK);
        record = sizeof head + load_u32(head + 4);
        at += 2 * record;
    }
    file_close(file);
    if (at >= size)
        return false;
    sim_disk_flip(disk, "/store/manifest", (at - 2 * record + 20) * 8);
    sim_disk_flip(disk, "/store/manifest", (at - record + 20) * 8);
    return true;
}

/* So that its segments are used again, and say nothing any more of what was flushed. */
static void fill_the_log(struct world *world, struct tier *tier)
{
    struct error err = {0};
    for (int i = 1; i <= (SANITIZED ? 240 : 400); i++) {
        put(world, tier, 1, SIM_START_MS + MS_PER_DAY + 777 + i * INT64_C(100000), 64, true);
        world->alive += 64;
        if (i % 40 == 0)
            assert_int_equal(engine_flush(tier, &err), STATUS_OK);
    }
}

/* The first flush or the second one is not told of, so their files are named by nobody; and, with
 * merges, neither are those that took the place of others. */
static void files_of_lost_edits_are_found_again(void **state)
{
    (void)state;
    for (int merged = 0; merged < 2; merged++) {
        struct world world;
        unsigned lost = 0;
        make_world(&world, 9);
        struct sim_machine machine;
        struct tier *tier;
        struct error err = {0};
        bool did = true;
        machine_init(&machine, world.disk);
        machine.options.merge_fan_in = 2;
        assert_int_equal(engine_open(&machine.options, &tier, &err), STATUS_OK);
        assert_int_equal(engine_flush(tier, &err), STATUS_OK);
        while (merged == 1 && did)
            assert_int_equal(engine_background_step(tier, &did, &err), STATUS_OK);
        int64_t second = SIM_START_MS + MS_PER_DAY / 2;
        world.alive -= delete_some(&world, tier, (struct time_range){second, second + 2500});
        assert_int_equal(engine_flush(tier, &err), STATUS_OK);
        fill_the_log(&world, tier);
        engine_abandon(tier);
        for (unsigned nth = 2;; nth++) {
            struct sim_disk *disk = sim_disk_clone(world.disk);
            bool there = flip_record(disk, nth);
            struct told told;
            if (there) {
                expect_honest(&world, disk, "lost edit", nth);
                expect_repair(&world, disk, "lost edit", nth, &told);
                assert_true(told.result.found.damaged > 0);
                /* Nothing but the edit itself is lost: its files were all there. */
                if (told.result.lost_samples > 0 || told.result.lost_series > 0)
                    test_fail("edit %u: %" PRIu64 " samples are lost: %s", nth,
                              told.result.lost_samples, told.last);
                if (told.samples != world.alive)
                    test_fail("edit %u: %" PRIu64 " samples instead of %" PRIu64, nth, told.samples,
                              world.alive);
                lost++;
            }
            sim_disk_free(disk);
            if (!there)
                break;
        }
        assert_true(lost >= 1);
        world_release(&world);
    }
}

/* ---- whole files ------------------------------------------------------------------------- */

static void cut(struct sim_disk *disk, const char *path, uint64_t size)
{
    struct file *file = NULL;
    assert_int_equal(filesystem_open(sim_disk_filesystem(disk), path, FILE_READ_WRITE, &file, NULL),
                     STATUS_OK);
    assert_int_equal(file_resize(file, size, NULL), STATUS_OK);
    assert_int_equal(file_sync(file, NULL), STATUS_OK);
    file_close(file);
}

static void look_and_repair(const struct world *world, struct sim_disk *disk, const char *what,
                            uint64_t where)
{
    struct told told;
    expect_honest(world, disk, what, where);
    expect_repair(world, disk, what, where, &told);
    sim_disk_free(disk);
}

static void a_file_that_is_cut_off_is_answered_honestly_and_repaired(void **state)
{
    (void)state;
    struct world world;
    make_world(&world, 3);
    for (size_t i = 0; i < world.count; i++) {
        const struct stored_file *file = &world.files[i];
        if (is_spare(file))
            continue;
        for (uint64_t part = 0; part < 24; part++) {
            struct sim_disk *disk = sim_disk_clone(world.disk);
            uint64_t size = part == 23 ? file->size - 1 : file->used * part / 23;
            cut(disk, file->path, size);
            look_and_repair(&world, disk, file->path, size);
        }
    }
    world_release(&world);
}

static void a_missing_file_is_answered_honestly_and_repaired(void **state)
{
    (void)state;
    struct world world;
    make_world(&world, 4);
    for (size_t i = 0; i < world.count; i++) {
        if (is_spare(&world.files[i]))
            continue;
        struct sim_disk *disk = sim_disk_clone(world.disk);
        assert_int_equal(filesystem_remove(sim_disk_filesystem(disk), world.files[i].path, NULL),
                         STATUS_OK);
        look_and_repair(&world, disk, world.files[i].path, 0);
    }
    world_release(&world);
}

static bool same_folder(const char *a, const char *b)
{
    const char *slash = strrchr(a, '/');
    return slash != NULL && strncmp(a, b, (size_t)(slash - a) + 1) == 0 &&
           strrchr(b, '/') - b == slash - a;
}

static void swapped_files_are_answered_honestly_and_repaired(void **state)
{
    (void)state;
    struct world world;
    make_world(&world, 5);
    unsigned swaps = 0;
    for (size_t i = 0; i < world.count; i++)
        for (size_t j = 0; j < i; j++) {
            const char *a = world.files[i].path;
            const char *b = world.files[j].path;
            if (!same_folder(a, b) || is_log(&world.files[i]))
                continue;
            struct sim_disk *disk = sim_disk_clone(world.disk);
            struct filesystem *fs = sim_disk_filesystem(disk);
            assert_int_equal(filesystem_rename(fs, a, "/aside", NULL), STATUS_OK);
            assert_int_equal(filesystem_rename(fs, b, a, NULL), STATUS_OK);
            assert_int_equal(filesystem_rename(fs, "/aside", b, NULL), STATUS_OK);
            look_and_repair(&world, disk, a, j);
            swaps++;
        }
    assert_true(swaps >= 4);
    world_release(&world);
}

static void bring(struct sim_disk *disk, const struct sim_disk *other, const char *path)
{
    struct sim_disk *source = sim_disk_clone(other);
    struct file *from = NULL;
    struct file *to = NULL;
    uint64_t size = 0;
    assert_int_equal(filesystem_open(sim_disk_filesystem(source), path, FILE_READ, &from, NULL),
                     STATUS_OK);
    assert_int_equal(file_size(from, &size, NULL), STATUS_OK);
    uint8_t *bytes = malloc(size + 1);
    assert_non_null(bytes);
    assert_int_equal(file_read_exactly(from, bytes, size, 0, NULL), STATUS_OK);
    assert_int_equal(filesystem_open(sim_disk_filesystem(disk), path, FILE_CREATE, &to, NULL),
                     STATUS_OK);
    assert_int_equal(file_resize(to, 0, NULL), STATUS_OK);
    assert_int_equal(file_write(to, bytes, size, 0, NULL), STATUS_OK);
    free(bytes);
    file_close(from);
    file_close(to);
    sim_disk_free(source);
}

/* Of a store with other series under the same ids, in files of the same names. */
static void a_file_of_another_store_is_answered_honestly(void **state)
{
    (void)state;
    struct world world, other;
    make_world(&world, 6);
    other = (struct world){.seed = 7, .disk = sim_disk_new(7)};
    ledger_init(&other.ledger, SERIES);
    struct sim_machine machine;
    struct tier *tier;
    struct error err = {0};
    machine_init(&machine, other.disk);
    machine.random.state += 99;
    assert_int_equal(engine_open(&machine.options, &tier, &err), STATUS_OK);
    for (uint32_t i = SERIES; i-- > 0;)
        put(&other, tier, i, SIM_START_MS + 777, 20, i % 2 == 0);
    describe(tier);
    assert_int_equal(engine_flush(tier, &err), STATUS_OK);
    /* Its log goes on where ours does, and further. */
    for (uint32_t i = 0; i < 8 * SERIES; i++)
        put(&other, tier, i % SERIES, SIM_START_MS + MS_PER_DAY + i * 60000, 20, true);
    engine_abandon(tier);
    for (size_t i = 0; i < world.count; i++) {
        const struct stored_file *file = &world.files[i];
        struct sim_disk *source = sim_disk_clone(other.disk);
        struct file *there = NULL;
        bool has = filesystem_open(sim_disk_filesystem(source), file->path, FILE_READ, &there,
                                   NULL) == STATUS_OK;
        file_close(there);
        sim_disk_free(source);
        if (!has || is_spare(file))
            continue;
        struct sim_disk *disk = sim_disk_clone(world.disk);
        bring(disk, other.disk, file->path);
        /* A manifest makes the files of this store into those of another: none is what it names. */
        if (strstr(file->path, "manifest") != NULL) {
            expect_honest(&world, disk, file->path, 0);
            sim_disk_free(disk);
        } else {
            look_and_repair(&world, disk, file->path, 0);
        }
    }
    world_release(&other);
    world_release(&world);
}

/* ---- a repair that is cut short ----------------------------------------------------------- */

struct crashed {
    const struct world *world;
    const char *what;
    uint64_t least; /* samples that a repair without a crash saves */
    bool kept;      /* the damaged file has to be there, in its place or in the quarantine */
};

static bool is_kept(const struct crashed *crashed, struct sim_disk *disk)
{
    char kept[STORE_PATH_SIZE + 16];
    snprintf(kept, sizeof kept, "/store/quarantine%s", strrchr(crashed->what, '/'));
    const char *const paths[] = {crashed->what, kept};
    bool there = false;
    for (size_t i = 0; i < 2; i++) {
        struct file *file = NULL;
        there = there || filesystem_open(sim_disk_filesystem(disk), paths[i], FILE_READ, &file,
                                         NULL) == STATUS_OK;
        file_close(file);
    }
    if (!there)
        printf("%s: the damaged file is nowhere\n", crashed->what);
    return there;
}

static bool repair_again(void *context, struct sim_disk *disk)
{
    const struct crashed *crashed = context;
    struct told told = {0};
    struct error err = {0};
    sim_disk_set_sites(disk, NULL);
    if (crashed->kept && !is_kept(crashed, disk))
        return false;
    if (repair(disk, &told, &err) != STATUS_OK || told.result.left.damaged > 0) {
        printf("%s: the second repair: %s%s\n", crashed->what, err.message, told.last);
        return false;
    }
    struct answer answer = {0};
    struct sim_machine machine;
    struct tier *tier;
    machine_init(&machine, disk);
    if (engine_open(&machine.options, &tier, &err) != STATUS_OK) {
        printf("%s: %s\n", crashed->what, err.message);
        return false;
    }
    read_all(&answer, tier, &crashed->world->ledger);
    engine_abandon(tier);
    if (!answer.wrong && answer.status == STATUS_OK && !answer.partial &&
        answer.samples >= crashed->least)
        return true;
    printf("%s: %" PRIu64 " samples instead of %" PRIu64 "%s %s\n", crashed->what, answer.samples,
           crashed->least, answer.partial ? ", partial" : "", answer.why);
    return false;
}

static uint64_t samples_after_repair(const struct world *world, const struct sim_disk *damaged)
{
    struct sim_disk *disk = sim_disk_clone(damaged);
    struct told told = {0};
    struct error err = {0};
    assert_int_equal(repair(disk, &told, &err), STATUS_OK);
    struct answer answer = ask(world, disk, true);
    sim_disk_free(disk);
    return answer.samples;
}

/* Damage to an edit of the manifest, or to a file in its middle and to another one too. */
static struct sim_disk *damaged_twice(const struct world *world, size_t i)
{
    struct sim_disk *disk = sim_disk_clone(world->disk);
    const struct stored_file *file = &world->files[i % world->count];
    const struct stored_file *second = &world->files[(i + 2) % world->count];
    if (i == world->count)
        assert_true(flip_record(disk, 2));
    else /* The trailer of a part: all of it can be saved. */
        sim_disk_flip(disk, file->path,
                      strstr(file->path, ".part") != NULL ? (file->size - 10) * 8
                                                          : file->used / 2 * 8);
    if (!is_spare(second) && strstr(second->path, "manifest") == NULL)
        sim_disk_flip(disk, second->path, second->used / 3 * 8);
    return disk;
}

static bool crash_a_repair(const struct world *world, size_t i, struct sim_sites *sites,
                           uint64_t *states)
{
    const struct stored_file *file = &world->files[i % world->count];
    struct sim_disk *disk = damaged_twice(world, i);
    struct crashed crashed = {world, file->path, samples_after_repair(world, disk),
                              i < world->count && !is_log(file) &&
                                  strstr(file->path, "manifest") == NULL};
    struct sim_explore explore = {.check = repair_again,
                                  .context = &crashed,
                                  .seed = i + 1,
                                  .crashes = SANITIZED ? 1 : 3,
                                  .kills = true,
                                  .every = SANITIZED ? 7 : 1};
    struct told told = {0};
    struct error err = {0};
    sim_explore_attach(&explore, disk);
    sim_disk_set_sites(disk, sites);
    if (repair(disk, &told, &err) != STATUS_OK)
        test_fail("%s: %s", file->path, err.message);
    sim_disk_set_sites(disk, NULL);
    sim_explore_now(&explore, disk);
    sim_explore_detach(disk);
    sim_disk_free(disk);
    *states += explore.states;
    return explore.violations == 0;
}

static bool crash_repairs(struct sim_sites *sites, uint64_t *states)
{
    struct world world;
    make_world(&world, 8);
    bool passed = true;
    for (size_t i = 0; i <= world.count && passed; i++)
        if (!is_spare(&world.files[i % world.count]))
            passed = crash_a_repair(&world, i, sites, states);
    world_release(&world);
    return passed;
}

static void a_crash_in_a_repair_loses_nothing_that_it_would_have_saved(void **state)
{
    (void)state;
    uint64_t states = 0;
    assert_true(crash_repairs(NULL, &states));
    printf("%" PRIu64 " crash states\n", states);
    assert_true(states > 100);
}

#if !SANITIZED /* with most crashes left out, some sites would seem not to matter */
static bool crash_repairs_with_sites(void *context)
{
    uint64_t states = 0;
    return crash_repairs(context, &states);
}

/* Those of a start and of the log (engine_sim_test and the tests of the log), and of a copy
 * (snapshot_sim_test). */
static const char *const proven_elsewhere[] = {
    "copy_file",        "engine_open",         "make_directory", "manifest_open",
    "rewrite",          "make_durable",        "make_durable",   "wal_recover",
    "wal_write_header", "wal_install_segment", "wal_sync",       NULL};

static void each_sync_of_a_repair_is_needed(void **state)
{
    (void)state;
    struct sim_sites sites = {.proven_elsewhere = proven_elsewhere};
    assert_true(sim_sites_mutate(&sites, crash_repairs_with_sites, &sites));
}
#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_and_derived_sections_are_rebuilt_without_loss),
        cmocka_unit_test(files_of_lost_edits_are_found_again),
        cmocka_unit_test(a_file_that_is_cut_off_is_answered_honestly_and_repaired),
        cmocka_unit_test(a_missing_file_is_answered_honestly_and_repaired),
        cmocka_unit_test(swapped_files_are_answered_honestly_and_repaired),
        cmocka_unit_test(a_file_of_another_store_is_answered_honestly),
        cmocka_unit_test(a_crash_in_a_repair_loses_nothing_that_it_would_have_saved),
#if !SANITIZED
        cmocka_unit_test(each_sync_of_a_repair_is_needed),
#endif
        cmocka_unit_test(one_bit_of_any_byte_is_answered_honestly_and_repaired),
    };
    /* A pattern, for scripts/sync-sites. */
    cmocka_set_test_filter(getenv("METRIC_STORE_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

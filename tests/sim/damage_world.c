#include "damage_world.h"

#include "../unit/test.h"

#include "base/bits.h"

void world_machine_init(struct sim_machine *machine, struct sim_disk *disk)
{
    sim_machine_init(machine, disk, "/store", 1);
    machine->options.head_bytes = 64 * 1024;
    machine->options.merge_fan_in = 8;
}

/* ---- the store -------------------------------------------------------------------------- */

void world_put(struct world *world, struct tier *tier, uint32_t series, int64_t from_ms,
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

void world_describe(struct tier *tier)
{
    struct metric metric = {
        .name = slice_from_text("metric_0"), .type = METRIC_GAUGE, .help = slice_from_text("It.")};
    struct fixture_write write = {.metric = &metric};
    struct error err = {0};
    assert_int_equal(fixture_commit(tier, &write, 1, &err), STATUS_OK);
}

uint64_t world_delete(const struct world *world, struct tier *tier, struct time_range range)
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

void world_make_small(struct world *world, uint64_t seed)
{
    *world = (struct world){.seed = seed, .disk = sim_disk_new(seed)};
    ledger_init(&world->ledger, SMALL_SERIES);
    struct sim_machine machine;
    struct tier *tier;
    struct error err = {0};
    world_machine_init(&machine, world->disk);
    machine.random.state += seed;
    assert_int_equal(engine_open(&machine.options, &tier, &err), STATUS_OK);
    for (uint32_t i = 0; i < SMALL_SERIES - 4; i++)
        world_put(world, tier, i, SIM_START_MS + 1000, 20 + i, i % 3 != 0);
    world_describe(tier);
    assert_int_equal(engine_flush(tier, &err), STATUS_OK);
    for (uint32_t i = 2; i < SMALL_SERIES - 2; i++)
        world_put(world, tier, i, SIM_START_MS + MS_PER_DAY / 2 * (1 + i % 2), 10, i % 2 == 0);
    assert_int_equal(engine_flush(tier, &err), STATUS_OK);
    uint64_t deleted =
        world_delete(world, tier, (struct time_range){SIM_START_MS, SIM_START_MS + 4500});
    assert_int_equal(engine_flush(tier, &err), STATUS_OK);
    for (uint32_t i = 0; i < SMALL_SERIES; i++)
        world_put(world, tier, i, SIM_START_MS + MS_PER_DAY / 2 + 600000, 8, true);
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

void world_release(struct world *world)
{
    ledger_release(&world->ledger);
    sim_disk_free(world->disk);
}

bool file_is_log(const struct stored_file *file)
{
    return strstr(file->path, "/wal/") != NULL;
}

bool file_is_spare(const struct stored_file *file)
{
    return strstr(file->path, "/spare-") != NULL;
}

/* ---- what becomes of files ---------------------------------------------------------------- */

void disk_cut(struct sim_disk *disk, const char *path, uint64_t size)
{
    struct file *file = NULL;
    assert_int_equal(filesystem_open(sim_disk_filesystem(disk), path, FILE_READ_WRITE, &file, NULL),
                     STATUS_OK);
    assert_int_equal(file_resize(file, size, NULL), STATUS_OK);
    assert_int_equal(file_sync(file, NULL), STATUS_OK);
    file_close(file);
}

void disk_bring(struct sim_disk *disk, const struct sim_disk *other, const char *path)
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

bool disk_flip_edit(struct sim_disk *disk, unsigned nth)
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

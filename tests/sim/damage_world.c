#include "damage_world.h"

#include "../unit/test.h"

#include <inttypes.h>

#include "base/arena.h"
#include "base/bits.h"

/* ---- writing ---------------------------------------------------------------------------- */

void world_machine_init(const struct world *world, struct sim_machine *machine,
                        struct sim_disk *disk)
{
    sim_machine_init(machine, disk, "/store", world->seed);
    world->kind->set_up(machine);
}

static enum status decode_raw(struct slice raw, struct arena *arena, struct labels *labels,
                              struct error *err)
{
    labels->items = arena_calloc(arena, WORLD_LABELS_MAX, sizeof labels->items[0]);
    if (labels->items == NULL)
        return fail(err, arena_status(arena), "no memory for labels");
    return labels_decode(raw, labels->items, WORLD_LABELS_MAX, &labels->count, err);
}

static struct slice raw_of(const struct world *world, uint32_t series, struct arena *arena)
{
    struct bytes bytes;
    bytes_init(&bytes, 4096);
    struct world_labels *of = &world->labels[series];
    assert_int_equal(labels_encode(&(struct labels){of->items, of->count}, &bytes), STATUS_OK);
    struct slice raw = arena_copy(arena, bytes_slice(&bytes));
    bytes_release(&bytes);
    return raw;
}

static void fill(const struct world *world, struct batch *batch,
                 const struct fixture_sample *samples, size_t count)
{
    uint32_t entry = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || samples[i].series != samples[i - 1].series)
            assert_int_equal(batch_add_series(batch, raw_of(world, samples[i].series, batch->arena),
                                              (uint32_t)i, 0, &entry),
                             STATUS_OK);
        assert_int_equal(batch_add_sample(batch, entry, samples[i].time_ms, samples[i].value),
                         STATUS_OK);
    }
}

static void note(struct world *world, const struct fixture_sample *samples, size_t count)
{
    ledger_put(&world->written, samples, count);
    ledger_put(&world->living, samples, count);
    world->commit_count++;
    for (size_t i = 0; i < count; i++) {
        struct fixture_sample commit = samples[i];
        commit.value = double_of_bits(world->commit_count);
        ledger_put(&world->commits, &commit, 1);
    }
}

enum status world_commit(struct world *world, struct tier *tier,
                         const struct fixture_sample *samples, size_t count, struct error *err)
{
    struct arena arena;
    struct batch batch;
    arena_init(&arena, (size_t)1 << 28);
    batch_init(&batch, &arena, decode_raw, 1);
    fill(world, &batch, samples, count);
    enum status status = storage_resolve(tier, &batch, NULL, err);
    if (status == STATUS_OK) {
        assert_int_equal(batch.rejected, 0);
        status = storage_append(tier, &(struct batch *){&batch}, 1, err);
        storage_settle(tier, &batch);
    }
    arena_release(&arena);
    if (status == STATUS_OK)
        note(world, samples, count);
    return status;
}

double world_value(uint32_t series, int64_t time_ms)
{
    int64_t of_time = series % 2 == 0 ? time_ms / 250 : time_ms * 7919 / 3;
    return series * 1000.0 + (double)(of_time % 3989) / 4;
}

void world_put(struct world *world, struct tier *tier, uint32_t series, int64_t from_ms,
               size_t count, bool steady)
{
    struct fixture_sample samples[64];
    assert_true(count <= sizeof samples / sizeof samples[0]);
    for (size_t i = 0; i < count; i++) {
        int64_t time_ms = from_ms + (int64_t)i * 1000 + (steady ? 0 : (int64_t)(i * i % 7));
        samples[i] = (struct fixture_sample){series, time_ms, world_value(series, time_ms)};
    }
    struct error err = {0};
    if (world_commit(world, tier, samples, count, &err) != STATUS_OK)
        test_fail("%s", err.message);
}

void world_describe(const struct world *world, struct tier *tier)
{
    for (const char *const *name = world->kind->described; *name != NULL; name++) {
        struct metric metric = {
            .name = slice_from_text(*name), .type = METRIC_GAUGE, .help = slice_from_text("It.")};
        struct fixture_write write = {.metric = &metric};
        struct error err = {0};
        assert_int_equal(fixture_commit(tier, &write, 1, &err), STATUS_OK);
    }
}

void world_delete(struct world *world, struct tier *tier, const char *selector,
                  struct time_range range)
{
    struct matchers matchers = {0};
    struct arena arena;
    struct delete_result result;
    struct error err = {0};
    arena_init(&arena, 1 << 20);
    if (selector != NULL &&
        matchers_parse(slice_from_text(selector), &arena, &matchers, &err) != STATUS_OK)
        test_fail("%s", err.message);
    if (storage_delete(tier, &matchers, 1, range, &result, &err) != STATUS_OK)
        test_fail("%s", err.message);
    bool *only = calloc(world->living.series_count, sizeof only[0]);
    assert_non_null(only);
    for (size_t i = 0; i < world->living.series_count; i++)
        only[i] = matchers_match(&matchers,
                                 &(struct labels){world->labels[i].items, world->labels[i].count});
    uint64_t before = ledger_count(&world->living);
    ledger_delete(&world->living, only, range);
    assert_true(ledger_count(&world->living) < before);
    free(only);
    matchers_release(&matchers);
    arena_release(&arena);
}

struct slice world_metric(const struct world *world, uint32_t series)
{
    return labels_metric_name(
        &(struct labels){world->labels[series].items, world->labels[series].count});
}

/* ---- a world ---------------------------------------------------------------------------- */

void world_init(struct world *world, const struct world_kind *kind, uint64_t seed)
{
    *world = (struct world){.kind = kind, .seed = seed, .disk = sim_disk_new(seed)};
    uint32_t all = kind->series + kind->new_series;
    world->labels = calloc(all, sizeof world->labels[0]);
    assert_non_null(world->labels);
    world->metrics = calloc(all, sizeof world->metrics[0]);
    assert_non_null(world->metrics);
    for (uint32_t i = 0; i < all; i++) {
        kind->labels(i, &world->labels[i]);
        while (!slice_equal(world_metric(world, world->metrics[i]), world_metric(world, i)))
            world->metrics[i]++;
    }
    ledger_init(&world->written, all);
    ledger_init(&world->living, all);
    ledger_init(&world->commits, all);
    arena_init(&world->arena, 1 << 20);
    for (const char *const *text = kind->selectors; *text != NULL; text++) {
        struct error err = {0};
        assert_true(world->selector_count < WORLD_SELECTORS_MAX);
        if (matchers_parse(slice_from_text(*text), &world->arena,
                           &world->selectors[world->selector_count++], &err) != STATUS_OK)
            test_fail("%s: %s", *text, err.message);
    }
}

void world_release(struct world *world)
{
    for (size_t i = 0; i < world->selector_count; i++)
        matchers_release(&world->selectors[i]);
    arena_release(&world->arena);
    ledger_release(&world->written);
    ledger_release(&world->living);
    ledger_release(&world->commits);
    free(world->labels);
    free(world->metrics);
    free(world->files);
    sim_disk_free(world->disk);
}

void world_fork(struct world *fork, const struct world *world)
{
    *fork = *world;
    fork->damaged_at = world->commit_count;
    ledger_copy(&fork->written, &world->written);
    ledger_copy(&fork->living, &world->living);
    ledger_copy(&fork->commits, &world->commits);
}

void world_fork_release(struct world *fork)
{
    ledger_release(&fork->written);
    ledger_release(&fork->living);
    ledger_release(&fork->commits);
}

/* ---- the small one ---------------------------------------------------------------------- */

static void small_labels(uint32_t series, struct world_labels *to)
{
    char *text = to->text;
    fixture_metric_name(series, text);
    snprintf(text + 32, 32, "h%" PRIu32, series / FIXTURE_METRICS % FIXTURE_HOSTS);
    snprintf(text + 64, 32, "%" PRIu32, series);
    to->items[0] = (struct label){slice_from_text(METRIC_NAME_LABEL), slice_from_text(text)};
    to->items[1] = (struct label){slice_from_text("host"), slice_from_text(text + 32)};
    to->items[2] = (struct label){slice_from_text("n"), slice_from_text(text + 64)};
    to->count = 3;
}

static void set_up_small(struct sim_machine *machine)
{
    machine->options.head_bytes = 64 * 1024;
    machine->options.merge_fan_in = 8;
}

static const char *const small_selectors[] = {"metric_3",
                                              "{host=\"h1\"}",
                                              "metric_1{host!=\"h0\"}",
                                              "{n=~\"1.*\"}",
                                              "{n=~\".+\",host!~\"h1\"}",
                                              "{n!=\"4\",__name__=~\"metric_[34]\"}",
                                              "{n=~\".+\",none=\"\"}",
                                              NULL};

static const char *const small_described[] = {"metric_0", NULL};

const struct world_kind small_world = {
    .series = SMALL_SERIES,
    .new_series = 3,
    .labels = small_labels,
    .set_up = set_up_small,
    .selectors = small_selectors,
    .described = small_described,
};

void world_make_small(struct world *world, uint64_t seed)
{
    world_init(world, &small_world, seed);
    struct sim_machine machine;
    struct tier *tier;
    struct error err = {0};
    world_machine_init(world, &machine, world->disk);
    assert_int_equal(engine_open(&machine.options, &tier, &err), STATUS_OK);
    for (uint32_t i = 0; i < SMALL_SERIES - 4; i++)
        world_put(world, tier, i, SIM_START_MS + 1000, 20 + i, i % 3 != 0);
    world_describe(world, tier);
    assert_int_equal(engine_flush(tier, &err), STATUS_OK);
    for (uint32_t i = 2; i < SMALL_SERIES - 2; i++)
        world_put(world, tier, i, SIM_START_MS + MS_PER_DAY / 2 * (1 + i % 2), 10, i % 2 == 0);
    assert_int_equal(engine_flush(tier, &err), STATUS_OK);
    world_delete(world, tier, NULL, (struct time_range){SIM_START_MS, SIM_START_MS + 4500});
    assert_int_equal(engine_flush(tier, &err), STATUS_OK);
    for (uint32_t i = 0; i < SMALL_SERIES; i++)
        world_put(world, tier, i, SIM_START_MS + MS_PER_DAY / 2 + 600000, 8, true);
    engine_abandon(tier);
    world_list_files(world);
}

/* ---- files ------------------------------------------------------------------------------ */

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
    if (world->count == world->capacity) {
        world->capacity = world->capacity == 0 ? 32 : 2 * world->capacity;
        world->files = realloc(world->files, world->capacity * sizeof world->files[0]);
        assert_non_null(world->files);
    }
    struct stored_file *file = &world->files[world->count++];
    snprintf(file->path, sizeof file->path, "%s/%s", folder->path, name);
    return STATUS_OK;
}

void world_list_files(struct world *world)
{
    static const char *const paths[] = {"/store", "/store/parts", "/store/index", "/store/wal"};
    world->count = 0;
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct folder folder = {world, paths[i]};
        assert_int_equal(
            filesystem_list(sim_disk_filesystem(world->disk), paths[i], add_file, &folder, NULL),
            STATUS_OK);
    }
    for (size_t i = 0; i < world->count; i++) {
        struct stored_file *file = &world->files[i];
        uint8_t *bytes = disk_read(world->disk, file->path, &file->size);
        file->used = file->size;
        while (file->used > 0 && bytes[file->used - 1] == 0)
            file->used--;
        free(bytes);
    }
}

bool file_is_log(const struct stored_file *file)
{
    return strstr(file->path, "/wal/") != NULL;
}

bool file_is_spare(const struct stored_file *file)
{
    return strstr(file->path, "/spare-") != NULL;
}

bool file_is_part(const struct stored_file *file)
{
    return strstr(file->path, ".part") != NULL;
}

bool file_is_series_segment(const struct world *world, const struct stored_file *file)
{
    if (strstr(file->path, ".seg") == NULL)
        return false;
    uint64_t size;
    uint8_t *bytes = disk_read(world->disk, file->path, &size);
    bool is = size > 8 && memcmp(bytes, "MSSERIES", 8) == 0;
    free(bytes);
    return is;
}

/* ---- what is on a disk ------------------------------------------------------------------ */

static struct file *open_file(struct sim_disk *disk, const char *path, enum file_mode mode)
{
    struct file *file = NULL;
    assert_int_equal(filesystem_open(sim_disk_filesystem(disk), path, mode, &file, NULL),
                     STATUS_OK);
    return file;
}

uint8_t *disk_read(struct sim_disk *disk, const char *path, uint64_t *size)
{
    struct file *file = open_file(disk, path, FILE_READ);
    assert_int_equal(file_size(file, size, NULL), STATUS_OK);
    uint8_t *bytes = malloc(*size + 1);
    assert_non_null(bytes);
    assert_int_equal(file_read_exactly(file, bytes, *size, 0, NULL), STATUS_OK);
    file_close(file);
    return bytes;
}

void disk_write(struct sim_disk *disk, const char *path, uint64_t at, const uint8_t *bytes,
                size_t size)
{
    struct file *file = open_file(disk, path, FILE_READ_WRITE);
    assert_int_equal(file_write(file, bytes, size, at, NULL), STATUS_OK);
    assert_int_equal(file_sync(file, NULL), STATUS_OK);
    file_close(file);
}

void disk_cut(struct sim_disk *disk, const char *path, uint64_t size)
{
    struct file *file = open_file(disk, path, FILE_READ_WRITE);
    assert_int_equal(file_resize(file, size, NULL), STATUS_OK);
    assert_int_equal(file_sync(file, NULL), STATUS_OK);
    file_close(file);
}

void disk_bring(struct sim_disk *disk, const char *path, const struct sim_disk *other,
                const char *other_path)
{
    struct sim_disk *source = sim_disk_clone(other);
    uint64_t size;
    uint8_t *bytes = disk_read(source, other_path, &size);
    sim_disk_free(source);
    disk_cut(disk, path, 0);
    disk_write(disk, path, 0, bytes, size);
    free(bytes);
}

void disk_swap(struct sim_disk *disk, const char *a, const char *b)
{
    struct filesystem *fs = sim_disk_filesystem(disk);
    assert_int_equal(filesystem_rename(fs, a, "/aside", NULL), STATUS_OK);
    assert_int_equal(filesystem_rename(fs, b, a, NULL), STATUS_OK);
    assert_int_equal(filesystem_rename(fs, "/aside", b, NULL), STATUS_OK);
}

bool disk_flip_edit(struct sim_disk *disk, unsigned nth)
{
    uint64_t size = 0;
    uint64_t at = 0;
    uint64_t record = 0;
    uint8_t *bytes = disk_read(disk, "/store/manifest", &size);
    for (unsigned i = 0; i < nth && at < size; i++) {
        record = 16 + load_u32(bytes + at + 4);
        at += 2 * record;
    }
    free(bytes);
    if (at >= size)
        return false;
    sim_disk_flip(disk, "/store/manifest", (at - 2 * record + 20) * 8);
    sim_disk_flip(disk, "/store/manifest", (at - record + 20) * 8);
    return true;
}

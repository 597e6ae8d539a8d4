/*
 * Index segments of which a sector has become zeros, a page cannot be read, a bit has flipped, or
 * the end is missing: series that are written again, with their labels, lose nothing of what is
 * written after the damage.
 */
#include "../unit/test.h"

#include <inttypes.h>

#include "damage_check.h"

enum {
    SERIES = 400, /* several pages of definitions, and of keys */
    FLIP_STEP = SANITIZED ? 4099 : 1999,
    SECTOR_EVERY = SANITIZED ? 5 : 1,
};

static void labels_of(uint32_t series, struct world_labels *to)
{
    char *text = to->text;
    snprintf(text, 32, "metric_%" PRIu32, series % 5);
    snprintf(text + 32, 32, "h%" PRIu32, series * 7919 % 61);
    snprintf(text + 64, 32, "%" PRIu32, series);
    to->items[0] = (struct label){slice_from_text(METRIC_NAME_LABEL), slice_from_text(text)};
    to->items[1] = (struct label){slice_from_text("host"), slice_from_text(text + 32)};
    to->items[2] = (struct label){slice_from_text("n"), slice_from_text(text + 64)};
    to->count = 3;
}

static void set_up(struct sim_machine *machine)
{
    machine->options.head_bytes = 1024 * 1024;
}

static const char *const selectors[] = {"metric_3", "{host=\"h1\"}", "{n=~\"1.*\"}", NULL};
static const char *const described[] = {NULL};

static const struct world_kind kind = {
    .series = SERIES,
    .new_series = 3,
    .labels = labels_of,
    .set_up = set_up,
    .selectors = selectors,
    .described = described,
};

/* Two index segments, and samples of them in a part and in the log. */
static void make(struct world *world)
{
    struct sim_machine machine;
    struct tier *tier;
    struct error err = {0};
    world_init(world, &kind, 1);
    world_machine_init(world, &machine, world->disk);
    assert_int_equal(engine_open(&machine.options, &tier, &err), STATUS_OK);
    for (uint32_t i = 0; i < SERIES; i++) {
        if (i == SERIES - 20)
            assert_int_equal(engine_flush(tier, &err), STATUS_OK);
        world_put(world, tier, i, SIM_START_MS + 1000, 2, true);
    }
    assert_int_equal(engine_flush(tier, &err), STATUS_OK);
    for (uint32_t i = 0; i < SERIES; i += 3)
        world_put(world, tier, i, SIM_START_MS + 600000, 1, true);
    engine_abandon(tier);
    world_list_files(world);
}

/* Whether there was anything to lose. */
static bool zero(struct sim_disk *disk, const char *path, uint64_t at, uint64_t size)
{
    static const uint8_t zeros[SIM_SECTOR_SIZE];
    uint64_t all;
    uint8_t *bytes = disk_read(disk, path, &all);
    uint64_t end = at + size < all ? at + size : all;
    bool any = memcmp(bytes + at, zeros, end - at) != 0;
    free(bytes);
    disk_write(disk, path, at, zeros, end - at);
    return any;
}

typedef void damage_segment(const struct world *world, const struct stored_file *file);

static void at_every_segment(damage_segment *look)
{
    struct world world;
    size_t segments = 0;
    make(&world);
    for (size_t i = 0; i < world.count; i++) {
        if (!file_is_series_segment(&world, &world.files[i]))
            continue;
        look(&world, &world.files[i]);
        segments++;
    }
    assert_int_equal(segments, 2);
    world_release(&world);
}

static void zero_sectors(const struct world *world, const struct stored_file *file)
{
    for (uint64_t at = 0; at < file->size; at += SECTOR_EVERY * SIM_SECTOR_SIZE) {
        struct sim_disk *disk = sim_disk_clone(world->disk);
        if (zero(disk, file->path, at, SIM_SECTOR_SIZE))
            expect_healed(world, disk, file->path, at);
        sim_disk_free(disk);
    }
}

static void a_zeroed_sector_costs_nothing_that_is_written_again(void **state)
{
    (void)state;
    at_every_segment(zero_sectors);
}

struct sector {
    const char *path;
    uint64_t at;
};

static void zero_one(void *context, struct sim_disk *disk)
{
    const struct sector *sector = context;
    (void)zero(disk, sector->path, sector->at, SIM_SECTOR_SIZE);
}

static void zero_sectors_while_open(const struct world *world, const struct stored_file *file)
{
    for (uint64_t at = 0; at < file->size; at += 3 * SECTOR_EVERY * SIM_SECTOR_SIZE)
        expect_healed_while_open(world, zero_one, &(struct sector){file->path, at}, file->path, at);
}

static void damage_that_a_query_finds_costs_nothing_that_is_written_again(void **state)
{
    (void)state;
    at_every_segment(zero_sectors_while_open);
}

static void hide_pages(const struct world *world, const struct stored_file *file)
{
    enum { PAGE_SIZE = 4096 };
    for (uint64_t at = 0; at < file->size; at += SECTOR_EVERY * PAGE_SIZE) {
        struct sim_disk *disk = sim_disk_clone(world->disk);
        sim_disk_make_unreadable(disk, file->path, at, PAGE_SIZE);
        expect_healed(world, disk, file->path, at);
        sim_disk_free(disk);
    }
}

static void a_page_that_cannot_be_read_costs_nothing_that_is_written_again(void **state)
{
    (void)state;
    at_every_segment(hide_pages);
}

static void flip_bits(const struct world *world, const struct stored_file *file)
{
    for (uint64_t at = 0; at < file->size; at += FLIP_STEP) {
        struct sim_disk *disk = sim_disk_clone(world->disk);
        sim_disk_flip(disk, file->path, at * 8 + at % 8);
        expect_healed(world, disk, file->path, at);
        sim_disk_free(disk);
    }
}

static void a_flipped_bit_costs_nothing_that_is_written_again(void **state)
{
    (void)state;
    at_every_segment(flip_bits);
}

/* What the rest does not define is lost with what it had; what is written after that is not. */
static void cut_and_remove(const struct world *world, const struct stored_file *file)
{
    for (uint64_t part = 0; part <= 8; part++) {
        struct sim_disk *disk = sim_disk_clone(world->disk);
        if (part == 8)
            assert_int_equal(filesystem_remove(sim_disk_filesystem(disk), file->path, NULL),
                             STATUS_OK);
        else
            disk_cut(disk, file->path, file->size * part / 8);
        expect_ingest(world, disk, file->path, file->size * part / 8);
        sim_disk_free(disk);
    }
}

static void a_cut_or_missing_segment_costs_nothing_that_is_written_later(void **state)
{
    (void)state;
    at_every_segment(cut_and_remove);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_zeroed_sector_costs_nothing_that_is_written_again),
        cmocka_unit_test(damage_that_a_query_finds_costs_nothing_that_is_written_again),
        cmocka_unit_test(a_page_that_cannot_be_read_costs_nothing_that_is_written_again),
        cmocka_unit_test(a_flipped_bit_costs_nothing_that_is_written_again),
        cmocka_unit_test(a_cut_or_missing_segment_costs_nothing_that_is_written_later),
    };
    cmocka_set_test_filter(getenv("METRIC_STORE_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

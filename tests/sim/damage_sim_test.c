/*
 * One bit flipped in every byte of every kind of file of a small store. What is answered is right
 * and complete, or says that it is partial, or is refused; and a repair makes a sound store of what
 * is left, with everything that was whole. Of READ_EVERY bytes one has its turn, another in each
 * run; METRIC_STORE_SIM_STRIDE=1 takes all.
 */
#include "../unit/test.h"

#include <inttypes.h>
#include <time.h>

#include "damage_check.h"

/* Of all bytes, so many are looked at; repairs and writes, which take longer, at fewer. */
enum {
    READ_EVERY = SANITIZED ? 17 : 3,
    REPAIR_EVERY = SANITIZED ? 131 : 41,
    INGEST_EVERY = SANITIZED ? 97 : 31,
    REST_EVERY = 997
};
/* ---- one bit ---------------------------------------------------------------------------- */

static void flip_and_look(const struct world *world, const struct stored_file *file, uint64_t byte,
                          bool repaired, bool written)
{
    struct sim_disk *disk = sim_disk_clone(world->disk);
    sim_disk_flip(disk, file->path, byte * 8 + byte % 8);
    expect_honest(world, disk, file->path, byte);
    if (repaired) {
        struct told told;
        expect_repair(world, disk, file->path, byte, &told);
        if (!file_is_log(file) && told.result.found.damaged == 0)
            test_fail("%s, byte %" PRIu64 ": verify finds nothing", file->path, byte);
    }
    if (written && byte % 2 == 0)
        expect_ingest(world, disk, file->path, byte);
    else if (written)
        expect_delete(world, disk, file->path, byte);
    sim_disk_free(disk);
}

static void one_bit_of_any_byte_is_answered_honestly_and_repaired(void **state)
{
    (void)state;
    struct world world;
    world_make_small(&world, 1);
    uint64_t looked = 0;
    const char *asked = getenv("METRIC_STORE_SIM_STRIDE");
    uint64_t stride = asked == NULL ? READ_EVERY : strtoull(asked, NULL, 10);
    uint64_t phase = (uint64_t)time(NULL) % stride;
    printf("each %" PRIu64 ". byte from %" PRIu64 " on\n", stride, phase);
    for (size_t i = 0; i < world.count; i++) {
        const struct stored_file *file = &world.files[i];
        if (file_is_spare(file))
            continue;
        for (uint64_t byte = phase; byte < file->used; byte += stride, looked++)
            flip_and_look(&world, file, byte, (byte + i) % REPAIR_EVERY == 0,
                          (byte + i) % INGEST_EVERY == 0);
        for (uint64_t byte = file->used; byte < file->size; byte += REST_EVERY, looked++)
            flip_and_look(&world, file, byte, true, false);
    }
    printf("%zu files, %" PRIu64 " bytes\n", world.count, looked);
    assert_true(world.count >= 7);
    world_release(&world);
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
    world_make_small(&world, 2);
    for (size_t i = 0; i < world.count; i++) {
        const struct stored_file *file = &world.files[i];
        bool part = file_is_part(file);
        if (file_is_series_segment(&world, file))
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

/* So that its segments are used again, and say nothing any more of what was flushed. */
static void fill_the_log(struct world *world, struct tier *tier)
{
    struct error err = {0};
    for (int i = 1; i <= (SANITIZED ? 240 : 400); i++) {
        world_put(world, tier, 1, SIM_START_MS + MS_PER_DAY + 777 + i * INT64_C(100000), 64, true);
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
        world_make_small(&world, 9);
        struct sim_machine machine;
        struct tier *tier;
        struct error err = {0};
        bool did = true;
        world_machine_init(&world, &machine, world.disk);
        machine.options.merge_fan_in = 2;
        assert_int_equal(engine_open(&machine.options, &tier, &err), STATUS_OK);
        assert_int_equal(engine_flush(tier, &err), STATUS_OK);
        while (merged == 1 && did)
            assert_int_equal(engine_background_step(tier, &did, &err), STATUS_OK);
        int64_t second = SIM_START_MS + MS_PER_DAY / 2;
        world_delete(&world, tier, NULL, (struct time_range){second, second + 2500});
        assert_int_equal(engine_flush(tier, &err), STATUS_OK);
        fill_the_log(&world, tier);
        engine_abandon(tier);
        for (unsigned nth = 2;; nth++) {
            struct sim_disk *disk = sim_disk_clone(world.disk);
            bool there = disk_flip_edit(disk, nth);
            struct told told;
            if (there) {
                expect_honest(&world, disk, "lost edit", nth);
                expect_delete(&world, disk, "lost edit", nth);
                expect_repair(&world, disk, "lost edit", nth, &told);
                assert_true(told.result.found.damaged > 0);
                /* Nothing but the edit itself is lost: its files were all there. */
                if (told.result.lost_samples > 0 || told.result.lost_series > 0)
                    test_fail("edit %u: %" PRIu64 " samples are lost: %s", nth,
                              told.result.lost_samples, told.last);
                if (told.samples != ledger_count(&world.living))
                    test_fail("edit %u: %" PRIu64 " samples instead of %" PRIu64, nth, told.samples,
                              ledger_count(&world.living));
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(frames_and_derived_sections_are_rebuilt_without_loss),
        cmocka_unit_test(files_of_lost_edits_are_found_again),
        cmocka_unit_test(one_bit_of_any_byte_is_answered_honestly_and_repaired),
    };
    cmocka_set_test_filter(getenv("METRIC_STORE_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

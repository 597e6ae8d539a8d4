/*
 * The log whose bytes decayed: flipped bits, missing and cut segments, damaged headers.
 */
#include "../unit/test.h"

#include "base/bits.h"
#include "base/hash.h"
#include "storage/engine/wal_format.h"
#include "wal_model.h"

static struct wal *must_open(struct wal_model *model, struct sim_disk *disk,
                             struct model_replay *replay)
{
    struct wal *wal = NULL;
    struct error err;
    if (model_open(model, disk, &wal, replay, &err) != STATUS_OK)
        test_fail("%s", err.message);
    assert_null(replay->wrong);
    return wal;
}

static struct model_replay *replay_new(void)
{
    struct model_replay *replay = calloc(1, sizeof *replay);
    assert_non_null(replay);
    return replay;
}

/* A log of `frames` frames, each synced; `clean`: it was closed, and did not crash. */
static struct sim_disk *make_log(struct wal_model *model, int frames, bool clean)
{
    struct model_replay *replay = replay_new();
    struct sim_disk *disk = sim_disk_new(1);
    struct wal *wal = must_open(model, disk, replay);
    for (int i = 0; i < frames; i++) {
        assert_int_equal(model_commit(model, wal, NULL), STATUS_OK);
        assert_int_equal(model_sync(model, wal, NULL), STATUS_OK);
    }
    if (!clean)
        sim_disk_crash(disk, &(struct sim_crash){.seed = 1});
    wal_close(wal);
    free(replay);
    return disk;
}

static size_t missing_frames(const struct model_log *whole, const struct model_log *found)
{
    size_t missing = 0;
    size_t at = 0;
    for (size_t i = 0; i < whole->count; i++) {
        if (at < found->count && found->frames[at].number == whole->frames[i].number &&
            found->frames[at].lsn == whole->frames[i].lsn)
            at++;
        else
            missing++;
    }
    assert_int_equal(at, found->count); /* nothing else, nothing doubled, in order */
    return missing;
}

struct flip_result {
    size_t missing;
    unsigned damages;
    uint64_t damage_from;
};

/* Opens a copy with one bit flipped; then appends to it and opens it again. */
static struct flip_result flip_one(struct wal_model *model, const struct sim_disk *disk,
                                   uint64_t segment, uint64_t bit)
{
    struct model_replay *replay = replay_new();
    struct sim_disk *clone = sim_disk_clone(disk);
    char path[64];
    char name[WAL_NAME_SIZE];
    wal_segment_name(name, segment);
    snprintf(path, sizeof path, "/wal/%s", name);
    sim_disk_flip(clone, path, bit);
    struct wal *wal = must_open(model, clone, replay);
    struct flip_result result = {.missing = missing_frames(&model->log, &replay->log),
                                 .damages = replay->damages,
                                 .damage_from = replay->damage_from};
    size_t count = replay->log.count;
    uint64_t lsn = 0;
    assert_int_equal(model_write(model, wal, 400, 1, &lsn, NULL), STATUS_OK);
    assert_int_equal(wal_sync(wal, NULL), STATUS_OK);
    wal_close(wal);
    wal = must_open(model, clone, replay);
    assert_int_equal(replay->log.count, count + 1);
    assert_int_equal(replay->log.frames[count].number, 400);
    wal_close(wal);
    sim_disk_free(clone);
    free(replay);
    return result;
}

static void a_flipped_bit_in_any_byte_costs_one_frame_at_most_and_is_reported(void **state)
{
    (void)state;
    struct wal_model model;
    model_init(&model, 2, 0);
    struct sim_disk *disk = make_log(&model, 6, true);
    uint64_t end = wal_lsn_offset(model.log.frames[5].lsn);
    unsigned flips = 0;
    for (uint64_t byte = WAL_DATA_START; byte < end; byte++) {
        struct flip_result result = flip_one(&model, disk, 1, byte * 8 + byte % 8);
        assert_int_equal(result.missing, 1);
        assert_int_equal(result.damages, 1);
        assert_true(wal_lsn_offset(result.damage_from) <= byte);
        flips++;
    }
    printf("%u flips\n", flips);
    sim_disk_free(disk);
}

static void after_a_crash_only_the_last_frame_counts_as_torn(void **state)
{
    (void)state;
    struct wal_model model;
    model_init(&model, 2, 0);
    struct sim_disk *disk = make_log(&model, 6, false);
    uint64_t last = wal_lsn_offset(model.log.frames[4].lsn);
    uint64_t end = wal_lsn_offset(model.log.frames[5].lsn);
    for (uint64_t byte = WAL_DATA_START; byte < end; byte += 3) {
        struct flip_result result = flip_one(&model, disk, 1, byte * 8 + byte % 8);
        assert_int_equal(result.missing, 1);
        assert_int_equal(result.damages, byte < last ? 1 : 0);
    }
    sim_disk_free(disk);
}

static void a_flipped_bit_in_frames_that_span_segments_costs_one_of_them(void **state)
{
    (void)state;
    struct wal_model model;
    model_init(&model, 12, 1);
    struct sim_disk *disk = make_log(&model, 30, true);
    uint64_t segments = wal_lsn_segment(model.log.frames[29].lsn);
    assert_true(segments > 3);
    uint64_t random = 1;
    for (int i = 0; i < 400; i++) {
        uint64_t segment = 1 + sim_below(&random, segments - 1);
        uint64_t byte = WAL_DATA_START + sim_below(&random, WAL_SEGMENT_SIZE_MIN - 5000);
        struct flip_result result = flip_one(&model, disk, segment, byte * 8 + byte % 8);
        assert_int_equal(result.missing, 1);
        assert_int_equal(result.damages, 1);
    }
    sim_disk_free(disk);
}

static void one_damaged_copy_of_a_header_costs_nothing_and_is_reported(void **state)
{
    (void)state;
    struct wal_model model;
    model_init(&model, 2, 0);
    struct sim_disk *disk = make_log(&model, 6, true);
    for (uint64_t byte = 0; byte < WAL_HEADER_SIZE; byte++)
        for (uint64_t copy = 0; copy <= WAL_HEADER_COPY; copy += WAL_HEADER_COPY) {
            struct flip_result result = flip_one(&model, disk, 1, (copy + byte) * 8 + byte % 8);
            assert_int_equal(result.missing, 0);
            assert_int_equal(result.damages, 1);
        }
    sim_disk_free(disk);
}

static void both_copies_damaged_cost_nothing_while_another_segment_has_its_header(void **state)
{
    (void)state;
    struct wal_model model;
    model_init(&model, 12, 1);
    struct sim_disk *disk = make_log(&model, 30, true);
    sim_disk_flip(disk, "/wal/0000000000000002.wal", 8 * 20);
    sim_disk_flip(disk, "/wal/0000000000000002.wal", 8 * (WAL_HEADER_COPY + 20));
    struct model_replay *replay = replay_new();
    struct wal *wal = must_open(&model, disk, replay);
    assert_int_equal(missing_frames(&model.log, &replay->log), 0);
    assert_int_equal(replay->damages, 1);
    wal_close(wal);
    free(replay);
    sim_disk_free(disk);
}

static void a_log_without_any_header_is_reported_and_takes_new_frames(void **state)
{
    (void)state;
    struct wal_model model;
    model_init(&model, 2, 0);
    struct sim_disk *disk = make_log(&model, 6, true);
    sim_disk_flip(disk, "/wal/0000000000000001.wal", 8 * 20);
    sim_disk_flip(disk, "/wal/0000000000000001.wal", 8 * (WAL_HEADER_COPY + 20));
    struct model_replay *replay = replay_new();
    struct wal *wal = must_open(&model, disk, replay);
    assert_int_equal(replay->log.count, 0);
    assert_true(replay->damages >= 1);
    uint64_t lsn = 0;
    assert_int_equal(model_write(&model, wal, 7, 1, &lsn, NULL), STATUS_OK);
    wal_close(wal);
    wal = must_open(&model, disk, replay);
    assert_int_equal(replay->log.count, 1);
    assert_int_equal(replay->log.frames[0].number, 7);
    wal_close(wal);
    free(replay);
    sim_disk_free(disk);
}

static void a_missing_segment_is_damage_and_the_frames_behind_it_are_replayed(void **state)
{
    (void)state;
    struct wal_model model;
    model_init(&model, 12, 1);
    struct sim_disk *disk = make_log(&model, 40, true);
    uint64_t segments = wal_lsn_segment(model.log.frames[39].lsn);
    for (uint64_t gone = 1; gone < segments; gone++) {
        struct model_replay *replay = replay_new();
        struct sim_disk *clone = sim_disk_clone(disk);
        char path[64];
        char name[WAL_NAME_SIZE];
        wal_segment_name(name, gone);
        snprintf(path, sizeof path, "/wal/%s", name);
        assert_int_equal(filesystem_remove(sim_disk_filesystem(clone), path, NULL), STATUS_OK);
        struct wal *wal = must_open(&model, clone, replay);
        assert_true(replay->damages >= 1);
        size_t missing = missing_frames(&model.log, &replay->log);
        for (size_t i = 0; i < model.log.count; i++) {
            uint64_t end = wal_lsn_segment(model.log.frames[i].lsn);
            uint64_t start = i == 0 ? 1 : wal_lsn_segment(model.log.frames[i - 1].lsn);
            missing -= start <= gone && end >= gone && missing > 0 ? 1 : 0;
        }
        assert_int_equal(missing, 0); /* only frames that touch the segment */
        wal_close(wal);
        sim_disk_free(clone);
        free(replay);
    }
    sim_disk_free(disk);
}

static void remove_segment(struct sim_disk *disk, uint64_t segment)
{
    char path[64];
    char name[WAL_NAME_SIZE];
    wal_segment_name(name, segment);
    snprintf(path, sizeof path, "/wal/%s", name);
    assert_int_equal(filesystem_remove(sim_disk_filesystem(disk), path, NULL), STATUS_OK);
}

/* A log that crashed, with a prepared segment without frames behind those with frames. */
static struct sim_disk *make_prepared_log(struct wal_model *model, int frames)
{
    struct model_replay *replay = replay_new();
    struct sim_disk *disk = sim_disk_new(1);
    struct wal *wal = must_open(model, disk, replay);
    for (int i = 0; i < frames; i++) {
        assert_int_equal(model_commit(model, wal, NULL), STATUS_OK);
        assert_int_equal(model_sync(model, wal, NULL), STATUS_OK);
    }
    assert_int_equal(wal_prepare(wal, NULL), STATUS_OK);
    sim_disk_crash(disk, &(struct sim_crash){.seed = 1});
    wal_close(wal);
    free(replay);
    return disk;
}

static void a_missing_segment_is_damage_though_no_frame_stands_behind_it(void **state)
{
    (void)state;
    for (int replayed = 0; replayed < 2; replayed++) {
        struct wal_model model;
        model_init(&model, 12, 1);
        struct sim_disk *disk = make_prepared_log(&model, 12);
        uint64_t last = wal_lsn_segment(model.log.frames[11].lsn);
        if (replayed == 1)
            model.replay_from = model.log.frames[10].lsn;
        remove_segment(disk, last);
        struct model_replay *replay = replay_new();
        struct wal *wal = must_open(&model, disk, replay);
        assert_true(replay->damages >= 1);
        assert_true(wal_lsn_segment(replay->damage_to) == last + 1);
        uint64_t lsn = 0;
        assert_int_equal(model_write(&model, wal, 7, 1, &lsn, NULL), STATUS_OK);
        assert_true(wal_lsn_segment(lsn) > last);
        size_t count = replay->log.count;
        wal_close(wal);
        wal = must_open(&model, disk, replay);
        assert_int_equal(replay->log.count, count + 1);
        wal_close(wal);
        free(replay);
        sim_disk_free(disk);
    }
}

static void the_only_segment_with_frames_missing_is_damage(void **state)
{
    (void)state;
    struct wal_model model;
    model_init(&model, 2, 0);
    struct sim_disk *disk = make_prepared_log(&model, 3);
    assert_int_equal(wal_lsn_segment(model.log.frames[2].lsn), 1);
    remove_segment(disk, 1);
    struct model_replay *replay = replay_new();
    struct wal *wal = must_open(&model, disk, replay);
    assert_int_equal(replay->damages, 1);
    assert_int_equal(replay->log.count, 0);
    wal_close(wal);
    free(replay);
    sim_disk_free(disk);
}

static void a_log_that_is_gone_is_reported_and_goes_on_behind_the_old_position(void **state)
{
    (void)state;
    struct wal_model model;
    model_init(&model, 2, 0);
    model.replay_from = wal_lsn(5, 9000);
    struct sim_disk *disk = sim_disk_new(1);
    struct model_replay *replay = replay_new();
    struct wal *wal = must_open(&model, disk, replay);
    assert_int_equal(replay->damages, 1);
    assert_true(replay->damage_from == model.replay_from);
    assert_true(wal_position(wal) > model.replay_from);
    wal_close(wal);
    free(replay);
    sim_disk_free(disk);
}

static void a_tail_lost_below_the_replay_position_does_not_swallow_new_frames(void **state)
{
    (void)state;
    struct wal_model model;
    model_init(&model, 2, 0);
    struct sim_disk *disk = make_log(&model, 6, false);
    model.replay_from = model.log.frames[5].lsn;
    uint64_t third = wal_lsn_offset(model.log.frames[2].lsn);
    for (uint64_t byte = third; byte < wal_lsn_offset(model.replay_from); byte += 16)
        sim_disk_flip(disk, "/wal/0000000000000001.wal", byte * 8);
    struct model_replay *replay = replay_new();
    struct wal *wal = must_open(&model, disk, replay);
    /* What stood behind them may be gone as well. */
    assert_int_equal(replay->damages, 1);
    assert_true(replay->damage_to > model.replay_from);
    uint64_t lsn = 0;
    assert_int_equal(model_write(&model, wal, 7, 1, &lsn, NULL), STATUS_OK);
    assert_true(lsn > model.replay_from);
    wal_close(wal);
    wal = must_open(&model, disk, replay);
    assert_int_equal(replay->log.count, 1);
    wal_close(wal);
    free(replay);
    sim_disk_free(disk);
}

static void frames_that_decayed_below_the_replay_position_cost_nothing_and_are_reported(
    void **state)
{
    (void)state;
    struct wal_model model;
    model_init(&model, 2, 0);
    struct sim_disk *disk = make_log(&model, 6, false);
    model.replay_from = model.log.frames[3].lsn;
    sim_disk_flip(disk, "/wal/0000000000000001.wal",
                  8 * (wal_lsn_offset(model.log.frames[2].lsn) - 20));
    struct model_replay *replay = replay_new();
    struct wal *wal = must_open(&model, disk, replay);
    assert_int_equal(replay->damages, 1);
    assert_true(replay->damage_to == model.replay_from);
    assert_int_equal(replay->log.count, 2);
    wal_close(wal);
    free(replay);
    sim_disk_free(disk);
}

static void a_cut_segment_loses_what_was_cut(void **state)
{
    (void)state;
    struct wal_model model;
    model_init(&model, 2, 0);
    struct sim_disk *disk = make_log(&model, 6, true);
    for (size_t kept = 0; kept < 6; kept++) {
        struct sim_disk *clone = sim_disk_clone(disk);
        struct file *file = NULL;
        assert_int_equal(filesystem_open(sim_disk_filesystem(clone), "/wal/0000000000000001.wal",
                                         FILE_READ_WRITE, &file, NULL),
                         STATUS_OK);
        assert_int_equal(file_resize(file, wal_lsn_offset(model.log.frames[kept].lsn), NULL),
                         STATUS_OK);
        file_close(file);
        struct model_replay *replay = replay_new();
        struct wal *wal = must_open(&model, clone, replay);
        assert_int_equal(replay->log.count, kept + 1);
        assert_true(replay->damages >= 1);
        wal_close(wal);
        sim_disk_free(clone);
        free(replay);
    }
    sim_disk_free(disk);
}

static void a_segment_of_a_newer_version_is_refused_and_left_alone(void **state)
{
    (void)state;
    struct wal_model model;
    model_init(&model, 2, 0);
    struct sim_disk *disk = make_log(&model, 2, true);
    struct file *file = NULL;
    assert_int_equal(filesystem_open(sim_disk_filesystem(disk), "/wal/0000000000000001.wal",
                                     FILE_READ_WRITE, &file, NULL),
                     STATUS_OK);
    uint8_t block[WAL_DATA_START];
    wal_segment_header_encode(
        &(struct wal_segment_header){.number = 1, .size = WAL_SEGMENT_SIZE_MIN, .epoch = 1}, block);
    for (size_t copy = 0; copy <= WAL_HEADER_COPY; copy += WAL_HEADER_COPY) {
        block[copy + 8] = WAL_VERSION + 1;
        store_u32(block + copy + WAL_HEADER_SIZE - 4, crc32c(0, block + copy, WAL_HEADER_SIZE - 4));
    }
    assert_int_equal(file_write(file, block, sizeof block, 0, NULL), STATUS_OK);
    file_close(file);
    struct wal *wal = NULL;
    struct error err;
    struct model_replay *replay = replay_new();
    assert_int_equal(model_open(&model, disk, &wal, replay, &err), STATUS_UNSUPPORTED);
    assert_null(wal);
    assert_non_null(strstr(err.message, "version 2"));
    free(replay);
    sim_disk_free(disk);
}

static void a_read_error_is_no_damage(void **state)
{
    (void)state;
    struct wal_model model;
    model_init(&model, 2, 0);
    struct sim_disk *disk = make_log(&model, 4, true);
    struct model_replay *replay = replay_new();
    struct wal *wal = NULL;
    for (uint64_t nth = 1; nth <= 2; nth++) {
        sim_disk_clear_faults(disk);
        sim_disk_add_fault(
            disk,
            &(struct sim_fault){.kinds = SIM_READ, .nth = nth, .repeat = 1, .failure = SIM_EIO});
        assert_int_equal(model_open(&model, disk, &wal, replay, NULL), STATUS_IO);
        assert_int_equal(replay->damages, 0);
    }
    sim_disk_clear_faults(disk);
    wal = must_open(&model, disk, replay);
    assert_int_equal(replay->log.count, 4);
    wal_close(wal);
    free(replay);
    sim_disk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flipped_bit_in_any_byte_costs_one_frame_at_most_and_is_reported),
        cmocka_unit_test(after_a_crash_only_the_last_frame_counts_as_torn),
        cmocka_unit_test(a_flipped_bit_in_frames_that_span_segments_costs_one_of_them),
        cmocka_unit_test(one_damaged_copy_of_a_header_costs_nothing_and_is_reported),
        cmocka_unit_test(both_copies_damaged_cost_nothing_while_another_segment_has_its_header),
        cmocka_unit_test(a_log_without_any_header_is_reported_and_takes_new_frames),
        cmocka_unit_test(a_missing_segment_is_damage_and_the_frames_behind_it_are_replayed),
        cmocka_unit_test(a_missing_segment_is_damage_though_no_frame_stands_behind_it),
        cmocka_unit_test(the_only_segment_with_frames_missing_is_damage),
        cmocka_unit_test(a_log_that_is_gone_is_reported_and_goes_on_behind_the_old_position),
        cmocka_unit_test(a_tail_lost_below_the_replay_position_does_not_swallow_new_frames),
        cmocka_unit_test(
            frames_that_decayed_below_the_replay_position_cost_nothing_and_are_reported),
        cmocka_unit_test(a_cut_segment_loses_what_was_cut),
        cmocka_unit_test(a_segment_of_a_newer_version_is_refused_and_left_alone),
        cmocka_unit_test(a_read_error_is_no_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The log while the disk refuses: each call of a scripted life fails in turn, in several ways.
 */
#include "../unit/test.h"

#include "sim_explore.h"
#include "wal_model.h"

struct ordeal {
    struct wal_model model;
    struct sim_disk *disk;
    struct wal *wal;
    struct model_replay replay;
    unsigned restarts;
};

/* The process starts again, as often as it takes; what it replays is durable from then on. */
static void restart(struct ordeal *ordeal)
{
    struct wal_model *model = &ordeal->model;
    struct error err;
    wal_close(ordeal->wal);
    ordeal->wal = NULL;
    for (unsigned tries = 0;; tries++) {
        if (model_open(model, ordeal->disk, &ordeal->wal, &ordeal->replay, &err) == STATUS_OK)
            break;
        if (tries == 8)
            test_fail("%s", err.message);
    }
    assert_true(model_accepts(model, &ordeal->replay));
    size_t skipped = 0;
    while (skipped < model->log.count && model->log.frames[skipped].lsn <= model->replay_from)
        skipped++;
    for (size_t i = 0; i < ordeal->replay.log.count; i++)
        model->log.frames[skipped + i] = ordeal->replay.log.frames[i];
    model->log.count = skipped + ordeal->replay.log.count;
    model->synced = model->log.count;
    ordeal->restarts++;
}

static void live_a_step(struct ordeal *ordeal, unsigned step)
{
    struct wal_model *model = &ordeal->model;
    enum status status = model_commit(model, ordeal->wal, NULL);
    if (status == STATUS_OK && step % 2 == 0)
        status = model_sync(model, ordeal->wal, NULL);
    if (status == STATUS_OK && step % 4 == 2)
        status = wal_mark(ordeal->wal, NULL);
    if (status == STATUS_OK && step % 3 == 0)
        status = wal_prepare(ordeal->wal, NULL);
    if (status == STATUS_OK && step % 5 == 4 && model->synced > 3) {
        uint64_t lsn = model->log.frames[model->synced - 3].lsn;
        if (lsn > model->replay_from)
            model->replay_from = lsn;
        status = wal_release(ordeal->wal, model->replay_from, NULL);
    }
    struct wal_stats stats;
    wal_stats(ordeal->wal, &stats);
    if (status == STATUS_UNAVAILABLE)
        assert_true(stats.broken);
    if (stats.broken)
        restart(ordeal);
}

enum { FAULT_STEPS = 16 };

/* Returns the number of calls made. */
static uint64_t live_with_fault(uint64_t seed, const struct sim_fault *fault, unsigned *restarts)
{
    struct ordeal *ordeal = calloc(1, sizeof *ordeal);
    assert_non_null(ordeal);
    ordeal->disk = sim_disk_new(seed);
    model_init(&ordeal->model, seed, 1);
    if (fault != NULL)
        sim_disk_add_fault(ordeal->disk, fault);
    restart(ordeal);
    for (unsigned step = 0; step < FAULT_STEPS; step++)
        live_a_step(ordeal, step);
    uint64_t calls = sim_disk_calls(ordeal->disk);
    sim_disk_clear_faults(ordeal->disk);
    for (uint64_t crash = 0; crash < 4; crash++) {
        struct sim_disk *clone = sim_disk_clone(ordeal->disk);
        struct wal *wal = NULL;
        struct error err;
        sim_disk_crash(clone, &(struct sim_crash){.seed = crash});
        if (model_open(&ordeal->model, clone, &wal, &ordeal->replay, &err) != STATUS_OK)
            test_fail("%s", err.message);
        if (!model_accepts(&ordeal->model, &ordeal->replay))
            test_fail("seed %d crash %d", (int)seed, (int)crash);
        wal_close(wal);
        sim_disk_free(clone);
    }
    *restarts += ordeal->restarts;
    wal_close(ordeal->wal);
    sim_disk_free(ordeal->disk);
    free(ordeal);
    return calls;
}

static void each_call_may_fail_once_or_thrice_and_nothing_synced_is_lost(void **state)
{
    (void)state;
    static const enum sim_failure failures[] = {SIM_EIO, SIM_ENOSPC, SIM_SHORT_EIO,
                                                SIM_SHORT_ENOSPC};
    unsigned runs = 0;
    unsigned restarts = 0;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        unsigned ignored = 0;
        uint64_t calls = live_with_fault(seed, NULL, &ignored);
        for (uint64_t nth = 1; nth <= calls; nth++)
            for (size_t kind = 0; kind < 4; kind++) {
                struct sim_fault fault = {.kinds = SIM_ANY_CALL,
                                          .nth = nth,
                                          .repeat = nth % 2 == 0 ? 1 : 3,
                                          .failure = failures[kind]};
                live_with_fault(seed, &fault, &restarts);
                runs++;
            }
    }
    printf("%u runs, %u restarts\n", runs, restarts);
    assert_true(restarts > runs);
}

static struct wal *must_open(struct wal_model *model, struct sim_disk *disk)
{
    struct wal *wal = NULL;
    struct error err;
    struct model_replay *replay = calloc(1, sizeof *replay);
    assert_non_null(replay);
    if (model_open(model, disk, &wal, replay, &err) != STATUS_OK)
        test_fail("%s", err.message);
    assert_true(model_accepts(model, replay));
    free(replay);
    return wal;
}

static void a_failed_sync_is_never_tried_again_and_breaks_every_call(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct wal_model model;
    model_init(&model, 1, 0);
    struct wal *wal = must_open(&model, disk);
    struct error err;
    assert_int_equal(model_commit(&model, wal, NULL), STATUS_OK);
    sim_disk_add_fault(
        disk, &(struct sim_fault){.kinds = SIM_SYNC, .nth = 1, .repeat = 1, .failure = SIM_EIO});
    assert_int_equal(wal_sync(wal, &err), STATUS_IO);
    uint64_t calls = sim_disk_calls(disk);
    assert_int_equal(wal_sync(wal, &err), STATUS_UNAVAILABLE);
    assert_non_null(strstr(err.message, "restart"));
    assert_int_equal(wal_begin(wal, NULL), STATUS_UNAVAILABLE);
    assert_int_equal(wal_prepare(wal, NULL), STATUS_UNAVAILABLE);
    assert_int_equal(wal_release(wal, wal_position(wal), NULL), STATUS_UNAVAILABLE);
    assert_int_equal(sim_disk_calls(disk), calls);
    wal_close(wal);
    assert_int_equal(sim_disk_calls(disk), calls);

    /* What the page cache still shows is written again, and then survives. */
    model.synced = 1;
    wal = must_open(&model, disk);
    sim_disk_crash(disk, &(struct sim_crash){.seed = 1});
    wal_close(wal);
    wal = must_open(&model, disk);
    wal_close(wal);
    sim_disk_free(disk);
}

/* Records that fill a sector each, so that a torn write swaps whole records. */
enum { SECTOR_RECORDS = 6 };

static enum status write_sectors(struct wal *wal, uint8_t content)
{
    uint8_t bytes[SIM_SECTOR_SIZE];
    memset(bytes, content, sizeof bytes);
    enum status status = wal_begin(wal, NULL);
    for (int i = 0; i < SECTOR_RECORDS && status == STATUS_OK; i++) {
        /* The first sector also holds the begin record: 40 and 32 bytes of headers. */
        size_t size = sizeof bytes - (i == 0 ? 72 : 32);
        status = wal_put(wal, 1, slice_of(bytes, size), slice_of(NULL, 0), NULL);
    }
    uint64_t lsn;
    return status == STATUS_OK ? wal_commit(wal, &lsn, NULL) : status;
}

struct contents {
    unsigned seen[256];
};

static enum status count_content(void *context, struct slice record, uint8_t type, uint64_t lsn,
                                 struct error *err)
{
    (void)type, (void)lsn, (void)err;
    struct contents *contents = context;
    contents->seen[record.data[0]]++;
    return STATUS_OK;
}

static void an_abandoned_frame_never_completes_the_one_that_takes_its_place(void **state)
{
    (void)state;
    unsigned complete = 0;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct sim_disk *disk = sim_disk_new(seed);
        struct wal_model model;
        model_init(&model, seed, 0);
        struct wal *wal = must_open(&model, disk);
        sim_disk_add_fault(
            disk, &(struct sim_fault){
                      .kinds = SIM_WRITE, .nth = 1, .repeat = 1, .failure = SIM_SHORT_EIO});
        assert_int_equal(write_sectors(wal, 'a'), STATUS_IO);
        assert_int_equal(write_sectors(wal, 'b'), STATUS_OK);
        sim_disk_crash(disk, &(struct sim_crash){.seed = seed});
        wal_close(wal);
        struct contents contents = {{0}};
        struct wal_options options = model_options(&model, disk);
        assert_int_equal(wal_open(&wal, &options, 0, count_content, NULL, &contents, NULL),
                         STATUS_OK);
        assert_int_equal(contents.seen['a'], 0);
        assert_true(contents.seen['b'] == 0 || contents.seen['b'] == SECTOR_RECORDS);
        complete += contents.seen['b'] > 0;
        wal_close(wal);
        sim_disk_free(disk);
    }
    assert_true(complete > 0 && complete < 300);
}

static void a_full_disk_refuses_commits_until_there_is_room_again(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct wal_model model;
    model_init(&model, 5, 1);
    struct wal *wal = must_open(&model, disk);
    sim_disk_set_space(disk, 4 * WAL_SEGMENT_SIZE_MIN);
    enum status status = STATUS_OK;
    while (status == STATUS_OK)
        status = model_commit(&model, wal, NULL);
    assert_int_equal(status, STATUS_NO_SPACE);
    assert_true(sim_disk_used(disk) <= 4 * WAL_SEGMENT_SIZE_MIN);
    assert_int_equal(model_sync(&model, wal, NULL), STATUS_OK);
    assert_int_equal(wal_prepare(wal, NULL), STATUS_NO_SPACE);
    sim_disk_set_space(disk, 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(model_commit(&model, wal, NULL), STATUS_OK);
    assert_int_equal(model_sync(&model, wal, NULL), STATUS_OK);
    sim_disk_crash(disk, &(struct sim_crash){.seed = 1});
    wal_close(wal);
    wal = must_open(&model, disk);
    wal_close(wal);
    sim_disk_free(disk);
}

static void released_segments_are_used_again_and_the_rest_is_removed(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct wal_model model;
    model_init(&model, 3, 1);
    struct wal *wal = must_open(&model, disk);
    uint64_t most = 0;
    for (int i = 0; i < 200; i++) {
        assert_int_equal(model_commit(&model, wal, NULL), STATUS_OK);
        assert_int_equal(model_sync(&model, wal, NULL), STATUS_OK);
        model.replay_from = wal_position(wal);
        assert_int_equal(wal_release(wal, model.replay_from, NULL), STATUS_OK);
        most = sim_disk_used(disk) > most ? sim_disk_used(disk) : most;
    }
    struct wal_stats stats;
    wal_stats(wal, &stats);
    assert_int_equal(stats.frames, 200);
    assert_true(stats.bytes > 15 * WAL_SEGMENT_SIZE_MIN);
    assert_true(stats.spares <= 2);
    assert_true(most <= 8 * WAL_SEGMENT_SIZE_MIN);
    wal_close(wal);
    sim_disk_free(disk);
}

static void another_segment_size_holds_from_the_next_segment_on(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct wal_model model;
    model_init(&model, 4, 1);
    for (int i = 0; i < 6; i++) {
        model.segment_size = WAL_SEGMENT_SIZE_MIN * (i % 2 == 0 ? 1 : 3);
        struct wal *wal = must_open(&model, disk);
        assert_int_equal(wal_prepare(wal, NULL), STATUS_OK);
        for (int j = 0; j < 12; j++)
            assert_int_equal(model_commit(&model, wal, NULL), STATUS_OK);
        assert_int_equal(model_sync(&model, wal, NULL), STATUS_OK);
        wal_close(wal);
    }
    sim_disk_free(disk);
}

static void closing_and_opening_again_adds_nothing(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct wal_model model;
    model_init(&model, 4, 0);
    struct wal *wal = must_open(&model, disk);
    assert_int_equal(model_commit(&model, wal, NULL), STATUS_OK);
    wal_close(wal);
    wal = must_open(&model, disk);
    uint64_t position = wal_position(wal);
    for (int i = 0; i < 3; i++) {
        wal_close(wal);
        wal = must_open(&model, disk);
        assert_true(wal_position(wal) == position);
    }
    wal_close(wal);
    sim_disk_free(disk);
}

static void a_prepared_segment_spares_the_commit_the_work(void **state)
{
    (void)state;
    struct sim_disk *disk = sim_disk_new(1);
    struct wal_model model;
    model_init(&model, 1, 0);
    struct wal *wal = must_open(&model, disk);
    uint64_t segment = wal_lsn_segment(wal_position(wal));
    while (wal_lsn_segment(wal_position(wal)) == segment) {
        assert_int_equal(wal_prepare(wal, NULL), STATUS_OK);
        uint64_t calls = sim_disk_calls(disk);
        assert_int_equal(wal_prepare(wal, NULL), STATUS_OK);
        assert_int_equal(sim_disk_calls(disk), calls);
        uint64_t lsn;
        assert_int_equal(model_write(&model, wal, model.next_number++, 0, &lsn, NULL), STATUS_OK);
        assert_true(sim_disk_calls(disk) - calls <= 2); /* one write a segment */
    }
    wal_close(wal);
    sim_disk_free(disk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_call_may_fail_once_or_thrice_and_nothing_synced_is_lost),
        cmocka_unit_test(a_failed_sync_is_never_tried_again_and_breaks_every_call),
        cmocka_unit_test(an_abandoned_frame_never_completes_the_one_that_takes_its_place),
        cmocka_unit_test(a_full_disk_refuses_commits_until_there_is_room_again),
        cmocka_unit_test(released_segments_are_used_again_and_the_rest_is_removed),
        cmocka_unit_test(another_segment_size_holds_from_the_next_segment_on),
        cmocka_unit_test(closing_and_opening_again_adds_nothing),
        cmocka_unit_test(a_prepared_segment_spares_the_commit_the_work),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The log on real files; its crashes and faults are tested in tests/sim. */
#include "../../test.h"

#include "storage/engine/wal.h"

#include "golden.h"

#include <stdatomic.h>

struct place {
    char dir[64];
    char wal[96];
    struct wal_options options;
};

static enum status remove_name(void *context, const char *name, bool is_directory,
                               struct error *err)
{
    (void)err, (void)is_directory;
    char path[512];
    snprintf(path, sizeof path, "%s/%s", (const char *)context, name);
    return filesystem_remove(filesystem_posix(), path, NULL);
}

static int set_up(void **state)
{
    struct place *place = calloc(1, sizeof *place);
    assert_non_null(place);
    strcpy(place->dir, "/tmp/metric-store-wal-test-XXXXXX");
    assert_non_null(mkdtemp(place->dir));
    snprintf(place->wal, sizeof place->wal, "%s/wal", place->dir);
    place->options = (struct wal_options){
        .os = os_system(),
        .dir = place->wal,
        .segment_size = WAL_SEGMENT_SIZE_MIN,
        .frame_max = 1 << 20,
        .spares = 2,
    };
    *state = place;
    return 0;
}

static int tear_down(void **state)
{
    struct place *place = *state;
    struct filesystem *fs = filesystem_posix();
    enum status status = filesystem_list(fs, place->wal, remove_name, place->wal, NULL);
    if (status != STATUS_NOT_FOUND) {
        assert_int_equal(status, STATUS_OK);
        assert_int_equal(filesystem_remove_directory(fs, place->wal, NULL), STATUS_OK);
    }
    assert_int_equal(filesystem_remove_directory(fs, place->dir, NULL), STATUS_OK);
    free(place);
    return 0;
}

struct replayed {
    unsigned records;
    uint64_t bytes;
    uint64_t last_lsn;
    uint8_t last_type;
    char last[64];
    enum status answer;
};

static enum status remember(void *context, struct slice record, uint8_t type, uint64_t lsn,
                            struct error *err)
{
    struct replayed *replayed = context;
    replayed->records++;
    replayed->bytes += record.size;
    replayed->last_lsn = lsn;
    replayed->last_type = type;
    snprintf(replayed->last, sizeof replayed->last, "%.*s", SLICE_FORMAT(record));
    if (replayed->answer != STATUS_OK)
        return fail(err, replayed->answer, "told to");
    return STATUS_OK;
}

static struct wal *must_open(struct place *place, uint64_t from, struct replayed *replayed)
{
    struct wal *wal = NULL;
    struct error err;
    *replayed = (struct replayed){.records = 0};
    if (wal_open(&wal, &place->options, from, remember, NULL, replayed, &err) != STATUS_OK)
        test_fail("%s", err.message);
    return wal;
}

static uint64_t must_commit(struct wal *wal, uint8_t type, const char *text)
{
    uint64_t lsn = 0;
    assert_int_equal(wal_begin(wal, NULL), STATUS_OK);
    assert_int_equal(wal_put(wal, type, slice_from_text(text), slice_of(NULL, 0), NULL), STATUS_OK);
    assert_int_equal(wal_commit(wal, &lsn, NULL), STATUS_OK);
    return lsn;
}

static void a_closed_log_gives_back_what_was_put_from_any_position_on(void **state)
{
    struct place *place = *state;
    struct replayed replayed;
    struct wal *wal = must_open(place, 0, &replayed);
    assert_int_equal(replayed.records, 0);
    uint64_t first = must_commit(wal, 1, "one");
    uint64_t second = must_commit(wal, 2, "two");
    assert_true(first < second && wal_position(wal) == second);
    wal_close(wal);

    wal = must_open(place, 0, &replayed);
    assert_int_equal(replayed.records, 2);
    assert_string_equal(replayed.last, "two");
    assert_int_equal(replayed.last_type, 2);
    assert_true(replayed.last_lsn == second);
    wal_close(wal);
    wal = must_open(place, first, &replayed);
    assert_int_equal(replayed.records, 1);
    wal_close(wal);
    wal = must_open(place, second, &replayed);
    assert_int_equal(replayed.records, 0);
    wal_close(wal);
}

static void records_may_be_empty_or_a_mebibyte_but_not_more(void **state)
{
    struct place *place = *state;
    place->options.frame_max = 4 << 20;
    struct replayed replayed;
    struct wal *wal = must_open(place, 0, &replayed);
    uint8_t *large = calloc(1, WAL_RECORD_MAX + 1);
    assert_non_null(large);
    uint64_t lsn = 0;
    assert_int_equal(wal_begin(wal, NULL), STATUS_OK);
    assert_int_equal(wal_put(wal, 1, slice_of(NULL, 0), slice_of(NULL, 0), NULL), STATUS_OK);
    assert_int_equal(wal_put(wal, 2, slice_of(large, 1), slice_of(large, WAL_RECORD_MAX - 1), NULL),
                     STATUS_OK);
    assert_int_equal(wal_commit(wal, &lsn, NULL), STATUS_OK);
    assert_int_equal(wal_begin(wal, NULL), STATUS_OK);
    struct error err;
    assert_int_equal(wal_put(wal, 2, slice_of(large, 1), slice_of(large, WAL_RECORD_MAX), &err),
                     STATUS_LIMIT);
    wal_close(wal);
    wal = must_open(place, 0, &replayed);
    assert_int_equal(replayed.records, 2);
    assert_int_equal(replayed.bytes, WAL_RECORD_MAX);
    wal_close(wal);
    free(large);
}

static void a_frame_over_its_limit_is_refused_and_the_next_one_is_not(void **state)
{
    struct place *place = *state;
    place->options.frame_max = WAL_SEGMENT_SIZE_MIN;
    struct replayed replayed;
    struct wal *wal = must_open(place, 0, &replayed);
    uint8_t bytes[1000] = {0};
    struct error err;
    assert_int_equal(wal_begin(wal, NULL), STATUS_OK);
    enum status status = STATUS_OK;
    unsigned put = 0;
    while (status == STATUS_OK && put < 100) {
        status = wal_put(wal, 1, slice_of(bytes, sizeof bytes), slice_of(NULL, 0), &err);
        put++;
    }
    assert_int_equal(status, STATUS_LIMIT);
    assert_true(put > 60);
    assert_non_null(strstr(err.message, "split it"));
    must_commit(wal, 3, "fits");
    wal_close(wal);
    wal = must_open(place, 0, &replayed);
    assert_int_equal(replayed.records, 1);
    wal_close(wal);
}

static void a_frame_that_was_not_committed_is_forgotten(void **state)
{
    struct place *place = *state;
    struct replayed replayed;
    struct wal *wal = must_open(place, 0, &replayed);
    assert_int_equal(wal_begin(wal, NULL), STATUS_OK);
    assert_int_equal(wal_put(wal, 1, slice_from_text("lost"), slice_of(NULL, 0), NULL), STATUS_OK);
    must_commit(wal, 2, "kept");
    wal_close(wal);
    wal = must_open(place, 0, &replayed);
    assert_int_equal(replayed.records, 1);
    assert_string_equal(replayed.last, "kept");
    wal_close(wal);
}

static void what_apply_answers_ends_the_replay(void **state)
{
    struct place *place = *state;
    struct replayed replayed;
    struct wal *wal = must_open(place, 0, &replayed);
    must_commit(wal, 1, "one");
    must_commit(wal, 1, "two");
    wal_close(wal);
    replayed = (struct replayed){.answer = STATUS_MEMORY};
    assert_int_equal(wal_open(&wal, &place->options, 0, remember, NULL, &replayed, NULL),
                     STATUS_MEMORY);
    assert_null(wal);
    assert_int_equal(replayed.records, 1);
}

static void options_out_of_range_are_refused(void **state)
{
    struct place *place = *state;
    struct wal *wal = NULL;
    struct replayed replayed = {.records = 0};
    const uint64_t sizes[] = {0, WAL_SEGMENT_SIZE_MIN - 4096, WAL_SEGMENT_SIZE_MIN + 1,
                              (uint64_t)WAL_SEGMENT_SIZE_MAX + 4096};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        struct wal_options options = place->options;
        options.segment_size = sizes[i];
        assert_int_equal(wal_open(&wal, &options, 0, remember, NULL, &replayed, NULL),
                         STATUS_INVALID);
    }
    struct wal_options options = place->options;
    options.frame_max = (uint64_t)WAL_FRAME_MAX + 1;
    assert_int_equal(wal_open(&wal, &options, 0, remember, NULL, &replayed, NULL), STATUS_INVALID);
    options = place->options;
    options.spares = WAL_SPARES_MAX + 1;
    assert_int_equal(wal_open(&wal, &options, 0, remember, NULL, &replayed, NULL), STATUS_INVALID);
    assert_int_equal(
        wal_open(&wal, &place->options, wal_lsn(1, 4099), remember, NULL, &replayed, NULL),
        STATUS_INVALID);
    options = place->options;
    options.dir = "/nowhere/at/all";
    assert_int_equal(wal_open(&wal, &options, 0, remember, NULL, &replayed, NULL),
                     STATUS_NOT_FOUND);
}

static void statistics_count_what_was_done(void **state)
{
    struct place *place = *state;
    struct replayed replayed;
    struct wal *wal = must_open(place, 0, &replayed);
    struct wal_stats stats;
    uint64_t first = must_commit(wal, 1, "one");
    assert_int_equal(wal_sync(wal, NULL), STATUS_OK);
    assert_int_equal(wal_sync(wal, NULL), STATUS_OK); /* nothing to do: not counted */
    uint64_t second = must_commit(wal, 1, "two");
    wal_stats(wal, &stats);
    assert_int_equal(stats.frames, 2);
    assert_int_equal(stats.records, 2);
    assert_int_equal(stats.bytes, 2 * (40 + 40 + 32));
    assert_int_equal(stats.syncs, 1);
    assert_true(stats.sync_ns_max > 0 && stats.sync_ns_sum == stats.sync_ns_max);
    assert_true(stats.synced_lsn == first && stats.last_lsn == second);
    assert_int_equal(stats.segments, 1);
    wal_close(wal);
    wal = must_open(place, 0, &replayed);
    wal_stats(wal, &stats);
    assert_int_equal(stats.replayed_records, 2);
    assert_int_equal(stats.replayed_frames, 4); /* and the two that mark the clean end */
    assert_int_equal(stats.damages, 0);
    assert_true(stats.torn_lsn == 0 && !stats.broken);
    wal_close(wal);
}

struct entries {
    unsigned kinds[WAL_ENTRY_REST + 1];
    unsigned bad;
    uint64_t end;
};

static enum status count_entry(void *context, const struct wal_entry *entry, struct error *err)
{
    (void)err;
    struct entries *entries = context;
    entries->kinds[entry->kind]++;
    entries->bad += entry->state == WAL_ENTRY_BAD;
    if (entry->kind != WAL_ENTRY_SEGMENT)
        assert_true(entry->lsn == entries->end);
    entries->end = entry->kind == WAL_ENTRY_SEGMENT ? entry->lsn + 4096 : entry->lsn + entry->size;
    return STATUS_OK;
}

static void inspection_shows_every_byte_of_a_segment_once(void **state)
{
    struct place *place = *state;
    struct replayed replayed;
    struct wal *wal = must_open(place, 0, &replayed);
    must_commit(wal, 1, "one");
    must_commit(wal, 2, "two");
    wal_close(wal);
    char path[160];
    snprintf(path, sizeof path, "%s/0000000000000001.wal", place->wal);
    struct entries entries = {.bad = 0};
    assert_int_equal(wal_inspect(place->options.os, path, count_entry, &entries, NULL), STATUS_OK);
    assert_int_equal(entries.kinds[WAL_ENTRY_SEGMENT], 1);
    assert_int_equal(entries.kinds[WAL_ENTRY_BEGIN], 4);
    assert_int_equal(entries.kinds[WAL_ENTRY_RECORD], 3);
    assert_int_equal(entries.kinds[WAL_ENTRY_COMMIT], 4);
    assert_int_equal(entries.kinds[WAL_ENTRY_REST], 1);
    assert_int_equal(entries.bad, 0);
    assert_true(entries.end == wal_lsn(1, WAL_SEGMENT_SIZE_MIN));

    struct file *file = NULL;
    assert_int_equal(filesystem_open(filesystem_posix(), path, FILE_READ_WRITE, &file, NULL),
                     STATUS_OK);
    assert_int_equal(file_write(file, "x", 1, 4096 + 80, NULL), STATUS_OK);
    file_close(file);
    entries = (struct entries){.bad = 0};
    assert_int_equal(wal_inspect(place->options.os, path, count_entry, &entries, NULL), STATUS_OK);
    assert_int_equal(entries.kinds[WAL_ENTRY_GAP], 1);
    assert_int_equal(entries.bad, 1);

    snprintf(path, sizeof path, "%s/other", place->wal);
    assert_int_equal(filesystem_open(filesystem_posix(), path, FILE_CREATE, &file, NULL),
                     STATUS_OK);
    file_close(file);
    struct error err;
    assert_int_equal(wal_inspect(place->options.os, path, count_entry, &entries, &err),
                     STATUS_CORRUPT);
    assert_non_null(strstr(err.message, path));
}

struct helper {
    struct wal *wal;
    atomic_bool stop;
    atomic_uint_least64_t release;
    atomic_uint failures;
};

static void prepare_and_release(void *context)
{
    struct helper *helper = context;
    struct wal_stats stats;
    while (!atomic_load(&helper->stop)) {
        if (wal_prepare(helper->wal, NULL) != STATUS_OK ||
            wal_release(helper->wal, atomic_load(&helper->release), NULL) != STATUS_OK)
            atomic_fetch_add(&helper->failures, 1);
        wal_stats(helper->wal, &stats);
        if (stats.synced_lsn > stats.last_lsn && stats.broken)
            atomic_fetch_add(&helper->failures, 1);
    }
}

static void another_thread_may_prepare_and_release_beside_the_writer(void **state)
{
    struct place *place = *state;
    struct replayed replayed;
    struct helper helper = {.wal = must_open(place, 0, &replayed)};
    struct thread *thread = NULL;
    assert_int_equal(
        threads_start(threads_posix(), "wal-helper", prepare_and_release, &helper, &thread, NULL),
        STATUS_OK);
    char text[4000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    uint64_t before = 0;
    for (int i = 0; i < 300; i++) {
        uint64_t lsn = must_commit(helper.wal, 1, text);
        if (i % 8 == 0) {
            assert_int_equal(wal_sync(helper.wal, NULL), STATUS_OK);
            atomic_store(&helper.release, before);
            before = lsn;
        }
    }
    atomic_store(&helper.stop, true);
    threads_join(threads_posix(), thread);
    assert_int_equal(atomic_load(&helper.failures), 0);
    struct wal_stats stats;
    wal_stats(helper.wal, &stats);
    assert_true(stats.segments + stats.spares <= 8);
    wal_close(helper.wal);
    uint64_t from = atomic_load(&helper.release);
    struct wal *wal = must_open(place, from, &replayed);
    assert_true(replayed.records >= 8 && replayed.records < 100);
    wal_close(wal);
}

#define GOLDEN_LOG "wal-v1/0000000000000001.wal"

/* Writes the golden log anew when it is asked to. */
static void write_golden_log(struct place *place)
{
    struct replayed replayed;
    struct wal *wal = must_open(place, 0, &replayed);
    must_commit(wal, 1, "one");
    assert_int_equal(wal_begin(wal, NULL), STATUS_OK);
    for (uint8_t type = 2; type < 40; type++)
        assert_int_equal(
            wal_put(wal, type, slice_from_text("of a frame"), slice_from_text(" of 38"), NULL),
            STATUS_OK);
    assert_int_equal(wal_commit(wal, &(uint64_t){0}, NULL), STATUS_OK);
    must_commit(wal, 40, "the last");
    wal_close(wal);
    char path[160];
    struct bytes file;
    bytes_init(&file, 1 << 20);
    snprintf(path, sizeof path, "%s/0000000000000001.wal", place->wal);
    assert_int_equal(filesystem_read_all(filesystem_posix(), path, &file, NULL), STATUS_OK);
    golden_write(GOLDEN_LOG, bytes_slice(&file));
    bytes_release(&file);
    assert_int_equal(filesystem_remove(filesystem_posix(), path, NULL), STATUS_OK);
}

static void a_log_of_version_1_is_replayed_as_it_was_written(void **state)
{
    struct place *place = *state;
    write_golden_log(place);
    struct bytes golden;
    bytes_init(&golden, 1 << 20);
    golden_read(GOLDEN_LOG, &golden);
    char path[160];
    struct file *file;
    snprintf(path, sizeof path, "%s/0000000000000001.wal", place->wal);
    assert_int_equal(filesystem_open(filesystem_posix(), path, FILE_CREATE_NEW, &file, NULL),
                     STATUS_OK);
    assert_int_equal(file_write(file, golden.data, golden.size, 0, NULL), STATUS_OK);
    file_close(file);
    bytes_release(&golden);
    struct replayed replayed;
    struct wal *wal = must_open(place, 0, &replayed);
    assert_int_equal(replayed.records, 40);
    assert_int_equal(replayed.bytes, strlen("one") + 38 * strlen("of a frame of 38") + 8);
    assert_int_equal(replayed.last_type, 40);
    assert_string_equal(replayed.last, "the last");
    uint64_t lsn = must_commit(wal, 7, "more");
    wal_close(wal);
    wal = must_open(place, 0, &replayed);
    assert_int_equal(replayed.records, 41);
    assert_true(replayed.last_lsn == lsn);
    wal_close(wal);
}

#define in_place(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        in_place(a_closed_log_gives_back_what_was_put_from_any_position_on),
        in_place(a_log_of_version_1_is_replayed_as_it_was_written),
        in_place(records_may_be_empty_or_a_mebibyte_but_not_more),
        in_place(a_frame_over_its_limit_is_refused_and_the_next_one_is_not),
        in_place(a_frame_that_was_not_committed_is_forgotten),
        in_place(what_apply_answers_ends_the_replay),
        in_place(options_out_of_range_are_refused),
        in_place(statistics_count_what_was_done),
        in_place(inspection_shows_every_byte_of_a_segment_once),
        in_place(another_thread_may_prepare_and_release_beside_the_writer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Parts as they are written, read, copied and looked into; and a disk that does not take them. */
#include "../../test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/invariant.h"
#include "os/thread.h"
#include "part_fixture.h"
#include "random_series.h"

static void what_was_written_is_walked_in_order_with_exact_summaries(void **state)
{
    const struct part_files *files = *state;
    static struct part_model model;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        part_model_make(&model, seed, seed == 1 ? 1 : PART_MODEL_MAX_SERIES, seed == 4 ? 6 : 3000);
        struct part_totals totals;
        part_model_write(&model, files->path, 77, &totals);
        struct part *part = part_fixture_open(files->path);
        assert_null(part_damage(part));
        assert_int_equal(part_identity(part)->id, 77);
        assert_int_equal(part_identity(part)->level, 1);
        struct part_cursor *cursor;
        struct error err;
        part_ok(part_cursor_new(&cursor, part, &err), &err);
        part_cursor_seek(cursor, 0, 0);
        size_t blocks = 0, samples = 0;
        for (size_t i = 0; i < model.count; i++) {
            blocks += part_model_check_series(cursor, &model.series[i]);
            samples += model.series[i].count;
        }
        const struct part_block *block;
        struct part_loss lost;
        assert_int_equal(part_cursor_next(cursor, &block, &lost, &err), STATUS_END);
        assert_int_equal(part_cursor_next(cursor, &block, &lost, &err), STATUS_END);
        assert_int_equal(totals.blocks, blocks);
        assert_int_equal(totals.samples, samples);
        assert_int_equal(totals.series, model.count);
        assert_memory_equal(&totals, part_totals(part), sizeof totals);
        struct stat info;
        assert_int_equal(stat(files->path, &info), 0);
        assert_int_equal(info.st_size, totals.bytes);
        part_cursor_free(cursor);
        part_close(part);
        part_model_release(&model);
    }
}

static void any_series_is_found_and_one_that_is_not_there_is_not(void **state)
{
    const struct part_files *files = *state;
    static struct part_model model;
    part_model_make(&model, 10, PART_MODEL_MAX_SERIES, 2500);
    struct part_totals totals;
    part_model_write(&model, files->path, 1, &totals);
    struct part *part = part_fixture_open(files->path);
    assert_true(totals.pages > 2);
    struct part_cursor *cursor;
    struct error err;
    struct part_loss lost;
    const struct part_block *block;
    part_ok(part_cursor_new(&cursor, part, &err), &err);
    struct dice dice = {11};
    for (int round = 0; round < 2000; round++) {
        size_t i = dice_below(&dice, model.count);
        const struct part_model_series *series = &model.series[i];
        part_cursor_find(cursor, series->metric, series->id);
        part_model_check_series(cursor, series);
        assert_int_equal(part_cursor_next(cursor, &block, &lost, &err), STATUS_END);
        bool taken = i + 1 < model.count && model.series[i + 1].metric == series->metric &&
                     model.series[i + 1].id == series->id + 1;
        part_cursor_find(cursor, series->metric, series->id + 1);
        if (!taken)
            assert_int_equal(part_cursor_next(cursor, &block, &lost, &err), STATUS_END);
        part_cursor_seek(cursor, series->metric, series->id);
        part_model_check_series(cursor, series);
        if (i + 1 < model.count)
            part_model_check_series(cursor, &model.series[i + 1]);
    }
    part_cursor_find(cursor, UINT32_MAX, UINT32_MAX);
    assert_int_equal(part_cursor_next(cursor, &block, &lost, &err), STATUS_END);
    part_cursor_free(cursor);
    part_close(part);
    part_model_release(&model);
}

struct reading_thread {
    struct part *part;
    const struct part_model *model;
};

/* part_model_check_series has memory of its own for one thread only; here every thread has its
 * cursor's. */
static void read_everything(void *context)
{
    const struct reading_thread *thread = context;
    struct part_cursor *cursor;
    int64_t times[PART_BLOCK_COUNT];
    double values[PART_BLOCK_COUNT];
    invariant(part_cursor_new(&cursor, thread->part, NULL) == STATUS_OK);
    for (size_t i = 0; i < thread->model->count; i++) {
        const struct part_model_series *series = &thread->model->series[i];
        const struct part_block *block;
        struct part_loss lost;
        part_cursor_find(cursor, series->metric, series->id);
        size_t at = 0;
        while (part_cursor_next(cursor, &block, &lost, NULL) == STATUS_OK) {
            invariant(part_block_read(cursor, block, 0, block->count, times, values, NULL) ==
                      STATUS_OK);
            invariant(memcmp(values, series->values + at, block->count * sizeof *values) == 0);
            at += block->count;
        }
        invariant(at == series->count);
    }
    part_cursor_free(cursor);
}

static void several_threads_read_one_part_at_once(void **state)
{
    const struct part_files *files = *state;
    enum { THREADS = 4 };
    static struct part_model model;
    part_model_make(&model, 15, 300, 2000);
    struct part_totals totals;
    part_model_write(&model, files->path, 1, &totals);
    struct part *part = part_fixture_open(files->path);
    struct reading_thread context = {.part = part, .model = &model};
    struct thread *threads[THREADS];
    struct error err;
    for (size_t i = 0; i < THREADS; i++)
        part_ok(
            threads_start(threads_posix(), "read", read_everything, &context, &threads[i], &err),
            &err);
    for (size_t i = 0; i < THREADS; i++)
        threads_join(threads_posix(), threads[i]);
    part_close(part);
    part_model_release(&model);
}

static void a_range_gives_exactly_the_samples_within(void **state)
{
    const struct part_files *files = *state;
    static struct part_model model;
    static int64_t times[PART_BLOCK_MAX_COUNT];
    static double values[PART_BLOCK_MAX_COUNT];
    part_model_make(&model, 20, 30, 1024);
    struct part_totals totals;
    part_model_write(&model, files->path, 1, &totals);
    struct part *part = part_fixture_open(files->path);
    struct part_cursor *cursor;
    struct error err;
    part_ok(part_cursor_new(&cursor, part, &err), &err);
    struct dice dice = {21};
    for (size_t i = 0; i < model.count; i++) {
        const struct part_model_series *series = &model.series[i];
        struct part_loss lost;
        const struct part_block *block;
        part_cursor_find(cursor, series->metric, series->id);
        part_ok(part_cursor_next(cursor, &block, &lost, &err), &err);
        for (int round = 0; round < 300; round++) {
            int64_t start =
                series->times[dice_below(&dice, block->count)] + (int64_t)dice_below(&dice, 3) - 1;
            int64_t end =
                series->times[dice_below(&dice, block->count)] + (int64_t)dice_below(&dice, 3) - 1;
            start = round == 0 ? INT64_MIN : start;
            end = round <= 1 ? INT64_MAX : end;
            size_t first = 0, past = 0, count;
            while (first < block->count && series->times[first] < start)
                first++;
            past = first;
            while (past < block->count && series->times[past] < end)
                past++;
            part_ok(part_block_read_range(cursor, block, start, end, times, values, &count, &err),
                    &err);
            assert_int_equal(count, past - first);
            assert_memory_equal(times, series->times + first, count * sizeof *times);
            assert_memory_equal(values, series->values + first, count * sizeof *values);
        }
    }
    part_cursor_free(cursor);
    part_close(part);
    part_model_release(&model);
}

static void blocks_copied_into_another_part_are_the_same_there(void **state)
{
    const struct part_files *files = *state;
    static struct part_model model;
    part_model_make(&model, 30, 300, 3000);
    struct part_totals totals, copied;
    part_model_write(&model, files->path, 1, &totals);
    struct part *part = part_fixture_open(files->path);
    struct part_cursor *cursor;
    struct error err;
    part_ok(part_cursor_new(&cursor, part, &err), &err);
    struct part_writer *writer = part_fixture_writer(files->other_path, 2);
    part_cursor_seek(cursor, 0, 0);
    struct part_loss lost;
    const struct part_block *block;
    static int64_t times[PART_BLOCK_MAX_COUNT];
    static double values[PART_BLOCK_MAX_COUNT];
    while (part_cursor_next(cursor, &block, &lost, &err) == STATUS_OK) {
        if (block->count >= 512) {
            part_ok(part_writer_copy(writer, cursor, block, &err), &err);
            continue;
        }
        part_ok(part_block_read(cursor, block, 0, block->count, times, values, &err), &err);
        part_ok(part_writer_add(writer, block->metric, block->series, PART_KIND_FLOAT, times,
                                values, block->count, &err),
                &err);
    }
    part_ok(part_writer_finish(writer, &copied, &err), &err);
    assert_memory_equal(&totals, &copied, sizeof totals);
    part_cursor_free(cursor);
    part_close(part);

    part = part_fixture_open(files->other_path);
    part_ok(part_cursor_new(&cursor, part, &err), &err);
    part_cursor_seek(cursor, 0, 0);
    for (size_t i = 0; i < model.count; i++)
        part_model_check_series(cursor, &model.series[i]);
    part_cursor_free(cursor);
    part_close(part);
    part_model_release(&model);
}

static void series_of_one_target_share_their_times(void **state)
{
    const struct part_files *files = *state;
    enum { COUNT = 240 };
    int64_t times[COUNT];
    double values[COUNT];
    struct dice dice = {40};
    random_times(&dice, TIMES_JITTER, PART_DAY_START, times, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        values[i] = 1;
    struct part_writer *writer = part_fixture_writer(files->path, 1);
    struct part_totals one, many;
    struct error err;
    part_ok(part_writer_add(writer, 1, 1, PART_KIND_FLOAT, times, values, COUNT, &err), &err);
    part_ok(part_writer_finish(writer, &one, &err), &err);
    writer = part_fixture_writer(files->path, 1);
    for (uint32_t i = 0; i < 200; i++)
        part_ok(part_writer_add(writer, 1, i, PART_KIND_FLOAT, times, values, COUNT, &err), &err);
    part_ok(part_writer_finish(writer, &many, &err), &err);
    assert_true(many.bytes < one.bytes + 200 * 4);
}

static void a_part_without_samples_is_refused_and_removed(void **state)
{
    const struct part_files *files = *state;
    struct part_writer *writer = part_fixture_writer(files->path, 1);
    struct part_totals totals;
    struct error err;
    assert_int_equal(part_writer_finish(writer, &totals, &err), STATUS_INVALID);
    assert_int_not_equal(access(files->path, F_OK), 0);
    writer = part_fixture_writer(files->path, 1);
    part_writer_abort(writer);
    assert_int_not_equal(access(files->path, F_OK), 0);
    part_writer_abort(NULL);
}

static void verify_and_inspect_a_sound_part(void **state)
{
    struct part_files *files = *state;
    static struct part_model model;
    part_model_make(&model, 50, 300, 2000);
    struct part_totals totals;
    part_model_write(&model, files->path, 1, &totals);
    struct part *part = part_fixture_open(files->path);
    struct error err;
    uint64_t found;
    part_ok(part_verify(part, part_damage_names_path, files->path, &found, &err), &err);
    assert_int_equal(found, 0);
    struct bytes text;
    bytes_init(&text, 1 << 24);
    struct detail detail = {.to = &text};
    part_ok(part_inspect(part, true, &detail, &err), &err);
    assert_int_equal(bytes_append(&text, "", 1), STATUS_OK);
    assert_non_null(strstr((const char *)text.data, "day=2026-11-23 sequence=3..9 level=1"));
    bytes_release(&text);
    part_close(part);
    part_model_release(&model);
}

/* ---- a disk that fails ------------------------------------------------------------------ */

/* Passes calls on to the real file system until `left` writes and syncs have been made. */
struct failing_file {
    struct file file;
    struct file *real;
};

static unsigned calls_left;

static enum status failing(struct error *err)
{
    return calls_left-- == 0 ? fail(err, STATUS_NO_SPACE, "no space") : STATUS_OK;
}

static enum status failing_write(struct file *file, const void *from, size_t size, uint64_t offset,
                                 struct error *err)
{
    enum status status = failing(err);
    struct file *real = container_of(file, struct failing_file, file)->real;
    return status == STATUS_OK ? file_write(real, from, size, offset, err) : status;
}

static enum status failing_sync(struct file *file, struct error *err)
{
    enum status status = failing(err);
    struct file *real = container_of(file, struct failing_file, file)->real;
    return status == STATUS_OK ? file_sync(real, err) : status;
}

static void failing_close(struct file *file)
{
    struct failing_file *failing_file = container_of(file, struct failing_file, file);
    file_close(failing_file->real);
    free(failing_file);
}

static enum status failing_open(struct filesystem *fs, const char *name, enum file_mode mode,
                                struct file **file, struct error *err)
{
    (void)fs;
    static const struct file_ops ops = {
        .write = failing_write, .sync = failing_sync, .close = failing_close};
    struct failing_file *made = malloc(sizeof *made);
    made->file.ops = &ops;
    *file = &made->file;
    enum status status = filesystem_open(filesystem_posix(), name, mode, &made->real, err);
    if (status != STATUS_OK)
        free(made);
    return status;
}

static enum status failing_remove(struct filesystem *fs, const char *name, struct error *err)
{
    (void)fs;
    return filesystem_remove(filesystem_posix(), name, err);
}

static enum status write_on(struct filesystem *fs, const char *path, const struct part_model *model,
                            struct part_totals *totals, struct error *err)
{
    struct part_writer_options options = {.identity = {.id = 1, .day = PART_DAY}};
    struct part_writer *writer;
    unlink(path);
    enum status status = part_writer_open(&writer, fs, path, &options, err);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; status == STATUS_OK && i < model->count; i++) {
        const struct part_model_series *series = &model->series[i];
        status = part_writer_add(writer, series->metric, series->id, PART_KIND_FLOAT, series->times,
                                 series->values, series->count, err);
    }
    if (status == STATUS_OK)
        return part_writer_finish(writer, totals, err);
    part_writer_abort(writer);
    return status;
}

static void a_write_or_sync_that_fails_leaves_no_file(void **state)
{
    const struct part_files *files = *state;
    static const struct filesystem_ops ops = {.open = failing_open, .remove = failing_remove};
    struct filesystem fs = {.ops = &ops};
    static struct part_model model;
    part_model_make(&model, 90, 400, 800);
    struct part_totals totals;
    struct error err;
    unsigned failures = 0;
    for (;; failures++) {
        calls_left = failures;
        enum status status = write_on(&fs, files->path, &model, &totals, &err);
        if (status == STATUS_OK)
            break;
        assert_int_equal(status, STATUS_NO_SPACE);
        assert_int_not_equal(access(files->path, F_OK), 0);
    }
    assert_true(failures > 5);
    assert_int_equal(part_model_lost(files->path, &model), 0);
    part_model_release(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_walked_in_order_with_exact_summaries),
        cmocka_unit_test(any_series_is_found_and_one_that_is_not_there_is_not),
        cmocka_unit_test(several_threads_read_one_part_at_once),
        cmocka_unit_test(a_range_gives_exactly_the_samples_within),
        cmocka_unit_test(blocks_copied_into_another_part_are_the_same_there),
        cmocka_unit_test(series_of_one_target_share_their_times),
        cmocka_unit_test(a_part_without_samples_is_refused_and_removed),
        cmocka_unit_test(verify_and_inspect_a_sound_part),
        cmocka_unit_test(a_write_or_sync_that_fails_leaves_no_file),
    };
    return cmocka_run_group_tests(tests, part_fixture_set_up, part_fixture_tear_down);
}

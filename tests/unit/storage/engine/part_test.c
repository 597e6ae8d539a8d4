#include "../../test.h"

#include <sys/stat.h>
#include <unistd.h>

#include "base/invariant.h"
#include "base/times.h"
#include "os/thread.h"
#include "random_series.h"
#include "storage/engine/part_page.h"
#include "storage/engine/part_reader.h"
#include "storage/engine/part_writer.h"

enum { DAY = 20780, MAX_SERIES = 700 };
#define DAY_START ((int64_t)DAY * MS_PER_DAY)

static char directory[] = "/tmp/part_test_XXXXXX";
static char path[64];
static char other_path[64];

struct model_series {
    uint32_t metric, id;
    size_t count;
    int64_t *times;
    double *values;
};

struct model {
    struct model_series series[MAX_SERIES];
    size_t count;
};

static int set_up(void **state)
{
    (void)state;
    if (mkdtemp(directory) == NULL)
        return -1;
    snprintf(path, sizeof path, "%s/a.part", directory);
    snprintf(other_path, sizeof other_path, "%s/b.part", directory);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    unlink(path);
    unlink(other_path);
    return rmdir(directory);
}

static void ok(enum status status, const struct error *err)
{
    if (status != STATUS_OK)
        test_fail("%s: %s", status_name(status), err->message);
}

static struct part_writer *open_writer(const char *name, uint64_t id)
{
    unlink(name);
    struct part_writer_options options = {
        .identity = {.id = id, .day = DAY, .min_sequence = 3, .max_sequence = 9, .level = 1},
        .hash_seed = 99};
    struct part_writer *writer;
    struct error err;
    ok(part_writer_open(&writer, filesystem_posix(), name, &options, &err), &err);
    return writer;
}

static struct part *open_part(const char *name)
{
    struct part *part;
    struct error err;
    ok(part_open(&part, filesystem_posix(), name, &err), &err);
    return part;
}

static void make_model(struct model *model, uint64_t seed, size_t series, size_t max_samples)
{
    struct dice dice = {seed};
    model->count = series;
    uint32_t metric = 0, id = 0;
    for (size_t i = 0; i < series; i++) {
        struct model_series *one = &model->series[i];
        if (dice_below(&dice, 10) == 0) {
            metric += 1 + (uint32_t)dice_below(&dice, 3);
            id = (uint32_t)dice_below(&dice, 50);
        } else {
            id += 1 + (uint32_t)dice_below(&dice, 100);
        }
        one->metric = metric;
        one->id = id;
        one->count = 1 + dice_below(&dice, max_samples);
        one->times = malloc(one->count * sizeof *one->times);
        one->values = malloc(one->count * sizeof *one->values);
        /* Few targets, so that times are shared; and sometimes times of its own. */
        uint64_t target = dice_below(&dice, 5);
        struct dice times_dice = {target < 4 ? target + 1000 : dice_roll(&dice)};
        enum time_kind kind = (enum time_kind)(target % TIMES_KINDS);
        if (kind == TIMES_IRREGULAR && one->count > 800)
            kind = TIMES_JITTER;
        random_times(&times_dice, kind, DAY_START + (int64_t)dice_below(&times_dice, 1000),
                     one->times, one->count);
        while (one->times[one->count - 1] >= DAY_START + MS_PER_DAY)
            one->count--;
        random_values(&dice, (enum value_kind)dice_below(&dice, VALUES_KINDS), one->values,
                      one->count);
    }
}

static void release_model(struct model *model)
{
    for (size_t i = 0; i < model->count; i++) {
        free(model->series[i].times);
        free(model->series[i].values);
    }
}

static void write_model(const struct model *model, const char *name, uint64_t id,
                        struct part_totals *totals)
{
    struct part_writer *writer = open_writer(name, id);
    struct error err;
    struct dice dice = {5};
    for (size_t i = 0; i < model->count; i++) {
        const struct model_series *series = &model->series[i];
        for (size_t at = 0; at < series->count;) {
            size_t n = 1 + dice_below(&dice, 3000);
            n = n < series->count - at ? n : series->count - at;
            ok(part_writer_add(writer, series->metric, series->id, PART_KIND_FLOAT,
                               series->times + at, series->values + at, n, &err),
               &err);
            at += n;
        }
    }
    ok(part_writer_finish(writer, totals, &err), &err);
}

static void assert_same_summary(const struct summary *a, const struct summary *b)
{
    assert_int_equal(a->count, b->count);
    assert_int_equal(a->stale_count, b->stale_count);
    assert_int_equal(a->nan_count, b->nan_count);
    if (a->count == 0)
        return;
    assert_true(a->first_ms == b->first_ms && a->last_ms == b->last_ms);
    const double fields_a[] = {a->first, a->last,         a->min,     a->max,
                               a->sum,   a->compensation, a->increase};
    const double fields_b[] = {b->first, b->last,         b->min,     b->max,
                               b->sum,   b->compensation, b->increase};
    assert_memory_equal(fields_a, fields_b, sizeof fields_a);
}

/* Reads all blocks of one series from where the cursor stands and compares; returns the blocks. */
static size_t assert_series(struct part_cursor *cursor, const struct model_series *series)
{
    static int64_t times[PART_BLOCK_MAX_COUNT];
    static double values[PART_BLOCK_MAX_COUNT];
    struct error err;
    struct part_loss lost;
    const struct part_block *block;
    size_t blocks = 0;
    for (size_t at = 0; at < series->count; blocks++) {
        ok(part_cursor_next(cursor, &block, &lost, &err), &err);
        assert_int_equal(block->metric, series->metric);
        assert_int_equal(block->series, series->id);
        assert_true(block->count <= series->count - at);
        assert_true(block->first_ms == series->times[at]);
        assert_true(block->last_ms == series->times[at + block->count - 1]);
        struct summary summary;
        summary_init(&summary);
        summary_add(&summary, series->times + at, series->values + at, block->count);
        assert_same_summary(&block->summary, &summary);
        ok(part_block_read(cursor, block, 0, block->count, times, values, &err), &err);
        assert_memory_equal(times, series->times + at, block->count * sizeof *times);
        assert_memory_equal(values, series->values + at, block->count * sizeof *values);
        at += block->count;
    }
    return blocks;
}

static void what_was_written_is_walked_in_order_with_exact_summaries(void **state)
{
    (void)state;
    static struct model model;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        make_model(&model, seed, seed == 1 ? 1 : MAX_SERIES, seed == 4 ? 6 : 3000);
        struct part_totals totals;
        write_model(&model, path, 77, &totals);
        struct part *part = open_part(path);
        assert_null(part_damage(part));
        assert_int_equal(part_identity(part)->id, 77);
        assert_int_equal(part_identity(part)->level, 1);
        struct part_cursor *cursor;
        struct error err;
        ok(part_cursor_new(&cursor, part, &err), &err);
        part_cursor_seek(cursor, 0, 0);
        size_t blocks = 0, samples = 0;
        for (size_t i = 0; i < model.count; i++) {
            blocks += assert_series(cursor, &model.series[i]);
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
        assert_int_equal(stat(path, &info), 0);
        assert_int_equal(info.st_size, totals.bytes);
        part_cursor_free(cursor);
        part_close(part);
        release_model(&model);
    }
}

static void any_series_is_found_and_one_that_is_not_there_is_not(void **state)
{
    (void)state;
    static struct model model;
    make_model(&model, 10, MAX_SERIES, 2500);
    struct part_totals totals;
    write_model(&model, path, 1, &totals);
    struct part *part = open_part(path);
    assert_true(totals.pages > 2);
    struct part_cursor *cursor;
    struct error err;
    struct part_loss lost;
    const struct part_block *block;
    ok(part_cursor_new(&cursor, part, &err), &err);
    struct dice dice = {11};
    for (int round = 0; round < 2000; round++) {
        size_t i = dice_below(&dice, model.count);
        const struct model_series *series = &model.series[i];
        part_cursor_find(cursor, series->metric, series->id);
        assert_series(cursor, series);
        assert_int_equal(part_cursor_next(cursor, &block, &lost, &err), STATUS_END);
        bool taken = i + 1 < model.count && model.series[i + 1].metric == series->metric &&
                     model.series[i + 1].id == series->id + 1;
        part_cursor_find(cursor, series->metric, series->id + 1);
        if (!taken)
            assert_int_equal(part_cursor_next(cursor, &block, &lost, &err), STATUS_END);
        part_cursor_seek(cursor, series->metric, series->id);
        assert_series(cursor, series);
        if (i + 1 < model.count)
            assert_series(cursor, &model.series[i + 1]);
    }
    part_cursor_find(cursor, UINT32_MAX, UINT32_MAX);
    assert_int_equal(part_cursor_next(cursor, &block, &lost, &err), STATUS_END);
    part_cursor_free(cursor);
    part_close(part);
    release_model(&model);
}

struct reading_thread {
    struct part *part;
    const struct model *model;
};

/* assert_series has memory of its own for one thread only; here every thread has its cursor's. */
static void read_everything(void *context)
{
    const struct reading_thread *thread = context;
    struct part_cursor *cursor;
    int64_t times[PART_BLOCK_COUNT];
    double values[PART_BLOCK_COUNT];
    invariant(part_cursor_new(&cursor, thread->part, NULL) == STATUS_OK);
    for (size_t i = 0; i < thread->model->count; i++) {
        const struct model_series *series = &thread->model->series[i];
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
    (void)state;
    enum { THREADS = 4 };
    static struct model model;
    make_model(&model, 15, 300, 2000);
    struct part_totals totals;
    write_model(&model, path, 1, &totals);
    struct part *part = open_part(path);
    struct reading_thread context = {.part = part, .model = &model};
    struct thread *threads[THREADS];
    struct error err;
    for (size_t i = 0; i < THREADS; i++)
        ok(threads_start(threads_posix(), "read", read_everything, &context, &threads[i], &err),
           &err);
    for (size_t i = 0; i < THREADS; i++)
        threads_join(threads_posix(), threads[i]);
    part_close(part);
    release_model(&model);
}

static void a_range_gives_exactly_the_samples_within(void **state)
{
    (void)state;
    static struct model model;
    static int64_t times[PART_BLOCK_MAX_COUNT];
    static double values[PART_BLOCK_MAX_COUNT];
    make_model(&model, 20, 30, 1024);
    struct part_totals totals;
    write_model(&model, path, 1, &totals);
    struct part *part = open_part(path);
    struct part_cursor *cursor;
    struct error err;
    ok(part_cursor_new(&cursor, part, &err), &err);
    struct dice dice = {21};
    for (size_t i = 0; i < model.count; i++) {
        const struct model_series *series = &model.series[i];
        struct part_loss lost;
        const struct part_block *block;
        part_cursor_find(cursor, series->metric, series->id);
        ok(part_cursor_next(cursor, &block, &lost, &err), &err);
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
            ok(part_block_read_range(cursor, block, start, end, times, values, &count, &err), &err);
            assert_int_equal(count, past - first);
            assert_memory_equal(times, series->times + first, count * sizeof *times);
            assert_memory_equal(values, series->values + first, count * sizeof *values);
        }
    }
    part_cursor_free(cursor);
    part_close(part);
    release_model(&model);
}

static void blocks_copied_into_another_part_are_the_same_there(void **state)
{
    (void)state;
    static struct model model;
    make_model(&model, 30, 300, 3000);
    struct part_totals totals, copied;
    write_model(&model, path, 1, &totals);
    struct part *part = open_part(path);
    struct part_cursor *cursor;
    struct error err;
    ok(part_cursor_new(&cursor, part, &err), &err);
    struct part_writer *writer = open_writer(other_path, 2);
    part_cursor_seek(cursor, 0, 0);
    struct part_loss lost;
    const struct part_block *block;
    static int64_t times[PART_BLOCK_MAX_COUNT];
    static double values[PART_BLOCK_MAX_COUNT];
    while (part_cursor_next(cursor, &block, &lost, &err) == STATUS_OK) {
        if (block->count >= 512) {
            ok(part_writer_copy(writer, cursor, block, &err), &err);
            continue;
        }
        ok(part_block_read(cursor, block, 0, block->count, times, values, &err), &err);
        ok(part_writer_add(writer, block->metric, block->series, PART_KIND_FLOAT, times, values,
                           block->count, &err),
           &err);
    }
    ok(part_writer_finish(writer, &copied, &err), &err);
    assert_memory_equal(&totals, &copied, sizeof totals);
    part_cursor_free(cursor);
    part_close(part);

    part = open_part(other_path);
    ok(part_cursor_new(&cursor, part, &err), &err);
    part_cursor_seek(cursor, 0, 0);
    for (size_t i = 0; i < model.count; i++)
        assert_series(cursor, &model.series[i]);
    part_cursor_free(cursor);
    part_close(part);
    release_model(&model);
}

static void series_of_one_target_share_their_times(void **state)
{
    (void)state;
    enum { COUNT = 240 };
    int64_t times[COUNT];
    double values[COUNT];
    struct dice dice = {40};
    random_times(&dice, TIMES_JITTER, DAY_START, times, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        values[i] = 1;
    struct part_writer *writer = open_writer(path, 1);
    struct part_totals one, many;
    struct error err;
    ok(part_writer_add(writer, 1, 1, PART_KIND_FLOAT, times, values, COUNT, &err), &err);
    ok(part_writer_finish(writer, &one, &err), &err);
    writer = open_writer(path, 1);
    for (uint32_t i = 0; i < 200; i++)
        ok(part_writer_add(writer, 1, i, PART_KIND_FLOAT, times, values, COUNT, &err), &err);
    ok(part_writer_finish(writer, &many, &err), &err);
    assert_true(many.bytes < one.bytes + 200 * 4);
}

static void a_part_without_samples_is_refused_and_removed(void **state)
{
    (void)state;
    struct part_writer *writer = open_writer(path, 1);
    struct part_totals totals;
    struct error err;
    assert_int_equal(part_writer_finish(writer, &totals, &err), STATUS_INVALID);
    assert_int_not_equal(access(path, F_OK), 0);
    writer = open_writer(path, 1);
    part_writer_abort(writer);
    assert_int_not_equal(access(path, F_OK), 0);
    part_writer_abort(NULL);
}

static void ignore_damage(void *context, const struct error *err)
{
    assert_int_equal(err->status, STATUS_CORRUPT);
    assert_non_null(strstr(err->message, (const char *)context));
}

static void verify_and_inspect_a_sound_part(void **state)
{
    (void)state;
    static struct model model;
    make_model(&model, 50, 300, 2000);
    struct part_totals totals;
    write_model(&model, path, 1, &totals);
    struct part *part = open_part(path);
    struct error err;
    uint64_t found;
    ok(part_verify(part, ignore_damage, path, &found, &err), &err);
    assert_int_equal(found, 0);
    struct bytes text;
    bytes_init(&text, 1 << 24);
    ok(part_inspect(part, true, &text, &err), &err);
    assert_int_equal(bytes_append(&text, "", 1), STATUS_OK);
    assert_non_null(strstr((const char *)text.data, "day=2026-11-23 sequence=3..9 level=1"));
    bytes_release(&text);
    part_close(part);
    release_model(&model);
}

/* ---- damage ----------------------------------------------------------------------------- */

struct image {
    uint8_t *data;
    size_t size;
};

static struct image read_image(const char *name)
{
    struct stat info;
    assert_int_equal(stat(name, &info), 0);
    struct image image = {malloc((size_t)info.st_size), (size_t)info.st_size};
    FILE *file = fopen(name, "rb");
    assert_int_equal(fread(image.data, 1, image.size, file), image.size);
    fclose(file);
    return image;
}

static void write_image(const char *name, const uint8_t *data, size_t size)
{
    FILE *file = fopen(name, "wb");
    assert_int_equal(fwrite(data, 1, size, file), size);
    fclose(file);
}

/* In place: a file written anew for every bit would be flushed to the disk every time. */
static void flip_bit(const char *name, size_t offset, unsigned bit)
{
    FILE *file = fopen(name, "r+b");
    assert_int_equal(fseek(file, (long)offset, SEEK_SET), 0);
    int byte = fgetc(file);
    assert_int_equal(fseek(file, (long)offset, SEEK_SET), 0);
    assert_int_not_equal(fputc(byte ^ 1 << bit, file), EOF);
    fclose(file);
}

static bool within(const struct part_loss *lost, const struct model_series *series)
{
    return part_compare_keys(lost->first_metric, lost->first_series, series->metric, series->id) <=
               0 &&
           part_compare_keys(series->metric, series->id, lost->last_metric, lost->last_series) <= 0;
}

/* Looks every series up in a part that may be damaged: what comes must be right, and what does not
 * must have been announced as damaged. Returns the samples that were lost. */
static size_t assert_nothing_wrong(const char *name, const struct model *model)
{
    static int64_t times[PART_BLOCK_MAX_COUNT];
    static double values[PART_BLOCK_MAX_COUNT];
    struct part *part;
    struct error err;
    enum status status = part_open(&part, filesystem_posix(), name, &err);
    if (status != STATUS_OK) {
        assert_int_equal(status, STATUS_CORRUPT);
        assert_non_null(strstr(err.message, name));
        return SIZE_MAX;
    }
    size_t missing = 0;
    struct part_cursor *cursor;
    ok(part_cursor_new(&cursor, part, &err), &err);
    for (size_t i = 0; i < model->count; i++) {
        const struct model_series *series = &model->series[i];
        part_cursor_find(cursor, series->metric, series->id);
        size_t at = 0, good = 0;
        bool announced = false;
        const struct part_block *block;
        struct part_loss lost;
        while ((status = part_cursor_next(cursor, &block, &lost, &err)) != STATUS_END) {
            if (status != STATUS_OK) {
                assert_int_equal(status, STATUS_CORRUPT);
                assert_true(within(&lost, series));
                announced = true;
                continue;
            }
            while (at < series->count && series->times[at] < block->first_ms)
                at++;
            assert_true(block->count <= series->count - at);
            struct summary summary;
            summary_init(&summary);
            summary_add(&summary, series->times + at, series->values + at, block->count);
            assert_same_summary(&block->summary, &summary);
            status = part_block_read(cursor, block, 0, block->count, times, values, &err);
            if (status == STATUS_OK) {
                assert_memory_equal(times, series->times + at, block->count * sizeof *times);
                assert_memory_equal(values, series->values + at, block->count * sizeof *values);
                good += block->count;
            } else {
                assert_int_equal(status, STATUS_CORRUPT);
                assert_non_null(strstr(err.message, name));
                announced = true;
            }
            at += block->count;
        }
        assert_true(good == series->count || announced);
        missing += series->count - good;
    }
    part_cursor_free(cursor);
    part_close(part);
    return missing;
}

/* Where what stands behind the pages begins. */
static size_t frame_start(const char *name, const struct part_totals *totals)
{
    uint8_t bytes[PART_TRAILER_SIZE];
    struct part_trailer trailer;
    struct file *file;
    struct error err;
    ok(filesystem_open(filesystem_posix(), name, FILE_READ, &file, &err), &err);
    ok(file_read_exactly(file, bytes, sizeof bytes, totals->bytes - sizeof bytes, &err), &err);
    file_close(file);
    ok(part_trailer_decode(bytes, totals->bytes, &trailer, &err), &err);
    assert_true(trailer.set_size > 0);
    return (size_t)(trailer.index_offset - trailer.set_size);
}

/* A part that may be damaged says of all its series, and of no others, or that it does not know. */
static void assert_right_series(const char *name, const struct model *model)
{
    struct part *part;
    struct error err;
    roaring_bitmap_t *ids;
    if (part_open(&part, filesystem_posix(), name, &err) != STATUS_OK)
        return;
    enum status status = part_series(part, &ids, &err);
    if (status == STATUS_OK) {
        assert_int_equal(roaring_bitmap_get_cardinality(ids), model->count);
        for (size_t i = 0; i < model->count; i++)
            assert_true(roaring_bitmap_contains(ids, model->series[i].id));
        roaring_bitmap_free(ids);
    } else {
        assert_int_equal(status, STATUS_CORRUPT);
    }
    part_close(part);
}

static void small_model(struct model *model)
{
    make_model(model, 60, 40, 60);
}

static uint64_t count_damage(const char *name)
{
    struct part *part;
    struct error err;
    if (part_open(&part, filesystem_posix(), name, &err) != STATUS_OK)
        return 1;
    uint64_t found;
    ok(part_verify(part, ignore_damage, (void *)(uintptr_t)name, &found, &err), &err);
    part_close(part);
    return found;
}

static void a_flipped_bit_in_any_byte_is_detected_and_never_a_wrong_sample(void **state)
{
    (void)state;
    static struct model model;
    small_model(&model);
    struct part_totals totals;
    write_model(&model, path, 1, &totals);
    size_t frame_from = frame_start(path, &totals);
    assert_right_series(path, &model);
    for (size_t i = 0; i < totals.bytes; i++) {
        flip_bit(path, i, i % 8);
        assert_true(count_damage(path) > 0);
        size_t missing = assert_nothing_wrong(path, &model);
        assert_right_series(path, &model);
        /* Header, set, index and trailer stand in for one another. */
        bool frame = i < PART_HEADER_SIZE || i >= frame_from;
        if (frame)
            assert_int_equal(missing, 0);
        else
            assert_true(missing > 0 && missing != SIZE_MAX);
        flip_bit(path, i, i % 8);
    }
    assert_int_equal(count_damage(path), 0);
    release_model(&model);
}

static void a_damaged_block_costs_that_block_alone(void **state)
{
    (void)state;
    enum { COUNT = 100 };
    static struct model model;
    model.count = 10;
    struct dice dice = {70};
    for (uint32_t i = 0; i < 10; i++) {
        struct model_series *series = &model.series[i];
        *series = (struct model_series){.metric = 1, .id = i, .count = COUNT};
        series->times = malloc(COUNT * sizeof *series->times);
        series->values = malloc(COUNT * sizeof *series->values);
        random_times(&dice, TIMES_STEADY, DAY_START, series->times, COUNT);
        random_values(&dice, VALUES_FLOATS, series->values, COUNT);
    }
    struct part_totals totals;
    write_model(&model, path, 1, &totals);
    struct image image = read_image(path);
    image.data[PART_HEADER_SIZE + 1000] ^= 1;
    write_image(other_path, image.data, image.size);
    assert_int_equal(assert_nothing_wrong(other_path, &model), COUNT);
    free(image.data);
    release_model(&model);
}

static void a_file_cut_anywhere_is_detected_and_never_a_wrong_sample(void **state)
{
    (void)state;
    static struct model model;
    small_model(&model);
    struct part_totals totals;
    write_model(&model, path, 1, &totals);
    assert_int_equal(assert_nothing_wrong(path, &model), 0);
    for (size_t size = totals.bytes; size-- > 0;) {
        assert_int_equal(truncate(path, (off_t)size), 0);
        assert_true(count_damage(path) > 0);
        assert_nothing_wrong(path, &model);
    }
    release_model(&model);
}

static void without_trailer_and_index_all_pages_are_found_again(void **state)
{
    (void)state;
    static struct model model;
    make_model(&model, 80, MAX_SERIES, 2000);
    struct part_totals totals;
    write_model(&model, path, 1, &totals);
    assert_true(totals.pages > 3);
    struct image image = read_image(path);
    image.data[image.size - 1] ^= 0x80;
    write_image(other_path, image.data, image.size);
    struct part *part = open_part(other_path);
    assert_non_null(part_damage(part));
    assert_memory_equal(part_totals(part), &totals, sizeof totals);
    part_close(part);
    assert_int_equal(assert_nothing_wrong(other_path, &model), 0);

    /* A damaged page as well: what it held is announced, the others are still there. */
    part = open_part(path);
    struct part_cursor *cursor;
    struct error err;
    ok(part_cursor_new(&cursor, part, &err), &err);
    part_cursor_free(cursor);
    part_close(part);
    size_t middle = image.size / 2;
    while (load_u32(image.data + middle) != PART_PAGE_MAGIC)
        middle++;
    image.data[middle + 30] ^= 1;
    write_image(other_path, image.data, image.size);
    size_t missing = assert_nothing_wrong(other_path, &model);
    assert_true(missing > 0 && missing < totals.samples / 2);
    free(image.data);
    release_model(&model);
}

static void bytes_of_another_place_or_part_are_refused(void **state)
{
    (void)state;
    static struct model model;
    small_model(&model);
    struct part_totals totals;
    write_model(&model, path, 1, &totals);
    write_model(&model, other_path, 2, &totals);
    struct image image = read_image(path);
    struct image other = read_image(other_path);
    assert_int_equal(image.size, other.size);
    /* The same samples, but of another part: sound where they came from, refused here. */
    size_t half = PART_HEADER_SIZE + (image.size - PART_HEADER_SIZE) / 2;
    memcpy(image.data + PART_HEADER_SIZE, other.data + PART_HEADER_SIZE, half - PART_HEADER_SIZE);
    write_image(other_path, image.data, image.size);
    assert_true(count_damage(other_path) > 0);
    assert_nothing_wrong(other_path, &model);
    free(image.data);
    free(other.data);
    release_model(&model);
}

static void time_columns_that_changed_places_are_refused(void **state)
{
    (void)state;
    enum { COUNT = 50 };
    static struct model model;
    model.count = 2;
    for (uint32_t i = 0; i < 2; i++) {
        struct model_series *series = &model.series[i];
        *series = (struct model_series){.metric = 1, .id = i, .count = COUNT};
        series->times = malloc(COUNT * sizeof *series->times);
        series->values = malloc(COUNT * sizeof *series->values);
        for (size_t t = 0; t < COUNT; t++) {
            series->times[t] = DAY_START + (int64_t)t * 1000;
            series->values[t] = (double)t;
        }
        series->times[10 + i] += 1;
    }
    struct part_totals totals;
    write_model(&model, path, 1, &totals);
    struct part *part = open_part(path);
    struct part_cursor *cursor;
    struct error err;
    struct part_loss lost;
    const struct part_block *block;
    uint64_t offsets[2];
    size_t size = 0;
    ok(part_cursor_new(&cursor, part, &err), &err);
    part_cursor_seek(cursor, 0, 0);
    for (size_t i = 0; i < 2; i++) {
        ok(part_cursor_next(cursor, &block, &lost, &err), &err);
        offsets[i] = block->times_offset;
        assert_true(i == 0 || size == block->times_size);
        size = block->times_size;
    }
    part_cursor_free(cursor);
    part_close(part);
    struct image image = read_image(path);
    uint8_t column[256];
    assert_true(size > 0 && size <= sizeof column);
    memcpy(column, image.data + offsets[0], size);
    memmove(image.data + offsets[0], image.data + offsets[1], size);
    memcpy(image.data + offsets[1], column, size);
    write_image(other_path, image.data, image.size);
    assert_int_equal(assert_nothing_wrong(other_path, &model), 2 * COUNT);
    free(image.data);
    release_model(&model);
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

static enum status write_on(struct filesystem *fs, const struct model *model,
                            struct part_totals *totals, struct error *err)
{
    struct part_writer_options options = {.identity = {.id = 1, .day = DAY}};
    struct part_writer *writer;
    unlink(path);
    enum status status = part_writer_open(&writer, fs, path, &options, err);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; status == STATUS_OK && i < model->count; i++) {
        const struct model_series *series = &model->series[i];
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
    (void)state;
    static const struct filesystem_ops ops = {.open = failing_open, .remove = failing_remove};
    struct filesystem fs = {.ops = &ops};
    static struct model model;
    make_model(&model, 90, 400, 800);
    struct part_totals totals;
    struct error err;
    unsigned failures = 0;
    for (;; failures++) {
        calls_left = failures;
        enum status status = write_on(&fs, &model, &totals, &err);
        if (status == STATUS_OK)
            break;
        assert_int_equal(status, STATUS_NO_SPACE);
        assert_int_not_equal(access(path, F_OK), 0);
    }
    assert_true(failures > 5);
    assert_int_equal(assert_nothing_wrong(path, &model), 0);
    release_model(&model);
}

static void a_later_version_is_named_not_guessed(void **state)
{
    (void)state;
    static struct model model;
    small_model(&model);
    struct part_totals totals;
    write_model(&model, path, 1, &totals);
    struct image image = read_image(path);
    store_u32(image.data + 8, 3);
    store_u32(image.data + 48, crc32c(0, image.data, 48));
    write_image(other_path, image.data, image.size);
    struct part *part;
    struct error err;
    assert_int_equal(part_open(&part, filesystem_posix(), other_path, &err), STATUS_UNSUPPORTED);
    assert_non_null(strstr(err.message, "version 3"));
    assert_null(part);
    free(image.data);
    release_model(&model);
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
        cmocka_unit_test(a_flipped_bit_in_any_byte_is_detected_and_never_a_wrong_sample),
        cmocka_unit_test(a_damaged_block_costs_that_block_alone),
        cmocka_unit_test(a_file_cut_anywhere_is_detected_and_never_a_wrong_sample),
        cmocka_unit_test(without_trailer_and_index_all_pages_are_found_again),
        cmocka_unit_test(bytes_of_another_place_or_part_are_refused),
        cmocka_unit_test(time_columns_that_changed_places_are_refused),
        cmocka_unit_test(a_write_or_sync_that_fails_leaves_no_file),
        cmocka_unit_test(a_later_version_is_named_not_guessed),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}

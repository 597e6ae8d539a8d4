#include "part_fixture.h"

#include "../../test.h"

#include <unistd.h>

#include "base/bits.h"
#include "random_series.h"

int part_fixture_set_up(void **state)
{
    struct part_files *files = calloc(1, sizeof *files);
    if (files == NULL)
        return -1;
    memcpy(files->directory, "/tmp/part_test_XXXXXX", sizeof "/tmp/part_test_XXXXXX");
    if (mkdtemp(files->directory) == NULL) {
        free(files);
        return -1;
    }
    snprintf(files->path, sizeof files->path, "%s/a.part", files->directory);
    snprintf(files->other_path, sizeof files->other_path, "%s/b.part", files->directory);
    *state = files;
    return 0;
}

int part_fixture_tear_down(void **state)
{
    struct part_files *files = *state;
    unlink(files->path);
    unlink(files->other_path);
    int result = rmdir(files->directory);
    free(files);
    return result;
}

void part_ok(enum status status, const struct error *err)
{
    if (status != STATUS_OK)
        test_fail("%s: %s", status_name(status), err->message);
}

struct part_writer *part_fixture_writer(const char *name, uint64_t id)
{
    unlink(name);
    struct part_writer_options options = {
        .identity = {.id = id, .day = PART_DAY, .min_sequence = 3, .max_sequence = 9, .level = 1},
        .hash_seed = 99};
    struct part_writer *writer;
    struct error err;
    part_ok(part_writer_open(&writer, filesystem_posix(), name, &options, &err), &err);
    return writer;
}

struct part *part_fixture_open(const char *name)
{
    struct part *part;
    struct error err;
    part_ok(part_open(&part, filesystem_posix(), name, &err), &err);
    return part;
}

void part_damage_names_path(void *context, const struct error *err)
{
    assert_int_equal(err->status, STATUS_CORRUPT);
    assert_non_null(strstr(err->message, (const char *)context));
}

void part_model_make(struct part_model *model, uint64_t seed, size_t series, size_t max_samples)
{
    struct dice dice = {seed};
    model->count = series;
    uint32_t metric = 0, id = 0;
    for (size_t i = 0; i < series; i++) {
        struct part_model_series *one = &model->series[i];
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
        random_times(&times_dice, kind, PART_DAY_START + (int64_t)dice_below(&times_dice, 1000),
                     one->times, one->count);
        while (one->times[one->count - 1] >= PART_DAY_START + MS_PER_DAY)
            one->count--;
        random_values(&dice, (enum value_kind)dice_below(&dice, VALUES_KINDS), one->values,
                      one->count);
    }
}

void part_model_release(struct part_model *model)
{
    for (size_t i = 0; i < model->count; i++) {
        free(model->series[i].times);
        free(model->series[i].values);
    }
}

void part_model_write(const struct part_model *model, const char *name, uint64_t id,
                      struct part_totals *totals)
{
    struct part_writer *writer = part_fixture_writer(name, id);
    struct error err;
    struct dice dice = {5};
    for (size_t i = 0; i < model->count; i++) {
        const struct part_model_series *series = &model->series[i];
        for (size_t at = 0; at < series->count;) {
            size_t n = 1 + dice_below(&dice, 3000);
            n = n < series->count - at ? n : series->count - at;
            part_ok(part_writer_add(writer, series->metric, series->id, PART_KIND_FLOAT,
                                    series->times + at, series->values + at, n, &err),
                    &err);
            at += n;
        }
    }
    part_ok(part_writer_finish(writer, totals, &err), &err);
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

size_t part_model_check_series(struct part_cursor *cursor, const struct part_model_series *series)
{
    static int64_t times[PART_BLOCK_MAX_COUNT];
    static double values[PART_BLOCK_MAX_COUNT];
    struct error err;
    struct part_loss lost;
    const struct part_block *block;
    size_t blocks = 0;
    for (size_t at = 0; at < series->count; blocks++) {
        part_ok(part_cursor_next(cursor, &block, &lost, &err), &err);
        assert_int_equal(block->metric, series->metric);
        assert_int_equal(block->series, series->id);
        assert_true(block->count <= series->count - at);
        assert_true(block->first_ms == series->times[at]);
        assert_true(block->last_ms == series->times[at + block->count - 1]);
        struct summary summary;
        summary_init(&summary);
        summary_add(&summary, series->times + at, series->values + at, block->count);
        assert_same_summary(&block->summary, &summary);
        part_ok(part_block_read(cursor, block, 0, block->count, times, values, &err), &err);
        assert_memory_equal(times, series->times + at, block->count * sizeof *times);
        assert_memory_equal(values, series->values + at, block->count * sizeof *values);
        at += block->count;
    }
    return blocks;
}

static bool within(const struct part_loss *lost, const struct part_model_series *series)
{
    return part_compare_keys(lost->first_metric, lost->first_series, series->metric, series->id) <=
               0 &&
           part_compare_keys(series->metric, series->id, lost->last_metric, lost->last_series) <= 0;
}

size_t part_model_lost(const char *name, const struct part_model *model)
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
    part_ok(part_cursor_new(&cursor, part, &err), &err);
    for (size_t i = 0; i < model->count; i++) {
        const struct part_model_series *series = &model->series[i];
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

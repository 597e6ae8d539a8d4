/*
 * Samples of a head, some at a time: all of them, in order, and without going through them all for
 * each few.
 */
#include "../../pseudo_random.h"
#include "../../test.h"

#include <inttypes.h>

#include "storage/engine/head_first.h"

struct model {
    struct head *head;
    struct cuts cuts; /* none */
    int64_t *times;   /* as written */
    size_t count;
};

static void model_init(struct model *model, size_t count)
{
    *model = (struct model){.count = count, .times = calloc(count, sizeof(int64_t))};
    assert_non_null(model->times);
    assert_int_equal(head_new(&model->head, 64 << 20), STATUS_OK);
}

static void model_release(struct model *model)
{
    head_free(model->head);
    free(model->times);
}

/* The i-th sample written has the value i. */
static void model_write(struct model *model)
{
    enum { BATCH = 1000 };
    uint32_t ids[BATCH] = {0};
    double values[BATCH];
    for (size_t i = 0; i < model->count; i += BATCH) {
        size_t count = model->count - i < BATCH ? model->count - i : BATCH;
        for (size_t j = 0; j < count; j++)
            values[j] = (double)(i + j);
        head_reserve_begin(model->head);
        assert_int_equal(head_reserve(model->head, ids, count), STATUS_OK);
        head_append(model->head, ids, model->times + i, values, count);
    }
}

static void shuffle(struct model *model, uint64_t seed)
{
    for (size_t i = model->count; i > 1; i--) {
        size_t j = random_below(&seed, (uint32_t)i);
        int64_t swap = model->times[i - 1];
        model->times[i - 1] = model->times[j];
        model->times[j] = swap;
    }
}

struct wanted {
    int64_t time_ms;
    size_t place;
};

static int compare_wanted(const void *a, const void *b)
{
    const struct wanted *x = a;
    const struct wanted *y = b;
    if (x->time_ms != y->time_ms)
        return x->time_ms < y->time_ms ? -1 : 1;
    return x->place < y->place ? -1 : 1;
}

/* What is there of the range, of equal times the last written. */
static struct wanted *wanted_of(const struct model *model, struct time_range range, size_t *count)
{
    struct wanted *wanted = calloc(model->count + 1, sizeof wanted[0]);
    assert_non_null(wanted);
    size_t found = 0;
    for (size_t i = 0; i < model->count; i++)
        if (time_range_contains(range, model->times[i]))
            wanted[found++] = (struct wanted){model->times[i], i};
    qsort(wanted, found, sizeof wanted[0], compare_wanted);
    *count = 0;
    for (size_t i = 0; i < found; i++)
        if (i + 1 == found || wanted[i + 1].time_ms != wanted[i].time_ms)
            wanted[(*count)++] = wanted[i];
    return wanted;
}

/* Reads the range, with buckets in so much memory. Gives how many samples were looked at beyond
 * once each, and in how many slices. */
static uint64_t read_slices(const struct model *model, struct time_range range, size_t limit,
                            size_t max_bytes, size_t *slices)
{
    const struct head_series series = {
        .head = model->head, .entry = head_entry(model->head, 0), .cuts = &model->cuts};
    struct head_first first;
    head_first_init(&first, &series, limit);
    size_t bytes = head_first_bytes(&first, max_bytes);
    assert_true(bytes <= max_bytes);
    if (bytes > 0)
        assert_int_equal(head_first_sort_out(&first, range, bytes), STATUS_OK);
    size_t room = head_first_room(&first);
    int64_t *times = calloc(room + 1, sizeof times[0]);
    double *values = calloc(room + 1, sizeof values[0]);
    struct head_sample *scratch = calloc(head_first_scratch(&first) + 1, sizeof scratch[0]);
    assert_true(times != NULL && values != NULL && scratch != NULL);
    size_t expected;
    struct wanted *wanted = wanted_of(model, range, &expected);
    size_t given = 0;
    *slices = 0;
    for (int64_t from = range.start_ms; from < range.end_ms; (*slices)++) {
        struct time_range slice = {from, range.end_ms};
        size_t count = head_first_copy(&first, &slice, scratch, times, values);
        assert_true(count <= limit && slice.end_ms > from && slice.end_ms <= range.end_ms);
        for (size_t i = 0; i < count; i++, given++) {
            assert_true(given < expected && times[i] < slice.end_ms);
            assert_int_equal(times[i], wanted[given].time_ms);
            assert_true(values[i] == (double)wanted[given].place);
        }
        from = slice.end_ms;
    }
    assert_int_equal(given, expected);
    uint64_t again = head_first_again(&first);
    head_first_release(&first);
    free(times);
    free(values);
    free(scratch);
    free(wanted);
    return again;
}

static const struct time_range always = {INT64_MIN, INT64_MAX};

/* 390 slices: one walk each would be 78 million looks. */
static void shuffled_samples_are_walked_as_often_as_memory_needs_not_once_a_slice(void **state)
{
    (void)state;
    enum { COUNT = 200000, LIMIT = 512, BYTES = 128 << 10 };
    struct model model;
    model_init(&model, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        model.times[i] = (int64_t)i * 1000;
    shuffle(&model, 17);
    model_write(&model);
    size_t slices;
    uint64_t again = read_slices(&model, always, LIMIT, BYTES, &slices);
    assert_true(slices >= COUNT / LIMIT && slices < 2 * COUNT / LIMIT);
    /* Two walks, and one for each 16 Ki places or more; some in two slices that share a bucket. */
    if (again > (uint64_t)COUNT * (2 + COUNT / 16384 + 2))
        test_fail("%" PRIu64 " looks more than samples", again);
    uint64_t without = read_slices(&model, always, LIMIT, 0, &slices);
    assert_true(without > 10 * again);
    model_release(&model);
}

static void samples_in_order_are_gone_through_once(void **state)
{
    (void)state;
    enum { COUNT = 200000, LIMIT = 512 };
    struct model model;
    model_init(&model, COUNT);
    for (size_t i = 0; i < COUNT; i++)
        model.times[i] = (int64_t)i * 1000;
    model_write(&model);
    size_t slices;
    uint64_t again = read_slices(&model, always, LIMIT, 1 << 20, &slices);
    assert_int_equal(slices, (COUNT + LIMIT - 1) / LIMIT);
    /* At both ends of a slice a run of up to 63 is shared, and those of the slice are passed. */
    assert_true(again < slices * 200);
    model_release(&model);
}

static void fill(struct model *model, int kind, uint64_t *seed)
{
    for (size_t i = 0; i < model->count; i++) {
        int64_t time_ms = 0; /* kind 0: all at one time */
        if (kind == 1)
            time_ms = (int64_t)random_next(seed);
        else if (kind == 2) /* nearly in order */
            time_ms = (int64_t)i * 1000 - (int64_t)random_below(seed, 20000);
        else if (kind == 3) /* crowded, with a few far away */
            time_ms = random_below(seed, 100) == 0 ? (int64_t)random_next(seed)
                                                   : (int64_t)random_below(seed, 3000);
        else if (kind == 4)
            time_ms = i % 3 == 0 ? INT64_MIN : INT64_MAX - (int64_t)(i % 5);
        model->times[i] = time_ms;
    }
}

static void every_sample_is_given_once_however_the_times_are_spread(void **state)
{
    (void)state;
    static const size_t memories[] = {0, 300, 1000, 10000, 1 << 20};
    uint64_t seed = 4711;
    for (int round = 0; round < 200; round++) {
        struct model model;
        model_init(&model, 1 + random_below(&seed, 5000));
        fill(&model, round % 5, &seed);
        model_write(&model);
        int64_t a = model.times[random_below(&seed, (uint32_t)model.count)];
        int64_t b = model.times[random_below(&seed, (uint32_t)model.count)];
        struct time_range some = {a < b ? a : b, a < b ? b : a};
        for (size_t i = 0; i < sizeof memories / sizeof memories[0]; i++) {
            size_t slices;
            size_t limit = 20 + random_below(&seed, 300);
            (void)read_slices(&model, always, limit, memories[i], &slices);
            (void)read_slices(&model, some, limit, memories[i], &slices);
        }
        model_release(&model);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shuffled_samples_are_walked_as_often_as_memory_needs_not_once_a_slice),
        cmocka_unit_test(samples_in_order_are_gone_through_once),
        cmocka_unit_test(every_sample_is_given_once_however_the_times_are_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

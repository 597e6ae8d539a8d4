#include "../../pseudo_random.h"
#include "../../test.h"

#include "os/thread.h"
#include "storage/engine/head.h"

#include <stdatomic.h>

enum { SERIES = 200, SNAPSHOTS = 300, BATCH_MAX = 400 };

/* What the head should hold: every sample of a series in the order it was written. */
struct model_series {
    struct head_sample *samples;
    size_t count, capacity;
};

struct snapshot {
    uint32_t id;
    size_t count;
    struct head_entry entry;
};

struct model {
    struct head *head;
    uint32_t ids[SERIES];
    struct model_series series[SERIES];
    struct snapshot snapshots[SNAPSHOTS];
    size_t snapshot_count;
    uint64_t random;
};

static void append_all(struct head *head, const uint32_t *ids, const int64_t *times,
                       const double *values, size_t count)
{
    assert_int_equal(head_reserve(head, ids, count), STATUS_OK);
    head_append(head, ids, times, values, count);
}

static void model_add(struct model_series *series, int64_t time_ms, double value)
{
    if (series->count == series->capacity) {
        series->capacity = series->capacity == 0 ? 16 : series->capacity * 2;
        series->samples = realloc(series->samples, series->capacity * sizeof series->samples[0]);
        assert_non_null(series->samples);
    }
    series->samples[series->count++] = (struct head_sample){time_ms, value};
}

static size_t model_copy(const struct head_sample *samples, size_t count, int64_t start_ms,
                         int64_t end_ms, struct head_sample *to)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (samples[i].time_ms < start_ms || samples[i].time_ms >= end_ms)
            continue;
        size_t place = kept;
        while (place > 0 && to[place - 1].time_ms > samples[i].time_ms)
            place--;
        if (place > 0 && to[place - 1].time_ms == samples[i].time_ms) {
            to[place - 1] = samples[i];
            continue;
        }
        memmove(to + place + 1, to + place, (kept - place) * sizeof to[0]);
        to[place] = samples[i];
        kept++;
    }
    return kept;
}

static void check_walk(const struct head *head, struct head_entry entry,
                       const struct head_sample *samples, size_t count)
{
    assert_int_equal(entry.count, count);
    struct head_reader reader;
    head_reader_init(&reader, head, entry);
    size_t seen = 0;
    const struct head_sample *run;
    for (size_t size; (size = head_reader_next(&reader, &run)) > 0; seen += size) {
        assert_true(seen + size <= count);
        assert_memory_equal(run, samples + seen, size * sizeof run[0]);
    }
    assert_int_equal(seen, count);
    assert_int_equal(head_reader_next(&reader, &run), 0);
}

static void check_range(const struct head *head, struct head_entry entry,
                        const struct head_sample *samples, size_t count, int64_t start_ms,
                        int64_t end_ms)
{
    struct head_sample *wanted = malloc((count + 1) * sizeof wanted[0]);
    struct head_sample *scratch = malloc((2 * count + 1) * sizeof scratch[0]);
    int64_t *times = malloc((count + 1) * sizeof times[0]);
    double *values = malloc((count + 1) * sizeof values[0]);
    size_t wanted_count = model_copy(samples, count, start_ms, end_ms, wanted);
    size_t got =
        head_copy(head, entry, start_ms, end_ms, entry.disordered ? scratch : NULL, times, values);
    assert_int_equal(got, wanted_count);
    for (size_t i = 0; i < got; i++) {
        assert_int_equal(times[i], wanted[i].time_ms);
        assert_memory_equal(&values[i], &wanted[i].value, sizeof values[i]);
    }
    free(wanted);
    free(scratch);
    free(times);
    free(values);
}

static bool strictly_rising(const struct head_sample *samples, size_t count)
{
    for (size_t i = 1; i < count; i++)
        if (samples[i].time_ms <= samples[i - 1].time_ms)
            return false;
    return true;
}

static void check_snapshot(struct model *model, const struct snapshot *snapshot)
{
    const struct head_sample *samples = model->series[snapshot->id].samples;
    check_walk(model->head, snapshot->entry, samples, snapshot->count);
    assert_int_equal(snapshot->entry.disordered, !strictly_rising(samples, snapshot->count));
    int64_t a = random_below(&model->random, 5000);
    int64_t b = random_below(&model->random, 5000);
    check_range(model->head, snapshot->entry, samples, snapshot->count, a, b);
    check_range(model->head, snapshot->entry, samples, snapshot->count, INT64_MIN, INT64_MAX);
    check_range(model->head, snapshot->entry, samples, snapshot->count, a, a);
}

static void model_append(struct model *model)
{
    uint32_t ids[BATCH_MAX];
    int64_t times[BATCH_MAX];
    double values[BATCH_MAX];
    size_t count = 1 + random_below(&model->random, BATCH_MAX);
    for (size_t i = 0; i < count; i++) {
        /* A third of the series takes most of the samples, in order; the rest comes as it likes. */
        bool ordered = random_below(&model->random, 4) != 0;
        uint32_t at = random_below(&model->random, ordered ? SERIES / 3 : SERIES);
        ids[i] = model->ids[at];
        const struct model_series *series = &model->series[at];
        times[i] = random_below(&model->random, 5000);
        if (at < SERIES / 3)
            times[i] = series->count == 0 ? 0 : series->samples[series->count - 1].time_ms + 3;
        uint64_t bits = random_next(&model->random);
        memcpy(&values[i], &bits, sizeof bits);
        model_add(&model->series[at], times[i], values[i]);
    }
    append_all(model->head, ids, times, values, count);
}

static void model_init(struct model *model, uint64_t seed)
{
    *model = (struct model){.random = seed};
    assert_int_equal(head_new(&model->head, 64 << 20), STATUS_OK);
    for (uint32_t i = 0; i < SERIES; i++)
        model->ids[i] = i * (1 + random_below(&model->random, 3)) + (i > 150 ? 1000000 * i : 0);
    for (uint32_t i = 1; i < SERIES; i++)
        if (model->ids[i] <= model->ids[i - 1])
            model->ids[i] = model->ids[i - 1] + 1;
}

static void model_release(struct model *model)
{
    head_free(model->head);
    for (size_t i = 0; i < SERIES; i++)
        free(model->series[i].samples);
}

static void check_totals(const struct model *model)
{
    uint64_t total = 0;
    int64_t min_ms = INT64_MAX;
    int64_t max_ms = INT64_MIN;
    uint32_t next = 0;
    for (size_t i = 0; i < SERIES; i++) {
        const struct model_series *series = &model->series[i];
        total += series->count;
        if (series->count > 0) {
            next = head_next_series(model->head, next);
            assert_int_equal(next++, model->ids[i]);
        }
        for (size_t j = 0; j < series->count; j++) {
            min_ms = series->samples[j].time_ms < min_ms ? series->samples[j].time_ms : min_ms;
            max_ms = series->samples[j].time_ms > max_ms ? series->samples[j].time_ms : max_ms;
        }
    }
    assert_int_equal(head_sample_count(model->head), total);
    assert_int_equal(head_min_ms(model->head), min_ms);
    assert_int_equal(head_max_ms(model->head), max_ms);
    assert_int_equal(head_next_series(model->head, next), UINT32_MAX);
}

static void what_a_snapshot_counted_never_changes(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        static struct model model;
        model_init(&model, seed);
        for (int round = 0; round < 100; round++) {
            model_append(&model);
            for (int i = 0; i < 3; i++) {
                uint32_t at = random_below(&model.random, SERIES);
                model.snapshots[model.snapshot_count++] = (struct snapshot){
                    at, model.series[at].count, head_entry(model.head, model.ids[at])};
            }
        }
        for (size_t i = 0; i < model.snapshot_count; i++)
            check_snapshot(&model, &model.snapshots[i]);
        for (uint32_t i = 0; i < SERIES; i++)
            check_snapshot(&model, &(struct snapshot){i, model.series[i].count,
                                                      head_entry(model.head, model.ids[i])});
        check_totals(&model);
        model_release(&model);
    }
}

static void of_equal_times_the_later_write_wins(void **state)
{
    (void)state;
    struct head *head;
    assert_int_equal(head_new(&head, 1 << 20), STATUS_OK);
    append_all(head, (uint32_t[]){7, 7, 7, 7}, (int64_t[]){5, 3, 5, 3}, (double[]){1, 2, 3, 4}, 4);
    struct head_sample scratch[8];
    int64_t times[4];
    double values[4];
    struct head_entry entry = head_entry(head, 7);
    assert_int_equal(head_copy(head, entry, 0, 10, scratch, times, values), 2);
    assert_int_equal(times[0], 3);
    assert_true(values[0] == 4 && values[1] == 3);
    assert_int_equal(head_copy(head, entry, 3, 5, scratch, times, values), 1);
    assert_int_equal(head_copy(head, entry, 6, 9, scratch, times, values), 0);
    head_free(head);
}

static void extreme_times_are_kept(void **state)
{
    (void)state;
    struct head *head;
    assert_int_equal(head_new(&head, 1 << 20), STATUS_OK);
    append_all(head, (uint32_t[]){1, 1, 1}, (int64_t[]){INT64_MIN, 0, INT64_MAX},
               (double[]){1, 2, 3}, 3);
    int64_t times[3];
    double values[3];
    struct head_entry entry = head_entry(head, 1);
    assert_false(entry.disordered);
    /* The end is excluded, so that the last moment of all is outside of any range. */
    assert_int_equal(head_copy(head, entry, INT64_MIN, INT64_MAX, NULL, times, values), 2);
    assert_int_equal(times[0], INT64_MIN);
    assert_int_equal(head_min_ms(head), INT64_MIN);
    assert_int_equal(head_max_ms(head), INT64_MAX);
    head_free(head);
}

static void a_series_without_samples_has_an_empty_entry(void **state)
{
    (void)state;
    struct head *head;
    assert_int_equal(head_new(&head, 1 << 20), STATUS_OK);
    assert_int_equal(head_entry(head, 0).count, 0);
    assert_int_equal(head_entry(head, UINT32_MAX - 2).count, 0);
    assert_int_equal(head_next_series(head, 0), UINT32_MAX);
    append_all(head, (uint32_t[]){300}, (int64_t[]){1}, (double[]){1}, 1);
    assert_int_equal(head_entry(head, 301).count, 0);
    struct head_reader reader;
    const struct head_sample *samples;
    head_reader_init(&reader, head, head_entry(head, 301));
    assert_int_equal(head_reader_next(&reader, &samples), 0);
    head_free(head);
}

static void the_highest_ids_have_pages_too(void **state)
{
    (void)state;
    struct head *head;
    assert_int_equal(head_new(&head, 1 << 20), STATUS_OK);
    uint32_t high = UINT32_MAX - 2;
    append_all(head, (uint32_t[]){high, 0}, (int64_t[]){1, 1}, (double[]){1, 2}, 2);
    assert_int_equal(head_entry(head, high).count, 1);
    assert_int_equal(head_entry(head, 0).count, 1);
    assert_int_equal(head_next_series(head, 0), 0);
    assert_int_equal(head_next_series(head, 1), high);
    assert_int_equal(head_next_series(head, high + 1), UINT32_MAX);
    head_free(head);
}

/* Every series stands at `before` samples; then each gets `more` in one commit of two batches. */
static void fill_and_commit(uint32_t series, uint32_t before, uint32_t more)
{
    struct head *head;
    assert_int_equal(head_new(&head, 1 << 20), STATUS_OK);
    size_t most = (size_t)series * (before > more ? before : more);
    uint32_t *ids = malloc((most + 1) * sizeof ids[0]);
    int64_t *times = malloc((most + 1) * sizeof times[0]);
    double *values = calloc(most + 1, sizeof values[0]);
    for (size_t i = 0; i < most; i++) {
        ids[i] = (uint32_t)(i % series);
        times[i] = (int64_t)(i / series);
    }
    append_all(head, ids, times, values, (size_t)series * before);
    size_t count = (size_t)series * more;
    size_t half = count / 2;
    assert_int_equal(head_reserve(head, ids, half), STATUS_OK);
    assert_int_equal(head_reserve(head, ids + half, count - half), STATUS_OK);
    head_append(head, ids, times, values, half);
    head_append(head, ids + half, times + half, values + half, count - half);
    for (uint32_t id = 0; id < series; id++)
        assert_int_equal(head_entry(head, id).count, before + more);
    free(ids);
    free(times);
    free(values);
    head_free(head);
}

static void what_is_reserved_is_enough_at_every_slab_boundary(void **state)
{
    (void)state;
    /* 40,000 series: their next slabs fill several blocks, so that a sample too few is noticed. */
    const uint32_t before[] = {0, 1, 2, 3, 4, 9, 10, 11, 24, 25, 26, 55, 56, 57, 118, 119, 120};
    const uint32_t more[] = {1, 2, 3, 9, 24};
    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++)
        for (size_t j = 0; j < sizeof more / sizeof more[0]; j++)
            fill_and_commit(before[i] > 4 ? 8000 : 40000, before[i], more[j]);
    fill_and_commit(1, 0, 500000);
    fill_and_commit(1, 1, 500000);
    fill_and_commit(3, 62, 200000);
}

static void what_was_reserved_in_vain_is_given_up(void **state)
{
    (void)state;
    struct head *head;
    assert_int_equal(head_new(&head, 1 << 20), STATUS_OK);
    enum { COUNT = 100000 };
    uint32_t *ids = malloc(COUNT * sizeof ids[0]);
    for (uint32_t i = 0; i < COUNT; i++)
        ids[i] = i;
    for (int i = 0; i < 1000; i++) {
        head_reserve_begin(head);
        assert_int_equal(head_reserve(head, ids, COUNT), STATUS_OK);
    }
    free(ids);
    head_free(head);
}

static void a_commit_beyond_the_tables_is_a_limit_and_changes_nothing(void **state)
{
    (void)state;
    struct head *head;
    assert_int_equal(head_new(&head, 1 << 20), STATUS_OK);
    uint32_t id = 1;
    append_all(head, &id, (int64_t[]){1}, (double[]){1}, 1);
    size_t memory = head_memory(head);
    enum { COUNT = 40 << 20 };
    uint32_t *ids = calloc(COUNT, sizeof ids[0]);
    assert_int_equal(head_reserve(head, ids, COUNT), STATUS_LIMIT);
    assert_int_equal(head_memory(head), memory);
    append_all(head, &id, (int64_t[]){2}, (double[]){1}, 1);
    assert_int_equal(head_entry(head, 1).count, 2);
    free(ids);
    head_free(head);
}

static void memory_follows_what_was_written_and_says_when_the_head_is_full(void **state)
{
    (void)state;
    struct head *head;
    enum { COUNT = 1000, MAX = 4 << 20 };
    assert_int_equal(head_new(&head, MAX), STATUS_OK);
    assert_true(head_memory(head) < 1024);
    static uint32_t ids[COUNT];
    static int64_t times[COUNT];
    static double values[COUNT];
    uint64_t written = 0;
    while (!head_is_full(head)) {
        for (uint32_t i = 0; i < COUNT; i++) {
            ids[i] = i;
            times[i]++;
        }
        append_all(head, ids, times, values, COUNT);
        written += COUNT;
        assert_true(head_memory(head) >= written * sizeof(struct head_sample));
    }
    assert_true(head_memory(head) >= MAX);
    assert_true(head_memory(head) < MAX + (1 << 20));
    /* Slabs grow to 63 samples in 64 units; the last one of each series is half empty at most. */
    assert_true(written * sizeof(struct head_sample) > MAX / 2);
    head_free(head);
}

/* ---- a reader beside the appender --------------------------------------------------------- */

enum { SHARED_SERIES = 50, SHARED_ROUNDS = 2000 };

struct shared {
    struct head *head;
    struct rwlock lock;
    atomic_bool done;
    uint64_t checked;
    bool wrong;
};

/* The n-th sample of every series has time n and value id * 1e6 + n. */
static bool entry_right(const struct head *head, uint32_t id, struct head_entry entry)
{
    struct head_reader reader;
    head_reader_init(&reader, head, entry);
    const struct head_sample *samples;
    int64_t n = 0;
    for (size_t count; (count = head_reader_next(&reader, &samples)) > 0;)
        for (size_t i = 0; i < count; i++, n++)
            if (samples[i].time_ms != n || samples[i].value != id * 1e6 + (double)n)
                return false;
    return n == entry.count && !entry.disordered;
}

static void read_beside(void *context)
{
    struct shared *shared = context;
    uint64_t random = 1;
    bool last = false;
    while (!last) {
        last = atomic_load(&shared->done);
        uint32_t id = random_below(&random, SHARED_SERIES) * 1000;
        rwlock_read(&shared->lock);
        struct head_entry entry = head_entry(shared->head, id);
        rwlock_unlock(&shared->lock);
        if (!entry_right(shared->head, id, entry))
            shared->wrong = true;
        shared->checked += entry.count;
    }
}

static void a_reader_beside_the_appender_sees_what_its_snapshot_counts(void **state)
{
    (void)state;
    struct shared shared = {.wrong = false};
    assert_int_equal(head_new(&shared.head, 64 << 20), STATUS_OK);
    rwlock_init(&shared.lock);
    struct thread *thread;
    struct error err;
    assert_int_equal(threads_start(threads_posix(), "reader", read_beside, &shared, &thread, &err),
                     STATUS_OK);
    uint64_t random = 2;
    int64_t next[SHARED_SERIES] = {0};
    for (int round = 0; round < SHARED_ROUNDS; round++) {
        uint32_t ids[64];
        int64_t times[64];
        double values[64];
        for (int i = 0; i < 64; i++) {
            uint32_t at = random_below(&random, 1 + (uint32_t)round % SHARED_SERIES);
            ids[i] = at * 1000;
            times[i] = next[at]++;
            values[i] = ids[i] * 1e6 + (double)times[i];
        }
        /* As the engine does it: both with readers of entries shut out, who may still walk. */
        rwlock_write(&shared.lock);
        assert_int_equal(head_reserve(shared.head, ids, 64), STATUS_OK);
        head_append(shared.head, ids, times, values, 64);
        rwlock_unlock(&shared.lock);
    }
    atomic_store(&shared.done, true);
    threads_join(threads_posix(), thread);
    assert_false(shared.wrong);
    assert_int_equal(head_sample_count(shared.head), SHARED_ROUNDS * 64);
    rwlock_release(&shared.lock);
    head_free(shared.head);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_snapshot_counted_never_changes),
        cmocka_unit_test(of_equal_times_the_later_write_wins),
        cmocka_unit_test(extreme_times_are_kept),
        cmocka_unit_test(a_series_without_samples_has_an_empty_entry),
        cmocka_unit_test(the_highest_ids_have_pages_too),
        cmocka_unit_test(what_is_reserved_is_enough_at_every_slab_boundary),
        cmocka_unit_test(what_was_reserved_in_vain_is_given_up),
        cmocka_unit_test(a_commit_beyond_the_tables_is_a_limit_and_changes_nothing),
        cmocka_unit_test(memory_follows_what_was_written_and_says_when_the_head_is_full),
        cmocka_unit_test(a_reader_beside_the_appender_sees_what_its_snapshot_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "../test.h"

#include <sched.h>

#include "../pseudo_random.h"
#include "base/invariant.h"
#include "buffer/buffer.h"

enum { PATIENCE_MS = 60000, GROUP_MAX = 256, CALLS_MAX = 4096, SLEEPS_MAX = 256, SCRIPT_MAX = 16 };
#define NS_PER_MS INT64_C(1000000)

/* One batch on its way, and what it was told. */
struct item {
    struct batch batch;
    struct write_entry entry;
    struct fixture *fixture;
    unsigned told; /* how often */
    enum status status;
    char message[ERROR_MESSAGE_SIZE];
    unsigned submit_again; /* from its own done, so many times */
};

/*
 * A tier that only writes down which batches came in which commit, behind a gate that a test may
 * close: then a commit stays inside until it opens. Its clock moves by sleeping and by commits
 * alone.
 */
struct fixture {
    struct tier tier;
    struct clock clock;
    struct random random;
    struct threads threads;
    struct write_buffer_options options;
    struct write_buffer *buffer;

    struct mutex lock; /* of all below */
    struct condition changed;
    bool gate_closed;
    bool inside; /* a commit waits at the gate */

    enum status script[SCRIPT_MAX]; /* of the next commits; then `always` */
    size_t script_size, script_next;
    enum status always;
    const struct batch *poisoned; /* a commit with it is answered `poison` */
    enum status poison;

    size_t calls;
    size_t sizes[CALLS_MAX]; /* batches of each commit */
    const struct batch *log[CALLS_MAX];
    size_t logged;

    int64_t now_ns;
    int64_t commit_ns; /* how long each commit takes */
    int64_t sleeps[SLEEPS_MAX];
    size_t sleep_count;
    uint64_t random_state;

    bool refuse_start;
    struct item *late; /* submitted while the buffer closes */
    enum status late_status;
    struct error late_err;
};

/* ---- the fakes ---- */

static void fixture_wait(struct fixture *fixture, const bool *until)
{
    while (!*until)
        if (!condition_wait_ms(&fixture->changed, &fixture->lock, PATIENCE_MS))
            test_fail("waited for nothing");
}

static enum status commit_result(struct fixture *fixture, struct batch *const *batches,
                                 size_t count)
{
    for (size_t i = 0; i < count && fixture->poisoned != NULL; i++)
        if (batches[i] == fixture->poisoned)
            return fixture->poison;
    if (fixture->script_next < fixture->script_size)
        return fixture->script[fixture->script_next++];
    return fixture->always;
}

static enum status fake_append(struct tier *tier, struct batch *const *batches, size_t count,
                               struct error *err)
{
    struct fixture *fixture = container_of(tier, struct fixture, tier);
    mutex_lock(&fixture->lock);
    invariant(fixture->calls < CALLS_MAX && fixture->logged + count <= CALLS_MAX);
    fixture->sizes[fixture->calls++] = count;
    for (size_t i = 0; i < count; i++)
        fixture->log[fixture->logged++] = batches[i];
    fixture->inside = true;
    condition_broadcast(&fixture->changed);
    while (fixture->gate_closed)
        condition_wait(&fixture->changed, &fixture->lock);
    fixture->inside = false;
    fixture->now_ns += fixture->commit_ns;
    size_t call = fixture->calls;
    enum status status = commit_result(fixture, batches, count);
    mutex_unlock(&fixture->lock);
    return status == STATUS_OK ? STATUS_OK : fail(err, status, "commit %zu failed", call);
}

static const struct tier_ops fake_tier_ops = {.name = "fake", .append = fake_append};

static int64_t fake_monotonic_ns(struct clock *clock)
{
    struct fixture *fixture = container_of(clock, struct fixture, clock);
    mutex_lock(&fixture->lock);
    int64_t now_ns = fixture->now_ns;
    mutex_unlock(&fixture->lock);
    return now_ns;
}

static void fake_sleep_ms(struct clock *clock, int64_t duration_ms)
{
    struct fixture *fixture = container_of(clock, struct fixture, clock);
    mutex_lock(&fixture->lock);
    invariant(fixture->sleep_count < SLEEPS_MAX);
    fixture->sleeps[fixture->sleep_count++] = duration_ms;
    fixture->now_ns += duration_ms * NS_PER_MS;
    mutex_unlock(&fixture->lock);
}

static const struct clock_ops fake_clock_ops = {
    .monotonic_ns = fake_monotonic_ns,
    .sleep_ms = fake_sleep_ms,
};

static void fake_fill(struct random *random, void *to, size_t size)
{
    struct fixture *fixture = container_of(random, struct fixture, random);
    invariant(size == sizeof(uint64_t));
    uint64_t value = random_next(&fixture->random_state);
    memcpy(to, &value, size);
}

static const struct random_ops fake_random_ops = {.fill = fake_fill};

static enum status fake_start(struct threads *threads, const char *name, void (*run)(void *),
                              void *context, struct thread **thread, struct error *err)
{
    struct fixture *fixture = container_of(threads, struct fixture, threads);
    if (fixture->refuse_start)
        return fail(err, STATUS_LIMIT, "no thread left");
    return threads_start(threads_posix(), name, run, context, thread, err);
}

static void gate_set(struct fixture *fixture, bool closed)
{
    mutex_lock(&fixture->lock);
    fixture->gate_closed = closed;
    condition_broadcast(&fixture->changed);
    mutex_unlock(&fixture->lock);
}

/* Called when the buffer has said that it closes, and before it has drained. */
static void fake_join(struct threads *threads, struct thread *thread)
{
    struct fixture *fixture = container_of(threads, struct fixture, threads);
    if (fixture->late != NULL)
        fixture->late_status =
            write_buffer_submit(fixture->buffer, &fixture->late->entry, &fixture->late_err);
    gate_set(fixture, false);
    threads_join(threads_posix(), thread);
}

static const struct threads_ops fake_threads_ops = {.start = fake_start, .join = fake_join};

/* ---- the fixture ---- */

static int fixture_set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_non_null(fixture);
    fixture->tier.ops = &fake_tier_ops;
    fixture->clock.ops = &fake_clock_ops;
    fixture->random.ops = &fake_random_ops;
    fixture->threads.ops = &fake_threads_ops;
    fixture->now_ns = 77 * NS_PER_MS;
    mutex_init(&fixture->lock);
    condition_init(&fixture->changed);
    fixture->options = (struct write_buffer_options){
        .tier = &fixture->tier,
        .os = {.clock = &fixture->clock, .random = &fixture->random, .threads = &fixture->threads},
        .max_bytes = 1000000,
        .max_commit_samples = 1000000,
        .retry_ms = 1000,
    };
    *state = fixture;
    return 0;
}

static int fixture_tear_down(void **state)
{
    struct fixture *fixture = *state;
    write_buffer_close(fixture->buffer);
    condition_release(&fixture->changed);
    mutex_release(&fixture->lock);
    free(fixture);
    return 0;
}

static void buffer_open(struct fixture *fixture)
{
    struct error err = {0};
    assert_int_equal(write_buffer_open(&fixture->buffer, &fixture->options, &err), STATUS_OK);
}

static void buffer_close(struct fixture *fixture)
{
    write_buffer_close(fixture->buffer);
    fixture->buffer = NULL;
}

static void item_done(void *context, enum status status, const struct error *err)
{
    struct item *item = context;
    struct fixture *fixture = item->fixture;
    if (item->submit_again > 0) {
        item->submit_again--;
        enum status again = write_buffer_submit(fixture->buffer, &item->entry, NULL);
        invariant(again == STATUS_OK);
        return;
    }
    mutex_lock(&fixture->lock);
    item->told++;
    item->status = status;
    if (status != STATUS_OK)
        snprintf(item->message, sizeof item->message, "%s", err->message);
    condition_broadcast(&fixture->changed);
    mutex_unlock(&fixture->lock);
}

static struct item *items_new(struct fixture *fixture, size_t count)
{
    struct item *items = calloc(count, sizeof items[0]);
    assert_non_null(items);
    for (size_t i = 0; i < count; i++) {
        items[i].fixture = fixture;
        items[i].batch.sample_count = 1;
        items[i].entry = (struct write_entry){
            .batch = &items[i].batch,
            .bytes = 100,
            .done = item_done,
            .context = &items[i],
        };
    }
    return items;
}

static void item_submit(struct item *item)
{
    struct error err = {0};
    if (write_buffer_submit(item->fixture->buffer, &item->entry, &err) != STATUS_OK)
        test_fail("not taken: %s", err.message);
}

static void item_wait(struct item *item)
{
    struct fixture *fixture = item->fixture;
    mutex_lock(&fixture->lock);
    while (item->told == 0)
        if (!condition_wait_ms(&fixture->changed, &fixture->lock, PATIENCE_MS))
            test_fail("an accepted batch was told nothing");
    mutex_unlock(&fixture->lock);
}

/* Submits and waits; gives what the batch was told. */
static enum status item_commit(struct item *item)
{
    item->told = 0;
    item_submit(item);
    item_wait(item);
    return item->status;
}

/* Makes the committer wait inside the commit of `item` alone, so that what follows queues up. */
static void item_hold(struct item *item)
{
    struct fixture *fixture = item->fixture;
    gate_set(fixture, true);
    item_submit(item);
    mutex_lock(&fixture->lock);
    fixture_wait(fixture, &fixture->inside);
    mutex_unlock(&fixture->lock);
}

/* Opens the gate and waits until `count` items have been told. */
static void items_release(struct item *items, size_t count)
{
    gate_set(items->fixture, false);
    for (size_t i = 0; i < count; i++)
        item_wait(&items[i]);
}

/* Only where the committer has nothing to do. */
static void assert_commits(const struct fixture *fixture, const size_t *sizes, size_t count)
{
    assert_int_equal(fixture->calls, count);
    for (size_t i = 0; i < count; i++)
        if (fixture->sizes[i] != sizes[i])
            test_fail("commit %zu has %zu batches, not %zu", i, fixture->sizes[i], sizes[i]);
}

static void assert_order(const struct fixture *fixture, const struct item *items, size_t count)
{
    assert_int_equal(fixture->logged, count);
    for (size_t i = 0; i < count; i++)
        assert_ptr_equal(fixture->log[i], &items[i].batch);
}

static struct write_buffer_stats stats_of(struct fixture *fixture)
{
    struct write_buffer_stats stats;
    write_buffer_stats(fixture->buffer, &stats);
    return stats;
}

/* ---- group commit ---- */

static void a_lone_batch_waits_for_nobody(void **state)
{
    struct fixture *fixture = *state;
    struct item *item = items_new(fixture, 1);
    item->batch.sample_count = 42;
    buffer_open(fixture);
    assert_int_equal(item_commit(item), STATUS_OK);
    assert_int_equal(fixture->sleep_count, 0);
    struct write_buffer_stats stats = stats_of(fixture);
    assert_int_equal(stats.commits, 1);
    assert_int_equal(stats.batches, 1);
    assert_int_equal(stats.samples, 42);
    assert_int_equal(stats.waiting_batches, 0);
    assert_int_equal(stats.waiting_bytes, 0);
    assert_int_equal(stats.max_bytes, 1000000);
    buffer_close(fixture);
    assert_int_equal(item->told, 1);
    free(item);
}

static void one_commit_takes_all_that_waits_in_order(void **state)
{
    enum { COUNT = 50 };
    struct fixture *fixture = *state;
    struct item *items = items_new(fixture, COUNT);
    buffer_open(fixture);
    item_hold(&items[0]);
    for (size_t i = 1; i < COUNT; i++)
        item_submit(&items[i]);
    struct write_buffer_stats stats = stats_of(fixture);
    assert_int_equal(stats.waiting_batches, COUNT);
    assert_int_equal(stats.waiting_bytes, COUNT * 100);
    items_release(items, COUNT);
    assert_commits(fixture, (const size_t[]){1, COUNT - 1}, 2);
    assert_order(fixture, items, COUNT);
    buffer_close(fixture);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_equal(items[i].told, 1);
        assert_int_equal(items[i].status, STATUS_OK);
    }
    free(items);
}

static void a_commit_is_bounded_in_batches(void **state)
{
    enum { COUNT = 1 + GROUP_MAX + 44 };
    struct fixture *fixture = *state;
    struct item *items = items_new(fixture, COUNT);
    buffer_open(fixture);
    item_hold(&items[0]);
    for (size_t i = 1; i < COUNT; i++)
        item_submit(&items[i]);
    items_release(items, COUNT);
    assert_commits(fixture, (const size_t[]){1, GROUP_MAX, 44}, 3);
    assert_order(fixture, items, COUNT);
    buffer_close(fixture);
    free(items);
}

static void a_commit_is_bounded_in_samples_unless_one_batch_has_more(void **state)
{
    static const size_t samples[] = {1, 4, 6, 1, 25, 10, 9, 2, 0, 8};
    enum { COUNT = sizeof samples / sizeof samples[0] };
    struct fixture *fixture = *state;
    struct item *items = items_new(fixture, COUNT);
    fixture->options.max_commit_samples = 10;
    buffer_open(fixture);
    for (size_t i = 0; i < COUNT; i++)
        items[i].batch.sample_count = samples[i];
    item_hold(&items[0]);
    for (size_t i = 1; i < COUNT; i++)
        item_submit(&items[i]);
    items_release(items, COUNT);
    /* 1 | 4 6 | 1 | 25 | 10 | 9 | 2 0 8 */
    assert_commits(fixture, (const size_t[]){1, 2, 1, 1, 1, 1, 3}, 7);
    assert_order(fixture, items, COUNT);
    buffer_close(fixture);
    free(items);
}

static void a_batch_may_be_submitted_again_from_its_own_done(void **state)
{
    struct fixture *fixture = *state;
    struct item *item = items_new(fixture, 1);
    item->submit_again = 3;
    buffer_open(fixture);
    assert_int_equal(item_commit(item), STATUS_OK);
    assert_commits(fixture, (const size_t[]){1, 1, 1, 1}, 4);
    assert_int_equal(stats_of(fixture).waiting_bytes, 0);
    buffer_close(fixture);
    free(item);
}

/* ---- the bound ---- */

static void a_full_buffer_refuses_to_the_byte_and_names_the_setting(void **state)
{
    struct fixture *fixture = *state;
    struct item *items = items_new(fixture, 4);
    struct error err = {0};
    fixture->options.max_bytes = 1000;
    buffer_open(fixture);
    items[0].entry.bytes = 600; /* being committed counts as well */
    item_hold(&items[0]);
    items[1].entry.bytes = 401;
    assert_int_equal(write_buffer_submit(fixture->buffer, &items[1].entry, &err), STATUS_BUSY);
    assert_string_equal(err.code, "ingest_queue_full");
    assert_non_null(strstr(err.message, "600 bytes of samples wait"));
    assert_non_null(strstr(err.message, "ingest.queue_size allows 1000"));
    items[2].entry.bytes = 400;
    item_submit(&items[2]);
    items[3].entry.bytes = 1;
    assert_int_equal(write_buffer_submit(fixture->buffer, &items[3].entry, &err), STATUS_BUSY);
    assert_int_equal(stats_of(fixture).refused_full, 2);
    gate_set(fixture, false);
    item_wait(&items[2]);
    assert_int_equal(item_commit(&items[1]), STATUS_OK);
    buffer_close(fixture);
    assert_int_equal(items[0].told, 1);
    assert_int_equal(items[3].told, 0);
    assert_int_equal(fixture->logged, 3);
    free(items);
}

static void a_batch_larger_than_the_buffer_passes_when_nothing_else_is_there(void **state)
{
    struct fixture *fixture = *state;
    struct item *items = items_new(fixture, 3);
    struct error err = {0};
    fixture->options.max_bytes = 1000;
    buffer_open(fixture);
    items[1].entry.bytes = SIZE_MAX;
    items[2].entry.bytes = 1;
    item_hold(&items[0]);
    assert_int_equal(write_buffer_submit(fixture->buffer, &items[1].entry, &err), STATUS_BUSY);
    items_release(items, 1);
    item_hold(&items[1]);
    assert_int_equal(write_buffer_submit(fixture->buffer, &items[2].entry, &err), STATUS_BUSY);
    gate_set(fixture, false);
    item_wait(&items[1]);
    assert_int_equal(items[1].status, STATUS_OK);
    assert_int_equal(item_commit(&items[2]), STATUS_OK);
    buffer_close(fixture);
    free(items);
}

/* ---- what fails ---- */

static void transient_failures_are_tried_again_until_one_goes_through(void **state)
{
    static const enum status script[] = {STATUS_BUSY, STATUS_IO, STATUS_BUSY, STATUS_OK};
    struct fixture *fixture = *state;
    struct item *items = items_new(fixture, 2);
    memcpy(fixture->script, script, sizeof script);
    fixture->script_size = sizeof script / sizeof script[0];
    buffer_open(fixture);
    assert_int_equal(item_commit(&items[0]), STATUS_OK);
    assert_commits(fixture, (const size_t[]){1, 1, 1, 1}, 4);
    assert_int_equal(fixture->sleep_count, 3);
    assert_int_equal(stats_of(fixture).retries, 3);
    assert_int_equal(stats_of(fixture).commits, 1);
    assert_int_equal(stats_of(fixture).failed_batches, 0);
    assert_int_equal(item_commit(&items[1]), STATUS_OK);
    assert_int_equal(fixture->sleep_count, 3);
    buffer_close(fixture);
    assert_int_equal(items[0].told, 1);
    free(items);
}

static void the_pause_doubles_up_to_half_a_second_with_jitter(void **state)
{
    enum { FIRST_MS = 10, LONGEST_MS = 500, RETRY_MS = 20000 };
    struct fixture *fixture = *state;
    struct item *item = items_new(fixture, 1);
    bool differs = false;
    fixture->always = STATUS_BUSY;
    fixture->options.retry_ms = RETRY_MS;
    buffer_open(fixture);
    int64_t start_ns = fixture->now_ns;
    assert_int_equal(item_commit(item), STATUS_BUSY);
    int64_t backoff_ms = FIRST_MS;
    for (size_t i = 0; i < fixture->sleep_count; i++) {
        int64_t sleep_ms = fixture->sleeps[i];
        if (sleep_ms < backoff_ms / 2 || sleep_ms > backoff_ms)
            test_fail("pause %zu of %d ms is not within %d and %d ms", i, (int)sleep_ms,
                      (int)backoff_ms / 2, (int)backoff_ms);
        differs = differs || sleep_ms != fixture->sleeps[fixture->sleep_count - 1];
        backoff_ms = backoff_ms * 2 < LONGEST_MS ? backoff_ms * 2 : LONGEST_MS;
    }
    assert_true(differs);
    assert_int_equal(fixture->calls, fixture->sleep_count + 1);
    int64_t tried_ms = (fixture->now_ns - start_ns) / NS_PER_MS;
    assert_true(tried_ms >= RETRY_MS && tried_ms <= RETRY_MS + LONGEST_MS);
    buffer_close(fixture);
    free(item);
}

static void what_stays_broken_is_told_with_its_reason_and_the_next_batch_is_tried(void **state)
{
    struct fixture *fixture = *state;
    struct item *items = items_new(fixture, 2);
    fixture->always = STATUS_IO;
    fixture->options.retry_ms = 0;
    buffer_open(fixture);
    assert_int_equal(item_commit(&items[0]), STATUS_IO);
    assert_string_equal(items[0].message, "commit 1 failed");
    assert_int_equal(fixture->calls, 1);
    assert_int_equal(fixture->sleep_count, 0);
    assert_int_equal(stats_of(fixture).failed_batches, 1);
    assert_int_equal(stats_of(fixture).commits, 0);
    assert_int_equal(stats_of(fixture).waiting_bytes, 0);
    mutex_lock(&fixture->lock);
    fixture->always = STATUS_OK;
    mutex_unlock(&fixture->lock);
    assert_int_equal(item_commit(&items[1]), STATUS_OK);
    assert_int_equal(stats_of(fixture).commits, 1);
    buffer_close(fixture);
    free(items);
}

static void what_waiting_does_not_heal_is_told_at_once(void **state)
{
    static const enum status statuses[] = {STATUS_NO_SPACE, STATUS_UNAVAILABLE, STATUS_CORRUPT,
                                           STATUS_LIMIT, STATUS_MEMORY};
    enum { COUNT = sizeof statuses / sizeof statuses[0] };
    struct fixture *fixture = *state;
    struct item *items = items_new(fixture, 2 * COUNT);
    for (size_t i = 0; i < COUNT; i++)
        fixture->script[2 * i] = statuses[i];
    fixture->script_size = 2 * COUNT;
    buffer_open(fixture);
    for (size_t i = 0; i < 2 * COUNT; i++) {
        assert_int_equal(item_commit(&items[i]), fixture->script[i]);
        assert_int_equal(fixture->calls, i + 1);
    }
    assert_int_equal(fixture->sleep_count, 0);
    assert_int_equal(stats_of(fixture).retries, 0);
    assert_int_equal(stats_of(fixture).failed_batches, COUNT);
    buffer_close(fixture);
    free(items);
}

static void a_full_disk_is_told_to_each_batch_of_the_commit(void **state)
{
    enum { COUNT = 5 };
    struct fixture *fixture = *state;
    struct item *items = items_new(fixture, COUNT);
    fixture->script[1] = STATUS_NO_SPACE;
    fixture->script_size = 2;
    buffer_open(fixture);
    item_hold(&items[0]);
    for (size_t i = 1; i < COUNT; i++)
        item_submit(&items[i]);
    items_release(items, COUNT);
    assert_commits(fixture, (const size_t[]){1, COUNT - 1}, 2);
    assert_int_equal(items[0].status, STATUS_OK);
    for (size_t i = 1; i < COUNT; i++) {
        assert_int_equal(items[i].status, STATUS_NO_SPACE);
        assert_string_equal(items[i].message, "commit 2 failed");
    }
    buffer_close(fixture);
    free(items);
}

static void one_poisoned_batch_does_not_fail_the_others(void **state)
{
    static const enum status poisons[] = {STATUS_LIMIT, STATUS_MEMORY};
    enum { COUNT = 5, BAD = 2 };
    struct fixture *fixture = *state;
    for (size_t p = 0; p < sizeof poisons / sizeof poisons[0]; p++) {
        struct item *items = items_new(fixture, COUNT);
        fixture->poisoned = &items[BAD].batch;
        fixture->poison = poisons[p];
        fixture->calls = fixture->logged = 0;
        buffer_open(fixture);
        item_hold(&items[0]);
        for (size_t i = 1; i < COUNT; i++)
            item_submit(&items[i]);
        items_release(items, COUNT);
        /* Together first, then each alone and in order. */
        assert_commits(fixture, (const size_t[]){1, COUNT - 1, 1, 1, 1, 1}, 6);
        for (size_t i = 1; i < COUNT; i++)
            assert_ptr_equal(fixture->log[COUNT - 1 + i], &items[i].batch);
        for (size_t i = 0; i < COUNT; i++)
            assert_int_equal(items[i].status, i == BAD ? poisons[p] : STATUS_OK);
        assert_string_equal(items[BAD].message, "commit 4 failed");
        assert_int_equal(stats_of(fixture).batches, COUNT - 1);
        assert_int_equal(stats_of(fixture).failed_batches, 1);
        buffer_close(fixture);
        free(items);
    }
}

/* ---- opening and closing ---- */

static void closing_commits_what_waits_and_takes_nothing_more(void **state)
{
    enum { COUNT = 400, LATE = COUNT - 1 };
    struct fixture *fixture = *state;
    struct item *items = items_new(fixture, COUNT);
    fixture->late = &items[LATE];
    buffer_open(fixture);
    item_hold(&items[0]);
    for (size_t i = 1; i < LATE; i++)
        item_submit(&items[i]);
    buffer_close(fixture);
    for (size_t i = 0; i < LATE; i++) {
        assert_int_equal(items[i].told, 1);
        assert_int_equal(items[i].status, STATUS_OK);
    }
    assert_order(fixture, items, LATE);
    assert_int_equal(fixture->late_status, STATUS_UNAVAILABLE);
    assert_string_equal(fixture->late_err.message, "the service is stopping");
    assert_int_equal(items[LATE].told, 0);
    free(items);
}

static void an_idle_buffer_closes_and_none_may_be_closed(void **state)
{
    struct fixture *fixture = *state;
    buffer_open(fixture);
    buffer_close(fixture);
    assert_int_equal(fixture->calls, 0);
    write_buffer_close(NULL);
}

static void without_a_thread_the_buffer_does_not_open(void **state)
{
    struct fixture *fixture = *state;
    struct error err = {0};
    fixture->refuse_start = true;
    assert_int_equal(write_buffer_open(&fixture->buffer, &fixture->options, &err), STATUS_LIMIT);
    assert_null(fixture->buffer);
    assert_string_equal(err.message, "no thread left");
}

/* ---- figures ---- */

static void latencies_fall_into_buckets_that_double_from_a_quarter_millisecond(void **state)
{
    static const struct {
        int64_t ns;
        unsigned bucket;
    } cases[] = {
        {0, 0},
        {250000, 0},
        {250001, 1},
        {500000, 1},
        {1 * NS_PER_MS, 2},
        {4096 * NS_PER_MS, 14},
        {4096 * NS_PER_MS + 1, COMMIT_BUCKETS - 1},
        {1000000 * NS_PER_MS, COMMIT_BUCKETS - 1},
    };
    struct fixture *fixture = *state;
    uint64_t wanted[COMMIT_BUCKETS] = {0};
    uint64_t sum = 0;
    buffer_open(fixture);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct item *item = items_new(fixture, 1);
        mutex_lock(&fixture->lock);
        fixture->commit_ns = cases[i].ns;
        mutex_unlock(&fixture->lock);
        assert_int_equal(item_commit(item), STATUS_OK);
        wanted[cases[i].bucket]++;
        sum += (uint64_t)cases[i].ns;
        free(item);
    }
    struct write_buffer_stats stats = stats_of(fixture);
    for (size_t i = 0; i < COMMIT_BUCKETS; i++)
        if (stats.latency_buckets[i] != wanted[i])
            test_fail("bucket %zu counts %d, not %d", i, (int)stats.latency_buckets[i],
                      (int)wanted[i]);
    assert_int_equal(stats.latency_ns_sum, sum);
    buffer_close(fixture);
}

/* ---- many threads ---- */

enum { SENDERS = 4, SENT = 400 };

struct sender {
    struct fixture *fixture;
    struct item *items;
    struct thread *thread;
    uint64_t refused;
};

static void sender_run(void *context)
{
    struct sender *sender = context;
    for (size_t i = 0; i < SENT; i++)
        for (;;) {
            enum status status =
                write_buffer_submit(sender->fixture->buffer, &sender->items[i].entry, NULL);
            if (status == STATUS_OK)
                break;
            invariant(status == STATUS_BUSY);
            sender->refused++;
            sched_yield();
        }
}

static void batches_of_many_threads_are_each_committed_once_in_their_order(void **state)
{
    struct fixture *fixture = *state;
    struct sender senders[SENDERS];
    size_t next[SENDERS] = {0};
    uint64_t refused = 0;
    fixture->options.max_bytes = 5000; /* 50 batches */
    fixture->options.max_commit_samples = 20;
    buffer_open(fixture);
    for (size_t s = 0; s < SENDERS; s++) {
        senders[s] = (struct sender){.fixture = fixture, .items = items_new(fixture, SENT)};
        assert_int_equal(threads_start(threads_posix(), "sender", sender_run, &senders[s],
                                       &senders[s].thread, NULL),
                         STATUS_OK);
    }
    for (size_t s = 0; s < SENDERS; s++) {
        threads_join(threads_posix(), senders[s].thread);
        refused += senders[s].refused;
        for (size_t i = 0; i < SENT; i++)
            item_wait(&senders[s].items[i]);
    }
    struct write_buffer_stats stats = stats_of(fixture);
    assert_int_equal(stats.batches, SENDERS * SENT);
    assert_int_equal(stats.refused_full, refused);
    assert_int_equal(stats.waiting_bytes, 0);
    buffer_close(fixture);
    assert_int_equal(fixture->logged, SENDERS * SENT);
    for (size_t i = 0; i < fixture->logged; i++) {
        size_t s = 0;
        while (s < SENDERS &&
               (next[s] == SENT || fixture->log[i] != &senders[s].items[next[s]].batch))
            s++;
        if (s == SENDERS)
            test_fail("batch %zu is nobody's next", i);
        next[s]++;
    }
    for (size_t s = 0; s < SENDERS; s++)
        free(senders[s].items);
}

#define buffer_test(name) cmocka_unit_test_setup_teardown(name, fixture_set_up, fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        buffer_test(a_lone_batch_waits_for_nobody),
        buffer_test(one_commit_takes_all_that_waits_in_order),
        buffer_test(a_commit_is_bounded_in_batches),
        buffer_test(a_commit_is_bounded_in_samples_unless_one_batch_has_more),
        buffer_test(a_batch_may_be_submitted_again_from_its_own_done),
        buffer_test(a_full_buffer_refuses_to_the_byte_and_names_the_setting),
        buffer_test(a_batch_larger_than_the_buffer_passes_when_nothing_else_is_there),
        buffer_test(transient_failures_are_tried_again_until_one_goes_through),
        buffer_test(the_pause_doubles_up_to_half_a_second_with_jitter),
        buffer_test(what_stays_broken_is_told_with_its_reason_and_the_next_batch_is_tried),
        buffer_test(what_waiting_does_not_heal_is_told_at_once),
        buffer_test(a_full_disk_is_told_to_each_batch_of_the_commit),
        buffer_test(one_poisoned_batch_does_not_fail_the_others),
        buffer_test(closing_commits_what_waits_and_takes_nothing_more),
        buffer_test(an_idle_buffer_closes_and_none_may_be_closed),
        buffer_test(without_a_thread_the_buffer_does_not_open),
        buffer_test(latencies_fall_into_buckets_that_double_from_a_quarter_millisecond),
        buffer_test(batches_of_many_threads_are_each_committed_once_in_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

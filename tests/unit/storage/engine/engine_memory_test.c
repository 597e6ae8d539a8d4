/*
 * An exhausted heap, at every allocation of what the engine does: the n-th one fails, alone or with
 * all behind it. The call says MEMORY, or does without; afterwards the store answers as before, the
 * same call works, and the next start shows the same. Sanitizers look for what was left behind.
 *
 * The program is linked with --wrap for the functions below. Of CRoaring's those fail that can say
 * so; the others end the process (docs/ENGINE.md).
 */
#include "../../../sanitized.h"
#include "../../test.h"

#include <errno.h>
#include <roaring/roaring.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/invariant.h"
#include "base/times.h"
#include "model/matcher.h"
#include "scene.h"

/* ---- the heap ------------------------------------------------------------------------------- */

static struct {
    bool on;
    bool forever; /* once one has failed, all do */
    long left;    /* allocations before one fails */
    bool failed;
} heap;

static void heap_fails_at(long n, bool forever)
{
    heap.left = n;
    heap.forever = forever;
    heap.failed = false;
    heap.on = true;
}

static void heap_works(void)
{
    heap.on = false;
}

static bool heap_exhausted(void)
{
    if (!heap.on)
        return false;
    if (heap.failed)
        return heap.forever;
    heap.failed = heap.left-- == 0;
    return heap.failed;
}

void *__real_malloc(size_t size);
void *__wrap_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__real_realloc(void *old, size_t size);
void *__wrap_realloc(void *old, size_t size);
char *__real_strdup(const char *text);
char *__wrap_strdup(const char *text);
int __real_vasprintf(char **text, const char *format, va_list args);
int __wrap_vasprintf(char **text, const char *format, va_list args);
int __real_posix_memalign(void **block, size_t alignment, size_t size);
int __wrap_posix_memalign(void **block, size_t alignment, size_t size);

void *__wrap_malloc(size_t size)
{
    return heap_exhausted() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t count, size_t size)
{
    return heap_exhausted() ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *old, size_t size)
{
    return heap_exhausted() ? NULL : __real_realloc(old, size);
}

char *__wrap_strdup(const char *text)
{
    return heap_exhausted() ? NULL : __real_strdup(text);
}

int __wrap_vasprintf(char **text, const char *format, va_list args)
{
    return heap_exhausted() ? -1 : __real_vasprintf(text, format, args);
}

int __wrap_posix_memalign(void **block, size_t alignment, size_t size)
{
    return heap_exhausted() ? ENOMEM : __real_posix_memalign(block, alignment, size);
}

roaring_bitmap_t *__real_roaring_bitmap_create_with_capacity(uint32_t capacity);
roaring_bitmap_t *__wrap_roaring_bitmap_create_with_capacity(uint32_t capacity);
roaring_bitmap_t *__wrap_roaring_bitmap_create(void);
roaring_bitmap_t *__real_roaring_bitmap_copy(const roaring_bitmap_t *bitmap);
roaring_bitmap_t *__wrap_roaring_bitmap_copy(const roaring_bitmap_t *bitmap);
roaring_bitmap_t *__real_roaring_bitmap_portable_deserialize_safe(const char *bytes, size_t size);
roaring_bitmap_t *__wrap_roaring_bitmap_portable_deserialize_safe(const char *bytes, size_t size);

roaring_bitmap_t *__wrap_roaring_bitmap_create_with_capacity(uint32_t capacity)
{
    return heap_exhausted() ? NULL : __real_roaring_bitmap_create_with_capacity(capacity);
}

/* Of some versions it is one function, of others it calls the other. */
roaring_bitmap_t *__wrap_roaring_bitmap_create(void)
{
    return __wrap_roaring_bitmap_create_with_capacity(0);
}

roaring_bitmap_t *__wrap_roaring_bitmap_copy(const roaring_bitmap_t *bitmap)
{
    return heap_exhausted() ? NULL : __real_roaring_bitmap_copy(bitmap);
}

roaring_bitmap_t *__wrap_roaring_bitmap_portable_deserialize_safe(const char *bytes, size_t size)
{
    return heap_exhausted() ? NULL : __real_roaring_bitmap_portable_deserialize_safe(bytes, size);
}

/* No power cut is looked at here, and most of the time would go by waiting for the disk. */
int __wrap_fdatasync(int fd);
int __wrap_fsync(int fd);

int __wrap_fdatasync(int fd)
{
    return fd >= 0 ? 0 : -1;
}

int __wrap_fsync(int fd)
{
    return fd >= 0 ? 0 : -1;
}

/* ---- a store with something of everything --------------------------------------------------- */

enum { SERIES = 40, NOW_DAY = 20100 };

static int64_t day_ms(int day)
{
    return INT64_C(1) * (NOW_DAY + day) * MS_PER_DAY;
}

static void describe(struct scene *scene, const char *help)
{
    struct metric metric = {
        .name = slice_from_text("metric_1"), .type = METRIC_GAUGE, .help = slice_from_text(help)};
    struct fixture_write write = {.metric = &metric};
    struct error err = {0};
    assert_int_equal(fixture_commit(scene->store.tier, &write, 1, &err), STATUS_OK);
}

static void delete_some(struct scene *scene, uint32_t series, struct time_range range)
{
    bool only[SERIES] = {false};
    struct delete_result result;
    struct error err = {0};
    only[series] = true;
    assert_int_equal(fixture_delete(scene->store.tier, only, SERIES, range, &result, &err),
                     STATUS_OK);
    ledger_delete(&scene->ledger, only, range);
}

/* Four parts of a day and of the one before, five index segments, descriptors, deletes. */
static void prepare(struct scene *scene)
{
    scene_begin_at(scene, 256 * 1024, SERIES, day_ms(0) + MS_PER_DAY / 2);
    scene->store.options.log_segment_bytes = 64 * 1024;
    for (uint32_t i = 0; i < 4; i++) {
        for (uint32_t j = 0; j < 5; j++) {
            scene_put_run(scene, 5 * i + j, day_ms(-1) + i * 1000000, 1000, 30, i);
            scene_put_run(scene, (5 * i + j) / 2, day_ms(0) + i * 1000000, 1000, 30, i);
        }
        describe(scene, i % 2 == 0 ? "It is." : "It was.");
        if (i == 2)
            delete_some(scene, 2, (struct time_range){day_ms(-1), day_ms(0)});
        store_flush(&scene->store);
    }
}

/* In the head and the log alone: late samples, series that are new, some that are written over, a
 * delete. */
static void prepare_head(struct scene *scene)
{
    prepare(scene);
    for (uint32_t i = 0; i < 30; i += 3)
        scene_put_run(scene, i, day_ms(-(int)(i % 4)) + 500, 700, 25, 100);
    delete_some(scene, 3, (struct time_range){day_ms(-2), day_ms(-1) + 1000000});
    scene_put_run(scene, 3, day_ms(-1), 1000, 10, 7);
    describe(scene, "It will be.");
}

/* ---- the sweep ------------------------------------------------------------------------------ */

struct operation {
    void (*prepare)(struct scene *scene);
    enum status (*run)(struct scene *scene, struct error *err);
    void (*done)(struct scene *scene); /* notes what it has changed; may be NULL */
};

static void check(struct scene *scene, long n, const char *when)
{
    char why[FIXTURE_WHY_SIZE];
    if (!fixture_same(scene->store.tier, &scene->ledger, fixture_always(), why) ||
        !fixture_totals_same(scene->store.tier, &scene->ledger, fixture_always(), why))
        test_fail("allocation %ld, %s: %s", n, when, why);
}

/* False once there is no n-th allocation. */
static bool fail_once(const struct operation *operation, long n, bool forever)
{
    struct scene scene;
    struct error err = {0};
    operation->prepare(&scene);
    heap_fails_at(n, forever);
    enum status status = operation->run(&scene, &err);
    heap_works();
    bool failed = heap.failed;
    if (status != STATUS_OK && (status != STATUS_MEMORY || !failed))
        test_fail("allocation %ld: %s: %s", n, status_name(status), err.message);
    if (status == STATUS_MEMORY && err.message[0] == '\0')
        test_fail("allocation %ld: no reason is given", n);
    if (status == STATUS_OK && operation->done != NULL)
        operation->done(&scene);
    check(&scene, n, "afterwards");
    if (status != STATUS_OK) {
        if (operation->run(&scene, &err) != STATUS_OK)
            test_fail("allocation %ld: not again: %s", n, err.message);
        if (operation->done != NULL)
            operation->done(&scene);
        check(&scene, n, "again");
    }
    store_kill(&scene.store);
    check(&scene, n, "started again");
    scene_settle(&scene);
    check(&scene, n, "settled");
    store_reopen(&scene.store);
    check(&scene, n, "stopped and started");
    assert_int_equal(scene_stats(&scene).recovery.damaged, 0);
    scene_end(&scene);
    return failed;
}

/* Each allocation alone, some with all behind them; fewer of both where each takes long. */
enum { ALONE_EVERY = SANITIZED ? 3 : 1, FOREVER_EVERY = SANITIZED ? 11 : 3 };

static void sweep(const struct operation *operation, long least)
{
    long n = 0;
    while (fail_once(operation, n, false))
        n += ALONE_EVERY;
    printf("%ld allocations\n", n);
    assert_true(n >= least);
    /* How many there are differs by a few from run to run, with what was rounded up here. */
    for (long i = 0; i < n - 2 * ALONE_EVERY; i += FOREVER_EVERY)
        assert_true(fail_once(operation, i, true));
}

/* ---- commits -------------------------------------------------------------------------------- */

static const struct fixture_sample committed[] = {
    {1, (NOW_DAY + INT64_C(0)) * MS_PER_DAY + 5000, 1},
    {1, (NOW_DAY + INT64_C(1)) * MS_PER_DAY + 5000, 2},
    {22, (NOW_DAY - INT64_C(9)) * MS_PER_DAY + 5000, 3},
    {23, (NOW_DAY + INT64_C(0)) * MS_PER_DAY + 5000, 4},
};
enum { COMMITTED = sizeof committed / sizeof committed[0] };
static long commit_fails_at;
static bool commit_fails_forever;

static void begin_to_fail(void)
{
    heap_fails_at(commit_fails_at, commit_fails_forever);
}

static void note_commit(struct scene *scene)
{
    ledger_put(&scene->ledger, committed, COMMITTED);
}

/* What fills the batch is the test's own. */
static enum status commit(struct scene *scene, struct error *err)
{
    struct metric metric = {.name = slice_from_text("metric_5"),
                            .type = METRIC_COUNTER,
                            .help = slice_from_text("It is new.")};
    struct fixture_write write = {.samples = committed,
                                  .count = COMMITTED,
                                  .metric = &metric,
                                  .filled = heap.on ? begin_to_fail : NULL};
    commit_fails_at = heap.left;
    commit_fails_forever = heap.forever;
    heap_works();
    enum status status = fixture_commit(scene->store.tier, &write, 1, err);
    if (status == STATUS_OK && write.rejected > 0)
        test_fail("%s", write.code);
    return status;
}

static void a_commit_without_memory_changes_nothing(void **state)
{
    (void)state;
    sweep(&(struct operation){prepare_head, commit, note_commit}, 10);
}

/* ---- deletes -------------------------------------------------------------------------------- */

static const struct time_range deleted = {(NOW_DAY - INT64_C(3)) * MS_PER_DAY,
                                          (NOW_DAY + INT64_C(0)) * MS_PER_DAY + 1005000};

static void note_delete(struct scene *scene)
{
    bool only[SERIES] = {false};
    only[4] = only[6] = true;
    ledger_delete(&scene->ledger, only, deleted);
}

static enum status delete_two(struct scene *scene, struct error *err)
{
    struct arena arena;
    struct matchers matchers;
    struct delete_result result;
    bool on = heap.on;
    heap.on = false;
    arena_init(&arena, 1 << 20);
    assert_int_equal(matchers_parse(slice_from_text("{n=~\"4|6\"}"), &arena, &matchers, err),
                     STATUS_OK);
    heap.on = on;
    enum status status = storage_delete(scene->store.tier, &matchers, 1, deleted, &result, err);
    heap_works();
    matchers_release(&matchers);
    arena_release(&arena);
    return status;
}

static void a_delete_without_memory_deletes_nothing(void **state)
{
    (void)state;
    sweep(&(struct operation){prepare_head, delete_two, note_delete}, 10);
}

/* ---- flushes and background work ------------------------------------------------------------ */

static enum status flush(struct scene *scene, struct error *err)
{
    /* One that failed may have sealed the head. */
    enum status status = engine_flush(scene->store.tier, err);
    return status == STATUS_BUSY ? STATUS_MEMORY : status;
}

static void a_flush_without_memory_loses_nothing(void **state)
{
    (void)state;
    sweep(&(struct operation){prepare_head, flush, NULL}, 50);
}

/* Each step may fail, and the next goes on. */
static enum status work(struct scene *scene, struct error *err)
{
    bool did = true;
    enum status status = STATUS_OK;
    while (did && status == STATUS_OK)
        status = engine_background_step(scene->store.tier, &did, err);
    return status;
}

static void merges_without_memory_leave_what_was_there(void **state)
{
    (void)state;
    sweep(&(struct operation){prepare, work, NULL}, 50);
}

/* A day ago everything was younger: the older day goes, and its series with it. */
static void prepare_to_drop(struct scene *scene)
{
    prepare(scene);
    store_settle_down(&scene->store);
    scene->now_ms += MS_PER_DAY;
    scene->passed_ms += MS_PER_DAY;
    engine_set_retention(scene->store.tier, MS_PER_DAY);
    scene->store.options.retention_ms = MS_PER_DAY;
    ledger_drop_before(&scene->ledger, day_ms(0));
}

static enum status drop(struct scene *scene, struct error *err)
{
    enum status status = work(scene, err);
    heap_works();
    /* What failed is done by a later step. */
    if (status == STATUS_MEMORY)
        status = work(scene, err) == STATUS_OK ? STATUS_OK : STATUS_INVALID;
    return status;
}

static void a_day_is_dropped_in_spite_of_a_failure(void **state)
{
    (void)state;
    sweep(&(struct operation){prepare_to_drop, drop, NULL}, 20);
}

/* ---- starts --------------------------------------------------------------------------------- */

static void prepare_stopped(struct scene *scene)
{
    prepare_head(scene);
    engine_abandon(scene->store.tier);
    scene->store.tier = NULL;
}

static enum status start(struct scene *scene, struct error *err)
{
    struct tier *tier = NULL;
    enum status status = engine_open(&scene->store.options, &tier, err);
    bool on = heap.on;
    heap_works();
    assert_int_equal(status == STATUS_OK, tier != NULL);
    scene->store.tier = tier;
    /* The sweep asks between a failure and the next attempt. */
    if (status == STATUS_MEMORY && on) {
        struct error again = {0};
        if (engine_open(&scene->store.options, &scene->store.tier, &again) != STATUS_OK)
            test_fail("not again: %s", again.message);
        status = STATUS_OK;
    }
    return status;
}

static void a_start_without_memory_says_so_and_the_next_one_works(void **state)
{
    (void)state;
    sweep(&(struct operation){prepare_stopped, start, NULL}, 100);
}

/* A small head: the log is flushed while it is replayed. */
static void prepare_long_log(struct scene *scene)
{
    prepare_head(scene);
    for (uint32_t i = 0; i < 20; i++)
        scene_put_run(scene, i, day_ms(-2), 1000, 200, 3);
    engine_abandon(scene->store.tier);
    scene->store.tier = NULL;
    scene->store.options.head_bytes = 32 * 1024;
}

static void a_start_that_flushes_loses_nothing_without_memory(void **state)
{
    (void)state;
    sweep(&(struct operation){prepare_long_log, start, NULL}, 100);
}

/* ---- damage --------------------------------------------------------------------------------- */

/* What merges have made is named by nobody any more, and what went into it is gone. */
static void prepare_lost_edits(struct scene *scene)
{
    char path[96];
    struct stat manifest;
    prepare_head(scene);
    snprintf(path, sizeof path, "%s/manifest", scene->store.dir);
    assert_int_equal(stat(path, &manifest), 0);
    store_settle_down(&scene->store);
    assert_true(scene_stats(scene).merges > 0);
    engine_abandon(scene->store.tier);
    scene->store.tier = NULL;
    assert_int_equal(truncate(path, manifest.st_size), 0);
}

static void ignore_finding(void *context, enum engine_finding finding, const char *path,
                           const char *description)
{
    (void)context, (void)finding, (void)path, (void)description;
}

static enum status repair(struct scene *scene, struct error *err)
{
    struct engine_repair_result result;
    enum status status =
        engine_repair(&scene->store.options, ignore_finding, NULL, NULL, &result, err);
    return status == STATUS_OK && result.left.damaged > 0 ? STATUS_CORRUPT : status;
}

static enum status start_and_stop(struct scene *scene, struct error *err)
{
    struct tier *tier = NULL;
    enum status status = engine_open(&scene->store.options, &tier, err);
    heap_works();
    engine_close(tier);
    return status;
}

/* Then a repair brings everything back. */
static bool fail_with_lost_edits(enum status (*run)(struct scene *scene, struct error *err), long n,
                                 bool forever)
{
    struct scene scene;
    struct error err = {0};
    prepare_lost_edits(&scene);
    heap_fails_at(n, forever);
    enum status status = run(&scene, &err);
    heap_works();
    bool failed = heap.failed;
    if (status != STATUS_OK && status != STATUS_MEMORY)
        test_fail("allocation %ld: %s: %s", n, status_name(status), err.message);
    if (start_and_stop(&scene, &err) != STATUS_OK || repair(&scene, &err) != STATUS_OK)
        test_fail("allocation %ld: not again: %s", n, err.message);
    if (engine_open(&scene.store.options, &scene.store.tier, &err) != STATUS_OK)
        test_fail("allocation %ld: %s", n, err.message);
    check(&scene, n, "repaired");
    scene_end(&scene);
    return failed;
}

static void lost_edits_and_no_memory_cost_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        long n = 0;
        while (fail_with_lost_edits(i == 0 ? start_and_stop : repair, n, false))
            n += ALONE_EVERY;
        printf("%ld allocations\n", n);
        assert_true(n >= 200);
        for (long j = 0; j < n - 2 * ALONE_EVERY; j += FOREVER_EVERY)
            assert_true(fail_with_lost_edits(i == 0 ? start_and_stop : repair, j, true));
    }
}

/* ---- queries -------------------------------------------------------------------------------- */

static enum status ask(struct scene *scene, struct error *err)
{
    struct matchers everything = {0};
    struct select_options options = {.range = fixture_always(), .ordered = true};
    struct selection *selection = NULL;
    struct storage_cursor *cursor = NULL;
    struct tier *tier = scene->store.tier;
    uint64_t samples = 0;
    enum status status = storage_select(tier, &everything, 1, &options, &selection, err);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < selection_count(tier, selection) && status == STATUS_OK; i++) {
        struct selected_series series;
        struct storage_block block;
        status = selection_series(tier, selection, i, &series, err);
        if (status == STATUS_OK)
            status = selection_read(tier, selection, i, fixture_always(), &cursor, err);
        while (status == STATUS_OK &&
               (status = storage_cursor_next(tier, cursor, &block, err)) == STATUS_OK) {
            status = storage_cursor_load(tier, cursor, &block, err);
            samples += block.count;
        }
        status = status == STATUS_END ? STATUS_OK : status;
    }
    struct read_stats stats;
    selection_stats(tier, selection, &stats);
    selection_close(tier, selection);
    /* Nothing is left out because there was no memory for it. */
    if (status == STATUS_OK && (stats.partial || samples != ledger_count(&scene->ledger)))
        test_fail("%lu samples of %lu%s", (unsigned long)samples,
                  (unsigned long)ledger_count(&scene->ledger), stats.partial ? ", partial" : "");
    return status;
}

static void an_answer_without_memory_is_refused_and_never_less(void **state)
{
    (void)state;
    sweep(&(struct operation){prepare_head, ask, NULL}, 30);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_commit_without_memory_changes_nothing),
        cmocka_unit_test(a_delete_without_memory_deletes_nothing),
        cmocka_unit_test(a_flush_without_memory_loses_nothing),
        cmocka_unit_test(merges_without_memory_leave_what_was_there),
        cmocka_unit_test(a_day_is_dropped_in_spite_of_a_failure),
        cmocka_unit_test(a_start_without_memory_says_so_and_the_next_one_works),
        cmocka_unit_test(a_start_that_flushes_loses_nothing_without_memory),
        cmocka_unit_test(lost_edits_and_no_memory_cost_nothing),
        cmocka_unit_test(an_answer_without_memory_is_refused_and_never_less),
    };
    cmocka_set_test_filter(getenv("METRIC_STORE_TEST_FILTER"));
    return cmocka_run_group_tests(tests, NULL, NULL);
}

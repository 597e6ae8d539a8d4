/*
 * Everything at once: writers of their own series (in order, late, over what is there), deletes,
 * series that come and go, batches that are given up, readers, listings, flushes, snapshots,
 * settings, and the background threads, which merge, warm, drop, clean and take ids back. Meant for
 * the thread sanitizer; in every build each writer finds exactly what it wrote and did not delete.
 */
#include "../../test.h"

#include <ftw.h>
#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "../../pseudo_random.h"
#include "engine_fixture.h"

enum {
    OWNERS = 2,
    OWN = FIXTURE_METRICS, /* series of an owner: those of one host */
    DAYS = 3,              /* that they write to, and today */
    VISITOR_HOST = FIXTURE_HOSTS - 1,
    VISITORS_MAX = 50000,
    AGAIN = 64, /* one in so many visits is one of a series that was there */
    RUN_MS = 1500,
    DEADLINE_MS = 100000,
    PATH_SIZE = 128,
};

/* A value names its series, so that one under another's labels is seen. */
#define GENERATION 1048576.0
#define DAY        INT64_C(86400000)

struct scene;

struct owner {
    struct scene *scene;
    uint32_t number; /* its host */
    uint64_t random;
    pthread_mutex_t lock; /* around each step, so that a snapshot knows what is there */
    struct ledger ledger;
    bool only[OWNERS * OWN];
    unsigned generation;
};

struct scene {
    struct store store;
    struct tier *tier;
    int64_t now_ms;              /* when it began */
    pthread_mutex_t commit_lock; /* appends come from one thread at a time */
    atomic_bool quiet; /* only reads any more, so that merges end and ids are taken back */
    atomic_bool done;
    atomic_uint wrong;
    atomic_uint snapshots, looks;
    struct owner owners[OWNERS];
};

static void found_wrong(struct scene *scene, const char *who, const char *why)
{
    printf("%s: %s\n", who, why);
    atomic_fetch_add(&scene->wrong, 1);
    atomic_store(&scene->done, true);
}

static void put(struct scene *scene, const struct fixture_sample *samples, size_t count)
{
    struct error err = {0};
    enum status status = STATUS_BUSY;
    while (status == STATUS_BUSY) {
        pthread_mutex_lock(&scene->commit_lock);
        status = fixture_put(scene->tier, samples, count, &err);
        pthread_mutex_unlock(&scene->commit_lock);
    }
    if (status != STATUS_OK)
        found_wrong(scene, "put", err.message);
}

/* Merges, which give way to everything, are to come to an end. */
static void rest(const struct scene *scene, int64_t duration_ms)
{
    clock_sleep_ms(scene->store.options.os.clock, duration_ms);
}

static double value_of(uint32_t series, unsigned generation)
{
    return series + GENERATION * generation;
}

static bool names_series(double value, uint32_t series)
{
    return fmod(value, GENERATION) == series;
}

static enum status select_text(struct tier *tier, const char *text, struct selection **selection)
{
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct matchers matchers = {0};
    enum status status = matchers_parse(slice_from_text(text), &arena, &matchers, NULL);
    struct select_options options = {.range = fixture_always()};
    if (status == STATUS_OK)
        status = storage_select(tier, &matchers, 1, &options, selection, NULL);
    matchers_release(&matchers);
    arena_release(&arena);
    return status;
}

/* ---- owners ----------------------------------------------------------------------------- */

static bool owner_finds_its_own(const struct owner *owner, struct tier *tier,
                                const struct ledger *ledger, char why[FIXTURE_WHY_SIZE])
{
    char text[32];
    snprintf(text, sizeof text, "{host=\"h%" PRIu32 "\"}", owner->number);
    struct selection *selection = NULL;
    if (select_text(tier, text, &selection) != STATUS_OK) {
        snprintf(why, FIXTURE_WHY_SIZE, "%s cannot be selected", text);
        return false;
    }
    bool same = fixture_selection_same(tier, selection, ledger, fixture_always(), owner->only, why);
    selection_close(tier, selection);
    return same;
}

/* Of a grid of seconds over DAYS days, so that times come again; most of them of today. */
static int64_t some_time(struct owner *owner)
{
    uint32_t back = random_below(&owner->random, 3) == 0
                        ? random_below(&owner->random, 600) * (uint32_t)(DAYS * DAY / 600)
                        : random_below(&owner->random, 2000) * 1000;
    return owner->scene->now_ms - (int64_t)back;
}

static void owner_writes(struct owner *owner)
{
    enum { MOST = 60 };
    struct fixture_sample samples[MOST];
    size_t count = 1 + random_below(&owner->random, MOST);
    uint32_t series = owner->number * OWN + random_below(&owner->random, OWN);
    for (size_t i = 0; i < count; i++) {
        if (random_below(&owner->random, 8) == 0)
            series = owner->number * OWN + random_below(&owner->random, OWN);
        samples[i] = (struct fixture_sample){series, some_time(owner),
                                             value_of(series, ++owner->generation)};
    }
    put(owner->scene, samples, count);
    ledger_put(&owner->ledger, samples, count);
}

static void owner_deletes(struct owner *owner)
{
    bool only[OWNERS * OWN] = {false};
    for (uint32_t i = 0; i < OWN; i++)
        only[owner->number * OWN + i] = random_below(&owner->random, 3) == 0;
    struct time_range range = {some_time(owner), some_time(owner)};
    if (random_below(&owner->random, 4) == 0)
        range = fixture_always();
    struct delete_result result;
    struct error err = {0};
    enum status status =
        fixture_delete(owner->scene->tier, only, OWNERS * OWN, range, &result, &err);
    if (status == STATUS_OK && !time_range_empty(range))
        ledger_delete(&owner->ledger, only, range);
    else if (status != STATUS_OK && status != STATUS_LIMIT)
        found_wrong(owner->scene, "delete", err.message);
}

static void *own(void *context)
{
    struct owner *owner = context;
    struct scene *scene = owner->scene;
    while (!atomic_load(&scene->done)) {
        char why[FIXTURE_WHY_SIZE] = "";
        pthread_mutex_lock(&owner->lock);
        uint32_t dice = atomic_load(&scene->quiet) ? 20 : random_below(&owner->random, 20);
        if (dice < 14)
            owner_writes(owner);
        else if (dice < 16)
            owner_deletes(owner);
        else if (!owner_finds_its_own(owner, scene->tier, &owner->ledger, why) &&
                 !atomic_load(&scene->done))
            found_wrong(scene, "owner", why);
        pthread_mutex_unlock(&owner->lock);
        rest(scene, 1);
    }
    return NULL;
}

/* ---- series that come and go ------------------------------------------------------------- */

static uint32_t visitor_number(uint32_t n)
{
    return VISITOR_HOST * OWN + n / OWN * OWN * FIXTURE_HOSTS + n % OWN;
}

/* Beyond retention: gone with the next retention step after a flush, and their series after that;
 * some are wanted again. */
static void *visit(void *context)
{
    struct scene *scene = context;
    uint64_t random = 1;
    for (unsigned i = 0; !atomic_load(&scene->quiet); i++) {
        uint32_t last = i < VISITORS_MAX ? i + 1 : VISITORS_MAX;
        uint32_t n =
            random_below(&random, AGAIN) == 0 ? random_below(&random, last) : i % VISITORS_MAX;
        uint32_t series = visitor_number(n);
        int64_t time_ms = scene->now_ms - 2 * DAYS * DAY - (int64_t)i;
        struct fixture_sample sample = {series, time_ms, value_of(series, i)};
        put(scene, &sample, 1);
        struct error err = {0};
        uint32_t other = visitor_number(random_below(&random, VISITORS_MAX));
        sample = (struct fixture_sample){other, time_ms, value_of(other, i)};
        if (i % AGAIN == 0 && fixture_abandon(scene->tier, &sample, 1, &err) != STATUS_OK)
            found_wrong(scene, "abandon", err.message);
        rest(scene, 4);
    }
    return NULL;
}

/* ---- readers ------------------------------------------------------------------------------- */

static bool read_series(struct tier *tier, struct selection *selection, size_t index,
                        struct storage_cursor **cursor, char why[FIXTURE_WHY_SIZE])
{
    struct selected_series series;
    struct error err = {0};
    if (selection_series(tier, selection, index, &series, &err) != STATUS_OK ||
        selection_read(tier, selection, index, fixture_always(), cursor, &err) != STATUS_OK)
        return fixture_no(why, "%s", err.message);
    struct slice text = labels_get(&series.labels, slice_from_text("n"));
    char number[16] = "";
    memcpy(number, text.data, text.size < sizeof number ? text.size : sizeof number - 1);
    uint32_t expected = (uint32_t)strtoul(number, NULL, 10);
    struct storage_block block;
    int64_t before_ms = INT64_MIN;
    enum status status;
    while ((status = storage_cursor_next(tier, *cursor, &block, &err)) == STATUS_OK) {
        if (storage_cursor_load(tier, *cursor, &block, &err) != STATUS_OK)
            break;
        for (uint32_t i = 0; i < block.count; i++) {
            if (block.times[i] <= before_ms || !names_series(block.values[i], expected))
                return fixture_no(why, "series %" PRIu32 ", id %" PRIu32 ": %f at %" PRId64,
                                  expected, series.id, block.values[i], block.times[i]);
            before_ms = block.times[i];
        }
    }
    return status == STATUS_END ? true
                                : fixture_no(why, "series %" PRIu32 ": %s", expected, err.message);
}

static void *look(void *context)
{
    struct scene *scene = context;
    while (!atomic_load(&scene->done)) {
        struct matchers everything = {0};
        struct select_options options = {.range = fixture_always(), .ordered = true};
        struct selection *selection;
        if (storage_select(scene->tier, &everything, 1, &options, &selection, NULL) != STATUS_OK) {
            found_wrong(scene, "look", "cannot select");
            break;
        }
        struct storage_cursor *cursor = NULL;
        size_t count = selection_count(scene->tier, selection);
        char why[FIXTURE_WHY_SIZE];
        for (size_t i = 0; i < count; i++)
            if (!read_series(scene->tier, selection, i, &cursor, why))
                found_wrong(scene, "look", why);
        selection_close(scene->tier, selection);
        atomic_fetch_add(&scene->looks, 1);
        rest(scene, 1);
    }
    return NULL;
}

static void *list_and_set(void *context)
{
    struct scene *scene = context;
    for (unsigned i = 0; !atomic_load(&scene->done); i++) {
        struct engine_stats stats;
        engine_stats(scene->tier, &stats);
        struct storage_condition condition;
        storage_condition(scene->tier, &condition);
        if (condition.health != STORAGE_HEALTHY)
            found_wrong(scene, "condition", condition.message);
        struct matchers everything = {0};
        bool partial = false;
        if (storage_metrics(scene->tier, i % 2 == 0 ? NULL : &everything, fixture_ignore_metric,
                            NULL, NULL, &partial, NULL) != STATUS_OK ||
            partial || storage_chunks(scene->tier, fixture_ignore_chunk, NULL, NULL) != STATUS_OK)
            found_wrong(scene, "list", "cannot list");
        engine_set_warm_after(scene->tier, i % 2 == 0 ? DAY / 24 : 100 * DAY);
        engine_set_retention(scene->tier, (DAYS + 1) * DAY);
        struct error err = {0};
        enum status status = engine_flush(scene->tier, &err);
        if (status != STATUS_OK && status != STATUS_BUSY)
            found_wrong(scene, "flush", err.message);
        rest(scene, 30);
    }
    return NULL;
}

/* ---- snapshots ----------------------------------------------------------------------------- */

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *place)
{
    (void)status, (void)type, (void)place;
    return remove(path);
}

static void note_finding(void *context, enum engine_finding finding, const char *path,
                         const char *description)
{
    (void)finding;
    printf("verify: %s: %s\n", path, description);
    atomic_fetch_add((atomic_uint *)context, 1);
}

static bool snapshot_is_right(struct scene *scene, struct owner *owner, const char *dir,
                              const struct ledger *then, char why[FIXTURE_WHY_SIZE])
{
    struct engine_verify_result found;
    struct error err = {0};
    if (engine_verify(os_system(), dir, note_finding, NULL, &scene->wrong, &found, &err) !=
        STATUS_OK) {
        snprintf(why, FIXTURE_WHY_SIZE, "verify: %.200s", err.message);
        return false;
    }
    struct engine_options options = scene->store.options;
    options.dir = dir;
    options.read_only = true;
    options.background = false;
    struct tier *copy;
    if (engine_open(&options, &copy, &err) != STATUS_OK) {
        snprintf(why, FIXTURE_WHY_SIZE, "open: %.200s", err.message);
        return false;
    }
    bool same = owner_finds_its_own(owner, copy, then, why);
    engine_close(copy);
    return same;
}

static void *snapshot(void *context)
{
    struct scene *scene = context;
    char dir[PATH_SIZE];
    snprintf(dir, sizeof dir, "%s/snapshots/one", scene->store.dir);
    for (unsigned i = 0; !atomic_load(&scene->done); i++) {
        rest(scene, 10);
        if (atomic_load(&scene->quiet))
            continue;
        struct owner *owner = &scene->owners[i % OWNERS];
        struct engine_snapshot_result result;
        struct error err = {0};
        struct ledger then;
        pthread_mutex_lock(&owner->lock);
        ledger_copy(&then, &owner->ledger);
        enum status status = engine_snapshot(scene->tier, dir, false, &result, &err);
        pthread_mutex_unlock(&owner->lock);
        char why[FIXTURE_WHY_SIZE] = "";
        if (status != STATUS_OK)
            found_wrong(scene, "snapshot", err.message);
        else if (!snapshot_is_right(scene, owner, dir, &then, why))
            found_wrong(scene, "a snapshot", why);
        ledger_release(&then);
        if (status == STATUS_OK && nftw(dir, remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0)
            found_wrong(scene, "snapshot", "cannot remove it");
        atomic_fetch_add(&scene->snapshots, 1);
    }
    return NULL;
}

/* ---- the scene ----------------------------------------------------------------------------- */

static void scene_init(struct scene *scene)
{
    *scene = (struct scene){0};
    store_init(&scene->store, 64 * 1024);
    scene->store.options.background = true;
    scene->store.options.merge_fan_in = 3;
    scene->store.options.log_segment_bytes = 64 * 1024;
    scene->store.options.retention_ms = (DAYS + 1) * DAY;
    scene->store.options.warm_after_ms = DAY / 24;
    store_reopen(&scene->store);
    scene->tier = scene->store.tier;
    scene->now_ms = clock_wall_ms(scene->store.options.os.clock);
    pthread_mutex_init(&scene->commit_lock, NULL);
    for (uint32_t i = 0; i < OWNERS; i++) {
        struct owner *owner = &scene->owners[i];
        owner->scene = scene;
        owner->number = i;
        owner->random = i + 100;
        pthread_mutex_init(&owner->lock, NULL);
        ledger_init(&owner->ledger, OWNERS * OWN);
        for (uint32_t s = 0; s < OWN; s++)
            owner->only[i * OWN + s] = true;
    }
    char dir[PATH_SIZE];
    snprintf(dir, sizeof dir, "%s/snapshots", scene->store.dir);
    assert_int_equal(mkdir(dir, 0700), 0);
}

static void scene_release(struct scene *scene)
{
    for (uint32_t i = 0; i < OWNERS; i++) {
        ledger_release(&scene->owners[i].ledger);
        pthread_mutex_destroy(&scene->owners[i].lock);
    }
    pthread_mutex_destroy(&scene->commit_lock);
    store_release(&scene->store);
}

/* The first kind of work that has not been done yet, or NULL. What gives way to everything else is
 * asked for once it is quiet. */
static const char *not_done_yet(struct scene *scene)
{
    struct engine_stats stats;
    engine_stats(scene->tier, &stats);
    bool quiet = atomic_load(&scene->quiet);
    const struct {
        const char *what;
        bool now;
        uint64_t times;
    } work[] = {
        {"flush", true, stats.flushes},
        {"merge", true, stats.merges},
        {"delete", true, stats.deletes},
        {"snapshot", true, atomic_load(&scene->snapshots)},
        {"look", true, atomic_load(&scene->looks)},
        {"retention", quiet, stats.chunks_dropped},
        {"warm step", quiet, stats.warm_merges},
        {"merge of the index", quiet, stats.index_merges},
        {"id taken back", quiet, stats.series_ids_freed},
    };
    for (size_t i = 0; i < sizeof work / sizeof work[0]; i++)
        if (work[i].now && work[i].times == 0)
            return work[i].what;
    return NULL;
}

/* False when time is up. */
static bool wait_until_done(struct scene *scene, int64_t at_least_ms)
{
    struct clock *clock = scene->store.options.os.clock;
    int64_t began_ns = clock_monotonic_ns(clock);
    for (;;) {
        int64_t passed_ms = (clock_monotonic_ns(clock) - began_ns) / 1000000;
        const char *missing = not_done_yet(scene);
        if (atomic_load(&scene->done) || (missing == NULL && passed_ms >= at_least_ms))
            return true;
        if (passed_ms >= DEADLINE_MS) {
            found_wrong(scene, "never done", missing);
            return false;
        }
        clock_sleep_ms(clock, 10);
    }
}

static void run(struct scene *scene)
{
    bool all = wait_until_done(scene, RUN_MS);
    atomic_store(&scene->quiet, true);
    if (all)
        (void)wait_until_done(scene, 0);
    atomic_store(&scene->done, true);
}

static void each_owner_finds_its_own(struct scene *scene)
{
    for (uint32_t i = 0; i < OWNERS; i++) {
        char why[FIXTURE_WHY_SIZE] = "";
        struct owner *owner = &scene->owners[i];
        if (!owner_finds_its_own(owner, scene->store.tier, &owner->ledger, why))
            test_fail("owner %" PRIu32 ": %s", i, why);
    }
}

static void every_writer_finds_what_it_wrote_while_everything_goes_on(void **state)
{
    (void)state;
    struct scene scene;
    scene_init(&scene);
    struct {
        void *(*run)(void *);
        void *context;
    } actors[] = {
        {own, &scene.owners[0]}, {own, &scene.owners[1]}, {visit, &scene},    {look, &scene},
        {look, &scene},          {list_and_set, &scene},  {snapshot, &scene},
    };
    enum { ACTORS = sizeof actors / sizeof actors[0] };
    pthread_t threads[ACTORS];
    for (size_t i = 0; i < ACTORS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, actors[i].run, actors[i].context), 0);
    run(&scene);
    for (size_t i = 0; i < ACTORS; i++)
        pthread_join(threads[i], NULL);
    struct engine_stats stats;
    engine_stats(scene.tier, &stats);
    printf("%" PRIu64 " commits, %" PRIu64 " deletes, %u looks, %u snapshots, %" PRIu64
           " flushes, %" PRIu64 " merges, %" PRIu64 " warm, %" PRIu64 " ids taken back\n",
           stats.commits, stats.deletes, atomic_load(&scene.looks), atomic_load(&scene.snapshots),
           stats.flushes, stats.merges, stats.warm_merges, stats.series_ids_freed);
    assert_int_equal(atomic_load(&scene.wrong), 0);
    each_owner_finds_its_own(&scene);
    store_reopen(&scene.store);
    each_owner_finds_its_own(&scene);
    store_kill(&scene.store);
    each_owner_finds_its_own(&scene);
    scene_release(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_writer_finds_what_it_wrote_while_everything_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

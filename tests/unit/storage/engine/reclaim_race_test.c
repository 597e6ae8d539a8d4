/*
 * Ids that nothing defines are looked for in several looks, between which others have series_lock:
 * what happens then must never free an id that is in use, nor one that is free. Each thing that can
 * happen is tried at each of these points, in one thread: behind the n-th hold of the lock.
 */
#include "../../test.h"

#include "scene.h"
#include "storage/engine/engine_internal.h"

enum {
    KNOWN = 10,            /* series of the store, with the ids from 0 on, and as many with those */
    LOST = 10,             /* behind these: given once, and forgotten with a kill */
    HELD = 5,              /* series of the batch that is on its way while ids are looked for */
    BROUGHT = 20,          /* series that come when all is over: more than there are free ids */
    SERIES = 2 * KNOWN,    /* of the ledger: that are committed at first */
    FIRST_LOGGED = SERIES, /* in no segment yet */
    FIRST_HELD = FIRST_LOGGED + HELD,
    FIRST_MEANWHILE = FIRST_HELD + HELD,
    FIRST_BROUGHT = FIRST_MEANWHILE + HELD,
    ALL = FIRST_BROUGHT + BROUGHT,
    ANY_BATCH = 1000, /* its series are never committed */
    HOLDS_MAX = 64,
    HEAD = 8 << 20,
};

#define NOW INT64_C(1750000000000)

/* A batch of so many series, from resolve on. */
struct held_batch {
    struct arena arena;
    struct batch batch;
    bool held;
};

struct test {
    struct scene scene;
    struct held_batch batch;
    uint64_t committed;
};

static struct rwlock *watched; /* NULL: nothing happens */
static void (*meanwhile)(struct test *test);
static struct test *running;
static unsigned holds, happens_behind;

void __real_rwlock_unlock(struct rwlock *lock);
void __wrap_rwlock_unlock(struct rwlock *lock);

void __wrap_rwlock_unlock(struct rwlock *lock)
{
    __real_rwlock_unlock(lock);
    if (lock != watched || ++holds != happens_behind)
        return;
    watched = NULL;
    meanwhile(running);
}

/* ---- batches that take their time ------------------------------------------------------- */

static enum status decode(struct slice raw, struct arena *arena, struct labels *labels,
                          struct error *err)
{
    labels->items = arena_calloc(arena, 2, sizeof labels->items[0]);
    if (labels->items == NULL)
        return fail(err, arena_status(arena), "no memory for labels");
    labels->items[0] = (struct label){slice_from_text(METRIC_NAME_LABEL), slice_from_text("held")};
    labels->items[1] = (struct label){slice_from_text("n"), raw};
    labels->count = 2;
    return STATUS_OK;
}

/* Ids are reserved from now on. */
static void hold(struct test *test, uint32_t first, uint32_t count)
{
    struct held_batch *held = &test->batch;
    struct error err = {0};
    arena_init(&held->arena, 1 << 20);
    batch_init(&held->batch, &held->arena, decode, 2);
    for (uint32_t i = 0; i < count; i++) {
        char text[16];
        uint32_t entry;
        snprintf(text, sizeof text, "%u", first + i);
        struct slice raw = arena_copy(&held->arena, slice_from_text(text));
        assert_int_equal(batch_add_series(&held->batch, raw, i, i + 1, &entry), STATUS_OK);
        assert_int_equal(batch_add_sample(&held->batch, entry, NOW, i), STATUS_OK);
    }
    if (storage_resolve(test->scene.store.tier, &held->batch, NULL, &err) != STATUS_OK)
        test_fail("%s", err.message);
    assert_int_equal(held->batch.reserved_count, count);
    held->held = true;
}

static void let_go(struct test *test)
{
    storage_settle(test->scene.store.tier, &test->batch.batch);
    arena_release(&test->batch.arena);
    test->batch.held = false;
}

/* ---- the store -------------------------------------------------------------------------- */

static void put(struct test *test, uint32_t first, uint32_t count)
{
    struct fixture_sample samples[BROUGHT];
    assert_true(count <= BROUGHT);
    for (uint32_t i = 0; i < count; i++)
        samples[i] = (struct fixture_sample){first + i, NOW + i, first + i};
    scene_put(&test->scene, samples, count);
    test->committed += count;
}

/* Series with ids around LOST ones that nothing defines; and a batch on its way, whose ids are
 * behind them. */
static void begin(struct test *test)
{
    *test = (struct test){0};
    scene_begin(&test->scene, HEAD, ALL);
    put(test, 0, KNOWN);
    hold(test, ANY_BATCH, LOST);
    put(test, KNOWN, KNOWN);
    let_go(test);
    store_kill(&test->scene.store);
    store_flush(&test->scene.store);
    const struct series_space *space = &engine_of(test->scene.store.tier)->index.space;
    assert_int_equal(space->next_series, 2 * KNOWN + LOST);
    assert_int_equal(space->free_count, 0);
    put(test, FIRST_LOGGED, HELD);
    hold(test, FIRST_HELD, HELD);
}

static bool step(struct test *test)
{
    struct engine *engine = engine_of(test->scene.store.tier);
    struct error err = {0};
    bool did;
    mutex_lock(&engine->maintenance_lock);
    enum status status = engine_reclaim_step(engine, &did, &err);
    mutex_unlock(&engine->maintenance_lock);
    if (status != STATUS_OK)
        test_fail("%s", err.message);
    return did;
}

/* No id is free twice, and none that anything defines. */
static void check_free_ids(struct test *test)
{
    struct series_index *index = &engine_of(test->scene.store.tier)->index;
    roaring_bitmap_t *seen = roaring_bitmap_create();
    for (uint32_t i = 0; i < index->space.free_count; i++) {
        uint32_t id = index->space.free_series[i];
        if (!roaring_bitmap_add_checked(seen, id))
            test_fail("id %u is free twice", id);
        if (series_index_get(index, id, NULL) != NULL || series_index_has_committed(index, id))
            test_fail("id %u is free and in use", id);
    }
    roaring_bitmap_free(seen);
}

/* Looks for ids, while something happens behind the n-th hold of the lock. Returns how many ids
 * were found then, and whether it happened at all. */
static bool look(struct test *test, unsigned n, uint64_t *found)
{
    struct engine *engine = engine_of(test->scene.store.tier);
    running = test;
    holds = 0;
    happens_behind = n;
    watched = &engine->series_lock;
    assert_true(step(test));
    bool happened = watched == NULL;
    watched = NULL;
    assert_int_equal(engine->reclaim.stage, RECLAIM_DRAINING);
    *found = roaring_bitmap_get_cardinality(engine->reclaim.freed);
    return happened;
}

static void expect_all_right(struct test *test)
{
    struct engine *engine = engine_of(test->scene.store.tier);
    if (test->batch.held)
        let_go(test);
    while (step(test))
        check_free_ids(test);
    assert_int_equal(engine->reclaim.stage, RECLAIM_IDLE);
    check_free_ids(test);
    put(test, FIRST_BROUGHT, BROUGHT);
    check_free_ids(test);
    assert_int_equal(scene_stats(&test->scene).series_committed, test->committed);
    scene_check(&test->scene);
    /* What was left for another time goes then. */
    atomic_store(&engine->reclaim.due, true);
    while (step(test))
        check_free_ids(test);
    scene_check_all_ways(&test->scene);
    assert_int_equal(scene_stats(&test->scene).series_committed, test->committed);
}

/* How often ids were found, and how often none, since there were others in between. */
struct outcomes {
    unsigned found, left;
};

static struct outcomes try_everywhere(void (*what)(struct test *test))
{
    struct outcomes outcomes = {0};
    bool happened = true;
    meanwhile = what;
    for (unsigned n = 1; happened; n++) {
        struct test test;
        uint64_t found;
        assert_true(n < HOLDS_MAX);
        begin(&test);
        happened = look(&test, n, &found);
        expect_all_right(&test);
        scene_end(&test.scene);
        assert_true(found == 0 || found == LOST);
        outcomes.found += happened && found == LOST;
        outcomes.left += happened && found == 0;
    }
    return outcomes;
}

/* ---- what may happen -------------------------------------------------------------------- */

static void give_up(struct test *test)
{
    let_go(test);
}

static void ids_that_come_back_meanwhile_are_not_freed_once_more(void **state)
{
    (void)state;
    struct outcomes outcomes = try_everywhere(give_up);
    assert_true(outcomes.found > 0 && outcomes.left > 0);
}

static void give_up_and_bring_others(struct test *test)
{
    let_go(test);
    put(test, FIRST_MEANWHILE, HELD);
}

static void ids_that_come_back_and_are_given_again_meanwhile_are_not_freed(void **state)
{
    (void)state;
    struct outcomes outcomes = try_everywhere(give_up_and_bring_others);
    assert_true(outcomes.found > 0 && outcomes.left > 0);
}

static void give_up_bring_others_and_flush(struct test *test)
{
    give_up_and_bring_others(test);
    store_flush(&test->scene.store);
}

static void ids_that_come_into_a_segment_meanwhile_are_not_freed(void **state)
{
    (void)state;
    struct outcomes outcomes = try_everywhere(give_up_bring_others_and_flush);
    assert_true(outcomes.found > 0 && outcomes.left > 0);
}

static void bring_others_and_flush(struct test *test)
{
    put(test, FIRST_MEANWHILE, HELD);
    store_flush(&test->scene.store);
}

/* No id that was free is given: they all are new. */
static void ids_that_are_new_meanwhile_are_not_freed(void **state)
{
    (void)state;
    struct outcomes outcomes = try_everywhere(bring_others_and_flush);
    assert_true(outcomes.found > 0);
    assert_int_equal(outcomes.left, 0);
}

static void flush(struct test *test)
{
    store_flush(&test->scene.store);
}

static void series_that_a_flush_moves_meanwhile_keep_their_ids(void **state)
{
    (void)state;
    struct outcomes outcomes = try_everywhere(flush);
    assert_true(outcomes.found > 0);
    assert_int_equal(outcomes.left, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_that_come_back_meanwhile_are_not_freed_once_more),
        cmocka_unit_test(ids_that_come_back_and_are_given_again_meanwhile_are_not_freed),
        cmocka_unit_test(ids_that_come_into_a_segment_meanwhile_are_not_freed),
        cmocka_unit_test(ids_that_are_new_meanwhile_are_not_freed),
        cmocka_unit_test(series_that_a_flush_moves_meanwhile_keep_their_ids),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

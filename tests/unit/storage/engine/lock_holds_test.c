/*
 * What is done while series_lock is held does not grow with the number of series: calls that free
 * memory, or that go through sets of ids, are counted for each hold.
 */
#include "../../test.h"

#include <roaring/roaring.h>

#include "base/times.h"
#include "scene.h"
#include "storage/engine/engine_internal.h"

/* In many pages and containers of each set; and what a hold may do at the most. */
enum { SERIES = 100000, BATCH = 10000, MOST_CALLS = 100 };

static struct rwlock *watched;
static bool held;
static unsigned calls, most_calls;

void __real_rwlock_read(struct rwlock *lock);
void __real_rwlock_write(struct rwlock *lock);
void __real_rwlock_unlock(struct rwlock *lock);
void __real_free(void *memory);
void __real_roaring_bitmap_remove(roaring_bitmap_t *set, uint32_t id);
void __real_roaring_bitmap_or_inplace(roaring_bitmap_t *set, const roaring_bitmap_t *other);
bool __real_roaring_bitmap_intersect(const roaring_bitmap_t *set, const roaring_bitmap_t *other);

static void begin_hold(const struct rwlock *lock)
{
    if (lock != watched)
        return;
    held = true;
    calls = 0;
}

static void count_call(unsigned weight)
{
    if (!held)
        return;
    calls += weight;
    if (calls > most_calls)
        most_calls = calls;
}

void __wrap_rwlock_read(struct rwlock *lock);
void __wrap_rwlock_write(struct rwlock *lock);
void __wrap_rwlock_unlock(struct rwlock *lock);
void __wrap_free(void *memory);
void __wrap_roaring_bitmap_remove(roaring_bitmap_t *set, uint32_t id);
void __wrap_roaring_bitmap_or_inplace(roaring_bitmap_t *set, const roaring_bitmap_t *other);
bool __wrap_roaring_bitmap_intersect(const roaring_bitmap_t *set, const roaring_bitmap_t *other);

void __wrap_rwlock_read(struct rwlock *lock)
{
    __real_rwlock_read(lock);
    begin_hold(lock);
}

void __wrap_rwlock_write(struct rwlock *lock)
{
    __real_rwlock_write(lock);
    begin_hold(lock);
}

void __wrap_rwlock_unlock(struct rwlock *lock)
{
    held = held && lock != watched;
    __real_rwlock_unlock(lock);
}

void __wrap_free(void *memory)
{
    count_call(1);
    __real_free(memory);
}

void __wrap_roaring_bitmap_remove(roaring_bitmap_t *set, uint32_t id)
{
    count_call(1);
    __real_roaring_bitmap_remove(set, id);
}

/* These go through all of both sets. */
void __wrap_roaring_bitmap_or_inplace(roaring_bitmap_t *set, const roaring_bitmap_t *other)
{
    count_call(MOST_CALLS + 1);
    __real_roaring_bitmap_or_inplace(set, other);
}

bool __wrap_roaring_bitmap_intersect(const roaring_bitmap_t *set, const roaring_bitmap_t *other)
{
    count_call(MOST_CALLS + 1);
    return __real_roaring_bitmap_intersect(set, other);
}

static void begin(struct scene *scene)
{
    scene_begin(scene, (size_t)64 << 20, 2 * SERIES);
    watched = &engine_of(scene->store.tier)->series_lock;
    held = false;
}

static void put_many(struct scene *scene, uint32_t first, int64_t time_ms)
{
    static struct fixture_sample samples[BATCH];
    for (uint32_t done = 0; done < SERIES; done += BATCH) {
        for (uint32_t i = 0; i < BATCH; i++)
            samples[i] = (struct fixture_sample){first + done + i, time_ms, i};
        scene_put(scene, samples, BATCH);
    }
}

static void a_flush_frees_the_table_and_compares_segments_without_the_lock(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    int64_t now_ms = clock_wall_ms(scene.store.options.os.clock);
    for (uint32_t i = 0; i < 2; i++) {
        put_many(&scene, i * SERIES, now_ms);
        most_calls = 0;
        store_flush(&scene.store);
        assert_in_range(most_calls, 0, MOST_CALLS);
    }
    assert_int_equal(scene_stats(&scene).index_segments, 2);
    scene_end(&scene);
}

static void reclaiming_looks_for_ids_a_few_at_a_time(void **state)
{
    (void)state;
    struct scene scene;
    begin(&scene);
    int64_t now_ms = clock_wall_ms(scene.store.options.os.clock);
    put_many(&scene, 0, now_ms - 5 * (int64_t)MS_PER_DAY);
    store_flush(&scene.store);
    put_many(&scene, SERIES, now_ms);
    engine_set_retention(scene.store.tier, 2 * (int64_t)MS_PER_DAY);
    most_calls = 0;
    store_settle_down(&scene.store);
    assert_in_range(most_calls, 0, MOST_CALLS);
    ledger_drop_before(&scene.ledger, now_ms - 2 * (int64_t)MS_PER_DAY);
    store_flush(&scene.store);
    /* Now the log does not define the old ones any more. */
    atomic_store(&engine_of(scene.store.tier)->reclaim.due, true);
    store_settle_down(&scene.store);
    assert_int_equal(scene_stats(&scene).series_committed, SERIES);
    assert_int_equal(scene_stats(&scene).series_ids_freed, SERIES);
    scene_end(&scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_flush_frees_the_table_and_compares_segments_without_the_lock),
        cmocka_unit_test(reclaiming_looks_for_ids_a_few_at_a_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

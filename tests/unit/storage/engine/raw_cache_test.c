#include "../../pseudo_random.h"
#include "../../test.h"

#include "storage/engine/raw_cache.h"

enum { FIRST = 4096, TICK = 3 };

static uint32_t find(struct raw_cache *cache, struct hash128 hash)
{
    bool stale;
    return raw_cache_find(cache, hash, TICK, &stale);
}

static struct hash128 random_hash(uint64_t *random)
{
    uint64_t low = random_next(random);
    return (struct hash128){low, random_next(random)};
}

static void what_was_put_in_is_found_until_the_cache_is_full(void **state)
{
    (void)state;
    struct raw_cache cache;
    assert_int_equal(raw_cache_init(&cache, 16 << 20), STATUS_OK);
    enum { COUNT = 100000 };
    uint64_t random = 1;
    for (uint32_t id = 0; id < COUNT; id++)
        raw_cache_insert(&cache, random_hash(&random), id, TICK);
    uint32_t missing = 0;
    random = 1;
    for (uint32_t id = 0; id < COUNT; id++) {
        uint32_t found = find(&cache, random_hash(&random));
        assert_true(found == id || found == UINT32_MAX);
        missing += found == UINT32_MAX;
    }
    assert_int_equal(cache.count, COUNT - missing);
    /* Some windows were full before the table grew. */
    assert_true(missing < COUNT / 25);
    assert_int_equal(find(&cache, random_hash(&random)), UINT32_MAX);
    raw_cache_release(&cache);
}

static void the_cache_stays_within_its_maximum(void **state)
{
    (void)state;
    const size_t maximum[] = {0, 100 << 10, 1 << 20, 3 << 20};
    for (size_t i = 0; i < 4; i++) {
        struct raw_cache cache;
        assert_int_equal(raw_cache_init(&cache, maximum[i]), STATUS_OK);
        uint64_t random = 2;
        for (uint32_t id = 0; id < 500000; id++)
            raw_cache_insert(&cache, random_hash(&random), id, TICK);
        /* The first table is always there, and a window beyond the last place. */
        size_t first = (FIRST + RAW_CACHE_WINDOW) * sizeof(struct raw_cache_entry);
        size_t bound = maximum[i] + RAW_CACHE_WINDOW * sizeof(struct raw_cache_entry);
        assert_true(raw_cache_memory(&cache) <= (bound > first ? bound : first));
        assert_true(cache.count <= cache.mask + RAW_CACHE_WINDOW);
        assert_true(cache.evictions > 0);
        raw_cache_release(&cache);
    }
}

static void the_same_hash_again_replaces_its_id(void **state)
{
    (void)state;
    struct raw_cache cache;
    assert_int_equal(raw_cache_init(&cache, 0), STATUS_OK);
    struct hash128 hash = {77, 1}, other = {77, 2};
    raw_cache_insert(&cache, hash, 1, TICK);
    raw_cache_insert(&cache, hash, 2, TICK);
    assert_int_equal(cache.count, 1);
    assert_int_equal(find(&cache, hash), 2);
    assert_int_equal(find(&cache, other), UINT32_MAX);
    raw_cache_release(&cache);
}

static void what_was_used_since_the_last_look_gets_a_second_chance(void **state)
{
    (void)state;
    struct raw_cache cache;
    assert_int_equal(raw_cache_init(&cache, 0), STATUS_OK);
    /* One window full, and one more: all marks are cleared, one entry goes. */
    for (uint32_t i = 0; i < RAW_CACHE_WINDOW + 1; i++)
        raw_cache_insert(&cache, (struct hash128){FIRST * i, i + 1}, i, TICK);
    assert_int_equal(cache.evictions, 1);
    assert_int_equal(cache.count, RAW_CACHE_WINDOW);
    /* One of them is used before each further one, and outlives all the others. */
    uint32_t kept = 5;
    for (uint32_t i = 100; i < 200; i++) {
        assert_int_equal(find(&cache, (struct hash128){FIRST * kept, kept + 1}), kept);
        raw_cache_insert(&cache, (struct hash128){FIRST * i, i + 1}, i, TICK);
    }
    for (uint32_t i = 0; i < RAW_CACHE_WINDOW + 1; i++)
        assert_int_equal(find(&cache, (struct hash128){FIRST * i, i + 1}),
                         i == kept ? kept : UINT32_MAX);
    raw_cache_release(&cache);
}

static void places_at_the_end_of_the_table_have_a_whole_window(void **state)
{
    (void)state;
    struct raw_cache cache;
    assert_int_equal(raw_cache_init(&cache, 0), STATUS_OK);
    for (uint32_t i = 0; i < RAW_CACHE_WINDOW; i++)
        raw_cache_insert(&cache, (struct hash128){FIRST - 1, i + 1}, i, TICK);
    for (uint32_t i = 0; i < RAW_CACHE_WINDOW; i++)
        assert_int_equal(find(&cache, (struct hash128){FIRST - 1, i + 1}), i);
    assert_int_equal(cache.evictions, 0);
    raw_cache_release(&cache);
}

static void an_entry_is_stale_once_in_a_tick(void **state)
{
    (void)state;
    struct raw_cache cache;
    bool stale;
    struct hash128 hash = {1, 2};
    assert_int_equal(raw_cache_init(&cache, 1 << 20), STATUS_OK);
    raw_cache_insert(&cache, hash, 7, TICK);
    assert_int_equal(raw_cache_find(&cache, hash, TICK, &stale), 7);
    assert_false(stale);
    assert_int_equal(raw_cache_find(&cache, hash, TICK + 1, &stale), 7);
    assert_true(stale);
    /* Until somebody has touched the series. */
    assert_int_equal(raw_cache_find(&cache, hash, TICK + 1, &stale), 7);
    assert_true(stale);
    raw_cache_stamp(&cache, hash, TICK + 1);
    assert_int_equal(raw_cache_find(&cache, hash, TICK + 1, &stale), 7);
    assert_false(stale);
    raw_cache_insert(&cache, hash, 7, 0);
    assert_int_equal(raw_cache_find(&cache, hash, TICK + 1, &stale), 7);
    assert_true(stale);
    assert_int_equal(raw_cache_find(&cache, (struct hash128){3, 4}, TICK, &stale), UINT32_MAX);
    assert_false(stale);
    raw_cache_release(&cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_put_in_is_found_until_the_cache_is_full),
        cmocka_unit_test(an_entry_is_stale_once_in_a_tick),
        cmocka_unit_test(the_cache_stays_within_its_maximum),
        cmocka_unit_test(the_same_hash_again_replaces_its_id),
        cmocka_unit_test(what_was_used_since_the_last_look_gets_a_second_chance),
        cmocka_unit_test(places_at_the_end_of_the_table_have_a_whole_window),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Series whose definitions turned out to be damaged are in doubt, until they have been written
 * again: not longer, not after the next damage either, and nobody else is.
 */
#include "../../test.h"

#include "scene.h"
#include "storage/engine/engine_internal.h"
#include "storage/engine/series_segment_state.h"

enum {
    OLD = 1500,  /* series of the first segment, with several pages of definitions */
    NEW = 24,    /* further ones with each flush after that */
    FLUSHES = 3, /* so many, and one of series that were written again, are merged */
    SERIES = OLD + FLUSHES * NEW,
    HEAD = 8 << 20,
    FIRST_PAGE = 1,
    SECOND_PAGE = 3,
    PAGES = 5,      /* at least */
    EVICTIONS = 32, /* fewer than ever are in doubt */
};

#define NOW INT64_C(1750000000000)

struct test {
    struct scene scene;
    int64_t time_ms;                /* of the next batch */
    roaring_bitmap_t *again, *left; /* of the first page: written again, and not yet */
    roaring_bitmap_t *second;       /* of the second page */
};

static struct series_index *index_of(struct test *test)
{
    return &engine_of(test->scene.store.tier)->index;
}

/* Series are numbered in the order of their ids. */
static void put(struct test *test, const roaring_bitmap_t *ids)
{
    struct fixture_sample samples[SERIES];
    size_t count = 0;
    for (uint32_t id = 0; id < SERIES; id++)
        if (roaring_bitmap_contains(ids, id))
            samples[count++] = (struct fixture_sample){id, test->time_ms, id};
    scene_put(&test->scene, samples, count);
    test->time_ms += 1000;
}

static void put_range(struct test *test, uint32_t first, uint32_t end)
{
    roaring_bitmap_t *ids = roaring_bitmap_from_range(first, end, 1);
    put(test, ids);
    roaring_bitmap_free(ids);
}

static const struct series_segment *segment_with(struct test *test, uint32_t id)
{
    const struct series_segment *segment = segment_set_with(index_of(test)->segments, id);
    assert_non_null(segment);
    return segment;
}

static roaring_bitmap_t *ids_of_page(const struct series_segment *segment, size_t page)
{
    assert_true(page < segment->page_count);
    roaring_bitmap_t *ids = roaring_bitmap_from_range(
        segment->pages[page].first_id, (uint64_t)segment_page_last_id(segment, page) + 1, 1);
    roaring_bitmap_and_inplace(ids, series_segment_ids(segment));
    assert_true(roaring_bitmap_get_cardinality(ids) > 1);
    return ids;
}

/* Reads the labels of all series, and returns how many have to be left out. */
static uint64_t query(struct test *test)
{
    struct tier *tier = test->scene.store.tier;
    struct select_options options = {.range = fixture_always()};
    struct selection *selection = scene_select(&test->scene, &options);
    uint64_t left_out = 0;
    for (size_t i = 0; i < selection_count(tier, selection); i++) {
        struct selected_series series;
        struct error err = {0};
        enum status status = selection_series(tier, selection, i, &series, &err);
        if (status != STATUS_OK && status != STATUS_CORRUPT)
            test_fail("%s", err.message);
        left_out += status == STATUS_CORRUPT;
    }
    struct read_stats stats;
    selection_stats(tier, selection, &stats);
    assert_int_equal(stats.partial, left_out > 0);
    selection_close(tier, selection);
    return left_out;
}

/* Damages a page of definitions, and has a query come to it. */
static void damage(struct test *test, const struct series_segment *segment, size_t page)
{
    const struct segment_page_entry *entry = &segment->pages[page];
    scene_flip(segment->path, (long)(entry->offset + entry->size / 2));
    query(test);
}

/* A batch looks for new damage before anything else: this one is of a series that is sound. */
static void have_it_looked_for(struct test *test)
{
    put_range(test, 0, 1);
}

static void expect_doubts(struct test *test, const roaring_bitmap_t *expected)
{
    for (uint32_t id = 0; id < SERIES; id++)
        if (series_index_is_doubtful(index_of(test), id) != roaring_bitmap_contains(expected, id))
            test_fail("series %u is %sin doubt", id,
                      roaring_bitmap_contains(expected, id) ? "not " : "");
}

static uint64_t doubts_held(struct test *test)
{
    const roaring_bitmap_t *doubtful = index_of(test)->doubtful;
    return doubtful == NULL ? 0 : roaring_bitmap_get_cardinality(doubtful);
}

/* A batch that the cache knows all series of, but for those that it has given up for others. */
static void expect_known(struct test *test, const roaring_bitmap_t *ids)
{
    struct engine_stats before = scene_stats(&test->scene);
    put(test, ids);
    struct engine_stats after = scene_stats(&test->scene);
    assert_true(after.raw_cache_misses - before.raw_cache_misses <= after.raw_cache_evictions);
    assert_true(after.raw_cache_evictions < EVICTIONS);
}

/* The first page is damaged, and half of its series are written again. */
static void begin(struct test *test)
{
    *test = (struct test){.time_ms = NOW};
    scene_begin(&test->scene, HEAD, SERIES);
    put_range(test, 0, OLD);
    store_flush(&test->scene.store);
    const struct series_segment *first = segment_with(test, 0);
    assert_true(first->page_count >= PAGES);
    test->again = ids_of_page(first, FIRST_PAGE);
    test->second = ids_of_page(first, SECOND_PAGE);
    test->left = roaring_bitmap_create();
    uint64_t half = roaring_bitmap_get_cardinality(test->again) / 2;
    for (uint64_t i = 0; i < half; i++) {
        uint32_t id = roaring_bitmap_minimum(test->again);
        roaring_bitmap_add(test->left, id);
        roaring_bitmap_remove(test->again, id);
    }
    damage(test, first, FIRST_PAGE);
    have_it_looked_for(test);
    put(test, test->again);
    assert_int_equal(doubts_held(test), half);
    expect_doubts(test, test->left);
    expect_known(test, test->again);
}

/* What was written again comes into a segment of its own, which is merged with others. */
static void merge_it(struct test *test)
{
    uint32_t one = roaring_bitmap_minimum(test->again);
    store_flush(&test->scene.store);
    for (uint32_t i = 0; i < FLUSHES; i++) {
        put_range(test, OLD + i * NEW, OLD + (i + 1) * NEW);
        store_flush(&test->scene.store);
    }
    assert_int_equal(index_of(test)->segments->count, 2 + FLUSHES);
    store_settle_down(&test->scene.store);
    assert_int_equal(index_of(test)->segments->count, 2);
    assert_true(series_segment_has(segment_with(test, one), OLD));
    expect_doubts(test, test->left);
}

/* All that was ever in doubt is written, and nothing is in doubt any more. */
static void expect_all_healed(struct test *test)
{
    roaring_bitmap_t *all = roaring_bitmap_from_range(0, SERIES, 1);
    roaring_bitmap_t *none = roaring_bitmap_create();
    put(test, all);
    assert_int_equal(doubts_held(test), 0);
    expect_doubts(test, none);
    expect_known(test, all);
    roaring_bitmap_free(all);
    roaring_bitmap_free(none);
}

static void ignore_finding(void *context, enum engine_finding finding, const char *path,
                           const char *description)
{
    (void)context, (void)finding, (void)path, (void)description;
}

static void repair(struct test *test)
{
    struct scene *scene = &test->scene;
    struct engine_repair_result result;
    struct error err = {0};
    engine_close(scene->store.tier);
    scene->store.tier = NULL;
    if (engine_repair(&scene->store.options, ignore_finding, NULL, NULL, &result, &err) !=
        STATUS_OK)
        test_fail("%s", err.message);
    assert_true(result.found.damaged > 0);
    assert_int_equal(result.left.damaged, 0);
    assert_int_equal(result.losses, 0);
    if (engine_open(&scene->store.options, &scene->store.tier, &err) != STATUS_OK)
        test_fail("%s", err.message);
}

static void end(struct test *test)
{
    roaring_bitmap_free(test->again);
    roaring_bitmap_free(test->left);
    roaring_bitmap_free(test->second);
    scene_end(&test->scene);
}

static void after_a_second_damage_only_what_was_not_written_again_is_in_doubt(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    merge_it(&test);
    damage(&test, segment_with(&test, 0), SECOND_PAGE);
    have_it_looked_for(&test);
    roaring_bitmap_t *expected = roaring_bitmap_or(test.left, test.second);
    expect_doubts(&test, expected);
    assert_int_equal(doubts_held(&test), roaring_bitmap_get_cardinality(expected));
    roaring_bitmap_free(expected);
    expect_all_healed(&test);
    end(&test);
}

static void a_series_written_again_is_in_doubt_once_more_when_that_is_damaged_too(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    merge_it(&test);
    const struct series_segment *merged = segment_with(&test, OLD);
    roaring_bitmap_t *expected = ids_of_page(merged, 0);
    roaring_bitmap_or_inplace(expected, test.left);
    assert_true(roaring_bitmap_is_subset(test.again, expected));
    damage(&test, merged, 0);
    have_it_looked_for(&test);
    expect_doubts(&test, expected);
    roaring_bitmap_free(expected);
    expect_all_healed(&test);
    end(&test);
}

static void what_is_held_of_doubts_is_never_more_than_the_damaged_pages_have(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    uint64_t most =
        roaring_bitmap_get_cardinality(test.again) + roaring_bitmap_get_cardinality(test.left);
    /* Found by each query again. */
    for (int i = 0; i < 20; i++) {
        query(&test);
        have_it_looked_for(&test);
        assert_true(doubts_held(&test) <= most);
        expect_doubts(&test, test.left);
    }
    expect_all_healed(&test);
    end(&test);
}

static void after_a_repair_nothing_is_in_doubt(void **state)
{
    (void)state;
    struct test test;
    begin(&test);
    merge_it(&test);
    damage(&test, segment_with(&test, 0), SECOND_PAGE);
    have_it_looked_for(&test);
    expect_all_healed(&test);
    repair(&test);
    scene_check(&test.scene);
    have_it_looked_for(&test);
    assert_null(index_of(&test)->doubtful);
    expect_all_healed(&test);
    assert_null(index_of(&test)->doubtful);
    struct storage_condition condition;
    storage_condition(test.scene.store.tier, &condition);
    assert_int_equal(condition.health, STORAGE_HEALTHY);
    scene_check_all_ways(&test.scene);
    assert_null(index_of(&test)->doubtful);
    end(&test);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(after_a_second_damage_only_what_was_not_written_again_is_in_doubt),
        cmocka_unit_test(a_series_written_again_is_in_doubt_once_more_when_that_is_damaged_too),
        cmocka_unit_test(what_is_held_of_doubts_is_never_more_than_the_damaged_pages_have),
        cmocka_unit_test(after_a_repair_nothing_is_in_doubt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

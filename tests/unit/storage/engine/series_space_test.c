#include "../../pseudo_random.h"
#include "../../test.h"

#include "storage/engine/series_space.h"

static struct slice name_of(char text[24], uint32_t n)
{
    snprintf(text, 24, "metric_%u", n);
    return slice_from_text(text);
}

static void ids_that_came_to_nothing_are_given_again_and_others_never(void **state)
{
    (void)state;
    struct series_space space;
    assert_int_equal(series_space_init(&space, 1), STATUS_OK);
    enum { LENT = 3000 };
    static uint32_t lent[LENT];
    static bool kept[100000];
    uint64_t random = 3;
    for (int round = 0; round < 20; round++) {
        for (uint32_t i = 0; i < LENT; i++) {
            assert_int_equal(series_space_take(&space, &lent[i]), STATUS_OK);
            assert_false(kept[lent[i]]);
        }
        for (uint32_t i = 0; i < LENT; i++)
            if (random_below(&random, 3) == 0) {
                kept[lent[i]] = true;
                series_space_keep(&space);
            } else {
                series_space_give_back(&space, lent[i]);
            }
    }
    assert_true(space.next_series < 20 * LENT / 2);
    series_space_reach(&space, 90000);
    while (space.free_count > 0)
        assert_int_equal(series_space_take(&space, &lent[0]), STATUS_OK);
    assert_int_equal(series_space_take(&space, &lent[0]), STATUS_OK);
    assert_int_equal(lent[0], 90000);
    series_space_release(&space);
}

static void all_ids_given_is_an_error_and_not_an_old_id(void **state)
{
    (void)state;
    struct series_space space;
    uint32_t id;
    assert_int_equal(series_space_init(&space, 1), STATUS_OK);
    series_space_reach(&space, SERIES_ID_END - 1);
    assert_int_equal(series_space_take(&space, &id), STATUS_OK);
    assert_int_equal(id, SERIES_ID_END - 1);
    assert_int_equal(series_space_take(&space, &id), STATUS_MEMORY);
    series_space_release(&space);
}

static void a_metric_keeps_its_id_while_it_has_series(void **state)
{
    (void)state;
    enum { METRICS = 500 };
    static uint32_t ids[METRICS], counts[METRICS];
    struct series_space space;
    char text[24];
    uint64_t random = 7;
    assert_int_equal(series_space_init(&space, 1), STATUS_OK);
    for (int step = 0; step < 50000; step++) {
        uint32_t n = random_below(&random, METRICS);
        uint32_t found = series_space_find_metric(&space, name_of(text, n));
        assert_int_equal(found == METRIC_ID_NONE, counts[n] == 0);
        if (counts[n] > 0) {
            assert_int_equal(found, ids[n]);
            assert_int_equal(series_space_count(&space, found), counts[n]);
            assert_true(slice_equal(series_space_name(&space, found), name_of(text, n)));
        }
        if (counts[n] > 0 && random_below(&random, 2) == 0) {
            series_space_remove(&space, ids[n]);
            counts[n]--;
        } else {
            uint32_t id;
            assert_int_equal(series_space_add(&space, name_of(text, n), &id), STATUS_OK);
            assert_true(counts[n] == 0 || id == ids[n]);
            ids[n] = id;
            counts[n]++;
        }
    }
    /* None was durable: the ids went round. */
    assert_true(space.metric_count <= METRICS);
    series_space_release(&space);
}

static void the_id_of_a_metric_that_was_committed_is_never_given_to_another(void **state)
{
    (void)state;
    struct series_space space;
    uint32_t first, second;
    assert_int_equal(series_space_init(&space, 1), STATUS_OK);
    assert_int_equal(series_space_add(&space, slice_from_text("a"), &first), STATUS_OK);
    series_space_commit(&space, first);
    series_space_remove(&space, first);
    assert_int_equal(series_space_find_metric(&space, slice_from_text("a")), METRIC_ID_NONE);
    assert_int_equal(series_space_add(&space, slice_from_text("b"), &second), STATUS_OK);
    assert_true(first != second);
    series_space_release(&space);
}

static void what_contradicts_is_corrupt(void **state)
{
    (void)state;
    struct series_space space;
    struct error err = {0};
    uint32_t id;
    assert_int_equal(series_space_init(&space, 1), STATUS_OK);
    assert_int_equal(series_space_restore(&space, 5, slice_from_text("a"), 3, &err), STATUS_OK);
    assert_int_equal(series_space_restore(&space, 5, slice_from_text("a"), 4, &err), STATUS_OK);
    assert_int_equal(series_space_count(&space, 5), 7);
    assert_int_equal(series_space_restore(&space, 6, slice_from_text("a"), 1, &err),
                     STATUS_CORRUPT);
    assert_int_equal(series_space_restore(&space, 5, slice_from_text("b"), 1, &err),
                     STATUS_CORRUPT);
    assert_int_equal(series_space_restore(&space, METRIC_ID_NONE, slice_from_text("c"), 1, &err),
                     STATUS_CORRUPT);
    assert_int_equal(series_space_reach_metrics(&space, 9), STATUS_OK);
    assert_int_equal(series_space_add(&space, slice_from_text("d"), &id), STATUS_OK);
    assert_int_equal(id, 9);
    series_space_release(&space);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_that_came_to_nothing_are_given_again_and_others_never),
        cmocka_unit_test(all_ids_given_is_an_error_and_not_an_old_id),
        cmocka_unit_test(a_metric_keeps_its_id_while_it_has_series),
        cmocka_unit_test(the_id_of_a_metric_that_was_committed_is_never_given_to_another),
        cmocka_unit_test(what_contradicts_is_corrupt),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

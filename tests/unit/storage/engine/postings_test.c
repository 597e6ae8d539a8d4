#include "../../pseudo_random.h"
#include "../../test.h"

#include "storage/engine/postings.h"

enum { UNIVERSE = 300 };

static void check_against(const struct postings *postings, const bool *member, size_t universe)
{
    size_t count = 0;
    roaring_bitmap_t *bitmap = roaring_bitmap_create();
    postings_union_into(postings, bitmap);
    for (uint32_t id = 0; id < universe; id++) {
        count += member[id];
        assert_int_equal(roaring_bitmap_contains(bitmap, id), member[id]);
    }
    assert_int_equal(postings->count, count);
    assert_int_equal(roaring_bitmap_get_cardinality(bitmap), count);
    roaring_bitmap_free(bitmap);
}

static void postings_hold_what_a_set_holds_in_each_of_their_forms(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        uint64_t random = seed;
        struct postings postings;
        bool member[UNIVERSE] = {false};
        postings_init(&postings);
        /* Small universes stay in place or in the array, the largest becomes a bitmap. */
        uint32_t universe = (uint32_t[]){2, 5, 60, UNIVERSE}[seed % 4];
        for (int i = 0; i < 2000; i++) {
            uint32_t id = random_below(&random, universe);
            bool add = random_below(&random, 10) < (i / 500 % 2 == 0 ? 7u : 3u);
            if (add)
                assert_int_equal(postings_add(&postings, id), STATUS_OK);
            else
                postings_remove(&postings, id);
            member[id] = add;
            if (i % 50 == 0)
                check_against(&postings, member, UNIVERSE);
        }
        check_against(&postings, member, UNIVERSE);
        assert_int_equal(postings.capacity == UINT32_MAX, universe == UNIVERSE);
        postings_release(&postings);
        assert_int_equal(postings.count, 0);
    }
}

static void postings_change_form_at_two_and_at_sixty_four(void **state)
{
    (void)state;
    struct postings postings;
    postings_init(&postings);
    /* The highest ids come first, so that each is put before the others. */
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(postings_add(&postings, 1000 - i), STATUS_OK);
    for (uint32_t i = 2; i < POSTINGS_ARRAY_MAX; i++)
        assert_int_equal(postings_add(&postings, 1000 - i), STATUS_OK);
    assert_int_equal(postings_add(&postings, 1000), STATUS_OK);
    assert_int_equal(postings.count, POSTINGS_ARRAY_MAX);
    assert_int_equal(postings.capacity, POSTINGS_ARRAY_MAX);
    assert_int_equal(postings_add(&postings, UINT32_MAX - 2), STATUS_OK);
    assert_int_equal(postings.capacity, UINT32_MAX);
    assert_int_equal(postings.count, POSTINGS_ARRAY_MAX + 1);
    postings_release(&postings);
}

static void a_union_keeps_what_the_bitmap_held(void **state)
{
    (void)state;
    struct postings postings;
    postings_init(&postings);
    roaring_bitmap_t *bitmap = roaring_bitmap_create();
    roaring_bitmap_add(bitmap, 5);
    postings_union_into(&postings, bitmap);
    assert_int_equal(roaring_bitmap_get_cardinality(bitmap), 1);
    assert_int_equal(postings_add(&postings, 6), STATUS_OK);
    postings_union_into(&postings, bitmap);
    assert_int_equal(roaring_bitmap_get_cardinality(bitmap), 2);
    postings_release(&postings);
    roaring_bitmap_free(bitmap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(postings_hold_what_a_set_holds_in_each_of_their_forms),
        cmocka_unit_test(postings_change_form_at_two_and_at_sixty_four),
        cmocka_unit_test(a_union_keeps_what_the_bitmap_held),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

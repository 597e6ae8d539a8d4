#include "../test.h"

#include "base/arena.h"

static void allocations_are_aligned_and_do_not_overlap(void **state)
{
    (void)state;
    enum { COUNT = 2000 };
    static uint8_t *blocks[COUNT];
    static size_t sizes[COUNT];
    struct arena arena;
    arena_init(&arena, 64 << 20);
    uint32_t random = 1;
    for (size_t i = 0; i < COUNT; i++) {
        random = random * 1664525 + 1013904223;
        sizes[i] = i % 100 == 0 ? 100000 : (random >> 16) % 700;
        blocks[i] = arena_alloc(&arena, sizes[i]);
        assert_non_null(blocks[i]);
        assert_int_equal((uintptr_t)blocks[i] % 16, 0);
        memset(blocks[i], (int)(i & 0xff), sizes[i]);
    }
    for (size_t i = 0; i < COUNT; i++)
        for (size_t at = 0; at < sizes[i]; at++)
            assert_int_equal(blocks[i][at], i & 0xff);
    arena_release(&arena);
    assert_int_equal(arena.taken, 0);
}

static void the_maximum_holds_and_is_told_apart_from_an_exhausted_heap(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 10000);
    assert_null(arena_alloc(&arena, 10000)); /* the block's header does not fit as well */
    assert_int_equal(arena_status(&arena), STATUS_LIMIT);
    size_t got = 0;
    while (arena_alloc(&arena, 100) != NULL)
        got += 100;
    assert_int_equal(arena_status(&arena), STATUS_LIMIT);
    assert_true(arena.taken <= 10000);
    assert_true(got >= 8000);
    arena_release(&arena);
    assert_non_null(arena_alloc(&arena, 100));
    arena_release(&arena);
}

static void sizes_that_overflow_are_refused(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, SIZE_MAX);
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_null(arena_alloc(&arena, SIZE_MAX - 16));
    assert_null(arena_calloc(&arena, SIZE_MAX / 2, 3));
    assert_int_equal(arena_status(&arena), STATUS_LIMIT);
    assert_int_equal(arena.taken, 0);
    arena_release(&arena);
}

static void nothing_asked_for_is_not_null(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    assert_non_null(arena_alloc(&arena, 0));
    assert_non_null(arena_alloc(&arena, 0));
    assert_non_null(arena_calloc(&arena, 0, 8));
    arena_release(&arena);
}

static void calloc_zeroes_memory_that_was_used_before(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    for (int round = 0; round < 2; round++) {
        uint8_t *data = arena_calloc(&arena, 50, 10);
        assert_non_null(data);
        for (size_t i = 0; i < 500; i++)
            assert_int_equal(data[i], 0);
        memset(data, 0xff, 500);
        arena_release(&arena);
    }
}

static void growing_copies_and_leaves_the_old_memory(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    char *old = arena_grow(&arena, NULL, 0, 6);
    memcpy(old, "series", 6);
    char *grown = arena_grow(&arena, old, 6, 60000);
    assert_non_null(grown);
    assert_ptr_not_equal(grown, old);
    assert_memory_equal(grown, "series", 6);
    assert_memory_equal(old, "series", 6);
    arena_release(&arena);
}

static void a_copied_slice_outlives_its_source(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 8192);
    char text[] = "label";
    struct slice copy = arena_copy(&arena, slice_from_text(text));
    memset(text, 'x', sizeof text);
    assert_true(slice_equal_text(copy, "label"));
    assert_non_null(arena_copy(&arena, slice_of(NULL, 0)).data);
    static const uint8_t large[8192];
    assert_null(arena_copy(&arena, slice_of(large, sizeof large)).data);
    arena_release(&arena);
}

static void many_small_allocations_take_few_blocks(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 64 << 20);
    for (int i = 0; i < 100000; i++)
        assert_non_null(arena_alloc(&arena, 16));
    assert_true(arena.taken < 4u << 20); /* 1.6 MB were asked for */
    arena_release(&arena);
}

static void a_reset_keeps_one_block_that_holds_as_much_again(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    for (int i = 0; i < 100; i++)
        assert_non_null(arena_alloc(&arena, 1000));
    size_t taken = arena.taken;
    arena_reset(&arena, 1 << 20);
    assert_true(arena.taken <= taken);
    size_t kept = arena.taken;
    for (int i = 0; i < 100; i++)
        memset(arena_alloc(&arena, 1000), i, 1000);
    assert_int_equal(arena.taken, kept);
    arena_reset(&arena, 1 << 20);
    assert_int_equal(arena.taken, kept);
    arena_reset(&arena, 512);
    assert_true(arena.taken <= 512);
    arena_reset(&arena, 0);
    assert_int_equal(arena.taken, 0);
    assert_non_null(arena_alloc(&arena, 10));
    arena_release(&arena);
}

static void a_share_bounds_all_its_arenas_and_gets_everything_back(void **state)
{
    (void)state;
    struct memory_share share = {.max = 100000};
    struct arena arenas[3];
    for (int i = 0; i < 3; i++)
        arena_init_shared(&arenas[i], 1 << 20, &share);
    while (arena_alloc(&arenas[0], 5000) != NULL)
        ;
    assert_int_equal(arena_status(&arenas[0]), STATUS_BUSY);
    assert_int_equal(memory_share_used(&share), arenas[0].taken);
    assert_in_range(memory_share_used(&share), 60000, 100000);
    assert_null(arena_alloc(&arenas[1], 60000));
    assert_int_equal(arena_status(&arenas[1]), STATUS_BUSY);
    arena_reset(&arenas[0], 10000);
    assert_in_range(memory_share_used(&share), 1, 10000);
    assert_non_null(arena_alloc(&arenas[1], 60000));
    assert_null(arena_alloc(&arenas[2], 2 << 20));
    assert_int_equal(arena_status(&arenas[2]), STATUS_LIMIT);
    for (int i = 0; i < 3; i++)
        arena_release(&arenas[i]);
    assert_int_equal(memory_share_used(&share), 0);
}

static void an_arena_that_joins_a_share_brings_what_it_has(void **state)
{
    (void)state;
    struct memory_share share = {.max = 10000};
    struct arena arena;
    arena_init(&arena, 1 << 20);
    assert_non_null(arena_alloc(&arena, 5000));
    assert_int_equal(arena_join(&arena, &share), STATUS_OK);
    assert_int_equal(memory_share_used(&share), arena.taken);
    struct arena late;
    arena_init(&late, 1 << 20);
    assert_non_null(arena_alloc(&late, 6000));
    assert_int_equal(arena_join(&late, &share), STATUS_BUSY);
    arena_release(&late);
    arena_release(&arena);
    assert_int_equal(memory_share_used(&share), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allocations_are_aligned_and_do_not_overlap),
        cmocka_unit_test(the_maximum_holds_and_is_told_apart_from_an_exhausted_heap),
        cmocka_unit_test(sizes_that_overflow_are_refused),
        cmocka_unit_test(nothing_asked_for_is_not_null),
        cmocka_unit_test(calloc_zeroes_memory_that_was_used_before),
        cmocka_unit_test(growing_copies_and_leaves_the_old_memory),
        cmocka_unit_test(a_copied_slice_outlives_its_source),
        cmocka_unit_test(a_reset_keeps_one_block_that_holds_as_much_again),
        cmocka_unit_test(many_small_allocations_take_few_blocks),
        cmocka_unit_test(a_share_bounds_all_its_arenas_and_gets_everything_back),
        cmocka_unit_test(an_arena_that_joins_a_share_brings_what_it_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

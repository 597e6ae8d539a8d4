#include "../../pseudo_random.h"
#include "../../test.h"

#include "storage/engine/pair_table.h"

enum { NAMES = 20, VALUES = 200 };

struct text {
    char bytes[24];
};

static struct slice name_text(struct text *text, uint32_t name)
{
    snprintf(text->bytes, sizeof text->bytes, "name_%u", name);
    return slice_from_text(text->bytes);
}

static struct slice value_text(struct text *text, uint32_t value)
{
    snprintf(text->bytes, sizeof text->bytes, "%u", value * 7919);
    return slice_from_text(text->bytes);
}

static void check_pair(const struct pair_table *table, uint32_t name, uint32_t value, uint32_t pair)
{
    struct text a, b;
    uint32_t found = pair_table_find(table, name_text(&a, name), value_text(&b, value));
    assert_int_equal(found, pair);
    if (pair == PAIR_NONE)
        return;
    assert_true(slice_equal(pair_name(table, pair), name_text(&a, name)));
    assert_true(slice_equal(pair_value(table, pair), value_text(&b, value)));
    const struct label_name *of = &table->names[table->pairs[pair].name];
    assert_true(table->pairs[pair].place < of->pair_count);
    assert_int_equal(of->pairs[table->pairs[pair].place], pair);
}

static void a_pair_lives_as_long_as_a_series_carries_it(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        uint64_t random = seed;
        struct pair_table table;
        static uint32_t pairs[NAMES][VALUES]; /* PAIR_NONE: not there */
        memset(pairs, 0xff, sizeof pairs);
        assert_int_equal(pair_table_init(&table, seed), STATUS_OK);
        uint32_t live = 0;
        for (int i = 0; i < 20000; i++) {
            uint32_t name = random_below(&random, NAMES);
            uint32_t value = random_below(&random, VALUES);
            uint32_t *pair = &pairs[name][value];
            struct text a, b;
            if (*pair != PAIR_NONE && random_below(&random, 2) == 0) {
                pair_table_remove_series(&table, *pair, value);
                *pair = PAIR_NONE;
                live--;
            } else {
                uint32_t known = *pair;
                assert_int_equal(
                    pair_table_intern(&table, name_text(&a, name), value_text(&b, value), pair),
                    STATUS_OK);
                assert_true(known == PAIR_NONE || known == *pair);
                assert_int_equal(pair_table_add_series(&table, *pair, value), STATUS_OK);
                live += known == PAIR_NONE;
            }
            assert_int_equal(table.live_pairs, live);
        }
        for (uint32_t name = 0; name < NAMES; name++)
            for (uint32_t value = 0; value < VALUES; value++)
                check_pair(&table, name, value, pairs[name][value]);
        assert_true(table.pair_count <= NAMES * VALUES);
        pair_table_release(&table);
    }
}

/* Interns and forgets a pair that was never there before, again and again. */
static void pairs_that_come_and_go_leave_no_memory_behind(void **state)
{
    (void)state;
    struct pair_table table;
    assert_int_equal(pair_table_init(&table, 1), STATUS_OK);
    size_t memory = 0;
    struct slice name = slice_from_text("pod");
    for (uint32_t i = 0; i < 200000; i++) {
        char value[16];
        snprintf(value, sizeof value, "v%09u", i);
        uint32_t pair;
        assert_int_equal(pair_table_intern(&table, name, slice_from_text(value), &pair), STATUS_OK);
        assert_int_equal(pair, 0);
        assert_int_equal(pair_table_add_series(&table, pair, i), STATUS_OK);
        pair_table_remove_series(&table, pair, i);
        memory = i == 0 ? table.memory_bytes : memory;
        assert_int_equal(table.memory_bytes, memory);
    }
    assert_int_equal(table.slot_count, 1024);
    assert_int_equal(table.live_pairs, 0);
    pair_table_release(&table);
}

static void many_names_and_values_are_all_found(void **state)
{
    (void)state;
    struct pair_table table;
    assert_int_equal(pair_table_init(&table, 3), STATUS_OK);
    struct text a, b;
    for (uint32_t i = 0; i < 50000; i++) {
        uint32_t pair;
        assert_int_equal(
            pair_table_intern(&table, name_text(&a, i % 500), value_text(&b, i), &pair), STATUS_OK);
        assert_int_equal(pair, i);
        assert_int_equal(pair_table_add_series(&table, pair, i), STATUS_OK);
    }
    for (uint32_t i = 0; i < 50000; i++)
        check_pair(&table, i % 500, i, i);
    assert_int_equal(table.name_count, 500);
    assert_int_equal(pair_table_find_name(&table, slice_from_text("name_500")), PAIR_NONE);
    pair_table_release(&table);
}

static void a_value_of_one_name_is_not_that_of_another(void **state)
{
    (void)state;
    struct pair_table table;
    assert_int_equal(pair_table_init(&table, 3), STATUS_OK);
    struct slice a = slice_from_text("a"), ab = slice_from_text("ab"), zero = slice_of("a\0b", 3);
    uint32_t first, second, third;
    assert_int_equal(pair_table_intern(&table, a, ab, &first), STATUS_OK);
    assert_int_equal(pair_table_intern(&table, ab, a, &second), STATUS_OK);
    assert_int_equal(pair_table_intern(&table, a, zero, &third), STATUS_OK);
    assert_true(first != second && first != third);
    assert_int_equal(pair_table_find(&table, a, a), PAIR_NONE);
    assert_int_equal(pair_table_find(&table, ab, zero), PAIR_NONE);
    assert_int_equal(pair_table_find(&table, a, zero), third);
    pair_table_release(&table);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_pair_lives_as_long_as_a_series_carries_it),
        cmocka_unit_test(pairs_that_come_and_go_leave_no_memory_behind),
        cmocka_unit_test(many_names_and_values_are_all_found),
        cmocka_unit_test(a_value_of_one_name_is_not_that_of_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

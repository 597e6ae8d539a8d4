#include "../test.h"

#include "commands/text_table.h"

static void characters_take_the_cells_a_terminal_gives_them(void **state)
{
    (void)state;
    assert_int_equal(text_width(slice_from_text("abc")), 3);
    assert_int_equal(text_width(slice_from_text("Köln")), 4);
    assert_int_equal(text_width(slice_from_text("東京")), 4);
    assert_int_equal(text_width(slice_from_text("e\xcc\x81")), 1); /* e and a combining accent */
    assert_int_equal(text_width(slice_from_text("\xf0\x9f\x9a\x80")), 2);
    assert_int_equal(text_width(slice_of("\xff\xfe", 2)), 2);
    assert_int_equal(text_width(slice_of(NULL, 0)), 0);
}

static void assert_table(const char *const *cells, size_t count, size_t columns, bool last_right,
                         const char *expected)
{
    struct arena arena;
    struct bytes text;
    struct text_table table;
    arena_init(&arena, 1 << 20);
    bytes_init(&text, 1 << 20);
    assert_int_equal(text_table_init(&table, columns, &arena), STATUS_OK);
    table.right[columns - 1] = last_right;
    for (size_t i = 0; i < count; i++)
        assert_int_equal(text_table_add(&table, slice_from_text(cells[i])), STATUS_OK);
    assert_int_equal(text_table_print(&table, &text), STATUS_OK);
    assert_int_equal(bytes_append(&text, "", 1), STATUS_OK);
    assert_string_equal((const char *)text.data, expected);
    bytes_release(&text);
    arena_release(&arena);
}

static void columns_line_up_and_the_last_has_no_space_behind_it(void **state)
{
    (void)state;
    const char *cells[] = {"city", "value", "東京", "1", "Paris", "22.5"};
    assert_table(cells, 6, 2, true, "city   value\n東京       1\nParis   22.5\n");
    assert_table(cells, 6, 2, false, "city   value\n東京   1\nParis  22.5\n");
}

static void rows_that_are_not_whole_are_not_printed(void **state)
{
    (void)state;
    const char *cells[] = {"a", "b", "c"};
    assert_table(cells, 3, 2, false, "a  b\n");
}

static void no_cell_can_drive_the_terminal(void **state)
{
    (void)state;
    const char *cells[] = {"a\x1b[2J", "x\ny", "\xc2\x9b", "\xff"};
    assert_table(cells, 4, 4, false, "a\\x1b[2J  x\\ny  \\xc2\\x9b  \\xff\n");
}

static void a_full_arena_and_a_full_text_are_limits(void **state)
{
    (void)state;
    struct arena arena;
    struct text_table table;
    arena_init(&arena, 64 * 1024);
    assert_int_equal(text_table_init(&table, 1, &arena), STATUS_OK);
    enum status status = STATUS_OK;
    while (status == STATUS_OK)
        status = text_table_add(&table, slice_from_text("cell"));
    assert_int_equal(status, STATUS_LIMIT);
    struct bytes text;
    bytes_init(&text, 16);
    struct arena roomy;
    arena_init(&roomy, 1 << 20);
    table.arena = &roomy;
    assert_int_equal(text_table_print(&table, &text), STATUS_LIMIT);
    bytes_release(&text);
    arena_release(&roomy);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(characters_take_the_cells_a_terminal_gives_them),
        cmocka_unit_test(columns_line_up_and_the_last_has_no_space_behind_it),
        cmocka_unit_test(rows_that_are_not_whole_are_not_printed),
        cmocka_unit_test(no_cell_can_drive_the_terminal),
        cmocka_unit_test(a_full_arena_and_a_full_text_are_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "../test.h"

#include "commands/json_tree.h"

static enum status parse(const char *text, struct arena *arena, struct json_node **root)
{
    struct error err = {0};
    enum status status = json_tree_parse(slice_from_text(text), arena, root, &err);
    assert_true(status == STATUS_OK || err.message[0] != 0);
    return status;
}

static void members_are_found_by_name_and_type(void **state)
{
    (void)state;
    struct arena arena;
    struct json_node *root;
    arena_init(&arena, 1 << 20);
    assert_int_equal(parse(" {\"a\": 12, \"b\":[1,[2,null],{}], \"t\":true,\"f\" :false, "
                           "\"s\":\"x\", \"n\":-1, \"d\":1.5}\n",
                           &arena, &root),
                     STATUS_OK);
    assert_int_equal(root->count, 7);
    assert_int_equal(json_member_number(root, "a"), 12);
    assert_int_equal(json_member(root, "b")->count, 3);
    assert_int_equal(json_member(root, "b")->first->next->count, 2);
    assert_true(json_member_true(root, "t"));
    assert_false(json_member_true(root, "f"));
    assert_true(slice_equal_text(json_member_text(root, "s"), "x"));
    assert_int_equal(json_member_number(root, "n"), 0);
    assert_int_equal(json_member_number(root, "d"), 0);
    assert_int_equal(json_member_number(root, "s"), 0);
    assert_int_equal(json_member_text(root, "a").size, 0);
    assert_null(json_member(root, "missing"));
    assert_null(json_member(NULL, "a"));
    arena_release(&arena);
}

static void escapes_become_the_characters_they_mean(void **state)
{
    (void)state;
    struct arena arena;
    struct json_node *root;
    arena_init(&arena, 1 << 20);
    assert_int_equal(
        parse("\"\\\"\\\\\\/\\n\\t\\u0041\\u00e9\\u6771\\ud83d\\ude80\"", &arena, &root),
        STATUS_OK);
    assert_true(slice_equal_text(root->text, "\"\\/\n\tA\xc3\xa9\xe6\x9d\xb1\xf0\x9f\x9a\x80"));
    arena_release(&arena);
}

static void what_is_no_json_is_invalid(void **state)
{
    (void)state;
    static const char *const broken[] = {
        "",
        "{",
        "[1",
        "[1,]",
        "{\"a\"}",
        "{\"a\":}",
        "{a:1}",
        "\"",
        "\"\\",
        "\"\\x\"",
        "\"\\u12\"",
        "\"\\ud800\"",
        "1 2",
        "nul",
        "[1 2]",
        "{\"a\":1,}",
        "]",
        "\"\\udc00\"",
        "\"\\ud800\\u0041\"",
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        struct arena arena;
        struct json_node *root;
        arena_init(&arena, 1 << 20);
        assert_int_equal(parse(broken[i], &arena, &root), STATUS_INVALID);
        arena_release(&arena);
    }
}

static void every_cut_of_an_answer_is_invalid(void **state)
{
    (void)state;
    const char *text = "{\"a\":[1.5e3,\"x\\u00e9\"],\"b\":{\"c\":null}}";
    for (size_t size = 0; size < strlen(text); size++) {
        /* On the heap, so that a sanitizer sees a read behind the end. */
        char *copy = malloc(size + 1);
        assert_non_null(copy);
        memcpy(copy, text, size);
        struct arena arena;
        struct json_node *root;
        arena_init(&arena, 1 << 20);
        assert_int_equal(json_tree_parse(slice_of(copy, size), &arena, &root, NULL),
                         STATUS_INVALID);
        arena_release(&arena);
        free(copy);
    }
}

static void depth_and_size_have_limits(void **state)
{
    (void)state;
    struct arena arena;
    struct json_node *root;
    char deep[2 * 100 + 1] = {0};
    memset(deep, '[', 100);
    memset(deep + 100, ']', 100);
    arena_init(&arena, 1 << 20);
    assert_int_equal(parse(deep, &arena, &root), STATUS_INVALID);
    arena_release(&arena);
    char *wide = calloc(1, 2 * 100000 + 2);
    assert_non_null(wide);
    for (size_t i = 0; i < 100000; i++)
        memcpy(wide + 2 * i, i == 0 ? "[1" : ",1", 2);
    memcpy(wide + 2 * 100000, "]", 1);
    arena_init(&arena, 64 * 1024);
    assert_int_equal(parse(wide, &arena, &root), STATUS_LIMIT);
    arena_release(&arena);
    free(wide);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(members_are_found_by_name_and_type),
        cmocka_unit_test(escapes_become_the_characters_they_mean),
        cmocka_unit_test(what_is_no_json_is_invalid),
        cmocka_unit_test(every_cut_of_an_answer_is_invalid),
        cmocka_unit_test(depth_and_size_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

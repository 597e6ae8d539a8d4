#include "../test.h"

#include "http/parameters.h"

static void pairs_keep_their_order_and_their_repeats(void **state)
{
    (void)state;
    struct arena arena;
    struct http_fields fields;
    arena_init(&arena, 1 << 16);
    struct slice text = slice_from_text("&a=1&&b&a=%3d%26+x&=v&c==&");
    assert_int_equal(parameters_parse(&arena, text, 100, &fields, NULL), STATUS_OK);
    static const char *const wanted[][2] = {
        {"a", "1"}, {"b", ""}, {"a", "=& x"}, {"", "v"}, {"c", "="}};
    assert_int_equal(fields.count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_true(slice_equal_text(fields.items[i].name, wanted[i][0]));
        assert_true(slice_equal_text(fields.items[i].value, wanted[i][1]));
    }
    assert_int_equal(parameters_parse(&arena, slice_of(NULL, 0), 0, &fields, NULL), STATUS_OK);
    assert_int_equal(fields.count, 0);
    arena_release(&arena);
}

static void a_percent_sign_needs_two_digits(void **state)
{
    (void)state;
    static const char *const wrong[] = {"%", "%1", "a%2", "%g0", "%0g", "%%20"};
    struct arena arena;
    arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct slice decoded;
        struct error err;
        size_t size = strlen(wrong[i]);
        char *copy = malloc(size); /* without a terminator behind it */
        memcpy(copy, wrong[i], size);
        assert_int_equal(parameter_decode(&arena, slice_of(copy, size), false, &decoded, &err),
                         STATUS_INVALID);
        assert_string_equal(err.code, "invalid_parameter");
        free(copy);
    }
    struct slice decoded;
    assert_int_equal(parameter_decode(&arena, slice_from_text("%00%fF+"), false, &decoded, NULL),
                     STATUS_OK);
    assert_true(slice_equal(decoded, slice_of("\0\xff+", 3)));
    arena_release(&arena);
}

static void count_and_memory_have_limits(void **state)
{
    (void)state;
    struct arena arena;
    struct http_fields fields;
    struct error err;
    arena_init(&arena, 4096);
    assert_int_equal(parameters_parse(&arena, slice_from_text("a&b&c"), 3, &fields, &err),
                     STATUS_OK);
    assert_int_equal(parameters_parse(&arena, slice_from_text("a&b&c"), 2, &fields, &err),
                     STATUS_LIMIT);
    static char many[5000];
    memset(many, '&', sizeof many);
    assert_int_equal(parameters_parse(&arena, slice_of(many, sizeof many), SIZE_MAX, &fields, &err),
                     STATUS_LIMIT);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_keep_their_order_and_their_repeats),
        cmocka_unit_test(a_percent_sign_needs_two_digits),
        cmocka_unit_test(count_and_memory_have_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "../test.h"

#include "model/name_pattern.h"

static void assert_kind(const char *text, enum name_pattern_kind kind)
{
    struct name_pattern pattern;
    struct error err;
    if (name_pattern_init(&pattern, slice_from_text(text), &err) != STATUS_OK)
        test_fail("%s: %s", text, err.message);
    assert_int_equal(pattern.kind, kind);
    name_pattern_release(&pattern);
}

static bool matches(const char *text, const char *name)
{
    struct name_pattern pattern;
    struct error err;
    if (name_pattern_init(&pattern, slice_from_text(text), &err) != STATUS_OK)
        test_fail("%s: %s", text, err.message);
    bool result = name_pattern_matches(&pattern, slice_from_text(name));
    name_pattern_release(&pattern);
    return result;
}

static void a_name_matches_itself_alone(void **state)
{
    (void)state;
    assert_kind("http_requests_total", NAME_PATTERN_EXACT);
    assert_true(matches("up", "up"));
    assert_false(matches("up", "Up"));
    assert_false(matches("up", "upp"));
    assert_false(matches("up", "u"));
    assert_false(matches("up", ""));
    assert_true(matches("größe.[a]+", "größe.[a]+"));
    assert_true(matches("a~b", "a~b"));
}

static void globs_match_whole_names_by_characters(void **state)
{
    (void)state;
    static const struct {
        const char *glob, *name;
        bool matches;
    } cases[] = {
        {"*", "", true},
        {"*", "anything", true},
        {"**", "a", true},
        {"?", "", false},
        {"?", "a", true},
        {"?", "ab", false},
        {"?", "ü", true},
        {"??", "ü", false},
        {"*?", "ü", true},
        {"*??", "ü", false},
        {"?*?", "ü", false},
        {"*?ü", "üü", true},
        {"*??ü", "üü", false},
        {"?x", "𝄞x", true},
        {"http_*", "http_", true},
        {"http_*", "http_requests", true},
        {"http_*", "http", false},
        {"http_*", "xhttp_", false},
        {"*_total", "_total", true},
        {"*_total", "a_total_total", true},
        {"*_total", "a_total_", false},
        {"*_total", "a_totalx_tota", false},
        {"a*b*c", "abc", true},
        {"a*b*c", "a_b_b_c_c", true},
        {"a*b*c", "a_c_b", false},
        {"a*b*c", "acbc", true},
        {"*ab", "aab", true},
        {"*aab", "aaaab", true},
        {"*a?b", "aaab", true},
        {"*a?b*c", "a_b_axb_c", true},
        {"node_?pu_*", "node_cpu_seconds", true},
        {"node_?pu_*", "node_pu_seconds", false},
        {".*", "a", false},
        {"[ab]*", "a", false},
        {"[ab]*", "[ab]c", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_kind(cases[i].glob, NAME_PATTERN_GLOB);
        if (matches(cases[i].glob, cases[i].name) != cases[i].matches)
            test_fail("%s and %s", cases[i].glob, cases[i].name);
    }
}

static void a_backslash_makes_the_next_character_plain(void **state)
{
    (void)state;
    assert_kind("a\\*", NAME_PATTERN_EXACT);
    assert_true(matches("a\\*", "a*"));
    assert_false(matches("a\\*", "ab"));
    assert_false(matches("a\\*", "a\\*"));
    assert_kind("\\~a", NAME_PATTERN_EXACT);
    assert_true(matches("\\~a", "~a"));
    assert_true(matches("a\\\\", "a\\"));
    assert_true(matches("\\ü", "ü"));
    assert_kind("\\**", NAME_PATTERN_GLOB);
    assert_true(matches("\\**", "*"));
    assert_true(matches("\\**", "*b"));
    assert_false(matches("\\**", "b"));
    assert_true(matches("*\\?\\\\*x", "a?\\bx"));
    assert_false(matches("*\\?\\\\*x", "a_\\bx"));
    assert_true(matches("?\\ü", "aü"));
}

static void regular_expressions_match_whole_names(void **state)
{
    (void)state;
    assert_kind("~a", NAME_PATTERN_REGEX);
    assert_true(matches("~http|grpc", "grpc"));
    assert_false(matches("~http|grpc", "grpc_"));
    assert_false(matches("~http|grpc", "xhttp"));
    assert_true(matches("~(http|grpc)_[a-z_]{1,50}_(total|bucket)", "http_requests_total"));
    assert_false(matches("~(http|grpc)_[a-z_]{1,50}_(total|bucket)", "http_Requests_total"));
    assert_true(matches("~\\pL+(_\\pL+)*", "größe_über_alles"));
    assert_true(matches("~(?i:UP)", "up"));
}

static void assert_refused(const char *text, enum status status, const char *reason)
{
    struct name_pattern pattern;
    struct error err = {0};
    assert_int_equal(name_pattern_init(&pattern, slice_from_text(text), &err), status);
    if (strstr(err.message, reason) == NULL)
        test_fail("\"%s\" without \"%s\"", err.message, reason);
}

static void what_is_no_pattern_is_refused_with_the_reason(void **state)
{
    (void)state;
    assert_refused("", STATUS_INVALID, "matches no name");
    assert_refused("~", STATUS_INVALID, "matches no name");
    assert_refused("a\\", STATUS_INVALID, "\"a\\\" ends with a backslash");
    assert_refused("a*\\\\\\", STATUS_INVALID, "ends with a backslash");
    assert_refused("~(", STATUS_INVALID, "missing ): ");
    assert_refused("~\\pL{1,100}", STATUS_LIMIT, "too large");
    char text[NAME_PATTERN_MAX_SIZE + 2];
    memset(text, 'a', sizeof text);
    text[sizeof text - 1] = 0;
    assert_refused(text, STATUS_LIMIT, "1025 bytes; at most 1024");
    text[NAME_PATTERN_MAX_SIZE] = 0;
    assert_true(matches(text, text));
}

/* The longest name, and globs of many stars and marks that almost match everywhere. */
static void globs_take_no_more_than_the_product_of_both_lengths(void **state)
{
    (void)state;
    enum { NAME_SIZE = 64 * 1024 };
    char *name = malloc(NAME_SIZE + 1);
    assert_non_null(name);
    memset(name, 'a', NAME_SIZE);
    name[NAME_SIZE] = 0;
    char glob[65];
    for (size_t i = 0; i < 64; i += 2)
        memcpy(glob + i, "*a", 2);
    glob[63] = 'b';
    glob[64] = 0;
    assert_false(matches(glob, name));
    name[NAME_SIZE - 1] = 'b';
    assert_true(matches(glob, name));
    memset(glob + 1, '?', 62);
    glob[63] = 'c';
    assert_false(matches(glob, name));
    free(name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_name_matches_itself_alone),
        cmocka_unit_test(globs_match_whole_names_by_characters),
        cmocka_unit_test(a_backslash_makes_the_next_character_plain),
        cmocka_unit_test(regular_expressions_match_whole_names),
        cmocka_unit_test(what_is_no_pattern_is_refused_with_the_reason),
        cmocka_unit_test(globs_take_no_more_than_the_product_of_both_lengths),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

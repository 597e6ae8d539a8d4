#include "../test.h"

#include "model/matcher.h"

struct fixture {
    struct arena arena;
    struct matchers matchers;
    struct error err;
};

static enum status parse(struct fixture *fixture, const char *text)
{
    memset(fixture, 0, sizeof *fixture);
    arena_init(&fixture->arena, 1 << 20);
    return matchers_parse(slice_from_text(text), &fixture->arena, &fixture->matchers,
                          &fixture->err);
}

static void done(struct fixture *fixture)
{
    matchers_release(&fixture->matchers);
    arena_release(&fixture->arena);
}

static void check_matcher(const struct matcher *matcher, enum matcher_type type, const char *name,
                          const char *value)
{
    assert_int_equal(matcher->type, type);
    assert_true(slice_equal_text(matcher->name, name));
    assert_true(slice_equal_text(matcher->value, value));
}

static void a_selector_gives_its_matchers_in_order(void **state)
{
    (void)state;
    struct fixture f;
    assert_int_equal(parse(&f, " http:requests {a = \"b\",c!='d', e=~`f.*`,g!~\"h\" , } "),
                     STATUS_OK);
    assert_int_equal(f.matchers.count, 5);
    check_matcher(&f.matchers.items[0], MATCH_EQUAL, "__name__", "http:requests");
    check_matcher(&f.matchers.items[1], MATCH_EQUAL, "a", "b");
    check_matcher(&f.matchers.items[2], MATCH_NOT_EQUAL, "c", "d");
    check_matcher(&f.matchers.items[3], MATCH_REGEX, "e", "f.*");
    check_matcher(&f.matchers.items[4], MATCH_NOT_REGEX, "g", "h");
    done(&f);
}

static void quoted_names_and_escapes_are_read_as_prometheus_3_does(void **state)
{
    (void)state;
    struct fixture f;
    assert_int_equal(parse(&f, "{\"my.metric\", \"a.b\"=\"x\\n\\\"\\u00e9\\x41\\101\"}"),
                     STATUS_OK);
    assert_int_equal(f.matchers.count, 2);
    check_matcher(&f.matchers.items[0], MATCH_EQUAL, "__name__", "my.metric");
    check_matcher(&f.matchers.items[1], MATCH_EQUAL, "a.b",
                  "x\n\"\xc3\xa9"
                  "AA");
    done(&f);
}

static void a_syntax_error_names_its_position(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *position;
    } cases[] = {
        {"", "position 1"},           {"up{", "position 4"},
        {"up{a}", "position 5"},      {"up{a=b}", "position 6"},
        {"up{a=\"b\"", "position 9"}, {"up{a=\"b\"} x", "position 11"},
        {"{a=\"b}", "position 7"},    {"1up", "position 1"},
        {"up{,}", "position 4"},      {"{a=\"\\q\"}", "position 6"},
        {"up{\"x\"}", "position 7"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture f;
        assert_int_equal(parse(&f, cases[i].text), STATUS_INVALID);
        if (strstr(f.err.message, cases[i].position) == NULL)
            test_fail("%s: %s", cases[i].text, f.err.message);
        done(&f);
    }
}

static void a_selector_that_matches_everything_is_refused(void **state)
{
    (void)state;
    static const char *const texts[] = {"{}", "{a=\"\"}", "{a=~\".*\"}", "{a!=\"x\"}",
                                        "{a!~\"x\"}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct fixture f;
        assert_int_equal(parse(&f, texts[i]), STATUS_INVALID);
        assert_string_equal(f.err.code, "selector_too_wide");
        done(&f);
    }
}

static void expressions_match_the_whole_value_and_bad_ones_are_named(void **state)
{
    (void)state;
    struct fixture f;
    assert_int_equal(parse(&f, "{a=~\"x|y.\"}"), STATUS_OK);
    assert_true(matcher_matches_value(&f.matchers.items[0], slice_from_text("x")));
    assert_true(matcher_matches_value(&f.matchers.items[0], slice_from_text("y\n")));
    assert_false(matcher_matches_value(&f.matchers.items[0], slice_from_text("xy")));
    assert_false(matcher_matches_value(&f.matchers.items[0], slice_from_text("zx")));
    done(&f);
    assert_int_equal(parse(&f, "{a=~\"(\"}"), STATUS_INVALID);
    assert_string_equal(f.err.code, "regex_invalid");
    done(&f);
    char text[REGEX_MAX_SIZE + 16];
    snprintf(text, sizeof text, "{a=~\"%0*d\"}", REGEX_MAX_SIZE + 1, 1);
    assert_int_equal(parse(&f, text), STATUS_LIMIT);
    done(&f);
    assert_int_equal(parse(&f, "{a=~\"((x{1000}){1000}){1000}\"}"), STATUS_INVALID);
    done(&f);
}

static void an_absent_label_is_an_empty_one(void **state)
{
    (void)state;
    struct label items[] = {{slice_from_text("__name__"), slice_from_text("up")},
                            {slice_from_text("a"), slice_from_text("1")}};
    struct labels labels = {items, 2};
    struct fixture f;
    assert_int_equal(parse(&f, "up{b=\"\",a!=\"2\",c!~\"x\"}"), STATUS_OK);
    assert_true(matchers_match(&f.matchers, &labels));
    done(&f);
    assert_int_equal(parse(&f, "up{b!=\"\"}"), STATUS_OK);
    assert_false(matchers_match(&f.matchers, &labels));
    done(&f);
}

static void a_small_arena_is_a_limit_not_a_crash(void **state)
{
    (void)state;
    for (size_t max = 0; max < 12000; max += 16) {
        struct arena arena;
        arena_init(&arena, max);
        struct matchers matchers;
        struct error err;
        enum status status =
            matchers_parse(slice_from_text("up{a=\"b\",c=~\"d\"}"), &arena, &matchers, &err);
        assert_true(status == STATUS_OK || status == STATUS_LIMIT);
        if (status == STATUS_OK)
            matchers_release(&matchers);
        arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_selector_gives_its_matchers_in_order),
        cmocka_unit_test(quoted_names_and_escapes_are_read_as_prometheus_3_does),
        cmocka_unit_test(a_syntax_error_names_its_position),
        cmocka_unit_test(a_selector_that_matches_everything_is_refused),
        cmocka_unit_test(expressions_match_the_whole_value_and_bad_ones_are_named),
        cmocka_unit_test(an_absent_label_is_an_empty_one),
        cmocka_unit_test(a_small_arena_is_a_limit_not_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

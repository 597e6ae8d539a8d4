/* Settings that are lists of records, with a table of the test's own: fields of several kinds, one
 * of them optional. */
#include "../test.h"

#include <math.h>

#include "config/settings.h"
#include "config/value.h"
#include "lack_of_room.h"

struct rule {
    const char *match;
    int64_t keep_ms;
    bool loud;
};

struct limit {
    const char *name;
    uint64_t most;
    uint64_t bytes;
    double share;
};

struct sample {
    struct config_records rules;
    struct config_list names;
    struct config_records limits;
};

static const struct config_key fields[] = {
    {.section = "s.rules",
     .name = "match",
     .type = CONFIG_SELECTOR,
     .offset = offsetof(struct rule, match),
     .min = 1,
     .max = 64,
     .help = "whose"},
    {.section = "s.rules",
     .name = "keep",
     .type = CONFIG_DURATION,
     .offset = offsetof(struct rule, keep_ms),
     .min = 1000,
     .max = 100000,
     .zero = "for ever",
     .help = "how long"},
    {.section = "s.rules",
     .name = "loud",
     .type = CONFIG_BOOL,
     .offset = offsetof(struct rule, loud),
     .initial = "true",
     .help = "how"},
};

static const struct config_key limit_fields[] = {
    {.section = "s.limits",
     .name = "name",
     .type = CONFIG_PATTERN,
     .offset = offsetof(struct limit, name),
     .min = 1,
     .max = 16,
     .help = "whose"},
    {.section = "s.limits",
     .name = "most",
     .type = CONFIG_UNSIGNED,
     .offset = offsetof(struct limit, most),
     .optional = true,
     .min = 1,
     .max = INT64_MAX,
     .zero = "no limit",
     .help = "how many"},
    {.section = "s.limits",
     .name = "bytes",
     .type = CONFIG_SIZE,
     .offset = offsetof(struct limit, bytes),
     .optional = true,
     .min = 1,
     .max = INT64_MAX,
     .help = "how large"},
    {.section = "s.limits",
     .name = "share",
     .type = CONFIG_RATIO,
     .offset = offsetof(struct limit, share),
     .optional = true,
     .help = "which part"},
};

static const struct config_key keys[] = {
    {.section = "s",
     .name = "rules",
     .type = CONFIG_RECORDS,
     .offset = offsetof(struct sample, rules),
     .initial = "[]",
     .max = 3,
     .fields = fields,
     .field_count = sizeof fields / sizeof fields[0],
     .record_size = sizeof(struct rule),
     .help = "Rules."},
    {.section = "s",
     .name = "names",
     .type = CONFIG_LIST,
     .offset = offsetof(struct sample, names),
     .initial = "",
     .min = 1,
     .max = 8,
     .help = "Names."},
    {.section = "s",
     .name = "limits",
     .type = CONFIG_RECORDS,
     .offset = offsetof(struct sample, limits),
     .initial = "[]",
     .max = YAML_RECORDS_MAX,
     .fields = limit_fields,
     .field_count = sizeof limit_fields / sizeof limit_fields[0],
     .record_size = sizeof(struct limit),
     .help = "Limits."},
};
enum { KEY_COUNT = sizeof keys / sizeof keys[0] };

static const struct settings_section sections[] = {{"s", "A section."}};
static const struct settings_table table = {keys, KEY_COUNT, sections, 1, NULL, 0};

struct fixture {
    struct sample values;
    struct config_origin origins[KEY_COUNT];
    struct arena arena;
    struct settings settings;
    struct error err;
};

static enum status fixture_start(struct fixture *fixture, size_t memory)
{
    *fixture = (struct fixture){0};
    arena_init(&fixture->arena, memory);
    fixture->settings =
        (struct settings){&table, &fixture->values, fixture->origins, &fixture->arena, NULL};
    return settings_apply_defaults(&fixture->settings, &fixture->err);
}

static void start(struct fixture *fixture)
{
    assert_int_equal(fixture_start(fixture, 1 << 20), STATUS_OK);
    assert_int_equal(fixture->values.rules.count, 0);
}

static enum status apply(struct fixture *fixture, const char *text)
{
    return settings_apply_yaml(&fixture->settings, slice_from_text(text), "f.yml", &fixture->err);
}

static enum status set(struct fixture *fixture, const char *text)
{
    const struct config_flag flag = {"--set", text};
    return settings_apply_flags(&fixture->settings, &flag, 1, &fixture->err);
}

static const struct rule *rule_of(const struct sample *sample, size_t index)
{
    assert_true(index < sample->rules.count);
    return (const struct rule *)sample->rules.items + index;
}

static void records_are_read_in_order_and_printed_so_that_they_load_again(void **state)
{
    (void)state;
    struct fixture fixture;
    start(&fixture);
    assert_int_equal(apply(&fixture, "s:\n  rules:\n    - match: up\n      keep: 5s\n"
                                     "    - {keep: 0, loud: false, match: 'x{a=\"b, c\"}'}\n"),
                     STATUS_OK);
    assert_int_equal(fixture.values.rules.count, 2);
    assert_string_equal(rule_of(&fixture.values, 0)->match, "up");
    assert_int_equal(rule_of(&fixture.values, 0)->keep_ms, 5000);
    assert_true(rule_of(&fixture.values, 0)->loud);
    assert_string_equal(rule_of(&fixture.values, 1)->match, "x{a=\"b, c\"}");
    assert_int_equal(rule_of(&fixture.values, 1)->keep_ms, 0);
    assert_false(rule_of(&fixture.values, 1)->loud);
    static const char *const printed[] = {
        "[{match: up, keep: 5s, loud: true}, "
        "{match: \"x{a=\\\"b, c\\\"}\", keep: 0s, loud: false}]",
        "[{\"match\": \"up\", \"keep\": \"5s\", \"loud\": true}, "
        "{\"match\": \"x{a=\\\"b, c\\\"}\", \"keep\": \"0s\", \"loud\": false}]",
    };
    for (int json = 0; json < 2; json++) {
        struct bytes text;
        bytes_init(&text, 1 << 16);
        assert_int_equal(value_print(&keys[0], &fixture.values, json, &text), STATUS_OK);
        assert_true(slice_equal_text(bytes_slice(&text), printed[json]));
        struct sample again = {0};
        assert_int_equal(
            value_parse(&keys[0], bytes_slice(&text), &again, &fixture.arena, &fixture.err),
            STATUS_OK);
        assert_true(value_equal(&keys[0], &fixture.values, &again));
        bytes_release(&text);
    }
    arena_release(&fixture.arena);
}

static const struct limit *limit_of(const struct sample *sample, size_t index)
{
    assert_true(index < sample->limits.count);
    return (const struct limit *)sample->limits.items + index;
}

static void what_is_optional_may_be_left_out_and_is_not_printed_then(void **state)
{
    (void)state;
    struct fixture fixture;
    start(&fixture);
    assert_int_equal(apply(&fixture,
                           "s:\n  limits:\n    - {name: 'a*', most: 0}\n    - name: ~a|b\n"
                           "      share: 0.5\n      bytes: 1KiB\n    - {name: c, most: "
                           "9223372036854775807}\n"),
                     STATUS_OK);
    assert_string_equal(limit_of(&fixture.values, 0)->name, "a*");
    assert_int_equal(limit_of(&fixture.values, 0)->most, 0);
    assert_true(limit_of(&fixture.values, 0)->bytes == CONFIG_UNSET);
    assert_true(isnan(limit_of(&fixture.values, 0)->share));
    assert_string_equal(limit_of(&fixture.values, 1)->name, "~a|b");
    assert_true(limit_of(&fixture.values, 1)->most == CONFIG_UNSET);
    assert_int_equal(limit_of(&fixture.values, 1)->bytes, 1024);
    assert_true(limit_of(&fixture.values, 1)->share == 0.5);
    assert_true(limit_of(&fixture.values, 2)->most == INT64_MAX);
    static const char *const printed[] = {
        "[{name: \"a*\", most: 0}, {name: \"~a|b\", bytes: 1KiB, share: 0.5}, "
        "{name: c, most: 9223372036854775807}]",
        "[{\"name\": \"a*\", \"most\": 0}, {\"name\": \"~a|b\", \"bytes\": \"1KiB\", "
        "\"share\": 0.5}, {\"name\": \"c\", \"most\": 9223372036854775807}]",
    };
    for (int json = 0; json < 2; json++) {
        struct bytes text;
        bytes_init(&text, 1 << 16);
        assert_int_equal(value_print(&keys[2], &fixture.values, json, &text), STATUS_OK);
        assert_true(slice_equal_text(bytes_slice(&text), printed[json]));
        struct sample again = {0};
        assert_int_equal(
            value_parse(&keys[2], bytes_slice(&text), &again, &fixture.arena, &fixture.err),
            STATUS_OK);
        assert_true(value_equal(&keys[2], &fixture.values, &again));
        bytes_release(&text);
    }
    struct sample copy = {0};
    assert_int_equal(value_copy(&keys[2], &fixture.values, &copy, &fixture.arena), STATUS_OK);
    assert_true(value_equal(&keys[2], &fixture.values, &copy));
    arena_release(&fixture.arena);
}

static void as_many_records_as_there_may_be_have_all_their_fields(void **state)
{
    (void)state;
    struct fixture fixture;
    start(&fixture);
    struct bytes text;
    bytes_init(&text, 1 << 16);
    assert_int_equal(bytes_append_text(&text, "s:\n  limits: ["), STATUS_OK);
    for (int i = 0; i < YAML_RECORDS_MAX; i++)
        assert_int_equal(bytes_format(&text, "{name: n%d, most: 1, bytes: 2, share: 1}, ", i),
                         STATUS_OK);
    assert_int_equal(bytes_append(&text, "]\n", 3), STATUS_OK);
    assert_int_equal(apply(&fixture, (const char *)text.data), STATUS_OK);
    assert_string_equal(limit_of(&fixture.values, YAML_RECORDS_MAX - 1)->name, "n255");
    bytes_release(&text);
    arena_release(&fixture.arena);
}

static void environment_and_flags_take_them_on_one_line(void **state)
{
    (void)state;
    struct fixture fixture;
    start(&fixture);
    char *environment[] = {(char *)"METRIC_STORE_S__RULES=[{match: up, keep: 1s}]", NULL};
    assert_int_equal(settings_apply_environment(&fixture.settings, environment, &fixture.err),
                     STATUS_OK);
    assert_int_equal(fixture.values.rules.count, 1);
    assert_int_equal(set(&fixture, "s.rules=[{\"match\": \"a\", \"keep\": \"2s\"}, "
                                   "{match: b, keep: 3s}]"),
                     STATUS_OK);
    assert_int_equal(fixture.values.rules.count, 2);
    assert_string_equal(rule_of(&fixture.values, 0)->match, "a");
    assert_string_equal(fixture.origins[0].text, "--set s.rules");
    assert_int_equal(set(&fixture, "s.rules=[]"), STATUS_OK);
    assert_int_equal(fixture.values.rules.count, 0);
    assert_int_equal(set(&fixture, "s.rules=[{match: b, keep: 3s}]"), STATUS_OK);
    assert_int_equal(set(&fixture, "s.rules="), STATUS_OK);
    assert_int_equal(fixture.values.rules.count, 0);
    assert_int_equal(apply(&fixture, "s:\n  rules: []\n"), STATUS_OK);
    arena_release(&fixture.arena);
}

static void faults_are_told_with_the_setting_the_item_and_the_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message; /* how it begins */
    } cases[] = {
        {"s:\n  rules:\n    - match: up\n",
         "f.yml:2: item 1 (line 3): s.rules needs \"keep\": how long"},
        {"s:\n  rules:\n    - match: up\n      keep: 1s\n    - keep: 1s\n",
         "f.yml:2: item 2 (line 5): s.rules needs \"match\": whose"},
        {"s:\n  rules:\n    - match: up\n      keep: 1m41s\n",
         "f.yml:2: item 1 (line 4): s.rules.keep must be a duration"},
        {"s:\n  rules:\n    - match: up{\n      keep: 1s\n",
         "f.yml:2: item 1 (line 3): s.rules.match must be a series selector; it is \"up{\": "},
        {"s:\n  rules:\n    - match: '{a=~\".*\"}'\n      keep: 1s\n",
         "f.yml:2: item 1 (line 3): s.rules.match must be a series selector; it is \"{a=~\".*\"}\""
         ": the selector must contain at least one matcher that does not match the empty value"},
        {"s:\n  rules:\n    - match: '{a=~\"(\"}'\n      keep: 1s\n",
         "f.yml:2: item 1 (line 3): s.rules.match must be a series selector"},
        {"s:\n  rules:\n    - match: ''\n      keep: 1s\n",
         "f.yml:2: item 1 (line 3): s.rules.match must be a series selector"},
        {"s:\n  rules:\n    - match: up\n      kepe: 1s\n",
         "f.yml:2: item 1 (line 4): s.rules has no field \"kepe\"; did you mean \"keep\"?"},
        {"s:\n  rules:\n    - foo: 1\n",
         "f.yml:2: item 1 (line 3): s.rules has no field \"foo\"; it has match, keep"},
        {"s:\n  rules:\n    - match: up\n      match: up\n",
         "f.yml:2: item 1 (line 4): match is set twice"},
        {"s:\n  rules:\n    - match: up\n      keep:\n", "f.yml:4: this has no value"},
        {"s:\n  rules:\n    - match: [up]\n      keep: 1s\n",
         "f.yml:3: one value must stand here, not a list or a map; one that begins with { or [ "
         "needs quotes"},
        {"s:\n  rules:\n    - {}\n", "f.yml:2: item 1 (line 3): s.rules needs \"match\""},
        {"s:\n  rules: [a]\n", "f.yml:2: s.rules is a list of maps"},
        {"s:\n  rules: [{match: a, keep: 1s}, a]\n", "f.yml:2: a list may hold either"},
        {"s:\n  rules: [a, {match: a, keep: 1s}]\n", "f.yml:2: a list may hold either"},
        {"s:\n  rules: a\n", "f.yml:2: s.rules: a list of maps must stand here"},
        {"s:\n  rules: {match: a, keep: 1s}\n", "f.yml:2: s.rules takes a value, not a map"},
        {"s:\n  names: [{match: a, keep: 1s}]\n", "f.yml:2: s.names is a list of plain values"},
        {"s:\n  rules: [{match: a, keep: 1s}, {match: a, keep: 1s}, {match: a, keep: 1s}, "
         "{match: a, keep: 1s}]\n",
         "f.yml:2: s.rules has 4 items; at most 3 may be given"},
        {"s:\n  limits:\n    - name: a\n      most: 1\n    - name: b\n",
         "f.yml:2: item 2 (line 5): s.limits sets nothing; give at least one of most, bytes, "
         "share"},
        {"s:\n  limits: [{most: 1}]\n", "f.yml:2: item 1 (line 2): s.limits needs \"name\": whose"},
        {"s:\n  limits:\n    - name: a\n      least: 1\n",
         "f.yml:2: item 1 (line 4): s.limits has no field \"least\"; it has name, most, bytes, "
         "share"},
        {"s:\n  limits:\n    - name: '~a('\n      most: 1\n",
         "f.yml:2: item 1 (line 3): s.limits.name must be a metric's name, a glob (`http_*`) or ~ "
         "and a regular expression (`~http_.+`), of at most 16 bytes: regular expression \"a(\": "
         "missing )"},
        {"s:\n  limits:\n    - {name: '~\\pL{1,100}', most: 1}\n",
         "f.yml:2: item 1 (line 3): s.limits.name must be a metric's name"},
        {"s:\n  limits: [{name: a\\, most: 1}]\n",
         "f.yml:2: item 1 (line 2): s.limits.name must be a metric's name, a glob (`http_*`) or ~ "
         "and a regular expression (`~http_.+`), of at most 16 bytes: \"a\\\" ends with"},
        {"s:\n  limits: [{name: 12345678901234567, most: 1}]\n",
         "f.yml:2: item 1 (line 2): s.limits.name must be a metric's name"},
        {"s:\n  limits: [{name: *a, most: 1}]\n",
         "f.yml:2: aliases (*name) are not supported; write the value out, in quotes where it "
         "begins with *"},
        {"s:\n  limits: [{name: a, most: 18446744073709551615}]\n",
         "f.yml:2: item 1 (line 2): s.limits.most must be a whole number from 1 to "
         "9223372036854775807, or 0 (no limit)"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture fixture;
        start(&fixture);
        assert_int_equal(apply(&fixture, cases[i].text), STATUS_INVALID);
        if (strncmp(fixture.err.message, cases[i].message, strlen(cases[i].message)) != 0)
            test_fail("\"%s\" instead of \"%s\"", fixture.err.message, cases[i].message);
        arena_release(&fixture.arena);
    }
}

static void faults_of_a_flag_are_told_without_lines(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"s.rules=[{match: a, keep: 1s}, {match: a}]",
         "--set s.rules: item 2: s.rules needs \"keep\""},
        {"s.rules=[{match: a, keep: 1s}", "--set s.rules: s.rules: not YAML: "},
        {"s.rules=[{match: a,\nkeep: 1s}", "--set s.rules: s.rules: line 2: not YAML: "},
        {"s.rules=[{match: a, keep: 1s}]\n---\n[]", "--set s.rules: s.rules: line 2: a second"},
        {"s.rules=a", "--set s.rules: s.rules: a list of maps must stand here"},
        {"s.rules=[a]", "--set s.rules: s.rules: a list may hold either"},
        {"s.rules=[*a]", "--set s.rules: s.rules: aliases"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture fixture;
        start(&fixture);
        assert_int_equal(set(&fixture, cases[i].text), STATUS_INVALID);
        if (strncmp(fixture.err.message, cases[i].message, strlen(cases[i].message)) != 0)
            test_fail("\"%s\" instead of \"%s\"", fixture.err.message, cases[i].message);
        arena_release(&fixture.arena);
    }
}

static void more_than_any_setting_takes_is_refused_while_it_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *item;
        int count;
    } cases[] = {{"{match: a}, ", YAML_RECORDS_MAX + 1},
                 {"{a: b, b: c, c: d, d: e, e: f, f: g, g: h, h: i, i: j}, ", 250}};
    for (size_t i = 0; i < 2; i++) {
        struct fixture fixture;
        start(&fixture);
        struct bytes text;
        bytes_init(&text, 1 << 16);
        assert_int_equal(bytes_append_text(&text, "s:\n  rules: ["), STATUS_OK);
        for (int j = 0; j < cases[i].count; j++)
            assert_int_equal(bytes_append_text(&text, cases[i].item), STATUS_OK);
        assert_int_equal(bytes_append_text(&text, "]\n"), STATUS_OK);
        assert_int_equal(bytes_append(&text, "", 1), STATUS_OK);
        assert_int_equal(apply(&fixture, (const char *)text.data), STATUS_INVALID);
        assert_string_equal(fixture.err.message, "f.yml:2: there is too much in this list");
        bytes_release(&text);
        arena_release(&fixture.arena);
    }
}

static void copies_are_equal_and_stand_alone(void **state)
{
    (void)state;
    struct fixture fixture;
    start(&fixture);
    assert_int_equal(set(&fixture, "s.rules=[{match: a, keep: 1s}, {match: b, keep: 2s}]"),
                     STATUS_OK);
    struct arena arena;
    arena_init(&arena, 1 << 16);
    struct sample copy = {0};
    assert_int_equal(value_copy(&keys[0], &fixture.values, &copy, &arena), STATUS_OK);
    assert_true(value_equal(&keys[0], &fixture.values, &copy));
    static const char *const others[] = {
        "s.rules=[{match: a, keep: 1s}]",
        "s.rules=[{match: a, keep: 1s}, {match: b, keep: 3s}]",
        "s.rules=[{match: a, keep: 1s}, {match: c, keep: 2s}]",
        "s.rules=[{match: a, keep: 1s}, {match: b, keep: 2s, loud: false}]",
        "s.rules=[{match: b, keep: 2s}, {match: a, keep: 1s}]",
    };
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_int_equal(set(&fixture, others[i]), STATUS_OK);
        assert_false(value_equal(&keys[0], &fixture.values, &copy));
    }
    arena_release(&fixture.arena);
    assert_string_equal(rule_of(&copy, 1)->match, "b");
    arena_release(&arena);
}

static enum status load_rules(size_t memory)
{
    struct fixture fixture;
    enum status status = fixture_start(&fixture, memory);
    if (status == STATUS_OK)
        status = apply(&fixture, "s:\n  rules: [{match: a, keep: 1s}, {match: b, keep: 2s}]\n"
                                 "  limits: [{name: a, most: 1}, {name: '~b', share: 1}]\n");
    arena_release(&fixture.arena);
    return status;
}

static void a_lack_of_room_at_any_point_is_told_and_survived(void **state)
{
    (void)state;
    assert_lack_of_room_is_told_and_survived(load_rules);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(records_are_read_in_order_and_printed_so_that_they_load_again),
        cmocka_unit_test(what_is_optional_may_be_left_out_and_is_not_printed_then),
        cmocka_unit_test(as_many_records_as_there_may_be_have_all_their_fields),
        cmocka_unit_test(environment_and_flags_take_them_on_one_line),
        cmocka_unit_test(faults_are_told_with_the_setting_the_item_and_the_line),
        cmocka_unit_test(faults_of_a_flag_are_told_without_lines),
        cmocka_unit_test(more_than_any_setting_takes_is_refused_while_it_is_read),
        cmocka_unit_test(copies_are_equal_and_stand_alone),
        cmocka_unit_test(a_lack_of_room_at_any_point_is_told_and_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

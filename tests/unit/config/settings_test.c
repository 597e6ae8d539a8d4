/* The kinds of settings that a table may have, with a table of the test's own: what follows for
 * lists and secrets must hold before the first real one of them is added. */
#include "../test.h"

#include "config/settings.h"
#include "config/value.h"

#include "../files.h"
#include "lack_of_room.h"

struct sample {
    bool flag;
    int64_t integer;
    const char *password;
    struct config_list names;
};

static const struct config_key keys[] = {
    {.section = "auth",
     .name = "password",
     .type = CONFIG_TEXT,
     .secret = true,
     .offset = offsetof(struct sample, password),
     .initial = "",
     .min = 0,
     .max = 16,
     .help = "A secret."},
    {.section = "auth",
     .name = "names",
     .type = CONFIG_LIST,
     .offset = offsetof(struct sample, names),
     .initial = "",
     .min = 1,
     .max = 8,
     .help = "Names."},
    {.section = "other",
     .name = "flag",
     .type = CONFIG_BOOL,
     .offset = offsetof(struct sample, flag),
     .initial = "false",
     .help = "A flag."},
    {.section = "other",
     .name = "integer",
     .type = CONFIG_INTEGER,
     .offset = offsetof(struct sample, integer),
     .initial = "-3",
     .min = INT64_MIN,
     .max = INT64_MAX,
     .help = "A number."},
};
enum { KEY_COUNT = sizeof keys / sizeof keys[0] };

static const struct settings_section sections[] = {{"auth", "Who may."}, {"other", "The rest."}};
static const struct settings_table table = {keys, KEY_COUNT, sections, 2, NULL, 0};

struct fixture {
    struct sample values;
    struct config_origin origins[KEY_COUNT];
    struct arena arena;
    struct test_files files;
    struct settings settings;
    struct error err;
};

static void fixture_init(struct fixture *fixture, const struct test_file *files, size_t memory)
{
    *fixture = (struct fixture){.files = test_files_of(files)};
    arena_init(&fixture->arena, memory);
    fixture->settings = (struct settings){&table, &fixture->values, fixture->origins,
                                          &fixture->arena, &fixture->files.fs};
}

static const struct test_file no_files[] = {{0}};

static void fixture_start(struct fixture *fixture, const struct test_file *files)
{
    fixture_init(fixture, files, 1 << 20);
    assert_int_equal(settings_apply_defaults(&fixture->settings, &fixture->err), STATUS_OK);
}

static enum status apply(struct fixture *fixture, const char *text)
{
    return settings_apply_yaml(&fixture->settings, slice_from_text(text), "f.yml", &fixture->err);
}

static void assert_print(struct fixture *fixture,
                         enum status (*print)(const struct settings *, struct bytes *),
                         const char *expected)
{
    struct bytes text;
    bytes_init(&text, 1 << 16);
    assert_int_equal(print(&fixture->settings, &text), STATUS_OK);
    assert_int_equal(bytes_append(&text, "", 1), STATUS_OK);
    assert_string_equal((const char *)text.data, expected);
    bytes_release(&text);
}

static void every_kind_of_value_is_read_and_printed(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture, no_files);
    assert_int_equal(fixture.values.integer, -3);
    assert_int_equal(fixture.values.names.count, 0);
    assert_int_equal(apply(&fixture, "auth:\n  names: [a, 'b,c', \"d\\\"\"]\nother:\n  flag: true\n"
                                     "  integer: -9223372036854775808\n"),
                     STATUS_OK);
    assert_true(fixture.values.flag);
    assert_true(fixture.values.integer == INT64_MIN);
    assert_int_equal(fixture.values.names.count, 3);
    assert_string_equal(fixture.values.names.items[1], "b,c");
    assert_print(&fixture, settings_print_text,
                 "auth:\n"
                 "  password: \"\"                           # default\n"
                 "  names: [\"a\", \"b,c\", \"d\\\"\"]             # f.yml:2\n"
                 "\nother:\n"
                 "  flag: true                             # f.yml:4\n"
                 "  integer: -9223372036854775808          # f.yml:5\n");
    arena_release(&fixture.arena);
}

static void lists_are_separated_by_commas_outside_of_the_file(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture, no_files);
    char *environment[] = {(char *)"METRIC_STORE_AUTH__NAMES=a,bc", NULL};
    assert_int_equal(settings_apply_environment(&fixture.settings, environment, &fixture.err),
                     STATUS_OK);
    assert_int_equal(fixture.values.names.count, 2);
    assert_string_equal(fixture.values.names.items[0], "a");
    assert_string_equal(fixture.values.names.items[1], "bc");
    const struct config_flag bad = {"--set", "auth.names=a,,b"};
    assert_int_equal(settings_apply_flags(&fixture.settings, &bad, 1, &fixture.err),
                     STATUS_INVALID);
    const struct config_flag none = {"--set", "auth.names="};
    assert_int_equal(settings_apply_flags(&fixture.settings, &none, 1, &fixture.err), STATUS_OK);
    assert_int_equal(fixture.values.names.count, 0);
    arena_release(&fixture.arena);
}

static void values_of_the_wrong_kind_are_refused(void **state)
{
    (void)state;
    static const char *const refused[] = {
        "other:\n  flag: yes\n",
        "other:\n  flag: 1\n",
        "other:\n  integer: 9223372036854775808\n",
        "other:\n  integer: -9223372036854775809\n",
        "other:\n  integer: --1\n",
        "other:\n  integer: '-'\n",
        "other:\n  integer: 1.0\n",
        "auth:\n  names: [toolongtext]\n",
        "auth:\n  names: [\"a\\0\"]\n",
        "auth:\n  password: [a]\n",
        "auth:\n  password_file: [a]\n",
        "auth:\n  names_file: a\n",
    };
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        struct fixture fixture;
        fixture_start(&fixture, no_files);
        if (apply(&fixture, refused[i]) != STATUS_INVALID)
            test_fail("taken: %s", refused[i]);
        arena_release(&fixture.arena);
    }
}

static void a_secret_comes_from_a_file_without_its_lines_end(void **state)
{
    (void)state;
    static const char *const contents[] = {"hunter2", "hunter2\n", "hunter2\r\n"};
    for (size_t i = 0; i < 3; i++) {
        const struct test_file files[] = {{.path = "/run/secret", .text = contents[i]}, {0}};
        struct fixture fixture;
        fixture_start(&fixture, files);
        assert_int_equal(apply(&fixture, "auth:\n  password_file: /run/secret\n"), STATUS_OK);
        assert_string_equal(fixture.values.password, "hunter2");
        assert_string_equal(fixture.origins[0].text, "f.yml:2, file /run/secret");
        assert_int_equal(fixture.files.open_count, 0);
        arena_release(&fixture.arena);
    }
}

static void a_secret_by_file_works_from_environment_and_flags(void **state)
{
    (void)state;
    const struct test_file files[] = {
        {.path = "/run/a", .text = "one\n\n"}, {.path = "/run/b", .text = "two"}, {0}};
    struct fixture fixture;
    fixture_start(&fixture, files);
    char *environment[] = {(char *)"METRIC_STORE_AUTH__PASSWORD_FILE=/run/a", NULL};
    assert_int_equal(settings_apply_environment(&fixture.settings, environment, &fixture.err),
                     STATUS_OK);
    assert_string_equal(fixture.values.password, "one\n");
    const struct config_flag flag = {"--set", "auth.password_file=/run/b"};
    assert_int_equal(settings_apply_flags(&fixture.settings, &flag, 1, &fixture.err), STATUS_OK);
    assert_string_equal(fixture.values.password, "two");
    arena_release(&fixture.arena);
}

static void a_secrets_file_that_is_missing_empty_or_too_large_is_refused(void **state)
{
    (void)state;
    const struct test_file files[] = {{.path = "/empty", .text = "\n"},
                                      {.path = "/large", .text = "12345678901234567\n"},
                                      {.path = "/huge", .text = "1234567890123456789\n"},
                                      {.path = "/zero", .text = "a\0b", .size = 3},
                                      {.path = "/full", .text = "1234567890123456\r\n"},
                                      {0}};
    static const struct {
        const char *text;
        enum status status;
    } cases[] = {
        {"auth:\n  password_file: /none\n", STATUS_NOT_FOUND},
        {"auth:\n  password_file: ''\n", STATUS_INVALID},
        {"auth:\n  password_file: \"/empty\\0\"\n", STATUS_INVALID},
        {"auth:\n  password_file: /empty\n", STATUS_INVALID},
        {"auth:\n  password_file: /large\n", STATUS_INVALID},
        {"auth:\n  password_file: /huge\n", STATUS_LIMIT},
        {"auth:\n  password_file: /zero\n", STATUS_INVALID},
        {"auth:\n  password_file: /full\n", STATUS_OK},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct fixture fixture;
        fixture_start(&fixture, files);
        enum status status = apply(&fixture, cases[i].text);
        if (status != cases[i].status)
            test_fail("%s: %s", cases[i].text, status_name(status));
        if (status != STATUS_OK)
            assert_non_null(strstr(fixture.err.message, "f.yml:2: auth.password"));
        assert_int_equal(fixture.files.open_count, 0);
        arena_release(&fixture.arena);
    }
}

static void a_secret_and_its_file_together_are_refused(void **state)
{
    (void)state;
    const struct test_file files[] = {{.path = "/run/a", .text = "x"}, {0}};
    struct fixture fixture;
    fixture_start(&fixture, files);
    assert_int_equal(apply(&fixture, "auth:\n  password: y\n  password_file: /run/a\n"),
                     STATUS_INVALID);
    assert_string_equal(fixture.err.message,
                        "f.yml:3: auth.password is set twice, first by f.yml:2");
    arena_release(&fixture.arena);
}

static void a_secret_is_neither_printed_nor_told_in_errors(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture, no_files);
    const struct config_flag flag = {"--set", "auth.password=hunter2"};
    assert_int_equal(settings_apply_flags(&fixture.settings, &flag, 1, &fixture.err), STATUS_OK);
    assert_string_equal(fixture.values.password, "hunter2");
    assert_print(&fixture, settings_print_text,
                 "auth:\n"
                 "  # password: (secret)                   # --set auth.password\n"
                 "  names: []                              # default\n"
                 "\nother:\n"
                 "  flag: false                            # default\n"
                 "  integer: -3                            # default\n");
    assert_print(&fixture, settings_print_json,
                 "{\"auth\":{\"password\":{\"value\":null,\"secret\":\"set\",\"origin\":\"--set "
                 "auth.password\"},\"names\":{\"value\":[],\"origin\":\"default\"}},\"other\":{"
                 "\"flag\":{\"value\":false,\"origin\":\"default\"},\"integer\":{\"value\":-3,"
                 "\"origin\":\"default\"}}}\n");
    const struct config_flag bad = {"--set", "auth.password=hunter2hunter2hunter2"};
    assert_int_equal(settings_apply_flags(&fixture.settings, &bad, 1, &fixture.err),
                     STATUS_INVALID);
    assert_null(strstr(fixture.err.message, "hunter2"));
    const struct config_flag unknown = {"--set", "auth.pasword=hunter2"};
    assert_int_equal(settings_apply_flags(&fixture.settings, &unknown, 1, &fixture.err),
                     STATUS_INVALID);
    assert_null(strstr(fixture.err.message, "hunter2"));
    arena_release(&fixture.arena);
}

static void copies_are_equal_and_stand_alone(void **state)
{
    (void)state;
    struct fixture fixture;
    fixture_start(&fixture, no_files);
    assert_int_equal(apply(&fixture, "auth:\n  names: [a, b]\n  password: x\nother:\n  flag: true\n"
                                     "  integer: 5\n"),
                     STATUS_OK);
    struct arena arena;
    arena_init(&arena, 1 << 16);
    struct sample copy = {0};
    for (size_t i = 0; i < KEY_COUNT; i++) {
        assert_int_equal(value_copy(&keys[i], &fixture.values, &copy, &arena), STATUS_OK);
        assert_true(value_equal(&keys[i], &fixture.values, &copy));
    }
    assert_int_equal(apply(&fixture,
                           "auth:\n  names: [a, c]\n  password: y\nother:\n  flag: false\n"
                           "  integer: 6\n"),
                     STATUS_OK);
    arena_release(&fixture.arena);
    assert_string_equal(copy.password, "x");
    assert_string_equal(copy.names.items[1], "b");
    arena_release(&arena);
}

static enum status load_list_and_secret(size_t memory)
{
    const struct test_file files[] = {{.path = "/run/a", .text = "secret"}, {0}};
    struct fixture fixture;
    fixture_init(&fixture, files, memory);
    enum status status = settings_apply_defaults(&fixture.settings, &fixture.err);
    if (status == STATUS_OK)
        status = apply(&fixture, "auth:\n  names: [a, b]\n  password_file: /run/a\nother:\n  "
                                 "integer: 5\n");
    arena_release(&fixture.arena);
    assert_int_equal(fixture.files.open_count, 0);
    return status;
}

static void a_lack_of_room_at_any_point_is_told_and_survived(void **state)
{
    (void)state;
    assert_lack_of_room_is_told_and_survived(load_list_and_secret);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_of_value_is_read_and_printed),
        cmocka_unit_test(lists_are_separated_by_commas_outside_of_the_file),
        cmocka_unit_test(values_of_the_wrong_kind_are_refused),
        cmocka_unit_test(a_secret_comes_from_a_file_without_its_lines_end),
        cmocka_unit_test(a_secret_by_file_works_from_environment_and_flags),
        cmocka_unit_test(a_secrets_file_that_is_missing_empty_or_too_large_is_refused),
        cmocka_unit_test(a_secret_and_its_file_together_are_refused),
        cmocka_unit_test(a_secret_is_neither_printed_nor_told_in_errors),
        cmocka_unit_test(copies_are_equal_and_stand_alone),
        cmocka_unit_test(a_lack_of_room_at_any_point_is_told_and_survived),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

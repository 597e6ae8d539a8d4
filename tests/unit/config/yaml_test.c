#include "../test.h"

#include "base/bytes.h"
#include "config/yaml.h"

/* Writes what was visited as "section;" and "section.name@line=value;" or "=[a|b];". */
static enum status on_section(void *context, struct slice name, size_t line, struct error *err)
{
    (void)line;
    (void)err;
    return bytes_format(context, "%.*s;", SLICE_FORMAT(name));
}

static enum status on_setting(void *context, const struct yaml_setting *setting, struct error *err)
{
    (void)err;
    assert_int_equal(bytes_format(context, "%.*s.%.*s@%zu=", SLICE_FORMAT(setting->section),
                                  SLICE_FORMAT(setting->name), setting->line),
                     STATUS_OK);
    if (!setting->is_list)
        return bytes_format(context, "%.*s;", SLICE_FORMAT(setting->value));
    for (size_t i = 0; i < setting->item_count; i++)
        assert_int_equal(
            bytes_format(context, "%s%.*s", i == 0 ? "[" : "|", SLICE_FORMAT(setting->items[i])),
            STATUS_OK);
    return bytes_append_text(context, "];");
}

static enum status walk(struct slice text, struct bytes *seen, struct error *err)
{
    bytes_init(seen, 1 << 20);
    const struct yaml_visitor visitor = {seen, on_section, on_setting};
    return yaml_walk(text, "f.yml", &visitor, err);
}

static void assert_walk(const char *text, const char *expected)
{
    struct bytes seen;
    struct error err = {0};
    if (walk(slice_from_text(text), &seen, &err) != STATUS_OK)
        test_fail("%s", err.message);
    if (!slice_equal_text(bytes_slice(&seen), expected))
        test_fail("\"%.*s\" instead of \"%s\"", SLICE_FORMAT(bytes_slice(&seen)), expected);
    bytes_release(&seen);
}

/* The message must begin with `start` and hold `part`. */
static void assert_refused_bytes(struct slice text, const char *start, const char *part)
{
    struct bytes seen;
    struct error err = {0};
    assert_int_equal(walk(text, &seen, &err), STATUS_INVALID);
    bytes_release(&seen);
    if (strncmp(err.message, start, strlen(start)) != 0 || strstr(err.message, part) == NULL)
        test_fail("\"%s\" instead of \"%s ... %s\"", err.message, start, part);
}

static void assert_refused(const char *text, const char *start, const char *part)
{
    assert_refused_bytes(slice_from_text(text), start, part);
}

static void sections_and_settings_come_in_order_with_their_lines(void **state)
{
    (void)state;
    assert_walk("# comment\nserver:\n  listen: 127.0.0.1:9480 # here\n\n  threads: 4\nlog: {level: "
                "'debug'}\n",
                "server;server.listen@3=127.0.0.1:9480;server.threads@5=4;log;log.level@6=debug;");
}

static void lists_may_be_written_both_ways(void **state)
{
    (void)state;
    assert_walk("a:\n  b: [x, \"y z\", '']\n  c:\n    - one\n    - two\n",
                "a;a.b@2=[x|y z|];a.c@3=[one|two];");
}

static void files_without_settings_are_fine(void **state)
{
    (void)state;
    assert_walk("", "");
    assert_walk("# nothing\n", "");
    assert_walk("---\n...\n", "");
    assert_walk("server:\nlog: ~\n", "server;log;");
    assert_walk("\xef\xbb\xbfserver:\r\n  threads: 1\r\n", "server;server.threads@2=1;");
}

static void a_quoted_nothing_is_a_text_and_a_plain_one_is_refused(void **state)
{
    (void)state;
    assert_walk("a:\n  b: ''\n  c: \"null\"\n", "a;a.b@2=;a.c@3=null;");
    assert_refused("a:\n  b:\n  c: 1\n", "f.yml:2: ", "a.b has no value");
    assert_refused("a:\n  b: null\n", "f.yml:2: ", "a.b has no value");
}

static void anchors_aliases_and_tags_are_refused_by_line(void **state)
{
    (void)state;
    assert_refused("a:\n  b: &x 1\n", "f.yml:2: ", "anchors");
    assert_refused("a: &x\n  b: 1\n", "f.yml:1: ", "anchors");
    assert_refused("a:\n  b: 1\n  c: *x\n", "f.yml:3: ", "aliases");
    assert_refused("a:\n  b: !!int 1\n", "f.yml:2: ", "tags");
    assert_refused("a:\n  b: ! x\n", "f.yml:2: ", "tags");
    assert_refused("a:\n  b: !!set {x}\n", "f.yml:2: ", "tags");
    assert_refused("a:\n  b: [&x y]\n", "f.yml:2: ", "anchors");
}

static void a_second_document_is_refused(void **state)
{
    (void)state;
    assert_refused("a:\n  b: 1\n---\nc:\n  d: 1\n", "f.yml:3: ", "second document");
}

static void every_other_shape_is_refused_by_line(void **state)
{
    (void)state;
    assert_refused("- a\n", "f.yml:1: ", "sections");
    assert_refused("text\n", "f.yml:1: ", "sections");
    assert_refused("a: 1\n", "f.yml:1: ", "section \"a\" must hold settings");
    assert_refused("a:\n  - b\n", "f.yml:1: ", "section \"a\" must hold settings");
    assert_refused("a:\n  b:\n    c: 1\n", "f.yml:2: ", "a.b takes a value, not a map");
    assert_refused("a:\n  b: [[x]]\n", "f.yml:2: ", "plain values");
    assert_refused("a:\n  b: [x, ~]\n", "f.yml:2: ", "plain values");
    assert_refused("a:\n  ? [x]\n  : 1\n", "f.yml:2: ", "name");
    assert_refused("? {x: y}\n: 1\n", "f.yml:1: ", "name");
    assert_refused("a:\n  \"b\\0c\": 1\n", "f.yml:2: ", "name");
    assert_refused("'':\n  b: 1\n", "f.yml:1: ", "name");
}

static void broken_yaml_is_refused_by_line(void **state)
{
    (void)state;
    assert_refused("a:\n  b: 1\n c: 2\n", "f.yml:3: not YAML", "");
    assert_refused("a:\n\tb: 1\n", "f.yml:2: not YAML", "");
    assert_refused("a:\n  b: \"x\n", "f.yml:3: not YAML", "");
    assert_refused("a: {\n", "f.yml:2: not YAML", "");
    assert_refused("a:\n  b: \xff\n", "f.yml:", "not a text in UTF-8");
    assert_refused_bytes(slice_of("a:\n  b: x\0y\n", 12), "f.yml:", "not a text in UTF-8");
    assert_refused_bytes(slice_of("\xff\xfe\x61\0", 4), "f.yml:1: ", "not a text in UTF-8");
}

static void limits_of_names_and_lists_hold(void **state)
{
    (void)state;
    char text[4096];
    memset(text, 'x', sizeof text);
    memcpy(text + 200, ": {}\n", 6);
    assert_refused(text, "f.yml:1: ", "not the name");
    size_t size = (size_t)snprintf(text, sizeof text, "a:\n  b: [1");
    for (int i = 0; i < 256; i++)
        size += (size_t)snprintf(text + size, sizeof text - size, ",1");
    snprintf(text + size, sizeof text - size, "]\n");
    assert_refused(text, "f.yml:2: ", "256 values at most");
}

/* A million brackets must cost neither the stack nor seconds. */
static void deep_nesting_is_refused_at_once(void **state)
{
    (void)state;
    enum { SIZE = 1 << 20 };
    char *text = malloc(SIZE);
    assert_non_null(text);
    memset(text, '[', SIZE);
    assert_refused_bytes(slice_of(text, SIZE), "f.yml:1: ", "");
    memset(text, '{', SIZE);
    assert_refused_bytes(slice_of(text, SIZE), "f.yml:1: ", "");
    memcpy(text, "a:\n  b: ", 8);
    assert_refused_bytes(slice_of(text, SIZE), "f.yml:2: ", "not a map");
    for (size_t i = 0; i + 1 < SIZE; i += 2)
        memcpy(text + i, "- ", 2);
    assert_refused_bytes(slice_of(text, SIZE), "f.yml:1: ", "");
    free(text);
}

static enum status on_setting_stop(void *context, const struct yaml_setting *setting,
                                   struct error *err)
{
    (void)context;
    (void)setting;
    return fail(err, STATUS_CONFLICT, "enough");
}

static void what_the_visitor_returns_ends_the_walk(void **state)
{
    (void)state;
    struct bytes seen;
    struct error err;
    bytes_init(&seen, 100);
    const struct yaml_visitor visitor = {&seen, on_section, on_setting_stop};
    assert_int_equal(yaml_walk(slice_from_text("a:\n  b: 1\nc:\n"), "f.yml", &visitor, &err),
                     STATUS_CONFLICT);
    assert_true(slice_equal_text(bytes_slice(&seen), "a;"));
    bytes_release(&seen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sections_and_settings_come_in_order_with_their_lines),
        cmocka_unit_test(lists_may_be_written_both_ways),
        cmocka_unit_test(files_without_settings_are_fine),
        cmocka_unit_test(a_quoted_nothing_is_a_text_and_a_plain_one_is_refused),
        cmocka_unit_test(anchors_aliases_and_tags_are_refused_by_line),
        cmocka_unit_test(a_second_document_is_refused),
        cmocka_unit_test(every_other_shape_is_refused_by_line),
        cmocka_unit_test(broken_yaml_is_refused_by_line),
        cmocka_unit_test(limits_of_names_and_lists_hold),
        cmocka_unit_test(deep_nesting_is_refused_at_once),
        cmocka_unit_test(what_the_visitor_returns_ends_the_walk),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "../test.h"

#include "config/config.h"
#include "os/read_all.h"

#include "../files.h"

static void load(struct config *config, const struct config_sources *sources)
{
    struct error err;
    if (config_load(config, sources, &err) != STATUS_OK)
        test_fail("%s", err.message);
}

static void the_document_is_what_the_table_says(void **state)
{
    (void)state;
    struct bytes document, generated;
    struct error err;
    bytes_init(&document, 1 << 20);
    bytes_init(&generated, 1 << 20);
    if (filesystem_read_all(filesystem_posix(), DOCUMENT, &document, &err) != STATUS_OK)
        test_fail("%s", err.message);
    assert_int_equal(config_print_markdown(&generated), STATUS_OK);
    if (!slice_equal(bytes_slice(&document), bytes_slice(&generated)))
        test_fail("docs/CONFIGURATION.md is not what config_print_markdown writes now. Write it "
                  "anew: %s --write",
                  "tests_unit_config_print_test");
    bytes_release(&document);
    bytes_release(&generated);
}

static void the_printed_text_loads_to_the_same_values(void **state)
{
    (void)state;
    static const char *const awkward[] = {
        "plain",        "null",        "~",   "-x",   "a: b",         "#x",
        "a #b",         "'",           "\"",  "\\",   "a\nb",         "tab\t",
        "\x01",         "caf\xc3\xa9", " x ", "x:",   "\xe2\x80\xa8", "\xc2\x85",
        "\xef\xbb\xbf", "...",         "---", "[a]",  "!x",           "&x",
        "*x",           "%x",          "a,b", "\x7f",
    };
    for (size_t i = 0; i < sizeof awkward / sizeof awkward[0]; i++) {
        const struct config_flag flags[] = {{"--data", awkward[i]},
                                            {"--set", "query.max_memory=10MB"},
                                            {"--set", "query.timeout=1h30m"},
                                            {"--set", "storage.sync=never"},
                                            {"--set", "cardinality.warning_threshold=0.1"}};
        struct config config, again;
        load(&config, &(struct config_sources){.flags = flags, .flag_count = 5});
        struct bytes text;
        bytes_init(&text, 1 << 20);
        assert_int_equal(config_print_text(&config, &text), STATUS_OK);
        struct test_files files = test_files_of((struct test_file[]){
            {.path = "p", .text = (const char *)text.data, .size = text.size}, {0}});
        load(&again, &(struct config_sources){.fs = &files.fs, .file = "p"});
        assert_string_equal(again.storage.path, awkward[i]);
        assert_int_equal(again.query.max_memory_bytes, 10000000);
        assert_int_equal(again.query.timeout_ms, 5400000);
        assert_int_equal(again.storage.sync, CONFIG_SYNC_NEVER);
        assert_true(again.cardinality.warning_threshold == 0.1);
        bytes_release(&text);
        config_release(&config);
        config_release(&again);
    }
}

static void every_line_of_the_text_names_the_origin(void **state)
{
    (void)state;
    const struct config_flag flag = {"--data", "/var/lib/metric-store"};
    struct config config;
    load(&config,
         &(struct config_sources){.flags = &flag, .flag_count = 1, .preset = "kubernetes"});
    struct bytes text;
    bytes_init(&text, 1 << 20);
    assert_int_equal(config_print_text(&config, &text), STATUS_OK);
    assert_int_equal(bytes_append(&text, "", 1), STATUS_OK);
    const char *all = (const char *)text.data;
    assert_non_null(strstr(all, "server:\n  listen: 127.0.0.1:9480                 # default\n"));
    assert_non_null(strstr(all, "\n  path: /var/lib/metric-store            # --data\n"));
    assert_non_null(
        strstr(all, "\n  max_labels_per_metric: 40              # preset kubernetes\n"));
    bytes_release(&text);
    config_release(&config);
}

static void json_holds_value_and_origin_of_each_setting(void **state)
{
    (void)state;
    const struct config_flag flag = {"--data", "a\"b"};
    struct config config;
    load(&config, &(struct config_sources){.flags = &flag, .flag_count = 1});
    struct bytes text;
    bytes_init(&text, 1 << 20);
    assert_int_equal(config_print_json(&config, &text), STATUS_OK);
    assert_int_equal(bytes_append(&text, "", 1), STATUS_OK);
    const char *all = (const char *)text.data;
    static const char start[] =
        "{\"server\":{\"listen\":{\"value\":\"127.0.0.1:9480\",\"origin\":\"default\"},"
        "\"threads\":{\"value\":0,\"origin\":\"default\"},";
    assert_memory_equal(all, start, sizeof start - 1);
    assert_non_null(
        strstr(all, "},\"storage\":{\"path\":{\"value\":\"a\\\"b\",\"origin\":\"--data\"},"));
    assert_non_null(strstr(all, "\"warning_threshold\":{\"value\":0.8,"));
    assert_non_null(strstr(all, "\"head_size\":{\"value\":\"512MiB\","));
    static const char end[] = "\"format\":{\"value\":\"logfmt\",\"origin\":\"default\"}}}\n";
    assert_string_equal(all + strlen(all) - (sizeof end - 1), end);
    bytes_release(&text);
    config_release(&config);
}

static void output_over_its_limit_is_refused(void **state)
{
    (void)state;
    struct config config;
    load(&config, &(struct config_sources){0});
    for (size_t max = 0; max < 2000; max++) {
        struct bytes text;
        bytes_init(&text, max);
        assert_int_equal(config_print_text(&config, &text), STATUS_LIMIT);
        bytes_clear(&text);
        assert_int_equal(config_print_json(&config, &text), STATUS_LIMIT);
        bytes_release(&text);
    }
    config_release(&config);
}

/* With --write the document is written instead of compared. */
static int write_document(void)
{
    struct bytes generated;
    bytes_init(&generated, 1 << 20);
    FILE *file = fopen(DOCUMENT, "w");
    if (file == NULL || config_print_markdown(&generated) != STATUS_OK)
        return 1;
    bool written = fwrite(generated.data, 1, generated.size, file) == generated.size;
    written = fclose(file) == 0 && written;
    bytes_release(&generated);
    return written ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (argc == 2 && strcmp(argv[1], "--write") == 0)
        return write_document();
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_document_is_what_the_table_says),
        cmocka_unit_test(the_printed_text_loads_to_the_same_values),
        cmocka_unit_test(every_line_of_the_text_names_the_origin),
        cmocka_unit_test(json_holds_value_and_origin_of_each_setting),
        cmocka_unit_test(output_over_its_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

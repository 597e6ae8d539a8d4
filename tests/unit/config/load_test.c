#include "../test.h"

#include "config/config.h"

#include "../files.h"

static const struct config_key *key_of(const char *name)
{
    size_t count;
    const struct config_key *keys = config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        size_t section = strlen(keys[i].section);
        if (strncmp(name, keys[i].section, section) == 0 && name[section] == '.' &&
            strcmp(name + section + 1, keys[i].name) == 0)
            return &keys[i];
    }
    test_fail("no key %s", name);
    return NULL;
}

static void load(struct config *config, const struct config_sources *sources)
{
    struct error err;
    if (config_load(config, sources, &err) != STATUS_OK)
        test_fail("%s", err.message);
}

static void assert_origin(const struct config *config, const char *key, enum config_source source,
                          const char *text)
{
    const struct config_origin *origin = config_origin(config, key_of(key));
    assert_int_equal(origin->source, source);
    assert_string_equal(origin->text, text);
}

static void assert_refused(const struct config_sources *sources, const char *message)
{
    struct config config;
    struct error err = {0};
    assert_int_equal(config_load(&config, sources, &err), STATUS_INVALID);
    assert_string_equal(err.message, message);
}

static void assert_file_refused(const char *text, const char *message)
{
    struct test_files files =
        test_files_of((struct test_file[]){{.path = "m.yml", .text = text}, {0}});
    assert_refused(&(struct config_sources){.fs = &files.fs, .file = "m.yml"}, message);
    struct error err;
    assert_int_equal(config_check_file(&files.fs, "m.yml", &err), STATUS_INVALID);
    assert_string_equal(err.message, message);
    assert_int_equal(files.open_count, 0);
}

static void assert_variable_refused(const char *variable, const char *message)
{
    char *environment[] = {(char *)variable, NULL};
    assert_refused(&(struct config_sources){.environment = environment}, message);
}

static void assert_set_refused(const char *value, const char *message)
{
    const struct config_flag flag = {"--set", value};
    assert_refused(&(struct config_sources){.flags = &flag, .flag_count = 1}, message);
}

static void the_defaults_that_are_promised_hold(void **state)
{
    (void)state;
    struct config config;
    load(&config, &(struct config_sources){0});
    assert_string_equal(config.server.listen, "127.0.0.1:9480");
    assert_int_equal(config.server.max_connections, 1024);
    assert_int_equal(config.server.max_connections_per_address, 128);
    assert_int_equal(config.server.header_timeout_ms, 5000);
    assert_int_equal(config.server.idle_timeout_ms, 30000);
    assert_int_equal(config.server.max_header_bytes, 16 << 10);
    assert_int_equal(config.server.max_url_bytes, 8 << 10);
    assert_int_equal(config.server.max_body_bytes, 16 << 20);
    assert_int_equal(config.server.max_decoded_bytes, 64 << 20);
    assert_int_equal(config.server.drain_timeout_ms, 10000);
    assert_string_equal(config.storage.path, "./metric-store-data");
    assert_int_equal(config.storage.sync, CONFIG_SYNC_ALWAYS);
    assert_int_equal(config.ingest.json_max_depth, 32);
    assert_int_equal(config.admission.max_age_ms, 0);
    assert_int_equal(config.admission.max_future_ms, 0);
    assert_int_equal(config.cardinality.max_series_per_metric, 10000);
    assert_int_equal(config.cardinality.max_labels_per_metric, 10);
    assert_int_equal(config.cardinality.max_label_value_length, 100);
    assert_true(config.cardinality.warning_threshold == 0.8);
    assert_int_equal(config.query.timeout_ms, 30000);
    assert_int_equal(config.query.max_samples, 50000000);
    assert_int_equal(config.query.default_limit, 1000);
    assert_int_equal(config.query.max_points, 11000);
    assert_int_equal(config.retention.default_ms, 0);
    assert_int_equal(config.tiers.warm_after_ms, INT64_C(864000000));
    assert_int_equal(config.tiers.cold_after_ms, INT64_C(2592000000));
    assert_int_equal(config.memory.limit_bytes, 0);
    assert_int_equal(config.log.level, LOG_INFO);
    assert_int_equal(config.log.format, LOG_LOGFMT);
    assert_origin(&config, "server.listen", CONFIG_SOURCE_DEFAULT, "default");
    config_release(&config);
}

static void no_two_keys_or_flags_are_alike_and_none_looks_like_a_secrets_file(void **state)
{
    (void)state;
    size_t count;
    const struct config_key *keys = config_keys(&count);
    for (size_t i = 0; i < count; i++) {
        const char *suffix = strstr(keys[i].name, "_file");
        assert_true(suffix == NULL || suffix[5] != 0);
        assert_null(strstr(keys[i].name, "__"));
        for (size_t j = i + 1; j < count; j++) {
            assert_true(strcmp(keys[i].section, keys[j].section) != 0 ||
                        strcmp(keys[i].name, keys[j].name) != 0);
            assert_true(keys[i].flag == NULL || keys[j].flag == NULL ||
                        strcmp(keys[i].flag, keys[j].flag) != 0);
        }
    }
}

static void flags_win_over_environment_over_file_over_preset_over_default(void **state)
{
    (void)state;
    struct test_files files = test_files_of((struct test_file[]){
        {.path = "m.yml",
         .text =
             "cardinality:\n  max_label_value_length: 300\nquery:\n  queue: 3\n  max_points: 3\n"
             "  default_limit: 3\nlog:\n  level: warn\n"},
        {0}});
    char *environment[] = {(char *)"PATH=/bin", (char *)"METRIC_STORE_QUERY__QUEUE=4",
                           (char *)"METRIC_STORE_QUERY__MAX_POINTS=4",
                           (char *)"METRIC_STORE_SERVICE_HOST=10.0.0.1", NULL};
    const struct config_flag flags[] = {{"--set", "query.queue=5"},
                                        {"--set", "storage.path=a=b.c"},
                                        {"--listen", "[::1]:0"},
                                        {"--log-level", "debug"},
                                        {"--log-level", "error"}};
    struct config config;
    load(&config, &(struct config_sources){.fs = &files.fs,
                                           .file = "m.yml",
                                           .environment = environment,
                                           .flags = flags,
                                           .flag_count = sizeof flags / sizeof flags[0],
                                           .preset = "kubernetes"});
    assert_int_equal(config.query.queue, 5);
    assert_origin(&config, "query.queue", CONFIG_SOURCE_FLAG, "--set query.queue");
    assert_int_equal(config.query.max_points, 4);
    assert_origin(&config, "query.max_points", CONFIG_SOURCE_ENVIRONMENT,
                  "METRIC_STORE_QUERY__MAX_POINTS");
    assert_int_equal(config.query.default_limit, 3);
    assert_origin(&config, "query.default_limit", CONFIG_SOURCE_FILE, "m.yml:6");
    assert_int_equal(config.cardinality.max_label_value_length, 300);
    assert_origin(&config, "cardinality.max_label_value_length", CONFIG_SOURCE_FILE, "m.yml:2");
    assert_int_equal(config.cardinality.max_labels_per_metric, 40);
    assert_origin(&config, "cardinality.max_labels_per_metric", CONFIG_SOURCE_PRESET,
                  "preset kubernetes");
    assert_string_equal(config.storage.path, "a=b.c");
    assert_string_equal(config.server.listen, "[::1]:0");
    assert_origin(&config, "server.listen", CONFIG_SOURCE_FLAG, "--listen");
    assert_int_equal(config.log.level, LOG_ERROR);
    assert_int_equal(files.open_count, 0);
    config_release(&config);
}

static void an_unknown_setting_is_refused_with_line_key_and_the_nearest_key_if_one_is_near(
    void **state)
{
    (void)state;
    assert_file_refused("cardinality:\n  warning_threshold: 0.5\n  max_serie_per_metric: 1\n",
                        "m.yml:3: unknown setting \"cardinality.max_serie_per_metric\"; did you "
                        "mean \"cardinality.max_series_per_metric\"?");
    assert_file_refused("servr:\n  listen: x\n",
                        "m.yml:1: unknown section \"servr\"; did you mean \"server\"?");
    assert_file_refused("server.listn: 127.0.0.1:1\n",
                        "m.yml:1: \"server.listn\" is not a section; settings are nested: write "
                        "\"server:\" and below it, indented, \"listen: VALUE\"");
    assert_set_refused("tier.warm_after=1d", "--set tier.warm_after: unknown setting "
                                             "\"tier.warm_after\"; did you mean "
                                             "\"tiers.warm_after\"?");
    assert_set_refused("server", "--set server: write it as --set section.key=value");
    assert_set_refused("server.listen", "--set server.listen: write it as --set section.key=value");
    assert_set_refused("=", "--set : write it as --set section.key=value");
    assert_set_refused(".=",
                       "--set .: unknown setting \".\"; `metric-store config` prints all there "
                       "are");
    assert_file_refused("xyz:\n  listen: x\n",
                        "m.yml:1: unknown section \"xyz\"; `metric-store config` prints all there "
                        "are");
    assert_file_refused("x.y: 1\n", "m.yml:1: \"x.y\" is not a section; settings are nested: write "
                                    "\"SECTION:\" and below it, indented, \"KEY: VALUE\"");
}

static void an_unknown_variable_is_refused_with_the_nearest_variable(void **state)
{
    (void)state;
    assert_variable_refused("METRIC_STORE_LOG__LEVL=debug",
                            "METRIC_STORE_LOG__LEVL: unknown setting \"log.levl\"; did you mean "
                            "METRIC_STORE_LOG__LEVEL (\"log.level\")?");
    assert_variable_refused("METRIC_STORE_LOG_LEVEL=debug",
                            "METRIC_STORE_LOG_LEVEL: unknown setting; did you mean "
                            "METRIC_STORE_LOG__LEVEL, with two underscores?");
    assert_variable_refused("METRIC_STORE_STORAGE__PATH_FILE=x",
                            "METRIC_STORE_STORAGE__PATH_FILE: unknown setting "
                            "\"storage.path_file\"; did you mean METRIC_STORE_STORAGE__PATH "
                            "(\"storage.path\")?");
}

static void an_ill_typed_value_is_refused_with_what_would_fit(void **state)
{
    (void)state;
    assert_file_refused("server:\n  threads: many\n",
                        "m.yml:2: server.threads must be a whole number from 1 to 1024, or 0 (one "
                        "a core); it is \"many\"");
    assert_file_refused("storage:\n  sync: sometimes\n", "m.yml:2: storage.sync must be one of "
                                                         "always, interval, never; it is "
                                                         "\"sometimes\"");
    assert_file_refused("storage:\n  path: ''\n",
                        "m.yml:2: storage.path must be UTF-8 text of 1 to 4000 bytes without zero "
                        "bytes; it is \"\"");
    assert_file_refused("server:\n  listen: [a, b]\n",
                        "m.yml:2: server.listen takes one value, not a list");
    assert_variable_refused("METRIC_STORE_QUERY__MAX_MEMORY=64M",
                            "METRIC_STORE_QUERY__MAX_MEMORY: query.max_memory must be a size (such "
                            "as 512KiB, 64MiB, 10MB) from 1MiB to 1TiB; it is \"64M\"");
    assert_set_refused("query.timeout=30",
                       "--set query.timeout: query.timeout must be a duration (such as 250ms, 15s, "
                       "10d) from 1ms to 1d; it is \"30\"");
}

static void values_out_of_range_are_refused_and_bounds_are_taken(void **state)
{
    (void)state;
    static const struct {
        const char *value;
        bool valid;
    } cases[] = {
        {"cardinality.warning_threshold=0", false},
        {"cardinality.warning_threshold=1", true},
        {"cardinality.warning_threshold=1.01", false},
        {"cardinality.warning_threshold=nan", false},
        {"cardinality.warning_threshold=1e-400", false},
        {"cardinality.max_series_per_metric=0", true},
        {"cardinality.max_series_per_metric=-1", false},
        {"cardinality.max_series_per_metric=4294967296", false},
        {"cardinality.max_label_value_length=65537", false},
        {"query.max_samples=9223372036854775807", true},
        {"query.max_samples=9223372036854775808", false},
        {"query.queue=0", false},
        {"query.queue=", false},
        {"query.queue=1 ", false},
        {"retention.default=0", true},
        {"retention.default=1h", true},
        {"retention.default=59m", false},
        {"retention.default=300000000y", false},
        {"retention.rules=[{match: up, keep: 1h}]", true},
        {"retention.rules=[{match: up, keep: 0}]", true},
        {"retention.rules=[{match: up, keep: 59m}]", false},
        {"retention.rules=[{match: '{job!=\"\"}', keep: 1d}]", true},
        {"retention.rules=[{match: '{job=\"\"}', keep: 1d}]", false},
        {"retention.rules=[{match: up}]", false},
        {"cardinality.overrides=[{match: 'http_*', max_series: 4294967295}]", true},
        {"cardinality.overrides=[{match: up, max_series: 4294967296}]", false},
        {"cardinality.overrides=[{match: up, max_series: -1}]", false},
        {"cardinality.overrides=[{match: up, max_new_series_per_second: 1000000000}]", true},
        {"cardinality.overrides=[{match: up, max_new_series_per_second: 1000000001}]", false},
        {"cardinality.overrides=[{match: up, max_labels: 4095}]", true},
        {"cardinality.overrides=[{match: up, max_labels: 4096}]", false},
        {"cardinality.overrides=[{match: up, max_label_value_length: 65536}]", true},
        {"cardinality.overrides=[{match: up, max_label_value_length: 65537}]", false},
        {"cardinality.overrides=[{match: up, warning_threshold: 1}]", true},
        {"cardinality.overrides=[{match: up, warning_threshold: 0}]", false},
        {"cardinality.overrides=[{match: up, warning_threshold: nan}]", false},
        {"cardinality.overrides=[{match: up}]", false},
        {"cardinality.overrides=[{max_series: 1}]", false},
        {"cardinality.overrides=[{match: '', max_series: 1}]", false},
        {"memory.limit=1MiB", false},
        {"memory.limit=32MiB", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct config_flag flag = {"--set", cases[i].value};
        struct config config;
        struct error err;
        enum status status =
            config_load(&config, &(struct config_sources){.flags = &flag, .flag_count = 1}, &err);
        if ((status == STATUS_OK) != cases[i].valid)
            test_fail("%s: %s", cases[i].value, status_name(status));
        if (status == STATUS_OK)
            config_release(&config);
    }
}

static const struct config_override *override_of(const struct config *config, size_t index)
{
    assert_true(index < config->cardinality.overrides.count);
    return (const struct config_override *)config->cardinality.overrides.items + index;
}

static void an_override_has_what_it_sets_and_a_reload_takes_it_over(void **state)
{
    (void)state;
    struct config_flag flag = {
        "--set", "cardinality.overrides=[{match: 'a*', max_series: 1, max_new_series_per_second: "
                 "2, max_labels: 3, max_label_value_length: 4, "
                 "warning_threshold: 0.5}, {match: b, max_series: 0}]"};
    const struct config_sources sources = {.flags = &flag, .flag_count = 1};
    struct config config;
    load(&config, &sources);
    const struct config_override *all = override_of(&config, 0);
    assert_string_equal(all->match, "a*");
    assert_true(all->max_series == 1 && all->max_new_series == 2 && all->max_labels == 3);
    assert_true(all->max_label_value_length == 4);
    assert_true(all->warning_threshold == 0.5);
    const struct config_override *one = override_of(&config, 1);
    assert_true(one->max_series == 0 && one->max_new_series == CONFIG_UNSET);
    assert_true(one->max_labels == CONFIG_UNSET && one->max_label_value_length == CONFIG_UNSET);
    assert_true(!(one->warning_threshold >= 0));
    struct config fresh;
    struct config_changes changes;
    struct error err;
    assert_int_equal(config_reload(&config, &sources, &fresh, &changes, &err), STATUS_OK);
    assert_int_equal(changes.applied_count, 0);
    config_release(&fresh);
    flag.value = "cardinality.overrides=[{match: b, max_series: 0, max_labels: 0}]";
    assert_int_equal(config_reload(&config, &sources, &fresh, &changes, &err), STATUS_OK);
    assert_int_equal(changes.applied_count, 1);
    assert_ptr_equal(changes.applied[0], key_of("cardinality.overrides"));
    assert_int_equal(override_of(&fresh, 0)->max_labels, 0);
    config_release(&fresh);
    config_release(&config);
}

static void what_is_there_twice_in_a_file_is_refused_with_both_lines(void **state)
{
    (void)state;
    assert_file_refused("log:\n  level: info\n  format: json\n  level: info\n",
                        "m.yml:4: log.level is set twice, first by m.yml:2");
    assert_file_refused("log:\n  level: info\nquery:\nlog:\n",
                        "m.yml:4: section \"log\" is there twice, first on line 1; join them");
}

static void settings_that_contradict_each_other_are_refused_with_both_origins(void **state)
{
    (void)state;
    assert_file_refused("tiers:\n  warm_after: 40d\n",
                        "tiers.cold_after (30d, default) must be later than tiers.warm_after (40d, "
                        "m.yml:2)");
    assert_set_refused("tiers.cold_after=10d",
                       "tiers.cold_after (10d, --set tiers.cold_after) must be later than "
                       "tiers.warm_after (10d, default)");
    assert_set_refused("server.max_body_size=65MiB",
                       "server.max_decoded_size (64MiB, default) must be at least "
                       "server.max_body_size (65MiB, --set server.max_body_size)");
}

static void only_a_literal_address_and_a_port_are_listened_on(void **state)
{
    (void)state;
    static const char *const valid[] = {"0.0.0.0:0", "127.0.0.1:65535", "[::1]:9480", ":9480",
                                        "[::]:1"};
    for (size_t i = 0; i < sizeof valid / sizeof valid[0]; i++) {
        const struct config_flag flag = {"--listen", valid[i]};
        struct config config;
        load(&config, &(struct config_sources){.flags = &flag, .flag_count = 1});
        config_release(&config);
    }
    static const char *const invalid[] = {
        "127.0.0.1", "localhost:9480", "127.0.0.1:",       "127.0.0.1:65536", "::1:9480", "a b:1",
        "[]:1",      "127.0.0.1:1x",   "http://1.2.3.4:1", "256.0.0.1:1",     "[::1:1",   "*:9480"};
    for (size_t i = 0; i < sizeof invalid / sizeof invalid[0]; i++) {
        const struct config_flag flag = {"--listen", invalid[i]};
        char message[256];
        snprintf(message, sizeof message,
                 "--listen: server.listen: cannot listen on \"%s\": write ADDRESS:PORT with the "
                 "address in numbers, as in 127.0.0.1:9480 or [::1]:9480, or :9480 for every "
                 "address of this machine",
                 invalid[i]);
        assert_refused(&(struct config_sources){.flags = &flag, .flag_count = 1}, message);
    }
}

/* What every series is held to: a larger value would promise what is refused. */
static void no_more_labels_can_be_allowed_than_a_series_can_have(void **state)
{
    (void)state;
    const char *const setting = "--set";
    struct config_flag flag = {setting, "cardinality.max_labels_per_metric=4095"};
    struct config config;
    load(&config, &(struct config_sources){.flags = &flag, .flag_count = 1});
    assert_int_equal(config.cardinality.max_labels_per_metric, 4095);
    config_release(&config);
    flag.value = "cardinality.max_labels_per_metric=4096";
    assert_refused(&(struct config_sources){.flags = &flag, .flag_count = 1},
                   "--set cardinality.max_labels_per_metric: cardinality.max_labels_per_metric "
                   "must be a whole number from 1 to "
                   "4095, or 0 (no limit); it is \"4096\"");
}

static void unknown_presets_and_flags_are_refused(void **state)
{
    (void)state;
    assert_refused(&(struct config_sources){.preset = "kubernets"},
                   "--preset: unknown preset \"kubernets\"; there are: kubernetes");
    const struct config_flag flag = {"--port", "1"};
    assert_refused(&(struct config_sources){.flags = &flag, .flag_count = 1},
                   "--port is not the flag of a setting");
}

static void a_missing_unreadable_or_huge_file_stops_the_load(void **state)
{
    (void)state;
    enum { HUGE_SIZE = (1 << 20) + 1 };
    char *huge = malloc(HUGE_SIZE);
    assert_non_null(huge);
    memset(huge, '#', HUGE_SIZE);
    struct test_files files = test_files_of(
        (struct test_file[]){{.path = "bad.yml", .text = "", .unreadable = true},
                             {.path = "huge.yml", .text = huge, .size = HUGE_SIZE},
                             {.path = "largest.yml", .text = huge, .size = HUGE_SIZE - 1},
                             {0}});
    struct error err;
    assert_int_equal(config_check_file(&files.fs, "no.yml", &err), STATUS_NOT_FOUND);
    assert_string_equal(err.message, "cannot read the configuration file: cannot open no.yml: No "
                                     "such file or directory");
    assert_int_equal(config_check_file(&files.fs, "bad.yml", &err), STATUS_IO);
    assert_int_equal(config_check_file(&files.fs, "huge.yml", &err), STATUS_LIMIT);
    assert_string_equal(err.message, "cannot read the configuration file: huge.yml is larger than "
                                     "1048576 bytes");
    assert_int_equal(config_check_file(&files.fs, "largest.yml", &err), STATUS_OK);
    assert_int_equal(files.open_count, 0);
    free(huge);
}

static void a_reload_takes_what_it_can_and_names_what_needs_a_restart(void **state)
{
    (void)state;
    struct test_file content[] = {
        {.path = "m.yml", .text = "storage:\n  path: a\nlog:\n  level: info\n"}, {0}};
    struct test_files files = test_files_of(content);
    const struct config_sources sources = {.fs = &files.fs, .file = "m.yml"};
    struct config running, fresh;
    load(&running, &sources);
    content[0].text = "log:\n  level: debug\nstorage:\n\n  path: b\n";
    struct config_changes changes;
    struct error err;
    assert_int_equal(config_reload(&running, &sources, &fresh, &changes, &err), STATUS_OK);
    assert_int_equal(changes.applied_count, 1);
    assert_ptr_equal(changes.applied[0], key_of("log.level"));
    assert_int_equal(changes.need_restart_count, 1);
    assert_ptr_equal(changes.need_restart[0], key_of("storage.path"));
    config_release(&running);
    /* The fresh one must not lean on the old one. */
    assert_int_equal(fresh.log.level, LOG_DEBUG);
    assert_origin(&fresh, "log.level", CONFIG_SOURCE_FILE, "m.yml:2");
    assert_string_equal(fresh.storage.path, "a");
    assert_origin(&fresh, "storage.path", CONFIG_SOURCE_FILE, "m.yml:2");
    config_release(&fresh);
}

static void a_reload_of_a_broken_file_changes_nothing(void **state)
{
    (void)state;
    struct test_file content[] = {{.path = "m.yml", .text = "log:\n  level: warn\n"}, {0}};
    struct test_files files = test_files_of(content);
    const struct config_sources sources = {.fs = &files.fs, .file = "m.yml"};
    struct config running, fresh;
    load(&running, &sources);
    content[0].text = "log:\n  level: info\n  colour: red\n";
    struct config_changes changes;
    struct error err;
    assert_int_equal(config_reload(&running, &sources, &fresh, &changes, &err), STATUS_INVALID);
    assert_int_equal(changes.applied_count, 0);
    assert_int_equal(changes.need_restart_count, 0);
    assert_int_equal(running.log.level, LOG_WARN);
    config_release(&running);
}

static void the_memory_budget_is_the_setting_or_half_of_what_there_is(void **state)
{
    (void)state;
    struct config config = {0};
    assert_int_equal(config_memory_limit(&config, 1000), 500);
    config.memory.limit_bytes = 700;
    assert_int_equal(config_memory_limit(&config, 1000), 700);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_defaults_that_are_promised_hold),
        cmocka_unit_test(no_two_keys_or_flags_are_alike_and_none_looks_like_a_secrets_file),
        cmocka_unit_test(flags_win_over_environment_over_file_over_preset_over_default),
        cmocka_unit_test(
            an_unknown_setting_is_refused_with_line_key_and_the_nearest_key_if_one_is_near),
        cmocka_unit_test(an_unknown_variable_is_refused_with_the_nearest_variable),
        cmocka_unit_test(an_ill_typed_value_is_refused_with_what_would_fit),
        cmocka_unit_test(values_out_of_range_are_refused_and_bounds_are_taken),
        cmocka_unit_test(an_override_has_what_it_sets_and_a_reload_takes_it_over),
        cmocka_unit_test(what_is_there_twice_in_a_file_is_refused_with_both_lines),
        cmocka_unit_test(settings_that_contradict_each_other_are_refused_with_both_origins),
        cmocka_unit_test(only_a_literal_address_and_a_port_are_listened_on),
        cmocka_unit_test(no_more_labels_can_be_allowed_than_a_series_can_have),
        cmocka_unit_test(unknown_presets_and_flags_are_refused),
        cmocka_unit_test(a_missing_unreadable_or_huge_file_stops_the_load),
        cmocka_unit_test(a_reload_takes_what_it_can_and_names_what_needs_a_restart),
        cmocka_unit_test(a_reload_of_a_broken_file_changes_nothing),
        cmocka_unit_test(the_memory_budget_is_the_setting_or_half_of_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

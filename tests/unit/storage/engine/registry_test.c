#include "../../test.h"

#include "storage/engine/registry.h"

static struct metric metric_of(const char *name, enum metric_type type, const char *unit,
                               const char *help)
{
    return (struct metric){.name = slice_from_text(name),
                           .type = type,
                           .unit = slice_from_text(unit),
                           .help = slice_from_text(help)};
}

/* What registry_compare foretells is what registry_put does. */
static enum metric_outcome put(struct registry *registry, struct metric metric)
{
    enum metric_outcome foretold = registry_compare(registry, &metric);
    enum metric_outcome outcome;
    assert_int_equal(registry_put(registry, &metric, &outcome), STATUS_OK);
    assert_int_equal(outcome, foretold);
    return outcome;
}

static void check_known(const struct registry *registry, const struct metric *wanted)
{
    const struct metric *known = registry_find(registry, wanted->name);
    assert_non_null(known);
    assert_int_equal(known->type, wanted->type);
    assert_true(slice_equal(known->name, wanted->name));
    assert_true(slice_equal(known->unit, wanted->unit));
    assert_true(slice_equal(known->help, wanted->help));
    assert_int_equal(known->has_max_series, wanted->has_max_series);
    if (wanted->has_max_series)
        assert_int_equal(known->max_series, wanted->max_series);
}

static void another_type_contradicts_and_changes_nothing(void **state)
{
    (void)state;
    struct registry registry;
    assert_int_equal(registry_init(&registry, 1), STATUS_OK);
    struct metric counter = metric_of("m", METRIC_COUNTER, "s", "help");
    assert_int_equal(put(&registry, counter), METRIC_NEW);
    assert_int_equal(put(&registry, counter), METRIC_SAME);
    assert_int_equal(put(&registry, metric_of("m", METRIC_GAUGE, "other", "other")),
                     METRIC_CONTRADICTS);
    check_known(&registry, &counter);
    registry_release(&registry);
}

static void an_unknown_type_contradicts_nothing(void **state)
{
    (void)state;
    struct registry registry;
    assert_int_equal(registry_init(&registry, 1), STATUS_OK);
    assert_int_equal(put(&registry, metric_of("m", METRIC_UNKNOWN, "", "")), METRIC_NEW);
    assert_int_equal(put(&registry, metric_of("m", METRIC_GAUGE, "", "")), METRIC_CHANGED);
    assert_int_equal(put(&registry, metric_of("m", METRIC_UNKNOWN, "", "")), METRIC_SAME);
    assert_int_equal(put(&registry, metric_of("m", METRIC_UNKNOWN, "", "text")), METRIC_CHANGED);
    struct metric wanted = metric_of("m", METRIC_GAUGE, "", "text");
    check_known(&registry, &wanted);
    registry_release(&registry);
}

static void what_is_not_given_stays(void **state)
{
    (void)state;
    struct registry registry;
    assert_int_equal(registry_init(&registry, 1), STATUS_OK);
    struct metric limited = metric_of("m", METRIC_GAUGE, "bytes", "help");
    limited.has_max_series = true;
    limited.max_series = 10;
    assert_int_equal(put(&registry, limited), METRIC_NEW);
    assert_int_equal(put(&registry, metric_of("m", METRIC_GAUGE, "", "")), METRIC_SAME);
    check_known(&registry, &limited);
    assert_int_equal(put(&registry, metric_of("m", METRIC_GAUGE, "seconds", "")), METRIC_CHANGED);
    limited.unit = slice_from_text("seconds");
    check_known(&registry, &limited);
    assert_int_equal(put(&registry, metric_of("m", METRIC_GAUGE, "", "other")), METRIC_CHANGED);
    limited.help = slice_from_text("other");
    check_known(&registry, &limited);
    registry_release(&registry);
}

static void a_limit_of_zero_is_another_limit_than_none(void **state)
{
    (void)state;
    struct registry registry;
    assert_int_equal(registry_init(&registry, 1), STATUS_OK);
    struct metric metric = metric_of("m", METRIC_GAUGE, "", "");
    assert_int_equal(put(&registry, metric), METRIC_NEW);
    metric.has_max_series = true;
    assert_int_equal(put(&registry, metric), METRIC_CHANGED);
    assert_int_equal(put(&registry, metric), METRIC_SAME);
    check_known(&registry, &metric);
    metric.max_series = UINT32_MAX;
    assert_int_equal(put(&registry, metric), METRIC_CHANGED);
    check_known(&registry, &metric);
    registry_release(&registry);
}

static void descriptors_are_copied_and_found_among_many(void **state)
{
    (void)state;
    struct registry registry;
    assert_int_equal(registry_init(&registry, 1), STATUS_OK);
    char name[24], help[40];
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "metric_%d", i);
        snprintf(help, sizeof help, "help of %d", i);
        assert_int_equal(put(&registry, metric_of(name, METRIC_COUNTER, "s", help)), METRIC_NEW);
    }
    memset(name, 'x', sizeof name);
    assert_int_equal(registry.count, 20000);
    for (int i = 0; i < 20000; i++) {
        snprintf(name, sizeof name, "metric_%d", i);
        snprintf(help, sizeof help, "help of %d", i);
        struct metric wanted = metric_of(name, METRIC_COUNTER, "s", help);
        check_known(&registry, &wanted);
    }
    assert_null(registry_find(&registry, slice_from_text("metric_20000")));
    registry_release(&registry);
}

static void changed_help_gives_its_memory_back(void **state)
{
    (void)state;
    struct registry registry;
    assert_int_equal(registry_init(&registry, 1), STATUS_OK);
    static char long_help[METRIC_HELP_MAX_SIZE + 1];
    memset(long_help, 'h', METRIC_HELP_MAX_SIZE);
    put(&registry, metric_of("m", METRIC_GAUGE, "", "h"));
    size_t small = registry.memory_bytes;
    put(&registry, metric_of("m", METRIC_GAUGE, "", long_help));
    assert_int_equal(registry.memory_bytes, small + METRIC_HELP_MAX_SIZE - 1);
    put(&registry, metric_of("m", METRIC_GAUGE, "", "h"));
    assert_int_equal(registry.memory_bytes, small);
    registry_release(&registry);
}

static void one_metric_too_many_is_a_limit(void **state)
{
    (void)state;
    struct registry registry;
    assert_int_equal(registry_init(&registry, 1), STATUS_OK);
    char name[16];
    enum metric_outcome outcome;
    for (int i = 0; i <= REGISTRY_MAX_METRICS; i++) {
        snprintf(name, sizeof name, "%d", i);
        struct metric metric = metric_of(name, METRIC_GAUGE, "", "");
        assert_int_equal(registry_put(&registry, &metric, &outcome),
                         i < REGISTRY_MAX_METRICS ? STATUS_OK : STATUS_LIMIT);
    }
    /* Those that are there may still change. */
    assert_int_equal(put(&registry, metric_of("5", METRIC_GAUGE, "", "help")), METRIC_CHANGED);
    assert_null(registry_find(&registry, slice_from_text("1000000")));
    registry_release(&registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_type_contradicts_and_changes_nothing),
        cmocka_unit_test(an_unknown_type_contradicts_nothing),
        cmocka_unit_test(what_is_not_given_stays),
        cmocka_unit_test(a_limit_of_zero_is_another_limit_than_none),
        cmocka_unit_test(descriptors_are_copied_and_found_among_many),
        cmocka_unit_test(changed_help_gives_its_memory_back),
        cmocka_unit_test(one_metric_too_many_is_a_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "retention_scene.h"

#include "../../test.h"

void retention_begin(struct retention_scene *test, int64_t default_ms,
                     const struct retention_rule *rules, size_t count)
{
    test->leap_ms = 0;
    scene_begin_at(&test->scene, HEAD, ALL_SERIES, FIRST + DAY / 2);
    struct engine_options *options = &test->scene.store.options;
    options->retention_ms = default_ms;
    for (size_t i = 0; i < count; i++)
        options->retention_rules[i] = rules[i];
    options->retention_rule_count = count;
    store_reopen(&test->scene.store);
}

void retention_pass(struct retention_scene *test, int64_t duration_ms)
{
    test->scene.now_ms += duration_ms;
    test->scene.passed_ms += duration_ms;
}

void retention_change(struct retention_scene *test, int64_t default_ms,
                      const struct retention_rule *rules, size_t count)
{
    struct error err = {0};
    if (engine_set_retention_rules(test->scene.store.tier, default_ms, rules, count, &err) !=
        STATUS_OK)
        test_fail("%s", err.message);
    struct engine_options *options = &test->scene.store.options;
    options->retention_ms = default_ms;
    for (size_t i = 0; i < count; i++)
        options->retention_rules[i] = rules[i];
    options->retention_rule_count = count;
}

void retention_put_run(struct retention_scene *test, uint32_t series, int64_t from_ms, size_t count,
                       double value)
{
    scene_put_run(&test->scene, series, from_ms, 60000, count, value);
}

void retention_put_all(struct retention_scene *test, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        retention_put_run(test, i, test->scene.now_ms, 30, i);
}

void retention_live(struct retention_scene *test, int days)
{
    for (int day = 0; day < days; day++) {
        retention_put_all(test, SERIES);
        scene_settle(&test->scene);
        retention_pass(test, DAY);
    }
}

void retention_expect_gone(struct retention_scene *test, uint32_t from, uint32_t to,
                           int64_t keep_ms)
{
    bool only[ALL_SERIES];
    for (uint32_t i = 0; i < ALL_SERIES; i++)
        only[i] = i % FIXTURE_METRICS >= from && i % FIXTURE_METRICS < to;
    int64_t before_ms = day_of_time(test->scene.now_ms - test->leap_ms - keep_ms) * DAY;
    ledger_delete(&test->scene.ledger, only, (struct time_range){TIME_MIN_MS, before_ms});
}

struct storage_condition retention_condition(struct retention_scene *test)
{
    struct storage_condition condition;
    storage_condition(test->scene.store.tier, &condition);
    return condition;
}

#include "../../pseudo_random.h"
#include "../../test.h"

#include "storage/engine/activity.h"

enum { BEGIN_S = 1800000000, WINDOW_MS = 24000 * 1000, STEP_S = 1000, SERIES = 5000, METRICS = 7 };

static void expire_all(struct activity *activity)
{
    while (activity_expire(activity, NULL, NULL)) {
    }
}

static void receive(struct activity *activity, uint32_t id, uint32_t metric)
{
    assert_int_equal(activity_hold(activity, id, metric), STATUS_OK);
    activity_receive(activity, id, activity->now_s);
    activity_unhold(activity, id);
}

static void a_series_is_active_for_a_window_after_its_last_sample(void **state)
{
    (void)state;
    struct activity activity;
    activity_init(&activity, WINDOW_MS, BEGIN_S);
    receive(&activity, 5, 1);
    receive(&activity, 6, 1);
    activity_advance(&activity, BEGIN_S + 24000);
    expire_all(&activity);
    assert_int_equal(activity_count(&activity, 1), 2);
    assert_true(activity_touch(&activity, 5));
    activity_advance(&activity, BEGIN_S + 24000 + STEP_S);
    expire_all(&activity);
    assert_int_equal(activity_count(&activity, 1), 1);
    assert_non_null(activity_find(&activity, 5));
    assert_null(activity_find(&activity, 6));
    assert_false(activity_touch(&activity, 6));
    activity_advance(&activity, BEGIN_S + 48000 + STEP_S);
    expire_all(&activity);
    assert_int_equal(activity.count, 0);
    activity_release(&activity);
}

static void a_place_that_batches_hold_is_given_back_with_the_last(void **state)
{
    (void)state;
    struct activity activity;
    activity_init(&activity, WINDOW_MS, BEGIN_S);
    assert_int_equal(activity_hold(&activity, 9, 3), STATUS_OK);
    assert_int_equal(activity_hold(&activity, 9, 3), STATUS_OK);
    assert_int_equal(activity_count(&activity, 3), 1);
    assert_false(activity_touch(&activity, 9));
    activity_advance(&activity, BEGIN_S + 10 * 24000);
    expire_all(&activity);
    activity_unhold(&activity, 9);
    assert_int_equal(activity_count(&activity, 3), 1);
    activity_unhold(&activity, 9);
    assert_int_equal(activity_count(&activity, 3), 0);
    assert_int_equal(activity_hold(&activity, 9, 3), STATUS_OK);
    activity_receive(&activity, 9, activity.now_s);
    activity_unhold(&activity, 9);
    assert_true(activity_touch(&activity, 9));
    activity_release(&activity);
}

static void a_step_is_a_24th_of_the_window_within_a_second_and_an_hour(void **state)
{
    (void)state;
    static const struct {
        int64_t window_ms;
        uint32_t step_s;
    } cases[] = {
        {1000, 1}, {60000, 2}, {600000, 25}, {86400000, 3600}, {30 * INT64_C(86400000), 3600}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct activity activity;
        activity_init(&activity, cases[i].window_ms, BEGIN_S);
        assert_int_equal(activity.step_s, cases[i].step_s);
        activity_release(&activity);
    }
}

static void ticks_tell_steps_apart_and_time_never_goes_back(void **state)
{
    (void)state;
    struct activity activity;
    activity_init(&activity, WINDOW_MS, BEGIN_S);
    uint32_t tick = activity.tick;
    activity_advance(&activity, BEGIN_S + STEP_S - 1);
    assert_int_equal(activity.tick, tick);
    activity_advance(&activity, BEGIN_S + STEP_S);
    assert_int_equal(activity.tick, tick + 1);
    activity_advance(&activity, BEGIN_S - 100 * STEP_S);
    assert_int_equal(activity.tick, tick + 1);
    assert_int_equal(activity.now_s, BEGIN_S + STEP_S);
    activity_release(&activity);
}

static void a_clock_that_begins_in_1970_counts_as_well(void **state)
{
    (void)state;
    struct activity activity;
    activity_init(&activity, WINDOW_MS, 0);
    receive(&activity, 1, 1);
    assert_true(activity_touch(&activity, 1));
    /* Then somebody sets it. */
    activity_advance(&activity, BEGIN_S);
    expire_all(&activity);
    assert_int_equal(activity.count, 0);
    activity_release(&activity);
}

static void a_shorter_window_keeps_what_may_have_been_received_within_it(void **state)
{
    (void)state;
    struct activity activity;
    activity_init(&activity, 24 * 3600 * 1000, BEGIN_S / 3600 * 3600);
    uint32_t begin_s = activity.now_s;
    receive(&activity, 1, 1);
    activity_advance(&activity, begin_s + 3 * 3600);
    receive(&activity, 2, 1);
    /* Nobody knows when in this hour it was. */
    activity_set_window(&activity, 10 * 60 * 1000, begin_s + 3 * 3600 + 3000);
    expire_all(&activity);
    assert_null(activity_find(&activity, 1));
    assert_non_null(activity_find(&activity, 2));
    activity_advance(&activity, begin_s + 3 * 3600 + 3000 + 700);
    expire_all(&activity);
    assert_null(activity_find(&activity, 2));
    activity_release(&activity);
}

struct model {
    uint32_t arrival_s[SERIES]; /* 0: not active */
    uint32_t holds[SERIES];
};

static uint32_t metric_of(uint32_t id)
{
    return id * 31 % METRICS;
}

static void compare(const struct activity *activity, const struct model *model)
{
    uint32_t counts[METRICS] = {0};
    uint32_t all = 0;
    for (uint32_t id = 0; id < SERIES; id++) {
        const struct activity_entry *entry = activity_find(activity, id);
        bool active = model->arrival_s[id] != 0 || model->holds[id] != 0;
        assert_int_equal(entry != NULL, active);
        if (!active)
            continue;
        assert_int_equal(entry->metric, metric_of(id));
        assert_int_equal(activity_is_held(entry), model->arrival_s[id] == 0);
        if (model->arrival_s[id] != 0)
            assert_int_equal(entry->arrival_s, model->arrival_s[id]);
        counts[metric_of(id)]++;
        all++;
    }
    assert_int_equal(activity->count, all);
    for (uint32_t metric = 0; metric < METRICS; metric++)
        assert_int_equal(activity_count(activity, metric), counts[metric]);
}

static void step(struct activity *activity, struct model *model, uint64_t *random)
{
    uint32_t id = (uint32_t)(random_next(random) % SERIES);
    switch (random_next(random) % 6) {
    case 0:
    case 1:
        assert_int_equal(activity_hold(activity, id, metric_of(id)), STATUS_OK);
        if (model->arrival_s[id] == 0)
            model->holds[id]++;
        break;
    case 2:
        if (model->holds[id] == 0 && model->arrival_s[id] == 0)
            break;
        activity_receive(activity, id, activity->now_s);
        model->arrival_s[id] = activity->now_s;
        model->holds[id] = 0;
        break;
    case 3:
        activity_unhold(activity, id);
        model->holds[id] -= model->holds[id] > 0;
        break;
    case 4:
        assert_int_equal(activity_touch(activity, id), model->arrival_s[id] != 0);
        if (model->arrival_s[id] != 0)
            model->arrival_s[id] = activity->now_s;
        break;
    default:
        if (random_next(random) % 16 != 0)
            break;
        activity_forget(activity, id);
        model->arrival_s[id] = model->holds[id] = 0;
    }
}

static void counts_are_those_of_a_plain_model(void **state)
{
    (void)state;
    static struct model model;
    for (uint64_t seed = 1; seed <= 5; seed++) {
        struct activity activity;
        uint64_t random = seed;
        uint32_t now_s = BEGIN_S;
        memset(&model, 0, sizeof model);
        activity_init(&activity, WINDOW_MS, now_s);
        for (int round = 0; round < 60; round++) {
            size_t steps = random_next(&random) % (round % 20 < 10 ? 8000 : 300);
            for (size_t i = 0; i < steps; i++)
                step(&activity, &model, &random);
            compare(&activity, &model);
            now_s += (uint32_t)(random_next(&random) % (round % 20 < 10 ? 3000 : 20000));
            activity_advance(&activity, now_s);
            expire_all(&activity);
            for (uint32_t id = 0; id < SERIES; id++)
                if (model.arrival_s[id] != 0 &&
                    activity.now_s - model.arrival_s[id] >= WINDOW_MS / 1000 + STEP_S)
                    model.arrival_s[id] = 0;
            compare(&activity, &model);
        }
        activity_release(&activity);
    }
}

static void memory_follows_what_is_active(void **state)
{
    (void)state;
    struct activity activity;
    activity_init(&activity, WINDOW_MS, BEGIN_S);
    for (uint32_t id = 0; id < 1000000; id++)
        receive(&activity, id * 7, 0);
    assert_true(activity_memory(&activity) <= 26 * 1000000);
    activity_advance(&activity, BEGIN_S + 24000);
    for (uint32_t id = 0; id < 1000; id++)
        assert_true(activity_touch(&activity, id * 7));
    activity_advance(&activity, BEGIN_S + 24000 + STEP_S);
    expire_all(&activity);
    assert_int_equal(activity.count, 1000);
    assert_true(activity_memory(&activity) <= 1000 * 150);
    activity_release(&activity);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_series_is_active_for_a_window_after_its_last_sample),
        cmocka_unit_test(a_place_that_batches_hold_is_given_back_with_the_last),
        cmocka_unit_test(a_step_is_a_24th_of_the_window_within_a_second_and_an_hour),
        cmocka_unit_test(ticks_tell_steps_apart_and_time_never_goes_back),
        cmocka_unit_test(a_clock_that_begins_in_1970_counts_as_well),
        cmocka_unit_test(a_shorter_window_keeps_what_may_have_been_received_within_it),
        cmocka_unit_test(counts_are_those_of_a_plain_model),
        cmocka_unit_test(memory_follows_what_is_active),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "../pseudo_random.h"
#include "../test.h"

#include "admission/refusals.h"

enum { BYTES = 1 << 20, NOW = 1000 };

static struct hash128 random_hash(uint64_t *random)
{
    uint64_t low = random_next(random);
    return (struct hash128){low, random_next(random)};
}

static void what_was_refused_is_found_by_its_bytes_until_another_series_comes_in(void **state)
{
    (void)state;
    struct refusals refusals;
    enum refusal_reason reason;
    struct hash128 raw = {1, 2};
    assert_int_equal(refusals_init(&refusals, BYTES, 7), STATUS_OK);
    assert_null(refusals_find(&refusals, raw, &reason));
    struct refused_metric *metric = refusals_metric(&refusals, slice_from_text("up"), NOW);
    refusals_note(&refusals, metric, raw, REFUSED_METRIC_SERIES, NOW + 5);
    assert_ptr_equal(refusals_find(&refusals, raw, &reason), metric);
    assert_int_equal(reason, REFUSED_METRIC_SERIES);
    assert_int_equal(metric->counts[REFUSED_METRIC_SERIES], 1);
    assert_int_equal(metric->first_ms, NOW);
    assert_int_equal(metric->last_ms, NOW + 5);
    assert_null(refusals_find(&refusals, (struct hash128){1, 3}, &reason));
    refusals_admitted(&refusals, slice_from_text("down"));
    assert_non_null(refusals_find(&refusals, raw, &reason));
    refusals_admitted(&refusals, slice_from_text("up"));
    assert_null(refusals_find(&refusals, raw, &reason));
    refusals_note(&refusals, metric, raw, REFUSED_LABELS, NOW);
    assert_non_null(refusals_find(&refusals, raw, &reason));
    refusals_forget(&refusals);
    assert_null(refusals_find(&refusals, raw, &reason));
    refusals_release(&refusals);
}

static void what_comes_too_fast_is_not_remembered(void **state)
{
    (void)state;
    struct refusals refusals;
    enum refusal_reason reason;
    assert_int_equal(refusals_init(&refusals, BYTES, 7), STATUS_OK);
    struct refused_metric *metric = refusals_metric(&refusals, slice_from_text("up"), NOW);
    refusals_note(&refusals, metric, (struct hash128){1, 2}, REFUSED_RATE, NOW);
    assert_int_equal(metric->counts[REFUSED_RATE], 1);
    assert_null(refusals_find(&refusals, (struct hash128){1, 2}, &reason));
    refusals_release(&refusals);
}

/* A million of them, of 100,000 metrics; those that were refused lately are known. */
static void memory_is_bounded_whatever_is_refused(void **state)
{
    (void)state;
    struct refusals refusals;
    enum refusal_reason reason;
    uint64_t random = 1;
    assert_int_equal(refusals_init(&refusals, BYTES, 7), STATUS_OK);
    for (uint32_t i = 0; i < 1000000; i++) {
        char name[32];
        snprintf(name, sizeof name, "metric_%u", i / 10);
        struct refused_metric *metric = refusals_metric(&refusals, slice_from_text(name), NOW + i);
        refusals_note(&refusals, metric, random_hash(&random), REFUSED_TOTAL, NOW + i);
    }
    assert_true(refusals_memory(&refusals) <= BYTES);
    struct refused_metric *last = refusals_metric(&refusals, slice_from_text("metric_99999"), NOW);
    assert_int_equal(last->counts[REFUSED_TOTAL], 10);
    for (uint32_t i = 0; i < 100; i++)
        refusals_note(&refusals, last, (struct hash128){i * 77, i}, REFUSED_TOTAL, NOW);
    for (uint32_t i = 0; i < 100; i++)
        assert_ptr_equal(refusals_find(&refusals, (struct hash128){i * 77, i}, &reason), last);
    refusals_release(&refusals);
}

/* The record of a metric that made room for another one. */
static void entries_of_a_forgotten_metric_are_never_taken_for_those_of_another(void **state)
{
    (void)state;
    struct refusals refusals;
    enum refusal_reason reason;
    uint64_t random = 1;
    assert_int_equal(refusals_init(&refusals, 1, 7), STATUS_OK);
    for (uint32_t i = 0; i < 10000; i++) {
        char name[32];
        snprintf(name, sizeof name, "metric_%u", i);
        struct hash128 raw = random_hash(&random);
        refusals_note(&refusals, refusals_metric(&refusals, slice_from_text(name), NOW + i), raw,
                      REFUSED_TOTAL, NOW + i);
        uint64_t again = 1;
        for (uint32_t j = 0; j <= i && i % 1000 == 0; j++) {
            struct refused_metric *found = refusals_find(&refusals, random_hash(&again), &reason);
            snprintf(name, sizeof name, "metric_%u", j);
            if (found != NULL)
                assert_memory_equal(found->name, name, found->name_size);
        }
    }
    refusals_release(&refusals);
}

static void every_reason_has_a_code(void **state)
{
    (void)state;
    for (int reason = 0; reason < REFUSAL_REASONS; reason++)
        assert_non_null(refusal_code((enum refusal_reason)reason));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_refused_is_found_by_its_bytes_until_another_series_comes_in),
        cmocka_unit_test(what_comes_too_fast_is_not_remembered),
        cmocka_unit_test(memory_is_bounded_whatever_is_refused),
        cmocka_unit_test(entries_of_a_forgotten_metric_are_never_taken_for_those_of_another),
        cmocka_unit_test(every_reason_has_a_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

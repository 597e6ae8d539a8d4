#include "../test.h"

#include <math.h>

#include "base/times.h"
#include "harness.h"
#include "model/value.h"
#include "reference.h"

/* ---- random data against the reference -------------------------------------------------- */

struct shape {
    int64_t base_ms;
    int64_t step_ms;
    unsigned mode; /* of the values */
    bool special;  /* NaN, infinities */
};

static double random_value(uint64_t *random, const struct shape *shape, double *counter)
{
    uint64_t dice = memory_random(random);
    if (dice % 23 == 0)
        return double_of_bits(VALUE_STALE_BITS);
    if (shape->special && dice % 19 == 0)
        return double_of_bits(dice % 2 == 0 ? VALUE_NORMAL_NAN_BITS : UINT64_C(0x7ff8000000000abc));
    if (shape->special && dice % 67 == 0)
        return dice % 2 == 0 ? INFINITY : -INFINITY;
    switch (shape->mode) {
    case 0: /* whole numbers, with many equal ones */
        return (double)(int64_t)(memory_random(random) % 21) - 10;
    case 1: /* a counter that starts again now and then */
        *counter = dice % 31 == 0 ? (double)(dice % 3) : *counter + (double)(dice % 1000);
        return *counter;
    case 2: /* a large mean */
        return 1e9 + (double)(memory_random(random) % 1000) / 7;
    default: /* any magnitude */
        return ldexp((double)(int64_t)memory_random(random), (int)(dice % 60) - 60);
    }
}

static void fill_series(struct memory_tier *memory, size_t series, uint64_t *random,
                        const struct shape *shape)
{
    int64_t time_ms = shape->base_ms;
    double counter = 0;
    size_t count = memory_random(random) % 300;
    if (memory_random(random) % 8 == 0)
        time_ms += (int64_t)(memory_random(random) % 100) * shape->step_ms;
    for (size_t i = 0; i < count; i++) {
        memory_tier_add(memory, series, time_ms, random_value(random, shape, &counter));
        uint64_t dice = memory_random(random);
        int64_t steps = dice % 29 == 0 ? 2 + (int64_t)(dice % 40) : 1;
        time_ms += steps * shape->step_ms + (dice % 37 == 0 ? (int64_t)(dice % 5) : 0);
    }
}

static struct shape fill_tier(struct memory_tier *memory, uint64_t *random)
{
    static const int64_t bases[] = {0, -1200000, HARNESS_NOW_MS - 3600000, -8000000000000,
                                    8000000000123};
    static const int64_t steps[] = {1, 1000, 15000, 60000, 299999};
    struct shape shape = {
        .base_ms = bases[memory_random(random) % 5],
        .step_ms = steps[memory_random(random) % 5],
        .mode = (unsigned)(memory_random(random) % 4),
        .special = memory_random(random) % 3 == 0,
    };
    size_t count = 1 + memory_random(random) % 9;
    for (size_t i = 0; i < count; i++) {
        static const char *const regions[] = {"region=eu", "region=us", "Zone=1"};
        static const char *const jobs[] = {"job=a", "job=b", "job="};
        char text[80];
        snprintf(text, sizeof text, "%s,%s,instance=%zu", regions[memory_random(random) % 3],
                 jobs[memory_random(random) % 3], i);
        size_t series =
            memory_tier_add_series(memory, memory_random(random) % 4 == 0 ? "y" : "x", text);
        fill_series(memory, series, random, &shape);
    }
    return shape;
}

static void random_query(char text[512], uint64_t *random, const struct shape *shape)
{
    static const char *const aggregates[] = {
        "",     "sum",    "avg",  "min",      "max", "count",        "first",
        "last", "stddev", "rate", "increase", "p50", "quantile:0.3", "quantile:1"};
    static const char *const matches[] = {"metric=x", "match={__name__=~\".+\"}", "metric=y",
                                          "metric=x&label=region=eu",
                                          "match={job!=\"a\",__name__=~\"x|y\"}"};
    static const char *const bys[] = {
        "", "&by=", "&by=region", "&by=job,region", "&by=__name__", "&by=Zone,nothing,job"};
    const char *aggregate = aggregates[memory_random(random) % 14];
    int64_t span = 300 * shape->step_ms;
    int64_t start =
        shape->base_ms - 10 * shape->step_ms + (int64_t)(memory_random(random) % (uint64_t)span);
    int64_t end = start + 1 + (int64_t)(memory_random(random) % (uint64_t)span);
    const char *match = matches[memory_random(random) % 5];
    char start_text[48], end_text[48];
    instant_format(start_text, start);
    instant_format(end_text, end);
    int size = snprintf(text, 512, "%s&start=%s&end=%s", match, start_text, end_text);
    if (aggregate[0] == 0)
        return;
    size += snprintf(text + size, 512 - (size_t)size, "&aggregate=%s%s", aggregate,
                     bys[memory_random(random) % 6]);
    if (memory_random(random) % 2 == 0)
        size += snprintf(text + size, 512 - (size_t)size, "&over=series");
    if (memory_random(random) % 4 != 0) {
        int64_t interval = 1 + span / (int64_t)(1 + memory_random(random) % 400);
        static const char *const fills[] = {"", "&fill=none", "&fill=null", "&fill=previous"};
        snprintf(text + size, 512 - (size_t)size, "&interval=%lldms%s", (long long)interval,
                 fills[memory_random(random) % 4]);
    }
}

static void check_value(const char *query, const struct reference_point *want, double got,
                        enum query_aggregate aggregate)
{
    bool bitwise =
        aggregate == AGGREGATE_FIRST || aggregate == AGGREGATE_LAST || aggregate == AGGREGATE_NONE;
    bool same;
    if (want->missing)
        same = got == 0;
    else if (bitwise)
        same = bits_of_double(got) == bits_of_double(want->value);
    else if (isnan(want->value))
        same = bits_of_double(got) == VALUE_NORMAL_NAN_BITS;
    else
        same = got == want->value || fabs(got - want->value) <= want->tolerance;
    if (!same)
        test_fail("%s: %s at %lld: got %.17g, want %.17g", query, want->key,
                  (long long)want->time_ms, got, want->value);
}

static int compare_points(const void *a, const void *b)
{
    const struct reference_point *left = a;
    const struct reference_point *right = b;
    int order = strcmp(left->key, right->key);
    return order != 0 ? order : (left->time_ms > right->time_ms) - (left->time_ms < right->time_ms);
}

/* Runs the query to its end; points in the order of the reference, series checked for theirs. */
static size_t run_query(struct harness *harness, const struct query_request *request,
                        struct arena *arena, struct reference_point *points, size_t capacity)
{
    struct plan plan;
    struct execution *execution;
    struct result_series series;
    struct result_points batch;
    struct error *err = &harness->err;
    struct arena labels_arena;
    struct labels before = {0};
    bool has_before = false;
    size_t count = 0;
    enum status status;
    arena_init(&labels_arena, 1 << 24);
    assert_int_equal(plan_build(&plan, request, arena, err), STATUS_OK);
    assert_int_equal(execution_open(&execution, &harness->environment, &plan, 0, arena, err),
                     STATUS_OK);
    while ((status = execution_next_series(execution, &series, err)) == STATUS_OK) {
        if (has_before)
            assert_true(labels_compare(&before, &series.labels) < 0);
        before.count = series.labels.count;
        before.items = arena_grow(&labels_arena, series.labels.items,
                                  series.labels.count * sizeof(struct label),
                                  series.labels.count * sizeof(struct label));
        has_before = true;
        size_t first = count;
        while ((status = execution_next_points(execution, &batch, err)) == STATUS_OK) {
            assert_true(batch.count > 0);
            for (size_t i = 0; i < batch.count; i++) {
                assert_true(count < capacity);
                reference_key(&series.labels, points[count].key);
                points[count].time_ms = batch.times[i];
                points[count].value = batch.values[i];
                points[count].missing = batch.missing != NULL && batch.missing[i];
                if (count > first)
                    assert_true(points[count - 1].time_ms < batch.times[i]);
                count++;
            }
        }
        assert_int_equal(status, STATUS_END);
        assert_true(count > first);
    }
    assert_int_equal(status, STATUS_END);
    assert_int_equal(execution_next_page(execution).size, 0);
    execution_close(execution);
    arena_release(&labels_arena);
    if (count > 1)
        qsort(points, count, sizeof points[0], compare_points);
    return count;
}

static void check_query(struct harness *harness, const char *text)
{
    struct arena arena;
    struct query_request request;
    struct reference reference;
    arena_init(&arena, 64 << 20);
    harness_parameters(harness, text);
    enum status status =
        query_request_parse(&request, harness->parameters, harness->parameter_count,
                            &harness->environment.limits, HARNESS_NOW_MS, &arena, &harness->err);
    if (status != STATUS_OK)
        test_fail("%s: %s", text, harness->err.message);
    reference_compute(&reference, harness->memory, &request);
    struct reference_point *got = calloc(reference.count + 1, sizeof *got);
    assert_non_null(got);
    for (unsigned chance = 0; chance <= 100; chance += 50) {
        harness->memory->summary_chance = chance;
        size_t count = run_query(harness, &request, &arena, got, reference.count + 1);
        if (count != reference.count)
            test_fail("%s: %zu points, want %zu", text, count, reference.count);
        for (size_t i = 0; i < count; i++) {
            assert_string_equal(got[i].key, reference.points[i].key);
            assert_int_equal(got[i].time_ms, reference.points[i].time_ms);
            if (got[i].missing != reference.points[i].missing)
                test_fail("%s: %s at %lld: missing %d", text, got[i].key, (long long)got[i].time_ms,
                          got[i].missing);
            check_value(text, &reference.points[i], got[i].value, request.aggregate);
        }
    }
    free(got);
    reference_release(&reference);
    query_request_release(&request);
    arena_release(&arena);
}

static void every_aggregate_and_fill_gives_what_the_plain_reference_gives(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 120; seed++) {
        struct harness harness;
        uint64_t random = seed * UINT64_C(0x9e3779b97f4a7c15);
        harness_init(&harness);
        struct shape shape = fill_tier(harness.memory, &random);
        harness.memory->max_block = 1 + (uint32_t)(memory_random(&random) % 50);
        for (int i = 0; i < 40; i++) {
            char text[512];
            harness.memory->seed = memory_random(&random);
            random_query(text, &random, &shape);
            check_query(&harness, text);
        }
        harness_release(&harness);
    }
}

/* ---- exactness -------------------------------------------------------------------------- */

/* The one value of a query that gives one. */
static double one_value(struct harness *harness, const char *text)
{
    struct arena arena;
    struct query_request request;
    struct reference_point points[2];
    arena_init(&arena, 64 << 20);
    harness_parameters(harness, text);
    if (query_request_parse(&request, harness->parameters, harness->parameter_count,
                            &harness->environment.limits, HARNESS_NOW_MS, &arena,
                            &harness->err) != STATUS_OK)
        test_fail("%s: %s", text, harness->err.message);
    assert_int_equal(run_query(harness, &request, &arena, points, 2), 1);
    query_request_release(&request);
    arena_release(&arena);
    return points[0].value;
}

static void sums_keep_what_plain_addition_loses(void **state)
{
    (void)state;
    for (unsigned chance = 0; chance <= 100; chance += 50) {
        struct harness harness;
        harness_init(&harness);
        harness.memory->summary_chance = chance;
        harness.memory->max_block = 7;
        int64_t time_ms = HARNESS_NOW_MS - 3000000;
        for (size_t i = 0; i < 3; i++) {
            char text[32];
            snprintf(text, sizeof text, "i=%zu", i);
            size_t series = memory_tier_add_series(harness.memory, "x", text);
            memory_tier_add(harness.memory, series, time_ms, 1e16);
            for (int64_t j = 1; j <= 1000; j++)
                memory_tier_add(harness.memory, series, time_ms + j, 0.5);
            memory_tier_add(harness.memory, series, time_ms + 1001, -1e16);
        }
        assert_true(one_value(&harness, "metric=x&aggregate=sum&by=") == 1500);
        assert_true(one_value(&harness, "metric=x&aggregate=sum&label=i=1") == 500);
        assert_true(one_value(&harness, "metric=x&aggregate=avg&by=") == 1500.0 / 3006);
        harness_release(&harness);
    }
}

static void an_overflowing_sum_is_infinite_and_not_nan(void **state)
{
    (void)state;
    for (unsigned chance = 0; chance <= 100; chance += 100) {
        struct harness harness;
        harness_init(&harness);
        harness.memory->summary_chance = chance;
        size_t series = memory_tier_add_series(harness.memory, "x", "");
        for (int64_t i = 0; i < 5; i++)
            memory_tier_add(harness.memory, series, HARNESS_NOW_MS - 100 + i, 1.7e308);
        assert_true(one_value(&harness, "metric=x&aggregate=sum") == INFINITY);
        assert_true(one_value(&harness, "metric=x&aggregate=stddev") == 0);
        harness_release(&harness);
    }
}

static void stddev_is_exact_whatever_the_mean(void **state)
{
    (void)state;
    struct harness harness;
    harness_init(&harness);
    size_t series = memory_tier_add_series(harness.memory, "x", "");
    for (int64_t i = 0; i < 3000; i++)
        memory_tier_add(harness.memory, series, HARNESS_NOW_MS - 3000 + i,
                        4503599627370496.0 + (double)(i % 3 == 0   ? 0
                                                      : i % 3 == 1 ? 3
                                                                   : 6));
    assert_true(fabs(one_value(&harness, "metric=x&aggregate=stddev") - sqrt(6)) < 1e-15);
    harness_release(&harness);
}

static void stddev_of_a_hundred_thousand_values_keeps_its_digits(void **state)
{
    (void)state;
    struct harness harness;
    harness_init(&harness);
    size_t series = memory_tier_add_series(harness.memory, "x", "");
    enum { COUNT = 100003 };
    static double values[COUNT];
    long double sum = 0;
    long double squares = 0;
    for (int64_t i = 0; i < COUNT; i++) {
        values[i] = (double)(i * 7919 % COUNT) * 0.1;
        sum += values[i];
        memory_tier_add(harness.memory, series, HARNESS_NOW_MS - 200000 + i, values[i]);
    }
    for (int64_t i = 0; i < COUNT; i++)
        squares += (values[i] - sum / COUNT) * (values[i] - sum / COUNT);
    double want = (double)sqrtl(squares / COUNT);
    assert_true(one_value(&harness, "metric=x&aggregate=stddev") == want);
    harness_release(&harness);
}

static void quantiles_of_values_that_share_their_leading_digits_are_right(void **state)
{
    (void)state;
    struct harness harness;
    harness_init(&harness);
    size_t series = memory_tier_add_series(harness.memory, "x", "");
    /* All but the last bits are equal: every pass of a selection by digits sees one digit. */
    for (int64_t i = 0; i < 5000; i++)
        memory_tier_add(harness.memory, series, HARNESS_NOW_MS - 5000 + i,
                        double_of_bits(bits_of_double(1.5) + (uint64_t)(i * 17 % 5000)));
    double median = one_value(&harness, "metric=x&aggregate=quantile:0.5");
    double low = double_of_bits(bits_of_double(1.5) + 2499);
    assert_true(median >= low && median <= double_of_bits(bits_of_double(low) + 1));
    assert_true(one_value(&harness, "metric=x&aggregate=quantile:0") == 1.5);
    assert_true(one_value(&harness, "metric=x&aggregate=quantile:1") ==
                double_of_bits(bits_of_double(1.5) + 4999));
    harness_release(&harness);
}

/* ---- what a query may cost -------------------------------------------------------------- */

static void fill_plainly(struct harness *harness, size_t series_count, int64_t samples)
{
    for (size_t i = 0; i < series_count; i++) {
        char text[48];
        snprintf(text, sizeof text, "i=%05zu,region=r%zu", i, i % 7);
        size_t series = memory_tier_add_series(harness->memory, "x", text);
        for (int64_t j = 0; j < samples; j++)
            memory_tier_add(harness->memory, series, HARNESS_NOW_MS - (samples - j) * 1000,
                            (double)j);
    }
}

static void expect(struct harness *harness, const char *text, enum status want, const char *code,
                   const char *part)
{
    enum status status = harness_query(harness, text);
    if (status != want)
        test_fail("%s: %s, %s", text, status_name(status), harness->err.message);
    assert_string_equal(harness->err.code, code);
    if (strstr(harness->err.message, part) == NULL)
        test_fail("%s: %s", text, harness->err.message);
    assert_int_equal(harness->memory->open_selections, 0);
}

static void blocks_that_their_summaries_answer_are_not_decoded(void **state)
{
    (void)state;
    static const char *const free_ones[] = {"sum",   "avg",  "min",  "max",     "count",
                                            "first", "last", "rate", "increase"};
    struct harness harness;
    harness_init(&harness);
    fill_plainly(&harness, 20, 1000);
    harness.environment.limits.max_samples = 1;
    for (size_t i = 0; i < sizeof free_ones / sizeof free_ones[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "metric=x&by=region&aggregate=%s", free_ones[i]);
        assert_int_equal(harness_query(&harness, text), STATUS_OK);
        const char *output = (const char *)harness.output.data;
        assert_non_null(strstr(output, "\"samples_scanned\":0,"));
        assert_null(strstr(output, "\"blocks_skipped\":0,"));
    }
    expect(&harness, "metric=x&by=&aggregate=p50", STATUS_LIMIT, "query_samples_limit",
           "query.max_samples");
    harness_release(&harness);
}

static void decoded_samples_have_a_limit_and_are_counted(void **state)
{
    (void)state;
    struct harness harness;
    harness_init(&harness);
    fill_plainly(&harness, 10, 1000);
    harness.memory->summary_chance = 0;
    harness.environment.limits.max_samples = 10000;
    assert_int_equal(harness_query(&harness, "metric=x&by=&aggregate=sum"), STATUS_OK);
    assert_non_null(strstr((const char *)harness.output.data, "\"samples_scanned\":10000,"));
    harness.environment.limits.max_samples = 9999;
    expect(&harness, "metric=x&by=&aggregate=sum", STATUS_LIMIT, "query_samples_limit", "9999");
    harness_release(&harness);
}

static void a_query_ends_at_its_time_out(void **state)
{
    (void)state;
    struct harness harness;
    harness_init(&harness);
    fill_plainly(&harness, 100, 1000);
    harness.memory->summary_chance = 0;
    harness.tick_ns = 100000000;
    expect(&harness, "metric=x&by=&aggregate=sum&timeout=1s", STATUS_TIMEOUT, "query_timeout",
           "time-out of 1s");
    expect(&harness, "metric=x&timeout=500ms", STATUS_TIMEOUT, "query_timeout", "500ms");
    harness.environment.limits.timeout_ms = 2000;
    expect(&harness, "metric=x&by=&aggregate=p90&timeout=1h", STATUS_TIMEOUT, "query_timeout",
           "time-out of 2s");
    harness.environment.limits.timeout_ms = 0;
    assert_int_equal(harness_query(&harness, "metric=x&by=&aggregate=sum"), STATUS_OK);
    harness_release(&harness);
}

static bool cancelled_at_the_third_look(void *context)
{
    int *looks = context;
    return ++*looks == 3;
}

static void a_query_is_cancelled_within_a_few_thousand_samples(void **state)
{
    (void)state;
    static const char *const queries[] = {"metric=x&by=&aggregate=sum", "metric=x",
                                          "metric=x&aggregate=p50&interval=1m"};
    struct harness harness;
    int looks = 0;
    harness_init(&harness);
    fill_plainly(&harness, 100, 1000);
    harness.memory->summary_chance = 0;
    harness.environment.cancelled = cancelled_at_the_third_look;
    harness.environment.context = &looks;
    for (size_t i = 0; i < 3; i++) {
        looks = 0;
        harness.memory->blocks_given = 0;
        expect(&harness, queries[i], STATUS_CANCELLED, "query_cancelled", "gone");
        assert_true(harness.memory->blocks_given < 400);
    }
    harness_release(&harness);
}

static void memory_has_a_bound_that_names_the_setting(void **state)
{
    (void)state;
    struct harness harness;
    harness_init(&harness);
    fill_plainly(&harness, 200, 2000);
    harness.environment.limits.max_memory_bytes = 2 << 20;
    expect(&harness, "metric=x&by=&aggregate=p99", STATUS_LIMIT, "query_memory_limit",
           "query.max_memory");
    expect(&harness, "metric=x&by=i&aggregate=avg&interval=330ms", STATUS_LIMIT,
           "query_memory_limit", "query.max_memory");
    /* One series after the other needs no more than the largest. */
    assert_int_equal(harness_query(&harness, "metric=x&aggregate=p99"), STATUS_OK);
    assert_int_equal(harness_query(&harness, "metric=x&aggregate=p99&interval=1m"), STATUS_OK);
    harness_release(&harness);
}

/* Every allocation of the query is the one that finds no room, one after the other. */
static void any_bound_of_memory_ends_in_a_limit_or_an_answer(void **state)
{
    (void)state;
    static const char *const queries[] = {
        "metric=x&limit=3",
        "metric=x&aggregate=sum&interval=10s",
        "metric=x&aggregate=p90&by=region&interval=20s",
        "metric=x&aggregate=p90&over=series&interval=20s",
        "metric=x&aggregate=rate&by=i,region&limit=5",
        "match={__name__=\"x\",i!=\"\"}&aggregate=max&by=i&over=series&interval=50s",
    };
    struct harness harness;
    harness_init(&harness);
    fill_plainly(&harness, 70, 100);
    for (size_t i = 0; i < sizeof queries / sizeof queries[0]; i++) {
        enum status status = STATUS_LIMIT;
        for (size_t size = 2; status != STATUS_OK; size += 1200) {
            assert_true(size < 1 << 20);
            harness.environment.limits.max_memory_bytes = size;
            status = harness_query(&harness, queries[i]);
            assert_true(status == STATUS_OK || status == STATUS_LIMIT);
            assert_int_equal(harness.memory->open_selections, 0);
        }
    }
    harness_release(&harness);
}

static void too_many_matching_series_are_refused(void **state)
{
    (void)state;
    struct harness harness;
    harness_init(&harness);
    fill_plainly(&harness, 11, 1);
    harness.environment.limits.max_series = 10;
    expect(&harness, "metric=x&by=&aggregate=sum", STATUS_LIMIT, "query_series_limit", "");
    harness_release(&harness);
}

static void a_fault_of_the_tier_ends_the_query_with_its_reason(void **state)
{
    (void)state;
    static const char *const queries[] = {
        "metric=x", "metric=x&aggregate=sum", "metric=x&aggregate=sum&by=region",
        "metric=x&aggregate=sum&by=region&over=series", "metric=x&aggregate=max&over=series"};
    struct harness harness;
    harness_init(&harness);
    fill_plainly(&harness, 10, 500);
    for (size_t i = 0; i < 5; i++) {
        for (uint64_t at = 1; at < 60; at += 7) {
            harness.memory->blocks_given = 0;
            harness.memory->fail_next_at = at;
            assert_int_equal(harness_query(&harness, queries[i]), STATUS_IO);
            assert_string_equal(harness.err.message, "block 17 cannot be read");
        }
    }
    harness_release(&harness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_aggregate_and_fill_gives_what_the_plain_reference_gives),
        cmocka_unit_test(sums_keep_what_plain_addition_loses),
        cmocka_unit_test(an_overflowing_sum_is_infinite_and_not_nan),
        cmocka_unit_test(stddev_is_exact_whatever_the_mean),
        cmocka_unit_test(stddev_of_a_hundred_thousand_values_keeps_its_digits),
        cmocka_unit_test(quantiles_of_values_that_share_their_leading_digits_are_right),
        cmocka_unit_test(blocks_that_their_summaries_answer_are_not_decoded),
        cmocka_unit_test(decoded_samples_have_a_limit_and_are_counted),
        cmocka_unit_test(a_query_ends_at_its_time_out),
        cmocka_unit_test(a_query_is_cancelled_within_a_few_thousand_samples),
        cmocka_unit_test(memory_has_a_bound_that_names_the_setting),
        cmocka_unit_test(any_bound_of_memory_ends_in_a_limit_or_an_answer),
        cmocka_unit_test(too_many_matching_series_are_refused),
        cmocka_unit_test(a_fault_of_the_tier_ends_the_query_with_its_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

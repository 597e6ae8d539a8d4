/*
 * The same writes in any order give the same answers: in order of time, backwards and shuffled, in
 * batches of any size, with flushes, merges, warm steps, restarts and kills in between.
 *
 * Samples come back bit for bit. Of every window count, min, max, first and last are the same bits;
 * sum, avg and increase agree to within 1e-12 of the sum of the absolute values that they add up:
 * relative to the sum itself nothing could be promised of values that take each other away. Where
 * that sum of absolute values is no finite double, a sum may overflow or not by how it is grouped;
 * there only the others are compared. Aggregates out of block headers are those of the samples.
 *
 * METRIC_STORE_TEST_SEED repeats a run.
 */
#include "../../test.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <time.h>

#include "base/bits.h"
#include "base/times.h"
#include "engine_fixture.h"
#include "model/value.h"
#include "query/execute/execute.h"
#include "random_series.h"

enum { SERIES = 16, PER_SERIES = 1500, ORDERS = 7, DAYS = 3, MAX_BATCH = 900, MAX_POINTS = 8192 };

/* A day that is over, so that the warm step takes it. */
#define FIRST_MS (INT64_C(19800) * MS_PER_DAY)

#define TOLERANCE 1e-12

static const int64_t intervals[] = {37 * MS_PER_MINUTE, 6 * MS_PER_HOUR, MS_PER_DAY,
                                    INT64_C(8) * MS_PER_DAY};
enum { INTERVALS = sizeof intervals / sizeof intervals[0] };

struct scene {
    uint64_t seed;
    struct dice dice;
    struct fixture_sample *writes;
    size_t count;
    struct ledger ledger;
};

/* ---- what is written -------------------------------------------------------------------- */

/* Sets that cancel out, that nearly overflow, and that are all of one odd kind. */
static double adversarial(struct dice *dice, uint32_t kind, size_t i)
{
    static const double cancelling[] = {1e16, 1, -1e16, 1e-3, 3e300, -3e300, 7e-300, -1};
    switch (kind % 4) {
    case 0:
        return cancelling[i % 8] * (double)(1 + dice_below(dice, 3));
    case 1:
        return dice_below(dice, 2) == 0 ? 1e308 : -1e308;
    case 2:
        return double_of_bits(dice_below(dice, 1000) | dice_below(dice, 2) << 63);
    default:
        return double_of_bits(UINT64_C(0x7ff8000000000000) | dice_below(dice, 5));
    }
}

static void make_values(struct dice *dice, uint32_t series, double *values, size_t count)
{
    if (series < VALUES_KINDS - 1)
        random_values(dice, (enum value_kind)series, values, count);
    else
        for (size_t i = 0; i < count; i++)
            values[i] = adversarial(dice, series, i);
    /* Infinities among plain values: of one sign, and of both. */
    if (series == 4 || series == 9)
        for (size_t i = 0; i < count; i++)
            if (dice_below(dice, 200) == 0)
                values[i] = series == 4 || dice_below(dice, 2) == 0 ? INFINITY : -INFINITY;
}

static void make_writes(struct scene *scene)
{
    static int64_t times[PER_SERIES];
    static double values[PER_SERIES];
    scene->writes = calloc((size_t)SERIES * PER_SERIES * 2, sizeof scene->writes[0]);
    assert_non_null(scene->writes);
    ledger_init(&scene->ledger, SERIES);
    for (uint32_t i = 0; i < SERIES; i++) {
        size_t count = PER_SERIES / 2 + dice_below(&scene->dice, PER_SERIES / 2);
        int64_t step = DAYS * MS_PER_DAY / (int64_t)count;
        make_values(&scene->dice, i, values, count);
        for (size_t j = 0; j < count; j++) {
            int64_t within = i % 3 == 0 ? 0 : (int64_t)dice_below(&scene->dice, (uint64_t)step);
            times[j] = FIRST_MS + (int64_t)j * step + within;
        }
        for (size_t j = 0; j < count; j++) {
            struct fixture_sample sample = {i, times[j], values[j]};
            scene->writes[scene->count++] = sample;
            if (dice_below(&scene->dice, 20) == 0)
                scene->writes[scene->count++] = sample; /* written twice, the same */
        }
    }
    ledger_put(&scene->ledger, scene->writes, scene->count);
}

/* ---- orders ----------------------------------------------------------------------------- */

static int by_time(const void *a, const void *b)
{
    const struct fixture_sample *left = a;
    const struct fixture_sample *right = b;
    return (left->time_ms > right->time_ms) - (left->time_ms < right->time_ms);
}

static void arrange(struct scene *scene, int order)
{
    qsort(scene->writes, scene->count, sizeof scene->writes[0], by_time);
    if (order == 0)
        return;
    for (size_t i = 0; order == 1 && i < scene->count / 2; i++) {
        struct fixture_sample aside = scene->writes[i];
        scene->writes[i] = scene->writes[scene->count - 1 - i];
        scene->writes[scene->count - 1 - i] = aside;
    }
    for (size_t i = scene->count; order > 1 && i > 1; i--) {
        /* Near their place, or anywhere. */
        size_t far = order % 2 == 0 || i < 500 ? i : 500;
        size_t other = i - 1 - dice_below(&scene->dice, far);
        struct fixture_sample aside = scene->writes[i - 1];
        scene->writes[i - 1] = scene->writes[other];
        scene->writes[other] = aside;
    }
}

static void disturb(struct dice *dice, struct store *store)
{
    switch (dice_below(dice, 12)) {
    case 0:
    case 1:
        store_flush(store);
        break;
    case 2:
        store_settle_down(store);
        break;
    case 3:
        store_reopen(store);
        break;
    case 4:
        store_kill(store);
        break;
    case 5:
        store->options.warm_after_ms = MS_PER_DAY;
        engine_set_warm_after(store->tier, MS_PER_DAY);
        store_flush(store);
        store_settle_down(store);
        break;
    default:
        break;
    }
}

static void put(struct store *store, const struct fixture_sample *samples, size_t count)
{
    struct error err = {0};
    enum status status;
    while ((status = fixture_put(store->tier, samples, count, &err)) == STATUS_BUSY)
        store_settle_down(store);
    if (status != STATUS_OK)
        test_fail("%s", err.message);
}

static void write_all(struct scene *scene, struct store *store, int order)
{
    static const size_t heads[] = {1 << 20, 128 * 1024, 512 * 1024};
    arrange(scene, order);
    store_init(store, heads[order % 3]);
    store->options.merge_fan_in = 2 + (uint32_t)order % 4;
    store_reopen(store);
    for (size_t done = 0; done < scene->count;) {
        size_t most = order == 0 ? 500 : 1 + dice_below(&scene->dice, MAX_BATCH);
        size_t count = scene->count - done < most ? scene->count - done : most;
        put(store, scene->writes + done, count);
        done += count;
        if (order > 0)
            disturb(&scene->dice, store);
    }
    if (order % 2 == 0) {
        store_flush(store);
        store_settle_down(store);
    }
}

/* ---- what is true ----------------------------------------------------------------------- */

/* A window of one series. Sums are long doubles: their errors do not count. */
struct truth {
    struct summary plain; /* count, first, last, min, max */
    bool has_nan, has_infinity[2];
    long double sum, size; /* of values, and of their absolute values */
    bool growth_is_nan;
    long double increase, growth_size;
};

static long double plain_size(double value)
{
    return isfinite(value) ? fabsl((long double)value) : 0;
}

static void truth_add(struct truth *truth, int64_t time_ms, double value)
{
    if (value_is_stale(value))
        return;
    if (truth->plain.count > 0) {
        double growth = increase_between(truth->plain.last, value);
        truth->growth_is_nan = truth->growth_is_nan || !isfinite(growth);
        truth->increase += isfinite(growth) ? (long double)growth : 0;
        truth->growth_size += plain_size(growth);
    }
    summary_add(&truth->plain, &time_ms, &value, 1);
    truth->has_nan = truth->has_nan || isnan(value);
    if (isinf(value))
        truth->has_infinity[value < 0] = true;
    truth->sum += isfinite(value) ? (long double)value : 0;
    truth->size += plain_size(value);
}

static void truth_of(const struct ledger_series *series, struct time_range range,
                     struct truth *truth)
{
    *truth = (struct truth){0};
    summary_init(&truth->plain);
    for (size_t i = 0; i < series->count; i++)
        if (time_range_contains(range, series->times[i]))
            truth_add(truth, series->times[i], double_of_bits(series->bits[i]));
}

/* Whether a sum that is told, or a mean, may be that of these. A quotient of subnormals is rounded
 * to whole ones. */
static bool sum_holds(const struct truth *truth, double told)
{
    if (truth->size > DBL_MAX)
        return true;
    if (truth->has_nan || (truth->has_infinity[0] && truth->has_infinity[1]))
        return isnan(told);
    if (truth->has_infinity[0] || truth->has_infinity[1])
        return told == (truth->has_infinity[0] ? INFINITY : -INFINITY);
    return fabsl((long double)told - truth->sum) <= TOLERANCE * truth->size + DBL_TRUE_MIN;
}

static bool increase_holds(const struct truth *truth, double told)
{
    if (truth->growth_is_nan || truth->growth_size > DBL_MAX)
        return true;
    return fabsl((long double)told - truth->increase) <= TOLERANCE * truth->growth_size;
}

static bool same_bits(double a, double b)
{
    return bits_of_double(a) == bits_of_double(b);
}

/* ---- windows, by cursors ---------------------------------------------------------------- */

static void check_summary(const struct truth *truth, const struct summary *told, uint32_t number,
                          struct time_range range, const char *how, int order, uint64_t seed)
{
    const struct summary *plain = &truth->plain;
    bool same = told->count == plain->count;
    if (same && plain->count > 0)
        same = told->first_ms == plain->first_ms && told->last_ms == plain->last_ms &&
               same_bits(told->first, plain->first) && same_bits(told->last, plain->last) &&
               same_bits(told->min, plain->min) && same_bits(told->max, plain->max) &&
               told->nan_count == plain->nan_count && sum_holds(truth, summary_sum(told)) &&
               increase_holds(truth, told->increase);
    if (!same)
        test_fail("seed %" PRIu64 ", order %d, series %" PRIu32 ", window at %" PRId64
                  " of %" PRId64 " ms, %s: count %" PRIu32
                  " min %g max %g sum %.17g increase %.17g instead of "
                  "%" PRIu32 " %g %g %.17Lg %.17Lg",
                  seed, order, number, range.start_ms, range.end_ms - range.start_ms, how,
                  told->count, told->min, told->max, summary_sum(told), told->increase,
                  plain->count, plain->min, plain->max, truth->sum, truth->increase);
}

/* Out of summaries where they are there, or all decoded. */
static void read_window(struct tier *tier, struct storage_cursor *cursor, bool headers,
                        struct summary *told)
{
    struct storage_block block;
    enum status status;
    summary_init(told);
    while ((status = storage_cursor_next(tier, cursor, &block, NULL)) == STATUS_OK) {
        if (headers && block.summary != NULL) {
            summary_combine(told, block.summary);
            continue;
        }
        assert_int_equal(storage_cursor_load(tier, cursor, &block, NULL), STATUS_OK);
        summary_add(told, block.times, block.values, block.count);
    }
    assert_int_equal(status, STATUS_END);
}

static uint32_t number_of(const struct labels *labels)
{
    char digits[8] = {0};
    struct slice text = labels_get(labels, slice_from_text("n"));
    assert_true(text.size > 0 && text.size < sizeof digits);
    memcpy(digits, text.data, text.size);
    return (uint32_t)strtoul(digits, NULL, 10);
}

static void check_windows(const struct scene *scene, struct tier *tier, int order)
{
    struct matchers everything = {0};
    struct select_options options = {.range = fixture_always()};
    struct selection *selection;
    struct storage_cursor *cursor = NULL;
    assert_int_equal(storage_select(tier, &everything, 1, &options, &selection, NULL), STATUS_OK);
    assert_int_equal(selection_count(tier, selection), SERIES);
    for (size_t i = 0; i < SERIES; i++) {
        struct selected_series series;
        assert_int_equal(selection_series(tier, selection, i, &series, NULL), STATUS_OK);
        uint32_t number = number_of(&series.labels);
        for (size_t j = 0; j < INTERVALS; j++)
            for (int64_t at = FIRST_MS; at < FIRST_MS + DAYS * MS_PER_DAY; at += intervals[j])
                for (int headers = 0; headers < 2; headers++) {
                    struct time_range range = {at, at + intervals[j]};
                    struct truth truth;
                    struct summary told;
                    truth_of(&scene->ledger.series[number], range, &truth);
                    assert_int_equal(selection_read(tier, selection, i, range, &cursor, NULL),
                                     STATUS_OK);
                    read_window(tier, cursor, headers == 1, &told);
                    check_summary(&truth, &told, number, range, headers ? "headers" : "decoded",
                                  order, scene->seed);
                }
    }
    selection_close(tier, selection);
}

/* ---- windows, by queries ---------------------------------------------------------------- */

static const char *const aggregates[] = {"count", "min", "max", "first",
                                         "last",  "sum", "avg", "increase"};
enum { AGGREGATES = sizeof aggregates / sizeof aggregates[0], FIRST_SUM = 5 };

struct point {
    uint32_t series;
    int64_t time_ms;
    double value;
};

/* What a query answered, to be held against what the same query answers after other orders. */
struct answers {
    struct point points[MAX_POINTS];
    size_t count;
};

static void query(struct tier *tier, const char *text, struct answers *answers)
{
    struct query_environment environment = {
        .tier = tier,
        .clock = os_system().clock,
        .limits = {.max_points = 11000, .default_limit = 1000},
    };
    struct query_parameter parameters[8];
    size_t count = 0;
    char copy[512];
    snprintf(copy, sizeof copy, "%s", text);
    for (char *rest = copy, *one; (one = strtok_r(rest, "&", &rest)) != NULL;) {
        char *value = strchr(one, '=');
        assert_non_null(value);
        *value = 0;
        parameters[count++] =
            (struct query_parameter){slice_from_text(one), slice_from_text(value + 1)};
    }
    struct arena arena;
    struct query_request request;
    struct plan plan;
    struct execution *execution = NULL;
    struct result_series series;
    struct result_points batch;
    struct error err = {0};
    arena_init(&arena, (size_t)1 << 28);
    if (query_request_parse(&request, parameters, count, &environment.limits, FIRST_MS, &arena,
                            &err) != STATUS_OK ||
        plan_build(&plan, &request, &arena, &err) != STATUS_OK ||
        execution_open(&execution, &environment, &plan, 0, &arena, &err) != STATUS_OK)
        test_fail("%s: %s", text, err.message);
    answers->count = 0;
    while (execution_next_series(execution, &series, &err) == STATUS_OK)
        while (execution_next_points(execution, &batch, &err) == STATUS_OK)
            for (size_t i = 0; i < batch.count; i++) {
                assert_true(answers->count < MAX_POINTS);
                answers->points[answers->count++] =
                    (struct point){number_of(&series.labels), batch.times[i], batch.values[i]};
            }
    assert_int_equal(execution_next_page(execution).size, 0);
    execution_close(execution);
    query_request_release(&request);
    arena_release(&arena);
}

/* A query's increase counts the step into a window, from the sample before it. */
static void truth_of_steps(const struct ledger_series *series, struct time_range range,
                           struct truth *truth)
{
    struct time_range before = {INT64_MIN, range.start_ms};
    struct truth edge;
    truth_of(series, before, &edge);
    truth_of(series, range, truth);
    if (edge.plain.count == 0 || truth->plain.count == 0)
        return;
    double growth = increase_between(edge.plain.last, truth->plain.first);
    truth->growth_is_nan = truth->growth_is_nan || !isfinite(growth);
    truth->increase += isfinite(growth) ? (long double)growth : 0;
    truth->growth_size += plain_size(growth);
}

static bool point_holds(const struct scene *scene, const struct point *point, int64_t interval_ms,
                        const char *aggregate)
{
    struct time_range range = {point->time_ms, point->time_ms + interval_ms};
    struct truth truth;
    truth_of_steps(&scene->ledger.series[point->series], range, &truth);
    if (strcmp(aggregate, "sum") == 0)
        return sum_holds(&truth, point->value);
    if (strcmp(aggregate, "increase") == 0)
        return increase_holds(&truth, point->value);
    truth.sum /= truth.plain.count;
    if (truth.size <= DBL_MAX)
        truth.size /= truth.plain.count;
    return sum_holds(&truth, point->value);
}

static void check_query(const struct scene *scene, struct tier *tier, int order, size_t interval,
                        size_t aggregate, struct answers *first)
{
    static struct answers own;
    struct answers *answers = order == 0 ? first : &own;
    char text[256], start[48], end[48];
    instant_format(start, FIRST_MS);
    instant_format(end, FIRST_MS + DAYS * MS_PER_DAY);
    snprintf(text, sizeof text, "match={n=~\".+\"}&start=%s&end=%s&aggregate=%s&interval=%lldms",
             start, end, aggregates[aggregate], (long long)intervals[interval]);
    query(tier, text, answers);
    assert_true(answers->count > 0);
    if (answers->count != first->count)
        test_fail("seed %" PRIu64 ", order %d: %s: %zu points instead of %zu", scene->seed, order,
                  text, answers->count, first->count);
    for (size_t i = 0; i < answers->count; i++) {
        const struct point *point = &answers->points[i];
        bool same =
            point->series == first->points[i].series && point->time_ms == first->points[i].time_ms;
        if (same && aggregate < FIRST_SUM)
            same = same_bits(point->value, first->points[i].value);
        else if (same)
            same = point_holds(scene, point, intervals[interval], aggregates[aggregate]);
        if (!same)
            test_fail("seed %" PRIu64 ", order %d: %s: series %" PRIu32 " at %" PRId64
                      ": %.17g, first it was %.17g",
                      scene->seed, order, text, point->series, point->time_ms, point->value,
                      first->points[i].value);
    }
}

/* ---- the test --------------------------------------------------------------------------- */

static uint64_t seed_of(void)
{
    const char *text = getenv("METRIC_STORE_TEST_SEED");
    return text == NULL ? (uint64_t)time(NULL) : strtoull(text, NULL, 10);
}

static void the_same_writes_in_any_order_give_the_same_answers(void **state)
{
    (void)state;
    struct scene scene = {.seed = seed_of()};
    struct answers *first = calloc(INTERVALS * AGGREGATES, sizeof first[0]);
    char why[FIXTURE_WHY_SIZE];
    assert_non_null(first);
    scene.dice.state = scene.seed;
    printf("METRIC_STORE_TEST_SEED=%" PRIu64 "\n", scene.seed);
    make_writes(&scene);
    for (int order = 0; order < ORDERS; order++) {
        struct store store;
        write_all(&scene, &store, order);
        if (!fixture_same(store.tier, &scene.ledger, fixture_always(), why))
            test_fail("seed %" PRIu64 ", order %d: %s", scene.seed, order, why);
        check_windows(&scene, store.tier, order);
        for (size_t i = 0; i < INTERVALS; i++)
            for (size_t j = 0; j < AGGREGATES; j++)
                check_query(&scene, store.tier, order, i, j, &first[i * AGGREGATES + j]);
        store_release(&store);
    }
    ledger_release(&scene.ledger);
    free(scene.writes);
    free(first);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_same_writes_in_any_order_give_the_same_answers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

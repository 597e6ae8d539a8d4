#include "../test.h"

#include <time.h>

#include "../pseudo_random.h"
#include "base/times.h"
#include "harness.h"

/* The C library reads the same database with code of its own: what it shows is the judge. */

static const char *const zones[] = {
    "America/New_York", "Europe/Berlin",    "Asia/Kolkata",   "Australia/Lord_Howe",
    "Pacific/Apia",     "America/St_Johns", "America/Havana", "UTC"};

enum { ZONE_COUNT = sizeof zones / sizeof zones[0] };

struct fixture {
    struct harness harness;
    struct arena arena;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    harness_init(&fixture->harness);
    arena_init(&fixture->arena, 1 << 20);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    arena_release(&fixture->arena);
    harness_release(&fixture->harness);
    free(fixture);
    return 0;
}

static int64_t time_of(const char *text)
{
    int64_t time_ms;
    assert_true(instant_parse(slice_from_text(text), &time_ms));
    return time_ms;
}

/* The buckets of a query; `buckets->starts` lives in the fixture's arena. */
static enum status make(struct fixture *fixture, const char *zone, int64_t start_ms, int64_t end_ms,
                        const char *interval, struct plan_buckets *buckets)
{
    char text[256], start[INSTANT_TEXT_SIZE], end[INSTANT_TEXT_SIZE];
    struct query_request request;
    struct plan plan;
    struct error *err = &fixture->harness.err;
    arena_release(&fixture->arena);
    arena_init(&fixture->arena, 1 << 20);
    instant_format(start, start_ms);
    instant_format(end, end_ms);
    snprintf(text, sizeof text, "metric=x&aggregate=sum&interval=%s&tz=%s&start=%s&end=%s",
             interval, zone, start, end);
    harness_parameters(&fixture->harness, text);
    enum status status = query_request_parse(
        &request, fixture->harness.parameters, fixture->harness.parameter_count,
        &fixture->harness.environment.limits, HARNESS_NOW_MS, &fixture->arena, err);
    if (status != STATUS_OK)
        return status;
    status = plan_build(&plan, &request, &fixture->arena, err);
    if (status == STATUS_OK)
        *buckets = plan.root->buckets;
    query_request_release(&request);
    return status;
}

/* ---- against a clock that is read minute by minute -------------------------------------- */

static void use_zone(const char *zone)
{
    assert_int_equal(setenv("TZ", zone, 1), 0);
    tzset();
}

static int64_t clock_offset_ms(int64_t time_ms)
{
    time_t seconds = (time_t)(time_ms / 1000);
    struct tm shown;
    assert_non_null(localtime_r(&seconds, &shown));
    return (int64_t)shown.tm_gmtoff * 1000;
}

static int64_t floor_divided(int64_t number, int64_t by)
{
    return number / by - (number % by < 0);
}

/* Times are whole minutes. What begins in [early, end] by the rules of local_buckets.h, plainly. */
static size_t starts_by_the_minute(int64_t early_ms, int64_t end_ms, int64_t interval_ms,
                                   int64_t *starts, size_t capacity)
{
    int64_t monday_ms = time_of("2000-01-03T00:00:00Z");
    int64_t highest = INT64_MIN;
    int64_t offset_before = clock_offset_ms(early_ms);
    size_t count = 0;
    for (int64_t at = early_ms; at <= end_ms; at += MS_PER_MINUTE) {
        int64_t offset_ms = clock_offset_ms(at);
        int64_t piece = floor_divided(at + offset_ms - monday_ms, interval_ms);
        if (piece > highest || offset_before - offset_ms >= interval_ms) {
            assert_true(count < capacity);
            starts[count++] = at;
            highest = piece;
        }
        offset_before = offset_ms;
    }
    return count;
}

static void check_window(struct fixture *fixture, const char *zone, const char *interval,
                         int64_t start_ms, int64_t end_ms)
{
    enum { CAPACITY = 4096 };
    static int64_t wanted[CAPACITY];
    struct plan_buckets buckets;
    int64_t interval_ms;
    assert_true(duration_parse(slice_from_text(interval), &interval_ms));
    int64_t early_ms = start_ms - 3 * interval_ms - 2 * (int64_t)MS_PER_DAY;
    int64_t late_ms = end_ms + 2 * interval_ms + 2 * (int64_t)MS_PER_DAY;
    size_t count = starts_by_the_minute(early_ms, late_ms, interval_ms, wanted, CAPACITY);
    enum status status = make(fixture, zone, start_ms, end_ms, interval, &buckets);
    if (status != STATUS_OK)
        test_fail("%s", fixture->harness.err.message);
    size_t first = 0;
    while (wanted[first + 1] <= start_ms)
        first++;
    for (size_t i = 0; i <= buckets.count; i++) {
        assert_true(first + i < count);
        if (plan_bucket_start(&buckets, i) != wanted[first + i])
            test_fail("%s, %s from %lld: bucket %zu at %lld, want %lld", zone, interval,
                      (long long)start_ms, i, (long long)plan_bucket_start(&buckets, i),
                      (long long)wanted[first + i]);
    }
    assert_true(plan_bucket_start(&buckets, 0) <= start_ms);
    assert_true(plan_bucket_start(&buckets, buckets.count) >= end_ms);
    assert_true(plan_bucket_start(&buckets, buckets.count - 1) < end_ms);
    for (int64_t at = start_ms; at < end_ms; at += 7 * MS_PER_MINUTE) {
        size_t bucket = plan_bucket_of(&buckets, at);
        assert_true(plan_bucket_start(&buckets, bucket) <= at);
        assert_true(plan_bucket_start(&buckets, bucket + 1) > at);
    }
}

static void buckets_are_those_of_a_clock_read_minute_by_minute(void **state)
{
    static const char *const intervals[] = {"1h", "90m", "2h", "5h", "6h", "1d", "2d", "36h", "1w"};
    struct fixture *fixture = *state;
    uint64_t random = 20261123;
    int64_t from_ms = time_of("1951-01-01T00:00:00Z");
    int64_t span_minutes = (time_of("2060-01-01T00:00:00Z") - from_ms) / MS_PER_MINUTE;
    for (size_t zone = 0; zone < ZONE_COUNT; zone++) {
        use_zone(zones[zone]);
        for (size_t i = 0; i < 90; i++) {
            int64_t start_ms =
                from_ms + (int64_t)(random_next(&random) % (uint64_t)span_minutes) * MS_PER_MINUTE;
            /* Half of them beside a change of the clocks. */
            for (int day = 0; i % 2 == 0 && day < 400; day++) {
                if (clock_offset_ms(start_ms) != clock_offset_ms(start_ms + MS_PER_DAY))
                    break;
                start_ms += MS_PER_DAY;
            }
            start_ms -= (int64_t)(random_next(&random) % 1440) * MS_PER_MINUTE;
            int64_t minutes = 1 + (int64_t)(random_next(&random) % 5000);
            check_window(fixture, zones[zone], intervals[i % 9], start_ms,
                         start_ms + minutes * MS_PER_MINUTE);
        }
    }
    /* The day that Apia has not. */
    use_zone("Pacific/Apia");
    for (size_t i = 0; i < 9; i++)
        check_window(fixture, "Pacific/Apia", intervals[i], time_of("2011-12-27T03:04:00Z"),
                     time_of("2012-01-03T05:06:00Z"));
}

/* ---- by name ---------------------------------------------------------------------------- */

static void check_starts(struct fixture *fixture, const char *zone, const char *interval,
                         const char *start, const char *end, const char *const *wanted)
{
    struct plan_buckets buckets;
    enum status status = make(fixture, zone, time_of(start), time_of(end), interval, &buckets);
    if (status != STATUS_OK)
        test_fail("%s", fixture->harness.err.message);
    for (size_t i = 0; i <= buckets.count; i++) {
        char text[INSTANT_TEXT_SIZE];
        instant_format(text, plan_bucket_start(&buckets, i));
        assert_non_null(wanted[i]);
        assert_string_equal(text, wanted[i]);
    }
    assert_null(wanted[buckets.count + 1]);
}

static void days_have_23_and_25_hours(void **state)
{
    check_starts(*state, "Europe/Berlin", "1d", "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z",
                 (const char *const[]){"2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z",
                                       "2026-03-29T22:00:00Z", "2026-03-30T22:00:00Z", NULL});
    check_starts(*state, "America/New_York", "1d", "2026-10-31T12:00:00Z", "2026-11-02T12:00:00Z",
                 (const char *const[]){"2026-10-31T04:00:00Z", "2026-11-01T04:00:00Z",
                                       "2026-11-02T05:00:00Z", "2026-11-03T05:00:00Z", NULL});
}

static void the_hour_that_clocks_show_twice_is_two_buckets(void **state)
{
    check_starts(*state, "Europe/Berlin", "1h", "2026-10-25T00:00:00Z", "2026-10-25T02:30:00Z",
                 (const char *const[]){"2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z",
                                       "2026-10-25T02:00:00Z", "2026-10-25T03:00:00Z", NULL});
    /* Lord Howe goes back by half an hour only: one of 90 minutes. */
    check_starts(*state, "Australia/Lord_Howe", "1h", "2026-04-04T14:00:00Z",
                 "2026-04-04T16:00:00Z",
                 (const char *const[]){"2026-04-04T14:00:00Z", "2026-04-04T15:30:00Z",
                                       "2026-04-04T16:30:00Z", NULL});
    check_starts(*state, "Europe/Berlin", "6h", "2026-10-24T22:00:00Z", "2026-10-25T06:00:00Z",
                 (const char *const[]){"2026-10-24T22:00:00Z", "2026-10-25T05:00:00Z",
                                       "2026-10-25T11:00:00Z", NULL});
}

static void a_skipped_day_has_no_bucket(void **state)
{
    check_starts(*state, "Pacific/Apia", "1d", "2011-12-29T12:00:00Z", "2011-12-31T12:00:00Z",
                 (const char *const[]){"2011-12-29T10:00:00Z", "2011-12-30T10:00:00Z",
                                       "2011-12-31T10:00:00Z", "2012-01-01T10:00:00Z", NULL});
}

static void weeks_begin_on_monday(void **state)
{
    check_starts(*state, "Asia/Kolkata", "1w", "2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z",
                 (const char *const[]){"2026-11-22T18:30:00Z", "2026-11-29T18:30:00Z",
                                       "2026-12-06T18:30:00Z", NULL});
    check_starts(*state, "UTC", "1w", "2026-11-23T00:00:00Z", "2026-11-23T00:00:01Z",
                 (const char *const[]){"2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z", NULL});
}

static void local_mean_time_has_its_seconds(void **state)
{
    /* Berlin was 53 minutes and 28 seconds ahead until April 1893. */
    check_starts(*state, "Europe/Berlin", "1d", "1893-03-31T00:00:00Z", "1893-04-01T12:00:00Z",
                 (const char *const[]){"1893-03-30T23:06:32Z", "1893-03-31T23:06:32Z",
                                       "1893-04-01T23:00:00Z", NULL});
}

static void buckets_shorter_than_an_hour_are_those_of_utc(void **state)
{
    struct plan_buckets buckets;
    int64_t start_ms = time_of("2026-11-23T10:10:00Z");
    assert_int_equal(make(*state, "Asia/Kathmandu", start_ms, start_ms + 1, "30m", &buckets),
                     STATUS_OK);
    assert_int_equal(plan_bucket_start(&buckets, 0), time_of("2026-11-23T10:00:00Z"));
}

static void the_whole_range_of_times_has_buckets(void **state)
{
    struct fixture *fixture = *state;
    struct plan_buckets buckets;
    fixture->harness.environment.limits.max_points = 0;
    static const char *const intervals[] = {"500y", "1y", "31d"};
    for (size_t zone = 0; zone < ZONE_COUNT; zone++)
        for (size_t i = 0; i < 3; i++)
            assert_int_equal(
                make(fixture, zones[zone], TIME_MIN_MS, TIME_MAX_MS - 1, intervals[i], &buckets),
                STATUS_OK);
}

static void too_many_buckets_are_refused_before_they_are_made(void **state)
{
    struct fixture *fixture = *state;
    struct plan_buckets buckets;
    int64_t start_ms = time_of("2026-03-28T23:00:00Z");
    /* The query's length says at most 7; the night of 23 hours makes it one more. */
    fixture->harness.environment.limits.max_points = 7;
    int64_t end_ms = start_ms + 7 * (int64_t)MS_PER_DAY - MS_PER_HOUR + 1;
    assert_int_equal(make(fixture, "Europe/Berlin", start_ms, end_ms, "1d", &buckets),
                     STATUS_LIMIT);
    assert_string_equal(fixture->harness.err.code, "query_points_limit");
    assert_int_equal(make(fixture, "Europe/Berlin", start_ms, end_ms - 1, "1d", &buckets),
                     STATUS_OK);
    assert_int_equal(buckets.count, 7);
    /* Without a limit of points that of memory holds. */
    fixture->harness.environment.limits.max_points = 0;
    assert_int_equal(make(fixture, "Europe/Berlin", TIME_MIN_MS, TIME_MAX_MS - 1, "1h", &buckets),
                     STATUS_LIMIT);
}

static void blocks_within_a_local_day_are_not_decoded(void **state)
{
    struct fixture *fixture = *state;
    struct harness *harness = &fixture->harness;
    size_t series = memory_tier_add_series(harness->memory, "x", "");
    int64_t start_ms = time_of("2026-10-24T22:00:00Z");
    harness->memory->max_block = 50;
    for (int64_t i = 0; i < 25 * 60; i++)
        memory_tier_add(harness->memory, series, start_ms + i * MS_PER_MINUTE, (double)i);
    harness->environment.limits.max_samples = 1;
    assert_int_equal(harness_query(harness, "metric=x&start=2026-10-24T00:00:00Z&"
                                            "end=2026-10-27T00:00:00Z&aggregate=sum&interval=1d&"
                                            "tz=Europe/Berlin"),
                     STATUS_OK);
    assert_non_null(
        strstr((const char *)harness->output.data, "\"points\":[[1792879200000,1124250]]"));
    assert_non_null(strstr((const char *)harness->output.data, "\"samples_scanned\":0,"));
}

static void rate_divides_by_the_true_length_of_the_day(void **state)
{
    struct fixture *fixture = *state;
    struct harness *harness = &fixture->harness;
    size_t series = memory_tier_add_series(harness->memory, "x", "");
    int64_t start_ms = time_of("2026-10-24T22:00:00Z");
    memory_tier_add(harness->memory, series, start_ms, 0);
    memory_tier_add(harness->memory, series, start_ms + 25 * (int64_t)MS_PER_HOUR - 1, 90000);
    assert_int_equal(harness_query(harness, "metric=x&start=2026-10-24T00:00:00Z&"
                                            "end=2026-10-27T00:00:00Z&aggregate=rate&interval=1d&"
                                            "tz=Europe/Berlin&by="),
                     STATUS_OK);
    assert_non_null(strstr((const char *)harness->output.data, "\"points\":[[1792879200000,1]]"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(buckets_are_those_of_a_clock_read_minute_by_minute, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(days_have_23_and_25_hours, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_hour_that_clocks_show_twice_is_two_buckets, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_skipped_day_has_no_bucket, set_up, tear_down),
        cmocka_unit_test_setup_teardown(weeks_begin_on_monday, set_up, tear_down),
        cmocka_unit_test_setup_teardown(local_mean_time_has_its_seconds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(buckets_shorter_than_an_hour_are_those_of_utc, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_whole_range_of_times_has_buckets, set_up, tear_down),
        cmocka_unit_test_setup_teardown(too_many_buckets_are_refused_before_they_are_made, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(blocks_within_a_local_day_are_not_decoded, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(rate_divides_by_the_true_length_of_the_day, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

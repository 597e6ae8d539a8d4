#include "../test.h"

#include "base/times.h"

static int64_t instant(const char *text)
{
    int64_t time_ms;
    if (!instant_parse(slice_from_text(text), &time_ms))
        test_fail("'%s' is refused", text);
    return time_ms;
}

static const char *instant_text(int64_t time_ms)
{
    static char text[INSTANT_TEXT_SIZE];
    size_t size = instant_format(text, time_ms);
    assert_int_equal(size, strlen(text));
    return text;
}

static int64_t duration(const char *text)
{
    int64_t duration_ms;
    if (!duration_parse(slice_from_text(text), &duration_ms))
        test_fail("'%s' is refused", text);
    return duration_ms;
}

static void instants_are_read_as_rfc_3339_says(void **state)
{
    (void)state;
    assert_int_equal(instant("1970-01-01T00:00:00Z"), 0);
    assert_int_equal(instant("1970-01-01t00:00:00z"), 0);
    assert_int_equal(instant("1970-01-01 00:00:01Z"), 1000);
    assert_int_equal(instant("2026-11-23T10:00:00.250Z"), INT64_C(1795428000250));
    assert_int_equal(instant("1969-12-31T23:59:59.999Z"), -1);
    assert_int_equal(instant("1985-04-12T23:20:50.52Z"), INT64_C(482196050520));
    assert_int_equal(instant("1678-01-01T00:00:00Z"), TIME_MIN_MS);
    assert_int_equal(instant("2262-04-11T23:47:16.855Z"), TIME_MAX_MS);
}

static void an_offset_moves_the_instant_the_other_way(void **state)
{
    (void)state;
    assert_int_equal(instant("1996-12-19T16:39:57-08:00"), instant("1996-12-20T00:39:57Z"));
    assert_int_equal(instant("1937-01-01T12:00:27.87+00:20"), instant("1937-01-01T11:40:27.87Z"));
    assert_int_equal(instant("1970-01-01T00:00:00-00:00"), 0);
    assert_int_equal(instant("1970-01-01T00:00:00+23:59"),
                     -(23 * MS_PER_HOUR + 59 * MS_PER_MINUTE));
}

static void fractions_are_cut_to_milliseconds(void **state)
{
    (void)state;
    assert_int_equal(instant("1970-01-01T00:00:00.1Z"), 100);
    assert_int_equal(instant("1970-01-01T00:00:00.0019999Z"), 1);
    assert_int_equal(instant("1970-01-01T00:00:00.99999999999999999999999999999999999Z"), 999);
}

static void leap_days_are_those_of_the_gregorian_calendar(void **state)
{
    (void)state;
    int64_t ignored;
    assert_int_equal(instant("2024-02-29T00:00:00Z"), instant("2024-03-01T00:00:00Z") - MS_PER_DAY);
    assert_int_equal(instant("2000-02-29T00:00:00Z"), INT64_C(951782400000));
    assert_false(instant_parse(slice_from_text("1900-02-29T00:00:00Z"), &ignored));
    assert_false(instant_parse(slice_from_text("2023-02-29T00:00:00Z"), &ignored));
    assert_false(instant_parse(slice_from_text("2100-02-29T00:00:00Z"), &ignored));
}

static void a_leap_second_is_the_next_minute(void **state)
{
    (void)state;
    assert_int_equal(instant("1990-12-31T23:59:60Z"), instant("1991-01-01T00:00:00Z"));
}

static void what_is_no_instant_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "now",
        "2026",
        "2026-11-23",
        "2026-11-23T10:00:00",
        "2026-11-23T10:00Z",
        "2026-11-23T10:00:00.Z",
        "2026-11-23T10:00:00Zx",
        "2026-11-23T10:00:00+02",
        "2026-11-23T10:00:00+0200",
        "2026-11-23T10:00:00+24:00",
        "2026-11-23T10:00:00+02:60",
        "2026-00-23T10:00:00Z",
        "2026-13-23T10:00:00Z",
        "2026-11-00T10:00:00Z",
        "2026-11-31T10:00:00Z",
        "2026-11-23T24:00:00Z",
        "2026-11-23T10:60:00Z",
        "2026-11-23T10:00:61Z",
        "-026-11-23T10:00:00Z",
        "2026-1-123T10:00:00Z",
        "2026/11/23T10:00:00Z",
        "+2026-11-23T10:00:00Z",
        " 2026-11-23T10:00:00Z",
    };
    int64_t ignored;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (instant_parse(slice_from_text(cases[i]), &ignored))
            test_fail("'%s' is accepted", cases[i]);
    assert_false(instant_parse(slice_of("2026-11-23\0"
                                        "10:00:00Z",
                                        20),
                               &ignored));
    struct slice whole = slice_from_text("2026-11-23T10:00:00.25+02:00");
    for (size_t size = 0; size < whole.size; size++)
        assert_false(instant_parse(slice_of(whole.data, size), &ignored));
}

static void every_day_from_1678_to_2262_formats_and_reads_back(void **state)
{
    (void)state;
    int64_t first = day_of_time(TIME_MIN_MS), last = day_of_time(TIME_MAX_MS);
    char before[INSTANT_TEXT_SIZE] = "";
    for (int64_t day = first; day <= last; day++) {
        char text[INSTANT_TEXT_SIZE];
        assert_int_equal(day_format(text, day), 10);
        assert_true(strcmp(before, text) < 0);
        memcpy(before, text, sizeof text);
        int64_t time_ms = day * MS_PER_DAY + 86399999;
        assert_int_equal(instant(instant_text(time_ms)), time_ms);
    }
}

static void instants_print_milliseconds_only_where_there_are_any(void **state)
{
    (void)state;
    assert_string_equal(instant_text(0), "1970-01-01T00:00:00Z");
    assert_string_equal(instant_text(-1), "1969-12-31T23:59:59.999Z");
    assert_string_equal(instant_text(7), "1970-01-01T00:00:00.007Z");
    assert_string_equal(instant_text(INT64_C(1795428000250)), "2026-11-23T10:00:00.250Z");
}

static void instants_at_the_ends_of_the_type_still_print(void **state)
{
    (void)state;
    assert_string_equal(instant_text(INT64_MAX), "292278994-08-17T07:12:55.807Z");
    assert_string_equal(instant_text(INT64_MIN), "-292275055-05-16T16:47:04.192Z");
}

static void days_round_down_before_1970_too(void **state)
{
    (void)state;
    assert_int_equal(day_of_time(0), 0);
    assert_int_equal(day_of_time(MS_PER_DAY - 1), 0);
    assert_int_equal(day_of_time(MS_PER_DAY), 1);
    assert_int_equal(day_of_time(-1), -1);
    assert_int_equal(day_of_time(-MS_PER_DAY), -1);
    assert_int_equal(day_of_time(-MS_PER_DAY - 1), -2);
}

static void days_before_the_year_one_have_negative_years(void **state)
{
    (void)state;
    char text[INSTANT_TEXT_SIZE];
    day_format(text, -719528);
    assert_string_equal(text, "0000-01-01");
    day_format(text, -719529);
    assert_string_equal(text, "-001-12-31");
    day_format(text, -719528 - 146097);
    assert_string_equal(text, "-400-01-01");
}

static void durations_are_sums_of_counted_units(void **state)
{
    (void)state;
    assert_int_equal(duration("0"), 0);
    assert_int_equal(duration("0s"), 0);
    assert_int_equal(duration("250ms"), 250);
    assert_int_equal(duration("15s"), 15000);
    assert_int_equal(duration("5m"), 5 * MS_PER_MINUTE);
    assert_int_equal(duration("1h30m"), 90 * MS_PER_MINUTE);
    assert_int_equal(duration("10d"), INT64_C(10) * MS_PER_DAY);
    assert_int_equal(duration("1w"), INT64_C(7) * MS_PER_DAY);
    assert_int_equal(duration("1y"), INT64_C(365) * MS_PER_DAY);
    assert_int_equal(duration("1m1ms"), MS_PER_MINUTE + 1);
}

static void what_is_no_duration_is_refused(void **state)
{
    (void)state;
    static const char *const cases[] = {
        "",
        "5",
        "s",
        "-5s",
        "+5s",
        "5 s",
        "5s ",
        "1.5h",
        "5S",
        "5us",
        "5sec",
        "1h30",
        "m5",
        "00",
        "99999999999999999999s",
        "9223372036854775808ms",
        "300000000y",
        "106751991167d7h12m55s808ms",
    };
    int64_t ignored;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        if (duration_parse(slice_from_text(cases[i]), &ignored))
            test_fail("'%s' is accepted", cases[i]);
    assert_false(duration_parse(slice_of("5s\0", 3), &ignored));
}

static void durations_print_and_read_back(void **state)
{
    (void)state;
    static const struct {
        int64_t ms;
        const char *text;
    } cases[] = {
        {0, "0s"},          {1, "1ms"},         {60001, "1m1ms"},
        {5400000, "1h30m"}, {864000000, "10d"}, {INT64_MAX, "106751991167d7h12m55s807ms"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[INSTANT_TEXT_SIZE];
        size_t size = duration_format(text, cases[i].ms);
        assert_string_equal(text, cases[i].text);
        assert_int_equal(size, strlen(text));
        assert_int_equal(duration(text), cases[i].ms);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instants_are_read_as_rfc_3339_says),
        cmocka_unit_test(an_offset_moves_the_instant_the_other_way),
        cmocka_unit_test(fractions_are_cut_to_milliseconds),
        cmocka_unit_test(leap_days_are_those_of_the_gregorian_calendar),
        cmocka_unit_test(a_leap_second_is_the_next_minute),
        cmocka_unit_test(what_is_no_instant_is_refused),
        cmocka_unit_test(every_day_from_1678_to_2262_formats_and_reads_back),
        cmocka_unit_test(instants_print_milliseconds_only_where_there_are_any),
        cmocka_unit_test(instants_at_the_ends_of_the_type_still_print),
        cmocka_unit_test(days_round_down_before_1970_too),
        cmocka_unit_test(days_before_the_year_one_have_negative_years),
        cmocka_unit_test(durations_are_sums_of_counted_units),
        cmocka_unit_test(what_is_no_duration_is_refused),
        cmocka_unit_test(durations_print_and_read_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

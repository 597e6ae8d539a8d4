#include "../test.h"

#include <time.h>

#include "cxx/zone.h"

#define BEFORE_SUMMER_MS INT64_C(1774746000000) /* 2026-03-29T01:00:00Z, Berlin goes forward */
#define AFTER_SUMMER_MS  INT64_C(1792890000000) /* 2026-10-25T01:00:00Z, Berlin goes back */
#define FAR_MS           INT64_C(9223372036000) /* 2262 */

/* One letter too many. */
#define LONG_NAME "A123456789012345678901234567890123456789012345678901234567890123X"

static struct zone *opened(const char *name)
{
    struct zone *zone;
    struct error err;
    if (zone_open(&zone, slice_from_text(name), &err) != STATUS_OK)
        test_fail("%s: %s", name, err.message);
    return zone;
}

static void a_span_ends_where_the_clocks_change(void **state)
{
    (void)state;
    struct zone *zone = opened("Europe/Berlin");
    struct zone_span span = zone_span_at(zone, BEFORE_SUMMER_MS - 1);
    assert_int_equal(span.offset_ms, 3600000);
    assert_int_equal(span.end_ms, BEFORE_SUMMER_MS);
    span = zone_span_at(zone, BEFORE_SUMMER_MS);
    assert_int_equal(span.offset_ms, 7200000);
    assert_int_equal(span.end_ms, AFTER_SUMMER_MS);
    assert_int_equal(zone_span_at(zone, AFTER_SUMMER_MS).offset_ms, 3600000);
    zone_close(zone);
    zone = opened("UTC");
    span = zone_span_at(zone, 0);
    assert_int_equal(span.offset_ms, 0);
    assert_int_equal(span.end_ms, INT64_MAX);
    zone_close(zone);
}

static void spans_follow_each_other_from_1678_to_2262_as_the_c_library_has_them(void **state)
{
    (void)state;
    static const char *const names[] = {"America/New_York", "Australia/Lord_Howe",
                                        "Pacific/Apia",     "Africa/Casablanca",
                                        "Asia/Manila",      "America/Juneau"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct zone *zone = opened(names[i]);
        assert_int_equal(setenv("TZ", names[i], 1), 0);
        tzset();
        int64_t at_ms = -FAR_MS;
        while (at_ms < FAR_MS) {
            struct zone_span span = zone_span_at(zone, at_ms);
            assert_true(span.end_ms > at_ms);
            int64_t last_ms = span.end_ms < FAR_MS ? span.end_ms - 1000 : FAR_MS;
            time_t seconds[] = {(time_t)(at_ms / 1000), (time_t)(last_ms / 1000)};
            for (size_t j = 0; j < 2; j++) {
                struct tm shown;
                assert_non_null(localtime_r(&seconds[j], &shown));
                if (shown.tm_gmtoff * 1000 != span.offset_ms)
                    test_fail("%s at %lld: %lld, want %ld", names[i], (long long)seconds[j],
                              (long long)span.offset_ms / 1000, shown.tm_gmtoff);
            }
            at_ms = span.end_ms;
        }
        zone_close(zone);
    }
}

static void what_the_database_has_not_is_not_found(void **state)
{
    (void)state;
    static const char *const names[] = {"",
                                        "Europe/Nowhere",
                                        "Europe",
                                        "Europe/",
                                        "/usr/share/zoneinfo/Europe/Berlin",
                                        "../zoneinfo/Europe/Berlin",
                                        "localtime",
                                        "posixrules",
                                        "tzdata.zi",
                                        "Fixed/UTC+01:00:00",
                                        LONG_NAME};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct zone *zone;
        struct error err;
        assert_int_equal(zone_open(&zone, slice_from_text(names[i]), &err), STATUS_NOT_FOUND);
        assert_null(zone);
    }
    struct zone *zone;
    assert_int_equal(zone_open(&zone, slice_of("UTC\0x", 5), NULL), STATUS_NOT_FOUND);
    zone_close(NULL);
}

static void without_a_database_there_is_utc_alone(void **state)
{
    (void)state;
    struct zone *zone;
    struct error err;
    assert_int_equal(setenv("TZDIR", "/nonexistent/zoneinfo", 1), 0);
    assert_int_equal(zone_open(&zone, slice_from_text("Asia/Tokyo"), &err), STATUS_UNSUPPORTED);
    assert_non_null(strstr(err.message, "/nonexistent/zoneinfo"));
    assert_int_equal(zone_open(&zone, slice_from_text("UTC"), &err), STATUS_OK);
    zone_close(zone);
    assert_int_equal(unsetenv("TZDIR"), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_span_ends_where_the_clocks_change),
        cmocka_unit_test(spans_follow_each_other_from_1678_to_2262_as_the_c_library_has_them),
        cmocka_unit_test(what_the_database_has_not_is_not_found),
        cmocka_unit_test(without_a_database_there_is_utc_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "../test.h"

#include "base/times.h"
#include "harness.h"

struct fixture {
    struct harness harness;
    struct arena arena;
    struct query_request request;
};

static enum status parse(struct fixture *fixture, const char *text)
{
    arena_release(&fixture->arena);
    harness_parameters(&fixture->harness, text);
    return query_request_parse(&fixture->request, fixture->harness.parameters,
                               fixture->harness.parameter_count,
                               &fixture->harness.environment.limits, HARNESS_NOW_MS,
                               &fixture->arena, &fixture->harness.err);
}

static struct query_request *parsed(struct fixture *fixture, const char *text)
{
    query_request_release(&fixture->request);
    if (parse(fixture, text) != STATUS_OK)
        test_fail("%s: %s", text, fixture->harness.err.message);
    return &fixture->request;
}

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
    query_request_release(&fixture->request);
    arena_release(&fixture->arena);
    harness_release(&fixture->harness);
    free(fixture);
    return 0;
}

static void what_is_left_out_has_its_default(void **state)
{
    struct query_request *request = parsed(*state, "metric=up");
    assert_int_equal(request->range.start_ms, HARNESS_NOW_MS - MS_PER_HOUR);
    assert_int_equal(request->range.end_ms, HARNESS_NOW_MS + 1);
    assert_int_equal(request->aggregate, AGGREGATE_NONE);
    assert_int_equal(request->interval_ms, 0);
    assert_int_equal(request->limit, 1000);
    assert_int_equal(request->timeout_ms, 30000);
    assert_false(request->grouped);
    assert_false(request->over_series);
    assert_false(request->has_after);
    assert_int_equal(request->matchers.count, 1);
}

static void every_form_of_a_time_is_read(void **state)
{
    static const struct {
        const char *text;
        int64_t time_ms;
    } times[] = {
        {"2026-11-23T09:00:00Z", HARNESS_NOW_MS - MS_PER_HOUR},
        {"2026-11-23T10:00:00.25+01:00", HARNESS_NOW_MS - MS_PER_HOUR + 250},
        {"now-6h", HARNESS_NOW_MS - 6 * MS_PER_HOUR},
        {"now-1h30m", HARNESS_NOW_MS - 90 * MS_PER_MINUTE},
        {"1795420800", INT64_C(1795420800000)},
        {"1795420800.001", INT64_C(1795420800001)},
        {"1795420800001", INT64_C(1795420800001)},
        {"100000000000", INT64_C(100000000000)},
        {"-1.5", -1500},
        {"0", 0},
        {"1e9", INT64_C(1000000000000)},
        {"1678-01-01T00:00:00Z", TIME_MIN_MS},
    };
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "metric=x&end=2262-01-01T00:00:00Z&start=%s", times[i].text);
        assert_int_equal(parsed(*state, text)->range.start_ms, times[i].time_ms);
    }
}

static void times_ahead_of_now_are_read(void **state)
{
    assert_int_equal(parsed(*state, "metric=x&start=now&end=now+1h")->range.end_ms,
                     HARNESS_NOW_MS + MS_PER_HOUR);
}

static void conditions_on_labels_come_in_four_kinds(void **state)
{
    struct query_request *request =
        parsed(*state, "match={__name__=~\"u.*\"}&label=a=b=c&label=d!=&label=e=~f|g&label=h!~i");
    static const struct {
        enum matcher_type type;
        const char *name, *value;
    } want[] = {
        {MATCH_REGEX, "__name__", "u.*"}, {MATCH_EQUAL, "a", "b=c"},   {MATCH_NOT_EQUAL, "d", ""},
        {MATCH_REGEX, "e", "f|g"},        {MATCH_NOT_REGEX, "h", "i"},
    };
    assert_int_equal(request->matchers.count, 5);
    for (size_t i = 0; i < 5; i++) {
        assert_int_equal(request->matchers.items[i].type, want[i].type);
        assert_true(slice_equal_text(request->matchers.items[i].name, want[i].name));
        assert_true(slice_equal_text(request->matchers.items[i].value, want[i].value));
    }
}

static void group_labels_are_sorted_and_kept_once(void **state)
{
    struct query_request *request = parsed(*state, "metric=x&aggregate=sum&by=b,a,b");
    assert_true(request->grouped);
    assert_int_equal(request->by_count, 2);
    assert_true(slice_equal_text(request->by[0], "a"));
    assert_true(slice_equal_text(request->by[1], "b"));
    request = parsed(*state, "metric=x&aggregate=sum&by=");
    assert_true(request->grouped);
    assert_int_equal(request->by_count, 0);
}

static void quantiles_are_given_by_name_or_number(void **state)
{
    assert_true(parsed(*state, "metric=x&aggregate=p95")->quantile == 0.95);
    assert_true(parsed(*state, "metric=x&aggregate=quantile:0.999")->quantile == 0.999);
    assert_true(parsed(*state, "metric=x&aggregate=quantile:0")->quantile == 0);
    assert_true(parsed(*state, "metric=x&aggregate=quantile:1")->quantile == 1);
}

static void a_time_out_can_only_become_shorter(void **state)
{
    assert_int_equal(parsed(*state, "metric=x&timeout=5s")->timeout_ms, 5000);
    assert_int_equal(parsed(*state, "metric=x&timeout=0.25")->timeout_ms, 250);
    assert_int_equal(parsed(*state, "metric=x&timeout=1h")->timeout_ms, 30000);
    struct fixture *fixture = *state;
    fixture->harness.environment.limits.timeout_ms = 0;
    assert_int_equal(parsed(*state, "metric=x&timeout=1h")->timeout_ms, MS_PER_HOUR);
}

static void every_mistake_is_named(void **state)
{
    static const struct {
        const char *text;
        const char *part[3];
    } cases[] = {
        {"start=now", {"\"metric\"", "metric=NAME", "match={...}"}},
        {"metric=x&match={a=\"b\"}", {"\"match\"", "one of the two"}},
        {"metric=", {"\"metric\"", "empty"}},
        {"metric=x&metric=y", {"\"metric\"", "more than once"}},
        {"match={a=}", {"\"match\"", "position 4"}},
        {"match={a=~\".*\"}", {"\"match\"", "at least one matcher"}},
        {"metric=x&aggregat=sum", {"\"aggregat\"", "nearest is \"aggregate\""}},
        {"metric=x&step=1m", {"\"step\"", "here it is \"interval\""}},
        {"query=x", {"\"query\"", "here it is \"match\""}},
        {"metric=x&time=now", {"\"time\"", "here it is \"end\""}},
        {"metric=x&untill=now", {"\"untill\"", "there are metric, match"}},
        {"metric=x&label=a", {"\"label\"", "\"a\"", "NAME=~REGEX"}},
        {"metric=x&label==b", {"\"label\"", "\"=b\""}},
        {"metric=x&label=a!b", {"\"label\"", "\"a!b\""}},
        {"metric=x&label=a=~(", {"\"label\"", "("}},
        {"metric=x&start=yesterday", {"\"start\"", "\"yesterday\"", "now-6h"}},
        {"metric=x&end=now 1h", {"\"end\"", "\"now 1h\"", "%2B"}},
        {"metric=x&start=2026-11-23T10:00:00 01:00", {"\"start\"", "%2B"}},
        {"metric=x&start=now-", {"\"start\"", "\"now-\""}},
        {"metric=x&start=now-6", {"\"start\"", "\"now-6\""}},
        {"metric=x&start=", {"\"start\"", "\"\""}},
        {"metric=x&start=1e400", {"\"start\"", "1678 to 2262"}},
        {"metric=x&start=9999-01-01T00:00:00Z", {"\"start\"", "1678 to 2262"}},
        {"metric=x&start=99999999999", {"\"start\"", "1678 to 2262"}},
        {"metric=x&start=now-900y", {"\"start\"", "1678 to 2262"}},
        {"metric=x&start=now+9223372036854775807ms", {"\"start\"", "not a time"}},
        {"metric=x&start=now&end=now", {"\"start\"", "2026-11-23T10:00:00Z", "before end"}},
        {"metric=x&end=now-2h", {"\"end\"", "before end"}},
        {"metric=x&aggregate=mean", {"\"aggregate\"", "\"mean\"", "avg"}},
        {"metric=x&aggregate=quantile:1.5", {"\"aggregate\"", "quantile:1.5", "0 to 1"}},
        {"metric=x&aggregate=quantile:-0.1", {"\"aggregate\"", "0 to 1"}},
        {"metric=x&aggregate=quantile:", {"\"aggregate\""}},
        {"metric=x&aggregate=quantile:NaN", {"\"aggregate\"", "0 to 1"}},
        {"metric=x&aggregate=sum&interval=60", {"\"interval\"", "\"60\"", "1m"}},
        {"metric=x&aggregate=sum&interval=0", {"\"interval\"", "\"0\""}},
        {"metric=x&aggregate=sum&interval=-1m", {"\"interval\"", "\"-1m\""}},
        {"metric=x&aggregate=sum&interval=501y", {"\"interval\"", "at most 500y"}},
        {"metric=x&interval=1m", {"\"interval\"", "aggregate=avg"}},
        {"metric=x&by=", {"\"by\"", "aggregate=avg"}},
        {"metric=x&over=series", {"\"over\"", "aggregate=avg"}},
        {"metric=x&aggregate=sum&over=all", {"\"over\"", "\"all\"", "samples or series"}},
        {"metric=x&aggregate=sum&by=a,,b", {"\"by\"", "empty"}},
        {"metric=x&aggregate=sum&by=a,", {"\"by\"", "empty"}},
        {"metric=x&aggregate=sum&fill=zero", {"\"fill\"", "\"zero\"", "none, null or previous"}},
        {"metric=x&aggregate=sum&fill=null", {"\"fill\"", "interval=1m"}},
        {"metric=x&aggregate=sum&fill=previous", {"\"fill\"", "interval=1m"}},
        {"metric=x&aggregate=sum&interval=1d&tz=", {"\"tz\"", "\"\"", "Europe/Berlin"}},
        {"metric=x&aggregate=sum&tz=Europe/Berlin", {"\"tz\"", "interval=1d"}},
        {"metric=x&tz=Europe/Berlin", {"\"tz\"", "aggregate=avg"}},
        {"metric=x&fill=null", {"\"fill\"", "aggregate=avg"}},
        {"metric=x&limit=0", {"\"limit\"", "\"0\"", "1 to 1000000"}},
        {"metric=x&limit=1000001", {"\"limit\"", "\"1000001\""}},
        {"metric=x&limit=99999999999999999999", {"\"limit\""}},
        {"metric=x&limit=ten", {"\"limit\"", "\"ten\""}},
        {"metric=x&limit=-1", {"\"limit\"", "\"-1\""}},
        {"metric=x&timeout=0", {"\"timeout\"", "\"0\"", "30s"}},
        {"metric=x&timeout=soon", {"\"timeout\"", "\"soon\""}},
        {"metric=x&timeout=1e9", {"\"timeout\"", "\"1e9\""}},
        {"metric=x&after=!!", {"\"after\"", "\"next\""}},
        {"metric=x&after=", {"\"after\"", "\"next\""}},
        {"metric=x&after=AQAAAAA", {"\"after\"", "\"next\""}},
        {"metric=\xff", {"\"metric\"", "UTF-8"}},
        {"\xff=1", {"parameter 1", "UTF-8"}},
    };
    struct fixture *fixture = *state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        enum status status = parse(fixture, cases[i].text);
        const struct error *err = &fixture->harness.err;
        if (status != STATUS_INVALID)
            test_fail("%s: %s", cases[i].text, status_name(status));
        for (size_t j = 0; j < 3 && cases[i].part[j] != NULL; j++)
            if (strstr(err->message, cases[i].part[j]) == NULL)
                test_fail("%s: %s lacks %s", cases[i].text, err->message, cases[i].part[j]);
        if (strncmp(err->message, "invalid parameter", 17) != 0 &&
            strncmp(err->message, "the name of parameter", 21) != 0)
            test_fail("%s: %s", cases[i].text, err->message);
    }
}

static void a_time_zone_goes_by_its_name_in_the_database(void **state)
{
    struct fixture *fixture = *state;
    assert_null(parsed(fixture, "metric=x&aggregate=sum")->zone);
    static const char *const texts[] = {"metric=x&aggregate=sum&interval=1d&tz=Europe/Berlin",
                                        "metric=x&aggregate=sum&interval=1d&tz=UTC",
                                        "metric=x&aggregate=sum&interval=1d&tz=Etc/GMT+5",
                                        "metric=x&aggregate=sum&interval=1s&tz=Asia/Kolkata",
                                        "metric=x&aggregate=sum&fill=none&tz=UTC"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_non_null(parsed(fixture, texts[i])->zone);
    query_request_release(&fixture->request);
    static const char *const wrong[] = {
        "Europe/Nowhere",     "europe/berlin",           "Europe",    "Europe/",
        "/Europe/Berlin",     "Europe/../Europe/Berlin", "localtime", "zone.tab",
        "Fixed/UTC+01:00:00", "right/Europe/Berlin",     "CEST",      "+01:00"};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        char text[128];
        snprintf(text, sizeof text, "metric=x&aggregate=sum&interval=1d&tz=%s", wrong[i]);
        assert_int_equal(parse(fixture, text), STATUS_INVALID);
        assert_non_null(strstr(fixture->harness.err.message, wrong[i]));
    }
}

static void too_many_points_are_refused_before_anything_is_read(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(parse(fixture, "metric=x&aggregate=sum&interval=100ms"), STATUS_LIMIT);
    assert_string_equal(fixture->harness.err.code, "query_points_limit");
    assert_non_null(strstr(fixture->harness.err.message, "11000"));
    assert_int_equal(parse(fixture, "metric=x&aggregate=sum&interval=100ms&fill=null"),
                     STATUS_LIMIT);
    assert_int_equal(
        parse(fixture, "metric=x&aggregate=sum&interval=500y&start=1700-01-01T00:00:00Z"),
        STATUS_OK);
}

static void the_number_of_parameters_and_conditions_has_a_limit(void **state)
{
    struct fixture *fixture = *state;
    static char text[HARNESS_MAX_PARAMETERS * 16];
    int size = snprintf(text, sizeof text, "metric=x");
    for (int i = 0; i < 64; i++)
        size += snprintf(text + size, sizeof text - (size_t)size, "&label=a!=%d", i);
    assert_int_equal(parse(fixture, text), STATUS_INVALID);
    assert_non_null(strstr(fixture->harness.err.message, "64 conditions"));
    for (int i = 0; i < 200; i++)
        size += snprintf(text + size, sizeof text - (size_t)size, "&label=a!=%d", i);
    assert_int_equal(parse(fixture, text), STATUS_INVALID);
    assert_non_null(strstr(fixture->harness.err.message, "256"));
}

static void a_small_arena_is_a_limit_and_leaks_nothing(void **state)
{
    struct fixture *fixture = *state;
    const char *text = "match={a=~\"b.*\"}&label=c=~d|e&aggregate=sum&by=a,b&after=AA";
    for (size_t size = 0; size < 9000; size += 64) {
        arena_release(&fixture->arena);
        arena_init(&fixture->arena, size);
        enum status status = parse(fixture, text);
        assert_true(status == STATUS_LIMIT || status == STATUS_INVALID);
    }
    arena_release(&fixture->arena);
    arena_init(&fixture->arena, 1 << 20);
}

/* ---- cursors ---------------------------------------------------------------------------- */

static void a_cursor_reads_back_as_the_labels_it_was_made_of(void **state)
{
    struct fixture *fixture = *state;
    struct label items[] = {{slice_from_text("__name__"), slice_from_text("x")},
                            {slice_from_text("a"), slice_from_text("\xc3\xa9\x01")}};
    for (size_t count = 0; count <= 2; count++) {
        struct labels labels = {.items = items, .count = count};
        struct labels again;
        struct bytes text;
        bytes_init(&text, 1 << 20);
        assert_int_equal(cursor_encode(CURSOR_GROUP, &labels, &text), STATUS_OK);
        assert_int_equal(
            cursor_decode(CURSOR_GROUP, bytes_slice(&text), &fixture->arena, &again, NULL),
            STATUS_OK);
        assert_int_equal(labels_compare(&labels, &again), 0);
        assert_int_equal(
            cursor_decode(CURSOR_SERIES, bytes_slice(&text), &fixture->arena, &again, NULL),
            STATUS_INVALID);
        bytes_release(&text);
    }
}

static void a_cursor_with_any_letter_changed_or_cut_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct label items[] = {{slice_from_text("__name__"), slice_from_text("metric")}};
    struct labels labels = {.items = items, .count = 1};
    struct labels again;
    struct bytes text;
    bytes_init(&text, 1 << 20);
    assert_int_equal(cursor_encode(CURSOR_SERIES, &labels, &text), STATUS_OK);
    for (size_t i = 0; i < text.size; i++) {
        uint8_t right = text.data[i];
        text.data[i] = right == 'A' ? 'B' : 'A';
        assert_int_equal(
            cursor_decode(CURSOR_SERIES, bytes_slice(&text), &fixture->arena, &again, NULL),
            STATUS_INVALID);
        text.data[i] = right;
        assert_int_equal(
            cursor_decode(CURSOR_SERIES, slice_of(text.data, i), &fixture->arena, &again, NULL),
            STATUS_INVALID);
    }
    bytes_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_left_out_has_its_default, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_form_of_a_time_is_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(times_ahead_of_now_are_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(conditions_on_labels_come_in_four_kinds, set_up, tear_down),
        cmocka_unit_test_setup_teardown(group_labels_are_sorted_and_kept_once, set_up, tear_down),
        cmocka_unit_test_setup_teardown(quantiles_are_given_by_name_or_number, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_time_out_can_only_become_shorter, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_mistake_is_named, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_time_zone_goes_by_its_name_in_the_database, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(too_many_points_are_refused_before_anything_is_read, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_number_of_parameters_and_conditions_has_a_limit, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_small_arena_is_a_limit_and_leaks_nothing, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_cursor_reads_back_as_the_labels_it_was_made_of, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_cursor_with_any_letter_changed_or_cut_is_refused, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

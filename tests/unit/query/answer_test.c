#include "../test.h"

#include <math.h>

#include "harness.h"
#include "model/value.h"

static int set_up(void **state)
{
    struct harness *harness = calloc(1, sizeof *harness);
    harness_init(harness);
    *state = harness;
    return 0;
}

static int tear_down(void **state)
{
    harness_release(*state);
    free(*state);
    return 0;
}

static const char *answered(struct harness *harness, const char *text)
{
    enum status status = harness_query(harness, text);
    if (status != STATUS_OK)
        test_fail("%s: %s", text, harness->err.message);
    return (const char *)harness->output.data;
}

/* The answer's series, without the rest. */
static void check_series(struct harness *harness, const char *text, const char *want)
{
    static const char begin[] = "{\"status\":\"success\",\"series\":[\n";
    const char *answer = answered(harness, text);
    assert_int_equal(strncmp(answer, begin, sizeof begin - 1), 0);
    const char *end = strstr(answer, "],\n\"stats\":");
    assert_non_null(end);
    size_t size = (size_t)(end - answer) - (sizeof begin - 1);
    if (size != strlen(want) || memcmp(answer + sizeof begin - 1, want, size) != 0)
        test_fail("%s:\n%.*s\nwant:\n%s", text, (int)size, answer + sizeof begin - 1, want);
}

static void an_answer_is_the_document_of_the_interface(void **state)
{
    struct harness *harness = *state;
    size_t series = memory_tier_add_series(harness->memory, "x", "b=2,a=1");
    memory_tier_add(harness->memory, series, HARNESS_NOW_MS, 1.5);
    assert_string_equal(
        answered(harness, "metric=x"),
        "{\"status\":\"success\",\"series\":[\n"
        "{\"metric\":\"x\",\"labels\":{\"a\":\"1\",\"b\":\"2\"},"
        "\"points\":[[1795428000000,1.5]]}],\n"
        "\"stats\":{\"series\":1,\"samples_scanned\":1,\"blocks_skipped\":0,\"tiers\":[\"hot\"],"
        "\"duration_ms\":0},\n"
        "\"partial\":false,\"warnings\":[],\"next\":null}\n");
}

static void an_answer_without_series_is_a_success(void **state)
{
    assert_string_equal(
        answered(*state, "metric=x"),
        "{\"status\":\"success\",\"series\":[\n],\n"
        "\"stats\":{\"series\":0,\"samples_scanned\":0,\"blocks_skipped\":0,\"tiers\":[],"
        "\"duration_ms\":0},\n"
        "\"partial\":false,\"warnings\":[],\"next\":null}\n");
}

static void values_print_as_the_interface_says(void **state)
{
    struct harness *harness = *state;
    static const double values[] = {
        0,      -0.0,     1,         -17,     1e21, 1e20,  9007199254740993.0, 1e-6, 1e-7, 0.1,
        5e-324, INFINITY, -INFINITY, -1234.5, 1e15, -1e300};
    size_t series = memory_tier_add_series(harness->memory, "x", "");
    int64_t time_ms = HARNESS_NOW_MS - 100;
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
        memory_tier_add(harness->memory, series, time_ms++, values[i]);
    memory_tier_add(harness->memory, series, time_ms++, double_of_bits(VALUE_NORMAL_NAN_BITS));
    memory_tier_add(harness->memory, series, time_ms++, double_of_bits(VALUE_STALE_BITS));
    memory_tier_add(harness->memory, series, time_ms++,
                    double_of_bits(UINT64_C(0xfff8000000000000)));
    const char *answer = answered(harness, "metric=x");
    static const char *const texts[] = {"0",
                                        "-0.0",
                                        "1",
                                        "-17",
                                        "1e+21",
                                        "100000000000000000000",
                                        "9007199254740992",
                                        "0.000001",
                                        "1e-7",
                                        "0.1",
                                        "5e-324",
                                        "\"+Inf\"",
                                        "\"-Inf\"",
                                        "-1234.5",
                                        "1000000000000000",
                                        "-1e+300",
                                        "\"NaN\"",
                                        NULL,
                                        "\"nan:fff8000000000000\""};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char point[80];
        if (texts[i] == NULL)
            continue;
        snprintf(point, sizeof point, "[%lld,%s]", (long long)HARNESS_NOW_MS - 100 + (long long)i,
                 texts[i]);
        if (strstr(answer, point) == NULL)
            test_fail("no %s in %s", point, answer);
    }
    assert_null(strstr(answer, "stale"));
}

static void strings_are_escaped(void **state)
{
    struct harness *harness = *state;
    size_t series = memory_tier_add_series(harness->memory, "x",
                                           "a=\"q\\\b\f\n\r\t\v\x1f\x7f\xc3\xa9</script>");
    memory_tier_add(harness->memory, series, HARNESS_NOW_MS, 1);
    check_series(harness, "metric=x",
                 "{\"metric\":\"x\",\"labels\":{\"a\":\"\\\"q\\\\\\b\\f\\n\\r\\t\\u000b\\u001f"
                 "\x7f\xc3\xa9</script>\"},\"points\":[[1795428000000,1]]}");
}

/* 10:00:00 is a whole minute; two regions, three series, a sample each 30 s. */
static void fill_regions(struct memory_tier *memory)
{
    static const char *const labels[] = {"region=eu,i=1", "region=eu,i=2", "region=us,i=1", "i=9"};
    for (size_t i = 0; i < 4; i++) {
        size_t series = memory_tier_add_series(memory, "x", labels[i]);
        for (int64_t j = 0; j < 4; j++)
            memory_tier_add(memory, series, HARNESS_NOW_MS - 120000 + j * 30000,
                            (double)(10 * (i + 1)) + (double)j);
    }
}

static void buckets_are_aligned_and_named_by_their_start(void **state)
{
    struct harness *harness = *state;
    fill_regions(harness->memory);
    check_series(harness,
                 "metric=x&label=region=us&aggregate=sum&interval=1m&start=now-90s&end=now",
                 "{\"metric\":\"x\",\"labels\":{\"i\":\"1\",\"region\":\"us\"},"
                 "\"points\":[[1795427880000,31],[1795427940000,65]]}");
    check_series(harness, "metric=x&label=region=us&aggregate=sum&start=now-90s&end=now",
                 "{\"metric\":\"x\",\"labels\":{\"i\":\"1\",\"region\":\"us\"},"
                 "\"points\":[[1795427910000,96]]}");
}

static void buckets_without_a_value_are_filled_as_asked(void **state)
{
    struct harness *harness = *state;
    size_t series = memory_tier_add_series(harness->memory, "x", "");
    memory_tier_add(harness->memory, series, HARNESS_NOW_MS - 180000, 7);
    memory_tier_add(harness->memory, series, HARNESS_NOW_MS - 60000,
                    double_of_bits(UINT64_C(0x7ff8000000000abc)));
    static const char *const fills[] = {"none", "null", "previous"};
    static const char *const points[] = {
        "[1795427820000,7],[1795427940000,\"nan:7ff8000000000abc\"]",
        "[1795427760000,null],[1795427820000,7],[1795427880000,null],"
        "[1795427940000,\"nan:7ff8000000000abc\"],[1795428000000,null]",
        "[1795427760000,null],[1795427820000,7],[1795427880000,7],"
        "[1795427940000,\"nan:7ff8000000000abc\"],[1795428000000,\"nan:7ff8000000000abc\"]"};
    for (size_t i = 0; i < 3; i++) {
        char text[128], want[512];
        snprintf(text, sizeof text,
                 "metric=x&aggregate=last&interval=1m&start=now-239s&end=now+1s&fill=%s", fills[i]);
        snprintf(want, sizeof want, "{\"metric\":\"x\",\"labels\":{},\"points\":[%s]}", points[i]);
        check_series(harness, text, want);
    }
    /* What has no value at all is no series, whatever is filled. */
    check_series(harness,
                 "metric=x&aggregate=last&interval=1m&start=now-59s&end=now-1s&fill=previous", "");
}

static void groups_pool_samples_and_lack_what_their_series_lack(void **state)
{
    struct harness *harness = *state;
    fill_regions(harness->memory);
    check_series(
        harness, "metric=x&aggregate=avg&by=region&start=now-60s",
        "{\"metric\":\"x\",\"labels\":{},\"points\":[[1795427940000,42.5]]},\n"
        "{\"metric\":\"x\",\"labels\":{\"region\":\"eu\"},\"points\":[[1795427940000,17.5]]"
        "},\n"
        "{\"metric\":\"x\",\"labels\":{\"region\":\"us\"},\"points\":[[1795427940000,32.5]]"
        "}");
    check_series(harness, "metric=x&aggregate=count&by=",
                 "{\"metric\":\"x\",\"labels\":{},\"points\":[[1795424400000,16]]}");
    check_series(harness, "metric=x&aggregate=sum&over=series&by=&start=now-60s",
                 "{\"metric\":\"x\",\"labels\":{},\"points\":[[1795427940000,112]]}");
    check_series(harness, "metric=x&aggregate=first&by=&start=now-120s",
                 "{\"metric\":\"x\",\"labels\":{},\"points\":[[1795427880000,10]]}");
}

static void a_group_of_several_metrics_has_no_name_unless_it_goes_by_it(void **state)
{
    struct harness *harness = *state;
    static const char *const metrics[] = {"x", "y"};
    for (size_t i = 0; i < 2; i++)
        memory_tier_add(harness->memory, memory_tier_add_series(harness->memory, metrics[i], ""),
                        HARNESS_NOW_MS, 1);
    check_series(harness, "match={__name__=~\"x|y\"}&aggregate=sum&by=",
                 "{\"metric\":\"\",\"labels\":{},\"points\":[[1795424400000,2]]}");
    check_series(harness, "match={__name__=~\"x|y\"}&aggregate=sum&by=__name__",
                 "{\"metric\":\"x\",\"labels\":{},\"points\":[[1795424400000,1]]},\n"
                 "{\"metric\":\"y\",\"labels\":{},\"points\":[[1795424400000,1]]}");
}

static void increase_counts_resets_whole_and_looks_five_minutes_back(void **state)
{
    struct harness *harness = *state;
    size_t series = memory_tier_add_series(harness->memory, "c", "");
    static const struct {
        int64_t before_ms;
        double value;
    } samples[] = {{360001, 100}, {60001, 110}, {60000, 112}, {45000, 5}, {30000, 5}, {15000, 8}};
    for (size_t i = 0; i < 6; i++)
        memory_tier_add(harness->memory, series, HARNESS_NOW_MS - samples[i].before_ms,
                        samples[i].value);
    /* 112 - 110, then 5 whole, 0, 3 */
    check_series(harness, "metric=c&aggregate=increase&start=now-60s&end=now",
                 "{\"metric\":\"c\",\"labels\":{},\"points\":[[1795427940000,10]]}");
    check_series(harness, "metric=c&aggregate=rate&start=now-60s&end=now&interval=20s",
                 "{\"metric\":\"c\",\"labels\":{},\"points\":[[1795427940000,0.35],"
                 "[1795427960000,0],[1795427980000,0.15]]}");
    /* Its predecessor is five minutes older: counted; one millisecond more: not. */
    check_series(harness, "metric=c&aggregate=increase&start=now-60001ms&end=now-60s",
                 "{\"metric\":\"c\",\"labels\":{},\"points\":[[1795427939999,10]]}");
    check_series(harness, "metric=c&aggregate=increase&start=now-6m&end=now-61s", "");
}

static void damage_makes_an_answer_partial_with_a_warning(void **state)
{
    struct harness *harness = *state;
    harness->memory->damaged = true;
    const char *answer = answered(harness, "metric=x");
    assert_non_null(
        strstr(answer, "\"partial\":true,\"warnings\":[\"the answer is partial: damaged blocks"));
}

static void a_sink_that_refuses_ends_the_query(void **state)
{
    struct harness *harness = *state;
    for (size_t i = 0; i < 30; i++) {
        char text[16];
        snprintf(text, sizeof text, "i=%zu", i);
        size_t series = memory_tier_add_series(harness->memory, "x", text);
        for (int64_t j = 0; j < 1000; j++)
            memory_tier_add(harness->memory, series, HARNESS_NOW_MS - 1000 + j, 0.5);
    }
    answered(harness, "metric=x");
    size_t writes = harness->writes;
    assert_true(writes > 10);
    for (size_t i = 1; i <= writes; i++) {
        harness->refuse_write = i;
        assert_int_equal(harness_query(harness, "metric=x"), STATUS_CANCELLED);
        assert_string_equal(harness->err.message, "the client is gone");
        assert_int_equal(harness->writes, i);
    }
}

/* ---- pages ------------------------------------------------------------------------------ */

static size_t count_text(const char *text, const char *part)
{
    size_t count = 0;
    for (; (text = strstr(text, part)) != NULL; text++)
        count++;
    return count;
}

/* Follows `next` to the end; the pages' series must be those of one large page. */
static void check_pages(struct harness *harness, const char *query, unsigned limit)
{
    char *whole = strdup(answered(harness, query));
    size_t series = count_text(whole, "{\"metric\"");
    const char *at = whole;
    char text[1024];
    snprintf(text, sizeof text, "%s&limit=%u", query, limit);
    size_t seen = 0;
    for (;;) {
        const char *page = answered(harness, text);
        size_t here = count_text(page, "{\"metric\"");
        assert_true(here <= limit);
        for (const char *line = strstr(page, "{\"metric\""); line != NULL;
             line = strstr(line + 1, "{\"metric\"")) {
            size_t size = (size_t)(strstr(line, "]]}") - line);
            at = strstr(at, "{\"metric\"");
            assert_non_null(at);
            assert_int_equal(strncmp(at, line, size), 0);
            at += size;
        }
        seen += here;
        const char *next = strstr(page, "\"next\":\"");
        if (next == NULL)
            break;
        assert_int_equal(here, limit);
        snprintf(text, sizeof text, "%s&limit=%u&after=%.*s", query, limit,
                 (int)strcspn(next + 8, "\""), next + 8);
    }
    assert_int_equal(seen, series);
    free(whole);
}

static void pages_follow_each_other_without_gap_or_repeat(void **state)
{
    struct harness *harness = *state;
    for (size_t i = 0; i < 23; i++) {
        char text[48];
        snprintf(text, sizeof text, "i=%zu,region=%s", i, i % 5 == 0 ? "" : i % 2 == 0 ? "a" : "b");
        size_t series = memory_tier_add_series(harness->memory, "x", text);
        for (int64_t j = 0; j < 5; j++)
            memory_tier_add(harness->memory, series, HARNESS_NOW_MS - 5 + j, (double)j);
    }
    static const unsigned limits[] = {1, 2, 7, 22, 23, 24};
    for (size_t i = 0; i < sizeof limits / sizeof limits[0]; i++) {
        check_pages(harness, "metric=x", limits[i]);
        check_pages(harness, "metric=x&aggregate=sum", limits[i]);
        check_pages(harness, "metric=x&aggregate=sum&over=series", limits[i]);
        check_pages(harness, "metric=x&aggregate=sum&by=region", limits[i]);
        check_pages(harness, "metric=x&aggregate=sum&by=region,i&over=series", limits[i]);
    }
}

/* ---- list of metrics -------------------------------------------------------------------- */

static void fill_metrics(struct memory_tier *memory)
{
    memory_tier_add(memory, memory_tier_add_series(memory, "b_total", "a=1"), 1000, 1);
    memory_tier_add(memory, memory_tier_add_series(memory, "b_total", "a=2"), 2000, 1);
    memory_tier_add_series(memory, "C", "a=2");
    memory_tier_add(memory, memory_tier_add_series(memory, "d", "a=3"), -5, 1);
    memory->metrics[memory->metric_count++] = (struct metric){
        .name = slice_from_text("b_total"),
        .type = METRIC_COUNTER,
        .unit = slice_from_text("bytes"),
        .help = slice_from_text("Help \"me\"."),
        .has_max_series = true,
        .max_series = 5,
    };
    memory->metrics[memory->metric_count++] =
        (struct metric){.name = slice_from_text("registered"), .type = METRIC_GAUGE};
}

static void check_list(struct harness *harness, const char *text, const char *names,
                       const char *next)
{
    enum status status = harness_list(harness, text);
    if (status != STATUS_OK)
        test_fail("%s: %s", text, harness->err.message);
    char got[256] = "";
    const char *answer = (const char *)harness->output.data;
    for (const char *at = answer; (at = strstr(at, "{\"name\":\"")) != NULL; at++) {
        strncat(got, at + 9, strcspn(at + 9, "\""));
        strcat(got, " ");
    }
    assert_string_equal(got, names);
    assert_non_null(strstr(answer, next));
}

static void the_list_of_metrics_has_all_that_is_known_of_each(void **state)
{
    struct harness *harness = *state;
    fill_metrics(harness->memory);
    assert_int_equal(harness_list(harness, "search=TOTAL"), STATUS_OK);
    assert_string_equal(
        (const char *)harness->output.data,
        "{\"status\":\"success\",\"metrics\":[\n"
        "{\"name\":\"b_total\",\"type\":\"counter\",\"unit\":\"bytes\","
        "\"help\":\"Help \\\"me\\\".\",\"series\":2,\"limit\":5,"
        "\"first\":1000,\"last\":2000}],\n\"partial\":false,\"warnings\":[],\"next\":null}\n");
    assert_int_equal(harness_list(harness, "search=registered"), STATUS_OK);
    assert_non_null(strstr((const char *)harness->output.data,
                           "\"type\":\"gauge\",\"unit\":\"\",\"help\":\"\",\"series\":0,"
                           "\"limit\":null,\"first\":null,\"last\":null}"));
}

static void the_list_is_searched_selected_and_paged(void **state)
{
    struct harness *harness = *state;
    fill_metrics(harness->memory);
    check_list(harness, "", "C b_total d registered ", "\"next\":null");
    check_list(harness, "limit=2", "C b_total ", "\"next\":\"b_total\"");
    check_list(harness, "limit=2&after=b_total", "d registered ", "\"next\":null");
    check_list(harness, "limit=4", "C b_total d registered ", "\"next\":null");
    check_list(harness, "after=registered", "", "\"next\":null");
    check_list(harness, "search=t", "b_total registered ", "\"next\":null");
    check_list(harness, "match[]={a=\"2\"}&match[]=d&match[]=b_total", "C b_total d ",
               "\"next\":null");
    check_list(harness, "match[]={a=\"2\"}&match[]=d&match[]=b_total&limit=2", "C b_total ",
               "\"next\":\"b_total\"");
    check_list(harness, "match[]={a=\"2\"}&match[]=b_total&limit=2", "C b_total ", "\"next\":null");
}

static void any_bound_of_memory_ends_a_list_in_a_limit_or_whole(void **state)
{
    struct harness *harness = *state;
    for (int i = 0; i < 300; i++) {
        char name[16];
        snprintf(name, sizeof name, "m%d", i);
        memory_tier_add_series(harness->memory, name, "");
    }
    enum status status = STATUS_LIMIT;
    for (size_t size = 2; status != STATUS_OK; size += 1200) {
        assert_true(size < 1 << 20);
        harness->environment.limits.max_memory_bytes = size;
        status = harness_list(harness, "match[]={__name__!=\"\"}&match[]=m1");
        assert_true(status == STATUS_OK || status == STATUS_LIMIT);
    }
    assert_int_equal(count_text((const char *)harness->output.data, "{\"name\""), 300);
}

static void mistakes_in_a_list_are_named(void **state)
{
    struct harness *harness = *state;
    assert_int_equal(harness_list(harness, "match=x"), STATUS_INVALID);
    assert_non_null(strstr(harness->err.message, "nearest is \"match[]\""));
    assert_int_equal(harness_list(harness, "match[]={"), STATUS_INVALID);
    assert_int_equal(harness_list(harness, "limit=x"), STATUS_INVALID);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_answer_is_the_document_of_the_interface, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(an_answer_without_series_is_a_success, set_up, tear_down),
        cmocka_unit_test_setup_teardown(values_print_as_the_interface_says, set_up, tear_down),
        cmocka_unit_test_setup_teardown(strings_are_escaped, set_up, tear_down),
        cmocka_unit_test_setup_teardown(buckets_are_aligned_and_named_by_their_start, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(buckets_without_a_value_are_filled_as_asked, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(groups_pool_samples_and_lack_what_their_series_lack, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_group_of_several_metrics_has_no_name_unless_it_goes_by_it,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(increase_counts_resets_whole_and_looks_five_minutes_back,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(damage_makes_an_answer_partial_with_a_warning, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_sink_that_refuses_ends_the_query, set_up, tear_down),
        cmocka_unit_test_setup_teardown(pages_follow_each_other_without_gap_or_repeat, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_list_of_metrics_has_all_that_is_known_of_each, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_list_is_searched_selected_and_paged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(any_bound_of_memory_ends_a_list_in_a_limit_or_whole, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(mistakes_in_a_list_are_named, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

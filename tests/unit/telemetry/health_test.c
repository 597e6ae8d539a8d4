#include "../test.h"

#include "base/invariant.h"
#include "document.h"

/* A clock of which each reading is 1.5 ms after the one before. */
struct ticking {
    struct clock clock;
    int64_t now_ns;
};

static int64_t ticking_ns(struct clock *clock)
{
    return container_of(clock, struct ticking, clock)->now_ns += 1500000;
}

static const struct clock_ops ticking_ops = {.monotonic_ns = ticking_ns};

static void run_ok(void *context, struct health_result *result)
{
    (void)context;
    assert_int_equal(result->status, HEALTH_OK);
    assert_string_equal(result->message, "");
}

static void run_degraded(void *context, struct health_result *result)
{
    result->status = HEALTH_DEGRADED;
    snprintf(result->message, sizeof result->message, "%s", (const char *)context);
}

static void run_failing(void *context, struct health_result *result)
{
    result->status = HEALTH_FAILING;
    snprintf(result->message, sizeof result->message, "%s", (const char *)context);
}

static void make(struct health_report *report, const struct health_check *checks, size_t count)
{
    struct ticking ticking = {.clock = {&ticking_ops}};
    health_report_make(report, checks, count, "0.1.0", INT64_C(90500000000), &ticking.clock);
}

static void expect_json(const struct health_report *report, const char *json)
{
    struct bytes bytes;
    bytes_init(&bytes, 1 << 16);
    assert_int_equal(health_report_write(report, &bytes), STATUS_OK);
    assert_int_equal(bytes_append(&bytes, "", 1), STATUS_OK);
    assert_string_equal((const char *)bytes.data, json);
    bytes_release(&bytes);
}

static void the_answer_is_what_the_interface_says(void **state)
{
    (void)state;
    const struct health_check checks[] = {{"storage", run_ok, NULL},
                                          {"disk", run_degraded, "half full"}};
    struct health_report report;
    make(&report, checks, 2);
    assert_int_equal(health_report_http_status(&report), 200);
    expect_json(&report,
                "{\"status\":\"degraded\",\"version\":\"0.1.0\",\"uptime_s\":90,\"checks\":{"
                "\"storage\":{\"status\":\"ok\",\"message\":\"\",\"latency_ms\":1.500},"
                "\"disk\":{\"status\":\"degraded\",\"message\":\"half full\","
                "\"latency_ms\":1.500}}}\n");
}

static void the_worst_check_decides_wherever_it_stands(void **state)
{
    (void)state;
    const struct health_check checks[] = {{"a", run_degraded, ""},
                                          {"b", run_failing, ""},
                                          {"c", run_ok, NULL},
                                          {"d", run_degraded, ""}};
    struct health_report report;
    make(&report, checks, 4);
    assert_int_equal(report.status, HEALTH_FAILING);
    assert_int_equal(health_report_http_status(&report), 503);
    make(&report, checks + 2, 2);
    assert_int_equal(report.status, HEALTH_DEGRADED);
    make(&report, checks + 2, 1);
    assert_int_equal(report.status, HEALTH_OK);
    make(&report, NULL, 0);
    assert_int_equal(report.status, HEALTH_OK);
    expect_json(&report,
                "{\"status\":\"ok\",\"version\":\"0.1.0\",\"uptime_s\":90,\"checks\":{}}\n");
}

static void messages_are_escaped(void **state)
{
    (void)state;
    const struct health_check checks[] = {{"disk", run_failing, "\"a\\b\"\n\x01\x7f\xc3\xa4 \xff"}};
    struct health_report report;
    make(&report, checks, 1);
    expect_json(
        &report,
        "{\"status\":\"failing\",\"version\":\"0.1.0\",\"uptime_s\":90,\"checks\":{"
        "\"disk\":{\"status\":\"failing\",\"message\":"
        "\"\\\"a\\\\b\\\"\\u000a\\u0001\\u007f\xc3\xa4 \\ufffd\",\"latency_ms\":1.500}}}\n");
}

static void a_full_buffer_is_told(void **state)
{
    (void)state;
    const struct health_check checks[] = {{"storage", run_ok, NULL}, {"disk", run_ok, NULL}};
    struct health_report report;
    make(&report, checks, 2);
    for (size_t max = 0; max < 150; max++) {
        struct bytes bytes;
        bytes_init(&bytes, max);
        assert_int_equal(health_report_write(&report, &bytes), STATUS_LIMIT);
        bytes_release(&bytes);
    }
}

static void the_report_is_a_metric_too(void **state)
{
    (void)state;
    const struct health_check checks[] = {{"storage", run_ok, NULL}, {"disk", run_degraded, ""}};
    struct health_report report;
    make(&report, checks, 2);
    struct bytes bytes;
    bytes_init(&bytes, 1 << 16);
    struct metrics_writer writer;
    metrics_begin(&writer, &bytes, METRICS_TEXT);
    metrics_write_health(&writer, &report);
    assert_int_equal(metrics_finish(&writer), STATUS_OK);
    struct document *document = document_read(bytes_slice(&bytes), METRICS_TEXT);
    assert_int_equal(document->count, 6);
    document_expect(document, "metric_store_health_check{check=\"storage\",status=\"ok\"}", "1");
    document_expect(document, "metric_store_health_check{check=\"disk\",status=\"ok\"}", "0");
    document_expect(document, "metric_store_health_check{check=\"disk\",status=\"degraded\"}", "1");
    document_expect(document, "metric_store_health_check{check=\"disk\",status=\"failing\"}", "0");
    document_free(document);
    bytes_release(&bytes);
}

static void a_level_degrades_from_its_share_on(void **state)
{
    (void)state;
    struct health_result result = {0};
    health_judge_level(&result, 79, 100, 80, "queue", "slow down");
    assert_int_equal(result.status, HEALTH_OK);
    health_judge_level(&result, UINT64_MAX, 0, 80, "queue", "slow down");
    assert_int_equal(result.status, HEALTH_OK);
    health_judge_level(&result, 80, 100, 80, "queue", "slow down");
    assert_int_equal(result.status, HEALTH_DEGRADED);
    assert_string_equal(result.message, "queue: 80 of 100 (80%) are in use; slow down");
    health_judge_level(&result, UINT64_MAX, UINT64_MAX, 80, "queue", "slow down");
    assert_int_equal(result.status, HEALTH_DEGRADED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_is_what_the_interface_says),
        cmocka_unit_test(the_worst_check_decides_wherever_it_stands),
        cmocka_unit_test(messages_are_escaped),
        cmocka_unit_test(a_full_buffer_is_told),
        cmocka_unit_test(the_report_is_a_metric_too),
        cmocka_unit_test(a_level_degrades_from_its_share_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

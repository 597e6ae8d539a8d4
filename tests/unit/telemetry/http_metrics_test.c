#include "../test.h"

#include "document.h"

static const struct http_telemetry_route routes[] = {
    {"GET", "/metrics"},
    {"POST", "/api/v1/write"},
};

static struct http_telemetry *telemetry_of_routes(void)
{
    struct http_telemetry *telemetry;
    assert_int_equal(http_telemetry_new(&telemetry, routes, 2, NULL), STATUS_OK);
    return telemetry;
}

static struct document *read_out(const struct http_telemetry *telemetry)
{
    struct bytes bytes;
    bytes_init(&bytes, 1 << 20);
    struct metrics_writer writer;
    metrics_begin(&writer, &bytes, METRICS_TEXT);
    metrics_write_http(&writer, telemetry);
    assert_int_equal(metrics_finish(&writer), STATUS_OK);
    struct document *document = document_read(bytes_slice(&bytes), METRICS_TEXT);
    bytes_release(&bytes);
    return document;
}

static void record(struct http_telemetry *telemetry, size_t route, unsigned status,
                   int64_t duration_ns)
{
    http_telemetry_record(telemetry, &(struct request_record){.route = route,
                                                              .method = "BREW",
                                                              .status = status,
                                                              .bytes_in = 100,
                                                              .bytes_out = 7,
                                                              .duration_ns = duration_ns});
}

static void requests_are_counted_by_route_and_status(void **state)
{
    (void)state;
    struct http_telemetry *telemetry = telemetry_of_routes();
    record(telemetry, 0, 200, 1000);
    record(telemetry, 1, 204, 1000);
    record(telemetry, 1, 204, 2000000);
    record(telemetry, 1, 507, 1000);
    struct document *document = read_out(telemetry);
    document_expect(
        document,
        "metric_store_http_requests_total{route=\"/metrics\",method=\"GET\",code=\"200\"}", "1");
    document_expect(
        document,
        "metric_store_http_requests_total{route=\"/api/v1/write\",method=\"POST\",code=\"204\"}",
        "2");
    document_expect(
        document,
        "metric_store_http_requests_total{route=\"/api/v1/write\",method=\"POST\",code=\"507\"}",
        "1");
    document_expect(document,
                    "metric_store_http_request_duration_seconds_count{route=\"/api/v1/write\","
                    "method=\"POST\",class=\"2xx\"}",
                    "2");
    document_expect(document,
                    "metric_store_http_request_duration_seconds_bucket{route=\"/api/v1/write\","
                    "method=\"POST\",class=\"2xx\",le=\"0.001\"}",
                    "1");
    document_expect(document,
                    "metric_store_http_request_duration_seconds_sum{route=\"/api/v1/write\","
                    "method=\"POST\",class=\"2xx\"}",
                    "0.002001");
    document_expect(document,
                    "metric_store_http_request_duration_seconds_count{route=\"/api/v1/write\","
                    "method=\"POST\",class=\"5xx\"}",
                    "1");
    document_expect(
        document,
        "metric_store_http_request_body_bytes_total{route=\"/api/v1/write\",method=\"POST\"}",
        "300");
    document_expect(
        document, "metric_store_http_response_body_bytes_total{route=\"/metrics\",method=\"GET\"}",
        "7");
    document_free(document);
    http_telemetry_free(telemetry);
}

static void strangers_make_no_series(void **state)
{
    (void)state;
    struct http_telemetry *telemetry = telemetry_of_routes();
    for (unsigned status = 0; status < 1200; status++)
        record(telemetry, HTTP_TELEMETRY_NO_ROUTE, status % 2 == 0 ? 404 : status + 1000, -1);
    struct document *document = read_out(telemetry);
    document_expect(
        document, "metric_store_http_requests_total{route=\"other\",method=\"other\",code=\"404\"}",
        "600");
    document_expect(
        document,
        "metric_store_http_requests_total{route=\"other\",method=\"other\",code=\"other\"}", "600");
    /* Time that ran backwards is no time. */
    document_expect(document,
                    "metric_store_http_request_duration_seconds_sum{route=\"other\","
                    "method=\"other\",class=\"4xx\"}",
                    "0");
    document_free(document);
    http_telemetry_free(telemetry);
}

static void success_has_a_histogram_from_the_start_and_errors_only_when_there_are_some(void **state)
{
    (void)state;
    struct http_telemetry *telemetry = telemetry_of_routes();
    struct document *document = read_out(telemetry);
    document_expect(document,
                    "metric_store_http_request_duration_seconds_count{route=\"/metrics\","
                    "method=\"GET\",class=\"2xx\"}",
                    "0");
    assert_null(document_value(
        document, "metric_store_http_request_duration_seconds_count{route=\"/metrics\","
                  "method=\"GET\",class=\"5xx\"}"));
    document_free(document);
    http_telemetry_free(telemetry);
}

static void more_routes_than_the_limit_are_refused(void **state)
{
    (void)state;
    static struct http_telemetry_route many[HTTP_TELEMETRY_MAX_ROUTES + 1];
    struct http_telemetry *telemetry;
    struct error err;
    assert_int_equal(http_telemetry_new(&telemetry, many, HTTP_TELEMETRY_MAX_ROUTES + 1, &err),
                     STATUS_LIMIT);
    assert_null(telemetry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_counted_by_route_and_status),
        cmocka_unit_test(strangers_make_no_series),
        cmocka_unit_test(
            success_has_a_histogram_from_the_start_and_errors_only_when_there_are_some),
        cmocka_unit_test(more_routes_than_the_limit_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "../test.h"

#include "document.h"

static void queries_are_timed_by_kind_and_failures_counted_by_code(void **state)
{
    (void)state;
    struct query_telemetry *telemetry;
    assert_int_equal(query_telemetry_new(&telemetry, NULL), STATUS_OK);
    query_telemetry_record(telemetry, &(struct query_record){.kind = READ_QUERY,
                                                             .duration_ns = 3000000,
                                                             .series = 4,
                                                             .samples_scanned = 1000,
                                                             .blocks_skipped = 9});
    query_telemetry_record(telemetry, &(struct query_record){.kind = READ_EXPORT,
                                                             .code = "query_timeout",
                                                             .duration_ns = INT64_C(31000000000)});
    struct bytes bytes;
    bytes_init(&bytes, 1 << 20);
    struct metrics_writer writer;
    metrics_begin(&writer, &bytes, METRICS_TEXT);
    metrics_write_query(&writer, telemetry);
    metrics_write_query_pool(&writer, &(struct query_pool_metrics){2, 1, 7, 64});
    assert_int_equal(metrics_finish(&writer), STATUS_OK);
    struct document *document = document_read(bytes_slice(&bytes), METRICS_TEXT);
    document_expect(document, "metric_store_query_duration_seconds_count{kind=\"query\"}", "1");
    document_expect(document,
                    "metric_store_query_duration_seconds_bucket{kind=\"export\",le=\"30.0\"}", "0");
    document_expect(document, "metric_store_query_duration_seconds_sum{kind=\"export\"}", "31");
    document_expect(document, "metric_store_query_duration_seconds_count{kind=\"metrics\"}", "0");
    document_expect(document, "metric_store_query_failures_total{code=\"query_timeout\"}", "1");
    document_expect(document, "metric_store_query_series_total", "4");
    document_expect(document, "metric_store_query_samples_scanned_total", "1000");
    document_expect(document, "metric_store_query_blocks_skipped_total", "9");
    document_expect(document, "metric_store_query_threads", "2");
    document_expect(document, "metric_store_query_running", "1");
    document_expect(document, "metric_store_query_waiting", "7");
    document_expect(document, "metric_store_query_waiting_limit", "64");
    document_free(document);
    bytes_release(&bytes);
    query_telemetry_free(telemetry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queries_are_timed_by_kind_and_failures_counted_by_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

#include "../test.h"

#include "document.h"

static struct document *read_out(const struct storage_metrics *metrics)
{
    struct bytes bytes;
    bytes_init(&bytes, 1 << 20);
    struct metrics_writer writer;
    metrics_begin(&writer, &bytes, METRICS_OPENMETRICS);
    metrics_write_storage(&writer, metrics);
    assert_int_equal(metrics_finish(&writer), STATUS_OK);
    struct document *document = document_read(bytes_slice(&bytes), METRICS_OPENMETRICS);
    bytes_release(&bytes);
    return document;
}

enum { FIELDS = sizeof(struct storage_metrics) / sizeof(uint64_t) };

/* Every field is a 64-bit integer: each gets a number that no other has. */
static void every_field_is_written_once(void **state)
{
    (void)state;
    struct storage_metrics metrics;
    uint64_t numbers[FIELDS];
    _Static_assert(sizeof numbers == sizeof metrics, "a field is no 64-bit integer");
    for (size_t i = 0; i < FIELDS; i++)
        numbers[i] = (1000 + i) * 1000000000;
    memcpy(&metrics, numbers, sizeof metrics);
    struct document *document = read_out(&metrics);
    assert_int_equal(document->count, FIELDS + 1); /* the ratio comes from two of them */
    for (size_t i = 0; i < FIELDS; i++) {
        size_t found = 0;
        for (size_t j = 0; j < document->count; j++) {
            double value = strtod(document->series[j].value, NULL);
            double number = (double)numbers[i];
            /* As it is, nanoseconds, or milliseconds. */
            found += value == number || value == number / 1e9 || value == number / 1e3;
        }
        if (found != 1)
            test_fail("field %zu is written %zu times", i, found);
    }
    document_free(document);
}

static void write_amplification_is_what_was_written_over_what_was_flushed(void **state)
{
    (void)state;
    struct document *document =
        read_out(&(struct storage_metrics){.flushed_bytes = 200, .merged_bytes_written = 300});
    double ratio = 0;
    for (size_t i = 0; i < document->count; i++)
        if (strcmp(document->series[i].text, "metric_store_write_amplification_ratio") == 0)
            ratio = strtod(document->series[i].value, NULL);
    assert_true(ratio == 2.5);
    document_free(document);
}

static void times_are_seconds(void **state)
{
    (void)state;
    struct document *document = read_out(&(struct storage_metrics){.wal_syncs = 4,
                                                                   .wal_sync_ns_sum = 12000000,
                                                                   .wal_sync_ns_max = 5500000,
                                                                   .recovery_duration_ms = 1250});
    document_expect(document, "metric_store_wal_sync_duration_seconds_count", "4");
    document_expect(document, "metric_store_wal_sync_duration_seconds_sum", "0.012");
    document_expect(document, "metric_store_wal_sync_longest_seconds", "0.0055");
    document_expect(document, "metric_store_recovery_duration_seconds", "1.25");
    document_free(document);
}

static void a_disk_that_does_not_tell_its_size_is_left_out(void **state)
{
    (void)state;
    struct document *document = read_out(&(struct storage_metrics){0});
    assert_null(document_value(document, "metric_store_disk_free_bytes"));
    document_expect(document, "metric_store_parts", "0");
    document_free(document);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_is_written_once),
        cmocka_unit_test(write_amplification_is_what_was_written_over_what_was_flushed),
        cmocka_unit_test(times_are_seconds),
        cmocka_unit_test(a_disk_that_does_not_tell_its_size_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

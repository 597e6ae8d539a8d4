#include "../test.h"

#include "document.h"
#include "os/thread.h"

static struct ingest_telemetry *telemetry_new(void)
{
    struct ingest_telemetry *telemetry;
    assert_int_equal(ingest_telemetry_new(&telemetry, NULL), STATUS_OK);
    return telemetry;
}

static struct document *read_out(const struct ingest_telemetry *telemetry)
{
    struct bytes bytes;
    bytes_init(&bytes, 1 << 20);
    struct metrics_writer writer;
    metrics_begin(&writer, &bytes, METRICS_OPENMETRICS);
    metrics_write_ingest(&writer, telemetry);
    assert_int_equal(metrics_finish(&writer), STATUS_OK);
    struct document *document = document_read(bytes_slice(&bytes), METRICS_OPENMETRICS);
    bytes_release(&bytes);
    return document;
}

static void a_batch_counts_what_it_holds_and_what_it_refused(void **state)
{
    (void)state;
    struct ingest_telemetry *telemetry = telemetry_new();
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct batch batch;
    batch_init(&batch, &arena, NULL, 1);
    uint32_t series;
    assert_int_equal(batch_add_series(&batch, slice_from_text("x"), 0, 0, &series), STATUS_OK);
    for (int i = 0; i < 3; i++)
        assert_int_equal(batch_add_sample(&batch, series, i, i), STATUS_OK);
    batch_reject(&batch, 5, 3, 0, "label_invalid", slice_of(NULL, 0), "why");
    batch_reject(&batch, 2, 4, 0, "value_invalid", slice_of(NULL, 0), "why");
    batch.new_series = 1;
    ingest_telemetry_batch(telemetry, INGEST_NDJSON, &batch);
    ingest_telemetry_batch(telemetry, INGEST_NDJSON, &batch);
    struct document *document = read_out(telemetry);
    document_expect(document, "metric_store_ingest_samples_total{protocol=\"ndjson\"}", "6");
    document_expect(document, "metric_store_ingest_samples_total{protocol=\"remote_write\"}", "0");
    document_expect(document, "metric_store_ingest_rejected_samples_total{protocol=\"ndjson\"}",
                    "14");
    document_expect(document, "metric_store_ingest_refusals_total{code=\"label_invalid\"}", "10");
    document_expect(document, "metric_store_ingest_refusals_total{code=\"value_invalid\"}", "4");
    document_expect(document, "metric_store_ingest_new_series_total{protocol=\"ndjson\"}", "2");
    document_expect(document, "metric_store_ingest_batches_total{protocol=\"ndjson\"}", "2");
    document_free(document);
    arena_release(&arena);
    ingest_telemetry_free(telemetry);
}

static void what_falls_with_an_atomic_batch_has_a_code_of_its_own(void **state)
{
    (void)state;
    struct ingest_telemetry *telemetry = telemetry_new();
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct batch batch;
    batch_init(&batch, &arena, NULL, 1);
    batch.atomic = true;
    batch_reject(&batch, 1, 0, 0, "label_invalid", slice_of(NULL, 0), "why");
    batch.rejected += 9;
    ingest_telemetry_batch(telemetry, INGEST_JSON, &batch);
    struct document *document = read_out(telemetry);
    document_expect(document, "metric_store_ingest_refusals_total{code=\"label_invalid\"}", "1");
    document_expect(document, "metric_store_ingest_refusals_total{code=\"atomic_batch\"}", "9");
    document_free(document);
    arena_release(&arena);
    ingest_telemetry_free(telemetry);
}

static void refused_requests_are_counted(void **state)
{
    (void)state;
    struct ingest_telemetry *telemetry = telemetry_new();
    ingest_telemetry_refused(telemetry, INGEST_REMOTE_WRITE, "snappy_invalid");
    struct document *document = read_out(telemetry);
    document_expect(document, "metric_store_ingest_refused_batches_total{code=\"snappy_invalid\"}",
                    "1");
    document_expect(document, "metric_store_ingest_batches_total{protocol=\"remote_write\"}", "1");
    document_free(document);
    ingest_telemetry_free(telemetry);
}

static void reasons_that_a_batch_has_no_room_for_are_counted_as_other(void **state)
{
    (void)state;
    struct ingest_telemetry *telemetry = telemetry_new();
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct batch batch;
    batch_init(&batch, &arena, NULL, 1);
    static char codes[BATCH_MAX_REASONS + 3][16];
    for (uint32_t i = 0; i < BATCH_MAX_REASONS + 3; i++) {
        snprintf(codes[i], sizeof codes[i], "code_%u", i);
        batch_reject(&batch, 2, i, 0, codes[i], slice_of(NULL, 0), "why");
    }
    ingest_telemetry_batch(telemetry, INGEST_JSON, &batch);
    struct document *document = read_out(telemetry);
    document_expect(document, "metric_store_ingest_refusals_total{code=\"code_0\"}", "2");
    document_expect(document, "metric_store_ingest_refusals_total{code=\"other\"}", "6");
    document_free(document);
    arena_release(&arena);
    ingest_telemetry_free(telemetry);
}

enum { CODES = 100, THREADS = 4, ROUNDS = 200 };

struct codes {
    struct ingest_telemetry *telemetry;
    char text[CODES][16];
};

static void refuse_all(void *context)
{
    struct codes *codes = context;
    for (size_t round = 0; round < ROUNDS; round++)
        for (size_t i = 0; i < CODES; i++)
            ingest_telemetry_refused(codes->telemetry, INGEST_TEXT, codes->text[i]);
}

static void more_codes_than_the_table_holds_are_counted_as_other(void **state)
{
    (void)state;
    struct codes codes = {.telemetry = telemetry_new()};
    for (size_t i = 0; i < CODES; i++)
        snprintf(codes.text[i], sizeof codes.text[i], "code_%zu", i);
    struct thread *threads[THREADS];
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(
            threads_start(threads_posix(), "refuse", refuse_all, &codes, &threads[i], NULL),
            STATUS_OK);
    for (size_t i = 0; i < THREADS; i++)
        threads_join(threads_posix(), threads[i]);
    struct document *document = read_out(codes.telemetry);
    char expected[32];
    snprintf(expected, sizeof expected, "%d", THREADS * ROUNDS);
    document_expect(document, "metric_store_ingest_refused_batches_total{code=\"code_63\"}",
                    expected);
    snprintf(expected, sizeof expected, "%d", THREADS * ROUNDS * (CODES - 64));
    document_expect(document, "metric_store_ingest_refused_batches_total{code=\"other\"}",
                    expected);
    document_free(document);
    ingest_telemetry_free(codes.telemetry);
}

static void the_code_other_is_one_series_with_what_the_table_left(void **state)
{
    (void)state;
    struct codes codes = {.telemetry = telemetry_new()};
    ingest_telemetry_refused(codes.telemetry, INGEST_TEXT, "other");
    for (size_t i = 0; i < CODES; i++) {
        snprintf(codes.text[i], sizeof codes.text[i], "code_%zu", i);
        ingest_telemetry_refused(codes.telemetry, INGEST_TEXT, codes.text[i]);
    }
    struct document *document = read_out(codes.telemetry);
    document_expect(document, "metric_store_ingest_refused_batches_total{code=\"other\"}", "38");
    document_free(document);
    ingest_telemetry_free(codes.telemetry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_counts_what_it_holds_and_what_it_refused),
        cmocka_unit_test(what_falls_with_an_atomic_batch_has_a_code_of_its_own),
        cmocka_unit_test(refused_requests_are_counted),
        cmocka_unit_test(reasons_that_a_batch_has_no_room_for_are_counted_as_other),
        cmocka_unit_test(more_codes_than_the_table_holds_are_counted_as_other),
        cmocka_unit_test(the_code_other_is_one_series_with_what_the_table_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

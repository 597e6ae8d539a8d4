#include "../test.h"

#include <unistd.h>

#include "../files.h"
#include "../http/client.h"
#include "../telemetry/document.h"
#include "api/metrics_export.h"
#include "os/read_all.h"
#include "protocols/protocols.h"

static void answer_nothing(struct http_request *request, void *context)
{
    (void)context;
    http_respond(request, (struct http_answer){.status = 204});
}

static int64_t fixed_ms(void *context)
{
    (void)context;
    return 0;
}

static const struct http_route routes[] = {
    {.method = "POST", .path = "/api/v1/write", .handler = answer_nothing},
    {.method = "GET", .path = "/label/{name}/values", .handler = answer_nothing},
};

enum { ROUTE_COUNT = sizeof routes / sizeof routes[0] };

static void take_snapshot(void *context, struct metrics_snapshot *snapshot)
{
    (void)context;
    snapshot->http.connections = 3;
    snapshot->http.refused[HTTP_REFUSED_HEADER_SLOW] = 17;
    snapshot->storage.disk_size_bytes = 1000;
    snapshot->storage.retention_time_ms = 1795305600000;
    for (uint64_t i = 0; i < COMMIT_BUCKETS; i++)
        snapshot->buffer.latency_buckets[i] = i + 1;
    snapshot->buffer.latency_ns_sum = 1500000000;
    snapshot->buffer.max_bytes = 64;
    snapshot->memory.owners[0] = (struct memory_owner){"series_table", 4096, 8192};
    snapshot->memory.owner_count = 1;
}

static void run_degraded(void *context, struct health_result *result)
{
    (void)context;
    result->status = HEALTH_DEGRADED;
}

static const struct health_check checks[] = {{"disk", run_degraded, NULL}};

struct fixture {
    struct http_telemetry *http;
    struct ingest_telemetry *ingest;
    struct query_telemetry *query;
    struct metrics_sources sources;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    assert_int_equal(http_telemetry_of_routes(&fixture->http, routes, ROUTE_COUNT, NULL),
                     STATUS_OK);
    assert_int_equal(ingest_telemetry_new(&fixture->ingest, NULL), STATUS_OK);
    assert_int_equal(query_telemetry_new(&fixture->query, NULL), STATUS_OK);
    fixture->sources = (struct metrics_sources){
        .version = "1.2.3",
        .http = fixture->http,
        .ingest = fixture->ingest,
        .query = fixture->query,
        .snapshot = take_snapshot,
        .checks = checks,
        .check_count = 1,
        .fs = filesystem_posix(),
        .clock = clock_system(),
    };
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    http_telemetry_free(fixture->http);
    ingest_telemetry_free(fixture->ingest);
    query_telemetry_free(fixture->query);
    free(fixture);
    return 0;
}

static void use_everything(struct fixture *fixture)
{
    struct request_observer observer = {
        .telemetry = fixture->http, .routes = routes, .route_count = ROUTE_COUNT};
    request_log_init(&observer.log, NULL, clock_system());
    const unsigned statuses[] = {204, 400, 503};
    for (size_t i = 0; i < 3; i++)
        for (size_t route = 0; route <= ROUTE_COUNT; route++)
            request_observe(&observer, &(struct http_access){
                                           .route = route == ROUTE_COUNT ? NULL : &routes[route],
                                           .method = "PUT",
                                           .path = slice_from_text("/x"),
                                           .status = statuses[i],
                                           .duration_ns = 1234567,
                                       });
    ingest_telemetry_refused(fixture->ingest, INGEST_TEXT, "text_syntax");
    query_telemetry_record(fixture->query,
                           &(struct query_record){.kind = READ_QUERY, .code = "query_timeout"});
}

static void both_formats_are_sound_and_say_the_same(void **state)
{
    struct fixture *fixture = *state;
    use_everything(fixture);
    size_t counts[2];
    for (enum metrics_format format = METRICS_TEXT; format <= METRICS_OPENMETRICS; format++) {
        struct bytes bytes;
        bytes_init(&bytes, 1 << 20);
        assert_int_equal(metrics_export_write(&fixture->sources, format, &bytes), STATUS_OK);
        struct document *document = document_read(bytes_slice(&bytes), format);
        counts[format] = document->count;
        document_expect(document, "metric_store_build_info{version=\"1.2.3\"}", "1");
        document_expect(document,
                        "metric_store_http_requests_total{route=\"/label/{name}/values\","
                        "method=\"GET\",code=\"400\"}",
                        "1");
        document_expect(document,
                        "metric_store_http_requests_total{route=\"other\",method=\"other\","
                        "code=\"503\"}",
                        "1");
        document_expect(document, "metric_store_http_connections", "3");
        document_expect(document, "metric_store_http_refused_total{reason=\"header_slow\"}", "17");
        document_expect(document, "metric_store_health_check{check=\"disk\",status=\"degraded\"}",
                        "1");
        document_expect(document, "metric_store_memory_bytes{owner=\"series_table\"}", "4096");
        document_expect(document, "metric_store_memory_share_bytes{owner=\"series_table\"}",
                        "8192");
        document_expect(document, "metric_store_disk_size_bytes", "1000");
        document_expect(document, "metric_store_ingest_queue_limit_bytes", "64");
        document_expect(document,
                        "metric_store_ingest_commit_duration_seconds_bucket{le=\"0.00025\"}", "1");
        document_expect(document,
                        "metric_store_ingest_commit_duration_seconds_bucket{le=\"4.096\"}", "120");
        document_expect(document, "metric_store_ingest_commit_duration_seconds_count", "136");
        document_expect(document, "metric_store_ingest_commit_duration_seconds_sum", "1.5");
        assert_non_null(document_value(document, "process_cpu_seconds_total"));
        document_free(document);
        bytes_release(&bytes);
    }
    assert_int_equal(counts[METRICS_TEXT], counts[METRICS_OPENMETRICS]);
}

/* What we write we must be able to import. */
static void our_own_readers_take_every_line(void **state)
{
    struct fixture *fixture = *state;
    use_everything(fixture);
    for (enum metrics_format format = METRICS_TEXT; format <= METRICS_OPENMETRICS; format++) {
        struct bytes bytes;
        bytes_init(&bytes, 1 << 20);
        assert_int_equal(metrics_export_write(&fixture->sources, format, &bytes), STATUS_OK);
        struct arena arena;
        arena_init(&arena, 16 << 20);
        struct batch batch;
        batch_init(&batch, &arena, protocols_exposition_decode_labels, PROTOCOL_TAG_EXPOSITION);
        struct error err = {0};
        enum status status =
            format == METRICS_TEXT
                ? protocols_text_parse(bytes_slice(&bytes), 1, &batch, &err)
                : protocols_openmetrics_parse(bytes_slice(&bytes), 1, 1, &batch, &err);
        assert_string_equal(err.message, "");
        assert_int_equal(status, STATUS_OK);
        assert_int_equal(batch.rejected, 0);
        assert_int_equal(batch.warning_count, 0);
        assert_true(batch.sample_count > 100);
        arena_release(&arena);
        bytes_release(&bytes);
    }
}

static void without_proc_the_rest_is_there_and_the_log_says_why(void **state)
{
    struct fixture *fixture = *state;
    const struct test_file none[] = {{0}};
    struct test_files files = test_files_of(none);
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    struct log log = {.fd = ends[1], .level = LOG_INFO, .now_ms = fixed_ms};
    fixture->sources.fs = &files.fs;
    fixture->sources.log = &log;
    struct bytes bytes;
    bytes_init(&bytes, 1 << 20);
    assert_int_equal(metrics_export_write(&fixture->sources, METRICS_TEXT, &bytes), STATUS_OK);
    close(ends[1]);
    char line[512] = {0};
    assert_true(read(ends[0], line, sizeof line - 1) > 0);
    close(ends[0]);
    assert_non_null(strstr(line, "level=warn"));
    assert_non_null(strstr(line, "/proc/self/status"));
    struct document *document = document_read(bytes_slice(&bytes), METRICS_TEXT);
    assert_null(document_value(document, "process_open_fds"));
    document_expect(document, "metric_store_http_connections", "3");
    document_free(document);
    bytes_release(&bytes);
}

/* The manual of the people who watch these numbers: each has a row, and no row is of another. */
static void the_manual_has_one_row_for_each_family(void **state)
{
    struct fixture *fixture = *state;
    struct bytes bytes;
    bytes_init(&bytes, 1 << 20);
    assert_int_equal(metrics_export_write(&fixture->sources, METRICS_TEXT, &bytes), STATUS_OK);
    struct document *document = document_read(bytes_slice(&bytes), METRICS_TEXT);
    bytes_clear(&bytes);
    assert_int_equal(filesystem_read_all(filesystem_posix(),
                                         METRIC_STORE_SOURCE_ROOT "/docs/OPERATIONS.md", &bytes,
                                         NULL),
                     STATUS_OK);
    assert_int_equal(bytes_append(&bytes, "", 1), STATUS_OK);
    size_t rows = 0;
    for (size_t i = 0; i < document->family_count; i++) {
        char row[160];
        snprintf(row, sizeof row, "\n| `%s` |", document->families[i]);
        if (strstr((const char *)bytes.data, row) == NULL)
            test_fail("docs/OPERATIONS.md has no row for %s", document->families[i]);
    }
    for (const char *at = (const char *)bytes.data; (at = strstr(at, "\n| `")) != NULL;) {
        at += 4;
        rows += document_name_size(at) > 0 && strncmp(at + document_name_size(at), "` |", 3) == 0 &&
                (strncmp(at, "metric_store_", 13) == 0 || strncmp(at, "process_", 8) == 0);
    }
    /* process_max_fds may be missing here. */
    assert_in_range(rows, document->family_count, document->family_count + 1);
    document_free(document);
    bytes_release(&bytes);
}

static void a_document_that_does_not_fit_is_told(void **state)
{
    struct fixture *fixture = *state;
    struct bytes bytes;
    bytes_init(&bytes, 4000);
    assert_int_equal(metrics_export_write(&fixture->sources, METRICS_TEXT, &bytes), STATUS_LIMIT);
    bytes_release(&bytes);
}

/* ---- over HTTP -------------------------------------------------------------------------- */

static void run_failing(void *context, struct health_result *result)
{
    (void)context;
    result->status = HEALTH_FAILING;
    snprintf(result->message, sizeof result->message, "the disk is gone");
}

static struct client_answer ask(struct client *client, const char *request)
{
    client_send(client, request);
    return client_read(client, false);
}

static void the_handlers_answer_by_accept_and_health_and_each_request_is_noted(void **state)
{
    struct fixture *fixture = *state;
    static const struct health_check failing[] = {{"storage", run_failing, NULL}};
    struct metrics_sources broken = fixture->sources;
    broken.checks = failing;
    const struct http_route served[] = {
        {.method = "GET",
         .path = "/metrics",
         .handler = metrics_export_answer,
         .context = &fixture->sources},
        {.method = "GET",
         .path = "/health",
         .handler = health_answer,
         .context = &fixture->sources},
        {.method = "GET", .path = "/broken", .handler = health_answer, .context = &broken},
    };
    struct http_telemetry *telemetry;
    assert_int_equal(http_telemetry_of_routes(&telemetry, served, 3, NULL), STATUS_OK);
    struct request_observer observer = {.telemetry = telemetry, .routes = served, .route_count = 3};
    request_log_init(&observer.log, NULL, clock_system());
    struct http_options options = http_options_default();
    options.listen = "127.0.0.1:0";
    options.access = request_observe;
    options.access_context = &observer;
    struct http_server *server;
    assert_int_equal(http_server_start(&server, &options, served, 3, NULL), STATUS_OK);

    struct client client = client_open(http_server_port(server), NULL);
    struct client_answer answer = ask(&client, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(answer.status, 200);
    assert_true(client_header_is(&answer, "Content-Type", metrics_content_type(METRICS_TEXT)));
    answer = ask(&client, "GET /metrics HTTP/1.1\r\nHost: x\r\n"
                          "Accept: application/openmetrics-text; version=1.0.0\r\n\r\n");
    assert_true(
        client_header_is(&answer, "Content-Type", metrics_content_type(METRICS_OPENMETRICS)));
    answer = ask(&client, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(answer.status, 200);
    answer = ask(&client, "GET /broken HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(answer.status, 503);
    assert_true(client_header_is(&answer, "Content-Type", "application/json"));
    answer = ask(&client, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(answer.status, 404);
    client_close(&client);
    /* Waits for the hooks too. */
    assert_int_equal(http_server_drain(server, CLIENT_PATIENCE_MS), STATUS_OK);
    http_server_stop(server);

    struct bytes bytes;
    bytes_init(&bytes, 1 << 20);
    struct metrics_writer writer;
    metrics_begin(&writer, &bytes, METRICS_TEXT);
    metrics_write_http(&writer, telemetry);
    assert_int_equal(metrics_finish(&writer), STATUS_OK);
    struct document *document = document_read(bytes_slice(&bytes), METRICS_TEXT);
    document_expect(
        document,
        "metric_store_http_requests_total{route=\"/metrics\",method=\"GET\",code=\"200\"}", "2");
    document_expect(
        document, "metric_store_http_requests_total{route=\"/broken\",method=\"GET\",code=\"503\"}",
        "1");
    document_expect(
        document, "metric_store_http_requests_total{route=\"other\",method=\"other\",code=\"404\"}",
        "1");
    document_free(document);
    bytes_release(&bytes);
    http_telemetry_free(telemetry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(both_formats_are_sound_and_say_the_same, set_up, tear_down),
        cmocka_unit_test_setup_teardown(our_own_readers_take_every_line, set_up, tear_down),
        cmocka_unit_test_setup_teardown(without_proc_the_rest_is_there_and_the_log_says_why, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_manual_has_one_row_for_each_family, set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            the_handlers_answer_by_accept_and_health_and_each_request_is_noted, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_document_that_does_not_fit_is_told, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

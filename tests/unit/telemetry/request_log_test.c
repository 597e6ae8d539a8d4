#include "../test.h"

#include <unistd.h>

#include "base/invariant.h"
#include "telemetry/telemetry.h"

/* A log into a pipe, and a clock that stands. */
struct fixture {
    struct log log;
    struct request_log requests;
    struct clock clock;
    int64_t now_ns;
    int read_end;
    char text[1 << 16];
};

static int64_t fixed_ms(void *context)
{
    (void)context;
    return INT64_C(1795428000250);
}

static int64_t standing_ns(struct clock *clock)
{
    return container_of(clock, struct fixture, clock)->now_ns;
}

static const struct clock_ops standing_ops = {.monotonic_ns = standing_ns};

static void open_log(struct fixture *fixture, enum log_level level, enum log_format format)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    fixture->log =
        (struct log){.fd = ends[1], .level = level, .format = format, .now_ms = fixed_ms};
    fixture->read_end = ends[0];
    fixture->clock.ops = &standing_ops;
    fixture->now_ns = INT64_C(5000000000);
    request_log_init(&fixture->requests, &fixture->log, &fixture->clock);
}

static const char *close_log(struct fixture *fixture)
{
    close(fixture->log.fd);
    size_t size = 0;
    ssize_t got;
    while ((got = read(fixture->read_end, fixture->text + size, sizeof fixture->text - 1 - size)) >
           0)
        size += (size_t)got;
    close(fixture->read_end);
    fixture->text[size] = 0;
    return fixture->text;
}

static size_t lines_with(const char *text, const char *word)
{
    size_t count = 0;
    for (const char *at = text; (at = strstr(at, word)) != NULL; at++)
        count++;
    return count;
}

static struct request_record record_of(unsigned status, int64_t duration_ns)
{
    return (struct request_record){
        .method = "POST",
        .path = slice_from_text("/api/v1/write"),
        .request_id = slice_from_text("abc123"),
        .peer = slice_from_text("192.0.2.1"),
        .status = status,
        .bytes_in = 1000,
        .bytes_out = 20,
        .duration_ns = duration_ns,
    };
}

static void write_one(struct fixture *fixture, unsigned status, int64_t duration_ns)
{
    struct request_record record = record_of(status, duration_ns);
    request_log_write(&fixture->requests, &record, "/api/v1/write");
}

static void a_line_says_who_asked_what_and_how_it_ended(void **state)
{
    (void)state;
    static struct fixture fixture;
    open_log(&fixture, LOG_INFO, LOG_LOGFMT);
    write_one(&fixture, 503, 2500000);
    assert_string_equal(close_log(&fixture),
                        "ts=2026-11-23T10:00:00.250Z level=warn subsystem=http msg=request "
                        "request_id=abc123 method=POST path=/api/v1/write route=/api/v1/write "
                        "status=503 bytes_in=1000 bytes_out=20 duration_us=2500 peer=192.0.2.1\n");
}

static void only_failures_and_slow_ones_are_seen_at_info(void **state)
{
    (void)state;
    static struct fixture fixture;
    open_log(&fixture, LOG_INFO, LOG_LOGFMT);
    write_one(&fixture, 200, 1000);
    write_one(&fixture, 404, 1000);
    write_one(&fixture, 499, 1000000000);
    write_one(&fixture, 200, 1000000001);
    write_one(&fixture, 500, 1000);
    const char *text = close_log(&fixture);
    assert_int_equal(lines_with(text, "\n"), 2);
    assert_int_equal(lines_with(text, "level=info"), 1);
    assert_int_equal(lines_with(text, "level=warn"), 1);
}

static void every_request_is_seen_at_debug_without_a_limit(void **state)
{
    (void)state;
    static struct fixture fixture;
    open_log(&fixture, LOG_DEBUG, LOG_JSON);
    for (int i = 0; i < 50; i++)
        write_one(&fixture, 200, 1000);
    const char *text = close_log(&fixture);
    assert_int_equal(lines_with(text, "\"level\":\"debug\""), 50);
}

static void overload_does_not_flood_the_log_and_says_what_is_missing(void **state)
{
    (void)state;
    static struct fixture fixture;
    open_log(&fixture, LOG_INFO, LOG_LOGFMT);
    for (int i = 0; i < 100; i++)
        write_one(&fixture, 503, 1000);
    fixture.now_ns += 1000000000;
    write_one(&fixture, 503, 1000);
    const char *text = close_log(&fixture);
    assert_int_equal(lines_with(text, "msg=request "), 21);
    assert_int_equal(lines_with(text, "were not logged"), 1);
    assert_non_null(strstr(text, "count=80"));
}

static void what_a_client_sends_cannot_break_a_line(void **state)
{
    (void)state;
    static struct fixture fixture;
    open_log(&fixture, LOG_INFO, LOG_LOGFMT);
    struct request_record record = record_of(500, 1);
    record.path = slice_from_text("/a\nlevel=error msg=\"forged\"");
    request_log_write(&fixture.requests, &record, NULL);
    const char *text = close_log(&fixture);
    assert_int_equal(lines_with(text, "\n"), 1);
    assert_non_null(strstr(text, "route=none"));
}

static void no_log_is_no_line(void **state)
{
    (void)state;
    struct request_log requests;
    request_log_init(&requests, NULL, clock_system());
    struct request_record record = record_of(500, 1);
    request_log_write(&requests, &record, NULL);
    assert_int_equal(requests.left_out, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_says_who_asked_what_and_how_it_ended),
        cmocka_unit_test(only_failures_and_slow_ones_are_seen_at_info),
        cmocka_unit_test(every_request_is_seen_at_debug_without_a_limit),
        cmocka_unit_test(overload_does_not_flood_the_log_and_says_what_is_missing),
        cmocka_unit_test(what_a_client_sends_cannot_break_a_line),
        cmocka_unit_test(no_log_is_no_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

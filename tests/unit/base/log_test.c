#include "../test.h"

#include <unistd.h>

#include "base/log.h"
#include "base/times.h"
#include "base/utf8.h"

enum { LINE_MAX_SIZE = 4096, TEXT_SIZE = 3 * LINE_MAX_SIZE };

static const struct log_field no_fields[] = {{0}};

static int64_t fixed_time(void *context)
{
    return *(const int64_t *)context;
}

static int64_t now_ms = INT64_C(1795428000250);

/* A log into a pipe, and what came out of it. */
struct logged {
    struct log log;
    int read_end;
    char text[TEXT_SIZE];
    size_t size;
};

static void logged_open(struct logged *logged, enum log_format format)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    *logged = (struct logged){
        .log = {.fd = ends[1],
                .level = LOG_INFO,
                .format = format,
                .now_ms = fixed_time,
                .context = &now_ms},
        .read_end = ends[0],
    };
}

/* Ends the log and gives what it wrote, zero-terminated. */
static const char *logged_finish(struct logged *logged)
{
    close(logged->log.fd);
    ssize_t got;
    while ((got = read(logged->read_end, logged->text + logged->size,
                       TEXT_SIZE - 1 - logged->size)) > 0)
        logged->size += (size_t)got;
    close(logged->read_end);
    logged->text[logged->size] = 0;
    return logged->text;
}

/*
 * A small reader of JSON (RFC 8259), as much as a log line may hold: an object of strings, numbers
 * and true. Each returns the position after what it read, or NULL.
 */
static const char *json_string(const char *at)
{
    if (*at++ != '"')
        return NULL;
    for (; *at != '"'; at++) {
        if ((uint8_t)*at < 0x20)
            return NULL;
        if (*at != '\\')
            continue;
        at++;
        if (*at == 'u') {
            for (int i = 0; i < 4; i++)
                if (strchr("0123456789abcdef", *++at) == NULL || *at == 0)
                    return NULL;
        } else if (strchr("\"\\", *at) == NULL || *at == 0) {
            return NULL;
        }
    }
    return at + 1;
}

static const char *json_value(const char *at)
{
    if (*at == '"')
        return json_string(at);
    if (strncmp(at, "true", 4) == 0)
        return at + 4;
    char *end;
    strtoll(at, &end, 10);
    return end == at ? NULL : end;
}

static bool is_json_line(const char *text, size_t size)
{
    if (size == 0 || strlen(text) != size || text[size - 1] != '\n' || *text++ != '{' ||
        !utf8_valid(slice_from_text(text)))
        return false;
    while (true) {
        text = json_string(text);
        if (text == NULL || *text++ != ':' || (text = json_value(text)) == NULL)
            return false;
        if (*text != ',')
            return strcmp(text, "}\n") == 0;
        text++;
    }
}

static void a_logfmt_line_has_time_level_subsystem_message_and_fields(void **state)
{
    (void)state;
    struct logged logged;
    logged_open(&logged, LOG_LOGFMT);
    log_event(&logged.log, LOG_INFO, "engine", "part written", log_int("part", 17),
              log_int("least", INT64_MIN), log_text("path", "data/17.part"),
              log_slice("day", slice_from_text("2026-11-23")));
    log_write(&logged.log, LOG_ERROR, "http", "stopped", no_fields);
    assert_string_equal(logged_finish(&logged),
                        "ts=2026-11-23T10:00:00.250Z level=info subsystem=engine "
                        "msg=\"part written\" part=17 least=-9223372036854775808 "
                        "path=data/17.part day=2026-11-23\n"
                        "ts=2026-11-23T10:00:00.250Z level=error subsystem=http msg=stopped\n");
}

static void a_json_line_has_the_same_and_numbers_stay_numbers(void **state)
{
    (void)state;
    struct logged logged;
    logged_open(&logged, LOG_JSON);
    log_event(&logged.log, LOG_WARN, "engine", "part written", log_int("part", 17),
              log_text("path", "data/17.part"));
    const char *text = logged_finish(&logged);
    assert_string_equal(text, "{\"ts\":\"2026-11-23T10:00:00.250Z\",\"level\":\"warn\","
                              "\"subsystem\":\"engine\",\"msg\":\"part written\",\"part\":17,"
                              "\"path\":\"data/17.part\"}\n");
    assert_true(is_json_line(text, logged.size));
}

static void values_cannot_forge_fields_or_lines(void **state)
{
    (void)state;
    struct logged logged;
    logged_open(&logged, LOG_LOGFMT);
    log_event(&logged.log, LOG_INFO, "http", "refused", log_text("a", "x level=error"),
              log_text("b", "q\"\\\n\x7f"), log_slice("c", slice_of("n\0l", 3)), log_text("d", ""),
              log_text("e", NULL), log_text("f", "k=v"), log_text("g", "gr\xc3\xbc\xc3\x9f"));
    assert_string_equal(strstr(logged_finish(&logged), " a="),
                        " a=\"x level=error\" b=\"q\\\"\\\\\\u000a\\u007f\" c=\"n\\u0000l\" "
                        "d=\"\" e=\"\" f=\"k=v\" g=gr\xc3\xbc\xc3\x9f\n");
}

static void bytes_that_are_no_utf8_become_the_replacement_character(void **state)
{
    (void)state;
    for (int format = LOG_LOGFMT; format <= LOG_JSON; format++) {
        struct logged logged;
        logged_open(&logged, (enum log_format)format);
        log_event(&logged.log, LOG_INFO, "http", "refused", log_text("v", "a\xff\xe2\x82"));
        const char *text = logged_finish(&logged);
        assert_non_null(strstr(text, "\"a\\ufffd\\ufffd\\ufffd\""));
        assert_true(utf8_valid(slice_from_text(text)));
    }
}

static void every_byte_in_a_value_leaves_json_valid(void **state)
{
    (void)state;
    uint8_t all[256];
    for (size_t i = 0; i < sizeof all; i++)
        all[i] = (uint8_t)i;
    struct logged logged;
    logged_open(&logged, LOG_JSON);
    log_event(&logged.log, LOG_INFO, "http", "refused", log_slice("v", slice_of(all, 256)));
    logged_finish(&logged);
    assert_true(is_json_line(logged.text, logged.size));
}

/* Values of every length around the limit, of every kind of character; a field before and behind.
 */
static void a_line_that_is_too_long_is_cut_and_still_valid(void **state)
{
    (void)state;
    static const char *const fillers[] = {"x",    "\"",           "\n",
                                          "\xff", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    static char value[2 * LINE_MAX_SIZE];
    for (size_t filler = 0; filler < sizeof fillers / sizeof fillers[0]; filler++) {
        size_t size = strlen(fillers[filler]);
        for (size_t i = 0; i < sizeof value; i++)
            value[i] = fillers[filler][i % size];
        for (size_t count = 400; count * size < 4400; count += 3) {
            struct logged logged;
            logged_open(&logged, LOG_JSON);
            log_event(&logged.log, LOG_INFO, "http", "refused", log_int("before", 1),
                      log_slice("value", slice_of(value, count * size)), log_int("behind", 2));
            logged_finish(&logged);
            assert_true(is_json_line(logged.text, logged.size));
            assert_true(logged.size <= LINE_MAX_SIZE);
            bool whole = strstr(logged.text, "\"behind\":2}") != NULL;
            assert_int_equal(strstr(logged.text, ",\"truncated\":true}\n") != NULL, !whole);
        }
    }
}

static void so_many_fields_that_they_do_not_fit_leave_whole_ones(void **state)
{
    (void)state;
    static struct log_field fields[1000];
    for (size_t i = 0; i < 999; i++)
        fields[i] = i % 2 == 0 ? log_int("number", -1) : log_text("text", "a value");
    for (int format = LOG_LOGFMT; format <= LOG_JSON; format++) {
        struct logged logged;
        logged_open(&logged, (enum log_format)format);
        log_write(&logged.log, LOG_INFO, "http", "many", fields);
        const char *text = logged_finish(&logged);
        assert_true(logged.size <= LINE_MAX_SIZE && logged.size > LINE_MAX_SIZE - 200);
        if (format == LOG_JSON)
            assert_true(is_json_line(text, logged.size));
        else
            assert_string_equal(text + logged.size - 16, " truncated=true\n");
    }
}

static void a_long_logfmt_value_ends_with_its_quote(void **state)
{
    (void)state;
    static char value[2 * LINE_MAX_SIZE];
    memset(value, 'x', sizeof value);
    struct logged logged;
    logged_open(&logged, LOG_LOGFMT);
    log_event(&logged.log, LOG_INFO, "http", "refused",
              log_slice("value", slice_of(value, sizeof value)), log_int("behind", 2));
    const char *text = logged_finish(&logged);
    assert_true(logged.size <= LINE_MAX_SIZE);
    assert_string_equal(text + logged.size - 18, "x\" truncated=true\n");
}

static void lines_below_the_level_and_logs_that_are_not_there_write_nothing(void **state)
{
    (void)state;
    struct logged logged;
    logged_open(&logged, LOG_JSON);
    log_event(&logged.log, LOG_DEBUG, "http", "request", log_int("status", 200));
    log_event((const struct log *)NULL, LOG_ERROR, "http", "request", log_int("status", 200));
    assert_string_equal(logged_finish(&logged), "");
}

static void levels_are_read_by_name(void **state)
{
    (void)state;
    enum log_level level = LOG_ERROR;
    assert_true(log_level_parse("debug", &level));
    assert_int_equal(level, LOG_DEBUG);
    assert_true(log_level_parse("warn", &level));
    assert_int_equal(level, LOG_WARN);
    assert_false(log_level_parse("WARN", &level));
    assert_false(log_level_parse("", &level));
    assert_false(log_level_parse("warning", &level));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_logfmt_line_has_time_level_subsystem_message_and_fields),
        cmocka_unit_test(a_json_line_has_the_same_and_numbers_stay_numbers),
        cmocka_unit_test(values_cannot_forge_fields_or_lines),
        cmocka_unit_test(bytes_that_are_no_utf8_become_the_replacement_character),
        cmocka_unit_test(every_byte_in_a_value_leaves_json_valid),
        cmocka_unit_test(a_line_that_is_too_long_is_cut_and_still_valid),
        cmocka_unit_test(so_many_fields_that_they_do_not_fit_leave_whole_ones),
        cmocka_unit_test(a_long_logfmt_value_ends_with_its_quote),
        cmocka_unit_test(lines_below_the_level_and_logs_that_are_not_there_write_nothing),
        cmocka_unit_test(levels_are_read_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

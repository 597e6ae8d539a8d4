#include "client.h"

#include <sys/resource.h>
#include <zlib.h>
#include <zstd.h>

#include "http/http.h"

/* --------------------------------------------------------------------- what the server serves */

/* Requests that a handler kept, for the test's own thread to answer. */
struct mailbox {
    struct mutex mutex;
    struct condition changed;
    struct http_request *kept;
    bool cancelled;
    bool blocked;
    int handled;
    struct http_access last; /* only the fields without pointers */
    int accesses;
};

static struct mailbox mailbox;

static struct http_request *take_kept(void)
{
    mutex_lock(&mailbox.mutex);
    while (mailbox.kept == NULL)
        assert_true(condition_wait_ms(&mailbox.changed, &mailbox.mutex, CLIENT_PATIENCE_MS));
    struct http_request *request = mailbox.kept;
    mailbox.kept = NULL;
    mutex_unlock(&mailbox.mutex);
    return request;
}

static void on_cancel(void *context)
{
    (void)context;
    mutex_lock(&mailbox.mutex);
    mailbox.cancelled = true;
    condition_broadcast(&mailbox.changed);
    mutex_unlock(&mailbox.mutex);
}

static void await_cancel(void)
{
    mutex_lock(&mailbox.mutex);
    while (!mailbox.cancelled)
        assert_true(condition_wait_ms(&mailbox.changed, &mailbox.mutex, CLIENT_PATIENCE_MS));
    mutex_unlock(&mailbox.mutex);
}

static void await_blocked(void)
{
    mutex_lock(&mailbox.mutex);
    while (!mailbox.blocked)
        assert_true(condition_wait_ms(&mailbox.changed, &mailbox.mutex, CLIENT_PATIENCE_MS));
    mutex_unlock(&mailbox.mutex);
}

static void unblock(void)
{
    mutex_lock(&mailbox.mutex);
    mailbox.blocked = false;
    condition_broadcast(&mailbox.changed);
    mutex_unlock(&mailbox.mutex);
}

static void on_access(void *context, const struct http_access *access)
{
    (void)context;
    mutex_lock(&mailbox.mutex);
    mailbox.last = *access;
    mailbox.accesses++;
    condition_broadcast(&mailbox.changed);
    mutex_unlock(&mailbox.mutex);
}

static struct http_access await_access(int count)
{
    mutex_lock(&mailbox.mutex);
    while (mailbox.accesses < count)
        assert_true(condition_wait_ms(&mailbox.changed, &mailbox.mutex, CLIENT_PATIENCE_MS));
    struct http_access last = mailbox.last;
    mutex_unlock(&mailbox.mutex);
    return last;
}

static void respond_slice(struct http_request *request, struct slice text)
{
    struct http_answer answer = {.status = 200, .content_type = "text/plain"};
    bytes_init(&answer.body, 100 << 20);
    assert_int_equal(bytes_append(&answer.body, text.data, text.size), STATUS_OK);
    http_respond(request, answer);
}

static void respond_text(struct http_request *request, const char *text)
{
    respond_slice(request, slice_from_text(text));
}

static void handle_hello(struct http_request *request, void *context)
{
    respond_text(request, context);
}

static void handle_echo(struct http_request *request, void *context)
{
    (void)context;
    mutex_lock(&mailbox.mutex);
    mailbox.handled++;
    mutex_unlock(&mailbox.mutex);
    respond_slice(request, http_request_body(request));
}

/* As no handler should: holds its HTTP thread until the test lets it go. */
static void handle_block(struct http_request *request, void *context)
{
    (void)context;
    mutex_lock(&mailbox.mutex);
    mailbox.blocked = true;
    condition_broadcast(&mailbox.changed);
    while (mailbox.blocked)
        condition_wait(&mailbox.changed, &mailbox.mutex);
    mutex_unlock(&mailbox.mutex);
    respond_text(request, "let go");
}

static void handle_keep(struct http_request *request, void *context)
{
    (void)context;
    http_request_on_cancel(request, on_cancel, NULL);
    mutex_lock(&mailbox.mutex);
    mailbox.kept = request;
    condition_broadcast(&mailbox.changed);
    mutex_unlock(&mailbox.mutex);
}

static void handle_parameter(struct http_request *request, void *context)
{
    (void)context;
    respond_slice(request, http_request_parameter(request));
}

static void handle_fields(struct http_request *request, void *context)
{
    (void)context;
    struct bytes text;
    bytes_init(&text, 1 << 20);
    struct http_fields sets[] = {http_request_query(request), http_request_form(request)};
    for (size_t i = 0; i < 2; i++)
        for (size_t k = 0; k < sets[i].count; k++)
            assert_int_equal(bytes_format(&text, "%.*s=%.*s;", SLICE_FORMAT(sets[i].items[k].name),
                                          SLICE_FORMAT(sets[i].items[k].value)),
                             STATUS_OK);
    struct http_answer answer = {.status = 200, .content_type = "text/plain", .body = text};
    http_respond(request, answer);
}

static void handle_large(struct http_request *request, void *context)
{
    (void)context;
    struct http_answer answer = {.status = 200, .content_type = "text/plain"};
    bytes_init(&answer.body, 1 << 20);
    for (int i = 0; i < 5000; i++)
        assert_int_equal(bytes_format(&answer.body, "line %d\n", i), STATUS_OK);
    http_respond(request, answer);
}

static const struct http_route routes[] = {
    {.method = "GET", .path = "/hello", .handler = handle_hello, .context = (void *)"hello"},
    {.method = "POST",
     .path = "/echo",
     .handler = handle_echo,
     .takes_body = true,
     .codings = HTTP_TAKES_COMPRESSED | HTTP_PASSES_SNAPPY},
    {.method = "POST",
     .path = "/plain",
     .handler = handle_echo,
     .takes_body = true,
     .max_decoded_size = 1000},
    {.method = "GET", .path = "/block", .handler = handle_block},
    {.method = "GET", .path = "/keep", .handler = handle_keep, .compresses = true},
    {.method = "POST", .path = "/keep", .handler = handle_keep, .takes_body = true},
    {.method = "GET", .path = "/label/{name}/values", .handler = handle_parameter},
    {.method = "GET",
     .path = "/label/exact/values",
     .handler = handle_hello,
     .context = (void *)"exact"},
    {.method = "GET", .path = "/fields", .handler = handle_fields},
    {.method = "POST", .path = "/fields", .handler = handle_fields, .takes_form = true},
    {.method = "GET", .path = "/large", .handler = handle_large, .compresses = true},
};

static struct http_options test_options(void)
{
    struct http_options options = http_options_default();
    options.listen = "127.0.0.1:0";
    options.thread_count = 2;
    options.access = on_access;
    return options;
}

static struct http_server *start(const struct http_options *options)
{
    struct http_server *server = NULL;
    struct error err = {0};
    mailbox = (struct mailbox){0};
    mutex_init(&mailbox.mutex);
    condition_init(&mailbox.changed);
    if (http_server_start(&server, options, routes, sizeof routes / sizeof routes[0], &err) !=
        STATUS_OK)
        test_fail("%s", err.message);
    return server;
}

static void stop(struct http_server *server)
{
    http_server_stop(server);
    mutex_release(&mailbox.mutex);
    condition_release(&mailbox.changed);
}

static struct http_stats stats_of(struct http_server *server)
{
    struct http_stats stats;
    http_server_stats(server, &stats);
    return stats;
}

/* Waits until a number of the statistics is as wanted. */
#define await_stat(server, condition)                                                              \
    do {                                                                                           \
        int patience = CLIENT_PATIENCE_MS;                                                         \
        struct http_stats stat = stats_of(server);                                                 \
        for (; patience > 0 && !(condition); patience--, stat = stats_of(server))                  \
            clock_sleep_ms(clock_system(), 1);                                                     \
        if (patience == 0)                                                                         \
            test_fail("never: " #condition);                                                       \
    } while (0)

static bool body_has(const struct client_answer *answer, const char *text)
{
    return memmem(answer->body, answer->body_size, text, strlen(text)) != NULL;
}

static bool body_is(const struct client_answer *answer, const char *text)
{
    return slice_equal_text(slice_of(answer->body, answer->body_size), text);
}

/* One request on a connection of its own. */
static struct client ask(struct http_server *server, const char *text, struct client_answer *answer)
{
    struct client client = client_open(http_server_port(server), NULL);
    client_send(&client, text);
    *answer = client_read(&client, strncmp(text, "HEAD", 4) == 0);
    return client;
}

#define HOST "Host: test\r\n"

/* --------------------------------------------------------------------- routes and answers */

static void a_known_path_is_answered_with_its_request_id(void **state)
{
    (void)state;
    struct http_options options = test_options();
    struct http_server *server = start(&options);
    struct client_answer answer;
    struct client client =
        ask(server, "GET /hello HTTP/1.1\r\n" HOST "X-Request-Id: abc-1.2\r\n\r\n", &answer);
    assert_int_equal(answer.status, 200);
    assert_true(body_is(&answer, "hello"));
    assert_true(client_header_is(&answer, "X-Request-Id", "abc-1.2"));
    client_send(&client, "GET /hello HTTP/1.1\r\n" HOST "X-Request-Id: a b<script>\r\n\r\n");
    answer = client_read(&client, false);
    assert_int_equal(answer.status, 200);
    assert_non_null(client_header(&answer, "X-Request-Id"));
    assert_int_equal(strcspn(client_header(&answer, "X-Request-Id"), "\r"), 16);
    client_close(&client);
    struct http_access access = await_access(2);
    assert_int_equal(access.status, 200);
    assert_int_equal(access.bytes_out, 5);
    stop(server);
}

static void unknown_paths_and_methods_are_named_with_what_is_allowed(void **state)
{
    (void)state;
    struct http_options options = test_options();
    struct http_server *server = start(&options);
    struct client_answer answer;
    struct client client = ask(server, "GET /nowhere?x=1 HTTP/1.1\r\n" HOST "\r\n", &answer);
    assert_int_equal(answer.status, 404);
    assert_true(client_header_is(&answer, "Content-Type", "application/problem+json"));
    assert_true(body_has(&answer, "\"code\":\"not_found\""));
    assert_true(body_has(&answer, "\"request_id\":\""));
    assert_true(body_has(&answer, "/nowhere"));
    client_send(&client, "DELETE /hello HTTP/1.1\r\n" HOST "\r\n");
    answer = client_read(&client, false);
    assert_int_equal(answer.status, 405);
    assert_true(client_header_is(&answer, "Allow", "GET, HEAD, OPTIONS"));
    assert_true(body_has(&answer, "\"code\":\"method_not_allowed\""));
    client_send(&client, "OPTIONS /fields HTTP/1.1\r\n" HOST "\r\n");
    answer = client_read(&client, false);
    assert_int_equal(answer.status, 204);
    assert_true(client_header_is(&answer, "Allow", "GET, HEAD, POST, OPTIONS"));
    client_send(&client, "HEAD /hello HTTP/1.1\r\n" HOST "\r\n");
    answer = client_read(&client, true);
    assert_int_equal(answer.status, 200);
    assert_true(client_header_is(&answer, "Content-Length", "5"));
    client_send(&client, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    answer = client_read(&client, false);
    assert_true(body_is(&answer, "hello"));
    client_close(&client);
    stop(server);
}

static void path_parameters_queries_and_forms_are_decoded(void **state)
{
    (void)state;
    struct http_options options = test_options();
    options.max_parameters = 4;
    struct http_server *server = start(&options);
    struct client_answer answer;
    struct client client =
        ask(server, "GET /label/a%2Fb+c%25/values HTTP/1.1\r\n" HOST "\r\n", &answer);
    assert_true(body_is(&answer, "a/b+c%"));
    client_send(&client, "GET /label/exact/values HTTP/1.1\r\n" HOST "\r\n");
    answer = client_read(&client, false);
    assert_true(body_is(&answer, "exact"));
    client_send(&client, "GET /label//values HTTP/1.1\r\n" HOST "\r\n");
    answer = client_read(&client, false);
    assert_int_equal(answer.status, 404);
    client_send(&client, "POST /fields?m[]=1&m%5b%5d=a+b HTTP/1.1\r\n" HOST
                         "Content-Type: application/x-www-form-urlencoded; charset=utf-8\r\n"
                         "Content-Length: 9\r\n\r\nq=%2B1&q2");
    answer = client_read(&client, false);
    assert_true(body_is(&answer, "m[]=1;m[]=a b;q=+1;q2=;"));
    client_send(&client, "GET /fields?a=%zz HTTP/1.1\r\n" HOST "\r\n");
    answer = client_read(&client, false);
    assert_int_equal(answer.status, 400);
    assert_true(body_has(&answer, "\"code\":\"invalid_parameter\""));
    client_send(&client, "GET /fields?a&b&c&d&e HTTP/1.1\r\n" HOST "\r\n");
    answer = client_read(&client, false);
    assert_int_equal(answer.status, 400);
    assert_true(body_has(&answer, "\"code\":\"too_many_parameters\""));
    client_send(&client, "POST /fields HTTP/1.1\r\n" HOST
                         "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    answer = client_read(&client, false);
    assert_int_equal(answer.status, 415);
    client_close(&client);
    stop(server);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    (void)state;
    struct http_options options = test_options();
    struct http_server *server = start(&options);
    struct client client = client_open(http_server_port(server), NULL);
    client_send(&client, "GET /hello HTTP/1.1\r\n" HOST "\r\n"
                         "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
                         "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
                         "3\r\nxyz\r\n2\r\n12\r\n0\r\n\r\n"
                         "GET /nowhere HTTP/1.1\r\n" HOST "\r\n"
                         "GET /hello HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n");
    struct client_answer answer = client_read(&client, false);
    assert_true(body_is(&answer, "hello"));
    answer = client_read(&client, false);
    assert_true(body_is(&answer, "abc"));
    answer = client_read(&client, false);
    assert_true(body_is(&answer, "xyz12"));
    answer = client_read(&client, false);
    assert_int_equal(answer.status, 404);
    answer = client_read(&client, false);
    assert_true(body_is(&answer, "hello"));
    assert_false(client_receive(&client));
    client_close(&client);
    stop(server);
}

static void answers_are_compressed_as_the_client_likes(void **state)
{
    (void)state;
    struct http_options options = test_options();
    struct http_server *server = start(&options);
    struct client_answer answer;
    struct client client = ask(server, "GET /large HTTP/1.1\r\n" HOST "\r\n", &answer);
    assert_null(client_header(&answer, "Content-Encoding"));
    assert_true(client_header_is(&answer, "Vary", "Accept-Encoding"));
    size_t plain = answer.body_size;
    client_send(&client,
                "GET /large HTTP/1.1\r\n" HOST "Accept-Encoding: gzip;q=0.5, zstd\r\n\r\n");
    answer = client_read(&client, false);
    assert_true(client_header_is(&answer, "Content-Encoding", "zstd"));
    char *decoded = malloc(plain);
    assert_int_equal(ZSTD_decompress(decoded, plain, answer.body, answer.body_size), plain);
    assert_memory_equal(decoded, "line 0\nline 1\n", 14);
    free(decoded);
    client_send(&client, "GET /large HTTP/1.1\r\n" HOST "Accept-Encoding: gzip, zstd;q=0\r\n\r\n");
    answer = client_read(&client, false);
    assert_true(client_header_is(&answer, "Content-Encoding", "gzip"));
    assert_true(answer.body_size < plain / 2);
    client_close(&client);
    stop(server);
}

/* --------------------------------------------------------------------- bodies and limits */

static void a_body_declared_too_large_is_refused_before_it_is_sent(void **state)
{
    (void)state;
    struct http_options options = test_options();
    struct http_server *server = start(&options);
    struct client_answer answer;
    struct client client =
        ask(server, "POST /plain HTTP/1.1\r\n" HOST "Content-Length: 1001\r\n\r\n", &answer);
    assert_int_equal(answer.status, 413);
    assert_true(body_has(&answer, "\"code\":\"body_too_large\""));
    assert_true(body_has(&answer, "1000"));
    client_close(&client);
    client = ask(server,
                 "POST /plain HTTP/1.1\r\n" HOST
                 "Expect: 100-continue\r\nContent-Length: 999999999999\r\n\r\n",
                 &answer);
    assert_int_equal(answer.status, 413);
    client_close(&client);
    client = ask(server, "GET /hello HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nx", &answer);
    assert_int_equal(answer.status, 413);
    assert_true(body_has(&answer, "\"code\":\"body_not_taken\""));
    client_close(&client);
    stop(server);
}

static void an_expected_continue_is_sent(void **state)
{
    (void)state;
    struct http_options options = test_options();
    struct http_server *server = start(&options);
    struct client_answer answer;
    struct client client = ask(
        server, "POST /echo HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\n",
        &answer);
    assert_int_equal(answer.status, 100);
    client_send(&client, "ok");
    answer = client_read(&client, false);
    assert_true(body_is(&answer, "ok"));
    client_close(&client);
    stop(server);
}

static void a_chunked_body_is_refused_when_it_passes_the_limit(void **state)
{
    (void)state;
    struct http_options options = test_options();
    struct http_server *server = start(&options);
    struct client client = client_open(http_server_port(server), NULL);
    client_send(&client, "POST /plain HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
    char piece[600];
    snprintf(piece, sizeof piece, "%x\r\n%0*d\r\n", 500, 500, 7);
    client_send(&client, piece);
    client_send(&client, piece);
    client_send(&client, "1\r\nx\r\n");
    /* More than the socket buffers hold: the answer must survive what is still being sent. */
    for (int i = 0; i < 100; i++)
        client_send(&client, piece);
    struct client_answer answer = client_read(&client, false);
    assert_int_equal(answer.status, 413);
    assert_true(client_header_is(&answer, "Connection", "close"));
    assert_int_equal(mailbox.handled, 0);
    client_close(&client);
    assert_int_equal(await_access(1).status, 413);
    await_stat(server, stat.bytes_in_flight == 0 && stat.connections == 0);
    stop(server);
}

static void an_ambiguous_length_is_refused(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n",
        "POST /echo HTTP/1.1\r\n\r\n",
    };
    struct http_options options = test_options();
    struct http_server *server = start(&options);
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct client_answer answer;
        struct client client = ask(server, requests[i], &answer);
        assert_int_equal(answer.status, 400);
        client_close(&client);
    }
    stop(server);
}

static void what_is_no_http_is_a_problem_and_counted(void **state)
{
    (void)state;
    static char long_line[100000];
    snprintf(long_line, sizeof long_line,
             "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n5;%099000d", 7);
    static char long_trailer[100000];
    snprintf(long_trailer, sizeof long_trailer,
             "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
             "1\r\nx\r\n0\r\nx: %099000d",
             7);
    static char long_target[100000];
    snprintf(long_target, sizeof long_target, "GET /%099000d", 7);
    const struct {
        const char *text;
        int status;
        const char *code;
    } cases[] = {
        {"GET /hello HTTP/9.9\r\n" HOST "\r\n", 400, "http_malformed"},
        {"GET /hello HTTP/0.9\r\n" HOST "\r\n", 400, "http_malformed"},
        {"GET /hello\r\n\r\n", 400, "http_malformed"},
        {"\x16\x03\x01\x02 \x01 HTTPS?\r\n\r\n", 400, "http_malformed"},
        {"GET /hello HTTP/1.1\r\n" HOST "no colon here\r\n\r\n", 400, "http_malformed"},
        {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5x\r\n\r\n", 400, "http_malformed"},
        {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 99999999999999999999\r\n\r\n", 413,
         "body_too_large"},
        {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400,
         "http_malformed"},
        {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
         "2\r\nabcde\r\n0\r\n\r\n",
         400, "http_malformed"},
        {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
         "fffffffffffffffff\r\n",
         413, "body_too_large"},
        {long_line, 400, "http_malformed"},
        {long_trailer, 431, "header_too_large"},
        {long_target, 414, "target_too_long"},
    };
    struct http_options options = test_options();
    options.thread_count = 1;
    struct http_server *server = start(&options);
    struct client_answer answer;
    /* Others of the same thread are not mistaken for the culprit: one that is served and kept, one
     * with a chunked request behind it, and one whose body comes. */
    struct client kept = ask(server, "GET /hello HTTP/1.1\r\n" HOST "\r\n", &answer);
    struct client chunked =
        ask(server,
            "POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n",
            &answer);
    struct client sending = client_open(http_server_port(server), NULL);
    client_send(&sending, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\na");
    await_stat(server, stat.bytes_in_flight > 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        client_send(&kept, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
        assert_int_equal(client_read(&kept, false).status, 200);
        char code[64];
        snprintf(code, sizeof code, "\"code\":\"%s\"", cases[i].code);
        struct client client = ask(server, cases[i].text, &answer);
        if (answer.status != cases[i].status || !body_has(&answer, code))
            test_fail("%.100s: %d %s", cases[i].text, answer.status, answer.body);
        assert_true(client_header_is(&answer, "Content-Type", "application/problem+json"));
        assert_non_null(client_header(&answer, "X-Request-Id"));
        client_drain(&client);
        client_close(&client);
    }
    /* On a connection that had a good request before, the two together or one after the other. */
    static const char good[] = "GET /hello HTTP/1.1\r\n" HOST "\r\n";
    static const char both[] = "GET /hello HTTP/1.1\r\n" HOST "\r\nGET / HTTP/9.9\r\n\r\n";
    for (int together = 0; together < 2; together++) {
        struct client client = ask(server, together ? both : good, &answer);
        assert_int_equal(answer.status, 200);
        if (!together)
            client_send(&client, both + sizeof good - 1);
        answer = client_read(&client, false);
        assert_int_equal(answer.status, 400);
        assert_true(body_has(&answer, "\"code\":\"http_malformed\""));
        client_close(&client);
    }
    struct http_stats stats = stats_of(server);
    assert_int_equal(stats.refused[HTTP_REFUSED_MALFORMED], 11);
    assert_int_equal(stats.refused[HTTP_REFUSED_TOO_LARGE], 4);
    assert_int_equal(stats.requests_by_class[5], 0);
    client_send(&sending, "b");
    assert_int_equal(client_read(&sending, false).status, 200);
    client_send(&chunked, good);
    assert_int_equal(client_read(&chunked, false).status, 200);
    client_close(&kept);
    client_close(&chunked);
    client_close(&sending);
    stop(server);
}

/* Two that might be at fault: none is ended in place of the other. */
static void an_innocent_header_is_not_taken_for_a_malformed_one(void **state)
{
    (void)state;
    struct http_options options = test_options();
    options.thread_count = 1;
    struct http_server *server = start(&options);
    struct client_answer answer;
    struct client half = ask(server, "GET /hello HTTP/1.1\r\n" HOST "\r\n", &answer);
    for (int i = 0; i < 20; i++) {
        client_send(&half, "GET /hello HTTP/1.1\r\n");
        struct client client = ask(server, "GET / HTTP/9.9\r\n" HOST "\r\n", &answer);
        assert_true(answer.status == 505 || answer.status == 400);
        client_close(&client);
        client_send(&half, HOST "\r\n");
        assert_int_equal(client_read(&half, false).status, 200);
    }
    assert_int_equal(stats_of(server).refused[HTTP_REFUSED_MALFORMED], 20);
    client_close(&half);
    stop(server);
}

static void unknown_and_double_encodings_are_415(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "POST /echo HTTP/1.1\r\n" HOST "Content-Encoding: br\r\nContent-Length: 3\r\n\r\nabc",
        "POST /echo HTTP/1.1\r\n" HOST "Content-Encoding: gzip, gzip\r\nContent-Length: 3\r\n\r\n",
        "POST /echo HTTP/1.1\r\n" HOST
        "Content-Encoding: gzip\r\nContent-Encoding: zstd\r\nContent-Length: 3\r\n\r\n",
        "POST /plain HTTP/1.1\r\n" HOST "Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\n",
    };
    struct http_options options = test_options();
    struct http_server *server = start(&options);
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++) {
        struct client_answer answer;
        struct client client = ask(server, requests[i], &answer);
        assert_int_equal(answer.status, 415);
        assert_true(body_has(&answer, "\"code\":\"unsupported_content_encoding\""));
        client_close(&client);
    }
    stop(server);
}

static void encoded_bodies_reach_the_handler_decoded(void **state)
{
    (void)state;
    struct http_options options = test_options();
    options.max_decoded_size = 100000;
    struct http_server *server = start(&options);
    static char zeros[100001];
    char head[200];
    for (size_t size = 100000; size <= 100001; size++) {
        char packed[2000];
        size_t packed_size = ZSTD_compress(packed, sizeof packed, zeros, size, 3);
        struct client client = client_open(http_server_port(server), NULL);
        snprintf(head, sizeof head,
                 "POST /echo HTTP/1.1\r\n" HOST
                 "Content-Encoding: zstd\r\nContent-Length: %zu\r\n\r\n",
                 packed_size);
        client_send(&client, head);
        client_send_bytes(&client, packed, packed_size);
        struct client_answer answer = client_read(&client, false);
        assert_int_equal(answer.status, size == 100000 ? 200 : 413);
        if (answer.status == 200)
            assert_int_equal(answer.body_size, size);
        client_close(&client);
    }
    struct client_answer answer;
    struct client client =
        ask(server,
            "POST /echo HTTP/1.1\r\n" HOST "Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc",
            &answer);
    assert_int_equal(answer.status, 400);
    assert_true(body_has(&answer, "\"code\":\"body_encoding_invalid\""));
    client_send(&client, "POST /echo HTTP/1.1\r\n" HOST
                         "Content-Encoding: snappy\r\nContent-Length: 3\r\n\r\nabc");
    answer = client_read(&client, false);
    assert_true(body_is(&answer, "abc"));
    client_close(&client);
    stop(server);
}

static void bodies_over_the_shared_budget_are_put_off(void **state)
{
    (void)state;
    struct http_options options = test_options();
    options.max_bodies_size = 1 << 20;
    struct http_server *server = start(&options);
    static char body[900 << 10];
    struct client first = client_open(http_server_port(server), NULL);
    client_send(&first, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 921601\r\n\r\n");
    client_send_bytes(&first, body, sizeof body);
    await_stat(server, stat.bytes_in_flight > 800 << 10);
    struct client second = client_open(http_server_port(server), NULL);
    client_send(&second, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 921600\r\n\r\n");
    client_send_bytes(&second, body, sizeof body);
    struct client_answer answer = client_read(&second, false);
    assert_int_equal(answer.status, 503);
    assert_true(client_header_is(&answer, "Retry-After", "1"));
    assert_true(body_has(&answer, "\"code\":\"bodies_memory\""));
    client_send(&first, "x");
    answer = client_read(&first, false);
    assert_int_equal(answer.status, 200);
    assert_int_equal(answer.body_size, sizeof body + 1);
    client_close(&first);
    client_close(&second);
    await_stat(server, stat.bytes_in_flight == 0);
    stop(server);
}

static void large_headers_and_targets_are_refused(void **state)
{
    (void)state;
    struct http_options options = test_options();
    struct http_server *server = start(&options);
    static char request[40 << 10];
    struct client_answer answer;
    snprintf(request, sizeof request, "GET /hello?%08200d HTTP/1.1\r\n" HOST "\r\n", 1);
    struct client client = ask(server, request, &answer);
    assert_int_equal(answer.status, 414);
    client_close(&client);
    snprintf(request, sizeof request, "GET /hello HTTP/1.1\r\n" HOST "X: %017000d\r\n\r\n", 1);
    client = ask(server, request, &answer);
    assert_int_equal(answer.status, 431);
    assert_true(body_has(&answer, "\"code\":\"header_too_large\""));
    client_close(&client);
    stop(server);
}

/* --------------------------------------------------------------------- suspended requests */

static void a_kept_request_is_answered_from_another_thread(void **state)
{
    (void)state;
    struct http_options options = test_options();
    struct http_server *server = start(&options);
    struct client client = client_open(http_server_port(server), NULL);
    for (int i = 0; i < 50; i++) {
        client_send(&client, "POST /keep HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\nhi");
        struct http_request *request = take_kept();
        assert_true(slice_equal_text(http_request_body(request), "hi"));
        assert_true(slice_equal_text(http_request_peer(request), "127.0.0.1"));
        assert_false(http_request_cancelled(request));
        respond_text(request, "later");
        struct client_answer answer = client_read(&client, false);
        assert_true(body_is(&answer, "later"));
    }
    client_close(&client);
    stop(server);
}

static void a_client_that_leaves_is_noticed_while_its_request_waits(void **state)
{
    (void)state;
    struct http_options options = test_options();
    struct http_server *server = start(&options);
    struct client client = client_open(http_server_port(server), NULL);
    client_send(&client, "GET /keep HTTP/1.1\r\n" HOST "\r\n");
    struct http_request *request = take_kept();
    assert_false(http_request_cancelled(request));
    client_close(&client);
    await_cancel();
    assert_true(http_request_cancelled(request));
    respond_text(request, "nobody listens");
    await_stat(server, stat.connections == 0);
    stop(server);
}

static void a_client_that_closed_only_its_side_gets_its_answer(void **state)
{
    (void)state;
    struct http_options options = test_options();
    struct http_server *server = start(&options);
    struct client client = client_open(http_server_port(server), NULL);
    client_send(&client, "GET /keep HTTP/1.1\r\n" HOST "\r\n");
    struct http_request *request = take_kept();
    shutdown(client.fd, SHUT_WR);
    await_cancel();
    respond_text(request, "still here");
    struct client_answer answer = client_read(&client, false);
    assert_true(body_is(&answer, "still here"));
    client_drain(&client);
    client_close(&client);
    /* The same where its end came together with the request. */
    client = client_open(http_server_port(server), NULL);
    client_send(&client, "GET /hello HTTP/1.1\r\n" HOST "\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n");
    shutdown(client.fd, SHUT_WR);
    assert_int_equal(client_read(&client, false).status, 200);
    assert_int_equal(client_read(&client, false).status, 200);
    client_drain(&client);
    client_close(&client);
    stop(server);
}

static void a_request_that_outlives_the_server_is_answered_by_it(void **state)
{
    (void)state;
    struct http_options options = test_options();
    struct http_server *server = start(&options);
    struct client client = client_open(http_server_port(server), NULL);
    client_send(&client, "GET /keep HTTP/1.1\r\n" HOST "\r\n");
    struct http_request *request = take_kept();
    http_server_stop(server);
    assert_true(mailbox.cancelled);
    struct client_answer answer = client_read(&client, false);
    assert_int_equal(answer.status, 503);
    assert_true(body_has(&answer, "\"code\":\"stopping\""));
    assert_true(http_request_cancelled(request));
    respond_text(request, "too late");
    client_close(&client);
    mutex_release(&mailbox.mutex);
    condition_release(&mailbox.changed);
}

/* --------------------------------------------------------------------- streams */

static void a_stream_arrives_whole_and_compressed(void **state)
{
    (void)state;
    static const char *const accepts[] = {"identity", "gzip", "zstd"};
    struct http_options options = test_options();
    options.stream_buffer_size = 4096;
    struct http_server *server = start(&options);
    struct client client = client_open(http_server_port(server), NULL);
    for (size_t i = 0; i < 3; i++) {
        char head[200];
        snprintf(head, sizeof head, "GET /keep HTTP/1.1\r\n" HOST "Accept-Encoding: %s\r\n\r\n",
                 accepts[i]);
        client_send(&client, head);
        struct http_stream *stream = NULL;
        assert_int_equal(http_stream_open(take_kept(), 200, "text/plain", NULL, 0, &stream, NULL),
                         STATUS_OK);
        char line[32];
        for (int k = 0; k < 20000; k++) {
            snprintf(line, sizeof line, "%07d\n", k);
            assert_int_equal(http_stream_write(stream, slice_from_text(line), NULL), STATUS_OK);
        }
        assert_int_equal(http_stream_finish(stream, NULL), STATUS_OK);
        struct client_answer answer = client_read(&client, false);
        assert_int_equal(answer.status, 200);
        static char plain[200000];
        size_t size = answer.body_size;
        if (i == 0) {
            memcpy(plain, answer.body, size);
        } else if (i == 1) {
            z_stream inflater = {.next_in = (Bytef *)answer.body,
                                 .avail_in = (uInt)answer.body_size,
                                 .next_out = (Bytef *)plain,
                                 .avail_out = sizeof plain};
            assert_int_equal(inflateInit2(&inflater, 31), Z_OK);
            assert_int_equal(inflate(&inflater, Z_FINISH), Z_STREAM_END);
            size = inflater.total_out;
            inflateEnd(&inflater);
        } else {
            size = ZSTD_decompress(plain, sizeof plain, answer.body, answer.body_size);
        }
        assert_int_equal(size, 160000);
        assert_memory_equal(plain + 8 * 19999, "0019999\n", 8);
    }
    client_close(&client);
    assert_int_equal(await_access(3).status, 200);
    stop(server);
}

struct writer {
    struct http_stream *stream;
    _Atomic uint64_t written;
    enum status status;
};

static void write_for_ever(void *context)
{
    struct writer *writer = context;
    static const char piece[1024];
    do {
        writer->status = http_stream_write(writer->stream, slice_of(piece, sizeof piece), NULL);
        writer->written += sizeof piece;
    } while (writer->status == STATUS_OK);
    http_stream_abort(writer->stream);
}

static void a_slow_reader_holds_the_writer_back_and_leaving_ends_it(void **state)
{
    (void)state;
    struct http_options options = test_options();
    struct http_server *server = start(&options);
    struct client client = client_open(http_server_port(server), NULL);
    client_send(&client, "GET /keep HTTP/1.1\r\n" HOST "\r\n");
    struct writer writer = {0};
    assert_int_equal(
        http_stream_open(take_kept(), 200, "text/plain", NULL, 0, &writer.stream, NULL), STATUS_OK);
    struct thread *thread;
    assert_int_equal(
        threads_start(threads_posix(), "writer", write_for_ever, &writer, &thread, NULL),
        STATUS_OK);
    /* The client reads nothing: what the kernel buffers is all that can leave. */
    uint64_t before;
    do {
        before = writer.written;
        clock_sleep_ms(clock_system(), 100);
    } while (writer.written != before || before == 0);
    assert_true(before < 64 << 20);
    client_close(&client);
    threads_join(threads_posix(), thread);
    assert_int_equal(writer.status, STATUS_CANCELLED);
    assert_int_equal(await_access(1).status, 499);
    stop(server);
}

static void an_aborted_stream_lacks_its_last_chunk(void **state)
{
    (void)state;
    struct http_options options = test_options();
    struct http_server *server = start(&options);
    struct client client = client_open(http_server_port(server), NULL);
    client_send(&client, "GET /keep HTTP/1.1\r\n" HOST "\r\n");
    struct http_stream *stream = NULL;
    assert_int_equal(http_stream_open(take_kept(), 200, "text/plain", NULL, 0, &stream, NULL),
                     STATUS_OK);
    assert_int_equal(http_stream_write(stream, slice_from_text("half"), NULL), STATUS_OK);
    assert_int_equal(http_stream_flush(stream, NULL), STATUS_OK);
    while (strstr(client.bytes, "half") == NULL)
        assert_true(client_receive(&client));
    http_stream_abort(stream);
    client_drain(&client);
    assert_null(strstr(client.bytes, "0\r\n\r\n"));
    client_close(&client);
    stop(server);
}

static void a_stream_that_waits_ends_when_the_server_stops(void **state)
{
    (void)state;
    struct http_options options = test_options();
    struct http_server *server = start(&options);
    struct client client = client_open(http_server_port(server), NULL);
    client_send(&client, "GET /keep HTTP/1.1\r\n" HOST "\r\n");
    struct http_stream *stream = NULL;
    assert_int_equal(http_stream_open(take_kept(), 200, "text/plain", NULL, 0, &stream, NULL),
                     STATUS_OK);
    http_server_stop(server);
    assert_int_equal(http_stream_write(stream, slice_from_text("x"), NULL), STATUS_CANCELLED);
    assert_int_equal(http_stream_finish(stream, NULL), STATUS_CANCELLED);
    client_close(&client);
    mutex_release(&mailbox.mutex);
    condition_release(&mailbox.changed);
}

static void head_of_a_stream_sends_no_body(void **state)
{
    (void)state;
    struct http_options options = test_options();
    struct http_server *server = start(&options);
    struct client client = client_open(http_server_port(server), NULL);
    client_send(&client, "HEAD /keep HTTP/1.1\r\n" HOST "\r\n");
    struct http_stream *stream = NULL;
    assert_int_equal(http_stream_open(take_kept(), 200, "text/plain", NULL, 0, &stream, NULL),
                     STATUS_OK);
    assert_int_equal(http_stream_write(stream, slice_from_text("x"), NULL), STATUS_OK);
    assert_int_equal(http_stream_finish(stream, NULL), STATUS_OK);
    struct client_answer answer = client_read(&client, true);
    assert_int_equal(answer.status, 200);
    client_drain(&client);
    assert_int_equal(client.size, client.taken);
    client_close(&client);
    stop(server);
}

/* --------------------------------------------------------------------- slow and many clients */

static void a_dripping_header_ends_at_the_deadline_and_hinders_nobody(void **state)
{
    (void)state;
    struct http_options options = test_options();
    options.header_timeout_ms = 400;
    struct http_server *server = start(&options);
    struct client slow = client_open(http_server_port(server), NULL);
    struct client healthy = client_open(http_server_port(server), "127.0.0.2");
    int64_t begin = clock_monotonic_ns(clock_system());
    client_send(&slow, "GET /hello HTTP/1.1\r\nX: ");
    bool ended = false;
    while (!ended) {
        /* A byte each 20 ms: every one would restart a time-out between bytes. */
        struct pollfd poll_fd = {.fd = slow.fd, .events = POLLIN};
        if (poll(&poll_fd, 1, 20) == 0)
            client_send(&slow, "x");
        else
            ended = !client_receive(&slow);
        client_send(&healthy, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
        assert_int_equal(client_read(&healthy, false).status, 200);
    }
    int64_t took_ms = (clock_monotonic_ns(clock_system()) - begin) / 1000000;
    assert_in_range(took_ms, 350, 5000);
    assert_non_null(strstr(slow.bytes, "HTTP/1.1 408"));
    assert_int_equal(stats_of(server).refused[HTTP_REFUSED_HEADER_SLOW], 1);
    client_close(&slow);
    client_close(&healthy);
    stop(server);
}

static void a_dripping_header_on_a_used_connection_ends_too(void **state)
{
    (void)state;
    struct http_options options = test_options();
    options.header_timeout_ms = 300;
    struct http_server *server = start(&options);
    struct client_answer answer;
    struct client client = ask(server, "GET /hello HTTP/1.1\r\n" HOST "\r\n", &answer);
    client_send(&client, "GET /hel");
    await_stat(server, stat.refused[HTTP_REFUSED_HEADER_SLOW] == 1);
    client_drain(&client);
    client_close(&client);
    stop(server);
}

static void a_header_that_waits_for_its_thread_is_not_slow(void **state)
{
    (void)state;
    struct http_options options = test_options();
    options.thread_count = 1;
    options.header_timeout_ms = 200;
    struct http_server *server = start(&options);
    struct client blocking = client_open(http_server_port(server), NULL);
    client_send(&blocking, "GET /block HTTP/1.1\r\n" HOST "\r\n");
    await_blocked();
    struct client prompt = client_open(http_server_port(server), NULL);
    client_send(&prompt, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    /* Ends at its deadline, which is later than that of the other. */
    struct client silent = client_open(http_server_port(server), NULL);
    client_drain(&silent);
    unblock();
    assert_int_equal(client_read(&prompt, false).status, 200);
    assert_int_equal(client_read(&blocking, false).status, 200);
    assert_int_equal(stats_of(server).refused[HTTP_REFUSED_HEADER_SLOW], 1);
    client_close(&blocking);
    client_close(&prompt);
    client_close(&silent);
    stop(server);
}

/* libmicrohttpd waits for a further event after each 128 that come together. */
static void as_many_requests_as_one_look_for_events_takes_are_all_served(void **state)
{
    (void)state;
    enum { TOGETHER = 128 };
    struct http_options options = test_options();
    options.thread_count = 1;
    options.header_timeout_ms = options.idle_timeout_ms = 600000;
    options.max_connections_per_address = 1000;
    struct http_server *server = start(&options);
    struct client blocking = client_open(http_server_port(server), NULL);
    client_send(&blocking, "GET /block HTTP/1.1\r\n" HOST "\r\n");
    await_blocked();
    int together[TOGETHER];
    for (size_t i = 0; i < TOGETHER; i++) {
        static const char text[] = "GET /hello HTTP/1.1\r\n" HOST "\r\n";
        together[i] = client_socket(http_server_port(server), NULL);
        assert_true(send(together[i], text, sizeof text - 1, MSG_NOSIGNAL) > 0);
    }
    await_stat(server, stat.connections == TOGETHER + 1);
    unblock();
    for (size_t i = 0; i < TOGETHER; i++) {
        struct pollfd answer = {.fd = together[i], .events = POLLIN};
        assert_int_equal(poll(&answer, 1, CLIENT_PATIENCE_MS), 1);
    }
    for (size_t i = 0; i < TOGETHER; i++)
        close(together[i]);
    client_close(&blocking);
    stop(server);
}

static void idle_connections_and_crawling_bodies_are_ended(void **state)
{
    (void)state;
    struct http_options options = test_options();
    options.idle_timeout_ms = 300;
    options.min_bytes_per_second = 1000;
    struct http_server *server = start(&options);
    struct client_answer answer;
    struct client idle = ask(server, "GET /hello HTTP/1.1\r\n" HOST "\r\n", &answer);
    struct client crawling = client_open(http_server_port(server), NULL);
    client_send(&crawling, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\n");
    bool ended = false;
    while (!ended) {
        struct pollfd poll_fd = {.fd = crawling.fd, .events = POLLIN};
        if (poll(&poll_fd, 1, 20) == 0)
            client_send(&crawling, "x");
        else
            ended = !client_receive(&crawling);
    }
    assert_non_null(strstr(crawling.bytes, "HTTP/1.1 408"));
    client_drain(&idle);
    assert_int_equal(await_access(2).status, 408);
    assert_int_equal(stats_of(server).refused[HTTP_REFUSED_BODY_SLOW], 1);
    assert_int_equal(stats_of(server).refused[HTTP_REFUSED_IDLE], 1);
    client_close(&idle);
    client_close(&crawling);
    stop(server);
}

static void a_client_that_does_not_read_its_answer_is_ended(void **state)
{
    (void)state;
    struct http_options options = test_options();
    options.idle_timeout_ms = 300;
    struct http_server *server = start(&options);
    struct client client = client_open(http_server_port(server), NULL);
    client_send(&client, "GET /keep HTTP/1.1\r\n" HOST "\r\n");
    struct http_answer large = {.status = 200, .content_type = "text/plain"};
    bytes_init(&large.body, 32 << 20);
    assert_int_equal(bytes_reserve(&large.body, 32 << 20), STATUS_OK);
    memset(large.body.data, 'x', 32 << 20);
    large.body.size = 32 << 20;
    http_respond(take_kept(), large);
    await_stat(server, stat.refused[HTTP_REFUSED_READER_SLOW] == 1 && stat.connections == 0);
    client_close(&client);
    stop(server);
}

static void one_address_cannot_take_all_connections(void **state)
{
    (void)state;
    struct http_options options = test_options();
    options.max_connections_per_address = 8;
    options.header_timeout_ms = 60000;
    struct http_server *server = start(&options);
    int half_open[600];
    for (size_t i = 0; i < 600; i++) {
        half_open[i] = client_socket(http_server_port(server), NULL);
        assert_true(half_open[i] >= 0);
        assert_true(send(half_open[i], "GET /", 5, MSG_NOSIGNAL) > 0);
    }
    await_stat(server, stat.refused[HTTP_REFUSED_ADDRESS] == 592);
    assert_int_equal(stats_of(server).connections, 8);
    struct client healthy = client_open(http_server_port(server), "127.0.0.2");
    client_send(&healthy, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(client_read(&healthy, false).status, 200);
    client_close(&healthy);
    for (size_t i = 0; i < 600; i++)
        close(half_open[i]);
    await_stat(server, stat.connections == 0);
    struct client_answer answer;
    struct client again = ask(server, "GET /hello HTTP/1.1\r\n" HOST "\r\n", &answer);
    assert_int_equal(answer.status, 200);
    client_close(&again);
    stop(server);
}

static void at_the_connection_limit_the_next_client_waits_its_turn(void **state)
{
    (void)state;
    struct http_options options = test_options();
    options.max_connections = 4;
    options.header_timeout_ms = 500;
    struct http_server *server = start(&options);
    int half_open[4];
    for (size_t i = 0; i < 4; i++)
        half_open[i] = client_socket(http_server_port(server), NULL);
    await_stat(server, stat.connections == 4);
    struct client_answer answer;
    struct client client = ask(server, "GET /hello HTTP/1.1\r\n" HOST "\r\n", &answer);
    assert_int_equal(answer.status, 200);
    client_close(&client);
    for (size_t i = 0; i < 4; i++)
        close(half_open[i]);
    assert_true(stats_of(server).refused[HTTP_REFUSED_CONNECTIONS] > 0);
    stop(server);
}

static void crawling_bodies_give_way_when_others_wait(void **state)
{
    (void)state;
    enum { PLACES = 8, CRAWLERS = 60 };
    struct http_options options = test_options();
    options.max_connections = PLACES;
    struct http_server *server = start(&options);
    struct client steady = client_open(http_server_port(server), NULL);
    client_send(&steady, "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 5000000\r\n\r\n");
    static char piece[5000];
    client_send_bytes(&steady, piece, sizeof piece);
    int crawling[CRAWLERS];
    for (size_t i = 0; i < CRAWLERS; i++) {
        static const char text[] = "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1000\r\n\r\nx";
        crawling[i] = client_socket(http_server_port(server), "127.0.0.2");
        assert_true(send(crawling[i], text, sizeof text - 1, MSG_NOSIGNAL) > 0);
    }
    int64_t begin = clock_monotonic_ns(clock_system());
    struct client healthy = client_open(http_server_port(server), "127.0.0.3");
    client_send(&healthy, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    /* Whose body comes along is not among those that give way. */
    int sent = 1;
    for (struct pollfd answer = {.fd = healthy.fd, .events = POLLIN}; poll(&answer, 1, 5) == 0;
         sent = sent < 999 ? sent + 1 : sent)
        client_send_bytes(&steady, piece, sent < 999 ? sizeof piece : 0);
    assert_int_equal(client_read(&healthy, false).status, 200);
    int64_t took_ms = (clock_monotonic_ns(clock_system()) - begin) / 1000000;
    assert_in_range(took_ms, 0, 3000); /* idle_timeout is ten times that */
    assert_true(stats_of(server).refused[HTTP_REFUSED_BODY_SLOW] >= CRAWLERS - PLACES);
    for (; sent < 1000; sent++)
        client_send_bytes(&steady, piece, sizeof piece);
    assert_int_equal(client_read(&steady, false).status, 200);
    client_close(&healthy);
    client_close(&steady);
    for (size_t i = 0; i < CRAWLERS; i++)
        close(crawling[i]);
    stop(server);
}

static void without_descriptors_it_waits_and_goes_on_when_there_are_some(void **state)
{
    (void)state;
    struct http_options options = test_options();
    struct http_server *server = start(&options);
    struct client client = client_open(http_server_port(server), NULL);
    client_send(&client, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(client_read(&client, false).status, 200);
    client_send(&client, "GET /keep HTTP/1.1\r\n" HOST "\r\n");
    struct http_request *request = take_kept();
    int spare = socket(AF_INET, SOCK_STREAM, 0);
    struct rlimit before, none;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = (rlim_t)spare; /* every lower number is taken */
    while (dup(0) >= 0 && dup(0) < spare)
        ;
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(http_server_port(server)),
                             .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    assert_int_equal(connect(spare, (struct sockaddr *)&to, sizeof to), 0);
    await_stat(server, stat.refused[HTTP_REFUSED_DESCRIPTORS] >= 2);
    uint64_t pauses = stats_of(server).refused[HTTP_REFUSED_DESCRIPTORS];
    int64_t begin = clock_monotonic_ns(clock_system());
    await_stat(server, stat.refused[HTTP_REFUSED_DESCRIPTORS] >= pauses + 2);
    /* It tries again now and then; spinning would take no time. */
    assert_true(clock_monotonic_ns(clock_system()) - begin > 100 * 1000000LL);
    /* Who is connected is served meanwhile, and gives way when idle. */
    respond_text(request, "served");
    assert_int_equal(client_read(&client, false).status, 200);
    client_drain(&client);
    struct client late = {.fd = spare, .bytes = calloc(1, CLIENT_BUFFER)};
    client_send(&late, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(client_read(&late, false).status, 200);
    assert_int_equal(stats_of(server).refused[HTTP_REFUSED_IDLE], 1);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    client_close(&late);
    client_close(&client);
    stop(server);
}

/* --------------------------------------------------------------------- the end */

static void drain_lets_running_requests_finish(void **state)
{
    (void)state;
    struct http_options options = test_options();
    struct http_server *server = start(&options);
    struct client_answer answer;
    struct client idle = ask(server, "GET /hello HTTP/1.1\r\n" HOST "\r\n", &answer);
    struct client busy = client_open(http_server_port(server), NULL);
    client_send(&busy, "GET /keep HTTP/1.1\r\n" HOST "\r\n");
    struct http_request *request = take_kept();
    assert_int_equal(http_server_drain(server, 50), STATUS_TIMEOUT);
    client_drain(&idle);
    await_stat(server, stat.connections == 1);
    assert_int_equal(client_socket(http_server_port(server), NULL), -1);
    respond_text(request, "finished");
    answer = client_read(&busy, false);
    assert_true(body_is(&answer, "finished"));
    assert_true(client_header_is(&answer, "Connection", "close"));
    assert_int_equal(http_server_drain(server, CLIENT_PATIENCE_MS), STATUS_OK);
    client_close(&idle);
    client_close(&busy);
    stop(server);
}

static void a_taken_or_malformed_address_is_named(void **state)
{
    (void)state;
    struct http_options options = test_options();
    struct http_server *server = start(&options);
    struct http_server *second = NULL;
    struct error err;
    char taken[64];
    snprintf(taken, sizeof taken, "127.0.0.1:%u", http_server_port(server));
    options.listen = taken;
    assert_int_equal(http_server_start(&second, &options, routes, 1, &err), STATUS_CONFLICT);
    assert_non_null(strstr(err.message, taken));
    static const char *const wrong[] = {"localhost:1", "127.0.0.1", "[::1:1", "1.2.3.4:70000", ""};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        options.listen = wrong[i];
        assert_int_equal(http_server_start(&second, &options, routes, 1, &err), STATUS_INVALID);
        assert_null(second);
    }
    stop(server);
}

static void a_bound_address_is_taken_and_refuses_until_the_server_starts(void **state)
{
    (void)state;
    struct http_options options = test_options();
    struct error err;
    assert_int_equal(http_bind(options.listen, &options.bound_fd, &err), STATUS_OK);
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    assert_int_equal(getsockname(options.bound_fd, (struct sockaddr *)&address, &size), 0);
    int early = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(early, (struct sockaddr *)&address, size), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(early);
    struct http_server *server = start(&options);
    assert_int_equal(http_server_port(server), ntohs(address.sin_port));
    char taken[64];
    snprintf(taken, sizeof taken, "127.0.0.1:%u", http_server_port(server));
    int fd = 0;
    assert_int_equal(http_bind(taken, &fd, &err), STATUS_CONFLICT);
    assert_int_equal(fd, -1);
    assert_non_null(strstr(err.message, "another process does"));
    stop(server);
}

/* --------------------------------------------------------------------- everything at once */

enum { STORM_CLIENTS = 6, STORM_REQUESTS = 60, STORM_KEPT = 256 };

struct storm {
    uint16_t port;
    struct http_server *server;
    struct mutex mutex;
    struct condition changed;
    struct http_request *kept[STORM_KEPT];
    size_t kept_count;
    bool over;
};

static struct storm storm;

static void handle_storm(struct http_request *request, void *context)
{
    (void)context;
    http_request_on_cancel(request, on_cancel, NULL);
    mutex_lock(&storm.mutex);
    assert_true(storm.kept_count < STORM_KEPT);
    storm.kept[storm.kept_count++] = request;
    condition_signal(&storm.changed);
    mutex_unlock(&storm.mutex);
}

static void answer_storm(void *context)
{
    (void)context;
    static const char piece[30000];
    for (unsigned turn = 0;; turn++) {
        mutex_lock(&storm.mutex);
        while (storm.kept_count == 0 && !storm.over)
            condition_wait(&storm.changed, &storm.mutex);
        if (storm.kept_count == 0) {
            mutex_unlock(&storm.mutex);
            return;
        }
        struct http_request *request = storm.kept[--storm.kept_count];
        mutex_unlock(&storm.mutex);
        struct http_stream *stream = NULL;
        if (turn % 3 != 0) {
            respond_slice(request, slice_of(piece, turn % 2 == 0 ? 10 : sizeof piece));
            continue;
        }
        assert_int_equal(http_stream_open(request, 200, "text/plain", NULL, 0, &stream, NULL),
                         STATUS_OK);
        enum status status = STATUS_OK;
        for (int i = 0; i < 20 && status == STATUS_OK; i++)
            status = http_stream_write(stream, slice_of(piece, sizeof piece), NULL);
        if (status != STATUS_OK || turn % 2 == 0)
            http_stream_abort(stream);
        else
            status = http_stream_finish(stream, NULL);
    }
}

/* Reads for a moment, in part, or not at all; a fixed sequence for each client. */
static void raise_storm(void *context)
{
    unsigned number = *(unsigned *)context;
    char bytes[20000];
    for (unsigned i = 0; i < STORM_REQUESTS; i++) {
        int fd = client_socket(storm.port, NULL);
        if (fd < 0)
            return;
        static const char get[] = "GET /storm HTTP/1.1\r\n" HOST "\r\n"
                                  "GET /storm HTTP/1.1\r\n" HOST "\r\n";
        unsigned way = (i * 7 + number * 3) % 5;
        struct timeval moment = {.tv_usec = 20000};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &moment, sizeof moment);
        ssize_t ignored = send(fd, get, way == 4 ? 30 : sizeof get - 1, MSG_NOSIGNAL);
        (void)ignored;
        if (way == 1)
            shutdown(fd, SHUT_WR);
        for (unsigned k = 0; k < way; k++)
            if (way < 4 && recv(fd, bytes, sizeof bytes, 0) <= 0)
                break;
        close(fd);
    }
}

static void clients_that_come_and_leave_at_random_leave_nothing_behind(void **state)
{
    (void)state;
    const struct http_route storm_routes[] = {
        {.method = "GET", .path = "/storm", .handler = handle_storm}};
    struct http_options options = test_options();
    struct error err;
    for (int round = 0; round < 2; round++) {
        struct thread *clients[STORM_CLIENTS], *answerers[2];
        unsigned numbers[STORM_CLIENTS];
        mailbox = (struct mailbox){0};
        mutex_init(&mailbox.mutex);
        condition_init(&mailbox.changed);
        storm = (struct storm){0};
        mutex_init(&storm.mutex);
        condition_init(&storm.changed);
        assert_int_equal(http_server_start(&storm.server, &options, storm_routes, 1, &err),
                         STATUS_OK);
        storm.port = http_server_port(storm.server);
        for (unsigned i = 0; i < 2; i++)
            assert_int_equal(
                threads_start(threads_posix(), "answerer", answer_storm, NULL, &answerers[i], &err),
                STATUS_OK);
        for (unsigned i = 0; i < STORM_CLIENTS; i++) {
            numbers[i] = i;
            assert_int_equal(threads_start(threads_posix(), "client", raise_storm, &numbers[i],
                                           &clients[i], &err),
                             STATUS_OK);
        }
        /* The second time the server stops in the middle of it. */
        if (round == 1)
            await_stat(storm.server, stat.connections_total > STORM_REQUESTS);
        if (round == 1)
            http_server_stop(storm.server);
        for (unsigned i = 0; i < STORM_CLIENTS && round == 0; i++)
            threads_join(threads_posix(), clients[i]);
        if (round == 0) {
            await_stat(storm.server, stat.connections == 0 && stat.bytes_in_flight == 0);
            http_server_stop(storm.server);
        }
        for (unsigned i = 0; i < STORM_CLIENTS && round == 1; i++)
            threads_join(threads_posix(), clients[i]);
        mutex_lock(&storm.mutex);
        storm.over = true;
        condition_broadcast(&storm.changed);
        mutex_unlock(&storm.mutex);
        for (unsigned i = 0; i < 2; i++)
            threads_join(threads_posix(), answerers[i]);
        condition_release(&storm.changed);
        mutex_release(&storm.mutex);
        condition_release(&mailbox.changed);
        mutex_release(&mailbox.mutex);
    }
}

static void it_listens_on_ipv6_too(void **state)
{
    (void)state;
    struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    int fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&to, sizeof to) != 0) {
        close(fd);
        skip(); /* no IPv6 on this machine */
    }
    struct http_options options = test_options();
    options.listen = "[::1]:0";
    struct http_server *server = start(&options);
    close(fd);
    struct client client = {.fd = socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0),
                            .bytes = calloc(1, CLIENT_BUFFER)};
    to.sin6_port = htons(http_server_port(server));
    assert_int_equal(connect(client.fd, (struct sockaddr *)&to, sizeof to), 0);
    client_send(&client, "POST /keep HTTP/1.1\r\n" HOST "Content-Length: 0\r\n\r\n");
    struct http_request *request = take_kept();
    assert_true(slice_equal_text(http_request_peer(request), "::1"));
    respond_text(request, "six");
    struct client_answer answer = client_read(&client, false);
    assert_true(body_is(&answer, "six"));
    client_close(&client);
    stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_known_path_is_answered_with_its_request_id),
        cmocka_unit_test(unknown_paths_and_methods_are_named_with_what_is_allowed),
        cmocka_unit_test(path_parameters_queries_and_forms_are_decoded),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(answers_are_compressed_as_the_client_likes),
        cmocka_unit_test(a_body_declared_too_large_is_refused_before_it_is_sent),
        cmocka_unit_test(an_expected_continue_is_sent),
        cmocka_unit_test(a_chunked_body_is_refused_when_it_passes_the_limit),
        cmocka_unit_test(an_ambiguous_length_is_refused),
        cmocka_unit_test(what_is_no_http_is_a_problem_and_counted),
        cmocka_unit_test(an_innocent_header_is_not_taken_for_a_malformed_one),
        cmocka_unit_test(unknown_and_double_encodings_are_415),
        cmocka_unit_test(encoded_bodies_reach_the_handler_decoded),
        cmocka_unit_test(bodies_over_the_shared_budget_are_put_off),
        cmocka_unit_test(large_headers_and_targets_are_refused),
        cmocka_unit_test(a_kept_request_is_answered_from_another_thread),
        cmocka_unit_test(a_client_that_leaves_is_noticed_while_its_request_waits),
        cmocka_unit_test(a_client_that_closed_only_its_side_gets_its_answer),
        cmocka_unit_test(a_request_that_outlives_the_server_is_answered_by_it),
        cmocka_unit_test(a_stream_arrives_whole_and_compressed),
        cmocka_unit_test(a_slow_reader_holds_the_writer_back_and_leaving_ends_it),
        cmocka_unit_test(an_aborted_stream_lacks_its_last_chunk),
        cmocka_unit_test(a_stream_that_waits_ends_when_the_server_stops),
        cmocka_unit_test(head_of_a_stream_sends_no_body),
        cmocka_unit_test(a_dripping_header_ends_at_the_deadline_and_hinders_nobody),
        cmocka_unit_test(a_dripping_header_on_a_used_connection_ends_too),
        cmocka_unit_test(a_header_that_waits_for_its_thread_is_not_slow),
        cmocka_unit_test(as_many_requests_as_one_look_for_events_takes_are_all_served),
        cmocka_unit_test(idle_connections_and_crawling_bodies_are_ended),
        cmocka_unit_test(a_client_that_does_not_read_its_answer_is_ended),
        cmocka_unit_test(one_address_cannot_take_all_connections),
        cmocka_unit_test(at_the_connection_limit_the_next_client_waits_its_turn),
        cmocka_unit_test(crawling_bodies_give_way_when_others_wait),
        cmocka_unit_test(without_descriptors_it_waits_and_goes_on_when_there_are_some),
        cmocka_unit_test(drain_lets_running_requests_finish),
        cmocka_unit_test(a_taken_or_malformed_address_is_named),
        cmocka_unit_test(a_bound_address_is_taken_and_refuses_until_the_server_starts),
        cmocka_unit_test(clients_that_come_and_leave_at_random_leave_nothing_behind),
        cmocka_unit_test(it_listens_on_ipv6_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * The heap fails at the n-th call, for every n: while bodies are decoded, and anywhere in the
 * process while a request is served. Sanitizers have a heap of their own: there, only the calls.
 */
#include "../../sanitized.h"
#include "client.h"

#include <zlib.h>
#include <zstd.h>

#include "http/content_encoding.h"
#include "http/http.h"

/* Calls until one fails; at or below zero none does. */
static _Atomic int64_t calls_left;

#if !SANITIZED
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static bool call_fails(void)
{
    return calls_left > 0 && atomic_fetch_sub(&calls_left, 1) == 1;
}

void *malloc(size_t size)
{
    return call_fails() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return call_fails() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return call_fails() ? NULL : __libc_realloc(old, size);
}
#endif

static void decoding_without_heap_is_a_status_and_leaves_nothing_behind(void **state)
{
    (void)state;
    static char plain[200000];
    static uint8_t packed[3][20000];
    static const enum http_coding codings[] = {HTTP_CODING_ZSTD, HTTP_CODING_GZIP,
                                               HTTP_CODING_DEFLATE};
    for (size_t i = 0; i < sizeof plain; i++)
        plain[i] = (char)('a' + i % 7);
    size_t sizes[3] = {ZSTD_compress(packed[0], sizeof packed[0], plain, sizeof plain, 3)};
    for (size_t i = 1; i < 3; i++) {
        z_stream stream = {.next_in = (Bytef *)plain,
                           .avail_in = sizeof plain,
                           .next_out = packed[i],
                           .avail_out = sizeof packed[i]};
        assert_int_equal(deflateInit2(&stream, 6, Z_DEFLATED, i == 1 ? 31 : 15, 8, 0), Z_OK);
        assert_int_equal(deflate(&stream, Z_FINISH), Z_STREAM_END);
        sizes[i] = stream.total_out;
        deflateEnd(&stream);
    }
    for (size_t i = 0; i < 3; i++) {
        enum status status = STATUS_MEMORY;
        int failures = 0;
        for (int64_t n = 1; status == STATUS_MEMORY; n++) {
            struct memory_share budget = {.max = 1 << 20};
            struct body_buffer decoded;
            struct error err;
            body_buffer_init(&decoded, 1 << 20, &budget);
            calls_left = n;
            status = http_decode(codings[i], slice_of(packed[i], sizes[i]), &decoded, &err);
            calls_left = 0;
            failures += status == STATUS_MEMORY;
            assert_true(status == STATUS_MEMORY || decoded.size == sizeof plain);
            body_buffer_release(&decoded);
            assert_int_equal(budget.used, 0);
        }
        assert_int_equal(status, STATUS_OK);
        assert_true(failures >= (SANITIZED ? 0 : 2));
    }
}

static void handle_echo(struct http_request *request, void *context)
{
    (void)context;
    struct slice body = http_request_body(request);
    struct http_answer answer = {.status = 200, .content_type = "text/plain"};
    bytes_init(&answer.body, 1 << 20);
    if (bytes_append(&answer.body, body.data, body.size) != STATUS_OK)
        answer.status = 503;
    http_respond(request, answer);
}

static const struct http_route routes[] = {{.method = "POST",
                                            .path = "/echo",
                                            .handler = handle_echo,
                                            .takes_body = true,
                                            .compresses = true,
                                            .codings = HTTP_TAKES_COMPRESSED}};

/* Sends the request on a connection of its own; the status of the answer, 0 where there is none. */
static int ask(struct http_server *server, struct client *client, const char *head,
               struct slice body)
{
    client->fd = client_socket(http_server_port(server), NULL);
    client->size = client->taken = 0;
    client->bytes[0] = '\0';
    if (client->fd < 0)
        return 0;
    client_send(client, head);
    client_send_bytes(client, body.data, body.size);
    client_drain(client);
    close(client->fd);
    return client->size == 0 ? 0 : atoi(client->bytes + strlen("HTTP/1.1 "));
}

static void a_request_without_heap_is_refused_or_dropped_and_the_server_goes_on(void **state)
{
    (void)state;
    struct http_options options = http_options_default();
    struct http_server *server;
    struct error err;
    options.listen = "127.0.0.1:0";
    options.thread_count = 1;
    assert_int_equal(http_server_start(&server, &options, routes, 1, &err), STATUS_OK);
    static char plain[50000];
    static uint8_t packed[2000];
    size_t size = ZSTD_compress(packed, sizeof packed, plain, sizeof plain, 3);
    char head[300];
    snprintf(head, sizeof head,
             "POST /echo?a=%%20b HTTP/1.1\r\nHost: test\r\nConnection: close\r\n"
             "Content-Encoding: zstd\r\nAccept-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n",
             size);
    struct client client = {.bytes = calloc(1, CLIENT_BUFFER)};
    int answered = 0, refused = 0;
    for (int64_t n = 1; n <= 60; n++) {
        calls_left = n;
        int status = ask(server, &client, head, slice_of(packed, size));
        bool reached = calls_left <= 0;
        calls_left = 0;
        assert_true(status == 0 || status == 200 || status == 503);
        assert_true(status == 200 || reached);
        answered += status == 200;
        refused += status != 200;
        assert_int_equal(ask(server, &client, head, slice_of(packed, size)), 200);
    }
    assert_true(answered > 0);
    assert_true(refused >= (SANITIZED ? 0 : 5));
    free(client.bytes);
    http_server_stop(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoding_without_heap_is_a_status_and_leaves_nothing_behind),
        cmocka_unit_test(a_request_without_heap_is_refused_or_dropped_and_the_server_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

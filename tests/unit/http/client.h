/*
 * client - a bare socket that speaks HTTP as badly as a test wants.
 *
 * Every wait ends after CLIENT_PATIENCE_MS by failing the test.
 */
#ifndef METRIC_STORE_TESTS_UNIT_HTTP_CLIENT_H
#define METRIC_STORE_TESTS_UNIT_HTTP_CLIENT_H

#include "../test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/slice.h"

enum { CLIENT_PATIENCE_MS = 20000, CLIENT_BUFFER = 8 << 20 };

struct client {
    int fd;
    char *bytes; /* received, zero-terminated */
    size_t size;
    size_t taken; /* by answers read so far */
};

struct client_answer {
    int status;
    const char *head; /* zero-terminated, lines separated by CRLF */
    char *body;
    size_t body_size;
};

/* -1 where the connection is refused. `from`: NULL or a loopback address to come from. */
static inline int client_socket(uint16_t port, const char *from)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in own = {.sin_family = AF_INET};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    inet_pton(AF_INET, "127.0.0.1", &to.sin_addr);
    if (from != NULL) {
        inet_pton(AF_INET, from, &own.sin_addr);
        assert_int_equal(bind(fd, (struct sockaddr *)&own, sizeof own), 0);
    }
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0)
        return fd;
    close(fd);
    return -1;
}

static inline struct client client_open(uint16_t port, const char *from)
{
    struct client client = {.fd = client_socket(port, from)};
    assert_true(client.fd >= 0);
    client.bytes = calloc(1, CLIENT_BUFFER);
    assert_non_null(client.bytes);
    return client;
}

static inline void client_close(struct client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    free(client->bytes);
    *client = (struct client){.fd = -1};
}

/* What the server does not want any more is no failure: it may have answered. */
static inline void client_send_bytes(struct client *client, const void *data, size_t size)
{
    const char *from = data;
    while (size > 0) {
        ssize_t sent = send(client->fd, from, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return;
        from += sent;
        size -= (size_t)sent;
    }
}

static inline void client_send(struct client *client, const char *text)
{
    client_send_bytes(client, text, strlen(text));
}

/* False at the end of the connection. */
static inline bool client_receive(struct client *client)
{
    struct pollfd poll_fd = {.fd = client->fd, .events = POLLIN};
    int ready = poll(&poll_fd, 1, CLIENT_PATIENCE_MS);
    if (ready <= 0)
        test_fail("nothing came in time; so far: %.200s", client->bytes + client->taken);
    assert_true(client->size < CLIENT_BUFFER - 1);
    ssize_t size =
        recv(client->fd, client->bytes + client->size, CLIENT_BUFFER - 1 - client->size, 0);
    if (size <= 0)
        return false;
    client->size += (size_t)size;
    client->bytes[client->size] = '\0';
    return true;
}

/* Reads to the end of the connection. */
static inline void client_drain(struct client *client)
{
    while (client_receive(client))
        ;
}

static inline const char *client_header(const struct client_answer *answer, const char *name)
{
    size_t size = strlen(name);
    for (const char *line = strstr(answer->head, "\r\n"); line != NULL;
         line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, size) == 0 && line[2 + size] == ':')
            return line + 2 + size + 2;
    return NULL;
}

static inline bool client_header_is(const struct client_answer *answer, const char *name,
                                    const char *value)
{
    const char *found = client_header(answer, name);
    size_t size = strlen(value);
    return found != NULL && strncmp(found, value, size) == 0 &&
           (found[size] == '\r' || found[size] == '\0');
}

/* Decodes chunks in place; NULL where the last one is missing yet. */
static inline char *client_unchunk(char *from, size_t *body_size)
{
    char *to = from;
    char *at = from;
    for (;;) {
        char *end;
        size_t size = strtoul(at, &end, 16);
        if (end == at || strncmp(end, "\r\n", 2) != 0)
            return NULL;
        at = end + 2;
        if (size == 0)
            break;
        memmove(to, at, size);
        to += size;
        at += size + 2;
    }
    *body_size = (size_t)(to - from);
    return at + 2;
}

/* Waits for one whole answer; fails the test where the connection ends before. The answer is
 * valid until the next one is read. `head`: to a HEAD request, so without a body. */
static inline struct client_answer client_read(struct client *client, bool head)
{
    struct client_answer answer = {0};
    char *start = client->bytes + client->taken;
    char *blank;
    while ((blank = strstr(start, "\r\n\r\n")) == NULL)
        if (!client_receive(client))
            test_fail("the connection ended within a header: %.200s", start);
    *blank = '\0';
    answer.head = start;
    answer.body = blank + 4;
    answer.status = atoi(start + strlen("HTTP/1.1 "));
    client->taken = (size_t)(answer.body - client->bytes);
    const char *length = client_header(&answer, "Content-Length");
    if (head || answer.status == 204 || answer.status == 100)
        return answer;
    if (length != NULL) {
        answer.body_size = strtoul(length, NULL, 10);
        while (client->size - client->taken < answer.body_size)
            if (!client_receive(client))
                test_fail("the connection ended within a body");
        client->taken += answer.body_size;
        return answer;
    }
    if (!client_header_is(&answer, "Transfer-Encoding", "chunked"))
        test_fail("neither a length nor chunks: %.300s", client->bytes);
    while (client->size < client->taken + 5 ||
           memcmp(client->bytes + client->size - 5, "0\r\n\r\n", 5) != 0)
        if (!client_receive(client))
            test_fail("the connection ended within the chunks");
    char *end = client_unchunk(answer.body, &answer.body_size);
    assert_non_null(end);
    client->taken = (size_t)(end - client->bytes);
    return answer;
}

#endif

#include "client.h"

#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { HEADER_MAX = 8192, REQUEST_HEADER_MAX = 512 };

double client_now_s(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

int64_t client_wall_ms(void)
{
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (int64_t)time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

void client_wait_until(double when_s)
{
    struct timespec time = {(time_t)when_s, (long)((when_s - (double)(time_t)when_s) * 1e9)};
    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
}

void client_init(struct client *client, unsigned port, unsigned timeout_s)
{
    *client = (struct client){.port = port, .timeout_s = timeout_s, .fd = -1};
}

void client_release(struct client *client)
{
    if (client->fd >= 0)
        close(client->fd);
    client->fd = -1;
}

static bool dial(struct client *client)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)client->port)};
    struct timeval timeout = {.tv_sec = client->timeout_s};
    int one = 1;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (client->fd < 0)
        return false;
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
    setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof timeout);
    if (connect(client->fd, (struct sockaddr *)&address, sizeof address) == 0)
        return true;
    client_release(client);
    return false;
}

static bool send_all(int fd, struct slice header, struct slice payload)
{
    size_t sent = 0, size = header.size + payload.size;
    while (sent < size) {
        size_t skip = sent < header.size ? 0 : sent - header.size;
        size_t done = sent < header.size ? sent : header.size;
        struct iovec parts[2] = {
            {(void *)(uintptr_t)(header.data + done), header.size - done},
            {(void *)(uintptr_t)(payload.data + skip), payload.size - skip},
        };
        struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
        ssize_t more = sendmsg(fd, &message, MSG_NOSIGNAL);
        if (more <= 0)
            return false;
        sent += (size_t)more;
    }
    return true;
}

/* The text behind a header's name and colon, or NULL. */
static const char *header_value(const char *header, const char *end, const char *name)
{
    const char *at = strcasestr(header, name);
    return at != NULL && at < end ? at + strlen(name) : NULL;
}

static void keep(struct client_answer *answer, const char *text, size_t size)
{
    size_t room = CLIENT_BODY_MAX - answer->body_size;
    size_t kept = size < room ? size : room;
    memcpy(answer->body + answer->body_size, text, kept);
    answer->body_size += kept;
    answer->body[answer->body_size] = 0;
}

/* Reads header and body; false: the connection can't be used again. */
static bool receive(int fd, struct client_answer *answer)
{
    char text[HEADER_MAX + 1];
    size_t got = 0;
    const char *end = NULL;
    while (end == NULL) {
        ssize_t more = got < HEADER_MAX ? read(fd, text + got, HEADER_MAX - got) : 0;
        if (more <= 0)
            return false;
        got += (size_t)more;
        text[got] = 0;
        end = strstr(text, "\r\n\r\n");
    }
    if (strncmp(text, "HTTP/1.1 ", 9) != 0)
        return false;
    int status = (int)strtol(text + 9, NULL, 10);
    const char *length = header_value(text, end, "\r\nContent-Length:");
    /* Without a length, as in a streamed answer: the status is enough. */
    size_t left = length != NULL ? strtoul(length, NULL, 10) : 0;
    size_t here = got - (size_t)(end + 4 - text);
    here = here < left ? here : left;
    keep(answer, end + 4, here);
    for (left -= here; left > 0;) {
        ssize_t more = read(fd, text, left < HEADER_MAX ? left : HEADER_MAX);
        if (more <= 0)
            return false;
        keep(answer, text, (size_t)more);
        left -= (size_t)more;
    }
    answer->status = status;
    return (length != NULL || status == 204) &&
           header_value(text, end, "\r\nConnection: close") == NULL;
}

void client_write(struct client *client, const char *path, struct slice payload,
                  struct client_answer *answer)
{
    answer->status = 0;
    answer->body_size = 0;
    answer->body[0] = 0;
    if (client->fd < 0 && !dial(client))
        return;
    char header[REQUEST_HEADER_MAX];
    int size = snprintf(header, sizeof header,
                        "POST %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
                        "Content-Type: application/x-protobuf\r\nContent-Encoding: snappy\r\n"
                        "X-Prometheus-Remote-Write-Version: 0.1.0\r\nContent-Length: %zu\r\n\r\n",
                        path, client->port, payload.size);
    struct slice head = slice_of(header, (size_t)size);
    /* A server that refuses a body by its size may answer before it has all of it. */
    bool sent = send_all(client->fd, head, payload);
    if (!receive(client->fd, answer) || !sent)
        client_release(client);
}

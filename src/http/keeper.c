/*
 * keeper - one thread and one epoll set for all that libmicrohttpd does not do: accepting
 * (acceptor.c), noticing clients that leave while their request is suspended, and ending slow
 * connections (reaper.c).
 *
 * Every connection's socket is in the set from accept to close, edge-triggered and for EPOLLRDHUP
 * only: data wakes nobody here, so watching costs a request nothing.
 */
#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "http/internal.h"
#include "os/socket_address.h"

/* Generation 0 of an event's data: which of our own descriptors. */
enum { EVENT_LISTEN = 0, EVENT_WAKE = 1 };
enum { EVENTS_AT_ONCE = 64 };
/* Clients that vanish without a word: asked after 60 s, given up 30 s later. */
enum { KEEPALIVE_AFTER_S = 60, KEEPALIVE_EVERY_S = 10, KEEPALIVE_TIMES = 3 };

static enum status watch(struct http_server *server, int fd, uint64_t data, struct error *err)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = data};
    if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
        return fail_errno(err, errno, "cannot watch a socket");
    return STATUS_OK;
}

/* Accepted sockets inherit these. Where one is refused the default serves. */
static void set_options(int fd)
{
    static const struct {
        int level, name, value;
    } options[] = {
        {SOL_SOCKET, SO_REUSEADDR, 1},
        {SOL_SOCKET, SO_KEEPALIVE, 1},
        {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_AFTER_S},
        {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY_S},
        {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_TIMES},
    };
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
        setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                   sizeof options[i].value);
}

static enum status cannot_listen(const char *listen_on, struct error *err)
{
    if (errno == EADDRINUSE)
        return fail(err, STATUS_CONFLICT,
                    "cannot listen on %s: another process does; stop it or choose another address "
                    "(server.listen)",
                    listen_on);
    return fail_errno(err, errno, "cannot listen on %s", listen_on);
}

enum status http_bind(const char *listen_on, int *fd, struct error *err)
{
    struct sockaddr_storage address;
    socklen_t size;
    *fd = -1;
    enum status status = socket_address_parse(listen_on, &address, &size, err);
    if (status != STATUS_OK)
        return status;
    int made = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (made < 0)
        return fail_errno(err, errno, "cannot make a socket for %s", listen_on);
    set_options(made);
    if (bind(made, (struct sockaddr *)&address, size) != 0) {
        status = cannot_listen(listen_on, err);
        close(made);
        return status;
    }
    *fd = made;
    return STATUS_OK;
}

enum status keeper_listen(struct http_server *server, const char *listen_on, struct error *err)
{
    enum status status =
        server->listen_fd < 0 ? http_bind(listen_on, &server->listen_fd, err) : STATUS_OK;
    if (status != STATUS_OK)
        return status;
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    /* Two may be bound to one port as long as neither listens. */
    if (listen(server->listen_fd, LISTEN_BACKLOG) != 0 ||
        getsockname(server->listen_fd, (struct sockaddr *)&address, &size) != 0)
        return cannot_listen(listen_on, err);
    server->port =
        ntohs(address.ss_family == AF_INET ? ((struct sockaddr_in *)&address)->sin_port
                                           : ((struct sockaddr_in6 *)&address)->sin6_port);
    return STATUS_OK;
}

void keeper_wake(struct http_server *server)
{
    uint64_t one = 1;
    ssize_t ignored = write(server->wake_fd, &one, sizeof one);
    (void)ignored;
}

static void client_left(struct http_server *server, uint64_t data, bool gone)
{
    struct http_request *request = NULL;
    mutex_lock(&server->mutex);
    struct http_connection *connection = connection_find(server, (int)(uint32_t)data);
    if (connection != NULL && connection->generation == data >> 32) {
        mutex_lock(&connection->mutex);
        connection->peer_closed = true;
        request = connection->request;
        if (request != NULL)
            atomic_fetch_add(&request->references, 1);
        mutex_unlock(&connection->mutex);
    }
    mutex_unlock(&server->mutex);
    if (request == NULL)
        return;
    request_client_left(request, gone);
    request_unref(request);
}

static void wake_up(struct http_server *server)
{
    uint64_t count;
    ssize_t ignored = read(server->wake_fd, &count, sizeof count);
    (void)ignored;
    if (atomic_load(&server->draining) && server->listen_fd >= 0) {
        close(server->listen_fd);
        server->listen_fd = -1;
    }
}

static void handle(struct http_server *server, const struct epoll_event *event)
{
    uint32_t generation = (uint32_t)(event->data.u64 >> 32);
    uint32_t low = (uint32_t)event->data.u64;
    if (generation == UINT32_MAX)
        linger_read(server, low);
    else if (generation != 0)
        client_left(server, event->data.u64, (event->events & (EPOLLERR | EPOLLHUP)) != 0);
    else if (low == EVENT_WAKE)
        wake_up(server);
    else
        acceptor_run(server);
}

static void unpause(struct http_server *server, int64_t now)
{
    mutex_lock(&server->mutex);
    bool resume = server->listen_paused &&
                  server->connection_count < server->options.max_connections &&
                  now >= server->listen_resume_ns;
    mutex_unlock(&server->mutex);
    if (!resume)
        return;
    int64_t shortage = server->listen_resume_ns;
    acceptor_pause(server, false);
    /* Until an accept succeeds it is the same shortage. */
    server->listen_resume_ns = shortage;
}

static void keeper_run(void *context)
{
    struct http_server *server = context;
    struct epoll_event events[EVENTS_AT_ONCE];
    int64_t next_ns = server_now_ns(server) + reaper_period_ms(&server->options) * NS_PER_MS;
    while (!atomic_load(&server->keeper_ends)) {
        int64_t left_ms = (next_ns - server_now_ns(server) + NS_PER_MS - 1) / NS_PER_MS;
        int count =
            epoll_wait(server->epoll_fd, events, EVENTS_AT_ONCE, left_ms < 0 ? 0 : (int)left_ms);
        for (int i = 0; i < count; i++)
            handle(server, &events[i]);
        int64_t now = server_now_ns(server);
        unpause(server, now);
        if (now >= next_ns) {
            next_ns = now + reaper_look(server) * NS_PER_MS;
        }
    }
}

enum status keeper_start(struct http_server *server, struct error *err)
{
    enum status status = watch(server, server->listen_fd, EVENT_LISTEN, err);
    if (status == STATUS_OK)
        status = watch(server, server->wake_fd, EVENT_WAKE, err);
    if (status == STATUS_OK)
        status = threads_start(server->options.threads, "http-keeper", keeper_run, server,
                               &server->keeper, err);
    return status;
}

void keeper_stop(struct http_server *server)
{
    if (server->keeper == NULL)
        return;
    atomic_store(&server->keeper_ends, true);
    keeper_wake(server);
    threads_join(server->options.threads, server->keeper);
    server->keeper = NULL;
}

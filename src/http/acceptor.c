/*
 * acceptor - takes connections, counts them by address, and hands them to the least loaded HTTP
 * thread.
 *
 * Its own, not libmicrohttpd's: that one spins when there are no descriptors left and it has no
 * connection, and never tries again before one of its own is closed.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "http/internal.h"
#include "http/problem.h"

enum { ACCEPTS_AT_ONCE = 64, RETRY_DESCRIPTORS_MS = 100 };

void acceptor_pause(struct http_server *server, bool pause)
{
    if (server->listen_fd < 0)
        return;
    struct epoll_event event = {.events = pause ? 0 : EPOLLIN, .data.u64 = 0};
    epoll_ctl(server->epoll_fd, EPOLL_CTL_MOD, server->listen_fd, &event);
    mutex_lock(&server->mutex);
    server->listen_paused = pause;
    mutex_unlock(&server->mutex);
    if (!pause)
        server->listen_resume_ns = 0;
}

static bool is_full(struct http_server *server)
{
    mutex_lock(&server->mutex);
    bool full = server->connection_count >= server->options.max_connections;
    mutex_unlock(&server->mutex);
    return full;
}

static void refuse(struct http_server *server, int fd, enum status reason)
{
    char id[REQUEST_ID_SIZE + 1];
    server_make_id(server, id);
    struct http_problem problem = {.status = 503,
                                   .code = "out_of_memory",
                                   .detail = "no memory for a connection: try again later",
                                   .retry_after_s = 1};
    if (reason == STATUS_LIMIT) {
        problem.code = "too_many_connections";
        problem.detail = "this address has as many connections as one may have: reuse them";
    }
    struct bytes text;
    bytes_init(&text, PROBLEM_MAX_SIZE);
    if (problem_render_answer(&text, &problem, slice_from_text(id)) == STATUS_OK) {
        ssize_t ignored = send(fd, text.data, text.size, MSG_DONTWAIT | MSG_NOSIGNAL);
        (void)ignored;
    }
    bytes_release(&text);
    close(fd);
    server_refuse(server, reason == STATUS_LIMIT ? HTTP_REFUSED_ADDRESS : HTTP_REFUSED_MEMORY);
}

static void take(struct http_server *server, int fd, const struct sockaddr_storage *address,
                 socklen_t size)
{
    struct http_connection *connection = NULL;
    enum status status = connection_open(server, fd, address, &connection);
    if (status != STATUS_OK) {
        refuse(server, fd, status);
        return;
    }
    /* Where it refuses, it has closed the socket; no other thread can know the connection yet. */
    if (MHD_add_connection(connection->worker->daemon, fd, (const struct sockaddr *)address,
                           size) != MHD_YES) {
        connection_close(connection, true);
        server_refuse(server, HTTP_REFUSED_MEMORY);
    }
}

static bool is_shortage(int number)
{
    return number == EMFILE || number == ENFILE || number == ENOBUFS || number == ENOMEM;
}

static void pause_for_descriptors(struct http_server *server, int number)
{
    /* Said once in each shortage: every pause after the first is its continuation. */
    if (server->listen_resume_ns == 0) {
        char text[128];
        const struct log_field fields[] = {log_text("error", strerror_r(number, text, sizeof text)),
                                           {0}};
        log_write(server->options.log, LOG_WARN, "http", "cannot accept connections for now",
                  fields);
    }
    server_refuse(server, HTTP_REFUSED_DESCRIPTORS);
    acceptor_pause(server, true);
    server->listen_resume_ns = server_now_ns(server) + RETRY_DESCRIPTORS_MS * (int64_t)NS_PER_MS;
}

void acceptor_run(struct http_server *server)
{
    for (unsigned i = 0; i < ACCEPTS_AT_ONCE && server->listen_fd >= 0; i++) {
        if (is_full(server)) {
            server_refuse(server, HTTP_REFUSED_CONNECTIONS);
            acceptor_pause(server, true);
            /* One may have been closed before it could see that accepting pauses. */
            if (!is_full(server))
                acceptor_pause(server, false);
            return;
        }
        struct sockaddr_storage address;
        socklen_t size = sizeof address;
        int fd = accept4(server->listen_fd, (struct sockaddr *)&address, &size,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (is_shortage(errno))
                pause_for_descriptors(server, errno);
            else if (errno != EAGAIN)
                continue; /* that client's own trouble: ECONNABORTED and the like */
            return;
        }
        server->listen_resume_ns = 0;
        take(server, fd, &address, size);
    }
}

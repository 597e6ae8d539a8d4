/*
 * connection - the table of connections, and what may be done to their sockets.
 */
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* The kernel's struct tcp_info has the byte counts; libc's has not. */
#include <linux/tcp.h>

#include "http/internal.h"
#include "http/problem.h"

enum { FIRST_SLOTS = 256 };

/* server.mutex is held. */
static enum status make_slot(struct http_server *server, int fd)
{
    size_t wanted = server->connection_slots == 0 ? FIRST_SLOTS : server->connection_slots;
    while (wanted <= (size_t)fd)
        wanted *= 2;
    if (wanted == server->connection_slots)
        return STATUS_OK;
    struct http_connection **slots = realloc(server->connections, wanted * sizeof(void *));
    if (slots == NULL)
        return STATUS_MEMORY;
    memset(slots + server->connection_slots, 0,
           (wanted - server->connection_slots) * sizeof(void *));
    server->connections = slots;
    server->connection_slots = wanted;
    return STATUS_OK;
}

static struct worker *least_loaded(struct http_server *server)
{
    struct worker *best = &server->workers[0];
    for (unsigned i = 1; i < server->options.thread_count; i++)
        if (server->workers[i].connections < best->connections)
            best = &server->workers[i];
    return best;
}

/* server.mutex is held. */
static void forget(struct http_connection *connection)
{
    struct http_server *server = connection->server;
    server->connections[connection->fd] = NULL;
    server->connection_count--;
    connection->worker->connections--;
    address_counts_remove(&server->addresses, connection->address);
    mutex_release(&connection->mutex);
    free(connection);
    condition_broadcast(&server->changed);
}

static enum status open_locked(struct http_server *server, int fd, struct address_key address,
                               struct http_connection **connection)
{
    if (make_slot(server, fd) != STATUS_OK)
        return STATUS_MEMORY;
    /* libmicrohttpd may close a socket without telling, when it has no memory for it. */
    if (server->connections[fd] != NULL)
        forget(server->connections[fd]);
    enum status status = address_counts_add(&server->addresses, address,
                                            server->options.max_connections_per_address);
    if (status != STATUS_OK)
        return status;
    struct http_connection *made = calloc(1, sizeof *made);
    if (made == NULL) {
        address_counts_remove(&server->addresses, address);
        return STATUS_MEMORY;
    }
    made->fd = fd;
    made->server = server;
    made->address = address;
    made->worker = least_loaded(server);
    made->worker->connections++;
    /* 0 and UINT32_MAX mark the keeper's other descriptors. */
    server->generation = server->generation >= UINT32_MAX - 1 ? 1 : server->generation + 1;
    made->generation = server->generation;
    mutex_init(&made->mutex);
    made->phase = PHASE_HEADER;
    made->header_begun = true;
    made->phase_ns = server_now_ns(server);
    server->connections[fd] = made;
    server->connection_count++;
    *connection = made;
    return STATUS_OK;
}

enum status connection_open(struct http_server *server, int fd,
                            const struct sockaddr_storage *address,
                            struct http_connection **connection)
{
    mutex_lock(&server->mutex);
    enum status status = open_locked(server, fd, address_key(address), connection);
    if (status == STATUS_OK) {
        address_format(address, (*connection)->peer);
        struct epoll_event event = {
            .events = EPOLLRDHUP | EPOLLET,
            .data.u64 = (uint64_t)(*connection)->generation << 32 | (uint32_t)fd,
        };
        /* Unwatched, a client that leaves would hold its request for as long as that takes. */
        if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
            forget(*connection);
            status = STATUS_MEMORY;
        }
    }
    mutex_unlock(&server->mutex);
    if (status == STATUS_OK)
        atomic_fetch_add_explicit(&server->connections_total, 1, memory_order_relaxed);
    return status;
}

struct http_connection *connection_find(struct http_server *server, int fd)
{
    return fd >= 0 && (size_t)fd < server->connection_slots ? server->connections[fd] : NULL;
}

void connection_close(struct http_connection *connection, bool lost)
{
    struct http_server *server = connection->server;
    /* libmicrohttpd does not tell when it fails to watch a socket and closes it. */
    if (connection->request != NULL)
        request_complete(connection->request, false);
    mutex_lock(&server->mutex);
    if (!lost && connection->linger)
        linger_begin(server, connection->fd);
    forget(connection);
    bool wake = server->listen_paused;
    mutex_unlock(&server->mutex);
    if (wake)
        keeper_wake(server);
}

void connection_enter(struct http_connection *connection, enum connection_phase phase)
{
    mutex_lock(&connection->mutex);
    connection->phase = phase;
    connection->header_begun = false;
    connection->unread = false;
    connection->phase_ns = server_now_ns(connection->server);
    connection->window_ns = 0;
    /* What came since the last request was complete belongs to the next header. */
    connection->window_bytes = connection->request_bytes;
    mutex_unlock(&connection->mutex);
}

void connection_end(struct http_connection *connection, const struct http_problem *problem)
{
    connection->ended = true;
    connection->phase_ns = server_now_ns(connection->server);
    if (problem != NULL) {
        char id[REQUEST_ID_SIZE + 1];
        /* Before the phase BODY the request's own id is not settled. */
        if (connection->request == NULL || connection->phase == PHASE_HEADER)
            server_make_id(connection->server, id);
        else
            memcpy(id, connection->request->id, sizeof id);
        struct bytes text;
        bytes_init(&text, PROBLEM_MAX_SIZE);
        if (problem_render_answer(&text, problem, slice_from_text(id)) == STATUS_OK) {
            /* To a client that does not read, it is not worth repeating. */
            ssize_t ignored =
                send(connection->fd, text.data, text.size, MSG_DONTWAIT | MSG_NOSIGNAL);
            (void)ignored;
        }
        bytes_release(&text);
    }
    shutdown(connection->fd, connection->linger ? SHUT_WR : SHUT_RDWR);
}

static bool tcp_information(int fd, struct tcp_info *info)
{
    socklen_t size = sizeof *info;
    memset(info, 0, sizeof *info);
    return getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, &size) == 0;
}

uint64_t connection_bytes_received(int fd)
{
    struct tcp_info info;
    return tcp_information(fd, &info) ? info.tcpi_bytes_received : 0;
}

uint64_t connection_bytes_read(int fd)
{
    /* In this order: what comes in between is unread in any case. */
    uint64_t received = connection_bytes_received(fd);
    int unread = 0;
    return ioctl(fd, FIONREAD, &unread) == 0 ? received - (uint64_t)unread : received;
}

int64_t connection_silence_ms(int fd)
{
    struct tcp_info info;
    return tcp_information(fd, &info) ? info.tcpi_last_data_recv : 0;
}

uint64_t connection_bytes_taken(int fd)
{
    struct tcp_info info;
    return tcp_information(fd, &info) ? info.tcpi_bytes_acked : 0;
}

size_t connections_waiting(int listen_fd)
{
    struct tcp_info info;
    /* Of a socket that listens, the kernel gives the length of its queue here. */
    return tcp_information(listen_fd, &info) ? info.tcpi_unacked : 0;
}

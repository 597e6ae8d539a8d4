/*
 * reaper - ends connections whose client is too slow, or has had its answer.
 *
 * libmicrohttpd's own time-out starts again with every byte, so it is off. Instead, a few times a
 * second, the keeper looks at every connection:
 *
 *   HEADER    begun: ends header_timeout after its first byte (of a new connection: after accept),
 *             however many came since. Not begun: ends after idle_timeout.
 *   BODY      in each stretch of idle_timeout, min_bytes_per_second must arrive on average
 *   SENDING   the same for what the client takes, in stretches in which something waits for it
 *   HANDLING  ours to end, not the client's
 *
 * While every place or descriptor is taken and further clients wait, slow connections keep others
 * out. Those in HEADER get PRESSED_HEADER_MS and PRESSED_IDLE_MS instead. Of those in BODY and
 * SENDING that stay below min_bytes_per_second over PRESSED_CRAWL_MS, and of those in BODY that are
 * silent for PRESSED_SILENCE_MS, the slowest are ended, as many as clients wait. The fewer places
 * there are for those who wait, the shorter all of these: a whole queue of slow clients delays a
 * healthy one by moments, and not by header_timeout a thousand.
 *
 * Bytes are counted by the kernel (TCP_INFO), so this costs the way of a request nothing.
 */
#include <errno.h>
#include <linux/sockios.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "http/internal.h"

enum { LONGEST_PERIOD_MS = 250, LEFT_MS = 100, LINGER_READS = 16 };
enum { PRESSED_HEADER_MS = 200, PRESSED_IDLE_MS = 1000, PRESSED_PERIOD_MS = 50 };
enum { PRESSED_CRAWL_MS = 400, PRESSED_SILENCE_MS = 1000 };
enum { QUEUE_TURN_MS = 250, SHORTEST_TURN_MS = 20, LOOKS_PER_HEADER = 4 };

/* How long a client may take. */
struct patience {
    int64_t header_ms;
    int64_t idle_ms;
    int64_t crawl_ms; /* 0: no one waits */
    int64_t silence_ms;
};

static int64_t smaller(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* How many clients wait while every place, or every descriptor, is taken. server.mutex is held. */
static size_t count_waiting(const struct http_server *server)
{
    struct pollfd waiting = {.fd = server->listen_fd, .events = POLLIN};
    bool full = server->connection_count >= server->options.max_connections ||
                server->listen_resume_ns != 0;
    if (server->listen_fd < 0 || !full || poll(&waiting, 1, 0) != 1)
        return 0;
    size_t count = connections_waiting(server->listen_fd);
    return count == 0 ? 1 : count;
}

static struct patience patience_under_pressure(const struct http_server *server, size_t waiting)
{
    const struct http_options *options = &server->options;
    int64_t turn_ms = (int64_t)(QUEUE_TURN_MS * (server->connection_count + 1) / waiting);
    if (turn_ms < SHORTEST_TURN_MS)
        turn_ms = SHORTEST_TURN_MS;
    return (struct patience){
        .header_ms = smaller(options->header_timeout_ms, smaller(PRESSED_HEADER_MS, turn_ms)),
        .idle_ms = smaller(options->idle_timeout_ms, smaller(PRESSED_IDLE_MS, turn_ms)),
        .crawl_ms = smaller(PRESSED_CRAWL_MS, turn_ms),
        .silence_ms = smaller(PRESSED_SILENCE_MS, turn_ms),
    };
}

int64_t reaper_period_ms(const struct http_options *options)
{
    int64_t shortest = options->header_timeout_ms < options->idle_timeout_ms
                           ? options->header_timeout_ms
                           : options->idle_timeout_ms;
    int64_t period = shortest / 8;
    if (period > LONGEST_PERIOD_MS)
        return LONGEST_PERIOD_MS;
    return period < 1 ? 1 : period;
}

static void end_slow(struct http_connection *connection, const char *detail,
                     enum http_refusal refusal)
{
    const struct http_problem problem = {
        .status = 408, .code = "request_timeout", .detail = detail};
    server_refuse(connection->server, refusal);
    struct http_request *request = connection->request;
    if (request != NULL) {
        mutex_lock(&request->mutex);
        if (request->status == 0)
            request->status = problem.status;
        mutex_unlock(&request->mutex);
    }
    connection_end(connection, detail == NULL ? NULL : &problem);
}

/* libmicrohttpd misses the end of a client that came together with its last request. */
static bool is_left(struct http_connection *connection, int64_t age_ms)
{
    int unread = 0;
    return connection->peer_closed && connection->request == NULL && age_ms >= LEFT_MS &&
           ioctl(connection->fd, FIONREAD, &unread) == 0 && unread == 0;
}

/*
 * What came and was not read yet waits for its HTTP thread: the client may have sent all of it long
 * ago. One more look is for what that thread has just read and is at.
 */
static bool is_late_by_us(struct http_connection *connection)
{
    int unread = 0;
    bool was_unread = connection->unread;
    connection->unread = ioctl(connection->fd, FIONREAD, &unread) == 0 && unread > 0;
    return connection->unread || was_unread;
}

static void look_at_header(struct http_connection *connection, int64_t now,
                           const struct patience *patience)
{
    int64_t age_ms = (now - connection->phase_ns) / NS_PER_MS;
    if (is_left(connection, age_ms)) {
        connection_end(connection, NULL);
        return;
    }
    if (connection->header_begun) {
        int64_t most_ms = patience->header_ms + connection->server->options.idle_timeout_ms;
        if (age_ms < patience->header_ms || (age_ms < most_ms && is_late_by_us(connection)))
            return;
        bool silent = connection_bytes_received(connection->fd) == connection->window_bytes;
        end_slow(connection, silent ? NULL : "the header took too long to arrive",
                 HTTP_REFUSED_HEADER_SLOW);
        return;
    }
    if (connection_bytes_received(connection->fd) != connection->window_bytes) {
        connection->header_begun = true;
        connection->phase_ns = now;
    } else if (age_ms >= patience->idle_ms) {
        end_slow(connection, NULL, HTTP_REFUSED_IDLE);
    }
}

/* Whether the current stretch is over and too few bytes went by; begins the next one. */
static bool is_too_slow(struct http_connection *connection, uint64_t bytes, int64_t now)
{
    const struct http_options *options = &connection->server->options;
    int64_t length_ms = (now - connection->window_ns) / NS_PER_MS;
    if (connection->window_ns == 0) {
        connection->window_ns = now;
        connection->window_bytes = bytes;
        return false;
    }
    if (length_ms < options->idle_timeout_ms)
        return false;
    uint64_t wanted = options->min_bytes_per_second * (uint64_t)options->idle_timeout_ms / 1000;
    bool slow = bytes - connection->window_bytes < (wanted == 0 ? 1 : wanted);
    connection->window_ns = now;
    connection->window_bytes = bytes;
    return slow;
}

/* Whether it may be ended for one that waits; `bytes` as for is_too_slow. */
static bool is_crawling(struct http_connection *connection, uint64_t bytes, int64_t now,
                        const struct patience *patience, struct crawler *crawler)
{
    if (patience->crawl_ms == 0 || connection->window_ns == 0)
        return false;
    int64_t length_ms = (now - connection->window_ns) / NS_PER_MS;
    if (length_ms < patience->crawl_ms)
        return false;
    uint64_t rate = (bytes - connection->window_bytes) * 1000 / (uint64_t)length_ms;
    bool silent = connection->phase == PHASE_BODY &&
                  connection_silence_ms(connection->fd) >= patience->silence_ms;
    *crawler = (struct crawler){connection, rate};
    return silent || rate < connection->server->options.min_bytes_per_second;
}

/* Each gives whether *crawler was filled. */
static bool look_at_sending(struct http_connection *connection, int64_t now,
                            const struct patience *patience, struct crawler *crawler)
{
    int waiting = 0;
    if (ioctl(connection->fd, SIOCOUTQ, &waiting) == 0 && waiting == 0) {
        connection->window_ns = 0;
        return false;
    }
    uint64_t bytes = connection_bytes_taken(connection->fd);
    if (!is_too_slow(connection, bytes, now))
        return is_crawling(connection, bytes, now, patience, crawler);
    end_slow(connection, NULL, HTTP_REFUSED_READER_SLOW);
    return false;
}

static bool look_at_body(struct http_connection *connection, int64_t now,
                         const struct patience *patience, struct crawler *crawler)
{
    uint64_t bytes = connection_bytes_received(connection->fd);
    if (!is_too_slow(connection, bytes, now) &&
        connection_silence_ms(connection->fd) < connection->server->options.idle_timeout_ms)
        return is_crawling(connection, bytes, now, patience, crawler);
    end_slow(connection, "the body arrives too slowly", HTTP_REFUSED_BODY_SLOW);
    return false;
}

static bool look_at(struct http_connection *connection, int64_t now,
                    const struct patience *patience, struct crawler *crawler)
{
    bool crawls = false;
    mutex_lock(&connection->mutex);
    if (!connection->ended) {
        switch (connection->phase) {
        case PHASE_HEADER:
            look_at_header(connection, now, patience);
            break;
        case PHASE_BODY:
            crawls = look_at_body(connection, now, patience, crawler);
            break;
        case PHASE_SENDING:
            crawls = look_at_sending(connection, now, patience, crawler);
            break;
        case PHASE_HANDLING:
            break;
        }
    }
    if (connection->ended && connection->linger &&
        now - connection->phase_ns > LINGER_MS * (int64_t)NS_PER_MS)
        shutdown(connection->fd, SHUT_RDWR);
    mutex_unlock(&connection->mutex);
    return crawls;
}

static int compare_crawlers(const void *a, const void *b)
{
    uint64_t first = ((const struct crawler *)a)->bytes_per_second;
    uint64_t second = ((const struct crawler *)b)->bytes_per_second;
    return first < second ? -1 : first > second;
}

/* Ends the slowest, one for each client that waits. server.mutex is held. */
static void end_crawlers(struct crawler *crawlers, size_t count, size_t waiting)
{
    qsort(crawlers, count, sizeof *crawlers, compare_crawlers);
    for (size_t i = 0; i < count && i < waiting; i++) {
        struct http_connection *connection = crawlers[i].connection;
        mutex_lock(&connection->mutex);
        if (!connection->ended && connection->phase == PHASE_BODY)
            end_slow(connection, "the body arrives too slowly, and others wait for a connection",
                     HTTP_REFUSED_BODY_SLOW);
        else if (!connection->ended && connection->phase == PHASE_SENDING)
            end_slow(connection, NULL, HTTP_REFUSED_READER_SLOW);
        mutex_unlock(&connection->mutex);
    }
}

/*
 * libmicrohttpd takes 128 events at a time, and after as many waits for more before it handles any:
 * where exactly 128, 256, ... came together, for ever. So each look gives every thread one more.
 */
static void nudge_threads(struct http_server *server)
{
    uint64_t one = 1;
    ssize_t ignored = write(server->nudge_fd, &one, sizeof one);
    (void)ignored;
}

int64_t reaper_look(struct http_server *server)
{
    struct patience patience = {.header_ms = server->options.header_timeout_ms,
                                .idle_ms = server->options.idle_timeout_ms};
    int64_t period_ms = reaper_period_ms(&server->options);
    mutex_lock(&server->mutex);
    size_t waiting = count_waiting(server);
    if (waiting > 0) {
        patience = patience_under_pressure(server, waiting);
        period_ms = smaller(period_ms, PRESSED_PERIOD_MS);
        period_ms = smaller(period_ms, patience.header_ms / LOOKS_PER_HEADER);
    }
    int64_t now = server_now_ns(server);
    size_t crawlers = 0;
    for (size_t i = 0; i < server->connection_slots; i++)
        if (server->connections[i] != NULL &&
            look_at(server->connections[i], now, &patience, &server->crawlers[crawlers]))
            crawlers++;
    end_crawlers(server->crawlers, crawlers, waiting);
    if (server->connection_count > 0)
        nudge_threads(server);
    for (size_t i = 0; i < LINGER_MAX; i++)
        if (server->lingering[i].fd >= 0 && server->lingering[i].deadline_ns < now) {
            close(server->lingering[i].fd);
            server->lingering[i].fd = -1;
        }
    mutex_unlock(&server->mutex);
    return period_ms < 1 ? 1 : period_ms;
}

static void close_if_idle(struct http_connection *connection)
{
    mutex_lock(&connection->mutex);
    int unread = 0;
    bool idle = connection->phase == PHASE_HEADER && connection->request == NULL &&
                connection_bytes_received(connection->fd) == connection->window_bytes &&
                ioctl(connection->fd, FIONREAD, &unread) == 0 && unread == 0;
    if (idle && !connection->ended)
        connection_end(connection, NULL);
    mutex_unlock(&connection->mutex);
}

void reaper_close_idle(struct http_server *server)
{
    mutex_lock(&server->mutex);
    for (size_t i = 0; i < server->connection_slots; i++)
        if (server->connections[i] != NULL)
            close_if_idle(server->connections[i]);
    mutex_unlock(&server->mutex);
}

/*
 * A socket that is closed with bytes unread resets the connection, and the client may lose the
 * answer that told it to stop sending. So a second descriptor stays, and reads on for a moment.
 */
void linger_begin(struct http_server *server, int fd)
{
    for (size_t i = 0; i < LINGER_MAX; i++) {
        if (server->lingering[i].fd >= 0)
            continue;
        int copy = dup(fd);
        if (copy < 0)
            return;
        epoll_ctl(server->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
        struct epoll_event event = {.events = EPOLLIN | EPOLLRDHUP,
                                    .data.u64 = (uint64_t)UINT32_MAX << 32 | i};
        if (epoll_ctl(server->epoll_fd, EPOLL_CTL_ADD, copy, &event) != 0) {
            close(copy);
            return;
        }
        server->lingering[i].fd = copy;
        server->lingering[i].deadline_ns = server_now_ns(server) + LINGER_MS * (int64_t)NS_PER_MS;
        return;
    }
}

void linger_read(struct http_server *server, size_t index)
{
    char dropped[16 << 10];
    mutex_lock(&server->mutex);
    struct lingering *lingering = &server->lingering[index];
    for (unsigned i = 0; i < LINGER_READS && lingering->fd >= 0; i++) {
        ssize_t size = recv(lingering->fd, dropped, sizeof dropped, MSG_DONTWAIT);
        if (size > 0)
            continue;
        bool again = size < 0 && (errno == EAGAIN || errno == EINTR);
        if (!again) {
            close(lingering->fd);
            lingering->fd = -1;
        }
        break;
    }
    mutex_unlock(&server->mutex);
}

void linger_end_all(struct http_server *server)
{
    for (size_t i = 0; i < LINGER_MAX; i++) {
        if (server->lingering[i].fd >= 0)
            close(server->lingering[i].fd);
        server->lingering[i].fd = -1;
    }
}

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include "base/invariant.h"
#include "http/internal.h"

/*
 * Of libmicrohttpd's memory for a connection one half is its read buffer, which holds the header
 * first and pieces of a body later; what it notes about each header line needs as much again.
 */
enum { CONNECTION_MEMORY_MIN = 64 << 10, CONNECTION_MEMORY_PER_HEADER = 4 };
enum { DRAIN_LOOK_MS = 20, STOP_ANSWERS_MS = 500 };

struct http_options http_options_default(void)
{
    return (struct http_options){
        .listen = "127.0.0.1:9480",
        .bound_fd = -1,
        .max_header_size = 16 << 10,
        .max_target_size = 8 << 10,
        .max_encoded_size = 16 << 20,
        .max_decoded_size = 64 << 20,
        .max_bodies_size = 256 << 20,
        .max_parameters = 1000,
        .max_connections = 1024,
        .max_connections_per_address = 128,
        .header_timeout_ms = 5000,
        .idle_timeout_ms = 30000,
        .min_bytes_per_second = 1000,
        .stream_buffer_size = 256 << 10,
        .request_memory = 64 << 20,
        .compress_above_size = 4 << 10,
        .threads = threads_posix(),
        .clock = clock_system(),
        .random = random_system(),
    };
}

const char *http_refusal_name(enum http_refusal refusal)
{
    static const char *const names[HTTP_REFUSAL_COUNT] = {
        [HTTP_REFUSED_ADDRESS] = "address",
        [HTTP_REFUSED_CONNECTIONS] = "connections",
        [HTTP_REFUSED_DESCRIPTORS] = "descriptors",
        [HTTP_REFUSED_HEADER_SLOW] = "header_slow",
        [HTTP_REFUSED_BODY_SLOW] = "body_slow",
        [HTTP_REFUSED_READER_SLOW] = "reader_slow",
        [HTTP_REFUSED_IDLE] = "idle",
        [HTTP_REFUSED_TOO_LARGE] = "too_large",
        [HTTP_REFUSED_MEMORY] = "memory",
        [HTTP_REFUSED_MALFORMED] = "malformed",
    };
    invariant(refusal < HTTP_REFUSAL_COUNT);
    return names[refusal];
}

void server_make_id(struct http_server *server, char id[REQUEST_ID_SIZE + 1])
{
    /* Odd factor: a count never repeats an id; the seed keeps two runs apart. */
    uint64_t count = atomic_fetch_add_explicit(&server->id_count, 1, memory_order_relaxed);
    uint64_t value = (count * UINT64_C(0x9e3779b97f4a7c15)) ^ server->id_seed;
    for (int i = 15; i >= 0; i--, value >>= 4)
        id[i] = "0123456789abcdef"[value & 15];
    id[16] = '\0';
}

/* ------------------------------------------------------------------------------ callbacks */

static void *on_first_line(void *context, const char *target, struct MHD_Connection *mhd)
{
    (void)context;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct http_connection *connection = info->socket_context;
    if (connection == NULL)
        return NULL;
    connection->worker->last_called = connection->generation;
    return request_new(connection, mhd, target);
}

static enum MHD_Result on_access(void *context, struct MHD_Connection *mhd, const char *url,
                                 const char *method, const char *version, const char *upload,
                                 size_t *upload_size, void **request_context)
{
    (void)context, (void)mhd, (void)url;
    struct http_request *request = *request_context;
    if (request == NULL)
        return MHD_NO;
    request->connection->worker->last_called = request->connection->generation;
    if (!request->begun)
        return request_begin(request, method, version);
    if (*upload_size == 0)
        return request_proceed(request);
    struct slice piece = slice_of(upload, *upload_size);
    *upload_size = 0;
    request_receive(request, piece);
    return MHD_YES;
}

static void on_completed(void *context, struct MHD_Connection *mhd, void **request_context,
                         enum MHD_RequestTerminationCode code)
{
    (void)context, (void)mhd;
    struct http_request *request = *request_context;
    *request_context = NULL;
    if (request == NULL)
        return;
    struct http_connection *connection = request->connection;
    connection->worker->last_called = connection->generation;
    request_complete(request, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    connection_enter(connection, PHASE_HEADER);
}

static void on_connection(void *context, struct MHD_Connection *mhd, void **socket_context,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = context;
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        mutex_lock(&server->mutex);
        *socket_context = connection_find(server, info->connect_fd);
        mutex_unlock(&server->mutex);
        invariant(*socket_context != NULL);
        return;
    }
    connection_close(*socket_context, false);
    *socket_context = NULL;
}

/* We decode the target ourselves, from its own bytes. */
static size_t keep_escaped(void *context, struct MHD_Connection *mhd, char *text)
{
    (void)context, (void)mhd;
    return strlen(text);
}

/* ------------------------------------------------------------------------------ start */

/* So that reaper_look can wake the thread. An event without a pointer is skipped by libmicrohttpd;
 * edge-triggered, it comes once for each write, and nobody has to read. */
static enum status add_nudge(struct http_server *server, struct MHD_Daemon *daemon,
                             struct error *err)
{
    const union MHD_DaemonInfo *info = MHD_get_daemon_info(daemon, MHD_DAEMON_INFO_EPOLL_FD);
    struct epoll_event event = {.events = EPOLLIN | EPOLLET, .data.ptr = NULL};
    if (info == NULL || epoll_ctl(info->epoll_fd, EPOLL_CTL_ADD, server->nudge_fd, &event) != 0)
        return fail_errno(err, errno, "cannot watch an HTTP thread");
    return STATUS_OK;
}

static enum status start_workers(struct http_server *server, struct error *err)
{
    size_t memory = server->options.max_header_size * CONNECTION_MEMORY_PER_HEADER;
    if (memory < CONNECTION_MEMORY_MIN)
        memory = CONNECTION_MEMORY_MIN;
    /* libmicrohttpd's threads inherit the mask: signals are for the thread that waits for them. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    enum status status = STATUS_OK;
    for (unsigned i = 0; i < server->options.thread_count && status == STATUS_OK; i++) {
        errno = 0;
        server->workers[i].server = server;
        server->workers[i].daemon = MHD_start_daemon(
            MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
                MHD_USE_ERROR_LOG,
            0, NULL, NULL, on_access, server, MHD_OPTION_EXTERNAL_LOGGER, library_log,
            &server->workers[i], MHD_OPTION_CONNECTION_MEMORY_LIMIT, memory,
            MHD_OPTION_CONNECTION_LIMIT, (unsigned)server->options.max_connections + 1,
            MHD_OPTION_CONNECTION_TIMEOUT, 0U, MHD_OPTION_URI_LOG_CALLBACK, on_first_line, server,
            MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_NOTIFY_CONNECTION,
            on_connection, server, MHD_OPTION_UNESCAPE_CALLBACK, keep_escaped, server,
            MHD_OPTION_END);
        if (server->workers[i].daemon == NULL)
            status = fail_errno(err, errno, "cannot start an HTTP thread");
        else
            status = add_nudge(server, server->workers[i].daemon, err);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return status;
}

static struct http_server *server_new(const struct http_options *options, struct routes routes)
{
    struct http_server *server = calloc(1, sizeof *server);
    if (server == NULL)
        return NULL;
    server->references = 1;
    server->options = *options;
    server->options.listen = NULL;
    if (server->options.thread_count == 0)
        server->options.thread_count = (unsigned)get_nprocs();
    server->routes = routes;
    server->bodies.max = options->max_bodies_size;
    server->id_seed = random_u64(options->random);
    server->epoll_fd = server->wake_fd = server->nudge_fd = -1;
    server->listen_fd = options->bound_fd;
    for (size_t i = 0; i < LINGER_MAX; i++)
        server->lingering[i].fd = -1;
    mutex_init(&server->mutex);
    condition_init(&server->changed);
    server->workers = calloc(server->options.thread_count, sizeof *server->workers);
    server->crawlers = calloc(options->max_connections, sizeof *server->crawlers);
    if (server->workers != NULL && server->crawlers != NULL)
        return server;
    server_unref(server);
    return NULL;
}

void server_unref(struct http_server *server)
{
    if (atomic_fetch_sub(&server->references, 1) > 1)
        return;
    address_counts_release(&server->addresses);
    mutex_release(&server->mutex);
    condition_release(&server->changed);
    free(server->connections);
    free(server->crawlers);
    free(server->workers);
    free(server);
}

static enum status check_options(const struct http_options *options, struct error *err)
{
    if (options->max_connections == 0 || options->max_connections > INT32_MAX ||
        options->stream_buffer_size == 0 || options->header_timeout_ms <= 0 ||
        options->idle_timeout_ms <= 0)
        return fail(err, STATUS_INVALID,
                    "the HTTP server needs at least one connection, a stream buffer "
                    "and time-outs above zero");
    if (options->max_header_size > INT32_MAX)
        return fail(err, STATUS_INVALID, "a header may have 2 GiB at most");
    return STATUS_OK;
}

static enum status server_open(struct http_server *server, const char *listen_on, struct error *err)
{
    enum status status = keeper_listen(server, listen_on, err);
    if (status != STATUS_OK)
        return status;
    server->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    server->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    server->nudge_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (server->epoll_fd < 0 || server->wake_fd < 0 || server->nudge_fd < 0)
        return fail_errno(err, errno, "cannot start the HTTP server");
    status = address_counts_init(&server->addresses, server->options.max_connections,
                                 server->id_seed, err);
    if (status == STATUS_OK)
        status = start_workers(server, err);
    if (status == STATUS_OK)
        status = keeper_start(server, err);
    return status;
}

enum status http_server_start(struct http_server **server, const struct http_options *options,
                              const struct http_route *routes, size_t route_count,
                              struct error *err)
{
    *server = NULL;
    struct routes table = {routes, route_count};
    enum status status = check_options(options, err);
    if (status == STATUS_OK)
        status = routes_check(table, err);
    struct http_server *made = status == STATUS_OK ? server_new(options, table) : NULL;
    if (made == NULL) {
        if (options->bound_fd >= 0)
            close(options->bound_fd);
        return status == STATUS_OK ? fail(err, STATUS_MEMORY, "no memory for the HTTP server")
                                   : status;
    }
    status = server_open(made, options->listen, err);
    if (status == STATUS_OK)
        *server = made;
    else
        http_server_stop(made);
    return status;
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}

/* ------------------------------------------------------------------------------ the end */

enum status http_server_drain(struct http_server *server, int64_t timeout_ms)
{
    atomic_store(&server->draining, true);
    keeper_wake(server);
    int64_t deadline = server_now_ns(server) + timeout_ms * NS_PER_MS;
    for (;;) {
        /* A request that came in before its connection was seen idle is still served. */
        reaper_close_idle(server);
        mutex_lock(&server->mutex);
        bool empty = server->connection_count == 0;
        if (!empty && server_now_ns(server) < deadline)
            condition_wait_ms(&server->changed, &server->mutex, DRAIN_LOOK_MS);
        mutex_unlock(&server->mutex);
        if (empty)
            return STATUS_OK;
        if (server_now_ns(server) >= deadline)
            return STATUS_TIMEOUT;
    }
}

static void cancel_requests(struct http_server *server)
{
    mutex_lock(&server->mutex);
    for (size_t i = 0; i < server->connection_slots; i++) {
        struct http_connection *connection = server->connections[i];
        if (connection == NULL)
            continue;
        mutex_lock(&connection->mutex);
        if (connection->request != NULL)
            request_stop(connection->request);
        mutex_unlock(&connection->mutex);
    }
    mutex_unlock(&server->mutex);
}

void http_server_stop(struct http_server *server)
{
    if (server == NULL)
        return;
    atomic_store(&server->stopping, true);
    if (server->keeper != NULL) {
        cancel_requests(server);
        /* A moment for their answers to go out. */
        enum status ignored = http_server_drain(server, STOP_ANSWERS_MS);
        (void)ignored;
    }
    keeper_stop(server);
    cancel_requests(server);
    for (unsigned i = 0; i < server->options.thread_count; i++)
        if (server->workers[i].daemon != NULL)
            MHD_stop_daemon(server->workers[i].daemon);
    linger_end_all(server);
    int descriptors[] = {server->listen_fd, server->epoll_fd, server->wake_fd, server->nudge_fd};
    for (size_t i = 0; i < sizeof descriptors / sizeof descriptors[0]; i++)
        if (descriptors[i] >= 0)
            close(descriptors[i]);
    server_unref(server);
}

void http_server_stats(struct http_server *server, struct http_stats *stats)
{
    *stats = (struct http_stats){0};
    mutex_lock(&server->mutex);
    stats->connections = server->connection_count;
    mutex_unlock(&server->mutex);
    stats->connections_total = atomic_load(&server->connections_total);
    for (size_t i = 0; i < 6; i++)
        stats->requests_by_class[i] = atomic_load(&server->requests_by_class[i]);
    for (size_t i = 0; i < HTTP_REFUSAL_COUNT; i++)
        stats->refused[i] = atomic_load(&server->refused[i]);
    stats->bytes_in_flight = memory_share_used(&server->bodies);
    stats->bytes_in = atomic_load(&server->bytes_in);
    stats->bytes_out = atomic_load(&server->bytes_out);
    stats->clients_left = atomic_load(&server->clients_left);
}

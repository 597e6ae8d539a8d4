/*
 * internal - what the files of this folder share: server, connection, request.
 *
 * Locks, in the order in which they may be taken: server.mutex (the table of connections, the
 * counts, lingering sockets), connection.mutex (its phase, its request), request.mutex (its answer
 * and stream). A connection lives from accept to libmicrohttpd's notice that it is closed, which
 * comes before the descriptor is closed: so whoever holds server.mutex and finds a connection in
 * the table may use its descriptor.
 */
#ifndef METRIC_STORE_HTTP_INTERNAL_H
#define METRIC_STORE_HTTP_INTERNAL_H

#include <microhttpd.h>
#include <stdarg.h>
#include <stdatomic.h>

#include "http/address.h"
#include "http/body_buffer.h"
#include "http/content_encoding.h"
#include "http/http.h"
#include "http/routes.h"

enum { NS_PER_MS = 1000000 };
enum { REQUEST_ID_SIZE = 64, LINGER_MAX = 64, LINGER_MS = 2000, LISTEN_BACKLOG = 4096 };

enum connection_phase {
    PHASE_HEADER,   /* waits for a request, or reads its header */
    PHASE_BODY,     /* reads a body */
    PHASE_HANDLING, /* the handler, or whoever holds the request, is at work */
    PHASE_SENDING,
};

struct http_connection {
    int fd;
    uint32_t generation; /* tells it from others that had the same descriptor */
    struct http_server *server;
    struct worker *worker;
    struct address_key address;
    char peer[INET6_ADDRSTRLEN];

    struct mutex mutex;
    enum connection_phase phase;
    bool header_begun;     /* phase HEADER: its first byte came */
    bool unread;           /* phase HEADER, its time over: bytes waited at the last look */
    bool ended;            /* shut down by us */
    bool peer_closed;      /* the client sent its last byte */
    bool linger;           /* read on after the answer, so that the client can see it */
    int64_t phase_ns;      /* when the phase began; with header_begun: when the header did */
    int64_t window_ns;     /* phases BODY and SENDING: start of the current stretch, 0: none ... */
    uint64_t window_bytes; /* ... and the kernel's byte count then; phase HEADER: at its start */
    struct http_request *request;

    /* HTTP thread only: what libmicrohttpd had read when the last request was complete, where that
     * request ended, and whether there may be bytes between. */
    uint64_t request_bytes;
    uint64_t request_end;
    bool leaves_bytes;
};

struct worker {
    struct http_server *server;
    struct MHD_Daemon *daemon;
    size_t connections;
    /* HTTP thread only: the generation of the connection that it called us for last. */
    uint32_t last_called;
};

/* A connection that may be ended for one that waits. */
struct crawler {
    struct http_connection *connection;
    uint64_t bytes_per_second;
};

struct lingering {
    int fd; /* -1: free */
    int64_t deadline_ns;
};

struct http_server {
    _Atomic unsigned references; /* http_server_start's, and each request's */
    struct http_options options; /* listen is not used after the start */
    struct routes routes;
    struct worker *workers;
    uint16_t port;
    uint64_t id_seed;
    _Atomic uint64_t id_count;

    struct thread *keeper;
    int epoll_fd;
    int wake_fd;
    int nudge_fd;  /* an event of every HTTP thread: see reaper_look */
    int listen_fd; /* -1 when draining */
    bool listen_paused;
    int64_t listen_resume_ns; /* paused for want of descriptors: try again then */

    struct mutex mutex;
    struct condition changed;             /* a connection was closed */
    struct http_connection **connections; /* by descriptor */
    size_t connection_slots;
    size_t connection_count;
    uint32_t generation;
    struct address_counts addresses;
    struct lingering lingering[LINGER_MAX];
    struct crawler *crawlers; /* room for max_connections; the reaper's, during one look */

    atomic_bool draining;
    atomic_bool stopping; /* nobody waits for a handler any more */
    atomic_bool keeper_ends;

    struct memory_share bodies;
    _Atomic uint64_t connections_total;
    _Atomic uint64_t requests_by_class[6];
    _Atomic uint64_t refused[HTTP_REFUSAL_COUNT];
    _Atomic uint64_t bytes_in;
    _Atomic uint64_t bytes_out;
    _Atomic uint64_t clients_left;
};

struct http_request {
    struct http_server *server;
    /* libmicrohttpd's side and the handler's side; freed when both have let go. */
    _Atomic unsigned references;
    struct arena arena;

    /* Set on the HTTP thread before the handler runs, then constant. */
    const struct http_route *route;
    const char *method;
    struct slice target;
    bool target_too_long;
    const char *sent_target;   /* in libmicrohttpd's memory */
    const char *behind_target; /* in libmicrohttpd's memory, where the version is to begin */
    struct slice path;
    struct slice parameter;
    struct http_fields headers;
    struct http_fields query;
    struct http_fields form;
    enum http_coding coding;
    enum http_coding answer_coding;
    char peer[INET6_ADDRSTRLEN];
    char id[REQUEST_ID_SIZE + 1];
    pthread_t http_thread;
    int64_t start_ns;

    /* HTTP thread only. */
    struct http_connection *connection;
    struct body_buffer body;
    bool begun;      /* the header was seen */
    bool has_body;   /* a body follows the header */
    bool chunked;    /* and comes in chunks */
    bool dropped;    /* refused within the body, whose rest is not kept */
    bool dispatched; /* body complete; refused, or the handler was called */
    uint64_t bytes_in;

    atomic_bool cancelled;

    struct mutex mutex;
    struct MHD_Connection *mhd; /* NULL once libmicrohttpd is done with the request */
    bool answered;              /* the handler's side has let go of the answer */
    bool forced;                /* answered in its place, as the server stops */
    bool queued;                /* the answer is libmicrohttpd's */
    bool suspended;
    bool close_now; /* there is no memory for an answer */
    struct MHD_Response *response;
    unsigned status;
    uint64_t bytes_out;
    http_cancel *cancel;
    void *cancel_context;
    struct http_stream *stream;
};

static inline int64_t server_now_ns(const struct http_server *server)
{
    return clock_monotonic_ns(server->options.clock);
}

static inline void server_refuse(struct http_server *server, enum http_refusal refusal)
{
    atomic_fetch_add_explicit(&server->refused[refusal], 1, memory_order_relaxed);
}

/* server.c */
void server_unref(struct http_server *server);
/* Fills a fresh id: 16 hexadecimal digits. */
void server_make_id(struct http_server *server, char id[REQUEST_ID_SIZE + 1]);

/* connection.c. All but _find need no lock held and take server.mutex. */
MUST_CHECK enum status connection_open(struct http_server *server, int fd,
                                       const struct sockaddr_storage *address,
                                       struct http_connection **connection);
/* server.mutex is held. NULL where the descriptor is not one of ours. */
struct http_connection *connection_find(struct http_server *server, int fd);
/* Forgets it; its descriptor is still open, except where `lost`. */
void connection_close(struct http_connection *connection, bool lost);
void connection_enter(struct http_connection *connection, enum connection_phase phase);
/* Sends a problem on the bare socket and closes both ways. connection->mutex is held. */
void connection_end(struct http_connection *connection, const struct http_problem *problem);
/* The kernel's counts of bytes that came from, and were taken by, the client. */
uint64_t connection_bytes_received(int fd);
uint64_t connection_bytes_taken(int fd);
/* Of those that came, what was read. */
uint64_t connection_bytes_read(int fd);
/* Since the last byte that came. */
int64_t connection_silence_ms(int fd);
/* Clients that connected and were not accepted yet. */
size_t connections_waiting(int listen_fd);

/* request.c */
/* NULL without heap. */
struct http_request *request_new(struct http_connection *connection, struct MHD_Connection *mhd,
                                 const char *target);
/* The three calls of libmicrohttpd's access handler. */
enum MHD_Result request_begin(struct http_request *request, const char *method,
                              const char *version);
void request_receive(struct http_request *request, struct slice bytes);
enum MHD_Result request_proceed(struct http_request *request);
/* libmicrohttpd is done with it; `sent`: without a fault on the way. */
void request_complete(struct http_request *request, bool sent);
void request_unref(struct http_request *request);
/* `gone`: no byte can be sent any more; otherwise the client may still be reading. */
void request_client_left(struct http_request *request, bool gone);
/* The server stops: cancels, and answers 503 where somebody is waited for. */
void request_stop(struct http_request *request);

/* respond.c */
/* A problem of this layer. `err` has the code and the sentence. */
void request_refuse(struct http_request *request, unsigned status, const struct error *err,
                    enum http_refusal refusal);
/* NULL without heap. Adds the headers that every answer has. */
struct MHD_Response *response_finish(struct http_request *request, struct MHD_Response *response,
                                     const char *content_type, const struct http_header *headers,
                                     size_t header_count);

/* library_refusal.c: an MHD_LogCallback; `context` is the worker. */
void library_log(void *context, const char *format, va_list arguments);

/* stream.c; request->mutex is held. */
void stream_cancel(struct http_stream *stream);
void stream_free(struct http_stream *stream);
/* Whether all of it was handed to libmicrohttpd. */
bool stream_is_complete(const struct http_stream *stream);

/* keeper.c: one thread that accepts, watches for clients that leave, and ends slow ones. */
MUST_CHECK enum status keeper_listen(struct http_server *server, const char *listen,
                                     struct error *err);
MUST_CHECK enum status keeper_start(struct http_server *server, struct error *err);
void keeper_wake(struct http_server *server);
void keeper_stop(struct http_server *server);

/* acceptor.c; keeper thread only. */
void acceptor_run(struct http_server *server);
void acceptor_pause(struct http_server *server, bool pause);

/* reaper.c */
/* How long the keeper may sleep between two looks, while there is room for connections. */
int64_t reaper_period_ms(const struct http_options *options);
/* Gives how long the keeper may sleep now. */
int64_t reaper_look(struct http_server *server);
/* Closes the connections that have no request. */
void reaper_close_idle(struct http_server *server);
/* server.mutex is held. Keeps a second descriptor of a socket whose last bytes are still read. */
void linger_begin(struct http_server *server, int fd);
void linger_read(struct http_server *server, size_t index);
void linger_end_all(struct http_server *server);

#endif

/*
 * http - the HTTP server: connections, limits, bodies, answers. It knows nothing of metrics.
 *
 *   listen -> keeper thread: accept, limits per address -> one of N HTTP threads (libmicrohttpd,
 *   epoll): header, body, decoding -> handler -> http_respond from any thread, at once or later
 *
 * A handler runs on an HTTP thread as soon as the whole body is there, decoded. It must not block.
 * It answers at once, or keeps the request and returns: the connection is then suspended (no
 * thread waits) until some thread answers. Exactly one of http_respond, http_respond_problem and
 * http_stream_open ends every request; after http_respond* the request is gone for the caller,
 * after http_stream_open it lives until the stream is ended.
 *
 * Limits hold before anything is allocated for what they limit; see struct http_options. The codes
 * of refused requests are listed in docs/API.md, "Errors".
 *
 * Never logged or echoed: the header Authorization.
 */
#ifndef METRIC_STORE_HTTP_HTTP_H
#define METRIC_STORE_HTTP_HTTP_H

#include "base/arena.h"
#include "base/bytes.h"
#include "base/log.h"
#include "base/slice.h"
#include "base/status.h"
#include "os/clock.h"
#include "os/random.h"
#include "os/thread.h"

struct http_server;  /* opaque */
struct http_request; /* opaque */
struct http_stream;  /* opaque */

/* What a key must be allowed to do. Carried for those who check keys; nothing here looks at it. */
enum http_scope { HTTP_SCOPE_NONE, HTTP_SCOPE_READ, HTTP_SCOPE_WRITE, HTTP_SCOPE_ADMIN };

/* Content codings that a route takes; a set. Identity is always taken. */
enum {
    HTTP_TAKES_GZIP = 1,
    HTTP_TAKES_ZSTD = 2,
    HTTP_TAKES_DEFLATE = 4, /* zlib, and the raw deflate that some clients send */
    HTTP_TAKES_COMPRESSED = HTTP_TAKES_GZIP | HTTP_TAKES_ZSTD | HTTP_TAKES_DEFLATE,
    HTTP_PASSES_SNAPPY = 8, /* "Content-Encoding: snappy" reaches the handler still encoded */
};

/* `context` is the route's. Owns the request until it is answered. */
typedef void http_handler(struct http_request *request, void *context);

struct http_route {
    const char *method; /* "GET" also answers HEAD */
    /* "/a/b", or with one parameter segment anywhere: "/label/{name}/values". */
    const char *path;
    http_handler *handler;
    void *context;
    enum http_scope scope;
    bool takes_body; /* false: a body is refused with 413 */
    bool takes_form; /* a body of application/x-www-form-urlencoded is parsed */
    bool compresses; /* answers and streams may be gzip or zstd, by Accept-Encoding */
    unsigned codings;
    size_t max_encoded_size; /* 0: the server's */
    size_t max_decoded_size; /* 0: the server's; also for bodies that are not encoded */
};

struct http_access {
    const struct http_route *route; /* NULL where none matched */
    const char *method;
    struct slice path; /* without the query */
    struct slice request_id;
    struct slice peer;
    unsigned status;   /* 499 where the client left before its answer */
    uint64_t bytes_in; /* of the body, as it came */
    uint64_t bytes_out;
    int64_t duration_ns; /* from the complete header to the last byte of the answer */
};

/* Called on an HTTP thread once per request, borrowed for the call; must not block. */
typedef void http_access_hook(void *context, const struct http_access *access);

struct http_options {
    const char *listen;     /* as in os/socket_address.h */
    int bound_fd;           /* what http_bind gave for `listen`, or -1 */
    unsigned thread_count;  /* 0: one a core */
    size_t max_header_size; /* request line and all header lines */
    size_t max_target_size; /* path and query */
    size_t max_encoded_size;
    size_t max_decoded_size;
    size_t max_bodies_size; /* bytes of bodies in memory over all requests */
    size_t max_parameters;  /* query and form fields, each */
    size_t max_connections;
    size_t max_connections_per_address; /* of an IPv6 client: per /64; 0: no limit */
    int64_t header_timeout_ms;          /* first byte (or accept) to the end of the header */
    int64_t idle_timeout_ms;            /* without a byte either way, a request under way or not */
    size_t min_bytes_per_second;        /* over idle_timeout_ms, of a body coming or going */
    size_t stream_buffer_size;
    size_t request_memory;      /* maximum of a request's arena */
    size_t compress_above_size; /* smaller answers are not worth it */
    http_access_hook *access;   /* may be NULL */
    void *access_context;
    const struct log *log; /* may be NULL */
    struct threads *threads;
    struct clock *clock;
    struct random *random;
};

/* The defaults of docs/API.md; listen is 127.0.0.1:9480. */
struct http_options http_options_default(void);

enum http_refusal {
    HTTP_REFUSED_ADDRESS,     /* too many connections of one address */
    HTTP_REFUSED_CONNECTIONS, /* times that accepting paused at max_connections */
    HTTP_REFUSED_DESCRIPTORS, /* times that accepting paused for want of file descriptors */
    HTTP_REFUSED_HEADER_SLOW,
    HTTP_REFUSED_BODY_SLOW,
    HTTP_REFUSED_READER_SLOW, /* the client does not take its answer */
    HTTP_REFUSED_IDLE,        /* kept-alive connections closed */
    HTTP_REFUSED_TOO_LARGE,   /* header, target or body */
    HTTP_REFUSED_MEMORY,      /* max_bodies_size or the heap */
    HTTP_REFUSED_MALFORMED,   /* 400 and 415 of this layer */
    HTTP_REFUSAL_COUNT,
};

struct http_stats {
    uint64_t connections; /* now */
    uint64_t connections_total;
    uint64_t requests_by_class[6]; /* [2]: 2xx, ... */
    uint64_t refused[HTTP_REFUSAL_COUNT];
    uint64_t bytes_in_flight; /* of bodies, now */
    uint64_t bytes_in;
    uint64_t bytes_out;
    uint64_t clients_left; /* before their answer */
};

/* "address", "header_slow", ...: for a label of telemetry. */
const char *http_refusal_name(enum http_refusal refusal);

/*
 * Takes the address, so that a start that cannot have it fails before anything else is done. Nobody
 * is listened to yet: connections are refused until http_server_start, which takes *fd over;
 * without it the caller closes *fd. *fd is -1 on failure.
 *   INVALID, CONFLICT, IO  as below
 */
MUST_CHECK enum status http_bind(const char *listen, int *fd, struct error *err);

/*
 * Listens and serves. `routes` is borrowed until http_server_stop; the strings of `options` only
 * for this call. Takes options->bound_fd, on failure too. Gives *server, ended by http_server_stop;
 * NULL on failure.
 *   INVALID   listen is no address, or a route is malformed
 *   CONFLICT  the address is in use
 *   IO        any other refusal of the operating system
 */
MUST_CHECK enum status http_server_start(struct http_server **server,
                                         const struct http_options *options,
                                         const struct http_route *routes, size_t route_count,
                                         struct error *err);

/* The port that is listened on. */
uint16_t http_server_port(const struct http_server *server);

/*
 * Stops accepting, closes idle connections, ends each other one after its current answer, and
 * waits for that. TIMEOUT when requests still run after `timeout_ms`. May be called again.
 */
MUST_CHECK enum status http_server_drain(struct http_server *server, int64_t timeout_ms);

/*
 * Ends everything: whoever still waits is cancelled and gets 503, streams are cut. Requests that
 * other threads hold stay valid until they answer them, which must happen before the routes'
 * contexts go. Accepts NULL.
 */
void http_server_stop(struct http_server *server);

void http_server_stats(struct http_server *server, struct http_stats *stats);

/* --- What a request holds. All slices live as long as the request. Any thread, one at a time. */

struct http_field {
    struct slice name;
    struct slice value;
};

struct http_fields {
    const struct http_field *items;
    size_t count;
};

struct slice http_request_parameter(const struct http_request *request); /* decoded; may be empty */
struct http_fields http_request_query(const struct http_request *request); /* decoded, in order */
struct http_fields http_request_form(const struct http_request *request);
/* False where there is none; the first of several. Names are compared without case. */
bool http_request_header(const struct http_request *request, const char *name, struct slice *value);
/* The query's field, else the form's; the first of several. */
bool http_request_field(const struct http_request *request, const char *name, struct slice *value);
struct slice http_request_body(const struct http_request *request); /* decoded */
struct slice http_request_peer(const struct http_request *request); /* "192.0.2.1", without port */
/* For what must live as long as the request; not for two threads at once. */
struct arena *http_request_arena(struct http_request *request);
/* The first line's media type without its parameters, compared without case. */
bool http_request_content_type_is(const struct http_request *request, const char *type);

/*
 * The client has closed its side (or is gone altogether), or the server is stopping. The answer is
 * still wanted by this interface, not by the client; a write that began should be finished.
 */
bool http_request_cancelled(const struct http_request *request);

/*
 * Asks for `cancel(context)` when the client leaves. It runs on another thread, at most once, at
 * once where the client left already, and never after http_respond* or http_stream_open returned.
 * It must only set a flag or signal: it may not call into this module.
 */
typedef void http_cancel(void *context);
void http_request_on_cancel(struct http_request *request, http_cancel *cancel, void *context);

/* --- Answers. */

struct http_header {
    const char *name;
    const char *value;
};

struct http_answer {
    unsigned status;
    const char *content_type; /* NULL: none, for 204 */
    struct bytes body;        /* taken, also on failure */
    const struct http_header *headers;
    size_t header_count;
};

/*
 * Answers and gives up the request. Never fails for the caller: where the client is gone or the
 * heap exhausted, the answer is dropped and the connection closed.
 */
void http_respond(struct http_request *request, struct http_answer answer);

struct http_problem {
    unsigned status;
    const char *code;       /* stable, documented in docs/API.md */
    const char *detail;     /* what is wrong, where, what to do */
    struct slice members;   /* further rendered members: "\"accepted\":1,\"rejected\":2" */
    unsigned retry_after_s; /* 0: no such header */
};

/* RFC 9457: application/problem+json. Gives up the request, as http_respond. */
void http_respond_problem(struct http_request *request, const struct http_problem *problem);

/*
 * Answers with a body that is written piece by piece through a bounded buffer, chunked, compressed
 * where route and client allow. Takes over the request: its slices and arena live until the stream
 * is ended. Only for threads that may block: never an HTTP thread.
 *   MEMORY    there is no stream; the request is still the caller's
 */
MUST_CHECK enum status http_stream_open(struct http_request *request, unsigned status,
                                        const char *content_type, const struct http_header *headers,
                                        size_t header_count, struct http_stream **stream,
                                        struct error *err);

/*
 * While a write waits for the client, `gives_up(context)` is asked a few times a second, on the
 * writer's thread and with no lock that `gives_up` could take twice: true ends the wait with
 * TIMEOUT. Once, before the first write.
 */
typedef bool http_gives_up(void *context);
void http_stream_set_patience(struct http_stream *stream, http_gives_up *gives_up, void *context);

/*
 * Blocks while the buffer is full. For HEAD all is dropped.
 *   CANCELLED  the client is gone or the server stops; end the stream with http_stream_abort
 *   TIMEOUT    the client reads too slowly, and http_stream_set_patience ends the wait; likewise
 *   MEMORY     the compressor has no memory
 */
MUST_CHECK enum status http_stream_write(struct http_stream *stream, struct slice piece,
                                         struct error *err);

/* Sends what is still held back by compression; for streams that pause. */
MUST_CHECK enum status http_stream_flush(struct http_stream *stream, struct error *err);

enum { HTTP_TRAILERS_MAX = 4, HTTP_TRAILER_VALUE_SIZE = 32 };

/*
 * Fields that follow the body, for what is only known at its end; the header `Trailer` should have
 * announced them. Once, before http_stream_finish. They reach only clients of HTTP/1.1, and not
 * through every proxy. Names are literals; values, shorter than HTTP_TRAILER_VALUE_SIZE, are
 * copied.
 */
void http_stream_set_trailers(struct http_stream *stream, const struct http_header *trailers,
                              size_t count);

/* Ends the stream well. Frees it. The status tells whether all of it was handed over. */
MUST_CHECK enum status http_stream_finish(struct http_stream *stream, struct error *err);

/* Ends the stream without the closing chunk, so that the client sees that it is incomplete. */
void http_stream_abort(struct http_stream *stream);

#endif

/*
 * stream - an answer in pieces: a ring between the thread that writes and the HTTP thread that
 * sends.
 *
 * Everything is guarded by request->mutex. The HTTP thread never waits: with nothing to send it
 * suspends the connection, and the writer resumes it when a worthwhile amount is there. The writer
 * waits while the ring is full. The request owns the stream, as libmicrohttpd may still send from
 * it after the writer has finished.
 */
#include <stdlib.h>

#include "base/invariant.h"
#include "http/internal.h"

/* Less is not worth waking the HTTP thread for. */
enum { WORTH_SENDING = 16 << 10, ENCODED_MAX = 4 << 20, PIECE_MAX = 1 << 20, ASK_EVERY_MS = 200 };

struct trailer {
    const char *name;
    char value[HTTP_TRAILER_VALUE_SIZE];
};

struct http_stream {
    struct http_request *request;
    uint8_t *ring;
    size_t capacity;
    size_t start;
    size_t used;
    struct condition room;
    bool finished;
    bool cut; /* by the writer, without the end */
    bool cancelled;
    bool drained; /* libmicrohttpd has seen the end */
    bool dropped; /* HEAD: nothing is sent */
    struct http_encoder *encoder;
    struct bytes encoded;
    struct MHD_Response *response; /* libmicrohttpd's, while it reads */
    struct trailer trailers[HTTP_TRAILERS_MAX];
    size_t trailer_count;
    http_gives_up *gives_up; /* or NULL */
    void *patience;
};

void stream_free(struct http_stream *stream)
{
    if (stream == NULL)
        return;
    http_encoder_free(stream->encoder);
    bytes_release(&stream->encoded);
    condition_release(&stream->room);
    free(stream->ring);
    free(stream);
}

void stream_cancel(struct http_stream *stream)
{
    stream->cancelled = true;
    condition_broadcast(&stream->room);
}

bool stream_is_complete(const struct http_stream *stream)
{
    return stream->drained || (stream->dropped && !stream->cut);
}

static size_t ring_take(struct http_stream *stream, char *to, size_t max)
{
    size_t size = stream->used < max ? stream->used : max;
    size_t first = stream->capacity - stream->start;
    if (first > size)
        first = size;
    memcpy(to, stream->ring + stream->start, first);
    memcpy(to + first, stream->ring, size - first);
    stream->start = (stream->start + size) % stream->capacity;
    stream->used -= size;
    return size;
}

static size_t ring_put(struct http_stream *stream, struct slice piece)
{
    size_t room = stream->capacity - stream->used;
    size_t size = piece.size < room ? piece.size : room;
    if (size == 0 || piece.data == NULL)
        return 0;
    size_t end = (stream->start + stream->used) % stream->capacity;
    size_t first = stream->capacity - end;
    if (first > size)
        first = size;
    memcpy(stream->ring + end, piece.data, first);
    memcpy(stream->ring, piece.data + first, size - first);
    stream->used += size;
    return size;
}

/*
 * Ends the connection without the last chunk. libmicrohttpd 0.9.75 forgets to clean up a connection
 * whose reader reports an error; so it is made to fail at sending, which it handles: what is behind
 * the shut socket never leaves.
 */
static ssize_t break_off(struct http_request *request, char *to)
{
    shutdown(request->connection->fd, SHUT_WR);
    to[0] = 0;
    return 1;
}

/* On the HTTP thread, which alone looks at the response once its head is out. A trailer that finds
 * no memory is missing. */
static void add_trailers(const struct http_stream *stream)
{
    for (size_t i = 0; i < stream->trailer_count; i++) {
        enum MHD_Result added = MHD_add_response_footer(stream->response, stream->trailers[i].name,
                                                        stream->trailers[i].value);
        (void)added;
    }
}

/* libmicrohttpd asks for bytes, on the HTTP thread. */
static ssize_t stream_read(void *context, uint64_t position, char *to, size_t max)
{
    (void)position;
    struct http_request *request = context;
    struct http_stream *stream = request->stream;
    ssize_t result;
    mutex_lock(&request->mutex);
    if (stream->cancelled || (stream->cut && stream->used == 0)) {
        result = break_off(request, to);
    } else if (stream->used > 0) {
        size_t size = ring_take(stream, to, max);
        request->bytes_out += size;
        condition_signal(&stream->room);
        result = (ssize_t)size;
    } else if (stream->finished) {
        if (!stream->drained)
            add_trailers(stream);
        stream->drained = true;
        result = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        request->suspended = true;
        MHD_suspend_connection(request->mhd);
        result = 0;
    }
    mutex_unlock(&request->mutex);
    return result;
}

/* request->mutex is held. */
static void send_now(struct http_stream *stream)
{
    struct http_request *request = stream->request;
    if (!request->suspended)
        return;
    request->suspended = false;
    MHD_resume_connection(request->mhd);
}

static struct http_stream *stream_new(struct http_request *request)
{
    struct http_stream *stream = calloc(1, sizeof *stream);
    if (stream == NULL)
        return NULL;
    stream->request = request;
    stream->capacity = request->server->options.stream_buffer_size;
    stream->ring = malloc(stream->capacity);
    stream->dropped = strcmp(request->method, "HEAD") == 0;
    bytes_init(&stream->encoded, ENCODED_MAX);
    condition_init(&stream->room);
    bool encodes = request->answer_coding != HTTP_CODING_IDENTITY;
    if (encodes)
        stream->encoder = http_encoder_new(request->answer_coding);
    if (stream->ring != NULL && (!encodes || stream->encoder != NULL))
        return stream;
    stream_free(stream);
    return NULL;
}

static struct MHD_Response *stream_response(struct http_request *request, const char *content_type,
                                            const struct http_header *headers, size_t header_count)
{
    /* The block is libmicrohttpd's own buffer where the answer is not chunked (HTTP/1.0). */
    struct MHD_Response *response = MHD_create_response_from_callback(
        MHD_SIZE_UNKNOWN, WORTH_SENDING, stream_read, request, NULL);
    if (response == NULL)
        return NULL;
    /* To HEAD, libmicrohttpd 0.9.75 would send the last chunk of a chunked answer. */
    if (strcmp(request->method, "HEAD") == 0)
        MHD_set_response_options(response, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
    if (request->answer_coding != HTTP_CODING_IDENTITY &&
        MHD_add_response_header(response, "Content-Encoding",
                                http_coding_name(request->answer_coding)) != MHD_YES) {
        MHD_destroy_response(response);
        return NULL;
    }
    return response_finish(request, response, content_type, headers, header_count);
}

enum status http_stream_open(struct http_request *request, unsigned status,
                             const char *content_type, const struct http_header *headers,
                             size_t header_count, struct http_stream **stream, struct error *err)
{
    *stream = NULL;
    invariant(status >= 200 && status <= 599 && status != 204 && status != 304);
    struct http_stream *made = stream_new(request);
    struct MHD_Response *response =
        made == NULL ? NULL : stream_response(request, content_type, headers, header_count);
    if (response == NULL) {
        stream_free(made);
        return fail_code(err, STATUS_MEMORY, "out_of_memory", "no memory for a stream");
    }
    body_buffer_release(&request->body);
    mutex_lock(&request->mutex);
    invariant(!request->answered || request->forced);
    request->stream = made;
    /* libmicrohttpd cannot be stopped while a connection is suspended, and after the flag was set
     * no one comes to cancel this stream. */
    made->cancelled = atomic_load(&request->server->stopping);
    if (request->forced || request->mhd == NULL) {
        made->cancelled = true;
    } else {
        request->response = made->response = response;
        request->status = status;
        response = NULL;
    }
    request->answered = true;
    request->cancel = NULL;
    send_now(made);
    mutex_unlock(&request->mutex);
    if (response != NULL)
        MHD_destroy_response(response);
    *stream = made;
    return STATUS_OK;
}

void http_stream_set_patience(struct http_stream *stream, http_gives_up *gives_up, void *context)
{
    stream->gives_up = gives_up;
    stream->patience = context;
}

/* request->mutex is held. */
static enum status wait_for_room(struct http_stream *stream, struct error *err)
{
    struct mutex *mutex = &stream->request->mutex;
    if (stream->gives_up == NULL) {
        condition_wait(&stream->room, mutex);
        return STATUS_OK;
    }
    if (condition_wait_ms(&stream->room, mutex, ASK_EVERY_MS))
        return STATUS_OK;
    mutex_unlock(mutex);
    bool gives_up = stream->gives_up(stream->patience);
    mutex_lock(mutex);
    return gives_up ? fail_code(err, STATUS_TIMEOUT, "reader_slow",
                                "the client did not read the answer in time")
                    : STATUS_OK;
}

static enum status stream_put(struct http_stream *stream, struct slice piece, bool flush,
                              struct error *err)
{
    struct http_request *request = stream->request;
    enum status status = STATUS_OK;
    mutex_lock(&request->mutex);
    while (status == STATUS_OK && (piece.size > 0 || flush)) {
        if (stream->cancelled) {
            status = fail_code(err, STATUS_CANCELLED, "client_left",
                               "the client left, or the server stops");
            break;
        }
        piece = slice_from(piece, ring_put(stream, piece));
        if (flush || stream->used >= WORTH_SENDING || stream->used == stream->capacity)
            send_now(stream);
        if (piece.size == 0)
            break;
        status = wait_for_room(stream, err);
    }
    mutex_unlock(&request->mutex);
    return status;
}

static enum status stream_encode(struct http_stream *stream, struct slice piece,
                                 enum http_encode_end end, struct error *err)
{
    invariant(!pthread_equal(pthread_self(), stream->request->http_thread));
    if (stream->dropped)
        return STATUS_OK;
    if (stream->encoder == NULL)
        return stream_put(stream, piece, end != HTTP_ENCODE_MORE, err);
    enum status status;
    do { /* in steps, so that what is encoded at once has a limit */
        struct slice step = slice_of(piece.data, piece.size < PIECE_MAX ? piece.size : PIECE_MAX);
        piece = slice_from(piece, step.size);
        bytes_clear(&stream->encoded);
        status = http_encode(stream->encoder, step, piece.size > 0 ? HTTP_ENCODE_MORE : end,
                             &stream->encoded);
        if (status != STATUS_OK)
            return fail_code(err, status, "out_of_memory", "no memory to compress the answer");
        status = stream_put(stream, bytes_slice(&stream->encoded),
                            piece.size == 0 && end != HTTP_ENCODE_MORE, err);
    } while (status == STATUS_OK && piece.size > 0);
    return status;
}

enum status http_stream_write(struct http_stream *stream, struct slice piece, struct error *err)
{
    if (piece.size == 0)
        return STATUS_OK;
    return stream_encode(stream, piece, HTTP_ENCODE_MORE, err);
}

enum status http_stream_flush(struct http_stream *stream, struct error *err)
{
    return stream_encode(stream, slice_of("", 0), HTTP_ENCODE_FLUSH, err);
}

void http_stream_set_trailers(struct http_stream *stream, const struct http_header *trailers,
                              size_t count)
{
    invariant(count <= HTTP_TRAILERS_MAX);
    mutex_lock(&stream->request->mutex);
    for (size_t i = 0; i < count; i++) {
        invariant(strlen(trailers[i].value) < HTTP_TRAILER_VALUE_SIZE);
        stream->trailers[i].name = trailers[i].name;
        strcpy(stream->trailers[i].value, trailers[i].value);
    }
    stream->trailer_count = count;
    mutex_unlock(&stream->request->mutex);
}

enum status http_stream_finish(struct http_stream *stream, struct error *err)
{
    struct http_request *request = stream->request;
    enum status status = STATUS_OK;
    if (stream->encoder != NULL)
        status = stream_encode(stream, slice_of("", 0), HTTP_ENCODE_LAST, err);
    if (status != STATUS_OK) {
        http_stream_abort(stream);
        return status;
    }
    mutex_lock(&request->mutex);
    if (stream->cancelled && !stream->dropped)
        status =
            fail_code(err, STATUS_CANCELLED, "client_left", "the client left, or the server stops");
    stream->finished = true;
    send_now(stream);
    mutex_unlock(&request->mutex);
    request_unref(request);
    return status;
}

void http_stream_abort(struct http_stream *stream)
{
    struct http_request *request = stream->request;
    mutex_lock(&request->mutex);
    stream->cut = true;
    send_now(stream);
    mutex_unlock(&request->mutex);
    request_unref(request);
}

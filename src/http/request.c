/*
 * request - one request from its first line to the last byte of its answer.
 *
 *   request_new (first line) -> request_begin (header) -> request_receive (pieces of the body)
 *   -> request_proceed (body complete: handler; again after each resume: answer)
 *   -> request_complete
 *
 * Two sides hold it: libmicrohttpd's until request_complete, the handler's until it answered (for
 * a stream: until that is ended). Either may end first. While the handler's side has not answered
 * the connection is suspended, and libmicrohttpd leaves it alone; that suspension and the answer
 * are decided under request->mutex, so neither can miss the other.
 */
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>

#include "base/invariant.h"
#include "http/header_bytes.h"
#include "http/internal.h"
#include "http/parameters.h"
#include "http/problem.h"

enum { MAX_HEADERS = 128, ID_FROM_CLIENT_MIN = 1 };

static struct slice find_header(const struct http_request *request, const char *name, size_t *count)
{
    struct slice found = slice_of(NULL, 0);
    size_t size = strlen(name);
    *count = 0;
    for (size_t i = 0; i < request->headers.count; i++) {
        const struct http_field *field = &request->headers.items[i];
        if (field->name.size != size ||
            strncasecmp((const char *)field->name.data, name, size) != 0)
            continue;
        if ((*count)++ == 0)
            found = field->value;
    }
    return found;
}

struct http_request *request_new(struct http_connection *connection, struct MHD_Connection *mhd,
                                 const char *target)
{
    struct http_server *server = connection->server;
    struct http_request *request = calloc(1, sizeof *request);
    if (request == NULL)
        return NULL;
    arena_init(&request->arena, server->options.request_memory);
    struct slice text = slice_from_text(target);
    request->sent_target = target;
    request->behind_target = target + text.size + 1;
    request->target_too_long = text.size > server->options.max_target_size;
    if (!request->target_too_long)
        request->target = arena_copy(&request->arena, text);
    if (request->target.data == NULL && !request->target_too_long) {
        arena_release(&request->arena);
        free(request);
        return NULL;
    }
    atomic_fetch_add(&server->references, 1);
    request->server = server;
    request->references = 2;
    request->connection = connection;
    request->mhd = mhd;
    request->method = "";
    request->start_ns = server_now_ns(server);
    request->http_thread = pthread_self();
    memcpy(request->peer, connection->peer, sizeof request->peer);
    mutex_init(&request->mutex);
    server_make_id(server, request->id);
    body_buffer_init(&request->body, 0, &server->bodies);
    mutex_lock(&connection->mutex);
    connection->request = request;
    if (!connection->header_begun) {
        connection->header_begun = true;
        connection->phase_ns = request->start_ns;
    }
    atomic_store(&request->cancelled, connection->peer_closed);
    mutex_unlock(&connection->mutex);
    return request;
}

static void let_go(struct http_request *request, unsigned sides)
{
    if (atomic_fetch_sub(&request->references, sides) > sides)
        return;
    if (request->response != NULL)
        MHD_destroy_response(request->response);
    stream_free(request->stream);
    body_buffer_release(&request->body);
    arena_release(&request->arena);
    mutex_release(&request->mutex);
    server_unref(request->server);
    free(request);
}

void request_unref(struct http_request *request)
{
    let_go(request, 1);
}

/* ------------------------------------------------------------------------------ the header */

struct header_copy {
    struct http_request *request;
    struct http_field *items;
    size_t count;
    bool failed;
    bool malformed;
    const char *end; /* of the value before, or of the request line */
};

static enum MHD_Result copy_header(void *context, enum MHD_ValueKind kind, const char *key,
                                   size_t key_size, const char *value, size_t value_size)
{
    (void)kind;
    struct header_copy *copy = context;
    struct arena *arena = &copy->request->arena;
    if (copy->count == MAX_HEADERS) {
        copy->failed = true;
        return MHD_NO;
    }
    size_t max = copy->request->server->options.max_header_size;
    copy->malformed =
        copy->malformed || !header_is_token(key, key_size) || header_is_cut(copy->end, key, max);
    copy->end = value == NULL ? key + key_size : value + value_size;
    struct http_field *field = &copy->items[copy->count++];
    field->name = arena_copy(arena, slice_of(key, key_size));
    field->value = arena_copy(arena, slice_of(value, value == NULL ? 0 : value_size));
    copy->failed = field->name.data == NULL || field->value.data == NULL;
    return copy->failed ? MHD_NO : MHD_YES;
}

/* `method` and `version` are libmicrohttpd's, at both ends of the request line. */
static enum status copy_headers(struct http_request *request, const char *method,
                                const char *version, struct error *err)
{
    int count = MHD_get_connection_values_n(request->mhd, MHD_HEADER_KIND, NULL, NULL);
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    size_t max = request->server->options.max_header_size;
    if (count > MAX_HEADERS || info == NULL || info->header_size > max)
        return fail_code(err, STATUS_LIMIT, "header_too_large",
                         "the header, with the request line, is larger than %zu bytes or has more "
                         "than %d lines: send fewer",
                         max, MAX_HEADERS);
    struct header_copy copy = {.request = request, .end = version + strlen(version)};
    copy.items = arena_calloc(&request->arena, (size_t)count + 1, sizeof *copy.items);
    if (copy.items != NULL)
        MHD_get_connection_values_n(request->mhd, MHD_HEADER_KIND, copy_header, &copy);
    if (copy.items == NULL || copy.failed)
        return fail_code(err, STATUS_MEMORY, "out_of_memory", "no memory for the header");
    request->headers = (struct http_fields){copy.items, copy.count};
    if (copy.malformed || header_is_cut(copy.end, method + info->header_size, max))
        return fail_code(err, STATUS_INVALID, "http_malformed",
                         "the name of a header is none, or a line of the header holds a byte 0");
    return STATUS_OK;
}

/* Ids of clients are echoed and logged: only short ones of harmless characters are taken. */
static void take_id(struct http_request *request)
{
    size_t count;
    struct slice id = find_header(request, "X-Request-Id", &count);
    if (count != 1 || id.size < ID_FROM_CLIENT_MIN || id.size > REQUEST_ID_SIZE)
        return;
    for (size_t i = 0; i < id.size; i++) {
        uint8_t byte = id.data[i];
        bool sane = (byte >= '0' && byte <= '9') ||
                    ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'z') || byte == '-' || byte == '_' ||
                    byte == '.' || byte == ':' || byte == '/';
        if (!sane)
            return;
    }
    memcpy(request->id, id.data, id.size);
    request->id[id.size] = '\0';
}

static enum status find_route(struct http_request *request, struct route_match *match,
                              struct error *err)
{
    const uint8_t *mark = memchr(request->target.data, '?', request->target.size);
    size_t path_size = mark == NULL ? request->target.size : (size_t)(mark - request->target.data);
    request->path = slice_of(request->target.data, path_size);
    struct slice query =
        mark == NULL ? slice_of("", 0) : slice_from(request->target, path_size + 1);
    routes_match(request->server->routes, request->method, request->path, match);
    request->route = match->route;
    if (match->route == NULL)
        return STATUS_OK;
    enum status status =
        parameter_decode(&request->arena, match->parameter, false, &request->parameter, err);
    if (status == STATUS_OK)
        status = parameters_parse(&request->arena, query, request->server->options.max_parameters,
                                  &request->query, err);
    return status;
}

/* How long the body is: what two readers could understand differently is refused. */
static enum status read_framing(struct http_request *request, bool *chunked, uint64_t *length,
                                struct error *err)
{
    size_t transfer_count, length_count;
    struct slice transfer = find_header(request, "Transfer-Encoding", &transfer_count);
    struct slice text = find_header(request, "Content-Length", &length_count);
    *chunked = transfer_count > 0;
    request->chunked = *chunked;
    *length = 0;
    request->has_body = *chunked;
    if (transfer_count > 1 || length_count > 1 || (transfer_count > 0 && length_count > 0) ||
        (*chunked && (transfer.size != 7 ||
                      strncasecmp((const char *)transfer.data, "chunked", transfer.size) != 0))) {
        request->has_body = true;
        return fail_code(err, STATUS_INVALID, "body_length_ambiguous",
                         "give the body's length once: by one Content-Length, or by "
                         "\"Transfer-Encoding: chunked\"");
    }
    for (size_t i = 0; i < text.size; i++) {
        uint64_t digit = text.data[i] - (uint64_t)'0';
        if (digit > 9 || __builtin_mul_overflow(*length, 10, length) ||
            __builtin_add_overflow(*length, digit, length)) {
            request->has_body = true;
            return fail_code(err, STATUS_INVALID, "body_length_ambiguous",
                             "Content-Length is no number");
        }
    }
    request->has_body = *chunked || *length > 0;
    return STATUS_OK;
}

static size_t limit_of(size_t route_limit, size_t server_limit)
{
    return route_limit == 0 ? server_limit : route_limit;
}

static bool coding_taken(const struct http_route *route, enum http_coding coding)
{
    switch (coding) {
    case HTTP_CODING_IDENTITY:
        return true;
    case HTTP_CODING_GZIP:
        return (route->codings & HTTP_TAKES_GZIP) != 0;
    case HTTP_CODING_ZSTD:
        return (route->codings & HTTP_TAKES_ZSTD) != 0;
    case HTTP_CODING_DEFLATE:
        return (route->codings & HTTP_TAKES_DEFLATE) != 0;
    case HTTP_CODING_SNAPPY:
        return (route->codings & HTTP_PASSES_SNAPPY) != 0;
    }
    return false;
}

static enum status read_coding(struct http_request *request, struct error *err)
{
    size_t count;
    struct slice header = find_header(request, "Content-Encoding", &count);
    if (count > 1)
        return fail_code(err, STATUS_UNSUPPORTED, "unsupported_content_encoding",
                         "more than one Content-Encoding: encode the body once");
    enum status status = http_coding_parse(header, &request->coding, err);
    if (status == STATUS_OK && !coding_taken(request->route, request->coding))
        status = fail_code(err, STATUS_UNSUPPORTED, "unsupported_content_encoding",
                           "%s does not take Content-Encoding %s", request->route->path,
                           http_coding_name(request->coding));
    return status;
}

/* Refuses by what the header tells, before a byte of the body is read or room for it made. */
static enum status expect_body(struct http_request *request, bool chunked, uint64_t length,
                               struct error *err)
{
    const struct http_options *options = &request->server->options;
    const struct http_route *route = request->route;
    if (!route->takes_body && !route->takes_form)
        return fail_code(err, STATUS_LIMIT, "body_not_taken", "%s %s takes no body",
                         request->method, route->path);
    enum status status = read_coding(request, err);
    if (status != STATUS_OK)
        return status;
    size_t max = request->coding == HTTP_CODING_IDENTITY
                     ? limit_of(route->max_decoded_size, options->max_decoded_size)
                     : limit_of(route->max_encoded_size, options->max_encoded_size);
    if (length > max)
        return fail_code(err, STATUS_LIMIT, "body_too_large",
                         "the body of %llu bytes is larger than the limit of %zu: send less at "
                         "once",
                         (unsigned long long)length, max);
    body_buffer_init(&request->body, max, &request->server->bodies);
    if (!chunked && body_buffer_expect(&request->body, (size_t)length) != STATUS_OK)
        return fail_code(err, STATUS_MEMORY, "out_of_memory", "no memory for a body of %llu bytes",
                         (unsigned long long)length);
    return STATUS_OK;
}

static void refuse_by_status(struct http_request *request, const struct error *err)
{
    switch (err->status) {
    case STATUS_LIMIT:
        request_refuse(request, 413, err, HTTP_REFUSED_TOO_LARGE);
        return;
    case STATUS_UNSUPPORTED:
        request_refuse(request, 415, err, HTTP_REFUSED_MALFORMED);
        return;
    case STATUS_BUSY:
    case STATUS_MEMORY:
        request_refuse(request, 503, err, HTTP_REFUSED_MEMORY);
        return;
    default:
        request_refuse(request, 400, err, HTTP_REFUSED_MALFORMED);
        return;
    }
}

static void answer_without_route(struct http_request *request, const struct route_match *match)
{
    struct error err = {0};
    if (!match->path_found) {
        fail_code(&err, STATUS_NOT_FOUND, "not_found", "there is nothing at %.*s",
                  SLICE_FORMAT(request->path));
        request_refuse(request, 404, &err, HTTP_REFUSAL_COUNT);
        return;
    }
    struct http_header allow = {"Allow", match->allow};
    struct http_answer answer = {.status = 204, .headers = &allow, .header_count = 1};
    bytes_init(&answer.body, PROBLEM_MAX_SIZE);
    if (strcmp(request->method, "OPTIONS") == 0) {
        http_respond(request, answer);
        return;
    }
    char detail[256];
    snprintf(detail, sizeof detail, "%.*s takes %s", SLICE_FORMAT(request->path), match->allow);
    struct http_problem problem = {.status = 405, .code = "method_not_allowed", .detail = detail};
    answer.status = 405;
    answer.content_type = "application/problem+json";
    if (problem_render(&answer.body, &problem, slice_from_text(request->id)) != STATUS_OK)
        bytes_clear(&answer.body);
    http_respond(request, answer);
}

static void refuse_target(struct http_request *request)
{
    struct error err = {0};
    fail_code(&err, STATUS_LIMIT, "target_too_long",
              "the URL is longer than %zu bytes: send long queries as a form by POST",
              request->server->options.max_target_size);
    request_refuse(request, 414, &err, HTTP_REFUSED_TOO_LARGE);
}

/* Everything that can be decided before the body. Answers where it refuses. */
static void read_head(struct http_request *request, const char *method, const char *version)
{
    struct error err = {0};
    struct route_match match;
    bool chunked = false;
    uint64_t length = 0;
    size_t count;
    enum status head = copy_headers(request, method, version, &err);
    size_t most = request->server->options.max_header_size;
    if (head == STATUS_OK && (header_is_cut(method + strlen(method), request->sent_target, most) ||
                              header_is_cut(request->behind_target, version, most)))
        head = fail_code(&err, STATUS_INVALID, "http_malformed", "the request line holds a byte 0");
    if (head == STATUS_INVALID) {
        request->has_body = true;
        refuse_by_status(request, &err);
        return;
    }
    if (head != STATUS_OK) {
        request->has_body = true; /* not known: the connection is closed after the answer */
        /* Of a header that is too large with the URL in it, and for its sake. */
        if (head == STATUS_LIMIT && request->target_too_long) {
            refuse_target(request);
            return;
        }
        request_refuse(request, err.status == STATUS_LIMIT ? 431 : 503, &err,
                       err.status == STATUS_LIMIT ? HTTP_REFUSED_TOO_LARGE : HTTP_REFUSED_MEMORY);
        return;
    }
    take_id(request);
    enum status status = read_framing(request, &chunked, &length, &err);
    if (status == STATUS_OK && request->target_too_long) {
        refuse_target(request);
        return;
    }
    find_header(request, "Host", &count);
    if (status == STATUS_OK && (count > 1 || (count == 0 && strcmp(version, "HTTP/1.1") == 0)))
        status = fail_code(&err, STATUS_INVALID, "host_missing", "give one header Host");
    if (status == STATUS_OK) {
        status = find_route(request, &match, &err);
        if (status == STATUS_LIMIT) {
            request_refuse(request, 400, &err, HTTP_REFUSED_TOO_LARGE);
            return;
        }
    }
    if (status == STATUS_OK && request->route == NULL) {
        answer_without_route(request, &match);
        return;
    }
    if (status == STATUS_OK && request->route->compresses)
        request->answer_coding =
            http_coding_choose(find_header(request, "Accept-Encoding", &count));
    if (status == STATUS_OK && request->has_body)
        status = expect_body(request, chunked, length, &err);
    if (status != STATUS_OK)
        refuse_by_status(request, &err);
}

static enum MHD_Result queue_answer(struct http_request *request)
{
    mutex_lock(&request->mutex);
    invariant(request->answered && !request->queued);
    struct MHD_Response *response = request->response;
    request->response = NULL;
    request->queued = true;
    unsigned status = request->status;
    mutex_unlock(&request->mutex);
    if (response == NULL)
        return MHD_NO;
    connection_enter(request->connection, PHASE_SENDING);
    enum MHD_Result result = MHD_queue_response(request->mhd, status, response);
    MHD_destroy_response(response);
    return result;
}

enum MHD_Result request_begin(struct http_request *request, const char *method, const char *version)
{
    request->begun = true;
    request->start_ns = server_now_ns(request->server);
    struct slice copy = arena_copy(&request->arena, slice_of(method, strlen(method) + 1));
    if (copy.data == NULL)
        return MHD_NO;
    request->method = (const char *)copy.data;
    read_head(request, method, version);
    /* An answer in place of the body: the rest is not read, the connection closes after it.
     * Without a body it waits for the last call, which leaves the connection open. */
    if (!request->answered && request->has_body)
        connection_enter(request->connection, PHASE_BODY);
    if (!request->answered || !request->has_body)
        return MHD_YES;
    request->dispatched = true;
    mutex_lock(&request->connection->mutex);
    request->connection->linger = true;
    mutex_unlock(&request->connection->mutex);
    return queue_answer(request);
}

/* ------------------------------------------------------------------------------ the body */

/*
 * Refuses in the middle of a body, where libmicrohttpd takes no answer: on the bare socket. What
 * still comes is read and dropped, until the client has seen that or the reaper ends it.
 */
static void refuse_in_body(struct http_request *request, enum status status)
{
    struct http_problem problem = {.status = 413,
                                   .code = "body_too_large",
                                   .detail =
                                       "the body is larger than its limit: send less at once"};
    if (status != STATUS_LIMIT) {
        problem.status = 503;
        problem.code = status == STATUS_BUSY ? "bodies_memory" : "out_of_memory";
        problem.detail = "the memory for request bodies is used up: try again later";
        problem.retry_after_s = 1;
    }
    server_refuse(request->server,
                  status == STATUS_LIMIT ? HTTP_REFUSED_TOO_LARGE : HTTP_REFUSED_MEMORY);
    struct http_connection *connection = request->connection;
    body_buffer_release(&request->body);
    request->dropped = true;
    mutex_lock(&connection->mutex);
    if (!connection->ended) {
        connection->linger = true;
        connection_end(connection, &problem);
    }
    mutex_unlock(&connection->mutex);
    mutex_lock(&request->mutex);
    request->status = problem.status;
    mutex_unlock(&request->mutex);
}

void request_receive(struct http_request *request, struct slice bytes)
{
    request->bytes_in += bytes.size;
    if (request->dropped)
        return;
    enum status status = body_buffer_append(&request->body, bytes.data, bytes.size);
    if (status != STATUS_OK)
        refuse_in_body(request, status);
}

static enum status decode_body(struct http_request *request, struct error *err)
{
    bool decodes = request->coding != HTTP_CODING_IDENTITY && request->coding != HTTP_CODING_SNAPPY;
    if (!decodes || !request->has_body)
        return STATUS_OK;
    struct body_buffer decoded;
    body_buffer_init(
        &decoded,
        limit_of(request->route->max_decoded_size, request->server->options.max_decoded_size),
        &request->server->bodies);
    enum status status = http_decode(
        request->coding, slice_of(request->body.data, request->body.size), &decoded, err);
    body_buffer_release(&request->body);
    if (status == STATUS_OK)
        request->body = decoded;
    else
        body_buffer_release(&decoded);
    return status;
}

static enum status parse_form(struct http_request *request, struct error *err)
{
    if (!request->route->takes_form || !request->has_body)
        return STATUS_OK;
    if (!http_request_content_type_is(request, "application/x-www-form-urlencoded")) {
        if (request->route->takes_body)
            return STATUS_OK;
        return fail_code(err, STATUS_UNSUPPORTED, "unsupported_media_type",
                         "%s takes a body of application/x-www-form-urlencoded only",
                         request->route->path);
    }
    /* What a form makes is as large as the body, and bounded with all bodies. */
    enum status status = arena_join(&request->arena, &request->server->bodies);
    if (status != STATUS_OK)
        return fail_code(err, status, "bodies_memory",
                         "the memory for request bodies is used up: try again later");
    status = parameters_parse(&request->arena, slice_of(request->body.data, request->body.size),
                              request->server->options.max_parameters, &request->form, err);
    /* Too many of them are answered as in the URL, by 400. */
    if (status == STATUS_LIMIT)
        err->status = STATUS_INVALID;
    return status;
}

/* Notes how far the connection is. What a chunked body took is not known to the byte. */
static void note_bytes(struct http_request *request)
{
    struct http_connection *connection = request->connection;
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(request->mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    connection->request_bytes = connection_bytes_read(connection->fd);
    connection->request_end += (info == NULL ? 0 : info->header_size) + request->bytes_in;
    connection->leaves_bytes =
        request->chunked || connection->request_end != connection->request_bytes;
    if (request->chunked)
        connection->request_end = connection->request_bytes;
}

static void dispatch(struct http_request *request)
{
    struct error err = {0};
    request->dispatched = true;
    note_bytes(request);
    if (request->answered) /* refused by the header of a request without a body */
        return;
    if (decode_body(request, &err) != STATUS_OK || parse_form(request, &err) != STATUS_OK) {
        refuse_by_status(request, &err);
        return;
    }
    connection_enter(request->connection, PHASE_HANDLING);
    request->route->handler(request, request->route->context);
}

static void answer_in_place(struct http_request *request);

enum MHD_Result request_proceed(struct http_request *request)
{
    if (request->dropped)
        return MHD_NO;
    if (!request->dispatched)
        dispatch(request);
    mutex_lock(&request->mutex);
    if (!request->answered && atomic_load(&request->server->stopping))
        answer_in_place(request);
    bool answered = request->answered;
    if (!answered) {
        request->suspended = true;
        MHD_suspend_connection(request->mhd);
    }
    mutex_unlock(&request->mutex);
    return answered ? queue_answer(request) : MHD_YES;
}

/* ------------------------------------------------------------------------------ the end */

/* request->mutex is held. */
static void resume(struct http_request *request)
{
    if (!request->suspended)
        return;
    request->suspended = false;
    MHD_resume_connection(request->mhd);
}

/* A 503 for the client of a handler that did not answer before the server stopped; what the
 * handler answers later is dropped. request->mutex is held. */
static void answer_in_place(struct http_request *request)
{
    const struct http_problem problem = {
        .status = 503, .code = "stopping", .detail = "the server is stopping: try again later"};
    const struct http_header retry = {"Retry-After", "1"};
    struct bytes body;
    bytes_init(&body, PROBLEM_MAX_SIZE);
    if (problem_render(&body, &problem, slice_from_text(request->id)) != STATUS_OK)
        bytes_clear(&body);
    request->answered = true;
    request->forced = true;
    request->status = problem.status;
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback(body.size, body.data, &free);
    if (response == NULL)
        bytes_release(&body);
    else
        request->response =
            response_finish(request, response, "application/problem+json", &retry, 1);
}

/* request->mutex is held. */
static void cancel(struct http_request *request)
{
    atomic_store(&request->cancelled, true);
    if (request->cancel != NULL)
        request->cancel(request->cancel_context);
    request->cancel = NULL;
}

void request_client_left(struct http_request *request, bool gone)
{
    mutex_lock(&request->mutex);
    cancel(request);
    if (gone && request->stream != NULL) {
        stream_cancel(request->stream);
        resume(request);
    }
    mutex_unlock(&request->mutex);
}

void request_stop(struct http_request *request)
{
    mutex_lock(&request->mutex);
    cancel(request);
    if (request->stream != NULL)
        stream_cancel(request->stream);
    if (!request->answered && request->suspended)
        answer_in_place(request);
    resume(request);
    mutex_unlock(&request->mutex);
}

static void report(struct http_request *request, bool complete)
{
    struct http_server *server = request->server;
    unsigned status = request->status;
    if (status == 0 || (!complete && request->queued))
        status = 499;
    if (status == 499)
        atomic_fetch_add_explicit(&server->clients_left, 1, memory_order_relaxed);
    if (strcmp(request->method, "HEAD") == 0)
        request->bytes_out = 0;
    unsigned class = status / 100;
    atomic_fetch_add_explicit(&server->requests_by_class[class < 6 ? class : 0], 1,
                              memory_order_relaxed);
    atomic_fetch_add_explicit(&server->bytes_in, request->bytes_in, memory_order_relaxed);
    atomic_fetch_add_explicit(&server->bytes_out, request->bytes_out, memory_order_relaxed);
    struct http_access access = {
        .route = request->route,
        .method = request->method,
        .path = request->path,
        .request_id = slice_from_text(request->id),
        .peer = slice_from_text(request->peer),
        .status = status,
        .bytes_in = request->bytes_in,
        .bytes_out = request->bytes_out,
        .duration_ns = server_now_ns(server) - request->start_ns,
    };
    if (server->options.access != NULL)
        server->options.access(server->options.access_context, &access);
}

void request_complete(struct http_request *request, bool sent)
{
    struct http_connection *connection = request->connection;
    mutex_lock(&connection->mutex);
    connection->request = NULL;
    mutex_unlock(&connection->mutex);
    mutex_lock(&request->mutex);
    request->mhd = NULL;
    bool complete = sent && (request->stream == NULL || stream_is_complete(request->stream));
    if (request->stream != NULL)
        stream_cancel(request->stream);
    bool handler_side = request->dispatched || request->answered;
    if (request->begun)
        report(request, complete);
    mutex_unlock(&request->mutex);
    request->connection = NULL;
    /* Where the client left before a handler or a refusal took it over, there is no other side. */
    let_go(request, handler_side ? 1 : 2);
}

/* ------------------------------------------------------------------------------ accessors */

struct slice http_request_parameter(const struct http_request *request)
{
    return request->parameter;
}

struct http_fields http_request_query(const struct http_request *request)
{
    return request->query;
}

struct http_fields http_request_form(const struct http_request *request)
{
    return request->form;
}

bool http_request_header(const struct http_request *request, const char *name, struct slice *value)
{
    size_t count;
    *value = find_header(request, name, &count);
    return count > 0;
}

static bool field_find(struct http_fields fields, const char *name, struct slice *value)
{
    for (size_t i = 0; i < fields.count; i++)
        if (slice_equal_text(fields.items[i].name, name)) {
            *value = fields.items[i].value;
            return true;
        }
    return false;
}

bool http_request_field(const struct http_request *request, const char *name, struct slice *value)
{
    *value = slice_of(NULL, 0);
    return field_find(request->query, name, value) || field_find(request->form, name, value);
}

struct slice http_request_body(const struct http_request *request)
{
    return slice_of(request->body.data, request->body.size);
}

struct slice http_request_peer(const struct http_request *request)
{
    return slice_from_text(request->peer);
}

struct arena *http_request_arena(struct http_request *request)
{
    return &request->arena;
}

bool http_request_content_type_is(const struct http_request *request, const char *type)
{
    size_t count;
    struct slice header = find_header(request, "Content-Type", &count);
    size_t size = strlen(type);
    if (header.data == NULL || header.size < size ||
        strncasecmp((const char *)header.data, type, size) != 0)
        return false;
    return header.size == size || header.data[size] == ';' || header.data[size] == ' ' ||
           header.data[size] == '\t';
}

bool http_request_cancelled(const struct http_request *request)
{
    return atomic_load(&request->cancelled);
}

void http_request_on_cancel(struct http_request *request, http_cancel *callback, void *context)
{
    mutex_lock(&request->mutex);
    request->cancel = callback;
    request->cancel_context = context;
    if (atomic_load(&request->cancelled))
        cancel(request);
    mutex_unlock(&request->mutex);
}

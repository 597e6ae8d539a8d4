/*
 * library_refusal - what libmicrohttpd refuses before we see a request: no request line, a version
 * that it does not speak, malformed header lines, lengths and chunks, too little room for them.
 *
 * It would answer in HTML of its own, and for a chunk line that is too long with 500. It takes no
 * other answer, but writes a line to its log right before it sends, on the connection's own HTTP
 * thread. So the problem goes out on the bare socket at that moment, as for a slow client, and the
 * library finds a socket that sends nothing any more.
 *
 * The line names no connection. It is the only one of this thread that may be read just now:
 *
 *   HEADER    bytes were read since its last request was complete; or its last request left bytes
 * in the library's buffer, and nothing else was called on this thread since BODY      chunked; a
 * length that is given cannot be malformed any more
 *
 * Where there are several of these the library's own answer stands: an innocent client must not be
 * ended. It is counted all the same.
 */
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>

#include "http/internal.h"

static const char refusal_format[] = "Error processing request (HTTP response code is %u";

/* Whether anything was read since the last request was complete. What comes between the two calls
 * is counted as read: that can hide the right connection among others, and never leaves it out. */
static bool was_read(const struct http_connection *connection)
{
    int unread = 0;
    if (ioctl(connection->fd, FIONREAD, &unread) != 0)
        return true;
    uint64_t received = connection_bytes_received(connection->fd);
    return received - (uint64_t)unread != connection->request_bytes;
}

/* connection->mutex is held. */
static bool may_be_refused(const struct worker *worker, const struct http_connection *connection)
{
    switch (connection->phase) {
    case PHASE_HEADER:
        return was_read(connection) ||
               (connection->leaves_bytes && worker->last_called == connection->generation);
    case PHASE_BODY:
        return connection->request != NULL && connection->request->chunked;
    case PHASE_HANDLING:
    case PHASE_SENDING:
        return false;
    }
    return false;
}

/* NULL where it could be one of several. server.mutex is held. */
static struct http_connection *find_refused(struct worker *worker)
{
    struct http_server *server = worker->server;
    struct http_connection *found = NULL;
    for (size_t i = 0; i < server->connection_slots; i++) {
        struct http_connection *connection = server->connections[i];
        if (connection == NULL || connection->worker != worker)
            continue;
        mutex_lock(&connection->mutex);
        bool may_be = may_be_refused(worker, connection);
        mutex_unlock(&connection->mutex);
        if (may_be && found != NULL)
            return NULL;
        if (may_be)
            found = connection;
    }
    return found;
}

static struct http_problem problem_of(unsigned status, bool in_body)
{
    struct http_problem problem = {.status = status};
    switch (status) {
    case 413:
        problem.code = "body_too_large";
        problem.detail = "the length of the body, or of a chunk, is larger than any limit";
        break;
    case 414:
        problem.code = "target_too_long";
        problem.detail = "the request line is too long: send long queries as a form by POST";
        break;
    case 431:
        problem.code = "header_too_large";
        problem.detail = "the header, or what follows the last chunk, is too large";
        break;
    case 505:
        problem.status = 400;
        problem.code = "http_malformed";
        problem.detail = "this version of HTTP is not spoken here: use HTTP/1.1";
        break;
    default:
        problem.status = 400;
        problem.code = "http_malformed";
        problem.detail = in_body ? "the body's chunks are malformed, or the line before one is too "
                                   "long: check \"Transfer-Encoding: chunked\""
                                 : "this is no HTTP/1.1: the request line, a line of the header or "
                                   "the Content-Length is malformed";
        break;
    }
    return problem;
}

/* connection->mutex is held. */
static void answer(struct http_connection *connection, unsigned status)
{
    if (connection->ended)
        return;
    struct http_problem problem = problem_of(status, connection->phase == PHASE_BODY);
    struct http_request *request = connection->request;
    if (request != NULL) {
        mutex_lock(&request->mutex);
        if (request->status == 0)
            request->status = problem.status;
        mutex_unlock(&request->mutex);
    }
    connection->linger = true;
    connection_end(connection, &problem);
}

void library_log(void *context, const char *format, va_list arguments)
{
    struct worker *worker = context;
    if (strncmp(format, refusal_format, sizeof refusal_format - 1) != 0)
        return;
    unsigned status = va_arg(arguments, unsigned);
    struct http_server *server = worker->server;
    server_refuse(server, status == 413 || status == 414 || status == 431 ? HTTP_REFUSED_TOO_LARGE
                                                                          : HTTP_REFUSED_MALFORMED);
    mutex_lock(&server->mutex);
    struct http_connection *connection = find_refused(worker);
    if (connection != NULL) {
        mutex_lock(&connection->mutex);
        answer(connection, status);
        mutex_unlock(&connection->mutex);
    }
    mutex_unlock(&server->mutex);
}

/*
 * respond - from an answer of a handler to one of libmicrohttpd.
 */
#include <stdio.h>
#include <stdlib.h>

#include "base/invariant.h"
#include "http/internal.h"
#include "http/problem.h"

/* Compressed answers may be larger than the plain ones by this at most. */
enum { ENCODE_SLACK = 64 << 10 };

static bool add_header(struct MHD_Response *response, const char *name, const char *value)
{
    return MHD_add_response_header(response, name, value) == MHD_YES;
}

struct MHD_Response *response_finish(struct http_request *request, struct MHD_Response *response,
                                     const char *content_type, const struct http_header *headers,
                                     size_t header_count)
{
    bool added = add_header(response, "X-Request-Id", request->id);
    if (added && content_type != NULL)
        added = add_header(response, "Content-Type", content_type);
    if (added && request->route != NULL && request->route->compresses)
        added = add_header(response, "Vary", "Accept-Encoding");
    for (size_t i = 0; i < header_count && added; i++)
        added = add_header(response, headers[i].name, headers[i].value);
    if (added && atomic_load(&request->server->draining))
        added = add_header(response, "Connection", "close");
    if (added)
        return response;
    MHD_destroy_response(response);
    return NULL;
}

/* Where it pays, replaces `body` by its compressed form and names the coding. */
static const char *compress(struct http_request *request, unsigned status, struct bytes *body)
{
    enum http_coding coding = request->answer_coding;
    if (coding == HTTP_CODING_IDENTITY || status != 200 ||
        body->size < request->server->options.compress_above_size || body->size > UINT32_MAX)
        return NULL;
    struct http_encoder *encoder = http_encoder_new(coding);
    struct bytes encoded;
    bytes_init(&encoded, body->size + ENCODE_SLACK);
    bool smaller =
        encoder != NULL &&
        http_encode(encoder, bytes_slice(body), HTTP_ENCODE_LAST, &encoded) == STATUS_OK &&
        encoded.size < body->size;
    http_encoder_free(encoder);
    if (!smaller) {
        bytes_release(&encoded);
        return NULL;
    }
    bytes_release(body);
    *body = encoded;
    return http_coding_name(coding);
}

/* Takes the body. NULL without heap, or where a header cannot stand in an answer. */
static struct MHD_Response *make_response(struct http_request *request, struct http_answer *answer)
{
    const char *coding = compress(request, answer->status, &answer->body);
    struct MHD_Response *response = MHD_create_response_from_buffer_with_free_callback(
        answer->body.size, answer->body.data, &free);
    if (response == NULL) {
        bytes_release(&answer->body);
        return NULL;
    }
    if (coding != NULL && !add_header(response, "Content-Encoding", coding)) {
        MHD_destroy_response(response);
        return NULL;
    }
    return response_finish(request, response, answer->content_type, answer->headers,
                           answer->header_count);
}

void http_respond(struct http_request *request, struct http_answer answer)
{
    invariant(answer.status >= 200 && answer.status <= 599);
    struct MHD_Response *response = make_response(request, &answer);
    uint64_t bytes = response == NULL ? 0 : answer.body.size;
    /* The body is not needed any more, and its client may be slow to take the answer. */
    body_buffer_release(&request->body);
    mutex_lock(&request->mutex);
    invariant(!request->answered || request->forced);
    if (!request->forced && request->mhd != NULL) {
        request->response = response;
        request->status = answer.status;
        request->bytes_out = bytes;
        response = NULL;
    }
    request->answered = true;
    request->cancel = NULL;
    if (request->suspended) {
        request->suspended = false;
        MHD_resume_connection(request->mhd);
    }
    mutex_unlock(&request->mutex);
    if (response != NULL)
        MHD_destroy_response(response);
    request_unref(request);
}

void http_respond_problem(struct http_request *request, const struct http_problem *problem)
{
    struct http_answer answer = {.status = problem->status,
                                 .content_type = "application/problem+json"};
    bytes_init(&answer.body, PROBLEM_MAX_SIZE);
    /* Without memory for the document the status alone must do. */
    if (problem_render(&answer.body, problem, slice_from_text(request->id)) != STATUS_OK)
        bytes_clear(&answer.body);
    char seconds[16];
    struct http_header retry = {"Retry-After", seconds};
    if (problem->retry_after_s > 0) {
        snprintf(seconds, sizeof seconds, "%u", problem->retry_after_s);
        answer.headers = &retry;
        answer.header_count = 1;
    }
    http_respond(request, answer);
}

void request_refuse(struct http_request *request, unsigned status, const struct error *err,
                    enum http_refusal refusal)
{
    if (refusal < HTTP_REFUSAL_COUNT)
        server_refuse(request->server, refusal);
    struct http_problem problem = {
        .status = status,
        .code = err->code == NULL ? "malformed" : err->code,
        .detail = err->message,
        .retry_after_s = status == 503 ? 1 : 0,
    };
    http_respond_problem(request, &problem);
}

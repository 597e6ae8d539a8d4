#include "api/answers.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/json_text.h"

enum { ANSWER_MAX = 1024 * 1024, RETRY_AFTER_S = 1, RETRY_AFTER_DISK_S = 10 };

struct mapping {
    enum status status;
    unsigned http;
    const char *code;
    unsigned retry_after_s;
};

static const struct mapping mappings[] = {
    {STATUS_INVALID, 400, "invalid_request", 0},
    {STATUS_UNSUPPORTED, 422, "unsupported", 0},
    {STATUS_NOT_FOUND, 404, "not_found", 0},
    {STATUS_CONFLICT, 409, "conflict", 0},
    {STATUS_LIMIT, 422, "limit", 0},
    {STATUS_BUSY, 503, "busy", RETRY_AFTER_S},
    {STATUS_CANCELLED, 499, "cancelled", 0},
    {STATUS_TIMEOUT, 503, "timeout", RETRY_AFTER_S},
    {STATUS_MEMORY, 503, "out_of_memory", RETRY_AFTER_S},
    {STATUS_IO, 503, "io_error", RETRY_AFTER_S},
    {STATUS_NO_SPACE, 507, "disk_full", RETRY_AFTER_DISK_S},
    {STATUS_CORRUPT, 500, "data_damaged", 0},
    {STATUS_UNAVAILABLE, 503, "unavailable", RETRY_AFTER_DISK_S},
};

static const struct mapping *mapping_of(enum status status)
{
    for (size_t i = 0; i < sizeof mappings / sizeof mappings[0]; i++)
        if (mappings[i].status == status)
            return &mappings[i];
    static const struct mapping internal = {STATUS_OK, 500, "internal", 0};
    return &internal;
}

const char *answer_code(enum status status, const struct error *err)
{
    return err->code != NULL ? err->code : mapping_of(status)->code;
}

void answer_error(struct http_request *request, enum status status, const struct error *err)
{
    const struct mapping *mapping = mapping_of(status);
    struct http_problem problem = {
        .status = mapping->http,
        .code = answer_code(status, err),
        .detail = err->message,
        .retry_after_s = mapping->retry_after_s,
    };
    /* A body over a limit of its format is too large, whoever noticed it. */
    if (status == STATUS_LIMIT && err->code != NULL &&
        (strcmp(err->code, "body_too_large") == 0 || strcmp(err->code, "sample_too_large") == 0))
        problem.status = 413;
    http_respond_problem(request, &problem);
}

static enum status put_rejection(struct bytes *to, const struct batch_rejection *rejection)
{
    enum status status = bytes_format(to, "{\"index\":%u", rejection->index);
    if (status == STATUS_OK && rejection->line != 0)
        status = bytes_format(to, ",\"line\":%u", rejection->line);
    if (status == STATUS_OK)
        status = bytes_format(to, ",\"code\":\"%s\"", rejection->code);
    if (status == STATUS_OK && rejection->metric.size > 0) {
        status = bytes_append_text(to, ",\"metric\":");
        if (status == STATUS_OK)
            status = json_append_string(to, rejection->metric);
    }
    if (status == STATUS_OK)
        status = bytes_append_text(to, ",\"message\":");
    if (status == STATUS_OK)
        status = json_append_string(to, rejection->message);
    return status == STATUS_OK ? bytes_append_text(to, "}") : status;
}

/* By place in the request: what a parser refused stands before what admission did. */
static int compare_rejections(const void *a, const void *b)
{
    const struct batch_rejection *left = *(const struct batch_rejection *const *)a;
    const struct batch_rejection *right = *(const struct batch_rejection *const *)b;
    if (left->index != right->index)
        return left->index < right->index ? -1 : 1;
    return (left->line > right->line) - (left->line < right->line);
}

static void order_rejections(const struct batch *batch, const struct batch_rejection **ordered)
{
    for (size_t i = 0; i < batch->rejection_count; i++)
        ordered[i] = &batch->rejections[i];
    if (batch->rejection_count > 1)
        qsort(ordered, batch->rejection_count, sizeof ordered[0], compare_rejections);
}

/* The members of the answer, without the braces around them. */
static enum status put_members(struct bytes *to, const struct batch *batch)
{
    const struct batch_rejection *ordered[BATCH_MAX_REJECTIONS];
    order_rejections(batch, ordered);
    enum status status =
        bytes_format(to, "\"accepted\":%zu,\"rejected\":%" PRIu64 ",\"new_series\":%u,\"errors\":[",
                     batch->sample_count, batch->rejected, batch->new_series);
    for (size_t i = 0; i < batch->rejection_count && status == STATUS_OK; i++) {
        if (i > 0)
            status = bytes_append_text(to, ",");
        if (status == STATUS_OK)
            status = put_rejection(to, ordered[i]);
    }
    if (status == STATUS_OK)
        status = bytes_format(to, "],\"errors_truncated\":%s,\"warnings\":[",
                              batch->listing_full ? "true" : "false");
    for (size_t i = 0; i < batch->warning_count && status == STATUS_OK; i++) {
        if (i > 0)
            status = bytes_append_text(to, ",");
        if (status == STATUS_OK)
            status = json_append_string(to, batch->warnings[i]);
    }
    return status == STATUS_OK ? bytes_append_text(to, "]") : status;
}

/* Whether all of it comes in when it is sent again later. */
static bool refused_by_rate_alone(const struct batch *batch)
{
    return batch->rejected > 0 && batch->reason_count == 1 &&
           strcmp(batch->reasons[0].code, "series_rate_limit") == 0;
}

static void answer_refused(struct http_request *request, const struct batch *batch,
                           struct slice members)
{
    char detail[ERROR_MESSAGE_SIZE];
    const struct batch_rejection *ordered[BATCH_MAX_REJECTIONS];
    order_rejections(batch, ordered);
    const struct batch_rejection *first = batch->rejection_count > 0 ? ordered[0] : NULL;
    snprintf(detail, sizeof detail, "%" PRIu64 " of %" PRIu64 " samples were refused%s%.*s",
             batch->rejected, batch->rejected + batch->sample_count,
             first == NULL ? "" : "; the first: ", first == NULL ? 0 : (int)first->message.size,
             first == NULL ? "" : (const char *)first->message.data);
    bool by_rate = refused_by_rate_alone(batch);
    http_respond_problem(request, &(struct http_problem){
                                      .status = by_rate ? 429 : 400,
                                      .code = by_rate ? "series_rate_limit" : "samples_refused",
                                      .detail = detail,
                                      .retry_after_s = by_rate ? 1 : 0,
                                      .members = members,
                                  });
}

static void answer_counts(struct http_request *request, const struct batch *batch, bool refused)
{
    struct bytes body;
    bytes_init(&body, ANSWER_MAX);
    enum status status = refused ? STATUS_OK : bytes_append_text(&body, "{");
    if (status == STATUS_OK)
        status = put_members(&body, batch);
    if (status == STATUS_OK && !refused)
        status = bytes_append_text(&body, "}\n");
    if (status != STATUS_OK) {
        bytes_release(&body);
        struct error err;
        answer_error(request, STATUS_MEMORY,
                     (fail(&err, STATUS_MEMORY,
                           "the samples were handled, but there is no memory for the answer"),
                      &err));
        return;
    }
    if (refused) {
        answer_refused(request, batch, bytes_slice(&body));
        bytes_release(&body);
        return;
    }
    http_respond(request, (struct http_answer){
                              .status = 200,
                              .content_type = "application/json",
                              .body = body,
                          });
}

void answer_batch(struct http_request *request, const struct batch *batch)
{
    answer_counts(request, batch, batch->sample_count == 0 && batch->rejected > 0);
}

void answer_remote_write(struct http_request *request, const struct batch *batch)
{
    if (batch->rejected == 0)
        http_respond(request, (struct http_answer){.status = 204});
    else
        answer_counts(request, batch, true);
}

#include "http/problem.h"

#include <microhttpd.h>

#include "base/json_text.h"

const char *problem_title(unsigned status)
{
    if (status == 499)
        return "Client Closed Request";
    const char *title = MHD_get_reason_phrase_for(status);
    return title == NULL ? "Error" : title;
}

static enum status append_member(struct bytes *to, const char *before, struct slice text)
{
    enum status status = bytes_append_text(to, before);
    return status == STATUS_OK ? json_append_string(to, text) : status;
}

enum status problem_render(struct bytes *to, const struct http_problem *problem,
                           struct slice request_id)
{
    enum status status = append_member(to, "{\"type\":\"about:blank\",\"title\":",
                                       slice_from_text(problem_title(problem->status)));
    if (status == STATUS_OK)
        status = bytes_format(to, ",\"status\":%u", problem->status);
    if (status == STATUS_OK)
        status = append_member(to, ",\"code\":", slice_from_text(problem->code));
    if (status == STATUS_OK)
        status = append_member(to, ",\"detail\":", slice_from_text(problem->detail));
    if (status == STATUS_OK)
        status = append_member(to, ",\"request_id\":", request_id);
    if (status == STATUS_OK && problem->members.size > 0)
        status = bytes_append_text(to, ",");
    if (status == STATUS_OK)
        status = bytes_append(to, problem->members.data, problem->members.size);
    return status == STATUS_OK ? bytes_append_text(to, "}\n") : status;
}

enum status problem_render_answer(struct bytes *to, const struct http_problem *problem,
                                  struct slice request_id)
{
    struct bytes body;
    bytes_init(&body, PROBLEM_MAX_SIZE);
    enum status status = problem_render(&body, problem, request_id);
    if (status == STATUS_OK)
        status = bytes_format(to,
                              "HTTP/1.1 %u %s\r\nConnection: close\r\n"
                              "Content-Type: application/problem+json\r\nX-Request-Id: %.*s\r\n"
                              "Content-Length: %zu\r\n",
                              problem->status, problem_title(problem->status),
                              SLICE_FORMAT(request_id), body.size);
    if (status == STATUS_OK && problem->retry_after_s > 0)
        status = bytes_format(to, "Retry-After: %u\r\n", problem->retry_after_s);
    if (status == STATUS_OK)
        status = bytes_append_text(to, "\r\n");
    if (status == STATUS_OK)
        status = bytes_append(to, body.data, body.size);
    bytes_release(&body);
    return status;
}

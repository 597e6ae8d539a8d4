/*
 * system - is it alive, is it ready.
 */
#include "api/api_internal.h"

static void respond_text(struct http_request *request, unsigned status, const char *text)
{
    struct bytes body;
    bytes_init(&body, 256);
    enum status appended = bytes_append_text(&body, text);
    (void)appended; /* an answer without a body still says it by its status */
    http_respond(request, (struct http_answer){
                              .status = status,
                              .content_type = "text/plain; charset=utf-8",
                              .body = body,
                          });
}

void system_healthy(struct http_request *request, void *context)
{
    (void)context;
    respond_text(request, 200, "metric-store is alive.\n");
}

void system_ready(struct http_request *request, void *context)
{
    struct api *api = context;
    struct storage_condition condition;
    storage_condition(api->options.tier, &condition);
    if (atomic_load(&api->not_ready))
        respond_text(request, 503, "metric-store is stopping.\n");
    else if (condition.health == STORAGE_FAILING)
        respond_text(request, 503, "metric-store cannot store samples; see /api/v1/health.\n");
    else
        respond_text(request, 200, "metric-store is ready.\n");
}

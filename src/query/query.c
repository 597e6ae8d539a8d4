#include "query/query.h"

#include "query/execute/export.h"
#include "query/format/answer.h"

/* The writer of an answer, in the query's arena. */
static enum status json_new(struct json **json, struct query_sink *sink, struct arena *arena,
                            struct error *err)
{
    *json = arena_alloc(arena, sizeof **json);
    if (*json == NULL)
        return budget_no_memory(arena, err);
    json_begin(*json, sink, err);
    return STATUS_OK;
}

static enum status answer(const struct query_request *request, struct budget *budget,
                          struct query_sink *sink, struct arena *arena, struct error *err)
{
    struct plan plan;
    struct json *json = NULL;
    enum status status = json_new(&json, sink, arena, err);
    if (status == STATUS_OK)
        status = plan_build(&plan, request, arena, err);
    if (status != STATUS_OK)
        return status;
    struct execution execution;
    status = execution_open(&execution, &plan, arena, budget, err);
    if (status == STATUS_OK)
        status = answer_write(json, &execution, err);
    execution_close(&execution);
    return status;
}

enum status query_answer(const struct query_environment *environment,
                         const struct query_parameter *parameters, size_t count,
                         struct query_sink *sink, struct error *err)
{
    struct arena arena;
    struct query_request request;
    struct budget budget;
    arena_init(&arena, budget_memory_half(&environment->limits));
    enum status status = query_request_parse(&request, parameters, count, &environment->limits,
                                             clock_wall_ms(environment->clock), &arena, err);
    if (status == STATUS_OK) {
        budget_init(&budget, environment, environment->limits.max_samples, request.timeout_ms);
        status = answer(&request, &budget, sink, &arena, err);
        query_request_release(&request);
    }
    arena_release(&arena);
    return status;
}

enum status query_list_metrics(const struct query_environment *environment,
                               const struct query_parameter *parameters, size_t count,
                               struct query_sink *sink, struct error *err)
{
    struct arena arena;
    struct metrics_request request;
    arena_init(&arena, budget_memory_half(&environment->limits));
    enum status status =
        metrics_request_parse(&request, parameters, count, &environment->limits, &arena, err);
    if (status == STATUS_OK) {
        struct budget budget;
        struct listing listing;
        struct json *json = NULL;
        budget_init(&budget, environment, 0, environment->limits.timeout_ms);
        status = json_new(&json, sink, &arena, err);
        if (status == STATUS_OK)
            status = listing_read(&listing, &request, &arena, &budget, err);
        if (status == STATUS_OK)
            status = answer_write_metrics(json, &listing);
        metrics_request_release(&request);
    }
    arena_release(&arena);
    return status;
}

enum status query_export(const struct query_environment *environment,
                         const struct query_parameter *parameters, size_t count,
                         struct export_sink *sink, struct export_outcome *outcome,
                         struct error *err)
{
    struct arena arena;
    struct export_request request;
    *outcome = (struct export_outcome){0};
    arena_init(&arena, budget_memory_half(&environment->limits));
    enum status status = export_request_parse(&request, parameters, count,
                                              clock_wall_ms(environment->clock), &arena, err);
    if (status == STATUS_OK) {
        struct budget budget;
        budget_init(&budget, environment, 0, 0);
        status = export_run(&request, sink, &arena, &budget, outcome, err);
        export_request_release(&request);
    }
    arena_release(&arena);
    return status;
}

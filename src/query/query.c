#include "query/query.h"

#include <string.h>

/* Whoever meets the bound knows its share of it alone; who asked sets the whole. */
static enum status end(struct arena *arena, const struct query_environment *environment,
                       enum status status, struct error *err)
{
    arena_release(arena);
    if (status != STATUS_LIMIT || err == NULL || err->code == NULL ||
        strcmp(err->code, "query_memory_limit") != 0)
        return status;
    return fail_code(err, status, "query_memory_limit",
                     "the query needs more memory than the %zu bytes that it may take; ask for "
                     "fewer series, fewer groups, a longer interval or a shorter range, or raise "
                     "query.max_memory, or for a server memory.limit, an eighth of which is "
                     "for all query.threads together",
                     environment->limits.max_memory_bytes);
}

static enum status answer(const struct query_environment *environment,
                          const struct query_request *request, struct query_sink *sink,
                          struct arena *arena, struct error *err)
{
    struct plan plan;
    struct execution *execution = NULL;
    enum status status = plan_build(&plan, request, arena, err);
    if (status == STATUS_OK)
        status = execution_open(&execution, environment, &plan, request->timeout_ms, arena, err);
    if (status == STATUS_OK)
        status = answer_write(execution, sink, arena, err);
    if (execution != NULL && environment->cost != NULL)
        execution_stats(execution, environment->cost);
    execution_close(execution);
    return status;
}

enum status query_answer(const struct query_environment *environment,
                         const struct query_parameter *parameters, size_t count,
                         struct query_sink *sink, struct error *err)
{
    struct arena arena;
    struct query_request request;
    arena_init_shared(&arena, execution_memory(&environment->limits), environment->memory);
    enum status status = query_request_parse(&request, parameters, count, &environment->limits,
                                             clock_wall_ms(environment->clock), &arena, err);
    if (status == STATUS_OK) {
        status = answer(environment, &request, sink, &arena, err);
        query_request_release(&request);
    }
    return end(&arena, environment, status, err);
}

enum status query_list_metrics(const struct query_environment *environment,
                               const struct query_parameter *parameters, size_t count,
                               struct query_sink *sink, struct error *err)
{
    struct arena arena;
    struct metrics_request request;
    arena_init_shared(&arena, execution_memory(&environment->limits), environment->memory);
    enum status status =
        metrics_request_parse(&request, parameters, count, &environment->limits, &arena, err);
    if (status == STATUS_OK) {
        struct listing listing;
        status = listing_read(&listing, environment, &request, &arena, err);
        if (status == STATUS_OK)
            status = answer_write_metrics(&listing, sink, &arena, err);
        metrics_request_release(&request);
    }
    return end(&arena, environment, status, err);
}

enum status query_export(const struct query_environment *environment,
                         const struct query_parameter *parameters, size_t count,
                         struct export_sink *sink, struct export_outcome *outcome,
                         struct error *err)
{
    struct arena arena;
    struct export_request request;
    *outcome = (struct export_outcome){0};
    arena_init_shared(&arena, execution_memory(&environment->limits), environment->memory);
    enum status status = export_request_parse(&request, parameters, count,
                                              clock_wall_ms(environment->clock), &arena, err);
    if (status == STATUS_OK) {
        status = export_run(environment, &request, sink, &arena, outcome, err);
        export_request_release(&request);
    }
    return end(&arena, environment, status, err);
}

enum status query_delete(const struct query_environment *environment,
                         const struct query_parameter *parameters, size_t count,
                         struct delete_result *result, struct error *err)
{
    struct arena arena;
    struct delete_request request;
    arena_init_shared(&arena, execution_memory(&environment->limits), environment->memory);
    enum status status = delete_request_parse(&request, parameters, count,
                                              clock_wall_ms(environment->clock), &arena, err);
    if (status == STATUS_OK) {
        status = storage_delete(environment->tier, request.selectors.items, request.selectors.count,
                                request.range, result, err);
        delete_request_release(&request);
    }
    return end(&arena, environment, status, err);
}

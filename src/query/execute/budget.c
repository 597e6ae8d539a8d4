#include "query/execute/budget.h"

#include <inttypes.h>

#include "base/times.h"

enum { CHECK_EVERY = 4096, NS_PER_MS = 1000000 };

void budget_init(struct budget *budget, const struct query_environment *environment,
                 uint64_t max_samples, int64_t timeout_ms)
{
    *budget = (struct budget){
        .environment = environment,
        .max_samples = max_samples,
        .timeout_ms = timeout_ms,
        .start_ns = environment->started_ns != 0 ? environment->started_ns
                                                 : clock_monotonic_ns(environment->clock),
    };
}

int64_t budget_elapsed_ns(const struct budget *budget)
{
    return clock_monotonic_ns(budget->environment->clock) - budget->start_ns;
}

enum status budget_check(struct budget *budget, struct error *err)
{
    const struct query_environment *environment = budget->environment;
    budget->unchecked = 0;
    if (environment->cancelled != NULL && environment->cancelled(environment->context))
        return fail_code(err, STATUS_CANCELLED, "query_cancelled",
                         "the query was cancelled: the client is gone");
    if (budget->timeout_ms != 0 && budget_elapsed_ns(budget) / NS_PER_MS >= budget->timeout_ms) {
        char text[INSTANT_TEXT_SIZE];
        duration_format(text, budget->timeout_ms);
        return fail_code(err, STATUS_TIMEOUT, "query_timeout",
                         "the query took longer than its time-out of %s; ask for fewer series or a "
                         "shorter range, or raise timeout (at most the server's query.timeout)",
                         text);
    }
    return STATUS_OK;
}

static enum status check(void *context, struct error *err)
{
    return budget_check(context, err);
}

struct patience budget_patience(struct budget *budget)
{
    return (struct patience){.check = check, .context = budget};
}

enum status budget_spend(struct budget *budget, uint64_t work, struct error *err)
{
    budget->unchecked += work;
    return budget->unchecked < CHECK_EVERY ? STATUS_OK : budget_check(budget, err);
}

enum status budget_spend_samples(struct budget *budget, uint64_t samples, uint64_t again,
                                 struct error *err)
{
    budget->samples += samples;
    budget->again += again;
    if (budget->max_samples != 0 && budget->samples + budget->again > budget->max_samples)
        return fail_code(err, STATUS_LIMIT, "query_samples_limit",
                         "the query decodes more than %" PRIu64
                         " samples; ask for fewer series or a shorter range, or raise "
                         "query.max_samples",
                         budget->max_samples);
    return budget_spend(budget, samples + again, err);
}

enum status budget_no_memory(const struct arena *arena, struct error *err)
{
    if (arena_status(arena) == STATUS_MEMORY)
        return fail(err, STATUS_MEMORY, "no memory for the query");
    if (arena_status(arena) == STATUS_BUSY)
        return fail_code(err, STATUS_BUSY, "queries_memory",
                         "the memory for queries is used up: try again later");
    return fail_code(err, STATUS_LIMIT, "query_memory_limit",
                     "the query needs more memory than it may take; ask for fewer series, fewer "
                     "groups, a longer interval or a shorter range, or raise query.max_memory");
}

size_t execution_memory(const struct query_limits *limits)
{
    return limits->max_memory_bytes == 0 ? SIZE_MAX : limits->max_memory_bytes / 2;
}

/*
 * Any parameters, split as in a URL, go through all three parsers. What the query's accepts is
 * within its promises, and its plan can be built.
 */
#include "fuzz.h"

#include "base/invariant.h"
#include "base/times.h"
#include "query/plan/plan.h"

enum { MAX_PARAMETERS = 300, NOW_MS = 1000000000 };

static size_t split(struct slice text, struct query_parameter *parameters)
{
    size_t count = 0;
    for (size_t at = 0, first = 0; at <= text.size && count < MAX_PARAMETERS; at++) {
        if (at < text.size && text.data[at] != '&')
            continue;
        struct slice part = slice_of(text.data + first, at - first);
        const uint8_t *equals =
            part.size == 0 ? NULL : (const uint8_t *)memchr(part.data, '=', part.size);
        size_t name = equals == NULL ? part.size : (size_t)(equals - part.data);
        parameters[count++] = (struct query_parameter){
            .name = slice_of(part.data, name),
            .value = slice_from(part, name == part.size ? name : name + 1),
        };
        first = at + 1;
    }
    return count;
}

static void check_request(const struct query_request *request, const struct query_limits *limits,
                          struct arena *arena)
{
    struct plan plan;
    struct error err;
    invariant(request->matchers.count > 0);
    invariant(request->range.start_ms < request->range.end_ms);
    invariant(request->range.start_ms >= TIME_MIN_MS && request->range.end_ms <= TIME_MAX_MS);
    invariant(request->limit > 0);
    invariant(request->quantile >= 0 && request->quantile <= 1);
    invariant(request->timeout_ms > 0 && request->timeout_ms <= limits->timeout_ms);
    for (size_t i = 1; i < request->by_count; i++)
        invariant(slice_compare(request->by[i - 1], request->by[i]) < 0);
    if (plan_build(&plan, request, arena, &err) != STATUS_OK)
        return;
    for (const struct plan_node *node = plan.root; node != NULL; node = node->input) {
        const struct plan_buckets *buckets = &node->buckets;
        if (node->kind == PLAN_SELECT)
            continue;
        int64_t end_ms = buckets->first_ms + (int64_t)buckets->count * buckets->width_ms;
        invariant(buckets->count > 0 && buckets->count <= limits->max_points + 1);
        invariant(buckets->first_ms <= buckets->range.start_ms);
        invariant(buckets->range.start_ms - buckets->first_ms < buckets->width_ms);
        invariant(buckets->range.end_ms <= end_ms);
        invariant(end_ms - buckets->range.end_ms < buckets->width_ms);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct query_limits limits = {
        .timeout_ms = 30000, .max_points = 11000, .default_limit = 1000};
    struct query_parameter parameters[MAX_PARAMETERS];
    struct query_request query;
    struct export_request export;
    struct metrics_request metrics;
    struct arena arena;
    struct error err;
    size_t count = split(slice_of(data, size), parameters);
    arena_init(&arena, 1 << 20);
    if (query_request_parse(&query, parameters, count, &limits, NOW_MS, &arena, &err) ==
        STATUS_OK) {
        check_request(&query, &limits, &arena);
        query_request_release(&query);
    }
    if (export_request_parse(&export, parameters, count, NOW_MS, &arena, &err) == STATUS_OK) {
        invariant(export.selectors.count > 0);
        export_request_release(&export);
    }
    if (metrics_request_parse(&metrics, parameters, count, &limits, &arena, &err) == STATUS_OK)
        metrics_request_release(&metrics);
    arena_release(&arena);
    return 0;
}

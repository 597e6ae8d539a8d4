#include "harness.h"

#include "base/invariant.h"

static int64_t wall_ms(struct clock *clock)
{
    (void)clock;
    return HARNESS_NOW_MS;
}

static int64_t monotonic_ns(struct clock *clock)
{
    struct harness *harness = container_of(clock, struct harness, clock);
    harness->monotonic_ns += harness->tick_ns;
    return harness->monotonic_ns;
}

static enum status sink_write(struct query_sink *sink, struct slice piece, struct error *err)
{
    struct harness *harness = container_of(sink, struct harness, sink);
    if (++harness->writes == harness->refuse_write)
        return fail(err, STATUS_CANCELLED, "the client is gone");
    return bytes_append(&harness->output, piece.data, piece.size);
}

void harness_init(struct harness *harness)
{
    static const struct clock_ops clock_ops = {.wall_ms = wall_ms, .monotonic_ns = monotonic_ns};
    memset(harness, 0, sizeof *harness);
    harness->memory = memory_tier_new();
    harness->clock.ops = &clock_ops;
    harness->sink.write = sink_write;
    harness->environment = (struct query_environment){
        .tier = &harness->memory->tier,
        .clock = &harness->clock,
        .limits = {.max_samples = 50000000,
                   .max_memory_bytes = 64 << 20,
                   .timeout_ms = 30000,
                   .max_points = 11000,
                   .default_limit = 1000},
    };
    bytes_init(&harness->output, 256 << 20);
}

void harness_release(struct harness *harness)
{
    memory_tier_free(harness->memory);
    bytes_release(&harness->output);
}

void harness_parameters(struct harness *harness, const char *text)
{
    harness->parameter_count = 0;
    while (*text != 0) {
        size_t size = strcspn(text, "&");
        size_t name = strcspn(text, "=&");
        invariant(name < size && harness->parameter_count < HARNESS_MAX_PARAMETERS);
        harness->parameters[harness->parameter_count++] = (struct query_parameter){
            .name = slice_of(text, name),
            .value = slice_of(text + name + 1, size - name - 1),
        };
        text += size;
        text += *text == '&';
    }
}

static enum status finish(struct harness *harness, enum status status)
{
    static const char zero = 0;
    if (status == STATUS_OK)
        invariant(bytes_append(&harness->output, &zero, 1) == STATUS_OK);
    return status;
}

enum status harness_query(struct harness *harness, const char *text)
{
    harness_parameters(harness, text);
    bytes_clear(&harness->output);
    harness->writes = 0;
    return finish(harness, query_answer(&harness->environment, harness->parameters,
                                        harness->parameter_count, &harness->sink, &harness->err));
}

enum status harness_list(struct harness *harness, const char *text)
{
    harness_parameters(harness, text);
    bytes_clear(&harness->output);
    harness->writes = 0;
    return finish(harness,
                  query_list_metrics(&harness->environment, harness->parameters,
                                     harness->parameter_count, &harness->sink, &harness->err));
}

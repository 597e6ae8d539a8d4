/* Input: a JSON body, read as one sample, as a batch and as the registration of a metric. */
#include "fuzz.h"

#include "base/utf8.h"
#include "batch_check.h"
#include "protocols/protocols.h"

enum { ARENA_MAX = 64 << 20, DEPTH_MAX = 32 };
#define NOW_MS INT64_C(1795305600000)

typedef enum status parse(struct json_parser *, struct slice, const struct json_options *,
                          struct arena *, struct batch *, struct error *);

static void body_feed(parse *parse_body, struct json_parser *parser, struct slice body)
{
    static struct batch batch;
    struct json_options options = {.now_ms = NOW_MS};
    struct arena arena;
    struct error err = {0};
    arena_init(&arena, ARENA_MAX);
    enum status status = parse_body(parser, body, &options, &arena, &batch, &err);
    if (status == STATUS_OK) {
        batch_check(&batch);
        batch_check_labels(&batch);
    } else {
        invariant(status == STATUS_INVALID || status == STATUS_LIMIT);
        invariant(err.code != NULL && err.message[0] != 0);
    }
    arena_release(&arena);
}

static void metric_feed(struct json_parser *parser, struct slice body)
{
    struct metric metric;
    struct arena arena;
    struct error err = {0};
    arena_init(&arena, ARENA_MAX);
    enum status status = protocols_json_parse_metric(parser, body, &arena, &metric, &err);
    if (status == STATUS_OK) {
        invariant(metric.name.size > 0 && metric.name.size <= METRIC_NAME_MAX_SIZE);
        invariant(metric.unit.size <= METRIC_UNIT_MAX_SIZE);
        invariant(metric.help.size <= METRIC_HELP_MAX_SIZE);
        invariant(!slice_has_nul(metric.name) && !slice_has_nul(metric.unit));
        invariant(!slice_has_nul(metric.help));
        invariant(utf8_valid(metric.name) && utf8_valid(metric.unit) && utf8_valid(metric.help));
    } else {
        invariant(status == STATUS_INVALID || status == STATUS_LIMIT);
        invariant(err.code != NULL && err.message[0] != 0);
    }
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct protocol_limits limits = {.json_max_depth = DEPTH_MAX};
    struct json_parser *parser = NULL;
    invariant(json_parser_new(&parser, &limits, NULL) == STATUS_OK);
    body_feed(protocols_json_parse_sample, parser, slice_of(data, size));
    body_feed(protocols_json_parse_batch, parser, slice_of(data, size));
    metric_feed(parser, slice_of(data, size));
    json_parser_free(parser);
    return 0;
}

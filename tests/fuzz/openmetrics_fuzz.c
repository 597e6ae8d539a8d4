/*
 * OpenMetrics: any bytes are refused or read; what was read comes back from the writer the same.
 */
#include "fuzz.h"

#include <stdlib.h>

#include "base/bits.h"
#include "base/invariant.h"
#include "base/times.h"
#include "protocols/protocols.h"

enum { ARENA_MAX = 64 << 20, TEXT_MAX = 64 << 20 };

static enum status parse(struct batch *batch, struct arena *arena, struct slice body)
{
    batch_init(batch, arena, protocols_exposition_decode_labels, PROTOCOL_TAG_EXPOSITION);
    struct error err = {0};
    enum status status = protocols_openmetrics_parse(body, 1000, 42, batch, &err);
    invariant(status == STATUS_OK || status == STATUS_INVALID || status == STATUS_LIMIT);
    invariant(status == STATUS_OK || err.message[0] != 0);
    return status;
}

/* A sample as a document of its own, of a metric without a descriptor. */
static void check_round_trip(const struct labels *labels, int64_t time_ms, double value)
{
    struct openmetrics_writer writer;
    struct bytes text;
    struct arena arena;
    struct batch batch;
    openmetrics_writer_init(&writer);
    bytes_init(&text, TEXT_MAX);
    arena_init(&arena, ARENA_MAX);
    enum status status =
        openmetrics_writer_metric(&writer, &text, labels_metric_name(labels), NULL, NULL);
    if (status == STATUS_OK)
        status = openmetrics_writer_series(&writer, labels);
    if (status == STATUS_OK)
        status = openmetrics_writer_sample(&writer, &text, time_ms, value);
    if (status == STATUS_OK)
        status = openmetrics_writer_end(&text);
    invariant(status == STATUS_OK);
    invariant(parse(&batch, &arena, bytes_slice(&text)) == STATUS_OK);
    invariant(batch.sample_count == 1 && batch.sample_times[0] == time_ms);
    invariant(bits_of_double(batch.sample_values[0]) == bits_of_double(value));
    struct labels again;
    status = batch.decode_labels(batch.series[0].raw, &arena, &again, NULL);
    if (status == STATUS_OK)
        status = labels_canonicalise(&again, NULL);
    invariant(status == STATUS_OK && labels_compare(&again, labels) == 0);
    openmetrics_writer_release(&writer);
    bytes_release(&text);
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct batch batch;
    arena_init(&arena, ARENA_MAX);
    if (parse(&batch, &arena, slice_of(data, size)) == STATUS_OK)
        for (size_t i = 0; i < batch.sample_count; i++) {
            struct labels labels;
            struct slice raw = batch.series[batch.sample_series[i]].raw;
            enum status status = batch.decode_labels(raw, &arena, &labels, NULL);
            if (status == STATUS_OK && labels_canonicalise(&labels, NULL) == STATUS_OK)
                check_round_trip(&labels, batch.sample_times[i], batch.sample_values[i]);
        }
    arena_release(&arena);
    return 0;
}

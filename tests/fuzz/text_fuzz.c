/*
 * Text 0.0.4: any bytes give samples whose raw labels decode again, and rejections with a reason.
 */
#include "fuzz.h"

#include "base/invariant.h"
#include "base/times.h"
#include "protocols/protocols.h"

enum { ARENA_MAX = 64 << 20 };

static void check_samples(const struct batch *batch)
{
    invariant(batch->sample_count == batch->series_count);
    for (size_t i = 0; i < batch->sample_count; i++) {
        int64_t time_ms = batch->sample_times[i];
        invariant(batch->sample_series[i] < batch->series_count);
        invariant(time_ms >= TIME_MIN_MS && time_ms < TIME_MAX_MS);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct batch batch;
    arena_init(&arena, ARENA_MAX);
    batch_init(&batch, &arena, protocols_exposition_decode_labels, PROTOCOL_TAG_EXPOSITION);
    enum status status = protocols_text_parse(slice_of(data, size), 1000, &batch, NULL);
    invariant(status == STATUS_OK || status == STATUS_LIMIT);
    if (status == STATUS_OK)
        check_samples(&batch);
    for (size_t i = 0; i < batch.series_count; i++) {
        struct labels labels;
        status = batch.decode_labels(batch.series[i].raw, &arena, &labels, NULL);
        invariant(status == STATUS_OK || status == STATUS_LIMIT);
        if (status == STATUS_OK)
            status = labels_canonicalise(&labels, NULL);
    }
    for (size_t i = 0; i < batch.rejection_count; i++)
        invariant(batch.rejections[i].line > 0 && batch.rejections[i].message.size > 0);
    arena_release(&arena);
    return 0;
}

#include "model/batch.h"

#include <stdio.h>

#include "base/utf8.h"

enum { BATCH_FIRST_CAPACITY = 64 };

void batch_init(struct batch *batch, struct arena *arena, batch_decode_labels *decode_labels,
                uint64_t hash_tag)
{
    memset(batch, 0, sizeof *batch);
    batch->arena = arena;
    batch->decode_labels = decode_labels;
    batch->hash_tag = hash_tag;
}

/* Doubles *array to hold one more of `size` bytes. Old arrays stay in the arena: at most as much
 * again as the last one. */
static enum status column_grow(struct batch *batch, void **array, size_t used, size_t capacity,
                               size_t size)
{
    void *grown = arena_grow(batch->arena, *array, used * size, capacity * size);
    if (grown == NULL)
        return arena_status(batch->arena);
    *array = grown;
    return STATUS_OK;
}

static size_t next_capacity(size_t capacity)
{
    return capacity == 0 ? BATCH_FIRST_CAPACITY : capacity * 2;
}

static enum status series_grow(struct batch *batch, size_t capacity)
{
    enum status status = column_grow(batch, (void **)&batch->series, batch->series_count, capacity,
                                     sizeof batch->series[0]);
    if (status == STATUS_OK)
        batch->series_capacity = capacity;
    return status;
}

enum status batch_add_series(struct batch *batch, struct slice raw, uint32_t index, uint32_t line,
                             uint32_t *series)
{
    if (batch->series_count == batch->series_capacity) {
        enum status status = series_grow(batch, next_capacity(batch->series_capacity));
        if (status != STATUS_OK)
            return status;
    }
    *series = (uint32_t)batch->series_count;
    batch->series[batch->series_count++] = (struct batch_series){
        .raw = raw,
        .id = SERIES_ID_NONE,
        .index = index,
        .line = line,
    };
    return STATUS_OK;
}

static enum status samples_grow(struct batch *batch, size_t capacity)
{
    enum status status = column_grow(batch, (void **)&batch->sample_series, batch->sample_count,
                                     capacity, sizeof batch->sample_series[0]);
    if (status == STATUS_OK)
        status = column_grow(batch, (void **)&batch->sample_times, batch->sample_count, capacity,
                             sizeof batch->sample_times[0]);
    if (status == STATUS_OK)
        status = column_grow(batch, (void **)&batch->sample_values, batch->sample_count, capacity,
                             sizeof batch->sample_values[0]);
    if (status == STATUS_OK)
        batch->sample_capacity = capacity;
    return status;
}

void batch_reserve(struct batch *batch, size_t series, size_t samples)
{
    enum status status = STATUS_OK;
    if (series > batch->series_capacity)
        status = series_grow(batch, series);
    if (status == STATUS_OK && samples > batch->sample_capacity)
        status = samples_grow(batch, samples);
    /* Only a hint: what does not fit now is asked for again when it is needed. */
    (void)status;
}

enum status batch_add_sample(struct batch *batch, uint32_t series, int64_t time_ms, double value)
{
    if (batch->sample_count == batch->sample_capacity) {
        enum status status = samples_grow(batch, next_capacity(batch->sample_capacity));
        if (status != STATUS_OK)
            return status;
    }
    size_t at = batch->sample_count++;
    batch->sample_series[at] = series;
    batch->sample_times[at] = time_ms;
    batch->sample_values[at] = value;
    return STATUS_OK;
}

enum status batch_add_metric(struct batch *batch, const struct metric *metric)
{
    if (batch->metric_count == batch->metric_capacity) {
        size_t capacity = next_capacity(batch->metric_capacity);
        enum status status = column_grow(batch, (void **)&batch->metrics, batch->metric_count,
                                         capacity, sizeof batch->metrics[0]);
        if (status != STATUS_OK)
            return status;
        batch->metric_capacity = capacity;
    }
    batch->metrics[batch->metric_count++] = *metric;
    return STATUS_OK;
}

__attribute__((format(printf, 2, 0))) static struct slice message_format(struct arena *arena,
                                                                         const char *format,
                                                                         va_list args)
{
    char text[ERROR_MESSAGE_SIZE];
    int size = vsnprintf(text, sizeof text, format, args);
    if (size < 0)
        return slice_of(NULL, 0);
    size_t length = (size_t)size < sizeof text ? (size_t)size : sizeof text - 1;
    return arena_copy(arena, slice_of(text, length));
}

static void count_reason(struct batch *batch, const char *code, uint64_t samples)
{
    size_t i = 0;
    while (i < batch->reason_count && strcmp(batch->reasons[i].code, code) != 0)
        i++;
    if (i == BATCH_MAX_REASONS)
        return;
    if (i == batch->reason_count)
        batch->reasons[batch->reason_count++] = (struct batch_reason){.code = code};
    batch->reasons[i].samples += samples;
}

void batch_reject(struct batch *batch, uint64_t samples, uint32_t index, uint32_t line,
                  const char *code, struct slice metric, const char *format, ...)
{
    batch->rejected += samples;
    count_reason(batch, code, samples);
    if (batch->rejection_count == BATCH_MAX_REJECTIONS) {
        batch->listing_full = true;
        return;
    }
    va_list args;
    va_start(args, format);
    struct slice message = message_format(batch->arena, format, args);
    va_end(args);
    /* A name may have 64 KiB: the listing shows what tells it from others. */
    metric.size = utf8_prefix(metric, BATCH_SHOWN_NAME_SIZE);
    batch->rejections[batch->rejection_count++] = (struct batch_rejection){
        .index = index,
        .line = line,
        .code = code,
        .metric = metric,
        .message = message,
    };
}

void batch_warn(struct batch *batch, const char *format, ...)
{
    if (batch->warning_count == BATCH_MAX_WARNINGS)
        return;
    va_list args;
    va_start(args, format);
    struct slice message = message_format(batch->arena, format, args);
    va_end(args);
    for (size_t i = 0; i < batch->warning_count; i++)
        if (slice_equal(batch->warnings[i], message))
            return;
    batch->warnings[batch->warning_count++] = message;
}

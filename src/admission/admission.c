#include "admission/admission.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/invariant.h"
#include "base/times.h"

struct admission {
    struct admitter admitter;
    atomic_uint_fast64_t max_series_per_metric;
    atomic_uint_fast64_t max_labels;
    atomic_uint_fast64_t max_label_value_length;
    atomic_int_fast64_t max_age_ms;
    atomic_int_fast64_t max_future_ms;
    atomic_uint_fast64_t warning_percent;
    atomic_uint_fast64_t max_index_bytes;
    atomic_uint_fast64_t admitted;
    atomic_uint_fast64_t refused;
};

static enum status check_labels(struct admission *admission, const struct labels *labels,
                                struct slice metric, struct error *err)
{
    uint64_t max_labels = atomic_load_explicit(&admission->max_labels, memory_order_relaxed);
    if (max_labels != 0 && labels->count - 1 > max_labels)
        return fail_code(err, STATUS_LIMIT, "label_limit",
                         "a new series of metric \"%.*s\" has %zu labels; "
                         "cardinality.max_labels_per_metric allows %" PRIu64,
                         SLICE_FORMAT(metric), labels->count - 1, max_labels);
    uint64_t max_length =
        atomic_load_explicit(&admission->max_label_value_length, memory_order_relaxed);
    for (size_t i = 0; i < labels->count && max_length != 0; i++) {
        const struct label *label = &labels->items[i];
        if (label->value.size > max_length && !slice_equal_text(label->name, METRIC_NAME_LABEL))
            return fail_code(err, STATUS_LIMIT, "label_value_limit",
                             "label \"%.*s\" of a new series of metric \"%.*s\" has a value of %zu "
                             "bytes; cardinality.max_label_value_length allows %" PRIu64,
                             SLICE_FORMAT(label->name), SLICE_FORMAT(metric), label->value.size,
                             max_length);
    }
    return STATUS_OK;
}

static const char *count_setting(const struct admission_question *question)
{
    return question->has_max_series ? "its registered limits.max_series"
                                    : "cardinality.max_series_per_metric";
}

/* Leaves the warning in *err. Without the count, so that one answer tells it once. */
static void warn_of_count(struct admission *admission, const struct admission_question *question,
                          uint64_t limit, struct error *err)
{
    uint64_t percent = atomic_load_explicit(&admission->warning_percent, memory_order_relaxed);
    if (percent == 0 || ((uint64_t)question->metric_series + 1) * 100 < limit * percent)
        return;
    fail_code(err, STATUS_OK, "cardinality_warning",
              "metric \"%.*s\" has reached %" PRIu64 "%% of the %" PRIu64 " series that %s allows",
              SLICE_FORMAT(question->metric), percent, limit, count_setting(question));
}

static enum status check_count(struct admission *admission,
                               const struct admission_question *question, struct error *err)
{
    uint64_t limit =
        question->has_max_series
            ? question->max_series
            : atomic_load_explicit(&admission->max_series_per_metric, memory_order_relaxed);
    if (limit == 0)
        return STATUS_OK;
    if (question->metric_series < limit) {
        warn_of_count(admission, question, limit, err);
        return STATUS_OK;
    }
    return fail_code(err, STATUS_LIMIT, "cardinality_limit",
                     "metric \"%.*s\" has %u series, and %s allows %" PRIu64
                     "; its existing series go on, new ones are refused",
                     SLICE_FORMAT(question->metric), question->metric_series,
                     count_setting(question), limit);
}

static enum status check_memory(struct admission *admission,
                                const struct admission_question *question, struct error *err)
{
    uint64_t max_bytes = atomic_load_explicit(&admission->max_index_bytes, memory_order_relaxed);
    if (max_bytes == 0 || question->index_bytes < max_bytes)
        return STATUS_OK;
    return fail_code(err, STATUS_LIMIT, "memory_limit",
                     "new series take %" PRIu64 " MiB until the next flush, all that memory.limit "
                     "leaves to them; series that exist go on, and new ones are taken after it",
                     question->index_bytes >> 20);
}

static enum status admit(struct admitter *admitter, const struct admission_question *question,
                         struct error *err)
{
    struct admission *admission = container_of(admitter, struct admission, admitter);
    enum status status = check_labels(admission, question->labels, question->metric, err);
    if (status == STATUS_OK)
        status = check_memory(admission, question, err);
    if (status == STATUS_OK)
        status = check_count(admission, question, err);
    atomic_fetch_add_explicit(status == STATUS_OK ? &admission->admitted : &admission->refused, 1,
                              memory_order_relaxed);
    return status;
}

static const struct admitter_ops admission_ops = {.admit = admit};

enum status admission_new(struct admission **admission, const struct admission_limits *limits)
{
    *admission = calloc(1, sizeof **admission);
    if (*admission == NULL)
        return STATUS_MEMORY;
    (*admission)->admitter.ops = &admission_ops;
    admission_set_limits(*admission, limits);
    return STATUS_OK;
}

void admission_free(struct admission *admission)
{
    free(admission);
}

void admission_set_limits(struct admission *admission, const struct admission_limits *limits)
{
    atomic_store(&admission->max_series_per_metric, limits->max_series_per_metric);
    atomic_store(&admission->max_labels, limits->max_labels);
    atomic_store(&admission->max_label_value_length, limits->max_label_value_length);
    atomic_store(&admission->max_age_ms, limits->max_age_ms);
    atomic_store(&admission->max_future_ms, limits->max_future_ms);
    atomic_store(&admission->warning_percent, (uint64_t)(limits->warning_threshold * 100 + 0.5));
    atomic_store(&admission->max_index_bytes, limits->max_index_bytes);
}

void admission_limits_get(const struct admission *admission, struct admission_limits *limits)
{
    *limits = (struct admission_limits){
        .max_series_per_metric = atomic_load(&admission->max_series_per_metric),
        .max_labels = atomic_load(&admission->max_labels),
        .max_label_value_length = atomic_load(&admission->max_label_value_length),
        .max_age_ms = atomic_load(&admission->max_age_ms),
        .max_future_ms = atomic_load(&admission->max_future_ms),
        .warning_threshold = (double)atomic_load(&admission->warning_percent) / 100,
        .max_index_bytes = atomic_load(&admission->max_index_bytes),
    };
}

struct admitter *admission_admitter(struct admission *admission)
{
    return &admission->admitter;
}

static void reject(struct batch *batch, size_t sample, bool too_old, int64_t limit_ms)
{
    const struct batch_series *series = &batch->series[batch->sample_series[sample]];
    char time[INSTANT_TEXT_SIZE];
    char limit[INSTANT_TEXT_SIZE];
    instant_format(time, batch->sample_times[sample]);
    duration_format(limit, limit_ms);
    if (too_old)
        batch_reject(batch, 1, series->index, series->line, "sample_too_old", slice_of(NULL, 0),
                     "the sample's time %s is older than admission.max_age allows (%s)", time,
                     limit);
    else
        batch_reject(batch, 1, series->index, series->line, "sample_too_far_ahead",
                     slice_of(NULL, 0),
                     "the sample's time %s is further ahead than admission.max_future allows (%s)",
                     time, limit);
}

void admission_check_times(const struct admission *admission, struct batch *batch, int64_t now_ms)
{
    int64_t max_age_ms = atomic_load_explicit(&admission->max_age_ms, memory_order_relaxed);
    int64_t max_future_ms = atomic_load_explicit(&admission->max_future_ms, memory_order_relaxed);
    if (max_age_ms == 0 && max_future_ms == 0)
        return;
    size_t kept = 0;
    for (size_t i = 0; i < batch->sample_count; i++) {
        int64_t time_ms = batch->sample_times[i];
        bool too_old = max_age_ms != 0 && time_ms < now_ms - max_age_ms;
        if (too_old || (max_future_ms != 0 && time_ms > now_ms + max_future_ms)) {
            reject(batch, i, too_old, too_old ? max_age_ms : max_future_ms);
            continue;
        }
        batch->sample_series[kept] = batch->sample_series[i];
        batch->sample_times[kept] = time_ms;
        batch->sample_values[kept++] = batch->sample_values[i];
    }
    batch->sample_count = kept;
}

void admission_stats(const struct admission *admission, struct admission_stats *stats)
{
    stats->series_admitted = atomic_load(&admission->admitted);
    stats->series_refused = atomic_load(&admission->refused);
}

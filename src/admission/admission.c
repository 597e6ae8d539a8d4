#include "admission/admission.h"

#include <inttypes.h>
#include <stdlib.h>

#include "admission/rate.h"
#include "admission/refusals.h"
#include "admission/rules.h"
#include "base/hash.h"
#include "base/invariant.h"
#include "base/times.h"

struct admission {
    struct admitter admitter;
    struct clock *clock;
    uint64_t seed;     /* of hashes of names */
    struct mutex lock; /* of all below */
    struct admission_limits limits;
    struct admission_stats stats;
    struct rate_bucket rate; /* of all new series */
    struct rate_table *metric_rates;
    struct refusals refusals;
};

/* A series that comes takes from both buckets, one that does not from neither. */
static enum status check_rates(struct admission *admission,
                               const struct admission_question *question, struct error *err)
{
    const struct admission_limits *limits = &admission->limits;
    if (limits->max_new_series == 0 && limits->max_new_metric_series == 0)
        return STATUS_OK;
    int64_t now_ns = clock_monotonic_ns(admission->clock);
    if (limits->max_new_series != 0 && !rate_has(&admission->rate, limits->max_new_series, now_ns))
        return fail_code(err, STATUS_LIMIT, refusal_code(REFUSED_RATE),
                         "more than %" PRIu64 " new series came within a second, and "
                         "cardinality.max_new_series_per_second allows no more; send this one "
                         "again later",
                         limits->max_new_series);
    struct rate_bucket *metric = NULL;
    if (limits->max_new_metric_series != 0) {
        metric =
            rate_table_find(admission->metric_rates, hash64(question->metric, admission->seed));
        if (!rate_has(metric, limits->max_new_metric_series, now_ns))
            return fail_code(err, STATUS_LIMIT, refusal_code(REFUSED_RATE),
                             "more than %" PRIu64 " new series of metric \"%.*s\" came within a "
                             "second, and cardinality.max_new_series_per_metric_per_second allows "
                             "no more; send this one again later",
                             limits->max_new_metric_series, SLICE_FORMAT(question->metric));
        rate_take(metric);
    }
    if (limits->max_new_series != 0)
        rate_take(&admission->rate);
    return STATUS_OK;
}

static void note_refusal(struct admission *admission, const struct admission_question *question,
                         enum refusal_reason reason)
{
    const struct admission_limits *limits = &admission->limits;
    int64_t now_ms = clock_wall_ms(admission->clock);
    struct refused_metric *metric = refusals_metric(&admission->refusals, question->metric, now_ms);
    if (reason == REFUSED_METRIC_SERIES) {
        metric->tier_metric = question->metric_number;
        metric->own_limit = question->has_max_series;
        metric->limit =
            question->has_max_series ? question->max_series : limits->max_series_per_metric;
        metric->descriptor_changes = question->descriptor_changes;
    }
    refusals_note(&admission->refusals, metric, question->raw, reason, now_ms);
}

static enum status admit(struct admitter *admitter, const struct admission_question *question,
                         struct error *err)
{
    struct admission *admission = container_of(admitter, struct admission, admitter);
    mutex_lock(&admission->lock);
    enum refusal_reason reason;
    enum status status = rules_check(&admission->limits, question, &reason, err);
    if (status == STATUS_OK) {
        reason = REFUSED_RATE;
        status = check_rates(admission, question, err);
    }
    if (status == STATUS_OK)
        refusals_admitted(&admission->refusals, question->metric);
    else
        note_refusal(admission, question, reason);
    *(status == STATUS_OK ? &admission->stats.series_admitted : &admission->stats.series_refused) +=
        1;
    mutex_unlock(&admission->lock);
    return status;
}

static enum status recall(struct admitter *admitter, struct hash128 raw,
                          const struct admission_counts *counts,
                          struct admission_recollection *recollection, struct error *err)
{
    struct admission *admission = container_of(admitter, struct admission, admitter);
    enum refusal_reason reason;
    mutex_lock(&admission->lock);
    struct refused_metric *metric = refusals_find(&admission->refusals, raw, &reason);
    bool refused = metric != NULL && rules_still_refuse(&admission->limits, metric, reason, counts);
    if (refused) {
        metric->counts[reason]++;
        admission->stats.series_refused++;
        recollection->code = refusal_code(reason);
    }
    if (refused && recollection->tells) {
        rules_tell_again(&admission->limits, metric, reason, counts, err);
        memcpy(recollection->metric, metric->name, metric->name_size);
        recollection->metric_size = metric->name_size;
    }
    mutex_unlock(&admission->lock);
    return refused ? STATUS_LIMIT : STATUS_OK;
}

static const struct admitter_ops admission_ops = {.admit = admit, .recall = recall};

enum status admission_new(struct admission **admission, struct os os,
                          const struct admission_limits *limits)
{
    *admission = calloc(1, sizeof **admission);
    if (*admission == NULL)
        return STATUS_MEMORY;
    (*admission)->admitter.ops = &admission_ops;
    (*admission)->clock = os.clock;
    (*admission)->seed = random_u64(os.random);
    mutex_init(&(*admission)->lock);
    if (rate_table_new(&(*admission)->metric_rates) == STATUS_OK &&
        refusals_init(&(*admission)->refusals, limits->refusal_bytes, (*admission)->seed) ==
            STATUS_OK) {
        admission_set_limits(*admission, limits);
        return STATUS_OK;
    }
    admission_free(*admission);
    *admission = NULL;
    return STATUS_MEMORY;
}

void admission_free(struct admission *admission)
{
    if (admission == NULL)
        return;
    rate_table_free(admission->metric_rates);
    refusals_release(&admission->refusals);
    mutex_release(&admission->lock);
    free(admission);
}

void admission_set_limits(struct admission *admission, const struct admission_limits *limits)
{
    mutex_lock(&admission->lock);
    admission->limits = *limits;
    refusals_forget(&admission->refusals);
    mutex_unlock(&admission->lock);
}

void admission_limits_get(struct admission *admission, struct admission_limits *limits)
{
    mutex_lock(&admission->lock);
    *limits = admission->limits;
    mutex_unlock(&admission->lock);
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

void admission_check_times(struct admission *admission, struct batch *batch, int64_t now_ms)
{
    struct admission_limits limits;
    admission_limits_get(admission, &limits);
    int64_t max_age_ms = limits.max_age_ms;
    int64_t max_future_ms = limits.max_future_ms;
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

void admission_stats(struct admission *admission, struct admission_stats *stats)
{
    mutex_lock(&admission->lock);
    *stats = admission->stats;
    stats->memory_bytes = refusals_memory(&admission->refusals);
    mutex_unlock(&admission->lock);
}

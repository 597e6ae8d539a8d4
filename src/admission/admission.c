#include "admission/admission.h"

#include <inttypes.h>
#include <stdlib.h>

#include "admission/blame.h"
#include "admission/evidence.h"
#include "admission/override_cache.h"
#include "admission/rate.h"
#include "admission/refusals.h"
#include "admission/rules.h"
#include "base/hash.h"
#include "base/invariant.h"
#include "base/shown.h"
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
    struct override_cache overrides;
    struct evidence *evidence;       /* NULL: no label is looked at */
    struct label_patterns *patterns; /* the evidence's; NULL: none */
};

static uint64_t key_of(const struct admission *admission, struct slice metric)
{
    return hash64(metric, admission->seed);
}

static struct rules rules_of(struct admission *admission, uint64_t key, struct slice metric)
{
    return (struct rules){.limits = &admission->limits,
                          .override = override_cache_find(&admission->overrides, key, metric)};
}

/* A series that comes takes from both buckets, one that does not from neither. */
static enum status check_rates(struct admission *admission, const struct rules *rules, uint64_t key,
                               const struct admission_question *question, struct error *err)
{
    const struct admission_limits *limits = &admission->limits;
    uint64_t metric_limit = rules_limit(rules, RULE_NEW_SERIES);
    if (limits->max_new_series == 0 && metric_limit == 0)
        return STATUS_OK;
    int64_t now_ns = clock_monotonic_ns(admission->clock);
    if (limits->max_new_series != 0 && !rate_has(&admission->rate, limits->max_new_series, now_ns))
        return fail_code(err, STATUS_LIMIT, refusal_code(REFUSED_RATE),
                         "more than %" PRIu64 " new series came within a second, and "
                         "cardinality.max_new_series_per_second allows no more; send this one "
                         "again later",
                         limits->max_new_series);
    struct rate_bucket *metric = NULL;
    if (metric_limit != 0) {
        metric = rate_table_find(admission->metric_rates, key);
        if (!rate_has(metric, metric_limit, now_ns))
            return fail_code(err, STATUS_LIMIT, refusal_code(REFUSED_RATE),
                             "more than %" PRIu64 " new series of metric \"%.*s\" came within a "
                             "second, and %s allows no more; send this one again later",
                             metric_limit, SLICE_FORMAT(question->metric),
                             rules_name(rules, RULE_NEW_SERIES).text);
        rate_take(metric);
    }
    if (limits->max_new_series != 0)
        rate_take(&admission->rate);
    return STATUS_OK;
}

static void note_refusal(struct admission *admission, const struct rules *rules,
                         const struct admission_question *question, enum refusal_reason reason,
                         int64_t now_ms, struct error *err)
{
    struct refused_metric *metric = refusals_metric(&admission->refusals, question->metric, now_ms);
    if (reason == REFUSED_METRIC_SERIES) {
        metric->tier_metric = question->metric_number;
        metric->own_limit = question->has_max_series;
        metric->limit = rules_max_series(rules, question->has_max_series, question->max_series);
        metric->descriptor_changes = question->descriptor_changes;
    }
    refusals_note(&admission->refusals, metric, question->raw, reason, now_ms);
    if (reason == REFUSED_METRIC_SERIES) {
        blame_look(metric, admission->evidence, question->metric, question->labels, now_ms);
        blame_tell(metric, err);
    }
}

/* ---- labels that fill up ---------------------------------------------------------------- */

static void describe(const struct evidence_finding *finding, struct error *err)
{
    if (finding->reason == EVIDENCE_BY_NAME)
        error_suffix(err, "its name is one of an identity or of values without end (\"%s\")",
                     finding->pattern);
    if (finding->shape != SHAPE_NONE)
        error_suffix(err, "%.0f%% of the values are %s", finding->shape_share * 100,
                     shape_plural(finding->shape));
    if (finding->example_count > 0)
        error_suffix(err, "such as \"%s\"", shown_text(slice_from_text(finding->examples[0])).text);
}

/* When its metric will have as many series as it may, if the label goes on as it does. */
static void foretell(const struct evidence_finding *finding, uint64_t series, uint64_t max_series,
                     struct error *err)
{
    if (max_series == 0 || series >= max_series)
        return;
    int64_t left_ms =
        evidence_ms_until((double)series, (double)max_series, finding->growth_per_hour);
    if (left_ms == INT64_MAX)
        return;
    char left[INSTANT_TEXT_SIZE];
    duration_format(left, (left_ms / MS_PER_MINUTE + 1) * MS_PER_MINUTE);
    error_suffix(err,
                 "at %.0f more an hour the %" PRIu64 " series that it may have are there in %s",
                 finding->growth_per_hour, max_series, left);
}

/* Notes what the series shows. LIMIT where it has a label that the operator refuses; a warning in
 * *err where a label has just become a finding, and there is none yet. */
static enum status look_at_labels(struct admission *admission, const struct rules *rules,
                                  const struct admission_question *question, int64_t now_ms,
                                  struct error *err)
{
    if (admission->evidence == NULL || question->returns)
        return STATUS_OK;
    struct evidence_notice notice =
        evidence_note(admission->evidence, question->metric, question->labels, now_ms);
    bool rejected = notice.rejected_label != SIZE_MAX;
    if (!rejected && (notice.new_label == SIZE_MAX || err->code != NULL))
        return STATUS_OK;
    struct slice label =
        question->labels->items[rejected ? notice.rejected_label : notice.new_label].name;
    struct evidence_finding finding;
    if (!evidence_judge(admission->evidence, question->metric, label, now_ms, &finding))
        return STATUS_OK;
    enum status status = rejected ? STATUS_LIMIT : STATUS_OK;
    fail_code(err, status, rejected ? refusal_code(REFUSED_FINDING) : "cardinality_warning",
              "label \"%s\" of metric \"%s\" fills it with series: about %.0f different values",
              shown_text(slice_from_text(finding.label)).text,
              shown_text(slice_from_text(finding.metric)).text, finding.distinct);
    describe(&finding, err);
    if (rejected)
        error_suffix(err, "cardinality.%s refuses new series with it",
                     finding.reason == EVIDENCE_BY_NAME ? "label_patterns" : "shape_action");
    else
        foretell(&finding, question->metric_series,
                 rules_max_series(rules, question->has_max_series, question->max_series), err);
    return status;
}

static enum status admit(struct admitter *admitter, const struct admission_question *question,
                         struct error *err)
{
    struct admission *admission = container_of(admitter, struct admission, admitter);
    mutex_lock(&admission->lock);
    enum refusal_reason reason;
    uint64_t key = key_of(admission, question->metric);
    struct rules rules = rules_of(admission, key, question->metric);
    int64_t now_ms = clock_wall_ms(admission->clock);
    enum status status = rules_check(&rules, question, &reason, err);
    if (status == STATUS_OK) {
        reason = REFUSED_FINDING;
        status = look_at_labels(admission, &rules, question, now_ms, err);
    } else if (reason == REFUSED_METRIC_SERIES && admission->evidence != NULL) {
        /* What it would have brought tells which label is to blame. */
        evidence_note(admission->evidence, question->metric, question->labels, now_ms);
    }
    if (status == STATUS_OK) {
        reason = REFUSED_RATE;
        status = check_rates(admission, &rules, key, question, err);
    }
    if (status == STATUS_OK)
        refusals_admitted(&admission->refusals, question->metric);
    else
        note_refusal(admission, &rules, question, reason, now_ms, err);
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
    struct rules rules = {.limits = &admission->limits};
    if (metric != NULL)
        rules = rules_of(admission, metric->key, slice_of(metric->name, metric->name_size));
    bool refused = metric != NULL && rules_still_refuse(&rules, metric, reason, counts);
    if (refused) {
        metric->counts[reason]++;
        admission->stats.series_refused++;
        recollection->code = refusal_code(reason);
    }
    if (refused && recollection->tells) {
        rules_tell_again(&rules, metric, reason, counts, err);
        if (reason == REFUSED_METRIC_SERIES)
            blame_tell(metric, err);
        memcpy(recollection->metric, metric->name, metric->name_size);
        recollection->metric_size = metric->name_size;
    }
    mutex_unlock(&admission->lock);
    return refused ? STATUS_LIMIT : STATUS_OK;
}

static const struct admitter_ops admission_ops = {.admit = admit, .recall = recall};

enum status admission_new(struct admission **result, struct os os,
                          const struct admission_limits *limits, struct error *err)
{
    *result = NULL;
    struct admission *admission = calloc(1, sizeof *admission);
    if (admission == NULL)
        return fail(err, STATUS_MEMORY, "no memory for admission");
    admission->admitter.ops = &admission_ops;
    admission->clock = os.clock;
    admission->seed = random_u64(os.random);
    mutex_init(&admission->lock);
    enum status status = rate_table_new(&admission->metric_rates);
    if (status == STATUS_OK)
        status = refusals_init(&admission->refusals, limits->refusal_bytes, admission->seed);
    if (status == STATUS_OK && limits->evidence_bytes != 0)
        status = evidence_new(&admission->evidence, limits->evidence_bytes, admission->seed);
    if (status != STATUS_OK)
        fail(err, status, "no memory for admission");
    else
        status = admission_set_limits(admission, limits, err);
    if (status == STATUS_OK)
        *result = admission;
    else
        admission_free(admission);
    return status;
}

void admission_free(struct admission *admission)
{
    if (admission == NULL)
        return;
    rate_table_free(admission->metric_rates);
    refusals_release(&admission->refusals);
    override_cache_release(&admission->overrides);
    evidence_free(admission->evidence);
    label_patterns_free(admission->patterns);
    mutex_release(&admission->lock);
    free(admission);
}

enum status admission_set_limits(struct admission *admission, const struct admission_limits *limits,
                                 struct error *err)
{
    struct override_cache fresh = {0};
    struct label_patterns *patterns = NULL;
    enum status status = override_cache_set(&fresh, limits->overrides, limits->override_count, err);
    if (status == STATUS_OK)
        status =
            label_patterns_new(&patterns, limits->label_patterns, limits->label_pattern_count, err);
    if (status != STATUS_OK) {
        override_cache_release(&fresh);
        return status;
    }
    struct evidence_rules rules = EVIDENCE_RULES_DEFAULT;
    rules.shape_action = limits->shape_action;
    rules.masks_examples = limits->masks_examples;
    mutex_lock(&admission->lock);
    struct override_cache old = admission->overrides;
    struct label_patterns *old_patterns = admission->patterns;
    admission->overrides = fresh;
    admission->patterns = patterns;
    if (admission->evidence != NULL)
        evidence_set_rules(admission->evidence, &rules, patterns);
    admission->limits = *limits;
    admission->limits.overrides = NULL;
    admission->limits.override_count = 0;
    admission->limits.label_patterns = NULL;
    admission->limits.label_pattern_count = 0;
    refusals_forget(&admission->refusals);
    mutex_unlock(&admission->lock);
    override_cache_release(&old);
    label_patterns_free(old_patterns);
    return STATUS_OK;
}

void admission_metric_limit(struct admission *admission, struct slice metric, bool registered,
                            uint64_t registered_max_series, struct admission_metric_limit *limit)
{
    mutex_lock(&admission->lock);
    struct rules rules = rules_of(admission, key_of(admission, metric), metric);
    *limit = (struct admission_metric_limit){
        .max_series = rules_max_series(&rules, registered, registered_max_series),
        .warning_threshold = rules_warning_threshold(&rules),
    };
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
    if (admission->evidence != NULL) {
        struct evidence_stats evidence;
        evidence_stats(admission->evidence, &evidence);
        stats->evidence_bytes = evidence.memory_bytes;
    }
    mutex_unlock(&admission->lock);
}

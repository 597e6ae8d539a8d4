#include "admission/rules.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/invariant.h"
#include "base/shown.h"

enum { SHOWN_NAME = 100 };

/* ---- which limits ----------------------------------------------------------------------- */

static const struct {
    const char *general, *field; /* what settings call them */
} rule_names[] = {
    [RULE_SERIES] = {"cardinality.max_series_per_metric", "max_series"},
    [RULE_NEW_SERIES] = {"cardinality.max_new_series_per_metric_per_second",
                         "max_new_series_per_second"},
    [RULE_LABELS] = {"cardinality.max_labels_per_metric", "max_labels"},
    [RULE_LABEL_VALUE] = {"cardinality.max_label_value_length", "max_label_value_length"},
};

/* The override's; ADMISSION_UNSET: it has none. */
static uint64_t own_limit(const struct rules *rules, enum rule_of which)
{
    const struct admission_override *override = rules->override;
    if (override == NULL)
        return ADMISSION_UNSET;
    const uint64_t limits[] = {
        [RULE_SERIES] = override->max_series,
        [RULE_NEW_SERIES] = override->max_new_series,
        [RULE_LABELS] = override->max_labels,
        [RULE_LABEL_VALUE] = override->max_label_value_length,
    };
    return limits[which];
}

uint64_t rules_limit(const struct rules *rules, enum rule_of which)
{
    const struct admission_limits *limits = rules->limits;
    const uint64_t general[] = {
        [RULE_SERIES] = limits->max_series_per_metric,
        [RULE_NEW_SERIES] = limits->max_new_metric_series,
        [RULE_LABELS] = limits->max_labels,
        [RULE_LABEL_VALUE] = limits->max_label_value_length,
    };
    uint64_t own = own_limit(rules, which);
    return own != ADMISSION_UNSET ? own : general[which];
}

/* Whether the limit that the metric was registered with holds. */
static bool registration_holds(const struct rules *rules, bool registered)
{
    return registered && own_limit(rules, RULE_SERIES) == ADMISSION_UNSET;
}

uint64_t rules_max_series(const struct rules *rules, bool registered,
                          uint64_t registered_max_series)
{
    return registration_holds(rules, registered) ? registered_max_series
                                                 : rules_limit(rules, RULE_SERIES);
}

double rules_warning_threshold(const struct rules *rules)
{
    return rules->override != NULL && rules->override->warning_threshold >= 0
               ? rules->override->warning_threshold
               : rules->limits->warning_threshold;
}

struct rule_text rules_name(const struct rules *rules, enum rule_of which)
{
    struct rule_text name;
    if (own_limit(rules, which) == ADMISSION_UNSET)
        snprintf(name.text, sizeof name.text, "%s", rule_names[which].general);
    else
        snprintf(name.text, sizeof name.text,
                 "%s of the override \"%.150s\" in cardinality.overrides", rule_names[which].field,
                 shown_text(slice_from_text(rules->override->match)).text);
    return name;
}

static struct rule_text series_rule_name(const struct rules *rules, bool registered)
{
    return registration_holds(rules, registered)
               ? (struct rule_text){"its registered limits.max_series"}
               : rules_name(rules, RULE_SERIES);
}

/* ---- a series that is asked about ------------------------------------------------------- */

/* The beginning of a name that is too long. */
static struct slice beginning(struct slice name)
{
    return slice_of(name.data, name.size < SHOWN_NAME ? name.size : SHOWN_NAME);
}

static enum status check_name(const struct admission_limits *limits, struct slice metric,
                              enum refusal_reason *reason, struct error *err)
{
    *reason = REFUSED_METRIC_NAME;
    if (limits->max_metric_name_length == 0 || metric.size <= limits->max_metric_name_length)
        return STATUS_OK;
    return fail_code(err, STATUS_LIMIT, refusal_code(*reason),
                     "a new series of metric \"%.*s...\", whose name has %zu bytes; "
                     "cardinality.max_metric_name_length allows %" PRIu64,
                     SLICE_FORMAT(beginning(metric)), metric.size, limits->max_metric_name_length);
}

static enum status check_label(const struct rules *rules, const struct label *label,
                               struct slice metric, enum refusal_reason *reason, struct error *err)
{
    const struct admission_limits *limits = rules->limits;
    *reason = REFUSED_LABEL_NAME;
    if (limits->max_label_name_length != 0 && label->name.size > limits->max_label_name_length)
        return fail_code(err, STATUS_LIMIT, refusal_code(*reason),
                         "label \"%.*s...\" of a new series of metric \"%.*s\" has a name of %zu "
                         "bytes; cardinality.max_label_name_length allows %" PRIu64,
                         SLICE_FORMAT(beginning(label->name)), SLICE_FORMAT(metric),
                         label->name.size, limits->max_label_name_length);
    *reason = REFUSED_LABEL_VALUE;
    uint64_t most = rules_limit(rules, RULE_LABEL_VALUE);
    if (most == 0 || label->value.size <= most)
        return STATUS_OK;
    return fail_code(err, STATUS_LIMIT, refusal_code(*reason),
                     "label \"%.*s\" of a new series of metric \"%.*s\" has a value of %zu "
                     "bytes; %s allows %" PRIu64,
                     SLICE_FORMAT(label->name), SLICE_FORMAT(metric), label->value.size,
                     rules_name(rules, RULE_LABEL_VALUE).text, most);
}

static enum status check_labels(const struct rules *rules, const struct labels *labels,
                                struct slice metric, enum refusal_reason *reason, struct error *err)
{
    *reason = REFUSED_LABELS;
    uint64_t most = rules_limit(rules, RULE_LABELS);
    if (most != 0 && labels->count - 1 > most) {
        return fail_code(err, STATUS_LIMIT, refusal_code(*reason),
                         "a new series of metric \"%.*s\" has %zu labels; %s allows %" PRIu64,
                         SLICE_FORMAT(metric), labels->count - 1,
                         rules_name(rules, RULE_LABELS).text, most);
    }
    enum status status = check_name(rules->limits, metric, reason, err);
    for (size_t i = 0; i < labels->count && status == STATUS_OK; i++)
        if (!slice_equal_text(labels->items[i].name, METRIC_NAME_LABEL))
            status = check_label(rules, &labels->items[i], metric, reason, err);
    return status;
}

static enum status check_memory(const struct admission_limits *limits,
                                const struct admission_question *question, struct error *err)
{
    if (limits->max_index_bytes == 0 || question->index_bytes < limits->max_index_bytes)
        return STATUS_OK;
    return fail_code(err, STATUS_LIMIT, refusal_code(REFUSED_MEMORY),
                     "series since the last flush, and names, take %" PRIu64
                     " MiB, all that memory.limit leaves to them; series that exist go on, and new "
                     "ones are taken when a flush has made room",
                     question->index_bytes >> 20);
}

/* Names stay in memory, and so a flood of them must not take the place of series with names that
 * are there. */
static enum status check_names(const struct admission_limits *limits,
                               const struct admission_question *question, struct error *err)
{
    if (limits->max_name_bytes == 0 || question->name_bytes < limits->max_name_bytes ||
        question->new_name == NULL)
        return STATUS_OK;
    struct slice name = question->new_name(question);
    if (name.data == NULL)
        return STATUS_OK;
    bool metric = slice_equal(name, question->metric);
    return fail_code(err, STATUS_LIMIT, refusal_code(REFUSED_NAMES),
                     "the names of metrics and labels take %" PRIu64 " MiB, all that memory.limit "
                     "leaves to them, and %s \"%.*s%s\" of this new series of metric \"%.*s\" is "
                     "another one; series of names that are there go on coming in. Put what varies "
                     "into values of labels, and delete the series that brought the names",
                     question->name_bytes >> 20, metric ? "the name" : "the label name",
                     SLICE_FORMAT(beginning(name)), name.size > SHOWN_NAME ? "..." : "",
                     SLICE_FORMAT(beginning(question->metric)));
}

static enum status check_totals(const struct admission_limits *limits,
                                const struct admission_question *question,
                                enum refusal_reason *reason, struct error *err)
{
    *reason = limits->max_series_by_memory ? REFUSED_TOTAL_BY_MEMORY : REFUSED_TOTAL;
    if (limits->max_series != 0 && question->total_series >= limits->max_series)
        return fail_code(err, STATUS_LIMIT, refusal_code(*reason),
                         "%" PRIu64 " series are active, of all metrics, and %s %" PRIu64
                         "; they go on, and new ones, as this one of metric \"%.*s\", are refused",
                         question->total_series,
                         limits->max_series_by_memory ? "memory.limit has room for"
                                                      : "cardinality.max_series allows",
                         limits->max_series, SLICE_FORMAT(question->metric));
    *reason = REFUSED_INDEXED;
    if (limits->max_indexed_series != 0 && !question->returns &&
        question->indexed_series >= limits->max_indexed_series)
        return fail_code(err, STATUS_LIMIT, refusal_code(*reason),
                         "%" PRIu64 " series are stored, and cardinality.max_indexed_series allows "
                         "%" PRIu64 "; they go on, and new ones, as this one of metric \"%.*s\", "
                         "are refused until older ones are deleted or leave by retention",
                         question->indexed_series, limits->max_indexed_series,
                         SLICE_FORMAT(question->metric));
    return STATUS_OK;
}

/* Leaves the warning in *err. Without the count, so that one answer tells it once. */
static void warn_of_count(const struct rules *rules, const struct admission_question *question,
                          uint64_t limit, struct error *err)
{
    double threshold = rules_warning_threshold(rules);
    if (threshold <= 0 || (double)question->metric_series + 1 < threshold * (double)limit)
        return;
    fail_code(err, STATUS_OK, "cardinality_warning",
              "metric \"%.*s\" has reached %.0f%% of the %" PRIu64 " series that %s allows",
              SLICE_FORMAT(question->metric), threshold * 100, limit,
              series_rule_name(rules, question->has_max_series).text);
}

static void warn_of_total(const struct admission_limits *limits,
                          const struct admission_question *question, struct error *err)
{
    double least = limits->warning_threshold * (double)limits->max_series;
    if (limits->warning_threshold <= 0 || limits->max_series == 0 ||
        (double)question->total_series + 1 < least)
        return;
    fail_code(err, STATUS_OK, "cardinality_warning",
              "active series of all metrics have reached %.0f%% of the %" PRIu64 " that %s",
              limits->warning_threshold * 100, limits->max_series,
              limits->max_series_by_memory ? "memory.limit has room for"
                                           : "cardinality.max_series allows");
}

static enum status check_count(const struct rules *rules, const struct admission_question *question,
                               struct error *err)
{
    uint64_t limit = rules_max_series(rules, question->has_max_series, question->max_series);
    if (limit == 0)
        return STATUS_OK;
    if (question->metric_series < limit) {
        warn_of_count(rules, question, limit, err);
        return STATUS_OK;
    }
    return fail_code(err, STATUS_LIMIT, refusal_code(REFUSED_METRIC_SERIES),
                     "metric \"%.*s\" has %u series, and %s allows %" PRIu64
                     "; its existing series go on, new ones are refused",
                     SLICE_FORMAT(question->metric), question->metric_series,
                     series_rule_name(rules, question->has_max_series).text, limit);
}

enum status rules_check(const struct rules *rules, const struct admission_question *question,
                        enum refusal_reason *reason, struct error *err)
{
    const struct admission_limits *limits = rules->limits;
    enum status status = check_labels(rules, question->labels, question->metric, reason, err);
    if (status == STATUS_OK && !question->returns) {
        *reason = REFUSED_MEMORY;
        status = check_memory(limits, question, err);
    }
    if (status == STATUS_OK)
        status = check_totals(limits, question, reason, err);
    if (status == STATUS_OK) {
        *reason = REFUSED_METRIC_SERIES;
        status = check_count(rules, question, err);
    }
    /* Last, as it costs most. */
    if (status == STATUS_OK && !question->returns) {
        *reason = REFUSED_NAMES;
        status = check_names(limits, question, err);
    }
    /* One answer has room for one of both: the metric is what its sender can do something about. */
    if (status == STATUS_OK && err->code == NULL)
        warn_of_total(limits, question, err);
    return status;
}

/* ---- refused before --------------------------------------------------------------------- */

static uint64_t series_of(const struct refused_metric *metric,
                          const struct admission_counts *counts)
{
    return metric->tier_metric < counts->metric_count ? counts->metric_series[metric->tier_metric]
                                                      : 0;
}

bool rules_still_refuse(const struct rules *rules, const struct refused_metric *metric,
                        enum refusal_reason reason, const struct admission_counts *counts)
{
    const struct admission_limits *limits = rules->limits;
    switch (reason) {
    case REFUSED_LABELS:
    case REFUSED_LABEL_NAME:
    case REFUSED_LABEL_VALUE:
    case REFUSED_METRIC_NAME:
        return true;
    case REFUSED_MEMORY:
        return limits->max_index_bytes != 0 && counts->index_bytes >= limits->max_index_bytes;
    case REFUSED_TOTAL:
    case REFUSED_TOTAL_BY_MEMORY:
        return limits->max_series != 0 && counts->total_series >= limits->max_series;
    case REFUSED_INDEXED:
        return limits->max_indexed_series != 0 &&
               counts->indexed_series >= limits->max_indexed_series;
    case REFUSED_METRIC_SERIES:
        return metric->descriptor_changes == counts->descriptor_changes &&
               series_of(metric, counts) >= metric->limit;
    case REFUSED_FINDING:
    case REFUSED_NAMES:
    case REFUSED_RATE:
    case REFUSAL_REASONS:
        break;
    }
    return false;
}

static void tell_label_again(struct slice name, const char *what, const char *setting,
                             uint64_t limit, struct error *err)
{
    fail(err, STATUS_LIMIT,
         "a series of metric \"%.*s\" that was refused before, and nothing has changed since: %s "
         "than %s allows (%" PRIu64 ")",
         SLICE_FORMAT(name), what, setting, limit);
}

void rules_tell_again(const struct rules *rules, const struct refused_metric *metric,
                      enum refusal_reason reason, const struct admission_counts *counts,
                      struct error *err)
{
    const struct admission_limits *limits = rules->limits;
    struct slice name = slice_of(metric->name, metric->name_size);
    struct admission_question question = {.metric = name,
                                          .metric_series = (uint32_t)series_of(metric, counts),
                                          .has_max_series = metric->own_limit,
                                          .max_series = (uint32_t)metric->limit,
                                          .total_series = counts->total_series,
                                          .indexed_series = counts->indexed_series,
                                          .index_bytes = counts->index_bytes};
    enum refusal_reason same;
    enum status status = STATUS_LIMIT;
    switch (reason) {
    case REFUSED_LABELS:
        tell_label_again(name, "more labels", rules_name(rules, RULE_LABELS).text,
                         rules_limit(rules, RULE_LABELS), err);
        break;
    case REFUSED_LABEL_NAME:
        tell_label_again(name, "a longer name of a label", "cardinality.max_label_name_length",
                         limits->max_label_name_length, err);
        break;
    case REFUSED_LABEL_VALUE:
        tell_label_again(name, "a longer value of a label",
                         rules_name(rules, RULE_LABEL_VALUE).text,
                         rules_limit(rules, RULE_LABEL_VALUE), err);
        break;
    case REFUSED_METRIC_NAME:
        tell_label_again(name, "a longer name", "cardinality.max_metric_name_length",
                         limits->max_metric_name_length, err);
        break;
    case REFUSED_MEMORY:
        status = check_memory(limits, &question, err);
        break;
    case REFUSED_TOTAL:
    case REFUSED_TOTAL_BY_MEMORY:
    case REFUSED_INDEXED:
        status = check_totals(limits, &question, &same, err);
        break;
    default:
        status = check_count(rules, &question, err);
    }
    invariant(status == STATUS_LIMIT);
}

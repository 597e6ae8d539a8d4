#include "admission/rules.h"

#include <inttypes.h>

#include <stdio.h>

#include "base/invariant.h"
#include "base/shown.h"

enum { SHOWN_NAME = 100 };

/* ---- which limits ----------------------------------------------------------------------- */

static uint64_t choose(uint64_t own, uint64_t general)
{
    return own != ADMISSION_UNSET ? own : general;
}

uint64_t rules_max_series(const struct rules *rules, bool registered,
                          uint64_t registered_max_series)
{
    uint64_t otherwise = registered ? registered_max_series : rules->limits->max_series_per_metric;
    return rules->override == NULL ? otherwise : choose(rules->override->max_series, otherwise);
}

uint64_t rules_max_new_series(const struct rules *rules)
{
    uint64_t general = rules->limits->max_new_metric_series;
    return rules->override == NULL ? general : choose(rules->override->max_new_series, general);
}

static uint64_t max_labels(const struct rules *rules)
{
    uint64_t general = rules->limits->max_labels;
    return rules->override == NULL ? general : choose(rules->override->max_labels, general);
}

static uint64_t max_label_value(const struct rules *rules)
{
    uint64_t general = rules->limits->max_label_value_length;
    return rules->override == NULL ? general
                                   : choose(rules->override->max_label_value_length, general);
}

double rules_warning_threshold(const struct rules *rules)
{
    return rules->override != NULL && rules->override->warning_threshold >= 0
               ? rules->override->warning_threshold
               : rules->limits->warning_threshold;
}

void rules_name_setting(const struct rules *rules, enum rule_of which, bool registered,
                        char text[RULE_TEXT_SIZE])
{
    const struct admission_override *override = rules->override;
    const struct {
        const char *general, *field;
        uint64_t own;
    } names[] = {
        [RULE_SERIES] = {registered ? "its registered limits.max_series"
                                    : "cardinality.max_series_per_metric",
                         "max_series", override == NULL ? ADMISSION_UNSET : override->max_series},
        [RULE_NEW_SERIES] = {"cardinality.max_new_series_per_metric_per_second",
                             "max_new_series_per_second",
                             override == NULL ? ADMISSION_UNSET : override->max_new_series},
        [RULE_LABELS] = {"cardinality.max_labels_per_metric", "max_labels",
                         override == NULL ? ADMISSION_UNSET : override->max_labels},
        [RULE_LABEL_VALUE] = {"cardinality.max_label_value_length", "max_label_value_length",
                              override == NULL ? ADMISSION_UNSET
                                               : override->max_label_value_length},
    };
    if (names[which].own == ADMISSION_UNSET)
        snprintf(text, RULE_TEXT_SIZE, "%s", names[which].general);
    else
        snprintf(text, RULE_TEXT_SIZE, "%s of the override \"%.150s\" in cardinality.overrides",
                 names[which].field, shown_text(slice_from_text(override->match)).text);
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
    uint64_t most = max_label_value(rules);
    if (most == 0 || label->value.size <= most)
        return STATUS_OK;
    char setting[RULE_TEXT_SIZE];
    rules_name_setting(rules, RULE_LABEL_VALUE, false, setting);
    return fail_code(err, STATUS_LIMIT, refusal_code(*reason),
                     "label \"%.*s\" of a new series of metric \"%.*s\" has a value of %zu "
                     "bytes; %s allows %" PRIu64,
                     SLICE_FORMAT(label->name), SLICE_FORMAT(metric), label->value.size, setting,
                     most);
}

static enum status check_labels(const struct rules *rules, const struct labels *labels,
                                struct slice metric, enum refusal_reason *reason, struct error *err)
{
    *reason = REFUSED_LABELS;
    uint64_t most = max_labels(rules);
    if (most != 0 && labels->count - 1 > most) {
        char setting[RULE_TEXT_SIZE];
        rules_name_setting(rules, RULE_LABELS, false, setting);
        return fail_code(err, STATUS_LIMIT, refusal_code(*reason),
                         "a new series of metric \"%.*s\" has %zu labels; %s allows %" PRIu64,
                         SLICE_FORMAT(metric), labels->count - 1, setting, most);
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
    char setting[RULE_TEXT_SIZE];
    rules_name_setting(rules, RULE_SERIES, question->has_max_series, setting);
    fail_code(err, STATUS_OK, "cardinality_warning",
              "metric \"%.*s\" has reached %.0f%% of the %" PRIu64 " series that %s allows",
              SLICE_FORMAT(question->metric), threshold * 100, limit, setting);
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
    char setting[RULE_TEXT_SIZE];
    rules_name_setting(rules, RULE_SERIES, question->has_max_series, setting);
    return fail_code(err, STATUS_LIMIT, refusal_code(REFUSED_METRIC_SERIES),
                     "metric \"%.*s\" has %u series, and %s allows %" PRIu64
                     "; its existing series go on, new ones are refused",
                     SLICE_FORMAT(question->metric), question->metric_series, setting, limit);
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
    char setting[RULE_TEXT_SIZE];
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
        rules_name_setting(rules, RULE_LABELS, false, setting);
        tell_label_again(name, "more labels", setting, max_labels(rules), err);
        break;
    case REFUSED_LABEL_NAME:
        tell_label_again(name, "a longer name of a label", "cardinality.max_label_name_length",
                         limits->max_label_name_length, err);
        break;
    case REFUSED_LABEL_VALUE:
        rules_name_setting(rules, RULE_LABEL_VALUE, false, setting);
        tell_label_again(name, "a longer value of a label", setting, max_label_value(rules), err);
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

#include "admission/blame.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/shown.h"
#include "base/utf8.h"
#include "model/labels.h"

enum { LOOK_EVERY_MS = 1000, LEAST_VALUES = 20 };

static void blame(struct refused_metric *metric, const struct evidence_finding *known)
{
    metric->blamed_values = known->distinct;
    struct slice label = slice_from_text(known->label);
    snprintf(metric->blamed, sizeof metric->blamed, "%.*s", (int)utf8_prefix(label, BLAMED_SIZE),
             known->label);
    bool alike = known->shape != SHAPE_NONE && known->shape_share >= 0.5;
    metric->blamed_shape = alike ? shape_plural(known->shape) : NULL;
    metric->blamed_example[0] = 0;
    if (known->example_count > 0)
        snprintf(metric->blamed_example, sizeof metric->blamed_example, "%s", known->examples[0]);
}

void blame_look(struct refused_metric *metric, const struct evidence *evidence, struct slice name,
                const struct labels *labels, int64_t now_ms)
{
    if (metric->told_ms != 0 && now_ms >= metric->told_ms &&
        now_ms - metric->told_ms < LOOK_EVERY_MS)
        return;
    metric->told_ms = now_ms;
    metric->told_distinct = hyperloglog_estimate(&metric->distinct);
    metric->blamed_values = 0;
    struct evidence_finding known;
    for (size_t i = 0; evidence != NULL && i < labels->count; i++)
        if (!slice_equal_text(labels->items[i].name, METRIC_NAME_LABEL) &&
            evidence_get(evidence, name, labels->items[i].name, now_ms, &known) &&
            known.distinct >= LEAST_VALUES && known.distinct > metric->blamed_values)
            blame(metric, &known);
}

void blame_tell(const struct refused_metric *metric, struct error *err)
{
    if (metric->told_distinct > 1)
        error_suffix(err, "about %" PRIu64 "%s different ones were refused so far",
                     metric->told_distinct, metric->distinct_cut ? " or more" : "");
    if (metric->blamed_values <= 0)
        return;
    error_suffix(err, "its label \"%s\" has the most values, about %.0f%s%s%s%s%s",
                 shown_text(slice_from_text(metric->blamed)).text, metric->blamed_values,
                 metric->blamed_shape == NULL ? "" : ", most of them ",
                 metric->blamed_shape == NULL ? "" : metric->blamed_shape,
                 metric->blamed_example[0] == 0 ? "" : ", such as \"",
                 shown_text(slice_from_text(metric->blamed_example)).text,
                 metric->blamed_example[0] == 0 ? "" : "\"");
}

/*
 * rules - what a series that is not active has to keep to, as far as one look at it tells.
 */
#ifndef METRIC_STORE_ADMISSION_RULES_H
#define METRIC_STORE_ADMISSION_RULES_H

#include "admission/admission.h"
#include "admission/refusals.h"

/* What holds for the series of one metric. */
struct rules {
    const struct admission_limits *limits;
    const struct admission_override *override; /* NULL: none */
};

enum rule_of { RULE_SERIES, RULE_NEW_SERIES, RULE_LABELS, RULE_LABEL_VALUE };

/* The override's limit, else the general one; 0: none. */
uint64_t rules_limit(const struct rules *rules, enum rule_of which);
/* Of a metric's active series: before the general one goes that which it was registered with, and
 * before both the override's, for who runs the store has the last word. */
uint64_t rules_max_series(const struct rules *rules, bool registered,
                          uint64_t registered_max_series);
double rules_warning_threshold(const struct rules *rules);

/* For messages: how the setting is called that makes a limit. */
struct rule_text {
    char text[256];
};
struct rule_text rules_name(const struct rules *rules, enum rule_of which);

/* Sets *reason where it refuses. OK, with a warning in *err where its metric comes near its limit
 * (a code that is not NULL); LIMIT with a code and a message that names the setting. */
MUST_CHECK enum status rules_check(const struct rules *rules,
                                   const struct admission_question *question,
                                   enum refusal_reason *reason, struct error *err);

/* Of a series of which only the reason is known for which it was refused: whether that stands. */
bool rules_still_refuse(const struct rules *rules, const struct refused_metric *metric,
                        enum refusal_reason reason, const struct admission_counts *counts);
/* And how it is told. */
void rules_tell_again(const struct rules *rules, const struct refused_metric *metric,
                      enum refusal_reason reason, const struct admission_counts *counts,
                      struct error *err);

#endif

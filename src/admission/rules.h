/*
 * rules - what a series that is not active has to keep to, as far as one look at it tells.
 */
#ifndef METRIC_STORE_ADMISSION_RULES_H
#define METRIC_STORE_ADMISSION_RULES_H

#include "admission/admission.h"
#include "admission/refusals.h"

/* Sets *reason where it refuses. OK, with a warning in *err where its metric comes near its limit
 * (a code that is not NULL); LIMIT with a code and a message that names the setting. */
MUST_CHECK enum status rules_check(const struct admission_limits *limits,
                                   const struct admission_question *question,
                                   enum refusal_reason *reason, struct error *err);

/* Of a series of which only the reason is known for which it was refused: whether that stands. */
bool rules_still_refuse(const struct admission_limits *limits, const struct refused_metric *metric,
                        enum refusal_reason reason, const struct admission_counts *counts);
/* And how it is told. */
void rules_tell_again(const struct admission_limits *limits, const struct refused_metric *metric,
                      enum refusal_reason reason, const struct admission_counts *counts,
                      struct error *err);

#endif

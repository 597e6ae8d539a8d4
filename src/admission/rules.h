/*
 * rules - what a series that is not active has to keep to, as far as one look at it tells.
 */
#ifndef METRIC_STORE_ADMISSION_RULES_H
#define METRIC_STORE_ADMISSION_RULES_H

#include "admission/admission.h"

/* OK, with a warning in *err where its metric comes near its limit (a code that is not NULL); LIMIT
 * with a code and a message that names the setting. */
MUST_CHECK enum status rules_check(const struct admission_limits *limits,
                                   const struct admission_question *question, struct error *err);

#endif

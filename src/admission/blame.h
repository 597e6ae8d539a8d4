/*
 * blame - what fills a metric, for whom its new series are refused: the label with the most
 * different values, and about how many different series were refused.
 *
 * Threads: the owner's lock.
 */
#ifndef METRIC_STORE_ADMISSION_BLAME_H
#define METRIC_STORE_ADMISSION_BLAME_H

#include "admission/evidence.h"
#include "admission/refusals.h"

/* Looks at the labels of a refused series, at most once a second for each metric, and keeps in
 * *metric, whose whole name is `name`, what it found. `evidence` may be NULL. */
void blame_look(struct refused_metric *metric, const struct evidence *evidence, struct slice name,
                const struct labels *labels, int64_t now_ms);

/* Adds it to the message of a refusal for the number of a metric's series, where it is known. */
void blame_tell(const struct refused_metric *metric, struct error *err);

#endif

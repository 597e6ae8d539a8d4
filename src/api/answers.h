/*
 * answers - status -> HTTP, and the JSON of what became of a batch.
 */
#ifndef METRIC_STORE_API_ANSWERS_H
#define METRIC_STORE_API_ANSWERS_H

#include "http/http.h"
#include "model/batch.h"

/* Answers with a problem document: the status' HTTP status, the error's code (or the status' own),
 * Retry-After where trying again helps. Gives up the request. */
void answer_error(struct http_request *request, enum status status, const struct error *err);

/* The stable code of that answer; a literal. */
const char *answer_code(enum status status, const struct error *err);

/* 200 with the counts when anything was stored or nothing was refused, else 400 with the same. */
void answer_batch(struct http_request *request, const struct batch *batch);

/* 204 when nothing was refused, else 400 with the counts and reasons. */
void answer_remote_write(struct http_request *request, const struct batch *batch);

#endif

/*
 * json_document - what is common to bodies that are one JSON value: the parser, the end, the
 * sentence about a fault.
 */
#ifndef METRIC_STORE_PROTOCOLS_JSON_DOCUMENT_H
#define METRIC_STORE_PROTOCOLS_JSON_DOCUMENT_H

#include "protocols/json_tokens.h"
#include "protocols/protocols.h"

struct json_parser {
    struct json_index *index;
    uint32_t max_depth;
};

/* False when anything follows the value that ended with the last token; the fault is set. */
MUST_CHECK bool json_document_end(struct json_tokens *tokens);

/* The fault of the tokens as a sentence with line and column, both from 1, the column in bytes. */
enum status json_document_failed(const struct json_tokens *tokens, struct error *err);

/* The same for LIMIT or MEMORY of the request's arena. */
enum status json_arena_failed(enum status status, struct error *err);

#endif

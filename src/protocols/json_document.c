#include "protocols/json_document.h"

#include <stdlib.h>

enum status json_parser_new(struct json_parser **parser, const struct protocol_limits *limits,
                            struct error *err)
{
    *parser = NULL;
    struct json_parser *made = malloc(sizeof *made);
    struct json_index *index = json_index_new();
    if (made == NULL || index == NULL) {
        free(made);
        json_index_free(index);
        return fail(err, STATUS_MEMORY, "no memory for a JSON parser");
    }
    uint32_t depth = limits->json_max_depth;
    *made = (struct json_parser){
        .index = index,
        .max_depth = depth < JSON_DEPTH_CEILING ? depth : JSON_DEPTH_CEILING,
    };
    *parser = made;
    return STATUS_OK;
}

void json_parser_free(struct json_parser *parser)
{
    if (parser == NULL)
        return;
    json_index_free(parser->index);
    free(parser);
}

enum status json_arena_failed(enum status status, struct error *err)
{
    if (status == STATUS_LIMIT)
        return fail_code(
            err, status, "body_too_large",
            "this request needs more memory than memory.limit leaves to one; send less "
            "at a time");
    return fail(err, status, "out of memory while reading the request");
}

enum status json_document_failed(const struct json_tokens *tokens, struct error *err)
{
    const struct json_fault *fault = &tokens->fault;
    if (fault->status != STATUS_INVALID && fault->code == NULL)
        return json_arena_failed(fault->status, err);
    size_t line = 1;
    const uint8_t *start = tokens->body.data;
    for (const uint8_t *at = start; at < fault->at;) {
        at = memchr(at, '\n', (size_t)(fault->at - at));
        if (at == NULL)
            break;
        start = ++at;
        line++;
    }
    const char *end = fault->at == tokens->body.data + tokens->body.size ? " (the end)" : "";
    return fail_code(err, fault->status, fault->code, "JSON: line %zu, column %zu%s: %s", line,
                     (size_t)(fault->at - start) + 1, end, fault->what);
}

bool json_document_end(struct json_tokens *tokens)
{
    const uint8_t *at = json_next(tokens);
    if (at != NULL)
        return json_refuse(tokens, at, "text after the end of the JSON value");
    return tokens->fault.status == STATUS_OK;
}

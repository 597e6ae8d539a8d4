/*
 * json_tokens - the tokens of a JSON body one after the other, wherever they begin outside strings.
 *
 * The body is indexed (cxx/json.h) in windows of some 128 KiB, so that a body of any size costs
 * little memory. A window ends outside of strings and between tokens. Two ways to use it:
 *   a document: json_tokens_document, then json_next to the end; windows follow by themselves;
 *   lines:      json_tokens_window for each window the caller has cut at line ends.
 *
 * Faults are sticky: once json_next gave NULL, `fault` says why, or is STATUS_OK at the end of the
 * text, and the caller that had wanted more calls json_refuse.
 */
#ifndef METRIC_STORE_PROTOCOLS_JSON_TOKENS_H
#define METRIC_STORE_PROTOCOLS_JSON_TOKENS_H

#include "cxx/json.h"
#include "protocols/json_text.h"

enum {
    JSON_WINDOW_SIZE = 128 * 1024,
    JSON_WINDOW_MAX_SIZE = 4 * 1024 * 1024, /* where one token needs a larger one */
};

struct json_tokens {
    struct json_index *index;
    struct slice body;
    size_t window_end; /* offset in the body */
    const uint8_t *window;
    const uint32_t *offsets; /* in the window; one more than `count` */
    size_t count;
    size_t next;
    const uint8_t *last; /* the token that json_next gave last */
    bool document;
    uint32_t max_depth;
    struct json_fault fault;
};

void json_tokens_document(struct json_tokens *tokens, struct json_index *index, struct slice body,
                          uint32_t max_depth);
void json_tokens_lines(struct json_tokens *tokens, struct json_index *index, struct slice body,
                       uint32_t max_depth);

/* Makes `text`, a part of the body that begins and ends outside of strings, the window. */
MUST_CHECK enum status json_tokens_window(struct json_tokens *tokens, struct slice text);

/* Why json_tokens_window refused `text`. */
void json_diagnose(struct slice text, struct json_fault *fault);

/* Opens a document's next window; false at the end or with the fault set. */
bool json_tokens_refill(struct json_tokens *tokens);

/* The next token's first byte, or NULL. */
static inline const uint8_t *json_next(struct json_tokens *tokens)
{
    if (tokens->next == tokens->count && !(tokens->document && json_tokens_refill(tokens)))
        return NULL;
    return tokens->last = tokens->window + tokens->offsets[tokens->next++];
}

/* The last token's text without the white space after it. */
static inline struct slice json_token(const struct json_tokens *tokens)
{
    const uint8_t *end = tokens->window + tokens->offsets[tokens->next];
    while (end > tokens->last + 1 &&
           (end[-1] == ' ' || end[-1] == '\n' || end[-1] == '\r' || end[-1] == '\t'))
        end--;
    return slice_of(tokens->last, (size_t)(end - tokens->last));
}

/* Sets a fault at `at` (NULL: the end of the text) unless there is one; always false. */
bool json_refuse(struct json_tokens *tokens, const uint8_t *at, const char *what);

/* Takes the next token, which must be `wanted`. */
static inline bool json_expect(struct json_tokens *tokens, uint8_t wanted, const char *what)
{
    const uint8_t *at = json_next(tokens);
    if (at != NULL && *at == wanted)
        return true;
    return json_refuse(tokens, at, what);
}

/* Checks the whole value that begins with the last token, which stands `depth` arrays and objects
 * deep, and steps over it. */
MUST_CHECK bool json_skip(struct json_tokens *tokens, uint32_t depth);

#endif

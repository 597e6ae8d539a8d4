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

/*
 * The walk over an object whose opening brace is the last token:
 *
 *   bool more = false;
 *   if (!json_object_begin(tokens, &more)) return false;
 *   while (more)
 *       if (!json_member_name(tokens, &quoted) || !json_member_value(tokens) ||
 *           !(take the value) || !json_object_next(tokens, &more)) return false;
 *
 * *more: the last token is where a member's name should be; otherwise it is the closing brace.
 */
static inline bool json_object_begin(struct json_tokens *tokens, bool *more)
{
    const uint8_t *at = json_next(tokens);
    *more = at != NULL && *at != '}';
    return at != NULL || json_refuse(tokens, at, "expected ',' or '}' after a member");
}

static inline bool json_object_next(struct json_tokens *tokens, bool *more)
{
    const uint8_t *at = json_next(tokens);
    *more = at != NULL && *at == ',';
    if (at != NULL && *at == '}')
        return true;
    if (*more)
        at = json_next(tokens);
    return (*more && at != NULL) || json_refuse(tokens, at, "expected ',' or '}' after a member");
}

/* The last token, which must be a string, as it stands; json_string_take is still to check it. */
static inline bool json_member_name(struct json_tokens *tokens, struct slice *quoted)
{
    if (*tokens->last != '"')
        return json_refuse(tokens, tokens->last, "expected a member's name in double quotes");
    *quoted = json_token(tokens);
    return true;
}

/* Takes the ':' and the first token of the member's value. */
static inline bool json_member_value(struct json_tokens *tokens)
{
    if (!json_expect(tokens, ':', "expected ':' after a member's name"))
        return false;
    return json_next(tokens) != NULL || json_refuse(tokens, NULL, "expected a member's value");
}

/* The last token, a string, as it stands; false and the fault when it has a wrong escape. */
static inline bool json_string_take(struct json_tokens *tokens, struct slice *quoted)
{
    *quoted = json_token(tokens);
    if (quoted->size < 2 || quoted->data[quoted->size - 1] != '"')
        return json_refuse(tokens, quoted->data, "a string is not closed");
    return memchr(quoted->data, '\\', quoted->size) == NULL ||
           json_strings_check(*quoted, &tokens->fault);
}

/* The text of a string that json_string_take gave; false and the fault when `arena` has no memory
 * for it. */
MUST_CHECK bool json_string_decode(struct json_tokens *tokens, struct slice quoted,
                                   struct arena *arena, struct slice *text);

/* Checks the whole value that begins with the last token, which stands `depth` arrays and objects
 * deep, and steps over it. */
MUST_CHECK bool json_skip(struct json_tokens *tokens, uint32_t depth);

#endif

#include "protocols/json_tokens.h"

#include "base/utf8.h"

static void tokens_init(struct json_tokens *tokens, struct json_index *index, struct slice body,
                        uint32_t max_depth)
{
    *tokens = (struct json_tokens){.index = index, .body = body, .max_depth = max_depth};
    tokens->window = body.data;
    tokens->last = body.data;
}

void json_tokens_document(struct json_tokens *tokens, struct json_index *index, struct slice body,
                          uint32_t max_depth)
{
    tokens_init(tokens, index, body, max_depth);
    tokens->document = true;
}

void json_tokens_lines(struct json_tokens *tokens, struct json_index *index, struct slice body,
                       uint32_t max_depth)
{
    tokens_init(tokens, index, body, max_depth);
}

bool json_refuse(struct json_tokens *tokens, const uint8_t *at, const char *what)
{
    if (tokens->fault.status != STATUS_OK)
        return false;
    tokens->fault = (struct json_fault){
        .status = STATUS_INVALID,
        .code = "json_invalid",
        .what = what,
        .at = at != NULL ? at : tokens->body.data + tokens->window_end,
    };
    return false;
}

/* ---- windows ---- */

enum status json_tokens_window(struct json_tokens *tokens, struct slice text)
{
    tokens->window = text.data;
    tokens->next = 0;
    tokens->window_end = (size_t)(text.data - tokens->body.data) + text.size;
    return json_index_build(tokens->index, text, &tokens->offsets, &tokens->count);
}

static size_t utf8_fault(struct slice text)
{
    /* Halves the text until the first broken character is alone; only for messages. */
    size_t good = 0;
    size_t bad = text.size;
    while (bad - good > 1) {
        size_t middle = good + utf8_prefix(slice_from(text, good), (bad - good) / 2);
        if (middle == good)
            break;
        if (utf8_valid(slice_of(text.data + good, middle - good)))
            good = middle;
        else
            bad = middle;
    }
    return good;
}

static bool is_structural(uint8_t byte)
{
    return byte == '}' || byte == ']' || byte == ',' || byte == '{' || byte == '[' || byte == ':';
}

/*
 * Walks the strings of `text` byte by byte. Gives the offset after the last structural character
 * outside of strings (0: none), and in *fault a string that cannot be; an unclosed one has its
 * opening quote there.
 */
static size_t strings_walk(struct slice text, struct json_fault *fault)
{
    size_t safe = 0;
    const uint8_t *end = text.data + text.size;
    *fault = (struct json_fault){.status = STATUS_OK};
    for (const uint8_t *at = text.data; at < end; at++) {
        if (is_structural(*at))
            safe = (size_t)(at - text.data) + 1;
        if (*at == '"') {
            at = json_string_end(at, end, fault);
            if (at == NULL)
                break;
        }
    }
    return safe;
}

void json_diagnose(struct slice text, struct json_fault *fault)
{
    if (!utf8_valid(text)) {
        *fault = (struct json_fault){
            .status = STATUS_INVALID,
            .code = "utf8_invalid",
            .what = "a byte that is not UTF-8; JSON is UTF-8 text",
            .at = text.data + utf8_fault(text),
        };
        return;
    }
    strings_walk(text, fault);
    if (fault->status == STATUS_OK)
        *fault = (struct json_fault){
            .status = STATUS_INVALID,
            .code = "json_invalid",
            .what = "a backslash or a quote where none can be",
            .at = text.data,
        };
}

/* Cuts `size` bytes back to just after a structural character; 0 when there is none. */
static size_t window_cut(const uint8_t *from, size_t size)
{
    for (size_t cut = size; cut > 0; cut--)
        if (is_structural(from[cut - 1]))
            return cut;
    return 0;
}

static bool window_fail(struct json_tokens *tokens, enum status status)
{
    tokens->count = 0;
    tokens->fault = (struct json_fault){
        .status = status,
        .code = status == STATUS_LIMIT ? "sample_too_large" : NULL,
        .what = status == STATUS_LIMIT ? "one value of more than 4 MiB; at most that is accepted"
                                       : "out of memory",
        .at = tokens->body.data + tokens->window_end,
    };
    return false;
}

/*
 * Indexes the next window of a document, of about `size` bytes. BUSY: it needs a larger one.
 * The cut may fall into a string; then the strings are walked to find one that does not.
 */
static enum status window_try(struct json_tokens *tokens, struct slice rest, size_t size)
{
    bool whole = size >= rest.size;
    struct slice text = slice_of(rest.data, whole ? rest.size : window_cut(rest.data, size));
    if (text.size == 0)
        return STATUS_BUSY;
    enum status status = json_tokens_window(tokens, text);
    if (status != STATUS_INVALID)
        return status;
    if (whole) {
        json_diagnose(rest, &tokens->fault);
        return STATUS_INVALID;
    }
    struct json_fault fault;
    size_t safe = strings_walk(text, &fault);
    if (safe == 0)
        return STATUS_BUSY;
    status = json_tokens_window(tokens, slice_of(rest.data, safe));
    if (status == STATUS_INVALID)
        json_diagnose(slice_of(rest.data, safe), &tokens->fault);
    return status;
}

bool json_tokens_refill(struct json_tokens *tokens)
{
    while (tokens->fault.status == STATUS_OK && tokens->window_end < tokens->body.size) {
        size_t start = tokens->window_end;
        struct slice rest = slice_from(tokens->body, start);
        size_t size = JSON_WINDOW_SIZE;
        enum status status = window_try(tokens, rest, size);
        while (status == STATUS_BUSY && size < JSON_WINDOW_MAX_SIZE) {
            size *= 2;
            status = window_try(tokens, rest, size);
        }
        if (status == STATUS_BUSY)
            tokens->window_end = start;
        if (status == STATUS_BUSY || status == STATUS_MEMORY)
            return window_fail(tokens, status == STATUS_BUSY ? STATUS_LIMIT : status);
        if (status != STATUS_OK)
            return false;
        if (tokens->count > 0)
            return true;
    }
    return false;
}

/* ---- values ---- */

bool json_string_decode(struct json_tokens *tokens, struct slice quoted, struct arena *arena,
                        struct slice *text)
{
    *text = json_string_text(quoted, arena);
    if (text->data != NULL)
        return true;
    tokens->fault = (struct json_fault){
        .status = arena_status(arena),
        .what = "no memory for a string",
        .at = quoted.data,
    };
    return false;
}

static bool scalar_check(struct json_tokens *tokens)
{
    struct slice text = json_token(tokens);
    double value;
    if (slice_equal_text(text, "true") || slice_equal_text(text, "false") ||
        slice_equal_text(text, "null") || json_number_parse(text, &value) != JSON_NUMBER_INVALID)
        return true;
    return json_refuse(tokens, text.data, "neither a value nor a number that JSON knows");
}

static bool skip_value(struct json_tokens *tokens, const uint8_t *at, uint32_t depth);

/* The members of an object or the elements of an array, after its opening bracket. */
static bool skip_items(struct json_tokens *tokens, uint8_t close, uint32_t depth)
{
    const uint8_t *at = json_next(tokens);
    if (at != NULL && *at == close)
        return true;
    while (at != NULL) {
        if (close == '}') {
            if (*at != '"')
                return json_refuse(tokens, at, "expected a member's name in double quotes");
            if (!skip_value(tokens, at, depth) ||
                !json_expect(tokens, ':', "expected ':' after a member's name"))
                return false;
            at = json_next(tokens);
            if (at == NULL)
                break;
        }
        if (!skip_value(tokens, at, depth))
            return false;
        at = json_next(tokens);
        if (at != NULL && *at == close)
            return true;
        if (at == NULL || *at != ',')
            break;
        at = json_next(tokens);
    }
    return json_refuse(tokens, at, "expected ',' or the closing bracket");
}

static bool skip_value(struct json_tokens *tokens, const uint8_t *at, uint32_t depth)
{
    switch (*at) {
    case '{':
    case '[':
        if (depth >= tokens->max_depth) {
            json_refuse(tokens, at, "nested too deeply");
            tokens->fault.code = "json_too_deep";
            return false;
        }
        return skip_items(tokens, *at == '{' ? '}' : ']', depth + 1);
    case '"':
        return json_strings_check(json_token(tokens), &tokens->fault);
    case '}':
    case ']':
    case ',':
    case ':':
        return json_refuse(tokens, at, "expected a value");
    default:
        return scalar_check(tokens);
    }
}

bool json_skip(struct json_tokens *tokens, uint32_t depth)
{
    return skip_value(tokens, tokens->last, depth);
}

#include "commands/json_tree.h"

struct json_cursor {
    const uint8_t *at;
    const uint8_t *start;
    const uint8_t *end;
    struct arena *arena;
    struct error *err;
};

static enum status broken(struct json_cursor *cursor, const char *what)
{
    return fail(cursor->err, STATUS_INVALID, "the answer is no JSON: %s at byte %zu", what,
                (size_t)(cursor->at - cursor->start));
}

static void skip_space(struct json_cursor *cursor)
{
    while (cursor->at < cursor->end && (*cursor->at == ' ' || *cursor->at == '\n' ||
                                        *cursor->at == '\r' || *cursor->at == '\t'))
        cursor->at++;
}

static bool take(struct json_cursor *cursor, uint8_t byte)
{
    skip_space(cursor);
    if (cursor->at == cursor->end || *cursor->at != byte)
        return false;
    cursor->at++;
    return true;
}

/* ---- strings ---------------------------------------------------------------------------- */

static bool hex4(const uint8_t *at, const uint8_t *end, uint32_t *code)
{
    *code = 0;
    if (end - at < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        uint8_t c = at[i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a' + 10)
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A' + 10)
                                                : 16;
        if (digit == 16)
            return false;
        *code = *code << 4 | digit;
    }
    return true;
}

static uint8_t *put_utf8(uint8_t *to, uint32_t code)
{
    if (code < 0x80) {
        *to++ = (uint8_t)code;
        return to;
    }
    if (code < 0x800) {
        *to++ = (uint8_t)(0xc0 | code >> 6);
    } else {
        if (code < 0x10000) {
            *to++ = (uint8_t)(0xe0 | code >> 12);
        } else {
            *to++ = (uint8_t)(0xf0 | code >> 18);
            *to++ = (uint8_t)(0x80 | (code >> 12 & 63));
        }
        *to++ = (uint8_t)(0x80 | (code >> 6 & 63));
    }
    *to++ = (uint8_t)(0x80 | (code & 63));
    return to;
}

/* Behind the 'u'. Moves *at behind the digits. */
static bool unescape_unicode(const uint8_t **at, const uint8_t *end, uint32_t *code)
{
    if (!hex4(*at, end, code))
        return false;
    *at += 4;
    if (*code < 0xd800 || *code > 0xdfff)
        return true;
    uint32_t low;
    if (*code > 0xdbff || end - *at < 6 || (*at)[0] != '\\' || (*at)[1] != 'u' ||
        !hex4(*at + 2, end, &low) || low < 0xdc00 || low > 0xdfff)
        return false;
    *at += 6;
    *code = 0x10000 + ((*code - 0xd800) << 10) + (low - 0xdc00);
    return true;
}

static enum status unescape(struct json_cursor *cursor, struct slice raw, struct slice *text)
{
    static const char from[] = "\"\\/bfnrt";
    static const char into[] = "\"\\/\b\f\n\r\t";
    uint8_t *data = arena_alloc(cursor->arena, raw.size);
    if (data == NULL)
        return fail(cursor->err, arena_status(cursor->arena),
                    "the answer is too large to be shown");
    uint8_t *to = data;
    const uint8_t *end = raw.data + raw.size;
    for (const uint8_t *at = raw.data; at < end;) {
        if (*at != '\\') {
            *to++ = *at++;
            continue;
        }
        at++; /* the string does not end in a lone backslash */
        if (*at == 'u') {
            uint32_t code;
            at++;
            if (!unescape_unicode(&at, end, &code))
                return broken(cursor, "a wrong \\u escape");
            to = put_utf8(to, code);
            continue;
        }
        const char *found = *at == 0 ? NULL : strchr(from, *at);
        if (found == NULL)
            return broken(cursor, "a wrong escape");
        *to++ = (uint8_t)into[found - from];
        at++;
    }
    *text = slice_of(data, (size_t)(to - data));
    return STATUS_OK;
}

/* Behind the opening quote. */
static enum status parse_string(struct json_cursor *cursor, struct slice *text)
{
    const uint8_t *start = cursor->at;
    bool escaped = false;
    while (cursor->at < cursor->end && *cursor->at != '"') {
        if (*cursor->at == '\\') {
            escaped = true;
            cursor->at++;
        }
        cursor->at++;
    }
    if (cursor->at >= cursor->end) {
        cursor->at = cursor->end;
        return broken(cursor, "a string has no end");
    }
    struct slice raw = slice_of(start, (size_t)(cursor->at - start));
    cursor->at++;
    *text = raw;
    return escaped ? unescape(cursor, raw, text) : STATUS_OK;
}

/* ---- values ----------------------------------------------------------------------------- */

static enum status parse_value(struct json_cursor *cursor, unsigned depth, struct json_node **node);

static enum status parse_items(struct json_cursor *cursor, unsigned depth, struct json_node *parent)
{
    bool object = parent->type == JSON_OBJECT;
    uint8_t closing = object ? '}' : ']';
    struct json_node **last = &parent->first;
    if (depth == JSON_TREE_DEPTH)
        return broken(cursor, "it is nested too deep");
    if (take(cursor, closing))
        return STATUS_OK;
    for (;;) {
        struct slice key = slice_of(NULL, 0);
        enum status status = STATUS_OK;
        if (object && !take(cursor, '"'))
            return broken(cursor, "a name is missing");
        if (object)
            status = parse_string(cursor, &key);
        if (status == STATUS_OK && object && !take(cursor, ':'))
            return broken(cursor, "a colon is missing");
        if (status == STATUS_OK)
            status = parse_value(cursor, depth + 1, last);
        if (status != STATUS_OK)
            return status;
        (*last)->key = key;
        last = &(*last)->next;
        parent->count++;
        if (take(cursor, closing))
            return STATUS_OK;
        if (!take(cursor, ','))
            return broken(cursor, "a comma is missing");
    }
}

static bool take_word(struct json_cursor *cursor, const char *word)
{
    size_t size = strlen(word);
    if ((size_t)(cursor->end - cursor->at) < size || memcmp(cursor->at, word, size) != 0)
        return false;
    cursor->at += size;
    return true;
}

static enum status parse_value(struct json_cursor *cursor, unsigned depth,
                               struct json_node **result)
{
    struct json_node *node = arena_calloc(cursor->arena, 1, sizeof *node);
    if (node == NULL)
        return fail(cursor->err, arena_status(cursor->arena),
                    "the answer is too large to be shown");
    *result = node;
    node->type = JSON_OBJECT;
    if (take(cursor, '{'))
        return parse_items(cursor, depth, node);
    node->type = JSON_ARRAY;
    if (take(cursor, '['))
        return parse_items(cursor, depth, node);
    node->type = JSON_STRING;
    if (take(cursor, '"'))
        return parse_string(cursor, &node->text);
    node->type = JSON_NULL;
    if (take_word(cursor, "null"))
        return STATUS_OK;
    node->type = JSON_TRUE;
    if (take_word(cursor, "true"))
        return STATUS_OK;
    node->type = JSON_FALSE;
    if (take_word(cursor, "false"))
        return STATUS_OK;
    node->type = JSON_NUMBER;
    const uint8_t *start = cursor->at;
    while (cursor->at < cursor->end && *cursor->at != 0 && strchr("+-.0123456789eE", *cursor->at))
        cursor->at++;
    node->text = slice_of(start, (size_t)(cursor->at - start));
    return node->text.size > 0 ? STATUS_OK : broken(cursor, "a value is missing");
}

enum status json_tree_parse(struct slice text, struct arena *arena, struct json_node **root,
                            struct error *err)
{
    struct json_cursor cursor = {.at = text.data,
                                 .start = text.data,
                                 .end = text.data + text.size,
                                 .arena = arena,
                                 .err = err};
    enum status status = parse_value(&cursor, 0, root);
    skip_space(&cursor);
    if (status == STATUS_OK && cursor.at != cursor.end)
        status = broken(&cursor, "something follows the end");
    return status;
}

/* ---- access ----------------------------------------------------------------------------- */

const struct json_node *json_member(const struct json_node *object, const char *name)
{
    if (object == NULL || object->type != JSON_OBJECT)
        return NULL;
    for (const struct json_node *node = object->first; node != NULL; node = node->next)
        if (slice_equal_text(node->key, name))
            return node;
    return NULL;
}

struct slice json_member_text(const struct json_node *object, const char *name)
{
    const struct json_node *node = json_member(object, name);
    return node != NULL && node->type == JSON_STRING ? node->text : slice_of(NULL, 0);
}

uint64_t json_member_number(const struct json_node *object, const char *name)
{
    const struct json_node *node = json_member(object, name);
    uint64_t number = 0;
    if (node == NULL || node->type != JSON_NUMBER || node->text.size > 18)
        return 0;
    for (size_t i = 0; i < node->text.size; i++) {
        if (node->text.data[i] < '0' || node->text.data[i] > '9')
            return 0;
        number = number * 10 + (uint64_t)(node->text.data[i] - '0');
    }
    return number;
}

bool json_member_true(const struct json_node *object, const char *name)
{
    const struct json_node *node = json_member(object, name);
    return node != NULL && node->type == JSON_TRUE;
}

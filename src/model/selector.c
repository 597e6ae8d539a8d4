/*
 * selector - PromQL's series selector, `name{label="value", ...}`, as text.
 *
 *   selector  = [ name ] [ "{" [ item { "," item } [ "," ] ] "}" ]
 *   item      = ( name | string ) operator string  |  string        (a quoted metric name)
 *   operator  = "=" | "!=" | "=~" | "!~"
 */
#include "base/shown.h"
#include "base/utf8.h"
#include "model/matcher.h"

struct selector_parser {
    struct slice text;
    size_t at;
    struct arena *arena;
    struct matchers *matchers;
    struct error *err;
};

static enum status syntax_error(struct selector_parser *parser, const char *expected)
{
    struct slice rest = slice_from(parser->text, parser->at);
    if (rest.size == 0)
        return fail_code(parser->err, STATUS_INVALID, "selector_syntax",
                         "selector, position %zu: expected %s, found the end", parser->at + 1,
                         expected);
    struct shown shown = shown_text(slice_of(rest.data, utf8_prefix(rest, 20)));
    return fail_code(parser->err, STATUS_INVALID, "selector_syntax",
                     "selector, position %zu: expected %s, found \"%s\"", parser->at + 1, expected,
                     shown.text);
}

static int peek(const struct selector_parser *parser)
{
    return parser->at < parser->text.size ? parser->text.data[parser->at] : -1;
}

static void skip_space(struct selector_parser *parser)
{
    for (int c = peek(parser); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = peek(parser))
        parser->at++;
}

static bool name_byte(int c, bool first, bool colon)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (colon && c == ':') ||
           (!first && c >= '0' && c <= '9');
}

static struct slice take_name(struct selector_parser *parser, bool colon)
{
    size_t start = parser->at;
    while (name_byte(peek(parser), parser->at == start, colon))
        parser->at++;
    return slice_of(parser->text.data + start, parser->at - start);
}

static int hex_digit(int c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static size_t put_utf8(uint8_t *to, uint32_t rune)
{
    if (rune < 0x80) {
        to[0] = (uint8_t)rune;
        return 1;
    }
    if (rune < 0x800) {
        to[0] = (uint8_t)(0xc0 | rune >> 6);
        to[1] = (uint8_t)(0x80 | (rune & 0x3f));
        return 2;
    }
    if (rune < 0x10000) {
        to[0] = (uint8_t)(0xe0 | rune >> 12);
        to[1] = (uint8_t)(0x80 | (rune >> 6 & 0x3f));
        to[2] = (uint8_t)(0x80 | (rune & 0x3f));
        return 3;
    }
    to[0] = (uint8_t)(0xf0 | rune >> 18);
    to[1] = (uint8_t)(0x80 | (rune >> 12 & 0x3f));
    to[2] = (uint8_t)(0x80 | (rune >> 6 & 0x3f));
    to[3] = (uint8_t)(0x80 | (rune & 0x3f));
    return 4;
}

/* \xHH, \uHHHH, \UHHHHHHHH or \OOO after the backslash; `at` stands on the letter or digit. */
static enum status take_numeric_escape(struct selector_parser *parser, uint8_t *to, size_t *size)
{
    int kind = peek(parser);
    size_t digits = kind == 'x' ? 2 : kind == 'u' ? 4 : kind == 'U' ? 8 : 3;
    uint32_t base = digits == 3 ? 8 : 16;
    if (base == 16)
        parser->at++;
    uint32_t number = 0;
    for (size_t i = 0; i < digits; i++, parser->at++) {
        int digit = hex_digit(peek(parser));
        if (digit < 0 || (uint32_t)digit >= base)
            return syntax_error(parser, "a digit of an escape");
        number = number * base + (uint32_t)digit;
    }
    if (kind == 'u' || kind == 'U') {
        if (number > 0x10ffff || (number >= 0xd800 && number < 0xe000))
            return syntax_error(parser, "an escape that is a Unicode character");
        *size += put_utf8(to + *size, number);
        return STATUS_OK;
    }
    if (number > 255)
        return syntax_error(parser, "an octal escape of at most \\377");
    to[(*size)++] = (uint8_t)number;
    return STATUS_OK;
}

static enum status take_escape(struct selector_parser *parser, int quote, uint8_t *to, size_t *size)
{
    static const char letters[] = "abfnrtv\\";
    static const char values[] = "\a\b\f\n\r\t\v\\";
    int c = peek(parser);
    const char *letter = c > 0 ? strchr(letters, c) : NULL;
    if (letter != NULL || c == quote) {
        to[(*size)++] = c == quote ? (uint8_t)quote : (uint8_t)values[letter - letters];
        parser->at++;
        return STATUS_OK;
    }
    if (c == 'x' || c == 'u' || c == 'U' || (c >= '0' && c <= '7'))
        return take_numeric_escape(parser, to, size);
    return syntax_error(parser, "a known escape after the backslash");
}

static enum status take_string(struct selector_parser *parser, struct slice *string)
{
    int quote = peek(parser);
    if (quote != '"' && quote != '\'' && quote != '`')
        return syntax_error(parser, "a quoted string");
    parser->at++;
    /* No escape makes a string longer than it is written. */
    uint8_t *to = arena_alloc(parser->arena, parser->text.size - parser->at + 1);
    if (to == NULL)
        return fail(parser->err, arena_status(parser->arena), "no memory for a selector");
    size_t size = 0;
    for (int c = peek(parser); c != quote; c = peek(parser)) {
        if (c < 0 || (c == '\n' && quote != '`'))
            return syntax_error(parser, "the closing quote");
        parser->at++;
        if (c != '\\' || quote == '`') {
            to[size++] = (uint8_t)c;
            continue;
        }
        enum status status = take_escape(parser, quote, to, &size);
        if (status != STATUS_OK)
            return status;
    }
    parser->at++;
    *string = slice_of(to, size);
    if (!utf8_valid(*string))
        return syntax_error(parser, "a string of valid UTF-8 before this");
    return STATUS_OK;
}

static enum status take_operator(struct selector_parser *parser, enum matcher_type *type)
{
    int c = peek(parser);
    int next = parser->at + 1 < parser->text.size ? parser->text.data[parser->at + 1] : -1;
    if (c == '=' && next == '~')
        *type = MATCH_REGEX;
    else if (c == '!' && next == '~')
        *type = MATCH_NOT_REGEX;
    else if (c == '!' && next == '=')
        *type = MATCH_NOT_EQUAL;
    else if (c == '=')
        *type = MATCH_EQUAL;
    else
        return syntax_error(parser, "one of = != =~ !~");
    parser->at += *type == MATCH_EQUAL ? 1 : 2;
    return STATUS_OK;
}

static enum status add_matcher(struct selector_parser *parser, enum matcher_type type,
                               struct slice name, struct slice value)
{
    if (parser->matchers->count == MATCHERS_MAX_COUNT)
        return fail_code(parser->err, STATUS_LIMIT, "too_many_matchers",
                         "the selector has more than %d matchers", MATCHERS_MAX_COUNT);
    struct matcher *matcher = &parser->matchers->items[parser->matchers->count];
    enum status status = matcher_init(matcher, type, name, value, parser->arena, parser->err);
    if (status == STATUS_OK)
        parser->matchers->count++;
    return status;
}

static bool names_metric(const struct matchers *matchers)
{
    for (size_t i = 0; i < matchers->count; i++)
        if (matchers->items[i].type == MATCH_EQUAL &&
            slice_equal_text(matchers->items[i].name, METRIC_NAME_LABEL))
            return true;
    return false;
}

static enum status take_item(struct selector_parser *parser)
{
    struct slice name, value;
    enum status status;
    bool quoted = peek(parser) == '"' || peek(parser) == '\'' || peek(parser) == '`';
    if (quoted) {
        status = take_string(parser, &name);
        if (status != STATUS_OK)
            return status;
    } else {
        name = take_name(parser, false);
        if (name.size == 0)
            return syntax_error(parser, "a label name or \"}\"");
    }
    skip_space(parser);
    if (quoted && (peek(parser) == ',' || peek(parser) == '}')) {
        if (names_metric(parser->matchers))
            return syntax_error(parser, "an operator: the metric's name is given already, so this");
        return add_matcher(parser, MATCH_EQUAL, slice_from_text(METRIC_NAME_LABEL), name);
    }
    enum matcher_type type;
    status = take_operator(parser, &type);
    if (status != STATUS_OK)
        return status;
    skip_space(parser);
    status = take_string(parser, &value);
    if (status != STATUS_OK)
        return status;
    return add_matcher(parser, type, name, value);
}

static enum status take_items(struct selector_parser *parser)
{
    parser->at++;
    skip_space(parser);
    while (peek(parser) != '}') {
        enum status status = take_item(parser);
        if (status != STATUS_OK)
            return status;
        skip_space(parser);
        if (peek(parser) == ',')
            parser->at++;
        else if (peek(parser) != '}')
            return syntax_error(parser, "\",\" or \"}\"");
        skip_space(parser);
    }
    parser->at++;
    return STATUS_OK;
}

static enum status parse_selector(struct selector_parser *parser)
{
    skip_space(parser);
    struct slice name = take_name(parser, true);
    enum status status = STATUS_OK;
    if (name.size > 0)
        status = add_matcher(parser, MATCH_EQUAL, slice_from_text(METRIC_NAME_LABEL), name);
    skip_space(parser);
    if (status == STATUS_OK && peek(parser) == '{')
        status = take_items(parser);
    else if (status == STATUS_OK && name.size == 0)
        status = syntax_error(parser, "a metric name or \"{\"");
    if (status != STATUS_OK)
        return status;
    skip_space(parser);
    if (peek(parser) >= 0)
        return syntax_error(parser, "the end of the selector");
    for (size_t i = 0; i < parser->matchers->count; i++)
        if (!matcher_matches_empty(&parser->matchers->items[i]))
            return STATUS_OK;
    return fail_code(parser->err, STATUS_INVALID, "selector_too_wide",
                     "the selector must contain at least one matcher that does not match the empty "
                     "value, for example {__name__=~\".+\"}");
}

enum status matchers_parse(struct slice text, struct arena *arena, struct matchers *matchers,
                           struct error *err)
{
    *matchers = (struct matchers){0};
    matchers->items = arena_calloc(arena, MATCHERS_MAX_COUNT, sizeof matchers->items[0]);
    if (matchers->items == NULL)
        return fail(err, arena_status(arena), "no memory for a selector");
    struct selector_parser parser = {
        .text = text, .arena = arena, .matchers = matchers, .err = err};
    enum status status = parse_selector(&parser);
    if (status != STATUS_OK)
        matchers_release(matchers);
    return status;
}

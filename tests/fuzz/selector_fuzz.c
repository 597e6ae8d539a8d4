/*
 * Selectors of any bytes: refused with a reason, or parsed; what was parsed never matches a series
 * without labels and, written out with every byte escaped, parses as the same matchers.
 */
#include "fuzz.h"

#include "base/bytes.h"
#include "base/invariant.h"
#include "model/matcher.h"

enum { ARENA_MAX = 1 << 20, TEXT_MAX = 64 * 1024 };

static void put_string(struct bytes *to, struct slice text)
{
    invariant(bytes_append_text(to, "\"") == STATUS_OK);
    for (size_t i = 0; i < text.size; i++)
        invariant(bytes_format(to, "\\x%02x", text.data[i]) == STATUS_OK);
    invariant(bytes_append_text(to, "\"") == STATUS_OK);
}

static void print(const struct matchers *matchers, struct bytes *to)
{
    static const char *const operators[] = {
        [MATCH_EQUAL] = "=",
        [MATCH_NOT_EQUAL] = "!=",
        [MATCH_REGEX] = "=~",
        [MATCH_NOT_REGEX] = "!~",
    };
    invariant(bytes_append_text(to, "{") == STATUS_OK);
    for (size_t i = 0; i < matchers->count; i++) {
        const struct matcher *matcher = &matchers->items[i];
        invariant(i == 0 || bytes_append_text(to, ",") == STATUS_OK);
        put_string(to, matcher->name);
        invariant(bytes_append_text(to, operators[matcher->type]) == STATUS_OK);
        put_string(to, matcher->value);
    }
    invariant(bytes_append_text(to, "}") == STATUS_OK);
}

static void check_again(const struct matchers *matchers)
{
    struct arena arena;
    struct bytes text;
    struct matchers again;
    arena_init(&arena, ARENA_MAX);
    bytes_init(&text, 16 * TEXT_MAX);
    print(matchers, &text);
    invariant(matchers_parse(bytes_slice(&text), &arena, &again, NULL) == STATUS_OK);
    invariant(again.count == matchers->count);
    for (size_t i = 0; i < again.count; i++) {
        invariant(again.items[i].type == matchers->items[i].type);
        invariant(slice_equal(again.items[i].name, matchers->items[i].name));
        invariant(slice_equal(again.items[i].value, matchers->items[i].value));
    }
    matchers_release(&again);
    bytes_release(&text);
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > TEXT_MAX)
        return 0;
    struct arena arena;
    struct matchers matchers;
    struct error err = {0};
    arena_init(&arena, ARENA_MAX);
    enum status status = matchers_parse(slice_of(data, size), &arena, &matchers, &err);
    invariant(status == STATUS_OK || status == STATUS_INVALID || status == STATUS_LIMIT);
    invariant(status == STATUS_OK || err.message[0] != '\0');
    if (status == STATUS_OK) {
        struct labels none = {0};
        invariant(!matchers_match(&matchers, &none));
        check_again(&matchers);
        matchers_release(&matchers);
    }
    arena_release(&arena);
    return 0;
}

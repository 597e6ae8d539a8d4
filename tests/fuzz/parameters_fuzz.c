/*
 * Parameters of a URL or a form: any bytes are split and decoded as a plain reading does, or are
 * refused with a reason; names and values that are encoded anew come back the same.
 */
#include "fuzz.h"

#include "base/invariant.h"
#include "http/parameters.h"

enum { ARENA_SIZE = 1 << 20, MAX_FIELDS = 1000, FEW_FIELDS = 3 };

static bool is_hex(uint8_t byte)
{
    return (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'f') ||
           (byte >= 'A' && byte <= 'F');
}

static bool is_encoded_well(struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == '%' &&
            (text.size - i < 3 || !is_hex(text.data[i + 1]) || !is_hex(text.data[i + 2])))
            return false;
    return true;
}

/* What one decoded byte stood for: its size there, and that it is the right one. */
static size_t undecoded(struct slice text, size_t at, bool plus, uint8_t byte)
{
    static const char digits[] = "0123456789abcdef";
    uint8_t first = text.data[at];
    if (first != '%') {
        invariant(byte == (plus && first == '+' ? ' ' : first));
        return 1;
    }
    invariant(digits[byte >> 4] == (text.data[at + 1] | 0x20) ||
              digits[byte >> 4] == text.data[at + 1]);
    invariant(digits[byte & 15] == (text.data[at + 2] | 0x20) ||
              digits[byte & 15] == text.data[at + 2]);
    return 3;
}

static void check_decoding(struct arena *arena, struct slice text, bool plus)
{
    struct slice decoded;
    struct error err;
    enum status status = parameter_decode(arena, text, plus, &decoded, &err);
    invariant((status == STATUS_OK) == is_encoded_well(text) || status == STATUS_LIMIT);
    if (status != STATUS_OK) {
        invariant(err.code != NULL && err.message[0] != 0);
        return;
    }
    size_t at = 0;
    for (size_t i = 0; i < decoded.size; i++)
        at += undecoded(text, at, plus, decoded.data[i]);
    invariant(at == text.size);
}

static void encode(struct bytes *to, struct slice text)
{
    for (size_t i = 0; i < text.size; i++)
        invariant(bytes_format(to, "%%%02X", text.data[i]) == STATUS_OK);
}

static void check_round(struct arena *arena, const struct http_fields *fields)
{
    struct bytes text;
    struct http_fields again;
    bytes_init(&text, 4 * ARENA_SIZE);
    for (size_t i = 0; i < fields->count; i++) {
        invariant(i == 0 || bytes_append(&text, "&", 1) == STATUS_OK);
        encode(&text, fields->items[i].name);
        invariant(bytes_append(&text, "=", 1) == STATUS_OK);
        encode(&text, fields->items[i].value);
    }
    if (parameters_parse(arena, bytes_slice(&text), MAX_FIELDS, &again, NULL) == STATUS_OK) {
        invariant(again.count == fields->count);
        for (size_t i = 0; i < again.count; i++) {
            invariant(slice_equal(again.items[i].name, fields->items[i].name));
            invariant(slice_equal(again.items[i].value, fields->items[i].value));
        }
    }
    bytes_release(&text);
}

static void check_parameters(struct arena *arena, struct slice text, size_t max)
{
    struct http_fields fields;
    struct error err;
    size_t separators = 0;
    for (size_t i = 0; i < text.size; i++)
        separators += text.data[i] == '&';
    enum status status = parameters_parse(arena, text, max, &fields, &err);
    if (status != STATUS_OK) {
        invariant(err.code != NULL && err.message[0] != 0);
        invariant(status == STATUS_LIMIT || !is_encoded_well(text));
        return;
    }
    invariant(fields.count <= max && fields.count <= separators + 1);
    check_round(arena, &fields);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    struct arena arena;
    arena_init(&arena, ARENA_SIZE);
    check_decoding(&arena, text, false);
    check_decoding(&arena, text, true);
    check_parameters(&arena, text, MAX_FIELDS);
    check_parameters(&arena, text, FEW_FIELDS);
    arena_release(&arena);
    return 0;
}

#include "query/parse/parse.h"

#include "base/bits.h"
#include "base/hash.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

enum { CHECK_SIZE = 4 };

static enum status base64url_append(struct bytes *text, struct slice from)
{
    enum status status = bytes_reserve(text, (from.size / 3 + 1) * 4);
    if (status != STATUS_OK)
        return status;
    for (size_t i = 0; i < from.size; i += 3) {
        size_t left = from.size - i < 3 ? from.size - i : 3;
        uint32_t bits = (uint32_t)from.data[i] << 16;
        if (left > 1)
            bits |= (uint32_t)from.data[i + 1] << 8;
        if (left > 2)
            bits |= from.data[i + 2];
        for (size_t j = 0; j <= left; j++)
            text->data[text->size++] = (uint8_t)alphabet[bits >> (18 - 6 * j) & 63];
    }
    return STATUS_OK;
}

/* `to` has room for three quarters of the text. */
static bool base64url_decode(struct slice text, uint8_t *to, size_t *size)
{
    uint32_t bits = 0;
    unsigned held = 0;
    *size = 0;
    if (text.size % 4 == 1)
        return false;
    for (size_t i = 0; i < text.size; i++) {
        const char *at = text.data[i] == 0 ? NULL : strchr(alphabet, text.data[i]);
        if (at == NULL)
            return false;
        bits = bits << 6 | (uint32_t)(at - alphabet);
        held += 6;
        if (held >= 8) {
            held -= 8;
            to[(*size)++] = (uint8_t)(bits >> held);
            bits &= (1u << held) - 1;
        }
    }
    return bits == 0;
}

enum status cursor_encode(enum cursor_kind kind, const struct labels *labels, struct bytes *text)
{
    struct bytes plain;
    bytes_init(&plain, LABELS_MAX_SIZE + LABELS_MAX_COUNT * 2 * VARINT_MAX_SIZE + 16);
    uint8_t byte = (uint8_t)kind;
    enum status status = bytes_append(&plain, &byte, 1);
    if (status == STATUS_OK)
        status = labels_encode(labels, &plain);
    uint8_t check[CHECK_SIZE];
    if (status == STATUS_OK) {
        store_u32(check, crc32c(0, plain.data, plain.size));
        status = bytes_append(&plain, check, sizeof check);
    }
    if (status == STATUS_OK)
        status = base64url_append(text, bytes_slice(&plain));
    bytes_release(&plain);
    return status;
}

static bool labels_are_canonical(const struct labels *labels)
{
    for (size_t i = 0; i < labels->count; i++) {
        if (labels->items[i].name.size == 0)
            return false;
        if (i > 0 && slice_compare(labels->items[i - 1].name, labels->items[i].name) >= 0)
            return false;
    }
    return true;
}

enum status cursor_decode(enum cursor_kind kind, struct slice text, struct arena *arena,
                          struct labels *labels, struct error *err)
{
    static const char refusal[] = "it is not a cursor that this query gave; use the \"next\" of "
                                  "its last answer, unchanged";
    *labels = (struct labels){0};
    uint8_t *plain = arena_alloc(arena, text.size / 4 * 3 + 3);
    if (plain == NULL)
        return fail(err, arena_status(arena), "no memory for the cursor");
    size_t size;
    if (!base64url_decode(text, plain, &size) || size < 1 + CHECK_SIZE || plain[0] != kind ||
        load_u32(plain + size - CHECK_SIZE) != crc32c(0, plain, size - CHECK_SIZE))
        return fail(err, STATUS_INVALID, "%s", refusal);
    /* The shortest label takes three bytes: two sizes and a name of one. */
    size_t capacity = size / 3 + 1;
    if (capacity > LABELS_MAX_COUNT)
        capacity = LABELS_MAX_COUNT;
    labels->items = arena_calloc(arena, capacity, sizeof labels->items[0]);
    if (labels->items == NULL)
        return fail(err, arena_status(arena), "no memory for the cursor");
    struct slice encoded = slice_of(plain + 1, size - 1 - CHECK_SIZE);
    if (labels_decode(encoded, labels->items, capacity, &labels->count, NULL) != STATUS_OK ||
        !labels_are_canonical(labels))
        return fail(err, STATUS_INVALID, "%s", refusal);
    return STATUS_OK;
}

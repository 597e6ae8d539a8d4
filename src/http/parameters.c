#include "http/parameters.h"

#include "base/shown.h"

static enum status no_room(struct arena *arena, struct error *err)
{
    switch (arena_status(arena)) {
    case STATUS_LIMIT:
        return fail_code(err, STATUS_LIMIT, "too_many_parameters",
                         "the parameters need more memory than a request may take");
    case STATUS_BUSY:
        return fail_code(err, STATUS_BUSY, "bodies_memory",
                         "the memory for request bodies is used up: try again later");
    default:
        return fail_code(err, STATUS_MEMORY, "out_of_memory", "no memory for the parameters");
    }
}

static int hex_digit(uint8_t byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    uint8_t lower = byte | 0x20;
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

static bool needs_decoding(struct slice text, bool plus)
{
    for (size_t i = 0; i < text.size; i++)
        if (text.data[i] == '%' || (plus && text.data[i] == '+'))
            return true;
    return false;
}

enum status parameter_decode(struct arena *arena, struct slice text, bool plus,
                             struct slice *decoded, struct error *err)
{
    *decoded = text;
    if (!needs_decoding(text, plus))
        return STATUS_OK;
    uint8_t *to = arena_alloc(arena, text.size);
    if (to == NULL)
        return no_room(arena, err);
    size_t size = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte == '%') {
            int high = i + 2 < text.size ? hex_digit(text.data[i + 1]) : -1;
            int low = i + 2 < text.size ? hex_digit(text.data[i + 2]) : -1;
            if (high < 0 || low < 0) {
                struct shown shown = shown_text(text);
                return fail_code(err, STATUS_INVALID, "invalid_parameter",
                                 "\"%s\" has a '%%' that is not followed by two hexadecimal "
                                 "digits: write '%%25' for the sign itself",
                                 shown.text);
            }
            byte = (uint8_t)(high << 4 | low);
            i += 2;
        } else if (plus && byte == '+') {
            byte = ' ';
        }
        to[size++] = byte;
    }
    *decoded = slice_of(to, size);
    return STATUS_OK;
}

static size_t pairs_in(struct slice text)
{
    size_t count = text.size > 0;
    for (size_t i = 0; i < text.size; i++)
        count += text.data[i] == '&';
    return count;
}

static enum status pair_parse(struct arena *arena, struct slice pair, struct http_field *field,
                              struct error *err)
{
    const uint8_t *equals = memchr(pair.data, '=', pair.size);
    size_t name_size = equals == NULL ? pair.size : (size_t)(equals - pair.data);
    struct slice value = equals == NULL ? slice_of("", 0) : slice_from(pair, name_size + 1);
    enum status status =
        parameter_decode(arena, slice_of(pair.data, name_size), true, &field->name, err);
    if (status == STATUS_OK)
        status = parameter_decode(arena, value, true, &field->value, err);
    return status;
}

enum status parameters_parse(struct arena *arena, struct slice text, size_t max,
                             struct http_fields *fields, struct error *err)
{
    *fields = (struct http_fields){0};
    size_t pairs = pairs_in(text);
    if (pairs > max)
        return fail_code(err, STATUS_LIMIT, "too_many_parameters",
                         "%zu parameters are more than the limit of %zu", pairs, max);
    if (pairs == 0)
        return STATUS_OK;
    struct http_field *items = arena_calloc(arena, pairs, sizeof *items);
    if (items == NULL)
        return no_room(arena, err);
    size_t count = 0;
    while (text.size > 0) {
        const uint8_t *end = memchr(text.data, '&', text.size);
        size_t size = end == NULL ? text.size : (size_t)(end - text.data);
        if (size > 0) {
            enum status status = pair_parse(arena, slice_of(text.data, size), &items[count++], err);
            if (status != STATUS_OK)
                return status;
        }
        text = end == NULL ? slice_of(NULL, 0) : slice_from(text, size + 1);
    }
    *fields = (struct http_fields){items, count};
    return STATUS_OK;
}

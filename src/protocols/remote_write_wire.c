#include "protocols/remote_write_wire.h"

enum { FIELD_NUMBER_MAX = (1 << 29) - 1 };

static const uint8_t *wire_refuse(struct wire_fault *fault, const uint8_t *at, const char *what)
{
    *fault = (struct wire_fault){.at = at, .what = what};
    return NULL;
}

static const uint8_t *fixed_get(const uint8_t *at, const uint8_t *end, size_t size,
                                struct wire_field *field, struct wire_fault *fault)
{
    if ((size_t)(end - at) < size)
        return wire_refuse(fault, at, "a fixed-size field is cut off");
    field->value = size == 8 ? load_u64(at) : load_u32(at);
    return at + size;
}

const uint8_t *wire_field_get(const uint8_t *at, const uint8_t *end, struct wire_field *field,
                              struct wire_fault *fault)
{
    const uint8_t *start = at;
    uint64_t tag;
    at = varint_get(at, end, &tag);
    if (at == NULL)
        return wire_refuse(fault, start, "a field's tag is cut off or too long");
    uint64_t number = tag >> 3;
    if (number == 0 || number > FIELD_NUMBER_MAX)
        return wire_refuse(fault, start, "a field has a number that cannot be");
    field->number = (uint32_t)number;
    field->type = (enum wire_type)(tag & 7);
    switch (field->type) {
    case WIRE_VARINT:
        start = at;
        at = varint_get(at, end, &field->value);
        return at != NULL ? at : wire_refuse(fault, start, "a varint is cut off or too long");
    case WIRE_FIXED64:
        return fixed_get(at, end, 8, field, fault);
    case WIRE_FIXED32:
        return fixed_get(at, end, 4, field, fault);
    case WIRE_BYTES:
        break;
    default:
        return wire_refuse(fault, start, "a field has a wire type that proto3 does not have");
    }
    start = at;
    at = varint_get(at, end, &field->value);
    if (at == NULL)
        return wire_refuse(fault, start, "a field's length is cut off or too long");
    if (field->value > (uint64_t)(end - at))
        return wire_refuse(fault, start, "a field is longer than what holds it");
    field->bytes = slice_of(at, (size_t)field->value);
    return at + field->bytes.size;
}

bool wire_field_is(const struct wire_field *field, enum wire_type type, const uint8_t *at,
                   struct wire_fault *fault)
{
    if (field->type == type)
        return true;
    wire_refuse(fault, at, "a field has another wire type than its number promises");
    return false;
}

bool wire_label_get(struct slice message, struct wire_label *label, struct wire_fault *fault)
{
    *label = (struct wire_label){0};
    const uint8_t *at = message.data;
    const uint8_t *end = message.data + message.size;
    while (at < end) {
        struct wire_field field;
        const uint8_t *start = at;
        at = wire_field_get(at, end, &field, fault);
        if (at == NULL)
            return false;
        if (field.number > 2)
            continue;
        if (!wire_field_is(&field, WIRE_BYTES, start, fault))
            return false;
        if (field.number == 1)
            label->name = field.bytes;
        else
            label->value = field.bytes;
    }
    return true;
}

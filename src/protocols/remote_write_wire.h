/*
 * remote_write_wire - protobuf's wire format, as far as remote write needs it
 * (https://protobuf.dev/programming-guides/encoding).
 *
 * Unknown fields are skipped; groups, which proto3 does not have, are refused.
 */
#ifndef METRIC_STORE_PROTOCOLS_REMOTE_WRITE_WIRE_H
#define METRIC_STORE_PROTOCOLS_REMOTE_WRITE_WIRE_H

#include "base/bits.h"
#include "base/slice.h"

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* A field's tag byte, for numbers below 16. */
#define WIRE_TAG(number, type) ((uint8_t)((number) << 3 | (type)))

/* Why a message cannot be read. */
struct wire_fault {
    const uint8_t *at;
    const char *what; /* static */
};

struct wire_field {
    uint32_t number;
    enum wire_type type;
    struct slice bytes; /* WIRE_BYTES */
    uint64_t value;     /* the other types */
};

/* Reads the field at `at`, which is before `end`; the position after it, or NULL and *fault. */
const uint8_t *wire_field_get(const uint8_t *at, const uint8_t *end, struct wire_field *field,
                              struct wire_fault *fault);

/* Whether `field` has the type that its number promises; *fault otherwise. */
bool wire_field_is(const struct wire_field *field, enum wire_type type, const uint8_t *at,
                   struct wire_fault *fault);

/* One Label message: {name = 1, value = 2}. False and *fault when it cannot be read. */
struct wire_label {
    struct slice name;
    struct slice value;
};
bool wire_label_get(struct slice message, struct wire_label *label, struct wire_fault *fault);

#endif

#include "wire.h"

#include <snappy-c.h>

#include "base/bits.h"
#include "base/invariant.h"

void wire_put(struct bytes *to, const void *data, size_t size)
{
    invariant(bytes_append(to, data, size) == STATUS_OK);
}

void wire_put_varint(struct bytes *to, uint64_t value)
{
    uint8_t text[VARINT_MAX_SIZE];
    wire_put(to, text, (size_t)(varint_put(text, value) - text));
}

void wire_put_field(struct bytes *to, uint8_t tag, const void *data, size_t size)
{
    wire_put(to, &tag, 1);
    wire_put_varint(to, size);
    wire_put(to, data, size);
}

struct slice wire_pack(struct slice plain, struct bytes *packed)
{
    size_t size = snappy_max_compressed_length(plain.size);
    bytes_clear(packed);
    invariant(bytes_reserve(packed, size) == STATUS_OK);
    invariant(snappy_compress((const char *)plain.data, plain.size, (char *)packed->data, &size) ==
              SNAPPY_OK);
    packed->size = size;
    return bytes_slice(packed);
}

uint64_t wire_mixed(uint64_t number)
{
    number += UINT64_C(0x9e3779b97f4a7c15);
    number = (number ^ (number >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    number = (number ^ (number >> 27)) * UINT64_C(0x94d049bb133111eb);
    return number ^ (number >> 31);
}

/*
 * wire - what makers of remote write bodies share: protobuf fields, snappy, and numbers that look
 * like chance.
 */
#ifndef METRIC_STORE_BENCH_WIRE_H
#define METRIC_STORE_BENCH_WIRE_H

#include <stdint.h>

#include "base/bytes.h"

void wire_put(struct bytes *to, const void *data, size_t size);
void wire_put_varint(struct bytes *to, uint64_t value);
/* A field of bytes: tag, size, content. */
void wire_put_field(struct bytes *to, uint8_t tag, const void *data, size_t size);
/* `plain` as one snappy block, in `packed`. */
struct slice wire_pack(struct slice plain, struct bytes *packed);

/* Another number for each: splitmix64 (Steele, Lea, Flood 2014). */
uint64_t wire_mixed(uint64_t number);

#endif

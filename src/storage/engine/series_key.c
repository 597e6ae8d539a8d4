#include "storage/engine/series_segment.h"

#include "base/bits.h"

enum { SHORT_LABELS = 1024 };

static struct series_key key_of_hash(struct hash128 hash)
{
    return (struct series_key){.high = hash.high, .low = (uint32_t)hash.low};
}

static void add_text(struct hash128_stream *stream, struct slice text)
{
    uint8_t size[VARINT_MAX_SIZE];
    hash128_add(stream, slice_of(size, (size_t)(varint_put(size, text.size) - size)));
    hash128_add(stream, text);
}

/* The same bytes in pieces: labels of any size need no memory. */
static struct series_key key_of_long_labels(const struct labels *labels, uint64_t seed)
{
    struct hash128_stream stream;
    hash128_begin(&stream, seed);
    for (size_t i = 0; i < labels->count; i++) {
        add_text(&stream, labels->items[i].name);
        add_text(&stream, labels->items[i].value);
    }
    return key_of_hash(hash128_end(&stream));
}

static uint8_t *put_text(uint8_t *to, struct slice text)
{
    to = varint_put(to, text.size);
    if (text.size > 0)
        memcpy(to, text.data, text.size);
    return to + text.size;
}

struct series_key series_key_of(const struct labels *canonical, uint64_t seed)
{
    uint8_t bytes[SHORT_LABELS];
    uint8_t *to = bytes;
    for (size_t i = 0; i < canonical->count; i++) {
        const struct label *label = &canonical->items[i];
        size_t left = (size_t)(bytes + sizeof bytes - to);
        if (label->name.size + label->value.size + (size_t)2 * VARINT_MAX_SIZE > left)
            return key_of_long_labels(canonical, seed);
        to = put_text(put_text(to, label->name), label->value);
    }
    return key_of_hash(hash128(slice_of(bytes, (size_t)(to - bytes)), seed));
}

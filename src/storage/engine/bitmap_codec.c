#include "storage/engine/bitmap_codec.h"

#include "base/bits.h"
#include "base/invariant.h"

enum {
    COOKIE_WITHOUT_RUNS = 12346,
    COOKIE_WITH_RUNS = 12347, /* low half; the high half is the number of containers, less 1 */
    OFFSETS_FROM = 4,         /* with runs, fewer containers have no table of offsets */
    ARRAY_MAX = 4096,         /* more ids are a bitset */
    BITSET_SIZE = 65536 / 8,
    CONTAINERS_MAX = 65536,
};

enum status bitmap_encode(const roaring_bitmap_t *bitmap, struct bytes *to)
{
    size_t size = roaring_bitmap_portable_size_in_bytes(bitmap);
    enum status status = bytes_reserve(to, size);
    if (status != STATUS_OK)
        return status;
    size_t written = roaring_bitmap_portable_serialize(bitmap, (char *)to->data + to->size);
    invariant(written == size);
    to->size += size;
    return STATUS_OK;
}

/* The three tables before the containers. */
struct layout {
    uint32_t count;
    const uint8_t *run_flags; /* NULL: no container is of runs */
    const uint8_t *keys;      /* u16 high half of the ids, u16 cardinality less 1 */
    const uint8_t *offsets;   /* NULL: there are none */
    size_t begin;             /* of the first container */
};

static bool read_layout(struct slice from, struct layout *layout)
{
    *layout = (struct layout){0};
    if (from.size < 4)
        return false;
    uint32_t cookie = load_u32(from.data);
    size_t at = 4;
    if ((cookie & 0xffff) == COOKIE_WITH_RUNS) {
        layout->count = (cookie >> 16) + 1;
        layout->run_flags = from.data + at;
        at += (layout->count + 7) / 8;
    } else if (cookie == COOKIE_WITHOUT_RUNS && from.size >= 8) {
        layout->count = load_u32(from.data + at);
        at += 4;
    } else {
        return false;
    }
    if (layout->count > CONTAINERS_MAX)
        return false;
    bool has_offsets = layout->run_flags == NULL || layout->count >= OFFSETS_FROM;
    size_t tables = (size_t)layout->count * (has_offsets ? 8 : 4);
    if (at > from.size || tables > from.size - at)
        return false;
    layout->keys = from.data + at;
    layout->offsets = has_offsets ? from.data + at + (size_t)layout->count * 4 : NULL;
    layout->begin = at + tables;
    return true;
}

/* Each returns the container's size, 0 when it is not sound. */

static size_t check_runs(struct slice from, uint32_t cardinality)
{
    if (from.size < 2)
        return 0;
    size_t runs = load_u16(from.data);
    size_t size = 2 + runs * 4;
    if (runs == 0 || size > from.size)
        return 0;
    uint32_t next = 0; /* the lowest value that may begin a run */
    uint32_t total = 0;
    for (size_t i = 0; i < runs; i++) {
        uint32_t first = load_u16(from.data + 2 + i * 4);
        uint32_t last = first + load_u16(from.data + 4 + i * 4);
        if (first < next || last > UINT16_MAX)
            return 0;
        total += last - first + 1;
        next = last + 2;
    }
    return total == cardinality ? size : 0;
}

static size_t check_array(struct slice from, uint32_t cardinality)
{
    size_t size = (size_t)cardinality * 2;
    if (size > from.size)
        return 0;
    for (uint32_t i = 1; i < cardinality; i++)
        if (load_u16(from.data + i * 2 - 2) >= load_u16(from.data + i * 2))
            return 0;
    return size;
}

static size_t check_bitset(struct slice from, uint32_t cardinality)
{
    if (from.size < BITSET_SIZE)
        return 0;
    uint32_t total = 0;
    for (size_t i = 0; i < BITSET_SIZE; i += 8)
        total += (uint32_t)__builtin_popcountll(load_u64(from.data + i));
    return total == cardinality ? BITSET_SIZE : 0;
}

static bool is_sound(struct slice from)
{
    struct layout layout;
    if (!read_layout(from, &layout))
        return false;
    size_t at = layout.begin;
    for (uint32_t i = 0; i < layout.count; i++) {
        const uint8_t *key = layout.keys + (size_t)i * 4;
        uint32_t cardinality = load_u16(key + 2) + 1U;
        bool runs = layout.run_flags != NULL && (layout.run_flags[i / 8] >> (i % 8) & 1) != 0;
        if (i > 0 && load_u16(key - 4) >= load_u16(key))
            return false;
        if (layout.offsets != NULL && load_u32(layout.offsets + (size_t)i * 4) != (uint32_t)at)
            return false;
        struct slice rest = slice_from(from, at);
        size_t size = runs                       ? check_runs(rest, cardinality)
                      : cardinality <= ARRAY_MAX ? check_array(rest, cardinality)
                                                 : check_bitset(rest, cardinality);
        if (size == 0)
            return false;
        at += size;
    }
    return at == from.size;
}

enum status bitmap_decode(struct slice from, roaring_bitmap_t **bitmap, struct error *err)
{
    *bitmap = NULL;
    if (!is_sound(from))
        return fail(err, STATUS_CORRUPT, "the set of ids is not a bitmap");
    *bitmap = roaring_bitmap_portable_deserialize_safe((const char *)from.data, from.size);
    if (*bitmap == NULL)
        return fail(err, STATUS_MEMORY, "no memory for a set of %zu bytes", from.size);
    return STATUS_OK;
}

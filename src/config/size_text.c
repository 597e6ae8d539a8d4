#include "config/size_text.h"

#include <inttypes.h>
#include <stdio.h>

static const struct size_unit {
    const char *name;
    uint64_t bytes;
} size_units[] = {
    /* In the order that size_format tries them. */
    {"TiB", UINT64_C(1) << 40},      {"GiB", UINT64_C(1) << 30},
    {"MiB", UINT64_C(1) << 20},      {"KiB", UINT64_C(1) << 10},
    {"TB", UINT64_C(1000000000000)}, {"GB", UINT64_C(1000000000)},
    {"MB", UINT64_C(1000000)},       {"kB", UINT64_C(1000)},
    {"KB", UINT64_C(1000)},          {"B", 1},
};
enum { SIZE_UNIT_COUNT = sizeof size_units / sizeof size_units[0] };

bool size_parse(struct slice text, uint64_t *size_bytes)
{
    uint64_t count = 0;
    size_t at = 0;
    for (; at < text.size && text.data[at] >= '0' && text.data[at] <= '9'; at++)
        if (__builtin_mul_overflow(count, 10, &count) ||
            __builtin_add_overflow(count, (uint64_t)(text.data[at] - '0'), &count))
            return false;
    if (at == 0)
        return false;
    *size_bytes = count;
    if (at == text.size)
        return true;
    for (size_t i = 0; i < SIZE_UNIT_COUNT; i++)
        if (slice_equal_text(slice_from(text, at), size_units[i].name))
            return !__builtin_mul_overflow(count, size_units[i].bytes, size_bytes);
    return false;
}

size_t size_format(char text[SIZE_TEXT_SIZE], uint64_t size_bytes)
{
    for (size_t i = 0; i < SIZE_UNIT_COUNT; i++) {
        const struct size_unit *unit = &size_units[i];
        if (unit->bytes > 1 && size_bytes > 0 && size_bytes % unit->bytes == 0)
            return (size_t)snprintf(text, SIZE_TEXT_SIZE, "%" PRIu64 "%s", size_bytes / unit->bytes,
                                    unit->name);
    }
    return (size_t)snprintf(text, SIZE_TEXT_SIZE, "%" PRIu64, size_bytes);
}

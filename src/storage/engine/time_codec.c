#include "storage/engine/time_codec.h"

#include "base/bits.h"
#include "base/invariant.h"

enum { KIND_STEADY = 0, KIND_PACKED = 1, KIND_ORDER_SHIFT = 2 };

bool times_are_steady(const int64_t *times, size_t count)
{
    int64_t step = count < 2 ? 0 : wrapping_sub(times[1], times[0]);
    for (size_t i = 2; i < count; i++)
        if (wrapping_sub(times[i], times[i - 1]) != step)
            return false;
    return true;
}

size_t time_column_encode(struct time_encoder *encoder, const int64_t *times, size_t count,
                          uint8_t *to)
{
    invariant(count > 0 && count <= TIME_COLUMN_MAX_COUNT);
    uint8_t *next = to;
    if (times_are_steady(times, count)) {
        *next++ = KIND_STEADY;
        next = varint_put(next, zigzag_encode(times[0]));
        if (count > 1)
            next = varint_put(next, (uint64_t)wrapping_sub(times[1], times[0]));
        return (size_t)(next - to);
    }
    for (size_t i = 0; i < count; i++)
        encoder->offsets[i] = wrapping_sub(times[i], times[0]);
    unsigned order = intpack_choose_order(encoder->offsets, count);
    *next++ = (uint8_t)(KIND_PACKED | order << KIND_ORDER_SHIFT);
    next = varint_put(next, zigzag_encode(times[0]));
    next += intpack_encode(encoder->offsets, count, order, next);
    return (size_t)(next - to);
}

/* ---- decoding --------------------------------------------------------------------------- */

struct time_column {
    bool steady;
    unsigned order;
    int64_t first;
    uint64_t step;
    struct slice body;
};

static enum status broken(struct error *err, const char *what)
{
    fail(err, STATUS_CORRUPT, "time column: %s", what);
    return STATUS_CORRUPT;
}

static enum status time_column_open(struct time_column *column, struct slice from, size_t count,
                                    struct error *err)
{
    if (count == 0 || count > TIME_COLUMN_MAX_COUNT || from.size == 0)
        return broken(err, "it is empty or too long");
    unsigned kind = from.data[0];
    const uint8_t *end = from.data + from.size;
    uint64_t first;
    const uint8_t *next = varint_get(from.data + 1, end, &first);
    if (next == NULL)
        return broken(err, "its first time is cut off");
    *column = (struct time_column){.steady = kind == KIND_STEADY,
                                   .order = kind >> KIND_ORDER_SHIFT,
                                   .first = zigzag_decode(first)};
    if (column->steady) {
        if (count > 1)
            next = varint_get(next, end, &column->step);
        if (next != end)
            return broken(err, "its step is broken");
        int64_t last;
        if (count > 1 &&
            (column->step == 0 || column->step > INT64_MAX / (count - 1) ||
             __builtin_add_overflow(column->first, (int64_t)(column->step * (count - 1)), &last)))
            return broken(err, "its step leads out of the range of times");
        return STATUS_OK;
    }
    if ((kind & 3) != KIND_PACKED || column->order > INTPACK_MAX_ORDER)
        return broken(err, "its kind is none we know");
    column->body = slice_of(next, (size_t)(end - next));
    return STATUS_OK;
}

static bool times_rise(const int64_t *times, size_t count)
{
    bool rise = true;
    for (size_t i = 1; i < count; i++)
        rise &= times[i] > times[i - 1];
    return rise;
}

static enum status decode_packed(const struct time_column *column, size_t count, size_t first,
                                 size_t wanted, int64_t *times, struct error *err)
{
    struct intpack_reader reader = {0};
    enum status status = intpack_open(&reader, column->body, count, column->order, err);
    int64_t mini[INTPACK_MINI];
    size_t end = first + wanted;
    for (size_t at = first; status == STATUS_OK && at < end;) {
        size_t from = at % INTPACK_MINI;
        size_t n;
        status = intpack_read(&reader, at / INTPACK_MINI, mini, &n, err);
        if (status != STATUS_OK)
            break;
        size_t take = end - at < n - from ? end - at : n - from;
        for (size_t i = 0; i < take; i++)
            times[at - first + i] = wrapping_add(mini[from + i], column->first);
        at += take;
    }
    if (status == STATUS_OK && !times_rise(times, wanted))
        return broken(err, "its times do not rise");
    return status;
}

enum status time_column_decode(struct slice from, size_t count, size_t first, size_t wanted,
                               int64_t *times, struct error *err)
{
    invariant(first <= count && wanted <= count - first);
    struct time_column column = {0};
    enum status status = time_column_open(&column, from, count, err);
    if (status != STATUS_OK)
        return status;
    if (!column.steady)
        return decode_packed(&column, count, first, wanted, times, err);
    for (size_t i = 0; i < wanted; i++)
        times[i] = column.first + (int64_t)(column.step * (first + i));
    return STATUS_OK;
}

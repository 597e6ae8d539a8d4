/* Instants and durations take any bytes; what they accept prints and reads back as the same. */
#include "fuzz.h"

#include "base/bits.h"
#include "base/invariant.h"
#include "base/times.h"
#include "base/utf8.h"

static void check_instant(int64_t time_ms)
{
    char text[INSTANT_TEXT_SIZE];
    size_t size = instant_format(text, time_ms);
    invariant(size < sizeof text && text[size] == 0);
    int64_t again;
    if (time_ms >= TIME_MIN_MS && time_ms < TIME_MAX_MS)
        invariant(instant_parse(slice_of(text, size), &again) && again == time_ms);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of(data, size);
    int64_t value, again;
    if (instant_parse(input, &value))
        check_instant(value);
    if (duration_parse(input, &value)) {
        char text[INSTANT_TEXT_SIZE];
        size_t text_size = duration_format(text, value);
        invariant(text_size < sizeof text);
        invariant(duration_parse(slice_of(text, text_size), &again) && again == value);
    }
    if (size >= sizeof value)
        check_instant((int64_t)load_u64(data));
    if (utf8_valid(input))
        invariant(utf8_valid(slice_of(data, utf8_prefix(input, size / 2))));
    return 0;
}

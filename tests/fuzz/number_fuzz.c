/* number_parse takes any bytes; what it accepts prints and reads back as the same bits. */
#include "fuzz.h"

#include "base/bits.h"
#include "base/invariant.h"
#include "cxx/number.h"

static void check_round_trip(double value)
{
    char text[NUMBER_TEXT_SIZE];
    size_t size = number_format(text, value);
    invariant(size > 0 && size <= sizeof text);
    double again;
    bool overflow;
    bool finite = value - value == 0;
    invariant(number_parse(slice_of(text, size), &again, &overflow) == finite);
    if (finite)
        invariant(!overflow && bits_of_double(again) == bits_of_double(value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    double value;
    bool overflow;
    if (number_parse(slice_of(data, size), &value, &overflow)) {
        invariant(overflow == (value - value != 0));
        check_round_trip(value);
    }
    if (size >= sizeof value)
        check_round_trip(double_of_bits(load_u64(data)));
    return 0;
}

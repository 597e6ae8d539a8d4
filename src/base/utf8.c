#include "base/utf8.h"

#include "base/bits.h"

/* RFC 3629, section 4. */
size_t utf8_char_size(struct slice text, size_t offset)
{
    const uint8_t *at = text.data + offset;
    size_t left = text.size - offset;
    uint8_t lead = at[0];
    size_t size = lead < 0x80 ? 1 : lead < 0xc2 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (size == 0 || size > left || lead > 0xf4)
        return 0;
    for (size_t i = 1; i < size; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    if ((lead == 0xe0 && at[1] < 0xa0) || (lead == 0xed && at[1] > 0x9f) ||
        (lead == 0xf0 && at[1] < 0x90) || (lead == 0xf4 && at[1] > 0x8f))
        return 0;
    return size;
}

bool utf8_valid(struct slice text)
{
    size_t i = 0;
    while (i < text.size) {
        if (text.size - i >= 8 && (load_u64(text.data + i) & 0x8080808080808080u) == 0) {
            i += 8;
            continue;
        }
        size_t size = utf8_char_size(text, i);
        if (size == 0)
            return false;
        i += size;
    }
    return true;
}

size_t utf8_prefix(struct slice text, size_t max)
{
    if (text.size <= max)
        return text.size;
    while (max > 0 && (text.data[max] & 0xc0) == 0x80)
        max--;
    return max;
}

#include "base/shown.h"

#include <string.h>

#include "base/utf8.h"

static bool is_control(const uint8_t *at, size_t size)
{
    return size == 1 ? at[0] < 0x20 || at[0] == 0x7f : size == 2 && at[0] == 0xc2 && at[1] < 0xa0;
}

static void escape(uint8_t byte, char to[4])
{
    static const char digits[] = "0123456789abcdef";
    to[0] = '\\';
    to[1] = 'x';
    to[2] = digits[byte >> 4];
    to[3] = digits[byte & 15];
}

struct shown shown_text(struct slice text)
{
    struct shown shown;
    size_t used = 0;
    for (size_t at = 0; at < text.size;) {
        size_t size = utf8_char_size(text, at);
        bool escaped = size == 0 || is_control(text.data + at, size);
        size = size == 0 ? 1 : size;
        if (used + (escaped ? 4 * size : size) > SHOWN_MAX_SIZE)
            break;
        if (!escaped) {
            memcpy(shown.text + used, text.data + at, size);
            used += size;
        }
        for (size_t i = 0; escaped && i < size; i++, used += 4)
            escape(text.data[at + i], shown.text + used);
        at += size;
    }
    shown.text[used] = 0;
    return shown;
}

#include "http/header_bytes.h"

#include <string.h>

bool header_is_cut(const char *end, const char *next, size_t max)
{
    if (next < end || (size_t)(next - end) > max)
        return false;
    for (; end < next; end++)
        if (*end != 0 && strchr("\r\n\t :", *end) == NULL)
            return true;
    return false;
}

bool header_is_token(const char *text, size_t size)
{
    static const char others[] = "!#$%&'*+-.^_`|~";
    for (size_t i = 0; i < size; i++) {
        char letter = (char)(text[i] | 0x20);
        if ((text[i] < '0' || text[i] > '9') && (letter < 'a' || letter > 'z') &&
            (text[i] == 0 || strchr(others, text[i]) == NULL))
            return false;
    }
    return size > 0;
}

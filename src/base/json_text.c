#include "base/json_text.h"

#include "base/utf8.h"

enum status json_append_string(struct bytes *to, struct slice text)
{
    enum status status = bytes_append(to, "\"", 1);
    for (size_t i = 0; i < text.size && status == STATUS_OK;) {
        size_t size = utf8_char_size(text, i);
        uint8_t byte = text.data[i];
        if (size == 0)
            status = bytes_append_text(to, "\\ufffd");
        else if (byte == '"' || byte == '\\')
            status = bytes_format(to, "\\%c", byte);
        else if (byte < 0x20 || byte == 0x7f)
            status = bytes_format(to, "\\u%04x", byte);
        else
            status = bytes_append(to, text.data + i, size);
        i += size == 0 ? 1 : size;
    }
    return status == STATUS_OK ? bytes_append(to, "\"", 1) : status;
}

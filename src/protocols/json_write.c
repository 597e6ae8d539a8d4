#include "protocols/json_write.h"

#include <stdio.h>

#include "base/bits.h"
#include "model/value.h"

enum status json_write_string(struct bytes *to, struct slice text)
{
    enum status status = bytes_reserve(to, 6 * text.size + 2);
    if (status != STATUS_OK)
        return status;
    static const char hexadecimal[] = "0123456789abcdef";
    uint8_t *at = to->data + to->size;
    *at++ = '"';
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte == '"' || byte == '\\') {
            *at++ = '\\';
            *at++ = byte;
        } else if (byte >= 0x20) {
            *at++ = byte;
        } else {
            memcpy(at, "\\u00", 4);
            at[4] = (uint8_t)hexadecimal[byte >> 4];
            at[5] = (uint8_t)hexadecimal[byte & 15];
            at += 6;
        }
    }
    *at++ = '"';
    to->size = (size_t)(at - to->data);
    return STATUS_OK;
}

static enum status label_append(struct bytes *to, const struct label *label, bool first)
{
    enum status status = first ? STATUS_OK : bytes_append(to, ",", 1);
    if (status == STATUS_OK)
        status = json_write_string(to, label->name);
    if (status == STATUS_OK)
        status = bytes_append(to, ":", 1);
    if (status == STATUS_OK)
        status = json_write_string(to, label->value);
    return status;
}

enum status json_write_labels(struct bytes *to, const struct labels *labels)
{
    enum status status = bytes_append(to, "{", 1);
    bool first = true;
    for (size_t i = 0; status == STATUS_OK && i < labels->count; i++) {
        if (slice_equal_text(labels->items[i].name, METRIC_NAME_LABEL))
            continue;
        status = label_append(to, &labels->items[i], first);
        first = false;
    }
    return status == STATUS_OK ? bytes_append(to, "}", 1) : status;
}

size_t json_value_format(char to[NUMBER_TEXT_SIZE], double value, bool *word)
{
    uint64_t bits = bits_of_double(value);
    *word = value != value || value - value != 0;
    if (bits == VALUE_STALE_BITS)
        return (size_t)sprintf(to, "stale");
    if (value != value && bits != VALUE_NORMAL_NAN_BITS)
        return (size_t)sprintf(to, "nan:%016llx", (unsigned long long)bits);
    return number_format(to, value);
}

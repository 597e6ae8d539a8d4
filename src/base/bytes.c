#include "base/bytes.h"

#include <stdio.h>
#include <stdlib.h>

void bytes_init(struct bytes *bytes, size_t max)
{
    bytes_init_shared(bytes, max, NULL);
}

void bytes_init_shared(struct bytes *bytes, size_t max, struct memory_share *share)
{
    *bytes = (struct bytes){.max = max, .share = share};
}

void bytes_release(struct bytes *bytes)
{
    free(bytes->data);
    if (bytes->share != NULL)
        memory_share_give(bytes->share, bytes->capacity);
    bytes_init_shared(bytes, bytes->max, bytes->share);
}

enum status bytes_reserve(struct bytes *bytes, size_t more)
{
    if (more <= bytes->capacity - bytes->size)
        return STATUS_OK;
    if (more > bytes->max - bytes->size)
        return STATUS_LIMIT;
    size_t wanted = bytes->size + more;
    size_t doubled = bytes->capacity < bytes->max / 2 ? bytes->capacity * 2 : bytes->max;
    size_t capacity = wanted > doubled ? wanted : doubled;
    if (capacity < 64)
        capacity = bytes->max < 64 ? bytes->max : 64;
    size_t more_capacity = capacity - bytes->capacity;
    if (bytes->share != NULL && !memory_share_take(bytes->share, more_capacity))
        return STATUS_BUSY;
    uint8_t *data = realloc(bytes->data, capacity);
    if (data == NULL) {
        if (bytes->share != NULL)
            memory_share_give(bytes->share, more_capacity);
        return STATUS_MEMORY;
    }
    bytes->data = data;
    bytes->capacity = capacity;
    return STATUS_OK;
}

enum status bytes_append(struct bytes *bytes, const void *data, size_t size)
{
    enum status status = bytes_reserve(bytes, size);
    if (status != STATUS_OK)
        return status;
    if (size > 0)
        memcpy(bytes->data + bytes->size, data, size);
    bytes->size += size;
    return STATUS_OK;
}

enum status bytes_append_text(struct bytes *bytes, const char *text)
{
    return bytes_append(bytes, text, strlen(text));
}

enum status bytes_format(struct bytes *bytes, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    va_list again;
    va_copy(again, args);
    int size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    enum status status = size < 0 ? STATUS_INVALID : bytes_reserve(bytes, (size_t)size + 1);
    if (status == STATUS_OK) {
        vsnprintf((char *)bytes->data + bytes->size, (size_t)size + 1, format, again);
        bytes->size += (size_t)size;
    }
    va_end(again);
    return status;
}

#include "http/body_buffer.h"

#include <stdlib.h>

enum { FIRST_CAPACITY = 16 << 10, CHARGE_STEP = 256 << 10, TRIM_ABOVE = 64 << 10 };

void body_buffer_init(struct body_buffer *buffer, size_t max, struct memory_share *budget)
{
    *buffer = (struct body_buffer){.max = max, .budget = budget};
}

static void give_back(struct body_buffer *buffer, size_t size)
{
    if (buffer->budget != NULL)
        memory_share_give(buffer->budget, size);
    buffer->charged -= size;
}

void body_buffer_release(struct body_buffer *buffer)
{
    give_back(buffer, buffer->charged);
    free(buffer->data);
    body_buffer_init(buffer, buffer->max, buffer->budget);
}

static enum status charge_up_to(struct body_buffer *buffer, size_t total)
{
    if (total <= buffer->charged)
        return STATUS_OK;
    size_t more = total - buffer->charged;
    if (buffer->budget != NULL && !memory_share_take(buffer->budget, more))
        return STATUS_BUSY;
    buffer->charged = total;
    return STATUS_OK;
}

static enum status resize(struct body_buffer *buffer, size_t capacity)
{
    if (capacity > buffer->max)
        return STATUS_LIMIT;
    uint8_t *data = realloc(buffer->data, capacity == 0 ? 1 : capacity);
    if (data == NULL)
        return STATUS_MEMORY;
    buffer->data = data;
    buffer->capacity = capacity;
    return STATUS_OK;
}

enum status body_buffer_expect(struct body_buffer *buffer, size_t capacity)
{
    return resize(buffer, capacity);
}

static size_t doubled(const struct body_buffer *buffer)
{
    size_t first = buffer->max < FIRST_CAPACITY ? buffer->max : FIRST_CAPACITY;
    if (buffer->capacity < first)
        return first;
    return buffer->capacity < buffer->max / 2 ? buffer->capacity * 2 : buffer->max;
}

enum status body_buffer_append(struct body_buffer *buffer, const void *data, size_t size)
{
    if (size > buffer->max - buffer->size)
        return STATUS_LIMIT;
    size_t total = buffer->size + size;
    if (total > buffer->capacity) {
        size_t capacity = doubled(buffer);
        enum status status = resize(buffer, capacity < total ? total : capacity);
        if (status != STATUS_OK)
            return status;
    }
    if (total > buffer->charged) {
        bool last = buffer->capacity - total < CHARGE_STEP;
        size_t step = last ? buffer->capacity : total + CHARGE_STEP;
        enum status status = charge_up_to(buffer, step);
        if (status != STATUS_OK)
            return status;
    }
    if (size > 0)
        memcpy(buffer->data + buffer->size, data, size);
    buffer->size = total;
    return STATUS_OK;
}

enum status body_buffer_charge(struct body_buffer *buffer)
{
    return charge_up_to(buffer, buffer->capacity);
}

enum status body_buffer_grow(struct body_buffer *buffer)
{
    if (buffer->size < buffer->capacity)
        return body_buffer_charge(buffer);
    if (buffer->capacity >= buffer->max)
        return STATUS_LIMIT;
    size_t capacity = doubled(buffer);
    enum status status = charge_up_to(buffer, capacity);
    if (status == STATUS_OK)
        status = resize(buffer, capacity);
    return status;
}

void body_buffer_trim(struct body_buffer *buffer)
{
    /* Small rests are not worth a call into the heap. */
    if (buffer->capacity - buffer->size > TRIM_ABOVE) {
        size_t capacity = buffer->size;
        uint8_t *data = realloc(buffer->data, capacity == 0 ? 1 : capacity);
        if (data == NULL)
            return;
        buffer->data = data;
        buffer->capacity = capacity;
    }
    if (buffer->charged > buffer->capacity)
        give_back(buffer, buffer->charged - buffer->capacity);
}

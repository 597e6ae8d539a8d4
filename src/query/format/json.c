#include "query/format/json.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "cxx/number.h"
#include "model/value.h"

/* The longest piece that is put whole: a quoted number, an escape. */
enum { PIECE_SIZE = 48 };

/* Every whole number up to here is a double. */
#define MAX_WHOLE 9007199254740992.0

enum status json_new(struct json **json, struct query_sink *sink, struct arena *arena,
                     struct error *err)
{
    *json = arena_alloc(arena, sizeof **json);
    if (*json == NULL)
        return arena_status(arena) == STATUS_MEMORY
                   ? fail(err, STATUS_MEMORY, "no memory for writing the answer")
                   : fail_code(err, STATUS_LIMIT, "query_memory_limit",
                               "no memory left for writing the answer; raise query.max_memory");
    (*json)->sink = sink;
    (*json)->status = STATUS_OK;
    (*json)->err = err;
    (*json)->used = 0;
    return STATUS_OK;
}

static void flush(struct json *json)
{
    if (json->status == STATUS_OK && json->used > 0)
        json->status = json->sink->write(json->sink, slice_of(json->buffer, json->used), json->err);
    json->used = 0;
}

/* Room for PIECE_SIZE bytes. */
static char *piece(struct json *json)
{
    if (JSON_BUFFER_SIZE - json->used < PIECE_SIZE)
        flush(json);
    return json->buffer + json->used;
}

static void put(struct json *json, const void *from, size_t size)
{
    const char *at = from;
    while (size > 0) {
        if (json->used == JSON_BUFFER_SIZE)
            flush(json);
        size_t room = JSON_BUFFER_SIZE - json->used;
        size_t part = size < room ? size : room;
        memcpy(json->buffer + json->used, at, part);
        json->used += part;
        at += part;
        size -= part;
    }
}

void json_text(struct json *json, const char *text)
{
    put(json, text, strlen(text));
}

static void put_escape(struct json *json, uint8_t byte)
{
    static const char letters[] = "btn\0fr"; /* of 8 to 13; vertical tab has none */
    char *at = piece(json);
    size_t size = 2;
    at[0] = '\\';
    if (byte == '"' || byte == '\\')
        at[1] = (char)byte;
    else if (byte >= 8 && byte <= 13 && byte != 11)
        at[1] = letters[byte - 8];
    else
        size = (size_t)snprintf(at, PIECE_SIZE, "\\u%04x", byte);
    json->used += size;
}

void json_string(struct json *json, struct slice text)
{
    put(json, "\"", 1);
    size_t first = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t byte = text.data[i];
        if (byte >= 0x20 && byte != '"' && byte != '\\')
            continue;
        put(json, text.data + first, i - first);
        put_escape(json, byte);
        first = i + 1;
    }
    if (text.size > first)
        put(json, text.data + first, text.size - first);
    put(json, "\"", 1);
}

void json_integer(struct json *json, int64_t number)
{
    char digits[24];
    size_t at = sizeof digits;
    uint64_t rest = number < 0 ? 0 - (uint64_t)number : (uint64_t)number;
    do {
        digits[--at] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    if (number < 0)
        digits[--at] = '-';
    char *to = piece(json);
    memcpy(to, digits + at, sizeof digits - at);
    json->used += sizeof digits - at;
}

static void put_not_finite(struct json *json, double value)
{
    uint64_t bits = bits_of_double(value);
    char *at = piece(json);
    int size;
    if (isinf(value))
        size = snprintf(at, PIECE_SIZE, "\"%s\"", value > 0 ? "+Inf" : "-Inf");
    else if (bits == VALUE_NORMAL_NAN_BITS)
        size = snprintf(at, PIECE_SIZE, "\"NaN\"");
    else if (bits == VALUE_STALE_BITS)
        size = snprintf(at, PIECE_SIZE, "\"stale\"");
    else
        size = snprintf(at, PIECE_SIZE, "\"nan:%016" PRIx64 "\"", bits);
    json->used += (size_t)size;
}

void json_value(struct json *json, double value)
{
    if (!isfinite(value)) {
        put_not_finite(json, value);
        return;
    }
    /* Most values are whole, and those need no shortest-digits search. */
    if (fabs(value) < MAX_WHOLE && value != 0) {
        int64_t whole = (int64_t)value;
        if ((double)whole == value) {
            json_integer(json, whole);
            return;
        }
    }
    char *at = piece(json);
    json->used += number_format(at, value);
}

enum status json_status(const struct json *json)
{
    return json->status;
}

enum status json_end(struct json *json)
{
    flush(json);
    return json->status;
}
